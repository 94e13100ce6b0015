//! The operator's command, run as an operator runs it.
#![cfg(feature = "cli")]
// What cannot be set up fails the test.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use csw::gate::Gate;
use csw::party::{Business, Customer};
use csw::time::Timestamp;

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Place { folder: tempfile::tempdir().unwrap() };
        std::fs::write(place.config(), "store = \"lmdb:store\"\n").unwrap();
        place
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("csw.toml")
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn run(&self, arguments: &[&str]) -> Output {
        csw(&self.config(), arguments).output().unwrap()
    }

    fn last_act(&self, customer: &str) -> Option<Timestamp> {
        let gate = Gate::open(&self.config()).unwrap();
        let business = Business::parse("106540352242922").unwrap();
        let checked = gate.check(business, &Customer::parse(customer).unwrap(), Timestamp::now()).unwrap();
        checked.window.last_act
    }
}

fn csw(config: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_csw"));
    command.arg("--config").arg(config).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn import_records_last_acts_in_each_way_of_writing_a_time() {
    let place = Place::new();
    let rows = [
        ("+1 650 555 1234", "2025-10-01T12:00:00Z", 1_759_320_000_000),
        ("16505551235", "2025-10-01", 1_759_276_800_000),
        ("16505551236", "1759320000", 1_759_320_000_000),
        ("16505551237", "1759320000123", 1_759_320_000_123),
        ("US.13491208655302741918", "2025-10-01T14:00:00+02:00", 1_759_320_000_000),
    ];
    let table = rows.map(|(customer, at, _)| format!("106540352242922,{customer},{at}\n")).concat();
    let file = place.file("customers.csv", &format!("business,customer,last_act\n{table}"));
    for round in ["first", "again"] {
        let output = place.run(&["import", file.to_str().unwrap()]);
        assert!(output.status.success(), "{round}: {}", said(&output));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "5 rows recorded, 0 left out\n");
    }
    for (customer, at, millis) in rows {
        assert_eq!(place.last_act(customer), Some(Timestamp::from_millis(millis)), "{customer} {at}");
    }
}

#[test]
fn import_finds_its_columns_in_any_order_and_behind_a_byte_order_mark() {
    let place = Place::new();
    let file = place.file(
        "customers.csv",
        "\u{feff}last_act,name,customer,business\n2025-10-01,Sheena,16505551234,106540352242922\n",
    );
    assert!(place.run(&["import", file.to_str().unwrap()]).status.success());
    assert!(place.last_act("16505551234").is_some());
}

#[test]
fn import_leaves_out_rows_that_cannot_be_read_and_names_them_without_the_number() {
    let place = Place::new();
    let file = place.file(
        "customers.csv",
        "business,customer,last_act\n\
         106540352242922,16505551234,yesterday\n\
         106540352242922,whatsapp:+447700900123,2025-10-01\n\
         106540352242922,16505551238,2099-01-01\n\
         106540352242922,16505551239,2025-10-01\n",
    );
    let output = place.run(&["import", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let said = said(&output);
    assert!(said.contains("1 rows recorded, 3 left out"), "{said}");
    assert!(said.contains("line 2: last_act: \"yesterday\"") && said.contains("line 3: customer"), "{said}");
    assert!(!said.contains("7700900123"), "{said}");
    assert!(place.last_act("16505551239").is_some());
    assert_eq!(place.last_act("16505551238"), None, "the future opens no window");
}

#[test]
fn import_reads_standard_input() {
    let place = Place::new();
    let mut child = csw(&place.config(), &["import", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"business,customer,last_act\n106540352242922,16505551234,2025-10-01\n")
        .unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
    assert!(place.last_act("16505551234").is_some());
}

#[test]
fn import_says_which_column_is_missing_and_which_file() {
    let place = Place::new();
    let file = place.file("customers.csv", "business,phone,last_act\n");
    let output = place.run(&["import", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("customers.csv: no column customer"), "{}", said(&output));
    let output = place.run(&["import", "nowhere.csv"]);
    assert!(said(&output).contains("nowhere.csv"), "{}", said(&output));
}

#[test]
fn grow_makes_room_and_keeps_what_is_there() {
    let place = Place::new();
    let file = place.file("customers.csv", "business,customer,last_act\n106540352242922,16505551234,2025-10-01\n");
    assert!(place.run(&["import", file.to_str().unwrap()]).status.success());
    let output = place.run(&["grow", "128"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("128 GiB"));
    for too_small in ["0", "1", "128", "99999999999999"] {
        assert_eq!(place.run(&["grow", too_small]).status.code(), Some(1), "{too_small}");
    }
    assert!(place.last_act("16505551234").is_some());
}
