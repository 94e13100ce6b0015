//! What the tests of nginx are made with: a gateway of the example's configuration, and its stand-in for the platform.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

pub use crate::gateway::*;

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

        let paths = [("/var/lib/csw", &*format!("{root}/store")), ("/etc/csw", root)];
        let toml = csw_toml(&example("csw.toml"), &self.top, &self.toml, &paths);
        fs::write(dir.path().join("csw.toml"), toml).unwrap();

        let mut conf = Conf::read("nginx.conf", root);
        for (from, to) in &self.edits {
            conf.replace(from, to);
        }
        conf.replace("/usr/local/share/lua/5.1", &format!("{}/share/lua", build().display()));
        conf.replace("/usr/local/lib", &format!("{}/lib", build().display()));
        conf.replace("/etc/csw.toml", &format!("{root}/csw.toml"));
        // Each line as it comes: what two workers write later has no order.
        conf.replace(" buffer=32k flush=1s", "");
        conf.replace("http://127.0.0.1:8080/", &format!("http://127.0.0.1:{port}/"));
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

    /// Through the stand-in, which then knows of it, too.
    pub fn customer_writes(&self, customer: &str) -> Value {
        let port = self.standin.as_ref().unwrap().port;
        let act = json!({ "from": customer, "text": "Hello" }).to_string();
        request(port, "POST", "/standin/customer", &[], act.as_bytes()).json()
    }

    /// The lines of the log of decisions, once there are so many.
    pub fn decisions(&self, count: usize) -> Vec<Value> {
        let read = || fs::read_to_string(self.dir.path().join("csw.log")).unwrap_or_default();
        wait(&format!("{count} decisions in the log"), || read().lines().count() >= count);
        read()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }

    /// One of the counters of all processes.
    pub fn metric(&self, name: &str) -> u64 {
        let answer = self.get("/csw/metrics");
        assert_eq!(answer.status, 200);
        let text = answer.text();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().unwrap())
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

impl Http for Gateway {
    fn port(&self) -> u16 {
        self.port
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

pub fn example(name: &str) -> PathBuf {
    manifest().join("examples/nginx").join(name)
}
