//! The closed branch: the steps of csw.toml on a running gate, what is parked, and what is sent of it.
// What cannot be set up fails the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/mod.rs"]
mod support;

use std::sync::Arc;

use csw::error::Code;
use csw::gate::apply::Applying;
use csw::gate::config::Config;
use csw::gate::parking::{self, Fate, IN_HAND, Parcel, ParcelKind};
use csw::gate::rates::{Card, Published};
use csw::gate::{Does, Gate, Instead};
use csw::money::{Amount, Currency};
use csw::party::Customer;
use csw::rules::closed::{StepKind, Unfit};
use csw::rules::decision::Verdict;
use csw::rules::event::{Category, Class, EventKind, Notice, NoticeWhat, Sending, TemplateName};
use csw::rules::ledger::LineKind;
use csw::rules::market::{Country, Market};
use csw::rules::window::{Reason, State};
use csw::store::codec::{Body, Parked};
use csw::store::memory::MemoryStore;
use csw::store::{Records, RecordsMut, Store};
use csw::time::{Day, Span, Timestamp};
use csw::wire::record;
use csw::wire::send::Endpoint;
use serde_json::{Value, json};
use support::*;

const BRANCH: &str = r#"
currency = "EUR"
account = "102290129340398"

[closed]
steps = ["template:order_update", "channel:sms", "park"]

[closed.template.order_update]
categories = ["utility"]

[closed.channel.sms]
location = "/csw/channel/sms"
"#;

fn approve(gate: &Gate, name: &str, category: Category) {
    let template = TemplateName::new(name, "en_US");
    let what = NoticeWhat::TemplateStatus { template, approved: true, category: Some(category) };
    let notice = Notice { account: ACCOUNT.parse().unwrap(), at: None, what };
    decided(gate, gate.submit_notices(vec![notice]).unwrap()).unwrap();
}

fn text_to(to: &str, text: &str) -> Vec<u8> {
    json!({"messaging_product": "whatsapp", "to": to, "type": "text", "text": {"body": text}}).to_string().into_bytes()
}

fn image_to(to: &str) -> Vec<u8> {
    json!({"messaging_product": "whatsapp", "to": to, "type": "image", "image": {"id": "1", "caption": "hi"}})
        .to_string()
        .into_bytes()
}

fn instead(gate: &Gate, body: &[u8], index: usize) -> Instead {
    gate.instead(shop(), body, Timestamp::now(), index).unwrap()
}

fn unfit(gate: &Gate, body: &[u8], index: usize) -> Unfit {
    instead(gate, body, index).does.expect_err("it can serve")
}

fn park(gate: &Gate, to: &str, text: &str) -> Arc<Parcel> {
    let ticket = gate.submit_park("test", shop(), text_to(to, text)).unwrap();
    decided(gate, ticket).unwrap();
    gate.parcel(ticket).unwrap().unwrap()
}

fn take(gate: &Gate) -> Option<Arc<Parcel>> {
    let ticket = gate.submit_take("test", Timestamp::now()).unwrap();
    decided(gate, ticket).unwrap();
    gate.parcel(ticket).unwrap()
}

fn give_back(gate: &Gate, parcel: &Parcel, fate: Fate) {
    decided(gate, gate.submit_return(parcel.clone(), fate).unwrap()).unwrap();
}

fn said(parcel: &Parcel) -> String {
    let body: Value = serde_json::from_slice(&parcel.body.0).unwrap();
    body["text"]["body"].as_str().or(body["template"]["name"].as_str()).unwrap().to_owned()
}

fn writes(gate: &Gate, customer: &'static str) {
    record(gate, record::Stated { customer, ..stated(EventKind::CustomerMessage, Timestamp::now()) });
}

fn dropped(gate: &Gate) -> i64 {
    let (from, to) = (hours_ago(24), Timestamp::now());
    gate.report(from, to, &[]).unwrap().iter().map(|row| row.dropped).sum()
}

// ---- Steps

#[test]
fn a_text_goes_out_as_the_approved_template_and_is_decided_about_as_one() {
    let gate = gate(BRANCH);
    approve(&gate, "order_update", Category::Utility);
    let found = instead(&gate, &text_to(ANNA, "It is\non its way"), 0);
    assert_eq!((found.kind, found.step.as_str()), (StepKind::Template, "template:order_update"));
    let Ok(Does::Template { body, decided }) = found.does else { panic!("{found:?}") };
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["to"], ANNA);
    assert_eq!(body["template"]["components"][0]["parameters"][0]["text"], "It is on its way");
    assert_eq!(decided.decision.reason, Reason::Template);
    assert_eq!(decided.decision.category, Some(Category::Utility));
}

#[test]
fn a_template_serves_only_where_the_catalogue_approves_it_in_an_allowed_category() {
    let gate = gate(BRANCH);
    let text = text_to(ANNA, "hi");
    assert_eq!(unfit(&gate, &text, 0), Unfit::TemplateUnknown, "whatever templates.policy trusts");
    let nobodys = support::gate(&BRANCH.replace("account = \"102290129340398\"\n", ""));
    assert_eq!(unfit(&nobodys, &text, 0), Unfit::AccountUnknown);
    approve(&gate, "order_update", Category::Marketing);
    assert_eq!(unfit(&gate, &text, 0), Unfit::CategoryNotAllowed);

    let template = TemplateName::new("order_update", "en_US");
    let what = NoticeWhat::TemplateStatus { template, approved: false, category: Some(Category::Utility) };
    let notice = Notice { account: ACCOUNT.parse().unwrap(), at: None, what };
    decided(&gate, gate.submit_notices(vec![notice]).unwrap()).unwrap();
    assert_eq!(unfit(&gate, &text, 0), Unfit::TemplateNotApproved);
}

