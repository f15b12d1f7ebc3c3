//! The threads around the book of questions: a few that look up, and one that watches deadlines.
//!
//! Promises: nothing is called under the lock; a panic in a backend or in an asker's answer ends no
//! thread. Threads start at the first question that needs one, and end when the [`Resolver`] is dropped,
//! which waits for none of them: one may hang.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::sync::{Arc, MutexGuard};
use std::{io, thread};

use super::lookup::{self, Backend, Oddity, Outcome, SystemResolver};
use super::notices::Notices;
use super::pending::{Limits, Pending, Reply};
use crate::events;
use crate::policy::facts::{Finding, Question};
use crate::stats::Stats;
use crate::sys::clock;
use crate::sys::sync::{Condvar, Mutex};

/// Stack of a thread that looks up, octets. glibc's resolver keeps whole answers on it, and loads the
/// modules that `nsswitch.conf` names.
const LOOKUP_STACK_OCTETS: usize = 256 * 1024;
/// Stack of the thread that watches deadlines, octets: it only hands answers over.
const WATCH_STACK_OCTETS: usize = 128 * 1024;

/// Answers questions to DNS. One of them serves a whole process.
pub struct Resolver {
    shared: Arc<Shared>,
}

struct Shared {
    backend: Box<dyn Backend>,
    limits: Limits,
    state: Mutex<State>,
    /// There is a question, or the end.
    questions: Condvar,
    /// There is a deadline where there was none, or the end.
    deadlines: Condvar,
}

struct State {
    pending: Pending,
    notices: Notices,
    threads: usize,
    /// Threads that wait for a question.
    idle: usize,
    watch: Watch,
    closed: bool,
}

/// What the thread that watches deadlines does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Watch {
    NotStarted,
    /// There is no deadline.
    Resting,
    /// It wakes by itself at the next deadline; later ones need not wake it.
    Armed,
}

impl Resolver {
    /// Asks the system's resolver.
    pub fn system(stats: Arc<Stats>) -> Self {
        Self::with_backend(Box::new(SystemResolver), Limits::default(), stats)
    }

    /// Asks `backend` within `limits`.
    pub fn with_backend(backend: Box<dyn Backend>, limits: Limits, stats: Arc<Stats>) -> Self {
        let state = State {
            pending: Pending::new(limits, stats),
            notices: Notices::default(),
            threads: 0,
            idle: 0,
            watch: Watch::NotStarted,
            closed: false,
        };
        Self {
            shared: Arc::new(Shared {
                backend,
                limits,
                state: Mutex::new(state),
                questions: Condvar::new(),
                deadlines: Condvar::new(),
            }),
        }
    }

    /// What is known without asking: an answer that is still fresh.
    pub fn known(&self, question: &Question) -> Option<Finding> {
        let state = self.shared.lock();
        state.pending.known(question, clock::monotonic())
    }

    /// Asks; never blocks. `answer` is called once: before this returns and on this thread when the
    /// finding is known or the question is turned away, else later on a thread of the resolver's. It has to
    /// be quick and must not ask and wait.
    pub fn ask(&self, question: Question, answer: Box<dyn FnOnce(Finding) + Send>) {
        let mut state = self.shared.lock();
        // The time is read under the lock, so that askers stand in the order of their deadlines.
        let now = clock::monotonic();
        let replies = match state.pending.ask(question, answer, now) {
            Some(reply) => vec![reply],
            None => self.shared.staff(&mut state),
        };
        let stuck = state.pending.note_stuck(now);
        drop(state);
        self.shared.hand_over(replies, stuck);
    }

    /// Asks and waits for the finding, which takes no longer than the deadline. For commands, never for the
    /// server's threads.
    pub fn ask_and_wait(&self, question: &Question) -> Finding {
        let (sender, receiver) = mpsc::sync_channel(1);
        let answer = move |finding| {
            // The receiver waits below for as long as this may be called.
            let _ = sender.send(finding);
        };
        self.ask(question.clone(), Box::new(answer));
        receiver.recv().unwrap_or(Finding::Failed)
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        let replies = state.pending.close();
        drop(state);
        self.shared.questions.notify_all();
        self.shared.deadlines.notify_all();
        self.shared.hand_over(replies, false);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The book is whole between calls, and no call of it panics half-way.
        self.state.lock()
    }

