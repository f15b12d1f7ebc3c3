//! The operator's commands on messages whose copies in Maildirs are fresh: power cuts and faults at every step.
//!
//! Every command comes before a message was delivered, between its delivery and the checkpoint, behind that, and
//! after a start. After each cut: no file in `new/` is torn, what was said to be deleted is gone, what was
//! said to be held is held, and all else that was acknowledged is in its Maildir, once.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is what it is for"
)]

#[path = "support/sim_disk.rs"]
mod sim_disk;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use gatepost::delivery::{
    Deliverer, DeliveryOptions, Home, Moment, Notifier, NotifierRules, QueueRules,
};
use gatepost::mail::{
    Envelope, ForwardPath, MessageId, MessageNotifications, Recipient, RecipientNotifications,
    ReversePath, Target,
};
use gatepost::spool::{Spool, SpoolError, SpoolOptions};
use gatepost::sys::disk::Disk;
use sim_disk::{SimDisk, Survival};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Hold,
    Release,
    Retry,
    Delete,
}

/// What was promised of one message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Promise {
    octets: usize,
    held: bool,
    deleted: bool,
    /// A command was cut off: it may be done or not.
    unsure: bool,
}

#[derive(Default)]
struct Ledger {
    accepted: Arc<Mutex<BTreeMap<MessageId, Promise>>>,
    /// Commands that were done.
    done: usize,
}

struct Machine {
    disk: SimDisk,
    spool: Arc<Spool>,
    deliverer: Deliverer,
    now: Moment,
}

fn envelope() -> Envelope {
    let recipient = |user: &str| Recipient {
        forward_path: ForwardPath::parse_prefix(&format!("<{user}@here.example>"))
            .unwrap()
            .0,
        target: Target::User(user.to_owned()),
        notifications: RecipientNotifications::default(),
    };
    Envelope {
        reverse_path: ReversePath::Null,
        recipients: USERS.iter().map(|user| recipient(user)).collect(),
        eight_bit: false,
        smtputf8: false,
        notifications: MessageNotifications::default(),
        client: [127, 0, 0, 1].into(),
        login: None,
    }
}

fn content(octets: usize) -> String {
    format!("Subject: {octets}\r\n\r\n{}\r\n", "x".repeat(octets))
}

impl Machine {
    fn boot(disk: &SimDisk, run: u64) -> Option<Self> {
        let mut options = SpoolOptions::new("/srv/spool".into(), run);
        (options.segment_octets, options.segments_max) = (16 * 1024, 3);
        options.memory_octets = 12 * 1024;
        let door: Arc<dyn Disk> = Arc::new(disk.clone());
        let spool = Arc::new(Spool::open(Arc::clone(&door), options).ok()?);
        spool.close();
        let options = DeliveryOptions {
            mail_root: "/srv/mail".into(),
            hostname: format!("host{run}.example"),
        };
        Some(Self {
            disk: disk.clone(),
            deliverer: Deliverer::new(Arc::clone(&spool), door, options),
            spool,
            now: Moment::now(),
        })
    }

    fn commit(&self, ledger: &Ledger, octets: usize) -> Option<MessageId> {
        let received = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let mut draft = self.spool.draft(envelope(), received).ok()?;
        let id = draft.id();
        for part in content(octets).as_bytes().chunks(7000) {
            draft.write(part).ok()?;
        }
        let accepted = Arc::clone(&ledger.accepted);
        self.spool.commit(
            draft,
            Box::new(move |answer| {
                if answer.is_ok() {
                    let promise = Promise {
                        octets,
                        ..Promise::default()
                    };
                    accepted.lock().unwrap().insert(id, promise);
                }
            }),
        );
        self.spool.commit_waiting();
        Some(id)
    }

    /// Does what the operator wants, as the console does it.
    fn command(&mut self, ledger: &mut Ledger, command: Command, id: MessageId) {
        if self.disk.is_off() {
            return;
        }
        let promise = |change: &dyn Fn(&mut Promise)| {
            if let Some(promise) = ledger.accepted.lock().unwrap().get_mut(&id) {
                change(promise);
            }
        };
        let was_unsure = ledger
            .accepted
            .lock()
            .unwrap()
            .get(&id)
            .is_some_and(|one| one.unsure);
        promise(&|promise| promise.unsure = true);
        let mut done = self.try_command(command, id);
        if matches!(done, Err(SpoolError::CopyNotDurable(_))) {
            self.spool.ask_for_copies(&[id]);
            self.deliverer.step(self.now);
            done = self.try_command(command, id);
        }
        if self.disk.is_off() {
            return;
        }
        ledger.done += usize::from(done.is_ok());
        promise(&|promise| {
            // What failed may have reached the disk.
            promise.unsure = match &done {
                Ok(_) => false,
                Err(SpoolError::NoSuchMessage(_)) => was_unsure,
                Err(_) => true,
            };
            match (command, &done) {
                (Command::Hold, Ok(_)) => promise.held = true,
                (Command::Release, Ok(_)) => promise.held = false,
                (Command::Delete, Ok(_)) => promise.deleted = true,
                _ => {}
            }
        });
    }

