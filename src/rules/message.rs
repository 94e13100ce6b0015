//! One message of the business: its life cycle and its account.

use serde::{Deserialize, Serialize};

use crate::money::Currency;
use crate::rules::charge::Bill;
use crate::rules::conversation::Placement;
use crate::rules::event::{Category, Class, Progress, Reported, Sending, Status};
use crate::rules::market::{Country, Market};
use crate::time::{Day, Timestamp, Zone};

/// That a message failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When.
    pub at: Timestamp,
    /// The platform's error code.
    pub code: Option<i64>,
}

/// A message of the business, by its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// When it was sent; for a message that never passed this gateway, the time of its first status.
    pub at: Timestamp,
    /// The order of recording, which decides between messages of one moment.
    pub sequence: u64,
    /// What the send itself said; `None` while only statuses were seen.
    pub sending: Option<Sending>,
    /// One member's copy of a group message, which is charged by itself and never counted as a message of its own.
    pub is_copy: bool,
    /// How far it came.
    pub progress: Progress,
    /// The first `delivered` or `read`.
    pub delivered_at: Option<Timestamp>,
    /// An act of the customer in whose window it was sent, if there is one: in whose does not matter.
    pub window_act: Option<Timestamp>,
    /// What the platform reported, the first report winning field by field.
    pub reported: Reported,
    /// The place of the report of its conversation in the order of recording.
    pub reported_in_turn: u64,
    /// Whether it was the first to report its conversation and so pays for it, where the platform counts conversations.
    pub starts_conversation: bool,
    /// The country of its customer, once it can be told.
    pub country: Option<Country>,
    /// The market of that country on the day of the charge.
    pub market: Option<Market>,
    /// Its place among the month's service deliveries of the number, counted from 1, once it took one.
    pub tier_unit: Option<u32>,
    /// Its place among the month's charged messages of its market and a category, counted from 1, once it took one: what volume tiers count.
    pub volume_unit: Option<(Category, u64)>,
    /// The conversation that it opens or joins.
    pub placement: Placement,
    /// When its charge falls due, once it does.
    pub due_at: Option<Timestamp>,
    /// The day of its send in the account's time zone.
    pub day: Day,
    /// The day of its charge.
    pub due_day: Option<Day>,
    /// The currency that the number was billed in.
    pub currency: Option<Currency>,
    /// The charge by our own reckoning, once due.
    pub estimate: Option<Bill>,
    /// The charge as the platform reported it, once due: it takes the estimate's place, and both are kept.
    pub report: Option<Bill>,
    /// When and why it failed.
    pub failure: Option<Failure>,
    /// The placement that was first given, which a repeated recording is told again.
    pub first: Placement,
}

impl Message {
    /// A message that was just heard of.
    pub fn new(at: Timestamp, sequence: u64, sending: Option<Sending>) -> Self {
        Message {
            at,
            sequence,
            sending,
            is_copy: false,
            progress: Progress::Accepted,
            delivered_at: None,
            window_act: None,
            reported: Reported::default(),
            reported_in_turn: 0,
            starts_conversation: false,
            country: None,
            market: None,
            tier_unit: None,
            volume_unit: None,
            placement: Placement::NONE,
            due_at: None,
            day: Zone::UTC.day(at),
            due_day: None,
            currency: None,
            estimate: None,
            report: None,
            failure: None,
            first: Placement::NONE,
        }
    }

    /// Takes in a status. Statuses may come late, twice, out of order and with steps left out; the furthest counts.
    pub fn apply(&mut self, status: &Status, at: Timestamp) {
        self.progress = self.progress.max(status.progress);
        if self.sending.is_none() {
            // Of a message that did not pass this gateway the earliest status is the best that is known of its send.
            self.at = self.at.min(at);
        }
        if status.progress >= Progress::Delivered {
            let first = self.delivered_at.map_or(at, |known| known.min(at));
            self.delivered_at = Some(first.max(self.at));
        }
        if status.progress == Progress::Failed && self.failure.is_none() {
            self.failure = Some(Failure { at, code: status.code });
        }
        if let Some(reported) = status.reported {
            let known = &mut self.reported;
            known.category = known.category.or(reported.category);
            known.billable = known.billable.or(reported.billable);
            known.free_entry_point |= reported.free_entry_point;
            known.expires_at = known.expires_at.or(reported.expires_at);
            known.model = known.model.or(reported.model);
            known.conversation = known.conversation.or(reported.conversation);
        }
    }

    /// Whether it is accounted: one that failed counts as never sent.
    pub fn counts(&self) -> bool {
        self.progress != Progress::Failed
    }

    /// Whether the books have lines of it as of one that was sent.
    pub fn is_accounted(&self) -> bool {
        self.counts() && self.class() != Class::Receipt
    }

    /// Its class: what the send said, else what the platform's price says about it.
    pub fn class(&self) -> Class {
        match (&self.sending, self.reported.category) {
            (Some(sending), _) => sending.class,
            (None, Some(Category::Service)) => Class::FreeForm,
            (None, Some(_)) => Class::Template,
            // Nothing is accounted on a guess: the price comes with a later status.
            (None, None) => Class::Receipt,
        }
    }

    /// Its category: what the platform reported, else what the send said.
    pub fn category(&self) -> Category {
        let said = self.sending.as_ref().map_or(Category::Unknown, |sending| sending.category);
        self.reported.category.unwrap_or(said)
    }

    /// The category that our own reckoning goes by: what the send said; the platform's where nothing was said.
    pub fn reckoned_category(&self) -> Category {
        self.sending.as_ref().map_or_else(|| self.category(), |sending| sending.category)
    }

    /// The placement that our own reckoning goes by: where the platform has moved the message into another category or a free entry point, the
    /// one it had before.
    pub fn reckoned_placement(&self) -> Placement {
        let is_moved = self.reported.free_entry_point || self.reckoned_category() != self.category();
        if is_moved { self.first } else { self.placement }
    }

    /// Whether the category is a guess that no report has replaced.
    pub fn is_estimated(&self) -> bool {
        self.reported.category.is_none() && self.sending.as_ref().is_some_and(|sending| sending.estimated)
    }

    /// Whether its charge is due and has no amount, since no rate was known for it.
    pub fn lacks_amount(&self) -> bool {
        [self.estimate, self.report].into_iter().flatten().any(|bill| bill.no_amount.is_some())
    }

    /// The moment whose rules hold for it: its delivery, until then its send.
    pub fn ruled_at(&self) -> Timestamp {
        self.delivered_at.unwrap_or(self.at)
    }
}
