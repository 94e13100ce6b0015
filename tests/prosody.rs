//! The real Prosody with the staged module: `examples/prosody/prosody.cfg.lua`, with the paths and ports of a test in
//! place of its own, a transport that connects as a component, and clients that write to its customers.
//!
//! Needs Debian's prosody and a staged `build/` (or `CSW_BUILD`): `make deps build`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;

#[path = "support/gateway.rs"]
mod gateway;
#[path = "support/scenario.rs"]
mod scenario;
#[path = "prosody/stream.rs"]
mod stream;
#[path = "prosody/workshop.rs"]
mod workshop;

use scenario::Driver;
use workshop::*;

const HOUR: u64 = 3_600_000;

fn answer(verdict: &str, reason: &str) -> (String, String) {
    (verdict.into(), reason.into())
}

// --- what goes to the component -----------------------------------------------------------------

#[test]
fn text_passes_while_the_window_is_open() {
    let stage = Stage::new();
    let acted = now() - 48 * HOUR;
    stage.customer_writes(CUSTOMER, acted);
    assert_eq!(stage.sends_text(CUSTOMER, acted), answer("allow", "window_open"));
    assert_eq!(stage.sends_text(CUSTOMER, acted + 24 * HOUR - 1), answer("allow", "window_open"));
    assert_eq!(stage.sends_text(CUSTOMER, acted + 24 * HOUR), answer("deny", "window_closed"));
    assert_eq!(stage.sends_text(STRANGER, acted), answer("deny", "never_seen"));
}

#[test]
fn what_passes_arrives_as_it_was_sent() {
    let stage = Stage::set(Gateway::new());
    stage.customer_writes(CUSTOMER, 0);
    stage.client.send(&format!(
        "<message to='+{CUSTOMER}@{COMPONENT}/phone' id='a&amp;b' type='chat'><body>1 &lt; 2 &amp;amp; \u{1f600}</body>\
         <body xml:lang='pt'>Ol\u{e1}</body><thread>t</thread><x xmlns='jabber:x:oob'><url>https://example.com</url></x></message>"
    ));
    let arrived = stage.component.next("message");
    assert_eq!(arrived.attribute("to"), format!("+{CUSTOMER}@{COMPONENT}/phone"));
    assert_eq!(arrived.attribute("from"), "support@example.com/support");
    assert_eq!((arrived.attribute("id"), arrived.body()), ("a&b", "1 < 2 &amp; \u{1f600}"));
    assert_eq!(arrived.children[1].text, "Ol\u{e1}");
    assert_eq!(arrived.child("x").unwrap().child("url").unwrap().text, "https://example.com");
    assert_eq!(stage.gateway.decisions().len(), 1, "two languages are one message");
}

#[test]
fn stopped_message_bounces_with_the_platforms_code() {
    let stage = Stage::set(Gateway::new());
    stage.client.send(&text_to(STRANGER, "m1"));
    let bounced = stage.client.next("message");
    assert_eq!((bounced.attribute("type"), bounced.attribute("id")), ("error", "m1"));
    assert_eq!(bounced.attribute("from"), format!("{STRANGER}@{COMPONENT}"));
    let (kind, condition, text, own) = bounced.error();
    assert_eq!((kind, condition), ("wait", "policy-violation"));
    assert!(text.starts_with("(#131047) Re-engagement message: ") && text.contains("Send a template"), "{text}");
    let own = own.unwrap();
    assert_eq!(own.name, "window-closed");
    assert_eq!((own.attribute("reason"), own.attribute("code")), ("never_seen", "131047"));
    stage.nothing_reached_the_component();
}

#[test]
fn other_reasons_bounce_as_what_they_are() {
    let stage = Stage::set(
        Gateway::new()
            .edit(
                "csw_business = \"106540352242922\"",
                "csw_business = { [\"Sales@Example.com\"] = 200000000000001, [\"*\"] = \"106540352242922\" }",
            )
            .toml("[templates]\npolicy = \"require_approved\"\n[numbers.200000000000001]\nenabled = false\n"),
    );
    let bounce = |client: &stream::Stream, content: &str| {
        client.send(&format!("<message to='{STRANGER}@{COMPONENT}'>{content}</message>"));
        let bounced = client.next("message");
        let (kind, condition, _, own) = bounced.error();
        let own = own.unwrap();
        format!("{kind} {condition} {} {} {}", own.name, own.attribute("reason"), own.attribute("code"))
    };
    let sales = stage.gateway.client("sales");
    assert_eq!(bounce(&sales, "<body>Hello</body>"), "cancel not-allowed stopped number_not_enabled 133010");
    let template = "<template xmlns='urn:csw:whatsapp' name='sale'/>";
    assert_eq!(bounce(&stage.client, template), "modify policy-violation stopped template_unknown 132001");
    let spread = "<addresses xmlns='http://jabber.org/protocol/address'/><body>Hello</body>";
    assert_eq!(bounce(&stage.client, spread), "modify bad-request stopped body 100");
    stage.nothing_reached_the_component();
}

#[test]
fn template_passes_and_the_next_one_joins_its_conversation() {
    let stage = Stage::new();
    let sends = |name: &str| {
        assert_eq!(stage.sends_template(STRANGER, name, now()), answer("allow", "template"));
        stage.gateway.decisions().pop().unwrap()["conversation"].clone()
    };
    assert_eq!(sends("summer_promotion"), "opens");
    wait("it is accepted", || stage.gateway.csw(&["report", "--by", "business"])[0]["messages"] == 1);
    assert_eq!(sends("summer_promotion"), "joins");
    assert_eq!(sends("order_confirmation"), "opens");
}

