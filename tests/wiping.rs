//! No password or token stays in the memory of the service once its login is over: the memory is read as root reads it,
//! by /proc/PID/mem. Of what came in TLS the library frees a copy that it does not wipe.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "support/fake_host.rs"]
mod fake_host;
mod support;
#[path = "support/web.rs"]
mod web;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use fake_host::{FakeHost, Setup, server_tls};
use support::{Client, Server, TempFolder, is_root};
use web::{Answer, Web};

/// A password that is nowhere else in a program.
const WORD: &str = "Zq9vLw7xKp3bTn5rYd8mHc2gJf6sQe4tXa1uRo0kVi7wMb5zNh3y";

/// What stands around these octets wherever the process has them in memory that it can write to.
fn found(server: &Server, needle: &[u8]) -> Vec<String> {
    let pid = server.pid();
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut found = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (range, place) = line.split_once(' ').unwrap();
        let (from, to) = range.split_once('-').unwrap();
        let from = u64::from_str_radix(from, 16).unwrap();
        let to = u64::from_str_radix(to, 16).unwrap();
        let mut octets = vec![0; (to - from) as usize];
        // A stack that has ended meanwhile cannot be read.
        if memory.read_exact_at(&mut octets, from).is_err() {
            continue;
        }
        for at in places(&octets, needle) {
            let around = at.saturating_sub(32)..octets.len().min(at + needle.len() + 32);
            found.push(format!("{} in {place}", octets[around].escape_ascii()));
        }
    }
    found
}

