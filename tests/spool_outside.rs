//! Outside recipients in the spool: power cuts at every step while deliverer and relay settle the same
//! messages, each its own recipients.
//!
//! After each cut: a recipient whose settling had returned is done for ever, one that was not settled is
//! due with its whole message, and local copies are there once.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is what it is for"
)]

#[path = "support/sim_disk.rs"]
mod sim_disk;

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use gatepost::delivery::{Deliverer, DeliveryOptions, Moment};
use gatepost::mail::{
    Envelope, ForwardPath, Mailbox, MessageId, MessageNotifications, Progress, Recipient,
    RecipientNotifications, ReversePath, Target,
};
use gatepost::spool::{Attempts, Batch, Content, Party, Settled, Spool, SpoolError, SpoolOptions};
use gatepost::sys::disk::Disk;
use sim_disk::{Ignore, SimDisk, Survival, Synced};

/// What was promised: messages that were acknowledged, and recipients that were settled.
#[derive(Default)]
struct Ledger {
    accepted: Arc<Mutex<BTreeMap<MessageId, usize>>>,
    relayed: BTreeSet<(MessageId, String)>,
    /// Those that the smarthost has; where settling was cut off it may have been noted or not.
    handed: BTreeSet<(MessageId, String)>,
    /// What the operator was told: held or not.
    held: BTreeMap<MessageId, bool>,
    deleted: BTreeSet<MessageId>,
    /// What was being done to one when the power went, if it did.
    unsure: BTreeSet<MessageId>,
}

struct Machine {
    disk: SimDisk,
    spool: Arc<Spool>,
    deliverer: Deliverer,
    now: Moment,
}

const TO: [&str; 4] = [
    "alice@here.example",
    "a@there.example",
    "bob@here.example",
    "b@there.example",
];

fn envelope(to: &[&str]) -> Envelope {
    let recipient = |to: &&str| Recipient {
        forward_path: ForwardPath::parse_prefix(&format!("<{to}>")).unwrap().0,
        target: match to.strip_suffix("@here.example") {
            Some(user) => Target::User(user.to_owned()),
            None => Target::Outside(Mailbox::parse(to).unwrap()),
        },
        notifications: RecipientNotifications::default(),
    };
    Envelope {
        reverse_path: ReversePath::Null,
        recipients: to.iter().map(recipient).collect(),
        eight_bit: false,
        smtputf8: false,
        notifications: MessageNotifications::default(),
        client: [127, 0, 0, 1].into(),
        login: None,
    }
}

impl Machine {
    fn boot(disk: &SimDisk, run: u64) -> Option<Self> {
        let mut options = SpoolOptions::new("/srv/spool".into(), run);
        (options.segment_octets, options.segments_max) = (16 * 1024, 3);
        options.memory_octets = 12 * 1024;
        // Pages would leave small segments room for a few batches only.
        options.batch_align = 512;
        let door: Arc<dyn Disk> = Arc::new(disk.clone());
        let spool = Arc::new(Spool::open(Arc::clone(&door), options).ok()?);
        // Closing, the committer refuses at once instead of waiting for a segment.
        spool.close();
        let options = DeliveryOptions {
            mail_root: "/srv/mail".into(),
            hostname: "here.example".into(),
        };
        Some(Self {
            disk: disk.clone(),
            deliverer: Deliverer::new(Arc::clone(&spool), door, options),
            spool,
            now: Moment::now(),
        })
    }

    fn commit(&self, ledger: &Ledger, to: &[&str], octets: usize) -> Option<MessageId> {
        let received = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let mut draft = self.spool.draft(envelope(to), received).ok()?;
        let id = draft.id();
        for part in content(octets).as_bytes().chunks(7000) {
            draft.write(part).ok()?;
        }
        let accepted = Arc::clone(&ledger.accepted);
        self.spool.commit(
            draft,
            Box::new(move |answer| {
                if answer.is_ok() {
                    accepted.lock().unwrap().insert(id, octets);
                }
            }),
        );
        self.spool.commit_waiting();
        Some(id)
    }

