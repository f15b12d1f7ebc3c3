//! Local mail, from the spool to an LMTP server that does its worst.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is what it is for"
)]

#[path = "support/fake_host.rs"]
mod fake_host;
#[path = "support/machine.rs"]
mod machine;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use fake_host::{Act, FakeHost, Setup};
use gatepost::config::local::LmtpPlace;
use gatepost::delivery::NextHops;
use gatepost::delivery::lmtp::LmtpServer;
use gatepost::mail::{Domain, Envelope};
use gatepost::spool::SpoolOptions;
use machine::{
    Folder, Machine, PATIENCE, SHORT, TEXT, envelope, hops, logged, options, plain, wait_for,
};

/// Only an LMTP server.
fn only(server: LmtpServer) -> NextHops {
    hops(None, Some(server))
}

fn at(place: LmtpPlace) -> LmtpServer {
    LmtpServer {
        place,
        domain: Domain::parse("first.example").unwrap(),
        subaddress: Some('+'),
    }
}

fn over_tcp(address: SocketAddr) -> LmtpServer {
    at(LmtpPlace::Tcp {
        host: address.ip().to_string(),
        port: address.port(),
    })
}

fn lmtp(script: impl Fn(&fake_host::Step<'_>) -> Act + Send + Sync + 'static) -> Setup {
    Setup {
        lmtp: true,
        ..Setup::script(script)
    }
}

fn usual() -> Setup {
    lmtp(|_| Act::Usual)
}

/// How often each recipient got the message, by the address that the server was told.
fn copies(host: &FakeHost, to: &str) -> usize {
    let to = format!("<{to}>");
    let taken = host.taken();
    taken
        .iter()
        .filter(|taken| taken.to == [to.as_str()])
        .count()
}

#[test]
fn local_recipients_go_over_lmtp_in_one_go_and_outside_ones_to_the_smarthost() {
    let folder = Folder::new();
    let path = folder.socket();
    let host = FakeHost::start_unix(&path, usual());
    let next = FakeHost::start(Setup::default());
    let smarthost = Some(plain(next.address));
    let server = at(LmtpPlace::Unix(path.clone()));
    let machine = Machine::start_with(
        &folder,
        hops(smarthost, Some(server)),
        options(PATIENCE),
        |_| {},
    );
    let to = [
        "alice+Lists@here.example",
        "a@there.example",
        "bob@here.example",
    ];
    let id = machine.send(&to, TEXT);
    machine.wait_until_empty();
    wait_for("QUIT", || host.quits() == 1 && next.quits() == 1);
    machine.stop();
    let size = TEXT.len();
    let wanted = [
        "LHLO mx.here.example".to_owned(),
        format!("MAIL FROM:<sender@here.example> SIZE={size}"),
        "RCPT TO:<alice+Lists@first.example>".to_owned(),
        "RCPT TO:<bob@first.example>".to_owned(),
        "DATA".to_owned(),
        "QUIT".to_owned(),
    ];
    assert_eq!(host.lines(), wanted);
    assert!(host.taken().iter().all(|taken| taken.data == TEXT));
    assert_eq!(next.taken().len(), 1);
    assert_eq!(next.taken()[0].to, ["<a@there.example>"]);
    assert_eq!(folder.maildirs(), 0);
    let line = logged(&["event=lmtp_delivered", &id, "to=alice+Lists@here.example"]);
    let end = format!(
        "mailbox=alice lmtp=unix:{} reply=\"250 2.0.0 taken\"",
        path.display()
    );
    assert!(line[0].ends_with(&end), "{line:?}");
    let again = Machine::start(&folder, only(over_tcp(host.address)));
    assert_eq!(again.spool.undelivered(), 0);
    again.stop();
}

#[test]
fn many_messages_go_on_few_connections() {
    let folder = Folder::new();
    let path = folder.socket();
    let machine = Machine::start(&folder, only(at(LmtpPlace::Unix(path.clone()))));
    for number in 0..30 {
        machine.send(
            &["alice@here.example"],
            &format!("Subject: {number}\r\n\r\n"),
        );
    }
    // A socket that is not there is no fault of a message.
    wait_for("the failure", || {
        !logged(&["event=lmtp_failed", "No such file"]).is_empty()
    });
    let host = FakeHost::start_unix(&path, usual());
    machine.wait_until_empty();
    wait_for("QUIT", || host.quits() == host.connections());
    machine.stop();
    assert_eq!(host.taken().len(), 30);
    assert!(host.connections() <= 4, "{}", host.connections());
}

#[test]
fn each_recipient_has_an_outcome_of_its_own_after_the_last_dot() {
    let folder = Folder::new();
    let host = FakeHost::start(lmtp(|step| match (step.verb, step.line) {
        (".", "<bob@first.example>") if step.times < 4 => Act::say("552 5.2.2 over \"quota\""),
        (".", "<carol@first.example>") if step.times < 4 => Act::say("452 4.2.2 busy"),
        ("RCPT", "RCPT TO:<dave@first.example>") if step.times < 6 => Act::say("550 5.1.1 nobody"),
        ("RCPT", "RCPT TO:<eve@first.example>") if step.times < 6 => Act::say("450 4.2.1 later"),
        _ => Act::Usual,
    }));
    let machine = Machine::start(&folder, only(over_tcp(host.address)));
    let names = ["alice", "bob", "carol", "dave", "eve", "frank"];
    let to = names.map(|name| format!("{name}@here.example"));
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    let id = machine.send(&to, TEXT);
    machine.wait_until_empty();
    machine.stop();
    for name in ["alice", "carol", "eve", "frank"] {
        assert_eq!(copies(&host, &format!("{name}@first.example")), 1, "{name}");
        let to = format!("to={name}@here.example");
        assert_eq!(
            logged(&["event=lmtp_delivered", &id, &to]).len(),
            1,
            "{name}"
        );
    }
    let rows = [
        (
            "failed",
            "bob",
            "end of mail data: the server said 552 5.2.2 over \\\"quota\\\"",
        ),
        (
            "deferred",
            "carol",
            "end of mail data: the server said 452 4.2.2 busy",
        ),
        ("failed", "dave", "RCPT: the server said 550 5.1.1 nobody"),
        ("deferred", "eve", "RCPT: the server said 450 4.2.1 later"),
    ];
    for (event, name, reason) in rows {
        let (event, to) = (format!("event={event}"), format!("to={name}@here.example"));
        let line = logged(&[&event, &id, &to]);
        assert_eq!(line.len(), 1, "{name}");
        assert!(line[0].contains(reason), "{line:?}");
    }
    for name in ["bob", "dave"] {
        assert_eq!(copies(&host, &format!("{name}@first.example")), 0, "{name}");
    }
    // Their failures are told, over LMTP too.
    let told = host
        .taken()
        .into_iter()
        .filter(|one| one.mail.starts_with("<>"));
    let told: Vec<_> = told.collect();
    assert!(told.iter().all(|one| one.to == ["<sender@first.example>"]));
    let told: String = told.into_iter().map(|one| one.data).collect();
    assert!(
        told.contains("Final-Recipient: rfc822; bob@here.example"),
        "{told}"
    );
    assert!(
        told.contains("Final-Recipient: rfc822; dave@here.example"),
        "{told}"
    );
}

/// What the server does the first time at a step; afterwards it is as good as any.
fn misbehave_once(verb: &'static str, act: &Act) -> Setup {
    let act = act.clone();
    lmtp(move |step| match step.verb == verb && step.times == 0 {
        true => act.clone(),
        false => Act::Usual,
    })
}

#[test]
fn whatever_goes_wrong_at_any_step_the_message_arrives_once_later() {
    let acts = [
        Act::say("451 4.3.0 busy"),
        Act::say("421 4.3.2 closing"),
        Act::say("hello, I am no LMTP server"),
        Act::say("250-no end"),
        Act::Cut,
        Act::Hang,
    ];
    let verbs = ["CONNECT", "LHLO", "MAIL", "RCPT", "DATA", "CONTENT", "."];
    std::thread::scope(|scope| {
        for verb in verbs {
            for act in acts.clone() {
                scope.spawn(move || arrives_once(verb, &act));
            }
        }
    });
}

fn arrives_once(verb: &'static str, act: &Act) {
    let garbage = ["hello, I am no LMTP server", "250-no end"].map(Act::say);
    if verb == "." && garbage.contains(act) {
        return; // The next recipient's reply is lost with it: nobody can know.
    }
    let folder = Folder::new();
    let host = FakeHost::start(misbehave_once(verb, act));
    let server = over_tcp(host.address);
    let machine = Machine::start_with(&folder, only(server), options(SHORT), |_| {});
    let id = machine.send(&["alice@here.example", "bob@here.example"], TEXT);
    machine.wait_until_empty();
    machine.stop();
    let taken = host.taken();
    assert_eq!(taken.len(), 2, "{verb} {act:?}");
    assert!(
        taken.iter().all(|taken| taken.data == TEXT),
        "{verb} {act:?}"
    );
    for name in ["alice", "bob"] {
        assert_eq!(copies(&host, &format!("{name}@first.example")), 1);
        let to = format!("to={name}@here.example");
        assert_eq!(logged(&["event=lmtp_delivered", &id, &to]).len(), 1);
    }
    let waits = logged(&["again_in_seconds=", &id]).len();
    assert!(waits == 1 || waits == 2, "{verb} {act:?}: {waits}");
}

#[test]
fn whoever_was_said_to_have_it_gets_it_no_second_time_and_others_one_at_most() {
    for (act, copies_of_bob) in [(Act::Cut, 1), (Act::WorkAndCut, 2), (Act::Hang, 1)] {
        let folder = Folder::new();
        let act_of_bob = act.clone();
        // The connection is lost between the first reply and the second.
        let host = FakeHost::start(lmtp(move |step| match (step.verb, step.times) {
            (".", 1) => act_of_bob.clone(),
            _ => Act::Usual,
        }));
        let server = over_tcp(host.address);
        let machine = Machine::start_with(&folder, only(server), options(SHORT), |_| {});
        let to = ["alice", "bob", "carol"].map(|name| format!("{name}@here.example"));
        machine.send(&[&to[0], &to[1], &to[2]], TEXT);
        machine.wait_until_empty();
        machine.stop();
        assert_eq!(copies(&host, "alice@first.example"), 1, "{act:?}");
        assert_eq!(copies(&host, "bob@first.example"), copies_of_bob, "{act:?}");
        assert_eq!(copies(&host, "carol@first.example"), 1, "{act:?}");
    }
}

#[test]
fn nobody_is_sent_content_that_nobody_gets() {
    let folder = Folder::new();
    let host = FakeHost::start(lmtp(|step| match step.verb {
        "RCPT" if step.times < 2 => Act::say("550 5.1.1 nobody"),
        _ => Act::Usual,
    }));
    let machine = Machine::start(&folder, only(over_tcp(host.address)));
    machine.send(&["alice@here.example", "bob@here.example"], TEXT);
    machine.wait_until_empty();
    machine.stop();
    let lines = host.lines();
    assert_eq!(lines[4], "RSET", "{lines:?}");
    assert_eq!(lines.iter().filter(|line| *line == "DATA").count(), 1);
}

#[test]
fn a_server_without_pipelining_is_asked_step_by_step() {
    let folder = Folder::new();
    let host = FakeHost::start(Setup {
        plain: vec!["8BITMIME"],
        ..misbehave_once("MAIL", &Act::say("451 4.3.0 busy"))
    });
    let machine = Machine::start(&folder, only(over_tcp(host.address)));
    let marked = Envelope {
        eight_bit: true,
        smtputf8: true,
        ..envelope(&["alice@here.example"])
    };
    machine.send_as(marked, TEXT).unwrap();
    machine.wait_until_empty();
    machine.stop();
    let mail = "MAIL FROM:<sender@here.example> BODY=8BITMIME";
    let lines = host.lines();
    let begin: Vec<_> = lines.iter().take_while(|line| *line != "DATA").collect();
    let rcpt = "RCPT TO:<alice@first.example>";
    assert!(
        !begin[..begin.len() - 1].iter().any(|line| *line == rcpt),
        "{begin:?}"
    );
    assert_eq!(host.taken()[0].mail, mail["MAIL FROM:".len()..]);
}

#[test]
fn more_recipients_than_a_transaction_takes_go_in_several() {
    let folder = Folder::new();
    let host = FakeHost::start(usual());
    let machine = Machine::start(&folder, only(over_tcp(host.address)));
    let to: Vec<String> = (0..250).map(|n| format!("u{n}@here.example")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    machine.send(&to, TEXT);
    machine.wait_until_empty();
    machine.stop();
    assert_eq!(host.taken().len(), 250);
    let count = |verb: &str| {
        host.lines()
            .iter()
            .filter(|line| line.starts_with(verb))
            .count()
    };
    assert_eq!((count("MAIL"), count("DATA")), (3, 3));
    assert_eq!(host.connections(), 1);
}

#[test]
fn neither_server_holds_up_the_other_nor_the_end() {
    std::thread::scope(|scope| {
        for verb in ["CONNECT", "RCPT", "CONTENT", "."] {
            scope.spawn(move || a_dead_lmtp_server_holds_up_nothing(verb));
            scope.spawn(move || a_dead_smarthost_holds_up_nothing(verb));
        }
    });
}

const BOTH: [&str; 2] = ["alice@here.example", "a@there.example"];

fn hang_at(verb: &'static str) -> impl Fn(&fake_host::Step<'_>) -> Act + Send + Sync + 'static {
    move |step| match step.verb == verb {
        true => Act::Hang,
        false => Act::Usual,
    }
}

fn a_dead_lmtp_server_holds_up_nothing(verb: &'static str) {
    let folder = Folder::new();
    let dead = FakeHost::start(lmtp(hang_at(verb)));
    let next = FakeHost::start(Setup::default());
    let smarthost = Some(plain(next.address));
    let server = over_tcp(dead.address);
    let machine = Machine::start_with(
        &folder,
        hops(smarthost, Some(server)),
        options(PATIENCE),
        |_| {},
    );
    let big = format!("Subject: big\r\n\r\n{}", "x".repeat(70).repeat(100_000));
    machine.send(&["bob@here.example"], &big);
    for _ in 0..20 {
        machine.send(&BOTH, TEXT);
    }
    wait_for("relaying", || next.taken().len() == 20);
    stop_soon(machine, verb);
    assert_eq!((dead.taken().len(), folder.maildirs()), (0, 0));
    // It is all there for the next start.
    let host = FakeHost::start(usual());
    let machine = Machine::start(&folder, only(over_tcp(host.address)));
    machine.wait_until_empty();
    machine.stop();
    assert_eq!(copies(&host, "alice@first.example"), 20);
    assert_eq!(copies(&host, "bob@first.example"), 1);
    assert_eq!(next.taken().len(), 20);
}

fn a_dead_smarthost_holds_up_nothing(verb: &'static str) {
    let folder = Folder::new();
    let host = FakeHost::start(usual());
    let dead = FakeHost::start(Setup::script(hang_at(verb)));
    let smarthost = Some(plain(dead.address));
    let server = over_tcp(host.address);
    let machine = Machine::start_with(
        &folder,
        hops(smarthost, Some(server)),
        options(PATIENCE),
        |_| {},
    );
    for _ in 0..20 {
        machine.send(&BOTH, TEXT);
    }
    wait_for("local mail", || host.taken().len() == 20);
    stop_soon(machine, verb);
    assert_eq!(dead.taken().len(), 0);
}

fn stop_soon(machine: Machine, verb: &str) {
    let began = Instant::now();
    machine.stop();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(15), "{verb}: {took:?}");
}

