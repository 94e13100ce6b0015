//! `csw ledger`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use csw::gate::Gate;
use csw::gate::inquiry::LedgerRow;
use csw::rules::charge::Charge;
use csw::time::{Day, Zone};

use crate::Desk;
use crate::ending::{Done, Ended};
use crate::input::Work;
use crate::output::Format;
use crate::value::{Value, word};

/// Read the ledger, in which every message and every charge has its line.
#[derive(Subcommand)]
pub enum Ledger {
    Export(Export),
}

/// Write the ledger out, entry by entry in the order of recording.
///
/// Entries are never changed: what is corrected is taken back by an entry with the count -1, and written anew. Customers are redacted unless
/// `--show-numbers` is given, and empty where they were erased.
#[derive(Args)]
pub struct Export {
    /// Only entries of this day and later ones.
    #[arg(long, value_name = "DAY", value_parser = Day::parse)]
    from: Option<Day>,
    /// Only entries of this day and earlier ones.
    #[arg(long, value_name = "DAY", value_parser = Day::parse)]
    to: Option<Day>,
    /// How to write the rows; without it CSV, or JSON lines with `--json`.
    #[arg(long)]
    format: Option<Format>,
    /// Where to write it; without it to standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// How many entries are read at once.
const PAGE: usize = 4096;

const COLUMNS: [&str; 25] = [
    "sequence",
    "recorded_at",
    "day",
    "business",
    "customer",
    "message",
    "kind",
    "class",
    "category",
    "category_estimated",
    "conversation",
    "conversation_category",
    "charge",
    "charge_reason",
    "basis",
    "amount",
    "currency",
    "market",
    "no_amount",
    "estimated_category",
    "estimated_charge",
    "estimated_amount",
    "reason",
    "code",
    "count",
];

impl Ledger {
    /// Runs the command.
    pub fn run(self, desk: &mut Desk) -> Ended {
        match self {
            Ledger::Export(export) => export.run(desk),
        }
    }
}

impl Export {
    fn run(self, desk: &mut Desk) -> Ended {
        let gate: Gate = desk.gate()?;
        if let Some(path) = &self.output {
            desk.output.redirect(path)?;
        }
        let work = Work::on(gate.ledger_length()?);
        let format = desk.output.format(self.format, Format::Csv, Format::Jsonl);
        let mut rows = desk.output.rows(format, &COLUMNS)?;
        let wanted = |day: Day| self.from.is_none_or(|from| from <= day) && self.to.is_none_or(|to| day <= to);
        let mut next = 1;
        loop {
            let page = gate.ledger(next, PAGE)?;
            let Some(last) = page.last() else { break };
            next = last.sequence + 1;
            for row in page.iter().filter(|row| wanted(row.entry.line.day)) {
                rows.row(values(row))?;
            }
            work.reached(next - 1);
        }
        rows.end()?;
        work.end();
        Ok(Done::Yes)
    }
}

fn values(row: &LedgerRow) -> Vec<Value> {
    let LedgerRow { sequence, entry, customer } = row;
    let line = &entry.line;
    let estimate = line.estimate.as_ref();
    // Only what has a price has an amount, be it nothing.
    let priced = |charge: Option<Charge>, no_amount: bool, amount| {
        Some(amount).filter(|_| !no_amount && matches!(charge, Some(Charge::Free | Charge::Billable)))
    };
    vec![
        (*sequence).into(),
        Value::Moment(Some(entry.recorded_at), Zone::UTC),
        line.day.into(),
        entry.business.into(),
        (*customer).into(),
        entry.message.into(),
        word(line.kind),
        word(line.class),
        word(line.category),
        line.estimated.into(),
        word(line.placement.effect),
        line.placement.category.map(word).into(),
        line.charged.charge.map(word).into(),
        line.charged.reason.map(word).into(),
        line.basis().map(word).into(),
        priced(line.charged.charge, line.no_amount.is_some(), entry.amount).into(),
        line.currency.into(),
        line.market.into(),
        line.no_amount.map(word).into(),
        estimate.map(|estimate| word(estimate.category)).into(),
        estimate.and_then(|estimate| estimate.charged.charge).map(word).into(),
        estimate
            .and_then(|estimate| priced(estimate.charged.charge, estimate.no_amount.is_some(), entry.estimated_amount))
            .into(),
        line.reason.map(word).into(),
        line.code.into(),
        entry.count.into(),
    ]
}
