//! csw.toml: what every key means, and what is said about a wrong one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};

use csw::error::{Code, Error};
use csw::gate::Gate;
use csw::gate::config::{Config, Durability, Fail, StorePlace};
use csw::party::Business;
use csw::rules::decision::{Mode, Policy, TemplatePolicy, UnknownBranch};
use csw::rules::event::{Category, TemplateName};
use csw::rules::ruleset::{EntryOpens, RuleSet, Service, Set};
use csw::time::{Span, Timestamp};

fn config(text: &str) -> Config {
    Config::parse(text, Path::new("/etc")).unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

fn policy(text: &str) -> Policy {
    config(text).default_policy().clone()
}

type Change = fn(&mut RuleSet);

/// The set of rules that holds at some moment.
fn rules(text: &str) -> RuleSet {
    *policy(text).rules.at(Timestamp::parse("2026-11-01T00:00:00Z").unwrap())
}

fn refused(text: &str) -> Error {
    let refused = Config::parse(text, Path::new("/etc")).map(drop);
    let error = refused.err().unwrap_or_else(|| panic!("not refused:\n{text}"));
    assert_eq!(error.code(), Code::Config, "{error}");
    error
}

fn number(id: &str) -> Business {
    Business::parse(id).unwrap()
}

// ---- What the keys mean

#[test]
fn an_empty_file_has_the_documented_defaults() {
    let config = config("");
    assert_eq!(config.store, StorePlace::Lmdb("/var/lib/csw".into()));
    assert_eq!(config.durability, Durability::Full);
    assert_eq!(config.fail, Fail::Closed);
    assert!(!config.test_clock);
    assert!(config.fold_numbers);
    assert!(config.secrets.is_empty() && config.verify_tokens.is_empty());
    let policy = config.default_policy();
    assert_eq!(policy.rules.at(Timestamp::now()), &RuleSet::of(Set::Guide));
    assert_eq!(policy.margin, Span::ZERO);
    assert_eq!(policy.unknown, UnknownBranch::Closed);
    assert_eq!(policy.templates, TemplatePolicy::Trust);
    assert_eq!(policy.mode, Mode::Enforce);
    assert!(policy.enabled);
    assert_eq!(policy.rules.zone(), csw::time::Zone::UTC);
}

#[test]
fn the_store_is_a_folder_or_memory() {
    let lmdb = |path: &str| StorePlace::Lmdb(PathBuf::from(path));
    let table = [("memory:", StorePlace::Memory), ("lmdb:/srv/csw", lmdb("/srv/csw")), ("lmdb:csw", lmdb("/etc/csw"))];
    for (text, place) in table {
        assert_eq!(config(&format!("store = \"{text}\"")).store, place, "{text}");
    }
}

#[test]
fn words_are_read() {
    for (word, durability) in [("full", Durability::Full), ("relaxed", Durability::Relaxed)] {
        assert_eq!(config(&format!("durability = \"{word}\"")).durability, durability);
    }
    for (word, fail) in [("open", Fail::Open), ("closed", Fail::Closed)] {
        assert_eq!(config(&format!("fail = \"{word}\"")).fail, fail);
    }
    for (word, mode) in [("enforce", Mode::Enforce), ("monitor", Mode::Monitor), ("off", Mode::Off)] {
        assert_eq!(policy(&format!("mode = \"{word}\"")).mode, mode);
    }
    let policies = [
        ("trust", TemplatePolicy::Trust),
        ("warn", TemplatePolicy::Warn),
        ("require_approved", TemplatePolicy::RequireApproved),
    ];
    for (word, templates) in policies {
        assert_eq!(policy(&format!("[templates]\npolicy = \"{word}\"")).templates, templates);
    }
    assert!(config("test_clock = true").test_clock);
    assert!(!config("[identity]\nfold_numbers = false").fold_numbers);
}

#[test]
fn spans_and_dates_are_read() {
    assert_eq!(config("retention = \"8d\"").retention, Span::hours(8 * 24));
    assert_eq!(policy("margin = \"90s\"").margin, Span::millis(90_000));
    let until =
        |text: &str| policy(&format!("timezone = \"America/Sao_Paulo\"\nunknown = {{ open_until = {text} }}")).unknown;
    let moment = |text| UnknownBranch::OpenUntil(Timestamp::parse(text).unwrap());
    let table = [
        ("2026-12-01", "2026-12-01T03:00:00Z"),
        ("\"2026-12-01\"", "2026-12-01T03:00:00Z"),
        ("2026-12-01T12:00:00Z", "2026-12-01T12:00:00Z"),
        ("2026-12-01T12:00:00+02:00", "2026-12-01T10:00:00Z"),
    ];
    for (text, at) in table {
        assert_eq!(until(text), moment(at), "{text}");
    }
    assert_eq!(policy("unknown = \"open\"").unknown, UnknownBranch::Open);
    assert_eq!(policy("unknown = \"closed\"").unknown, UnknownBranch::Closed);
}

#[test]
fn rules_are_a_name_or_a_table() {
    for set in Set::ALL {
        assert_eq!(rules(&format!("rules = \"{}\"", set.word())), RuleSet::of(*set));
        assert_eq!(rules(&format!("[rules]\nset = \"{}\"", set.word())), RuleSet::of(*set));
    }
    assert_eq!(rules("[rules]"), RuleSet::of(Set::Guide));
    let meta = policy("rules = \"meta\"").rules;
    assert_eq!(meta.at(Timestamp::parse("2025-07-01T00:00:00Z").unwrap()).set, Set::Meta202507);
    assert_eq!(meta.at(Timestamp::parse("2025-06-30T23:59:59Z").unwrap()).set, Set::Meta202411);
}

#[test]
fn any_number_of_a_set_can_be_overridden() {
    let with = |set: Set, change: Change| {
        let mut rules = RuleSet::of(set);
        change(&mut rules);
        rules
    };
    let table: [(&str, Set, Change); 8] = [
        ("window = \"48h\"", Set::Guide, |rules| rules.window = Span::hours(48)),
        ("conversation = \"12h\"", Set::Guide, |rules| rules.conversation = Some(Span::hours(12))),
        ("entry_point = \"96h\"", Set::Guide, |rules| rules.entry.lasts = Span::hours(96)),
        ("entry_point_at_most = \"100h\"", Set::Meta202610, |rules| rules.entry.at_most = Span::hours(100)),
        ("entry_reply_within = \"1h\"", Set::Meta202411, |rules| {
            rules.entry.opens = EntryOpens::Reply { within: Span::hours(1) };
        }),
        ("entry_sources = [\"post\"]", Set::Meta202411, |rules| (rules.entry.ad, rules.entry.post) = (false, true)),
        ("entry_sources = []", Set::Guide, |rules| (rules.entry.ad, rules.entry.post) = (false, false)),
        ("free_tier = 7", Set::Meta202610, |rules| rules.service = Service::FreeTier(7)),
    ];
    for (line, set, change) in table {
        assert_eq!(rules(&format!("[rules]\nset = \"{}\"\n{line}", set.word())), with(set, change), "{line}");
    }
    assert_eq!(rules("[rules]\nset = \"meta\"\nfree_tier = 7").service, Service::FreeTier(7));
}

#[test]
fn every_switch_of_what_opens_a_window_can_be_set() {
    let default = RuleSet::of(Set::Guide).opens;
    let table: [(&str, bool, Change); 9] = [
        ("reaction", true, |rules| rules.opens.reaction = true),
        ("unsupported", true, |rules| rules.opens.unsupported = true),
        ("unsupported_131060", false, |rules| rules.opens.unsupported_131060 = false),
        ("edit", true, |rules| rules.opens.edit = true),
        ("revoke", true, |rules| rules.opens.revoke = true),
        ("call_permission_reply", true, |rules| rules.opens.call_permission_reply = true),
        ("call_permission_automatic", true, |rules| rules.opens.call_permission_automatic = true),
        ("request_welcome", false, |rules| rules.opens.request_welcome = false),
        ("unknown", true, |rules| rules.opens.unknown = true),
    ];
    for (switch, value, change) in table {
        let mut expected = RuleSet::of(Set::Guide);
        change(&mut expected);
        assert_ne!(expected.opens, default, "{switch}");
        assert_eq!(rules(&format!("[rules.opens]\n{switch} = {value}")), expected, "{switch}");
        assert_eq!(rules(&format!("[rules.opens]\n{switch} = {}", !value)).opens, default, "{switch}");
    }
}

#[test]
fn a_number_takes_the_defaults_for_what_it_does_not_say() {
    let config = config(
        r#"
        rules = "meta-2024-11"
        mode = "monitor"
        margin = "1m"
        timezone = "America/Sao_Paulo"
        unknown = "open"
        [numbers.101]
        [numbers.102]
        enabled = false
        rules = "meta"
        timezone = "Asia/Kolkata"
        currency = "EUR"
        mode = "off"
        display = "+1 (555) 078-3881"
        "#,
    );
    let default = config.default_policy();
    assert_eq!(config.policy(number("101")), default);
    assert_eq!(config.policy(number("999")), default, "a number that is not listed");
    let own = config.policy(number("102"));
    assert_eq!((own.enabled, own.mode), (false, Mode::Off));
    // Midnight of 2025-07-01 in Kolkata.
    let midnight = Timestamp::parse("2025-06-30T18:30:00Z").unwrap();
    assert_eq!(own.rules.at(midnight).set, Set::Meta202507);
    assert_eq!(own.rules.at(midnight - Span::millis(1)).set, Set::Meta202411);
    assert_eq!((own.margin, own.unknown), (default.margin, default.unknown));
    assert_eq!(config.canonical(number("15550783881")), number("102"));
    assert_eq!(config.canonical(number("101")), number("101"));
}

#[test]
fn a_templates_category_is_given_by_name_or_by_name_and_language() {
    let config = config("[templates.category]\noffer = \"marketing\"\n\"offer/en-US\" = \"utility\"");
    let category = |name, language| config.template_category(&TemplateName::new(name, language));
    assert_eq!(category("offer", "de"), Some(Category::Marketing));
    assert_eq!(category("offer", "en_US"), Some(Category::Utility));
    assert_eq!(category("offer", "en-US"), Some(Category::Utility));
    assert_eq!(category("other", "de"), None);
}

// ---- What is said about wrong ones

#[test]
fn an_unknown_key_names_the_nearest_right_one_and_its_line() {
    let table = [
        ("\nstorr = \"memory:\"", "storr", "store", 2),
        ("\n\ntime_zone = \"UTC\"", "time_zone", "timezone", 3),
        ("mod = \"off\"", "mod", "mode", 1),
        ("[template]", "template", "templates", 1),
        ("[templates]\npolice = \"warn\"", "police", "policy", 2),
        ("[webhook]\nsecret_flie = \"x\"", "secret_flie", "secret_file", 2),
        ("[identity]\nfold_number = true", "fold_number", "fold_numbers", 2),
        ("[numbers.101]\nenable = true", "enable", "enabled", 2),
        ("[rules]\nwindows = \"24h\"", "windows", "window", 2),
        ("[rules.opens]\nreactions = true", "reactions", "reaction", 2),
        ("[numbers.101.rules]\nfreetier = 1", "freetier", "free_tier", 2),
    ];
    let mut wrong = Vec::new();
    for (text, key, nearest, line) in table {
        let error = refused(text).message().to_owned();
        for expected in [format!("`{key}`"), format!("`{nearest}`?"), format!("line {line}")] {
            if !error.contains(&expected) {
                wrong.push(format!("{text:?}: {expected} is not in: {error}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_wrong_value_is_named_with_its_key() {
    let table = [
        ("store = \"redis:here\"", "store", "redis:here"),
        ("store = \"lmdb:\"", "store", "lmdb:"),
        ("durability = \"some\"", "durability", "some"),
        ("retention = \"7d\"", "retention", "7d"),
        ("retention = \"long\"", "retention", "long"),
        ("rules = \"meta-2022\"", "rules", "meta-2022"),
        ("rules = 7", "rules", "7"),
        ("[rules]\nset = \"guid\"", "rules", "guid"),
        ("[rules]\nwindow = \"a day\"", "rules.window", "a day"),
        ("[rules]\nconversation = \"24\"", "rules.conversation", "24"),
        ("[rules]\nentry_point = \"-1h\"", "rules.entry_point", "-1h"),
        ("[rules]\nentry_point_at_most = \"x\"", "rules.entry_point_at_most", "x"),
        ("[rules]\nentry_reply_within = \"x\"", "rules.entry_reply_within", "x"),
        ("[rules]\nentry_sources = [\"ads\"]", "rules.entry_sources", "ads"),
        ("[rules]\nfree_tier = -1", "free_tier", "-1"),
        ("[rules.opens]\nreaction = \"yes\"", "reaction", "yes"),
        ("timezone = \"Mars/Olympus\"", "timezone", "Mars/Olympus"),
        ("unknown = \"maybe\"", "unknown", "maybe"),
        ("unknown = { open_until = \"tomorrow\" }", "unknown.open_until", "tomorrow"),
        ("unknown = { open_till = 2026-12-01 }", "unknown", "open_till"),
        ("margin = \"5\"", "margin", "5"),
        ("mode = \"watch\"", "mode", "watch"),
        ("fail = \"safe\"", "fail", "safe"),
        ("test_clock = \"yes\"", "test_clock", "yes"),
        ("[templates]\npolicy = \"strict\"", "templates.policy", "strict"),
        ("[templates.category]\noffer = \"promo\"", "templates.category.offer", "promo"),
        ("[identity]\nfold_numbers = \"yes\"", "fold_numbers", "yes"),
        ("[numbers.abc]", "numbers.abc", "abc"),
        ("[numbers.101]\nenabled = \"yes\"", "enabled", "yes"),
        ("[numbers.101]\ndisplay = \"office\"", "display", "numbers.101"),
        ("[numbers.101]\nrules = \"metta\"", "numbers.101", "metta"),
        ("[numbers.101]\ntimezone = \"Here\"", "numbers.101", "Here"),
        ("[numbers.101]\ncurrency = \"euro\"", "currency", "euro"),
        ("[numbers.101]\nmode = \"silent\"", "numbers.101", "silent"),
        ("[webhook]\nsecret_file = 7", "secret_file", "7"),
        ("[webhook]\nsecret_file = \"/nowhere/at/all\"", "webhook.secret_file", "/nowhere/at/all"),
        ("[webhook]\nsecret_env = \"CSW_NOT_SET\"", "webhook.secret_env", "CSW_NOT_SET"),
        ("[webhook]\nverify_token_file = \"/nowhere/at/all\"", "webhook.verify_token_file", "/nowhere/at/all"),
        ("[webhook]\nverify_token_env = \"CSW_NOT_SET\"", "webhook.verify_token_env", "CSW_NOT_SET"),
    ];
    let mut wrong = Vec::new();
    for (text, key, value) in table {
        let error = refused(text).message().to_owned();
        if !error.contains(key) || !error.contains(value) {
            wrong.push(format!("{text:?}: key and value are not both in: {error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_word_that_is_nearly_right_is_told_the_right_one() {
    for (text, nearest) in
        [("mode = \"monitr\"", "monitor"), ("fail = \"close\"", "closed"), ("rules = \"guid\"", "guide")]
    {
        assert!(refused(text).message().contains(&format!("`{nearest}`?")), "{text}");
    }
}

#[test]
fn a_secret_that_stands_where_its_name_belongs_is_not_shown() {
    for text in [
        "[webhook]\nsecret = \"7f3c9d21\"",
        "[webhook]\nsecret_env = \"7f3c9d21aa\"",
        "[webhook]\nsecret_file = [\"7f3c9d21\", 7]",
    ] {
        assert!(!refused(text).message().contains("7f3c9d21"), "{text}");
    }
}

#[test]
fn what_is_not_toml_is_named_by_its_line() {
    assert!(refused("mode = \"off\"\nrules = \n").message().contains("line 2"));
}

#[test]
fn the_same_number_stands_in_the_file_once() {
    for text in
        ["[numbers.101]\n[numbers.\"+101\"]", "[numbers.101]\ndisplay = \"555\"\n[numbers.102]\ndisplay = \"555\""]
    {
        refused(text);
    }
}

#[test]
fn a_file_is_named_in_its_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("csw.toml");
    let read = || Gate::open(&path).map(drop);
    assert!(read().unwrap_err().message().contains("csw.toml"), "a file that is not there");
    fs::write(&path, "mode = \"watch\"").unwrap();
    assert!(read().unwrap_err().message().contains("csw.toml"));
    fs::write(&path, "store = \"lmdb:store\"").unwrap();
    read().unwrap();
    assert!(!folder.path().join("store").exists(), "opening a gate opens no store");
}

// ---- Secrets

#[test]
fn secrets_come_from_files_and_from_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    for (name, secret) in [("one", "first\n"), ("two", " second "), ("token", "hand\r\n")] {
        fs::write(folder.path().join(name), secret).unwrap();
    }
    // Cargo sets it for every test.
    let (variable, value) = ("CARGO_PKG_NAME", std::env::var("CARGO_PKG_NAME").unwrap());
    let table = [
        ("secret_file = \"one\"".into(), vec!["first"]),
        ("secret_file = [\"one\", \"two\"]".into(), vec!["first", "second"]),
        (format!("secret_env = \"{variable}\""), vec![value.as_str()]),
        (format!("secret_file = \"two\"\nsecret_env = [\"{variable}\"]"), vec!["second", value.as_str()]),
        ("secret_file = []".into(), vec![]),
    ];
    for (lines, expected) in table {
        let config = Config::parse(&format!("[webhook]\n{lines}"), folder.path()).unwrap();
        let secrets: Vec<&[u8]> = config.secrets.iter().map(AsRef::as_ref).collect();
        assert_eq!(secrets, expected.iter().map(|secret| secret.as_bytes()).collect::<Vec<_>>(), "{lines}");
    }
    let tokens = format!("[webhook]\nverify_token_file = \"token\"\nverify_token_env = \"{variable}\"");
    let gate = Gate::with(Config::parse(&tokens, folder.path()).unwrap());
    let is_token = ["hand", &value, "", "han", "hand\r\n"].map(|token| gate.is_verify_token(token.as_bytes()));
    assert_eq!(is_token, [true, true, false, false, false]);
}

#[test]
fn without_a_verify_token_nothing_is_one() {
    let gate = Gate::open_text("").unwrap();
    assert!(!gate.is_verify_token(b"") && !gate.is_verify_token(b"token"));
}

#[test]
fn an_empty_secret_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("full", "secret"), ("empty", ""), ("blank", " \n")] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    for key in ["secret_file", "verify_token_file"] {
        for files in ["\"empty\"", "\"blank\"", "[\"full\", \"empty\"]"] {
            let text = format!("[webhook]\n{key} = {files}");
            let error = Config::parse(&text, folder.path()).map(drop).unwrap_err();
            assert_eq!(error.code(), Code::Config);
            assert!(error.message().contains("webhook."), "{error}");
        }
    }
}

#[test]
fn secrets_are_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), "hush-hush").unwrap();
    let text = "[webhook]\nsecret_file = \"secret\"\nverify_token_file = \"secret\"";
    let config = Config::parse(text, folder.path()).unwrap();
    let shown = format!("{config:?} {config:#?} {:?}", config.secrets[0]);
    assert!(!shown.contains("hush"), "{shown}");
    let bytes = format!("{:?}", b"hush-hush");
    assert!(!shown.contains(&bytes), "{shown}");
}
