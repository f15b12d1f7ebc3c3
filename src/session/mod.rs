//! The SMTP session, sans-IO: octets and events in, replies and effects out.
//!
//! The caller (the server's driver) performs each [`Effect`] and hands its outcome back by
//! [`Answer`]; while one is due the session takes no input.

use zeroize::Zeroizing;

use crate::directory::{LoginOutcome, Lookup};
use crate::mail::{Envelope, ForwardPath, MessageId, TlsFacts};
use crate::spool::{Committed, Refusal};

/// What the session wants next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// More input.
    Receive,
    /// The caller does this and calls `Session::answer`.
    Perform(Effect),
    /// Send what was said, then close.
    Close,
}

/// Something only the world outside can do.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send what was said in plain text, throw away input that is already here, do the handshake.
    /// Answered by [`Answer::TlsStarted`].
    StartTls,
    /// Ask whether the spool has room for this many octets. Answered by [`Answer::Space`].
    CheckSpace(u64),
    /// Check a login. Answered by [`Answer::Login`].
    CheckLogin(Credentials),
    /// Find a recipient in a local domain. Answered by [`Answer::Recipient`].
    FindRecipient(ForwardPath),
    /// Open a message in the spool; content follows. Answered by [`Answer::Opened`].
    OpenMessage(Box<Envelope>),
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
    /// TLS is up.
    TlsStarted(TlsFacts),
    /// Whether there is room.
    Space(Result<(), Refusal>),
    /// The login's outcome.
    Login(LoginOutcome),
    /// The recipient's outcome.
    Recipient(Lookup),
    /// The message is open under this id, or is not.
    Opened(Result<MessageId, Refusal>),
    /// The message is durable, or is not.
    Committed(Result<Committed, Refusal>),
}
