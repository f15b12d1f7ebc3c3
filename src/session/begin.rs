//! The beginning of a session: its site, whether its host may connect, the greeting.

use std::time::SystemTime;

use super::note::{Note, Subject};
use super::{Due, Effect, Output, Session, State, Step, replies};
use crate::policy::connection::{self, Connecting};
use crate::policy::facts::{Finding, HostNames, Question};
use crate::policy::site;
use crate::policy::verdict::Cause;
use crate::protocol::command::{Command, Verb};
use crate::protocol::reply::Reply;

/// A list that names the client, which may log in.
pub(super) struct Listed {
    text: String,
    cause: Cause,
}

impl Session {
    /// Says the first line: the greeting or a refusal. On a tls port it comes once TLS is up.
    pub fn begin(&mut self, now: SystemTime, output: &mut Output) -> Step {
        if let Some(cause) = self.site_is_not_enabled() {
            let reply = replies::site_not_enabled(&self.settings.messages);
            return self.turn_away(reply, "site", &cause, output);
        }
        match connection::decide(&self.settings, &self.host, &self.zones) {
            Connecting::Asks(question) => {
                let due = Due::Connection(question.clone());
                self.perform(due, Effect::LookUp(question))
            }
            Connecting::Refused { text, cause } => self.turn_away(
                replies::connection_denied(text),
                "connection",
                &cause,
                output,
            ),
            Connecting::Listed { text, cause } if self.login_is_possible() => {
                self.tell("connection", "needs a login", &cause, output);
                self.listed = Some(Box::new(Listed { text, cause }));
                self.say(replies::greeting(&self.settings, now), output)
            }
            Connecting::Listed { text, cause } => self.turn_away(
                replies::connection_denied(text),
                "connection",
                &cause,
                output,
            ),
            Connecting::Deferred(cause) => {
                self.note_turned_away(421, "connection", &cause, output);
                let reply = replies::connection_deferred();
                reply.write_to(&mut output.wire);
                output.notes.push(Note::Said(reply));
                self.state = State::Closed;
                Step::Close
            }
            Connecting::Allowed { marks, cause } => {
                self.tell("connection", "allowed", &cause, output);
                for mark in &marks {
                    output.notes.push(Note::Listed {
                        list: list_of(&mark.cause),
                        cause: mark.cause.in_words(&self.settings),
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
        let (reply, cause) = (replies::listed(&listed.text), listed.cause.clone());
        self.tell("connection", "refused", &cause, output);
        Some(self.refuse_sender(None, reply, list_of(&cause), &cause, output))
    }

    fn site_is_not_enabled(&self) -> Option<Cause> {
        let port = self.port()?;
        site::not_enabled(&self.settings, port, self.serving())
    }

    /// A refusal as the first line; it does not count towards `error_limit`.
    fn turn_away(
        &mut self,
        reply: Reply,
        step: &'static str,
        cause: &Cause,
        output: &mut Output,
    ) -> Step {
        self.note_turned_away(reply.code(), step, cause, output);
        let reply = self.explained(reply, cause);
        reply.write_to(&mut output.wire);
        output.notes.push(Note::Said(reply));
        self.state = State::TurnedAway;
        Step::Receive
    }

    fn note_turned_away(&self, reply: u16, step: &'static str, cause: &Cause, output: &mut Output) {
        self.tell(step, "refused", cause, output);
        let why = (list_of(cause), Some(cause));
        self.note_refused(Subject::Client, reply, why, output);
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

/// Which list a cause is of, in one word for the log and the counters.
fn list_of(cause: &Cause) -> &'static str {
    match cause.section.as_ref() {
        "blacklist" => "blacklist",
        "dnsbl" => "dnsbl",
        "connections" => "connections",
        _ => "site",
    }
}
