//! The allow and deny lists of senders and of recipients: denied comes first, and a list of who is allowed
//! keeps out all others (DOMINO.md sections 2.3.3 and 2.3.5; CONFIG: names).

use super::verdict::{Cause, Verdict};
use crate::config::lists::MailPattern;
use crate::mail::Mailbox;

/// A section's two lists, and how its addresses are called.
pub(super) struct MailLists<'a> {
    pub(super) section: &'static str,
    pub(super) allow: &'a [MailPattern],
    pub(super) deny: &'a [MailPattern],
    /// `sender` or `recipient`.
    pub(super) noun: &'static str,
    /// Why everybody is allowed where the list of who is allowed is empty.
    pub(super) everybody: &'static str,
}

impl MailLists<'_> {
    /// Whether an address is taken.
    pub(super) fn decide(&self, mailbox: &Mailbox) -> Verdict {
        let named = |key, entry| {
            let why = format!("{entry} names the {}", self.noun);
            Cause::new(self.section, key, why)
        };
        if let Some(entry) = self.deny.iter().find(|entry| entry.matches(mailbox)) {
            return Verdict::Refused(named("deny", entry));
        }
        if self.allow.is_empty() {
            return Verdict::Allowed(Cause::new(self.section, "allow", self.everybody));
        }
        match self.allow.iter().find(|entry| entry.matches(mailbox)) {
            Some(entry) => Verdict::Allowed(named("allow", entry)),
            None => {
                let why = format!("no entry names the {}", self.noun);
                Verdict::Refused(Cause::new(self.section, "allow", why))
            }
        }
    }
}
