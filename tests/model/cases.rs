//! The model against the documents: their own examples, and a small table for each rule and each decision.

use super::telling::*;
use super::*;

use Category::{Authentication, AuthenticationInternational, Marketing, Service, Unknown, Utility};
use Progress::{Delivered, Failed, Read, Sent};

#[test]
fn the_guides_first_example_opens_by_category() {
    let facts = [template(1, 0, Marketing), act(4 * H), template(2, 4 * H, Utility), template(3, 10 * H, Utility)];
    check(
        GUIDE,
        &facts,
        &[
            "1 marketing opens marketing: billable opens_conversation @0h",
            "2 utility opens utility: billable opens_conversation @4h",
            "3 utility joins utility: free joins_conversation @10h",
        ],
    );
}

#[test]
fn the_guides_second_example_opens_service_when_nothing_is_open() {
    let facts =
        [template(1, 0, Marketing), act(4 * H), free_form(2, 5 * H), free_form(3, 25 * H), free_form(4, 26 * H)];
    check(
        GUIDE,
        &facts,
        &[
            "1 marketing opens marketing: billable opens_conversation @0h",
            "2 service joins marketing: free service_free @5h",
            "3 service opens service: free service_free @25h",
            "4 service joins service: free service_free @26h",
        ],
    );
}

#[test]
fn the_guides_conversations_end_after_exactly_a_day() {
    let facts = [template(1, 0, Utility), template(2, 24 * H - 1, Utility), template(3, 24 * H, Utility)];
    check(
        GUIDE,
        &facts,
        &[
            "1 utility opens utility: billable opens_conversation @0h",
            "2 utility joins utility: free joins_conversation @86399999ms",
            "3 utility opens utility: billable opens_conversation @24h",
        ],
    );
}

#[test]
fn the_guides_free_form_joins_the_newest_conversation() {
    let facts = [template(1, 0, Marketing), template(2, H, Utility), free_form(3, 2 * H), free_form(4, 24 * H + 1)];
    check(
        GUIDE,
        &facts,
        &[
            "1 marketing opens marketing: billable opens_conversation @0h",
            "2 utility opens utility: billable opens_conversation @1h",
            "3 service joins utility: free service_free @2h",
            "4 service joins utility: free service_free @86400001ms",
        ],
    );
}

#[test]
fn the_guides_click_makes_everything_free_for_72_hours_and_a_new_one_restarts_them() {
    let joins = "marketing joins free_entry_point: free free_entry_point";
    let facts =
        [click(0), template(1, 0, Marketing), template(2, 72 * H - 1, Marketing), template(3, 72 * H, Marketing)];
    check(
        GUIDE,
        &facts,
        &[
            &format!("1 {joins} @0h"),
            &format!("2 {joins} @259199999ms"),
            "3 marketing opens marketing: billable opens_conversation @72h",
        ],
    );
    check(GUIDE, &[click(0), click(50 * H), template(1, 100 * H, Marketing)], &[&format!("1 {joins} @100h")]);
}

#[test]
fn a_reported_free_entry_point_lasts_until_its_reported_end_but_a_week_at_most() {
    let ends = |end| Report { expires_at: Some(end), ..ENTRY_POINT };
    for (report, end) in
        [(ENTRY_POINT, 72 * H), (ends(30 * H), 30 * H), (ends(168 * H), 168 * H), (ends(200 * H), 168 * H)]
    {
        let facts = [
            template(1, 0, Utility),
            reported(1, 0, Delivered, report),
            template(2, end - H, Utility),
            template(3, end, Utility),
            delivered(2, end - H),
            delivered(3, end),
        ];
        let (inside, after) = (end / H - 1, end / H);
        for (rules, effect) in [(GUIDE, "joins"), (META_2024_11, "opens")] {
            check(
                rules,
                &facts,
                &[
                    &format!("1 utility {effect} free_entry_point: free free_entry_point @0h"),
                    &format!("2 utility joins free_entry_point: free free_entry_point @{inside}h"),
                    &format!("3 utility opens utility: billable opens_conversation @{after}h"),
                ],
            );
        }
    }
}

