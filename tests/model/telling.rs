//! Facts and accounts in few words, for the tables.

use super::history::shown;
use super::*;

use Category::{Service, Unknown};
use Progress::{Delivered, Failed};

pub const GUIDE: Rules = Rules::Always(Set::Guide);
pub const META_2023_06: Rules = Rules::Always(Set::Meta202306);
pub const META_2024_11: Rules = Rules::Always(Set::Meta202411);
pub const META_2025_07: Rules = Rules::Always(Set::Meta202507);
pub const META_2026_10: Rules = Rules::Always(Set::Meta202610);

pub const H: Millis = HOUR;
pub const WHO: Contact = Contact { business: 1, customer: 1 };
pub const OTHER: Contact = Contact { business: 1, customer: 2 };
pub const NOTHING: Report = Report {
    category: None,
    billable: None,
    free_entry_point: false,
    expires_at: None,
    model: None,
    conversation: None,
};
pub const ENTRY_POINT: Report = Report { free_entry_point: true, ..NOTHING };
pub const BILLABLE: Report = Report { billable: Some(true), model: Some(Pricing::Pmp), ..NOTHING };
pub const NOT_BILLABLE: Report = Report { billable: Some(false), ..NOTHING };

pub fn act(at: Millis) -> Fact {
    Fact::Act { contact: WHO, at, opens: true, click: false }
}

pub fn click(at: Millis) -> Fact {
    Fact::Act { contact: WHO, at, opens: true, click: true }
}

pub fn template(message: Id, at: Millis, category: Category) -> Fact {
    Fact::Send { contact: WHO, message, at, class: Class::Template, category }
}

pub fn free_form(message: Id, at: Millis) -> Fact {
    Fact::Send { contact: WHO, message, at, class: Class::FreeForm, category: Service }
}

pub fn reaction(message: Id, at: Millis) -> Fact {
    Fact::Send { contact: WHO, message, at, class: Class::Reaction, category: Unknown }
}

pub fn status(message: Id, at: Millis, progress: Progress) -> Fact {
    Fact::Status { contact: WHO, message, at, progress, code: None, report: None }
}

pub fn delivered(message: Id, at: Millis) -> Fact {
    status(message, at, Delivered)
}

pub fn refused(message: Id, at: Millis) -> Fact {
    Fact::Status { contact: WHO, message, at, progress: Failed, code: Some(131_047), report: None }
}

pub fn reported(message: Id, at: Millis, progress: Progress, report: Report) -> Fact {
    Fact::Status { contact: WHO, message, at, progress, code: None, report: Some(report) }
}

/// The same fact, about another contact.
pub fn with(contact: Contact, fact: Fact) -> Fact {
    match fact {
        Fact::Act { at, opens, click, .. } => Fact::Act { contact, at, opens, click },
        Fact::Send { message, at, class, category, .. } => Fact::Send { contact, message, at, class, category },
        Fact::Status { message, at, progress, code, report, .. } => {
            Fact::Status { contact, message, at, progress, code, report }
        }
    }
}

/// The midnight in UTC with which a day begins.
pub fn midnight(year: i32, month: i32, of_month: i32) -> Millis {
    Millis::from(day(year, month, of_month)) * DAY
}

pub fn utc(at: Millis) -> i32 {
    at.div_euclid(DAY) as i32
}

/// Checks an account, a line for each message: `id category effect conversation: charge reason @due`, with `?` for a
/// guessed category. Moments are in hours since `zero`.
pub fn check_since(zero: Millis, rules: Rules, facts: &[Fact], expected: &[&str]) {
    let config = Config { rules, zone: "UTC", day_of: utc, free_tier: 2 };
    let lines: Vec<String> = account(&config, facts).iter().map(|account| line(account, zero)).collect();
    assert_eq!(lines, expected, "{}", shown(&config, facts));
}

pub fn check(rules: Rules, facts: &[Fact], expected: &[&str]) {
    check_since(0, rules, facts, expected);
}

pub fn line(account: &Account, zero: Millis) -> String {
    let guess = if account.guess { "?" } else { "" };
    let conversation = account.conversation.map(|kind| format!(" {}", word(kind))).unwrap_or_default();
    let charge = account.charge().map(|charge| format!(": {} {}", word(charge.price), word(charge.reason)));
    let due = account.due.map(|due| match (due - zero) % H {
        0 => format!(" @{}h", (due - zero) / H),
        _ => format!(" @{}ms", due - zero),
    });
    let Account { message, category, effect, .. } = account;
    let (category, effect) = (word(category), word(effect));
    format!(
        "{message} {category}{guess} {effect}{conversation}{}{}",
        charge.unwrap_or_default(),
        due.unwrap_or_default()
    )
}
