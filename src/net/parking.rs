//! The parked sessions: every session's place, the queue of those with work, their deadlines.
//!
//! A place is in one of these states; all change under one lock, which is held for a few hundred
//! instructions and never over a system call but a wake-up.
//!
//! | state | holds the job | readiness | message | deadline |
//! | --- | --- | --- | --- | --- |
//! | free | nobody | ignored | ignored | ignored |
//! | parked | the place | to the queue | kept | to the queue |
//! | held | the place | noted | to the queue | to the queue |
//! | busy (queued or running) | queue or worker | noted | kept | looked at when it parks |
//!
//! A socket is registered once, edge-triggered. What is *noted* while a job is busy sends it round
//! again instead of parking, so no edge is lost, and parking costs no system call. Each place has at
//! most one live timer; it outlives the job and serves the next one in that place, so that short
//! sessions leave nothing behind. Limits: as many places as the caller lets in; a place costs about 200 octets.
//!
//! Those that are due are taken by turns of their clients, and none has more than half of the workers, rounded up, at a time, so
//! many sessions of one address hold up nobody else.
//!
//! [`ParkedSessions::crew`] tells how the workers are: a worker that runs a job is busy from when it took it. The operator
//! looks at all jobs by [`ParkedSessions::look`], some [`LOOK_AT_ONCE`] under the lock at a time, and ends one
//! by [`ParkedSessions::end`]: one that waits goes to the queue, one that is busy goes there instead of waiting.

use std::sync::MutexGuard;
use std::time::Instant;

use super::turns::Turns;
use super::{Interest, Job, Outcome, Signals, WakeReason};
use crate::sys::clock;
use crate::sys::sync::{Condvar, Mutex};

/// Places looked at before the lock is let go for a moment.
const LOOK_AT_ONCE: usize = 64;

/// Names a job's place; goes stale when the job ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    index: usize,
    generation: u32,
}

impl Ticket {
    /// The index of the place, for the reactor's tokens.
    pub(super) fn index(self) -> usize {
        self.index
    }
}

/// The parked sessions.
pub struct ParkedSessions<J: Job> {
    state: Mutex<State<J>>,
    work: Condvar,
}

/// A job that is due, for a worker.
pub(super) struct Due<J: Job> {
    pub(super) ticket: Ticket,
    pub(super) job: Box<J>,
    pub(super) wake: WakeReason<J::Message>,
    /// What the poll found since the job last ran.
    pub(super) signals: Signals,
}

impl<J: Job> Due<J> {
    /// A due job; its signals are filled in when a worker takes it.
    pub(super) fn new(ticket: Ticket, job: Box<J>, wake: WakeReason<J::Message>) -> Self {
        Self {
            ticket,
            job,
            wake,
            signals: Signals::default(),
        }
    }
}

/// A job as [`ParkedSessions::look`] found it.
pub struct Seen<J: Job> {
    /// Where it is.
    pub ticket: Ticket,
    /// What is known of it.
    pub info: J::SessionInfo,
    /// What it told of itself; none while it is busy.
    pub snapshot: Option<J::SessionSnapshot>,
}

/// How the workers are at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crew {
    /// How many there are.
    pub workers: usize,
    /// How many of them run a job.
    pub busy: usize,
    /// Jobs that wait for one of them.
    pub queued: usize,
    /// When all are busy: since when none of them has taken a job.
    pub busy_since: Option<Instant>,
}

/// A timer the reactor should have: at this moment, look at this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timer {
    pub(super) at: Instant,
    pub(super) index: usize,
}

struct State<J: Job> {
    places: Vec<Place<J>>,
    free: Vec<usize>,
    queue: Turns<J::Client, Due<J>>,
    idle_workers: usize,
    /// For each worker: when it took the job that it runs.
    busy_since: Vec<Option<Instant>>,
    new_timers: Vec<Timer>,
    stopping: bool,
    closed: bool,
}

