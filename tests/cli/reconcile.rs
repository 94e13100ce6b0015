//! `csw reconcile`.

use csw::time::{Span, Timestamp};
use serde_json::{Value, json};

use crate::place::{NOON, Place, anna_writes, delivered, out, said};
use crate::rates::with_rates;
use crate::support::SHOP_DISPLAY;

const OCTOBER: [&str; 2] = ["--month", "2026-10"];

/// One marketing message of which the platform says what was expected.
fn agreed() -> Place {
    let place = with_rates();
    place.ingest(&[anna_writes("in-1", NOON), delivered("out-1", NOON + Span::hours(30), "marketing", "regular")]);
    place
}

/// And one that the platform takes for free.
fn disputed() -> Place {
    let place = agreed();
    place.ingest(&[delivered("out-2", NOON + Span::hours(31), "utility", "free_customer_service")]);
    place
}

#[test]
fn what_agrees_is_a_yes() {
    let place = agreed();
    let output = place.run(&[&["reconcile"], &OCTOBER[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let expected = json!([{
        "agreement": "agrees", "estimated_category": "marketing", "estimated_charge": "billable", "estimated_reason": "per_message",
        "reported_category": "marketing", "reported_charge": "billable", "reported_reason": "per_message",
        "count": 1, "estimated_amount": "0.0453", "reported_amount": "0.0453", "currency": "EUR",
    }]);
    assert_eq!(place.json(&[&["reconcile"], &OCTOBER[..]].concat()), expected);
    assert_eq!(out(&place.run(&["reconcile", "--list", "--month", "2026-10"])), "nothing to show\n");
}

#[test]
fn what_differs_is_a_no_and_is_named_message_by_message() {
    let place = disputed();
    let output = place.run(&[&["reconcile"], &OCTOBER[..]].concat());
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let list = place.run(&[&["--json", "reconcile", "--list"], &OCTOBER[..]].concat());
    assert_eq!(list.status.code(), Some(3));
    let rows: Value = serde_json::from_slice(&list.stdout).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
    for (name, value) in [
        ("day", json!("2026-10-11")),
        ("customer", json!("44********23")),
        ("agreement", json!("differs_in_charge")),
        ("estimated_charge", json!("billable")),
        ("reported_charge", json!("free")),
        ("estimated_amount", json!("0.019")),
        ("reported_amount", json!("0")),
    ] {
        assert_eq!(rows[0][name], value, "{name}: {rows}");
    }
    assert_eq!(place.run(&["reconcile", "--month", "2026-11"]).status.code(), Some(0), "in other days nothing differs");
}

/// A bill of October with one line: so many messages, at so much.
fn bill(volume: i64, cost: f64) -> String {
    let (start, end) =
        (Timestamp::parse("2026-10-01T00:00:00Z").unwrap(), Timestamp::parse("2026-11-01T00:00:00Z").unwrap());
    let point = json!({
        "start": start.seconds(), "end": end.seconds(), "phone_number": SHOP_DISPLAY, "country": "GB",
        "pricing_type": "REGULAR", "pricing_category": "MARKETING", "volume": volume, "cost": cost,
    });
    json!({"pricing_analytics": {"data": [{"data_points": [point]}]}, "id": "1"}).to_string()
}

#[test]
fn the_bill_is_laid_beside_the_books() {
    let place = agreed();
    for (volume, cost, code) in [(1, 0.0453, 0), (2, 0.0906, 3), (1, 0.05, 3)] {
        place.file("bill.json", bill(volume, cost));
        let output = place.run(&["--json", "reconcile", "--bill", "bill.json"]);
        assert_eq!(output.status.code(), Some(code), "{volume} at {cost}: {}", said(&output));
        let rows: Value = serde_json::from_slice(&output.stdout).unwrap();
        let row = &rows[0];
        assert_eq!(
            (&row["volume"], &row["billed_volume"], &row["amount"]),
            (&json!(1), &json!(volume), &json!("0.0453"))
        );
        assert_eq!((&row["billed"], &row["agrees"]), (&json!(cost.to_string()), &json!(code == 0)));
        assert_eq!(
            (&row["from"], &row["to"], &row["market"]),
            (&json!("2026-10-01"), &json!("2026-10-31"), &json!("united_kingdom"))
        );
    }
}

#[test]
fn a_bill_that_cannot_be_read_is_named() {
    let place = agreed();
    place.file("bill.json", "{}");
    let output = place.run(&["reconcile", "--bill", "bill.json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).starts_with("csw: bill.json: bill: "), "{}", said(&output));
    let mut half: Value = serde_json::from_str(&bill(1, 0.0453)).unwrap();
    let points = half["pricing_analytics"]["data"][0]["data_points"].as_array_mut().unwrap();
    points.push(json!({"start": 0}));
    place.file("bill.json", half.to_string());
    let output = place.run(&["reconcile", "--bill", "bill.json"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("bill.json: "), "{}", said(&output));
    assert_eq!(place.run(&["reconcile", "--bill", "bill.json", "--month", "2026-10"]).status.code(), Some(64));
}
