//! Relaying: the order of the rules row by row, and that no combination of lists lets a stranger relay
//! unless a written line allows it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::net::IpAddr;
use std::path::Path;

use gatepost::mail::Domain;
use gatepost::policy::facts::{Finding, Question};

use support::TempFolder;
use support::ini::{base_ini, data};
use support::player::{Player, World, auth_plain, no_dns};
use support::random::Random;

const LOCAL: &str = "127.0.0.1";
const SMARTHOST: &str = "[smarthost]\nhost = 127.0.0.1\ntls = none\n";
const DENIED: &str = "554 5.7.1 Relay rejected for policy reasons";
const ACCEPTED: &str = "250 2.1.5 Recipient OK";
const LATER: &str = "451 4.4.3 DNS failure; try again later";

fn world(folder: &Path, extra: &str) -> World {
    std::fs::copy(data("users"), folder.join("users")).unwrap();
    let extra =
        format!("[port:tcp]\nname_and_password = yes\n[senders]\nmust_match_login = no\n{extra}");
    let ini = base_ini(LOCAL.parse().unwrap(), folder, &extra);
    World::load(&folder.join("f.ini"), &ini).unwrap_or_else(|problems| {
        panic!("{ini}\n{problems:?}");
    })
}

/// The reply to a recipient of a session from `client`, logged in or not.
fn reply(
    world: &World,
    client: &str,
    user: Option<&str>,
    recipient: &str,
    dns: &dyn Fn(&Question) -> Finding,
) -> String {
    let (client, local) = (client.parse().unwrap(), LOCAL.parse().unwrap());
    let mut player = Player::connect(world, "tcp", client, local, dns);
    player.take();
    player.say("EHLO client.example");
    if let Some(user) = user {
        assert!(player.say(&auth_plain(user)).starts_with("235 "), "{user}");
    }
    let said = player.say("MAIL FROM:<joe@there.example>");
    assert!(said.starts_with("250 "), "{said}");
    player.say(&format!("RCPT TO:<{recipient}>"))
}

const STRANGER: &str = "192.0.2.7";

/// What is written below [relay]; client; login; domain; the reply.
type Row = (
    &'static str,
    &'static str,
    Option<&'static str>,
    &'static str,
    &'static str,
);

