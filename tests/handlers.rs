//! Mail for programs and web servers that do their worst, from the spool on.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is what it is for"
)]

#[path = "support/fake_host.rs"]
mod fake_host;
#[path = "support/machine.rs"]
mod machine;
#[path = "support/web.rs"]
mod web;

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gatepost::config::handlers::{Command, Format, Handlers, Url, Webhook};
use gatepost::delivery::NextHops;
use gatepost::mail::ForwardPath;
use machine::{Folder, Machine, PATIENCE, TEXT, envelope, hops, logged, options, wait_for};
use web::{Answer, Web};

/// A command `scan` that is this shell script, in a folder of its own with what it leaves.
fn scan(script: &str, timeout: Duration) -> Command {
    Command {
        name: "scan".to_owned(),
        program: "/bin/sh".into(),
        arguments: vec!["-c".to_owned(), script.to_owned(), "scan".to_owned()],
        timeout,
    }
}

fn phone(url: &str) -> Webhook {
    Webhook {
        name: "phone".to_owned(),
        url: Url::parse(url).unwrap(),
        token_file: None,
        format: Format::Json,
        timeout: PATIENCE,
        ca_file: None,
    }
}

fn only(command: Option<Command>, webhook: Option<Webhook>) -> NextHops {
    NextHops {
        handlers: Handlers {
            commands: command.into_iter().collect(),
            webhooks: webhook.into_iter().collect(),
        },
        ..hops(None, None)
    }
}

/// The same message again and again is told by what the script wrote.
fn read(folder: &Folder, name: &str) -> String {
    fs::read_to_string(folder.0.join(name)).unwrap_or_default()
}

const SCAN: &str = "command-scan@here.example";
const PHONE: &str = "webhook-phone@here.example";

#[test]
fn a_program_gets_the_message_and_its_envelope_and_nothing_else() {
    let folder = Folder::new();
    let out = folder.0.display();
    let script = format!("cat >{out}/message; env | sort >{out}/env; echo done; echo \"$#\"");
    let machine = Machine::start(&folder, only(Some(scan(&script, PATIENCE)), None));
    let mut envelope = envelope(&[SCAN]);
    envelope.recipients[0].forward_path =
        ForwardPath::parse_prefix("<\"a;b$(id)+Lists/../x\"@Here.Example>")
            .unwrap()
            .0;
    envelope.login = Some("alice".to_owned());
    let id = machine.send_as(envelope, TEXT).unwrap();
    machine.wait_until_empty();
    machine.stop();
    let head =
        "Return-Path: <sender@here.example>\nDelivered-To: \"a;b$(id)+Lists/../x\"@Here.Example\n";
    let want = format!("{head}{}", TEXT.replace("\r\n", "\n"));
    assert_eq!(read(&folder, "message"), want);
    let env = read(&folder, "env");
    let size = TEXT.len();
    for line in [
        format!("GATEPOST_ID={id}"),
        "GATEPOST_COMMAND=scan".to_owned(),
        "SENDER=sender@here.example".to_owned(),
        "RECIPIENT=\"a;b$(id)+Lists/../x\"@Here.Example".to_owned(),
        "LOCAL=a_b__id_+Lists_.._x".to_owned(),
        "EXTENSION=Lists_.._x".to_owned(),
        "DOMAIN=Here.Example".to_owned(),
        "CLIENT=192.0.2.1".to_owned(),
        "LOGIN=alice".to_owned(),
        format!("SIZE={size}"),
        "LANG=C.UTF-8".to_owned(),
    ] {
        assert!(env.lines().any(|have| have == line), "{line}\n{env}");
    }
    assert!(!env.contains("CARGO"), "{env}");
    let line = logged(&["event=command_ended", &id]);
    assert!(
        line[0].ends_with("end=\"exit 0\" seconds=0 output=\"done\\x0a0\\x0a\""),
        "{line:?}"
    );
    assert_eq!(
        logged(&["event=command_delivered", &id, "command=scan"]).len(),
        1
    );
}

