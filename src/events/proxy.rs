//! Events of connections that come through a proxy.

use std::fmt;
use std::net::IpAddr;

use log::Level;

use super::limited;

/// A connection from an address in `proxy_from` did not begin with a PROXY header; it was closed without a
/// word.
pub fn header_invalid(sid: &str, proxy: IpAddr, port: &str, reason: impl fmt::Display) {
    limited("proxy_header_invalid", proxy)
        .text("sid", sid)
        .text("proxy", proxy)
        .text("port", port)
        .text("reason", reason)
        .emit(Level::Warn);
}
