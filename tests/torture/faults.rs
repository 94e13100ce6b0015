//! Faults: whatever is wrong with the store, an error says what to do, what is reported done is there, what is reported failed may be repeated,
//! and no call of the host hangs.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use csw::error::{Code, Error};
use csw::gate::recorder::Outcome;
use csw::store::lmdb::LmdbStore;
use csw::store::{Store, Table};
use tempfile::TempDir;

use crate::gateway::{CUSTOMER, Http, Server, inbound, now, shell, text, timed, wait};
use crate::host::{Frozen, Host, another_process, customer, hold_the_writers_lock, in_another_process};
use crate::measure::{Longest, say, short_or_long};
use crate::nginx::Gateway;

/// The words that an error must have: where it is, and what to do.
fn says(error: &Error, code: Code, words: &[&str]) {
    assert_eq!(error.code(), code, "{error}");
    let missing: Vec<_> = words.iter().filter(|word| !error.message().contains(**word)).collect();
    assert!(missing.is_empty(), "{missing:?} is not said by: {error}");
}

/// Every customer that was reported done is there.
fn all_there(folder: &Path, done: &[usize]) -> Host {
    let host = Host::on(folder);
    for n in done {
        assert_eq!(host.knows(&customer(*n)), Ok(true), "customer {n} was reported done");
    }
    host
}

#[test]
fn full_disk_is_named_and_the_store_goes_on_once_there_is_room() {
    let disk = Disk::of_kib(short_or_long(1024, 16 * 1024));
    let (store, ballast) = (disk.0.path().join("csw"), disk.0.path().join("ballast"));
    fs::create_dir(&store).unwrap();
    fs::write(&ballast, [0; 128 * 1024]).unwrap();
    let host = Host::on(&store);
    let mut done = Vec::new();
    let full = loop {
        match host.records(&customer(done.len())) {
            Ok(_) => done.push(done.len()),
            Err(error) => break error,
        }
        assert!(done.len() < short_or_long(20_000, 400_000), "more was done than the disk holds");
    };
    says(&full, Code::Store, &[store.to_str().unwrap(), "the disk is full; free some space"]);
    for _ in 0..20 {
        says(&host.records(&customer(done.len())).unwrap_err(), Code::Store, &["free some space"]);
    }
    assert_eq!(host.knows(&customer(0)), Ok(true), "reading goes on");

    fs::remove_file(ballast).unwrap();
    host.records(&customer(done.len())).unwrap();
    done.push(done.len());
    let longest = host.close();
    all_there(&store, &done).close();

    // A new store finds no room either.
    let other = disk.0.path().join("other");
    fs::create_dir(&other).unwrap();
    let host = Host::on(&other);
    fs::write(disk.0.path().join("fills"), vec![0; 1 << 25]).unwrap_err();
    says(&host.records(CUSTOMER).unwrap_err(), Code::Store, &["No space left on device", "free some space"]);
    say(&format!(
        "full disk: {} done before it was full; {} calls, the longest {:?}",
        done.len() - 1,
        longest.calls,
        longest.took
    ));
}

/// Each write and each sync of a commit fails in turn, once or from then on, while the disk says EIO.
#[test]
fn failed_write_or_sync_is_acknowledged_by_nobody() {
    if let Some(folder) = in_another_process() {
        return fail_each_call(&folder);
    }
    let folder = TempDir::new().unwrap();
    let shim = folder.path().join("failing.so");
    shell(&format!(
        "cc -std=c99 -Wall -Wextra -Werror -pedantic -O2 -shared -fPIC -o {} {}/tests/torture/failing.c -ldl",
        shim.display(),
        env!("CARGO_MANIFEST_DIR")
    ));
    let mut process = another_process("faults::failed_write_or_sync_is_acknowledged_by_nobody", folder.path());
    assert!(process.env("LD_PRELOAD", shim).status().unwrap().success());
}

