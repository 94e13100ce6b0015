//! The boundary to C: handles, strings, structs and panics. Nearly all `unsafe` of the doors lives here.

use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use crate::capi::{CSW_OK, csw_error, csw_gate};
use crate::error::{Code, Error, Result};
use crate::gate::Gate;

/// Gates that can be open at once in one process.
const SLOTS: usize = 1024;

/// A handle is no address: it names a slot and how often that was used before. So a closed or made-up handle is found out, not followed.
struct Slot {
    used: AtomicUsize,
    gate: AtomicPtr<Gate>,
}

static GATES: [Slot; SLOTS] =
    [const { Slot { used: AtomicUsize::new(0), gate: AtomicPtr::new(std::ptr::null_mut()) } }; SLOTS];

/// Gives a gate a handle.
///
/// # Errors
/// `Invalid` when too many are open.
pub fn handle(gate: Gate) -> Result<*mut csw_gate> {
    let gate = Box::into_raw(Box::new(gate));
    for (index, slot) in GATES.iter().enumerate() {
        let free = std::ptr::null_mut();
        if slot.gate.compare_exchange(free, gate, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            let used = slot.used.load(Ordering::Acquire);
            return Ok(std::ptr::without_provenance_mut((used + 1) * SLOTS + index));
        }
    }
    // SAFETY: made above, given to nobody.
    drop(unsafe { Box::from_raw(gate) });
    Err(Error::invalid(format!("{SLOTS} gates are open; close some, or share one: a gate may be used by all threads")))
}

fn slot(handle: *const csw_gate) -> Option<&'static Slot> {
    let (used, index) = (handle.addr() / SLOTS, handle.addr() % SLOTS);
    GATES.get(index).filter(|slot| used == slot.used.load(Ordering::Acquire) + 1)
}

/// The gate of a handle.
///
/// # Errors
/// `Invalid` when the handle is null, closed, or none of ours.
///
/// # Safety
/// The gate is not closed while the reference is used: what the header asks of its callers.
pub unsafe fn gate<'g>(handle: *const csw_gate) -> Result<&'g Gate> {
    let gate = slot(handle).map(|slot| slot.gate.load(Ordering::Acquire));
    // SAFETY: a slot holds null or a gate of `handle`, which lives until it is closed.
    gate.and_then(|gate| unsafe { gate.as_ref() }).ok_or_else(|| match handle.is_null() {
        true => Error::invalid("gate is NULL; csw_open gives one"),
        false => Error::invalid("gate is closed, or was never opened"),
    })
}

/// Closes a handle; does nothing for one that is null or closed already.
pub fn close(handle: *mut csw_gate) {
    let Some(slot) = slot(handle) else { return };
    let gate = slot.gate.load(Ordering::Acquire);
    let closed = slot.used.compare_exchange(
        handle.addr() / SLOTS - 1,
        handle.addr() / SLOTS,
        Ordering::AcqRel,
        Ordering::Relaxed,
    );
    if closed.is_ok() && !gate.is_null() {
        // SAFETY: the count above lets only one closer through, and the header asks that no other call is using it.
        let gate = unsafe { Box::from_raw(gate) };
        slot.gate.store(std::ptr::null_mut(), Ordering::Release);
        let _ = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(test)]
            super::panics::strike();
            drop(gate);
        }));
    }
}

/// The bytes that a caller passes; null is allowed where there are none.
///
/// # Errors
/// `Invalid`, naming the argument, for null with a length.
///
/// # Safety
/// A pointer that is not null points to that many bytes, unchanged during the call.
pub unsafe fn bytes<'b>(name: &str, pointer: *const c_char, length: usize) -> Result<&'b [u8]> {
    if length == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() || length > isize::MAX as usize {
        return Err(Error::invalid(format!("{name} is NULL or impossibly long ({length} bytes)")));
    }
    // SAFETY: by the caller's word.
    Ok(unsafe { std::slice::from_raw_parts(pointer.cast(), length) })
}

/// The text that a caller passes.
///
/// # Errors
/// `Invalid`, naming the argument, for null with a length and for bytes that are not UTF-8.
///
/// # Safety
/// As [`bytes`].
pub unsafe fn text<'b>(name: &str, pointer: *const c_char, length: usize) -> Result<&'b str> {
    // SAFETY: by the caller's word.
    let bytes = unsafe { bytes(name, pointer, length) }?;
    // As most are, which is sooner seen than all of it is checked.
    if bytes.is_ascii() {
        // SAFETY: ASCII is UTF-8.
        return Ok(unsafe { std::str::from_utf8_unchecked(bytes) });
    }
    std::str::from_utf8(bytes).map_err(|_| Error::invalid(format!("{name} is not UTF-8")))
}

/// A struct of plain numbers and bytes whose first field is its size, as [`write`] and [`read`] need it.
///
/// # Safety
/// `repr(C)`, `Copy`, a `u32` size first, valid for all-zero bytes and for any bytes at all.
pub unsafe trait Sized32: Copy {
    /// Where a text at the struct's end begins, if there is one.
    const TEXT_AT: Option<usize> = None;
}

