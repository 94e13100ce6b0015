//! Who talks to whom: the business's number and the customer, parsed once, matched the same way everywhere, and redacted in every `Debug`.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use arrayvec::ArrayString;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The longest customer text: `US.ENT.` and 128 characters, or a group id of that length.
pub const CUSTOMER_MAX: usize = 136;
/// Phone numbers as the platform writes them have no more digits than this (ITU-T E.164, 6.2.1).
const PHONE_MAX: usize = 15;
/// Test numbers and short codes are short; below this a number is a typing error.
const PHONE_MIN: usize = 3;

/// A business phone number id (`metadata.phone_number_id`), or a business's display number that stands for it.
///
/// Parsed from digits; a leading `+` and the usual phone punctuation are dropped, so a display number may be given as the platform shows it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Business(u64);

impl Business {
    /// Reads a phone number id or a display number.
    ///
    /// # Errors
    /// `Invalid` when it holds anything but digits and phone punctuation, starts with 0, or has more than 19 digits.
    pub fn parse(text: &str) -> Result<Self> {
        let number = number(text).or_else(|| {
            let mut digits = ArrayString::<19>::new();
            if put_digits(text, &mut digits) { number(&digits) } else { None }
        });
        number.map(Business).ok_or_else(|| {
            Error::invalid(format!(
                "business {}: expected the phone number id, digits as in metadata.phone_number_id",
                quoted(text)
            ))
        })
    }

    /// The number itself, for keys and tables.
    pub fn number(self) -> u64 {
        self.0
    }

    /// From a number that [`Business::number`] gave.
    pub fn from_number(number: u64) -> Self {
        Business(number)
    }
}

impl fmt::Display for Business {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A business number is no secret, but it is a phone number: the middle is hidden.
impl fmt::Debug for Business {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redacted(&self.0.to_string()))
    }
}

/// What a [`Customer`] is named by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum Kind {
    /// A phone number (`wa_id`, `from`).
    Phone = 1,
    /// A business-scoped user id (`user_id`), of the business portfolio or its parent.
    User = 2,
    /// A group (`group_id`), written `group:<id>` in this API.
    Group = 3,
}

/// The other side of a conversation: a person by phone or by user id, or a group.
///
/// Phone numbers are compared by their digits alone. [`Customer::folded`] brings the spellings of one mobile number together.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Customer {
    kind: Kind,
    text: ArrayString<CUSTOMER_MAX>,
}

impl Customer {
    /// Reads a phone number (`+`, spaces, `-`, `(`, `)`, `.` allowed), a user id (`US.1349...`), or `group:<id>`.
    ///
    /// # Errors
    /// `Invalid`, with the value redacted, for anything else; a guess could open a stranger's window.
    pub fn parse(text: &str) -> Result<Self> {
        // As most are written.
        if is_digits(text) {
            return Self::phone(text);
        }
        let text = text.trim();
        match text.strip_prefix("group:") {
            Some(id) => Self::group(id),
            None if is_user_id(text) => Ok(Customer { kind: Kind::User, text: fitted(text)? }),
            None => Self::phone(text),
        }
    }

