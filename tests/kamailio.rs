//! The real Kamailio with the staged library in its processes: `examples/kamailio`, with the paths and addresses of a
//! test in place of its own, as Debian's user `kamailio` where the test may become it.
//!
//! Needs Debian's kamailio and kamailio-lua-modules and a staged `build/` (or `CSW_BUILD`): `make deps build`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;

#[path = "support/gateway.rs"]
mod gateway;
#[path = "support/scenario.rs"]
mod scenario;
#[path = "kamailio/sip.rs"]
mod sip;
#[path = "kamailio/workshop.rs"]
mod workshop;

use gateway::{rfc3339, timed};
use scenario::Driver;
use workshop::*;

fn pair(verdict: &str, reason: &str) -> (String, String) {
    (verdict.into(), reason.into())
}

// --- what goes out ------------------------------------------------------------------------------

#[test]
fn message_passes_while_the_window_is_open_and_is_stopped_when_it_is_not() {
    let gateway = Gateway::with_test_clock().start();
    let noon = now() - 48 * HOUR;
    assert_eq!(gateway.sends_text(CUSTOMER, noon), pair("deny", "never_seen"));

    gateway.customer_writes(CUSTOMER, noon);
    assert_eq!(gateway.sends_text(CUSTOMER, noon + 23 * HOUR), pair("allow", "window_open"));
    assert_eq!(gateway.sends_text(CUSTOMER, noon + 24 * HOUR), pair("deny", "window_closed"));
    assert_eq!(gateway.sends_template(CUSTOMER, "order_update", noon + 24 * HOUR), pair("allow", "template"));
    assert_eq!(gateway.trunk.requests().len(), 2, "what passed, and nothing else");
    assert_eq!(gateway.application.requests().len(), 1, "what the customer wrote");
}

#[test]
fn stopped_message_is_answered_with_the_platforms_code() {
    let gateway = Gateway::new().start();
    let reply = gateway.send(&text(STRANGER));
    assert_eq!((reply.status(), reply.phrase()), (403, "Customer service window closed"));
    assert_eq!(reply.headers("Reason"), ["WhatsApp;cause=131047;text=\"never_seen\""]);
    assert_eq!(reply.decision(), pair("deny", "never_seen"));
    assert_eq!(reply.header("X-CSW-Conversation"), "none");
    assert_eq!(gateway.trunk.requests().len(), 0);

    let gateway = Gateway::new().toml("[templates]\npolicy = \"require_approved\"\n").start();
    let reply = gateway.send(&template(STRANGER, "no_such"));
    assert_eq!((reply.status(), reply.phrase()), (403, "Template unknown"));
    assert_eq!(reply.header("Reason"), "WhatsApp;cause=132001;text=\"template_unknown\"");
}

#[test]
fn passed_message_arrives_as_it_was_with_the_decision_beside_it() {
    let gateway = Gateway::new().start();
    gateway.receive(&inbound(CUSTOMER));

    let body = "Größe \"L\"?\r\n\t\\ \u{1f9e6}\n".as_bytes();
    let message = text(CUSTOMER).body(body).header("Subject", "Sizes").header("Route", "<sip:127.0.0.9;lr>");
    let reply = gateway.send(&message);
    assert_eq!((reply.status(), reply.decision()), (200, pair("allow", "window_open")));
    assert_eq!(reply.header("X-CSW-Conversation"), "opens service");

    let arrived = &gateway.trunk.requests()[0];
    assert_eq!(arrived.body, body);
    assert_eq!(arrived.header("Subject"), "Sizes");
    assert_eq!(arrived.decision(), pair("allow", "window_open"));
    assert!(arrived.header("X-CSW-Window-Expires").ends_with('Z'));
}

#[test]
fn nobody_else_speaks_for_csw() {
    let gateway = Gateway::new().trunk(|_| Some(Answer::new(200).header("X-CSW-Verdict", "deny"))).start();
    let forged = |message: Message| message.header("X-CSW-Verdict", "allow").header("x-csw-parked", "1");
    assert_eq!(gateway.receive(&forged(inbound(CUSTOMER))).status(), 200);
    assert_eq!(gateway.application.requests()[0].headers("X-CSW-Verdict"), Vec::<String>::new());

    let reply = gateway.send(&forged(text(CUSTOMER)));
    assert_eq!(reply.headers("X-CSW-Verdict"), ["allow"]);
    let arrived = &gateway.trunk.requests()[0];
    assert_eq!(arrived.headers("X-CSW-Verdict"), ["allow"]);
    assert_eq!(arrived.headers("X-CSW-Parked"), Vec::<String>::new());
    assert_eq!(gateway.send(&forged(text(STRANGER))).headers("X-CSW-Verdict"), ["deny"]);
}

