//! Whether a forward-path is taken, before and after it is looked up (DOMINO.md section 2.3.5).
//!
//! `<postmaster>` without a domain is never refused by lists, and postmaster is refused neither as a
//! group nor as ambiguous: RFC 5321 section 4.5.1 wants it to reach somebody.

use super::mail_lists::MailLists;
use super::rule::Rule;
use super::verdict::{Cause, Refusal, Verdict};
use crate::config::settings::Settings;
use crate::mail::fullness::{Fullness, Room};
use crate::mail::{ForwardPath, ReversePath};

/// The allow and deny lists.
///
/// # Errors
/// It is refused by them.
pub fn lists(settings: &Settings, forward_path: &ForwardPath) -> Result<Cause, Refusal> {
    let ForwardPath::Mailbox(mailbox) = forward_path else {
        let why = "postmaster is always taken";
        return Ok(Cause::new("recipients", "deny", why));
    };
    let lists = MailLists {
        section: "recipients",
        allow: &settings.recipients.allow,
        deny: &settings.recipients.deny,
        denied: Rule::RecipientDenied,
        not_allowed: Rule::RecipientNotAllowed,
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
///
/// # Errors
/// It is not.
pub fn resolved(
    settings: &Settings,
    reverse_path: &ReversePath,
    forward_path: &ForwardPath,
    found: Resolved,
) -> Result<Cause, Refusal> {
    let refused = |rule, key, why| Err(Refusal::new(rule, "recipients", key, why));
    let found = Resolved {
        group: found.group && !is_postmaster(forward_path),
        ambiguous: found.ambiguous && !is_postmaster(forward_path),
        ..found
    };
    if found.ambiguous && settings.recipients.deny_ambiguous {
        let why = "it is both a user and an alias";
        return refused(Rule::RecipientAmbiguous, "deny_ambiguous", why);
    }
    if found.group && settings.recipients.deny_groups {
        return refused(Rule::RecipientGroup, "deny_groups", "it is a group");
    }
    if found.outside && settings.smarthost_for(reverse_path).is_none() {
        let why = "the alias leads outside, and there is no smarthost to send it to";
        return Err(Refusal::new(Rule::NoSmarthost, "smarthost", "host", why));
    }
    Ok(Cause::new("recipients", "verify", "the recipient exists"))
}

/// Whether a message of this many octets, 0 where that is not known, fits into one of the mailboxes; each
/// has a quota. An alias is refused only where nobody behind it would get the message: who is full then
/// waits for theirs alone.
pub fn room(mailboxes: &[Fullness], octets: u64) -> Verdict {
    let rooms = || mailboxes.iter().map(|mailbox| mailbox.room_for(octets));
    let best = rooms().position(|room| room == Room::Enough);
    let best = best.or_else(|| rooms().position(|room| room == Room::Full));
    let Some(mailbox) = best.or(Some(0)).and_then(|at| mailboxes.get(at)) else {
        return Verdict::Allowed(Cause::new("delivery", "quota", "there is none"));
    };
    let (section, key) = match mailbox.is_own {
        true => ("auth", "users"),
        false => ("delivery", "quota"),
    };
    let cause = Cause::new(section, key, mailbox.in_words());
    match mailbox.room_for(octets) {
        Room::Enough => Verdict::Allowed(cause),
        Room::Full => Verdict::Deferred(Refusal {
            rule: Rule::MailboxFull,
            cause,
        }),
        Room::Never => Verdict::Refused(Refusal {
            rule: Rule::MailboxTooSmall,
            cause,
        }),
    }
}

fn is_postmaster(forward_path: &ForwardPath) -> bool {
    match forward_path {
        ForwardPath::Postmaster => true,
        ForwardPath::Mailbox(mailbox) => mailbox.local_part().eq_ignore_ascii_case("postmaster"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailbox(used: u64, quota: u64) -> Fullness {
        Fullness {
            user: "alice".to_owned(),
            quota,
            is_own: quota == 7,
            used: Some(used),
        }
    }

    #[test]
    fn an_alias_has_room_while_one_behind_it_has() {
        let (empty, full, tiny) = (mailbox(0, 100), mailbox(100, 100), mailbox(0, 7));
        let rows: &[(&[&Fullness], &str)] = &[
            (&[], "allowed"),
            (&[&empty], "allowed"),
            (&[&full], "deferred"),
            (&[&tiny], "refused"),
            (&[&full, &empty], "allowed"),
            (&[&tiny, &full], "deferred"),
            (&[&tiny, &empty], "allowed"),
            (&[&tiny, &tiny], "refused"),
        ];
        for (mailboxes, want) in rows {
            let mailboxes: Vec<Fullness> = mailboxes.iter().copied().cloned().collect();
            let (got, cause) = match room(&mailboxes, 8) {
                Verdict::Allowed(cause) => ("allowed", cause),
                Verdict::Deferred(refusal) => ("deferred", refusal.cause),
                Verdict::Refused(refusal) => ("refused", refusal.cause),
                Verdict::Asks(_) => panic!("it asks"),
            };
            assert_eq!(got, *want, "{mailboxes:?}");
            let own = got == "refused";
            assert_eq!(cause.section == "auth", own, "{cause:?}");
        }
    }
}
