//! `examples/nginx/channels.conf`: texts that a real nginx gives to a real Kannel as SMS, and to a real mail server.
//!
//! Needs Debian's nginx, Kannel and Exim: `make deps`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

#[path = "support/gateway.rs"]
mod gateway;
#[path = "channels/workshop.rs"]
mod workshop;

use workshop::*;

use gateway::*;

/// As the client's own, which no channel may see.
const SECRETS: &[(&str, &str)] = &[
    ("Authorization", "Bearer EAAJB0of"),
    ("Cookie", "session=EAAJB0of"),
    ("X-Kannel-To", "15550000000"),
    ("X-Kannel-Password", "EAAJB0of"),
    ("X-Custom", "EAAJB0of"),
];

const HOSTILE: &[&str] = &[
    "\"quoted\" 'text' <b>`",
    "50% & more + #1 = ?a=b;c",
    "line\r\nX-Kannel-To: 15550000000\r\n\r\nlast é\u{301}",
    "漢\r\n.\r\nQUIT\r\nMAIL FROM:<a@example.com>\r\n..\r\n.",
    "a\0b",
    " \t leading and trailing € ",
    "%0d%0aX-Kannel-From: 1 %00 %s%n ${IFS} $(id)",
    "smile 😀 안녕하세요 👩‍👩‍👧‍👦",
];

// --- SMS ----------------------------------------------------------------------------------------

#[test]
fn sms_reaches_the_phone_as_it_was_written() {
    let kannel = Kannel::start();
    let channels = Channels::new().kannel(&kannel).start();

    let given = channels.give("sms", CUSTOMER, "Your order {1} has left: 12 € @ noon");
    assert_eq!((given.status, given.answer.as_str()), (202, "0: Accepted for delivery"));
    assert_eq!(given.id, "", "Kannel has no id of its own, csw's counts");
    let sms = kannel.only();
    assert_eq!((sms.from.as_str(), sms.to.as_str()), ("15550783881", CUSTOMER));
    assert_eq!((sms.text.as_str(), sms.parts, sms.coding), ("Your order {1} has left: 12 € @ noon", 1, "gsm"));
}

#[test]
fn sms_with_every_character_of_its_alphabet_goes_out_in_seven_bits() {
    let kannel = Kannel::start();
    let channels = Channels::new().kannel(&kannel).start();
    let text = "@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZ\
                ÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà^{}\\[~]|€\nnext line";
    assert_eq!(channels.give("sms", CUSTOMER, text).status, 202);
    wait("the whole SMS", || kannel.received().first().is_some_and(|sms| sms.text.contains("next line")));
    let sms = kannel.only();
    assert_eq!((sms.text.as_str(), sms.parts, sms.coding), (text, 1, "gsm"));
}

#[test]
fn sms_is_accepted_while_kannel_has_no_sms_center() {
    let mut kannel = Kannel::start();
    let channels = Channels::new().kannel(&kannel).start();
    kannel.lose_center();
    let given = channels.give("sms", CUSTOMER, "Hello");
    assert_eq!((given.status, given.answer.as_str()), (202, "3: Queued for later delivery"));
}

#[test]
fn sms_with_hostile_texts_arrives_unchanged_and_goes_nowhere_else() {
    let kannel = Kannel::start();
    let channels = Channels::new().kannel(&kannel).start();
    for (n, text) in HOSTILE.iter().enumerate() {
        assert_eq!(channels.give("sms", CUSTOMER, text).status, 202, "{text:?}");
        wait("the next SMS", || kannel.received().len() > n);
        let sms = &kannel.received()[n];
        assert_eq!((sms.text.as_str(), sms.to.as_str()), (*text, CUSTOMER));
    }
    assert_eq!(kannel.received().len(), HOSTILE.len());
}

