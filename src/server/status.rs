//! What the service does, told to the operator.

use super::certificates;
use super::context::{Context, Setup};
use super::gate::{Gate, Post};
use super::refresh::Refresher;
use super::told::{Fact, Facts};
use crate::config::serving::Serving;
use crate::config::settings::PortKind;
use crate::mail::date;
use crate::policy::admission::{Row, rows};
use crate::sys::clock;
use crate::transport::tls::ServerTls;

/// The status of one moment.
pub(super) struct Status {
    head: Facts,
    listeners: Vec<Listener>,
    certificates: Vec<Facts>,
    alarms: Vec<Facts>,
    counters: Facts,
}

struct Listener {
    head: Facts,
    stages: Vec<Facts>,
}

impl Status {
    pub(super) fn of(context: &Context, gate: &Gate, refresher: &Refresher) -> Self {
        let setup = context.setup();
        let posts = gate.posts();
        Self {
            head: head(context, gate, refresher),
            listeners: posts.iter().map(|post| listener(post, &setup)).collect(),
            certificates: certificates(&setup, refresher),
            alarms: context.board.facts(),
            counters: counters(context),
        }
    }

    /// Lines for people; those of the listeners look as `check` prints them.
    pub(super) fn text(&self) -> String {
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
        for certificate in &self.certificates {
            text.push_str(&format!("certificate {}\n", certificate.line()));
        }
        for alarm in &self.alarms {
            text.push_str(&format!("alarm {}\n", alarm.line()));
        }
        text.push_str(&format!("counters {}\n", self.counters.line()));
        text
    }

    /// One object.
    pub(super) fn json(self) -> String {
        let listeners = self.listeners.into_iter();
        let listeners = listeners.map(|one| one.head.add("stages", Fact::List(one.stages)));
        let whole = self
            .head
            .add("listeners", Fact::List(listeners.collect()))
            .add("certificates", Fact::List(self.certificates))
            .add("alarms", Fact::List(self.alarms))
            .add("counters", Fact::Object(self.counters));
        whole.json() + "\n"
    }
}

fn head(context: &Context, gate: &Gate, refresher: &Refresher) -> Facts {
    let settings = &context.setup().settings;
    let sessions = gate.counts();
    let uptime = clock::monotonic().saturating_duration_since(context.started);
    let last = refresher.last();
    let result = last.map_or("never refreshed", |(_, ending)| ending.words());
    Facts::default()
        .text("version", env!("CARGO_PKG_VERSION"))
        .number("pid", std::process::id())
        .number("uptime_seconds", uptime.as_secs())
        .text("configuration", settings.file.display())
        .maybe("refreshed", last.map(|(at, _)| date::rfc3339(at)))
        .text("refresh", result)
        .number("sessions", sessions.now)
        .number("sessions_peak", sessions.peak)
        .number("sessions_max", settings.connections.sessions_max)
        .number("queue", context.spool.undelivered())
}

fn listener(post: &Post, setup: &Setup) -> Listener {
    let settings = match &post.setup {
        Some(own) => &own.settings,
        None => &setup.settings,
    };
    let rows = settings
        .port(&post.open.port)
        .map(|port| rows(settings, port, post.open.address.ip()));
    let kind = match post.open.kind {
        PortKind::Tcp => "tcp",
        PortKind::Tls => "tls",
    };
    Listener {
        head: Facts::default()
            .text("port", &post.open.port)
            .text("kind", kind)
            .text("address", post.open.address),
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

fn certificates(setup: &Setup, refresher: &Refresher) -> Vec<Facts> {
    let files = certificates::files(&setup.settings);
    let identities = setup.tls.iter().flat_map(ServerTls::identities);
    let pairs = files.zip(identities);
    let watch = setup.settings.tls.watch;
    let facts = pairs.enumerate().map(|(place, ((file, _), identity))| {
        let (watch, problem) = refresher.renewal().told(place, watch);
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

fn counters(context: &Context) -> Facts {
    let stats = &context.stats;
    Facts::default()
        .number("sessions", stats.sessions.value())
        .number("connections_refused", stats.connections_refused.value())
        .number("messages_accepted", stats.messages_accepted.value())
        .number("octets_accepted", stats.octets_accepted.value())
        .number("clients_refused", stats.clients_refused.value())
        .number("blacklist_hits", stats.blacklist_hits.value())
        .number("dnsbl_hits", stats.dnsbl_hits.value())
        .number("logins", stats.logins.value())
        .number("logins_failed", stats.logins_failed.value())
        .number("logins_turned_away", stats.logins_turned_away.value())
        .number("senders_refused", stats.senders_refused.value())
        .number("recipients_refused", stats.recipients_refused.value())
        .number("relay_refused", stats.relay_refused.value())
        .number("messages_refused", stats.messages_refused.value())
        .number("recipients_failed", stats.recipients_failed.value())
        .number("recipients_expired", stats.recipients_expired.value())
        .number("notifications", stats.notifications.value())
        .number("plaintext_discarded", stats.plaintext_discarded.value())
        .number("tls_failures", stats.tls_failures.value())
        .number("dns_questions", stats.dns_questions.value())
        .number("dns_cache_hits", stats.dns_cache_hits.value())
        .number("dns_failures", stats.dns_failures.value())
        .number("dns_timeouts", stats.dns_timeouts.value())
        .number("bugs", stats.bugs.value())
}
