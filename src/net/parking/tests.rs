//! The lot, place by place: who is queued, parked, held and run, and who never twice.

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
    type Bench = ();
    type Client = u32;
    type Card = u32;
    type View = String;

    fn run(&mut self, _: Ticket, _: Wake<&'static str>, _: Signals, (): &mut ()) -> Outcome {
        unreachable!("the test runs no workers")
    }

    /// Thousands are further jobs of the same client.
    fn client(&self) -> u32 {
        self.0 % 1000
    }

    fn card(&self) -> u32 {
        self.0
    }

    fn view(&self) -> String {
        format!("idle {}", self.0)
    }

    fn broken(&mut self, _: &str) {}
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn enter(lot: &Lot<Idle>, number: u32) -> Ticket {
    let ticket = lot.reserve(deadline(), number);
    lot.enqueue(Due::new(ticket, Box::new(Idle(number)), Wake::Opened));
    ticket
}

/// Plays a worker: takes the next job, which is `number`, and tells why it runs.
fn take(lot: &Lot<Idle>, number: u32) -> (Ticket, Box<Idle>, Wake<&'static str>) {
    let due = lot.settle_and_next(0, None, &|| {}).unwrap();
    assert_eq!(due.job.0, number);
    (due.ticket, due.job, due.wake)
}

fn park(lot: &Lot<Idle>, ticket: Ticket, job: Box<Idle>) {
    let outcome = Outcome::Park {
        interest: Interest::Readable,
        deadline: deadline(),
    };
    lot.lock().settle(ticket, job, outcome);
}

#[test]
fn a_client_with_many_jobs_holds_up_nobody_else() {
    let lot = Lot::new();
    lot.employ(2);
    for number in 0..50 {
        enter(&lot, 1000 * number + 1);
    }
    enter(&lot, 2);
    let (ticket, job, _) = take(&lot, 1);
    // It has more to do, and goes behind those who wait.
    lot.lock().settle(ticket, job, Outcome::Again);
    take(&lot, 2);
    for number in (1..50).chain([0]) {
        let (ticket, job, _) = take(&lot, 1000 * number + 1);
        drop(job);
        lot.finished(ticket);
    }
    assert_eq!(lot.lock().queue.len(), 0);
}

#[test]
fn one_client_has_half_of_the_workers_at_most() {
    for (workers, most) in [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (8, 4)] {
        let lot = Lot::new();
        lot.employ(workers);
        for number in 0..10 {
            enter(&lot, 1000 * number + 1);
        }
        enter(&lot, 2);
        let taken: Vec<_> = std::iter::from_fn(|| lot.lock().queue.pop()).collect();
        let clients: Vec<u32> = taken.iter().map(|due| due.job.client()).collect();
        assert_eq!(clients, [vec![1; most], vec![2]].concat(), "{workers}");
    }
}

#[test]
fn waiting_jobs_tell_of_themselves_and_busy_ones_have_a_card() {
    let lot = Lot::new();
    for number in 0..200 {
        if number % 2 == 0 {
            let ticket = lot.reserve(deadline(), number);
            park(&lot, ticket, Box::new(Idle(number)));
        } else {
            enter(&lot, number);
        }
    }
    let mut seen = Vec::new();
    lot.look(|one| seen.push((one.card, one.view)));
    assert_eq!(seen.len(), 200);
    for (number, (card, view)) in (0..).zip(seen) {
        assert_eq!(card, number);
        assert_eq!(view, (number % 2 == 0).then(|| format!("idle {number}")));
    }
    let ticket = lot.find(|card| *card == 150).unwrap();
    assert_eq!(lot.look_again(ticket).unwrap().card, 150);
    assert!(lot.find(|card| *card == 200).is_none());
}

#[test]
fn a_job_is_ended_at_once_or_as_soon_as_it_would_wait() {
    let lot = Lot::new();
    let ticket = enter(&lot, 1);
    let (_, job, _) = take(&lot, 1);
    assert!(lot.end(ticket), "busy");
    park(&lot, ticket, job);
    let (_, job, wake) = take(&lot, 1);
    assert!(matches!(wake, Wake::End));
    // Once only: it may go on to say its last words.
    park(&lot, ticket, job);
    assert!(lot.end(ticket), "parked");
    let (_, _, wake) = take(&lot, 1);
    assert!(matches!(wake, Wake::End));
    lot.finished(ticket);
    assert!(!lot.end(ticket), "gone");
    let next = enter(&lot, 2);
    assert!(!lot.end(ticket), "another has its place");
    let (_, job, wake) = take(&lot, 2);
    assert!(matches!(wake, Wake::Opened));
    park(&lot, next, job);
    assert_eq!(lot.lock().queue.len(), 0, "the old wish is forgotten");
}

/// What the job is woken with after it has ended a run like this.
fn next(lot: &Lot<Idle>, ticket: Ticket, outcome: Outcome) -> Wake<&'static str> {
    let settled = Some((ticket, Box::new(Idle(0)), outcome));
    lot.settle_and_next(0, settled, &|| {}).unwrap().wake
}

#[test]
fn every_job_is_told_once_that_the_service_stops() {
    let (lot, deadline) = (Lot::new(), deadline());
    let hold = Outcome::Hold { deadline };
    let park = Outcome::Park {
        interest: Interest::Readable,
        deadline,
    };
    let [held, parked, busy, answered] = [0; 4].map(|card| lot.reserve(deadline, card));
    lot.lock().settle(held, Box::new(Idle(0)), hold);
    lot.lock().settle(parked, Box::new(Idle(0)), park);
    lot.stop_all();
    for want in [held, parked] {
        let due = lot.settle_and_next(0, None, &|| {}).unwrap();
        assert_eq!(due.ticket, want);
        assert!(matches!(due.wake, Wake::Stop), "{:?}", due.wake);
    }
    // Those that were busy hear it when they would wait, behind what they were held for.
    assert!(matches!(next(&lot, busy, park), Wake::Stop));
    lot.send(answered, "done");
    assert!(matches!(next(&lot, answered, hold), Wake::Message("done")));
    assert!(matches!(next(&lot, answered, hold), Wake::Stop));
    // Once told, they may wait on.
    for (ticket, outcome) in [(held, hold), (parked, park), (busy, park), (answered, hold)] {
        lot.lock().settle(ticket, Box::new(Idle(0)), outcome);
    }
    assert_eq!(lot.lock().queue.len(), 0);
    // Who takes a place later is told anew.
    lot.finished(held);
    let late = lot.reserve(deadline, 0);
    assert!(matches!(next(&lot, late, park), Wake::Stop));
}

#[test]
fn the_crew_is_busy_since_the_last_of_them_took_a_job() {
    let lot = Lot::new();
    lot.employ(2);
    let crew = |workers, busy, queued| {
        let found = lot.crew();
        assert_eq!(
            (found.workers, found.busy, found.queued),
            (workers, busy, queued)
        );
        found.busy_since
    };
    for number in 0..3 {
        enter(&lot, number);
    }
    assert_eq!(crew(2, 0, 3), None);
    let first = lot.settle_and_next(0, None, &|| {}).unwrap();
    assert_eq!(crew(2, 1, 2), None, "one is free");
    let second = lot.settle_and_next(1, None, &|| {}).unwrap();
    let since = crew(2, 2, 1).unwrap();
    let again = Some((second.ticket, second.job, Outcome::Again));
    let third = lot.settle_and_next(1, again, &|| {}).unwrap();
    assert!(crew(2, 2, 1).unwrap() >= since);
    drop((first, third));
    lot.close();
    assert!(lot.settle_and_next(0, None, &|| {}).is_none());
}
