//! BDAT against the real binary: what comes of the octets, and of clients that stop amid them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::net::{Shutdown, SocketAddr};
use std::time::Instant;

use support::{Client, PATIENCE, Server};

const MIB: usize = 1 << 20;

/// A client with a recipient accepted.
fn ready(address: SocketAddr) -> Client {
    let mut client = Client::greeted(address);
    client.command("EHLO chunks.example", "250");
    begin(&mut client);
    client
}

fn begin(client: &mut Client) {
    client.command("MAIL FROM:<sender@there.example>", "250");
    client.command("RCPT TO:<alice@here.example>", "250");
}

fn chunk(client: &mut Client, last: &str, octets: &[u8], want: &str) {
    client.send(format!("BDAT {}{last}\r\n", octets.len()).as_bytes());
    client.send(octets);
    client.expect(want);
}

/// Lines of some megabytes.
fn lines(octets: usize) -> Vec<u8> {
    b"0123456789abcde\n"
        .repeat(octets / 16)
        .iter()
        .enumerate()
        .map(|(at, octet)| if at % 16 == 14 { b'\r' } else { *octet })
        .collect()
}

/// The messages in files of the spool.
fn queued(server: &Server) -> usize {
    let folder = server.folder.path().join("spool/queue");
    fs::read_dir(folder).map_or(0, Iterator::count)
}

fn wait_for_queued(server: &Server, count: usize) {
    let until = Instant::now() + PATIENCE;
    while queued(server) != count {
        assert!(Instant::now() < until, "{} files", queued(server));
        std::thread::yield_now();
    }
}

/// The most resident memory a process has had, octets.
fn peak(pid: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let word = line.unwrap().split_whitespace().nth(1).unwrap();
    word.parse::<usize>().unwrap() * 1024
}

#[test]
fn chunks_arrive_octet_for_octet() {
    let server = Server::start("");
    let mut client = ready(server.tcp());
    chunk(
        &mut client,
        "",
        b"Subject: chunks\r\n\r",
        "250 2.0.0 18 octets",
    );
    chunk(&mut client, "", b"\n.\r\n..\r\n", "250 2.0.0 8 octets");
    chunk(&mut client, "", b"", "250 2.0.0 0 octets");
    chunk(&mut client, " LAST", b"\xe4 no end", "250 2.0.0 Queued as ");
    begin(&mut client);
    let large = lines(3 * MIB);
    for part in large.chunks(MIB) {
        chunk(&mut client, "", part, "250 2.0.0 1048576 octets received");
    }
    client.command("BDAT 0 LAST", "250 2.0.0 Queued as ");
    server.wait_for_mail("alice", 2);
    let files = server.new_mail("alice");
    let mut contents: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    contents.sort_by_key(Vec::len);
    let [small, big] = &contents[..] else {
        panic!("{} messages", contents.len());
    };
    assert!(
        small.ends_with(b"\nSubject: chunks\n\n.\n..\n\xe4 no end\n"),
        "{}",
        small.escape_ascii()
    );
    let text: Vec<u8> = large.into_iter().filter(|octet| *octet != b'\r').collect();
    assert!(big.ends_with(&text), "the large message is another");
}

#[test]
fn what_is_too_large_is_swallowed_and_leaves_nothing() {
    let server = Server::start("[limits]\nmessage_size = 25M\nmail_memory = 1M\n");
    let mut client = ready(server.tcp());
    let part = lines(MIB);
    // All of it told at once: none of it is stored.
    client.send(format!("BDAT {} LAST\r\n", 30 * MIB).as_bytes());
    for _ in 0..30 {
        client.send(&part);
        assert_eq!(queued(&server), 0);
    }
    client.expect("552 5.3.4 Message too large");
    // Told bit by bit.
    begin(&mut client);
    for _ in 0..25 {
        chunk(&mut client, "", &part, "250 2.0.0 1048576 octets received");
    }
    assert_eq!(queued(&server), 1);
    for last in ["", "", " LAST"] {
        chunk(&mut client, last, &part, "552 5.3.4 Message too large");
        assert_eq!(queued(&server), 0, "what is spoilt goes at once");
    }
    begin(&mut client);
    chunk(
        &mut client,
        " LAST",
        b"Subject: a\r\n\r\nb\r\n",
        "250 2.0.0 Queued as ",
    );
    server.wait_for_mail("alice", 1);
    let peak = peak(server.pid());
    assert!(peak < 40 * MIB, "{peak} octets");
}

