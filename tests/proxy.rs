//! Connections through a proxy: the real binary hears PROXY headers of both versions, and lies about them.
//!
//! The test itself is the proxy, at 127.0.0.1; whoever is none connects from an address of its own.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gatepost::transport::client::ClientStream;

use support::fakedns::FakeDns;
use support::{Client, PATIENCE, Server, ini, own_address, source};

const PROXY: &str = "[port:tcp]\nproxy_from = 127.0.0.1\n[port:tls]\nproxy_from = 127.0.0.1\n";
const ONE: &str = "192.0.2.7:40000";
const OTHER: &str = "203.0.113.9:40000";
const FRONT: &str = "198.51.100.1:25";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// A header of version 1.
fn text(client: &str, front: &str) -> Vec<u8> {
    let (client, front): (SocketAddr, SocketAddr) =
        (client.parse().unwrap(), front.parse().unwrap());
    let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
    let ports = format!("{} {}", client.port(), front.port());
    format!("PROXY {family} {} {} {ports}\r\n", client.ip(), front.ip()).into_bytes()
}

/// A header of version 2 with a further value behind the addresses.
fn binary(client: &str, front: &str) -> Vec<u8> {
    let (client, front): (SocketAddr, SocketAddr) =
        (client.parse().unwrap(), front.parse().unwrap());
    let octets = |end: SocketAddr| match end.ip() {
        std::net::IpAddr::V4(four) => four.octets().to_vec(),
        std::net::IpAddr::V6(six) => six.octets().to_vec(),
    };
    let ports = [client.port().to_be_bytes(), front.port().to_be_bytes()].concat();
    let further = [4, 0, 3, 1, 2, 3].to_vec();
    let block = [octets(client), octets(front), ports, further].concat();
    let family = if client.is_ipv4() { 0x11 } else { 0x21 };
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n\x21"[..], &[family], &length, &block].concat()
}

fn begin(address: SocketAddr, header: &[u8]) -> Client {
    let mut client = Client::connect(address);
    client.send(header);
    client
}

fn greeted(server: &Server, client: &str) -> Client {
    let mut client = begin(server.tcp(), &text(client, FRONT));
    client.expect("220 ");
    client
}

fn hello(server: &Server, client: &str) -> Client {
    let mut client = greeted(server, client);
    client.command("EHLO there.example", "250");
    client
}

/// The list of sessions, once it is as wanted: a connection has to be accepted before it is in it.
fn listed_once(server: &Server, is_so: impl Fn(&str) -> bool) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        let listed = server.command(&["sessions"]).output;
        if is_so(&listed) {
            return listed;
        }
        assert!(Instant::now() < until, "{listed}");
    }
}

fn lines<'a>(log: &'a str, needle: &str) -> Vec<&'a str> {
    log.lines().filter(|line| line.contains(needle)).collect()
}

#[test]
fn both_versions_and_families_tell_the_client() {
    let mut server = Server::start(PROXY);
    let rows = [
        (text(ONE, FRONT), ONE, "[192.0.2.7]"),
        (binary(ONE, FRONT), ONE, "[192.0.2.7]"),
        (
            text("[2001:db8::7]:40000", "[2001:db8::1]:25"),
            "[2001:db8::7]:40000",
            "[IPv6:2001:db8::7]",
        ),
        (
            binary("[2001:db8::7]:40000", "[2001:db8::1]:25"),
            "[2001:db8::7]:40000",
            "[IPv6:2001:db8::7]",
        ),
        (
            binary("[::ffff:192.0.2.7]:40000", "[::ffff:192.0.2.1]:25"),
            ONE,
            "[192.0.2.7]",
        ),
    ];
    let count = rows.len();
    for (header, _, _) in &rows {
        let mut client = begin(server.tcp(), header);
        client.expect("220 mx.here.example ESMTP ready");
        client.command("EHLO there.example", "250");
        client.message("alice@here.example", "Hello.");
        client.command("QUIT", "221");
    }
    let mails = server.wait_for_mail("alice", count);
    let log = server.whole_log();
    let ended = lines(&log, "event=session_ended");
    for (at, (_, client, literal)) in rows.iter().enumerate() {
        let told = format!("sid=0000000{at} client={client} proxy=127.0.0.1 port=tcp");
        assert!(ended[at].contains(&told), "{told}: {log}");
        let from = format!("from there.example ({literal}");
        let traced = mails.iter().filter(|mail| mail.contains(&from)).count();
        let wanted = rows.iter().filter(|row| row.2 == *literal).count();
        assert_eq!(traced, wanted, "{from}: {mails:?}");
    }
    assert!(!log.contains("proxy_header_invalid"), "{log}");
}

