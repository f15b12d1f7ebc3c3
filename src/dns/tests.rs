//! The book of questions with a clock of the test's own, and the threads with backends that hang.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::cache::{FAILURE_KEPT, KEPT};
use super::pending::{ASKERS_MAX, Answer, Key, Pending, Reply};
use super::{Backend, Limits, Resolver};
use crate::mail::Domain;
use crate::policy::facts::{Finding, Question};
use crate::stats::Stats;
use crate::sys::resolver::{Addresses, Family, NoAnswer};

const YES: Finding = Finding::MailDomain(true);
/// How long a test waits for a thread before it fails.
const PATIENCE: Duration = Duration::from_secs(30);

fn mail(domain: &str) -> Question {
    Question::MailDomain(Domain::parse(domain).unwrap())
}

fn limits() -> Limits {
    Limits {
        threads: 2,
        waiting: 3,
        deadline: Duration::from_secs(5),
    }
}

/// A book and the answers its askers got.
struct Book {
    pending: Pending,
    stats: Arc<Stats>,
    sender: Sender<(&'static str, Finding)>,
    answers: Receiver<(&'static str, Finding)>,
    start: Instant,
}

impl Book {
    fn new() -> Self {
        let stats = Arc::new(Stats::default());
        let (sender, answers) = channel();
        Self {
            pending: Pending::new(limits(), Arc::clone(&stats)),
            stats,
            sender,
            answers,
            start: Instant::now(),
        }
    }

    fn at(&self, milliseconds: u64) -> Instant {
        self.start + Duration::from_millis(milliseconds)
    }

    fn answer(&self, asker: &'static str) -> Answer {
        let sender = self.sender.clone();
        Box::new(move |finding| sender.send((asker, finding)).unwrap())
    }

    /// Asks; gives what was answered at once.
    fn ask(&mut self, asker: &'static str, question: &Question, at: u64) -> Option<Finding> {
        let (answer, now) = (self.answer(asker), self.at(at));
        let reply = self.pending.ask(question.clone(), answer, now);
        reply.map(|reply| reply.finding)
    }

    fn take(&mut self, at: u64) -> Key {
        self.pending.next(self.at(at)).unwrap().0
    }

    fn finish(&mut self, key: Key, finding: Finding, at: u64) -> Vec<(&'static str, Finding)> {
        let replies = self.pending.finish(key, finding, self.at(at));
        self.deliver(replies)
    }

    fn expire(&mut self, at: u64) -> Vec<(&'static str, Finding)> {
        let replies = self.pending.expire(self.at(at));
        self.deliver(replies)
    }

    fn deliver(&self, replies: Vec<Reply>) -> Vec<(&'static str, Finding)> {
        replies
            .into_iter()
            .for_each(|reply| (reply.answer)(reply.finding));
        let mut answers: Vec<_> = self.answers.try_iter().collect();
        answers.sort_by_key(|(asker, _)| *asker);
        answers
    }

    /// Questions, cache hits, failures, timeouts.
    fn counts(&self) -> [u64; 4] {
        let stats = &self.stats;
        [
            stats.dns_questions.value(),
            stats.dns_cache_hits.value(),
            stats.dns_failures.value(),
            stats.dns_timeouts.value(),
        ]
    }
}

#[test]
fn equal_questions_are_looked_up_once() {
    let mut book = Book::new();
    assert_eq!(book.ask("a", &mail("x.example"), 0), None);
    assert_eq!(book.ask("b", &mail("X.Example"), 10), None);
    let key = book.take(10);
    assert_eq!(book.ask("c", &mail("x.example"), 20), None);
    assert!(book.pending.next(book.at(20)).is_none());
    let answers = book.finish(key, YES, 30);
    assert_eq!(answers, [("a", YES), ("b", YES), ("c", YES)]);
    assert_eq!(book.counts(), [3, 0, 0, 0]);
    assert_eq!(book.pending.deadline(), None);
}

#[test]
fn keys_tell_questions_apart() {
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let names = |text: &str| Key::of(&Question::HostNames(address(text)));
    let listed = |zone: &str, text: &str| {
        Key::of(&Question::Listed {
            zone: Domain::parse(zone).unwrap(),
            address: address(text),
        })
    };
    assert_eq!(names("::ffff:192.0.2.1"), names("192.0.2.1"));
    assert_eq!(
        listed("BL.example", "::ffff:192.0.2.1"),
        listed("bl.example", "192.0.2.1")
    );
    assert_eq!(Key::of(&mail("A.example")), Key::of(&mail("a.example")));
    let all = [
        names("192.0.2.1"),
        names("192.0.2.2"),
        listed("a.example", "192.0.2.1"),
        listed("b.example", "192.0.2.1"),
        listed("a.example", "192.0.2.2"),
        Key::of(&mail("a.example")),
    ];
    for (number, one) in all.iter().enumerate() {
        assert!(all.iter().skip(number + 1).all(|other| other != one));
    }
}

#[test]
fn findings_and_failures_are_known_for_their_time() {
    let mut book = Book::new();
    for (domain, finding) in [("x.example", YES), ("y.example", Finding::Failed)] {
        book.ask("a", &mail(domain), 0);
        let key = book.take(0);
        book.finish(key, finding, 0);
    }
    let kept = KEPT.as_millis() as u64;
    let failure_kept = FAILURE_KEPT.as_millis() as u64;
    assert_eq!(book.ask("b", &mail("x.example"), kept - 1), Some(YES));
    let failed = Some(Finding::Failed);
    assert_eq!(book.ask("b", &mail("y.example"), failure_kept - 1), failed);
    assert_eq!(book.counts(), [4, 2, 2, 0]);
    assert_eq!(book.pending.known(&mail("x.example"), book.at(kept)), None);
    assert_eq!(book.ask("c", &mail("x.example"), kept), None);
    assert_eq!(book.ask("c", &mail("y.example"), failure_kept), None);
}

#[test]
fn an_asker_is_answered_at_its_deadline_and_the_next_ones_at_once() {
    let mut book = Book::new();
    book.ask("a", &mail("x.example"), 0);
    let key = book.take(0);
    book.ask("b", &mail("x.example"), 2000);
    assert_eq!(book.pending.deadline(), Some(book.at(5000)));
    assert_eq!(book.expire(4999), []);
    assert_eq!(book.expire(5000), [("a", Finding::Failed)]);
    assert_eq!(book.pending.deadline(), Some(book.at(7000)));
    assert_eq!(
        book.ask("c", &mail("x.example"), 5001),
        Some(Finding::Failed)
    );
    assert_eq!(book.expire(7000), [("b", Finding::Failed)]);
    // The thread still hangs: the question is not asked a second time.
    assert_eq!(book.ask("d", &mail("x.example"), 13_000), None);
    assert!(book.pending.next(book.at(13_000)).is_none());
    // What comes late is worth having.
    assert_eq!(book.finish(key, YES, 14_000), [("d", YES)]);
    assert_eq!(book.ask("e", &mail("x.example"), 14_001), Some(YES));
    assert_eq!(book.counts(), [5, 2, 3, 2]);
}

#[test]
fn a_question_nobody_waits_for_any_more_is_not_looked_up() {
    let mut book = Book::new();
    for domain in ["x.example", "y.example"] {
        book.ask("a", &mail(domain), 0);
        book.take(4000);
    }
    book.ask("b", &mail("z.example"), 0);
    assert_eq!(book.expire(5000).len(), 3);
    assert_eq!(book.pending.waiting(), 0);
    assert!(book.pending.next(book.at(5000)).is_none());
    // It was not looked up, so nothing is known of it.
    assert_eq!(book.ask("c", &mail("z.example"), 5001), None);
    assert_eq!(book.pending.waiting(), 1);
}

#[test]
fn questions_past_the_queue_are_turned_away() {
    let mut book = Book::new();
    for domain in ["a.example", "b.example", "c.example"] {
        assert_eq!(book.ask("a", &mail(domain), 0), None);
    }
    assert_eq!(book.ask("b", &mail("d.example"), 0), Some(Finding::Failed));
    // A question that is under way takes no place.
    assert_eq!(book.ask("b", &mail("c.example"), 0), None);
    book.take(0);
    assert_eq!(book.ask("c", &mail("d.example"), 0), None);
    assert_eq!(book.counts(), [6, 0, 1, 0]);
}

#[test]
fn askers_of_one_question_are_bounded() {
    let mut book = Book::new();
    for _ in 0..ASKERS_MAX {
        assert_eq!(book.ask("a", &mail("x.example"), 0), None);
    }
    assert_eq!(book.ask("b", &mail("x.example"), 0), Some(Finding::Failed));
}

#[test]
fn when_all_threads_hang_everything_fails_at_once_until_one_comes_back() {
    let mut book = Book::new();
    book.ask("a", &mail("x.example"), 0);
    book.ask("a", &mail("y.example"), 0);
    let (x, _) = (book.take(0), book.take(0));
    book.ask("b", &mail("z.example"), 1000);
    assert!(!book.pending.note_stuck(book.at(4999)));
    // Also the one that waits for a thread is not left waiting.
    let failed = ("a", Finding::Failed);
    assert_eq!(
        book.expire(5000),
        [failed.clone(), failed, ("b", Finding::Failed)]
    );
    assert!(book.pending.note_stuck(book.at(5000)));
    assert!(!book.pending.note_stuck(book.at(5000)));
    assert_eq!(
        book.ask("c", &mail("new.example"), 5001),
        Some(Finding::Failed)
    );
    assert_eq!(book.finish(x, YES, 60_000), []);
    assert_eq!(book.ask("d", &mail("new.example"), 60_001), None);
    let key = book.take(60_001);
    assert_eq!(book.finish(key, YES, 60_002), [("d", YES)]);
    // It can be told again when it happens again.
    book.ask("e", &mail("more.example"), 60_003);
    book.take(60_003);
    assert!(!book.pending.note_stuck(book.at(60_003)));
    assert!(book.pending.note_stuck(book.at(65_003)));
}

#[test]
fn a_closed_book_answers_everybody() {
    let mut book = Book::new();
    book.ask("a", &mail("x.example"), 0);
    let key = book.take(0);
    book.ask("b", &mail("y.example"), 0);
    let replies = book.pending.close();
    let answers = book.deliver(replies);
    assert_eq!(answers, [("a", Finding::Failed), ("b", Finding::Failed)]);
    assert_eq!(book.finish(key, YES, 1), []);
}

/// A backend whose look-ups wait until the test lets them go on.
#[derive(Clone, Default)]
struct Gate {
    inner: Arc<GateInner>,
}

#[derive(Default)]
struct GateInner {
    open: Mutex<bool>,
    opened: Condvar,
    begun: AtomicUsize,
}

impl Gate {
    fn open(&self) {
        *self.inner.open.lock().unwrap() = true;
        self.inner.opened.notify_all();
    }

    fn wait_until_begun(&self, count: usize) {
        let until = Instant::now() + PATIENCE;
        while self.inner.begun.load(Ordering::SeqCst) < count {
            assert!(Instant::now() < until, "the look-ups do not begin");
            std::thread::yield_now();
        }
    }
}

impl Backend for Gate {
    fn name_of(&self, _: IpAddr) -> Result<String, NoAnswer> {
        panic!("a fault in the backend");
    }

    fn addresses_of(&self, _: &str, _: Family) -> Result<Addresses, NoAnswer> {
        Err(NoAnswer::NotFound)
    }

    fn mail_exchangers_of(&self, _: &str) -> Result<Vec<u8>, NoAnswer> {
        self.inner.begun.fetch_add(1, Ordering::SeqCst);
        let mut open = self.inner.open.lock().unwrap();
        while !*open {
            open = self.inner.opened.wait(open).unwrap();
        }
        Err(NoAnswer::NotFound)
    }
}

fn resolver(gate: &Gate, deadline: Duration) -> (Resolver, Arc<Stats>) {
    let stats = Arc::new(Stats::default());
    let limits = Limits {
        deadline,
        ..limits()
    };
    let resolver = Resolver::with_backend(Box::new(gate.clone()), limits, Arc::clone(&stats));
    (resolver, stats)
}

fn ask(resolver: &Resolver, question: Question) -> Receiver<Finding> {
    let (sender, receiver) = channel();
    let answer = move |finding| {
        let _ = sender.send(finding);
    };
    resolver.ask(question, Box::new(answer));
    receiver
}

#[test]
fn askers_are_answered_from_threads_and_then_from_the_cache() {
    let gate = Gate::default();
    let (resolver, stats) = resolver(&gate, PATIENCE);
    let answers = [
        ask(&resolver, mail("x.example")),
        ask(&resolver, mail("x.example")),
    ];
    gate.wait_until_begun(1);
    assert_eq!(resolver.known(&mail("x.example")), None);
    gate.open();
    let no = Finding::MailDomain(false);
    for answer in answers {
        assert_eq!(answer.recv_timeout(PATIENCE), Ok(no.clone()));
    }
    assert_eq!(resolver.known(&mail("x.example")), Some(no.clone()));
    assert_eq!(resolver.ask_and_wait(&mail("x.example")), no);
    assert_eq!(gate.inner.begun.load(Ordering::SeqCst), 1);
    assert_eq!(
        (stats.dns_questions.value(), stats.dns_cache_hits.value()),
        (4, 2)
    );
}

#[test]
fn a_backend_that_hangs_fails_at_the_deadline_and_is_counted() {
    let gate = Gate::default();
    let (resolver, stats) = resolver(&gate, Duration::from_millis(50));
    let questions = ["a.example", "b.example", "c.example"].map(mail);
    let answers = questions.map(|question| ask(&resolver, question));
    for answer in answers {
        assert_eq!(answer.recv_timeout(PATIENCE), Ok(Finding::Failed));
    }
    assert_eq!(stats.dns_timeouts.value(), 3);
    // Both threads hang; nobody waits for them, and there are no more of them.
    assert_eq!(resolver.ask_and_wait(&mail("d.example")), Finding::Failed);
    assert_eq!(gate.inner.begun.load(Ordering::SeqCst), 2);
    gate.open();
    // What they found is known in the end.
    let until = Instant::now() + PATIENCE;
    while resolver.known(&mail("a.example")) != Some(Finding::MailDomain(false)) {
        assert!(Instant::now() < until, "the late answer is not kept");
        std::thread::yield_now();
    }
}

#[test]
fn faults_of_a_backend_or_an_asker_end_no_thread() {
    let gate = Gate::default();
    gate.open();
    let (resolver, _) = resolver(&gate, PATIENCE);
    for number in 1..10 {
        let address = IpAddr::from([192, 0, 2, number]);
        let finding = resolver.ask_and_wait(&Question::HostNames(address));
        assert_eq!(finding, Finding::Failed);
        let domain = format!("a{number}.example");
        resolver.ask(mail(&domain), Box::new(|_| panic!("a fault in the answer")));
    }
    assert_eq!(
        resolver.ask_and_wait(&mail("x.example")),
        Finding::MailDomain(false)
    );
}

#[test]
fn dropping_a_resolver_answers_everybody_and_waits_for_no_thread() {
    let gate = Gate::default();
    let (resolver, _) = resolver(&gate, PATIENCE);
    let answers = ["a.example", "b.example", "c.example"].map(|name| ask(&resolver, mail(name)));
    gate.wait_until_begun(2);
    drop(resolver);
    for answer in answers {
        assert_eq!(answer.recv_timeout(PATIENCE), Ok(Finding::Failed));
    }
    gate.open();
}

#[test]
fn many_askers_at_once_are_all_answered() {
    let gate = Gate::default();
    gate.open();
    let (resolver, stats) = resolver(&gate, PATIENCE);
    std::thread::scope(|scope| {
        for asker in 0..8 {
            let resolver = &resolver;
            scope.spawn(move || {
                for number in 0..200 {
                    let name = format!("d{}.example", (number * 7 + asker) % 50);
                    let finding = resolver.ask_and_wait(&mail(&name));
                    let full = finding == Finding::Failed;
                    assert!(full || finding == Finding::MailDomain(false), "{finding:?}");
                }
            });
        }
    });
    assert_eq!(stats.dns_questions.value(), 1600);
    assert_eq!(stats.dns_timeouts.value(), 0);
}
