//! Starting on a damaged spool: no damage makes it panic or fail, no message is invented or changed,
//! what is lost is set aside, and the log can be written to afterwards.
//!
//! An input is a list of changes to the files of a spool with mail in it, see [`Change::read`]. It also may
//! write records that check out and make no sense.

#[path = "../../../support/sim_disk.rs"]
mod sim_disk;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gatepost::delivery::{Deliverer, DeliveryOptions, Moment};
use gatepost::mail::{Envelope, ForwardPath, MessageId, Progress, Recipient, ReversePath, Target};
use gatepost::spool::format::{self, Header, Kind};
use gatepost::spool::{Content, Spool, SpoolError, SpoolOptions};
use gatepost::sys::disk::{Disk, OpenMode};
use gatepost_fuzz::Random;
use sim_disk::SimDisk;

const SEGMENT_OCTETS: u64 = 16 << 10;
/// Octets of each message; the last is too large for a record.
const SIZES: [usize; 4] = [40, 700, 2_000, 6_000];

const TOKENS: &[&[u8]] = &[
    &[FLIP, 0, 0, 0x10, 1],
    &[FLIP, 0, 0, 0, 16],
    &[FLIP, 1, 0, 10, 3],
    &[FLIP, 2, 1, 0, 1],
    &[COPY, 0, 0x20, 0x10, 64],
    &[CUT, 0, 0x10, 0x10, 0],
    &[CUT, 1, 0, 60, 0],
    &[CUT, 0, 0, 0, 0],
    &[REMOVE, 1, 0, 0, 0],
    &[REMOVE, 2, 0, 0, 0],
    &[OVER, 0, 1, 0, 0],
    &[TEXT, 1, 0, 0, 5],
    &[FORGE, 1, 0x20, 0, 80],
    &[FORGE, 3, 0x20, 0, 30],
    &[NEW, 0, 0, 0, 4],
    &[NEW, 5, 0, 0, 4],
    b"gatepost message 1\n",
    b"id ",
    b"received 1\n",
    b"client 192.0.2.1\n",
    b"from <>\n",
    b"to due <alice@here.example> user alice\n",
    b"to done <a@there.example> outside a@there.example\n",
    b"file 6000 1\n",
    b"file 18446744073709551615 0\n",
    b"attempts 4294967295 18446744073709551615\n",
    b"notify NEVER\n",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\n",
    b"GPR1",
];

const FLIP: u8 = 0;
const COPY: u8 = 1;
const CUT: u8 = 2;
const REMOVE: u8 = 3;
const OVER: u8 = 4;
const TEXT: u8 = 5;
const FORGE: u8 = 6;
const NEW: u8 = 7;

fn main() -> ExitCode {
    let disks = [Known::in_log(), Known::in_files(), Known::done_in_part()];
    let corpus = vec![
        vec![FLIP, 0, 0, 0x10, 1],
        vec![FLIP, 0, 0, 0x14, 1, FLIP, 0, 0, 0, 1],
        vec![TEXT, 0, 0, 40, 3, b'a', b'b', b'\n', CUT, 1, 0, 60, 0],
        vec![NEW, 1, 0, 0, 3, 1, 2, 3, REMOVE, 3, 0, 0, 0],
        [
            &[FORGE, 1, 0x20, 0, 80, 76, 0, 0, 0],
            &b"gatepost message 1\n"[..],
        ]
        .concat(),
    ];
    gatepost_fuzz::main(
        "spool_record",
        corpus,
        TOKENS,
        move |input, _: &mut Random| {
            for known in &disks {
                known.damage(input);
            }
        },
    )
}

/// A spool and what is in it.
struct Known {
    disk: SimDisk,
    messages: BTreeMap<String, Message>,
    /// The ids in the order of the log.
    order: Vec<String>,
}

/// A message, as far as it must come back.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Message {
    content: Vec<u8>,
    envelope: Envelope,
    done: Vec<bool>,
}

fn start(disk: &SimDisk, run: u64) -> Spool {
    disk.restart();
    let mut options = SpoolOptions::new("/srv/spool".into(), run);
    (options.segment_octets, options.segments_max) = (SEGMENT_OCTETS, 4);
    // Another secret with each start, as a start draws it: what was given up must not come back.
    (options.patience, options.secret) = (Duration::ZERO, 77 + run);
    let door: Arc<dyn Disk> = Arc::new(disk.clone());
    Spool::open(door, options).unwrap_or_else(|error| panic!("it does not start: {error}"))
}

