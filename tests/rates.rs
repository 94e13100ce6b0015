//! Rate cards: which card, market, currency and tier a send is charged by.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

#[path = "support/shop.rs"]
mod shop;
mod support;

use csw::gate::rates::Published;
use csw::gate::report::{By, Row};
use csw::money::{Amount, Currency};
use csw::rules::decision::Cost;
use csw::rules::event::{Category, EventKind};
use csw::rules::market::Market;
use csw::rules::rate::{NoAmount, Tier};
use csw::time::Span;
use csw::wire::record::Stated;
use serde_json::json;
use shop::{PAUL, RUI, Shop, amount, body, moment, settle, total};
use support::{ANNA, BRANCH, SHOP, record, stated, status, with};

#[test]
fn a_card_holds_from_midnight_of_its_day_in_the_accounts_zone() {
    let table = [
        ("UTC", "2026-10-01", "2026-10-01T00:00:00Z"),
        ("America/Sao_Paulo", "2026-10-01", "2026-10-01T03:00:00Z"),
        // Clocks go back on 2026-10-25 and forward on 2026-03-29.
        ("Europe/Berlin", "2026-10-25", "2026-10-24T22:00:00Z"),
        ("Europe/Berlin", "2026-10-26", "2026-10-25T23:00:00Z"),
        ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00:00Z"),
        ("Europe/Berlin", "2026-03-30", "2026-03-29T22:00:00Z"),
    ];
    for (zone, day, midnight) in table {
        for rules in ["guide", "meta-2025-07"] {
            let shop = Shop::open(&format!("rules = \"{rules}\"\ncurrency = \"EUR\"\ntimezone = \"{zone}\""));
            shop.card("EUR", day, &[("France", Category::Marketing, "0.09")]);
            shop.card("EUR", "2026-01-01", &[("France", Category::Marketing, "0.08")]);
            let midnight = moment(midnight);
            let sent = midnight - Span::millis(1000);
            assert_eq!(shop.decide(&body(PAUL, "marketing"), sent).cost.amount, Some(amount("0.08")), "{zone} {day}");
            assert_eq!(
                shop.decide(&body(PAUL, "marketing"), midnight).cost.amount,
                Some(amount("0.09")),
                "{zone} {day}"
            );
            // Where deliveries are charged it is the delivery's day that counts.
            let id = shop.send(&body(PAUL, "marketing"), sent);
            shop.status(with(status("delivered", &id, midnight), json!({"recipient_id": PAUL})), midnight);
            let booked = if rules == "guide" { "0.08" } else { "0.09" };
            assert_eq!(total(&shop.gate).amount, amount(booked), "{rules} in {zone} on {day}");
        }
    }
}

