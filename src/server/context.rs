//! What all sessions of one run share.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use super::active_alarms::ActiveAlarms;
use super::driver::Connection;
use super::dsn_rules;
use super::unfinished::Unfinished;
use crate::config::settings::{PortKind, Settings};
use crate::delivery::{Lanes, NextHops, Notifier};
use crate::devices::Devices;
use crate::directory::Directory;
use crate::dns::Resolver;
use crate::events;
use crate::net::parking::ParkedSessions;
use crate::policy::throttle::Throttle;
use crate::policy::unknown::Unknowns;
use crate::probe::certificates;
use crate::server::refreshes::Refreshes;
use crate::spool::{Refusal, Spool};
use crate::stats::Stats;
use crate::sys::clock;
use crate::sys::sandbox::Walls;
use crate::sys::sync::{Mutex, RwLock};
use crate::transport::client::Brake;
use crate::transport::tls::ServerTls;
use crate::troubles::{Kind, Troubles};

/// How long a session in mail data may go on once the service is going down (CONFIG: ends).
pub const STOP_PATIENCE: Duration = Duration::from_secs(30);
/// When everything ends at the latest: sessions whose time is up have a moment to say so.
pub const STOP_LIMIT: Duration = Duration::from_secs(31);

/// How the alarm calls the spool's log.
const LOG: &str = "log";

/// What a refresh replaces as a whole. A session keeps the one it began with.
pub struct Setup {
    /// The settings.
    pub settings: Arc<Settings>,
    /// Who is who.
    pub directory: Arc<Directory>,
    /// The TLS side, where a certificate is set.
    pub tls: Option<ServerTls>,
}

impl Setup {
    /// The TLS side of a session that came in on `local`; none where no certificate is set.
    pub fn tls_of(&self, local: IpAddr) -> Option<ServerTls> {
        let tls = self.tls.as_ref()?;
        Some(certificates::of_session(&self.settings, tls, local))
    }

    /// Builds it from settings that passed the check; has a first look at the users.
    pub fn new(settings: Arc<Settings>, tls: Option<ServerTls>) -> Self {
        Self {
            tls,
            directory: Arc::new(Directory::new(&settings)),
            settings,
        }
    }

    /// The next one; what was read of users and aliases goes on.
    pub(crate) fn after(before: &Self, settings: Arc<Settings>, tls: Option<ServerTls>) -> Self {
        Self {
            tls,
            directory: Arc::new(Directory::after(&settings, &before.directory)),
            settings,
        }
    }

    /// The same with other certificates.
    pub(crate) fn showing(&self, tls: &ServerTls) -> Self {
        Self {
            settings: Arc::clone(&self.settings),
            directory: Arc::clone(&self.directory),
            tls: Some(tls.clone()),
        }
    }

    /// The same with one port of another kind: for a listener that could not be moved.
    pub(crate) fn with_kind(&self, port: &str, kind: PortKind) -> Self {
        let mut settings = Settings::clone(&self.settings);
        let found = settings.ports.iter_mut().find(|known| known.name == port);
        if let Some(found) = found {
            found.kind = kind;
        }
        Self {
            settings: Arc::new(settings),
            directory: Arc::clone(&self.directory),
            tls: self.tls.clone(),
        }
    }
}

/// What all sessions of one run share.
pub struct Context {
    setup: RwLock<Arc<Setup>>,
    /// Where messages become durable.
    pub spool: Arc<Spool>,
    lanes: Arc<Lanes>,
    notifier: Arc<Notifier>,
    /// The places of all sessions.
    pub parked: Arc<ParkedSessions<Connection>>,
    /// Asks DNS.
    pub resolver: Resolver,
    /// What has been done.
    pub stats: Arc<Stats>,
    /// What goes wrong.
    pub troubles: Arc<Troubles>,
    /// The alarms that are on.
    pub active_alarms: ActiveAlarms,
    /// What each client address did last.
    pub devices: Arc<Devices>,
    /// How the configuration was read again.
    pub refreshes: Refreshes,
    /// The sandbox it runs in; none where it runs without.
    pub walls: Option<Walls>,
    /// When the service was built.
    pub started: Instant,
    /// The same by the clock on the wall, as it was then.
    pub started_wall: SystemTime,
    /// Where `[metrics] listen` is served.
    metrics_on: Mutex<Vec<SocketAddr>>,
    /// When the disk failed at a message, nanoseconds since the start; 0 = it worked since.
    spool_failed: AtomicU64,
    /// What unfinished messages take of the spool.
    pub(crate) unfinished: Arc<Unfinished>,
    throttle: Mutex<Throttle>,
    unknowns: Mutex<Unknowns>,
    stopping: OnceLock<Instant>,
}

