//! `csw rates`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::{Args, Subcommand};

use csw::gate::rates::{Card, Kept, Published};
use csw::money::Currency;
use csw::rules::market::{Country, Market};
use csw::time::{Day, Timestamp};

use crate::Desk;
use crate::card;
use crate::ending::{Done, Ended};
use crate::flight::decided;
use crate::input::Work;
use crate::output::{Facts, Format};
use crate::value::{Value, word};

/// Keep the platform's rate cards: by them charges get their amounts.
#[derive(Subcommand)]
pub enum Rates {
    Import(Import),
    /// Give charges that have no amount one, by the cards that are there now; the ledger is corrected. What has an amount stays as it is.
    ///
    /// For a card that was imported after its first day. Messages are remembered for as long as `retention` says.
    Apply,
    List(List),
    Show(Show),
}

/// Record a rate card: CSV or a workbook (xlsx, ods), as the platform publishes them.
///
/// List rates and volume tiers are published apart: import both, for the same day, in any order. A card of the same currency and day replaces
/// what it names anew. What has an amount keeps it; `csw rates apply` gives one to what was charged before and has none.
/// Rows that are not known are named and left out (exit code 2).
#[derive(Args)]
pub struct Import {
    /// The card.
    file: PathBuf,
    /// The first day on which it holds.
    #[arg(long, value_name = "DAY", value_parser = Day::parse)]
    from: Day,
}

/// List the rate cards: of which currency, and from which day on.
#[derive(Args)]
pub struct List {
    /// How to write the rows; without it a table, or JSON with `--json`.
    #[arg(long)]
    format: Option<Format>,
}

/// Show the rates of a card.
#[derive(Args)]
pub struct Show {
    /// The currency.
    #[arg(value_parser = Currency::parse)]
    currency: Currency,
    /// The day whose card it is; without it today.
    #[arg(long, value_name = "DAY", value_parser = Day::parse)]
    on: Option<Day>,
    /// How to write the rows; without it a table, or JSON with `--json`.
    #[arg(long)]
    format: Option<Format>,
}

impl Rates {
    /// Runs the command.
    pub fn run(self, desk: &mut Desk) -> Ended {
        match self {
            Rates::Import(import) => import.run(desk),
            Rates::Apply => apply(desk),
            Rates::List(list) => list.run(desk),
            Rates::Show(show) => show.run(desk),
        }
    }
}

impl Import {
    fn run(self, desk: &mut Desk) -> Ended {
        let read = card::read(&self.file)?;
        let gate = desk.gate_to_fill()?;
        let mut work = Work::unseen();
        for what in &read.left_out {
            work.leave_out(format_args!("{}: {what}", self.file.display()));
        }
        for what in &read.unused {
            work.warn(format_args!("{}: {what}, and not used", self.file.display()));
        }
        let card = Card {
            currency: read.currency,
            from: self.from,
            rates: read.rows.iter().map(|row| (row.market, row.category, row.rate)).collect(),
        };
        decided(&gate, gate.submit_rates(card)?)?;
        let markets: BTreeSet<Market> = read.rows.iter().map(|row| row.market).collect();
        for market in markets.difference(&in_use(self.from)) {
            let (word, day) = (market.word(), self.from);
            work.warn(format_args!("{}: no country belongs to {word} on {day}", self.file.display()));
        }
        let tiers = read.rows.iter().filter(|row| matches!(row.rate, Published::Tier(_))).count();
        let facts = Facts::default()
            .say("currency", read.currency)
            .say("from", self.from)
            .say("markets", markets.len() as u64)
            .say("rates", read.rows.len() as u64)
            .say("tiers", tiers as u64)
            .say("left_out", work.left_out());
        let done = work.end();
        desk.output.facts(&facts)?;
        Ok(done)
    }
}

/// Contacts whose charges are priced in one transaction.
const AT_ONCE: usize = 500;

fn apply(desk: &mut Desk) -> Ended {
    let gate = desk.gate()?;
    let (mut priced, mut last) = (0_u64, None);
    loop {
        let contacts = gate.unpriced(last.as_ref(), AT_ONCE)?;
        let Some(next) = contacts.last().copied() else { break };
        priced += u64::from(decided(&gate, gate.submit_prices(contacts)?)?.events);
        last = Some(next);
    }
    desk.output.sentence(&format!("{priced} messages priced"), &Facts::default().say("priced", priced))?;
    Ok(Done::Yes)
}

impl List {
    fn run(self, desk: &mut Desk) -> Ended {
        let gate = desk.gate()?;
        let today = gate.config().default_policy().rules.zone().day(Timestamp::now());
        let cards = gate.cards()?;
        let format = desk.output.format(self.format, Format::Table, Format::Json);
        let mut rows = desk.output.rows(format, &["currency", "from", "in_force", "markets", "rates", "tiers"])?;
        for card in &cards {
            let Kept { currency, from, rates } = card;
            let markets: BTreeSet<Market> = rates.iter().map(|((market, _), _)| *market).collect();
            let tiers: usize = rates.iter().map(|(_, rate)| rate.tiers.len()).sum();
            rows.row(vec![
                (*currency).into(),
                (*from).into(),
                in_force(&cards, *currency, today).is_some_and(|holds| holds.from == *from).into(),
                (markets.len() as u64).into(),
                (rates.len() as u64).into(),
                (tiers as u64).into(),
            ])?;
        }
        rows.end()?;
        Ok(Done::Yes)
    }
}

impl Show {
    fn run(self, desk: &mut Desk) -> Ended {
        let gate = desk.gate()?;
        let day = self.on.unwrap_or_else(|| gate.config().default_policy().rules.zone().day(Timestamp::now()));
        let cards = gate.cards()?;
        let card = in_force(&cards, self.currency, day);
        let format = desk.output.format(self.format, Format::Table, Format::Json);
        let names = ["market", "category", "from_message", "rate", "currency", "from"];
        let mut rows = desk.output.rows(format, &names)?;
        let by_name: BTreeMap<_, _> = card
            .into_iter()
            .flat_map(|card| &card.rates)
            .map(|((market, category), rate)| ((market.word(), *category), rate))
            .collect();
        for ((market, category), rate) in by_name {
            let list = rate.list.map(|list| (1, list));
            for (message, amount) in list.into_iter().chain(rate.tiers.iter().map(|tier| (tier.from, tier.rate))) {
                rows.row(vec![
                    Value::Word(market),
                    word(category),
                    message.into(),
                    amount.into(),
                    self.currency.into(),
                    card.map(|card| card.from).into(),
                ])?;
            }
        }
        rows.end()?;
        Ok(Done::Yes)
    }
}

/// The card of a currency that holds on a day.
pub fn in_force(cards: &[Kept], currency: Currency, day: Day) -> Option<&Kept> {
    cards.iter().filter(|card| card.currency == currency && card.from <= day).max_by_key(|card| card.from)
}

/// The markets whose rates somebody is charged on a day, if a card has them: those of the platform's table, and every country by itself.
fn in_use(day: Day) -> BTreeSet<Market> {
    Country::all().flat_map(|country| [Market::Country(country), Market::of(country, day)]).collect()
}

/// The markets of the platform's table on a day that a card has no rate for.
pub fn missing(card: &Kept, day: Day) -> BTreeSet<Market> {
    let named: BTreeSet<Market> = card.rates.iter().map(|((market, _), _)| *market).collect();
    let charged = |country: &Country| !named.contains(&Market::Country(*country));
    let markets: BTreeSet<Market> = Country::all().filter(charged).map(|country| Market::of(country, day)).collect();
    markets.difference(&named).copied().collect()
}
