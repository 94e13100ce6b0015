//! The running gate: tickets and the recorder behind them, webhooks, identity, forks.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use csw::error::{Code, Error, Result};
use csw::gate::Gate;
use csw::gate::apply::{Applying, Sweep};
use csw::gate::metrics::Metrics;
use csw::gate::recorder::{Job, Outcome, Recorder, Report, Ticket};
use csw::gate::report::By;
use csw::party::{Business, Customer};
use csw::rules::conversation::{ConversationCategory, Effect};
use csw::rules::decision::Verdict;
use csw::rules::event::{Category, EventKind};
use csw::rules::window::{Reason, State};
use csw::store::memory::MemoryStore;
use csw::store::{Read, Records, RecordsMut, Store, Table, Write};
use csw::time::{Day, Span, Timestamp, Zone};
use csw::wire::record::{self, Stated};
use csw::wire::send::Endpoint;
use serde_json::{Value, json};
use support::{
    ANNA, BERT, BRANCH, SECRET, SHOP, SHOP_DISPLAY, WITHIN, account_webhook, check, decided, free_form, gate, gate_in,
    hours_ago, ingest, ingest_at, record, seconds, shop, signature, stated, status, text, webhook, with,
};

const USER: &str = "GB.13491208655302741918";
const OTHER_USER: &str = "GB.99999999999999999999";

// ---- Tickets and the recorder

/// A job that does what a test tells it.
struct Told {
    /// Says in `prepare` that it began, and waits until it is let go.
    held: Option<(Sender<()>, Receiver<()>)>,
    does: fn(&mut RecordsMut<'_>) -> Result<()>,
    weight: usize,
}

impl Told {
    fn to(does: fn(&mut RecordsMut<'_>) -> Result<()>) -> Box<Self> {
        Box::new(Told { held: None, does, weight: 1 })
    }

    fn nothing() -> Box<Self> {
        Told::to(|_| Ok(()))
    }
}

impl Job for Told {
    fn prepare(&mut self) -> Result<()> {
        if let Some((began, let_go)) = self.held.take() {
            began.send(()).unwrap();
            let _ = let_go.recv();
        }
        Ok(())
    }

    fn apply(&self, records: &mut RecordsMut<'_>, _: Timestamp) -> Result<Report> {
        (self.does)(records).map(|()| Report { events: 1, ..Report::default() })
    }

