//! The parked sessions, place by place: who is queued, parked, held and run, and who never twice.

use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use super::*;

/// A job that tells its number and never runs.
struct Idle(u32);

impl AsRawFd for Idle {
    fn as_raw_fd(&self) -> RawFd {
        -1
    }
}

impl Job for Idle {
    type Message = &'static str;
    type WorkerBuffers = ();
    type Client = u32;
    type SessionInfo = u32;
    type SessionSnapshot = String;

    fn run(&mut self, _: Ticket, _: WakeReason<&'static str>, _: Signals, (): &mut ()) -> Outcome {
        unreachable!("the test runs no workers")
    }

    /// Thousands are further jobs of the same client.
    fn client(&self) -> u32 {
        self.0 % 1000
    }

    fn info(&self) -> u32 {
        self.0
    }

    fn snapshot(&self) -> String {
        format!("idle {}", self.0)
    }

    fn broken(&mut self, _: &str) {}
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn enter(parked: &ParkedSessions<Idle>, number: u32) -> Ticket {
    let ticket = parked.reserve(deadline(), number);
    parked.enqueue(Due::new(ticket, Box::new(Idle(number)), WakeReason::Opened));
    ticket
}

/// Plays a worker: takes the next job, which is `number`, and tells why it runs.
fn take(
    parked: &ParkedSessions<Idle>,
    number: u32,
) -> (Ticket, Box<Idle>, WakeReason<&'static str>) {
    let due = parked.settle_and_next(0, None, &|| {}).unwrap();
    assert_eq!(due.job.0, number);
    (due.ticket, due.job, due.wake)
}

fn park(parked: &ParkedSessions<Idle>, ticket: Ticket, job: Box<Idle>) {
    let outcome = Outcome::Park {
        interest: Interest::Readable,
        deadline: deadline(),
    };
    parked.lock().settle(ticket, job, outcome);
}

#[test]
fn a_client_with_many_jobs_holds_up_nobody_else() {
    let parked = ParkedSessions::new();
    parked.employ(2);
    for number in 0..50 {
        enter(&parked, 1000 * number + 1);
    }
    enter(&parked, 2);
    let (ticket, job, _) = take(&parked, 1);
    // It has more to do, and goes behind those who wait.
    parked.lock().settle(ticket, job, Outcome::Again);
    take(&parked, 2);
    for number in (1..50).chain([0]) {
        let (ticket, job, _) = take(&parked, 1000 * number + 1);
        drop(job);
        parked.finished(ticket);
    }
    assert_eq!(parked.lock().queue.len(), 0);
}

#[test]
fn one_client_has_half_of_the_workers_at_most() {
    for (workers, most) in [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (8, 4)] {
        let parked = ParkedSessions::new();
        parked.employ(workers);
        for number in 0..10 {
            enter(&parked, 1000 * number + 1);
        }
        enter(&parked, 2);
        let taken: Vec<_> = std::iter::from_fn(|| parked.lock().queue.pop()).collect();
        let clients: Vec<u32> = taken.iter().map(|due| due.job.client()).collect();
        assert_eq!(clients, [vec![1; most], vec![2]].concat(), "{workers}");
    }
}

#[test]
fn waiting_jobs_tell_of_themselves_and_busy_ones_have_a_card() {
    let parked = ParkedSessions::new();
    for number in 0..200 {
        if number % 2 == 0 {
            let ticket = parked.reserve(deadline(), number);
            park(&parked, ticket, Box::new(Idle(number)));
        } else {
            enter(&parked, number);
        }
    }
    let mut seen = Vec::new();
    parked.look(|one| seen.push((one.info, one.snapshot)));
    assert_eq!(seen.len(), 200);
    for (number, (info, snapshot)) in (0..).zip(seen) {
        assert_eq!(info, number);
        assert_eq!(
            snapshot,
            (number % 2 == 0).then(|| format!("idle {number}"))
        );
    }
    let ticket = parked.find(|info| *info == 150).unwrap();
    assert_eq!(parked.look_again(ticket).unwrap().info, 150);
    assert!(parked.find(|info| *info == 200).is_none());
}

#[test]
fn a_job_is_ended_at_once_or_as_soon_as_it_would_wait() {
    let parked = ParkedSessions::new();
    let ticket = enter(&parked, 1);
    let (_, job, _) = take(&parked, 1);
    assert!(parked.end(ticket), "busy");
    park(&parked, ticket, job);
    let (_, job, wake) = take(&parked, 1);
    assert!(matches!(wake, WakeReason::End));
    // Once only: it may go on to say its last words.
    park(&parked, ticket, job);
    assert!(parked.end(ticket), "parked");
    let (_, _, wake) = take(&parked, 1);
    assert!(matches!(wake, WakeReason::End));
    parked.finished(ticket);
    assert!(!parked.end(ticket), "gone");
    let next = enter(&parked, 2);
    assert!(!parked.end(ticket), "another has its place");
    let (_, job, wake) = take(&parked, 2);
    assert!(matches!(wake, WakeReason::Opened));
    park(&parked, next, job);
    assert_eq!(parked.lock().queue.len(), 0, "the old wish is forgotten");
}

/// What the job is woken with after it has ended a run like this.
fn next(
    parked: &ParkedSessions<Idle>,
    ticket: Ticket,
    outcome: Outcome,
) -> WakeReason<&'static str> {
    let settled = Some((ticket, Box::new(Idle(0)), outcome));
    parked.settle_and_next(0, settled, &|| {}).unwrap().wake
}

