//! A spool with damage in it: what checks out is delivered, the rest is set aside where an operator finds
//! it, and nothing damaged reaches a mailbox.

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
use gatepost::mail::{Envelope, ForwardPath, Recipient, ReversePath, Target};
use gatepost::spool::{Spool, SpoolOptions};
use gatepost::sys::disk::{Disk, OpenMode};
use sim_disk::SimDisk;

fn start(disk: &SimDisk, run: u64) -> (Arc<Spool>, Deliverer) {
    let mut options = SpoolOptions::new("/srv/spool".into(), run);
    (options.segment_octets, options.segments_max) = (64 << 10, 3);
    let door: Arc<dyn Disk> = Arc::new(disk.clone());
    let spool = Arc::new(Spool::open(Arc::clone(&door), options).unwrap());
    let options = DeliveryOptions {
        mail_root: "/srv/mail".into(),
        hostname: "here.example".into(),
    };
    (Arc::clone(&spool), Deliverer::new(spool, door, options))
}

fn content(number: usize) -> String {
    format!(
        "Subject: {number}\r\n\r\n{}",
        "line of text\r\n".repeat(SIZES[number] / 14)
    )
}

/// A disk with three small messages and a large one, undelivered; their ids.
fn disk_with_mail() -> (SimDisk, Vec<String>) {
    let disk = SimDisk::new(&["/srv"]);
    let (spool, _) = start(&disk, 1);
    let ids = (0..SIZES.len()).map(|number| commit(&spool, number));
    let ids = ids.collect();
    spool.commit_waiting();
    (disk, ids)
}

