//! Amounts of money: exact decimals in a currency, never floats.

use std::fmt;
use std::ops::{AddAssign, Neg};

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};

/// A currency by its ISO 4217 code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Currency([u8; 3]);

impl Currency {
    /// Reads a code such as `EUR`; `$US`, as some of the platform's rate cards write it, is `USD`.
    ///
    /// # Errors
    /// `Invalid` for anything but three capital letters.
    pub fn parse(text: &str) -> Result<Self> {
        let code = if text == "$US" { "USD" } else { text };
        let letters = code.as_bytes().try_into().ok().filter(|code: &[u8; 3]| code.iter().all(u8::is_ascii_uppercase));
        letters.map(Currency).ok_or_else(|| Error::invalid(format!("\"{text}\" is no currency such as \"EUR\"")))
    }

    /// The three letters.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An exact decimal amount of some currency's unit (euros, not cents). Sums saturate far beyond any bill.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Amount(Decimal);

impl Amount {
    /// Nothing.
    pub const ZERO: Amount = Amount(Decimal::ZERO);

    /// Reads a decimal such as `0.0118`.
    ///
    /// # Errors
    /// `Invalid` for anything else, and for more digits than are kept exactly (28).
    pub fn parse(text: &str) -> Result<Self> {
        let amount = Decimal::from_str_exact(text.trim());
        amount
            .map(|amount| Amount(amount.normalize()))
            .map_err(|_| Error::invalid(format!("\"{}\" is no amount; write it as 0.0118", text.escape_debug())))
    }

    /// Reads a number as JSON writes it, also with an exponent.
    ///
    /// # Errors
    /// `Invalid` for anything else.
    pub fn from_number(text: &str) -> Result<Self> {
        Amount::parse(text)
            .or_else(|error| Decimal::from_scientific(text).map(|amount| Amount(amount.normalize())).map_err(|_| error))
    }

    /// The amount in millionths of the unit, rounded half to even, for tables that hold whole numbers; saturates.
    pub fn micros(self) -> i64 {
        let micros = self.0.checked_mul(Decimal::from(1_000_000)).map(|micros| micros.round());
        let saturated = if self.0.is_sign_negative() { i64::MIN } else { i64::MAX };
        micros.and_then(|micros| i64::try_from(micros).ok()).unwrap_or(saturated)
    }

    /// So many times the amount.
    #[must_use]
    pub fn times(self, count: i64) -> Self {
        Amount(self.0.saturating_mul(Decimal::from(count)).normalize())
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Amount) {
        self.0 = self.0.saturating_add(other.0).normalize();
    }
}

impl Neg for Amount {
    type Output = Amount;
    fn neg(self) -> Amount {
        Amount(-self.0)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Stored by its digits and their place, which is short for the amounts of rate cards.
impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        (self.0.mantissa(), self.0.scale()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let (digits, scale) = <(i128, u32)>::deserialize(deserializer)?;
        Decimal::try_from_i128_with_scale(digits, scale).map(Amount).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        let mut sum = Amount::ZERO;
        for _ in 0..1_000_000 {
            sum += Amount::parse("0.0014").unwrap();
        }
        assert_eq!((sum.to_string().as_str(), sum.micros()), ("1400", 1_400_000_000));
        sum += -Amount::parse("1399.9999").unwrap();
        assert_eq!(sum.to_string(), "0.0001");
        assert_eq!(Amount::parse("0.1").unwrap().times(3), Amount::parse("0.30").unwrap());
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for junk in ["", "n/a", "0,0118", "1e3", "$0.01", "0.00000000000000000000000000001", "NaN"] {
            assert!(Amount::parse(junk).is_err(), "{junk}");
        }
    }

    #[test]
    fn currencies_are_three_capital_letters() {
        assert_eq!(Currency::parse("$US").unwrap(), Currency::parse("USD").unwrap());
        for junk in ["", "usd", "EURO", "€", "U D"] {
            assert!(Currency::parse(junk).is_err(), "{junk}");
        }
    }
}
