//! Senders of the real binary are told: what a notification says, when there is one, and who gets it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "support/fake_host.rs"]
mod fake_host;
mod support;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fake_host::{Act, FakeHost, Setup};
use gatepost::spool::{Spool, SpoolOptions};
use gatepost::sys::disk::RealDisk;
use support::fakeclock::FakeClock;
use support::{Client, PATIENCE, Server, has_program};

/// `no...@` is refused for good, `slow...@` is put off, everybody else is taken.
fn host(offer: &[&'static str]) -> FakeHost {
    let mut setup = Setup::script(|step| match step.line {
        line if line.starts_with("RCPT TO:<no") => Act::say("550 5.1.1 no \"such\" user"),
        line if line.starts_with("RCPT TO:<slow") => Act::say("451 4.2.1 come back later"),
        _ => Act::Usual,
    });
    setup.plain.extend(offer);
    FakeHost::start(setup)
}

fn ini(address: SocketAddr, more: &str) -> String {
    let (host, port) = (address.ip(), address.port());
    format!(
        "[extensions]\ndsn = enabled\n\
         [smarthost]\nhost = {host}\nport = {port}\ntls = none\n{more}"
    )
}

fn greeted(server: &Server) -> Client {
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    client
}

/// Sends a message to these recipients, each with its parameters; gives its id.
fn send(client: &mut Client, from: &str, to: &[&str], content: &str) -> String {
    client.command(&format!("MAIL FROM:{from}"), "250");
    for to in to {
        client.command(&format!("RCPT TO:{to}"), "250");
    }
    client.command("DATA", "354");
    client.send(content.as_bytes());
    client.send(b".\r\n");
    let reply = client.expect("250 2.0.0 Queued as ");
    reply.trim_end().rsplit(' ').next().unwrap().to_owned()
}

/// Ends it and sees that nothing is left in its spool.
fn end(server: &mut Server) {
    let folder = server.folder.path().join("spool");
    let until = Instant::now() + PATIENCE;
    loop {
        server.terminate();
        assert_eq!(server.wait(), Some(0));
        let mut options = SpoolOptions::new(folder.clone(), 99);
        options.free_space = 0;
        let left = Spool::open(Arc::new(RealDisk), options)
            .unwrap()
            .undelivered();
        if left == 0 {
            return;
        }
        assert!(
            Instant::now() < until,
            "{left} are left:\n{}",
            server.log_text()
        );
        server.restart();
        // Nothing expires within half of `expire`, which is 4 s at the most here, after a start.
        std::thread::sleep(std::time::Duration::from_secs(3));
    }
}

/// What Python's `email` package finds in a notification.
fn read(file: &Path) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/read_report.py");
    let output = Command::new("python3").arg(script).arg(file).output();
    let output = output.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    text.lines().map(str::to_owned).collect()
}

fn has(facts: &[String], wanted: &[&str]) {
    for want in wanted {
        assert!(
            facts.iter().any(|fact| fact == want),
            "{want} is missing in\n{}",
            facts.join("\n")
        );
    }
}

fn python_is_missing() -> bool {
    let missing = !has_program("python3");
    if missing {
        eprintln!("SKIPPED: there is no python3");
    }
    missing
}

