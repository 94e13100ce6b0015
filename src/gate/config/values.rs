//! The values of csw.toml, each read by itself, with an error that names its key.

use std::fmt;
use std::path::{Path, PathBuf};

use super::file::{Several, Switch};
use super::{Secret, StorePlace};
use crate::error::{Code, Error, Result};
use crate::money::Currency;
use crate::party::redacted;
use crate::rules::decision::PreferFree;
use crate::time::Span;
use crate::words::Words;

pub(super) fn store_place(text: &str, folder: &Path) -> Result<StorePlace> {
    match text.split_once(':') {
        Some(("lmdb", path)) if !path.is_empty() => Ok(StorePlace::Lmdb(folder.join(path))),
        Some(("memory", "")) => Ok(StorePlace::Memory),
        _ => Err(Error::new(
            Code::Config,
            format!("store: \"{text}\"; use \"lmdb:/var/lib/csw\" (a folder of this host) or \"memory:\""),
        )),
    }
}

pub(super) fn secrets(key: &str, files: &Several, variables: &Several, folder: &Path) -> Result<Vec<Secret>> {
    let mut secrets = Vec::new();
    for file in &files.0 {
        let path = folder.join(file);
        let shown = if file.contains('/') || file.contains('.') { path.display().to_string() } else { redacted(file) };
        let secret = Secret::read(&path)
            .map_err(|cause| Error::new(Code::Config, format!("{key}_file: {shown} cannot be read: {cause}")))?;
        secrets.push(secret);
    }
    for variable in &variables.0 {
        let is_name =
            variable.bytes().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == b'_');
        let shown = if is_name { variable.clone() } else { redacted(variable) };
        let secret = std::env::var(variable).map_err(|_| {
            Error::new(Code::Config, format!("{key}_env: {shown} is not set in the gateway's environment"))
        })?;
        let secret = Secret::copy(secret.as_bytes())
            .map_err(|cause| Error::new(Code::Config, format!("{key}_env: {shown} cannot be kept: {cause}")))?;
        secrets.push(secret);
    }
    if secrets.iter().any(|secret| secret.as_ref().is_empty()) {
        return Err(Error::new(Code::Config, format!("{key}: a secret is empty; anybody could sign with it")));
    }
    Ok(secrets)
}

pub(super) fn prefer_free(switch: Option<&Switch>) -> Result<Option<PreferFree>> {
    Ok(Some(match switch {
        None => return Ok(None),
        Some(Switch::Bool(true)) => PreferFree::Note,
        Some(Switch::Bool(false)) => PreferFree::Off,
        Some(Switch::Word(word)) => one_of("prefer_free", word, PreferFree::ALL.iter().copied())?,
    }))
}

/// The file of an access token, which is read anew for each use: it must be there, and its path must fit where gateways keep it.
pub(super) fn token_file(key: &str, file: Option<&str>, folder: &Path) -> Result<Option<PathBuf>> {
    let Some(file) = file else { return Ok(None) };
    let path = folder.join(file);
    // A token may have been written where its file belongs.
    let shown = if file.contains('/') || file.contains('.') { path.display().to_string() } else { redacted(file) };
    let error = |what: String| Error::new(Code::Config, format!("{key}: {shown} {what}"));
    std::fs::File::open(&path).map_err(|cause| error(format!("cannot be read: {cause}")))?;
    if path.to_str().is_none_or(|path| path.len() > 1000) {
        return Err(error("is longer than 1000 bytes, or no UTF-8".to_owned()));
    }
    Ok(Some(path))
}

pub(super) fn currency(text: Option<&str>) -> Result<Option<Currency>> {
    text.map(Currency::parse).transpose().map_err(|error| config_error("currency", error))
}

pub(super) fn account(text: Option<&str>) -> Result<Option<u64>> {
    let malformed = |text: &str| {
        Error::new(
            Code::Config,
            format!("account: \"{text}\" is no id of a business account (entry[].id of its webhooks)"),
        )
    };
    text.map(|text| text.parse().map_err(|_| malformed(text))).transpose()
}

pub(super) fn span(key: &str, text: &str) -> Result<Span> {
    Span::parse(text).map_err(|error| error.at(key))
}

/// The value of a word, or the default where there is none.
pub(super) fn word_or<T: Words>(key: &str, word: Option<&str>, default: T) -> Result<T> {
    word.map_or(Ok(default), |word| one_of(key, word, T::ALL.iter().copied()))
}

/// The value of a word, out of those that a key takes.
pub(super) fn one_of<T: Words>(key: &str, word: &str, values: impl Iterator<Item = T>) -> Result<T> {
    let mut words = Vec::new();
    for value in values {
        if value.word() == word {
            return Ok(value);
        }
        words.push(value.word());
    }
    Err(no_word(key, word, &words))
}

pub(super) fn no_word(key: &str, word: &str, words: &[&str]) -> Error {
    Error::new(Code::Config, format!("{key}: \"{word}\"{}; use one of {}", nearest(word, words), words.join(", ")))
}

pub(super) fn config_error(key: impl fmt::Display, error: Error) -> Error {
    Error::new(Code::Config, format!("{key}: {}", error.message()))
}

/// A parser's error with its line, and for an unknown key the nearest right one.
pub(super) fn explained(text: &str, cause: &toml::de::Error) -> Error {
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

pub(super) fn nearest(word: &str, words: &[&str]) -> String {
    let likeness = |known: &&&str| (strsim::jaro_winkler(word, known) * 1000.0) as u32;
    let nearest = words.iter().max_by_key(likeness).filter(|known| likeness(known) > 700);
    nearest.map_or(String::new(), |known| format!(" (did you mean `{known}`?)"))
}
