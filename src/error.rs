//! The one error of the crate: a stable code for programs and a sentence for people.

use std::fmt;

/// What kind of fault a call reports. The numbers are negative and never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
#[non_exhaustive]
pub enum Code {
    /// An argument is missing or malformed (a junk customer, a null pointer, a closed handle).
    Invalid = -1,
    /// The configuration cannot be used; the message names the key.
    Config = -2,
    /// The body of a send cannot be read; a gateway answers 400 and never forwards it.
    Body = -3,
    /// The body of a webhook is not JSON; a gateway answers 400.
    NotJson = -4,
    /// The webhook's signature does not match any configured secret, or none is configured; a gateway answers 401.
    Signature = -5,
    /// A body is larger than 3 MiB or nested deeper than 32 levels; a gateway answers 413.
    TooLarge = -6,
    /// The recorder's queue is full; nothing was taken, try again. A gateway answers 503.
    Busy = -7,
    /// The ticket's deadline passed: the outcome is unknown, and repeating is harmless.
    Timeout = -8,
    /// The ticket's outcome is too old to be remembered.
    Expired = -9,
    /// The store was used before this process was forked; use it first after the fork.
    Forked = -10,
    /// The store failed; the message says what to do. Nothing was recorded.
    Store = -11,
    /// The store is not ours, damaged, or written by a newer version; it was left as it is.
    Format = -12,
    /// A fault inside csw that was caught at its boundary; the host goes on.
    Internal = -13,
}

words!(Code {
    Invalid = "invalid",
    Config = "config",
    Body = "body",
    NotJson = "not_json",
    Signature = "signature",
    TooLarge = "too_large",
    Busy = "busy",
    Timeout = "timeout",
    Expired = "expired",
    Forked = "forked",
    Store = "store",
    Format = "format",
    Internal = "internal",
});

/// A fault: what is wrong, where, and what to do about it. Phone numbers in it are redacted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    code: Code,
    message: String,
}

/// A result whose fault is an [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of the given kind.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Error { code, message: message.into() }
    }

    /// A malformed argument.
    pub fn invalid(message: impl Into<String>) -> Self {
        Error::new(Code::Invalid, message)
    }

    /// The kind of fault.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The sentence for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The same error with the place where it arose in front of it.
    #[must_use]
    pub fn at(self, place: impl fmt::Display) -> Self {
        Error { code: self.code, message: format!("{place}: {}", self.message) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
