//! RCPT (RFC 5321 section 4.1.1.3). Each recipient is decided by itself.

use std::sync::Arc;

use super::mail::{argument_reply, parameter_reply};
use super::names::Request;
use super::note::Subject;
use super::{Due, Effect, Output, Session, Step, Transaction, replies};
use crate::directory::{Found, Lookup};
use crate::mail::fullness::Fullness;
use crate::mail::notifications::OriginalRecipient;
use crate::mail::{Accepted, Domain, ForwardPath, RecipientNotifications, ReversePath, Target};
use crate::policy::recipient::Resolved;
use crate::policy::rule::Rule;
use crate::policy::verdict::{Cause, Refusal, Verdict};
use crate::policy::{recipient, relay};
use crate::protocol::command::rcpt_path;
use crate::protocol::params::rcpt_parameters;

/// A recipient that is being looked at.
pub(super) struct Named {
    pub(super) path: ForwardPath,
    notifications: RecipientNotifications,
}

impl Session {
    pub(super) fn rcpt(&mut self, arguments: &[u8], output: &mut Output) -> Step {
        let open = self.transaction.as_ref();
        let Some(transaction) = open.filter(|transaction| !transaction.body.is_chunked()) else {
            return self.say(replies::bad_sequence(), output);
        };
        let (smtputf8, count) = (
            transaction.envelope.head().smtputf8,
            transaction.envelope.accepted().len(),
        );
        let (path, params) = match rcpt_path(arguments) {
            Ok(arguments) => arguments,
            Err(error) => return self.say(argument_reply(error, replies::bad_recipient()), output),
        };
        let notifications = match rcpt_parameters(params, self.offered()) {
            Ok(notifications) => notifications,
            Err(error) => return self.say(parameter_reply(error), output),
        };
        let original = notifications.original.as_ref();
        let is_ascii = path.is_ascii() && original.is_none_or(OriginalRecipient::is_ascii);
        if !is_ascii && !smtputf8 {
            return self.say(replies::needs_smtputf8(), output);
        }
        if count >= self.settings.limits.recipients {
            let why = "the message has that many";
            let refusal = Refusal::new(Rule::RecipientLimit, "limits", "recipients", why);
            return self.refuse_recipient(&path, &refusal, output);
        }
        let named = Box::new(Named {
            path,
            notifications,
        });
        self.ask_for(Request::Recipient(named), output)
    }

    /// Decides about a recipient by the lists, and then by its domain.
    pub(super) fn judge(&mut self, named: Box<Named>, output: &mut Output) -> Step {
        match recipient::lists(&self.settings, &named.path) {
            Err(refusal) => {
                self.tell("recipient", "refused", &refusal.cause, output);
                return self.refuse_recipient(&named.path, &refusal, output);
            }
            Ok(cause) => self.tell("recipient", "allowed", &cause, output),
        }
        if !self.is_local(&named.path) {
            return self.relay(named, output);
        }
        let effect = Effect::FindRecipient(named.path.clone());
        self.perform(Due::Recipient(named), effect)
    }

    /// Decides about an outside recipient.
    pub(super) fn relay(&mut self, named: Box<Named>, output: &mut Output) -> Step {
        let path = &named.path;
        let ForwardPath::Mailbox(mailbox) = path else {
            unreachable!("postmaster is local");
        };
        let login = self.login.as_deref();
        let mut verdict = relay::decide(&self.settings, &self.host, login, mailbox.domain());
        if let Verdict::Allowed(cause) = &verdict {
            self.tell("relay", "allowed", cause, output);
            verdict = relay::can_be_sent(&self.settings, self.reverse_path());
        }
        match verdict {
            Verdict::Allowed(cause) => {
                self.tell("relay", "allowed", &cause, output);
                let target = Target::Outside(mailbox.clone());
                self.accept(*named, Arc::new([target]), u64::MAX, output)
            }
            Verdict::Refused(refusal) => {
                self.tell("relay", "refused", &refusal.cause, output);
                self.refuse_recipient(path, &refusal, output)
            }
            Verdict::Deferred(refusal) => {
                self.tell("relay", "deferred", &refusal.cause, output);
                self.refuse_recipient(path, &refusal, output)
            }
            Verdict::Asks(question) => self.perform(Due::Relay(named), Effect::LookUp(question)),
        }
    }

    pub(super) fn found(&mut self, named: Box<Named>, lookup: Lookup, output: &mut Output) -> Step {
        let path = &named.path;
        let found = match lookup {
            Lookup::Found(found) => found,
            Lookup::Unknown => {
                self.note_unknown(output);
                let (rule, why) = (Rule::RecipientUnknown, "no user or alias has this name");
                let refusal = Refusal::new(rule, "recipients", "verify", why);
                self.tell("recipient", "refused", &refusal.cause, output);
                return self.refuse_recipient(path, &refusal, output);
            }
            Lookup::Unavailable => {
                let (rule, why) = (Rule::RecipientUnclear, "the file cannot be read");
                let refusal = Refusal::new(rule, "auth", "users", why);
                self.tell("recipient", "deferred", &refusal.cause, output);
                return self.refuse_recipient(path, &refusal, output);
            }
        };
        match self.resolved_verdict(path, &found) {
            Err(refusal) => {
                self.tell("recipient", "refused", &refusal.cause, output);
                self.refuse_recipient(path, &refusal, output)
            }
            Ok(cause) => {
                self.tell("recipient", "allowed", &cause, output);
                if found.limited {
                    let users = found.targets.iter().filter_map(Target::user);
                    let effect = Effect::MeasureMailboxes(users.map(str::to_owned).collect());
                    return self.perform(Due::Room(named, found.targets), effect);
                }
                self.accept(*named, found.targets, u64::MAX, output)
            }
        }
    }

