//! The books: the ledger by kinds of entries, totals, erasure, what expires, timelines, and the platform's reports and bills beside them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

#[path = "support/shop.rs"]
mod shop;
mod support;

use std::collections::BTreeMap;
use std::path::Path;

use csw::gate::report::{By, Row};
use csw::party::{Business, Customer};
use csw::rules::conversation::ConversationCategory;
use csw::rules::event::Category;
use csw::rules::ledger::LineKind;
use csw::rules::market::Market;
use csw::rules::window::Reason;
use csw::store::lmdb::LmdbStore;
use csw::store::{Store, Table, codec};
use csw::time::Span;
use csw::wire::send::Endpoint;
use serde_json::json;
use shop::{PAUL, Shop, amount, body, moment, of_market, settle, total};
use support::{ANNA, BERT, BRANCH, SHOP, decided, gate_in, status, text, with};

const NOON: &str = "2026-08-01T12:00:00Z";
const USER: &str = "GB.13491208655302741918";

// ---- The ledger

#[test]
fn each_thing_that_happens_is_an_entry_of_its_kind() {
    use LineKind::{Charge, Conversation, Message, Reconciled, Refused, Stopped};
    let shop = Shop::open("rules = \"meta-2024-11\"\ncurrency = \"EUR\"");
    shop.card("EUR", "2023-01-01", &of_market("United Kingdom"));
    let at = moment("2024-12-10T12:00:00Z");
    let seen = std::cell::Cell::new(0);
    // What has come since it was last asked for: kinds, counts, amounts.
    let news = || {
        let rows = shop.ledger().split_off(seen.get());
        seen.set(seen.get() + rows.len());
        rows
    };
    let kinds = || {
        let rows = news();
        rows.iter().map(|row| (row.entry.line.kind, row.entry.count, row.entry.amount.to_string())).collect::<Vec<_>>()
    };
    let entry = |kind, count, amount: &str| (kind, count, amount.to_owned());
    settle(&shop, &body(ANNA, "free_form"), at, 200, json!({}));
    let [stopped] = news().try_into().unwrap();
    assert_eq!((stopped.entry.line.kind, stopped.entry.line.reason), (Stopped, Some(Reason::NeverSeen)));
    assert_eq!((stopped.customer, stopped.entry.message), (None, None), "of a stranger nothing is kept");

    settle(&shop, &body(ANNA, "marketing"), at, 400, json!({"error": {"code": 132_001}}));
    let [refused] = news().try_into().unwrap();
    assert_eq!((refused.entry.line.kind, refused.entry.line.code), (Refused, Some(132_001)));
    assert_eq!((refused.customer.map(|customer| customer.written()), refused.entry.message), (Some(ANNA.into()), None));
    assert_eq!(refused.entry.line.market, Market::named("United Kingdom"));

    let id = shop.send(&body(ANNA, "marketing"), at);
    assert_eq!(kinds(), [entry(Message, 1, "0"), entry(Conversation, 1, "0")]);
    shop.status(status("delivered", &id, at), at);
    assert_eq!(kinds(), [entry(Charge, 1, "0.08")]);
    let pricing = json!({"billable": true, "pricing_model": "CBP", "category": "marketing"});
    let conversation = json!({"id": "c", "origin": {"type": "marketing"}});
    let report = json!({"pricing": pricing, "conversation": conversation});
    shop.status(with(status("read", &id, at), report), at);
    assert_eq!(kinds(), [entry(Charge, -1, "-0.08"), entry(Reconciled, 1, "0.08")]);
    shop.status(status("read", &id, at), at);
    assert_eq!(kinds(), [], "a repeated status is no news");

    let joining = shop.send(&body(ANNA, "marketing"), at + Span::hours(1));
    assert_eq!(kinds(), [entry(Message, 1, "0")]);
    let failed = json!({"errors": [{"code": 131_049}]});
    shop.status(with(status("failed", &joining, at), failed), at + Span::hours(1));
    let later = news();
    let last = &later.last().unwrap().entry;
    assert_eq!((last.line.kind, last.line.code, last.line.category), (Refused, Some(131_049), Category::Marketing));
    assert_eq!((later[0].entry.line.kind, later[0].entry.count, later.len()), (Message, -1, 2));

    let row = total(&shop.gate);
    assert_eq!((row.messages, row.conversations, row.stopped, row.refused), (1, 1, 1, 2));
    assert_eq!((row.billable, row.reported, row.amount), (1, 1, amount("0.08")));
    let numbers: Vec<u64> = shop.ledger().iter().map(|row| row.sequence).collect();
    assert_eq!(numbers, (1..=shop.gate.ledger_length().unwrap()).collect::<Vec<_>>());
    let page = shop.gate.ledger(3, 2).unwrap();
    assert_eq!(page.iter().map(|row| row.sequence).collect::<Vec<_>>(), [3, 4]);
}

