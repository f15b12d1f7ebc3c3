//! The write-ahead log; the only maker of a [`Committed`].

use std::fmt;

use crate::mail::MessageId;

/// Proof that a message is durable. Only the spool can make one, after the sync.
#[derive(Debug)]
pub struct Committed {
    id: MessageId,
}

impl Committed {
    /// The id of the message.
    pub fn id(&self) -> MessageId {
        self.id
    }
}

/// Why the spool does not take a message, in the two kinds a peer may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No space: `452 4.3.1`.
    NoSpace,
    /// Anything else: `451 4.3.0`.
    Failure,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::NoSpace => "no space",
            Refusal::Failure => "failure",
        })
    }
}
