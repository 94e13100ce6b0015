//! Hints: what a window depends on, of most contacts, in memory that all processes of the host share, so that a question about them needs no
//! reading of the store. The store stays the truth, and the file can be deleted at any time.
//!
//! A slot holds a keyed fingerprint of a contact's key and the contact's last act: a fact, never a verdict. Why it is never stale:
//!
//! - Every transaction goes through the table that the store itself names. One that finds another table named than it has mapped takes that one, or
//!   names a new one, in a commit of its own.
//! - Before it changes anything, a transaction writes its number to `begun`. Before it commits, it marks the slots of all contacts that it writes: a
//!   marked slot says nothing. After the commit it sets them, each unless somebody has marked it again meanwhile.
//! - A reader takes a slot at its word only while the newest commit is `begun` or the one before it. A table that was replaced, or lies beside an
//!   older copy of the store, falls behind and says nothing.
//! - What a reader has found in the store itself it may offer to the table; that is taken only while no transaction has begun since.
//! - Nothing of it outlives a boot: what the system had not written back before a loss of power would be missing.

use std::fs::{self, File, OpenOptions, Permissions};
use std::hash::Hasher as _;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::rules::contact::Hint;
use crate::time::Timestamp;

/// The file in a store's folder.
pub const HINTS_FILE: &str = "csw.hints";
/// What the file begins with; another word for another layout.
const MAGIC: u64 = u64::from_le_bytes(*b"csw hnt1");
/// The head has the file's first page to itself.
const HEAD: usize = 4096;
/// Where in the head the number of the transaction that was begun last stands, in a line of the cache of its own.
const BEGUN_AT: usize = 1024;
/// Two lines of the processor's cache, which are fetched together.
const BUCKET: usize = 128;
const SLOTS: usize = BUCKET / size_of::<Slot>();
/// Contacts for each bucket of a new table, and those from which on it is too small.
const FILL: u64 = 2;
const FILL_MAX: u64 = 3;
/// The smallest table: one megabyte.
const BUCKETS_MIN: u64 = 8192;

/// A table's name: the store holds the name of the one that is in use. It is the key of the fingerprints, too.
pub type Name = [u8; 16];

/// A slot: a word that changes in one piece, and a fingerprint that is valid with that word's version alone.
#[repr(C)]
struct Slot {
    word: AtomicU64,
    print: [AtomicU64; 2],
}

type Print = [u64; 2];

/// A slot's word. From below: 42 bits of the act's milliseconds, 20 bits of version, whether the act is all, and whether it is a hint at all.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Word(u64);

impl Word {
    const ACT: u32 = 42;
    const VERSION: u64 = (1 << 20) - 1;
    const IS_ALL: u64 = 1 << 62;
    const IS_HINT: u64 = 1 << 63;

    fn marked(version: u64) -> Self {
        Word((version & Self::VERSION) << Self::ACT)
    }

    /// `None` for a time that finds no room, such as one before 1970.
    fn of(version: u64, hint: Hint) -> Option<Self> {
        let act = u64::try_from(hint.last_act.millis()).ok().filter(|act| act >> Self::ACT == 0)?;
        Some(Word(Self::marked(version).0 | act | Self::IS_HINT | if hint.is_all { Self::IS_ALL } else { 0 }))
    }

    fn version(self) -> u64 {
        self.0 >> Self::ACT & Self::VERSION
    }

    fn hint(self) -> Option<Hint> {
        (self.0 & Self::IS_HINT != 0).then(|| Hint {
            last_act: Timestamp::from_millis((self.0 & ((1 << Self::ACT) - 1)) as i64),
            is_all: self.0 & Self::IS_ALL != 0,
        })
    }

    /// What may be given up first: what says nothing, then the oldest act.
    fn worth(self) -> u64 {
        self.hint().map_or(0, |_| 1 + (self.0 & ((1 << Self::ACT) - 1)))
    }
}

impl Slot {
    fn word(&self, order: Ordering) -> Word {
        Word(self.word.load(order))
    }

