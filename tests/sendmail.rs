//! `gatepost sendmail` as scripts call it, and the drop folder against those who mean it ill.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

#[path = "support/fake_host.rs"]
mod fake_host;

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fake_host::{FakeHost, Setup};
use support::{Client, Said, Server, TempFolder, base_ini, gatepost, own_address};

/// The account `nobody`, which no mailbox belongs to.
const NOBODY: u32 = 65534;
/// The account `daemon`.
const DAEMON: u32 = 1;

fn run(command: &mut Command, input: &[u8]) -> Said {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    // Whoever refuses its arguments does not read.
    let _ = pipe.write_all(input);
    drop(pipe);
    Said::of(&child.wait_with_output().unwrap())
}

fn sendmail(config: &Path, words: &[&str], input: &[u8]) -> Said {
    let mut command = gatepost();
    command.arg("sendmail").arg("-C").arg(config).args(words);
    run(&mut command, input)
}

/// The same as another account; none where that cannot be done.
fn sendmail_as(uid: u32, config: &Path, words: &[&str], input: &[u8]) -> Said {
    let mut command = gatepost();
    command.arg("sendmail").arg("-C").arg(config).args(words);
    command.uid(uid).gid(uid);
    run(&mut command, input)
}

/// Whether another account can be taken on, and reaches the binary and the folder.
fn has_other_accounts(folder: &Path) -> bool {
    let mut command = gatepost();
    command.arg("--version").uid(NOBODY).gid(NOBODY);
    let runs = command.output().is_ok_and(|output| output.status.success());
    let mut command = Command::new("ls");
    command.arg("-d").arg(folder).uid(NOBODY).gid(NOBODY);
    let reaches = command.output().is_ok_and(|output| output.status.success());
    if !(runs && reaches) {
        eprintln!("SKIPPED: only root can take on another account, and that must reach the binary");
    }
    runs && reaches
}

