//! The platform's bytes: every part of a webhook, every form of a send, its answers, and signatures.

use std::io::Write;

use csw::error::{Code, Result};
use csw::party::{Business, Customer};
use csw::rules::event::{
    Act, Category, Class, Event, EventKind, NoticeWhat, Outgoing, Progress, Reported, Source, Status, TemplateName,
    What,
};
use csw::time::Timestamp;
use csw::wire::send::{self, Endpoint, Receipt};
use csw::wire::{signature, webhook};
use flate2::{Compression, write::GzEncoder};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};

const PHONE: &str = "447700900123";
const USER: &str = "GB.13491208655302741918";
const PARENT: &str = "GB.ENT.11815799212886844830";
const SECONDS: i64 = 1_749_416_383;

/// `base` with the members of `changes`; `null` takes one away.
fn with(mut base: Value, changes: Value) -> Value {
    if let (Some(base), Value::Object(changes)) = (base.as_object_mut(), changes) {
        for (key, value) in changes {
            if value.is_null() {
                base.remove(&key)
            } else {
                base.insert(key, value)
            };
        }
    }
    base
}

fn body(changes: Value) -> Vec<u8> {
    let entry = json!([{"id": "102290129340398", "changes": changes}]);
    json!({"object": "whatsapp_business_account", "entry": entry}).to_string().into_bytes()
}

fn change(field: &str, value: Value) -> Value {
    let metadata = json!({"display_phone_number": "+1 555-078-3881", "phone_number_id": "106540352242922"});
    json!({"field": field, "value": with(json!({"messaging_product": "whatsapp", "metadata": metadata}), value)})
}

/// A webhook of one change.
fn read(field: &str, value: Value) -> Result<webhook::Webhook> {
    webhook::parse(&body(json!([change(field, value)])))
}

fn message(changes: Value) -> Value {
    let seconds = SECONDS.to_string();
    with(json!({"from": PHONE, "id": "wamid.1", "timestamp": seconds, "type": "text", "text": {"body": "hi"}}), changes)
}

fn status(changes: Value) -> Value {
    let seconds = SECONDS.to_string();
    with(json!({"id": "wamid.2", "status": "sent", "timestamp": seconds, "recipient_id": PHONE}), changes)
}

fn call(changes: Value) -> Value {
    let seconds = SECONDS.to_string();
    with(
        json!({"id": "wacid.3", "from": PHONE, "to": "15550783881", "event": "connect", "timestamp": seconds}),
        changes,
    )
}

fn act(webhook: &webhook::Webhook) -> Option<Act> {
    match webhook.events.as_slice() {
        [Event { what: What::Customer { act, .. }, .. }] => Some(*act),
        _ => None,
    }
}

fn reported_status(webhook: &webhook::Webhook) -> Option<Status> {
    match webhook.events.as_slice() {
        [Event { what: What::Status(status), .. }] => Some(*status),
        _ => None,
    }
}

/// The customer and the other names of each event.
fn names(webhook: &webhook::Webhook) -> Vec<Vec<String>> {
    let names = |event: &Event| [event.customer].iter().chain(&event.also).map(Customer::written).collect();
    webhook.events.iter().map(names).collect()
}

#[test]
fn an_inbound_message_is_an_act_of_its_sender_at_the_payloads_time() {
    let webhook = read("messages", json!({"messages": [message(json!({}))]})).unwrap();
    let event = Event {
        business: Business::from_number(106540352242922),
        customer: Customer::parse(PHONE).unwrap(),
        also: vec![],
        at: Timestamp::from_seconds(SECONDS),
        id: Some("wamid.1".into()),
        what: What::Customer { act: Act::Content, source: None },
    };
    assert_eq!(webhook.events, [event]);
    let display = Business::parse("15550783881").ok();
    assert_eq!(webhook.notices.len(), 1);
    assert_eq!(webhook.notices[0].account, 102290129340398);
    let number = NoticeWhat::Number { business: Business::from_number(106540352242922), display };
    assert_eq!(webhook.notices[0].what, number);
    assert_eq!((webhook.ignored, webhook.unreadable.len()), (0, 0));
}

#[test]
fn every_message_type_is_the_act_that_the_rules_know() {
    let content = ["text", "image", "video", "audio", "voice", "document", "sticker", "location", "contacts"];
    for kind in content.into_iter().chain(["button", "order"]) {
        let webhook = read("messages", json!({"messages": [message(json!({"type": kind}))]})).unwrap();
        assert_eq!(act(&webhook), Some(Act::Content), "{kind}");
    }
    let reply = |source: &str| {
        let reply = json!({"response": "accept", "response_source": source});
        json!({"type": "interactive", "interactive": {"type": "call_permission_reply", "call_permission_reply": reply}})
    };
    let interactive = |kind: &str| json!({"type": "interactive", "interactive": {"type": kind}});
    let failed = |kind: &str, code: Value| json!({"type": kind, "errors": [{"code": code}]});
    let table = [
        (interactive("button_reply"), Act::Content),
        (interactive("list_reply"), Act::Content),
        (interactive("nfm_reply"), Act::Content),
        (interactive("invented_reply"), Act::Unknown),
        (json!({"type": "interactive", "interactive": null}), Act::Unknown),
        (reply("user_action"), Act::CallPermission),
        (reply("automatic"), Act::CallPermissionAutomatic),
        (reply("invented"), Act::CallPermissionAutomatic),
        (json!({"type": "reaction", "reaction": {"message_id": "wamid.0", "emoji": "👍"}}), Act::Reaction),
        (json!({"type": "reaction", "reaction": {"message_id": "wamid.0"}}), Act::Reaction),
        (failed("unsupported", json!(131051)), Act::Unsupported),
        (failed("unknown", json!(131051)), Act::Unsupported),
        (failed("unsupported", json!(131060)), Act::Unavailable),
        (failed("unsupported", json!("131060")), Act::Unavailable),
        (json!({"type": "unsupported"}), Act::Unsupported),
        (json!({"type": "edit", "edit": {"original_message_id": "wamid.0"}}), Act::Edit),
        (json!({"type": "revoke", "revoke": {"original_message_id": "wamid.0"}}), Act::Revoke),
        (json!({"type": "request_welcome"}), Act::RequestWelcome),
        (json!({"type": "hologram"}), Act::Unknown),
        (json!({"type": 7}), Act::Unknown),
        (json!({"type": null}), Act::Unknown),
    ];
    for (changes, expected) in table {
        let webhook = read("messages", json!({"messages": [message(changes.clone())]})).unwrap();
        assert_eq!(act(&webhook), Some(expected), "{changes}");
        assert!(webhook.unreadable.is_empty(), "{changes}");
    }
}

