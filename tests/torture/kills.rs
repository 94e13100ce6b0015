//! The kill farm: processes that record and check on one store are killed at random moments and replaced, and an outside witness knows what each of
//! them acknowledged. Nothing acknowledged is lost, no window is wrongly open, nothing counts twice, the store always opens, and the dead hold
//! nothing for long.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use csw::gate::process::is_locked;

use crate::support::{self, Chance, SECRET, WITHIN, long_or_short};
use witness::Witness;
use worker::Said;

mod facts;
mod witness;
mod worker;

const SLOTS: usize = 4;
/// How soon another process is served, and nothing of the dead one is left.
const SOON: Duration = Duration::from_secs(1);
/// Between this and nothing each process lives on once it is ready.
const LIFE: Duration = Duration::from_millis(60);
/// One in so many is killed while it starts: it opens the store then.
const EARLY: usize = 4;

#[test]
fn what_killed_processes_acknowledged_is_there_once_and_they_leave_nothing_behind() {
    if let Some(folder) = support::task() {
        return worker::run(&folder);
    }
    let seed = support::seed();
    println!("CSW_TORTURE_SEED={seed}");
    let (rounds, kills) = long_or_short((25, 100), (3, 5));
    let (folder, began) = (place(), Instant::now());
    let is_over = Arc::new(AtomicBool::new(false));
    let machine = thread::spawn({
        let is_over = Arc::clone(&is_over);
        move || longest_stall(&is_over)
    });
    let witness = Witness::new(SLOTS, seed);
    let mut slots: Vec<Slot> = (0..SLOTS).map(|slot| Slot::new(slot, folder.path(), &witness, seed)).collect();
    for _ in 0..rounds {
        let killing = AtomicUsize::new(SLOTS);
        thread::scope(|scope| {
            for slot in &mut slots {
                scope.spawn(|| slot.live_and_die(kills, &killing));
            }
        });
        witness.order_audit();
        let until = Instant::now() + WITHIN;
        while !witness.is_quiet() {
            for slot in &mut slots {
                slot.hear(Duration::from_millis(1));
            }
            assert!(Instant::now() < until, "something is never answered");
        }
        witness.judge_audit();
        let faults = witness.faults();
        assert!(faults.is_empty(), "seed {seed}: {} faults, the first of them:\n{}", faults.len(), first(&faults));
    }
    let reclaimed = slots.iter().map(|slot| slot.reclaimed).max().unwrap();
    drop(slots);
    is_over.store(true, Ordering::Release);
    let stalled = machine.join().unwrap();
    ask_doctor(folder.path());
    let tally = witness.tally();
    println!(
        "kill farm: {} kills, {} events acknowledged ({} repeated after a kill, {} erasures), {} checks ({} right after an \
         acknowledgement), {} audits: 0 lost, 0 wrongly open, 0 counted twice; longest wait for an acknowledgement after a kill {:?}, \
         for what the dead held {reclaimed:?}, of the machine itself {stalled:?}; {:?}",
        SLOTS * rounds * kills,
        tally.acknowledged,
        tally.repeated,
        tally.erasures,
        tally.checks,
        tally.checks_of_news,
        tally.audits,
        tally.longest_wait,
        began.elapsed(),
    );
    assert!(tally.longest_wait < SOON + stalled, "seed {seed}: a kill held up others");
    assert!(reclaimed < SOON + stalled, "seed {seed}: the dead held on to something");
}

/// The longest time for which the machine left a thread waiting that had but a moment to sleep: with so much work for it, nobody is served sooner.
fn longest_stall(is_over: &AtomicBool) -> Duration {
    let mut longest = Duration::ZERO;
    while !is_over.load(Ordering::Acquire) {
        let began = Instant::now();
        thread::sleep(Duration::from_millis(1));
        longest = longest.max(began.elapsed());
    }
    longest
}

fn first(faults: &[String]) -> String {
    faults.iter().take(5).map(String::as_str).collect::<Vec<_>>().join("\n")
}

/// A folder with a configuration; the store is made by the first process.
fn place() -> tempfile::TempDir {
    let folder = support::folder();
    let path = |name| folder.path().join(name);
    let lines = "[templates.category]\noffer = \"marketing\"\n[webhook]\nsecret_file = \"secret\"\n";
    fs::write(path("secret"), SECRET).unwrap();
    fs::write(path("csw.toml"), format!("store = \"lmdb:{}\"\n{lines}", path("store").display())).unwrap();
    folder
}

/// What the operator's command says of the store in the end, where it was built.
fn ask_doctor(folder: &Path) {
    let Some(csw) = option_env!("CARGO_BIN_EXE_csw") else { return };
    let config = folder.join("csw.toml");
    let output = Command::new(csw)
        .args(["--config".as_ref(), config.as_os_str(), "doctor".as_ref(), "--deep".as_ref()])
        .output()
        .unwrap();
    assert!(output.status.success(), "csw doctor --deep: {output:?}");
}

