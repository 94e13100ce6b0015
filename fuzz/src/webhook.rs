//! A webhook: read the same every time, dated within reason, and recorded once however often it comes.

use std::path::Path;

use csw::gate::apply::Applying;
use csw::gate::config::Config;
use csw::gate::report::{self, By, Row};
use csw::gate::{catalogue, inquiry};
use csw::party::Customer;
use csw::rules::event::{Event, What};
use csw::store::memory::MemoryStore;
use csw::store::{Read, Records, RecordsMut, Store, Write};
use csw::time::{Day, Timestamp};
use csw::wire::webhook::{self, Webhook};

use super::{NOON, check_hidden};

const CONFIG: &str = "rules = \"meta\"\ncurrency = \"EUR\"";

/// Reads and records a body.
pub fn check(bytes: &[u8]) {
    let Ok(webhook) = webhook::parse(bytes) else { return };
    assert_eq!(webhook::parse(bytes).as_ref(), Ok(&webhook));
    webhook.events.iter().for_each(check_event);
    for fault in &webhook.unreadable {
        assert!(fault.len() < 512 && !fault.contains(char::is_control), "{fault:?}");
    }
    check_recording(&webhook);
}

fn check_event(event: &Event) {
    let (earliest, latest) = (Timestamp::from_seconds(1_230_768_000), Timestamp::from_seconds(100_000_000_000));
    assert!(earliest <= event.at && event.at < latest, "{}", event.at);
    for name in event.also.iter().chain([&event.customer]) {
        let shown = format!("{name:?}");
        check_hidden(shown.strip_prefix("group:").unwrap_or(&shown), name.text().len());
        assert_eq!(Customer::parse(&name.written()).as_ref(), Ok(name));
    }
    assert!(!event.also.contains(&event.customer), "{event:?}");
    assert!(event.what != What::Identity || !event.also.is_empty(), "{event:?}");
}

/// The platform repeats what it did not see answered.
fn check_recording(webhook: &Webhook) {
    let config = Config::parse(CONFIG, Path::new(".")).expect("it is valid");
    let store = MemoryStore::default();
    record(&store, &config, webhook);
    let books = books(&store);
    let opened = record(&store, &config, webhook);
    assert!(!opened, "a repeat opens no window");
    assert_eq!(self::books(&store), books, "a repeat changes no book");
}

/// Applies a webhook as the recorder does, and says whether it opened a window.
fn record(store: &MemoryStore, config: &Config, webhook: &Webhook) -> bool {
    let mut opened = false;
    let mut work = |transaction: &mut dyn Write| {
        let mut records = RecordsMut::new(transaction);
        for notice in &webhook.notices {
            catalogue::notice(&mut records, notice)?;
        }
        for event in &webhook.events {
            let business = records.read().canonical(event.business)?;
            let policy = config.policy(business);
            let mut applying = Applying { records: &mut records, policy, fold_numbers: true, now: NOON };
            let event = Event { business, at: event.at.min(NOON), ..event.clone() };
            opened |= applying.event(&event)?.opened;
        }
        Ok(())
    };
    store.write(&mut work).expect("what was read can be recorded");
    opened
}

/// The totals, once it is certain that the ledger adds up to them.
fn books(store: &MemoryStore) -> Vec<Row> {
    let days = (Day::new(1, 1, 1), Day::new(9999, 12, 31));
    let mut rows = Vec::new();
    let mut work = |read: &dyn Read| {
        let records = Records(read);
        assert_eq!(inquiry::audit(records, &mut |_| {})?.wrong, 0);
        rows = report::report(records, |_| days, days, By::ALL)?;
        Ok(())
    };
    store.read(&mut work).expect("what was recorded can be read");
    rows
}
