//! Moments, spans, and the days of an account's time zone. Nothing here but [`Timestamp::now`] looks at a clock.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::SystemTime;

use chrono::{DateTime, Datelike, LocalResult, NaiveDate, NaiveTime, TimeZone, Utc};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A moment: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Timestamp(i64);

impl Timestamp {
    /// A moment from Unix milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Timestamp(millis)
    }

    /// A moment from Unix seconds; saturates.
    pub const fn from_seconds(seconds: i64) -> Self {
        Timestamp(seconds.saturating_mul(1000))
    }

    /// Unix milliseconds.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole Unix seconds, rounded down: the platform's resolution.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Reads a date and time with its offset, as in RFC 3339.
    ///
    /// # Errors
    /// `Invalid` for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        let time = DateTime::parse_from_rfc3339(text);
        time.map(|time| Timestamp(time.timestamp_millis()))
            .map_err(|_| Error::invalid(format!("\"{text}\" is no date and time; write it as 2026-10-01T00:00:00Z")))
    }

    /// The wall clock. Only the doors and the gate ask for it; the rules are given their time.
    pub fn now() -> Self {
        // Without a calendar: this is asked with every question.
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

impl Add<Span> for Timestamp {
    type Output = Timestamp;
    fn add(self, span: Span) -> Timestamp {
        Timestamp(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Timestamp {
    type Output = Timestamp;
    fn sub(self, span: Span) -> Timestamp {
        Timestamp(self.0.saturating_sub(span.0))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC; outside the calendar, the bare milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::<Utc>::from_timestamp_millis(self.0) {
            Some(time) => write!(f, "{}", time.format("%Y-%m-%dT%H:%M:%S%.3fZ")),
            None => write!(f, "{} ms", self.0),
        }
    }
}

/// A length of time in milliseconds, never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Span(i64);

impl Span {
    /// No time at all.
    pub const ZERO: Span = Span(0);

    /// Whole hours.
    pub const fn hours(hours: u32) -> Self {
        Span(hours as i64 * 3_600_000)
    }

    /// Milliseconds.
    pub const fn millis(millis: u32) -> Self {
        Span(millis as i64)
    }

    /// From one moment to a later one; nothing when it is not later.
    pub const fn between(from: Timestamp, to: Timestamp) -> Self {
        let millis = to.0.saturating_sub(from.0);
        Span(if millis > 0 { millis } else { 0 })
    }

    /// The span in milliseconds.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Reads `"24h"`, `"90m"`, `"30s"`, `"250ms"`, `"7d"`, or `"0"`.
    ///
    /// # Errors
    /// `Config` for anything else, and for more than ten years.
    pub fn parse(text: &str) -> Result<Self> {
        let malformed = || {
            Error::new(
                crate::error::Code::Config,
                format!("\"{text}\" is no span of time; write it as \"24h\", \"90m\", \"30s\", \"250ms\" or \"7d\""),
            )
        };
        let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: i64 = number.parse().map_err(|_| malformed())?;
        let unit = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "" if number == 0 => 0,
            _ => return Err(malformed()),
        };
        let ten_years = 10 * 366 * 86_400_000;
        number.checked_mul(unit).filter(|millis| *millis <= ten_years).map(Span).ok_or_else(malformed)
    }
}

/// A calendar day in some account's time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Day(i32);

impl Day {
    /// 1970-01-01, where the milliseconds begin.
    const EPOCH: Day = Day(719_163);

    /// A day of the calendar; dates that do not exist become the first representable day.
    pub fn new(year: i32, month: u32, day: u32) -> Self {
        Day(NaiveDate::from_ymd_opt(year, month, day).unwrap_or_default().num_days_from_ce())
    }

    /// Reads `2026-10-01`.
    ///
    /// # Errors
    /// `Invalid` for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .map(|date| Day(date.num_days_from_ce()))
            .map_err(|_| Error::invalid(format!("\"{text}\" is no date; write it as 2026-10-01")))
    }

    /// Days since the first of January of the year 1, that day being 1: an ordered number for keys.
    pub fn number(self) -> i32 {
        self.0
    }

    /// The first day of the same month.
    #[must_use]
    pub fn month(self) -> Self {
        let date = self.date();
        Day::new(date.year(), date.month(), 1)
    }

    /// The first day of the month after this one.
    #[must_use]
    pub fn next_month(self) -> Self {
        let date = self.date();
        match date.month() {
            12 => Day::new(date.year() + 1, 1, 1),
            month => Day::new(date.year(), month + 1, 1),
        }
    }

    /// Reads a month such as `2026-10`: its first day.
    ///
    /// # Errors
    /// `Invalid` for anything else.
    pub fn parse_month(text: &str) -> Result<Self> {
        let day = Day::parse(&format!("{text}-01"));
        day.map_err(|_| Error::invalid(format!("\"{text}\" is no month; write it as 2026-10")))
    }

    fn date(self) -> NaiveDate {
        NaiveDate::from_num_days_from_ce_opt(self.0).unwrap_or_default()
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.date())
    }
}

/// An account's time zone, by its IANA name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone(chrono_tz::Tz);

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Zone = Zone(chrono_tz::UTC);

    /// Reads an IANA name such as `America/Sao_Paulo`.
    ///
    /// # Errors
    /// `Config` for a name that is not known.
    pub fn parse(name: &str) -> Result<Self> {
        name.parse().map(Zone).map_err(|_| {
            Error::new(
                crate::error::Code::Config,
                format!("\"{name}\" is no time zone; use an IANA name such as \"America/Sao_Paulo\" or \"UTC\""),
            )
        })
    }

    /// The IANA name.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// A moment as people in this zone write it, with its offset.
    pub fn local(self, at: Timestamp) -> String {
        match DateTime::<Utc>::from_timestamp_millis(at.millis()) {
            Some(time) => time.with_timezone(&self.0).format("%Y-%m-%d %H:%M:%S %:z").to_string(),
            None => at.to_string(),
        }
    }

    /// The day on which a moment falls in this zone. Moments outside the years 1 to 9999 fall on the nearest day inside.
    pub fn day(self, at: Timestamp) -> Day {
        // Within the years 1 to 9999, where every zone has a local time.
        let millis = at.millis().clamp(-62_135_510_400_000, 253_402_214_400_000);
        if self == Zone::UTC {
            // Without a calendar: it is asked with every send.
            return Day(Day::EPOCH.0 + millis.div_euclid(86_400_000) as i32);
        }
        let local = DateTime::<Utc>::from_timestamp_millis(millis).unwrap_or_default().with_timezone(&self.0);
        Day(local.date_naive().num_days_from_ce())
    }

    /// Reads a date and time with its offset, or a date, which begins at its midnight in this zone.
    ///
    /// # Errors
    /// `Invalid` for anything else.
    pub fn moment(self, text: &str) -> Result<Timestamp> {
        let moment = Timestamp::parse(text).or_else(|_| Day::parse(text).map(|day| self.midnight(day)));
        moment.map_err(|_| {
            let expected = "expected a date (2026-10-01), or a date and time with its offset (2026-10-01T12:00:00Z)";
            Error::invalid(format!("\"{text}\" is no moment; {expected}"))
        })
    }

    /// The first moment of a day in this zone: where midnight does not exist (clocks put forward over it), the first moment that does.
    pub fn midnight(self, day: Day) -> Timestamp {
        let midnight = day.date().and_time(NaiveTime::MIN);
        let first = (0..=4).find_map(|half_hours| {
            match self.0.from_local_datetime(&(midnight + chrono::Duration::minutes(30 * half_hours))) {
                LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => Some(time.timestamp_millis()),
                LocalResult::None => None,
            }
        });
        Timestamp(first.unwrap_or_else(|| midnight.and_utc().timestamp_millis()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_with_their_unit() {
        for (text, millis) in
            [("24h", 86_400_000), ("90m", 5_400_000), ("30s", 30_000), ("250ms", 250), ("7d", 604_800_000), ("0", 0)]
        {
            assert_eq!(Span::parse(text).unwrap().as_millis(), millis, "{text}");
        }
        for junk in ["", "24", "h", "-1h", "1.5h", "24 h", "1w", "99999999999999999999h", "9999999d"] {
            assert!(Span::parse(junk).is_err(), "{junk}");
        }
    }

    #[test]
    fn a_day_begins_at_midnight_of_the_accounts_zone() {
        let zone = Zone::parse("America/Sao_Paulo").unwrap();
        let first = zone.midnight(Day::new(2026, 10, 1));
        assert_eq!(first.to_string(), "2026-10-01T03:00:00.000Z");
        assert_eq!(zone.day(first), Day::new(2026, 10, 1));
        assert_eq!(zone.day(first - Span::millis(1)), Day::new(2026, 9, 30));
    }

    #[test]
    fn a_day_without_midnight_begins_when_the_clock_does() {
        let zone = Zone::parse("America/Asuncion").unwrap();
        let first = zone.midnight(Day::new(2023, 10, 1));
        assert_eq!(first.to_string(), "2023-10-01T04:00:00.000Z");
        assert_eq!(zone.day(first - Span::millis(1)), Day::new(2023, 9, 30));
    }

    #[test]
    fn a_day_of_utc_is_that_of_its_calendar() {
        let moments = [
            "1970-01-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-10-31T23:59:59Z",
            "2024-02-29T12:00:00Z",
            "0001-01-02T00:00:00Z",
        ];
        for moment in moments {
            assert_eq!(
                Zone::UTC.day(Timestamp::parse(moment).unwrap()),
                Day::parse(&moment[..10]).unwrap(),
                "{moment}"
            );
        }
        assert_eq!(
            Zone::UTC.day(Timestamp::from_millis(i64::MIN)),
            Zone::parse("Europe/Paris").unwrap().day(Timestamp::from_millis(i64::MIN))
        );
    }

    #[test]
    fn days_are_read_written_and_fall_into_months() {
        let day = Day::parse("2026-10-31").unwrap();
        assert_eq!((day.to_string().as_str(), day.month()), ("2026-10-31", Day::new(2026, 10, 1)));
        assert!(Day::parse("2026-13-01").is_err());
    }
}