#[test]
fn sms_of_several_parts_arrives_whole_and_one_that_kannel_would_cut_is_refused() {
    let kannel = Kannel::start();
    let channels = Channels::new().kannel(&kannel).start();
    // Ten parts hold this many characters of each kind.
    for (n, (character, longest, coding)) in
        [("x", 1520, "gsm"), ("€", 760, "gsm"), ("é漢", 335, "ucs-2"), ("😀", 335, "ucs-2")].into_iter().enumerate()
    {
        let text = character.repeat(longest);
        assert_eq!(channels.give("sms", CUSTOMER, &text).status, 202);
        wait("the next SMS", || kannel.received().len() > n);
        let sms = &kannel.received()[n];
        assert_eq!((&sms.text, sms.parts, sms.coding), (&text, 10, coding));

        assert_eq!(channels.give("sms", CUSTOMER, &format!("{text}x")).status, 413, "{character}");
        assert_eq!(channels.give("sms", CUSTOMER, &text.repeat(50)).status, 413, "{character}");
    }
    assert_eq!(kannel.received().len(), 4);
}

#[test]
fn sms_that_kannel_refuses_is_not_accepted() {
    let kannel = Kannel::start();
    let stranger = Channels::new().kannel(&kannel).kannel_password("a wrong password").start();
    let given = stranger.give("sms", CUSTOMER, "Hello");
    assert_eq!((given.status, given.answer.as_str()), (403, "Authorization failed for sendsms"));

    let channels = Channels::new().kannel(&kannel).start();
    let given = channels.give("sms", "4915112345678", "Hello");
    assert_eq!((given.status, given.answer.as_str()), (403, "Not routable. Do not try again."));
    for to in ["", "x", "%2B16505551234", "1650555%201234", "16505551234,16505551235", "16505551234%0d%0aX: 1"] {
        assert_eq!(channels.give("sms", to, "Hello").status, 400, "{to}");
    }
    assert_eq!(kannel.received(), []);
}

#[test]
fn sms_fails_soon_while_kannel_is_down_or_silent() {
    let channels = Channels::new().hasty().start();
    let (given, took) = timed(|| channels.give("sms", CUSTOMER, "Hello"));
    assert_eq!(given.status, 502);
    assert!(took < Duration::from_secs(2), "{took:?}");

    let kannel = Kannel::start();
    kannel.freeze();
    let channels = Channels::new().kannel(&kannel).hasty().start();
    let (given, took) = timed(|| channels.give("sms", CUSTOMER, "Hello"));
    assert_eq!(given.status, 504);
    assert!(took < Duration::from_secs(6), "{took:?}");
}

#[test]
fn kannel_gets_nothing_of_the_clients_request() {
    let kannel = Kannel::start();
    let channels = Channels::new().kannel(&kannel).start();
    assert_eq!(channels.give_with("sms", CUSTOMER, "Hello", SECRETS).status, 202);
    assert_eq!(kannel.only().to, CUSTOMER);

    // What it is asked, to the letter.
    let listener = Server::start(|_| Answer::new(202, "0: Accepted for delivery"));
    let channels = Channels::new().in_place_of_kannel(&listener).start();
    assert_eq!(channels.give_with("sms", CUSTOMER, "Hello", SECRETS).status, 202);
    let asked = listener.requests().remove(0);
    assert_eq!(asked.line, "POST /cgi-bin/sendsms HTTP/1.0");
    assert_eq!(asked.body, b"Hello");
    let mut headers: Vec<_> = asked.headers().collect();
    headers.sort_unstable();
    let host = format!("127.0.0.1:{}", listener.port);
    let expected = [
        ("Connection", "close"),
        ("Content-Length", "5"),
        ("Content-Type", "text/plain; charset=UTF-8"),
        ("Host", &host),
        ("X-Kannel-Account", ID),
        ("X-Kannel-BInfo", BUSINESS),
        ("X-Kannel-Coding", "0"),
        ("X-Kannel-Password", KANNEL_PASSWORD),
        ("X-Kannel-To", CUSTOMER),
        ("X-Kannel-Username", "csw"),
    ];
    assert_eq!(headers, expected);
}

