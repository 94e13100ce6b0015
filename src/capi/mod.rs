//! The C door: the functions of `csw.h`, a few lines each. The contract they share stands at the top of the header (`cbindgen.toml`).
#![allow(non_camel_case_types)]

mod boundary;
mod closed;
mod inquiry;
mod names;
#[cfg(test)]
mod panics;
mod structs;

use std::ffi::c_char;
use std::path::Path;
use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::gate::recorder::{Outcome, Ticket};
use crate::gate::{Checked, Gate, TICKET_DEADLINE, Token};
use crate::party::{Business, Customer};
use crate::time::Timestamp;
use crate::wire::send::Endpoint;

pub use closed::{csw_choice, csw_instead, csw_parcel};
pub use structs::{
    csw_decision, csw_error, csw_event, csw_expiring_window, csw_recorded, csw_report_row, csw_settings, csw_window,
};

/// The call did what it says.
pub const CSW_OK: i32 = 0;
/// The ticket is not decided yet (csw_poll).
pub const CSW_PENDING: i32 = 1;
/// The major version of this interface; csw_abi_version() gives that of the library that was loaded.
pub const CSW_ABI_VERSION: u32 = 1;
/// The endpoint of a send: POST /{version}/{phone-number-id}/messages.
pub const CSW_ENDPOINT_MESSAGES: i32 = 0;
/// The endpoint of a send: POST /{version}/{phone-number-id}/marketing_messages.
pub const CSW_ENDPOINT_MARKETING_MESSAGES: i32 = 1;

/// A gate: a configuration and its store. Opaque, and no address: never look behind it.
///
/// Methods: csw_open, csw_open_text, csw_check, csw_decide, csw_record, csw_ingest, csw_settle, csw_submit_record, csw_submit_ingest,
/// csw_submit_settle, csw_poll, csw_wait, csw_flush, csw_event_fd, csw_report, csw_handshake, csw_settings_of, csw_instead_of,
/// csw_submit_park, csw_submit_take, csw_submit_return, csw_submit_keep, csw_parcel_of, csw_due, csw_choose, csw_metrics, csw_forget,
/// csw_submit_report, csw_report_rows, csw_submit_expiring, csw_expiring_rows, csw_submit_forget, csw_close.
pub struct csw_gate {
    _opaque: [u8; 0],
}

/// Opens a gate by its configuration file (csw.toml).
///
/// Reads and validates the configuration and its secrets, and nothing else: the store opens on first use in each process, so a gate opened
/// before a fork works in every child.
///
/// Errors: CSW_CODE_CONFIG names the file, the line and the key at fault; CSW_CODE_INVALID.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_open(
    path: *const c_char,
    path_length: usize,
    gate: *mut *mut csw_gate,
    error: *mut csw_error,
) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            let path = boundary::text("path", path, path_length)?;
            open(gate, || Gate::open(Path::new(path)))
        })
    }
}

/// Opens a gate by the text of a configuration; paths in it are relative to the working directory.
///
/// Errors: as csw_open.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_open_text(
    text: *const c_char,
    text_length: usize,
    gate: *mut *mut csw_gate,
    error: *mut csw_error,
) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            let text = boundary::text("text", text, text_length)?;
            open(gate, || Gate::open_text(text))
        })
    }
}

/// # Safety
/// `out` is null or can be written.
unsafe fn open(out: *mut *mut csw_gate, gate: impl FnOnce() -> Result<Gate>) -> Result<i32> {
    if out.is_null() {
        return Err(Error::invalid("gate is NULL; pass the address of a csw_gate *"));
    }
    let handle = boundary::handle(gate()?)?;
    // SAFETY: by the caller's word.
    unsafe { boundary::set("gate", out, handle) }?;
    Ok(CSW_OK)
}

