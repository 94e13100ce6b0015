//! What sends cost, for every rule set: estimated by `decide`, booked on delivery, reported by webhooks.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

#[path = "support/shop.rs"]
mod shop;
mod support;

use csw::money::Amount;
use csw::party::Business;
use csw::rules::charge::ChargeReason;
use csw::rules::decision::Cost;
use csw::rules::event::Category;
use csw::rules::ledger::LineKind;
use csw::rules::rate::NoAmount;
use csw::time::{Day, Span};
use csw::wire::send::Endpoint;
use serde_json::json;
use shop::{PAUL, RUI, Shop, amount, body, moment, of_market, total};
use support::{ANNA, BRANCH, SHOP, decided, seconds, status, text, with};

// ---- Rule sets

/// What each kind of send costs on delivery, in and out of the window, by set: marketing, utility, authentication and service have one rate each.
#[test]
fn every_rule_set_charges_by_its_own_price_model() {
    let sets = [
        ("guide", "2023-01-10"),
        ("meta-2023-06", "2023-07-10"),
        ("meta-2024-11", "2024-12-10"),
        ("meta-2025-07", "2025-08-10"),
        ("meta-2026-10", "2026-10-10"),
    ];
    let table: [(&str, bool, [&str; 5]); 12] = [
        // What is sent one after another, whether in a window, and what the last of it costs.
        ("free_form", true, ["0", "0.004", "0", "0", "0"]),
        ("utility", true, ["0.03", "0.03", "0.03", "0", "0.03"]),
        ("utility", false, ["0.03", "0.03", "0.03", "0.03", "0.03"]),
        ("marketing", true, ["0.08", "0.08", "0.08", "0.08", "0.08"]),
        ("marketing", false, ["0.08", "0.08", "0.08", "0.08", "0.08"]),
        ("authentication", true, ["0.025", "0.025", "0.025", "0.025", "0.025"]),
        ("unknown", false, ["0.08", "0.08", "0.08", "0.08", "0.08"]),
        ("direct_utility", false, ["0.03", "0.03", "0.03", "0.03", "0.03"]),
        ("direct_authentication", true, ["0.025", "0.025", "0.025", "0.025", "0.025"]),
        ("utility utility", false, ["0", "0", "0", "0.03", "0.03"]),
        ("utility marketing", false, ["0.08", "0.08", "0.08", "0.08", "0.08"]),
        ("marketing free_form", true, ["0", "0", "0", "0", "0"]),
    ];
    for (sends, in_window, amounts) in table {
        for ((set, day), expected) in sets.into_iter().zip(amounts) {
            let named = Some(set).into_iter().chain(Some("meta").filter(|_| set != "guide"));
            for rules in named {
                let shop = Shop::open(&format!("rules = \"{rules}\"\ncurrency = \"EUR\""));
                shop.card("EUR", "2023-01-01", &of_market("United Kingdom"));
                let noon = moment(&format!("{day}T12:00:00Z"));
                if in_window {
                    shop.act(ANNA, noon - Span::hours(1));
                }
                let mut last = None;
                for (at, what) in sends.split(' ').enumerate() {
                    let at = noon + Span::hours(u32::try_from(at).unwrap());
                    let before = total(&shop.gate).amount;
                    let cost = shop.deliver(&body(ANNA, what), at, json!({})).cost;
                    let mut booked = total(&shop.gate).amount;
                    booked += -before;
                    last = Some((cost.amount, Some(booked)));
                }
                let expected = Some(amount(expected));
                assert_eq!(last, Some((expected, expected)), "{rules} on {day}: {sends}, in a window: {in_window}");
            }
        }
    }
}

