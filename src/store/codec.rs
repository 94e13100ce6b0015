//! The bytes of every key and record. Keys are written out here; values are a version byte and postcard.

use std::fmt;

use arrayvec::ArrayVec;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Code, Error, Result};
use crate::money::{Amount, Currency};
use crate::party::{Business, CUSTOMER_MAX, Customer};
use crate::rules::contact::{Contact, Hint};
use crate::rules::event::{Category, Sending, TemplateName};
use crate::rules::ledger::Line;
use crate::rules::market::Market;
use crate::rules::message::Message;
use crate::store::Table;
use crate::time::{Day, Timestamp};

/// The version of the whole store: which tables there are, what their keys look like, and what their records hold.
pub const FORMAT: u32 = 5;
/// The version of the records' values.
const RECORD: u8 = 1;

/// A message id by its hash: ids are long, differ late, and are nobody's business.
pub type IdHash = [u8; 16];

/// The hash of a message id; of one member's copy of a group message, where a member is named.
pub fn id_hash(id: &str, member: Option<&Customer>) -> IdHash {
    let mut hash = Sha256::new_with_prefix(id);
    if let Some(member) = member {
        hash.update([0]);
        hash.update(member.text());
    }
    let mut short = IdHash::default();
    short.copy_from_slice(&hash.finalize()[..16]);
    short
}

/// What stands under a customer's name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Slot {
    /// The contact itself.
    Contact(Contact),
    /// The name under which the contact is kept.
    Alias(Customer),
}

/// What is known under a message id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeenId {
    /// When it was last written (the first field: [`recorded_at`] reads it alone): how long ids are kept is counted from here, so that an old webhook replayed today is recognised tomorrow.
    pub recorded_at: Timestamp,
    /// What was seen.
    pub what: Seen,
}

/// What stands behind a message id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Seen {
    /// A message of the business.
    Message(Box<Message>),
    /// An act of the customer.
    Act {
        /// When they acted.
        at: Timestamp,
        /// Whether it opens or refreshes the window.
        opens: bool,
        /// Whether they came through an entry point.
        clicked: bool,
    },
    /// Anything else that must not be recorded twice.
    Other,
}

/// An entry of the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was written.
    pub recorded_at: Timestamp,
    /// The business's number.
    pub business: Business,
    /// The number that stands for the customer: who that is stands elsewhere, and can be erased without touching the ledger.
    pub person: Option<PersonNumber>,
    /// The message, by its place in the order of recording; `None` of sends that never became one.
    pub message: Option<u64>,
    /// What it says.
    pub line: Line,
    /// 1, or -1 where it takes an earlier entry back.
    pub count: i64,
    /// The amount that is charged.
    pub amount: Amount,
    /// The amount that was reckoned before the platform reported.
    pub estimated_amount: Amount,
}

/// What the entries of one key of the totals add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Total {
    /// How many lines.
    pub count: i64,
    /// The amount that is charged.
    pub amount: Amount,
    /// The amount that was reckoned before the platform reported.
    pub estimated_amount: Amount,
}

impl Total {
    /// Counts an entry.
    pub fn add(&mut self, entry: &Entry) {
        self.count += entry.count;
        self.amount += entry.amount;
        self.estimated_amount += entry.estimated_amount;
    }
}

/// A customer in the ledger.
pub type PersonNumber = u64;

/// A template of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateRecord {
    /// Which.
    pub template: TemplateName,
    /// Whether it may be sent; `None` while only its category was heard of.
    pub approved: Option<bool>,
    /// Its category.
    pub category: Option<Category>,
    /// When the newest of that was said.
    pub as_of: Option<Timestamp>,
    /// When it was said whether it may be sent: what was said of that before changes nothing.
    pub approved_as_of: Option<Timestamp>,
    /// When its category was said: what was said of that before changes nothing.
    pub category_as_of: Option<Timestamp>,
}

/// A message that waits for its customer's next act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// When it is given up (the first field: [`recorded_at`] reads it alone).
    pub expires_at: Timestamp,
    /// Until when somebody has it in hand, to send it. It is never handed out twice, unless it is given back.
    pub in_hand_until: Option<Timestamp>,
    /// The customer acted while it was in hand: given back, it may go out at once.
    pub is_woken: bool,
    /// The kind of gateway that parked it and can send it, such as `nginx`.
    pub gateway: String,
    /// What accounting knows of it.
    pub sending: Sending,
    /// The body of the send.
    pub body: Body,
}

/// The body of a send: what a business writes to a customer is nobody's business, and stands in no log.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Body(pub Vec<u8>);

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.0.len())
    }
}

