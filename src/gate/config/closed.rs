//! `[closed]` of csw.toml: what is done in place of a send that the window does not let through.

use std::collections::HashMap;

use serde::Deserialize;
use serde::de::Deserializer;

use super::file::Several;
use super::values::{config_error, nearest, no_word, one_of, span};
use super::written;
use crate::error::{Code, Error, Result};
use crate::money::Amount;
use crate::rules::closed::{ChannelStep, Parking, Step, StepKind, TemplateStep};
use crate::rules::event::{Category, TemplateName};
use crate::time::Span;

/// The longest parameter that the platform takes beside other components of a template (Meta, Templates: components).
const PARAMETER_MAX: usize = 1024;
/// The longest name of a step, and of a location: gateways hold them in structs of that size.
const NAME_MAX: usize = 63;
const LOCATION_MAX: usize = 255;

/// The section as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ClosedTable {
    steps: Vec<String>,
    pub(super) again: bool,
    template: HashMap<String, TemplateTable>,
    channel: HashMap<String, ChannelTable>,
    park: ParkTable,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TemplateTable {
    name: Option<String>,
    language: Option<String>,
    parameters: Option<Parameters>,
    header: Option<String>,
    categories: Option<Several>,
    max_cost: Option<String>,
    max_length: Option<usize>,
    too_long: Option<String>,
    newline: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ChannelTable {
    location: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ParkTable {
    at_most: Option<u32>,
    keep: Option<String>,
    nudge: Option<String>,
}

/// A list of values, or a table of named ones.
#[derive(Debug)]
struct Parameters(Vec<(Option<String>, String)>);

impl<'de> Deserialize<'de> for Parameters {
    fn deserialize<D: Deserializer<'de>>(value: D) -> std::result::Result<Self, D::Error> {
        use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
        struct Values;
        impl<'de> Visitor<'de> for Values {
            type Value = Parameters;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of texts such as [\"{text}\"], or a table of named ones")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Parameters, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = list.next_element()? {
                    values.push((None, value));
                }
                Ok(Parameters(values))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> std::result::Result<Parameters, A::Error> {
                let mut values = Vec::new();
                while let Some((name, value)) = table.next_entry::<String, String>()? {
                    let is_name = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'_';
                    if !name.bytes().all(is_name) {
                        return Err(A::Error::custom("a parameter's name has lower-case letters, digits and _ alone"));
                    }
                    values.push((Some(name), value));
                }
                Ok(Parameters(values))
            }
        }
        value.deserialize_any(Values)
    }
}

impl ClosedTable {
    /// The steps of numbers that name none of their own. `category_of` is what `[templates.category]` says of a template.
    pub(super) fn steps(&self, category_of: &dyn Fn(&TemplateName) -> Option<Category>) -> Result<Vec<Step>> {
        for table in self.template.keys() {
            self.template_step("closed", table, category_of)?;
        }
        for table in self.channel.keys() {
            self.channel_step("closed", table)?;
        }
        self.steps_of("closed.steps", &self.steps, category_of)
    }

    /// The steps that a list of words names: `template:<name>`, `channel:<name>`, `park`, `block`. Whatever is listed, `block` is the last.
    pub(super) fn steps_of(
        &self,
        key: &str,
        words: &[String],
        category_of: &dyn Fn(&TemplateName) -> Option<Category>,
    ) -> Result<Vec<Step>> {
        let mut steps: Vec<Step> = Vec::new();
        for word in words {
            let error = |what: String| Err(Error::new(Code::Config, format!("{key}: \"{word}\" {what}")));
            let (kind, name) = word.split_once(':').map_or((word.as_str(), None), |(kind, name)| (kind, Some(name)));
            let kind = one_of(key, kind, StepKind::ALL.iter().copied())?;
            let step = match (kind, name) {
                (StepKind::Block, None) => Step::Block,
                (StepKind::Park, None) => Step::Park,
                (StepKind::Template, Some(name)) => self.template_step(key, name, category_of)?,
                (StepKind::Channel, Some(name)) => self.channel_step(key, name)?,
                (StepKind::Block | StepKind::Park, Some(_)) => return error("has no name behind it".into()),
                (StepKind::Template | StepKind::Channel, None) => {
                    return error(format!(
                        "names none; write \"{word}:<name>\", and describe it in [closed.{word}.<name>]"
                    ));
                }
            };
            if steps.iter().any(|known| known.written() == step.written()) {
                return error("stands there twice".into());
            }
            if steps.contains(&Step::Block) {
                return error("is never reached: it stands behind \"block\"".into());
            }
            steps.push(step);
        }
        if !steps.contains(&Step::Block) {
            steps.push(Step::Block);
        }
        Ok(steps)
    }

    fn template_step(
        &self,
        key: &str,
        name: &str,
        category_of: &dyn Fn(&TemplateName) -> Option<Category>,
    ) -> Result<Step> {
        let Some(table) = self.template.get(name) else {
            let known: Vec<&str> = self.template.keys().map(String::as_str).collect();
            return Err(undescribed(key, "template", name, &known));
        };
        let place = format!("closed.template.{name}");
        let language = table.language.as_deref().unwrap_or("en_US");
        let template = named(&place, table.name.as_deref().unwrap_or(name), language)?;
        let may_be = [Category::Marketing, Category::Utility];
        let not_here = |key: &str| {
            let why = "in the closed branch only marketing and utility templates can be sent";
            Error::new(Code::Config, format!("{place}{key}: authentication; {why}"))
        };
        let categories = match &table.categories {
            None => may_be.to_vec(),
            Some(words) if words.0.iter().any(|word| word.starts_with("authentication")) => {
                return Err(not_here(".categories"));
            }
            Some(words) => {
                let one = |word: &String| one_of(&format!("{place}.categories"), word, may_be.into_iter());
                words.0.iter().map(one).collect::<Result<Vec<_>>>()?
            }
        };
        if categories.is_empty() {
            return Err(Error::new(Code::Config, format!("{place}.categories: none; use marketing, utility")));
        }
        if matches!(category_of(&template), Some(Category::Authentication | Category::AuthenticationInternational)) {
            return Err(not_here(&format!(
                ": [templates.category] calls {} ",
                written(&template.name, &template.language)
            )));
        }
        let max_cost = table.max_cost.as_deref().map(Amount::parse).transpose();
        let cuts = match table.too_long.as_deref() {
            None | Some("next") => false,
            Some("cut") => true,
            Some(other) => return Err(no_word(&format!("{place}.too_long"), other, &["next", "cut"])),
        };
        let parameters = table.parameters.as_ref().map(|parameters| parameters.0.clone());
        let step = TemplateStep {
            name: fitting(&place, name, NAME_MAX)?,
            template,
            parameters: parameters.unwrap_or_else(|| vec![(None, "{text}".to_owned())]),
            header: table.header.clone(),
            categories,
            max_cost: max_cost.map_err(|error| config_error(format!("{place}.max_cost"), error))?,
            max_length: table.max_length.unwrap_or(PARAMETER_MAX),
            cuts,
            newline: table.newline.clone().unwrap_or_else(|| " ".to_owned()),
        };
        let carries =
            step.parameters.iter().map(|(_, value)| value).chain(&step.header).any(|value| value.contains("{text}"));
        if !carries {
            let why = "no parameter holds {text}: the message would be lost";
            return Err(Error::new(Code::Config, format!("{place}.parameters: {why}")));
        }
        if !(1..=PARAMETER_MAX * 32).contains(&step.max_length) {
            let what = format!("{place}.max_length: {}; use 1 to {}", step.max_length, PARAMETER_MAX * 32);
            return Err(Error::new(Code::Config, what));
        }
        if step.max_cost.is_some_and(|cost| cost < Amount::ZERO) {
            return Err(Error::new(Code::Config, format!("{place}.max_cost: it is below nothing")));
        }
        if step.newline.contains(|letter: char| letter.is_control() || "\u{2028}\u{2029}".contains(letter))
            || step.newline.contains("     ")
        {
            let why = "the platform takes no line breaks, no tabs, and no more than four spaces in a row";
            return Err(Error::new(Code::Config, format!("{place}.newline: {why}")));
        }
        Ok(Step::Template(step))
    }

    fn channel_step(&self, key: &str, name: &str) -> Result<Step> {
        let Some(table) = self.channel.get(name) else {
            let known: Vec<&str> = self.channel.keys().map(String::as_str).collect();
            return Err(undescribed(key, "channel", name, &known));
        };
        let place = format!("closed.channel.{name}");
        let location = table.location.clone().unwrap_or_else(|| format!("/csw/channel/{name}"));
        let is_path = location.starts_with('/') && location.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_path || location.contains("..") {
            let what = format!("{place}.location: \"{location}\" is no location such as \"/csw/channel/{name}\"");
            return Err(Error::new(Code::Config, what));
        }
        let name = fitting(&place, name, NAME_MAX)?;
        Ok(Step::Channel(ChannelStep {
            name,
            location: fitting(&format!("{place}.location"), &location, LOCATION_MAX)?,
        }))
    }

    /// How messages are parked.
    pub(super) fn parking(&self) -> Result<Parking> {
        let at_most = self.park.at_most.unwrap_or(20);
        if !(1..=1000).contains(&at_most) {
            return Err(Error::new(Code::Config, format!("closed.park.at_most: {at_most}; use 1 to 1000")));
        }
        let keep = span("closed.park.keep", self.park.keep.as_deref().unwrap_or("7d"))?;
        if keep > Span::hours(24 * 365) || keep < Span::millis(60_000) {
            return Err(Error::new(Code::Config, "closed.park.keep: use 1m to 365d".to_owned()));
        }
        let nudge = self.park.nudge.as_deref().map(|template| {
            let (name, language) = template.split_once('/').unwrap_or((template, "en_US"));
            named("closed.park.nudge", name, language)
        });
        Ok(Parking { at_most, keep, nudge: nudge.transpose()? })
    }
}

/// A template by a name and language that the platform could have (Meta, Templates).
fn named(key: &str, name: &str, language: &str) -> Result<TemplateName> {
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let is_language = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let fits = (1..=512).contains(&name.len()) && name.bytes().all(is_name);
    if !fits || !(2..=16).contains(&language.len()) || !language.bytes().all(is_language) {
        let what = format!("{key}: \"{}\" in \"{}\"", name.escape_debug(), language.escape_debug());
        let expected =
            "use a template's name (lower-case letters, digits and _) and language, such as order_update and en_US";
        return Err(Error::new(Code::Config, format!("{what} is no template; {expected}")));
    }
    Ok(TemplateName::new(name, language))
}

fn undescribed(key: &str, kind: &str, name: &str, known: &[&str]) -> Error {
    let hint = nearest(name, known);
    Error::new(Code::Config, format!("{key}: \"{kind}:{name}\" is not described in [closed.{kind}.{name}]{hint}"))
}

/// A name that headers and logs can carry.
fn fitting(key: &str, name: &str, longest: usize) -> Result<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte);
    if name.is_empty() || name.len() > longest || !name.bytes().all(is_plain) {
        let expected = format!("use letters, digits, _, - and ., at most {longest} of them");
        return Err(Error::new(Code::Config, format!("{key}: \"{}\"; {expected}", name.escape_debug())));
    }
    Ok(name.to_owned())
}