    /// Hands a message to the smarthost for these recipients, as the relay does.
    fn relay(&self, ledger: &mut Ledger, id: MessageId, to: &[&str]) {
        let mut buffer = Vec::new();
        let Ok(stored) = self.spool.read(id, &mut buffer) else {
            return;
        };
        let mut progress = stored.progress.clone();
        for (recipient, progress) in stored.envelope.recipients.iter().zip(&mut progress) {
            if to.contains(&recipient.forward_path.to_string().as_str()) {
                *progress = Progress::Done;
            }
        }
        let mut settled = vec![Settled {
            id,
            party: Party::Lane,
            progress,
            local: stored.local,
            lanes: Attempts { failed: 1, next: 7 },
            is_left: true,
            in_doubt: false,
        }];
        let pairs = to.iter().map(|to| (id, (*to).to_owned()));
        ledger.handed.extend(pairs.clone());
        let noted = self.spool.settle_carried(&mut settled);
        if noted.is_ok() && !self.disk.is_off() {
            ledger.relayed.extend(pairs);
        }
    }

    /// Holds or releases, as the operator does.
    fn hold(&self, ledger: &mut Ledger, id: MessageId, held: bool) {
        self.hold_all(ledger, &[id], held);
    }

    fn hold_all(&self, ledger: &mut Ledger, ids: &[MessageId], held: bool) {
        self.operate(
            ledger,
            ids,
            |ledger, id| {
                ledger.held.insert(id, held);
            },
            || self.spool.hold_all(ids, held),
        );
    }

    fn delete(&self, ledger: &mut Ledger, id: MessageId) {
        self.delete_all(ledger, &[id]);
    }

    fn delete_all(&self, ledger: &mut Ledger, ids: &[MessageId]) {
        self.operate(
            ledger,
            ids,
            |ledger, id| {
                ledger.held.remove(&id);
                ledger.deleted.insert(id);
            },
            || self.spool.delete_all(ids),
        );
    }

    /// Does something to messages; what did not fail is noted, unless the power went meanwhile.
    fn operate(
        &self,
        ledger: &mut Ledger,
        ids: &[MessageId],
        note: impl Fn(&mut Ledger, MessageId),
        act: impl Fn() -> Batch,
    ) {
        if self.disk.is_off() {
            return;
        }
        ledger.unsure = ids.iter().copied().collect();
        let batch = act();
        if self.disk.is_off() {
            return;
        }
        for (id, one) in &batch.each {
            if one.is_ok() {
                note(ledger, *id);
                ledger.unsure.remove(id);
            }
        }
    }

    fn deliver(&mut self) {
        while self.deliverer.step(self.now) {}
    }

    fn checkpoint(&mut self) {
        self.deliverer.checkpoint(self.now);
        self.spool.commit_waiting();
    }
}

fn content(octets: usize) -> String {
    format!("Subject: {octets}\r\n\r\n{}\r\n", "x".repeat(octets))
}

/// Both parties at work on the same messages, in both orders, while segments are wanted.
fn workload(machine: &mut Machine, ledger: &mut Ledger) -> Option<()> {
    let [alice, a, _, b] = TO;
    let both = machine.commit(ledger, &TO, 901)?;
    let outside = machine.commit(ledger, &[a, b], 1502)?;
    let large = machine.commit(ledger, &TO, 15_003)?;
    let large_outside = machine.commit(ledger, &[a, b], 15_004)?;
    machine.relay(ledger, both, &[a]);
    machine.deliver();
    machine.relay(ledger, large, &[a, b]);
    machine.relay(ledger, outside, &[b]);
    machine.checkpoint();
    for number in 0..8 {
        machine.commit(ledger, &[a, alice], 3100 + number)?;
        machine.commit(ledger, &[b], 2200 + number)?;
        machine.deliver();
        machine.checkpoint();
        if machine.disk.is_off() {
            return None;
        }
    }
    machine.relay(ledger, large_outside, &[a]);
    machine.relay(ledger, both, &[b]);
    machine.relay(ledger, outside, &[a]);
    machine.relay(ledger, large_outside, &[b]);
    let late = machine.commit(ledger, &TO, 805)?;
    machine.deliver();
    machine.relay(ledger, late, &[a, b]);
    machine.checkpoint();
    Some(())
}

/// The operator at work on messages that are fresh, deferred, in files and moved out.
fn operator(machine: &mut Machine, ledger: &mut Ledger) -> Option<()> {
    let [_, a, _, b] = TO;
    let small = machine.commit(ledger, &[a, b], 1502)?;
    let large = machine.commit(ledger, &[a, b], 15_004)?;
    let gone = machine.commit(ledger, &[a, b], 1503)?;
    let large_gone = machine.commit(ledger, &[a, b], 15_005)?;
    let moved_gone = machine.commit(ledger, &[a, b], 1504)?;
    machine.hold(ledger, small, true);
    machine.relay(ledger, large, &[a]);
    machine.deliver();
    machine.delete(ledger, gone);
    machine.hold(ledger, large, true);
    machine.hold(ledger, moved_gone, true);
    machine.delete(ledger, large_gone);
    machine.checkpoint();
    machine.delete(ledger, moved_gone);
    for number in 0..6 {
        machine.commit(ledger, &[b], 2200 + number)?;
        machine.deliver();
        machine.checkpoint();
        if machine.disk.is_off() {
            return None;
        }
    }
    machine.hold(ledger, large, false);
    machine.relay(ledger, large, &[b]);
    machine.hold(ledger, small, false);
    machine.hold(ledger, small, true);
    machine.checkpoint();
    many(machine, ledger, small)
}