#[test]
fn a_referral_says_where_the_click_came_from() {
    let table = [
        (json!({"source_type": "ad", "ctwa_clid": "Aff"}), Some(Source::Ad)),
        (json!({"source_type": "post"}), Some(Source::Post)),
        (json!({"source_type": "billboard"}), Some(Source::Other)),
        (json!({}), Some(Source::Other)),
        (Value::Null, None),
    ];
    for (referral, expected) in table {
        let webhook = read("messages", json!({"messages": [message(json!({"referral": referral}))]})).unwrap();
        let expected = What::Customer { act: Act::Content, source: expected };
        assert_eq!(webhook.events[0].what, expected, "{referral}");
    }
}

#[test]
fn all_names_that_a_payload_gives_one_person_are_kept_phone_first() {
    let hidden = json!({"from": null, "from_user_id": USER, "from_parent_user_id": PARENT});
    let nameless = json!({"from": null});
    let contact = json!({"wa_id": PHONE, "user_id": USER, "parent_user_id": PARENT});
    let stranger = json!({"wa_id": "16505551234", "user_id": "US.1"});
    let table = [
        ("phone alone", json!({}), json!([]), vec![PHONE]),
        ("phone and user id", json!({"from_user_id": USER}), json!([]), vec![PHONE, USER]),
        ("a number as JSON number", json!({"from": 447700900123_i64}), json!([]), vec![PHONE]),
        ("hidden phone", hidden.clone(), json!([]), vec![USER, PARENT]),
        ("hidden phone, told by the contact", hidden, json!([stranger, contact]), vec![PHONE, USER, PARENT]),
        ("a user id in from", json!({"from": USER, "from_user_id": USER}), json!([]), vec![USER]),
        ("another's contact", json!({}), json!([stranger]), vec![PHONE]),
        ("the right one of two contacts", json!({}), json!([stranger, contact]), vec![PHONE, USER, PARENT]),
        ("only the contact names them", nameless, json!([contact]), vec![PHONE, USER, PARENT]),
    ];
    for (why, changes, contacts, expected) in table {
        let webhook = read("messages", json!({"contacts": contacts, "messages": [message(changes)]})).unwrap();
        assert_eq!(names(&webhook), [expected], "{why}");
        assert!(webhook.unreadable.is_empty(), "{why}");
    }
}

#[test]
fn a_message_that_names_nobody_is_nobodys() {
    let two = json!([{"wa_id": PHONE}, {"wa_id": "16505551234"}]);
    for contacts in [two, json!([{"profile": {"name": "A"}}]), json!([])] {
        let value = json!({"contacts": contacts, "messages": [message(json!({"from": null}))]});
        let webhook = read("messages", value).unwrap();
        assert!(webhook.events.is_empty(), "{contacts}");
        let fault = "entry[0].changes[0].value.messages[0]: expected a phone number or user id of the customer";
        assert_eq!(webhook.unreadable, [fault]);
    }
}

#[test]
fn a_malformed_extra_name_is_reported_and_the_act_still_recorded() {
    let webhook = read("messages", json!({"messages": [message(json!({"from_user_id": "foo_bar"}))]})).unwrap();
    assert_eq!(names(&webhook), [[PHONE]]);
    assert_eq!(webhook.unreadable.len(), 1);
    assert!(webhook.unreadable[0].starts_with("entry[0].changes[0].value.messages[0].from_user_id: "));
}

#[test]
fn a_group_message_belongs_to_the_group_alone() {
    let value = json!({"contacts": [{"wa_id": PHONE, "user_id": USER}], "messages": [message(json!({"group_id": "Y2FwaV9n"}))]});
    assert_eq!(names(&read("messages", value).unwrap()), [["group:Y2FwaV9n"]]);
    for malformed in [json!(""), json!("a b"), json!([])] {
        let webhook = read("messages", json!({"messages": [message(json!({"group_id": malformed}))]})).unwrap();
        assert!(webhook.events.is_empty(), "{malformed}");
        assert!(webhook.unreadable[0].starts_with("entry[0].changes[0].value.messages[0].group_id: "), "{malformed}");
    }
    let impostor = read("messages", json!({"messages": [message(json!({"from": "group:Y2FwaV9n"}))]})).unwrap();
    assert!(impostor.events.is_empty(), "no person is named like a group");
}

#[test]
fn a_system_message_tells_a_new_name_and_is_no_act() {
    let other = "12195555358";
    let table = [
        (json!({}), json!({"type": "user_changed_number", "wa_id": other}), vec![PHONE, other]),
        (json!({}), json!({"type": "user_changed_number", "new_wa_id": other}), vec![PHONE, other]),
        (json!({"from": null}), json!({"previous_user_id": USER, "user_id": "GB.2"}), vec![USER, "GB.2"]),
        (
            json!({}),
            json!({"wa_id": other, "previous_user_id": USER, "user_id": "GB.2", "parent_user_id": PARENT}),
            vec![PHONE, USER, other, "GB.2", PARENT],
        ),
    ];
    for (changes, system, expected) in table {
        let changes = with(changes, json!({"type": "system", "system": system}));
        let webhook = read("messages", json!({"messages": [message(changes)]})).unwrap();
        assert_eq!(names(&webhook), [expected], "{system}");
        assert_eq!(webhook.events[0].kind(), EventKind::Identity);
    }
}

#[test]
fn a_system_message_that_links_no_names_is_ignored() {
    let table = [
        (json!({}), json!({"type": "user_preference_changed", "marketing": "stop"})),
        (json!({"from": null}), json!({"type": "user_changed_user_id", "user_id": USER})),
        (json!({"group_id": "Y2FwaV9n"}), json!({"type": "user_changed_number", "wa_id": "12195555358"})),
    ];
    for (changes, system) in table {
        let changes = with(changes, json!({"type": "system", "system": system}));
        let webhook = read("messages", json!({"messages": [message(changes)]})).unwrap();
        assert_eq!((webhook.events.len(), webhook.ignored, webhook.unreadable.len()), (0, 1, 0), "{system}");
    }
}

