//! Aliases and groups over real files: look-ups, owners, members, and files that change.

use super::*;
use crate::mail::Mailbox;

const USERS: [&str; 3] = ["alice", "bob", "carol"];

fn users(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("{name}:{SECRET}\n"))
        .collect()
}

/// A site with the three users and these aliases.
fn site(name: &str, aliases: &str, recipients: &str) -> (Site, Directory) {
    let more = format!("{recipients}[aliases]\nfile = aliases\n");
    let (site, _) = Site::new(name, Some(&users(&USERS)), &more);
    write(&site, aliases);
    let settings = config::parse(&site.folder.join("gatepost.ini")).unwrap();
    let directory = Directory::new(&settings);
    (site, directory)
}

fn write(site: &Site, aliases: &str) {
    let new = replace::New {
        mode: 0o644,
        owner: None,
    };
    replace::replace(&site.folder.join("aliases"), aliases.as_bytes(), new).unwrap();
}

/// `alice bob x@there.example`, with `group` and `ambiguous` where it is so.
fn look(directory: &Directory, address: &str) -> String {
    let found = match directory.find(&path(address)) {
        Lookup::Found(found) => found,
        other => return format!("{other:?}"),
    };
    let mut words: Vec<String> = found
        .targets
        .iter()
        .map(|target| match target {
            Target::User(name) => name.clone(),
            Target::Outside(mailbox) => mailbox.to_string(),
            Target::Command(name) => format!("|{name}"),
            Target::Webhook(name) => format!(">{name}"),
        })
        .collect();
    if found.group {
        words.push("group".to_owned());
    }
    if found.ambiguous {
        words.push("ambiguous".to_owned());
    }
    words.join(" ")
}

fn expand(directory: &Directory, address: &str) -> String {
    match directory.expand(&path(address)) {
        Expansion::Members(members) => members.join(" "),
        other => format!("{other:?}"),
    }
}

const ALIASES: &str = "root: alice\nTeam: alice, bob, staff, out@there.example\nstaff: carol, root\n\
                       alice: bob\nbob+x: carol\nsolo: staff1\nstaff1: bob\nfar: out@there.example\n\
                       postmaster: carol\n\"big boss\": bob\n";

#[test]
fn recipients_are_found_through_aliases() {
    let (_site, directory) = site("found", ALIASES, "");
    let rows = [
        ("root@here.example", "bob"),
        ("ROOT@other.example", "bob"),
        ("team@here.example", "bob carol out@there.example group"),
        ("staff@here.example", "carol bob group"),
        ("team+x@here.example", "bob carol out@there.example group"),
        ("alice@here.example", "bob ambiguous"),
        ("alice+x@here.example", "bob ambiguous"),
        ("bob@here.example", "bob"),
        ("bob+x@here.example", "carol"),
        ("bob+y@here.example", "bob"),
        ("far@here.example", "out@there.example"),
        ("\"Big Boss\"@here.example", "bob"),
        ("postmaster", "carol"),
        ("postmaster@here.example", "carol"),
        ("postmaster+x@here.example", "carol"),
        ("nobody@here.example", "Unknown"),
    ];
    for (address, want) in rows {
        assert_eq!(look(&directory, address), want, "{address}");
    }
}

#[test]
fn commands_and_webhooks_stand_in_groups_and_belong_to_nobody() {
    let more = "[command:scan]\nprogram = /bin/true\n[webhook:phone]\nurl = http://localhost/\n";
    let aliases = "team: alice, |scan, >phone\nscanner: |SCAN\nboth: team\nmine: alice\n";
    let (site, directory) = site("handlers", aliases, more);
    for (address, want) in [
        ("team@here.example", "alice |scan >phone group"),
        ("both@here.example", "alice |scan >phone group"),
        ("scanner@here.example", "|scan"),
    ] {
        assert_eq!(look(&directory, address), want, "{address}");
    }
    // What runs is told to nobody, and part of a list is no truth.
    assert_eq!(expand(&directory, "team@here.example"), "");
    assert_eq!(expand(&directory, "scanner@here.example"), "");
    assert_eq!(expand(&directory, "both@here.example"), "team@here.example");
    let owns = |user, address| directory.owns(user, &Mailbox::parse(address).unwrap());
    assert_eq!(owns("alice", "scanner@here.example"), Some(false));
    assert_eq!(owns("scan", "scanner@here.example"), Some(false));
    assert_eq!(owns("alice", "team@here.example"), Some(false));
    assert_eq!(owns("alice", "mine@here.example"), Some(true));
    assert_eq!(
        directory.members("team"),
        Members::Users(vec!["alice".to_owned()])
    );
    // An unknown name is a fault, and the last good file stays.
    write(&site, "team: bob, |scanner\n");
    assert_eq!(
        look(&directory, "team@here.example"),
        "alice |scan >phone group"
    );
}