    /// Sees to it that somebody looks up what waits, and somebody watches its deadline. Where nobody can,
    /// gives the replies that say so.
    fn staff(self: &Arc<Self>, state: &mut State) -> Vec<Reply> {
        let started = self
            .start_watch(state)
            .and_then(|()| self.start_lookup(state));
        if let Err(error) = started {
            events::dns::no_thread(error);
            return state.pending.close();
        }
        self.questions.notify_one();
        if state.watch == Watch::Resting {
            state.watch = Watch::Armed;
            self.deadlines.notify_one();
        }
        Vec::new()
    }

    fn start_watch(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        if state.watch == Watch::NotStarted {
            let shared = Arc::clone(self);
            thread::Builder::new()
                .name("dns-deadlines".to_owned())
                .stack_size(WATCH_STACK_OCTETS)
                .spawn(move || shared.watch_deadlines())?;
            state.watch = Watch::Armed;
        }
        Ok(())
    }

    /// Starts one more thread where questions wait and none is idle.
    fn start_lookup(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        if state.pending.waiting() <= state.idle || state.threads >= self.limits.threads {
            return Ok(());
        }
        let shared = Arc::clone(self);
        let started = thread::Builder::new()
            .name(format!("dns-{}", state.threads))
            .stack_size(LOOKUP_STACK_OCTETS)
            .spawn(move || shared.look_up_questions());
        match started {
            Ok(_) => state.threads += 1,
            Err(error) if state.threads == 0 => return Err(error),
            // Those that run serve the question as well.
            Err(error) => events::dns::no_thread(error),
        }
        Ok(())
    }

    fn look_up_questions(&self) {
        let mut state = self.lock();
        while !state.closed {
            let Some((key, question)) = state.pending.next(clock::monotonic()) else {
                state.idle += 1;
                state = self.questions.wait(state);
                state.idle -= 1;
                continue;
            };
            drop(state);
            let outcome = self.look_up(&question);
            state = self.lock();
            let replies = state
                .pending
                .finish(key, outcome.finding, clock::monotonic());
            drop(state);
            self.hand_over(replies, false);
            state = self.lock();
        }
    }

    fn look_up(&self, question: &Question) -> Outcome {
        let backend = &*self.backend;
        let looked = catch_unwind(AssertUnwindSafe(|| lookup::look_up(backend, question)));
        let outcome = looked.unwrap_or_else(|panic| {
            events::dns::bug(reason(&*panic));
            Finding::Failed.into()
        });
        if let (Some(oddity), Question::Listed { zone, .. }) = (outcome.oddity, question) {
            let now = clock::monotonic();
            if self.lock().notices.admit(zone.as_str(), now) {
                log_oddity(zone.as_str(), oddity);
            }
        }
        outcome
    }

    fn watch_deadlines(&self) {
        let mut state = self.lock();
        while !state.closed {
            let now = clock::monotonic();
            let replies = state.pending.expire(now);
            let stuck = state.pending.note_stuck(now);
            if stuck || !replies.is_empty() {
                drop(state);
                self.hand_over(replies, stuck);
                state = self.lock();
                continue;
            }
            match state.pending.deadline() {
                Some(deadline) => {
                    state.watch = Watch::Armed;
                    let left = deadline.saturating_duration_since(now);
                    (state, _) = self.deadlines.wait_timeout(state, left);
                }
                None => {
                    state.watch = Watch::Resting;
                    state = self.deadlines.wait(state);
                }
            }
        }
    }

    /// Calls the askers' answers, which are not ours and may do anything.
    fn hand_over(&self, replies: Vec<Reply>, stuck: bool) {
        if stuck {
            events::dns::stuck(self.limits.threads);
        }
        for Reply { answer, finding } in replies {
            let called = catch_unwind(AssertUnwindSafe(move || answer(finding)));
            if let Err(panic) = called {
                events::dns::bug(reason(&*panic));
            }
        }
    }
}

fn log_oddity(zone: &str, oddity: Oddity) {
    match oddity {
        Oddity::ListRefuses(answer) => events::dns::list_unusable(
            zone,
            answer,
            "the list refuses this resolver's questions: use a resolver of your own, or drop the list",
        ),
        Oddity::NotOfAList(answer) => events::dns::list_unusable(
            zone,
            answer,
            "no list answers so: the resolver invents addresses, or the list is gone",
        ),
    }
}

fn reason(panic: &(dyn Any + Send)) -> &str {
    match panic.downcast_ref::<&str>() {
        Some(text) => text,
        None => panic
            .downcast_ref::<String>()
            .map_or("unknown panic", String::as_str),
    }
}
