//! Which message opens or joins which conversation.

use std::collections::BTreeSet;

use super::messages::{Message, messages};
use super::*;

/// The rules in force for a message: by the day of its delivery, until then of its send.
fn in_force(config: &Config, message: &Message) -> Set {
    let on = (config.day_of)(message.delivered.unwrap_or(message.at));
    match config.rules {
        Rules::Always(set) => set,
        Rules::ByDay if on >= day(2026, 10, 1) => Set::Meta202610,
        Rules::ByDay if on >= day(2025, 7, 1) => Set::Meta202507,
        Rules::ByDay if on >= day(2024, 11, 1) => Set::Meta202411,
        Rules::ByDay => Set::Meta202306,
    }
}

/// A message and its place among the contact's conversations.
#[derive(Debug, Clone, Copy)]
pub struct Placed {
    pub message: Message,
    pub set: Set,
    pub effect: Effect,
    pub conversation: Option<Kind>,
    pub due: Option<Millis>,
}

/// Places every message, contact by contact.
pub fn place(config: &Config, facts: &[Fact]) -> Vec<Placed> {
    let messages = messages(facts);
    let contacts: BTreeSet<Contact> = messages.iter().map(|message| message.contact).collect();
    let place_one = |contact: Contact| {
        let sent: Vec<Message> = messages.iter().filter(|message| message.contact == contact).copied().collect();
        let clicks = clicks(facts, contact);
        if config.rules == Rules::Always(Set::Guide) {
            place_by_guide(&sent, &clicks)
        } else {
            place_by_platform(config, &sent, &clicks)
        }
    };
    let mut placed: Vec<Placed> = contacts.into_iter().flat_map(place_one).collect();
    placed.retain(|it| it.message.class != Class::Untold);
    placed
}

pub fn clicks(facts: &[Fact], contact: Contact) -> Vec<Millis> {
    let click = |fact: &Fact| match *fact {
        Fact::Act { contact: actor, at, click: true, .. } if actor == contact => Some(at),
        _ => None,
    };
    facts.iter().filter_map(click).collect()
}

/// The seed document: conversations last 24 hours from the send that opens them; the click opens 72 hours in which
/// everything is free.
///
/// The document knows no report. Decided: a reported free entry point adds to the clicks', and takes nothing from them;
/// its message joins it, and a later report of an end sets its end. A free-form message that was sent opens `service`
/// whatever we know of the window: the platform took it.
fn place_by_guide(messages: &[Message], clicks: &[Millis]) -> Vec<Placed> {
    let mut opened: Vec<(Kind, Millis)> = Vec::new();
    let mut entry: Option<(Millis, Millis)> = None;
    let place_one = |message: &Message| {
        let Message { at, report, .. } = *message;
        let placed = |effect, conversation: Option<Kind>| {
            let due = Some(at).filter(|_| message.has_place());
            Placed { message: *message, set: Set::Guide, effect, conversation, due }
        };
        let clicked = clicks.iter().any(|click| (*click..click + ENTRY).contains(&at));
        let known = entry.filter(|(_, end)| at < *end);
        if report.free_entry_point {
            let from = known.map_or(at, |(from, _)| from);
            let end = report.expires_at.map(|end| end.min(from + LONGEST));
            let reckoned = (known.is_none() && !clicked).then_some(at + ENTRY);
            entry = end.or(reckoned).map(|end| (from, end)).or(known);
        }
        if !message.has_place() {
            return placed(Effect::None, None);
        }
        if clicked || known.is_some() || report.free_entry_point {
            return placed(Effect::Joins, Some(Kind::FreeEntryPoint));
        }
        let mut open = opened.iter().filter(|(_, from)| at < from + SHORT).map(|(kind, _)| *kind);
        let joined = match message.class {
            Class::Template => open.find(|kind| *kind == message.kind()),
            _ => open.next_back(),
        };
        if joined.is_some() {
            return placed(Effect::Joins, joined);
        }
        opened.push((message.kind(), at));
        placed(Effect::Opens, Some(message.kind()))
    };
    messages.iter().map(place_one).collect()
}