#[test]
fn every_exit_has_its_outcome() {
    let rows = [
        ("exit 0", "command_delivered", ""),
        ("exec <&-; exit 0", "command_delivered", ""),
        ("sleep 60 & exit 0", "command_delivered", ""),
        (
            "echo 'no room'; exit 75",
            "deferred",
            "command scan exited with 75: no room",
        ),
        (
            "kill -9 $$",
            "deferred",
            "command scan was killed by signal 9",
        ),
        ("exit 1", "failed", "command scan exited with 1"),
        (
            "echo; echo ' bad mail ' >&2; exit 65",
            "failed",
            "exited with 65: bad mail",
        ),
        ("exit 255", "failed", "command scan exited with 255"),
    ];
    for (script, event, words) in rows {
        let folder = Folder::new();
        let flag = folder.0.join("second");
        // The second time all is well, so that what was deferred comes to an end.
        let twice = format!(
            "if [ -e {flag} ]; then cat >/dev/null; exit 0; fi; touch {flag}; {script}",
            flag = flag.display()
        );
        let machine = Machine::start(&folder, only(Some(scan(&twice, PATIENCE)), None));
        let id = machine.send(&[SCAN], TEXT);
        machine.wait_until_empty();
        machine.stop();
        let lines = logged(&[&format!("event={event} "), &id]);
        assert!(lines[0].contains(words), "{script}: {lines:?}");
        let delivered = logged(&["event=command_delivered", &id]).len();
        assert_eq!(delivered, usize::from(event != "failed"), "{script}");
        // Who failed is told to the sender.
        assert_eq!(
            folder.mail("sender"),
            usize::from(event == "failed"),
            "{script}"
        );
    }
}

#[test]
fn a_program_whose_time_is_over_is_killed_with_its_children() {
    let folder = Folder::new();
    let out = folder.0.display();
    let script = format!(
        "echo x >>{out}/runs; if [ $(wc -l <{out}/runs) = 2 ]; then exit 0; fi; \
         trap '' TERM; (sleep 300; echo late >>{out}/late) & echo $! >{out}/child; sleep 300"
    );
    let machine = Machine::start(
        &folder,
        only(Some(scan(&script, Duration::from_secs(1))), None),
    );
    let id = machine.send(&[SCAN], TEXT);
    machine.wait_until_empty();
    machine.stop();
    assert_eq!(read(&folder, "runs"), "x\nx\n");
    assert!(logged(&["event=deferred", &id])[0].contains("did not end within 1 s"));
    let child = read(&folder, "child");
    let stat = PathBuf::from(format!("/proc/{}/stat", child.trim()));
    wait_for("the child's end", || {
        fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "))
    });
}

#[test]
fn large_mail_and_floods_of_output_pass() {
    let folder = Folder::new();
    let out = folder.0.display();
    let script =
        format!("yes flood | head -c 5000000; wc -c >{out}/size; yes | head -c 5000000 >&2");
    let machine = Machine::start(&folder, only(Some(scan(&script, PATIENCE)), None));
    let content = format!(
        "Subject: large\r\n\r\n{}",
        "0123456789abcdef\r\n".repeat(600_000)
    );
    let id = machine.send(&[SCAN], &content);
    machine.wait_until_empty();
    machine.stop();
    let head = "Return-Path: <sender@here.example>\nDelivered-To: command-scan@here.example\n";
    let want = head.len() + content.replace("\r\n", "\n").len();
    assert_eq!(read(&folder, "size").trim(), want.to_string());
    let line = &logged(&["event=command_ended", &id])[0];
    assert!(line.len() < 2000, "{line}");
}

