//! Events of the aliases file.

use std::fmt;
use std::path::Path;

use log::Level;

use super::line::Line;

/// The aliases file was read.
pub fn read(file: &Path, aliases: usize) {
    Line::new("aliases_read")
        .text("file", file.display())
        .text("aliases", aliases)
        .emit(Level::Info);
}

/// The aliases file has faults, in itself or against the users; the last good aliases stay.
pub fn broken(file: &Path, line: usize, reason: &str, faults: usize) {
    Line::new("aliases_broken")
        .text("file", file.display())
        .text("line", line)
        .text("reason", reason)
        .text("faults", faults)
        .emit(Level::Error);
}

/// The aliases file cannot be read; the last good aliases stay.
pub fn unreadable(file: &Path, reason: impl fmt::Display) {
    Line::new("aliases_unreadable")
        .text("file", file.display())
        .text("reason", reason)
        .emit(Level::Error);
}
