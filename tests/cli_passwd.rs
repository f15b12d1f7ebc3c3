//! `gatepost passwd` from outside.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use gatepost::config;
use gatepost::directory::{Directory, LoginOutcome};
use gatepost::sys::lock::ChangeLock;

use support::{TempFolder, gatepost};

fn site() -> TempFolder {
    let folder = TempFolder::new("passwd");
    let ini = "[server]\nhostname = here.example\nuser = root\n";
    fs::write(folder.path().join("f.ini"), ini).unwrap();
    folder
}

/// Runs `passwd` with this standard input; gives the exit code and standard error.
fn passwd(folder: &TempFolder, user: &str, input: &[u8]) -> (Option<i32>, String) {
    let mut child = gatepost()
        .args(["passwd", user, "--config", "f.ini"])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses the name never reads, so a broken pipe is no fault.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

fn accepts(folder: &TempFolder, login: &str, password: &str) -> bool {
    let settings = config::parse(&folder.path().join("f.ini")).unwrap();
    let outcome = Directory::new(&settings).verify(login, password.as_bytes());
    matches!(outcome, LoginOutcome::Accepted(_))
}

#[test]
fn a_password_is_set_changed_and_checked() {
    let folder = site();
    let users = folder.path().join("users");
    assert_eq!(passwd(&folder, "Alice", b"wonderland\n").0, Some(0));
    assert_eq!(
        fs::metadata(&users).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    assert!(accepts(&folder, "alice", "wonderland") && !accepts(&folder, "alice", "x"));
    assert_eq!(passwd(&folder, "bob", b"builder\r\nmore\n").0, Some(0));
    fs::set_permissions(&users, fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(passwd(&folder, "alice", "h\u{e9}llo".as_bytes()).0, Some(0));
    assert!(accepts(&folder, "ALICE@here.example", "h\u{e9}llo"));
    assert!(accepts(&folder, "bob", "builder") && !accepts(&folder, "alice", "wonderland"));
    assert_eq!(
        fs::metadata(&users).unwrap().permissions().mode() & 0o7777,
        0o640
    );
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        2,
        "nothing is left beside the file"
    );
}

#[test]
fn other_lines_and_further_fields_stay_to_the_octet() {
    let folder = site();
    let users = folder.path().join("users");
    let before = b"# caf\xe9\r\nbob:{PLAIN}x:1000::\r\n\nalice:{PLAIN}x:1:2::/home/alice";
    fs::write(&users, before).unwrap();
    assert_eq!(passwd(&folder, "alice", b"wonderland\n").0, Some(0));
    let after = fs::read(&users).unwrap();
    let kept = b"# caf\xe9\r\nbob:{PLAIN}x:1000::\r\n\nalice:{SCRAM-SHA-256}";
    assert!(after.starts_with(kept) && after.ends_with(b":1:2::/home/alice"));
}

#[test]
fn refused_input_leaves_the_file_alone() {
    let folder = site();
    let users = folder.path().join("users");
    fs::write(&users, "# mine\n").unwrap();
    let long = vec![b'x'; 513];
    let rows: &[(&str, &[u8], &str)] = &[
        ("alice", b"", "the password is empty"),
        ("alice", b"\n", "the password is empty"),
        ("alice", b"\r\n", "the password is empty"),
        ("alice", &long, "longer than 512 octets"),
        ("alice", b"a\0b\n", "not UTF-8 text"),
        ("alice", b"\xff\n", "not UTF-8 text"),
        ("../alice", b"x\n", "not a user's name"),
        ("alice@here.example", b"x\n", "not a user's name"),
        ("a:b", b"x\n", "not a user's name"),
    ];
    for (user, input, want) in rows {
        let (code, text) = passwd(&folder, user, input);
        assert_eq!(code, Some(64), "{user} {text}");
        assert!(text.contains(want), "{text}");
        assert_eq!(fs::read(&users).unwrap(), b"# mine\n");
    }
}

#[test]
fn only_the_configuration_has_to_parse() {
    let folder = site();
    fs::write(
        folder.path().join("f.ini"),
        "[server]\nuser = root\n[port:tls]\nstatus = enabled\n",
    )
    .unwrap();
    assert_eq!(
        passwd(&folder, "alice", b"x\n").0,
        Some(0),
        "a rule over several keys is no matter here"
    );
    fs::write(folder.path().join("f.ini"), "[server]\nusr = root\n").unwrap();
    let (code, text) = passwd(&folder, "alice", b"x\n");
    assert_eq!(code, Some(78));
    assert_eq!(
        text,
        "f.ini:2: [server] usr: there is no such key; did you mean \"user\"?\n"
    );
}

#[test]
fn twenty_at_once_leave_twenty_users() {
    let folder = site();
    let users: Vec<String> = (0..20).map(|number| format!("user{number}")).collect();
    std::thread::scope(|scope| {
        let runs: Vec<_> = users
            .iter()
            .map(|user| scope.spawn(|| passwd(&folder, user, b"wonderland\n")))
            .collect();
        for run in runs {
            let (code, text) = run.join().unwrap();
            assert_eq!(code, Some(0), "{text}");
        }
    });
    let file = fs::read_to_string(folder.path().join("users")).unwrap();
    let mut names: Vec<&str> = file
        .lines()
        .filter_map(|line| line.split(':').next())
        .collect();
    names.sort_unstable();
    let mut want: Vec<&str> = users.iter().map(String::as_str).collect();
    want.sort_unstable();
    assert_eq!(names, want);
    let left = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 2, "nothing is left beside the file");
}

#[test]
fn one_that_waits_too_long_says_so_and_changes_nothing() {
    let folder = site();
    let users = folder.path().join("users");
    fs::write(&users, "# mine\n").unwrap();
    let held = ChangeLock::of(&users, Duration::from_secs(1)).unwrap();
    let (code, text) = passwd(&folder, "alice", b"wonderland\n");
    drop(held);
    assert_eq!(code, Some(75), "{text}");
    assert!(text.contains("another command changes"), "{text}");
    assert_eq!(fs::read(&users).unwrap(), b"# mine\n");
}

/// The iterations of each user's password.
fn iterations(folder: &TempFolder) -> Vec<(String, u32)> {
    let file = fs::read_to_string(folder.path().join("users")).unwrap();
    let of_line = |line: &str| {
        let (name, secret) = line.split_once(":{SCRAM-SHA-256}").unwrap();
        let (count, _) = secret.split_once(',').unwrap();
        (name.to_owned(), count.parse().unwrap())
    };
    file.lines().map(of_line).collect()
}

fn passwd_with(folder: &TempFolder, user: &str, iterations: &str) -> (Option<i32>, String) {
    let mut child = gatepost()
        .args([
            "passwd",
            user,
            "--config",
            "f.ini",
            "--iterations",
            iterations,
        ])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(b"wonderland\n");
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), text)
}

