//! Events of look-ups in DNS.

use std::fmt;
use std::net::IpAddr;

use log::Level;

use super::limited;

/// A DNS list answered with something that says neither "listed" nor "not listed"; its answers count as
/// failures. The caller limits it per list.
pub fn list_unusable(zone: impl fmt::Display, answer: IpAddr, reason: &str) {
    limited("dns_list_unusable", nobody())
        .text("zone", zone)
        .text("answer", answer)
        .text("reason", reason)
        .emit(Level::Warn);
}

/// Every look-up that is under way hangs; questions fail at once until one of them ends.
pub fn stuck(threads: usize) {
    limited("dns_stuck", nobody())
        .text("threads", threads)
        .text(
            "reason",
            "the system's resolver does not answer: see /etc/resolv.conf",
        )
        .emit(Level::Error);
}

/// A thread for look-ups could not be started.
pub fn no_thread(error: impl fmt::Display) {
    limited("dns_no_thread", nobody())
        .text("reason", error)
        .emit(Level::Error);
}

/// A look-up tripped over a fault of ours; it alone failed.
pub fn bug(reason: &str) {
    limited("dns_bug", nobody())
        .text("reason", reason)
        .emit(Level::Error);
}

fn nobody() -> IpAddr {
    IpAddr::from([0, 0, 0, 0])
}