#[test]
fn what_cannot_be_started_waits_until_it_can() {
    let folder = Folder::new();
    let mut command = scan("cat >/dev/null", PATIENCE);
    command.program = folder.0.join("missing");
    let machine = Machine::start(&folder, only(Some(command), None));
    let id = machine.send(&[SCAN], TEXT);
    wait_for("a failure", || {
        !logged(&["event=command_failed", &id]).is_empty()
    });
    let line = logged(&["event=command_failed", &id]);
    assert!(
        line[0].contains("it cannot be started: No such file"),
        "{line:?}"
    );
    assert_eq!(machine.spool.undelivered(), 1);
    let next = only(Some(scan("cat >/dev/null", PATIENCE)), None);
    machine.lanes.set_next_hops(next, Instant::now());
    machine.wait_until_empty();
    machine.stop();
}

#[test]
fn without_its_section_a_message_waits() {
    let folder = Folder::new();
    let machine = Machine::start(&folder, only(None, None));
    let id = machine.send(&[SCAN, PHONE, "alice@here.example"], TEXT);
    wait_for("both to wait", || {
        let waits = |name: &str| {
            let words = format!("there is no section [{name}]");
            !logged(&["_failed ", &id, &words]).is_empty()
        };
        waits("command:scan") && waits("webhook:phone")
    });
    wait_for("the Maildir", || folder.mail("alice") == 1);
    assert_eq!(machine.spool.undelivered(), 1);
    machine.stop();
}

#[test]
fn one_that_hangs_holds_up_nobody_and_the_end_is_in_time() {
    let folder = Folder::new();
    let out = folder.0.display();
    let script = format!("echo $$ >{out}/pid; sleep 300");
    let web = Web::start(|_| Answer::status(200, ""));
    let url = format!("http://{}/", web.address);
    let next = only(Some(scan(&script, PATIENCE * 20)), Some(phone(&url)));
    let machine = Machine::start(&folder, next);
    for _ in 0..5 {
        machine.send(&[SCAN, PHONE, "alice@here.example"], TEXT);
    }
    wait_for("the others", || {
        web.asked().len() == 5 && folder.mail("alice") == 5
    });
    wait_for("its start", || !read(&folder, "pid").is_empty());
    let began = Instant::now();
    machine.stop();
    // It may finish for ten seconds; then it is killed.
    let took = began.elapsed();
    assert!(
        took > Duration::from_secs(9) && took < Duration::from_secs(13),
        "{took:?}"
    );
    let machine = Machine::start(&folder, only(Some(scan("cat >/dev/null", PATIENCE)), None));
    machine.wait_until_empty();
    machine.stop();
    assert_eq!(web.asked().len(), 5);
}

#[test]
fn a_web_server_gets_a_document() {
    let folder = Folder::new();
    let web = Web::start(|_| Answer::status(200, "thanks"));
    let url = format!("http://{}/hook?x=y", web.address);
    let machine = Machine::start(&folder, only(None, Some(phone(&url))));
    let content = "Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= \"x\"\r\nMessage-ID: <1@there.example>\r\n\
                   Content-Type: text/plain; charset=iso-8859-1\r\n\
                   Content-Transfer-Encoding: quoted-printable\r\n\r\n=E4 \"\\\r\n";
    let id = machine.send(&[PHONE], content);
    machine.wait_until_empty();
    machine.stop();
    let asked = web.asked();
    assert_eq!(asked.len(), 1);
    assert!(
        asked[0]
            .head
            .starts_with("POST /hook?x=y HTTP/1.1\r\nHost: 127.0.0.1:")
    );
    assert_eq!(asked[0].fields("Content-Type"), ["application/json"]);
    assert_eq!(asked[0].fields("X-Gatepost-Id"), [id.as_str()]);
    assert!(asked[0].fields("Authorization").is_empty());
    let body = String::from_utf8(asked[0].body.clone()).unwrap();
    let size = content.len();
    let (begin, rest) = body.split_once("\"received\":\"").unwrap();
    assert_eq!(begin, format!("{{\"id\":\"{id}\","));
    let (_, rest) = rest.split_once("Z\",").unwrap();
    let want = format!(
        "\"size\":{size},\"envelope\":{{\"from\":\"sender@here.example\",\"to\":[\"{PHONE}\"],\
         \"client\":\"192.0.2.1\",\"login\":null}},\"message_id\":\"<1@there.example>\",\
         \"subject\":\"Grüße \\\"x\\\"\",\"text\":\"ä \\\"\\\\\\u000a\",\"html\":null,\"message\":null}}\n"
    );
    assert_eq!(rest, want);
    let line = logged(&["event=webhook_answered", &id]);
    assert!(
        line[0].ends_with("webhook=phone status=200 body=thanks") || line[0].ends_with("body=\"\""),
        "{line:?}"
    );
    assert_eq!(logged(&["event=webhook_delivered", &id]).len(), 1);
}

