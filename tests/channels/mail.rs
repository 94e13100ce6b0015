//! Exim of Debian's packages, with a configuration of the tests' own.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use tempfile::TempDir;

use super::Program;
use crate::gateway::*;

/// A recipient that it knows nothing of.
pub const NOBODY: &str = "16505559999";
/// Whom its AUTH PLAIN lets in.
pub const MAIL_USER: &str = "shop";
pub const MAIL_PASSWORD: &str = "the mail server's password";
/// The name on its certificate.
pub const MAIL_NAME: &str = "mx.example.com";

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