#[test]
fn a_customer_is_charged_at_the_rate_of_the_market_of_the_day() {
    let markets = [
        ("North America", "0.01"),
        ("Rest of Africa", "0.02"),
        ("Rest of Asia Pacific", "0.03"),
        ("Rest of Central & Eastern Europe", "0.04"),
        ("Rest of Latin America", "0.05"),
        ("Rest of Middle East", "0.06"),
        ("Rest of Western Europe", "0.07"),
        ("Other", "0.08"),
        ("Russia", "0.09"),
        ("India", "0.1"),
    ];
    let nine = ["Bangladesh", "Iraq", "Kazakhstan", "Kuwait", "Morocco", "Nepal", "Oman", "Sri Lanka", "Ukraine"];
    let shop = Shop::open("rules = \"meta\"\ncurrency = \"USD\"");
    let rates = markets.map(|(market, rate)| (market, Category::Marketing, rate));
    shop.card("USD", "2026-07-01", &rates);
    let own = nine.map(|market| (market, Category::Marketing, "0.2"));
    shop.card("USD", "2026-10-01", &[&rates[..], &own[..]].concat());
    let table = [
        // by number, by user id, the rate on 2026-09-30, the rate on 2026-10-01
        ("16505551234", "US.1", "0.01", "0.01"),
        ("14165551234", "CA.1", "0.01", "0.01"),
        ("18095551234", "DO.1", "0.05", "0.05"),
        ("18765551234", "JM.1", "0.05", "0.05"),
        ("17875551234", "PR.1", "0.05", "0.05"),
        ("18685551234", "TT.1", "0.08", "0.08"),
        ("79161234567", "RU.1", "0.09", "0.09"),
        ("77011234567", "KZ.ENT.1", "0.09", "0.2"),
        ("76001234567", "KZ.1", "0.09", "0.2"),
        ("919876543210", "IN.1", "0.1", "0.1"),
        ("243991234567", "CD.1", "0.08", "0.08"),
        ("8801712345678", "BD.1", "0.03", "0.2"),
        ("9647901234567", "IQ.1", "0.06", "0.2"),
        ("96550012345", "KW.1", "0.06", "0.2"),
        ("212650123456", "MA.1", "0.02", "0.2"),
        ("9779812345678", "NP.1", "0.03", "0.2"),
        ("96892123456", "OM.1", "0.06", "0.2"),
        ("94712345678", "LK.1", "0.03", "0.2"),
        ("380501234567", "UA.1", "0.04", "0.2"),
        ("31612345678", "NL.1", "", ""),
        ("43664123456", "AT.1", "0.07", "0.07"),
    ];
    for (phone, user, before, after) in table {
        for customer in [phone, user] {
            for (at, expected) in [("2026-09-30T12:00:00Z", before), ("2026-10-01T12:00:00Z", after)] {
                let Cost { amount: cost, no_amount, .. } = shop.decide(&body(customer, "marketing"), moment(at)).cost;
                let expected = Some(expected).filter(|rate| !rate.is_empty()).map(amount);
                assert_eq!(cost, expected, "{customer} on {at}");
                assert_eq!(no_amount, expected.is_none().then_some(NoAmount::NoRate), "{customer} on {at}");
            }
        }
    }
}

#[test]
fn a_card_that_names_a_country_makes_it_a_market_of_its_own() {
    let shop = Shop::open("rules = \"meta-2025-07\"\ncurrency = \"USD\"");
    shop.card(
        "USD",
        "2025-07-01",
        &[("North America", Category::Marketing, "0.02"), ("United States", Category::Marketing, "0.05")],
    );
    let at = moment("2026-08-01T12:00:00Z");
    for (customer, rate, market) in [("16505551234", "0.05", "united_states"), ("14165551234", "0.02", "north_america")]
    {
        let cost = shop.deliver(&body(customer, "marketing"), at, json!({"recipient_id": customer})).cost;
        assert_eq!((cost.amount, cost.market.map(Market::word)), (Some(amount(rate)), Some(market)), "{customer}");
    }
    let rows = shop.gate.report(at, at, &[By::Market]).unwrap();
    let charged = |market: &str| {
        let is_market = |row: &&Row| row.group.market.map(Market::word) == Some(market);
        rows.iter().find(is_market).unwrap().amount
    };
    assert_eq!((charged("united_states"), charged("north_america")), (amount("0.05"), amount("0.02")));
}

#[test]
fn a_send_without_a_rate_has_no_amount_and_says_why() {
    let at = moment("2026-08-01T12:00:00Z");
    let table = [
        // currency, customer, what, why there is no amount
        ("", ANNA, "marketing", Some(NoAmount::NoCurrency)),
        ("currency = \"GBP\"", ANNA, "marketing", Some(NoAmount::NoRateCard)),
        ("currency = \"EUR\"", "870123456789", "marketing", Some(NoAmount::NoMarket)),
        ("currency = \"EUR\"", PAUL, "marketing", Some(NoAmount::NoRate)),
        ("currency = \"EUR\"", ANNA, "authentication", Some(NoAmount::NoRate)),
        ("currency = \"EUR\"", ANNA, "marketing", None),
        // What is free needs no rate.
        ("", ANNA, "free_form", None),
    ];
    for (currency, customer, what, why) in table {
        let shop = Shop::open(&format!("rules = \"meta-2025-07\"\n{currency}"));
        shop.card("EUR", "2026-07-01", &[("United Kingdom", Category::Marketing, "0.08")]);
        shop.card("GBP", "2026-08-02", &[("United Kingdom", Category::Marketing, "0.07")]);
        shop.act(customer, at - Span::hours(1));
        let cost = shop.deliver(&body(customer, what), at, json!({"recipient_id": customer})).cost;
        assert_eq!((cost.amount.is_none(), cost.no_amount), (why.is_some(), why), "{currency} {customer} {what}");
        assert_eq!((cost.lowest, cost.highest), (cost.amount, cost.amount), "{currency} {customer} {what}");
        let row = total(&shop.gate);
        assert_eq!((row.unpriced, row.free + row.billable), (i64::from(why.is_some()), 1), "{currency} {customer}");
        assert_eq!(shop.charges().last().unwrap().entry.line.no_amount, why, "{currency} {customer} {what}");
    }
}