#[test]
fn template_is_told_by_a_header_or_by_the_content_type() {
    let gateway = Gateway::new()
        .edit("csw.toml", "summer_promotion = ", "\"summer/de\" = \"utility\"\nsummer_promotion = ")
        .start();
    let category = |message: &Message| {
        let reply = gateway.send(message);
        assert_eq!((reply.status(), reply.decision()), (200, pair("allow", "template")), "{reply:?}");
        gateway.decisions().pop().unwrap()["category"].as_str().unwrap().to_owned()
    };
    let with = |name: &str, value: &str| text(STRANGER).header(name, value);

    assert_eq!(category(&with("X-WhatsApp-Template", "summer; language=de")), "utility");
    assert_eq!(category(&with("x-whatsapp-template", " summer ;language = \"de\"")), "utility");
    assert_eq!(category(&with("X-WhatsApp-Template", "summer;language=fr")), "unknown");
    assert_eq!(category(&with("X-WhatsApp-Template", "summer")), "unknown", "en_US");
    let media = "application/x-whatsapp-template";
    assert_eq!(category(&with("Content-Type", &format!("{media}; name=summer; language=de"))), "utility");
    assert_eq!(category(&with("Content-Type", &format!("{media};language=\"de\";name=\"summer\""))), "utility");
    let compact = Message { headers: vec![("c".into(), format!("{media};name=summer"))], ..text(STRANGER) };
    assert_eq!(category(&compact), "unknown");

    // What says template and names none is free-form.
    assert_eq!(gateway.send(&with("Content-Type", media)).decision(), pair("deny", "never_seen"));
    for empty in ["", ";language=de", "; ;"] {
        let reply = gateway.send(&with("X-WhatsApp-Template", empty));
        assert_eq!(reply.decision(), pair("deny", "never_seen"), "{empty:?}");
    }
    assert_eq!(gateway.send(&with("Content-Type", "application/x-whatsapp-templates; name=summer")).status(), 403);
}

#[test]
fn business_and_customer_are_found_as_configured() {
    // By the display number, in From.
    let gateway = Gateway::new().start();
    gateway.receive(&Message::new(CUSTOMER, "+15550783881"));
    assert_eq!(gateway.send(&Message::new("15550783881", CUSTOMER)).decision(), pair("allow", "window_open"));
    assert_eq!(gateway.send(&text(CUSTOMER)).decision(), pair("allow", "window_open"), "the same number");
    assert_eq!(gateway.send(&Message::new("15550000000", CUSTOMER)).decision(), pair("deny", "never_seen"));

    // One for all, and a header.
    let gateway = Gateway::new()
        .edit("csw.lua", "business = { send = \"$fU\", received = \"$rU\" }", &format!("business = \"{BUSINESS}\""))
        .edit("csw.lua", "received = \"$fU\" }", "received = \"$hdr(X-Customer)\" }")
        .start();
    gateway.receive(&Message::new("anonymous", "sales").header("X-Customer", CUSTOMER));
    assert_eq!(gateway.send(&Message::new("shop", CUSTOMER)).decision(), pair("allow", "window_open"));

    // A function that reads the message.
    let gateway = Gateway::new()
        .edit("csw.lua", "send = \"$fU\"", "send = function() return KSR.hdr.get(\"X-Business\") end")
        .start();
    gateway.receive(&inbound(CUSTOMER));
    let message = Message::new("shop", CUSTOMER);
    assert_eq!(gateway.send(&message.clone().header("X-Business", BUSINESS)).decision(), pair("allow", "window_open"));
    assert_eq!(gateway.send(&message).status(), 400, "nobody's");

    let gateway =
        Gateway::new().edit("csw.lua", "send = \"$fU\"", "send = function() error(\"no such table\") end").start();
    assert_eq!(gateway.send(&text(CUSTOMER)).status(), 400, "a failing function leaves no client without an answer");
    gateway.wait_for_log("no such table");
}

#[test]
fn numbers_are_read_in_every_way_in_which_sip_writes_them() {
    let gateway = Gateway::new().start();
    assert_eq!(gateway.receive(&inbound(CUSTOMER)).status(), 200);
    for uri in [
        "sip:+16505551234@example.com;user=phone",
        "sip:%2B1650555%31234@example.com",
        "sip:+1-650-555-1234@example.com",
        "sip:+16505551234;phone-context=example.com@example.com",
        "sip:+16505551234:secret@example.com",
        "sips:16505551234@example.com",
        "tel:+16505551234",
        "tel:+1-650-555-1234;phone-context=+1",
        "tel:+1(650)555.1234",
    ] {
        let reply = gateway.send(&text(CUSTOMER).uri(uri));
        assert_eq!((reply.status(), reply.decision()), (200, pair("allow", "window_open")), "{uri}");
    }
    for (from, customer) in
        [("<tel:+16505550002>;tag=1", "16505550002"), ("\"Ann <3\" <sip:%2b16505550003@x>;tag=1", "16505550003")]
    {
        assert_eq!(gateway.receive(&Message { from: from.into(), ..inbound(CUSTOMER) }).status(), 200, "{from}");
        assert_eq!(gateway.send(&text(customer)).decision(), pair("allow", "window_open"), "{from}");
    }
}

#[test]
fn message_to_or_from_nobody_is_refused_for_good() {
    let gateway = Gateway::new().start();
    for uri in ["sip:example.com", "sip:anonymous@example.com", "sip:12@example.com"] {
        assert_eq!(gateway.send(&text(CUSTOMER).uri(uri)).decision(), pair("deny", "never_seen"), "to {uri}");
    }
    for uri in ["sip:anonymous@example.com", "sip:%00@example.com", "sip:1650555123456789@example.com"] {
        let from = format!("<{uri}>;tag=1");
        let reply = gateway.receive(&Message { from, ..inbound(CUSTOMER) });
        assert_eq!(reply.status(), 400, "from {uri}: the trunk must not repeat it for ever");
    }
    assert_eq!(gateway.trunk.requests().len() + gateway.application.requests().len(), 0);
}

