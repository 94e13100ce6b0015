//! The closed branch: what may be done in place of a free-form message that the customer service window does not let through (the seed, steps
//! 3 to 5: "Handle Closed Branch").

use crate::money::Amount;
use crate::rules::charge::Charge;
use crate::rules::decision::{Decision, Standing, Verdict};
use crate::rules::event::{Category, TemplateName};
use crate::rules::window::Reason;
use crate::time::Span;

/// What kind of thing a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum StepKind {
    /// Answers that the window is closed. The last step of every branch.
    Block = 1,
    /// Sends an approved template that carries the text.
    Template = 2,
    /// Gives the text to another channel.
    Channel = 3,
    /// Keeps the message until the customer's next act.
    Park = 4,
}

words!(StepKind { Block = "block", Template = "template", Channel = "channel", Park = "park" });

/// Why a step cannot serve a message; the next one is tried then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Unfit {
    /// Only a plain text can become a template's parameter or go another way.
    NotText = 1,
    /// The text is longer than the parameter may be.
    TooLong = 2,
    /// The catalogue does not know the template.
    TemplateUnknown = 3,
    /// The template is rejected, paused, disabled, or not yet approved.
    TemplateNotApproved = 4,
    /// The template's category is none of those that the step allows, or nobody has named it.
    CategoryNotAllowed = 5,
    /// It would cost more than the step allows, or nobody can tell what it costs.
    OverCost = 6,
    /// No phone number of the customer is known.
    NoPhoneNumber = 7,
    /// The message is larger than what is kept.
    TooLarge = 8,
    /// The template would be denied itself.
    Denied = 9,
    /// Nobody has said to which business account the number belongs, and so which templates it has.
    AccountUnknown = 10,
}

words!(Unfit {
    NotText = "not_text",
    TooLong = "too_long",
    TemplateUnknown = "template_unknown",
    TemplateNotApproved = "template_not_approved",
    CategoryNotAllowed = "category_not_allowed",
    OverCost = "over_cost",
    NoPhoneNumber = "no_phone_number",
    TooLarge = "too_large",
    Denied = "denied",
    AccountUnknown = "account_unknown",
});

/// A template that a text can go out as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateStep {
    /// The step's name, in `template:<name>`.
    pub name: String,
    /// The template.
    pub template: TemplateName,
    /// The parameters of its body, in order; with names, where the template has named ones. `{text}` in them stands for the text.
    pub parameters: Vec<(Option<String>, String)>,
    /// The parameter of its header, where it has one.
    pub header: Option<String>,
    /// The categories that it may have.
    pub categories: Vec<Category>,
    /// What one message may cost at most, in the number's currency.
    pub max_cost: Option<Amount>,
    /// The longest that a parameter may become, in characters.
    pub max_length: usize,
    /// Whether a text that is too long is cut; otherwise the next step is tried.
    pub cuts: bool,
    /// What stands for line breaks, which parameters must not hold.
    pub newline: String,
}

/// Another channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelStep {
    /// The step's name, in `channel:<name>`.
    pub name: String,
    /// Where the gateway reaches it, such as a location of nginx.
    pub location: String,
}

/// A step of the closed branch. They are tried in order; the first that can serve a message does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// See [`StepKind::Block`].
    Block,
    /// See [`StepKind::Template`].
    Template(TemplateStep),
    /// See [`StepKind::Channel`].
    Channel(ChannelStep),
    /// See [`StepKind::Park`].
    Park,
}

impl Step {
    /// What kind of step it is.
    pub fn kind(&self) -> StepKind {
        match self {
            Step::Block => StepKind::Block,
            Step::Template(_) => StepKind::Template,
            Step::Channel(_) => StepKind::Channel,
            Step::Park => StepKind::Park,
        }
    }

    /// The step as csw.toml, headers and logs write it, such as `template:order_update`.
    pub fn written(&self) -> String {
        let kind = self.kind().word();
        match self {
            Step::Template(TemplateStep { name, .. }) | Step::Channel(ChannelStep { name, .. }) => {
                format!("{kind}:{name}")
            }
            Step::Block | Step::Park => kind.to_owned(),
        }
    }
}

/// How messages are kept until the customer's next act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parking {
    /// How many of one customer are kept; the oldest is dropped for one more.
    pub at_most: u32,
    /// How long one is kept.
    pub keep: Span,
    /// The template that asks the customer to write, once for each backlog.
    pub nudge: Option<TemplateName>,
}

/// Whether a denied send may be served otherwise: only what the window stopped.
pub fn may_go_otherwise(reason: Reason) -> bool {
    matches!(reason, Reason::WindowClosed | Reason::NeverSeen | Reason::RefusedByPlatform)
}

