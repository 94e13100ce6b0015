//! One message of the business: its life cycle and its account.

use serde::{Deserialize, Serialize};

use crate::rules::charge::Charged;
use crate::rules::conversation::Placement;
use crate::rules::event::{Category, Class, Progress, Reported, Sending, Status};
use crate::time::Timestamp;

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
    /// Whether it was sent inside the customer service window.
    pub in_window: bool,
    /// What the platform reported, the first report winning field by field.
    pub reported: Reported,
    /// Its place among the month's service deliveries of the number, counted from 1, once it took one.
    pub tier_unit: Option<u32>,
    /// The conversation that it opens or joins.
    pub placement: Placement,
    /// When its charge falls due, once it does.
    pub due_at: Option<Timestamp>,
    /// The charge, once due.
    pub charge: Option<Charged>,
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
            in_window: false,
            reported: Reported::default(),
            tier_unit: None,
            placement: Placement::NONE,
            due_at: None,
            charge: None,
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
        if let Some(reported) = status.reported {
            let known = &mut self.reported;
            known.category = known.category.or(reported.category);
            known.billable = known.billable.or(reported.billable);
            known.free_entry_point |= reported.free_entry_point;
            known.expires_at = known.expires_at.or(reported.expires_at);
        }
    }

    /// Whether it is accounted: one that failed counts as never sent.
    pub fn counts(&self) -> bool {
        self.progress != Progress::Failed
    }

    /// Its class: what the send said, else what the platform's price says about it.
    pub fn class(&self) -> Class {
        match (self.sending, self.reported.category) {
            (Some(sending), _) => sending.class,
            (None, Some(Category::Service)) => Class::FreeForm,
            (None, Some(_)) => Class::Template,
            // Nothing is accounted on a guess: the price comes with a later status.
            (None, None) => Class::Receipt,
        }
    }

    /// Its category: what the platform reported, else what the send said.
    pub fn category(&self) -> Category {
        let said = self.sending.map_or(Category::Unknown, |sending| sending.category);
        self.reported.category.unwrap_or(said)
    }

    /// Whether the category is a guess that no report has replaced.
    pub fn is_estimated(&self) -> bool {
        self.reported.category.is_none() && self.sending.is_some_and(|sending| sending.estimated)
    }

    /// The moment whose rules hold for it: its delivery, until then its send.
    pub fn ruled_at(&self) -> Timestamp {
        self.delivered_at.unwrap_or(self.at)
    }
}
