//! What `[metrics] listen` serves: `/metrics` for Prometheus and `/health` for whoever balances loads.
//!
//! Promises: where nothing is listened on there is no thread and no memory for it. A refresh moves the listeners
//! as it moves ports ([`crate::server::rebind`]). Mail comes first: an address that cannot be had at the start is told
//! to the log, and the service runs without; the next refresh tries it again. What is asked for more often than
//! once in [`FRESH`] is told as it was, so that nobody keeps the spool's lock busy.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::health;
use super::metrics;
use super::observed::Observed;
use crate::config::Settings;
use crate::config::settings::PortKind;
use crate::control::pages::{self, Page, Pages};
use crate::events::control as told;
use crate::protocol::exposition::MEDIA_TYPE;
use crate::protocol::http_request::Status;
use crate::server::listeners::{BindError, Reason, Want};
use crate::server::rebind::{ListenerOps, Moved, Open, rebind};
use crate::sys::{clock, socket};

/// How long a page is told as it was.
pub const FRESH: Duration = Duration::from_secs(1);

/// How its listeners are called among themselves.
const NAME: &str = "metrics";

/// The listeners of `[metrics] listen` and the thread behind them.
pub(crate) struct PageServer {
    observed: Observed,
    open: Vec<Open>,
    next_number: usize,
    running: Option<(pages::Remote, JoinHandle<()>)>,
}

/// Binds what can be had; what cannot has a log line.
pub(crate) fn bind(settings: &Settings) -> Vec<(Want, TcpListener)> {
    let bind = |want: Want| match socket::listen(want.address) {
        Ok(listener) => Some((want, listener)),
        Err(error) => {
            let why = words(&want.failed(Reason::System(error)));
            told::listen_failed(format!("{why}; the service runs without it"));
            None
        }
    };
    wanted(settings).into_iter().filter_map(bind).collect()
}

fn wanted(settings: &Settings) -> Vec<Want> {
    let want = |address: &SocketAddr| Want {
        port: Arc::from(NAME),
        kind: PortKind::Tcp,
        address: *address,
        is_default: false,
    };
    settings.metrics.listen.iter().map(want).collect()
}

fn words(error: &BindError) -> String {
    let (address, reason) = (error.address, &error.reason);
    format!("[metrics] listen: cannot listen on {address}: {reason}")
}

impl PageServer {
    /// With the listeners of the start.
    pub(crate) fn new(observed: Observed, bound: Vec<(Want, TcpListener)>) -> Self {
        let mut server = Self {
            observed,
            open: Vec::new(),
            next_number: 0,
            running: None,
        };
        let numbered = bound.into_iter().enumerate();
        let pairs = numbered.map(|(number, (want, listener))| {
            let open = Open {
                number,
                port: want.port,
                kind: want.kind,
                address: want.address,
            };
            (open, (number, listener))
        });
        let (open, fresh): (Vec<Open>, Vec<_>) = pairs.unzip();
        server.next_number = open.len();
        let addresses: Vec<_> = open.iter().map(|open| open.address).collect();
        match server.take_up(open, fresh) {
            Ok(()) => addresses.into_iter().for_each(told::metrics_listening),
            Err(error) => told::listen_failed(format!("[metrics] listen: {error}")),
        }
        server
    }

    /// From what is listened on to what the settings want; gives a line for each change, and why something
    /// could not be had.
    pub(crate) fn rebind(&mut self, settings: &Settings) -> (Vec<String>, Vec<String>) {
        // A thread that a fault has ended took its listeners with it.
        if self
            .running
            .as_ref()
            .is_some_and(|(_, thread)| thread.is_finished())
        {
            self.open.clear();
            self.stop();
        }
        let wants = wanted(settings);
        let number = self.next_number;
        let moved = rebind(&self.open, &wants, number, &mut Listeners(&self.running));
        let (moved, error) = match moved {
            Ok(moved) => (moved, None),
            Err(error) => (Moved::default(), Some(error)),
        };
        self.next_number += moved.fresh.len();
        let mut lines = Vec::new();
        let fresh: Vec<usize> = moved.fresh.iter().map(|(number, _)| *number).collect();
        for open in moved.open.iter().filter(|one| fresh.contains(&one.number)) {
            told::metrics_listening(open.address);
            lines.push(format!("metrics: listens on {}", open.address));
        }
        for open in &moved.closed {
            told::metrics_ended(open.address);
            lines.push(format!("metrics: no longer listens on {}", open.address));
        }
        let mut failures: Vec<String> = moved.failures.iter().map(failure).collect();
        let taken_up = self.take_up(moved.open, moved.fresh);
        let error = error.or(taken_up.err());
        failures.extend(error.map(|error| format!("[metrics] listen: {error}")));
        (lines, failures)
    }

