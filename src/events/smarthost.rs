//! Lines about smarthosts with further hosts.

use std::fmt;

use log::Level;

use super::line::Line;

/// A host of a smarthost could not be used, and the next one is tried.
pub fn passed_over(host: &str, reason: impl fmt::Display, next: &str) {
    Line::new("smarthost_passed_over")
        .text("smarthost", host)
        .text("reason", reason)
        .text("next", next)
        .emit(Level::Warn);
}
