//! RCPT (RFC 5321 section 4.1.1.3). Each recipient is decided by itself.

use super::mail::{argument_reply, parameter_reply};
use super::note::Subject;
use super::{Due, Effect, Output, Session, Step, replies};
use crate::directory::Lookup;
use crate::mail::{Domain, ForwardPath, Recipient, Target};
use crate::policy::verdict::{Cause, Verdict};
use crate::policy::{recipient, relay};
use crate::protocol::command::rcpt_path;
use crate::protocol::params::rcpt_parameters;
use crate::protocol::reply::Reply;

impl Session {
    pub(super) fn rcpt(&mut self, arguments: &[u8], output: &mut Output) -> Step {
        let Some(transaction) = self.transaction.as_ref() else {
            return self.say(replies::bad_sequence(), output);
        };
        let (smtputf8, count) = (
            transaction.envelope.smtputf8,
            transaction.envelope.recipients.len(),
        );
        let (path, params) = match rcpt_path(arguments) {
            Ok(arguments) => arguments,
            Err(error) => return self.say(argument_reply(error, replies::bad_recipient()), output),
        };
        if let Err(error) = rcpt_parameters(params) {
            return self.say(parameter_reply(error), output);
        }
        if !path.is_ascii() && !smtputf8 {
            return self.say(replies::needs_smtputf8(), output);
        }
        if count >= self.settings.limits.recipients {
            let cause = Cause::new("limits", "recipients", "the message has that many");
            let reply = replies::too_many_recipients();
            return self.refuse_recipient(&path, reply, "limit", &cause, output);
        }
        match recipient::lists(&self.settings, &path) {
            Verdict::Refused(cause) => {
                self.tell("recipient", "refused", &cause, output);
                let reply = replies::recipient_denied();
                return self.refuse_recipient(&path, reply, "recipient", &cause, output);
            }
            Verdict::Allowed(cause) => self.tell("recipient", "allowed", &cause, output),
            Verdict::Deferred(_) | Verdict::Asks(_) => unreachable!("lists need no DNS"),
        }
        if !self.is_local(&path) {
            return self.relay(path, output);
        }
        self.perform(Due::Recipient(path.clone()), Effect::FindRecipient(path))
    }

    /// Decides about an outside recipient.
    pub(super) fn relay(&mut self, path: ForwardPath, output: &mut Output) -> Step {
        let ForwardPath::Mailbox(mailbox) = &path else {
            unreachable!("postmaster is local");
        };
        let login = self.login.as_deref();
        match relay::decide(&self.settings, &self.host, login, mailbox.domain()) {
            Verdict::Allowed(cause) => {
                self.tell("relay", "allowed", &cause, output);
                let target = Target::Outside(mailbox.clone());
                self.add_recipient(path, target);
                self.say(replies::recipient_ok(), output)
            }
            Verdict::Refused(cause) => {
                self.tell("relay", "refused", &cause, output);
                let reply = replies::relay_denied(&self.settings.messages);
                self.refuse_recipient(&path, reply, "relay", &cause, output)
            }
            Verdict::Deferred(cause) => {
                self.tell("relay", "deferred", &cause, output);
                self.refuse_recipient(&path, replies::dns_failure(), "relay", &cause, output)
            }
            Verdict::Asks(question) => self.perform(Due::Relay(path), Effect::LookUp(question)),
        }
    }

    pub(super) fn found(&mut self, path: ForwardPath, lookup: Lookup, output: &mut Output) -> Step {
        let target = match lookup {
            Lookup::Found(target) => target,
            Lookup::Unknown => {
                let cause = Cause::new("recipients", "verify", "no user or alias has this name");
                self.tell("recipient", "refused", &cause, output);
                let reply = replies::unknown_user();
                return self.refuse_recipient(&path, reply, "unknown", &cause, output);
            }
            Lookup::Unavailable => {
                let cause = Cause::new("auth", "users", "the file cannot be read");
                self.tell("recipient", "deferred", &cause, output);
                let reply = replies::try_later();
                return self.refuse_recipient(&path, reply, "directory", &cause, output);
            }
        };
        self.add_recipient(path, target);
        self.say(replies::recipient_ok(), output)
    }

    /// One copy per mailbox, however often it is named.
    fn add_recipient(&mut self, forward_path: ForwardPath, target: Target) {
        let Some(transaction) = self.transaction.as_mut() else {
            return;
        };
        let recipients = &mut transaction.envelope.recipients;
        if !recipients.iter().any(|known| known.target == target) {
            recipients.push(Recipient {
                forward_path,
                target,
            });
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
        reply: Reply,
        reason: &'static str,
        cause: &Cause,
        output: &mut Output,
    ) -> Step {
        let what = Subject::Recipient(path.to_string());
        self.note_refused(what, reply.code(), (reason, Some(cause)), output);
        let reply = self.explained(reply, cause);
        self.say(reply, output)
    }
}
