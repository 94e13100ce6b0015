//! What the tests of Prosody are made with: a server of the example's configuration, the component of a transport, and
//! clients.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use crate::scenario::Driver;

pub use crate::gateway::*;
pub use crate::stream::Stream;

pub const COMPONENT: &str = "whatsapp.example.com";
pub const STRANGER: &str = "16505559999";
pub const SECRET_OF_COMPONENT: &str = "the component's own";

/// The example's configuration with what a test changes of it.
pub struct Builder {
    top: String,
    toml: String,
    edits: Vec<(String, String)>,
    library: bool,
    detached: bool,
}

/// A running Prosody; dropped, it stops and its files are gone.
pub struct Gateway {
    pub dir: TempDir,
    prosody: Option<Child>,
    daemon: Option<u32>,
    pub clients: u16,
    pub components: u16,
    told: AtomicUsize,
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

    /// Changes prosody.cfg.lua.
    pub fn edit(mut self, from: &str, to: &str) -> Self {
        self.edits.push((from.into(), to.into()));
        self
    }

    /// csw is not installed where Lua looks for it.
    pub fn without_library(mut self) -> Self {
        self.library = false;
        self
    }

    /// Prosody becomes a daemon of its own, as `prosodyctl start` has it.
    pub fn detached(mut self) -> Self {
        self.detached = true;
        self
    }

    pub fn start(self) -> Gateway {
        require_build();
        let dir = TempDir::new().unwrap();
        let root = dir.path().to_str().unwrap().to_owned();
        let (clients, components) = (free_port(), free_port());
        for folder in ["store", "data", "modules", "lua", "lua/csw"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let paths = [("/var/lib/csw", &*format!("{root}/store"))];
        let toml = csw_toml(&example("csw.toml"), &self.top, &self.toml, &paths);
        fs::write(dir.path().join("csw.toml"), toml).unwrap();

        let mut conf = fs::read_to_string(example("prosody.cfg.lua")).unwrap();
        let mut replace = |from: &str, to: &str| {
            assert!(conf.contains(from), "no {from:?} in\n{conf}");
            conf = conf.replace(from, to);
        };
        self.edits.iter().for_each(|(from, to)| replace(from, to));
        replace("/usr/local/lib/prosody/modules", &format!("{root}/modules"));
        replace("/run/prosody/", &format!("{root}/"));
        replace("/var/log/prosody/", &format!("{root}/"));
        replace("\"/etc/csw.toml\"", &format!("\"{root}/csw.toml\""));
        replace("{ 5347 }", &format!("{{ {components} }}"));
        replace("\"tls\",", "");
        replace("authentication = \"internal_hashed\"", OPEN_TO_ALL);
        replace(
            "c2s_require_encryption = true",
            &format!("c2s_require_encryption = false c2s_ports = {{ {clients} }}"),
        );
        conf = format!("data_path = \"{root}/data\" c2s_interfaces = {{ \"127.0.0.1\" }}\n{conf}");
        fs::write(dir.path().join("prosody.cfg.lua"), conf).unwrap();

        // Where the user that Prosody runs as can read it, wherever the build is.
        let staged = build().join("share/lua");
        fs::copy(staged.join("mod_csw.lua"), dir.path().join("modules/mod_csw.lua")).unwrap();
        if self.library {
            for file in fs::read_dir(staged.join("csw")).unwrap().map(Result::unwrap) {
                fs::copy(file.path(), dir.path().join("lua/csw").join(file.file_name())).unwrap();
            }
            let native = build().join("lib/lua/5.4/csw_native.so");
            fs::copy(native, dir.path().join("lua/csw_native.so")).unwrap();
        }
        if is_root() {
            shell(&format!("chown -R prosody: {root}"));
        }
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o750)).unwrap();

        let mut gateway = Gateway { dir, prosody: None, daemon: None, clients, components, told: AtomicUsize::new(0) };
        gateway.run(self.detached);
        gateway
    }
}

/// Any password will do.
const OPEN_TO_ALL: &str = "authentication = \"insecure\" allow_unencrypted_plain_auth = true \
                           insecure_open_authentication = \"Yes please, I know what I'm doing!\"";

