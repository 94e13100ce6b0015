//! What SECURITY.md promises: each promise has its test, and no secret and no whole number is in anything that csw writes.
//!
//! A canary is a secret or a number that stands nowhere else, so that whoever finds it has found a leak.
//!
//! Needs Debian's nginx and gdb and a staged `build/` (or `CSW_BUILD`): `make deps build`.
#![cfg(feature = "cli")]
// What cannot be set up fails the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use csw::gate::Gate;
use csw::time::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use tempfile::TempDir;

#[path = "support/gateway.rs"]
mod gateway;
#[path = "nginx/workshop.rs"]
mod workshop;

use workshop::*;

/// A customer whose window is open, one who was never seen, and one whose number is written wrongly.
const NUMBERS: [&str; 3] = ["447700900123", "447700900456", "447700900789"];
/// What is said of them at most: their digits at both ends.
const MIDDLES: [&str; 3] = ["7700900123", "7700900456", "7700900789"];

// --- the table ---------------------------------------------------------------------------------------------------------------------

#[test]
fn every_promise_names_tests_that_exist() {
    let text = fs::read_to_string(manifest().join("SECURITY.md")).unwrap();
    let (_, table) = text.split_once("| Promise | Shown by |\n|---|---|\n").unwrap();
    let rows: Vec<&str> = table.lines().take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() >= 8, "{}", rows.len());
    for row in rows {
        let (_, shown_by) = row.trim_end_matches(" |").rsplit_once(" | ").unwrap();
        let mut source = None;
        let mut tests = 0;
        for name in shown_by.split('`').skip(1).step_by(2) {
            if name.contains('/') {
                source =
                    Some(fs::read_to_string(manifest().join(name)).unwrap_or_else(|error| panic!("{name}: {error}")));
                continue;
            }
            let source = source.as_ref().unwrap_or_else(|| panic!("{name}: in which file? {row}"));
            let is_made = |line: &str| line.starts_with("corpora!(") && line.contains(name);
            let is_test = source.contains(&format!("fn {name}(")) || source.lines().any(is_made);
            assert!(is_test, "no test {name}: {row}");
            tests += 1;
        }
        assert!(tests > 0, "nothing shows it: {row}");
    }
}

// --- canaries ----------------------------------------------------------------------------------------------------------------------

/// A secret that nobody had before.
fn canary(of: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    format!("canary-{of}-{}-{now}", std::process::id())
}

