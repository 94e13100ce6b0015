//! What a command says on standard output: facts about one thing, or rows about many; for people, or for programs.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;

use clap::ValueEnum;
use clap::builder::styling::AnsiColor;
use comfy_table::{Attribute, Cell, CellAlignment, Color, Table, presets};
use serde::ser::{Serialize, SerializeMap, Serializer};

use csw::error::Error;
use csw::party::Customer;

use crate::ending::Failure;
use crate::value::{Json, Value, decimals_of, with_decimals};

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned, for people.
    Table,
    /// Comma-separated, with a line of names first.
    Csv,
    /// One JSON list.
    Json,
    /// One JSON object a line.
    Jsonl,
}

/// What stands to the left and the right of a column.
const BETWEEN: (u16, u16) = (0, 2);

/// Facts about one thing, each by its name.
#[derive(Default)]
pub struct Facts(Vec<Fact>);

struct Fact {
    name: &'static str,
    value: Value,
    /// Whether only programs are told.
    quiet: bool,
}

impl Facts {
    /// A fact.
    #[must_use]
    pub fn say(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.push(Fact { name, value: value.into(), quiet: false });
        self
    }

    /// A fact that people need to see in some cases only; programs always do.
    #[must_use]
    pub fn say_if(mut self, matters: bool, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.push(Fact { name, value: value.into(), quiet: !matters });
        self
    }
}

/// Standard output, or a file in its place.
pub struct Output {
    json: bool,
    numbers: bool,
    colour: bool,
    place: Box<dyn Write>,
}

impl Output {
    /// Standard output; with phone numbers whole, or redacted.
    pub fn new(json: bool, numbers: bool) -> Self {
        let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Output { json, numbers, colour, place: Box::new(BufWriter::with_capacity(1 << 16, io::stdout())) }
    }

    /// Writes to a file from now on.
    pub fn redirect(&mut self, path: &Path) -> Result<(), Error> {
        let file = File::create(path).map_err(|cause| Error::invalid(format!("{}: {cause}", path.display())))?;
        self.place = Box::new(BufWriter::with_capacity(1 << 16, file));
        self.colour = false;
        Ok(())
    }

    /// The format that was asked for; `--json` asks for JSON, in lines where rows may be many.
    pub fn format(&self, asked: Option<Format>, usual: Format, json: Format) -> Format {
        asked.unwrap_or(if self.json { json } else { usual })
    }

    /// Says facts about one thing: a line for each that is known, or one JSON object.
    pub fn facts(&mut self, facts: &Facts) -> Result<(), Failure> {
        if self.json {
            return self.object(facts);
        }
        let mut table = plain_table(self.colour);
        for fact in facts.0.iter().filter(|fact| !fact.quiet) {
            let text = fact.value.human(self.numbers);
            if !text.is_empty() {
                table.add_row([Cell::new(fact.name).add_attribute(Attribute::Dim), cell(&fact.value, &text)]);
            }
        }
        for column in table.column_iter_mut() {
            column.set_padding(BETWEEN);
        }
        writeln!(self.place, "{}", table.trim_fmt())?;
        Ok(())
    }

    /// Says facts in a sentence, or in one JSON object.
    pub fn sentence(&mut self, sentence: &str, facts: &Facts) -> Result<(), Failure> {
        if self.json {
            return self.object(facts);
        }
        writeln!(self.place, "{sentence}")?;
        Ok(())
    }

    /// Says lines for people.
    pub fn lines(&mut self, lines: &[String]) -> Result<(), Failure> {
        for line in lines {
            writeln!(self.place, "{line}")?;
        }
        writeln!(self.place)?;
        Ok(())
    }

    /// A text in a colour, where there are colours.
    pub fn paint(&self, colour: AnsiColor, text: &str) -> String {
        let style = colour.on_default();
        if self.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// A customer as it may be shown.
    pub fn customer(&self, customer: &Customer) -> String {
        Value::from(*customer).human(self.numbers).into_owned()
    }

    /// Says bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.place.write_all(bytes)?)
    }

    /// Begins rows under these names.
    pub fn rows(&mut self, format: Format, names: &[&'static str]) -> Result<Rows<'_>, Failure> {
        let place = &mut self.place;
        let sink = match format {
            Format::Table => Sink::Table { rows: Vec::new(), totals: Vec::new(), colour: self.colour, place },
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(place);
                writer.write_record(names)?;
                Sink::Csv(Box::new(writer))
            }
            Format::Json => Sink::Json { place, is_first: true },
            Format::Jsonl => Sink::Jsonl(place),
        };
        Ok(Rows { names: names.to_vec(), numbers: self.numbers, sink })
    }

    /// Hands over what was written.
    pub fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.place.flush()?)
    }

    fn object(&mut self, facts: &Facts) -> Result<(), Failure> {
        let (names, values): (Vec<_>, Vec<_>) = facts.0.iter().map(|fact| (fact.name, fact.value.clone())).unzip();
        write_object(&mut self.place, &Object { names: &names, values: &values, numbers: self.numbers })?;
        writeln!(self.place)?;
        Ok(())
    }
}

