//! Where aliases lead, row by row, and against a plain reference on random graphs.

use std::collections::BTreeSet;

use std::time::Duration;

use super::*;
use crate::config::handlers::{Command, Format, Url, Webhook};
use crate::mail::Domain;
use crate::sys::seeded::Random;

fn resolve(file: &str, users: &[&str]) -> (Aliases, Vec<String>) {
    let domains = [Domain::parse("here.example").unwrap()];
    let (file, faults) = AliasFile::parse(file.as_bytes(), &domains);
    assert_eq!(faults, []);
    let is_user = |name: &str| users.contains(&name);
    let names = Names {
        is_user: Some(&is_user),
        subaddress: Some('+'),
        handlers: &handlers(),
    };
    let (aliases, faults) = Aliases::resolve(&file, names);
    let faults = faults
        .iter()
        .map(|fault| format!("{}: {}", fault.line, fault.reason));
    (aliases, faults.collect())
}

/// A command `scan`, and a webhook `phone`.
fn handlers() -> Handlers {
    Handlers {
        commands: vec![Command {
            name: "scan".to_owned(),
            program: "/bin/true".into(),
            arguments: Vec::new(),
            timeout: Duration::from_secs(1),
        }],
        webhooks: vec![Webhook {
            name: "phone".to_owned(),
            url: Url::parse("http://localhost/").unwrap(),
            token_file: None,
            format: Format::Json,
            timeout: Duration::from_secs(1),
            ca_file: None,
        }],
    }
}

#[test]
fn commands_and_webhooks_stand_beside_people() {
    let file =
        "team: alice, |scan, >phone, both\nboth: >phone, |scan, x@there.example\none: |scan\n";
    let (aliases, faults) = resolve(file, &["alice"]);
    assert_eq!(faults, Vec::<String>::new());
    assert_eq!(
        ends(&aliases, "team"),
        ["alice", "|scan", ">phone", "x@there.example"]
    );
    assert_eq!(ends(&aliases, "one"), ["|scan"]);
    assert!(aliases.is_group("both") && !aliases.is_group("one"));
    // A user may have a name that looks like one.
    let (aliases, _) = resolve("a: |scan, \"|scan\"@here.example\n", &["|scan"]);
    assert_eq!(aliases.ends("a").unwrap().count(), 2);
    let (_, faults) = resolve("a: alice\n |scna\n >scan\n", &["alice"]);
    assert_eq!(
        faults,
        [
            "2: alias \"a\": |scna: there is no section [command:scna]; did you mean |scan?",
            "3: alias \"a\": >scan: there is no section [webhook:scan]",
        ]
    );
}

fn ends(aliases: &Aliases, name: &str) -> Vec<String> {
    let ends = aliases.ends(name).unwrap();
    let ends = ends.map(|end| match end {
        End::User(name) => name.clone(),
        End::Outside(mailbox) => mailbox.to_string(),
        End::Handler(kind, name) => format!("{}{name}", kind.mark()),
        End::Nobody => "?".to_owned(),
    });
    ends.collect()
}

#[test]
fn aliases_lead_to_each_target_once_in_the_order_of_the_file() {
    let file = "root: alice\nteam: alice, staff, x@there.example, bob\n\
                staff: bob, Alice+lists, root, postmaster, x@THERE.example, X@there.example\n\
                one: team\ntwice: alice, alice@here.example, alice+x\nx+y: bob\nz: x+y\n";
    let (aliases, faults) = resolve(file, &["alice", "bob"]);
    assert_eq!(faults, Vec::<String>::new());
    let rows: &[(&str, &[&str], bool)] = &[
        ("root", &["alice"], false),
        (
            "team",
            &[
                "alice",
                "bob",
                "postmaster",
                "x@there.example",
                "X@there.example",
            ],
            true,
        ),
        (
            "one",
            &[
                "alice",
                "bob",
                "postmaster",
                "x@there.example",
                "X@there.example",
            ],
            true,
        ),
        ("twice", &["alice"], false),
        ("z", &["bob"], false),
    ];
    for (name, want, is_group) in rows {
        assert_eq!(ends(&aliases, name), *want, "{name}");
        assert_eq!(aliases.is_group(name), *is_group, "{name}");
    }
    assert!(aliases.ends("alice").is_none() && !aliases.contains("alice"));
    assert_eq!(aliases.members("twice").unwrap().len(), 1);
}

#[test]
fn faults_are_named_with_their_lines() {
    let looped = "the aliases go round in a loop: ";
    let rows = [
        ("a: a\n", vec![format!("1: {looped}a -> a")]),
        ("a: alice, A+x\n", vec![format!("1: {looped}a -> a")]),
        ("a: b\nb: a\n", vec![format!("2: {looped}a -> b -> a")]),
        (
            "a: c\nb: a\nc: b\n",
            vec![format!("3: {looped}b -> a -> c -> b")],
        ),
        (
            "x: a\na: alice,\n b\nb: bob,\n c\nc: a\ny: c\n",
            vec![format!("6: {looped}a -> b -> c -> a")],
        ),
        (
            "a: b, c\nb: a\nc: a\n",
            vec![
                format!("2: {looped}a -> b -> a"),
                format!("3: {looped}a -> c -> a"),
            ],
        ),
        (
            "a: alice,\n carol\nb: \"dave x\"\nc: +x, postmaster+x, alice+x, carol+x\n",
            vec![
                "2: alias \"a\": \"carol\" is neither a user nor an alias".to_owned(),
                "3: alias \"b\": \"dave x\" is neither a user nor an alias".to_owned(),
                "4: alias \"c\": \"+x\" is neither a user nor an alias".to_owned(),
                "4: alias \"c\": \"carol+x\" is neither a user nor an alias".to_owned(),
            ],
        ),
    ];
    for (file, want) in rows {
        assert_eq!(resolve(file, &["alice", "bob"]).1, want, "{file}");
    }
}

