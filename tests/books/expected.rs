//! What the ledger must say of a history: the model's accounts, with their amounts.

use std::collections::BTreeMap;

use csw::gate::rates::{Card, Published};
use csw::rules::event::Category;
use csw::rules::market::Market;
use csw::rules::rate::Tier;
use csw::time::Day;

use super::{Books, Line, amount, euro};
use crate::model::{self, Account, Charge, Class, Config, Fact, GivenUp, Id, Price, date, day, word};

/// A market and a category, and what its messages cost: each rate from which of a month's messages on.
type Rates = (&'static str, &'static str, &'static [(u64, &'static str)]);

/// The rate cards: from when on, then the rates. Only utility in France has volume tiers; some categories have no rate at all.
const CARDS: [(i32, &[Rates]); 2] = [
    (
        day(2024, 1, 1),
        &[
            ("france", "marketing", &[(1, "0.1186")]),
            ("france", "utility", &[(1, "0.03"), (2, "0.025"), (4, "0.02")]),
            ("france", "authentication", &[(1, "0.0691")]),
            ("rest_of_africa", "marketing", &[(1, "0.0189")]),
            ("rest_of_africa", "utility", &[(1, "0.0067")]),
            ("rest_of_africa", "authentication_international", &[(1, "0.0304")]),
            ("rest_of_africa", "service", &[(1, "0.005")]),
        ],
    ),
    (
        day(2026, 10, 1),
        &[
            ("france", "marketing", &[(1, "0.0859")]),
            ("france", "utility", &[(1, "0.028"), (2, "0.0238"), (4, "0.0182")]),
            ("france", "authentication", &[(1, "0.0298")]),
            ("france", "service", &[(1, "0.0299")]),
            ("morocco", "marketing", &[(1, "0.0225")]),
            ("morocco", "utility", &[(1, "0.004")]),
            ("morocco", "service", &[(1, "0.0041")]),
        ],
    ),
];

/// The rate cards, to be imported.
pub fn cards() -> Vec<Card> {
    let published = |(market, category, rates): &Rates| -> Vec<(Market, Category, Published)> {
        let (market, category) = (Market::from_word(market).unwrap(), Category::from_word(category).unwrap());
        let one = |(from, rate): &(u64, &str)| match rates.len() {
            1 => Published::List(amount(rate)),
            _ => Published::Tier(Tier { from: *from, rate: amount(rate) }),
        };
        rates.iter().map(|rate| (market, category, one(rate))).collect()
    };
    let card = |(from, rates): &(i32, &[Rates])| {
        let (year, month, of_month) = date(*from);
        let from = Day::new(year, month as u32, of_month as u32);
        Card { currency: euro(), from, rates: rates.iter().flat_map(published).collect() }
    };
    CARDS.iter().map(card).collect()
}

/// What the ledger must say of a history.
pub fn books(config: &Config, facts: &[Fact]) -> Books {
    let mut volumes = Volumes::default();
    let mut last = Vec::new();
    for accounts in model::account_step_by_step(config, facts) {
        accounts.iter().for_each(|account| volumes.take(config, account));
        last = accounts;
    }
    let accounts = last.iter().map(|account| (account.message, lines(config, account, &volumes)));
    let given_up = model::given_up(facts).into_iter().map(|it| (it.message, vec![refused(config, &it)]));
    accounts.chain(given_up).collect()
}

/// The places of charged messages among those of their month, market and category. A place once taken stays taken.
#[derive(Default)]
struct Volumes {
    of: BTreeMap<Id, u64>,
    taken: BTreeMap<(i32, &'static str, String), u64>,
}

impl Volumes {
    fn take(&mut self, config: &Config, account: &Account) {
        let (Some(due), Some(charge)) = (account.due, account.charge()) else { return };
        let due = (config.day_of)(due);
        let has_tiers = rate(account, due).is_ok_and(|rates| rates.len() > 1);
        if charge.price == Price::Billable && has_tiers && !self.of.contains_key(&account.message) {
            let last = self.taken.entry((model::month(due), market(account, due), rated(account))).or_insert(0);
            *last += 1;
            self.of.insert(account.message, *last);
        }
    }
}

fn lines(config: &Config, account: &Account, volumes: &Volumes) -> Vec<Line> {
    let Account { effect, conversation, .. } = *account;
    let sent = (config.day_of)(account.at);
    let due = account.due.map(config.day_of);
    let conversation = conversation.map(|kind| format!(" {}", word(kind))).unwrap_or_default();
    let market = market(account, due.unwrap_or(sent));
    let what = what(account.class, account.category, account.guess);
    let line = |day: i32, kind: &str| format!("{} {kind} {what} {}{conversation} {market}", text(day), word(effect));
    let plain = |text| Line { text, estimate: None };
    let mut lines = vec![plain(line(sent, "message"))];
    if effect == model::Effect::Opens {
        lines.push(plain(line(sent, "conversation")));
    }
    if let (Some(due), Some(charge)) = (due, account.charge()) {
        let kind = if account.reported.is_some() { "reconciled" } else { "charge" };
        let place = volumes.of.get(&account.message).copied().unwrap_or(1);
        let money = |charge| money(account, charge, due, place);
        let estimate = account.reported.and(account.estimate).filter(|_| !account.moved).map(money);
        lines.push(Line { text: format!("{} {}", line(due, kind), money(charge)), estimate });
    }
    lines.sort();
    lines
}

fn refused(config: &Config, it: &GivenUp) -> Line {
    let day = (config.day_of)(it.at);
    let code = it.code.map(|code| format!(" {code}")).unwrap_or_default();
    let (what, market) = (what(it.class, it.category, it.guess), market_of(it.contact.customer, day));
    Line { text: format!("{} refused {what} none {market}{code}", text(day)), estimate: None }
}

fn what(class: Class, category: model::Category, guess: bool) -> String {
    let category = if guess { "unknown?".into() } else { word(category) };
    format!("{} {category}", word(class))
}

fn market(account: &Account, on: i32) -> &'static str {
    market_of(account.contact.customer, on)
}

fn market_of(customer: u32, on: i32) -> &'static str {
    match customer {
        1 => "france",
        _ if on < day(2026, 10, 1) => "rest_of_africa",
        _ => "morocco",
    }
}

/// The category whose rate a message is charged at.
fn rated(account: &Account) -> String {
    if account.class == Class::Template { word(account.category) } else { "service".into() }
}

/// The rates of a message, or why there is none.
fn rate(account: &Account, on: i32) -> Result<&'static [(u64, &'static str)], &'static str> {
    let (_, rates) = CARDS.iter().rev().find(|(from, _)| *from <= on).ok_or("no_rate_card")?;
    let (market, category) = (market(account, on), rated(account));
    let rate = rates.iter().find(|(of, named, _)| (*of, *named) == (market, &category));
    rate.map(|(.., rates)| *rates).ok_or("no_rate")
}

/// What a charge comes to, for the n-th of the month.
fn money(account: &Account, charge: Charge, due: i32, place: u64) -> String {
    let amount = match charge.price {
        Price::Free | Price::Nil => "0",
        Price::Billable => match rate(account, due) {
            Ok(rates) => rates.iter().rev().find(|(from, _)| *from <= place).map_or("0", |(_, rate)| rate),
            Err(why) => why,
        },
    };
    format!("{} {} {amount}", word(charge.price), word(charge.reason))
}

fn text(number: i32) -> String {
    let (year, month, day) = date(number);
    format!("{year}-{month:02}-{day:02}")
}
