//! The real binary and its smarthost: another gatepost, Postfix's smtp-sink, kill -9, its end.
//!
//! The spool is filled through the library before the binary starts.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "support/fake_host.rs"]
mod fake_host;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fake_host::{Act, FakeHost, Setup, server_tls};
use support::filled::{fill, fill_with, folder_of};
use support::{Client, PATIENCE, Server, TempFolder, has_program, own_address};

fn subjects(host: &FakeHost) -> BTreeMap<usize, usize> {
    let mut subjects = BTreeMap::new();
    for taken in host.taken() {
        let subject = taken.data.lines().next().unwrap();
        let number = subject.strip_prefix("Subject: ").unwrap().parse().unwrap();
        *subjects.entry(number).or_default() += 1;
        assert_eq!(taken.data, format!("{subject}\r\n\r\n.dots\r\n"));
    }
    subjects
}

fn smarthost(address: SocketAddr, more: &str) -> String {
    let (host, port) = (address.ip(), address.port());
    format!("[smarthost]\nhost = {host}\nport = {port}\n{more}")
}

fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "{what} does not arrive");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn kill_9_with_a_queue_and_a_slow_smarthost_loses_nothing() {
    const MESSAGES: usize = 1000;
    const KILLS_MAX: u64 = 25;
    let host = FakeHost::start(Setup::script(|step| {
        if step.verb == "." {
            std::thread::sleep(Duration::from_millis(2));
        }
        Act::Usual
    }));
    let mut server = Server::start_with(&smarthost(host.address, "tls = none\n"), |command| {
        let to = ["a@there.example", "alice@here.example"];
        fill(&folder_of(command), &to, MESSAGES);
    });
    let mut kills = 0;
    while subjects(&host).len() < MESSAGES && kills < KILLS_MAX {
        // Long enough for a few messages; where exactly it hits is the kernel's choice.
        let until = Instant::now() + Duration::from_millis(20 + 13 * (kills % 7) + kills);
        while Instant::now() < until {
            std::thread::yield_now();
        }
        server.kill();
        kills += 1;
        server.restart();
    }
    wait_for("the rest", || subjects(&host).len() == MESSAGES);
    // A Maildir can tell a second copy.
    wait_for("local mail", || server.new_mail("alice").len() == MESSAGES);
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    let seen = subjects(&host);
    assert_eq!(seen.len(), MESSAGES);
    let copies: usize = seen.values().sum();
    // Each of two threads may have been between a reply and its record at each kill.
    let most = MESSAGES + 2 * kills as usize;
    eprintln!("{kills} kills, {} second copies", copies - MESSAGES);
    assert!(copies <= most, "{copies} copies after {kills} kills");
}

#[test]
fn what_a_client_sends_to_elsewhere_arrives_there_and_here() {
    let host = FakeHost::start(Setup::default());
    let mut server = Server::start(&smarthost(host.address, "tls = opportunistic\n"));
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    client.command("MAIL FROM:<alice@here.example> BODY=8BITMIME", "250");
    for to in ["a@there.example", "bob@here.example", "b@there.example"] {
        client.command(&format!("RCPT TO:<{to}>"), "250");
    }
    client.command("DATA", "354");
    client.send("Subject: ä\r\n\r\n..dots\r\n.\r\n".as_bytes());
    client.expect("250 2.0.0 Queued as ");
    server.wait_for_log("event=relayed");
    server.wait_for_mail("bob", 1);
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    let taken = host.taken();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].to, ["<a@there.example>", "<b@there.example>"]);
    let data = &taken[0].data;
    assert!(data.starts_with("Received: from client.example "), "{data}");
    assert!(data.ends_with("Subject: ä\r\n\r\n.dots\r\n"), "{data}");
    let size = data.len();
    let mail = format!("<alice@here.example> SIZE={size} BODY=8BITMIME");
    assert_eq!(taken[0].mail, mail);
}

#[test]
fn a_restart_takes_up_what_waits_and_the_end_is_gentle() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let mut server = Server::start_with(&smarthost(address, "tls = none\n"), |command| {
        let to = ["a@there.example", "bob@here.example"];
        fill(&folder_of(command), &to, 3);
    });
    server.wait_for_mail("bob", 3);
    server.wait_for_log("event=relay_failed");
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    let host = FakeHost::start_at(address, Setup::default());
    server.restart();
    let until = Instant::now() + PATIENCE;
    while host.taken().len() < 3 {
        assert!(Instant::now() < until, "{}", server.log_text());
        std::thread::sleep(Duration::from_millis(2));
    }
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    // Nobody gets it again.
    server.restart();
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    assert_eq!(subjects(&host).len(), 3);
    assert_eq!(host.taken().len(), 3);
    assert_eq!(server.new_mail("bob").len(), 3);
}

#[test]
fn a_server_that_comes_back_is_tried_at_the_time_that_the_log_told() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let ini = smarthost(address, "tls = none\n[queue]\nretry = 2s\n");
    let mut server = Server::start_with(&ini, |command| {
        fill(&folder_of(command), &["a@there.example"], 1);
    });
    // Each attempt comes when the last one said, also after several failures in a row.
    for _ in 0..3 {
        let line = server.wait_for_event("relay_failed");
        assert!(line.contains(" again_in_seconds=2"), "{line}");
    }
    let host = FakeHost::start_at(address, Setup::default());
    let began = Instant::now();
    wait_for("the message", || host.taken().len() == 1);
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "it rests too long"
    );
}