/// Closes a gate. What was submitted is finished first, for at most two seconds. NULL, and a gate that is closed already, are ignored.
///
/// No other call may be using the gate, and none may use it afterwards.
#[unsafe(no_mangle)]
pub extern "C" fn csw_close(gate: *mut csw_gate) {
    boundary::close(gate);
}

/// A customer's window at a moment: may free-form messages go out?
///
/// One read of mapped memory: no lock, no system call. at is Unix ms, 0 for now; the future may be asked for.
///
/// Errors: CSW_CODE_INVALID for a business or customer that cannot be read; CSW_CODE_STORE, CSW_CODE_FORMAT, CSW_CODE_FORKED.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_check(
    gate: *const csw_gate,
    business: *const c_char,
    business_length: usize,
    customer: *const c_char,
    customer_length: usize,
    at: i64,
    window: *mut csw_window,
    error: *mut csw_error,
) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            let gate = boundary::gate(gate)?;
            let business = Business::parse(boundary::text("business", business, business_length)?)?;
            // Lent: it is large to be handed on.
            let customer = &Customer::parse(boundary::text("customer", customer, customer_length)?);
            let customer = customer.as_ref().map_err(Error::clone)?;
            let (checked, at) = match at {
                0 => gate.check_now(business, customer)?,
                at => (gate.check(business, customer, moment(at))?, moment(at)),
            };
            boundary::write("window", window, &csw_window::of(&checked, at))?;
            Ok(CSW_OK)
        })
    }
}

/// May this send go out, and what would it open and cost? body is what a client posts to the Cloud API: JSON, form fields, or either gzipped.
///
/// The platform must read what csw has read: forward the body alone, without message fields in the query, and with the Content-Type that it was
/// read as (JSON when it begins with a brace, else form fields).
///
/// Nothing is recorded. A denied send is a result, not an error. endpoint is one of CSW_ENDPOINT_*; at is Unix ms, 0 for now.
///
/// Errors: CSW_CODE_BODY and CSW_CODE_TOO_LARGE when the body cannot be read: never forward it; CSW_CODE_INVALID, CSW_CODE_STORE,
/// CSW_CODE_FORMAT, CSW_CODE_FORKED.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_decide(
    gate: *const csw_gate,
    business: *const c_char,
    business_length: usize,
    endpoint: i32,
    body: *const c_char,
    body_length: usize,
    at: i64,
    decision: *mut csw_decision,
    error: *mut csw_error,
) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            let gate = boundary::gate(gate)?;
            let business = Business::parse(boundary::text("business", business, business_length)?)?;
            let endpoint = match endpoint {
                CSW_ENDPOINT_MESSAGES => Endpoint::Messages,
                CSW_ENDPOINT_MARKETING_MESSAGES => Endpoint::MarketingMessages,
                other => return Err(Error::invalid(format!("endpoint is {other}; it is one of CSW_ENDPOINT_*"))),
            };
            let (body, at) = (boundary::bytes("body", body, body_length)?, moment(at));
            let decided = gate.decide(business, endpoint, body, at)?;
            let window = Checked { window: decided.decision.window, branch: decided.decision.branch };
            let decision_out = csw_decision::of(&decided, csw_window::of(&window, at))?;
            boundary::write("decision", decision, &decision_out)?;
            Ok(CSW_OK)
        })
    }
}

/// Records one event and waits until it is on disk. recorded may be NULL.
///
/// Errors: CSW_CODE_INVALID; CSW_CODE_BUSY when too much is waiting; CSW_CODE_TIMEOUT when the outcome is unknown (repeating is harmless
/// when the event has an id); CSW_CODE_STORE, CSW_CODE_FORMAT, CSW_CODE_FORKED.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_record(
    gate: *const csw_gate,
    event: *const csw_event,
    recorded: *mut csw_recorded,
    error: *mut csw_error,
) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            let gate = boundary::gate(gate)?;
            wait(gate, recorded, || gate.submit_record(csw_event::read(event)?))
        })
    }
}

