//! Everything between a session and the servers that mail goes to, with real threads and a real disk.

#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use gatepost::config::handlers::Handlers;
use gatepost::config::settings::{Smarthost, SmarthostTls};
use gatepost::delivery::lmtp::LmtpServer;
use gatepost::delivery::smtp_client::Limits;
use gatepost::delivery::{
    Deliverer, DeliveryOptions, Home, LaneOptions, Lanes, NextHops, Notifier, NotifierRules,
};
use gatepost::mail::{
    Envelope, ForwardPath, Mailbox, MessageNotifications, Recipient, RecipientNotifications,
    ReversePath, Target,
};
use gatepost::spool::{Refusal, Spool, SpoolOptions};
use gatepost::sys::disk::{Disk, RealDisk};

/// How long a test waits for anything before it fails.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Each step may last this long where the server is to hang.
pub const SHORT: Duration = Duration::from_millis(1500);
pub const TEXT: &str = "Subject: hello\r\n\r\n.\r\n..two\r\nEnd.\r\n";
static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A folder that is removed when the test ends.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        collect_log();
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("machine-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("mail")).unwrap();
        Self(path)
    }

    /// Where a socket may be: the path has to be short.
    pub fn socket(&self) -> PathBuf {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        std::env::temp_dir().join(format!("gp-lmtp-{}-{number}", std::process::id()))
    }

    /// How many messages a user's Maildir has.
    pub fn mail(&self, user: &str) -> usize {
        let new = self.0.join("mail").join(user).join("Maildir/new");
        fs::read_dir(new).map_or(0, Iterator::count)
    }

    pub fn maildirs(&self) -> usize {
        fs::read_dir(self.0.join("mail")).unwrap().count()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Every log line of this process.
pub fn log_lines() -> &'static Mutex<Vec<String>> {
    static LINES: OnceLock<Mutex<Vec<String>>> = OnceLock::new();
    LINES.get_or_init(Mutex::default)
}

struct Collector;

impl log::Log for Collector {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        log_lines().lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}

fn collect_log() {
    // The second and later tests of this process find it done.
    if log::set_logger(&Collector).is_ok() {
        log::set_max_level(log::LevelFilter::Info);
    }
}

/// The log lines that hold all of these.
pub fn logged(needles: &[&str]) -> Vec<String> {
    let lines = log_lines().lock().unwrap();
    let found = lines
        .iter()
        .filter(|line| needles.iter().all(|needle| line.contains(needle)));
    found.cloned().collect()
}

pub fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        let log = || log_lines().lock().unwrap().join("\n");
        assert!(Instant::now() < until, "{what} does not happen:\n{}", log());
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Everything between the session and the servers.
pub struct Machine {
    pub spool: Arc<Spool>,
    pub lanes: Arc<Lanes>,
    pub notifier: Arc<Notifier>,
    threads: Vec<JoinHandle<()>>,
}

pub fn options(patience: Duration) -> LaneOptions {
    let mut options = LaneOptions {
        limits: Limits::each(patience),
        rest: [Duration::from_millis(20); 3],
        ..LaneOptions::default()
    };
    options.queue.retry = vec![Duration::from_millis(40)];
    options
}

/// Where mail goes.
pub fn hops(smarthost: Option<Smarthost>, lmtp: Option<LmtpServer>) -> NextHops {
    NextHops {
        hostname: "mx.here.example".to_owned(),
        smarthosts: smarthost.into_iter().collect(),
        lmtp,
        handlers: Handlers::default(),
        subaddress: Some('+'),
    }
}

pub fn plain(address: SocketAddr) -> Smarthost {
    with_tls(address, SmarthostTls::None)
}

pub fn with_tls(address: SocketAddr, tls: SmarthostTls) -> Smarthost {
    Smarthost::new("localhost", address.port(), tls)
}

impl Machine {
    pub fn start(folder: &Folder, next_hops: NextHops) -> Self {
        Self::start_with(folder, next_hops, options(PATIENCE), |_| {})
    }

