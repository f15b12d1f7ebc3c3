//! What the service does, told to the operator.

use super::observed::{ListenerView, Observed};
use crate::config::serving::Serving;
use crate::control::facts::{Fact, Facts};
use crate::directory::FileTrouble;
use crate::mail::date;
use crate::policy::admission::{Row, rows};
use crate::probe::certificates;
use crate::server::acceptor::ListenerEntry;
use crate::server::context::{Context, Setup};
use crate::server::renewal::Renewal;
use crate::server::sandbox;
use crate::stats::Stats;
use crate::sys::clock;
use crate::sys::sandbox::refused_total;
use crate::transport::tls::ServerTls;

/// The status of one moment.
pub(crate) struct Status {
    head: Facts,
    listeners: Vec<Listener>,
    metrics: Vec<Facts>,
    certificates: Vec<Facts>,
    directory: Vec<Facts>,
    alarms: Vec<Facts>,
    counters: Facts,
}

struct Listener {
    head: Facts,
    stages: Vec<Facts>,
}

impl Status {
    pub(crate) fn of(observed: &Observed, renewal: &Renewal) -> Self {
        sandbox::tell_refused();
        let context = &*observed.context;
        let setup = context.setup();
        let entries = observed.acceptor.entries();
        Self {
            head: head(observed),
            listeners: entries
                .iter()
                .map(|entry| listener(entry, &setup))
                .collect(),
            metrics: metrics(context),
            certificates: certificates(&setup, renewal),
            directory: directory(&setup),
            alarms: context.active_alarms.facts(),
            counters: counters(&context.stats),
        }
    }

    /// Lines for people; those of the listeners look as `check` prints them.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("service {}\n", self.head.line());
        for listener in &self.listeners {
            for stage in &listener.stages {
                text.push_str(&format!(
                    "listener {} {}\n",
                    listener.head.line(),
                    stage.line()
                ));
            }
        }
        if self.listeners.is_empty() {
            text.push_str("no SMTP port is enabled\n");
        }
        for metrics in &self.metrics {
            text.push_str(&format!("metrics {}\n", metrics.line()));
        }
        for certificate in &self.certificates {
            text.push_str(&format!("certificate {}\n", certificate.line()));
        }
        for file in &self.directory {
            text.push_str(&format!("directory {}\n", file.line()));
        }
        for alarm in &self.alarms {
            text.push_str(&format!("alarm {}\n", alarm.line()));
        }
        text.push_str(&format!("counters {}\n", self.counters.line()));
        text
    }

    /// One object.
    pub(crate) fn json(self) -> String {
        let listeners = self.listeners.into_iter();
        let listeners = listeners.map(|one| one.head.add("stages", Fact::List(one.stages)));
        let whole = self
            .head
            .add("listeners", Fact::List(listeners.collect()))
            .add("metrics", Fact::List(self.metrics))
            .add("certificates", Fact::List(self.certificates))
            .add("directory", Fact::List(self.directory))
            .add("alarms", Fact::List(self.alarms))
            .add("counters", Fact::Object(self.counters));
        whole.json() + "\n"
    }
}

fn head(observed: &Observed) -> Facts {
    let context = &*observed.context;
    let settings = &context.setup().settings;
    let sessions = observed.acceptor.counts();
    let uptime = clock::monotonic().saturating_duration_since(context.started);
    let last = context.refreshes.last();
    let result = last.map_or("never refreshed", |(_, ending)| ending.words());
    Facts::default()
        .text("version", env!("CARGO_PKG_VERSION"))
        .number("pid", std::process::id())
        .number("uptime_seconds", uptime.as_secs())
        .text("configuration", settings.file.display())
        .text("sandbox", sandbox::words(context.walls.as_ref()))
        .maybe("sandbox_lacks", sandbox::lacks(context.walls.as_ref()))
        .maybe("refreshed", last.map(|(at, _)| date::rfc3339(at)))
        .text("refresh", result)
        .number("sessions", sessions.now)
        .number("sessions_peak", sessions.peak)
        .number("sessions_max", settings.connections.sessions_max)
        .number("queue", context.spool.vitals().messages)
}

fn listener(entry: &ListenerEntry, setup: &Setup) -> Listener {
    let settings = match &entry.setup {
        Some(own) => &own.settings,
        None => &setup.settings,
    };
    let rows = settings
        .port(&entry.open.port)
        .map(|port| rows(settings, port, entry.open.address.ip()));
    let view = ListenerView::of(entry);
    Listener {
        head: Facts::default()
            .text("port", view.port)
            .text("kind", view.kind)
            .text("address", view.address),
        stages: rows.into_iter().flatten().map(admits).collect(),
    }
}

fn admits(row: Row<'_>) -> Facts {
    let admitted = row.admitted;
    let site = match row.serving {
        Serving::Site(site) => Some(&site.name),
        Serving::Server | Serving::Nobody => None,
    };
    Facts::default()
        .text("stage", row.stage.word())
        .add("auth", Fact::YesNo(admitted.auth))
        .add("anonymous", Fact::YesNo(admitted.anonymous))
        .add("starttls_required", Fact::YesNo(admitted.starttls_required))
        .add("enabled", Fact::YesNo(admitted.enabled))
        .maybe("site", site)
}

fn metrics(context: &Context) -> Vec<Facts> {
    let addresses = context.metrics_on().into_iter();
    let facts = addresses.map(|address| Facts::default().text("address", address));
    facts.collect()
}

fn certificates(setup: &Setup, renewal: &Renewal) -> Vec<Facts> {
    let files = certificates::files(&setup.settings);
    let identities = setup.tls.iter().flat_map(ServerTls::identities);
    let pairs = files.zip(identities);
    let watch = setup.settings.tls.watch;
    let facts = pairs.enumerate().map(|(place, ((file, _), identity))| {
        let (watch, problem) = renewal.told(place, watch);
        let facts = Facts::default()
            .text("file", file.display())
            .text("subject", &identity.subject)
            .maybe("not_after", identity.not_after.map(date::rfc3339));
        let facts = match identity.days_left(clock::now()) {
            Some(days) => facts.number("days_left", days),
            None => facts.add("days_left", Fact::Nothing),
        };
        facts.text("watch", watch).maybe("problem", problem)
    });
    facts.collect()
}

/// The files of users and aliases that are not in use as they are now.
fn directory(setup: &Setup) -> Vec<Facts> {
    let facts = |trouble: FileTrouble| {
        Facts::default()
            .text("file", trouble.file.display())
            .add("older_in_use", Fact::YesNo(trouble.has_older))
            .text("problem", trouble.reason)
    };
    setup.directory.troubles().into_iter().map(facts).collect()
}

fn counters(stats: &Stats) -> Facts {
    let mut facts = Facts::default();
    for counter in stats.counters() {
        facts = facts.number(counter.name, counter.value);
    }
    let commits = &stats.commit_times;
    facts
        .number("system_calls_refused", refused_total())
        .number("commits", commits.count())
        .number("commits_milliseconds", commits.sum().as_millis())
}