/// The body of an accepted send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// When it was kept (the first field: [`recorded_at`] reads it alone).
    pub kept_at: Timestamp,
    /// The customer.
    pub customer: Customer,
    /// The kind of gateway that sent it.
    pub gateway: String,
    /// The body.
    pub body: Body,
}

/// Something to be done outside of requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// The number.
    pub business: Business,
    /// The customer.
    pub customer: Customer,
    /// Somebody has it in hand, until the time of its key.
    pub in_hand: bool,
    /// What.
    pub what: DueWhat,
}

/// What is to be done. A nudge and a refused message hold the body of a send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DueWhat {
    /// The customer's parked messages may go out.
    Backlog,
    /// A send of our own: the template that asks a customer to write.
    Nudge(Body),
    /// The closed branch, for a body that the platform took and then refused.
    Refused(Body),
}

/// What is known of a business number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NumberRecord {
    /// A phone number id: the business account that it belongs to.
    Belongs(u64),
    /// A display number: the phone number id that it stands for.
    Displays(Business),
}

/// A key that begins with a contact's. It is made for every question, so it takes nothing from the heap.
pub type ContactKey = ArrayVec<u8, { 9 + CUSTOMER_MAX + 17 }>;

/// The key of a contact: the number, then the customer, so that one number's contacts lie together.
pub fn contact_key(business: Business, customer: &Customer) -> ContactKey {
    let mut key = ContactKey::new();
    put_contact_key(&mut key, business, customer);
    key
}

/// The same behind what is there already: a key is large to be handed on.
pub fn put_contact_key(key: &mut ContactKey, business: Business, customer: &Customer) {
    append(key, &business.number().to_be_bytes());
    append(key, &[customer.kind() as u8]);
    append(key, customer.text().as_bytes());
}

/// In one piece. There is room: a key is as long as the longest customer asks for.
fn append(key: &mut ContactKey, bytes: &[u8]) {
    let _ = key.try_extend_from_slice(bytes);
}

/// The number and the customer that a contact's key was made of.
///
/// # Errors
/// `Format` when the key is not ours.
pub fn contact_of(key: &[u8]) -> Result<(Business, Customer)> {
    let business = key.first_chunk().map(|bytes| Business::from_number(u64::from_be_bytes(*bytes)));
    let text = key.get(9..).and_then(|text| std::str::from_utf8(text).ok());
    let customer = key.get(8).zip(text).and_then(|(kind, text)| Customer::of_kind(*kind, text));
    business.zip(customer).ok_or_else(|| foreign(Table::Contacts))
}

/// What the keys of all message ids of a contact begin with. Names hold no zero byte, so no contact's prefix begins another's.
pub fn messages_prefix(business: Business, customer: &Customer) -> ContactKey {
    let mut key = contact_key(business, customer);
    append(&mut key, &[0]);
    key
}

/// The key of a message id: beside its contact's other ids, so that what is written together lies together.
pub fn message_key(business: Business, customer: &Customer, id: IdHash) -> ContactKey {
    let mut key = messages_prefix(business, customer);
    append(&mut key, &id);
    key
}

/// The key of a parked message: beside its customer's others, in order.
pub fn parked_key(business: Business, customer: &Customer, id: u64) -> ContactKey {
    let mut key = messages_prefix(business, customer);
    append(&mut key, &id.to_be_bytes());
    key
}

/// What the keys of all that a kind of gateway has to do begin with. Their names hold no zero byte.
pub fn due_prefix(gateway: &str) -> Vec<u8> {
    [gateway.as_bytes(), &[0]].concat()
}

/// The key of something that a kind of gateway has to do from a time on.
pub fn due_key(gateway: &str, from: Timestamp, id: u64) -> Vec<u8> {
    let from = u64::try_from(from.millis()).unwrap_or_default();
    [&due_prefix(gateway)[..], &from.to_be_bytes(), &id.to_be_bytes()].concat()
}

/// The time and the id of a [`due_key`].
pub fn due_of(key: &[u8]) -> (Timestamp, u64) {
    let (times, id) = key.split_at(key.len().saturating_sub(8));
    let number = |bytes: Option<&[u8; 8]>| bytes.map_or(0, |bytes| u64::from_be_bytes(*bytes));
    let from = i64::try_from(number(times.last_chunk())).unwrap_or(i64::MAX);
    (Timestamp::from_millis(from), number(id.first_chunk()))
}

/// The key that leads from an outbound message id to its contact.
pub fn id_key(business: Business, id: IdHash) -> Vec<u8> {
    [&business.number().to_be_bytes()[..], &id].concat()
}

