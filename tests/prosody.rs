//! The real Prosody with the staged module: `examples/prosody/prosody.cfg.lua`, with the paths and ports of a test in
//! place of its own, a transport that connects as a component, and clients that write to its customers.
//!
//! Needs Debian's prosody and a staged `build/` (or `CSW_BUILD`): `make deps build`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/gateway.rs"]
mod gateway;
#[path = "prosody/stream.rs"]
mod stream;
#[path = "prosody/workshop.rs"]
mod workshop;

use workshop::*;

const HOUR: u64 = 3_600_000;

#[test]
fn text_passes_while_the_window_is_open() {
    let stage = Stage::new();
    let at = now() - HOUR;
    stage.customer_writes(CUSTOMER, at);
    assert_eq!(stage.sends_text(CUSTOMER, at + 1000), ("allow".into(), "window_open".into()));
    assert_eq!(stage.sends_text(STRANGER, at + 1000), ("deny".into(), "never_seen".into()));
    assert_eq!(stage.sends_template(STRANGER, "summer_promotion", at), ("allow".into(), "template".into()));
}