#[test]
fn a_raw_message_comes_as_it_is_and_its_token_is_read_anew() {
    let folder = Folder::new();
    let web = Web::start(|_| Answer::status(201, ""));
    let token_file = folder.0.join("token");
    fs::write(&token_file, "first%41-secret\n").unwrap();
    let mut webhook = phone(&format!("http://{}", web.address));
    webhook.format = Format::Raw;
    webhook.token_file = Some(token_file.clone());
    let machine = Machine::start(&folder, only(None, Some(webhook)));
    let large = format!(
        "Subject: large\r\n\r\n{}",
        "0123456789abcdef\r\n".repeat(600_000)
    );
    machine.send(&[PHONE], &large);
    machine.wait_until_empty();
    fs::write(&token_file, "second-secret").unwrap();
    machine.send(&[PHONE], TEXT);
    machine.wait_until_empty();
    machine.stop();
    let asked = web.asked();
    assert_eq!(asked[0].fields("Authorization"), ["Bearer first%41-secret"]);
    assert_eq!(asked[1].fields("Authorization"), ["Bearer second-secret"]);
    assert!(asked[0].body == large.as_bytes() && asked[1].body == TEXT.as_bytes());
    assert_eq!(asked[1].fields("Content-Type"), ["message/rfc822"]);
    assert_eq!(asked[1].fields("X-Gatepost-From"), ["sender@here.example"]);
    assert_eq!(asked[1].fields("X-Gatepost-To"), [PHONE]);
    assert_eq!(asked[1].fields("X-Gatepost-Client"), ["192.0.2.1"]);
    assert!(logged(&["secret"]).is_empty());
}

/// Its last octet becomes another one.
fn damage(folder: &Path) {
    for entry in fs::read_dir(folder.join("spool/queue")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "eml") {
            let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
            let end = file.metadata().unwrap().len();
            file.write_at(b"!", end - 1).unwrap();
        }
    }
}

#[test]
fn what_is_damaged_in_the_spool_reaches_nobody_as_a_whole() {
    let folder = Folder::new();
    let out = folder.0.display();
    let large = format!(
        "Subject: large\r\n\r\n{}",
        "0123456789abcdef\r\n".repeat(600_000)
    );
    let (begun, path) = (AtomicUsize::new(0), folder.0.clone());
    let web = Web::start(move |_| {
        // The client has not sent it all before somebody reads.
        if begun.fetch_add(1, Ordering::Relaxed) == 0 {
            damage(&path);
        }
        Answer::status(200, "")
    });
    let mut webhook = phone(&format!("http://{}", web.address));
    webhook.format = Format::Raw;
    let next = only(None, Some(webhook));
    let machine = Machine::start(&folder, next);
    let id = machine.send(&[PHONE, SCAN], &large);
    wait_for("damage", || {
        logged(&["event=deferred", &id, "damaged"]).len() > 2
    });
    let script = format!("echo x >>{out}/begun; cat >/dev/null; echo x >>{out}/whole");
    let next = only(Some(scan(&script, PATIENCE)), None);
    machine.lanes.set_next_hops(next, Instant::now());
    wait_for("damage", || read(&folder, "begun").lines().count() > 2);
    machine.stop();
    assert!(web.asked().is_empty());
    assert_eq!(read(&folder, "whole"), "");
}

