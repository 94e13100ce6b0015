//! The structs of `csw.h`, and how results of the gate become them.

use std::ffi::c_char;

use super::boundary::{self, Sized32};
use crate::error::{Code, Error, Result};
use crate::gate::inquiry::Expiring;
use crate::gate::recorder::Report;
use crate::gate::report::Row;
use crate::gate::{Checked, Decided, Token};
use crate::money::Amount;
use crate::party::{Business, Customer};
use crate::rules::conversation::Effect;
use crate::rules::event::{Category, Class, Event, EventKind};
use crate::time::Timestamp;
use crate::wire::record::{self, Stated};

/// What went wrong. Set size to sizeof(csw_error) before the call; written only when a call fails.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct csw_error {
    /// sizeof(csw_error), set by the caller.
    pub size: u32,
    /// The status that the call returned: a csw_code.
    pub code: i32,
    /// What is wrong, where, and what to do; UTF-8, closed with a zero byte, phone numbers redacted.
    pub message: [c_char; 512],
}

/// A customer's window at a moment. Set size before the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct csw_window {
    /// sizeof(csw_window), set by the caller.
    pub size: u32,
    /// A csw_state: open, closed, or unknown.
    pub state: i32,
    /// A csw_state: open or closed; an unknown state falls where the configuration says.
    pub branch: i32,
    /// A csw_reason: why.
    pub reason: i32,
    /// The first moment at which it is closed, the margin taken off, also when that has passed; Unix ms, 0 for none.
    pub expires_at: i64,
    /// The customer's last act that opens a window; Unix ms, 0 for none.
    pub last_act: i64,
    /// When the free entry point ends, if one is open; Unix ms, 0 for none.
    pub free_entry_expires_at: i64,
    /// How long it stays open from the moment that was asked for; ms, 0 when it is not.
    pub remaining_ms: i64,
}

/// The answer about a send. Plain bytes: it may be copied, and kept until the platform has answered. Set size before the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct csw_decision {
    /// sizeof(csw_decision), set by the caller.
    pub size: u32,
    /// A csw_verdict: whether the send may go out.
    pub verdict: i32,
    /// 1 when it would have been denied, were the number's mode not monitor.
    pub would_deny: i32,
    /// A csw_reason: why.
    pub reason: i32,
    /// A csw_class.
    pub message_class: i32,
    /// A csw_category; 0 for receipts.
    pub category: i32,
    /// 1 when the category is a guess.
    pub estimated: i32,
    /// A csw_conversation: what it would do; the order of commits decides in the end.
    pub conversation: i32,
    /// A csw_conversation_category; 0 for none.
    pub conversation_category: i32,
    /// A csw_charge; 0 for none (denied sends, receipts, reactions).
    pub charge: i32,
    /// A csw_charge_reason; 0 for none.
    pub charge_reason: i32,
    /// A csw_no_amount: why there is no amount; 0 where there is one, or no price at all.
    pub no_amount: i32,
    /// 1 when it is a billable template whose text could go out free-form for nothing, and the number asks to be told (prefer_free).
    pub prefer_free: i32,
    /// 1 when the body is to be given to csw_submit_keep once the platform has accepted it.
    pub keep: i32,
    /// Must be ignored.
    pub reserved: i32,
    /// How many bytes of token are used.
    pub token_length: u32,
    /// For which moment it was decided; Unix ms.
    pub at: i64,
    /// The business's phone number id as a number, also where the send named another number that stands for it.
    pub business: u64,
    /// The customer's window.
    pub window: csw_window,
    /// What it would cost by what is known now, as an exact decimal in currency; empty for none.
    pub amount: [c_char; 40],
    /// The least that it can come to: other than amount where that depends on the monthly free tier.
    pub lowest: [c_char; 40],
    /// The most that it can come to.
    pub highest: [c_char; 40],
    /// The currency that the number is billed in, such as EUR; empty for none.
    pub currency: [c_char; 4],
    /// The customer's market, such as india or rest_of_africa; empty where it cannot be told.
    pub market: [c_char; 44],
    /// The customer, redacted, for logs; empty for none.
    pub customer: [c_char; 40],
    /// What csw_settle needs to know of the send: for it alone to read, not for logs (the customer's name is in it).
    pub token: [u8; 768], // Token::MAX, which cbindgen cannot look up
}

