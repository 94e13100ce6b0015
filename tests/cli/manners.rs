//! What all commands have in common: exit codes, redaction, help, completions, the manual, closed pipes.

use std::io::Read;
use std::process::Output;

use crate::place::{NOON, Place, anna_writes, csw, delivered, out, said};
use crate::support::{ANNA, SHOP, free_form};

/// Every command, by its words.
fn commands() -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut open: Vec<Vec<String>> = vec![vec![]];
    while let Some(path) = open.pop() {
        let help = Place::new().run(&[&path.iter().map(String::as_str).collect::<Vec<_>>()[..], &["--help"]].concat());
        let help = out(&help);
        let list = help.split_once("\nCommands:\n").map_or("", |(_, list)| list);
        let names = list.lines().take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("    "));
        for name in names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help") {
            let below = [path.clone(), vec![name.to_owned()]].concat();
            open.push(below.clone());
            found.push(below);
        }
    }
    found.sort();
    found
}

#[test]
fn exit_codes_are_as_documented() {
    let place = Place::new();
    let table: &[(&[&str], &[u8], i32)] = &[
        (&["--help"], b"", 0),
        (&["--version"], b"", 0),
        (&["check", "--help"], b"", 0),
        (&["help", "check"], b"", 0),
        (&["report"], b"", 0),
        (&["check", SHOP, ANNA], b"", 3),
        (&["decide", SHOP], b"{\"to\":\"447700900123\",\"type\":\"text\",\"text\":{\"body\":\"hi\"}}", 3),
        (&["decide", SHOP], b"no body", 1),
        (&["ingest", "-"], b"no webhook", 2),
        (&["import", "-"], b"business,customer,last_act\nx,y,z\n", 2),
        (&["import", "-"], b"no,columns\n", 1),
        (&["--config", "nowhere.toml", "report"], b"", 1),
        (&[], b"", 64),
        (&["chekc"], b"", 64),
        (&["check"], b"", 64),
        (&["check", SHOP, "nobody"], b"", 64),
        (&["check", "shop", ANNA], b"", 64),
        (&["check", SHOP, ANNA, "--at", "noon"], b"", 64),
        (&["report", "--from", "2026-10-02", "--to", "2026-10-01"], b"", 64),
        (&["report", "--month", "October"], b"", 64),
        (&["report", "--month", "2026-10", "--to", "2026-10-01"], b"", 64),
        (&["report", "--format", "xml"], b"", 64),
        (&["expiring"], b"", 0),
        (&["free-tier"], b"", 0),
        (&["timeline", SHOP, ANNA], b"", 0),
        (&["timeline", SHOP, ANNA, "--days", "0"], b"", 64),
        (&["reconcile"], b"", 0),
        (&["rates", "list"], b"", 0),
        (&["rates", "import", "nowhere.csv", "--from", "2026-10-01"], b"", 1),
        (&["rates", "import", "nowhere.csv"], b"", 64),
        (&["templates", "list"], b"", 0),
        (&["templates", "import", "-", "--account", "1"], b"{\"data\":[{}]}", 2),
        (&["doctor"], b"", 0),
        (&["forget", ANNA, "--yes"], b"", 0),
        (&["forget", ANNA], b"", 64),
        (&["ledger"], b"", 64),
        (&["completions", "fish"], b"", 0),
        (&["completions", "dish"], b"", 64),
    ];
    for (arguments, input, code) in table {
        let output = place.run_with(arguments, input);
        assert_eq!(output.status.code(), Some(*code), "{arguments:?}: {}", said(&output));
        let (stdout, stderr) = (!output.stdout.is_empty(), !output.stderr.is_empty());
        match code {
            0 | 3 => assert!(stdout && !stderr, "{arguments:?}: {}", said(&output)),
            2 => assert!(stdout && stderr, "{arguments:?}: {}", said(&output)),
            _ => assert!(!stdout && stderr, "{arguments:?}: {}", said(&output)),
        }
    }
    let documented = out(&place.run(&["--help"]));
    for (_, _, code) in table {
        assert!(documented.contains(&format!("\n  {code} ")), "{code} is not documented");
    }
}

#[test]
fn failures_begin_with_the_name_of_the_command() {
    let output = Place::with("stroe = \"memory:\"\n").run(&["report"]);
    assert!(said(&output).starts_with("csw: "), "{}", said(&output));
}