const ROWS: &[Row] = &[
    // Nothing written: strangers are refused, this machine and users are not.
    ("", STRANGER, None, "out.example", DENIED),
    ("", "::ffff:192.0.2.7", None, "out.example", DENIED),
    ("", "127.0.0.1", None, "out.example", ACCEPTED),
    ("", "::1", None, "out.example", ACCEPTED),
    ("", STRANGER, Some("alice"), "out.example", ACCEPTED),
    (
        "authenticated_users = check",
        STRANGER,
        Some("alice"),
        "out.example",
        DENIED,
    ),
    (
        "authenticated_users = check",
        "127.0.0.1",
        Some("alice"),
        "out.example",
        ACCEPTED,
    ),
    // Whom the rules are for.
    (
        "enforce_for = all",
        "127.0.0.1",
        None,
        "out.example",
        DENIED,
    ),
    (
        "enforce_for = all",
        STRANGER,
        Some("alice"),
        "out.example",
        ACCEPTED,
    ),
    (
        "enforce_for = none",
        STRANGER,
        None,
        "out.example",
        ACCEPTED,
    ),
    (
        "enforce_for = none\ndeny_hosts = 192.0.2.7",
        STRANGER,
        None,
        "out.example",
        ACCEPTED,
    ),
    (
        "internal = 192.0.2.0/24",
        STRANGER,
        None,
        "out.example",
        ACCEPTED,
    ),
    (
        "internal = 192.0.2.0/24",
        "127.0.0.1",
        None,
        "out.example",
        DENIED,
    ),
    (
        "internal = 192.0.2.0/24\nenforce_for = all",
        STRANGER,
        None,
        "out.example",
        DENIED,
    ),
    (
        "internal = 2001:db8::/32",
        "2001:db8::9",
        None,
        "out.example",
        ACCEPTED,
    ),
    (
        "exclude_hosts = 192.0.2.7",
        STRANGER,
        None,
        "out.example",
        ACCEPTED,
    ),
    (
        "exclude_hosts = 192.0.2.8",
        STRANGER,
        None,
        "out.example",
        DENIED,
    ),
    (
        "exclude_hosts = 192.0.2.7\ndeny_hosts = 192.0.2.7",
        STRANGER,
        None,
        "out.example",
        ACCEPTED,
    ),
    // (1) deny_hosts, and deny_domains by more than *.
    (
        "deny_hosts = 192.0.2.7\nallow_domains = out.example",
        STRANGER,
        None,
        "out.example",
        DENIED,
    ),
    (
        "deny_domains = out.example\nallow_domains = out.example",
        STRANGER,
        None,
        "out.example",
        DENIED,
    ),
    (
        "deny_domains = out.example\nallow_hosts = 192.0.2.7",
        STRANGER,
        None,
        "mx.out.example",
        DENIED,
    ),
    (
        "deny_domains = @out.example\nallow_hosts = 192.0.2.7",
        STRANGER,
        None,
        "mx.out.example",
        ACCEPTED,
    ),
    (
        "deny_domains = @out.example\nallow_hosts = 192.0.2.7",
        STRANGER,
        None,
        "out.example",
        DENIED,
    ),
    // (2) the allow lists, over *.
    (
        "allow_domains = out.example",
        STRANGER,
        None,
        "MX.Out.Example",
        ACCEPTED,
    ),
    (
        "allow_domains = out.example",
        STRANGER,
        None,
        "badout.example",
        DENIED,
    ),
    (
        "allow_domains = @out.example",
        STRANGER,
        None,
        "mx.out.example",
        DENIED,
    ),
    ("allow_domains = *", STRANGER, None, "out.example", ACCEPTED),
    (
        "allow_hosts = 192.0.2.0/24",
        STRANGER,
        None,
        "out.example",
        ACCEPTED,
    ),
    (
        "allow_hosts = 192.0.2.0/24",
        "198.51.100.1",
        None,
        "out.example",
        DENIED,
    ),
    // (3) both allow lists empty, and no *.
    ("deny_domains =", STRANGER, None, "out.example", ACCEPTED),
    (
        "deny_domains = bad.example",
        STRANGER,
        None,
        "out.example",
        ACCEPTED,
    ),
    (
        "deny_domains = bad.example",
        STRANGER,
        None,
        "x.bad.example",
        DENIED,
    ),
    (
        "deny_domains = bad.example, *",
        STRANGER,
        None,
        "out.example",
        DENIED,
    ),
    // (4) an allow list alone leaves the rest out, without * as well.
    (
        "deny_domains =\nallow_domains = out.example",
        STRANGER,
        None,
        "else.example",
        DENIED,
    ),
    (
        "deny_domains =\nallow_hosts = 192.0.2.8",
        STRANGER,
        None,
        "else.example",
        DENIED,
    ),
    // A logged-in session is not free of the other lists' order when it is checked.
    (
        "authenticated_users = check\nallow_domains = out.example",
        STRANGER,
        Some("bob"),
        "out.example",
        ACCEPTED,
    ),
    // Local recipients are never relay.
    (
        "deny_hosts = 192.0.2.7\nenforce_for = all",
        STRANGER,
        None,
        "here.example",
        ACCEPTED,
    ),
    // Literals are domains like others.
    (
        "allow_domains = [198.51.100.9]",
        STRANGER,
        None,
        "[198.51.100.9]",
        ACCEPTED,
    ),
    (
        "allow_domains = [198.51.100.9]",
        STRANGER,
        None,
        "[198.51.100.8]",
        DENIED,
    ),
];

#[test]
fn the_rules_hold_in_their_order() {
    let folder = TempFolder::new("relay");
    for (written, client, user, domain, want) in ROWS {
        let world = world(folder.path(), &format!("[relay]\n{written}\n{SMARTHOST}"));
        let recipient = format!("alice@{domain}");
        let said = reply(&world, client, *user, &recipient, &no_dns);
        assert_eq!(
            said, *want,
            "[relay]\n{written}\n{client} {user:?} {domain}"
        );
    }
}

#[test]
fn names_of_hosts_count_only_when_dns_confirms_them() {
    let folder = TempFolder::new("relay-names");
    let named = |name: &str| Finding::HostNames(vec![Domain::parse(name).unwrap()]);
    let rows: &[(&str, Finding, &str)] = &[
        (
            "allow_hosts = good.example",
            named("mx.good.example"),
            ACCEPTED,
        ),
        (
            "allow_hosts = good.example",
            named("notgood.example"),
            DENIED,
        ),
        (
            "allow_hosts = good.example",
            Finding::HostNames(vec![]),
            DENIED,
        ),
        ("allow_hosts = good.example", Finding::Failed, LATER),
        (
            "exclude_hosts = good.example",
            named("good.example"),
            ACCEPTED,
        ),
        (
            "exclude_hosts = good.example",
            Finding::HostNames(vec![]),
            DENIED,
        ),
        ("exclude_hosts = good.example", Finding::Failed, LATER),
        (
            "deny_domains =\ndeny_hosts = bad.example",
            named("mx.bad.example"),
            DENIED,
        ),
        (
            "deny_domains =\ndeny_hosts = bad.example",
            named("good.example"),
            ACCEPTED,
        ),
        // A list that could not be read lets nobody through.
        (
            "deny_domains =\ndeny_hosts = bad.example",
            Finding::Failed,
            LATER,
        ),
        // Networks decide without DNS.
        (
            "allow_hosts = good.example, 192.0.2.0/24",
            Finding::Failed,
            ACCEPTED,
        ),
    ];
    for (written, finding, want) in rows {
        let world = world(folder.path(), &format!("[relay]\n{written}\n{SMARTHOST}"));
        let dns = |question: &Question| {
            assert_eq!(*question, Question::HostNames("192.0.2.7".parse().unwrap()));
            finding.clone()
        };
        let said = reply(&world, "192.0.2.7", None, "joe@out.example", &dns);
        assert_eq!(said, *want, "[relay]\n{written}\n{finding:?}");
    }
}

