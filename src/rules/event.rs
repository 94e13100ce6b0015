//! What happened ([`Event`]), what is about to be sent ([`Outgoing`]), and their words.

use serde::{Deserialize, Serialize};

use crate::party::{Business, Customer};
use crate::rules::window::Reason;
use crate::time::Timestamp;

/// What kind of thing an event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum EventKind {
    /// The customer sent something.
    CustomerMessage = 1,
    /// The customer called, answered or not.
    CustomerCall = 2,
    /// The customer took a call from the business.
    CallAccepted = 3,
    /// The platform accepted a message of the business.
    BusinessMessage = 4,
    /// The platform sent it on.
    Sent = 5,
    /// It reached the customer's device.
    Delivered = 6,
    /// The customer saw it.
    Read = 7,
    /// It will not arrive.
    Failed = 8,
    /// A template was approved, paused, disabled, ...
    TemplateStatus = 9,
    /// A template's category changed.
    TemplateCategory = 10,
    /// A customer goes by another name now.
    Identity = 11,
}

words!(EventKind {
    CustomerMessage = "customer_message",
    CustomerCall = "customer_call",
    CallAccepted = "call_accepted",
    BusinessMessage = "business_message",
    Sent = "sent",
    Delivered = "delivered",
    Read = "read",
    Failed = "failed",
    TemplateStatus = "template_status",
    TemplateCategory = "template_category",
    Identity = "identity",
});

/// The class of a send: what the platform takes it for, by its whole body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(i32)]
pub enum Class {
    /// Anything that needs an open window.
    FreeForm = 1,
    /// An approved template, or a Direct Send with a template category.
    Template = 2,
    /// A reaction to a customer's message: needs a window, opens nothing, is free.
    Reaction = 3,
    /// A read receipt or a typing indicator: passes always.
    Receipt = 4,
    /// Something that this library does not know; counts as free-form.
    Unknown = 5,
}

words!(Class {
    FreeForm = "free_form",
    Template = "template",
    Reaction = "reaction",
    Receipt = "receipt",
    Unknown = "unknown",
});

/// The category of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(i32)]
pub enum Category {
    /// Promotions, offers, invitations.
    Marketing = 1,
    /// About an order, an account, an appointment.
    Utility = 2,
    /// One-time passcodes.
    Authentication = 3,
    /// One-time passcodes at the rate for senders from abroad.
    AuthenticationInternational = 4,
    /// Free-form messages.
    Service = 5,
    /// A template whose category nobody named: accounted as marketing and marked estimated.
    Unknown = 6,
}

words!(Category {
    Marketing = "marketing",
    Utility = "utility",
    Authentication = "authentication",
    AuthenticationInternational = "authentication_international",
    Service = "service",
    Unknown = "unknown",
});

/// What a customer did, as far as the window is concerned; [`Opens`](crate::rules::ruleset::Opens) says which of it opens one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Sent content: text, media, a location, contacts, a button or list reply, an order.
    Content,
    /// Called.
    Call,
    /// Took a call of the business.
    CallAccepted,
    /// Gave a reaction or took it back.
    Reaction,
    /// Sent a type that the platform does not support (131051).
    Unsupported,
    /// Sent something that the platform says is unavailable (131060).
    Unavailable,
    /// Edited an earlier message.
    Edit,
    /// Took an earlier message back.
    Revoke,
    /// Answered a request for call permission.
    CallPermission,
    /// Had a request for call permission answered automatically.
    CallPermissionAutomatic,
    /// Opened the chat for the first time.
    RequestWelcome,
    /// Sent a type that this library does not know.
    Unknown,
}

/// Where a customer's click came from (`referral.source_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `ad`.
    Ad,
    /// `post`.
    Post,
    /// The program that records the event says that it is an entry point.
    Stated,
    /// Anything else.
    Other,
}

/// How far a message has come. The order is the order of progress; a later status never takes an earlier one's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(i32)]
pub enum Progress {
    /// Taken by the platform.
    Accepted = 1,
    /// Sent on.
    Sent = 2,
    /// Given up, unless a device reports it after all.
    Failed = 3,
    /// On the customer's device.
    Delivered = 4,
    /// Seen.
    Read = 5,
}

words!(Progress { Accepted = "accepted", Sent = "sent", Failed = "failed", Delivered = "delivered", Read = "read" });

/// By what the platform counts (`pricing_model`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PriceModel {
    /// Conversations (`CBP`).
    Conversation,
    /// Delivered messages (`PMP`).
    Message,
}

/// What the platform reports about a message's price and conversation (`pricing`, `conversation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reported {
    /// `pricing.category`, where it is one of ours.
    pub category: Option<Category>,
    /// `pricing.billable`, or what `pricing.type` says of it.
    pub billable: Option<bool>,
    /// Whether the message went out in a free entry point (`referral_conversion`, `free_entry_point`).
    pub free_entry_point: bool,
    /// `conversation.expiration_timestamp`.
    pub expires_at: Option<Timestamp>,
    /// `pricing.pricing_model`.
    pub model: Option<PriceModel>,
    /// `conversation.id`, hashed: messages with the same one are paid for once, where conversations are counted.
    pub conversation: Option<[u8; 16]>,
}

