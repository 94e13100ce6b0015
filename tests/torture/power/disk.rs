//! What a disk may hold of a file when the power is lost: what was synced, and of what was written since any part.
//!
//! A write reaches the disk in sectors, in any order, or not at all. A file's length is ordered with the file's syncs, as what is written to it.

use super::recording::Step;
use crate::support::Chance;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// A change of the file that may not be on the disk yet.
#[derive(Debug, Clone)]
pub enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Grow(usize),
    Cut(usize),
}

/// A file: its bytes as far as any were written, and its length.
#[derive(Clone, Default)]
pub struct Image {
    pub bytes: Vec<u8>,
    pub length: usize,
}

impl Change {
    fn apply(&self, image: &mut Image) {
        match self {
            Change::Write { at, bytes } => {
                let end = at + bytes.len();
                image.bytes.resize(image.bytes.len().max(end), 0);
                image.bytes[*at..end].copy_from_slice(bytes);
                image.length = image.length.max(end);
            }
            Change::Grow(length) => image.length = image.length.max(*length),
            Change::Cut(length) => {
                image.bytes.truncate(*length);
                image.length = *length;
            }
        }
    }

    /// The sectors that it writes, each as a change of its own. What does not write is one of itself.
    fn sectors(&self) -> Vec<Change> {
        let Change::Write { at, bytes } = self else { return vec![self.clone()] };
        let mut sectors = Vec::new();
        let (mut from, end) = (*at, at + bytes.len());
        while from < end {
            let to = ((from / SECTOR + 1) * SECTOR).min(end);
            sectors.push(Change::Write { at: from, bytes: bytes[from - at..to - at].to_vec() });
            from = to;
        }
        sectors
    }
}

/// The file on its disk.
#[derive(Default)]
pub struct Disk {
    synced: Image,
    unsynced: Vec<Change>,
}

/// How many of the possible losses are tried.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Prefixes of the unsynced changes, and changes left out: this many of each, spread evenly.
    pub each: usize,
    /// Whether the last change of each prefix is torn, or that of the whole alone.
    pub tears_all: bool,
    /// Random subsets of changes, and as many of sectors.
    pub subsets: usize,
}

impl Disk {
    /// Takes in a step. Where it is a sync, `lost` is first told of each file that may be left when the power is lost on the way to it.
    pub fn take(
        &mut self,
        step: &Step,
        effort: Effort,
        chance: &mut Chance,
        lost: &mut dyn FnMut(&Image, &dyn Fn() -> String),
    ) {
        match step {
            Step::Write { at, bytes, is_synced } => {
                let write = Change::Write { at: *at, bytes: bytes.clone() };
                self.unsynced.push(write);
                if *is_synced {
                    self.lose(effort, chance, lost);
                    let write = self.unsynced.pop();
                    write.into_iter().for_each(|write| write.apply(&mut self.synced));
                }
            }
            Step::Grow(length) => self.unsynced.push(Change::Grow(*length)),
            Step::Cut(length) => self.unsynced.push(Change::Cut(*length)),
            Step::Sync => {
                self.lose(effort, chance, lost);
                self.unsynced.drain(..).for_each(|change| change.apply(&mut self.synced));
            }
            Step::Named | Step::FolderSync | Step::Submitting(_) | Step::Acknowledged(_) => {}
        }
    }

    /// The file as the process sees it.
    pub fn file(&self) -> Vec<u8> {
        let Image { mut bytes, length } = self.with(&self.unsynced);
        bytes.resize(length, 0);
        bytes
    }

    fn with(&self, changes: &[Change]) -> Image {
        let mut image = self.synced.clone();
        changes.iter().for_each(|change| change.apply(&mut image));
        image
    }

    /// Each file that may be left of what is not synced.
    pub fn lose(&self, effort: Effort, chance: &mut Chance, lost: &mut dyn FnMut(&Image, &dyn Fn() -> String)) {
        let (changes, count) = (&self.unsynced, self.unsynced.len());
        for length in spread(count + 1, effort.each) {
            lost(&self.with(&changes[..length]), &|| format!("the first {length} of {count} writes"));
        }
        for without in spread(count, effort.each) {
            let left: Vec<Change> = [&changes[..without], &changes[without + 1..]].concat();
            lost(&self.with(&left), &|| format!("{count} writes without number {without}"));
        }
        for torn in if effort.tears_all { 0..count } else { count.saturating_sub(1)..count } {
            let sectors = changes[torn].sectors();
            for border in 1..sectors.len() {
                let left = [&changes[..torn], &sectors[..border]].concat();
                lost(&self.with(&left), &|| format!("{torn} of {count} writes and {border} sectors of the next"));
            }
        }
        let sectors: Vec<Change> = changes.iter().flat_map(Change::sectors).collect();
        for subset in 0..effort.subsets {
            for (parts, name) in [(changes, "writes"), (&sectors, "sectors")] {
                let left: Vec<Change> = parts.iter().filter(|_| chance.one_in(2)).cloned().collect();
                lost(&self.with(&left), &|| format!("subset {subset}: {} of {} {name}", left.len(), parts.len()));
            }
        }
    }
}

/// So many of the numbers below another, evenly spread; the last one among them.
fn spread(end: usize, most: usize) -> impl Iterator<Item = usize> {
    let step = end.div_ceil(most.max(1)).max(1);
    (0..end).rev().step_by(step)
}
