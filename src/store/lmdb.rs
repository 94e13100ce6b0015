//! The embedded store: LMDB, shared by all processes of one host. The only file that names it.

use std::borrow::Cow;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Bound;
use std::os::fd::AsRawFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use heed::types::Bytes;
use heed::{Database, Env, EnvFlags, EnvOpenOptions, MdbError, RoTxn, RwTxn, WithTls};
use once_cell::unsync::OnceCell;

use crate::error::{Code, Error, Result};
use crate::rules::contact::Hint;
use crate::store::codec::{self, FORMAT};
use crate::store::folder::{self, ProcessLock};
use crate::store::hints::{Hints, Mark, Name};
use crate::store::{Read, Store, Table, Usage, Visit, Write};

/// The address space that a new store reserves; the file grows with what is in it.
const MAP_SIZE: usize = 64 << 30;
/// Threads that may read at once, over all processes.
const READERS: u32 = 1024;
/// What a table of so many readers takes, one line of the processor's cache each, and its head.
const LOCK_SIZE: u64 = 64 * (READERS as u64 + 8);
/// How much longer than its last page says the file is kept, by half of this at least.
const AHEAD: u64 = 4 << 20;
/// With less than this a disk counts as full: a commit writes its pages in one go of up to so many bytes.
const ROOM_MIN: u64 = 1 << 20;
const NOT_SYNCED: &str = "an earlier commit could not be synced; check the disk, then restart the gateway";
/// What the folder begins with in which a new store is made.
const MADE_IN: &str = "csw.new.";
const FORMAT_KEY: &[u8] = b"format";
/// The table of hints that every transaction goes through.
const HINTS_KEY: &[u8] = b"hints";

type Tables = [Database<Bytes, Bytes>; Table::ALL.len()];

/// A folder with an LMDB environment.
pub struct LmdbStore {
    env: Env<WithTls>,
    tables: Tables,
    path: PathBuf,
    hints: ArcSwapOption<Hints>,
    /// Whether the next transaction may make a table of hints: not again at once where that has failed.
    may_make_hints: AtomicBool,
    /// Set when a commit could not be synced: what is on disk is no longer certain, so nothing more is acknowledged.
    suspect: AtomicBool,
    /// Holds this process's byte of `csw.lock`.
    _lock: ProcessLock,
}

