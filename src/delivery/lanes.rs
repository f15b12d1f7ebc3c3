//! Mail that does not go into Maildirs: one lane for each destination.
//!
//! [`Lanes::hand_over`] looks where each recipient of a message goes ([`NextHops::route`]) and gives the
//! message to those lanes; a lane begins with its first message. A lane serves those recipients alone whose
//! route is its own *now*: where settings have changed meanwhile, it gives the message back to the spool as
//! a fresh one, and the deliverer hands it over anew. So a recipient is in one hand at a time.
//!
//! Promises: no destination holds up another, or the Maildirs; each has [`lane::THREADS`](super::lane::THREADS)
//! connections at most. Limits: attempts are kept for all lanes of a message together, the most of any of them
//! counts: a group whose members go several ways waits as its slowest way does after a start.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use super::deliverer::RETRY;
use super::lane::Lane;
pub use super::lane::LaneVitals;
pub use super::lane_queue::Look;
use super::next_hop::{NextHops, Route};
use super::notifier::Notifier;
use super::outcome::QueueRules;
use super::queue_age::QueueAge;
use super::smtp_client::Limits;
use crate::mail::{MessageId, date};
use crate::spool::{Spool, Stored};
use crate::stats::Stats;
use crate::sys::sync::{Mutex, RwLock};
use crate::sys::{clock, random};
use crate::transport::client::Brake;
use crate::troubles::Troubles;

/// How long nobody tries to connect after a destination could not be used once, twice … in a row; the
/// last one repeats. A wrong password must not become a storm of failed logins.
pub const REST: [Duration; 3] = [RETRY[0], RETRY[1], RETRY[2]];
/// How long the end waits for the threads, from the moment the brake is pulled: more than any step may
/// last then.
const END_MAX: Duration = Duration::from_secs(12);
/// The same, from the moment somebody waits.
const END_MIN: Duration = Duration::from_secs(3);

/// How the lanes are set up.
#[derive(Debug, Clone)]
pub struct LaneOptions {
    /// How long each step may take.
    pub limits: Limits,
    /// The rules of the queue where there is no notifier that has them.
    pub queue: QueueRules,
    /// How long a destination rests after the first, second … failure; the last one repeats.
    pub rest: [Duration; 3],
    /// Where it is noted what cannot be used.
    pub troubles: Arc<Troubles>,
    /// Where it is counted what becomes of recipients.
    pub stats: Arc<Stats>,
}

impl Default for LaneOptions {
    /// The usual times.
    fn default() -> Self {
        Self {
            limits: Limits::USUAL,
            queue: QueueRules::patient(RETRY.to_vec()),
            rest: REST,
            troubles: Arc::default(),
            stats: Arc::default(),
        }
    }
}

/// How a destination stands, for an operator who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// As the operator knows it.
    pub name: String,
    /// The messages with recipients for it that are not done.
    pub messages: Vec<MessageId>,
    /// How many of them are being carried.
    pub in_hand: usize,
    /// Why it could not be used the last time; empty where it works.
    pub trouble: String,
}

/// What all lanes share.
pub(super) struct Common {
    pub(super) spool: Arc<Spool>,
    pub(super) options: LaneOptions,
    pub(super) brake: Arc<Brake>,
    pub(super) notifier: Option<Arc<Notifier>>,
    next_hops: RwLock<Arc<NextHops>>,
    age: Mutex<QueueAge>,
}

/// Carries recipients to where the settings say.
pub struct Lanes {
    common: Arc<Common>,
    lanes: Mutex<BTreeMap<Route, Arc<Lane>>>,
}

impl Lanes {
    /// No lane yet. The notifier tells senders, and has the rules of the queue; without one, what has
    /// ended stays in the spool until there is one.
    pub fn new(
        spool: Arc<Spool>,
        options: LaneOptions,
        next_hops: NextHops,
        notifier: Option<Arc<Notifier>>,
    ) -> Self {
        Self {
            common: Arc::new(Common {
                spool,
                options,
                brake: Arc::default(),
                notifier,
                next_hops: RwLock::new(Arc::new(next_hops)),
                age: Mutex::default(),
            }),
            lanes: Mutex::default(),
        }
    }

    /// Where it is noted what cannot be used.
    pub fn troubles(&self) -> Arc<Troubles> {
        Arc::clone(&self.common.options.troubles)
    }

