//! What several commands read from the command line.

use std::ffi::OsStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, Args, Command};

use csw::error::{Error, Result};
use csw::gate::config::Config;
use csw::party::Business;
use csw::time::{Day, Span, Timestamp, Zone};
use csw::words::Words;

use crate::ending::Failure;

/// A moment as people write it: `2026-10-01T12:00:00Z`, a date (its midnight in a time zone), Unix seconds, or Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The moment itself.
    At(Timestamp),
    /// The first moment of a day.
    On(Day),
}

impl When {
    /// Reads a moment.
    ///
    /// # Errors
    /// `Invalid` for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        if let Ok(number) = text.parse::<i64>() {
            let is_millis = number.unsigned_abs() >= 100_000_000_000;
            return Ok(When::At(if is_millis {
                Timestamp::from_millis(number)
            } else {
                Timestamp::from_seconds(number)
            }));
        }
        match Day::parse(text) {
            Ok(day) => Ok(When::On(day)),
            // It knows the zone only by the day, so what it says of the text is true of any.
            Err(_) => Zone::UTC.moment(text).map(When::At),
        }
    }

    /// The moment in a zone.
    pub fn within(self, zone: Zone) -> Timestamp {
        match self {
            When::At(at) => at,
            When::On(day) => zone.midnight(day),
        }
    }
}

/// A moment that was asked for, or now.
pub fn at(when: Option<When>, zone: Zone) -> Timestamp {
    when.map_or_else(Timestamp::now, |when| when.within(zone))
}

/// The time zone of a number.
pub fn zone(config: &Config, business: Business) -> Zone {
    config.policy(config.canonical(business)).rules.zone()
}

/// Reads the name of somebody. What cannot be read is not shown whole, as clap would show it.
#[derive(Clone)]
pub struct Name<T>(pub fn(&str) -> Result<T>);

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Name<T> {
    type Value = T;

    fn parse_ref(&self, command: &Command, _: Option<&Arg>, value: &OsStr) -> std::result::Result<T, clap::Error> {
        let read = value.to_str().ok_or_else(|| Error::invalid("a name that is not UTF-8")).and_then(self.0);
        read.map_err(|error| clap::Error::raw(ErrorKind::ValueValidation, format!("{error}\n")).with_cmd(command))
    }
}

/// Reads a word of a closed list, which the help and the completions show.
pub fn words<W: Words + Send + Sync>() -> impl TypedValueParser<Value = W> {
    let known = PossibleValuesParser::new(W::ALL.iter().map(|value| value.word()));
    let value = |word: String| W::ALL.iter().copied().find(|value| value.word() == word);
    known.try_map(move |word| value(word).ok_or_else(|| Error::invalid("not one of the words")))
}

/// Some days, the first and the last included.
#[derive(Debug, Clone, Copy, Args)]
pub struct Days {
    /// The first day; without it the first of the last day's month.
    #[arg(long, value_name = "DAY", value_parser = Day::parse)]
    from: Option<Day>,
    /// The last day; without it today, in `timezone`.
    #[arg(long, value_name = "DAY", value_parser = Day::parse)]
    to: Option<Day>,
    /// All days of a month, such as 2026-10.
    #[arg(long, value_parser = Day::parse_month, conflicts_with_all = ["from", "to"])]
    month: Option<Day>,
}

impl Days {
    /// The first and the last day.
    ///
    /// # Errors
    /// A usage error when the last day lies before the first.
    pub fn range(self, zone: Zone) -> std::result::Result<(Day, Day), Failure> {
        if let Some(month) = self.month {
            return Ok((month, before(month.next_month())));
        }
        let to = self.to.unwrap_or_else(|| zone.day(Timestamp::now()));
        let from = self.from.unwrap_or_else(|| to.month());
        match from <= to {
            true => Ok((from, to)),
            false => Err(Failure::Usage(Error::invalid(format!("--from {from} lies after --to {to}")))),
        }
    }
}

fn before(day: Day) -> Day {
    Zone::UTC.day(Zone::UTC.midnight(day) - Span::hours(1))
}