#[test]
fn no_element_is_a_template_unless_the_component_sends_it_as_one() {
    let stage = Stage::set(
        Gateway::new()
            .edit("csw_template_xmlns = \"urn:csw:whatsapp\"", "")
            .edit("csw_fail = \"closed\"", "csw_template_element = \"x\" csw_template_name = \"key\""),
    );
    assert_eq!(stage.sends_template(STRANGER, "summer_promotion", 0), answer("deny", "never_seen"));
    let stage = Stage::set(
        Gateway::new()
            .edit("csw_template_xmlns = \"urn:csw:whatsapp\"", "csw_template_xmlns = \"urn:example\"")
            .edit("csw_fail = \"closed\"", "csw_template_element = \"x\" csw_template_name = \"key\""),
    );
    assert_eq!(stage.sends_template(STRANGER, "summer_promotion", 0), answer("deny", "never_seen"));
    let nameless = "<x xmlns='urn:example' name='sale'/><body>Hello</body>";
    assert_eq!(stage.sends(STRANGER, 0, nameless), answer("deny", "never_seen"));
    assert_eq!(stage.sends(STRANGER, 0, "<x xmlns='urn:example' key='sale'/>"), answer("allow", "template"));
}

#[test]
fn monitor_mode_lets_through_and_says_what_it_would_have_stopped() {
    let stage = Stage::set(Gateway::new().top("mode = \"monitor\"\n"));
    assert_eq!(stage.sends_text(STRANGER, 0), answer("would-deny", "never_seen"));
    let stage = Stage::set(Gateway::new().top("mode = \"off\"\n"));
    assert_eq!(stage.sends_text(STRANGER, 0).0, "allow");
}

#[test]
fn typing_and_receipts_pass_without_a_decision() {
    let stage = Stage::set(Gateway::new());
    let asides = [
        "<composing xmlns='http://jabber.org/protocol/chatstates'/><thread>t</thread>",
        "<received xmlns='urn:xmpp:receipts' id='x'/><store xmlns='urn:xmpp:hints'/>",
        "<displayed xmlns='urn:xmpp:chat-markers:0' id='x'/><origin-id xmlns='urn:xmpp:sid:0' id='y'/>",
        "",
    ];
    for content in asides {
        stage.client.send(&format!("<message to='{STRANGER}@{COMPONENT}'>{content}</message>"));
        assert_eq!(stage.component.next("message").attribute("to"), format!("{STRANGER}@{COMPONENT}"));
    }
    stage
        .client
        .send(&format!("<message to='{STRANGER}@{COMPONENT}' type='error'><body>Hello</body><error/></message>"));
    assert_eq!(stage.component.next("message").attribute("type"), "error", "an answer to the component, never a send");
    assert_eq!(stage.gateway.decisions().len(), 0);
}

#[test]
fn whatever_else_a_message_holds_it_is_a_send() {
    let stage = Stage::set(Gateway::new());
    for content in [
        "<body xmlns='http://jabber.org/protocol/chatstates'>Hello</body>",
        "<body xmlns='jabber:server'>Hello</body>",
        "<body/>",
        "<x xmlns='jabber:x:oob'><url>https://example.com/picture.jpg</url></x>",
        "<composing xmlns='http://jabber.org/protocol/chatstates'/><body>Hello</body>",
        "<encrypted xmlns='eu.siacs.conversations.axolotl'/>",
        "<forwarded xmlns='urn:xmpp:forward:0'><message><body>Hello</body></message></forwarded>",
        "<retract xmlns='urn:xmpp:message-retract:1' id='x'/>",
        "<thread xmlns='urn:other'>Hello</thread>",
        "<subject>Hello</subject>",
    ] {
        assert_eq!(stage.sends(STRANGER, 0, content), answer("deny", "never_seen"), "{content}");
    }
    for kind in ["normal", "chat", "headline", "groupchat", "anything"] {
        stage.client.send(&format!("<message to='{STRANGER}@{COMPONENT}' type='{kind}'><body>Hello</body></message>"));
        assert_eq!(stage.client.next("message").attribute("type"), "error", "{kind}");
    }
    stage.nothing_reached_the_component();
}

#[test]
fn reaction_needs_a_window_and_opens_no_conversation() {
    let stage = Stage::set(Gateway::new());
    let reaction = "<reactions xmlns='urn:xmpp:reactions:0' id='x'><reaction>\u{1f44d}</reaction></reactions>";
    assert_eq!(stage.sends(STRANGER, 0, reaction), answer("deny", "never_seen"));
    stage.customer_writes(CUSTOMER, 0);
    assert_eq!(stage.sends(CUSTOMER, 0, reaction), answer("allow", "window_open"));
    let logged = stage.gateway.decisions().pop().unwrap();
    assert_eq!((&logged["class"], &logged["conversation"]), (&json!("reaction"), &json!("none")));
}

#[test]
fn addresses_that_are_no_numbers_are_never_open() {
    let stage = Stage::set(Gateway::new().top("fail = \"open\"\n"));
    for node in ["abc", "us.13491208655302741918", "+", "1", "%23group", "16505551234\\40g.us", "\u{661}\u{662}\u{663}"]
    {
        stage.client.send(&format!("<message to='{node}@{COMPONENT}' id='x'><body>Hello</body></message>"));
        assert_eq!(stage.client.next("message").attribute("type"), "error", "{node}");
    }
    stage.nothing_reached_the_component();
}

#[test]
fn commands_to_the_component_itself_are_no_messages() {
    let stage = Stage::set(Gateway::new());
    stage.client.send(&format!("<message to='{COMPONENT}' id='x'><body>help</body></message>"));
    assert_eq!(stage.component.next("message").body(), "help");
    assert_eq!(stage.gateway.decisions().len(), 0);
    let spread = format!(
        "<addresses xmlns='http://jabber.org/protocol/address'><address type='to' jid='{STRANGER}@{COMPONENT}'/></addresses>"
    );
    stage.client.send(&format!("<message to='{COMPONENT}' id='y'>{spread}<body>Hello</body></message>"));
    assert_eq!(stage.client.next("message").error().1, "bad-request");
    stage.nothing_reached_the_component();
}