#[test]
fn a_header_may_come_octet_by_octet_or_with_all_that_follows() {
    let server = Server::start(PROXY);
    for header in [text(ONE, FRONT), binary(ONE, FRONT)] {
        let mut slow = Client::connect(server.tcp());
        for octet in &header {
            slow.send(&[*octet]);
        }
        slow.expect("220 ");
        let mut hasty = Client::connect(server.tcp());
        hasty.send(&[&header[..], b"EHLO there.example\r\nNOOP\r\nQUIT\r\n"].concat());
        for start in ["220 ", "250-mx.here.example", "250 ", "221 "] {
            hasty.expect(start);
        }
        assert_eq!(hasty.rest(), b"");
    }
}

#[test]
fn nothing_is_said_before_the_header_is_complete() {
    let server = Server::start(PROXY);
    let header = binary(ONE, FRONT);
    let (last, begun) = header.split_last().unwrap();
    let mut client = Client::connect(server.tcp());
    client.send(begun);
    let socket = client.socket();
    socket
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    assert!(socket.peek(&mut [0; 1]).is_err(), "it spoke too early");
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    client.send(&[*last]);
    client.expect("220 ");
}

#[test]
fn on_a_tls_port_the_header_comes_before_tls() {
    let mut server = Server::start(PROXY);
    for header in [text(ONE, FRONT), binary(ONE, FRONT)] {
        let mut stream = ClientStream::connect(server.tls(), PATIENCE).unwrap();
        stream.write_all(&header).unwrap();
        let mut stream = stream
            .start_tls("mx.here.example", ini::certificate())
            .unwrap();
        stream.write_all(b"EHLO there.example\r\nQUIT\r\n").unwrap();
        stream.flush().unwrap();
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        let said = String::from_utf8_lossy(&said);
        assert!(
            said.starts_with("220 ") && said.contains("\r\n221 "),
            "{said}"
        );
    }
    let log = server.whole_log();
    let told = "client=192.0.2.7:40000 proxy=127.0.0.1 port=tls reason=quit";
    assert_eq!(lines(&log, told).len(), 2, "{log}");
}

