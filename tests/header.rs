//! The committed header and the LuaJIT declarations are what the sources say; `UPDATE=1` writes them anew (`make header`).
// What cannot be read fails the test.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn header() -> String {
    let sources = [
        "src/error.rs",
        "src/rules/event.rs",
        "src/rules/window.rs",
        "src/rules/conversation.rs",
        "src/rules/charge.rs",
        "src/rules/rate.rs",
        "src/rules/ledger.rs",
        "src/rules/decision.rs",
        "src/gate/config/mod.rs",
        "src/gate/report.rs",
        "src/gate/parking.rs",
        "src/rules/closed.rs",
        "src/capi/structs.rs",
        "src/capi/mod.rs",
    ];
    let config = cbindgen::Config::from_file(root().join("cbindgen.toml")).unwrap();
    let builder = sources
        .iter()
        .fold(cbindgen::Builder::new().with_config(config), |builder, source| builder.with_src(root().join(source)));
    let mut bytes = Vec::new();
    builder.generate().unwrap().write(&mut bytes);
    let text = String::from_utf8(bytes).unwrap();
    // What Rust asks of unsafe functions is said once, in the contract at the top of the header; links and code marks mean nothing in C; and enumerations
    // are plain, since structs hold them as int32_t.
    let safety = "// # Safety\n// See the contract at the top of the header.\n";
    let text = text.replace(&format!("//\n{safety}"), "").replace("[`", "").replace("`]", "").replace('`', "");
    let for_newer_languages = |line: &str| {
        (
            line.starts_with("#if defined(__cplusplus) ||"),
            line.starts_with("#ifndef __cplusplus"),
            line.starts_with("#endif"),
        )
    };
    let (mut kept, mut skipping) = (String::new(), 0);
    for line in text.lines() {
        let (in_enum, in_typedef, ends) = for_newer_languages(line);
        match skipping {
            0 if in_enum => skipping = 1,
            0 if in_typedef => skipping = 2,
            0 => kept += &format!("{}\n", line.trim_end()),
            _ if ends => skipping -= 1,
            _ => {}
        }
    }
    kept.replace("\n {\n", " {\n")
}

/// The header's declarations without comments and preprocessor lines, as `ffi.cdef` reads them; constants become a table.
fn cdefs(header: &str) -> String {
    let code = |line: &&str| {
        let line = line.trim_start();
        !(line.is_empty() || line.starts_with("//") || line.starts_with('#'))
    };
    let body = header.split_once("*/").unwrap().1;
    let without_cpp: String = body.split("#ifdef __cplusplus").enumerate().fold(String::new(), |all, (index, part)| {
        all + if index == 0 { part } else { part.split_once("#endif").unwrap().1 }
    });
    let declarations: Vec<&str> = without_cpp.lines().filter(code).collect();
    let constant = |line: &str| {
        let mut words = line.strip_prefix("#define ")?.split_whitespace();
        let (name, value) = (words.next()?.strip_prefix("CSW_")?, words.next()?);
        Some(format!("  {name} = {},\n", value.trim_start_matches("(").trim_end_matches(")")))
    };
    let constants: String = body.lines().filter_map(constant).collect();
    format!(
        "-- Made from include/csw.h by `make header`; do not edit.\nlocal ffi = require(\"ffi\")\n\n\n-- A second copy of this module \
         (a reload, another loader) must not declare the same types again.\nif not pcall(ffi.typeof, \"csw_gate\") then\n  ffi.cdef([[\n{}\n  ]])\nend\n\n\nreturn {{\n{constants}}}\n",
        declarations.join("\n")
    )
}

fn committed_is(path: &Path, expected: &str) {
    let path = root().join(path);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, expected).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let line = committed.lines().zip(expected.lines()).position(|(is, should)| is != should);
    assert!(
        committed == expected,
        "{} is not what the sources say (first at line {line:?}); run `make header`",
        path.display()
    );
}

#[test]
fn the_header_is_what_the_sources_say() {
    committed_is(Path::new("include/csw.h"), &header());
}

#[test]
fn the_luajit_declarations_are_what_the_header_says() {
    committed_is(Path::new("lua/csw/cdefs.lua"), &cdefs(&header()));
}

#[test]
fn versions_agree() {
    let header = header();
    assert!(header.contains(&format!("#define CSW_VERSION \"{}\"", env!("CARGO_PKG_VERSION"))));
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let abi = header.lines().find_map(|line| line.strip_prefix("#define CSW_ABI_VERSION ")).unwrap();
    assert!(read("lua/csw/init.lua").contains(&format!("local ABI_VERSION = {abi}\n")), "lua/csw/init.lua");
    assert!(read("src/lua.rs").contains(&format!("const ABI_VERSION: u32 = {abi};")), "src/lua.rs");
    let changelog = std::fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    assert!(
        changelog.contains(&format!("## [{}]", env!("CARGO_PKG_VERSION"))),
        "CHANGELOG.md does not name this version"
    );
}

#[test]
fn everything_in_the_header_is_documented() {
    let header = header();
    let lines: Vec<&str> = header.lines().collect();
    let declares = |line: &str| {
        line.starts_with("int32_t csw_")
            || line.starts_with("void csw_")
            || line.starts_with("const char *csw_")
            || line.starts_with("uint32_t csw_")
            || line.starts_with("struct csw_")
            || line.starts_with("enum csw_")
            || line.starts_with("typedef struct csw_")
    };
    let undocumented: Vec<&&str> =
        lines.windows(2).filter(|pair| declares(pair[1]) && !pair[0].starts_with("//")).map(|pair| &pair[1]).collect();
    assert!(undocumented.is_empty(), "without a comment: {undocumented:?}");
}