#[test]
fn what_the_component_says_to_itself_is_no_send_and_opens_nothing() {
    let stage = Stage::set(Gateway::new());
    stage.component.send(&format!(
        "<message from='{STRANGER}@{COMPONENT}' to='{CUSTOMER}@{COMPONENT}' id='x'><body>Hello</body></message>"
    ));
    assert_eq!(stage.component.next("message").attribute("id"), "x");
    assert_eq!(stage.gateway.decisions().len(), 0);
    assert_eq!(stage.gateway.window(STRANGER), "unknown");
}

#[test]
fn component_that_is_away_is_bounced_for_by_prosody_and_nothing_is_accounted() {
    let gateway = Gateway::new().start();
    let client = gateway.client("support");
    client.send(&format!(
        "<message to='{STRANGER}@{COMPONENT}'><template xmlns='urn:csw:whatsapp' name='summer_promotion'/></message>"
    ));
    assert_eq!(client.next("message").error().1, "remote-server-timeout");
    let _component = gateway.component();
    assert_eq!(gateway.decisions().len(), 0);
}

#[test]
fn books_say_what_was_sent_stopped_and_charged() {
    let stage = Stage::set(Gateway::new());
    stage.sends_template(STRANGER, "summer_promotion", 0);
    stage.sends_text(STRANGER, 0);
    let books = || stage.gateway.csw(&["report", "--by", "business"])[0].clone();
    wait("both are in the books", || books()["messages"] == 1 && books()["stopped"] == 1);
    assert_eq!(books()["billable"], 1);
}

#[test]
fn messages_with_one_id_or_none_are_each_accounted() {
    let stage = Stage::set(Gateway::new());
    for attributes in ["id='same'", "id='same'", "", ""] {
        stage.client.send(&format!(
            "<message to='{STRANGER}@{COMPONENT}' {attributes}><template xmlns='urn:csw:whatsapp' name='sale'/></message>"
        ));
        stage.component.next("message");
    }
    wait("four messages", || stage.gateway.csw(&["report", "--by", "business"])[0]["messages"] == 4);
}

#[test]
fn time_in_a_message_counts_for_tests_only() {
    let stage = Stage::set(Gateway::new());
    stage.customer_writes(CUSTOMER, now() - 25 * HOUR);
    assert_eq!(stage.sends_text(CUSTOMER, now() + 25 * HOUR), answer("allow", "window_open"));
}

// --- what comes from the component --------------------------------------------------------------

#[test]
fn customers_message_is_on_record_before_it_is_delivered() {
    let stage = Stage::set(Gateway::new());
    for n in 0..20 {
        let customer = format!("1650555{n:04}");
        stage.customer_writes(&customer, 0);
        assert_eq!(stage.gateway.window(&customer), "open", "with no wait at all");
    }
}

#[test]
fn messages_wait_for_the_disk_in_order_and_nobody_else_waits_for_them() {
    let stage = Stage::set(Gateway::new());
    stage.customer_writes(CUSTOMER, 0);
    let store = stage.gateway.store();
    let writing = store.write_txn().unwrap();
    for n in 0..10 {
        let content =
            if n % 3 == 0 { "<active xmlns='http://jabber.org/protocol/chatstates'/>" } else { "<body>Hi</body>" };
        stage.component.send(&format!(
            "<message from='{STRANGER}@{COMPONENT}' to='support@example.com' id='w{n}'>{content}</message>"
        ));
    }
    // Meanwhile the server answers, and decides.
    let (_, took) = timed(|| {
        assert_eq!(stage.sends_text(CUSTOMER, 0), answer("allow", "window_open"));
        stage.client.settle("example.com");
    });
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(
        stage.client.messages().iter().all(|message| message.attribute("id") == "w0"),
        "the others are not on record"
    );
    drop(writing);
    wait("all are delivered", || stage.client.messages().len() == 10);
    let ids: Vec<_> = stage.client.messages().iter().map(|message| message.attribute("id").to_owned()).collect();
    assert_eq!(ids, (0..10).map(|n| format!("w{n}")).collect::<Vec<_>>());
    assert_eq!(stage.gateway.window(STRANGER), "open");
}

#[test]
fn copies_edits_receipts_and_errors_open_nothing() {
    let stage = Stage::set(Gateway::new());
    let forwarded = format!(
        "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='{STRANGER}@{COMPONENT}' \
         to='support@example.com'><body>Hello</body></message></forwarded>"
    );
    let contents = [
        ("chat", "<composing xmlns='http://jabber.org/protocol/chatstates'/>".into()),
        ("chat", "<received xmlns='urn:xmpp:receipts' id='m1'/>".into()),
        ("chat", "<displayed xmlns='urn:xmpp:chat-markers:0' id='m1'/>".into()),
        ("chat", format!("<sent xmlns='urn:xmpp:carbons:2'>{forwarded}</sent><body>Hello</body>")),
        ("chat", format!("<received xmlns='urn:xmpp:carbons:2'>{forwarded}</received>")),
        ("chat", format!("<result xmlns='urn:xmpp:mam:2' id='1'>{forwarded}</result>")),
        ("chat", forwarded.clone()),
        ("chat", "<replace xmlns='urn:xmpp:message-correct:0' id='m1'/><body>Hello!</body>".into()),
        ("chat", "<reactions xmlns='urn:xmpp:reactions:0' id='m1'/><body>\u{1f44d}</body>".into()),
        ("chat", "<retract xmlns='urn:xmpp:message-retract:1' id='m1'/><body>retracted</body>".into()),
        ("chat", "<body xmlns='urn:other'>Hello</body>".into()),
        ("groupchat", "<body>Hello</body>".into()),
        ("headline", "<body>Hello</body>".into()),
        ("error", "<body>Hello</body><error type='cancel'><service-unavailable/></error>".into()),
    ];
    for (kind, content) in &contents {
        stage.component.send(&format!(
            "<message from='{STRANGER}@{COMPONENT}' to='support@example.com/support' type='{kind}'>{content}</message>"
        ));
    }
    stage.customer_writes(CUSTOMER, 0);
    assert_eq!(stage.gateway.window(STRANGER), "unknown");
    // Prosody itself answers a groupchat message that no room is behind, and delivers the rest.
    assert!(stage.client.messages().len() >= contents.len() - 1, "{:?}", stage.client.messages());
}

