//! The rules, told as stories. Every line of `tests/rules/*.txt` is played on a running gate, twice: as a program would tell it (`record`),
//! and as the platform would (webhooks, and the answers to sends).
//!
//! A story is a title, lines of csw.toml, and a table; cells stand two spaces apart, `.` is not checked, `-` is nothing. In the lines of
//! csw.toml, `SET` stands for each set of rules in turn, or for each of `sets`. Hours count from `start`. What a row may say:
//!
//! - `customer writes`, `customer calls`, `customer sends reaction`, `customer clicks ad`, ...: `recorded` or `repeated`.
//! - `free_form`, `template utility`, `reaction`, ...: a send is decided about: verdict, reason, conversation, charge. What is allowed is
//!   recorded, and must open or join what was promised.
//! - `recorded template utility`: the same send without asking, also late.
//! - `delivered offer`, `failed offer 131047`, `sent offer free_entry_point until 84`: a status. `priced utility` reports a category, `billed utility`
//!   and `free utility` a price of per-message pricing, `conversation c1 utility` that of a billable conversation.
//! - `window`: state, reason, expiry. `branch`: open or closed. `entry`: until when the free entry point is open.
//! - `totals`, `charged`: what the report says of everything so far. `reconciled`: what was estimated / what the platform reported.
//!
//! `as offer` names a message; `@bert`, `@user`, `@group`, `@branch` is another customer, the same by user id, a group, another number.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use csw::gate::Gate;
use csw::gate::reconcile::Reconciled;
use csw::gate::recorder::Report;
use csw::gate::report::By;
use csw::party::{Business, Customer};
use csw::rules::charge::Charged;
use csw::rules::conversation::Placement;
use csw::rules::decision::Verdict;
use csw::rules::event::{Category, Class, EventKind};
use csw::time::{Day, Span, Timestamp};
use csw::wire::record::Stated;
use csw::wire::send::Endpoint;
use serde_json::{Value, json};
use support::{ANNA, BERT, BRANCH, SHOP, account_webhook, decided, ingest, record, seconds, webhook, with};

const SETS: [&str; 6] = ["guide", "meta-2023-06", "meta-2024-11", "meta-2025-07", "meta-2026-10", "meta"];
/// Where a story does not say when it begins: in the past, and for `meta` under the rules of 2024-11.
const START: &str = "2025-01-06T00:00:00Z";
const USER: &str = "GB.13491208655302741918";
const GROUP: &str = "Y2FwaV9ncm91cDox";

macro_rules! stories {
    ($($file:ident)+) => {
        $(#[test]
        fn $file() {
            play(concat!(stringify!($file), ".txt"), include_str!(concat!("rules/", stringify!($file), ".txt")));
        })+

        #[test]
        fn no_file_is_left_out() {
            let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rules")).unwrap();
            let found = folder.map(|file| file.unwrap().file_name().into_string().unwrap());
            let mut found: Vec<String> = found.collect();
            found.sort();
            assert_eq!(found, [$(concat!(stringify!($file), ".txt")),+]);
        }
    };
}

stories! {
    acts
    conversations
    corrections
    dated
    entry_points
    guide
    per_message
    policies
    refusals
    reports
    windows
}