/// The header and the TLS hello in one segment: what is behind the header must not be lost.
#[test]
fn a_tls_hello_right_behind_the_header_is_answered() {
    let server = Server::start(PROXY);
    // What a client of OpenSSL sends first is a record of type 22; a broken one is answered by an alert.
    let mut socket = TcpStream::connect(server.tls()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
        .write_all(&[&text(ONE, FRONT)[..], &[22, 3, 1, 0, 4, 1, 0, 0, 0]].concat())
        .unwrap();
    let mut said = [0; 7];
    socket.read_exact(&mut said).unwrap();
    assert_eq!(said[..3], [21, 3, 3], "no alert of TLS: {said:?}");
}

#[test]
fn a_stalled_header_holds_no_worker_and_ends_in_time() {
    let mut server = Server::start(&format!(
        "{PROXY}[workers]\nthreads = 1\n[limits]\ncommand_timeout = 5s\n"
    ));
    let header = text(ONE, FRONT);
    let (head, tail) = header.split_at(20);
    let began = Instant::now();
    let mut stalled: Vec<_> = (0..40).map(|_| begin(server.tcp(), head)).collect();
    let mut silent = Client::connect(server.tls());
    for _ in 0..20 {
        hello(&server, OTHER).message("alice@here.example", "Hello.");
    }
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    let listed = server.command(&["sessions"]).output;
    assert!(listed.contains("client=127.0.0.1:"), "{listed}");
    assert!(listed.contains("state=proxy-header"), "{listed}");
    let mut late = stalled.pop().unwrap();
    late.send(tail);
    late.expect("220 ");
    for client in &mut stalled {
        assert_eq!(client.rest(), b"");
    }
    assert_eq!(silent.rest(), b"");
    drop(late);
    let log = server.whole_log();
    let told = "proxy=127.0.0.1 port=tcp reason=\"no header came in time\"";
    assert_eq!(lines(&log, told).len(), 39, "{log}");
    let told = "proxy=127.0.0.1 port=tls reason=\"no header came in time\"";
    assert_eq!(lines(&log, told).len(), 1, "{log}");
}

#[test]
fn from_elsewhere_a_header_is_an_unknown_command() {
    let server = Server::start(PROXY);
    let std::net::IpAddr::V4(elsewhere) = own_address() else {
        unreachable!()
    };
    let mut client = Client::greeted_from(elsewhere, server.tcp());
    client.command("PROXY TCP4 192.0.2.7 198.51.100.1 40000 25", "500 ");
    client.command("EHLO there.example", "250");
    let listed = server.command(&["sessions"]).output;
    assert!(listed.contains(&format!("client={elsewhere}:")), "{listed}");
    assert!(!listed.contains("192.0.2.7"), "{listed}");
    // And where nobody is listed, nobody is trusted.
    let server = Server::start("");
    let mut client = Client::greeted(server.tcp());
    client.command("PROXY TCP4 192.0.2.7 198.51.100.1 40000 25", "500 ");
}

#[test]
fn what_is_no_header_is_closed_without_a_word() {
    let mut server = Server::start(PROXY);
    let long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(92));
    let mut udp = binary(ONE, FRONT);
    udp[13] = 0x12;
    let mut too_long = binary(ONE, FRONT);
    too_long[14] = 0x08;
    too_long[15] = 0x01;
    let rows: [(&[u8], &str); 8] = [
        (b"EHLO there.example\r\n", "no PROXY header"),
        (b"\x16\x03\x01", "no PROXY header"),
        (
            b"PROXY TCP4 192.0.2.7 nowhere 40000 25\r\n",
            "addresses or ports that are none",
        ),
        (
            b"PROXY UDP4 192.0.2.7 198.51.100.1 40000 25\r\n",
            "neither TCP4, TCP6 nor UNKNOWN",
        ),
        (
            b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 25\n",
            "a bare CR or LF",
        ),
        (long.as_bytes(), "no line end within 107 octets"),
        (&udp, "an unknown family, or datagrams"),
        (&too_long, "more than 2048 octets announced"),
    ];
    for (octets, reason) in rows {
        for address in [server.tcp(), server.tls()] {
            let mut client = begin(address, octets);
            assert_eq!(client.rest(), b"", "{reason}");
        }
    }
    let half = begin(server.tcp(), b"PROXY TCP4 192");
    half.socket().shutdown(Shutdown::Write).unwrap();
    server.wait_for_log("reason=\"it ended within the header\"");
    let log = server.whole_log();
    for (_, reason) in rows {
        let told = format!("reason=\"{reason}\"");
        let found = lines(&log, "event=proxy_header_invalid");
        let found = found.iter().filter(|line| line.contains(&told));
        assert!(found.count() >= 2, "{reason}: {log}");
    }
    assert!(!log.contains("event=session_ended"), "{log}");
}