/// The place of one process after the other.
struct Slot<'w> {
    number: usize,
    folder: PathBuf,
    witness: &'w Witness,
    chance: Chance,
    process: Child,
    /// The end of the socket on which it is heard.
    ear: UnixStream,
    heard: Vec<u8>,
    is_ready: bool,
    /// The dead whose places in the table of readers may not be free yet, with the moments of their deaths.
    dead: Vec<(u32, Instant)>,
    /// The longest time for which a dead process held anything.
    reclaimed: Duration,
}

impl<'w> Slot<'w> {
    fn new(number: usize, folder: &Path, witness: &'w Witness, seed: u64) -> Self {
        let (process, ear) = start(number, folder, witness);
        Slot {
            number,
            folder: folder.to_owned(),
            witness,
            chance: Chance::of(seed + 1 + number as u64),
            process,
            ear,
            heard: Vec::new(),
            is_ready: false,
            dead: Vec::new(),
            reclaimed: Duration::ZERO,
        }
    }

    /// Kills so many processes, and finishes what they left undone when no slot kills any more.
    fn live_and_die(&mut self, kills: usize, killing: &AtomicUsize) {
        for _ in 0..kills {
            let is_early = self.chance.one_in(EARLY);
            while !is_early && !self.is_ready {
                self.hear(WITHIN);
            }
            let dies_at = Instant::now() + LIFE.mul_f64(self.chance.below(1000) as f64 / 1000.0);
            while let Some(left) = dies_at.checked_duration_since(Instant::now()) {
                self.witness.feed(self.number, true);
                self.hear(left);
            }
            self.kill();
        }
        killing.fetch_sub(1, Ordering::AcqRel);
        let until = Instant::now() + WITHIN;
        while killing.load(Ordering::Acquire) > 0 || !self.witness.is_quiet() || !self.is_ready {
            self.witness.feed(self.number, false);
            self.hear(Duration::from_millis(1));
            assert!(killing.load(Ordering::Acquire) > 0 || Instant::now() < until, "something is never acknowledged");
        }
    }

    fn kill(&mut self) {
        let (pid, killed_at) = (self.process.id(), Instant::now());
        self.process.kill().unwrap();
        let status = self.process.wait().unwrap();
        assert_eq!(status.signal(), Some(libc::SIGKILL), "a process ended by itself: {status}");
        let lock = File::open(self.folder.join("store/csw.lock"));
        if lock.is_ok_and(|lock| is_locked(&lock, pid as usize)) {
            self.witness.fault(format!("the dead process {pid} holds its byte of csw.lock"));
        }
        // What it said before it died is said.
        while self.hear(WITHIN) {}
        self.heard.clear();
        self.witness.mourn(self.number, killed_at);
        self.dead.push((pid, killed_at));
        (self.process, self.ear) = start(self.number, &self.folder, self.witness);
        self.is_ready = false;
    }

    /// Hears what the process says within a time; false when it has ended.
    fn hear(&mut self, within: Duration) -> bool {
        self.ear.set_read_timeout(Some(within.max(Duration::from_micros(100)))).unwrap();
        let mut bytes = [0; 16 << 10];
        match self.ear.read(&mut bytes) {
            Ok(0) => return false,
            Ok(length) => self.heard.extend(&bytes[..length]),
            Err(cause) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&cause.kind()) => return true,
            // Its end of the socket had something unread.
            Err(cause) if cause.kind() == ErrorKind::ConnectionReset => return false,
            Err(cause) => panic!("{cause}"),
        }
        let lines = self.heard.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines: Vec<u8> = self.heard.drain(..lines).collect();
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let said: Said = serde_json::from_slice(line).unwrap();
            if said == Said::Ready {
                self.is_ready = true;
                self.bury();
            }
            self.witness.hear(self.number, said);
        }
        true
    }

    /// Sees that the table of readers has none of the dead: who opens the store gives their places back.
    fn bury(&mut self) {
        let readers = readers(&self.folder.join("store/lock.mdb"));
        for (pid, killed_at) in self.dead.drain(..) {
            self.reclaimed = self.reclaimed.max(killed_at.elapsed());
            if readers.contains(&pid) {
                self.witness.fault(format!("the dead process {pid} is among the readers"));
            }
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn start(slot: usize, folder: &Path, witness: &Witness) -> (Child, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let test = "kills::what_killed_processes_acknowledged_is_there_once_and_they_leave_nothing_behind";
    let mut process = support::another_process(test, folder);
    let process = process.stdin(OwnedFd::from(theirs)).stdout(std::process::Stdio::null()).spawn().unwrap();
    witness.meet(slot, ours.try_clone().unwrap());
    (process, ours)
}

/// The processes that stand in LMDB's table of readers: a line of the cache each, behind two of the table's own, which say how many there are.
fn readers(lock: &Path) -> Vec<u32> {
    let table = fs::read(lock).unwrap();
    let number = |at: usize| u32::from_le_bytes(table[at..at + 4].try_into().unwrap());
    let readers = number(16) as usize;
    (0..readers).map(|reader| number(64 * (2 + reader) + 8)).filter(|pid| *pid != 0).collect()
}