/// Plays all stories of a file and says every line that came out otherwise.
fn play(file: &str, text: &str) {
    let mut wrong = Vec::new();
    for story in stories(text) {
        for (set, door) in story.sets.iter().flat_map(|set| [(set, Door::Program), (set, Door::Platform)]) {
            let player = Player::new(&story, set, door);
            for row in &story.rows {
                let came = player.play(row);
                if !agrees(&row.expected, &came) {
                    let (place, title, came) = (row.place, story.title, came.join("  "));
                    wrong
                        .push(format!("{file}:{place} ({title}; {set}, {door:?})\n    {}\n    came: {came}", row.text));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} lines came out otherwise\n{}", wrong.len(), wrong.join("\n"));
}

/// Whether each cell that is checked begins with the expected words.
fn agrees(expected: &[&str], came: &[String]) -> bool {
    let cell = |(index, expected): (usize, &&str)| {
        let came = came.get(index).map_or("-", String::as_str);
        *expected == "."
            || came == *expected
            || came.strip_prefix(expected).is_some_and(|rest| rest.starts_with([' ', ',']))
    };
    expected.iter().enumerate().all(cell)
}

struct Story<'t> {
    title: &'t str,
    start: &'t str,
    sets: Vec<&'t str>,
    config: String,
    rows: Vec<Row<'t>>,
}

struct Row<'t> {
    place: usize,
    text: &'t str,
    /// Since the story's start.
    at: Span,
    what: &'t str,
    expected: Vec<&'t str>,
}

fn stories(text: &str) -> Vec<Story<'_>> {
    let mut stories: Vec<Story> = Vec::new();
    let mut in_table = false;
    for (index, line) in text.lines().enumerate() {
        if let Some(title) = line.strip_prefix("story ") {
            in_table = false;
            stories.push(Story { title, start: START, sets: SETS.into(), config: String::new(), rows: Vec::new() });
            continue;
        }
        let Some(story) = stories.last_mut() else { continue };
        match line {
            _ if line.starts_with("hour ") => in_table = true,
            _ if in_table => story.rows.extend(row(index + 1, line)),
            _ if line.starts_with("start ") => story.start = &line["start ".len()..],
            _ if line.starts_with("sets ") => story.sets = line.split(' ').skip(1).collect(),
            _ => story.config.extend([line, "\n"]),
        }
    }
    for story in stories.iter_mut().filter(|story| !story.config.contains("SET")) {
        story.sets = vec!["its own rules"];
    }
    stories
}

fn row(place: usize, text: &str) -> Option<Row<'_>> {
    let line = text.split_once('#').map_or(text, |(line, _)| line);
    let mut cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
    let at = span(cells.next()?);
    Some(Row { place, text, at, what: cells.next()?, expected: cells.collect() })
}

/// `30`, `23:59`, `23:59:59.999`.
fn span(clock: &str) -> Span {
    let parts: Vec<f64> = clock.split(':').map(|part| part.parse().unwrap_or_else(|_| panic!("{clock}?"))).collect();
    let millis: f64 = parts.iter().zip([3_600_000.0, 60_000.0, 1000.0]).map(|(part, unit)| part * unit).sum();
    Span::millis(millis.round() as u32)
}

fn clock(millis: i64) -> String {
    match (millis / 3_600_000, millis / 60_000 % 60, millis % 60_000) {
        (hours, 0, 0) => format!("{hours}"),
        (hours, minutes, 0) => format!("{hours}:{minutes:02}"),
        (hours, minutes, millis) => format!("{hours}:{minutes:02}:{:02}.{:03}", millis / 1000, millis % 1000),
    }
}

/// Who tells the gate what happened.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Door {
    Program,
    Platform,
}

struct Player {
    gate: Gate,
    door: Door,
    start: Timestamp,
}

/// Between whom a row happens.
struct Pair {
    business: &'static str,
    /// As `record` writes it.
    customer: String,
}

impl Player {
    fn new(story: &Story, set: &str, door: Door) -> Self {
        let categories = ["marketing", "utility", "authentication"].map(|word| format!("{word} = \"{word}\"\n"));
        let config = story.config.replace("SET", set);
        let gate = support::gate(&format!("{config}\n[templates.category]\n{}", categories.concat()));
        // The number's account is known from the first webhook on.
        ingest(&gate, &webhook("messages", json!({})));
        Player { gate, door, start: Timestamp::parse(story.start).unwrap() }
    }

