//! `csw report` and `csw ledger export`.

use csw::time::Span;
use serde_json::{Value, json};

use crate::place::{NOON, Place, anna_writes, delivered, out, said};
use crate::support::{ANNA, SHOP};

/// Anna writes; the shop answers; a template goes out; prices are reported.
fn story() -> Place {
    let place = Place::with(&format!("rules = \"meta-2026-10\"\n[numbers.{SHOP}]\ncurrency = \"EUR\"\n"));
    place.ingest(&[
        anna_writes("in-1", NOON),
        delivered("out-1", NOON + Span::hours(1), "service", "free_customer_service"),
        delivered("out-2", NOON + Span::hours(40), "marketing", "regular"),
    ]);
    place
}

const OCTOBER: [&str; 2] = ["--month", "2026-10"];

#[test]
fn report_is_a_table_with_a_total_for_each_currency() {
    let place = story();
    let output = place.run(&[&["report"], &OCTOBER[..]].concat());
    assert!(output.status.success(), "{}", said(&output));
    let said = out(&output);
    let rows: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        rows[0].join(" "),
        "category messages conversations free billable reported unpriced stopped refused dropped amount currency"
    );
    let rows: Vec<String> = rows[1..].iter().map(|row| row.join(" ")).collect();
    assert_eq!(
        rows,
        [
            "marketing 1 0 0 1 1 1 0 0 0 0.00 EUR",
            "service 1 0 1 0 1 0 0 0 0 0.00 EUR",
            "total 2 0 1 1 2 1 0 0 0 0.00 EUR"
        ]
    );
    let ends: Vec<usize> = said.lines().map(|line| line.find(" EUR").unwrap_or_default()).skip(1).collect();
    assert!(ends.iter().all(|end| *end == ends[0]), "numbers stand below each other: {said}");
}

#[test]
fn report_is_csv_and_json_for_programs() {
    let place = story();
    let by = ["--by", "day,category,currency"];
    let csv = place.run(&[&["report", "--format", "csv"], &OCTOBER[..], &by].concat());
    let mut reader = csv::Reader::from_reader(csv.stdout.as_slice());
    let names = reader.headers().unwrap().clone();
    assert_eq!(names.iter().take(3).collect::<Vec<_>>(), ["day", "category", "messages"]);
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let json = place.json(&[&["report"], &OCTOBER[..], &by].concat());
    assert_eq!(json, place.json(&[&["report", "--format", "json"], &OCTOBER[..], &by].concat()));
    let json = json.as_array().unwrap();
    assert_eq!((rows.len(), json.len()), (2, 2), "no totals for programs");
    for (row, object) in rows.iter().zip(json) {
        for (name, field) in names.iter().zip(row) {
            let value = &object[name];
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            assert_eq!(text, field, "{name}");
        }
    }
    assert_eq!((&json[0]["day"], &json[0]["amount"]), (&json!("2026-10-10"), &json!("0")));
}

#[test]
fn report_counts_the_days_that_were_asked_for() {
    let place = story();
    let messages = |days: &[&str]| {
        let rows = place.json(&[&["report"], days].concat());
        rows.as_array().unwrap().iter().map(|row| row["messages"].as_i64().unwrap()).sum::<i64>()
    };
    assert_eq!(messages(&["--from", "2026-10-10", "--to", "2026-10-10"]), 1);
    assert_eq!(messages(&["--to", "2026-10-12"]), 2, "from the first of that month");
    assert_eq!(messages(&["--from", "2026-10-11", "--to", "2026-10-11"]), 0);
    assert_eq!(messages(&["--month", "2026-11"]), 0);
    assert_eq!(messages(&["--from", "2026-10-01"]), 2, "to today");
    assert_eq!(out(&place.run(&["report", "--month", "2026-11"])), "nothing to show\n");
}

#[test]
fn report_knows_every_word_that_it_can_be_by() {
    let place = story();
    for by in csw::gate::report::By::ALL {
        let rows = place.json(&["report", "--month", "2026-10", "--by", by.word()]);
        assert!(rows[0].get(by.word()).is_some(), "{}: {rows}", by.word());
    }
    let output = place.run(&["report", "--by", "categroy"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(said(&output).contains("'category'"), "{}", said(&output));
}

#[test]
fn the_ledger_is_exported_as_csv_and_as_json_lines() {
    let place = story();
    let csv = place.run(&["ledger", "export"]);
    assert!(csv.status.success(), "{}", said(&csv));
    let mut reader = csv::Reader::from_reader(csv.stdout.as_slice());
    let names = reader.headers().unwrap().clone();
    assert_eq!((names.len(), &names[0], &names[24]), (25, "sequence", "count"));
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len() as u64, place.gate().ledger_length().unwrap());

    let jsonl = place.run(&["ledger", "export", "--json"]);
    let objects: Vec<Value> = out(&jsonl).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), rows.len());
    for (row, object) in rows.iter().zip(&objects) {
        for (name, field) in names.iter().zip(row) {
            let value = &object[name];
            let text = match value {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert_eq!(text, field, "{name}");
        }
        assert!(object["recorded_at_ms"].is_i64());
    }
    let charge = objects.iter().find(|object| object["charge"] == "billable").unwrap();
    let expected = json!({"kind": "reconciled", "day": "2026-10-12", "category": "marketing", "basis": "reported", "amount": null,
        "no_amount": "no_rate_card", "currency": "EUR", "market": "united_kingdom", "customer": "44********23", "count": 1});
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&charge[name], value, "{name}: {charge}");
    }
}

#[test]
fn the_ledger_is_exported_by_days_into_a_file() {
    let place = story();
    let output =
        place.run(&["ledger", "export", "--from", "2026-10-12", "--to", "2026-10-12", "--output", "october.csv"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(said(&output), "");
    let mut reader = csv::Reader::from_path(place.path("october.csv")).unwrap();
    let days: Vec<String> = reader.records().map(|row| row.unwrap()[2].to_owned()).collect();
    assert!(!days.is_empty() && days.iter().all(|day| day == "2026-10-12"), "{days:?}");
    let output = place.run(&["ledger", "export", "--output", "no/such/folder.csv"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("no/such/folder.csv"), "{}", said(&output));
}

#[test]
fn customers_are_whole_only_when_asked_for() {
    let place = story();
    assert!(!out(&place.run(&["ledger", "export"])).contains(ANNA));
    assert!(out(&place.run(&["ledger", "export", "--show-numbers"])).contains(ANNA));
}
