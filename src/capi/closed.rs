//! The functions of `csw.h` for the closed branch: what to do in place of a denied send, what waits, and the metrics.

use std::ffi::c_char;

use super::boundary::{self, Sized32};
use super::structs::{csw_window, text};
use super::{CSW_OK, csw_decision, csw_error, csw_gate, moment, settled, submitted};
use crate::error::{Error, Result};
use crate::gate::parking::{Fate, Parcel, ParcelKind};
use crate::gate::recorder::Ticket;
use crate::gate::{Checked, Chosen, Does, Instead};
use crate::party::{Business, Customer};
use crate::store::codec::Body;
use crate::time::Timestamp;

/// What a step of the closed branch makes of a denied send. Set size before the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct csw_instead {
    /// sizeof(csw_instead), set by the caller.
    pub size: u32,
    /// A csw_step_kind.
    pub kind: i32,
    /// A csw_unfit: why the step cannot serve the send; 0 where it can. The next step is to be tried then.
    pub unfit: i32,
    /// Must be ignored.
    pub reserved: i32,
    /// The step as it is written in csw.toml, such as template:order_update; closed with a zero byte.
    pub step: [c_char; 80],
    /// Channels: where the gateway reaches it.
    pub location: [c_char; 256],
    /// Channels: the customer's phone number, its digits alone. Park: the customer as the send names them. Not for logs.
    pub to: [c_char; 592],
    /// Channels: a fresh id for the text.
    pub id: [c_char; 40],
    /// Templates: the decision about the body that is sent instead, to settle it with.
    pub decision: csw_decision,
}

/// A parked message, or something else that is to be sent. Plain bytes: it may be copied. Set size before the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct csw_parcel {
    /// sizeof(csw_parcel), set by the caller.
    pub size: u32,
    /// A csw_parcel_kind; 0 where there is nothing to do.
    pub kind: i32,
    /// How many messages of the customer wait, this one among them.
    pub waiting: u32,
    /// How many were given up for it.
    pub dropped: u32,
    /// Its number.
    pub id: u64,
    /// The business's phone number id as a number.
    pub business: u64,
    /// Until when who took it has it in hand; Unix ms.
    pub in_hand_until: i64,
    /// The kind of gateway that it is for.
    pub gateway: [c_char; 40],
    /// The customer: a phone number, a user id, or `group:<id>`. Not for logs.
    pub customer: [c_char; 144],
}

/// The send that a workflow's request comes to. Set size before the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct csw_choice {
    /// sizeof(csw_choice), set by the caller.
    pub size: u32,
    /// A csw_state: the branch, open or closed.
    pub branch: i32,
    /// 1 where the request asks for a later moment: nothing is to be sent now, and then it is to be asked again.
    pub forecast: i32,
    /// Must be ignored.
    pub reserved: i32,
    /// The business's phone number id as a number.
    pub business: u64,
}

// SAFETY: each is repr(C), its first field is its size, and its fields are numbers and arrays of bytes.
unsafe impl Sized32 for csw_instead {}
// SAFETY: as above.
unsafe impl Sized32 for csw_parcel {
    const TEXT_AT: Option<usize> = Some(std::mem::offset_of!(csw_parcel, customer));
}
// SAFETY: as above.
unsafe impl Sized32 for csw_choice {}

/// What the closed branch of a number makes of a denied send at its step of this index, counted from 0: call it with one index after the other until
/// a step can serve the send. The last step is always CSW_STEP_KIND_BLOCK.
///
/// A template's new body (JSON, for the endpoint of messages), or a channel's text, is copied to text where it fits into capacity; length says how
/// long it is, also where it does not fit and nothing was copied: give 128 KiB. text may be NULL when capacity is 0.
///
/// Errors: CSW_CODE_BODY and CSW_CODE_TOO_LARGE when the body cannot be read; CSW_CODE_INVALID, CSW_CODE_STORE, CSW_CODE_FORMAT, CSW_CODE_FORKED.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_instead_of(
    gate: *const csw_gate,
    business: *const c_char,
    business_length: usize,
    body: *const c_char,
    body_length: usize,
    at: i64,
    index: u32,
    instead: *mut csw_instead,
    text: *mut c_char,
    capacity: usize,
    length: *mut usize,
    error: *mut csw_error,
) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            let gate = boundary::gate(gate)?;
            let business = Business::parse(boundary::text("business", business, business_length)?)?;
            let (body, at) = (boundary::bytes("body", body, body_length)?, moment(at));
            let found = gate.instead(business, body, at, index as usize)?;
            let what = match &found.does {
                Ok(Does::Template { body, .. }) => body.as_slice(),
                Ok(Does::Channel { text, .. }) => text.as_bytes(),
                _ => &[],
            };
            boundary::size("instead", instead)?;
            boundary::copy("text", text, capacity, length, what)?;
            boundary::write("instead", instead, &csw_instead::of(&found, at)?)?;
            Ok(CSW_OK)
        })
    }
}

