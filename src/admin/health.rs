//! Whether the service takes mail: for watchdogs and containers.
//!
//! | check | is a problem where |
//! | --- | --- |
//! | `reactor` | its loop does not answer within [`REACTOR_PATIENCE`]: nothing is accepted |
//! | `workers` | all are busy, and none has taken up a session for [`STUCK_AFTER`] |
//! | `commit` | a message waits for its sync for [`STUCK_AFTER`]: nobody hears 250 |
//! | `spool` | the log cannot be written to; or the disk failed when it was last, in the last [`FAILURE_COUNTS`] |
//! | `space` | less than `free_space` is left: mail hears 452 |
//! | `listener` | no port listens, and the configuration wants one |
//! | `directory` | no users or aliases file was ever good: recipients here hear 451 |
//! | `stopping` | it is going down |
//!
//! What is wrong with mail that was taken, and does not keep more from being taken, is a warning: alarms, a refresh
//! that failed, a port that does not listen where it should while others do, `[metrics] listen`, a file of users or aliases that is not in use as it is now. A smarthost that is dead is not mended by a restart, and whoever restarts for it loses the
//! sessions there are. Promises: the reactor is asked itself, and of workers and committer it is known when they
//! last went on, so that a thread that hangs is found whatever the others do; a look takes no longer than
//! [`REACTOR_PATIENCE`] where the disk answers. Refuses to know: who asks.

use std::time::{Duration, Instant};

use super::observed::Observed;
use crate::config::Settings;
use crate::control::facts::{Fact, Facts};
use crate::net::parking::Crew;
use crate::net::reactor::Echo;
use crate::policy::alarm::{Cause, Report};
use crate::server::acceptor::ListenerEntry;
use crate::server::context::Setup;
use crate::server::listeners::{Want, wanted};
use crate::server::refreshes::Ending;
use crate::spool::Refusal;
use crate::sys::{clock, folder};

/// How long the reactor may take to answer.
pub const REACTOR_PATIENCE: Duration = Duration::from_secs(2);
/// A worker, or a commit, that does not go on for so long is stuck: an SD card may take some of it.
pub const STUCK_AFTER: Duration = Duration::from_secs(30);
/// How long a commit that failed counts, where none was tried since.
pub const FAILURE_COUNTS: Duration = Duration::from_secs(5 * 60);

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    check: &'static str,
    reason: String,
}

/// How the service is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Health {
    problems: Vec<Finding>,
    warnings: Vec<Finding>,
}

/// What is known of the threads that mail needs.
struct Threads {
    reactor: Echo,
    crew: Crew,
    commit_since: Option<Instant>,
}

/// How the service is now.
pub(crate) fn of(observed: &Observed) -> Health {
    let mut health = Health::default();
    let setup = observed.context.setup();
    health.look_at_threads(observed);
    health.look_at_spool(observed, &setup);
    health.look_at_listeners(observed, &setup.settings);
    health.look_at_directory(&setup);
    health.look_at_the_rest(observed, &setup.settings);
    health
}

/// The listeners that the settings want and that are not open. One that may be missing, where the machine lacks
/// its family, counts only where its port has none at all on its number.
pub(crate) fn missing(settings: &Settings, entries: &[ListenerEntry]) -> Vec<Want> {
    let is_open = |want: &Want| {
        let here = |entry: &&ListenerEntry| entry.open.port == want.port;
        let mut own = entries.iter().filter(here);
        match want.is_default {
            true => own.any(|entry| entry.open.address.port() == want.address.port()),
            false => own.any(|entry| entry.open.address == want.address),
        }
    };
    let mut wants = wanted(settings);
    wants.retain(|want| !is_open(want));
    wants
}

/// Where the port goes on that could not be moved.
fn instead(want: &Want, entries: &[ListenerEntry]) -> String {
    let own = entries.iter().filter(|entry| entry.open.port == want.port);
    let addresses: Vec<String> = own.map(|entry| entry.open.address.to_string()).collect();
    match addresses.is_empty() {
        true => String::new(),
        false => format!(", it goes on with {}", addresses.join(", ")),
    }
}