#[test]
fn modes_of_a_number_hold() {
    let gateway = Gateway::new().top("mode = \"monitor\"\n").start();
    let reply = gateway.send(&text(STRANGER));
    assert_eq!((reply.status(), reply.decision()), (200, pair("would-deny", "never_seen")));
    assert_eq!(gateway.trunk.requests()[0].decision(), pair("would-deny", "never_seen"));

    let gateway = Gateway::new().top("mode = \"off\"\n").start();
    assert_eq!(gateway.send(&text(STRANGER)).status(), 200);

    let gateway = Gateway::new().toml("enabled = false\n").start();
    let reply = gateway.send(&template(STRANGER, "order_update"));
    assert_eq!((reply.status(), reply.phrase()), (403, "Number not enabled"));
    assert_eq!(reply.header("Reason"), "WhatsApp;cause=133010;text=\"number_not_enabled\"");
}

#[test]
fn typing_and_read_receipts_pass_and_open_nothing() {
    let gateway = Gateway::new().start();
    for media in ["application/im-iscomposing+xml", "message/imdn+xml;charset=utf-8"] {
        let notice = |message: Message| message.header("Content-Type", media);
        assert_eq!(gateway.send(&notice(text(STRANGER))).decision(), pair("allow", "receipt"), "{media}");
        assert_eq!(gateway.receive(&notice(inbound(CUSTOMER))).status(), 200);
        assert_eq!(gateway.send(&text(CUSTOMER)).decision(), pair("deny", "never_seen"), "{media}");
    }
    assert_eq!(gateway.application.requests().len(), 2, "the application sees them");
}

#[test]
fn bodies_of_every_kind_are_decided_about() {
    let gateway = Gateway::new().start();
    gateway.receive(&inbound(CUSTOMER));
    let large = |size: usize| text(CUSTOMER).body(&vec![b'x'; size]);

    assert_eq!(gateway.send(&large(30_000)).decision(), pair("allow", "window_open"));
    assert_eq!(gateway.send_over_tcp(&large(40_000)).decision(), pair("allow", "window_open"));
    let sizes: Vec<_> = gateway.trunk.requests().iter().map(|request| request.body.len()).collect();
    assert_eq!(sizes, [30_000, 40_000]);

    assert_eq!(gateway.send(&text(CUSTOMER).body(b"")).decision(), pair("allow", "window_open"));
    assert_eq!(gateway.send(&text(CUSTOMER).body(b"a\0b\"}\\")).decision(), pair("allow", "window_open"));
    assert_eq!(gateway.trunk.requests()[3].body, b"a\0b\"}\\");

    // WhatsApp's texts are UTF-8; what is none is no message.
    let reply = gateway.send(&text(CUSTOMER).body(b"Gr\xf6\xdfe"));
    assert_eq!((reply.status(), reply.phrase()), (400, "Bad Request"));
    assert_eq!(gateway.trunk.requests().len(), 4);
    assert_eq!(
        gateway.receive(&inbound(STRANGER).body(b"Gr\xf6\xdfe")).status(),
        200,
        "it opens the window all the same"
    );
    assert_eq!(gateway.send(&text(STRANGER)).decision(), pair("allow", "window_open"));
}

#[test]
fn malformed_requests_are_answered_and_nothing_else_happens() {
    let gateway = Gateway::new().start();
    let socket = UdpSocket::bind((IpAddr::from(HERE), 0)).unwrap();
    let whole = String::from_utf8(text(STRANGER).render(Transport::Udp, socket.local_addr().unwrap())).unwrap();
    let without = |name: &str| {
        let lines = whole.split("\r\n").filter(|line| !line.starts_with(name));
        lines.collect::<Vec<_>>().join("\r\n")
    };
    for name in ["Call-ID:", "CSeq:", "From:", "To:"] {
        let _ = socket.send_to(without(name).as_bytes(), ("127.0.0.1", gateway.port));
    }
    for (from, to) in [
        ("CSeq: 1 MESSAGE", "CSeq: x MESSAGE"),
        ("CSeq: 1 MESSAGE", "CSeq: 1 INVITE"),
        ("<sip:106540352242922@example.com>", "<sip:::>"),
        ("MESSAGE sip:16505559999", "MESSAGE http:16505559999"),
        ("MESSAGE sip:16505559999", "MESSAGE sip:"),
        ("Content-Length: 5", "Content-Length: 500"),
    ] {
        let status = exchange_bytes(&socket, gateway.port, whole.replace(from, to).as_bytes()).status();
        assert!((400..500).contains(&status), "{to}: {status}");
    }
    let method = |method: &'static str| gateway.send(&Message { method, ..text(STRANGER) }).status();
    assert_eq!((method("INVITE"), method("SUBSCRIBE")), (405, 405));

    assert_eq!(gateway.send(&text(STRANGER)).decision(), pair("deny", "never_seen"), "it runs");
    assert_eq!(gateway.decisions().len(), 1);
    assert_eq!(gateway.trunk.requests().len(), 0);
}

#[test]
fn strange_headers_inject_nothing() {
    let gateway = Gateway::new().start();
    gateway.receive(&inbound(CUSTOMER));
    for strange in [
        "a\" ; text=\"x",
        "$ci$(ci{s.md5})",
        "%0d%0aX-Evil: 1",
        "\u{1}\u{7f}",
        "x;language=\"de\\\"",
        "$avp(csw_token)",
    ] {
        for message in [
            template(CUSTOMER, "x").header("X-WhatsApp-Template", strange),
            Message { from: format!("\"{strange}\" <sip:{BUSINESS}@example.com>;tag=1"), ..text(STRANGER) },
            text(&format!("1650%0d%0aX-Evil:{strange}").replace([' ', '"', '\u{1}', '\u{7f}', '\\', '$', '('], "")),
        ] {
            let reply = gateway.send(&message);
            assert_eq!(reply.headers("X-Evil"), Vec::<String>::new(), "{strange}");
            assert!(reply.headers("Reason").len() <= 1 && reply.headers("X-CSW-Verdict").len() <= 1, "{reply:?}");
        }
    }
    for user in ["%0aforged: x", "x%0a%1b[1m%ff"] {
        gateway.receive(&Message {
            from: format!("<sip:{user}@example.com>;tag=1").replace(' ', ""),
            ..inbound(CUSTOMER)
        });
    }
    assert!(!gateway.log().lines().any(|line| line.starts_with("forged")));
    for line in gateway.log().lines().filter(|line| line.contains("csw: ")) {
        assert!(line.is_ascii() && !line.contains("X-Evil: "), "{line}");
    }
    assert!(!gateway.log().contains("pv_parse"), "what a message holds is never a pseudo-variable");
}

