//! STARTTLS (RFC 3207; DOMINO.md S-50 to S-56).

use std::time::SystemTime;

use super::note::Subject;
use super::{Due, Effect, Output, Session, Step, replies};
use crate::config::settings::StartTls;
use crate::mail::TlsFacts;
use crate::policy::admission::Stage;
use crate::policy::rule::Rule;
use crate::policy::verdict::Refusal;

impl Session {
    pub(super) fn starttls(&mut self, arguments: &[u8], output: &mut Output) -> Step {
        if self.settings.extensions.starttls == StartTls::Disabled && self.tls.is_none() {
            let rule = Rule::StartTlsDisabled;
            let refusal = Refusal::new(rule, "extensions", "starttls", "it is disabled");
            self.tell("starttls", "refused", &refusal.cause, output);
            return self.refuse(Subject::Command("STARTTLS"), &refusal, output);
        }
        if self.tls.is_some() {
            return self.say(replies::bad_sequence(), output);
        }
        if !arguments.is_empty() {
            return self.say(replies::bad_arguments(), output);
        }
        self.send(&replies::ready_for_tls(), output);
        self.perform(Due::Tls, Effect::StartTls)
    }

    /// After STARTTLS everything the client said before is forgotten (RFC 3207 section 4.2); the
    /// counts of errors and failed logins stay. On a tls port the greeting comes now.
    pub(super) fn tls_started(
        &mut self,
        facts: TlsFacts,
        now: SystemTime,
        output: &mut Output,
    ) -> Step {
        self.tls = Some(facts);
        match self.stage {
            Stage::Tls => self.begin(now, output),
            Stage::Plaintext | Stage::StartTls => {
                self.stage = Stage::StartTls;
                self.hello = None;
                self.login = None;
                self.forget_transaction()
            }
        }
    }
}
