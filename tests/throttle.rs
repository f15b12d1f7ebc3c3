//! Failed logins slow the next ones down: the real binary with clients of several addresses.
//!
//! Every client is on loopback, so the list of those that are exempt is empty here. Where a delay has to
//! be waited for it is one second; all else is told by the log and by what is said in which order.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "support/scram.rs"]
mod scram;
mod support;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use support::{Client, PATIENCE, Server, auth_plain, lines_with, own_v4};

/// One worker, so that a held one would be noticed.
const INI: &str = "[port:tcp]\nname_and_password = yes\n[auth]\nattempts_max = 20\nthrottle_exempt =\n\
                   [workers]\nthreads = 1\n";

/// This many failed logins from one address, side by side: they take about a second.
fn fail_side_by_side(from: Ipv4Addr, count: usize, server: &Server) {
    let mut sessions: Vec<_> = (0..count)
        .map(|_| Client::hello_from(from, server.tcp()))
        .collect();
    for (number, session) in sessions.iter_mut().enumerate() {
        let login = auth_plain(&format!("user{number}"), "guess");
        session.send(format!("{login}\r\n").as_bytes());
    }
    for session in &mut sessions {
        session.expect("535 5.7.8");
    }
}

#[test]
fn the_delay_grows_with_each_failure() {
    let mut server = Server::start(INI);
    let mut guessing = Client::hello_from(own_v4(), server.tcp());
    for number in 0..3 {
        guessing.command(&auth_plain(&format!("user{number}"), "guess"), "535 5.7.8");
    }
    let began = Instant::now();
    guessing.send(format!("{}\r\n", auth_plain("bob", "guess")).as_bytes());
    server.wait_for_log("user=bob seconds=1");
    guessing.expect("535 5.7.8");
    assert!(began.elapsed() >= Duration::from_secs(1));
    // A right password waits as well.
    guessing.send(format!("{}\r\n", auth_plain("alice", "wonderland")).as_bytes());
    server.wait_for_log("user=alice seconds=2");
}

#[test]
fn a_login_that_waits_holds_no_worker_and_ends_with_the_service() {
    let mut server = Server::start(INI);
    let (guesser, other) = (own_v4(), own_v4());
    fail_side_by_side(guesser, 8, &server);
    let mut guessing = Client::hello_from(guesser, server.tcp());
    guessing.send(format!("{}\r\nNOOP\r\n", auth_plain("bob", "builder")).as_bytes());
    server.wait_for_log("user=bob seconds=32");
    // The only worker is free for others.
    let mut busy = Client::hello_from(other, server.tcp());
    busy.command(&auth_plain("alice", "wonderland"), "235");
    busy.command("MAIL FROM:<alice@here.example>", "250");
    busy.command("RSET", "250");

    let began = Instant::now();
    let log = server.whole_log();
    guessing.expect("421 4.3.2 Service shutting down");
    assert_eq!(guessing.rest(), b"");
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(lines_with(&log, &["event=login "]).len(), 1, "{log}");
    assert_eq!(lines_with(&log, &["event=login_failed"]).len(), 8, "{log}");
}

#[test]
fn after_ten_failures_an_address_is_not_listened_to_and_another_is() {
    let mut server = Server::start(INI);
    let (guesser, other) = (own_v4(), own_v4());
    let mut sessions: Vec<_> = (0..12)
        .map(|_| Client::hello_from(guesser, server.tcp()))
        .collect();
    for (number, session) in sessions.iter_mut().enumerate() {
        let login = auth_plain(&format!("user{number}"), "guess");
        session.send(format!("{login}\r\n").as_bytes());
    }
    // Two of those that waited side by side find that their time has not come.
    let replies: Vec<_> = sessions.iter_mut().map(Client::reply).collect();
    let count = |start: &str| {
        replies
            .iter()
            .filter(|reply| reply.starts_with(start))
            .count()
    };
    assert_eq!(
        count("535 5.7.8 Authentication failed\r\n"),
        10,
        "{replies:?}"
    );
    assert_eq!(
        count("454 4.7.0 Temporary authentication failure\r\n"),
        2,
        "{replies:?}"
    );

    let mut refused = Client::hello_from(guesser, server.tcp());
    refused.command(&auth_plain("alice", "wonderland"), "454 4.7.0");
    refused.command("AUTH LOGIN", "334");
    refused.command(&STANDARD.encode("alice"), "334");
    refused.command(&STANDARD.encode("wonderland"), "454 4.7.0");
    refused.message("alice@here.example", "Mail goes on.");
    Client::hello_from(other, server.tcp()).command(&auth_plain("alice", "wonderland"), "235");

    let log = server.whole_log();
    assert_eq!(lines_with(&log, &["event=login_failed"]).len(), 10, "{log}");
    let client = format!("client={guesser}:");
    let turned_away = [
        "event=login_turned_away",
        &client,
        "user=alice",
        "reply=454",
    ];
    assert_eq!(lines_with(&log, &turned_away).len(), 2, "{log}");
    assert_eq!(lines_with(&log, &["event=login "]).len(), 1, "{log}");
}

