//! What holds for every history: tried on random ones.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeMap;

use csw::gate::apply::{Applied, Applying};
use csw::gate::report::{self, By};
use csw::money::Amount;
use csw::party::{Business, Customer};
use csw::rules::charge::Charge;
use csw::rules::contact::Contact;
use csw::rules::conversation::{self, Effect};
use csw::rules::decision::{
    self, Decision, Meter, Mode, Policy, PreferFree, Standing, TemplatePolicy, UnknownBranch, Verdict,
};
use csw::rules::event::{
    Act, Category, Class, Event, Outgoing, PriceModel, Progress, Reported, Sending, Source, Status, What,
};
use csw::rules::ledger::{Line, LineKind};
use csw::rules::message::Message;
use csw::rules::ruleset::{RuleSet, Rules, Set};
use csw::rules::window;
use csw::store::codec::{self, Entry, Seen, SeenId, Slot, Total};
use csw::store::memory::MemoryStore;
use csw::store::{Records, RecordsMut, Store, Table};
use csw::time::{Day, Span, Timestamp, Zone};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use support::{ANNA, check, gate, ingest_at, shop, webhook};

/// The first of June 2025: `meta` changes its set thirty days later.
const START: Timestamp = Timestamp::from_seconds(1_748_736_000);

/// What a customer does, at an hour and a millisecond that make ties and boundaries likely.
type Inbound = (Act, Option<Source>, Timestamp);

fn moment() -> impl Strategy<Value = Timestamp> {
    let millis = select(vec![0, 1, 999, 1000, 3_599_999]);
    (0_u32..240, millis).prop_map(|(hour, millis)| START + Span::hours(hour) + Span::millis(millis))
}

fn act() -> impl Strategy<Value = Act> {
    select(vec![Act::Content, Act::Call, Act::Reaction, Act::Unavailable, Act::Unsupported, Act::Edit, Act::Unknown])
}

fn inbound() -> impl Strategy<Value = Inbound> {
    (act(), option::weighted(0.3, select(vec![Source::Ad, Source::Post, Source::Stated, Source::Other])), moment())
}

fn every_rules() -> impl Strategy<Value = Rules> {
    let fixed: Vec<Rules> = Set::ALL.iter().map(|set| Rules::fixed(RuleSet::of(*set), Zone::UTC)).collect();
    select([fixed, vec![Rules::meta(Zone::UTC)]].concat())
}