#[test]
fn the_totals_are_what_the_ledger_adds_up_to_after_any_traffic() {
    for (rules, seed) in [("guide", 1), ("meta", 2), ("meta-2024-11", 3), ("meta-2026-10", 4)] {
        let shop = Shop::open(&format!("rules = \"{rules}\"\ncurrency = \"EUR\"\ntimezone = \"Asia/Kolkata\""));
        shop.card("EUR", "2023-01-01", &of_market("United Kingdom"));
        shop.card("EUR", "2026-10-01", &[("France", Category::Marketing, "0.09")]);
        let mut dice = Dice(seed);
        let mut at = moment("2026-09-28T00:00:00Z");
        let mut sent: Vec<(String, &str, &str)> = Vec::new();
        for _ in 0..400 {
            at = at + Span::millis(dice.below(3_600_000));
            let shop = shop.on([SHOP, BRANCH][dice.of(2)]);
            let customer = [ANNA, BERT, PAUL, USER][dice.of(4)];
            match dice.below(10) {
                0 if customer != USER => shop.act(customer, at),
                0..=3 => {
                    let what = ["free_form", "marketing", "utility", "authentication", "unknown"][dice.of(5)];
                    let decided_on = shop.gate.decide(shop.business(), Endpoint::Messages, &body(customer, what), at);
                    if decided_on.unwrap().token.to_bytes().is_ok() {
                        sent.push((shop.send(&body(customer, what), at), shop.number, customer));
                    }
                }
                4 => settle(&shop, &body(customer, "utility"), at, 400, json!({"error": {"code": 131_047}})),
                5 if dice.below(4) == 0 => {
                    let customer = Customer::parse(customer).unwrap();
                    decided(&shop.gate, shop.gate.submit_forget(None, customer).unwrap()).unwrap();
                }
                _ => {
                    let Some((id, number, customer)) = sent.get(dice.of(sent.len().max(1))).cloned() else { continue };
                    let word = ["sent", "delivered", "read", "delivered", "failed"][dice.of(5)];
                    let kind = ["regular", "free_customer_service", "free_entry_point"][dice.of(3)];
                    let category = ["marketing", "utility", "service", "authentication"][dice.of(4)];
                    let pricing = json!({"pricing_model": "PMP", "type": kind, "category": category});
                    let key = if customer == USER { "recipient_user_id" } else { "recipient_id" };
                    let whom = with(json!({"recipient_id": null}), json!({key: customer}));
                    let pricing = json!({"pricing": (dice.below(2) == 0).then_some(pricing)});
                    let late = at - Span::millis(dice.below(7_200_000));
                    let status = with(status(word, &id, late), json!({"recipient_id": null}));
                    shop.on(number).status(with(with(status, whom), pricing), at);
                }
            }
        }
        let audit = shop.gate.audit(&mut |_| {}).unwrap();
        assert_eq!((audit.entries, audit.wrong), (shop.gate.ledger_length().unwrap(), 0), "{rules}");
        assert!(audit.entries > 200 && audit.totals > 20, "{rules}: {audit:?}");
        // Each message stands in the books once, charged once at most, and never both charged and refused.
        let mut standing: BTreeMap<(u64, &str), i64> = BTreeMap::new();
        for row in shop.gate.ledger(0, usize::MAX).unwrap() {
            let what = if row.entry.line.basis().is_some() { "charge" } else { row.entry.line.kind.word() };
            let Some(message) = row.entry.message else { continue };
            *standing.entry((message, what)).or_default() += row.entry.count;
        }
        for ((message, what), count) in &standing {
            assert!([0, 1].contains(count), "{rules}: message {message}: {what} stands {count} times");
            let is_refused = standing.get(&(*message, "refused")) == Some(&1);
            assert!(
                *what == "refused" || !is_refused || *count == 0,
                "{rules}: message {message}: {what}, and refused"
            );
        }
    }
}

// ---- Erasure

