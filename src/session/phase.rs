//! How far a session is, for the operator.

use super::{Session, State};

/// How far a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Greeted, before EHLO or HELO.
    Greeting,
    /// Between commands, or inside one.
    Command,
    /// In a login exchange.
    Auth,
    /// In mail data, or between two chunks of it.
    MailData,
    /// The answer to an effect is due.
    Waiting,
    /// Refused at the first line, and still there.
    TurnedAway,
    /// Over.
    Closed,
}

impl Phase {
    /// The phase in one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Greeting => "greeting",
            Self::Command => "command",
            Self::Auth => "auth",
            Self::MailData => "mail-data",
            Self::Waiting => "waiting",
            Self::TurnedAway => "turned-away",
            Self::Closed => "closing",
        }
    }
}

impl Session {
    /// How far it is.
    pub fn phase(&self) -> Phase {
        match &self.state {
            State::Command if self.hello.is_none() => Phase::Greeting,
            State::Command if self.has_begun_message() => Phase::MailData,
            State::Command => Phase::Command,
            State::Auth(_) => Phase::Auth,
            State::Data | State::Chunk(_) => Phase::MailData,
            State::Waiting(_) => Phase::Waiting,
            State::TurnedAway => Phase::TurnedAway,
            State::Closed => Phase::Closed,
        }
    }
}
