//! The template catalogue: imported lists, the platform's notices, and what they make of a send.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use csw::gate::Gate;
use csw::party::Business;
use csw::rules::decision::Verdict;
use csw::rules::event::Category;
use csw::rules::window::Reason;
use csw::time::{Span, Timestamp};
use csw::wire::send::Endpoint;
use csw::wire::templates;
use serde_json::{Value, json};
use support::{ACCOUNT, ANNA, BRANCH, SHOP, account_webhook, decided, gate, ingest, with};

const OTHER_ACCOUNT: u64 = 999;

// ---- Lists

#[test]
fn a_list_of_several_pages_is_read_whole_and_what_is_unreadable_is_named() {
    let page = |templates: Value, next: Option<&str>| {
        json!({"data": templates, "paging": {"cursors": {"after": "x"}, "next": next}}).to_string()
    };
    let one = json!({"name": "one", "language": "en_US", "status": "APPROVED", "category": "UTILITY", "id": "1"});
    let two = with(one.clone(), json!({"name": "two", "status": "REJECTED", "category": "MARKETING"}));
    let changing = with(one.clone(), json!({"name": "three", "correct_category": "MARKETING"}));
    let broken = with(one.clone(), json!({"status": null}));
    let nameless = with(one.clone(), json!({"name": 7}));
    let first = page(json!([one, two, broken]), Some("https://graph"));
    let second = page(json!([nameless, changing]), None);

    let gate = gate(&format!("account = \"{ACCOUNT}\""));
    let read = templates::parse(account(), format!("{first}\n{second}").as_bytes(), at(1)).unwrap();
    assert_eq!((read.notices.len(), read.unreadable.len(), read.is_cut_off), (3, 2, false));
    assert!(read.unreadable[0].contains("data[2].status") && read.unreadable[1].contains("data[0].name"));
    decided(&gate, gate.submit_notices(read.notices).unwrap()).unwrap();
    let known = gate.templates(account()).unwrap();
    let told: Vec<_> = known.iter().map(|record| (&*record.template.name, record.approved, record.category)).collect();
    let (utility, marketing) = (Some(Category::Utility), Some(Category::Marketing));
    // In a list `category` is the present one, and `correct_category` the one to come.
    assert_eq!(told, [("one", Some(true), utility), ("three", Some(true), utility), ("two", Some(false), marketing)]);
    assert!(known.iter().all(|record| record.as_of == Some(at(1))));
    assert_eq!(gate.templates(OTHER_ACCOUNT).unwrap(), []);

    let cut_off = templates::parse(account(), first.as_bytes(), at(1)).unwrap();
    assert!(cut_off.is_cut_off);
    for junk in ["{}", "[]", "{\"data\": 1}", "{\"error\": {\"code\": 190}}", "{\"data\": [", "name,language"] {
        assert!(templates::parse(account(), junk.as_bytes(), at(1)).is_err(), "{junk}");
    }
}

// ---- Policies

#[test]
fn each_policy_decides_about_each_word_for_a_templates_status() {
    let good = ["APPROVED", "REINSTATED", "UNARCHIVED", "FLAGGED"];
    let bad =
        ["REJECTED", "PENDING", "PAUSED", "DISABLED", "ARCHIVED", "DELETED", "PENDING_DELETION", "IN_APPEAL", "LOCKED"];
    let words = good.map(|word| (Some(word), None)).into_iter();
    let words = words.chain(bad.map(|word| (Some(word), Some(Reason::TemplateNotApproved))));
    for (word, complaint) in words.chain([(None, Some(Reason::TemplateUnknown))]) {
        for (policy, mode) in [("trust", ""), ("warn", ""), ("require_approved", ""), ("require_approved", "monitor")] {
            let mode_line = if mode.is_empty() { String::new() } else { format!("mode = \"{mode}\"\n") };
            let gate = belonging(&format!("{mode_line}templates.policy = \"{policy}\""));
            if let Some(word) = word {
                notice(&gate, at(1), status(word));
            }
            let decision = decide(&gate, SHOP, "offer", "en_US");
            let is_strict = policy == "require_approved" && complaint.is_some();
            let denied = is_strict && mode.is_empty();
            let verdict = if denied { Verdict::Deny } else { Verdict::Allow };
            let reason = complaint.filter(|_| policy != "trust").unwrap_or(Reason::Template);
            assert_eq!((decision.verdict, decision.reason), (verdict, reason), "{policy} {mode}: {word:?}");
            assert_eq!(decision.would_deny, is_strict && !mode.is_empty(), "{policy} {mode}: {word:?}");
        }
    }
}

#[test]
fn direct_send_needs_no_template_of_the_catalogue() {
    let gate = belonging("templates.policy = \"require_approved\"");
    let body = json!({"to": ANNA, "type": "text", "text": {"body": "hi"}, "category": "utility"}).to_string();
    let decision = gate.decide(business(SHOP), Endpoint::Messages, body.as_bytes(), at(9)).unwrap().decision;
    assert_eq!((decision.verdict, decision.category), (Verdict::Allow, Some(Category::Utility)));
}

// ---- Notices

