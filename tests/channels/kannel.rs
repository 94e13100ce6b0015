//! Kannel of Debian's packages with `examples/kannel/kannel.conf`, and the fake SMS center that comes with it.

use std::fs;
use std::process::Command;
use std::thread;

use tempfile::TempDir;

use super::Program;
use crate::gateway::*;

const FAKE_SMSC: &str = "/usr/lib/kannel/test/fakesmsc";
/// What Kannel knows csw by.
pub const KANNEL_PASSWORD: &str = "kannel's own password";

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
