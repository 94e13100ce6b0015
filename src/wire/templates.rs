//! The platform's list of a business account's templates (Meta, `GET /{account}/message_templates`).

use serde_json_borrow::Value;

use super::webhook::{category, is_approved};
use super::{Node, Read};
use crate::error::{Error, Result};
use crate::rules::event::{Notice, NoticeWhat, TemplateName};
use crate::time::Timestamp;

/// What a list of templates says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Templates {
    /// One for each template.
    pub notices: Vec<Notice>,
    /// What could not be read, each by its place.
    pub unreadable: Vec<String>,
    /// Whether the last page names a next one that is not there.
    pub is_cut_off: bool,
}

/// Reads a list, one page or several one after another, as it stood at a moment.
///
/// # Errors
/// `Invalid` when the text is no such list.
pub fn parse(account: u64, text: &[u8], at: Timestamp) -> Result<Templates> {
    let mut templates = Templates::default();
    let expected = "expected the platform's JSON with data[].name, language, status and category";
    for page in serde_json::Deserializer::from_slice(text).into_iter::<Value>() {
        let page = page.map_err(|error| Error::invalid(format!("templates: {expected}; {error}")))?;
        let root = Node::root(&page);
        let data = root.get("data");
        if !data.value.is_some_and(Value::is_array) {
            return Err(Error::invalid(format!("templates: {expected}; {}", data.fault("a list"))));
        }
        for template in data.items() {
            match read(&template) {
                Ok(what) => templates.notices.push(Notice { account, at: Some(at), what }),
                Err(fault) => templates.unreadable.push(fault),
            }
        }
        templates.is_cut_off = root.get("paging").get("next").exists();
    }
    Ok(templates)
}

fn read(template: &Node) -> Read<NoticeWhat> {
    let text = |key| {
        let node = template.get(key);
        node.text().ok_or_else(|| node.fault("text"))
    };
    let status = template.get("status");
    let approved =
        status.text().and_then(is_approved).ok_or_else(|| status.fault("APPROVED, REJECTED, PAUSED, ..."))?;
    let name = TemplateName::new(text("name")?, text("language")?);
    // In a list `category` is the present one; a change to come stands in `correct_category`.
    let category = template.get("category").text().and_then(category);
    Ok(NoticeWhat::TemplateStatus { template: name, approved, category })
}