/// Something that happened, to be recorded. Clear it (memset), set size, and set what the kind needs.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct csw_event {
    /// sizeof(csw_event), set by the caller.
    pub size: u32,
    /// A csw_event_kind from customer_message to failed; the others come from the platform alone (csw_ingest).
    pub kind: i32,
    /// The business's phone number id.
    pub business: *const c_char,
    /// Its length in bytes.
    pub business_length: usize,
    /// The customer: a phone number, a user id, or `group:<id>`.
    pub customer: *const c_char,
    /// Its length in bytes.
    pub customer_length: usize,
    /// The message's id; NULL for none. An event without an id is never recognised as repeated.
    pub id: *const c_char,
    /// Its length in bytes.
    pub id_length: usize,
    /// When it happened; Unix ms, 0 for now. The future is clamped to now.
    pub at: i64,
    /// business_message: a csw_class; 0 for free_form, or template when a category other than service is given.
    pub message_class: i32,
    /// business_message: a csw_category; 0 for service, or unknown for templates.
    pub category: i32,
    /// customer_message: 1 when the customer came through an entry point (a click on an ad or a call to action).
    pub entry_point: i32,
    /// Must be 0.
    pub reserved: i32,
    /// failed: the platform's error code; 131047 and 470 close the window.
    pub code: i64,
    /// business_message: the template's name; NULL for none.
    pub template_name: *const c_char,
    /// Its length in bytes.
    pub template_name_length: usize,
    /// business_message: the template's language, such as en_US; NULL for none.
    pub template_language: *const c_char,
    /// Its length in bytes.
    pub template_language_length: usize,
}

/// What recording did. Set size before the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct csw_recorded {
    /// sizeof(csw_recorded), set by the caller.
    pub size: u32,
    /// Events recorded.
    pub events: u32,
    /// Of them, those that had been recorded before and changed nothing.
    pub repeated: u32,
    /// Parts of a webhook that are none of csw's business.
    pub ignored: u32,
    /// Parts of a webhook that could not be read; the rest was recorded.
    pub unreadable: u32,
    /// A csw_conversation: what the (last) message of the business did.
    pub conversation: i32,
    /// A csw_conversation_category; 0 for none.
    pub conversation_category: i32,
    /// A csw_category; 0 for none.
    pub category: i32,
    /// The unreadable parts, each by its place, a line each, cut where the room ends; closed with a zero byte.
    pub unreadable_text: [c_char; 1024],
}

/// A row of a report. Fields that the report is not grouped by are 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct csw_report_row {
    /// sizeof(csw_report_row), set by the caller in the first row.
    pub size: u32,
    /// A csw_class.
    pub message_class: i32,
    /// A csw_category.
    pub category: i32,
    /// A csw_conversation_category.
    pub conversation_category: i32,
    /// A csw_charge_reason.
    pub charge_reason: i32,
    /// A csw_charge.
    pub charge: i32,
    /// A csw_basis: whether charges are estimated, or reported by the platform.
    pub basis: i32,
    /// Must be ignored.
    pub reserved: i32,
    /// The business's phone number id as a number.
    pub business: u64,
    /// Messages that went out.
    pub messages: i64,
    /// Conversations that they opened.
    pub conversations: i64,
    /// Charges that fell due and are nothing.
    pub free: i64,
    /// Charges that fell due and are something.
    pub billable: i64,
    /// Of all charges, those that the platform has reported; the others are estimated.
    pub reported: i64,
    /// Billable charges without an amount, since no rate is known for them.
    pub unpriced: i64,
    /// Sends that csw stopped.
    pub stopped: i64,
    /// Sends and messages that the platform refused.
    pub refused: i64,
    /// Parked messages that were given up.
    pub dropped: i64,
    /// What the charges come to, in millionths of the currency's unit, rounded half to even.
    pub amount_micros: i64,
    /// The day in the account's time zone, as 2026-10-01; empty when not grouped by day.
    pub day: [c_char; 16],
    /// The currency of the row's amount, such as EUR; empty where the numbers have none.
    pub currency: [c_char; 4],
    /// What the charges come to, as an exact decimal.
    pub amount: [c_char; 44],
    /// The market, such as india; empty when not grouped by market.
    pub market: [c_char; 48],
}

/// A window that is about to close.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct csw_expiring_window {
    /// sizeof(csw_expiring_window), set by the caller in the first row.
    pub size: u32,
    /// Must be ignored.
    pub reserved: i32,
    /// The business's phone number id as a number.
    pub business: u64,
    /// When it closes; Unix ms.
    pub expires_at: i64,
    /// The customer: a phone number, a user id, or `group:<id>`. Not for logs.
    pub customer: [c_char; 144],
}

