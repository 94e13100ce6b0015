//! A folder with a configuration and a store, and the command run in it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use csw::gate::Gate;
use csw::party::{Business, Customer};
use csw::time::Timestamp;
use serde_json::{Value, json};

use crate::support::{ANNA, SHOP, text, webhook, with};

/// 2026-10-10, 12:00 in UTC: the moment that stories begin at.
pub const NOON: Timestamp = Timestamp::from_seconds(1_791_633_600);

pub struct Place {
    pub folder: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self::with("")
    }

    /// With these lines of csw.toml, and a store that a gateway has made.
    pub fn with(lines: &str) -> Self {
        let place = Self::without_store(lines);
        // Of a configuration that is wrong on purpose there is none.
        let _ = Gate::open(&place.config()).and_then(|gate| gate.ledger_length());
        place
    }

    /// With these lines of csw.toml alone.
    pub fn without_store(lines: &str) -> Self {
        let place = Place { folder: tempfile::tempdir().unwrap() };
        std::fs::write(place.config(), format!("store = \"lmdb:store\"\n{lines}")).unwrap();
        place
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("csw.toml")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Runs the command in the folder.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs it with some standard input.
    pub fn run_with(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        // One that has seen enough ends before it has read all.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = csw(&self.config());
        command.current_dir(self.folder.path()).args(arguments);
        command
    }

    /// Runs it, and reads its answer as JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[&["--json"], arguments].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&output)))
    }

    /// Records webhooks.
    pub fn ingest(&self, webhooks: &[Value]) {
        let output = self.run_with(&["ingest", "-"], lines(webhooks).as_bytes());
        assert!(output.status.success(), "{}", said(&output));
    }

    pub fn gate(&self) -> Gate {
        Gate::open(&self.config()).unwrap()
    }

    pub fn last_act(&self, customer: &str) -> Option<Timestamp> {
        let business = Business::parse(SHOP).unwrap();
        let customer = Customer::parse(customer).unwrap();
        self.gate().check(business, &customer, Timestamp::now()).unwrap().window.last_act
    }
}

pub fn csw(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_csw"));
    command.arg("--config").arg(config).env_remove("CSW_CONFIG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Everything that was said.
pub fn said(output: &Output) -> String {
    format!("{}{}", out(output), String::from_utf8_lossy(&output.stderr))
}

/// What was said on standard output.
pub fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Webhooks as they are stored, one a line.
pub fn lines(webhooks: &[Value]) -> String {
    webhooks.iter().map(|webhook| format!("{webhook}\n")).collect()
}

/// Anna writes to the shop.
pub fn anna_writes(id: &str, at: Timestamp) -> Value {
    webhook("messages", json!({"messages": [text(ANNA, id, at)]}))
}

/// A message to Anna is delivered, at a price.
pub fn delivered(id: &str, at: Timestamp, category: &str, kind: &str) -> Value {
    let pricing = json!({"billable": kind == "regular", "pricing_model": "PMP", "type": kind, "category": category});
    let status = with(crate::support::status("delivered", id, at), json!({"pricing": pricing}));
    webhook("messages", json!({"statuses": [status]}))
}
