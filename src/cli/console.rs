//! What the commands share that talk to a running service.

use std::path::Path;

use super::arguments::Arguments;
use super::output::{
    CONFIGURATION, Failure, IO, NOT_PERMITTED, SOFTWARE, TRY_LATER, UNAVAILABLE, USAGE, complain,
    say,
};
use crate::config;
use crate::control::client::{self, AskError};
use crate::control::{Answer, Outcome};

/// Sends the words to the service that the configuration file names, and prints what it says.
///
/// # Errors
/// The file names no socket, nothing answers there, or the service refuses.
pub(super) fn ask(arguments: &Arguments, words: &[&str]) -> Result<(), Failure> {
    let socket = config::control_socket(&arguments.config);
    let socket = socket.map_err(|found| Failure::configuration(&found))?;
    print(put(&socket, arguments, words).map_err(|error| failure(&error, arguments))?)
}

/// Sends the words to the service at this socket.
///
/// # Errors
/// See [`AskError`].
pub(super) fn put(
    socket: &Path,
    arguments: &Arguments,
    words: &[&str],
) -> Result<Answer, AskError> {
    client::ask(socket, &arguments.config, words)
}

/// Prints an answer.
///
/// # Errors
/// It is a refusal.
pub(super) fn print(answer: Answer) -> Result<(), Failure> {
    if !answer.output.is_empty() {
        say(&answer.output)?;
    }
    let code = match answer.outcome {
        Outcome::Done => {
            complain(&answer.complaint);
            return Ok(());
        }
        Outcome::Usage => USAGE,
        Outcome::Unavailable => UNAVAILABLE,
        Outcome::NotNow => TRY_LATER,
        Outcome::NotPermitted => NOT_PERMITTED,
        Outcome::Configuration => CONFIGURATION,
    };
    Err(Failure::verbatim(code, answer.complaint))
}

/// Why there is no answer, with its exit code. Where nothing runs at the socket, and a mistake in the
/// configuration may have hidden the one that was meant, it is the mistake.
pub(super) fn failure(error: &AskError, arguments: &Arguments) -> Failure {
    let code = match error {
        AskError::NotRunning(_) => {
            let mistakes = config::mistakes_before_socket(&arguments.config);
            if !mistakes.is_empty() {
                return Failure::configuration(&mistakes);
            }
            UNAVAILABLE
        }
        AskError::NotPermitted(_) => NOT_PERMITTED,
        AskError::BadRequest => USAGE,
        AskError::Silent(_) => TRY_LATER,
        AskError::NotUnderstood(_) => SOFTWARE,
        AskError::Io(..) => IO,
    };
    Failure::new(code, error)
}
