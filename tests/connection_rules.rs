//! Who may connect, row by row: the order of the lists, IPv6, names and DNS that fails, and what is asked of
//! DNS; then which users may log in.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::path::Path;

use gatepost::mail::Domain;
use gatepost::policy::facts::{Finding, Question};

use support::TempFolder;
use support::ini::{base_ini, data};
use support::player::{Player, World, auth_plain, no_dns};

const GREETED: &str = "220 mx.here.example ESMTP ready";
const DENIED: &str = "554 Connection denied based on policy reason";
const LATER: &str = "421 Your host name could not be looked up; try again later";

fn world(folder: &Path, extra: &str) -> World {
    for name in ["users", "aliases"] {
        fs::copy(data(name), folder.join(name)).unwrap();
    }
    let ini = base_ini("127.0.0.1".parse().unwrap(), folder, extra);
    World::load(&folder.join("f.ini"), &ini).unwrap_or_else(|problems| {
        panic!("{ini}\n{problems:?}");
    })
}

/// DNS: `good.example` and `fail.example` by address, zones by name.
fn dns(question: &Question) -> Finding {
    match question {
        Question::HostNames(address) => match address.to_string().as_str() {
            "192.0.2.7" | "2001:db8::7" => {
                Finding::HostNames(vec![Domain::parse("mx.good.example").unwrap()])
            }
            "192.0.2.9" => Finding::Failed,
            _ => Finding::HostNames(Vec::new()),
        },
        Question::Listed { zone, .. } => match zone.as_str() {
            "listed.example" | "also.example" => Finding::Listed(true),
            "failing.example" => Finding::Failed,
            _ => Finding::Listed(false),
        },
        Question::MailDomain(_) => panic!("no sender yet"),
    }
}

/// The first line to a client, and the zones and names that were asked for.
fn first_line(world: &World, client: &str) -> (String, String) {
    let (client, local) = (client.parse().unwrap(), "127.0.0.1".parse().unwrap());
    let mut player = Player::connect(world, "tcp", client, local, &dns);
    let asked: Vec<String> = player
        .questions
        .iter()
        .map(|question| match question {
            Question::HostNames(_) => "names".to_owned(),
            Question::Listed { zone, .. } => zone.to_string(),
            Question::MailDomain(domain) => domain.to_string(),
        })
        .collect();
    (player.take(), asked.join(" "))
}

/// What is written; the client; the first line; what was asked of DNS.
type Row = (&'static str, &'static str, &'static str, &'static str);

const ROWS: &[Row] = &[
    ("", "192.0.2.7", GREETED, ""),
    (
        "[connections]\ndeny = 192.0.2.0/24",
        "192.0.2.7",
        DENIED,
        "",
    ),
    (
        "[connections]\ndeny = 192.0.2.0/24",
        "::ffff:192.0.2.7",
        DENIED,
        "",
    ),
    (
        "[connections]\ndeny = 2001:db8::/32",
        "2001:db8::7",
        DENIED,
        "",
    ),
    (
        "[connections]\ndeny = 2001:db8::/32",
        "2001:db9::7",
        GREETED,
        "",
    ),
    ("[connections]\nallow = 192.0.2.7", "192.0.2.7", GREETED, ""),
    ("[connections]\nallow = 192.0.2.7", "192.0.2.8", DENIED, ""),
    (
        "[connections]\nallow = 192.0.2.0/24\ndeny = 192.0.2.7",
        "192.0.2.7",
        DENIED,
        "",
    ),
    // Names are asked for where no network decides.
    (
        "[connections]\ndeny = good.example",
        "192.0.2.7",
        DENIED,
        "names",
    ),
    (
        "[connections]\ndeny = good.example",
        "2001:db8::7",
        DENIED,
        "names",
    ),
    (
        "[connections]\ndeny = good.example",
        "192.0.2.8",
        GREETED,
        "names",
    ),
    (
        "[connections]\ndeny = 192.0.2.7, other.example",
        "192.0.2.7",
        DENIED,
        "",
    ),
    (
        "[connections]\nallow = good.example",
        "192.0.2.7",
        GREETED,
        "names",
    ),
    (
        "[connections]\nallow = good.example",
        "192.0.2.8",
        DENIED,
        "names",
    ),
    // DNS that fails denies nobody, and lets nobody in.
    (
        "[connections]\ndeny = good.example",
        "192.0.2.9",
        GREETED,
        "names",
    ),
    (
        "[connections]\nallow = good.example",
        "192.0.2.9",
        LATER,
        "names",
    ),
    // The whitelist spares the lists behind it, not [connections].
    (
        "[whitelist]\nhosts = 192.0.2.7\n[blacklist]\nhosts = 192.0.2.0/24\n[dnsbl]\nzones = listed.example",
        "192.0.2.7",
        GREETED,
        "",
    ),
    (
        "[whitelist]\nhosts = good.example\n[dnsbl]\nzones = listed.example",
        "192.0.2.7",
        GREETED,
        "names",
    ),
    (
        "[whitelist]\nhosts = good.example\n[dnsbl]\nzones = listed.example",
        "192.0.2.8",
        DENIED,
        "names listed.example",
    ),
    (
        "[whitelist]\nhosts = 192.0.2.7\n[connections]\ndeny = 192.0.2.7",
        "192.0.2.7",
        DENIED,
        "",
    ),
    // The blacklist comes before the DNS lists, to save look-ups.
    (
        "[blacklist]\nhosts = 192.0.2.0/24\n[dnsbl]\nzones = listed.example",
        "192.0.2.7",
        DENIED,
        "",
    ),
    (
        "[blacklist]\nhosts = 192.0.2.0/24\naction = log\n[dnsbl]\nzones = clean.example",
        "192.0.2.7",
        GREETED,
        "clean.example",
    ),
    (
        "[blacklist]\nhosts = 2001:db8::/32\nreply = not %s",
        "2001:db8::7",
        "554 not 2001:db8::7",
        "",
    ),
    // The blacklist is for hosts under relay enforcement; names are asked for where that decides.
    (
        "[relay]\ninternal = 192.0.2.0/28\n[blacklist]\nhosts = 192.0.2.0/24",
        "192.0.2.7",
        GREETED,
        "",
    ),
    (
        "[relay]\nenforce_for = none\n[blacklist]\nhosts = 192.0.2.0/24",
        "192.0.2.7",
        GREETED,
        "",
    ),
    (
        "[relay]\nexclude_hosts = good.example\n[blacklist]\nhosts = 192.0.2.0/24",
        "192.0.2.7",
        GREETED,
        "names",
    ),
    (
        "[relay]\nexclude_hosts = good.example\n[blacklist]\nhosts = 192.0.2.0/24",
        "192.0.2.9",
        DENIED,
        "names",
    ),
    (
        "[relay]\nexclude_hosts = good.example\n[blacklist]\nhosts = 198.51.100.1",
        "192.0.2.7",
        GREETED,
        "",
    ),
    // DNS lists: in order, to the first hit, past those that fail; IPv6 too.
    (
        "[dnsbl]\nzones = clean.example, failing.example, listed.example, also.example",
        "192.0.2.7",
        DENIED,
        "clean.example failing.example listed.example",
    ),
    (
        "[dnsbl]\nzones = listed.example",
        "2001:db8::7",
        DENIED,
        "listed.example",
    ),
    (
        "[dnsbl]\nzones = failing.example, clean.example",
        "192.0.2.7",
        GREETED,
        "failing.example clean.example",
    ),
    (
        "[dnsbl]\nzones = listed.example, also.example\naction = tag",
        "192.0.2.7",
        GREETED,
        "listed.example",
    ),
    (
        "[dnsbl]\nzones = listed.example\nreply = no, %s!",
        "192.0.2.7",
        "554 no, 192.0.2.7!",
        "listed.example",
    ),
];

