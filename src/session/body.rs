//! What is known of a message's content while it comes, by DATA or in chunks.
//!
//! Promises: what is told of content does not depend on how its octets came. Holds none of them.
//! Refuses to know: replies' texts, and whose turn it is.

use crate::policy::rule::Rule;
use crate::policy::verdict::Cause;
use crate::protocol::chunk::LineEnds;
use crate::protocol::content::Inspector;
use crate::protocol::data::DataDecoder;
use crate::spool::Refusal;

/// More `Received` fields than this are a loop (RFC 5321 section 6.3).
pub(crate) const HOPS_MAX: u32 = 100;

/// What is known of the content while it comes.
#[derive(Debug, Clone, Default)]
pub(super) struct Body {
    decoder: DataDecoder,
    /// Of content that comes in chunks.
    line_ends: LineEnds,
    chunks: Chunks,
    inspector: Inspector,
    /// Octets that have come, or that chunks have announced.
    octets: u64,
    spool: Option<Refusal>,
    is_dropped: bool,
}

/// How far the chunks of a message have come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Chunks {
    /// None has come.
    #[default]
    None,
    /// The message is open.
    Open,
    /// The message is spoilt, and is dropped or was never opened.
    Spoilt(Fault),
}

/// How large the content may be, octets.
#[derive(Debug, Clone, Copy)]
pub(super) struct SizeLimits {
    /// For everybody.
    pub(super) message: u64,
    /// What the largest of the recipients' mailboxes may hold; no limit where one has none.
    pub(super) mailbox: u64,
}

/// Why the content is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    TooLarge,
    /// No recipient could ever keep it.
    LargerThanMailboxes,
    BareLineEnds,
    Nul,
    Loop,
    Spool(Refusal),
}

impl Fault {
    /// The rule behind it.
    pub(super) fn rule(self) -> Rule {
        match self {
            Self::BareLineEnds => Rule::BareLineEnds,
            Self::LargerThanMailboxes => Rule::MailboxTooSmall,
            Self::Nul => Rule::Nul,
            Self::TooLarge => Rule::MessageSize,
            Self::Loop => Rule::Loop,
            Self::Spool(Refusal::NoSpace) => Rule::SpoolFull,
            Self::Spool(Refusal::Failure) => Rule::SpoolFailure,
        }
    }

    /// The setting behind it.
    pub(super) fn cause(self) -> Option<Cause> {
        match self {
            Self::TooLarge => {
                let words = "the message is larger";
                Some(Cause::new("limits", "message_size", words))
            }
            Self::LargerThanMailboxes => {
                let words = "the message is larger than each recipient's mailbox may be";
                Some(Cause::new("delivery", "quota", words))
            }
            Self::BareLineEnds | Self::Nul | Self::Loop | Self::Spool(_) => None,
        }
    }
}

impl Body {
    /// The spool cannot take it.
    pub(super) fn spool_failed(&mut self, refusal: Refusal) {
        self.spool.get_or_insert(refusal);
    }

    /// Takes mail data; gives the octets used. All of it is looked at, whatever is wrong already: so
    /// what is told does not depend on how the octets came.
    pub(super) fn take(&mut self, input: &[u8], content: &mut Vec<u8>) -> usize {
        let from = content.len();
        let used = self.decoder.decode(input, content);
        let decoded = content.len() - from;
        self.octets += decoded as u64;
        self.inspector.look(content, from);
        used
    }

    /// A chunk of this size is to come.
    pub(super) fn announce(&mut self, octets: u64) {
        self.octets = self.octets.saturating_add(octets);
    }

    /// How many octets have come, or were announced.
    pub(super) fn octets(&self) -> u64 {
        self.octets
    }

    /// Takes octets of a chunk as they are.
    pub(super) fn take_chunk(&mut self, octets: &[u8], content: &mut Vec<u8>) {
        let from = content.len();
        content.extend_from_slice(octets);
        self.line_ends.feed(octets);
        self.inspector.look(content, from);
    }

    /// The last chunk is whole: its last line gets the end it may lack.
    pub(super) fn end_chunks(&mut self, content: &mut Vec<u8>) {
        self.line_ends.end();
        self.inspector.end(content);
        if self.line_ends.is_within_line() {
            content.extend_from_slice(b"\r\n");
        }
    }

    /// How far the chunks have come.
    pub(super) fn chunks(&self) -> Chunks {
        self.chunks
    }

    pub(super) fn set_chunks(&mut self, chunks: Chunks) {
        self.chunks = chunks;
    }

    /// Whether the content comes in chunks; then nothing but chunks belongs to the transaction.
    pub(super) fn is_chunked(&self) -> bool {
        self.chunks != Chunks::None
    }

    /// Whether the spool has a message open that only chunks can end.
    pub(super) fn has_open_message(&self) -> bool {
        self.chunks == Chunks::Open && !self.is_dropped
    }

    /// Lets `take` have input and gives the gravest fault so far; where there is one, no content of
    /// the input is left. The first time there is one nothing is taken: the message goes first, then
    /// the same input is looked at again, since its end may be in it, and the reply to that may be
    /// the session's last.
    pub(super) fn look<T>(
        &mut self,
        limits: SizeLimits,
        content: &mut Vec<u8>,
        take: impl FnOnce(&mut Self, &mut Vec<u8>) -> T,
    ) -> Result<(T, Option<Fault>), MessageGoesFirst> {
        let (before, from) = (self.clone(), content.len());
        let taken = take(self, content);
        let fault = self.fault(limits);
        if fault.is_some() {
            content.truncate(from);
            if !before.is_dropped {
                *self = Self {
                    is_dropped: true,
                    ..before
                };
                return Err(MessageGoesFirst);
            }
        }
        Ok((taken, fault))
    }

    /// Whether CRLF.CRLF has come.
    pub(super) fn is_ended(&self) -> bool {
        self.decoder.is_ended()
    }

    /// Whether a line for mboxes was removed from its beginning.
    pub(super) fn has_lost_from_line(&self) -> bool {
        self.inspector.has_lost_from_line()
    }

    /// Why the spool cannot take it.
    pub(super) fn spool_refusal(&self) -> Option<Refusal> {
        self.spool
    }

    /// The gravest fault so far. What no retry can mend comes first.
    pub(super) fn fault(&self, limits: SizeLimits) -> Option<Fault> {
        if self.octets > limits.message {
            Some(Fault::TooLarge)
        } else if self.octets > limits.mailbox {
            Some(Fault::LargerThanMailboxes)
        } else if self.decoder.has_bare_cr_or_lf() || self.line_ends.has_bare_cr_or_lf() {
            Some(Fault::BareLineEnds)
        } else if self.inspector.has_nul() {
            Some(Fault::Nul)
        } else if self.inspector.hops() > HOPS_MAX {
            Some(Fault::Loop)
        } else {
            self.spool.map(Fault::Spool)
        }
    }
}

/// The content is not accepted any more: `Effect::DropMessage` is due.
pub(super) struct MessageGoesFirst;
