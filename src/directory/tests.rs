//! Logins and look-ups over a real users file in a folder of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::*;
use crate::config;
use crate::mail::{ForwardPath, Target};
use crate::sys::{clock, replace};

mod aliases;
mod changing;
mod scram;

const SECRET: &str = "$5$rounds=1000$saltstring$u7X0AzhtXz8OJGjmFxJZ3wsMNzDhLV1b8xwAnDZDcJ7";

/// A folder with a configuration and a users file, removed when dropped.
struct Site {
    folder: PathBuf,
}

impl Site {
    fn new(name: &str, users: Option<&str>, recipients: &str) -> (Self, Directory) {
        let id = std::process::id();
        let folder = std::env::temp_dir().join(format!("gatepost-directory-{name}-{id}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let ini = format!(
            "[server]\nhostname = mx.here.example\nlocal_domains = here.example, other.example\n\
             [recipients]\n{recipients}"
        );
        fs::write(folder.join("gatepost.ini"), ini).unwrap();
        let site = Self { folder };
        if let Some(users) = users {
            site.write(users);
        }
        let settings = config::parse(&site.folder.join("gatepost.ini")).unwrap();
        (site, Directory::new(&settings))
    }

    fn users(&self) -> PathBuf {
        self.folder.join("users")
    }

    fn write(&self, users: &str) {
        let new = replace::New {
            mode: 0o600,
            owner: None,
        };
        replace::replace(&self.users(), users.as_bytes(), new).unwrap();
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

thread_local! {
    static WORK: std::cell::RefCell<Vec<secret::Work>> = const { std::cell::RefCell::new(Vec::new()) };
    static MADE_UP: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// A password is compared with a secret that costs so much.
pub(super) fn note_work(work: secret::Work) {
    WORK.with_borrow_mut(|done| done.push(work));
}

/// Keys that nobody has are made.
pub(super) fn note_made_up() {
    MADE_UP.set(MADE_UP.get() + 1);
}

fn path(address: &str) -> ForwardPath {
    ForwardPath::parse_prefix(&format!("<{address}>"))
        .unwrap()
        .0
}

fn found(name: &str) -> Lookup {
    Lookup::Found(Found::one(Target::User(name.to_owned())))
}

fn secret(password: &str) -> String {
    secret::encode(password.as_bytes(), effort::FEWEST)
        .unwrap()
        .to_string()
}

#[test]
fn logins_are_names_or_local_addresses_in_any_case() {
    let users = format!("alice:{}\n", secret("wonderland"));
    let (_site, directory) = Site::new("logins", Some(&users), "");
    let accepted = LoginOutcome::Accepted("alice".to_owned());
    let rows = [
        ("alice", "wonderland", true),
        ("ALICE", "wonderland", true),
        ("Alice@Here.Example", "wonderland", true),
        ("alice@other.example", "wonderland", true),
        ("alice@outside.example", "wonderland", false),
        ("alice@", "wonderland", false),
        ("@here.example", "wonderland", false),
        ("alice@here.example@here.example", "wonderland", false),
        ("alice+x", "wonderland", false),
        ("postmaster", "wonderland", false),
        ("alice", "Wonderland", false),
        ("alice", "", false),
        ("", "", false),
    ];
    for (login, password, good) in rows {
        let want = if good {
            accepted.clone()
        } else {
            LoginOutcome::Refused
        };
        assert_eq!(
            directory.verify(login, password.as_bytes()),
            want,
            "{login} {password}"
        );
        if good {
            let accepted = LoginOutcome::Accepted("alice".to_owned());
            assert_eq!(directory.login_by_name(login), accepted, "{login}");
        }
    }
}

#[test]
fn recipients_are_found_whole_first_then_without_their_detail() {
    let users = format!("alice:{SECRET}\nbob:{SECRET}\nalice+work:{SECRET}\nпётр:{SECRET}\n");
    let (_site, directory) = Site::new("whole", Some(&users), "");
    let rows = [
        ("alice@here.example", found("alice")),
        ("ALICE@here.example", found("alice")),
        ("alice+x@here.example", found("alice")),
        ("alice+work@here.example", found("alice+work")),
        ("alice+work+x@here.example", found("alice")),
        ("bob+@here.example", found("bob")),
        ("Пётр@here.example", found("пётр")),
        ("+x@here.example", Lookup::Unknown),
        ("alice-x@here.example", Lookup::Unknown),
        ("\"alice bob\"@here.example", Lookup::Unknown),
        ("carol@here.example", Lookup::Unknown),
        ("postmaster", found("postmaster")),
        ("PostMaster@here.example", found("postmaster")),
        ("postmaster+x@here.example", found("postmaster")),
    ];
    for (address, want) in rows {
        assert_eq!(directory.find(&path(address)), want, "{address}");
    }
}

#[test]
fn unknown_recipients_go_where_the_settings_say() {
    let users = format!("alice:{SECRET}\n");
    let rows = [
        ("", Lookup::Unknown),
        ("verify = no\n", found("postmaster")),
        ("catch_all = Alice\n", found("alice")),
        ("verify = no\ncatch_all = alice\n", found("alice")),
    ];
    for (recipients, want) in rows {
        let (_site, directory) = Site::new("unknown", Some(&users), recipients);
        assert_eq!(
            directory.find(&path("nobody@here.example")),
            want,
            "{recipients}"
        );
        assert_eq!(directory.find(&path("alice@here.example")), found("alice"));
    }
    let (_site, directory) = Site::new("unknown", Some(&users), "subaddress =\n");
    assert_eq!(
        directory.find(&path("alice+x@here.example")),
        Lookup::Unknown
    );
    let (_site, directory) = Site::new("unknown", Some(&users), "subaddress = -\n");
    assert_eq!(
        directory.find(&path("alice-x@here.example")),
        found("alice")
    );
}

#[test]
fn a_changed_file_counts_at_once_and_a_broken_one_changes_nothing() {
    let (site, directory) = Site::new("changes", Some(&format!("alice:{SECRET}\n")), "");
    let look = |address| directory.find(&path(address));
    assert_eq!(look("bob@here.example"), Lookup::Unknown);
    site.write(&format!("bob:{SECRET}\n"));
    assert_eq!(look("bob@here.example"), found("bob"));
    assert_eq!(look("alice@here.example"), Lookup::Unknown);
    site.write("bob:broken\n");
    assert_eq!(look("bob@here.example"), found("bob"));
    fs::remove_file(site.users()).unwrap();
    assert_eq!(look("bob@here.example"), found("bob"));
    site.write(&format!("carol:{SECRET}\n"));
    assert_eq!(look("carol@here.example"), found("carol"));
    assert_eq!(look("bob@here.example"), Lookup::Unknown);
}

#[test]
fn without_a_file_postmaster_is_there_and_others_come_later() {
    let (site, directory) = Site::new("missing", None, "");
    assert_eq!(
        directory.find(&path("alice@here.example")),
        Lookup::Unavailable
    );
    assert_eq!(
        directory.find(&ForwardPath::Postmaster),
        found("postmaster")
    );
    assert_eq!(directory.verify("alice", b"x"), LoginOutcome::Unavailable);
    assert_eq!(directory.login_by_name("alice"), LoginOutcome::Unavailable);
    site.write(&format!("alice:{SECRET}\n"));
    assert_eq!(directory.find(&path("alice@here.example")), found("alice"));
    let (_site, directory) = Site::new("unverified", None, "verify = no\n");
    assert_eq!(
        directory.find(&path("alice@here.example")),
        found("postmaster")
    );
    assert_eq!(directory.verify("alice", b"x"), LoginOutcome::Refused);
}

#[test]
fn an_unreadable_file_says_later() {
    let (site, directory) = Site::new(
        "unreadable",
        Some(&format!("alice:{SECRET}\n")),
        "verify = no\n",
    );
    fs::set_permissions(site.users(), fs::Permissions::from_mode(0o000)).unwrap();
    let settings = config::parse(&site.folder.join("gatepost.ini")).unwrap();
    let blind = Directory::new(&settings);
    // Root reads everything.
    if fs::read(site.users()).is_err() {
        assert_eq!(blind.find(&path("alice@here.example")), Lookup::Unavailable);
    }
    assert_eq!(directory.find(&path("alice@here.example")), found("alice"));
    assert!(Path::new(&site.users()).exists());
}

/// The cost is counted in work, not seconds, wherever it can be; here the clock has the last word, with
/// a wide margin: an early return would be some hundred times faster.
#[test]
fn unknown_logins_cost_what_known_ones_cost() {
    for users in [
        format!("alice:{}\nbob:{}\n", secret("a"), secret("b")),
        String::new(),
    ] {
        let (_site, directory) = Site::new("cost", Some(&users), "");
        // The quickest of several runs: other work on the machine only ever adds.
        let measure = |login: &str| {
            let runs = (0..5).map(|_| {
                let start = clock::monotonic();
                let _ = directory.verify(login, b"wrong");
                start.elapsed()
            });
            runs.min().unwrap()
        };
        let known = measure("alice");
        for unknown in ["carol", "alice@outside.example", ""] {
            let cost = measure(unknown);
            assert!(
                cost > known / 4 && cost < known * 4,
                "{unknown}: {cost:?}, {known:?}"
            );
        }
    }
}