#[test]
fn a_report_of_a_failure_has_every_field() {
    if python_is_missing() {
        return;
    }
    let host = host(&[]);
    let mut server = Server::start(&ini(host.address, ""));
    let mut client = greeted(&server);
    let to = [
        "<no.one@there.example> ORCPT=rfc822;No+2BOne@far.example",
        "<no.two@there.example>",
        "<yes@there.example>",
    ];
    let from = "<alice@here.example> ENVID=QQ+2B1+20x";
    let id = send(&mut client, from, &to, "Subject: hi\r\n\r\nbody\r\n");
    server.wait_for_mail("alice", 1);
    let facts = read(&server.new_mail("alice")[0]);
    has(
        &facts,
        &[
            "head Return-Path: <>",
            "head From: Mail Delivery System <MAILER-DAEMON@mx.here.example>",
            "head To: <alice@here.example>",
            "head Subject: Mail could not be delivered",
            "head Auto-Submitted: auto-replied",
            "head MIME-Version: 1.0",
            "head Date there",
            "head Message-ID there",
            "type multipart/report delivery-status",
            "parts text/plain message/delivery-status message/rfc822",
            "text This is the mail server mx.here.example.",
            "text <no.one@there.example>",
            "text     127.0.0.1 answered to RCPT:",
            "text     550 5.1.1 no \"such\" user",
            "status 0 Reporting-MTA: dns; mx.here.example",
            "status 0 Original-Envelope-Id: QQ+1 x",
            "status 1 Original-Recipient: rfc822; No+One@far.example",
            "status 1 Final-Recipient: rfc822; no.one@there.example",
            "status 1 Action: failed",
            "status 1 Status: 5.1.1",
            "status 1 Remote-MTA: dns; 127.0.0.1",
            "status 1 Diagnostic-Code: smtp; 550 5.1.1 no \"such\" user",
            "status 2 Final-Recipient: rfc822; no.two@there.example",
            "encoding 7bit",
            "original Subject: hi",
            "original ends b'body\\n'",
        ],
    );
    assert!(
        facts
            .iter()
            .any(|fact| fact.starts_with("status 0 Arrival-Date: "))
    );
    let never = ["yes@there", "defect", "status 3", "status 2 Original"];
    for word in never {
        let found = facts.iter().any(|fact| fact.contains(word));
        assert!(!found, "{word} in\n{}", facts.join("\n"));
    }
    for to in ["no.one", "no.two"] {
        let want =
            format!("event=failed qid={id} to={to}@there.example smarthost=127.0.0.1 status=5.1.1");
        server.wait_for_log(&want);
    }
    let line = server.wait_for_log(&format!("event=notified qid={id}"));
    assert!(
        line.contains("to=alice@here.example about=failed recipients=2"),
        "{line}"
    );
    let status = server.command(&["status"]);
    for counter in [
        "recipients_failed=2",
        "recipients_expired=0",
        "notifications=1",
    ] {
        assert!(status.output.contains(counter), "{}", status.output);
    }
    end(&mut server);
    assert_eq!(server.new_mail("alice").len(), 1);
}

#[test]
fn what_comes_back_of_the_original_is_what_was_asked_and_at_most_64_kib() {
    if python_is_missing() {
        return;
    }
    let host = host(&[]);
    let mut server = Server::start(&ini(host.address, ""));
    let mut client = greeted(&server);
    let large = format!("Subject: large\r\n\r\n{}", "x\r\n".repeat(25_000));
    let eight = "Subject: j\u{f6}rg\r\n\r\nbody \u{f6}\r\n";
    let rows: [(&str, &str, &[&str]); 5] = [
        (
            " RET=HDRS",
            "Subject: a\r\n\r\nx\r\n",
            &["encoding 7bit", "header Subject: a"],
        ),
        (
            " RET=FULL",
            "Subject: a\r\n\r\nx\r\n",
            &["original Subject: a"],
        ),
        (" RET=FULL", &large, &["header Subject: large"]),
        (" BODY=8BITMIME", eight, &["encoding 8bit"]),
        (
            " BODY=8BITMIME RET=HDRS",
            eight,
            &["encoding quoted-printable", "header Subject: j\u{f6}rg"],
        ),
    ];
    for (number, (parameters, content, wanted)) in rows.iter().enumerate() {
        let from = format!("<alice@here.example>{parameters}");
        let id = send(&mut client, &from, &["<no@there.example>"], content);
        server.wait_for_mail("alice", number + 1);
        let files = server.new_mail("alice");
        let is_it = |file: &&std::path::PathBuf| {
            let text = fs::read(file).unwrap();
            String::from_utf8_lossy(&text).contains(&format!(" as {id}.\n"))
        };
        let file = files.iter().find(is_it).unwrap();
        assert!(fs::metadata(file).unwrap().len() < 70_000);
        let facts = read(file);
        has(&facts, wanted);
        assert!(!facts.iter().any(|fact| fact.starts_with("defect")));
    }
    end(&mut server);
}

