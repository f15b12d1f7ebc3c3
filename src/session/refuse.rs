//! What a session tells of verdicts: to the log, to `explain`, and to clients in `explain_to`.

use super::note::{Note, Refused, Subject};
use super::{Output, Session, Step, Telling, replies};
use crate::config::serving::Serving;
use crate::config::settings::StartTls;
use crate::policy::admission;
use crate::policy::rule::Rule;
use crate::policy::verdict::{Cause, Refusal};
use crate::protocol::reply::Reply;

impl Session {
    /// Notes a verdict where every one is to be told.
    pub(super) fn tell(
        &self,
        step: &'static str,
        verdict: &'static str,
        cause: &Cause,
        output: &mut Output,
    ) {
        match self.telling {
            Telling::Refusals | Telling::Dialogue => {}
            Telling::Everything => output.notes.push(Note::Decided {
                step,
                verdict,
                cause: cause.in_words(&self.settings),
            }),
        }
    }

    /// Refuses: says the rule's reply, and notes what is refused and by which setting.
    pub(super) fn refuse(&mut self, what: Subject, refusal: &Refusal, output: &mut Output) -> Step {
        let reply = self.noted_refusal(what, refusal.rule, Some(&refusal.cause), output);
        self.say(reply, output)
    }

    /// Notes a refusal; gives what is to be said.
    pub(super) fn noted_refusal(
        &self,
        what: Subject,
        rule: Rule,
        cause: Option<&Cause>,
        output: &mut Output,
    ) -> Reply {
        let reply = self.refusal_reply(&what, rule, cause);
        output.notes.push(Note::Refused(Refused {
            what,
            reply: reply.code(),
            rule,
            cause: cause.map(|cause| cause.in_words(&self.settings)),
        }));
        reply
    }

    /// What this client hears of a refusal.
    pub(super) fn refusal_reply(&self, what: &Subject, rule: Rule, cause: Option<&Cause>) -> Reply {
        let reply = replies::refusal(rule, what, &self.settings, self.host.address);
        match cause {
            Some(cause)
                if self
                    .host
                    .is_favoured_by(&self.settings.connections.explain_to) =>
            {
                reply.explained(&cause.in_words(&self.settings))
            }
            Some(_) | None => reply,
        }
    }

    /// A command that STARTTLS has to come before (DOMINO.md S-55, S-76).
    pub(super) fn refuse_before_tls(&mut self, command: &'static str, output: &mut Output) -> Step {
        let why = "STARTTLS has to come first";
        let cause = match self.serving() {
            Serving::Site(site) if self.settings.extensions.starttls != StartTls::Required => {
                Cause::new(site.section(), "tcp_anonymous", why)
            }
            Serving::Site(_) | Serving::Server | Serving::Nobody => {
                Cause::new("extensions", "starttls", why)
            }
        };
        self.tell("starttls", "refused", &cause, output);
        let rule = Rule::StartTlsFirst;
        let refusal = Refusal { rule, cause };
        self.refuse(Subject::Command(command), &refusal, output)
    }

    /// The setting that decides about AUTH here.
    pub(super) fn auth_cause(&self) -> Cause {
        match self.port() {
            Some(port) => admission::auth_cause(port, self.serving(), self.stage),
            None => unreachable!("a session on a port of its settings"),
        }
    }

    /// The setting that keeps a session without a login from sending.
    pub(super) fn admission_cause(&self) -> Cause {
        if self.login_is_due {
            return Cause::new(
                "auth",
                "attempts_max",
                "a login failed and none has succeeded",
            );
        }
        match self.port() {
            Some(port) => admission::anonymous_cause(port, self.serving(), self.stage),
            None => unreachable!("a session on a port of its settings"),
        }
    }

    /// Who answers for this session's authentication.
    pub(super) fn serving(&self) -> Serving<'_> {
        self.settings.serving(self.local.ip())
    }
}