/// Verifies, parses and records a webhook, and waits until its events are on disk. recorded may be NULL.
///
/// signature is the value of X-Hub-Signature-256, NULL when there is none. Event times after at (Unix ms, 0 for now) are clamped to it.
///
/// Errors: CSW_CODE_SIGNATURE (answer 401), CSW_CODE_NOT_JSON (400), CSW_CODE_TOO_LARGE (413), CSW_CODE_BUSY, CSW_CODE_TIMEOUT and
/// CSW_CODE_STORE (503: the platform repeats it), CSW_CODE_INVALID, CSW_CODE_FORMAT, CSW_CODE_FORKED.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_ingest(
    gate: *const csw_gate,
    bytes: *const c_char,
    bytes_length: usize,
    signature: *const c_char,
    signature_length: usize,
    at: i64,
    recorded: *mut csw_recorded,
    error: *mut csw_error,
) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            let gate = boundary::gate(gate)?;
            wait(gate, recorded, || ingest(gate, bytes, bytes_length, signature, signature_length, at))
        })
    }
}

/// Records what the platform answered to a send that csw_decide let pass, and waits until it is on disk. recorded may be NULL.
///
/// 2xx answers record the message under the id in the response; of all others only 131047 and 470 say something about the window.
///
/// Errors: as csw_record.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_settle(
    gate: *const csw_gate,
    decision: *const csw_decision,
    http_status: i32,
    response: *const c_char,
    response_length: usize,
    at: i64,
    recorded: *mut csw_recorded,
    error: *mut csw_error,
) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            let gate = boundary::gate(gate)?;
            wait(gate, recorded, || settle(gate, decision, http_status, response, response_length, at))
        })
    }
}

/// As csw_record, but returns at once with a ticket for csw_poll. Blocks on nothing.
///
/// Errors: CSW_CODE_INVALID, CSW_CODE_BUSY (nothing was taken), CSW_CODE_STORE, CSW_CODE_FORMAT, CSW_CODE_FORKED.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_submit_record(
    gate: *const csw_gate,
    event: *const csw_event,
    ticket: *mut u64,
    error: *mut csw_error,
) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            let gate = boundary::gate(gate)?;
            submitted(ticket, || gate.submit_record(csw_event::read(event)?))
        })
    }
}

/// As csw_ingest, but returns at once with a ticket for csw_poll: the bytes are copied, and verified by the recorder. Blocks on nothing.
///
/// Errors: as csw_submit_record; what is wrong with the webhook is said by csw_poll.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_submit_ingest(
    gate: *const csw_gate,
    bytes: *const c_char,
    bytes_length: usize,
    signature: *const c_char,
    signature_length: usize,
    at: i64,
    ticket: *mut u64,
    error: *mut csw_error,
) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            let gate = boundary::gate(gate)?;
            submitted(ticket, || ingest(gate, bytes, bytes_length, signature, signature_length, at))
        })
    }
}

/// As csw_settle, but returns at once with a ticket for csw_poll. Blocks on nothing. Until somebody asks for the ticket, others gather with it for up
/// to 10 ms, so that one commit takes them all.
///
/// Errors: as csw_submit_record.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_submit_settle(
    gate: *const csw_gate,
    decision: *const csw_decision,
    http_status: i32,
    response: *const c_char,
    response_length: usize,
    at: i64,
    ticket: *mut u64,
    error: *mut csw_error,
) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            let gate = boundary::gate(gate)?;
            submitted(ticket, || settle(gate, decision, http_status, response, response_length, at))
        })
    }
}

