//! `gatepost check` over the aliases file, from outside: every fault with its line.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;

use support::checking::is_of_this_machine;
use support::{TempFolder, data, gatepost};

const INI: &str = "[server]\nhostname = mx.here.example\nlocal_domains = here.example\n\
                   [aliases]\nfile = aliases\n";

/// The lines on standard error and the exit code, with these files beside the configuration.
fn check(ini: &str, files: &[(&str, &[u8])]) -> (Vec<String>, Option<i32>) {
    let folder = TempFolder::new("check-aliases");
    fs::copy(data("users"), folder.path().join("users")).unwrap();
    fs::write(folder.path().join("f.ini"), ini).unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    let output = gatepost()
        .args(["check", "--config", "f.ini"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    let text = text.replace(&format!("{}/", folder.path().display()), "");
    (
        text.lines()
            .filter(|line| !is_of_this_machine(line))
            .map(str::to_owned)
            .collect(),
        output.status.code(),
    )
}

fn assert_faults(aliases: &[u8], want: &[&str]) {
    let (problems, code) = check(INI, &[("aliases", aliases)]);
    let text = String::from_utf8_lossy(aliases);
    assert_eq!(problems, want, "{text}");
    assert_eq!(code, Some(if want.is_empty() { 0 } else { 78 }), "{text}");
}

#[test]
fn good_files_pass() {
    assert_faults(&fs::read(data("aliases")).unwrap(), &[]);
    assert_faults(b"", &[]);
    assert_faults(
        b"# comment\r\nPostmaster: alice\r\nteam: alice,\r\n\tbob\r\n",
        &[],
    );
}

#[test]
fn every_fault_is_named_with_its_line_at_once() {
    let aliases = b"a: alice, |vacation\n\
                    b: c\n\
                    # comment\n\
                    c: bob,\n\
                    \x20 b\n\
                    d: dave\n\
                    A@here.example: bob\n\
                    e:\n\
                    x@there.example: bob\n\
                    f: /var/mail/f, \">https://hook\", \":include:/etc/list\"\n\
                    no colon\n\
                    g: alice@, \"bob\n\
                    h: \xff\n\
                    i: i\n";
    assert_faults(
        aliases,
        &[
            "aliases:1: alias \"a\": |vacation: there is no section [command:vacation]",
            "aliases:5: the aliases go round in a loop: b -> c -> b",
            "aliases:6: alias \"d\": \"dave\" is neither a user nor an alias",
            "aliases:7: the alias \"a\" already stands on line 1",
            "aliases:8: the alias \"e\" has no target",
            "aliases:9: \"x@there.example\" is not an alias's name: its domain is not a local one",
            "aliases:10: a file (/) as a target is not supported yet",
            "aliases:10: \">https://hook\" is not a target: behind > stands the NAME of a section \
             [webhook:NAME], and no more",
            "aliases:10: a list from a file (:include:) as a target is not supported yet",
            "aliases:11: no \":\" after the alias's name",
            "aliases:12: \"alice@\" is not a target: not a well-formed address",
            "aliases:12: a quote does not end on its line",
            "aliases:13: this line is not UTF-8",
            "aliases:14: the aliases go round in a loop: i -> i",
        ],
    );
    assert_faults(
        b"  alice\n",
        &["aliases:1: this line begins with a blank and goes on from no alias"],
    );
}

#[test]
fn limits_are_named() {
    let many: String = (0..10_001).map(|n| format!("a{n}: alice\n")).collect();
    assert_faults(
        many.as_bytes(),
        &["aliases:10001: there are more than 10000 aliases"],
    );
    let targets: Vec<_> = (0..1001).map(|n| format!("u{n}@there.example")).collect();
    let wide = format!("ok: alice\nwide: {}\nwider: wide\n", targets.join(",\n "));
    assert_faults(
        wide.as_bytes(),
        &["aliases:2: the alias \"wide\" leads to more than 1000 targets"],
    );
    let deep: String = (1..=20).map(|n| format!("a{n}: a{}\n", n + 1)).collect();
    let deep = format!("{deep}a21: bob\n");
    assert_faults(
        deep.as_bytes(),
        &["aliases:1: the alias \"a1\" leads through more than 20 aliases"],
    );
    let large = vec![b'#'; 4 * 1024 * 1024 + 1];
    assert_faults(
        &large,
        &["f.ini:5: [aliases] file: aliases: larger than 4194304 octets"],
    );
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_at_its_key() {
    let (problems, code) = check(INI, &[]);
    let missing = "f.ini:5: [aliases] file: aliases: No such file or directory";
    assert_eq!((problems, code), (vec![missing.to_owned()], Some(78)));
    let (problems, _) = check(&INI.replace("= aliases", "= ."), &[]);
    assert_eq!(problems, ["f.ini:5: [aliases] file: .: Is a directory"]);
    let (problems, code) = check("[aliases]\nfile =\n", &[]);
    assert_eq!((problems.len(), code), (1, Some(78)), "{problems:?}");
}

#[test]
fn faults_come_behind_those_of_the_configuration_and_of_the_users() {
    let users = b"alice:{PLAIN}x\ncarol\n";
    let aliases = b"a: alice\nb: dave\n";
    let ini = format!("{INI}[limits]\nrecipients = 0\n");
    let (problems, code) = check(&ini, &[("users", users), ("aliases", aliases)]);
    assert_eq!(problems.len(), 4, "{problems:?}");
    assert!(problems[0].starts_with("f.ini:7: [limits] recipients: "));
    // A user on a broken line is not unknown as well.
    assert_eq!(
        problems[1..],
        [
            "users:1: user \"alice\": the scheme {PLAIN} is not supported; write it with gatepost passwd",
            "users:2: no \":\" after the user's name",
            "aliases:2: alias \"b\": \"dave\" is neither a user nor an alias",
        ]
    );
    assert_eq!(code, Some(78));
}

/// Nothing is unknown where it cannot be told who there is; all else still counts.
#[test]
fn unknown_targets_need_a_users_file() {
    let ini = format!("{INI}[recipients]\nverify = no\n[auth]\nusers = none\n");
    let (problems, code) = check(&ini, &[("aliases", b"a: dave\n")]);
    assert_eq!((problems, code), (vec![], Some(0)));
    let (problems, _) = check(&ini, &[("aliases", b"a: dave\nb: b\n")]);
    assert_eq!(
        problems,
        ["aliases:2: the aliases go round in a loop: b -> b"]
    );
    let ini = format!("{INI}[auth]\nusers = none\n");
    let (problems, _) = check(&ini, &[("aliases", b"a: dave\nb: b\n")]);
    assert_eq!(
        problems,
        [
            "f.ini:7: [auth] users: none: there is no such file, and [recipients] verify needs one",
            "aliases:2: the aliases go round in a loop: b -> b",
        ]
    );
}

/// Which addresses are local is not known where the local domains are at fault.
#[test]
fn broken_local_domains_keep_the_aliases_unjudged() {
    let ini = INI.replace("= here.example", "= here..example");
    let (problems, _) = check(&ini, &[("aliases", b"a@here.example: dave\n")]);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("f.ini:3: [server] local_domains: "));
}

#[test]
fn access_lists_name_groups_there_are() {
    let ports = "[port:tcp]\nname_and_password = yes\nanonymous = no\n";
    let ini = format!(
        "{INI}{ports}[server_access]\nenforce = yes\nallow = @team, @one\ndeny = @alice, @TEAM\n"
    );
    let errors = |aliases: &[(&str, &[u8])], ini: &str| {
        let (problems, _) = check(ini, aliases);
        let errors = problems
            .into_iter()
            .filter(|line| !line.contains(" warning: "));
        errors.collect::<Vec<_>>()
    };
    let no = |line: usize, key: &str, group: &str| {
        format!("f.ini:{line}: [server_access] {key}: there is no group @{group} in [aliases] file")
    };
    assert_eq!(
        errors(&[("aliases", b"team: alice, bob\none: alice\n")], &ini),
        [no(11, "allow", "one"), no(12, "deny", "alice")]
    );
}

#[test]
fn an_alias_with_a_domain_is_told_to_count_for_every_local_domain() {
    let ini = INI.replace("= here.example", "= here.example, shop.example");
    let aliases = b"team: alice\nInfo@Shop.example: bob\n\"a b\"@here.example: alice\n";
    let (problems, code) = check(&ini, &[("aliases", aliases)]);
    let counts = |line: usize, alias: &str, name: &str| {
        format!(
            "aliases:{line}: warning: the alias {alias:?} counts for {name:?} in every local domain: its own \
             domain is passed over (W-25)"
        )
    };
    assert_eq!(
        problems,
        [
            counts(2, "info@Shop.example", "info"),
            counts(3, "a b@here.example", "a b")
        ]
    );
    assert_eq!(code, Some(0));
    // With one local domain it means what it says.
    let (problems, _) = check(INI, &[("aliases", b"info@here.example: bob\n")]);
    assert_eq!(problems, [""; 0]);
}