#[test]
fn only_the_component_itself_speaks_for_its_customers() {
    let other = "Component \"other.example.com\" component_secret = \"other\" validate_from_addresses = false\n";
    let stage = Stage::set(Gateway::new().edit("Component \"whatsapp", &format!("{other}Component \"whatsapp")));
    let forger = stream::Stream::component(stage.gateway.components, "other.example.com", "other");
    let forged =
        format!("<message from='{STRANGER}@{COMPONENT}' to='support@example.com' id='f'><body>Hello</body></message>");
    forger.send(&forged);
    stage.client.next_where(|stanza| stanza.attribute("id") == "f");
    let client = stage.gateway.client("mallory");
    client.send(&forged);
    stage.client.next_where(|stanza| stanza.attribute("id") == "f");
    // By way of the component's own users: the address is the client's whatever it says.
    client.send(&format!("<message from='{STRANGER}@{COMPONENT}' to='{COMPONENT}'><body>Hello</body></message>"));
    assert_eq!(stage.component.next("message").attribute("from"), "mallory@example.com/mallory");
    assert_eq!(stage.gateway.window(STRANGER), "unknown");
    // And it is gated as everybody else is, other components' users too.
    forger.send(&format!(
        "<message from='bot@other.example.com' to='{STRANGER}@{COMPONENT}'><body>Hello</body></message>"
    ));
    assert_eq!(forger.next("message").error().1, "policy-violation");
    stage.nothing_reached_the_component();
}

#[test]
fn one_id_of_two_customers_opens_both_windows() {
    let stage = Stage::set(Gateway::new());
    let write = |customer: &str, id: &str| {
        stage.component.send(&format!(
            "<message from='{customer}@{COMPONENT}' to='support@example.com'{id}><body>Hello</body></message>"
        ));
        stage.client.next("message");
    };
    write(CUSTOMER, " id='1'");
    write(STRANGER, " id='1'");
    write("16505550001", "");
    for customer in [CUSTOMER, STRANGER, "16505550001"] {
        assert_eq!(stage.gateway.window(customer), "open", "{customer}");
    }
    assert!(!stage.gateway.log().contains("one id"));
    write(CUSTOMER, " id='1'");
    stage.gateway.wait_for_log("two messages of a customer one id");
}

#[test]
fn delayed_message_counts_from_when_it_was_written() {
    let stage = Stage::set(Gateway::new());
    let write = |stamp: &str| {
        stage.component.send(&format!(
            "<message from='{CUSTOMER}@{COMPONENT}' to='support@example.com'><body>Hello</body>\
             <delay xmlns='urn:xmpp:delay' stamp='{stamp}'/></message>"
        ));
        stage.client.next("message");
        stage.gateway.window(CUSTOMER)
    };
    assert_eq!(write(&rfc3339(now() - 25 * HOUR)), "closed");
    assert_eq!(write(&rfc3339(now() - 23 * HOUR)), "open");
    for odd in ["1969-12-31T23:59:59Z", "0000-00-00T00:00:00Z", "9999-99-99T99:99:99Z", "yesterday", ""] {
        write(odd);
    }
}

