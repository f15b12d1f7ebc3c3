//! RCPT (RFC 5321 section 4.1.1.3). Each recipient is decided by itself.

use super::mail::{argument_reply, parameter_reply};
use super::{Due, Effect, Note, Output, Session, Step, replies};
use crate::directory::Lookup;
use crate::mail::{Domain, ForwardPath, Recipient};
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
            return self.refuse_recipient(&path, replies::too_many_recipients(), "limit", output);
        }
        if !self.is_local(&path) {
            return self.refuse_recipient(&path, replies::relay_denied(), "relay", output);
        }
        self.perform(Due::Recipient(path.clone()), Effect::FindRecipient(path))
    }

    pub(super) fn found(&mut self, path: ForwardPath, lookup: Lookup, output: &mut Output) -> Step {
        let target = match lookup {
            Lookup::Found(target) => target,
            Lookup::Unknown => {
                return self.refuse_recipient(&path, replies::unknown_user(), "unknown", output);
            }
            Lookup::Unavailable => {
                return self.refuse_recipient(&path, replies::try_later(), "directory", output);
            }
        };
        if let Some(transaction) = self.transaction.as_mut() {
            let recipients = &mut transaction.envelope.recipients;
            // One copy per mailbox, however often it is named.
            if !recipients
                .iter()
                .any(|recipient| recipient.target == target)
            {
                recipients.push(Recipient {
                    forward_path: path,
                    target,
                });
            }
        }
        self.say(replies::recipient_ok(), output)
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
        output: &mut Output,
    ) -> Step {
        let note = Note::RecipientRefused {
            to: path.to_string(),
            reply: reply.code(),
            reason,
        };
        output.notes.push(note);
        self.say(reply, output)
    }
}
