//! A rate card, as `csw rates import` reads it: rates that no one could mistake, or an error that says where and what. What was read is kept.

// As the command holds it: the library never reads a spreadsheet.
#[allow(dead_code)]
#[path = "../../src/bin/csw/card.rs"]
mod card;

use csw::error::{Code, Result};
use csw::gate::rates::{self, Card, Kept, Published};
use csw::money::Amount;
use csw::store::memory::MemoryStore;
use csw::store::{Records, RecordsMut, Store};
use csw::time::Day;

/// Reads and keeps a card.
pub fn check(bytes: &[u8]) {
    let read = match card::card(bytes) {
        Ok(card) => card,
        Err(error) => return assert_eq!(error.code(), Code::Invalid),
    };
    assert!(!read.rows.is_empty());
    for row in &read.rows {
        let rate = match row.rate {
            Published::List(rate) => rate,
            Published::Tier(tier) => {
                assert!(tier.from > 1);
                tier.rate
            }
        };
        assert!(rate >= Amount::ZERO, "{rate}");
    }
    for place in read.left_out.iter().chain(&read.unused) {
        assert!(place.starts_with("line ") || place.starts_with("sheet "), "{place}");
    }

    let rates = read.rows.iter().map(|row| (row.market, row.category, row.rate)).collect();
    let card = Card { currency: read.currency, from: Day::new(2026, 10, 1), rates };
    let kept = kept(&card).expect("a card that was read can be kept");
    assert_eq!((kept.len(), kept[0].currency, kept[0].from), (1, card.currency, card.from));
    for (market, category, published) in card.rates {
        let (_, rate) = kept[0].rates.iter().find(|(of, _)| *of == (market, category)).expect("every rate is kept");
        match published {
            Published::List(amount) => assert_eq!(rate.list, Some(amount)),
            Published::Tier(tier) => assert!(rate.tiers.contains(&tier)),
        }
    }
}

/// The cards of a store that was given one.
fn kept(card: &Card) -> Result<Vec<Kept>> {
    let (store, mut kept) = (MemoryStore::default(), Vec::new());
    store.write(&mut |transaction| rates::import(&mut RecordsMut::new(transaction), card))?;
    store.read(&mut |read| {
        kept = rates::cards(Records(read))?;
        Ok(())
    })?;
    Ok(kept)
}
