//! The numbers of a running service for Prometheus.
//!
//! Each family stands once, in [`FAMILIES`]: its name, what it means, and where its samples come from; the
//! counters are those of [`Stats`], which has a table of its own. Names and units are
//! Prometheus' own: `_total` for what only grows, seconds, bytes, and `process_` for what every process has.
//! Refuses to know: who asks.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::health::{self, Health};
use super::observed::{ListenerView, Observed};
use crate::delivery::lanes::LaneVitals;
use crate::mail::date;
use crate::net::parking::Crew;
use crate::policy::alarm::Cause;
use crate::probe::certificates;
use crate::protocol::exposition::{Exposition, Kind, Number, Samples};
use crate::server::acceptor::SessionCounts;
use crate::server::context::Setup;
use crate::server::refreshes::Ending;
use crate::spool::vitals::Vitals;
use crate::stats::{BOUNDS, Stats};
use crate::sys::clock;
use crate::sys::sandbox::refused_total;
use crate::sys::usage::{Usage, usage};
use crate::transport::tls::ServerTls;

/// A family of numbers.
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// What it means, in a sentence.
    pub meaning: &'static str,
    fill: fn(&Look<'_>, &mut Samples<'_>),
}

/// The service at the moment of a look.
struct Look<'a> {
    observed: &'a Observed,
    setup: Arc<Setup>,
    health: Health,
    sessions: SessionCounts,
    crew: Crew,
    spool: Vitals,
    lanes: Vec<LaneVitals>,
    usage: Usage,
    wall: SystemTime,
}

/// All numbers, as Prometheus reads them.
pub(crate) fn text(observed: &Observed) -> String {
    let context = &*observed.context;
    let look = Look {
        observed,
        setup: context.setup(),
        health: health::of(observed),
        sessions: observed.acceptor.counts(),
        crew: context.parked.crew(),
        spool: context.spool.vitals(),
        lanes: context.lanes().vitals(clock::monotonic()),
        usage: usage(),
        wall: clock::now(),
    };
    let mut text = Exposition::default();
    for family in FAMILIES {
        text.family(family.name, family.kind, family.meaning, |samples| {
            (family.fill)(&look, samples);
        });
    }
    for counter in context.stats.counters() {
        let (name, meaning) = (counter.metric, counter.meaning);
        text.family(name, Kind::Counter, meaning, |samples| {
            samples.one(counter.value);
        });
    }
    text.finish()
}

/// The name and meaning of every family, in their order.
pub fn families() -> Vec<(&'static str, &'static str)> {
    let stats = Stats::default();
    let counters = stats.counters().map(|one| (one.metric, one.meaning));
    let families = FAMILIES.iter().map(|one| (one.name, one.meaning));
    families.chain(counters).collect()
}

/// A row of the table.
const fn family(
    name: &'static str,
    kind: Kind,
    meaning: &'static str,
    fill: fn(&Look<'_>, &mut Samples<'_>),
) -> Family {
    Family {
        name,
        kind,
        meaning,
        fill,
    }
}