fn signed(secret: &str, body: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(body);
    mac.finalize().into_bytes().iter().fold("sha256=".into(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// No canary is in what was said somewhere.
fn assert_silent(place: &str, said: &str, secrets: &[&str]) {
    for canary in secrets.iter().chain(&MIDDLES) {
        assert!(!said.contains(canary), "{canary} in {place}:\n{said}");
    }
}

/// What a command says on both ways out, whatever it ends with.
fn said(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A folder with a configuration, its secrets, and a store.
struct Place {
    folder: TempDir,
    secret: String,
    token: String,
}

impl Place {
    fn new() -> Self {
        let place = Place { folder: TempDir::new().unwrap(), secret: canary("secret"), token: canary("token") };
        place.write("app_secret", &place.secret);
        place.write("verify_token", &place.token);
        place.write(
            "csw.toml",
            "store = \"lmdb:store\"\n[webhook]\nsecret_file = \"app_secret\"\nverify_token_file = \"verify_token\"\n",
        );
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn assert_silent(&self, place: &str, said: &str) {
        assert_silent(place, said, &[&self.secret, &self.token]);
    }
}

#[test]
fn the_command_tells_no_canary() {
    let place = Place::new();
    let at = Timestamp::now().millis().unsigned_abs();
    place.write("webhook.json", &inbound(NUMBERS[0], at));
    place.write("broken.json", &inbound(NUMBERS[2], at).replace(NUMBERS[2], &format!("{}x", NUMBERS[2])));
    place.write("send.json", &text(NUMBERS[1]));
    place.write("half.json", &text(NUMBERS[1])[..40]);
    place.write("acts.csv", &format!("business,customer,at\n{BUSINESS},{}x,{at}\n", NUMBERS[2]));
    place.write(
        "secret_in_place.toml",
        &format!("store = \"lmdb:store\"\n[webhook]\nsecret_file = \"{}\"\n", place.secret),
    );
    place.write("secret_as_key.toml", &format!("store = \"lmdb:store\"\n[webhook]\nsecret = \"{}\"\n", place.secret));
    let wrong = format!("{}x", NUMBERS[2]);
    let calls: &[&[&str]] = &[
        &["ingest", "webhook.json"],
        &["ingest", "broken.json"],
        &["check", BUSINESS, NUMBERS[0]],
        &["check", BUSINESS, NUMBERS[1]],
        &["check", BUSINESS, &wrong],
        &["check", &wrong, NUMBERS[0]],
        &["decide", BUSINESS, "send.json"],
        &["decide", BUSINESS, "half.json"],
        &["import", "acts.csv"],
        &["forget", &wrong, "--yes"],
        &["timeline", BUSINESS, NUMBERS[0]],
        &["expiring", "--within", "48h"],
        &["ledger", "export"],
        &["report"],
        &["doctor"],
        &["doctor", "--deep"],
    ];
    for config in ["csw.toml", "secret_in_place.toml", "secret_as_key.toml"] {
        for call in calls {
            for json in [&[][..], &["--json"]] {
                let mut command = Command::new(env!("CARGO_BIN_EXE_csw"));
                command.current_dir(place.folder.path()).args(["-c", config]).args(json).args(*call);
                place.assert_silent(&format!("csw {call:?} by {config}"), &said(&mut command));
            }
        }
    }
    let mut show = Command::new(env!("CARGO_BIN_EXE_csw"));
    show.current_dir(place.folder.path()).args(["-c", "csw.toml", "--show-numbers", "check", BUSINESS, NUMBERS[0]]);
    assert!(said(&mut show).contains(MIDDLES[0]), "asked for, a canary is found");
}

#[test]
fn the_errors_of_the_c_door_tell_no_canary() {
    let place = Place::new();
    let program = place.path("canaries");
    let lib = build().join("lib");
    let mut compiler = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    compiler.args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-I"]).arg(build().join("include"));
    compiler.arg("-o").arg(&program).arg(manifest().join("tests/c/canaries.c")).arg("-L").arg(&lib).arg("-lcsw");
    let output = compiler.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut program = Command::new(program);
    let said = said(program.arg("csw.toml").current_dir(place.folder.path()).env("LD_LIBRARY_PATH", lib));
    for code in ["invalid: ", "body: ", "signature: "] {
        assert!(said.contains(code), "{code}:\n{said}");
    }
    place.assert_silent("an error", &said);
}

#[test]
fn the_logs_answers_and_metrics_of_nginx_tell_no_canary() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).start();
    let (secret, token, access) = (canary("secret"), canary("token"), canary("access"));
    gateway.write("app_secret", &secret);
    gateway.write("verify_token", &token);
    // The workers of before let go of what they had read.
    let before = gateway.workers();
    gateway.signal("HUP");
    wait("new workers", || gateway.workers().len() >= 2 && gateway.workers().is_disjoint(&before));

    let bearer = format!("Bearer {access}");
    let headers = [("Content-Type", "application/json"), ("Authorization", &bearer)];
    let hook = |body: &str, header: &str| gateway.post("/webhook", &[("X-Hub-Signature-256", header)], body.as_bytes());
    let send = |body: &str| gateway.post(MESSAGES, &headers, body.as_bytes());
    let message = inbound(NUMBERS[0], now());
    assert_eq!(hook(&message, &signed(&secret, &message)).status, 200);
    let broken = message.replace(NUMBERS[0], &format!("{}x", NUMBERS[2]));
    let mut answers = vec![
        hook(&message, "sha256=forged"),
        hook("no json", &signed(&secret, "no json")),
        hook(&broken, &signed(&secret, &broken)),
        send(&text(NUMBERS[0])),
        send(&text(NUMBERS[1])),
        send(&text(&format!("{}x", NUMBERS[2]))),
        send(&text(NUMBERS[1])[..40]),
        gateway.post(
            &format!("{MESSAGES}?access_token={access}&to={}", NUMBERS[2]),
            &headers,
            text(NUMBERS[1]).as_bytes(),
        ),
        gateway.get(&format!("/webhook?hub.mode=subscribe&hub.verify_token={token}&hub.challenge=1")),
        gateway.get(&format!("/webhook?hub.mode=subscribe&hub.verify_token={token}x&hub.challenge=1")),
        gateway.get(&format!("/csw/window?business={BUSINESS}&customer={}x", NUMBERS[2])),
        gateway.get("/csw/metrics"),
    ];
    assert_eq!((answers[3].status, answers[4].status, answers[11].status), (200, 400, 200));
    // The platform writes to whom it sent: that answer is the client's.
    answers.remove(3);
    gateway.wait_for_log("webhook not recorded");
    gateway.wait_for_log("a part of a webhook cannot be read");
    gateway.decisions(2);

    for answer in &answers {
        assert_silent("an answer", &format!("{}{}", answer.head, answer.text()), &[&secret, &token, &access]);
    }
    for log in ["error.log", "access.log", "csw.log"] {
        let said = fs::read_to_string(gateway.dir.path().join(log)).unwrap();
        assert!(!said.is_empty(), "{log}");
        assert_silent(log, &said, &[&secret, &token, &access]);
    }
    for worker in gateway.workers() {
        assert!(!core_holds(worker, &secret), "the app secret is in the core file of a worker");
    }
}

// --- core files --------------------------------------------------------------------------------------------------------------------

/// Whether a core file of a process holds a secret, as it is or as the hash function pads it.
fn core_holds(process: u32, secret: &str) -> bool {
    let folder = TempDir::new().unwrap();
    shell(&format!("gcore -o {}/core {process} >/dev/null", folder.path().display()));
    let core = fs::read(folder.path().join(format!("core.{process}"))).unwrap();
    let masked = |mask: u8| secret.bytes().map(|byte| byte ^ mask).collect::<Vec<u8>>();
    [0, 0x36, 0x5c].map(masked).iter().any(|form| core.windows(form.len()).any(|part| part == form))
}

/// A process that holds secrets, and says so; it ends with its input.
fn holding(folder: &Path, kept_elsewhere: &str) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--ignored", "--exact", "--nocapture", "holds_secrets_until_its_input_ends"]).current_dir(folder);
    let mut child =
        child.env("CSW_KEPT_ELSEWHERE", kept_elsewhere).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("secrets are held")));
    child
}

