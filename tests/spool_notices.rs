//! Senders are told: power cuts at every step between a refusal and what its sender hears of it.
//!
//! After one cut and a start, the sender of every acknowledged message has one notification for each
//! recipient that failed, or two, and never none; without a cut it is exactly one. The postmaster hears
//! of what has no sender. Those that are too many for one minute are told of together in the next one; what is
//! kept of them until then is their header sections.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is what it is for"
)]

#[path = "support/sim_disk.rs"]
mod sim_disk;

use std::collections::BTreeMap;
use std::io;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use gatepost::delivery::notice_queue::{Late, NOTICES_MAX_PER_SENDER, WINDOW};
use gatepost::delivery::{
    Deliverer, DeliveryOptions, Home, Moment, Notifier, NotifierRules, QueueRules,
};
use gatepost::mail::{
    Action, Envelope, ForwardPath, Mailbox, MessageId, MessageNotifications, Outcome, Progress,
    Reason, Recipient, RecipientNotifications, ReversePath, Target,
};
use gatepost::spool::{Attempts, Party, Settled, Spool, SpoolOptions};
use gatepost::sys::disk::Disk;
use sim_disk::{Ignore, SimDisk, Survival, Synced};

/// What was promised.
#[derive(Default)]
struct Ledger {
    /// The acknowledged messages: whether they have no sender, and to whom they went in vain.
    acknowledged: Mutex<BTreeMap<MessageId, (bool, Vec<String>)>>,
    /// Those that were handed over; where the commit was cut off they may be there or not.
    handed: Mutex<Vec<MessageId>>,
}

struct Machine {
    disk: SimDisk,
    spool: Arc<Spool>,
    deliverer: Deliverer,
    notifier: Arc<Notifier>,
    now: Moment,
}

fn envelope(from: &str, to: &[&str]) -> Envelope {
    let recipient = |to: &&str| Recipient {
        forward_path: ForwardPath::parse_prefix(&format!("<{to}>")).unwrap().0,
        target: match to.strip_suffix("@here.example") {
            Some(user) => Target::User(user.to_owned()),
            None => Target::Outside(Mailbox::parse(to).unwrap()),
        },
        notifications: RecipientNotifications::default(),
    };
    Envelope {
        reverse_path: ReversePath::parse_prefix(from).unwrap().0,
        recipients: to.iter().map(recipient).collect(),
        eight_bit: false,
        smtputf8: false,
        notifications: MessageNotifications::default(),
        client: [127, 0, 0, 1].into(),
        login: None,
    }
}

fn home(path: &ForwardPath) -> Home {
    match path {
        ForwardPath::Postmaster => Home::Here(vec![Target::User("postmaster".to_owned())]),
        ForwardPath::Mailbox(_) => Home::Here(vec![Target::User("sender".to_owned())]),
    }
}

/// Recipients there are refused with the message's record.
const REFUSED: &str = "@refused.example";

fn refused() -> Progress {
    Progress::Ended(Box::new(Outcome {
        action: Action::Failed,
        reason: Reason::reply("mx.there.example", "RCPT", 550, "5.1.1 nobody"),
    }))
}

impl Machine {
    fn boot(disk: &SimDisk, run: u64) -> Option<Self> {
        let mut options = SpoolOptions::new("/srv/spool".into(), run);
        (options.segment_octets, options.segments_max) = (32 * 1024, 3);
        options.memory_octets = 64 * 1024;
        // Pages would leave small segments room for a few batches only.
        options.batch_align = 512;
        let door: Arc<dyn Disk> = Arc::new(disk.clone());
        let spool = Arc::new(Spool::open(Arc::clone(&door), options).ok()?);
        // Closing, the committer refuses at once instead of waiting for a segment.
        spool.close();
        let rules = NotifierRules {
            hostname: "mx.here.example".to_owned(),
            queue: QueueRules::patient(vec![Duration::from_secs(60)]),
            has_smarthost: false,
            fullness: Arc::new(|_| None),
            find: Arc::new(home),
        };
        let notifier = Notifier::new(Arc::clone(&spool), rules, Arc::default());
        let notifier = Arc::new(notifier);
        let options = DeliveryOptions {
            mail_root: "/srv/mail".into(),
            hostname: "here.example".into(),
        };
        let deliverer = Deliverer::new(Arc::clone(&spool), door, options);
        Some(Self {
            disk: disk.clone(),
            deliverer: deliverer.with_notifier(Arc::clone(&notifier)),
            notifier,
            spool,
            now: Moment::now(),
        })
    }

