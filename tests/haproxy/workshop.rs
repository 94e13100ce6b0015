//! What the tests of HAProxy are made with: a gateway of the example's configuration, started as the package's unit starts
//! it: by root, then as the user haproxy inside a chroot.

use std::collections::HashSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub use crate::gateway::*;

/// The example's gateway with what a test changes of it.
pub struct Builder {
    top: String,
    toml: String,
    options: String,
    lua: String,
    files: Vec<(String, String)>,
    edits: Vec<(String, String)>,
    platform: u16,
}

/// A running gateway; dropped, it stops and its files are gone.
pub struct Gateway {
    pub dir: TempDir,
    pub haproxy: Child,
    pub port: u16,
    syslog: Arc<Mutex<String>>,
}

impl Builder {
    pub fn platform(mut self, platform: &Server) -> Self {
        self.platform = platform.port;
        self
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
        self.top("store = \"lmdb:/dev/log/store\"\n")
    }

    /// Options of `start`, as Lua; PORT is the gateway's own.
    pub fn options(mut self, lua: &str) -> Self {
        self.options += lua;
        self
    }

    /// Lua that runs before the hook is loaded.
    pub fn lua(mut self, lua: &str) -> Self {
        self.lua += lua;
        self
    }

    /// A file in the test's folder; below `lua/` Lua finds modules first.
    pub fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.into(), text.into()));
        self
    }

    /// Changes haproxy.cfg.
    pub fn edit(mut self, from: &str, to: &str) -> Self {
        self.edits.push((from.into(), to.into()));
        self
    }

    pub fn start(self) -> Gateway {
        self.try_start().unwrap_or_else(|error| panic!("HAProxy does not start: {error}"))
    }

    pub fn try_start(self) -> Result<Gateway, String> {
        require_build();
        assert_eq!(
            shell("id -u").trim(),
            "0",
            "HAProxy is started by root, as Debian's unit does: run the tests as root"
        );
        let dir = TempDir::new().unwrap();
        let root = dir.path().to_str().unwrap();
        let port = free_port();
        let jail = dir.path().join("jail");
        fs::create_dir_all(jail.join("dev")).unwrap();
        fs::create_dir(dir.path().join("lua")).unwrap();
        let syslog = listen(&jail.join("dev/log"));

        // The store as the example says: inside the chroot, under the path by which it is known outside.
        let (known, inside) = (dir.path().join("store"), jail.join(&root[1..]).join("store"));
        fs::create_dir_all(&inside).unwrap();
        symlink(&inside, known).unwrap();
        let (user, group) = (id("-u"), id("-g"));
        chown(&inside, Some(user), Some(group)).unwrap();
        for (name, secret) in [("app_secret", SECRET), ("verify_token", VERIFY_TOKEN)] {
            let path = dir.path().join(name);
            fs::write(&path, secret).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }

        let paths = [("/var/lib/csw", &*format!("{root}/store")), ("/etc/csw", root)];
        let toml = csw_toml(&example("csw.toml"), &self.top, &self.toml, &paths);
        fs::write(dir.path().join("csw.toml"), toml).unwrap();
        for (name, text) in &self.files {
            fs::write(dir.path().join(name), text).unwrap();
        }

        let options = self.options.replace("PORT", &port.to_string());
        let lua = fs::read_to_string(example("csw.lua")).unwrap();
        assert!(lua.contains("(\"/etc/csw.toml\")"), "{lua}");
        let lua = lua.replace("\"/etc/csw.toml\"", &format!("\"{root}/csw.toml\", {{ {options} }}"));
        fs::write(dir.path().join("csw.lua"), format!("{}\n{lua}", self.lua)).unwrap();

        let mut conf = fs::read_to_string(example("haproxy.cfg")).unwrap();
        let share = format!("{}/share/lua", build().display());
        let paths = format!(
            "lua-prepend-path {share}/?.lua\n lua-prepend-path {share}/?/init.lua\n lua-prepend-path {root}/lua/?.lua\n \
             lua-prepend-path {}/lib/lua/5.3/?.so cpath\n lua-prepend-path {root}/lua/?.so cpath\n nbthread 2\n \
             chroot {}",
            build().display(),
            jail.display()
        );
        let own = [
            ("chroot /var/lib/haproxy", paths.as_str()),
            ("/etc/haproxy/csw.lua", &format!("{root}/csw.lua")),
            ("/run/haproxy/", &format!("{root}/")),
            ("bind :8080", &format!("bind 127.0.0.1:{port}")),
        ];
        for (from, to) in self.edits.iter().map(|(from, to)| (from.as_str(), to.as_str())).chain(own) {
            assert!(conf.contains(from), "no {from:?} in\n{conf}");
            conf = conf.replace(from, to);
        }
        let server = conf.lines().find(|line| line.contains("server graph ")).unwrap().to_owned();
        conf = conf.replace(&server, &format!("    server graph 127.0.0.1:{}", self.platform));
        fs::write(dir.path().join("haproxy.cfg"), conf).unwrap();

        let haproxy = start_haproxy(dir.path(), port)?;
        Ok(Gateway { dir, haproxy, port, syslog })
    }
}

