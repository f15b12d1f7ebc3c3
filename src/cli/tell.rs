//! `gatepost tell smtp …`: what a Domino operator types at the server's console.

use super::arguments::Arguments;
use super::output::Failure;
use super::{console, reload};

/// Runs the command.
///
/// # Errors
/// Other words; or the service is not running, refuses, or could not do all of it.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let words: Vec<String> = arguments
        .words
        .iter()
        .map(|word| word.to_string_lossy().to_lowercase())
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["smtp", "update", "config"] => reload::run(arguments),
        ["smtp", "quit"] => console::ask(arguments, &["tell", "smtp", "quit"]),
        _ => Err(Failure::usage(
            "tell is followed by one of these:\n\
             \x20 gatepost tell smtp update config    takes up a changed configuration\n\
             \x20 gatepost tell smtp quit             ends the service gently",
        )),
    }
}
