//! Our own reckoning beside the platform's reports, message by message, and beside its bill.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

#[path = "support/shop.rs"]
mod shop;
mod support;

use csw::gate::reconcile::{Agreement, BillRow};
use csw::money::Amount;
use csw::party::Business;
use csw::rules::event::Category;
use csw::time::{Day, Span, Timestamp};
use csw::wire::bill;
use serde_json::{Value, json};
use shop::{PAUL, RUI, Shop, amount, body, moment, of_market, total};
use support::{ANNA, SHOP, SHOP_DISPLAY, seconds, status, with};

fn regular(category: &str) -> Value {
    json!({"pricing": {"billable": true, "pricing_model": "PMP", "type": "regular", "category": category}})
}

#[test]
fn estimates_and_reports_are_told_apart_by_how_they_differ() {
    use Agreement::{Agrees, DiffersInAmount, DiffersInCategory, DiffersInCharge, Unreported};
    let free = json!({"pricing": {"pricing_model": "PMP", "type": "free_customer_service", "category": "utility"}});
    let at = moment("2026-08-01T12:00:00Z");
    let table = [
        // what is sent without a window, the report, how they stand, what was estimated and what reported
        ("marketing", regular("marketing"), Agrees, "0.08", "0.08"),
        ("marketing", regular("marketing"), Agrees, "0.08", "0.08"),
        ("utility", regular("marketing"), DiffersInCategory, "0.03", "0.08"),
        ("utility", free, DiffersInCharge, "0.03", "0"),
        ("authentication", json!({}), Unreported, "0.025", "0"),
    ];
    let shop = Shop::open("rules = \"meta-2025-07\"\ncurrency = \"EUR\"");
    shop.card("EUR", "2026-01-01", &of_market("United Kingdom"));
    for (what, report, ..) in &table {
        shop.deliver(&body(ANNA, what), at, report.clone());
    }
    // A rate that was not known yet when the message was delivered.
    let id = shop.send(&body(PAUL, "marketing"), at);
    shop.status(with(status("delivered", &id, at), json!({"recipient_id": PAUL})), at);
    shop.card("EUR", "2026-01-01", &of_market("France"));
    shop.status(with(with(status("read", &id, at), json!({"recipient_id": PAUL})), regular("marketing")), at);
    // Nothing was charged for these, so there is nothing to compare.
    let later = at + Span::hours(1);
    shop.act(ANNA, later);
    let reaction = json!({"to": ANNA, "type": "reaction", "reaction": {"message_id": "wamid.in", "emoji": "!"}});
    shop.deliver(reaction.to_string().as_bytes(), later, json!({}));

    let day = Day::new(2026, 8, 1);
    let rows = shop.gate.reconcile((day, day)).unwrap();
    let mut told: Vec<_> =
        rows.iter().map(|row| (row.pair.agreement, row.count, row.estimated_amount, row.reported_amount)).collect();
    told.sort();
    let mut expected = vec![
        (Agrees, 2, amount("0.16"), amount("0.16")),
        (DiffersInCategory, 1, amount("0.03"), amount("0.08")),
        (DiffersInCharge, 1, amount("0.03"), amount("0")),
        (DiffersInAmount, 1, amount("0"), amount("0.08")),
        (Unreported, 1, amount("0.025"), amount("0")),
    ];
    expected.sort();
    assert_eq!(told, expected);
    let mut differences: Vec<_> = shop.gate.differences((day, day), &mut |_| {}).unwrap();
    differences.sort_by_key(|difference| difference.entry.message);
    let told: Vec<_> = differences.iter().map(|difference| difference.pair.agreement).collect();
    assert_eq!(told, [DiffersInCategory, DiffersInCharge, Unreported, DiffersInAmount]);
    let whose: Vec<_> = differences.iter().map(|difference| difference.customer.unwrap().written()).collect();
    assert_eq!(whose, [ANNA, ANNA, ANNA, PAUL]);
    for other in [(Day::new(2026, 7, 1), Day::new(2026, 7, 31)), (Day::new(2026, 8, 2), Day::new(2026, 8, 31))] {
        assert_eq!(shop.gate.reconcile(other).unwrap(), []);
        assert_eq!(shop.gate.differences(other, &mut |_| {}).unwrap(), []);
    }
}

const US: &str = "16505551234";

/// Deliveries of two days in São Paulo, the last hour of the first and the first hour of the second among them.
fn two_days() -> Shop {
    let lines = "rules = \"meta-2025-07\"\ncurrency = \"EUR\"\ntimezone = \"America/Sao_Paulo\"";
    let shop = Shop::open(&format!("{lines}\n[numbers.{SHOP}]\ndisplay = \"{SHOP_DISPLAY}\""));
    let rates = ["United Kingdom", "Brazil", "United States"].map(of_market).concat();
    shop.card("EUR", "2026-01-01", &rates);
    let midnight = moment("2026-08-02T03:00:00Z");
    let before = midnight - Span::hours(1);
    shop.act(ANNA, before - Span::hours(1));
    for (customer, what, at, report) in [
        (ANNA, "marketing", before, regular("marketing")),
        (ANNA, "marketing", before, json!({})),
        (ANNA, "utility", before, json!({})),
        (RUI, "marketing", midnight, regular("marketing")),
        (US, "authentication", midnight, json!({})),
    ] {
        shop.deliver(&body(customer, what), at, with(report, json!({"recipient_id": customer})));
    }
    assert_eq!(total(&shop.gate).amount, amount("0.265"));
    shop
}

/// A line of a bill: its period, its dimensions, its volume and cost.
fn point(from: Timestamp, days: u32, dimensions: Value, volume: i64, cost: Option<f64>) -> Value {
    let until = from + Span::hours(24 * days);
    let period = json!({"start": from.seconds(), "end": until.seconds(), "volume": volume, "cost": cost});
    with(period, dimensions)
}