/// Meta's example: ad message 10:00, template reply 22:00: 72 hours from 22:00, that is from the reply's delivery.
#[test]
fn the_reply_to_an_ad_opens_the_free_entry_point() {
    let facts = [
        template(1, 9 * H, Marketing),
        delivered(1, 9 * H),
        click(10 * H),
        template(2, 22 * H, Utility),
        delivered(2, 23 * H),
        template(3, 30 * H, Marketing),
        delivered(3, 30 * H),
        template(4, 95 * H - 1, Marketing),
        template(5, 95 * H, Marketing),
    ];
    let [one, two, three, four] = [
        "2 utility opens free_entry_point: free free_entry_point @23h",
        "3 marketing joins free_entry_point: free free_entry_point @30h",
        "4 marketing joins free_entry_point: free free_entry_point",
        "5 marketing opens marketing: billable opens_conversation",
    ];
    check(
        META_2024_11,
        &facts,
        &["1 marketing opens marketing: billable opens_conversation @9h", one, two, three, four],
    );
    for rules in [META_2025_07, META_2026_10] {
        let per_message = "1 marketing none: billable per_message @9h";
        check(rules, &facts, &[per_message, one, two, three, "5 marketing none: billable per_message"]);
    }
}

#[test]
fn the_reply_to_an_ad_comes_within_a_day_or_not_at_all() {
    let entry = "utility opens free_entry_point: free free_entry_point";
    check(META_2024_11, &[click(0), template(1, 24 * H - 1, Utility)], &[&format!("1 {entry}")]);
    let late = [click(0), template(1, 24 * H, Utility)];
    check(META_2024_11, &late, &["1 utility opens utility: billable opens_conversation"]);
    let none = [click(0), reaction(1, H), template(2, 2 * H, Utility)];
    check(META_2024_11, &none, &["1 service none: nil reaction", &format!("2 {entry}")]);
    let again = [click(0), template(1, 0, Utility), delivered(1, 0), click(71 * H), template(2, 72 * H, Utility)];
    check(META_2024_11, &again, &[&format!("1 {entry} @0h"), &format!("2 {entry}")]);
    let provisional =
        [click(0), template(1, H, Utility), template(2, 73 * H - 1, Utility), template(3, 73 * H, Utility)];
    let joins = "2 utility joins free_entry_point: free free_entry_point";
    let after = "3 utility opens utility: billable opens_conversation";
    check(META_2024_11, &provisional, &[&format!("1 {entry}"), joins, after]);
}

#[test]
fn the_free_entry_point_closes_the_other_conversations() {
    let end = Report { expires_at: Some(30 * H), ..ENTRY_POINT };
    let facts = [
        template(1, 0, Utility),
        delivered(1, 40 * H),
        template(2, 6 * H, Marketing),
        reported(2, 6 * H, Sent, end),
        template(3, 29 * H, Utility),
        template(4, 41 * H, Utility),
    ];
    check(
        META_2024_11,
        &facts,
        &[
            "1 utility opens utility: billable opens_conversation @40h",
            "2 marketing opens free_entry_point: free free_entry_point",
            "3 utility joins free_entry_point: free free_entry_point",
            "4 utility opens utility: billable opens_conversation",
        ],
    );
}

#[test]
fn a_conversation_is_anchored_at_the_first_delivery_of_its_category_and_charged_to_its_opener() {
    let facts = [
        template(1, 0, Utility),
        template(2, H, Utility),
        free_form(3, 2 * H),
        delivered(3, 2 * H),
        delivered(2, 10 * H),
        delivered(1, 20 * H),
        template(4, 34 * H - 1, Utility),
        template(5, 34 * H, Utility),
    ];
    check(
        META_2023_06,
        &facts,
        &[
            "1 utility opens utility: billable opens_conversation @10h",
            "2 utility joins utility: free joins_conversation @10h",
            "3 service joins utility: free joins_conversation @2h",
            "4 utility joins utility: free joins_conversation",
            "5 utility opens utility: billable opens_conversation",
        ],
    );
}