/// Whether a template may go out in a text's place, by what the catalogue and the rules say of it.
///
/// # Errors
/// Why not.
pub fn admits(step: &TemplateStep, standing: Standing, decision: &Decision) -> Result<(), Unfit> {
    match standing.approved {
        None => return Err(Unfit::TemplateUnknown),
        Some(false) => return Err(Unfit::TemplateNotApproved),
        Some(true) => {}
    }
    if !decision.category.is_some_and(|category| step.categories.contains(&category)) {
        return Err(Unfit::CategoryNotAllowed);
    }
    if decision.verdict == Verdict::Deny {
        return Err(Unfit::Denied);
    }
    let is_free = decision.charged.charge == Some(Charge::Free);
    let within = |most| is_free || decision.cost.highest.is_some_and(|cost| cost <= most);
    if step.max_cost.is_none_or(within) { Ok(()) } else { Err(Unfit::OverCost) }
}

/// A text as a template's parameter may hold it: no line breaks, no tabs, no more than four spaces in a row (Meta, Templates: components).
///
/// # Errors
/// `TooLong` where it must not be cut; `NotText` where nothing is left of it.
pub fn parameter(step: &TemplateStep, pattern: &str, text: &str) -> Result<String, Unfit> {
    let filled = flattened(&pattern.replace("{text}", text), &step.newline);
    if filled.is_empty() {
        return Err(Unfit::NotText);
    }
    if filled.chars().count() <= step.max_length {
        return Ok(filled);
    }
    // What stands around the text stays: it may be what the template is for.
    let texts = pattern.matches("{text}").count();
    let around = flattened(&pattern.replace("{text}", "\u{2026}"), &step.newline).chars().count();
    let room = step.max_length.checked_sub(around).map_or(0, |room| room / texts.max(1));
    if !step.cuts || room == 0 {
        return Err(Unfit::TooLong);
    }
    let kept: String = flattened(text, &step.newline).chars().take(room).collect();
    Ok(flattened(&pattern.replace("{text}", &format!("{}\u{2026}", kept.trim_end())), &step.newline))
}

fn flattened(text: &str, newline: &str) -> String {
    const SPACES: usize = 4;
    let mut flat = String::with_capacity(text.len());
    let (mut spaces, mut breaks) = (0, false);
    for letter in text.trim().chars() {
        match letter {
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => breaks = true,
            ' ' | '\t' => spaces += 1,
            _ => {
                if breaks {
                    flat.push_str(newline);
                } else {
                    flat.extend(std::iter::repeat_n(' ', spaces.min(SPACES)));
                }
                (spaces, breaks) = (0, false);
                flat.push(letter);
            }
        }
    }
    flat
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn step(max_length: usize, cuts: bool) -> TemplateStep {
        TemplateStep {
            name: "order_update".into(),
            template: TemplateName::new("order_update", "en_US"),
            parameters: vec![(None, "{text}".into())],
            header: None,
            categories: vec![Category::Utility],
            max_cost: None,
            max_length,
            cuts,
            newline: " / ".into(),
        }
    }

    #[test]
    fn a_parameter_holds_no_breaks_no_tabs_and_at_most_four_spaces_in_a_row() {
        for (text, expected) in [
            ("Your order\nis on\r\n\r\nits way", "Your order / is on / its way"),
            ("  trimmed \n", "trimmed"),
            ("a\tb", "a b"),
            ("a      b", "a    b"),
            ("a \n b", "a / b"),
            ("a\u{2028}b", "a / b"),
        ] {
            assert_eq!(parameter(&step(100, false), "{text}", text).unwrap(), expected, "{text:?}");
        }
        assert_eq!(parameter(&step(100, false), "News: {text}!", "hi").unwrap(), "News: hi!");
        assert_eq!(parameter(&step(100, false), "{text}", " \n\t"), Err(Unfit::NotText));
    }

    #[test]
    fn a_parameter_that_is_too_long_is_passed_over_or_cut_as_configured() {
        assert_eq!(parameter(&step(5, false), "{text}", "12345").unwrap(), "12345");
        assert_eq!(parameter(&step(5, false), "{text}", "123456"), Err(Unfit::TooLong));
        assert_eq!(parameter(&step(5, true), "{text}", "123456").unwrap(), "1234\u{2026}");
        assert_eq!(parameter(&step(12, true), "{text} (STOP)", "123456").unwrap(), "1234\u{2026} (STOP)");
        assert_eq!(parameter(&step(8, true), "{text} (STOP)", "123456"), Err(Unfit::TooLong), "no room for the text");
        assert_eq!(parameter(&step(5, true), "{text}", "äöüßéè").unwrap(), "äöüß\u{2026}", "characters, not bytes");
    }
}
