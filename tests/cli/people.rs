//! `csw expiring`, `csw free-tier`, `csw forget` and `csw timeline`.

use csw::time::{Span, Timestamp};
use serde_json::{Value, json};

use crate::place::{NOON, Place, anna_writes, delivered, out, said};
use crate::support::{ANNA, BERT, SHOP, text, webhook};

fn at(moment: Timestamp) -> String {
    moment.millis().to_string()
}

fn objects(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Anna wrote at noon, Bert an hour later.
fn two_windows() -> Place {
    let place = Place::new();
    let bert = webhook("messages", json!({"messages": [text(BERT, "in-2", NOON + Span::hours(1))]}));
    place.ingest(&[anna_writes("in-1", NOON), bert]);
    place
}

#[test]
fn expiring_names_who_is_about_to_be_out_of_reach() {
    let place = two_windows();
    let moment = at(NOON + Span::hours(23));
    let ask = |more: &[&str]| out(&place.run(&[&["--json", "expiring", "--at", &moment], more].concat()));
    let soonest = objects(&ask(&[]));
    assert_eq!(soonest.len(), 1);
    let expected = json!({"expires_at": "2026-10-11T12:00:00.000Z", "expires_at_ms": (NOON + Span::hours(24)).millis(),
        "remaining_ms": 3_600_000, "business": SHOP, "customer": "44********23"});
    assert_eq!(soonest[0], expected);
    assert_eq!(objects(&ask(&["--within", "2h"])).len(), 2);
    assert_eq!(objects(&ask(&["--within", "24h", "--limit", "1"])), soonest);
    assert_eq!(ask(&["--within", "30m"]), "");
    assert_eq!(place.run(&["expiring", "--within", "soon"]).status.code(), Some(64));
}

#[test]
fn free_tier_says_what_is_left() {
    let place = Place::with("rules = \"meta-2026-10\"\ntimezone = \"America/Sao_Paulo\"\n");
    place.ingest(&[anna_writes("in-1", NOON), delivered("out-1", NOON, "service", "free_customer_service")]);
    let expected = json!([{"business": SHOP, "month": "2026-10-01", "used": 1, "free": 1000, "left": 999,
        "resets_at": "2026-11-01T03:00:00.000Z", "resets_at_ms": 1_793_502_000_000_i64}]);
    assert_eq!(place.json(&["free-tier", "--at", &at(NOON)]), expected);
    let table = out(&place.run(&["free-tier", "--at", &at(NOON)]));
    assert!(table.contains("1,000   999  2026-11-01 00:00:00 -03:00"), "{table}");
}

#[test]
fn forget_erases_one_and_leaves_the_totals() {
    let place = two_windows();
    place.ingest(&[delivered("out-1", NOON, "service", "free_customer_service")]);
    let report = place.json(&["report", "--month", "2026-10"]);
    assert_eq!(out(&place.run(&["forget", ANNA, "--yes"])), "1 contact erased\n");
    assert_eq!((place.last_act(ANNA), place.last_act(BERT)), (None, Some(NOON + Span::hours(1))));
    assert_eq!(place.json(&["report", "--month", "2026-10"]), report);
    assert!(!out(&place.run(&["ledger", "export", "--show-numbers"])).contains(ANNA));
    assert_eq!(place.json(&["forget", ANNA, "--yes", "--business", SHOP]), json!({"erased": 0}));
}

#[test]
fn forget_asks_first() {
    let place = two_windows();
    let output = place.run_with(&["forget", ANNA], b"y\n");
    assert_eq!(output.status.code(), Some(64), "an answer that is not typed is none: {}", said(&output));
    assert!(place.last_act(ANNA).is_some());
}

/// What the guide tells: a reply, messages inside and outside of the window, one that failed.
fn story() -> Place {
    let place = Place::new();
    let failed = json!({"id": "out-3", "status": "failed", "timestamp": "1791720000", "recipient_id": ANNA,
        "errors": [{"code": 131_049, "title": "no"}]});
    place.ingest(&[
        anna_writes("in-1", NOON),
        delivered("out-1", NOON + Span::hours(1), "service", "free_customer_service"),
        delivered("out-2", NOON + Span::hours(5), "utility", "regular"),
        webhook("messages", json!({"statuses": [failed]})),
    ]);
    place
}

const LATER: &str = "2026-10-12T12:00:00Z";

#[test]
fn timeline_tells_what_happened_and_what_lasted() {
    let place = story();
    let rows = place.json(&["timeline", SHOP, ANNA, "--at", LATER]);
    let rows = rows.as_array().unwrap();
    let of = |what: &str| rows.iter().filter(|row| row["what"] == what).collect::<Vec<_>>();
    assert_eq!(of("act").len(), 1);
    assert_eq!(of("act")[0]["opens_window"], json!(true));
    assert_eq!(of("window")[0]["until"], json!("2026-10-11T12:00:00.000Z"));
    let categories: Vec<&Value> = of("conversation").iter().map(|row| &row["conversation_category"]).collect();
    assert_eq!(categories, ["service", "utility"]);
    let messages = of("message");
    let progress: Vec<&Value> = messages.iter().map(|row| &row["progress"]).collect();
    assert_eq!(progress, ["delivered", "delivered", "failed"]);
    assert_eq!((&messages[1]["charge"], &messages[2]["code"]), (&json!("billable"), &json!(131_049)));
    let moments: Vec<i64> = rows.iter().map(|row| row["at_ms"].as_i64().unwrap()).collect();
    assert!(moments.is_sorted());
    assert_eq!(place.json(&["timeline", SHOP, BERT, "--at", LATER]), json!([]));
}

#[test]
fn timeline_is_drawn_in_letters() {
    let place = story();
    let output = place.run(&["timeline", SHOP, ANNA, "--at", LATER]);
    assert!(output.status.success(), "{}", said(&output));
    let drawn = out(&output);
    let lane = |name: &str| {
        drawn.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or_else(|| panic!("{name}: {drawn}"))
    };
    assert!(drawn.starts_with(&format!("44********23 and {SHOP}, UTC\n")), "{drawn}");
    let count = |name: &str, letter| lane(name).matches(letter).count();
    assert_eq!(
        (count("customer", '●'), count("business", 'f'), count("business", 'U'), count("business", '×')),
        (1, 1, 1, 1)
    );
    // Of the drawing's three days, a window and a conversation last one each.
    let wide = drawn.lines().nth(2).unwrap().chars().count();
    for name in ["window", "service", "utility"] {
        assert!((24..=30).contains(&count(name, '█')), "{name}, {wide} wide: {drawn}");
    }
    assert_eq!(out(&place.run(&["timeline", SHOP, BERT])), "nothing to show\n");
}

#[test]
fn timeline_is_drawn_as_svg_without_scripts() {
    let place = story();
    let output = place.run(&["timeline", SHOP, ANNA, "--at", LATER, "--svg", "anna.svg"]);
    assert!(output.status.success() && said(&output).is_empty(), "{}", said(&output));
    let svg = std::fs::read_to_string(place.path("anna.svg")).unwrap();
    assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\"") && svg.ends_with("</svg>\n"));
    assert!(svg.contains("44********23") && !svg.contains(ANNA));
    assert!(svg.contains("prefers-color-scheme: dark"));
    for foreign in ["<script", "href", "url(", "@import"] {
        assert!(!svg.contains(foreign), "{foreign}");
    }
    for part in ["class=\"window\"", "class=\"utility\"", "class=\"failed\"", "2026-10-10", "until 10-11 12:00"] {
        assert!(svg.contains(part), "{part}: {svg}");
    }
    // Every element that is begun is ended.
    let ended = svg.matches("</").count() + svg.matches("/>").count();
    assert_eq!(svg.matches('<').count() - svg.matches("</").count(), ended);

    let whole = place.run(&["--show-numbers", "timeline", SHOP, ANNA, "--at", LATER, "--svg", "anna.svg"]);
    assert!(whole.status.success());
    assert!(std::fs::read_to_string(place.path("anna.svg")).unwrap().contains(ANNA));
    let output = place.run(&["timeline", SHOP, BERT, "--svg", "bert.svg"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("nothing is known"), "{}", said(&output));
}
