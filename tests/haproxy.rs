//! HAProxy in front of two boxes, by `conf/haproxy.cfg` and `conf/recipes/behind-haproxy.ini` as they are, but for
//! addresses, port numbers and paths.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::{PATIENCE, Server, TCP_PORT, TLS_PORT, TempFolder, has_program, own_address};

/// A port number nobody has on any address.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

fn shipped(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("conf")
        .join(name);
    fs::read_to_string(path).unwrap()
}

/// One box by the recipe.
struct Node {
    server: Server,
    submission: u16,
}

impl Node {
    fn start() -> Self {
        let recipe = shipped("recipes/behind-haproxy.ini");
        let recipe = recipe.replace("192.0.2.10", "127.0.0.1");
        let lines = recipe.lines().filter(|line| !line.starts_with('#'));
        let recipe = lines.collect::<Vec<_>>().join("\n");
        let submission = free_port();
        let own = format!(
            "[server]\nlocal_domains = here.example\n[port:tcp]\nnumber = {TCP_PORT}\n\
             [port:tls]\nnumber = {TLS_PORT}\n[port:submission]\nnumber = {submission}\n\
             [tls]\ncertificate = {}\nprivate_key = {}\n[delivery]\nlocal = maildir\n\
             [limits]\nfree_space = 1M\n",
            support::data("p256.crt").display(),
            support::data("p256.key").display(),
        );
        Self {
            server: Server::start(&format!("{recipe}\n{own}")),
            submission,
        }
    }

    /// Sessions since its start.
    fn sessions(&self) -> u64 {
        let status = self.server.command(&["status"]).output;
        let (_, counters) = status.split_once("\ncounters sessions=").unwrap();
        counters.split(' ').next().unwrap().parse().unwrap()
    }

    /// The subjects of what alice has.
    fn subjects(&self) -> Vec<String> {
        let files = self.server.new_mail("alice");
        let texts = files.iter().map(|file| fs::read_to_string(file).unwrap());
        texts
            .map(|text| {
                let mut lines = text.lines();
                let subject = lines.find_map(|line| line.strip_prefix("Subject: "));
                subject.unwrap().to_owned()
            })
            .collect()
    }
}

/// HAProxy with two boxes behind it.
struct Front {
    address: IpAddr,
    child: Child,
    _folder: TempFolder,
}

