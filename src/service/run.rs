//! Start, run, stop, in order.
//!
//! | step | as root | fails with |
//! | --- | --- | --- |
//! | bind every port, or take the socket that was inherited for it | yes | 69, nothing was greeted |
//! | bind what `[metrics] listen` says | yes | nothing: a log line, and the service runs without |
//! | make the console's socket | yes | nothing: a log line, and the service runs without a console |
//! | read certificate and key | yes | 78 |
//! | make the folders that are missing, for the account | yes | 73 |
//! | become `[server] user` | – | 77 |
//! | fork the helper process, then wall itself off, where a process is the service alone ([`Prepared::sandboxed`]) | no | 70; of the walls nothing: a log line for each part |
//! | open the spool: lock, recover | no | 73 |
//! | start committer, deliverer, lanes, notifier, pickup, workers, alarm, console; greet | no | 71 |
//!
//! At the end: listeners close, the alarm is silent, the lanes begin nothing new, sessions end, the workers
//! are joined; then the lanes and the notifier, the committer, which may still owe answers, and the
//! deliverer with its last checkpoint; the console goes last.

use std::fmt;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::console::Console;
use crate::admin::alarm;
use crate::admin::observed::Observed;
use crate::admin::pages::{self, PageServer};
use crate::config::settings::Settings;
use crate::control::console;
use crate::control::socket::{self, Begun, Socket, SocketError};
use crate::delivery::{Deliverer, DeliveryOptions, LaneOptions, Lanes, NextHops, Notifier};
use crate::devices::Devices;
use crate::events;
use crate::maildrop::{self, Pickup};
use crate::net::reactor::{Numbered, Reactor, Remote, SignalOrder, SignalSource};
use crate::probe::certificates;
use crate::server::acceptor::{Acceptor, ListenerEntry};
use crate::server::context::{Context, STOP_LIMIT, Setup};
use crate::server::driver::WorkerBuffers;
use crate::server::dsn_rules;
use crate::server::listeners::{self, BindError, Want};
use crate::server::rebind::Open;
use crate::server::renewal::Renewal;
use crate::server::sandbox;
use crate::server::service_manager;
use crate::spool::{Spool, SpoolError, SpoolOptions};
use crate::stats::Stats;
use crate::sys::disk::{Disk, RealDisk};
use crate::sys::inherited::Inherited;
use crate::sys::only_thread::OnlyThread;
use crate::sys::own_folder;
use crate::sys::process::{self, Account};
use crate::sys::replace::New;
use crate::sys::sandbox::{Walls, reach};
use crate::sys::signals::{self, Signal, Signals};
use crate::sys::{clock, helper, machine, manager, random};
use crate::transport::tls::ServerTls;
use crate::troubles::Troubles;