/// The operator at work on many at once, wherever they are.
fn many(machine: &mut Machine, ledger: &mut Ledger, moved: MessageId) -> Option<()> {
    let [_, a, _, b] = TO;
    let fresh = machine.commit(ledger, &[a, b], 1505)?;
    let large = machine.commit(ledger, &[a, b], 15_006)?;
    let other = machine.commit(ledger, &[a, b], 1506)?;
    machine.hold_all(ledger, &[fresh, large, moved], true);
    machine.hold_all(ledger, &[fresh, moved, other], false);
    machine.delete_all(ledger, &[fresh, large, other]);
    machine.delete_all(ledger, &[moved]);
    Some(())
}

/// Whether the promises hold in a machine that has just started.
fn check(machine: &mut Machine, ledger: &Ledger) -> Result<(), String> {
    machine.deliver();
    machine.checkpoint();
    let copies = machine.disk.files_below("/srv/mail");
    let mut buffer = Vec::new();
    for (id, octets) in ledger.accepted.lock().unwrap().iter() {
        let stored = match machine.spool.read(*id, &mut buffer) {
            Ok(stored) => Some(stored),
            Err(SpoolError::NoSuchMessage(_)) => None,
            Err(error) => return Err(error.to_string()),
        };
        if ledger.deleted.contains(id) {
            match &stored {
                Some(_) => return Err(format!("message {octets} was deleted and is there")),
                None => continue,
            }
        }
        let is_unsure = ledger.unsure.contains(id);
        if is_unsure && stored.is_none() {
            continue;
        }
        if let (Some(stored), Some(held), false) = (&stored, ledger.held.get(id), is_unsure) {
            if stored.held != *held {
                return Err(format!("message {octets} is held: {}", stored.held));
            }
        }
        let due = |to: &str| {
            stored.as_ref().is_some_and(|stored| {
                let recipients = stored.envelope.recipients.iter().zip(&stored.progress);
                let mut mine = recipients.filter(|(one, _)| one.forward_path.to_string() == to);
                mine.any(|(_, progress)| progress.is_due())
            })
        };
        for to in ["a@there.example", "b@there.example"] {
            let relayed = ledger.relayed.contains(&(*id, to.to_owned()));
            if relayed && due(to) {
                return Err(format!("message {octets} goes to {to} again"));
            }
        }
        if let Some(stored) = &stored {
            let text = match &stored.content {
                Content::Memory(range) => buffer[range.clone()].to_vec(),
                Content::File(file, length, _) => {
                    let mut text = vec![0; *length as usize];
                    file.read_at(&mut text, 0)
                        .map_err(|error| error.to_string())?;
                    text
                }
            };
            if text != content(*octets).as_bytes() {
                return Err(format!("message {octets} is torn"));
            }
        }
        let names = copies.iter().filter(|(path, _)| {
            let path = path.display().to_string();
            path.contains(&format!(".Q{id}.")) && path.contains("/new/")
        });
        let copies = names.count();
        let want = match octets {
            901 | 15_003 | 805 => 2,
            3100..3200 => 1,
            _ => 0,
        };
        if copies != want {
            return Err(format!("{copies} copies of message {octets}"));
        }
        let outside: &[&str] = match octets {
            3100..3200 => &["a@there.example"],
            2200..2300 => &["b@there.example"],
            _ => &["a@there.example", "b@there.example"],
        };
        let handed = |to: &&str| ledger.handed.contains(&(*id, (*to).to_owned()));
        for to in outside.iter().filter(|to| !handed(to)) {
            if !due(to) {
                return Err(format!("message {octets} never goes to {to}"));
            }
        }
    }
    Ok(())
}

fn new_disk() -> SimDisk {
    SimDisk::new(&["/srv"])
}