#[test]
fn mail_for_a_dead_lmtp_server_never_fills_the_log() {
    let folder = Folder::new();
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let small = |options: &mut SpoolOptions| {
        (options.segment_octets, options.segments_max) = (64 << 10, 2);
        options.memory_octets = 64 << 10;
    };
    let content = |number: usize| {
        let octets = number * 600;
        format!("Subject: {number}\r\n\r\n{}\r\n", "x".repeat(octets))
    };
    let machine = Machine::start_with(&folder, only(over_tcp(closed)), options(PATIENCE), small);
    for number in 0..60 {
        machine.send(&["alice@here.example"], &content(number));
    }
    assert_eq!(machine.spool.undelivered(), 60);
    machine.stop();
    let host = FakeHost::start(usual());
    let machine = Machine::start_with(
        &folder,
        only(over_tcp(host.address)),
        options(PATIENCE),
        small,
    );
    machine.wait_until_empty();
    // And fresh mail goes on, round and round the log.
    for number in 60..120 {
        machine.send(&["alice@here.example"], &content(number));
    }
    machine.wait_until_empty();
    machine.stop();
    let mut taken: Vec<_> = host.taken().into_iter().map(|taken| taken.data).collect();
    let mut want: Vec<_> = (0..120).map(content).collect();
    taken.sort();
    want.sort();
    assert!(taken == want, "{} messages", taken.len());
}

