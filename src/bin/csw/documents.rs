//! The JSON objects of a file, one after the other: one a line, pretty-printed, behind one another, or in one list.
//!
//! Nothing is parsed here: that is the recorder's work. Where the first object fills its line, each line is taken to be one, so that a broken
//! line costs only itself; else the ends of objects are found by counting their braces.

use std::io::{self, BufRead, Read};

/// No webhook is as large: what goes on longer is broken.
const LENGTH_MAX: usize = 4 << 20;
/// How much is read at once of a line without end.
const PIECE: u64 = 1 << 16;

/// An object, or what stands in its place.
#[derive(Debug, PartialEq, Eq)]
pub struct Document {
    /// The line that it begins on, counted from 1.
    pub line: u64,
    /// Its bytes, or why there are none.
    pub json: Result<Vec<u8>, &'static str>,
}

/// The objects of a file.
pub struct Documents<R> {
    input: R,
    /// What was read and not given out yet, from `start` on.
    read: Vec<u8>,
    start: usize,
    /// The line of `start`.
    line: u64,
    /// Whether each line is one.
    by_line: bool,
    /// Whether a list was begun, so that lines may hold its commas.
    in_list: bool,
}

impl<R: BufRead> Documents<R> {
    /// The objects of a file.
    pub fn new(input: R) -> Self {
        Documents { input, read: Vec::new(), start: 0, line: 1, by_line: false, in_list: false }
    }

    /// The next one.
    pub fn next(&mut self) -> io::Result<Option<Document>> {
        if !self.skip_between()? {
            return Ok(None);
        }
        let line = self.line;
        let json = if self.by_line { self.line()? } else { self.object()? };
        Ok(Some(Document { line, json }))
    }

    /// Moves on to where something begins; `false` where nothing does any more.
    fn skip_between(&mut self) -> io::Result<bool> {
        loop {
            let rest = &self.read[self.start..];
            let is_start = self.line == 1 && rest.starts_with(b"\xef\xbb\xbf");
            let between = |byte: &u8| byte.is_ascii_whitespace() || !self.by_line && b"[],".contains(byte);
            let length = if is_start { 3 } else { rest.iter().take_while(|byte| between(byte)).count() };
            self.in_list |= rest[..length].contains(&b'[');
            self.take(length);
            if !self.rest().is_empty() && !is_start {
                return Ok(true);
            }
            if self.rest().is_empty() && !self.more()? {
                return Ok(false);
            }
        }
    }

    /// The rest of the line.
    fn line(&mut self) -> io::Result<Result<Vec<u8>, &'static str>> {
        let mut searched = 0;
        loop {
            match self.rest()[searched..].iter().position(|byte| *byte == b'\n') {
                Some(end) => return Ok(Ok(self.take(searched + end))),
                None if self.rest().len() > LENGTH_MAX => {
                    self.skip_line()?;
                    return Ok(Err("longer than any webhook"));
                }
                None => searched = self.rest().len(),
            }
            if !self.more()? {
                return Ok(Ok(self.take(searched)));
            }
        }
    }

    /// An object, to its last brace.
    fn object(&mut self) -> io::Result<Result<Vec<u8>, &'static str>> {
        if self.rest().first() != Some(&b'{') {
            self.skip_line()?;
            return Ok(Err("expected a JSON object"));
        }
        let (mut scan, mut scanned) = (Scan::default(), 0);
        loop {
            if let Some(end) = scan.end(&self.rest()[scanned..]) {
                let whole_line = self.line_is(scanned + end);
                let json = self.take(scanned + end);
                self.by_line = whole_line && !self.in_list;
                return Ok(Ok(json));
            }
            scanned = self.rest().len();
            if scanned > LENGTH_MAX || scan.is_broken || !self.more()? {
                // What follows on the next lines may be whole.
                self.skip_line()?;
                return Ok(Err("a JSON object that does not end"));
            }
        }
    }

    /// Whether the first so many bytes are a whole line but for the spaces after them.
    fn line_is(&self, length: usize) -> bool {
        let (object, after) = self.rest().split_at(length);
        let after = after.iter().take_while(|byte| **byte != b'\n');
        !object.contains(&b'\n') && after.clone().all(u8::is_ascii_whitespace)
    }

    /// Drops what is left of the line.
    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            match self.rest().iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    self.take(end);
                    return Ok(());
                }
                None => self.take(self.rest().len()),
            };
            if !self.more()? {
                return Ok(());
            }
        }
    }

    fn rest(&self) -> &[u8] {
        &self.read[self.start..]
    }

    /// Gives out the next bytes.
    fn take(&mut self, length: usize) -> Vec<u8> {
        let taken = self.read[self.start..self.start + length].to_vec();
        self.line += taken.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.start += length;
        taken
    }

    /// Reads on, at most to the end of the line; `false` at the end of the file.
    fn more(&mut self) -> io::Result<bool> {
        if self.start > self.read.len() / 2 {
            self.read.drain(..self.start);
            self.start = 0;
        }
        Ok(self.input.by_ref().take(PIECE).read_until(b'\n', &mut self.read)? > 0)
    }
}

