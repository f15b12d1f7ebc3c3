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

/// The aliases file has faults, in itself, against the users, or against a list that names a group, which is no
/// line's; the last good aliases stay.
pub fn broken(file: &Path, line: Option<usize>, reason: &str, faults: usize) {
    let event = Line::new("aliases_broken").text("file", file.display());
    let event = match line {
        Some(line) => event.text("line", line),
        None => event,
    };
    event
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