#[test]
fn limits_hold_and_are_named_once() {
    let chain = |length: usize| {
        let lines = (1..length).map(|n| format!("a{n}: a{}\n", n + 1));
        lines.collect::<String>() + &format!("a{length}: alice\n")
    };
    assert_eq!(resolve(&chain(DEPTH_MAX), &["alice"]).1.len(), 0);
    for longer in [1, 2, 5000] {
        let (_, faults) = resolve(&chain(DEPTH_MAX + longer), &["alice"]);
        let want = format!("{longer}: the alias \"a{longer}\" leads through more than 20 aliases");
        assert_eq!(faults, [want]);
    }
    let group = |count: usize| {
        let targets: Vec<_> = (0..count).map(|n| format!("u{n}@there.example")).collect();
        format!("out: in\nin: {}\nmore: in, alice\n", targets.join(","))
    };
    let (aliases, faults) = resolve(&group(TARGETS_MAX), &["alice"]);
    let more = "3: the alias \"more\" leads to more than 1000 targets";
    assert_eq!(faults, [more]);
    assert_eq!(ends(&aliases, "out").len(), TARGETS_MAX);
    let (_, faults) = resolve(&group(TARGETS_MAX + 1), &["alice"]);
    assert_eq!(
        faults,
        ["2: the alias \"in\" leads to more than 1000 targets"]
    );
    let ring = chain(5000).replace(": alice", ": a1");
    let (_, faults) = resolve(&ring, &[]);
    // Without the step that closes it, the ring is a long chain too.
    assert_eq!(faults.len(), 2);
    assert!(
        faults[1].ends_with("-> a18 -> ... -> a5000 -> a1"),
        "{faults:?}"
    );
    assert!(faults[1].starts_with("5000: the aliases go round in a loop: a1 -> a2 -> "));
}

/// A file of the largest kind: every alias leads to every one behind it, layer by layer.
#[test]
fn following_takes_no_more_work_than_the_file_is_long() {
    let mut file = String::new();
    for layer in 0..19 {
        let inner: Vec<_> = (0..60).map(|n| format!("l{}n{n}", layer + 1)).collect();
        for n in 0..60 {
            file.push_str(&format!("l{layer}n{n}: {}\n", inner.join(",")));
        }
    }
    for n in 0..60 {
        file.push_str(&format!("l19n{n}: u{n}@there.example\n"));
    }
    let (aliases, faults) = resolve(&file, &[]);
    assert_eq!(faults, Vec::<String>::new());
    assert_eq!(ends(&aliases, "l0n0").len(), 60);
}

fn below(random: &mut Random, limit: usize) -> usize {
    random.below(limit as u64) as usize
}

/// What a reader of the file would do with a pencil: the targets, or none where it never ends.
fn reference(
    lists: &[Vec<String>],
    at: usize,
    way: &mut Vec<usize>,
    into: &mut BTreeSet<String>,
) -> Option<()> {
    if way.contains(&at) {
        return None;
    }
    way.push(at);
    for target in &lists[at] {
        match target.strip_prefix('a') {
            Some(number) => reference(lists, number.parse().unwrap(), way, into)?,
            None => {
                into.insert(target.clone());
            }
        }
    }
    way.pop();
    Some(())
}

#[test]
fn random_graphs_agree_with_a_plain_reference() {
    let (mut looped, mut sound) = (0, 0);
    for seed in 1..=3000_u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let count = 1 + below(&mut random, 12);
        // Of some graphs every step goes on in the file, so that they cannot loop.
        let forward = below(&mut random, 2) == 0;
        let mut lists = Vec::new();
        for at in 0..count {
            let list = (0..=below(&mut random, 4)).map(|_| match below(&mut random, 3) {
                0 if forward && at + 1 < count => {
                    format!("a{}", at + 1 + below(&mut random, count - at - 1))
                }
                0 if !forward => format!("a{}", below(&mut random, count)),
                1 => format!("o{}@there.example", below(&mut random, 5)),
                _ => format!("u{}", below(&mut random, 5)),
            });
            lists.push(list.collect::<Vec<_>>());
        }
        let file: String = (0..count)
            .map(|at| format!("a{at}: {}\n", lists[at].join(", ")))
            .collect();
        let (aliases, faults) = resolve(&file, &["u0", "u1", "u2", "u3", "u4"]);
        let wanted = (0..count).map(|at| {
            let mut into = BTreeSet::new();
            reference(&lists, at, &mut Vec::new(), &mut into).map(|()| into)
        });
        let wanted: Option<Vec<_>> = wanted.collect();
        let Some(wanted) = wanted else {
            looped += 1;
            assert!(!faults.is_empty(), "seed {seed}: a loop passed\n{file}");
            assert!(faults.iter().all(|fault| fault.contains(" loop: ")));
            continue;
        };
        sound += 1;
        assert_eq!(faults, Vec::<String>::new(), "seed {seed}\n{file}");
        for (at, want) in wanted.into_iter().enumerate() {
            let got = ends(&aliases, &format!("a{at}"));
            let set: BTreeSet<String> = got.iter().cloned().collect();
            assert_eq!(set.len(), got.len(), "seed {seed}: one twice\n{file}");
            assert_eq!(set, want, "seed {seed}: a{at}\n{file}");
        }
    }
    assert!(looped > 300 && sound > 300, "{looped} {sound}");
}