    fn play(&self, row: &Row) -> Vec<String> {
        let at = self.start + row.at;
        let who = row.what.split(' ').find_map(|word| word.strip_prefix('@'));
        let (business, customer) = match who {
            None => (SHOP, ANNA.into()),
            Some("bert") => (SHOP, BERT.into()),
            Some("user") => (SHOP, USER.into()),
            Some("group") => (SHOP, format!("group:{GROUP}")),
            Some("branch") => (BRANCH, ANNA.into()),
            Some(other) => panic!("who is @{other}?"),
        };
        let pair = Pair { business, customer };
        let mut words: Vec<&str> = row.what.split(' ').filter(|word| !word.starts_with('@')).collect();
        let id = match words.iter().position(|word| *word == "as") {
            Some(place) => words.drain(place..).nth(1).unwrap().to_owned(),
            None => format!("line {}", row.place),
        };
        match words.as_slice() {
            ["customer", act @ ..] => vec![told(&self.customer(&pair, act, &id, at))],
            ["recorded", send @ ..] => {
                let report = self.business(&pair, send, &id, at);
                vec![told(&report), "-".into(), placed(report.last.unwrap().placement)]
            }
            [word @ ("sent" | "delivered" | "read" | "failed"), id, more @ ..] => {
                vec![told(&self.status(&pair, word, id, more, at))]
            }
            ["template_status", name, event] => {
                let template =
                    json!({"message_template_name": name, "message_template_language": "en-US", "event": event});
                vec![told(&ingest(&self.gate, &account_webhook("message_template_status_update", template)))]
            }
            ["template_category", name, category] => {
                let template = json!({"message_template_name": name, "message_template_language": "en-US",
                    "previous_category": "MARKETING", "new_category": category});
                vec![told(&ingest(&self.gate, &account_webhook("template_category_update", template)))]
            }
            ["platform", "sends", other @ ..] => vec![told(&ingest(&self.gate, &beside_the_point(other, at)))],
            ["window"] => {
                let window = self.gate.check(pair.number(), &pair.party(), at).unwrap().window;
                vec![window.state.word().into(), window.reason.word().into(), self.until(window.expires_at)]
            }
            ["branch"] => vec![self.gate.check(pair.number(), &pair.party(), at).unwrap().branch.word().into()],
            ["entry"] => {
                let window = self.gate.check(pair.number(), &pair.party(), at).unwrap().window;
                vec![self.until(window.free_entry_expires_at)]
            }
            ["totals"] => vec![self.totals()],
            ["charged"] => vec![self.charged()],
            ["reconciled"] => vec![self.reconciled()],
            send => self.send(&pair, send, &id, at),
        }
    }

    /// Asks about a send, and records what may go out: it must open or join what was promised.
    fn send(&self, pair: &Pair, send: &[&str], id: &str, at: Timestamp) -> Vec<String> {
        let (send, refused) = match send {
            [send @ .., "refused", code] => (send, Some(code.parse::<i64>().unwrap())),
            send => (send, None),
        };
        let decided_on = self.gate.decide(pair.number(), Endpoint::Messages, &body(pair, send), at).unwrap();
        let decision = decided_on.decision;
        assert_eq!((decision.class, decision.category), class_of(send), "{send:?}");
        assert_eq!(decision.estimated, decision.category == Some(Category::Unknown), "{send:?}");
        if decision.verdict == Verdict::Deny {
            assert_eq!((decision.placement, decision.charged), (Placement::NONE, Charged::NONE), "{send:?} is denied");
        } else if refused.is_some() || decision.class == Class::Receipt || self.door == Door::Platform {
            let (status, answer) = answer(pair, send, id, refused);
            let ticket = self.gate.submit_settle(decided_on.token, status, answer, at).unwrap();
            let report = decided(&self.gate, ticket).unwrap();
            if decision.class != Class::Receipt && refused.is_none() {
                let done = report.last.unwrap();
                assert_eq!((done.placement, done.category), (decision.placement, decision.category), "{id}: {send:?}");
            }
        } else {
            let done = self.business(pair, send, id, at).last.unwrap();
            assert_eq!((done.placement, done.category), (decision.placement, decision.category), "{id}: {send:?}");
        }
        let verdict = if decision.would_deny { "would_deny" } else { decision.verdict.word() };
        let Charged { charge, reason } = decision.charged;
        let charge = [charge.map_or("-", |charge| charge.word()), reason.map_or("", |reason| reason.word())];
        let cells = [verdict.into(), decision.reason.word().into(), placed(decision.placement), charge.join(" ")];
        cells.map(|cell| cell.trim().to_owned()).into()
    }

    /// Records a message of the business that was sent without asking.
    fn business(&self, pair: &Pair, send: &[&str], id: &str, at: Timestamp) -> Report {
        let (class, category) = class_of(send);
        let message = support::stated(EventKind::BusinessMessage, at);
        record(&self.gate, Stated { class: Some(class), category, ..pair.stated(message, id) })
    }

