//! One thread of a lane: takes a message, carries it to the server, writes down what became of it.
//!
//! Promises: what the smarthost took is settled in the spool before anything else is sent; a message in
//! hand is always given back to the queue. Limits: the record of one message (256 KiB) and one piece of
//! content in memory; [`RECIPIENTS_MAX`] recipients a transaction, [`MESSAGES_MAX`] messages a connection.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::content::Source;
use super::handler::{Handler, Parcel};
use super::host_error::HostError;
use super::lane::{Lane, Next};
use super::lane_queue::Why;
use super::lanes::Common;
use super::next_hop::{NextHop, NextHops, Route, Terms, logged};
use super::notice_queue::Late;
use super::outcome::{Judge, QueueRules, Verdict};
use super::transaction::{Addressee, Connection, Fit, Letter, Transaction};
use crate::events;
use crate::mail::{Action, MessageId, Progress, Reason, Recipient, date};
use crate::spool::{Attempts, Party, Settled, SpoolError, Stored};
use crate::sys::clock;

/// Recipients of one transaction: every server takes as many (RFC 5321 section 4.5.3.1.8).
const RECIPIENTS_MAX: usize = 100;
/// Transactions on one connection.
const MESSAGES_MAX: usize = 100;
/// What the buffer keeps between messages, octets.
const KEEP_OCTETS: usize = 64 * 1024;

/// A connection, and the server it was made to.
struct Standing {
    connection: Connection,
    next_hop: Arc<NextHop>,
}

/// One thread of a lane.
pub(super) struct Carrier<'a> {
    lane: &'a Lane,
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
    /// Where mail goes, as long as it is in hand.
    next_hops: Arc<NextHops>,
    /// Whose recipients these are.
    route: &'a Route,
    common: &'a Common,
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
    NoHost(HostError),
    /// The connection had been used before and is gone; a new one may do.
    Again,
    /// Every recipient was tried, or the connection broke on the way.
    Tried,
}

impl<'a> Carrier<'a> {
    pub(super) fn new(lane: &'a Lane) -> Self {
        Self {
            lane,
            standing: None,
            buffer: Vec::new(),
            unsettled: Vec::new(),
        }
    }

    /// Until the lane ends.
    pub(super) fn run(&mut self) {
        loop {
            let next = match self.standing {
                Some(_) => self.lane.next_at_once(),
                None => self.lane.next(),
            };
            self.settle();
            match next {
                Next::Message(id, next_hop) => self.survive(id, |carrier| {
                    carrier.read(id, |carrier, load| carrier.carry_stored(load, next_hop));
                }),
                Next::Expired(id, reason) => self.survive(id, |carrier| {
                    carrier.read(id, |carrier, load| carrier.give_up(load, &reason));
                }),
                Next::HangUp => self.hang_up(),
                Next::End => return self.hang_up(),
            }
        }
    }

    /// A fault of ours costs the message an attempt, not the lane its thread.
    fn survive(&mut self, id: MessageId, work: impl FnOnce(&mut Self)) {
        let done = catch_unwind(AssertUnwindSafe(|| work(self)));
        if done.is_err() {
            let delay = self.lane.common.delay(0);
            events::relay_bug(id, delay.as_secs());
            self.standing = None;
            self.lane.put_off(id, delay, Why::Itself);
        }
    }