#[test]
fn a_conversation_without_a_delivery_lasts_a_day_from_its_send_and_is_not_charged() {
    let facts = [template(1, 0, Utility), template(2, 24 * H - 1, Utility), template(3, 24 * H, Utility)];
    check(
        META_2024_11,
        &facts,
        &[
            "1 utility opens utility: billable opens_conversation",
            "2 utility joins utility: free joins_conversation",
            "3 utility opens utility: billable opens_conversation",
        ],
    );
}

#[test]
fn free_form_is_charged_in_2023_free_since_2024_and_billable_beyond_the_tier_since_2026_10() {
    let facts = [free_form(1, 0), delivered(1, 0), free_form(2, H), status(2, H, Read)];
    let joins = "2 service joins service: free";
    check(
        META_2023_06,
        &facts,
        &["1 service opens service: billable opens_conversation @0h", &format!("{joins} joins_conversation @1h")],
    );
    check(
        META_2024_11,
        &facts,
        &["1 service opens service: free service_free @0h", &format!("{joins} service_free @1h")],
    );
    check(META_2025_07, &facts, &["1 service none: free service_free @0h", "2 service none: free service_free @1h"]);
    let beyond = [&facts[..], &[free_form(3, 2 * H), delivered(3, 2 * H), free_form(4, 3 * H)]].concat();
    check(
        META_2026_10,
        &beyond,
        &[
            "1 service none: free free_tier @0h",
            "2 service none: free free_tier @1h",
            "3 service none: billable per_message @2h",
            "4 service none",
        ],
    );
}

#[test]
fn units_are_taken_in_the_order_of_recording_by_all_contacts_of_a_number_and_anew_each_month() {
    let month = 31 * DAY;
    let facts = [
        free_form(1, 0),
        with(OTHER, free_form(2, H)),
        free_form(3, 2 * H),
        with(Contact { business: 2, customer: 1 }, free_form(4, 2 * H)),
        free_form(5, month),
        delivered(3, 2 * H),
        with(OTHER, delivered(2, H)),
        with(Contact { business: 2, customer: 1 }, delivered(4, 2 * H)),
        delivered(5, month),
        delivered(1, 0),
    ];
    let expected = [
        "1 service none: billable per_message @0h",
        "2 service none: free free_tier @1h",
        "3 service none: free free_tier @2h",
        "4 service none: free free_tier @2h",
        "5 service none: free free_tier @744h",
    ];
    check(META_2026_10, &facts, &expected);
}

/// A click that is recorded late makes the first two free; the third was the third.
#[test]
fn a_unit_once_taken_stays_taken() {
    let sends = [free_form(1, H), free_form(2, 2 * H), free_form(3, 80 * H)];
    let deliveries = [delivered(1, H), delivered(2, 2 * H), delivered(3, 80 * H)];
    check(
        META_2026_10,
        &[&sends[..], &deliveries, &[click(0)]].concat(),
        &[
            "1 service opens free_entry_point: free free_entry_point @1h",
            "2 service joins free_entry_point: free free_entry_point @2h",
            "3 service none: billable per_message @80h",
        ],
    );
}

#[test]
fn a_utility_template_is_free_in_the_window_under_2025_07_alone() {
    let second = SECOND;
    let (free, billable) = ("free in_window", "billable per_message");
    for (before, at, expected) in [
        (vec![], 0, billable),
        (vec![act(0)], 24 * H - 1, free),
        (vec![act(0)], 24 * H, billable),
        (vec![act(1)], 0, billable),
        (vec![act(0), act(2 * H)], H, free),
        (vec![with(OTHER, act(0))], H, billable),
        (vec![Fact::Act { contact: WHO, at: 0, opens: false, click: false }], H, billable),
        // Refused: the window is closed from the refused send on, if that is later than the act in whole seconds.
        (vec![act(0), free_form(9, H), refused(9, 3 * H)], H - 1, free),
        (vec![act(0), free_form(9, H), refused(9, 3 * H)], H, billable),
        (vec![act(0), free_form(9, H + 900), refused(9, 3 * H)], H, free),
        (vec![act(0), free_form(9, 900), refused(9, 3 * H)], H, free),
        (vec![act(0), free_form(9, second), refused(9, 3 * H)], H, billable),
        (vec![act(0), free_form(9, H), refused(9, 3 * H), act(2 * H)], 2 * H, free),
        // An id that nobody knew when it was refused.
        (vec![act(0), refused(9, 3 * H), free_form(9, H)], 2 * H, free),
        (vec![act(0), refused(9, 3 * H), free_form(9, H)], 3 * H, billable),
        // Any other failure says nothing of the window.
        (vec![act(0), free_form(9, H), status(9, 2 * H, Failed)], 3 * H, free),
    ] {
        let sends = [template(1, at, Utility), delivered(1, 48 * H)];
        let facts = [&before[..], &sends].concat();
        check(META_2025_07, &facts, &[&format!("1 utility none: {expected} @48h")]);
        check(META_2026_10, &facts, &[&format!("1 utility none: {billable} @48h")]);
    }
    let others = [act(0), template(1, H, Marketing), template(2, H, AuthenticationInternational)];
    let lines = ["1 marketing none: billable per_message", "2 authentication_international none: billable per_message"];
    check(META_2025_07, &others, &lines);
}

