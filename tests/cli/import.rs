//! `csw import` and `csw grow`.

use csw::time::Timestamp;
use serde_json::json;

use crate::place::{Place, said};

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
    let file = place.file("customers.csv", format!("business,customer,last_act\n{table}"));
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
    let output =
        place.run_with(&["import", "-"], b"business,customer,last_act\n106540352242922,16505551234,2025-10-01\n");
    assert!(output.status.success());
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
fn import_says_in_json_what_it_did() {
    let place = Place::new();
    let file =
        place.file("customers.csv", "business,customer,last_act\n106540352242922,16505551234,2025-10-01\n1,2,3\n");
    assert_eq!(place.json(&["import", file.to_str().unwrap()]), json!({"recorded": 1, "left_out": 1}));
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
