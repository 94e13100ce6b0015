//! What a command works through: files, how far it has come in them, and the parts that it had to leave out.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::bufread::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressStyle};

use csw::error::{Error, Result};

use crate::ending::Done;

/// How large the pieces are in which files are read.
const PIECE: usize = 1 << 18;

/// What a command works through. Its bar is drawn on standard error, where that is a terminal.
pub struct Work {
    bar: ProgressBar,
    left_out: u64,
}

impl Work {
    /// On some files, `-` being standard input: counted in bytes.
    ///
    /// # Errors
    /// `Invalid` when one of them is not there.
    pub fn on_files(files: &[PathBuf]) -> Result<Self> {
        let mut length = Some(0);
        for file in files {
            length =
                if is_stdin(file) { None } else { length.zip(Some(length_of(file)?)).map(|(sum, file)| sum + file) };
        }
        Ok(Self::new(length, "{bar:32} {bytes}/{total_bytes} {eta} left  {msg}", "{spinner} {bytes} {elapsed}  {msg}"))
    }

    /// On so many things.
    pub fn on(things: u64) -> Self {
        Self::new(Some(things), "{bar:32} {human_pos}/{human_len} {eta} left  {msg}", "")
    }

    /// On what is done at once.
    pub fn unseen() -> Self {
        Work { bar: ProgressBar::hidden(), left_out: 0 }
    }

    fn new(length: Option<u64>, known: &str, unknown: &str) -> Self {
        let bar = length.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        let style = ProgressStyle::with_template(if length.is_some() { known } else { unknown });
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(Duration::from_millis(200));
        Work { bar, left_out: 0 }
    }

    /// Opens a file, or standard input, gzip or not.
    ///
    /// # Errors
    /// `Invalid` when it cannot be read.
    pub fn open(&self, file: &Path) -> Result<Box<dyn BufRead>> {
        let input: Box<dyn Read> = if is_stdin(file) {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(file).map_err(|cause| unreadable(file, &cause))?)
        };
        let mut input = BufReader::with_capacity(PIECE, self.bar.wrap_read(input));
        let beginning = input.fill_buf().map_err(|cause| unreadable(file, &cause))?;
        Ok(match beginning.starts_with(&[0x1f, 0x8b]) {
            true => Box::new(BufReader::with_capacity(PIECE, MultiGzDecoder::new(input))),
            false => Box::new(input),
        })
    }

    /// All of a file, or of standard input, gzip or not.
    ///
    /// # Errors
    /// `Invalid` when it cannot be read.
    pub fn whole(&self, file: &Path) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(file)?.read_to_end(&mut bytes).map_err(|cause| unreadable(file, &cause))?;
        Ok(bytes)
    }

    /// Says beside the bar how it goes.
    pub fn say(&self, message: impl Display) {
        if !self.bar.is_hidden() {
            self.bar.set_message(message.to_string());
        }
    }

    /// Says how far it has come.
    pub fn reached(&self, place: u64) {
        self.bar.set_position(place);
    }

    /// Names a part that is left out.
    pub fn leave_out(&mut self, what: impl Display) {
        self.left_out += 1;
        self.warn(what);
    }

    /// Says what somebody should know.
    pub fn warn(&self, what: impl Display) {
        self.bar.suspend(|| {
            let _ = writeln!(io::stderr(), "{what}");
        });
    }

    /// How many parts were left out.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Takes the bar away.
    pub fn end(self) -> Done {
        self.bar.finish_and_clear();
        if self.left_out == 0 { Done::Yes } else { Done::Partly }
    }
}

/// All of a file, or of standard input.
///
/// # Errors
/// `Invalid` when it cannot be read.
pub fn whole(file: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = if is_stdin(file) {
        io::stdin().read_to_end(&mut bytes).map(|_| ())
    } else {
        std::fs::read(file).map(|read| bytes = read)
    };
    read.map(|()| bytes).map_err(|cause| unreadable(file, &cause))
}

/// What a file is called in what is said of it.
pub fn name(file: &Path) -> String {
    if is_stdin(file) { "standard input".into() } else { file.display().to_string() }
}

/// That a file cannot be read.
pub fn unreadable(file: &Path, cause: &dyn Display) -> Error {
    Error::invalid(format!("{}: {cause}", name(file)))
}

fn is_stdin(file: &Path) -> bool {
    file == Path::new("-")
}

fn length_of(file: &Path) -> Result<u64> {
    std::fs::metadata(file).map(|metadata| metadata.len()).map_err(|cause| unreadable(file, &cause))
}
