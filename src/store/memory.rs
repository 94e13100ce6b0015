//! A store in memory: the reference for tests, and for trying things out. Nothing survives the process, and nothing is shared.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock};

use crate::error::Result;
use crate::store::{Read, Store, Table, Visit, Write};

type Tables = [BTreeMap<Vec<u8>, Vec<u8>>; Table::ALL.len()];

/// Ordered maps behind one lock.
#[derive(Debug, Default)]
pub struct MemoryStore {
    tables: RwLock<Tables>,
}

impl Store for MemoryStore {
    fn read(&self, work: &mut dyn FnMut(&dyn Read) -> Result<()>) -> Result<()> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        work(&Snapshot(&tables))
    }

    fn write(&self, work: &mut dyn FnMut(&mut dyn Write) -> Result<()>) -> Result<()> {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        let mut transaction = Transaction { tables: &mut tables, undo: Vec::new() };
        work(&mut transaction)?;
        transaction.undo.clear();
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

/// Remembers what it replaced and puts it back when it is dropped uncommitted, also by a panic.
struct Transaction<'t> {
    tables: &'t mut Tables,
    undo: Vec<(Table, Vec<u8>, Option<Vec<u8>>)>,
}

impl Read for Transaction<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>> {
        Ok(self.tables[table.index()].get(key).map(|value| Cow::Borrowed(value.as_slice())))
    }

    fn scan(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<()> {
        Snapshot(self.tables).scan(table, from, visit)
    }

    fn last_key(&self, table: Table) -> Result<Option<Vec<u8>>> {
        Snapshot(self.tables).last_key(table)
    }
}

impl Write for Transaction<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<()> {
        let before = self.tables[table.index()].insert(key.to_vec(), value.to_vec());
        self.undo.push((table, key.to_vec(), before));
        Ok(())
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<()> {
        let before = self.tables[table.index()].remove(key);
        self.undo.push((table, key.to_vec(), before));
        Ok(())
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        for (table, key, before) in self.undo.drain(..).rev() {
            match before {
                Some(value) => self.tables[table.index()].insert(key, value),
                None => self.tables[table.index()].remove(&key),
            };
        }
    }
}