/// What a gateway needs to know of the configuration. Set size before the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct csw_settings {
    /// sizeof(csw_settings), set by the caller.
    pub size: u32,
    /// A csw_fail: what happens to sends when csw itself has a fault.
    pub fail: i32,
    /// A csw_mode: what is done with a verdict for this number.
    pub mode: i32,
    /// 1 when the gateway may take the time from the header X-CSW-At.
    pub test_clock: i32,
    /// A csw_prefer_free: what is done about billable templates whose text could go out free-form for nothing.
    pub prefer_free: i32,
    /// Must be ignored.
    pub reserved: i32,
    /// The file that holds the number's access token, for sends that the gateway makes by itself: read it anew for each. Empty for none.
    pub token_file: [c_char; 1008],
}

// SAFETY: each is repr(C), its first field is its size, and its fields are numbers, arrays of bytes, and pointers that are only followed
// together with their lengths.
unsafe impl Sized32 for csw_error {
    const TEXT_AT: Option<usize> = Some(std::mem::offset_of!(csw_error, message));
}
// SAFETY: as above.
unsafe impl Sized32 for csw_window {}
// SAFETY: as above.
unsafe impl Sized32 for csw_decision {}
// SAFETY: as above.
unsafe impl Sized32 for csw_event {}
// SAFETY: as above.
unsafe impl Sized32 for csw_recorded {
    const TEXT_AT: Option<usize> = Some(std::mem::offset_of!(csw_recorded, unreadable_text));
}
// SAFETY: as above.
unsafe impl Sized32 for csw_report_row {
    const TEXT_AT: Option<usize> = Some(std::mem::offset_of!(csw_report_row, day));
}
// SAFETY: as above.
unsafe impl Sized32 for csw_expiring_window {
    const TEXT_AT: Option<usize> = Some(std::mem::offset_of!(csw_expiring_window, customer));
}
// SAFETY: as above.
unsafe impl Sized32 for csw_settings {
    const TEXT_AT: Option<usize> = Some(std::mem::offset_of!(csw_settings, token_file));
}

impl csw_window {
    pub(super) fn of(checked: &Checked, at: Timestamp) -> Self {
        let Checked { window, branch } = checked;
        csw_window {
            size: size_of::<Self>() as u32,
            state: window.state as i32,
            branch: *branch as i32,
            reason: window.reason as i32,
            expires_at: millis(window.expires_at),
            last_act: millis(window.last_act),
            free_entry_expires_at: millis(window.free_entry_expires_at),
            remaining_ms: window.remaining(at).as_millis(),
        }
    }
}

impl csw_decision {
    pub(super) fn of(decided: &Decided, window: csw_window) -> Result<Self> {
        let Decided { decision, business, at, customer, keep, token } = decided;
        let bytes = token.to_bytes()?;
        let mut token = [0; Token::MAX];
        let room = token.get_mut(..bytes.len()).ok_or_else(|| Error::new(Code::Internal, "the token is too long"))?;
        room.copy_from_slice(&bytes);
        let cost = &decision.cost;
        let written = |amount: Option<Amount>| amount.map_or([0; 40], |amount| text(&amount.to_string()));
        let amount = written(cost.amount);
        // Mostly they are one amount.
        let or_written = |other| if other == cost.amount { amount } else { written(other) };
        Ok(csw_decision {
            size: size_of::<Self>() as u32,
            verdict: decision.verdict as i32,
            would_deny: i32::from(decision.would_deny),
            reason: decision.reason as i32,
            message_class: decision.class as i32,
            category: decision.category.map_or(0, |category| category as i32),
            estimated: i32::from(decision.estimated),
            conversation: decision.placement.effect as i32,
            conversation_category: decision.placement.category.map_or(0, |category| category as i32),
            charge: decision.charged.charge.map_or(0, |charge| charge as i32),
            charge_reason: decision.charged.reason.map_or(0, |reason| reason as i32),
            no_amount: cost.no_amount.map_or(0, |why| why as i32),
            prefer_free: i32::from(decision.prefer_free),
            keep: i32::from(*keep),
            reserved: 0,
            token_length: bytes.len() as u32,
            at: at.millis(),
            business: business.number(),
            window,
            amount,
            lowest: or_written(cost.lowest),
            highest: or_written(cost.highest),
            currency: text(cost.currency.as_ref().map_or("", |currency| currency.code())),
            market: text(cost.market.map_or("", |market| market.word())),
            customer: text(&customer.as_ref().map(Customer::redacted).unwrap_or_default()),
            token,
        })
    }
}

