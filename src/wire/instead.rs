//! Sends made of others: a text as a template, and the branch that a workflow asked for.

use serde_json::{Map, Value, json};

use super::send::{read, unreadable};
use super::{Node, check_limits};
use crate::error::{Code, Error, Result};
use crate::party::{Business, Customer, Kind};
use crate::rules::closed::{TemplateStep, Unfit, parameter};
use crate::rules::event::TemplateName;
use crate::time::Timestamp;

/// What of a send holds for its template as well (Meta, Messages: the message object).
const CARRIED: [&str; 6] =
    ["messaging_product", "recipient_type", "to", "recipient", "biz_opaque_callback_data", "messaging_account_id"];

/// Numbers below this are no milliseconds of this century.
const MILLISECONDS_FROM: i64 = 100_000_000_000;

/// A text that may go another way.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    /// What it says.
    pub text: String,
    fields: Map<String, Value>,
}

/// The plain text of a free-form send; `None` for media, interactive messages, and everything else that is more than text.
///
/// # Errors
/// `Body` or `TooLarge` when the body cannot be read.
pub fn letter(body: &[u8]) -> Result<Option<Letter>> {
    let Value::Object(fields) = read(body, |root| Ok(root.value.map_or(Value::Null, Value::from)))? else {
        return Ok(None);
    };
    let is_text = fields.get("type").is_none_or(|kind| kind == "text");
    let text = fields.get("text").and_then(|text| text.get("body")).and_then(Value::as_str);
    let text = text.filter(|text| is_text && !text.trim().is_empty()).map(str::to_owned);
    Ok(text.map(|text| Letter { text, fields }))
}

/// To whom a send goes, as its writer wrote it: for the answer to that writer, not for logs.
///
/// # Errors
/// `Body` or `TooLarge` when the body cannot be read.
pub fn addressee(body: &[u8]) -> Result<String> {
    read(body, |root| {
        let (to, recipient) = (root.get("to"), root.get("recipient"));
        let named = to.digits_or_text().or(recipient.digits_or_text());
        Ok(named.map(|name| name.chars().take(144).collect()).unwrap_or_default())
    })
}

/// The send of a template in the place of a text's.
///
/// # Errors
/// Why the text cannot become its parameter.
pub fn as_template(letter: &Letter, step: &TemplateStep) -> std::result::Result<Vec<u8>, Unfit> {
    let header = step.header.as_ref().map(|pattern| {
        // A header is one short line (Meta, Templates: components).
        let short = TemplateStep { max_length: step.max_length.min(60), ..step.clone() };
        Ok(json!({"type": "header", "parameters": [{"type": "text", "text": parameter(&short, pattern, &letter.text)?}]}))
    });
    let body = step.parameters.iter().map(|(name, pattern)| {
        let mut value = json!({"type": "text", "text": parameter(step, pattern, &letter.text)?});
        if let Some(name) = name {
            value["parameter_name"] = json!(name);
        }
        Ok(value)
    });
    let body = body.collect::<std::result::Result<Vec<_>, Unfit>>()?;
    let body = Some(body).filter(|body| !body.is_empty());
    let body = body.map(|parameters| Ok(json!({"type": "body", "parameters": parameters})));
    let components: Vec<Value> = header.into_iter().chain(body).collect::<std::result::Result<_, _>>()?;
    let mut send: Map<String, Value> = CARRIED
        .iter()
        .filter_map(|key| letter.fields.get(*key).map(|value| ((*key).to_owned(), value.clone())))
        .collect();
    insert_template(&mut send, &step.template, components);
    Ok(Value::Object(send).to_string().into_bytes())
}

/// The send of a template without parameters.
pub fn template_to(customer: &Customer, template: &TemplateName) -> Vec<u8> {
    let mut send = Map::new();
    send.insert("messaging_product".into(), json!("whatsapp"));
    if customer.kind() == Kind::Group {
        send.insert("recipient_type".into(), json!("group"));
    }
    let key = if customer.kind() == Kind::User { "recipient" } else { "to" };
    send.insert(key.into(), json!(customer.text()));
    insert_template(&mut send, template, Vec::new());
    Value::Object(send).to_string().into_bytes()
}

fn insert_template(send: &mut Map<String, Value>, template: &TemplateName, components: Vec<Value>) {
    let mut object = json!({"name": template.name, "language": {"code": template.language}});
    if !components.is_empty() {
        object["components"] = json!(components);
    }
    send.insert("type".into(), json!("template"));
    send.insert("template".into(), object);
}