impl Gateway {
    #[expect(clippy::new_ret_no_self, reason = "it begins the sentence")]
    pub fn new() -> Builder {
        Builder { top: String::new(), toml: String::new(), edits: Vec::new(), library: true, detached: false }
    }

    fn run(&mut self, detached: bool) {
        let mut prosody = self.command("prosody", if detached { "-D" } else { "-F" });
        self.prosody = Some(prosody.stdout(Stdio::null()).spawn().expect("prosody runs: make deps build"));
        let ports = [self.clients, self.components];
        wait("prosody listens", || ports.iter().all(|&port| TcpStream::connect(("127.0.0.1", port)).is_ok()));
        if detached {
            let named = || fs::read_to_string(self.dir.path().join("prosody.pid")).ok()?.trim().parse().ok();
            wait("the daemon says its number", || {
                self.daemon = named();
                self.daemon.is_some()
            });
        }
    }

    /// A program of Prosody's, with this configuration and as its user.
    fn command(&self, program: &str, argument: &str) -> Command {
        let root = self.path();
        let mut command = Command::new(program);
        command
            .args(["--config", &format!("{root}/prosody.cfg.lua"), argument])
            .env("LUA_PATH_5_4", format!("{root}/lua/?.lua;{root}/lua/?/init.lua;;"))
            .env("LUA_CPATH_5_4", format!("{root}/lua/?.so;;"))
            .current_dir(root);
        if is_root() {
            let id = |flag: &str| shell(&format!("id -{flag} prosody")).trim().parse().unwrap();
            command.uid(id("u")).gid(id("g"));
        }
        command
    }

    pub fn path(&self) -> &str {
        self.dir.path().to_str().unwrap()
    }

    /// The process of the server, also where it has become a daemon.
    pub fn pid(&self) -> u32 {
        self.daemon.unwrap_or_else(|| self.prosody.as_ref().unwrap().id())
    }

    pub fn signal(&self, name: &str) {
        shell(&format!("kill -{name} {}", self.pid()));
    }

    /// Once it has ended, starts on the same files.
    pub fn start_again(&mut self) {
        let _ = self.prosody.take().unwrap().wait();
        self.run(false);
    }

    /// What an administrator types into Prosody's shell.
    pub fn shell(&self, words: &str) -> String {
        let mut command = self.command("prosodyctl", "shell");
        let output = command.args(words.split(' ')).output().unwrap();
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The transport, connected.
    pub fn component(&self) -> Stream {
        Stream::component(self.components, COMPONENT, SECRET_OF_COMPONENT)
    }

    /// A user of the server, online.
    pub fn client(&self, user: &str) -> Stream {
        let client = Stream::client(self.clients, "example.com", user);
        client.send("<presence/>");
        client.next("presence");
        client
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("prosody.log")).unwrap_or_default()
    }

    /// The decisions, as they were logged.
    pub fn decisions(&self) -> Vec<Value> {
        let log = self.log();
        let lines = log.lines().filter_map(|line| line.split_once('{'));
        lines.filter_map(|(_, json)| serde_json::from_str(&format!("{{{json}")).ok()).collect()
    }

    pub fn wait_for_log(&self, text: &str) {
        wait(&format!("{text} in the log"), || self.log().contains(text));
    }

    /// What the operator's command answers.
    pub fn csw(&self, arguments: &[&str]) -> Value {
        let mut command = Command::new(build().join("bin/csw"));
        command.current_dir(self.dir.path()).args(["--json", "-c", "csw.toml"]).args(arguments);
        let output = command.output().unwrap();
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// The window's state, by the operator's command.
    pub fn window(&self, customer: &str) -> String {
        self.csw(&["check", BUSINESS, customer])["state"].as_str().unwrap().to_owned()
    }

    pub fn id(&self) -> String {
        format!("m{}", self.told.fetch_add(1, Ordering::Relaxed))
    }

    /// The gateway's store, to stand in its way.
    pub fn store(&self) -> heed::Env {
        // SAFETY: the test's process opens each gateway's store once, and reads and writes nothing.
        unsafe { heed::EnvOpenOptions::new().open(self.dir.path().join("store")) }.unwrap()
    }

    /// Puts a file beside csw.toml.
    pub fn write(&self, name: &str, text: &str) {
        fs::File::options()
            .write(true)
            .truncate(true)
            .open(self.dir.path().join(name))
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if self.daemon.is_some() {
            self.signal("TERM");
            wait("the daemon is gone", || !self.dir.path().join("prosody.pid").exists());
        }
        if let Some(prosody) = &mut self.prosody {
            stop(prosody);
        }
        if thread::panicking() {
            eprintln!("--- prosody.log\n{}", self.log());
        }
    }
}

/// A server with a transport and one of its users, who play what a table says.
pub struct Stage {
    pub gateway: Gateway,
    pub component: Stream,
    pub client: Stream,
}

impl Stage {
    pub fn set(builder: Builder) -> Self {
        let gateway = builder.start();
        let (component, client) = (gateway.component(), gateway.client("support"));
        Stage { gateway, component, client }
    }

