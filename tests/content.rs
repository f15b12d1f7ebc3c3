//! What strangers write into messages, against the real binary: what is taken of it, and what arrives.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "support/fake_host.rs"]
mod fake_host;
mod support;

use std::fs;
use std::time::Instant;

use fake_host::{FakeHost, Setup};
use support::{Client, PATIENCE, Server};

/// How content comes to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Data,
    Chunks,
}

fn begin(client: &mut Client, to: &str) {
    client.command("MAIL FROM:<sender@there.example>", "250");
    client.command(&format!("RCPT TO:<{to}>"), "250");
}

/// Sends content with whole lines.
fn send(client: &mut Client, to: &str, by: By, content: &str) {
    begin(client, to);
    match by {
        By::Data => {
            client.command("DATA", "354");
            client.send(format!("{content}.\r\n").as_bytes());
        }
        By::Chunks => {
            // Cut in the middle of what is looked at.
            let (head, tail) = content.split_at(content.len().min(3));
            client.send(format!("BDAT {}\r\n{head}", head.len()).as_bytes());
            client.expect("250");
            client.send(format!("BDAT {} LAST\r\n{tail}", tail.len()).as_bytes());
        }
    }
    client.expect("250 2.0.0 Queued as ");
}

/// The last line of our field in a Maildir file, and all that follows it.
fn below_received(mail: &str) -> &str {
    let at = mail.find(";\n\t").unwrap();
    let date = &mail[at + 3..];
    date.split_once('\n').unwrap().1
}

/// Content as it comes, and as it lies in a Maildir below our own fields.
const BEGINNINGS: [(&str, &str); 8] = [
    (" forged; x\r\n\r\nbody\r\n", "\n forged; x\n\nbody\n"),
    ("\tid 1\r\nSubject: x\r\n", "\n\tid 1\nSubject: x\n"),
    ("From a Thu\r\nSubject: 1\r\n\r\nx\r\n", "Subject: 1\n\nx\n"),
    (
        ">From a Thu\r\nSubject: 2\r\n\r\nx\r\n",
        "Subject: 2\n\nx\n",
    ),
    ("From a\r\n forged\r\n", "\n forged\n"),
    ("", ""),
    ("\r\n x\r\n", "\n x\n"),
    (
        "Subject: y\r\n folded\r\n\r\nFrom a\r\n",
        "Subject: y\n folded\n\nFrom a\n",
    ),
];

#[test]
fn content_cannot_go_on_with_our_received_field() {
    let mut server = Server::start("");
    for by in [By::Data, By::Chunks] {
        let mut client = Client::greeted(server.tcp());
        client.command("EHLO client.example", "250");
        for (content, _) in BEGINNINGS {
            send(&mut client, "alice@here.example", by, content);
        }
    }
    let mut got: Vec<String> = server
        .wait_for_mail("alice", 2 * BEGINNINGS.len())
        .iter()
        .map(|mail| below_received(mail).to_owned())
        .collect();
    let mut want: Vec<String> = BEGINNINGS
        .iter()
        .flat_map(|(_, want)| [(*want).to_owned(), (*want).to_owned()])
        .collect();
    got.sort();
    want.sort();
    assert_eq!(got, want);
    let line = server.wait_for_event("from_line_removed");
    assert!(line.contains(" sid=") && line.contains(" qid="), "{line}");
}

#[test]
fn a_smarthost_gets_what_a_maildir_would() {
    let host = FakeHost::start(Setup::default());
    let server = Server::start(&format!(
        "[relay]\nallow_domains = far.example\n[smarthost]\nhost = 127.0.0.1\nport = {}\ntls = none\n",
        host.address.port()
    ));
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    send(&mut client, "bob@far.example", By::Data, BEGINNINGS[0].0);
    send(&mut client, "bob@far.example", By::Chunks, BEGINNINGS[2].0);
    let until = Instant::now() + PATIENCE;
    while host.taken().len() < 2 {
        assert!(Instant::now() < until, "{:?}", host.taken().len());
        std::thread::yield_now();
    }
    let mut got: Vec<String> = host
        .taken()
        .iter()
        .map(|taken| below_received(&taken.data.replace("\r\n", "\n")).to_owned())
        .collect();
    got.sort();
    assert_eq!(got, [BEGINNINGS[0].1, BEGINNINGS[2].1]);
}

