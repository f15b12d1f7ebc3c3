//! Takes what is due, delivers, checkpoints, retries.
//!
//! One thread. A delivery is a write and a rename; a *checkpoint* makes a batch of them durable and
//! then lets go of their records. It comes [`CHECKPOINT_AFTER`] after the oldest unsynced delivery,
//! sooner when a segment is full, at once when the committer waits for one, and at the end.
//!
//! A copy that cannot be written is deferred by the delays of `[queue] retry`, until `[queue] expire`: a
//! full disk is mended some day. What ended is handed to the [`Notifier`] once it is settled.
//! What the operator is about to hold or delete gets its copies made durable first (`copies`).
//! Recipients that do not go into Maildirs are handed to the [`Lanes`], which never hold anything up here.
//! Time is an argument of each step; only the thread around them looks at the clock.

mod copies;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use super::deferred::Deferred;
use super::lanes::Lanes;
use super::maildir::{Body, Delivered, Letter, Maildirs};
use super::notice_queue::Late;
use super::notifier::Notifier;
use super::outcome::{Judge, QueueRules};
use super::queue_age::QueueAge;
use super::return_path::MailboxForm;
use super::unsynced::Unsynced;
use crate::events;
use crate::mail::{Action, MessageId, Progress, Reason, Target, date};
use crate::spool::{Attempts, Content, Party, Refusal, Settled, Spool, SpoolError, Stored};
use crate::stats::Stats;
use crate::sys::clock;
use crate::sys::disk::Disk;
use crate::troubles::{Kind, Troubles};

/// The longest a delivery stays unsynced.
pub const CHECKPOINT_AFTER: Duration = Duration::from_secs(2);
/// The usual delays after the first, second … failed attempt; the last one repeats.
pub const RETRY: [Duration; 5] = [
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
    Duration::from_secs(60 * 60),
    Duration::from_secs(4 * 60 * 60),
];
/// Between checkpoints that only a full segment asks for.
const CHECKPOINT_SPACING: Duration = Duration::from_millis(200);
/// Unsynced messages that call for a checkpoint by themselves.
const UNSYNCED_MAX: usize = 8192;
/// Messages delivered before the clock is looked at again.
const ROUND: usize = 64;
/// How long deliveries go on once the spool closes; the rest is due at the next start.
const CLOSING_MAX: Duration = Duration::from_secs(5);
/// Between looks while the committer waits for a segment that cannot be had yet.
const STARVED_LOOK: Duration = Duration::from_millis(50);

/// A moment by both clocks: deadlines go by the steady one, what is kept over a start by the other.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The clock that never goes back.
    pub steady: Instant,
    /// The time of day.
    pub wall: SystemTime,
}

impl Moment {
    /// Now.
    pub fn now() -> Self {
        Self {
            steady: clock::monotonic(),
            wall: clock::now(),
        }
    }

    fn seconds(self) -> u64 {
        date::unix_seconds(self.wall)
    }
}

/// How delivery is set up.
#[derive(Debug, Clone)]
pub struct DeliveryOptions {
    /// `USER/Maildir` is below it.
    pub mail_root: PathBuf,
    /// Our name, for the names of files.
    pub hostname: String,
}

/// Delivers what the spool has.
pub struct Deliverer {
    spool: Arc<Spool>,
    disk: Arc<dyn Disk>,
    maildirs: Maildirs,
    lanes: Option<Arc<Lanes>>,
    has_maildirs: bool,
    /// Where it is noted that a disk fails.
    troubles: Arc<Troubles>,
    /// Where it is counted what becomes of recipients.
    stats: Arc<Stats>,
    notifier: Option<Arc<Notifier>>,
    deferred: Deferred,
    age: QueueAge,
    unsynced: Unsynced,
    last_checkpoint: Option<Instant>,
    due: Vec<MessageId>,
    buffer: Vec<u8>,
    lines: Vec<u8>,
}

