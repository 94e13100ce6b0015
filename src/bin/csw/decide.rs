//! `csw decide`.

use std::path::PathBuf;

use clap::Args;

use csw::party::Business;
use csw::rules::decision::Verdict;
use csw::wire::send::Endpoint;

use crate::Desk;
use crate::arguments::{self, Name, When};
use crate::ending::{Done, Ended};
use crate::input;
use crate::output::Facts;
use crate::value::{Value, word};

/// Say whether a send may go out, and what it would open and cost. Nothing is recorded.
///
/// It reads the body of a send as it would be posted to the platform. The answer is no (exit code 3) when the gateway would stop it.
#[derive(Args)]
pub struct Decide {
    /// The phone number id, or the display number.
    #[arg(value_parser = Name(Business::parse))]
    business: Business,
    /// The body; `-` is standard input.
    #[arg(default_value = "-")]
    file: PathBuf,
    /// It is posted to `/marketing_messages`.
    #[arg(long)]
    marketing_messages: bool,
    /// As of this moment, also a future one: RFC 3339, a date, Unix seconds or milliseconds. Of the past it says what is known now would have
    /// meant then.
    #[arg(long, value_name = "WHEN", value_parser = When::parse)]
    at: Option<When>,
}

impl Decide {
    /// Answers for the send.
    pub fn run(self, desk: &mut Desk) -> Ended {
        let gate = desk.gate()?;
        let zone = arguments::zone(gate.config(), self.business);
        let at = arguments::at(self.at, zone);
        let endpoint = if self.marketing_messages { Endpoint::MarketingMessages } else { Endpoint::Messages };
        let body = input::whole(&self.file)?;
        let decision = gate.forecast(self.business, endpoint, &body, at)?.decision;
        let (placement, charged, cost) = (decision.placement, decision.charged, decision.cost);
        // Only what depends on the free tier can come to more or less.
        let is_range = cost.lowest.is_some() && cost.lowest != cost.highest;
        desk.output.facts(
            &Facts::default()
                .say("verdict", word(decision.verdict))
                .say_if(decision.would_deny, "would_deny", decision.would_deny)
                .say("reason", word(decision.reason))
                .say("class", word(decision.class))
                .say("category", decision.category.map(word))
                .say_if(decision.estimated, "category_estimated", decision.estimated)
                .say("conversation", word(placement.effect))
                .say("conversation_category", placement.category.map(word))
                .say("charge", charged.charge.map(word))
                .say("charge_reason", charged.reason.map(word))
                .say("amount", cost.amount)
                .say_if(is_range, "lowest", cost.lowest)
                .say_if(is_range, "highest", cost.highest)
                .say("no_amount", cost.no_amount.map(word))
                .say("currency", cost.currency)
                .say("market", cost.market)
                .say("at", Value::Moment(Some(at), zone))
                .say("state", word(decision.window.state))
                .say("branch", word(decision.branch))
                .say("expires_at", Value::Moment(decision.window.expires_at, zone)),
        )?;
        Ok(if decision.verdict == Verdict::Allow { Done::Yes } else { Done::No })
    }
}
