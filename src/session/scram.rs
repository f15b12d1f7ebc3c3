//! AUTH by SCRAM (RFC 5802, RFC 7677): which of it is offered, and its way through the session.
//!
//! | client | session | server |
//! | --- | --- | --- |
//! | client-first | asks for the login's keys and a nonce | 334 server-first |
//! | client-final | waits its time, judges it like a password, see `auth` | 334 server-final, or 535 instead |
//! | empty line | – | 235 |
//!
//! A login that is refused for any reason never hears the server-final-message: it would say that the
//! password was right. `scram-sha-256-plus` is offered inside TLS only, where there is something to bind to.

use super::auth::{Attempt, Unseen};
use super::note::LoginFault;
use super::{Due, Effect, Note, Output, Session, State, Step, replies};
use crate::config::settings::Mechanism;
use crate::directory::LoginOutcome;
use crate::directory::scram::{ScramLogin, ScramLookup};
use crate::protocol::sasl::{Exchange, ScramNext};
use crate::protocol::scram::{ChannelBindings, ClientFirst, Offer, SERVER_NONCE_OCTETS};

/// What an exchange came to, which is told once the login's time has come.
pub(super) struct Judged {
    /// The login as the client gave it.
    pub(super) login: String,
    outcome: Outcome,
}

enum Outcome {
    Proven { user: String, server_final: String },
    Refused,
    Downgraded,
}

impl Session {
    /// The mechanisms that are offered now, in the operator's order.
    pub(super) fn mechanisms(&self) -> impl Iterator<Item = Mechanism> {
        let can_bind = self.channel_bindings().is_some();
        let configured = self.settings.auth.mechanisms.iter().copied();
        configured.filter(move |mechanism| match mechanism {
            Mechanism::ScramSha256Plus => can_bind,
            Mechanism::ScramSha256 | Mechanism::Plain | Mechanism::Login => true,
        })
    }

    fn channel_bindings(&self) -> Option<&ChannelBindings> {
        let bindings = self.bindings.as_deref();
        bindings.filter(|bindings| !bindings.is_empty())
    }

    /// The exchange of SCRAM-SHA-256-PLUS.
    pub(super) fn scram_bound(&self) -> Exchange {
        let bindings = self.channel_bindings().cloned().unwrap_or_default();
        Exchange::ScramFirst(Box::new(Offer::Chosen(bindings)))
    }

    /// The exchange of SCRAM-SHA-256.
    pub(super) fn scram_unbound(&self) -> Exchange {
        let is_passed_over = self
            .mechanisms()
            .any(|mechanism| mechanism == Mechanism::ScramSha256Plus);
        let offer = match is_passed_over {
            true => Offer::PassedOver,
            false => Offer::Absent,
        };
        Exchange::ScramFirst(Box::new(offer))
    }

    /// What the client's message came to.
    pub(super) fn scram_goes_on(&mut self, next: ScramNext, output: &mut Output) -> Step {
        match next {
            ScramNext::Keys(client) => {
                let login = client.login().to_owned();
                self.perform(Due::ScramKeys(client), Effect::FindScramKeys(login))
            }
            ScramNext::Proven {
                user,
                login,
                server_final,
            } => self.scram_over(login, Outcome::Proven { user, server_final }),
            ScramNext::Refused(login) => self.scram_over(login, Outcome::Refused),
            ScramNext::Downgraded(login) => self.scram_over(login, Outcome::Downgraded),
            ScramNext::Ended(user) => self.log_in(user, output),
        }
    }

    fn scram_over(&mut self, login: String, outcome: Outcome) -> Step {
        self.ask_for_pace(Unseen::Scram(Judged { login, outcome }))
    }

    /// The time has come to say what the exchange came to.
    pub(super) fn scram_judged(&mut self, judged: Judged, output: &mut Output) -> Step {
        let Judged { login, outcome } = judged;
        match outcome {
            Outcome::Proven { user, server_final } => {
                let server_final = Some(server_final);
                let attempt = Attempt {
                    login,
                    server_final,
                };
                self.logged_in(attempt, LoginOutcome::Accepted(user), output)
            }
            Outcome::Refused => self.logged_in(Attempt::new(login), LoginOutcome::Refused, output),
            Outcome::Downgraded => {
                let why = (LoginFault::Downgraded, DOWNGRADED.to_owned());
                self.login_failed(login, why, output)
            }
        }
    }

    /// The login's keys are here, or such as nobody has.
    pub(super) fn scram_keys(
        &mut self,
        client: ClientFirst,
        lookup: ScramLookup,
        nonce: &[u8; SERVER_NONCE_OCTETS],
        output: &mut Output,
    ) -> Step {
        match lookup {
            ScramLookup::Found(ScramLogin { user, keys }) => {
                let server = client.challenge(keys, nonce);
                let (challenge, exchange) = Exchange::scram_challenge(server, user);
                self.state = State::Auth(exchange);
                self.say(replies::challenge(challenge), output)
            }
            ScramLookup::Unavailable => {
                output.notes.push(Note::LoginUnavailable);
                self.say(replies::try_later(), output)
            }
        }
    }
}

/// Somebody in the middle can take -PLUS out of EHLO's reply, but cannot take this out of the client's
/// words.
const DOWNGRADED: &str = "the client was told that SCRAM-SHA-256-PLUS is not offered, which it is: \
                          somebody may have changed the reply to its EHLO";
