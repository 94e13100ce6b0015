//! What the facts say of each message.

use super::{Category, Class, Contact, Fact, Id, Kind, Millis, Progress, Report};

/// All that the facts say of a message.
#[derive(Debug, Clone, Copy)]
pub struct Message {
    pub id: Id,
    pub contact: Contact,
    pub class: Class,
    pub category: Category,
    pub guess: bool,
    pub moved: bool,
    pub at: Millis,
    pub delivered: Option<Millis>,
    pub failed: bool,
    pub code: Option<i64>,
    /// The place of the first fact about it.
    pub recorded: usize,
    pub report: Report,
}

impl Message {
    /// Whether it can be in a conversation. What cannot tells of a free entry point all the same.
    pub fn has_place(&self) -> bool {
        matches!(self.class, Class::FreeForm | Class::Template)
    }

    /// The conversation that it can open by itself.
    pub fn kind(&self) -> Kind {
        kind_of(self.class, self.category)
    }
}

pub fn kind_of(class: Class, category: Category) -> Kind {
    match category {
        _ if class != Class::Template => Kind::Service,
        Category::Marketing | Category::Unknown => Kind::Marketing,
        Category::Utility => Kind::Utility,
        Category::Authentication | Category::AuthenticationInternational => Kind::Authentication,
        Category::Service => Kind::Service,
    }
}

/// The messages that count, in the order in which they are placed: by time, ties by their first recording.
pub fn messages(facts: &[Fact]) -> Vec<Message> {
    let mut messages = known_messages(facts);
    messages.retain(|message| !message.failed);
    messages.sort_by_key(|message| message.at);
    messages
}

/// All messages, in the order of their first recording.
pub fn known_messages(facts: &[Fact]) -> Vec<Message> {
    let mut ids = Vec::new();
    for id in facts.iter().filter_map(Fact::message) {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids.into_iter().filter_map(|id| message(facts, id)).collect()
}

/// What the facts say of one message.
fn message(facts: &[Fact], id: Id) -> Option<Message> {
    let mut progress = None;
    let mut failure = None;
    let mut delivered = None;
    let mut report = Report::default();
    let mut send = None;
    for fact in facts.iter().filter(|fact| fact.message() == Some(id)) {
        match *fact {
            Fact::Act { .. } => {}
            Fact::Send { class, category, .. } => send = send.or(Some((class, category))),
            Fact::Status { at, progress: to, report: told, code, .. } => {
                progress = progress.max(Some(to));
                report = first_told(report, told.unwrap_or_default());
                match to {
                    Progress::Sent => {}
                    Progress::Failed => failure = failure.or(Some(code)),
                    Progress::Delivered | Progress::Read => {
                        delivered = Some(delivered.map_or(at, |earlier: Millis| earlier.min(at)));
                    }
                }
            }
        }
    }
    let (class, stated) = send.unwrap_or(match report.category {
        Some(Category::Service) => (Class::FreeForm, Category::Service),
        Some(category) => (Class::Template, category),
        None => (Class::Untold, Category::Unknown),
    });
    let stated = if class == Class::Template { stated } else { Category::Service };
    let category = report.category.unwrap_or(stated);
    let guess = category == Category::Unknown;
    let moved = category != stated || report.free_entry_point;
    let at = known_at(facts, id)?;
    let recorded = facts.iter().position(|fact| fact.message() == Some(id))?;
    let contact = facts[recorded].contact();
    let category = if guess { Category::Marketing } else { category };
    let delivered = delivered.map(|delivered| delivered.max(at));
    let (failed, code) = (progress == Some(Progress::Failed), failure.flatten());
    Some(Message { id, contact, class, category, guess, moved, at, delivered, failed, code, recorded, report })
}

/// When a message was sent, as far as these facts say: the earliest of its statuses until the first send of it is
/// recorded, that included.
pub fn known_at(facts: &[Fact], id: Id) -> Option<Millis> {
    let mut known = None;
    for fact in facts.iter().filter(|fact| fact.message() == Some(id)) {
        known = Some(known.map_or(fact.at(), |at: Millis| at.min(fact.at())));
        if matches!(fact, Fact::Send { .. }) {
            break;
        }
    }
    known
}

fn first_told(earlier: Report, later: Report) -> Report {
    Report {
        category: earlier.category.or(later.category),
        billable: earlier.billable.or(later.billable),
        free_entry_point: earlier.free_entry_point || later.free_entry_point,
        expires_at: earlier.expires_at.or(later.expires_at),
        model: earlier.model.or(later.model),
        conversation: earlier.conversation.or(later.conversation),
    }
}
