//! `csw ingest`.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::place::{NOON, Place, anna_writes, lines, out, said};
use crate::support::{ANNA, BERT, text, webhook};

/// The counts of an answer: webhooks, events, repeated, ignored, unreadable.
fn counts(answer: &Value) -> [i64; 5] {
    ["webhooks", "events", "repeated", "ignored", "unreadable"].map(|name| answer[name].as_i64().unwrap())
}

fn two() -> [Value; 2] {
    let both = json!({"messages": [text(ANNA, "in-2", NOON), text(BERT, "in-3", NOON)]});
    [anna_writes("in-1", NOON), webhook("messages", both)]
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

#[test]
fn ingest_takes_every_way_in_which_webhooks_are_kept() {
    let [first, second] = two();
    let pretty = |webhook: &Value| serde_json::to_string_pretty(webhook).unwrap();
    let table = [
        ("lines", lines(&two()).into_bytes()),
        ("lines without the last break", lines(&two()).trim_end().into()),
        ("lines with a mark and breaks of Windows", format!("\u{feff}{first}\r\n\r\n{second}\r\n").into_bytes()),
        ("pretty", format!("{}\n{}\n", pretty(&first), pretty(&second)).into_bytes()),
        ("behind one another", format!("{first}{second}").into_bytes()),
        ("a list", serde_json::to_vec_pretty(&two()).unwrap()),
        ("gzip", gzip(lines(&two()).as_bytes())),
        ("two gzips", [gzip(format!("{first}\n").as_bytes()), gzip(second.to_string().as_bytes())].concat()),
        (
            "pretty in gzip",
            gzip(pretty(&first).as_bytes()).into_iter().chain(gzip(pretty(&second).as_bytes())).collect(),
        ),
    ];
    for (how, bytes) in table {
        let place = Place::new();
        let file = place.file("webhooks", &bytes);
        assert_eq!(counts(&place.json(&["ingest", file.to_str().unwrap()])), [2, 3, 0, 0, 0], "{how}");
        assert_eq!(place.last_act(BERT), Some(NOON), "{how}");
        let output = place.run_with(&["--json", "ingest", "-"], &bytes);
        let again = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{how}: {}", said(&output)));
        assert_eq!(counts(&again), [2, 3, 3, 0, 0], "{how}, again, from standard input");
    }
}

#[test]
fn ingest_names_what_it_leaves_out() {
    let place = Place::new();
    let [first, second] = two();
    let nobody =
        webhook("messages", json!({"messages": [{"from": "whatsapp:+447700900123", "id": "in-9", "type": "text"}]}));
    let text = format!("{first}\nnot JSON\n[]\n\n{{\"cut\":\n{nobody}\n{second}\n");
    let file = place.file("webhooks.jsonl", text);
    let output = place.run(&["--json", "ingest", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert_eq!(counts(&serde_json::from_slice(&output.stdout).unwrap()), [3, 3, 0, 0, 4]);
    let named = String::from_utf8(output.stderr).unwrap();
    let places: Vec<&str> = named.lines().map(|line| line.split("webhooks.jsonl:").nth(1).unwrap()).collect();
    for (place, beginning) in places.iter().zip(["2: ", "3: ", "5: ", "6: entry[0].changes[0].value.messages[0]"]) {
        assert!(place.starts_with(beginning), "{place}");
    }
    assert!(!named.contains("7700900123"), "{named}");
}

#[test]
fn ingest_goes_on_behind_an_object_without_an_end() {
    let place = Place::new();
    let [first, second] = two();
    let file = place.file("webhooks", format!("{{\"cut\": [\n{first}\n{second}\n"));
    let output = place.run(&["--json", "ingest", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert_eq!(counts(&serde_json::from_slice(&output.stdout).unwrap()), [2, 3, 0, 0, 1]);
    assert!(said(&output).contains("webhooks:1: a JSON object that does not end"), "{}", said(&output));
}

#[test]
fn ingest_works_through_several_files_and_says_how_fast() {
    let place = Place::new();
    let [first, second] = two();
    let files = [place.file("one", first.to_string()), place.file("two.gz", gzip(second.to_string().as_bytes()))];
    let output = place.run(&["ingest", files[0].to_str().unwrap(), files[1].to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
    let said = out(&output);
    for name in ["webhooks           2", "events             3", "repeated           0", "elapsed", "events_per_second"]
    {
        assert!(said.contains(name), "{name}: {said}");
    }
}

#[test]
fn ingest_keeps_many_in_flight() {
    let place = Place::with("durability = \"relaxed\"\n");
    let many: String = (0..20_000).map(|number| format!("{}\n", anna_writes(&format!("in-{number}"), NOON))).collect();
    let file = place.file("webhooks.jsonl", many);
    assert_eq!(counts(&place.json(&["ingest", file.to_str().unwrap()])), [20_000, 20_000, 0, 0, 0]);
}

#[test]
fn ingest_takes_nothing_while_a_file_is_missing_and_the_others_while_one_is_damaged() {
    let place = Place::new();
    let whole = place.file("whole.jsonl", lines(&two()));
    let whole = whole.to_str().unwrap();
    let output = place.run(&["ingest", whole, "nowhere.jsonl"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("nowhere.jsonl: "), "{}", said(&output));
    assert_eq!(place.gate().ledger_length().unwrap(), 0);

    let mut cut = gzip(lines(&two()).as_bytes());
    cut.truncate(cut.len() / 2);
    let cut = place.file("cut.gz", cut);
    let output = place.run(&["ingest", cut.to_str().unwrap(), whole]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("cut.gz: ") && said(&output).contains("webhooks           2"), "{}", said(&output));
}
