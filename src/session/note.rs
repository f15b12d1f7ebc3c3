//! What a session wants the log to know.

use crate::protocol::line::LineError;

/// One thing for the log. The caller adds which session it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A TLS hello came on a port that speaks plain text first.
    TlsOnPlainPort,
    /// The peer speaks HTTP.
    OtherProtocol,
    /// A command line that is none.
    BadLine(LineError),
    /// The session ended by `error_limit`.
    TooManyErrors,
    /// A list names the client, and it was let in all the same.
    Listed {
        /// `blacklist` or `dnsbl`.
        list: &'static str,
        /// The list's setting.
        cause: String,
    },
    /// A verdict, where every one is to be told.
    Decided {
        /// What was decided about.
        step: &'static str,
        /// `allowed`, `refused` or `deferred`.
        verdict: &'static str,
        /// The setting that made it so.
        cause: String,
    },
    /// Something was refused.
    Refused(Refused),
    /// A login succeeded.
    LoggedIn {
        /// The user.
        user: String,
    },
    /// A login failed.
    LoginFailed {
        /// The login as it was given.
        login: String,
        /// How many have failed in this session.
        failed: u32,
        /// Why.
        reason: String,
    },
    /// A login was not looked at, because too many have failed.
    LoginTurnedAway {
        /// The login as it was given.
        login: String,
    },
    /// The users file could not be read for a login.
    LoginUnavailable,
}

/// Something that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What.
    pub what: Subject,
    /// The reply's code.
    pub reply: u16,
    /// Why, in one word.
    pub reason: &'static str,
    /// The setting that made it so, where one did.
    pub cause: Option<String>,
}

/// What was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The client, by the first line.
    Client,
    /// A command.
    Command(&'static str),
    /// A sender, by its reverse-path; none where it was not yet looked at.
    Sender(Option<String>),
    /// A recipient, by its forward-path.
    Recipient(String),
    /// A message after its content, by its reverse-path.
    Message(String),
}