struct Place<J: Job> {
    generation: u32,
    standing: Standing<J>,
    noted: Signals,
    message: Option<J::Message>,
    deadline: Instant,
    timer: Option<Instant>,
    info: Option<J::SessionInfo>,
    /// Whose turn it is, from when its job is due until it has run.
    turn_of: Option<J::Client>,
    /// The operator wants its end.
    to_end: bool,
    /// Whether its job has had its [`WakeReason::Stop`].
    told_of_stop: bool,
}

enum Standing<J> {
    Free,
    Parked(Box<J>, Interest),
    Held(Box<J>),
    Busy,
}

impl<J: Job> Default for ParkedSessions<J> {
    fn default() -> Self {
        Self::new()
    }
}

impl<J: Job> ParkedSessions<J> {
    /// With no sessions.
    pub fn new() -> Self {
        let state = State {
            places: Vec::new(),
            free: Vec::new(),
            queue: Turns::new(),
            idle_workers: 0,
            busy_since: Vec::new(),
            new_timers: Vec::new(),
            stopping: false,
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            work: Condvar::new(),
        }
    }

    /// How many jobs there are, in whatever state.
    pub fn occupied(&self) -> usize {
        let state = self.lock();
        state.places.len() - state.free.len()
    }

    /// So many workers are about to come, numbered from 0.
    pub(super) fn employ(&self, workers: usize) {
        self.lock().busy_since.resize(workers, None);
    }

    /// How the workers are now.
    pub fn crew(&self) -> Crew {
        let state = self.lock();
        let busy = state.busy_since.iter().flatten();
        let is_full = state.busy_since.iter().all(Option::is_some);
        Crew {
            workers: state.busy_since.len(),
            busy: busy.clone().count(),
            queued: state.queue.len(),
            busy_since: busy.max().copied().filter(|_| is_full),
        }
    }

    /// Hands `message` to a held job; one that is not yet held gets it when it asks to be. A stale
    /// ticket is ignored.
    pub fn send(&self, ticket: Ticket, message: J::Message) {
        let mut state = self.lock();
        let Some(place) = state.place(ticket) else {
            return;
        };
        match std::mem::replace(&mut place.standing, Standing::Busy) {
            Standing::Held(job) => {
                state.queue_up(Due::new(ticket, job, WakeReason::Message(message)));
                self.call_worker(&state);
            }
            other => {
                place.standing = other;
                place.message = Some(message);
            }
        }
    }

    /// Takes a place for a job that is about to be registered. It is busy until `enqueue`, or given back by `cancel`.
    pub(super) fn reserve(&self, deadline: Instant, info: J::SessionInfo) -> Ticket {
        let mut state = self.lock();
        let index = state.free.pop().unwrap_or(state.places.len());
        if index == state.places.len() {
            state.places.push(Place {
                generation: 0,
                standing: Standing::Free,
                noted: Signals::default(),
                message: None,
                deadline,
                timer: None,
                info: None,
                turn_of: None,
                to_end: false,
                told_of_stop: false,
            });
        }
        let place = place_at(&mut state.places, index);
        place.standing = Standing::Busy;
        place.deadline = deadline;
        place.info = Some(info);
        Ticket {
            index,
            generation: place.generation,
        }
    }

    /// Gives a reserved place back unused.
    pub(super) fn cancel(&self, ticket: Ticket) {
        self.lock().vacate(ticket);
    }

    /// Puts the job of a reserved place into the queue.
    pub(super) fn enqueue(&self, due: Due<J>) {
        let mut state = self.lock();
        state.queue_up(due);
        self.call_worker(&state);
    }

    /// Tells it what the poll found, in one go.
    pub(super) fn ready(&self, events: &[(usize, Signals)]) {
        let mut state = self.lock();
        let mut due = 0;
        for &(index, signals) in events {
            due += usize::from(state.note(index, signals));
        }
        let wake = due.min(state.idle_workers);
        drop(state);
        for _ in 0..wake {
            self.work.notify_one();
        }
    }

