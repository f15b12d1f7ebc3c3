//! The allow and deny lists of senders and of recipients: denied comes first, and a list of who is allowed
//! keeps out all others (DOMINO.md sections 2.3.3 and 2.3.5; CONFIG: names).

use super::rule::Rule;
use super::verdict::{Cause, Refusal};
use crate::config::lists::MailPattern;
use crate::mail::Mailbox;

/// A section's two lists, and how its addresses are called.
pub(super) struct MailLists<'a> {
    pub(super) section: &'static str,
    pub(super) allow: &'a [MailPattern],
    pub(super) deny: &'a [MailPattern],
    /// What it is to be in `deny`.
    pub(super) denied: Rule,
    /// What it is not to be in `allow`.
    pub(super) not_allowed: Rule,
    /// `sender` or `recipient`.
    pub(super) noun: &'static str,
    /// Why everybody is allowed where the list of who is allowed is empty.
    pub(super) everybody: &'static str,
}

impl MailLists<'_> {
    /// Whether an address is taken.
    pub(super) fn decide(&self, mailbox: &Mailbox) -> Result<Cause, Refusal> {
        let named = |key, entry| {
            let why = format!("{entry} names the {}", self.noun);
            Cause::new(self.section, key, why)
        };
        if let Some(entry) = self.deny.iter().find(|entry| entry.matches(mailbox)) {
            let cause = named("deny", entry);
            return Err(Refusal {
                rule: self.denied,
                cause,
            });
        }
        if self.allow.is_empty() {
            return Ok(Cause::new(self.section, "allow", self.everybody));
        }
        match self.allow.iter().find(|entry| entry.matches(mailbox)) {
            Some(entry) => Ok(named("allow", entry)),
            None => {
                let why = format!("no entry names the {}", self.noun);
                Err(Refusal::new(self.not_allowed, self.section, "allow", why))
            }
        }
    }
}