    fn weight(&self) -> usize {
        self.weight
    }
}

fn recorder(store: &Arc<MemoryStore>) -> Recorder {
    let metrics = Arc::new(Metrics::open(None));
    Recorder::start(Arc::clone(store) as Arc<dyn Store>, metrics, Span::hours(24 * 35)).unwrap()
}

/// Holds the recorder at a job until what this returns is dropped.
fn hold(recorder: &Recorder, deadline: Duration) -> (Ticket, Sender<()>) {
    let ((began, has_begun), (go, let_go)) = (mpsc::channel(), mpsc::channel());
    let job = Told { held: Some((began, let_go)), ..*Told::nothing() };
    let ticket = recorder.submit(Box::new(job), deadline).unwrap();
    has_begun.recv().unwrap();
    (ticket, go)
}

fn is_done(outcome: Result<Outcome>) -> bool {
    matches!(outcome, Ok(Outcome::Done(_)))
}

fn code<T: std::fmt::Debug>(result: Result<T>) -> Code {
    result.unwrap_err().code()
}

#[test]
fn a_ticket_is_pending_until_it_is_done() {
    let recorder = recorder(&Arc::default());
    let (ticket, go) = hold(&recorder, WITHIN);
    assert_eq!(recorder.poll(ticket).unwrap(), Outcome::Pending);
    assert_eq!(code(recorder.wait(ticket, Duration::ZERO)), Code::Timeout);
    assert_eq!(code(recorder.flush(Duration::ZERO)), Code::Timeout);
    drop(go);
    assert!(is_done(recorder.wait(ticket, WITHIN)));
    assert!(is_done(recorder.poll(ticket)), "it may be asked for again");
    recorder.flush(WITHIN).unwrap();
}

#[test]
fn a_ticket_past_its_deadline_reads_timeout_until_it_is_decided() {
    let recorder = recorder(&Arc::default());
    let (ticket, go) = hold(&recorder, Duration::ZERO);
    let after = recorder.submit(Told::nothing(), WITHIN).unwrap();
    assert_eq!(code(recorder.poll(ticket)), Code::Timeout);
    drop(go);
    assert!(is_done(recorder.wait(after, WITHIN)));
    assert!(is_done(recorder.poll(ticket)));
}

#[test]
fn a_ticket_that_was_never_issued_is_invalid() {
    let recorder = recorder(&Arc::default());
    let ticket = recorder.submit(Told::nothing(), WITHIN).unwrap();
    for number in [0, ticket.number() + 1, u64::MAX] {
        assert_eq!(code(recorder.poll(Ticket::from_number(number))), Code::Invalid, "{number}");
    }
}

#[test]
fn an_outcome_that_is_too_old_is_expired() {
    let recorder = recorder(&Arc::default());
    let first = recorder.submit(Told::nothing(), WITHIN).unwrap();
    let mut last = first;
    while !matches!(recorder.poll(first), Err(error) if error.code() == Code::Expired) {
        last = recorder.submit(Told::nothing(), WITHIN).unwrap();
        if last.number().is_multiple_of(10_000) {
            recorder.flush(WITHIN).unwrap();
        }
        assert!(last.number() < 200_000, "outcomes stand in a bounded ring");
    }
    assert!(is_done(recorder.wait(last, WITHIN)));
}

#[test]
fn too_many_bytes_are_busy_and_nothing_of_them_is_taken() {
    let store = Arc::default();
    let recorder = recorder(&store);
    let heavy = |does| Box::new(Told { weight: 40 << 20, ..*Told::to(does) });
    let (held, go) = hold(&recorder, WITHIN);
    recorder.submit(heavy(|_| Ok(())), WITHIN).unwrap();
    let refused = recorder.submit(heavy(|records| records.0.put(Table::Ids, b"refused", b"")), WITHIN);
    assert_eq!(code(refused), Code::Busy);
    drop(go);
    recorder.flush(WITHIN).unwrap();
    assert!(is_done(recorder.poll(held)));
    assert!(!holds(&*store, b"refused"));
    recorder.submit(heavy(|_| Ok(())), WITHIN).unwrap();
}

#[test]
fn too_many_jobs_are_busy() {
    let recorder = recorder(&Arc::default());
    let (_, go) = hold(&recorder, WITHIN);
    let refused = (0..100_000).find_map(|_| recorder.submit(Told::nothing(), WITHIN).err());
    assert_eq!(refused.map(|error| error.code()), Some(Code::Busy));
    drop(go);
    recorder.flush(WITHIN).unwrap();
    assert!(is_done(recorder.wait(recorder.submit(Told::nothing(), WITHIN).unwrap(), WITHIN)));
}

#[test]
fn a_job_that_fails_or_panics_takes_no_other_down() {
    let store = Arc::default();
    let recorder = recorder(&store);
    let (_, go) = hold(&recorder, WITHIN);
    // These gather meanwhile, and go into one transaction.
    let jobs = [
        Told::to(|records| records.0.put(Table::Ids, b"before", b"")),
        Told::to(|records| {
            records.0.put(Table::Ids, b"of the failing one", b"")?;
            Err(Error::new(Code::Store, "on purpose"))
        }),
        Told::to(|records| records.0.put(Table::Ids, b"between", b"")),
        Told::to(|_| panic!("on purpose")),
        Told::to(|records| records.0.put(Table::Ids, b"after", b"")),
    ];
    let tickets = jobs.map(|job| recorder.submit(job, WITHIN).unwrap());
    drop(go);
    let codes = tickets.map(|ticket| match recorder.wait(ticket, WITHIN).unwrap() {
        Outcome::Failed(error) => Some(error.code()),
        _ => None,
    });
    assert_eq!(codes, [None, Some(Code::Store), None, Some(Code::Internal), None]);
    let kept = [&b"before"[..], b"of the failing one", b"between", b"after"].map(|key| holds(&*store, key));
    assert_eq!(kept, [true, false, true, true]);
}

#[test]
fn what_was_submitted_is_recorded_before_the_recorder_goes() {
    let store = Arc::default();
    let recorder = recorder(&store);
    for _ in 0..1000 {
        recorder.submit(Told::to(|records| records.take_tier_unit(shop(), month()).map(drop)), WITHIN).unwrap();
    }
    drop(recorder);
    let mut used = 0;
    let read = store.read(&mut |snapshot| {
        used = Records(snapshot).tier_used(shop(), month())?;
        Ok(())
    });
    read.unwrap();
    assert_eq!(used, 1000);
}

#[test]
fn a_descriptor_tells_that_something_was_committed() {
    let gate = gate("");
    let mut readable = libc::pollfd { fd: gate.event_fd().unwrap(), events: libc::POLLIN, revents: 0 };
    let mut wait = |within: i32| {
        // SAFETY: one descriptor, which the gate keeps open.
        unsafe { libc::poll(&raw mut readable, 1, within) }
    };
    assert_eq!(wait(0), 0, "nothing happened yet");
    let event = record::event(stated(EventKind::CustomerMessage, hours_ago(1))).unwrap();
    let ticket = gate.submit_record(event).unwrap();
    assert_eq!(wait(WITHIN.as_millis() as i32), 1);
    assert!(is_done(gate.poll(ticket)), "a ticket is decided before the descriptor tells");
    assert_eq!(gate.event_fd().unwrap(), readable.fd, "it stays the same");
}

// ---- Recording

#[test]
fn the_same_id_again_is_repeated_and_says_what_it_said_first() {
    let gate = gate("");
    let send = |id, at| Stated { id: Some(id), category: Some(Category::Utility), ..business_message(at) };
    let first = record(&gate, send("one", hours_ago(3))).last.unwrap();
    assert_eq!((first.repeated, first.placement.effect), (false, Effect::Opens));
    assert_eq!(record(&gate, send("two", hours_ago(2))).last.unwrap().placement.effect, Effect::Joins);
    let again = record(&gate, send("one", hours_ago(1))).last.unwrap();
    assert!(again.repeated);
    assert_eq!((again.placement, again.category), (first.placement, first.category));
    let elsewhere = record(&gate, Stated { business: BRANCH, ..send("one", hours_ago(1)) }).last.unwrap();
    assert!(!elsewhere.repeated, "an id is one number's");
}

#[test]
fn the_same_id_of_an_act_again_changes_nothing() {
    let gate = gate("");
    let act = |at| Stated { id: Some("act"), ..stated(EventKind::CustomerMessage, at) };
    assert_eq!(record(&gate, act(hours_ago(3))).repeated, 0);
    assert_eq!(record(&gate, act(hours_ago(1))).repeated, 1);
    assert_eq!(last_act(&gate, ANNA), Some(hours_ago(3)));
}

#[test]
fn an_id_is_recognised_whoever_it_is_said_to_be_from() {
    let gate = gate("");
    let act = |customer, at| Stated { id: Some("act"), customer, ..stated(EventKind::CustomerMessage, at) };
    assert_eq!(record(&gate, act(ANNA, hours_ago(3))).repeated, 0);
    assert_eq!(record(&gate, act(BERT, hours_ago(1))).repeated, 1);
    assert_eq!(last_act(&gate, BERT), None);
}

#[test]
fn without_an_id_nothing_is_recognised_as_repeated() {
    let gate = gate("");
    for _ in 0..2 {
        assert_eq!(record(&gate, business_message(hours_ago(1))).repeated, 0);
    }
    assert_eq!(total(&gate).messages, 2);
}

#[test]
fn the_future_opens_nothing_longer() {
    let gate = gate("");
    let tomorrow = Timestamp::now() + Span::hours(24);
    record(&gate, stated(EventKind::CustomerMessage, tomorrow));
    assert!(last_act(&gate, ANNA).unwrap() <= Timestamp::now(), "record goes by the wall clock");
    let messages = json!({"messages": [text(BERT, "wamid.1", tomorrow)]});
    ingest_at(&gate, &webhook("messages", messages), hours_ago(5)).unwrap();
    assert_eq!(last_act(&gate, BERT), Some(hours_ago(5)), "ingest goes by its own time");
}

#[test]
fn two_racing_templates_of_one_category_open_one_conversation() {
    let gate = gate("[templates.category]\noffer = \"marketing\"");
    let body = json!({"to": ANNA, "type": "template", "template": {"name": "offer", "language": {"code": "en"}}});
    let at = hours_ago(1);
    let decide = || gate.decide(shop(), Endpoint::Messages, body.to_string().as_bytes(), at).unwrap();
    let both = [decide(), decide()];
    assert!(both.iter().all(|decided| decided.decision.placement.effect == Effect::Opens));
    let effects = [0, 1].map(|index| {
        let answer = json!({"messages": [{"id": format!("wamid.{index}")}]}).to_string().into_bytes();
        let ticket = gate.submit_settle(both[index].token.clone(), 200, answer, at).unwrap();
        decided(&gate, ticket).unwrap().last.unwrap().placement.effect
    });
    assert_eq!(effects, [Effect::Opens, Effect::Joins]);
}

#[test]
fn a_send_that_is_refused_at_once_was_sent_when_it_was_decided_about() {
    let gate = gate("");
    record(&gate, stated(EventKind::CustomerMessage, hours_ago(9)));
    let decided_on = gate.decide(shop(), Endpoint::Messages, &free_form(ANNA), hours_ago(8)).unwrap();
    record(&gate, stated(EventKind::CustomerMessage, hours_ago(7)));
    let refusal = json!({"error": {"code": 131047}}).to_string().into_bytes();
    let ticket = gate.submit_settle(decided_on.token, 400, refusal, hours_ago(6)).unwrap();
    decided(&gate, ticket).unwrap();
    assert_eq!(state(&gate, ANNA), State::Open, "the customer has written since");
}

#[test]
fn a_report_counts_by_day_number_and_category() {
    let gate = gate("rules = \"guide\"\ntimezone = \"America/Sao_Paulo\"");
    // Two in the evening of the first and one in the morning of the second, over there.
    for (hour, category) in [(1, Category::Marketing), (2, Category::Marketing), (4, Category::Utility)] {
        let at = Timestamp::parse("2026-01-02T00:00:00Z").unwrap() + Span::hours(hour);
        record(&gate, Stated { category: Some(category), ..business_message(at) });
    }
    let day = |day| Day::new(2026, 1, day);
    let count = |rows: Vec<csw::gate::report::Row>| -> Vec<_> {
        rows.iter()
            .map(|row| (row.group.day, row.group.category, row.messages, row.conversations, row.billable))
            .collect()
    };
    let noon = |day| Timestamp::parse(&format!("2026-01-0{day}T12:00:00-03:00")).unwrap();
    let by_day = gate.report(noon(1), noon(2), &[By::Day]).unwrap();
    assert_eq!(count(by_day), [(Some(day(1)), None, 2, 1, 1), (Some(day(2)), None, 1, 1, 1)]);
    let first_day = gate.report(noon(1), noon(1), &[By::Category]).unwrap();
    assert_eq!(count(first_day), [(None, Some(Category::Marketing), 2, 1, 1)]);
    assert_eq!(gate.report(noon(3), noon(9), &[]).unwrap(), []);
}

#[test]
fn the_days_of_a_report_are_those_of_each_number() {
    let shop = shop();
    let gate = gate(&format!("[numbers.{shop}]\ntimezone = \"Pacific/Auckland\""));
    let evening = Timestamp::parse("2026-01-01T20:00:00Z").unwrap();
    record(&gate, business_message(evening));
    let rows = gate.report(evening, evening, &[By::Day]).unwrap();
    assert_eq!(rows.iter().map(|row| row.group.day).collect::<Vec<_>>(), [Some(Day::new(2026, 1, 2))]);
    assert_eq!(gate.report(evening - Span::hours(12), evening - Span::hours(10), &[]).unwrap(), []);
}

#[test]
fn an_answer_about_somebody_else_makes_nobody_an_alias() {
    let gate = gate("unknown = \"open\"");
    record(&gate, Stated { customer: BERT, ..stated(EventKind::CustomerMessage, hours_ago(2)) });
    let decided_on = gate.decide(shop(), Endpoint::Messages, &free_form(ANNA), hours_ago(1)).unwrap();
    let answer = json!({"contacts": [{"input": BERT, "wa_id": BERT}], "messages": [{"id": "wamid.1"}]}).to_string();
    let ticket = gate.submit_settle(decided_on.token, 200, answer.into_bytes(), hours_ago(1)).unwrap();
    decided(&gate, ticket).unwrap();
    assert_eq!(last_act(&gate, ANNA), None);
}

#[test]
fn ids_are_forgotten_after_the_retention_and_not_before() {
    let store = MemoryStore::default();
    let config = csw::gate::config::Config::parse("store = \"memory:\"", Path::new(".")).unwrap();
    let recorded_at = hours_ago(24 * 40);
    let act = |id| Stated { id: Some(id), ..stated(EventKind::CustomerMessage, recorded_at) };
    let apply = |id: &'static str| {
        let mut applied = None;
        let written = store.write(&mut |transaction| {
            let (records, policy) = (&mut RecordsMut::new(transaction), config.default_policy());
            let mut applying = Applying { records, policy, fold_numbers: true, now: recorded_at };
            applied = Some(applying.event(&record::event(act(id)).unwrap())?);
            Ok(())
        });
        written.map(|()| applied.unwrap().repeated).unwrap()
    };
    let sweep = |older_than| {
        let work = &mut |transaction: &mut dyn Write| {
            Sweep::default().run(&mut RecordsMut::new(transaction), older_than, Span::millis(0), 100)
        };
        store.write(work).unwrap();
    };
    assert_eq!(["one", "two", "one"].map(apply), [false, false, true]);
    sweep(recorded_at);
    assert_eq!(["one", "two"].map(apply), [true, true]);
    sweep(recorded_at + Span::millis(1));
    assert_eq!(["one", "two"].map(apply), [false, false]);
}

#[test]
fn a_sweep_looks_at_a_few_entries_at_a_time_and_comes_round_to_all() {
    let store = MemoryStore::default();
    let config = csw::gate::config::Config::parse("store = \"memory:\"", Path::new(".")).unwrap();
    let old = hours_ago(24 * 40);
    let put = store.write(&mut |transaction| {
        for index in 0..50 {
            let (records, policy) = (&mut RecordsMut::new(transaction), config.default_policy());
            let id = format!("wamid.{index}");
            let event = Stated { id: Some(&id), category: Some(Category::Utility), ..business_message(old) };
            Applying { records, policy, fold_numbers: true, now: old }.event(&record::event(event).unwrap())?;
        }
        Ok(())
    });
    put.unwrap();
    assert_eq!((count(&store, Table::Messages), count(&store, Table::Ids)), (50, 50));
    let mut sweep = Sweep::default();
    for left in [40, 30, 20, 10, 0] {
        let work = &mut |transaction: &mut dyn Write| {
            sweep.run(&mut RecordsMut::new(transaction), hours_ago(0), Span::millis(0), 10)
        };
        store.write(work).unwrap();
        assert_eq!((count(&store, Table::Messages), count(&store, Table::Ids)), (left, left));
    }
    assert!(count(&store, Table::Ledger) > 0, "the ledger stays");
}

// ---- Webhooks

#[test]
fn the_events_of_a_webhook_commit_together() {
    let gate = gate("");
    let (one, two) = (text(ANNA, "wamid.1", hours_ago(2)), text(BERT, "wamid.2", hours_ago(1)));
    let report = ingest(
        &gate,
        &webhook("messages", json!({"messages": [one, two], "statuses": [status("sent", "x", hours_ago(1))]})),
    );
    assert_eq!((report.events, report.repeated, report.unreadable.len()), (3, 0, 0));
    assert_eq!((last_act(&gate, ANNA), last_act(&gate, BERT)), (Some(hours_ago(2)), Some(hours_ago(1))));
}

#[test]
fn a_repeated_webhook_is_taken_and_says_so() {
    let gate = gate("");
    let webhook = webhook("messages", json!({"messages": [text(ANNA, "wamid.1", hours_ago(2))]}));
    assert_eq!(ingest(&gate, &webhook).repeated, 0);
    let again = ingest(&gate, &webhook);
    assert_eq!((again.events, again.repeated), (1, 1));
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_recorded() {
    let gate = gate("");
    let broken = with(text(ANNA, "wamid.1", hours_ago(1)), json!({"timestamp": "yesterday"}));
    let messages = json!([text(ANNA, "wamid.2", hours_ago(3)), broken, text(BERT, "wamid.3", hours_ago(2))]);
    let report = ingest(&gate, &webhook("messages", json!({"messages": messages})));
    assert_eq!(report.events, 2);
    let [named] = report.unreadable.as_slice() else { panic!("{:?}", report.unreadable) };
    assert!(named.starts_with("entry[0].changes[0].value.messages[1].timestamp: "), "{named}");
    assert_eq!((last_act(&gate, ANNA), last_act(&gate, BERT)), (Some(hours_ago(3)), Some(hours_ago(2))));
}

#[test]
fn what_is_none_of_our_business_is_counted() {
    let gate = gate("");
    let report = ingest(&gate, &account_webhook("flows", json!({"event": "FLOW_STATUS_CHANGE"})));
    assert_eq!((report.events, report.ignored, report.unreadable.len()), (0, 1, 0));
}

#[test]
fn what_is_not_json_is_refused() {
    let gate = gate("");
    let bytes = b"hello".to_vec();
    let header = signature(SECRET, &bytes);
    let ticket = gate.submit_ingest(bytes, Some(header), hours_ago(0)).unwrap();
    assert_eq!(code(decided(&gate, ticket)), Code::NotJson);
}

#[test]
fn only_signed_webhooks_are_recorded() {
    let gate = gate("");
    let bytes = webhook("messages", json!({"messages": [text(ANNA, "wamid.1", hours_ago(1))]})).to_string();
    let right = signature(SECRET, bytes.as_bytes());
    let of_other_bytes = signature(SECRET, format!("{bytes} ").as_bytes());
    let by_other_secret = signature("another secret", bytes.as_bytes());
    let take = |header: Option<&str>| {
        let ticket = gate.submit_ingest(bytes.clone().into_bytes(), header.map(str::to_owned), hours_ago(0)).unwrap();
        decided(&gate, ticket)
    };
    for header in [None, Some(""), Some("sha256="), Some(&right[..70]), Some(&of_other_bytes), Some(&by_other_secret)] {
        assert_eq!(code(take(header)), Code::Signature, "{header:?}");
    }
    assert_eq!(last_act(&gate, ANNA), None);
    assert_eq!(take(Some(&right)).unwrap().events, 1);
}

#[test]
fn while_a_secret_is_changed_both_are_good() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("old"), "old\n").unwrap();
    std::fs::write(folder.path().join("new"), "new\n").unwrap();
    let config = "store = \"memory:\"\n[webhook]\nsecret_file = [\"old\", \"new\"]";
    let gate = Gate::with(csw::gate::config::Config::parse(config, folder.path()).unwrap());
    let bytes = webhook("messages", json!({})).to_string().into_bytes();
    for (secret, is_good) in [("old", true), ("new", true), ("older", false), ("", false)] {
        let ticket = gate.submit_ingest(bytes.clone(), Some(signature(secret, &bytes)), hours_ago(0)).unwrap();
        assert_eq!(decided(&gate, ticket).is_ok(), is_good, "{secret}");
    }
}