impl Front {
    /// `None` where there is no HAProxy, or it could not become its account.
    fn start(boxes: &[&Node; 2]) -> Option<Self> {
        if !has_program("haproxy") {
            return None;
        }
        if fs::metadata("/proc/self").unwrap().uid() != 0 {
            eprintln!("SKIPPED: not root");
            return None;
        }
        let folder = TempFolder::new("haproxy");
        let address = own_address();
        let mut text = shipped("haproxy.cfg");
        for (port, own) in [(25, 25), (587, 587), (465, 465)] {
            text = replaced(
                &text,
                &format!("bind *:{port}"),
                &format!("bind {address}:{own}"),
            );
        }
        for (number, node) in boxes.iter().enumerate() {
            let named = format!("192.0.2.1{}", number + 1);
            for (port, own) in [(25, TCP_PORT), (587, node.submission), (465, TLS_PORT)] {
                let own = format!("{}:{own}", node.server.address);
                text = replaced(&text, &format!("{named}:{port}"), &own);
            }
        }
        let file = folder.path().join("haproxy.cfg");
        fs::write(&file, text).unwrap();
        let checked = haproxy().arg("-c").arg("-f").arg(&file).output().unwrap();
        assert!(checked.status.success(), "{checked:?}");
        let child = haproxy()
            .arg("-db")
            .arg("-f")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let front = Self {
            address,
            child,
            _folder: folder,
        };
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect((address, 25)).is_err() {
            assert!(Instant::now() < until, "HAProxy does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(front)
    }

    fn port(&self, number: u16) -> String {
        format!("{}:{number}", self.address)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn haproxy() -> Command {
    Command::new("/usr/sbin/haproxy")
}

fn replaced(text: &str, old: &str, new: &str) -> String {
    assert_eq!(text.matches(old).count(), 1, "{old}");
    text.replace(old, new)
}

/// The first line with all of these in the log of either box.
fn logged(boxes: &mut [&mut Node; 2], needles: &[&str]) -> String {
    let until = Instant::now() + PATIENCE;
    let holds = |line: &&str| needles.iter().all(|needle| line.contains(needle));
    loop {
        let logs = boxes.iter().map(|node| node.server.log_text());
        let logs = logs.collect::<Vec<_>>().join("\n");
        if let Some(line) = logs.lines().find(holds) {
            return line.to_owned();
        }
        assert!(Instant::now() < until, "no line has {needles:?}: {logs}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn boxes_behind_haproxy_know_their_clients_and_its_checks_leave_no_trace() {
    let (mut one, mut two) = (Node::start(), Node::start());
    let Some(front) = Front::start(&[&one, &two]) else {
        return;
    };
    let swaks = has_program("swaks");
    let login = ["--auth-user", "alice", "--auth-password", "wonderland"];
    let ways: [(u16, &[&str]); 4] = [
        (25, &[]),
        (25, &["--tls"]),
        (587, &["--tls", "--auth", "PLAIN"]),
        (465, &["--tlsc", "--auth", "PLAIN"]),
    ];
    let mut clients = Vec::new();
    for (port, options) in ways.iter().filter(|_| swaks) {
        let from = own_address().to_string();
        let mut swaks = Command::new("swaks");
        swaks
            .args(["--server", &front.port(*port), "--local-interface", &from])
            .args(["--from", "alice@here.example", "--to", "alice@here.example"])
            .args(*options);
        if options.contains(&"--auth") {
            swaks.args(login);
        }
        let output = swaks.output().unwrap();
        assert!(output.status.success(), "{port}: {output:?}");
        clients.push(from);
    }
    if has_program("python3") {
        let from = own_address().to_string();
        let script = format!(
            "import smtplib\n\
             s = smtplib.SMTP('{}', 587, source_address=('{from}', 0))\n\
             s.starttls()\n\
             s.login('alice', 'wonderland')\n\
             s.sendmail('alice@here.example', ['alice@here.example'], 'Subject: x\\r\\n\\r\\nx\\r\\n')\n\
             s.quit()\n",
            front.address
        );
        let output = Command::new("python3")
            .args(["-c", &script])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        clients.push(from);
    }
    for client in &clients {
        let needles = ["event=session_ended", &format!("client={client}:")];
        let line = logged(&mut [&mut one, &mut two], &needles);
        assert!(line.contains(" proxy=127.0.0.1 "), "{line}");
        assert!(line.contains(" messages=1 "), "{line}");
    }
    // Both boxes are asked again and again, and say nothing of it.
    let until = Instant::now() + PATIENCE;
    let (first, second) = (one.sessions() + 3, two.sessions() + 3);
    while one.sessions() < first || two.sessions() < second {
        assert!(Instant::now() < until, "nobody checks");
        std::thread::sleep(Duration::from_millis(100));
    }
    for node in [&mut one, &mut two] {
        node.server.terminate();
        assert_eq!(node.server.wait(), Some(0));
        node.server.wait_for_event("stopped");
        let log = node.server.log_text();
        let checks = log
            .lines()
            .filter(|line| line.contains("client=127.0.0.1:"));
        assert_eq!(checks.count(), 0, "{log}");
        for trouble in [
            "proxy_header_invalid",
            "client_misbehaves",
            "refused",
            "suppressed",
        ] {
            assert!(!log.contains(trouble), "{trouble}: {log}");
        }
    }
}

/// Sends messages one after the other until it is told to stop; gives the tags of those with a 250.
fn send_on(
    front: (IpAddr, u16),
    sender: usize,
    stop: &AtomicBool,
    sent: &AtomicUsize,
) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let tag = format!("tag-{sender}-{number}");
        if send(front, &tag).is_some() {
            acknowledged.push(tag);
            sent.fetch_add(1, Ordering::Relaxed);
        }
    }
    acknowledged
}

/// One session with one message; nothing where it is cut anywhere.
fn send(front: (IpAddr, u16), tag: &str) -> Option<()> {
    let mut stream = TcpStream::connect(front).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let content = format!("Subject: {tag}\r\n\r\nHello.\r\n.");
    let dialogue = [
        ("", "220 "),
        ("EHLO there.example", "250"),
        ("MAIL FROM:<sender@there.example>", "250"),
        ("RCPT TO:<alice@here.example>", "250"),
        ("DATA", "354"),
        (&content, "250 2.0.0 Queued"),
    ];
    for (said, want) in dialogue {
        if !said.is_empty() {
            stream.write_all(format!("{said}\r\n").as_bytes()).ok()?;
        }
        let mut reply = Vec::new();
        let mut buffer = [0; 1024];
        let is_whole = |reply: &[u8]| {
            let text = String::from_utf8_lossy(reply);
            let last = text.lines().last().unwrap_or_default();
            text.ends_with("\r\n") && last.as_bytes().get(3) != Some(&b'-')
        };
        while !is_whole(&reply) {
            let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
            reply.extend_from_slice(&buffer[..count]);
        }
        if !reply.starts_with(want.as_bytes()) {
            return None;
        }
    }
    Some(())
}

#[test]
fn mail_goes_on_when_a_box_is_killed_and_nothing_acknowledged_is_lost() {
    let (mut one, two) = (Node::start(), Node::start());
    let Some(front) = Front::start(&[&one, &two]) else {
        return;
    };
    let (stop, sent) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let senders: Vec<_> = (0..4)
        .map(|sender| {
            let (stop, sent, to) = (Arc::clone(&stop), Arc::clone(&sent), (front.address, 25));
            std::thread::spawn(move || send_on(to, sender, &stop, &sent))
        })
        .collect();
    let wait_for_more = |more: usize| {
        let (until, wanted) = (
            Instant::now() + PATIENCE,
            sent.load(Ordering::Relaxed) + more,
        );
        while sent.load(Ordering::Relaxed) < wanted {
            assert!(Instant::now() < until, "mail does not go on");
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    wait_for_more(30);
    one.server.kill();
    wait_for_more(60);
    one.server.restart();
    wait_for_more(30);
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = BTreeSet::new();
    for sender in senders {
        acknowledged.extend(sender.join().unwrap());
    }
    let until = Instant::now() + PATIENCE;
    loop {
        let (first, second) = (one.subjects(), two.subjects());
        let delivered: BTreeSet<String> = first.iter().chain(&second).cloned().collect();
        if acknowledged.is_subset(&delivered) {
            assert_eq!(
                delivered.len(),
                first.len() + second.len(),
                "delivered twice"
            );
            assert!(!first.is_empty(), "the first box had nothing to lose");
            break;
        }
        let lost: Vec<_> = acknowledged.difference(&delivered).collect();
        assert!(Instant::now() < until, "lost: {lost:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn haproxy_takes_the_configuration_as_it_is() {
    if !has_program("haproxy") {
        return;
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/haproxy.cfg");
    let checked = haproxy().arg("-c").arg("-f").arg(file).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(!said.contains("WARNING"), "{said}");
}
