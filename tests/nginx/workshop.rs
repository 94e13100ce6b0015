//! What the tests of nginx are made with: a gateway, a platform, a stand-in, and the bodies that they exchange.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tempfile::TempDir;

pub const BUSINESS: &str = "106540352242922";
pub const CUSTOMER: &str = "16505551234";
pub const MESSAGES: &str = "/v23.0/106540352242922/messages";

const SECRET: &str = "app secret";
const VERIFY_TOKEN: &str = "verify token";

/// The example's gateway with what a test changes of it.
pub struct Builder {
    top: String,
    toml: String,
    edits: Vec<(String, String)>,
    platform: u16,
    tls: bool,
    standin: bool,
}

/// A running gateway; dropped, it stops and its files are gone.
pub struct Gateway {
    pub dir: TempDir,
    pub nginx: Child,
    pub port: u16,
    pub standin: Option<Standin>,
}

/// The stand-in for the Graph API of `examples/nginx`.
pub struct Standin {
    nginx: Child,
    pub port: u16,
}

impl Builder {
    pub fn platform(mut self, platform: &Server) -> Self {
        self.platform = platform.port;
        self
    }

    /// The platform speaks TLS, and the example's `https` stays.
    pub fn tls_platform(mut self, platform: &TlsServer) -> Self {
        self.platform = platform.port;
        self.tls = true;
        self
    }

    /// The Graph API's stand-in takes the sends, and posts webhooks.
    pub fn with_standin(mut self) -> Self {
        self.standin = true;
        self
    }

    pub fn application(self, application: &Server) -> Self {
        self.edit(
            "content_by_lua_block { require(\"csw.nginx\").accepted() }",
            &format!("proxy_pass http://127.0.0.1:{};", application.port),
        )
    }

    /// Top-level keys of csw.toml, which replace the example's own.
    pub fn top(mut self, toml: &str) -> Self {
        self.top += toml;
        self
    }

    /// Further tables of csw.toml.
    pub fn toml(mut self, toml: &str) -> Self {
        self.toml += toml;
        self
    }

    /// A store that no user can open, root neither: its folder is a file.
    pub fn broken_store(self) -> Self {
        self.top("store = \"lmdb:/dev/null/store\"\n")
    }

    /// Changes nginx.conf.
    pub fn edit(mut self, from: &str, to: &str) -> Self {
        self.edits.push((from.into(), to.into()));
        self
    }

    pub fn start(self) -> Gateway {
        self.try_start().unwrap_or_else(|error| panic!("nginx does not start: {error}"))
    }

    pub fn try_start(self) -> Result<Gateway, String> {
        require_build();
        let dir = TempDir::new().unwrap();
        let root = dir.path().to_str().unwrap();
        let port = free_port();
        let standin_port = if self.standin { free_port() } else { self.platform };

        fs::create_dir(dir.path().join("store")).unwrap();
        fs::write(dir.path().join("app_secret"), SECRET).unwrap();
        fs::write(dir.path().join("verify_token"), VERIFY_TOKEN).unwrap();

        let replaced: Vec<_> = self.top.lines().filter_map(|line| line.split(" = ").next()).collect();
        let toml: Vec<_> = fs::read_to_string(example("csw.toml"))
            .unwrap()
            .lines()
            .filter(|line| !replaced.iter().any(|key| line.starts_with(&format!("{key} = "))))
            .map(|line| line.replace("/var/lib/csw", &format!("{root}/store")).replace("/etc/csw", root))
            .collect();
        let toml = format!("{}{}\n{}", self.top, toml.join("\n"), self.toml);
        fs::write(dir.path().join("csw.toml"), toml).unwrap();

        let mut conf = Conf::read("nginx.conf", root);
        for (from, to) in &self.edits {
            conf.replace(from, to);
        }
        conf.replace("/usr/local/share/lua/5.1", &format!("{}/share/lua", build().display()));
        conf.replace("/usr/local/lib", &format!("{}/lib", build().display()));
        conf.replace("/etc/csw.toml", &format!("{root}/csw.toml"));
        conf.replace("listen 8080", &format!("listen 127.0.0.1:{port}"));
        conf.replace("graph.facebook.com:443", &format!("127.0.0.1:{standin_port}"));
        if !self.tls {
            conf.replace("https://graph", "http://graph");
        }
        conf.write("nginx.conf", root);

        let standin = self.standin.then(|| Standin::start(root, standin_port, port));
        let nginx = start_nginx(&dir.path().join("nginx.conf"), port)?;
        let gateway = Gateway { dir, nginx, port, standin };
        // A worker takes its title after init_worker: from here on both have the store open.
        wait("both workers are up", || gateway.workers().len() >= 2);
        Ok(gateway)
    }
}

