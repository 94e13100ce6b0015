//! The customer service window for messaging gateways.
#![warn(missing_docs)]

pub mod error;
pub mod party;
pub mod rules;
pub mod store;
pub mod time;
