//! The spool and the deliverer as threads on a real disk.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is what it is for"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use gatepost::delivery::{Deliverer, DeliveryOptions};
use gatepost::mail::{Envelope, ForwardPath, Recipient, ReversePath, Target};
use gatepost::spool::{Refusal, Spool, SpoolError, SpoolOptions};
use gatepost::sys::disk::{Disk, RealDisk};

/// A folder of its own for each test, removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new(label: &str) -> Self {
        let name = format!("spool-{label}-{}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("mail")).unwrap();
        Self(path)
    }

    fn options(&self) -> SpoolOptions {
        let mut options = SpoolOptions::new(self.0.join("spool"), 7);
        options.free_space = 0;
        options
    }

    fn deliverer(&self, spool: &Arc<Spool>) -> Deliverer {
        let options = DeliveryOptions {
            mail_root: self.0.join("mail"),
            hostname: "a/b:c".to_owned(),
        };
        Deliverer::new(Arc::clone(spool), Arc::new(RealDisk), options)
    }

    fn mail(&self, user: &str) -> Vec<String> {
        let new = self.0.join("mail").join(user).join("Maildir/new");
        let entries = fs::read_dir(new).unwrap();
        let mut mail: Vec<_> = entries
            .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
            .collect();
        mail.sort();
        mail
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn open(options: SpoolOptions) -> Result<Arc<Spool>, SpoolError> {
    Spool::open(Arc::new(RealDisk) as Arc<dyn Disk>, options).map(Arc::new)
}

fn envelope(user: &str) -> Envelope {
    let forward_path = format!("<{user}@here.example>");
    Envelope {
        reverse_path: ReversePath::Null,
        recipients: vec![Recipient {
            forward_path: ForwardPath::parse_prefix(&forward_path).unwrap().0,
            target: Target::User(user.to_owned()),
            notifications: Default::default(),
        }],
        eight_bit: false,
        smtputf8: false,
        notifications: Default::default(),
        client: [192, 0, 2, 1].into(),
        login: None,
    }
}

/// Sends one message and waits for its outcome.
fn send(spool: &Spool, user: &str, content: &str) -> Result<String, Refusal> {
    let mut draft = spool.draft(envelope(user), SystemTime::now())?;
    draft.write(content.as_bytes())?;
    let (tell, told) = channel();
    spool.commit(draft, Box::new(move |result| tell.send(result).unwrap()));
    told.recv()
        .unwrap()
        .map(|committed| committed.id().to_string())
}

fn text(number: usize, octets: usize) -> String {
    format!("Subject: {number}\r\n\r\n{}\r\n", "x".repeat(octets))
}

fn copy(number: usize, octets: usize) -> String {
    format!(
        "Return-Path: <>\n{}",
        text(number, octets).replace("\r\n", "\n")
    )
}

#[test]
fn many_clients_share_the_log_and_everything_arrives() {
    let folder = Folder::new("many");
    let mut options = folder.options();
    // Small enough that segments are reused and some content goes to files.
    (
        options.segment_octets,
        options.segments_max,
        options.memory_octets,
    ) = (64 << 10, 2, 64 << 10);
    let spool = open(options.clone()).unwrap();
    let committer = spool.start_committer().unwrap();
    let deliverer = folder.deliverer(&spool).start().unwrap();
    let ids = Mutex::new(BTreeSet::new());
    thread::scope(|scope| {
        for client in 0..6 {
            let (spool, ids) = (&spool, &ids);
            scope.spawn(move || {
                for message in 0..60 {
                    let number = client * 60 + message;
                    let id = send(spool, "alice", &text(number, number * 60)).unwrap();
                    ids.lock().unwrap().insert(id);
                }
            });
        }
    });
    spool.close();
    committer.join().unwrap();
    deliverer.join().unwrap();
    assert_eq!(ids.lock().unwrap().len(), 360);
    let mut want: Vec<_> = (0..360).map(|number| copy(number, number * 60)).collect();
    want.sort();
    assert!(
        folder.mail("alice") == want,
        "the Maildir holds exactly what was sent"
    );
    drop(spool);
    let again = open(options).unwrap();
    assert_eq!(again.undelivered(), 0);
    assert_eq!(
        fs::read_dir(folder.0.join("spool/queue")).unwrap().count(),
        0
    );
}

#[test]
fn a_spool_has_one_owner() {
    let folder = Folder::new("owner");
    let spool = open(folder.options()).unwrap();
    let second = open(folder.options()).err().unwrap();
    assert!(matches!(second, SpoolError::InUse(_)), "{second}");
    drop(spool);
    open(folder.options()).unwrap();
}

#[test]
fn names_are_maildir_names_and_files_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("names");
    let spool = open(folder.options()).unwrap();
    let committer = spool.start_committer().unwrap();
    let id = send(&spool, "alice", "a\r\n").unwrap();
    let mut deliverer = folder.deliverer(&spool);
    while deliverer.step(gatepost::delivery::Moment::now()) {}
    spool.close();
    committer.join().unwrap();
    let entry = fs::read_dir(folder.0.join("mail/alice/Maildir/new"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let name = entry.file_name().into_string().unwrap();
    assert!(name.contains(&format!(".Q{id}.a\\057b\\072c,S=")), "{name}");
    for (path, mode) in [
        ("spool/log", 0o700),
        ("spool/log/000.seg", 0o600),
        ("mail/alice/Maildir/new", 0o700),
    ] {
        let found = fs::metadata(folder.0.join(path))
            .unwrap()
            .permissions()
            .mode()
            & 0o777;
        assert_eq!(found, mode, "{path}");
    }
    assert_eq!(
        entry.metadata().unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn a_full_log_that_nobody_empties_refuses_after_the_patience() {
    let folder = Folder::new("full");
    let mut options = folder.options();
    (options.segment_octets, options.segments_max) = (16 << 10, 1);
    options.patience = Duration::from_millis(20);
    let spool = open(options).unwrap();
    let committer = spool.start_committer().unwrap();
    let outcomes: Vec<_> = (0..8)
        .map(|n| send(&spool, "alice", &text(n, 3000)).err())
        .collect();
    assert_eq!(outcomes.first(), Some(&None));
    assert_eq!(outcomes.last(), Some(&Some(Refusal::NoSpace)));
    spool.close();
    committer.join().unwrap();
    // Whoever empties it makes room, for what was accepted as for what is new.
    let mut deliverer = folder.deliverer(&spool);
    while deliverer.step(gatepost::delivery::Moment::now()) {}
    assert_eq!(
        folder.mail("alice").len(),
        outcomes.iter().filter(|o| o.is_none()).count()
    );
}