    /// Every target is a user with a quota, and this is how full they are.
    pub(super) fn measured(
        &mut self,
        named: Named,
        targets: Arc<[Target]>,
        mailboxes: &[Fullness],
        output: &mut Output,
    ) -> Step {
        let size = self.transaction.as_ref().map_or(0, |open| open.size);
        let (refusal, verdict) = match recipient::room(mailboxes, size) {
            Verdict::Allowed(cause) => {
                self.tell("quota", "allowed", &cause, output);
                let quotas = mailboxes.iter().map(|mailbox| mailbox.quota);
                let largest = quotas.max().unwrap_or(u64::MAX);
                return self.accept(named, targets, largest, output);
            }
            Verdict::Deferred(refusal) => (refusal, "deferred"),
            Verdict::Refused(refusal) => (refusal, "refused"),
            Verdict::Asks(_) => unreachable!("the mailboxes are measured"),
        };
        self.tell("quota", verdict, &refusal.cause, output);
        self.refuse_recipient(&named.path, &refusal, output)
    }

    /// That of the open transaction.
    fn reverse_path(&self) -> &ReversePath {
        let open = self.transaction.as_ref();
        open.map_or(&ReversePath::Null, |open| {
            &open.envelope.head().reverse_path
        })
    }

    fn resolved_verdict(&self, path: &ForwardPath, found: &Found) -> Result<Cause, Refusal> {
        let is_outside = |target: &Target| matches!(target, Target::Outside(_));
        let resolved = Resolved {
            group: found.group,
            ambiguous: found.ambiguous,
            outside: found.targets.iter().any(is_outside),
        };
        recipient::resolved(&self.settings, self.reverse_path(), path, resolved)
    }

    /// Takes the recipient, where memory allows: that of the message, which its record has to hold, and that
    /// of all sessions together. An alias may lead past the limit of recipients. The largest mailbox behind
    /// it may hold `mailbox_max` octets.
    fn accept(
        &mut self,
        named: Named,
        targets: Arc<[Target]>,
        mailbox_max: u64,
        output: &mut Output,
    ) -> Step {
        let Some(transaction) = self.transaction.as_mut() else {
            unreachable!("a recipient without a transaction");
        };
        let accepted = Accepted {
            forward_path: named.path,
            notifications: named.notifications,
            targets,
        };
        match transaction.take_in(accepted) {
            Ok(()) => {
                transaction.mailbox_max = transaction.mailbox_max.max(mailbox_max);
                self.say(replies::recipient_ok(), output)
            }
            Err((path, refusal)) => self.refuse_recipient(&path, &refusal, output),
        }
    }

    /// Whether a recipient is ours: a local domain, our own address as a literal, or the postmaster
    /// without a domain.
    fn is_local(&self, path: &ForwardPath) -> bool {
        match path {
            ForwardPath::Postmaster => true,
            ForwardPath::Mailbox(mailbox) => self.is_local_domain(mailbox.domain()),
        }
    }

    pub(super) fn is_local_domain(&self, domain: &Domain) -> bool {
        let own = self.local.ip().to_canonical();
        self.settings.is_local_domain(domain)
            || domain
                .literal_address()
                .is_some_and(|address| address.to_canonical() == own)
    }

    fn refuse_recipient(
        &mut self,
        path: &ForwardPath,
        refusal: &Refusal,
        output: &mut Output,
    ) -> Step {
        self.refuse(Subject::Recipient(path.to_string()), refusal, output)
    }
}

impl Transaction {
    /// Takes a recipient in.
    ///
    /// # Errors
    /// There is no room for it; it comes back with the reason.
    fn take_in(&mut self, accepted: Accepted) -> Result<(), (ForwardPath, Refusal)> {
        let known = self.envelope.accepted();
        let octets = self.octets + accepted.octets();
        let mut written_octets = self.written_octets + accepted.written_octets();
        let is_first = known.is_empty();
        if written_octets > WRITTEN_MAX_OCTETS && !is_first {
            // A group that is named again is not written again.
            if !known
                .iter()
                .any(|one| Arc::ptr_eq(&one.targets, &accepted.targets))
            {
                let why = "the groups of this message lead to too many";
                let refusal = Refusal::new(Rule::RecipientLimit, "limits", "recipients", why);
                return Err((accepted.forward_path, refusal));
            }
            written_octets = self.written_octets;
        }
        if octets > FREE_OCTETS && !self.share.grow_to(octets as u64) {
            let why = "the messages that come in now have that many";
            let refusal = Refusal::new(Rule::MailMemory, "limits", "mail_memory", why);
            return Err((accepted.forward_path, refusal));
        }
        (self.octets, self.written_octets) = (octets, written_octets);
        self.envelope.accept(accepted);
        Ok(())
    }
}

/// What the envelope of a transaction may take without asking the budget of all, octets.
const FREE_OCTETS: usize = 4096;
/// The longest envelope with all members of groups written out, octets: a record has to hold it. The first
/// recipient is always taken, and bounded by what one alias may lead to.
const WRITTEN_MAX_OCTETS: usize = 2 << 20;
