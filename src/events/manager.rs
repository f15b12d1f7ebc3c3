//! Events of the service manager that started us.

use std::fmt;
use std::net::SocketAddr;

use log::Level;

use super::line::Line;

/// The service manager cannot be told that the service greets; it may take the start for a failed one.
pub fn unreachable(reason: impl fmt::Display) {
    Line::new("manager_unreachable")
        .words("reason", reason)
        .emit(Level::Warn);
}

/// A port listens by a socket that the manager had opened.
pub fn socket_inherited(port: &str, address: SocketAddr, name: &str) {
    Line::new("socket_inherited")
        .text("port", port)
        .text("address", address)
        .text("name", name)
        .emit(Level::Info);
}

/// A socket that the manager had opened is of no use, and closed here.
pub fn socket_unused(name: &str, reason: impl fmt::Display) {
    Line::new("socket_unused")
        .text("name", name)
        .words("reason", reason)
        .emit(Level::Warn);
}