/// The same once the session waits again, for its reply comes before that.
fn left(server: &Server, needle: &[u8]) -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let found = found(server, needle);
        if found.is_empty() || Instant::now() > deadline {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn places(octets: &[u8], needle: &[u8]) -> Vec<usize> {
    let starts = (0..octets.len()).filter(|at| octets[*at] == needle[0]);
    starts
        .filter(|at| octets[*at..].starts_with(needle))
        .collect()
}

/// The end of the password in Base64, where it begins after this text, without what depends on its neighbours.
fn encoded(before: &str) -> String {
    let whole = STANDARD.encode(format!("{before}{WORD}"));
    whole[whole.len() - 28..whole.len() - 4].to_owned()
}

fn assert_forgotten(server: &Server, what: &str) {
    // The ends, for what is freed loses its beginning at once.
    let end = &WORD[WORD.len() - 20..];
    for needle in [end, &encoded(""), &encoded("1"), &encoded("12")] {
        let found = left(server, needle.as_bytes());
        assert!(found.is_empty(), "{what}: {found:#?}");
    }
}

const LOGINS: &str = "[port:tcp]\nname_and_password = yes\n[port:tls]\nname_and_password = yes\n\
                      [auth]\nmechanisms = plain, login\nattempts_max = 20\nthrottle = no\n";

#[test]
fn a_password_is_forgotten_after_the_login() {
    if !is_root() {
        return;
    }
    let server = Server::start(LOGINS);
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO told-to-be-found.example", "250");
    let seen = found(&server, b"told-to-be-found.example");
    assert!(!seen.is_empty(), "what is kept is found");
    let plain = STANDARD.encode(format!("\0alice\0{WORD}"));
    let name = STANDARD.encode("alice");
    let password = STANDARD.encode(WORD);
    client.command(&format!("AUTH PLAIN {plain}"), "535");
    assert_forgotten(&server, "PLAIN at once");
    client.command("AUTH PLAIN", "334");
    client.command(&plain, "535");
    assert_forgotten(&server, "PLAIN after its challenge");
    client.command(&format!("AUTH LOGIN {name}"), "334");
    client.command(&password, "535");
    assert_forgotten(&server, "LOGIN");
    client.command("AUTH LOGIN", "334");
    client.send(format!("{name}\r\n{password}\r\nNOOP\r\nAUTH PLAIN {plain}\r\n").as_bytes());
    for start in ["334", "535", "250", "535"] {
        client.expect(start);
    }
    assert_forgotten(&server, "sent ahead");
    client.command("AUTH PLAIN", "334");
    for piece in plain.as_bytes().chunks(3) {
        client.send(piece);
        std::thread::sleep(Duration::from_millis(10));
    }
    client.command("", "535");
    assert_forgotten(&server, "in pieces");
    client.command("AUTH PLAIN", "334");
    client.command(&format!("{plain}{}", "x".repeat(13000)), "500");
    assert_forgotten(&server, "too long");
    client.command(&format!("AUTH PLAIN {plain}!"), "501");
    assert_forgotten(&server, "not Base64");
    client.command("AUTH LOGIN", "334");
    client.command(&name, "334");
    client.send(&password.as_bytes()[..password.len() - 1]);
    std::thread::sleep(Duration::from_millis(100));
    drop(client);
    std::thread::sleep(Duration::from_millis(200));
    assert_forgotten(&server, "broken off");
}

#[test]
fn the_buffer_of_a_session_in_tls_keeps_no_password() {
    if !is_root() {
        return;
    }
    let server = Server::start(LOGINS);
    let script = format!(
        "import smtplib, ssl, sys\n\
         context = ssl._create_unverified_context()\n\
         session = smtplib.SMTP_SSL('{}', {}, context=context)\n\
         try:\n session.login('alice', '{WORD}')\n\
         except smtplib.SMTPAuthenticationError:\n print('refused', flush=True)\n\
         sys.stdin.read()\n",
        server.address,
        support::TLS_PORT
    );
    let mut python = Command::new("python3")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let output = python.stdout.take().unwrap();
    BufReader::new(output).read_line(&mut line).unwrap();
    assert_eq!(line, "refused\n");
    // The record that held it, in the buffer that the open session keeps.
    let password = STANDARD.encode(WORD);
    let record = [
        &b"\x17\x03\x03\x00"[..],
        &[password.len() as u8 + 19][..],
        &password.as_bytes()[..20],
    ];
    let found = left(&server, &record.concat());
    assert!(found.is_empty(), "{found:#?}");
    drop(python.stdin.take());
    python.wait().unwrap();
}

#[test]
fn what_logs_in_at_others_is_forgotten_as_well() {
    if !is_root() {
        return;
    }
    let folder = TempFolder::new("wiping");
    let secret = folder.path().join("secret");
    fs::write(&secret, format!("{WORD}\n")).unwrap();
    let secret = secret.display();
    let web = Web::start(|_| Answer::status(200, ""));
    for (offer, key) in [
        ("AUTH PLAIN", "password_file"),
        ("AUTH LOGIN", "password_file"),
        ("AUTH XOAUTH2", "token_file"),
    ] {
        let host = FakeHost::start(Setup {
            plain: vec!["STARTTLS"],
            secure: vec!["SIZE 0", offer],
            tls: Some(server_tls(folder.path(), "localhost")),
            ..Setup::default()
        });
        let (address, ca) = (host.address, folder.path().join("localhost.pem"));
        let ini = format!(
            "[smarthost]\nhost = localhost\nport = {}\nusername = box\n{key} = {secret}\nca_file = {}\n\
             [aliases]\nfile = aliases\n[webhook:phone]\nurl = http://{}/\ntoken_file = {secret}\n",
            address.port(),
            ca.display(),
            web.address
        );
        let mut server = Server::start_beside(&ini, &[("aliases", "phone: >phone\n")]);
        let mut client = Client::greeted(server.tcp());
        client.command("EHLO client.example", "250");
        client.message("a@there.example", "Subject: x\r\n\r\nx\r\n");
        client.message("phone@here.example", "Subject: x\r\n\r\nx\r\n");
        server.wait_for_event("relayed");
        server.wait_for_event("webhook_delivered");
        assert_forgotten(&server, offer);
        let login = host.taken()[0].login.clone().unwrap_or_default();
        assert!(
            login.starts_with("AUTH") || offer == "AUTH XOAUTH2",
            "{login}"
        );
    }
    let asked = web.asked();
    let token = format!("Bearer {WORD}");
    assert!(
        asked
            .iter()
            .all(|asked| asked.fields("Authorization") == [&token])
    );
}