/// HAProxy looks every few seconds whether somebody is here: by nothing but a connection, by LOCAL and EHLO, or
/// with its own address.
#[test]
fn checks_of_the_proxy_itself_are_greeted_and_stay_out_of_the_log() {
    let mut server = Server::start(&format!(
        "{PROXY}[connections]\nsessions_max_per_address = 1\n"
    ));
    let mut open = Vec::new();
    for header in [
        LOCAL,
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN ffff f..f 1 2\r\n",
    ] {
        let mut check = begin(server.tcp(), header);
        check.expect("220 ");
        check.command("EHLO check.example", "250");
        open.push(check);
        let mut check = begin(server.tcp(), header);
        check.expect("220 ");
        check.command("QUIT", "221");
        assert_eq!(check.rest(), b"");
    }
    open.push(greeted(&server, "127.0.0.1:5"));
    drop(open);
    for address in [server.tcp(), server.tls()] {
        drop(Client::connect(address));
        drop(begin(address, LOCAL));
    }
    // Whoever does something is told of, and as the proxy itself.
    let mut own = begin(server.tcp(), LOCAL);
    own.expect("220 ");
    own.command("EHLO proxy.example", "250");
    own.message("alice@here.example", "Hello.");
    own.command("QUIT", "221");
    let log = server.whole_log();
    let ended = lines(&log, "event=session_ended");
    assert_eq!(ended.len(), 1, "{log}");
    assert!(ended[0].contains("client=127.0.0.1:"), "{log}");
    assert!(!ended[0].contains("proxy="), "{log}");
    assert!(!log.contains("proxy_header_invalid"), "{log}");
    assert!(!log.contains("connection_refused"), "{log}");
}

#[test]
fn limits_per_address_count_the_client_of_the_header() {
    let mut server = Server::start(&format!(
        "{PROXY}[connections]\nsessions_max_per_address = 2\n"
    ));
    let (first, second) = (hello(&server, ONE), hello(&server, ONE));
    let mut third = begin(server.tcp(), &text("192.0.2.7:40001", FRONT));
    third.expect("421 4.7.0 Too many sessions from your address");
    assert_eq!(third.rest(), b"");
    let mut third = begin(server.tls(), &text("192.0.2.7:40002", FRONT));
    assert_eq!(third.rest(), b"");
    hello(&server, OTHER);
    server.wait_for_log("client=192.0.2.7:40001 port=tcp reason=\"too many sessions from this");
    server.wait_for_log("client=192.0.2.7:40002 port=tls reason=\"too many sessions from this");
    drop(first);
    let until = Instant::now() + PATIENCE;
    loop {
        let mut again = begin(server.tcp(), &text(ONE, FRONT));
        if again.reply().starts_with("220 ") {
            break;
        }
        assert!(Instant::now() < until, "its place is not given back");
    }
    drop(second);
    assert!(server.command(&["status"]).output.contains("sessions"));
}

#[test]
fn sessions_of_one_ipv6_network_are_one_clients_and_those_of_internal_hosts_are_not() {
    let internal = "[relay]\ninternal = 2001:db8:7::/64, 127.0.0.1\n";
    let limit = "[connections]\nsessions_max_per_address = 2\n";
    let mut server = Server::start(&format!("{PROXY}{internal}{limit}"));
    let from = |client: &str| text(&format!("[{client}]:40000"), "[2001:db8::1]:25");
    let mut open = Vec::new();
    for number in 1..=2 {
        let mut client = begin(server.tcp(), &from(&format!("2001:db8:1:2::{number}")));
        client.expect("220 ");
        open.push(client);
    }
    let mut third = begin(server.tcp(), &from("2001:db8:1:2:aaaa::3"));
    third.expect("421 4.7.0 Too many sessions from your address");
    server.wait_for_log("client=[2001:db8:1:2:aaaa::3]:40000 port=tcp reason=\"too many sessions");
    for number in 1..=9 {
        for single in ["2001:db8:7::", "fe80::"] {
            let mut client = begin(server.tcp(), &from(&format!("{single}{number}")));
            client.expect("220 ");
            open.push(client);
        }
        let mut other = begin(server.tcp(), &from(&format!("2001:db8:2:{number}::1")));
        other.expect("220 ");
        open.push(other);
    }
}

