//! What the processes of a host have done, counted: each writes a page of its own of one file, and a sum over the pages is the whole host's. The page of
//! a process that has ended goes to the next one, with its counts.

use std::fmt::Write;
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::parking::Fate;
use super::process::{is_locked, lock};
use crate::error::Code;
use crate::rules::charge::Charge;
use crate::rules::conversation::ConversationCategory;
use crate::rules::decision::{Decision, Verdict};
use crate::rules::window::Reason;
use crate::store::{Posted, Usage};

/// The file in a store's folder; another name for another order of its numbers, so that two versions of csw can share a store.
pub const METRICS_FILE: &str = "csw.metrics.1";
/// What the file begins with, in a page that is nobody's.
const MAGIC: u64 = u64::from_le_bytes(*b"csw met1");
/// The bytes of a process's page, and its numbers.
const PAGE: usize = 4096;
const NUMBERS: usize = PAGE / 8;
/// Processes that are counted at once; those beyond count for themselves alone.
const PROCESSES: usize = 256;
/// The upper bounds of the classes of commit times, in milliseconds.
const COMMIT_MS: [u64; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 512, 2048];

// Where the numbers of a page stand.
const DROPPED: usize = 0;
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

/// The counters of this process, and through the file those of the host. They are counted in memory and written with each commit, and once a second
/// where nothing is committed: no file that somebody truncates can hurt a process that has nothing of it mapped.
pub struct Metrics {
    numbers: [AtomicU64; NUMBERS],
    shared: Option<Shared>,
    began: Instant,
    written_at: AtomicU64,
}

/// The file, and the page of it that is this process's own for as long as it holds the page's lock.
struct Shared {
    file: File,
    page: usize,
}

impl Metrics {
    /// Counters in a store's folder; of a store in memory, and where no file of ours can be had, this process's own.
    pub fn open(folder: Option<&Path>) -> Self {
        let shared = folder.and_then(|folder| Shared::open(folder).ok().flatten());
        let metrics = Metrics {
            numbers: [const { AtomicU64::new(0) }; NUMBERS],
            shared,
            began: Instant::now(),
            written_at: AtomicU64::new(0),
        };
        // What the page's former owner has counted goes on from there.
        if let Some(Shared { file, page }) = &metrics.shared {
            for (number, counted) in metrics.numbers.iter().zip(read_page(file, *page)) {
                number.store(counted, Ordering::Relaxed);
            }
            metrics.queued(0, 0);
        }
        metrics
    }

    /// Writes the counters where the other processes of the host read them.
    pub(super) fn write(&self) {
        let Some(Shared { file, page }) = &self.shared else { return };
        let mut bytes = [0; PAGE];
        for (place, number) in bytes.chunks_exact_mut(8).zip(&self.numbers) {
            place.copy_from_slice(&number.load(Ordering::Relaxed).to_le_bytes());
        }
        // The file's beginning as well: somebody may have emptied it. What cannot be written is written next time.
        let _ = file.write_all_at(&MAGIC.to_le_bytes(), 0);
        let _ = file.write_all_at(&bytes, (*page * PAGE) as u64);
    }

    fn write_now_and_then(&self) {
        let seconds = self.began.elapsed().as_secs() + 1;
        if self.written_at.swap(seconds, Ordering::Relaxed) != seconds {
            self.write();
        }
    }

    pub(super) fn decided(&self, decision: &Decision) {
        let verdict = match (decision.verdict, decision.would_deny) {
            (Verdict::Allow, false) => 0,
            (Verdict::Deny, _) => 1,
            (Verdict::Allow, true) => 2,
        };
        self.add(DECISIONS + verdict * REASONS + decision.reason as usize, 1);
        self.write_now_and_then();
    }

    pub(super) fn undecided(&self, code: Code) {
        self.add(FAULTS + (code as i32).unsigned_abs() as usize, 1);
    }

