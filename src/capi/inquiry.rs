//! The functions of `csw.h` that look at many contacts at once: reports, windows about to close, erasure.

use std::ffi::c_char;

use super::boundary::{self, Sized32};
use super::{CSW_OK, csw_error, csw_expiring_window, csw_gate, csw_recorded, csw_report_row, moment, submitted, wait};
use crate::error::{Error, Result};
use crate::gate::Gate;
use crate::gate::reader::Answer;
use crate::gate::recorder::Ticket;
use crate::gate::report::By;
use crate::party::{Business, Customer};
use crate::time::Span;

/// Totals of the days on which from and to fall (Unix ms, both included; each number's days are those of its time zone), grouped by a sum of csw_by values.
/// Amounts of two currencies are never added up: rows are always grouped by currency.
///
/// Writes the rows that fit into capacity (rows may be NULL when it is 0) and the number that there are into count. `rows[0].size` must be set.
/// Reads all totals of the days before it returns: an event loop calls csw_submit_report.
///
/// Errors: CSW_CODE_INVALID, CSW_CODE_STORE, CSW_CODE_FORMAT, CSW_CODE_FORKED.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_report(
    gate: *const csw_gate,
    from: i64,
    to: i64,
    by: i32,
    rows: *mut csw_report_row,
    capacity: usize,
    count: *mut usize,
    error: *mut csw_error,
) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            let gate = boundary::gate(gate)?;
            writable(rows, capacity, count)?;
            let found = gate.report(moment(from), moment(to), &groups(by)?)?;
            page(rows, capacity, count, &found, 0, csw_report_row::of)
        })
    }
}

/// As csw_report, but returns at once with a ticket for csw_poll; once that is CSW_OK, csw_report_rows has the rows. Blocks on nothing.
///
/// Errors: CSW_CODE_INVALID, CSW_CODE_BUSY (nothing was taken), CSW_CODE_STORE, CSW_CODE_FORMAT, CSW_CODE_FORKED.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_submit_report(
    gate: *const csw_gate,
    from: i64,
    to: i64,
    by: i32,
    ticket: *mut u64,
    error: *mut csw_error,
) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            let gate = boundary::gate(gate)?;
            submitted(ticket, || gate.submit_report(moment(from), moment(to), groups(by)?))
        })
    }
}

/// A page of the rows of a csw_submit_report that is done: those from offset on that fit into capacity, and how many there are in all.
///
/// Errors: CSW_CODE_EXPIRED when sixteen newer answers have pushed it out; CSW_CODE_INVALID for other tickets; CSW_CODE_FORKED.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_report_rows(
    gate: *const csw_gate,
    ticket: u64,
    offset: usize,
    rows: *mut csw_report_row,
    capacity: usize,
    count: *mut usize,
    error: *mut csw_error,
) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            writable(rows, capacity, count)?;
            match &*boundary::gate(gate)?.answer(Ticket::from_number(ticket))? {
                Answer::Report(found) => page(rows, capacity, count, found, offset, csw_report_row::of),
                Answer::Expiring(_) => Err(Error::invalid("ticket: its rows are read with csw_expiring_rows")),
            }
        })
    }
}

/// The windows that are open at a moment (Unix ms, 0 for now) and close within so many ms of it, soonest first, at most limit of them: returns
/// at once with a ticket for csw_poll; once that is CSW_OK, csw_expiring_rows has them. All contacts are looked at, in a thread of the library.
///
/// Errors: CSW_CODE_INVALID, CSW_CODE_BUSY (nothing was taken), CSW_CODE_STORE, CSW_CODE_FORMAT, CSW_CODE_FORKED.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_submit_expiring(
    gate: *const csw_gate,
    at: i64,
    within_ms: u32,
    limit: usize,
    ticket: *mut u64,
    error: *mut csw_error,
) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            let gate = boundary::gate(gate)?;
            submitted(ticket, || gate.submit_expiring(moment(at), Span::millis(within_ms), limit))
        })
    }
}

