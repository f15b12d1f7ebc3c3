//! Tells senders what became of their mail (RFC 5321 section 6.1, RFC 3461).
//!
//! One thread. Deliverer and lanes settle what ended in the spool first, with its reason, and hand the
//! message over. Here a notification is made, committed as a message of its own, and only then the
//! recipients it speaks of are done. So a crash may have a sender told twice, never not at all:
//!
//! | power lost | then |
//! | --- | --- |
//! | before the outcome is in the log | the recipient is tried again |
//! | after that, before the notification is committed | the start finds the outcome, and the sender is told |
//! | after that, before the recipients are done | the sender is told again: once more for each such cut |
//! | after that | nothing is left to do |
//!
//! | who is told | where |
//! | --- | --- |
//! | a local sender | in its mailbox, as the directory says |
//! | a sender elsewhere | by the smarthost |
//! | of a failure: a sender who does not exist, or is elsewhere without a smarthost | the postmaster, with a note |
//! | of a failure: nobody, for there is no sender (a notification that failed) | the postmaster, once |
//! | the postmaster cannot be told either | a log line, and the message stays in `bad/` |
//!
//! Promises: what goes out has no sender, so nobody answers it, and nothing is ever sent about what the
//! postmaster was told. Limits: [`super::notice_queue`]; what is beyond them waits in the spool with its header section
//! alone, and is told of together with the others of its sender: that notification is committed before any of them is done.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::content::Source;
use super::deliverer::{Moment, RETRY};
use super::notice::{Heading, Report, Reports, Returned, Way};
use super::notice_queue::{Address, Late, NoticeQueue, Turn, Whose};
use super::outcome::QueueRules;
use crate::events;
use crate::mail::fullness::Fullness;
use crate::mail::{Action, ForwardPath, MessageId, Progress, Target};
use crate::spool::{Origin, Party, Settled, Spool, SpoolError, Stored};
use crate::stats::Stats;
use crate::sys::random;
use crate::sys::sync::{Condvar, Mutex};

mod case;

use case::{Addressed, Case, Decision, envelope_to, items};

/// No report is added to a notification that has so many octets.
const REPORTS_MAX_OCTETS: usize = 1024 * 1024;
/// How long a message waits that cannot be told of now.
const PATIENCE: Duration = RETRY[0];
/// The longest the thread waits before it looks again by itself.
const LOOK_MAX: Duration = Duration::from_secs(60);

/// Where mail for an address goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// Here, to these.
    Here(Vec<Target>),
    /// To another server.
    Elsewhere,
    /// Here, but nobody has that name.
    Nobody,
    /// That cannot be told now.
    NotNow,
}

/// Finds out where mail for an address goes.
pub type FindHome = Arc<dyn Fn(&ForwardPath) -> Home + Send + Sync>;

/// Finds out how full a user's mailbox is; none where it has no quota.
pub type FindFullness = Arc<dyn Fn(&str) -> Option<Fullness> + Send + Sync>;

/// What the operator set; a refresh replaces it.
#[derive(Clone)]
pub struct NotifierRules {
    /// Our name.
    pub hostname: String,
    /// The rules of the queue.
    pub queue: QueueRules,
    /// Whether mail without a sender can leave this machine.
    pub has_smarthost: bool,
    /// Who is here.
    pub find: FindHome,
    /// How full mailboxes are.
    pub fullness: FindFullness,
}

/// Tells senders.
pub struct Notifier {
    spool: Arc<Spool>,
    stats: Arc<Stats>,
    shared: Mutex<Shared>,
    work: Condvar,
}

struct Shared {
    queue: NoticeQueue,
    rules: Arc<NotifierRules>,
    /// What the disk did not take yet.
    unsettled: Vec<Settled>,
    stopping: bool,
}

