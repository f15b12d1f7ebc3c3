//! What a session tells of verdicts: to the log, to `explain`, and to clients in `explain_to`.

use super::note::{Note, Refused, Subject};
use super::{Output, Session, Step, Telling, replies};
use crate::config::serving::Serving;
use crate::config::settings::StartTls;
use crate::policy::admission;
use crate::policy::verdict::Cause;
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
            Telling::Refusals => {}
            Telling::Everything => output.notes.push(Note::Decided {
                step,
                verdict,
                cause: cause.in_words(&self.settings),
            }),
        }
    }

    /// Notes a refusal: what, the reply's code, why in one word and by which setting.
    pub(super) fn note_refused(
        &self,
        what: Subject,
        reply: u16,
        (reason, cause): (&'static str, Option<&Cause>),
        output: &mut Output,
    ) {
        output.notes.push(Note::Refused(Refused {
            what,
            reply,
            reason,
            cause: cause.map(|cause| cause.in_words(&self.settings)),
            setting: cause.map(|cause| (cause.section.clone(), cause.key)),
        }));
    }

    /// A refusal as this client is to hear it.
    pub(super) fn explained(&self, reply: Reply, cause: &Cause) -> Reply {
        match self
            .host
            .is_favoured_by(&self.settings.connections.explain_to)
        {
            true => reply.explained(&cause.in_words(&self.settings)),
            false => reply,
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
        let reply = replies::starttls_first();
        let what = Subject::Command(command);
        self.note_refused(what, reply.code(), ("starttls", Some(&cause)), output);
        let reply = self.explained(reply, &cause);
        self.say(reply, output)
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
