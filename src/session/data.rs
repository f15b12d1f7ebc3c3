//! DATA and mail data (RFC 5321 section 4.1.1.4).
//!
//! Content streams to the spool as it comes. As soon as it cannot be accepted any more the message
//! is dropped, once, and the rest is swallowed to its end, where the reply says why.

use std::time::SystemTime;

use super::body::{Fault, SizeLimits};
use super::note::{Note, Subject};
use super::{Due, Effect, Output, Session, State, Step, replies};
use crate::config::rules::Action;
use crate::mail::trace::Received;
use crate::mail::{MessageId, date};
use crate::protocol::reply::Reply;
use crate::spool::{Committed, Refusal};

impl Session {
    pub(super) fn data(&mut self, arguments: &[u8], output: &mut Output) -> Step {
        let ready = self
            .transaction
            .as_ref()
            .filter(|t| !t.envelope.accepted().is_empty() && !t.body.is_chunked());
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
                let reply = self.fault_reply(Fault::Spool(refusal));
                self.transaction = None;
                self.say(reply, output)
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
        // A group's name would tell its members of each other.
        let recipient = envelope.and_then(|envelope| match envelope.accepted() {
            [one] if one.targets.len() == 1 => Some(&one.forward_path),
            _ => None,
        });
        let received = Received {
            helo: hello.map_or("unknown", |hello| &hello.name),
            extended: hello.is_some_and(|hello| hello.extended),
            client: self.client.ip(),
            by: &self.settings.hostname,
            tls: self.tls,
            authenticated: self.login.is_some(),
            smtputf8: envelope.is_some_and(|envelope| envelope.head().smtputf8),
            id,
            recipient,
            date: &date,
        };
        received.to_field()
    }

    pub(super) fn receive_data(&mut self, input: &[u8], output: &mut Output) -> (usize, Step) {
        let limits = self.size_limits();
        let Some(transaction) = self.transaction.as_mut() else {
            unreachable!("mail data without a transaction");
        };
        let body = &mut transaction.body;
        let looked = body.look(limits, &mut output.content, |body, content| {
            body.take(input, content)
        });
        let (is_ended, octets) = (body.is_ended(), body.octets());
        let Ok((used, fault)) = looked else {
            return (0, Step::Perform(Effect::DropMessage));
        };
        if !is_ended {
            return (used, Step::Receive);
        }
        self.tell_mail_data(octets, output);
        let step = match fault {
            Some(fault) => self.refuse_message(fault, output),
            None => {
                self.commands_completed += 1;
                self.perform(Due::Committed, Effect::CommitMessage)
            }
        };
        (used, step)
    }

    /// How large the content of the open transaction may be.
    pub(super) fn size_limits(&self) -> SizeLimits {
        let open = self.transaction.as_ref();
        SizeLimits {
            message: self.settings.limits.message_size,
            mailbox: open.map_or(u64::MAX, |transaction| transaction.mailbox_max),
        }
    }

    /// The end of mail data that is not accepted.
    fn refuse_message(&mut self, fault: Fault, output: &mut Output) -> Step {
        self.commands_completed += 1;
        self.state = State::Command;
        let reply = self.refusal(fault, output);
        self.transaction = None;
        self.say(reply, output)
    }

    /// Notes that the message is refused; gives what is said.
    pub(super) fn refusal(&self, fault: Fault, output: &mut Output) -> Reply {
        let what = self.message();
        self.noted_refusal(what, fault.rule(), fault.cause().as_ref(), output)
    }

    /// What this client is told of a fault.
    pub(super) fn fault_reply(&self, fault: Fault) -> Reply {
        self.refusal_reply(&self.message(), fault.rule(), fault.cause().as_ref())
    }

    /// The message that comes in, by its reverse-path.
    fn message(&self) -> Subject {
        let open = self.transaction.as_ref();
        let from = open.map(|open| open.envelope.head().reverse_path.to_string());
        Subject::Message(from.unwrap_or_default())
    }

    pub(super) fn committed(
        &mut self,
        result: Result<Committed, Refusal>,
        output: &mut Output,
    ) -> Step {
        // The spool may have failed at the very last of the content; it knows best why.
        let failed = self
            .transaction
            .as_ref()
            .and_then(|t| t.body.spool_refusal());
        let result = result.map_err(|refusal| failed.unwrap_or(refusal));
        let reply = match result {
            Ok(committed) => {
                let transaction = self.transaction.as_ref();
                if transaction.is_some_and(|t| t.body.has_lost_from_line()) {
                    output.notes.push(Note::FromLineRemoved(committed.id()));
                }
                replies::queued(&committed)
            }
            Err(refusal) => self.refusal(Fault::Spool(refusal), output),
        };
        self.transaction = None;
        self.say(reply, output)
    }
}