impl Deliverer {
    /// A deliverer that has done nothing yet.
    pub fn new(spool: Arc<Spool>, disk: Arc<dyn Disk>, options: DeliveryOptions) -> Self {
        let DeliveryOptions {
            mail_root,
            hostname,
        } = options;
        Self {
            maildirs: Maildirs::new(Arc::clone(&disk), mail_root, &hostname),
            spool,
            disk,
            lanes: None,
            has_maildirs: true,
            troubles: Arc::default(),
            stats: Arc::default(),
            notifier: None,
            deferred: Deferred::default(),
            age: QueueAge::default(),
            unsynced: Unsynced::default(),
            last_checkpoint: None,
            due: Vec::new(),
            buffer: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// The same, with lanes for the recipients that do not go into Maildirs; without them these stay in
    /// the spool.
    #[must_use]
    pub fn with_lanes(mut self, lanes: Arc<Lanes>) -> Self {
        self.has_maildirs = lanes.has_maildirs();
        self.troubles = lanes.troubles();
        self.stats = lanes.stats();
        self.lanes = Some(lanes);
        self
    }

    /// The same, with somebody who tells senders, and has the rules of the queue; without one, nothing
    /// expires.
    #[must_use]
    pub fn with_notifier(mut self, notifier: Arc<Notifier>) -> Self {
        self.notifier = Some(notifier);
        self
    }

    /// Runs it in a thread of its own; it ends after `Spool::close`, with a checkpoint.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start(mut self) -> io::Result<JoinHandle<()>> {
        thread::Builder::new()
            .name("deliverer".into())
            .stack_size(256 * 1024)
            .spawn(move || self.run())
    }

    fn run(&mut self) {
        let mut closing_until = None;
        loop {
            let now = Moment::now();
            if self.spool.is_closing() {
                closing_until.get_or_insert(now.steady + CLOSING_MAX);
            }
            let go_on = closing_until.is_none_or(|until| now.steady < until);
            if go_on && self.step(now) {
                continue;
            }
            if closing_until.is_some() {
                self.finish(now);
                return;
            }
            if !self.spool.is_reading_queue() {
                self.maildirs.replay_is_over();
            }
            if self.spool.is_starved() {
                self.spool.wait_for_fresh(now.steady + STARVED_LOOK);
            } else {
                self.spool.wait_for_work(self.next_look(now.steady));
            }
        }
    }

    /// The last checkpoint, with its done records in the log: the committer may have ended already.
    pub fn finish(&mut self, now: Moment) {
        self.checkpoint(now);
        self.spool.commit_waiting();
    }

    /// One round: what is due is delivered, and a checkpoint made if it is time. Whether there may be
    /// more to do at once.
    pub fn step(&mut self, now: Moment) -> bool {
        self.finish_copies(now);
        let mut due = std::mem::take(&mut self.due);
        self.spool.take_fresh(ROUND, &mut due);
        self.take_returned(&mut due, now.steady);
        due.extend(self.deferred.take_due(now.steady));
        for id in &due {
            self.deliver(*id, now);
        }
        if self.is_time_to_checkpoint(now.steady) {
            self.checkpoint(now);
        }
        let worked = !due.is_empty();
        due.clear();
        self.due = due;
        worked
    }

    /// What was given back; one whose copy is written and not settled yet comes after its checkpoint.
    fn take_returned(&mut self, due: &mut Vec<MessageId>, now: Instant) {
        let fresh = due.len();
        self.spool.take_returned(due);
        for id in due.split_off(fresh) {
            match self.unsynced.settled.iter().any(|one| one.id == id) {
                true => {
                    self.deferred.put(id, now + CHECKPOINT_AFTER);
                }
                false => {
                    // Its old time must not come before its checkpoint.
                    self.deferred.remove(id);
                    due.push(id);
                }
            }
        }
    }

    /// Makes all deliveries so far durable and lets go of their records. Whether the copies are durable.
    pub fn checkpoint(&mut self, now: Moment) -> bool {
        self.last_checkpoint = Some(now.steady);
        let mut unsynced = std::mem::take(&mut self.unsynced);
        let mut works = !unsynced.settled.is_empty();
        let synced = unsynced.sync(&*self.disk, self.maildirs.root());
        if let Err(error) = &synced {
            let error: &io::Error = error;
            events::checkpoint_failed(error);
            self.troubles.failed(DELIVERIES, kind_of(error), error);
            self.spool.report_stuck(Refusal::from(error));
            self.maildirs.forget_folders();
            unsynced.settled = self.doubt(&unsynced, now);
            works = false;
        }
        for settled in unsynced.settled.iter().filter(|settled| settled.is_left) {
            let wait = settled.local.next.saturating_sub(now.seconds());
            let at = now.steady + Duration::from_secs(wait);
            self.deferred.put(settled.id, at);
        }
        let told = self.tellable(&unsynced);
        if let Err(error) = self.spool.settle(&mut unsynced.settled) {
            events::checkpoint_failed(&error);
            self.troubles.failed(DELIVERIES, Kind::Disk, &error);
            works = false;
        }
        if works {
            self.troubles.works(DELIVERIES);
        }
        for (id, late) in told {
            if let Some(notifier) = &self.notifier {
                notifier.hand_over(id, late, now.steady);
            }
        }
        if !unsynced.settled.is_empty() {
            // They were delivered; only the spool does not know it durably yet.
            self.unsynced.since = Some(now.steady);
            self.unsynced.before = unsynced
                .settled
                .iter()
                .map(|s| s.progress.clone())
                .collect();
            self.unsynced.settled = unsynced.settled;
        }
        synced.is_ok()
    }

    /// After a failed sync the copies cannot be trusted: all of them count as failed attempts and are
    /// written again, under the same names.
    fn doubt(&self, unsynced: &Unsynced, now: Moment) -> Vec<Settled> {
        let pairs = unsynced.settled.iter().zip(&unsynced.before);
        let doubted = pairs.map(|(settled, before)| Settled {
            id: settled.id,
            party: Party::Deliverer,
            progress: before.clone(),
            local: Attempts {
                failed: settled.local.failed + 1,
                next: now.seconds() + RETRY[0].as_secs(),
            },
            lanes: settled.lanes,
            is_left: true,
            in_doubt: true,
        });
        doubted.collect()
    }

    /// Messages whose senders have to be told once they are settled.
    fn tellable(&self, unsynced: &Unsynced) -> Vec<(MessageId, Late)> {
        let settled = unsynced.settled.iter();
        let told = settled.filter_map(|one| {
            let late = unsynced.late.get(&one.id).cloned().unwrap_or_default();
            let ended = one.progress.iter().any(|one| one.outcome().is_some());
            (ended || !late.is_empty()).then_some((one.id, late))
        });
        told.collect()
    }

    fn rules(&self) -> QueueRules {
        match &self.notifier {
            Some(notifier) => notifier.rules().queue.clone(),
            None => QueueRules::patient(RETRY.to_vec()),
        }
    }

    fn next_look(&self, now: Instant) -> Instant {
        let mut until = now + Duration::from_secs(3600);
        if let Some(at) = self.deferred.first() {
            until = until.min(at);
        }
        if let Some(since) = self.unsynced.since {
            until = until.min(since + CHECKPOINT_AFTER);
            if self.spool.has_full_segment() {
                until = until.min(self.spaced(now));
            }
        }
        until
    }

    fn is_time_to_checkpoint(&self, now: Instant) -> bool {
        let spaced = now >= self.spaced(now);
        if self.spool.is_starved() || (spaced && self.spool.wants_segment()) {
            return true;
        }
        let Some(since) = self.unsynced.since else {
            return false;
        };
        self.unsynced.settled.len().max(self.unsynced.copies()) >= UNSYNCED_MAX
            || now >= since + CHECKPOINT_AFTER
            || (spaced && self.spool.has_full_segment())
    }

    fn spaced(&self, now: Instant) -> Instant {
        self.last_checkpoint
            .map_or(now, |last| last + CHECKPOINT_SPACING)
    }

    fn deliver(&mut self, id: MessageId, now: Moment) {
        let mut buffer = std::mem::take(&mut self.buffer);
        match self.spool.read(id, &mut buffer) {
            Ok(stored) => self.deliver_stored(stored, &buffer, now),
            Err(SpoolError::NoSuchMessage(_)) => {}
            Err(SpoolError::Damaged(_)) => {
                if let Err(error) = self.spool.set_aside(id, "it does not check out") {
                    self.retry_unread(id, &error, now);
                }
            }
            Err(error) => self.retry_unread(id, &error, now),
        }
        buffer.clear();
        buffer.shrink_to(KEEP_OCTETS);
        self.buffer = buffer;
    }

    /// It stays in the spool, and is tried again for as long as it is there.
    fn retry_unread(&mut self, id: MessageId, error: &SpoolError, now: Moment) {
        events::spool_failed(error);
        self.spool.note_tried(id);
        self.deferred.put(id, now.steady + RETRY[0]);
    }

    fn deliver_stored(&mut self, stored: Stored, buffer: &[u8], now: Moment) {
        let rules = self.rules();
        self.tell_ended(&stored, now);
        if stored.held {
            return self.spool.note_tried(stored.id);
        }
        self.pass_on(&stored, &rules, now);
        if !self.is_left(&stored, &stored.progress) {
            self.spool.note_tried(stored.id);
            return;
        }
        if let Some(wait) = wait_of_replayed(&stored, now.seconds(), rules.longest()) {
            self.deferred.put(stored.id, now.steady + wait);
            return;
        }
        if !self.spool.begin_copies(stored.id) {
            // The operator deletes or holds it just now.
            return;
        }
        let judge = Judge {
            stored: &stored,
            rules: &rules,
            now: self.judged_at(&stored, &rules, now),
            failed: stored.local.failed,
        };
        let delay = judge.delay(rules.delay(stored.local.failed));
        let served = self.with_letter(&stored, buffer, |deliverer, letter| {
            deliverer.serve(&judge, letter, delay)
        });
        let failed = u32::from(self.is_left(&stored, &served.progress));
        let local = Attempts {
            failed: stored.local.failed + failed,
            next: now.seconds() + delay.as_secs(),
        };
        self.note_served(stored, served, local, now);
    }

    /// Does something with a message as it goes into Maildirs.
    fn with_letter<T>(
        &mut self,
        stored: &Stored,
        buffer: &[u8],
        work: impl FnOnce(&mut Self, &Letter<'_>) -> T,
    ) -> T {
        let name = self.maildirs.name(stored.id, stored.received);
        let head = format!("Return-Path: <{}>\n", stored.envelope.reverse_path);
        let mut lines = std::mem::take(&mut self.lines);
        lines.clear();
        if let Content::Memory(range) = &stored.content {
            let content = buffer.get(range.clone()).unwrap_or_default();
            MailboxForm::default().feed(content, &mut lines);
        }
        let body = match &stored.content {
            Content::Memory(_) => Body::Memory(&lines),
            Content::File(file, length, crc) => Body::File(&**file, *length, *crc),
        };
        let find = self.notifier.as_ref().map(|notifier| notifier.rules());
        let fullness = |user: &str| find.as_ref().and_then(|rules| (rules.fullness)(user));
        let letter = Letter {
            id: stored.id,
            name: &name,
            head: &head,
            body,
            replayed: stored.replayed,
            fullness: &fullness,
        };
        let done = work(self, &letter);
        lines.shrink_to(KEEP_OCTETS);
        self.lines = lines;
        done
    }

    /// What the next checkpoint makes durable and settles.
    fn note_served(&mut self, stored: Stored, served: Served, local: Attempts, now: Moment) {
        let is_left = self.is_left(&stored, &served.progress);
        self.unsynced.since.get_or_insert(now.steady);
        self.spool.note_copies(stored.id, &served.progress, local);
        if !served.late.is_empty() {
            self.unsynced.late.insert(stored.id, served.late);
        }
        self.unsynced.before.push(stored.progress);
        self.unsynced.settled.push(Settled {
            id: stored.id,
            party: Party::Deliverer,
            progress: served.progress,
            local,
            lanes: stored.lanes,
            is_left,
            in_doubt: false,
        });
    }

    /// The time by which a message is judged.
    fn judged_at(&mut self, stored: &Stored, rules: &QueueRules, now: Moment) -> u64 {
        let clocks = (now.steady, now.seconds());
        self.age.now_for(stored.received, rules.expire, clocks)
    }

    /// What is not for here goes to the lanes.
    fn pass_on(&mut self, stored: &Stored, rules: &QueueRules, now: Moment) {
        if let Some(lanes) = self.lanes.clone() {
            let left = rules.left(stored.received, self.judged_at(stored, rules, now));
            lanes.hand_over(stored, left.max(rules.grace()), now.steady);
        }
    }

    /// What ended in an earlier run goes to the notifier.
    fn tell_ended(&self, stored: &Stored, now: Moment) {
        if let Some(notifier) = &self.notifier {
            let mut ended = stored.progress.iter().filter_map(Progress::outcome);
            if ended.next().is_some() {
                notifier.hand_over(stored.id, Late::new(), now.steady);
            }
        }
    }

    /// The user into whose Maildir a recipient's copy goes.
    fn user_of<'t>(&self, target: &'t Target) -> Option<&'t str> {
        match target {
            Target::User(user) if self.has_maildirs => Some(user),
            Target::User(_) | Target::Outside(_) | Target::Command(_) | Target::Webhook(_) => None,
        }
    }

