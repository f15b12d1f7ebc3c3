//! `gatepost reload`: the short form of `tell smtp update config`.

use super::arguments::Arguments;
use super::console;
use super::output::Failure;

/// Runs the command.
///
/// # Errors
/// The service is not running, refuses, or could not do all of it.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    console::ask(arguments, &["tell", "smtp", "update", "config"])
}
