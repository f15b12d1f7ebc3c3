//! Files that are not taken up as they are: written in place, broken, or without a group that a list names.

use super::*;
use crate::mail::Mailbox;

const KEEPS_OUT: &str = "[server_access]\nenforce = yes\ndeny = @team\n";

fn users(names: &[&str]) -> String {
    let line = |name: &&str| format!("{name}:{SECRET}\n");
    names.iter().map(line).collect()
}

fn settings(site: &Site) -> Settings {
    config::parse(&site.folder.join("gatepost.ini")).unwrap()
}

fn site(name: &str, aliases: &str, more: &str) -> (Site, Directory) {
    let ini = format!("{more}[aliases]\nfile = aliases\n");
    let (site, _) = Site::new(name, Some(&users(&["alice", "bob"])), &ini);
    in_its_place(&site, aliases);
    let directory = Directory::new(&settings(&site));
    (site, directory)
}

/// Another file takes the place of the aliases.
fn in_its_place(site: &Site, aliases: &str) {
    let next = site.folder.join("next");
    fs::write(&next, aliases).unwrap();
    fs::rename(next, site.folder.join("aliases")).unwrap();
}

fn troubles(directory: &Directory) -> Vec<String> {
    let troubles = directory.troubles().into_iter();
    let words = troubles.map(|trouble| {
        let text = trouble.to_string();
        let name = trouble
            .file
            .file_name()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        text.replace(&trouble.file.display().to_string(), &name)
    });
    words.collect()
}

#[test]
fn while_a_file_is_written_in_place_only_what_is_known_is_told() {
    let mailbox = Mailbox::parse("nobody@here.example").unwrap();
    for (recipients, then) in [("", Lookup::Unknown), ("catch_all = bob\n", found("bob"))] {
        let (site, directory) = site("in-place", "team: alice, bob\n", recipients);
        let look = |name: &str| directory.find(&path(&format!("{name}@here.example")));
        assert_eq!(look("nobody"), then);
        fs::write(site.folder.join("aliases"), "te").unwrap();
        assert_eq!(look("nobody"), Lookup::Unavailable);
        assert_eq!(look("alice"), found("alice"));
        assert_eq!(look("alice+x"), found("alice"));
        assert!(matches!(look("team"), Lookup::Found(_)));
        assert_eq!(
            directory.find(&ForwardPath::Postmaster),
            found("postmaster")
        );
        assert_eq!(
            directory.expand(&path("nobody@here.example")),
            Expansion::Unavailable
        );
        assert_eq!(directory.members("nobody"), Members::Unavailable);
        assert_eq!(directory.owns("alice", &mailbox), None);
        assert_eq!(directory.groups_of("bob"), Some(vec!["team".to_owned()]));
        // A login is what it was: another reply for an unknown name would tell who is known.
        assert_eq!(directory.verify("nobody", b"x"), LoginOutcome::Refused);
        // What was read goes on also by new settings.
        let next = Directory::after(&settings(&site), &directory);
        assert_eq!(next.find(&path("nobody@here.example")), Lookup::Unavailable);
        assert!(matches!(
            next.find(&path("team@here.example")),
            Lookup::Found(_)
        ));
        in_its_place(&site, "crew: bob, alice\n");
        assert_eq!(look("nobody"), then);
        assert!(matches!(look("crew"), Lookup::Found(_)));
        assert_eq!(look("team"), then);
    }
}

#[test]
fn aliases_that_lack_a_group_of_a_list_are_not_good() {
    let (site, directory) = site("lacking", "team: bob, postmaster\n", KEEPS_OUT);
    let is_kept_out = || directory.groups_of("bob") == Some(vec!["team".to_owned()]);
    assert!(is_kept_out());
    let why = "aliases: there is no group @team, which [server_access] deny names; what it said before is in use";
    // An alias with one target is no group.
    for lacking in ["", "crew: bob, postmaster\n", "team: bob\n"] {
        in_its_place(&site, lacking);
        assert!(is_kept_out(), "{lacking}");
        assert_eq!(troubles(&directory), [why], "{lacking}");
    }
    // Users count at once, and the group stays.
    site.write(&users(&["bob"]));
    assert!(is_kept_out());
    assert_eq!(troubles(&directory), [why]);
    in_its_place(&site, "team: postmaster, bob, postmaster+x\n");
    assert!(is_kept_out());
    assert_eq!(troubles(&directory), [""; 0]);
    // By settings that name a group which no good file has, nobody is let in.
    in_its_place(&site, "crew: bob, postmaster\n");
    let next = Directory::after(&settings(&site), &directory);
    assert_eq!(next.groups_of("bob"), Some(vec!["team".to_owned()]));
    let ini = fs::read_to_string(site.folder.join("gatepost.ini")).unwrap();
    fs::write(
        site.folder.join("gatepost.ini"),
        ini.replace("@team", "@gone"),
    )
    .unwrap();
    let next = Directory::after(&settings(&site), &directory);
    assert_eq!(next.groups_of("bob"), None);
    assert_eq!(
        troubles(&next),
        ["aliases: there is no group @gone, which [server_access] deny names; recipients hear 451"]
    );
}

#[test]
fn what_is_not_in_use_is_told_for_as_long_as_it_lasts() {
    let (site, directory) = site("troubles", "team: alice, bob\n", "");
    assert_eq!(troubles(&directory), [""; 0]);
    site.write("alice\n");
    in_its_place(&site, "a: b\n\nb: a\n");
    let both = [
        "users: line 1: no \":\" after the user's name; what it said before is in use",
        "aliases: line 3: the aliases go round in a loop: a -> b -> a; what it said before is in use",
    ];
    assert_eq!(troubles(&directory), both);
    assert_eq!(troubles(&directory), both);
    fs::remove_file(site.users()).unwrap();
    let gone = "users: No such file or directory; what it said before is in use";
    assert_eq!(troubles(&directory)[0], gone);
    site.write(&users(&["alice"]));
    in_its_place(&site, "team: alice, postmaster\n");
    assert_eq!(troubles(&directory), [""; 0]);
    let blind = Site::new("blind", None, "").1;
    assert_eq!(
        troubles(&blind),
        ["users: No such file or directory; recipients hear 451"]
    );
}
