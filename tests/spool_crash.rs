//! Power cuts and disk faults at every step of the spool and of delivery, on a simulated disk.
//!
//! One thread drives the real code through a scripted workload; the ledger knows what was promised.
//! After each cut the machine starts again with nothing, everything or some of the unsynced work, and
//! then: every acknowledged message is in its Maildirs, whole and once; no other message is there that
//! was never handed over; no file in `new/` is torn.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is what it is for"
)]

#[path = "support/sim_disk.rs"]
mod sim_disk;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use gatepost::delivery::{Deliverer, DeliveryOptions, Moment};
use gatepost::mail::{Envelope, ForwardPath, Recipient, ReversePath, Target};
use gatepost::spool::{Refusal, Spool, SpoolOptions};
use gatepost::sys::disk::Disk;
use sim_disk::{Ignore, Random, SimDisk, Survival, SyncCall, Synced};

/// What is known of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Written, but never handed to `commit`.
    Draft,
    /// Handed over, no answer yet.
    Handed,
    Acknowledged,
    Refused(Refusal),
}

struct Message {
    users: Vec<&'static str>,
    octets: usize,
    fate: Arc<Mutex<Fate>>,
}

/// Every message by its number, and the copies readers took away.
#[derive(Default)]
struct Ledger {
    messages: Vec<Message>,
    taken: BTreeMap<(usize, String), usize>,
    refused: Vec<Refusal>,
    /// Whether the power went: then a message that was refused may be there.
    power_went: bool,
}

/// One run of the machine.
struct Machine {
    disk: SimDisk,
    spool: Arc<Spool>,
    deliverer: Deliverer,
    start: Moment,
}

impl Machine {
    /// Starts; `None` when the disk does not let it.
    fn boot(disk: &SimDisk, run: u64) -> Option<Self> {
        let mut options = SpoolOptions::new(SPOOL.into(), run);
        (options.segment_octets, options.segments_max) = (16 * 1024, 3);
        options.memory_octets = 12 * 1024;
        options.batch_align = BATCH_ALIGN.get();
        if options.batch_align == PAGE {
            // Each batch takes a page at least.
            options.segment_octets = 48 * 1024;
        }
        let start = Moment::now();
        let door: Arc<dyn Disk> = Arc::new(disk.clone());
        let spool = Arc::new(Spool::open(Arc::clone(&door), options).ok()?);
        // Closing, the committer refuses at once instead of waiting for a segment.
        spool.close();
        let options = DeliveryOptions {
            mail_root: MAIL.into(),
            // A name by DHCP may be another one after each start.
            hostname: format!("host{run}.here.example"),
        };
        Some(Self {
            disk: disk.clone(),
            deliverer: Deliverer::new(Arc::clone(&spool), door, options),
            spool,
            start,
        })
    }

    fn later(&self, times: u32) -> Moment {
        let hours = Duration::from_secs(36_000) * times;
        Moment {
            steady: self.start.steady + hours,
            wall: self.start.wall + hours,
        }
    }

