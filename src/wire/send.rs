//! A send, read from its body as the platform would read it, and the platform's answer to it.

use std::borrow::Cow;
use std::fmt;
use std::io::Read;

use flate2::read::MultiGzDecoder;
use serde::de::IgnoredAny;
use serde_json_borrow::Value;

use super::{Node, check_limits, check_size, shortened};
use crate::error::{self, Code, Error};
use crate::party::{Customer, Kind};
use crate::rules::event::{Category, Class, Outgoing, TemplateName, says_window_closed};

/// Where a send is posted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `/{phone_number_id}/messages`.
    Messages,
    /// `/{phone_number_id}/marketing_messages`: marketing templates only.
    MarketingMessages,
}

/// Reads the body of a send: JSON or form fields, gzip or not.
///
/// # Errors
/// `Body` when the body cannot be read, `TooLarge` when it is larger (also after gzip) or deeper than csw reads.
pub fn parse(endpoint: Endpoint, body: &[u8]) -> error::Result<Outgoing> {
    read(body, |root| outgoing(endpoint, root))
}

fn outgoing(endpoint: Endpoint, root: &Node) -> error::Result<Outgoing> {
    if endpoint == Endpoint::Messages && is_receipt(root) {
        let class = Class::Receipt;
        return Ok(Outgoing { class, customer: None, user_id_in_to: false, category: None, template: None });
    }
    let (class, category, template) = match endpoint {
        Endpoint::Messages => content(root)?,
        Endpoint::MarketingMessages => {
            let template = template(&root.get("template"), "name")?;
            (Class::Template, Some(Category::Marketing), Some(template))
        }
    };
    let customer = addressee(root)?;
    let user_id_in_to = root.get("to").exists() && customer.is_some_and(|customer| customer.kind() == Kind::User);
    Ok(Outgoing { class, customer, user_id_in_to, category, template })
}

/// All that a read receipt or a typing indicator holds. With anything else in it, it may be a message in disguise.
const OF_RECEIPTS: [&str; 6] =
    ["messaging_product", "status", "message_id", "typing_indicator", "recipient_type", "biz_opaque_callback_data"];

fn is_receipt(root: &Node) -> bool {
    root.get("status").text() == Some("read") && root.members().all(|(key, _)| OF_RECEIPTS.contains(&key))
}

/// The class, and the category or template that the body itself names.
fn content(root: &Node) -> error::Result<(Class, Option<Category>, Option<TemplateName>)> {
    let kind = root.get("type");
    let free_form = (Class::FreeForm, Some(Category::Service), None);
    Ok(match kind.text() {
        Some("template") => (Class::Template, None, Some(template(&root.get("template"), "name")?)),
        Some("hsm") => (Class::Template, None, Some(template(&root.get("hsm"), "element_name")?)),
        Some("text" | "interactive") => match direct_send_category(root) {
            Some(category) => (Class::Template, Some(category), None),
            None => free_form,
        },
        Some("image" | "audio" | "video" | "document" | "sticker" | "location" | "contacts") => free_form,
        Some("reaction") => (Class::Reaction, None, None),
        None if !kind.exists() && root.get("text").exists() => free_form,
        _ => (Class::Unknown, None, None),
    })
}

/// The template category of a Direct Send. The platform refuses other words than these and `service`, so what names them is free-form.
fn direct_send_category(root: &Node) -> Option<Category> {
    let word = root.get("category").text()?;
    [Category::Utility, Category::Authentication]
        .into_iter()
        .find(|category| category.word().eq_ignore_ascii_case(word))
}

fn template(template: &Node, name_key: &'static str) -> error::Result<TemplateName> {
    let name = template.get(name_key);
    let name = name.text().ok_or_else(|| unreadable(name.fault("the template's name")))?;
    let language = template.get("language");
    let code = language.get("code").text().or(language.text());
    Ok(TemplateName::new(name, code.unwrap_or_default()))
}

/// To whom it goes; `None` for what names nobody that the platform knows.
fn addressee(root: &Node) -> error::Result<Option<Customer>> {
    let (to, recipient) = (root.get("to"), root.get("recipient"));
    let named = if root.get("recipient_type").text() == Some("group") { to.group() } else { to.person() };
    if to.exists() {
        return Ok(named.ok());
    }
    if !recipient.exists() {
        return Err(unreadable("to: expected a phone number, or a user id in recipient; found neither".into()));
    }
    Ok(recipient.person().ok().filter(|customer| customer.kind() == Kind::User))
}

