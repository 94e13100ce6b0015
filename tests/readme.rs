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
    for secret in ["app_secret", "verify_token"] {
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
    let rows = readme.lines().filter_map(|line| {
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
    let script = only("lua");
    for (lua, native) in [("luajit", "lib/?.so"), ("lua5.1", "lib/lua/5.1/?.so"), ("lua5.4", "lib/lua/5.4/?.so")] {
        let lua_path = format!("{0}/share/lua/?.lua;{0}/share/lua/?/init.lua;;", build.display());
        let printed = succeeds(
            Command::new(lua)
                .env("LUA_PATH", lua_path)
                .env("LUA_CPATH", format!("{}/{native};;", build.display()))
                .arg("-e")
                .arg(&script),
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