#[test]
fn without_a_secret_the_gate_opens_and_webhooks_are_refused() {
    let gate = Gate::open_text("store = \"memory:\"").unwrap();
    assert_eq!(check(&gate, ANNA, hours_ago(0)).window.state, State::Unknown);
    let bytes = b"{}".to_vec();
    for header in [None, Some(signature("", &bytes))] {
        let ticket = gate.submit_ingest(bytes.clone(), header, hours_ago(0)).unwrap();
        assert_eq!(code(decided(&gate, ticket)), Code::Signature);
    }
}

#[test]
fn a_templates_category_is_the_catalogues_before_the_configurations() {
    let gate = gate("[templates.category]\noffer = \"marketing\"\n\"offer/de\" = \"utility\"");
    ingest(&gate, &webhook("messages", json!({})));
    let category = |name: &str, language: &str| {
        let template = json!({"name": name, "language": {"code": language}});
        let body = json!({"to": ANNA, "type": "template", "template": template}).to_string();
        let decision = gate.decide(shop(), Endpoint::Messages, body.as_bytes(), hours_ago(0)).unwrap().decision;
        (decision.category.unwrap(), decision.estimated)
    };
    assert_eq!(category("offer", "en_US"), (Category::Marketing, false));
    assert_eq!(category("offer", "de"), (Category::Utility, false));
    assert_eq!(category("other", "de"), (Category::Unknown, true));
    let change = |name: &str, rest: Value| {
        let template = json!({"message_template_name": name, "message_template_language": "en-US"});
        ingest(&gate, &account_webhook("template_category_update", with(template, rest)))
    };
    change("offer", json!({"previous_category": "MARKETING", "new_category": "AUTHENTICATION"}));
    change("other", json!({"previous_category": "MARKETING", "new_category": "UTILITY"}));
    assert_eq!(category("offer", "en_US"), (Category::Authentication, false));
    assert_eq!(category("offer", "de"), (Category::Utility, false));
    assert_eq!(category("other", "en_US"), (Category::Utility, false));
    // A day before a change, `new_category` is still the old one.
    change(
        "other",
        json!({"new_category": "UTILITY", "correct_category": "MARKETING", "category_update_timestamp": 1}),
    );
    assert_eq!(category("other", "en_US"), (Category::Utility, false));
}

