//! `csw.toml`, parsed into a [`Config`] that cannot be invalid.

mod closed;

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::error::{Code, Error, Result};
use crate::money::Currency;
use crate::party::{Business, redacted};
use crate::rules::closed::{Parking, Step};
use crate::rules::decision::{Mode, Policy, PreferFree, TemplatePolicy, UnknownBranch};
use crate::rules::event::{Category, TemplateName};
use crate::rules::market::Country;
use crate::rules::ruleset::{EntryOpens, RuleSet, Rules, Service, Set};
use crate::time::{Span, Zone};
use crate::words::Words;
use closed::ClosedTable;

/// The shortest time for which message ids can be kept: the platform repeats webhooks for seven days, and no conversation lasts longer.
const RETENTION_MIN: Span = Span::hours(8 * 24);

/// Where the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorePlace {
    /// In a folder of this host, shared by its processes (`lmdb:/var/lib/csw`).
    Lmdb(PathBuf),
    /// In this handle's memory (`memory:`), for trials.
    Memory,
}

/// What happens to sends when csw itself has a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(i32)]
pub enum Fail {
    /// They pass.
    Open = 1,
    /// They are stopped.
    #[default]
    Closed = 2,
}

words!(Fail { Open = "open", Closed = "closed" });

/// How certain an acknowledged commit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(i32)]
pub enum Durability {
    /// It survives a loss of power.
    #[default]
    Full = 1,
    /// A loss of power may take the last ones.
    Relaxed = 2,
}

words!(Durability { Full = "full", Relaxed = "relaxed" });

/// A secret; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl AsRef<[u8]> for Secret {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(...)")
    }
}

/// A valid configuration. Secrets are read; nothing else was opened.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the store is.
    pub store: StorePlace,
    /// How certain an acknowledged commit is.
    pub durability: Durability,
    /// How long message ids are remembered.
    pub retention: Span,
    /// What happens to sends when csw itself has a fault.
    pub fail: Fail,
    /// Whether a gateway takes the time from the header `X-CSW-At`.
    pub test_clock: bool,
    /// Whether the spellings of one mobile number meet in one contact.
    pub fold_numbers: bool,
    /// The webhook's secrets, several during a rotation.
    pub secrets: Vec<Secret>,
    /// The tokens of the webhook's verification handshake.
    pub verify_tokens: Vec<Secret>,
    /// Whether the closed branch is run once for messages that the platform took and refused afterwards: their bodies are kept until then.
    pub again: bool,
    /// How messages are parked.
    pub parking: Parking,
    default: Number,
    numbers: HashMap<Business, Number>,
    displays: HashMap<Business, Business>,
    template_categories: HashMap<String, Category>,
}

/// What is configured of one number.
#[derive(Debug, Clone)]
struct Number {
    policy: Policy,
    closed: Vec<Step>,
    token_file: Option<PathBuf>,
}

