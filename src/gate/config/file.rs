//! csw.toml as it is written, and what its rules come to.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::closed::ClosedTable;
use super::values::{account, config_error, currency, no_word, one_of, prefer_free, span, word_or};
use super::written;
use crate::error::{Code, Error, Result};
use crate::rules::decision::{Mode, Policy, TemplatePolicy, UnknownBranch};
use crate::rules::event::Category;
use crate::rules::market::Country;
use crate::rules::ruleset::{EntryOpens, RuleSet, Rules, Service, Set};
use crate::time::Zone;

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) store: Option<String>,
    pub(super) durability: Option<String>,
    pub(super) retention: Option<String>,
    #[serde(deserialize_with = "word_or_table")]
    pub(super) rules: Option<RulesTable>,
    pub(super) timezone: Option<String>,
    pub(super) currency: Option<String>,
    pub(super) account: Option<String>,
    #[serde(deserialize_with = "word_or_table")]
    pub(super) unknown: Option<UnknownTable>,
    pub(super) margin: Option<String>,
    pub(super) mode: Option<String>,
    pub(super) fail: Option<String>,
    pub(super) test_clock: bool,
    pub(super) prefer_free: Option<Switch>,
    pub(super) token_file: Option<String>,
    pub(super) templates: Templates,
    pub(super) webhook: Webhook,
    pub(super) identity: Identity,
    pub(super) closed: ClosedTable,
    pub(super) numbers: HashMap<String, NumberTable>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Templates {
    pub(super) policy: Option<String>,
    pub(super) category: HashMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Webhook {
    pub(super) secret_file: Several,
    pub(super) secret_env: Several,
    pub(super) verify_token_file: Several,
    pub(super) verify_token_env: Several,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Identity {
    pub(super) fold_numbers: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NumberTable {
    pub(super) enabled: Option<bool>,
    pub(super) display: Option<String>,
    #[serde(deserialize_with = "word_or_table")]
    pub(super) rules: Option<RulesTable>,
    pub(super) timezone: Option<String>,
    pub(super) currency: Option<String>,
    pub(super) account: Option<String>,
    pub(super) authentication_international: Vec<String>,
    pub(super) mode: Option<String>,
    pub(super) prefer_free: Option<Switch>,
    pub(super) token_file: Option<String>,
    pub(super) closed: Option<Vec<String>>,
}

/// On, off, or a word.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Switch {
    Bool(bool),
    Word(String),
}

/// A name, or several.
#[derive(Debug, Default)]
pub(super) struct Several(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Several {
    fn deserialize<D: Deserializer<'de>>(value: D) -> std::result::Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Several;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name in quotes, or a list of them")
            }

            fn visit_str<E>(self, name: &str) -> std::result::Result<Several, E> {
                Ok(Several(vec![name.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> std::result::Result<Several, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Several)
            }
        }
        value.deserialize_any(Names)
    }
}

pub(super) fn word_or_table<'de, D, T>(value: D) -> std::result::Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + From<String>,
{
    value.deserialize_any(Either(PhantomData)).map(Some)
}

/// A word that stands for a table, or that table itself: whichever is there is read with its own errors and places.
pub(super) struct Either<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + From<String>> Visitor<'de> for Either<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a word in quotes, or a table")
    }

    fn visit_str<E>(self, word: &str) -> std::result::Result<T, E> {
        Ok(T::from(word.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// `unknown` as a table, or the word that it is.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnknownTable {
    #[serde(skip)]
    pub(super) word: Option<String>,
    pub(super) open_until: Option<toml::Value>,
}

impl From<String> for UnknownTable {
    fn from(word: String) -> Self {
        UnknownTable { word: Some(word), open_until: None }
    }
}

/// `rules` as a table: a set by name, and what is different from it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RulesTable {
    pub(super) set: Option<String>,
    pub(super) window: Option<String>,
    pub(super) conversation: Option<String>,
    pub(super) entry_point: Option<String>,
    pub(super) entry_point_at_most: Option<String>,
    pub(super) entry_reply_within: Option<String>,
    pub(super) entry_sources: Option<Vec<String>>,
    pub(super) free_tier: Option<u32>,
    pub(super) opens: OpensTable,
}

impl From<String> for RulesTable {
    fn from(set: String) -> Self {
        RulesTable { set: Some(set), ..RulesTable::default() }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OpensTable {
    pub(super) reaction: Option<bool>,
    pub(super) unsupported: Option<bool>,
    pub(super) unsupported_131060: Option<bool>,
    pub(super) edit: Option<bool>,
    pub(super) revoke: Option<bool>,
    pub(super) call_permission_reply: Option<bool>,
    pub(super) call_permission_automatic: Option<bool>,
    pub(super) request_welcome: Option<bool>,
    pub(super) unknown: Option<bool>,
}

impl File {
    pub(super) fn template_categories(&self) -> Result<HashMap<String, Category>> {
        let categories = self.templates.category.iter().map(|(name, word)| {
            let key = format!("templates.category.{name}");
            let of_template = |category: &Category| !matches!(category, Category::Service | Category::Unknown);
            let category = one_of(&key, word, Category::ALL.iter().copied().filter(of_template))?;
            let name = name.split_once('/').map_or(name.clone(), |(name, language)| written(name, language));
            Ok((name, category))
        });
        categories.collect()
    }

    pub(super) fn policy(&self) -> Result<Policy> {
        let zone = Zone::parse(self.timezone.as_deref().unwrap_or("UTC")).map_err(|error| error.at("timezone"))?;
        Ok(Policy {
            rules: rules(self.rules.as_ref(), zone)?,
            enabled: true,
            mode: word_or("mode", self.mode.as_deref(), Mode::default())?,
            margin: span("margin", self.margin.as_deref().unwrap_or("0"))?,
            unknown: unknown_branch(self.unknown.as_ref(), zone)?,
            prefer_free: prefer_free(self.prefer_free.as_ref())?.unwrap_or_default(),
            templates: word_or("templates.policy", self.templates.policy.as_deref(), TemplatePolicy::default())?,
            currency: currency(self.currency.as_deref())?,
            account: account(self.account.as_deref())?,
            international: Vec::new(),
        })
    }
}

impl NumberTable {
    pub(super) fn policy(&self, file: &File, default: &Policy) -> Result<Policy> {
        let country = |code: &String| {
            let country = Country::parse(code);
            country.ok_or_else(|| {
                let expected = "use codes such as \"ID\" (ISO 3166)";
                Error::new(Code::Config, format!("authentication_international: \"{code}\" is no country; {expected}"))
            })
        };
        let zone = match &self.timezone {
            Some(name) => Zone::parse(name).map_err(|error| error.at("timezone"))?,
            None => default.rules.zone(),
        };
        Ok(Policy {
            rules: rules(self.rules.as_ref().or(file.rules.as_ref()), zone)?,
            enabled: self.enabled.unwrap_or(true),
            mode: word_or("mode", self.mode.as_deref(), default.mode)?,
            prefer_free: prefer_free(self.prefer_free.as_ref())?.unwrap_or(default.prefer_free),
            currency: currency(self.currency.as_deref())?.or(default.currency),
            account: account(self.account.as_deref())?.or(default.account),
            international: self.authentication_international.iter().map(country).collect::<Result<_>>()?,
            ..default.clone()
        })
    }
}

pub(super) fn rules(table: Option<&RulesTable>, zone: Zone) -> Result<Rules> {
    let Some(table) = table else { return Ok(Rules::fixed(RuleSet::of(Set::Guide), zone)) };
    let set = table.set.as_deref().unwrap_or(Set::Guide.word());
    let rules = if set == "meta" {
        Rules::meta(zone)
    } else {
        let words: Vec<&str> = Set::ALL.iter().map(|set| set.word()).chain(["meta"]).collect();
        Rules::fixed(RuleSet::of(Set::from_word(set).ok_or_else(|| no_word("rules", set, &words))?), zone)
    };
    table.apply(rules)
}

impl RulesTable {
    fn apply(&self, rules: Rules) -> Result<Rules> {
        let duration = |key: &str, text: &Option<String>| {
            text.as_deref().map(|text| span(&format!("rules.{key}"), text)).transpose()
        };
        let window = duration("window", &self.window)?;
        let conversation = duration("conversation", &self.conversation)?;
        let entry_point = duration("entry_point", &self.entry_point)?;
        let at_most = duration("entry_point_at_most", &self.entry_point_at_most)?;
        let reply_within = duration("entry_reply_within", &self.entry_reply_within)?;
        let known_source = |source: &String| matches!(source.as_str(), "ad" | "post");
        if let Some(other) = self.entry_sources.iter().flatten().find(|source| !known_source(source)) {
            return Err(Error::new(Code::Config, format!("rules.entry_sources: \"{other}\"; use \"ad\" and \"post\"")));
        }
        let opens = &self.opens;
        Ok(rules.overridden(|rules| {
            let entry = &mut rules.entry;
            rules.window = window.unwrap_or(rules.window);
            entry.lasts = entry_point.unwrap_or(entry.lasts);
            entry.at_most = at_most.unwrap_or(entry.at_most).max(entry.lasts);
            if let (EntryOpens::Reply { within }, Some(span)) = (&mut entry.opens, reply_within) {
                *within = span;
            }
            if let Some(sources) = &self.entry_sources {
                entry.ad = sources.iter().any(|source| source == "ad");
                entry.post = sources.iter().any(|source| source == "post");
            }
            rules.conversation = rules.conversation.map(|lasts| conversation.unwrap_or(lasts));
            if let (Service::FreeTier(free), Some(units)) = (&mut rules.service, self.free_tier) {
                *free = units;
            }
            for (switch, set) in [
                (&mut rules.opens.reaction, opens.reaction),
                (&mut rules.opens.unsupported, opens.unsupported),
                (&mut rules.opens.unsupported_131060, opens.unsupported_131060),
                (&mut rules.opens.edit, opens.edit),
                (&mut rules.opens.revoke, opens.revoke),
                (&mut rules.opens.call_permission_reply, opens.call_permission_reply),
                (&mut rules.opens.call_permission_automatic, opens.call_permission_automatic),
                (&mut rules.opens.request_welcome, opens.request_welcome),
                (&mut rules.opens.unknown, opens.unknown),
            ] {
                *switch = set.unwrap_or(*switch);
            }
        }))
    }
}

pub(super) fn unknown_branch(table: Option<&UnknownTable>, zone: Zone) -> Result<UnknownBranch> {
    let Some(table) = table else { return Ok(UnknownBranch::Closed) };
    let end = match (table.word.as_deref(), &table.open_until) {
        (Some("closed"), _) => return Ok(UnknownBranch::Closed),
        (Some("open"), _) => return Ok(UnknownBranch::Open),
        (None, Some(toml::Value::Datetime(end))) => end.to_string(),
        (None, Some(toml::Value::String(end))) => end.clone(),
        (word, _) => {
            let found = word.map_or("a table without a date".into(), |word| format!("\"{word}\""));
            let expected = "\"closed\", \"open\", or { open_until = 2026-12-01 }";
            return Err(Error::new(Code::Config, format!("unknown: {found}; expected {expected}")));
        }
    };
    zone.moment(&end).map(UnknownBranch::OpenUntil).map_err(|error| config_error("unknown.open_until", error))
}
