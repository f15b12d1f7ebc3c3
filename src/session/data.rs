//! DATA and mail data (RFC 5321 section 4.1.1.4).
//!
//! Content streams to the spool as it comes. As soon as it cannot be accepted any more the message
//! is dropped, once, and the rest is swallowed to its end, where the reply says why.

use std::time::SystemTime;

use super::note::Subject;
use super::{Due, Effect, Output, Session, State, Step, replies};
use crate::config::rules::Action;
use crate::mail::trace::Received;
use crate::mail::{MessageId, date};
use crate::policy::verdict::Cause;
use crate::protocol::data::{DataDecoder, HopCounter};
use crate::protocol::reply::Reply;
use crate::spool::{Committed, Refusal};

/// More `Received` fields than this are a loop (RFC 5321 section 6.3).
const HOPS_MAX: u32 = 100;

/// What is known of the content while it comes.
#[derive(Debug, Clone, Default)]
pub(super) struct Body {
    decoder: DataDecoder,
    hops: HopCounter,
    octets: u64,
    spool: Option<Refusal>,
    is_dropped: bool,
}

/// Why the content is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    TooLarge,
    BareLineEnds,
    Loop,
    Spool(Refusal),
}

impl Fault {
    fn reply(self) -> (Reply, &'static str) {
        match self {
            Self::BareLineEnds => (replies::bare_line_ends(), "bare_line_ends"),
            Self::TooLarge => (replies::too_large(), "size"),
            Self::Loop => (replies::too_many_hops(), "loop"),
            Self::Spool(refusal) => (replies::refused(refusal), "spool"),
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
    fn take(&mut self, input: &[u8], content: &mut Vec<u8>) -> usize {
        let from = content.len();
        let used = self.decoder.decode(input, content);
        let decoded = content.get(from..).unwrap_or_default();
        self.octets += decoded.len() as u64;
        self.hops.feed(decoded);
        used
    }

    /// The gravest fault so far. What no retry can mend comes first.
    fn fault(&self, limit: u64) -> Option<Fault> {
        if self.octets > limit {
            Some(Fault::TooLarge)
        } else if self.decoder.has_bare_cr_or_lf() {
            Some(Fault::BareLineEnds)
        } else if self.hops.hops() > HOPS_MAX {
            Some(Fault::Loop)
        } else {
            self.spool.map(Fault::Spool)
        }
    }
}

impl Session {
    pub(super) fn data(&mut self, arguments: &[u8], output: &mut Output) -> Step {
        let ready = self
            .transaction
            .as_ref()
            .filter(|t| !t.envelope.recipients.is_empty());
        let Some(transaction) = ready else {
            return self.say(replies::bad_sequence(), output);
        };
        if !arguments.is_empty() {
            return self.say(replies::bad_arguments(), output);
        }
        let envelope = Box::new(transaction.envelope.clone());
        self.perform(Due::Opened, Effect::OpenMessage(envelope))
    }

    pub(super) fn opened(
        &mut self,
        opened: Result<MessageId, Refusal>,
        now: SystemTime,
        output: &mut Output,
    ) -> Step {
        match opened {
            Ok(id) => {
                let fields = self.trace_fields(id, now);
                output.content.extend_from_slice(fields.as_bytes());
                self.state = State::Data;
                self.say(replies::start_mail_data(), output)
            }
            Err(refusal) => {
                self.transaction = None;
                self.say(replies::refused(refusal), output)
            }
        }
    }

    /// `Received`, and a field for each list that tags the client.
    pub(super) fn trace_fields(&self, id: MessageId, now: SystemTime) -> String {
        let mut fields = self.received_field(id, now);
        for mark in self.marks.iter().filter(|mark| mark.action == Action::Tag) {
            fields.push_str(&format!("{}: {}\r\n", mark.field, mark.value));
        }
        fields
    }

    fn received_field(&self, id: MessageId, now: SystemTime) -> String {
        let date = date::rfc5322(now);
        let hello = self.hello.as_ref();
        let envelope = self
            .transaction
            .as_ref()
            .map(|transaction| &transaction.envelope);
        let recipient = envelope.and_then(|envelope| match envelope.recipients.as_slice() {
            [one] => Some(&one.forward_path),
            _ => None,
        });
        let received = Received {
            helo: hello.map_or("unknown", |hello| &hello.name),
            extended: hello.is_some_and(|hello| hello.extended),
            client: self.client.ip(),
            by: &self.settings.hostname,
            tls: self.tls,
            authenticated: self.login.is_some(),
            smtputf8: envelope.is_some_and(|envelope| envelope.smtputf8),
            id,
            recipient,
            date: &date,
        };
        received.to_field()
    }

    pub(super) fn receive_data(&mut self, input: &[u8], output: &mut Output) -> (usize, Step) {
        let limit = self.settings.limits.message_size;
        let Some(transaction) = self.transaction.as_mut() else {
            unreachable!("mail data without a transaction");
        };
        let body = &mut transaction.body;
        let before = body.clone();
        let from = output.content.len();
        let used = body.take(input, &mut output.content);
        let is_ended = body.decoder.is_ended();
        let Some(fault) = body.fault(limit) else {
            if !is_ended {
                return (used, Step::Receive);
            }
            self.commands_completed += 1;
            return (used, self.perform(Due::Committed, Effect::CommitMessage));
        };
        output.content.truncate(from);
        if !before.is_dropped {
            // The message goes first, then the same input is looked at again: its end may be in it,
            // and the reply to that may be the session's last.
            *body = Body {
                is_dropped: true,
                ..before
            };
            return (0, Step::Perform(Effect::DropMessage));
        }
        if !is_ended {
            return (used, Step::Receive);
        }
        (used, self.refuse_message(fault, output))
    }

    /// The end of mail data that is not accepted.
    fn refuse_message(&mut self, fault: Fault, output: &mut Output) -> Step {
        self.commands_completed += 1;
        self.state = State::Command;
        let (reply, reason) = fault.reply();
        let cause = (fault == Fault::TooLarge)
            .then(|| Cause::new("limits", "message_size", "the message is larger"));
        self.note_refused_message(&reply, reason, cause.as_ref(), output);
        self.transaction = None;
        let reply = match &cause {
            Some(cause) => self.explained(reply, cause),
            None => reply,
        };
        self.say(reply, output)
    }

    pub(super) fn committed(
        &mut self,
        result: Result<Committed, Refusal>,
        output: &mut Output,
    ) -> Step {
        // The spool may have failed at the very last of the content; it knows best why.
        let failed = self.transaction.as_ref().and_then(|t| t.body.spool);
        let result = result.map_err(|refusal| failed.unwrap_or(refusal));
        let reply = match &result {
            Ok(committed) => replies::queued(committed),
            Err(refusal) => replies::refused(*refusal),
        };
        if result.is_err() {
            self.note_refused_message(&reply, "spool", None, output);
        }
        self.transaction = None;
        self.say(reply, output)
    }

    fn note_refused_message(
        &self,
        reply: &Reply,
        reason: &'static str,
        cause: Option<&Cause>,
        output: &mut Output,
    ) {
        let from = self.transaction.as_ref();
        let from = from.map(|transaction| transaction.envelope.reverse_path.to_string());
        let from = from.unwrap_or_default();
        let what = Subject::Message(from);
        self.note_refused(what, reply.code(), (reason, cause), output);
    }
}
