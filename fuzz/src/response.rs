//! The platform's answer to a send, after its status on a line of its own: it never stops the books.

use csw::gate::Gate;
use csw::gate::report::By;
use csw::time::Timestamp;
use csw::wire::send::{self, Endpoint, Receipt};

use super::{NOON, first_line, recorded, shop};

const SENDS: [&[u8]; 3] = [
    br#"{"to":"447700900123","type":"template","template":{"name":"news","language":{"code":"en"}}}"#,
    br#"{"to":"nobody","type":"template","template":{"name":"news","language":{"code":"en"}}}"#,
    br#"{"status":"read","message_id":"wamid.1"}"#,
];

/// Reads an answer, and settles several sends with it.
pub fn check(bytes: &[u8]) {
    let (status, body) = first_line(bytes);
    let status = status.parse().unwrap_or(200);
    let receipt = send::receipt(status, body);
    let is_success = (200..300).contains(&status);
    assert!(is_success || receipt.ids.is_empty() && receipt.names.is_empty(), "{receipt:?}");
    assert!(!is_success || receipt.refused.is_none(), "{receipt:?}");
    for names in &receipt.names {
        assert!(!names.is_empty());
        assert!(names.iter().enumerate().all(|(place, name)| !names[..place].contains(name)), "{names:?}");
    }

    if receipt == Receipt::default() {
        return;
    }
    let gate = Gate::open_text("store = \"memory:\"\nrules = \"meta\"").expect("it is valid");
    for send in SENDS {
        let decided = gate.decide(shop(), Endpoint::Messages, send, NOON).expect("it can be decided");
        let settle = || gate.submit_settle(decided.token.clone(), status, body.to_vec(), NOON);
        let settled = || recorded(&gate, settle().expect("the queue is empty"));
        let rows = || gate.report(Timestamp::default(), NOON, &[By::Day, By::Class]).expect("the books can be read");
        let Ok(first) = settled() else { continue };
        let books = rows();
        let again = settled().expect("it was recorded before");
        assert_eq!(again.events, first.events);
        if is_success {
            assert_eq!(rows(), books, "a message is booked once");
        }
    }
}
