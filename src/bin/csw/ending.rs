//! How a command ends: what its exit code says, and what is said of a failure.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use csw::error::Error;

/// The exit codes, for the help and the manual.
pub const EXIT_CODES: &str = "\
Exit codes:
  0   done, or the answer is yes
  1   failed; standard error says why
  2   done, but parts of the input were left out; standard error names them
  3   the answer is no: the closed branch, a denied send, a difference, a fault that was found
  64  the command line cannot be understood";

/// The exit code for a command line that cannot be understood (EX_USAGE of sysexits.h).
pub const USAGE: u8 = 64;

/// What a command that did its work says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// Done, or yes.
    Yes,
    /// Done, but parts of the input were left out.
    Partly,
    /// No.
    No,
}

/// Why a command did not do its work.
#[derive(Debug)]
pub enum Failure {
    /// For the reason that is said.
    Fault(Error),
    /// The command line says something that cannot be.
    Usage(Error),
    /// Whoever reads the output has seen enough.
    ClosedPipe,
}

/// How a command ended.
pub type Ended = Result<Done, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Fault(error)
    }
}

/// Of writing to the output: errors of reading are given their file's name first.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe => Failure::ClosedPipe,
            _ => Failure::Fault(Error::invalid(format!("the output: {error}"))),
        }
    }
}

impl From<csv::Error> for Failure {
    fn from(error: csv::Error) -> Self {
        match error.into_kind() {
            csv::ErrorKind::Io(cause) => cause.into(),
            other => Failure::Fault(Error::invalid(format!("the output: {other:?}"))),
        }
    }
}

/// The exit code for an end; says what went wrong.
pub fn exit_code(ended: Ended) -> ExitCode {
    let (error, code) = match ended {
        Ok(Done::Yes) | Err(Failure::ClosedPipe) => return ExitCode::SUCCESS,
        Ok(Done::Partly) => return ExitCode::from(2),
        Ok(Done::No) => return ExitCode::from(3),
        Err(Failure::Fault(error)) => (error, 1),
        Err(Failure::Usage(error)) => (error, USAGE),
    };
    let _ = writeln!(io::stderr(), "csw: {error}");
    ExitCode::from(code)
}