/// What a workflow asks for: one of two sends, by the customer's window (the seed, steps 3 to 5).
#[derive(Debug, Clone, PartialEq)]
pub struct Branches {
    /// The number that sends.
    pub business: Business,
    /// The customer.
    pub customer: Customer,
    /// For which moment; `None` is now.
    pub at: Option<Timestamp>,
    /// The body that is sent while the window is open.
    pub open: Vec<u8>,
    /// The body that is sent while it is closed.
    pub closed: Vec<u8>,
}

/// Reads `{"business":, "customer":, "open": {...}, "closed": {...}}`, with `"at"` (Unix ms) where it is asked for a later time. A body that names no
/// customer goes to the request's.
///
/// # Errors
/// `Body`, naming the key at fault; `TooLarge`.
pub fn branches(request: &[u8]) -> Result<Branches> {
    check_limits(request)?;
    let request = serde_json::from_slice(request)
        .map_err(|error| unreadable(format!("request: expected a JSON object; {error}")))?;
    let root = Node::root(&request);
    let as_body = |error: Error| Error::new(Code::Body, error.message().to_owned());
    let business = root.get("business");
    let business = business.digits_or_text().ok_or_else(|| unreadable(business.fault("a phone number id")))?;
    let business = Business::parse(&business).map_err(as_body)?;
    let customer = root.get("customer");
    let customer = customer
        .digits_or_text()
        .ok_or_else(|| unreadable(format!("{customer}: expected a phone number or a user id")))?;
    let customer = Customer::parse(&customer).map_err(as_body)?;
    let at = root.get("at");
    let at = match at.integer() {
        None if at.exists() => return Err(unreadable(at.fault("Unix milliseconds"))),
        Some(seconds) if seconds < MILLISECONDS_FROM => {
            return Err(unreadable(format!(
                "at: expected Unix milliseconds, found {seconds}, which looks like seconds"
            )));
        }
        at => at.map(Timestamp::from_millis),
    };
    Ok(Branches {
        business,
        customer,
        at,
        open: send(&root.get("open"), &customer)?,
        closed: send(&root.get("closed"), &customer)?,
    })
}

