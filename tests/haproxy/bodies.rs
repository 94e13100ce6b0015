//! What a send may be: the platform reads what csw has read, to its end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::STRANGER;
use crate::workshop::*;

#[test]
fn form_and_gzip_bodies_are_read() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).start();
    gateway.webhook(&inbound(CUSTOMER, now()));

    let form = |to: &str| {
        let text = "%7B%22body%22%3A%22Hello%22%7D";
        format!("messaging_product=whatsapp&to=%2B{to}&type=text&text={text}").into_bytes()
    };
    let gzip = |to: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text(to).as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let types = [("Content-Type", "application/x-www-form-urlencoded"), ("Content-Encoding", "gzip")];
    for (header, bodies) in types.into_iter().zip([[form(STRANGER), form(CUSTOMER)], [gzip(STRANGER), gzip(CUSTOMER)]])
    {
        let [closed, open] = bodies;
        assert_eq!(gateway.post(MESSAGES, &[header], &closed).header("X-CSW-Reason"), "never_seen");
        let answer = gateway.post(MESSAGES, &[header], &open);
        assert_eq!(answer.header("X-CSW-Reason"), "window_open", "{header:?}: {}", answer.text());
        assert_eq!(platform.requests().last().unwrap().body, open, "forwarded as it came");
    }
    assert_eq!(platform.requests().last().unwrap().header("Content-Encoding"), "gzip");
}

#[test]
fn platform_reads_what_csw_has_read() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).start();

    // Read as a form it is a message to a stranger; csw read a receipt, and so must the platform.
    let receipt =
        format!(r#"{{"status":"read","message_id":"x","biz_opaque_callback_data":"&type=text&to={STRANGER}&"}}"#);
    for kind in ["application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "text/plain"] {
        let headers = [("Content-Type", kind), ("Content-Type", kind), ("Content-Encoding", "identity")];
        assert_eq!(gateway.post(MESSAGES, &headers, receipt.as_bytes()).header("X-CSW-Reason"), "receipt");
        let asked = platform.requests().pop().unwrap();
        assert_eq!(asked.header("Content-Type"), "application/json");
        assert_eq!(asked.header("Content-Encoding"), "");
        assert_eq!(asked.count("Content-Type"), 1);
    }
    let form = b"status=read&message_id=x";
    gateway.post(MESSAGES, &[("Content-Type", "application/json")], form);
    assert_eq!(platform.requests().pop().unwrap().header("Content-Type"), "application/x-www-form-urlencoded");
}

#[test]
fn nothing_but_the_body_of_a_post_is_a_message() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).top("fail = \"open\"\n").start();
    let receipt = br#"{"status":"read","message_id":"x"}"#;

    let many = "access_token=t&".repeat(200);
    for query in [
        format!("type=text&to={STRANGER}"),
        format!("access_token=t&to={STRANGER}"),
        format!("{many}to={STRANGER}"),
        format!("=to&t%6f={STRANGER}"),
    ] {
        let answer = gateway.post(&format!("{MESSAGES}?{query}"), &[], receipt);
        assert_eq!((answer.status, answer.json()["error"]["code"].as_i64()), (400, Some(100)), "{query}");
    }
    for method in ["PUT", "PATCH"] {
        assert_eq!(request(gateway.port, method, MESSAGES, &[], receipt).status, 400, "{method}");
    }
    for method in ["DELETE", "GET"] {
        assert_eq!(request(gateway.port, method, MESSAGES, &[], b"").status, 400, "{method}");
        assert_eq!(request(gateway.port, method, MESSAGES, &[], receipt).status, 413, "{method}, by HAProxy itself");
    }
    assert_eq!(platform.requests().len(), 0);
    assert_eq!(gateway.post(&format!("{MESSAGES}?access_token=secret1&appsecret_proof=p"), &[], receipt).status, 200);
    assert!(!gateway.syslog().contains("secret1") && !gateway.stderr().contains("secret1"));
}

#[test]
fn body_that_cannot_be_read_is_never_forwarded() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).top("fail = \"open\"\n").start();

    for body in ["", "hello", "{\"to\":", "[]", "\u{0}\u{1f}"] {
        let answer = gateway.send(body);
        assert_eq!(answer.status, 400, "{body:?}: {}", answer.text());
        assert_eq!(answer.json()["error"]["code"], 100);
        assert_eq!(answer.header("X-CSW-Verdict"), "deny");
    }
    assert_eq!(platform.requests().len(), 0);
}

#[test]
fn send_that_fits_no_buffer_is_refused_and_one_that_does_passes_whole() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).top("fail = \"open\"\n").start();
    gateway.webhook(&inbound(CUSTOMER, now()));

    let long = |bytes: usize| text_of(CUSTOMER, &"x".repeat(bytes));
    for bytes in [66_000, 1024 * 1024, 5 * 1024 * 1024] {
        let answer = gateway.send(&long(bytes));
        assert_eq!((answer.status, answer.json()["error"]["code"].as_i64()), (413, Some(100)), "{bytes}");
    }
    let part = long(100_000);
    let answer = chunked(&gateway, MESSAGES, &[part.as_bytes()]);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert_eq!(platform.requests().len(), 0);

    let whole = long(60_000);
    assert_eq!(gateway.send(&whole).status, 200);
    assert_eq!(platform.requests()[0].body, whole.as_bytes());
}