#[test]
fn delivery_reports_name_the_text_by_its_id() {
    let kannel = Kannel::start();
    let application = Server::start(|_| Answer::new(200, ""));
    let channels = Channels::new()
        .kannel(&kannel)
        .edit("#proxy_set_header X-Kannel-DLR", "proxy_set_header X-Kannel-DLR")
        .edit("127.0.0.1:3000", &format!("127.0.0.1:{}", application.port))
        .start();
    assert_eq!(channels.give("sms", CUSTOMER, "Hello").status, 202);
    wait("a delivery report", || !application.requests().is_empty());
    assert_eq!(application.requests()[0].line, format!("GET /sms?id={ID}&status=1 HTTP/1.1"));
}

// --- e-mail -------------------------------------------------------------------------------------

#[test]
fn email_reaches_the_customers_mailbox() {
    let server = MailServer::start();
    let channels = Channels::new().mail(&server).start();

    let given = channels.give("email", CUSTOMER, "Your order has left.\nBlue, é, 😀");
    assert_eq!((given.status, given.answer.as_str()), (200, ""));
    let mail = server.only();
    assert_eq!(mail.text(), "Your order has left.\r\nBlue, é, 😀");
    assert_eq!(mail.header("To"), "<16505551234@sms.example.com>");
    assert_eq!(mail.header("From"), "<shop@example.com>");
    assert_eq!(mail.header("Message-ID"), format!("<{ID}@example.com>"));
    assert_eq!(mail.header("Auto-Submitted"), "auto-generated");
    assert_eq!(mail.subject(), "A message from the shop");
    let sent: u64 = shell(&format!("date -d '{}' +%s", mail.header("Date"))).trim().parse().unwrap();
    assert!(sent.abs_diff(now() / 1000) <= 5, "{}", mail.header("Date"));

    assert!(!given.id.is_empty());
    assert!(server.log().contains(&given.id), "the server's own id: {given:?}\n{}", server.log());
}

#[test]
fn email_with_hostile_texts_arrives_unchanged_and_as_one() {
    let server = MailServer::start();
    let channels = Channels::new().mail(&server).start();
    let long = "漢字 and more. ".repeat(2000);
    let texts: Vec<_> = HOSTILE.iter().copied().chain([".", "", "\n.\n", &long]).collect();
    for text in &texts {
        assert_eq!(channels.give("email", CUSTOMER, text).status, 200, "{text:?}");
    }
    wait("every e-mail", || server.delivered().len() >= texts.len());
    let mut arrived: Vec<_> = server.delivered().iter().map(Mail::text).collect();
    let mut expected: Vec<_> = texts.iter().map(|text| text.replace("\r\n", "\n").replace('\n', "\r\n")).collect();
    arrived.sort();
    expected.sort();
    assert_eq!(arrived, expected);
    for mail in server.delivered() {
        assert!(mail.raw.lines().all(|line| line.len() <= 78 && line.is_ascii()), "{mail:?}");
    }
}

#[test]
fn email_has_an_address_and_a_subject_of_the_customers_own() {
    let server = MailServer::start();
    let subject = format!("Ein Betreff für Übergrößen: {} {} =?utf-8?Q?x?=", "漢".repeat(50), "😀".repeat(50));
    let channels = Channels::new()
        .mail(&server)
        .edit(
            "to = \"{customer}@sms.example.com\"",
            "to = function(letter)
                if letter.to == \"16505550404\" then return nil end
                if letter.to == \"16505550500\" then error(letter.to) end
                return letter.text == \"address\" and \"a@b.c>\\r\\nRCPT TO:<d@e.f\" or \"sheena.nelson+shop@sms.example.com\"
            end",
        )
        .edit("\"A message from the shop\"", &format!("function() return \"{subject}\\r\\nBcc: a@example.com\" end"))
        .start();

    assert_eq!(channels.give("email", CUSTOMER, "Hello").status, 200);
    let mail = server.only();
    assert_eq!(mail.header("To"), "<sheena.nelson+shop@sms.example.com>");
    assert_eq!(mail.subject(), format!("{subject}\r\nBcc: a@example.com"));
    assert_eq!(mail.header("Bcc"), "");
    assert!(mail.head().lines().all(|line| line.len() <= 76 || line.starts_with("Message-ID")), "{mail:?}");

    for (to, text) in [("16505550404", "Hello"), (CUSTOMER, "address")] {
        let given = channels.give("email", to, text);
        assert_eq!((given.status, given.answer.as_str()), (404, "the customer has no e-mail address\n"));
    }
    let given = channels.give("email", "16505550500", "Hello");
    assert_eq!(given.status, 500);
    assert!(given.answer.starts_with("the function in `to` fails at content_by_lua("), "{given:?}");
    assert!(!given.answer.contains("16505550500"), "{given:?}");
    assert_eq!(server.delivered().len(), 1);
}