#[test]
fn lists_are_looked_at_in_their_order_and_no_further_than_needed() {
    let folder = TempFolder::new("connect");
    for (written, client, want, asked) in ROWS {
        let world = world(folder.path(), &format!("{written}\n"));
        let got = first_line(&world, client);
        assert_eq!(
            got,
            ((*want).to_owned(), (*asked).to_owned()),
            "{written}\n{client}"
        );
    }
}

#[test]
fn access_lists_decide_who_may_log_in() {
    let folder = TempFolder::new("login");
    let rows: &[(&str, &str, bool)] = &[
        ("", "alice", true),
        ("deny = alice", "alice", true),
        ("enforce = yes", "alice", true),
        ("enforce = yes\ndeny = ALICE", "alice", false),
        ("enforce = yes\ndeny = alice@here.example", "Alice", false),
        (
            "enforce = yes\ndeny = alice@elsewhere.example",
            "alice",
            true,
        ),
        ("enforce = yes\ndeny = *", "alice", false),
        ("enforce = yes\nallow = bob", "alice", false),
        ("enforce = yes\nallow = bob", "bob@Here.Example", true),
        ("enforce = yes\nallow = *\ndeny = bob", "bob", false),
        ("enforce = yes\nallow = alice\ndeny = alice", "alice", false),
        // Groups: alice is in team, and in all through team; bob is in neither.
        ("enforce = yes\nallow = @team", "alice", true),
        ("enforce = yes\nallow = @ALL", "alice", true),
        ("enforce = yes\nallow = @team", "bob", false),
        ("enforce = yes\nallow = *\ndeny = @all", "alice", false),
    ];
    for (written, login, want) in rows {
        let extra = format!(
            "[port:tcp]\nname_and_password = yes\n[aliases]\nfile = aliases\n[server_access]\n{written}\n"
        );
        let world = world(folder.path(), &extra);
        let (client, local) = ("192.0.2.7".parse().unwrap(), "127.0.0.1".parse().unwrap());
        let mut player = Player::connect(&world, "tcp", client, local, &no_dns);
        player.take();
        player.say("EHLO client.example");
        let said = player.say(&auth_plain(login));
        let reply = match want {
            true => "235 2.7.0 Authentication succeeded",
            false => "535 5.7.8 Authentication failed",
        };
        assert_eq!(said, reply, "{written}\n{login}");
        // Without a login the lists bind nobody (DOMINO S-64).
        let mut stranger = Player::connect(&world, "tcp", client, local, &no_dns);
        stranger.take();
        stranger.say("EHLO client.example");
        assert!(
            stranger
                .say("MAIL FROM:<joe@there.example>")
                .starts_with("250 ")
        );
    }
}
