//! Measures the spool and the delivery to Maildirs on the real disk: `cargo bench --bench spool`.
//!
//! One row for each number of writers and size of message: durable messages a second while nobody
//! delivers, then deliveries a second until all of them are durable in Maildirs, then both at once.
//! CPU is that of the whole process, per message. Writers wait for each message's outcome, as sessions
//! do. An argument sets how many messages a row has.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark that panics says so"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use gatepost::delivery::{Deliverer, DeliveryOptions};
use gatepost::mail::{Envelope, ForwardPath, Recipient, ReversePath, Target};
use gatepost::spool::{Spool, SpoolOptions};
use gatepost::sys::disk::{Disk, RealDisk};

const MAILBOXES: usize = 10;

/// A spool and a mail root of their own. They stay until the end: ext4 is slow to make files for some
/// seconds after many were removed.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = all_places().join(number.to_string());
        fs::create_dir_all(path.join("mail")).unwrap();
        Self(path)
    }

    fn open(&self, segments_max: usize) -> Arc<Spool> {
        let mut options = SpoolOptions::new(self.0.join("spool"), 1);
        options.segments_max = segments_max;
        Arc::new(Spool::open(Arc::new(RealDisk) as Arc<dyn Disk>, options).unwrap())
    }

    fn deliverer(&self, spool: &Arc<Spool>) -> Deliverer {
        let options = DeliveryOptions {
            mail_root: self.0.join("mail"),
            hostname: "here.example".to_owned(),
        };
        Deliverer::new(Arc::clone(spool), Arc::new(RealDisk), options)
    }
}

fn all_places() -> PathBuf {
    let name = format!("bench-spool-{}", std::process::id());
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// How long something took, by the wall clock and in CPU time of the process.
struct Took {
    wall: Duration,
    cpu: Duration,
}

impl Took {
    fn measure(work: impl FnOnce()) -> Self {
        let (wall, cpu) = (Instant::now(), cpu_time());
        work();
        Self {
            wall: wall.elapsed(),
            cpu: cpu_time() - cpu,
        }
    }

    fn print(&self, what: &str, writers: usize, octets: usize, messages: usize) {
        println!(
            "{what:<18} {writers:>7} {octets:>7} {:>12.0} {:>10.1}",
            messages as f64 / self.wall.as_secs_f64(),
            self.cpu.as_secs_f64() * 1e6 / messages as f64,
        );
    }
}

/// User and system time of this process, in hundredths of a second.
fn cpu_time() -> Duration {
    let text = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = text
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn envelope(number: usize) -> Envelope {
    let user = format!("user{}", number % MAILBOXES);
    Envelope {
        reverse_path: ReversePath::parse_prefix("<sender@there.example>")
            .unwrap()
            .0,
        recipients: vec![Recipient {
            forward_path: ForwardPath::parse_prefix(&format!("<{user}@here.example>"))
                .unwrap()
                .0,
            target: Target::User(user),
            notifications: Default::default(),
        }],
        eight_bit: false,
        smtputf8: false,
        notifications: Default::default(),
        client: [192, 0, 2, 1].into(),
        login: None,
    }
}

/// Every writer sends its part, each message after the outcome of the one before.
fn write_all(spool: &Spool, writers: usize, messages: usize, content: &[u8]) {
    thread::scope(|scope| {
        for _ in 0..writers {
            scope.spawn(|| {
                for number in 0..messages / writers {
                    let mut draft = spool.draft(envelope(number), SystemTime::now()).unwrap();
                    for chunk in content.chunks(16 * 1024) {
                        draft.write(chunk).unwrap();
                    }
                    let (tell, told) = sync_channel(1);
                    spool.commit(draft, Box::new(move |outcome| tell.send(outcome).unwrap()));
                    told.recv().unwrap().unwrap();
                }
            });
        }
    });
}

/// The log alone, then the deliveries alone.
fn apart(writers: usize, octets: usize, messages: usize) {
    let content = content(octets);
    let place = Place::new();
    let messages = messages / writers * writers;
    let needed = messages * (octets + 512) / (4 << 20) + 2;
    let spool = place.open(needed);
    let committer = spool.start_committer().unwrap();
    // Makes the segments, so that the row shows what a server that runs for long does.
    write_all(&spool, writers, messages, &content);
    let mut deliverer = place.deliverer(&spool);
    drain(&spool, &mut deliverer);
    Took::measure(|| write_all(&spool, writers, messages, &content))
        .print("log", writers, octets, messages);
    Took::measure(|| drain(&spool, &mut deliverer)).print("deliver", 1, octets, messages);
    spool.close();
    committer.join().unwrap();
}

fn drain(spool: &Spool, deliverer: &mut Deliverer) {
    while deliverer.step(gatepost::delivery::Moment::now()) {}
    deliverer.checkpoint(gatepost::delivery::Moment::now());
    assert!(spool.undelivered() < 1000);
}

/// All at once, as a server runs, until everything is in Maildirs and durable.
fn together(writers: usize, octets: usize, messages: usize) {
    let content = content(octets);
    let place = Place::new();
    let messages = messages / writers * writers;
    let spool = place.open(8);
    let committer = spool.start_committer().unwrap();
    write_all(&spool, writers, 2000, &content);
    let mut deliverer = place.deliverer(&spool);
    drain(&spool, &mut deliverer);
    let deliverer = deliverer.start().unwrap();
    Took::measure(|| {
        write_all(&spool, writers, messages, &content);
        spool.close();
        committer.join().unwrap();
        deliverer.join().unwrap();
    })
    .print("log and deliver", writers, octets, messages);
}

fn content(octets: usize) -> Vec<u8> {
    let mut content = b"Subject: a message\r\n\r\n".to_vec();
    while content.len() < octets {
        content
            .extend_from_slice(b"A line of text that is about as long as lines of text are.\r\n");
    }
    content
}

fn main() {
    // `cargo test` runs benchmarks too; only `cargo bench` means it.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let messages = std::env::args().find_map(|argument| argument.parse().ok());
    let messages = messages.unwrap_or(20_000);
    println!(
        "{:<18} {:>7} {:>7} {:>12} {:>10}",
        "", "writers", "octets", "messages/s", "CPU us"
    );
    for (writers, part) in [(1, 8), (8, 2), (50, 1)] {
        apart(writers, 4096, messages / part);
    }
    apart(50, 1024, messages);
    apart(8, 64 << 10, messages / 20);
    apart(8, 1 << 20, messages / 100);
    for (writers, part) in [(1, 8), (8, 2), (50, 1)] {
        together(writers, 4096, messages / part);
    }
    fs::remove_dir_all(all_places()).unwrap();
}