fn drop_folder(server: &Server) -> PathBuf {
    server.folder.path().join("spool/drop")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let until = std::time::Instant::now() + support::PATIENCE;
    while !is_so() {
        assert!(std::time::Instant::now() < until, "{what}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// A configuration of a service that never ran.
fn unused(folder: &TempFolder, extra: &str) -> PathBuf {
    let config = folder.path().join("gatepost.ini");
    for name in ["users", "aliases"] {
        fs::copy(support::data(name), folder.path().join(name)).unwrap();
    }
    fs::write(&config, base_ini(own_address(), folder.path(), extra)).unwrap();
    config
}

#[test]
fn cron_hands_over_its_output() {
    let server = Server::start("");
    let words = [
        "-FCronDaemon",
        "-i",
        "-odi",
        "-oem",
        "-oi",
        "-t",
        "-f",
        "root",
    ];
    let input = b"From: root (Cron Daemon)\nTo: alice\nSubject: Cron <root@box> backup\n\n10%\r20%\n.\ndone\n";
    let said = sendmail(&server.config(), &words, input);
    assert_eq!((said.code, said.complaint.as_str()), (Some(0), ""));
    let mail = &server.wait_for_mail("alice", 1)[0];
    assert!(
        mail.starts_with("Return-Path: <root@here.example>\n"),
        "{mail}"
    );
    assert!(
        mail.contains("Received: by mx.here.example (gatepost, from userid 0)"),
        "{mail}"
    );
    assert!(
        mail.contains("\nMessage-ID: <") && mail.contains("\nDate: "),
        "{mail}"
    );
    assert!(mail.ends_with("\n\n10%\n20%\n.\ndone\n"), "{mail}");
    wait_until("the file is gone", || {
        names(&drop_folder(&server)).is_empty()
    });
}

#[test]
fn a_script_names_recipients_in_the_header_section_alone() {
    let server = Server::start("");
    let input = b"To: =?utf-8?q?Al=2C?= <alice@here.example>,\r\n nobody-list:;\r\nSubject: x\r\nFrom: web@site.example\r\nBcc: bob@here.example\r\n\r\nhi \xe9\r\n";
    let said = sendmail(
        &server.config(),
        &["-t", "-i", "-f", "web@site.example"],
        input,
    );
    assert_eq!(said.code, Some(0), "{said:?}");
    for user in ["alice", "bob"] {
        let mail = &server.wait_for_mail(user, 1)[0];
        assert!(
            mail.starts_with("Return-Path: <web@site.example>\n"),
            "{mail}"
        );
        assert!(!mail.contains("Bcc"), "{mail}");
        assert_eq!(mail.matches("\nFrom:").count(), 1, "{mail}");
    }
    let octets = fs::read(&server.new_mail("alice")[0]).unwrap();
    assert!(octets.ends_with(b"\n\nhi \xe9\n"));
}

#[test]
fn a_link_named_sendmail_is_the_command() {
    let server = Server::start("");
    let link = server.folder.path().join("sendmail");
    symlink(env!("CARGO_BIN_EXE_gatepost"), &link).unwrap();
    let mut command = Command::new(&link);
    command.arg("-C").arg(server.config());
    command.args([
        "-oi",
        "-bm",
        "-v",
        "-N",
        "never",
        "-R",
        "hdrs",
        "-B8BITMIME",
    ]);
    command.args(["-f", "bob@here.example", "--", "alice@here.example", "bob"]);
    let said = run(&mut command, b"Subject: x\n\nhello\n");
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.complaint.contains("left as"), "{said:?}");
    server.wait_for_mail("alice", 1);
    server.wait_for_mail("bob", 1);
    let mut command = Command::new(&link);
    let said = run(command.args(["-bs"]), b"");
    assert_eq!(said.code, Some(64), "{said:?}");
    assert!(said.complaint.contains("-bs is not served"), "{said:?}");
}

#[test]
fn what_is_wrong_is_said_with_its_code() {
    let folder = TempFolder::new("sendmail");
    let config = unused(&folder, "[limits]\nmessage_size = 64K\nrecipients = 3\n");
    let drop = folder.path().join("spool/drop");
    fs::create_dir_all(&drop).unwrap();
    let large = vec![b'x'; 70_000];
    let rows: [(&[&str], &[u8], i32, &str); 13] = [
        (&[], b"", 64, "a recipient is missing"),
        (&["-bp"], b"", 64, "-bp is not served"),
        (&["-bd"], b"", 64, "serve"),
        (&["-q15m"], b"", 64, "by itself"),
        (&["-Z", "alice"], b"", 64, "no option -Z"),
        (&["-f"], b"", 64, "needs a value"),
        (&["-t"], b"Subject: x\n\n", 64, "names no recipient"),
        (&["-t"], b"To: a b c\n\n", 65, "not an address"),
        (&["alice", "a@b@c d"], b"", 65, "not an address"),
        (&["alice"], &large, 65, "larger than 65536"),
        (&["a", "b", "c", "d"], b"", 65, "more than 3"),
        (&["alice", "nobody"], b"x\n", 67, "no user or alias"),
        (
            &["alice", "x@there.example"],
            b"x\n",
            69,
            "not pass mail on",
        ),
    ];
    for (words, input, code, text) in rows {
        let said = sendmail(&config, words, input);
        assert_eq!(said.code, Some(code), "{words:?} {said:?}");
        assert!(said.complaint.contains(text), "{words:?} {said:?}");
        assert_eq!(names(&drop), [""; 0], "{words:?}");
    }
    fs::remove_dir(&drop).unwrap();
    let said = sendmail(&config, &["alice"], b"x\n");
    assert_eq!(said.code, Some(69), "{said:?}");
    assert!(said.complaint.contains("never ran here"), "{said:?}");
}

#[test]
fn mail_left_while_the_service_is_down_is_delivered_once() {
    let mut server = Server::start("");
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    for number in 0..3 {
        let input = format!("Subject: number {number}\n\nx\n");
        let said = sendmail(&server.config(), &["alice"], input.as_bytes());
        assert_eq!(said.code, Some(0), "{said:?}");
    }
    let left = names(&drop_folder(&server));
    assert_eq!(left.len(), 3);
    server.restart();
    let mail = server.wait_for_mail("alice", 3);
    wait_until("the files are gone", || {
        names(&drop_folder(&server)).is_empty()
    });
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    server.restart();
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    assert_eq!(server.new_mail("alice").len(), 3);
    for (number, mail) in mail.iter().enumerate() {
        assert!(
            mail.contains(&format!("Subject: number {number}\n")),
            "{mail}"
        );
    }
}

/// Whoever can move another account's file must not make it that account's mail.
#[test]
fn a_file_that_was_moved_into_the_drop_folder_is_no_mail() {
    let mut server = Server::start("");
    if !has_other_accounts(server.folder.path()) {
        return;
    }
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    let folder = drop_folder(&server);
    // The folder gives new files its group, which is the service's and nobody's file would not have.
    chown(&folder, None, Some(DAEMON)).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o3733)).unwrap();
    for subject in ["made", "moved"] {
        let said = sendmail(
            &server.config(),
            &["alice"],
            format!("Subject: {subject}\n\nx\n").as_bytes(),
        );
        assert_eq!(said.code, Some(0), "{said:?}");
        if subject == "made" {
            continue;
        }
        // As it were after a rename(2) from elsewhere: with the group it was made with.
        let text = |name: &String| fs::read_to_string(folder.join(name)).unwrap();
        let moved = names(&folder)
            .into_iter()
            .find(|name| text(name).contains("moved"));
        chown(folder.join(moved.unwrap()), None, Some(NOBODY)).unwrap();
    }
    server.restart();
    let line = server.wait_for_event("drop_discarded");
    assert!(line.contains("it was moved here from elsewhere"), "{line}");
    assert!(server.wait_for_mail("alice", 1)[0].contains("made"));
    assert_eq!(names(&folder), Vec::<String>::new());
    assert_eq!(server.log_text().matches("event=picked_up").count(), 1);
}

