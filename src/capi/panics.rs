//! A panic inside any exported function reaches its caller as a status, and the next call is right. For tests: no library has it.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "all calls are alike: what their pointers point to lives in the host"
)]

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::{CStr, c_char};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tempfile::TempDir;

use super::boundary::Sized32;
use super::closed::*;
use super::inquiry::*;
use super::names::*;
use super::structs::csw_settings;
use super::*;

thread_local! {
    static ARMED: Cell<bool> = const { Cell::new(false) };
}

/// Panics once, where the test asked for it.
pub fn strike() {
    assert!(!ARMED.take(), "struck by a test");
}

const SHOP: &str = "106540352242922";
const ANNA: &str = "447700900123";
const SEND: &str = r#"{"to":"447700900123","type":"text","text":{"body":"hi"}}"#;
const ANSWER: &str = r#"{"messages":[{"id":"wamid.2"}]}"#;
const CHOICE: &str = r#"{"business":"106540352242922","customer":"447700900123","open":{"type":"text","text":{"body":"hi"}},
    "closed":{"type":"template","template":{"name":"news","language":{"code":"en"}}}}"#;
const WEBHOOK: &str = r#"{"object":"page"}"#;
const SECRET: &str = "the secret";
const GATEWAY: &str = "c";
const LONG_ENOUGH: u32 = 20_000;

/// A program that uses the library, with room for what it is told.
struct Host {
    config: String,
    signature: String,
    gate: *mut csw_gate,
    ticket: u64,
    decision: csw_decision,
    number: i32,
    count: usize,
    room: [c_char; 65_536],
    folder: TempDir,
}

impl Host {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("secret"), SECRET).unwrap();
        let secret = folder.path().join("secret").display().to_string();
        let config = format!(
            "store = \"memory:\"\n[closed]\nsteps = [\"park\"]\n[webhook]\nsecret_file = \"{secret}\"\nverify_token_file = \"{secret}\"\n"
        );
        let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap().chain_update(WEBHOOK);
        let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        std::fs::write(folder.path().join("csw.toml"), &config).unwrap();
        Host {
            config,
            signature: format!("sha256={hex}"),
            gate: std::ptr::null_mut(),
            ticket: 0,
            decision: sized(),
            number: 0,
            count: 0,
            room: [0; _],
            folder,
        }
    }

    fn path(&self) -> String {
        self.folder.path().join("csw.toml").display().to_string()
    }
}

/// A struct of the interface with nothing in it but its size.
fn sized<T: Sized32>() -> T {
    // SAFETY: valid for all-zero bytes, and its size comes first (Sized32).
    unsafe {
        let mut value: T = std::mem::zeroed();
        (&raw mut value).cast::<u32>().write(size_of::<T>() as u32);
        value
    }
}

fn act() -> csw_event {
    let (business, customer) = (start(SHOP), start(ANNA));
    csw_event { kind: 1, business, business_length: SHOP.len(), customer, customer_length: ANNA.len(), ..sized() }
}

fn parcel() -> csw_parcel {
    let mut parcel = csw_parcel { kind: 1, id: 1, business: 1, ..sized() };
    boundary::fill(&mut parcel.customer, ANNA);
    boundary::fill(&mut parcel.gateway, GATEWAY);
    parcel
}

fn start(text: &str) -> *const c_char {
    text.as_ptr().cast()
}

type Call = fn(&mut Host, *mut csw_error) -> i32;

/// Calls by the names of their functions. Their last argument is always the error.
macro_rules! calls {
    (|$host:ident| $($function:ident($($argument:expr),+);)+) => {
        [$((stringify!($function), (|$host, error| unsafe { $function($($argument,)+ error) }) as Call)),+]
    };
}