    fn is_left(&self, stored: &Stored, progress: &[Progress]) -> bool {
        let mut due = stored.due_by(progress);
        due.any(|(_, recipient)| self.user_of(&recipient.target).is_some())
    }

    /// Delivers to every recipient with a Maildir that is due.
    fn serve(&mut self, judge: &Judge<'_>, letter: &Letter<'_>, delay: Duration) -> Served {
        let stored = judge.stored;
        let mut reached: Vec<&str> = Vec::new();
        let mut served = Served {
            progress: stored.progress.clone(),
            late: Late::new(),
            expired: 0,
        };
        for (place, recipient) in stored.due() {
            let Some(user) = self.user_of(&recipient.target) else {
                continue;
            };
            let forward_path = &recipient.forward_path;
            if !reached.contains(&user) {
                match self.maildirs.deliver(user, letter) {
                    Ok(Delivered::NeverFits(why)) => {
                        let told = Reason::own("5.2.2", why);
                        events::outcome::failed(stored.id, forward_path, &told);
                        self.count_failed(Action::Failed);
                        let reason = Reason::own("5.2.2", NEVER_FITS);
                        served.end(place, judge.ended(place, Action::Failed, reason));
                        continue;
                    }
                    Ok(delivered) => self.note_copy(user, delivered),
                    Err(error) => {
                        let words = self.note_failed_copy(user, stored.id, &error);
                        let reason = Reason::own(status_of(&error), words);
                        // A copy that may be torn is written again before anybody says that it failed.
                        let in_doubt = letter.replayed && self.maildirs.has_copy(user, letter.id);
                        if self.put_off(judge, place, &reason, in_doubt, &mut served) {
                            self.stats.recipients_deferred.count();
                            events::deferred(stored.id, forward_path, reason, delay.as_secs());
                        }
                        continue;
                    }
                }
                reached.push(user);
            }
            served.end(place, judge.delivered(place));
            self.stats.recipients_delivered.count();
            events::delivered(stored.id, forward_path, user);
        }
        served
    }