// --- accounting ---------------------------------------------------------------------------------

#[test]
fn books_say_what_was_sent_and_stopped() {
    let gateway = Gateway::new().start();
    let first = gateway.send(&template(STRANGER, "order_update"));
    assert_eq!(first.header("X-CSW-Conversation"), "opens utility");
    let second = gateway.send(&template(STRANGER, "order_update"));
    assert_eq!(second.header("X-CSW-Conversation"), "joins utility", "the reply came when it was on record");
    assert_eq!(gateway.send(&text(STRANGER)).status(), 403);

    let books = || gateway.csw(&["report", "--by", "business"]);
    wait("the stopped one is in the books", || books()[0]["stopped"] == 1);
    assert_eq!((&books()[0]["messages"], &books()[0]["conversations"]), (&json!(2), &json!(1)));
}

#[test]
fn message_is_accounted_when_the_trunk_accepts_it_and_not_before() {
    let gateway = Gateway::new()
        .edit("kamailio.cfg", "\"fr_timer\", 30000", "\"fr_timer\", 1000")
        .trunk(|n| match n {
            1 => Some(Answer::new(480)),
            2 => Some(Answer::new(503)),
            3 => None,
            4 => Some(Answer::new(202)),
            _ => Some(Answer::new(200)),
        })
        .start();
    let conversation = || {
        let reply = gateway.send(&template(STRANGER, "order_update"));
        (reply.status(), reply.header("X-CSW-Conversation"))
    };
    assert_eq!(conversation(), (480, "opens utility".into()));
    assert_eq!(conversation().0, 500, "a proxy's 503 is its own (RFC 3261, 16.7)");
    assert_eq!(conversation().0, 408);
    assert_eq!(conversation(), (202, "opens utility".into()));
    assert_eq!(conversation(), (200, "joins utility".into()));
    assert_eq!(gateway.csw(&["report", "--by", "business"])[0]["messages"], 2);
}

#[test]
fn platforms_refusal_that_the_trunk_names_closes_the_window() {
    let refusal = || Answer::new(403).header("Reason", "SIP;cause=403, WhatsApp;cause=131047;text=\"window_closed\"");
    let gateway =
        Gateway::with_test_clock().trunk(move |n| Some(if n == 1 { refusal() } else { Answer::new(200) })).start();
    let noon = now() - HOUR;
    gateway.customer_writes(CUSTOMER, noon);

    assert_eq!(gateway.send(&text(CUSTOMER).at(noon + 5_000)).status(), 403);
    wait("the refusal is on record", || {
        gateway.sends_text(CUSTOMER, noon + 60_000) == pair("deny", "refused_by_platform")
    });
    gateway.customer_writes(CUSTOMER, noon + 120_000);
    assert_eq!(gateway.sends_text(CUSTOMER, noon + 121_000), pair("allow", "window_open"));
    wait("and in the books", || gateway.csw(&["report", "--by", "business"])[0]["refused"] == 1);
}

#[test]
fn client_that_uses_its_call_id_again_sends_messages_of_their_own() {
    let gateway = Gateway::new().start();
    gateway.receive(&inbound(CUSTOMER));
    let message = text(CUSTOMER);
    for _ in 0..3 {
        assert_eq!(gateway.send(&message.clone().again()).status(), 200);
    }
    // Nor does one hide that is no text.
    let socket = UdpSocket::bind((IpAddr::from(HERE), 0)).unwrap();
    let mut bytes = text(CUSTOMER).render(Transport::Udp, socket.local_addr().unwrap());
    let place = bytes.windows(6).position(|six| six == b"\ncall-" || six == b" call-").unwrap();
    bytes[place + 1..place + 5].copy_from_slice(b"\xff\"\\\xfe");
    assert_eq!(exchange_bytes(&socket, gateway.port, &bytes).status(), 200);
    assert_eq!(gateway.trunk.requests().len(), 4);
    assert_eq!(gateway.csw(&["report", "--by", "business"])[0]["messages"], 4);
}

#[test]
fn retransmissions_are_one_message() {
    let gateway = Gateway::new().start();
    let here = UdpSocket::bind((IpAddr::from(HERE), 0)).unwrap();
    let trunk = UdpSocket::bind((IpAddr::from(TRUNK), 0)).unwrap();
    let mut buffer = vec![0; 65536];
    let mut storm = |socket: &UdpSocket, message: &Message, status: u16| {
        let bytes = message.render(Transport::Udp, socket.local_addr().unwrap());
        for _ in 0..8 {
            socket.send_to(&bytes, ("127.0.0.1", gateway.port)).unwrap();
        }
        while let Some(reply) = final_reply(socket, Duration::from_millis(150), &mut buffer) {
            assert_eq!(reply.status(), status);
        }
    };

    storm(&trunk, &inbound(CUSTOMER), 200);
    storm(&here, &text(CUSTOMER), 200);
    storm(&here, &text(STRANGER), 403);
    assert_eq!(gateway.application.requests().len(), 1);
    assert_eq!(gateway.trunk.requests().len(), 1);
    assert_eq!(gateway.decisions().len(), 2);
    let books = || gateway.csw(&["report", "--by", "business"]);
    wait("the stopped one is in the books", || books()[0]["stopped"] == 1);
    assert_eq!(books()[0]["messages"], 1);
}