#[test]
fn refusal_by_the_component_closes_the_window_until_the_customer_writes() {
    let errors = [
        "<error type='cancel'><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
         <window-closed xmlns='urn:csw:whatsapp' code='131047'/></error>",
        "<error type='cancel'><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
         <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>(#131047) Re-engagement message</text></error>",
        "<error type='cancel' code='470'><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
    ];
    let stage = Stage::set(Gateway::new());
    for (n, error) in errors.iter().enumerate() {
        let customer = format!("1650555000{n}");
        stage.component.send(&format!(
            "<message from='{customer}@{COMPONENT}' to='support@example.com'><body>Hello</body>\
             <delay xmlns='urn:xmpp:delay' stamp='{}'/></message>",
            rfc3339(now() - 2 * HOUR)
        ));
        stage.client.next("message");
        stage.client.send(&text_to(&customer, "m1"));
        stage.component.next("message");
        stage.component.send(&error_for(&customer, "m1", error));
        assert_eq!(stage.client.next("message").attribute("type"), "error");
        assert_eq!(stage.gateway.csw(&["check", BUSINESS, &customer])["reason"], "refused_by_platform", "{error}");
        assert_eq!(stage.sends_text(&customer, 0), answer("deny", "refused_by_platform"));
        stage.customer_writes(&customer, 0);
        assert_eq!(stage.sends_text(&customer, 0), answer("allow", "window_open"));
    }
}

#[test]
fn error_of_the_component_takes_its_message_out_of_the_books() {
    let stage = Stage::set(Gateway::new());
    let books = || stage.gateway.csw(&["report", "--by", "business"])[0].clone();
    stage.client.send(&template_to(STRANGER, "m1"));
    stage.component.next("message");
    stage.client.send(&template_to(STRANGER, "m2"));
    stage.component.next("message");
    wait("two messages", || books()["messages"] == 2);
    let gone = "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    // A user without such a message, and an id that nobody used.
    stage.component.send(&error_for(STRANGER, "m3", gone));
    stage.component.send(&error_for(STRANGER, "m1", gone).replace("support@", "sales@"));
    stage.component.send(&error_for(STRANGER, "m1", gone));
    stage.client.next_where(|stanza| stanza.attribute("id") == "m1");
    assert_eq!(books()["messages"], 1);
    assert_eq!(stage.gateway.window(STRANGER), "unknown", "no refusal over the window");
}

#[test]
fn receipt_of_the_component_delivers_a_message() {
    let receipts =
        ["<received xmlns='urn:xmpp:receipts' id='m1'/>", "<displayed xmlns='urn:xmpp:chat-markers:0' id='m1'/>"];
    for receipt in receipts {
        let stage = Stage::set(Gateway::new().top("rules = \"meta-2025-07\"\n"));
        let billable = || stage.gateway.csw(&["report", "--by", "business"])[0]["billable"].clone();
        stage.client.send(&template_to(STRANGER, "m1"));
        stage.component.next("message");
        wait("it is accepted", || stage.gateway.csw(&["report", "--by", "business"])[0]["messages"] == 1);
        assert_eq!(billable(), 0, "and not charged yet");
        stage.component.send(&format!(
            "<message from='{STRANGER}@{COMPONENT}/phone' to='support@example.com/support'>{receipt}</message>"
        ));
        stage.client.next("message");
        assert_eq!(billable(), 1, "{receipt}");
    }
}

#[test]
fn each_sender_writes_from_a_number_of_its_own() {
    let stage = Stage::set(Gateway::new().edit(
        "csw_business = \"106540352242922\"",
        "csw_business = { [\"support@example.com\"] = \"106540352242922\", [\"sales@example.com\"] = 200000000000001 }",
    ));
    let (sales, other) = (stage.gateway.client("sales"), stage.gateway.client("other"));
    stage.customer_writes(CUSTOMER, 0);
    sales.send(&text_to(CUSTOMER, "m1"));
    assert_eq!(sales.next("message").error().3.unwrap().attribute("reason"), "never_seen", "not to this number");
    other.send(&text_to(CUSTOMER, "m1"));
    let bounced = other.next("message");
    assert_eq!((bounced.error().0, bounced.error().1), ("wait", "resource-constraint"));
    stage.gateway.wait_for_log("csw_business names no number for the sender");
    let decisions = stage.gateway.decisions();
    assert_eq!(decisions[0]["business"], "200000000000001");
    assert_eq!((&decisions[1]["business"], &decisions[1]["reason"]), (&json!(null), &json!("fault_closed")));
}

#[test]
fn users_of_several_sessions_and_users_that_are_offline_get_what_customers_write() {
    let stage = Stage::set(Gateway::new());
    stage.component.send(&format!(
        "<message from='{CUSTOMER}@{COMPONENT}' to='later@example.com' type='chat' id='o1'><body>Hello</body></message>"
    ));
    stage.customer_writes(STRANGER, 0);
    let later = stage.gateway.client("later");
    assert_eq!(later.next("message").attribute("id"), "o1");
    assert_eq!(stage.gateway.window(CUSTOMER), "open");
}

// --- what is parked -----------------------------------------------------------------------------

const PARK: &str = "[closed]\nsteps = [\"park\"]\n";

#[test]
fn parked_message_goes_out_whole_once_its_customer_writes() {
    let stage = Stage::set(Gateway::new().toml(PARK));
    for n in 0..3 {
        stage.client.send(&format!(
            "<message to='{STRANGER}@{COMPONENT}' type='chat' id='p{n}'><body>1 &lt; 2 \u{1f600} &#10;&quot;</body>\
             <x xmlns='jabber:x:oob'><url>https://example.com</url></x></message>"
        ));
    }
    wait("all are parked", || stage.gateway.decisions().iter().filter(|line| line["instead"] == "park").count() == 3);
    stage.nothing_reached_the_component();
    assert!(stage.client.messages().is_empty(), "no error: {:?}", stage.client.messages());

    stage.gateway.shell("module reload csw whatsapp.example.com");
    stage.customer_writes(STRANGER, 0);
    for n in 0..3 {
        let arrived = stage.component.next("message");
        assert_eq!((arrived.attribute("id"), arrived.body()), (&*format!("p{n}"), "1 < 2 \u{1f600} \n\""));
        assert_eq!(arrived.attribute("from"), "support@example.com/support");
        assert_eq!(arrived.child("x").unwrap().child("url").unwrap().text, "https://example.com");
    }
    wait("all are in the books", || stage.gateway.csw(&["report", "--by", "business"])[0]["messages"] == 3);
    wait("each is logged", || stage.gateway.log().matches("\"fate\":\"sent\"").count() == 3);
}

#[test]
fn parked_message_waits_for_a_component_that_is_away() {
    let Stage { gateway, component, client } = Stage::set(Gateway::new().toml(PARK));
    client.send(&text_to(STRANGER, "p"));
    wait("it is parked", || gateway.decisions().iter().any(|line| line["instead"] == "park"));
    component
        .send(&format!("<message from='{STRANGER}@{COMPONENT}' to='support@example.com'><body>Hello</body></message>"));
    drop(component);
    client.next("message");
    gateway.wait_for_log("\"fate\":\"later\"");
    let rows = gateway.csw(&["report"]);
    assert!(rows.as_array().unwrap().iter().all(|row| row["dropped"] == 0), "put off, not given up: {rows}");
}

#[test]
fn message_that_came_where_nobody_can_wait_is_not_parked() {
    let other = "Component \"other.example.com\" component_secret = \"other\"\n";
    let stage =
        Stage::set(Gateway::new().toml(PARK).edit("Component \"whatsapp", &format!("{other}Component \"whatsapp")));
    let bot = stream::Stream::component(stage.gateway.components, "other.example.com", "other");
    bot.send(&format!(
        "<message from='bot@other.example.com' to='{STRANGER}@{COMPONENT}'><body>Hello</body></message>"
    ));
    assert_eq!(bot.next("message").error().1, "policy-violation");
    // Parked after it, and the first to go out.
    stage.client.send(&text_to(STRANGER, "parked"));
    wait("it is parked", || stage.gateway.decisions().iter().any(|line| line["instead"] == "park"));
    stage.customer_writes(STRANGER, 0);
    assert_eq!(stage.component.next("message").attribute("id"), "parked");
}

// --- faults -------------------------------------------------------------------------------------

#[test]
fn nothing_passes_while_csw_toml_cannot_be_read_and_it_is_read_once_it_can() {
    let stage = Stage::set(Gateway::new().top("mode = \"maybe\"\n"));
    assert_eq!(stage.sends_template(STRANGER, "sale", 0), answer("deny", "fault_closed"));
    stage.customer_writes(CUSTOMER, 0);
    stage.gateway.wait_for_log("cannot open the gate, sends fail closed and nothing is recorded");
    thread::sleep(Duration::from_millis(1100));
    stage.sends_text(CUSTOMER, 0);
    assert_eq!(stage.gateway.log().matches("cannot open the gate").count(), 1, "said once");

    stage.gateway.write("csw.toml", &stage.gateway.read("csw.toml").replace("maybe", "enforce"));
    wait("the gate is open", || stage.sends_template(STRANGER, "sale", 0) == answer("allow", "template"));
    stage.gateway.wait_for_log("the gate is open now");
    stage.customer_writes(CUSTOMER, 0);
    assert_eq!(stage.sends_text(CUSTOMER, 0), answer("allow", "window_open"));
}

#[test]
fn messages_pass_a_fault_where_that_is_wanted() {
    let open = || Gateway::new().edit("csw_fail = \"closed\"", "csw_fail = \"open\"");
    let stage = Stage::set(open().top("mode = \"maybe\"\n"));
    assert_eq!(stage.sends_text(STRANGER, 0), answer("allow", "fault_open"));
    let stage = Stage::set(Gateway::new().broken_store().top("fail = \"open\"\n"));
    assert_eq!(stage.sends_text(STRANGER, 0), answer("allow", "fault_open"));
    let stage = Stage::set(open().broken_store());
    assert_eq!(stage.sends_text(STRANGER, 0), answer("deny", "fault_closed"), "csw.toml has the word");
}

#[test]
fn customers_message_is_delivered_though_it_cannot_be_recorded() {
    let stage = Stage::set(Gateway::new().broken_store());
    stage.customer_writes(CUSTOMER, 0);
    stage.gateway.wait_for_log("delivered without a record");
    assert_eq!(stage.sends_text(CUSTOMER, 0), answer("deny", "fault_closed"));
}

#[test]
fn customers_message_waits_for_a_slow_disk_for_seconds_and_not_for_ever() {
    let stage = Stage::set(Gateway::new());
    let store = stage.gateway.store();
    let writing = store.write_txn().unwrap();
    let ((), took) = timed(|| stage.customer_writes(CUSTOMER, 0));
    assert!(took > Duration::from_secs(4), "{took:?}");
    stage.gateway.wait_for_log("delivered without a record: it was not on disk within 5 s");
    drop(writing);
    wait("it is on record after all", || stage.gateway.window(CUSTOMER) == "open");
}

#[test]
fn nothing_passes_where_csw_is_not_installed() {
    let stage = Stage::set(Gateway::new().without_library());
    stage.client.send(&template_to(STRANGER, "m1"));
    assert_eq!(stage.client.next("message").error().1, "resource-constraint");
    stage.component.send(&format!(
        "<message from='{CUSTOMER}@{COMPONENT}' to='support@example.com' id='x'><body>Hello</body></message>"
    ));
    assert_eq!(stage.client.next("message").attribute("id"), "x");
    stage.nothing_reached_the_component();
    assert!(stage.gateway.log().contains("module 'csw.prosody' not found"));
}

#[test]
fn module_is_loaded_by_components_only() {
    let gateway = Gateway::new().edit("\"carbons\",", "\"carbons\", \"csw\",").start();
    gateway.wait_for_log("name it in modules_enabled of the component's own section");
    let (client, other) = (gateway.client("support"), gateway.client("sales"));
    client.send("<message to='sales@example.com'><body>Hello</body></message>");
    assert_eq!(other.next("message").body(), "Hello");
}

#[test]
fn options_that_cannot_be_used_are_named_and_stop_messages() {
    let stage = Stage::set(
        Gateway::new()
            .edit("csw_business = \"106540352242922\"", "csw_business = \"the number\"")
            .edit("csw_fail = \"closed\"", "csw_fail = \"maybe\""),
    );
    assert_eq!(stage.sends(STRANGER, 0, "<body>Hello</body>").0, "deny");
    stage.gateway.wait_for_log("csw_business cannot be used");
    stage.gateway.wait_for_log("csw_fail is neither");
    let stage = Stage::set(Gateway::new().edit("csw_business = \"106540352242922\"", ""));
    assert_eq!(stage.sends_text(STRANGER, 0), answer("deny", "fault_closed"));
}

#[test]
fn huge_and_odd_messages_are_decided_on_or_refused() {
    let stage = Stage::set(Gateway::new());
    let long = "x".repeat(200_000);
    assert_eq!(stage.sends(STRANGER, 0, &format!("<body>{long}</body>")), answer("deny", "never_seen"));
    stage.component.send(&format!(
        "<message from='{CUSTOMER}@{COMPONENT}' to='support@example.com' id='{long}'><body>{long}</body></message>"
    ));
    assert_eq!(stage.client.next("message").body(), long);
    assert_eq!(stage.sends(CUSTOMER, 0, &format!("<body>{}</body>", "&lt;&#10;\"".repeat(20_000))).0, "allow");
    stage.client.send(&text_to(CUSTOMER, &long));
    assert_eq!(stage.component.next("message").attribute("id"), long);
    stage.client.send(&format!(
        "<message to='{CUSTOMER}@{COMPONENT}'><template xmlns='urn:csw:whatsapp' name='{long}'/></message>"
    ));
    wait("it is decided on", || stage.gateway.decisions().len() >= 4);
    let deep = format!("{}{}", "<a xmlns='urn:x'>".repeat(2000), "</a>".repeat(2000));
    assert_eq!(stage.sends(STRANGER, 0, &deep), answer("deny", "never_seen"));
    assert_eq!(stage.sends(STRANGER, 0, &"<body>x</body>".repeat(5000)), answer("deny", "never_seen"));
}

// --- with the host ------------------------------------------------------------------------------

#[test]
fn each_decision_is_one_line_of_the_log_and_names_no_number() {
    let stage = Stage::set(Gateway::new());
    stage.customer_writes(CUSTOMER, 0);
    stage.sends_text(CUSTOMER, 0);
    stage.sends_text(STRANGER, 0);
    stage.sends_template(STRANGER, "sale", 0);
    stage.client.send(&format!("<message to='abc{STRANGER}@{COMPONENT}'><body>Hello</body></message>"));
    stage.client.next_where(|stanza| stanza.name == "message" && stanza.attribute("from").starts_with("abc"));
    stage.component.send(&format!(
        "<message from='abc{STRANGER}@{COMPONENT}' to='support@example.com'><body>Hello</body></message>"
    ));
    stage.client.next("message");
    let decisions = stage.gateway.decisions();
    assert_eq!(decisions.len(), 4);
    assert!(decisions.iter().all(|line| line["gateway"] == "prosody" && line["at"].is_u64()));
    let log = stage.gateway.log();
    assert!(!log.contains(CUSTOMER) && !log.contains(STRANGER), "{log}");
    assert!(!log.contains("Attempt to read") && !log.contains("Traceback"), "{log}");
}

#[test]
fn clients_and_customers_at_once_lose_nothing_and_pass_nothing_by() {
    const EACH: usize = 60;
    let stage = Stage::set(Gateway::new());
    let (gateway, component) = (&stage.gateway, &stage.component);
    thread::scope(|scope| {
        for n in 0..4 {
            scope.spawn(move || {
                let (user, customer) = (format!("user{n}"), format!("1650555{n:04}"));
                let client = gateway.client(&user);
                component.send(&format!(
                    "<message from='{customer}@{COMPONENT}' to='{user}@example.com'><body>Hello</body></message>"
                ));
                client.next("message");
                for index in 0..EACH {
                    client.send(&text_to(&customer, &format!("{user}.{index}")));
                    client.send(&text_to(STRANGER, &format!("{user}.stopped")));
                }
                wait("all bounces came", || client.messages().len() == EACH);
                assert!(client.messages().iter().all(|message| message.attribute("id") == format!("{user}.stopped")));
            });
        }
    });
    wait("all that passed arrived", || component.messages().len() == 4 * EACH);
    for n in 0..4 {
        let all = component.messages();
        let of_user = all.iter().filter(|message| message.attribute("id").starts_with(&format!("user{n}.")));
        let ids: Vec<_> = of_user.map(|message| message.attribute("id").to_owned()).collect();
        assert_eq!(ids, (0..EACH).map(|index| format!("user{n}.{index}")).collect::<Vec<_>>(), "in order");
    }
    assert_eq!(gateway.decisions().len(), 8 * EACH);
}

#[test]
fn reload_under_load_loses_nothing_and_passes_nothing_by() {
    let stage = Stage::set(Gateway::new());
    let gateway = &stage.gateway;
    let customers = gateway.client("customers");
    stage.customer_writes(CUSTOMER, 0);
    let stop = AtomicBool::new(false);
    let (written, sent) = thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut written = 0;
            while !stop.load(Ordering::Relaxed) {
                stage.component.send(&format!(
                    "<message from='1650556{:04}@{COMPONENT}' to='customers@example.com' id='c{written}'><body>Hi</body></message>",
                    written % 10_000
                ));
                written += 1;
                thread::sleep(Duration::from_millis(1));
            }
            written
        });
        let sending = scope.spawn(|| {
            let mut sent = 0;
            while !stop.load(Ordering::Relaxed) {
                stage.client.send(&text_to(CUSTOMER, &format!("s{sent}")));
                stage.client.send(&text_to(STRANGER, "stopped"));
                sent += 1;
                thread::sleep(Duration::from_millis(1));
            }
            sent
        });
        for _ in 0..3 {
            gateway.shell("module reload csw whatsapp.example.com");
            gateway.signal("HUP");
        }
        stop.store(true, Ordering::Relaxed);
        (writing.join().unwrap(), sending.join().unwrap())
    });
    assert!(written > 100 && sent > 100, "there was a load: {written}, {sent}");
    wait("all that customers wrote arrived", || customers.messages().len() == written);
    wait("all that was allowed arrived", || stage.component.messages().len() == sent);
    wait("all that was not bounced", || stage.client.messages().len() == sent);
    let in_order = |messages: Vec<stream::Element>, letter: char| {
        messages.iter().enumerate().all(|(index, message)| message.attribute("id") == format!("{letter}{index}"))
    };
    assert!(in_order(customers.messages(), 'c') && in_order(stage.component.messages(), 's'));
    assert_eq!(gateway.window("16505560000"), "open");
    assert!(!gateway.log().contains("\terror\t") || !gateway.log().contains("csw\terror"), "{}", gateway.log());
}

