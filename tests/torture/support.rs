//! What the torture tests share: short and long forms, seeded chance, and processes of the test's own.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

#[path = "../support/mod.rs"]
mod gates;

pub use gates::*;

/// The one in the long form (`CSW_TORTURE=long`), the other in the short form.
pub fn long_or_short<T>(long: T, short: T) -> T {
    if std::env::var_os("CSW_TORTURE").is_some_and(|form| form == "long") { long } else { short }
}

/// A folder in memory where the host has one, so that the tests torture csw and not the disk.
pub fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// This test binary, to run one of its tests in a process of its own, which finds its task in the environment.
pub fn another_process(test: &str, task: &Path) -> Command {
    let mut process = Command::new(std::env::current_exe().unwrap());
    process.args(["--exact", test, "--quiet", "--nocapture"]).env("CSW_TORTURE_TASK", task);
    process
}

/// The task of such a process.
pub fn task() -> Option<std::path::PathBuf> {
    std::env::var_os("CSW_TORTURE_TASK").map(Into::into)
}

/// The seed of a run: `CSW_TORTURE_SEED`, to repeat one, else the clock's.
pub fn seed() -> u64 {
    let given = std::env::var("CSW_TORTURE_SEED").ok().map(|seed| seed.parse().expect("CSW_TORTURE_SEED is a number"));
    given.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64)
}

/// Chance that a seed decides (splitmix64).
pub struct Chance(u64);

impl Chance {
    pub fn of(seed: u64) -> Self {
        Chance(seed)
    }

    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below another.
    pub fn below(&mut self, end: usize) -> usize {
        (self.number() % end as u64) as usize
    }

    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}