    /// A recipient cannot be served now; whether it is tried again.
    fn put_off(
        &self,
        judge: &Judge<'_>,
        place: usize,
        reason: &Reason,
        in_doubt: bool,
        served: &mut Served,
    ) -> bool {
        let stored = judge.stored;
        if let Some(recipient) = stored.envelope.recipients.get(place) {
            let to = &recipient.forward_path;
            self.spool.note_attempt(stored.id, judge.now, to, reason);
        }
        if in_doubt || !judge.is_expired() {
            if judge.is_late(place) {
                served.late.insert(place, reason.for_sender());
            }
            return true;
        }
        if served.expired == 0 {
            let progress = served.progress.iter().filter(|one| one.is_due());
            events::outcome::expired(stored.id, judge.age().as_secs(), progress.count());
        }
        served.expired += 1;
        if let Some(recipient) = stored.envelope.recipients.get(place) {
            events::outcome::failed(stored.id, &recipient.forward_path, reason);
        }
        self.count_failed(Action::Expired);
        served.end(place, judge.ended(place, Action::Expired, reason.clone()));
        false
    }

    fn count_failed(&self, action: Action) {
        if let Some(notifier) = &self.notifier {
            notifier.count_failed(action);
        }
    }

    /// A full disk is the trouble of all mailboxes, another error that of one; a mailbox that is full by its quota
    /// is no trouble of the operator's. Gives the words.
    fn note_failed_copy(&self, user: &str, id: MessageId, error: &io::Error) -> String {
        let words = self.maildirs.explain(user, error);
        let is_own_quota =
            error.kind() == io::ErrorKind::QuotaExceeded && error.raw_os_error().is_none();
        if error.kind() == io::ErrorKind::StorageFull {
            self.troubles.failed(MAILBOXES, Kind::Space, error);
        } else if !is_own_quota {
            self.troubles.mailbox_failed(user, id, &words);
        }
        words
    }