#[test]
fn meta_changes_its_price_model_at_midnight_of_the_account_on_the_day_of_delivery() {
    let table = [
        // zone, the new set's first moment, what is sent, its amount before and after
        ("UTC", "2024-11-01T00:00:00Z", "free_form", "0.004", "0"),
        ("Europe/Berlin", "2024-10-31T23:00:00Z", "free_form", "0.004", "0"),
        ("America/Sao_Paulo", "2024-11-01T03:00:00Z", "free_form", "0.004", "0"),
        ("Europe/Berlin", "2025-06-30T22:00:00Z", "utility", "0.03", "0"),
        ("UTC", "2026-10-01T00:00:00Z", "utility", "0", "0.03"),
        ("Europe/Berlin", "2026-09-30T22:00:00Z", "utility", "0", "0.03"),
        ("America/Sao_Paulo", "2026-10-01T03:00:00Z", "utility", "0", "0.03"),
        ("Asia/Kolkata", "2026-09-30T18:30:00Z", "utility", "0", "0.03"),
    ];
    for (zone, midnight, what, before, after) in table {
        let midnight = moment(midnight);
        let second = Span::millis(1000);
        for (sent, delivered, expected) in [
            (midnight - second - second, midnight - second, before),
            (midnight - second, midnight, after),
            (midnight, midnight, after),
        ] {
            let shop = Shop::open(&format!("rules = \"meta\"\ncurrency = \"EUR\"\ntimezone = \"{zone}\""));
            shop.card("EUR", "2023-01-01", &of_market("United Kingdom"));
            shop.act(ANNA, midnight - Span::hours(2));
            let decision = shop.decide(&body(ANNA, what), sent);
            assert_eq!(decision.cost.amount, Some(amount(if sent < midnight { before } else { after })), "{zone}");
            let id = shop.send(&body(ANNA, what), sent);
            shop.status(with(status("delivered", &id, delivered), json!({})), delivered);
            assert_eq!(total(&shop.gate).amount, amount(expected), "{what} in {zone}, delivered at {delivered}");
        }
    }
}

#[test]
fn a_free_entry_point_is_free_until_it_is_reported_to_end_and_no_longer_than_seven_days() {
    let clicked = moment("2026-10-10T10:00:00Z");
    let table = [
        // the reported length in hours, the hours after the reply, what marketing costs then
        (None, 71, "0"),
        (None, 73, "0.08"),
        (Some(100), 99, "0"),
        (Some(100), 101, "0.08"),
        (Some(30), 29, "0"),
        (Some(30), 31, "0.08"),
        (Some(400), 167, "0"),
        (Some(400), 169, "0.08"),
    ];
    for (lasts, after, expected) in table {
        let shop = Shop::open("rules = \"meta-2026-10\"\ncurrency = \"EUR\"");
        shop.card("EUR", "2026-10-01", &of_market("United Kingdom"));
        let referral = json!({"referral": {"source_type": "ad", "source_id": "1"}});
        shop.hook(json!({"messages": [with(text(ANNA, "wamid.click", clicked), referral)]}), clicked);
        let replied = clicked + Span::hours(1);
        let id = shop.send(&body(ANNA, "free_form"), replied);
        let price =
            json!({"billable": false, "pricing_model": "PMP", "type": "free_entry_point", "category": "service"});
        let conversation = lasts.map(|lasts| {
            let origin = json!({"type": "referral_conversion"});
            json!({"id": "c", "expiration_timestamp": seconds(replied + Span::hours(lasts)), "origin": origin})
        });
        let reported = json!({"pricing": price, "conversation": conversation});
        shop.status(with(status("sent", &id, replied), reported), replied);
        let cost = shop.deliver(&body(ANNA, "marketing"), replied + Span::hours(after), json!({})).cost;
        assert_eq!(cost.amount, Some(amount(expected)), "{after} hours into one of {lasts:?}");
        assert_eq!(total(&shop.gate).amount, amount(expected), "{after} hours into one of {lasts:?}");
    }
}

// ---- The monthly free tier

