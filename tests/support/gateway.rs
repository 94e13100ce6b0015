//! What the tests of every gateway are made with: a platform, the bodies that are exchanged, and the staged build.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

pub const BUSINESS: &str = "106540352242922";
pub const CUSTOMER: &str = "16505551234";
pub const MESSAGES: &str = "/v23.0/106540352242922/messages";

pub const SECRET: &str = "app secret";
pub const VERIFY_TOKEN: &str = "verify token";

/// An HTTP server of a few lines that keeps what it was asked: the platform, or an application.
pub struct Server {
    pub port: u16,
    requests: Arc<Mutex<Vec<Asked>>>,
}

#[derive(Clone)]
pub struct Asked {
    pub line: String,
    head: String,
    pub body: Vec<u8>,
}

impl Server {
    pub fn start(answer: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        let answer = Arc::new(answer);
        // It ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                thread::spawn(move || serve(stream, &kept, &*answer));
            }
        });
        Server { port, requests }
    }

    /// Accepts every send.
    pub fn platform() -> Self {
        Self::start(|n| {
            Answer::new(
                200,
                &json!({
                    "messaging_product": "whatsapp",
                    "messages": [{ "id": format!("wamid.{n}.{}", now()) }],
                })
                .to_string(),
            )
        })
    }

    pub fn requests(&self) -> Vec<Asked> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, kept: &Mutex<Vec<Asked>>, answer: &dyn Fn(usize) -> Answer) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let (line, head) = head.split_once("\r\n").unwrap();
    let length = header_of(head, "Content-Length").parse().unwrap_or(0);
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let n = {
        let mut kept = kept.lock().unwrap();
        kept.push(Asked { line: line.into(), head: head.into(), body });
        kept.len()
    };
    let answer = answer(n);
    let _ = write!(
        stream,
        "HTTP/1.1 {} Answer\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{}",
        answer.status,
        answer.headers,
        answer.body.len(),
        answer.text(),
    );
}

impl Asked {
    pub fn header(&self, name: &str) -> String {
        header_of(&self.head, name)
    }

    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.head.lines().filter_map(|line| line.split_once(": "))
    }

    pub fn count(&self, name: &str) -> usize {
        let named = |line: &&str| line.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name));
        self.head.lines().filter(named).count()
    }
}

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub headers: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn new(status: u16, body: &str) -> Self {
        Answer { status, head: String::new(), headers: String::new(), body: body.into() }
    }

    pub fn header(&self, name: &str) -> String {
        header_of(&self.head, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }
}

/// A gateway that takes sends and webhooks over HTTP.
pub trait Http {
    fn port(&self) -> u16;

    fn get(&self, path: &str) -> Answer {
        request(self.port(), "GET", path, &[], b"")
    }

    fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        request(self.port(), "POST", path, headers, body)
    }

    fn send(&self, body: &str) -> Answer {
        self.post(MESSAGES, &[("Content-Type", "application/json")], body.as_bytes())
    }

    fn webhook(&self, body: &str) -> Answer {
        self.post("/webhook", &[("X-Hub-Signature-256", &signature(body))], body.as_bytes())
    }

    fn window(&self, customer: &str) -> Value {
        let answer = self.get(&format!("/csw/window?business={BUSINESS}&customer={customer}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// The platform approves a template of the gateway's number.
    fn approve(&self, name: &str, category: &str) {
        let value = json!({"event": "APPROVED", "message_template_id": 1, "message_template_name": name,
            "message_template_language": "en_US", "message_template_category": category});
        let change = json!({"field": "message_template_status_update", "value": value});
        let entry = json!({"id": "1", "time": now() / 1000, "changes": [change]});
        let body = json!({"object": "whatsapp_business_account", "entry": [entry]});
        assert_eq!(self.webhook(&body.to_string()).status, 200);
        // Whose account it is, the platform says with every customer's message.
        assert_eq!(self.webhook(&inbound("16505550000", now())).status, 200);
    }

    fn wait_for_send(&self, body: &str, header: &str, value: &str) {
        wait(&format!("{header}: {value}"), || self.send(body).header(header) == value);
    }

    fn wait_for_conversation(&self, to: &str, name: &str, value: &str) {
        self.wait_for_send(&template(to, name), "X-CSW-Conversation", value);
    }
}

/// What the platform was sent, in order: the texts, and the templates by their names.
pub fn sent(platform: &Server) -> Vec<String> {
    let said = |asked: &Asked| {
        let body: Value = serde_json::from_slice(&asked.body).unwrap();
        body["text"]["body"].as_str().or(body["template"]["name"].as_str()).unwrap().to_owned()
    };
    platform.requests().iter().map(said).collect()
}

/// The platform's word that a message was refused because the window is closed.
pub fn refused(id: &str) -> String {
    let error = json!({"code": 131_047, "title": "Re-engagement message"});
    let status = json!({"id": id, "status": "failed", "timestamp": (now() / 1000).to_string(), "recipient_id": CUSTOMER,
        "errors": [error]});
    let metadata = json!({"display_phone_number": "15550783881", "phone_number_id": BUSINESS});
    let change = json!({"field": "messages", "value": {"metadata": metadata, "statuses": [status]}});
    json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]}).to_string()
}