// ---- Identity

#[test]
fn a_phone_and_a_user_id_in_one_payload_are_one_customer() {
    let gate = gate("");
    let both = with(text(ANNA, "wamid.1", hours_ago(5)), json!({"from_user_id": USER}));
    ingest(&gate, &webhook("messages", json!({"messages": [both]})));
    assert_eq!((last_act(&gate, ANNA), last_act(&gate, USER)), (Some(hours_ago(5)), Some(hours_ago(5))));
    let hidden = json!({"from_user_id": USER, "id": "wamid.2", "timestamp": seconds(hours_ago(3)), "type": "text"});
    ingest(&gate, &webhook("messages", json!({"messages": [hidden]})));
    assert_eq!(last_act(&gate, ANNA), Some(hours_ago(3)));
}

#[test]
fn two_customers_who_turn_out_to_be_one_are_one_with_all_that_is_known_of_both() {
    let gate = gate("rules = \"guide\"");
    let hidden = json!({"from_user_id": USER, "id": "wamid.1", "timestamp": seconds(hours_ago(5)), "type": "text"});
    ingest(&gate, &webhook("messages", json!({"messages": [hidden]})));
    record(&gate, Stated { category: Some(Category::Utility), ..business_message(hours_ago(4)) });
    assert_eq!(last_act(&gate, ANNA), None);
    let contacts = json!([{"wa_id": ANNA, "user_id": USER}]);
    let messages = json!([text(ANNA, "wamid.2", hours_ago(3))]);
    ingest(&gate, &webhook("messages", json!({"contacts": contacts, "messages": messages})));
    assert_eq!((last_act(&gate, ANNA), last_act(&gate, USER)), (Some(hours_ago(3)), Some(hours_ago(3))));
    let send = Stated { customer: USER, category: Some(Category::Utility), ..business_message(hours_ago(2)) };
    assert_eq!(record(&gate, send).last.unwrap().placement.effect, Effect::Joins);
}

