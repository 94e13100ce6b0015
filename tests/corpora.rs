//! What the fuzz targets kept (`fuzz/corpus/`) is checked again, without a fuzzer.
// A body that breaks a promise fails the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
// One of them is a rate card, which the command reads.
#![cfg(feature = "cli")]

#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The files of a folder, without what follows a dot in their names.
fn files(folder: &Path) -> BTreeSet<String> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    files.map(|name| name.split('.').next().unwrap().to_owned()).collect()
}

/// Checks everything that was kept for a target. The panic of a check says what it is about, and this with which file.
fn check(target: &str, check: fn(&[u8])) {
    let corpus = fuzz().join("corpus").join(target);
    let names = files(&corpus);
    assert!(!names.is_empty());
    for name in names {
        let bytes = std::fs::read(corpus.join(&name)).unwrap();
        if std::panic::catch_unwind(|| check(&bytes)).is_err() {
            panic!("fuzz/corpus/{target}/{name}: see above");
        }
    }
}

macro_rules! corpora {
    ($($target:ident),+) => {
        $(
            #[test]
            fn $target() {
                check(stringify!($target), targets::$target::check);
            }
        )+

        #[test]
        fn every_target_is_here_and_has_a_corpus() {
            let targets = BTreeSet::from([$(stringify!($target).to_owned()),+]);
            assert_eq!(files(&fuzz().join("fuzz_targets")), targets);
            assert_eq!(files(&fuzz().join("corpus")), targets);
        }
    };
}

corpora!(codec, config, party, rate_card, response, send, signature, webhook);