/// A notification that is being made.
struct Letter {
    is_of_several: bool,
    /// None before the first message.
    addressed: Option<Addressed>,
    address: Option<Address>,
    reports: Reports,
    /// Of each message: what is told first, and of how many recipients.
    about: Vec<(MessageId, &'static str, usize)>,
    /// What is settled once it is committed.
    told: Vec<Settled>,
    /// The places of those among what was taken.
    places: Vec<usize>,
}

/// One of those taken that is told of later: its place, when, and for whom it was held back.
type PutOff = (usize, Turn, Option<Address>);

impl Notifier {
    /// One that has told nobody yet.
    pub fn new(spool: Arc<Spool>, rules: NotifierRules, stats: Arc<Stats>) -> Self {
        Self {
            spool,
            stats,
            shared: Mutex::new(Shared {
                queue: NoticeQueue::default(),
                rules: Arc::new(rules),
                unsettled: Vec::new(),
                stopping: false,
            }),
            work: Condvar::new(),
        }
    }

    /// Runs it in a thread of its own, until [`Notifier::stop`].
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start(self: &Arc<Self>) -> io::Result<JoinHandle<()>> {
        let notifier = Arc::clone(self);
        thread::Builder::new()
            .name("notifier".into())
            .stack_size(256 * 1024)
            .spawn(move || {
                while notifier.wait() {
                    while notifier.step(Moment::now()) {}
                }
            })
    }

    /// Ends the thread; who was not told yet is told after the next start.
    pub fn stop(&self) {
        self.lock().stopping = true;
        self.work.notify_all();
    }

    /// From here on these rules hold.
    pub fn set_rules(&self, rules: NotifierRules) {
        self.lock().rules = Arc::new(rules);
    }

    /// The rules.
    pub(super) fn rules(&self) -> Arc<NotifierRules> {
        Arc::clone(&self.lock().rules)
    }

    /// The sender of a message has to be told: of recipients that have ended, which the spool knows, and
    /// of those that are late.
    pub fn hand_over(&self, id: MessageId, late: Late, now: Instant) {
        self.lock().queue.add(id, late, now);
        self.work.notify_all();
    }

    /// A recipient failed.
    pub(super) fn count_failed(&self, action: Action) {
        self.stats.recipients_failed.count();
        if action == Action::Expired {
            self.stats.recipients_expired.count();
        }
    }

    /// Waits for work; false at the end.
    fn wait(&self) -> bool {
        let mut shared = self.lock();
        loop {
            if shared.stopping {
                return false;
            }
            let now = Moment::now().steady;
            let look = shared.queue.next_look();
            let left = look.map_or(LOOK_MAX, |at| at.saturating_duration_since(now));
            if left.is_zero() {
                return true;
            }
            let (again, is_over) = self.work.wait_timeout(shared, left.min(LOOK_MAX));
            if is_over {
                // Something may have to be summed up.
                return !again.stopping;
            }
            shared = again;
        }
    }

    /// Makes one notification, if one is due. Whether there was one.
    pub fn step(&self, now: Moment) -> bool {
        let (taken, held_back, rules) = {
            let mut shared = self.lock();
            let held_back = shared.queue.held_back(now.steady);
            let taken = match shared.stopping {
                true => Vec::new(),
                false => shared.queue.take(now.steady),
            };
            (taken, held_back, Arc::clone(&shared.rules))
        };
        if let Some(count) = held_back {
            events::outcome::notices_held_back(count);
        }
        self.settle(Vec::new());
        let Some((first, _)) = taken.first() else {
            return false;
        };
        // A fault of ours costs these messages a while, not the others their notifications.
        let told = catch_unwind(AssertUnwindSafe(|| self.tell(&taken, &rules, now)));
        let put_off = told.unwrap_or_else(|_| {
            events::outcome::notifier_bug(*first, PATIENCE.as_secs());
            let places = 0..taken.len();
            places.map(|place| (place, later(now), None)).collect()
        });
        let mut shared = self.lock();
        for (place, until, address) in put_off {
            if let Some((id, late)) = taken.get(place) {
                shared.queue.put_off(*id, late.clone(), until, address);
            }
        }
        true
    }

