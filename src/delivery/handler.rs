//! What commands and webhooks have in common: a message for one of them, and the words of what they say.
//!
//! Promises: a handler gets a message once for all its recipients of that attempt; what it says is cut to
//! its first line. **Second copies**: a handler gets a message again where the service or the machine stops
//! between its end and the sync of the done record, or where its answer was lost; `id` tells them. Refuses to
//! know: when to try again.

use std::path::PathBuf;
use std::sync::Arc;

use super::command;
use super::content::Source;
use super::outcome::Verdict;
use super::webhook;
use crate::config::handlers::{Command, Webhook};
use crate::mail::ForwardPath;
use crate::spool::Stored;
use crate::transport::client::Brake;

/// The longest words of a handler in a reason, letters.
const WORDS_MAX_LETTERS: usize = 200;

/// What takes messages and is no server of mail.
#[derive(Debug, Clone, Copy)]
pub(super) enum Handler<'a> {
    /// A program.
    Command(&'a Command),
    /// A web server.
    Webhook(&'a Webhook),
}

/// A message for a handler.
pub(super) struct Parcel<'a> {
    /// The message.
    pub(super) stored: &'a Stored,
    /// Its content.
    pub(super) content: Source<'a>,
    /// The file its content is in, where it is in one.
    pub(super) file: Option<PathBuf>,
    /// The recipients it is for, as the client wrote them; at least one.
    pub(super) to: Vec<&'a ForwardPath>,
    /// What begins a detail.
    pub(super) subaddress: Option<char>,
}

impl Handler<'_> {
    /// Hands a message over.
    ///
    /// # Errors
    /// The handler cannot be used now, whatever the message; in words for the log.
    pub(super) fn take(self, parcel: &Parcel<'_>, brake: &Arc<Brake>) -> Result<Verdict, String> {
        match self {
            Self::Command(command) => command::run(command, parcel, brake),
            Self::Webhook(webhook) => webhook::post(webhook, parcel, brake),
        }
    }
}

/// `: ` and the first line that says something, or nothing.
pub(super) fn first_words(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let line = said.lines().map(str::trim).find(|line| !line.is_empty());
    let Some(line) = line else {
        return String::new();
    };
    let words: String = line.chars().take(WORDS_MAX_LETTERS).collect();
    format!(": {words}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_line_is_told() {
        let long = "x".repeat(1000);
        for (said, want) in [
            ("", ""),
            ("\n \r\n", ""),
            ("\n bad\r\nmore\n", ": bad"),
            (&long, &format!(": {}", "x".repeat(WORDS_MAX_LETTERS))),
        ] {
            assert_eq!(first_words(said.as_bytes()), want);
        }
        assert_eq!(first_words(b"\xff!"), ": \u{fffd}!");
    }
}
