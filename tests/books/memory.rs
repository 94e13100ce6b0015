//! Plays a history on the library's records in memory: a few facts to a transaction, as the recorder does, and now and
//! then one that is given up half-way and told again.

use std::path::Path;

use csw::error::{Code, Error};
use csw::gate::apply::Applying;
use csw::gate::config::Config;
use csw::gate::{inquiry, rates};
use csw::store::codec::Entry;
use csw::store::memory::MemoryStore;
use csw::store::{Records, RecordsMut, Store};
use csw::time::Timestamp;

use super::{Books, business, event, expected, ids, kept, settings};
use crate::model::history::Dice;
use crate::model::{self, Fact};

/// The books after a history. The seed decides about transactions and crashes.
///
/// # Errors
/// What must not happen, whatever the model says.
pub fn books(seed: u64, config: &model::Config, facts: &[Fact]) -> Result<Books, String> {
    let world = World { store: MemoryStore::default(), config: config_of(config) };
    world.write(&mut |records| expected::cards().iter().try_for_each(|card| rates::import(records, card)))?;
    let mut dice = Dice(seed);
    world.tell(&mut dice, facts)?;
    let entries = world.ledger()?;
    world.tell(&mut dice, facts)?;
    let again = world.ledger()?;
    if again.len() != entries.len() {
        return Err(format!("told again, it is not the same: {:#?}", &again[entries.len()..]));
    }
    let audit = world.read(|records| inquiry::audit(records, &mut |_| {}))?;
    if audit.wrong > 0 || audit.entries != entries.len() as u64 {
        return Err(format!("the totals are not those of the ledger: {audit:?}"));
    }
    kept::books(&entries, &world.read(|records| ids(records, facts))?)
}

fn config_of(config: &model::Config) -> Config {
    Config::parse(&settings(config), Path::new(".")).unwrap()
}

struct World {
    store: MemoryStore,
    config: Config,
}

impl World {
    fn tell(&self, dice: &mut Dice, facts: &[Fact]) -> Result<(), String> {
        let mut rest = facts;
        while !rest.is_empty() {
            let (group, later) = rest.split_at(rest.len().min(dice.one_of(&[1, 1, 2, 3, 8])));
            rest = later;
            if dice.chance(20) {
                let crash = Error::new(Code::Store, "a crash");
                let applied = dice.below(1 + group.len() as i64) as usize;
                let crashed = self.write(&mut |records| {
                    self.apply(records, &group[..applied])?;
                    Err(crash.clone())
                });
                assert!(crashed.is_err());
            }
            self.write(&mut |records| self.apply(records, group))?;
        }
        Ok(())
    }

    fn apply(&self, records: &mut RecordsMut<'_>, facts: &[Fact]) -> csw::error::Result<()> {
        let now = Timestamp::from_seconds(1_900_000_000);
        facts.iter().try_for_each(|fact| {
            let policy = self.config.policy(business(fact.contact()));
            Applying { records, policy, fold_numbers: true, now }.event(&event(fact)).map(drop)
        })
    }

    fn write(&self, work: &mut dyn FnMut(&mut RecordsMut<'_>) -> csw::error::Result<()>) -> Result<(), String> {
        let written = self.store.write(&mut |transaction| work(&mut RecordsMut::new(transaction)));
        written.map_err(|error| error.to_string())
    }

    fn read<T>(&self, work: impl Fn(Records<'_>) -> csw::error::Result<T>) -> Result<T, String> {
        let mut answer = None;
        let read = self.store.read(&mut |snapshot| {
            answer = Some(work(Records(snapshot))?);
            Ok(())
        });
        read.map_err(|error| error.to_string())?;
        answer.ok_or_else(|| "nothing was read".into())
    }

    fn ledger(&self) -> Result<Vec<Entry>, String> {
        self.read(|records| {
            let mut entries = Vec::new();
            records.each_entry(0, &mut |_, entry| {
                entries.push(entry);
                Ok(true)
            })?;
            Ok(entries)
        })
    }
}
