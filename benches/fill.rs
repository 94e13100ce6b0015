//! Makes what the benchmarks measure, by `cargo bench --bench fill --`:
//!
//! - `contacts FOLDER COUNT open|closed` fills a store with customers that wrote a moment ago, or three days ago;
//! - `webhooks COUNT [SECRET]` writes stored webhooks, one a line, each after its signature and a tab where a secret is given;
//! - `ledger COUNT FOLDER` fills a ledger with the entries of one month.

use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use csw::money::{Amount, Currency};
use csw::party::{Business, Customer};
use csw::rules::charge::{Charge, ChargeReason, Charged};
use csw::rules::contact::Contact;
use csw::rules::conversation::Placement;
use csw::rules::event::{Category, Class};
use csw::rules::ledger::{Line, LineKind};
use csw::rules::market::{Country, Market};
use csw::store::codec::Entry;
use csw::store::lmdb::LmdbStore;
use csw::store::{Found, Records, RecordsMut, Store};
use csw::time::{Day, Span, Timestamp, Zone};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The first of a few business numbers; every contact is one of it.
const BUSINESS: u64 = 106_540_352_242_922;
/// The number of the first contact; the others follow.
const FIRST_CONTACT: u64 = 10_000_000_000;
/// The number of the first customer of the webhooks; the others follow.
const FIRST_WRITER: u64 = 16_500_000_000;
/// 2026-10-01T00:00:00Z.
const OCTOBER: u64 = 1_790_812_800;
/// Ledger entries in one transaction.
const ENTRIES: u64 = 100_000;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [_, "contacts", folder, count, state] => contacts(Path::new(folder), count.parse()?, *state == "open"),
        [_, "webhooks", count] => webhooks(count.parse()?, None),
        [_, "webhooks", count, secret] => webhooks(count.parse()?, Some(secret)),
        [_, "ledger", count, folder] => ledger(count.parse()?, Path::new(folder)),
        [_] => Ok(()),
        _ => Err("say `contacts`, `webhooks` or `ledger`, with what they need".into()),
    }
}

/// As a gateway has them that has been running for a while: with hints of all. Customers come in any order, as they do in life: in the order of their numbers they would lie closer together. And in one transaction: large ones
/// leave free pages behind, which the small ones of a gateway do not.
fn contacts(folder: &Path, count: u32, is_open: bool) -> Outcome {
    let last_act = if is_open { Timestamp::now() } else { Timestamp::now() - Span::hours(72) };
    let contact = Contact { last_act: Some(last_act), ..Contact::default() };
    let (store, business) = (LmdbStore::open(folder, true)?, Business::from_number(BUSINESS));
    let customer = |number| Customer::parse(&(FIRST_CONTACT + u64::from(number)).to_string());
    store.write(&mut |transaction| {
        let mut records = RecordsMut::new(transaction);
        for number in shuffled(count) {
            records.put_contact(business, &Found { customer: customer(number)?, contact: contact.clone() })?;
        }
        Ok(())
    })?;
    // The next transaction makes the hints' table for as many contacts, and reading fills it.
    store.write(&mut |transaction| {
        RecordsMut::new(transaction).put_contact(business, &Found { customer: customer(0)?, contact: contact.clone() })
    })?;
    store.read(&mut |snapshot| {
        (0..count).try_for_each(|number| Records(snapshot).contact(business, &customer(number)?).map(drop))
    })?;
    Ok(())
}

/// The numbers below a count, in an order that is the same in every run.
fn shuffled(count: u32) -> Vec<u32> {
    let mut numbers: Vec<u32> = (0..count).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for last in (1..numbers.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        numbers.swap(last, (state % (last as u64 + 1)) as usize);
    }
    numbers
}

