//! The users file and the aliases file: faults have a line of the file and show no secret, and where
//! aliases lead has an end, a limit, and is what their members lead to.

use std::collections::{HashMap, HashSet};
use std::process::ExitCode;

use gatepost::config::Settings;
use gatepost::directory::aliases::{ALIASES_MAX, AliasFile};
use gatepost::directory::graph::{Aliases, DEPTH_MAX, Names, TARGETS_MAX};
use gatepost::directory::users::{Fault, Users, names_written};
use gatepost::directory::{Directory, Expansion, Lookup, Members};
use gatepost::mail::{ForwardPath, Mailbox, Target};
use gatepost_fuzz::{Random, Scratch, assert_one_line};

/// Stands between the users and the aliases of an input.
const BETWEEN: &[u8] = b"%%\n";
/// A secret that no fault may show.
const SECRET: &str = "S3CR3T";

const TOKENS: &[&[u8]] = &[
    b"\n",
    b"\r\n",
    b"\r",
    b": ",
    b":",
    b", ",
    b"\n ",
    b"\n\t",
    b"\n# ",
    b"\"",
    b"\\",
    b"@",
    b"+",
    b"+x",
    b"@here.example",
    b"@there.example",
    b"@[192.0.2.1]",
    b"alice",
    b"ALICE",
    b"bob",
    b"postmaster",
    b"a1",
    b"a2",
    b"team",
    b"a1: a2\n",
    b"a2: a1\n",
    b"team: alice, bob\n",
    b"\n y@there.example\n",
    b"x@there.example, ",
    b":include:/x",
    b"|cmd",
    b"/file",
    b"{PLAIN}",
    b"{CRYPT}",
    b"{SCRAM-SHA-256}4096,c2FsdA==,",
    b"$6$rounds=999999999$s$",
    b"$5$",
    SECRET.as_bytes(),
    b":S3CR3T\n",
    BETWEEN,
    b"\0",
    b"\x1b",
    b"\xff",
    "ΑΣ".as_bytes(),
    "İ".as_bytes(),
    &[b'x'; 70],
];

fn main() -> ExitCode {
    let scratch = Scratch::new("lists");
    let users = scratch.write("users", b"");
    let aliases = scratch.write("aliases", b"");
    let ini = format!(
        "[server]\nhostname = here.example\nlocal_domains = here.example, also.example\n\
         [auth]\nusers = {}\n[aliases]\nfile = {}\n[recipients]\nsubaddress = +\n",
        users.display(),
        aliases.display()
    );
    let ini = scratch.write("gatepost.ini", ini.as_bytes());
    let settings = gatepost::config::parse(&ini);
    let settings = settings.unwrap_or_else(|problems| panic!("{problems:?}"));
    let corpus = corpus();
    gatepost_fuzz::main("lists", corpus, TOKENS, move |input, _: &mut Random| {
        run(&scratch, &settings, input);
    })
}

fn corpus() -> Vec<Vec<u8>> {
    let users = include_str!("../../../data/users");
    let chain = |length: usize| -> String {
        let links = (1..length).map(|n| format!("a{n}: a{}\n", n + 1));
        links.chain([format!("a{length}: alice\n")]).collect()
    };
    let many = |count: usize| -> String {
        let targets = (0..count).map(|n| format!(" {n}@b.ee\n"));
        [String::from("many:\n")]
            .into_iter()
            .chain(targets)
            .collect()
    };
    let texts = [
        format!("{users}%%\n{}", include_str!("../../../data/aliases")),
        format!("{users}%%\nteam: alice, bob\nall: team, x@there.example\nroot: alice\n"),
        format!("{users}%%\n{}", chain(DEPTH_MAX)),
        format!("{users}%%\n{}", chain(DEPTH_MAX + 2)),
        format!("{users}%%\n{}more: many, alice\n", many(TARGETS_MAX - 1)),
        format!("{users}%%\n{}more: many, alice\n", many(TARGETS_MAX)),
        format!("{users}%%\na1: a2\na2: a3, alice\na3: a1+x\n"),
        format!("alice:$5$salt${SECRET}\nbob:{SECRET}:1000:1000::/home/bob\n%%\na1: bob+x\n"),
        format!("{users}%%\n\"a b\": alice\n\"x:y\": bob, \"a b\"\nalice: alice@here.example\n"),
    ];
    texts.into_iter().map(String::into_bytes).collect()
}

fn run(scratch: &Scratch, settings: &Settings, input: &[u8]) {
    let at = input
        .windows(BETWEEN.len())
        .position(|octets| octets == BETWEEN);
    let (users_file, aliases_file) = match at {
        Some(at) => (&input[..at], &input[at + BETWEEN.len()..]),
        None => (input, &b""[..]),
    };
    let (users, users_faults) = Users::parse(users_file);
    have_places(&users_faults, users_file);
    show_no_secret(&users_faults, users_file);
    let written = names_written(users_file);
    for name in users.names() {
        assert!(
            written.contains(name),
            "{name:?} does not stand in the file"
        );
        assert_eq!(name.to_lowercase(), name);
    }
    let (file, faults) = AliasFile::parse(aliases_file, &settings.local_domains);
    have_places(&faults, aliases_file);
    let is_user = |name: &str| users.contains(name);
    let names = Names {
        is_user: Some(&is_user),
        subaddress: settings.recipients.subaddress,
        handlers: &settings.handlers,
    };
    let (aliases, graph_faults) = Aliases::resolve(&file, names);
    have_places(&graph_faults, aliases_file);
    assert!(aliases.count() <= ALIASES_MAX + 1);
    assert_eq!(aliases.names().count(), aliases.count());
    let all = aliases.names().map(|(name, _)| name.to_owned()).collect();
    scratch.write("users", users_file);
    scratch.write("aliases", aliases_file);
    let is_good = users_faults.is_empty() && faults.is_empty() && graph_faults.is_empty();
    follow(&Directory::new(settings), all, &users, is_good);
}