/// Gives a caller its result: as much of it as the caller's struct has room for. A text at the end that is cut stays closed with a zero byte.
///
/// # Errors
/// `Invalid` when the pointer is null or its size is not set.
///
/// # Safety
/// A pointer that is not null points to as many writable bytes as its size says.
pub unsafe fn write<T: Sized32>(name: &str, out: *mut T, value: &T) -> Result<()> {
    // SAFETY: by the caller's word; the size is its first field.
    let size = unsafe { size(name, out) }?;
    let skipped = size_of::<u32>();
    // SAFETY: both sides hold that many bytes; the caller's size stays as it is.
    unsafe {
        let (from, to) = ((&raw const *value).cast::<u8>(), out.cast::<u8>());
        std::ptr::copy_nonoverlapping(from.add(skipped), to.add(skipped), size.min(size_of::<T>()) - skipped);
        if T::TEXT_AT.is_some_and(|text| text < size && size < size_of::<T>()) {
            to.add(size - 1).write(0);
        }
    }
    Ok(())
}

/// Reads a caller's struct; what an older caller's struct does not have is zero.
///
/// # Errors
/// `Invalid` when the pointer is null or its size is not set.
///
/// # Safety
/// A pointer that is not null points to as many bytes as its size says.
pub unsafe fn read<T: Sized32>(name: &str, from: *const T) -> Result<T> {
    // SAFETY: by the caller's word.
    let size = unsafe { size(name, from) }?;
    // SAFETY: `T` is valid for zeroes and for any bytes; both sides hold that many.
    unsafe {
        let mut value: T = std::mem::zeroed();
        std::ptr::copy_nonoverlapping(from.cast::<u8>(), (&raw mut value).cast::<u8>(), size.min(size_of::<T>()));
        Ok(value)
    }
}

/// Whether a caller's struct can be written to, asked before anything is done that could not be told.
///
/// # Errors
/// `Invalid` when the pointer is null or its size is not set.
///
/// # Safety
/// A pointer that is not null points to at least the size field.
pub unsafe fn size<T: Sized32>(name: &str, pointer: *const T) -> Result<usize> {
    if pointer.is_null() {
        return Err(Error::invalid(format!("{name} is NULL")));
    }
    // SAFETY: by the caller's word the size field is there; it need not be aligned.
    let size = unsafe { pointer.cast::<u32>().read_unaligned() } as usize;
    if !(8..=1 << 20).contains(&size) {
        return Err(Error::invalid(format!("{name}->size is {size}; set it to sizeof(*{name}) before the call")));
    }
    Ok(size)
}

/// Copies bytes into a caller's buffer where they fit, and says how many they are.
///
/// # Errors
/// `Invalid` when `length` is null, or the buffer is although it has room.
///
/// # Safety
/// A pointer that is not null points to that many writable bytes; `length` is null or can be written.
pub unsafe fn copy(name: &str, out: *mut c_char, capacity: usize, length: *mut usize, bytes: &[u8]) -> Result<()> {
    if length.is_null() || out.is_null() && capacity > 0 {
        return Err(Error::invalid(format!("{name} or its length is NULL")));
    }
    // SAFETY: by the caller's word; what does not fit is not copied.
    unsafe {
        if bytes.len() <= capacity && !bytes.is_empty() {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), out.cast::<u8>(), bytes.len());
        }
        length.write(bytes.len());
    }
    Ok(())
}

/// The text of an array of a caller's struct, up to its zero byte.
///
/// # Errors
/// `Invalid` when it is not UTF-8.
pub fn array(array: &[c_char]) -> Result<String> {
    let bytes: Vec<u8> = array.iter().take_while(|byte| **byte != 0).map(|byte| *byte as u8).collect();
    String::from_utf8(bytes).map_err(|_| Error::invalid("a text of a struct is not UTF-8"))
}

/// A caller's plain result that has no size of its own.
///
/// # Errors
/// `Invalid` when the pointer is null.
///
/// # Safety
/// A pointer that is not null can be written.
pub unsafe fn set<T>(name: &str, out: *mut T, value: T) -> Result<()> {
    if out.is_null() {
        return Err(Error::invalid(format!("{name} is NULL")));
    }
    // SAFETY: by the caller's word.
    unsafe { out.write(value) };
    Ok(())
}

/// Runs the work of an exported function: errors and panics become a status and, where the caller has room for it, a text.
///
/// # Safety
/// `error` is null or points to as many writable bytes as its size says.
pub unsafe fn guarded(error: *mut csw_error, work: impl FnOnce() -> Result<i32>) -> i32 {
    let work = || {
        #[cfg(test)]
        super::panics::strike();
        work()
    };
    let fault = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(status)) => return status,
        Ok(Err(fault)) => fault,
        Err(_) => Error::new(Code::Internal, "a fault inside csw was caught; the call did nothing"),
    };
    let status = fault.code() as i32;
    debug_assert!(status < CSW_OK);
    if !error.is_null() {
        let mut said = csw_error { size: 0, code: status, message: [0; 512] };
        fill(&mut said.message, fault.message());
        // SAFETY: by the caller's word. An error struct without a size gets no text, and the status says enough.
        let _ = unsafe { write("error", error, &said) };
    }
    status
}

/// Copies text into an array, cut at a character and closed with a zero byte.
pub fn fill(array: &mut [c_char], text: &str) {
    let room = array.len().saturating_sub(1);
    let cut = text.floor_char_boundary(room);
    for (place, byte) in array.iter_mut().zip(text.as_bytes()[..cut].iter().chain([&0])) {
        *place = *byte as c_char;
    }
}