#[test]
fn reload_keeps_one_library_and_knows_the_messages_of_before() {
    let stage = Stage::set(Gateway::new());
    stage.client.send(&template_to(STRANGER, "m1"));
    stage.component.next("message");
    let threads = || fs::read_dir(format!("/proc/{}/task", stage.gateway.pid())).unwrap().count();
    let before = threads();
    for _ in 0..5 {
        stage.gateway.shell("module reload csw whatsapp.example.com");
    }
    let maps = fs::read_to_string(format!("/proc/{}/maps", stage.gateway.pid())).unwrap();
    let libraries: HashSet<_> =
        maps.lines().filter(|line| line.contains("csw_native")).map(|line| line.rsplit(' ').next()).collect();
    assert_eq!(libraries.len(), 1, "{libraries:?}");
    assert!(threads() <= before, "{} threads, and {before} before", threads());

    let gone = "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    stage.component.send(&error_for(STRANGER, "m1", gone));
    stage.client.next("message");
    let books = stage.gateway.csw(&["report", "--by", "business"]);
    assert!(books[0]["messages"] == 0 || books == json!([]), "{books}");
}

#[test]
fn module_that_is_unloaded_guards_no_more_and_guards_again_once_it_is_loaded() {
    let stage = Stage::set(Gateway::new());
    assert_eq!(stage.sends_text(STRANGER, 0).0, "deny");
    stage.gateway.shell("module unload csw whatsapp.example.com");
    stage.client.send(&text_to(STRANGER, "m1"));
    stage.component.next_where(|stanza| stanza.attribute("id") == "m1");
    assert_eq!(stage.gateway.decisions().len(), 1);
    stage.gateway.shell("module load csw whatsapp.example.com");
    assert_eq!(stage.sends_text(STRANGER, 0).0, "deny");
    stage.customer_writes(STRANGER, 0);
    assert_eq!(stage.sends_text(STRANGER, 0).0, "allow");
}

