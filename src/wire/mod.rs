//! The platform's bytes: webhooks, sends and their answers, signatures. Here they become words of the rules, and nowhere else.

pub mod bill;
pub mod instead;
pub mod record;
pub mod send;
pub mod signature;
pub mod templates;
pub mod webhook;

use std::borrow::Cow;
use std::fmt;

use serde_json_borrow::{Map, Value};

use crate::error::{Code, Error, Result};
use crate::party::{Customer, Kind};

/// The largest body that is read: the platform's own limit for webhooks (Meta, Webhooks).
const SIZE_MAX: usize = 3 << 20;
/// The deepest body that is read; the platform's own have about a dozen levels.
const DEPTH_MAX: usize = 32;

/// Refuses a body that is larger than [`SIZE_MAX`] or nested deeper than [`DEPTH_MAX`].
fn check_limits(bytes: &[u8]) -> Result<()> {
    check_size(bytes)?;
    // So few brackets cannot be nested deeper: this is enough for nearly all that comes.
    if memchr::memchr2_iter(b'{', b'[', bytes).nth(DEPTH_MAX).is_none() {
        return Ok(());
    }
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => depth += 1,
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(Error::new(Code::TooLarge, format!("the body is nested deeper than {DEPTH_MAX} levels")));
        }
    }
    Ok(())
}

/// Refuses a body that is larger than [`SIZE_MAX`].
pub(crate) fn check_size(bytes: &[u8]) -> Result<()> {
    if bytes.len() > SIZE_MAX {
        return Err(Error::new(Code::TooLarge, format!("the body is larger than {SIZE_MAX} bytes")));
    }
    Ok(())
}

/// What was read, or its place, what was expected there, and what was found.
type Read<T> = std::result::Result<T, String>;

/// A value of a body that knows its place in it. `null` counts as absent.
#[derive(Clone, Copy)]
struct Node<'p, 'v> {
    value: Option<&'v Value<'v>>,
    place: Option<(&'p Node<'p, 'v>, Step)>,
}

#[derive(Clone, Copy)]
enum Step {
    Key(&'static str),
    Index(usize),
}

impl<'p, 'v> Node<'p, 'v> {
    /// The body itself.
    fn root(body: &'v Value<'v>) -> Self {
        Node { value: Some(body), place: None }
    }

    /// What stands under a key; absent, too, where this is no object.
    fn get<'n>(&'n self, key: &'static str) -> Node<'n, 'v> {
        // Of a key that stands twice the last one counts, as in most readers of JSON.
        let members = self.value.and_then(Value::as_object).map_or(&[][..], |object| object.as_vec());
        let member = members.iter().rev().find(|(name, _)| *name == key);
        let value = member.map(|(_, value)| value).filter(|value| !value.is_null());
        Node { value, place: Some((self, Step::Key(key))) }
    }

    /// The members of an object; none where this is no object.
    fn members(&self) -> impl Iterator<Item = (&'v str, &'v Value<'v>)> {
        self.value.and_then(Value::as_object).into_iter().flat_map(Map::iter)
    }

    /// The elements of a list; none where this is no list.
    fn items<'n>(&'n self) -> impl Iterator<Item = Node<'n, 'v>> {
        let items = self.value.and_then(Value::as_array).into_iter().flatten();
        items.enumerate().map(|(index, value)| Node { value: Some(value), place: Some((self, Step::Index(index))) })
    }

    fn exists(&self) -> bool {
        self.value.is_some()
    }

    fn text(&self) -> Option<&'v str> {
        self.value.and_then(Value::as_str)
    }

    /// A text, or a whole number in digits: what is written one way in one payload is written the other way in the next.
    fn digits_or_text(&self) -> Option<Cow<'v, str>> {
        match self.value? {
            Value::Str(text) => Some(Cow::Borrowed(text)),
            Value::Number(number) => number.as_u64().map(|number| Cow::Owned(number.to_string())),
            _ => None,
        }
    }

    /// A whole number, also as text, and without its fraction.
    fn integer(&self) -> Option<i64> {
        match self.value? {
            Value::Str(text) => {
                let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
                whole.parse().ok().filter(|_| fraction.bytes().all(|digit| digit.is_ascii_digit()))
            }
            value => value.as_i64().or_else(|| value.as_f64().map(|number| number as i64)),
        }
    }

    /// A phone number or a user id: nobody is called `group:...` in the platform's own fields.
    fn person(&self) -> Read<Customer> {
        let nobody = || format!("{self}: expected a phone number or a user id");
        let text = self.digits_or_text().ok_or_else(nobody)?;
        match Customer::parse(&text) {
            Ok(name) if name.kind() == Kind::Group => Err(nobody()),
            read => read.map_err(|error| self.blame(&error)),
        }
    }

    /// A group by its bare id. What stands there instead may be somebody's number.
    fn group(&self) -> Read<Customer> {
        let id = self.digits_or_text().ok_or_else(|| format!("{self}: expected a group id"))?;
        Customer::group(&id).map_err(|error| self.blame(&error))
    }

    /// Says that something else was expected here. The value is shown: not for names of people.
    fn fault(&self, expected: &str) -> String {
        let found = match self.value {
            None => "nothing".into(),
            Some(Value::Str(text)) => shortened(text),
            Some(Value::Array(_)) => "a list".into(),
            Some(Value::Object(_)) => "an object".into(),
            Some(plain) => plain.to_string(),
        };
        format!("{self}: expected {expected}, found {found}")
    }

    /// Says what is wrong with the value here.
    fn blame(&self, error: &Error) -> String {
        format!("{self}: {error}")
    }
}

/// The place, as `entry[0].changes[2].value`.
impl fmt::Display for Node<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            None => Ok(()),
            Some((Node { place: None, .. }, Step::Key(key))) => f.write_str(key),
            Some((parent, Step::Key(key))) => write!(f, "{parent}.{key}"),
            Some((parent, Step::Index(index))) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// The beginning of a text in quotes, for an error.
fn shortened(text: &str) -> String {
    let beginning: String = text.chars().take(24).collect();
    format!("{beginning:?}")
}
