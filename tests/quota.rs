//! Quotas of mailboxes against the binary: at RCPT, at delivery, and when there is room again.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use support::{Client, Server};

const QUOTA: &str = "[delivery]\nquota = 10K\n[queue]\nretry = 1s\n";
const ALICE: &str = "alice@here.example";

fn maildir(server: &Server, user: &str) -> PathBuf {
    server.folder.path().join("mail").join(user).join("Maildir")
}

/// Makes a file of a Maildir whose name tells a size; it is empty, so that nothing but the name can.
fn fill(server: &Server, user: &str, file: &str) -> PathBuf {
    let path = maildir(server, user).join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "").unwrap();
    path
}

fn client(server: &Server) -> Client {
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    client
}

fn mail(server: &Server, size: &str) -> Client {
    let mut client = client(server);
    client.command(&format!("MAIL FROM:<s@there.example>{size}"), "250");
    client
}

/// A message of this many octets and some.
fn letter(octets: usize) -> String {
    let lines = vec!["x".repeat(98); octets / 100 + 1];
    format!("Subject: s\r\n\r\n{}", lines.join("\r\n"))
}

#[test]
fn a_full_mailbox_is_put_off_at_rcpt_and_has_room_once_something_is_deleted() {
    let mut server = Server::start(QUOTA);
    let large = fill(&server, "alice", ".Sent/cur/1.x.mx,S=10240:2,S");
    let to_alice = format!("RCPT TO:<{ALICE}>");
    let mut client = mail(&server, "");
    assert_eq!(
        client.command(&to_alice, "452"),
        "452 4.2.2 Mailbox full\r\n"
    );
    let line = server.wait_for_event("recipient_refused");
    for part in [
        "reason=quota",
        "reply=452",
        "[delivery] quota",
        "holds 10240 of 10240 octets",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    // Others are not concerned.
    client.command("RCPT TO:<bob@here.example>", "250");
    client.command("RSET", "250");
    fs::remove_file(large).unwrap();
    client.message(ALICE, "Subject: s\r\n\r\nthere is room");
    server.wait_for_mail("alice", 1);
}

#[test]
fn what_mail_says_of_the_size_counts_beforehand() {
    let server = Server::start(QUOTA);
    fill(&server, "alice", "cur/1.x.mx,S=9000:2,S");
    for (size, want) in [
        ("", "250"),
        (" SIZE=1240", "250"),
        (" SIZE=1241", "452 4.2.2 Mailbox full"),
        (" SIZE=10240", "452 4.2.2 Mailbox full"),
        (
            " SIZE=10241",
            "552 5.2.2 Message larger than the mailbox may be",
        ),
    ] {
        mail(&server, size).command(&format!("RCPT TO:<{ALICE}>"), want);
    }
}

#[test]
fn mail_that_was_taken_before_waits_until_there_is_room() {
    let mut server = Server::start(QUOTA);
    let large = fill(&server, "alice", "cur/1.x.mx,S=9000:2,S");
    client(&server).message(ALICE, &letter(3000));
    let line = server.wait_for_event("deferred");
    assert!(line.contains("holds 9000 of 10240 octets"), "{line}");
    assert!(server.new_mail("alice").is_empty());
    // It is no trouble of the operator's; the alarm looks once in a second.
    std::thread::sleep(Duration::from_millis(1500));
    let health = server.command(&["health"]).output;
    assert!(!health.contains("alice"), "{health}");
    // A start changes nothing of it.
    server.kill();
    server.restart();
    server.wait_for_event("deferred");
    fs::remove_file(large).unwrap();
    let texts = server.wait_for_mail("alice", 1);
    assert!(texts[0].contains("xxx"), "{}", texts[0]);
}

#[test]
fn a_copy_that_is_there_is_written_again_however_full_the_mailbox() {
    let mut server = Server::start(QUOTA);
    client(&server).message(ALICE, &letter(6000));
    server.wait_for_mail("alice", 1);
    // Before the checkpoint, so that the next start delivers it again: a second copy would not fit.
    server.kill();
    server.restart();
    // What was there before goes first.
    client(&server).message("bob@here.example", "Subject: s\r\n\r\nnext");
    server.wait_for_mail("bob", 1);
    assert!(!server.log_text().contains("event=deferred"));
    assert_eq!(server.new_mail("alice").len(), 1);
}

#[test]
fn names_tell_the_size_of_what_was_delivered() {
    let server = Server::start("[limits]\nmessage_size = 10M\n");
    client(&server).message(ALICE, &letter(100));
    // The second is one of those that go to a file of their own.
    client(&server).message(ALICE, &letter(500_000));
    server.wait_for_mail("alice", 2);
    for path in server.new_mail("alice") {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let (_, size) = name.split_once(",S=").unwrap();
        let octets = fs::metadata(&path).unwrap().len();
        assert_eq!(size.parse::<u64>().unwrap(), octets, "{name}");
    }
}

#[test]
fn a_user_has_the_quota_of_the_users_file_as_dovecot_would_have_it() {
    let users = fs::read_to_string(support::data("users")).unwrap();
    let users = users.lines().map(|line| {
        let mut fields = line.split(':');
        let (name, secret) = (fields.next().unwrap(), fields.next().unwrap_or_default());
        let quota = if name == "alice" { "1M" } else { "0" };
        format!("{name}:{secret}:1000:1000::/home/x::userdb_quota_rule=*:storage={quota}\n")
    });
    let users: String = users.collect();
    let mut server = Server::start_beside(QUOTA, &[("users", &users)]);
    fill(&server, "alice", "cur/1.x.mx,S=1048000:2,S");
    fill(&server, "bob", "cur/1.x.mx,S=1048000:2,S");
    let mut client = mail(&server, " SIZE=1000");
    client.command("RCPT TO:<bob@here.example>", "250");
    client.command(&format!("RCPT TO:<{ALICE}>"), "452 4.2.2");
    let line = server.wait_for_event("recipient_refused");
    assert!(line.contains("[auth] users"), "{line}");
    client.command("RSET", "250");
    client.command("MAIL FROM:<s@there.example> SIZE=500", "250");
    client.command(&format!("RCPT TO:<{ALICE}>"), "250");
}

#[test]
fn a_group_is_taken_while_one_of_it_has_room() {
    let aliases = "both: alice, bob\n";
    let extra = "[aliases]\nfile = aliases\n[delivery]\nquota = 10K\n[queue]\nretry = 1s\n";
    let mut server = Server::start_beside(extra, &[("aliases", aliases)]);
    let of_alice = fill(&server, "alice", "cur/1.x.mx,S=10240:2,S");
    client(&server).message("both@here.example", "Subject: s\r\n\r\nfor both");
    server.wait_for_mail("bob", 1);
    server.wait_for_event("deferred");
    fill(&server, "bob", "cur/1.x.mx,S=10240:2,S");
    mail(&server, "").command("RCPT TO:<both@here.example>", "452 4.2.2");
    fs::remove_file(of_alice).unwrap();
    server.wait_for_mail("alice", 1);
    mail(&server, "").command("RCPT TO:<both@here.example>", "250");
}

#[test]
fn who_could_never_hold_a_message_costs_its_sender_one_notification_at_once() {
    let users = fs::read_to_string(support::data("users")).unwrap();
    let secret = users.lines().find_map(|line| line.strip_prefix("alice:"));
    let secret = secret.unwrap().trim_end_matches(':').to_owned();
    let users: Vec<String> = [("alice", ""), ("carol", ""), ("bob", "*:bytes=1000")]
        .iter()
        .map(|(name, rule)| match rule.is_empty() {
            true => format!("{name}:{secret}\n"),
            false => format!("{name}:{secret}::::::userdb_quota_rule={rule}\n"),
        })
        .collect();
    let extra = "[aliases]\nfile = aliases\n[delivery]\nquota = 10K\n[queue]\nretry = 1h\n";
    let aliases = ("aliases", "both: alice, bob\n");
    let mut server = Server::start_beside(extra, &[aliases, ("users", &users.concat())]);
    let mut client = client(&server);
    // Too large for everybody, whatever SIZE says.
    client.command("MAIL FROM:<carol@here.example>", "250");
    client.command("RCPT TO:<both@here.example>", "250");
    client.command("DATA", "354");
    client.send(format!("{}\r\n.\r\n", letter(11_000)).as_bytes());
    client.expect("552 5.2.2 Message larger than the mailbox may be");
    let line = server.wait_for_event("message_refused");
    assert!(line.contains("reason=quota"), "{line}");
    // Alice may hold it, Bob never.
    client.command("MAIL FROM:<carol@here.example>", "250");
    client.command("RCPT TO:<both@here.example>", "250");
    client.command("DATA", "354");
    client.send(format!("{}\r\n.\r\n", letter(3_000)).as_bytes());
    client.expect("250");
    server.wait_for_mail("alice", 1);
    let notice = server.wait_for_mail("carol", 1).remove(0);
    assert!(notice.contains("Status: 5.2.2"), "{notice}");
    assert!(
        notice.contains("Final-Recipient: rfc822; both@here.example"),
        "{notice}"
    );
    assert!(!notice.to_lowercase().contains("bob"), "{notice}");
    assert!(server.new_mail("bob").is_empty());
}

#[test]
fn a_maildir_that_cannot_be_measured_refuses_nothing() {
    let mut server = Server::start(QUOTA);
    // Root may read every folder, so it is none.
    let maildir = maildir(&server, "alice");
    fs::create_dir_all(&maildir).unwrap();
    fs::write(maildir.join("cur"), "a file").unwrap();
    mail(&server, "").command(&format!("RCPT TO:<{ALICE}>"), "250");
    let line = server.wait_for_event("mailbox_unreadable");
    assert!(line.contains("Maildir"), "{line}");
}

#[test]
fn a_refresh_takes_up_another_quota() {
    let server = Server::start(QUOTA);
    fill(&server, "alice", "cur/1.x.mx,S=10240:2,S");
    mail(&server, "").command(&format!("RCPT TO:<{ALICE}>"), "452 4.2.2");
    server.configure("[delivery]\nquota = 20K\n");
    let said = server.command(&["reload"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    mail(&server, "").command(&format!("RCPT TO:<{ALICE}>"), "250");
    server.configure("");
    server.command(&["reload"]);
    mail(&server, " SIZE=2000000").command(&format!("RCPT TO:<{ALICE}>"), "250");
}

#[test]
fn explain_tells_of_a_full_mailbox() {
    let server = Server::start(QUOTA);
    let explain = [
        "explain",
        "--from",
        "127.0.0.1",
        "--mail-from",
        "a@there.example",
        "--rcpt",
        ALICE,
    ];
    let said = server.command(&explain);
    assert!(said.output.contains("quota: allowed by "), "{said:?}");
    assert!(said.output.contains("holds 0 of 10240 octets"), "{said:?}");
    fill(&server, "alice", "new/1.x.mx,S=10240");
    let said = server.command(&explain);
    assert!(said.output.contains("quota: deferred by "), "{said:?}");
    assert!(said.output.contains("452 4.2.2 Mailbox full"), "{said:?}");
}

#[test]
fn check_names_the_line_of_a_quota_that_is_none() {
    let server = Server::start("");
    server.configure("[delivery]\nquota = 10 MB\n");
    let said = server.command(&["check"]);
    assert_eq!(said.code, Some(78), "{said:?}");
    assert!(said.complaint.contains("[delivery] quota: "), "{said:?}");
}

#[test]
fn an_lmtp_server_has_quotas_of_its_own() {
    let server = Server::start("[delivery]\nquota = 1\nlocal = lmtp:unix:/nowhere/at/all\n");
    mail(&server, " SIZE=100").command(&format!("RCPT TO:<{ALICE}>"), "250");
}
