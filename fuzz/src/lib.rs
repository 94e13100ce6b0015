//! What must hold for any bytes, one module for each door that bytes come in by.
//!
//! `fuzz_targets/` gives them what libFuzzer makes up; `tests/corpora.rs` of the house gives them what it kept in `corpus/`.

pub mod codec;
pub mod config;
pub mod party;
pub mod rate_card;
pub mod response;
pub mod send;
pub mod signature;
pub mod webhook;

use std::time::Duration;

use csw::error::{Code, Result};
use csw::gate::Gate;
use csw::gate::recorder::{Outcome, Report, Ticket};
use csw::party::Business;
use csw::time::Timestamp;

/// Who has written a minute before [`NOON`].
const ANNA: &str = "447700900123";
/// The moment of all questions: 2025-06-08, 20:59:43 UTC.
const NOON: Timestamp = Timestamp::from_millis(1_749_416_383_000);

/// The number that the bytes are about where they name none.
fn shop() -> Business {
    Business::from_number(106_540_352_242_922)
}

/// The text before a line break, and the bytes behind it.
fn first_line(bytes: &[u8]) -> (&str, &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let rest = bytes.get(end + 1..).unwrap_or_default();
    (std::str::from_utf8(&bytes[..end]).unwrap_or_default(), rest)
}

/// What recording came to. The recorder catches panics: here they are found out.
fn recorded(gate: &Gate, ticket: Ticket) -> Result<Report> {
    match gate.wait(ticket, Duration::from_secs(60)).expect("the recorder decides") {
        Outcome::Done(report) => Ok(report),
        Outcome::Failed(error) => {
            assert_ne!(error.code(), Code::Internal, "{error}");
            Err(error)
        }
        Outcome::Pending => unreachable!("waiting ended"),
    }
}

/// At most two characters at each end, and none of a short text.
fn check_hidden(shown: &str, length: usize) {
    let visible = shown.chars().filter(|letter| *letter != '*').count();
    assert!(visible <= if length < 8 { 0 } else { 4 }, "{shown} of {length}");
    assert!(!shown.contains(char::is_control), "{shown:?}");
}