/// Says all of an exchange by SCRAM but the proof, which is returned.
fn all_but_the_proof(client: &mut Client, user: &str, password: &str) -> String {
    let mut scram = scram::Client::new(user, password.as_bytes(), "nonce");
    let first = scram::encode(scram.first());
    let challenge = client.command(&format!("AUTH SCRAM-SHA-256 {first}"), "334 ");
    let challenge = STANDARD.decode(challenge[4..].trim_end()).unwrap();
    scram::encode(scram.last(&challenge).unwrap())
}

#[test]
fn proofs_kept_back_until_all_challenges_are_there_win_nothing() {
    let mut server = Server::start(INI);
    let (guesser, other) = (own_v4(), own_v4());
    let mut sessions: Vec<_> = (0..12)
        .map(|_| Client::hello_from(guesser, server.tcp()))
        .collect();
    let prove = |(number, session): (usize, &mut Client)| {
        all_but_the_proof(session, &format!("user{number}"), "guess")
    };
    let proofs: Vec<_> = sessions.iter_mut().enumerate().map(prove).collect();
    let mut right = Client::hello_from(guesser, server.tcp());
    let right_proof = all_but_the_proof(&mut right, "alice", "wonderland");
    for (session, proof) in sessions.iter_mut().zip(proofs) {
        session.send(format!("{proof}\r\n").as_bytes());
    }
    let replies: Vec<_> = sessions.iter_mut().map(Client::reply).collect();
    let count = |start: &str| {
        replies
            .iter()
            .filter(|reply| reply.starts_with(start))
            .count()
    };
    assert_eq!(
        (count("535 5.7.8"), count("454 4.7.0")),
        (10, 2),
        "{replies:?}"
    );
    right.command(&right_proof, "454 4.7.0");

    let mut good = Client::hello_from(other, server.tcp());
    let proof = all_but_the_proof(&mut good, "alice", "wonderland");
    good.command(&proof, "334 ");
    good.command("", "235");
    let log = server.whole_log();
    assert_eq!(lines_with(&log, &["event=login_failed"]).len(), 10, "{log}");
    assert_eq!(lines_with(&log, &["event=login "]).len(), 1, "{log}");
}

#[test]
fn an_account_under_attack_is_slow_for_strangers_only() {
    let mut server = Server::start(INI);
    let (home, stranger) = (own_v4(), own_v4());
    Client::hello_from(home, server.tcp()).command(&auth_plain("alice", "wonderland"), "235");
    let forms = [
        "alice",
        "ALICE",
        "alice@here.example",
        "Alice@HERE.example",
        "alice",
    ];
    for form in forms {
        Client::hello_from(own_v4(), server.tcp()).command(&auth_plain(form, "guess"), "535");
    }
    Client::hello_from(stranger, server.tcp()).command(&auth_plain("bob", "builder"), "235");
    // Her own login forgives nothing that strangers did.
    Client::hello_from(home, server.tcp()).command(&auth_plain("alice", "wonderland"), "235");
    let mut waiting = Client::hello_from(stranger, server.tcp());
    waiting.send(format!("{}\r\n", auth_plain("alice", "wonderland")).as_bytes());
    let line = server.wait_for_log("event=login_delayed");
    assert!(line.contains(&format!("client={stranger}:")), "{line}");
    assert!(line.ends_with("user=alice seconds=1"), "{line}");
    Client::hello_from(home, server.tcp()).command(&auth_plain("alice", "wonderland"), "235");
}

#[test]
fn own_logins_between_guesses_buy_no_guess() {
    let mut server = Server::start(INI);
    let guesser = own_v4();
    for number in 0..5 {
        Client::hello_from(guesser, server.tcp()).command(&auth_plain("bob", "builder"), "235");
        let guess = auth_plain("alice", &format!("guess{number}"));
        Client::hello_from(guesser, server.tcp()).command(&guess, "535");
    }
    let log = server.whole_log();
    let waited = lines_with(&log, &["event=login_delayed", "user=alice"]);
    assert_eq!(waited.len(), 2, "{log}");
    assert!(
        waited[0].ends_with("seconds=1") && waited[1].ends_with("seconds=2"),
        "{log}"
    );
    assert_eq!(
        lines_with(&log, &["event=login_delayed", "user=bob"]).len(),
        0,
        "{log}"
    );
}