/// A page of the windows of a csw_submit_expiring that is done: those from offset on that fit into capacity, and how many there are in all.
///
/// Errors: as csw_report_rows.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_expiring_rows(
    gate: *const csw_gate,
    ticket: u64,
    offset: usize,
    rows: *mut csw_expiring_window,
    capacity: usize,
    count: *mut usize,
    error: *mut csw_error,
) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            writable(rows, capacity, count)?;
            match &*boundary::gate(gate)?.answer(Ticket::from_number(ticket))? {
                Answer::Expiring(found) => page(rows, capacity, count, found, offset, csw_expiring_window::of),
                Answer::Report(_) => Err(Error::invalid("ticket: its rows are read with csw_report_rows")),
            }
        })
    }
}

/// Erases a customer, of one business number, or of all when the business is empty: what is known of them, their names and message ids, and who
/// they were in the ledger; totals stay. Waits until it is on disk. recorded may be NULL; its events are the contacts that were erased.
///
/// Errors: as csw_record.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_forget(
    gate: *const csw_gate,
    business: *const c_char,
    business_length: usize,
    customer: *const c_char,
    customer_length: usize,
    recorded: *mut csw_recorded,
    error: *mut csw_error,
) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            let gate = boundary::gate(gate)?;
            wait(gate, recorded, || forget(gate, business, business_length, customer, customer_length))
        })
    }
}

/// As csw_forget, but returns at once with a ticket for csw_poll. Blocks on nothing.
///
/// Errors: as csw_submit_record.
///
/// # Safety
/// See the contract at the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn csw_submit_forget(
    gate: *const csw_gate,
    business: *const c_char,
    business_length: usize,
    customer: *const c_char,
    customer_length: usize,
    ticket: *mut u64,
    error: *mut csw_error,
) -> i32 {
    // SAFETY: this function's contract.
    unsafe {
        boundary::guarded(error, || {
            let gate = boundary::gate(gate)?;
            submitted(ticket, || forget(gate, business, business_length, customer, customer_length))
        })
    }
}

/// # Safety
/// As [`boundary::bytes`].
unsafe fn forget(
    gate: &Gate,
    business: *const c_char,
    business_length: usize,
    customer: *const c_char,
    customer_length: usize,
) -> Result<Ticket> {
    // SAFETY: by the caller's word.
    let (business, customer) = unsafe {
        (boundary::text("business", business, business_length)?, boundary::text("customer", customer, customer_length)?)
    };
    let business = Some(business).filter(|business| !business.is_empty()).map(Business::parse).transpose()?;
    gate.submit_forget(business, Customer::parse(customer)?)
}

fn groups(by: i32) -> Result<Vec<By>> {
    let groups: Vec<By> = By::ALL.iter().copied().filter(|group| by & *group as i32 != 0).collect();
    if groups.iter().map(|group| *group as i32).sum::<i32>() != by {
        return Err(Error::invalid(format!("by is {by}, which is no sum of csw_by values")));
    }
    Ok(groups)
}

/// Whether a page can be written, asked before anything is read.
///
/// # Safety
/// As [`page`].
unsafe fn writable<T: Sized32>(rows: *mut T, capacity: usize, count: *mut usize) -> Result<()> {
    if count.is_null() {
        return Err(Error::invalid("count is NULL"));
    }
    if capacity > 0 {
        // SAFETY: by the caller's word.
        unsafe { boundary::size("rows", rows) }?;
    }
    Ok(())
}

/// Writes the rows from an offset on into the caller's array, and how many there are in all.
///
/// # Safety
/// `rows` points to as many structs as the capacity says, each as long as the first one's size says; `count` can be written.
unsafe fn page<T: Sized32, R>(
    rows: *mut T,
    capacity: usize,
    count: *mut usize,
    found: &[R],
    offset: usize,
    row: impl Fn(&R) -> T,
) -> Result<i32> {
    // SAFETY: by the caller's word.
    unsafe {
        let stride = if capacity == 0 { 0 } else { boundary::size("rows", rows)? };
        for (place, found) in found.iter().skip(offset).take(capacity).enumerate() {
            let out = rows.byte_add(place * stride);
            out.cast::<u32>().write_unaligned(stride as u32);
            boundary::write("rows", out, &row(found))?;
        }
        boundary::set("count", count, found.len())?;
    }
    Ok(CSW_OK)
}