#[test]
fn a_template_that_costs_more_than_allowed_or_nobody_knows_what_is_passed_over() {
    let lines = BRANCH.replace("categories = [\"utility\"]", "max_cost = \"0.05\"");
    let priced = |rate: Option<&str>| {
        let gate = gate(&lines);
        approve(&gate, "order_update", Category::Utility);
        if let Some(rate) = rate {
            let card = rate_card("EUR", rate);
            decided(&gate, gate.submit_rates(card).unwrap()).unwrap();
        }
        instead(&gate, &text_to(ANNA, "hi"), 0).does
    };
    assert!(matches!(priced(Some("0.05")), Ok(Does::Template { .. })));
    assert_eq!(priced(Some("0.0501")), Err(Unfit::OverCost));
    assert_eq!(priced(None), Err(Unfit::OverCost), "no rate card");
}

fn rate_card(currency: &str, utility: &str) -> Card {
    let market = Market::Country(Country::parse("GB").unwrap());
    Card {
        currency: Currency::parse(currency).unwrap(),
        from: Day::parse("2023-06-01").unwrap(),
        rates: vec![(market, Category::Utility, Published::List(Amount::parse(utility).unwrap()))],
    }
}

#[test]
fn media_and_interactive_messages_become_no_parameter_and_no_text_message() {
    let gate = gate(BRANCH);
    approve(&gate, "order_update", Category::Utility);
    assert_eq!(unfit(&gate, &image_to(ANNA), 0), Unfit::NotText);
    assert_eq!(unfit(&gate, &image_to(ANNA), 1), Unfit::NotText);
    assert!(matches!(instead(&gate, &image_to(ANNA), 2).does, Ok(Does::Park { .. })), "parked it can be");
}

#[test]
fn a_channel_gets_the_text_and_the_phone_number_each_with_an_id_of_its_own() {
    let gate = gate(BRANCH);
    let channel = |to: &str| instead(&gate, &text_to(to, "It is\non its way"), 1);
    let Ok(Does::Channel { location, to, text, id }) = channel("+44 7700 900123").does else { panic!() };
    assert_eq!((location.as_str(), to.as_str(), text.as_str()), ("/csw/channel/sms", ANNA, "It is\non its way"));
    let Ok(Does::Channel { id: other, .. }) = channel(ANNA).does else { panic!() };
    assert!(id.starts_with("csw.") && id.len() == 36 && id != other, "{id}");
}

#[test]
fn a_customer_known_by_a_user_id_is_reached_by_the_phone_number_that_is_known() {
    let gate = gate(BRANCH);
    let to_user = json!({"recipient": "US.1349120", "type": "text", "text": {"body": "hi"}}).to_string().into_bytes();
    assert_eq!(unfit(&gate, &to_user, 1), Unfit::NoPhoneNumber);
    let message = with(text(ANNA, "wamid.1", Timestamp::now()), json!({"from_user_id": "US.1349120"}));
    ingest(&gate, &webhook("messages", json!({"messages": [message]})));
    let Ok(Does::Channel { to, .. }) = instead(&gate, &to_user, 1).does else { panic!() };
    assert_eq!(to, ANNA);
    let group = json!({"recipient_type": "group", "to": "g1", "type": "text", "text": {"body": "hi"}}).to_string();
    assert_eq!(unfit(&gate, group.as_bytes(), 1), Unfit::NoPhoneNumber);
}

#[test]
fn behind_the_last_step_everything_is_blocked() {
    let gate = gate("");
    assert_eq!(instead(&gate, &text_to(ANNA, "hi"), 0).kind, StepKind::Block, "the default");
    assert_eq!(instead(&gate, &text_to(ANNA, "hi"), 99).kind, StepKind::Block);
}

#[test]
fn a_number_has_steps_of_its_own() {
    let lines = format!("{BRANCH}\n[numbers.{SHOP}]\nclosed = [\"channel:sms\"]\n");
    let gate = gate(&lines);
    let steps: Vec<_> = (0..3).map(|index| instead(&gate, &text_to(ANNA, "hi"), index).step).collect();
    assert_eq!(steps, ["channel:sms", "block", "block"]);
    let other = csw::party::Business::parse(support::BRANCH).unwrap();
    let step = gate.instead(other, &text_to(ANNA, "hi"), Timestamp::now(), 0).unwrap().step;
    assert_eq!(step, "template:order_update");
}