#[test]
fn a_token_that_cannot_be_read_waits() {
    let folder = Folder::new();
    let web = Web::start(|_| Answer::status(200, ""));
    let mut webhook = phone(&format!("http://{}", web.address));
    webhook.token_file = Some(folder.0.join("token"));
    let machine = Machine::start(&folder, only(None, Some(webhook)));
    let id = machine.send(&[PHONE], TEXT);
    wait_for("a failure", || {
        !logged(&["event=webhook_failed", &id]).is_empty()
    });
    assert_eq!(web.connections(), 0);
    fs::write(folder.0.join("token"), "t").unwrap();
    machine.wait_until_empty();
    machine.stop();
    assert_eq!(web.asked().len(), 1);
}

#[test]
fn a_redirection_takes_neither_mail_nor_token_elsewhere() {
    const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];
    let folder = Folder::new();
    let elsewhere = Web::start(|_| Answer::status(200, ""));
    let address = elsewhere.address;
    let web = Web::start(move |number| {
        let status = STATUSES[number % STATUSES.len()];
        let location = format!("Location: http://{address}/\r\nContent-Length: 0\r\n\r\n");
        Answer::Say(format!("HTTP/1.1 {status} X\r\n{location}"))
    });
    let mut webhook = phone(&format!("http://{}", web.address));
    webhook.token_file = Some(folder.0.join("token"));
    fs::write(folder.0.join("token"), "t").unwrap();
    let machine = Machine::start(&folder, only(None, Some(webhook)));
    for status in STATUSES {
        let id = machine.send(&[PHONE], TEXT);
        wait_for("a deferral", || {
            !logged(&["event=deferred", &id, &format!("answered {status}")]).is_empty()
        });
    }
    machine.stop();
    assert!(
        web.asked()
            .iter()
            .all(|asked| asked.fields("Authorization") == ["Bearer t"])
    );
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn every_answer_has_its_outcome() {
    let chunked =
        "HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nno \r\n4\r\nroom\r\n0\r\n\r\n";
    let say = |words: &str| Answer::Say(words.to_owned());
    let rows: Vec<(Answer, &str, &str)> = vec![
        (Answer::status(200, ""), "webhook_delivered", ""),
        (Answer::status(201, ""), "webhook_delivered", ""),
        (Answer::status(204, ""), "webhook_delivered", ""),
        (
            say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\n"),
            "webhook_delivered",
            "",
        ),
        (
            Answer::Drip("HTTP/1.1 200 OK\r\nX: y\r\n\r\n".to_owned()),
            "webhook_delivered",
            "",
        ),
        (
            Answer::Hang("HTTP/1.1 200 OK\r\n\r\n".to_owned()),
            "webhook_delivered",
            "",
        ),
        (
            Answer::status(301, ""),
            "deferred",
            "redirections are not followed",
        ),
        (
            Answer::status(400, "no\r\nx"),
            "failed",
            "webhook phone answered 400: no\"",
        ),
        (say(chunked), "failed", "answered 400: no room"),
        (
            Answer::status(404, ""),
            "failed",
            "webhook phone answered 404",
        ),
        (
            Answer::Early("HTTP/1.1 413 Large\r\n\r\ntoo large".to_owned()),
            "failed",
            "answered 413",
        ),
        (Answer::status(408, ""), "deferred", "answered 408"),
        (
            Answer::status(429, "slow down"),
            "deferred",
            "answered 429: slow down",
        ),
        (
            Answer::status(500, "broken"),
            "deferred",
            "answered 500: broken",
        ),
        (Answer::status(503, ""), "deferred", "answered 503"),
        (Answer::Cut, "deferred", "webhook phone: "),
        (Answer::CutInside, "deferred", "webhook phone: "),
        (
            say(""),
            "deferred",
            "ended the connection without an answer",
        ),
        (
            say("HTTP/1.1 200 O"),
            "deferred",
            "ended the connection without an answer",
        ),
        (
            say("HTTP/1.1 200 OK\r\nX: y\r\n"),
            "deferred",
            "ended the connection without an answer",
        ),
        (say("220 mx ESMTP\r\n"), "deferred", "does not speak HTTP"),
    ];
    for (first, event, words) in rows {
        let folder = Folder::new();
        let shown = format!("{first:?}");
        let web = Web::start(move |number| match number {
            0 => first.clone(),
            _ => Answer::status(200, ""),
        });
        let url = format!("http://{}/", web.address);
        let machine = Machine::start(&folder, only(None, Some(phone(&url))));
        let id = machine.send(&[PHONE], TEXT);
        machine.wait_until_empty();
        machine.stop();
        let lines = logged(&[&format!("event={event} "), &id]);
        assert!(
            lines.first().is_some_and(|line| line.contains(words)),
            "{shown}: {lines:?}"
        );
        let delivered = logged(&["event=webhook_delivered", &id]).len();
        assert_eq!(delivered, usize::from(event != "failed"), "{shown}");
        assert_eq!(
            folder.mail("sender"),
            usize::from(event == "failed"),
            "{shown}"
        );
    }
}