#[test]
fn the_limit_in_all_counts_from_the_connection_on() {
    let server = Server::start(&format!("{PROXY}[connections]\nsessions_max = 2\n"));
    let stalled = [Client::connect(server.tcp()), Client::connect(server.tcp())];
    Client::connect(server.tcp()).expect("421 4.3.2 Too many sessions");
    drop(stalled);
}

#[test]
fn failed_logins_slow_down_the_client_of_the_header() {
    let server = Server::start(&format!(
        "{PROXY}[auth]\nattempts_max = 20\n[port:tcp]\nname_and_password = yes\n"
    ));
    let login = |user: &str, password: &str| {
        let text = format!("\0{user}\0{password}");
        format!("AUTH PLAIN {}", STANDARD.encode(text))
    };
    let mut sessions: Vec<_> = (0..12).map(|_| hello(&server, OTHER)).collect();
    for (number, session) in sessions.iter_mut().enumerate() {
        let guess = login(&format!("user{number}"), "guess");
        session.send(format!("{guess}\r\n").as_bytes());
    }
    for session in &mut sessions {
        session.reply();
    }
    let right = login("alice", "wonderland");
    hello(&server, OTHER).command(&right, "454 4.7.0");
    hello(&server, ONE).command(&right, "235");
}

#[test]
fn lists_of_hosts_see_the_client_of_the_header() {
    let server = Server::start(&format!(
        "{PROXY}[relay]\nallow_hosts = 192.0.2.0/24\n[blacklist]\nhosts = 203.0.113.0/24\n\
         [smarthost]\nhost = 127.0.0.1\nport = 1\ntls = none\n"
    ));
    let outside = |mut client: Client, want: &str| {
        client.command("MAIL FROM:<sender@there.example>", "250");
        client.command("RCPT TO:<somebody@outside.example>", want);
    };
    outside(hello(&server, ONE), "250 ");
    // The proxy is on this machine, which is internal; its clients are not.
    outside(hello(&server, "198.51.100.9:1"), "554 5.7.1");
    begin(server.tcp(), &text(OTHER, FRONT)).expect("554 Connection denied");
    let mut own = begin(server.tcp(), LOCAL);
    own.expect("220 ");
    own.command("EHLO proxy.example", "250");
    // Nobody knows whom it speaks for, so what the proxy's address may counts for nothing.
    outside(own, "554 5.7.1");
    // One with the proxy's own address is the proxy's word for it.
    outside(hello(&server, "127.0.0.1:4000"), "250 ");
}

/// A header of the kind LOCAL or UNKNOWN is favoured by no list that holds the proxy.
#[test]
fn a_client_that_the_proxy_does_not_know_is_on_no_list_that_favours() {
    let outside = "[smarthost]\nhost = 127.0.0.1\nport = 1\ntls = none\n";
    let rcpt = "RCPT TO:<somebody@outside.example>";
    for relay in [
        "internal = 127.0.0.0/8",
        "internal =\nallow_hosts = 127.0.0.0/8",
        "internal =\nexclude_hosts = 127.0.0.0/8",
    ] {
        let server = Server::start(&format!("{PROXY}{outside}[relay]\n{relay}\n"));
        let tried = |mut client: Client, want: &str| {
            client.command("EHLO there.example", "250");
            client.command("MAIL FROM:<sender@there.example>", "250");
            client.command(rcpt, want);
        };
        for header in [LOCAL, b"PROXY UNKNOWN\r\n"] {
            let mut client = begin(server.tcp(), header);
            client.expect("220 ");
            tried(client, "554 5.7.1");
        }
        tried(greeted(&server, "127.0.0.1:4000"), "250 ");
        tried(greeted(&server, ONE), "554 5.7.1");
    }
    let server = Server::start(&format!("{PROXY}[connections]\nallow = 127.0.0.0/8\n"));
    begin(server.tcp(), b"PROXY UNKNOWN\r\n").expect("554 Connection denied");
    greeted(&server, "127.0.0.1:4000");
    let login = "[port:tcp]\nname_and_password = yes\n[auth]\nplaintext_from = 127.0.0.0/8\n";
    let server = Server::start(&format!("{PROXY}{login}"));
    let mut unknown = begin(server.tcp(), LOCAL);
    unknown.expect("220 ");
    unknown.command("EHLO there.example", "250");
    unknown.command("AUTH PLAIN AGFsaWNlAHdvbmRlcmxhbmQ=", "538 5.7.11");
    let mut told = greeted(&server, "127.0.0.1:4000");
    told.command("EHLO there.example", "250");
    told.command("AUTH PLAIN AGFsaWNlAHdvbmRlcmxhbmQ=", "235");
    // A list that refuses counts all the same.
    let server = Server::start(&format!("{PROXY}[connections]\ndeny = 127.0.0.0/8\n"));
    begin(server.tcp(), LOCAL).expect("554 Connection denied");
}

