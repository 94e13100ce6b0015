//! `csw import`.

use std::path::PathBuf;

use clap::Args;

use csw::error::{Error, Result};
use csw::rules::event::{Event, EventKind};
use csw::time::{Timestamp, Zone};
use csw::wire::record::{self, Stated};

use crate::Desk;
use crate::arguments::When;
use crate::ending::Ended;
use crate::flight::Flight;
use crate::input::{self, Work};
use crate::output::Facts;

/// As many as a slow disk records before their tickets run out.
const AT_ONCE: usize = 8192;

/// Record customers' last acts from a CSV file.
///
/// Its columns are business, customer and last_act, by the names in its first line. `last_act` is an RFC 3339 time, a date (its midnight in `timezone`), or Unix seconds or milliseconds. Rows that cannot be read are named and
/// left out (exit code 2). Importing a file again changes nothing. Run it as the gateway's user: a store made by root locks the gateway out.
#[derive(Args)]
pub struct Import {
    /// The file; `-` is standard input.
    file: PathBuf,
}

/// Where the columns stand.
struct Columns {
    business: usize,
    customer: usize,
    last_act: usize,
}

impl Import {
    /// Records each row as a customer's message.
    pub fn run(self, desk: &mut Desk) -> Ended {
        let gate = desk.gate_to_fill()?;
        let zone = gate.config().default_policy().rules.zone();
        let unreadable = |cause: &dyn std::fmt::Display| input::unreadable(&self.file, cause);
        let mut work = Work::on_files(std::slice::from_ref(&self.file))?;
        let mut rows =
            csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(work.open(&self.file)?);
        let columns = Columns::of(rows.headers().map_err(|cause| unreadable(&cause))?);
        let columns = columns.map_err(|cause| unreadable(&cause))?;
        let mut taken = 0_u64;
        let mut flight = Flight::new(&gate, AT_ONCE);
        // The first that fails ends the import, and what it says is true of the rows after it.
        let landed = |(), report: Result<_>| report.map(drop);
        for row in rows.records() {
            let event = row.map_err(|cause| unreadable(&cause)).and_then(|row| columns.event(&row, zone));
            match event {
                Ok(event) => {
                    flight.submit((), || gate.submit_record(event.clone()), landed)?;
                    taken += 1;
                }
                Err(error) => work.leave_out(error),
            }
        }
        flight.end(landed)?;
        let left_out = work.left_out();
        let done = work.end();
        let sentence = format!("{taken} rows recorded, {left_out} left out");
        desk.output.sentence(&sentence, &Facts::default().say("recorded", taken).say("left_out", left_out))?;
        Ok(done)
    }
}

impl Columns {
    fn of(headers: &csv::StringRecord) -> Result<Self> {
        let column = |name: &str| {
            headers.iter().position(|header| header.trim_start_matches('\u{feff}') == name).ok_or_else(|| {
                Error::invalid(format!("no column {name}; the first line must name business, customer, last_act"))
            })
        };
        Ok(Columns { business: column("business")?, customer: column("customer")?, last_act: column("last_act")? })
    }

    fn event(&self, row: &csv::StringRecord, zone: Zone) -> Result<Event> {
        let field = |column| row.get(column).unwrap_or_default();
        let event = moment(field(self.last_act), zone).and_then(|at| {
            record::event(Stated {
                kind: EventKind::CustomerMessage,
                business: field(self.business),
                customer: field(self.customer),
                id: None,
                at,
                class: None,
                category: None,
                template: None,
                entry_point: false,
                code: None,
            })
        });
        let line = row.position().map_or(0, csv::Position::line);
        event.map_err(|error| error.at(format!("line {line}")))
    }
}

fn moment(text: &str, zone: Zone) -> Result<Timestamp> {
    let at = When::parse(text).map_err(|error| error.at("last_act"))?.within(zone);
    // Recording would clamp it to now, and open a window that nobody has opened.
    if at > Timestamp::now() {
        return Err(Error::invalid(format!("last_act {text}: lies in the future")));
    }
    Ok(at)
}