    /// The timer of a place has fired: wakes its job if its deadline has passed, else says when to
    /// look again.
    pub(super) fn timer_fired(&self, timer: Timer, now: Instant) -> Option<Timer> {
        let mut state = self.lock();
        let place = state.places.get_mut(timer.index)?;
        if place.timer != Some(timer.at) {
            return None;
        }
        place.timer = None;
        let ticket = Ticket {
            index: timer.index,
            generation: place.generation,
        };
        match std::mem::replace(&mut place.standing, Standing::Busy) {
            Standing::Parked(job, _) | Standing::Held(job) if place.deadline <= now => {
                state.queue_up(Due::new(ticket, job, WakeReason::Deadline));
                self.call_worker(&state);
                None
            }
            // A busy job looks at its deadline when it parks, which asks for a timer again.
            Standing::Busy => None,
            Standing::Free => {
                place.standing = Standing::Free;
                None
            }
            waiting => {
                place.standing = waiting;
                place.timer = Some(place.deadline);
                Some(Timer {
                    at: place.deadline,
                    index: timer.index,
                })
            }
        }
    }

    /// The timers that parking asked for since the last call.
    pub(super) fn take_new_timers(&self, into: &mut Vec<Timer>) {
        into.append(&mut self.lock().new_timers);
    }

    /// Looks at every job there is, in the order of the places. Jobs that come meanwhile may be missed.
    pub fn look(&self, mut each: impl FnMut(Seen<J>)) {
        let mut from = 0;
        loop {
            let seen = self.look_at(from);
            from += LOOK_AT_ONCE;
            match seen {
                Some(seen) => seen.into_iter().for_each(&mut each),
                None => return,
            }
        }
    }

    /// The jobs of the next few places; none past the last.
    fn look_at(&self, from: usize) -> Option<Vec<Seen<J>>> {
        let state = self.lock();
        let places = state.places.get(from..)?.iter().take(LOOK_AT_ONCE);
        let seen = places.enumerate().filter_map(|(at, place)| {
            let ticket = Ticket {
                index: from + at,
                generation: place.generation,
            };
            place.seen(ticket)
        });
        let seen = Vec::from_iter(seen);
        (from < state.places.len()).then_some(seen)
    }

    /// Shows the info of every job there is, in the order of the places, under the lock: `each` has to be
    /// quick. Costs the jobs nothing.
    pub fn infos(&self, mut each: impl FnMut(Ticket, &J::SessionInfo)) {
        for from in (0..).step_by(LOOK_AT_ONCE) {
            let state = self.lock();
            let Some(rest) = state.places.get(from..).filter(|rest| !rest.is_empty()) else {
                return;
            };
            for (at, place) in rest.iter().take(LOOK_AT_ONCE).enumerate() {
                let ticket = Ticket {
                    index: from + at,
                    generation: place.generation,
                };
                if let Some(info) = &place.info {
                    each(ticket, info);
                }
            }
        }
    }

    /// The first job whose info is the one that is looked for.
    pub fn find(&self, is_it: impl Fn(&J::SessionInfo) -> bool) -> Option<Ticket> {
        let mut from = 0;
        loop {
            let state = self.lock();
            let places = state.places.get(from..).filter(|rest| !rest.is_empty())?;
            let mut places = places.iter().take(LOOK_AT_ONCE).enumerate();
            let found = places.find(|(_, place)| place.info.as_ref().is_some_and(&is_it));
            if let Some((at, place)) = found {
                return Some(Ticket {
                    index: from + at,
                    generation: place.generation,
                });
            }
            from += LOOK_AT_ONCE;
        }
    }

    /// Looks at one job again; none when it has ended.
    pub fn look_again(&self, ticket: Ticket) -> Option<Seen<J>> {
        self.lock()
            .place(ticket)
            .and_then(|place| place.seen(ticket))
    }