impl Gateway {
    #[expect(clippy::new_ret_no_self, reason = "it begins the sentence")]
    pub fn new() -> Builder {
        Builder {
            top: String::new(),
            toml: String::new(),
            options: String::new(),
            lua: String::new(),
            files: Vec::new(),
            edits: Vec::new(),
            platform: closed_port(),
        }
    }

    /// Stops gracefully, and starts on the same files.
    pub fn restart(&mut self) {
        self.signal("USR1");
        self.wait_for_end();
        self.start_again();
    }

    pub fn wait_for_end(&mut self) {
        wait("HAProxy ends", || self.haproxy.try_wait().unwrap().is_some());
    }

    pub fn start_again(&mut self) {
        self.haproxy = start_haproxy(self.dir.path(), self.port).unwrap();
    }

    /// Reloads as the unit does, and waits for the new worker.
    pub fn reload(&self) {
        wait_for_signals(&self.haproxy);
        let before = self.workers();
        self.signal("USR2");
        wait("a new worker took over", || !self.workers().is_subset(&before));
    }

    /// What came to /dev/log.
    pub fn syslog(&self) -> String {
        self.syslog.lock().unwrap().clone()
    }

    /// The decisions in the log, in their order.
    pub fn decisions(&self) -> Vec<Value> {
        let log = self.syslog();
        let lines = log.lines().filter_map(|line| serde_json::from_str(&line[line.find('{')?..]).ok());
        lines.filter(|line: &Value| line["verdict"].is_string()).collect()
    }

    /// What HAProxy said to whoever started it.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.path().join("stderr")).unwrap()).into_owned()
    }

    pub fn wait_for_log(&self, text: &str) {
        wait(&format!("{text} in the log"), || self.syslog().contains(text));
    }

    /// The gateway's store, to stand in its way.
    pub fn store(&self) -> heed::Env {
        // SAFETY: the test's process opens each gateway's store once, and reads and writes nothing.
        unsafe { heed::EnvOpenOptions::new().open(self.dir.path().join("store")) }.unwrap()
    }

    /// What the operator's command answers.
    pub fn csw(&self, arguments: &[&str]) -> Value {
        let mut command = Command::new(build().join("bin/csw"));
        command.current_dir(self.dir.path()).args(["--json", "-c", "csw.toml"]).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub fn signal(&self, name: &str) {
        signal(&self.haproxy, name);
    }

    /// The workers, those that are ending as well.
    pub fn workers(&self) -> HashSet<u32> {
        let master = self.haproxy.id();
        let children = fs::read_to_string(format!("/proc/{master}/task/{master}/children")).unwrap();
        children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }
}

impl Http for Gateway {
    fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        stop(&mut self.haproxy);
        if thread::panicking() {
            eprintln!("--- stderr\n{}\n--- log\n{}", self.stderr(), self.syslog());
        }
    }
}

/// A syslog of a few lines; it ends with the test's process.
fn listen(path: &Path) -> Arc<Mutex<String>> {
    let socket = UnixDatagram::bind(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
    let log = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&log);
    thread::spawn(move || {
        let mut line = vec![0; 65536];
        while let Ok(length) = socket.recv(&mut line) {
            kept.lock().unwrap().push_str(&String::from_utf8_lossy(&line[..length]));
        }
    });
    log
}

/// The number of the package's user or of its group.
fn id(which: &str) -> u32 {
    shell(&format!("id {which} haproxy")).trim().parse().unwrap()
}

fn start_haproxy(dir: &Path, port: u16) -> Result<Child, String> {
    let mut haproxy = Command::new("haproxy")
        .current_dir(dir)
        .args(["-Ws", "-f", "haproxy.cfg", "-p", "pid"])
        .stdout(Stdio::null())
        .stderr(fs::File::create(dir.join("stderr")).unwrap())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run haproxy ({error}): run make deps build"));
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if haproxy.try_wait().unwrap().is_some() || Instant::now() > deadline {
            let _ = haproxy.kill();
            let _ = haproxy.wait();
            return Err(fs::read_to_string(dir.join("stderr")).unwrap());
        }
        thread::sleep(Duration::from_millis(5));
    }
    wait_for_signals(&haproxy);
    Ok(haproxy)
}

/// Until the master handles SIGUSR2: not while it starts, nor while a reload has it start anew.
fn wait_for_signals(master: &Child) {
    wait("the master takes signals", || {
        let status = fs::read_to_string(format!("/proc/{}/status", master.id())).unwrap();
        let has = |set: &str| {
            let mask = status.lines().find_map(|line| line.strip_prefix(set)).unwrap();
            u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << 11) != 0
        };
        has("SigCgt:") && !has("SigBlk:")
    });
}

pub fn example(name: &str) -> PathBuf {
    manifest().join("examples/haproxy").join(name)
}

/// Posts a body in chunks, each some time after the one before it.
pub fn chunked(gateway: &Gateway, path: &str, parts: &[&[u8]]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", gateway.port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    for part in parts {
        let chunk = [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
        // A refused body is not read to its end.
        let _ = stream.write_all(&chunk);
        thread::sleep(Duration::from_millis(50));
    }
    let _ = stream.write_all(b"0\r\n\r\n");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}
