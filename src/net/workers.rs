//! The fixed threads that run sessions as plain code.
//!
//! Promises: as many threads as asked for, from start to end; a panic in a job is caught at the job's
//! boundary, told to the job, and ends that job alone. A job's socket is closed before its place is given
//! away, so that no event of the old one reaches the next.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use mio::Waker;

use super::parking::{Due, Lot, Ticket};
use super::{Job, Outcome};

/// Stack of a worker, octets: enough for a TLS handshake, and bounded address space on 32 bits.
const STACK_OCTETS: usize = 512 * 1024;

/// Starts `count` workers; each owns the bench that `bench` makes it.
pub(super) fn start<J: Job>(
    count: usize,
    lot: &Arc<Lot<J>>,
    waker: &Arc<Waker>,
    bench: &dyn Fn() -> J::Bench,
) -> std::io::Result<Vec<JoinHandle<()>>> {
    let mut workers = Vec::with_capacity(count);
    lot.employ(count);
    for number in 0..count {
        let (lot, waker, bench) = (Arc::clone(lot), Arc::clone(waker), bench());
        let worker = thread::Builder::new()
            .name(format!("worker-{number}"))
            .stack_size(STACK_OCTETS)
            .spawn(move || work(number, &lot, &waker, bench))?;
        workers.push(worker);
    }
    Ok(workers)
}

fn work<J: Job>(number: usize, lot: &Lot<J>, waker: &Waker, mut bench: J::Bench) {
    let wake_reactor = || {
        // The waker is an eventfd; the one way it fails is a full counter, which wakes as well.
        let _ = waker.wake();
    };
    let mut settled = None;
    while let Some(due) = lot.settle_and_next(number, settled.take(), &wake_reactor) {
        settled = run(lot, due, &mut bench);
    }
}

fn run<J: Job>(
    lot: &Lot<J>,
    due: Due<J>,
    bench: &mut J::Bench,
) -> Option<(Ticket, Box<J>, Outcome)> {
    let Due {
        ticket,
        mut job,
        wake,
        signals,
    } = due;
    let ran = catch_unwind(AssertUnwindSafe(|| job.run(ticket, wake, signals, bench)));
    match ran {
        Ok(Outcome::Done) => drop(job),
        Ok(outcome) => return Some((ticket, job, outcome)),
        Err(panic) => {
            // Telling the job, or dropping it, may trip over the same fault.
            let _ = catch_unwind(AssertUnwindSafe(move || job.broken(&reason(&panic))));
        }
    }
    lot.finished(ticket);
    None
}

fn reason(panic: &Box<dyn std::any::Any + Send>) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        return (*text).to_owned();
    }
    panic
        .downcast_ref::<String>()
        .cloned()
        .unwrap_or_else(|| "unknown panic".to_owned())
}