impl LmdbStore {
    /// Opens the store in a folder, making both if they are not there (the folder with mode 0700, the files 0660: the folder decides who shares
    /// the store). `relaxed` leaves the last commits to the operating system: a loss of power may take them, never more.
    ///
    /// # Errors
    /// `Store` when the folder or its files cannot be used; `Format` when they are not ours or newer: they are left as they are.
    pub fn open(path: &Path, relaxed: bool) -> Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|cause| folder::unusable(path, "its folder cannot be made", &cause))?;
        let lock = ProcessLock::take(path)?;
        make(path, &lock)?;
        folder::prepare_files(path, LOCK_SIZE)
            .map_err(|cause| folder::unusable(path, "its files cannot be used", &cause))?;
        let mut options = environment();
        if relaxed {
            // SAFETY: without the last sync of the meta page a loss of power takes back whole transactions, never parts.
            unsafe { options.flags(EnvFlags::NO_META_SYNC) };
        }
        // SAFETY: the map is only touched through LMDB; the lock above keeps a second copy of this library in the process from opening the
        // folder again; that it lies on a local file system is said in the README.
        let env = unsafe { options.open(path) }.map_err(|cause| open_error(path, &cause))?;
        check_length(&env, path).map_err(|cause| open_error(path, &cause))?;
        let tables = open_tables(&env).map_err(|cause| open_error(path, &cause))??;
        // Now that it is ours. A full disk is no reason not to open.
        let _ = pad(&env, path);
        let store = LmdbStore {
            env,
            tables,
            path: path.to_owned(),
            hints: ArcSwapOption::empty(),
            may_make_hints: AtomicBool::new(true),
            suspect: AtomicBool::new(false),
            _lock: lock,
        };
        store.tidy()?;
        Ok(store)
    }

    /// Gives a store a larger map. No process may have it open.
    ///
    /// # Errors
    /// `Store` when it cannot be opened or is in use, `Invalid` when the size is not larger than it is now.
    pub fn grow(path: &Path, gib: usize) -> Result<()> {
        let now = Self::open(path, false)?.env.info().map_size;
        let size = gib.checked_mul(1 << 30).filter(|size| *size > now).ok_or_else(|| {
            Error::invalid(format!("store {}: it has room for {} GiB now; name more", path.display(), now >> 30))
        })?;
        let _lock = ProcessLock::take(path)?;
        // SAFETY: as in `open`; that no other process has the store open is asked of the operator.
        let env = unsafe { environment().map_size(size).open(path) }.map_err(|cause| open_error(path, &cause))?;
        // A map's size is kept once something was committed under it.
        let written = env.write_txn().and_then(|mut txn| {
            let tables = env.open_database::<Bytes, Bytes>(&txn, Some(Table::Meta.name()))?;
            if let Some(meta) = tables {
                let format = meta.get(&txn, FORMAT_KEY)?.map(<[u8]>::to_vec);
                meta.put(&mut txn, FORMAT_KEY, &format.unwrap_or_default())?;
            }
            txn.commit()
        });
        written.map_err(|cause| open_error(path, &cause))
    }

    /// Begins a transaction, and the table of hints that goes with it. Names a new table first, in a commit of its own, where the store names none
    /// that will do: so a table that somebody still has mapped has missed a commit, and says nothing.
    fn begin(&self) -> Result<(RwTxn<'_>, Option<Arc<Hints>>)> {
        let failed = |cause| self.fault(&cause);
        let meta = &self.tables[Table::Meta.index()];
        loop {
            let mut txn = self.env.write_txn().map_err(failed)?;
            let contacts = self.tables[Table::Contacts.index()].len(&txn).map_err(failed)?;
            let named = self.named_hints(&txn).map_err(failed)?;
            let mapped = named.and_then(|name| self.mapped_hints(name));
            let mapped = mapped.filter(|hints| hints.begin(txn.id() as u64));
            let may_make = self.may_make_hints.load(Ordering::Acquire);
            let is_as_it_should_be = match &mapped {
                Some(hints) => hints.has_room(contacts),
                None => named.is_none() && !may_make,
            };
            if is_as_it_should_be {
                return Ok((txn, mapped));
            }
            let room = folder::room(&self.path).filter(|_| may_make);
            let made = room.and_then(|room| Hints::make(&self.path, contacts, room).ok()).map(Arc::new);
            self.may_make_hints.store(made.is_some(), Ordering::Release);
            let renamed = match (&made, mapped) {
                (Some(hints), _) => meta.put(&mut txn, HINTS_KEY, &hints.name()),
                // One that is too small is better than none.
                (None, Some(small)) => return Ok((txn, Some(small))),
                (None, None) => meta.delete(&mut txn, HINTS_KEY).map(drop),
            };
            renamed.map_err(failed)?;
            self.commit(txn)?;
            self.hints.store(made);
        }
    }

    fn commit(&self, txn: RwTxn<'_>) -> Result<()> {
        let committed = txn.commit();
        // What is committed stays so; a file that could not be padded is, after the next commit.
        let _ = pad(&self.env, &self.path);
        committed.map_err(|cause| {
            self.suspect.store(!self.is_out_of_room(&cause), Ordering::Release);
            self.fault(&cause)
        })
    }

    fn named_hints(&self, txn: &RoTxn<'_>) -> heed::Result<Option<Name>> {
        let named = self.tables[Table::Meta.index()].get(txn, HINTS_KEY)?;
        Ok(named.and_then(|name| name.try_into().ok()))
    }

    /// The table of that name, mapped now if it was not.
    fn mapped_hints(&self, name: Name) -> Option<Arc<Hints>> {
        let mapped = self.hints.load_full().filter(|hints| hints.name() == name);
        mapped.or_else(|| {
            let opened = Hints::open(&self.path, name).map(Arc::new)?;
            self.hints.store(Some(Arc::clone(&opened)));
            Some(opened)
        })
    }

    /// Whether a commit found no room on the disk: it changed nothing then. LMDB says EIO of a write that was cut short.
    fn is_out_of_room(&self, cause: &heed::Error) -> bool {
        let heed::Error::Io(io) = cause else { return false };
        match io.raw_os_error() {
            Some(libc::ENOSPC) => true,
            Some(libc::EIO) => folder::room(&self.path).is_some_and(|bytes| bytes < ROOM_MIN),
            _ => false,
        }
    }

    fn fault(&self, cause: &heed::Error) -> Error {
        let advice = match cause {
            heed::Error::Mdb(MdbError::MapFull) => "it is full; copy it into a larger one with `csw grow`".to_owned(),
            heed::Error::Mdb(MdbError::ReadersFull) => {
                format!("more than {READERS} threads read at once; use fewer workers")
            }
            heed::Error::Mdb(MdbError::Corrupted | MdbError::PageNotFound) => {
                "it is damaged; stop the gateway and restore it from a copy".to_owned()
            }
            // What LMDB says of all that follows a commit that failed in its last step.
            heed::Error::Mdb(MdbError::Panic) => NOT_SYNCED.to_owned(),
            cause if self.is_out_of_room(cause) => "the disk is full; free some space".to_owned(),
            heed::Error::Io(io) => format!("{io}{}", folder::remedy(io)),
            other => other.to_string(),
        };
        Error::new(Code::Store, format!("store {}: {advice}", self.path.display()))
    }
}

