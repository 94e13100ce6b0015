//! What the README shows is run: configurations are read, programs compiled and run, the nginx configuration tested by nginx.
// What cannot be set up fails the test.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use csw::gate::config::Config;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The staged tree.
fn build() -> PathBuf {
    let build = std::env::var_os("CSW_BUILD").map_or_else(|| root().join("build"), PathBuf::from);
    assert!(build.join("lib/libcsw.so").exists(), "nothing is staged in {}: run `make build`", build.display());
    build
}

/// The fenced blocks of a language.
fn blocks(language: &str) -> Vec<String> {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let fenced = readme.split("```").skip(1).step_by(2);
    fenced.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n').map(str::to_owned)).collect()
}

fn only(language: &str) -> String {
    let mut blocks = blocks(language);
    assert_eq!(blocks.len(), 1, "{language}");
    blocks.remove(0)
}

/// A folder that stands for /etc/csw, with the secrets that the README names.
fn with_secrets() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for secret in ["app_secret", "verify_token", "token"] {
        std::fs::write(folder.path().join(secret), "secret\n").unwrap();
    }
    folder
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    said(&output)
}

#[test]
fn every_configuration_is_valid() {
    let folder = with_secrets();
    let blocks = blocks("toml");
    assert!(blocks.len() >= 2);
    for block in blocks {
        let text = block.replace("/etc/csw/", &format!("{}/", folder.path().display()));
        if let Err(error) = Config::parse(&text, Path::new("/")) {
            panic!("{error}\n{text}");
        }
    }
}

#[test]
fn the_defaults_of_the_table_are_the_defaults() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let (_, keys) = readme.split_once("## csw.toml, key by key").unwrap();
    let rows = keys.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let (key, default) = (cells.next()?.strip_suffix('`')?, cells.next()?.strip_prefix('`')?.strip_suffix('`')?);
        key.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_').then(|| format!("{key} = {default}\n"))
    });
    let stated: String = rows.collect();
    assert!(stated.lines().count() >= 10, "{stated}");
    let (stated, default) =
        (Config::parse(&stated, Path::new("/")).unwrap(), Config::parse("", Path::new("/")).unwrap());
    assert_eq!(format!("{stated:?}"), format!("{default:?}"));
}

#[test]
fn the_nginx_configuration_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let conf = folder.path().join("nginx.conf");
    let body = only("nginx").replace("/usr/local/share/lua/5.1", build().join("share/lua").to_str().unwrap());
    let frame = format!(
        "include /etc/nginx/modules-enabled/*.conf;\npid {0}/pid;\nerror_log {0}/error.log;\nevents {{}}\nhttp {{\naccess_log off;\n{1}\n}}\n",
        folder.path().display(),
        // The name is looked up when the configuration is tested; here there is no network.
        body.replace("https://graph.facebook.com", "https://127.0.0.1")
    );
    std::fs::write(&conf, frame).unwrap();
    succeeds(Command::new("nginx").arg("-t").arg("-c").arg(&conf));
}

#[test]
fn the_lua_example_says_what_the_readme_says() {
    let build = build();
    let scripts = blocks("lua");
    let script = scripts.iter().find(|script| script.contains("require(\"csw\")")).unwrap();
    for (lua, native) in [("luajit", "lib/?.so"), ("lua5.1", "lib/lua/5.1/?.so"), ("lua5.4", "lib/lua/5.4/?.so")] {
        let lua_path = format!("{0}/share/lua/?.lua;{0}/share/lua/?/init.lua;;", build.display());
        let printed = succeeds(
            Command::new(lua)
                .env("LUA_PATH", lua_path)
                .env("LUA_CPATH", format!("{}/{native};;", build.display()))
                .arg("-e")
                .arg(script),
        );
        assert!(printed.starts_with("open\t") && printed.contains("\twindow_open\n"), "{lua}: {printed}");
        assert!(
            printed.contains("allow\topens\tservice\tfree\n") && printed.contains("free-form, for 8"),
            "{lua}: {printed}"
        );
    }
}