#[test]
fn email_that_the_server_refuses_is_not_accepted_and_says_where() {
    let server = MailServer::start();
    let channels = Channels::new().mail(&server).start();
    let given = channels.give("email", NOBODY, "Hello");
    assert_eq!((given.status, given.answer.as_str()), (502, "the recipient was answered 550\n"));
    channels.wait_for_log("csw: an e-mail was not sent: the recipient was answered 550");

    for to in ["", "x", "1%0d%0aRCPT", "16505551234@x"] {
        assert_eq!(channels.give("email", to, "Hello").status, 400, "{to}");
    }
    assert!(server.delivered().is_empty());
}

#[test]
fn email_fails_soon_while_the_server_is_down_or_silent() {
    let mut server = MailServer::start();
    let channels = Channels::new().mail(&server).start();
    assert_eq!(channels.give("email", CUSTOMER, "Hello").status, 200);
    server.stop();
    let (given, took) = timed(|| channels.give("email", CUSTOMER, "Hello"));
    assert_eq!((given.status, given.answer.as_str()), (502, "the mail server cannot be reached: connection refused\n"));
    assert!(took < Duration::from_secs(2), "{took:?}");

    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let channels = Channels::new().hasty().edit("port = 25,", &format!("port = {port}, -- port = 25,")).start();
    let (given, took) = timed(|| channels.give("email", CUSTOMER, "Hello"));
    assert_eq!((given.status, given.answer.as_str()), (502, "the connection was not answered: timeout\n"));
    assert!(took < Duration::from_secs(6), "{took:?}");
}

#[test]
fn email_goes_through_tls_with_a_password_or_not_at_all() {
    let server = MailServer::with_login();
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    fs::write(&password, format!("{MAIL_PASSWORD}\n")).unwrap();
    let login = format!("username = \"{MAIL_USER}\", password_file = \"{}\"", password.display());
    let settings = |settings: &str| {
        Channels::new()
            .mail(&server)
            .edit("/etc/ssl/certs/ca-certificates.crt", server.certificate().to_str().unwrap())
            .edit("port = 25,", &format!("port = 25,\n{settings},"))
            .start()
    };

    let channels = settings(&format!("tls = true, name = \"{MAIL_NAME}\", {login}"));
    assert_eq!(channels.give("email", CUSTOMER, "Hello").status, 200);
    assert_eq!(server.only().text(), "Hello");
    assert!(server.log().contains("P=esmtpsa"), "{}", server.log());

    fs::write(folder.path().join("wrong"), "wrong").unwrap();
    let wrong = login.replace("/password", "/wrong");
    for (wrong, why) in [
        (format!("tls = true, name = \"{MAIL_NAME}\""), "the sender was answered 550"),
        (format!("tls = true, name = \"{MAIL_NAME}\", {wrong}"), "AUTH was answered 535"),
        (format!("tls = true, name = \"other.example.com\", {login}"), "the mail server's TLS is not trusted"),
        (format!("tls = true, {login}"), "the mail server's TLS is not trusted"),
        (login.replace("/password", "/none"), "the password cannot be read"),
    ] {
        let channels = settings(&wrong);
        let given = channels.give("email", CUSTOMER, "Hello");
        assert_eq!(given.status, 502, "{wrong}");
        assert!(given.answer.starts_with(why) && !given.answer.contains(MAIL_PASSWORD), "{wrong}: {given:?}");
    }
    assert_eq!(server.delivered().len(), 1);
}

