//! What all sessions of one run share.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::driver::Connection;
use crate::config::settings::Settings;
use crate::directory::Directory;
use crate::net::parking::Lot;
use crate::spool::Spool;
use crate::stats::Stats;
use crate::transport::tls::ServerTls;

/// How long a session in mail data may go on once the service is going down (CONFIG: ends).
pub const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// What all sessions of one run share.
pub struct Context {
    /// The settings they begin with.
    pub settings: Arc<Settings>,
    /// Who is who.
    pub directory: Directory,
    /// Where messages become durable.
    pub spool: Arc<Spool>,
    /// The TLS side, where a certificate is set.
    pub tls: Option<ServerTls>,
    /// The places of all sessions.
    pub lot: Arc<Lot<Connection>>,
    /// What has been done.
    pub stats: Arc<Stats>,
    stopping: OnceLock<Instant>,
}

impl Context {
    /// Brings the parts together.
    pub fn new(
        settings: Arc<Settings>,
        directory: Directory,
        spool: Arc<Spool>,
        tls: Option<ServerTls>,
    ) -> Self {
        Self {
            settings,
            directory,
            spool,
            tls,
            lot: Arc::new(Lot::new()),
            stats: Arc::default(),
            stopping: OnceLock::new(),
        }
    }

    /// From `now` on the service is going down.
    pub fn stop(&self, now: Instant) {
        self.stopping.get_or_init(|| now);
    }

    /// When the last session has to be over, once the service is going down.
    pub fn stop_deadline(&self) -> Option<Instant> {
        self.stopping.get().map(|since| *since + STOP_PATIENCE)
    }
}
