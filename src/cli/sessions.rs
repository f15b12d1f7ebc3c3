//! `gatepost sessions`: lists the sessions of the running service, and ends one.

use super::arguments::Arguments;
use super::console;
use super::output::Failure;

/// Runs the command.
///
/// # Errors
/// Other words; or the service is not running, refuses, or has no such session.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let words = arguments.words.iter().map(|word| word.to_string_lossy());
    let words: Vec<_> = words.collect();
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match (words.as_slice(), arguments.flag("--json")) {
        ([], false) => console::ask(arguments, &["sessions"]),
        ([], true) => console::ask(arguments, &["sessions", "json"]),
        (["kill", id], false) if is_id(id) => console::ask(arguments, &["sessions", "kill", id]),
        _ => Err(Failure::usage(
            "sessions stands alone, or with --json, or as: gatepost sessions kill ID\n\
             An ID is the hexadecimal number that the list and the log name a session by.",
        )),
    }
}

fn is_id(word: &str) -> bool {
    (1..=16).contains(&word.len()) && word.bytes().all(|octet| octet.is_ascii_hexdigit())
}
