//! `csw doctor`.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use clap::Args;

use csw::error::Result;
use csw::gate::Gate;
use csw::gate::config::{Config, StorePlace};
use csw::gate::metrics::METRICS_FILE;
use csw::gate::rates::Kept;
use csw::money::Currency;
use csw::party::Business;
use csw::rules::closed::{Step, StepKind};
use csw::rules::decision::Mode;
use csw::time::{Span, Timestamp};

use crate::Desk;
use crate::ending::{Done, Ended};
use crate::input::Work;
use crate::output::Format;
use crate::rates;
use crate::value::Value;

/// Look for what is wrong, and say what to do.
///
/// It looks at the configuration, the store, the disk, the clock and the rate cards. Nothing is changed. The answer is no (exit code 3) when something fails. Run it as the gateway's user: it looks at what that user may do.
#[derive(Args)]
pub struct Doctor {
    /// Also add up the whole ledger, and compare it with the totals.
    #[arg(long)]
    deep: bool,
    /// How to write the rows; without it a table, or JSON with `--json`.
    #[arg(long)]
    format: Option<Format>,
}

/// With less room than this on the disk something should be done, and with less than that at once.
const ROOM_LOW: u64 = 2 << 30;
const ROOM_OUT: u64 = 128 << 20;

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Ok,
    Warn,
    Fail,
}

/// What was found.
struct Finding {
    what: &'static str,
    health: Health,
    found: String,
    advice: &'static str,
}

/// All that was found.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, what: &'static str, found: impl Into<String>) {
        self.0.push(Finding { what, health: Health::Ok, found: found.into(), advice: "" });
    }

    fn warn(&mut self, what: &'static str, found: impl Into<String>, advice: &'static str) {
        self.0.push(Finding { what, health: Health::Warn, found: found.into(), advice });
    }

    fn fail(&mut self, what: &'static str, found: impl Into<String>, advice: &'static str) {
        self.0.push(Finding { what, health: Health::Fail, found: found.into(), advice });
    }

    /// Notes what went wrong; the value of what did not.
    fn took<T>(&mut self, what: &'static str, result: Result<T>, advice: &'static str) -> Option<T> {
        result.map_err(|error| self.fail(what, error.message(), advice)).ok()
    }
}

impl Doctor {
    /// Looks at everything.
    pub fn run(self, desk: &mut Desk) -> Ended {
        let mut findings = Findings::default();
        if let Some(config) = findings.took(
            "configuration",
            desk.config(),
            "mend it, or name another with --config; until then sends do what the gateway was told to do without it",
        ) {
            findings.ok("configuration", desk.config.display().to_string());
            configuration(&config, &mut findings);
            clock(&mut findings);
            self.store(config, &mut findings);
        }
        let format = desk.output.format(self.format, Format::Table, Format::Json);
        let mut rows = desk.output.rows(format, &["check", "health", "found", "advice"])?;
        let is_ill = findings.0.iter().any(|finding| finding.health == Health::Fail);
        for Finding { what, health, found, advice } in findings.0 {
            let health = match health {
                Health::Ok => "ok",
                Health::Warn => "warn",
                Health::Fail => "fail",
            };
            rows.row(vec![Value::Word(what), Value::Word(health), Value::Text(found), Value::Word(advice)])?;
        }
        rows.end()?;
        Ok(if is_ill { Done::No } else { Done::Yes })
    }

    fn store(&self, config: Config, findings: &mut Findings) {
        let StorePlace::Lmdb(path) = config.store.clone() else {
            return findings.warn("store", "in memory", "for trials only: all is forgotten when the process ends");
        };
        if !path.join("data.mdb").exists() {
            let found = format!("{} holds no store yet", path.display());
            return findings.warn(
                "store",
                found,
                "the gateway makes it on first use; import what you know as its user",
            );
        }
        files(&path, findings);
        room(&path, findings);
        let gate = Gate::with(config);
        let advice = "do what it says; the store was left as it is";
        if let Some(length) = findings.took("store", gate.ledger_length(), advice) {
            findings.ok("store", format!("{}, {length} entries in the ledger", path.display()));
            if let Some(cards) = findings.took("rate cards", gate.cards(), advice) {
                rate_cards(&gate, &cards, findings);
            }
            let future = gate.ledger(length.max(1), 1).map(|rows| rows.first().map(|row| row.entry.recorded_at));
            let late = |at: &Timestamp| *at > Timestamp::now() + Span::millis(60_000);
            if let Some(at) = findings.took("ledger", future, advice).flatten().filter(late) {
                findings.fail(
                    "ledger",
                    format!("its last entry was recorded at {at}"),
                    "the clock was wrong then, or is now",
                );
            }
            if self.deep {
                audit(&gate, length, findings);
            }
        }
    }
}

