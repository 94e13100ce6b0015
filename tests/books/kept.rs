//! What the library's ledger says.

use std::collections::BTreeMap;

use csw::money::Amount;
use csw::rules::charge::Charged;
use csw::rules::ledger::{self, LineKind};
use csw::rules::rate::NoAmount;
use csw::store::codec::Entry;

use super::{Books, Line, euro};
use crate::model::Id;

/// What is left of the entries once those that take others back are netted against them.
///
/// # Errors
/// What must not happen: a line that counts twice, one taken back that was never posted, an entry of an unknown message.
pub fn books(entries: &[Entry], ids: &BTreeMap<u64, Id>) -> Result<Books, String> {
    let mut net: BTreeMap<(Id, Line), i64> = BTreeMap::new();
    for entry in entries {
        let message = entry.message.ok_or("an entry of no message")?;
        let id = ids.get(&message).ok_or_else(|| format!("an entry of message number {message}, which is none"))?;
        let line = line(entry);
        let count = net.entry((*id, line.clone())).or_default();
        *count += entry.count;
        if !(0..=1).contains(count) {
            return Err(format!("message {id}: \"{}\" counts {count} times", line.shown()));
        }
    }
    let mut books = Books::new();
    for ((id, line), _) in net.into_iter().filter(|(_, count)| *count == 1) {
        books.entry(id).or_default().push(line);
    }
    Ok(books)
}

fn line(entry: &Entry) -> Line {
    let ledger::Line { day, kind, class, category, estimated, placement, charged, no_amount, .. } = entry.line;
    let ledger::Line { estimate, market, currency, reason, code, .. } = entry.line;
    assert_eq!((currency, reason), (Some(euro()), None));
    // There is no negative nothing.
    let sign = |amount: Amount| if entry.count < 0 && amount != Amount::ZERO { -amount } else { amount };
    let guess = if estimated { "?" } else { "" };
    let conversation = placement.category.map_or(String::new(), |category| format!(" {}", category.word()));
    let mut text = format!("{day} {} {} {}{guess} ", kind.word(), class.word(), category.word());
    text += &format!("{}{conversation} {}", placement.effect.word(), market.map_or("-", |market| market.word()));
    if let Some(code) = code {
        text += &format!(" {code}");
    }
    if matches!(kind, LineKind::Charge | LineKind::Reconciled) {
        text += &format!(" {}", money(charged, sign(entry.amount), no_amount));
    } else {
        assert_eq!((charged, entry.amount, entry.estimated_amount), (Charged::NONE, Amount::ZERO, Amount::ZERO));
    }
    let amount = sign(entry.estimated_amount);
    Line { text, estimate: estimate.map(|estimate| money(estimate.charged, amount, estimate.no_amount)) }
}

fn money(charged: Charged, amount: Amount, no_amount: Option<NoAmount>) -> String {
    let charge = charged.charge.map_or("nil", |charge| charge.word());
    let amount = no_amount.map_or_else(|| amount.to_string(), |why| why.word().into());
    format!("{charge} {} {amount}", charged.reason.map_or("-", |reason| reason.word()))
}