#[test]
fn chunked_send_is_decided_on_when_its_last_chunk_is_here() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).start();

    // Read without its end it is a receipt, which passes.
    let body = format!(r#"{{"status":"read","message_id":"x"}}{}{}"#, " ".repeat(2000), text(STRANGER));
    let (receipt, rest) = body.split_at(40);
    let answer = chunked(&gateway, MESSAGES, &[receipt.as_bytes(), rest.as_bytes()]);
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");

    let body = text(STRANGER);
    let (begin, rest) = body.split_at(10);
    let answer = chunked(&gateway, MESSAGES, &[begin.as_bytes(), rest.as_bytes()]);
    assert!(answer.contains("never_seen"), "{answer}");
    assert_eq!(platform.requests().len(), 0);
}

#[test]
fn each_request_of_a_connection_is_decided_on_its_own() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).start();
    gateway.webhook(&inbound(CUSTOMER, now()));

    let ask =
        |body: &str| format!("POST {MESSAGES} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let requests = [ask(&text(CUSTOMER)), ask(&text(STRANGER)), ask("{\"to\":"), ask(&text(CUSTOMER))].concat();
    let mut stream = TcpStream::connect(("127.0.0.1", gateway.port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(requests.as_bytes()).unwrap();
    let last = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(last.as_bytes()).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    let verdicts: Vec<_> = answers
        .lines()
        .filter_map(|line| line.to_lowercase().strip_prefix("x-csw-verdict: ").map(str::to_owned))
        .collect();
    assert_eq!(verdicts, ["allow", "deny", "deny", "allow"], "{answers}");
    assert_eq!(platform.requests().len(), 2);
}

#[test]
fn odd_requests_go_nowhere_and_harm_nobody() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).start();
    let body = text(STRANGER);
    let receipt = r#"{"status":"read","message_id":"x"}"#;
    let long = "x".repeat(70_000);
    let length = body.len();
    for head in [
        format!("POST {MESSAGES} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nContent-Length: 5\r\n\r\n{body}"),
        format!(
            "POST {MESSAGES} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\nContent-Length: 5\r\n\r\n{body}"
        ),
        format!("POST {MESSAGES} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n{body}\r\n0\r\n\r\n"),
        format!("POST {MESSAGES} HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\nContent-Length: {length}\r\n\r\n{body}"),
        format!("POST {MESSAGES}?{long} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}"),
        format!(
            "POST http://graph.facebook.com{MESSAGES} HTTP/1.1\r\nHost: graph.facebook.com\r\nContent-Length: {length}\r\n\r\n{body}"
        ),
        "CONNECT graph.facebook.com:443 HTTP/1.1\r\nHost: graph.facebook.com:443\r\n\r\n".into(),
        format!(
            "POST {MESSAGES} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\nContent-Length: {length}\r\n\r\n{body}"
        ),
        "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n".into(),
        format!(
            "POST {MESSAGES} HTTP/1.1\r\nHost: x\r\nX-CSW-At: 9e99\r\nX-CSW-Parked: \r\nContent-Length: {length}\r\n\r\n{body}"
        ),
        format!("POST {MESSAGES} HTTP/1.1\r\nHost: x\r\n\r\n{receipt}"),
        "\u{0}\u{1}\u{2}\r\n\r\n".into(),
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", gateway.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let _ = stream.write_all(head.as_bytes());
        let mut answer = [0; 12];
        let _ = stream.read_exact(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer:?}: {head:.200}");
    }
    assert_eq!(platform.requests().len(), 0);
    assert_eq!(gateway.workers().len(), 1);
    assert_eq!(gateway.send(receipt).status, 200);
    assert!(!gateway.syslog().contains("runtime error"), "{}", gateway.syslog());
}

#[test]
fn body_that_stays_away_is_refused() {
    let platform = Server::platform();
    let gateway = Gateway::new()
        .platform(&platform)
        .top("fail = \"open\"\n")
        .edit("http-request wait-for-body time 10s", "http-request wait-for-body time 200")
        .start();
    let mut stream = TcpStream::connect(("127.0.0.1", gateway.port)).unwrap();
    let head =
        format!("POST {MESSAGES} HTTP/1.0\r\nContent-Length: 100\r\n\r\n{{\"status\":\"read\",\"message_id\":\"x\"}}");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(platform.requests().len(), 0);
}

#[test]
fn every_path_of_a_send_is_guarded() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).start();

    for path in ["/106540352242922/messages", "/v23.0/106540352242922/messages?access_token=t"] {
        let answer = gateway.post(path, &[], text(STRANGER).as_bytes());
        assert_eq!((answer.status, answer.header("X-CSW-Verdict")), (400, "deny".into()), "{path}");
    }
    for path in [
        "/",
        "/v23.0/",
        "/v23.0/106540352242922/messages/",
        "/v23.0/me/messages",
        "/v23.0//106540352242922/messages",
        "/v23.0/./106540352242922/%6Dessages",
        "/x/../106540352242922/messages",
        "/v23.0/106540352242922/some_messages",
        "/v23.0/106540352242922/messages%00",
        "/webhook/../v23.0/106540352242922/messages",
    ] {
        assert_eq!(gateway.post(path, &[], text(STRANGER).as_bytes()).status, 404, "{path}");
    }
    assert_eq!(platform.requests().len(), 0);
}

#[test]
fn action_refuses_paths_that_are_no_sends() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).edit("deny_status 404 unless", "deny_status 404 if !TRUE").start();
    for path in ["/", "/v23.0/106540352242922/some_messages", "/v23.0//106540352242922/messages"] {
        assert_eq!(gateway.post(path, &[], text(STRANGER).as_bytes()).status, 404, "{path}");
    }
    assert_eq!(platform.requests().len(), 0);
}