/// Why the service does not start.
#[derive(Debug)]
pub enum StartError {
    /// Ports that cannot be bound.
    Bind(Vec<BindError>),
    /// The certificate or its key cannot be used.
    Certificate(String),
    /// A folder cannot be made or handed over.
    Folder(String),
    /// There is no account of the name that `[server] user` has.
    NoAccount(String),
    /// The account cannot be taken on.
    Account(String),
    /// The helper process cannot be made.
    Helper(std::io::Error),
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
            Self::Certificate(reason)
            | Self::Folder(reason)
            | Self::NoAccount(reason)
            | Self::Account(reason) => f.write_str(reason),
            Self::Helper(error) => {
                let why = machine::reason(error);
                write!(f, "the helper process cannot be started: {why}")
            }
            Self::Spool(error) => error.fmt(f),
            Self::System(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

/// A service that has its ports and its account, and has neither looked into its spool nor heard a client.
pub struct Prepared {
    settings: Settings,
    tls: Option<ServerTls>,
    renewal: Renewal,
    bound: Vec<(Want, TcpListener)>,
    for_pages: Vec<(Want, TcpListener)>,
    socket: Option<Socket>,
    signals: Signals,
    workers: usize,
    walls: Option<Walls>,
}

impl Prepared {
    /// Takes the listeners that were inherited where they are of use, and binds the others. Blocks the
    /// signals the service acts on in this thread and those it starts.
    ///
    /// # Errors
    /// See [`StartError`]; nothing was greeted then.
    pub fn new(settings: Settings, inherited: Vec<Inherited>) -> Result<Self, StartError> {
        process::limit_allocator_arenas();
        process::restrict_new_files();
        // A lower limit of descriptors is met by accept errors, which are weather.
        let _ = process::raise_descriptor_limit();
        let signals = signals::take().map_err(StartError::System)?;
        let account = account(&settings)?;
        let bound = listeners::bind(&settings, inherited).map_err(StartError::Bind)?;
        let for_pages = pages::bind(&settings);
        let begun = begin_console(&settings, account);
        let renewal = Renewal::of(&settings);
        // What only root may read is read before the account is taken on.
        let tls = certificates::load(&settings).map_err(StartError::Certificate)?;
        settle_in(&settings, account)?;
        let socket = finish_console(&settings, begun);
        // Before the helper begins, which reads the file as well.
        reach::open_regular_files_only();
        Ok(Self {
            tls,
            renewal,
            bound,
            for_pages,
            socket,
            signals,
            // The system's files say how many processors there are.
            workers: worker_count(&settings),
            settings,
            walls: None,
        })
    }

    /// Walls off this thread and those it starts for good, as the settings say, with a helper process
    /// outside for what they forbid. For a process that does nothing else.
    ///
    /// # Errors
    /// There is no helper; see [`StartError`].
    pub fn sandboxed(mut self, alone: OnlyThread) -> Result<Self, StartError> {
        if self.settings.sandbox {
            super::helper::start(&self.settings, &alone).map_err(StartError::Helper)?;
            self.walls = Some(sandbox::enter(&self.settings, alone));
        } else {
            events::sandbox::entered("none");
        }
        Ok(self)
    }

    /// Does the rest, up to the first greeting.
    ///
    /// # Errors
    /// See [`StartError`]; nothing was greeted then.
    pub fn start(self) -> Result<Server, StartError> {
        Server::build(self)
    }
}

/// A service that is ready to greet.
pub struct Server {
    reactor: Reactor<Acceptor>,
    kept: Kept,
    workers: usize,
    listeners: usize,
    console: (console::Remote, JoinHandle<()>),
    pickup: Pickup,
    alarm: (Arc<Troubles>, JoinHandle<()>),
}

/// What is kept of messages and clients, and the threads that work on it.
struct Kept {
    spool: Arc<Spool>,
    lanes: Arc<Lanes>,
    notifier: Arc<Notifier>,
    devices: Arc<Devices>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Does everything up to the first greeting, without a sandbox; see [`Prepared`].
    ///
    /// # Errors
    /// See [`StartError`]; nothing was greeted then.
    pub fn start(settings: Settings, inherited: Vec<Inherited>) -> Result<Self, StartError> {
        Prepared::new(settings, inherited)?.start()
    }

    fn build(prepared: Prepared) -> Result<Self, StartError> {
        let Prepared {
            settings,
            tls,
            renewal,
            bound,
            for_pages,
            socket,
            signals,
            workers,
            walls,
        } = prepared;
        let setup = Arc::new(Setup::new(Arc::new(settings), tls));
        let (context, kept) = open_for(setup, walls)?;
        if bound.is_empty() {
            events::no_port_enabled();
        }
        let (entries, listeners) = entries(bound);
        let parked = Arc::clone(&context.parked);
        let acceptor = Arc::new(Acceptor::new(Arc::clone(&context), entries));
        let open = listeners.len();
        let for_gate = Arc::clone(&acceptor);
        let reactor = Reactor::new(
            for_gate,
            parked,
            listeners,
            workers,
            &WorkerBuffers::default,
        );
        let mut reactor = reactor.map_err(StartError::System)?;
        let pickup = Pickup::start(Arc::clone(&context)).map_err(StartError::System)?;
        let troubles = Arc::clone(&context.troubles);
        let watch = alarm::start(Arc::clone(&context)).map_err(StartError::System)?;
        let observed = Observed {
            context,
            acceptor,
            remote: reactor.remote(),
        };
        let pages = PageServer::new(observed.clone(), for_pages);
        let operator = Console::new(observed, renewal, pages);
        let console = console::start(socket, operator).map_err(StartError::System)?;
        let orders = SignalOrders(signals, console.0.clone());
        let watched = reactor.watch_signals(Box::new(orders));
        watched.map_err(StartError::System)?;
        if let Some(every) = manager::beat_every() {
            reactor.beat(every, manager::beat);
        }
        Ok(Self {
            reactor,
            kept,
            workers,
            listeners: open,
            console,
            pickup,
            alarm: (troubles, watch),
        })
    }

    /// Ends it from another thread, gently.
    pub fn remote(&self) -> Stop {
        Stop(self.reactor.remote())
    }

    /// Runs until it is told to end, by a signal or by [`Stop`].
    ///
    /// # Errors
    /// The poll failed; the helper process has ended, and a new start makes another.
    pub fn run(self) -> std::io::Result<()> {
        events::started(env!("CARGO_PKG_VERSION"), self.workers);
        service_manager::ready(self.listeners, None);
        let result = self.reactor.run();
        self.kept.devices.write();
        // While there is still a committer.
        self.pickup.stop();
        let (troubles, watch) = self.alarm;
        // What fails from here on is the end.
        troubles.stop();
        self.kept.lanes.stop(clock::monotonic());
        self.kept.lanes.wait_for_end();
        self.kept.notifier.stop();
        self.kept.spool.close();
        for thread in self.kept.threads {
            // A thread that panicked has left the spool for the next start to recover.
            let _ = thread.join();
        }
        let _ = watch.join();
        let (console, thread) = self.console;
        console.stop();
        let _ = thread.join();
        sandbox::tell_refused();
        events::sum_up_all();
        events::stopped();
        match helper::fate() {
            Some(how) if result.is_ok() => Err(std::io::Error::other(format!(
                "the helper process has ended ({how})"
            ))),
            Some(_) | None => result,
        }
    }
}

/// Ends a service from another thread.
#[derive(Clone)]
pub struct Stop(Remote);

impl Stop {
    /// Ends it gently.
    pub fn stop(&self) {
        self.0.stop(STOP_LIMIT);
    }
}

struct SignalOrders(Signals, console::Remote);

impl SignalSource for SignalOrders {
    fn descriptor(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    fn next(&mut self) -> Option<SignalOrder> {
        Some(match self.0.read()? {
            Signal::End => SignalOrder::Stop(STOP_LIMIT),
            Signal::HangUp => {
                self.1.hang_up();
                SignalOrder::Nothing
            }
            Signal::Child => match helper::fate() {
                // Whoever manages the service starts it again, and mail goes on with a helper.
                Some(how) => {
                    events::helper_lost(how);
                    SignalOrder::Stop(STOP_LIMIT)
                }
                None => SignalOrder::Nothing,
            },
        })
    }
}

/// The account to become; none without root.
pub(crate) fn account(settings: &Settings) -> Result<Option<Account>, StartError> {
    if !process::is_root() {
        return Ok(None);
    }
    let name = &settings.user;
    match process::account(name) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let place = settings.place("server", "user");
            let reason = format!("{place}: there is no account {name:?} on this machine");
            // Where the file names none, the installation is at fault, and `check` cannot know of it.
            Err(match settings.lines.has("server", "user") {
                true => StartError::NoAccount(reason),
                false => StartError::Account(reason),
            })
        }
        Err(error) => Err(StartError::Account(format!(
            "the account {name:?} cannot be looked up: {error}"
        ))),
    }
}

/// The console's socket, as far as it can be made before the account is taken on. Mail comes first:
/// where it cannot be made, the service does without.
fn begin_console(settings: &Settings, account: Option<Account>) -> Option<Begun> {
    let owner = account.map(|account| (account.uid, account.gid));
    console_or_none(socket::begin(&settings.control.socket, owner))
}

fn finish_console(settings: &Settings, begun: Option<Begun>) -> Option<Socket> {
    match begun? {
        Begun::Made(socket) => Some(socket),
        Begun::Later => console_or_none(Socket::make(&settings.control.socket, None)),
    }
}

fn console_or_none<T>(made: Result<T, SocketError>) -> Option<T> {
    match made {
        Ok(made) => Some(made),
        Err(error) => {
            events::control::unavailable(error);
            None
        }
    }
}

/// Opens what is kept, and starts the threads that work on it; with it what all sessions share.
fn open_for(setup: Arc<Setup>, walls: Option<Walls>) -> Result<(Arc<Context>, Kept), StartError> {
    let settings = Arc::clone(&setup.settings);
    let stats = Arc::<Stats>::default();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    service_manager::recovering();
    let spool = open_spool(&settings, Arc::clone(&disk), Arc::clone(&stats))?;
    let rules = dsn_rules::rules(&setup);
    let notifier = Notifier::new(Arc::clone(&spool), rules, Arc::clone(&stats));
    let notifier = Arc::new(notifier);
    let internal = &settings.relay.internal;
    events::count_singly(internal);
    let keeps = settings.devices;
    let devices = Devices::open(Arc::clone(&disk), &settings.spool, keeps, internal);
    let devices = Arc::new(devices);
    let (lanes, threads) = start_spool(&settings, &spool, disk, &notifier)?;
    let context = Context::new(
        setup,
        Arc::clone(&spool),
        Arc::clone(&lanes),
        Arc::clone(&notifier),
        Arc::clone(&devices),
        stats,
    );
    let kept = Kept {
        spool,
        lanes,
        notifier,
        devices,
        threads,
    };
    Ok((Arc::new(context.within(walls)), kept))
}

/// The committer, the deliverer, the lanes and the notifier.
fn start_spool(
    settings: &Settings,
    spool: &Arc<Spool>,
    disk: Arc<dyn Disk>,
    notifier: &Arc<Notifier>,
) -> Result<(Arc<Lanes>, Vec<JoinHandle<()>>), StartError> {
    let options = DeliveryOptions {
        mail_root: settings.mail_root.clone(),
        hostname: settings.hostname.to_string(),
    };
    let for_lanes = LaneOptions {
        stats: spool.stats(),
        ..LaneOptions::default()
    };
    let lanes = Arc::new(Lanes::new(
        Arc::clone(spool),
        for_lanes,
        NextHops::of(settings),
        Some(Arc::clone(notifier)),
    ));
    let deliverer = Deliverer::new(Arc::clone(spool), disk, options);
    let deliverer = deliverer.with_lanes(Arc::clone(&lanes));
    let deliverer = deliverer.with_notifier(Arc::clone(notifier));
    let threads = vec![
        spool.start_committer().map_err(StartError::System)?,
        deliverer.start().map_err(StartError::System)?,
        notifier.start().map_err(StartError::System)?,
        spool.start_reading_queue().map_err(StartError::System)?,
    ];
    Ok((lanes, threads))
}

/// Numbers the listeners of a start.
fn entries(bound: Vec<(Want, TcpListener)>) -> (Vec<ListenerEntry>, Vec<Numbered>) {
    let numbered = bound.into_iter().enumerate();
    let pair = |(number, (want, listener)): (usize, (Want, TcpListener))| {
        events::listening(&want.port, want.address);
        let open = Open {
            number,
            port: want.port,
            kind: want.kind,
            address: want.address,
        };
        (ListenerEntry { open, setup: None }, (number, listener))
    };
    numbered.map(pair).unzip()
}

/// Makes the folders and, as root, becomes the account.
fn settle_in(settings: &Settings, account: Option<Account>) -> Result<(), StartError> {
    for folder in [&settings.spool, &settings.mail_root] {
        make_folder(folder, account)
            .map_err(|error| StartError::Folder(format!("{}: {error}", folder.display())))?;
    }
    if let Some(account) = account {
        become_account(settings, account)?;
    }
    // Not as root: what is in the account's own folder is not root's to give away.
    maildrop::prepare(&settings.spool);
    Ok(())
}

/// Takes on the account for good.
pub(crate) fn become_account(settings: &Settings, account: Account) -> Result<(), StartError> {
    let user = &settings.user;
    let became = process::become_account(user, account);
    became.map_err(|error| StartError::Account(format!("cannot become {user:?}: {error}")))
}

fn make_folder(folder: &Path, account: Option<Account>) -> std::io::Result<()> {
    let made = RealDisk.create_folder(folder)?;
    if made {
        // Where a folder above may not be opened, the next sync of the file system makes the name durable.
        let above = folder.ancestors().skip(1);
        above.for_each(|above| drop(RealDisk.sync_folder(above)));
    }
    match account.filter(|_| made) {
        Some(account) => {
            let owner = Some((account.uid, account.gid));
            own_folder::give_folder(folder, New { mode: 0o700, owner })
        }
        None => Ok(()),
    }
}

/// The spool with its log; the queue is still to be read.
pub(crate) fn open_spool(
    settings: &Settings,
    disk: Arc<dyn Disk>,
    stats: Arc<Stats>,
) -> Result<Arc<Spool>, StartError> {
    let mut run = [0; 8];
    random::fill(&mut run).map_err(StartError::System)?;
    let mut options = SpoolOptions::new(settings.spool.clone(), u64::from_le_bytes(run));
    options.free_space = settings.limits.free_space;
    options.memory_octets = settings.limits.mail_memory;
    options.stats = stats;
    Spool::open_log(disk, options)
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