#[test]
fn no_kill_loses_what_was_left() {
    const COUNT: usize = 20;
    let mut server = Server::start("");
    for number in 0..COUNT {
        let input = format!("Subject: number {number}.\n\nx\n");
        let said = sendmail(&server.config(), &["alice"], input.as_bytes());
        assert_eq!(said.code, Some(0), "{said:?}");
        if number % 4 == 3 {
            server.kill();
            server.restart();
        }
    }
    wait_until("every message arrives", || {
        let texts = server.new_mail("alice");
        let texts: Vec<_> = texts
            .iter()
            .filter_map(|file| fs::read_to_string(file).ok())
            .collect();
        (0..COUNT).all(|number| {
            let subject = format!("Subject: number {number}.\n");
            texts.iter().any(|text| text.contains(&subject))
        })
    });
}

#[test]
fn a_large_message_comes_whole() {
    let server = Server::start("[limits]\nmessage_size = 8M\n");
    let mut input = b"Subject: large\n\n".to_vec();
    for number in 0..100_000 {
        input.extend_from_slice(format!("line {number}\n").as_bytes());
    }
    let said = sendmail(&server.config(), &["-i", "alice"], &input);
    assert_eq!(said.code, Some(0), "{said:?}");
    let mail = &server.wait_for_mail("alice", 1)[0];
    assert!(mail.ends_with("\nline 99998\nline 99999\n"));
    assert_eq!(mail.matches("\nline ").count(), 100_000);
}