/// Parks a denied send until its customer's next act, and returns at once with a ticket for csw_poll; once that is CSW_OK, csw_parcel_of has its
/// number. body has at most 64 KiB. gateway names the kind of gateway that can send it later, such as "nginx". Blocks on nothing.
///
/// Errors: CSW_CODE_BODY, CSW_CODE_TOO_LARGE, and as csw_submit_record.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_submit_park(
    gate: *const csw_gate,
    gateway: *const c_char,
    gateway_length: usize,
    business: *const c_char,
    business_length: usize,
    body: *const c_char,
    body_length: usize,
    ticket: *mut u64,
    error: *mut csw_error,
) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            let gate = boundary::gate(gate)?;
            let business = Business::parse(boundary::text("business", business, business_length)?)?;
            let gateway = boundary::text("gateway", gateway, gateway_length)?;
            let body = boundary::bytes("body", body, body_length)?;
            submitted(ticket, || gate.submit_park(gateway, business, body.to_vec()))
        })
    }
}

/// Whether there is anything for a kind of gateway to take now (due is 1, else 0). One read of mapped memory, as cheap as csw_check.
///
/// Errors: CSW_CODE_INVALID, CSW_CODE_STORE, CSW_CODE_FORMAT, CSW_CODE_FORKED.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_due(
    gate: *const csw_gate,
    gateway: *const c_char,
    gateway_length: usize,
    due: *mut i32,
    error: *mut csw_error,
) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            let gateway = boundary::text("gateway", gateway, gateway_length)?;
            boundary::set("due", due, i32::from(boundary::gate(gate)?.is_due(gateway)?))?;
            Ok(CSW_OK)
        })
    }
}

/// Takes the next message that a kind of gateway parked and that may go out at a moment (Unix ms, 0 for now), or something else for it to send, and
/// returns at once with a ticket for csw_poll; once that is CSW_OK, csw_parcel_of has it.
///
/// Nothing is handed out twice. Say within a minute what became of it (csw_submit_return): a parked message of which nothing is heard for longer is
/// given up, and the customer's others wait for it until then. Blocks on nothing.
///
/// Errors: as csw_submit_record.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_submit_take(
    gate: *const csw_gate,
    gateway: *const c_char,
    gateway_length: usize,
    at: i64,
    ticket: *mut u64,
    error: *mut csw_error,
) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            let gate = boundary::gate(gate)?;
            let gateway = boundary::text("gateway", gateway, gateway_length)?;
            submitted(ticket, || gate.submit_take(gateway, moment(at)))
        })
    }
}

/// What a ticket of csw_submit_park or csw_submit_take that is done is about; its kind is 0 where there is nothing to do. What is to be sent is copied
/// to body as csw_instead_of does with text.
///
/// Errors: as csw_poll; CSW_CODE_INVALID while the ticket is not done.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_parcel_of(
    gate: *const csw_gate,
    ticket: u64,
    parcel: *mut csw_parcel,
    body: *mut c_char,
    capacity: usize,
    length: *mut usize,
    error: *mut csw_error,
) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            let found = boundary::gate(gate)?.parcel(Ticket::from_number(ticket))?;
            boundary::size("parcel", parcel)?;
            let what = found.as_ref().map_or(&[][..], |parcel| &parcel.body.0);
            boundary::copy("body", body, capacity, length, what)?;
            boundary::write("parcel", parcel, &csw_parcel::of(found.as_deref()))?;
            Ok(CSW_OK)
        })
    }
}

/// Says what became of a parcel that was taken: fate is a csw_fate. Returns at once with a ticket for csw_poll. Blocks on nothing.
///
/// Errors: as csw_submit_record.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_submit_return(
    gate: *const csw_gate,
    parcel: *const csw_parcel,
    fate: i32,
    ticket: *mut u64,
    error: *mut csw_error,
) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            let gate = boundary::gate(gate)?;
            let parcel = boundary::read("parcel", parcel)?;
            let none =
                |name: &str, number: i32| Error::invalid(format!("{name} is {number}, which is none of its values"));
            let kind = ParcelKind::from_number(parcel.kind).ok_or_else(|| none("parcel->kind", parcel.kind))?;
            let fate = Fate::from_number(fate).ok_or_else(|| none("fate", fate))?;
            let parcel = Parcel {
                kind,
                id: parcel.id,
                business: Business::from_number(parcel.business),
                customer: Customer::parse(&boundary::array(&parcel.customer)?)?,
                gateway: boundary::array(&parcel.gateway)?,
                in_hand_until: Timestamp::from_millis(parcel.in_hand_until),
                waiting: 0,
                dropped: 0,
                body: Body::default(),
            };
            submitted(ticket, || gate.submit_return(parcel, fate))
        })
    }
}