#[test]
fn what_nobody_has_goes_where_mail_for_the_fallback_goes() {
    let aliases = "postmaster: bob, out@there.example\ncarol: alice\n";
    for (recipients, want) in [
        ("", "Unknown"),
        ("verify = no\n", "bob out@there.example"),
        ("catch_all = bob\n", "bob"),
        ("catch_all = carol\n", "alice"),
    ] {
        let (_site, directory) = site("fallback", aliases, recipients);
        assert_eq!(look(&directory, "x@here.example"), want, "{recipients}");
        assert_eq!(
            look(&directory, "postmaster"),
            "bob out@there.example group"
        );
    }
}

#[test]
fn a_login_owns_its_names_and_the_aliases_that_lead_to_it_alone() {
    let (_site, directory) = site("owns", ALIASES, "catch_all = bob\n");
    let rows = [
        ("alice", "alice@here.example", true),
        ("alice", "ALICE@Other.Example", true),
        ("alice", "alice+x@here.example", true),
        ("alice", "alice@there.example", false),
        ("alice", "bob@here.example", false),
        ("alice", "root@here.example", false),
        ("bob", "root@here.example", true),
        ("bob", "root+x@here.example", true),
        ("bob", "alice@here.example", true),
        ("bob", "alice+x@here.example", true),
        ("bob", "solo@here.example", true),
        ("bob", "team@here.example", false),
        ("bob", "bob+x@here.example", false),
        ("carol", "bob+x@here.example", true),
        ("bob", "bob+y@here.example", true),
        ("bob", "far@here.example", false),
        ("bob", "nobody@here.example", false),
        ("bob", "nobody+bob@here.example", false),
        ("carol", "postmaster@here.example", true),
        ("bob", "postmaster@here.example", false),
        ("postmaster", "postmaster@here.example", true),
    ];
    for (user, sender, want) in rows {
        let mailbox = Mailbox::parse(sender).unwrap();
        assert_eq!(
            directory.owns(user, &mailbox),
            Some(want),
            "{user} {sender}"
        );
    }
    let (_site, unverified) = site("owns", "carol: alice\n", "verify = no\n");
    let mailbox = Mailbox::parse("nobody@here.example").unwrap();
    assert_eq!(unverified.owns("postmaster", &mailbox), Some(false));
}

#[test]
fn groups_have_their_users_and_names_their_direct_members() {
    let (_site, directory) = site("members", ALIASES, "catch_all = bob\n");
    let named =
        |names: &[&str]| Members::Users(names.iter().map(|name| (*name).to_owned()).collect());
    assert_eq!(directory.members("TEAM"), named(&["bob", "carol"]));
    assert_eq!(directory.members("far"), named(&[]));
    assert_eq!(directory.members("bob"), Members::Unknown);
    let carols = ["team", "staff", "bob+x", "postmaster"].map(str::to_owned);
    assert_eq!(directory.groups_of("carol"), Some(carols.to_vec()));
    assert_eq!(directory.groups_of("alice"), Some(Vec::new()));
    let rows = [
        (
            "team@here.example",
            "alice@here.example bob@here.example staff@here.example out@there.example",
        ),
        ("Root+x@other.example", "alice@here.example"),
        ("bob@here.example", "bob@here.example"),
        ("postmaster", "carol@here.example"),
        ("nobody@here.example", "Unknown"),
    ];
    for (address, want) in rows {
        assert_eq!(expand(&directory, address), want, "{address}");
    }
    let (_site, directory) = site("members", "all: \"big boss\"\n\"big boss\": bob\n", "");
    assert_eq!(
        expand(&directory, "all@here.example"),
        "\"big boss\"@here.example"
    );
}