fn contact_of(rules: &Rules, events: &[Inbound], refusals: &[Timestamp]) -> Contact {
    let mut contact = Contact::default();
    for (act, source, at) in events {
        contact.act(rules.at(*at), *act, *source, *at);
    }
    refusals.iter().for_each(|at| contact.refuse(*at));
    contact
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn the_order_and_the_number_of_times_in_which_acts_are_heard_of_change_no_window(
        rules in every_rules(),
        events in vec(inbound(), 0..12),
        refusals in vec(moment(), 0..3),
        again in any::<prop::sample::Index>(),
        seed in any::<u64>(),
        at in moment(),
    ) {
        let mut other = events.clone();
        other.extend(events.get(again.index(events.len().max(1))));
        permute(&mut other, seed);
        let (one, other) = (contact_of(&rules, &events, &refusals), contact_of(&rules, &other, &refusals));
        prop_assert_eq!(&one, &other);
        let rules = rules.at(at);
        prop_assert_eq!(window::window(rules, &one, at, Span::ZERO), window::window(rules, &other, at, Span::ZERO));
    }

    #[test]
    fn a_window_is_open_until_the_newest_act_is_a_day_old(
        events in vec(inbound(), 1..12),
        at in moment(),
    ) {
        let rules = RuleSet::of(Set::Meta202507);
        let opening = events.iter().filter(|(act, ..)| matches!(act, Act::Content | Act::Call | Act::Unavailable));
        let newest = opening.map(|(_, _, at)| *at).max();
        let contact = contact_of(&Rules::fixed(rules, Zone::UTC), &events, &[]);
        let expected = newest.map(|newest| at < newest + Span::hours(24));
        let state = window::window(&rules, &contact, at, Span::ZERO).state;
        prop_assert_eq!(state, match expected {
            Some(true) => window::State::Open,
            Some(false) => window::State::Closed,
            None => window::State::Unknown,
        });
    }

    #[test]
    fn merging_contacts_is_commutative_associative_and_idempotent(
        (one, two, three) in (contact(), contact(), contact()),
    ) {
        let merged = |one: &Contact, other: &Contact| {
            let mut merged = one.clone();
            merged.merge(other);
            facts(&merged)
        };
        prop_assert_eq!(merged(&one, &two), merged(&two, &one));
        prop_assert_eq!(merged(&merged(&one, &two), &three), merged(&one, &merged(&two, &three)));
        prop_assert_eq!(merged(&one, &one), facts(&one));
    }

    #[test]
    fn two_halves_of_a_history_merge_into_the_whole(
        rules in every_rules(),
        events in vec((inbound(), any::<bool>()), 0..16),
    ) {
        let half = |side: bool| -> Vec<Inbound> { events.iter().filter(|(_, at)| *at == side).map(|(event, _)| *event).collect() };
        let all: Vec<Inbound> = events.iter().map(|(event, _)| *event).collect();
        let mut merged = contact_of(&rules, &half(false), &[]);
        merged.merge(&contact_of(&rules, &half(true), &[]));
        prop_assert_eq!(merged, contact_of(&rules, &all, &[]));
    }

    #[test]
    fn what_is_encoded_is_decoded(
        contact in contact(),
        message in message(),
        line in line(),
        recorded_at in moment(),
        is_erased in any::<bool>(),
    ) {
        prop_assert_eq!(decoded(&Slot::Contact(contact.clone())), Slot::Contact(contact));
        prop_assert_eq!(decoded(&Slot::Alias(customer(0))), Slot::Alias(customer(0)));
        let seen = SeenId { recorded_at, what: Seen::Message(Box::new(message)) };
        prop_assert_eq!(decoded(&seen), seen);
        let (person, message) = ((!is_erased).then_some(1), Some(7));
        let (amount, estimated_amount) = (-Amount::parse("0.0118").unwrap(), Amount::ZERO);
        let entry = Entry { recorded_at, business: shop(), person, message, line, count: -1, amount, estimated_amount };
        prop_assert_eq!(decoded(&entry), entry);
        let key = codec::total_key(shop(), &line).unwrap();
        prop_assert_eq!(codec::total_of(&key).unwrap(), (shop(), line));
    }

    #[test]
    fn what_is_not_a_record_is_an_error_and_never_a_panic(bytes in vec(any::<u8>(), 0..64)) {
        let _ = codec::decode::<Slot>(Table::Contacts, &bytes);
        let _ = codec::decode::<SeenId>(Table::Messages, &bytes);
        let _ = codec::decode::<Entry>(Table::Ledger, &bytes);
        let _ = codec::total_of(&bytes);
    }

    #[test]
    fn keys_of_different_things_differ_and_no_contacts_messages_begin_anothers(
        numbers in vec(1_u64..4, 2),
        names in vec("[1-9][0-9]{2,6}", 2),
        ids in vec("[a-c]{1,2}", 2),
    ) {
        let key = |index: usize| {
            let customer = Customer::parse(&names[index]).unwrap();
            (Business::from_number(numbers[index]), customer, codec::id_hash(&ids[index], None))
        };
        let (one, other) = (key(0), key(1));
        let contacts = [&one, &other].map(|(business, customer, _)| codec::contact_key(*business, customer));
        let messages = [&one, &other].map(|(business, customer, id)| codec::message_key(*business, customer, *id));
        let same_contact = (one.0, one.1) == (other.0, other.1);
        prop_assert_eq!(contacts[0] == contacts[1], same_contact);
        prop_assert_eq!(messages[0] == messages[1], same_contact && one.2 == other.2);
        prop_assert_eq!(messages[1].starts_with(&codec::messages_prefix(one.0, &one.1)), same_contact);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn webhooks_in_any_order_repeated_and_split_give_the_same_window(
        hours in vec((0_u32..96, any::<bool>()), 1..8),
        seed in any::<u64>(),
        splits in vec(any::<bool>(), 16),
        at in 0_u32..200,
    ) {
        let at = START + Span::hours(at);
        let message = |(index, (hour, clicks)): (usize, &(u32, bool))| {
            let message = support::text(ANNA, &format!("wamid.{index}"), START + Span::hours(*hour));
            let referral = if *clicks { serde_json::json!({"source_type": "ad"}) } else { serde_json::Value::Null };
            support::with(message, serde_json::json!({"referral": referral}))
        };
        let messages: Vec<_> = hours.iter().enumerate().map(message).collect();
        let mut other = [messages.clone(), messages[..messages.len() / 2].to_vec()].concat();
        permute(&mut other, seed);
        let window = |batches: Vec<Vec<serde_json::Value>>| {
            let gate = gate("");
            for batch in batches {
                ingest_at(&gate, &webhook("messages", serde_json::json!({"messages": batch})), Timestamp::now()).unwrap();
            }
            check(&gate, ANNA, at)
        };
        let mut batches = vec![Vec::new()];
        for (message, split) in other.into_iter().zip(splits.iter().cycle()) {
            if *split {
                batches.push(Vec::new());
            }
            batches.last_mut().unwrap().push(message);
        }
        prop_assert_eq!(window(vec![messages]), window(batches));
    }

    #[test]
    fn deciding_says_what_recording_then_does(rules in every_rules(), steps in vec(step(), 1..40)) {
        let mut world = World::new(rules);
        let mut hour = 0;
        for (index, (later, step)) in steps.into_iter().enumerate() {
            hour += later;
            let at = START + Span::hours(hour);
            if let Some((decision, applied)) = world.play(index, step, at) {
                prop_assert_eq!(applied.placement, decision.placement);
                prop_assert_eq!(applied.category, decision.category);
                prop_assert!(!applied.repeated);
            }
        }
    }

    #[test]
    fn counting_anew_changes_nothing(rules in every_rules(), steps in vec(step(), 1..60)) {
        let world = World::after(rules, steps);
        let Some(found) = world.read(|records| records.contact(shop(), &customer(0)).unwrap()) else { return Ok(()) };
        let before: Vec<Message> = world.messages();
        let (mut contact, mut after) = (found.contact.clone(), before.clone());
        conversation::recount(&world.policy.rules, &mut contact, &[], &mut after.iter_mut().collect::<Vec<_>>());
        let places = |messages: &[Message]| messages.iter().map(|message| (message.placement, message.due_at)).collect::<Vec<_>>();
        prop_assert_eq!(places(&before), places(&after));
        prop_assert_eq!(found.contact.conversations, contact.conversations);
    }

    #[test]
    fn totals_are_what_the_ledger_adds_up_to(rules in every_rules(), steps in vec(step(), 1..60)) {
        let world = World::after(rules, steps);
        let mut counted: BTreeMap<(Business, Line), Total> = BTreeMap::new();
        for entry in world.ledger() {
            counted.entry((entry.business, entry.line)).or_default().add(&entry);
        }
        prop_assert!(counted.values().all(|total| total.count >= 0), "nothing is taken back that was not posted");
        counted.retain(|_, total| *total != Total::default());
        prop_assert_eq!(&counted, &world.totals());

        let sum = |of: &dyn Fn(&Line) -> bool| {
            counted.iter().filter(|((_, line), _)| of(line)).map(|(_, total)| total.count).sum::<i64>()
        };
        let is_charge = |line: &Line, charge| line.basis().is_some() && line.charged.charge == Some(charge);
        let row = world.report();
        prop_assert_eq!(row.messages, sum(&|line| line.kind == LineKind::Message));
        prop_assert_eq!(row.conversations, sum(&|line| line.kind == LineKind::Message && line.placement.effect == Effect::Opens));
        prop_assert_eq!(row.free, sum(&|line| is_charge(line, Charge::Free)));
        prop_assert_eq!(row.billable, sum(&|line| is_charge(line, Charge::Billable)));
        prop_assert_eq!(row.messages, world.standing(), "every message that did not fail counts once");
        prop_assert!(row.free + row.billable <= row.messages, "no message is charged twice");
    }
}

/// Puts a list in an order that depends on the seed alone.
fn permute<T>(list: &mut [T], mut seed: u64) {
    for end in (1..list.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        list.swap(end, (seed >> 33) as usize % (end + 1));
    }
}

fn decoded<T: serde::Serialize + serde::de::DeserializeOwned>(record: &T) -> T {
    codec::decode(Table::Contacts, &codec::encode(record).unwrap()).unwrap()
}

fn customer(number: usize) -> Customer {
    let names =
        [ANNA, support::BERT, "GB.13491208655302741918", "GB.ENT.11815799212886844830", "group:Y2FwaV9ncm91cDox"];
    Customer::parse(names[number]).unwrap()
}

fn contact() -> impl Strategy<Value = Contact> {
    let told = (vec(inbound(), 0..12), vec(moment(), 0..2), vec(0_usize..5, 0..4), option::of(moment()));
    told.prop_map(|(events, refusals, names, last_sent)| {
        let rules = RuleSet::of(Set::Guide);
        let mut contact = contact_of(&Rules::fixed(rules, Zone::UTC), &events, &refusals);
        names.into_iter().for_each(|name| contact.know(customer(name)));
        Contact { last_sent, ..contact }
    })
}

/// All but the conversations, which are counted anew when contacts are merged.
fn facts(contact: &Contact) -> Contact {
    Contact { conversations: Vec::new(), ..contact.clone() }
}

fn sending() -> impl Strategy<Value = Sending> {
    let template = |category| Sending::new(Class::Template, category);
    let plain = |class| Sending::new(class, Category::Service);
    select(vec![
        template(Category::Marketing),
        template(Category::Utility),
        template(Category::Authentication),
        template(Category::AuthenticationInternational),
        template(Category::Unknown),
        plain(Class::FreeForm),
        plain(Class::FreeForm),
        plain(Class::Unknown),
        plain(Class::Reaction),
    ])
}

fn status() -> impl Strategy<Value = Status> {
    let progress = select(vec![Progress::Sent, Progress::Delivered, Progress::Read, Progress::Failed]);
    let category = option::of(select(vec![Category::Marketing, Category::Utility, Category::Service]));
    let model = select(vec![PriceModel::Conversation, PriceModel::Message]);
    let conversation = select(vec![[1; 16], [2; 16]]);
    let reported = (
        category,
        any::<bool>(),
        option::of(moment()),
        option::of(any::<bool>()),
        option::of(model),
        option::of(conversation),
    )
        .prop_map(|(category, free_entry_point, expires_at, billable, model, conversation)| Reported {
            category,
            billable,
            free_entry_point,
            expires_at,
            model,
            conversation,
        });
    (progress, option::weighted(0.2, reported), option::of(select(vec![131_047, 131_049])))
        .prop_map(|(progress, reported, code)| Status { progress, code, reported, member: None })
}

fn message() -> impl Strategy<Value = Message> {
    (moment(), option::of(sending()), vec((status(), moment()), 0..4)).prop_map(|(at, sending, statuses)| {
        let mut message = Message::new(at, 7, sending);
        statuses.iter().for_each(|(status, at)| message.apply(status, *at));
        message
    })
}

fn line() -> impl Strategy<Value = Line> {
    (decision(), moment(), select(LineKind::ALL)).prop_map(|(decision, at, kind)| Line {
        day: Zone::UTC.day(at),
        kind,
        class: decision.class,
        category: decision.category.unwrap_or(Category::Service),
        estimated: decision.estimated,
        placement: decision.placement,
        charged: decision.charged,
        no_amount: decision.cost.no_amount,
        estimate: None,
        market: decision.cost.market,
        currency: None,
        reason: Some(decision.reason),
        code: None,
    })
}

/// Some answer about some send to somebody who has just clicked, or not.
fn decision() -> impl Strategy<Value = Decision> {
    (every_rules(), inbound(), sending(), moment()).prop_map(|(rules, event, sending, at)| {
        let contact = contact_of(&rules, &[event], &[]);
        decide(&policy(rules), &contact, &outgoing(&sending), at)
    })
}

fn policy(rules: Rules) -> Policy {
    let (margin, unknown) = (Span::ZERO, UnknownBranch::Closed);
    let (mode, templates) = (Mode::Enforce, TemplatePolicy::Trust);
    Policy {
        rules,
        enabled: true,
        mode,
        margin,
        unknown,
        templates,
        prefer_free: PreferFree::Off,
        currency: None,
        account: None,
        international: Vec::new(),
    }
}

fn decide(policy: &Policy, contact: &Contact, outgoing: &Outgoing, at: Timestamp) -> Decision {
    let category = decision::category_of(policy, outgoing, Standing::default(), None);
    decision::decide(policy, contact, outgoing, Standing::default(), category, &Meter::NONE, at)
}

fn outgoing(sending: &Sending) -> Outgoing {
    let category = Some(sending.category).filter(|_| sending.class == Class::Template);
    Outgoing { class: sending.class, customer: Some(customer(0)), user_id_in_to: false, category, template: None }
}

#[derive(Debug, Clone)]
enum Step {
    Act(Act, Option<Source>),
    Send(Sending),
    /// A send of so many hours ago that is recorded now.
    Late(Sending, u32),
    /// Of the message that was sent so many sends ago.
    Status(usize, Status),
}

/// A step, and how many hours after the one before it.
fn step() -> impl Strategy<Value = (u32, Step)> {
    let source = option::weighted(0.2, select(vec![Source::Ad, Source::Stated]));
    let step = prop_oneof![
        2 => (act(), source).prop_map(|(act, source)| Step::Act(act, source)),
        4 => sending().prop_map(Step::Send),
        2 => (sending(), select(vec![0, 1, 5, 23, 24, 72])).prop_map(|(sending, ago)| Step::Late(sending, ago)),
        4 => (0_usize..6, status()).prop_map(|(ago, status)| Step::Status(ago, status)),
    ];
    (select(vec![0, 0, 1, 5, 23, 24, 30]), step)
}

/// A store, and the messages in it by their ids.
struct World {
    store: MemoryStore,
    policy: Policy,
    sent: Vec<String>,
}

impl World {
    fn new(rules: Rules) -> Self {
        World { store: MemoryStore::default(), policy: policy(rules), sent: Vec::new() }
    }

    /// What a history leaves behind.
    fn after(rules: Rules, steps: Vec<(u32, Step)>) -> Self {
        let mut world = World::new(rules);
        let mut hour = 0;
        for (index, (later, step)) in steps.into_iter().enumerate() {
            hour += later;
            // No two at one moment: which came first would be a matter of hearsay.
            world.play(index, step, START + Span::hours(hour) + Span::millis(index as u32));
        }
        world
    }

    /// Plays a step; for a send that may go out, what was promised and what came of it.
    fn play(&mut self, index: usize, step: Step, at: Timestamp) -> Option<(Decision, Applied)> {
        match step {
            Step::Act(act, source) => {
                self.apply(&format!("act {index}"), at, What::Customer { act, source });
                None
            }
            Step::Status(ago, status) => {
                let id = self.sent.iter().rev().nth(ago)?.clone();
                self.apply(&id, at, What::Status(status));
                None
            }
            Step::Late(sending, ago) => {
                let id = format!("message {index}");
                self.apply(&id, at - Span::hours(ago), What::Business(sending));
                self.sent.push(id);
                None
            }
            Step::Send(sending) => {
                let decision = self.read(|records| {
                    let contact = records.contact(shop(), &customer(0)).unwrap().map(|found| found.contact);
                    let contact = contact.unwrap_or_default();
                    decide(&self.policy, &contact, &outgoing(&sending), at)
                });
                if decision.verdict == Verdict::Deny {
                    return None;
                }
                let id = format!("message {index}");
                let applied = self.apply(&id, at, What::Business(sending));
                self.sent.push(id);
                Some((decision, applied))
            }
        }
    }

    fn apply(&self, id: &str, at: Timestamp, what: What) -> Applied {
        let event = Event { business: shop(), customer: customer(0), also: Vec::new(), at, id: Some(id.into()), what };
        let mut applied = None;
        let written = self.store.write(&mut |transaction| {
            let records = &mut RecordsMut::new(transaction);
            let mut applying = Applying { records, policy: &self.policy, fold_numbers: true, now: at };
            applied = Some(applying.event(&event)?);
            Ok(())
        });
        written.unwrap();
        applied.unwrap()
    }

    fn read<T>(&self, work: impl Fn(Records<'_>) -> T) -> T {
        let mut answer = None;
        let read = self.store.read(&mut |snapshot| {
            answer = Some(work(Records(snapshot)));
            Ok(())
        });
        read.unwrap();
        answer.unwrap()
    }

    fn ledger(&self) -> Vec<Entry> {
        self.read(|records| {
            let mut entries = Vec::new();
            let scanned = records.0.scan(Table::Ledger, b"", &mut |_, value| {
                entries.push(codec::decode(Table::Ledger, value)?);
                Ok(true)
            });
            scanned.unwrap();
            entries
        })
    }

    fn totals(&self) -> BTreeMap<(Business, Line), Total> {
        self.read(|records| {
            let mut totals = BTreeMap::new();
            let scanned = records.0.scan(Table::Totals, b"", &mut |key, value| {
                totals.insert(codec::total_of(key)?, codec::decode(Table::Totals, value)?);
                Ok(true)
            });
            scanned.unwrap();
            totals
        })
    }

    fn report(&self) -> report::Row {
        let days = (Day::new(2025, 1, 1), Day::new(2026, 12, 31));
        let whole = self.read(|records| report::report(records, |_| days, days, &[]).unwrap());
        let by_day = self.read(|records| report::report(records, |_| days, days, &[By::Day, By::Category]).unwrap());
        let whole = whole.first().copied().unwrap_or_default();
        assert_eq!(by_day.iter().map(|row| row.messages).sum::<i64>(), whole.messages);
        assert_eq!(by_day.iter().map(|row| row.billable).sum::<i64>(), whole.billable);
        whole
    }

    fn messages(&self) -> Vec<Message> {
        let messages = self.read(|records| records.messages(shop(), &customer(0)).unwrap());
        messages.into_iter().map(|(_, message)| message).collect()
    }

    /// How many messages were sent and did not fail.
    fn standing(&self) -> i64 {
        self.messages().iter().filter(|message| message.counts()).count() as i64
    }
}
