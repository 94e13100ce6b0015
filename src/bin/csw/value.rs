//! The values that commands speak of, each in two ways of writing: for people, and for programs.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

use csw::money::{Amount, Currency};
use csw::party::{Business, Customer};
use csw::rules::market::Market;
use csw::time::{Day, Span, Timestamp, Zone};
use csw::words::Words;

/// A value of an answer.
#[derive(Debug, Clone)]
pub enum Value {
    /// Nothing is known, or there is none.
    Nothing,
    /// A word of the closed lists.
    Word(&'static str),
    /// A text.
    Text(String),
    /// A number of things.
    Count(i64),
    /// Yes or no.
    Flag(bool),
    /// An amount of money.
    Amount(Amount),
    /// A currency.
    Currency(Currency),
    /// A day.
    Day(Day),
    /// A moment, and the zone in which people read it.
    Moment(Option<Timestamp>, Zone),
    /// A length of time.
    Span(Span),
    /// A number of the business.
    Business(Business),
    /// A customer.
    Customer(Customer),
}

/// A value of a closed list.
pub fn word<W: Words>(value: W) -> Value {
    Value::Word(value.word())
}

impl Value {
    /// For people.
    pub fn human(&self, numbers: bool) -> Cow<'_, str> {
        match self {
            Value::Count(count) => Cow::Owned(grouped(*count)),
            Value::Flag(flag) => Cow::Borrowed(if *flag { "yes" } else { "no" }),
            Value::Amount(amount) => Cow::Owned(with_decimals(amount.to_string(), 2)),
            Value::Moment(Some(at), zone) => Cow::Owned(zone.local(*at)),
            Value::Span(span) => Cow::Owned(spoken(*span)),
            _ => self.plain(numbers),
        }
    }

    /// For programs, as text.
    pub fn plain(&self, numbers: bool) -> Cow<'_, str> {
        Cow::Owned(match self {
            Value::Nothing | Value::Moment(None, _) => return Cow::Borrowed(""),
            Value::Word(word) => return Cow::Borrowed(word),
            Value::Text(text) => return Cow::Borrowed(text),
            Value::Count(count) => count.to_string(),
            Value::Flag(flag) => return Cow::Borrowed(if *flag { "true" } else { "false" }),
            Value::Amount(amount) => amount.to_string(),
            Value::Currency(currency) => return Cow::Borrowed(currency.code()),
            Value::Day(day) => day.to_string(),
            Value::Moment(Some(at), _) => at.to_string(),
            Value::Span(span) => span.as_millis().to_string(),
            Value::Business(business) => business.to_string(),
            Value::Customer(customer) if numbers => customer.written(),
            Value::Customer(customer) => format!("{customer:?}"),
        })
    }

    /// Whether people read it from its right end.
    pub fn is_number(&self) -> bool {
        matches!(self, Value::Count(_) | Value::Amount(_) | Value::Span(_))
    }
}

/// A value as JSON; amounts and the numbers of businesses are strings, since other readers take numbers for floats.
pub struct Json<'v> {
    /// The value.
    pub value: &'v Value,
    /// Whether phone numbers are written whole.
    pub numbers: bool,
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Value::Nothing | Value::Moment(None, _) => serializer.serialize_none(),
            Value::Count(count) => serializer.serialize_i64(*count),
            Value::Span(span) => serializer.serialize_i64(span.as_millis()),
            Value::Flag(flag) => serializer.serialize_bool(*flag),
            other => serializer.serialize_str(&other.plain(self.numbers)),
        }
    }
}

/// The digits in groups of three.
fn grouped(count: i64) -> String {
    let digits = count.unsigned_abs().to_string();
    let mut text = String::from(if count < 0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// An amount with at least so many decimals.
pub fn with_decimals(mut amount: String, decimals: usize) -> String {
    let known = decimals_of(&amount);
    if known == 0 && decimals > 0 {
        amount.push('.');
    }
    amount.extend(std::iter::repeat_n('0', decimals.saturating_sub(known)));
    amount
}

/// How many decimals an amount has.
pub fn decimals_of(amount: &str) -> usize {
    amount.split_once('.').map_or(0, |(_, decimals)| decimals.len())
}

/// A span in the units of csw.toml: `2d 3h`, `59m 30s`, `1.204s`.
fn spoken(span: Span) -> String {
    let millis = span.as_millis();
    if millis < 60_000 {
        return match millis % 1000 {
            0 => format!("{}s", millis / 1000),
            rest => format!("{}.{rest:03}s", millis / 1000),
        };
    }
    let seconds = millis / 1000;
    let units = [(seconds / 86_400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let said = units.iter().filter(|(number, _)| *number > 0).map(|(number, unit)| format!("{number}{unit}"));
    said.collect::<Vec<_>>().join(" ")
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Nothing, Into::into)
    }
}

macro_rules! values {
    ($($type:ty => $variant:expr),+ $(,)?) => {
        $(impl From<$type> for Value {
            fn from(value: $type) -> Self {
                $variant(value)
            }
        })+
    };
}

values! {
    String => Value::Text,
    i64 => Value::Count,
    u64 => |count| Value::Count(i64::try_from(count).unwrap_or(i64::MAX)),
    bool => Value::Flag,
    Amount => Value::Amount,
    Currency => Value::Currency,
    Market => |market: Market| Value::Word(market.word()),
    Day => Value::Day,
    Span => Value::Span,
    Business => Value::Business,
    Customer => Value::Customer,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_spoken_in_the_units_of_the_configuration() {
        let table = [
            (0, "0s"),
            (250, "0.250s"),
            (30_000, "30s"),
            (59_999, "59.999s"),
            (60_000, "1m"),
            (5_430_999, "1h 30m 30s"),
        ];
        for (millis, expected) in table {
            assert_eq!(spoken(Span::millis(millis)), expected, "{millis}");
        }
        assert_eq!(spoken(Span::hours(72)), "3d");
    }

    #[test]
    fn numbers_are_grouped_and_amounts_aligned() {
        for (count, expected) in [(0, "0"), (999, "999"), (1_000, "1,000"), (-1_234_567, "-1,234,567")] {
            assert_eq!(grouped(count), expected);
        }
        for (amount, expected) in [("0", "0.00"), ("12.5", "12.50"), ("0.0625", "0.0625"), ("-3", "-3.00")] {
            assert_eq!(with_decimals(amount.into(), 2), expected);
        }
    }
}
