//! The rules: pure functions over facts. No clock, no I/O, no `unsafe`; time is an argument.
//!
//! [`ruleset`] is the data that distinguishes one published set of rules from another; the other modules hold no rule outside it.

/// Gives an enum its closed list of words: `word()`, `from_word()`, `ALL`, and `from_number()` for the C door.
macro_rules! words {
    ($name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $name {
            /// Every value, in the order of the numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word for it, the same in Lua, JSON, TOML and the log.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The value for a word, if it is one of the list.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }

            /// The value for a number of `csw.h`, if it is one of the list.
            pub fn from_number(number: i32) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| *value as i32 == number)
            }
        }
    };
}

pub mod charge;
pub mod contact;
pub mod conversation;
pub mod decision;
pub mod event;
pub mod ledger;
pub mod message;
pub mod ruleset;
pub mod window;