impl Config {
    /// Reads a file; paths in it are relative to its folder.
    ///
    /// # Errors
    /// `Config`, naming the file, the line, and the key at fault.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|cause| Error::new(Code::Config, format!("{}: cannot be read: {cause}", path.display())))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        Self::parse(&text, folder).map_err(|error| error.at(path.display()))
    }

    /// Reads the text of a configuration; paths in it are relative to the folder.
    ///
    /// # Errors
    /// `Config`, naming the line and the key at fault.
    pub fn parse(text: &str, folder: &Path) -> Result<Self> {
        let file: File = toml::from_str(text).map_err(|cause| explained(text, &cause))?;
        let template_categories = file.template_categories()?;
        let category_of = |template: &TemplateName| category_in(&template_categories, template);
        let default = Number {
            policy: file.policy()?,
            closed: file.closed.steps(&category_of)?,
            token_file: token_file("token_file", file.token_file.as_deref(), folder)?,
        };
        let mut numbers = HashMap::new();
        let mut displays = HashMap::new();
        for (id, number) in &file.numbers {
            let key = |error: Error| config_error(format!("[numbers.{id}]"), error);
            let business = Business::parse(id).map_err(key)?;
            let twice =
                |what: &str| Err(Error::new(Code::Config, format!("[numbers.{id}]: {what} stands there twice")));
            let closed = match &number.closed {
                Some(words) => file.closed.steps_of("closed", words, &category_of).map_err(key)?,
                None => default.closed.clone(),
            };
            let token_file = token_file("token_file", number.token_file.as_deref(), folder).map_err(key)?;
            let policy = number.policy(&file, &default.policy).map_err(key)?;
            let token_file = token_file.or_else(|| default.token_file.clone());
            if numbers.insert(business, Number { policy, closed, token_file }).is_some() {
                return twice("the number");
            }
            if let Some(display) = &number.display {
                let display = Business::parse(display).map_err(|error| key(error.at("display")))?;
                if displays.insert(display, business).is_some() {
                    return twice("the display number");
                }
            }
        }
        let retention = span("retention", file.retention.as_deref().unwrap_or("35d"))?;
        if retention < RETENTION_MIN {
            let stated = file.retention.as_deref().unwrap_or_default();
            let why = "the platform repeats webhooks for seven days, and repeats must be recognised";
            return Err(Error::new(Code::Config, format!("retention: \"{stated}\" is less than 8d; {why}")));
        }
        Ok(Config {
            store: store_place(file.store.as_deref().unwrap_or("lmdb:/var/lib/csw"), folder)?,
            durability: word_or("durability", file.durability.as_deref(), Durability::default())?,
            retention,
            fail: word_or("fail", file.fail.as_deref(), Fail::default())?,
            test_clock: file.test_clock,
            fold_numbers: file.identity.fold_numbers.unwrap_or(true),
            secrets: secrets("webhook.secret", &file.webhook.secret_file, &file.webhook.secret_env, folder)?,
            verify_tokens: secrets(
                "webhook.verify_token",
                &file.webhook.verify_token_file,
                &file.webhook.verify_token_env,
                folder,
            )?,
            again: file.closed.again,
            parking: file.closed.parking()?,
            template_categories,
            default,
            numbers,
            displays,
        })
    }

    /// The phone number id that a configured display number stands for, or the number itself.
    pub fn canonical(&self, business: Business) -> Business {
        self.displays.get(&business).copied().unwrap_or(business)
    }

    /// The policy of a number.
    pub fn policy(&self, business: Business) -> &Policy {
        &self.number(business).policy
    }

    /// What is done in place of a send of a number that the window does not let through, in order; the last step is always to block it. Of numbers
    /// that are not listed, for `None`.
    pub fn closed(&self, business: Option<Business>) -> &[Step] {
        &business.map_or(&self.default, |business| self.number(business)).closed
    }

    /// The file that holds a number's access token, for sends that the gateway makes by itself; of numbers that are not listed, for `None`.
    pub fn token_file(&self, business: Option<Business>) -> Option<&Path> {
        business.map_or(&self.default, |business| self.number(business)).token_file.as_deref()
    }

    fn number(&self, business: Business) -> &Number {
        self.numbers.get(&business).unwrap_or(&self.default)
    }

    /// The numbers that are listed.
    pub fn numbers(&self) -> impl Iterator<Item = Business> + '_ {
        self.numbers.keys().copied()
    }

    /// The policy of numbers that are not listed.
    pub fn default_policy(&self) -> &Policy {
        &self.default.policy
    }

    /// The category that the configuration gives a template: by name and language, or by name.
    pub fn template_category(&self, template: &TemplateName) -> Option<Category> {
        category_in(&self.template_categories, template)
    }
}

fn category_in(categories: &HashMap<String, Category>, template: &TemplateName) -> Option<Category> {
    let by_language = categories.get(&written(&template.name, &template.language));
    by_language.or_else(|| categories.get(&template.name)).copied()
}