    /// A group by its id.
    ///
    /// # Errors
    /// `Invalid` when the id is empty, longer than 128 characters, or holds spaces or control characters.
    pub fn group(id: &str) -> Result<Self> {
        let plain = (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
        if !plain {
            return Err(Error::invalid(format!("group id {}: expected 1 to 128 visible characters", quoted(id))));
        }
        Ok(Customer { kind: Kind::Group, text: fitted(id)? })
    }

    /// The customer that a kind's number and a text of [`Customer::text`] stand for.
    pub(crate) fn of_kind(kind: u8, text: &str) -> Option<Self> {
        let kind = [Kind::Phone, Kind::User, Kind::Group].into_iter().find(|known| *known as u8 == kind)?;
        Some(Customer { kind, text: fitted(text).ok()? })
    }

    fn phone(text: &str) -> Result<Self> {
        // Filled in place: it is large to be handed on.
        let mut customer = Customer { kind: Kind::Phone, text: ArrayString::new() };
        if put_digits(text, &mut customer.text) && (PHONE_MIN..=PHONE_MAX).contains(&customer.text.len()) {
            return Ok(customer);
        }
        Err(Error::invalid(format!(
            "customer {}: expected a phone number of {PHONE_MIN} to {PHONE_MAX} digits, a user id like US.1349, or group:<id>",
            quoted(text)
        )))
    }

    /// What the customer is named by.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The whole name, as matched: digits, a user id, or a group id without its prefix. Not for logs.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The name as this API writes it: the text, and `group:` before a group's.
    pub fn written(&self) -> String {
        match self.kind {
            Kind::Group => format!("group:{}", self.text),
            Kind::Phone | Kind::User => self.text.to_string(),
        }
    }

    /// The matching key: the spellings of one mobile number meet in one.
    ///
    /// Brazil with and without the ninth digit (only before 6 to 9: below that the shorter number is a landline), Mexico `521` and `52`,
    /// Argentina `549` and `54` (that a bare 54 number may be a landline is accepted). Everything else stays as it is.
    #[must_use]
    pub fn folded(self) -> Self {
        self.as_folded().into_owned()
    }

    /// Where the spelling under which a mobile number meets its others leaves something out, if it does.
    fn left_out(&self) -> Option<Range<usize>> {
        if self.kind != Kind::Phone || self.text.len() != 13 {
            return None;
        }
        match self.text.as_bytes() {
            [b'5', b'5', _, _, b'9', b'6'..=b'9', ..] => Some(4..5),
            [b'5', b'2', b'1', ..] | [b'5', b'4', b'9', ..] => Some(2..3),
            _ => None,
        }
    }

    /// The matching key, lent where the customer is written as it.
    pub fn as_folded(&self) -> Cow<'_, Self> {
        let Some(left_out) = self.left_out() else { return Cow::Borrowed(self) };
        let mut text = ArrayString::new();
        text.push_str(&self.text[..left_out.start]);
        text.push_str(&self.text[left_out.end..]);
        Cow::Owned(Customer { kind: self.kind, text })
    }

    /// The name for a log line: [`redacted`].
    pub fn redacted(&self) -> String {
        match self.kind {
            Kind::Group => format!("group:{}", redacted(&self.text)),
            Kind::Phone | Kind::User => redacted(&self.text),
        }
    }

    /// Whether this is the user id of a parent portfolio (`US.ENT.1181...`).
    pub fn is_parent_id(&self) -> bool {
        self.kind == Kind::User && self.text.get(3..7) == Some("ENT.")
    }
}

/// Phone numbers and ids are personal: only the first and last characters are shown.
impl fmt::Debug for Customer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

/// Whether the text is a business-scoped user id: a country, a dot, and up to 128 letters and digits, with `ENT.` between for a parent portfolio's
/// (Meta, Business-scoped user IDs).
pub fn is_user_id(text: &str) -> bool {
    let Some((country, rest)) = text.split_once('.') else { return false };
    let id = rest.strip_prefix("ENT.").unwrap_or(rest);
    country.len() == 2
        && country.bytes().all(|byte| byte.is_ascii_uppercase())
        && (1..=128).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// A value for an error or a log line: the first two and the last two characters, the rest as `*`; short values are hidden whole.
pub fn redacted(text: &str) -> String {
    let length = text.chars().count();
    let shown = |index: usize| length >= 8 && (index < 2 || index + 2 >= length);
    let stars = |(index, letter): (usize, char)| if shown(index) && !letter.is_control() { letter } else { '*' };
    // Room for most at once: each send is logged.
    let mut hidden = String::with_capacity(32);
    hidden.extend(text.chars().enumerate().take(24).map(stars));
    hidden
}

fn quoted(text: &str) -> String {
    if text.is_empty() { "\"\" (empty)".into() } else { format!("\"{}\"", redacted(text)) }
}

/// Puts the digits of a phone number into a text: an optional `+` first, then digits and punctuation. False for anything else, and for more digits than
/// have room.
fn put_digits<const N: usize>(text: &str, into: &mut ArrayString<N>) -> bool {
    if is_digits(text) {
        return into.try_push_str(text).is_ok();
    }
    text.strip_prefix('+').unwrap_or(text).chars().all(|letter| match letter {
        '0'..='9' => into.try_push(letter).is_ok(),
        ' ' | '-' | '(' | ')' | '.' => true,
        _ => false,
    })
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|letter| letter.is_ascii_digit())
}

