//! Whether a forward-path is taken, before anything is looked up (DOMINO.md section 2.3.5).
//!
//! `<postmaster>` without a domain is never refused by lists: RFC 5321 section 4.5.1 wants it to
//! reach somebody.

use super::verdict::{Cause, Verdict};
use crate::config::settings::Settings;
use crate::mail::ForwardPath;

/// The allow and deny lists.
pub fn lists(settings: &Settings, forward_path: &ForwardPath) -> Verdict {
    let cause = |key, why: String| Cause::new("recipients", key, why);
    let ForwardPath::Mailbox(mailbox) = forward_path else {
        let why = "postmaster is always taken".to_owned();
        return Verdict::Allowed(cause("deny", why));
    };
    let recipients = &settings.recipients;
    if let Some(entry) = recipients.deny.iter().find(|e| e.matches(mailbox)) {
        return Verdict::Refused(cause("deny", format!("{entry} names the recipient")));
    }
    if recipients.allow.is_empty() {
        return Verdict::Allowed(cause("allow", "empty: every recipient".to_owned()));
    }
    match recipients.allow.iter().find(|e| e.matches(mailbox)) {
        Some(entry) => Verdict::Allowed(cause("allow", format!("{entry} names the recipient"))),
        None => Verdict::Refused(cause("allow", "no entry names the recipient".to_owned())),
    }
}