#[test]
fn a_forgotten_customer_leaves_nothing_behind_but_its_share_of_the_totals() {
    let folder = tempfile::tempdir().unwrap();
    let at = moment(NOON);
    let everything = || bytes(folder.path());
    let holds = |everything: &[u8], what: &[u8]| everything.windows(what.len()).any(|bytes| bytes == what);
    let open =
        || Shop::of(gate_in(folder.path(), "store = \"lmdb:store\"\nrules = \"meta-2025-07\"\ncurrency = \"EUR\""));
    let hash = |id: &str| codec::id_hash(id, None).to_vec();
    let phone = "5511987654321";
    let folded = "551187654321";
    let user = "BR.13491208655302741918";
    let parent = "BR.ENT.11815799212886844830";
    {
        let shop = open();
        shop.card("EUR", "2026-01-01", &of_market("Brazil"));
        let contacts = json!([{"wa_id": phone, "user_id": user, "parent_user_id": parent}]);
        let message = with(text(phone, "wamid.act", at), json!({"from_user_id": user}));
        for number in [SHOP, BRANCH] {
            shop.on(number).hook(json!({"contacts": contacts, "messages": [message]}), at);
        }
        for customer in [phone, user, ANNA] {
            let by_user = json!({"recipient_id": null, "recipient_user_id": customer});
            let whom = if customer == user { by_user } else { json!({"recipient_id": customer}) };
            shop.deliver(&body(customer, "marketing"), at, whom);
        }
        settle(&shop, &body(phone, "utility"), at, 400, json!({"error": {"code": 132_001}}));
        shop.act(ANNA, at);
    }
    let traces = [phone, folded, user, parent].map(|name| name.as_bytes().to_vec());
    let ids = ["wamid.act", "wamid.1", "wamid.2"].map(hash);
    let names = |text: &[u8]| traces.iter().filter(|trace| holds(text, trace)).count();
    let before = everything();
    assert!(names(&before) >= 3 && ids.iter().all(|id| holds(&before, id)), "else nothing is shown below");
    let (rows, whose_are) = {
        let shop = open();
        let rows = report(&shop);
        let customer = Customer::parse(user).unwrap();
        // Of one number first, by the user id; the other number's contact stays.
        let erased = decided(&shop.gate, shop.gate.submit_forget(Some(shop.business()), customer).unwrap()).unwrap();
        assert_eq!(erased.events, 1);
        assert_eq!(report(&shop), rows);
        let kept = Customer::parse(phone).unwrap();
        let last_act = |number| shop.gate.check(Business::parse(number).unwrap(), &kept, at).unwrap().window.last_act;
        assert_eq!((last_act(SHOP), last_act(BRANCH)), (None, Some(at)));
        let erased = decided(&shop.gate, shop.gate.submit_forget(None, kept).unwrap()).unwrap();
        assert_eq!(erased.events, 1);
        assert_eq!((report(&shop), last_act(BRANCH)), (rows.clone(), None));
        let whose = shop.ledger().into_iter().filter(|row| row.entry.person.is_some()).map(|row| row.customer);
        (rows, whose.map(|customer| customer.map(|customer| customer.written())).collect::<Vec<_>>())
    };
    assert!(whose_are.contains(&None) && whose_are.contains(&Some(ANNA.into())), "{whose_are:?}");
    assert!(whose_are.iter().flatten().all(|customer| customer == ANNA), "{whose_are:?}");
    let after = everything();
    assert_eq!(names(&after), 0);
    assert_eq!(ids.iter().filter(|id| holds(&after, id)).count(), 0);
    assert!(holds(&after, ANNA.as_bytes()) && holds(&after, &hash("wamid.3")), "others stay");
    let shop = open();
    assert_eq!(shop.gate.audit(&mut |_| {}).unwrap().wrong, 0);
    // Whoever writes next by that name is somebody new.
    shop.act(phone, at + Span::hours(1));
    assert_eq!(report(&shop), rows);
    assert!(shop.gate.timeline(shop.business(), &Customer::parse(user).unwrap()).unwrap().is_none());
}

#[test]
fn a_phone_number_that_changed_hands_leaves_nothing_behind_when_both_owners_are_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let at = moment(NOON);
    {
        let lines = "store = \"lmdb:store\"\nrules = \"meta-2025-07\"";
        let shop = Shop::of(gate_in(folder.path(), lines));
        shop.act(ANNA, at);
        shop.deliver(&body(ANNA, "marketing"), at, json!({}));
        let message = json!({"from_user_id": USER, "from": null});
        shop.hook(json!({"messages": [with(text(ANNA, "wamid.user", at), message)]}), at);
        // Both have written, and the platform says that a send to the one reached the other's number.
        let later = at + Span::hours(1);
        let contacts = json!([{"input": USER, "wa_id": ANNA, "user_id": USER}]);
        let answer = json!({"contacts": contacts, "messages": [{"id": "wamid.mixed"}]});
        settle(&shop, &body(USER, "marketing"), later, 200, answer);
        for name in [USER, ANNA] {
            let ticket = shop.gate.submit_forget(None, Customer::parse(name).unwrap()).unwrap();
            decided(&shop.gate, ticket).unwrap();
        }
        assert!(shop.ledger().iter().all(|row| row.customer.is_none()));
    }
    let everything = bytes(folder.path());
    let is_there = |what: &[u8]| everything.windows(what.len()).any(|bytes| bytes == what);
    for name in [ANNA, USER] {
        assert!(!is_there(name.as_bytes()), "{name}");
    }
    for id in ["wamid.1", "wamid.user", "wamid.mixed"] {
        assert!(!is_there(&codec::id_hash(id, None)), "{id}");
    }
}

