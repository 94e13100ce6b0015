//! Closed lists of words: the same in Rust, C, Lua, JSON and TOML.

/// A closed list of words, as configurations and reports read it.
pub trait Words: Copy + 'static {
    /// Every value, in the order of the numbers.
    const ALL: &'static [Self];

    /// The word for it.
    fn word(self) -> &'static str;
}

/// Gives an enum its closed list of words: `word()`, `from_word()`, `ALL`, and `from_number()` for the C door.
macro_rules! words {
    ($name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $crate::words::Words for $name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn word(self) -> &'static str {
                Self::word(self)
            }
        }

        impl $name {
            /// Every value, in the order of the numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word for it, the same in Lua, JSON, TOML and the log.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The same word for C, with its zero byte.
            pub const fn c_word(self) -> &'static std::ffi::CStr {
                let word = match self { $(Self::$variant => concat!($word, "\0")),+ };
                match std::ffi::CStr::from_bytes_with_nul(word.as_bytes()) {
                    Ok(word) => word,
                    Err(_) => c"",
                }
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
