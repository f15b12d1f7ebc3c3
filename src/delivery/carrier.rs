//! One thread of the relay: takes a message, carries it to the smarthost, writes down what became of it.
//!
//! Promises: what the smarthost took is settled in the spool before anything else is sent; a message in
//! hand is always given back to the queue. Limits: the record of one message (256 KiB) and one piece of
//! content in memory; [`RECIPIENTS_MAX`] recipients a transaction, [`MESSAGES_MAX`] messages a connection.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::content::Source;
use super::notice_queue::Late;
use super::outcome::{Judge, QueueRules, Verdict};
use super::relay::{Next, Relay};
use super::relay_queue::Why;
use super::smarthost::{Addressee, Connection, Fit, Letter, Transaction, Way};
use crate::config::settings::Smarthost;
use crate::events;
use crate::mail::{Action, MessageId, Progress, Reason, Target, date};
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
    rules: QueueRules,
    /// Where its recipients are.
    progress: Vec<Progress>,
    /// Those that are late, whose sender does not know it.
    late: Late,
    /// How long it waits if it has to.
    delay: Duration,
    /// How many attempts failed before this one.
    failed: u32,
    /// Recipients that were given up.
    expired: usize,
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
                Next::Message(id, smarthost) => self.survive(id, |carrier| {
                    carrier.read(id, |carrier, load| carrier.carry_stored(load, smarthost));
                }),
                Next::Expired(id, trouble) => self.survive(id, |carrier| {
                    carrier.read(id, |carrier, load| carrier.give_up(load, &trouble));
                }),
                Next::HangUp => self.hang_up(),
                Next::End => return self.hang_up(),
            }
        }
    }

    /// A fault of ours costs the message an attempt, not the relay its thread.
    fn survive(&mut self, id: MessageId, work: impl FnOnce(&mut Self)) {
        let done = catch_unwind(AssertUnwindSafe(|| work(self)));
        if done.is_err() {
            let delay = self.relay.delay(0);
            events::relay_bug(id, delay.as_secs());
            self.standing = None;
            self.relay.put_off(id, delay, Why::Itself);
        }
    }

    fn read(&mut self, id: MessageId, work: impl FnOnce(&mut Self, Load<'_>)) {
        let mut buffer = std::mem::take(&mut self.buffer);
        match self.relay.spool.read(id, &mut buffer) {
            Ok(stored) => {
                let load = Load::new(&stored, &buffer, self.relay);
                work(self, load);
            }
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

    fn carry_stored(&mut self, mut load: Load<'_>, smarthost: Option<Arc<Smarthost>>) {
        let due = load.due();
        let outcome = match due.is_empty() {
            true => Outcome::Tried,
            false => self.carry_to(&mut load, &due, smarthost),
        };
        let id = load.stored.id;
        let is_left = !load.due().is_empty();
        match outcome {
            // Whoever pulled the brake is no failure: it is due at the next start.
            _ if is_left && self.relay.brake.is_pulled() => {
                self.relay.put_off(id, load.delay, Why::Due);
            }
            Outcome::Again => self.relay.put_off(id, Duration::ZERO, Why::Due),
            Outcome::NoHost(reason) => {
                load.defer_all(&trouble(&reason), self.relay);
                let is_left = !load.due().is_empty();
                if is_left {
                    events::relay_failed(id, &reason, load.delay.as_secs());
                }
                self.settle_load(&load, 1);
                self.relay.host_failed(reason);
                match is_left {
                    true => self.relay.put_off(id, load.delay, Why::Host),
                    false => self.relay.finish(id),
                }
            }
            Outcome::Tried if is_left => {
                self.settle_load(&load, 1);
                self.relay.put_off(id, load.delay, Why::Itself);
            }
            Outcome::Tried => self.relay.finish(id),
        }
    }

    /// It expired while the host rests. Where the clock of the day has another opinion, it waits on.
    fn give_up(&mut self, mut load: Load<'_>, reason: &str) {
        let id = load.stored.id;
        // It has waited long enough in this run, though nobody could be tried.
        load.failed = u32::MAX;
        if !load.judge().is_expired() {
            return self.relay.put_off(id, load.delay, Why::Host);
        }
        load.defer_all(&trouble(reason), self.relay);
        self.settle_load(&load, 0);
        self.relay.finish_expired(id);
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
                    self.note(load, part, verdicts, &standing);
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

    /// Takes note of verdicts; what was taken or refused is settled at once.
    fn note(
        &mut self,
        load: &mut Load<'_>,
        part: &[Addressee<'_>],
        verdicts: Vec<Verdict>,
        standing: &Standing,
    ) {
        let id = load.stored.id;
        let host = standing.smarthost.host.as_str();
        let stopping = self.relay.brake.is_pulled();
        for (addressee, verdict) in part.iter().zip(verdicts) {
            let (to, place) = (addressee.mailbox, addressee.place);
            match verdict {
                Verdict::Taken(said) => {
                    events::relayed(id, to, host, said.words());
                    load.end(
                        place,
                        match standing.connection.offers_dsn() {
                            // From here on its notifications are the server's (RFC 3461 section 5.2.1).
                            true => Progress::Done,
                            false => load.judge().ended(place, Action::Relayed, said),
                        },
                    );
                }
                Verdict::Refused(reason) => {
                    load.fail(place, to, reason, Action::Failed, self.relay)
                }
                Verdict::PutOff(_) if stopping => {}
                Verdict::PutOff(reason) => {
                    if load.defer(place, to, &reason, self.relay) {
                        events::deferred(id, to, reason, load.delay.as_secs());
                    }
                }
            }
        }
        if load.progress != load.stored.progress {
            self.settle_load(load, 0);
        }
    }

    fn settle_load(&mut self, load: &Load<'_>, more_failed: u32) {
        let stored = load.stored;
        let failed = stored.relay.failed + more_failed;
        let is_left = !load.due().is_empty();
        self.unsettled.push(Settled {
            id: stored.id,
            party: Party::Relay,
            progress: load.progress.clone(),
            local: stored.local,
            relay: Attempts {
                failed,
                next: date::unix_seconds(clock::now()) + load.delay.as_secs(),
            },
            is_left,
            in_doubt: false,
        });
        self.settle();
        let Some(notifier) = &self.relay.notifier else {
            return;
        };
        // What the log does not have yet is known all the same, and told.
        let ended = load.progress.iter().any(|one| one.outcome().is_some());
        if ended || !load.late.is_empty() {
            notifier.hand_over(stored.id, load.late.clone(), clock::monotonic());
        }
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
    fn new(stored: &'a Stored, buffer: &'a [u8], relay: &Relay) -> Self {
        let mut load = Self {
            stored,
            content: Source::new(&stored.content, buffer),
            rules: relay.queue_rules(),
            progress: stored.progress.clone(),
            late: Late::new(),
            delay: Duration::ZERO,
            failed: stored.relay.failed,
            expired: 0,
        };
        load.delay = load.judge().delay(relay.delay(stored.relay.failed));
        load
    }

    fn judge(&self) -> Judge<'_> {
        Judge {
            stored: self.stored,
            rules: &self.rules,
            now: date::unix_seconds(clock::now()),
            failed: self.failed,
        }
    }

    fn end(&mut self, place: usize, how: Progress) {
        if let Some(progress) = self.progress.get_mut(place) {
            *progress = how;
        }
    }

    fn fail(
        &mut self,
        place: usize,
        to: impl std::fmt::Display,
        reason: Reason,
        action: Action,
        relay: &Relay,
    ) {
        events::outcome::failed(self.stored.id, to, &reason);
        if let Some(notifier) = &relay.notifier {
            notifier.count_failed(action);
        }
        let how = self.judge().ended(place, action, reason);
        self.end(place, how);
    }

    /// A recipient could not be served now; whether it is tried again.
    fn defer(
        &mut self,
        place: usize,
        to: impl std::fmt::Display,
        reason: &Reason,
        relay: &Relay,
    ) -> bool {
        let judge = self.judge();
        if judge.is_expired() {
            let age = judge.age().as_secs();
            if self.expired == 0 {
                events::outcome::expired(self.stored.id, age, self.due().len());
            }
            self.expired += 1;
            self.fail(place, to, reason.clone(), Action::Expired, relay);
            return false;
        }
        if judge.is_late(place) {
            self.late.insert(place, reason.clone());
        }
        true
    }

    fn defer_all(&mut self, reason: &Reason, relay: &Relay) {
        for addressee in self.due() {
            self.defer(addressee.place, addressee.mailbox, reason, relay);
        }
    }

    /// Outside recipients that are due.
    fn due(&self) -> Vec<Addressee<'a>> {
        let recipients = self.stored.envelope.recipients.iter().enumerate();
        let due = recipients
            .zip(&self.progress)
            .filter(|(_, progress)| progress.is_due());
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

/// Why the smarthost cannot be used, as a sender may know it: how we log in is nobody's business.
fn trouble(reason: &str) -> Reason {
    match reason.contains("AUTH") {
        true => Reason::own("4.4.1", "the server for outgoing mail could not be used"),
        false => Reason::own("4.4.1", reason),
    }
}
