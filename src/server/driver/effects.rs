//! The effects a session wants, performed: spool, directory, TLS.

use std::sync::Arc;
use std::time::Duration;

use super::super::unfinished::Share;
use super::{Connection, Delay, State, WorkerBuffers};
use crate::directory::scram::ScramLookup;
use crate::events;
use crate::net::parking::Ticket;
use crate::policy::facts::{Finding, Question};
use crate::protocol::scram::SERVER_NONCE_OCTETS;
use crate::session::{Answer, Effect, Step};
use crate::spool::{Committed, Draft, Refusal};
use crate::sys::{clock, random};
use crate::transport::stream::{Progress, Received};

/// What a held session is told.
#[derive(Debug)]
pub enum Completion {
    /// What the spool says of the message.
    Committed(Result<Committed, Refusal>),
    /// What DNS says.
    LookedUp(Finding),
}

/// The message whose content is coming in.
pub(super) struct OpenMessage {
    /// The draft, and what it has of the client's share of the spool.
    draft: Option<(Draft, Share)>,
    from: String,
    recipients: usize,
    octets: u64,
}

/// How an effect was performed.
pub(super) enum Performed {
    Answer(Answer),
    /// No answer is due.
    Nothing,
    /// The answer comes by `ParkedSessions`.
    Held,
    /// The answer comes after this time.
    Delayed(Duration, Delay),
    /// The stream goes over to TLS.
    Handshake,
    /// The stream is over.
    Broken,
}

impl Connection {
    pub(super) fn store(&mut self, content: &[u8]) {
        let Some(message) = self.draft.as_mut() else {
            return;
        };
        let Some((draft, share)) = message.draft.as_mut() else {
            return;
        };
        message.octets += content.len() as u64;
        let spool = &self.context.spool;
        let free = || {
            let free = spool.free_octets().unwrap_or_default();
            free.saturating_sub(spool.kept_octets())
        };
        if let Err(over) = share.grow(message.octets, free) {
            message.draft = None;
            self.session.spool_failed(Refusal::NoSpace);
            let (taken, limit) = (over.taken, over.limit);
            return events::client::content_over_share(&self.sid(), self.client, taken, limit);
        }
        if let Err(refusal) = draft.write(content) {
            message.draft = None;
            self.session.spool_failed(refusal);
            self.context.spool_refused(refusal);
        }
    }

    pub(super) fn perform(
        &mut self,
        effect: Effect,
        ticket: Ticket,
        buffers: &mut WorkerBuffers,
    ) -> Performed {
        match effect {
            Effect::StartTls => self.leave_plaintext(buffers),
            Effect::CheckSpace(octets) => {
                let space = self.context.spool.check_space(octets);
                if space.is_err() {
                    self.context.troubles.nudge();
                }
                Performed::Answer(Answer::Space(space))
            }
            Effect::PaceLogin(login) => self.pace_login(&login),
            Effect::CountUnknown => Performed::Answer(Answer::Unknown(self.unknown().0)),
            Effect::WaitForUnknown => self.slow_down(),
            Effect::CheckLogin(credentials) => {
                let directory = &self.setup.directory;
                let outcome = directory.verify(&credentials.login, &credentials.password);
                Performed::Answer(Answer::Login(outcome))
            }
            Effect::FindScramKeys(login) => Performed::Answer(self.find_scram_keys(&login)),
            Effect::FindRecipient(path) => {
                Performed::Answer(Answer::Recipient(self.setup.directory.find(&path)))
            }
            Effect::MeasureMailboxes(users) => {
                Performed::Answer(Answer::Measured(self.setup.directory.fullness(&users)))
            }
            Effect::LookUp(question) => self.look_up(question, ticket),
            Effect::FindGroups(user) => {
                Performed::Answer(Answer::Groups(self.setup.directory.groups_of(&user)))
            }
            Effect::CheckOwner { user, sender } => {
                let owned = self.setup.directory.owns(&user, &sender);
                Performed::Answer(Answer::Owned(owned))
            }
            Effect::ExpandName(path) => {
                Performed::Answer(Answer::Expanded(self.setup.directory.expand(&path)))
            }
            Effect::OpenMessage(envelope) => {
                let from = envelope.head().reverse_path.to_string();
                let client = self.client_key();
                let opened = self
                    .context
                    .spool
                    .draft(*envelope, clock::now())
                    .map(|draft| {
                        let id = draft.id();
                        let recipients = draft.recipients();
                        let share = self.context.unfinished.begin(client);
                        let draft = Some((draft, share));
                        self.draft = Some(Box::new(OpenMessage {
                            draft,
                            from,
                            recipients,
                            octets: 0,
                        }));
                        id
                    });
                Performed::Answer(Answer::Opened(opened))
            }
            Effect::CommitMessage => self.commit(ticket),
            Effect::DropMessage => {
                self.draft = None;
                Performed::Nothing
            }
        }
    }

