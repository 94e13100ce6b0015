//! `csw ingest`.

use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;

use clap::Args;

use csw::error::{Code, Error, Result};
use csw::gate::recorder::Report;
use csw::time::{Span, Timestamp};

use crate::Desk;
use crate::documents::{Document, Documents};
use crate::ending::Ended;
use crate::flight::Flight;
use crate::input::{self, Work};
use crate::output::Facts;

/// Record stored webhooks; those that are known already change nothing.
///
/// For the days before csw, or the hour in which the gateway was away. A file holds JSON, one webhook a line (fastest) or laid out in any other way, gzip or not. The signatures are not asked for: what is in the
/// files is taken on your word. The same files may be ingested again, and files may overlap. What cannot be
/// read is named and left out (exit code 2).
#[derive(Args)]
pub struct Ingest {
    /// The files; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// As many as the recorder takes.
const AT_ONCE: usize = 32_768;

/// How it goes.
struct Tally {
    work: Work,
    began: Instant,
    webhooks: u64,
    events: u64,
    repeated: u64,
    ignored: u64,
}

/// A webhook's file and line.
#[derive(Clone)]
struct Place {
    file: Rc<str>,
    line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl Ingest {
    /// Records the webhooks of the files.
    pub fn run(self, desk: &mut Desk) -> Ended {
        let gate = desk.gate_to_fill()?;
        let work = Work::on_files(&self.files)?;
        let mut tally = Tally { work, began: Instant::now(), webhooks: 0, events: 0, repeated: 0, ignored: 0 };
        let mut flight = Flight::new(&gate, AT_ONCE);
        for file in &self.files {
            let mut documents = Documents::new(tally.work.open(file)?);
            let name: Rc<str> = input::name(file).into();
            loop {
                let (line, json) = match documents.next() {
                    Ok(Some(Document { line, json })) => (line, json),
                    Ok(None) => break,
                    // What was read of it so far is recorded, and the other files are worth reading.
                    Err(cause) => {
                        tally.work.leave_out(format_args!("{}", input::unreadable(file, &cause)));
                        break;
                    }
                };
                let place = Place { file: Rc::clone(&name), line };
                let json = match json {
                    Ok(json) => json,
                    Err(why) => {
                        tally.leave_out(&place, why);
                        continue;
                    }
                };
                let submit = || gate.submit_replay(json.clone(), Timestamp::now());
                match flight.submit(place.clone(), submit, |place, report| tally.take(&place, report)) {
                    Err(error) if is_about_one(&error) => tally.leave_out(&place, error),
                    submitted => submitted?,
                }
            }
        }
        flight.end(|place, report| tally.take(&place, report))?;
        tally.end(desk)
    }
}

/// Whether something is wrong with a webhook alone.
fn is_about_one(error: &Error) -> bool {
    matches!(error.code(), Code::NotJson | Code::TooLarge)
}

impl Tally {
    /// Counts a webhook; what is wrong with it alone leaves only it out.
    fn take(&mut self, place: &Place, report: Result<Report>) -> Result<()> {
        let report = match report {
            Ok(report) => report,
            Err(error) if is_about_one(&error) => {
                self.leave_out(place, error);
                return Ok(());
            }
            Err(error) => return Err(error.at(place)),
        };
        self.webhooks += 1;
        self.events += u64::from(report.events);
        self.repeated += u64::from(report.repeated);
        self.ignored += u64::from(report.ignored);
        for part in &report.unreadable {
            self.leave_out(place, part);
        }
        if self.webhooks.is_multiple_of(1024) {
            self.work.say(format_args!("{} events, {}/s", self.events, self.per_second()));
        }
        Ok(())
    }

    fn leave_out(&mut self, place: &Place, why: impl fmt::Display) {
        self.work.leave_out(format_args!("{place}: {why}"));
    }

    fn per_second(&self) -> u64 {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.events.saturating_mul(1000) / millis.max(1)
    }

    fn end(self, desk: &mut Desk) -> Ended {
        let now = Timestamp::from_millis(i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX));
        let facts = Facts::default()
            .say("webhooks", self.webhooks)
            .say("events", self.events)
            .say("repeated", self.repeated)
            .say("ignored", self.ignored)
            .say("unreadable", self.work.left_out())
            .say("elapsed", Span::between(Timestamp::from_millis(0), now))
            .say("events_per_second", self.per_second());
        let done = self.work.end();
        desk.output.facts(&facts)?;
        Ok(done)
    }
}
