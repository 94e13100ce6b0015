//! What stands in a store, after a byte that names its table: a record, or an error of `format`. What was read is written and read again as it was.

use std::fmt::Debug;

use csw::error::{Code, Result};
use csw::gate::Token;
use csw::party::Customer;
use csw::rules::rate::Rate;
use csw::store::Table;
use csw::store::codec::{
    self, Due, Entry, Kept, NumberRecord, Parked, SeenId, Slot, TemplateRecord, Total, decode, encode,
};
use csw::time::Day;
use serde::{Serialize, de::DeserializeOwned};

/// Reads a key and a record of a table.
pub fn check(bytes: &[u8]) {
    let Some((table, bytes)) = bytes.split_first() else { return };
    let table = Table::ALL[usize::from(*table) % Table::ALL.len()];
    match table {
        Table::Meta | Table::Volumes => check_record::<u64>(table, bytes),
        Table::Contacts => check_record::<Slot>(table, bytes),
        Table::Messages => check_record::<SeenId>(table, bytes),
        Table::Ids => check_record::<Customer>(table, bytes),
        Table::Ledger => check_record::<Entry>(table, bytes),
        Table::Totals => check_record::<Total>(table, bytes),
        Table::Tiers => check_record::<u32>(table, bytes),
        Table::Templates => check_record::<TemplateRecord>(table, bytes),
        Table::Numbers => check_record::<NumberRecord>(table, bytes),
        Table::Rates => {
            check_record::<Rate>(table, bytes);
            check_record::<Vec<Day>>(table, bytes);
        }
        Table::Persons => check_record::<Option<Customer>>(table, bytes),
        Table::Parked => check_record::<Parked>(table, bytes),
        Table::Kept => check_record::<Kept>(table, bytes),
        Table::Due => check_record::<Due>(table, bytes),
    }
    check_key(codec::contact_of(bytes), |(business, customer)| Ok(codec::contact_key(*business, customer).to_vec()));
    check_key(codec::total_of(bytes), |(business, line)| codec::total_key(*business, line));
    let _ = (codec::rate_of(bytes), codec::due_of(bytes));
    if let Ok(time) = codec::recorded_at(table, bytes) {
        let _ = time.to_string();
    }
    if let Ok(token) = Token::from_bytes(bytes) {
        let written = token.to_bytes().expect("what was read can be written");
        assert_eq!(Token::from_bytes(&written), Ok(token));
    }
}

fn check_record<T: Serialize + DeserializeOwned + Debug + PartialEq>(table: Table, bytes: &[u8]) {
    match decode::<T>(table, bytes) {
        Ok(record) => {
            let _ = format!("{record:?}");
            let written = encode(&record).expect("what was read can be written");
            assert_eq!(decode::<T>(table, &written), Ok(record));
        }
        Err(error) => {
            assert_eq!(error.code(), Code::Format);
            assert!(error.message().starts_with(&format!("table {}: ", table.name())), "{error}");
        }
    }
}

/// A key that can be read leads back to itself.
fn check_key<T: PartialEq + Debug>(read: Result<T>, write: impl Fn(&T) -> Result<Vec<u8>>) {
    match read {
        Ok(key) => assert!(write(&key).is_ok(), "{key:?}"),
        Err(error) => assert_eq!(error.code(), Code::Format),
    }
}