#[test]
fn what_a_local_program_leaves_is_looked_at_as_well() {
    let mut server = Server::start("");
    let drop = server.folder.path().join("spool/drop");
    let leave = |name: &str, content: &str| {
        let head = "gatepost-drop 1\nfrom alice@here.example\nto alice@here.example\ncontent";
        // Files are taken once they have their name.
        let fresh = server.folder.path().join(name);
        fs::write(&fresh, format!("{head} {}\n{content}", content.len())).unwrap();
        fs::rename(fresh, drop.join(name)).unwrap();
    };
    leave("0001", BEGINNINGS[0].0);
    leave("0002", "Subject: a\0\r\n\r\n");
    leave("0003", BEGINNINGS[2].0);
    let mut got = server.wait_for_mail("alice", 2);
    got.sort_by_key(|mail| below_received(mail).len());
    let got: Vec<&str> = got.iter().map(|mail| below_received(mail)).collect();
    assert_eq!(got, [BEGINNINGS[2].1, BEGINNINGS[0].1]);
    server.wait_for_event("from_line_removed");
    let line = server.wait_for_event("drop_discarded");
    assert!(line.contains("its content has a NUL"), "{line}");
}

#[test]
fn a_name_that_is_none_stands_in_no_place_of_one() {
    let server = Server::start("");
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO a;b", "250");
    send(
        &mut client,
        "alice@here.example",
        By::Data,
        "Subject: x\r\n\r\n",
    );
    let mail = server.wait_for_mail("alice", 1).remove(0);
    let from = "\nReceived: from [127.0.0.1] (helo=a?b)\n\tby ";
    assert!(mail.contains(from), "{mail}");
}

#[test]
fn the_only_return_path_is_ours() {
    let folder = support::TempFolder::new("return-path");
    let out = folder.path().join("out");
    let script = folder.path().join("scan.sh");
    fs::write(
        &script,
        format!("cat >{0}.part\nmv {0}.part {0}\n", out.display()),
    )
    .unwrap();
    let ini = format!(
        "[aliases]\nfile = aliases\n[command:scan]\nprogram = /bin/sh\narguments = {}\n",
        script.display()
    );
    let server = Server::start_beside(&ini, &[("aliases", "team: alice, |scan\n")]);
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    let head = "Subject: x\r\nreturn-path : <forged@x>\r\n\t<again@x>\r\nTo: y\r\n\r\nReturn-Path: body\r\n";
    let want = "Subject: x\nTo: y\n\nReturn-Path: body\n";
    send(&mut client, "team@here.example", By::Data, head);
    let mail = server.wait_for_mail("alice", 1).remove(0);
    assert_eq!(below_received(&mail), want);
    assert!(mail.starts_with("Return-Path: <sender@there.example>\n"));
    let until = Instant::now() + PATIENCE;
    while !out.exists() {
        assert!(Instant::now() < until, "{}", server.log_text());
        std::thread::yield_now();
    }
    assert_eq!(below_received(&fs::read_to_string(&out).unwrap()), want);
    // One that is large enough for a file of its own.
    let lines = "0123456789\r\n".repeat(40_000);
    send(
        &mut client,
        "alice@here.example",
        By::Chunks,
        &format!("{head}{lines}"),
    );
    let mails = server.wait_for_mail("alice", 2);
    let large = mails.iter().max_by_key(|mail| mail.len()).unwrap();
    let want = format!("{want}{}", lines.replace('\r', ""));
    assert!(below_received(large) == want, "the large one differs");
}

#[test]
fn what_is_refused_for_its_content_is_logged_with_its_reason() {
    let mut server = Server::start("[limits]\nmessage_size = 4K\n");
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    for (content, reply, reason) in [
        ("x".repeat(900) + "\r\n", "250 2.0.0 ", ""),
        (
            format!("{}\r\n", "x".repeat(900)).repeat(5),
            "552 5.3.4 ",
            "size",
        ),
        ("a\nb\r\n".to_owned(), "550 5.6.0 ", "bare_line_ends"),
        ("a\0b\r\n".to_owned(), "550 5.6.0 ", "nul"),
        ("Received: x\r\n".repeat(101), "554 5.4.6 ", "loop"),
    ] {
        begin(&mut client, "alice@here.example");
        client.command("DATA", "354");
        client.send(format!("{content}.\r\n").as_bytes());
        client.expect(reply);
        if reason.is_empty() {
            continue;
        }
        let code = &reply[..3];
        let line = server.wait_for_log(&format!("reply={code} reason={reason}"));
        let from = "event=message_refused sid=00000000";
        assert!(
            line.contains(from) && line.contains("from=sender@there.example"),
            "{line}"
        );
    }
    let refused = server.log_text().matches("event=message_refused").count();
    assert_eq!(refused, 4, "{}", server.log_text());
}