/// How a ticket stands: CSW_PENDING, CSW_OK once it is on disk (recorded is written, unless NULL), or the error that it failed with.
///
/// Errors: what the submitted call would have returned; CSW_CODE_TIMEOUT when its deadline (30 s) passed undecided: the outcome is unknown, and
/// repeating is harmless; CSW_CODE_EXPIRED when newer tickets have pushed it out; CSW_CODE_INVALID when it was never issued.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_poll(
    gate: *const csw_gate,
    ticket: u64,
    recorded: *mut csw_recorded,
    error: *mut csw_error,
) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            let outcome = boundary::gate(gate)?.poll(Ticket::from_number(ticket))?;
            decided(outcome, recorded)
        })
    }
}

/// As csw_poll, but waits for the outcome, at most timeout_ms. Never returns CSW_PENDING.
///
/// Errors: as csw_poll; CSW_CODE_TIMEOUT when the time is over first.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_wait(
    gate: *const csw_gate,
    ticket: u64,
    timeout_ms: u32,
    recorded: *mut csw_recorded,
    error: *mut csw_error,
) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            let within = Duration::from_millis(timeout_ms.into());
            let outcome = boundary::gate(gate)?.wait(Ticket::from_number(ticket), within)?;
            decided(outcome, recorded)
        })
    }
}

/// Waits until everything submitted so far is on disk or has failed, at most timeout_ms.
///
/// Errors: CSW_CODE_TIMEOUT, CSW_CODE_FORKED, CSW_CODE_INVALID.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_flush(gate: *const csw_gate, timeout_ms: u32, error: *mut csw_error) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            boundary::gate(gate)?.flush(Duration::from_millis(timeout_ms.into()))?;
            Ok(CSW_OK)
        })
    }
}

/// A descriptor (eventfd) that becomes readable when tickets were decided, for epoll or poll. It stays the gate's: do not close it; read its
/// eight bytes to reset it, then csw_poll the tickets that are out.
///
/// Errors: CSW_CODE_INVALID, CSW_CODE_STORE, CSW_CODE_FORMAT, CSW_CODE_FORKED.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_event_fd(gate: *const csw_gate, fd: *mut i32, error: *mut csw_error) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            boundary::set("fd", fd, boundary::gate(gate)?.event_fd()?)?;
            Ok(CSW_OK)
        })
    }
}

/// The webhook's verification handshake: CSW_OK when this is a configured verify token. Compared in constant time.
///
/// Errors: CSW_CODE_SIGNATURE when it is not (answer 403); CSW_CODE_INVALID.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_handshake(
    gate: *const csw_gate,
    token: *const c_char,
    token_length: usize,
    error: *mut csw_error,
) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            let known = boundary::gate(gate)?.is_verify_token(boundary::bytes("token", token, token_length)?);
            let refusal = "the token is none of webhook.verify_token_file or webhook.verify_token_env";
            if known { Ok(CSW_OK) } else { Err(Error::new(Code::Signature, refusal)) }
        })
    }
}

/// What a gateway needs to know of the configuration of a number; business may be NULL for numbers that are not listed.
///
/// Errors: CSW_CODE_INVALID.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_settings_of(
    gate: *const csw_gate,
    business: *const c_char,
    business_length: usize,
    settings: *mut csw_settings,
    error: *mut csw_error,
) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            let business = match boundary::text("business", business, business_length)? {
                "" => None,
                business => Some(Business::parse(business)?),
            };
            let found = boundary::gate(gate)?.settings(business);
            let found = csw_settings {
                size: 0,
                fail: found.fail as i32,
                mode: found.mode as i32,
                test_clock: i32::from(found.test_clock),
                prefer_free: found.prefer_free as i32,
                reserved: 0,
                token_file: structs::text(found.token_file.as_deref().and_then(Path::to_str).unwrap_or_default()),
            };
            boundary::write("settings", settings, &found)?;
            Ok(CSW_OK)
        })
    }
}

/// The library's version, as "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn csw_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The major version of the library's interface: refuse to go on when it is not CSW_ABI_VERSION.
#[unsafe(no_mangle)]
pub extern "C" fn csw_abi_version() -> u32 {
    CSW_ABI_VERSION
}

