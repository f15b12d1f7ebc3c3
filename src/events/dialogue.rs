//! What a client and this server say to each other, for `[log] level = debug`.

use std::net::SocketAddr;

use log::Level;

use super::debug_limited;

/// The client said a command; `withheld` octets of it are not shown.
pub fn command(
    sid: &str,
    client: SocketAddr,
    shown: &[u8],
    mechanism: Option<&'static str>,
    withheld: usize,
) {
    let line = debug_limited("command", client.ip())
        .text("sid", sid)
        .text("client", client);
    let line = match shown {
        b"" => line,
        shown => line.octets("command", shown),
    };
    line.maybe("mechanism", mechanism)
        .maybe("withheld", (withheld > 0).then_some(withheld))
        .emit(Level::Debug);
}

/// The client said a line within AUTH.
pub fn auth_response(sid: &str, client: SocketAddr, octets: usize) {
    debug_limited("auth_response", client.ip())
        .text("sid", sid)
        .text("client", client)
        .text("octets", octets)
        .emit(Level::Debug);
}

/// Mail data, or a chunk of it, is whole.
pub fn mail_data(sid: &str, client: SocketAddr, octets: u64) {
    debug_limited("mail_data", client.ip())
        .text("sid", sid)
        .text("client", client)
        .text("octets", octets)
        .emit(Level::Debug);
}

/// We said this.
pub fn reply(sid: &str, client: SocketAddr, said: &str) {
    debug_limited("reply", client.ip())
        .text("sid", sid)
        .text("client", client)
        .words("reply", said)
        .emit(Level::Debug);
}