/// Every function that can fail, called rightly; what one needs stands before it.
fn calls() -> Vec<(&'static str, Call)> {
    calls! { |host|
        csw_open(start(&host.path()), host.path().len(), &raw mut host.gate);
        csw_open_text(start(&host.config), host.config.len(), &raw mut host.gate);
        csw_record(host.gate, &act(), &mut sized());
        csw_check(host.gate, start(SHOP), SHOP.len(), start(ANNA), ANNA.len(), 0, &mut sized());
        csw_decide(host.gate, start(SHOP), SHOP.len(), 0, start(SEND), SEND.len(), 0, &raw mut host.decision);
        csw_ingest(host.gate, start(WEBHOOK), WEBHOOK.len(), start(&host.signature), host.signature.len(), 0, &mut sized());
        csw_settle(host.gate, &host.decision, 200, start(ANSWER), ANSWER.len(), 0, &mut sized());
        csw_submit_record(host.gate, &act(), &raw mut host.ticket);
        csw_submit_ingest(host.gate, start(WEBHOOK), WEBHOOK.len(), start(&host.signature), host.signature.len(), 0, &raw mut host.ticket);
        csw_submit_settle(host.gate, &host.decision, 200, start(ANSWER), ANSWER.len(), 0, &raw mut host.ticket);
        csw_wait(host.gate, host.ticket, LONG_ENOUGH, &mut sized());
        csw_poll(host.gate, host.ticket, &mut sized());
        csw_flush(host.gate, LONG_ENOUGH);
        csw_event_fd(host.gate, &raw mut host.number);
        csw_handshake(host.gate, start(SECRET), SECRET.len());
        csw_settings_of(host.gate, start(SHOP), SHOP.len(), &mut sized::<csw_settings>());
        csw_instead_of(host.gate, start(SHOP), SHOP.len(), start(SEND), SEND.len(), 0, 0,
            &mut sized(), host.room.as_mut_ptr(), host.room.len(), &raw mut host.count);
        csw_submit_park(host.gate, start(GATEWAY), GATEWAY.len(), start(SHOP), SHOP.len(), start(SEND), SEND.len(), &raw mut host.ticket);
        csw_due(host.gate, start(GATEWAY), GATEWAY.len(), &raw mut host.number);
        csw_submit_return(host.gate, &parcel(), 1, &raw mut host.ticket);
        csw_submit_keep(host.gate, start(GATEWAY), GATEWAY.len(), &host.decision, 200, start(ANSWER), ANSWER.len(),
            start(SEND), SEND.len(), &raw mut host.ticket);
        csw_submit_take(host.gate, start(GATEWAY), GATEWAY.len(), 0, &raw mut host.ticket);
        csw_parcel_of(host.gate, settled(host), &mut sized(), host.room.as_mut_ptr(), host.room.len(), &raw mut host.count);
        csw_choose(host.gate, start(CHOICE), CHOICE.len(), 0, &mut sized(), host.room.as_mut_ptr(), host.room.len(), &raw mut host.count);
        csw_metrics(host.gate, host.room.as_mut_ptr(), host.room.len(), &raw mut host.count);
        csw_report(host.gate, 0, 0, 0, std::ptr::null_mut(), 0, &raw mut host.count);
        csw_submit_report(host.gate, 0, 0, 0, &raw mut host.ticket);
        csw_report_rows(host.gate, settled(host), 0, std::ptr::null_mut(), 0, &raw mut host.count);
        csw_submit_expiring(host.gate, 0, LONG_ENOUGH, 1, &raw mut host.ticket);
        csw_expiring_rows(host.gate, settled(host), 0, std::ptr::null_mut(), 0, &raw mut host.count);
        csw_submit_forget(host.gate, start(SHOP), SHOP.len(), start(ANNA), ANNA.len(), &raw mut host.ticket);
        csw_forget(host.gate, start(SHOP), SHOP.len(), start(ANNA), ANNA.len(), &mut sized());
    }
    .to_vec()
}

