//! The book of questions: who asked what, what is known, what is under way. Pure; time is an argument.
//!
//! | a question is | when | ends as |
//! | --- | --- | --- |
//! | known | its finding is in the cache | answered at once |
//! | turned away | the queue is full, or all threads hang | `Failed` at once, not cached |
//! | waiting | it was asked first, and no thread took it yet | running; or forgotten at its last asker's deadline |
//! | running | a thread looks it up | its finding goes to the askers and into the cache, also when it comes late |
//! | overdue | it runs past its deadline | `Failed` goes to the askers and into the cache, until the thread comes back |
//!
//! Promises: every asker gets exactly one answer, at its deadline at the latest if [`Pending::expire`] is
//! called then; equal questions are looked up once at a time. Refuses to know: threads, locks, DNS.
//!
//! Limits: [`Limits`]; [`ASKERS_MAX`] askers of one question.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cache::Cache;
use crate::policy::facts::{Finding, Question};
use crate::stats::Stats;

/// Askers that wait for one finding; more are turned away.
pub(super) const ASKERS_MAX: usize = 1024;

/// How much is looked up at a time, and for how long an asker waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Threads, so look-ups at a time.
    pub threads: usize,
    /// Questions that wait for a thread; more are turned away.
    pub waiting: usize,
    /// How long an asker waits.
    pub deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            threads: 4,
            waiting: 256,
            deadline: Duration::from_secs(10),
        }
    }
}

/// A question as the cache and the book know it: equal for equal questions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key(String);

impl Key {
    /// The key of a question. An IPv4 address in an IPv6 one is that IPv4 address; names have no case.
    pub fn of(question: &Question) -> Self {
        Self(match question {
            Question::HostNames(address) => format!("names {}", address.to_canonical()),
            Question::Listed { zone, address } => {
                let zone = zone.as_str().to_ascii_lowercase();
                format!("list {} {zone}", address.to_canonical())
            }
            Question::MailDomain(domain) => {
                format!("mail {}", domain.as_str().to_ascii_lowercase())
            }
        })
    }

    #[cfg(test)]
    pub fn of_text(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// Takes the finding; called once.
pub(super) type Answer = Box<dyn FnOnce(Finding) + Send>;

/// A finding for one asker. It has to be handed over outside of every lock.
#[must_use]
pub(super) struct Reply {
    pub answer: Answer,
    pub finding: Finding,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({:?})", self.finding)
    }
}

struct Asker {
    deadline: Instant,
    answer: Answer,
}

/// One question under way.
struct Query {
    question: Question,
    /// When a thread took it.
    began: Option<Instant>,
    /// By deadline, for all wait equally long.
    askers: VecDeque<Asker>,
}

/// The book.
pub(super) struct Pending {
    limits: Limits,
    stats: Arc<Stats>,
    cache: Cache,
    queries: HashMap<Key, Query>,
    queue: VecDeque<Key>,
    stuck_noted: bool,
}

impl Pending {
    /// An empty book.
    pub fn new(limits: Limits, stats: Arc<Stats>) -> Self {
        Self {
            limits,
            stats,
            cache: Cache::default(),
            queries: HashMap::new(),
            queue: VecDeque::new(),
            stuck_noted: false,
        }
    }

    /// What is known of a question without asking.
    pub fn known(&self, question: &Question, now: Instant) -> Option<Finding> {
        let finding = self.cache.find(&Key::of(question), now)?.clone();
        self.stats.dns_questions.count();
        self.stats.dns_cache_hits.count();
        self.count_failure(&finding);
        Some(finding)
    }