    fn customer(&self, pair: &Pair, act: &[&str], id: &str, at: Timestamp) -> Report {
        let stated = |kind| pair.stated(support::stated(kind, at), id);
        let by_program = match (act, self.door) {
            (["enters"], _) => Some(Stated { entry_point: true, ..stated(EventKind::CustomerMessage) }),
            (["writes"], Door::Program) => Some(stated(EventKind::CustomerMessage)),
            (["calls"], Door::Program) => Some(stated(EventKind::CustomerCall)),
            (["accepts", "call"], Door::Program) => Some(stated(EventKind::CallAccepted)),
            _ => None,
        };
        if let Some(event) = by_program {
            return record(&self.gate, event);
        }
        let time = json!({"id": id, "timestamp": seconds(at)});
        let from = pair.named("from");
        let (field, value) = match act {
            ["calls"] => {
                let call = json!({"event": "connect", "direction": "USER_INITIATED", "to": support::SHOP_DISPLAY});
                ("calls", json!({"calls": [with(with(call, time), from)]}))
            }
            ["accepts", "call"] => {
                let accepted = json!({"type": "call", "status": "ACCEPTED"});
                ("calls", json!({"statuses": [with(with(accepted, time), pair.named("recipient_id"))]}))
            }
            ["clicks", source] => {
                let referral = json!({"type": "text", "referral": {"source_type": source}});
                ("messages", json!({"messages": [with(with(referral, time), from)]}))
            }
            ["writes"] => ("messages", json!({"messages": [with(with(json!({"type": "text"}), time), from)]})),
            ["sends", kind @ ..] => ("messages", json!({"messages": [with(with(content(kind), time), from)]})),
            other => panic!("what does the customer do: {other:?}?"),
        };
        ingest(&self.gate, &pair.webhook(field, value))
    }

    fn status(&self, pair: &Pair, word: &str, id: &str, more: &[&str], at: Timestamp) -> Report {
        let code = more.first().and_then(|code| code.parse().ok());
        if self.door == Door::Program && (more.is_empty() || code.is_some()) {
            let event = support::stated(EventKind::from_word(word).unwrap(), at);
            return record(&self.gate, Stated { code, ..pair.stated(event, id) });
        }
        let more = match more {
            [] => json!({}),
            [_] if code.is_some() => json!({"errors": [{"code": code}]}),
            ["by", member] => json!({"recipient_participant_id": member}),
            ["priced", category] => json!({"pricing": {"category": category}}),
            ["billed", category] => {
                json!({"pricing": {"billable": true, "pricing_model": "PMP", "type": "regular", "category": category}})
            }
            ["free", category] => {
                let kind = "free_customer_service";
                json!({"pricing": {"billable": false, "pricing_model": "PMP", "type": kind, "category": category}})
            }
            ["conversation", id, category] => {
                let conversation = json!({"id": id, "origin": {"type": category}});
                let pricing = json!({"billable": true, "pricing_model": "CBP", "category": category});
                json!({"conversation": conversation, "pricing": pricing})
            }
            ["free_entry_point"] => json!({"pricing": {"type": "free_entry_point"}}),
            [origin, "until", end] => {
                let end = seconds(self.start + span(end));
                json!({"conversation": {"origin": {"type": "referral_conversion"}, "expiration_timestamp": end},
                    "pricing": {"category": "referral_conversion", "type": origin}})
            }
            other => panic!("what does the platform report: {other:?}?"),
        };
        let status = json!({"id": id, "status": word, "timestamp": seconds(at)});
        let status = with(with(status, pair.named("recipient_id")), more);
        ingest(&self.gate, &pair.webhook("messages", json!({"statuses": [status]})))
    }

    fn until(&self, end: Option<Timestamp>) -> String {
        end.map_or("-".into(), |end| format!("until {}", clock(end.millis() - self.start.millis())))
    }

    fn totals(&self) -> String {
        let rows = self
            .gate
            .report(Timestamp::from_seconds(1_577_836_800), Timestamp::from_seconds(1_893_456_000), &[])
            .unwrap();
        let total = rows.first().copied().unwrap_or_default();
        let (messages, opened, free, billable) = (total.messages, total.conversations, total.free, total.billable);
        format!("{messages} messages, {opened} opened, {free} free, {billable} billable")
    }