#[test]
fn a_user_id_update_links_the_former_user_id_with_the_present_one() {
    let user_id = json!({"previous": USER, "current": "GB.2"});
    let update = json!({"wa_id": PHONE, "user_id": user_id, "timestamp": SECONDS});
    let webhook = read("user_id_update", json!({"user_id_update": [update]})).unwrap();
    assert_eq!(names(&webhook), [[USER, "GB.2", PHONE]]);
    assert_eq!(webhook.events[0].what, What::Identity);
}

#[test]
fn times_are_read_in_every_spelling_and_absurd_ones_are_not() {
    let at = Timestamp::from_seconds(SECONDS);
    let table = [
        (json!(SECONDS), Some(at)),
        (json!(SECONDS.to_string()), Some(at)),
        (json!(SECONDS * 1000), Some(at)),
        (json!((SECONDS * 1000 + 5).to_string()), Some(Timestamp::from_millis(SECONDS * 1000 + 5))),
        (json!(1_230_768_000), Some(Timestamp::from_seconds(1_230_768_000))),
        (json!(1_230_767_999), None),
        (json!(SECONDS * 1_000_000), None),
        (json!(0), None),
        (json!(-5), None),
        (json!("asdf"), None),
        (json!(""), None),
        (json!({}), None),
        (Value::Null, None),
    ];
    for (timestamp, expected) in table {
        let webhook = read("messages", json!({"messages": [message(json!({"timestamp": timestamp}))]})).unwrap();
        assert_eq!(webhook.events.first().map(|event| event.at), expected, "{timestamp}");
        assert_eq!(webhook.unreadable.len(), usize::from(expected.is_none()), "{timestamp}");
    }
}

#[test]
fn statuses_tell_how_far_a_message_came() {
    let table = [
        ("sent", Progress::Sent),
        ("delivered", Progress::Delivered),
        ("read", Progress::Read),
        ("played", Progress::Read),
        ("failed", Progress::Failed),
    ];
    for (word, progress) in table {
        let webhook = read("messages", json!({"statuses": [status(json!({"status": word}))]})).unwrap();
        assert_eq!(reported_status(&webhook), Some(Status { progress, code: None, reported: None, member: None }));
        assert_eq!(webhook.events[0].id.as_deref(), Some("wamid.2"));
        assert_eq!(names(&webhook), [[PHONE]]);
    }
    for changes in [
        json!({"status": "deleted"}),
        json!({"status": "in_orbit"}),
        json!({"status": null}),
        json!({"status": "failed", "type": "payment"}),
    ] {
        let webhook = read("messages", json!({"statuses": [status(changes.clone())]})).unwrap();
        assert_eq!((webhook.events.len(), webhook.ignored, webhook.unreadable.len()), (0, 1, 0), "{changes}");
    }
}

#[test]
fn a_failure_carries_the_platforms_code() {
    for code in [json!(131047), json!("131047")] {
        let errors = json!([{"code": code, "title": "Re-engagement message"}, {"code": 1}]);
        let webhook =
            read("messages", json!({"statuses": [status(json!({"status": "failed", "errors": errors}))]})).unwrap();
        assert_eq!(reported_status(&webhook).unwrap().code, Some(131047));
    }
}

#[test]
fn a_status_names_its_recipient_in_every_way_that_the_platform_has() {
    let ids = json!({"recipient_id": null, "recipient_user_id": USER, "parent_recipient_user_id": PARENT});
    let table = [
        (ids, json!([]), vec![USER, PARENT]),
        (json!({"recipient_user_id": USER, "parent_user_id": PARENT}), json!([]), vec![PHONE, USER, PARENT]),
        (json!({}), json!([{"wa_id": PHONE, "user_id": USER}]), vec![PHONE, USER]),
    ];
    for (changes, contacts, expected) in table {
        let webhook = read("messages", json!({"contacts": contacts, "statuses": [status(changes)]})).unwrap();
        assert_eq!(names(&webhook), [expected]);
    }
}

#[test]
fn a_group_status_is_the_groups_and_names_the_member() {
    let group = json!({"recipient_type": "group", "recipient_id": "Y2FwaV9n", "recipient_participant_id": PHONE});
    let webhook = read("messages", json!({"statuses": [status(group)]})).unwrap();
    assert_eq!(names(&webhook), [["group:Y2FwaV9n"]]);
    assert_eq!(reported_status(&webhook).unwrap().member, Customer::parse(PHONE).ok());
    assert_eq!(webhook.events[0].id.as_deref(), Some("wamid.2"));
}

#[test]
fn prices_are_reported_by_category_type_and_conversation() {
    let reported = |pricing: Value, conversation: Value| {
        let changes = json!({"pricing": pricing, "conversation": conversation});
        reported_status(&read("messages", json!({"statuses": [status(changes)]})).unwrap()).unwrap().reported
    };
    let words = [
        ("marketing", Some(Category::Marketing)),
        ("marketing_lite", Some(Category::Marketing)),
        ("group_marketing", Some(Category::Marketing)),
        ("utility", Some(Category::Utility)),
        ("group_utility", Some(Category::Utility)),
        ("authentication", Some(Category::Authentication)),
        ("authentication-international", Some(Category::AuthenticationInternational)),
        ("authentication_international", Some(Category::AuthenticationInternational)),
        ("service", Some(Category::Service)),
        ("group_service", Some(Category::Service)),
        ("business_initiated", None),
        ("user_initiated", None),
        ("general_purpose_ai", None),
        ("unknown", None),
    ];
    for (word, category) in words {
        let expected = Some(Reported { category, ..Reported::default() });
        assert_eq!(reported(json!({"category": word}), Value::Null), expected, "{word}");
        assert_eq!(reported(Value::Null, json!({"origin": {"type": word}})), expected, "{word}");
    }
    let expires_at = Some(Timestamp::from_seconds(1_750_116_480));
    let free_entry_point = Reported { free_entry_point: true, ..Reported::default() };
    let table = [
        (
            json!({"type": "regular", "billable": false}),
            Value::Null,
            Reported { billable: Some(true), ..Reported::default() },
        ),
        (
            json!({"type": "free_customer_service", "billable": true}),
            Value::Null,
            Reported { billable: Some(false), ..Reported::default() },
        ),
        (json!({"billable": true}), Value::Null, Reported { billable: Some(true), ..Reported::default() }),
        (
            json!({"type": "invented", "billable": false}),
            Value::Null,
            Reported { billable: Some(false), ..Reported::default() },
        ),
        (json!({"type": "free_entry_point"}), Value::Null, Reported { billable: Some(false), ..free_entry_point }),
        (json!({"category": "referral_conversion"}), Value::Null, free_entry_point),
        (json!({}), json!({"origin": {"type": "referral_conversion"}}), free_entry_point),
        (Value::Null, json!({"expiration_timestamp": "1750116480"}), Reported { expires_at, ..Reported::default() }),
        (Value::Null, json!({"expiration_timestamp": 1750116480}), Reported { expires_at, ..Reported::default() }),
    ];
    for (pricing, conversation, expected) in table {
        assert_eq!(reported(pricing.clone(), conversation.clone()), Some(expected), "{pricing} {conversation}");
    }
    assert_eq!(reported(Value::Null, Value::Null), None);
}