    /// A commit: how long it took, and what it brought.
    pub(super) fn committed(&self, took: Duration, events: u64, windows: u64, parked: u64, posted: &Posted) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.add(COMMITS, 1);
        self.add(COMMIT_MICROS, micros);
        if let Some(class) = COMMIT_MS.iter().position(|most| micros <= most * 1000) {
            self.add(COMMIT_CLASSES + class, 1);
        }
        self.add(EVENTS, events);
        self.add(WINDOWS, windows);
        self.add(PARKED, parked);
        self.add(DROPPED, posted.dropped);
        for (place, count) in [(CONVERSATIONS, &posted.conversations[..]), (CHARGES, &posted.charges[..])] {
            for (kind, count) in count.iter().enumerate().filter(|(_, count)| **count > 0) {
                self.add(place + kind, *count);
            }
        }
        self.write();
    }

    pub(super) fn given_back(&self, fate: Fate) {
        self.add(FATES + fate as usize, 1);
    }

    pub(super) fn queued(&self, jobs: usize, bytes: usize) {
        self.numbers[QUEUE_JOBS].store(jobs as u64, Ordering::Relaxed);
        self.numbers[QUEUE_BYTES].store(bytes as u64, Ordering::Relaxed);
    }

    fn add(&self, place: usize, count: u64) {
        if let Some(number) = self.numbers.get(place).filter(|_| count > 0) {
            number.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Everything, in Prometheus's text format.
    pub(super) fn text(&self, usage: Option<Usage>) -> String {
        self.write();
        let own = || self.numbers.each_ref().map(|number| number.load(Ordering::Relaxed));
        let (pages, alive) = match &self.shared {
            None => (vec![own()], vec![true]),
            Some(Shared { file, page }) => (1..=PROCESSES)
                .map(
                    |other| {
                        if other == *page { (own(), true) } else { (read_page(file, other), is_locked(file, other)) }
                    },
                )
                .unzip(),
        };
        let sum = |place: usize| pages.iter().map(|page| page[place]).fold(0, u64::wrapping_add);
        let living = || pages.iter().zip(&alive).filter(|(_, alive)| **alive).map(|(page, _)| page);
        let now = |place: usize| living().map(|page| page[place]).fold(0, u64::wrapping_add);
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
        text.about("csw_dropped_total", "counter", "Parked messages given up: too old, too many, or of unknown fate.");
        text.row("csw_dropped_total", sum(DROPPED));
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
        text.row("csw_processes", living().count());
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
        self.write();
    }
}

impl Shared {
    /// The file and a page of it that nobody has; `None` where the file is somebody else's, or all pages are taken.
    fn open(folder: &Path) -> io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o660).custom_flags(libc::O_NOFOLLOW);
        let file = options.open(folder.join(METRICS_FILE))?;
        let about = file.metadata()?;
        if about.len() == 0 {
            // Whatever the umask, and whoever came first: the folder decides who shares it.
            let _ = file.set_permissions(Permissions::from_mode(0o660));
            let owner = std::fs::metadata(folder)?;
            let _ = std::os::unix::fs::fchown(&file, Some(owner.uid()), Some(owner.gid()));
            file.write_all_at(&MAGIC.to_le_bytes(), 0)?;
        }
        let mut magic = [0; 8];
        let is_ours = about.is_file() && file.read_exact_at(&mut magic, 0).is_ok() && magic == MAGIC.to_le_bytes();
        let page = (1..=PROCESSES).find(|page| lock(&file, *page));
        Ok(page.filter(|_| is_ours).map(|page| Shared { file, page }))
    }
}

fn read_page(file: &File, page: usize) -> [u64; NUMBERS] {
    let (mut bytes, mut numbers) = ([0; PAGE], [0; NUMBERS]);
    // What is not there yet is 0.
    let _ = file.read_exact_at(&mut bytes, (page * PAGE) as u64);
    for (number, place) in numbers.iter_mut().zip(bytes.chunks_exact(8)) {
        *number = u64::from_le_bytes(place.try_into().unwrap_or_default());
    }
    numbers
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