    fn charged(&self) -> String {
        let by = [By::Category, By::ChargeReason];
        let rows = self
            .gate
            .report(Timestamp::from_seconds(1_577_836_800), Timestamp::from_seconds(1_893_456_000), &by)
            .unwrap();
        let mut charges = Vec::new();
        for row in rows {
            let category = row.group.category.map_or("-", |category| category.word());
            let reason = row.group.charge_reason.map_or("-", |reason| reason.word());
            for (count, charge) in [(row.free, "free"), (row.billable, "billable")] {
                if count != 0 {
                    charges.push(format!("{count} {category} {charge} {reason}"));
                }
            }
        }
        if charges.is_empty() { "nothing".into() } else { charges.join(", ") }
    }

    fn reconciled(&self) -> String {
        let said = |side: Option<(Category, Charged)>| {
            let Some((category, Charged { charge, reason })) = side else { return "-".into() };
            let charge = charge.map_or("-", |charge| charge.word());
            format!("{} {charge} {}", category.word(), reason.map_or("-", |reason| reason.word()))
        };
        let rows = self.gate.reconcile((Day::new(2020, 1, 1), Day::new(2030, 1, 1))).unwrap();
        let row = |Reconciled { pair, count, .. }: &Reconciled| {
            format!("{count} {} {} / {}", pair.agreement.word(), said(pair.estimated), said(pair.reported))
        };
        let rows: Vec<String> = rows.iter().map(row).collect();
        if rows.is_empty() { "nothing".into() } else { rows.join(", ") }
    }
}

impl Pair {
    fn number(&self) -> Business {
        Business::parse(self.business).unwrap()
    }

    fn party(&self) -> Customer {
        Customer::parse(&self.customer).unwrap()
    }

    fn stated<'s>(&'s self, event: Stated<'s>, id: &'s str) -> Stated<'s> {
        Stated { business: self.business, customer: &self.customer, id: Some(id), ..event }
    }

    /// The customer in a webhook, as the sender (`from`) or the recipient (`recipient_id`).
    fn named(&self, key: &str) -> Value {
        let is_sender = key == "from";
        match self.customer.strip_prefix("group:") {
            Some(group) if is_sender => json!({"from": ANNA, "group_id": group}),
            Some(group) => json!({"recipient_type": "group", "recipient_id": group}),
            None if self.customer == USER && is_sender => json!({"from_user_id": USER}),
            None if self.customer == USER => json!({"recipient_user_id": USER}),
            None => json!({key: self.customer}),
        }
    }

    fn webhook(&self, field: &str, value: Value) -> Value {
        let metadata = json!({"phone_number_id": self.business, "display_phone_number": support::SHOP_DISPLAY});
        let only_id = json!({"metadata": {"phone_number_id": self.business}});
        webhook(field, with(value, if self.business == SHOP { json!({"metadata": metadata}) } else { only_id }))
    }
}

fn told(report: &Report) -> String {
    if report.repeated == 0 { "recorded" } else { "repeated" }.into()
}

fn placed(placement: Placement) -> String {
    let category = placement.category.map_or("", |category| category.word());
    format!("{} {category}", placement.effect.word()).trim().to_owned()
}

/// The body of a send.
fn body(pair: &Pair, send: &[&str]) -> Vec<u8> {
    let to = match pair.customer.strip_prefix("group:") {
        Some(group) => json!({"recipient_type": "group", "to": group}),
        None if pair.customer == USER && !send.contains(&"in_to") => json!({"recipient": USER}),
        None => json!({"to": pair.customer}),
    };
    let body = match send {
        ["free_form", ..] => json!({"type": "text", "text": {"body": "hi"}}),
        ["template", name, ..] => {
            json!({"type": "template", "template": {"name": name, "language": {"code": "en_US"}}})
        }
        ["direct_send", category] => json!({"type": "text", "text": {"body": "hi"}, "category": category}),
        ["reaction"] => json!({"type": "reaction", "reaction": {"message_id": "wamid.1", "emoji": "👍"}}),
        ["novelty"] => json!({"type": "hologram", "hologram": {}}),
        ["receipt"] => return json!({"status": "read", "message_id": "wamid.1"}).to_string().into_bytes(),
        other => panic!("what is sent: {other:?}?"),
    };
    with(body, to).to_string().into_bytes()
}

