//! MAIL (RFC 5321 section 4.1.1.2): sequence, lists that name the client, authentication, syntax, size, host name, sender lists, owner,
//! sender's domain, space, in this order.

use super::body::Body;
use super::note::Subject;
use super::{Due, Effect, Output, Session, Step, Transaction, replies};
use crate::mail::memory::Share;
use crate::mail::{Envelope, OpenEnvelope};
use crate::policy::facts::{Finding, Question};
use crate::policy::rule::Rule;
use crate::policy::sender;
use crate::policy::verdict::{Cause, Refusal, Verdict};
use crate::protocol::command::{ArgumentError, mail_path};
use crate::protocol::params::{MailParameters, Offered, ParameterError};
use crate::protocol::reply::Reply;
use crate::spool;

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
            let why = "the client says it is larger";
            let refusal = Refusal::new(Rule::MessageSize, "limits", "message_size", why);
            let from = Subject::Sender(Some(reverse_path.to_string()));
            return self.refuse(from, &refusal, output);
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
        let rule = Rule::LoginRequired;
        self.refuse(Subject::Sender(None), &Refusal { rule, cause }, output)
    }

    pub(super) fn check_host_name(
        &mut self,
        candidate: Box<Candidate>,
        output: &mut Output,
    ) -> Step {
        let verdict = sender::host_name(&self.settings, &self.host);
        match self.sender_verdict(verdict, &candidate, output) {
            Judged::Allowed => self.check_sender_lists(candidate, output),
            Judged::Refused(step) => step,
            Judged::Asks(question) => {
                self.perform(Due::HostName(candidate), Effect::LookUp(question))
            }
        }
    }

    fn check_sender_lists(&mut self, candidate: Box<Candidate>, output: &mut Output) -> Step {
        let reverse_path = &candidate.envelope.reverse_path;
        match sender::lists(&self.settings, reverse_path) {
            Ok(cause) => self.tell("sender", "allowed", &cause, output),
            Err(refusal) => return self.refuse_sender(&candidate, &refusal, "refused", output),
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
        match self.sender_verdict(sender::owned(owned), &candidate, output) {
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
        match self.sender_verdict(verdict, &candidate, output) {
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

    /// Tells a verdict on a sender, and answers a refusal.
    fn sender_verdict(
        &mut self,
        verdict: Verdict,
        candidate: &Candidate,
        output: &mut Output,
    ) -> Judged {
        match verdict {
            Verdict::Allowed(cause) => {
                self.tell("sender", "allowed", &cause, output);
                Judged::Allowed
            }
            Verdict::Refused(refusal) => {
                Judged::Refused(self.refuse_sender(candidate, &refusal, "refused", output))
            }
            Verdict::Deferred(refusal) => {
                Judged::Refused(self.refuse_sender(candidate, &refusal, "deferred", output))
            }
            Verdict::Asks(question) => Judged::Asks(question),
        }
    }

    fn refuse_sender(
        &mut self,
        candidate: &Candidate,
        refusal: &Refusal,
        verdict: &'static str,
        output: &mut Output,
    ) -> Step {
        self.tell("sender", verdict, &refusal.cause, output);
        let from = candidate.envelope.reverse_path.to_string();
        self.refuse(Subject::Sender(Some(from)), refusal, output)
    }

    pub(super) fn has_space(
        &mut self,
        candidate: Candidate,
        space: Result<(), spool::Refusal>,
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
                let rule = match refusal {
                    spool::Refusal::NoSpace => Rule::FreeSpace,
                    spool::Refusal::Failure => Rule::FreeSpaceUnclear,
                };
                let why = "the spool's disk is full";
                let refusal = Refusal::new(rule, "limits", "free_space", why);
                self.tell("space", "refused", &refusal.cause, output);
                self.refuse(Subject::Sender(from), &refusal, output)
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
