//! Whether a forward-path is taken, before and after it is looked up (DOMINO.md section 2.3.5).
//!
//! `<postmaster>` without a domain is never refused by lists, and postmaster is refused neither as a
//! group nor as ambiguous: RFC 5321 section 4.5.1 wants it to reach somebody.

use super::mail_lists::MailLists;
use super::verdict::{Cause, Verdict};
use crate::config::settings::Settings;
use crate::mail::ForwardPath;

/// The allow and deny lists.
pub fn lists(settings: &Settings, forward_path: &ForwardPath) -> Verdict {
    let ForwardPath::Mailbox(mailbox) = forward_path else {
        let why = "postmaster is always taken";
        return Verdict::Allowed(Cause::new("recipients", "deny", why));
    };
    let lists = MailLists {
        section: "recipients",
        allow: &settings.recipients.allow,
        deny: &settings.recipients.deny,
        noun: "recipient",
        everybody: "empty: every recipient",
    };
    lists.decide(mailbox)
}

/// What a local recipient turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved {
    /// It is an alias with several targets.
    pub group: bool,
    /// Its name is both a user and an alias.
    pub ambiguous: bool,
    /// One of its targets is in another domain.
    pub outside: bool,
}

/// Whether a local recipient that exists is taken.
pub fn resolved(settings: &Settings, forward_path: &ForwardPath, found: Resolved) -> Verdict {
    let cause = |key, why| Cause::new("recipients", key, why);
    let found = Resolved {
        group: found.group && !is_postmaster(forward_path),
        ambiguous: found.ambiguous && !is_postmaster(forward_path),
        ..found
    };
    if found.ambiguous && settings.recipients.deny_ambiguous {
        return Verdict::Refused(cause("deny_ambiguous", "it is both a user and an alias"));
    }
    if found.group && settings.recipients.deny_groups {
        return Verdict::Refused(cause("deny_groups", "it is a group"));
    }
    if found.outside && !settings.has_smarthost() {
        let why = "the alias leads outside, and there is no smarthost to send it to";
        return Verdict::Refused(Cause::new("smarthost", "host", why));
    }
    Verdict::Allowed(cause("verify", "the recipient exists"))
}

fn is_postmaster(forward_path: &ForwardPath) -> bool {
    match forward_path {
        ForwardPath::Postmaster => true,
        ForwardPath::Mailbox(mailbox) => mailbox.local_part().eq_ignore_ascii_case("postmaster"),
    }
}
