//! A lane: the queue and the threads of one destination.
//!
//! A destination is a smarthost or an LMTP server. Each has [`THREADS`] threads of its own, started with its
//! first message, and carries several messages on one connection while messages wait. No lane waits for
//! another, nor do Maildirs for any of them.
//!
//! | outcome | then |
//! | --- | --- |
//! | 2yz after the mail data | done: a done record is in the log and synced before the next message goes out |
//! | 4yz at MAIL, RCPT, DATA or the end, a connection that breaks, a message the server cannot take | deferred, by recipient |
//! | 5yz at MAIL, RCPT, DATA or the end | failed, by recipient (`outcome` has the exceptions) |
//! | no address, no connection, no TLS, no login | the message in hand is deferred, and the destination rests |
//!
//! Promises: nothing is given up before `[queue] expire`, be the destination as dead as it may; a recipient is
//! done only when the server said so, or when its sender was told that it failed. Delays grow as
//! those of local deliveries do, and are stretched by up to a quarter, so that messages spread. A start
//! takes up everything at once.
//!
//! **Second copies.** A recipient gets at most one more copy for each time that the connection is lost
//! between the last dot and its reply, or that the machine or the service stops between its reply and
//! the sync of the done record (over LMTP one record for all replies of a transaction): then the server has
//! the message and we do not know it (RFC 5321 section 4.5.3.2.6 tells why waiting long for that reply
//! matters). A disk that fails under the done record keeps the knowledge in memory only.
//!
//! At the end a step in hand may go on for two seconds, the wait for the reply to a whole message for ten;
//! what was not taken by then is due at the next start.

use std::io;
use std::sync::{Arc, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use super::carrier::Carrier;
use super::host_error::HostError;
use super::lane_queue::{LaneQueue, Look, Why};
use super::lanes::{Common, Standing};
use super::login::read_secret;
use super::next_hop::{NextHop, Route};
use crate::events;
use crate::mail::{MessageId, Reason};
use crate::stats::Counter;
use crate::sys::clock;
use crate::sys::sync::{Condvar, Mutex};
use crate::troubles::Troubles;

/// Threads of one lane.
pub const THREADS: usize = 2;
/// The longest a thread waits before it looks again by itself.
const LOOK_MAX: Duration = Duration::from_secs(60);

/// One destination's messages, and the threads that carry them.
pub(super) struct Lane {
    pub(super) common: Arc<Common>,
    pub(super) route: Route,
    pub(super) tally: Tally,
    shared: Mutex<Shared>,
    work: Condvar,
    ended: Condvar,
}

struct Shared {
    queue: LaneQueue,
    next_hop: Option<Arc<NextHop>>,
    /// Why the destination could not be used when it was tried last.
    trouble: String,
    /// The same as it is written down for a recipient.
    reason: Reason,
    /// Whether a login was what failed.
    lacks_login: bool,
    running: usize,
}

/// What became of a lane's recipients since the start.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) delivered: Counter,
    pub(super) deferred: Counter,
    pub(super) failed: Counter,
}

/// How a destination is at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneVitals {
    /// Its name, as the operator knows it.
    pub name: String,
    /// Messages that wait or are in hand.
    pub messages: usize,
    /// Those of them that are in hand.
    pub in_hand: usize,
    /// How often it could not be used, in a row.
    pub failures: u32,
    /// Whether nobody tries to reach it at the moment, because of that.
    pub is_resting: bool,
    /// Recipients it took since the start.
    pub delivered: u64,
    /// Attempts at a recipient that put it off.
    pub deferred: u64,
    /// Recipients it refused, or that expired.
    pub failed: u64,
}

/// What a thread does next.
pub(super) enum Next {
    /// Carry this message.
    Message(MessageId, Option<Arc<NextHop>>),
    /// Give this message up if it has expired: nobody can be tried, and why.
    Expired(MessageId, Reason),
    /// Nothing is due: end the connection, then ask again.
    HangUp,
    /// End.
    End,
}

impl Lane {
    /// A lane without threads yet. Without a next hop, what is handed over waits for one.
    pub(super) fn new(common: Arc<Common>, route: Route, next_hop: Option<NextHop>) -> Self {
        Self {
            common,
            route,
            tally: Tally::default(),
            shared: Mutex::new(Shared {
                queue: LaneQueue::default(),
                next_hop: next_hop.map(Arc::new),
                trouble: String::new(),
                reason: Reason::own("4.4.1", ""),
                lacks_login: false,
                running: 0,
            }),
            work: Condvar::new(),
            ended: Condvar::new(),
        }
    }

