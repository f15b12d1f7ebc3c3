//! BDAT (RFC 3030 section 2): content in chunks of a size told before.
//!
//! | the chunk is | its octets | the reply, after them |
//! | --- | --- | --- |
//! | one of a good message | go to the spool as they are | `250 N octets received` |
//! | the last of a good message | the same | that of the commit |
//! | the one that spoils its message | swallowed; the message is dropped | why |
//! | a later one of a spoilt message | swallowed | the same again |
//! | out of order | swallowed | 503 |
//! | of a size that cannot be read | not looked at | 501, and the session ends |
//!
//! Promises: where CHUNKING is offered, the octets of a chunk are never taken for commands. Where it is switched off, or TLS has to come first, it is not listed, and BDAT
//! is refused at once as any command is. What is over the limit by its size is never stored. A spoilt
//! message stays one until its last chunk, RSET, EHLO or HELO; until then its transaction takes no
//! other command. The line end that a message may lack behind its last octet is added, since every
//! place it goes to ends messages with a line end. Memory does not depend on sizes.
//!
//! A failure of the spool at one chunk may be told at the next, at the last one at the latest.

use std::time::SystemTime;

use super::body::{Chunks, Fault};
use super::{Due, Effect, Output, Session, State, Step, replies};
use crate::mail::MessageId;
use crate::protocol::chunk::ChunkSize;
use crate::protocol::reply::Reply;
use crate::spool::Refusal;

/// A chunk whose octets are coming.
pub(super) struct Incoming {
    size: ChunkSize,
    /// Octets still to come.
    left: u64,
    /// Set where the octets are swallowed: what is said after them.
    refusal: Option<Box<Reply>>,
}

impl Session {
    /// The size is read before the sequence is checked: without it the octets could not be told from
    /// commands.
    pub(super) fn bdat(&mut self, arguments: &[u8], output: &mut Output) -> Step {
        if !self.settings.extensions.chunking {
            return self.say(replies::not_available(), output);
        }
        let Some(size) = ChunkSize::parse(arguments) else {
            return self.end_at_unreadable_size(output);
        };
        let limits = self.size_limits();
        let open = self.transaction.as_mut();
        let Some(transaction) = open.filter(|t| !t.envelope.accepted().is_empty()) else {
            return self.swallow(size, replies::bad_sequence(), output);
        };
        let body = &mut transaction.body;
        body.announce(size.octets);
        match (body.chunks(), body.fault(limits)) {
            (Chunks::Spoilt(fault), _) => self.swallow(size, self.fault_reply(fault), output),
            (Chunks::None, Some(fault)) => self.spoil(size, fault, output),
            (Chunks::Open, Some(fault)) => drop_message_after(self.spoil(size, fault, output)),
            (Chunks::None, None) => {
                let envelope = Box::new(transaction.envelope.clone());
                self.perform(Due::ChunkOpened(size), Effect::OpenMessage(envelope))
            }
            (Chunks::Open, None) => self.begin_chunk(size, output),
        }
    }

    /// Octets of unknown number follow, which must not be taken for commands: the session ends.
    fn end_at_unreadable_size(&mut self, output: &mut Output) -> Step {
        let step = self.say_then(replies::bad_arguments(), Step::Close, output);
        self.state = State::Closed;
        step
    }

    /// The message of the first chunk is open, or is not.
    pub(super) fn chunk_opened(
        &mut self,
        size: ChunkSize,
        opened: Result<MessageId, Refusal>,
        now: SystemTime,
        output: &mut Output,
    ) -> Step {
        let id = match opened {
            Ok(id) => id,
            Err(refusal) => return self.spoil(size, Fault::Spool(refusal), output),
        };
        let fields = self.trace_fields(id, now);
        output.content.extend_from_slice(fields.as_bytes());
        self.set_chunks(Chunks::Open);
        self.begin_chunk(size, output)
    }