    fn read(&mut self, id: MessageId, work: impl FnOnce(&mut Self, Load<'_>)) {
        let mut buffer = std::mem::take(&mut self.buffer);
        match self.lane.common.spool.read(id, &mut buffer) {
            Ok(stored) => {
                let load = Load::new(&stored, &buffer, self.lane);
                work(self, load);
            }
            Err(SpoolError::NoSuchMessage(_)) => self.lane.finish(id),
            Err(error) => self.put_unread_off(id, &error),
        }
        buffer.clear();
        buffer.shrink_to(KEEP_OCTETS);
        self.buffer = buffer;
    }

    /// It cannot be read now. What is damaged is set aside.
    fn put_unread_off(&mut self, id: MessageId, error: &SpoolError) {
        let damaged = matches!(error, SpoolError::Damaged(_));
        let spool = &self.lane.common.spool;
        if damaged && spool.set_aside(id, "it does not check out").is_ok() {
            return self.lane.finish(id);
        }
        events::spool_failed(error);
        self.lane
            .put_off(id, self.lane.common.delay(0), Why::Itself);
    }

    fn carry_stored(&mut self, mut load: Load<'_>, next_hop: Option<Arc<NextHop>>) {
        let id = load.stored.id;
        if load.stored.held || !load.is_left() {
            // Settings have changed since it was handed over: perhaps it is another lane's.
            self.lane.finish(id);
            return self.let_go(id);
        }
        let outcome = match &next_hop {
            Some(next_hop) => self.carry_to(&mut load, next_hop),
            None => Outcome::NoHost(HostError::Missing(self.lane.route.is_missing())),
        };
        let is_left = load.is_left();
        match outcome {
            // Whoever pulled the brake is no failure: it is due at the next start.
            _ if is_left && self.lane.common.brake.is_pulled() => {
                self.lane.put_off(id, load.delay, Why::Due);
            }
            Outcome::Again => self.lane.put_off(id, Duration::ZERO, Why::Due),
            Outcome::NoHost(error) => {
                load.defer_all(&error.reason(), self.lane);
                let is_left = load.is_left();
                if is_left {
                    let (seconds, reason) = (load.delay.as_secs(), error.to_string());
                    match &next_hop {
                        Some(next_hop) => next_hop.tell_failed(id, &reason, seconds),
                        None => self.lane.route.tell_missing(id, &reason, seconds),
                    }
                }
                self.settle_load(&load, 1);
                self.lane.host_failed(&error, load.delay);
                match is_left {
                    true => self.lane.put_off(id, load.delay, Why::Host),
                    false => self.lane.finish(id),
                }
            }
            Outcome::Tried if is_left => {
                self.settle_load(&load, 1);
                self.lane.put_off(id, load.delay, Why::Itself);
            }
            Outcome::Tried => self.lane.finish(id),
        }
    }

    /// It is not for this lane now. It may be another's, or may have been released meanwhile, when this
    /// lane still had it: so the deliverer looks at it once more, unless nobody is to try it.
    fn let_go(&self, id: MessageId) {
        let spool = &self.lane.common.spool;
        let stored = spool.read(id, &mut Vec::new());
        if stored.is_ok_and(|stored| !stored.held && stored.due().next().is_some()) {
            spool.give_back(id);
        }
    }

    /// It expired while the host rests. Where the clock of the day has another opinion, it waits on.
    fn give_up(&mut self, mut load: Load<'_>, reason: &Reason) {
        let id = load.stored.id;
        if load.stored.held {
            self.lane.finish_expired(id);
            return self.let_go(id);
        }
        // It has waited long enough in this run, though nobody could be tried.
        load.failed = u32::MAX;
        if !load.judge().is_expired() {
            return self.lane.put_off(id, load.delay, Why::Host);
        }
        load.defer_all(reason, self.lane);
        self.settle_load(&load, 0);
        self.lane.finish_expired(id);
    }

    /// Carries it to everybody who is due, some at a time.
    fn carry_to(&mut self, load: &mut Load<'_>, next_hop: &Arc<NextHop>) -> Outcome {
        if let Some(handler) = next_hop.handler() {
            return self.hand_to(load, next_hop, handler);
        }
        let due = load.due(next_hop, self.lane);
        for part in due.chunks(RECIPIENTS_MAX) {
            let mut standing = match self.stand(next_hop) {
                Ok(standing) => standing,
                Err(error) => return Outcome::NoHost(error),
            };
            let letter = Letter {
                id: load.stored.id,
                from: &next_hop.told(&load.stored.envelope.reverse_path),
                to: part,
                notifications: &load.stored.envelope.notifications,
                content: load.content,
                eight_bit: load.stored.envelope.eight_bit,
                smtputf8: load.stored.envelope.smtputf8,
            };
            let carried = standing.connection.carried;
            match standing.connection.send(&letter) {
                Transaction::NotBegun(_) if carried > 0 => return Outcome::Again,
                Transaction::NotBegun(error) => {
                    return Outcome::NoHost(HostError::Broken(error));
                }
                Transaction::Ended(verdicts, fit) => {
                    if carried == 0 {
                        self.lane.host_works();
                    }
                    let part = part.iter().map(|one| (one.place, one.recipient));
                    let connection = Some(&standing.connection);
                    self.note(load, part.zip(verdicts), next_hop, connection);
                    if fit == Fit::ForNothing {
                        break;
                    }
                    self.standing = Some(standing);
                }
            }
        }
        Outcome::Tried
    }

    /// Gives it to a command or a webhook, once for all its recipients.
    fn hand_to(
        &mut self,
        load: &mut Load<'_>,
        next_hop: &NextHop,
        handler: Handler<'_>,
    ) -> Outcome {
        let stored = load.stored;
        let places: Vec<_> = load.mine().map(|(place, _)| place).collect();
        let all = stored.envelope.recipients.iter().enumerate();
        let mine: Vec<_> = all.filter(|(place, _)| places.contains(place)).collect();
        let mut to: Vec<_> = mine.iter().map(|(_, one)| &one.forward_path).collect();
        to.dedup();
        let parcel = Parcel {
            stored,
            content: load.content,
            file: self.lane.common.spool.file_of(stored),
            to,
            subaddress: load.next_hops.subaddress,
        };
        match handler.take(&parcel, &self.lane.common.brake) {
            Ok(verdict) => {
                self.lane.host_answers();
                self.lane.host_works();
                let verdicts = std::iter::repeat(verdict);
                self.note(load, mine.into_iter().zip(verdicts), next_hop, None);
                Outcome::Tried
            }
            Err(reason) => {
                let words = format!("{}: {reason}", self.lane.route);
                Outcome::NoHost(HostError::Handler(words))
            }
        }
    }

    /// The connection that stands, or a new one.
    fn stand(&mut self, next_hop: &Arc<NextHop>) -> Result<Standing, HostError> {
        if let Some(standing) = self.standing.take() {
            let same = Arc::ptr_eq(&standing.next_hop, next_hop);
            if same && standing.connection.carried < MESSAGES_MAX {
                return Ok(standing);
            }
            standing.connection.quit();
        }
        let connection = next_hop.open(&Terms {
            hostname: &self.lane.common.next_hops().hostname,
            limits: self.lane.common.options.limits,
            brake: &self.lane.common.brake,
        })?;
        self.lane.host_answers();
        Ok(Standing {
            connection,
            next_hop: Arc::clone(next_hop),
        })
    }

    /// Takes note of verdicts; what was taken or refused is settled at once.
    fn note<'r>(
        &mut self,
        load: &mut Load<'_>,
        verdicts: impl Iterator<Item = ((usize, &'r Recipient), Verdict)>,
        next_hop: &NextHop,
        connection: Option<&Connection>,
    ) {
        let id = load.stored.id;
        let host = connection.map_or("", Connection::host);
        let offers_dsn = connection.is_some_and(Connection::offers_dsn);
        let stopping = self.lane.common.brake.is_pulled();
        for ((place, to), verdict) in verdicts {
            match verdict {
                Verdict::Taken(said) => {
                    next_hop.tell_taken(id, to, host, said.words());
                    self.lane.count_delivered();
                    load.end(
                        place,
                        match offers_dsn {
                            // From here on its notifications are the server's (RFC 3461 section 5.2.1).
                            true => Progress::Done,
                            false => load.judge().ended(place, next_hop.action(), said),
                        },
                    );
                }
                Verdict::Refused(reason) => load.fail(place, to, reason, Action::Failed, self.lane),
                Verdict::PutOff(_) if stopping => {}
                Verdict::PutOff(reason) => {
                    if load.defer(place, to, &reason, self.lane) {
                        events::deferred(id, logged(to), reason, load.delay.as_secs());
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
        let failed = stored.lanes.failed + more_failed;
        let is_left = load.is_left();
        self.unsettled.push(Settled {
            id: stored.id,
            party: Party::Lane,
            progress: load.progress.clone(),
            local: stored.local,
            lanes: Attempts {
                failed,
                next: date::unix_seconds(clock::now()) + load.delay.as_secs(),
            },
            is_left,
            in_doubt: false,
        });
        self.settle();
        let Some(notifier) = &self.lane.common.notifier else {
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
        if let Err(error) = self.lane.common.spool.settle_carried(&mut self.unsettled) {
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
    fn new(stored: &'a Stored, buffer: &'a [u8], lane: &'a Lane) -> Self {
        let mut load = Self {
            stored,
            content: Source::new(&stored.content, buffer),
            rules: lane.common.queue_rules(),
            next_hops: lane.common.next_hops(),
            route: &lane.route,
            common: &lane.common,
            progress: stored.progress.clone(),
            late: Late::new(),
            delay: Duration::ZERO,
            failed: stored.lanes.failed,
            expired: 0,
        };
        load.delay = load.judge().delay(lane.common.delay(stored.lanes.failed));
        load
    }

    fn judge(&self) -> Judge<'_> {
        Judge {
            stored: self.stored,
            rules: &self.rules,
            now: self
                .common
                .judged_at(self.stored.received, self.rules.expire),
            failed: self.failed,
        }
    }

    fn end(&mut self, place: usize, how: Progress) {
        if let Some(progress) = self.progress.get_mut(place) {
            *progress = how;
        }
    }

    fn fail(&mut self, place: usize, to: &Recipient, reason: Reason, action: Action, lane: &Lane) {
        events::outcome::failed(self.stored.id, logged(to), &reason);
        self.note(to, &reason, lane);
        lane.tally.failed.count();
        if let Some(notifier) = &lane.common.notifier {
            notifier.count_failed(action);
        }
        let how = self.judge().ended(place, action, reason);
        self.end(place, how);
    }

    /// A recipient could not be served now; whether it is tried again.
    fn defer(&mut self, place: usize, to: &Recipient, reason: &Reason, lane: &Lane) -> bool {
        let judge = self.judge();
        if judge.is_expired() {
            let age = judge.age().as_secs();
            if self.expired == 0 {
                events::outcome::expired(self.stored.id, age, self.mine().count());
            }
            self.expired += 1;
            self.fail(place, to, reason.clone(), Action::Expired, lane);
            return false;
        }
        if judge.is_late(place) {
            self.late.insert(place, reason.for_sender());
        }
        self.note(to, reason, lane);
        lane.count_deferred();
        true
    }

    /// For an operator who asks.
    fn note(&self, to: &Recipient, reason: &Reason, lane: &Lane) {
        let (spool, now) = (&lane.common.spool, date::unix_seconds(clock::now()));
        spool.note_attempt(self.stored.id, now, logged(to), reason);
    }

    fn defer_all(&mut self, reason: &Reason, lane: &Lane) {
        let stored = self.stored;
        let mine: Vec<_> = self.mine().map(|(place, _)| place).collect();
        for place in mine {
            if let Some(to) = stored.envelope.recipients.get(place) {
                self.defer(place, to, reason, lane);
            }
        }
    }

    /// This lane's recipients that are due, and their places.
    fn mine(&self) -> impl Iterator<Item = (usize, &Recipient)> {
        let from = &self.stored.envelope.reverse_path;
        let due = self.stored.due_by(&self.progress);
        due.filter(move |(_, to)| {
            self.next_hops.route(from, &to.target).as_ref() == Some(self.route)
        })
    }

    fn is_left(&self) -> bool {
        self.mine().next().is_some()
    }

    /// The same as their server is told of them. One that cannot be told there has failed.
    fn due(&mut self, next_hop: &NextHop, lane: &Lane) -> Vec<Addressee<'a>> {
        let stored = self.stored;
        let mine: Vec<_> = self.mine().map(|(place, _)| place).collect();
        let mut due = Vec::with_capacity(mine.len());
        for place in mine {
            let Some(recipient) = stored.envelope.recipients.get(place) else {
                continue;
            };
            match next_hop.address(recipient) {
                Some(mailbox) => due.push(Addressee {
                    place,
                    recipient,
                    mailbox,
                    notifications: &recipient.notifications,
                }),
                None => {
                    let reason = Reason::own("5.1.3", "the server cannot be told this name");
                    self.fail(place, recipient, reason, Action::Failed, lane);
                }
            }
        }
        due
    }
}
