//! Events of local delivery over LMTP. The client of the server that they speak of is ourselves.

use std::fmt;

use log::Level;

use super::line::Line;
use crate::mail::MessageId;

/// A connection to the LMTP server is ready.
pub fn connected(lmtp: impl fmt::Display) {
    Line::new("lmtp_connected")
        .text("lmtp", lmtp)
        .emit(Level::Debug);
}

/// The LMTP server has a local recipient's copy.
pub fn delivered(
    qid: MessageId,
    to: impl fmt::Display,
    mailbox: impl fmt::Display,
    lmtp: impl fmt::Display,
    reply: impl fmt::Display,
) {
    Line::new("lmtp_delivered")
        .text("qid", qid)
        .text("to", to)
        .text("mailbox", mailbox)
        .text("lmtp", lmtp)
        .text("reply", reply)
        .emit(Level::Info);
}

/// The LMTP server could not be used; this message was in hand.
pub fn failed(qid: MessageId, reason: impl fmt::Display, seconds: u64) {
    Line::new("lmtp_failed")
        .text("qid", qid)
        .text("reason", reason)
        .text("again_in_seconds", seconds)
        .emit(Level::Warn);
}
