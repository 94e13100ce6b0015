//! The real Kamailio with the staged library in its processes: `examples/kamailio`, with the paths and addresses of a test
//! in place of its own, as Debian's user `kamailio` where the test may become it.
//!
//! Needs Debian's kamailio and kamailio-lua-modules and a staged `build/` (or `CSW_BUILD`): `make deps build`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/gateway.rs"]
mod gateway;
#[path = "kamailio/sip.rs"]
mod sip;
#[path = "kamailio/workshop.rs"]
mod workshop;

use workshop::*;

fn pair(verdict: &str, reason: &str) -> (String, String) {
    (verdict.into(), reason.into())
}

// --- windows ------------------------------------------------------------------------------------

#[test]
fn message_passes_while_the_window_is_open_and_is_stopped_when_it_is_not() {
    let gateway = Gateway::with_test_clock().start();
    let noon = now() - 48 * HOUR;
    assert_eq!(gateway.sends_text(CUSTOMER, noon), pair("deny", "never_seen"));

    gateway.customer_writes(CUSTOMER, noon);
    assert_eq!(gateway.sends_text(CUSTOMER, noon + 23 * HOUR), pair("allow", "window_open"));
    assert_eq!(gateway.sends_text(CUSTOMER, noon + 24 * HOUR), pair("deny", "window_closed"));
    assert_eq!(gateway.sends_template(CUSTOMER, "order_update", noon + 24 * HOUR), pair("allow", "template"));
    assert_eq!(gateway.trunk.requests().len(), 2, "what passed, and nothing else");
    assert_eq!(gateway.application.requests().len(), 1);
}