#[test]
fn a_server_that_speaks_smtp_is_told_apart() {
    let folder = Folder::new();
    let host = FakeHost::start(Setup::default());
    let machine = Machine::start(&folder, only(over_tcp(host.address)));
    let id = machine.send(&["alice@here.example"], TEXT);
    let why = "LHLO: the server said 500";
    wait_for("the failure", || {
        !logged(&["event=lmtp_failed", &id, why]).is_empty()
    });
    machine.stop();
    assert_eq!(host.taken().len(), 0);
}

#[test]
fn damaged_content_is_never_ended() {
    let folder = Folder::new();
    let path = folder.socket();
    let machine = Machine::start(&folder, only(at(LmtpPlace::Unix(path.clone()))));
    let line = format!(".{}\r\n", "y".repeat(76));
    let content = format!("Subject: large\r\n\r\n{}", line.repeat(30_000));
    let good = machine.send(&["alice@here.example"], &content);
    let bad = machine.send(&["bob@here.example"], &content);
    let file = folder.0.join(format!("spool/queue/{bad}.eml"));
    let mut octets = fs::read(&file).unwrap();
    let middle = octets.len() / 2;
    octets[middle] ^= 1;
    // In one step: a file of another length would be set aside at once.
    fs::write(folder.0.join("damaged"), octets).unwrap();
    fs::rename(folder.0.join("damaged"), &file).unwrap();
    let host = FakeHost::start_unix(&path, usual());
    wait_for("delivery", || {
        !logged(&["event=lmtp_delivered", &good]).is_empty()
    });
    let why = "the content in the spool is damaged";
    wait_for("the deferral", || {
        !logged(&["event=deferred", &bad, why]).is_empty()
    });
    machine.stop();
    assert_eq!(host.taken().len(), 1);
    assert!(host.taken()[0].data == content);
}