/// Keeps the body of a send that the platform accepted until its delivery is heard of, so that the closed branch can be run for it should the platform
/// refuse it after all (131047). For decisions whose keep is 1. Returns at once with a ticket for csw_poll. Blocks on nothing.
///
/// Errors: as csw_submit_record.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_submit_keep(
    gate: *const csw_gate,
    gateway: *const c_char,
    gateway_length: usize,
    decision: *const csw_decision,
    http_status: i32,
    response: *const c_char,
    response_length: usize,
    body: *const c_char,
    body_length: usize,
    ticket: *mut u64,
    error: *mut csw_error,
) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            let gate = boundary::gate(gate)?;
            let (token, status) = settled(decision, http_status)?;
            let response = boundary::bytes("response", response, response_length)?;
            let body = boundary::bytes("body", body, body_length)?;
            let gateway = boundary::text("gateway", gateway, gateway_length)?;
            submitted(ticket, || gate.submit_keep(gateway, token, status, response, body.to_vec()))
        })
    }
}

/// Chooses one of the two sends of a workflow's request by the customer's window: `{"business":, "customer":, "open": {...}, "closed": {...}}`, with
/// `"at"` (Unix ms) for a later moment. at is the time to go by (Unix ms, 0 for now). The chosen send is copied to body as csw_instead_of does
/// with text; it is still to be decided about.
///
/// Errors: CSW_CODE_BODY, naming the key at fault, and CSW_CODE_TOO_LARGE; CSW_CODE_INVALID, CSW_CODE_STORE, CSW_CODE_FORMAT, CSW_CODE_FORKED.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_choose(
    gate: *const csw_gate,
    request: *const c_char,
    request_length: usize,
    at: i64,
    choice: *mut csw_choice,
    body: *mut c_char,
    capacity: usize,
    length: *mut usize,
    error: *mut csw_error,
) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            let gate = boundary::gate(gate)?;
            let chosen = gate.choose(boundary::bytes("request", request, request_length)?, moment(at))?;
            boundary::size("choice", choice)?;
            boundary::copy("body", body, capacity, length, &chosen.body)?;
            boundary::write("choice", choice, &csw_choice::of(&chosen))?;
            Ok(CSW_OK)
        })
    }
}

/// What all processes of the host that share the store have done, in Prometheus's text format, copied to text as csw_instead_of does; 16 KiB are
/// enough.
///
/// Errors: CSW_CODE_INVALID, CSW_CODE_STORE, CSW_CODE_FORMAT, CSW_CODE_FORKED.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_metrics(
    gate: *const csw_gate,
    text: *mut c_char,
    capacity: usize,
    length: *mut usize,
    error: *mut csw_error,
) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            let metrics = boundary::gate(gate)?.metrics()?;
            boundary::copy("text", text, capacity, length, metrics.as_bytes())?;
            Ok(CSW_OK)
        })
    }
}

impl csw_instead {
    fn of(found: &Instead, at: crate::time::Timestamp) -> Result<Self> {
        // SAFETY: the struct is valid for all-zero bytes (Sized32).
        let nothing: csw_instead = unsafe { std::mem::zeroed() };
        let mut instead = csw_instead {
            kind: found.kind as i32,
            unfit: found.does.as_ref().err().map_or(0, |unfit| *unfit as i32),
            step: text(&found.step),
            ..nothing
        };
        match &found.does {
            Ok(Does::Template { decided, .. }) => {
                let window = Checked { window: decided.decision.window, branch: decided.decision.branch };
                instead.decision = csw_decision::of(decided, csw_window::of(&window, at))?;
            }
            Ok(Does::Channel { location, to, id, .. }) => {
                (instead.location, instead.to, instead.id) = (text(location), text(to), text(id));
            }
            Ok(Does::Park { to }) => instead.to = text(to),
            Ok(Does::Block) | Err(_) => {}
        }
        Ok(instead)
    }
}

impl csw_parcel {
    fn of(parcel: Option<&Parcel>) -> Self {
        let size = size_of::<Self>() as u32;
        match parcel {
            // SAFETY: the struct is valid for all-zero bytes (Sized32).
            None => csw_parcel { size, ..unsafe { std::mem::zeroed() } },
            Some(parcel) => csw_parcel {
                size,
                kind: parcel.kind as i32,
                waiting: parcel.waiting,
                dropped: parcel.dropped,
                id: parcel.id,
                business: parcel.business.number(),
                in_hand_until: parcel.in_hand_until.millis(),
                gateway: text(&parcel.gateway),
                customer: text(&parcel.customer.written()),
            },
        }
    }
}

impl csw_choice {
    fn of(chosen: &Chosen) -> Self {
        csw_choice {
            size: size_of::<Self>() as u32,
            branch: chosen.branch as i32,
            forecast: i32::from(chosen.is_forecast),
            reserved: 0,
            business: chosen.business.number(),
        }
    }
}