#[test]
fn a_client_that_stalls_amid_a_chunk_has_data_timeout() {
    let ini = "[limits]\nmail_memory = 1M\ndata_timeout = 1s\ncommand_timeout = 5m\n";
    let mut server = Server::start(ini);
    let mut client = ready(server.tcp());
    client.send(format!("BDAT {}\r\n", 2 * MIB).as_bytes());
    client.send(&lines(MIB));
    client.expect("421 4.4.2 Timeout");
    assert_eq!(client.rest(), b"");
    wait_for_queued(&server, 0);
    // One whose octets are for nothing has the same.
    let mut client = Client::greeted(server.tcp());
    client.send(b"BDAT 18446744073709551615\r\nQUIT\r\n");
    client.expect("421 4.4.2 Timeout");
    assert_eq!(client.rest(), b"");
    server.wait_for_log("reason=timeout");
}

#[test]
fn a_client_that_stops_amid_chunks_leaves_nothing() {
    let mut server = Server::start("[limits]\nmail_memory = 1M\n");
    let part = lines(MIB);
    // It dies, in a chunk and between two.
    for octets in [2 * MIB, MIB] {
        let mut client = ready(server.tcp());
        client.send(format!("BDAT {octets}\r\n").as_bytes());
        client.send(&part);
        wait_for_queued(&server, 1);
        client.socket().shutdown(Shutdown::Both).unwrap();
        wait_for_queued(&server, 0);
    }
    server.wait_for_log("reason=dropped");
    // It thinks better of it.
    let mut client = ready(server.tcp());
    chunk(&mut client, "", &part, "250 2.0.0 ");
    assert_eq!(queued(&server), 1);
    client.command("RSET", "250");
    wait_for_queued(&server, 0);
    client.command("QUIT", "221");
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    assert!(server.new_mail("alice").is_empty());
}

#[test]
fn a_server_killed_amid_chunks_has_taken_nothing() {
    let mut server = Server::start("[limits]\nmail_memory = 1M\n");
    let mut client = ready(server.tcp());
    chunk(&mut client, "", &lines(MIB), "250 2.0.0 ");
    server.kill();
    assert_eq!(queued(&server), 1);
    server.restart();
    wait_for_queued(&server, 0);
    let mut client = ready(server.tcp());
    chunk(
        &mut client,
        " LAST",
        b"Subject: a\r\n\r\nb\r\n",
        "250 2.0.0 Queued as ",
    );
    server.wait_for_mail("alice", 1);
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    assert_eq!(server.new_mail("alice").len(), 1);
}

#[test]
fn sigterm_lets_chunks_end_and_tells_the_rest() {
    let mut server = Server::start("");
    let mut idle = ready(server.tcp());
    let mut spoilt = ready(server.tcp());
    chunk(&mut spoilt, "", b"a\nb", "550 5.6.0");
    let mut within = ready(server.tcp());
    // The reply goes out once all of this has been looked at.
    within.send(b"NOOP\r\nBDAT 6 LAST\r\nabc");
    within.expect("250 2.0.0 OK");
    let mut between = ready(server.tcp());
    chunk(&mut between, "", b"Subject: a\r\n", "250 2.0.0 ");
    server.terminate();
    idle.expect("421 4.3.2 Service shutting down");
    spoilt.expect("421 4.3.2 Service shutting down");
    chunk(&mut between, "", b"\r\nb\r\n", "250 2.0.0 ");
    chunk(&mut between, " LAST", b"c\r\n", "250 2.0.0 Queued as ");
    between.expect("421 4.3.2 Service shutting down");
    within.send(b"d\r\n");
    within.expect("250 2.0.0 Queued as ");
    within.expect("421 4.3.2 Service shutting down");
    assert_eq!(server.wait(), Some(0));
    assert_eq!(server.new_mail("alice").len(), 2);
}