    /// Fingerprints are stored mixed with the version, so that those of a slot's former owner, written late, match nothing.
    fn holds(&self, print: Print, version: u64) -> bool {
        let [low, high] = &self.print;
        let [mixed_low, mixed_high] = mixed(print, version);
        low.load(Ordering::Relaxed) == mixed_low && high.load(Ordering::Relaxed) == mixed_high
    }

    /// Takes the slot from whoever has it: the version that is now ours; `None` where somebody was faster.
    fn take(&self, word: Word, print: Print) -> Option<u64> {
        let version = (word.version() + 1) & Word::VERSION;
        let marked = Word::marked(version).0;
        self.word.compare_exchange(word.0, marked, Ordering::SeqCst, Ordering::Relaxed).ok()?;
        for (place, half) in self.print.iter().zip(mixed(print, version)) {
            place.store(half, Ordering::Release);
        }
        Some(version)
    }

    /// Says something of whoever has the slot by that version, if they still have it.
    fn set(&self, version: u64, hint: Hint) {
        if let Some(word) = Word::of(version, hint) {
            let marked = Word::marked(version).0;
            let _ = self.word.compare_exchange(marked, word.0, Ordering::SeqCst, Ordering::Relaxed);
        }
    }
}

fn mixed([low, high]: Print, version: u64) -> Print {
    let mix = version.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    [low ^ mix, high ^ mix]
}

/// A slot that a transaction has marked, to be set once it has committed.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    bucket: usize,
    slot: usize,
    version: u64,
    hint: Hint,
}

/// A table that this process has mapped.
pub struct Hints {
    map: NonNull<u8>,
    length: usize,
    buckets: u64,
    name: Name,
}

// SAFETY: the map is shared memory that is only ever touched through atomics, but for the head's constants, which were written before it was mapped.
unsafe impl Send for Hints {}
// SAFETY: as above.
unsafe impl Sync for Hints {}

impl Drop for Hints {
    fn drop(&mut self) {
        // SAFETY: mapped by `map`, with that length; nobody else knows it.
        unsafe { libc::munmap(self.map.as_ptr().cast(), self.length) };
    }
}

impl Hints {
    /// Maps the table of that name, if it is there and of this boot.
    pub fn open(folder: &Path, name: Name) -> Option<Self> {
        let file = OpenOptions::new().read(true).write(true).open(folder.join(HINTS_FILE)).ok()?;
        let mut head = [0; Head::SIZE];
        file.read_exact_at(&mut head, 0).ok()?;
        let buckets = u64::from_le_bytes(*head[8..].first_chunk()?);
        let is_ours = head == Head { name, boot: boot().ok()?, buckets }.bytes();
        // A file that was cut short would end the process where it is touched.
        let is_whole = file.metadata().ok()?.len() == length(buckets) as u64;
        if is_ours && is_whole { Self::map(&file, buckets, name).ok() } else { None }
    }

    /// Makes a table for so many contacts in place of the one that is there. Only the holder of the store's lock may. `room` is what the disk has left.
    ///
    /// # Errors
    /// What the system says when nothing can be made or mapped; `StorageFull` when it would take more than half of the room: the store needs it more.
    pub fn make(folder: &Path, contacts: u64, room: u64) -> io::Result<Self> {
        let buckets = (contacts / FILL).max(BUCKETS_MIN);
        if length(buckets) as u64 > room / 2 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let new = folder.join(format!("{HINTS_FILE}.new"));
        let made = Self::made(&new, buckets);
        let placed = made.and_then(|table| fs::rename(&new, folder.join(HINTS_FILE)).map(|()| table));
        placed.inspect_err(|_| drop(fs::remove_file(&new)))
    }

