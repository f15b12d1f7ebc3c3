//! `gatepost unban ADDRESS|USER`: makes the running service forget failed logins.

use super::arguments::Arguments;
use super::console;
use super::output::Failure;

/// Runs the command.
///
/// # Errors
/// No word that can be either; or the service is not running or refuses.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    match arguments.words.first().and_then(|word| word.to_str()) {
        Some(who) => console::ask(arguments, &["unban", who]),
        None => Err(Failure::usage(
            "unban needs a client's address or a user's name",
        )),
    }
}