#[test]
fn hangup_reads_csw_toml_anew_and_keeps_the_gate_where_that_is_broken() {
    let stage = Stage::set(Gateway::new());
    assert_eq!(stage.sends_text(STRANGER, 0), answer("deny", "never_seen"));
    let toml = stage.gateway.read("csw.toml");
    stage.gateway.write("csw.toml", &format!("mode = \"monitor\"\n{toml}"));
    stage.gateway.signal("HUP");
    wait("the mode has changed", || stage.sends_text(STRANGER, 0).0 == "would-deny");

    stage.gateway.write("csw.toml", &format!("mode = \"maybe\"\n{toml}"));
    stage.gateway.signal("HUP");
    stage.gateway.wait_for_log("cannot open the gate, it stays as it was");
    assert_eq!(stage.sends_text(STRANGER, 0).0, "would-deny");
}

#[test]
fn what_was_submitted_is_on_disk_when_prosody_has_ended() {
    let mut gateway = Gateway::new().start();
    {
        let (component, client) = (gateway.component(), gateway.client("support"));
        let store = gateway.store();
        let writing = store.write_txn().unwrap();
        for n in 0..30 {
            let customer = format!("1650555{n:04}");
            client.send(&template_to(&customer, "m"));
            component.next("message");
            component.send(&format!(
                "<message from='1650556{n:04}@{COMPONENT}' to='support@example.com'><body>Hello</body></message>"
            ));
        }
        component.send(&format!(
            "<iq from='{COMPONENT}' to='example.com' type='get' id='read'><ping xmlns='urn:xmpp:ping'/></iq>"
        ));
        component.next("iq");
        gateway.signal("TERM");
        thread::sleep(Duration::from_millis(300));
        assert!(client.messages().is_empty(), "nothing of it is on disk");
        drop(writing);
        wait("those who wait get it", || client.messages().len() == 30);
    }
    gateway.start_again();
    assert_eq!(gateway.csw(&["report", "--by", "business"])[0]["messages"], 30);
    for n in 0..30 {
        assert_eq!(gateway.window(&format!("1650556{n:04}")), "open");
    }
}