/// How deep in an object, and whether in a text of it.
#[derive(Default)]
struct Scan {
    depth: usize,
    in_text: bool,
    escaped: bool,
    /// A line that ends in a text: no JSON has that.
    is_broken: bool,
}

impl Scan {
    /// Reads on; returns how many bytes belong to the object, once it ends.
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        for (place, byte) in bytes.iter().enumerate() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\n' if self.in_text => self.is_broken = true,
                b'\\' if self.in_text => self.escaped = true,
                b'"' => self.in_text = !self.in_text,
                b'{' if !self.in_text => self.depth += 1,
                b'}' if !self.in_text => self.depth -= 1,
                _ => continue,
            }
            if self.is_broken {
                return None;
            }
            if self.depth == 0 {
                return Some(place + 1);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `line json` of each object, `line !reason` of what is none.
    fn told(text: &str) -> Vec<String> {
        let mut documents = Documents::new(text.as_bytes());
        let mut told = Vec::new();
        while let Some(Document { line, json }) = documents.next().unwrap() {
            told.push(match json {
                Ok(json) => format!("{line} {}", String::from_utf8(json).unwrap()),
                Err(why) => format!("{line} !{why}"),
            });
        }
        told
    }

    #[test]
    fn objects_are_found_however_they_are_laid_out() {
        let table: [(&str, &[&str]); 12] = [
            ("", &[]),
            ("\n \n", &[]),
            ("{\"a\":1}\n{\"b\":2}\n", &["1 {\"a\":1}", "2 {\"b\":2}"]),
            ("\u{feff}{\"a\":1}\r\n\r\n{\"b\":2}", &["1 {\"a\":1}", "3 {\"b\":2}"]),
            ("{\n \"a\": {}\n}\n{\n}\n", &["1 {\n \"a\": {}\n}", "4 {\n}"]),
            ("{\n \"a\": \"}\\\"}\"\n}{\"b\":[{}]}", &["1 {\n \"a\": \"}\\\"}\"\n}", "3 {\"b\":[{}]}"]),
            ("{\"a\":1}{\"b\":2}\n", &["1 {\"a\":1}", "1 {\"b\":2}"]),
            ("[{\"a\":1},{\"b\":2}]\n", &["1 {\"a\":1}", "1 {\"b\":2}"]),
            ("[\n{\"a\":1},\n{\"b\":2}\n]\n", &["2 {\"a\":1}", "3 {\"b\":2}"]),
            ("[\n {\n  \"a\":1\n }\n]", &["2 {\n  \"a\":1\n }"]),
            // Each line is one: what is wrong with it is the recorder's to say.
            ("{\"a\":1}\n{\"b\n{\"c\":3}\n", &["1 {\"a\":1}", "2 {\"b", "3 {\"c\":3}"]),
            ("{\"a\":1}\n[]\n", &["1 {\"a\":1}", "2 []"]),
        ];
        for (text, expected) in table {
            let expected: Vec<String> = expected.iter().map(|line| line.to_string()).collect();
            let trimmed: Vec<String> = told(text).iter().map(|line| line.trim_end().to_owned()).collect();
            assert_eq!(trimmed, expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_broken_costs_as_little_as_can_be() {
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(LENGTH_MAX + 2 * PIECE as usize));
        let broken = "a JSON object that does not end";
        let table = [
            (
                "{\"a\":[\n{\"b\":2}\n{\"c\":3}\n".to_owned(),
                vec![format!("1 !{broken}"), "2 {\"b\":2}".into(), "3 {\"c\":3}".into()],
            ),
            ("{\"a\n{\"b\":2}\n".to_owned(), vec![format!("1 !{broken}"), "2 {\"b\":2}".into()]),
            ("junk\n{\"b\":2}\n".to_owned(), vec!["1 !expected a JSON object".into(), "2 {\"b\":2}".into()]),
            (format!("{long}\n{{\"b\":2}}\n"), vec![format!("1 !{broken}"), "2 {\"b\":2}".into()]),
            (
                format!("{{\"b\":2}}\n{long}\n{{\"c\":3}}\n"),
                vec!["1 {\"b\":2}".into(), "2 !longer than any webhook".into(), "3 {\"c\":3}".into()],
            ),
        ];
        for (text, expected) in table {
            assert!(told(&text) == expected, "{}", &text[..text.len().min(40)]);
        }
    }
}