fn moment(at: i64) -> Timestamp {
    if at == 0 { Timestamp::now() } else { Timestamp::from_millis(at) }
}

/// # Safety
/// As [`boundary::bytes`].
unsafe fn ingest(
    gate: &Gate,
    bytes: *const c_char,
    bytes_length: usize,
    signature: *const c_char,
    signature_length: usize,
    at: i64,
) -> Result<Ticket> {
    // SAFETY: by the caller's word.
    let (bytes, signature) = unsafe {
        let bytes = boundary::bytes("bytes", bytes, bytes_length)?;
        (bytes, boundary::bytes("signature", signature, signature_length)?)
    };
    // What a stranger sends is no mistake of the caller's: bytes that are no text are a wrong signature.
    let signature = Some(String::from_utf8_lossy(signature).into_owned()).filter(|signature| !signature.is_empty());
    gate.submit_ingest(bytes.to_vec(), signature, moment(at))
}

/// # Safety
/// As [`boundary::bytes`] and [`boundary::read`].
unsafe fn settle(
    gate: &Gate,
    decision: *const csw_decision,
    http_status: i32,
    response: *const c_char,
    response_length: usize,
    at: i64,
) -> Result<Ticket> {
    // SAFETY: by the caller's word.
    let ((token, status), response) =
        unsafe { (settled(decision, http_status)?, boundary::bytes("response", response, response_length)?) };
    gate.submit_settle(token, status, response.to_vec(), moment(at))
}

/// The token of a decision that is settled, and the status that the platform answered with.
///
/// # Safety
/// `decision` is as the header's contract says.
unsafe fn settled(decision: *const csw_decision, http_status: i32) -> Result<(Token, u16)> {
    // SAFETY: by the caller's word.
    let decision = unsafe { boundary::read("decision", decision) }?;
    let token = decision.token.get(..decision.token_length as usize);
    let token = token.ok_or_else(|| Error::invalid("decision->token_length is longer than the token"))?;
    let status = u16::try_from(http_status).ok().filter(|status| (100..1000).contains(status));
    let status = status.ok_or_else(|| Error::invalid(format!("http_status is {http_status}; expected 100 to 999")))?;
    Ok((Token::from_bytes(token)?, status))
}

/// # Safety
/// `ticket` is null or can be written.
unsafe fn submitted(ticket: *mut u64, submit: impl FnOnce() -> Result<Ticket>) -> Result<i32> {
    if ticket.is_null() {
        return Err(Error::invalid("ticket is NULL"));
    }
    // SAFETY: by the caller's word.
    unsafe { boundary::set("ticket", ticket, submit()?.number()) }?;
    Ok(CSW_OK)
}

/// # Safety
/// As [`decided`].
unsafe fn wait(gate: &Gate, recorded: *mut csw_recorded, submit: impl FnOnce() -> Result<Ticket>) -> Result<i32> {
    if !recorded.is_null() {
        // SAFETY: by the caller's word. Asked first: what is recorded cannot be taken back because it cannot be told.
        unsafe { boundary::size("recorded", recorded) }?;
    }
    let outcome = gate.wait(submit()?, TICKET_DEADLINE)?;
    // SAFETY: by the caller's word.
    unsafe { decided(outcome, recorded) }
}

/// # Safety
/// `recorded` is null or points to as many writable bytes as its size says.
unsafe fn decided(outcome: Outcome, recorded: *mut csw_recorded) -> Result<i32> {
    match outcome {
        Outcome::Pending => Ok(CSW_PENDING),
        Outcome::Failed(error) => Err(error),
        Outcome::Done(_) if recorded.is_null() => Ok(CSW_OK),
        Outcome::Done(report) => {
            // SAFETY: by the caller's word.
            unsafe { boundary::write("recorded", recorded, &csw_recorded::of(&report)) }?;
            Ok(CSW_OK)
        }
    }
}
