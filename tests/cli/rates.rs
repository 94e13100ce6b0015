//! `csw rates` and `csw templates`.

use csw::time::Span;
use serde_json::{Value, json};

use crate::place::{NOON, Place, anna_writes, delivered, out, said};
use crate::support::{ACCOUNT, ANNA, SHOP};

pub const LIST: &str = "\"Cost per message in EUR\",,,\n\
    Market,Currency,Marketing,Utility\n\
    United Kingdom,EUR,0.0453,0.0190\n\
    India,EUR,0.0093,0.0012\n";
const TIERS: &str = "Market,Currency,Category,From,To,Rate\n\
    India,EUR,Utility,0,\"100,000\",0.0012\n\
    India,EUR,Utility,\"100,001\",--,0.0010\n";

/// A place that bills in euros.
pub fn in_euros() -> Place {
    Place::with(&format!("rules = \"meta-2026-10\"\n[numbers.{SHOP}]\ncurrency = \"EUR\"\n"))
}

pub fn with_rates() -> Place {
    let place = in_euros();
    import_card(&place);
    place
}

fn import_card(place: &Place) {
    place.file("card.csv", LIST);
    let output = place.run(&["rates", "import", "card.csv", "--from", "2026-10-01"]);
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn a_rate_card_is_imported_listed_and_shown() {
    let place = with_rates();
    place.file("tiers.csv", TIERS);
    let told = place.json(&["rates", "import", "tiers.csv", "--from", "2026-10-01"]);
    assert_eq!(
        told,
        json!({"currency": "EUR", "from": "2026-10-01", "markets": 1, "rates": 2, "tiers": 1, "left_out": 0})
    );
    place.file("later.csv", LIST);
    assert!(place.run(&["rates", "import", "later.csv", "--from", "2099-01-01"]).status.success());
    let card = |from: &str, in_force: bool, tiers: i64| json!({"currency": "EUR", "from": from, "in_force": in_force, "markets": 2, "rates": 4, "tiers": tiers});
    assert_eq!(place.json(&["rates", "list"]), json!([card("2026-10-01", true, 1), card("2099-01-01", false, 0)]));

    let rates = place.json(&["rates", "show", "EUR", "--on", "2026-12-31"]);
    let told = |row: &Value| {
        let words = ["market", "category", "from_message", "rate"];
        words.map(|word| row[word].to_string().replace('"', "")).join(" ")
    };
    let expected = [
        "india marketing 1 0.0093",
        "india utility 1 0.0012",
        "india utility 100001 0.001",
        "united_kingdom marketing 1 0.0453",
        "united_kingdom utility 1 0.019",
    ];
    assert_eq!(rates.as_array().unwrap().iter().map(told).collect::<Vec<_>>(), expected);
    assert_eq!(place.json(&["rates", "show", "EUR", "--on", "2026-09-30"]), json!([]));
}

#[test]
fn a_rate_card_gives_charges_their_amounts() {
    let place = with_rates();
    place.ingest(&[anna_writes("in-1", NOON), delivered("out-1", NOON + Span::hours(30), "marketing", "regular")]);
    let rows = place.json(&["report", "--month", "2026-10"]);
    assert_eq!((&rows[0]["amount"], &rows[0]["unpriced"]), (&json!("0.0453"), &json!(0)));
    let table = out(&place.run(&["report", "--month", "2026-10"]));
    assert!(table.lines().last().unwrap().contains("0.0453  EUR"), "{table}");
    let send = json!({"to": ANNA, "type": "template", "template": {"name": "sale", "language": {"code": "en"}}});
    let output = place.run_with(&["decide", SHOP, "--marketing-messages"], send.to_string().as_bytes());
    let said = out(&output);
    assert!(said.contains("amount              0.0453") || said.contains("0.0453"), "{said}");
}

#[test]
fn what_a_rate_card_has_too_much_is_named() {
    let place = in_euros();
    place.file("card.csv", "Market,Currency,Marketing,Mood\nIndia,EUR,0.01,fine\nAtlantis,EUR,0.02,wet\n");
    let output = place.run(&["rates", "import", "card.csv", "--from", "2026-10-01"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let said = said(&output);
    for part in ["card.csv: line 1: the column \"Mood\"", "card.csv: line 3: the market \"Atlantis\"", "left_out  1"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    for (text, expected) in [("Market;Marketing\n", "card.csv: no rates in it"), ("", "card.csv: no rates in it")] {
        place.file("card.csv", text);
        let output = place.run(&["rates", "import", "card.csv", "--from", "2026-10-01"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(crate::place::said(&output).contains(expected), "{}", crate::place::said(&output));
    }
    assert_eq!(place.json(&["rates", "list"]).as_array().unwrap().len(), 1);
}

fn page(templates: Value, next: Value) -> String {
    json!({"data": templates, "paging": {"next": next}}).to_string()
}

#[test]
fn templates_are_imported_page_by_page_and_listed() {
    let place = Place::new();
    let template = |name: &str, status: &str, category: &str| json!({"name": name, "language": "en_US", "status": status, "category": category, "id": "1"});
    let first = page(json!([template("order_update", "APPROVED", "UTILITY")]), json!("https://graph.example/next"));
    let last = page(json!([template("summer_sale", "PAUSED", "MARKETING"), {"name": "broken"}]), Value::Null);
    place.file("templates.json", format!("{first}\n{last}"));
    let output = place.run(&["templates", "import", "--account", ACCOUNT, "templates.json"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert_eq!(out(&output), "2 templates recorded, 1 of them approved, 1 left out\n");
    assert!(said(&output).contains("templates.json: data[1]"), "{}", said(&output));
    let list = place.json(&["templates", "list"]);
    assert_eq!(list, place.json(&["templates", "list", "--account", ACCOUNT]));
    let told = |row: &Value| (row["name"].clone(), row["approved"].clone(), row["category"].clone());
    assert_eq!(told(&list[0]), (json!("order_update"), json!(true), json!("utility")));
    assert_eq!(told(&list[1]), (json!("summer_sale"), json!(false), json!("marketing")));
    assert_eq!(list[0]["account"], json!(ACCOUNT));
    assert_eq!(place.json(&["templates", "list", "--account", "1"]), json!([]));
}

#[test]
fn a_list_of_templates_that_goes_on_elsewhere_is_not_whole() {
    let place = Place::new();
    place.file("templates.json", page(json!([]), json!("https://graph.example/next")));
    let output = place.run(&["templates", "import", "--account", ACCOUNT, "templates.json"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("paging.next"), "{}", said(&output));
}

#[test]
fn a_card_that_comes_late_prices_what_had_no_amount_once_it_is_applied() {
    let place = in_euros();
    place.ingest(&[anna_writes("in-1", NOON), delivered("out-1", NOON + Span::hours(30), "marketing", "regular")]);
    let totals = || {
        let rows = place.json(&["report", "--month", "2026-10"]);
        (rows[0]["amount"].clone(), rows[0]["unpriced"].clone())
    };
    let unpriced = totals();
    assert_eq!(unpriced, (json!("0"), json!(1)));
    import_card(&place);
    assert_eq!(totals(), unpriced, "what is booked is booked");
    assert_eq!(place.json(&["rates", "apply"])["priced"], 1);
    assert_eq!(totals(), (json!("0.0453"), json!(0)));
    assert_eq!(place.json(&["rates", "apply"])["priced"], 0);
    assert!(place.run(&["doctor", "--deep"]).status.success(), "the totals are the ledger's");
}
