//! The words that people write: names, moments, days, spans, amounts. What was read is written in a way that reads the same, and no name is shown
//! whole.

use csw::error::Error;
use csw::money::{Amount, Currency};
use csw::party::{Business, Customer, is_user_id, redacted};
use csw::rules::market::{Country, Market};
use csw::time::{Day, Span, Timestamp, Zone};

use super::{NOON, check_hidden};

/// Reads a text as everything that it could be.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    check_hidden(&redacted(text), text.chars().count());
    match Customer::parse(text) {
        Ok(customer) => check_customer(customer),
        Err(error) => check_error(&error),
    }
    match Business::parse(text) {
        Ok(business) => {
            assert_eq!(Business::parse(&business.to_string()), Ok(business));
            assert_eq!(Business::from_number(business.number()), business);
            check_hidden(&format!("{business:?}"), business.to_string().len());
        }
        Err(error) => check_error(&error),
    }
    check_words(text);
}

fn check_customer(customer: Customer) {
    assert_eq!(Customer::parse(&customer.written()), Ok(customer));
    let folded = customer.folded();
    assert_eq!(folded.folded(), folded);
    assert_eq!(Customer::parse(&folded.written()), Ok(folded));
    assert_eq!(folded.kind(), customer.kind());
    assert!(!customer.is_parent_id() || is_user_id(customer.text()));
    let shown = format!("{customer:?}");
    check_hidden(shown.strip_prefix("group:").unwrap_or(&shown), customer.text().len());
    if let Some(country) = Country::of(&customer) {
        assert_eq!(Country::parse(country.code()), Some(country));
        let market = Market::of(country, Zone::UTC.day(NOON));
        assert_eq!(Market::from_word(market.word()), Some(market));
    }
}

fn check_error(error: &Error) {
    assert!(longest_number(error.message()) < 5, "{error}");
    assert!(!error.message().contains(char::is_control), "{error:?}");
}

/// How many digits stand together at most: a name that is hidden shows two.
fn longest_number(text: &str) -> usize {
    text.split(|letter: char| !letter.is_ascii_digit()).map(str::len).max().unwrap_or_default()
}

fn check_words(text: &str) {
    if let Ok(amount) = Amount::parse(text) {
        assert_eq!(Amount::parse(&amount.to_string()), Ok(amount));
        let mut sum = amount.times(i64::MAX);
        sum += amount;
        let _ = (sum.micros(), -sum);
    }
    if let Ok(amount) = Amount::from_number(text) {
        assert_eq!(Amount::parse(&amount.to_string()), Ok(amount));
    }
    if let Ok(currency) = Currency::parse(text) {
        assert_eq!(Currency::parse(currency.code()), Ok(currency));
    }
    if let Ok(span) = Span::parse(text) {
        assert_eq!(Span::parse(&format!("{}ms", span.as_millis())), Ok(span));
    }
    if let Ok(day) = Day::parse(text) {
        assert_eq!(Day::parse(&day.to_string()), Ok(day));
        for zone in ["UTC", "America/Sao_Paulo", "Pacific/Apia"].map(|name| Zone::parse(name).expect("it is known")) {
            // Behind the year 9999 the calendar ends somewhere.
            let (midnight, next) = (zone.midnight(day), zone.midnight(day.next_month()));
            assert!(day.month() <= day && (midnight < next || day > Day::new(9999, 12, 31)), "{day}");
        }
    }
    if let Ok(moment) = Timestamp::parse(text) {
        assert_eq!(Timestamp::parse(&moment.to_string()), Ok(moment));
    }
    if let Ok(zone) = Zone::parse(text) {
        assert!(zone.moment(&zone.day(NOON).to_string()).is_ok_and(|midnight| midnight <= NOON));
        let _ = zone.local(NOON);
    }
}