// ---- Inquiries

#[test]
fn windows_expire_in_order_and_in_pages() {
    let shop = Shop::open("rules = \"guide\"");
    let now = moment(NOON);
    let customer = |index: u32| format!("4477009000{index:02}");
    // Two close at one moment, one each on the two numbers; one has closed, one closes later than asked for.
    for (number, index, hours) in
        [(SHOP, 1, 20), (SHOP, 2, 23), (BRANCH, 2, 23), (SHOP, 3, 22), (SHOP, 4, 24), (SHOP, 5, 2)]
    {
        shop.on(number).act(&customer(index), now - Span::hours(hours));
    }
    let within = Span::hours(4);
    let all = shop.gate.expiring(now, within, None, 100).unwrap();
    let told: Vec<_> = all.iter().map(|row| (row.business.to_string(), row.customer.written())).collect();
    let row = |number: &str, index| (number.to_owned(), customer(index));
    assert_eq!(told, [row(SHOP, 2), row(BRANCH, 2), row(SHOP, 3), row(SHOP, 1)]);
    assert!(all.iter().all(|row| now < row.expires_at && row.expires_at <= now + within));
    for size in 1..=5 {
        let (mut pages, mut after) = (Vec::new(), None);
        loop {
            let page = shop.gate.expiring(now, within, after.as_ref(), size).unwrap();
            assert!(page.len() <= size);
            let Some(last) = page.last() else { break };
            after = Some(*last);
            pages.extend(page);
        }
        assert_eq!(pages, all, "in pages of {size}");
    }
}

#[test]
fn the_guides_examples_are_bars_on_the_timeline() {
    use ConversationCategory::{Marketing, Service, Utility};
    let table = [
        (vec![(0, "marketing"), (4, "utility"), (10, "utility")], vec![], vec![(Marketing, 0, 24), (Utility, 4, 28)]),
        (
            vec![(0, "marketing"), (4, "act"), (5, "free_form"), (25, "free_form"), (26, "free_form")],
            vec![(4, 28)],
            vec![(Marketing, 0, 24), (Service, 25, 49)],
        ),
    ];
    let start = moment(NOON);
    for (told, windows, conversations) in table {
        let shop = Shop::open("rules = \"guide\"");
        for (hour, what) in &told {
            let at = start + Span::hours(*hour);
            if *what == "act" {
                shop.act(ANNA, at);
            } else {
                shop.send(&body(ANNA, what), at);
            }
        }
        let line = shop.gate.timeline(shop.business(), &Customer::parse(ANNA).unwrap()).unwrap().unwrap();
        let hour = |at| u32::try_from(Span::between(start, at).as_millis() / 3_600_000).unwrap();
        let bars: Vec<_> = line.windows.iter().map(|bar| (hour(bar.from), hour(bar.until))).collect();
        assert_eq!(bars, windows);
        let bars = line.conversations.iter().map(|(category, bar)| (*category, hour(bar.from), hour(bar.until)));
        assert_eq!(bars.collect::<Vec<_>>(), conversations);
        let acts: Vec<_> = line.acts.iter().map(|act| (hour(act.at), "act")).collect();
        let sends = told.iter().filter(|(_, what)| *what != "act").map(|(hour, _)| *hour);
        assert_eq!(line.messages.iter().map(|message| hour(message.at)).collect::<Vec<_>>(), sends.collect::<Vec<_>>());
        assert_eq!(acts, told.iter().filter(|(_, what)| *what == "act").copied().collect::<Vec<_>>());
    }
}

// ---- Helpers

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.0 >> 33) % u64::from(end)).unwrap()
    }

    fn of(&mut self, count: usize) -> usize {
        self.below(u32::try_from(count).unwrap()) as usize
    }
}

/// All keys and values of the store in a folder, one after another.
fn bytes(folder: &Path) -> Vec<u8> {
    let store = LmdbStore::open(&folder.join("store"), false).unwrap();
    let mut bytes = Vec::new();
    let read = store.read(&mut |snapshot| {
        Table::ALL.into_iter().try_for_each(|table| {
            snapshot.scan(table, &[], &mut |key, value| {
                bytes.extend([key, b"|", value, b"|"].concat());
                Ok(true)
            })
        })
    });
    read.unwrap();
    bytes
}

fn report(shop: &Shop) -> Vec<Row> {
    let by = [By::Day, By::Business, By::Category, By::Market, By::Basis, By::ChargeReason];
    shop.gate.report(moment("2020-01-01T00:00:00Z"), moment("2030-01-01T00:00:00Z"), &by).unwrap()
}