#[test]
fn service_messages_are_free_up_to_the_free_tier_of_their_number_and_month() {
    let shop =
        Shop::open("currency = \"EUR\"\ntimezone = \"Europe/Berlin\"\n[rules]\nset = \"meta-2026-10\"\nfree_tier = 2");
    shop.card("EUR", "2026-09-01", &of_market("United Kingdom"));
    // Summer time begins and ends between the months: the first of November is an hour later in UTC than the first of October.
    let (october, november) = (moment("2026-09-30T22:00:00Z"), moment("2026-10-31T23:00:00Z"));
    let table = [
        (SHOP, october - Span::millis(1000), "0", "0.004"),
        (SHOP, october, "0", "0.004"),
        (SHOP, october + Span::hours(20), "0", "0.004"),
        (SHOP, october + Span::hours(20), "0.004", "0.004"),
        (BRANCH, october + Span::hours(20), "0", "0.004"),
        (SHOP, november - Span::millis(1000), "0.004", "0.004"),
        (SHOP, november, "0", "0.004"),
    ];
    let mut sum = Amount::ZERO;
    for (place, (number, at, expected, highest)) in table.into_iter().enumerate() {
        let shop = shop.on(number);
        shop.act(ANNA, at - Span::hours(1));
        let cost = shop.deliver(&body(ANNA, "free_form"), at, json!({})).cost;
        let expected = amount(expected);
        assert_eq!((cost.amount, cost.lowest), (Some(expected), Some(expected)), "{place}: at {at}");
        assert_eq!(cost.highest, Some(amount(highest)), "{place}: at {at}");
        sum += expected;
        assert_eq!(total(&shop.gate).amount, sum, "{place}: at {at}");
        // Templates take nothing of it, and cost what they cost.
        let utility = shop.decide(&body(ANNA, "utility"), at).cost;
        assert_eq!((utility.lowest, utility.highest), (Some(amount("0.03")), Some(amount("0.03"))), "{place}");
    }
    let free = |number, at| {
        let tiers = shop.gate.free_tiers(at).unwrap();
        let tier = tiers.iter().find(|tier| tier.business == Business::parse(number).unwrap()).copied().unwrap();
        (tier.month, tier.used, tier.free, tier.resets_at)
    };
    let (first, next) = (Day::new(2026, 10, 1), Day::new(2026, 11, 1));
    assert_eq!(free(SHOP, november - Span::millis(1)), (first, 4, Some(2), november));
    assert_eq!(free(BRANCH, october), (first, 1, Some(2), november));
    assert_eq!(free(SHOP, november), (next, 1, Some(2), moment("2026-11-30T23:00:00Z")));
}

#[test]
fn a_send_is_counted_once_it_is_delivered_and_once_however_often_it_is_reported() {
    let shop = Shop::open("currency = \"EUR\"\n[rules]\nset = \"meta-2026-10\"\nfree_tier = 1");
    shop.card("EUR", "2026-10-01", &of_market("United Kingdom"));
    let at = moment("2026-10-05T12:00:00Z");
    shop.act(ANNA, at);
    let used = || shop.gate.free_tiers(at).unwrap()[0].used;
    let (one, two) = (shop.send(&body(ANNA, "free_form"), at), shop.send(&body(ANNA, "free_form"), at));
    assert_eq!(used(), 0);
    for word in ["sent", "read", "delivered", "read"] {
        shop.status(status(word, &two, at), at);
    }
    assert_eq!((used(), total(&shop.gate).amount), (1, amount("0")));
    shop.status(status("delivered", &one, at), at);
    assert_eq!((used(), total(&shop.gate).amount), (2, amount("0.004")), "the order of deliveries decides");
    shop.status(status("failed", &shop.send(&body(ANNA, "free_form"), at), at), at);
    assert_eq!(used(), 2);
}

#[test]
fn each_member_of_a_group_is_charged_at_the_rate_of_its_own_country() {
    let at = moment("2026-10-05T12:00:00Z");
    // The platform's answer may come after the statuses that it is about; they say themselves then what they are.
    for is_late in [false, true] {
        let shop = Shop::open("currency = \"EUR\"\n[rules]\nset = \"meta-2026-10\"\nfree_tier = 1");
        let rates = ["United Kingdom", "France", "Brazil"].into_iter().zip(["0.004", "0.005", "0.006"]);
        let rates: Vec<_> = rates.map(|(market, rate)| (market, Category::Service, rate)).collect();
        shop.card("EUR", "2026-10-01", &rates);
        let inbound = with(text(ANNA, "wamid.in", at), json!({"group_id": "Z3JvdXA"}));
        shop.hook(json!({"messages": [inbound]}), at);
        let send = json!({"recipient_type": "group", "to": "Z3JvdXA", "type": "text", "text": {"body": "hi"}});
        let send = send.to_string().into_bytes();
        let deliver = || {
            for member in [ANNA, PAUL, RUI, PAUL] {
                let of_group =
                    json!({"recipient_id": "Z3JvdXA", "recipient_type": "group", "recipient_participant_id": member});
                let kind = if member == ANNA { "free_group_customer_service" } else { "regular" };
                let pricing =
                    is_late.then(|| json!({"pricing_model": "PMP", "type": kind, "category": "group_service"}));
                let delivered = with(status("delivered", "wamid.1", at), json!({"pricing": pricing}));
                shop.status(with(delivered, of_group), at);
            }
        };
        let token = shop.gate.decide(shop.business(), Endpoint::Messages, &send, at).unwrap();
        let Cost { amount: least, no_amount, .. } = token.decision.cost;
        assert_eq!((least, no_amount), (Some(amount("0")), None));
        if is_late {
            deliver();
        }
        let answer = json!({"messages": [{"id": "wamid.1", "group_id": "Z3JvdXA"}]}).to_string().into_bytes();
        decided(&shop.gate, shop.gate.submit_settle(token.token, 200, answer, at).unwrap()).unwrap();
        if !is_late {
            deliver();
        }
        let row = total(&shop.gate);
        assert_eq!((row.messages, row.free, row.billable, row.amount), (1, 1, 2, amount("0.011")), "late: {is_late}");
        assert_eq!(shop.gate.free_tiers(at).unwrap()[0].used, 3);
        // Beyond the tier nobody can say what a group costs: its members' countries are not in its name.
        let cost = shop.decide(&send, at).cost;
        assert_eq!((cost.amount, cost.no_amount), (None, Some(NoAmount::NoMarket)));
    }
}