#[test]
fn a_card_that_is_imported_late_changes_nothing_that_was_booked() {
    let at = moment("2026-10-05T12:00:00Z");
    for first in [None, Some("0.05")] {
        let shop = Shop::open("rules = \"meta\"\ncurrency = \"EUR\"");
        if let Some(rate) = first {
            shop.card("EUR", "2026-10-01", &[("United Kingdom", Category::Marketing, rate)]);
        }
        let id = shop.send(&body(ANNA, "marketing"), at);
        shop.status(status("delivered", &id, at), at);
        let booked = shop.ledger();
        shop.card("EUR", "2026-10-01", &[("United Kingdom", Category::Marketing, "0.08")]);
        assert_eq!(shop.ledger(), booked, "the import itself");
        shop.status(status("read", &id, at + Span::hours(1)), at + Span::hours(1));
        assert_eq!(shop.ledger(), booked, "the customer read it after the import; the card before said {first:?}");
        shop.deliver(&body(ANNA, "marketing"), at + Span::hours(2), json!({}));
        let mut sum = amount(first.unwrap_or("0"));
        sum += amount("0.08");
        assert_eq!(total(&shop.gate).amount, sum, "the next one is charged by the new card");
    }
}

#[test]
fn two_numbers_are_billed_each_in_its_own_currency() {
    let shop = Shop::open(&format!(
        "rules = \"meta-2025-07\"\ncurrency = \"USD\"\n[numbers.{SHOP}]\n[numbers.{BRANCH}]\ncurrency = \"INR\""
    ));
    shop.card("USD", "2025-07-01", &[("India", Category::Marketing, "0.0118")]);
    shop.card("INR", "2026-01-01", &[("India", Category::Marketing, "1.0278")]);
    let at = moment("2026-08-01T12:00:00Z");
    for number in [SHOP, BRANCH, BRANCH] {
        let shop = shop.on(number);
        shop.deliver(&body("919876543210", "marketing"), at, json!({"recipient_id": "919876543210"}));
    }
    let rows = shop.gate.report(at, at, &[]).unwrap();
    let mut sums: Vec<_> = rows.iter().map(|row| (row.group.currency, row.billable, row.amount)).collect();
    sums.sort();
    let currency = |code| Some(Currency::parse(code).unwrap());
    assert_eq!(sums, [(currency("INR"), 2, amount("2.0556")), (currency("USD"), 1, amount("0.0118"))]);
}

#[test]
fn authentication_messages_are_international_to_the_countries_that_the_number_names() {
    let shop = Shop::open(&format!(
        "rules = \"meta-2025-07\"\ncurrency = \"USD\"\n[numbers.{SHOP}]\nauthentication_international = [\"IN\"]"
    ));
    let of = |market, domestic, abroad| {
        [(market, Category::Authentication, domestic), (market, Category::AuthenticationInternational, abroad)]
    };
    shop.card("USD", "2025-07-01", &[of("India", "0.0014", "0.0304"), of("Indonesia", "0.025", "0.136")].concat());
    let at = moment("2026-08-01T12:00:00Z");
    let table = [
        (SHOP, "919876543210", "authentication", Category::AuthenticationInternational, "0.0304"),
        (SHOP, "919876543210", "direct_authentication", Category::AuthenticationInternational, "0.0304"),
        (SHOP, "IN.1", "authentication", Category::AuthenticationInternational, "0.0304"),
        (SHOP, "628123456789", "authentication", Category::Authentication, "0.025"),
        (BRANCH, "919876543210", "authentication", Category::Authentication, "0.0014"),
    ];
    for (number, customer, what, category, rate) in table {
        let decision = shop.on(number).decide(&body(customer, what), at);
        assert_eq!(
            (decision.category, decision.cost.amount),
            (Some(category), Some(amount(rate))),
            "{customer} {what}"
        );
    }
}