/// Every family but the counters of [`Stats`].
const FAMILIES: &[Family] = &[
    family(
        "gatepost_build_info",
        Kind::Gauge,
        "Always 1; the label is the version.",
        |_, samples| samples.of(&[("version", env!("CARGO_PKG_VERSION"))], 1),
    ),
    family(
        "gatepost_healthy",
        Kind::Gauge,
        "Whether mail is taken: 1 where gatepost health exits with 0.",
        |look, samples| samples.one(look.health.is_well()),
    ),
    family(
        "gatepost_uptime_seconds",
        Kind::Gauge,
        "How long the service runs, whatever the clock on the wall says.",
        |look, samples| samples.one(uptime(look)),
    ),
    family(
        "gatepost_config_last_reload_successful",
        Kind::Gauge,
        "Whether the configuration was taken up whole when it was read last.",
        |look, samples| samples.one(is_taken_up_whole(look)),
    ),
    family(
        "gatepost_config_last_reload_success_timestamp_seconds",
        Kind::Gauge,
        "When a configuration was taken up last.",
        |look, samples| samples.one(seconds(taken_up(look))),
    ),
    family(
        "gatepost_listener_open",
        Kind::Gauge,
        "1 for each address that a port listens on, 0 for one that it should and does not.",
        listeners,
    ),
    family(
        "gatepost_sessions_open",
        Kind::Gauge,
        "Sessions there are now.",
        |look, samples| samples.one(Number::count(look.sessions.now)),
    ),
    family(
        "gatepost_sessions_open_peak",
        Kind::Gauge,
        "The most sessions at a time since the start.",
        |look, samples| samples.one(Number::count(look.sessions.peak)),
    ),
    family(
        "gatepost_sessions_open_limit",
        Kind::Gauge,
        "Sessions there may be: [connections] sessions_max.",
        |look, samples| samples.one(Number::count(look.setup.settings.connections.sessions_max)),
    ),
    family(
        "gatepost_workers",
        Kind::Gauge,
        "Threads that run sessions.",
        |look, samples| samples.one(Number::count(look.crew.workers)),
    ),
    family(
        "gatepost_workers_busy",
        Kind::Gauge,
        "Threads that run a session now.",
        |look, samples| samples.one(Number::count(look.crew.busy)),
    ),
    family(
        "gatepost_workers_waited_for",
        Kind::Gauge,
        "Sessions that have something to do and wait for a worker.",
        |look, samples| samples.one(Number::count(look.crew.queued)),
    ),
    family(
        "gatepost_queue_messages",
        Kind::Gauge,
        "Messages that are not delivered.",
        |look, samples| samples.one(Number::count(look.spool.messages)),
    ),
    family(
        "gatepost_queue_held_messages",
        Kind::Gauge,
        "Messages that the operator holds.",
        |look, samples| samples.one(Number::count(look.spool.held)),
    ),
    family(
        "gatepost_queue_oldest_age_seconds",
        Kind::Gauge,
        "The age of the oldest message that is not delivered; 0 where there is none.",
        |look, samples| samples.one(oldest_age(look)),
    ),
    family(
        "gatepost_lane_messages",
        Kind::Gauge,
        "Messages that a destination has not taken yet.",
        |look, samples| lanes(look, samples, |lane| Number::count(lane.messages)),
    ),
    family(
        "gatepost_lane_messages_in_hand",
        Kind::Gauge,
        "Messages that are being carried to a destination now.",
        |look, samples| lanes(look, samples, |lane| Number::count(lane.in_hand)),
    ),
    family(
        "gatepost_lane_failures",
        Kind::Gauge,
        "How often a destination could not be used, in a row.",
        |look, samples| lanes(look, samples, |lane| u64::from(lane.failures).into()),
    ),
    family(
        "gatepost_lane_resting",
        Kind::Gauge,
        "Whether a destination is not tried now, because it could not be used.",
        |look, samples| lanes(look, samples, |lane| lane.is_resting.into()),
    ),
    family(
        "gatepost_lane_recipients_delivered_total",
        Kind::Counter,
        "Recipients that a destination took.",
        |look, samples| lanes(look, samples, |lane| lane.delivered.into()),
    ),
    family(
        "gatepost_lane_recipients_deferred_total",
        Kind::Counter,
        "Attempts at a destination's recipients that put one off until later.",
        |look, samples| lanes(look, samples, |lane| lane.deferred.into()),
    ),
    family(
        "gatepost_lane_recipients_failed_total",
        Kind::Counter,
        "Recipients that a destination refused, or that expired.",
        |look, samples| lanes(look, samples, |lane| lane.failed.into()),
    ),
    family(
        "gatepost_spool_free_bytes",
        Kind::Gauge,
        "Space that is free in the file system of the spool.",
        |look, samples| samples.maybe(free(look)),
    ),
    family(
        "gatepost_spool_free_minimum_bytes",
        Kind::Gauge,
        "Space that has to be: below it no mail is taken. [limits] free_space.",
        |look, samples| samples.one(look.observed.context.spool.kept_octets()),
    ),
    family(
        "gatepost_spool_log_segments",
        Kind::Gauge,
        "Segments of the log that hold mail or are written to (used), and that are free.",
        segments,
    ),
    family(
        "gatepost_commit_duration_seconds",
        Kind::Histogram,
        "How long it took to make messages durable, each time it was done.",
        commits,
    ),
    family(
        "gatepost_certificate_not_after_timestamp_seconds",
        Kind::Gauge,
        "When a certificate ends.",
        certificates_of,
    ),
    family(
        "gatepost_alarms",
        Kind::Gauge,
        "Alarms that are on, by their cause.",
        alarms,
    ),
    family(
        "gatepost_system_calls_refused_total",
        Kind::Counter,
        "System calls that the sandbox refused; any is a fault or a break-in.",
        |_, samples| samples.one(refused_total()),
    ),
    family(
        "process_start_time_seconds",
        Kind::Gauge,
        "When the service started, by the clock of that moment.",
        |look, samples| samples.one(seconds(look.observed.context.started_wall)),
    ),
    family(
        "process_cpu_seconds_total",
        Kind::Counter,
        "Processor time of the service.",
        |look, samples| samples.maybe(look.usage.cpu),
    ),
    family(
        "process_resident_memory_bytes",
        Kind::Gauge,
        "Memory of the service that is resident.",
        |look, samples| samples.maybe(look.usage.resident_octets),
    ),
    family(
        "process_virtual_memory_bytes",
        Kind::Gauge,
        "Address space of the service.",
        |look, samples| samples.maybe(look.usage.virtual_octets),
    ),
    family(
        "process_open_fds",
        Kind::Gauge,
        "Open descriptors of the service.",
        |look, samples| samples.maybe(look.usage.descriptors),
    ),
    family(
        "process_max_fds",
        Kind::Gauge,
        "Descriptors that the service may open.",
        |look, samples| samples.maybe(look.usage.descriptors_max),
    ),
];

