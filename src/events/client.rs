//! What a client is kept from, for it has had its share.

use std::net::SocketAddr;

use log::Level;

use super::limited;

/// Content is not taken because the unfinished messages of its client take too much of the spool.
pub fn content_over_share(sid: &str, client: SocketAddr, octets: u64, limit: u64) {
    limited("content_over_share", client.ip())
        .text("sid", sid)
        .text("client", client)
        .text("octets", octets)
        .text("limit", limit)
        .emit(Level::Warn);
}
