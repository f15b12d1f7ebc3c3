//! `gatepost queue …`: lists and changes what waits to be delivered.
//!
//! Asks the running service; where none runs, does it straight on the spool, with the same words.

use std::io::ErrorKind;

use super::arguments::Arguments;
use super::output::{Failure, NOT_PERMITTED, UNAVAILABLE};
use super::{console, serve};
use crate::admin::queue::Choice;
use crate::config;
use crate::control::client::AskError;
use crate::service::{StartError, offline_queue};
use crate::spool::SpoolError;

/// The options with a value.
pub const OPTIONS: &[&str] = &["--to"];
/// The options without one.
pub const FLAGS: &[&str] = &["--json", "--all"];

/// Runs the command.
///
/// # Errors
/// Other words; no such message; the service refuses, or the spool cannot be used.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let words = words(arguments).ok_or_else(|| Failure::usage(USAGE_TEXT))?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let socket = config::control_socket(&arguments.config);
    let socket = socket.map_err(|found| Failure::configuration(&found))?;
    match console::put(&socket, arguments, &words) {
        Err(AskError::NotRunning(_)) => {}
        asked => {
            return console::print(asked.map_err(|error| console::failure(&error, arguments))?);
        }
    }
    let settings =
        config::parse(&arguments.config).map_err(|found| Failure::configuration(&found))?;
    let behind = words.get(1..).unwrap_or_default();
    let answer = offline_queue::answer(&settings, behind).map_err(|error| failure(&error))?;
    console::print(answer)
}

/// The spool could not be used.
fn failure(error: &StartError) -> Failure {
    match error {
        StartError::Spool(SpoolError::InUse(_)) => {
            let text = format!("{error}, and does not answer at its [control] socket");
            Failure::new(UNAVAILABLE, text)
        }
        StartError::Spool(SpoolError::Io { source, .. })
            if source.kind() == ErrorKind::PermissionDenied =>
        {
            Failure::new(NOT_PERMITTED, error)
        }
        other => serve::failure(other),
    }
}

/// The words for the service; none where they are no command.
fn words(arguments: &Arguments) -> Option<Vec<String>> {
    let given = arguments.words.iter().map(|word| word.to_str());
    let given: Vec<&str> = given.collect::<Option<_>>()?;
    let json = arguments.flag("--json");
    let to = match arguments.value("--to") {
        Some(to) => Some(to.to_str()?),
        None => None,
    };
    let (verb, choice) = match (given.as_slice(), to, arguments.flag("--all")) {
        ([] | ["list"], None, false) => ("list", vec![]),
        (["show", id], None, false) if is_id(id) => ("show", vec![*id]),
        ([verb], None, true) if !json && is_verb(verb) => (*verb, vec!["all"]),
        ([verb], Some(to), false) if !json && is_verb(verb) => (*verb, vec!["to", to]),
        ([verb, id], None, false) if !json && is_verb(verb) && is_id(id) => (*verb, vec![*id]),
        _ => return None,
    };
    if is_verb(verb) {
        Choice::parse(&choice)?;
    }
    let json = json.then_some("json");
    let all = ["queue", verb].into_iter().chain(choice).chain(json);
    Some(all.map(str::to_owned).collect())
}

fn is_verb(word: &str) -> bool {
    ["retry", "hold", "release", "delete"].contains(&word)
}

fn is_id(word: &str) -> bool {
    matches!(Choice::parse(&[word]), Some(Choice::One(_)))
}

const USAGE_TEXT: &str = "queue is followed by one of these:\n\
    \x20 gatepost queue [list] [--json]\n\
    \x20 gatepost queue show ID [--json]\n\
    \x20 gatepost queue retry|hold|release|delete ID|--all|--to DOMAIN\n\
    An ID is what the list and the log name a message by.";