/// Neither exempt from `unknown_max` by the default lists and those of hosts, nor told reasons.
#[test]
fn a_client_that_the_proxy_does_not_know_is_slowed_down() {
    let limit = "[recipients]\nunknown_max = 1\n[connections]\nexplain_to = 127.0.0.0/8\n";
    let none = "internal =\n[auth]\nthrottle_exempt =\n[relay]\n";
    let lists = [
        String::new(),
        format!("[relay]\n{none}exclude_hosts = 127.0.0.0/8\n"),
        format!("[relay]\n{none}[whitelist]\nhosts = 127.0.0.0/8\n"),
    ];
    for list in lists {
        let server = Server::start(&format!("{PROXY}{limit}{list}"));
        let mut unknown = begin(server.tcp(), LOCAL);
        unknown.expect("220 ");
        unknown.command("EHLO there.example", "250");
        unknown.command("MAIL FROM:<sender@there.example>", "250");
        let said = unknown.command("RCPT TO:<nobody1@here.example>", "550");
        assert_eq!(said, "550 5.1.1 User unknown\r\n", "{list}");
        let began = Instant::now();
        unknown.command("RCPT TO:<nobody2@here.example>", "550 5.1.1");
        assert!(began.elapsed() >= Duration::from_secs(5), "{list}");
        unknown.command("RCPT TO:<nobody3@here.example>", "421 4.7.0");
        let mut told = hello(&server, "127.0.0.1:4000");
        told.command("MAIL FROM:<sender@there.example>", "250");
        let said = told.command("RCPT TO:<nobody@here.example>", "550 5.1.1");
        assert_ne!(said, "550 5.1.1 User unknown\r\n", "{list}");
    }
}

#[test]
fn dns_lists_are_asked_for_the_client_of_the_header() {
    let Some(dns) = FakeDns::new(&["A 9.113.0.203.list.example 127.0.0.2"]) else {
        return;
    };
    let ini = format!("{PROXY}[dnsbl]\nzones = list.example\n");
    let mut server = Server::start_with(&ini, |command| dns.preload(command));
    // The look-up holds the session, and what is behind the header waits for it.
    let mut listed = begin(
        server.tcp(),
        &[&binary(OTHER, FRONT)[..], b"QUIT\r\n"].concat(),
    );
    listed.expect("554 ");
    listed.expect("221 ");
    hello(&server, ONE);
    let line = server.wait_for_event("client_refused");
    assert!(line.contains(&format!("client={OTHER} ")), "{line}");
}

