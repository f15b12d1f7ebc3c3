//! AUTH (RFC 4954): sequence, switched off, TLS, mechanism, in this order. SCRAM's own steps are in `scram`.

use super::note::{LoginFault, Subject};
use super::scram::Judged;
use super::{Credentials, Due, Effect, Note, Output, Paced, Session, State, Step, replies};
use crate::config::settings::Mechanism;
use crate::directory::LoginOutcome;
use crate::policy::access;
use crate::policy::rule::Rule;
use crate::policy::verdict::{Cause, Refusal};
use crate::protocol::sasl::{Exchange, Next, mechanism_named};

/// A login that is being judged.
pub(super) struct Attempt {
    /// The login as the client gave it.
    pub(super) login: String,
    /// SCRAM's server-final-message in Base64, which only a login that is good may hear.
    pub(super) server_final: Option<String>,
}

impl Attempt {
    pub(super) fn new(login: String) -> Self {
        Self {
            login,
            server_final: None,
        }
    }
}

/// A login that is not judged yet; its password is wiped when dropped.
pub(super) enum Unseen {
    Password(Credentials),
    Scram(Judged),
}

impl Unseen {
    fn login(&self) -> &str {
        match self {
            Self::Password(credentials) => &credentials.login,
            Self::Scram(judged) => &judged.login,
        }
    }
}

impl Session {
    pub(super) fn auth(&mut self, arguments: &[u8], output: &mut Output) -> Step {
        if let Some(step) = self.auth_is_refused(output) {
            return step;
        }
        let words = arguments.split(|octet| *octet == b' ');
        let mut words = words.filter(|word| !word.is_empty());
        let (Some(mechanism), initial, None) = (words.next(), words.next(), words.next()) else {
            return self.say(replies::bad_arguments(), output);
        };
        let called = self.mechanism_called(mechanism);
        self.mechanism = called.or(self.mechanism);
        let exchange = match called {
            Some(Mechanism::ScramSha256Plus) => self.scram_bound(),
            Some(Mechanism::ScramSha256) => self.scram_unbound(),
            Some(Mechanism::Plain) => Exchange::Plain,
            Some(Mechanism::Login) => Exchange::LoginName,
            None => return self.refuse_mechanism(mechanism, output),
        };
        let challenge = exchange.first_challenge();
        self.state = State::Auth(exchange);
        match initial {
            Some(response) => self.auth_response(response, output),
            None => self.say(replies::challenge(challenge), output),
        }
    }

    /// A login whose password nobody has proven: for `explain`, which asks what would come of it.
    pub fn log_in_unproven(
        &mut self,
        login: String,
        outcome: LoginOutcome,
        output: &mut Output,
    ) -> Step {
        if self.admission().starttls_required {
            return self.refuse_before_tls("AUTH", output);
        }
        if let Some(step) = self.auth_is_refused(output) {
            return step;
        }
        if matches!(outcome, LoginOutcome::Refused) {
            let cause = Cause::new("auth", "users", "there is no such user");
            self.tell("login", "refused", &cause, output);
        }
        self.logged_in(Attempt::new(login), outcome, output)
    }

    /// Sequence, switched off, TLS.
    fn auth_is_refused(&mut self, output: &mut Output) -> Option<Step> {
        let has_extended = self.hello.as_ref().is_some_and(|hello| hello.extended);
        if !has_extended || self.login.is_some() || self.transaction.is_some() {
            return Some(self.say(replies::bad_sequence(), output));
        }
        if !self.admission().auth {
            let cause = self.auth_cause();
            return Some(self.refuse_auth(Rule::AuthDisabled, cause, output));
        }
        if self.auth_needs_tls() {
            let cause = Cause::new("auth", "plaintext_from", "the client is not listed");
            return Some(self.refuse_auth(Rule::PlaintextAuth, cause, output));
        }
        None
    }

