//! Where the facts are kept: ordered tables of bytes, read in snapshots and written in transactions.
//!
//! A [`Store`] knows bytes; what they mean is said once, in [`codec`] and in the accessors of [`Records`]. The contract, which one suite of
//! tests holds every store to:
//!
//! - A transaction becomes visible whole when it commits, and not at all when its work or its commit fails.
//! - A reading sees one committed state from its first question to its end and never waits for a writer. Hints are of the newest state.
//! - What was committed is there after a crash of the process; after a loss of power as well, unless durability was relaxed.
//! - Keys are ordered as bytes; a scan goes upwards.

pub mod codec;
mod folder;
mod hints;
pub mod lmdb;
pub mod memory;
mod records;
mod records_mut;

use std::borrow::Cow;

use crate::error::Result;
use crate::rules::contact::Hint;

pub use records::{Found, Records};
pub use records_mut::{Posted, RecordsMut};

/// The tables of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// The format version.
    Meta,
    /// Contacts by business and customer, and the other names that lead to them.
    Contacts,
    /// Message ids by contact.
    Messages,
    /// The contact that an outbound message id belongs to.
    Ids,
    /// The ledger by its sequence.
    Ledger,
    /// Counts of ledger lines by day.
    Totals,
    /// Service messages delivered, by number and month.
    Tiers,
    /// Templates by business account.
    Templates,
    /// Business numbers: their accounts and display numbers.
    Numbers,
    /// Rate cards: the days of each currency's, and their rates.
    Rates,
    /// Messages charged, by month, currency, market and category.
    Volumes,
    /// The customers of the ledger.
    Persons,
    /// Parked messages by contact, in the order in which they were parked.
    Parked,
    /// Bodies of accepted sends, by message id, until their delivery is heard of.
    Kept,
    /// What a gateway has to do outside of requests, by the time from which it may be done.
    Due,
}

impl Table {
    /// Every table, in the order of [`Table::index`].
    pub const ALL: [Table; 15] = [
        Table::Meta,
        Table::Contacts,
        Table::Messages,
        Table::Ids,
        Table::Ledger,
        Table::Totals,
        Table::Tiers,
        Table::Templates,
        Table::Numbers,
        Table::Rates,
        Table::Volumes,
        Table::Persons,
        Table::Parked,
        Table::Kept,
        Table::Due,
    ];

    /// The table's place in [`Table::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// The table's name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Table::Meta => "meta",
            Table::Contacts => "contacts",
            Table::Messages => "messages",
            Table::Ids => "ids",
            Table::Ledger => "ledger",
            Table::Totals => "totals",
            Table::Tiers => "tiers",
            Table::Templates => "templates",
            Table::Numbers => "numbers",
            Table::Rates => "rates",
            Table::Volumes => "volumes",
            Table::Persons => "persons",
            Table::Parked => "parked",
            Table::Kept => "kept",
            Table::Due => "due",
        }
    }
}

/// Looks at each entry of a scan; `false` ends it.
pub type Visit<'v> = dyn FnMut(&[u8], &[u8]) -> Result<bool> + 'v;

/// One committed state of the store.
pub trait Read {
    /// The value of a key.
    ///
    /// # Errors
    /// `Store` when it cannot be read.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>>;

    /// Visits the entries from a key on, upwards.
    ///
    /// # Errors
    /// `Store` when they cannot be read, and what the visitor returns.
    fn scan(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<()>;

    /// The highest key of a table.
    ///
    /// # Errors
    /// `Store` when it cannot be read.
    fn last_key(&self, table: Table) -> Result<Option<Vec<u8>>>;

    /// What is known of a contact, by its key, without a reading: the state after the newest commit, or nothing. `meanwhile` is done while memory is
    /// asked, or not at all.
    fn hint(&self, _key: &[u8], _meanwhile: &mut dyn FnMut()) -> Option<Hint> {
        None
    }

    /// Says what was found under a contact's key, for [`Read::hint`] to answer with from now on.
    fn found(&self, _key: &[u8], _hint: Hint) {}
}

/// A transaction: sees its own writes, and nothing of it is seen before it commits.
pub trait Write: Read {
    /// Sets the value of a key.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<()>;

    /// Removes a key, if it is there.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    fn delete(&mut self, table: Table, key: &[u8]) -> Result<()>;
}

/// How much room a store takes and has, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// What it takes.
    pub used: u64,
    /// What it can hold at most.
    pub limit: u64,
    /// What is free on its disk.
    pub free_on_disk: u64,
}

/// A store; see the module for its contract.
pub trait Store: Send + Sync {
    /// Reads from one committed state. Do not nest.
    ///
    /// # Errors
    /// `Store` when it cannot be read, and what the work returns.
    fn read(&self, work: &mut dyn FnMut(&dyn Read) -> Result<()>) -> Result<()>;

    /// Runs one transaction and commits it; rolls back when the work fails. May wait for other writers.
    ///
    /// # Errors
    /// What the work returns, or `Store` when the commit fails; nothing was changed then.
    fn write(&self, work: &mut dyn FnMut(&mut dyn Write) -> Result<()>) -> Result<()>;

    /// How much room the store takes and has; `None` where that is not limited by it.
    ///
    /// # Errors
    /// `Store` when it cannot be told.
    fn usage(&self) -> Result<Option<Usage>> {
        Ok(None)
    }

    /// Gives back what dead processes still hold. Called now and then.
    ///
    /// # Errors
    /// `Store` when that fails; the store goes on all the same.
    fn tidy(&self) -> Result<()> {
        Ok(())
    }
}
