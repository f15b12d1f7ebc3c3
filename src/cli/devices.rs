//! `gatepost devices …`: what each client address did last, what is wrong with it, and what helps.
//!
//! Asks the running service; where none runs, reads what the last one wrote.

use super::arguments::Arguments;
use super::console;
use super::output::{Failure, IO};
use crate::config;
use crate::control::client::AskError;
use crate::devices::offline;

/// Runs the command.
///
/// # Errors
/// Other words; nothing is known of the address; the service refuses, or the file cannot be read.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let words = words(arguments).ok_or_else(|| Failure::usage(USAGE_TEXT))?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let socket = config::control_socket(&arguments.config);
    let socket = socket.map_err(|found| Failure::configuration(&found))?;
    let behind = words.get(1..).unwrap_or_default();
    match console::put(&socket, arguments, &words) {
        Err(AskError::NotRunning(_)) if behind.first() != Some(&"forget") => {}
        asked => {
            return console::print(asked.map_err(|error| console::failure(&error, arguments))?);
        }
    }
    let settings =
        config::parse(&arguments.config).map_err(|found| Failure::configuration(&found))?;
    let answer = offline::tell(&settings, behind);
    let spool = settings.spool.display();
    console::print(answer.map_err(|error| Failure::files(IO, spool, &error))?)
}

/// The words for the service; none where they are no command.
fn words(arguments: &Arguments) -> Option<Vec<String>> {
    let given = arguments.words.iter().map(|word| word.to_str());
    let given: Vec<&str> = given.collect::<Option<_>>()?;
    let json = arguments.flag("--json");
    let mut words = match given.as_slice() {
        [] => vec!["devices", "list"],
        ["forget", address] if !json => vec!["devices", "forget", address],
        [address] if *address != "forget" => vec!["devices", "show", address],
        _ => return None,
    };
    words.extend(json.then_some("json"));
    Some(words.into_iter().map(str::to_owned).collect())
}

const USAGE_TEXT: &str = "devices is one of these:\n\
    \x20 gatepost devices [ADDRESS] [--json]\n\
    \x20 gatepost devices forget ADDRESS";