#[test]
fn the_newest_notice_of_each_thing_counts_in_whichever_order_they_come() {
    let (good, bad) = (Reason::Template, Reason::TemplateNotApproved);
    let (utility, marketing) = (Category::Utility, Category::Marketing);
    let approved_as = |category: &str| with(status("APPROVED"), json!({"message_template_category": category}));
    let table = [
        ("as told", vec![(1, status("PAUSED")), (2, status("APPROVED"))], good, utility),
        ("as told", vec![(1, status("APPROVED")), (2, status("PAUSED"))], bad, utility),
        ("the older one late", vec![(2, status("APPROVED")), (1, status("PAUSED"))], good, utility),
        ("the older one late", vec![(2, status("PAUSED")), (1, status("APPROVED"))], bad, utility),
        ("categories as told", vec![(1, category("UTILITY")), (2, category("MARKETING"))], bad, marketing),
        ("categories swapped", vec![(2, category("MARKETING")), (1, category("UTILITY"))], bad, marketing),
        (
            "a status before a category, late",
            vec![(2, category("MARKETING")), (1, status("APPROVED"))],
            good,
            marketing,
        ),
        (
            "a category before a status, late",
            vec![(2, status("APPROVED")), (1, category("MARKETING"))],
            good,
            marketing,
        ),
        ("a status with its category", vec![(2, approved_as("MARKETING")), (1, category("UTILITY"))], good, marketing),
        ("the same moment", vec![(1, status("PAUSED")), (1, status("APPROVED"))], good, utility),
        ("before the list", vec![(-1, status("APPROVED")), (-1, category("MARKETING"))], bad, utility),
        ("an unknown word", vec![(1, status("APPROVED")), (2, status("SINGING"))], good, utility),
        ("a category of the future", vec![(1, announced("UTILITY", "MARKETING"))], bad, utility),
        (
            "one that came true",
            vec![(1, announced("UTILITY", "MARKETING")), (2, category("MARKETING"))],
            bad,
            marketing,
        ),
        ("announced late", vec![(2, category("MARKETING")), (1, announced("UTILITY", "MARKETING"))], bad, marketing),
    ];
    for (case, notices, reason, category) in table {
        let gate = belonging("templates.policy = \"require_approved\"");
        let template = json!({"name": "offer", "language": "en_US", "status": "REJECTED", "category": "UTILITY"});
        let list = templates::parse(account(), json!({"data": [template]}).to_string().as_bytes(), at(0)).unwrap();
        decided(&gate, gate.submit_notices(list.notices).unwrap()).unwrap();
        for (minute, change) in notices {
            notice(&gate, at(minute), change);
        }
        let decision = decide(&gate, SHOP, "offer", "en_US");
        assert_eq!((decision.reason, decision.category), (reason, Some(category)), "{case}");
        assert!(!decision.estimated, "{case}");
    }
}

#[test]
fn notices_without_a_time_count_in_the_order_in_which_they_come() {
    let gate = belonging("templates.policy = \"require_approved\"");
    notice(&gate, at(5), status("PAUSED"));
    for (word, reason) in [("APPROVED", Reason::Template), ("DISABLED", Reason::TemplateNotApproved)] {
        ingest(&gate, &account_webhook("message_template_status_update", status(word)));
        assert_eq!(decide(&gate, SHOP, "offer", "en_US").reason, reason);
    }
    ingest(&gate, &account_webhook("template_category_update", category("MARKETING")));
    ingest(&gate, &account_webhook("template_category_update", announced("UTILITY", "MARKETING")));
    assert_eq!(decide(&gate, SHOP, "offer", "en_US").category, Some(Category::Marketing), "it was announced before");
    // They say nothing about when: what is older than the last time that was said stays old.
    notice(&gate, at(4), status("APPROVED"));
    assert_eq!(decide(&gate, SHOP, "offer", "en_US").reason, Reason::TemplateNotApproved);
    notice(&gate, at(6), status("APPROVED"));
    assert_eq!(decide(&gate, SHOP, "offer", "en_US").reason, Reason::Template);
}

#[test]
fn a_template_is_known_by_its_name_and_language_however_that_is_spelled() {
    let gate = belonging("templates.policy = \"require_approved\"");
    notice(&gate, at(1), status("APPROVED"));
    let table = [
        ("offer", "en_US", Reason::Template),
        ("offer", "en-US", Reason::Template),
        ("offer", "en", Reason::TemplateUnknown),
        ("offer", "en_GB", Reason::TemplateUnknown),
        ("offer", "", Reason::TemplateUnknown),
        ("Offer", "en_US", Reason::TemplateUnknown),
        ("offers", "en_US", Reason::TemplateUnknown),
    ];
    for (name, language, reason) in table {
        assert_eq!(decide(&gate, SHOP, name, language).reason, reason, "{name} {language}");
    }
    notice(&gate, at(2), with(status("PAUSED"), json!({"message_template_language": "en_US"})));
    assert_eq!(decide(&gate, SHOP, "offer", "en-US").reason, Reason::TemplateNotApproved);
    assert_eq!(gate.templates(account()).unwrap().len(), 1);
}