impl Store for LmdbStore {
    fn read(&self, work: &mut dyn FnMut(&dyn Read) -> Result<()>) -> Result<()> {
        work(&Snapshot { store: self, txn: OnceCell::new() })
    }

    fn write(&self, work: &mut dyn FnMut(&mut dyn Write) -> Result<()>) -> Result<()> {
        if self.suspect.load(Ordering::Acquire) {
            return Err(Error::new(Code::Store, format!("store {}: {NOT_SYNCED}", self.path.display())));
        }
        let (txn, hints) = self.begin()?;
        let mut transaction = Transaction { store: self, txn, hints, marks: Vec::new() };
        let worked = work(&mut transaction);
        let Transaction { txn, hints, marks, .. } = transaction;
        if let (Err(_), Some(hints)) = (&worked, &hints) {
            hints.give_up(txn.id() as u64);
        }
        worked?;
        self.commit(txn)?;
        if let Some(hints) = hints {
            marks.iter().for_each(|mark| hints.set(mark));
        }
        Ok(())
    }

    fn usage(&self) -> Result<Option<Usage>> {
        let info = self.env.info();
        let used = (info.last_page_number as u64 + 1) * u64::from(self.env.stat().page_size);
        let free_on_disk = folder::room(&self.path).unwrap_or_default();
        Ok(Some(Usage { used, limit: info.map_size as u64, free_on_disk }))
    }

    fn tidy(&self) -> Result<()> {
        self.may_make_hints.store(true, Ordering::Release);
        let tidied = self.env.clear_stale_readers().and_then(|_| {
            let named = self.named_hints(&*self.env.read_txn()?)?;
            Ok(named.and_then(|name| self.mapped_hints(name)))
        });
        tidied.map(drop).map_err(|cause| self.fault(&cause))
    }
}

/// A reading or writing transaction's view of the tables.
fn get<'t>(store: &LmdbStore, txn: &'t RoTxn<'_>, table: Table, key: &[u8]) -> Result<Option<Cow<'t, [u8]>>> {
    store.tables[table.index()].get(txn, key).map(|value| value.map(Cow::Borrowed)).map_err(|cause| store.fault(&cause))
}

fn scan(store: &LmdbStore, txn: &RoTxn<'_>, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<()> {
    // LMDB knows no empty key: from there on is from the beginning.
    let start = if from.is_empty() { Bound::Unbounded } else { Bound::Included(from) };
    let range = (start, Bound::Unbounded);
    let entries = store.tables[table.index()].range(txn, &range).map_err(|cause| store.fault(&cause))?;
    for entry in entries {
        let (key, value) = entry.map_err(|cause| store.fault(&cause))?;
        if !visit(key, value)? {
            break;
        }
    }
    Ok(())
}

fn last_key(store: &LmdbStore, txn: &RoTxn<'_>, table: Table) -> Result<Option<Vec<u8>>> {
    let last = store.tables[table.index()].last(txn).map_err(|cause| store.fault(&cause))?;
    Ok(last.map(|(key, _)| key.to_vec()))
}

/// A reading, begun with its first question: hints may make it needless.
struct Snapshot<'s> {
    store: &'s LmdbStore,
    txn: OnceCell<RoTxn<'s, WithTls>>,
}

impl Snapshot<'_> {
    fn txn(&self) -> Result<&RoTxn<'_, WithTls>> {
        self.txn.get_or_try_init(|| self.store.env.read_txn()).map_err(|cause| self.store.fault(&cause))
    }
}

impl Read for Snapshot<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>> {
        get(self.store, self.txn()?, table, key)
    }

    fn scan(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<()> {
        scan(self.store, self.txn()?, table, from, visit)
    }

    fn last_key(&self, table: Table) -> Result<Option<Vec<u8>>> {
        last_key(self.store, self.txn()?, table)
    }

    fn hint(&self, key: &[u8], meanwhile: &mut dyn FnMut()) -> Option<Hint> {
        self.store.hints.load().as_ref()?.get(key, meanwhile, || self.store.env.info().last_txn_id as u64)
    }

    fn found(&self, key: &[u8], hint: Hint) {
        if let (Some(hints), Some(txn)) = (self.store.hints.load().as_ref(), self.txn.get()) {
            hints.offer(key, hint, txn.id() as u64);
        }
    }
}