fn configuration(config: &Config, findings: &mut Findings) {
    match config.secrets.len() {
        0 => findings.warn("webhook secret", "none", "webhooks are refused; set secret_file in [webhook]"),
        count => findings.ok("webhook secret", counted(count, "secret")),
    }
    match config.verify_tokens.len() {
        0 => findings.warn("verify token", "none", "the platform cannot subscribe; set verify_token_file in [webhook]"),
        count => findings.ok("verify token", counted(count, "token")),
    }
    if config.test_clock {
        findings.warn("test clock", "on", "whoever reaches the gateway sets its time; for stories and tests only");
    }
    closed(config, findings);
    let policy = config.default_policy();
    if policy.mode != Mode::Enforce {
        findings.warn("mode", policy.mode.word(), "nothing is stopped; set mode = \"enforce\"");
    }
    let zone = policy.rules.zone();
    findings.ok("time zone", format!("{}, where it is {}", zone.name(), zone.local(Timestamp::now())));
}

/// What happens to messages that may not go out.
fn closed(config: &Config, findings: &mut Findings) {
    let numbers = std::iter::once(None).chain(config.numbers().map(Some));
    let parks_without = |number: &Option<Business>| {
        config.closed(*number).iter().any(|step| step.kind() == StepKind::Park) && config.token_file(*number).is_none()
    };
    let steps: Vec<String> = config.closed(None).iter().map(Step::written).collect();
    match numbers.into_iter().find(parks_without) {
        Some(_) => findings.warn(
            "closed branch",
            steps.join(", "),
            "what is parked goes out without an access token, unless the gateway adds one; set token_file",
        ),
        None => findings.ok("closed branch", steps.join(", ")),
    }
}

fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// Who may read the store, and who asks.
fn files(path: &Path, findings: &mut Findings) {
    let files = ["", "data.mdb", "lock.mdb", "csw.lock", METRICS_FILE].map(|name| path.join(name));
    let known: Vec<_> = files.iter().filter_map(|file| Some((file, std::fs::metadata(file).ok()?))).collect();
    let mode = |metadata: &Metadata| metadata.mode() & 0o7777;
    // SAFETY: it takes nothing and cannot fail.
    let is_root = unsafe { libc::geteuid() } == 0;
    if let Some((file, metadata)) = known.iter().find(|(_, metadata)| metadata.mode() & 0o007 != 0) {
        let found = format!("{} is open to everybody (mode {:o})", file.display(), mode(metadata));
        findings.fail("store files", found, "phone numbers are in it: chmod o-rwx");
    } else if let Some((_, metadata)) = known.first().filter(|(_, metadata)| is_root && metadata.uid() != 0) {
        let found = format!("they belong to user {}, and this is root", metadata.uid());
        findings.warn("store files", found, "run csw as the gateway's user");
    } else {
        let modes: Vec<String> = known.iter().map(|(_, metadata)| format!("{:o}", mode(metadata))).collect();
        findings.ok("store files", format!("modes {}", modes.join(" ")));
    }
}

/// What the disk has left, and whether it is one that LMDB can use.
fn room(path: &Path, findings: &mut Findings) {
    let Some((free, kind)) = disk(path) else {
        return findings.warn("disk", "cannot be asked", "see that there is room");
    };
    let found = format!("{} MiB left", free >> 20);
    match free {
        0..ROOM_OUT => findings.fail("disk", found, "make room: nothing more can be recorded soon"),
        ROOM_OUT..ROOM_LOW => findings.warn("disk", found, "make room"),
        _ => findings.ok("disk", found),
    }
    if NETWORK.contains(&kind) {
        findings.fail("disk", "a network file system", "move the store to a disk of this host");
    }
}