impl Health {
    /// Whether mail is taken.
    pub(crate) fn is_well(&self) -> bool {
        self.problems.is_empty()
    }

    /// What is wrong, in one line.
    pub(crate) fn summary(&self) -> String {
        let words = self.problems.iter().map(Finding::words);
        words.collect::<Vec<_>>().join("; ")
    }

    /// A line for each problem and each warning, behind one that says how it is.
    pub(crate) fn text(&self) -> String {
        let mut text = match self.is_well() {
            true => "healthy\n".to_owned(),
            false => String::new(),
        };
        for problem in &self.problems {
            text.push_str(&format!("unhealthy: {}\n", problem.words()));
        }
        for warning in &self.warnings {
            text.push_str(&format!("warning: {}\n", warning.words()));
        }
        text
    }

    /// One object.
    pub(crate) fn json(&self) -> String {
        let facts = |findings: &[Finding]| findings.iter().map(Finding::facts).collect();
        let whole = Facts::default()
            .add("healthy", Fact::YesNo(self.is_well()))
            .add("problems", Fact::List(facts(&self.problems)))
            .add("warnings", Fact::List(facts(&self.warnings)));
        whole.json() + "\n"
    }

    fn problem(&mut self, check: &'static str, reason: impl ToString) {
        let reason = reason.to_string();
        self.problems.push(Finding { check, reason });
    }

    fn warning(&mut self, check: &'static str, reason: impl ToString) {
        let reason = reason.to_string();
        self.warnings.push(Finding { check, reason });
    }

    fn look_at_threads(&mut self, observed: &Observed) {
        let context = &observed.context;
        let threads = Threads {
            reactor: observed.remote.ask(REACTOR_PATIENCE),
            crew: context.parked.crew(),
            commit_since: context.spool.vitals().commit_since,
        };
        if context.stop_deadline().is_some() {
            self.problem("stopping", "the service is going down");
        }
        self.judge(&threads, clock::monotonic());
    }

    /// Finds threads that do not go on.
    fn judge(&mut self, threads: &Threads, now: Instant) {
        let is_stuck = |since: Option<Instant>| {
            let length = now.saturating_duration_since(since?);
            (length >= STUCK_AFTER).then_some(length.as_secs())
        };
        match threads.reactor {
            Echo::Heard => {}
            Echo::Silent => self.problem("reactor", "its loop does not go on"),
            Echo::Gone => self.problem("stopping", "no session is served any more"),
        }
        if let Some(seconds) = is_stuck(threads.crew.busy_since) {
            let workers = threads.crew.workers;
            let why = format!("all {workers} are busy, and none has gone on for {seconds} s");
            self.problem("workers", why);
        }
        if let Some(seconds) = is_stuck(threads.commit_since) {
            let why = format!("a message waits for its sync to disk for {seconds} s");
            self.problem("commit", why);
        }
    }

    fn look_at_spool(&mut self, observed: &Observed, setup: &Setup) {
        let context = &observed.context;
        let spool = setup.settings.spool.display();
        match context.spool.check_space(0) {
            Ok(()) => {}
            Err(Refusal::NoSpace) => {
                let kept = context.spool.kept_octets();
                let why = format!("{spool}: less than free_space ({kept} octets) is free");
                self.problem("space", why);
            }
            Err(Refusal::Failure) => {
                self.problem(
                    "space",
                    format!("{spool}: the system cannot tell what is free"),
                );
            }
        }
        if let Err(error) = folder::writable(&setup.settings.spool.join("log")) {
            self.problem("spool", format!("{spool}: cannot be written to: {error}"));
        }
        let failed = context.spool_failed_at();
        let now = clock::monotonic();
        let is_recent = |at: &Instant| now.saturating_duration_since(*at) < FAILURE_COUNTS;
        if failed.filter(is_recent).is_some() {
            let why = format!("{spool}: the disk failed at the last message; the log has why");
            self.problem("spool", why);
        }
    }