#[test]
fn killed_server_knows_its_windows_and_its_messages_when_it_is_back() {
    let Stage { mut gateway, component, client } = Stage::set(Gateway::new());
    component
        .send(&format!("<message from='{CUSTOMER}@{COMPONENT}' to='support@example.com'><body>Hello</body></message>"));
    client.next("message");
    client.send(&template_to(STRANGER, "m1"));
    component.next("message");
    wait("it is in the books", || gateway.csw(&["report", "--by", "business"])[0]["messages"] == 1);
    gateway.signal("KILL");
    gateway.start_again();

    let (component, client) = (gateway.component(), gateway.client("support"));
    component.send(&error_for(STRANGER, "m1", "<error type='cancel'/>"));
    client.next("message");
    let stage = Stage { gateway, component, client };
    let books = stage.gateway.csw(&["report", "--by", "business"]);
    assert!(books[0]["messages"] == 0 || books == json!([]), "it was never sent: {books}");
    assert_eq!(stage.sends_text(CUSTOMER, 0), answer("allow", "window_open"));
}

#[test]
fn daemon_opens_its_store_after_it_has_forked() {
    let stage = Stage::set(Gateway::new().detached());
    stage.customer_writes(CUSTOMER, 0);
    assert_eq!(stage.sends_text(CUSTOMER, 0), answer("allow", "window_open"));
    assert!(!stage.gateway.log().contains("csw\terror"), "{}", stage.gateway.log());
}

#[test]
fn two_components_and_the_command_share_one_store() {
    let second = "\nComponent \"second.example.com\" component_secret = \"second\" modules_enabled = { \"csw\" } \
                  csw_config = \"/etc/csw.toml\" csw_business = \"106540352242922\"\n";
    let stage = Stage::set(Gateway::new().edit("csw_fail = \"closed\"", &format!("csw_fail = \"closed\"{second}")));
    let other = stream::Stream::component(stage.gateway.components, "second.example.com", "second");
    for n in 0..20 {
        let customer = format!("1650555{n:04}");
        stage.customer_writes(&customer, 0);
        stage
            .client
            .send(&format!("<message to='{customer}@second.example.com' id='{n}'><body>Hello</body></message>"));
        assert_eq!(other.next("message").attribute("id"), n.to_string());
    }
}

// --- what the documents say ---------------------------------------------------------------------

#[test]
fn configuration_of_the_readme_works() {
    let example = std::fs::read_to_string(manifest().join("examples/prosody/prosody.cfg.lua")).unwrap();
    let (of_the_server, _) = example.split_once("\nVirtualHost").unwrap();
    let readme = readme("lua", "Component \"whatsapp.example.com\"");
    let (of_the_readme, hosts) = readme.split_once("\nVirtualHost").unwrap();
    assert!(of_the_readme.lines().any(|line| of_the_server.contains(line) && line.starts_with("plugin_paths")));
    let stage = Stage::set(Gateway::new().edit(&example, &format!("{of_the_server}\nVirtualHost{hosts}")));
    assert_eq!(stage.sends_text(STRANGER, 0), answer("deny", "never_seen"));
    assert_eq!(stage.sends_template(STRANGER, "sale", 0), answer("allow", "template"));
    stage.customer_writes(CUSTOMER, 0);
    assert_eq!(stage.sends_text(CUSTOMER, 0), answer("allow", "window_open"));
}

#[test]
fn scenarios_come_out_as_in_every_gateway() {
    assert!(scenario::play(&Stage::new()) >= 5);
}
