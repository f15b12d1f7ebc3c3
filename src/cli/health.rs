//! `gatepost health`: whether the running service takes mail, for watchdogs and containers.
//!
//! Promises: it ends within [`PATIENCE`], whatever hangs: the service, its socket, or the disk that the
//! configuration is on. So the question is put in a thread of its own, which is left behind.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use super::arguments::Arguments;
use super::console;
use super::output::{Failure, UNAVAILABLE, say};
use crate::config;
use crate::control::Answer;
use crate::control::client::AskError;
use crate::protocol::json::quoted;

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(4);

/// Runs the command.
///
/// # Errors
/// Mail is not taken; nothing runs, does not answer, or refuses.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (tell, told) = channel();
    let asked = arguments.clone();
    let asking = thread::Builder::new().spawn(move || {
        // Whoever waited for it may have gone.
        let _ = tell.send(ask(&asked));
    });
    asking.map_err(|error| Failure::files(UNAVAILABLE, "no thread", &error))?;
    let answer = told.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        let seconds = PATIENCE.as_secs();
        let why = format!("the service does not answer within {seconds} s");
        Err(Failure::new(UNAVAILABLE, why))
    });
    match answer {
        Ok(answer) => console::print(answer),
        Err(failure) => {
            if arguments.flag("--json") {
                let reason = quoted(failure.reason());
                let problem = format!("{{\"check\":\"service\",\"reason\":{reason}}}");
                say(&format!(
                    "{{\"healthy\":false,\"problems\":[{problem}],\"warnings\":[]}}\n"
                ))?;
            }
            Err(failure)
        }
    }
}

fn ask(arguments: &Arguments) -> Result<Answer, Failure> {
    let socket = config::control_socket(&arguments.config);
    let socket = socket.map_err(|found| Failure::configuration(&found))?;
    let words: &[&str] = match arguments.flag("--json") {
        true => &["health", "json"],
        false => &["health"],
    };
    let answer = console::put(&socket, arguments, words).map_err(|error| match error {
        // Whoever does not answer is not there for mail either.
        AskError::Silent(_) => Failure::new(UNAVAILABLE, &error),
        _ => console::failure(&error, arguments),
    })?;
    match answer.output.is_empty() {
        false => Ok(answer),
        // It did not come to a look.
        true => {
            let refused = console::print(answer).err();
            Err(refused.unwrap_or_else(|| Failure::silent(UNAVAILABLE)))
        }
    }
}
