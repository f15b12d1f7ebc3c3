//! Exchanges of SCRAM with a nonce that is known, at every split.

use std::sync::Arc;

use super::transcript::{Transcript, Way};
use super::{Cut, Stage, Trouble, World, play_at_every_split_in};
use crate::directory::scram::ScramLookup;
use crate::protocol::scram::tests::other::{Client, encode};
use crate::protocol::scram::{ChannelBindings, EXPORTER_OCTETS, SERVER_NONCE_OCTETS};

/// What every exchange here draws.
pub(super) const NONCE: [u8; SERVER_NONCE_OCTETS] = *b"a nonce, used once";

const EXPORTER: [u8; EXPORTER_OCTETS] = [7; EXPORTER_OCTETS];
const END_POINT: [u8; 32] = [9; 32];
const INI: &str =
    "I: [port:tcp]\nI: name_and_password = yes\nI: [port:tls]\nI: name_and_password = yes\n";
const LOGGED_IN: &str = "S=: 235 2.7.0 Authentication succeeded\n";
const REFUSED: &str = "S=: 535 5.7.8 Authentication failed\n";
const TURNED_AWAY: &str = "S=: 454 4.7.0 Temporary authentication failure\n";
const BAD: &str = "S=: 501 5.5.2 Authentication response not understood\n";

pub(super) fn bindings() -> ChannelBindings {
    ChannelBindings {
        exporter: Some(EXPORTER),
        end_point: Some(Arc::from(END_POINT.as_slice())),
    }
}

/// The steps up to the client-final-message, and what a good server answers to it.
fn exchange(world: &World, mechanism: &str, login: &str, mut client: Client) -> (String, String) {
    let ScramLookup::Found(found) = world.directory.scram_keys(login) else {
        panic!("no users");
    };
    let nonce = format!("clients{}", encode(NONCE));
    let salt = encode(&found.keys.salt);
    let challenge = format!("r={nonce},s={salt},i={}", found.keys.iterations);
    let last = client.last(challenge.as_bytes()).unwrap();
    let steps = format!(
        "C: AUTH {mechanism} {}\nS=: 334 {}\nC: {}\n",
        encode(client.first()),
        encode(challenge),
        encode(last)
    );
    (
        steps,
        format!("S=: 334 {}\n", encode(client.server_final())),
    )
}

fn play(world: &World, name: &str, ways: &str, steps: &str) {
    let text = format!("{INI}P: {ways}\nC: EHLO c\nS*: 250\n{steps}");
    play_at_every_split_in(world, &Transcript::parse(name, &text));
}

fn world() -> World {
    world_with("")
}

fn world_with(ini: &str) -> World {
    World::new(&Transcript::parse("ini", &format!("{INI}{ini}C: NOOP\nS: 250\n")).ini)
}

#[test]
fn scram_logs_in_by_each_of_its_ways_at_any_split() {
    let world = world();
    let client = |login| Client::new(login, b"wonderland", "clients");
    let rows = [
        ("SCRAM-SHA-256", "any", "alice", client("alice")),
        (
            "scram-sha-256",
            "any",
            "ALICE@Here.Example",
            client("ALICE@Here.Example"),
        ),
        (
            "SCRAM-SHA-256",
            "any",
            "alice",
            client("alice").with_header("n,a=alice,"),
        ),
        (
            "SCRAM-SHA-256",
            "tcp",
            "alice",
            client("alice").with_header("y,,"),
        ),
        (
            "SCRAM-SHA-256-PLUS",
            "starttls tls",
            "alice",
            client("alice").bound("tls-exporter", &EXPORTER),
        ),
        (
            "SCRAM-SHA-256-PLUS",
            "starttls tls",
            "alice",
            client("alice").bound("tls-server-end-point", &END_POINT),
        ),
    ];
    for (mechanism, ways, login, client) in rows {
        let (steps, server_final) = exchange(&world, mechanism, login, client);
        let steps =
            format!("{steps}{server_final}C: \n{LOGGED_IN}C: AUTH PLAIN =\nS: 503 5.5.1 \n");
        play(&world, mechanism, ways, &steps);
        // Without an initial response.
        let (head, rest) = steps.split_once('\n').unwrap();
        let (command, initial) = head.rsplit_once(' ').unwrap();
        let steps = format!("{command}\nS=: 334 \nC: {initial}\n{rest}");
        play(&world, mechanism, ways, &steps);
    }
}

#[test]
fn scram_that_is_turned_away_says_nothing_of_the_proof() {
    let mut world = world();
    world.trouble = Some(Trouble::Pace);
    for password in [b"wonderland".as_slice(), b"wrong"] {
        let client = Client::new("alice", password, "clients");
        let (steps, _) = exchange(&world, "SCRAM-SHA-256", "alice", client);
        // No failed login: mail goes on.
        let steps = format!("{steps}{TURNED_AWAY}C: MAIL FROM:<>\nS: 250\n");
        play(&world, "turned away", "any", &steps);
    }
}

