//! Events of the service manager that started us.

use std::fmt;

use log::Level;

use super::line::Line;

/// The service manager cannot be told that the service greets; it may take the start for a failed one.
pub fn unreachable(reason: impl fmt::Display) {
    Line::new("manager_unreachable")
        .words("reason", reason)
        .emit(Level::Warn);
}
