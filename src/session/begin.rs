//! The beginning of a session: its site, whether its host may connect, the greeting.

use std::time::SystemTime;

use super::note::{Note, Subject};
use super::{Due, Effect, Output, Session, State, Step, replies};
use crate::policy::connection::{self, Connecting};
use crate::policy::facts::{Finding, HostNames, Question};
use crate::policy::site;
use crate::policy::verdict::Refusal;
use crate::protocol::command::{Command, Verb};

impl Session {
    /// Says the first line: the greeting or a refusal. On a tls port it comes once TLS is up.
    pub fn begin(&mut self, now: SystemTime, output: &mut Output) -> Step {
        if let Some(refusal) = self.site_is_not_enabled() {
            return self.turn_away("site", &refusal, output);
        }
        match connection::decide(&self.settings, &self.host, &self.zones) {
            Connecting::Asks(question) => {
                let due = Due::Connection(question.clone());
                self.perform(due, Effect::LookUp(question))
            }
            Connecting::Listed(refusal) if self.login_is_possible() => {
                self.tell("connection", "needs a login", &refusal.cause, output);
                self.listed = Some(Box::new(refusal));
                self.say(replies::greeting(&self.settings, now), output)
            }
            Connecting::Refused(refusal) | Connecting::Listed(refusal) => {
                self.turn_away("connection", &refusal, output)
            }
            Connecting::Deferred(refusal) => {
                self.turn_away("connection", &refusal, output);
                self.state = State::Closed;
                Step::Close
            }
            Connecting::Allowed { marks, cause } => {
                self.tell("connection", "allowed", &cause, output);
                for mark in &marks {
                    output.notes.push(Note::Listed {
                        rule: mark.refusal.rule,
                        cause: mark.refusal.cause.in_words(&self.settings),
                    });
                }
                self.marks = marks;
                let greeting = replies::greeting(&self.settings, now);
                self.say(greeting, output)
            }
        }
    }

    /// MAIL of a client that a list names, and that has not logged in.
    pub(super) fn refuse_listed(&mut self, output: &mut Output) -> Option<Step> {
        let listed = self.listed.as_ref().filter(|_| self.login.is_none())?;
        let refusal = listed.clone();
        self.tell("connection", "refused", &refusal.cause, output);
        Some(self.refuse(Subject::Sender(None), &refusal, output))
    }

    fn site_is_not_enabled(&self) -> Option<Refusal> {
        let port = self.port()?;
        site::not_enabled(&self.settings, port, self.serving())
    }

    /// A refusal as the first line; it does not count towards `error_limit`.
    fn turn_away(&mut self, step: &'static str, refusal: &Refusal, output: &mut Output) -> Step {
        self.tell(step, "refused", &refusal.cause, output);
        let reply = self.noted_refusal(Subject::Client, refusal.rule, Some(&refusal.cause), output);
        self.send(&reply, output);
        output.notes.push(Note::Said(reply));
        self.state = State::TurnedAway;
        Step::Receive
    }

    /// Any command but QUIT after a refusal as the first line (RFC 5321 section 3.1).
    pub(super) fn turned_away(
        &mut self,
        command: Option<Command<'_>>,
        output: &mut Output,
    ) -> Step {
        match command {
            Some(Command {
                verb: Verb::Quit,
                arguments,
            }) => self.quit(arguments, output),
            _ => self.say(replies::bad_sequence(), output),
        }
    }

    /// What DNS said of the client before the first line.
    pub(super) fn looked_up(&mut self, question: &Question, finding: Finding) {
        match question {
            Question::HostNames(_) => self.host.names = HostNames::found(finding),
            Question::Listed { .. } => self.zones.push(finding),
            Question::MailDomain(_) => unreachable!("senders come later"),
        }
    }
}
