//! The words for the numbers of `csw.h`.

use std::ffi::c_char;

use super::{CSW_OK, CSW_PENDING};
use crate::error::Code;
use crate::gate::config::Fail;
use crate::gate::parking::{Fate, ParcelKind};
use crate::rules::charge::{Charge, ChargeReason};
use crate::rules::closed::{StepKind, Unfit};
use crate::rules::conversation::{ConversationCategory, Effect};
use crate::rules::decision::{Mode, PreferFree, Verdict};
use crate::rules::event::{Category, Class, EventKind};
use crate::rules::ledger::Basis;
use crate::rules::rate::NoAmount;
use crate::rules::window::{Reason, State};

/// The word for a status: a csw_code, CSW_OK ("ok") or CSW_PENDING ("pending"); NULL for other numbers.
#[unsafe(no_mangle)]
pub extern "C" fn csw_code_name(number: i32) -> *const c_char {
    match number {
        CSW_OK => c"ok".as_ptr(),
        CSW_PENDING => c"pending".as_ptr(),
        _ => Code::from_number(number).map_or(std::ptr::null(), |value| value.c_word().as_ptr()),
    }
}

/// The word for a csw_state; NULL for other numbers.
#[unsafe(no_mangle)]
pub extern "C" fn csw_state_name(number: i32) -> *const c_char {
    State::from_number(number).map_or(std::ptr::null(), |value| value.c_word().as_ptr())
}

/// The word for a csw_reason; NULL for other numbers.
#[unsafe(no_mangle)]
pub extern "C" fn csw_reason_name(number: i32) -> *const c_char {
    Reason::from_number(number).map_or(std::ptr::null(), |value| value.c_word().as_ptr())
}

/// The word for a csw_event_kind; NULL for other numbers.
#[unsafe(no_mangle)]
pub extern "C" fn csw_event_kind_name(number: i32) -> *const c_char {
    EventKind::from_number(number).map_or(std::ptr::null(), |value| value.c_word().as_ptr())
}

/// The word for a csw_class; NULL for other numbers.
#[unsafe(no_mangle)]
pub extern "C" fn csw_class_name(number: i32) -> *const c_char {
    Class::from_number(number).map_or(std::ptr::null(), |value| value.c_word().as_ptr())
}

/// The word for a csw_category; NULL for other numbers.
#[unsafe(no_mangle)]
pub extern "C" fn csw_category_name(number: i32) -> *const c_char {
    Category::from_number(number).map_or(std::ptr::null(), |value| value.c_word().as_ptr())
}

/// The word for a csw_conversation; NULL for other numbers.
#[unsafe(no_mangle)]
pub extern "C" fn csw_conversation_name(number: i32) -> *const c_char {
    Effect::from_number(number).map_or(std::ptr::null(), |value| value.c_word().as_ptr())
}

/// The word for a csw_conversation_category; NULL for other numbers.
#[unsafe(no_mangle)]
pub extern "C" fn csw_conversation_category_name(number: i32) -> *const c_char {
    ConversationCategory::from_number(number).map_or(std::ptr::null(), |value| value.c_word().as_ptr())
}

/// The word for a csw_verdict; NULL for other numbers.
#[unsafe(no_mangle)]
pub extern "C" fn csw_verdict_name(number: i32) -> *const c_char {
    Verdict::from_number(number).map_or(std::ptr::null(), |value| value.c_word().as_ptr())
}

/// The word for a csw_charge; NULL for other numbers.
#[unsafe(no_mangle)]
pub extern "C" fn csw_charge_name(number: i32) -> *const c_char {
    Charge::from_number(number).map_or(std::ptr::null(), |value| value.c_word().as_ptr())
}

/// The word for a csw_charge_reason; NULL for other numbers.
#[unsafe(no_mangle)]
pub extern "C" fn csw_charge_reason_name(number: i32) -> *const c_char {
    ChargeReason::from_number(number).map_or(std::ptr::null(), |value| value.c_word().as_ptr())
}

/// The word for a csw_mode; NULL for other numbers.
#[unsafe(no_mangle)]
pub extern "C" fn csw_mode_name(number: i32) -> *const c_char {
    Mode::from_number(number).map_or(std::ptr::null(), |value| value.c_word().as_ptr())
}

/// The word for a csw_fail; NULL for other numbers.
#[unsafe(no_mangle)]
pub extern "C" fn csw_fail_name(number: i32) -> *const c_char {
    Fail::from_number(number).map_or(std::ptr::null(), |value| value.c_word().as_ptr())
}

/// The word for a csw_no_amount; NULL for other numbers.
#[unsafe(no_mangle)]
pub extern "C" fn csw_no_amount_name(number: i32) -> *const c_char {
    NoAmount::from_number(number).map_or(std::ptr::null(), |value| value.c_word().as_ptr())
}

/// The word for a csw_basis; NULL for other numbers.
#[unsafe(no_mangle)]
pub extern "C" fn csw_basis_name(number: i32) -> *const c_char {
    Basis::from_number(number).map_or(std::ptr::null(), |value| value.c_word().as_ptr())
}

/// The word for a csw_prefer_free; NULL for other numbers.
#[unsafe(no_mangle)]
pub extern "C" fn csw_prefer_free_name(number: i32) -> *const c_char {
    PreferFree::from_number(number).map_or(std::ptr::null(), |value| value.c_word().as_ptr())
}

/// The word for a csw_step_kind; NULL for other numbers.
#[unsafe(no_mangle)]
pub extern "C" fn csw_step_kind_name(number: i32) -> *const c_char {
    StepKind::from_number(number).map_or(std::ptr::null(), |value| value.c_word().as_ptr())
}

/// The word for a csw_unfit; NULL for other numbers.
#[unsafe(no_mangle)]
pub extern "C" fn csw_unfit_name(number: i32) -> *const c_char {
    Unfit::from_number(number).map_or(std::ptr::null(), |value| value.c_word().as_ptr())
}

/// The word for a csw_parcel_kind; NULL for other numbers.
#[unsafe(no_mangle)]
pub extern "C" fn csw_parcel_kind_name(number: i32) -> *const c_char {
    ParcelKind::from_number(number).map_or(std::ptr::null(), |value| value.c_word().as_ptr())
}

/// The word for a csw_fate; NULL for other numbers.
#[unsafe(no_mangle)]
pub extern "C" fn csw_fate_name(number: i32) -> *const c_char {
    Fate::from_number(number).map_or(std::ptr::null(), |value| value.c_word().as_ptr())
}
