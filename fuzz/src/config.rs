//! A csw.toml: valid, or an error of `config` that shows no secret which was written where its file belongs.

use std::path::Path;

use csw::error::Code;
use csw::gate::Gate;
use csw::gate::config::{Config, StorePlace};
use csw::party::Business;
use csw::wire::send::Endpoint;

use super::{NOON, shop};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const SEND: &[u8] = br#"{"to":"447700900123","type":"text","text":{"body":"hi"}}"#;

/// Reads a configuration, and once more with a secret in it.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Config::parse(text, Path::new("no/such/folder")) {
        Ok(config) => check_valid(config),
        Err(error) => {
            assert_eq!(error.code(), Code::Config, "{error}");
            assert!(!error.message().is_empty());
        }
    }
    // A text of several lines would swallow what follows it, and is shown; and so is what stands there already.
    let is_shown = ["\"\"\"", "'''", SECRET].iter().any(|shown| text.contains(shown));
    for key in ["secret_file", "verify_token_file", "secret_env"] {
        let error = Config::parse(&format!("{text}\n[webhook]\n{key} = \"{SECRET}\"\n"), Path::new("no/such/folder"));
        let error = error.expect_err("no such file or variable is there");
        assert!(is_shown || !error.message().contains(SECRET), "{error}");
    }
}

fn check_valid(config: Config) {
    let numbers: Vec<Business> = config.numbers().collect();
    for business in numbers.iter().map(|number| Some(*number)).chain([None]) {
        let last = config.closed(business).last().expect("block is a step");
        assert_eq!(last.written(), "block");
    }
    let _ = format!("{config:?}");
    if config.store == StorePlace::Memory {
        let gate = Gate::with(config);
        for business in numbers.into_iter().chain([shop()]) {
            gate.forecast(business, Endpoint::Messages, SEND, NOON).expect("an empty store can be read");
            for index in 0..8 {
                gate.instead(business, SEND, NOON, index).expect("an empty store can be read");
            }
        }
    }
}
