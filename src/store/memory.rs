//! A store in memory: the reference for tests, and for trying things out. Nothing survives the process, and nothing is shared.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, PoisonError, RwLock};

use crate::error::Result;
use crate::store::{Read, Store, Table, Visit, Write};

type Tables = [BTreeMap<Vec<u8>, Vec<u8>>; Table::ALL.len()];
/// What a transaction has put, or deleted.
type Changes = [BTreeMap<Vec<u8>, Option<Vec<u8>>>; Table::ALL.len()];

/// Ordered maps. A transaction gathers its changes beside them; only its commit keeps readings out, for as long as it takes to put them in.
#[derive(Debug, Default)]
pub struct MemoryStore {
    writer: Mutex<()>,
    tables: RwLock<Tables>,
}

impl Store for MemoryStore {
    fn read(&self, work: &mut dyn FnMut(&dyn Read) -> Result<()>) -> Result<()> {
        work(&Snapshot(&self.tables.read().unwrap_or_else(PoisonError::into_inner)))
    }

    fn write(&self, work: &mut dyn FnMut(&mut dyn Write) -> Result<()>) -> Result<()> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = {
            let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
            let mut transaction = Transaction { tables: &tables, changes: Changes::default() };
            work(&mut transaction)?;
            transaction.changes
        };
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        for (table, changes) in tables.iter_mut().zip(changes) {
            for (key, change) in changes {
                match change {
                    Some(value) => table.insert(key, value),
                    None => table.remove(&key),
                };
            }
        }
        Ok(())
    }
}

struct Snapshot<'s>(&'s Tables);

impl Read for Snapshot<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>> {
        Ok(self.0[table.index()].get(key).map(|value| Cow::Borrowed(value.as_slice())))
    }

    fn scan(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<()> {
        for (key, value) in self.0[table.index()].range::<[u8], _>((Bound::Included(from), Bound::Unbounded)) {
            if !visit(key, value)? {
                break;
            }
        }
        Ok(())
    }

    fn last_key(&self, table: Table) -> Result<Option<Vec<u8>>> {
        Ok(self.0[table.index()].last_key_value().map(|(key, _)| key.clone()))
    }
}

struct Transaction<'t> {
    tables: &'t Tables,
    changes: Changes,
}

impl Read for Transaction<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>> {
        let value = match self.changes[table.index()].get(key) {
            Some(change) => change.as_ref(),
            None => self.tables[table.index()].get(key),
        };
        Ok(value.map(|value| Cow::Borrowed(value.as_slice())))
    }

    fn scan(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<()> {
        let range = (Bound::Included(from), Bound::Unbounded);
        let mut before = self.tables[table.index()].range::<[u8], _>(range).peekable();
        let mut changes = self.changes[table.index()].range::<[u8], _>(range).peekable();
        loop {
            let change_is_next = match (before.peek(), changes.peek()) {
                (None, None) => return Ok(()),
                (Some((old, _)), Some((new, _))) => new <= old,
                (_, change) => change.is_some(),
            };
            let entry = if change_is_next {
                changes.next().and_then(|(key, change)| {
                    before.next_if(|(old, _)| *old == key);
                    change.as_ref().map(|value| (key, value))
                })
            } else {
                before.next()
            };
            if let Some((key, value)) = entry
                && !visit(key, value)?
            {
                return Ok(());
            }
        }
    }

    fn last_key(&self, table: Table) -> Result<Option<Vec<u8>>> {
        let put = self.changes[table.index()].iter().rev().find(|(_, change)| change.is_some()).map(|(key, _)| key);
        let deleted = |key: &&Vec<u8>| self.changes[table.index()].get(*key).is_some_and(Option::is_none);
        let kept = self.tables[table.index()].keys().rev().find(|key| !deleted(key));
        Ok(put.max(kept).cloned())
    }
}

impl Write for Transaction<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<()> {
        self.changes[table.index()].insert(key.to_vec(), Some(value.to_vec()));
        Ok(())
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<()> {
        self.changes[table.index()].insert(key.to_vec(), None);
        Ok(())
    }
}
