//! AUTH (RFC 4954): sequence, switched off, TLS, mechanism, in this order.

use super::{Credentials, Due, Effect, Note, Output, Session, State, Step, replies};
use crate::config::settings::Mechanism;
use crate::directory::LoginOutcome;
use crate::protocol::sasl::{Exchange, Next};

impl Session {
    pub(super) fn auth(&mut self, arguments: &[u8], output: &mut Output) -> Step {
        let has_extended = self.hello.as_ref().is_some_and(|hello| hello.extended);
        if !has_extended || self.login.is_some() || self.transaction.is_some() {
            return self.say(replies::bad_sequence(), output);
        }
        if !self.admission().auth {
            return self.say(replies::auth_not_available(), output);
        }
        if self.auth_needs_tls() {
            return self.say(replies::encryption_required(), output);
        }
        let words = arguments.split(|octet| *octet == b' ');
        let mut words = words.filter(|word| !word.is_empty());
        let (Some(mechanism), initial, None) = (words.next(), words.next(), words.next()) else {
            return self.say(replies::bad_arguments(), output);
        };
        let offered = self.settings.auth.mechanisms.iter();
        let mut offered = offered.filter(|offered| {
            let name = replies::mechanism_name(**offered);
            mechanism.eq_ignore_ascii_case(name.as_bytes())
        });
        let exchange = match offered.next() {
            Some(Mechanism::Plain) => Exchange::Plain,
            Some(Mechanism::Login) => Exchange::LoginName,
            None => return self.say(replies::unknown_mechanism(), output),
        };
        let challenge = exchange.first_challenge();
        self.state = State::Auth(exchange);
        match initial {
            Some(response) => self.auth_response(response, output),
            None => self.say(replies::challenge(challenge), output),
        }
    }

    pub(super) fn auth_response(&mut self, line: &[u8], output: &mut Output) -> Step {
        let State::Auth(mut exchange) = std::mem::replace(&mut self.state, State::Command) else {
            unreachable!("a response outside an exchange");
        };
        if line == b"*" {
            return self.say(replies::exchange_cancelled(), output);
        }
        let line = std::str::from_utf8(line).unwrap_or("*");
        match exchange.respond(line) {
            Ok(Next::Challenge(challenge)) => {
                self.state = State::Auth(exchange);
                self.say(replies::challenge(challenge), output)
            }
            Ok(Next::Login(login, password)) => {
                let credentials = Credentials {
                    login: login.clone(),
                    password,
                };
                self.perform(Due::Login(login), Effect::CheckLogin(credentials))
            }
            Err(_) => self.say(replies::bad_response(), output),
        }
    }

    pub(super) fn logged_in(
        &mut self,
        login: String,
        outcome: LoginOutcome,
        output: &mut Output,
    ) -> Step {
        match outcome {
            LoginOutcome::Accepted(user) => {
                output.notes.push(Note::LoggedIn { user: user.clone() });
                self.login = Some(user);
                self.login_is_due = false;
                self.say(replies::authenticated(), output)
            }
            LoginOutcome::Unavailable => {
                output.notes.push(Note::LoginUnavailable);
                self.say(replies::try_later(), output)
            }
            LoginOutcome::Refused => {
                self.failed_logins += 1;
                self.login_is_due = true;
                output.notes.push(Note::LoginFailed {
                    login,
                    failed: self.failed_logins,
                });
                if self.failed_logins >= self.settings.auth.attempts_max {
                    self.state = State::Closed;
                    self.say(replies::too_many_failed_logins(), output);
                    return Step::Close;
                }
                self.say(replies::authentication_failed(), output)
            }
        }
    }
}
