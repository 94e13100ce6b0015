//! `csw check`.

use clap::Args;

use csw::gate::Checked;
use csw::party::{Business, Customer};
use csw::rules::window::State;

use crate::Desk;
use crate::arguments::{self, Name, When};
use crate::ending::{Done, Ended};
use crate::output::Facts;
use crate::value::{Value, word};

/// Say whether a customer's window is open: may free-form messages go out?
///
/// The answer is no (exit code 3) in the closed branch: when the window is closed, or unknown while the configuration takes the unknown for
/// closed.
#[derive(Args)]
pub struct Check {
    /// The phone number id, or the display number.
    #[arg(value_parser = Name(Business::parse))]
    business: Business,
    /// The phone number, the user id (`US.1349...`), or `group:<id>`.
    #[arg(value_parser = Name(Customer::parse))]
    customer: Customer,
    /// As of this moment, also a future one: RFC 3339, a date, Unix seconds or milliseconds. Of the past it says what is known now would have
    /// meant then: only the newest act counts; `csw timeline` shows what was.
    #[arg(long, value_name = "WHEN", value_parser = When::parse)]
    at: Option<When>,
}

impl Check {
    /// Answers for the window.
    pub fn run(self, desk: &mut Desk) -> Ended {
        let gate = desk.gate()?;
        let zone = arguments::zone(gate.config(), self.business);
        let at = arguments::at(self.at, zone);
        let Checked { window, branch } = gate.check(self.business, &self.customer, at)?;
        let moment = |at| Value::Moment(at, zone);
        desk.output.facts(
            &Facts::default()
                .say("business", self.business)
                .say("customer", self.customer)
                .say("at", moment(Some(at)))
                .say("state", word(window.state))
                .say("branch", word(branch))
                .say("reason", word(window.reason))
                .say("expires_at", moment(window.expires_at))
                .say_if(window.state == State::Open, "remaining", window.remaining(at))
                .say("last_act", moment(window.last_act))
                .say("free_entry_expires_at", moment(window.free_entry_expires_at)),
        )?;
        Ok(if branch == State::Open { Done::Yes } else { Done::No })
    }
}
