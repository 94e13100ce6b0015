//! What the tests of Kamailio are made with: a gateway of the example's configuration, its trunk, and its application.

use std::fs;
use std::net::{IpAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::scenario::Driver;

pub use crate::gateway::{
    BUSINESS, CUSTOMER, build, csw_toml, free_port, manifest, now, require_build, shell, signal, wait,
};
pub use crate::sip::*;

/// Where clients and applications are; the trunk has an address of its own, since by it the direction is told.
pub const HERE: [u8; 4] = [127, 0, 0, 1];
pub const TRUNK: [u8; 4] = [127, 0, 0, 2];

pub const STRANGER: &str = "16505559999";
pub const HOUR: u64 = 3_600_000;

/// The example's gateway with what a test changes of it.
pub struct Builder {
    top: String,
    toml: String,
    edits: Vec<(&'static str, String, String)>,
    trunk: Option<Peer>,
    transport: &'static str,
    processes: usize,
}

/// A running gateway; dropped, it stops and its files are gone.
pub struct Gateway {
    pub dir: TempDir,
    pub kamailio: Child,
    pub port: u16,
    pub trunk: Peer,
    pub application: Peer,
}

impl Builder {
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

    /// Changes one of the example's files.
    pub fn edit(mut self, file: &'static str, from: &str, to: &str) -> Self {
        self.edits.push((file, from.into(), to.into()));
        self
    }

    /// How many processes take messages over UDP, and over TCP.
    pub fn processes(mut self, n: usize) -> Self {
        self.processes = n;
        self
    }

    /// What the trunk answers, by the number of the request.
    pub fn trunk(mut self, answer: impl Fn(usize) -> Option<Answer> + Send + Sync + 'static) -> Self {
        self.trunk = Some(Peer::start(TRUNK, answer));
        self
    }

    pub fn trunk_over_tcp(mut self) -> Self {
        self.transport = "tcp";
        self
    }

    pub fn start(self) -> Gateway {
        self.try_start().unwrap_or_else(|log| panic!("kamailio does not start: {log}"))
    }

    /// Or what the log says.
    pub fn try_start(self) -> Result<Gateway, String> {
        require_build();
        let dir = TempDir::new().unwrap();
        let root = dir.path().to_str().unwrap().to_owned();
        let port = free_port();
        let trunk = self.trunk.unwrap_or_else(|| Peer::start(TRUNK, |_| Some(Answer::new(200))));
        let application = Peer::start(HERE, |_| Some(Answer::new(200)));

        stage(dir.path());
        let paths = [("/var/lib/csw", &*format!("{root}/store"))];
        let mut toml = csw_toml(&example("csw.toml"), &self.top, &self.toml, &paths);
        for (_, from, to) in self.edits.iter().filter(|(edited, ..)| *edited == "csw.toml") {
            toml = toml.replace(from, to);
        }
        fs::write(dir.path().join("csw.toml"), toml).unwrap();

        for file in ["kamailio.cfg", "csw.lua"] {
            let mut text = fs::read_to_string(example(file)).unwrap();
            let mut replace = |from: &str, to: &str| {
                assert!(text.contains(from), "no {from:?} in\n{text}");
                text = text.replace(from, to);
            };
            for (_, from, to) in self.edits.iter().filter(|(edited, ..)| *edited == file) {
                replace(from, to);
            }
            if file == "kamailio.cfg" {
                replace("children=8", &format!("children={}", self.processes));
                replace("0.0.0.0:5060", &format!("127.0.0.1:{port}"));
                replace("/run/kamailio", &root);
                replace("/etc/kamailio", &root);
            } else {
                let via = format!("sip:{};transport={}", trunk.address, self.transport);
                replace("sip:203.0.113.7:5060;transport=udp", &via);
                replace("203.0.113.7", &trunk.address.ip().to_string());
                replace("127.0.0.1:5080", &application.address.to_string());
                replace("/etc/csw.toml", &format!("{root}/csw.toml"));
            }
            fs::write(dir.path().join(file), text).unwrap();
        }
        if is_root() {
            shell(&format!("chown -R kamailio:kamailio {root}"));
        }

        let kamailio = start_kamailio(dir.path(), port)?;
        Ok(Gateway { dir, kamailio, port, trunk, application })
    }
}

impl Gateway {
    #[expect(clippy::new_ret_no_self, reason = "it begins the sentence")]
    pub fn new() -> Builder {
        Builder {
            top: String::new(),
            toml: String::new(),
            edits: Vec::new(),
            trunk: None,
            transport: "udp",
            processes: 2,
        }
    }

    /// With the clock that requests set.
    pub fn with_test_clock() -> Builder {
        Self::new().top("test_clock = true\n")
    }

    /// Stops gracefully, and starts on the same files.
    pub fn restart(&mut self) {
        self.stop();
        self.kamailio = start_kamailio(self.dir.path(), self.port).unwrap();
    }

    pub fn stop(&mut self) {
        if self.kamailio.try_wait().unwrap().is_none() {
            signal(&self.kamailio, "TERM");
            let until = Instant::now() + Duration::from_secs(15);
            while self.kamailio.try_wait().unwrap().is_none() && Instant::now() < until {
                thread::sleep(Duration::from_millis(10));
            }
        }
        // Whoever is left of its own group.
        shell(&format!("kill -KILL -{} 2>/dev/null || true", self.kamailio.id()));
        let _ = self.kamailio.wait();
    }

    /// A client's message.
    pub fn send(&self, message: &Message) -> Seen {
        exchange(IpAddr::from(HERE), self.port, Transport::Udp, message)
    }

    pub fn send_over_tcp(&self, message: &Message) -> Seen {
        exchange(IpAddr::from(HERE), self.port, Transport::Tcp, message)
    }

    /// A message of the trunk's.
    pub fn receive(&self, message: &Message) -> Seen {
        exchange(IpAddr::from(TRUNK), self.port, Transport::Udp, message)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    /// The decisions that the log holds.
    pub fn decisions(&self) -> Vec<Value> {
        let log = self.log();
        let lines = log.lines().filter_map(|line| line.split_once("csw: {"));
        lines.map(|(_, rest)| serde_json::from_str(&format!("{{{rest}")).unwrap()).collect()
    }

    pub fn wait_for_log(&self, text: &str) {
        wait(&format!("{text} in the log"), || self.log().contains(text));
    }

    pub fn reload(&self) {
        let socket = self.dir.path().join("kamailio_ctl");
        shell(&format!("kamcmd -s unix:{} app_lua.reload", socket.display()));
    }

    /// Changes a file of the running gateway.
    pub fn rewrite(&self, name: &str, from: &str, to: &str) {
        let path = self.dir.path().join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "no {from:?} in\n{text}");
        // At once, since any process may be reading it.
        fs::write(path.with_extension("new"), text.replace(from, to)).unwrap();
        fs::set_permissions(path.with_extension("new"), fs::Permissions::from_mode(0o644)).unwrap();
        fs::rename(path.with_extension("new"), path).unwrap();
    }

    /// The processes that take messages, and all others.
    pub fn processes(&self) -> Vec<u32> {
        let main = self.kamailio.id();
        let children = fs::read_to_string(format!("/proc/{main}/task/{main}/children")).unwrap();
        children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }

    /// The gateway's store, to stand in its way.
    pub fn store(&self) -> heed::Env {
        // SAFETY: the test's process opens each gateway's store once, and reads and writes nothing.
        unsafe { heed::EnvOpenOptions::new().open(self.dir.path().join("store")) }.unwrap()
    }

    /// What the operator's command answers, as the user of the gateway.
    pub fn csw(&self, arguments: &[&str]) -> Value {
        let mut command = Command::new(build().join("bin/csw"));
        command.current_dir(self.dir.path()).args(["--json", "-c", "csw.toml"]).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Driver for Gateway {
    fn customer_writes(&self, customer: &str, at: u64) {
        let reply = self.receive(&inbound(customer).at(at));
        assert_eq!(reply.status(), 200, "{reply:?}");
    }

    fn sends_text(&self, customer: &str, at: u64) -> (String, String) {
        self.send(&text(customer).at(at)).decision()
    }

    fn sends_template(&self, customer: &str, name: &str, at: u64) -> (String, String) {
        self.send(&template(customer, name).at(at)).decision()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop();
        if thread::panicking() {
            eprintln!("--- log\n{}", self.log());
        }
    }
}

/// A customer's message, as the trunk brings it.
pub fn inbound(customer: &str) -> Message {
    Message::new(customer, BUSINESS)
}

/// A business's message.
pub fn text(customer: &str) -> Message {
    Message::new(BUSINESS, customer)
}

pub fn template(customer: &str, name: &str) -> Message {
    text(customer).header("X-WhatsApp-Template", &format!("{name}; language=en_US"))
}

fn is_root() -> bool {
    shell("id -u").trim() == "0"
}

pub fn example(name: &str) -> PathBuf {
    manifest().join("examples/kamailio").join(name)
}

/// What an installation holds, where the gateway's user may read it.
fn stage(dir: &Path) {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(dir.join("store")).unwrap();
    fs::set_permissions(dir.join("store"), fs::Permissions::from_mode(0o700)).unwrap();
    let build = build();
    let (build, dir) = (build.display(), dir.display());
    shell(&format!("cp -r {build}/share/lua {dir}/lua && cp {build}/lib/lua/5.1/csw_native.so {dir}/lua/"));
}

fn start_kamailio(dir: &Path, port: u16) -> Result<Child, String> {
    let root = dir.to_str().unwrap();
    let log = fs::File::options().create(true).append(true).open(dir.join("log")).unwrap();
    let mut command = Command::new("kamailio");
    command
        .args(["-f", &format!("{root}/kamailio.cfg"), "-DD", "-E", "-Y", root])
        .env("LUA_PATH", format!("{root}/lua/?.lua;{root}/lua/?/init.lua"))
        .env("LUA_CPATH", format!("{root}/lua/?.so"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .process_group(0);
    if is_root() {
        command.args(["-u", "kamailio", "-g", "kamailio"]);
    }
    let mut kamailio =
        command.spawn().unwrap_or_else(|error| panic!("cannot run kamailio ({error}): run make deps build"));

    // It answers what it does not take before it takes anything else.
    let socket = UdpSocket::bind((IpAddr::from(HERE), 0)).unwrap();
    let mut options = Message::new("test", "test");
    options.method = "OPTIONS";
    let bytes = options.render(Transport::Udp, socket.local_addr().unwrap());
    let until = Instant::now() + Duration::from_secs(15);
    let mut buffer = vec![0; 65536];
    loop {
        let _ = socket.send_to(&bytes, ("127.0.0.1", port));
        if final_reply(&socket, Duration::from_millis(50), &mut buffer).is_some() {
            return Ok(kamailio);
        }
        if kamailio.try_wait().unwrap().is_some() || Instant::now() > until {
            let _ = kamailio.kill();
            let _ = kamailio.wait();
            return Err(fs::read_to_string(dir.join("log")).unwrap());
        }
    }
}
