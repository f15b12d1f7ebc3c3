//! The command line: one file per subcommand. `main` alone turns errors into text and exit codes.

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the command line without the program's name.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let _ = arguments;
    ExitCode::from(64)
}
