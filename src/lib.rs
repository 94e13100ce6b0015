//! The customer service window for messaging gateways: may this WhatsApp message go out now, which conversation does it open, and what is
//! charged for it?
//!
//! The house has five floors; a file uses files of its own floor or below:
//!
//! 5. the doors, which translate and decide nothing: `capi` (C), `lua` (PUC Lua), and the operator's command
//! 4. the running system: [`gate`], with its recorder, configuration, catalogue and reports
//! 3. the outside: [`wire`], the platform's bodies as events and sends; [`store`], where the facts are kept
//! 2. the rules: [`rules`], pure functions over facts; time is an argument
//! 1. the words: [`words`], [`party`], [`time`], [`error`]
//!
//! A webhook becomes events, which the recorder applies to contacts in one transaction; a send becomes an
//! [`Outgoing`](rules::event::Outgoing), which the rules decide about from the contact's facts.
//!
//! ```
//! use csw::gate::Gate;
//! use csw::party::{Business, Customer};
//! use csw::rules::window::State;
//! use csw::time::Timestamp;
//!
//! let gate = Gate::open_text("store = \"memory:\"")?;
//! let (business, customer) = (Business::parse("106540352242922")?, Customer::parse("+1 650 555 1234")?);
//! assert_eq!(gate.check(business, &customer, Timestamp::now())?.window.state, State::Unknown);
//! # Ok::<(), csw::error::Error>(())
//! ```

#[macro_use]
pub mod words;

#[cfg(feature = "capi")]
pub mod capi;
pub mod error;
pub mod gate;
#[cfg(any(feature = "lua51", feature = "lua53", feature = "lua54"))]
mod lua;
pub mod money;
pub mod party;
pub mod rules;
pub mod store;
pub mod time;
pub mod wire;
