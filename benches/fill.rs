//! Fills a store with customers that wrote a moment ago: `cargo bench --bench fill -- FOLDER COUNT`.

use std::path::Path;

use csw::party::{Business, Customer};
use csw::rules::contact::Contact;
use csw::store::lmdb::LmdbStore;
use csw::store::{Found, RecordsMut, Store};
use csw::time::Timestamp;

/// The business that every customer wrote to.
const BUSINESS: u64 = 106_540_352_242_922;
/// The number of the first customer; the others follow.
const FIRST: u64 = 10_000_000_000;
/// Customers in one transaction.
const GROUP: u64 = 100_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().filter(|argument| argument != "--bench").collect();
    let [_, folder, count] = arguments.as_slice() else {
        println!("fill: give a folder and a count; nothing to do");
        return Ok(());
    };
    let store = LmdbStore::open(Path::new(folder), true)?;
    let count: u64 = count.parse()?;
    let contact = Contact { last_act: Some(Timestamp::now()), ..Contact::default() };
    for group in (0..count).step_by(GROUP as usize) {
        store.write(&mut |transaction| {
            let mut records = RecordsMut::new(transaction);
            for index in group..(group + GROUP).min(count) {
                let customer = Customer::parse(&(FIRST + index).to_string())?;
                let found = Found { customer, contact: contact.clone() };
                records.put_contact(Business::from_number(BUSINESS), &found)?;
            }
            Ok(())
        })?;
        eprint!("\r{} of {count} customers", (group + GROUP).min(count));
    }
    eprintln!();
    Ok(())
}
