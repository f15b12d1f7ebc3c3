//! Events of the alarm: mail itself is broken.

use std::fmt;

use log::Level;

use super::line::Line;

/// Something is wrong with mail itself.
pub fn on(cause: &str, subject: &str, reason: &str) {
    Line::new("alarm")
        .text("cause", cause)
        .text("subject", subject)
        .words("reason", reason)
        .emit(Level::Error);
}

/// It is over.
pub fn over(cause: &str, subject: &str, seconds: u64) {
    Line::new("alarm_over")
        .text("cause", cause)
        .text("subject", subject)
        .text("seconds", seconds)
        .emit(Level::Info);
}

/// The alarm's program failed, and nobody was told.
pub fn failed(
    cause: &str,
    subject: &str,
    state: &str,
    reason: impl fmt::Display,
    again: Option<u64>,
) {
    Line::new("alarm_failed")
        .text("cause", cause)
        .text("subject", subject)
        .text("state", state)
        .words("reason", reason)
        .maybe("again_in_seconds", again)
        .emit(Level::Error);
}