    fn made(path: &Path, buckets: u64) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o660).open(path)?;
        // Whatever the umask was: the folder decides who reaches the file.
        file.set_permissions(Permissions::from_mode(0o660))?;
        // All its room at once: touching a page that the disk has no room for would end the process.
        // SAFETY: takes no pointer.
        if unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, length(buckets) as libc::off_t) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let head = Head { name: random()?, boot: boot()?, buckets };
        file.write_all(&head.bytes())?;
        Self::map(&file, buckets, head.name)
    }

    fn map(file: &File, buckets: u64, name: Name) -> io::Result<Self> {
        let length = length(buckets);
        // SAFETY: a fresh mapping of a file that is that long; it is unmapped when this is dropped.
        let map = unsafe {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let map = libc::mmap(std::ptr::null_mut(), length, access, libc::MAP_SHARED, file.as_raw_fd(), 0);
            // Where the file system can, in large pages: nearly every question touches a page of its own.
            libc::madvise(map, length, libc::MADV_HUGEPAGE);
            map
        };
        match NonNull::new(map.cast()) {
            Some(start) if map != libc::MAP_FAILED => Ok(Hints { map: start, length, buckets, name }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// The table's name.
    pub fn name(&self) -> Name {
        self.name
    }

    /// Whether it is large enough for so many contacts.
    pub fn has_room(&self, contacts: u64) -> bool {
        contacts <= self.buckets * FILL_MAX
    }

    /// Begins a transaction, by its number; false where the table has not seen all commits before it.
    pub fn begin(&self, transaction: u64) -> bool {
        let begun = self.begun().load(Ordering::SeqCst);
        // A fresh table has seen nothing, and holds nothing. One that was begun before and not committed gave its number to this one.
        let is_complete = begun == 0 || begun == transaction || begun + 1 == transaction;
        if is_complete {
            self.begun().store(transaction, Ordering::SeqCst);
            fence(Ordering::SeqCst);
        }
        is_complete
    }

    /// Ends a transaction that commits nothing, before its lock is let go. What it has marked says nothing until it is written, or offered, again.
    pub fn give_up(&self, transaction: u64) {
        self.begun().store(transaction - 1, Ordering::SeqCst);
    }

    /// What is known of a contact. `meanwhile` is done while memory is asked. `newest` says the number of the store's newest commit; it is asked after
    /// the slot was read.
    pub fn get(&self, key: &[u8], meanwhile: impl FnOnce(), newest: impl FnOnce() -> u64) -> Option<Hint> {
        let (print, bucket) = self.place(key);
        fetch(self.bucket(bucket));
        meanwhile();
        let found = self.bucket(bucket).iter().find_map(|slot| {
            let word = slot.word(Ordering::Acquire);
            word.hint().filter(|_| slot.holds(print, word.version()))
        })?;
        fence(Ordering::Acquire);
        let newest = newest();
        let begun = self.begun().load(Ordering::SeqCst);
        (begun == newest || begun == newest + 1).then_some(found)
    }

    /// Marks a contact that a transaction writes: nothing is said of it any more. With a hint it gets a slot, which that one is set in afterwards; of
    /// one without, such as one that is erased, not even the fingerprint stays.
    pub fn mark(&self, key: &[u8], hint: Option<Hint>) -> Option<Mark> {
        let (print, bucket) = self.place(key);
        let kept = hint.map_or(Print::default(), |_| print);
        let mut own = None;
        for (index, slot) in self.bucket(bucket).iter().enumerate() {
            while let word = slot.word(Ordering::SeqCst)
                && slot.holds(print, word.version())
            {
                if let Some(version) = slot.take(word, kept) {
                    own = Some((index, version));
                    break;
                }
            }
        }
        let hint = hint?;
        let (slot, version) = own.or_else(|| self.take_any(print, bucket))?;
        Some(Mark { bucket, slot, version, hint })
    }

    /// Sets what a committed transaction has marked.
    pub fn set(&self, mark: &Mark) {
        self.bucket(mark.bucket)[mark.slot].set(mark.version, mark.hint);
    }

    /// Takes in what a reader has found in the state after a commit, if no transaction has begun since.
    pub fn offer(&self, key: &[u8], hint: Hint, commit: u64) {
        if self.begun().load(Ordering::Relaxed) != commit {
            return;
        }
        let (print, bucket) = self.place(key);
        let slots = self.bucket(bucket);
        let words = slots.iter().map(|slot| slot.word(Ordering::Acquire)).enumerate();
        let own = words.into_iter().find(|(index, word)| slots[*index].holds(print, word.version()));
        let taken = match own {
            Some((_, word)) if word.hint().is_some() => return,
            Some((index, word)) => slots[index].take(word, print).map(|version| (index, version)),
            None => self.take_any(print, bucket),
        };
        let Some((index, version)) = taken else { return };
        // Either a writer sees the slot, or it is seen here that one has begun.
        fence(Ordering::SeqCst);
        if self.begun().load(Ordering::SeqCst) == commit {
            slots[index].set(version, hint);
        }
    }

    /// Takes the slot of least worth in a bucket.
    fn take_any(&self, print: Print, bucket: usize) -> Option<(usize, u64)> {
        let words = self.bucket(bucket).iter().map(|slot| slot.word(Ordering::Relaxed)).enumerate();
        let (index, word) = words.min_by_key(|(_, word)| word.worth())?;
        Some((index, self.bucket(bucket)[index].take(word, print)?))
    }

    /// A key's fingerprint, and the bucket that it may be in.
    fn place(&self, key: &[u8]) -> (Print, usize) {
        let mut hasher = SipHasher13::new_with_key(&self.name);
        hasher.write(key);
        let hash = hasher.finish128();
        ([hash.h1, hash.h2], ((u128::from(hash.h1) * u128::from(self.buckets)) >> 64) as usize)
    }

    fn begun(&self) -> &AtomicU64 {
        // SAFETY: within the head, aligned, only ever touched as this atomic.
        unsafe { self.map.add(BEGUN_AT).cast().as_ref() }
    }

    fn bucket(&self, bucket: usize) -> &[Slot; SLOTS] {
        // SAFETY: `place` stays below `buckets`, so it lies within the map; aligned to 128; whatever bytes are there are valid slots.
        unsafe { self.map.add(HEAD + bucket * BUCKET).cast().as_ref() }
    }
}

/// Asks memory for a bucket, and does not wait for it.
fn fetch(bucket: &[Slot; SLOTS]) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint to the processor, about memory that is there.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch(std::ptr::from_ref(bucket).cast(), _MM_HINT_T0);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bucket;
}

/// What a file must begin with.
struct Head {
    name: Name,
    boot: [u8; 36],
    buckets: u64,
}

impl Head {
    const SIZE: usize = 8 + 8 + 16 + 36;

    fn bytes(&self) -> [u8; Head::SIZE] {
        let mut bytes = [0; Head::SIZE];
        bytes[..8].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.buckets.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.name);
        bytes[32..].copy_from_slice(&self.boot);
        bytes
    }
}