struct Transaction<'s> {
    store: &'s LmdbStore,
    txn: RwTxn<'s>,
    hints: Option<Arc<Hints>>,
    marks: Vec<Mark>,
}

impl Transaction<'_> {
    /// What is written under a contact's key is no longer what its hint says.
    fn mark(&mut self, table: Table, key: &[u8], hint: Option<Hint>) {
        if let (Table::Contacts, Some(hints)) = (table, &self.hints) {
            self.marks.extend(hints.mark(key, hint));
        }
    }
}

impl Read for Transaction<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>> {
        get(self.store, &self.txn, table, key)
    }

    fn scan(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<()> {
        scan(self.store, &self.txn, table, from, visit)
    }

    fn last_key(&self, table: Table) -> Result<Option<Vec<u8>>> {
        last_key(self.store, &self.txn, table)
    }
}

impl Write for Transaction<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<()> {
        let hint = if table == Table::Contacts { codec::hint(value) } else { None };
        self.mark(table, key, hint);
        self.store.tables[table.index()].put(&mut self.txn, key, value).map_err(|cause| self.store.fault(&cause))
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<()> {
        self.mark(table, key, None);
        let gone = self.store.tables[table.index()].delete(&mut self.txn, key);
        gone.map(drop).map_err(|cause| self.store.fault(&cause))
    }
}

/// Refuses a truncated file: reading behind its end would end the process (SIGBUS).
fn check_length(env: &Env<WithTls>, path: &Path) -> heed::Result<()> {
    match shortfall(env, path, 0)? {
        // Where the disk was too full to keep more, the last commit may have left out a page.
        Some(missing) if missing > u64::from(env.stat().page_size) => Err(heed::Error::Mdb(MdbError::Corrupted)),
        _ => lengthen(env, path, 0),
    }
}

/// Keeps the file longer than its last page says. LMDB leaves pages out that were taken and given back in one commit; without them a whole file could
/// not be told from a truncated one. They must be there before the commit: the process, or the power, may be gone right after it.
fn pad(env: &Env<WithTls>, path: &Path) -> heed::Result<()> {
    if shortfall(env, path, AHEAD / 2)?.is_none() {
        return Ok(());
    }
    lengthen(env, path, AHEAD).or_else(|_| lengthen(env, path, 0))
}

/// Makes the file as long as its last page says, and so much longer.
fn lengthen(env: &Env<WithTls>, path: &Path, beyond: u64) -> heed::Result<()> {
    let Some(missing) = shortfall(env, path, beyond)? else { return Ok(()) };
    let file = OpenOptions::new().write(true).open(path.join("data.mdb"))?;
    let length = file.metadata()?.len();
    // SAFETY: takes no pointer. Unlike truncating to a length, this cannot cut off what another process has just written.
    match unsafe { libc::posix_fallocate(file.as_raw_fd(), length as libc::off_t, missing as libc::off_t) } {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code).into()),
    }
}

/// By how much the file is shorter than its last page says, and so much beyond that.
fn shortfall(env: &Env<WithTls>, path: &Path, beyond: u64) -> heed::Result<Option<u64>> {
    let expected = (env.info().last_page_number as u64 + 1) * u64::from(env.stat().page_size) + beyond;
    let length = fs::metadata(path.join("data.mdb"))?.len();
    Ok(expected.checked_sub(length).filter(|missing| *missing > 0))
}

/// What every environment of ours is opened with. The size of its map is kept in the file.
fn environment() -> heed::EnvOpenOptions<WithTls> {
    let mut options = EnvOpenOptions::new();
    options.max_dbs(Table::ALL.len() as u32).max_readers(READERS);
    options
}