/// Hands a message to the committer; its id.
fn commit(spool: &Spool, number: usize) -> String {
    let mut draft = spool.draft(envelope(), SystemTime::UNIX_EPOCH).unwrap();
    draft.write(content(number).as_bytes()).unwrap();
    let id = draft.id().to_string();
    spool.commit(draft, Box::new(|told| assert!(told.is_ok())));
    id
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

/// Starts again and delivers what can be delivered, for a week.
fn recover(disk: &SimDisk, run: u64) {
    disk.restart();
    let (spool, mut deliverer) = start(disk, run);
    let mut now = Moment::now();
    for _ in 0..40 {
        while deliverer.step(now) {}
        deliverer.checkpoint(now);
        spool.commit_waiting();
        now.steady += Duration::from_secs(4 * 3600);
        now.wall += Duration::from_secs(4 * 3600);
    }
}

/// The numbers of the messages delivered, each of them whole.
fn delivered(disk: &SimDisk) -> Vec<usize> {
    let mut numbers = Vec::new();
    for (path, octets) in disk.files_below("/srv/mail") {
        if path.parent().unwrap().ends_with("new") {
            let text = String::from_utf8(octets).unwrap();
            let subject = text
                .lines()
                .nth(1)
                .unwrap()
                .strip_prefix("Subject: ")
                .unwrap();
            let number = subject.parse().unwrap();
            assert_eq!(
                text,
                format!("Return-Path: <>\n{}", content(number).replace('\r', ""))
            );
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    numbers
}

fn change(disk: &SimDisk, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let files = disk.files_below(path);
    let (path, mut octets) = files.into_iter().next().unwrap();
    change(&mut octets);
    disk.put(&path, &octets);
}

fn set_aside(disk: &SimDisk) -> Vec<(String, Vec<u8>)> {
    let files = disk.files_below("/srv/spool/bad").into_iter();
    let named = files.map(|(path, octets)| {
        let name = path.strip_prefix("/srv/spool/bad").unwrap_or(Path::new(""));
        (name.display().to_string(), octets)
    });
    named.collect()
}

#[test]
fn a_damaged_record_is_set_aside_and_the_others_are_delivered() {
    let (disk, ids) = disk_with_mail();
    change(&disk, SEGMENT, |octets| {
        let at = octets.windows(10).position(|w| w == b"Subject: 1").unwrap();
        octets[at + 20] ^= 1;
    });
    recover(&disk, 2);
    assert_eq!(delivered(&disk), [0, 2, 3]);
    let bad = set_aside(&disk);
    assert_eq!(bad.len(), 1);
    assert!(
        String::from_utf8_lossy(&bad[0].1).contains(&ids[1]),
        "the operator finds it"
    );
}

#[test]
fn a_record_that_goes_bad_while_it_waits_is_set_aside() {
    let (disk, ids) = disk_with_mail();
    disk.restart();
    let (spool, mut deliverer) = start(&disk, 2);
    change(&disk, SEGMENT, |octets| {
        let at = octets.windows(10).position(|w| w == b"Subject: 2").unwrap();
        octets[at + 20] ^= 1;
    });
    let now = Moment::now();
    while deliverer.step(now) {}
    deliverer.checkpoint(now);
    assert_eq!(delivered(&disk), [0, 1, 3]);
    spool.commit_waiting();
    assert_eq!(spool.undelivered(), 0);
    assert_eq!(set_aside(&disk)[0].0, format!("{}.record", ids[2]));
}

#[test]
fn records_survive_the_loss_of_their_segments_header() {
    let (disk, _) = disk_with_mail();
    change(&disk, SEGMENT, |octets| octets[..4096].fill(0xff));
    recover(&disk, 2);
    assert_eq!(delivered(&disk), [0, 1, 2, 3]);
    assert_eq!(set_aside(&disk).len(), 1);
    recover(&disk, 3);
    assert_eq!(delivered(&disk), [0, 1, 2, 3]);
}

#[test]
fn a_segment_without_anything_that_checks_out_is_set_aside_whole() {
    let (disk, _) = disk_with_mail();
    change(&disk, SEGMENT, |octets| octets.fill(0xff));
    recover(&disk, 2);
    assert_eq!(delivered(&disk), [0_usize; 0]);
    let bad = set_aside(&disk);
    assert_eq!(bad[0].1.len(), 64 << 10);
}

#[test]
fn a_large_content_that_is_damaged_is_not_delivered_until_it_is_mended() {
    let (disk, ids) = disk_with_mail();
    let path = format!("/srv/spool/queue/{}.eml", ids[3]);
    change(&disk, &path, |octets| octets[100] ^= 1);
    recover(&disk, 2);
    assert_eq!(delivered(&disk), [0, 1, 2]);
    change(&disk, &path, |octets| octets[100] ^= 1);
    recover(&disk, 3);
    assert_eq!(delivered(&disk), [0, 1, 2, 3]);
}

#[test]
fn files_with_strange_names_in_the_log_keep_nobody_from_starting() {
    for name in [
        "1.seg",
        "+2.seg",
        "0000.seg",
        "x.seg",
        "000.seg.bak",
        ".seg",
    ] {
        let (disk, _) = disk_with_mail();
        stray(&disk, name);
        recover(&disk, 2);
        assert_eq!(delivered(&disk), [0, 1, 2, 3], "{name}");
        assert_eq!(set_aside(&disk), [], "{name}");
    }
}

#[test]
fn a_segment_with_the_last_number_of_all_is_one_like_others() {
    let (disk, _) = disk_with_mail();
    stray(&disk, "4294967295.seg");
    recover(&disk, 2);
    assert_eq!(delivered(&disk), [0, 1, 2, 3]);
    disk.restart();
    let (spool, _) = start(&disk, 3);
    // More than a segment holds.
    for _ in 0..35 {
        commit(&spool, 2);
        spool.commit_waiting();
    }
    let files = disk.files_below("/srv/spool/log").into_iter();
    let names: Vec<_> = files.map(|(path, _)| path.display().to_string()).collect();
    assert!(
        names.contains(&"/srv/spool/log/001.seg".to_owned()),
        "{names:?}"
    );
}

const SECOND_SEGMENT: &str = "/srv/spool/log/001.seg";

/// The step at which the second segment is first written to, in a run that is tried on another disk.
fn step_of_second_segment(disk: &SimDisk, run: impl FnOnce(&SimDisk)) -> usize {
    let trial = disk.fork();
    run(&trial);
    let trace = trial.trace();
    let is_write = |step: &String| step.starts_with(&format!("write {SECOND_SEGMENT} "));
    let place = trace.iter().position(is_write);
    place.unwrap_or_else(|| panic!("{trace:#?}")) + 1
}

fn has_second_segment(disk: &SimDisk) -> bool {
    let files = disk.files_below("/srv/spool/log");
    files
        .iter()
        .any(|(path, _)| path == Path::new(SECOND_SEGMENT))
}

#[test]
fn a_segment_that_finds_no_room_leaves_nothing_behind() {
    let disk = SimDisk::new(&["/srv"]);
    // More than one segment holds, where nobody delivers; until one is refused.
    let fill = |disk: &SimDisk| {
        let (spool, _) = start(disk, 1);
        // Nobody waits for a segment to be let go.
        spool.close();
        (0..40).all(|_| {
            let mut draft = spool.draft(envelope(), SystemTime::UNIX_EPOCH).unwrap();
            draft.write(content(2).as_bytes()).unwrap();
            spool.commit_here(draft).is_ok()
        })
    };
    let step = step_of_second_segment(&disk, |disk| assert!(fill(disk)));
    disk.fail_at(step, std::io::ErrorKind::StorageFull);
    assert!(!fill(&disk));
    assert!(!has_second_segment(&disk));
}

#[test]
fn a_half_made_segment_on_a_full_disk_keeps_nobody_from_starting() {
    let (disk, _) = disk_with_mail();
    stray(&disk, "001.seg");
    disk.put(Path::new(SECOND_SEGMENT), &[0; 8192]);
    disk.restart();
    let step = step_of_second_segment(&disk, |disk| drop(start(disk, 2)));
    disk.fail_at(step, std::io::ErrorKind::StorageFull);
    drop(start(&disk, 2));
    assert!(!has_second_segment(&disk));
    recover(&disk, 3);
    assert_eq!(delivered(&disk), [0, 1, 2, 3]);
}

fn stray(disk: &SimDisk, name: &str) {
    let path = Path::new("/srv/spool/log").join(name);
    let file = disk.open(&path, OpenMode::New).unwrap();
    file.write_at(b"notes", 0).unwrap();
}

#[test]
fn an_envelope_that_cannot_be_read_is_set_aside_with_its_content() {
    let (disk, ids) = disk_with_mail();
    disk.restart();
    disk.block(Some("/srv/mail/alice"));
    {
        let (_, mut deliverer) = start(&disk, 2);
        let now = Moment::now();
        while deliverer.step(now) {}
        deliverer.checkpoint(now);
    }
    change(
        &disk,
        &format!("/srv/spool/queue/{}.env", ids[0]),
        |octets| octets.truncate(40),
    );
    recover(&disk, 3);
    assert_eq!(delivered(&disk), [1, 2, 3]);
    let names: Vec<_> = set_aside(&disk).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [format!("{}.eml", ids[0]), format!("{}.env", ids[0])]
    );
}

const SEGMENT: &str = "/srv/spool/log/000.seg";
const SIZES: [usize; 4] = [300, 700, 2000, 30_000];