    fn note_copy(&mut self, user: &str, delivered: Delivered) {
        self.troubles.works(MAILBOXES);
        self.troubles.mailbox_works(user);
        match delivered {
            Delivered::Written(copy) => self.unsynced.add(copy, &*self.disk),
            Delivered::Taken | Delivered::NeverFits(_) => {}
        }
    }
}

/// What came of the local recipients of a message.
struct Served {
    progress: Vec<Progress>,
    late: Late,
    expired: usize,
}

impl Served {
    fn end(&mut self, place: usize, how: Progress) {
        if let Some(progress) = self.progress.get_mut(place) {
            *progress = how;
        }
    }
}

/// What a disk's failure is to the operator.
fn kind_of(error: &io::Error) -> Kind {
    match Refusal::from(error) {
        Refusal::NoSpace => Kind::Space,
        Refusal::Failure => Kind::Disk,
    }
}

/// What a disk's failure is to a sender (RFC 3463).
fn status_of(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull => "4.3.1",
        io::ErrorKind::QuotaExceeded => "4.2.2",
        _ => "4.3.0",
    }
}

/// How long a message of an earlier run has to wait yet. A clock that was put back must not keep mail
/// waiting.
fn wait_of_replayed(stored: &Stored, seconds: u64, longest: Duration) -> Option<Duration> {
    if !stored.replayed {
        return None;
    }
    let wait = Duration::from_secs(stored.local.next.checked_sub(seconds)?);
    (!wait.is_zero() && wait <= longest).then_some(wait)
}

/// What a sender is told of a message that no room would be made for; the mailbox may be behind an alias.
const NEVER_FITS: &str = "the message is larger than the mailbox may be";
/// How the alarm calls the checkpoints.
const DELIVERIES: &str = "deliveries";
/// How the alarm calls the disk of the Maildirs.
const MAILBOXES: &str = "mailboxes";
/// What a buffer keeps between messages, octets.
const KEEP_OCTETS: usize = 64 * 1024;