    /// Wakes a job with [`WakeReason::End`], one that is busy as soon as it would wait. Whether it is there.
    pub fn end(&self, ticket: Ticket) -> bool {
        let mut state = self.lock();
        let Some(place) = state.place(ticket) else {
            return false;
        };
        match std::mem::replace(&mut place.standing, Standing::Busy) {
            Standing::Parked(job, _) | Standing::Held(job) => {
                state.queue_up(Due::new(ticket, job, WakeReason::End));
                self.call_worker(&state);
                true
            }
            Standing::Busy => {
                place.to_end = true;
                true
            }
            Standing::Free => {
                place.standing = Standing::Free;
                false
            }
        }
    }

    /// Wakes every job with [`WakeReason::Stop`], one that is busy as soon as it would wait. A held one may ask to
    /// be held on. The service knows before this is called.
    pub(super) fn stop_all(&self) {
        let mut state = self.lock();
        state.stopping = true;
        for index in 0..state.places.len() {
            let place = place_at(&mut state.places, index);
            let ticket = Ticket {
                index,
                generation: place.generation,
            };
            match std::mem::replace(&mut place.standing, Standing::Busy) {
                Standing::Parked(job, _) | Standing::Held(job) => {
                    place.told_of_stop = true;
                    state.queue_up(Due::new(ticket, job, WakeReason::Stop));
                }
                other => place.standing = other,
            }
        }
        self.work.notify_all();
    }

    /// Lets the workers end. Jobs that are left are dropped.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.queue.clear();
        state.places.clear();
        state.free.clear();
        drop(state);
        self.work.notify_all();
    }

    /// Settles the job a worker has run and gives it the next one; waits for one. `None`: `ParkedSessions` is
    /// closed. The flag says that the reactor has a new timer to look at.
    pub(super) fn settle_and_next(
        &self,
        worker: usize,
        settled: Option<(Ticket, Box<J>, Outcome)>,
        wake_reactor: &dyn Fn(),
    ) -> Option<Due<J>> {
        let mut state = self.lock();
        if let Some((ticket, job, outcome)) = settled {
            let new_timer = state.settle(ticket, job, outcome);
            if new_timer {
                wake_reactor();
            }
        }
        loop {
            if state.closed {
                return None;
            }
            if let Some(mut due) = state.queue.pop() {
                if let Some(place) = state.place(due.ticket) {
                    due.signals = place.noted.take();
                }
                state.set_busy(worker, Some(clock::monotonic()));
                return Some(due);
            }
            state.set_busy(worker, None);
            state.idle_workers += 1;
            state = self.work.wait(state);
            state.idle_workers -= 1;
        }
    }

    /// Frees the place of a job that has been dropped.
    pub(super) fn finished(&self, ticket: Ticket) {
        self.lock().vacate(ticket);
    }

    fn call_worker(&self, state: &MutexGuard<'_, State<J>>) {
        if state.idle_workers > 0 {
            self.work.notify_one();
        }
    }

    /// The lock. A panic while it is held cannot leave the state half changed in a way that matters
    /// more than losing the server, so a poisoned lock is used on.
    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock()
    }
}

impl<J: Job> Place<J> {
    fn seen(&self, ticket: Ticket) -> Option<Seen<J>> {
        let snapshot = match &self.standing {
            Standing::Free => return None,
            Standing::Parked(job, _) | Standing::Held(job) => Some(job.snapshot()),
            Standing::Busy => None,
        };
        Some(Seen {
            ticket,
            info: self.info.clone()?,
            snapshot,
        })
    }
}

impl<J: Job> State<J> {
    fn place(&mut self, ticket: Ticket) -> Option<&mut Place<J>> {
        self.places
            .get_mut(ticket.index)
            .filter(|place| place.generation == ticket.generation)
    }

