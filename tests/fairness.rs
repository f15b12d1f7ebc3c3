//! Many busy sessions of one address hold up nobody else. The log's order tells who was served first, so
//! nothing here depends on the machine's speed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::io::Write;
use std::net::Ipv4Addr;
use std::process::Command;

use support::{Client, Server};

const SESSIONS: usize = 20;

fn signal(server: &Server, name: &str) {
    let pid = server.pid().to_string();
    let status = Command::new("kill").args([name, &pid]).status();
    assert!(status.unwrap().success(), "kill {name}");
}

/// What a device says that sends nothing, in one go.
const GOOD: &str = "EHLO good.example\r\nMAIL FROM:<a@there.example>\r\n\
                    RCPT TO:<alice@here.example>\r\nRSET\r\nQUIT\r\n";

/// The sessions' names in the order in which the server let them go, where all of them had their whole input
/// waiting before any was served: `SESSIONS` that repeat `command`, and one of another address.
fn order_of_ends(command: &str, times: usize, from: Ipv4Addr) -> Vec<String> {
    let mut server = Server::start(
        "[workers]\nthreads = 1\n[aliases]\nfile = aliases\n\
         [smarthost]\nhost = 127.0.0.1\nport = 1\ntls = none\n",
    );
    let mut rude: Vec<Client> = Vec::new();
    for _ in 0..SESSIONS {
        rude.push(Client::greeted(server.tcp()));
    }
    let mut good = Client::greeted_from(from, server.tcp());
    signal(&server, "-STOP");
    let hello = "EHLO rude.example\r\nMAIL FROM:<a@there.example>\r\n";
    let input = format!("{hello}{}QUIT\r\n", command.repeat(times));
    for client in &mut rude {
        client.send(input.as_bytes());
    }
    good.send(GOOD.as_bytes());
    signal(&server, "-CONT");
    // They read what they are told, or the server would wait for them.
    let readers = Vec::from_iter(rude.into_iter().map(|mut client| {
        std::thread::spawn(move || while !client.expect("2").starts_with("221 ") {})
    }));
    let ends = (0..=SESSIONS).map(|_| {
        let line = server.wait_for_event("session_ended");
        let helo = line.split("helo=").nth(1).unwrap();
        helo.split(' ').next().unwrap().to_owned()
    });
    let ends = ends.collect();
    readers
        .into_iter()
        .for_each(|reader| reader.join().unwrap());
    ends
}

#[test]
fn a_client_is_served_before_others_have_run_all_they_sent() {
    let commands = [
        ("NOOP\r\n", 3000),
        ("EHLO rude.example\r\n", 500),
        ("HELP\r\n", 500),
        ("RCPT TO:<team@here.example>\r\n", 450),
    ];
    for (command, times) in commands {
        let ends = order_of_ends(command, times, Ipv4Addr::new(127, 77, 0, 1));
        assert_eq!(ends.len(), SESSIONS + 1);
        assert_eq!(ends[0], "good.example", "{command}");
    }
}

#[test]
fn a_session_that_never_pauses_ends_all_the_same() {
    let mut server = Server::start("[limits]\nsession_timeout = 1s\n");
    let mut client = Client::greeted(server.tcp());
    let mut writer = client.stream.get_ref().try_clone().unwrap();
    let noops = "NOOP\r\n".repeat(1000);
    let writing = std::thread::spawn(move || while writer.write_all(noops.as_bytes()).is_ok() {});
    while client.reply().starts_with("250 ") {}
    let ended = server.wait_for_event("session_ended");
    assert!(ended.contains(" reason=timeout "), "{ended}");
    drop(client);
    writing.join().unwrap();
}