#[test]
fn a_branch_that_cannot_work_is_a_configuration_error_that_names_the_key() {
    let folder = tempfile::tempdir().unwrap();
    for (lines, expected) in [
        ("steps = [\"template:x\"]", "closed.steps: \"template:x\" is not described in [closed.template.x]"),
        ("steps = [\"template\"]", "closed.steps: \"template\" names none"),
        ("steps = [\"tempalte:x\"]", "(did you mean `template`?)"),
        ("steps = [\"channel:smss\"]\n[closed.channel.sms]\n", "(did you mean `sms`?)"),
        ("steps = [\"block\", \"park\"]", "\"park\" is never reached: it stands behind \"block\""),
        ("steps = [\"park\", \"park\"]", "\"park\" stands there twice"),
        ("steps = [\"park:here\"]", "\"park:here\" has no name behind it"),
        ("[closed.template.code]\ncategories = [\"authentication\"]", "only marketing and utility templates"),
        (
            "[closed.template.code]\n[templates.category]\ncode = \"authentication\"",
            "only marketing and utility templates",
        ),
        ("[closed.template.x]\nparameters = [\"hello\"]", "closed.template.x.parameters: no parameter holds {text}"),
        ("[closed.template.x]\nparameters = { Order = \"{text}\" }", "lower-case letters"),
        ("[closed.template.x]\nmax_cost = \"cheap\"", "closed.template.x.max_cost"),
        ("[closed.template.x]\ntoo_long = \"drop\"", "use one of next, cut"),
        ("[closed.template.x]\nnewline = \"\\n\"", "closed.template.x.newline"),
        ("[closed.template.x]\nmax_length = 0", "closed.template.x.max_length: 0"),
        (
            "steps = [\"channel:sms\"]\n[closed.channel.sms]\nlocation = \"sms\"",
            "is no location such as \"/csw/channel/sms\"",
        ),
        ("steps = [\"channel:sms\"]\n[closed.channel.sms]\nlocation = \"/a/../b\"", "is no location"),
        ("[closed.park]\nat_most = 0", "closed.park.at_most: 0; use 1 to 1000"),
        ("[closed.park]\nkeep = \"soon\"", "closed.park.keep"),
        ("[closed.park]\nnudge = \"\"", "closed.park.nudge: \"\" in \"en_US\" is no template"),
        ("[closed.template.x]\nlanguage = \"en\\nUS\"", "is no template"),
        ("[closed.template.x]\ncategories = []", "closed.template.x.categories: none"),
        ("[closed.template.x]\nmax_cost = \"-1\"", "closed.template.x.max_cost"),
        ("[closed.channel.unused]\nlocation = \"x\"", "is no location"),
        ("[closed.park]\nat_mots = 3", "(did you mean `at_most`?)"),
    ] {
        let error = Config::parse(&format!("store = \"memory:\"\n[closed]\n{lines}\n"), folder.path()).unwrap_err();
        assert!(error.message().contains(expected), "{lines}\n{error}");
        assert_eq!(error.code(), Code::Config);
    }
    let error = Config::parse("store = \"memory:\"\ntoken_file = \"nowhere\"", folder.path()).unwrap_err();
    assert!(error.message().starts_with("token_file: ") && error.message().contains("cannot be read"), "{error}");
}

// ---- Parking

#[test]
fn parked_messages_go_out_in_order_once_the_customer_writes() {
    let gate = gate(BRANCH);
    assert_eq!((park(&gate, ANNA, "one").waiting, park(&gate, ANNA, "two").waiting), (1, 2));
    park(&gate, BERT, "to Bert");
    assert!(!gate.is_due("test").unwrap());
    assert_eq!(take(&gate), None, "nobody has written");

    writes(&gate, ANNA);
    assert!(gate.is_due("test").unwrap());
    for text in ["one", "two"] {
        let parcel = take(&gate).unwrap();
        assert_eq!((said(&parcel).as_str(), parcel.kind), (text, ParcelKind::Parked));
        assert_eq!(take(&gate), None, "the next one waits until it is known what became of the first");
        give_back(&gate, &parcel, Fate::Sent);
    }
    assert_eq!(take(&gate), None, "Bert's waits for Bert");
    assert!(!gate.is_due("test").unwrap());
}

#[test]
fn a_message_that_may_not_go_out_after_all_waits_for_the_next_act_at_its_place() {
    let gate = gate(BRANCH);
    park(&gate, ANNA, "one");
    park(&gate, ANNA, "two");
    writes(&gate, ANNA);
    let parcel = take(&gate).unwrap();
    give_back(&gate, &parcel, Fate::Closed);
    assert_eq!(take(&gate), None);
    writes(&gate, ANNA);
    assert_eq!(said(&take(&gate).unwrap()), "one");
}

#[test]
fn a_customer_who_writes_while_a_message_is_given_back_is_not_forgotten() {
    let gate = gate(BRANCH);
    park(&gate, ANNA, "one");
    writes(&gate, ANNA);
    let parcel = take(&gate).unwrap();
    writes(&gate, ANNA);
    assert_eq!(take(&gate), None, "somebody has it in hand");
    give_back(&gate, &parcel, Fate::Closed);
    assert_eq!(said(&take(&gate).unwrap()), "one");
}

#[test]
fn what_is_refused_for_good_is_gone_and_the_next_one_goes_on() {
    let gate = gate(BRANCH);
    park(&gate, ANNA, "one");
    park(&gate, ANNA, "two");
    writes(&gate, ANNA);
    give_back(&gate, &take(&gate).unwrap(), Fate::Refused);
    assert_eq!(said(&take(&gate).unwrap()), "two");
    assert_eq!(dropped(&gate), 0);
}