    fn commit(&self, ledger: &Ledger, from: &str, to: &[&str], octets: usize) -> Option<MessageId> {
        // Some have ended before the message is there at all.
        let ended = to.iter().map(|to| match to.ends_with(REFUSED) {
            true => refused(),
            false => Progress::Due,
        });
        let ended = ended.collect();
        let mut draft = self
            .spool
            .draft_ended(envelope(from, to), ended, SystemTime::now())
            .ok()?;
        let id = draft.id();
        let text = format!("Subject: {octets}\r\n\r\n{}\r\n", "x".repeat(octets));
        draft.write(text.as_bytes()).ok()?;
        let is_null = from == "<>";
        let is_in_vain = |to: &&&str| to.ends_with("@there.example") || to.ends_with(REFUSED);
        let in_vain = to.iter().filter(is_in_vain);
        let in_vain = in_vain.map(|to| (*to).to_owned()).collect();
        ledger.handed.lock().unwrap().push(id);
        self.spool.commit_here(draft).ok()?;
        ledger
            .acknowledged
            .lock()
            .unwrap()
            .insert(id, (is_null, in_vain));
        Some(id)
    }

    /// The smarthost refuses these recipients for good, as the relay settles it.
    fn refuse(&self, id: MessageId, to: &[&str]) {
        let mut buffer = Vec::new();
        let Ok(stored) = self.spool.read(id, &mut buffer) else {
            return;
        };
        let mut progress = stored.progress.clone();
        for (recipient, progress) in stored.envelope.recipients.iter().zip(&mut progress) {
            let is_named = to.contains(&recipient.forward_path.to_string().as_str());
            if is_named && progress.is_due() {
                *progress = refused();
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
        let _ = self.spool.settle_carried(&mut settled);
        self.notifier.hand_over(id, Late::new(), self.now.steady);
    }

    /// Whoever may be told within this minute is.
    fn tell(&mut self) {
        while !self.disk.is_off() && self.notifier.step(self.now) {}
    }

    fn notify(&mut self) {
        self.tell();
        self.now.steady += WINDOW;
        self.now.wall += WINDOW;
    }

    fn deliver(&mut self) {
        while self.deliverer.step(self.now) {}
        self.deliverer.checkpoint(self.now);
        self.spool.commit_waiting();
    }
}

/// Mail that fails in the log, in files of its own, in part, twice, and without a sender.
fn workload(machine: &mut Machine, ledger: &Ledger) -> Option<()> {
    let (a, b, alice) = ("a@there.example", "b@there.example", "alice@here.example");
    let both = machine.commit(ledger, "<s@here.example>", &[alice, a, b], 900)?;
    machine.commit(
        ledger,
        "<s@here.example>",
        &["c@refused.example", alice],
        500,
    )?;
    machine.commit(ledger, "<s@here.example>", &["d@refused.example"], 9000)?;
    let null = machine.commit(ledger, "<>", &[a, alice], 700)?;
    let large = machine.commit(ledger, "<s@here.example>", &[a, b], 15_000)?;
    machine.refuse(both, &[a]);
    machine.deliver();
    machine.notify();
    machine.refuse(null, &[a]);
    machine.notify();
    machine.deliver();
    let late = machine.commit(ledger, "<s@here.example>", &[a], 2000)?;
    for number in 0..8 {
        machine.commit(ledger, "<s@here.example>", &[alice], 6000 + number)?;
        machine.deliver();
        if machine.disk.is_off() {
            return None;
        }
    }
    machine.refuse(both, &[b]);
    machine.refuse(large, &[a, b]);
    machine.refuse(late, &[a]);
    machine.notify();
    machine.deliver();
    Some(())
}

/// Mail that fails too often for one minute: in the log, in files, in part, and moved out of the log meanwhile.
fn burst(machine: &mut Machine, ledger: &Ledger) -> Option<()> {
    let (sender, a, alice) = ("<s@here.example>", "a@there.example", "alice@here.example");
    for number in 0..NOTICES_MAX_PER_SENDER {
        let to = format!("{number}@refused.example");
        machine.commit(ledger, sender, &[&to], 40)?;
    }
    machine.deliver();
    machine.tell();
    let large = machine.commit(ledger, sender, &[a], 15_000)?;
    machine.commit(ledger, sender, &["x@refused.example"], 5000)?;
    machine.commit(ledger, sender, &["y@refused.example", a], 3000)?;
    machine.refuse(large, &[a]);
    machine.deliver();
    machine.tell();
    for number in 0..6 {
        machine.commit(ledger, sender, &[alice], 7000 + number)?;
        machine.deliver();
        if machine.disk.is_off() {
            return None;
        }
    }
    machine.notify();
    machine.tell();
    machine.deliver();
    Some(())
}

/// Everybody who is due is refused, everybody who has to be told is told.
fn finish(machine: &mut Machine, ledger: &Ledger) -> Result<(), String> {
    for _ in 0..6 {
        machine.deliver();
        for id in ledger.handed.lock().unwrap().iter() {
            machine.refuse(*id, &["a@there.example", "b@there.example"]);
        }
        machine.notify();
        machine.deliver();
        if machine.spool.undelivered() == 0 {
            return Ok(());
        }
    }
    Err(format!("{} stay in the spool", machine.spool.undelivered()))
}

/// The texts in a mailbox.
fn notifications(disk: &SimDisk, user: &str) -> Vec<String> {
    let files = disk.files_below(&format!("/srv/mail/{user}/Maildir/new"));
    let texts = files.into_iter();
    texts
        .map(|(_, text)| String::from_utf8(text).unwrap())
        .collect()
}

/// Whether everybody was told, at most so often.
fn check(disk: &SimDisk, ledger: &Ledger, most: usize) -> Result<(), String> {
    let told = |user: &str, id: MessageId, to: &str| {
        let texts = notifications(disk, user);
        let reports = texts.iter().flat_map(|text| {
            assert!(text.trim_end().ends_with("--"), "{text}");
            text.split("multipart/report;").skip(1)
        });
        reports
            .filter(|text| text.contains(&format!(" as {id}.\n")))
            .filter(|text| text.contains(&format!("Final-Recipient: rfc822; {to}\n")))
            .filter(|text| text.contains("Subject: "))
            .count()
    };
    for (id, (is_null, in_vain)) in ledger.acknowledged.lock().unwrap().iter() {
        let (user, other) = match is_null {
            true => ("postmaster", "sender"),
            false => ("sender", "postmaster"),
        };
        for to in in_vain {
            let count = told(user, *id, to);
            if !(1..=most).contains(&count) || told(other, *id, to) != 0 {
                return Err(format!("{user} is told {count} times of {id} for {to}"));
            }
        }
    }
    Ok(())
}

fn new_disk() -> SimDisk {
    SimDisk::new(&["/srv"])
}

#[test]
fn without_a_cut_everybody_is_told_once() {
    let disk = new_disk();
    let ledger = Ledger::default();
    let mut machine = Machine::boot(&disk, 1).unwrap();
    workload(&mut machine, &ledger).unwrap();
    assert_eq!(ledger.acknowledged.lock().unwrap().len(), 14);
    assert!(disk.trace().join("\n").contains(".env"), "none was evicted");
    finish(&mut machine, &ledger).unwrap();
    check(&disk, &ledger, 1).unwrap();
}

/// What is done until the power is cut.
type Work = fn(&mut Machine, &Ledger) -> Option<()>;

/// Cuts the power at every step with some survivals; what went wrong, and how often somebody was told
/// twice.
fn cut_everywhere(work: Work, ignore: Option<Ignore>, most: usize) -> (Vec<String>, usize) {
    let (mut broken, mut twice) = (Vec::new(), 0);
    for step in 1.. {
        let before = new_disk();
        if let Some(ignore) = ignore {
            before.ignore(ignore);
        }
        before.cut_at(step);
        let ledger = Ledger::default();
        if let Some(mut machine) = Machine::boot(&before, 1) {
            let _ = work(&mut machine, &ledger);
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
                Some(mut machine) => finish(&mut machine, &ledger)
                    .and_then(|()| check(&disk, &ledger, 2))
                    .map(|()| twice += usize::from(check(&disk, &ledger, 1).is_err())),
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
    (broken, twice)
}

#[test]
fn a_power_cut_at_any_step_leaves_nobody_untold_and_nobody_told_three_times() {
    for work in [workload as Work, burst] {
        let (broken, twice) = cut_everywhere(work, None, 10);
        assert!(broken.is_empty(), "{}", broken.join("\n"));
        // The cuts do meet the window between a notification and the end of its recipients.
        assert!(twice > 0);
    }
}

#[test]
fn the_sync_of_a_notification_is_needed() {
    for work in [workload as Work, burst] {
        let (broken, _) = cut_everywhere(
            work,
            Some(|call| {
                let path = call.path.to_str().unwrap_or_default();
                call.what == Synced::File && path.ends_with(".seg") && !call.start
            }),
            1,
        );
        assert!(!broken.is_empty(), "it is not");
    }
}

#[test]
fn every_sync_of_what_is_cut_is_needed() {
    let ignored: [Ignore; 3] = [
        |call| call.what == Synced::File && call.path.to_string_lossy().ends_with("header.new"),
        |call| {
            let path = call.path.to_string_lossy();
            call.what == Synced::File && path.ends_with(".new") && !path.contains("header")
        },
        |call| call.what == Synced::Folder && call.path.ends_with("queue") && !call.start,
    ];
    for (number, ignore) in ignored.into_iter().enumerate() {
        let (broken, _) = cut_everywhere(burst, Some(ignore), 1);
        assert!(!broken.is_empty(), "{number} is not");
    }
}

#[test]
fn a_disk_fault_at_any_step_leaves_nobody_untold() {
    for work in [workload as Work, burst] {
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::Other] {
            fault_everywhere(work, kind);
        }
    }
}

fn fault_everywhere(work: Work, kind: io::ErrorKind) {
    for step in 1.. {
        let disk = new_disk();
        disk.fail_at(step, kind);
        let ledger = Ledger::default();
        let Some(mut machine) = Machine::boot(&disk, 1) else {
            continue;
        };
        let whole = work(&mut machine, &ledger).is_some();
        let is_past = step > disk.steps();
        let checked = finish(&mut machine, &ledger).and_then(|()| check(&disk, &ledger, 2));
        assert_eq!(
            checked,
            Ok(()),
            "{kind:?} at {step}: {:?}",
            disk.trace().get(step - 1)
        );
        if is_past {
            assert!(whole);
            break;
        }
    }
}

#[test]
fn one_sender_gets_a_few_notifications_a_minute_and_the_rest_later_in_one() {
    let disk = new_disk();
    let ledger = Ledger::default();
    let mut machine = Machine::boot(&disk, 1).unwrap();
    let most = NOTICES_MAX_PER_SENDER as usize;
    for number in 0..most + 5 {
        let id = machine.commit(&ledger, "<s@here.example>", &["a@there.example"], number);
        machine.refuse(id.unwrap(), &["a@there.example"]);
    }
    machine.notify();
    machine.deliver();
    assert_eq!(notifications(&disk, "sender").len(), most);
    assert_eq!(machine.spool.undelivered(), 5);
    assert_eq!(machine.notifier.held_back(), 5);
    machine.notify();
    machine.deliver();
    let told = notifications(&disk, "sender");
    assert_eq!((told.len(), machine.spool.undelivered()), (most + 1, 0));
    assert_eq!(machine.notifier.held_back(), 0);
    let joined = told.iter().filter(|text| text.contains("multipart/mixed;"));
    let joined: Vec<_> = joined.collect();
    assert_eq!(joined.len(), 1);
    assert!(joined[0].contains("It tells of 5 messages at once.\n"));
    check(&disk, &ledger, 1).unwrap();
    read_by_python(joined[0], 5);
}

/// Python's `email` finds so many whole reports in it, each about one message.
fn read_by_python(text: &str, count: usize) {
    let script = "import email, sys\n\
        whole = email.message_from_string(sys.argv[1])\n\
        every = list(whole.walk())\n\
        assert not any(part.defects for part in every)\n\
        reports = [p for p in every if p.get_content_type() == 'multipart/report']\n\
        for report in reports:\n    \
            text, status, returned = report.get_payload()\n    \
            message, recipient = status.get_payload()\n    \
            assert message['Arrival-Date'] and recipient['Status'] == '5.1.1'\n    \
            assert returned.get_content_type() == 'text/rfc822-headers'\n\
        print(len(reports))\n";
    let output = Command::new("python3").args(["-c", script, text]).output();
    let Ok(output) = output else {
        eprintln!("SKIPPED: there is no python3");
        return;
    };
    let (said, errors) = (output.stdout, String::from_utf8_lossy(&output.stderr));
    assert_eq!(
        String::from_utf8_lossy(&said).trim(),
        count.to_string(),
        "{errors}"
    );
}

#[test]
fn of_what_is_told_later_the_spool_keeps_the_header_section_alone() {
    let disk = new_disk();
    let ledger = Ledger::default();
    let mut machine = Machine::boot(&disk, 1).unwrap();
    let (sender, a, alice) = ("<s@here.example>", "a@there.example", "alice@here.example");
    for number in 0..NOTICES_MAX_PER_SENDER {
        let to = format!("{number}@refused.example");
        machine.commit(&ledger, sender, &[&to], 40).unwrap();
    }
    machine.deliver();
    machine.tell();
    for octets in [7000, 15_000, 7001, 30_000] {
        let id = machine.commit(&ledger, sender, &[a], octets).unwrap();
        machine.deliver();
        machine.refuse(id, &[a]);
        machine.tell();
    }
    // One that somebody else may still get stays whole.
    let half = machine.commit(&ledger, sender, &["x@refused.example", a], 14_000);
    machine.deliver();
    machine.tell();
    for number in 0..8 {
        machine
            .commit(&ledger, "<>", &[alice], 7000 + number)
            .unwrap();
        machine.deliver();
    }
    let contents = disk.files_below("/srv/spool/queue");
    let contents: Vec<_> = contents
        .into_iter()
        .filter(|(path, _)| path.extension().is_some_and(|kind| kind == "eml"))
        .map(|(_, octets)| octets.len())
        .collect();
    assert_eq!(contents.len(), 5, "{contents:?}");
    let (whole, cut): (Vec<usize>, Vec<usize>) =
        contents.iter().partition(|octets| **octets > 14_000);
    assert_eq!((whole.len(), cut.len()), (1, 4), "{contents:?}");
    assert!(cut.iter().all(|octets| *octets < 20), "{contents:?}");
    machine.refuse(half.unwrap(), &[a]);
    finish(&mut machine, &ledger).unwrap();
    check(&disk, &ledger, 1).unwrap();
    let told = notifications(&disk, "sender");
    for octets in [7000, 15_000, 7001, 30_000, 14_000] {
        let header = format!("Subject: {octets}\n");
        assert!(told.iter().any(|text| text.contains(&header)), "{octets}");
    }
}

#[test]
fn what_is_finished_meanwhile_is_not_kept_for_its_header() {
    let disk = new_disk();
    let machine = Machine::boot(&disk, 1).unwrap();
    let to = ["alice@here.example"];
    let id = machine.commit(&Ledger::default(), "<s@here.example>", &to, 15_000);
    let id = id.unwrap();
    let mut settled = vec![Settled {
        id,
        party: Party::Deliverer,
        progress: vec![Progress::Done],
        local: Attempts::default(),
        lanes: Attempts::default(),
        is_left: false,
        in_doubt: false,
    }];
    machine.spool.settle(&mut settled).unwrap();
    machine.spool.keep_header(id).unwrap();
    machine.spool.commit_waiting();
    assert_eq!(machine.spool.undelivered(), 0);
    assert_eq!(disk.files_below("/srv/spool/queue"), []);
}
