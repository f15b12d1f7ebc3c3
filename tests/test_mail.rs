//! `gatepost test-mail` against the running service and a scripted smarthost: every step that can fail is
//! named, the exit code says how, and no password is printed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

#[path = "support/fake_host.rs"]
mod fake_host;

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;

use fake_host::{Act, FakeHost, Setup, server_tls};
use support::{Said, Server, TempFolder, base_ini, gatepost, own_address};

const OPEN: &str = "[port:tcp]\nname_and_password = yes\n[port:tls]\nname_and_password = yes\n\
                    anonymous = yes\n[auth]\nmechanisms = PLAIN, LOGIN\n";

/// Lines as `step verdict`.
fn verdicts(said: &Said) -> Vec<String> {
    let lines = said.output.lines();
    let two = lines.map(|line| {
        let mut words = line.split_whitespace();
        format!("{} {}", words.next().unwrap(), words.next().unwrap())
    });
    two.collect()
}

fn line<'a>(said: &'a Said, step: &str) -> &'a str {
    let mut lines = said.output.lines();
    lines.find(|line| line.starts_with(step)).unwrap()
}

/// Runs the command with a password on standard input.
fn test_mail(config: &Path, words: &[&str], password: &str) -> Said {
    let mut child = gatepost()
        .arg("test-mail")
        .args(words)
        .arg("--config")
        .arg(config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // Whoever asks for no password does not read it.
    let _ = input.write_all(format!("{password}\n").as_bytes());
    drop(input);
    Said::of(&child.wait_with_output().unwrap())
}

#[test]
fn a_message_for_a_mailbox_is_seen_to_its_maildir() {
    let server = Server::start(OPEN);
    let ways: [&[&str]; 5] = [
        &[],
        &["--via", "tcp"],
        &["--via", "tls"],
        &["--via", "2525", "--tls"],
        &["--via", "4465"],
    ];
    for (count, way) in ways.into_iter().enumerate() {
        let words = [&["--to", "alice@here.example"], way].concat();
        let said = test_mail(&server.config(), &words, "");
        assert_eq!(said.code, Some(0), "{way:?} {said:?}");
        let mut verdicts = verdicts(&said);
        verdicts.sort();
        let want = [
            "connect ok",
            "data ok",
            "delivery ok",
            "greeting ok",
            "login skipped",
            "recipient ok",
            "sender ok",
            "tls ok",
        ];
        assert_eq!(verdicts, want, "{way:?}");
        assert!(line(&said, "greeting").contains("220 mx.here.example"));
        assert!(line(&said, "tls").contains("clients that verify refuse it"));
        assert!(line(&said, "data").contains("Queued as"));
        let path = line(&said, "delivery").split_whitespace().nth(2).unwrap();
        assert!(Path::new(path).exists(), "{path}");
        assert_eq!(server.new_mail("alice").len(), count + 1);
    }
}

#[test]
fn a_login_is_tried_and_its_password_is_never_printed() {
    let server = Server::start(OPEN);
    let login = ["--to", "bob@here.example", "--user", "alice"];
    let good = test_mail(&server.config(), &login, "wonderland");
    assert_eq!(good.code, Some(0), "{good:?}");
    assert!(line(&good, "login").contains("ok       235"), "{good:?}");
    let mail = server.wait_for_mail("bob", 1);
    assert!(
        mail[0].contains("From: <alice@here.example>"),
        "{}",
        mail[0]
    );

    let wrong = test_mail(&server.config(), &login, "underland");
    assert_eq!(wrong.code, Some(77), "{wrong:?}");
    assert!(line(&wrong, "login").contains("failed   535"), "{wrong:?}");
    assert_eq!(
        verdicts(&wrong)[4..],
        [
            "sender skipped",
            "recipient skipped",
            "data skipped",
            "delivery skipped"
        ]
    );
    for said in [&good, &wrong] {
        for secret in ["wonderland", "underland", "d29uZGVybGFuZA", "dW5kZXJsYW5k"] {
            assert!(
                !format!("{said:?}").contains(secret),
                "{secret} in {said:?}"
            );
        }
    }
    let not_own = [&login[..], &["--from", "bob@here.example"]].concat();
    let said = test_mail(&server.config(), &not_own, "wonderland");
    assert_eq!(said.code, Some(77), "{said:?}");
    assert!(line(&said, "sender").contains("failed   554"), "{said:?}");
}

#[test]
fn refusals_name_their_step() {
    let server = Server::start(
        "[extensions]\nstarttls = disabled\n[relay]\ninternal = 192.0.2.1\n[smarthost]\nhost = 127.0.0.1\nport = 9\ntls = none\n[relay]\nallow_domains = friend.example\n",
    );
    for (words, code, step, text) in [
        (
            &["--to", "nobody@here.example"][..],
            67,
            "recipient",
            "550 5.1.1",
        ),
        (&["--to", "x@there.example"], 77, "recipient", "554 5.7.1"),
        (
            &["--to", "alice@here.example", "--tls"],
            69,
            "tls",
            "does not offer",
        ),
        (
            &["--to", "alice@here.example", "--user", "alice"],
            77,
            "login",
            "502",
        ),
    ] {
        let said = test_mail(&server.config(), words, "wonderland");
        assert_eq!(said.code, Some(code), "{words:?} {said:?}");
        let line = line(&said, step);
        assert!(line.contains("failed"), "{words:?} {said:?}");
        assert!(line.contains(text), "{words:?} {said:?}");
        assert!(said.complaint.starts_with("gatepost: "), "{said:?}");
        assert_eq!(verdicts(&said).len(), 8, "{said:?}");
    }
    let outside = test_mail(&server.config(), &["--to", "x@friend.example"], "");
    assert_eq!(outside.code, Some(0), "{outside:?}");
    assert!(
        line(&outside, "delivery").contains("skipped"),
        "{outside:?}"
    );
}

#[test]
fn where_nothing_runs_it_says_so() {
    let folder = TempFolder::new("test-mail");
    let config = folder.path().join("gatepost.ini");
    fs::write(&config, base_ini(own_address(), folder.path(), "")).unwrap();
    let said = test_mail(&config, &["--to", "alice@here.example"], "");
    assert_eq!(said.code, Some(69), "{said:?}");
    assert_eq!(verdicts(&said)[0], "connect failed");
    assert_eq!(verdicts(&said)[7], "delivery skipped");
    assert!(said.complaint.contains("Is it running?"), "{said:?}");
    for (words, text) in [
        (&["--via", "tcp"][..], "--to"),
        (&["--to", "a b@c d"], "not an address"),
        (&["--to", "a@b", "--via", "nope"], "no enabled port"),
        (&["--to", "a@b", "--via", "smarthost"], "no smarthost"),
        (
            &["--to", "a@b", "--via", "smarthost", "--user", "x"],
            "--user",
        ),
    ] {
        let said = test_mail(&config, words, "");
        assert_eq!(said.code, Some(64), "{words:?} {said:?}");
        assert!(said.complaint.contains(text), "{words:?} {said:?}");
    }
}

#[test]
fn a_message_that_does_not_arrive_is_not_yet_delivered() {
    let server = Server::start("");
    // A file where the Maildir should be.
    let home = server.folder.path().join("mail/alice");
    fs::create_dir_all(&home).unwrap();
    fs::write(home.join("Maildir"), "").unwrap();
    let said = test_mail(&server.config(), &["--to", "alice@here.example"], "");
    assert!(line(&said, "data").contains("ok"), "{said:?}");
    assert!(line(&said, "delivery").contains("failed"), "{said:?}");
    assert_ne!(said.code, Some(0), "{said:?}");
}

#[test]
fn a_message_for_an_lmtp_server_is_not_looked_for() {
    let server = Server::start("[delivery]\nlocal = lmtp:127.0.0.1:9\n");
    let said = test_mail(&server.config(), &["--to", "alice@here.example"], "");
    assert_eq!(said.code, Some(0), "{said:?}");
    let line = line(&said, "delivery");
    assert!(line.contains("skipped"), "{said:?}");
    assert!(line.contains("LMTP server 127.0.0.1:9"), "{said:?}");
}

/// The configuration of a service that does not run, with this smarthost.
fn with_smarthost(folder: &TempFolder, lines: &str) -> std::path::PathBuf {
    let config = folder.path().join("gatepost.ini");
    let ini = base_ini(
        own_address(),
        folder.path(),
        &format!("[smarthost]\n{lines}"),
    );
    fs::write(&config, ini).unwrap();
    config
}

fn to_smarthost(folder: &TempFolder, lines: &str) -> Said {
    let config = with_smarthost(folder, lines);
    let words = ["--to", "x@there.example", "--via", "smarthost"];
    test_mail(&config, &words, "")
}

#[test]
fn the_smarthost_is_tried_with_its_tls_and_its_login() {
    let folder = TempFolder::new("test-mail");
    let tls = server_tls(folder.path(), "localhost");
    let host = FakeHost::start(Setup {
        plain: vec!["STARTTLS"],
        tls: Some(tls),
        ..Setup::default()
    });
    fs::write(folder.path().join("secret"), "open sesame\n").unwrap();
    let lines = |name: &str| {
        format!(
            "host = {name}\nport = {}\nusername = box\npassword_file = {}\nca_file = {}\n",
            host.address.port(),
            folder.path().join("secret").display(),
            folder.path().join("localhost.pem").display()
        )
    };
    let said = to_smarthost(&folder, &lines("localhost"));
    assert_eq!(said.code, Some(0), "{said:?}");
    let want = [
        "connect ok",
        "greeting ok",
        "tls ok",
        "login ok",
        "sender ok",
        "recipient ok",
        "data ok",
        "delivery skipped",
    ];
    let verdicts_of_last = verdicts(&said);
    assert_eq!(
        verdicts_of_last[verdicts_of_last.len() - 8..],
        want,
        "{said:?}"
    );
    assert!(
        line(&said, "tls").contains("verified as localhost"),
        "{said:?}"
    );
    let taken = host.taken();
    assert_eq!(taken.len(), 1);
    assert!(taken[0].tls && taken[0].login.is_some());
    assert!(!format!("{said:?}").contains("sesame"));

    // The same host by a name that its certificate has not.
    let said = to_smarthost(&folder, &lines("127.0.0.1"));
    assert_eq!(said.code, Some(69), "{said:?}");
    assert!(line(&said, "tls").contains("failed"), "{said:?}");
    assert_eq!(host.taken().len(), 1, "nothing is sent to it");
}

#[test]
fn a_smarthost_that_says_the_password_back_is_not_quoted() {
    let folder = TempFolder::new("test-mail");
    let tls = server_tls(folder.path(), "localhost");
    let host = FakeHost::start(Setup {
        plain: vec!["STARTTLS"],
        tls: Some(tls),
        script: Box::new(|step| match step.verb {
            "AUTH" => Act::say(&format!("535 5.7.8 no: {} opensesame", step.line)),
            _ => Act::Usual,
        }),
        ..Setup::default()
    });
    fs::write(folder.path().join("secret"), "opensesame\n").unwrap();
    let lines = format!(
        "host = localhost\nport = {}\nusername = box\npassword_file = secret\nca_file = localhost.pem\n",
        host.address.port()
    );
    let said = to_smarthost(&folder, &lines);
    assert_eq!(said.code, Some(77), "{said:?}");
    assert!(line(&said, "login").contains("(hidden)"), "{said:?}");
    let text = format!("{said:?}");
    for secret in ["opensesame", "AGJveABvcGVuc2VzYW1l"] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[test]
fn each_refusal_of_a_smarthost_is_told_once_with_its_words() {
    for (verb, reply, step, code) in [
        ("CONNECT", "554 5.3.2 go away", "greeting", 69),
        ("CONNECT", "421 4.3.2 busy", "greeting", 75),
        ("MAIL", "554 5.7.1 not you", "sender", 77),
        ("RCPT", "550 5.1.1 nobody", "recipient", 67),
        ("RCPT", "450 4.2.1 greylisted", "recipient", 75),
        ("RCPT", "554 5.7.1 relay denied", "recipient", 77),
        ("DATA", "554 5.6.0 no", "data", 69),
        (".", "451 4.3.0 later", "data", 75),
        ("MAIL", "250 \u{1b}[2J", "sender", 0),
    ] {
        let folder = TempFolder::new("test-mail");
        let host = FakeHost::start(Setup::script(move |asked| match asked.verb == verb {
            true => Act::say(reply),
            false => Act::Usual,
        }));
        let port = host.address.port();
        let lines = format!("host = 127.0.0.1\nport = {port}\ntls = none\n");
        let said = to_smarthost(&folder, &lines);
        assert_eq!(said.code, Some(code), "{reply} {said:?}");
        assert!(!said.output.contains('\u{1b}'), "{said:?}");
        if code != 0 {
            assert!(line(&said, step).contains("failed"), "{reply} {said:?}");
            assert!(line(&said, step).contains(reply), "{reply} {said:?}");
        }
        assert_eq!(verdicts(&said).len(), 8, "{reply} {said:?}");
    }
}

#[test]
fn a_smarthost_that_is_dead_or_breaks_off_is_told() {
    let folder = TempFolder::new("test-mail");
    let dead = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = dead.local_addr().unwrap().port();
    drop(dead);
    let said = to_smarthost(
        &folder,
        &format!("host = 127.0.0.1\nport = {port}\ntls = none\n"),
    );
    assert_eq!(said.code, Some(69), "{said:?}");
    assert_eq!(verdicts(&said)[0], "connect failed");

    for (verb, step) in [
        ("CONNECT", "greeting"),
        ("MAIL", "sender"),
        ("RCPT", "recipient"),
        (".", "data"),
    ] {
        let host = FakeHost::start(Setup::script(move |asked| match asked.verb == verb {
            true => Act::Cut,
            false => Act::Usual,
        }));
        let port = host.address.port();
        let said = to_smarthost(
            &folder,
            &format!("host = 127.0.0.1\nport = {port}\ntls = none\n"),
        );
        assert!([Some(69), Some(75)].contains(&said.code), "{verb} {said:?}");
        assert!(line(&said, step).contains("failed"), "{verb} {said:?}");
    }
    let said = to_smarthost(&folder, "host = no.such.name.invalid\ntls = none\n");
    assert_eq!(said.code, Some(69), "{said:?}");
    assert_eq!(verdicts(&said)[0], "connect failed");
}

#[test]
fn a_failed_handshake_is_told_where_plain_text_is_tried_after_it() {
    let folder = TempFolder::new("test-mail");
    let host = FakeHost::start(Setup {
        plain: vec!["STARTTLS"],
        script: Box::new(|step| match step.verb {
            "HANDSHAKE" => Act::Cut,
            _ => Act::Usual,
        }),
        ..Setup::default()
    });
    let port = host.address.port();
    let lines = format!("host = 127.0.0.1\nport = {port}\ntls = opportunistic\n");
    let said = to_smarthost(&folder, &lines);
    assert_eq!(said.code, Some(69), "{said:?}");
    assert!(line(&said, "tls").contains("failed"), "{said:?}");
    assert_eq!(host.taken().len(), 1, "the message went out all the same");
}

#[test]
fn the_port_that_is_enabled_is_taken_and_its_own_sessions_are_no_devices() {
    let only_tls = format!("{OPEN}[port:tcp]\nstatus = disabled\n");
    for (extra, tls) in [
        (only_tls.as_str(), "tls       ok"),
        (
            "[extensions]\nstarttls = disabled\n",
            "tls       skipped  not offered",
        ),
    ] {
        let server = Server::start(extra);
        let said = test_mail(&server.config(), &["--to", "alice@here.example"], "");
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(line(&said, "tls").starts_with(tls), "{said:?}");
        let refused = test_mail(&server.config(), &["--to", "nobody@here.example"], "");
        assert_eq!(refused.code, Some(67), "{refused:?}");
        std::thread::sleep(std::time::Duration::from_millis(300));
        let devices = server.command(&["devices"]);
        assert_eq!(devices.output, "no devices are known\n");
    }
}

#[test]
fn a_try_that_ends_at_once_invites_nobody() {
    let output = gatepost().args(["try", "--once"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("A message over the TLS port"), "{text}");
    assert!(
        !text.contains("Ctrl-C") && !text.contains("swaks"),
        "{text}"
    );
}