#[test]
fn the_c_example_compiles_and_finds_the_window_open() {
    let (build, folder) = (build(), tempfile::tempdir().unwrap());
    let (source, program) = (folder.path().join("example.c"), folder.path().join("example"));
    std::fs::write(&source, only("c")).unwrap();
    succeeds(
        Command::new("cc")
            .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-I"])
            .arg(build.join("include"))
            .arg(&source)
            .arg("-L")
            .arg(build.join("lib"))
            .arg("-lcsw")
            .arg("-o")
            .arg(&program),
    );
    let printed = succeeds(Command::new(&program).env("LD_LIBRARY_PATH", build.join("lib")));
    assert!(printed.starts_with("open, for 86"), "{printed}");
}

/// A folder in which the commands of the README work: a configuration, and the platform's files under the names that it gives them.
fn with_books() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    file("csw.toml", "store = \"lmdb:store\"\nrules = \"meta\"\ncurrency = \"EUR\"\n");
    file(
        "rates-eur.csv",
        "\"Cost per message in EUR\",,,\nMarket,Currency,Marketing,Utility\nNorth America,EUR,0.0658,0.0248\n",
    );
    file(
        "templates.json",
        r#"{"data":[{"name":"sale","language":"en_US","status":"APPROVED","category":"MARKETING"}]}"#,
    );
    let period = r#""start":1790812800,"end":1793491200"#;
    let point = format!(
        r#"{{{period},"pricing_category":"MARKETING","volume":1,"cost":0.0658}},{{{period},"pricing_category":"REFERRAL_CONVERSION","volume":1,"cost":0}}"#
    );
    file("pricing_analytics.json", &format!(r#"{{"pricing_analytics":{{"data":[{{"data_points":[{point}]}}]}}}}"#));
    let value = |part: &str| {
        let metadata = r#""metadata":{"display_phone_number":"15550783881","phone_number_id":"106540352242922"}"#;
        let change = format!(r#"{{"field":"messages","value":{{{metadata},{part}}}}}"#);
        format!(
            "{{\"object\":\"whatsapp_business_account\",\"entry\":[{{\"id\":\"102290129340398\",\"changes\":[{change}]}}]}}\n"
        )
    };
    let status = |id: &str, word: &str, more: &str| {
        let about = r#""timestamp":"1791200000","recipient_id":"16505551234""#;
        value(&format!(r#""statuses":[{{"id":"{id}","status":"{word}",{about}{more}}}]"#))
    };
    let reported = r#","pricing":{"billable":true,"pricing_model":"PMP","type":"regular","category":"marketing"}"#;
    let utility =
        r#","pricing":{"billable":false,"pricing_model":"PMP","type":"free_entry_point","category":"utility"}"#;
    let now = csw::time::Timestamp::now().seconds();
    let writes = format!(
        r#""messages":[{{"from":"16505551234","id":"wamid.3","timestamp":"{now}","type":"text","text":{{}}}}]"#
    );
    let webhooks = [status("wamid.1", "delivered", reported), status("wamid.2", "delivered", utility), value(&writes)];
    file("webhooks.jsonl", &webhooks.concat());
    folder
}

fn csw(folder: &Path, line: &str) -> String {
    let words = line.split(" #").next().unwrap().split_whitespace().skip(1);
    succeeds(Command::new(build().join("bin/csw")).current_dir(folder).env("CSW_CONFIG", "csw.toml").args(words))
}

#[test]
fn the_commands_of_accounting_work_and_the_report_is_the_one_that_is_shown() {
    let folder = with_books();
    let commands: Vec<String> = blocks("sh").into_iter().filter(|block| block.starts_with("csw ")).collect();
    let [commands] = commands.as_slice() else { panic!("one block of commands") };
    let (setting_up, asking): (Vec<&str>, Vec<&str>) = commands.lines().partition(|line| line.contains(" import "));
    assert!(setting_up.len() == 2 && asking.len() >= 3, "{commands}");
    setting_up.iter().for_each(|line| drop(csw(folder.path(), line)));
    csw(folder.path(), "csw ingest webhooks.jsonl");
    asking.iter().for_each(|line| drop(csw(folder.path(), line)));
    assert!(folder.path().join("last-days.svg").exists());

    let shown = csw(folder.path(), "csw report --month 2026-10 --by category,basis");
    let trimmed = |text: &str| text.lines().map(|line| line.trim_end().to_owned() + "\n").collect::<String>();
    assert!(
        blocks("text").iter().any(|block| trimmed(block) == trimmed(&shown)),
        "the README shows another report than\n{shown}"
    );
}
