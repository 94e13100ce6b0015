//! The stories of `tests/scenarios/`, played through a gateway: the same story gives the same decisions everywhere.

use std::fs;
use std::path::Path;

use super::gateway::{Http, MESSAGES, inbound, now, signature, template, text};

/// What a gateway's tests lend to the stories: a message in, and a send out, at a moment (Unix ms).
pub trait Driver {
    /// The customer writes to the business.
    fn customer_writes(&self, customer: &str, at: u64);
    /// The business sends a text: the verdict and the reason.
    fn sends_text(&self, customer: &str, at: u64) -> (String, String);
    /// The business sends a template: the verdict and the reason.
    fn sends_template(&self, customer: &str, name: &str, at: u64) -> (String, String);
}

/// Over HTTP, with `test_clock`.
impl<T: Http> Driver for T {
    fn customer_writes(&self, customer: &str, at: u64) {
        let body = inbound(customer, at);
        let headers = [("X-Hub-Signature-256", signature(&body)), ("X-CSW-At", at.to_string())];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        assert_eq!(self.post("/webhook", &headers, body.as_bytes()).status, 200);
    }

    fn sends_text(&self, customer: &str, at: u64) -> (String, String) {
        sends(self, &text(customer), at)
    }

    fn sends_template(&self, customer: &str, name: &str, at: u64) -> (String, String) {
        sends(self, &template(customer, name), at)
    }
}

fn sends(gateway: &impl Http, body: &str, at: u64) -> (String, String) {
    let answer = gateway.post(MESSAGES, &[("X-CSW-At", &at.to_string())], body.as_bytes());
    (answer.header("X-CSW-Verdict"), answer.header("X-CSW-Reason"))
}

/// Plays every story, and says how many there were.
pub fn play(driver: &dyn Driver) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let texts: Vec<String> = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let stories: Vec<&str> = texts.iter().flat_map(|text| text.split("\nstory ").skip(1)).collect();
    for (number, story) in stories.iter().enumerate() {
        tell(driver, story, &format!("1650556{number:04}"));
    }
    stories.len()
}

fn tell(driver: &dyn Driver, story: &str, customer: &str) {
    // Whole seconds, as the platform counts, and long enough ago that nothing lies in the future.
    let begin = (now() / 1000 - 10 * 24 * 3600) * 1000;
    let mut lines = story.lines();
    let title = lines.next().unwrap();
    let steps =
        lines.filter(|line| !line.trim().is_empty() && !line.starts_with(['#', ' ']) && !line.starts_with("hour"));
    for line in steps {
        let columns: Vec<&str> = line.split("  ").map(str::trim).filter(|column| !column.is_empty()).collect();
        let at = begin + moment(columns[0]);
        let (verdict, reason) = match columns[1].split_once(' ') {
            Some(("customer", "writes")) => {
                driver.customer_writes(customer, at);
                continue;
            }
            Some(("template", name)) => driver.sends_template(customer, name, at),
            None if columns[1] == "text" => driver.sends_text(customer, at),
            _ => panic!("{title}: what is \"{}\"?", columns[1]),
        };
        assert_eq!([verdict.as_str(), reason.as_str()], columns[2..], "{title}: {line}");
    }
}

/// `23:59:59.999` in milliseconds.
fn moment(text: &str) -> u64 {
    let parts: Vec<f64> = text.split(':').map(|part| part.parse().unwrap()).collect();
    let seconds = parts.iter().zip([3600.0, 60.0, 1.0]).map(|(part, unit)| part * unit).sum::<f64>();
    (seconds * 1000.0).round() as u64
}
