//! What the processes of a host have done, counted: each in a page of its own of one shared file, so that counting is one addition, and a sum over
//! the pages is the whole host's. The page of a process that has ended goes to the next one, with its counts.

use std::fmt::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::parking::Fate;
use super::process::is_alive;
use super::shared::{NUMBERS, SharedPages};
use crate::error::{Code, Error, Result};
use crate::rules::charge::Charge;
use crate::rules::conversation::ConversationCategory;
use crate::rules::decision::{Decision, Verdict};
use crate::rules::window::Reason;
use crate::store::{Posted, Usage};

/// The file in a store's folder; another name for another order of its numbers, so that two versions of csw can share a store.
pub const METRICS_FILE: &str = "csw.metrics.1";
/// Processes that are counted at once; those beyond count for themselves alone.
const PROCESSES: usize = 256;
/// The upper bounds of the classes of commit times, in milliseconds.
const COMMIT_MS: [u64; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 512, 2048];

// Where the numbers of a page stand.
const PID: usize = 0;
const QUEUE_JOBS: usize = 1;
const QUEUE_BYTES: usize = 2;
const EVENTS: usize = 3;
const WINDOWS: usize = 4;
const PARKED: usize = 5;
const COMMITS: usize = 6;
const COMMIT_MICROS: usize = 7;
const COMMIT_CLASSES: usize = 8;
const FATES: usize = COMMIT_CLASSES + COMMIT_MS.len();
const CHARGES: usize = FATES + 8;
const CONVERSATIONS: usize = CHARGES + 8;
const FAULTS: usize = CONVERSATIONS + 16;
const DECISIONS: usize = FAULTS + 32;
/// Reasons have numbers below this.
const REASONS: usize = 64;
/// Allowed, denied, and allowed by monitor mode alone.
const VERDICTS: [&str; 3] = ["allow", "deny", "would-deny"];

const _: () = assert!(DECISIONS + VERDICTS.len() * REASONS <= NUMBERS);

/// The counters of this process, and through them those of the host.
pub struct Metrics {
    pages: SharedPages,
    page: usize,
}

impl Metrics {
    /// Counters in a store's folder; of a store in memory, and where no file can be had, this process's own.
    ///
    /// # Errors
    /// `Internal` when the system gives no memory.
    pub fn open(folder: Option<&Path>) -> Result<Self> {
        let shared = folder.and_then(|folder| SharedPages::open(&folder.join(METRICS_FILE), PROCESSES).ok());
        let shared = shared.and_then(|pages| Some((claim(&pages)?, pages)));
        if let Some((page, pages)) = shared {
            return Ok(Metrics { pages, page });
        }
        let pages = SharedPages::private(1)
            .map_err(|cause| Error::new(Code::Internal, format!("no memory for the counters: {cause}")))?;
        Ok(Metrics { pages, page: 0 })
    }

    pub(super) fn decided(&self, decision: &Decision) {
        let verdict = match (decision.verdict, decision.would_deny) {
            (Verdict::Allow, false) => 0,
            (Verdict::Deny, _) => 1,
            (Verdict::Allow, true) => 2,
        };
        self.add(DECISIONS + verdict * REASONS + decision.reason as usize, 1);
    }

    pub(super) fn undecided(&self, code: Code) {
        self.add(FAULTS + (code as i32).unsigned_abs() as usize, 1);
    }