#[test]
fn mail_for_elsewhere_goes_to_the_smarthost() {
    let host = FakeHost::start(Setup::default());
    let server = Server::start(&format!(
        "[smarthost]\nhost = 127.0.0.1\nport = {}\ntls = none\n",
        host.address.port()
    ));
    let words = ["-f", "alice@here.example", "x@there.example"];
    let said = sendmail(&server.config(), &words, b"Subject: out\n\nx\n");
    assert_eq!(said.code, Some(0), "{said:?}");
    wait_until("the smarthost has it", || host.taken().len() == 1);
    let taken = &host.taken()[0];
    assert!(taken.mail.starts_with("<alice@here.example>"), "{taken:?}");
    assert!(taken.data.contains("Subject: out\r\n"), "{taken:?}");
}

#[test]
fn a_server_without_8bitmime_is_told_of_by_what_the_content_is() {
    let host = FakeHost::start(Setup {
        plain: vec!["SIZE 0"],
        ..Setup::default()
    });
    let mut server = Server::start(&format!(
        "[smarthost]\nhost = 127.0.0.1\nport = {}\ntls = none\n",
        host.address.port()
    ));
    let ascii = sendmail(&server.config(), &["a@there.example"], b"Subject: x\n\nx\n");
    let eight = "Subject: x\n\n\u{e4}\n".as_bytes();
    let eight = sendmail(&server.config(), &["b@there.example"], eight);
    // A client that says so of what is none.
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    client.command("MAIL FROM:<alice@here.example> BODY=8BITMIME", "250");
    client.command("RCPT TO:<c@there.example>", "250");
    client.command("DATA", "354");
    client.send(b"Subject: x\r\n\r\nx\r\n.\r\n");
    client.expect("250");
    assert_eq!((ascii.code, eight.code), (Some(0), Some(0)));
    let relayed = ["a", "b", "c"].map(|to| {
        let needle = format!(" to={to}@there.example smarthost=");
        let line = server.wait_for_log(&needle);
        let (_, qid) = line.split_once(" qid=").unwrap();
        qid.split(' ').next().unwrap().to_owned()
    });
    let log = server.log_text();
    let told = relayed.map(|qid| log.contains(&format!("event=eight_bit_undeclared qid={qid}")));
    assert_eq!(told, [false, true, false], "{log}");
    assert!(
        host.taken()
            .iter()
            .all(|taken| !taken.mail.contains("BODY"))
    );
}

#[test]
fn another_account_sends_as_itself_and_as_nobody_else() {
    let mut server = Server::start("[server]\nuser = daemon\n");
    if !has_other_accounts(server.folder.path()) {
        return;
    }
    let config = server.config();
    let folder = fs::metadata(drop_folder(&server)).unwrap();
    assert_eq!((folder.mode() & 0o7777, folder.uid()), (0o3733, DAEMON));
    let said = sendmail_as(NOBODY, &config, &["alice"], b"Subject: own\n\nx\n");
    assert_eq!(said.code, Some(0), "{said:?}");
    let mail = &server.wait_for_mail("alice", 1)[0];
    assert!(
        mail.starts_with("Return-Path: <nobody@here.example>\n"),
        "{mail}"
    );
    assert!(mail.contains("from userid 65534"), "{mail}");

    // The users file can be read here, so it is known at once.
    let words = ["-f", "bob@here.example", "alice"];
    let said = sendmail_as(NOBODY, &config, &words, b"x\n");
    assert_eq!(said.code, Some(77), "{said:?}");
    for from in ["boss@elsewhere.example", "<>", "NoBody@Here.Example"] {
        let said = sendmail_as(NOBODY, &config, &["-f", from, "alice"], b"x\n");
        assert_eq!(said.code, Some(0), "{from} {said:?}");
    }
    server.wait_for_mail("alice", 4);

    // Where the users cannot be read the service decides, and tells the account, not the one it named.
    let users = server.folder.path().join("users");
    chown(&users, Some(DAEMON), None).unwrap();
    fs::set_permissions(&users, Permissions::from_mode(0o600)).unwrap();
    let said = sendmail_as(NOBODY, &config, &words, b"Subject: forged\n\nx\n");
    assert_eq!(said.code, Some(0), "{said:?}");
    let told = &server.wait_for_mail("postmaster", 1)[0];
    assert!(told.contains("may not use this sender address"), "{told}");
    assert!(
        told.contains("The sender is <nobody@here.example>"),
        "{told}"
    );
    server.wait_for_event("drop_refused");

    // So with an unknown recipient beside a good one: the good one gets it, the sender is told.
    let words = ["-f", "", "alice", "no-such-user"];
    let said = sendmail_as(NOBODY, &config, &words, b"Subject: half\n\nx\n");
    assert_eq!(said.code, Some(0), "{said:?}");
    server.wait_for_mail("alice", 5);
    let told = server.wait_for_mail("postmaster", 2);
    let found = told
        .iter()
        .any(|mail| mail.contains("no-such-user@here.example"));
    assert!(found, "{told:?}");
    assert_eq!(server.new_mail("bob").len(), 0);
}