// --- what comes in ------------------------------------------------------------------------------

#[test]
fn customers_message_is_answered_when_every_process_sees_its_window() {
    let gateway = Gateway::new().processes(4).start();
    for n in 0..30 {
        let customer = format!("1650555{n:04}");
        assert_eq!(gateway.receive(&inbound(&customer)).status(), 200);
        assert_eq!(gateway.send(&text(&customer)).decision(), pair("allow", "window_open"), "with no wait at all");
    }
}

#[test]
fn customers_message_that_comes_again_changes_nothing() {
    let gateway = Gateway::with_test_clock().start();
    let noon = now() - 48 * HOUR;
    let message = inbound(CUSTOMER);
    assert_eq!(gateway.receive(&message.clone().at(noon)).status(), 200);
    assert_eq!(gateway.receive(&message.clone().again().at(noon + HOUR)).status(), 200);
    assert_eq!(gateway.sends_text(CUSTOMER, noon + 24 * HOUR), pair("deny", "window_closed"));

    assert_eq!(gateway.receive(&Message { cseq: 2, ..message }.again().at(noon + HOUR)).status(), 200);
    assert_eq!(gateway.sends_text(CUSTOMER, noon + 24 * HOUR), pair("allow", "window_open"), "the next one does");
}

#[test]
fn window_starts_when_the_customer_wrote_and_not_when_the_message_arrives() {
    let gateway = Gateway::new().start();
    let date =
        |when: &str| shell(&format!("LC_ALL=C date -u -d '{when}' '+%a, %d %b %Y %H:%M:%S GMT'")).trim().to_owned();
    let written = |customer: &str, date: &str| {
        assert_eq!(gateway.receive(&inbound(customer).header("Date", date)).status(), 200, "{date}");
        let reply = gateway.send(&text(customer));
        (reply.decision(), reply.header("X-CSW-Window-Expires"))
    };
    for (n, (when, decision)) in [
        ("23 hours ago", pair("allow", "window_open")),
        ("25 hours ago", pair("deny", "window_closed")),
        ("400 days ago", pair("deny", "window_closed")),
        ("29 February 2024 23:59:59", pair("deny", "window_closed")),
        ("31 December 2023 00:00:00", pair("deny", "window_closed")),
        ("1 March 2025 12:34:56", pair("deny", "window_closed")),
    ]
    .into_iter()
    .enumerate()
    {
        let date = date(when);
        let expires = shell(&format!("date -u -d '{date} + 24 hours' +%Y-%m-%dT%H:%M:%S.000Z"));
        assert_eq!(written(&format!("1650555000{n}"), &date), (decision, expires.trim().into()), "{when}");
    }

    // The future opens nothing longer, and what is no date is none.
    for (n, odd) in
        [date("3 days").as_str(), "yesterday", "Thu, 99 Xyz 2024 10:00:00 GMT", "Sat, 01 Jan 0000 00:00:00 GMT", ""]
            .into_iter()
            .enumerate()
    {
        let day = || rfc3339(now() + 24 * HOUR);
        let (earliest, (_, expires), latest) = (day(), written(&format!("1650555002{n}"), odd), day());
        assert!(earliest <= expires && expires <= latest, "{odd}: {expires}");
    }
}

#[test]
fn gateway_without_an_application_answers_itself() {
    let gateway = Gateway::new().edit("csw.lua", "APPLICATION = \"sip:", "APPLICATION = nil -- \"sip:").start();
    assert_eq!(gateway.receive(&inbound(CUSTOMER)).status(), 200);
    assert_eq!(gateway.application.requests().len(), 0);
    assert_eq!(gateway.send(&text(CUSTOMER)).decision(), pair("allow", "window_open"));
}

#[test]
fn store_that_hangs_holds_no_process_longer_than_its_bound() {
    let gateway = Gateway::new().edit("csw.lua", "longest_wait = 2000", "longest_wait = 1000").start();
    for _ in 0..20 {
        gateway.receive(&inbound(CUSTOMER));
    }

    let store = gateway.store();
    let writing = store.write_txn().unwrap();
    let message = inbound(STRANGER);
    let (reply, took) = timed(|| gateway.receive(&message));
    assert_eq!(reply.status(), 503);
    assert!(took > Duration::from_millis(900) && took < Duration::from_secs(3), "{took:?}");

    // From then on no process waits that has waited in vain: two do at most.
    let mut late = 0;
    for _ in 0..20 {
        let (reply, took) = timed(|| gateway.receive(&inbound(STRANGER)));
        assert_eq!(reply.status(), 503);
        late += usize::from(took > Duration::from_millis(500));
        let (reply, took) = timed(|| gateway.send(&text(CUSTOMER)));
        assert_eq!(reply.decision(), pair("allow", "window_open"));
        late += usize::from(took > Duration::from_millis(500));
    }
    assert!(late <= 1, "{late} messages waited");
    assert_eq!(gateway.send(&text(STRANGER)).decision(), pair("deny", "never_seen"));
    gateway.wait_for_log("a customer's message is not on record");
    drop(writing);

    wait("the trunk's repeat is taken", || gateway.receive(&message.clone().again()).status() == 200);
    assert_eq!(gateway.send(&text(STRANGER)).decision(), pair("allow", "window_open"));
}