#[test]
fn a_stalled_header_ends_with_the_service_and_by_the_operator() {
    let mut server = Server::start(PROXY);
    let mut stalled = begin(server.tcp(), b"PROXY TCP4 192");
    let listed = listed_once(&server, |list| list.contains("state=proxy-header"));
    let id = listed.strip_prefix("id=").unwrap().split(' ').next();
    let said = server.command(&["sessions", "kill", id.unwrap()]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(stalled.rest(), b"");
    let mut stalled = begin(server.tcp(), b"PROXY TCP4 192");
    let mut silent = Client::connect(server.tls());
    listed_once(&server, |list| {
        list.matches("state=proxy-header").count() == 2
    });
    let began = Instant::now();
    let log = server.whole_log();
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "it waits for them"
    );
    assert_eq!(stalled.rest(), b"");
    assert_eq!(silent.rest(), b"");
    assert!(!log.contains("proxy_header_invalid"), "{log}");
}

#[test]
fn the_site_is_chosen_by_where_the_client_connected_to() {
    let server = Server::start(&format!(
        "{PROXY}[server]\nload_internet_sites = yes\n\
         [site:main]\naddresses = 198.51.100.1, 2001:db8::1\ntcp_anonymous = yes\n"
    ));
    begin(server.tcp(), &text(ONE, FRONT)).expect("220 ");
    begin(server.tcp(), &binary("[2001:db8::7]:1", "[2001:db8::1]:25")).expect("220 ");
    begin(server.tcp(), &text(ONE, "198.51.100.2:25")).expect("554 This site is not enabled");
    begin(server.tcp(), LOCAL).expect("554 This site is not enabled");
}

#[test]
fn the_list_of_sessions_has_client_and_proxy() {
    let server = Server::start(PROXY);
    let client = hello(&server, ONE);
    let listed = listed_once(&server, |list| list.contains("proxy=127.0.0.1"));
    assert!(listed.contains(&format!("client={ONE} ")), "{listed}");
    let listed = server.command(&["sessions", "--json"]).output;
    assert!(listed.contains("\"proxy\":\"127.0.0.1\""), "{listed}");
    drop(client);
    let stalled = Client::connect(server.tcp());
    listed_once(&server, |list| list.contains("state=proxy-header"));
    drop(stalled);
}

#[test]
fn a_refresh_changes_who_is_a_proxy_for_new_connections() {
    let server = Server::start("");
    Client::greeted(server.tcp());
    server.configure(PROXY);
    let said = server.command(&["reload"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.output.contains("proxy_from"), "{said:?}");
    let mut kept = hello(&server, ONE);
    server.configure("");
    assert_eq!(server.command(&["reload"]).code, Some(0));
    Client::greeted(server.tcp());
    kept.command("NOOP", "250");
}

/// What is cut off at any moment leaves no place taken.
#[test]
fn connections_that_end_early_give_their_places_back() {
    let mut server = Server::start(&format!("{PROXY}[connections]\nsessions_max = 8\n"));
    let header = binary(ONE, FRONT);
    for cut in 0..=header.len() {
        drop(begin(server.tcp(), &header[..cut]));
        let until = Instant::now() + PATIENCE;
        loop {
            let mut client = begin(server.tcp(), &header);
            if client.reply().starts_with("220 ") {
                break;
            }
            assert!(Instant::now() < until, "a place is not given back");
        }
    }
    let log = server.whole_log();
    assert!(lines(&log, "event=stopping sessions=").len() == 1, "{log}");
}

/// A listed IPv4 proxy is the same to a socket of IPv6; here only that the list takes both.
#[test]
fn a_proxy_may_be_listed_by_its_network() {
    let six = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
    for listed in ["127.0.0.0/30".to_owned(), format!("{six}")] {
        let server = Server::start(&format!(
            "[port:tcp]\nproxy_from = 2001:db8::/32, {listed}\n"
        ));
        greeted(&server, ONE);
    }
    let server = Server::start("[port:tcp]\nproxy_from = 127.0.0.2\n");
    let mut client = Client::over(source::connect_from(
        Ipv4Addr::new(127, 0, 0, 2),
        server.tcp(),
    ));
    client.send(&text(ONE, FRONT));
    client.expect("220 ");
}