#[test]
fn an_expiry_that_cannot_be_read_does_not_cost_the_status() {
    let changes = json!({"conversation": {"expiration_timestamp": "soon"}});
    let webhook = read("messages", json!({"statuses": [status(changes)]})).unwrap();
    assert_eq!(reported_status(&webhook).unwrap().reported, Some(Reported::default()));
    let place = "entry[0].changes[0].value.statuses[0].conversation.expiration_timestamp";
    assert_eq!(webhook.unreadable, [format!("{place}: expected Unix seconds, found \"soon\"")]);
}

#[test]
fn a_customers_call_is_an_act_and_the_businesss_own_is_not() {
    let us = "15550783881";
    let table = [
        ("by direction", json!({"direction": "USER_INITIATED"}), Some(vec![PHONE])),
        ("by the called number", json!({}), Some(vec![PHONE])),
        ("hidden phone", json!({"from": null, "from_user_id": USER}), Some(vec![USER])),
        ("from and to exchanged", json!({"direction": "USER_INITIATED", "from": us, "to": PHONE}), Some(vec![PHONE])),
        ("ours, by direction", json!({"direction": "BUSINESS_INITIATED"}), None),
        ("ours, by the calling number", json!({"from": us, "to": PHONE}), None),
        ("an invented direction", json!({"direction": "SIDEWAYS"}), None),
        ("its end", json!({"event": "terminate", "direction": "USER_INITIATED"}), None),
    ];
    for (why, changes, expected) in table {
        let webhook = read("calls", json!({"calls": [call(changes)]})).unwrap();
        assert_eq!(names(&webhook), Vec::from_iter(expected.clone()), "{why}");
        assert_eq!(act(&webhook), expected.as_ref().map(|_| Act::Call), "{why}");
        assert_eq!(webhook.ignored, u32::from(expected.is_none()), "{why}");
    }
    let between_others = read("calls", json!({"calls": [call(json!({"to": "16505551234"}))]})).unwrap();
    assert!(between_others.events.is_empty());
    let fault = "entry[0].changes[0].value.calls[0].direction: \
                 expected USER_INITIATED or BUSINESS_INITIATED, found nothing";
    assert_eq!(between_others.unreadable, [fault]);
}

#[test]
fn only_an_accepted_call_of_the_business_is_an_act() {
    let table = [
        (json!({"type": "call", "status": "ACCEPTED"}), Some(Act::CallAccepted)),
        (
            json!({"type": "call", "status": "ACCEPTED", "recipient_id": null, "recipient_user_id": USER}),
            Some(Act::CallAccepted),
        ),
        (json!({"type": "call", "status": "RINGING"}), None),
        (json!({"type": "call", "status": "REJECTED"}), None),
        (json!({"type": "message", "status": "ACCEPTED"}), None),
        (json!({"status": "delivered"}), None),
    ];
    for (changes, expected) in table {
        let webhook = read("calls", json!({"statuses": [status(changes.clone())]})).unwrap();
        assert_eq!(act(&webhook), expected, "{changes}");
        assert_eq!(webhook.ignored, u32::from(expected.is_none()), "{changes}");
    }
}