/// A status of a message of the business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// How far the message came.
    pub progress: Progress,
    /// The platform's error code when it failed.
    pub code: Option<i64>,
    /// What the platform reports about the price.
    pub reported: Option<Reported>,
    /// Which member of a group it is about (`recipient_participant_id`): each copy is delivered and charged by itself.
    pub member: Option<Customer>,
}

/// Error codes that say that the window is closed: 131047, and 470 of the older platform (Meta, Error codes).
pub fn says_window_closed(code: i64) -> bool {
    code == 131_047 || code == 470
}

/// What happened between a business and a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The business's number.
    pub business: Business,
    /// The customer or group.
    pub customer: Customer,
    /// Other names that the same source gives the same customer.
    pub also: Vec<Customer>,
    /// When it happened, by the source's own account.
    pub at: Timestamp,
    /// The id of the message or call.
    pub id: Option<String>,
    /// What happened.
    pub what: What,
}

/// What an [`Event`] says happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The customer did something.
    Customer {
        /// What.
        act: Act,
        /// Where a click that brought them here came from.
        source: Option<Source>,
    },
    /// The platform accepted a message of the business.
    Business(Sending),
    /// A status of a message of the business.
    Status(Status),
    /// The platform refused a send at once.
    Refused {
        /// What was to be sent; `None` for receipts.
        sending: Option<Sending>,
        /// The platform's error code, where its answer could be read.
        code: Option<i64>,
    },
    /// csw stopped a send.
    Stopped {
        /// What was to be sent.
        sending: Sending,
        /// Why it was stopped.
        reason: Reason,
    },
    /// A customer goes by another name now: [`Event::also`] holds the new ones.
    Identity,
}

impl Event {
    /// The kind of event, by its word.
    pub fn kind(&self) -> EventKind {
        match &self.what {
            What::Customer { act: Act::Call, .. } => EventKind::CustomerCall,
            What::Customer { act: Act::CallAccepted, .. } => EventKind::CallAccepted,
            What::Customer { .. } => EventKind::CustomerMessage,
            What::Business(_) => EventKind::BusinessMessage,
            What::Status(status) => match status.progress {
                Progress::Accepted | Progress::Sent => EventKind::Sent,
                Progress::Delivered => EventKind::Delivered,
                Progress::Read => EventKind::Read,
                Progress::Failed => EventKind::Failed,
            },
            What::Refused { .. } | What::Stopped { .. } => EventKind::Failed,
            What::Identity => EventKind::Identity,
        }
    }
}

/// What accounting needs to know of a message of the business.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sending {
    /// Its class.
    pub class: Class,
    /// Its category; [`Category::Unknown`] is accounted as marketing.
    pub category: Category,
    /// Whether the category is a guess that the platform's report will replace.
    pub estimated: bool,
    /// The template, where it is one by name.
    pub template: Option<TemplateName>,
}

impl Sending {
    /// A send of this class and category, which is a guess where it is unknown.
    pub fn new(class: Class, category: Category) -> Self {
        Sending { class, category, estimated: category == Category::Unknown, template: None }
    }
}

/// A send that is about to go out, read from its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its class.
    pub class: Class,
    /// To whom; `None` for receipts, and where the body names nobody that can be read.
    pub customer: Option<Customer>,
    /// A business-scoped user id stands in `to`: the platform would drop the message silently.
    pub user_id_in_to: bool,
    /// The category that the body itself names (Direct Send, `marketing_messages`, free-form).
    pub category: Option<Category>,
    /// The template's name and language, if it is one.
    pub template: Option<TemplateName>,
}

/// A template by name and language.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TemplateName {
    /// Its name.
    pub name: String,
    /// Its language, as `en_US`: `-` is read as `_`.
    pub language: String,
}

impl TemplateName {
    /// A template by name and language; the platform writes `en-US` in some places and `en_US` in others.
    pub fn new(name: &str, language: &str) -> Self {
        TemplateName { name: name.to_owned(), language: language.replace('-', "_") }
    }
}

/// What the platform says of a business account rather than of a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The business account (`entry[].id`).
    pub account: u64,
    /// When it was said (`entry[].time`); `None` where the platform does not say.
    pub at: Option<Timestamp>,
    /// What it says.
    pub what: NoticeWhat,
}

/// What a [`Notice`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoticeWhat {
    /// A number belongs to the account and is displayed so.
    Number {
        /// The phone number id.
        business: Business,
        /// The display number, an alias of it.
        display: Option<Business>,
    },
    /// A template may or may not be sent now.
    TemplateStatus {
        /// Which.
        template: TemplateName,
        /// Whether it may be sent.
        approved: bool,
        /// Its category, if said.
        category: Option<Category>,
    },
    /// A template has another category now.
    TemplateCategory {
        /// Which.
        template: TemplateName,
        /// Its category now.
        category: Category,
    },
}