#[test]
fn nobody_lists_reads_or_removes_what_others_left() {
    let mut server = Server::start("[server]\nuser = daemon\n");
    if !has_other_accounts(server.folder.path()) {
        return;
    }
    server.terminate();
    server.wait();
    let said = sendmail(&server.config(), &["alice"], b"secret\n");
    assert_eq!(said.code, Some(0), "{said:?}");
    let drop = drop_folder(&server);
    let file = drop.join(&names(&drop)[0]);
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o640);
    assert_eq!(fs::metadata(&file).unwrap().gid(), DAEMON);
    for words in [
        vec!["ls", drop.to_str().unwrap()],
        vec!["cat", file.to_str().unwrap()],
        vec!["rm", "-f", file.to_str().unwrap()],
        vec![
            "ls",
            server.folder.path().join("spool/queue").to_str().unwrap(),
        ],
    ] {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).uid(NOBODY).gid(NOBODY);
        assert!(!command.output().unwrap().status.success(), "{words:?}");
    }
    assert!(file.exists());
}

/// Leaves a file as somebody who does not use our program.
fn leave(drop: &Path, name: &str, uid: u32, mode: u32, content: &[u8]) {
    let path = drop.join(name);
    fs::write(&path, content).unwrap();
    chown(&path, Some(uid), None).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn hostile_files_do_no_harm_and_good_ones_pass_between_them() {
    let mut server = Server::start("[server]\nuser = daemon\n[limits]\nmessage_size = 64K\n");
    if !has_other_accounts(server.folder.path()) {
        return;
    }
    server.terminate();
    server.wait();
    let drop = drop_folder(&server);
    let head = "gatepost-drop 1\nfrom nobody@here.example\nto alice@here.example\n";
    let good = |text: &str| format!("{head}content {}\n{text}", text.len());
    let secret = server.folder.path().join("secret");
    fs::write(&secret, good("Subject: stolen\r\n\r\n")).unwrap();
    chown(&secret, Some(DAEMON), None).unwrap();
    symlink(&secret, drop.join("0001-link")).unwrap();
    symlink("/dev/zero", drop.join("0002-zero")).unwrap();
    fs::hard_link(&secret, drop.join("0003-hard")).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(drop.join("0004-fifo"))
            .status()
            .unwrap()
            .success()
    );
    fs::create_dir_all(drop.join("0005-folder/inner")).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(drop.join("0006-socket"));
    leave(&drop, "0007-empty", NOBODY, 0o640, b"");
    leave(&drop, "0008-garbage", NOBODY, 0o666, &[0xff; 4096]);
    leave(
        &drop,
        "0009-hidden",
        NOBODY,
        0o000,
        good("x\r\n").as_bytes(),
    );
    let short = format!("{head}content 999\nx\r\n");
    leave(&drop, "0010-short", NOBODY, 0o644, short.as_bytes());
    let long = format!("{head}content 1\nx\r\n.\r\nMAIL FROM:<x>\r\n");
    leave(&drop, "0011-long", NOBODY, 0o644, long.as_bytes());
    let bare = good("x\n.\nMAIL FROM:<x@y>\n\r\n");
    leave(&drop, "0012-bare", NOBODY, 0o644, bare.as_bytes());
    leave(
        &drop,
        ".. \n\u{1b}[2J",
        NOBODY,
        0o644,
        good("Subject: name\r\n\r\n").as_bytes(),
    );
    leave(&drop, "0013-huge", NOBODY, 0o644, head.as_bytes());
    let huge = OpenOptions::new()
        .write(true)
        .open(drop.join("0013-huge"))
        .unwrap();
    huge.set_len(1 << 40).unwrap();
    let lines = "to alice@here.example\n".repeat(20_000);
    let many = format!("gatepost-drop 1\nfrom nobody@here.example\n{lines}content 0\n");
    leave(&drop, "0014-many", NOBODY, 0o644, many.as_bytes());
    let endless = format!("gatepost-drop 1\nfrom {}", "a".repeat(1 << 20));
    leave(&drop, "0015-endless", NOBODY, 0o644, endless.as_bytes());
    let hops = format!("{}\r\n", "Received: x\r\n".repeat(200));
    leave(&drop, "0016-hops", NOBODY, 0o644, good(&hops).as_bytes());
    let injected = "gatepost-drop 1\nfrom nobody@here.example\nto alice@here.example> NOTIFY=NEVER\ncontent 0\n";
    leave(&drop, "0017-injected", NOBODY, 0o644, injected.as_bytes());
    leave(
        &drop,
        "tmp-0018",
        NOBODY,
        0o644,
        good("Subject: unfinished\r\n\r\n").as_bytes(),
    );
    let large = format!("Subject: too large\r\n\r\n{}", "y\r\n".repeat(40_000));
    leave(&drop, "0019-large", NOBODY, 0o644, good(&large).as_bytes());
    leave(
        &drop,
        "9999-good",
        NOBODY,
        0o644,
        good("Subject: good\r\n\r\nx\r\n").as_bytes(),
    );

    server.restart();
    let mail = server.wait_for_mail("alice", 1);
    assert!(mail[0].contains("Subject: good\n"), "{mail:?}");
    let rest = ["0005-folder".to_owned(), "tmp-0018".to_owned()];
    wait_until("all that can go is gone", || names(&drop) == rest);
    // The sender of the one that is too large hears of it; nobody here, so the postmaster does.
    let told = &server.wait_for_mail("postmaster", 1)[0];
    assert!(told.contains("larger than this server takes"), "{told}");
    assert!(told.contains("Subject: too large"), "{told}");
    assert!(secret.exists());
    assert_eq!(server.new_mail("alice").len(), 1);
    let bad = names(&server.folder.path().join("spool/bad"));
    assert!(
        !bad.is_empty() && bad.iter().all(|name| name.starts_with("drop-")),
        "{bad:?}"
    );
    // It serves clients as before.
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO x", "250");
    client.message("alice@here.example", "Subject: by smtp\r\n\r\nx\r\n");
    server.wait_for_mail("alice", 2);
    assert!(!server.log_text().contains('\u{1b}'));
    std::mem::drop(socket);
}

