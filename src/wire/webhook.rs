//! A webhook of the Cloud API, read into events and notices (Meta, Webhooks reference).

use serde_json_borrow::Value;

use super::{Node, Read, check_limits};
use crate::error::{Code, Error, Result};
use crate::party::{Business, Customer};
use crate::rules::event::{
    Act, Category, Event, Notice, NoticeWhat, PriceModel, Progress, Reported, Source, Status, TemplateName, What,
};
use crate::store::codec;
use crate::time::Timestamp;

/// From here on a number of seconds would lie after the year 5000: it counts milliseconds.
const MILLISECONDS_FROM: i64 = 100_000_000_000;
/// From here on a number of milliseconds lies after the year 5000, and the value is neither.
const ABSURD_FROM: i64 = 100_000_000_000_000;
/// 2009-01-01, the year of the first WhatsApp message: nothing is older.
const EARLIEST: Timestamp = Timestamp::from_seconds(1_230_768_000);

/// What a webhook says. Whatever it holds, nothing in it stops the rest from being read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Webhook {
    /// What happened between the business and its customers, in the order of the payload.
    pub events: Vec<Event>,
    /// What it says of the business account, its numbers and templates.
    pub notices: Vec<Notice>,
    /// How many parts say nothing that csw records: echoes, history, ringing, unknown fields and words.
    pub ignored: u32,
    /// The parts that cannot be read, each by its place and with what was expected there.
    pub unreadable: Vec<String>,
}

/// Reads a webhook.
///
/// # Errors
/// `NotJson` when the bytes are no JSON object, `TooLarge` when they are more or nested deeper than the platform ever sends.
pub fn parse(bytes: &[u8]) -> Result<Webhook> {
    check_limits(bytes)?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let not_json = |found: String| Error::new(Code::NotJson, format!("webhook: expected a JSON object; {found}"));
    let whole;
    let body: Value = match serde_json::from_slice(bytes) {
        Ok(body) => body,
        Err(error) => {
            whole = without_half_pairs(bytes);
            serde_json::from_slice(&whole).map_err(|_| not_json(error.to_string()))?
        }
    };
    if !body.is_object() {
        return Err(not_json("found another value".into()));
    }
    let mut webhook = Webhook::default();
    webhook.body(&Node::root(&body));
    Ok(webhook)
}