fn written(name: &str, language: &str) -> String {
    let template = TemplateName::new(name, language);
    format!("{}/{}", template.name, template.language)
}

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    store: Option<String>,
    durability: Option<String>,
    retention: Option<String>,
    #[serde(deserialize_with = "word_or_table")]
    rules: Option<RulesTable>,
    timezone: Option<String>,
    currency: Option<String>,
    account: Option<String>,
    #[serde(deserialize_with = "word_or_table")]
    unknown: Option<UnknownTable>,
    margin: Option<String>,
    mode: Option<String>,
    fail: Option<String>,
    test_clock: bool,
    prefer_free: Option<Switch>,
    token_file: Option<String>,
    templates: Templates,
    webhook: Webhook,
    identity: Identity,
    closed: ClosedTable,
    numbers: HashMap<String, NumberTable>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Templates {
    policy: Option<String>,
    category: HashMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Webhook {
    secret_file: Several,
    secret_env: Several,
    verify_token_file: Several,
    verify_token_env: Several,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Identity {
    fold_numbers: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct NumberTable {
    enabled: Option<bool>,
    display: Option<String>,
    #[serde(deserialize_with = "word_or_table")]
    rules: Option<RulesTable>,
    timezone: Option<String>,
    currency: Option<String>,
    account: Option<String>,
    authentication_international: Vec<String>,
    mode: Option<String>,
    prefer_free: Option<Switch>,
    token_file: Option<String>,
    closed: Option<Vec<String>>,
}

/// On, off, or a word.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Switch {
    Bool(bool),
    Word(String),
}

/// A name, or several.
#[derive(Debug, Default)]
struct Several(Vec<String>);

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

fn word_or_table<'de, D, T>(value: D) -> std::result::Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + From<String>,
{
    value.deserialize_any(Either(PhantomData)).map(Some)
}

/// A word that stands for a table, or that table itself: whichever is there is read with its own errors and places.
struct Either<T>(PhantomData<T>);

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
struct UnknownTable {
    #[serde(skip)]
    word: Option<String>,
    open_until: Option<toml::Value>,
}

impl From<String> for UnknownTable {
    fn from(word: String) -> Self {
        UnknownTable { word: Some(word), open_until: None }
    }
}

/// `rules` as a table: a set by name, and what is different from it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RulesTable {
    set: Option<String>,
    window: Option<String>,
    conversation: Option<String>,
    entry_point: Option<String>,
    entry_point_at_most: Option<String>,
    entry_reply_within: Option<String>,
    entry_sources: Option<Vec<String>>,
    free_tier: Option<u32>,
    opens: OpensTable,
}

impl From<String> for RulesTable {
    fn from(set: String) -> Self {
        RulesTable { set: Some(set), ..RulesTable::default() }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OpensTable {
    reaction: Option<bool>,
    unsupported: Option<bool>,
    unsupported_131060: Option<bool>,
    edit: Option<bool>,
    revoke: Option<bool>,
    call_permission_reply: Option<bool>,
    call_permission_automatic: Option<bool>,
    request_welcome: Option<bool>,
    unknown: Option<bool>,
}

impl File {
    fn template_categories(&self) -> Result<HashMap<String, Category>> {
        let categories = self.templates.category.iter().map(|(name, word)| {
            let key = format!("templates.category.{name}");
            let of_template = |category: &Category| !matches!(category, Category::Service | Category::Unknown);
            let category = one_of(&key, word, Category::ALL.iter().copied().filter(of_template))?;
            let name = name.split_once('/').map_or(name.clone(), |(name, language)| written(name, language));
            Ok((name, category))
        });
        categories.collect()
    }

    fn policy(&self) -> Result<Policy> {
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
    fn policy(&self, file: &File, default: &Policy) -> Result<Policy> {
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

fn rules(table: Option<&RulesTable>, zone: Zone) -> Result<Rules> {
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

fn unknown_branch(table: Option<&UnknownTable>, zone: Zone) -> Result<UnknownBranch> {
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

fn store_place(text: &str, folder: &Path) -> Result<StorePlace> {
    match text.split_once(':') {
        Some(("lmdb", path)) if !path.is_empty() => Ok(StorePlace::Lmdb(folder.join(path))),
        Some(("memory", "")) => Ok(StorePlace::Memory),
        _ => Err(Error::new(
            Code::Config,
            format!("store: \"{text}\"; use \"lmdb:/var/lib/csw\" (a folder of this host) or \"memory:\""),
        )),
    }
}

fn secrets(key: &str, files: &Several, variables: &Several, folder: &Path) -> Result<Vec<Secret>> {
    let mut secrets = Vec::new();
    for file in &files.0 {
        let path = folder.join(file);
        let secret = std::fs::read(&path).map_err(|cause| {
            Error::new(Code::Config, format!("{key}_file: {} cannot be read: {cause}", path.display()))
        })?;
        secrets.push(secret.trim_ascii().to_vec());
    }
    for variable in &variables.0 {
        let is_name =
            variable.bytes().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == b'_');
        let shown = if is_name { variable.clone() } else { redacted(variable) };
        let secret = std::env::var(variable).map_err(|_| {
            Error::new(Code::Config, format!("{key}_env: {shown} is not set in the gateway's environment"))
        })?;
        secrets.push(secret.trim().as_bytes().to_vec());
    }
    if secrets.iter().any(Vec::is_empty) {
        return Err(Error::new(Code::Config, format!("{key}: a secret is empty; anybody could sign with it")));
    }
    Ok(secrets.into_iter().map(Secret).collect())
}

fn prefer_free(switch: Option<&Switch>) -> Result<Option<PreferFree>> {
    Ok(Some(match switch {
        None => return Ok(None),
        Some(Switch::Bool(true)) => PreferFree::Note,
        Some(Switch::Bool(false)) => PreferFree::Off,
        Some(Switch::Word(word)) => one_of("prefer_free", word, PreferFree::ALL.iter().copied())?,
    }))
}

/// The file of an access token, which is read anew for each use: it must be there, and its path must fit where gateways keep it.
fn token_file(key: &str, file: Option<&str>, folder: &Path) -> Result<Option<PathBuf>> {
    let Some(file) = file else { return Ok(None) };
    let path = folder.join(file);
    let error = |what: String| Error::new(Code::Config, format!("{key}: {} {what}", path.display()));
    std::fs::File::open(&path).map_err(|cause| error(format!("cannot be read: {cause}")))?;
    if path.to_str().is_none_or(|path| path.len() > 1000) {
        return Err(error("is longer than 1000 bytes, or no UTF-8".to_owned()));
    }
    Ok(Some(path))
}

fn currency(text: Option<&str>) -> Result<Option<Currency>> {
    text.map(Currency::parse).transpose().map_err(|error| config_error("currency", error))
}

fn account(text: Option<&str>) -> Result<Option<u64>> {
    let malformed = |text: &str| {
        Error::new(
            Code::Config,
            format!("account: \"{text}\" is no id of a business account (entry[].id of its webhooks)"),
        )
    };
    text.map(|text| text.parse().map_err(|_| malformed(text))).transpose()
}

fn span(key: &str, text: &str) -> Result<Span> {
    Span::parse(text).map_err(|error| error.at(key))
}

/// The value of a word, or the default where there is none.
fn word_or<T: Words>(key: &str, word: Option<&str>, default: T) -> Result<T> {
    word.map_or(Ok(default), |word| one_of(key, word, T::ALL.iter().copied()))
}

/// The value of a word, out of those that a key takes.
fn one_of<T: Words>(key: &str, word: &str, values: impl Iterator<Item = T>) -> Result<T> {
    let mut words = Vec::new();
    for value in values {
        if value.word() == word {
            return Ok(value);
        }
        words.push(value.word());
    }
    Err(no_word(key, word, &words))
}

fn no_word(key: &str, word: &str, words: &[&str]) -> Error {
    Error::new(Code::Config, format!("{key}: \"{word}\"{}; use one of {}", nearest(word, words), words.join(", ")))
}

fn config_error(key: impl fmt::Display, error: Error) -> Error {
    Error::new(Code::Config, format!("{key}: {}", error.message()))
}

/// A parser's error with its line, and for an unknown key the nearest right one.
fn explained(text: &str, cause: &toml::de::Error) -> Error {
    let message = cause.message();
    let mut quoted = message.split('`').skip(1).step_by(2);
    let hint = match (message.starts_with("unknown field"), quoted.next()) {
        (true, Some(key)) => nearest(key, &quoted.collect::<Vec<_>>()),
        _ => String::new(),
    };
    let place = cause.span().and_then(|span| {
        let number = text.get(..span.start)?.matches('\n').count();
        let line = text.lines().nth(number)?.trim();
        // A secret may have been written where its file belongs.
        let is_public = !line.contains("secret") && !line.contains("token");
        let shown = if is_public { line } else { line.split('=').next()?.trim() };
        Some(format!("line {}, `{shown}`: ", number + 1))
    });
    Error::new(Code::Config, format!("{}{message}{hint}", place.unwrap_or_default()))
}

fn nearest(word: &str, words: &[&str]) -> String {
    let likeness = |known: &&&str| (strsim::jaro_winkler(word, known) * 1000.0) as u32;
    let nearest = words.iter().max_by_key(likeness).filter(|known| likeness(known) > 700);
    nearest.map_or(String::new(), |known| format!(" (did you mean `{known}`?)"))
}
