//! What commands print, and how they fail.

use std::fmt::Display;
use std::io::{self, Write};

use crate::config::Problem;
use crate::sys::machine;

/// Why a command ends without having done its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code (sysexits).
    pub code: u8,
    text: String,
}

/// Wrong usage.
pub const USAGE: u8 = 64;
/// What was to be sent is at fault.
pub const BAD_DATA: u8 = 65;
/// A file that should be there cannot be read.
pub const NO_INPUT: u8 = 66;
/// A recipient does not exist.
pub const NO_USER: u8 = 67;
/// A port is taken, or the service is not running.
pub const UNAVAILABLE: u8 = 69;
/// A fault of ours, or of the system.
pub const SOFTWARE: u8 = 70;
/// A file cannot be made.
pub const CANNOT_CREATE: u8 = 73;
/// Reading or writing failed.
pub const IO: u8 = 74;
/// Trying again later may help.
pub const TRY_LATER: u8 = 75;
/// Not permitted.
pub const NOT_PERMITTED: u8 = 77;
/// The configuration is at fault.
pub const CONFIGURATION: u8 = 78;

impl Failure {
    /// A failure with one line of text.
    pub fn new(code: u8, text: impl Display) -> Self {
        let text = format!("gatepost: {text}\n");
        Self { code, text }
    }

    /// A failure whose text has been said already.
    pub fn silent(code: u8) -> Self {
        Self {
            code,
            text: String::new(),
        }
    }

    /// A failure whose text is printed as it is.
    pub fn verbatim(code: u8, text: String) -> Self {
        Self { code, text }
    }

    /// The command was called wrongly.
    pub fn usage(text: impl Display) -> Self {
        Self::new(USAGE, text)
    }

    /// Something about `what` failed; what is not permitted has a code of its own.
    pub fn files(code: u8, what: impl Display, error: &io::Error) -> Self {
        let code = match error.kind() {
            io::ErrorKind::PermissionDenied => NOT_PERMITTED,
            _ => code,
        };
        Self::new(code, format!("{what}: {}", machine::reason(error)))
    }

    /// The configuration has these problems, printed as they are.
    pub fn configuration(problems: &[Problem]) -> Self {
        let text = lines(problems);
        Self {
            code: CONFIGURATION,
            text,
        }
    }

    /// What it says, without the program's name and the end of the last line.
    pub fn reason(&self) -> &str {
        let text = self.text.trim_end();
        text.strip_prefix("gatepost: ").unwrap_or(text)
    }

    /// Prints it on standard error.
    pub fn print(&self) {
        complain(&self.text);
    }
}

/// Problems, one a line.
pub fn lines(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(|problem| format!("{problem}\n"))
        .collect()
}

/// Prints on standard error; there is nobody to tell when that fails.
pub fn complain(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Prints on standard output.
///
/// # Errors
/// The output cannot be written.
pub fn say(text: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    let outcome = output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush());
    match outcome {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::silent(IO)),
        outcome => outcome.map_err(|error| Failure::files(IO, "standard output", &error)),
    }
}
