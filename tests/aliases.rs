//! Mail through aliases with the real binary: who gets copies, and files replaced while it runs.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use support::{Client, Server};

/// Nothing listens on port 1: what goes outside waits.
const ALIASES: &str = "[aliases]\nfile = aliases\n\
                       [smarthost]\nhost = 127.0.0.1\nport = 1\ntls = none\n";

/// Replaces a file of the server's folder in one step.
fn replace(server: &Server, name: &str, content: &str) {
    let folder = server.folder.path();
    fs::write(folder.join("next"), content).unwrap();
    fs::rename(folder.join("next"), folder.join(name)).unwrap();
}

fn client(server: &Server) -> Client {
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    client
}

/// Ends a transaction that was only opened to ask.
fn ask(client: &mut Client, to: &str, want: &str) {
    client.command("MAIL FROM:<sender@there.example>", "250");
    client.command(&format!("RCPT TO:<{to}>"), want);
    client.command("RSET", "250");
}

#[test]
fn a_group_reaches_each_member_once() {
    let server = Server::start(ALIASES);
    replace(
        &server,
        "aliases",
        "team: alice, staff, bob\nstaff: bob, root, Alice@here.example\nroot: alice\nsales: bob\n",
    );
    let mut client = client(&server);
    client.message("team@here.example", "Subject: one\r\n\r\nx");
    let alice = server.wait_for_mail("alice", 1);
    let bob = server.wait_for_mail("bob", 1);
    assert!(alice[0].contains("Subject: one") && bob[0].contains("Subject: one"));
    // Group, nested group, alias and user together: still one copy each.
    client.command("MAIL FROM:<sender@there.example>", "250");
    for to in ["team", "staff", "root+x", "ALICE", "sales+lists", "bob"] {
        client.command(&format!("RCPT TO:<{to}@here.example>"), "250");
    }
    client.command("DATA", "354");
    client.send(b"Subject: two\r\n\r\nx\r\n.\r\n");
    client.expect("250 2.0.0 Queued as ");
    // What comes last is there only when all before it was delivered.
    client.message("sales+x@here.example", "Subject: three\r\n\r\nx");
    let bob = server.wait_for_mail("bob", 3);
    let of = |mail: &[String], subject: &str| {
        let subject = format!("Subject: {subject}");
        mail.iter().filter(|text| text.contains(&subject)).count()
    };
    assert_eq!((of(&bob, "two"), of(&bob, "three"), bob.len()), (1, 1, 3));
    let alice = server.wait_for_mail("alice", 2);
    assert_eq!((of(&alice, "two"), alice.len()), (1, 2));
}

#[test]
fn unknown_recipients_and_postmaster_follow_aliases() {
    let server = Server::start(&format!("{ALIASES}[recipients]\ncatch_all = bob\n"));
    replace(&server, "aliases", "postmaster: alice\n");
    let mut client = client(&server);
    client.message("postmaster", "Subject: to postmaster\r\n\r\nx");
    assert!(server.wait_for_mail("alice", 1)[0].contains("to postmaster"));
    client.message("nobody@here.example", "Subject: to nobody\r\n\r\nx");
    assert!(server.wait_for_mail("bob", 1)[0].contains("to nobody"));
    assert!(server.new_mail("postmaster").is_empty());
}

#[test]
fn files_replaced_while_it_runs_count_at_the_next_recipient() {
    let mut server = Server::start(ALIASES);
    server.wait_for_log("event=aliases_read");
    let users = fs::read_to_string(server.folder.path().join("users")).unwrap();
    let mut client = client(&server);
    ask(&mut client, "team@here.example", "250");
    ask(&mut client, "new@here.example", "550 5.1.1");
    replace(&server, "aliases", "new: alice\n");
    ask(&mut client, "new@here.example", "250");
    ask(&mut client, "team@here.example", "550 5.1.1");
    let broken = "new: alice\nnewer: alice, newer\nx:\n";
    replace(&server, "aliases", broken);
    for _ in 0..3 {
        ask(&mut client, "new@here.example", "250");
        ask(&mut client, "newer@here.example", "550 5.1.1");
    }
    let line = server.wait_for_log("event=aliases_broken");
    assert!(
        line.contains("line=3") && line.contains("has no target"),
        "{line}"
    );
    // Against the users: dave only comes later.
    replace(&server, "aliases", "newer: dave\n");
    ask(&mut client, "newer@here.example", "550 5.1.1");
    ask(&mut client, "new@here.example", "250");
    server.wait_for_log("neither a user nor an alias");
    replace(&server, "users", &users.replace("bob:", "dave:"));
    ask(&mut client, "newer@here.example", "250");
    ask(&mut client, "new@here.example", "550 5.1.1");
    fs::remove_file(server.folder.path().join("aliases")).unwrap();
    ask(&mut client, "newer@here.example", "250");
    server.wait_for_log("event=aliases_unreadable");
    let log = server.log_text();
    let count = |needle: &str| log.matches(needle).count();
    assert_eq!(count("event=aliases_broken"), 2, "{log}");
    assert_eq!(count("event=aliases_unreadable"), 1, "{log}");
}

#[test]
fn a_broken_users_file_leaves_those_of_the_last_good_one() {
    let mut server = Server::start(ALIASES);
    let users = fs::read_to_string(server.folder.path().join("users")).unwrap();
    let mended = users.replace("bob:", "dave:");
    server.wait_for_log("event=users_read");
    let mut client = client(&server);
    ask(&mut client, "bob@here.example", "250");
    replace(&server, "users", &format!("{mended}no colon\n"));
    for _ in 0..3 {
        ask(&mut client, "bob@here.example", "250");
        ask(&mut client, "dave@here.example", "550 5.1.1");
    }
    let line = server.wait_for_log("event=users_broken");
    let number = format!("line={} ", mended.lines().count() + 1);
    assert!(
        line.contains(&number) && line.contains("faults=1"),
        "{line}"
    );
    replace(&server, "users", &mended);
    ask(&mut client, "dave@here.example", "250");
    assert_eq!(server.log_text().matches("event=users_broken").count(), 1);
}