#[test]
fn another_user_id_on_a_phone_number_is_another_customer() {
    let gate = gate("");
    let both = with(text(ANNA, "wamid.1", hours_ago(9)), json!({"from_user_id": USER}));
    let changed_hands = with(text(ANNA, "wamid.2", hours_ago(6)), json!({"from_user_id": OTHER_USER}));
    ingest(&gate, &webhook("messages", json!({"messages": [both]})));
    ingest(&gate, &webhook("messages", json!({"messages": [changed_hands]})));
    assert_eq!(last_act(&gate, OTHER_USER), Some(hours_ago(6)));
    let hidden =
        |user: &str, id: &str, at| json!({"from_user_id": user, "id": id, "timestamp": seconds(at), "type": "text"});
    ingest(&gate, &webhook("messages", json!({"messages": [hidden(OTHER_USER, "wamid.3", hours_ago(3))]})));
    assert!(last_act(&gate, USER) < Some(hours_ago(3)), "a stranger opened a window");
}

#[test]
fn a_new_owner_of_a_phone_number_opens_no_window_for_the_old_one() {
    let gate = gate("");
    let both = with(text(ANNA, "wamid.1", hours_ago(30)), json!({"from_user_id": USER}));
    let changed_hands = with(text(ANNA, "wamid.2", hours_ago(1)), json!({"from_user_id": OTHER_USER}));
    ingest(&gate, &webhook("messages", json!({"messages": [both]})));
    ingest(&gate, &webhook("messages", json!({"messages": [changed_hands]})));
    assert_eq!(state(&gate, OTHER_USER), State::Open);
    assert_eq!(state(&gate, ANNA), State::Open);
    assert_eq!(state(&gate, USER), State::Closed, "the old owner has not written for 30 hours");
}