fn length(buckets: u64) -> usize {
    HEAD + buckets as usize * BUCKET
}

/// The system's name for the time since it was started.
fn boot() -> io::Result<[u8; 36]> {
    let mut name = [0; 36];
    File::open("/proc/sys/kernel/random/boot_id")?.read_exact(&mut name)?;
    Ok(name)
}

fn random() -> io::Result<Name> {
    let mut name = Name::default();
    File::open("/dev/urandom")?.read_exact(&mut name)?;
    Ok(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::{Arc, Mutex};
    use std::thread;

    use super::*;

    const KEY: &[u8] = b"a contact";

    fn act(millis: i64) -> Hint {
        Hint { last_act: Timestamp::from_millis(millis), is_all: true }
    }

    fn table() -> (tempfile::TempDir, Hints) {
        let folder = tempfile::tempdir().unwrap();
        let table = Hints::make(folder.path(), 0, u64::MAX).unwrap();
        (folder, table)
    }

    /// A transaction that writes one contact and commits.
    fn commit(table: &Hints, transaction: u64, key: &[u8], hint: Option<Hint>) {
        assert!(table.begin(transaction));
        let mark = table.mark(key, hint);
        assert_eq!(mark.is_some(), hint.is_some());
        mark.iter().for_each(|mark| table.set(mark));
    }

    #[test]
    fn what_a_transaction_wrote_is_said_once_it_has_committed() {
        let (_folder, table) = table();
        assert!(table.begin(1));
        let mark = table.mark(KEY, Some(act(1000))).unwrap();
        assert_eq!(table.get(KEY, || (), || 0), None);
        table.set(&mark);
        assert_eq!(table.get(KEY, || (), || 1), Some(act(1000)));
        assert_eq!(table.get(b"another", || (), || 1), None);
        commit(&table, 2, KEY, Some(Hint { is_all: false, ..act(2000) }));
        assert_eq!(table.get(KEY, || (), || 2), Some(Hint { is_all: false, ..act(2000) }));
    }

    #[test]
    fn a_contact_that_has_no_hint_any_more_says_nothing() {
        let (_folder, table) = table();
        commit(&table, 1, KEY, Some(act(1000)));
        commit(&table, 2, KEY, None);
        assert_eq!(table.get(KEY, || (), || 2), None);
        let (print, bucket) = table.place(KEY);
        let versions = 0..=Word::VERSION;
        let holds = |slot: &Slot| versions.clone().any(|version| slot.holds(print, version));
        assert!(!table.bucket(bucket).iter().any(holds), "its fingerprint is gone, too");
    }

    #[test]
    fn a_transaction_that_sets_late_does_not_undo_the_mark_of_the_next() {
        let (_folder, table) = table();
        assert!(table.begin(1));
        let late = table.mark(KEY, Some(act(1000))).unwrap();
        assert!(table.begin(2));
        assert!(table.mark(KEY, None).is_none());
        table.set(&late);
        assert_eq!(table.get(KEY, || (), || 2), None);
    }

    #[test]
    fn a_table_that_has_missed_a_commit_says_nothing_and_takes_no_other() {
        let (_folder, table) = table();
        commit(&table, 7, KEY, Some(act(1000)));
        for (newest, says) in [(6, true), (7, true), (5, false), (8, false), (100, false)] {
            assert_eq!(table.get(KEY, || (), || newest).is_some(), says, "after commit {newest}");
        }
        assert!(!table.begin(9));
        assert!(table.begin(8), "the next one");
        assert!(table.begin(8), "of one that died the number is taken again");
        table.give_up(8);
        assert_eq!(table.get(KEY, || (), || 7), Some(act(1000)));
        assert!(table.begin(8));
    }

    #[test]
    fn an_offer_is_taken_only_while_no_transaction_has_begun_since() {
        let (_folder, table) = table();
        assert!(table.begin(1));
        table.offer(KEY, act(1000), 0);
        assert_eq!(table.get(KEY, || (), || 1), None);
        table.offer(KEY, act(1000), 1);
        assert_eq!(table.get(KEY, || (), || 1), Some(act(1000)));
        commit(&table, 2, KEY, Some(act(2000)));
        table.offer(KEY, act(1000), 1);
        assert_eq!(table.get(KEY, || (), || 2), Some(act(2000)));
        commit(&table, 3, KEY, None);
        table.offer(KEY, act(3000), 3);
        assert_eq!(table.get(KEY, || (), || 3), Some(act(3000)), "what was marked and left may be offered again");
    }

    #[test]
    fn of_too_many_contacts_those_that_acted_last_are_kept() {
        let (_folder, table) = table();
        let keys: Vec<Vec<u8>> = (0..20 * BUCKETS_MIN).map(|n| n.to_be_bytes().to_vec()).collect();
        assert!(table.begin(1));
        for (n, key) in keys.iter().enumerate() {
            table.mark(key, Some(act(1000 + n as i64))).iter().for_each(|mark| table.set(mark));
        }
        let known = keys.iter().enumerate().map(|(n, key)| {
            let hint = table.get(key, || (), || 1);
            assert!(hint.is_none_or(|hint| hint == act(1000 + n as i64)));
            hint.is_some()
        });
        let known: Vec<bool> = known.collect();
        let (first, last) = known.split_at(known.len() / 2);
        let count = |half: &[bool]| half.iter().filter(|known| **known).count();
        assert!(count(first) * 4 < count(last), "{} of the first, {} of the last", count(first), count(last));
    }

    #[test]
    fn the_disk_keeps_at_least_as_much_room_as_a_table_takes() {
        let folder = tempfile::tempdir().unwrap();
        let takes = length(BUCKETS_MIN) as u64;
        assert!(Hints::make(folder.path(), 0, 2 * takes - 1).is_err());
        assert!(Hints::make(folder.path(), 0, 2 * takes).is_ok());
    }

    #[test]
    fn times_that_find_no_room_have_no_hint() {
        let (_folder, table) = table();
        for millis in [-1, i64::MIN, 1 << 42, i64::MAX] {
            assert!(table.begin(1));
            table.mark(KEY, Some(act(millis))).iter().for_each(|mark| table.set(mark));
            assert_eq!(table.get(KEY, || (), || 1), None, "{millis}");
        }
    }

    #[test]
    fn only_a_whole_table_of_this_name_and_boot_is_opened() {
        let (folder, table) = table();
        let path = folder.path().join(HINTS_FILE);
        commit(&table, 1, KEY, Some(act(1000)));
        assert_eq!(Hints::open(folder.path(), table.name()).unwrap().get(KEY, || (), || 1), Some(act(1000)));
        assert!(Hints::open(folder.path(), Name::default()).is_none());
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(b"x", 40).unwrap();
        assert!(Hints::open(folder.path(), table.name()).is_none(), "of another boot");
        let (folder, table) = self::table();
        let file = OpenOptions::new().write(true).open(folder.path().join(HINTS_FILE)).unwrap();
        file.set_len(length(BUCKETS_MIN) as u64 - 1).unwrap();
        assert!(Hints::open(folder.path(), table.name()).is_none(), "cut short");
        drop(table);
        fs::remove_file(folder.path().join(HINTS_FILE)).unwrap();
        assert!(Hints::open(folder.path(), Name::default()).is_none(), "gone");
    }

    /// Two keys of one bucket and a third, written, offered and read by several threads: what is said is never older than what was committed before
    /// the question.
    #[test]
    fn no_reader_is_told_what_was_overwritten_before_it_asked() {
        const ROUNDS: u64 = 200_000;
        let (_folder, table) = table();
        let table = Arc::new(table);
        // As the store: its newest commit, and of each contact the commit that wrote it, with an act of that number or with none.
        let keys: Vec<[u8; 8]> = (0..3_u64).map(u64::to_be_bytes).collect();
        let store = Arc::new(Mutex::new((0_u64, [(0_u64, false); 3])));
        let newest = Arc::new(AtomicU64::new(0));
        let is_over = Arc::new(AtomicBool::new(false));
        let helpers: Vec<_> = (0..4_usize)
            .map(|helper| {
                let (table, store, newest) = (Arc::clone(&table), Arc::clone(&store), Arc::clone(&newest));
                let (is_over, keys) = (Arc::clone(&is_over), keys.clone());
                thread::spawn(move || {
                    let mut said = 0_u64;
                    while !is_over.load(Ordering::Relaxed) {
                        for (n, key) in keys.iter().enumerate() {
                            let (commit, contacts) = *store.lock().unwrap();
                            let (written, has_act) = contacts[n];
                            if helper % 2 == 0 {
                                let told = table.get(key, || (), || newest.load(Ordering::SeqCst));
                                said += u64::from(told.is_some());
                                let told = told.map(|hint| hint.last_act.millis() as u64);
                                assert!(told.is_none_or(|told| told >= written), "{told:?} after {written}");
                            } else if has_act {
                                table.offer(key, act(written as i64), commit);
                            }
                        }
                    }
                    said
                })
            })
            .collect();
        for round in 1..=ROUNDS {
            let n = (round * 7 % 3) as usize;
            let hint = (round % 5 != 0).then(|| act(round as i64));
            assert!(table.begin(round));
            let mark = table.mark(&keys[n], hint);
            let mut store = store.lock().unwrap();
            store.0 = round;
            store.1[n] = (round, hint.is_some());
            newest.store(round, Ordering::SeqCst);
            drop(store);
            mark.iter().for_each(|mark| table.set(mark));
        }
        is_over.store(true, Ordering::Relaxed);
        let said: u64 = helpers.into_iter().map(|helper| helper.join().unwrap()).sum();
        assert!(said > 0);
    }
}
