//! MAIL (RFC 5321 section 4.1.1.2): sequence, authentication, syntax, size, space, in this order.

use super::data::Body;
use super::{Due, Effect, Note, Output, Session, Step, Transaction, replies};
use crate::mail::Envelope;
use crate::protocol::command::{ArgumentError, mail_path};
use crate::protocol::params::{MailParameters, Offered, ParameterError};
use crate::protocol::reply::Reply;
use crate::spool::Refusal;

impl Session {
    pub(super) fn mail(&mut self, arguments: &[u8], output: &mut Output) -> Step {
        if self.hello.is_none() || self.transaction.is_some() {
            return self.say(replies::bad_sequence(), output);
        }
        if !self.is_admitted() {
            return self.refuse_sender(replies::authentication_required(), "login", output);
        }
        let (reverse_path, params) = match mail_path(arguments) {
            Ok(arguments) => arguments,
            Err(error) => return self.say(argument_reply(error, replies::bad_sender()), output),
        };
        let params = match MailParameters::parse(params, self.offered()) {
            Ok(params) => params,
            Err(error) => return self.say(parameter_reply(error), output),
        };
        if !reverse_path.is_ascii() && !params.smtputf8 {
            return self.say(replies::needs_smtputf8(), output);
        }
        let size = params.size.unwrap_or(0);
        if size > self.settings.limits.message_size {
            return self.refuse_sender(replies::too_large(), "size", output);
        }
        let envelope = Envelope {
            reverse_path,
            recipients: Vec::new(),
            eight_bit: params.eight_bit == Some(true),
            smtputf8: params.smtputf8,
            client: self.client.ip(),
            login: self.login.clone(),
        };
        self.perform(Due::Space(Box::new(envelope)), Effect::CheckSpace(size))
    }

    pub(super) fn has_space(
        &mut self,
        envelope: Envelope,
        space: Result<(), Refusal>,
        output: &mut Output,
    ) -> Step {
        match space {
            Ok(()) => {
                let body = Body::default();
                self.transaction = Some(Box::new(Transaction { envelope, body }));
                self.say(replies::sender_ok(), output)
            }
            Err(refusal) => self.refuse_sender(replies::refused(refusal), "space", output),
        }
    }

    /// The extensions whose parameters are taken now.
    fn offered(&self) -> Offered {
        let extensions = &self.settings.extensions;
        Offered {
            size: extensions.size,
            eight_bit_mime: extensions.eight_bit_mime,
            smtputf8: extensions.smtputf8,
            auth: self.offers_auth(),
        }
    }

    fn refuse_sender(&mut self, reply: Reply, reason: &'static str, output: &mut Output) -> Step {
        output.notes.push(Note::SenderRefused {
            reply: reply.code(),
            reason,
        });
        self.say(reply, output)
    }
}

/// The reply to faulty arguments; `path` is the one for a faulty path.
pub(super) fn argument_reply(error: ArgumentError, path: Reply) -> Reply {
    match error {
        ArgumentError::Encoding => replies::bad_encoding(),
        ArgumentError::Syntax | ArgumentError::Address(_) => path,
    }
}

/// The reply to a faulty parameter.
pub(super) fn parameter_reply(error: ParameterError) -> Reply {
    match error {
        ParameterError::Unknown => replies::unknown_parameter(),
        ParameterError::Bad => replies::bad_parameter(),
    }
}