fn commit(spool: &Spool, size: usize) -> Option<MessageId> {
    let recipient = |name: &str| Recipient {
        forward_path: ForwardPath::parse_prefix(&format!("<{name}@here.example>"))
            .unwrap()
            .0,
        target: Target::User(name.to_owned()),
        notifications: Default::default(),
    };
    let envelope = Envelope {
        reverse_path: ReversePath::parse_prefix("<x@there.example>").unwrap().0,
        recipients: vec![recipient("alice"), recipient("bob")],
        eight_bit: false,
        smtputf8: false,
        notifications: Default::default(),
        client: [192, 0, 2, 1].into(),
        login: None,
    };
    let mut draft = spool.draft(envelope, SystemTime::UNIX_EPOCH).ok()?;
    let id = draft.id();
    draft
        .write(format!("Subject: {size}\r\n\r\n{}\r\n", "x".repeat(size)).as_bytes())
        .ok()?;
    let (told, hears) = std::sync::mpsc::channel();
    spool.commit(
        draft,
        Box::new(move |outcome| told.send(outcome.is_ok()).expect("somebody waits")),
    );
    spool.commit_waiting();
    hears
        .recv()
        .expect("every commit is answered")
        .then_some(id)
}

impl Known {
    fn in_log() -> Self {
        let disk = SimDisk::new(&["/srv"]);
        let spool = start(&disk, 1);
        let order = SIZES.map(|size| commit(&spool, size).expect("a sound disk").to_string());
        drop(spool);
        let messages = read(&start(&disk.fork(), 2));
        assert_eq!(messages.len(), SIZES.len());
        let order = order.to_vec();
        Self {
            disk,
            messages,
            order,
        }
    }

    /// The deliverer could deliver to nobody and moved everything to files.
    fn in_files() -> Self {
        Self::after_a_try(&["/srv/mail/alice", "/srv/mail"])
    }

    /// One of the two recipients is done.
    fn done_in_part() -> Self {
        Self::after_a_try(&["/srv/mail/bob"])
    }

    fn after_a_try(blocked: &[&str]) -> Self {
        let Self { disk, order, .. } = Self::in_log();
        let spool = Arc::new(start(&disk, 2));
        disk.block(blocked.last().copied());
        let door: Arc<dyn Disk> = Arc::new(disk.clone());
        let options = DeliveryOptions {
            mail_root: "/srv/mail".into(),
            hostname: "here.example".into(),
        };
        let mut deliverer = Deliverer::new(Arc::clone(&spool), door, options);
        let now = Moment::now();
        while deliverer.step(now) {}
        deliverer.checkpoint(now);
        spool.commit_waiting();
        drop((deliverer, spool));
        let messages = read(&start(&disk.fork(), 3));
        assert_eq!(messages.len(), SIZES.len());
        Self {
            disk,
            messages,
            order,
        }
    }

    fn damage(&self, input: &[u8]) {
        let disk = self.disk.fork();
        let changes = Change::read(input);
        changes.iter().for_each(|change| change.make(&disk));
        let is_text_changed = texts(&self.disk) != texts(&disk);
        let spool = start(&disk, 10);
        let found = read(&spool);
        let is_forged = changes.iter().any(|change| change.what == FORGE);
        for (id, message) in &found {
            let Some(known) = self.messages.get(id) else {
                assert!(is_forged, "{id} is invented");
                continue;
            };
            // The text of an envelope in a file can be changed by hand: only records have a checksum.
            if !is_forged && !is_text_changed {
                assert_eq!(message.content, known.content, "{id} has another content");
                assert_eq!(
                    message.envelope, known.envelope,
                    "{id} has another envelope"
                );
                let mut pairs = message.done.iter().zip(&known.done);
                assert!(
                    pairs.all(|(done, was)| *was || !*done),
                    "{id} is done by itself"
                );
            }
        }
        if changes.iter().all(|change| change.what == FLIP) {
            self.what_is_lost_is_kept(&disk, &found);
        }
        let fresh = commit(&spool, 100).map(|id| id.to_string());
        drop(spool);
        let mut again = read(&start(&disk, 11));
        if let Some(fresh) = fresh {
            assert!(
                again.remove(&fresh).is_some(),
                "what came after the damage is gone"
            );
        }
        assert_eq!(again, found, "the next start finds something else");
    }

    /// Octets that changed in their place: what is behind the last good record is taken for an earlier
    /// use, all else is set aside.
    fn what_is_lost_is_kept(&self, disk: &SimDisk, found: &BTreeMap<String, Message>) {
        let last = self.order.iter().rposition(|id| found.contains_key(id));
        let before = self.order.iter().take(last.unwrap_or(0));
        let queue = disk.files_below("/srv/spool/queue");
        let bad = disk.files_below("/srv/spool/bad");
        for id in before.filter(|id| !found.contains_key(*id)) {
            // One whose content is damaged stays where it is, for somebody to mend.
            let is_there = queue
                .iter()
                .any(|(path, _)| path.display().to_string().contains(id));
            assert!(is_there || !bad.is_empty(), "{id} is gone without a trace");
        }
    }
}

/// What is in `ID.env` files.
fn texts(disk: &SimDisk) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = disk.files_below("/srv/spool/queue");
    files.retain(|(path, _)| path.extension().is_some_and(|end| end == "env"));
    files
}

