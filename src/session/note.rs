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
    },
    /// The users file could not be read for a login.
    LoginUnavailable,
    /// A recipient was refused.
    RecipientRefused {
        /// The forward-path.
        to: String,
        /// The reply's code.
        reply: u16,
        /// Why.
        reason: &'static str,
    },
    /// A message was refused after its content.
    MessageRefused {
        /// The reverse-path.
        from: String,
        /// The reply's code.
        reply: u16,
        /// Why.
        reason: &'static str,
    },
    /// A sender was refused.
    SenderRefused {
        /// The reply's code.
        reply: u16,
        /// Why.
        reason: &'static str,
    },
}