/// The same JSON without halves of surrogate pairs. A text that was cut off inside an emoji ends with one: it is JSON all the same,
/// but serde_json refuses it, and one such text must not cost the whole batch.
fn without_half_pairs(json: &[u8]) -> Vec<u8> {
    let unit = |bytes: &[u8]| {
        let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let mut whole = Vec::with_capacity(json.len());
    let mut rest = json;
    while let Some(byte) = rest.first() {
        let (length, is_half) = match (unit(rest), rest.get(6..).and_then(unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, false),
            (Some(0xd800..=0xdfff), _) => (6, true),
            _ if *byte == b'\\' => (rest.len().min(2), false),
            _ => (1, false),
        };
        let (taken, after) = rest.split_at(length);
        whole.extend_from_slice(if is_half { b"\\ufffd" } else { taken });
        rest = after;
    }
    whole
}

/// The business account that an entry is about, and when the platform said so.
#[derive(Clone, Copy)]
struct Account {
    id: Option<u64>,
    at: Option<Timestamp>,
}

/// The number that a change is about.
#[derive(Clone, Copy)]
struct Number {
    business: Business,
    display: Option<Business>,
}

/// For each of `contacts[]`, the names that it gives one person.
type Contacts = Vec<Vec<Customer>>;

/// Reads one element of a list of a change; `None` where there is nothing to record.
type Reader = fn(&mut Webhook, Number, &Contacts, &Node) -> Read<Option<Event>>;

impl Webhook {
    fn body(&mut self, body: &Node) {
        if body.get("object").text().is_some_and(|object| object != "whatsapp_business_account") {
            self.ignored += 1;
            return;
        }
        let entries = body.get("entry");
        self.expect_list(&entries);
        for entry in entries.items() {
            let account = self.readable(account(&entry.get("id")));
            let changes = entry.get("changes");
            self.expect_list(&changes);
            let at = time(&entry.get("time")).ok();
            for change in changes.items() {
                let read = self.change(Account { id: account, at }, &change);
                self.readable(read);
            }
        }
    }

    fn change(&mut self, account: Account, change: &Node) -> Read<()> {
        let value = change.get("value");
        let number = number(&value.get("metadata"));
        if let Ok(Number { business, display }) = number {
            self.notice(account, Some(NoticeWhat::Number { business, display }));
        }
        // The field decides: under `history` and `calls` there are `messages` and `statuses` of another meaning.
        match change.get("field").text().unwrap_or_default() {
            "messages" => self.parts(number?, &value, &[("messages", Self::message), ("statuses", Self::status)]),
            "calls" => self.parts(number?, &value, &[("calls", Self::call), ("statuses", Self::call_status)]),
            "user_id_update" => self.parts(number?, &value, &[("user_id_update", Self::user_id)]),
            "message_template_status_update" => self.notice(account, template_status(&value)?),
            "template_category_update" => self.notice(account, template_category(&value)?),
            _ => self.ignore_but(&value, &[]),
        }
        Ok(())
    }

    fn parts(&mut self, number: Number, value: &Node, lists: &[(&'static str, Reader)]) {
        let contacts = self.contacts(value);
        for (key, read) in lists {
            for part in value.get(key).items() {
                let read = read(self, number, &contacts, &part);
                match self.readable(read) {
                    Some(Some(event)) => self.events.push(event),
                    Some(None) => self.ignored += 1,
                    None => {}
                }
            }
        }
        self.ignore_but(value, lists);
    }

    fn message(&mut self, number: Number, contacts: &Contacts, message: &Node) -> Read<Option<Event>> {
        let at = time(&message.get("timestamp"))?;
        let group = message.get("group_id");
        if message.get("type").text() == Some("system") {
            return if group.exists() { Ok(None) } else { self.system(number, at, message) };
        }
        let (customer, also) = if group.exists() {
            // It opens the group's window, never the sender's own.
            (group.group()?, Vec::new())
        } else {
            self.person(contacts, message, SENDER)?
        };
        let what = What::Customer { act: act(message), source: source(&message.get("referral")) };
        Ok(Some(Event { business: number.business, customer, also, at, id: id(message), what }))
    }

    /// A customer's new number or user id. Other system messages name nobody anew.
    fn system(&mut self, number: Number, at: Timestamp, message: &Node) -> Read<Option<Event>> {
        let system = message.get("system");
        let former = self.names(&[message.get("from"), system.get("previous_user_id")]);
        let present = ["wa_id", "new_wa_id", "user_id", "parent_user_id"].map(|key| system.get(key));
        let present = self.names(&present);
        Ok(identity(number, at, id(message), former, present))
    }

    /// One of the `user_id_update` field, which the platform sent for some months of 2026.
    fn user_id(&mut self, number: Number, _: &Contacts, update: &Node) -> Read<Option<Event>> {
        let at = time(&update.get("timestamp"))?;
        let (user, parent) = (update.get("user_id"), update.get("parent_user_id"));
        let former = self.names(&[user.get("previous"), parent.get("previous")]);
        let present = self.names(&[user.get("current"), parent.get("current"), update.get("wa_id")]);
        Ok(identity(number, at, None, former, present))
    }

    fn status(&mut self, number: Number, contacts: &Contacts, status: &Node) -> Read<Option<Event>> {
        let progress = match status.get("status").text() {
            Some("sent") => Progress::Sent,
            Some("delivered") => Progress::Delivered,
            Some("read" | "played") => Progress::Read,
            Some("failed") => Progress::Failed,
            _ => return Ok(None),
        };
        // A payment has statuses here, too, and one of its words is `failed`.
        if status.get("type").text().is_some_and(|kind| kind != "message") {
            return Ok(None);
        }
        let at = time(&status.get("timestamp"))?;
        let (customer, also) = if status.get("recipient_type").text() == Some("group") {
            (status.get("recipient_id").group()?, Vec::new())
        } else {
            self.person(contacts, status, RECIPIENT)?
        };
        let member = self.names(&[status.get("recipient_participant_id")]).pop();
        let code = status.get("errors").items().next().and_then(|error| error.get("code").integer());
        let what = What::Status(Status { progress, code, reported: self.reported(status), member });
        Ok(Some(Event { business: number.business, customer, also, at, id: id(status), what }))
    }

    fn reported(&mut self, status: &Node) -> Option<Reported> {
        let (pricing, conversation) = (status.get("pricing"), status.get("conversation"));
        if !pricing.exists() && !conversation.exists() {
            return None;
        }
        let (kind, origin) = (pricing.get("type").text(), conversation.get("origin").get("type").text());
        let priced = pricing.get("category").text();
        let billable = match kind {
            Some("regular") => Some(true),
            Some(free) if free.starts_with("free_") => Some(false),
            _ => pricing.get("billable").value.and_then(Value::as_bool),
        };
        let expires_at = conversation.get("expiration_timestamp");
        Some(Reported {
            category: priced.or(origin).and_then(category),
            billable,
            free_entry_point: kind == Some("free_entry_point")
                || [priced, origin].contains(&Some("referral_conversion")),
            expires_at: expires_at.exists().then(|| self.readable(time(&expires_at))).flatten(),
            model: match pricing.get("pricing_model").text() {
                Some("CBP") => Some(PriceModel::Conversation),
                Some("PMP") => Some(PriceModel::Message),
                _ => None,
            },
            conversation: conversation.get("id").text().map(|id| codec::id_hash(id, None)),
        })
    }

    fn call(&mut self, number: Number, contacts: &Contacts, call: &Node) -> Read<Option<Event>> {
        if call.get("event").text() != Some("connect") {
            return Ok(None);
        }
        let is_ours = |key| number.display.is_some() && business(&call.get(key)).ok() == number.display;
        let (from_us, to_us) = (is_ours("from"), is_ours("to"));
        let direction = call.get("direction");
        match direction.text() {
            Some("USER_INITIATED") => {}
            None if to_us && !from_us => {}
            None if !to_us && !from_us => return Err(direction.fault("USER_INITIATED or BUSINESS_INITIATED")),
            _ => return Ok(None),
        }
        let at = time(&call.get("timestamp"))?;
        // The documentation's own samples exchange `from` and `to`: whoever is not the business is the customer.
        let caller = if from_us { ["to", "to_user_id", "to_parent_user_id"] } else { SENDER };
        let (customer, also) = self.person(contacts, call, caller)?;
        let what = What::Customer { act: Act::Call, source: None };
        Ok(Some(Event { business: number.business, customer, also, at, id: id(call), what }))
    }

    fn call_status(&mut self, number: Number, contacts: &Contacts, status: &Node) -> Read<Option<Event>> {
        if (status.get("type").text(), status.get("status").text()) != (Some("call"), Some("ACCEPTED")) {
            return Ok(None);
        }
        let at = time(&status.get("timestamp"))?;
        let (customer, also) = self.person(contacts, status, RECIPIENT)?;
        let what = What::Customer { act: Act::CallAccepted, source: None };
        Ok(Some(Event { business: number.business, customer, also, at, id: id(status), what }))
    }

    /// The person whom a part names under these keys, phone number first, with the names that the matching contact adds.
    fn person<const N: usize>(
        &mut self,
        contacts: &Contacts,
        part: &Node,
        keys: [&'static str; N],
    ) -> Read<(Customer, Vec<Customer>)> {
        let mut names = self.names(&keys.map(|key| part.get(key)));
        let contact = match (names.as_slice(), contacts.as_slice()) {
            ([], [only]) => Some(only),
            _ => contacts.iter().find(|contact| contact.iter().any(|name| names.contains(name))),
        };
        extend(&mut names, contact.into_iter().flatten());
        names.sort_by_key(Customer::kind);
        let mut names = names.into_iter();
        let customer =
            names.next().ok_or_else(|| format!("{part}: expected a phone number or user id of the customer"))?;
        Ok((customer, names.collect()))
    }

    fn contacts(&mut self, value: &Node) -> Contacts {
        let contacts = value.get("contacts");
        let keys = ["wa_id", "user_id", "parent_user_id"];
        contacts.items().map(|contact| self.names(&keys.map(|key| contact.get(key)))).collect()
    }

    /// The names that can be read, each once; the others are reported.
    fn names(&mut self, nodes: &[Node]) -> Vec<Customer> {
        let mut names = Vec::new();
        for node in nodes.iter().filter(|node| node.exists()) {
            extend(&mut names, &self.readable(node.person()));
        }
        names
    }

    fn notice(&mut self, account: Account, what: Option<NoticeWhat>) {
        match (account.id, what) {
            (Some(id), Some(what)) => self.notices.push(Notice { account: id, at: account.at, what }),
            // That the account cannot be read was reported with its entry.
            (None, Some(_)) => {}
            (_, None) => self.ignored += 1,
        }
    }

    /// What was read; a fault is reported instead.
    fn readable<T>(&mut self, read: Read<T>) -> Option<T> {
        read.map_err(|fault| self.unreadable.push(fault)).ok()
    }

    fn expect_list(&mut self, list: &Node) {
        if !list.value.is_some_and(Value::is_array) {
            self.unreadable.push(list.fault("a list"));
        }
    }

    /// Counts what a value holds besides the lists that are read: the elements of other lists, or the value as a whole.
    fn ignore_but(&mut self, value: &Node, lists: &[(&'static str, Reader)]) {
        for list in lists.iter().map(|(key, _)| value.get(key)).filter(Node::exists) {
            self.expect_list(&list);
        }
        let is_read = |key: &str| lists.iter().any(|(list, _)| *list == key);
        let others = value.members().filter(|(key, _)| *key != "contacts" && !is_read(key));
        let count: usize = others.filter_map(|(_, other)| other.as_array()).map(<[Value]>::len).sum();
        let nothing_read = !value.members().any(|(key, _)| is_read(key));
        self.ignored += u32::try_from(count).unwrap_or(u32::MAX).max(nothing_read.into());
    }
}

const SENDER: [&str; 3] = ["from", "from_user_id", "from_parent_user_id"];
const RECIPIENT: [&str; 4] = ["recipient_id", "recipient_user_id", "parent_recipient_user_id", "parent_user_id"];

/// What a message is, as far as the window is concerned.
fn act(message: &Node) -> Act {
    match message.get("type").text().unwrap_or_default() {
        "text" | "image" | "video" | "audio" | "voice" | "document" | "sticker" => Act::Content,
        "location" | "contacts" | "button" | "order" => Act::Content,
        "interactive" => interactive(&message.get("interactive")),
        "reaction" => Act::Reaction,
        "edit" => Act::Edit,
        "revoke" => Act::Revoke,
        "request_welcome" => Act::RequestWelcome,
        "unsupported" | "unknown" => {
            let errors = message.get("errors");
            let unavailable = errors.items().any(|error| error.get("code").integer() == Some(131_060));
            if unavailable { Act::Unavailable } else { Act::Unsupported }
        }
        _ => Act::Unknown,
    }
}

fn interactive(interactive: &Node) -> Act {
    match interactive.get("type").text().unwrap_or_default() {
        "button_reply" | "list_reply" | "nfm_reply" => Act::Content,
        "call_permission_reply" => {
            let reply = interactive.get("call_permission_reply");
            match reply.get("response_source").text() {
                Some("user_action") => Act::CallPermission,
                _ => Act::CallPermissionAutomatic,
            }
        }
        _ => Act::Unknown,
    }
}

fn source(referral: &Node) -> Option<Source> {
    referral.exists().then(|| match referral.get("source_type").text() {
        Some("ad") => Source::Ad,
        Some("post") => Source::Post,
        _ => Source::Other,
    })
}

/// A category by any of the words that the platform has for it.
pub(super) fn category(word: &str) -> Option<Category> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    match word.strip_prefix("group_").unwrap_or(&word) {
        "marketing" | "marketing_lite" => Some(Category::Marketing),
        "utility" => Some(Category::Utility),
        "authentication" => Some(Category::Authentication),
        "authentication_international" => Some(Category::AuthenticationInternational),
        "service" => Some(Category::Service),
        _ => None,
    }
}

/// Whether a template may be sent, by the platform's word for its status.
pub(super) fn is_approved(word: &str) -> Option<bool> {
    match word {
        "APPROVED" | "REINSTATED" | "UNARCHIVED" | "FLAGGED" => Some(true),
        "REJECTED" | "PENDING" | "PAUSED" | "DISABLED" | "ARCHIVED" | "DELETED" | "PENDING_DELETION" => Some(false),
        "IN_APPEAL" | "LOCKED" | "LIMIT_EXCEEDED" => Some(false),
        _ => None,
    }
}

fn template_status(value: &Node) -> Read<Option<NoticeWhat>> {
    let Some(approved) = value.get("event").text().and_then(is_approved) else { return Ok(None) };
    let category = value.get("message_template_category").text().and_then(category);
    Ok(Some(NoticeWhat::TemplateStatus { template: template(value)?, approved, category }))
}

fn template_category(value: &Node) -> Read<Option<NoticeWhat>> {
    // A notice of a change to come: in it, `new_category` is the present one.
    if value.get("correct_category").exists() || value.get("category_update_timestamp").exists() {
        return Ok(None);
    }
    let Some(category) = value.get("new_category").text().and_then(category) else { return Ok(None) };
    Ok(Some(NoticeWhat::TemplateCategory { template: template(value)?, category }))
}

fn template(value: &Node) -> Read<TemplateName> {
    let text = |key| {
        let node = value.get(key);
        node.text().ok_or_else(|| node.fault("text"))
    };
    Ok(TemplateName::new(text("message_template_name")?, text("message_template_language")?))
}

/// That a customer goes by other names now; `None` where nothing links them to the former ones.
fn identity(
    number: Number,
    at: Timestamp,
    id: Option<String>,
    mut names: Vec<Customer>,
    present: Vec<Customer>,
) -> Option<Event> {
    let customer = *names.first()?;
    let is_new = present.iter().any(|name| !names.contains(name));
    extend(&mut names, &present);
    let also = names.split_off(1);
    is_new.then_some(Event { business: number.business, customer, also, at, id, what: What::Identity })
}

/// Adds the names that are not there yet.
fn extend<'a>(names: &mut Vec<Customer>, more: impl IntoIterator<Item = &'a Customer>) {
    for name in more {
        if !names.contains(name) {
            names.push(*name);
        }
    }
}

fn account(id: &Node) -> Read<u64> {
    id.digits_or_text().and_then(|id| id.parse().ok()).ok_or_else(|| id.fault("the id of a business account"))
}

fn number(metadata: &Node) -> Read<Number> {
    let display = business(&metadata.get("display_phone_number")).ok();
    Ok(Number { business: business(&metadata.get("phone_number_id"))?, display })
}

fn business(node: &Node) -> Read<Business> {
    let text = node.digits_or_text().ok_or_else(|| node.fault("digits"))?;
    Business::parse(&text).map_err(|error| node.blame(&error))
}

fn id(part: &Node) -> Option<String> {
    part.get("id").text().filter(|id| !id.is_empty()).map(str::to_owned)
}

/// A moment in Unix seconds; a value that can only be milliseconds is taken as such.
fn time(node: &Node) -> Read<Timestamp> {
    let moment = node.integer().and_then(|number| match number {
        ..MILLISECONDS_FROM => Some(Timestamp::from_seconds(number)),
        MILLISECONDS_FROM..ABSURD_FROM => Some(Timestamp::from_millis(number)),
        ABSURD_FROM.. => None,
    });
    moment.filter(|at| *at >= EARLIEST).ok_or_else(|| node.fault("Unix seconds"))
}