#[test]
fn a_change_of_number_takes_the_window_along_and_lets_the_old_number_go() {
    let gate = gate("");
    ingest(&gate, &webhook("messages", json!({"messages": [text(ANNA, "wamid.1", hours_ago(5))]})));
    let change = json!({"from": ANNA, "id": "wamid.2", "timestamp": seconds(hours_ago(4)), "type": "system",
        "system": {"type": "user_changed_number", "body": "changed", "wa_id": BERT}});
    ingest(&gate, &webhook("messages", json!({"messages": [change]})));
    assert_eq!((last_act(&gate, BERT), last_act(&gate, ANNA)), (Some(hours_ago(5)), None));
    // Somebody else gets the old number.
    ingest(&gate, &webhook("messages", json!({"messages": [text(ANNA, "wamid.3", hours_ago(2))]})));
    assert_eq!((last_act(&gate, BERT), last_act(&gate, ANNA)), (Some(hours_ago(5)), Some(hours_ago(2))));
}

#[test]
fn a_change_of_number_that_is_heard_of_late_or_again_takes_nothing_from_the_new_owner() {
    let gate = gate("");
    let change = |id: &str| {
        let system = json!({"type": "user_changed_number", "body": "changed", "wa_id": BERT});
        let at = seconds(hours_ago(4));
        webhook(
            "messages",
            json!({"messages": [{"from": ANNA, "id": id, "timestamp": at, "type": "system", "system": system}]}),
        )
    };
    ingest(&gate, &webhook("messages", json!({"messages": [text(ANNA, "wamid.1", hours_ago(5))]})));
    ingest(&gate, &change("wamid.2"));
    ingest(&gate, &webhook("messages", json!({"messages": [text(ANNA, "wamid.3", hours_ago(2))]})));
    for id in ["wamid.2", "wamid.4"] {
        ingest(&gate, &change(id));
        assert_eq!((last_act(&gate, BERT), last_act(&gate, ANNA)), (Some(hours_ago(5)), Some(hours_ago(2))), "{id}");
    }
}

#[test]
fn a_change_to_a_number_that_somebody_else_had_opens_no_window_for_them() {
    let gate = gate("");
    let theirs = with(text(BERT, "wamid.1", hours_ago(30)), json!({"from_user_id": OTHER_USER}));
    let ours = with(text(ANNA, "wamid.2", hours_ago(5)), json!({"from_user_id": USER}));
    let change = json!({"from": ANNA, "id": "wamid.3", "timestamp": seconds(hours_ago(4)), "type": "system",
        "system": {"type": "user_changed_number", "body": "changed", "wa_id": BERT}});
    ingest(&gate, &webhook("messages", json!({"messages": [theirs, ours, change]})));
    assert_eq!((state(&gate, BERT), state(&gate, USER)), (State::Open, State::Open));
    assert_eq!(state(&gate, OTHER_USER), State::Closed, "they have not written for 30 hours");
}

