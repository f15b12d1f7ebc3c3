//! Events of mailboxes and their quotas.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use log::Level;

use super::limited;

/// A mailbox with a quota cannot be measured; its mail is taken all the same.
pub fn unreadable(maildir: &Path, reason: impl fmt::Display) {
    let nobody = IpAddr::from([0, 0, 0, 0]);
    limited("mailbox_unreadable", nobody)
        .text("maildir", maildir.display())
        .text("reason", reason)
        .emit(Level::Warn);
}