fn listeners(look: &Look<'_>, samples: &mut Samples<'_>) {
    let entries = look.observed.acceptor.entries();
    let mut one = |view: ListenerView<'_>, is_open| {
        let address = view.address.to_string();
        let labels = [
            ("port", view.port),
            ("kind", view.kind),
            ("address", &address),
        ];
        samples.of(&labels, is_open);
    };
    entries
        .iter()
        .for_each(|entry| one(ListenerView::of(entry), true));
    let missing = health::missing(&look.setup.settings, &entries);
    missing
        .iter()
        .for_each(|want| one(ListenerView::wanted(want), false));
}

fn lanes(look: &Look<'_>, samples: &mut Samples<'_>, value: fn(&LaneVitals) -> Number) {
    for lane in &look.lanes {
        samples.of(&[("lane", &lane.name)], value(lane));
    }
}

fn segments(look: &Look<'_>, samples: &mut Samples<'_>) {
    samples.of(
        &[("state", "free")],
        Number::count(look.spool.segments_free),
    );
    samples.of(
        &[("state", "used")],
        Number::count(look.spool.segments_used),
    );
}

fn commits(look: &Look<'_>, samples: &mut Samples<'_>) {
    let times = &look.observed.context.stats.commit_times;
    let sum = times.sum();
    let within = times.cumulated();
    let count = within.last().copied().unwrap_or_default();
    let bounds = BOUNDS.map(Duration::from_millis);
    samples.histogram(bounds.into_iter().zip(within), count, sum);
}

fn certificates_of(look: &Look<'_>, samples: &mut Samples<'_>) {
    let files = certificates::files(&look.setup.settings);
    let identities = look.setup.tls.iter().flat_map(ServerTls::identities);
    let mut told = Vec::new();
    for ((file, _), identity) in files.zip(identities) {
        // Sites may share a file.
        if told.contains(&file) {
            continue;
        }
        told.push(file);
        if let Some(end) = identity.not_after {
            let file = file.display().to_string();
            samples.of(&[("file", &file)], seconds(end));
        }
    }
}

fn alarms(look: &Look<'_>, samples: &mut Samples<'_>) {
    let board = &look.observed.context.active_alarms;
    for cause in Cause::ALL {
        samples.of(
            &[("cause", cause.word())],
            Number::count(board.count(cause)),
        );
    }
}

fn uptime(look: &Look<'_>) -> Duration {
    clock::monotonic().saturating_duration_since(look.observed.context.started)
}

fn is_taken_up_whole(look: &Look<'_>) -> bool {
    let last = look.observed.context.refreshes.last();
    last.is_none_or(|(_, ending)| ending == Ending::Applied)
}

fn taken_up(look: &Look<'_>) -> SystemTime {
    let context = &look.observed.context;
    let last = context.refreshes.taken_up();
    last.unwrap_or(context.started_wall)
}

fn oldest_age(look: &Look<'_>) -> u64 {
    let now = date::unix_seconds(look.wall);
    let oldest = look.spool.oldest_received;
    oldest.map_or(0, |received| now.saturating_sub(received))
}

fn free(look: &Look<'_>) -> Option<u64> {
    look.observed.context.spool.free_octets().ok()
}

fn seconds(at: SystemTime) -> u64 {
    date::unix_seconds(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_prometheus_own_and_nothing_stands_twice() {
        let families = families();
        for (at, (name, meaning)) in families.iter().enumerate() {
            let is_plain = |octet: u8| octet.is_ascii_lowercase() || octet == b'_';
            assert!(name.bytes().all(is_plain), "{name}");
            let is_ours = name.starts_with("gatepost_") || name.starts_with("process_");
            assert!(is_ours && meaning.ends_with('.'), "{name}");
            assert!(families.iter().skip(at + 1).all(|(other, _)| other != name));
        }
        for family in FAMILIES {
            let grows = family.name.ends_with("_total");
            assert_eq!(grows, family.kind == Kind::Counter, "{}", family.name);
        }
    }
}