#[test]
fn an_old_status_says_nothing_about_whose_a_number_is_today() {
    let gate = gate("");
    let before = with(text(ANNA, "wamid.1", hours_ago(90)), json!({"from_user_id": USER}));
    let change = json!({"from": ANNA, "id": "wamid.2", "timestamp": seconds(hours_ago(80)), "type": "system",
        "system": {"type": "user_changed_number", "body": "changed", "wa_id": BERT}});
    let new_owner = text(ANNA, "wamid.3", hours_ago(1));
    ingest(&gate, &webhook("messages", json!({"messages": [before, change, new_owner]})));
    let late = json!({"id": "wamid.4", "status": "delivered", "timestamp": seconds(hours_ago(85)),
        "recipient_id": ANNA, "recipient_user_id": USER});
    ingest(&gate, &webhook("messages", json!({"statuses": [late]})));
    assert_eq!(state(&gate, ANNA), State::Open);
    assert_eq!((state(&gate, BERT), state(&gate, USER)), (State::Closed, State::Closed));
}

#[test]
fn a_change_of_user_id_takes_the_window_along() {
    let gate = gate("");
    let hidden = json!({"from_user_id": USER, "id": "wamid.1", "timestamp": seconds(hours_ago(5)), "type": "text"});
    ingest(&gate, &webhook("messages", json!({"messages": [hidden]})));
    let change = json!({"id": "wamid.2", "timestamp": seconds(hours_ago(4)), "type": "system",
        "system": {"type": "user_changed_user_id", "previous_user_id": USER, "user_id": OTHER_USER}});
    ingest(&gate, &webhook("messages", json!({"messages": [change]})));
    assert_eq!(last_act(&gate, OTHER_USER), Some(hours_ago(5)));
}

#[test]
fn the_answer_to_a_send_says_by_what_name_the_platform_knows_the_customer() {
    let table =
        [(json!({"input": ANNA, "wa_id": BERT}), BERT), (json!({"input": ANNA, "wa_id": ANNA, "user_id": USER}), USER)];
    for (contact, name) in table {
        let gate = gate("unknown = \"open\"");
        let decided_on = gate.decide(shop(), Endpoint::Messages, &free_form(ANNA), hours_ago(3)).unwrap();
        let answer = json!({"contacts": [contact], "messages": [{"id": "wamid.1"}]}).to_string().into_bytes();
        let ticket = gate.submit_settle(decided_on.token, 200, answer, hours_ago(3)).unwrap();
        decided(&gate, ticket).unwrap();
        record(&gate, Stated { customer: name, ..stated(EventKind::CustomerMessage, hours_ago(2)) });
        assert_eq!(last_act(&gate, ANNA), Some(hours_ago(2)), "{name}");
    }
}

#[test]
fn the_spellings_of_one_mobile_number_meet_unless_switched_off() {
    let table = [
        ("5511987654321", "551187654321", true),
        ("5215512345678", "525512345678", true),
        ("5491123456789", "541123456789", true),
        ("551133334444", "5511933334444", false),
        ("447700900123", "4407700900123", false),
    ];
    for (one, other, are_one) in table {
        for (from, to) in [(one, other), (other, one)] {
            let folding = gate("");
            record(&folding, Stated { customer: from, ..stated(EventKind::CustomerMessage, hours_ago(1)) });
            assert_eq!(state(&folding, to) == State::Open, are_one, "{from} wrote, {to} is asked for");
            let send = folding.decide(shop(), Endpoint::Messages, &free_form(&format!("+{to}")), hours_ago(0)).unwrap();
            assert_eq!(send.decision.verdict == Verdict::Allow, are_one, "{from} wrote, {to} is sent to");
            let plain = gate("[identity]\nfold_numbers = false");
            record(&plain, Stated { customer: from, ..stated(EventKind::CustomerMessage, hours_ago(1)) });
            assert_eq!((state(&plain, from), state(&plain, to)), (State::Open, State::Unknown));
        }
    }
}

#[test]
fn a_number_is_known_by_its_display_number_too() {
    let learnt = gate("");
    ingest(&learnt, &webhook("messages", json!({"messages": [text(ANNA, "wamid.1", hours_ago(2))]})));
    let configured = gate(&format!("[numbers.{SHOP}]\ndisplay = \"+1 555-078-3881\""));
    record(&configured, stated(EventKind::CustomerMessage, hours_ago(2)));
    for gate in [learnt, configured] {
        let by_display = Business::parse(SHOP_DISPLAY).unwrap();
        let anna = Customer::parse(ANNA).unwrap();
        assert_eq!(gate.check(by_display, &anna, hours_ago(0)).unwrap().window.last_act, Some(hours_ago(2)));
        let send = gate.decide(by_display, Endpoint::Messages, &free_form(ANNA), hours_ago(0)).unwrap();
        assert_eq!(send.decision.reason, Reason::WindowOpen);
        record(&gate, Stated { business: SHOP_DISPLAY, ..stated(EventKind::CustomerMessage, hours_ago(1)) });
        assert_eq!(last_act(&gate, ANNA), Some(hours_ago(1)));
    }
}