#[test]
fn meta_takes_the_rules_of_the_deliverys_day_until_then_of_the_sends() {
    let change = midnight(2025, 7, 1);
    let send = template(1, change - H, Marketing);
    check_since(change, Rules::ByDay, &[send], &["1 marketing opens marketing: billable opens_conversation"]);
    let before = [send, delivered(1, change - 1)];
    let line = "1 marketing opens marketing: billable opens_conversation @-1ms";
    check_since(change, Rules::ByDay, &before, &[line]);
    let after = [send, delivered(1, change)];
    check_since(change, Rules::ByDay, &after, &["1 marketing none: billable per_message @0h"]);

    let first = |year, month| midnight(year, month, 1);
    for (at, expected) in [
        (first(2023, 6) - 1, "opens service: billable opens_conversation"),
        (first(2024, 11) - 1, "opens service: billable opens_conversation"),
        (first(2024, 11), "opens service: free service_free"),
        (first(2025, 7), "none: free service_free"),
        (first(2026, 10) - 1, "none: free service_free"),
        (first(2026, 10), "none: free free_tier"),
    ] {
        let facts = [free_form(1, at), delivered(1, at)];
        check_since(at, Rules::ByDay, &facts, &[&format!("1 service {expected} @0h")]);
    }
}

#[test]
fn a_conversation_begun_under_one_set_runs_out_under_it() {
    let change = midnight(2025, 7, 1);
    let facts = [
        template(1, change - 2 * H, Utility),
        delivered(1, change - H),
        template(2, change + H, Utility),
        delivered(2, change + H),
        template(3, change + H, Marketing),
        free_form(4, change + H),
        template(5, change + 23 * H, Utility),
    ];
    check_since(
        change,
        Rules::ByDay,
        &facts,
        &[
            "1 utility opens utility: billable opens_conversation @-1h",
            "2 utility joins utility: free joins_conversation @1h",
            "3 marketing none: billable per_message",
            "4 service joins utility: free service_free",
            "5 utility none: billable per_message",
        ],
    );
}

#[test]
fn a_message_that_fails_counts_as_never_sent_until_it_is_delivered_after_all() {
    let sends = [template(1, 0, Utility), template(2, H, Utility), delivered(2, H)];
    let failed = [&sends[..], &[status(1, 0, Failed), status(1, 0, Sent)]].concat();
    check(META_2024_11, &failed, &["2 utility opens utility: billable opens_conversation @1h"]);
    check(GUIDE, &failed, &["2 utility opens utility: billable opens_conversation @1h"]);
    let after_all = [&failed[..], &[delivered(1, 2 * H)]].concat();
    let lines = [
        "1 utility opens utility: billable opens_conversation @1h",
        "2 utility joins utility: free joins_conversation @1h",
    ];
    check(META_2024_11, &after_all, &lines);
}