/// A writer that takes its time, in the middle of a line and between two.
#[test]
fn a_file_written_in_place_counts_once_it_stands_still_and_half_of_it_never() {
    let server = Server::start(ALIASES);
    let (users, aliases) = ["users", "aliases"]
        .map(|name| server.folder.path().join(name))
        .into();
    let before = fs::read_to_string(&users).unwrap();
    let line = before
        .lines()
        .find(|line| line.starts_with("bob:"))
        .unwrap();
    let after = format!("{before}{}\n", line.replacen("bob:", "dave:", 1));
    let mut client = client(&server);
    ask(&mut client, "dave@here.example", "550 5.1.1");
    for (file, content) in [(&users, after.as_str()), (&aliases, "new: alice\n")] {
        for part in [0, content.len() / 3, content.len() - 1] {
            let is_over = AtomicBool::new(false);
            thread::scope(|scope| {
                fs::write(file, &content[..part]).unwrap();
                scope.spawn(|| {
                    while !is_over.load(Relaxed) {
                        fs::write(file, &content[..part]).unwrap();
                        thread::sleep(Duration::from_millis(50));
                    }
                });
                for _ in 0..6 {
                    ask(&mut client, "bob@here.example", "250");
                    ask(&mut client, "alice@here.example", "250");
                    ask(&mut client, "nobody@here.example", "451 4.3.0");
                    thread::sleep(Duration::from_millis(200));
                }
                is_over.store(true, Relaxed);
            });
        }
        fs::write(file, content).unwrap();
        let written = Instant::now();
        ask(&mut client, "nobody@here.example", "451 4.3.0");
        thread::sleep(Duration::from_millis(1200).saturating_sub(written.elapsed()));
        ask(&mut client, "dave@here.example", "250");
        ask(&mut client, "nobody@here.example", "550 5.1.1");
    }
    ask(&mut client, "new@here.example", "250");
    ask(&mut client, "team@here.example", "550 5.1.1");
    let log = server.log_text();
    assert!(!log.contains("_broken"), "{log}");
}

/// Who is kept out stays out, whatever the file of groups says.
#[test]
fn aliases_that_lack_a_group_of_an_access_list_are_not_taken_up() {
    let ini = "[port:tcp]\nname_and_password = yes\n[server_access]\nenforce = yes\ndeny = @kept_out\n\
               [aliases]\nfile = aliases\n";
    let groups = "kept_out: bob, postmaster\n";
    let mut server = Server::start_beside(ini, &[("aliases", groups)]);
    let log_in = |server: &Server, want: &str| {
        let mut client = client(server);
        // bob, builder
        client.command("AUTH PLAIN AGJvYgBidWlsZGVy", want);
    };
    log_in(&server, "535 5.7.8");
    replace(&server, "aliases", "other: alice, bob\n");
    log_in(&server, "535 5.7.8");
    let why = "there is no group @kept_out, which [server_access] deny names";
    let told = server.wait_for_log("event=aliases_broken");
    assert!(told.contains(why), "{told}");
    let file = server.folder.path().join("aliases").display().to_string();
    let said = server.command(&["health"]);
    let want =
        format!("healthy\nwarning: directory: {file}: {why}; what it said before is in use\n");
    assert_eq!((said.code, said.output), (Some(0), want));
    let said = server.command(&["status"]);
    let want = format!("\ndirectory file={file} older_in_use=yes problem=\"{why}\"\n");
    assert!(said.output.contains(&want), "{said:?}");
    assert_eq!(server.command(&["reload"]).code, Some(78));
    log_in(&server, "535 5.7.8");
    // A good one is in use again, and nothing is told any more.
    replace(&server, "aliases", "kept_out: alice, postmaster\n");
    log_in(&server, "235 2.7.0");
    assert_eq!(
        server.command(&["health"]).output.lines().next(),
        Some("healthy")
    );
    let said = server.command(&["status"]);
    assert!(!said.output.contains("\ndirectory "), "{said:?}");
    assert_eq!(server.command(&["reload"]).code, Some(0));
    let log = server.log_text();
    assert_eq!(log.matches("event=aliases_broken").count(), 1, "{log}");
}

#[test]
fn a_broken_file_keeps_the_server_from_starting() {
    let mut server = Server::start(ALIASES);
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    replace(&server, "aliases", "a: b\nb: a\n");
    let output = support::gatepost()
        .arg("serve")
        .arg("--config")
        .arg(server.folder.path().join("gatepost.ini"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("aliases:2: the aliases go round in a loop: a -> b -> a"));
}

/// The smarthost is away: its copy waits, and the local ones do not.
#[test]
fn the_outside_member_of_a_group_waits_and_outlives_a_kill() {
    let mut server = Server::start(ALIASES);
    let mut client = client(&server);
    client.message("team@here.example", "Subject: one\r\n\r\nx");
    server.wait_for_mail("alice", 1);
    server.wait_for_mail("postmaster", 1);
    server.wait_for_log("event=relay_failed");
    server.kill();
    server.restart();
    let mut client = self::client(&server);
    client.message("root@here.example", "Subject: two\r\n\r\nx");
    let alice = server.wait_for_mail("alice", 2);
    assert_eq!(alice.len(), 2);
    server.terminate();
    assert_eq!(server.wait(), Some(0));
}