#[test]
fn a_free_entry_point_comes_with_the_customer_when_names_turn_out_to_be_one() {
    let gate = gate("rules = \"guide\"");
    let clicked = json!({"from_user_id": USER, "id": "wamid.1", "timestamp": seconds(hours_ago(30)), "type": "text",
        "referral": {"source_type": "ad"}});
    ingest(&gate, &webhook("messages", json!({"messages": [clicked]})));
    let contacts = json!([{"wa_id": ANNA, "user_id": USER}]);
    let reaction = with(text(ANNA, "wamid.2", hours_ago(1)), json!({"type": "reaction", "reaction": {}}));
    ingest(&gate, &webhook("messages", json!({"contacts": contacts, "messages": [reaction]})));
    let send = gate.decide(shop(), Endpoint::Messages, &free_form(ANNA), hours_ago(0)).unwrap().decision;
    assert_eq!((send.verdict, send.reason), (Verdict::Allow, Reason::FreeEntryPoint));
    assert_eq!(send.placement.category, Some(ConversationCategory::FreeEntryPoint));
}

// ---- Processes

#[test]
fn a_gate_that_was_used_before_a_fork_answers_forked_in_the_child() {
    alone("a_gate_that_was_used_before_a_fork_answers_forked_in_the_child", |folder| {
        for store in ["memory:", "lmdb:store"] {
            let open = || gate_in(folder, &format!("store = \"{store}\""));
            let gate = open();
            record(&gate, stated(EventKind::CustomerMessage, hours_ago(1)));
            in_a_child(|| {
                let anna = Customer::parse(ANNA).unwrap();
                assert_eq!(code(gate.check(shop(), &anna, hours_ago(0))), Code::Forked);
                let event = record::event(stated(EventKind::CustomerMessage, hours_ago(0))).unwrap();
                assert_eq!(code(gate.submit_record(event)), Code::Forked);
                assert_eq!(code(gate.flush(WITHIN)), Code::Forked);
            });
            assert_eq!(last_act(&gate, ANNA), Some(hours_ago(1)), "the parent goes on");
        }
    });
}

#[test]
fn a_gate_that_was_opened_before_a_fork_works_in_every_child() {
    alone("a_gate_that_was_opened_before_a_fork_works_in_every_child", |folder| {
        let gate = gate_in(folder, "store = \"lmdb:store\"");
        let acts = [(ANNA, hours_ago(3)), (BERT, hours_ago(2))];
        for (customer, at) in acts {
            in_a_child(|| {
                let event = Stated { customer, ..stated(EventKind::CustomerMessage, at) };
                assert_eq!(record(&gate, event).events, 1);
            });
        }
        for (customer, at) in acts {
            assert_eq!(last_act(&gate, customer), Some(at));
        }
    });
}

#[test]
fn a_parents_store_can_be_let_go_in_a_child() {
    alone("a_parents_store_can_be_let_go_in_a_child", |folder| {
        let used = Mutex::new(Some(gate_in(folder, "store = \"lmdb:store\"")));
        record(used.lock().unwrap().as_ref().unwrap(), stated(EventKind::CustomerMessage, hours_ago(1)));
        in_a_child(|| drop(used.lock().unwrap().take()));
        let used = used.into_inner().unwrap().unwrap();
        record(&used, Stated { customer: BERT, ..stated(EventKind::CustomerMessage, hours_ago(1)) });
        assert_eq!(state(&used, BERT), State::Open);
    });
}

/// Runs a test in a process without other threads, where forking is safe.
fn alone(test: &str, body: impl Fn(&Path)) {
    if let Some(folder) = std::env::var_os("CSW_TEST_ALONE") {
        return body(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut process = Command::new(std::env::current_exe().unwrap());
    process.args(["--exact", test, "--nocapture", "--test-threads=1"]).env("CSW_TEST_ALONE", folder.path());
    let output = process.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Runs something in a forked child, which must come to its end.
fn in_a_child(work: impl Fn()) {
    // SAFETY: the child runs the work and exits, and never returns into the test harness.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(i32::from(ended.is_err())) };
    }
    let mut status = 0;
    // SAFETY: waits for our own child.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(status, 0, "the child failed");
}

// ---- Questions

fn business_message(at: Timestamp) -> Stated<'static> {
    stated(EventKind::BusinessMessage, at)
}

fn last_act(gate: &Gate, customer: &str) -> Option<Timestamp> {
    check(gate, customer, hours_ago(0)).window.last_act
}

fn state(gate: &Gate, customer: &str) -> State {
    check(gate, customer, hours_ago(0)).window.state
}

fn total(gate: &Gate) -> csw::gate::report::Row {
    let rows = gate.report(Timestamp::from_millis(0), Timestamp::now(), &[]).unwrap();
    rows.first().copied().unwrap_or_default()
}

fn month() -> Day {
    Zone::UTC.day(hours_ago(0)).month()
}

fn holds(store: &dyn Store, key: &[u8]) -> bool {
    let mut found = false;
    let read = store.read(&mut |snapshot: &dyn Read| {
        found = snapshot.get(Table::Ids, key)?.is_some();
        Ok(())
    });
    read.map(|()| found).unwrap()
}

fn count(store: &dyn Store, table: Table) -> usize {
    let mut count = 0;
    let read = store.read(&mut |snapshot: &dyn Read| {
        snapshot.scan(table, b"", &mut |_, _| {
            count += 1;
            Ok(true)
        })
    });
    read.map(|()| count).unwrap()
}