#[test]
fn a_printer_with_an_old_password_locks_out_nobody_who_has_logged_in_from_there() {
    let mut server = Server::start(INI);
    let office = own_v4();
    Client::hello_from(office, server.tcp()).command(&auth_plain("alice", "wonderland"), "235");
    fail_side_by_side(office, 10, &server);
    Client::hello_from(office, server.tcp()).command(&auth_plain("alice", "wonderland"), "235");
    // Who has not is kept out, and so is alice elsewhere only as long as strangers guess.
    Client::hello_from(office, server.tcp()).command(&auth_plain("bob", "builder"), "454 4.7.0");
    let log = server.whole_log();
    assert_eq!(
        lines_with(&log, &["login_delayed", "user=alice"]).len(),
        0,
        "{log}"
    );
}

#[test]
fn a_login_that_waits_ends_with_its_client() {
    let mut server = Server::start(INI);
    let from = own_v4();
    fail_side_by_side(from, 8, &server);
    let mut sids = Vec::new();
    for user in ["bob", "alice"] {
        let mut waiting = Client::hello_from(from, server.tcp());
        waiting.send(format!("{}\r\nNOOP\r\n", auth_plain(user, "guess")).as_bytes());
        let line = server.wait_for_log(&format!("user={user} seconds=32"));
        let sid = line
            .split_once("sid=")
            .unwrap()
            .1
            .split(' ')
            .next()
            .unwrap();
        sids.push((sid.to_owned(), waiting));
    }
    for (sid, waiting) in sids {
        let gone = Instant::now();
        drop(waiting);
        let line = server.wait_for_log(&format!("event=session_ended sid={sid} "));
        assert!(line.contains("reason=dropped"), "{line}");
        assert!(
            gone.elapsed() < Duration::from_secs(5),
            "{:?}",
            gone.elapsed()
        );
    }
    let log = server.whole_log();
    assert_eq!(lines_with(&log, &["event=login_failed"]).len(), 8, "{log}");
}

#[test]
fn exempt_clients_never_wait_and_each_of_their_failures_is_logged() {
    // Loopback is exempt by default.
    let exempt = "[port:tcp]\nname_and_password = yes\n[auth]\nattempts_max = 20\n";
    let switched_off = format!("{INI}[auth]\nthrottle = no\n");
    for ini in [exempt, &switched_off] {
        let mut server = Server::start(ini);
        let from = own_v4();
        for _ in 0..4 {
            let mut client = Client::hello_from(from, server.tcp());
            for failed in 1..=20 {
                let want = if failed < 20 { "535" } else { "421 4.7.0" };
                client.command(&auth_plain("nobody", "guess"), want);
            }
        }
        Client::hello_from(from, server.tcp()).command(&auth_plain("alice", "wonderland"), "235");
        let log = server.whole_log();
        assert_eq!(lines_with(&log, &["event=login_failed"]).len(), 80, "{log}");
        assert_eq!(lines_with(&log, &["event=login_delayed"]).len(), 0, "{log}");
    }
}

#[test]
fn what_is_no_failed_login_slows_nobody_down() {
    let mut server = Server::start(INI);
    let mut client = Client::hello_from(own_v4(), server.tcp());
    for _ in 0..6 {
        client.command("AUTH PLAIN", "334");
        client.command("*", "501");
        client.command("AUTH LOGIN !", "501");
        client.command("AUTH NOTHING", "504");
    }
    client.command(&auth_plain("alice", "wonderland"), "235");
    let log = server.whole_log();
    assert_eq!(lines_with(&log, &["login_delayed"]).len(), 0, "{log}");
}

#[test]
fn a_held_session_ends_at_its_session_timeout() {
    let mut server = Server::start(&format!("{INI}[limits]\nsession_timeout = 1s\n"));
    let from = own_v4();
    // Failures beforehand, side by side, so that the time of the last session is its own.
    for number in 0..3 {
        let user = format!("user{number}");
        Client::hello_from(from, server.tcp()).command(&auth_plain(&user, "guess"), "535");
    }
    let mut waiting = Client::hello_from(from, server.tcp());
    waiting.send(format!("{}\r\n", auth_plain("alice", "wonderland")).as_bytes());
    server.wait_for_log("event=login_delayed");
    waiting.expect("421 4.4.2 Timeout");
    assert_eq!(waiting.rest(), b"");
}

