//! The real binary under abuse: kill -9, slow clients, floods, limits, no descriptors, its end.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::collections::HashSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use support::{Client, PATIENCE, Server, TempFolder, base_ini, gatepost, has_program};

/// The resident memory of a process, octets.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1024
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled_by_kill_9() {
    let mut server = Server::start("");
    let mut acknowledged = HashSet::new();
    for round in 0..12 {
        let address = server.tcp();
        let senders: Vec<_> = (0..4)
            .map(|sender| {
                std::thread::spawn(move || {
                    let mut done = Vec::new();
                    let Ok(stream) = TcpStream::connect(address) else {
                        return done;
                    };
                    let mut client = Lossy(stream);
                    if client.command(None, "220").is_none() {
                        return done;
                    }
                    client.command(Some("EHLO x"), "250");
                    for number in 0.. {
                        let tag = format!("tag-{round}-{sender}-{number}");
                        let id = client.message(&tag);
                        let Some(()) = id else { return done };
                        done.push(tag);
                    }
                    done
                })
            })
            .collect();
        // Long enough that some messages are in every state; the exact moment is the kernel's.
        let until = Instant::now() + Duration::from_millis(20 + 17 * round);
        while Instant::now() < until {
            std::thread::yield_now();
        }
        server.kill();
        for sender in senders {
            acknowledged.extend(sender.join().unwrap());
        }
        server.restart();
    }
    assert!(
        acknowledged.len() > 20,
        "only {} messages",
        acknowledged.len()
    );
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    let mut seen = HashSet::new();
    for file in server.new_mail("alice") {
        let text = fs::read_to_string(file).unwrap();
        let tag = text
            .lines()
            .find_map(|line| line.strip_prefix("Subject: "))
            .unwrap()
            .to_owned();
        assert!(text.ends_with("\nHello.\n"), "torn: {text:?}");
        assert!(seen.insert(tag.clone()), "delivered twice: {tag}");
    }
    let lost: Vec<_> = acknowledged.difference(&seen).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
}

/// A client whose server may die at any moment.
struct Lossy(TcpStream);

impl Lossy {
    fn command(&mut self, command: Option<&str>, want: &str) -> Option<()> {
        if let Some(command) = command {
            self.0.write_all(format!("{command}\r\n").as_bytes()).ok()?;
        }
        let mut reply = Vec::new();
        let mut buffer = [0; 1024];
        while !reply.ends_with(b"\r\n") || !last_line_ends_reply(&reply) {
            let count = self.0.read(&mut buffer).ok().filter(|count| *count > 0)?;
            reply.extend_from_slice(&buffer[..count]);
        }
        reply.starts_with(want.as_bytes()).then_some(())
    }

    fn message(&mut self, tag: &str) -> Option<()> {
        self.command(Some("MAIL FROM:<>"), "250")?;
        self.command(Some("RCPT TO:<alice@here.example>"), "250")?;
        self.command(Some("DATA"), "354")?;
        self.command(Some(&format!("Subject: {tag}\r\n\r\nHello.\r\n.")), "250")
    }
}

fn last_line_ends_reply(reply: &[u8]) -> bool {
    let text = String::from_utf8_lossy(reply);
    text.lines()
        .last()
        .is_some_and(|line| line.as_bytes().get(3) == Some(&b' '))
}

#[test]
fn kill_9_under_smtp_source_delivers_every_message_once() {
    if !has_program("smtp-source") {
        return;
    }
    let mut server = Server::start("");
    for _ in 0..5 {
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
        let mut source = Command::new("smtp-source");
        source
            .env("PATH", path)
            .args(["-s", "8", "-m", "100000", "-l", "2000"]);
        source.args(["-f", "a@there.example", "-t", "bob@here.example"]);
        let mut child = source
            .arg(server.tcp().to_string())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let had = server.new_mail("bob").len();
        let until = Instant::now() + PATIENCE;
        while server.new_mail("bob").len() < had + 50 {
            assert!(Instant::now() < until, "{}", server.log_text());
        }
        server.kill();
        let _ = child.kill();
        let _ = child.wait();
        server.restart();
    }
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    // Each message has a Message-Id of its own; two files with one would be a second copy.
    let mut ids = HashSet::new();
    for file in server.new_mail("bob") {
        let text = fs::read_to_string(file).unwrap();
        let id = text
            .lines()
            .find(|line| line.contains(" id "))
            .unwrap()
            .to_owned();
        assert!(ids.insert(id.clone()), "delivered twice: {id}");
    }
    assert!(ids.len() >= 250);
}