    fn look_at_listeners(&mut self, observed: &Observed, settings: &Settings) {
        let entries = observed.acceptor.entries();
        if entries.is_empty() && wanted(settings).is_empty() {
            self.warning("listener", "no SMTP port is enabled");
        }
        if observed.context.stop_deadline().is_some() {
            // They close first.
            return;
        }
        for want in missing(settings, &entries) {
            let why = format!("port {} does not listen on {}", want.port, want.address);
            match entries.is_empty() {
                true => self.problem("listener", why),
                false => self.warning("listener", why + &instead(&want, &entries)),
            }
        }
    }

    fn look_at_directory(&mut self, setup: &Setup) {
        for trouble in setup.directory.troubles() {
            match trouble.has_older {
                true => self.warning("directory", trouble),
                false => self.problem("directory", trouble),
            }
        }
    }

    fn look_at_the_rest(&mut self, observed: &Observed, settings: &Settings) {
        let on = observed.context.metrics_on();
        for address in settings
            .metrics
            .listen
            .iter()
            .filter(|one| !on.contains(one))
        {
            self.warning("metrics", format!("nothing listens on {address}"));
        }
        // Of the directory everything is told, and as it is now.
        let told = |report: &Report| report.place.cause == Cause::Directory;
        let reports = observed.context.active_alarms.reports();
        for report in reports.iter().filter(|report| !told(report)) {
            let (cause, subject) = (report.place.cause.word(), &report.place.subject);
            let words = format!("{cause} {subject}: {}", report.words);
            self.warning("alarm", words);
        }
        match observed.context.refreshes.last() {
            Some((_, ending @ (Ending::InPart | Ending::NotChanged))) => {
                let why = format!("at the last refresh: {}; the log has why", ending.words());
                self.warning("configuration", why);
            }
            Some((_, Ending::Applied)) | None => {}
        }
    }
}

impl Finding {
    fn words(&self) -> String {
        format!("{}: {}", self.check, self.reason)
    }

    fn facts(&self) -> Facts {
        Facts::default()
            .text("check", self.check)
            .text("reason", &self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_do_not_go_on_are_named_and_slow_ones_are_not() {
        let now = clock::monotonic() + Duration::from_secs(3600);
        let ago = |seconds| Some(now - Duration::from_secs(seconds));
        let heard = Echo::Heard;
        for (reactor, busy_since, commit_since, want) in [
            (heard, None, None, ""),
            (heard, ago(29), ago(29), ""),
            (
                heard,
                ago(30),
                None,
                "workers: all 4 are busy, and none has gone on for 30 s",
            ),
            (
                heard,
                None,
                ago(61),
                "commit: a message waits for its sync to disk for 61 s",
            ),
            (Echo::Silent, None, None, "reactor: its loop does not go on"),
            (
                Echo::Gone,
                None,
                None,
                "stopping: no session is served any more",
            ),
        ] {
            let threads = Threads {
                reactor,
                crew: Crew {
                    workers: 4,
                    busy: 4,
                    queued: 1,
                    busy_since,
                },
                commit_since,
            };
            let mut health = Health::default();
            health.judge(&threads, now);
            assert_eq!(health.summary(), want);
            assert_eq!(health.is_well(), want.is_empty());
        }
    }

    #[test]
    fn a_warning_leaves_it_well() {
        let mut health = Health::default();
        health.warning("alarm", "unreachable smarthost: a\"b");
        assert!(health.is_well());
        assert_eq!(
            health.text(),
            "healthy\nwarning: alarm: unreachable smarthost: a\"b\n"
        );
        health.problem("space", "x");
        assert_eq!(
            health.json(),
            "{\"healthy\":false,\"problems\":[{\"check\":\"space\",\"reason\":\"x\"}],\
             \"warnings\":[{\"check\":\"alarm\",\"reason\":\"unreachable smarthost: a\\\"b\"}]}\n"
        );
    }
}
