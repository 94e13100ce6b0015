//! The stores that this process has open: each once, with its recorder and its reader.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use once_cell::sync::{Lazy, OnceCell};

use super::config::{Config, Durability, StorePlace};
use super::metrics::Metrics;
use super::reader::Reader;
use super::recorder::Recorder;
use crate::error::{Code, Error, Result};
use crate::store::Store;
use crate::store::lmdb::LmdbStore;
use crate::store::memory::MemoryStore;

/// A store and its recorder, one for each place and process.
pub(super) struct Running {
    pub(super) generation: u64,
    // Dropped first: reader and recorder let go of the store.
    pub(super) reader: OnceCell<Reader>,
    pub(super) recorder: Recorder,
    pub(super) metrics: Arc<Metrics>,
    pub(super) store: Arc<dyn Store>,
}

/// The stores of this process by their canonical paths: LMDB must not be opened twice in one process.
pub(super) static OPEN: Lazy<Mutex<HashMap<PathBuf, Weak<Running>>>> = Lazy::new(Mutex::default);

impl Running {
    pub(super) fn of(config: &Config, generation: u64) -> Result<Arc<Running>> {
        let path = match &config.store {
            StorePlace::Memory => return Self::start(Arc::new(MemoryStore::default()), config, generation),
            StorePlace::Lmdb(path) => path,
        };
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |open: &HashMap<PathBuf, Weak<Running>>| {
            std::fs::canonicalize(path).ok().and_then(|path| open.get(&path)?.upgrade())
        };
        match known(&open) {
            Some(running) if running.generation == generation => return Ok(running),
            Some(parents) => {
                std::mem::forget(parents);
                return Err(forked());
            }
            None => {}
        }
        let running = Self::start(
            Arc::new(LmdbStore::open(path, config.durability == Durability::Relaxed)?),
            config,
            generation,
        )?;
        open.insert(std::fs::canonicalize(path).unwrap_or_else(|_| path.clone()), Arc::downgrade(&running));
        Ok(running)
    }

    fn start(store: Arc<dyn Store>, config: &Config, generation: u64) -> Result<Arc<Running>> {
        let folder = match &config.store {
            StorePlace::Lmdb(path) => Some(path.as_path()),
            StorePlace::Memory => None,
        };
        let metrics = Arc::new(Metrics::open(folder));
        let recorder = Recorder::start(Arc::clone(&store), Arc::clone(&metrics), config.retention)?;
        Ok(Arc::new(Running { generation, reader: OnceCell::new(), recorder, metrics, store }))
    }
}

pub(super) fn forked() -> Error {
    Error::new(
        Code::Forked,
        "the store was used before this process was forked; use it first after the fork (nginx: init_worker_by_lua, not init_by_lua)",
    )
}
