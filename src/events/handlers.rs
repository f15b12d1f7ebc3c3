//! Events of commands and webhooks. Nobody's client chooses how many there are: a message that is tried.

use std::fmt;

use log::Level;

use super::line::Line;
use crate::mail::MessageId;

/// A program ended; its output is what it said first.
pub fn command_ended(
    qid: MessageId,
    command: &str,
    end: impl fmt::Display,
    seconds: u64,
    output: &[u8],
) {
    Line::new("command_ended")
        .text("qid", qid)
        .text("command", command)
        .text("end", end)
        .text("seconds", seconds)
        .words("output", Octets(output))
        .emit(Level::Info);
}

/// A program took a recipient's copy.
pub fn command_delivered(qid: MessageId, to: impl fmt::Display, command: &str) {
    Line::new("command_delivered")
        .text("qid", qid)
        .text("to", to)
        .text("command", command)
        .emit(Level::Info);
}

/// A program could not be started; this message was in hand.
pub fn command_failed(qid: MessageId, command: &str, reason: impl fmt::Display, seconds: u64) {
    Line::new("command_failed")
        .text("qid", qid)
        .text("command", command)
        .text("reason", reason)
        .text("again_in_seconds", seconds)
        .emit(Level::Warn);
}

/// A web server answered a request; its body is what it said first.
pub fn webhook_answered(qid: MessageId, webhook: &str, status: u16, body: &[u8]) {
    Line::new("webhook_answered")
        .text("qid", qid)
        .text("webhook", webhook)
        .text("status", status)
        .text("body", Octets(body))
        .emit(Level::Info);
}

/// A web server took a recipient's copy.
pub fn webhook_delivered(qid: MessageId, to: impl fmt::Display, webhook: &str) {
    Line::new("webhook_delivered")
        .text("qid", qid)
        .text("to", to)
        .text("webhook", webhook)
        .emit(Level::Info);
}

/// A web server could not be used; this message was in hand.
pub fn webhook_failed(qid: MessageId, webhook: &str, reason: impl fmt::Display, seconds: u64) {
    Line::new("webhook_failed")
        .text("qid", qid)
        .text("webhook", webhook)
        .text("reason", reason)
        .text("again_in_seconds", seconds)
        .emit(Level::Warn);
}

/// Octets of somebody else's, as text.
struct Octets<'a>(&'a [u8]);

impl fmt::Display for Octets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.0))
    }
}
