//! Whether a forward-path is taken, before and after it is looked up (DOMINO.md section 2.3.5).
//!
//! `<postmaster>` without a domain is never refused by lists, and postmaster is refused neither as a
//! group nor as ambiguous: RFC 5321 section 4.5.1 wants it to reach somebody.

use super::mail_lists::MailLists;
use super::verdict::{Cause, Verdict};
use crate::config::settings::Settings;
use crate::mail::fullness::{Fullness, Room};
use crate::mail::{ForwardPath, ReversePath};

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
pub fn resolved(
    settings: &Settings,
    reverse_path: &ReversePath,
    forward_path: &ForwardPath,
    found: Resolved,
) -> Verdict {
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
    if found.outside && settings.smarthost_for(reverse_path).is_none() {
        let why = "the alias leads outside, and there is no smarthost to send it to";
        return Verdict::Refused(Cause::new("smarthost", "host", why));
    }
    Verdict::Allowed(cause("verify", "the recipient exists"))
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
        Room::Full => Verdict::Deferred(cause),
        Room::Never => Verdict::Refused(cause),
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
                Verdict::Deferred(cause) => ("deferred", cause),
                Verdict::Refused(cause) => ("refused", cause),
                Verdict::Asks(_) => panic!("it asks"),
            };
            assert_eq!(got, *want, "{mailboxes:?}");
            let own = got == "refused";
            assert_eq!(cause.section == "auth", own, "{cause:?}");
        }
    }
}
