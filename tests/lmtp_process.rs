//! The real binary and its LMTP server: Dovecot, kill -9, a restart, a refresh, its end.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "support/dovecot.rs"]
mod dovecot;
#[path = "support/fake_host.rs"]
mod fake_host;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use dovecot::{Dovecot, LMTP_PORT};
use fake_host::{Act, FakeHost, Setup};
use support::fakedns::FakeDns;
use support::filled::{self, folder_of};
use support::{Client, PATIENCE, Server, own_address};

/// Puts messages for these users into the spool of a set-up that has not started yet.
fn fill(command: &Command, users: &[&str], count: usize) {
    let to: Vec<_> = users
        .iter()
        .map(|user| format!("{user}@here.example"))
        .collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    filled::fill(&folder_of(command), &to, count);
}

/// How often each subject came for whom.
fn copies<'t>(texts: impl Iterator<Item = (String, &'t str)>) -> BTreeMap<(String, usize), usize> {
    let mut seen = BTreeMap::new();
    for (to, text) in texts {
        let subject = text.lines().find_map(|line| line.strip_prefix("Subject: "));
        let number = subject.unwrap().parse().unwrap();
        *seen.entry((to, number)).or_default() += 1;
        assert!(text.replace('\r', "").ends_with("\n\n.dots\n"), "{text}");
    }
    seen
}

fn at_socket(path: &Path) -> String {
    format!("[delivery]\nlocal = lmtp:unix:{}\n", path.display())
}

fn lmtp(script: impl Fn(&fake_host::Step<'_>) -> Act + Send + Sync + 'static) -> Setup {
    Setup {
        lmtp: true,
        ..Setup::script(script)
    }
}

fn wait_for(server: &Server, is_so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "{}", server.log_text());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Kills it again and again until everything has arrived; gives the number of kills.
fn kill_until(server: &mut Server, has_arrived: impl Fn() -> bool) -> u64 {
    let mut kills = 0;
    while !has_arrived() {
        // Long enough for a few messages; where exactly it hits is the kernel's choice.
        let until = Instant::now() + Duration::from_millis(20 + 13 * (kills % 7) + kills);
        while Instant::now() < until {
            std::thread::yield_now();
        }
        server.kill();
        kills += 1;
        assert!(kills < 200, "{}", server.log_text());
        server.restart();
    }
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    kills
}

#[test]
fn kill_9_with_a_slow_lmtp_server_loses_nothing() {
    const MESSAGES: usize = 40;
    let host = FakeHost::start(lmtp(|step| {
        if step.verb == "." {
            std::thread::sleep(Duration::from_millis(8));
        }
        Act::Usual
    }));
    let local = format!(
        "[delivery]\nlocal = lmtp:127.0.0.1:{}\n",
        host.address.port()
    );
    let mut server = Server::start_with(&local, |command| {
        fill(command, &["alice", "bob"], MESSAGES);
    });
    let seen = || {
        let taken = host.taken();
        copies(
            taken
                .iter()
                .map(|taken| (taken.to[0].clone(), taken.data.as_str())),
        )
    };
    let kills = kill_until(&mut server, || seen().len() == 2 * MESSAGES);
    let copies: usize = seen().values().sum();
    // Each of two threads may have been between a reply and its record at each kill.
    let most = 2 * MESSAGES + 4 * kills as usize;
    eprintln!("{kills} kills, {} second copies", copies - 2 * MESSAGES);
    assert!(copies <= most, "{copies} copies after {kills} kills");
    assert_eq!(
        server.new_mail("alice").len() + server.new_mail("bob").len(),
        0
    );
}

#[test]
fn a_restart_takes_up_what_waits_once_the_socket_is_there() {
    let path = Dovecot::folder(1);
    let mut server = Server::start_with(&at_socket(&path), |command| {
        fill(command, &["alice", "bob"], 3);
    });
    let line = server.wait_for_log("event=lmtp_failed");
    assert!(line.contains("No such file or directory"), "{line}");
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    let host = FakeHost::start_unix(&path, lmtp(|_| Act::Usual));
    server.restart();
    wait_for(&server, || host.taken().len() == 6);
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    // Nobody gets it again.
    server.restart();
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    assert_eq!(host.taken().len(), 6);
    assert_eq!(host.lines()[0], "LHLO mx.here.example");
}

#[test]
fn a_refresh_names_what_waits_for_a_restart_and_takes_up_the_rest() {
    let path = Dovecot::folder(2);
    let host = FakeHost::start_unix(&path, lmtp(|_| Act::Usual));
    let mut server = Server::start(&at_socket(&path));
    server.configure("[server]\nlocal_domains = new.example, here.example\n");
    let said = server.command(&["reload"]);
    let line = "[delivery] local: takes effect at the next start";
    assert!(said.output.contains(line), "{said:?}");
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    client.message("alice+Lists@here.example", "Subject: x\r\n\r\ny");
    wait_for(&server, || host.taken().len() == 1);
    assert_eq!(host.taken()[0].to, ["<alice+Lists@new.example>"]);
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    // Now it goes into Maildirs.
    server.restart();
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    client.message("alice@new.example", "Subject: x\r\n\r\ny");
    server.wait_for_mail("alice", 1);
    assert_eq!(host.taken().len(), 1);
}

#[test]
fn a_server_that_hangs_does_not_hold_up_the_end() {
    let host = FakeHost::start(lmtp(|step| match step.verb {
        "RCPT" => Act::Hang,
        _ => Act::Usual,
    }));
    let local = format!(
        "[delivery]\nlocal = lmtp:127.0.0.1:{}\n",
        host.address.port()
    );
    let mut server = Server::start_with(&local, |command| fill(command, &["alice"], 2));
    wait_for(&server, || {
        host.lines().iter().any(|line| line.starts_with("RCPT"))
    });
    let began = Instant::now();
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(10));
}