fn compared(shop: &Shop, points: Vec<Value>) -> Vec<BillRow> {
    let text = json!({"pricing_analytics": {"data": [{"data_points": points}]}, "id": "1"}).to_string();
    let bill = bill::parse(text.as_bytes()).unwrap();
    assert_eq!(bill.unreadable, [""; 0]);
    shop.gate.compare(&bill).unwrap()
}

#[test]
fn a_daily_bill_is_compared_day_by_day_and_by_all_that_it_is_broken_down_by() {
    let shop = two_days();
    let first = moment("2026-08-01T03:00:00Z");
    let second = moment("2026-08-02T03:00:00Z");
    let of = |country: &str, kind: &str, category: &str| {
        let (phone, tier) = (SHOP_DISPLAY, "0:1000");
        json!({"phone_number": phone, "country": country, "pricing_type": kind, "pricing_category": category, "tier": tier})
    };
    let rows = compared(
        &shop,
        vec![
            point(first, 1, of("GB", "REGULAR", "MARKETING"), 2, Some(0.16)),
            point(first, 1, of("GB", "FREE_CUSTOMER_SERVICE", "SERVICE"), 1, Some(0.0)),
            point(second, 1, of("BR", "REGULAR", "MARKETING"), 1, Some(0.07)),
            point(second, 1, of("US", "REGULAR", "AUTHENTICATION"), 1, Some(0.025)),
            point(second, 1, of("FR", "REGULAR", "MARKETING"), 1, Some(0.09)),
        ],
    );
    let told: Vec<_> = rows
        .iter()
        .map(|row| {
            let market = row.group.market.unwrap().word();
            let day = row.group.days.0.to_string();
            let category = row.group.category.unwrap();
            (day, market, category, row.volume, row.reported, row.amount, row.billed.unwrap(), row.agrees())
        })
        .collect();
    let row = |day: &str, market, category, ours: (i64, i64, &str), billed, agrees| {
        (day.to_owned(), market, category, ours.0, ours.1, amount(ours.2), amount(billed), agrees)
    };
    let mut told_sorted = told;
    told_sorted.sort_by_key(|row| (row.0.clone(), row.1, row.2));
    assert_eq!(
        told_sorted,
        [
            row("2026-08-01", "united_kingdom", Category::Marketing, (2, 1, "0.16"), "0.16", true),
            row("2026-08-01", "united_kingdom", Category::Service, (1, 0, "0"), "0", true),
            row("2026-08-02", "brazil", Category::Marketing, (1, 1, "0.08"), "0.07", false),
            row("2026-08-02", "france", Category::Marketing, (0, 0, "0"), "0.09", false),
            // A card made it a market of its own; the bill names countries, and means the same deliveries.
            row("2026-08-02", "north_america", Category::Authentication, (1, 0, "0.025"), "0.025", true),
        ]
    );
    assert!(rows.iter().all(|row| row.group.business == Some(Business::parse(SHOP).unwrap())));
}

#[test]
fn a_monthly_bill_without_dimensions_is_compared_as_a_whole() {
    let month = moment("2026-08-01T03:00:00Z");
    let table = [(5, Some(0.265), true), (5, None, true), (5, Some(0.27), false), (4, Some(0.265), false)];
    for (volume, cost, agrees) in table {
        let rows = compared(&two_days(), vec![point(month, 31, json!({}), volume, cost)]);
        let [row] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!(row.group.days, (Day::new(2026, 8, 1), Day::new(2026, 8, 31)));
        assert_eq!((row.volume, row.amount, row.reported, row.billed_volume), (5, amount("0.265"), 2, volume));
        assert_eq!(row.agrees(), agrees, "{volume} {cost:?}");
    }
    // What the bill does not have is a row all the same: by category.
    let category = json!({"pricing_category": "MARKETING"});
    let rows = compared(&two_days(), vec![point(month, 31, category, 3, Some(0.24))]);
    let mut told: Vec<_> = rows.iter().map(|row| (row.group.category, row.volume, row.agrees())).collect();
    told.sort();
    let rest = [(Category::Authentication, 1, false), (Category::Service, 1, false)];
    let expected = [[(Category::Marketing, 3, true)].as_slice(), &rest].concat();
    assert_eq!(
        told,
        expected.into_iter().map(|(category, volume, is)| (Some(category), volume, is)).collect::<Vec<_>>()
    );
    let mut sum = Amount::ZERO;
    rows.iter().for_each(|row| sum += row.amount);
    assert_eq!(sum, amount("0.265"));
}

#[test]
fn a_day_of_a_bill_may_have_twenty_three_or_twenty_five_hours() {
    let days = [("2026-03-29", "2026-03-28T23:00:00Z", 23), ("2026-10-25", "2026-10-24T22:00:00Z", 25)];
    for (day, start, hours) in days {
        let shop = Shop::open("rules = \"meta-2025-07\"\ncurrency = \"EUR\"\ntimezone = \"Europe/Berlin\"");
        shop.card("EUR", "2026-01-01", &of_market("United Kingdom"));
        let start = moment(start);
        let end = start + Span::hours(hours);
        for at in [start - Span::millis(1000), start, end - Span::millis(1000), end] {
            shop.deliver(&body(ANNA, "marketing"), at, json!({}));
        }
        let point = json!({"start": seconds(start), "end": seconds(end), "volume": 2, "cost": 0.16});
        let rows = compared(&shop, vec![point]);
        let [row] = rows.as_slice() else { panic!("{rows:?}") };
        let day = Day::parse(day).unwrap();
        assert_eq!((row.group.days, row.volume, row.agrees()), ((day, day), 2, true), "{day}");
    }
}
