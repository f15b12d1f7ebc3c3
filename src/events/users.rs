//! Events of the users file.

use std::fmt;
use std::path::Path;

use log::Level;

use super::line::Line;

/// The users file was read.
pub fn read(file: &Path, users: usize) {
    Line::new("users_read")
        .text("file", file.display())
        .text("users", users)
        .emit(Level::Info);
}

/// The users file has broken lines; the users of the last good one stay.
pub fn broken(file: &Path, line: usize, reason: &str, faults: usize) {
    Line::new("users_broken")
        .text("file", file.display())
        .text("line", line)
        .text("reason", reason)
        .text("faults", faults)
        .emit(Level::Error);
}

/// The users file cannot be read; the users of the last good one stay.
pub fn unreadable(file: &Path, reason: impl fmt::Display) {
    Line::new("users_unreadable")
        .text("file", file.display())
        .text("reason", reason)
        .emit(Level::Error);
}