#[test]
fn addresses_beyond_ascii_are_encoded_for_programs_and_plain_for_people() {
    if python_is_missing() {
        return;
    }
    let host = host(&[]);
    let mut server = Server::start(&ini(host.address, "[extensions]\nsmtputf8 = enabled\n"));
    let mut client = greeted(&server);
    let to = ["<no.j\u{f6}rg@there.example> ORCPT=utf-8;j\u{f6}@far.example"];
    let from = "<alice@here.example> SMTPUTF8";
    send(&mut client, from, &to, "Subject: a\r\n\r\n");
    server.wait_for_mail("alice", 1);
    let facts = read(&server.new_mail("alice")[0]);
    has(
        &facts,
        &[
            "text <no.j\u{f6}rg@there.example>",
            "status 1 Original-Recipient: utf-8; j\\x{F6}@far.example",
            "status 1 Final-Recipient: utf-8; no.j\\x{F6}rg@there.example",
        ],
    );
    end(&mut server);
}

/// Every action told of a recipient, in the mail of a user.
fn told(server: &Server, user: &str, to: &str) -> Vec<String> {
    let mut actions = Vec::new();
    for file in server.new_mail(user) {
        let text = String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned();
        let blocks = text.split("\n\n");
        let final_recipient = format!("Final-Recipient: rfc822; {to}\n");
        for block in blocks.filter(|block| block.contains(&final_recipient)) {
            let action = block.lines().find_map(|line| line.strip_prefix("Action: "));
            actions.push(action.unwrap().to_owned());
        }
    }
    actions.sort();
    actions
}

/// One message to one recipient for each row: what was asked, and what is told.
fn ask_and_be_told(offer: &[&'static str], rows: &[(&str, &str, &[&str])]) {
    let host = host(offer);
    let more = "[queue]\nretry = 1s\nexpire = 4s\ndelay_notice = 1s\n";
    let mut server = Server::start(&ini(host.address, more));
    let mut client = greeted(&server);
    for (to, parameters, _) in rows {
        let to = format!("<{to}>{parameters}");
        send(
            &mut client,
            "<alice@here.example>",
            &[&to],
            "Subject: a\r\n\r\n",
        );
    }
    let count = rows.iter().map(|(_, _, told)| told.len()).sum();
    server.wait_for_mail("alice", count);
    end(&mut server);
    for (to, parameters, want) in rows {
        let got = told(&server, "alice", to);
        assert_eq!(
            got,
            *want,
            "{to}{parameters} {offer:?}\n{}",
            server.log_text()
        );
    }
    assert_eq!(server.new_mail("alice").len(), count);
}

#[test]
fn senders_are_told_what_they_asked_for() {
    let rows: [(&str, &str, &[&str]); 15] = [
        ("no.a@there.example", "", &["failed"]),
        ("no.b@there.example", " NOTIFY=NEVER", &[]),
        ("no.c@there.example", " NOTIFY=FAILURE", &["failed"]),
        ("no.d@there.example", " NOTIFY=SUCCESS,DELAY", &[]),
        ("yes.a@there.example", "", &[]),
        ("yes.b@there.example", " NOTIFY=NEVER", &[]),
        ("yes.c@there.example", " NOTIFY=FAILURE,DELAY", &[]),
        ("yes.d@there.example", " NOTIFY=SUCCESS", &["relayed"]),
        ("bob@here.example", " NOTIFY=SUCCESS", &["delivered"]),
        ("bob+x@here.example", "", &[]),
        ("slow.a@there.example", "", &["delayed", "failed"]),
        ("slow.b@there.example", " NOTIFY=NEVER", &[]),
        ("slow.c@there.example", " NOTIFY=FAILURE", &["failed"]),
        ("slow.d@there.example", " NOTIFY=DELAY", &["delayed"]),
        ("slow.e@there.example", " NOTIFY=SUCCESS", &[]),
    ];
    // Ten a minute are for one sender.
    ask_and_be_told(&[], &rows[..10]);
    ask_and_be_told(&[], &rows[10..]);
}

#[test]
fn a_server_with_dsn_tells_of_success_itself() {
    ask_and_be_told(
        &["DSN"],
        &[
            ("yes@there.example", " NOTIFY=SUCCESS", &[]),
            ("no@there.example", " NOTIFY=FAILURE", &["failed"]),
            ("bob@here.example", " NOTIFY=SUCCESS", &["delivered"]),
        ],
    );
}

#[test]
fn what_expires_is_told_even_where_the_smarthost_is_dead() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    // The smarthost rests for a minute after its first failure.
    let more = "[queue]\nexpire = 2s\nretry = 1s\ndelay_notice = 0\n";
    let mut server = Server::start(&ini(address, more));
    let mut client = greeted(&server);
    let from = ["alice", "bob"];
    for number in 0..12 {
        let from = format!("<{}@here.example>", from[number % 2]);
        send(
            &mut client,
            &from,
            &["<a@there.example>"],
            "Subject: a\r\n\r\n",
        );
    }
    server.wait_for_mail("alice", 6);
    let texts = server.wait_for_mail("bob", 6);
    for want in [
        "Status: 4.4.7\n",
        "Action: failed\n",
        "Diagnostic-Code: x-gatepost; 127.0.0.1: ",
        "It was tried for too long. The last reason:\n",
        "refused",
    ] {
        assert!(texts[0].contains(want), "{want} in {}", texts[0]);
    }
    server.wait_for_log("event=expired");
    end(&mut server);
}