/// A server that delivers to a Dovecot which reads the same users file.
fn with_dovecot(number: u32, local: &str, fill_in: impl FnOnce(&Command)) -> (Server, Dovecot) {
    let (folder, address) = (Dovecot::folder(number), own_address());
    let socket = Dovecot::socket(&folder).display().to_string();
    let tcp = SocketAddr::new(address, LMTP_PORT).to_string();
    let local = local.replace("SOCKET", &socket).replace("ADDRESS", &tcp);
    let mut dovecot = None;
    let server = Server::start_with(&local, |command| {
        let users = folder_of(command).join("users");
        dovecot = Some(Dovecot::start(&folder, &users, address));
        fill_in(command);
    });
    (server, dovecot.unwrap())
}

#[test]
fn dovecot_takes_what_clients_send_and_says_who_is_unknown_to_it() {
    if !Dovecot::is_there() {
        return;
    }
    let local = "[delivery]\nlocal = lmtp:unix:SOCKET\n[server]\nlocal_domains = first.example, here.example\n";
    let (mut server, dovecot) = with_dovecot(3, local, |_| {});
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    client.command("MAIL FROM:<sender@there.example> BODY=8BITMIME", "250");
    for to in [
        "alice+Lists@here.example",
        "BOB@here.example",
        "postmaster@here.example",
    ] {
        client.command(&format!("RCPT TO:<{to}>"), "250");
    }
    client.command("DATA", "354");
    client.send("Subject: ä\r\n\r\n..dots\r\n.\r\n".as_bytes());
    client.expect("250 2.0.0 Queued as ");
    // postmaster is nobody of the users file, and no alias leads from it.
    let line = server.wait_for_event("failed");
    assert!(line.contains("to=postmaster@here.example"), "{line}");
    assert!(line.contains("550 5.1.1"), "{line}");
    for (user, folder) in [("alice", ".Lists"), ("bob", "")] {
        let texts = dovecot.mail(user, folder);
        assert_eq!(texts.len(), 1, "{user}: {}", dovecot.log());
        let text = texts[0].replace('\r', "");
        let head = "Return-Path: <sender@there.example>\n";
        assert!(text.starts_with(head), "{text}");
        assert!(text.contains("Received: from client.example"), "{text}");
        assert!(text.ends_with("Subject: ä\n\n.dots\n"), "{text}");
    }
    let line = server.wait_for_log("event=lmtp_delivered");
    assert!(line.contains("reply=\"250 2.0.0"), "{line}");
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    assert!(server.new_mail("alice").is_empty());
}

#[test]
fn dovecot_over_tcp_takes_small_and_large_mail_and_kill_9_loses_nothing() {
    const MESSAGES: usize = 40;
    if !Dovecot::is_there() {
        return;
    }
    let local = "[delivery]\nlocal = lmtp:ADDRESS\n";
    let (mut server, dovecot) = with_dovecot(4, local, |command| {
        fill(command, &["alice", "bob"], MESSAGES);
    });
    let seen = || {
        let texts = ["alice", "bob"].map(|user| (user.to_owned(), dovecot.mail(user, "")));
        let texts = texts
            .iter()
            .flat_map(|(user, texts)| texts.iter().map(move |text| (user.clone(), text.as_str())));
        copies(texts)
    };
    let kills = kill_until(&mut server, || seen().len() == 2 * MESSAGES);
    let copies: usize = seen().values().sum();
    eprintln!("{kills} kills, {} second copies", copies - 2 * MESSAGES);
    assert!(copies <= 2 * MESSAGES + 4 * kills as usize);
    server.restart();
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    let large = format!(
        "Subject: large\r\n\r\n{}",
        "0123456789abcdef\r\n".repeat(400_000)
    );
    client.message("alice@here.example", &large);
    let is_there = |text: &String| text.len() > 6_000_000;
    wait_for(&server, || dovecot.mail("alice", "").iter().any(is_there));
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    let peak: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    eprintln!("peak {peak} KB after a message of {} octets", large.len());
}

/// What the README says of a name with several addresses: a dead one costs its attempt and no mail.
#[test]
fn of_a_name_with_several_addresses_the_next_is_tried() {
    let (dead, live) = (own_address(), own_address());
    let host = FakeHost::start_at(SocketAddr::new(live, LMTP_PORT), lmtp(|_| Act::Usual));
    let Some(dns) = FakeDns::new(&[&format!("A lmtp.here.example {dead} {live}")]) else {
        return;
    };
    let ini = format!("[delivery]\nlocal = lmtp:lmtp.here.example:{LMTP_PORT}\n");
    let mut server = Server::start_with(&ini, |command| dns.preload(command));
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO there.example", "250");
    client.message("alice@here.example", "Subject: 1\r\n\r\nHello.");
    let line = server.wait_for_event("lmtp_delivered");
    assert!(line.contains("to=alice@here.example"), "{line}");
    assert_eq!(host.taken().len(), 1);
    assert!(!server.log_text().contains("lmtp_failed"));
}