#[test]
fn a_file_that_changes_while_it_is_read_is_taken_whole_or_not_at_all() {
    let server = Server::start("");
    let drop = drop_folder(&server);
    let head = "gatepost-drop 1\nfrom <>\nto alice@here.example\n";
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (stopping, folder) = (stop.clone(), drop.clone());
    let writer = std::thread::spawn(move || {
        let mut number = 0;
        while !stopping.load(std::sync::atomic::Ordering::SeqCst) {
            let name = folder.join(format!("{number:08}"));
            let text = "z\r\n".repeat(5_000);
            let head = head.replace("from <>", "from");
            let _ = fs::write(&name, format!("{head}content {}\n{text}", text.len()));
            if let Ok(file) = OpenOptions::new().write(true).open(&name) {
                let _ = file.set_len(10);
                let _ = file.set_len(1 << 20);
            }
            number += 1;
            std::thread::sleep(std::time::Duration::from_millis(3));
        }
    });
    std::thread::sleep(std::time::Duration::from_secs(2));
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    writer.join().unwrap();
    let said = sendmail(&server.config(), &["bob"], b"Subject: after\n\nx\n");
    assert_eq!(said.code, Some(0), "{said:?}");
    server.wait_for_mail("bob", 1);
    for file in server.new_mail("alice") {
        let text = fs::read_to_string(file).unwrap();
        assert!(!text.contains('\0'), "half a file was taken");
    }
}