#[test]
fn a_clock_that_jumps_makes_no_message_older() {
    const DAYS: i64 = 10 * 24 * 3600;
    let host = host(&[]);
    let more = "[queue]\nexpire = 12s\nretry = 1s\ndelay_notice = 0\n";
    let mut all = Vec::new();
    for step in [DAYS, -DAYS] {
        let Some(clock) = FakeClock::new() else {
            return;
        };
        let server = Server::start_with(&ini(host.address, more), |command| clock.preload(command));
        let to = ["<slow@there.example>"];
        let from = "<alice@here.example>";
        send(&mut greeted(&server), from, &to, "Subject: a\r\n\r\n");
        all.push((server, clock, step));
    }
    let sent = Instant::now();
    let day = |line: &str| line.split('T').next().unwrap_or_default().to_owned();
    let mut days = Vec::new();
    for (server, clock, step) in &mut all {
        days.push(day(&server.wait_for_event("deferred")));
        clock.set(*step);
    }
    // By the clock it has long expired, or will in ten days; it was tried more than three times.
    std::thread::sleep(Duration::from_secs(9).saturating_sub(sent.elapsed()));
    for (server, ..) in &all {
        let log = server.log_text();
        assert!(log.matches("event=deferred").count() > 3, "{log}");
        assert!(!log.contains("event=expired"), "{log}");
    }
    for ((server, ..), before) in all.iter_mut().zip(days) {
        let expired = server.wait_for_event("expired");
        assert_ne!(day(&expired), before, "the clock has jumped");
        assert!(sent.elapsed() >= Duration::from_secs(11), "{expired}");
        assert_eq!(server.wait_for_mail("alice", 1).len(), 1);
    }
}