/// The host's ticket, once it is decided: beside the call that is struck.
fn settled(host: &Host) -> u64 {
    let armed = ARMED.take();
    assert_eq!(unsafe { csw_wait(host.gate, host.ticket, LONG_ENOUGH, &mut sized(), std::ptr::null_mut()) }, CSW_OK);
    ARMED.set(armed);
    host.ticket
}

fn said(error: &csw_error) -> String {
    boundary::array(&error.message).unwrap()
}

#[test]
fn a_panic_in_any_function_is_a_status_and_the_next_call_is_right() {
    let mut host = Host::new();
    for (name, call) in calls() {
        let mut error = sized();
        ARMED.set(true);
        assert_eq!(call(&mut host, &raw mut error), Code::Internal as i32, "{name}");
        assert!(!ARMED.get(), "{name}");
        assert_eq!(said(&error), "a fault inside csw was caught; the call did nothing", "{name}");
        assert_eq!(call(&mut host, &raw mut error), CSW_OK, "{name}: {}", said(&error));
    }
    csw_close(host.gate);
}

#[test]
fn a_panic_while_a_gate_closes_leaves_it_closed() {
    let mut host = Host::new();
    let open: Call = calls()[1].1;
    for _ in 0..2 {
        assert_eq!(open(&mut host, std::ptr::null_mut()), CSW_OK);
        ARMED.set(true);
        csw_close(host.gate);
        assert!(!ARMED.get());
        let status = unsafe { csw_flush(host.gate, 0, std::ptr::null_mut()) };
        assert_eq!(status, Code::Invalid as i32, "it is closed");
    }
}

const NAMES: [(&str, extern "C" fn(i32) -> *const c_char); 20] = [
    ("csw_basis_name", csw_basis_name),
    ("csw_category_name", csw_category_name),
    ("csw_charge_name", csw_charge_name),
    ("csw_charge_reason_name", csw_charge_reason_name),
    ("csw_class_name", csw_class_name),
    ("csw_code_name", csw_code_name),
    ("csw_conversation_category_name", csw_conversation_category_name),
    ("csw_conversation_name", csw_conversation_name),
    ("csw_event_kind_name", csw_event_kind_name),
    ("csw_fail_name", csw_fail_name),
    ("csw_fate_name", csw_fate_name),
    ("csw_mode_name", csw_mode_name),
    ("csw_no_amount_name", csw_no_amount_name),
    ("csw_parcel_kind_name", csw_parcel_kind_name),
    ("csw_prefer_free_name", csw_prefer_free_name),
    ("csw_reason_name", csw_reason_name),
    ("csw_state_name", csw_state_name),
    ("csw_step_kind_name", csw_step_kind_name),
    ("csw_unfit_name", csw_unfit_name),
    ("csw_verdict_name", csw_verdict_name),
];

#[test]
fn a_word_is_looked_up_for_any_number() {
    for (name, name_of) in NAMES {
        let numbers = (-1000..1000).chain([i32::MIN, i32::MAX]);
        let words = numbers.map(|number| name_of(number)).filter(|word| !word.is_null());
        let words: Vec<_> = words.map(|word| unsafe { CStr::from_ptr(word) }.to_str().unwrap()).collect();
        assert!(words.len() >= 2 && words.iter().all(|word| !word.is_empty()), "{name}");
    }
}

#[test]
fn every_exported_function_is_called_here() {
    let sources =
        [include_str!("mod.rs"), include_str!("closed.rs"), include_str!("inquiry.rs"), include_str!("names.rs")];
    let functions = sources.iter().flat_map(|source| source.split("extern \"C\" fn ").skip(1));
    let exported: BTreeSet<&str> = functions.filter_map(|function| function.split('(').next()).collect();
    let struck = calls().into_iter().map(|(name, _)| name).chain(["csw_close"]);
    // A constant each.
    let constants = ["csw_version", "csw_abi_version"];
    assert_eq!(exported, struck.chain(NAMES.map(|(name, _)| name)).chain(constants).collect());
}