    fn begin_chunk(&mut self, size: ChunkSize, output: &mut Output) -> Step {
        self.state = State::Chunk(Incoming {
            size,
            left: size.octets,
            refusal: None,
        });
        if size.octets > 0 {
            return Step::Receive;
        }
        // There may be no input to come back with, so its end is looked at now.
        match self.receive_chunk(b"", output) {
            (_, Step::Perform(Effect::DropMessage)) => {
                drop_message_after(self.receive_chunk(b"", output).1)
            }
            (_, step) => step,
        }
    }

    /// The message is spoilt before the octets of this chunk.
    fn spoil(&mut self, size: ChunkSize, fault: Fault, output: &mut Output) -> Step {
        let reply = self.note_spoilt(fault, output);
        self.swallow(size, reply, output)
    }

    fn note_spoilt(&mut self, fault: Fault, output: &mut Output) -> Reply {
        let reply = self.refusal(fault, output);
        self.set_chunks(Chunks::Spoilt(fault));
        reply
    }

    fn set_chunks(&mut self, chunks: Chunks) {
        if let Some(transaction) = self.transaction.as_mut() {
            transaction.body.set_chunks(chunks);
        }
    }

    fn swallow(&mut self, size: ChunkSize, refusal: Reply, output: &mut Output) -> Step {
        if size.octets == 0 {
            return self.end_refused_chunk(size, refusal, output);
        }
        self.state = State::Chunk(Incoming {
            size,
            left: size.octets,
            refusal: Some(Box::new(refusal)),
        });
        Step::Receive
    }

    pub(super) fn receive_chunk(&mut self, input: &[u8], output: &mut Output) -> (usize, Step) {
        let limits = self.size_limits();
        let State::Chunk(incoming) = &mut self.state else {
            unreachable!("a chunk's octets without a chunk");
        };
        let (size, left) = (incoming.size, incoming.left);
        let here = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
        let part = input.get(..here).unwrap_or_default();
        let is_end = part.len() as u64 == left;
        if let Some(refusal) = &mut incoming.refusal {
            incoming.left -= part.len() as u64;
            if !is_end {
                return (part.len(), Step::Receive);
            }
            let refusal = std::mem::replace(&mut **refusal, replies::bad_sequence());
            self.tell_mail_data(size.octets, output);
            return (part.len(), self.end_refused_chunk(size, refusal, output));
        }
        let Some(transaction) = self.transaction.as_mut() else {
            unreachable!("a chunk without a transaction");
        };
        let is_whole = is_end && size.is_last;
        let looked = transaction
            .body
            .look(limits, &mut output.content, |body, content| {
                body.take_chunk(part, content);
                if is_whole {
                    body.end_chunks(content);
                }
            });
        let Ok(((), fault)) = looked else {
            return (0, Step::Perform(Effect::DropMessage));
        };
        incoming.left -= part.len() as u64;
        if !is_end {
            return (part.len(), Step::Receive);
        }
        self.tell_mail_data(size.octets, output);
        (part.len(), self.end_chunk(size, fault, output))
    }

    fn end_chunk(&mut self, size: ChunkSize, fault: Option<Fault>, output: &mut Output) -> Step {
        if let Some(fault) = fault {
            let reply = self.note_spoilt(fault, output);
            return self.end_refused_chunk(size, reply, output);
        }
        self.commands_completed += 1;
        if size.is_last {
            return self.perform(Due::Committed, Effect::CommitMessage);
        }
        self.state = State::Command;
        self.say(replies::chunk_received(size.octets), output)
    }

    /// The last chunk of a spoilt message ends its transaction.
    fn end_refused_chunk(&mut self, size: ChunkSize, reply: Reply, output: &mut Output) -> Step {
        self.commands_completed += 1;
        self.state = State::Command;
        let open = self.transaction.as_ref();
        let is_spoilt = open.is_some_and(|t| matches!(t.body.chunks(), Chunks::Spoilt(_)));
        if size.is_last && is_spoilt {
            self.transaction = None;
        }
        self.say(reply, output)
    }
}

/// The message goes once the reply is said; where that was the session's last, the session's end
/// takes it along.
fn drop_message_after(step: Step) -> Step {
    match step {
        Step::Receive => Step::Perform(Effect::DropMessage),
        end @ (Step::Close | Step::Perform(_)) => end,
    }
}