#[test]
fn what_is_no_act_of_a_customer_is_ignored_and_counted() {
    let table = [
        ("smb_message_echoes", json!({"message_echoes": [message(json!({})), message(json!({}))]}), 2),
        ("history", json!({"history": [{"threads": [{"messages": [message(json!({}))]}]}]}), 1),
        ("history", json!({"contacts": [{"wa_id": PHONE}], "messages": [message(json!({}))]}), 1),
        ("history", json!({"statuses": [status(json!({}))]}), 1),
        ("messages", json!({"errors": [{"code": 130429}]}), 1),
        ("messages", json!({"message_echoes": [message(json!({}))]}), 1),
        ("messages", json!({}), 1),
        ("messages", json!({"messages": []}), 0),
        ("user_preferences", json!({"user_preferences": [{"wa_id": PHONE, "value": "stop"}]}), 1),
        ("account_update", json!({"event": "ACCOUNT_OFFBOARDED"}), 1),
        ("a_field_to_come", json!({"messages": [message(json!({}))]}), 1),
    ];
    for (field, value, ignored) in table {
        let webhook = read(field, value.clone()).unwrap();
        assert_eq!((webhook.events.len(), webhook.ignored), (0, ignored), "{field} {value}");
        assert!(webhook.unreadable.is_empty(), "{field} {value}");
    }
    let other = webhook::parse(br#"{"object": "page", "entry": [{"messaging": []}]}"#).unwrap();
    assert_eq!((other.events.len(), other.ignored, other.unreadable.len()), (0, 1, 0));
}

#[test]
fn a_templates_status_says_whether_it_may_be_sent() {
    let approved = ["APPROVED", "REINSTATED", "UNARCHIVED", "FLAGGED"].map(|word| (word, Some(true)));
    let others = ["REJECTED", "PENDING", "PAUSED", "DISABLED", "ARCHIVED", "DELETED", "PENDING_DELETION", "IN_APPEAL"];
    let others = others.into_iter().chain(["LOCKED", "LIMIT_EXCEEDED"]).map(|word| (word, Some(false)));
    for (event, approved) in approved.into_iter().chain(others).chain([("INVENTED", None)]) {
        let value = json!({
            "metadata": null,
            "event": event,
            "message_template_name": "welcome",
            "message_template_language": "en-US",
            "message_template_category": "MARKETING",
        });
        let webhook = read("message_template_status_update", value).unwrap();
        let template = TemplateName { name: "welcome".into(), language: "en_US".into() };
        let category = Some(Category::Marketing);
        let expected = approved.map(|approved| NoticeWhat::TemplateStatus { template, approved, category });
        assert_eq!(webhook.notices.into_iter().map(|notice| notice.what).next(), expected, "{event}");
        assert_eq!(webhook.ignored, u32::from(approved.is_none()), "{event}");
    }
}

#[test]
fn only_a_category_that_changed_already_is_taken_over() {
    let table = [
        (json!({"previous_category": "UTILITY", "new_category": "MARKETING"}), Some(Category::Marketing)),
        (json!({"new_category": "UTILITY", "correct_category": "MARKETING"}), None),
        (json!({"new_category": "UTILITY", "category_update_timestamp": 1746169200}), None),
        (json!({"previous_category": "UTILITY", "new_category": "INVENTED"}), None),
    ];
    for (changes, expected) in table {
        let name = json!({"message_template_name": "welcome", "message_template_language": "en_US", "metadata": null});
        let webhook = read("template_category_update", with(name, changes.clone())).unwrap();
        let template = TemplateName::new("welcome", "en_US");
        let expected = expected.map(|category| NoticeWhat::TemplateCategory { template, category });
        assert_eq!(webhook.notices.into_iter().map(|notice| notice.what).next(), expected, "{changes}");
    }
    let nameless = read("template_category_update", json!({"metadata": null, "new_category": "UTILITY"})).unwrap();
    let fault = "entry[0].changes[0].value.message_template_name: expected text, found nothing";
    assert_eq!(nameless.unreadable, [fault]);
}

#[test]
fn a_whole_batch_is_read_around_what_cannot_be() {
    let messages = |ids: [&str; 2]| json!(ids.map(|id| message(json!({"id": id}))));
    let bad = json!({"timestamp": "asdf"});
    let first = json!([
        change("messages", json!({"messages": messages(["a", "b"]), "statuses": [status(json!({"id": "c"}))]})),
        change("history", json!({"messages": messages(["x", "y"])})),
        change(
            "messages",
            json!({"messages": [message(json!({"id": "d"})), message(bad), message(json!({"id": "e"}))]})
        ),
    ]);
    let second = json!([
        change(
            "messages",
            json!({"metadata": {"phone_number_id": "<PHONE_NUMBER_ID>"}, "messages": messages(["x", "y"])})
        ),
        change("messages", json!({"metadata": null, "messages": messages(["x", "y"])})),
        change("messages", json!({"messages": {}})),
        change("calls", json!({"calls": [call(json!({"id": "f"}))]})),
    ]);
    let entries = json!([{"id": "1", "changes": first}, {"id": "<ACCOUNT>", "changes": second}, {"id": "3"}, 4]);
    let webhook = webhook::parse(json!({"entry": entries}).to_string().as_bytes()).unwrap();
    let ids: Vec<_> = webhook.events.iter().filter_map(|event| event.id.as_deref()).collect();
    assert_eq!(ids, ["a", "b", "c", "d", "e", "f"]);
    assert_eq!((webhook.notices.len(), webhook.ignored), (3, 2));
    let places = [
        "entry[0].changes[2].value.messages[1].timestamp: expected Unix seconds, found \"asdf\"",
        "entry[1].id: expected the id of a business account, found \"<ACCOUNT>\"",
        "entry[1].changes[0].value.metadata.phone_number_id: business \"<P*************D>\": \
         expected the phone number id, digits as in metadata.phone_number_id",
        "entry[1].changes[1].value.metadata.phone_number_id: expected digits, found nothing",
        "entry[1].changes[2].value.messages: expected a list, found an object",
        "entry[2].changes: expected a list, found nothing",
        "entry[3].id: expected the id of a business account, found nothing",
        "entry[3].changes: expected a list, found nothing",
    ];
    assert_eq!(webhook.unreadable, places);
}

#[test]
fn a_report_shows_no_whole_name_and_no_long_value() {
    let number = "+44 7700 900123 ext. 4";
    let changes = json!({"from": number, "from_user_id": -447700900123_i64, "timestamp": SECONDS});
    let webhook = read("messages", json!({"messages": [message(changes)]})).unwrap();
    assert_eq!(webhook.unreadable.len(), 3);
    assert!(webhook.unreadable.iter().all(|fault| !fault.contains("7700")), "{:?}", webhook.unreadable);
    let in_the_place_of_a_group = json!({"recipient_type": "group", "recipient_id": 447700900123.5});
    let webhook = read("messages", json!({"statuses": [status(in_the_place_of_a_group)]})).unwrap();
    assert_eq!(webhook.unreadable, ["entry[0].changes[0].value.statuses[0].recipient_id: expected a group id"]);
    let long = message(json!({"timestamp": "x\n".repeat(1000)}));
    let webhook = read("messages", json!({"messages": [long]})).unwrap();
    assert!(webhook.unreadable[0].len() < 150 && !webhook.unreadable[0].contains('\n'), "{:?}", webhook.unreadable);
}

#[test]
fn a_text_cut_off_inside_an_emoji_costs_nothing() {
    for text in [r"\ud83d", r"\ude00", r"\ud83d\ud83d\ude00", r"\\\ud83d", r"\ud83dx\n"] {
        let value = json!({"messages": [message(json!({"text": {"body": "CUT"}})), message(json!({"id": r"\ud83d"}))]});
        let body = String::from_utf8(body(json!([change("messages", value)]))).unwrap().replace("CUT", text);
        let webhook = webhook::parse(body.as_bytes()).unwrap();
        let ids: Vec<_> = webhook.events.iter().filter_map(|event| event.id.as_deref()).collect();
        assert_eq!(ids, ["wamid.1", r"\ud83d"], "{text}: an escaped backslash begins no escape");
    }
}

#[test]
fn only_a_json_object_within_the_limits_is_a_webhook() {
    let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
    let padded = |size: usize| format!("{}{{}}", " ".repeat(size - 2));
    let table = [
        (String::new(), Some(Code::NotJson)),
        ("nonsense".into(), Some(Code::NotJson)),
        ("[]".into(), Some(Code::NotJson)),
        ("\"text\"".into(), Some(Code::NotJson)),
        ("{\"a\":1".into(), Some(Code::NotJson)),
        ("{} {}".into(), Some(Code::NotJson)),
        ("{}".into(), None),
        (nested(32), None),
        (nested(33), Some(Code::TooLarge)),
        (nested(100_000), Some(Code::TooLarge)),
        (format!("{{\"a\":\"\\\"{}\"}}", "[".repeat(100)), None),
        (padded(3 << 20), None),
        (padded((3 << 20) + 1), Some(Code::TooLarge)),
    ];
    for (body, code) in table {
        let shown: String = body.chars().take(20).collect();
        assert_eq!(webhook::parse(body.as_bytes()).err().map(|error| error.code()), code, "{shown}");
    }
}

fn send(changes: Value) -> Result<Outgoing> {
    let base = json!({"messaging_product": "whatsapp", "to": PHONE, "type": "text", "text": {"body": "hi"}});
    send::parse(Endpoint::Messages, with(base, changes).to_string().as_bytes())
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut zipped = GzEncoder::new(Vec::new(), Compression::best());
    zipped.write_all(plain).and_then(|()| zipped.finish()).unwrap_or_default()
}

#[test]
fn a_send_is_classified_by_its_whole_body() {
    let table = [
        (json!({"type": "reaction"}), Class::Reaction, None),
        (json!({"type": "text", "category": "service"}), Class::FreeForm, Some(Category::Service)),
        (json!({"type": "text", "category": "marketing"}), Class::FreeForm, Some(Category::Service)),
        (json!({"type": "text", "category": 1}), Class::FreeForm, Some(Category::Service)),
        (json!({"type": "text", "category": "utility"}), Class::Template, Some(Category::Utility)),
        (json!({"type": "text", "category": "AUTHENTICATION"}), Class::Template, Some(Category::Authentication)),
        (json!({"type": "interactive", "category": "utility"}), Class::Template, Some(Category::Utility)),
        (json!({"type": "image", "category": "utility"}), Class::FreeForm, Some(Category::Service)),
        (json!({"type": null}), Class::FreeForm, Some(Category::Service)),
        (json!({"type": null, "text": null}), Class::Unknown, None),
        (json!({"type": "pin"}), Class::Unknown, None),
        (json!({"type": 1}), Class::Unknown, None),
        (json!({"status": "read"}), Class::FreeForm, Some(Category::Service)),
        (json!({"status": "read", "type": null}), Class::FreeForm, Some(Category::Service)),
    ];
    for (changes, class, category) in table {
        let outgoing = send(changes.clone()).unwrap();
        assert_eq!((outgoing.class, outgoing.category), (class, category), "{changes}");
        assert_eq!(outgoing.template, None, "{changes}");
    }
    for kind in ["text", "image", "audio", "video", "document", "sticker", "location", "contacts", "interactive"] {
        assert_eq!(send(json!({"type": kind})).unwrap().class, Class::FreeForm, "{kind}");
    }
}

#[test]
fn a_template_is_known_by_name_and_language() {
    let named = |kind: &str, template: Value| send(json!({"type": kind, kind: template})).unwrap();
    let table = [
        ("template", json!({"name": "hello", "language": {"code": "en-US"}}), "en_US"),
        ("template", json!({"name": "hello", "language": {"policy": "deterministic", "code": "pt_BR"}}), "pt_BR"),
        ("template", json!({"name": "hello", "language": "de"}), "de"),
        ("template", json!({"name": "hello"}), ""),
        ("hsm", json!({"element_name": "hello", "language": {"code": "en"}}), "en"),
    ];
    for (kind, template, language) in table {
        let outgoing = named(kind, template.clone());
        assert_eq!((outgoing.class, outgoing.category), (Class::Template, None), "{template}");
        assert_eq!(outgoing.template, Some(TemplateName::new("hello", language)), "{template}");
    }
    for template in [Value::Null, json!("hello"), json!({"language": {"code": "en"}}), json!({"name": 1})] {
        let error = send(json!({"type": "template", "template": template})).unwrap_err();
        assert_eq!(error.code(), Code::Body, "{template}");
        assert!(error.message().starts_with("template.name: expected the template's name, found "), "{error}");
    }
}

#[test]
fn marketing_messages_are_marketing_templates() {
    let body = json!({"recipient": USER, "type": "template", "template": {"name": "sale", "language": {"code": "en"}}});
    let outgoing = send::parse(Endpoint::MarketingMessages, body.to_string().as_bytes()).unwrap();
    let expected = Outgoing {
        class: Class::Template,
        customer: Customer::parse(USER).ok(),
        user_id_in_to: false,
        category: Some(Category::Marketing),
        template: Some(TemplateName::new("sale", "en")),
    };
    assert_eq!(outgoing, expected);
    let receipt = br#"{"status": "read", "message_id": "wamid.1"}"#;
    assert_eq!(send::parse(Endpoint::MarketingMessages, receipt).unwrap_err().code(), Code::Body);
}

#[test]
fn receipts_need_no_addressee() {
    let typing =
        r#"{"messaging_product":"whatsapp","status":"read","message_id":"wamid.1","typing_indicator":{"type":"text"}}"#;
    for body in [typing, r#"{"status":"read","message_id":"wamid.1"}"#, "status=read&message_id=wamid.1"] {
        let outgoing = send::parse(Endpoint::Messages, body.as_bytes()).unwrap();
        assert_eq!((outgoing.class, outgoing.customer, outgoing.category), (Class::Receipt, None, None), "{body}");
    }
}

#[test]
fn what_holds_more_than_a_receipt_is_none() {
    for more in [json!({"image": {"id": "1"}}), json!({"text": {"body": "Hello"}}), json!({"type": "text"})] {
        let mut body = json!({"status": "read", "message_id": "wamid.1", "to": PHONE});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let outgoing = send::parse(Endpoint::Messages, body.to_string().as_bytes()).unwrap();
        assert_ne!(outgoing.class, Class::Receipt, "{body}");
    }
    let nested = b"status=read&text[body]=Hello&to=447700900123";
    assert_ne!(send::parse(Endpoint::Messages, nested).unwrap().class, Class::Receipt);
}

#[test]
fn the_addressee_is_who_the_platform_would_take() {
    let table = [
        (json!({"to": "+44 7700 900123"}), Some(PHONE), false),
        (json!({"to": 447700900123_i64}), Some(PHONE), false),
        (json!({"to": USER}), Some(USER), true),
        (json!({"to": null, "recipient": USER}), Some(USER), false),
        (json!({"to": null, "recipient": PARENT}), Some(PARENT), false),
        (json!({"to": PHONE, "recipient": USER}), Some(PHONE), false),
        (json!({"to": "whatsapp:+447700900123"}), None, false),
        (json!({"to": "whatsapp:+447700900123", "recipient": USER}), None, false),
        (json!({"to": ""}), None, false),
        (json!({"to": [PHONE]}), None, false),
        (json!({"to": 4.5}), None, false),
        (json!({"to": null, "recipient": PHONE}), None, false),
        (json!({"to": "group:Y2FwaV9n"}), None, false),
        (json!({"to": "Y2FwaV9n", "recipient_type": "group"}), Some("group:Y2FwaV9n"), false),
        (json!({"to": "555555555", "recipient_type": "group"}), Some("group:555555555"), false),
        (json!({"to": "a b", "recipient_type": "group"}), None, false),
        (json!({"to": PHONE, "recipient_type": "individual"}), Some(PHONE), false),
    ];
    for (changes, customer, user_id_in_to) in table {
        let outgoing = send(changes.clone()).unwrap();
        assert_eq!(outgoing.customer.map(|customer| customer.written()).as_deref(), customer, "{changes}");
        assert_eq!(outgoing.user_id_in_to, user_id_in_to, "{changes}");
    }
    let error = send(json!({"to": null})).unwrap_err();
    assert_eq!(error.code(), Code::Body);
    assert_eq!(error.message(), "to: expected a phone number, or a user id in recipient; found neither");
}

#[test]
fn the_same_send_is_read_from_json_forms_and_gzip() {
    let template = r#"{"name":"hello","language":{"code":"en_US"}}"#;
    let json = format!(r#"{{"to":"{PHONE}","type":"template","template":{template}}}"#);
    let expected = send::parse(Endpoint::Messages, json.as_bytes()).unwrap();
    assert_eq!(expected.template, Some(TemplateName::new("hello", "en_US")));
    let encoded: String = form_urlencoded::byte_serialize(template.as_bytes()).collect();
    let bodies = [
        format!("\u{feff}{json}").into_bytes(),
        format!("\r\n {json}\n").into_bytes(),
        format!("to={PHONE}&type=template&template={encoded}").into_bytes(),
        format!("to=%2B{PHONE}&type=template&template={template}\n").into_bytes(),
        gzip(json.as_bytes()),
        gzip(format!("to={PHONE}&type=template&template={encoded}").as_bytes()),
        [gzip(&json.as_bytes()[..10]), gzip(&json.as_bytes()[10..])].concat(),
    ];
    for body in bodies {
        let shown = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(send::parse(Endpoint::Messages, &body).as_ref(), Ok(&expected), "{shown}");
    }
}

#[test]
fn a_form_field_cannot_smuggle_in_another() {
    let body = format!(r#"to={PHONE}&type=text&text={{"body":1}},"type":"template""#);
    let outgoing = send::parse(Endpoint::Messages, body.as_bytes()).unwrap();
    assert_eq!(outgoing.class, Class::FreeForm);
}

#[test]
fn what_names_a_deciding_key_twice_is_refused() {
    let twice = [
        r#"{"to":"447700900123","to":"16505551234","type":"text"}"#,
        r#"{"to":"447700900123","type":"text","type":"template"}"#,
        r#"{"to":"447700900123","type":"text","\u0074ype":"template"}"#,
        r#"{"to":"447700900123","type":"template","template":{"name":"a","name":"b"}}"#,
        r#"{"to":"447700900123","type":"template","template":{"name":"a","language":{"code":"en","code":"de"}}}"#,
        "to=447700900123&type=text&type=template",
        r#"to=447700900123&type=template&template={"name":"a","name":"b"}"#,
    ];
    for body in twice {
        let error = send::parse(Endpoint::Messages, body.as_bytes()).unwrap_err();
        assert_eq!(error.code(), Code::Body, "{body}");
        assert!(error.message().contains("stands twice"), "{error}");
    }
    let elsewhere = r#"{"to":"447700900123","type":"text","text":{"body":"a","body":"b"}}"#;
    assert_eq!(send::parse(Endpoint::Messages, elsewhere.as_bytes()).unwrap().class, Class::FreeForm);
}

#[test]
fn a_body_that_cannot_be_read_says_what_was_expected() {
    let damaged = [&gzip(b"{\"to\":\"447700900123\",\"type\":\"text\"}")[..20], b"rest"].concat();
    let trailed = [gzip(b"{\"to\":\"447700900123\",\"type\":\"text\"}").as_slice(), b"rest"].concat();
    let table: [(&[u8], &str); 10] = [
        (b"", "expected a JSON object, or form fields"),
        (b"  \n", "expected a JSON object, or form fields"),
        (b"[]", "expected a JSON object, or form fields"),
        (b"<send to=\"1\"/>", "expected a JSON object, or form fields"),
        (b"--x\r\nContent-Disposition: form-data; name=\"to\"", "expected a JSON object, or form fields"),
        (b"{\"to\": ", "expected a JSON object; EOF while parsing a value at line 1 column 6"),
        (b"{} {}", "expected a JSON object; trailing characters at line 1 column 4"),
        (b"{\"to\": \"\xff\"}", "expected UTF-8, broken at byte 8"),
        (&damaged, "damaged gzip"),
        (&trailed, "damaged gzip"),
    ];
    for (body, expected) in table {
        let error = send::parse(Endpoint::Messages, body).unwrap_err();
        assert_eq!(error.code(), Code::Body, "{error}");
        assert!(error.message().starts_with("body: ") && error.message().contains(expected), "{error}");
    }
}

#[test]
fn bodies_beyond_the_limits_are_too_large_zipped_or_not() {
    let nested = format!("{{\"a\":{}{}}}", "[".repeat(32), "]".repeat(32));
    let large = vec![b' '; (3 << 20) + 1];
    let bodies = [
        large.clone(),
        gzip(&large),
        gzip(&vec![b'['; 64 << 20]),
        nested.clone().into_bytes(),
        gzip(nested.as_bytes()),
    ];
    for body in bodies.into_iter().chain([format!("to=1&text={}", &nested[5..nested.len() - 1]).into_bytes()]) {
        let error = send::parse(Endpoint::Messages, &body).unwrap_err();
        assert_eq!(error.code(), Code::TooLarge, "{} bytes: {error}", body.len());
    }
}

#[test]
fn a_receipt_holds_the_ids_and_the_names_of_each_addressee() {
    let contacts = json!([
        {"input": "+44 7700 900123", "wa_id": PHONE, "user_id": USER},
        {"input": "+5511987654321", "wa_id": "551187654321"},
        {"input": "<PHONE>", "wa_id": "<ID>"},
    ]);
    let messages = json!([{"id": "wamid.1", "message_status": "accepted"}, {"id": "wamid.2"}]);
    let body = json!({"contacts": contacts, "messages": messages}).to_string();
    let names = [vec![PHONE, USER], vec!["5511987654321", "551187654321"]]
        .map(|names| names.iter().filter_map(|name| Customer::parse(name).ok()).collect());
    let expected = Receipt { ids: vec!["wamid.1".into(), "wamid.2".into()], names: names.into(), refused: None };
    assert_eq!(send::receipt(200, body.as_bytes()), expected);
    assert_eq!(send::receipt(201, &gzip(body.as_bytes())), expected);
    assert_eq!(send::receipt(500, body.as_bytes()), Receipt::default(), "what was not taken has no ids");
}

#[test]
fn a_refusal_is_known_by_its_code() {
    let error = |code: Value| json!({"error": {"message": "no", "code": code}}).to_string();
    let table = [
        (400, error(json!(131047)), Some(131047)),
        (400, error(json!("131047")), Some(131047)),
        (400, error(json!(470)), Some(470)),
        (400, json!({"errors": [{"code": 470}]}).to_string(), Some(470)),
        (400, json!({"errors": [{"code": 100}, {"code": 470}]}).to_string(), Some(470)),
        (400, error(json!(130429)), Some(130429)),
        (200, error(json!(131047)), None),
        (200, json!({"success": true}).to_string(), None),
        (400, "<html>".into(), None),
        (200, String::new(), None),
        (502, "[".repeat(100), None),
    ];
    for (http_status, body, refused) in table {
        let expected = Receipt { refused, ..Receipt::default() };
        assert_eq!(send::receipt(http_status, body.as_bytes()), expected, "{http_status} {body}");
    }
}

fn signed(secret: &[u8], body: &[u8]) -> String {
    let mac = Hmac::<sha2::Sha256>::new_from_slice(secret).map(|mac| mac.chain_update(body).finalize().into_bytes());
    let hex: String = mac.iter().flatten().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

#[test]
fn a_known_signature_is_verified() {
    // RFC 4231, test case 2.
    let header = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert!(signature::verify(&["Jefe"], Some(header), b"what do ya want for nothing?").is_ok());
}

#[test]
fn any_of_several_secrets_may_have_signed_the_very_bytes() {
    let body = b"{ \"entry\" : [] }";
    let header = signed(b"old", body);
    assert!(signature::verify(&["new", "old"], Some(&header), body).is_ok());
    assert!(signature::verify(&["old", "new"], Some(&header), body).is_ok());
    let upper = format!("sha256={}", header["sha256=".len()..].to_uppercase());
    assert!(signature::verify(&["old"], Some(&upper), body).is_ok(), "hex digits have no case");
    assert!(signature::verify(&["new"], Some(&header), body).is_err());
    assert!(signature::verify(&["old"], Some(&header), b"{\"entry\":[]}").is_err());
}

#[test]
fn what_proves_nothing_is_refused_with_advice_and_without_secrets() {
    let body = b"{}";
    let header = signed(b"secret-7", body);
    let hex = &header["sha256=".len()..];
    let plus = format!("sha256=+{}", &hex[1..]);
    let (truncated, longer) = (&header[..header.len() - 2], format!("{header}00"));
    let (sha1, bare, wide) = (format!("sha1={hex}"), hex.to_owned(), format!("sha256={}", "é".repeat(32)));
    let unsigned = signed(b"", body);
    let table: [(&[&str], Option<&str>, &str); 13] = [
        (&[], Some(&header), "no webhook secret is configured"),
        (&[""], Some(&unsigned), "no webhook secret is configured"),
        (&["secret-7"], None, "is missing"),
        (&["secret-7"], Some(""), "expected sha256="),
        (&["secret-7"], Some("sha256="), "expected sha256="),
        (&["secret-7"], Some(truncated), "expected sha256="),
        (&["secret-7"], Some(&longer), "expected sha256="),
        (&["secret-7"], Some(&sha1), "expected sha256="),
        (&["secret-7"], Some(&bare), "expected sha256="),
        (&["secret-7"], Some(&plus), "expected sha256="),
        (&["secret-7"], Some(&wide), "expected sha256="),
        (&["secret-8"], Some(&header), "matches no configured secret"),
        (&["secret-7", ""], Some(&unsigned), "matches no configured secret"),
    ];
    for (secrets, header, expected) in table {
        let error = signature::verify(secrets, header, body).unwrap_err();
        assert_eq!(error.code(), Code::Signature, "{header:?}");
        assert!(error.message().contains(expected), "{header:?}: {error}");
        assert!(!error.message().contains("secret-7") && !error.message().contains(hex), "{error}");
    }
}
