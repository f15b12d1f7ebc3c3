//! The fixed threads that run sessions as plain code.
//!
//! Promises: as many threads as asked for, from start to end; a panic in a job is caught at the job's
//! boundary, told to the job, and ends that job alone. A job's socket is closed before its place is given
//! away, so that no event of the old one reaches the next.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use mio::Waker;

use super::parking::{Due, ParkedSessions, Ticket};
use super::{Job, Outcome};

/// Stack of a worker, octets: enough for a TLS handshake, and bounded address space on 32 bits.
const STACK_OCTETS: usize = 512 * 1024;

/// Starts `count` workers; each owns the buffers that `buffers` makes it.
pub(super) fn start<J: Job>(
    count: usize,
    parked: &Arc<ParkedSessions<J>>,
    waker: &Arc<Waker>,
    buffers: &dyn Fn() -> J::WorkerBuffers,
) -> std::io::Result<Vec<JoinHandle<()>>> {
    let mut workers = Vec::with_capacity(count);
    parked.employ(count);
    for number in 0..count {
        let (parked, waker, buffers) = (Arc::clone(parked), Arc::clone(waker), buffers());
        let worker = thread::Builder::new()
            .name(format!("worker-{number}"))
            .stack_size(STACK_OCTETS)
            .spawn(move || work(number, &parked, &waker, buffers))?;
        workers.push(worker);
    }
    Ok(workers)
}

fn work<J: Job>(
    number: usize,
    parked: &ParkedSessions<J>,
    waker: &Waker,
    mut buffers: J::WorkerBuffers,
) {
    let wake_reactor = || {
        // The waker is an eventfd; the one way it fails is a full counter, which wakes as well.
        let _ = waker.wake();
    };
    let mut settled = None;
    while let Some(due) = parked.settle_and_next(number, settled.take(), &wake_reactor) {
        settled = run(parked, due, &mut buffers);
    }
}

fn run<J: Job>(
    parked: &ParkedSessions<J>,
    due: Due<J>,
    buffers: &mut J::WorkerBuffers,
) -> Option<(Ticket, Box<J>, Outcome)> {
    let Due {
        ticket,
        mut job,
        wake,
        signals,
    } = due;
    let ran = catch_unwind(AssertUnwindSafe(|| job.run(ticket, wake, signals, buffers)));
    match ran {
        Ok(Outcome::Done) => drop(job),
        Ok(outcome) => return Some((ticket, job, outcome)),
        Err(panic) => {
            // Telling the job, or dropping it, may trip over the same fault.
            let _ = catch_unwind(AssertUnwindSafe(move || job.broken(&reason(&panic))));
        }
    }
    parked.finished(ticket);
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