#[test]
fn what_nobody_can_tell_the_fate_of_is_given_up_with_a_ledger_line_and_never_sent_again() {
    let gate = gate(BRANCH);
    park(&gate, ANNA, "one");
    park(&gate, ANNA, "two");
    writes(&gate, ANNA);
    give_back(&gate, &take(&gate).unwrap(), Fate::Lost);
    assert_eq!(dropped(&gate), 1);
    assert_eq!(said(&take(&gate).unwrap()), "two");
}

#[test]
fn of_too_many_messages_the_oldest_is_given_up_with_a_ledger_line() {
    let gate = gate(&format!("{BRANCH}\n[closed.park]\nat_most = 2\n"));
    park(&gate, ANNA, "one");
    park(&gate, ANNA, "two");
    park(&gate, BERT, "to Bert");
    let third = park(&gate, ANNA, "three");
    assert_eq!((third.waiting, third.dropped), (2, 1));
    assert_eq!(dropped(&gate), 1);
    writes(&gate, ANNA);
    for text in ["two", "three"] {
        let parcel = take(&gate).unwrap();
        assert_eq!(said(&parcel), text);
        give_back(&gate, &parcel, Fate::Sent);
    }
}

#[test]
fn a_new_backlog_is_nudged_once_with_a_template_and_only_while_the_window_is_closed() {
    let gate = gate(&format!("{BRANCH}\n[closed.park]\nnudge = \"we_have_news/en_US\"\n"));
    park(&gate, ANNA, "one");
    park(&gate, ANNA, "two");
    let nudge = take(&gate).unwrap();
    assert_eq!((nudge.kind, said(&nudge).as_str()), (ParcelKind::Nudge, "we_have_news"));
    give_back(&gate, &nudge, Fate::Sent);
    assert_eq!(take(&gate), None);

    park(&gate, BERT, "hello");
    writes(&gate, BERT);
    let parcel = take(&gate).unwrap();
    assert_eq!((parcel.kind, said(&parcel).as_str()), (ParcelKind::Parked, "hello"), "Bert need not be asked to write");
}

#[test]
fn a_message_parked_while_the_customer_writes_goes_out_at_once() {
    let gate = gate(BRANCH);
    writes(&gate, ANNA);
    park(&gate, ANNA, "decided a moment too early");
    assert!(take(&gate).is_some());
}

#[test]
fn what_a_kind_of_gateway_parked_is_handed_out_to_it_alone() {
    let gate = gate(BRANCH);
    for gateway in ["nginx", "prosody", "nginx"] {
        decided(&gate, gate.submit_park(gateway, shop(), text_to(ANNA, gateway)).unwrap()).unwrap();
    }
    writes(&gate, ANNA);
    let take = |gateway: &str| {
        let ticket = gate.submit_take(gateway, Timestamp::now()).unwrap();
        decided(&gate, ticket).unwrap();
        gate.parcel(ticket).unwrap()
    };
    assert_eq!(take("prosody").map(|parcel| said(&parcel)).as_deref(), Some("prosody"));
    assert_eq!(take("prosody"), None);
    let first = take("nginx").unwrap();
    give_back(&gate, &first, Fate::Sent);
    assert_eq!(take("nginx").map(|parcel| said(&parcel)).as_deref(), Some("nginx"));
    assert_eq!(gate.submit_take("no name", Timestamp::now()).unwrap_err().code(), Code::Invalid);
}

#[test]
fn what_is_parked_survives_a_restart_and_is_not_handed_out_twice_by_two_processes() {
    let folder = tempfile::tempdir().unwrap();
    let lines = format!("store = \"lmdb:{}\"\n{BRANCH}", folder.path().join("store").display());
    let gate = gate_in(folder.path(), &lines);
    park(&gate, ANNA, "one");
    park(&gate, ANNA, "two");
    writes(&gate, ANNA);
    drop(gate);

    let gate = gate_in(folder.path(), &lines);
    let first = take(&gate).unwrap();
    assert_eq!(said(&first), "one");
    drop(gate);
    let gate = gate_in(folder.path(), &lines);
    assert_eq!(take(&gate), None, "it is still in somebody's hand");
    give_back(&gate, &first, Fate::Sent);
    assert_eq!(said(&take(&gate).unwrap()), "two");
}

#[test]
fn an_erased_customer_leaves_nothing_parked() {
    let gate = gate(&format!("{BRANCH}\n[closed.park]\nnudge = \"we_have_news/en_US\"\n"));
    park(&gate, ANNA, "one");
    let anna = Customer::parse(ANNA).unwrap();
    let erased = decided(&gate, gate.submit_forget(None, anna).unwrap()).unwrap();
    writes(&gate, ANNA);
    assert_eq!(take(&gate), None, "no nudge and no message");
    assert_eq!(erased.events, 1, "said to be erased");
}

