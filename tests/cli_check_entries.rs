//! `gatepost check` on entries that can match nothing and on values that were meant otherwise: each is named at
//! its line with what to write; and what is an error only since this release does not keep a service from starting.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;

use support::checking::{assert_problems, check, check_in};
use support::{Client, Server, TempFolder, data};

const SERVER: &str = "[server]\nhostname = mx.here.example\nlocal_domains = here.example\n";
const NETWORK: &str =
    "is not a network, such as 192.0.2.0/24 or 2001:db8::/32, or a host name; write";
const ALONE: &str = "is not a network, such as 192.0.2.0/24, 2001:db8::/32 or one address; write";
const STAR: &str = "matches nobody: a * stands for nothing here; write";
const BARE: &str =
    "is read as a domain, and matches nobody: it is the name of a user or alias; write";

/// Each row: section and key, the entry, the reason behind it, and what to write.
fn assert_rows(rows: &[(&str, &str, &str, &str)]) {
    for (place, entry, reason, write) in rows {
        let (section, key) = place.split_once(' ').unwrap();
        let ini = format!("{SERVER}{section}\n{key} = {entry}\n");
        let want = format!("f.ini:5: {section} {key}: {entry:?} {reason} {write}");
        assert_problems(&ini, &[&want]);
    }
}

#[test]
fn entries_that_match_nothing_are_errors_with_what_to_write() {
    let mail = "is not an address, a domain or @domain; write";
    let relay = "is not a domain, @domain or *; write";
    let blanks = "is not an address, a domain or @domain; commas stand between entries: write";
    assert_rows(&[
        ("[senders] deny", "*@spam.example", STAR, "@spam.example"),
        (
            "[recipients] allow",
            "sales-*@a.example",
            STAR,
            "@a.example",
        ),
        ("[senders] deny", "*.spam.example", mail, "spam.example"),
        (
            "[relay] deny_domains",
            ".spam.example",
            relay,
            "spam.example",
        ),
        ("[connections] deny", "10.*", NETWORK, "10.0.0.0/8"),
        ("[blacklist] hosts", "10.0.0.*", NETWORK, "10.0.0.0/24"),
        (
            "[connections] deny",
            "*.example.org",
            NETWORK,
            "example.org",
        ),
        ("[whitelist] hosts", "[192.0.2.1]", NETWORK, "192.0.2.1"),
        ("[relay] internal", "192.168.*", ALONE, "192.168.0.0/16"),
        (
            "[connections] deny",
            "192.168.1.x",
            "matches no host; write",
            "192.168.1.0/24",
        ),
        (
            "[connections] deny",
            "10.0.0.1-20",
            "matches no host; write",
            "networks such as 192.0.2.0/24",
        ),
        (
            "[senders] deny",
            "a.example b.example",
            blanks,
            "a.example, b.example",
        ),
        ("[recipients] deny", "alice", BARE, "alice@here.example"),
        ("[recipients] deny", "@bob", BARE, "bob@here.example"),
        (
            "[senders] allow",
            "postmaster",
            BARE,
            "postmaster@here.example",
        ),
    ]);
}

#[test]
fn an_alias_alone_is_told_as_a_user_is_and_a_wrong_entry_at_its_own_line() {
    let folder = TempFolder::new("check");
    for name in ["users", "aliases"] {
        fs::copy(data(name), folder.path().join(name)).unwrap();
    }
    let ini = format!(
        "{SERVER}[aliases]\nfile = aliases\n[smarthost]\nhost = mx.there.example\n[recipients]\n\
         deny = a.example,\n  sales, *@b.example\n"
    );
    let got = check_in(&folder, ini);
    let want = [
        format!("f.ini:10: [recipients] deny: \"*@b.example\" {STAR} @b.example"),
        format!("f.ini:10: [recipients] deny: \"sales\" {BARE} sales@here.example"),
    ];
    assert_eq!(got.problems, want);
    assert_eq!(got.code, Some(78));
}

