//! What the tests here measure: which form of a test is run, what a process takes, and whether that stays as it is.

use std::fs;
use std::io::Write;
use std::time::Duration;

/// The figure of the long form where that is asked for, else the short one's.
pub fn short_or_long<T>(short: T, long: T) -> T {
    if std::env::var("CSW_TORTURE").is_ok_and(|form| form == "long") { long } else { short }
}

/// A line of figures, also where the output of tests is captured.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "torture: {line}");
}

/// The longest of some times, and how many there were.
#[derive(Default, Clone, Copy)]
pub struct Longest {
    pub calls: u64,
    pub took: Duration,
}

impl Longest {
    pub fn add(&mut self, took: Duration) {
        self.calls += 1;
        self.took = self.took.max(took);
    }

    pub fn join(&mut self, other: &Longest) {
        self.calls += other.calls;
        self.took = self.took.max(other.took);
    }
}

/// What a process holds of its own.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    /// Memory that no file stands behind, in KiB.
    pub memory: u64,
    pub descriptors: u64,
    pub threads: u64,
}

impl Held {
    /// `None` once the process has ended.
    pub fn by(process: u32) -> Option<Held> {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let descriptors = fs::read_dir(format!("/proc/{process}/fd")).ok()?.count() as u64;
        Some(Held { memory: number("RssAnon")?, descriptors, threads: number("Threads")? })
    }
}

/// By how much the mean of the last tenth may lie above that of the second one.
pub struct Slack {
    pub memory: u64,
    pub descriptors: u64,
    pub threads: u64,
}

/// What is compared, and by how much it may grow.
type Column = (&'static str, fn(&Held) -> u64, u64);

/// Compares the second and the last tenth of what a process held, and shows the mean of each; says what has grown.
pub fn grown(what: &str, samples: &[Held], slack: &Slack) -> Vec<String> {
    let length = samples.len() / 10;
    assert!(length > 0, "{what}: {} samples", samples.len());
    let columns: [Column; 3] = [
        ("RssAnon KiB", |held| held.memory, slack.memory),
        ("descriptors", |held| held.descriptors, slack.descriptors),
        ("threads", |held| held.threads, slack.threads),
    ];
    let mut wrong = Vec::new();
    for (name, column, slack) in columns {
        let mean = |part: &[Held]| part.iter().map(column).sum::<u64>() as f64 / part.len() as f64;
        let tenths: Vec<_> = samples.chunks(length).take(10).map(mean).collect();
        let figures: Vec<_> = tenths.iter().map(|mean| format!("{mean:.1}")).collect();
        let (least, most) = (samples.iter().map(column).min(), samples.iter().map(column).max());
        let line = format!(
            "{what}: {name} least {} most {}, of {} samples the means of each tenth {}",
            least.unwrap_or_default(),
            most.unwrap_or_default(),
            samples.len(),
            figures.join(" ")
        );
        say(&line);
        if tenths[9] > tenths[1] + slack as f64 {
            wrong.push(line);
        }
    }
    wrong
}
