//! Clients that name many recipients whom nobody has: the real binary with clients of several addresses.
//!
//! Every client is on loopback, which is internal and exempt by default, so both lists are others here.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use support::fakedns::FakeDns;
use support::{Client, Server, lines_with, own_v4};

/// One worker, so that a held one would be noticed.
const INI: &str = "[port:tcp]\nname_and_password = yes\n[workers]\nthreads = 1\n\
                   [extensions]\nvrfy = enabled\nexpn = enabled\n";
const WATCHED: &str = "[relay]\ninternal = 192.0.2.0/24\n[auth]\nthrottle_exempt =\n";
const WAIT: Duration = Duration::from_secs(5);

fn in_transaction(from: Ipv4Addr, server: &Server) -> Client {
    let mut client = Client::hello_from(from, server.tcp());
    client.command("MAIL FROM:<sender@there.example>", "250");
    client
}

/// So many recipients that nobody has, which are answered at once.
fn name_unknown(client: &mut Client, count: usize) {
    let began = Instant::now();
    for number in 0..count {
        client.command(
            &format!("RCPT TO:<nobody{number}@here.example>"),
            "550 5.1.1",
        );
    }
    assert!(began.elapsed() < WAIT, "{:?}", began.elapsed());
}

#[test]
fn names_are_slow_past_the_limit_and_end_the_session_past_twice_the_limit() {
    let mut server = Server::start(&format!("{INI}{WATCHED}[recipients]\nunknown_max = 4\n"));
    let (asking, other) = (own_v4(), own_v4());
    // They count over sessions, and those of VRFY and EXPN as well.
    name_unknown(&mut in_transaction(asking, &server), 2);
    let mut verifying = Client::hello_from(asking, server.tcp());
    verifying.command("VRFY nobody", "550 5.1.1");
    verifying.command("EXPN nobody", "550 5.1.1");

    let requests = [
        ("RCPT TO:<alice@here.example>", "250 2.1.5"),
        ("RCPT TO:<somebody@elsewhere.example>", "554 5.7.1"),
        ("RCPT TO:<nobody@here.example>", "550 5.1.1"),
        ("RCPT TO:<nobody@here.example>", "550 5.1.1"),
        ("VRFY nobody", "550 5.1.1"),
        ("EXPN nobody", "550 5.1.1"),
    ];
    let began = Instant::now();
    let mut waiting: Vec<_> = requests
        .iter()
        .map(|(request, reply)| {
            let mut client = in_transaction(asking, &server);
            client.send(format!("{request}\r\n").as_bytes());
            (client, reply)
        })
        .collect();
    // The only worker is free for others.
    let mut good = Client::hello_from(other, server.tcp());
    good.message("alice@here.example", "Subject: a\r\n\r\nb");
    assert!(began.elapsed() < WAIT, "{:?}", began.elapsed());
    for (client, reply) in &mut waiting {
        client.expect(reply);
        assert!(began.elapsed() >= WAIT, "{:?}", began.elapsed());
    }

    for request in ["RCPT TO:<alice@here.example>", "VRFY alice"] {
        let mut ended = in_transaction(asking, &server);
        let began = Instant::now();
        let said = ended.command(request, "421");
        assert_eq!(said, "421 4.7.0 Too many unknown recipients\r\n");
        assert_eq!(ended.rest(), b"");
        assert!(began.elapsed() < WAIT, "{:?}", began.elapsed());
    }
    name_unknown(&mut in_transaction(other, &server), 3);
    let log = server.whole_log();
    let client = format!("client={asking}:");
    let delayed = ["event=recipient_delayed", &client, "unknown=4 seconds=5"];
    assert_eq!(lines_with(&log, &delayed).len(), 6, "{log}");
    let ended = [
        "event=recipient_refused",
        &client,
        "reply=421 reason=unknown_max",
    ];
    assert_eq!(lines_with(&log, &ended).len(), 1, "{log}");
}

#[test]
fn a_recipient_that_waits_ends_with_its_client_and_is_forgotten_by_unban() {
    let mut server = Server::start(&format!("{INI}{WATCHED}[recipients]\nunknown_max = 2\n"));
    let asking = own_v4();
    name_unknown(&mut in_transaction(asking, &server), 2);
    let mut waiting = in_transaction(asking, &server);
    waiting.send(b"RCPT TO:<alice@here.example>\r\n");
    let line = server.wait_for_log("event=recipient_delayed");
    let sid = line
        .split_once("sid=")
        .unwrap()
        .1
        .split(' ')
        .next()
        .unwrap();
    let gone = Instant::now();
    drop(waiting);
    let line = server.wait_for_log(&format!("event=session_ended sid={sid} "));
    assert!(line.contains("reason=dropped"), "{line}");
    assert!(
        gone.elapsed() < WAIT - Duration::from_secs(1),
        "{:?}",
        gone.elapsed()
    );

    let unban = |server: &Server| server.command(&["unban", &asking.to_string()]).output;
    let none = format!("no failed login of {asking} is remembered\n");
    let forgotten = format!("{none}the unknown recipients of {asking} are forgotten\n");
    assert_eq!(unban(&server), forgotten);
    assert_eq!(unban(&server), none);
    name_unknown(&mut in_transaction(asking, &server), 2);
}

#[test]
fn who_is_exempt_is_neither_counted_nor_slowed_down() {
    let from = own_v4();
    let limit = "[recipients]\nunknown_max = 2\n";
    let network = "127.0.0.0/8";
    let rows = [
        format!("[relay]\ninternal = {network}\n[auth]\nthrottle_exempt =\n"),
        format!("[relay]\ninternal =\n[auth]\nthrottle_exempt = {network}\n"),
        format!("{WATCHED}[relay]\nexclude_hosts = {network}\n"),
        format!("{WATCHED}[whitelist]\nhosts = {network}\n"),
        format!("{WATCHED}[recipients]\nunknown_max = 0\n"),
    ];
    for row in rows {
        let server = Server::start(&format!("{INI}{limit}{row}"));
        for _ in 0..2 {
            name_unknown(&mut in_transaction(from, &server), 9);
        }
    }
    let server = Server::start(&format!("{INI}{limit}{WATCHED}"));
    let login = STANDARD.encode("\0alice\0wonderland");
    for _ in 0..2 {
        let mut client = Client::hello_from(from, server.tcp());
        client.command(&format!("AUTH PLAIN {login}"), "235");
        client.command("MAIL FROM:<alice@here.example>", "250");
        name_unknown(&mut client, 9);
    }
    name_unknown(&mut in_transaction(from, &server), 2);
}

#[test]
fn a_host_that_is_exempt_by_its_name_is_asked_for_in_dns_once_it_matters() {
    let from = own_v4();
    let lines = [
        format!("PTR {from} mx.partner.example"),
        format!("A mx.partner.example {from}"),
    ];
    let Some(dns) = FakeDns::new(&[&lines[0], &lines[1]]) else {
        return;
    };
    let names = "exclude_hosts = partner.example\n[recipients]\nunknown_max = 2\n";
    let ini = format!("{INI}[auth]\nthrottle_exempt =\n[relay]\ninternal = 192.0.2.0/24\n{names}");
    let server = Server::start_with(&ini, |command| dns.preload(command));
    name_unknown(&mut in_transaction(from, &server), 9);
    let mut other = in_transaction(own_v4(), &server);
    name_unknown(&mut other, 2);
    let began = Instant::now();
    other.command("RCPT TO:<alice@here.example>", "250");
    assert!(began.elapsed() >= WAIT, "{:?}", began.elapsed());
}