#[test]
fn every_job_is_told_once_that_the_service_stops() {
    let (parked, deadline) = (ParkedSessions::new(), deadline());
    let hold = Outcome::Hold { deadline };
    let park = Outcome::Park {
        interest: Interest::Readable,
        deadline,
    };
    let [held, waiting, busy, answered] = [0; 4].map(|info| parked.reserve(deadline, info));
    parked.lock().settle(held, Box::new(Idle(0)), hold);
    parked.lock().settle(waiting, Box::new(Idle(0)), park);
    parked.stop_all();
    for want in [held, waiting] {
        let due = parked.settle_and_next(0, None, &|| {}).unwrap();
        assert_eq!(due.ticket, want);
        assert!(matches!(due.wake, WakeReason::Stop), "{:?}", due.wake);
    }
    // Those that were busy hear it when they would wait, behind what they were held for.
    assert!(matches!(next(&parked, busy, park), WakeReason::Stop));
    parked.send(answered, "done");
    assert!(matches!(
        next(&parked, answered, hold),
        WakeReason::Message("done")
    ));
    assert!(matches!(next(&parked, answered, hold), WakeReason::Stop));
    // Once told, they may wait on.
    for (ticket, outcome) in [
        (held, hold),
        (waiting, park),
        (busy, park),
        (answered, hold),
    ] {
        parked.lock().settle(ticket, Box::new(Idle(0)), outcome);
    }
    assert_eq!(parked.lock().queue.len(), 0);
    // Who takes a place later is told anew.
    parked.finished(held);
    let late = parked.reserve(deadline, 0);
    assert!(matches!(next(&parked, late, park), WakeReason::Stop));
}

#[test]
fn the_crew_is_busy_since_the_last_of_them_took_a_job() {
    let parked = ParkedSessions::new();
    parked.employ(2);
    let crew = |workers, busy, queued| {
        let found = parked.crew();
        assert_eq!(
            (found.workers, found.busy, found.queued),
            (workers, busy, queued)
        );
        found.busy_since
    };
    for number in 0..3 {
        enter(&parked, number);
    }
    assert_eq!(crew(2, 0, 3), None);
    let first = parked.settle_and_next(0, None, &|| {}).unwrap();
    assert_eq!(crew(2, 1, 2), None, "one is free");
    let second = parked.settle_and_next(1, None, &|| {}).unwrap();
    let since = crew(2, 2, 1).unwrap();
    let again = Some((second.ticket, second.job, Outcome::Again));
    let third = parked.settle_and_next(1, again, &|| {}).unwrap();
    assert!(crew(2, 2, 1).unwrap() >= since);
    drop((first, third));
    parked.close();
    assert!(parked.settle_and_next(0, None, &|| {}).is_none());
}
