//! A gateway's side of csw: one thread that submits and polls as an event loop does, each of its calls timed; and other processes of the test's own.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use csw::error::Result;
use csw::gate::Gate;
use csw::gate::recorder::{Outcome, Report, Ticket};
use csw::party::Customer;
use csw::rules::event::EventKind;
use csw::rules::window::State;
use csw::wire::record::{self, Stated};

use crate::gateway::{signal, timed, wait};
use crate::measure::Longest;
use crate::support::{gate_in, hours_ago, shop, stated};

/// No call of a host takes so long, whatever is wrong with the store; a ticket may stay undecided for thirty.
const NO_HANG: Duration = Duration::from_secs(5);

pub struct Host {
    gate: Gate,
    longest: Cell<Longest>,
}

impl Host {
    /// With a store in a folder; it is opened by the first call.
    pub fn on(folder: &Path) -> Self {
        Host { gate: gate_in(folder, "store = \"lmdb:.\""), longest: Cell::default() }
    }

    fn call<T>(&self, work: impl FnOnce(&Gate) -> T) -> T {
        let (came, took) = timed(|| work(&self.gate));
        let mut longest = self.longest.get();
        longest.add(took);
        self.longest.set(longest);
        assert!(took < NO_HANG, "a call took {took:?}");
        came
    }

    /// A customer's message, which opens the window.
    pub fn submit(&self, customer: &str) -> Result<Ticket> {
        let id = format!("wamid.{customer}");
        let said = Stated { customer, id: Some(&id), ..stated(EventKind::CustomerMessage, hours_ago(1)) };
        self.call(|gate| gate.submit_record(record::event(said).unwrap()))
    }

    pub fn poll(&self, ticket: Ticket) -> Result<Outcome> {
        self.call(|gate| gate.poll(ticket))
    }

    /// What it came to, once it is decided.
    pub fn outcome(&self, ticket: Ticket) -> Result<Report> {
        loop {
            match self.poll(ticket)? {
                Outcome::Pending => thread::sleep(Duration::from_millis(1)),
                Outcome::Done(report) => return Ok(report),
                Outcome::Failed(error) => return Err(error),
            }
        }
    }

    pub fn records(&self, customer: &str) -> Result<Report> {
        self.outcome(self.submit(customer)?)
    }

    /// Whether the customer's message is on record.
    pub fn knows(&self, customer: &str) -> Result<bool> {
        let customer = Customer::parse(customer).unwrap();
        let checked = self.call(|gate| gate.check(shop(), &customer, hours_ago(0)))?;
        Ok(checked.window.state == State::Open)
    }

    /// Lets go of the store; what the longest call took, and how many there were.
    pub fn close(self) -> Longest {
        let Host { gate, longest } = self;
        let ((), took) = timed(|| drop(gate));
        assert!(took < NO_HANG, "closing took {took:?}");
        longest.into_inner()
    }
}

/// A customer's number.
pub fn customer(n: usize) -> String {
    format!("4477009{n:05}")
}

/// A test in a process of its own, which finds its folder in the environment.
pub fn another_process(test: &str, folder: &Path) -> Command {
    let mut process = Command::new(std::env::current_exe().unwrap());
    process.args(["--exact", test, "--quiet"]).env("CSW_TORTURE_FOLDER", folder).env("RUST_BACKTRACE", "0");
    process
}

pub fn in_another_process() -> Option<PathBuf> {
    std::env::var_os("CSW_TORTURE_FOLDER").map(PathBuf::from)
}

/// A process that was frozen while it holds the lock of a store's writers; killed where nobody thaws it.
pub struct Frozen(Child);

impl Frozen {
    /// What the test named does in another process must be [`hold_the_writers_lock`].
    pub fn by(test: &str, store: &Path) -> Self {
        let inside = store.join("inside");
        let frozen = Frozen(another_process(test, store).spawn().unwrap());
        wait("the peer is inside its transaction", || inside.exists());
        signal(&frozen.0, "STOP");
        wait("all its threads stand still", || frozen.stands_still());
        fs::remove_file(inside).unwrap();
        frozen
    }

    /// The signal is taken by one thread; until that has run, the others go on.
    fn stands_still(&self) -> bool {
        let threads = fs::read_dir(format!("/proc/{}/task", self.0.id())).unwrap();
        threads.flatten().all(|thread| fs::read_to_string(thread.path().join("status")).unwrap().contains("State:\tT"))
    }

    /// Lets it go on: it commits and ends.
    pub fn thaw(mut self) {
        signal(&self.0, "CONT");
        assert!(self.0.wait().unwrap().success());
    }

    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Says that it is inside, and commits a while after its file is gone.
pub fn hold_the_writers_lock(folder: &Path) {
    let store = csw::store::lmdb::LmdbStore::open(folder, false).unwrap();
    let written = csw::store::Store::write(&store, &mut |_| {
        let inside = folder.join("inside");
        fs::write(&inside, "").unwrap();
        wait("it was seen", || !inside.exists());
        Ok(())
    });
    written.unwrap();
}