#[test]
fn what_is_parked_goes_with_the_customer_to_another_name() {
    let gate = gate(BRANCH);
    park(&gate, ANNA, "one");
    let message = with(text(ANNA, "wamid.1", Timestamp::now()), json!({"from_user_id": "GB.1349120"}));
    ingest(&gate, &webhook("messages", json!({"messages": [message]})));
    assert_eq!(said(&take(&gate).unwrap()), "one");
}

#[test]
fn bodies_beyond_the_limit_are_not_parked() {
    let gate = gate(BRANCH);
    let large = text_to(ANNA, &"x".repeat(parking::BODY_MAX));
    assert_eq!(unfit(&gate, &large, 2), Unfit::TooLarge);
    assert_eq!(gate.submit_park("test", shop(), large).unwrap_err().code(), Code::TooLarge);
    assert_eq!(gate.submit_park("test", shop(), b"no json".to_vec()).unwrap_err().code(), Code::Body);
}

/// A store at whose clock the test sits.
struct Clock {
    store: MemoryStore,
    config: Config,
}

impl Clock {
    fn new(lines: &str) -> Self {
        let config = Config::parse(&format!("store = \"memory:\"\n{lines}"), std::path::Path::new(".")).unwrap();
        Clock { store: MemoryStore::default(), config }
    }

    fn apply<T>(&self, now: Timestamp, work: impl Fn(&mut Applying<'_, '_>) -> csw::error::Result<T>) -> T {
        let mut result = None;
        let written = self.store.write(&mut |transaction| {
            let records = &mut RecordsMut::new(transaction);
            let policy = self.config.default_policy();
            result = Some(work(&mut Applying { records, policy, fold_numbers: true, now })?);
            Ok(())
        });
        written.unwrap();
        result.unwrap()
    }

    fn park(&self, text: &str, now: Timestamp) {
        let anna = Customer::parse(ANNA).unwrap();
        let message = Parked {
            expires_at: now + self.config.parking.keep,
            in_hand_until: None,
            is_woken: false,
            gateway: "test".into(),
            sending: Sending::new(Class::FreeForm, Category::Service),
            body: Body(text_to(ANNA, text)),
        };
        self.apply(now, |applying| applying.park(shop(), &anna, message.clone(), &self.config.parking));
    }

    fn act(&self, at: Timestamp) {
        let event = record::event(stated(EventKind::CustomerMessage, at)).unwrap();
        self.apply(at, |applying| applying.event(&event));
    }

    fn take(&self, now: Timestamp) -> Option<String> {
        self.parcel(now).map(|parcel| said(&parcel))
    }

    fn parcel(&self, now: Timestamp) -> Option<Arc<Parcel>> {
        let mut parcel = None;
        let written = self.store.write(&mut |transaction| {
            parcel = parking::take(&mut RecordsMut::new(transaction), &self.config, "test", now, now)?;
            Ok(())
        });
        written.unwrap();
        parcel
    }

    fn dropped(&self) -> usize {
        let mut lines = 0;
        let read = self.store.read(&mut |snapshot| {
            Records(snapshot).each_entry(0, &mut |_, entry| {
                lines += usize::from(entry.line.kind == LineKind::Dropped);
                Ok(true)
            })
        });
        read.unwrap();
        lines
    }
}

#[test]
fn who_takes_a_message_and_dies_has_it_given_up_after_a_minute_and_the_next_goes_on() {
    let clock = Clock::new(BRANCH);
    let began = hours_ago(5);
    clock.park("one", began);
    clock.park("two", began);
    let wrote = began + Span::hours(1);
    clock.act(wrote);
    assert_eq!(clock.take(wrote).as_deref(), Some("one"));
    let last_moment = wrote + IN_HAND - Span::millis(1);
    assert_eq!(clock.take(last_moment), None);
    assert_eq!(clock.dropped(), 0);
    assert_eq!(clock.take(wrote + IN_HAND).as_deref(), Some("two"), "the first is never handed out again");
    assert_eq!(clock.dropped(), 1);
}

#[test]
fn what_was_parked_for_too_long_is_given_up_with_a_ledger_line() {
    let clock = Clock::new(&format!("{BRANCH}\n[closed.park]\nkeep = \"2h\"\n"));
    let began = hours_ago(30);
    clock.park("old", began);
    clock.park("new", began + Span::hours(1));
    assert_eq!(clock.take(began + Span::hours(2) - Span::millis(1)), None);
    assert_eq!(clock.dropped(), 0);
    assert_eq!(clock.take(began + Span::hours(2)), None, "nobody has written");
    assert_eq!(clock.dropped(), 1);
    clock.act(began + Span::hours(2));
    assert_eq!(clock.take(began + Span::hours(2)).as_deref(), Some("new"));
}

#[test]
fn nothing_goes_out_after_the_window_has_closed_again() {
    let clock = Clock::new(BRANCH);
    let began = hours_ago(48);
    clock.park("one", began);
    clock.act(began);
    assert_eq!(clock.take(began + Span::hours(24)), None);
    clock.act(began + Span::hours(25));
    assert_eq!(clock.take(began + Span::hours(25)).as_deref(), Some("one"));
}