    /// Where it is counted what becomes of recipients.
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.common.options.stats)
    }

    /// How each destination is now that had a message since the start.
    pub fn vitals(&self, now: Instant) -> Vec<LaneVitals> {
        let lanes = self.all();
        lanes.iter().map(|lane| lane.vitals(now)).collect()
    }

    /// Whether local recipients go into Maildirs.
    pub fn has_maildirs(&self) -> bool {
        self.common.next_hops().lmtp.is_none()
    }

    /// Gives a message to the lanes of its recipients that are due; it expires after `left`.
    pub fn hand_over(&self, stored: &Stored, left: Duration, now: Instant) {
        if self.common.brake.is_pulled() {
            return;
        }
        let next_hops = self.common.next_hops();
        let due = stored.due();
        let routes = due.filter_map(|(_, recipient)| {
            next_hops.route(&stored.envelope.reverse_path, &recipient.target)
        });
        for route in routes.collect::<BTreeSet<_>>() {
            self.lane(route).hand_over(stored.id, now, left);
        }
    }

    /// The lane of a route; a new one where there is none. Its next hop is looked up while nobody can set
    /// others: a lane that is made just then must not miss them.
    fn lane(&self, route: Route) -> Arc<Lane> {
        let mut lanes = self.lock();
        let lane = lanes.entry(route).or_insert_with_key(|route| {
            let common = Arc::clone(&self.common);
            let next_hop = common.next_hops().hop(route);
            Arc::new(Lane::new(common, route.clone(), next_hop))
        });
        Arc::clone(lane)
    }

    /// From here on mail goes there. Whether local mail goes into Maildirs must stay as it is.
    pub fn set_next_hops(&self, next_hops: NextHops, now: Instant) {
        let next_hops = Arc::new(next_hops);
        let lanes = self.lock();
        let before = {
            let mut lock = self.common.next_hops.write();
            std::mem::replace(&mut *lock, Arc::clone(&next_hops))
        };
        for (route, lane) in &*lanes {
            lane.set_next_hop(next_hops.hop(route), now);
            if !before.has_routes_of(&next_hops) {
                lane.look_again(now);
            }
        }
    }

    /// Somebody else has logged in at the smarthost of this name, its host, as this user.
    pub fn login_worked_elsewhere(&self, name: &str, host: &str, user: &str, now: Instant) {
        let lanes = self.all().into_iter();
        let named = lanes.filter(|lane| lane.route.to_string() == name);
        named.for_each(|lane| lane.login_worked_elsewhere(host, user, now));
    }

    /// Where a message is in the lanes that know it: in hand before all else, then the earliest; and why
    /// that destination rests, if it does.
    pub fn look(&self, id: MessageId) -> Option<(Look, String)> {
        let lanes = self.all();
        let looks = lanes.iter().filter_map(|lane| lane.look(id));
        looks.min_by_key(|(look, _)| match look {
            Look::InHand => None,
            Look::Until(at) => Some(*at),
        })
    }

    /// How each destination stands.
    pub fn standings(&self) -> Vec<Standing> {
        let lanes = self.all();
        lanes.iter().map(|lane| lane.standing()).collect()
    }

    /// A message that waits in lanes is due, because an operator asked then; and their destinations rest
    /// no longer, unless they have failed since.
    pub fn hurry(&self, id: MessageId, asked: Instant) {
        let lanes = self.all();
        lanes.iter().for_each(|lane| lane.hurry(id, asked));
    }

    /// A message is in no lane any more; false where a thread has it, and then it is in all its lanes.
    pub fn withdraw(&self, id: MessageId) -> bool {
        let lanes = self.all();
        let is_in_hand = |lane: &Arc<Lane>| matches!(lane.look(id), Some((Look::InHand, _)));
        if lanes.iter().any(is_in_hand) {
            return false;
        }
        let withdrawn = lanes.iter().all(|lane| lane.withdraw(id));
        if !withdrawn {
            // One has taken it in this very moment: the deliverer hands it to the others anew.
            self.common.spool.give_back(id);
        }
        withdrawn
    }

    /// What cuts short whatever waits for a server, once it is pulled.
    pub fn brake(&self) -> &Arc<Brake> {
        &self.common.brake
    }

    /// Begins no more transactions, and cuts short what waits.
    pub fn stop(&self, now: Instant) {
        self.common.brake.pull(now);
        self.lock().values().for_each(|lane| lane.wake());
    }

    /// Waits until the threads have ended, for a bounded time.
    pub fn wait_for_end(&self) {
        let now = clock::monotonic();
        let stopped = self.common.brake.pulled_at().unwrap_or(now);
        let until = (stopped + END_MAX).max(now + END_MIN);
        let lanes = self.all();
        lanes.iter().for_each(|lane| lane.wait_for_end(until));
    }

    /// Each of them, to be asked without the lock.
    fn all(&self) -> Vec<Arc<Lane>> {
        self.lock().values().map(Arc::clone).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Route, Arc<Lane>>> {
        // A lane is whole before it is put in.
        self.lanes.lock()
    }
}

impl Common {
    /// Where mail goes now.
    pub(super) fn next_hops(&self) -> Arc<NextHops> {
        let lock = self.next_hops.read();
        Arc::clone(&lock)
    }

    /// The time by which a message that was accepted at `received` is judged now, seconds since 1970.
    pub(super) fn judged_at(&self, received: u64, expire: Duration) -> u64 {
        let clocks = (clock::monotonic(), date::unix_seconds(clock::now()));
        let mut age = self.age.lock();
        age.now_for(received, expire, clocks)
    }

    /// The delay after this many failed attempts and one more.
    pub(super) fn delay(&self, failed: u32) -> Duration {
        stretched(self.queue_rules().delay(failed))
    }

    /// How long a destination rests after this many failures in a row and one more.
    pub(super) fn rest(&self, failures: u32) -> Duration {
        stretched(nth(&self.options.rest, failures))
    }

    pub(super) fn queue_rules(&self) -> QueueRules {
        match &self.notifier {
            Some(notifier) => notifier.rules().queue.clone(),
            None => self.options.queue.clone(),
        }
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