    /// How many messages wait because there were too many notifications.
    pub fn held_back(&self) -> usize {
        self.lock().queue.held_now()
    }

    /// Tells of messages; which of them are tried again.
    fn tell(&self, taken: &[(MessageId, Late)], rules: &NotifierRules, now: Moment) -> Vec<PutOff> {
        let mut letter = Letter::new(taken.len() > 1);
        let mut put_off = Vec::new();
        let mut buffer = Vec::new();
        for (place, (id, late)) in taken.iter().enumerate() {
            let added = self.add_to(&mut letter, (*id, late), rules, now, &mut buffer);
            if let Err((until, address)) = added {
                put_off.push((place, until, address));
            } else if letter.told.last().is_some_and(|told| told.id == *id) {
                letter.places.push(place);
            }
        }
        match self.send(&letter, rules, now) {
            Ok(()) => self.settle(letter.told),
            Err(()) => {
                let places = letter.places.into_iter();
                put_off.extend(places.map(|place| (place, later(now), letter.address.clone())));
            }
        }
        put_off
    }

    /// Adds a message to what is told; or when to try again.
    fn add_to(
        &self,
        letter: &mut Letter,
        (id, late): (MessageId, &Late),
        rules: &NotifierRules,
        now: Moment,
        buffer: &mut Vec<u8>,
    ) -> Result<(), (Turn, Option<Address>)> {
        let again = || (later(now), None);
        let stored = match self.spool.read(id, buffer) {
            Ok(stored) => stored,
            Err(SpoolError::NoSuchMessage(_)) => return Ok(()),
            Err(error) => {
                // What is damaged is set aside by whoever delivers it.
                events::spool_failed(error);
                return Err(again());
            }
        };
        let case = Case {
            items: items(&stored, late),
            stored: &stored,
            rules,
        };
        if case.items.is_empty() {
            return Ok(());
        }
        match case.decide() {
            Decision::Tell(addressed) => {
                self.admit(letter, &case, addressed, now)?;
                let added = letter.add(&case, buffer);
                added.map_err(|error| {
                    events::spool_failed(error);
                    again()
                })?;
            }
            Decision::Forget => {}
            Decision::SetAside(reason) => {
                events::outcome::nobody_told(id, reason);
                return self.spool.set_aside(id, reason).map_err(|error| {
                    events::spool_failed(error);
                    again()
                });
            }
            Decision::PutOff => return Err(again()),
        }
        letter.told.push(told(&stored, late));
        Ok(())
    }

    /// Whether a message may be told of in this letter; or when in another one.
    fn admit(
        &self,
        letter: &mut Letter,
        case: &Case<'_>,
        addressed: Addressed,
        now: Moment,
    ) -> Result<(), (Turn, Option<Address>)> {
        let stored = case.stored;
        let is_known = case.rules.queue.knows(&stored.envelope);
        let whose = match is_known || stored.origin != Origin::Client {
            true => Whose::Known,
            false => Whose::Stranger,
        };
        let address = (whose, addressed.path.to_string());
        let Some(first) = &letter.addressed else {
            let admitted = self.lock().queue.admit(&address.1, whose, now.steady);
            if let Err(at) = admitted {
                self.hold_back(stored);
                return Err(((whose, at), Some(address)));
            }
            (letter.address, letter.addressed) = (Some(address), Some(addressed));
            return Ok(());
        };
        // What the settings say may have changed since it was held back.
        let is_same = letter.address.as_ref() == Some(&address) && first.is_like(&addressed);
        match is_same && letter.reports.octets() < REPORTS_MAX_OCTETS {
            true => Ok(()),
            false => Err(((whose, now.steady), Some(address))),
        }
    }

    /// What its sender is told later needs no more of it than its header section.
    fn hold_back(&self, stored: &Stored) {
        if stored.due().next().is_none() {
            if let Err(error) = self.spool.keep_header(stored.id) {
                // It waits as a whole.
                events::spool_failed(error);
            }
        }
    }

