//! What passes between a session and its caller: what it begins with, wants, is answered, puts out.

use std::net::SocketAddr;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::Note;
use crate::config::settings::Settings;
use crate::directory::scram::ScramLookup;
use crate::directory::{Expansion, LoginOutcome, Lookup};
use crate::mail::fullness::Fullness;
use crate::mail::memory::Budget;
use crate::mail::{ForwardPath, Mailbox, MessageId, OpenEnvelope, TlsFacts};
use crate::policy::facts::{Finding, Question};
use crate::policy::unknown::Unknown;
use crate::protocol::scram::{ChannelBindings, SERVER_NONCE_OCTETS};
use crate::spool::{Committed, Refusal};

/// What the session wants next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// More input.
    Receive,
    /// The caller does this and calls [`Session::answer`](super::Session::answer).
    Perform(Effect),
    /// Send what was said, then close.
    Close,
}

/// Something only the world outside can do.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Throw away input that is already here, send what was said, do the handshake. Answered by
    /// [`Answer::TlsStarted`].
    StartTls,
    /// Ask whether the spool has room for this many octets. Answered by [`Answer::Space`].
    CheckSpace(u64),
    /// Ask whether this login may be looked at; the answer comes after a while where many failed. Answered
    /// by [`Answer::Paced`].
    PaceLogin(String),
    /// Check a login. Answered by [`Answer::Login`].
    CheckLogin(Credentials),
    /// Look up what SCRAM needs of a login, and draw a nonce. Answered by [`Answer::ScramKeys`].
    FindScramKeys(String),
    /// Ask how many unknown recipients the client has named. Answered by [`Answer::Unknown`].
    CountUnknown,
    /// Let the client wait, because it has named many. Answered by [`Answer::Unknown`], as it is then.
    WaitForUnknown,
    /// Find a recipient in a local domain. Answered by [`Answer::Recipient`].
    FindRecipient(ForwardPath),
    /// Find out how full the mailboxes of these users are. Answered by [`Answer::Measured`].
    MeasureMailboxes(Vec<String>),
    /// Ask DNS. Answered by [`Answer::LookedUp`].
    LookUp(Question),
    /// Find out which groups a user belongs to. Answered by [`Answer::Groups`].
    FindGroups(String),
    /// Find out whether a login may send as an address. Answered by [`Answer::Owned`].
    CheckOwner {
        /// The user.
        user: String,
        /// The sender.
        sender: Mailbox,
    },
    /// Find the members of a list in a local domain. Answered by [`Answer::Expanded`].
    ExpandName(ForwardPath),
    /// Open a message in the spool; content follows. Answered by [`Answer::Opened`].
    OpenMessage(Box<OpenEnvelope>),
    /// The content is whole: make it durable. Answered by [`Answer::Committed`].
    CommitMessage,
    /// Forget the open message. Not answered: the session goes on at once.
    DropMessage,
}

/// A name and a password, wiped when dropped.
#[derive(PartialEq, Eq)]
pub struct Credentials {
    /// The login as the client gave it.
    pub login: String,
    /// The password.
    pub password: Zeroizing<Vec<u8>>,
}

/// Never prints the password.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("login", &self.login)
            .finish_non_exhaustive()
    }
}

/// The outcome of an [`Effect`].
#[derive(Debug)]
pub enum Answer {
    /// TLS is up, and this is what it can be bound to.
    TlsStarted(TlsFacts, ChannelBindings),
    /// Whether there is room.
    Space(Result<(), Refusal>),
    /// Whether the login may be looked at.
    Paced(Paced),
    /// The login's outcome.
    Login(LoginOutcome),
    /// The login's keys, and random octets no other exchange has.
    ScramKeys(ScramLookup, [u8; SERVER_NONCE_OCTETS]),
    /// How many unknown recipients the client has named.
    Unknown(Unknown),
    /// The recipient's outcome.
    Recipient(Lookup),
    /// How full the mailboxes are that have a quota.
    Measured(Vec<Fullness>),
    /// What DNS said.
    LookedUp(Finding),
    /// The groups the user belongs to; none where the directory cannot be read.
    Groups(Option<Vec<String>>),
    /// Whether the sender belongs to the login; none where the directory cannot be read.
    Owned(Option<bool>),
    /// The members, or why there are none.
    Expanded(Expansion),
    /// The message is open under this id, or is not.
    Opened(Result<MessageId, Refusal>),
    /// The message is durable, or is not.
    Committed(Result<Committed, Refusal>),
}

/// Whether a login may be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paced {
    /// It may, now.
    Proceed,
    /// Not for a while: too many have failed.
    TurnAway,
}

/// Why a session ends that did not end itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// The client was silent too long.
    Timeout,
    /// The service goes down.
    ShuttingDown,
    /// The operator ends it.
    Operator,
}

/// What a session puts out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Octets for the client.
    pub wire: Vec<u8>,
    /// Content for the open message.
    pub content: Vec<u8>,
    /// What the log should know.
    pub notes: Vec<Note>,
}

/// What a session begins with.
#[derive(Debug)]
pub struct SessionStart {
    /// The settings it keeps.
    pub settings: Arc<Settings>,
    /// Index of its port in the settings.
    pub port: usize,
    /// The client.
    pub client: SocketAddr,
    /// Our end.
    pub local: SocketAddr,
    /// What is noted of verdicts.
    pub telling: Telling,
    /// The memory that the envelopes of all sessions share.
    pub memory: Arc<Budget>,
}

/// What a session notes of the verdicts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    /// The refusals.
    Refusals,
    /// The refusals, and the dialogue by [`Note::Dialogue`].
    Dialogue,
    /// Every verdict, by [`Note::Decided`].
    Everything,
}

/// What is told of a session at its end.
#[derive(Debug)]
pub struct SessionFacts<'a> {
    /// The name the client gave at EHLO or HELO.
    pub helo: Option<&'a str>,
    /// The user it has logged in as.
    pub login: Option<&'a str>,
    /// The mechanism of the last login that was tried.
    pub mechanism: Option<&'static str>,
    /// Replies of class 5yz.
    pub errors: u32,
}
