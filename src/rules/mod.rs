//! The rules: pure functions over facts. No clock, no I/O, no `unsafe`; time is an argument.
//!
//! [`ruleset`] is the data that distinguishes one published set of rules from another; the other modules hold no rule outside it.

pub mod charge;
pub mod closed;
pub mod contact;
pub mod conversation;
pub mod decision;
pub mod event;
pub mod ledger;
pub mod market;
pub mod message;
pub mod rate;
pub mod ruleset;
pub mod window;
