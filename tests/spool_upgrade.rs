//! A spool that gatepost 0.1.0 left behind when it was killed, as the program of today finds it.
//!
//! `tests/data/spool-0.1.0` was made by that program: one message delivered, with its done record; two in the log; one
//! in the log with its content in a file, of which the head is kept; one held.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is what it is for"
)]

#[path = "support/sim_disk.rs"]
mod sim_disk;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gatepost::delivery::{Deliverer, DeliveryOptions, Moment};
use gatepost::spool::format::{PAGE, parse_batch_align};
use gatepost::spool::{Spool, SpoolOptions};
use gatepost::sys::disk::{Disk, OpenMode};
use sim_disk::SimDisk;

const SEGMENT: &str = "/srv/spool/log/000.seg";
const HELD: &str = "Bvyx72xxxs000002";
const LARGE: &str = "Bvyx72xxxs000003";

fn data(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/spool-0.1.0");
    std::fs::read(folder.join(name)).unwrap()
}

/// The disk that 0.1.0 left.
fn old_spool() -> SimDisk {
    let disk = SimDisk::new(&["/srv/spool/log", "/srv/spool/queue", "/srv/spool/bad"]);
    let put = |path: &str, octets: &[u8]| {
        let file = disk.open(Path::new(path), OpenMode::New).unwrap();
        file.write_at(octets, 0).unwrap();
        file.sync_data().unwrap();
    };
    let mut segment = data("000.seg");
    segment.resize(4 << 20, 0);
    put(SEGMENT, &segment);
    for kind in ["env", "eml"] {
        let name = format!("{HELD}.{kind}");
        put(&format!("/srv/spool/queue/{name}"), &data(&name));
    }
    let mut large = data(&format!("{LARGE}.eml-head"));
    large.extend_from_slice(&b"line of text\r\n".repeat(21_000));
    put(&format!("/srv/spool/queue/{LARGE}.eml"), &large);
    for folder in ["log", "queue"] {
        disk.sync_folder(&Path::new("/srv/spool").join(folder))
            .unwrap();
    }
    disk
}

fn start(disk: &SimDisk, run: u64) -> (Arc<Spool>, Deliverer) {
    let door: Arc<dyn Disk> = Arc::new(disk.clone());
    let options = SpoolOptions::new("/srv/spool".into(), run);
    let spool = Arc::new(Spool::open(Arc::clone(&door), options).unwrap());
    let options = DeliveryOptions {
        mail_root: "/srv/mail".into(),
        hostname: "mx.here.example".into(),
    };
    let deliverer = Deliverer::new(Arc::clone(&spool), door, options);
    (spool, deliverer)
}

fn deliver(spool: &Spool, deliverer: &mut Deliverer) {
    let mut now = Moment::now();
    // What was deferred is due an hour after its last attempt, at the latest.
    now.wall = now
        .wall
        .max(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_556_116 + 3600));
    while deliverer.step(now) {}
    deliverer.checkpoint(now);
    spool.commit_waiting();
}

/// The subjects of what is in a mailbox, and how long each is.
fn subjects(disk: &SimDisk, user: &str) -> Vec<(String, usize)> {
    let files = disk.files_below(&format!("/srv/mail/{user}/Maildir/new"));
    let mut subjects: Vec<_> = files
        .into_iter()
        .map(|(_, octets)| {
            let text = String::from_utf8(octets).unwrap();
            let subject = text.lines().find_map(|line| line.strip_prefix("Subject: "));
            (
                subject.unwrap().to_owned(),
                text.matches("line of text\n").count(),
            )
        })
        .collect();
    subjects.sort();
    subjects
}

fn pair(subject: &str, lines: usize) -> (String, usize) {
    (subject.to_owned(), lines)
}

#[test]
fn the_spool_of_the_first_release_is_read_and_its_segment_used_again() {
    let disk = old_spool();
    let (spool, mut deliverer) = start(&disk, 7);
    assert_eq!(spool.undelivered(), 4);
    deliver(&spool, &mut deliverer);
    let want = [
        pair("a file", 21_000),
        pair("in the log", 5),
        pair("last", 3),
    ];
    assert_eq!(subjects(&disk, "alice"), want);
    assert_eq!(
        subjects(&disk, "bob"),
        [],
        "it was delivered by the first release"
    );
    let held = spool.read(HELD.parse().unwrap(), &mut Vec::new()).unwrap();
    assert!(held.held);
    assert_eq!(held.local.failed, 1);
    assert!(spool.set_held(held.id, false).unwrap());
    deliver(&spool, &mut deliverer);
    assert!(subjects(&disk, "alice").contains(&pair("held", 7)));
    assert_eq!(spool.undelivered(), 0);
    drop((spool, deliverer));
    disk.restart();
    // The next start takes what is free into use, with pages as it has them.
    drop(start(&disk, 8));
    let files = disk.files_below("/srv/spool/log");
    let segment = files.iter().find(|(path, _)| path == Path::new(SEGMENT));
    assert_eq!(parse_batch_align(&segment.unwrap().1), Some(PAGE as u32));
    assert_eq!(
        disk.files_below("/srv/spool/bad"),
        [],
        "nothing was set aside"
    );
}