/// Of five webhooks two are a customer's message, and three are what became of an answer to one: sent, delivered, read.
fn webhooks(count: u64, secret: Option<&str>) -> Outcome {
    let mut out = BufWriter::new(io::stdout().lock());
    for index in 0..count {
        let (round, part) = (index / 5, index % 5);
        let (customer, at) = (FIRST_WRITER + round * 7919 % 100_000, OCTOBER + index);
        let business = BUSINESS + round % 3;
        let change = match part {
            0 | 1 => format!(
                "\"contacts\":[{{\"profile\":{{\"name\":\"Sheena\"}},\"wa_id\":\"{customer}\"}}],\"messages\":[{{\"from\":\"{customer}\",\
                 \"id\":\"wamid.in{index}\",\"timestamp\":\"{at}\",\"type\":\"text\",\"text\":{{\"body\":\"Does it come in another color?\"}}}}]"
            ),
            _ => {
                let word = ["sent", "delivered", "read"][part as usize - 2];
                let price = "\"pricing\":{\"billable\":true,\"pricing_model\":\"PMP\",\"type\":\"regular\",\"category\":\"utility\"}";
                format!(
                    "\"statuses\":[{{\"id\":\"wamid.out{round}\",\"status\":\"{word}\",\"timestamp\":\"{at}\",\"recipient_id\":\"{customer}\",{price}}}]"
                )
            }
        };
        let webhook = format!(
            "{{\"object\":\"whatsapp_business_account\",\"entry\":[{{\"id\":\"102290129340398\",\"changes\":[{{\"value\":{{\"messaging_product\":\
             \"whatsapp\",\"metadata\":{{\"display_phone_number\":\"15550783881\",\"phone_number_id\":\"{business}\"}},{change}}},\"field\":\"messages\"}}]}}]}}"
        );
        if let Some(secret) = secret {
            let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?.chain_update(&webhook);
            let signature = mac.finalize().into_bytes();
            write!(out, "sha256={}\t", signature.iter().map(|byte| format!("{byte:02x}")).collect::<String>())?;
        }
        writeln!(out, "{webhook}")?;
    }
    Ok(out.flush()?)
}

/// A month of three numbers in forty markets: each message with its line, its charge, and now and then what the platform made of it.
fn ledger(count: u64, folder: &Path) -> Outcome {
    let store = LmdbStore::open(folder, true)?;
    let month = Zone::UTC.midnight(Day::new(2026, 10, 1));
    let markets: Vec<Market> = (0..40).filter_map(|index| market(index, Day::new(2026, 10, 1))).collect();
    let (rate, currency) = (Amount::parse("0.0658")?, Currency::parse("EUR")?);
    let categories = [Category::Marketing, Category::Utility, Category::Authentication, Category::Service];
    for group in (0..count).step_by(ENTRIES as usize) {
        store.write(&mut |transaction| {
            let mut records = RecordsMut::new(transaction);
            for index in group..(group + ENTRIES).min(count) {
                let message = index / 2;
                let recorded_at = month + Span::millis((message * 2_678_400 / (count / 2) * 1000) as u32);
                let category = categories[(message % 4) as usize];
                let is_charge = index % 2 == 1;
                let charged = Charged { charge: Some(Charge::Billable), reason: Some(ChargeReason::PerMessage) };
                let kind = match (is_charge, message % 3) {
                    (false, _) => LineKind::Message,
                    (true, 0) => LineKind::Charge,
                    (true, _) => LineKind::Reconciled,
                };
                let line = Line {
                    day: Zone::UTC.day(recorded_at),
                    kind,
                    class: if category == Category::Service { Class::FreeForm } else { Class::Template },
                    category,
                    estimated: false,
                    placement: Placement::NONE,
                    charged: if is_charge { charged } else { Charged::NONE },
                    no_amount: None,
                    estimate: None,
                    market: markets.get((message % 37) as usize).copied(),
                    currency: Some(currency),
                    reason: None,
                    code: None,
                };
                let amount = if is_charge { rate } else { Amount::ZERO };
                records.post(&Entry {
                    recorded_at,
                    business: Business::from_number(BUSINESS + message % 3),
                    person: Some(message % 1_000_000 + 1),
                    message: Some(message + 1),
                    line,
                    count: 1,
                    amount,
                    estimated_amount: Amount::ZERO,
                })?;
            }
            Ok(())
        })?;
        eprint!("\r{} of {count} entries", (group + ENTRIES).min(count));
    }
    eprintln!();
    Ok(())
}

/// The market of a calling code or another.
fn market(index: u32, on: Day) -> Option<Market> {
    let customer = Customer::parse(&format!("{}5550123456", 20 + index)).ok()?;
    Country::of(&customer).map(|country| Market::of(country, on))
}