    /// A stage whose messages name their time.
    pub fn new() -> Self {
        Self::set(Gateway::new().top("test_clock = true\n"))
    }

    /// The component has got what was sent before, and nothing of it is left.
    pub fn nothing_reached_the_component(&self) {
        let id = self.gateway.id();
        self.client.send(&format!("<message to='{COMPONENT}' id='{id}'><body>done</body></message>"));
        self.component.next_where(|stanza| stanza.attribute("id") == id);
        assert!(self.component.messages().is_empty(), "{:?}", self.component.messages());
    }

    /// Where a message went tells whether it passed, and the log why.
    pub fn sends(&self, customer: &str, at: u64, content: &str) -> (String, String) {
        let (id, before) = (self.gateway.id(), self.gateway.decisions().len());
        self.client.send(&format!(
            "<message to='{customer}@{COMPONENT}' type='chat' id='{id}'>{content}{}</message>",
            clock(at)
        ));
        wait("the decision is logged", || self.gateway.decisions().len() > before);
        let logged = self.gateway.decisions()[before].clone();
        let word = |key: &str| logged[key].as_str().unwrap().to_owned();
        let side = if word("verdict") == "deny" { &self.client } else { &self.component };
        side.next_where(|stanza| stanza.attribute("id") == id);
        (word("verdict"), word("reason"))
    }
}

impl Driver for Stage {
    /// A customer's message arrives at its user, and with that it is on record.
    fn customer_writes(&self, customer: &str, at: u64) {
        let id = self.gateway.id();
        self.component.send(&format!(
            "<message from='{customer}@{COMPONENT}' to='support@example.com' type='chat' id='{id}'>\
             <body>Hello</body>{}</message>",
            clock(at)
        ));
        let arrived = self.client.next_where(|stanza| stanza.attribute("id") == id);
        assert_eq!(arrived.name, "message", "{arrived:?}");
    }

    fn sends_text(&self, customer: &str, at: u64) -> (String, String) {
        self.sends(customer, at, "<body>Hello</body>")
    }

    fn sends_template(&self, customer: &str, name: &str, at: u64) -> (String, String) {
        self.sends(customer, at, &format!("<template xmlns='urn:csw:whatsapp' name='{name}' language='en_US'/>"))
    }
}

pub fn text_to(customer: &str, id: &str) -> String {
    format!("<message to='{customer}@{COMPONENT}' type='chat' id='{id}'><body>Hello</body></message>")
}

pub fn template_to(customer: &str, id: &str) -> String {
    let template = "<template xmlns='urn:csw:whatsapp' name='summer_promotion'/>";
    format!("<message to='{customer}@{COMPONENT}' id='{id}'>{template}</message>")
}

/// What the component answers to a message of support's.
pub fn error_for(customer: &str, id: &str, error: &str) -> String {
    format!(
        "<message from='{customer}@{COMPONENT}' to='support@example.com/support' type='error' id='{id}'>{error}</message>"
    )
}

pub fn clock(at: u64) -> String {
    format!("<csw xmlns='urn:csw:test' at='{at}'/>")
}

fn is_root() -> bool {
    shell("id -u").trim() == "0"
}

pub fn example(name: &str) -> PathBuf {
    Path::new(manifest()).join("examples/prosody").join(name)
}
