//! MAIL (RFC 5321 section 4.1.1.2): sequence, lists that name the client, authentication, syntax, size, host name, sender lists, owner,
//! sender's domain, space, in this order.

use super::body::Body;
use super::note::Subject;
use super::{Due, Effect, Output, Session, Step, Transaction, replies};
use crate::mail::memory::Share;
use crate::mail::{Envelope, OpenEnvelope};
use crate::policy::facts::{Finding, Question};
use crate::policy::sender;
use crate::policy::verdict::{Cause, Verdict};
use crate::protocol::command::{ArgumentError, mail_path};
use crate::protocol::params::{MailParameters, Offered, ParameterError};
use crate::protocol::reply::Reply;
use crate::spool::Refusal;

/// A sender that is being looked at.
pub(super) struct Candidate {
    envelope: Envelope,
    /// What MAIL says of the size, octets.
    size: u64,
}

impl Session {
    pub(super) fn mail(&mut self, arguments: &[u8], output: &mut Output) -> Step {
        if self.hello.is_none() || self.transaction.is_some() {
            return self.say(replies::bad_sequence(), output);
        }
        if let Some(step) = self.refuse_listed(output) {
            return step;
        }
        if !self.is_admitted() {
            return self.refuse_unadmitted(output);
        }
        if self.login.is_none() {
            let cause = self.admission_cause();
            self.tell("login", "not needed", &cause, output);
        }
        let (reverse_path, params) = match mail_path(arguments) {
            Ok(arguments) => arguments,
            Err(error) => return self.say(argument_reply(error, replies::bad_sender()), output),
        };
        let params = match MailParameters::parse(params, self.offered()) {
            Ok(params) => params,
            Err(error) => return self.refuse_parameters(params, error, output),
        };
        if !reverse_path.is_ascii() && !params.smtputf8 {
            return self.say(replies::needs_smtputf8(), output);
        }
        let size = params.size.unwrap_or(0);
        if size > self.settings.limits.message_size {
            let cause = Cause::new("limits", "message_size", "the client says it is larger");
            let from = Some(reverse_path.to_string());
            return self.refuse_sender(from, replies::too_large(), "size", &cause, output);
        }
        let envelope = Envelope {
            reverse_path,
            recipients: Vec::new(),
            eight_bit: params.eight_bit == Some(true),
            smtputf8: params.smtputf8,
            notifications: params.notifications,
            client: self.client.ip(),
            login: self.login.clone(),
        };
        let candidate = Box::new(Candidate { envelope, size });
        self.check_host_name(candidate, output)
    }

    /// MAIL with a faulty parameter, or with one that is switched off.
    fn refuse_parameters(
        &mut self,
        params: &str,
        error: ParameterError,
        output: &mut Output,
    ) -> Step {
        let mut words = params.split_ascii_whitespace();
        let asks = words.any(|word| word.eq_ignore_ascii_case("SMTPUTF8"));
        if asks && !self.settings.extensions.smtputf8 {
            let cause = Cause::new("extensions", "smtputf8", "it is disabled");
            self.tell("sender", "refused", &cause, output);
        }
        self.say(parameter_reply(error), output)
    }

    /// MAIL of a session that has to log in first.
    fn refuse_unadmitted(&mut self, output: &mut Output) -> Step {
        let cause = self.admission_cause();
        self.tell("login", "refused", &cause, output);
        let reply = replies::authentication_required(&self.settings.messages);
        self.refuse_sender(None, reply, "login", &cause, output)
    }

    pub(super) fn check_host_name(
        &mut self,
        candidate: Box<Candidate>,
        output: &mut Output,
    ) -> Step {
        let verdict = sender::host_name(&self.settings, &self.host);
        let refusal = (|_: &str| replies::no_host_name(), "host_name");
        match self.sender_verdict(verdict, &candidate, refusal, output) {
            Judged::Allowed => self.check_sender_lists(candidate, output),
            Judged::Refused(step) => step,
            Judged::Asks(question) => {
                self.perform(Due::HostName(candidate), Effect::LookUp(question))
            }
        }
    }

    fn check_sender_lists(&mut self, candidate: Box<Candidate>, output: &mut Output) -> Step {
        let reverse_path = &candidate.envelope.reverse_path;
        let verdict = sender::lists(&self.settings, reverse_path);
        let refusal = (replies::sender_denied, "sender");
        match self.sender_verdict(verdict, &candidate, refusal, output) {
            Judged::Refused(step) => return step,
            Judged::Allowed => {}
            Judged::Asks(_) => unreachable!("lists of addresses need no DNS"),
        }
        let login = self.login.as_deref();
        let reverse_path = &candidate.envelope.reverse_path;
        match sender::to_be_owned(&self.settings, login, reverse_path).cloned() {
            Some(sender) => {
                let user = self.login.clone().unwrap_or_default();
                self.perform(Due::Owner(candidate), Effect::CheckOwner { user, sender })
            }
            None => self.check_domain(candidate, None, output),
        }
    }