    /// Commits a letter, where there is anything in it.
    fn send(&self, letter: &Letter, rules: &NotifierRules, now: Moment) -> Result<(), ()> {
        let Some(addressed) = &letter.addressed else {
            return Ok(());
        };
        if letter.reports.octets() == 0 {
            return Ok(());
        }
        let mut envelope = envelope_to(addressed);
        envelope.eight_bit = letter.reports.is_eight_bit();
        let to = match &addressed.path {
            ForwardPath::Postmaster => format!("postmaster@{}", rules.hostname),
            path @ ForwardPath::Mailbox(_) => path.to_string(),
        };
        let draft = self.spool.draft_from(addressed.origin, envelope, now.wall);
        let mut draft = draft.map_err(|_| ())?;
        let notice = draft.id();
        let heading = Heading {
            hostname: &rules.hostname,
            id: notice,
            to: &to,
            now: now.wall,
        };
        let content = letter.reports.to_content(&heading);
        draft.write(&content).map_err(|_| ())?;
        self.spool.commit_here(draft).map_err(|_| ())?;
        self.stats.notifications.count();
        for (id, about, count) in &letter.about {
            events::outcome::notified(*id, notice, &to, about, *count);
        }
        Ok(())
    }

    /// What the disk does not take now is tried again with the next one.
    fn settle(&self, more: Vec<Settled>) {
        let mut settled = std::mem::take(&mut self.lock().unsettled);
        settled.extend(more);
        if settled.is_empty() {
            return;
        }
        if let Err(error) = self.spool.settle_told(&mut settled) {
            events::spool_failed(error);
        }
        self.lock().unsettled.extend(settled);
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // Nothing is done under the lock that could leave it half changed.
        self.shared.lock()
    }
}

impl Letter {
    fn new(is_of_several: bool) -> Self {
        Self {
            is_of_several,
            addressed: None,
            address: None,
            reports: Reports::default(),
            about: Vec::new(),
            told: Vec::new(),
            places: Vec::new(),
        }
    }

    /// One more message is told of.
    fn add(&mut self, case: &Case<'_>, buffer: &[u8]) -> io::Result<()> {
        let (stored, items) = (case.stored, &case.items);
        let is_outside = |target: &Target| matches!(target, Target::Outside(_));
        let addressed = self.addressed.as_ref();
        let way = match addressed.is_some_and(|one| one.targets.iter().any(is_outside)) {
            _ if self.is_of_several => Way::Header,
            true => Way::SevenBit,
            false => Way::EightBit,
        };
        if self.reports.octets() == 0 {
            let mut octets = [0; 16];
            random::fill(&mut octets)?;
            self.reports = Reports::new(u128::from_le_bytes(octets));
        }
        let content = Source::new(&stored.content, buffer);
        let left = case.rules.queue.expire;
        let received = Duration::from_secs(stored.received);
        self.reports.push(&Report {
            hostname: &case.rules.hostname,
            stored,
            items,
            note: addressed.and_then(|one| one.note),
            tried_until: std::time::UNIX_EPOCH.checked_add(received.saturating_add(left)),
            returned: Returned::of(stored, content, items, way)?,
        });
        let about = items.first().map_or("", |item| item.outcome.action.word());
        self.about.push((stored.id, about, items.len()));
        Ok(())
    }
}

/// When and in whose turn to try again what cannot be told of now.
fn later(now: Moment) -> Turn {
    (Whose::Known, now.steady + PATIENCE)
}

/// Its sender was told of all [`items`].
fn told(stored: &Stored, late: &Late) -> Settled {
    let progress = stored.progress.iter().enumerate();
    let progress = progress.map(|(place, progress)| match progress {
        Progress::Ended(_) => Progress::Done,
        Progress::Due if late.contains_key(&place) => Progress::Late,
        Progress::Due | Progress::Late | Progress::Done => progress.clone(),
    });
    Settled {
        id: stored.id,
        party: Party::Notifier,
        progress: progress.collect(),
        local: stored.local,
        lanes: stored.lanes,
        is_left: false,
        in_doubt: false,
    }
}
