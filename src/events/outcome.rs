//! Events of recipients that end without delivery, and of what their senders are told.

use std::fmt;

use log::Level;

use super::line::Line;
use crate::mail::{MessageId, Reason};

/// A recipient does not get the message: its final line.
pub fn failed(qid: MessageId, to: impl fmt::Display, reason: &Reason) {
    Line::new("failed")
        .text("qid", qid)
        .text("to", to)
        .maybe("smarthost", reason.peer().map(|peer| &peer.host))
        .text("status", reason.status())
        .text("reason", reason)
        .emit(Level::Warn);
}

/// What is left of a message was tried for too long.
pub fn expired(qid: MessageId, seconds: u64, recipients: usize) {
    Line::new("expired")
        .text("qid", qid)
        .text("seconds", seconds)
        .text("recipients", recipients)
        .emit(Level::Warn);
}

/// A notification about a message is in the spool, as a message of its own.
pub fn notified(
    qid: MessageId,
    notice: MessageId,
    to: impl fmt::Display,
    about: &str,
    recipients: usize,
) {
    Line::new("notified")
        .text("qid", qid)
        .text("notice", notice)
        .text("to", to)
        .text("about", about)
        .text("recipients", recipients)
        .emit(Level::Info);
}

/// Nobody can be told of a message that failed.
pub fn nobody_told(qid: MessageId, reason: impl fmt::Display) {
    Line::new("nobody_told")
        .text("qid", qid)
        .text("reason", reason)
        .emit(Level::Error);
}

/// The notifier tripped over a fault of ours; the sender is told later.
pub fn notifier_bug(qid: MessageId, seconds: u64) {
    Line::new("notifier_bug")
        .text("qid", qid)
        .text("again_in_seconds", seconds)
        .emit(Level::Error);
}

/// Notifications wait because there were too many in the last minute.
pub fn notices_held_back(count: u64) {
    Line::new("notices_held_back")
        .text("count", count)
        .emit(Level::Warn);
}