#[test]
fn store_that_hangs_from_the_start_holds_no_process_either() {
    let mut gateway = Gateway::new().edit("csw.lua", "longest_wait = 2000", "longest_wait = 1000").start();
    gateway.receive(&inbound(CUSTOMER));
    gateway.stop();
    let store = gateway.store();
    let writing = store.write_txn().unwrap();
    gateway.restart();

    let mut late = 0;
    for _ in 0..10 {
        let (reply, took) = timed(|| gateway.send(&text(CUSTOMER)));
        assert_eq!((reply.status(), reply.decision()), (200, pair("allow", "window_open")), "what is known is known");
        late += usize::from(took > Duration::from_millis(500));
        let (reply, took) = timed(|| gateway.receive(&inbound(CUSTOMER)));
        assert_eq!(reply.status(), 503);
        late += usize::from(took > Duration::from_millis(500));
    }
    assert!((1..=2).contains(&late), "{late} messages waited");
    drop(writing);
    wait("it goes on", || gateway.receive(&inbound(CUSTOMER)).status() == 200);
}

#[test]
fn reply_does_not_wait_for_the_disk_where_configured() {
    let gateway = Gateway::new().edit("csw.lua", "wait_for_sends = true", "wait_for_sends = false").start();
    gateway.receive(&inbound(CUSTOMER));
    let store = gateway.store();
    let writing = store.write_txn().unwrap();
    for _ in 0..6 {
        let (reply, took) = timed(|| gateway.send(&text(CUSTOMER)));
        assert_eq!(reply.status(), 200);
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    drop(writing);
    wait("all are in the books", || gateway.csw(&["report", "--by", "business"])[0]["messages"] == 6);
}

// --- faults -------------------------------------------------------------------------------------

#[test]
fn broken_store_fails_as_csw_toml_says() {
    let gateway = Gateway::new().broken_store().start();
    let reply = gateway.send(&text(STRANGER));
    assert_eq!((reply.status(), reply.phrase()), (503, "Service Unavailable"));
    assert_eq!(reply.decision(), pair("deny", "fault_closed"));
    assert_eq!(gateway.receive(&inbound(CUSTOMER)).status(), 503, "the trunk repeats it");
    gateway.wait_for_log("send refused without a decision");
    gateway.wait_for_log("a customer's message is not on record");

    let gateway = Gateway::new().broken_store().top("fail = \"open\"\n").start();
    let reply = gateway.send(&text(STRANGER));
    assert_eq!((reply.status(), reply.decision()), (200, pair("allow", "fault_open")));
    assert_eq!(gateway.send(&text(STRANGER).body(b"\xff")).status(), 400, "no message, whatever fails");
    gateway.wait_for_log("send passed without a decision");
}

#[test]
fn broken_configuration_fails_as_the_hook_is_told_until_it_is_mended() {
    let gateway = Gateway::new().top("modes = \"monitor\"\n").start();
    assert_eq!(gateway.send(&text(STRANGER)).decision(), pair("deny", "fault_closed"));
    assert_eq!(gateway.send(&text(STRANGER)).status(), 503);
    assert_eq!(gateway.receive(&inbound(CUSTOMER)).status(), 503);
    gateway.wait_for_log("cannot open the gate, sends fail closed");
    assert!(gateway.log().contains("modes"), "it says what is wrong");

    gateway.rewrite("csw.toml", "modes = \"monitor\"", "mode = \"enforce\"");
    wait("the gate opens by itself", || gateway.receive(&inbound(CUSTOMER)).status() == 200);
    wait("in each process", || (0..6).all(|_| gateway.send(&text(CUSTOMER)).status() == 200));
    gateway.wait_for_log("the gate is open now");

    let gateway =
        Gateway::new().top("rulez = \"guide\"\n").edit("csw.lua", "fail = \"closed\"", "fail = \"open\"").start();
    assert_eq!(gateway.send(&text(STRANGER)).decision(), pair("allow", "fault_open"));
    assert_eq!(gateway.receive(&inbound(CUSTOMER)).status(), 503);
}

#[test]
fn kamailio_does_not_start_with_a_mistake_in_its_configuration() {
    let error = |file, from, to| Gateway::new().edit(file, from, to).try_start().err().unwrap();
    let said = error("csw.lua", "longest_wait = 2000", "longest_weight = 2000");
    assert!(said.contains("no option is called longest_weight"), "{said}");
    let said = error("csw.lua", "longest_wait = 2000", "longest_wait = \"2s\"");
    assert!(said.contains("longest_wait is a string; expected number"), "{said}");
    let said = error("kamailio.cfg", "loadmodule \"textops.so\"", "");
    assert!(said.contains("csw.kamailio needs the module textops: loadmodule \"textops.so\""), "{said}");
}

#[test]
fn clock_is_set_from_outside_only_where_configured() {
    let gateway = Gateway::new().start();
    assert_eq!(gateway.receive(&inbound(CUSTOMER).at(now() - 48 * HOUR)).status(), 200);
    assert_eq!(gateway.sends_text(CUSTOMER, now() + 48 * HOUR), pair("allow", "window_open"), "now is now");
    assert_eq!(gateway.trunk.requests()[0].headers("X-CSW-At"), Vec::<String>::new());
}

#[test]
fn trunk_may_speak_tcp_and_may_be_away() {
    let gateway = Gateway::new().trunk_over_tcp().start();
    gateway.receive(&inbound(CUSTOMER));
    for _ in 0..3 {
        assert_eq!(gateway.send_over_tcp(&text(CUSTOMER)).decision(), pair("allow", "window_open"));
    }
    assert_eq!(gateway.trunk.requests().len(), 3);

    let away = format!("relay(\"sip:127.0.0.2:{};transport=tcp\")", gateway::closed_port());
    let gateway = Gateway::new().edit("csw.lua", "relay(TRUNK)", &away).start();
    let reply = gateway.send(&template(STRANGER, "order_update"));
    assert!((500..600).contains(&reply.status()) || reply.status() == 408, "{reply:?}");
    assert_eq!(gateway.csw(&["report", "--by", "business"]), json!([]), "nothing went out");
}

#[test]
fn strangers_hosts_send_nothing() {
    let gateway = Gateway::new()
        .edit("csw.lua", "CLIENT_ADDRESSES = { [\"127.0.0.1\"]", "CLIENT_ADDRESSES = { [\"127.0.0.9\"]")
        .start();
    assert_eq!(gateway.send(&text(STRANGER)).status(), 403);
    assert_eq!(gateway.decisions().len(), 0);
}

// --- processes ----------------------------------------------------------------------------------

#[test]
fn many_clients_at_once_are_decided_about_one_by_one() {
    let gateway = Gateway::new().processes(4).start();
    thread::scope(|scope| {
        for client in 0..6 {
            let gateway = &gateway;
            scope.spawn(move || {
                for n in 0..15 {
                    let customer = format!("1650{client:03}{n:04}");
                    assert_eq!(gateway.send(&text(&customer)).decision(), pair("deny", "never_seen"));
                    assert_eq!(gateway.receive(&inbound(&customer)).status(), 200);
                    assert_eq!(gateway.send(&text(&customer)).decision(), pair("allow", "window_open"));
                }
            });
        }
    });
    assert_eq!(gateway.decisions().len(), 180);
    let books = || gateway.csw(&["report", "--by", "business"]);
    wait("everything is in the books", || books()[0]["stopped"] == 90);
    assert_eq!(books()[0]["messages"], 90);
}

#[test]
fn reload_under_load_loses_nothing_and_loads_no_second_library() {
    let gateway = Gateway::new().processes(3).start();
    assert_eq!(gateway.receive(&inbound(CUSTOMER)).status(), 200);

    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for n in 0..4 {
            let (gateway, stop, answered, failures) = (&gateway, &stop, &answered, &failures);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let reply =
                        if n == 0 { gateway.receive(&inbound(CUSTOMER)) } else { gateway.send(&text(CUSTOMER)) };
                    if reply.status() != 200 {
                        failures.lock().unwrap().push(reply);
                    }
                    answered.fetch_add(usize::from(n != 0), Ordering::Relaxed);
                }
            });
        }
        let _over = Over(&stop);
        for _ in 0..5 {
            gateway.reload();
            let before = answered.load(Ordering::Relaxed);
            wait("messages go on", || answered.load(Ordering::Relaxed) > before + 20);
        }
    });
    assert!(failures.lock().unwrap().is_empty(), "{:?}", failures.lock().unwrap());
    let sent = answered.load(Ordering::Relaxed);
    assert_eq!(gateway.csw(&["report", "--by", "business"])[0]["messages"], sent);
    assert_eq!(gateway.trunk.requests().len(), sent);

    for process in gateway.processes() {
        let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
        let copies = maps.lines().filter(|line| line.contains("csw_native") && line.contains("r-xp"));
        assert_eq!(copies.count(), 1, "of process {process}");
        let stores = fs::read_dir(format!("/proc/{process}/fd")).unwrap().filter(|file| {
            let target = fs::read_link(file.as_ref().unwrap().path());
            target.is_ok_and(|target| target.ends_with("data.mdb"))
        });
        assert!(stores.count() <= 2, "process {process} opened the store again");
        let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap().count();
        assert!(threads <= 3, "process {process} has {threads} threads");
    }
}