#[test]
fn the_first_send_of_an_id_counts_and_a_status_may_come_before_it() {
    let sends = [template(1, H, Utility), template(1, 0, Marketing), free_form(1, 0)];
    check(GUIDE, &sends, &["1 utility opens utility: billable opens_conversation @1h"]);
    let earlier = [status(1, 2 * H, Sent), template(1, H, Utility), status(1, 0, Sent)];
    check(GUIDE, &earlier, &["1 utility opens utility: billable opens_conversation @1h"]);
    let later = [status(1, 2 * H, Sent), delivered(1, H), template(1, 3 * H, Utility)];
    check(GUIDE, &later, &["1 utility opens utility: billable opens_conversation @1h"]);

    let alone = |category| [reported(1, H, Sent, Report { category, ..NOTHING }), delivered(1, 2 * H)];
    check(META_2024_11, &alone(None), &[]);
    check(META_2024_11, &alone(Some(Service)), &["1 service opens service: free service_free @2h"]);
    check(META_2024_11, &alone(Some(Utility)), &["1 utility opens utility: billable opens_conversation @2h"]);
}

#[test]
fn a_delivery_is_never_before_the_send() {
    let facts = [template(1, H, Marketing), delivered(1, 0)];
    check(META_2025_07, &facts, &["1 marketing none: billable per_message @1h"]);
    let twice = [template(1, H, Marketing), status(1, 5 * H, Read), delivered(1, 2 * H), delivered(1, 3 * H)];
    check(META_2025_07, &twice, &["1 marketing none: billable per_message @2h"]);
}

#[test]
fn messages_of_one_moment_are_placed_as_they_were_recorded() {
    let facts = [template(2, 0, Utility), template(1, 0, Utility)];
    let lines = [
        "1 utility joins utility: free joins_conversation @0h",
        "2 utility opens utility: billable opens_conversation @0h",
    ];
    check(GUIDE, &facts, &lines);
}

#[test]
fn a_reaction_opens_nothing_and_costs_nothing() {
    for rules in Rules::ALL {
        check(rules, &[click(0), reaction(1, 0), status(1, 0, Sent)], &["1 service none: nil reaction"]);
    }
}

#[test]
fn the_platform_knows_the_category_and_an_unknown_one_is_a_guess() {
    check(GUIDE, &[template(1, 0, Unknown)], &["1 marketing? opens marketing: billable opens_conversation @0h"]);
    let says = |category| reported(1, 0, Sent, Report { category: Some(category), ..NOTHING });
    let facts = [template(1, 0, Unknown), says(Authentication), says(Utility)];
    check(GUIDE, &facts, &["1 authentication opens authentication: billable opens_conversation @0h"]);
    let facts = [template(1, 0, Utility), says(AuthenticationInternational), template(2, H, Authentication)];
    let international = "1 authentication_international opens authentication: billable opens_conversation @0h";
    check(GUIDE, &facts, &[international, "2 authentication joins authentication: free joins_conversation @1h"]);
}

#[test]
fn a_price_reported_per_message_is_believed() {
    let entry = Report { free_entry_point: true, ..NOT_BILLABLE };
    for (rules, send, report, expected) in [
        (GUIDE, free_form(1, 0), BILLABLE, "service opens service: billable per_message"),
        (META_2025_07, template(1, 0, Utility), NOT_BILLABLE, "utility none: free in_window"),
        (META_2025_07, template(1, 0, Marketing), NOT_BILLABLE, "marketing none: free joins_conversation"),
        (META_2025_07, free_form(1, 0), NOT_BILLABLE, "service none: free service_free"),
        (META_2026_10, free_form(1, 0), NOT_BILLABLE, "service none: free free_tier"),
        (META_2026_10, free_form(1, 0), BILLABLE, "service none: billable per_message"),
        (META_2026_10, template(1, 0, Marketing), entry, "marketing opens free_entry_point: free free_entry_point"),
    ] {
        check(rules, &[send, reported(1, H, Delivered, report)], &[&format!("1 {expected} @1h")]);
    }
    let first = [template(1, 0, Marketing), reported(1, 0, Sent, NOT_BILLABLE), reported(1, 0, Delivered, BILLABLE)];
    check(META_2025_07, &first, &["1 marketing none: free joins_conversation @0h"]);
}

