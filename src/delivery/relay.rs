//! Mail for elsewhere: outside recipients go to the smarthost.
//!
//! The deliverer hands messages over and forgets them; [`THREADS`] threads carry them, several messages
//! on one connection while messages wait. Local deliveries never wait for any of it.
//!
//! | outcome | then |
//! | --- | --- |
//! | 250 after the mail data | done: a done record is in the log and synced before the next message goes out |
//! | 4yz at MAIL, RCPT or DATA, a connection that breaks, a message the smarthost cannot take | deferred, by recipient |
//! | 5yz at MAIL, RCPT or DATA | failed, by recipient (`outcome` has the exceptions) |
//! | no address, no connection, no TLS, no login | the message in hand is deferred, and the host rests |
//!
//! Promises: nothing is given up before `[queue] expire`, be the host as dead as it may; a recipient is
//! done only when the smarthost said so, or when its sender was told that it failed. Delays grow as
//! those of local deliveries do, and are stretched by up to a quarter, so that messages spread. A start
//! takes up everything at once.
//!
//! **Second copies.** A recipient gets at most one more copy for each time that the connection is lost
//! between the last dot and the reply, or that the machine or the service stops between the reply and
//! the sync of the done record: then the smarthost has the message and we do not know it (RFC 5321
//! section 4.5.3.2.6 tells why waiting long for that reply matters). A disk that fails under the done
//! record keeps the knowledge in memory only.
//!
//! At the end ([`Relay::stop`]) a step in hand may go on for two seconds, the wait for the reply to a
//! whole message for ten; what was not taken by then is due at the next start.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::carrier::Carrier;
use super::deliverer::RETRY;
use super::notifier::Notifier;
use super::outcome::QueueRules;
use super::relay_queue::{RelayQueue, Why};
use super::smtp_client::Limits;
use crate::config::settings::Smarthost;
use crate::mail::MessageId;
use crate::spool::Spool;
use crate::sys::{clock, random};
use crate::transport::client::Brake;

/// Threads that talk to the smarthost.
pub const THREADS: usize = 2;
/// How long nobody tries to connect after the smarthost could not be used once, twice … in a row; the
/// last one repeats. A wrong password must not become a storm of failed logins.
pub const REST: [Duration; 3] = [RETRY[0], RETRY[1], RETRY[2]];
/// The longest a thread waits before it looks again by itself.
const LOOK_MAX: Duration = Duration::from_secs(60);
/// How long the end waits for the threads; more than any step may last then.
const END_MAX: Duration = Duration::from_secs(12);

/// How the relay is set up.
#[derive(Debug, Clone)]
pub struct RelayOptions {
    /// Our name, for EHLO, until [`Relay::set_hostname`] gives another.
    pub hostname: String,
    /// How long each step may take.
    pub limits: Limits,
    /// The rules of the queue where there is no notifier that has them.
    pub queue: QueueRules,
    /// How long the host rests after the first, second … failure; the last one repeats.
    pub rest: [Duration; 3],
}

impl RelayOptions {
    /// The usual times.
    pub fn new(hostname: String) -> Self {
        Self {
            hostname,
            limits: Limits::USUAL,
            queue: QueueRules::patient(RETRY.to_vec()),
            rest: REST,
        }
    }
}

/// Hands outside recipients to the smarthost.
pub struct Relay {
    pub(super) spool: Arc<Spool>,
    pub(super) options: RelayOptions,
    pub(super) brake: Arc<Brake>,
    pub(super) notifier: Option<Arc<Notifier>>,
    shared: Mutex<Shared>,
    work: Condvar,
    ended: Condvar,
}

struct Shared {
    queue: RelayQueue,
    hostname: Arc<str>,
    smarthost: Option<Arc<Smarthost>>,
    /// Why the host could not be used when it was tried last.
    trouble: String,
    stopping: bool,
    running: usize,
}

/// What a thread does next.
pub(super) enum Next {
    /// Carry this message.
    Message(MessageId, Option<Arc<Smarthost>>),
    /// Give this message up if it has expired: nobody can be tried, and why.
    Expired(MessageId, String),
    /// Nothing is due: end the connection, then ask again.
    HangUp,
    /// End.
    End,
}

impl Relay {
    /// A relay without threads yet. Without a smarthost, what is handed over waits for one.
    pub fn new(spool: Arc<Spool>, options: RelayOptions, smarthost: Option<Smarthost>) -> Self {
        let hostname = Arc::from(options.hostname.as_str());
        Self {
            spool,
            options,
            brake: Arc::default(),
            notifier: None,
            shared: Mutex::new(Shared {
                queue: RelayQueue::default(),
                hostname,
                smarthost: smarthost.map(Arc::new),
                trouble: String::new(),
                stopping: false,
                running: 0,
            }),
            work: Condvar::new(),
            ended: Condvar::new(),
        }
    }

    /// The same, with somebody who tells senders, and has the rules of the queue; without one, what has
    /// ended stays in the spool until there is one.
    #[must_use]
    pub fn with_notifier(mut self, notifier: Arc<Notifier>) -> Self {
        self.notifier = Some(notifier);
        self
    }