impl csw_event {
    /// # Safety
    /// `event` and the strings in it are as the header's contract says.
    pub(super) unsafe fn read(event: *const csw_event) -> Result<Event> {
        // SAFETY: by the caller's word.
        let (event, business, customer, id, template) = unsafe {
            let event = boundary::read("event", event)?;
            let business = boundary::text("event->business", event.business, event.business_length)?;
            let customer = boundary::text("event->customer", event.customer, event.customer_length)?;
            let id = boundary::text("event->id", event.id, event.id_length)?;
            let name = boundary::text("event->template_name", event.template_name, event.template_name_length)?;
            let language =
                boundary::text("event->template_language", event.template_language, event.template_language_length)?;
            (event, business, customer, id, Some((name, language)).filter(|_| !name.is_empty()))
        };
        let known = |name: &str, number, found: bool| match found || number == 0 {
            true => Ok(()),
            false => Err(Error::invalid(format!("event->{name} is {number}, which is none of its values"))),
        };
        if event.reserved != 0 || !(0..=1).contains(&event.entry_point) {
            return Err(Error::invalid(
                "event->reserved must be 0 and event->entry_point 0 or 1; clear the struct first",
            ));
        }
        let kind = EventKind::from_number(event.kind);
        let (class, category) = (Class::from_number(event.message_class), Category::from_number(event.category));
        known("message_class", event.message_class, class.is_some())?;
        known("category", event.category, category.is_some())?;
        record::event(Stated {
            kind: kind
                .ok_or_else(|| Error::invalid(format!("event->kind is {}; it is a csw_event_kind", event.kind)))?,
            business,
            customer,
            id: Some(id).filter(|id| !id.is_empty()),
            at: super::moment(event.at),
            class,
            category,
            template,
            entry_point: event.entry_point != 0,
            code: Some(event.code).filter(|code| *code != 0),
        })
    }
}

impl csw_recorded {
    pub(super) fn of(report: &Report) -> Self {
        let placement = report.last.map(|applied| applied.placement);
        let mut recorded = csw_recorded {
            size: size_of::<Self>() as u32,
            events: report.events,
            repeated: report.repeated,
            ignored: report.ignored,
            unreadable: report.unreadable.len() as u32,
            conversation: placement.map_or(Effect::None, |placement| placement.effect) as i32,
            conversation_category: placement.and_then(|placement| placement.category).map_or(0, |value| value as i32),
            category: report.last.and_then(|applied| applied.category).map_or(0, |category| category as i32),
            unreadable_text: [0; 1024],
        };
        boundary::fill(&mut recorded.unreadable_text, &report.unreadable.join("\n"));
        recorded
    }
}

impl csw_report_row {
    pub(super) fn of(row: &Row) -> Self {
        csw_report_row {
            size: size_of::<Self>() as u32,
            message_class: row.group.class.map_or(0, |class| class as i32),
            category: row.group.category.map_or(0, |category| category as i32),
            conversation_category: row.group.conversation_category.map_or(0, |category| category as i32),
            charge_reason: row.group.charge_reason.map_or(0, |reason| reason as i32),
            charge: row.group.charge.map_or(0, |charge| charge as i32),
            basis: row.group.basis.map_or(0, |basis| basis as i32),
            reserved: 0,
            business: row.group.business.map_or(0, Business::number),
            messages: row.messages,
            conversations: row.conversations,
            free: row.free,
            billable: row.billable,
            reported: row.reported,
            unpriced: row.unpriced,
            stopped: row.stopped,
            refused: row.refused,
            dropped: row.dropped,
            amount_micros: row.amount.micros(),
            day: text(&row.group.day.map_or(String::new(), |day| day.to_string())),
            currency: text(row.group.currency.as_ref().map_or("", |currency| currency.code())),
            amount: text(&row.amount.to_string()),
            market: text(row.group.market.map_or("", |market| market.word())),
        }
    }
}

impl csw_expiring_window {
    pub(super) fn of(expiring: &Expiring) -> Self {
        csw_expiring_window {
            size: size_of::<Self>() as u32,
            reserved: 0,
            business: expiring.business.number(),
            expires_at: expiring.expires_at.millis(),
            customer: text(&expiring.customer.written()),
        }
    }
}

/// A text as an array that is closed with a zero byte.
pub(super) fn text<const N: usize>(text: &str) -> [c_char; N] {
    let mut array = [0; N];
    boundary::fill(&mut array, text);
    array
}

fn millis(at: Option<Timestamp>) -> i64 {
    at.map_or(0, Timestamp::millis)
}
