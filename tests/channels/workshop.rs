//! The other channels of the closed branch, as real programs: Kannel with its fake SMS center, and Exim. With the
//! configurations of `examples/`, on free ports and in folders of their own.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fs::{self, File, Permissions};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;

use tempfile::TempDir;

use crate::gateway::*;

const FAKE_SMSC: &str = "/usr/lib/kannel/test/fakesmsc";
/// What Kannel knows csw by.
pub const KANNEL_PASSWORD: &str = "kannel's own password";

/// The mail server's recipient that it knows nothing of.
pub const NOBODY: &str = "16505559999";
/// Whom its AUTH PLAIN lets in.
pub const MAIL_USER: &str = "shop";
pub const MAIL_PASSWORD: &str = "the mail server's password";
/// The name on its certificate.
pub const MAIL_NAME: &str = "mx.example.com";

/// A running program, killed when it is dropped: none of them keeps anything that a test needs.
struct Program(Child);

impl Program {
    fn start(command: &mut Command, log: &Path) -> Self {
        let file = File::create(log).unwrap();
        command.stdout(file.try_clone().unwrap()).stderr(file);
        Program(command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?} ({error}): run make deps")))
    }

    /// Waits until it listens.
    fn listening(mut self, port: u16, log: &Path) -> Self {
        wait(&format!("a listener on port {port}"), || {
            let ended = self.0.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {}", fs::read_to_string(log).unwrap());
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        self
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

// --- nginx --------------------------------------------------------------------------------------

/// nginx with `examples/nginx/channels.conf`, and a location that gives texts to its channels as csw does.
pub struct Channels {
    dir: TempDir,
    nginx: Child,
    pub port: u16,
}

pub struct Builder {
    kannel: (u16, String),
    mail: u16,
    edits: Vec<(String, String)>,
    hasty: bool,
}

/// What came of a text that was given to a channel.
#[derive(Debug)]
pub struct Given {
    pub status: u16,
    /// The channel's own id for it.
    pub id: String,
    pub answer: String,
}

/// The text's id that csw would give it.
pub const ID: &str = "csw.0f1e2d3c4b5a69788796a5b4c3d2e1f0";

/// For `write_channels`: timeouts that a busy machine keeps.
pub const PATIENCE: [(&str, &str); 3] = [
    ("proxy_connect_timeout 1s", "proxy_connect_timeout 20s"),
    ("proxy_read_timeout 3s", "proxy_read_timeout 20s"),
    ("from = \"shop@example.com\",", "from = \"shop@example.com\", timeout = 20000,"),
];

/// Writes `channels.conf` into a folder, for an nginx that includes it, with these for its Kannel and its mail server.
pub fn write_channels(root: &Path, kannel: (u16, &str), mail: u16, edits: &[(&str, &str)]) {
    let mut conf = fs::read_to_string(manifest().join("examples/nginx/channels.conf")).unwrap();
    let mut replace = |from: &str, to: &str| {
        assert!(conf.contains(from), "no {from:?} in\n{conf}");
        conf = conf.replace(from, to);
    };
    for (from, to) in edits {
        replace(from, to);
    }
    replace("127.0.0.1:13013", &format!("127.0.0.1:{}", kannel.0));
    replace("port = 25,", &format!("port = {mail},"));
    replace("/etc/nginx/kannel_user.conf", root.join("kannel_user.conf").to_str().unwrap());
    fs::write(root.join("channels.conf"), conf).unwrap();
    let user =
        format!("proxy_set_header X-Kannel-Username \"csw\";\nproxy_set_header X-Kannel-Password \"{}\";\n", kannel.1);
    fs::write(root.join("kannel_user.conf"), user).unwrap();
}

impl Builder {
    pub fn kannel(mut self, kannel: &Kannel) -> Self {
        self.kannel.0 = kannel.port;
        self
    }

    /// A server in Kannel's place.
    pub fn in_place_of_kannel(mut self, server: &Server) -> Self {
        self.kannel.0 = server.port;
        self
    }

    pub fn kannel_password(mut self, password: &str) -> Self {
        self.kannel.1 = password.into();
        self
    }

    pub fn mail(mut self, mail: &MailServer) -> Self {
        self.mail = mail.port;
        self
    }

    /// Waits as long as the example does, and not until a busy machine gets to it.
    pub fn hasty(mut self) -> Self {
        self.hasty = true;
        self
    }

    /// Changes channels.conf.
    pub fn edit(mut self, from: &str, to: &str) -> Self {
        self.edits.push((from.into(), to.into()));
        self
    }

    pub fn start(self) -> Channels {
        let dir = TempDir::new().unwrap();
        let root = dir.path().to_str().unwrap();
        let port = free_port();
        let mut edits: Vec<_> = self.edits.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
        if !self.hasty {
            edits.extend(PATIENCE);
        }
        write_channels(dir.path(), (self.kannel.0, &self.kannel.1), self.mail, &edits);
        let conf = NGINX
            .replace("ROOT", root)
            .replace("USER", shell("id -un").trim())
            .replace("LUA", manifest().join("lua").to_str().unwrap())
            .replace("PORT", &port.to_string());
        fs::write(dir.path().join("nginx.conf"), conf).unwrap();

        let mut nginx = Command::new("nginx");
        nginx.arg("-c").arg(dir.path().join("nginx.conf")).args(["-g", "daemon off;"]);
        let mut nginx = nginx.spawn().unwrap_or_else(|error| panic!("cannot run nginx ({error}): run make deps"));
        wait("nginx listens", || {
            assert!(nginx.try_wait().unwrap().is_none(), "nginx does not start");
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Channels { dir, nginx, port }
    }
}

impl Channels {
    #[expect(clippy::new_ret_no_self, reason = "it begins the sentence")]
    pub fn new() -> Builder {
        Builder {
            kannel: (closed_port(), KANNEL_PASSWORD.into()),
            mail: closed_port(),
            edits: Vec::new(),
            hasty: false,
        }
    }

    pub fn give(&self, channel: &str, to: &str, text: &str) -> Given {
        self.give_with(channel, to, text, &[])
    }

    /// With headers of the client, whose request csw answers by the channel.
    pub fn give_with(&self, channel: &str, to: &str, text: &str, headers: &[(&str, &str)]) -> Given {
        let letter = [("X-To", to), ("X-Business", BUSINESS), ("X-Id", ID)];
        let headers = [&letter, headers].concat();
        let answer = request(self.port, "POST", &format!("/give/{channel}"), &headers, text.as_bytes());
        assert_eq!(answer.status, 200, "{}", self.error_log());
        Given { status: answer.header("X-Status").parse().unwrap(), id: answer.header("X-Id"), answer: answer.text() }
    }

    pub fn get(&self, path: &str) -> Answer {
        request(self.port, "GET", path, &[], b"")
    }

    pub fn error_log(&self) -> String {
        fs::read_to_string(self.dir.path().join("error.log")).unwrap()
    }

    pub fn wait_for_log(&self, text: &str) {
        wait(&format!("{text} in the error log"), || self.error_log().contains(text));
    }

    pub fn access_log(&self) -> String {
        fs::read_to_string(self.dir.path().join("access.log")).unwrap()
    }

    /// Puts a file beside nginx.conf, and says where it is.
    pub fn path_of(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Channels {
    fn drop(&mut self) {
        stop(&mut self.nginx);
        if thread::panicking() {
            eprintln!("--- error.log\n{}", self.error_log());
        }
    }
}

const NGINX: &str = r#"
user USER;
worker_processes 2;
pid ROOT/nginx.pid;
error_log ROOT/error.log info;
include /etc/nginx/modules-enabled/*.conf;

events {}

http {
    client_body_temp_path ROOT/body;
    proxy_temp_path ROOT/proxy;
    fastcgi_temp_path ROOT/fastcgi;
    uwsgi_temp_path ROOT/uwsgi;
    scgi_temp_path ROOT/scgi;
    lua_package_path "LUA/?.lua;;";
    log_format csw '$request_method $uri $status upstream="$upstream_status"';
    access_log ROOT/access.log csw;

    server {
        listen 127.0.0.1:PORT;
        client_body_buffer_size 128k;
        include ROOT/channels.conf;

        location ~ ^/give/(?<channel>.*)$ {
            access_by_lua_block {
                ngx.req.read_body()
                local text = ngx.req.get_body_data() or ""
                local var = ngx.var
                local answer = ngx.location.capture("/csw/channel/" .. var.channel, {
                    method = ngx.HTTP_POST,
                    args = {
                        to = ngx.unescape_uri(var.http_x_to),
                        text = text,
                        business = var.http_x_business,
                        id = var.http_x_id,
                    },
                    body = text,
                })
                ngx.header["X-Status"] = answer.status
                ngx.header["X-Id"] = answer.header["X-CSW-Channel-Id"]
                ngx.print(answer.body)
                ngx.exit(ngx.HTTP_OK)
            }
        }
    }
}
"#;

// --- SMS ----------------------------------------------------------------------------------------

/// bearerbox, smsbox, and the SMS center to which they are connected. Fields are dropped in this order.
pub struct Kannel {
    center: Option<Program>,
    smsbox: Program,
    bearerbox: Program,
    dir: TempDir,
    admin: u16,
    pub port: u16,
}

/// What the SMS center got: one SMS, or one that its parts were put together to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sms {
    pub from: String,
    pub to: String,
    pub text: String,
    pub parts: usize,
    pub coding: &'static str,
}

impl Kannel {
    pub fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let root = dir.path().to_str().unwrap();
        let [admin, boxes, center_port, port] = [(); 4].map(|()| free_port());
        let mut conf = fs::read_to_string(manifest().join("examples/kannel/kannel.conf")).unwrap();
        for (from, to) in [
            ("admin-port = 13000", format!("admin-port = {admin}")),
            ("smsbox-port = 13001", format!("smsbox-port = {boxes}")),
            ("port = 10000\n", format!("port = {center_port}\nallowed-prefix = \"1\"\n")),
            ("sendsms-port = 13013", format!("sendsms-port = {port}")),
            ("/var/spool/kannel", root.into()),
            ("/var/log/kannel", root.into()),
            ("change me, too", KANNEL_PASSWORD.into()),
        ] {
            assert!(conf.contains(from), "no {from:?} in\n{conf}");
            conf = conf.replace(from, &to);
        }
        let path = dir.path().join("kannel.conf");
        fs::write(&path, conf).unwrap();

        let log = |name: &str| dir.path().join(format!("{name}.out"));
        let run = |name: &str, port: u16| {
            let mut command = Command::new(format!("/usr/sbin/{name}"));
            Program::start(command.args(["-v", "2"]).arg(&path), &log(name)).listening(port, &log(name))
        };
        let bearerbox = run("bearerbox", boxes);
        let smsbox = run("smsbox", port);
        let mut center = Command::new(FAKE_SMSC);
        center.args(["-H", "127.0.0.1", "-m", "0", "-r", &center_port.to_string(), "1 2 text nop"]);
        let center = Program::start(&mut center, &log("center"));
        let kannel = Kannel { center: Some(center), smsbox, bearerbox, dir, admin, port };
        // Until both are connected, Kannel answers that it has queued what it gets.
        wait("smsbox and the SMS center are connected", || {
            kannel.status().contains("smsbox:csw") && kannel.is_online()
        });
        kannel
    }

    fn status(&self) -> String {
        request(self.admin, "GET", "/status.txt?password=change%20me", &[], b"").text()
    }

    fn is_online(&self) -> bool {
        self.status().contains("(online")
    }

    /// The SMS center is gone.
    pub fn lose_center(&mut self) {
        self.center = None;
        wait("Kannel has no SMS center", || !self.is_online());
    }

    /// Its side of the phones is down: bearerbox says nothing more.
    pub fn freeze(&self) {
        signal(&self.bearerbox.0, "STOP");
    }

    /// What the SMS center got until now, whole messages alone.
    pub fn received(&self) -> Vec<Sms> {
        let log = fs::read(self.dir.path().join("center.out")).unwrap();
        let log = String::from_utf8_lossy(&log);
        let mut whole: Vec<Sms> = Vec::new();
        let mut parts: Vec<(Vec<u8>, Sms)> = Vec::new();
        for line in log.lines().filter_map(|line| line.split_once(": <")?.1.strip_suffix('>')) {
            let words: Vec<_> = line.splitn(4, ' ').collect();
            let numbers = words.iter().take(2).filter(|word| word.bytes().all(|byte| byte.is_ascii_digit())).count();
            let (&[from, to, kind, content], 2) = (&words[..], numbers) else {
                // The center splits a text at its line breaks.
                let sms = whole.last_mut().unwrap();
                sms.text += "\n";
                sms.text += line;
                continue;
            };
            let sms = |text: String, parts, coding| Sms { from: from.into(), to: to.into(), text, parts, coding };
            match kind {
                "text" => whole.push(sms(content.into(), 1, "gsm")),
                "ucs-2" => whole.push(sms(utf16(&decoded(content)), 1, "ucs-2")),
                "udh" => {
                    // 05 00 03, then the message's number, of how many parts, and which.
                    let (header, content) = content.split_once(" data ").unwrap();
                    let header = decoded(header);
                    if header[5] == 1 {
                        parts.push((Vec::new(), sms(String::new(), 0, "")));
                    }
                    let (bytes, sms) = parts.last_mut().unwrap();
                    bytes.extend(decoded(content));
                    sms.parts += 1;
                    assert_eq!(usize::from(header[5]), sms.parts, "the parts come in order");
                    if header[4] == header[5] {
                        let (bytes, mut sms) = parts.pop().unwrap();
                        // The center does not say which it is; texts in UTF-16 have zeros, or are no UTF-8.
                        let gsm = String::from_utf8(bytes.clone()).ok().filter(|text| !text.contains('\0'));
                        sms.coding = if gsm.is_some() { "gsm" } else { "ucs-2" };
                        sms.text = gsm.unwrap_or_else(|| utf16(&bytes));
                        whole.push(sms);
                    }
                }
                _ => panic!("{line}"),
            }
        }
        whole
    }

    /// The only SMS, as soon as it is there.
    pub fn only(&self) -> Sms {
        wait("an SMS", || !self.received().is_empty());
        let received = self.received();
        assert_eq!(received.len(), 1, "{received:?}");
        received[0].clone()
    }

    /// Everything that Kannel wrote down.
    pub fn logs(&self) -> String {
        ["bearerbox.log", "smsbox.log", "bearerbox.out", "smsbox.out"]
            .map(|name| String::from_utf8_lossy(&fs::read(self.dir.path().join(name)).unwrap()).into_owned())
            .concat()
    }
}

impl Drop for Kannel {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- Kannel\n{}", self.logs());
        }
    }
}

/// What a URL writes as %XX and +.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let hex = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(str::from_utf8(&hex).unwrap(), 16).unwrap()
            }
            byte => byte,
        });
    }
    bytes
}

fn utf16(bytes: &[u8]) -> String {
    let units: Vec<_> = bytes.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    String::from_utf16(&units).unwrap()
}

// --- e-mail -------------------------------------------------------------------------------------

/// Exim, which delivers into a folder what comes for sms.example.com.
pub struct MailServer {
    exim: Option<Program>,
    dir: TempDir,
    pub port: u16,
}

/// A message that was delivered.
#[derive(Debug)]
pub struct Mail {
    pub raw: String,
}

impl MailServer {
    pub fn start() -> Self {
        Self::start_with("tls_advertise_hosts =\n", "")
    }

    /// Lets nobody in without TLS and a password.
    pub fn with_login() -> Self {
        Self::start_with(LOGIN, AUTHENTICATORS)
    }

    fn start_with(settings: &str, authenticators: &str) -> Self {
        assert_eq!(shell("id -u").trim(), "0", "Exim takes a configuration of one's own from root alone");
        let dir = TempDir::new().unwrap();
        let root = dir.path().to_str().unwrap();
        let port = free_port();
        // Exim gives up root, and has to reach its files; its configuration stays root's.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        if settings == LOGIN {
            shell(&format!(
                "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={MAIL_NAME} \
                 -addext subjectAltName=DNS:{MAIL_NAME} -keyout {root}/key.pem -out {root}/certificate.pem 2>&1 \
                 && chmod 644 {root}/key.pem"
            ));
        }
        let user = |flag: &str| shell(&format!("id {flag} Debian-exim")).trim().parse().unwrap();
        for folder in ["spool", "log", "mail"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
            chown(dir.path().join(folder), Some(user("-u")), Some(user("-g"))).unwrap();
        }
        let conf = dir.path().join("exim.conf");
        let text = [settings, EXIM, authenticators].concat();
        fs::write(&conf, text.replace("ROOT", root).replace("PORT", &port.to_string())).unwrap();

        let log = dir.path().join("exim.out");
        let exim = Program::start(Command::new("/usr/sbin/exim4").arg("-C").arg(&conf).arg("-bdf"), &log);
        MailServer { exim: Some(exim.listening(port, &log)), dir, port }
    }

    /// It is gone, and its port answers nobody.
    pub fn stop(&mut self) {
        self.exim = None;
    }

    pub fn certificate(&self) -> PathBuf {
        self.dir.path().join("certificate.pem")
    }

    /// What was delivered until now.
    pub fn delivered(&self) -> Vec<Mail> {
        let Ok(files) = fs::read_dir(self.dir.path().join("mail/new")) else {
            return Vec::new();
        };
        files.map(|file| Mail { raw: fs::read_to_string(file.unwrap().path()).unwrap() }).collect()
    }

    /// The only message, as soon as it is delivered.
    pub fn only(&self) -> Mail {
        wait("an e-mail", || !self.delivered().is_empty());
        let mut delivered = self.delivered();
        assert_eq!(delivered.len(), 1, "{delivered:?}");
        delivered.remove(0)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log/mainlog")).unwrap()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- Exim\n{}", self.log());
        }
    }
}

impl Mail {
    /// A header with its lines put together.
    pub fn header(&self, name: &str) -> String {
        let unfolded = self.head().replace("\n ", " ").replace("\n\t", " ");
        let mut values = unfolded.lines().filter_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then(|| value.to_owned())
        });
        let value = values.next().unwrap_or_default();
        assert_eq!(values.next(), None, "{name} twice in {self:?}");
        value
    }

    pub fn head(&self) -> &str {
        self.raw.split_once("\n\n").unwrap().0
    }

    /// The text, with the line breaks that e-mails have.
    pub fn text(&self) -> String {
        assert_eq!(self.header("Content-Type"), "text/plain; charset=utf-8");
        assert_eq!(self.header("Content-Transfer-Encoding"), "base64");
        String::from_utf8(base64(self.raw.split_once("\n\n").unwrap().1)).unwrap()
    }

    pub fn subject(&self) -> String {
        let words = self.header("Subject");
        words
            .split(' ')
            .map(|word| match word.strip_prefix("=?utf-8?B?").and_then(|word| word.strip_suffix("?=")) {
                Some(word) => String::from_utf8(base64(word)).unwrap(),
                None => format!("{word} "),
            })
            .collect::<String>()
            .trim_end()
            .to_owned()
    }
}

fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.bytes().filter_map(|byte| ALPHABET.iter().position(|known| *known == byte));
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_usize, 0);
    for digit in digits {
        (bits, held) = (bits << 6 | digit, held + 6);
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xFF).try_into().unwrap());
        }
    }
    bytes
}

const EXIM: &str = "\
exim_path = /usr/sbin/exim4
spool_directory = ROOT/spool
log_file_path = ROOT/log/%slog
pid_file_path = ROOT/log/exim.pid
primary_hostname = mx.example.com
qualify_domain = example.com
local_interfaces = 127.0.0.1
daemon_smtp_ports = PORT
deliver_drop_privilege
keep_environment =
acl_smtp_rcpt = recipient
acl_smtp_data = accept
begin acl
recipient:
  deny local_parts = 16505559999
       message = $local_part@$domain is unknown here
  accept domains = sms.example.com
  deny message = no relay for $local_part@$domain
begin routers
all:
  driver = accept
  transport = folder
begin transports
folder:
  driver = appendfile
  directory = ROOT/mail
  maildir_format
";

const LOGIN: &str = "\
tls_advertise_hosts = *
tls_certificate = ROOT/certificate.pem
tls_privatekey = ROOT/key.pem
auth_advertise_hosts = ${if eq{$tls_in_cipher}{}{}{*}}
acl_smtp_mail = ${if eq{$sender_host_authenticated}{plain}{accept}{deny}}
";

const AUTHENTICATORS: &str = "\
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${if and{{eq{$auth2}{shop}}{eq{$auth3}{the mail server's password}}}}
  server_set_id = $auth2
";