#[test]
fn without_a_smarthost_outside_mail_is_refused_whatever_is_allowed() {
    let folder = TempFolder::new("relay-none");
    for written in [
        "",
        "enforce_for = none",
        "allow_domains = *",
        "deny_domains =",
    ] {
        let world = world(folder.path(), &format!("[relay]\n{written}\n"));
        for (client, user) in [("127.0.0.1", None), ("192.0.2.7", Some("alice"))] {
            let said = reply(&world, client, user, "joe@out.example", &no_dns);
            assert_eq!(said, DENIED, "{written} {client} {user:?}");
        }
    }
}

const SEED: u64 = 0x5265_6c61_7921;

/// What one key of a random file says; an absent key has its default.
#[derive(Debug, Default)]
struct Lists {
    text: String,
    allows: bool,
}

fn random_lists(random: &mut Random) -> Lists {
    const HOSTS: &[&str] = &[
        "192.0.2.7",
        "192.0.2.0/24",
        "198.51.100.0/24",
        "2001:db8::/32",
    ];
    const DOMAINS: &[&str] = &[
        "out.example",
        "@out.example",
        "else.example",
        "example",
        "*",
    ];
    let mut lists = Lists::default();
    let stranger: IpAddr = "192.0.2.7".parse().unwrap();
    let names_stranger = |text: &str| text.contains("192.0.2.");
    let names_domain = |text: &str| {
        let mut entries = text.split(", ");
        entries.any(|e| matches!(e, "out.example" | "@out.example" | "example" | "*"))
    };
    assert!(stranger.is_ipv4());
    let mut write = |key: &str, value: &str| lists.text.push_str(&format!("{key} = {value}\n"));
    let mut allowed_by_a_line = false;
    for key in ["allow_hosts", "exclude_hosts", "internal"] {
        if random.below(2) == 0 {
            let value = random.some_of(HOSTS);
            allowed_by_a_line |= names_stranger(&value);
            write(key, &value);
        }
    }
    if random.below(2) == 0 {
        write("deny_hosts", &random.some_of(HOSTS));
    }
    if random.below(2) == 0 {
        let value = random.some_of(DOMAINS);
        allowed_by_a_line |= names_domain(&value);
        write("allow_domains", &value);
    }
    if random.below(2) == 0 {
        let value = random.some_of(DOMAINS);
        // A written list without * takes the default's refusal away.
        allowed_by_a_line |= !value.split(", ").any(|entry| entry == "*");
        write("deny_domains", &value);
    }
    if random.below(2) == 0 {
        let value = ["external", "all", "none"][random.below(3) as usize];
        allowed_by_a_line |= value == "none";
        write("enforce_for", value);
    }
    if random.below(2) == 0 {
        write(
            "authenticated_users",
            ["exempt", "check"][random.below(2) as usize],
        );
    }
    lists.allows = allowed_by_a_line;
    lists
}

#[test]
fn no_combination_of_lists_lets_a_stranger_relay_unless_a_written_line_allows_it() {
    println!("seed {SEED:#x}");
    let mut random = Random(SEED);
    let folder = TempFolder::new("relay-random");
    let (mut refused, mut accepted) = (0, 0);
    for _ in 0..3_000 {
        let lists = random_lists(&mut random);
        let world = world(
            folder.path(),
            &format!("[relay]\n{}{SMARTHOST}", lists.text),
        );
        let said = reply(&world, "192.0.2.7", None, "joe@out.example", &no_dns);
        match said.as_str() {
            ACCEPTED => {
                assert!(lists.allows, "nothing allows it:\n{}", lists.text);
                accepted += 1;
            }
            DENIED => refused += 1,
            _ => panic!("{said}\n{}", lists.text),
        }
    }
    assert!(refused > 300 && accepted > 300, "{refused} {accepted}");
}