#[test]
fn what_is_unbanned_waits_for_nothing_any_more() {
    let mut server = Server::start(INI);
    let (guesser, other) = (own_v4(), own_v4());
    fail_side_by_side(guesser, 10, &server);
    Client::hello_from(guesser, server.tcp()).command(&auth_plain("alice", "wonderland"), "454");
    let unban = |who: &str| {
        let said = server.command(&["unban", who]);
        assert_eq!(said.code, Some(0), "{said:?}");
        said.output
    };
    let bare = guesser.to_string();
    assert_eq!(
        unban(&other.to_string()),
        format!("no failed login of {other} is remembered\n")
    );
    assert_eq!(
        unban("2001:db8::1"),
        "no failed login of 2001:db8::1 is remembered\n"
    );
    assert_eq!(
        unban(&bare),
        format!("the failed logins of {bare} are forgotten\n")
    );
    assert_eq!(
        unban(&bare),
        format!("no failed login of {bare} is remembered\n")
    );
    Client::hello_from(guesser, server.tcp()).command(&auth_plain("alice", "wonderland"), "235");

    assert_eq!(unban("alice"), "no failed login of alice is remembered\n");
    for _ in 0..5 {
        Client::hello_from(own_v4(), server.tcp()).command(&auth_plain("Bob", "guess"), "535");
    }
    let who = "BOB@here.example";
    assert_eq!(
        unban(who),
        format!("the failed logins of {who} are forgotten\n")
    );
    assert_eq!(unban("bob"), "no failed login of bob is remembered\n");
    Client::hello_from(other, server.tcp()).command(&auth_plain("bob", "builder"), "235");
    let log = server.whole_log();
    assert_eq!(
        lines_with(&log, &["event=unbanned", "by=\"uid 0\""]).len(),
        2,
        "{log}"
    );
    assert_eq!(
        lines_with(&log, &["event=login_delayed", "user=bob"]).len(),
        0,
        "{log}"
    );
}

#[test]
fn a_refresh_keeps_what_failed_and_takes_up_new_rules_for_new_sessions() {
    let mut server = Server::start(INI);
    let from = own_v4();
    let mut old = Client::hello_from(from, server.tcp());
    fail_side_by_side(from, 10, &server);
    server.configure(&format!("{INI}[auth]\nattempts_max = 5\n"));
    assert_eq!(server.command(&["reload"]).code, Some(0));
    Client::hello_from(from, server.tcp()).command(&auth_plain("alice", "wonderland"), "454");
    server.configure(&INI.replace("exempt =", "exempt = 127.0.0.0/8"));
    assert_eq!(server.command(&["reload"]).code, Some(0));
    Client::hello_from(from, server.tcp()).command(&auth_plain("alice", "wonderland"), "235");
    old.command(&auth_plain("alice", "wonderland"), "454");
    server.whole_log();
}

#[test]
fn a_session_whose_login_waits_is_listed_and_can_be_killed() {
    let mut server = Server::start(INI);
    let from = own_v4();
    fail_side_by_side(from, 8, &server);
    let mut waiting = Client::hello_from(from, server.tcp());
    waiting.send(format!("{}\r\n", auth_plain("bob", "builder")).as_bytes());
    let line = server.wait_for_log("user=bob seconds=32");
    let sid = line
        .split("sid=")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    // The log is a little ahead of the place the session waits in.
    let until = Instant::now() + PATIENCE;
    while !server
        .command(&["sessions"])
        .output
        .contains("state=delayed")
    {
        assert!(
            Instant::now() < until,
            "{}",
            server.command(&["sessions"]).output
        );
    }
    assert_eq!(server.command(&["sessions", "kill", sid]).code, Some(0));
    waiting.expect("421 4.3.2");
    assert_eq!(waiting.rest(), b"");
    let log = server.whole_log();
    assert_eq!(lines_with(&log, &["event=login "]).len(), 0, "{log}");
}

#[test]
fn a_right_password_that_server_access_keeps_out_counts_as_a_failure() {
    let access = "[server_access]\nenforce = yes\nallow = *\ndeny = bob\n";
    let mut server = Server::start(&format!("{INI}{access}"));
    let mut client = Client::hello_from(own_v4(), server.tcp());
    for _ in 0..3 {
        client.command(&auth_plain("bob", "builder"), "535");
    }
    client.send(format!("{}\r\n", auth_plain("bob", "builder")).as_bytes());
    server.wait_for_log("user=bob seconds=1");
}