// ---- What the platform reports

#[test]
fn what_the_platform_reports_wins_over_the_estimate_and_both_are_kept() {
    let regular = |category| json!({"billable": true, "pricing_model": "PMP", "type": "regular", "category": category});
    let free = |word, category| json!({"billable": false, "pricing_model": "PMP", "type": word, "category": category});
    let table = [
        // what is sent in a window, the report, the estimated and the reported amount, the reported category and reason
        ("utility", regular("utility"), "0", "0.03", Category::Utility, ChargeReason::PerMessage),
        ("utility", regular("marketing"), "0", "0.08", Category::Marketing, ChargeReason::PerMessage),
        ("unknown", regular("utility"), "0.08", "0.03", Category::Utility, ChargeReason::PerMessage),
        (
            "marketing",
            free("free_entry_point", "marketing"),
            "0.08",
            "0",
            Category::Marketing,
            ChargeReason::FreeEntryPoint,
        ),
        ("free_form", free("free_customer_service", "service"), "0", "0", Category::Service, ChargeReason::ServiceFree),
        (
            "authentication",
            regular("authentication-international"),
            "0.025",
            "0.13",
            Category::AuthenticationInternational,
            ChargeReason::PerMessage,
        ),
        (
            "authentication",
            json!({"category": "authentication", "billable": true}),
            "0.025",
            "0.025",
            Category::Authentication,
            ChargeReason::PerMessage,
        ),
    ];
    let at = moment("2026-08-01T12:00:00Z");
    for (what, report, estimated, reported, category, reason) in table {
        for is_late in [false, true] {
            let shop = Shop::open("rules = \"meta-2025-07\"\ncurrency = \"EUR\"");
            shop.card("EUR", "2025-07-01", &of_market("United Kingdom"));
            shop.act(ANNA, at - Span::hours(1));
            let pricing = json!({"pricing": report});
            let cost = shop.deliver(&body(ANNA, what), at, if is_late { json!({}) } else { pricing.clone() }).cost;
            assert_eq!(cost.amount, Some(amount(estimated)), "{what}");
            if is_late {
                assert_eq!(total(&shop.gate).amount, amount(estimated), "{what}, not reported yet");
                assert_eq!(total(&shop.gate).reported, 0, "{what}, not reported yet");
                shop.status(with(status("read", "wamid.1", at), pricing.clone()), at);
            }
            let row = total(&shop.gate);
            assert_eq!(
                (row.amount, row.reported, row.free + row.billable),
                (amount(reported), 1, 1),
                "{what} {report}"
            );
            let charges = shop.charges();
            let last = &charges.last().unwrap().entry;
            assert_eq!((last.line.kind, last.line.category), (LineKind::Reconciled, category), "{what} {report}");
            assert_eq!(last.line.charged.reason, Some(reason), "{what} {report}");
            assert_eq!((last.amount, last.estimated_amount), (amount(reported), amount(estimated)), "{what} {report}");
        }
    }
}
