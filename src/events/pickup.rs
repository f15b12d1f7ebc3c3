//! Events of the drop folder, where local programs leave mail. Every local account can cause them.

use std::fmt;
use std::net::IpAddr;

use log::Level;

use super::limited;
use super::line::Line;
use crate::mail::MessageId;

/// All local accounts together: none of them is a client with an address.
const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

/// There is no drop folder, or it cannot be used: local programs need the ports.
pub fn unavailable(reason: impl fmt::Display) {
    Line::new("drop_unavailable")
        .words("reason", reason)
        .emit(Level::Error);
}

/// A message that a local program left is ours now.
pub fn picked_up(
    qid: MessageId,
    uid: u32,
    from: impl fmt::Display,
    recipients: usize,
    octets: u64,
) {
    Line::new("picked_up")
        .text("qid", qid)
        .text("uid", uid)
        .text("from", from)
        .text("recipients", recipients)
        .text("octets", octets)
        .emit(Level::Info);
}

/// A recipient of such a message is refused; its sender is told as of any mail that fails.
pub fn refused(qid: MessageId, uid: u32, to: impl fmt::Display, cause: impl fmt::Display) {
    limited("drop_refused", LOCAL)
        .text("qid", qid)
        .text("uid", uid)
        .text("to", to)
        .words("cause", cause)
        .emit(Level::Info);
}

/// A message has to wait in the drop folder.
pub fn deferred(name: impl fmt::Display, uid: u32, reason: impl fmt::Display) {
    limited("drop_deferred", LOCAL)
        .text("name", name)
        .text("uid", uid)
        .words("reason", reason)
        .emit(Level::Warn);
}

/// Something in the drop folder is no message.
pub fn discarded(name: impl fmt::Display, uid: u32, reason: impl fmt::Display, done: &str) {
    limited("drop_discarded", LOCAL)
        .text("name", name)
        .text("uid", uid)
        .words("reason", reason)
        .text("done", done)
        .emit(Level::Warn);
}

/// An account has very much waiting there.
pub fn crowded(uid: u32, files: usize, octets: u64) {
    limited("drop_crowded", LOCAL)
        .text("uid", uid)
        .text("files", files)
        .text("octets", octets)
        .emit(Level::Warn);
}