    /// A commit: how long it took, and what it brought.
    pub(super) fn committed(&self, took: Duration, events: u64, windows: u64, posted: &Posted) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.add(COMMITS, 1);
        self.add(COMMIT_MICROS, micros);
        if let Some(class) = COMMIT_MS.iter().position(|most| micros <= most * 1000) {
            self.add(COMMIT_CLASSES + class, 1);
        }
        self.add(EVENTS, events);
        self.add(WINDOWS, windows);
        for (place, count) in [(CONVERSATIONS, &posted.conversations[..]), (CHARGES, &posted.charges[..])] {
            for (kind, count) in count.iter().enumerate().filter(|(_, count)| **count > 0) {
                self.add(place + kind, *count);
            }
        }
    }

    pub(super) fn parked(&self) {
        self.add(PARKED, 1);
    }

    pub(super) fn given_back(&self, fate: Fate) {
        self.add(FATES + fate as usize, 1);
    }

    pub(super) fn queued(&self, jobs: usize, bytes: usize) {
        self.page()[QUEUE_JOBS].store(jobs as u64, Ordering::Relaxed);
        self.page()[QUEUE_BYTES].store(bytes as u64, Ordering::Relaxed);
    }

    fn page(&self) -> &[AtomicU64; NUMBERS] {
        &self.pages.pages()[self.page]
    }

    fn add(&self, place: usize, count: u64) {
        if let Some(number) = self.page().get(place).filter(|_| count > 0) {
            number.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Everything, in Prometheus's text format.
    pub(super) fn text(&self, usage: Option<Usage>) -> String {
        let pages = self.pages.pages();
        let sum = |place: usize| pages.iter().map(|page| page[place].load(Ordering::Relaxed)).sum::<u64>();
        let alive = || pages.iter().filter(|page| is_alive(page[PID].load(Ordering::Relaxed)));
        let now = |place: usize| alive().map(|page| page[place].load(Ordering::Relaxed)).sum::<u64>();
        let mut text = Text(String::with_capacity(4096));

        text.about("csw_decisions_total", "counter", "Decisions about sends, by verdict and reason.");
        for (verdict, word) in VERDICTS.iter().enumerate() {
            for reason in Reason::ALL {
                let count = sum(DECISIONS + verdict * REASONS + *reason as usize);
                if count > 0 {
                    text.row(&format!("csw_decisions_total{{verdict=\"{word}\",reason=\"{}\"}}", reason.word()), count);
                }
            }
        }
        text.about("csw_faults_total", "counter", "Sends that could not be decided about, by the error's code.");
        for code in Code::ALL {
            let count = sum(FAULTS + (*code as i32).unsigned_abs() as usize);
            if count > 0 {
                text.row(&format!("csw_faults_total{{code=\"{}\"}}", code.word()), count);
            }
        }
        text.about("csw_events_total", "counter", "Events recorded, repeated ones among them.");
        text.row("csw_events_total", sum(EVENTS));
        text.about(
            "csw_windows_opened_total",
            "counter",
            "Customer service windows opened by an act while they were not open.",
        );
        text.row("csw_windows_opened_total", sum(WINDOWS));
        text.about("csw_conversations_opened_total", "counter", "Conversations opened, by category.");
        for category in ConversationCategory::ALL {
            let row = format!("csw_conversations_opened_total{{category=\"{}\"}}", category.word());
            text.row(&row, sum(CONVERSATIONS + *category as usize));
        }
        text.about("csw_charges_total", "counter", "Charges booked, by kind.");
        for charge in [Charge::Free, Charge::Billable] {
            text.row(&format!("csw_charges_total{{charge=\"{}\"}}", charge.word()), sum(CHARGES + charge as usize));
        }
        text.about("csw_parked_total", "counter", "Messages parked.");
        text.row("csw_parked_total", sum(PARKED));
        text.about(
            "csw_parcels_total",
            "counter",
            "Parked messages and other sends of the gateway's own, by what became of them.",
        );
        for fate in Fate::ALL {
            text.row(&format!("csw_parcels_total{{fate=\"{}\"}}", fate.word()), sum(FATES + *fate as usize));
        }
        text.about("csw_commit_seconds", "histogram", "How long commits took, with their sync.");
        let mut below = 0;
        for (class, most) in COMMIT_MS.iter().enumerate() {
            below += sum(COMMIT_CLASSES + class);
            text.row(&format!("csw_commit_seconds_bucket{{le=\"{}\"}}", *most as f64 / 1000.0), below);
        }
        text.row("csw_commit_seconds_bucket{le=\"+Inf\"}", sum(COMMITS));
        text.row("csw_commit_seconds_sum", sum(COMMIT_MICROS) as f64 / 1e6);
        text.row("csw_commit_seconds_count", sum(COMMITS));
        text.about("csw_queue_jobs", "gauge", "Jobs that wait for the recorder, over all processes.");
        text.row("csw_queue_jobs", now(QUEUE_JOBS));
        text.about("csw_queue_bytes", "gauge", "Their bytes.");
        text.row("csw_queue_bytes", now(QUEUE_BYTES));
        text.about("csw_processes", "gauge", "Processes that have the store open.");
        text.row("csw_processes", alive().count().max(1));
        if let Some(Usage { used, limit, free_on_disk }) = usage {
            text.about("csw_store_bytes", "gauge", "What the store takes.");
            text.row("csw_store_bytes", used);
            text.about("csw_store_limit_bytes", "gauge", "What the store can hold at most.");
            text.row("csw_store_limit_bytes", limit);
            text.about("csw_store_disk_free_bytes", "gauge", "What is free on the store's disk.");
            text.row("csw_store_disk_free_bytes", free_on_disk);
        }
        text.0
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        self.queued(0, 0);
    }
}

/// A page for this process: one that was its own or nobody's, else that of a process that has ended.
fn claim(pages: &SharedPages) -> Option<usize> {
    let own = u64::from(std::process::id());
    let takes = |page: &[AtomicU64; NUMBERS], from: u64| {
        page[PID].compare_exchange(from, own, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    };
    let pages = pages.pages();
    let mine = pages.iter().position(|page| page[PID].load(Ordering::Acquire) == own);
    let place = mine.or_else(|| {
        pages.iter().position(|page| {
            let of = page[PID].load(Ordering::Acquire);
            !is_alive(of) && takes(page, of)
        })
    })?;
    for gauge in [QUEUE_JOBS, QUEUE_BYTES] {
        pages[place][gauge].store(0, Ordering::Relaxed);
    }
    Some(place)
}

struct Text(String);

impl Text {
    fn about(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn row(&mut self, row: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{row} {value}");
    }
}