/// Makes the file of a new store, in a folder beside its place, and moves it there once it is whole: a loss of power leaves a store or none.
/// Of several processes that would make it, the first one does.
fn make(path: &Path, lock: &ProcessLock) -> Result<()> {
    let file = path.join("data.mdb");
    // A link is somebody's own doing: it may lead to a disk that is not there yet.
    let is_missing = || match fs::symlink_metadata(&file) {
        Ok(found) => found.is_file() && found.len() == 0,
        Err(cause) => cause.kind() == io::ErrorKind::NotFound,
    };
    if !is_missing() {
        return Ok(());
    }
    let _alone = lock.makes().map_err(|cause| folder::unusable(path, "csw.lock cannot be used", &cause))?;
    if !is_missing() {
        return Ok(());
    }
    // What is left of attempts that were cut short, as far as it is ours.
    for left in fs::read_dir(path).into_iter().flatten().flatten() {
        if left.file_name().as_encoded_bytes().starts_with(MADE_IN.as_bytes()) {
            let _ = fs::remove_dir_all(left.path());
        }
    }
    let beside = path.join(format!("{MADE_IN}{}", std::process::id()));
    let made =
        fs::DirBuilder::new().mode(0o700).create(&beside).and_then(|()| folder::prepare_files(&beside, LOCK_SIZE));
    let made = made.map_err(heed::Error::from).and_then(|()| make_tables(&beside));
    let placed = made.and_then(|()| {
        // Before the store shows itself: whoever found it, root perhaps, would make what is missing, and keep its owner out.
        folder::prepare_lock(path, LOCK_SIZE)?;
        Ok(fs::rename(beside.join("data.mdb"), &file)?)
    });
    let _ = fs::remove_dir_all(&beside);
    // The names, too: that of the folder may be as new.
    let synced = placed.and_then(|()| Ok(File::open(path)?.sync_all()?));
    let _ = path.parent().map(|parent| File::open(parent).and_then(|parent| parent.sync_all()));
    synced.map_err(|cause| open_error(path, &cause))
}

/// Makes the tables of a new store, and waits until they are on the disk.
fn make_tables(folder: &Path) -> heed::Result<()> {
    // SAFETY: nobody else knows of the folder.
    let env = unsafe { environment().map_size(MAP_SIZE).open(folder) }?;
    let mut txn = env.write_txn()?;
    for table in Table::ALL {
        let made = env.create_database::<Bytes, Bytes>(&mut txn, Some(table.name()))?;
        if table == Table::Meta {
            made.put(&mut txn, FORMAT_KEY, &codec::encode(&FORMAT).unwrap_or_default())?;
        }
    }
    txn.commit()?;
    env.prepare_for_closing().wait();
    Ok(())
}

/// Opens the tables and checks the format. It only reads: opening must not wait for another process's commit.
fn open_tables(env: &Env<WithTls>) -> heed::Result<Result<Tables>> {
    let txn = env.read_txn()?;
    let known = Table::ALL.map(|table| env.open_database::<Bytes, Bytes>(&txn, Some(table.name())));
    let known = known.into_iter().collect::<heed::Result<Vec<_>>>()?;
    let format = match known[Table::Meta.index()] {
        Some(meta) => check_format(&meta, &txn)?,
        None => Err(not_ours()),
    };
    // Handles that a reading transaction opened are kept by committing it.
    txn.commit()?;
    let tables: Option<Vec<_>> = known.into_iter().collect();
    let tables = tables.and_then(|tables| Tables::try_from(tables).ok());
    Ok(format.and_then(|()| tables.ok_or_else(not_ours)))
}

fn check_format(meta: &Database<Bytes, Bytes>, txn: &RoTxn<'_>) -> heed::Result<Result<()>> {
    let format = meta.get(txn, FORMAT_KEY)?;
    Ok(match format.map(|bytes| codec::decode::<u32>(Table::Meta, bytes)) {
        Some(Ok(FORMAT)) => Ok(()),
        Some(Ok(other)) => Err(Error::new(
            Code::Format,
            format!("the store has format {other}, this csw knows format {FORMAT}; use the csw that wrote it"),
        )),
        Some(Err(cause)) => Err(cause),
        None => Err(not_ours()),
    })
}

fn not_ours() -> Error {
    Error::new(Code::Format, "data.mdb holds no tables of csw; it was left as it is, name another folder")
}

fn open_error(path: &Path, cause: &heed::Error) -> Error {
    let (code, advice) = match cause {
        heed::Error::Mdb(MdbError::Invalid | MdbError::VersionMismatch) => {
            (Code::Format, "data.mdb is not a csw store; it was left as it is, name another folder".to_owned())
        }
        heed::Error::Mdb(MdbError::Corrupted | MdbError::PageNotFound) => {
            (Code::Format, "data.mdb is damaged; it was left as it is, restore it from a copy".to_owned())
        }
        heed::Error::Io(io) => (Code::Store, format!("{io}{}", folder::remedy(io))),
        other => (Code::Store, other.to_string()),
    };
    Error::new(code, format!("store {}: {advice}", path.display()))
}
