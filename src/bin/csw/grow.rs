//! `csw grow`.

use clap::Args;

use csw::error::Error;
use csw::gate::config::StorePlace;
use csw::store::lmdb::LmdbStore;

use crate::Desk;
use crate::ending::{Done, Ended};
use crate::output::Facts;

/// Make room for a larger store. Stop every gateway that uses it first.
#[derive(Args)]
pub struct Grow {
    /// The new size in GiB; larger than now.
    gib: usize,
}

impl Grow {
    /// Grows the store's map.
    pub fn run(self, desk: &mut Desk) -> Ended {
        let StorePlace::Lmdb(path) = desk.config()?.store else {
            return Err(Error::invalid("the store is in memory; there is nothing to grow").into());
        };
        LmdbStore::grow(&path, self.gib)?;
        let (path, gib) = (path.display().to_string(), u64::try_from(self.gib).unwrap_or(u64::MAX));
        let facts = Facts::default().say("store", path.clone()).say("gib", gib);
        desk.output.sentence(&format!("{path} has room for {gib} GiB now"), &facts)?;
        Ok(Done::Yes)
    }
}
