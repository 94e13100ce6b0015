//! `csw.toml`, parsed into a [`Config`] that cannot be invalid.

mod closed;
mod file;
mod secret;
mod values;

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::error::{Code, Error, Result};
use crate::party::{Business, Customer};
use crate::rules::closed::{Parking, Step};
use crate::rules::decision::Policy;
use crate::rules::event::{Category, TemplateName};
use crate::time::Span;
use file::File;
pub use secret::Secret;
use values::{config_error, explained, secrets, span, store_place, token_file, word_or};

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

    /// The name that a customer is kept under, but for other names that were learnt of them.
    pub fn folded<'c>(&self, customer: &'c Customer) -> Cow<'c, Customer> {
        if self.fold_numbers { customer.as_folded() } else { Cow::Borrowed(customer) }
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