    /// The mechanism of this name, if it is offered now.
    fn mechanism_called(&self, name: &[u8]) -> Option<Mechanism> {
        self.mechanisms().find(|offered| {
            let offered = replies::mechanism_name(*offered);
            name.eq_ignore_ascii_case(offered.as_bytes())
        })
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
                let credentials = Credentials { login, password };
                self.ask_for_pace(Unseen::Password(credentials))
            }
            Ok(Next::Scram(next)) => self.scram_goes_on(next, output),
            Err(_) => self.say(replies::bad_response(), output),
        }
    }

    /// Asks when a login may be looked at. What came of SCRAM's own sums is kept, and told to nobody before.
    pub(super) fn ask_for_pace(&mut self, unseen: Unseen) -> Step {
        let effect = Effect::PaceLogin(unseen.login().to_owned());
        self.perform(Due::Pace(unseen), effect)
    }

    /// The login may be looked at now, or not for a while.
    pub(super) fn paced(&mut self, unseen: Unseen, paced: Paced, output: &mut Output) -> Step {
        match (paced, unseen) {
            (Paced::Proceed, Unseen::Password(credentials)) => {
                let attempt = Attempt::new(credentials.login.clone());
                self.perform(Due::Login(attempt), Effect::CheckLogin(credentials))
            }
            (Paced::Proceed, Unseen::Scram(judged)) => self.scram_judged(judged, output),
            (Paced::TurnAway, unseen) => {
                let login = unseen.login().to_owned();
                output.notes.push(Note::LoginTurnedAway { login });
                self.say(replies::login_turned_away(), output)
            }
        }
    }

    /// What the password came to.
    pub(super) fn logged_in(
        &mut self,
        attempt: Attempt,
        outcome: LoginOutcome,
        output: &mut Output,
    ) -> Step {
        match outcome {
            LoginOutcome::Accepted(user) => self.check_access(attempt, user, output),
            LoginOutcome::Unavailable => {
                output.notes.push(Note::LoginUnavailable);
                self.say(replies::try_later(), output)
            }
            LoginOutcome::Refused => {
                let reason = "wrong password or unknown user".to_owned();
                self.login_failed(attempt.login, (LoginFault::Password, reason), output)
            }
        }
    }

    /// The password is right: whether the user may come in (DOMINO.md section 1.7).
    fn check_access(&mut self, attempt: Attempt, user: String, output: &mut Output) -> Step {
        if access::needs_groups(&self.settings) {
            let effect = Effect::FindGroups(user.clone());
            return self.perform(Due::Groups { attempt, user }, effect);
        }
        self.groups_found(attempt, user, Some(Vec::new()), output)
    }

    pub(super) fn groups_found(
        &mut self,
        attempt: Attempt,
        user: String,
        groups: Option<Vec<String>>,
        output: &mut Output,
    ) -> Step {
        let Some(groups) = groups else {
            output.notes.push(Note::LoginUnavailable);
            return self.say(replies::try_later(), output);
        };
        match access::decide(&self.settings, &user, &groups) {
            Ok(cause) => {
                self.tell("login", "allowed", &cause, output);
                let Some(server_final) = attempt.server_final else {
                    return self.log_in(user, output);
                };
                self.state = State::Auth(Exchange::ScramEnd(user));
                self.say(replies::challenge(server_final), output)
            }
            Err(cause) => {
                self.tell("login", "refused", &cause, output);
                let cause = cause.in_words(&self.settings);
                let reason = format!("access denied by server access settings: {cause}");
                self.login_failed(attempt.login, (LoginFault::Access, reason), output)
            }
        }
    }

    pub(super) fn log_in(&mut self, user: String, output: &mut Output) -> Step {
        output.notes.push(Note::LoggedIn { user: user.clone() });
        self.login = Some(user);
        self.login_is_due = false;
        self.say(replies::authenticated(), output)
    }

    pub(super) fn login_failed(
        &mut self,
        login: String,
        (fault, reason): (LoginFault, String),
        output: &mut Output,
    ) -> Step {
        self.failed_logins += 1;
        self.login_is_due = true;
        output.notes.push(Note::LoginFailed {
            login,
            failed: self.failed_logins,
            fault,
            reason,
        });
        if self.failed_logins >= self.settings.auth.attempts_max {
            self.state = State::Closed;
            self.say(replies::too_many_failed_logins(), output);
            return Step::Close;
        }
        self.say(replies::authentication_failed(), output)
    }

    /// The mechanism that a client wants is told, for it says what to choose on the device. What is no mechanism's
    /// name is not, for it may be the password.
    fn refuse_mechanism(&mut self, word: &[u8], output: &mut Output) -> Step {
        let name = mechanism_named(word);
        let why = match name {
            Some(name) => format!("{name} is not offered"),
            None => "what follows AUTH is no mechanism that is known".to_owned(),
        };
        let refusal = Refusal::new(Rule::Mechanism, "auth", "mechanisms", why);
        self.refuse(Subject::Mechanism(name), &refusal, output)
    }

    fn refuse_auth(&mut self, rule: Rule, cause: Cause, output: &mut Output) -> Step {
        self.tell("login", "refused", &cause, output);
        let refusal = Refusal { rule, cause };
        self.refuse(Subject::Command("AUTH"), &refusal, output)
    }
}