fn fail_each_call(folder: &Path) {
    // As in failing.c.
    const WRITES: i32 = 1;
    const SYNCS: i32 = 2;
    const UNSURE: i32 = 4;
    // SAFETY: the preloaded library's function, with its own signature; the name is closed with a zero.
    let fail_calls: extern "C" fn(i32, i32, i32, i32) = unsafe {
        let found = libc::dlsym(libc::RTLD_DEFAULT, c"fail_calls".as_ptr());
        assert!(!found.is_null(), "failing.so is not preloaded");
        std::mem::transmute(found)
    };
    let mut longest = Longest::default();
    let (mut done, mut failed, mut there_all_the_same) = (Vec::new(), 0, 0);
    let mut next = 0..;
    let once = [WRITES, WRITES | UNSURE, SYNCS, SYNCS | UNSURE].map(|kinds| (kinds, 1));
    let from_then_on = once.map(|(kinds, _)| (kinds, i32::MAX));
    for (kinds, count) in [once, from_then_on].concat().repeat(short_or_long(1, 20)) {
        for after in 0.. {
            let host = all_there(folder, &done[done.len().saturating_sub(10)..]);
            let (before, during, later) = (next.next().unwrap(), next.next().unwrap(), next.next().unwrap());
            host.records(&customer(before)).unwrap();
            done.push(before);
            fail_calls(kinds, after, count, libc::EIO);
            let outcome = host.records(&customer(during));
            fail_calls(0, 0, 0, 0);
            let Err(error) = outcome else {
                // The commit has no further such call.
                assert!(after > 0, "nothing failed");
                done.push(during);
                longest.join(&host.close());
                break;
            };
            failed += 1;
            assert_ne!(host.knows(&customer(during)), Ok(true), "what failed opens nothing");
            says(&error, Code::Store, &[folder.to_str().unwrap(), "check the disk, then restart the gateway"]);
            let refused = host.records(&customer(later)).unwrap_err();
            says(&refused, Code::Store, &["check the disk, then restart the gateway"]);
            if let Err(error) = host.knows(&customer(before)) {
                says(&error, Code::Store, &["check the disk, then restart the gateway"]);
            }
            longest.join(&host.close());

            let host = Host::on(folder);
            assert_eq!(host.knows(&customer(later)), Ok(false));
            let report = host.records(&customer(during)).unwrap();
            there_all_the_same += report.repeated;
            done.push(during);
            host.close();
        }
    }
    all_there(folder, &done).close();
    say(&format!(
        "EIO: {failed} commits failed, {there_all_the_same} of them were there all the same, {} done; {} calls, the longest {:?}",
        done.len(),
        longest.calls,
        longest.took
    ));
}

#[test]
fn process_without_descriptors_is_told_and_goes_on_once_it_has_some() {
    if let Some(folder) = in_another_process() {
        return run_out_of_descriptors(&folder);
    }
    let folder = TempDir::new().unwrap();
    let test = "faults::process_without_descriptors_is_told_and_goes_on_once_it_has_some";
    assert!(another_process(test, folder.path()).status().unwrap().success());
}

fn run_out_of_descriptors(parent: &Path) {
    let limit = |descriptors: u64| {
        let limit = libc::rlimit { rlim_cur: descriptors, rlim_max: 1024 };
        // SAFETY: the limit lives through the call.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
    };
    let mut longest = Longest::default();
    let mut refused = 0;
    for spare in 0.. {
        let folder = parent.join(spare.to_string());
        fs::create_dir(&folder).unwrap();
        let host = Host::on(&folder);
        limit(fs::File::open("/dev/null").map(|file| std::os::fd::AsRawFd::as_raw_fd(&file)).unwrap() as u64 + spare);
        let outcome = host.records(CUSTOMER);
        // Once it is open, a store needs no more of them.
        let goes_on = outcome.is_err() || host.records(&customer(1)).is_ok();
        limit(1024);
        assert!(goes_on);
        if let Err(error) = &outcome {
            refused += 1;
            says(
                error,
                Code::Store,
                &[folder.to_str().unwrap(), "Too many open files", "raise the limit of open files"],
            );
            host.records(CUSTOMER).unwrap();
        }
        assert_eq!(host.knows(CUSTOMER), Ok(true));
        longest.join(&host.close());
        if outcome.is_ok() && spare > 0 {
            break;
        }
    }
    assert!(refused > 2, "{refused} times there were too few");
    say(&format!("EMFILE: {refused} refused, all repeated; {} calls, the longest {:?}", longest.calls, longest.took));
}

#[test]
fn folder_that_may_not_be_written_is_named_with_who_should_own_it() {
    if let Some(folder) = in_another_process() {
        // SAFETY: no pointer is looked behind; this process is the test's own.
        let is_nobody =
            unsafe { libc::setgroups(0, std::ptr::null()) + libc::setgid(65534) + libc::setuid(65534) == 0 };
        assert!(is_nobody, "only root becomes nobody");
        let (error, took) = timed(|| LmdbStore::open(&folder, false).err().unwrap());
        assert!(took < Duration::from_secs(1), "{took:?}");
        return says(
            &error,
            Code::Store,
            &[folder.to_str().unwrap(), "give the folder and its files to the gateway's user"],
        );
    }
    let parent = TempDir::new().unwrap();
    let open = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    open(parent.path(), 0o755);
    let refused = |case: &str, prepare: &dyn Fn(&Path)| {
        let folder = parent.path().join(case);
        fs::create_dir(&folder).unwrap();
        prepare(&folder);
        let test = "faults::folder_that_may_not_be_written_is_named_with_who_should_own_it";
        assert!(another_process(test, &folder).status().unwrap().success(), "{case}");
    };
    refused("an empty folder", &|folder| open(folder, 0o755));
    refused("a folder that may not be entered", &|folder| open(folder, 0o700));
    refused("somebody else's store", &|folder| {
        Host::on(folder).records(CUSTOMER).unwrap();
        open(folder, 0o755);
    });
    refused("a store that may only be read", &|folder| {
        Host::on(folder).records(CUSTOMER).unwrap();
        open(folder, 0o755);
        ["data.mdb", "lock.mdb", "csw.lock"].iter().for_each(|file| open(&folder.join(file), 0o644));
    });
    say("read-only: 4 folders refused by name");
}