    /// A job is due. No client has more than half of the workers, rounded up.
    fn queue_up(&mut self, due: Due<J>) {
        let client = due.job.client();
        let most = match self.busy_since.len() {
            0 => usize::MAX,
            workers => workers.div_ceil(2),
        };
        if let Some(place) = self.place(due.ticket) {
            place.turn_of = Some(client.clone());
        }
        self.queue.push(client, due, most);
    }

    /// A job has run.
    fn turn_is_over(&mut self, ticket: Ticket) {
        let client = self.place(ticket).and_then(|place| place.turn_of.take());
        if let Some(client) = client {
            self.queue.over(&client);
        }
    }

    fn set_busy(&mut self, worker: usize, since: Option<Instant>) {
        if let Some(place) = self.busy_since.get_mut(worker) {
            *place = since;
        }
    }

    fn vacate(&mut self, ticket: Ticket) {
        self.turn_is_over(ticket);
        let Some(place) = self.place(ticket) else {
            return;
        };
        place.generation = place.generation.wrapping_add(1);
        place.standing = Standing::Free;
        place.noted = Signals::default();
        place.message = None;
        place.info = None;
        place.to_end = false;
        place.told_of_stop = false;
        self.free.push(ticket.index);
    }

    /// Notes readiness; whether a parked job went to the queue for it.
    fn note(&mut self, index: usize, signals: Signals) -> bool {
        let Some(place) = self.places.get_mut(index) else {
            return false;
        };
        place.noted.add(signals);
        match std::mem::replace(&mut place.standing, Standing::Busy) {
            Standing::Parked(job, interest) if place.noted.serve(interest) => {
                let ticket = Ticket {
                    index,
                    generation: place.generation,
                };
                self.queue_up(Due::new(ticket, job, WakeReason::Ready));
                true
            }
            other => {
                place.standing = other;
                false
            }
        }
    }

    /// Puts a job that has run where its outcome says. Whether the reactor needs a new timer.
    fn settle(&mut self, ticket: Ticket, mut job: Box<J>, outcome: Outcome) -> bool {
        self.turn_is_over(ticket);
        let Some(place) = self.places.get_mut(ticket.index) else {
            return false;
        };
        if let Some(info) = job.renewed_info() {
            place.info = Some(info);
        }
        let to_end = std::mem::take(&mut place.to_end);
        let (wake, deadline) = match outcome {
            Outcome::Again | Outcome::Hold { .. } | Outcome::Park { .. } if to_end => {
                (Some(WakeReason::End), None)
            }
            Outcome::Done => unreachable!("a job that is done is dropped by its worker"),
            Outcome::Again => (Some(WakeReason::Ready), None),
            Outcome::Hold { deadline } => (
                place.message.take().map(WakeReason::Message),
                Some(deadline),
            ),
            Outcome::Park { interest, deadline } => (
                place.noted.serve(interest).then_some(WakeReason::Ready),
                Some(deadline),
            ),
        };
        let wake = match wake {
            None if self.stopping && !place.told_of_stop => {
                place.told_of_stop = true;
                Some(WakeReason::Stop)
            }
            other => other,
        };
        if let Some(wake) = wake {
            self.queue_up(Due::new(ticket, job, wake));
            return false;
        }
        place.standing = match outcome {
            Outcome::Park { interest, .. } => Standing::Parked(job, interest),
            _ => Standing::Held(job),
        };
        let Some(deadline) = deadline else {
            return false;
        };
        place.deadline = deadline;
        if place.timer.is_some_and(|timer| timer <= deadline) {
            return false;
        }
        place.timer = Some(deadline);
        self.new_timers.push(Timer {
            at: deadline,
            index: ticket.index,
        });
        true
    }
}

fn place_at<J: Job>(places: &mut [Place<J>], index: usize) -> &mut Place<J> {
    places
        .get_mut(index)
        .expect("an index that is free or in range")
}

#[cfg(test)]
mod tests;