#[test]
fn volume_tiers_are_marginal_by_month_market_category_and_currency_over_all_numbers() {
    let shop = Shop::open("rules = \"meta-2025-07\"\ncurrency = \"EUR\"\ntimezone = \"America/Sao_Paulo\"");
    let utility = |market| (Market::named(market).unwrap(), Category::Utility);
    let tier = |market, from, rate| {
        let (market, category) = utility(market);
        (market, category, Published::Tier(Tier { from, rate: amount(rate) }))
    };
    // Tiers and list rates are published apart, here the tiers first.
    shop.import(
        "EUR",
        "2026-01-01",
        vec![tier("France", 3, "0.02"), tier("France", 1, "0.03"), tier("Brazil", 2, "0.01")],
    );
    let list = [
        ("France", Category::Utility, "0.04"),
        ("Brazil", Category::Utility, "0.05"),
        ("France", Category::Marketing, "0.08"),
    ];
    shop.card("EUR", "2026-01-01", &list);
    let end = moment("2026-09-01T03:00:00Z");
    let before = end - Span::hours(1);
    let table = [
        (SHOP, PAUL, "utility", before, "0.03"),
        (BRANCH, PAUL, "utility", before, "0.03"),
        // Another market and another category have their own counts.
        (SHOP, RUI, "utility", before, "0.05"),
        (SHOP, RUI, "utility", before, "0.01"),
        (SHOP, PAUL, "marketing", before, "0.08"),
        (SHOP, PAUL, "utility", before, "0.02"),
        (BRANCH, PAUL, "utility", before, "0.02"),
        (BRANCH, PAUL, "utility", end, "0.03"),
    ];
    let mut sum = Amount::ZERO;
    for (place, (number, customer, what, at, expected)) in table.into_iter().enumerate() {
        let cost = shop.on(number).deliver(&body(customer, what), at, json!({"recipient_id": customer})).cost;
        assert_eq!(cost.amount, Some(amount(expected)), "{place}: {customer} {what} at {at}");
        sum += amount(expected);
        assert_eq!(total(&shop.gate).amount, sum, "{place}: {customer} {what} at {at}");
    }
}

#[test]
fn a_message_that_failed_before_it_was_heard_what_it_was_takes_no_place_among_the_charged() {
    let shop = Shop::open("rules = \"guide\"\ncurrency = \"EUR\"");
    let tier = |from, rate| {
        (Market::named("France").unwrap(), Category::Utility, Published::Tier(Tier { from, rate: amount(rate) }))
    };
    shop.import("EUR", "2026-01-01", vec![tier(1, "0.03"), tier(2, "0.02")]);
    let at = moment("2026-09-01T12:00:00Z");
    let of_paul = |word, at| with(status(word, "wamid.1", at), json!({"recipient_id": PAUL}));
    // In a free entry point nothing is opened by it, whatever it is.
    let clicked =
        Stated { customer: PAUL, entry_point: true, ..stated(EventKind::CustomerMessage, at - Span::hours(23)) };
    record(&shop.gate, clicked);
    // The failure is the earlier of the two: with it the message's own time moves.
    shop.status(of_paul("sent", at + Span::millis(1000)), at + Span::hours(1));
    shop.status(of_paul("failed", at), at + Span::hours(1));
    settle(&shop, &body(PAUL, "utility"), at, 200, json!({"messages": [{"id": "wamid.1"}]}));
    let after = at + Span::hours(72);
    assert_eq!(shop.decide(&body(PAUL, "utility"), after).cost.amount, Some(amount("0.03")));
}
