//! Events of the sandbox.

use std::fmt;
use std::path::Path;

use log::Level;

use super::line::Line;

/// The service has walled itself off, by these parts.
pub fn entered(parts: &str) {
    Line::new("sandboxed")
        .text("parts", parts)
        .emit(Level::Info);
}

/// A part of the walls could not be had; the others hold, and the service runs.
pub fn partial(part: &str, reason: impl fmt::Display) {
    Line::new("sandbox_partial")
        .text("part", part)
        .words("reason", reason)
        .emit(Level::Warn);
}

/// The service made a system call that it has no need of.
pub fn refused(call: &str, number: u32, times: u64) {
    Line::new("sandbox_refused")
        .text("call", call)
        .text("number", number)
        .text("times", times)
        .emit(Level::Error);
}

/// A refresh names a file that the running service does not reach; what it had stays.
pub fn out_of_reach(section: &str, key: &str, file: &Path) {
    Line::new("sandbox_out_of_reach")
        .text("section", section)
        .text("key", key)
        .words("file", file.display())
        .emit(Level::Warn);
}