    fn try_command(&self, command: Command, id: MessageId) -> Result<bool, SpoolError> {
        match command {
            Command::Hold => self.spool.set_held(id, true),
            Command::Release => self.spool.set_held(id, false),
            Command::Retry => self.spool.make_due(id),
            Command::Delete => self.spool.delete(id).map(|()| true),
        }
    }

    fn deliver(&mut self) {
        while self.deliverer.step(self.now) {}
    }

    fn checkpoint(&mut self) {
        self.deliverer.checkpoint(self.now);
        self.spool.commit_waiting();
    }

    /// Until nothing is left but what is held.
    fn finish(&mut self) {
        for _ in 0..12 {
            self.now.steady += Duration::from_secs(36_000);
            self.now.wall += Duration::from_secs(36_000);
            self.deliver();
            self.checkpoint();
        }
    }
}

/// Each command at each moment in the life of a small and of a large message.
fn workload(machine: &mut Machine, ledger: &mut Ledger) -> Option<()> {
    use Command::{Delete, Hold, Release, Retry};
    let mut octets = 700;
    for commands in [&[Delete][..], &[Hold, Delete], &[Hold, Release], &[Retry]] {
        for large in [0, 14_000] {
            octets += 1;
            let before = machine.commit(ledger, octets + large)?;
            octets += 1;
            let fresh = machine.commit(ledger, octets + large)?;
            for command in commands {
                machine.command(ledger, *command, before);
            }
            machine.deliver();
            for command in commands {
                machine.command(ledger, *command, fresh);
            }
            octets += 1;
            let later = machine.commit(ledger, octets + large)?;
            machine.deliver();
            machine.checkpoint();
            for command in commands {
                machine.command(ledger, *command, later);
            }
            if machine.disk.is_off() {
                return None;
            }
        }
    }
    Some(())
}

/// The same commands in the run behind a kill, before anything was delivered again.
fn after_a_kill(disk: &SimDisk, ledger: &mut Ledger, run: u64) {
    let Some(mut machine) = Machine::boot(disk, run) else {
        return;
    };
    let ids: Vec<_> = ledger.accepted.lock().unwrap().keys().copied().collect();
    for (number, id) in ids.into_iter().enumerate() {
        let command = [Command::Delete, Command::Hold, Command::Retry][number % 3];
        machine.command(ledger, command, id);
    }
}

/// Whether the promises hold after a start.
fn check(disk: &SimDisk, ledger: &Ledger, run: u64) -> Result<(), String> {
    let whole_files = || {
        for (path, octets) in disk.files_below("/srv/mail") {
            if path.parent().is_some_and(|folder| folder.ends_with("new")) {
                let text = String::from_utf8(octets).unwrap_or_default();
                let number = text
                    .lines()
                    .nth(1)
                    .and_then(|line| line.strip_prefix("Subject: "));
                let number = number.and_then(|number| number.parse().ok()).unwrap_or(0);
                if text != format!("Return-Path: <>\n{}", content(number).replace('\r', "")) {
                    return Err(format!("{} is torn", path.display()));
                }
            }
        }
        Ok(())
    };
    let mut machine = Machine::boot(disk, run).ok_or("the spool does not open")?;
    machine.finish();
    whole_files()?;
    let files = disk.files_below("/srv/mail");
    for (id, promise) in ledger.accepted.lock().unwrap().iter() {
        let stored = machine.spool.read(*id, &mut Vec::new()).ok();
        let what = promise.octets;
        if promise.deleted && stored.is_some() {
            return Err(format!("message {what} was deleted and is there"));
        }
        if stored.as_ref().is_some_and(|stored| !stored.held) {
            return Err(format!("message {what} is not delivered"));
        }
        for user in USERS {
            let copies = files.iter().filter(|(path, _)| {
                let path = path.to_string_lossy();
                path.contains(&format!("/{user}/Maildir/new/")) && path.contains(&id.to_string())
            });
            let copies = copies.count();
            let fits = match (promise.unsure, promise.deleted || promise.held) {
                (true, _) => copies <= 1,
                // What was delivered before stays where it is.
                (false, true) => {
                    copies <= 1 && (promise.deleted || copies == 1 || stored.is_some())
                }
                (false, false) => copies == 1,
            };
            if !fits {
                return Err(format!(
                    "{copies} copies of message {what} for {user}: {promise:?}"
                ));
            }
        }
    }
    Ok(())
}

fn new_disk() -> SimDisk {
    SimDisk::new(&["/srv", "/srv/mail"])
}

fn survivals(step: usize) -> Vec<Survival> {
    let seeds = (0..3).map(|number| Survival::Some(step as u64 * 10 + number));
    [Survival::Nothing, Survival::Everything]
        .into_iter()
        .chain(seeds)
        .collect()
}

