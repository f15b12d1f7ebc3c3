//! `gatepost tell smtp …`: what a Domino operator types at the server's console.

use std::path::Path;

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
        ["smtp", verb] => Err(Failure::usage(match of_the_system(verb) {
            Some(told) => format!("{told}\n{USAGE_TEXT}"),
            None => USAGE_TEXT.to_owned(),
        })),
        _ => Err(Failure::usage(USAGE_TEXT)),
    }
}

/// What does it, where the system starts, ends and restarts the service and no command of ours.
pub(super) fn of_the_system(verb: &str) -> Option<String> {
    let (does, verb) = match verb {
        "start" | "load" => ("starts", "start"),
        "stop" | "quit" | "exit" => ("stops", "stop"),
        "restart" => ("restarts", "restart"),
        _ => return None,
    };
    let unit = format!("systemctl {verb} gatepost");
    let script = format!("{SCRIPT} {verb}");
    let command = match (Path::new(SYSTEMD).is_dir(), Path::new(SCRIPT).exists()) {
        (true, _) => unit,
        (false, true) => script,
        (false, false) => format!("{unit}, or {script}"),
    };
    Some(format!("the system {does} the service: {command}"))
}

/// Is there where systemd runs.
const SYSTEMD: &str = "/run/systemd/system";
/// The init script where it does not.
const SCRIPT: &str = "/etc/init.d/gatepost";

const USAGE_TEXT: &str = "tell is followed by one of these:\n\
    \x20 gatepost tell smtp update config    takes up a changed configuration\n\
    \x20 gatepost tell smtp quit             ends the service gently";
