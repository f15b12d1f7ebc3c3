//! `gatepost status`: what the running service does.

use super::arguments::Arguments;
use super::console;
use super::output::Failure;

/// Runs the command.
///
/// # Errors
/// The service is not running, or refuses.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    match arguments.flag("--json") {
        true => console::ask(arguments, &["status", "json"]),
        false => console::ask(arguments, &["status"]),
    }
}