#[test]
fn what_could_not_be_sent_now_is_tried_again_a_little_later() {
    let clock = Clock::new(BRANCH);
    let began = hours_ago(5);
    clock.park("one", began);
    clock.act(began);
    let parcel = clock.parcel(began).unwrap();
    clock.apply(began, |applying| applying.give_back(&parcel, Fate::Later));
    assert_eq!(clock.take(began + Span::millis(29_999)), None);
    assert_eq!(clock.take(began + Span::millis(30_000)).as_deref(), Some("one"));
}

#[test]
fn a_message_does_not_go_to_the_new_owner_of_its_phone_number() {
    let gate = gate(BRANCH);
    let system = |id: &str| {
        json!({"from": ANNA, "id": id, "timestamp": seconds(Timestamp::now()), "type": "system",
            "system": {"type": "user_changed_number", "wa_id": BERT, "body": "changed"}})
    };
    ingest(&gate, &webhook("messages", json!({"messages": [text(ANNA, "wamid.1", hours_ago(30))]})));
    park(&gate, ANNA, "for Anna alone");
    ingest(&gate, &webhook("messages", json!({"messages": [system("wamid.2")]})));
    // Somebody else has the number by now; Anna writes from her new one.
    ingest(&gate, &webhook("messages", json!({"messages": [text(ANNA, "wamid.3", Timestamp::now())]})));
    ingest(&gate, &webhook("messages", json!({"messages": [text(BERT, "wamid.4", Timestamp::now())]})));
    assert_eq!(take(&gate), None);
    assert_eq!(dropped(&gate), 1);
}

#[test]
fn what_was_parked_while_messages_were_kept_for_longer_is_given_up_at_its_own_time() {
    let clock = Clock::new(&format!("{BRANCH}\n[closed.park]\nkeep = \"2h\"\n"));
    let began = hours_ago(30);
    clock.park("old", began);
    clock.act(began + Span::hours(1));
    let parcel = clock.parcel(began + Span::hours(1)).unwrap();
    // In hand while its time comes, and given back afterwards: it is given up all the same.
    let back = began + Span::hours(1) + Span::millis(1);
    clock.apply(back, |applying| applying.give_back(&parcel, Fate::Closed));
    assert_eq!(clock.take(began + Span::hours(2)), None);
    assert_eq!(clock.dropped(), 1);
}

#[test]
fn a_refused_message_that_could_not_be_served_now_is_tried_again_and_one_of_unknown_fate_is_not() {
    let gate = gate(&BRANCH.replace("[closed]", "[closed]\nagain = true"));
    writes(&gate, ANNA);
    for (id, fate, lines) in [("wamid.1", Fate::Later, 0), ("wamid.2", Fate::Lost, 1)] {
        // Each in a window of its own: the refusal closes it.
        record(
            &gate,
            record::Stated { customer: ANNA, ..stated(EventKind::CustomerMessage, Timestamp::now() + Span::hours(0)) },
        );
        let body = text_to(ANNA, id);
        let token = gate.decide(shop(), Endpoint::Messages, &body, Timestamp::now()).unwrap().token;
        let answer = json!({"messages": [{"id": id}]}).to_string().into_bytes();
        decided(&gate, gate.submit_settle(token.clone(), 200, answer.clone(), Timestamp::now()).unwrap()).unwrap();
        decided(&gate, gate.submit_keep("test", token, 200, &answer, body).unwrap()).unwrap();
        fail(&gate, id, 131_047);
        let parcel = take(&gate).unwrap();
        assert_eq!((parcel.kind, said(&parcel)), (ParcelKind::Refused, id.to_owned()));
        assert_eq!(take(&gate), None, "somebody has it in hand");
        give_back(&gate, &parcel, fate);
        assert_eq!(dropped(&gate), lines);
    }
}

// ---- Refused after an apparent success

fn accept(gate: &Gate, id: &str, body: Vec<u8>) {
    let decided_send = gate.decide(shop(), Endpoint::Messages, &body, Timestamp::now()).unwrap();
    assert!(decided_send.keep);
    let answer = json!({"messages": [{"id": id}]}).to_string().into_bytes();
    let (token, at) = (decided_send.token, Timestamp::now());
    decided(gate, gate.submit_settle(token.clone(), 200, answer.clone(), at).unwrap()).unwrap();
    decided(gate, gate.submit_keep("test", token, 200, &answer, body).unwrap()).unwrap();
}

fn fail(gate: &Gate, id: &str, code: i64) {
    let failed = with(status("failed", id, Timestamp::now()), json!({"errors": [{"code": code, "title": "no"}]}));
    ingest(gate, &webhook("messages", json!({"statuses": [failed]})));
}

#[test]
fn a_message_refused_afterwards_because_of_the_window_is_handed_out_once() {
    let gate = gate(&BRANCH.replace("[closed]", "[closed]\nagain = true"));
    writes(&gate, ANNA);
    accept(&gate, "wamid.1", text_to(ANNA, "hello"));
    fail(&gate, "wamid.1", 131_047);
    let parcel = take(&gate).unwrap();
    assert_eq!((parcel.kind, said(&parcel).as_str()), (ParcelKind::Refused, "hello"));
    give_back(&gate, &parcel, Fate::Sent);
    fail(&gate, "wamid.1", 131_047);
    assert_eq!(take(&gate), None);
}