#[test]
fn record_of_a_newer_version_stops_its_customer_and_nobody_else() {
    let folder = TempDir::new().unwrap();
    let host = Host::on(folder.path());
    for n in 0..2 {
        host.records(&customer(n)).unwrap();
    }
    host.close();
    let store = LmdbStore::open(folder.path(), false).unwrap();
    let contact = |store: &LmdbStore| {
        let mut found = None;
        let read = store.read(&mut |snapshot| {
            snapshot.scan(Table::Contacts, b"", &mut |key, value| {
                found = Some((key.to_vec(), value.to_vec()));
                Ok(false)
            })
        });
        read.map(|()| found.unwrap()).unwrap()
    };
    let (key, mut newer) = contact(&store);
    newer[0] += 1;
    store.write(&mut |transaction| transaction.put(Table::Contacts, &key, &newer)).unwrap();
    drop(store);

    let host = Host::on(folder.path());
    says(&host.knows(&customer(0)).unwrap_err(), Code::Format, &["contacts", "use the newer csw"]);
    let waiting = [0, 1, 2].map(|n| host.submit(&customer(n)).unwrap());
    let [first, second, third] = waiting.map(|ticket| host.outcome(ticket));
    says(&first.unwrap_err(), Code::Format, &["contacts", "use the newer csw"]);
    assert!(second.is_ok() && third.is_ok());
    let longest = host.close();
    assert_eq!(contact(&LmdbStore::open(folder.path(), false).unwrap()).1, newer, "it is left as it is");
    say(&format!("a newer record: {} calls, the longest {:?}", longest.calls, longest.took));
}

/// In a process of its own, since a page that is not there takes its process down.
#[test]
fn file_that_was_cut_or_is_foreign_is_put_right_or_named() {
    if let Some(folder) = in_another_process() {
        return open_what_was_damaged(&folder);
    }
    let text: &[u8] = b"this is not a file of csw\n";
    let long: Vec<u8> = text.iter().copied().cycle().take(100_000).collect();
    let (mut right, mut named) = (0, 0);
    for file in ["lock.mdb", "csw.lock", "csw.metrics.1", "data.mdb"] {
        for (case, bytes) in [("empty", &[][..]), ("cut", &[0]), ("foreign", text), ("long and foreign", &long)] {
            let folder = TempDir::new().unwrap();
            Host::on(folder.path()).records(CUSTOMER).unwrap();
            fs::write(folder.path().join(file), bytes).unwrap();
            let test = "faults::file_that_was_cut_or_is_foreign_is_put_right_or_named";
            let mut process = another_process(test, folder.path());
            let status = process.env("CSW_TORTURE_FILE", file).status().unwrap();
            assert!(status.success(), "{case} {file}: {status}");
            if file == "data.mdb" && !bytes.is_empty() {
                assert_eq!(fs::read(folder.path().join(file)).unwrap(), bytes, "{case} {file} was changed");
                named += 1;
            } else {
                right += 1;
            }
        }
    }
    say(&format!("damaged files: {right} put right, {named} named and left alone"));
}

fn open_what_was_damaged(folder: &Path) {
    let file = std::env::var("CSW_TORTURE_FILE").unwrap();
    let host = Host::on(folder);
    let is_empty = fs::metadata(folder.join(&file)).unwrap().len() == 0;
    if file == "data.mdb" && !is_empty {
        return says(
            &host.knows(CUSTOMER).unwrap_err(),
            Code::Format,
            &[folder.to_str().unwrap(), "data.mdb", "left as it is"],
        );
    }
    // An empty data.mdb is a new store, which knows nobody.
    assert_eq!(host.knows(CUSTOMER), Ok(file != "data.mdb"));
    host.records(&customer(1)).unwrap();
    host.close();
    all_there(folder, &[1]).close();
}