#[test]
fn one_account_with_very_many_files_does_not_keep_others_out() {
    let mut server = Server::start("[server]\nuser = daemon\n");
    if !has_other_accounts(server.folder.path()) {
        return;
    }
    server.terminate();
    server.wait();
    let drop = drop_folder(&server);
    for number in 0..3000 {
        leave(
            &drop,
            &format!("0000-{number:06}"),
            NOBODY,
            0o644,
            b"no message",
        );
    }
    let said = sendmail(&server.config(), &["alice"], b"Subject: mine\n\nx\n");
    assert_eq!(said.code, Some(0), "{said:?}");
    server.restart();
    server.wait_for_mail("alice", 1);
    assert!(
        names(&drop).len() > 2000,
        "it came before most of the others"
    );
    let line = server.wait_for_event("drop_crowded");
    assert!(line.contains("uid=65534"), "{line}");
}

#[test]
fn a_file_waits_until_the_spool_has_space() {
    let mut server = Server::start("[limits]\nfree_space = 1000000M\n");
    let said = sendmail(&server.config(), &["alice"], b"x\n");
    assert_eq!(said.code, Some(75), "{said:?}");
    let drop = drop_folder(&server);
    let text = "gatepost-drop 1\nfrom\nto alice@here.example\ncontent 3\nx\r\n";
    fs::write(drop.join("tmp-1"), text).unwrap();
    fs::rename(drop.join("tmp-1"), drop.join("1")).unwrap();
    let line = server.wait_for_event("drop_deferred");
    assert!(line.contains("no space in the spool"), "{line}");
    assert!(drop.join("1").exists());
    server.configure("[limits]\nfree_space = 1M\n");
    let said = server.command(&["reload"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    // The next file has the folder looked at again.
    let said = sendmail(&server.config(), &["bob"], b"x\n");
    assert_eq!(said.code, Some(0), "{said:?}");
    server.wait_for_mail("alice", 1);
    server.wait_for_mail("bob", 1);
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing_behind() {
    let folder = TempFolder::new("sendmail");
    let spool = folder.path().join("spool");
    fs::create_dir(&spool).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1M,mode=711", "tmpfs"])
        .arg(&spool)
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: no tmpfs can be mounted here");
        return;
    }
    let drop = spool.join("drop");
    fs::create_dir(&drop).unwrap();
    let config = unused(&folder, "[limits]\nfree_space = 0\n");
    let large = vec![b'x'; 2 << 20];
    let full = sendmail(&config, &["alice"], &large);
    let left = names(&drop);
    let small = sendmail(&config, &["alice"], b"x\n");
    let config = unused(&folder, "[limits]\nfree_space = 2M\n");
    let kept = sendmail(&config, &["alice"], b"x\n");
    Command::new("umount").arg(&spool).status().unwrap();
    assert_eq!(full.code, Some(75), "{full:?}");
    assert_eq!(left, [""; 0]);
    assert_eq!(small.code, Some(0), "{small:?}");
    assert_eq!(kept.code, Some(75), "{kept:?}");
}
