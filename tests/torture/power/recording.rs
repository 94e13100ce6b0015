//! A recording of what a process did to the files of a store, and what else it said meanwhile.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support;

/// What happened, in order.
#[derive(Debug)]
pub enum Step {
    /// Bytes were written to the store's file; through a descriptor that syncs by itself, they were on the disk when the call returned.
    Write { at: usize, bytes: Vec<u8>, is_synced: bool },
    /// The file was made at least so long.
    Grow(usize),
    /// The file was made exactly so long.
    Cut(usize),
    /// All that was done to the file so far is on the disk.
    Sync,
    /// The file, made under another name, is the store's from here on, once the power is not lost first.
    Named,
    /// The store's folder is on the disk, with the names in it.
    FolderSync,
    /// Events up to this one are about to be submitted.
    Submitting(usize),
    /// Events up to this one are acknowledged.
    Acknowledged(usize),
}

/// Where a process is recorded: a folder below which it works, and the log.
pub struct Place {
    folder: tempfile::TempDir,
}

/// The file whose fate is followed, below the recorded folder; it is made in another one, the end of whose name is a process's id.
const STORE: &str = "store/data.mdb";
const MADE_IN: &str = "store/csw.new.";
/// The file to which the process says what it submits and what was acknowledged.
pub const SAID: &str = "said";

impl Place {
    pub fn new() -> Self {
        Place { folder: support::folder() }
    }

    /// The folder below which everything is recorded.
    pub fn recorded(&self) -> PathBuf {
        self.folder.path().join("recorded")
    }

    /// Runs a test's process below the folder and records it.
    pub fn record(&self, test: &str) -> Vec<Step> {
        let (recorder, log) = (self.folder.path().join("recording.so"), self.folder.path().join("log"));
        compile(&recorder);
        std::fs::create_dir(self.recorded()).unwrap();
        let mut process = support::another_process(test, &self.recorded());
        process.env("LD_PRELOAD", recorder).env("CSW_RECORDED", self.recorded()).env("CSW_RECORDING", &log);
        let status = process.stdout(Stdio::null()).status().unwrap();
        assert!(status.success(), "the recorded process failed: {status}");
        steps(&std::fs::read(log).unwrap())
    }

    /// What the file is in the end.
    pub fn file(&self) -> Vec<u8> {
        std::fs::read(self.recorded().join(STORE)).unwrap()
    }
}

fn compile(recorder: &Path) {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/torture/recording.c");
    let mut cc = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    cc.args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-shared", "-fPIC", "-o"]);
    let status = cc.arg(recorder).args([source, "-ldl", "-lpthread"]).status().unwrap();
    assert!(status.success(), "{source} does not compile");
}

/// One record of the log.
struct Record<'l> {
    what: u8,
    fd: i32,
    at: u64,
    bytes: &'l [u8],
}

/// The log's records; each begins with its kind, its descriptor, a place, and its length.
fn records(mut log: &[u8]) -> Vec<Record<'_>> {
    let mut records = Vec::new();
    while let Some((head, rest)) = log.split_first_chunk::<24>() {
        let number = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().unwrap());
        let (bytes, rest) = rest.split_at(number(16) as usize);
        let fd = i32::from_le_bytes(head[4..8].try_into().unwrap());
        records.push(Record { what: head[0], fd, at: number(8), bytes });
        log = rest;
    }
    assert!(log.is_empty(), "the log ends within a record");
    records
}

/// What the log tells of the store's file and of what was said.
fn steps(log: &[u8]) -> Vec<Step> {
    let mut open: HashMap<i32, (String, bool)> = HashMap::new();
    let mut steps = Vec::new();
    for Record { what, fd, at, bytes } in records(log) {
        let text = || String::from_utf8(bytes.to_vec()).unwrap();
        if what == b'O' {
            open.insert(fd, (text(), at as libc::c_int & libc::O_DSYNC != 0));
            continue;
        }
        let (mut name, is_synced) = open.get(&fd).cloned().unwrap_or_else(|| (text(), false));
        if what != b'R' && name.starts_with(MADE_IN) && name.ends_with("/data.mdb") {
            name = STORE.to_owned();
        }
        match (what, name.as_str()) {
            (b'C', _) => drop(open.remove(&fd)),
            (b'W', STORE) => steps.push(Step::Write { at: at as usize, bytes: bytes.to_vec(), is_synced }),
            (b'G', STORE) => steps.push(Step::Grow(at as usize)),
            (b'T', STORE) => steps.push(Step::Cut(at as usize)),
            (b'S', STORE) => steps.push(Step::Sync),
            (b'S', "store") => steps.push(Step::FolderSync),
            (b'W', SAID) => steps.extend(text().lines().map(said)),
            (b'R', names) if names.starts_with(MADE_IN) && names.ends_with(&format!("/data.mdb\n{STORE}")) => {
                steps.push(Step::Named)
            }
            (b'R' | b'U', names) => assert!(!names.contains(STORE), "the store's file was renamed or removed: {names}"),
            _ => {}
        }
    }
    steps
}

fn said(line: &str) -> Step {
    match line.split_once(' ').map(|(what, event)| (what, event.parse().unwrap())) {
        Some(("submitting", event)) => Step::Submitting(event),
        Some(("acknowledged", event)) => Step::Acknowledged(event),
        _ => panic!("{line}"),
    }
}