#[test]
fn the_workload_does_every_command() {
    let disk = new_disk();
    let mut ledger = Ledger::default();
    let mut machine = Machine::boot(&disk, 1).unwrap();
    workload(&mut machine, &mut ledger).unwrap();
    assert_eq!(ledger.accepted.lock().unwrap().len(), 24);
    assert!(ledger.done >= 14, "{}", ledger.done);
    drop(machine);
    disk.restart();
    check(&disk, &ledger, 2).unwrap();
}

#[test]
fn a_power_cut_behind_any_command_leaves_no_torn_copy() {
    let mut broken = Vec::new();
    for step in 1.. {
        let before = new_disk();
        before.cut_at(step);
        let mut ledger = Ledger::default();
        if let Some(mut machine) = Machine::boot(&before, 1) {
            let _ = workload(&mut machine, &mut ledger);
        }
        let cut = before.is_off();
        let last = before.trace().pop().unwrap_or_default();
        for survival in survivals(step) {
            let disk = before.fork();
            disk.reboot(survival);
            if let Err(what) = check(&disk, &ledger, 2) {
                broken.push(format!("cut at {step} ({last}), {survival:?}: {what}"));
            }
        }
        if broken.len() > 10 || !cut {
            break;
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn commands_in_the_run_behind_a_power_cut_leave_no_torn_copy() {
    let mut broken = Vec::new();
    for step in (1..).step_by(5) {
        let before = new_disk();
        before.cut_at(step);
        let mut ledger = Ledger::default();
        if let Some(mut machine) = Machine::boot(&before, 1) {
            let _ = workload(&mut machine, &mut ledger);
        }
        let cut = before.is_off();
        let last = before.trace().pop().unwrap_or_default();
        for survival in survivals(step) {
            let disk = before.fork();
            disk.reboot(survival);
            let kept = ledger.accepted.lock().unwrap().clone();
            after_a_kill(&disk, &mut ledger, 2);
            disk.reboot(Survival::Nothing);
            if let Err(what) = check(&disk, &ledger, 3) {
                broken.push(format!("cut at {step} ({last}), {survival:?}: {what}"));
            }
            *ledger.accepted.lock().unwrap() = kept;
        }
        if broken.len() > 10 || !cut {
            break;
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_fault_at_any_step_and_a_power_cut_at_the_end_leave_no_torn_copy() {
    let mut broken = Vec::new();
    for step in 1.. {
        let disk = new_disk();
        disk.fail_at(step, ErrorKind::Other);
        let mut ledger = Ledger::default();
        if let Some(mut machine) = Machine::boot(&disk, 1) {
            let _ = workload(&mut machine, &mut ledger);
        }
        let Some(failed) = disk.trace().get(step - 1).cloned() else {
            break;
        };
        disk.reboot(Survival::Nothing);
        if let Err(what) = check(&disk, &ledger, 2) {
            broken.push(format!("a fault at {step} ({failed}): {what}"));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Lets messages expire after a day.
fn expiring(machine: Machine) -> Machine {
    let rules = NotifierRules {
        hostname: "mx.here.example".to_owned(),
        queue: QueueRules {
            retry: vec![Duration::from_secs(60)],
            expire: Duration::from_secs(24 * 3600),
            delay_notice: None,
            dsn: false,
            internal: Arc::default(),
        },
        has_smarthost: false,
        fullness: Arc::new(|_| None),
        find: Arc::new(|_| Home::Elsewhere),
    };
    let notifier = Notifier::new(Arc::clone(&machine.spool), rules, Arc::default());
    Machine {
        deliverer: machine.deliverer.with_notifier(Arc::new(notifier)),
        ..machine
    }
}

#[test]
fn a_message_does_not_expire_while_a_copy_of_it_may_be_torn() {
    let run = |fault: usize| {
        let disk = new_disk();
        let mut ledger = Ledger::default();
        let mut machine = expiring(Machine::boot(&disk, 1).unwrap());
        machine.commit(&ledger, 900);
        machine.deliver();
        disk.fail_at(fault, ErrorKind::Other);
        machine.checkpoint();
        let trace = disk.trace();
        // Its mailboxes cannot be written for days.
        disk.block(Some("/srv/mail"));
        machine.finish();
        machine.finish();
        disk.block(None);
        machine.finish();
        ledger.done = machine.spool.undelivered();
        disk.reboot(Survival::Nothing);
        let failed = trace.get(fault - 1).cloned().unwrap_or_default();
        (check(&disk, &ledger, 2), failed, ledger.done)
    };
    let mut in_doubt = 0;
    for fault in 1.. {
        let (held, failed, left) = run(fault);
        assert_eq!(held, Ok(()), "a fault at {fault} ({failed})");
        assert_eq!(left, 0, "a fault at {fault} ({failed})");
        in_doubt += usize::from(failed.contains("sync") && failed.contains("/srv/mail"));
        if failed.is_empty() {
            break;
        }
    }
    assert!(in_doubt > 0);
}

const USERS: [&str; 2] = ["alice", "bob"];