    /// A message has recipients for this lane that are due, and expires after a while. One that is known
    /// already stays as it is. Starts the threads, where there are none.
    pub(super) fn hand_over(self: &Arc<Self>, id: MessageId, now: Instant, left: Duration) {
        let end = now.checked_add(left);
        let mut shared = self.lock();
        shared.queue.add(id, now, end, self.common.delay(0));
        let is_idle = shared.running == 0;
        drop(shared);
        self.work.notify_one();
        if is_idle {
            if let Err(error) = self.start() {
                // The next message tries again; a start takes up what is left.
                events::lane_not_started(&self.route, error);
            }
        }
    }

    fn start(self: &Arc<Self>) -> io::Result<()> {
        for _ in 0..THREADS {
            let guard = Running::new(Arc::clone(self));
            thread::Builder::new()
                .name("lane".into())
                .stack_size(512 * 1024)
                .spawn(move || Carrier::new(&guard.0).run())?;
        }
        Ok(())
    }

    /// From here on the destination is another one, or has other settings; then everything is due. The
    /// operator may have mended the password beside them, so a login that failed is tried again at once.
    pub(super) fn set_next_hop(&self, next_hop: Option<NextHop>, now: Instant) {
        let mut shared = self.lock();
        if shared.next_hop.as_deref() != next_hop.as_ref() {
            shared.next_hop = next_hop.map(Arc::new);
            shared.queue.host_changed(now);
            self.troubles().replaced(&self.route);
        } else if shared.lacks_login {
            shared.queue.host_may_work(now);
        }
        self.work.notify_all();
    }

    /// Somebody else has logged in as this lane does, if it is as this user at this host. A message that waits
    /// tries it at once; where there is none, that is believed as far as the secret can be read here.
    pub(super) fn login_worked_elsewhere(&self, host: &str, user: &str, now: Instant) {
        let mut shared = self.lock();
        let Some(next_hop) = shared.next_hop.clone().filter(|_| shared.lacks_login) else {
            return;
        };
        let NextHop::Smarthost(own) = &*next_hop else {
            return;
        };
        if !own.is_login(host, user) {
            return;
        }
        if shared.queue.depth().0 > 0 {
            shared.queue.host_may_work(now);
            self.work.notify_all();
            return;
        }
        // Nobody waits for the file's disk.
        drop(shared);
        let mut login = own.login.iter();
        if login.all(|login| read_secret(&login.secret).is_ok()) {
            self.lock().queue.host_works();
            self.troubles().login_works(&self.route);
        }
    }

    /// Everything is due: some of it may be another lane's now.
    pub(super) fn look_again(&self, now: Instant) {
        self.lock().queue.host_changed(now);
        self.work.notify_all();
    }

    /// Where a message is, if this lane knows it, and why the destination rests.
    pub(super) fn look(&self, id: MessageId) -> Option<(Look, String)> {
        let shared = self.lock();
        let look = shared.queue.look(id)?;
        let trouble = match shared.queue.failures() {
            0 => String::new(),
            _ => shared.trouble.clone(),
        };
        Some((look, trouble))
    }

    /// How the destination stands.
    pub(super) fn standing(&self) -> Standing {
        let shared = self.lock();
        Standing {
            name: self.route.to_string(),
            messages: shared.queue.messages(),
            in_hand: shared.queue.in_hand(),
            trouble: match shared.queue.failures() {
                0 => String::new(),
                _ => shared.trouble.clone(),
            },
        }
    }

    /// A message that waits is due, because an operator asked then; and the destination rests no longer,
    /// unless it has failed since.
    pub(super) fn hurry(&self, id: MessageId, asked: Instant) {
        self.lock().queue.hurry(id, asked);
        self.work.notify_all();
    }

    /// A message that waits is known no more; false where a thread has it.
    pub(super) fn withdraw(&self, id: MessageId) -> bool {
        self.lock().queue.withdraw(id)
    }

    /// How the destination is now.
    pub(super) fn vitals(&self, now: Instant) -> LaneVitals {
        let shared = self.lock();
        let (messages, in_hand) = shared.queue.depth();
        LaneVitals {
            name: self.route.to_string(),
            messages,
            in_hand,
            failures: shared.queue.failures(),
            is_resting: shared.queue.is_resting(now),
            delivered: self.tally.delivered.value(),
            deferred: self.tally.deferred.value(),
            failed: self.tally.failed.value(),
        }
    }