#[test]
fn names_of_one_label_and_literals_are_domains() {
    for entries in [
        "lan, localhost, com, hr, info",
        "[192.0.2.1], [IPv6:2001:db8::1]",
        "carol, example, here.example, mx.here.example",
        "@lan, alice@here.example",
    ] {
        for list in ["[senders]\ndeny", "[recipients]\ndeny"] {
            assert_problems(&format!("{SERVER}{list} = {entries}\n"), &[]);
        }
    }
    let hosts = "lan, localhost, x, mx1, xn--e1afmkfd.xn--p1ai, 192.0.2.1, 2001:db8::/32";
    assert_problems(&format!("{SERVER}[connections]\ndeny = {hosts}\n"), &[]);
}

#[test]
fn a_star_in_an_access_list_is_alone() {
    let ini = format!(
        "{SERVER}[server_access]\nallow = alice, *@here.example\n[port:tls]\nname_and_password = yes\n"
    );
    assert_problems(
        &ini,
        &[
            "f.ini:5: [server_access] allow: \"*@here.example\" matches nobody: a * alone is every user; \
           write *",
        ],
    );
}

#[test]
fn values_that_were_meant_otherwise_are_told() {
    for (lines, want) in [
        (
            "[senders]\nverify_domain = enabled",
            "5: [senders] verify_domain: \"enabled\" is not yes or no; write yes",
        ),
        (
            "[recipients]\nverify = off",
            "5: [recipients] verify: \"off\" is not yes or no; write no",
        ),
        (
            "[extensions]\ndsn = yes",
            "5: [extensions] dsn: \"yes\" is not one of enabled, disabled; write enabled",
        ),
        (
            "[smarthost]\nhost = mx.there.example:587",
            "5: [smarthost] host: \"mx.there.example:587\" is not a host name or an IP address; write \
             host = mx.there.example, and port = 587",
        ),
    ] {
        let got = check(format!("{SERVER}{lines}\n"));
        assert_eq!(got.problems, [format!("f.ini:{want}")], "{lines}");
        assert_eq!(got.code, Some(78), "{lines}");
    }
}

#[test]
fn what_0_1_0_took_still_starts_and_is_an_error_for_check_and_reload() {
    let lists = "[senders]\ndeny = *@spam.example, alice\n";
    let mut server = Server::start(lists);
    let star = format!("[senders] deny: \"*@spam.example\" {STAR} @spam.example");
    let bare = format!("[senders] deny: \"alice\" {BARE} alice@here.example");
    let log = server.wait_for_log("\\\"alice\\\" is read as a domain");
    assert!(log.contains("warning: [senders] deny: "), "{log}");
    assert!(log.contains("(an error for check and reload)"), "{log}");
    // Each entry matches what it matched before: nothing.
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO x", "250");
    client.command("MAIL FROM:<joe@spam.example>", "250");
    let said = server.command(&["check"]);
    assert_eq!(said.code, Some(78), "{said:?}");
    assert!(said.output.is_empty(), "{said:?}");
    for reason in [&star, &bare] {
        assert!(
            said.complaint.contains(&format!(": {reason}\n")),
            "{said:?}"
        );
    }
    // A refresh changes nothing, a restart still starts.
    server.configure(&format!("{lists}[limits]\nmessage_size = 4K\n"));
    let said = server.command(&["reload"]);
    assert_eq!(said.code, Some(78), "{said:?}");
    assert!(said.complaint.contains(&format!(": {star}\n")), "{said:?}");
    assert!(
        said.complaint
            .ends_with("configuration not changed: the file has 2 errors\n"),
        "{said:?}"
    );
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    server.restart();
    let ehlo = Client::greeted(server.tcp()).command("EHLO x", "250");
    assert!(ehlo.contains("SIZE 4096\r\n"), "{ehlo}");
}