#[test]
fn scram_refuses_like_a_wrong_password_and_says_no_server_final() {
    let world = world();
    let plus =
        |name, octets: &[u8]| Client::new("alice", b"wonderland", "clients").bound(name, octets);
    let rows = [
        (
            "SCRAM-SHA-256",
            "any",
            "alice",
            Client::new("alice", b"wrong", "clients"),
        ),
        (
            "SCRAM-SHA-256",
            "any",
            "alice",
            Client::new("alice", b"", "clients"),
        ),
        (
            "SCRAM-SHA-256",
            "any",
            "nobody",
            Client::new("nobody", b"wonderland", "clients"),
        ),
        (
            "SCRAM-SHA-256",
            "any",
            "alice@outside.example",
            Client::new("alice@outside.example", b"wonderland", "clients"),
        ),
        (
            "SCRAM-SHA-256-PLUS",
            "starttls tls",
            "alice",
            plus("tls-exporter", &END_POINT),
        ),
        (
            "SCRAM-SHA-256-PLUS",
            "starttls tls",
            "alice",
            plus("tls-exporter", &[]),
        ),
        (
            "SCRAM-SHA-256-PLUS",
            "starttls tls",
            "alice",
            plus("tls-server-end-point", &EXPORTER),
        ),
    ];
    for (mechanism, ways, login, client) in rows {
        let (steps, _) = exchange(&world, mechanism, login, client);
        play(
            &world,
            mechanism,
            ways,
            &format!("{steps}{REFUSED}C: MAIL FROM:<>\nS: 530\n"),
        );
    }
    // The last of the allowed attempts ends the session.
    let wrong = || Client::new("alice", b"wrong", "clients");
    let (steps, _) = exchange(&world, "SCRAM-SHA-256", "alice", wrong());
    let steps = format!(
        "{steps}{REFUSED}{steps}{REFUSED}{steps}S=: 421 4.7.0 Too many failed logins\nX: closed\n"
    );
    play(&world, "attempts", "any", &steps);
}

/// Not even that the password was right may be heard.
#[test]
fn a_user_who_may_not_come_in_gets_no_server_final() {
    for rule in [
        "I: deny = alice\n",
        "I: allow = bob\n",
        "I: deny = @team\nI: [aliases]\nI: file = aliases\n",
    ] {
        let world = world_with(&format!("I: [server_access]\nI: enforce = yes\n{rule}"));
        let client = Client::new("alice", b"wonderland", "clients");
        let (steps, _) = exchange(&world, "SCRAM-SHA-256", "alice", client);
        play(&world, rule, "any", &format!("{steps}{REFUSED}"));
        let client = Client::new("bob", b"builder", "clients");
        let (steps, server_final) = exchange(&world, "SCRAM-SHA-256", "bob", client);
        play(
            &world,
            rule,
            "any",
            &format!("{steps}{server_final}C: \n{LOGGED_IN}"),
        );
    }
}

#[test]
fn a_client_that_was_told_of_no_channel_binding_is_refused_where_there_is_one() {
    let world = world();
    let client = Client::new("alice", b"wonderland", "clients").with_header("y,,");
    let first = encode(client.first());
    play(
        &world,
        "downgrade",
        "starttls tls",
        &format!("C: AUTH SCRAM-SHA-256 {first}\n{REFUSED}C: MAIL FROM:<>\nS: 530\n"),
    );
}

#[test]
fn an_exchange_that_breaks_off_logs_nobody_in() {
    let world = world();
    let client = || Client::new("alice", b"wonderland", "clients");
    let (steps, server_final) = exchange(&world, "SCRAM-SHA-256", "alice", client());
    let challenge: String = steps.split_inclusive('\n').take(2).collect();
    let cancelled = "C: *\nS=: 501 5.0.0 Authentication cancelled\n";
    for rest in [
        format!("{challenge}{cancelled}"),
        format!("{steps}{server_final}{cancelled}"),
        format!("{steps}{server_final}C: {}\n{BAD}", encode("more")),
        format!("{steps}{server_final}C: !\n{BAD}"),
        format!("{challenge}C: {}\n{BAD}", encode("c=biws")),
        format!("{challenge}C: \n{BAD}"),
        format!("{challenge}C: =\n{BAD}"),
    ] {
        // Neither is it a failed login: anonymous mail still goes, and a login may follow.
        let steps = format!(
            "{rest}C: MAIL FROM:<>\nS: 250\nC: RSET\nS: 250\n{steps}{server_final}C: =\n{LOGGED_IN}"
        );
        play(&world, "broken off", "any", &steps);
    }
}

/// What the client sees and what the session asks for is the same, but for the salt.
#[test]
fn nobody_and_a_user_take_the_same_steps() {
    let world = world();
    let record = |login: &str| {
        let client = Client::new(login, b"wrong", "clients");
        let (steps, _) = exchange(&world, "SCRAM-SHA-256", login, client);
        let text = format!("{INI}P: tcp\nC: EHLO c\nS*: 250\n{steps}{REFUSED}");
        let transcript = Transcript::parse(login, &text);
        let way = Way::Tcp;
        let (transcript, world) = (&transcript, &world);
        let record = Stage {
            transcript,
            world,
            way,
        }
        .play(Cut::Whole);
        let kinds = record
            .effects
            .iter()
            .map(|effect| effect.split('(').next().unwrap().to_owned());
        (
            record.wire.len(),
            kinds.collect::<Vec<_>>(),
            record.notes.len(),
        )
    };
    assert_eq!(record("alice"), record("erwin"));
}