/// A body of a [`Branches`], addressed to the customer.
fn send(node: &Node<'_, '_>, customer: &Customer) -> Result<Vec<u8>> {
    let Some(Value::Object(mut body)) = node.value.map(Value::from) else {
        return Err(unreadable(node.fault("the body of a send")));
    };
    if !node.get("to").exists() && !node.get("recipient").exists() {
        let key = if customer.kind() == Kind::User { "recipient" } else { "to" };
        body.insert(key.into(), json!(customer.text()));
        if customer.kind() == Kind::Group {
            body.insert("recipient_type".into(), json!("group"));
        }
    }
    body.entry("messaging_product").or_insert_with(|| json!("whatsapp"));
    let body = Value::Object(body).to_string().into_bytes();
    // As the guard will read it.
    let addressee = super::send::parse(super::send::Endpoint::Messages, &body)?.customer;
    if addressee.is_none_or(|addressee| addressee.folded() != customer.folded()) {
        return Err(unreadable(format!("{node}: it goes to somebody else than the request's customer")));
    }
    Ok(body)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::rules::event::Category;

    fn step(parameters: Vec<(Option<String>, String)>, header: Option<&str>) -> TemplateStep {
        TemplateStep {
            name: "order_update".into(),
            template: TemplateName::new("order_update", "en_US"),
            parameters,
            header: header.map(str::to_owned),
            categories: vec![Category::Utility],
            max_cost: None,
            max_length: 1024,
            cuts: false,
            newline: " ".into(),
        }
    }

    fn composed(body: &Value, step: &TemplateStep) -> Value {
        let letter = letter(body.to_string().as_bytes()).unwrap().unwrap();
        serde_json::from_slice(&as_template(&letter, step).unwrap()).unwrap()
    }

    #[test]
    fn a_text_becomes_the_parameter_of_a_template_to_the_same_customer() {
        let text = json!({"messaging_product": "whatsapp", "recipient_type": "individual", "to": "+1 (650) 555-1234", "type": "text",
            "context": {"message_id": "wamid.1"}, "text": {"preview_url": true, "body": "It is\non its way"}, "biz_opaque_callback_data": "order 7"});
        let positional = step(vec![(None, "{text}".into()), (None, "csw".into())], Some("News"));
        assert_eq!(
            composed(&text, &positional),
            json!({"messaging_product": "whatsapp", "recipient_type": "individual", "to": "+1 (650) 555-1234", "type": "template",
            "biz_opaque_callback_data": "order 7",
            "template": {"name": "order_update", "language": {"code": "en_US"}, "components": [
                {"type": "header", "parameters": [{"type": "text", "text": "News"}]},
                {"type": "body", "parameters": [{"type": "text", "text": "It is on its way"}, {"type": "text", "text": "csw"}]},
            ]}}),
            "to is never rewritten; a reply and a preview are the text's alone"
        );
        let named = step(vec![(Some("update".into()), "{text}".into())], None);
        let parameters = &composed(&text, &named)["template"]["components"][0]["parameters"];
        assert_eq!(parameters, &json!([{"type": "text", "parameter_name": "update", "text": "It is on its way"}]));
        assert!(composed(&text, &step(Vec::new(), None))["template"].get("components").is_none());
    }

    #[test]
    fn only_a_plain_text_can_go_another_way() {
        let form = b"messaging_product=whatsapp&to=16505551234&type=text&text=%7B%22body%22%3A%22Hello%22%7D";
        assert_eq!(letter(form).unwrap().unwrap().text, "Hello");
        assert_eq!(letter(br#"{"to":"1650","text":{"body":"old"}}"#).unwrap().unwrap().text, "old");
        for other in [
            json!({"to": "1650", "type": "image", "image": {"link": "https://x", "caption": "Hello"}}),
            json!({"to": "1650", "type": "interactive", "interactive": {"type": "button", "body": {"text": "Hello"}}}),
            json!({"to": "1650", "type": "text", "text": {"body": " \n"}}),
            json!({"to": "1650", "type": "text", "text": "Hello"}),
        ] {
            assert_eq!(letter(other.to_string().as_bytes()).unwrap(), None, "{other}");
        }
    }

    #[test]
    fn a_workflow_names_one_body_for_each_branch_and_one_customer() {
        let request = json!({"business": "106540352242922", "customer": "+1 650 555 1234", "at": 1_764_000_000_000_i64,
            "open": {"type": "text", "text": {"body": "Hello"}},
            "closed": {"messaging_product": "whatsapp", "to": "16505551234", "type": "template", "template": {"name": "news", "language": {"code": "en"}}}});
        let read = branches(request.to_string().as_bytes()).unwrap();
        assert_eq!(read.at, Some(Timestamp::from_millis(1_764_000_000_000)));
        let open: Value = serde_json::from_slice(&read.open).unwrap();
        assert_eq!(
            open,
            json!({"messaging_product": "whatsapp", "to": "16505551234", "type": "text", "text": {"body": "Hello"}})
        );
        for (key, value, expected) in [
            ("business", json!(null), "business: expected a phone number id, found nothing"),
            ("business", json!("shop"), "business"),
            ("customer", json!(7), "customer"),
            ("open", json!("Hello"), "open: expected the body of a send, found \"Hello\""),
            ("closed", json!(null), "closed: expected the body of a send, found nothing"),
            ("closed", json!({"to": "16505550000", "type": "text"}), "closed: it goes to somebody else"),
            ("at", json!(1_764_000_000), "at: expected Unix milliseconds, found 1764000000"),
            (
                "closed",
                json!({"type": "text", "recipient_type": "group", "text": {"body": "x"}}),
                "closed: it goes to somebody else",
            ),
            ("at", json!("tomorrow"), "at: expected Unix milliseconds, found \"tomorrow\""),
        ] {
            let mut wrong = request.clone();
            wrong[key] = value;
            let error = branches(wrong.to_string().as_bytes()).unwrap_err();
            assert!(error.message().contains(expected), "{key}: {error}");
            assert_eq!(error.code(), Code::Body);
        }
    }

    #[test]
    fn a_nudge_goes_to_whomever_was_written_to() {
        let sent = |name: &str| {
            let body = template_to(&Customer::parse(name).unwrap(), &TemplateName::new("news", "en"));
            serde_json::from_slice::<Value>(&body).unwrap()
        };
        assert_eq!(sent("+16505551234")["to"], "16505551234");
        assert_eq!(sent("US.13491208655302741918")["recipient"], "US.13491208655302741918");
        assert_eq!((&sent("group:g1")["to"], &sent("group:g1")["recipient_type"]), (&json!("g1"), &json!("group")));
    }
}