#[test]
fn a_new_password_gets_the_iterations_of_the_file_unless_told_otherwise() {
    let folder = site();
    let last = |folder: &TempFolder| iterations(folder).pop().unwrap();
    assert_eq!(passwd(&folder, "first", b"wonderland\n").0, Some(0));
    let (_, chosen) = last(&folder);
    assert!(
        [1 << 14, 1 << 15, 1 << 16, 1 << 17].contains(&chosen),
        "{chosen}"
    );
    // What the file has wins over the speed of the machine.
    assert_eq!(passwd_with(&folder, "first", "15000").0, Some(0));
    assert_eq!(iterations(&folder), [("first".to_owned(), 15_000)]);
    assert_eq!(passwd(&folder, "second", b"wonderland\n").0, Some(0));
    assert_eq!(last(&folder), ("second".to_owned(), 15_000));
    assert_eq!(passwd_with(&folder, "third", "4096").0, Some(0));
    assert_eq!(passwd(&folder, "fourth", b"wonderland\n").0, Some(0));
    assert_eq!(last(&folder), ("fourth".to_owned(), 15_000));
    assert_eq!(passwd_with(&folder, "fifth", "0").0, Some(0));
    assert!(last(&folder).1 >= 1 << 14, "by the speed of the machine");
    // The key wins over the file, the option over the key.
    let ini = "[server]\nhostname = here.example\nuser = root\n[auth]\niterations = 20000\n";
    fs::write(folder.path().join("f.ini"), ini).unwrap();
    assert_eq!(passwd(&folder, "sixth", b"wonderland\n").0, Some(0));
    assert_eq!(last(&folder), ("sixth".to_owned(), 20_000));
    assert_eq!(passwd_with(&folder, "seventh", "4096").0, Some(0));
    assert_eq!(last(&folder), ("seventh".to_owned(), 4096));
    for user in ["first", "third", "sixth"] {
        assert!(accepts(&folder, user, "wonderland"), "{user}");
    }
    let before = fs::read(folder.path().join("users")).unwrap();
    for wrong in ["1", "4095", "10000001", "-1", "x", "04096"] {
        let (code, text) = passwd_with(&folder, "first", wrong);
        assert_eq!(code, Some(64), "{wrong}");
        let want =
            format!("--iterations: {wrong:?} is neither 0 nor a number from 4096 to 10000000");
        assert!(text.contains(&want), "{text}");
    }
    assert_eq!(fs::read(folder.path().join("users")).unwrap(), before);
}
