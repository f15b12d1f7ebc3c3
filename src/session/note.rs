//! What a session wants the log to know.

use crate::mail::MessageId;
use crate::policy::rule::Rule;
use crate::protocol::line::LineError;
use crate::protocol::reply::Reply;

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
        /// The rule of that list.
        rule: Rule,
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
    /// A reply of class 4yz or 5yz was said; what it is about was noted before, where anything was.
    Said(Reply),
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
        /// Whose doing it is.
        fault: LoginFault,
        /// Why.
        reason: String,
    },
    /// A login was not looked at, because too many have failed.
    LoginTurnedAway {
        /// The login as it was given.
        login: String,
    },
    /// The content of this message began with a line for mboxes, which was removed.
    FromLineRemoved(MessageId),
    /// The client named somebody whom nobody knows here.
    UnknownName,
    /// The users file could not be read for a login.
    LoginUnavailable,
    /// A part of the dialogue, where it is told.
    Dialogue(Told),
}

/// A part of the dialogue, as far as it may be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The client said a line that was taken for a command.
    Command {
        /// The line or its verb, perhaps cut; empty where it may be a password.
        shown: Vec<u8>,
        /// What it wants to log in by, where that is known.
        mechanism: Option<&'static str>,
        /// How many octets are not shown.
        withheld: usize,
    },
    /// The client said a line within AUTH.
    Response {
        /// How long it is.
        octets: usize,
    },
    /// Mail data came to its end, or a chunk did.
    MailData {
        /// How much came.
        octets: u64,
    },
    /// We said this, lines between slashes.
    Reply(String),
}

/// Something that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What.
    pub what: Subject,
    /// The reply's code.
    pub reply: u16,
    /// By which rule.
    pub rule: Rule,
    /// The setting that made it so, where one did.
    pub cause: Option<String>,
}

/// Whose doing a failed login is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginFault {
    /// The password is wrong, or there is no such user.
    Password,
    /// The password is right, and server access keeps the user out.
    Access,
    /// Somebody may have changed what was said in between.
    Downgraded,
}

/// What was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The client, by the first line.
    Client,
    /// A command.
    Command(&'static str),
    /// AUTH by a mechanism of this name; none where what follows AUTH is no name that is known.
    Mechanism(Option<&'static str>),
    /// A sender, by its reverse-path; none where it was not yet looked at.
    Sender(Option<String>),
    /// A recipient, by its forward-path.
    Recipient(String),
    /// A message after its content, by its reverse-path.
    Message(String),
}