#[test]
#[ignore = "it is a process of the test below, which gives it a folder"]
fn holds_secrets_until_its_input_ends() {
    // SAFETY: plain numbers. Whoever looks into this process may do so.
    unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY) };
    let gate = Gate::open(Path::new("csw.toml")).unwrap();
    for name in ["true", "forged"] {
        let signature = fs::read_to_string(format!("signature.{name}")).unwrap();
        let ticket = gate.submit_ingest(fs::read("webhook.json").unwrap(), Some(signature), Timestamp::now()).unwrap();
        let outcome = gate.wait(ticket, std::time::Duration::from_secs(20)).unwrap();
        assert_eq!(matches!(outcome, csw::gate::recorder::Outcome::Done(_)), name == "true");
    }
    assert!(!gate.is_verify_token(b"another"));
    println!("secrets are held");
    std::io::stdout().flush().unwrap();
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn no_core_file_holds_a_secret_of_the_configuration() {
    let (place, elsewhere) = (Place::new(), canary("elsewhere"));
    let body = json!({"object": "page"}).to_string();
    place.write("webhook.json", &body);
    place.write("signature.true", &signed(&place.secret, &body));
    place.write("signature.forged", &signed("another", &body));
    let mut child = holding(place.folder.path(), &elsewhere);
    let held = [&place.secret, &place.token, &elsewhere].map(|secret| core_holds(child.id(), secret));
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert_eq!(held, [false, false, true], "app secret, verify token, and what the environment holds");
}