#[test]
fn the_workload_evicts_what_only_the_relay_still_has() {
    let disk = new_disk();
    let mut ledger = Ledger::default();
    let mut machine = Machine::boot(&disk, 1).unwrap();
    workload(&mut machine, &mut ledger).unwrap();
    assert_eq!(ledger.accepted.lock().unwrap().len(), 21);
    assert_eq!(ledger.relayed.len(), 10);
    // What is left are the 16 that the relay never touched.
    assert_eq!(machine.spool.undelivered(), 16);
    assert!(disk.trace().join("\n").contains(".env"));
    check(&mut machine, &ledger).unwrap();
}

/// Cuts the power at every step with some survivals; what went wrong.
fn cut_everywhere(
    work: impl Fn(&mut Machine, &mut Ledger) -> Option<()>,
    ignore: Option<Ignore>,
    most: usize,
) -> Vec<String> {
    let mut broken = Vec::new();
    for step in 1.. {
        let before = new_disk();
        if let Some(ignore) = ignore {
            before.ignore(ignore);
        }
        before.cut_at(step);
        let mut ledger = Ledger::default();
        if let Some(mut machine) = Machine::boot(&before, 1) {
            let _ = work(&mut machine, &mut ledger);
        }
        let cut = before.is_off();
        let seed = step as u64 * 10;
        for survival in [
            Survival::Nothing,
            Survival::Everything,
            Survival::Some(seed),
            Survival::Some(seed + 1),
        ] {
            let disk = before.fork();
            disk.reboot(survival);
            let checked = match Machine::boot(&disk, 2) {
                Some(mut machine) => check(&mut machine, &ledger),
                None => Err("the spool does not open".to_owned()),
            };
            if let Err(what) = checked {
                let last = before.trace().pop().unwrap_or_default();
                broken.push(format!("cut at {step} ({last}), {survival:?}: {what}"));
            }
        }
        if broken.len() >= most || !cut {
            break;
        }
    }
    broken
}

#[test]
fn a_power_cut_at_any_step_keeps_both_parties_promises() {
    let broken = cut_everywhere(workload, None, 10);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn what_the_operator_does_is_done_or_not_wherever_the_power_goes() {
    let disk = new_disk();
    let mut ledger = Ledger::default();
    let mut machine = Machine::boot(&disk, 1).unwrap();
    operator(&mut machine, &mut ledger).unwrap();
    assert_eq!((ledger.held.len(), ledger.deleted.len()), (1, 7));
    assert_eq!(machine.spool.undelivered(), 6);
    check(&mut machine, &ledger).unwrap();
    let broken = cut_everywhere(operator, None, 10);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    // What makes it durable is needed.
    let envelopes: Ignore = |call| {
        let path = call.path.to_str().unwrap_or_default();
        call.what == Synced::File && path.ends_with(".new")
    };
    assert!(!cut_everywhere(operator, Some(envelopes), 1).is_empty());
}

#[test]
fn what_a_full_disk_does_not_let_go_of_is_not_said_to_be_gone() {
    let disk = new_disk();
    let mut ledger = Ledger::default();
    let machine = Machine::boot(&disk, 1).unwrap();
    let id = machine.commit(&ledger, &["a@there.example"], 1502).unwrap();
    for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
        disk.fail_from(disk.steps() + 1, kind);
        assert!(machine.spool.delete(id).is_err());
        assert!(machine.spool.set_held(id, true).is_err());
        disk.heal();
        let stored = machine.spool.read(id, &mut Vec::new()).unwrap();
        assert!(stored.progress[0].is_due() && !stored.held);
    }
    machine.delete(&mut ledger, id);
    assert!(ledger.deleted.contains(&id));
    disk.reboot(Survival::Nothing);
    let machine = Machine::boot(&disk, 2).unwrap();
    assert_eq!(machine.spool.undelivered(), 0);
}

#[test]
fn every_sync_is_needed() {
    let rows: [(&str, Ignore); 3] = [
        ("what the relay settles in the log", |call| {
            let path = call.path.to_str().unwrap_or_default();
            call.what == Synced::File && path.ends_with(".seg") && !call.start
        }),
        ("an envelope that changes", |call| {
            let path = call.path.to_str().unwrap_or_default();
            call.what == Synced::File && path.ends_with(".new")
        }),
        ("what is moved to queue/", |call| {
            call.what == Synced::FileSystem && call.path.ends_with("queue")
        }),
    ];
    for (what, ignore) in rows {
        let broken = cut_everywhere(workload, Some(ignore), 1);
        assert!(!broken.is_empty(), "the sync of {what} is not needed");
    }
}