    /// Hands over one message, without the sync.
    fn hand_over(&self, ledger: &mut Ledger, users: &[&'static str], octets: usize) {
        if let Some((draft, fate)) = self.write(ledger, users, octets) {
            *fate.lock().unwrap() = Fate::Handed;
            self.spool.commit(
                draft,
                Box::new(move |answer| {
                    *fate.lock().unwrap() = match answer {
                        Ok(_) => Fate::Acknowledged,
                        Err(refusal) => Fate::Refused(refusal),
                    };
                }),
            );
        }
    }

    fn write(
        &self,
        ledger: &mut Ledger,
        users: &[&'static str],
        octets: usize,
    ) -> Option<(gatepost::spool::Draft, Arc<Mutex<Fate>>)> {
        let number = ledger.messages.len();
        let fate = Arc::new(Mutex::new(Fate::Draft));
        ledger.messages.push(Message {
            users: users.to_vec(),
            octets,
            fate: Arc::clone(&fate),
        });
        let received = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let mut draft = self.spool.draft(envelope(users), received).ok()?;
        for part in content(number, octets).as_bytes().chunks(7000) {
            if let Err(refusal) = draft.write(part) {
                *fate.lock().unwrap() = Fate::Refused(refusal);
                return None;
            }
        }
        Some((draft, fate))
    }

    fn commit(&self, ledger: &mut Ledger, users: &[&'static str], octets: usize) {
        self.hand_over(ledger, users, octets);
        self.spool.commit_waiting();
        let last = ledger
            .messages
            .last()
            .map(|last| *last.fate.lock().unwrap());
        if let Some(Fate::Refused(refusal)) = last {
            ledger.refused.push(refusal);
        }
    }

    fn deliver(&mut self) {
        while self.deliverer.step(self.start) {}
    }

    fn checkpoint(&mut self) {
        self.deliverer.checkpoint(self.start);
        self.spool.commit_waiting();
    }

    /// Until nothing is left to do, or the power is off.
    fn finish(&mut self) {
        for times in 2..14 {
            while self.deliverer.step(self.later(times)) && !self.disk.is_off() {}
            self.checkpoint();
            if self.disk.is_off() || self.spool.undelivered() == 0 {
                return;
            }
        }
    }

    /// A reader fetches and deletes what is in `new/`.
    fn read_mail(&self, ledger: &mut Ledger, user: &str) {
        for (path, octets) in self.disk.files_below(&format!("{MAIL}/{user}")) {
            if let Some((number, user)) = copy_of(&path, &octets) {
                *ledger.taken.entry((number, user)).or_default() += 1;
                self.disk.take(&path);
            }
        }
    }
}

fn envelope(users: &[&str]) -> Envelope {
    let recipient = |user: &&str| Recipient {
        forward_path: ForwardPath::parse_prefix(&format!("<{user}@here.example>"))
            .unwrap()
            .0,
        target: Target::User((*user).to_owned()),
        notifications: Default::default(),
    };
    Envelope {
        reverse_path: ReversePath::Null,
        recipients: users.iter().map(recipient).collect(),
        eight_bit: false,
        smtputf8: false,
        notifications: Default::default(),
        client: [127, 0, 0, 1].into(),
        login: None,
    }
}

fn content(number: usize, octets: usize) -> String {
    let mut content = format!("Subject: {number}\r\n\r\n");
    let mut random = Random(number as u64);
    while content.len() < octets {
        content.push_str(&format!("{:016x}\r\n", random.next()));
    }
    content
}

/// The message and user a file in `new/` says it is.
fn copy_of(path: &Path, octets: &[u8]) -> Option<(usize, String)> {
    let mut folders = path.ancestors().skip(1);
    if folders.next()?.file_name()? != "new" {
        return None;
    }
    let user = folders.nth(1)?.file_name()?.to_str()?.to_owned();
    let text = std::str::from_utf8(octets).unwrap_or_default();
    let number = text.lines().nth(1)?.strip_prefix("Subject: ")?;
    Some((number.parse().ok()?, user))
}

/// A day on the machine: batches, files, refused mailboxes, full and reused segments.
fn workload(machine: &mut Machine, ledger: &mut Ledger) {
    machine.hand_over(ledger, &["alice"], 300);
    machine.hand_over(ledger, &["alice", "bob"], 700);
    machine.commit(ledger, &["alice", "bob", "carol"], 1500);
    machine.deliver();
    machine.commit(ledger, &["bob", "alice"], 20_000);
    machine.deliver();
    machine.checkpoint();

    machine.disk.block(Some("/srv/mail/carol"));
    machine.commit(ledger, &["carol", "alice"], 3000);
    machine.commit(ledger, &["carol"], 15_000);
    for round in 0..6 {
        machine.commit(ledger, &["bob"], 3500);
        machine.commit(ledger, &["alice", "bob"], 2500 + round);
        machine.deliver();
        if round % 2 == 1 {
            machine.checkpoint();
        }
        if machine.disk.is_off() {
            return;
        }
    }
    machine.disk.block(None);
    let later = machine.later(1);
    machine.deliverer.step(later);
    machine.checkpoint();

    drop(machine.write(ledger, &["alice"], 500));
    drop(machine.write(ledger, &["alice"], 15_000));
    for _ in 0..4 {
        machine.commit(ledger, &["carol"], 3500);
        machine.commit(ledger, &["alice"], 900);
        machine.deliver();
        machine.checkpoint();
    }
    machine.commit(ledger, &["carol", "bob"], 100);
    machine.commit(ledger, &["carol", "bob"], 14_000);
    machine.deliver();
    machine.commit(ledger, &["alice"], 200);
}

fn new_disk() -> SimDisk {
    SimDisk::new(&["/srv"])
}

/// Makes every deferred message due: the hours in which the power was off.
fn let_hours_pass(disk: &SimDisk) {
    for (path, octets) in disk.files_below("/srv/spool/queue") {
        if path.extension().is_none_or(|kind| kind != "env") {
            continue;
        }
        let Ok(text) = String::from_utf8(octets) else {
            continue;
        };
        let lines = text.lines().map(|line| match line.split_once(' ') {
            Some(("attempts", numbers)) => {
                let attempts = numbers.split(' ').next().unwrap_or_default();
                format!("attempts {attempts} 0\n")
            }
            _ => format!("{line}\n"),
        });
        disk.put(&path, lines.collect::<String>().as_bytes());
    }
}

/// Starts again and finishes everything.
fn recover(disk: &SimDisk, run: u64) -> Result<(), String> {
    let_hours_pass(disk);
    let mut machine = Machine::boot(disk, run).ok_or("the spool does not open")?;
    machine.finish();
    match machine.spool.undelivered() {
        0 => Ok(()),
        count => Err(format!("{count} messages stay undelivered")),
    }
}

/// Whether the promises hold now; the first broken one in words.
fn check(disk: &SimDisk, ledger: &Ledger) -> Result<(), String> {
    let mut copies = ledger.taken.clone();
    for (path, octets) in disk.files_below(MAIL) {
        if !path.components().any(|part| part.as_os_str() == "new") {
            continue;
        }
        let (number, user) = copy_of(&path, &octets)
            .filter(|(number, _)| *number < ledger.messages.len())
            .ok_or_else(|| format!("{} is torn or strange", path.display()))?;
        let whole = content(number, ledger.messages[number].octets).replace('\r', "");
        if octets != format!("Return-Path: <>\n{whole}").as_bytes() {
            return Err(format!("message {number} of {user} is torn"));
        }
        *copies.entry((number, user)).or_default() += 1;
    }
    for (number, message) in ledger.messages.iter().enumerate() {
        let fate = *message.fate.lock().unwrap();
        for user in ["alice", "bob", "carol"] {
            let count = copies.remove(&(number, user.to_owned())).unwrap_or(0);
            let (least, most) = match fate {
                _ if !message.users.contains(&user) => (0, 0),
                Fate::Acknowledged => (1, 1),
                Fate::Handed | Fate::Refused(_) if ledger.power_went => (0, 1),
                Fate::Handed | Fate::Refused(_) | Fate::Draft => (0, 0),
            };
            if !(least..=most).contains(&count) {
                return Err(format!(
                    "{fate:?} message {number} is {count} times in the mailbox of {user}"
                ));
            }
        }
    }
    Ok(())
}

/// One run of the workload with the power cut at a step; whether there was such a step.
fn run_until(disk: &SimDisk, cut: usize) -> (Ledger, bool) {
    let mut ledger = Ledger::default();
    disk.cut_at(cut);
    if let Some(mut machine) = Machine::boot(disk, 1) {
        workload(&mut machine, &mut ledger);
        if !disk.is_off() {
            machine.finish();
        }
    }
    ledger.power_went = disk.is_off();
    let cut = ledger.power_went;
    (ledger, cut)
}

fn survivals(step: usize) -> Vec<Survival> {
    let mut all = vec![Survival::Nothing, Survival::Everything];
    let seeds = (0..SEEDS).map(|number| Survival::Some(step as u64 * 1000 + number));
    all.extend(seeds);
    all
}

/// Cuts the power at every step with every survival; what went wrong.
fn cut_everywhere(ignore: Option<Ignore>, most: usize) -> Vec<String> {
    cut_everywhere_on(new_disk, ignore, most)
}

/// The same on another disk than the usual one.
fn cut_everywhere_on(
    new_disk: impl Fn() -> SimDisk,
    ignore: Option<Ignore>,
    most: usize,
) -> Vec<String> {
    let mut broken = Vec::new();
    for step in 1.. {
        let before = new_disk();
        if let Some(ignore) = ignore {
            before.ignore(ignore);
        }
        let (ledger, cut) = run_until(&before, step);
        let last = before.trace().pop().unwrap_or_default();
        for survival in survivals(step) {
            let disk = before.fork();
            // The second time: what was recovered has to outlast a power cut too.
            let again = (survival != Survival::Everything).then_some((3, Survival::Nothing));
            for (run, survival) in [(2, survival)].into_iter().chain(again) {
                disk.reboot(survival);
                // Without a sync, only a promise that is broken counts.
                let recovered = recover(&disk, run).or_else(|error| match ignore {
                    Some(_) => Ok(()),
                    None => Err(error),
                });
                if let Err(what) = recovered.and_then(|()| check(&disk, &ledger)) {
                    broken.push(format!("cut at {step} ({last}), {survival:?}: {what}"));
                    break;
                }
            }
        }
        if broken.len() >= most || !cut {
            return broken;
        }
    }
    broken
}

#[test]
fn the_workload_does_what_it_is_for() {
    let disk = new_disk();
    let (ledger, _) = run_until(&disk, usize::MAX);
    check(&disk, &ledger).unwrap();
    let trace = disk.trace().join("\n");
    for shape in ["queue/", ".env", "001.seg", ".seg 0 4096"] {
        assert!(trace.contains(shape), "no {shape} in\n{trace}");
    }
    let acknowledged = ledger.messages.iter();
    let acknowledged =
        acknowledged.filter(|message| *message.fate.lock().unwrap() == Fate::Acknowledged);
    assert_eq!(acknowledged.count(), ledger.messages.len() - 2);
}

#[test]
fn another_host_name_after_a_power_cut_makes_no_second_copy() {
    let disk = new_disk();
    let mut ledger = Ledger::default();
    let mut machine = Machine::boot(&disk, 1).unwrap();
    machine.commit(&mut ledger, &["alice", "bob"], 300);
    machine.commit(&mut ledger, &["bob"], 15_000);
    machine.deliver();
    disk.reboot(Survival::Everything);
    recover(&disk, 2).unwrap();
    assert_eq!(check(&disk, &ledger), Ok(()));
    let copies = disk.files_below(MAIL);
    assert!(
        copies
            .iter()
            .all(|(path, _)| path.to_string_lossy().contains("host1"))
    );
}

#[test]
fn a_power_cut_at_any_step_loses_and_doubles_nothing() {
    let broken = cut_everywhere(None, 20);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// A disk that may lose pages while they are rewritten.
fn tearing_disk() -> SimDisk {
    let disk = new_disk();
    disk.tear_pages();
    disk
}

#[test]
fn a_power_cut_that_tears_rewritten_pages_loses_and_doubles_nothing() {
    BATCH_ALIGN.set(PAGE);
    let broken = cut_everywhere_on(tearing_disk, None, 20);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn where_batches_share_pages_a_torn_page_takes_acknowledged_mail() {
    BATCH_ALIGN.set(32);
    let broken = cut_everywhere_on(tearing_disk, None, 1);
    let is_lost =
        |what: &String| what.contains("Acknowledged message") && what.contains(" 0 times");
    assert!(broken.iter().any(is_lost), "{broken:?}");
}

/// A disk where two users' folders are file systems of their own.
fn disk_with_mounts() -> SimDisk {
    let mounts = ["/srv/mail/alice", "/srv/mail/bob/Maildir"];
    let disk = SimDisk::new(&["/srv", mounts[0], mounts[1]]);
    mounts.into_iter().for_each(|folder| disk.mount(folder));
    disk
}

#[test]
fn a_power_cut_loses_nothing_where_mailboxes_are_file_systems_of_their_own() {
    let broken = cut_everywhere_on(disk_with_mounts, None, 20);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    let disk = disk_with_mounts();
    run_until(&disk, usize::MAX);
    let trace = disk.trace();
    for folder in [
        "/srv/mail/alice/Maildir/new",
        "/srv/mail/bob/Maildir/new",
        "/srv/mail/carol/Maildir/new",
    ] {
        let sync = format!("sync FileSystem {folder}");
        assert!(trace.contains(&sync), "no {sync} in\n{}", trace.join("\n"));
    }
}

/// A disk of a kernel whose syncs of a file system hide that writes failed.
fn old_disk() -> SimDisk {
    let disk = SimDisk::new(&["/srv", MAIL]);
    disk.hide_failed_writes();
    disk
}

#[test]
fn writes_that_failed_are_found_where_the_kernel_hides_them_from_syncfs() {
    let broken = cut_everywhere_on(old_disk, None, 20);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    for step in 1.. {
        let disk = old_disk();
        disk.fail_at(step, io::ErrorKind::Other);
        let mut ledger = Ledger::default();
        if let Some(mut machine) = Machine::boot(&disk, 1) {
            workload(&mut machine, &mut ledger);
            machine.finish();
        }
        let Some(failed) = disk.trace().get(step - 1).cloned() else {
            break;
        };
        disk.reboot(Survival::Nothing);
        let held = recover(&disk, 2).and_then(|()| check(&disk, &ledger));
        assert_eq!(held, Ok(()), "a fault at {step} ({failed})");
    }
}

#[test]
fn a_kill_at_any_step_and_a_power_cut_later_lose_and_double_nothing() {
    let mut broken = Vec::new();
    for step in 1.. {
        let before = new_disk();
        let (mut ledger, cut) = run_until(&before, step);
        let last = before.trace().pop().unwrap_or_default();
        let handed = ledger.messages.len();
        for survival in survivals(step) {
            let disk = before.fork();
            ledger.messages.truncate(handed);
            disk.restart();
            let_hours_pass(&disk);
            let mut result = match Machine::boot(&disk, 2) {
                None => Err("the spool does not open".to_owned()),
                Some(mut machine) => {
                    // Some go on, some are cut off again before they could finish.
                    machine.commit(&mut ledger, &["alice"], 600);
                    if step % 2 == 0 {
                        machine.finish();
                    }
                    Ok(())
                }
            };
            for (run, survival) in [(3, survival), (4, Survival::Nothing)] {
                disk.reboot(survival);
                result = result
                    .and_then(|()| recover(&disk, run))
                    .and_then(|()| check(&disk, &ledger));
            }
            if let Err(what) = result {
                broken.push(format!("killed at {step} ({last}), {survival:?}: {what}"));
            }
        }
        if !cut {
            break;
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_second_power_cut_while_recovering_loses_and_doubles_nothing() {
    let mut broken = Vec::new();
    for step in (1..).step_by(23) {
        let mut last_cut = true;
        for second in (1..).step_by(5) {
            let disk = new_disk();
            let (ledger, cut) = run_until(&disk, step);
            last_cut = cut;
            let seed = (step * 1000 + second) as u64;
            disk.reboot(Survival::Some(seed));
            let_hours_pass(&disk);
            disk.cut_at(second);
            if let Some(mut machine) = Machine::boot(&disk, 2) {
                machine.finish();
            }
            let cut_again = disk.is_off();
            disk.reboot(Survival::Some(seed + 1));
            if let Err(what) = recover(&disk, 3).and_then(|()| check(&disk, &ledger)) {
                broken.push(format!("cut at {step}, then {second}, seed {seed}: {what}"));
            }
            if !cut_again {
                break;
            }
        }
        if !last_cut {
            break;
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_disk_fault_while_recovering_loses_and_doubles_nothing() {
    let mut broken = Vec::new();
    for step in (1..).step_by(17) {
        let before = new_disk();
        let (ledger, cut) = run_until(&before, step);
        before.reboot(Survival::Some(step as u64));
        let_hours_pass(&before);
        for fault in 1.. {
            let disk = before.fork();
            disk.fail_at(fault, io::ErrorKind::Other);
            if let Some(mut machine) = Machine::boot(&disk, 2) {
                machine.finish();
            }
            let failed = disk.trace().get(fault - 1).cloned();
            disk.reboot(Survival::Nothing);
            if let Err(what) = recover(&disk, 3).and_then(|()| check(&disk, &ledger)) {
                broken.push(format!(
                    "cut at {step}, fault at {fault} {failed:?}: {what}"
                ));
            }
            if failed.is_none() {
                break;
            }
        }
        if !cut {
            break;
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_disk_fault_and_a_power_cut_later_lose_and_double_nothing() {
    let mut broken = Vec::new();
    'faults: for fault in 1.. {
        for later in [2, 19, 83] {
            let disk = new_disk();
            disk.fail_at(fault, io::ErrorKind::Other);
            let (ledger, _) = run_until(&disk, fault + later);
            let failed = disk.trace().get(fault - 1).cloned();
            let Some(failed) = failed else { break 'faults };
            let seed = (fault * 1000 + later) as u64;
            disk.reboot(Survival::Some(seed));
            if let Err(what) = recover(&disk, 2).and_then(|()| check(&disk, &ledger)) {
                let place = format!("fault at {fault} ({failed}), cut {later} later, seed {seed}");
                broken.push(format!("{place}: {what}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Evicts a message with a file; its segment is to be let go, then the message is delivered.
fn evict_and_deliver(disk: &SimDisk) -> Ledger {
    let mut ledger = Ledger::default();
    let Some(mut machine) = Machine::boot(disk, 1) else {
        return ledger;
    };
    disk.block(Some("/srv/mail/carol"));
    machine.commit(&mut ledger, &["carol"], 15_000);
    for _ in 0..4 {
        machine.commit(&mut ledger, &["bob"], 3500);
    }
    machine.deliver();
    machine.checkpoint();
    disk.block(None);
    let later = machine.later(1);
    machine.deliverer.step(later);
    machine.checkpoint();
    ledger.power_went = disk.is_off();
    ledger
}

#[test]
fn a_record_whose_file_was_finished_in_the_queue_does_not_hold_up_the_log() {
    let disk = new_disk();
    evict_and_deliver(&disk);
    let trace = disk.trace();
    let is_header = |step: &&String| step.contains("000.seg 0 4096");
    let fault = trace.iter().filter(is_header).nth(1).unwrap();
    let fault = trace.iter().rposition(|step| step == fault).unwrap() + 1;
    let mut broken = Vec::new();
    for cut in fault + 1.. {
        let before = new_disk();
        before.fail_at(fault, io::ErrorKind::Other);
        before.cut_at(cut);
        let ledger = evict_and_deliver(&before);
        for survival in survivals(cut) {
            let disk = before.fork();
            disk.reboot(survival);
            if let Err(what) = recover(&disk, 2).and_then(|()| check(&disk, &ledger)) {
                broken.push(format!("cut at {cut}, {survival:?}: {what}"));
            }
        }
        if !ledger.power_went {
            break;
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_disk_fault_at_any_step_refuses_in_kind_and_loses_nothing() {
    let mut broken = Vec::new();
    for (kind, want) in [
        (io::ErrorKind::StorageFull, Refusal::NoSpace),
        (io::ErrorKind::Other, Refusal::Failure),
    ] {
        for step in 1.. {
            let disk = new_disk();
            disk.fail_at(step, kind);
            let mut ledger = Ledger::default();
            if let Some(mut machine) = Machine::boot(&disk, 1) {
                workload(&mut machine, &mut ledger);
                machine.finish();
            }
            let trace = disk.trace();
            let Some(failed) = trace.get(step - 1) else {
                break;
            };
            for refusal in &ledger.refused {
                if *refusal != want {
                    broken.push(format!("{kind:?} at {step} ({failed}): {refusal:?}"));
                }
            }
            // Once with the machine running on, once with the power going at the end.
            let mut result = check(&disk, &ledger);
            for (boot, survival) in [(2, Survival::Nothing), (3, Survival::Everything)] {
                disk.reboot(survival);
                result = result
                    .and_then(|()| recover(&disk, boot))
                    .and_then(|()| check(&disk, &ledger));
            }
            if let Err(what) = result {
                broken.push(format!("{kind:?} at {step} ({failed}): {what}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_disk_that_fails_for_a_while_refuses_in_kind_and_mends_by_itself() {
    let mut broken = Vec::new();
    for (kind, want) in [
        (io::ErrorKind::StorageFull, Refusal::NoSpace),
        (io::ErrorKind::Other, Refusal::Failure),
    ] {
        for step in 1.. {
            let disk = new_disk();
            let mut ledger = Ledger::default();
            let Some(mut machine) = boot_before(&disk, step, kind) else {
                continue;
            };
            workload(&mut machine, &mut ledger);
            let failed = disk.trace().get(step - 1).cloned();
            let Some(failed) = failed else { break };
            let place = format!("{kind:?} from {step} ({failed}) on");
            let fits = ledger.refused.iter().all(|refusal| *refusal == want);
            if !fits {
                broken.push(format!("{place}: refused with {:?}", ledger.refused));
            }
            disk.heal();
            machine.finish();
            machine.commit(&mut ledger, &["alice"], 300);
            let last = ledger.messages.last().unwrap();
            let last = *last.fate.lock().unwrap();
            if last != Fate::Acknowledged {
                broken.push(format!("{place}: after it, {last:?}"));
            }
            machine.finish();
            let mut result = check(&disk, &ledger);
            disk.reboot(Survival::Nothing);
            result = result
                .and_then(|()| recover(&disk, 2))
                .and_then(|()| check(&disk, &ledger));
            if let Err(what) = result {
                broken.push(format!("{place}: {what}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Starts on a disk that fails from a step on; `None` when that is part of the start.
fn boot_before(disk: &SimDisk, step: usize, kind: io::ErrorKind) -> Option<Machine> {
    disk.fail_from(step, kind);
    Machine::boot(disk, 1)
}

/// Fills two segments, lets them go, and reads the mail that was in them; then the power goes.
fn read_released_mail(ignore: Option<Ignore>) -> Result<(), String> {
    let disk = new_disk();
    let mut ledger = Ledger::default();
    let mut machine = Machine::boot(&disk, 1).unwrap();
    for _ in 0..4 {
        machine.commit(&mut ledger, &["alice"], 4000);
    }
    machine.commit(&mut ledger, &["bob"], 4000);
    if let Some(ignore) = ignore {
        disk.ignore(ignore);
    }
    machine.deliver();
    let now = machine.start;
    machine.deliverer.checkpoint(now);
    machine.read_mail(&mut ledger, "alice");
    assert_eq!(ledger.taken.len(), 4);
    disk.reboot(Survival::Nothing);
    recover(&disk, 2).and_then(|()| check(&disk, &ledger))
}

#[test]
fn read_mail_does_not_come_again_once_its_segment_was_let_go() {
    read_released_mail(None).unwrap();
}

#[test]
fn without_the_sync_of_a_released_header_read_mail_comes_again() {
    let ignore: Ignore = |call| is_file(call, "/srv/spool/log", ".seg") && call.start;
    let broken = read_released_mail(Some(ignore)).unwrap_err();
    assert!(broken.contains("2 times"), "{broken}");
}

fn is_file(call: &SyncCall<'_>, folder: &str, end: &str) -> bool {
    let path = call.path.to_str().unwrap_or_default();
    call.what == Synced::File && path.starts_with(folder) && path.ends_with(end)
}

fn is_folder(call: &SyncCall<'_>, end: &str) -> bool {
    call.what == Synced::Folder && call.path.ends_with(end)
}

fn is_file_system(call: &SyncCall<'_>, folder: &str) -> bool {
    call.what == Synced::FileSystem && call.path.starts_with(folder)
}

#[test]
fn every_sync_is_needed() {
    let rows: &[(&str, Ignore)] = &[
        ("records", |call| {
            is_file(call, SPOOL, ".seg") && !call.start
        }),
        ("a message file", |call| is_file(call, SPOOL, ".eml")),
        ("the names in queue/", |call| is_folder(call, "queue")),
        ("the names in log/", |call| is_folder(call, "log")),
        ("what a start finds", |call| {
            is_file_system(call, SPOOL) && !call.path.ends_with("queue")
        }),
        ("what is moved to queue/", |call| {
            is_file_system(call, SPOOL) && call.path.ends_with("queue")
        }),
        ("a copy", |call| is_file(call, MAIL, "")),
        ("the names in new/", |call| is_folder(call, "new")),
        ("many copies, and folders", |call| {
            is_file_system(call, MAIL)
        }),
    ];
    std::thread::scope(|scope| {
        for (what, ignore) in rows {
            scope.spawn(move || {
                let broken = cut_everywhere(Some(*ignore), 1);
                assert!(!broken.is_empty(), "the sync of {what} is not needed");
            });
        }
    });
}

const SPOOL: &str = "/srv/spool";
const MAIL: &str = "/srv/mail";
const PAGE: u32 = 4096;

thread_local! {
    /// At multiples of what batches begin. Small segments are full sooner where that is not a page.
    static BATCH_ALIGN: Cell<u32> = const { Cell::new(512) };
}

/// Random survivals per step.
const SEEDS: u64 = 2;