#[test]
fn changed_files_count_together_and_broken_aliases_change_nothing() {
    let (site, directory) = site("change", "team: alice, bob\n", "");
    let team = || look(&directory, "team@here.example");
    assert_eq!(team(), "alice bob group");
    write(&site, "team: bob, carol\nnew: alice\n");
    assert_eq!(team(), "bob carol group");
    for broken in [
        "team: alice, team\n",
        "team: dave\n",
        "team\n",
        "a: |x\n",
        "team: a\na:\n",
    ] {
        write(&site, broken);
        assert_eq!(team(), "bob carol group", "{broken}");
        assert_eq!(look(&directory, "new@here.example"), "alice", "{broken}");
    }
    fs::remove_file(site.folder.join("aliases")).unwrap();
    assert_eq!(team(), "bob carol group");
    // Aliases that name a user who only comes later count when he comes.
    write(&site, "team: dave, alice\n");
    assert_eq!(team(), "bob carol group");
    site.write(&users(&["alice", "bob", "carol", "dave"]));
    assert_eq!(team(), "dave alice group");
    write(&site, "");
    assert_eq!(team(), "Unknown");
}

#[test]
fn users_who_go_are_gone_though_aliases_name_them() {
    let aliases = "team: alice, bob\nsolo: alice\nback: bob+x\nbob+x: carol\n";
    let (gone, directory) = site("gone", aliases, "");
    assert_eq!(look(&directory, "solo@here.example"), "alice");
    gone.write(&users(&["bob", "carol"]));
    assert_eq!(look(&directory, "alice@here.example"), "Unknown");
    assert_eq!(look(&directory, "team@here.example"), "bob group");
    assert_eq!(look(&directory, "solo@here.example"), "Unavailable");
    let mailbox = Mailbox::parse("solo@here.example").unwrap();
    assert_eq!(directory.owns("alice", &mailbox), Some(false));
    gone.write(&users(&USERS));
    assert_eq!(look(&directory, "solo@here.example"), "alice");

    let (gone, directory) = site("gone", aliases, "catch_all = bob\n");
    gone.write(&users(&["bob"]));
    assert_eq!(look(&directory, "solo@here.example"), "bob");
    assert_eq!(look(&directory, "team@here.example"), "bob group");
    assert_eq!(directory.owns("bob", &mailbox), Some(false));
}

#[test]
fn without_aliases_that_were_ever_good_only_postmaster_is_known() {
    let (broken, directory) = site("never", "a: a\n", "");
    let mailbox = Mailbox::parse("bob@here.example").unwrap();
    for address in ["bob@here.example", "a@here.example", "x@here.example"] {
        assert_eq!(look(&directory, address), "Unavailable");
        assert_eq!(expand(&directory, address), "Unavailable");
    }
    assert_eq!(look(&directory, "postmaster"), "postmaster");
    assert_eq!(directory.members("a"), Members::Unavailable);
    assert_eq!(directory.groups_of("bob"), None);
    assert_eq!(directory.owns("alice", &mailbox), None);
    assert_eq!(directory.owns("bob", &mailbox), Some(true));
    // Logins need no aliases.
    assert!(directory.users().is_some_and(|users| users.contains("bob")));
    write(&broken, "a: alice\n");
    assert_eq!(look(&directory, "a@here.example"), "alice");
}

#[test]
fn without_a_users_file_that_need_not_be_there_aliases_lead_to_postmaster() {
    let more = "verify = no\n[aliases]\nfile = aliases\n";
    let (unverified, directory) = Site::new("without", None, more);
    write(
        &unverified,
        "a: alice, out@there.example\npostmaster: far@there.example\n",
    );
    assert_eq!(
        look(&directory, "a@here.example"),
        "out@there.example far@there.example group"
    );
    write(&unverified, "a: alice\npostmaster: root\n");
    assert_eq!(look(&directory, "a@here.example"), "postmaster");
    assert_eq!(look(&directory, "postmaster"), "postmaster");
    unverified.write(&users(&["alice"]));
    // Against users, an unknown target is a fault; the last good aliases stay.
    assert_eq!(look(&directory, "a@here.example"), "alice");
}

#[test]
fn look_ups_during_a_change_see_the_old_files_or_the_new_ones() {
    let (site, directory) = site("threads", "team: alice, bob\n", "");
    std::thread::scope(|scope| {
        let lookers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        let got = look(&directory, "team@here.example");
                        assert!(
                            ["alice bob group", "bob carol group"].contains(&got.as_str()),
                            "{got}"
                        );
                    }
                })
            })
            .collect();
        for turn in 0..40 {
            let aliases = ["team: bob, carol\n", "team: alice, bob\n", "team: x\n"];
            write(&site, aliases[turn % 3]);
        }
        for looker in lookers {
            looker.join().unwrap();
        }
    });
}