#[test]
fn a_notification_does_not_tell_where_an_alias_leads() {
    let host = host(&[]);
    let ini = ini(host.address, "[aliases]\nfile = aliases\n");
    let aliases = "far: no-one@secret.example\nteam: no-two@secret.example, bob\n";
    let server = Server::start_beside(&ini, &[("aliases", aliases)]);
    let to = [
        "<far@here.example>",
        "<team@here.example> NOTIFY=SUCCESS,FAILURE",
    ];
    let mut client = greeted(&server);
    send(
        &mut client,
        "<alice@here.example>",
        &to,
        "Subject: a\r\n\r\n",
    );
    for text in server.wait_for_mail("alice", 2) {
        assert!(
            text.contains("Final-Recipient: rfc822; team@here.example\n"),
            "{text}"
        );
        assert!(!text.contains("secret.example"), "{text}");
    }
    assert!(
        host.lines()
            .iter()
            .any(|line| line.contains("no-two@secret.example"))
    );
}

#[test]
fn a_sender_elsewhere_is_told_by_the_smarthost_and_a_lost_notification_goes_to_the_postmaster_once()
{
    let host = host(&[]);
    let mut server = Server::start(&ini(host.address, ""));
    let mut client = greeted(&server);
    for from in ["<yes@far.example>", "<no@far.example>"] {
        send(
            &mut client,
            from,
            &["<no@there.example>"],
            "Subject: a\r\n\r\n",
        );
    }
    let texts = server.wait_for_mail("postmaster", 1);
    assert!(
        texts[0].contains("Subject: Mail could not be delivered, nor its sender told\n"),
        "{}",
        texts[0]
    );
    assert!(texts[0].contains("Final-Recipient: rfc822; no@far.example\n"));
    let until = Instant::now() + PATIENCE;
    while host.taken().is_empty() {
        assert!(Instant::now() < until, "{}", server.log_text());
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    end(&mut server);
    let taken = host.taken();
    assert_eq!(taken.len(), 1);
    assert!(taken[0].mail.starts_with("<>"), "{}", taken[0].mail);
    assert_eq!(taken[0].to, ["<yes@far.example>"]);
    assert!(taken[0].data.contains("Action: failed\r\n"));
    assert_eq!(server.new_mail("postmaster").len(), 1);
}

#[test]
fn a_sender_who_is_nobody_and_mail_without_a_sender_are_the_postmasters() {
    let host = host(&[]);
    let mut server = Server::start(&ini(host.address, ""));
    let mut client = greeted(&server);
    for from in ["<nobody@here.example>", "<>"] {
        send(
            &mut client,
            from,
            &["<no@there.example>"],
            "Subject: a\r\n\r\n",
        );
    }
    let texts = server.wait_for_mail("postmaster", 2).join("\n");
    assert!(texts.contains("its sender's address does not exist here"));
    assert!(texts.contains("A message without a sender"));
    end(&mut server);
    assert_eq!(server.new_mail("postmaster").len(), 2);
    assert!(host.taken().is_empty());
}

#[test]
fn what_not_even_the_postmaster_gets_is_kept_in_bad() {
    let host = host(&[]);
    let more = "[queue]\nexpire = 2s\nretry = 1s\n";
    let mut server = Server::start(&ini(host.address, more));
    // A file where a folder should be: nothing can be delivered there.
    let mail = server.folder.path().join("mail");
    fs::write(mail.join("postmaster"), "").unwrap();
    let mut client = greeted(&server);
    let to = ["<no@there.example>"];
    send(&mut client, "<>", &to, "Subject: a\r\n\r\n");
    let line = server.wait_for_event("nobody_told");
    assert!(
        line.contains("reason=\"the postmaster could not be told\""),
        "{line}"
    );
    server.wait_for_event("spool_message_set_aside");
    let bad = server.folder.path().join("spool/bad");
    let kept: Vec<_> = fs::read_dir(bad).unwrap().collect();
    let kept = kept.into_iter().map(|entry| entry.unwrap().path());
    let kept: Vec<_> = kept
        .map(|path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned())
        .collect();
    assert!(kept.iter().any(|text| text.contains("origin last-notice")));
    end(&mut server);
}