#[test]
fn the_configuration_is_named_by_an_option_or_by_the_environment() {
    let place = Place::with("unknown = \"open\"\n");
    let environment =
        csw(std::path::Path::new("nowhere.toml")).env("CSW_CONFIG", place.config()).args(["report"]).output();
    assert_eq!(environment.unwrap().status.code(), Some(1), "the option counts first");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_csw"));
    let output = command.env("CSW_CONFIG", place.config()).args(["check", SHOP, ANNA]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn no_number_is_whole_in_any_output_unless_asked_for() {
    let place = Place::new();
    place.ingest(&[anna_writes("in-1", NOON), delivered("out-1", NOON, "service", "free_customer_service")]);
    let send = place.file("send.json", free_form(ANNA));
    let send = send.to_str().unwrap();
    let table: &[&[&str]] = &[
        &["check", SHOP, ANNA],
        &["check", SHOP, "447700900123x"],
        &["decide", SHOP, send],
        &["report", "--month", "2026-10", "--by", "day,business,class,category,market"],
        &["ledger", "export"],
        &["expiring", "--within", "24h", "--at", "2026-10-11T00:00:00Z"],
        &["timeline", SHOP, ANNA, "--days", "366"],
        &["reconcile", "--list", "--month", "2026-10"],
        &["free-tier"],
        &["doctor", "--deep"],
        &["forget", "447700900123", "--business", "1", "--yes"],
        &["forget", "447700900123"],
        &["ingest", send],
        &["import", send],
    ];
    for arguments in table {
        for json in [&[][..], &["--json"]] {
            let output = place.run(&[json, arguments].concat());
            assert!(!said(&output).contains("7700900123"), "{arguments:?}: {}", said(&output));
        }
    }
    for arguments in [&["check", SHOP, ANNA][..], &["ledger", "export"]] {
        let output = place.run(&[&["--show-numbers"], arguments].concat());
        assert!(said(&output).contains(ANNA), "{arguments:?}: {}", said(&output));
    }
}

#[test]
fn every_command_says_what_it_does() {
    for path in commands() {
        let words: Vec<&str> = path.iter().map(String::as_str).collect();
        let help = out(&Place::new().run(&[&words[..], &["--help"]].concat()));
        assert!(help.starts_with(|letter: char| letter.is_ascii_uppercase()), "{path:?}: {help}");
        assert!(help.contains("--json") && help.contains("--show-numbers") && help.contains("--config"), "{path:?}");
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{path:?}: {help}");
    }
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = out(&Place::new().run(&["completions", shell]));
        for path in commands() {
            assert!(script.contains(path.last().unwrap().as_str()), "{shell}: {path:?}");
        }
        assert!(script.contains("--show-numbers") || script.contains("show-numbers"), "{shell}");
    }
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let place = Place::new();
    let folder = place.path("man1");
    let output = place.run(&["man", folder.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
    let commands = commands();
    assert!(commands.len() >= 23, "{commands:?}");
    for path in [vec![vec![]], commands].concat() {
        let name = [vec!["csw".to_owned()], path].concat().join("-");
        let page = std::fs::read_to_string(folder.join(format!("{name}.1"))).unwrap_or_else(|_| panic!("{name}"));
        for part in [".SH NAME", ".SH SYNOPSIS", ".SH OPTIONS", ".SH \"EXIT STATUS\""] {
            assert!(page.contains(part), "{name}: {part}");
        }
    }
    let main = out(&place.run(&["man"]));
    assert_eq!(main, std::fs::read_to_string(folder.join("csw.1")).unwrap());
    assert!(!main.contains(place.config().to_str().unwrap()), "the machine's paths are nobody's business");
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let place = Place::with("durability = \"relaxed\"\n");
    let many: Vec<_> =
        (0..4000).map(|number| delivered(&format!("out-{number}"), NOON, "utility", "regular")).collect();
    place.ingest(&many);
    for arguments in [&["ledger", "export"][..], &["completions", "bash"]] {
        let mut child = place.command(arguments).spawn().unwrap();
        let mut byte = [0];
        child.stdout.take().unwrap().read_exact(&mut byte).unwrap();
        let Output { status, stderr, .. } = child.wait_with_output().unwrap();
        assert_eq!((status.code(), String::from_utf8_lossy(&stderr).as_ref()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn asking_makes_no_store() {
    let place = Place::without_store("");
    for question in [&["check", SHOP, ANNA][..], &["report"], &["expiring"], &["free-tier"], &["rates", "list"]] {
        let output = place.run(question);
        assert_eq!(output.status.code(), Some(1), "{question:?}");
        assert!(said(&output).contains("store holds no store yet"), "{}", said(&output));
        assert!(!place.path("store").exists());
    }
}