    /// Asks DNS; the session holds no worker while it waits.
    fn look_up(&mut self, question: Question, ticket: Ticket) -> Performed {
        let resolver = &self.context.resolver;
        if let Some(finding) = resolver.known(&question) {
            return Performed::Answer(Answer::LookedUp(finding));
        }
        let parked = Arc::clone(&self.context.parked);
        let answer = move |finding| parked.send(ticket, Completion::LookedUp(finding));
        resolver.ask(question, Box::new(answer));
        Performed::Held
    }

    /// DNS has answered.
    pub(super) fn looked_up(&mut self, finding: Finding, buffers: &mut WorkerBuffers) -> Step {
        self.state = State::Talking;
        self.waiting_since = clock::monotonic();
        self.answer(Answer::LookedUp(finding), buffers)
    }

    fn find_scram_keys(&self, login: &str) -> Answer {
        let mut nonce = [0; SERVER_NONCE_OCTETS];
        let lookup = match random::fill(&mut nonce) {
            Ok(()) => self.setup.directory.scram_keys(login),
            Err(_) => ScramLookup::Unavailable,
        };
        Answer::ScramKeys(lookup, nonce)
    }

    pub(super) fn commit(&mut self, ticket: Ticket) -> Performed {
        let draft = self.draft.as_mut().and_then(|message| message.draft.take());
        let Some((draft, _)) = draft else {
            return Performed::Answer(Answer::Committed(Err(Refusal::Failure)));
        };
        let parked = Arc::clone(&self.context.parked);
        self.context.spool.commit(
            draft,
            Box::new(move |result| parked.send(ticket, Completion::Committed(result))),
        );
        Performed::Held
    }

    /// Plain text that came behind STARTTLS was sent by somebody who could not know our reply: it is
    /// thrown away (RFC 3207 section 4.2), then our 220 goes out.
    pub(super) fn leave_plaintext(&mut self, buffers: &mut WorkerBuffers) -> Performed {
        let mut discarded = std::mem::take(&mut self.leftover).len();
        while self.stream.may_have_octets() {
            match self.stream.receive(&mut buffers.buffer) {
                Ok(Received::Octets(count)) => discarded += count,
                Ok(Received::Nothing) => break,
                Ok(Received::End) | Err(_) => return Performed::Broken,
            }
        }
        if discarded > 0 {
            self.context.stats.plaintext_discarded.add(discarded as u64);
            events::plaintext_discarded(&self.sid(), self.client, discarded);
        }
        match self.say(buffers) {
            // A peer that does not even take this reply wants no TLS.
            Ok(Progress::Done) => Performed::Handshake,
            _ => Performed::Broken,
        }
    }

    /// The spool has answered.
    pub(super) fn committed(
        &mut self,
        result: Result<Committed, Refusal>,
        buffers: &mut WorkerBuffers,
    ) -> Step {
        self.state = State::Talking;
        self.waiting_since = clock::monotonic();
        match &result {
            Ok(_) => self.context.spool_works(),
            Err(refusal) => self.context.spool_refused(*refusal),
        }
        if let (Ok(committed), Some(message)) = (&result, self.draft.take()) {
            self.messages += 1;
            self.watch.accepted();
            self.context.stats.messages_accepted.count();
            self.context.stats.octets_accepted.add(message.octets);
            let OpenMessage {
                from,
                recipients,
                octets,
                ..
            } = *message;
            events::accepted(&self.sid(), committed.id(), from, recipients, octets);
        }
        self.answer(Answer::Committed(result), buffers)
    }
}