#[test]
fn a_reported_conversation_is_paid_by_the_first_that_reports_it() {
    let cbp = |conversation| Report { model: Some(Pricing::Cbp), conversation, ..BILLABLE };
    let facts = [
        template(1, 0, Utility),
        template(2, H, Utility),
        template(3, 30 * H, Utility),
        reported(2, 2 * H, Delivered, cbp(Some(7))),
        reported(1, 3 * H, Delivered, cbp(Some(7))),
        reported(3, 30 * H, Delivered, cbp(Some(7))),
    ];
    check(
        META_2024_11,
        &facts,
        &[
            "1 utility opens utility: free joins_conversation @3h",
            "2 utility joins utility: billable opens_conversation @2h",
            "3 utility opens utility: free joins_conversation @30h",
        ],
    );
    let nameless = [
        template(1, 0, Utility),
        template(2, H, Utility),
        free_form(3, H),
        reported(1, 0, Delivered, cbp(None)),
        reported(2, H, Delivered, cbp(None)),
        reported(3, H, Delivered, cbp(None)),
    ];
    check(
        META_2024_11,
        &nameless,
        &[
            "1 utility opens utility: billable opens_conversation @0h",
            "2 utility joins utility: free joins_conversation @1h",
            "3 service joins utility: free joins_conversation @1h",
        ],
    );
}

#[test]
fn a_reported_charge_falls_due_with_the_messages_own_delivery() {
    let sends = [template(1, 0, Utility), template(2, H, Utility), delivered(2, 2 * H)];
    let says = |progress, at| reported(1, at, progress, BILLABLE);
    let second = "2 utility joins utility: free joins_conversation";
    let first = "1 utility opens utility: billable per_message";
    let delivered = [&sends[..], &[says(Delivered, 5 * H)]].concat();
    check(META_2024_11, &delivered, &[&format!("1 {}", &format!("{first} @5h")[2..]), &format!("{second} @2h")]);
    check(GUIDE, &delivered, &[&format!("{first} @5h"), &format!("{second} @1h")]);
    let on_its_way = [&sends[..], &[says(Sent, 0)]].concat();
    check(GUIDE, &on_its_way, &[&format!("{first} @0h"), &format!("{second} @1h")]);
    check(
        META_2025_07,
        &on_its_way,
        &["1 utility none: billable per_message", "2 utility none: billable per_message @2h"],
    );
}

#[test]
fn where_the_platform_does_not_say_how_it_counts_it_counts_as_the_set_does() {
    let billable = Report { billable: Some(true), ..NOTHING };
    let facts = [template(1, 0, Marketing), reported(1, H, Delivered, billable)];
    check(META_2024_11, &facts, &["1 marketing opens marketing: billable opens_conversation @1h"]);
    check(META_2025_07, &facts, &["1 marketing none: billable per_message @1h"]);
}

#[test]
fn when_the_payer_fails_the_next_that_reported_the_conversation_pays() {
    let cbp = Report { model: Some(Pricing::Cbp), conversation: Some(7), ..BILLABLE };
    let facts = [
        template(1, 0, Utility),
        reported(1, 0, Sent, cbp),
        template(2, H, Utility),
        reported(2, H, Delivered, cbp),
        status(1, 2 * H, Failed),
    ];
    check(META_2024_11, &facts, &["2 utility opens utility: billable opens_conversation @1h"]);
}

#[test]
fn a_message_that_nobody_has_named_tells_of_a_free_entry_point_all_the_same() {
    let facts = [reported(1, 0, Sent, ENTRY_POINT), template(2, H, Marketing)];
    for rules in Rules::ALL {
        let joins = "2 marketing joins free_entry_point: free free_entry_point";
        let due = if rules == GUIDE { " @1h" } else { "" };
        check(rules, &facts, &[&format!("{joins}{due}")]);
    }
}

#[test]
fn what_failed_is_given_up_with_the_first_code_that_was_told() {
    let facts = [template(1, H, Unknown), status(1, 2 * H, Failed), refused(1, 3 * H), refused(2, 4 * H)];
    let expected = GivenUp {
        message: 1,
        contact: WHO,
        at: H,
        class: Class::Template,
        category: Marketing,
        guess: true,
        code: None,
    };
    assert_eq!(given_up(&facts), [expected]);
}
