//! An event as a program states it (`record`): words and numbers, checked once for both doors.

use crate::error::{Error, Result};
use crate::party::{Business, Customer};
use crate::rules::event::{
    Act, Category, Class, Event, EventKind, Progress, Sending, Source, Status, TemplateName, What,
};
use crate::time::Timestamp;

/// The platform's ids have about a hundred bytes.
const ID_MAX: usize = 1024;

/// What a program says of an event.
#[derive(Debug, Clone, Copy)]
pub struct Stated<'s> {
    /// What happened.
    pub kind: EventKind,
    /// The business's phone number id.
    pub business: &'s str,
    /// The customer: a phone number, a user id, or `group:<id>`.
    pub customer: &'s str,
    /// The message's id.
    pub id: Option<&'s str>,
    /// When it happened.
    pub at: Timestamp,
    /// A message's class; free-form unless the category is a template's.
    pub class: Option<Class>,
    /// A message's category; service for free-form, unknown for templates.
    pub category: Option<Category>,
    /// A template's name and language.
    pub template: Option<(&'s str, &'s str)>,
    /// Whether the customer came through an entry point.
    pub entry_point: bool,
    /// The platform's error code of a failed message.
    pub code: Option<i64>,
}

/// The event that a program states.
///
/// # Errors
/// `Invalid` when the business or the customer cannot be read, or the kind is not one that a program can state.
pub fn event(stated: Stated<'_>) -> Result<Event> {
    let customer = |act| What::Customer { act, source: stated.entry_point.then_some(Source::Stated) };
    let status = |progress| What::Status(Status { progress, code: stated.code, reported: None, member: None });
    let what = match stated.kind {
        EventKind::CustomerMessage => customer(Act::Content),
        EventKind::CustomerCall => customer(Act::Call),
        EventKind::CallAccepted => customer(Act::CallAccepted),
        EventKind::BusinessMessage => What::Business(sending(&stated)),
        EventKind::Sent => status(Progress::Sent),
        EventKind::Delivered => status(Progress::Delivered),
        EventKind::Read => status(Progress::Read),
        EventKind::Failed => status(Progress::Failed),
        EventKind::TemplateStatus | EventKind::TemplateCategory | EventKind::Identity => {
            return Err(Error::invalid(format!(
                "kind \"{}\" comes from the platform alone; ingest its webhook",
                stated.kind.word()
            )));
        }
    };
    if stated.id.is_some_and(|id| id.len() > ID_MAX) {
        return Err(Error::invalid(format!("id: longer than {ID_MAX} bytes")));
    }
    if stated.template.is_some_and(|(name, language)| name.len() + language.len() > ID_MAX) {
        return Err(Error::invalid(format!("template: longer than {ID_MAX} bytes")));
    }
    Ok(Event {
        business: Business::parse(stated.business)?,
        customer: Customer::parse(stated.customer)?,
        also: Vec::new(),
        at: stated.at,
        id: stated.id.map(str::to_owned),
        what,
    })
}

fn sending(stated: &Stated<'_>) -> Sending {
    let Stated { class, category, template, .. } = *stated;
    let is_template = template.is_some() || category.is_some_and(|category| category != Category::Service);
    let class = class.unwrap_or(if is_template { Class::Template } else { Class::FreeForm });
    let category = category.unwrap_or(if class == Class::Template { Category::Unknown } else { Category::Service });
    let template = template.map(|(name, language)| TemplateName::new(name, language));
    Sending { template, ..Sending::new(class, category) }
}
