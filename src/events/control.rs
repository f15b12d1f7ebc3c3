//! Events of the operator's console and of refreshes.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use log::Level;

use super::limited;
use super::line::Line;

/// There is no console: the service runs on without it.
pub fn unavailable(reason: impl fmt::Display) {
    Line::new("console_unavailable")
        .words("reason", reason)
        .emit(Level::Error);
}

/// The console's thread ended by a failure; the service runs on without it.
pub fn console_failed(reason: impl fmt::Display) {
    Line::new("console_failed")
        .words("reason", reason)
        .emit(Level::Error);
}

/// Somebody used the console who may not.
pub fn refused(uid: u32) {
    let nobody = IpAddr::from([0, 0, 0, 0]);
    limited("console_refused", nobody)
        .text("uid", uid)
        .emit(Level::Warn);
}

/// The operator told the service to end.
pub fn quit(by: impl fmt::Display) {
    Line::new("quit").text("by", by).emit(Level::Info);
}

/// The operator ended a session.
pub fn session_killed(sid: &str, by: impl fmt::Display) {
    Line::new("session_killed")
        .text("sid", sid)
        .text("by", by)
        .emit(Level::Info);
}

/// The operator made the service forget failed logins.
pub fn unbanned(who: &str, by: impl fmt::Display) {
    Line::new("unbanned")
        .text("who", who)
        .text("by", by)
        .emit(Level::Info);
}

/// The configuration is read again.
pub fn refresh_begun(by: impl fmt::Display, file: &Path) {
    Line::new("refresh_begun")
        .text("by", by)
        .words("file", file.display())
        .emit(Level::Info);
}

/// A key differs from what it was.
pub fn setting_changed(section: &str, key: &str, effect: &str) {
    Line::new("setting_changed")
        .text("section", section)
        .text("key", key)
        .text("effect", effect)
        .emit(Level::Info);
}

/// A port no longer listens on an address.
pub fn listening_ended(port: &str, address: SocketAddr) {
    Line::new("listening_ended")
        .text("port", port)
        .text("address", address)
        .emit(Level::Info);
}

/// A listener could not be had; what the port listened on before goes on.
pub fn listen_failed(reason: impl fmt::Display) {
    Line::new("listen_failed")
        .words("reason", reason)
        .emit(Level::Error);
}

/// Numbers are served on an address.
pub fn metrics_listening(address: SocketAddr) {
    Line::new("metrics_listening")
        .text("address", address)
        .emit(Level::Info);
}

/// Numbers are no longer served on an address.
pub fn metrics_ended(address: SocketAddr) {
    Line::new("metrics_ended")
        .text("address", address)
        .emit(Level::Info);
}

/// The thread that serves numbers ended by a failure; the service runs on without it.
pub fn metrics_failed(reason: impl fmt::Display) {
    Line::new("metrics_failed")
        .words("reason", reason)
        .emit(Level::Error);
}

/// A certificate is in use from now on.
pub fn certificate_loaded(file: &Path) {
    Line::new("certificate_loaded")
        .words("file", file.display())
        .emit(Level::Info);
}

/// A changed certificate or key cannot be used: what is in use stays.
pub fn certificate_kept(file: &Path, reason: impl fmt::Display) {
    Line::new("certificate_kept")
        .words("file", file.display())
        .words("reason", reason)
        .emit(Level::Warn);
}

/// A certificate that was taken up is not valid today.
pub fn certificate_not_valid(file: &Path, reason: impl fmt::Display) {
    Line::new("certificate_not_valid")
        .words("file", file.display())
        .words("reason", reason)
        .emit(Level::Warn);
}

/// The new settings are in force.
pub fn refresh_ended(by: impl fmt::Display, changes: usize, failures: usize) {
    let level = if failures > 0 {
        Level::Error
    } else {
        Level::Info
    };
    Line::new("refresh_ended")
        .text("by", by)
        .text("changes", changes)
        .text("failures", failures)
        .emit(level);
}

/// An error of the configuration file, as `check` prints it.
pub fn configuration_error(problem: impl fmt::Display) {
    Line::new("configuration_error")
        .words("problem", problem)
        .emit(Level::Error);
}

/// The file has errors: the settings stay as they are.
pub fn refresh_failed(by: impl fmt::Display, reason: impl fmt::Display) {
    Line::new("refresh_failed")
        .text("by", by)
        .text("result", "configuration not changed")
        .words("reason", reason)
        .emit(Level::Error);
}