// ---- Accounts

#[test]
fn each_account_has_its_own_templates() {
    let policy = "templates.policy = \"require_approved\"";
    let numbers = format!("[numbers.{SHOP}]\n[numbers.{BRANCH}]\naccount = \"{OTHER_ACCOUNT}\"");
    // The configuration's word for a number's account, its number's before its own, counts before that of webhooks.
    let table = [
        ("by webhooks", policy.to_owned(), Reason::Template, Reason::Template),
        ("of one number", format!("{policy}\n{numbers}"), Reason::Template, Reason::TemplateNotApproved),
        (
            "of all",
            format!("account = \"{OTHER_ACCOUNT}\"\n{policy}"),
            Reason::TemplateNotApproved,
            Reason::TemplateNotApproved,
        ),
        (
            "of all but one",
            format!("account = \"{ACCOUNT}\"\n{policy}\n{numbers}"),
            Reason::Template,
            Reason::TemplateNotApproved,
        ),
        ("of a third", format!("account = \"5\"\n{policy}"), Reason::TemplateUnknown, Reason::TemplateUnknown),
    ];
    for (case, lines, shops, branchs) in table {
        let gate = belonging(&lines);
        notice(&gate, at(1), status("APPROVED"));
        let mut paused = account_webhook("message_template_status_update", status("PAUSED"));
        paused["entry"][0]["id"] = json!(OTHER_ACCOUNT.to_string());
        ingest(&gate, &paused);
        let reasons = [SHOP, BRANCH].map(|number| decide(&gate, number, "offer", "en_US").reason);
        assert_eq!(reasons, [shops, branchs], "{case}");
    }
}

#[test]
fn a_number_of_an_unknown_account_knows_no_template_until_a_webhook_says_whose_it_is() {
    let gate = gate("templates.policy = \"require_approved\"");
    notice(&gate, at(1), status("APPROVED"));
    assert_eq!(decide(&gate, SHOP, "offer", "en_US").reason, Reason::TemplateUnknown);
    belong(&gate, SHOP);
    assert_eq!(decide(&gate, SHOP, "offer", "en_US").reason, Reason::Template);
    assert_eq!(decide(&gate, BRANCH, "offer", "en_US").reason, Reason::TemplateUnknown);
}

#[test]
fn a_template_that_the_catalogue_has_no_category_of_is_a_guess() {
    let gate = belonging("[templates.category]\nother = \"utility\"");
    notice(&gate, at(1), status("APPROVED"));
    let guess = |name| {
        let decision = decide(&gate, SHOP, name, "en_US");
        (decision.category, decision.estimated)
    };
    assert_eq!(guess("offer"), (Some(Category::Unknown), true));
    assert_eq!(guess("other"), (Some(Category::Utility), false));
    notice(&gate, at(0), category("AUTHENTICATION"));
    assert_eq!(guess("offer"), (Some(Category::Authentication), false));
}

// ---- Helpers

/// A gate whose numbers are the account's, as its webhooks say.
fn belonging(lines: &str) -> Gate {
    let gate = gate(lines);
    belong(&gate, SHOP);
    belong(&gate, BRANCH);
    gate
}

fn belong(gate: &Gate, number: &str) {
    ingest(gate, &account_webhook("messages", json!({"metadata": {"phone_number_id": number}})));
}

fn notice(gate: &Gate, said: Timestamp, change: Value) {
    let is_status = change.get("event").is_some();
    let field = if is_status { "message_template_status_update" } else { "template_category_update" };
    let mut webhook = account_webhook(field, change);
    webhook["entry"][0]["time"] = json!(said.seconds());
    assert_eq!(ingest(gate, &webhook).unreadable, [""; 0]);
}

fn template() -> Value {
    json!({"message_template_id": 1, "message_template_name": "offer", "message_template_language": "en-US"})
}

fn status(word: &str) -> Value {
    with(template(), json!({"event": word, "reason": "NONE"}))
}

fn category(now: &str) -> Value {
    with(template(), json!({"previous_category": "UTILITY", "new_category": now}))
}

/// A day before a category changes, `new_category` is still the present one.
fn announced(now: &str, then: &str) -> Value {
    with(
        template(),
        json!({"new_category": now, "correct_category": then, "category_update_timestamp": at(3).seconds()}),
    )
}

fn decide(gate: &Gate, number: &str, name: &str, language: &str) -> csw::rules::decision::Decision {
    let template = json!({"name": name, "language": {"code": language}});
    let body = json!({"to": ANNA, "type": "template", "template": template}).to_string();
    gate.decide(business(number), Endpoint::Messages, body.as_bytes(), at(9)).unwrap().decision
}

fn business(number: &str) -> Business {
    Business::parse(number).unwrap()
}

fn account() -> u64 {
    ACCOUNT.parse().unwrap()
}

/// So many minutes after (or before) the time of the list.
fn at(minutes: i32) -> Timestamp {
    let list = Timestamp::parse("2026-10-05T12:00:00Z").unwrap();
    let span = Span::millis(minutes.unsigned_abs() * 60_000);
    if minutes < 0 { list - span } else { list + span }
}