#[test]
fn reload_reads_csw_toml_anew_and_keeps_the_old_gate_where_it_cannot() {
    let gateway = Gateway::new().start();
    assert_eq!(gateway.receive(&inbound(CUSTOMER)).status(), 200);
    assert_eq!(gateway.send(&text(STRANGER)).status(), 403);

    gateway.rewrite("csw.toml", "rules = ", "mode = \"monitor\"\nrules = ");
    gateway.reload();
    for _ in 0..4 {
        assert_eq!(gateway.send(&text(STRANGER)).decision(), pair("would-deny", "never_seen"));
        assert_eq!(gateway.send(&text(CUSTOMER)).decision(), pair("allow", "window_open"));
    }

    gateway.rewrite("csw.toml", "mode = \"monitor\"", "mode = \"watch\"");
    gateway.reload();
    for _ in 0..4 {
        assert_eq!(gateway.send(&text(STRANGER)).decision(), pair("would-deny", "never_seen"));
    }
    gateway.wait_for_log("the gate stays as it was");
    gateway.rewrite("csw.toml", "mode = \"watch\"", "mode = \"enforce\"");
    gateway.reload();
    assert_eq!(gateway.send(&text(STRANGER)).decision(), pair("deny", "never_seen"));
}

#[test]
fn window_outlives_the_gateway() {
    let mut gateway = Gateway::new().start();
    gateway.receive(&inbound(CUSTOMER));
    gateway.send(&template(CUSTOMER, "order_update"));
    gateway.restart();
    assert_eq!(gateway.send(&text(CUSTOMER)).decision(), pair("allow", "window_open"));

    // Kamailio ends when one of its processes is killed, and its service manager starts it again.
    let process = *gateway.processes().iter().max().unwrap();
    shell(&format!("kill -KILL {process}"));
    wait("it ends", || gateway.kamailio.try_wait().unwrap().is_some());
    gateway.restart();
    assert_eq!(gateway.send(&text(CUSTOMER)).decision(), pair("allow", "window_open"));
    let joined = gateway.send(&template(CUSTOMER, "order_update"));
    assert_eq!(joined.header("X-CSW-Conversation"), "joins utility");
}