#[test]
fn bodies_of_messages_that_arrived_or_failed_otherwise_are_forgotten() {
    let gate = gate(&BRANCH.replace("[closed]", "[closed]\nagain = true"));
    writes(&gate, ANNA);
    accept(&gate, "wamid.1", text_to(ANNA, "delivered"));
    ingest(&gate, &webhook("messages", json!({"statuses": [status("delivered", "wamid.1", Timestamp::now())]})));
    accept(&gate, "wamid.2", text_to(ANNA, "undeliverable"));
    fail(&gate, "wamid.2", 131_026);
    for id in ["wamid.1", "wamid.2"] {
        fail(&gate, id, 131_047);
    }
    assert_eq!(take(&gate), None);
}

#[test]
fn a_refusal_that_is_heard_of_before_the_body_is_kept_counts_as_well() {
    let gate = gate(&BRANCH.replace("[closed]", "[closed]\nagain = true"));
    writes(&gate, ANNA);
    let body = text_to(ANNA, "hello");
    let token = gate.decide(shop(), Endpoint::Messages, &body, Timestamp::now()).unwrap().token;
    let answer = json!({"messages": [{"id": "wamid.1"}]}).to_string().into_bytes();
    decided(&gate, gate.submit_settle(token.clone(), 200, answer.clone(), Timestamp::now()).unwrap()).unwrap();
    fail(&gate, "wamid.1", 131_047);
    decided(&gate, gate.submit_keep("test", token, 200, &answer, body).unwrap()).unwrap();
    assert_eq!(take(&gate).map(|parcel| parcel.kind), Some(ParcelKind::Refused));
}

#[test]
fn bodies_are_kept_only_where_the_configuration_asks_for_it_and_of_free_form_messages_alone() {
    let keeps = |lines: &str, body: &[u8]| {
        let gate = gate(lines);
        writes(&gate, ANNA);
        gate.decide(shop(), Endpoint::Messages, body, Timestamp::now()).unwrap().keep
    };
    let again = "[closed]\nagain = true\n";
    let template = br#"{"to":"447700900123","type":"template","template":{"name":"x","language":{"code":"en"}}}"#;
    assert!(!keeps("", &text_to(ANNA, "hi")));
    assert!(keeps(again, &text_to(ANNA, "hi")));
    assert!(!keeps(again, template));
    assert!(!keeps(again, &text_to(BERT, "denied")));
    assert!(!keeps(&format!("mode = \"monitor\"\n{again}"), &text_to(ANNA, "hi")), "monitor does nothing instead");
}

// ---- Free-form where it is free

#[test]
fn a_billable_template_inside_the_open_window_is_noted_or_refused_where_its_text_could_go_for_nothing() {
    let template = |name: &str| {
        json!({"to": ANNA, "type": "template", "template": {"name": name, "language": {"code": "en_US"}}}).to_string()
    };
    let decide = |lines: &str, name: &str, wrote: bool| {
        let categories = "[templates.category]\nsale = \"marketing\"\ncode = \"authentication\"\norder = \"utility\"\n";
        let gate = gate(&format!("{lines}\n{categories}"));
        if wrote {
            writes(&gate, ANNA);
        }
        let body = template(name);
        let decision = gate.decide(shop(), Endpoint::Messages, body.as_bytes(), Timestamp::now()).unwrap().decision;
        (decision.prefer_free, decision.verdict, decision.reason)
    };
    let (note, refuse) =
        ("prefer_free = true\nrules = \"meta-2025-07\"", "prefer_free = \"refuse\"\nrules = \"meta-2025-07\"");
    assert_eq!(decide(note, "sale", true), (true, Verdict::Allow, Reason::Template));
    assert_eq!(decide(refuse, "sale", true), (true, Verdict::Deny, Reason::OverCost));
    assert_eq!(decide(refuse, "sale", false).1, Verdict::Allow, "the window is closed");
    assert_eq!(decide(refuse, "order", true).1, Verdict::Allow, "utility inside the window is free itself");
    assert_eq!(decide(refuse, "code", true).1, Verdict::Allow, "a passcode is no text of a conversation");
    assert!(!decide("rules = \"meta-2025-07\"", "sale", true).0, "off unless asked for");
    let used_up = "prefer_free = true\n[rules]\nset = \"meta-2026-10\"\nfree_tier = 0\n";
    assert!(!decide(used_up, "sale", true).0, "free-form is charged as well");
    let free_tier = "prefer_free = true\nrules = \"meta-2026-10\"";
    assert!(decide(free_tier, "sale", true).0, "within the month's free messages");
    let monitor = "mode = \"monitor\"\nprefer_free = \"refuse\"\nrules = \"meta-2025-07\"";
    assert_eq!(decide(monitor, "sale", true), (true, Verdict::Allow, Reason::OverCost), "monitor stops nothing");
}

#[test]
fn prefer_free_is_a_switch_or_one_of_its_words_for_all_numbers_or_one() {
    let prefer = |lines: &str| gate(lines).settings(Some(shop())).prefer_free.word();
    assert_eq!(prefer(""), "off");
    assert_eq!(prefer("prefer_free = true"), "note");
    assert_eq!(prefer("prefer_free = false"), "off");
    assert_eq!(prefer(&format!("prefer_free = true\n[numbers.{SHOP}]\nprefer_free = \"refuse\"")), "refuse");
    let error = Config::parse("prefer_free = \"yes\"", std::path::Path::new(".")).unwrap_err();
    assert!(error.message().contains("use one of off, note, refuse"), "{error}");
}