#[test]
fn a_slow_server_is_left_when_its_time_is_over() {
    for first in [
        Answer::Hang(String::new()),
        Answer::Hang("HTTP/1.1 200 OK\r\n".to_owned()),
        Answer::Drip("HTTP/1.1 200 OK\r\n".to_owned() + &"X: y\r\n".repeat(1000)),
    ] {
        let folder = Folder::new();
        let web = Web::start(move |number| match number {
            0 => first.clone(),
            _ => Answer::status(200, ""),
        });
        let mut webhook = phone(&format!("http://{}/", web.address));
        webhook.timeout = Duration::from_secs(1);
        let machine = Machine::start(&folder, only(None, Some(webhook)));
        let id = machine.send(&[PHONE], TEXT);
        machine.wait_until_empty();
        machine.stop();
        let line = logged(&["event=deferred", &id]);
        assert!(line[0].contains("timed out"), "{line:?}");
        assert_eq!(web.connections(), 2);
    }
}

#[test]
fn a_server_is_told_nothing_before_it_has_proved_its_name() {
    for (name, trusted, why) in [
        ("localhost", true, None),
        (
            "other.example",
            true,
            Some("its certificate is for another name"),
        ),
        ("localhost", false, Some("nobody in the CA bundle vouches")),
    ] {
        let folder = Folder::new();
        let tls = fake_host::server_tls(&folder.0, name);
        let web = Web::start_with(Some(tls), |_| Answer::status(200, ""));
        let mut webhook = phone(&format!("https://localhost:{}/", web.address.port()));
        fs::write(folder.0.join("token"), "very-secret").unwrap();
        webhook.token_file = Some(folder.0.join("token"));
        let ca = match trusted {
            true => folder.0.join(format!("{name}.pem")),
            false => PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/ca.crt")),
        };
        webhook.ca_file = Some(ca);
        let machine = Machine::start_with(
            &folder,
            only(None, Some(webhook)),
            options(PATIENCE),
            |_| {},
        );
        let id = machine.send(&[PHONE], TEXT);
        match why {
            None => machine.wait_until_empty(),
            Some(why) => wait_for("a failure", || {
                !logged(&["event=webhook_failed", &id, why]).is_empty()
            }),
        }
        machine.stop();
        let asked = web.asked();
        assert_eq!(asked.len(), usize::from(why.is_none()), "{name}");
        assert!(asked.iter().all(|asked| asked.tls));
    }
}
