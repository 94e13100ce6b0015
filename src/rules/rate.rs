//! What the platform's published rate cards say a message costs.

use serde::{Deserialize, Serialize};

use crate::money::{Amount, Currency};
use crate::rules::market::Market;

/// From which of a month's charged messages on a lower rate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    /// The first message that it holds for, counted from 1.
    pub from: u64,
    /// What such a message costs.
    pub rate: Amount,
}

/// What one message of a category costs in a market, on the days of one card.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rate {
    /// The list rate.
    pub list: Option<Amount>,
    /// The volume tiers, by their first message. They are marginal: the n-th message costs what its own tier says (Meta, Pricing, Volume tiers).
    pub tiers: Vec<Tier>,
}

impl Rate {
    /// What the n-th charged message of the month costs.
    pub fn of(&self, place: u64) -> Option<Amount> {
        let tier = self.tiers.iter().rev().find(|tier| tier.from <= place);
        tier.map(|tier| tier.rate).or(self.list)
    }
}

/// Why a charge has no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(i32)]
pub enum NoAmount {
    /// The number has no `currency` in the configuration.
    NoCurrency = 1,
    /// No rate card of that currency holds on the day.
    NoRateCard = 2,
    /// The customer's country cannot be told: a group, or a calling code that nobody has.
    NoMarket = 3,
    /// The card names no rate for the market and category.
    NoRate = 4,
}

words!(NoAmount {
    NoCurrency = "no_currency",
    NoRateCard = "no_rate_card",
    NoMarket = "no_market",
    NoRate = "no_rate",
});

/// What is known of the rate of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// The currency that the number is billed in.
    pub currency: Option<Currency>,
    /// The customer's market on the day.
    pub market: Option<Market>,
    /// The rate, or why there is none.
    pub rate: std::result::Result<Rate, NoAmount>,
}

impl Quote {
    /// The rate of a number without a currency.
    pub const NONE: Quote = Quote { currency: None, market: None, rate: Err(NoAmount::NoCurrency) };

    /// What the n-th charged message of the month costs, or why that cannot be said.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn of(&self, place: u64) -> std::result::Result<Amount, NoAmount> {
        self.rate.as_ref().map_err(|why| *why).and_then(|rate| rate.of(place).ok_or(NoAmount::NoRate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_are_marginal_like_tax_bands() {
        let amount = |text| Amount::parse(text).unwrap();
        let tiers = vec![Tier { from: 1, rate: amount("0.03") }, Tier { from: 101, rate: amount("0.02") }];
        let rate = Rate { list: Some(amount("0.04")), tiers };
        for (place, expected) in [(1, "0.03"), (100, "0.03"), (101, "0.02"), (1_000_000, "0.02")] {
            assert_eq!(rate.of(place), Some(amount(expected)), "message {place}");
        }
        assert_eq!(Rate { tiers: Vec::new(), ..rate }.of(5), Some(amount("0.04")));
    }
}