/// A conversation of the platform.
#[derive(Debug)]
struct Conversation<'a> {
    kind: Kind,
    /// Its opener first.
    members: Vec<&'a Message>,
    /// A free entry point closed it.
    closed: bool,
}

impl Conversation<'_> {
    /// The earliest delivery of a message that could have opened it.
    fn anchor(&self) -> Option<Millis> {
        let could_open = |it: &&&Message| self.kind == Kind::FreeEntryPoint || it.kind() == self.kind;
        self.members.iter().filter(could_open).filter_map(|it| it.delivered).min()
    }

    /// Its end as far as its members so far tell. Decided: of a free entry point, the newest report of an end sets it;
    /// one that nobody knows to be delivered lasts as long from its send.
    fn until(&self) -> Millis {
        let from = self.members[0].at;
        let begun = self.anchor().unwrap_or(from);
        let entries = self.members.iter().filter(|it| it.report.free_entry_point);
        let reported = entries.filter_map(|it| it.report.expires_at).next_back();
        match (self.kind, reported) {
            (Kind::FreeEntryPoint, Some(end)) => end.min(from + LONGEST),
            (Kind::FreeEntryPoint, None) => begun + ENTRY,
            _ => begun + SHORT,
        }
    }
}

/// The platform: conversations by category until 2025-06-30, none since; the free entry point opens with the reply to a
/// click.
///
/// A conversation begun under one set runs out under it: whatever is sent while it is open may join it.
fn place_by_platform(config: &Config, messages: &[Message], clicks: &[Millis]) -> Vec<Placed> {
    let mut conversations: Vec<Conversation> = Vec::new();
    let mut places = Vec::new();
    for message in messages {
        if !message.has_place() && !message.report.free_entry_point {
            places.push(None);
            continue;
        }
        let at = message.at;
        let set = in_force(config, message);
        let answers_click = clicks.iter().any(|click| (*click..click + SHORT).contains(&at));
        let opens = match message.report.free_entry_point || answers_click {
            true => Some(Kind::FreeEntryPoint),
            false => set.by_conversation().then_some(message.kind()),
        };
        let is_open = |it: &usize| !conversations[*it].closed && at < conversations[*it].until();
        let open: Vec<usize> = (0..conversations.len()).filter(is_open).collect();
        let of_kind = |kind| open.iter().copied().find(|it| conversations[*it].kind == kind);
        let joins = of_kind(Kind::FreeEntryPoint).or_else(|| match (opens, message.class) {
            (Some(Kind::FreeEntryPoint), _) => None,
            (_, Class::Template) => of_kind(message.kind()),
            _ => open.last().copied(),
        });
        let place = if let Some(joined) = joins {
            conversations[joined].members.push(message);
            Some((Effect::Joins, joined))
        } else if let Some(kind) = opens {
            let entry = kind == Kind::FreeEntryPoint;
            conversations.iter_mut().for_each(|it| it.closed |= entry);
            conversations.push(Conversation { kind, members: vec![message], closed: false });
            Some((Effect::Opens, conversations.len() - 1))
        } else {
            None
        };
        places.push(place.filter(|_| message.has_place()));
    }
    let placed = |(message, place): (&Message, Option<(Effect, usize)>)| {
        let set = in_force(config, message);
        let conversation = place.map(|(_, index)| &conversations[index]);
        let due = match (place, conversation) {
            _ if !message.has_place() => None,
            (Some((Effect::Opens, _)), Some(opened)) if set.by_conversation() => opened.anchor(),
            _ => message.delivered,
        };
        let effect = place.map_or(Effect::None, |(effect, _)| effect);
        Placed { message: *message, set, effect, conversation: conversation.map(|it| it.kind), due }
    };
    messages.iter().zip(places).map(placed).collect()
}
