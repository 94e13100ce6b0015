//! The operator's command.

use std::fs::File;
use std::io::{Read, Write, stderr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use csw::error::{Error, Result};
use csw::gate::config::{Config, StorePlace};
use csw::gate::recorder::{Outcome, Ticket};
use csw::gate::{Gate, TICKET_DEADLINE};
use csw::rules::event::EventKind;
use csw::store::lmdb::LmdbStore;
use csw::time::Timestamp;
use csw::wire::record::{self, Stated};

/// The customer service window of WhatsApp for messaging gateways: the operator's command.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    /// The configuration.
    #[arg(long, short, global = true, default_value = "/etc/csw.toml", env = "CSW_CONFIG")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Record customers' last acts from a CSV file with the columns business, customer, last_act (`-` is standard input).
    ///
    /// last_act is an RFC 3339 time, a date (its midnight in `timezone`), or Unix seconds or milliseconds. Rows that cannot be read are named and left out. Importing a file
    /// again changes nothing. Run it as the gateway's user: a store made by root locks the gateway out.
    Import {
        /// The file.
        file: PathBuf,
    },
    /// Make room for a larger store. Stop every gateway that uses it first.
    Grow {
        /// The new size in GiB; larger than now.
        gib: usize,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.command {
        Command::Import { file } => import(&arguments.config, file),
        Command::Grow { gib } => grow(&arguments.config, *gib),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(stderr(), "csw: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Records each row as a customer's message. Exit code 2 when some rows could not be read.
fn import(config: &Path, file: &Path) -> Result<ExitCode> {
    let gate = Gate::open(config)?;
    let unreadable_file = |cause: &dyn std::fmt::Display| Error::invalid(format!("{}: {cause}", file.display()));
    let (input, length): (Box<dyn Read>, u64) = if file == Path::new("-") {
        (Box::new(std::io::stdin()), 0)
    } else {
        let input = File::open(file).map_err(|cause| unreadable_file(&cause))?;
        let length = input.metadata().map_or(0, |metadata| metadata.len());
        (Box::new(input), length)
    };
    let progress = progress(length);
    let mut rows = csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(progress.wrap_read(input));
    let headers = rows.headers().map_err(|cause| unreadable_file(&cause))?.clone();
    let column = |name: &str| {
        headers.iter().position(|header| header.trim_start_matches('\u{feff}') == name).ok_or_else(|| {
            unreadable_file(&format!("no column {name}; the first line must name business, customer, last_act"))
        })
    };
    let (business, customer, last_act) = (column("business")?, column("customer")?, column("last_act")?);

    let (mut taken, mut left_out) = (0_u64, 0_u64);
    let mut tickets = Vec::new();
    for row in rows.records() {
        let event = row.map_err(|cause| unreadable_file(&cause)).and_then(|row| {
            let line = row.position().map_or(0, csv::Position::line);
            let field = |column| row.get(column).unwrap_or_default();
            let event = moment(&gate, field(last_act)).and_then(|at| {
                record::event(Stated {
                    kind: EventKind::CustomerMessage,
                    business: field(business),
                    customer: field(customer),
                    id: None,
                    at,
                    class: None,
                    category: None,
                    template: None,
                    entry_point: false,
                    code: None,
                })
            });
            event.map_err(|error| error.at(format!("line {line}")))
        });
        match event {
            Ok(event) => {
                tickets.push(submit(&gate, || gate.submit_record(event.clone()))?);
                taken += 1;
                if tickets.len() == 4096 {
                    decided(&gate, &mut tickets)?;
                }
            }
            Err(error) => {
                left_out += 1;
                progress.suspend(|| {
                    let _ = writeln!(stderr(), "{error}");
                });
            }
        }
    }
    decided(&gate, &mut tickets)?;
    progress.finish_and_clear();
    println!("{taken} rows recorded, {left_out} left out");
    Ok(if left_out == 0 { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

/// Submits, waiting while the recorder is busy.
fn submit(gate: &Gate, submit: impl Fn() -> Result<Ticket>) -> Result<Ticket> {
    loop {
        match submit() {
            Err(error) if error.code() == csw::error::Code::Busy => gate.flush(TICKET_DEADLINE)?,
            other => return other,
        }
    }
}

/// Waits for tickets; the first that failed ends the import, and what it says is true of the rows after it.
fn decided(gate: &Gate, tickets: &mut Vec<Ticket>) -> Result<()> {
    for ticket in tickets.drain(..) {
        if let Outcome::Failed(error) = gate.wait(ticket, TICKET_DEADLINE)? {
            return Err(error);
        }
    }
    Ok(())
}

fn moment(gate: &Gate, text: &str) -> Result<Timestamp> {
    let at = match text.parse::<i64>() {
        Ok(number) if number.abs() >= 100_000_000_000 => Timestamp::from_millis(number),
        Ok(number) => Timestamp::from_seconds(number),
        Err(_) => {
            let zone = gate.config().default_policy().rules.zone();
            zone.moment(text).map_err(|error| error.at("last_act"))?
        }
    };
    // Recording would clamp it to now, and open a window that nobody has opened.
    if at > Timestamp::now() {
        return Err(Error::invalid(format!("last_act {text}: lies in the future")));
    }
    Ok(at)
}

fn grow(config: &Path, gib: usize) -> Result<ExitCode> {
    match Config::read(config)?.store {
        StorePlace::Memory => Err(Error::invalid("the store is in memory; there is nothing to grow")),
        StorePlace::Lmdb(path) => {
            LmdbStore::grow(&path, gib)?;
            println!("{} has room for {gib} GiB now", path.display());
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn progress(length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length);
    let template = "{bar:40} {bytes}/{total_bytes} {elapsed}, {eta} left";
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
