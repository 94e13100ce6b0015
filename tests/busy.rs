//! A customer with many messages: what is heard of them looks at few of those before, so that nobody else waits for it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::borrow::Cow;
use std::cell::Cell;
use std::path::Path;

use csw::error::Result;
use csw::gate::apply::Applying;
use csw::gate::config::Config;
use csw::rules::event::{Event, EventKind, Progress, Reported, Status, What};
use csw::store::memory::MemoryStore;
use csw::store::{Read, RecordsMut, Store, Table, Visit, Write};
use csw::time::{Span, Timestamp};
use csw::wire::record::{self, Stated};
use support::{hours_ago, stated};

/// How many messages were sent before, one a second; all were told to be of one conversation, and the first was delivered.
const MESSAGES: u32 = 200;

#[test]
fn what_is_heard_of_a_busy_customer_looks_at_few_of_their_messages() {
    let sent = |id, at| stated_event(EventKind::BusinessMessage, Some(id), at);
    let delivered = |id, at| stated_event(EventKind::Delivered, Some(id), at);
    let act = |at| stated_event(EventKind::CustomerMessage, Some("act"), at);
    let unnamed_act = |at| stated_event(EventKind::CustomerMessage, None, at);
    let (amid, after) = (second(50) + Span::millis(500), second(MESSAGES + 50));
    let rows: [(&str, &str, Vec<Event>, usize); 8] = [
        ("the next send", "guide", vec![sent("new", after)], 0),
        ("a send that is heard of late", "guide", vec![sent("new", amid)], 0),
        ("a status before the word of what was sent", "guide", vec![told("new", after, None), sent("new", after)], 0),
        ("an act that is heard of late", "guide", vec![act(amid)], 0),
        ("a delivery in a conversation that was delivered before", "meta-2024-11", vec![delivered("100", after)], 0),
        (
            "a status of a conversation that others were told of",
            "guide",
            vec![sent("new", after), told("new", after, Some(1))],
            1,
        ),
        // What could change the others is worth a look at all of them: so the test can fail.
        ("an act without an id that is heard of late", "guide", vec![unnamed_act(amid)], MESSAGES as usize),
        ("the first delivery of the first message", "meta-2024-11", vec![delivered("0", second(0))], MESSAGES as usize),
    ];
    for (what, rules, events, most) in rows {
        let looked_at = looked_at(rules, &events);
        assert!(looked_at <= most, "{what} looks at {looked_at} messages");
        assert!(most < MESSAGES as usize || looked_at == most, "{what} looks at {looked_at} messages");
    }
}

/// How many messages are looked at while these events are recorded.
fn looked_at(rules: &str, events: &[Event]) -> usize {
    let store = MemoryStore::default();
    let config = Config::parse(&format!("store = \"memory:\"\nrules = \"{rules}\""), Path::new(".")).unwrap();
    let count = Cell::new(0);
    let record = |events: &[Event]| {
        let written = store.write(&mut |transaction| {
            let mut watched = Watched { transaction, looked_at: &count };
            let (records, policy) = (&mut RecordsMut::new(&mut watched), config.default_policy());
            let mut applying = Applying { records, policy, fold_numbers: true, now: hours_ago(0) };
            events.iter().try_for_each(|event| applying.event(event).map(drop))
        });
        written.unwrap();
    };
    record(&[stated_event(EventKind::CustomerMessage, None, hours_ago(2))]);
    for index in 0..MESSAGES {
        let (id, at) = (index.to_string(), second(index));
        record(&[stated_event(EventKind::BusinessMessage, Some(&id), at), told(&id, at, Some(1))]);
    }
    record(&[stated_event(EventKind::Delivered, Some("0"), second(1))]);
    count.set(0);
    record(events);
    count.get()
}

/// The moments of the messages.
fn second(index: u32) -> Timestamp {
    hours_ago(1) + Span::millis(1000 * index)
}

fn stated_event(kind: EventKind, id: Option<&str>, at: Timestamp) -> Event {
    record::event(Stated { id, ..stated(kind, at) }).unwrap()
}

/// A status that says that a message was sent, and perhaps in which conversation.
fn told(id: &str, at: Timestamp, conversation: Option<u8>) -> Event {
    let reported = Reported { conversation: conversation.map(|number| [number; 16]), ..Reported::default() };
    let status = Status { progress: Progress::Sent, code: None, reported: Some(reported), member: None };
    Event { what: What::Status(status), ..stated_event(EventKind::Sent, Some(id), at) }
}

/// A transaction that counts the messages that are scanned.
struct Watched<'w> {
    transaction: &'w mut dyn Write,
    looked_at: &'w Cell<usize>,
}

impl Read for Watched<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>> {
        self.transaction.get(table, key)
    }

    fn scan(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<()> {
        self.transaction.scan(table, from, &mut |key, value| {
            self.looked_at.update(|count| count + usize::from(table == Table::Messages));
            visit(key, value)
        })
    }

    fn last_key(&self, table: Table) -> Result<Option<Vec<u8>>> {
        self.transaction.last_key(table)
    }
}

impl Write for Watched<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<()> {
        self.transaction.put(table, key, value)
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<()> {
        self.transaction.delete(table, key)
    }
}