#[test]
fn peer_that_is_frozen_while_it_writes_holds_up_no_call() {
    if let Some(folder) = in_another_process() {
        return hold_the_writers_lock(&folder);
    }
    let test = "faults::peer_that_is_frozen_while_it_writes_holds_up_no_call";
    let folder = TempDir::new().unwrap();
    let mut longest = Longest::default();
    let mut next = 0;
    for round in 0..short_or_long(2, 8) {
        let waits = Host::on(folder.path());
        waits.records(&customer(next)).unwrap();
        waits.close();
        let frozen = Frozen::by(test, folder.path());

        // A store is opened, read and submitted to, until the queue is full.
        let began = Instant::now();
        let host = all_there(folder.path(), &[next]);
        let (mut tickets, first) = (Vec::new(), next);
        let busy = loop {
            next += 1;
            match host.submit(&customer(next)) {
                Ok(ticket) => tickets.push(ticket),
                Err(error) => break error,
            }
        };
        says(&busy, Code::Busy, &["submit it again in a moment"]);
        assert_eq!(host.poll(tickets[0]), Ok(Outcome::Pending));
        assert_eq!(host.knows(&customer(first)), Ok(true));
        if short_or_long(false, round < 2) {
            wait_until(began + Duration::from_secs(31));
            says(&host.poll(tickets[0]).unwrap_err(), Code::Timeout, &["repeating is harmless"]);
        }
        if round % 2 == 0 {
            frozen.thaw();
        } else {
            frozen.kill();
        }
        let last = *tickets.last().unwrap();
        wait("the last one is decided", || !matches!(host.poll(last), Ok(Outcome::Pending) | Err(_)));
        tickets.iter().for_each(|ticket| drop(host.outcome(*ticket).unwrap()));
        longest.join(&host.close());
        all_there(folder.path(), &(first..next).collect::<Vec<_>>()).close();
    }
    say(&format!("frozen peer: {next} done; {} calls, the longest {:?}", longest.calls, longest.took));
}

fn wait_until(moment: Instant) {
    thread::sleep(moment.saturating_duration_since(Instant::now()));
}

#[test]
fn nginx_beside_a_frozen_peer_answers_in_time_and_goes_on_after_it() {
    if let Some(folder) = in_another_process() {
        return hold_the_writers_lock(&folder);
    }
    let test = "faults::nginx_beside_a_frozen_peer_answers_in_time_and_goes_on_after_it";
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).start();
    assert_eq!(gateway.webhook(&inbound(CUSTOMER, now())).status, 200);
    let store = gateway.dir.path().join("store");
    let all_is_booked = || {
        let sent = platform.requests().len();
        wait("every send is in the books", || gateway.csw(&["report", "--by", "business"])[0]["messages"] == sent);
    };
    let (mut webhooks, mut sends) = (Longest::default(), Longest::default());
    for round in 0..short_or_long(2, 6) {
        let stranger = customer(round);
        let body = inbound(&stranger, now());
        let frozen = Frozen::by(test, &store);
        if round % 2 == 1 {
            // Workers that start now open the store, too.
            let before = gateway.workers();
            gateway.signal("HUP");
            wait("new workers took over", || gateway.workers().len() == 2 && gateway.workers().is_disjoint(&before));
        }
        thread::scope(|scope| {
            let late = [0; 8].map(|_| scope.spawn(|| timed(|| gateway.webhook(&body))));
            while !late.iter().all(thread::ScopedJoinHandle::is_finished) {
                let (answer, took) = timed(|| gateway.send(&text(CUSTOMER)));
                assert_eq!(answer.header("X-CSW-Reason"), "window_open", "a decision waits for nobody");
                sends.add(took);
                thread::sleep(Duration::from_millis(50));
            }
            for webhook in late {
                let (answer, took) = webhook.join().unwrap();
                assert_eq!(answer.status, 503, "{}", answer.text());
                webhooks.add(took);
            }
        });
        if round % 2 == 0 {
            frozen.thaw();
        } else {
            frozen.kill();
        }
        assert_eq!(gateway.webhook(&body).status, 200, "a repeat is taken");
        assert_eq!(gateway.window(&stranger)["state"], "open");
        // A worker that exits while the store stands still waits two seconds for what it has not recorded yet.
        all_is_booked();
    }
    say(&format!(
        "nginx beside a frozen peer: {} webhooks answered 503, the longest {:?}; {} sends decided, the longest {:?}",
        webhooks.calls, webhooks.took, sends.calls, sends.took
    ));
    assert!(webhooks.took < Duration::from_secs(8), "a webhook has five seconds");
    assert!(sends.took < Duration::from_secs(2));
}

/// A disk of a few KiB; only root can have one.
struct Disk(TempDir);

impl Disk {
    fn of_kib(size: u32) -> Self {
        let folder = TempDir::new().unwrap();
        shell(&format!("mount -t tmpfs -o size={size}k csw-torture {}", folder.path().display()));
        Disk(folder)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let folder = CString::new(self.0.path().to_str().unwrap()).unwrap();
        // SAFETY: the string lives through the call.
        unsafe { libc::umount2(folder.as_ptr(), libc::MNT_DETACH) };
    }
}
