//! Events of what the operator does to the queue.

use std::fmt;

use log::Level;

use super::line::Line;
use crate::mail::MessageId;

/// The operator changed what becomes of a message.
pub fn changed(qid: MessageId, what: &str, by: impl fmt::Display) {
    Line::new("queue_changed")
        .text("qid", qid)
        .text("what", what)
        .text("by", by)
        .emit(Level::Info);
}
