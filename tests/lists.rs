//! Lists and DNS on the real server: what is logged and tagged, and that a slow DNS holds up nobody else.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::io::{ErrorKind, Read};

use support::fakedns::FakeDns;
use support::{Client, Server, gatepost};

#[test]
fn listed_clients_are_tagged_and_logged() {
    let Some(dns) = FakeDns::new(&["A 1.0.0.127.listed.example 127.0.0.2"]) else {
        return;
    };
    let ini = "[dnsbl]\nzones = clean.example, listed.example\naction = tag\n\
               [blacklist]\nhosts = 127.0.0.0/8\naction = tag\n[relay]\nenforce_for = all\n";
    let mut server = Server::start_with(ini, |command| dns.preload(command));
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    client.message("alice@here.example", "Subject: tagged\r\n\r\nx");
    let mail = server.wait_for_mail("alice", 1);
    let fields: Vec<&str> = mail[0]
        .lines()
        .take_while(|line| !line.is_empty())
        .collect();
    assert!(fields.contains(&"X-Blacklisted: 127.0.0.0/8"), "{fields:?}");
    assert!(
        fields.contains(&"X-DNSBL-Site: listed.example"),
        "{fields:?}"
    );
    let logged = server.wait_for_log("event=client_listed");
    assert!(logged.contains("[blacklist] hosts"), "{logged}");
    let config = server.folder.path().join("gatepost.ini");
    let status = gatepost()
        .arg("status")
        .arg("--config")
        .arg(config)
        .output();
    let status = String::from_utf8(status.unwrap().stdout).unwrap();
    for counter in [
        " blacklist_hits=1 ",
        " dnsbl_hits=1 ",
        " clients_refused=0 ",
    ] {
        assert!(status.contains(counter), "{status}");
    }
}

#[test]
fn refusals_are_logged_with_the_line_that_made_them() {
    let mut server = Server::start(
        "[relay]\nenforce_for = all\n[senders]\ndeny = bad.example\n[recipients]\ndeny = bob@here.example\n",
    );
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    client.command("AUTH PLAIN", "502");
    client.command("MAIL FROM:<a@bad.example>", "554");
    client.command("MAIL FROM:<a@good.example>", "250");
    client.command("RCPT TO:<bob@here.example>", "554");
    client.command("RCPT TO:<joe@out.example>", "554");
    client.command("RCPT TO:<nobody@here.example>", "550");
    for (event, cause) in [
        (
            "event=command_refused",
            "[port:tcp] name_and_password (default)",
        ),
        (
            "event=sender_refused",
            "[senders] deny: bad.example names the sender",
        ),
        (
            "to=bob@here.example",
            "[recipients] deny: bob@here.example names the recipient",
        ),
        ("to=joe@out.example", "[relay] deny_domains (default)"),
        ("to=nobody@here.example", "[recipients] verify (default)"),
    ] {
        let line = server.wait_for_log(event);
        assert!(line.contains("cause="), "{line}");
        assert!(line.contains(cause), "{line}");
    }
}

#[test]
fn a_session_that_waits_for_dns_holds_no_worker() {
    let Some(dns) = FakeDns::new(&[
        "SLOW slow.example 3000",
        "MX slow.example 10 mx.slow.example",
        "MX there.example 10 mx.there.example",
    ]) else {
        return;
    };
    let ini = "[senders]\nverify_domain = yes\n[workers]\nthreads = 1\n";
    let server = Server::start_with(ini, |command| dns.preload(command));
    let mut waiting = Client::greeted(server.tcp());
    waiting.command("EHLO client.example", "250");
    waiting.send(b"MAIL FROM:<a@slow.example>\r\n");
    // The one worker serves another session from beginning to end.
    let mut other = Client::greeted(server.tcp());
    other.command("EHLO client.example", "250");
    other.message("alice@here.example", "Subject: x\r\n\r\nx");
    waiting.socket().set_nonblocking(true).unwrap();
    let early = waiting.socket().read(&mut [0; 512]);
    assert_eq!(early.unwrap_err().kind(), ErrorKind::WouldBlock);
    waiting.socket().set_nonblocking(false).unwrap();
    waiting.expect("250 2.1.0 ");
}

#[test]
fn a_host_without_a_name_is_refused_at_mail() {
    let Some(dns) = FakeDns::new(&["PTR 127.0.0.1 liar.example", "A liar.example 192.0.2.1"])
    else {
        return;
    };
    let ini = "[connections]\nverify_host_name = yes\n";
    let server = Server::start_with(ini, |command| dns.preload(command));
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    client.command("MAIL FROM:<a@there.example>", "550 5.7.25 ");
    drop(client);
    dns.set(&["FAIL 127.0.0.1"]);
    // What was found is kept for a while; another server asks anew.
    let server = Server::start_with(ini, |command| dns.preload(command));
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    client.command("MAIL FROM:<a@there.example>", "451 4.4.3 ");
}

#[test]
fn a_session_that_waits_for_dns_does_not_hold_up_the_end() {
    let Some(dns) = FakeDns::new(&["SLOW slow.example 60000"]) else {
        return;
    };
    let ini = "[senders]\nverify_domain = yes\n[workers]\nthreads = 1\n";
    let mut server = Server::start_with(ini, |command| dns.preload(command));
    let mut waiting = Client::greeted(server.tcp());
    waiting.command("EHLO client.example", "250");
    waiting.send(b"MAIL FROM:<a@slow.example>\r\n");
    // The one worker is free again: the question is under way.
    let mut other = Client::greeted(server.tcp());
    other.command("NOOP", "250");
    server.terminate();
    // Well before DNS would have been given up.
    waiting.expect("421 4.3.2 ");
    assert_eq!(server.wait(), Some(0));
}
