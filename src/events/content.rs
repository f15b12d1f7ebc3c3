//! Events of what is done with content before it is taken.

use std::net::IpAddr;

use log::Level;

use super::limited;
use crate::mail::MessageId;

/// Content began with a line for mboxes, which was removed; `sid` is the session it came in.
pub fn from_line_removed(sid: Option<&str>, client: IpAddr, qid: MessageId) {
    limited("from_line_removed", client)
        .maybe("sid", sid)
        .text("client", client)
        .text("qid", qid)
        .emit(Level::Info);
}
