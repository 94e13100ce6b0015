//! `csw reconcile`.

use std::path::PathBuf;

use clap::Args;

use csw::gate::Gate;
use csw::gate::reconcile::{Agreement, Pair};
use csw::rules::charge::Charged;
use csw::rules::event::Category;
use csw::time::Day;
use csw::wire::bill;

use crate::Desk;
use crate::arguments::Days;
use crate::ending::{Done, Ended};
use crate::input::{self, Work};
use crate::output::Format;
use crate::value::{Value, word};

/// Compare the books with the platform's reports, or with its bill.
///
/// The platform reports each message's price by webhook, and csw keeps both its own estimate and the report. With `--bill` it is the other way
/// round: the platform's own account (`pricing_analytics` of the Graph API) beside the books, period by period. The answer is no (exit code 3)
/// when something differs; what was not reported yet, or never estimated, does not count.
#[derive(Args)]
pub struct Reconcile {
    #[command(flatten)]
    days: Days,
    /// Name each message that is not confirmed.
    #[arg(long)]
    list: bool,
    /// The platform's bill: the answer to `GET /{account}?fields=pricing_analytics...`, one page or several after one another.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from", "to", "month", "list"])]
    bill: Option<PathBuf>,
    /// How to write the rows; without it a table, or JSON with `--json`.
    #[arg(long)]
    format: Option<Format>,
}

impl Reconcile {
    /// Compares.
    pub fn run(self, desk: &mut Desk) -> Ended {
        let gate = desk.gate()?;
        let format = desk.output.format(self.format, Format::Table, Format::Json);
        if let Some(file) = &self.bill {
            return bill_beside_books(desk, &gate, format, file);
        }
        let days = self.days.range(gate.config().default_policy().rules.zone())?;
        if self.list { messages(desk, &gate, format, days) } else { sums(desk, &gate, format, days) }
    }
}

fn differs(pair: &Pair) -> bool {
    !matches!(pair.agreement, Agreement::Agrees | Agreement::Unreported | Agreement::NotEstimated)
}

fn answer(differs: bool) -> Done {
    if differs { Done::No } else { Done::Yes }
}

/// The columns that say how things stand: people see each side as one.
fn pair_names(format: Format) -> &'static [&'static str] {
    match format {
        Format::Table => &["agreement", "estimated", "reported"],
        _ => &[
            "agreement",
            "estimated_category",
            "estimated_charge",
            "estimated_reason",
            "reported_category",
            "reported_charge",
            "reported_reason",
        ],
    }
}

fn pair_values(format: Format, pair: &Pair) -> Vec<Value> {
    let (estimated, reported) = (side(pair.estimated), side(pair.reported));
    if format == Format::Table {
        let joined = |side: [Value; 3]| {
            let words = side.iter().map(|value| value.plain(false)).filter(|word| !word.is_empty());
            Value::Text(words.collect::<Vec<_>>().join(" "))
        };
        return vec![word(pair.agreement), joined(estimated), joined(reported)];
    }
    [word(pair.agreement)].into_iter().chain(estimated).chain(reported).collect()
}

fn side(side: Option<(Category, Charged)>) -> [Value; 3] {
    let charged = side.map(|(_, charged)| charged);
    [
        side.map(|(category, _)| word(category)).into(),
        charged.and_then(|charged| charged.charge).map(word).into(),
        charged.and_then(|charged| charged.reason).map(word).into(),
    ]
}

fn sums(desk: &mut Desk, gate: &Gate, format: Format, days: (Day, Day)) -> Ended {
    let found = gate.reconcile(days)?;
    let names = [pair_names(format), &["count", "estimated_amount", "reported_amount", "currency"]].concat();
    let mut rows = desk.output.rows(format, &names)?;
    for row in &found {
        let sums =
            [row.count.into(), row.estimated_amount.into(), row.reported_amount.into(), row.pair.currency.into()];
        rows.row(pair_values(format, &row.pair).into_iter().chain(sums).collect())?;
    }
    rows.end()?;
    Ok(answer(found.iter().any(|row| differs(&row.pair))))
}

fn messages(desk: &mut Desk, gate: &Gate, format: Format, days: (Day, Day)) -> Ended {
    let work = Work::on(gate.ledger_length()?);
    let found = gate.differences(days, &mut |sequence| {
        if sequence.is_multiple_of(4096) {
            work.reached(sequence);
        }
    })?;
    work.end();
    let before = ["day", "business", "customer", "message"];
    let names = [&before[..], pair_names(format), &["estimated_amount", "reported_amount", "currency"]].concat();
    let mut rows = desk.output.rows(format, &names)?;
    for difference in &found {
        let entry = &difference.entry;
        // A charge that was not reported carries the estimate as its amount.
        let (estimated, reported) = match difference.pair.reported {
            None => (Some(entry.amount), None),
            Some(_) => (difference.pair.estimated.map(|_| entry.estimated_amount), Some(entry.amount)),
        };
        let whose = [entry.line.day.into(), entry.business.into(), difference.customer.into(), entry.message.into()];
        let amounts = [estimated.into(), reported.into(), difference.pair.currency.into()];
        rows.row(whose.into_iter().chain(pair_values(format, &difference.pair)).chain(amounts).collect())?;
    }
    rows.end()?;
    Ok(answer(found.iter().any(|difference| differs(&difference.pair))))
}

fn bill_beside_books(desk: &mut Desk, gate: &Gate, format: Format, file: &PathBuf) -> Ended {
    let mut work = Work::on_files(std::slice::from_ref(file))?;
    let name = input::name(file);
    let bill = bill::parse(&work.whole(file)?).map_err(|error| error.at(&name))?;
    for what in &bill.unreadable {
        work.leave_out(format_args!("{name}: {what}"));
    }
    let read = work.end();
    let found = gate.compare(&bill)?;
    let names = [
        "from",
        "to",
        "business",
        "market",
        "kind",
        "category",
        "agrees",
        "volume",
        "billed_volume",
        "amount",
        "billed",
        "reported",
    ];
    let mut rows = desk.output.rows(format, &names)?;
    for row in &found {
        let group = &row.group;
        rows.row(vec![
            group.days.0.into(),
            group.days.1.into(),
            group.business.into(),
            group.market.into(),
            group.kind.map(word).into(),
            group.category.map(word).into(),
            row.agrees().into(),
            row.volume.into(),
            row.billed_volume.into(),
            row.amount.into(),
            row.billed.into(),
            row.reported.into(),
        ])?;
    }
    rows.end()?;
    Ok(if found.iter().all(|row| row.agrees()) { read } else { Done::No })
}