// ---- A workflow's two branches

#[test]
fn a_workflow_gets_the_body_of_the_branch_that_the_window_falls_into() {
    let gate = gate("");
    let request = |at: Option<Timestamp>| {
        let mut request = json!({"business": SHOP, "customer": ANNA, "open": {"type": "text", "text": {"body": "hi"}},
            "closed": {"type": "template", "template": {"name": "news", "language": {"code": "en"}}}});
        if let Some(at) = at {
            request["at"] = json!(at.millis());
        }
        request.to_string().into_bytes()
    };
    let choose = |at| {
        let chosen = gate.choose(&request(at), Timestamp::now()).unwrap();
        let body: Value = serde_json::from_slice(&chosen.body).unwrap();
        (chosen.branch, chosen.is_forecast, body["type"].as_str().unwrap().to_owned())
    };
    assert_eq!(choose(None), (State::Closed, false, "template".into()), "unknown counts as closed");
    writes(&gate, ANNA);
    assert_eq!(choose(None), (State::Open, false, "text".into()));
    let tomorrow = Timestamp::now() + Span::hours(25);
    assert_eq!(choose(Some(tomorrow)), (State::Closed, true, "template".into()), "told, not sent");
    assert_eq!(choose(Some(hours_ago(48))), (State::Open, false, "text".into()), "what is over is now");
}

// ---- Metrics

#[test]
fn metrics_count_decisions_windows_conversations_charges_and_commits() {
    let gate = gate(BRANCH);
    writes(&gate, ANNA);
    writes(&gate, ANNA);
    gate.decide(shop(), Endpoint::Messages, &text_to(ANNA, "hi"), Timestamp::now()).unwrap();
    for _ in 0..2 {
        gate.decide(shop(), Endpoint::Messages, &text_to(BERT, "hi"), Timestamp::now()).unwrap();
    }
    gate.decide(shop(), Endpoint::Messages, b"no json", Timestamp::now()).unwrap_err();
    record(
        &gate,
        record::Stated {
            class: Some(Class::Template),
            category: Some(Category::Marketing),
            id: Some("wamid.1"),
            ..stated(EventKind::BusinessMessage, Timestamp::now())
        },
    );
    let metrics = gate.metrics().unwrap();
    let value = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{metrics}")).parse::<f64>().unwrap()
    };
    assert_eq!(value("csw_decisions_total{verdict=\"allow\",reason=\"window_open\"}"), 1.0);
    assert_eq!(value("csw_decisions_total{verdict=\"deny\",reason=\"never_seen\"}"), 2.0);
    assert_eq!(value("csw_faults_total{code=\"body\"}"), 1.0);
    assert_eq!(value("csw_windows_opened_total"), 1.0, "the second message only refreshed it");
    assert_eq!(value("csw_conversations_opened_total{category=\"marketing\"}"), 1.0);
    assert_eq!(value("csw_charges_total{charge=\"billable\"}"), 1.0);
    assert_eq!(value("csw_events_total"), 3.0);
    assert_eq!(value("csw_commit_seconds_count"), value("csw_commit_seconds_bucket{le=\"+Inf\"}"));
    assert!(value("csw_commit_seconds_count") >= 3.0);
    assert_eq!(value("csw_queue_jobs"), 0.0);
    assert!(!metrics.contains(ANNA) && !metrics.contains(BERT));
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let (name, number) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("csw_") && number.parse::<f64>().is_ok(), "{line}");
    }
}

#[test]
fn a_file_in_the_place_of_the_counters_that_is_somebody_elses_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let counters = store.join("csw.metrics.1");
    let lines = format!("store = \"lmdb:{}\"\n", store.display());
    let decide_once = || {
        let gate = gate_in(folder.path(), &lines);
        gate.decide(shop(), Endpoint::Messages, &text_to(BERT, "hi"), Timestamp::now()).unwrap();
        let metrics = gate.metrics().unwrap();
        let denied = "csw_decisions_total{verdict=\"deny\",reason=\"never_seen\"} ";
        metrics.lines().find_map(|line| line.strip_prefix(denied)).unwrap().to_owned()
    };
    std::fs::create_dir(&store).unwrap();
    let notes = folder.path().join("notes");
    for foreign in ["my precious notes", "x"] {
        std::fs::write(&notes, foreign).unwrap();
        std::fs::write(&counters, foreign).unwrap();
        assert_eq!(decide_once(), "1", "this process still counts its own");
        assert_eq!(std::fs::read_to_string(&counters).unwrap(), foreign);
        std::fs::remove_file(&counters).unwrap();
        std::os::unix::fs::symlink(&notes, &counters).unwrap();
        assert_eq!(decide_once(), "1");
        assert_eq!(std::fs::read_to_string(&notes).unwrap(), foreign, "nor is a link followed");
        std::fs::remove_file(&counters).unwrap();
    }
    assert_eq!(
        (decide_once(), decide_once()),
        ("1".into(), "2".into()),
        "and counts go on from one process to the next"
    );
}