/// What file systems of the network call themselves: NFS, SMB, CIFS, SMB2, Ceph, AFS, 9P.
const NETWORK: [i64; 7] = [0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42, 0x00c3_6400, 0x5346_414f, 0x0102_1997];

/// The bytes that are left for users, and the kind of file system.
fn disk(path: &Path) -> Option<(u64, i64)> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    let mut answer = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the path ends with a zero byte, and the answer has room for what is written.
    let failed = unsafe { libc::statfs(path.as_ptr(), answer.as_mut_ptr()) } != 0;
    // SAFETY: the call filled it.
    let answer = (!failed).then(|| unsafe { answer.assume_init() })?;
    #[allow(clippy::unnecessary_cast, reason = "the types differ between platforms")]
    Some((answer.f_bavail as u64 * answer.f_bsize as u64, answer.f_type as i64))
}

/// Whether the clock is set by somebody.
fn clock(findings: &mut Findings) {
    // SAFETY: all zero is a question without changes.
    let mut answer: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: it is given a whole struct, whose `modes` ask for nothing to be changed.
    let state = unsafe { libc::adjtimex(&mut answer) };
    let now = Timestamp::now();
    if state < 0 {
        findings.warn("clock", format!("{now}; the kernel does not say whether it is right"), "see that NTP runs");
    } else if answer.status & libc::STA_UNSYNC != 0 || state == libc::TIME_ERROR {
        findings.warn("clock", format!("{now}, not synchronised"), "run an NTP service: windows close by this clock");
    } else {
        findings.ok("clock", format!("{now}, synchronised"));
    }
}

/// Whether what is billed has amounts today.
fn rate_cards(gate: &Gate, cards: &[Kept], findings: &mut Findings) {
    let policies = gate.config().numbers().map(|business| gate.config().policy(business));
    let policies: Vec<_> = policies.chain([gate.config().default_policy()]).collect();
    let currencies: BTreeSet<Currency> = policies.iter().filter_map(|policy| policy.currency).collect();
    if currencies.is_empty() {
        findings.warn("rate cards", "no number has a currency", "without one no charge has an amount; set currency");
    }
    for currency in currencies {
        let zone = gate.config().default_policy().rules.zone();
        let today = zone.day(Timestamp::now());
        let Some(card) = rates::in_force(cards, currency, today) else {
            findings.fail(
                "rate cards",
                format!("none in {currency} for {today}"),
                "csw rates import; charges have no amount",
            );
            continue;
        };
        let missing: Vec<&str> = rates::missing(card, today).into_iter().map(|market| market.word()).collect();
        let found = format!("{currency} from {}", card.from);
        match missing.as_slice() {
            [] => findings.ok("rate cards", found),
            some => findings.warn(
                "rate cards",
                format!("{found}, without {}", named(some)),
                "messages there have no amount; csw rates import a newer card",
            ),
        }
    }
}

/// The first of some words, and how many more there are.
fn named(words: &[&str]) -> String {
    let told = words.iter().take(4).copied().collect::<Vec<_>>().join(", ");
    match words.len().saturating_sub(4) {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}

/// Whether the totals are what the ledger adds up to.
fn audit(gate: &Gate, length: u64, findings: &mut Findings) {
    let work = Work::on(length);
    let audit = gate.audit(&mut |sequence| {
        if sequence.is_multiple_of(4096) {
            work.reached(sequence);
        }
    });
    work.end();
    let damaged = "restore the store from a copy, and tell csw's developers";
    if let Some(audit) = findings.took("ledger", audit, damaged) {
        match audit.wrong {
            0 => findings.ok("ledger", format!("{} entries add up to {} totals", audit.entries, audit.totals)),
            wrong => findings.fail("ledger", format!("{wrong} of {} totals are not its sum", audit.totals), damaged),
        }
    }
}