    /// Starts the threads; they end after [`Relay::stop`].
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start(self: &Arc<Self>) -> io::Result<()> {
        for _ in 0..THREADS {
            let guard = Running::new(Arc::clone(self));
            thread::Builder::new()
                .name("relay".into())
                .stack_size(512 * 1024)
                .spawn(move || Carrier::new(&guard.0).run())?;
        }
        Ok(())
    }

    /// A message has outside recipients that are due, and expires after a while. One that is known
    /// already stays as it is.
    pub fn hand_over(&self, id: MessageId, now: Instant, left: Duration) {
        let end = now.checked_add(left);
        self.lock().queue.add(id, now, end);
        self.work.notify_one();
    }

    /// From here on another smarthost is used, or other settings of it; then everything is due.
    pub fn set_smarthost(&self, smarthost: Option<Smarthost>, now: Instant) {
        let mut shared = self.lock();
        if shared.smarthost.as_deref() != smarthost.as_ref() {
            shared.smarthost = smarthost.map(Arc::new);
            shared.queue.host_changed(now);
            self.work.notify_all();
        }
    }

    /// From the next connection on, this is our name.
    pub fn set_hostname(&self, hostname: &str) {
        self.lock().hostname = Arc::from(hostname);
    }

    pub(super) fn hostname(&self) -> Arc<str> {
        Arc::clone(&self.lock().hostname)
    }

    /// Begins no more transactions, and cuts short what waits.
    pub fn stop(&self, now: Instant) {
        self.brake.pull(now);
        self.lock().stopping = true;
        self.work.notify_all();
    }

    /// Waits until the threads have ended, for a bounded time: one that connects or looks a name up
    /// cannot be interrupted, and is left behind.
    pub fn wait_for_end(&self) {
        let until = clock::monotonic() + END_MAX;
        let mut shared = self.lock();
        while shared.running > 0 {
            let left = until.saturating_duration_since(clock::monotonic());
            if left.is_zero() {
                return;
            }
            let waited = self.ended.wait_timeout(shared, left);
            shared = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The next message for a thread without a connection; waits for one.
    pub(super) fn next(&self) -> Next {
        let mut shared = self.lock();
        loop {
            if shared.stopping {
                return Next::End;
            }
            let now = clock::monotonic();
            if let Some(id) = shared.queue.take_expired(now) {
                return Next::Expired(id, shared.trouble.clone());
            }
            if let Some(id) = shared.queue.take(now) {
                return Next::Message(id, shared.smarthost.clone());
            }
            let look = shared.queue.next_look();
            let left = look.map_or(LOOK_MAX, |at| at.saturating_duration_since(now));
            let waited = self.work.wait_timeout(shared, left.min(LOOK_MAX));
            shared = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The next message for a thread whose connection stands; does not wait.
    pub(super) fn next_at_once(&self) -> Next {
        let mut shared = self.lock();
        if shared.stopping {
            return Next::End;
        }
        match shared.queue.take_more(clock::monotonic()) {
            Some(id) => Next::Message(id, shared.smarthost.clone()),
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

    pub(super) fn host_failed(&self, trouble: String) {
        let mut shared = self.lock();
        shared.trouble = trouble;
        let rest = nth(&self.options.rest, shared.queue.failures());
        shared
            .queue
            .host_failed(clock::monotonic() + stretched(rest));
        drop(shared);
        self.work.notify_all();
    }

    pub(super) fn host_works(&self) {
        self.lock().queue.host_works(clock::monotonic());
        self.work.notify_all();
    }

    /// The delay after this many failed attempts and one more.
    pub(super) fn delay(&self, failed: u32) -> Duration {
        stretched(self.queue_rules().delay(failed))
    }

    pub(super) fn queue_rules(&self) -> QueueRules {
        match &self.notifier {
            Some(notifier) => notifier.rules().queue.clone(),
            None => self.options.queue.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // Nothing is done under the lock that could leave it half changed.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a thread for as long as it lives, also where it panics.
struct Running(Arc<Relay>);

impl Running {
    fn new(relay: Arc<Relay>) -> Self {
        relay.lock().running += 1;
        Self(relay)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
        self.0.ended.notify_all();
    }
}

/// The delay at a place; the last one repeats.
fn nth(delays: &[Duration], place: u32) -> Duration {
    let delay = delays.get(place as usize).or(delays.last());
    delay.copied().unwrap_or(Duration::ZERO)
}

/// Up to a quarter more.
fn stretched(delay: Duration) -> Duration {
    let mut octet = [0];
    // Without random numbers the delay is as good as any.
    let _ = random::fill(&mut octet);
    delay + delay / 4 * u32::from(octet[0]) / 256
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_grow_and_the_last_one_repeats() {
        let minutes = [0, 1, 2, 3, 99].map(|place| nth(&REST, place).as_secs() / 60);
        assert_eq!(minutes, [1, 5, 15, 15, 15]);
    }

    #[test]
    fn delays_are_stretched_by_a_quarter_at_most() {
        for delay in [Duration::ZERO, Duration::from_millis(3), RETRY[4]] {
            for _ in 0..100 {
                let longer = stretched(delay);
                assert!(longer >= delay && longer <= delay + delay / 4);
            }
        }
    }
}