#[test]
fn email_is_never_sent_in_clear_where_tls_or_a_password_is_asked_for() {
    let server = MailServer::start();
    let channels = Channels::new().mail(&server).edit("port = 25,", "port = 25, tls = true,").start();
    let given = channels.give("email", CUSTOMER, "Hello");
    assert_eq!((given.status, given.answer.as_str()), (502, "STARTTLS was answered 503\n"));

    let channels = Channels::new()
        .mail(&server)
        .edit("host = \"127.0.0.1\"", "host = \"192.0.2.1\", username = \"shop\", password_file = \"/dev/null\"")
        .start();
    let given = channels.give("email", CUSTOMER, "Hello");
    assert_eq!((given.status, given.answer.as_str()), (502, "a password would travel in clear: set tls\n"));
    assert!(server.delivered().is_empty());
}

// --- both ---------------------------------------------------------------------------------------

#[test]
fn channels_cannot_be_called_from_outside() {
    let (kannel, server) = (Kannel::start(), MailServer::start());
    let channels = Channels::new().kannel(&kannel).mail(&server).start();
    for channel in ["sms", "email"] {
        for method in ["GET", "POST"] {
            let path = format!("/csw/channel/{channel}?to={CUSTOMER}&business={BUSINESS}&id={ID}&text=Hello");
            assert_eq!(request(channels.port, method, &path, &[], b"Hello").status, 404, "{method} {channel}");
        }
    }
    assert_eq!(kannel.received(), []);
    assert!(server.delivered().is_empty());
}

#[test]
fn logs_and_mails_hold_no_secret_and_no_number() {
    let (kannel, server) = (Kannel::start(), MailServer::with_login());
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    fs::write(&password, MAIL_PASSWORD).unwrap();
    let login =
        format!("tls = true, name = \"{MAIL_NAME}\", username = \"shop\", password_file = \"{}\"", password.display());
    let channels = Channels::new()
        .kannel(&kannel)
        .mail(&server)
        .edit("/etc/ssl/certs/ca-certificates.crt", server.certificate().to_str().unwrap())
        .edit("port = 25,", &format!("port = 25, {login},"))
        .start();
    let broken = Channels::new().kannel_password("another password").start();
    let refused = Channels::new().kannel(&kannel).kannel_password("another password").mail(&server).start();
    let text = "the text itself";
    for channel in ["sms", "email"] {
        assert!(channels.give_with(channel, CUSTOMER, text, SECRETS).status < 300, "{channel}");
        assert!(broken.give_with(channel, CUSTOMER, text, SECRETS).status >= 500, "{channel}");
        assert!(refused.give_with(channel, CUSTOMER, text, SECRETS).status >= 400, "{channel}");
    }
    assert_eq!(channels.give_with("email", NOBODY, text, SECRETS).status, 502);
    assert_eq!(channels.give_with("sms", CUSTOMER, &text.repeat(1000), SECRETS).status, 413);
    assert!(!server.only().raw.contains("EAAJB0of"));
    // nginx would write the request line beside what it logs of a request.
    assert_eq!(broken.give("email?access_token=EAAJB0of", CUSTOMER, text).status, 502);
    broken.wait_for_log("csw: an e-mail was not sent");

    for channels in [&channels, &broken, &refused] {
        let logs = channels.access_log() + &channels.error_log();
        for secret in [CUSTOMER, NOBODY, text, "EAAJB0of", KANNEL_PASSWORD, MAIL_PASSWORD, "another password", "@sms"] {
            assert!(!logs.contains(secret), "{secret} in\n{logs}");
        }
    }
    for secret in [CUSTOMER, text, "EAAJB0of", KANNEL_PASSWORD] {
        assert!(!kannel.logs().contains(secret), "{secret} in Kannel's logs\n{}", kannel.logs());
    }
}