fn have_places(faults: &[Fault], file: &[u8]) {
    let lines = file.split(|&octet| octet == b'\n').count();
    for Fault { line, reason } in faults {
        assert!(
            (1..=lines).contains(line),
            "line {line} of {lines}: {reason}"
        );
        assert_one_line(reason);
    }
}

/// What stands behind a user's name is for nobody; a scheme in braces may be named.
fn show_no_secret(faults: &[Fault], file: &[u8]) {
    let lines: Vec<_> = file.split(|&octet| octet == b'\n').collect();
    for Fault { line, reason } in faults {
        let text = String::from_utf8_lossy(lines[line - 1]);
        let name = text.split(':').next().unwrap_or_default();
        if text.contains(':') && !name.contains(SECRET) && !text.contains('{') {
            assert!(!reason.contains(SECRET), "a secret is shown: {reason}");
        }
    }
}

/// Looks every alias up, in a directory made of both files.
fn follow(directory: &Directory, aliases: Vec<String>, users: &Users, is_good: bool) {
    let mut known = HashMap::new();
    for name in aliases {
        let Some(path) = local(&name) else { continue };
        let found = directory.find(&path);
        if !is_good {
            // A directory takes files whole or not at all.
            assert!(
                !matches!(found, Lookup::Found(_)) || name == "postmaster",
                "{name:?}"
            );
            continue;
        }
        let Lookup::Found(found) = found else {
            panic!("the alias {name:?} leads nowhere: {found:?}");
        };
        assert!((1..=TARGETS_MAX).contains(&found.targets.len()), "{name:?}");
        let targets: HashSet<String> = found.targets.iter().map(shown).collect();
        assert_eq!(
            targets.len(),
            found.targets.len(),
            "{name:?} reaches one twice"
        );
        for target in found.targets.iter() {
            if let Target::User(user) = target {
                assert!(
                    users.contains(user) || user == "postmaster",
                    "no user {user:?}"
                );
            }
        }
        let members = members_lead_to(directory, &path);
        assert_eq!(
            targets, members,
            "the alias {name:?} is not what its members are"
        );
        let deep = depth(directory, &path, &mut Vec::new(), &mut known);
        // A user's name with a detail counts as one more.
        assert!(deep <= DEPTH_MAX + 1, "{name:?} is {deep} deep");
        let behind = directory.members(&name);
        assert!(matches!(behind, Members::Users(behind) if behind.len() <= TARGETS_MAX));
    }
}

fn local(name: &str) -> Option<ForwardPath> {
    let domain = gatepost::mail::Domain::parse("here.example").ok()?;
    Some(ForwardPath::Mailbox(Mailbox::new(name, domain).ok()?))
}

fn shown(target: &Target) -> String {
    match target {
        Target::User(user) => format!("user {user}"),
        Target::Command(name) => format!("command {name}"),
        Target::Webhook(name) => format!("webhook {name}"),
        // The domain's case is no difference.
        Target::Outside(mailbox) => {
            let domain = mailbox.domain().as_str().to_ascii_lowercase();
            format!("outside {}@{domain}", mailbox.local_part())
        }
    }
}

/// The members of a name that are in local domains, and those that are not.
fn expand(directory: &Directory, path: &ForwardPath) -> (Vec<ForwardPath>, Vec<Target>) {
    let Expansion::Members(members) = directory.expand(path) else {
        panic!("{path} has no members");
    };
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    for member in members {
        let mailbox = Mailbox::parse(&member);
        let mailbox = mailbox.unwrap_or_else(|error| panic!("the member {member:?}: {error}"));
        match mailbox.domain().as_str().to_ascii_lowercase().as_str() {
            "here.example" | "also.example" => inside.push(ForwardPath::Mailbox(mailbox)),
            _ => outside.push(Target::Outside(mailbox)),
        }
    }
    (inside, outside)
}

fn members_lead_to(directory: &Directory, path: &ForwardPath) -> HashSet<String> {
    let (inside, outside) = expand(directory, path);
    let mut targets: HashSet<String> = outside.iter().map(shown).collect();
    for path in inside {
        match directory.find(&path) {
            Lookup::Found(found) => targets.extend(found.targets.iter().map(shown)),
            other => panic!("the member {path} is {other:?}"),
        }
    }
    targets
}

/// The names one behind the other from here on, each looked at once; a name met again on the way is a
/// loop.
fn depth(
    directory: &Directory,
    path: &ForwardPath,
    way: &mut Vec<String>,
    known: &mut HashMap<String, usize>,
) -> usize {
    let name = path.to_string().to_lowercase();
    if let Some(depth) = known.get(&name) {
        return *depth;
    }
    let (inside, outside) = expand(directory, path);
    let is_itself = |path: &ForwardPath| path.to_string().to_lowercase() == name;
    if outside.is_empty() && inside.len() == 1 && is_itself(&inside[0]) {
        // A user is its own only member.
        return 0;
    }
    assert!(!way.contains(&name), "a loop over {name}: {way:?}");
    way.push(name.clone());
    let depths = inside.iter().map(|path| depth(directory, path, way, known));
    let depth = 1 + depths.max().unwrap_or(0);
    way.pop();
    known.insert(name, depth);
    depth
}