    /// Notes a question; gives the reply if it can be answered at once.
    pub fn ask(&mut self, question: Question, answer: Answer, now: Instant) -> Option<Reply> {
        if let Some(finding) = self.known(&question, now) {
            return Some(Reply { answer, finding });
        }
        self.stats.dns_questions.count();
        let key = Key::of(&question);
        let known = self.queries.get(&key);
        let full = match known {
            Some(query) => query.askers.len() >= ASKERS_MAX,
            None => self.queue.len() >= self.limits.waiting,
        };
        if full || self.is_stuck(now) {
            return Some(self.failed(answer));
        }
        if known.is_none() {
            self.queue.push_back(key.clone());
        }
        let query = self.queries.entry(key).or_insert_with(|| Query {
            question,
            began: None,
            askers: VecDeque::new(),
        });
        query.askers.push_back(Asker {
            deadline: now + self.limits.deadline,
            answer,
        });
        None
    }

    /// Questions that wait for a thread.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// The next question for a thread.
    pub fn next(&mut self, now: Instant) -> Option<(Key, Question)> {
        while let Some(key) = self.queue.pop_front() {
            if let Some(query) = self.queries.get_mut(&key) {
                query.began = Some(now);
                return Some((key, query.question.clone()));
            }
        }
        None
    }

    /// A thread has looked it up.
    pub fn finish(&mut self, key: Key, finding: Finding, now: Instant) -> Vec<Reply> {
        self.stuck_noted = false;
        let Some(query) = self.queries.remove(&key) else {
            return Vec::new();
        };
        self.cache.keep(key, finding.clone(), now);
        let askers = query.askers.into_iter();
        let replies = askers.map(|asker| {
            self.count_failure(&finding);
            Reply {
                answer: asker.answer,
                finding: finding.clone(),
            }
        });
        replies.collect()
    }

    /// Answers those whose deadline has come. Where all threads hang, nobody is left waiting.
    pub fn expire(&mut self, now: Instant) -> Vec<Reply> {
        let stuck = self.is_stuck(now);
        let mut over = Vec::new();
        let mut hanging = Vec::new();
        for (key, query) in &mut self.queries {
            let waits = query.began.is_none();
            let due = |asker: &Asker| asker.deadline <= now || (stuck && waits);
            let count = query.askers.iter().take_while(|asker| due(asker)).count();
            over.extend(query.askers.drain(..count));
            if count > 0 && !waits {
                hanging.push(key.clone());
            }
        }
        for key in hanging {
            self.cache.keep(key, Finding::Failed, now);
        }
        self.queries
            .retain(|_, query| query.began.is_some() || !query.askers.is_empty());
        let queries = &self.queries;
        self.queue.retain(|key| queries.contains_key(key));
        self.stats.dns_timeouts.add(over.len() as u64);
        let answers = over.into_iter().map(|asker| asker.answer);
        answers.map(|answer| self.failed(answer)).collect()
    }

    /// Whether all threads hang, told once until one of them comes back.
    pub fn note_stuck(&mut self, now: Instant) -> bool {
        let news = !self.stuck_noted && self.is_stuck(now);
        self.stuck_noted |= news;
        news
    }

    /// When the next asker's deadline is.
    pub fn deadline(&self) -> Option<Instant> {
        let first = |query: &Query| query.askers.front().map(|asker| asker.deadline);
        self.queries.values().filter_map(first).min()
    }

    /// Answers everybody `Failed`: nothing will be looked up any more.
    pub fn close(&mut self) -> Vec<Reply> {
        self.queue.clear();
        let queries = std::mem::take(&mut self.queries);
        let askers = queries.into_values().flat_map(|query| query.askers);
        askers.map(|asker| self.failed(asker.answer)).collect()
    }

    /// Whether all threads are on questions whose time is over.
    fn is_stuck(&self, now: Instant) -> bool {
        let overdue = |query: &&Query| {
            query
                .began
                .is_some_and(|began| began + self.limits.deadline <= now)
        };
        self.queries.values().filter(overdue).count() >= self.limits.threads
    }

    fn failed(&self, answer: Answer) -> Reply {
        self.count_failure(&Finding::Failed);
        Reply {
            answer,
            finding: Finding::Failed,
        }
    }

    fn count_failure(&self, finding: &Finding) {
        if *finding == Finding::Failed {
            self.stats.dns_failures.count();
        }
    }
}
