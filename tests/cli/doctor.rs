//! `csw doctor`.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::place::{NOON, Place, anna_writes, delivered, out, said};
use crate::rates::{in_euros, with_rates};

/// How a check stands, with what was found.
fn health(findings: &Value, check: &str) -> String {
    let found = findings.as_array().unwrap().iter().filter(|row| row["check"] == check);
    let told = found.map(|row| format!("{} {}", row["health"].as_str().unwrap(), row["found"].as_str().unwrap()));
    told.collect::<Vec<_>>().join("; ")
}

fn story(place: Place) -> Place {
    place.ingest(&[anna_writes("in-1", NOON), delivered("out-1", NOON, "marketing", "regular")]);
    place
}

#[test]
fn a_healthy_store_has_no_fault() {
    let place = story(with_rates());
    let output = place.run(&["doctor", "--deep"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let findings = place.json(&["doctor", "--deep"]);
    for (check, expected) in [
        ("configuration", "ok "),
        ("webhook secret", "warn none"),
        ("time zone", "ok UTC, where it is "),
        ("store files", "ok modes 700 660 660 660"),
        ("disk", "ok "),
        ("rate cards", "warn EUR from 2026-10-01, without "),
    ] {
        assert!(health(&findings, check).starts_with(expected), "{check}: {}", health(&findings, check));
    }
    assert!(health(&findings, "store").contains("entries in the ledger"), "{findings}");
    assert!(health(&findings, "ledger").contains("add up to"), "{findings}");
}

#[test]
fn a_configuration_that_cannot_be_read_is_a_no() {
    let place = Place::with("stroe = \"memory:\"\n");
    let output = place.run(&["doctor"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(out(&output).contains("stroe"), "{}", said(&output));
}

#[test]
fn a_store_that_is_not_there_is_not_made() {
    let place = Place::without_store("");
    assert_eq!(place.run(&["doctor"]).status.code(), Some(0));
    assert!(!place.path("store").exists());
}

#[test]
fn what_cannot_be_told_prices_is_a_fault() {
    let place = story(in_euros());
    assert_eq!(place.run(&["doctor"]).status.code(), Some(3));
    assert!(health(&place_json(&place), "rate cards").starts_with("fail none in EUR"));
}

#[test]
fn a_store_that_everybody_reads_is_a_fault() {
    let place = story(Place::new());
    std::fs::set_permissions(place.path("store/data.mdb"), std::fs::Permissions::from_mode(0o664)).unwrap();
    assert_eq!(place.run(&["doctor"]).status.code(), Some(3));
    assert!(health(&place_json(&place), "store files").contains("data.mdb is open to everybody (mode 664)"));
}

#[test]
fn a_damaged_store_is_a_fault() {
    let place = story(Place::new());
    std::fs::write(place.path("store/data.mdb"), [7; 8192]).unwrap();
    let output = place.run(&["doctor"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(health(&place_json(&place), "store").starts_with("fail "), "{}", said(&output));
}

#[test]
fn what_weakens_the_guard_is_warned_about() {
    let place = Place::with("mode = \"monitor\"\ntest_clock = true\n");
    let findings = place_json(&place);
    assert_eq!(
        (health(&findings, "mode").as_str(), health(&findings, "test clock").as_str()),
        ("warn monitor", "warn on")
    );
}

fn place_json(place: &Place) -> Value {
    place.json(&["doctor"])
}