    pub(super) fn sender_owned(
        &mut self,
        candidate: Box<Candidate>,
        owned: Option<bool>,
        output: &mut Output,
    ) -> Step {
        let verdict = sender::owned(owned);
        let refusal = (replies::sender_denied, "login");
        match self.sender_verdict(verdict, &candidate, refusal, output) {
            Judged::Allowed => self.check_domain(candidate, None, output),
            Judged::Refused(step) => step,
            Judged::Asks(_) => unreachable!("the owner is known"),
        }
    }

    pub(super) fn check_domain(
        &mut self,
        candidate: Box<Candidate>,
        finding: Option<&Finding>,
        output: &mut Output,
    ) -> Step {
        let reverse_path = &candidate.envelope.reverse_path;
        let verdict = sender::domain(&self.settings, reverse_path, finding);
        let refusal = (|_: &str| replies::no_such_sender_domain(), "sender_domain");
        match self.sender_verdict(verdict, &candidate, refusal, output) {
            Judged::Allowed => {
                let size = candidate.size;
                self.perform(Due::Space(candidate), Effect::CheckSpace(size))
            }
            Judged::Refused(step) => step,
            Judged::Asks(question) => {
                self.perform(Due::SenderDomain(candidate), Effect::LookUp(question))
            }
        }
    }

    /// Tells a verdict on a sender, and answers a refusal; its reply is made from the sender's address.
    fn sender_verdict(
        &mut self,
        verdict: Verdict,
        candidate: &Candidate,
        (reply, reason): (impl FnOnce(&str) -> Reply, &'static str),
        output: &mut Output,
    ) -> Judged {
        let from = || candidate.envelope.reverse_path.to_string();
        match verdict {
            Verdict::Allowed(cause) => {
                self.tell("sender", "allowed", &cause, output);
                Judged::Allowed
            }
            Verdict::Refused(cause) => {
                self.tell("sender", "refused", &cause, output);
                let from = from();
                let reply = reply(&from);
                Judged::Refused(self.refuse_sender(Some(from), reply, reason, &cause, output))
            }
            Verdict::Deferred(cause) => {
                self.tell("sender", "deferred", &cause, output);
                let later = match cause.key {
                    "must_match_login" => replies::try_later(),
                    _ => replies::dns_failure(),
                };
                Judged::Refused(self.refuse_sender(Some(from()), later, reason, &cause, output))
            }
            Verdict::Asks(question) => Judged::Asks(question),
        }
    }

    pub(super) fn has_space(
        &mut self,
        candidate: Candidate,
        space: Result<(), Refusal>,
        output: &mut Output,
    ) -> Step {
        let Candidate { envelope, size } = candidate;
        match space {
            Ok(()) => {
                let body = Body::default();
                self.transaction = Some(Box::new(Transaction {
                    envelope: OpenEnvelope::new(envelope),
                    share: Share::new(&self.memory),
                    octets: 0,
                    written_octets: 0,
                    size,
                    mailbox_max: 0,
                    body,
                }));
                self.say(replies::sender_ok(), output)
            }
            Err(refusal) => {
                let from = Some(envelope.reverse_path.to_string());
                let cause = Cause::new("limits", "free_space", "the spool's disk is full");
                self.tell("space", "refused", &cause, output);
                self.refuse_sender(from, replies::refused(refusal), "space", &cause, output)
            }
        }
    }

    /// The extensions whose parameters are taken now.
    pub(super) fn offered(&self) -> Offered {
        let extensions = &self.settings.extensions;
        Offered {
            size: extensions.size,
            eight_bit_mime: extensions.eight_bit_mime,
            smtputf8: extensions.smtputf8,
            auth: self.offers_auth(),
            dsn: extensions.dsn,
        }
    }

    pub(super) fn refuse_sender(
        &mut self,
        from: Option<String>,
        reply: Reply,
        reason: &'static str,
        cause: &Cause,
        output: &mut Output,
    ) -> Step {
        let what = Subject::Sender(from);
        self.note_refused(what, reply.code(), (reason, Some(cause)), output);
        let reply = self.explained(reply, cause);
        self.say(reply, output)
    }
}

/// What became of a verdict on a sender.
enum Judged {
    Allowed,
    Refused(Step),
    Asks(Question),
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