impl Context {
    /// Brings the parts together.
    pub fn new(
        setup: Arc<Setup>,
        spool: Arc<Spool>,
        lanes: Arc<Lanes>,
        notifier: Arc<Notifier>,
        devices: Arc<Devices>,
        stats: Arc<Stats>,
    ) -> Self {
        Self {
            devices,
            resolver: Resolver::system(Arc::clone(&stats)),
            setup: RwLock::new(setup),
            spool,
            troubles: lanes.troubles(),
            active_alarms: ActiveAlarms::default(),
            walls: None,
            lanes,
            notifier,
            parked: Arc::new(ParkedSessions::new()),
            stats,
            refreshes: Refreshes::default(),
            started: clock::monotonic(),
            started_wall: clock::now(),
            metrics_on: Mutex::default(),
            spool_failed: AtomicU64::new(0),
            unfinished: Arc::default(),
            throttle: Mutex::default(),
            unknowns: Mutex::default(),
            stopping: OnceLock::new(),
        }
    }

    /// The same, in a sandbox.
    pub(crate) fn within(mut self, walls: Option<Walls>) -> Self {
        self.walls = walls;
        self
    }

    /// Who carries mail elsewhere.
    pub(crate) fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    /// What cuts short whatever waits for a server at the end.
    pub(crate) fn brake(&self) -> &Arc<Brake> {
        self.lanes.brake()
    }

    /// What a session begins with now.
    pub fn setup(&self) -> Arc<Setup> {
        // Nothing is done under the lock that could leave the value half changed.
        Arc::clone(&self.setup.read())
    }

    /// How many messages wait because there were too many notifications.
    pub(crate) fn held_back_notices(&self) -> usize {
        self.notifier.held_back()
    }

    /// Sessions begin with this from now on.
    pub(crate) fn replace(&self, next: Arc<Setup>) {
        let settings = Arc::clone(&next.settings);
        self.notifier.set_rules(dsn_rules::rules(&next));
        self.devices
            .set_limit(settings.devices, &settings.relay.internal);
        events::count_singly(&settings.relay.internal);
        *self.setup.write() = next;
        self.lanes
            .set_next_hops(NextHops::of(&settings), clock::monotonic());
        self.troubles.nudge();
    }

    /// Where `[metrics] listen` is served now.
    pub(crate) fn metrics_on(&self) -> Vec<SocketAddr> {
        let addresses = self.metrics_on.lock();
        addresses.clone()
    }

    /// It is served there from now on.
    pub(crate) fn set_metrics_on(&self, addresses: Vec<SocketAddr>) {
        // It is replaced as a whole.
        let mut current = self.metrics_on.lock();
        *current = addresses;
    }

    /// The failed logins of this run; a refresh keeps them. Not to be held over anything that waits.
    pub fn throttle(&self) -> MutexGuard<'_, Throttle> {
        // A panic while it is held leaves at worst a count that is one off.
        self.throttle.lock()
    }

    /// The unknown recipients of this run; a refresh keeps them. Not to be held over anything that waits.
    pub fn unknowns(&self) -> MutexGuard<'_, Unknowns> {
        // As with the throttle.
        self.unknowns.lock()
    }

    /// The spool did not take a message: the alarm's to know.
    pub fn spool_refused(&self, refusal: Refusal) {
        self.stats.messages_not_stored.count();
        if refusal == Refusal::Failure {
            let since = clock::monotonic().saturating_duration_since(self.started);
            let nanoseconds = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
            self.spool_failed
                .store(nanoseconds.max(1), Ordering::Relaxed);
        }
        let (kind, words) = match refusal {
            Refusal::NoSpace => (Kind::Space, "a message was refused for want of space"),
            Refusal::Failure => (
                Kind::Disk,
                "a message was refused because the spool failed; the log has why",
            ),
        };
        self.troubles.failed(LOG, kind, words);
    }

    /// When the disk failed at a message, where it has taken none since.
    pub(crate) fn spool_failed_at(&self) -> Option<Instant> {
        let nanoseconds = self.spool_failed.load(Ordering::Relaxed);
        (nanoseconds > 0).then(|| self.started + Duration::from_nanos(nanoseconds))
    }

    /// The spool took a message.
    pub fn spool_works(&self) {
        self.spool_failed.store(0, Ordering::Relaxed);
        self.troubles.works(LOG);
    }

    /// From `now` on the service is going down.
    pub fn stop(&self, now: Instant) {
        self.stopping.get_or_init(|| now);
        self.lanes.stop(now);
    }

    /// When the last session has to be over, once the service is going down.
    pub fn stop_deadline(&self) -> Option<Instant> {
        self.stopping.get().map(|since| *since + STOP_PATIENCE)
    }
}