/// What a send is taken for.
fn class_of(send: &[&str]) -> (Class, Option<Category>) {
    match send {
        ["free_form", ..] => (Class::FreeForm, Some(Category::Service)),
        ["template", "unlisted", ..] => (Class::Template, Some(Category::Unknown)),
        ["template" | "direct_send", category, ..] => (Class::Template, Category::from_word(category)),
        ["reaction"] => (Class::Reaction, Some(Category::Service)),
        ["novelty"] => (Class::Unknown, Some(Category::Service)),
        ["receipt"] => (Class::Receipt, None),
        other => panic!("what is sent: {other:?}?"),
    }
}

/// The platform's answer to a send.
fn answer(pair: &Pair, send: &[&str], id: &str, refused: Option<i64>) -> (u16, Vec<u8>) {
    let (status, answer) = match refused {
        Some(code) => (400, json!({"error": {"code": code, "type": "OAuthException"}})),
        None if send == ["receipt"] => (200, json!({"success": true})),
        None => {
            let name = pair.customer.trim_start_matches("group:");
            let key = if pair.customer == USER { "user_id" } else { "wa_id" };
            (200, json!({"contacts": [{"input": name, key: name}], "messages": [{"id": id}]}))
        }
    };
    (status, answer.to_string().into_bytes())
}

/// What a customer sends besides text.
fn content(kind: &[&str]) -> Value {
    match kind {
        ["image" | "video" | "audio" | "document" | "sticker"] => json!({"type": kind[0], kind[0]: {"id": "1"}}),
        ["location" | "contacts" | "button" | "order"] => json!({"type": kind[0], kind[0]: {}}),
        ["button_reply" | "list_reply" | "nfm_reply"] => {
            json!({"type": "interactive", "interactive": {"type": kind[0], kind[0]: {}}})
        }
        ["call_permission_reply", source] => json!({"type": "interactive", "interactive": {
            "type": "call_permission_reply", "call_permission_reply": {"response": "accept", "response_source": source}}}),
        ["reaction"] => json!({"type": "reaction", "reaction": {"message_id": "wamid.1", "emoji": "👍"}}),
        ["unsupported"] => json!({"type": "unsupported", "errors": [{"code": 131051}], "unsupported": {"type": "gif"}}),
        ["unavailable"] => json!({"type": "unsupported", "errors": [{"code": 131060}]}),
        ["edit" | "revoke"] => json!({"type": kind[0], kind[0]: {"original_message_id": "wamid.1"}}),
        ["request_welcome"] => json!({"type": "request_welcome"}),
        ["novelty"] => json!({"type": "hologram", "hologram": {}}),
        ["change", "of", "number"] => {
            json!({"type": "system", "system": {"type": "user_changed_number", "wa_id": BERT}})
        }
        other => panic!("what does the customer send: {other:?}?"),
    }
}

/// What the platform also posts, and what opens nothing.
fn beside_the_point(what: &[&str], at: Timestamp) -> Value {
    let time = seconds(at);
    let message = support::text(ANNA, "wamid.beside", at);
    match what {
        ["echo"] => {
            let echo = json!({"from": support::SHOP_DISPLAY, "to": ANNA, "id": "e", "timestamp": time, "type": "text"});
            webhook("smb_message_echoes", json!({"message_echoes": [echo]}))
        }
        ["history"] => webhook("history", json!({"history": [{"threads": [{"id": ANNA, "messages": [message]}]}]})),
        ["history", "media"] => webhook("history", json!({"messages": [message]})),
        ["preference"] => {
            let stop =
                json!({"wa_id": ANNA, "category": "marketing_messages", "value": "stop", "timestamp": at.seconds()});
            webhook("user_preferences", json!({"user_preferences": [stop]}))
        }
        ["ringing" | "rejected"] => {
            let status = json!({"id": "wacid.1", "type": "call", "status": what[0].to_uppercase(), "timestamp": time,
                "recipient_id": ANNA});
            webhook("calls", json!({"statuses": [status]}))
        }
        ["business", "call"] => {
            let call = json!({"id": "wacid.2", "event": "connect", "direction": "BUSINESS_INITIATED", "timestamp": time,
                "from": support::SHOP_DISPLAY, "to": ANNA});
            webhook("calls", json!({"calls": [call]}))
        }
        ["error"] => webhook("messages", json!({"errors": [{"code": 130429}]})),
        other => panic!("what does the platform send: {other:?}?"),
    }
}