/// Rows about many things.
pub struct Rows<'o> {
    names: Vec<&'static str>,
    numbers: bool,
    sink: Sink<'o>,
}

type Place<'o> = &'o mut Box<dyn Write>;

enum Sink<'o> {
    /// Kept until the widths are known.
    Table {
        rows: Vec<Vec<Value>>,
        totals: Vec<Vec<Value>>,
        colour: bool,
        place: Place<'o>,
    },
    Csv(Box<csv::Writer<Place<'o>>>),
    Json {
        place: Place<'o>,
        is_first: bool,
    },
    Jsonl(Place<'o>),
}

impl Rows<'_> {
    /// A row; its values in the order of the names.
    pub fn row(&mut self, values: Vec<Value>) -> Result<(), Failure> {
        let object = Object { names: &self.names, values: &values, numbers: self.numbers };
        match &mut self.sink {
            Sink::Table { rows, .. } => rows.push(values),
            Sink::Csv(writer) => {
                for value in &values {
                    writer.write_field(value.plain(self.numbers).as_bytes())?;
                }
                writer.write_record(None::<&[u8]>)?;
            }
            Sink::Json { place, is_first } => {
                place.write_all(if *is_first { b"[\n" } else { b",\n" })?;
                *is_first = false;
                write_object(place, &object)?;
            }
            Sink::Jsonl(place) => {
                write_object(place, &object)?;
                writeln!(place)?;
            }
        }
        Ok(())
    }

    /// A row below the others that adds them up: for people, who cannot do it as fast.
    pub fn total(&mut self, values: Vec<Value>) {
        if let Sink::Table { totals, .. } = &mut self.sink {
            totals.push(values);
        }
    }

    /// Ends them.
    pub fn end(self) -> Result<(), Failure> {
        match self.sink {
            Sink::Table { rows, place, .. } if rows.is_empty() => writeln!(place, "nothing to show")?,
            Sink::Table { rows, totals, colour, place } => {
                let table = aligned(&self.names, &rows, &totals, self.numbers, colour);
                writeln!(place, "{}", table.trim_fmt())?;
            }
            Sink::Csv(mut writer) => writer.flush()?,
            Sink::Json { place, is_first } => place.write_all(if is_first { b"[]\n" } else { b"\n]\n" })?,
            Sink::Jsonl(_) => {}
        }
        Ok(())
    }
}

/// A JSON object with its members in the order of the names. A moment is said twice: as RFC 3339, and in milliseconds.
struct Object<'r> {
    names: &'r [&'static str],
    values: &'r [Value],
    numbers: bool,
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        for (name, value) in self.names.iter().zip(self.values) {
            let json = Json { value, numbers: self.numbers };
            match value {
                Value::Span(_) => members.serialize_entry(&format_args!("{name}_ms"), &json)?,
                _ => members.serialize_entry(name, &json)?,
            }
            if let Value::Moment(at, _) = value {
                members.serialize_entry(&format_args!("{name}_ms"), &at.map(|at| at.millis()))?;
            }
        }
        members.end()
    }
}

fn write_object(place: &mut dyn Write, object: &Object) -> io::Result<()> {
    serde_json::to_writer(place, object).map_err(io::Error::from)
}

/// A table without lines.
fn plain_table(colour: bool) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    if colour {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table
}

/// Names, rows, and totals below them; numbers to the right, and the amounts of a column with equally many decimals.
fn aligned(names: &[&str], rows: &[Vec<Value>], totals: &[Vec<Value>], numbers: bool, colour: bool) -> Table {
    let mut table = plain_table(colour);
    let all = || rows.iter().chain(totals);
    let column = |index: usize| all().filter_map(move |row| row.get(index));
    let is_number = |index| column(index).any(Value::is_number);
    let decimals: Vec<usize> = (0..names.len())
        .map(|index| column(index).map(|value| decimals_of(&value.human(numbers))).max().unwrap_or(0))
        .collect();
    table.set_header(names.iter().map(|name| Cell::new(name).add_attribute(Attribute::Dim)));
    for (place, row) in all().enumerate() {
        let cells = row.iter().zip(&decimals).map(|(value, decimals)| {
            let text = match value {
                Value::Amount(_) => with_decimals(value.human(numbers).into_owned(), *decimals),
                _ => value.human(numbers).into_owned(),
            };
            let cell = cell(value, &text);
            if place < rows.len() { cell } else { cell.add_attribute(Attribute::Bold) }
        });
        table.add_row(cells);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding(BETWEEN);
        if is_number(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A cell; what says yes, no, or nothing certain has its colour.
fn cell(value: &Value, text: &str) -> Cell {
    let cell = Cell::new(text);
    match value {
        Value::Word("open" | "allow" | "ok") => cell.fg(Color::Green),
        Value::Word("closed" | "deny" | "fail") => cell.fg(Color::Red),
        Value::Word("unknown" | "warn") => cell.fg(Color::Yellow),
        _ => cell,
    }
}