#[test]
fn slow_clients_in_every_state_hold_no_worker() {
    let server =
        Server::start("[workers]\nthreads = 1\n[connections]\nsessions_max_per_address = 0\n");
    let mut slow = Vec::new();
    for state in 0..4 {
        for _ in 0..25 {
            let mut client = match state {
                // Silent before its TLS hello.
                0 => Client::connect(server.tls()),
                _ => Client::greeted(server.tcp()),
            };
            match state {
                1 => client.send(b"EH"),
                2 => {
                    client.command("EHLO slow.example", "250");
                    client.command("MAIL FROM:<>", "250");
                    client.command("RCPT TO:<alice@here.example>", "250");
                    client.command("DATA", "354");
                    client.send(b"Subject: half a mess");
                }
                3 => {
                    client.command("EHLO slow.example", "250");
                    client.send(b"AUTH LOGIN\r\n");
                }
                _ => {}
            }
            slow.push(client);
        }
    }
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO quick.example", "250");
    client.message("bob@here.example", "Subject: quick\r\n\r\nHello.");
    server.wait_for_mail("bob", 1);
}

#[test]
fn a_client_that_never_reads_costs_bounded_memory_and_no_worker() {
    let server = Server::start("[workers]\nthreads = 1\n[connections]\nerror_limit = 0\n");
    let rude = Client::connect(server.tcp());
    rude.socket().set_nonblocking(true).unwrap();
    let commands = b"NOOP\r\n".repeat(10_000);
    let mut sent = 0;
    // Until neither kernel nor server takes any more.
    let mut idle = 0;
    while idle < 200 && sent < 256 << 20 {
        match rude.socket().write(&commands) {
            Ok(count) => {
                sent += count;
                idle = 0;
            }
            Err(_) => {
                idle += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
    assert!(sent < 256 << 20, "the server takes commands without end");
    let mut client = Client::greeted(server.tcp());
    client.command("NOOP", "250");
    assert!(
        resident(server.pid()) < 40 << 20,
        "{} octets",
        resident(server.pid())
    );
    let _ = rude.socket().shutdown(std::net::Shutdown::Both);
}

#[test]
fn endless_lines_cost_bounded_memory() {
    let server = Server::start("");
    let mut client = Client::greeted(server.tcp());
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..64 {
        client.send(&chunk);
    }
    client.send(b"\r\n");
    client.expect("500 5.5.2 Line too long");
    client.command("EHLO x", "250");
    client.command("MAIL FROM:<>", "250");
    client.command("RCPT TO:<alice@here.example>", "250");
    client.command("DATA", "354");
    for _ in 0..64 {
        client.send(&chunk);
    }
    client.send(b"\r\n.\r\n");
    client.expect("552 5.3.4 Message too large");
    assert!(
        resident(server.pid()) < 40 << 20,
        "{} octets",
        resident(server.pid())
    );
    client.command("NOOP", "250");
}

#[test]
fn large_messages_stream_through_files() {
    let server = Server::start("[limits]\nmail_memory = 1M\n");
    let address = server.tcp();
    let body = "0123456789abcde\r\n".repeat(10 << 16);
    let senders: Vec<_> = (0..4)
        .map(|_| {
            let body = body.clone();
            std::thread::spawn(move || {
                let mut client = Client::greeted(address);
                client.command("EHLO x", "250");
                client.message(
                    "alice@here.example",
                    &format!("Subject: large\r\n\r\n{body}"),
                );
            })
        })
        .collect();
    senders
        .into_iter()
        .for_each(|sender| sender.join().unwrap());
    for text in server.wait_for_mail("alice", 4) {
        let content = text.split_once("\n\n").unwrap().1;
        assert_eq!(content.trim_end(), body.replace("\r\n", "\n").trim_end());
    }
    assert!(
        resident(server.pid()) < 40 << 20,
        "{} octets",
        resident(server.pid())
    );
}

#[test]
fn limits_on_sessions_are_said_in_plain_words() {
    let mut server = Server::start("[connections]\nsessions_max_per_address = 2\n");
    let (mut first, _second) = (Client::greeted(server.tcp()), Client::greeted(server.tcp()));
    let mut third = Client::connect(server.tcp());
    third.expect("421 4.7.0 Too many sessions from your address");
    let line = server.wait_for_log("event=connection_refused");
    let told = "port=tcp reason=\"too many sessions from this address\"";
    assert!(line.contains(told), "{line}");
    assert_eq!(
        Client::connect(server.tls()).rest(),
        b"",
        "a TLS port closes without a word"
    );
    first.command("QUIT", "221");
    first.rest();
    let until = Instant::now() + PATIENCE;
    while !Client::connect(server.tcp()).reply().starts_with("220") {
        assert!(Instant::now() < until);
    }

    let server = Server::start("[connections]\nsessions_max = 1\n");
    let _first = Client::greeted(server.tcp());
    Client::connect(server.tcp()).expect("421 4.3.2 Too many sessions");
}

#[test]
fn timeouts_end_the_silent_and_the_trickling() {
    let ini = "[limits]\ncommand_timeout = 1s\ndata_timeout = 1s\nsession_timeout = 3s\n";
    let mut server = Server::start(ini);
    let mut silent = Client::greeted(server.tcp());
    silent.expect("421 4.4.2 Timeout");
    assert_eq!(silent.rest(), b"");
    let mut in_data = Client::greeted(server.tcp());
    in_data.command("EHLO x", "250");
    in_data.command("MAIL FROM:<>", "250");
    in_data.command("RCPT TO:<alice@here.example>", "250");
    in_data.command("DATA", "354");
    in_data.expect("421 4.4.2 Timeout");
    // One octet now and then restarts no command's time.
    let began = Instant::now();
    let mut trickling = Client::greeted(server.tcp());
    loop {
        let mut socket = trickling.socket();
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let mut buffer = [0; 64];
        match socket.read(&mut buffer) {
            Ok(count) if count > 0 => {
                assert!(buffer.starts_with(b"421 4.4.2 Timeout"));
                break;
            }
            _ => trickling.send(b"N"),
        }
        assert!(began.elapsed() < PATIENCE);
    }
    server.wait_for_log("reason=timeout");
}

#[test]
fn running_out_of_descriptors_is_weather() {
    let mut server =
        Server::start_with("[connections]\nsessions_max_per_address = 0\n", |command| {
            // The server raises its soft limit to the hard one, so the hard one is set.
            let program = command.get_program().to_owned();
            let arguments: Vec<_> = command.get_args().map(std::ffi::OsStr::to_owned).collect();
            let mut limited = Command::new("sh");
            limited.args(["-c", "ulimit -Hn 40; ulimit -n 40; exec \"$0\" \"$@\""]);
            limited.arg(program).args(arguments);
            limited
                .stderr(std::process::Stdio::piped())
                .stdin(std::process::Stdio::null());
            *command = limited;
        });
    let clients: Vec<_> = (0..60)
        .map(|_| TcpStream::connect(server.tcp()).unwrap())
        .collect();
    server.wait_for_log("event=accept_failed");
    drop(clients);
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO x", "250");
    client.message(
        "alice@here.example",
        "Subject: after the weather\r\n\r\nHello.",
    );
}

/// Takes half a minute: that is how long mail data may go on.
#[test]
fn mail_data_that_does_not_end_is_told_of_the_end_too() {
    let mut server = Server::start("");
    let mut busy = Client::greeted(server.tcp());
    let longer = Some(PATIENCE * 2);
    busy.socket().set_read_timeout(longer).unwrap();
    busy.command("EHLO x", "250");
    busy.command("MAIL FROM:<>", "250");
    busy.command("RCPT TO:<alice@here.example>", "250");
    busy.command("DATA", "354");
    busy.send(b"Subject: never\r\n");
    server.terminate();
    busy.expect("421 4.3.2 Service shutting down");
    assert_eq!(busy.rest(), b"");
    assert_eq!(server.wait(), Some(0));
    let log = server.log_text();
    assert!(log.contains("event=session_ended"), "{log}");
    assert_eq!(server.new_mail("alice").len(), 0);
}

#[test]
fn sigterm_lets_mail_data_end_and_tells_the_rest() {
    let mut server = Server::start("");
    let mut idle = Client::greeted(server.tcp());
    let mut busy = Client::greeted(server.tcp());
    busy.command("EHLO x", "250");
    busy.command("MAIL FROM:<>", "250");
    busy.command("RCPT TO:<alice@here.example>", "250");
    busy.command("DATA", "354");
    server.terminate();
    idle.expect("421 4.3.2 Service shutting down");
    assert!(
        TcpStream::connect(server.tcp()).is_err(),
        "the listener is still there"
    );
    busy.send(b"Subject: last\r\n\r\nHello.\r\n.\r\n");
    busy.expect("250 2.0.0 Queued as ");
    busy.expect("421 4.3.2 Service shutting down");
    assert_eq!(server.wait(), Some(0));
    assert_eq!(server.new_mail("alice").len(), 1);
}

#[test]
fn a_taken_port_and_a_taken_spool_are_told() {
    let server = Server::start("");
    let folder = TempFolder::new("second");
    let ini = |extra: &str| {
        let text = base_ini(server.address, server.folder.path(), extra);
        let path = folder.path().join("gatepost.ini");
        fs::write(&path, text).unwrap();
        let output = gatepost()
            .arg("serve")
            .arg("--config")
            .arg(path)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (code, text) = ini("");
    assert_eq!(code, Some(69), "{text}");
    assert!(text.contains("another program has it"), "{text}");
    let own = format!("[control]\nsocket = {}/control\n", folder.path().display());
    let (code, text) = ini(&own);
    assert_eq!(code, Some(69), "{text}");
    assert!(text.contains("another program has it"), "{text}");
    let ports = "[port:tcp]\nnumber = 2526\n[port:tls]\nnumber = 4466\n";
    let (code, text) = ini(&format!("{own}{ports}"));
    assert_eq!(code, Some(73), "{text}");
    assert!(text.contains("another gatepost uses the spool"), "{text}");
}

#[test]
fn a_spool_without_room_refuses_mail_early() {
    let server = Server::start("[limits]\nfree_space = 1000000M\n");
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO x", "250");
    client.command("MAIL FROM:<>", "452 4.3.1 Insufficient system storage");
}

#[test]
fn the_wrong_protocol_is_named_in_the_log() {
    let mut server = Server::start("");
    let mut client = Client::greeted(server.tcp());
    client.send(b"\x16\x03\x01\x02\x00\x01\x00");
    assert_eq!(client.rest(), b"");
    server.wait_for_log("the client wants TLS from the first octet");
    let mut client = Client::connect(server.tls());
    client.send(b"EHLO plain.example\r\n");
    client.rest();
    server.wait_for_log("plain text on a TLS port");
    let mut client = Client::greeted(server.tcp());
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    client.expect("500 ");
    server.wait_for_log("the client speaks HTTP");
}

#[test]
fn plaintext_behind_starttls_is_thrown_away() {
    let mut server = Server::start("");
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO x", "250");
    client.send(b"STARTTLS\r\nMAIL FROM:<>\r\nRCPT TO:<alice@here.example>\r\n");
    client.expect("220 2.0.0");
    let line = server.wait_for_log("event=plaintext_discarded");
    assert!(line.contains("octets=44"), "{line}");
}

#[test]
fn what_the_service_keeps_is_its_accounts_alone() {
    let ini = "[smarthost]\nhost = 127.0.0.1\nport = 9\ntls = none\n[port:tcp]\nname_and_password = yes\n";
    let mut server = Server::start(ini);
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    client.message("alice@here.example", "Subject: a\r\n\r\na\r\n");
    let large = format!("Subject: a\r\n\r\n{}", "a line\r\n".repeat(50_000));
    client.message("joe@there.example", &large);
    client.command("AUTH PLAIN AGFsaWNlAHdyb25n", "535");
    server.wait_for_mail("alice", 1);
    server.wait_for_event("relay_failed");
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    let root = server.folder.path();
    let mut found = Vec::new();
    let mut folders = vec![root.join("spool"), root.join("mail")];
    while let Some(folder) = folders.pop() {
        found.push(folder.clone());
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push(path),
            }
        }
    }
    for path in &found {
        let name = path.strip_prefix(root).unwrap().display().to_string();
        // Others pass through the spool to the drop folder, and leave files there.
        let want = match (name.as_str(), path.is_dir()) {
            ("spool", _) => 0o711,
            ("spool/drop", _) => 0o3733,
            (_, true) => 0o700,
            (_, false) => 0o600,
        };
        let mode = fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, want, "{name}: {mode:o}");
    }
    let names = [
        "spool/devices",
        "spool/queue/",
        "spool/log/",
        "mail/alice/Maildir/new/",
    ];
    for name in names {
        let is_there = found
            .iter()
            .any(|path| path.display().to_string().contains(name));
        assert!(is_there, "{name} in {found:#?}");
    }
}
