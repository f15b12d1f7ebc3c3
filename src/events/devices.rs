//! Events of what is known of devices.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use log::Level;

use super::line::Line;

/// The file of devices cannot be read or understood; the service begins without.
pub fn unreadable(file: &Path, reason: impl fmt::Display) {
    Line::new("devices_unreadable")
        .words("file", file.display())
        .words("reason", reason)
        .emit(Level::Warn);
}

/// The file of devices cannot be written; they are kept in memory, and it is tried again.
pub fn not_written(file: &Path, reason: impl fmt::Display) {
    Line::new("devices_not_written")
        .words("file", file.display())
        .words("reason", reason)
        .emit(Level::Warn);
}

/// The operator had a device forgotten.
pub fn forgotten(client: IpAddr, by: impl fmt::Display) {
    Line::new("device_forgotten")
        .text("client", client)
        .text("by", by)
        .emit(Level::Info);
}
