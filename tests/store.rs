//! The store's contract, held by every store; and what the store on disk adds to it: sharing, file modes, and files that are not its own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::mpsc;
use std::thread;

use csw::error::{Code, Error, Result};
use csw::party::{Business, Customer};
use csw::rules::event::EventKind;
use csw::rules::window::State;
use csw::store::codec;
use csw::store::lmdb::LmdbStore;
use csw::store::memory::MemoryStore;
use csw::store::{Read, Records, Store, Table, Write};
use csw::wire::record::Stated;
use support::{ANNA, BERT, SHOP, WITHIN, check, gate_in, hours_ago, record, stated};
use tempfile::TempDir;

/// Each promise of the contract as one test for each store.
macro_rules! contract {
    ($($promise:ident)+) => {
        mod memory {
            $(#[test] fn $promise() { super::$promise(&super::MemoryStore::default()); })+
        }
        mod lmdb {
            $(#[test] fn $promise() { let folder = super::folder(); super::$promise(&super::open(folder.path())); })+
        }
    };
}

contract! {
    a_commit_is_seen_whole
    a_transaction_sees_its_own_writes
    what_fails_changes_nothing
    what_panics_changes_nothing
    keys_are_ordered_as_bytes_and_scans_go_upwards
    a_scan_ends_when_its_visitor_says_so
    the_last_key_is_the_highest
    tables_are_apart
    a_reading_sees_one_state_from_beginning_to_end
    a_reading_never_waits_for_a_writer
}

fn a_commit_is_seen_whole(store: &dyn Store) {
    write(store, |transaction| {
        transaction.put(Table::Contacts, b"anna", b"1")?;
        transaction.put(Table::Ledger, b"first", b"")
    });
    assert_eq!(get(store, Table::Contacts, b"anna"), Some(b"1".to_vec()));
    assert_eq!(get(store, Table::Ledger, b"first"), Some(Vec::new()), "an empty value is a value");
    write(store, |transaction| {
        transaction.put(Table::Contacts, b"anna", b"2")?;
        transaction.delete(Table::Ledger, b"first")?;
        transaction.delete(Table::Ledger, b"never there")
    });
    assert_eq!(get(store, Table::Contacts, b"anna"), Some(b"2".to_vec()));
    assert_eq!(get(store, Table::Ledger, b"first"), None);
}

fn a_transaction_sees_its_own_writes(store: &dyn Store) {
    write(store, |transaction| transaction.put(Table::Totals, b"gone", b""));
    write(store, |transaction| {
        transaction.put(Table::Totals, b"here", b"1")?;
        transaction.delete(Table::Totals, b"gone")?;
        assert_eq!(transaction.get(Table::Totals, b"here")?.as_deref(), Some(&b"1"[..]));
        assert_eq!(transaction.get(Table::Totals, b"gone")?, None);
        assert_eq!(transaction.last_key(Table::Totals)?, Some(b"here".to_vec()));
        assert_eq!(scanned(&*transaction, Table::Totals, b"")?, ["here"]);
        Ok(())
    });
}

fn what_fails_changes_nothing(store: &dyn Store) {
    let before = everything_of_a_small_store(store);
    let failure = Error::new(Code::Internal, "on purpose");
    let failed = store.write(&mut |transaction| change_everything(transaction).and(Err(failure.clone())));
    assert_eq!(failed.unwrap_err(), failure);
    assert_eq!(everything(store), before);
    write(store, |transaction| transaction.put(Table::Contacts, b"anna", b"after"));
    assert_eq!(get(store, Table::Contacts, b"anna"), Some(b"after".to_vec()));
}

fn what_panics_changes_nothing(store: &dyn Store) {
    let before = everything_of_a_small_store(store);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        store.write(&mut |transaction| {
            change_everything(transaction).unwrap();
            panic!("on purpose")
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(everything(store), before);
    write(store, |transaction| transaction.put(Table::Contacts, b"anna", b"after"));
    assert_eq!(get(store, Table::Contacts, b"anna"), Some(b"after".to_vec()));
}

fn keys_are_ordered_as_bytes_and_scans_go_upwards(store: &dyn Store) {
    let keys = ["b", "a", "aa", "\u{0}", "a\u{0}", "~", "B"];
    write(store, |transaction| keys.iter().try_for_each(|key| transaction.put(Table::Messages, key.as_bytes(), b"")));
    let found = |from: &[u8]| read(store, |snapshot| scanned(snapshot, Table::Messages, from));
    assert_eq!(found(b""), ["\u{0}", "B", "a", "a\u{0}", "aa", "b", "~"]);
    assert_eq!(found(b"a"), ["a", "a\u{0}", "aa", "b", "~"], "the first key is in it");
    assert_eq!(found(b"ab"), ["b", "~"], "a scan may begin between keys");
    assert_eq!(found(b"\x7f"), [""; 0]);
}

fn a_scan_ends_when_its_visitor_says_so(store: &dyn Store) {
    write(store, |transaction| {
        ["a", "b", "c"].iter().try_for_each(|key| transaction.put(Table::Ids, key.as_bytes(), b""))
    });
    let mut seen = Vec::new();
    let visited = store.read(&mut |snapshot| {
        snapshot.scan(Table::Ids, b"", &mut |key, _| {
            seen.push(key.to_vec());
            if key == b"b" { Err(Error::invalid("on purpose")) } else { Ok(true) }
        })
    });
    assert_eq!(visited.unwrap_err().code(), Code::Invalid);
    assert_eq!(seen, [b"a", b"b"]);
    let mut count = 0;
    read(store, |snapshot| {
        snapshot.scan(Table::Ids, b"", &mut |_, _| {
            count += 1;
            Ok(count < 2)
        })
    });
    assert_eq!(count, 2);
}

fn the_last_key_is_the_highest(store: &dyn Store) {
    let last = || read(store, |snapshot| snapshot.last_key(Table::Ledger));
    assert_eq!(last(), None);
    write(store, |transaction| {
        [2_u64, 256, 1].iter().try_for_each(|key| transaction.put(Table::Ledger, &key.to_be_bytes(), b""))
    });
    assert_eq!(last(), Some(256_u64.to_be_bytes().to_vec()));
    write(store, |transaction| transaction.delete(Table::Ledger, &256_u64.to_be_bytes()));
    assert_eq!(last(), Some(2_u64.to_be_bytes().to_vec()));
}

fn tables_are_apart(store: &dyn Store) {
    let data = || Table::ALL.into_iter().filter(|table| *table != Table::Meta);
    write(store, |transaction| data().try_for_each(|table| transaction.put(table, b"key", table.name().as_bytes())));
    for table in data() {
        assert_eq!(get(store, table, b"key"), Some(table.name().into()));
    }
}

/// A writer keeps two keys equal; whoever reads them in one reading finds them equal.
fn a_reading_sees_one_state_from_beginning_to_end(store: &dyn Store) {
    const LAST: u32 = 200;
    let put = |number: u32| {
        write(store, |transaction| {
            transaction.put(Table::Contacts, b"left", &number.to_be_bytes())?;
            transaction.put(Table::Numbers, b"right", &number.to_be_bytes())
        });
    };
    put(0);
    thread::scope(|scope| {
        scope.spawn(|| (1..=LAST).for_each(put));
        loop {
            let (left, right) = read(store, |snapshot| {
                let left = snapshot.get(Table::Contacts, b"left")?.unwrap().into_owned();
                thread::yield_now();
                Ok((left, snapshot.get(Table::Numbers, b"right")?.unwrap().into_owned()))
            });
            assert_eq!(left, right);
            if left == LAST.to_be_bytes() {
                break;
            }
        }
    });
}

fn a_reading_never_waits_for_a_writer(store: &dyn Store) {
    write(store, |transaction| transaction.put(Table::Contacts, b"anna", b"before"));
    thread::scope(|scope| {
        let mut seen = None;
        write(store, |transaction| {
            transaction.put(Table::Contacts, b"anna", b"after")?;
            let (tell, told) = mpsc::channel();
            scope.spawn(move || tell.send(get(store, Table::Contacts, b"anna")));
            seen = told.recv_timeout(WITHIN / 10).ok();
            Ok(())
        });
        assert_eq!(seen, Some(Some(b"before".to_vec())), "read while a transaction was open");
    });
}

#[test]
fn a_commit_during_a_reading_is_not_seen_by_it() {
    let folder = folder();
    let store = open(folder.path());
    write(&store, |transaction| transaction.put(Table::Contacts, b"anna", b"before"));
    read(&store, |snapshot| {
        assert_eq!(snapshot.get(Table::Contacts, b"bert")?, None, "the first question");
        let put = || write(&store, |transaction| transaction.put(Table::Contacts, b"anna", b"after"));
        thread::scope(|scope| scope.spawn(put).join()).unwrap();
        assert_eq!(snapshot.get(Table::Contacts, b"anna")?.as_deref(), Some(&b"before"[..]));
        Ok(())
    });
    assert_eq!(get(&store, Table::Contacts, b"anna"), Some(b"after".to_vec()));
}

#[test]
fn what_was_committed_is_there_when_the_store_is_opened_again() {
    let folder = folder();
    for relaxed in [false, true] {
        let store = LmdbStore::open(folder.path(), relaxed).unwrap();
        write(&store, |transaction| transaction.put(Table::Contacts, b"anna", &[u8::from(relaxed)]));
        drop(store);
        assert_eq!(get(&open(folder.path()), Table::Contacts, b"anna"), Some(vec![u8::from(relaxed)]));
    }
}

#[test]
fn the_folder_is_its_owners_and_the_folder_decides_who_shares_the_files() {
    let parent = folder();
    let path = parent.path().join("var").join("csw");
    let _store = open(&path);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&path), 0o700);
    let files = fs::read_dir(&path).unwrap().map(|file| file.unwrap().path());
    let files: BTreeMap<_, _> = files.map(|file| (file.file_name().unwrap().to_owned(), mode(&file))).collect();
    let expected = ["csw.lock", "data.mdb", "lock.mdb"].map(|name| (name.into(), 0o660));
    assert_eq!(files, BTreeMap::from(expected));
}

#[test]
fn what_is_left_of_a_store_that_was_not_made_to_its_end_is_cleared_away() {
    let folder = folder();
    let half = folder.path().join("csw.new.1");
    fs::create_dir(&half).unwrap();
    fs::write(half.join("data.mdb"), [7; 100]).unwrap();
    fs::write(folder.path().join("data.mdb"), "").unwrap();
    open(folder.path()).usage().unwrap();
    assert!(!half.exists());
}

#[test]
fn a_link_that_leads_nowhere_is_not_replaced_by_a_new_store() {
    let folder = folder();
    let link = folder.path().join("data.mdb");
    std::os::unix::fs::symlink("/nowhere/data.mdb", &link).unwrap();
    let error = LmdbStore::open(folder.path(), false).err().unwrap();
    assert_eq!(error.code(), Code::Store, "{error}");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[test]
fn a_folder_that_was_made_beforehand_keeps_its_mode() {
    let folder = folder();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o2770)).unwrap();
    let _store = open(folder.path());
    assert_eq!(fs::metadata(folder.path()).unwrap().permissions().mode() & 0o7777, 0o2770);
}

#[test]
fn a_folder_that_cannot_be_made_is_a_clear_error() {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let path = file.join("csw");
    let error = LmdbStore::open(&path, false).err().unwrap();
    assert_eq!(error.code(), Code::Store);
    assert!(error.message().contains(path.to_str().unwrap()), "{error}");
}

/// Runs in a process of its own: a store that touches a page which is not there takes its process down.
#[test]
fn a_file_that_is_not_a_store_is_refused_and_left_alone() {
    if let Some(folder) = in_another_process() {
        let refused = LmdbStore::open(&folder, false).err();
        return assert_eq!(refused.map(|error| error.code()), Some(Code::Format));
    }
    let whole = folder();
    let store = open(whole.path());
    write(&store, |transaction| {
        (0..2000_u32).try_for_each(|key| transaction.put(Table::Contacts, &key.to_be_bytes(), &[7; 100]))
    });
    drop(store);
    let whole = fs::read(whole.path().join("data.mdb")).unwrap();
    // The file is longer than what is used of it.
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap();
    let table: [(&str, &[u8]); 7] = [
        ("text", b"this is not a database\n"),
        ("a few bytes", &[0xef; 3]),
        ("zeros", &[0; 65536]),
        ("cut off inside the first page", &whole[..100]),
        ("cut off after the first page", &whole[..4096]),
        ("cut off after the second page", &whole[..8192]),
        ("cut off in the middle", &whole[..used / 2]),
    ];
    let mut wrong = Vec::new();
    for (name, bytes) in table {
        let folder = folder();
        let file = folder.path().join("data.mdb");
        fs::write(&file, bytes).unwrap();
        let status = another_process("a_file_that_is_not_a_store_is_refused_and_left_alone", folder.path());
        if !status.success() {
            wrong.push(format!("{name}: not refused with `format` ({status})"));
        }
        if fs::read(&file).unwrap() != bytes {
            wrong.push(format!("{name}: changed"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn another_programs_database_is_refused_and_left_alone() {
    let folder = folder();
    // SAFETY: a fresh folder that nobody else has open.
    let env = unsafe { heed::EnvOpenOptions::new().max_dbs(4).open(folder.path()) }.unwrap();
    let mut txn = env.write_txn().unwrap();
    let sessions = env.create_database::<heed::types::Str, heed::types::Str>(&mut txn, Some("sessions")).unwrap();
    sessions.put(&mut txn, "anna", "logged in").unwrap();
    txn.commit().unwrap();
    env.prepare_for_closing().wait();
    refused_and_left_alone(folder.path());
}

#[test]
fn a_newer_store_is_refused_and_left_alone() {
    let folder = folder();
    let newer = codec::encode(&(codec::FORMAT + 1)).unwrap();
    write(&open(folder.path()), |transaction| transaction.put(Table::Meta, b"format", &newer));
    let error = refused_and_left_alone(folder.path());
    assert!(error.message().contains("use the csw that wrote it"), "{error}");
}

#[test]
fn a_newer_record_is_an_error_and_says_so() {
    let record = codec::encode(&1_u32).unwrap();
    let newer: Vec<u8> = [&[record[0] + 1], &record[1..]].concat();
    for bytes in [&newer[..], &record[..1], &[]] {
        let error = codec::decode::<u32>(Table::Tiers, bytes).unwrap_err();
        assert_eq!(error.code(), Code::Format);
        assert!(error.message().contains("tiers"), "{error}");
    }
}

#[test]
fn the_processes_of_a_host_share_one_store() {
    let wrote = |customer| Stated { customer, ..stated(EventKind::CustomerMessage, hours_ago(1)) };
    let state = |gate, customer| check(gate, customer, hours_ago(0)).window.state;
    if let Some(folder) = in_another_process() {
        let gate = gate_in(&folder, "store = \"lmdb:.\"");
        assert_eq!(state(&gate, ANNA), State::Open);
        record(&gate, wrote(BERT));
        return;
    }
    let folder = folder();
    let gate = gate_in(folder.path(), "store = \"lmdb:.\"");
    record(&gate, wrote(ANNA));
    assert_eq!(state(&gate, BERT), State::Unknown);
    assert!(another_process("the_processes_of_a_host_share_one_store", folder.path()).success());
    assert_eq!(state(&gate, BERT), State::Open);
}

#[test]
fn two_gates_of_a_process_share_one_store() {
    let folder = folder();
    let (one, other) =
        (gate_in(folder.path(), "store = \"lmdb:csw\""), gate_in(folder.path(), "store = \"lmdb:./csw\""));
    assert_eq!(check(&other, ANNA, hours_ago(0)).window.state, State::Unknown);
    record(&one, stated(EventKind::CustomerMessage, hours_ago(1)));
    assert_eq!(check(&other, ANNA, hours_ago(0)).window.state, State::Open);
    drop(one);
    assert_eq!(check(&other, ANNA, hours_ago(0)).window.state, State::Open);
    drop(other);
    let again = gate_in(folder.path(), "store = \"lmdb:csw\"");
    assert_eq!(check(&again, ANNA, hours_ago(0)).window.state, State::Open);
}

#[test]
fn a_process_does_not_open_a_store_twice_beside_its_gates() {
    let folder = folder();
    let gate = gate_in(folder.path(), "store = \"lmdb:.\"");
    record(&gate, stated(EventKind::CustomerMessage, hours_ago(1)));
    let error = LmdbStore::open(folder.path(), false).err().unwrap();
    assert_eq!(error.code(), Code::Store);
    assert_eq!(check(&gate, ANNA, hours_ago(0)).window.state, State::Open, "the gate goes on");
}

#[test]
fn a_hint_is_what_the_last_commit_left_of_a_contact() {
    let folder = folder();
    let gate = gate_in(folder.path(), "store = \"lmdb:.\"");
    record(&gate, stated(EventKind::CustomerMessage, hours_ago(1)));
    drop(gate);
    let store = open(folder.path());
    let (business, anna) = (Business::parse(SHOP).unwrap(), Customer::parse(ANNA).unwrap());
    let key = codec::contact_key(business, &anna);
    let hint = || read(&store, |snapshot| Ok(snapshot.hint(&key, &mut || ())));
    let stored = read(&store, |snapshot| Records(snapshot).contact(business, &anna)).unwrap();
    assert_eq!(hint(), stored.contact.hint());
    assert!(hint().is_some());
    let given_up = store.write(&mut |transaction| {
        transaction.delete(Table::Contacts, &key)?;
        Err(Error::new(Code::Internal, "on purpose"))
    });
    assert!(given_up.is_err());
    assert_eq!(hint(), None, "a transaction that was given up may leave none");
    assert!(read(&store, |snapshot| Records(snapshot).contact(business, &anna)).is_some());
    assert_eq!(hint(), stored.contact.hint(), "who reads the contact leaves one");
    write(&store, |transaction| transaction.delete(Table::Contacts, &key));
    assert_eq!(hint(), None);
}

#[test]
fn a_message_is_looked_for_among_those_of_its_contact_and_no_further_than_needed() {
    let folder = folder();
    let gate = gate_in(folder.path(), "store = \"lmdb:.\"");
    for (id, customer) in [("1", ANNA), ("2", ANNA), ("3", ANNA), ("4", BERT)] {
        record(&gate, Stated { id: Some(id), customer, ..stated(EventKind::BusinessMessage, hours_ago(1)) });
    }
    drop(gate);
    let store = open(folder.path());
    let (business, anna) = (Business::parse(SHOP).unwrap(), Customer::parse(ANNA).unwrap());
    let looked_at = |is_meant: &dyn Fn(usize) -> bool| {
        let mut count = 0;
        let mut is_meant = |_: &_| {
            count += 1;
            is_meant(count)
        };
        let is_found = read(&store, |snapshot| Records(snapshot).any_message(business, &anna, &mut is_meant));
        (is_found, count)
    };
    assert_eq!(looked_at(&|_| false), (false, 3));
    assert_eq!(looked_at(&|count| count == 2), (true, 2));
}

#[test]
fn a_table_of_hints_that_cannot_grow_goes_on() {
    let folder = folder();
    let gate = gate_in(folder.path(), "store = \"lmdb:.\"");
    record(&gate, stated(EventKind::CustomerMessage, hours_ago(1)));
    drop(gate);
    fs::create_dir(folder.path().join("csw.hints.new")).unwrap();
    let store = open(folder.path());
    write(&store, |transaction| {
        (0..40_000_u32).try_for_each(|n| transaction.put(Table::Contacts, &n.to_be_bytes(), b"no contact"))
    });
    write(&store, |transaction| transaction.put(Table::Totals, b"key", b"value"));
    let key = codec::contact_key(Business::parse(SHOP).unwrap(), &Customer::parse(ANNA).unwrap());
    assert!(read(&store, |snapshot| Ok(snapshot.hint(&key, &mut || ()))).is_some());
}

/// Whatever became of the table meanwhile, another process's refusal is heard of.
#[test]
fn no_hint_outlives_a_refusal_that_another_process_records() {
    if let Some(folder) = in_another_process() {
        let gate = gate_in(&folder, "store = \"lmdb:.\"");
        record(
            &gate,
            Stated { code: Some(131_047), id: Some("wamid.refused"), ..stated(EventKind::Failed, hours_ago(1)) },
        );
        return;
    }
    type Deed = fn(&Path);
    let deeds: [(&str, Deed); 5] = [
        ("it is there", |_| {}),
        ("it is gone", |table| fs::remove_file(table).unwrap()),
        ("another lies there", |table| {
            let copy = table.with_extension("copy");
            fs::copy(table, &copy).unwrap();
            fs::rename(copy, table).unwrap();
        }),
        ("something else lies there", |table| {
            fs::remove_file(table).unwrap();
            fs::write(table, "something else").unwrap();
        }),
        ("no table can be made", |table| {
            fs::remove_file(table).unwrap();
            fs::create_dir(table).unwrap();
            fs::create_dir(table.with_extension("hints.new")).unwrap();
        }),
    ];
    for (name, deed) in deeds {
        let folder = folder();
        let gate = gate_in(folder.path(), "store = \"lmdb:.\"");
        record(&gate, stated(EventKind::CustomerMessage, hours_ago(2)));
        let state = || check(&gate, ANNA, hours_ago(0)).window.state;
        assert_eq!(state(), State::Open);
        deed(&folder.path().join("csw.hints"));
        assert_eq!(state(), State::Open, "{name}");
        let child = another_process("no_hint_outlives_a_refusal_that_another_process_records", folder.path());
        assert!(child.success(), "{name}");
        assert_eq!(state(), State::Closed, "{name}");
        record(&gate, stated(EventKind::CustomerMessage, hours_ago(0)));
        assert_eq!(state(), State::Open, "{name}");
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(folder: &Path) -> LmdbStore {
    LmdbStore::open(folder, false).unwrap_or_else(|error| panic!("{error}"))
}

fn write(store: &dyn Store, mut work: impl FnMut(&mut dyn Write) -> Result<()>) {
    store.write(&mut work).unwrap();
}

fn read<T>(store: &dyn Store, mut work: impl FnMut(&dyn Read) -> Result<T>) -> T {
    let mut answer = None;
    let read = store.read(&mut |snapshot| {
        answer = Some(work(snapshot)?);
        Ok(())
    });
    read.unwrap();
    answer.unwrap()
}

fn get(store: &dyn Store, table: Table, key: &[u8]) -> Option<Vec<u8>> {
    read(store, |snapshot| Ok(snapshot.get(table, key)?.map(|value| value.into_owned())))
}

/// The keys from one on, as text.
fn scanned(snapshot: &(impl Read + ?Sized), table: Table, from: &[u8]) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    snapshot.scan(table, from, &mut |key, _| {
        keys.push(String::from_utf8(key.to_vec()).unwrap());
        Ok(true)
    })?;
    Ok(keys)
}

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

fn everything(store: &dyn Store) -> Vec<Entries> {
    let table = |table| {
        let mut entries = Vec::new();
        read(store, |snapshot| {
            snapshot.scan(table, b"", &mut |key, value| {
                entries.push((key.to_vec(), value.to_vec()));
                Ok(true)
            })
        });
        entries
    };
    Table::ALL.into_iter().map(table).collect()
}

fn everything_of_a_small_store(store: &dyn Store) -> Vec<Entries> {
    write(store, |transaction| {
        transaction.put(Table::Contacts, b"anna", b"before")?;
        transaction.put(Table::Contacts, b"bert", b"before")
    });
    everything(store)
}

fn change_everything(transaction: &mut dyn Write) -> Result<()> {
    transaction.put(Table::Contacts, b"anna", b"changed")?;
    transaction.put(Table::Contacts, b"anna", b"changed again")?;
    transaction.delete(Table::Contacts, b"bert")?;
    transaction.put(Table::Ledger, b"new", b"")
}

fn refused_and_left_alone(folder: &Path) -> Error {
    let before = fs::read(folder.join("data.mdb")).unwrap();
    let refused = LmdbStore::open(folder, false).err();
    assert!(fs::read(folder.join("data.mdb")).unwrap() == before, "the file was changed");
    let error = refused.unwrap_or_else(|| panic!("it was not refused"));
    assert_eq!(error.code(), Code::Format, "{error}");
    error
}

/// Runs one of these tests in a process of its own, which finds the folder of its store in the environment.
fn another_process(test: &str, folder: &Path) -> ExitStatus {
    let mut process = Command::new(std::env::current_exe().unwrap());
    process.args(["--exact", test, "--quiet"]).env("CSW_TEST_STORE", folder).env("RUST_BACKTRACE", "0");
    process.output().unwrap().status
}

fn in_another_process() -> Option<PathBuf> {
    std::env::var_os("CSW_TEST_STORE").map(PathBuf::from)
}