    /// A recipient's copy was taken.
    pub(super) fn count_delivered(&self) {
        self.tally.delivered.count();
        self.common.options.stats.recipients_delivered.count();
    }

    /// A recipient is put off until later.
    pub(super) fn count_deferred(&self) {
        self.tally.deferred.count();
        self.common.options.stats.recipients_deferred.count();
    }

    /// The brake was pulled.
    pub(super) fn wake(&self) {
        // Under the lock: a thread that has just found the brake untouched waits by now.
        drop(self.lock());
        self.work.notify_all();
    }

    /// Waits until the threads have ended, or until then: one that connects or looks a name up cannot be
    /// interrupted, and is left behind.
    pub(super) fn wait_for_end(&self, until: Instant) {
        let mut shared = self.lock();
        while shared.running > 0 {
            let left = until.saturating_duration_since(clock::monotonic());
            if left.is_zero() {
                return;
            }
            (shared, _) = self.ended.wait_timeout(shared, left);
        }
    }

    /// The next message for a thread without a connection; waits for one.
    pub(super) fn next(&self) -> Next {
        let mut shared = self.lock();
        loop {
            if self.common.brake.is_pulled() {
                return Next::End;
            }
            let now = clock::monotonic();
            if let Some(id) = shared.queue.take_expired(now) {
                return Next::Expired(id, shared.reason.clone());
            }
            if let Some(id) = shared.queue.take(now) {
                return Next::Message(id, shared.next_hop.clone());
            }
            let look = shared.queue.next_look();
            let left = look.map_or(LOOK_MAX, |at| at.saturating_duration_since(now));
            (shared, _) = self.work.wait_timeout(shared, left.min(LOOK_MAX));
        }
    }

    /// The next message for a thread whose connection stands; does not wait.
    pub(super) fn next_at_once(&self) -> Next {
        let mut shared = self.lock();
        if self.common.brake.is_pulled() {
            return Next::End;
        }
        match shared.queue.take_more(clock::monotonic()) {
            Some(id) => Next::Message(id, shared.next_hop.clone()),
            None => Next::HangUp,
        }
    }

    pub(super) fn finish(&self, id: MessageId) {
        self.lock().queue.finish(id);
        self.work.notify_all();
    }

    pub(super) fn finish_expired(&self, id: MessageId) {
        self.lock().queue.finish_expired(id);
        self.work.notify_all();
    }

    pub(super) fn put_off(&self, id: MessageId, wait: Duration, why: Why) {
        let until = clock::monotonic() + wait;
        self.lock().queue.put_off(id, until, why);
        self.work.notify_all();
    }

    /// The destination could not be used for a message that is tried again after `retry`: it rests, and no
    /// longer than that.
    pub(super) fn host_failed(&self, error: &HostError, retry: Duration) {
        let (kind, words) = (error.kind(), error.to_string());
        self.troubles().failed(&self.route, kind, &words);
        let mut shared = self.lock();
        (shared.trouble, shared.reason) = (words, error.reason());
        shared.lacks_login = kind.is_of_login();
        let rest = self.common.rest(shared.queue.failures()).min(retry);
        let now = clock::monotonic();
        shared.queue.host_failed(now, now + rest);
        drop(shared);
        self.work.notify_all();
    }

    /// A connection stands, with a login where one is wanted.
    pub(super) fn host_answers(&self) {
        self.troubles().login_works(&self.route);
        let mut shared = self.lock();
        shared.lacks_login = false;
        shared.queue.host_answers(clock::monotonic());
        drop(shared);
        self.work.notify_all();
    }

    /// The server has taken up a transaction.
    pub(super) fn host_works(&self) {
        self.troubles().works(&self.route);
        self.lock().queue.host_works();
    }

    fn troubles(&self) -> &Troubles {
        &self.common.options.troubles
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // Nothing is done under the lock that could leave it half changed.
        self.shared.lock()
    }
}

/// Counts a thread for as long as it lives, also where it panics.
struct Running(Arc<Lane>);

impl Running {
    fn new(lane: Arc<Lane>) -> Self {
        lane.lock().running += 1;
        Self(lane)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
        self.0.ended.notify_all();
    }
}