/// What the platform's answer to a send says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Receipt {
    /// The ids of the messages that it took.
    pub ids: Vec<String>,
    /// For each addressee, the names that the answer gives it: as written in the send, as the platform knows it.
    pub names: Vec<Vec<Customer>>,
    /// Its error code, if it refused the send: of several, the one that says that the window is closed.
    pub refused: Option<i64>,
}

/// Reads the platform's answer to a send. An answer that cannot be read says nothing.
pub fn receipt(http_status: u16, body: &[u8]) -> Receipt {
    let Ok(body) = unzipped(body) else { return Receipt::default() };
    let answer = check_limits(&body).ok().and_then(|()| serde_json::from_slice(&body).ok());
    let Some(answer) = answer else { return Receipt::default() };
    let root = Node::root(&answer);
    if !(200..300).contains(&http_status) {
        // The older platform answers with a list of errors.
        let (error, errors) = (root.get("error"), root.get("errors"));
        let codes: Vec<i64> = errors.items().chain([error]).filter_map(|error| error.get("code").integer()).collect();
        let refused = codes.iter().find(|code| says_window_closed(**code)).or(codes.first()).copied();
        return Receipt { refused, ..Receipt::default() };
    }
    let id = |message: Node| message.get("id").text().map(str::to_owned);
    let names = |contact: Node| {
        let mut names: Vec<Customer> = Vec::new();
        for name in ["input", "wa_id", "user_id"].into_iter().filter_map(|key| contact.get(key).person().ok()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    };
    Receipt {
        ids: root.get("messages").items().filter_map(id).collect(),
        names: root.get("contacts").items().map(names).filter(|names| !names.is_empty()).collect(),
        refused: None,
    }
}

pub(super) fn unreadable(message: String) -> Error {
    Error::new(Code::Body, message)
}

/// The body without gzip, which is known by its first two bytes: not every gateway passes on `Content-Encoding`.
fn unzipped(body: &[u8]) -> error::Result<Cow<'_, [u8]>> {
    check_size(body)?;
    if !body.starts_with(&[0x1f, 0x8b]) {
        return Ok(Cow::Borrowed(body));
    }
    let mut plain = Vec::new();
    let mut one_too_many = MultiGzDecoder::new(body).take(super::SIZE_MAX as u64 + 1);
    one_too_many.read_to_end(&mut plain).map_err(|error| unreadable(format!("body: damaged gzip ({error})")))?;
    check_size(&plain)?;
    Ok(Cow::Owned(plain))
}

/// Reads the fields of a body, be it JSON or a form, gzip or not.
///
/// The objects that decide what a send is name no key twice: which of the two the platform would read is not certain.
pub(super) fn read<T>(body: &[u8], read: impl FnOnce(&Node) -> error::Result<T>) -> error::Result<T> {
    let body = unzipped(body)?;
    let text = std::str::from_utf8(&body)
        .map_err(|error| unreadable(format!("body: expected UTF-8, broken at byte {}", error.valid_up_to())))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
    let json = if text.starts_with('{') { Cow::Borrowed(text) } else { Cow::Owned(form_as_json(text)?) };
    check_limits(json.as_bytes())?;
    let not_json = |error: &dyn fmt::Display| unreadable(format!("body: expected a JSON object; {error}"));
    let fields: Value = serde_json::from_str(&json).map_err(|error| not_json(&error))?;
    let root = Node::root(&fields);
    let (template, hsm) = (root.get("template"), root.get("hsm"));
    let deciding = [root, template, hsm, template.get("language"), hsm.get("language")];
    match deciding.iter().find_map(named_twice) {
        Some(key) => Err(not_json(&format_args!("{} stands twice", shortened(key)))),
        None => read(&root),
    }
}

/// A key that an object names twice.
fn named_twice<'v>(object: &Node<'_, 'v>) -> Option<&'v str> {
    let mut keys: Vec<&str> = object.members().map(|(key, _)| key).collect();
    keys.sort_unstable();
    keys.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

/// A form as a JSON object: the platform takes JSON text as the value of a field.
fn form_as_json(form: &str) -> error::Result<String> {
    let name = form.split_once('=').map_or("", |(name, _)| name);
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_name {
        return Err(unreadable("body: expected a JSON object, or form fields such as to=...&type=...".into()));
    }
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let is_json = |text: &str| text.starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(text).is_ok();
    let field = |(name, value): (Cow<str>, Cow<str>)| {
        let value = if is_json(&value) { value.into_owned() } else { quoted(&value) };
        format!("{}:{value}", quoted(&name))
    };
    let fields: Vec<String> = form_urlencoded::parse(form.as_bytes()).map(field).collect();
    Ok(format!("{{{}}}", fields.join(",")))
}