impl Gateway {
    #[expect(clippy::new_ret_no_self, reason = "it begins the sentence")]
    pub fn new() -> Builder {
        Builder {
            top: String::new(),
            toml: String::new(),
            edits: Vec::new(),
            platform: closed_port(),
            tls: false,
            standin: false,
        }
    }

    /// Stops gracefully, and starts on the same files.
    pub fn restart(&mut self) {
        self.signal("QUIT");
        self.wait_for_end();
        self.nginx = start_nginx(&self.dir.path().join("nginx.conf"), self.port).unwrap();
    }

    pub fn wait_for_end(&mut self) {
        wait("nginx ends", || self.nginx.try_wait().unwrap().is_some());
    }

    pub fn get(&self, path: &str) -> Answer {
        request(self.port, "GET", path, &[], b"")
    }

    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        request(self.port, "POST", path, headers, body)
    }

    pub fn send(&self, body: &str) -> Answer {
        self.post(MESSAGES, &[("Content-Type", "application/json")], body.as_bytes())
    }

    pub fn webhook(&self, body: &str) -> Answer {
        self.post("/webhook", &[("X-Hub-Signature-256", &signature(body))], body.as_bytes())
    }

    pub fn window(&self, customer: &str) -> Value {
        let answer = self.get(&format!("/csw/window?business={BUSINESS}&customer={customer}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// Through the stand-in, which then knows of it, too.
    pub fn customer_writes(&self, customer: &str) -> Value {
        let port = self.standin.as_ref().unwrap().port;
        let act = json!({ "from": customer, "text": "Hello" }).to_string();
        request(port, "POST", "/standin/customer", &[], act.as_bytes()).json()
    }

    pub fn wait_for_send(&self, body: &str, header: &str, value: &str) {
        wait(&format!("{header}: {value}"), || self.send(body).header(header) == value);
    }

    pub fn wait_for_conversation(&self, to: &str, name: &str, value: &str) {
        self.wait_for_send(&template(to, name), "X-CSW-Conversation", value);
    }

    pub fn access_log(&self) -> String {
        fs::read_to_string(self.dir.path().join("access.log")).unwrap()
    }

    pub fn count_log(&self, text: &str) -> usize {
        self.access_log().matches(text).count()
    }

    pub fn error_log(&self) -> String {
        fs::read_to_string(self.dir.path().join("error.log")).unwrap()
    }

    pub fn wait_for_log(&self, text: &str) {
        wait(&format!("{text} in the error log"), || self.error_log().contains(text));
    }

    /// The gateway's store, to stand in its way.
    pub fn store(&self) -> heed::Env {
        // SAFETY: the test's process opens each gateway's store once, and reads and writes nothing.
        unsafe { heed::EnvOpenOptions::new().open(self.dir.path().join("store")) }.unwrap()
    }

    /// Puts a file beside csw.toml.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).unwrap();
    }

    /// What the operator's command answers.
    pub fn csw(&self, arguments: &[&str]) -> Value {
        let mut command = Command::new(build().join("bin/csw"));
        command.current_dir(self.dir.path()).args(["--json", "-c", "csw.toml"]).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub fn path(&self) -> &str {
        self.dir.path().to_str().unwrap()
    }

    pub fn signal(&self, name: &str) {
        signal(&self.nginx, name);
    }

    /// The workers that take requests, without those that are shutting down.
    pub fn workers(&self) -> HashSet<u32> {
        let master = self.nginx.id();
        fs::read_to_string(format!("/proc/{master}/task/{master}/children"))
            .unwrap()
            .split_whitespace()
            .map(|pid| pid.parse().unwrap())
            .filter(|pid| {
                fs::read_to_string(format!("/proc/{pid}/cmdline"))
                    .is_ok_and(|title| title.starts_with("nginx: worker process\0"))
            })
            .collect()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        stop(&mut self.nginx);
        if thread::panicking() {
            eprintln!("--- error.log\n{}", self.error_log());
        }
    }
}

impl Standin {
    pub fn start(root: &str, port: u16, gateway: u16) -> Self {
        let mut conf = Conf::read("graph.conf", root);
        conf.replace("/usr/share/csw/examples/nginx", manifest().join("examples/nginx").to_str().unwrap());
        conf.replace("127.0.0.1:8081", &format!("127.0.0.1:{port}"));
        conf.replace("env CSW_STANDIN_SECRET", &format!("env \"CSW_STANDIN_SECRET={SECRET}\""));
        conf.replace("env CSW_STANDIN_WEBHOOK", &format!("env CSW_STANDIN_WEBHOOK=http://127.0.0.1:{gateway}/webhook"));
        conf.write("graph.conf", root);
        let nginx = start_nginx(&Path::new(root).join("graph.conf"), port).unwrap();
        Standin { nginx, port }
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        stop(&mut self.nginx);
    }
}

/// An nginx that answers over TLS, with the name that it was asked for.
pub struct TlsServer {
    dir: TempDir,
    nginx: Child,
    port: u16,
}

impl TlsServer {
    /// With a certificate for `name`, issued by itself.
    pub fn start(name: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let root = dir.path().to_str().unwrap();
        shell(&format!(
            "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name} -addext subjectAltName=DNS:{name} \
             -keyout {root}/key.pem -out {root}/certificate.pem 2>&1"
        ));
        let port = free_port();
        let mut conf = Conf::read("graph.conf", root);
        conf.replace(
            "listen 127.0.0.1:8081;",
            &format!(
                "listen 127.0.0.1:{port} ssl; ssl_certificate {root}/certificate.pem; \
                 ssl_certificate_key {root}/key.pem; return 200 '$ssl_server_name $host';"
            ),
        );
        conf.write("tls.conf", root);
        let nginx = start_nginx(&dir.path().join("tls.conf"), port).unwrap();
        TlsServer { dir, nginx, port }
    }

    pub fn certificate(&self) -> String {
        self.dir.path().join("certificate.pem").display().to_string()
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        stop(&mut self.nginx);
    }
}

/// One of the example's configurations, in a test's folder.
struct Conf(String);

impl Conf {
    fn read(name: &str, root: &str) -> Self {
        let mut conf = Conf(fs::read_to_string(example(name)).unwrap());
        let temp_paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {root}/{kind};"))
            .concat();
        conf.replace("user www-data;", &format!("user {};", shell("id -un").trim()));
        conf.replace("\nhttp {", &format!("\nhttp {{ {temp_paths}"));
        conf.replace("/run/", &format!("{root}/"));
        conf.replace("/var/log/nginx/", &format!("{root}/"));
        conf
    }

    fn replace(&mut self, from: &str, to: &str) {
        assert!(self.0.contains(from), "no {from:?} in\n{}", self.0);
        self.0 = self.0.replace(from, to);
    }

    fn write(&self, name: &str, root: &str) {
        fs::write(Path::new(root).join(name), &self.0).unwrap();
    }
}

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

fn start_nginx(conf: &Path, port: u16) -> Result<Child, String> {
    let mut nginx = Command::new("nginx")
        .arg("-c")
        .arg(conf)
        .args(["-g", "daemon off;"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run nginx ({error}): run make deps build"));
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if nginx.try_wait().unwrap().is_some() || Instant::now() > deadline {
            let mut said = String::new();
            let _ = nginx.kill();
            nginx.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            let _ = nginx.wait();
            return Err(said);
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(nginx)
}

fn stop(nginx: &mut Child) {
    if nginx.try_wait().unwrap().is_none() {
        signal(nginx, "TERM");
        let _ = nginx.wait();
    }
}

fn signal(process: &Child, name: &str) {
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

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Where nothing ever listens.
fn closed_port() -> u16 {
    9
}

pub fn manifest() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn example(name: &str) -> PathBuf {
    manifest().join("examples/nginx").join(name)
}

pub fn build() -> PathBuf {
    std::env::var_os("CSW_BUILD").map_or_else(|| manifest().join("build"), PathBuf::from)
}

pub fn require_build() {
    let library = build().join("lib/libcsw.so");
    assert!(library.exists(), "{} is missing: run make deps build", library.display());
}
