//! Start, run, stop, in order.
//!
//! | step | as root | fails with |
//! | --- | --- | --- |
//! | bind every port | yes | 69, nothing was greeted |
//! | read certificate and key | yes | 78 |
//! | make the folders that are missing, for the account | yes | 73 |
//! | become `[server] user` | – | 77 |
//! | open the spool: lock, recover | no | 73 |
//! | start committer, deliverer, workers; greet | no | 71 |
//!
//! At the end: listeners close, sessions end, the workers are joined; then the committer, which may
//! still owe answers, and the deliverer with its last checkpoint.

use std::fmt;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::certificates;
use super::context::{Context, STOP_PATIENCE, Setup};
use super::driver::Bench;
use super::gate::Gate;
use super::listeners::{self, BindError, Bound};
use crate::config::settings::Settings;
use crate::delivery::{Deliverer, DeliveryOptions};
use crate::directory::Directory;
use crate::events;
use crate::net::reactor::{Reactor, Remote, SignalOrder, SignalSource};
use crate::spool::{Spool, SpoolError, SpoolOptions};
use crate::sys::disk::{Disk, RealDisk};
use crate::sys::signals::{self, Signal, Signals};
use crate::sys::{process, random};
use crate::transport::tls::ServerTls;

/// Why the service does not start.
#[derive(Debug)]
pub enum StartError {
    /// Ports that cannot be bound.
    Bind(Vec<BindError>),
    /// The certificate or its key cannot be used.
    Certificate(String),
    /// A folder cannot be made or handed over.
    Folder(String),
    /// The account cannot be taken on.
    Account(String),
    /// The spool cannot be used.
    Spool(SpoolError),
    /// The system gives no threads, descriptors or random numbers.
    System(std::io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(errors) => {
                for (number, error) in errors.iter().enumerate() {
                    let separator = if number > 0 { "\n" } else { "" };
                    write!(f, "{separator}{error}")?;
                }
                Ok(())
            }
            Self::Certificate(reason) | Self::Folder(reason) | Self::Account(reason) => {
                f.write_str(reason)
            }
            Self::Spool(error) => error.fmt(f),
            Self::System(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

/// A service that is ready to greet.
pub struct Server {
    reactor: Reactor<Gate>,
    spool: Arc<Spool>,
    threads: Vec<JoinHandle<()>>,
    workers: usize,
}

impl Server {
    /// Does everything up to the first greeting. Blocks the signals the service acts on in this
    /// thread and those it starts.
    ///
    /// # Errors
    /// See [`StartError`]; nothing was greeted then.
    pub fn start(settings: Settings) -> Result<Self, StartError> {
        process::limit_allocator_arenas();
        process::restrict_new_files();
        // A lower limit of descriptors is met by accept errors, which are weather.
        let _ = process::raise_descriptor_limit();
        let signals = signals::take().map_err(StartError::System)?;
        let bound = listeners::bind(&settings).map_err(StartError::Bind)?;
        let tls = certificates::load(&settings).map_err(StartError::Certificate)?;
        settle_in(&settings)?;
        let mut server = Self::build(Arc::new(settings), bound, tls)?;
        let watched = server
            .reactor
            .watch_signals(Box::new(SignalOrders(signals)));
        watched.map_err(StartError::System)?;
        Ok(server)
    }

    fn build(
        settings: Arc<Settings>,
        bound: Vec<Bound>,
        tls: Option<ServerTls>,
    ) -> Result<Self, StartError> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let spool = open_spool(&settings, Arc::clone(&disk))?;
        let undelivered = spool.undelivered();
        if undelivered > 0 {
            events::recovered(undelivered);
        }
        let options = DeliveryOptions {
            mail_root: settings.mail_root.clone(),
            hostname: settings.hostname.to_string(),
        };
        let deliverer = Deliverer::new(Arc::clone(&spool), disk, options);
        let threads = vec![
            spool.start_committer().map_err(StartError::System)?,
            deliverer.start().map_err(StartError::System)?,
        ];
        let workers = worker_count(&settings);
        let setup = Setup {
            settings: Arc::clone(&settings),
            directory: Directory::new(&settings),
            tls,
        };
        let context = Arc::new(Context::new(setup, Arc::clone(&spool)));
        for one in &bound {
            let name = settings
                .ports
                .get(one.port)
                .map_or("?", |port| port.name.as_str());
            events::listening(name, one.address);
        }
        if bound.is_empty() {
            events::no_port_enabled();
        }
        let ports = bound.iter().map(|bound| bound.port).collect();
        let listeners = bound.into_iter().map(|bound| bound.listener).collect();
        let lot = Arc::clone(&context.lot);
        let gate = Arc::new(Gate::new(context, ports));
        let reactor = Reactor::new(gate, lot, listeners, workers, &Bench::default);
        Ok(Self {
            reactor: reactor.map_err(StartError::System)?,
            spool,
            threads,
            workers,
        })
    }

    /// Ends it from another thread, gently.
    pub fn remote(&self) -> Stop {
        Stop(self.reactor.remote())
    }

    /// Runs until it is told to end, by a signal or by [`Stop`].
    ///
    /// # Errors
    /// The poll failed.
    pub fn run(self) -> std::io::Result<()> {
        events::started(env!("CARGO_PKG_VERSION"), self.workers);
        let result = self.reactor.run();
        self.spool.close();
        for thread in self.threads {
            // A thread that panicked has left the spool for the next start to recover.
            let _ = thread.join();
        }
        events::sum_up();
        events::stopped();
        result
    }
}

/// Ends a service from another thread.
#[derive(Clone)]
pub struct Stop(Remote);

impl Stop {
    /// Ends it gently.
    pub fn stop(&self) {
        self.0.stop(STOP_PATIENCE);
    }
}

struct SignalOrders(Signals);

impl SignalSource for SignalOrders {
    fn descriptor(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    fn next(&mut self) -> Option<SignalOrder> {
        Some(match self.0.read()? {
            Signal::End => SignalOrder::Stop(STOP_PATIENCE),
            Signal::HangUp => {
                events::hang_up_ignored();
                SignalOrder::Nothing
            }
        })
    }
}

/// Makes the folders and, as root, becomes the account.
fn settle_in(settings: &Settings) -> Result<(), StartError> {
    let account = if process::is_root() {
        let name = &settings.user;
        let found = process::account(name).map_err(|error| {
            StartError::Account(format!(
                "there is no account {name:?} ([server] user): {error}"
            ))
        })?;
        Some(found)
    } else {
        None
    };
    for folder in [&settings.spool, &settings.mail_root] {
        make_folder(folder, account)
            .map_err(|error| StartError::Folder(format!("{}: {error}", folder.display())))?;
    }
    if let Some(account) = account {
        process::become_account(&settings.user, account).map_err(|error| {
            StartError::Account(format!("cannot become {:?}: {error}", settings.user))
        })?;
    }
    Ok(())
}

fn make_folder(folder: &Path, account: Option<process::Account>) -> std::io::Result<()> {
    let made = RealDisk.create_folder(folder)?;
    if let Some(account) = account.filter(|_| made) {
        std::os::unix::fs::chown(folder, Some(account.uid), Some(account.gid))?;
    }
    Ok(())
}

fn open_spool(settings: &Settings, disk: Arc<dyn Disk>) -> Result<Arc<Spool>, StartError> {
    let mut run = [0; 8];
    random::fill(&mut run).map_err(StartError::System)?;
    let mut options = SpoolOptions::new(settings.spool.clone(), u64::from_le_bytes(run));
    options.free_space = settings.limits.free_space;
    options.memory_octets = settings.limits.mail_memory;
    Spool::open(disk, options)
        .map(Arc::new)
        .map_err(StartError::Spool)
}

/// Enough that a password hash or a slow disk does not hold up the rest, few enough for a small box.
fn worker_count(settings: &Settings) -> usize {
    match settings.worker_threads {
        0 => {
            std::thread::available_parallelism()
                .map_or(2, usize::from)
                .clamp(1, 16)
                * 2
        }
        count => count,
    }
}
