//! What the recorded process does, and what a store must hold that has taken in the beginning of it.

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;

use csw::gate::inquiry;
use csw::gate::report;
use csw::party::Customer;
use csw::rules::event::EventKind;
use csw::store::codec::{self, IdHash};
use csw::store::{Read, Records, RecordsMut, Store, Table};
use csw::time::{Span, Timestamp, Zone};
use csw::wire::record::Stated;

use crate::support::{Chance, shop, stated};

/// Those whose facts stay.
const REGULARS: usize = 7;
/// The one who is erased again and again.
const VISITOR: usize = REGULARS;
/// Events of the visitor in one group that take pages and give them back: now and then there are many.
const CROWD: usize = 150;

/// An event of the plan, by its place in it, from 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Doing {
    Act(usize),
    Send(usize),
    Erase,
}

/// What is done, in groups that are submitted at once.
pub struct Plan {
    pub events: Vec<Doing>,
    /// The last event of each group.
    pub groups: Vec<usize>,
    beginning: Timestamp,
    by_id: HashMap<IdHash, usize>,
}

impl Plan {
    /// The same for the same seed and length, in each process.
    pub fn new(seed: u64, groups: usize) -> Self {
        let mut chance = Chance::of(seed);
        let (mut events, mut ends) = (Vec::new(), Vec::new());
        let either =
            |chance: &mut Chance, contact| if chance.one_in(2) { Doing::Act(contact) } else { Doing::Send(contact) };
        for group in 1..=groups {
            if group % 6 == 0 {
                let crowd = if group % 24 == 6 { CROWD } else { 3 };
                events.extend((0..crowd).map(|_| either(&mut chance, VISITOR)));
                events.push(Doing::Erase);
            }
            for _ in 0..=chance.below(5) {
                let contact = chance.below(REGULARS);
                events.push(either(&mut chance, contact));
            }
            ends.push(events.len());
        }
        let by_id = (1..=events.len()).map(|event| (codec::id_hash(&id(event), None), event)).collect();
        Plan { events, groups: ends, beginning: Timestamp::from_seconds(1_704_067_200), by_id }
    }

    /// An event as a program states it; nothing where it is an erasure.
    pub fn with_stated<T>(&self, event: usize, does: impl FnOnce(Option<Stated<'_>>) -> T) -> T {
        let (kind, contact) = match self.events[event - 1] {
            Doing::Act(contact) => (EventKind::CustomerMessage, contact),
            Doing::Send(contact) => (EventKind::BusinessMessage, contact),
            Doing::Erase => return does(None),
        };
        let (id, customer) = (id(event), customer(contact));
        does(Some(Stated { customer: customer.text(), id: Some(&id), ..stated(kind, self.at(event)) }))
    }

    pub fn visitor(&self) -> Customer {
        customer(VISITOR)
    }

    fn at(&self, event: usize) -> Timestamp {
        self.beginning + Span::millis(1000 * event as u32)
    }

    /// Whether a store has taken in the plan up to an event within these bounds: it must hold exactly that, in all its pages, and go on to be
    /// written.
    pub fn stands_in(&self, store: &dyn Store, bounds: &RangeInclusive<usize>) -> Result<(), String> {
        self.read(store, bounds)?;
        let written = store.write(&mut |transaction| {
            let mut records = RecordsMut::new(transaction);
            records.put_recipient(shop(), codec::id_hash("after the loss", None), &customer(0))
        });
        written.map_err(|error| format!("it cannot be written any more: {error}"))?;
        self.read(store, bounds).map_err(|wrong| format!("once it was written again, {wrong}"))
    }

    fn read(&self, store: &dyn Store, bounds: &RangeInclusive<usize>) -> Result<(), String> {
        let mut found = Err("it was not read".to_owned());
        let read = store.read(&mut |snapshot| {
            found = self.read_from(snapshot, bounds)?;
            Ok(())
        });
        read.map_err(|error| format!("it cannot be read: {error}"))?;
        found
    }

    fn read_from(&self, snapshot: &dyn Read, bounds: &RangeInclusive<usize>) -> csw::error::Result<Result<(), String>> {
        for table in Table::ALL {
            snapshot.scan(table, &[], &mut |_, _| Ok(true))?;
        }
        let records = Records(snapshot);
        let audit = inquiry::audit(records, &mut |_| {})?;
        if audit.wrong > 0 {
            return Ok(Err(format!("{} totals are not the ledger's sum", audit.wrong)));
        }
        let held = self.held(records)?;
        // Which ids there are tells how far it came, but for an erasure after the newest of them.
        let newest = held.ids.last().copied().unwrap_or(0);
        let mut candidates = bounds.clone().filter(|taken| *taken >= newest).take(CROWD + 10);
        if candidates.any(|taken| self.expected(taken) == held) {
            return Ok(Ok(()));
        }
        let Held { ids, messages, .. } = held;
        Ok(Err(format!(
            "{} ids up to {newest} and {messages} messages are what no beginning of {bounds:?} leaves",
            ids.len()
        )))
    }

    fn held(&self, records: Records<'_>) -> csw::error::Result<Held> {
        let mut held = Held::default();
        records.0.scan(Table::Ids, &[], &mut |key, _| {
            held.ids.extend(key.last_chunk().and_then(|id: &IdHash| self.by_id.get(id)));
            Ok(true)
        })?;
        for contact in 0..REGULARS {
            let found = records.contact(shop(), &customer(contact))?;
            held.acts.push(found.and_then(|found| found.contact.last_act));
        }
        let days = (Zone::UTC.day(self.at(0)), Zone::UTC.day(self.at(self.events.len())));
        held.messages = report::report(records, |_| days, days, &[])?.iter().map(|row| row.messages).sum();
        Ok(held)
    }

    /// What is held once so many events were taken in.
    fn expected(&self, taken: usize) -> Held {
        let mut held = Held { acts: vec![None; REGULARS], ..Held::default() };
        for event in 1..=taken {
            match self.events[event - 1] {
                Doing::Erase => held.ids.retain(|event| !self.is_visitors(*event)),
                Doing::Act(VISITOR) => drop(held.ids.insert(event)),
                Doing::Act(contact) => {
                    held.ids.insert(event);
                    held.acts[contact] = Some(self.at(event));
                }
                Doing::Send(_) => {
                    held.ids.insert(event);
                    held.messages += 1;
                }
            }
        }
        held
    }

    fn is_visitors(&self, event: usize) -> bool {
        matches!(self.events[event - 1], Doing::Act(VISITOR) | Doing::Send(VISITOR))
    }
}

/// What shows of the events that a store has taken in.
#[derive(Debug, Default, PartialEq)]
struct Held {
    /// The events whose ids are known.
    ids: BTreeSet<usize>,
    /// The last acts of those who are not erased.
    acts: Vec<Option<Timestamp>>,
    /// Messages counted; an erasure leaves the totals as they are.
    messages: i64,
}

fn id(event: usize) -> String {
    format!("event.{event}")
}

fn customer(contact: usize) -> Customer {
    Customer::parse(&format!("4477009001{contact:02}")).unwrap()
}