#[test]
fn what_was_answered_is_on_disk_however_the_gateway_ends() {
    let mut gateway = Gateway::new().start();
    let taken = Mutex::new(HashSet::new());
    for (round, name) in ["TERM", "KILL"].into_iter().enumerate() {
        let port = gateway.port;
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for client in 0..3 {
                let (taken, stop) = (&taken, &stop);
                scope.spawn(move || {
                    for n in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        let customer = format!("1650{client}{round}{n:05}");
                        let socket = UdpSocket::bind((IpAddr::from(TRUNK), 0)).unwrap();
                        let bytes = inbound(&customer).render(Transport::Udp, socket.local_addr().unwrap());
                        let _ = socket.send_to(&bytes, ("127.0.0.1", port));
                        let reply = final_reply(&socket, Duration::from_millis(300), &mut [0; 4096]);
                        if reply.is_some_and(|reply| reply.status() == 200) {
                            taken.lock().unwrap().insert(customer);
                        }
                    }
                });
            }
            let _over = Over(&stop);
            let before = taken.lock().unwrap().len();
            wait("there is a load", || taken.lock().unwrap().len() > before + 30);
            shell(&format!("kill -{name} {} {} 2>&1 || true", gateway.kamailio.id(), pids(&gateway.processes())));
        });
        gateway.restart();
    }
    for customer in taken.lock().unwrap().iter() {
        assert_eq!(gateway.send(&text(customer)).decision(), pair("allow", "window_open"), "{customer}");
    }
}

/// Ends a load with its scope, also when the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn pids(processes: &[u32]) -> String {
    processes.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
}

// --- logs ---------------------------------------------------------------------------------------

#[test]
fn log_holds_each_decision_once_and_no_number() {
    let gateway = Gateway::new().start();
    gateway.receive(&inbound(CUSTOMER));
    gateway.send(&text(CUSTOMER));
    gateway.send(&template(CUSTOMER, "order_update"));
    gateway.send(&text(STRANGER));
    gateway.send(&text(CUSTOMER).uri("sip:+16505551234567890@example.com"));
    gateway.receive(&Message { from: "<sip:16505551234567890@example.com>;tag=1".into(), ..inbound(CUSTOMER) });
    gateway.reload();
    gateway.send(&text(CUSTOMER));

    let told: Vec<_> = gateway
        .decisions()
        .iter()
        .map(|line| format!("{} {}", line["verdict"].as_str().unwrap(), line["reason"].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        ["allow window_open", "allow template", "deny never_seen", "deny never_seen", "allow window_open"]
    );
    let first = &gateway.decisions()[0];
    assert_eq!((&first["gateway"], &first["business"]), (&json!("kamailio"), &json!(BUSINESS)));
    for number in [CUSTOMER, STRANGER] {
        assert!(!gateway.log().contains(number), "{number} is in the log:\n{}", gateway.log());
    }
}

// --- a native script ----------------------------------------------------------------------------

#[test]
fn native_script_calls_the_same_functions() {
    let gateway = Gateway::new()
        .edit("kamailio.cfg", "cfgengine \"lua\"", NATIVE)
        .edit("csw.lua", "function ksr_request_route()", "function csw_message()")
        .start();
    assert_eq!(gateway.send(&text(CUSTOMER)).status(), 403);
    assert_eq!(gateway.receive(&inbound(CUSTOMER)).status(), 200);
    assert_eq!(gateway.send(&text(CUSTOMER)).decision(), pair("allow", "window_open"));
    let opened = gateway.send(&template(CUSTOMER, "order_update"));
    assert_eq!(opened.header("X-CSW-Conversation"), "opens utility");
    let joined = gateway.send(&template(CUSTOMER, "order_update"));
    assert_eq!(joined.header("X-CSW-Conversation"), "joins utility");
    assert_eq!(gateway.decisions().len(), 4);
}

#[test]
fn script_of_the_readme_works() {
    let example = std::fs::read_to_string(example("csw.lua")).unwrap();
    let gateway = Gateway::new().edit("csw.lua", &example, &gateway::readme("lua", "csw.kamailio")).start();
    assert_eq!(gateway.send(&text(CUSTOMER)).status(), 403);
    assert_eq!(gateway.receive(&inbound(CUSTOMER)).status(), 200);
    assert_eq!(gateway.send(&text(CUSTOMER)).decision(), pair("allow", "window_open"));
    assert_eq!(gateway.send(&template(CUSTOMER, "order_update")).header("X-CSW-Conversation"), "opens utility");
}

/// A routing of Kamailio's own language that gives messages to Lua.
const NATIVE: &str = r#"
request_route {
    if (is_method("MESSAGE")) {
        lua_run("csw_message");
        exit;
    }
    sl_send_reply("405", "Method Not Allowed");
}

onreply_route[ksr_replied] {
    lua_run("ksr_replied");
}
"#;

#[test]
fn scenarios_come_out_as_in_every_gateway() {
    assert!(scenario::play(&Gateway::with_test_clock().start()) >= 5);
}