/// An example's csw.toml with top-level keys that replace its own, further tables, and a test's paths for its own.
pub fn csw_toml(example: &Path, top: &str, tables: &str, paths: &[(&str, &str)]) -> String {
    let replaced: Vec<_> = top.lines().filter_map(|line| line.split(" = ").next()).collect();
    let mut kept = String::new();
    for line in std::fs::read_to_string(example).unwrap().lines() {
        if !replaced.iter().any(|key| line.starts_with(&format!("{key} = "))) {
            kept += &format!("{line}\n");
        }
    }
    for (from, to) in paths {
        kept = kept.replace(from, to);
    }
    format!("{top}{kept}\n{tables}")
}

/// HTTP/1.0: one connection each, no chunks. Status 0 means that no answer came.
pub fn request(port: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut head = format!("{method} {path} HTTP/1.0\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    let mut bytes = Vec::new();
    if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // A refused body is not read to its end.
        let _ = stream.write_all(&[head.as_bytes(), b"\r\n", body].concat());
        let _ = stream.read_to_end(&mut bytes);
    }
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = end.map_or((&[][..], &[][..]), |end| (&bytes[..end], &bytes[end + 4..]));
    let head = String::from_utf8_lossy(head).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head, headers: String::new(), body: body.into() }
}

/// Posts a body and goes away before the answer.
pub fn abandon(port: u16, path: &str, body: &[u8]) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let head = format!("POST {path} HTTP/1.0\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
}

/// A header's value, or nothing.
fn header_of(head: &str, name: &str) -> String {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map_or_else(String::new, |(_, value)| value.into())
}

pub fn inbound(customer: &str, at: u64) -> String {
    let id = format!("wamid.{customer}.{at}");
    json!({ "object": "whatsapp_business_account", "entry": [{ "id": "1", "changes": [{
        "field": "messages",
        "value": {
            "messaging_product": "whatsapp",
            "metadata": { "display_phone_number": "15550783881", "phone_number_id": BUSINESS },
            "contacts": [{ "profile": { "name": "Sheena" }, "wa_id": customer }],
            "messages": [{
                "from": customer, "id": id, "timestamp": (at / 1000).to_string(),
                "type": "text", "text": { "body": "Hello" },
            }],
        },
    }] }] })
    .to_string()
}

pub fn text(to: &str) -> String {
    text_of(to, "Hello")
}

pub fn text_of(to: &str, body: &str) -> String {
    json!({ "messaging_product": "whatsapp", "to": to, "type": "text", "text": { "body": body } }).to_string()
}

pub fn template(to: &str, name: &str) -> String {
    json!({
        "messaging_product": "whatsapp", "to": to, "type": "template",
        "template": { "name": name, "language": { "code": "en_US" } },
    })
    .to_string()
}

pub fn signature(body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let digest = mac.finalize().into_bytes();
    digest.iter().fold("sha256=".into(), |hex, byte| format!("{hex}{byte:02x}"))
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

pub fn rfc3339(at: u64) -> String {
    let seconds = at / 1000;
    let text = shell(&format!("date -u -d @{seconds} +%Y-%m-%dT%H:%M:%S"));
    format!("{}.{:03}Z", text.trim(), at % 1000)
}

/// Ends a process that the test started.
pub fn stop(process: &mut Child) {
    if process.try_wait().unwrap().is_none() {
        signal(process, "TERM");
        let _ = process.wait();
    }
}

pub fn signal(process: &Child, name: &str) {
    shell(&format!("kill -{name} {}", process.id()));
}

pub fn shell(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What came of it, and how long it took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    (work(), began.elapsed())
}

pub fn wait(what: &str, mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !reached() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A port that nobody has, and that no other test of this process was given.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
        if !given.contains(&port) {
            given.push(port);
            return port;
        }
    }
}

/// Where nothing ever listens.
pub fn closed_port() -> u16 {
    9
}

pub fn manifest() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The block of the README in a language that holds a text.
pub fn readme(language: &str, part: &str) -> String {
    let readme = std::fs::read_to_string(manifest().join("README.md")).unwrap();
    let blocks =
        readme.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'));
    let mut found = blocks.filter(|block| block.contains(part));
    found.next().unwrap_or_else(|| panic!("the README shows no {language} with {part:?}")).to_owned()
}

pub fn build() -> PathBuf {
    std::env::var_os("CSW_BUILD").map_or_else(|| manifest().join("build"), PathBuf::from)
}

pub fn require_build() {
    let library = build().join("lib/libcsw.so");
    assert!(library.exists(), "{} is missing: run make deps build", library.display());
}