/// The number of 1 to 19 digits without a leading zero, which 64 bits hold.
fn number(digits: &str) -> Option<u64> {
    if !(1..=19).contains(&digits.len()) || digits.starts_with('0') {
        return None;
    }
    let append = |number, digit: u8| digit.is_ascii_digit().then(|| 10 * number + u64::from(digit - b'0'));
    digits.bytes().try_fold(0, append)
}

fn fitted(text: &str) -> Result<ArrayString<CUSTOMER_MAX>> {
    ArrayString::from(text)
        .map_err(|_| Error::invalid(format!("customer {}: longer than {CUSTOMER_MAX} characters", quoted(text))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> String {
        Customer::parse(text).unwrap().folded().written()
    }

    #[test]
    fn spellings_of_one_number_meet_in_one_key() {
        let table = [
            // spelling, key, why
            ("+55 11 98765-4321", "551187654321", "Brazil: the ninth digit is dropped"),
            ("551187654321", "551187654321", "Brazil: written without it"),
            ("5511945678901", "5511945678901", "Brazil: 4 after the 9 was never an eight-digit mobile"),
            ("551133334444", "551133334444", "Brazil: a landline"),
            ("5215512345678", "525512345678", "Mexico: 521 is 52"),
            ("+52 (55) 1234-5678", "525512345678", "Mexico: written without the 1"),
            ("5491123456789", "541123456789", "Argentina: 549 is 54"),
            ("541123456789", "541123456789", "Argentina: written without the 9"),
            ("+44 7700 900123", "447700900123", "everyone else keeps every digit"),
            ("16505551234", "16505551234", ""),
            ("5219", "5219", "too short to be a Mexican mobile"),
            ("US.5215512345678", "US.5215512345678", "a user id is never touched"),
            ("group:5215512345678", "group:5215512345678", "nor is a group"),
        ];
        for (spelling, key, why) in table {
            assert_eq!(folded(spelling), key, "{spelling}: {why}");
        }
    }

    #[test]
    fn kinds_are_told_apart() {
        let table = [
            ("16505551234", Kind::Phone),
            (" 5678 ", Kind::Phone),
            ("US.13491208655302741918", Kind::User),
            ("US.ENT.11815799212886844830", Kind::User),
            ("US.ENT", Kind::User),
            ("group:Y2FwaV9ncm91cDox", Kind::Group),
        ];
        for (text, kind) in table {
            assert_eq!(Customer::parse(text).unwrap().kind(), kind, "{text}");
        }
        assert!(Customer::parse("US.ENT.11815799212886844830").unwrap().is_parent_id());
        assert!(!Customer::parse("US.ENTERPRISE").unwrap().is_parent_id());
    }

    #[test]
    fn junk_is_refused_and_not_shown() {
        let forty = "1".repeat(40);
        let long = format!("US.{}", "a".repeat(129));
        let junk = [
            "",
            " ",
            "+",
            "12",
            "letters",
            "whatsapp:+447700900123",
            "+44 7700 900123x",
            "us.123",
            "USA.123",
            "US.",
            "US.12 3",
            "US.12_3",
            "group:",
            "group:with space",
            "1\u{0}2345",
            "\u{661}\u{662}\u{663}\u{664}",
            &forty,
            &long,
        ];
        for text in junk {
            let error = Customer::parse(text).unwrap_err();
            assert_eq!(error.code(), crate::error::Code::Invalid);
            assert!(!error.message().contains("7700900123"), "{error}");
        }
        for text in ["", "0123", "abc", "12345678901234567890", "US.123"] {
            assert!(Business::parse(text).is_err(), "{text}");
        }
        assert_eq!(Business::parse("+1 (555) 078-3881").unwrap(), Business::from_number(15550783881));
    }

    #[test]
    fn debug_never_shows_a_whole_name() {
        let shown = format!(
            "{:?} {:?} {:?}",
            Customer::parse("447700900123").unwrap(),
            Customer::parse("US.13491208655302741918").unwrap(),
            Business::parse("106540352242922").unwrap()
        );
        assert_eq!(shown, "44********23 US*******************18 10***********22");
    }
}
