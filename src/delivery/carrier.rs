//! One thread of the relay: takes a message, carries it to the smarthost, writes down what became of it.
//!
//! Promises: what the smarthost took is settled in the spool before anything else is sent; a message in
//! hand is always given back to the queue. Limits: the record of one message (256 KiB) and one piece of
//! content in memory; [`RECIPIENTS_MAX`] recipients a transaction, [`MESSAGES_MAX`] messages a connection.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::content::Source;
use super::relay::{Next, Relay};
use super::relay_queue::Why;
use super::smarthost::{Addressee, Connection, Fit, Letter, Transaction, Verdict, Way};
use crate::config::settings::Smarthost;
use crate::events;
use crate::mail::{MessageId, Target, date};
use crate::spool::{Attempts, Party, Settled, SpoolError, Stored};
use crate::sys::clock;

/// Recipients of one transaction: every server takes as many (RFC 5321 section 4.5.3.1.8).
const RECIPIENTS_MAX: usize = 100;
/// Transactions on one connection.
const MESSAGES_MAX: usize = 100;
/// What the buffer keeps between messages, octets.
const KEEP_OCTETS: usize = 64 * 1024;

/// A connection, and the settings it was made with.
struct Standing {
    connection: Connection,
    smarthost: Arc<Smarthost>,
}

/// One thread of the relay.
pub(super) struct Carrier<'a> {
    relay: &'a Relay,
    standing: Option<Standing>,
    buffer: Vec<u8>,
    /// What the disk did not take yet.
    unsettled: Vec<Settled>,
}

/// A message in hand.
struct Load<'a> {
    stored: &'a Stored,
    content: Source<'a>,
    /// Which recipients are done.
    done: Vec<bool>,
    /// How long it waits if it has to.
    delay: Duration,
}

/// How it went with a message.
enum Outcome {
    /// No connection could be had.
    NoHost(String),
    /// The connection had been used before and is gone; a new one may do.
    Again,
    /// Every recipient was tried, or the connection broke on the way.
    Tried,
}

impl<'a> Carrier<'a> {
    pub(super) fn new(relay: &'a Relay) -> Self {
        Self {
            relay,
            standing: None,
            buffer: Vec::new(),
            unsettled: Vec::new(),
        }
    }

    /// Until the relay ends.
    pub(super) fn run(&mut self) {
        loop {
            let next = match self.standing {
                Some(_) => self.relay.next_at_once(),
                None => self.relay.next(),
            };
            self.settle();
            match next {
                Next::Message(id, smarthost) => self.carry_or_survive(id, smarthost),
                Next::HangUp => self.hang_up(),
                Next::End => return self.hang_up(),
            }
        }
    }

    /// A fault of ours costs the message an attempt, not the relay its thread.
    fn carry_or_survive(&mut self, id: MessageId, smarthost: Option<Arc<Smarthost>>) {
        let carried = catch_unwind(AssertUnwindSafe(|| self.carry(id, smarthost)));
        if carried.is_err() {
            let delay = self.relay.delay(0);
            events::relay_bug(id, delay.as_secs());
            self.standing = None;
            self.relay.put_off(id, delay, Why::Itself);
        }
    }

    fn carry(&mut self, id: MessageId, smarthost: Option<Arc<Smarthost>>) {
        let mut buffer = std::mem::take(&mut self.buffer);
        match self.relay.spool.read(id, &mut buffer) {
            Ok(stored) => self.carry_stored(&stored, &buffer, smarthost),
            Err(SpoolError::NoSuchMessage(_)) => self.relay.finish(id),
            Err(error) => self.put_unread_off(id, &error),
        }
        buffer.clear();
        buffer.shrink_to(KEEP_OCTETS);
        self.buffer = buffer;
    }

    /// It cannot be read now. What is damaged is set aside.
    fn put_unread_off(&mut self, id: MessageId, error: &SpoolError) {
        let damaged = matches!(error, SpoolError::Damaged(_));
        if damaged
            && self
                .relay
                .spool
                .set_aside(id, "it does not check out")
                .is_ok()
        {
            return self.relay.finish(id);
        }
        events::spool_failed(error);
        self.relay.put_off(id, self.relay.delay(0), Why::Itself);
    }

    fn carry_stored(&mut self, stored: &Stored, buffer: &[u8], smarthost: Option<Arc<Smarthost>>) {
        let mut load = Load {
            stored,
            content: Source::new(&stored.content, buffer),
            done: stored.done.clone(),
            delay: self.relay.delay(stored.relay.failed),
        };
        let due = load.due();
        let outcome = match due.is_empty() {
            true => Outcome::Tried,
            false => self.carry_to(&mut load, &due, smarthost),
        };
        let id = stored.id;
        let is_left = !load.due().is_empty();
        match outcome {
            // Whoever pulled the brake is no failure: it is due at the next start.
            _ if is_left && self.relay.brake.is_pulled() => {
                self.relay.put_off(id, load.delay, Why::Due);
            }
            Outcome::Again => self.relay.put_off(id, Duration::ZERO, Why::Due),
            Outcome::NoHost(reason) => {
                events::relay_failed(id, reason, load.delay.as_secs());
                self.settle_load(&load, 1);
                self.relay.host_failed();
                self.relay.put_off(id, load.delay, Why::Host);
            }
            Outcome::Tried if is_left => {
                self.settle_load(&load, 1);
                self.relay.put_off(id, load.delay, Why::Itself);
            }
            Outcome::Tried => self.relay.finish(id),
        }
    }

