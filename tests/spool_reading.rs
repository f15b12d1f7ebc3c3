//! A start that reads the queue beside what it takes and delivers: no message is lost, none comes twice, nothing of this
//! run is taken for an orphan.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is what it is for"
)]

#[path = "support/sim_disk.rs"]
mod sim_disk;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use gatepost::delivery::{Deliverer, DeliveryOptions, Moment};
use gatepost::mail::{Envelope, ForwardPath, MessageId, Recipient, ReversePath, Target};
use gatepost::spool::{Draft, Spool, SpoolOptions};
use gatepost::sys::disk::{Disk, OpenMode};
use sim_disk::{SimDisk, Survival};

fn open(
    disk: &SimDisk,
    run: u64,
    open: fn(Arc<dyn Disk>, SpoolOptions) -> Result<Spool, gatepost::spool::SpoolError>,
) -> (Arc<Spool>, Deliverer) {
    let mut options = SpoolOptions::new("/srv/spool".into(), run);
    (options.segment_octets, options.segments_max) = (64 << 10, 3);
    options.memory_octets = 12 * 1024;
    let door: Arc<dyn Disk> = Arc::new(disk.clone());
    let spool = Arc::new(open(Arc::clone(&door), options).unwrap());
    let options = DeliveryOptions {
        mail_root: "/srv/mail".into(),
        hostname: "here.example".into(),
    };
    (Arc::clone(&spool), Deliverer::new(spool, door, options))
}

fn envelope() -> Envelope {
    Envelope {
        reverse_path: ReversePath::Null,
        recipients: vec![Recipient {
            forward_path: ForwardPath::parse_prefix("<alice@here.example>").unwrap().0,
            target: Target::User("alice".to_owned()),
            notifications: Default::default(),
        }],
        eight_bit: false,
        smtputf8: false,
        notifications: Default::default(),
        client: [127, 0, 0, 1].into(),
        login: None,
    }
}

fn content(number: usize, octets: usize) -> String {
    format!(
        "Subject: {number}\r\n\r\n{}",
        "line of text\r\n".repeat(octets / 14)
    )
}

fn draft(spool: &Spool, number: usize, octets: usize) -> Draft {
    let mut draft = spool.draft(envelope(), SystemTime::UNIX_EPOCH).unwrap();
    for part in content(number, octets).as_bytes().chunks(7000) {
        draft.write(part).unwrap();
    }
    draft
}

fn commit(spool: &Spool, number: usize, octets: usize) -> MessageId {
    spool
        .commit_here(draft(spool, number, octets))
        .unwrap()
        .id()
}

fn deliver(spool: &Spool, deliverer: &mut Deliverer) {
    let mut now = Moment::now();
    now.wall += Duration::from_secs(100 * 3600);
    while deliverer.step(now) {}
    deliverer.checkpoint(now);
    spool.commit_waiting();
}

fn delivered(disk: &SimDisk) -> Vec<usize> {
    let files = disk.files_below("/srv/mail/alice/Maildir/new");
    let number = |text: &str| text.lines().nth(1)?.strip_prefix("Subject: ")?.parse().ok();
    let mut numbers: Vec<usize> = files
        .iter()
        .map(|(_, octets)| number(std::str::from_utf8(octets).unwrap()).unwrap())
        .collect();
    numbers.sort_unstable();
    numbers
}

fn queue_names(disk: &SimDisk) -> Vec<String> {
    let files = disk.files_below("/srv/spool/queue").into_iter();
    let names = files.map(|(path, _)| path.file_name().unwrap().to_str().unwrap().to_owned());
    names.collect()
}

/// Messages 0 to 5 in files of their own, 6 and 7 in the log, and what a killed run left over.
fn old_run() -> SimDisk {
    let disk = SimDisk::new(&["/srv", "/srv/mail"]);
    let (spool, _) = open(&disk, 1, Spool::open);
    for number in 0..6 {
        let id = commit(&spool, number, [600, 15_000][number % 2]);
        assert!(spool.set_held(id, true).unwrap());
        assert!(spool.set_held(id, false).unwrap());
    }
    drop(spool);
    disk.restart();
    // Their records go with this start.
    let (spool, _) = open(&disk, 2, Spool::open);
    commit(&spool, 6, 700);
    commit(&spool, 7, 16_000);
    let left = MessageId::new(1, 4000);
    for name in [format!("{left}.eml"), "x.new".to_owned()] {
        let path = Path::new("/srv/spool/queue").join(name);
        disk.open(&path, OpenMode::New).unwrap();
    }
    disk.reboot(Survival::Everything);
    disk
}

#[test]
fn mail_is_taken_and_delivered_before_the_queue_is_read() {
    let disk = old_run();
    let (spool, mut deliverer) = open(&disk, 3, Spool::open_log);
    assert_eq!(
        spool.undelivered(),
        2,
        "what is in the log is known at once"
    );
    assert!(!spool.wait_until_read(Instant::now()));
    commit(&spool, 8, 500);
    let open_draft = draft(&spool, 9, 17_000);
    deliver(&spool, &mut deliverer);
    assert_eq!(delivered(&disk), [6, 7, 8]);
    // One of the log moves to files of its own; those of the draft are open.
    let moved = commit(&spool, 10, 400);
    assert!(spool.set_held(moved, true).unwrap());
    spool.read_queue().unwrap();
    assert!(spool.wait_until_read(Instant::now()));
    assert_eq!(spool.undelivered(), 7);
    let names = queue_names(&disk);
    assert!(!names.contains(&"x.new".to_owned()), "{names:?}");
    assert!(
        !names
            .iter()
            .any(|name| name.starts_with(&MessageId::new(1, 4000).to_string()))
    );
    spool.commit_here(open_draft).unwrap();
    deliver(&spool, &mut deliverer);
    assert_eq!(delivered(&disk), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert!(spool.read(moved, &mut Vec::new()).unwrap().held);
    assert_eq!(queue_names(&disk).len(), 2);
}

#[test]
fn a_power_cut_before_the_queue_is_read_loses_and_doubles_nothing() {
    for step in (1..).step_by(3) {
        let disk = old_run();
        disk.cut_at(step);
        let mut taken = Vec::new();
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let (spool, mut deliverer) = open(&disk, 3, Spool::open_log);
            commit(&spool, 8, 500);
            taken.push(8);
            deliver(&spool, &mut deliverer);
            commit(&spool, 9, 17_000);
            taken.push(9);
            spool.read_queue().unwrap();
            deliver(&spool, &mut deliverer);
        }));
        let cut = disk.is_off();
        assert!(cut || run.is_ok(), "step {step}");
        disk.reboot(Survival::Some(step as u64));
        let (spool, mut deliverer) = open(&disk, 4, Spool::open);
        deliver(&spool, &mut deliverer);
        let mut found = delivered(&disk);
        let mut want: Vec<usize> = (0..8).chain(taken).collect();
        // What was not acknowledged may be there or not.
        found.retain(|number| *number < 8 || want.contains(number));
        want.sort_unstable();
        assert_eq!(found, want, "step {step}");
        if !cut {
            break;
        }
    }
}