    /// These are open from now on, some of them fresh: starts the thread for the first, ends it with the last.
    fn take_up(&mut self, open: Vec<Open>, fresh: Vec<(usize, TcpListener)>) -> io::Result<()> {
        let numbers: Vec<usize> = fresh.iter().map(|(number, _)| *number).collect();
        self.open = open;
        let served = match (fresh.is_empty(), &self.running) {
            (true, _) => Ok(()),
            (false, Some((remote, _))) => remote.add(fresh),
            (false, None) => self.start(fresh),
        };
        if served.is_err() {
            self.open.retain(|open| !numbers.contains(&open.number));
        }
        if self.open.is_empty() {
            self.stop();
        }
        let addresses = self.open.iter().map(|open| open.address).collect();
        self.observed.context.set_metrics_on(addresses);
        served
    }

    fn start(&mut self, fresh: Vec<(usize, TcpListener)>) -> io::Result<()> {
        let (remote, thread) = pages::start(Served::new(self.observed.clone()))?;
        let added = remote.add(fresh);
        self.running = Some((remote, thread));
        added
    }

    fn stop(&mut self) {
        if let Some((remote, thread)) = self.running.take() {
            remote.stop();
            // One that panicked has ended as well.
            let _ = thread.join();
        }
    }
}

impl Drop for PageServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn failure((error, stays): &(BindError, Vec<SocketAddr>)) -> String {
    let stays: Vec<String> = stays.iter().map(SocketAddr::to_string).collect();
    match stays.is_empty() {
        true => words(error),
        false => format!("{}; it goes on at {}", words(error), stays.join(", ")),
    }
}

struct Listeners<'a>(&'a Option<(pages::Remote, JoinHandle<()>)>);

impl ListenerOps for Listeners<'_> {
    fn open(&mut self, address: SocketAddr) -> io::Result<TcpListener> {
        socket::listen(address)
    }

    fn close(&mut self, numbers: Vec<usize>) -> io::Result<()> {
        match self.0 {
            Some((remote, _)) => remote.remove(numbers),
            None => Ok(()),
        }
    }
}

/// The pages, each with when it was made.
struct Served {
    observed: Observed,
    metrics: Option<(Instant, Page)>,
    health: Option<(Instant, Page)>,
}

impl Served {
    fn new(observed: Observed) -> Self {
        Self {
            observed,
            metrics: None,
            health: None,
        }
    }
}

impl Pages for Served {
    fn page(&mut self, path: &str) -> Page {
        match path {
            "/metrics" => fresh(&mut self.metrics, || numbers(&self.observed)),
            "/health" => fresh(&mut self.health, || health_of(&self.observed)),
            _ => Page::plain(Status::NotFound, "see /metrics and /health\n"),
        }
    }
}

/// The page as it was a moment ago, or made anew.
fn fresh(kept: &mut Option<(Instant, Page)>, make: impl FnOnce() -> Page) -> Page {
    let now = clock::monotonic();
    let is_fresh = |at: Instant| now.saturating_duration_since(at) < FRESH;
    match kept {
        Some((at, page)) if is_fresh(*at) => page.clone(),
        Some(_) | None => {
            let page = make();
            *kept = Some((clock::monotonic(), page.clone()));
            page
        }
    }
}

fn numbers(observed: &Observed) -> Page {
    Page {
        status: Status::Ok,
        media_type: MEDIA_TYPE,
        text: metrics::text(observed).into(),
    }
}

fn health_of(observed: &Observed) -> Page {
    let health = health::of(observed);
    match health.is_well() {
        true => Page::plain(Status::Ok, "ok\n"),
        false => Page::plain(Status::Unavailable, format!("{}\n", health.summary())),
    }
}