/// The messages of a spool that can be read and whose content checks out.
fn read(spool: &Spool) -> BTreeMap<String, Message> {
    let mut ids = Vec::new();
    spool.take_fresh(usize::MAX, &mut ids);
    let mut messages = BTreeMap::new();
    for id in ids {
        let mut buffer = Vec::new();
        let stored = match spool.read(id, &mut buffer) {
            Ok(stored) => stored,
            Err(SpoolError::Damaged(_)) => {
                // As the deliverer does.
                let kept = spool.set_aside(id, "it is damaged");
                kept.unwrap_or_else(|error| panic!("it cannot be set aside: {error}"));
                continue;
            }
            Err(_) => continue,
        };
        let content = match stored.content {
            Content::Memory(range) => buffer[range].to_vec(),
            Content::File(file, length, crc) => {
                let mut octets = vec![0; length.min(1 << 20) as usize];
                let count = file.read_at(&mut octets, 0).expect("the disk is sound");
                octets.truncate(count);
                if count as u64 != length || crc32(&octets) != crc {
                    continue;
                }
                octets
            }
        };
        let message = Message {
            content,
            envelope: stored.envelope,
            done: stored.progress.iter().map(Progress::is_done).collect(),
        };
        messages.insert(id.to_string(), message);
    }
    messages
}

fn crc32(octets: &[u8]) -> u32 {
    let mut register = !0_u32;
    for octet in octets {
        register ^= u32::from(*octet);
        for _ in 0..8 {
            let low = register & 1;
            register = (register >> 1) ^ (low * 0xedb8_8320);
        }
    }
    !register
}

/// One change: what, which file, where (16 bits), how much, and for some of them octets.
struct Change<'a> {
    what: u8,
    which: usize,
    at: usize,
    count: u8,
    octets: &'a [u8],
}

impl<'a> Change<'a> {
    /// Five octets each, and `count` more where a change writes.
    fn read(mut input: &'a [u8]) -> Vec<Self> {
        let mut changes = Vec::new();
        while let Some((&[what, which, low, high, count], rest)) = input.split_first_chunk() {
            let mut change = Self {
                what: what % 8,
                which: usize::from(which),
                at: usize::from(u16::from_le_bytes([low, high])),
                count,
                octets: &[],
            };
            input = rest;
            if [TEXT, FORGE, NEW].contains(&change.what) {
                (change.octets, input) = rest.split_at(rest.len().min(usize::from(count)));
            }
            changes.push(change);
            if changes.len() == 12 {
                break;
            }
        }
        changes
    }

    fn make(&self, disk: &SimDisk) {
        if self.what == NEW {
            return self.make_new(disk);
        }
        let mut files = disk.files_below("/srv/spool");
        files.retain(|(path, _)| !path.ends_with("lock") && !path.starts_with("/srv/spool/bad"));
        if files.is_empty() {
            return;
        }
        let other = files[self.at % files.len()].1.clone();
        let place = self.which % files.len();
        let (path, mut octets) = files.swap_remove(place);
        let at = self.at.min(octets.len());
        let end = (at + usize::from(self.count)).min(octets.len());
        match self.what {
            FLIP => octets[at..end]
                .iter_mut()
                .for_each(|octet| *octet ^= self.count),
            COPY => {
                let to = (at + usize::from(self.count) * 32).min(octets.len());
                let end = (at + 2_048).min(octets.len()).min(at + octets.len() - to);
                octets.copy_within(at..end, to);
            }
            CUT => octets.truncate(at),
            REMOVE => return disk.take(&path),
            OVER => octets = other,
            TEXT => drop(octets.splice(at..end, self.octets.iter().copied())),
            _ => self.forge(&mut octets),
        }
        disk.put(&path, &octets);
    }

    /// A record that checks out, at a place where a scan looks.
    fn forge(&self, segment: &mut [u8]) {
        let Some(age) = format::parse_segment_header(segment) else {
            return;
        };
        let kinds = [Kind::Message, Kind::MessageFile, Kind::Done];
        let header = Header {
            kind: kinds[self.which % 3],
            generation: age.generation,
            length: self.octets.len() as u32,
            sequence: u64::from(self.at as u32),
            crc: crc32(self.octets),
        };
        let at = format::BLOCK as usize + self.at % 256 * format::ALIGN;
        let record = [&header.to_octets(age.salt), self.octets].concat();
        if let Some(place) = segment.get_mut(at..at + record.len()) {
            place.copy_from_slice(&record);
        }
    }

    /// A file that somebody left there.
    fn make_new(&self, disk: &SimDisk) {
        let path = Path::new("/srv/spool").join(STRAYS[self.which % STRAYS.len()]);
        let made = disk.open(&path, OpenMode::Replace);
        let file = made.expect("the disk is sound");
        file.write_at(self.octets, 0).expect("the disk is sound");
    }
}

const STRAYS: [&str; 12] = [
    "log/007.seg",
    "log/1.seg",
    "log/+2.seg",
    "log/0000.seg",
    "log/4294967295.seg",
    "log/99999999999.seg",
    "log/x.seg",
    "log/000.seg.bak",
    "queue/x.env",
    "queue/x.eml",
    "queue/x.new",
    "queue/.env",
];