#[test]
fn a_refresh_brings_another_smarthost_and_mail_goes_at_once() {
    let host = FakeHost::start(Setup::default());
    let mut server = Server::start_with("", |command| {
        fill(&folder_of(command), &["a@there.example"], 5);
    });
    server.wait_for_log("no smarthost is set");
    let file = server.folder.path().join("gatepost.ini");
    let ini = fs::read_to_string(&file).unwrap();
    let more = smarthost(host.address, "tls = none\n");
    fs::write(
        &file,
        ini.replace("mx.here.example", "new.here.example") + &more,
    )
    .unwrap();
    let pid = server.pid().to_string();
    let told = Command::new("kill").args(["-HUP", &pid]).status().unwrap();
    assert!(told.success());
    let until = Instant::now() + PATIENCE;
    while host.taken().len() < 5 {
        assert!(Instant::now() < until, "{}", server.log_text());
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(host.lines()[0], "EHLO new.here.example");
    server.terminate();
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn a_smarthost_that_hangs_does_not_hold_up_the_end() {
    let host = FakeHost::start(Setup::script(|step| match step.verb {
        "RCPT" => Act::Hang,
        _ => Act::Usual,
    }));
    let mut server = Server::start_with(&smarthost(host.address, "tls = none\n"), |command| {
        fill(&folder_of(command), &["a@there.example"], 2);
    });
    let until = Instant::now() + PATIENCE;
    while !host.lines().iter().any(|line| line.starts_with("RCPT")) {
        assert!(Instant::now() < until, "{}", server.log_text());
        std::thread::sleep(Duration::from_millis(2));
    }
    let began = Instant::now();
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(10));
}

/// A port of the loopback address that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn another_gatepost_takes_it_over_starttls_with_a_login() {
    let folder = TempFolder::new("tls");
    // Its certificate is for the name that the machine itself resolves.
    server_tls(folder.path(), "localhost");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let port = free_port();
    let next = Server::start(&format!(
        "[tls]\ncertificate = {}\nprivate_key = {}\n\
         [port:tcp]\nnumber = {port}\naddresses = 127.0.0.1\nanonymous = no\nname_and_password = yes\n\
         [port:tls]\nstatus = disabled\nname_and_password = yes\n\
         [extensions]\nstarttls = required\n[auth]\nattempts_max = 20\nmechanisms = scram-sha-256-plus\n",
        file("localhost.pem"),
        file("localhost.key"),
    ));
    fs::write(file("password"), "wonderland\n").unwrap();
    fs::set_permissions(file("password"), fs::Permissions::from_mode(0o600)).unwrap();
    let first = format!(
        "[server]\nhostname = first.example\nlocal_domains = first.example\n\
         [smarthost]\nhost = localhost\nport = {port}\nusername = alice\npassword_file = {}\nca_file = {}\n",
        file("password"),
        file("localhost.pem"),
    );
    let server = Server::start_with(&first, |command| {
        // Outside for the first one, which is first.example.
        fill_with(
            &folder_of(command),
            &["bob@here.example"],
            "first.example",
            5,
        );
    });
    for mail in next.wait_for_mail("bob", 5) {
        assert!(
            mail.starts_with("Return-Path: <alice@here.example>\n"),
            "{mail}"
        );
        assert!(
            mail.contains("from first.example ([127.0.0.1])\n"),
            "{mail}"
        );
        assert!(mail.contains("with ESMTPSA id "), "{mail}");
        assert!(mail.ends_with("\n\n.dots\n"), "{mail}");
    }
    assert!(!server.log_text().contains("relay_failed"));
}

#[test]
fn smtp_sink_takes_everything() {
    if !has_program("smtp-sink") {
        return;
    }
    let folder = TempFolder::new("sink");
    let address = SocketAddr::new(own_address(), 2526);
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
    let mut sink = Command::new("smtp-sink")
        .env("PATH", path)
        .current_dir(folder.path())
        .args(["-u", "root", "-d", "%M.", "-t", "30"])
        .args([&address.to_string(), "100"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(address).is_err() {
        assert!(Instant::now() < until, "smtp-sink does not listen");
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut server = Server::start_with(&smarthost(address, "tls = opportunistic\n"), |command| {
        fill(
            &folder_of(command),
            &["a@there.example", "b@there.example"],
            40,
        );
    });
    let relayed = |server: &Server| server.log_text().matches("event=relayed").count();
    while relayed(&server) < 80 {
        assert!(Instant::now() < until, "{}", server.log_text());
        std::thread::sleep(Duration::from_millis(5));
    }
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    sink.kill().unwrap();
    sink.wait().unwrap();
    let mut found = 0;
    for entry in fs::read_dir(folder.path()).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let whole = text.contains("X-Rcpt-Args: <a@there.example>") && text.contains("\n.dots\n");
        found += usize::from(whole);
    }
    assert_eq!(found, 40);
}