/// The key of a month's count of service messages.
pub fn tier_key(business: Business, month: Day) -> Vec<u8> {
    [&month.number().to_be_bytes()[..], &business.number().to_be_bytes()].concat()
}

/// The key of a month's count of charged messages of a market and category, over all numbers billed in a currency.
///
/// # Errors
/// `Internal` when it cannot be encoded.
pub fn volume_key(month: Day, currency: Currency, market: Market, category: Category) -> Result<Vec<u8>> {
    Ok([&month.number().to_be_bytes()[..], &encode(&(currency, market, category))?].concat())
}

/// The key of a rate: the card's currency and first day, then the market and category.
///
/// # Errors
/// `Internal` when it cannot be encoded.
pub fn rate_key(currency: Currency, from: Day, market: Market, category: Category) -> Result<Vec<u8>> {
    Ok([&rates_prefix(currency, from)[..], &encode(&(market, category))?].concat())
}

/// What the keys of a rate card begin with.
pub fn rates_prefix(currency: Currency, from: Day) -> Vec<u8> {
    [currency.code().as_bytes(), &from.number().to_be_bytes()].concat()
}

/// The market and category of a rate's key.
///
/// # Errors
/// `Format` when the key is not ours.
pub fn rate_of(key: &[u8]) -> Result<(Market, Category)> {
    decode(Table::Rates, key.get(7..).unwrap_or_default())
}

/// The key of a person of the ledger.
pub fn person_key(person: PersonNumber) -> [u8; 8] {
    person.to_be_bytes()
}

/// The key of a template; long names are hashed, so that it always fits.
pub fn template_key(account: u64, name: &TemplateName) -> Vec<u8> {
    let hash = Sha256::new_with_prefix(&name.name).chain_update([0]).chain_update(&name.language).finalize();
    [&account.to_be_bytes()[..], &hash[..16]].concat()
}

/// The key of a total: the day first, so that a report reads one stretch.
///
/// # Errors
/// `Internal` when the line cannot be encoded.
pub fn total_key(business: Business, line: &Line) -> Result<Vec<u8>> {
    Ok([&line.day.number().to_be_bytes()[..], &business.number().to_be_bytes(), &encode(line)?].concat())
}

/// The number and the line that a total's key was made of.
///
/// # Errors
/// `Format` when the key is not ours.
pub fn total_of(key: &[u8]) -> Result<(Business, Line)> {
    let (Some(number), Some(line)) = (key.get(4..12).and_then(|bytes| bytes.try_into().ok()), key.get(12..)) else {
        return Err(foreign(Table::Totals));
    };
    Ok((Business::from_number(u64::from_be_bytes(number)), decode(Table::Totals, line)?))
}

/// The bytes of a record.
///
/// # Errors
/// `Internal` when it cannot be encoded.
pub fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>> {
    // Room for most records at once.
    let mut bytes = Vec::with_capacity(192);
    bytes.push(RECORD);
    postcard::to_extend(record, bytes)
        .map_err(|cause| Error::new(Code::Internal, format!("a record cannot be encoded: {cause}")))
}

/// A record from its bytes.
///
/// # Errors
/// `Format` when a newer version wrote it, or it is damaged.
pub fn decode<T: DeserializeOwned>(table: Table, bytes: &[u8]) -> Result<T> {
    match bytes.split_first() {
        Some((&RECORD, record)) => postcard::from_bytes(record).map_err(|_| foreign(table)),
        Some((version, _)) => Err(Error::new(
            Code::Format,
            format!(
                "table {}: a record of version {version}, this csw reads version {RECORD}; use the newer csw",
                table.name()
            ),
        )),
        None => Err(foreign(table)),
    }
}

/// The hint of what stands under a contact's key; another name, and what cannot be read, has none.
pub fn hint(bytes: &[u8]) -> Option<Hint> {
    match decode(Table::Contacts, bytes) {
        Ok(Slot::Contact(contact)) => contact.hint(),
        Ok(Slot::Alias(_)) | Err(_) => None,
    }
}

/// When a record was written that begins with that time, read without the rest of it.
///
/// # Errors
/// As [`decode`].
pub fn recorded_at(table: Table, record: &[u8]) -> Result<Timestamp> {
    match record.split_first() {
        Some((&RECORD, fields)) => {
            let beginning = postcard::take_from_bytes(fields).map_err(|_| foreign(table))?;
            Ok(beginning.0)
        }
        _ => decode(table, record),
    }
}

fn foreign(table: Table) -> Error {
    Error::new(
        Code::Format,
        format!(
            "table {}: a record cannot be read; the store is damaged or not csw's: restore it from a copy",
            table.name()
        ),
    )
}