    pub fn start_with(
        folder: &Folder,
        next_hops: NextHops,
        options: LaneOptions,
        adapt: impl FnOnce(&mut SpoolOptions),
    ) -> Self {
        let run = u64::from(COUNTER.fetch_add(1, Ordering::Relaxed));
        let mut spool = SpoolOptions::new(folder.0.join("spool"), run);
        spool.free_space = 0;
        adapt(&mut spool);
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let spool = Arc::new(Spool::open(Arc::clone(&disk), spool).unwrap());
        let rules = NotifierRules {
            hostname: "mx.here.example".to_owned(),
            queue: options.queue.clone(),
            has_smarthost: next_hops.smarthosts.iter().any(|one| one.name.is_none()),
            fullness: Arc::new(|_| None),
            find: Arc::new(home),
        };
        let notifier = Arc::new(Notifier::new(Arc::clone(&spool), rules, Arc::default()));
        let teller = Some(Arc::clone(&notifier));
        let lanes = Arc::new(Lanes::new(Arc::clone(&spool), options, next_hops, teller));
        let delivery = DeliveryOptions {
            mail_root: folder.0.join("mail"),
            hostname: "mx.here.example".to_owned(),
        };
        let deliverer = Deliverer::new(Arc::clone(&spool), disk, delivery);
        let deliverer = deliverer.with_lanes(Arc::clone(&lanes));
        let deliverer = deliverer.with_notifier(Arc::clone(&notifier));
        let threads = vec![
            spool.start_committer().unwrap(),
            deliverer.start().unwrap(),
            notifier.start().unwrap(),
        ];
        Self {
            spool,
            lanes,
            notifier,
            threads,
        }
    }

    /// Another smarthost, or none, from here on.
    pub fn set_smarthost(&self, smarthost: Option<Smarthost>) {
        self.lanes
            .set_next_hops(hops(smarthost, None), Instant::now());
    }

    pub fn send(&self, to: &[&str], content: &str) -> String {
        self.send_as(envelope(to), content).unwrap()
    }

    pub fn send_as(&self, envelope: Envelope, content: &str) -> Result<String, Refusal> {
        let mut draft = self.spool.draft(envelope, SystemTime::now())?;
        for part in content.as_bytes().chunks(32 * 1024) {
            draft.write(part)?;
        }
        let (tell, told) = channel();
        self.spool
            .commit(draft, Box::new(move |result| tell.send(result).unwrap()));
        told.recv()
            .unwrap()
            .map(|committed| committed.id().to_string())
    }

    pub fn wait_until_empty(&self) {
        wait_for("an empty spool", || self.spool.undelivered() == 0);
    }

    pub fn stop(self) {
        self.lanes.stop(Instant::now());
        self.lanes.wait_for_end();
        self.notifier.stop();
        self.spool.close();
        for thread in self.threads {
            thread.join().unwrap();
        }
        drop((self.lanes, self.notifier));
        // The lanes' threads are counted out before they let go of the spool.
        wait_for("the end", || Arc::strong_count(&self.spool) == 1);
    }
}

/// Where notifications go.
fn home(path: &ForwardPath) -> Home {
    match path.to_string().strip_suffix("@here.example") {
        Some(user) => Home::Here(vec![Target::User(user.to_owned())]),
        None => match path {
            ForwardPath::Postmaster => Home::Here(vec![Target::User("postmaster".to_owned())]),
            ForwardPath::Mailbox(_) => Home::Elsewhere,
        },
    }
}

/// An address of here.example is a user's, or that of the command or webhook NAME where it begins with
/// `command-` or `webhook-`; every other one is outside. What stands behind a + is a
/// detail.
pub fn envelope(to: &[&str]) -> Envelope {
    let recipient = |to: &&str| {
        let target = match to.strip_suffix("@here.example") {
            Some(name) if name.starts_with("command-") => {
                Target::Command(name.trim_start_matches("command-").to_owned())
            }
            Some(name) if name.starts_with("webhook-") => {
                Target::Webhook(name.trim_start_matches("webhook-").to_owned())
            }
            Some(user) => Target::User(user.split('+').next().unwrap().to_owned()),
            None => Target::Outside(Mailbox::parse(to).unwrap()),
        };
        Recipient {
            forward_path: ForwardPath::parse_prefix(&format!("<{to}>")).unwrap().0,
            target,
            notifications: RecipientNotifications::default(),
        }
    };
    Envelope {
        reverse_path: ReversePath::parse_prefix("<sender@here.example>")
            .unwrap()
            .0,
        recipients: to.iter().map(recipient).collect(),
        eight_bit: false,
        smtputf8: false,
        notifications: MessageNotifications::default(),
        client: [192, 0, 2, 1].into(),
        login: None,
    }
}