    /// Carries it to everybody who is due, some at a time.
    fn carry_to(
        &mut self,
        load: &mut Load<'_>,
        due: &[Addressee<'_>],
        smarthost: Option<Arc<Smarthost>>,
    ) -> Outcome {
        for part in due.chunks(RECIPIENTS_MAX) {
            let mut standing = match self.stand(smarthost.as_ref()) {
                Ok(standing) => standing,
                Err(reason) => return Outcome::NoHost(reason),
            };
            let letter = Letter {
                from: &load.stored.envelope.reverse_path,
                to: part,
                notifications: &load.stored.envelope.notifications,
                content: load.content,
                eight_bit: load.stored.envelope.eight_bit,
                smtputf8: load.stored.envelope.smtputf8,
            };
            let carried = standing.connection.carried;
            match standing.connection.send(&letter) {
                Transaction::NotBegun(_) if carried > 0 => return Outcome::Again,
                Transaction::NotBegun(reason) => return Outcome::NoHost(reason),
                Transaction::Ended(verdicts, fit) => {
                    self.note(load, part, verdicts, &standing.smarthost.host);
                    if fit == Fit::ForNothing {
                        break;
                    }
                    self.standing = Some(standing);
                }
            }
        }
        Outcome::Tried
    }

    /// The connection that stands, or a new one.
    fn stand(&mut self, smarthost: Option<&Arc<Smarthost>>) -> Result<Standing, String> {
        let smarthost = smarthost.ok_or("no smarthost is set")?;
        if let Some(standing) = self.standing.take() {
            let same = Arc::ptr_eq(&standing.smarthost, smarthost);
            if same && standing.connection.carried < MESSAGES_MAX {
                return Ok(standing);
            }
            standing.connection.quit();
        }
        let hostname = self.relay.hostname();
        let way = Way {
            smarthost,
            hostname: &hostname,
            limits: self.relay.options.limits,
            brake: &self.relay.brake,
        };
        let opened = way.open();
        let connection = opened.map_err(|why| format!("{}: {why}", smarthost.host))?;
        self.relay.host_works();
        Ok(Standing {
            connection,
            smarthost: Arc::clone(smarthost),
        })
    }

    /// Takes note of verdicts; what was taken is settled at once.
    fn note(
        &mut self,
        load: &mut Load<'_>,
        part: &[Addressee<'_>],
        verdicts: Vec<Verdict>,
        host: &str,
    ) {
        let (id, wait) = (load.stored.id, load.delay.as_secs());
        let stopping = self.relay.brake.is_pulled();
        let mut taken = false;
        for (addressee, verdict) in part.iter().zip(verdicts) {
            let to = addressee.mailbox;
            match verdict {
                Verdict::Taken(said) => {
                    events::relayed(id, to, host, said);
                    if let Some(done) = load.done.get_mut(addressee.place) {
                        (*done, taken) = (true, true);
                    }
                }
                Verdict::Refused(reason) => events::relay_refused(id, to, host, reason, wait),
                Verdict::PutOff(_) if stopping => {}
                Verdict::PutOff(reason) => events::deferred(id, to, reason, wait),
            }
        }
        if taken {
            self.settle_load(load, 0);
        }
    }

    fn settle_load(&mut self, load: &Load<'_>, more_failed: u32) {
        let failed = load.stored.relay.failed + more_failed;
        let is_left = !load.due().is_empty();
        self.unsettled.push(Settled {
            id: load.stored.id,
            party: Party::Relay,
            done: load.done.clone(),
            local: load.stored.local,
            relay: Attempts {
                failed,
                next: date::unix_seconds(clock::now()) + load.delay.as_secs(),
            },
            is_left,
            in_doubt: false,
        });
        self.settle();
    }

    /// What the disk does not take now is tried again before the next message.
    fn settle(&mut self) {
        if self.unsettled.is_empty() {
            return;
        }
        if let Err(error) = self.relay.spool.settle_relayed(&mut self.unsettled) {
            events::spool_failed(error);
        }
    }

    fn hang_up(&mut self) {
        if let Some(standing) = self.standing.take() {
            standing.connection.quit();
        }
    }
}

impl<'a> Load<'a> {
    /// Outside recipients that are not done.
    fn due(&self) -> Vec<Addressee<'a>> {
        let recipients = self.stored.envelope.recipients.iter().enumerate();
        let due = recipients.zip(&self.done).filter(|(_, done)| !**done);
        due.filter_map(|((place, recipient), _)| match &recipient.target {
            Target::Outside(mailbox) => Some(Addressee {
                place,
                mailbox,
                notifications: &recipient.notifications,
            }),
            Target::User(_) => None,
        })
        .collect()
    }
}
