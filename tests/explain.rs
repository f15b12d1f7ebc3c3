//! `gatepost explain` from outside: what it prints, its exit codes, and that a live session hears the
//! very reply it foretells, on random settings and envelopes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::io::{Read, Write};

use base64::Engine as _;
use gatepost::transport::client::ClientStream;

use support::ini::certificate;
use support::random::Random;
use support::{PATIENCE, Server, TempFolder, data, gatepost};

/// Runs `explain` in a folder with an f.ini; gives the exit code and the lines.
fn explain(folder: &TempFolder, arguments: &[&str]) -> (i32, Vec<String>) {
    let output = gatepost()
        .args(["explain", "--config", "f.ini"])
        .args(arguments)
        .current_dir(folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(str::to_owned).collect();
    (output.status.code().unwrap(), lines)
}

fn prepare(label: &str, ini: &str) -> TempFolder {
    let folder = TempFolder::new(label);
    fs::copy(data("users"), folder.path().join("users")).unwrap();
    fs::write(folder.path().join("aliases"), "team: alice, bob\n").unwrap();
    fs::write(folder.path().join("f.ini"), ini).unwrap();
    folder
}

#[test]
fn every_step_names_the_line_that_made_it_so() {
    let folder = prepare(
        "explain",
        "[server]\nhostname = mx.here.example\nlocal_domains = here.example\n\
         [relay]\ndeny_domains = *, bad.example\nallow_hosts = 192.0.2.0/24\n\
         [smarthost]\nhost = relay.example\n[senders]\ndeny = spam.example\n",
    );
    let refused = explain(
        &folder,
        &["--from", "198.51.100.7", "--rcpt", "joe@out.example"],
    );
    let want = [
        "port: tcp 127.0.0.1:25 plaintext auth=no anonymous=yes",
        "connection: allowed by [connections] deny (default): no list refuses the host",
        "login: not needed by [port:tcp] anonymous (default): mail without a login",
        "sender: allowed by [connections] verify_host_name (default): host names are not asked for",
        "sender: allowed by [senders] deny (default): the null sender is always taken",
        "sender: allowed by [senders] verify_domain (default): the null sender has no domain",
        "recipient: allowed by [recipients] allow (default): empty: every recipient",
        "relay: refused by f.ini:5 [relay] deny_domains: * refuses what no list allows",
        "reply: 554 5.7.1 Relay rejected for policy reasons",
    ];
    let mut got = refused.1.clone();
    got[4] = got[4].replace("f.ini:10 [senders] deny", "[senders] deny (default)");
    assert_eq!((refused.0, got), (1, want.map(str::to_owned).to_vec()));
    let (code, lines) = explain(
        &folder,
        &[
            "--from",
            "192.0.2.9",
            "--mail-from",
            "a@there.example",
            "--rcpt",
            "joe@out.example",
        ],
    );
    assert_eq!(code, 0, "{lines:?}");
    let relay = "relay: allowed by f.ini:6 [relay] allow_hosts: 192.0.2.0/24 names the host";
    assert!(lines.contains(&relay.to_owned()), "{lines:?}");
    assert_eq!(lines.last().unwrap(), "reply: 250 2.1.5 Recipient OK");
    let (code, lines) = explain(
        &folder,
        &[
            "--from",
            "192.0.2.9",
            "--mail-from",
            "a@spam.example",
            "--rcpt",
            "alice@here.example",
        ],
    );
    assert_eq!(code, 1);
    let step = "sender: refused by f.ini:10 [senders] deny: spam.example names the sender";
    assert!(lines.contains(&step.to_owned()), "{lines:?}");
}

#[test]
fn the_smarthost_of_the_sender_is_named() {
    let folder = prepare(
        "explain-smarthost",
        "[relay]\nallow_hosts = 192.0.2.0/24\n\
         [smarthost:bulk]\nhost = bulk.example\nsender_domains = shop.example\n",
    );
    for (sender, taken, line) in [
        (
            "a@shop.example",
            true,
            "relay: allowed by f.ini:5 [smarthost:bulk] sender_domains: shop.example names the \
             sender's domain",
        ),
        (
            "a@there.example",
            false,
            "relay: refused by [smarthost] host (default): no smarthost is for this sender",
        ),
        (
            "",
            false,
            "relay: refused by [smarthost] host (default): no smarthost is for this sender",
        ),
    ] {
        let client = ["--from", "192.0.2.9", "--rcpt", "joe@out.example"];
        let client = match sender {
            // Without one, the null sender.
            "" => client.to_vec(),
            sender => [&client[..], &["--mail-from", sender]].concat(),
        };
        let (code, lines) = explain(&folder, &client);
        assert_eq!(code == 0, taken, "{lines:?}");
        assert!(lines.contains(&line.to_owned()), "{lines:?}");
    }
}

#[test]
fn an_ipv6_address_is_told_apart_from_its_port() {
    let folder = prepare("explain-ipv6", "");
    let (_, lines) = explain(&folder, &["--from", "2001:db8::7", "--rcpt", "a@b.example"]);
    assert_eq!(
        lines[0],
        "port: tcp [::1]:25 plaintext auth=no anonymous=yes"
    );
}

#[test]
fn mistakes_in_its_use_are_named() {
    let folder = prepare("explain-usage", "");
    let run = |arguments: &[&str]| {
        let output = gatepost()
            .args(["explain", "--config", "f.ini"])
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), text)
    };
    for (arguments, want) in [
        (&["--rcpt", "a@b.example"][..], "--from ADDRESS is missing"),
        (&["--from", "192.0.2.1"], "--rcpt ADDRESS is missing"),
        (
            &["--from", "mx.example", "--rcpt", "a@b.example"],
            "\"mx.example\" is not an IP address",
        ),
        (
            &["--from", "::1", "--rcpt", "a b"],
            "\"a b\" is not an address",
        ),
        (
            &["--from", "::1", "--rcpt", "a@b.example\r\nQUIT"],
            "holds a control character",
        ),
        (
            &["--from", "::1", "--rcpt", "a@b.example", "--port", "x"],
            "there is no [port:x]",
        ),
        (
            &["--from", "::1", "--rcpt", "a@b.example", "--port", "tls"],
            "[port:tls] is disabled",
        ),
    ] {
        let (code, said) = run(arguments);
        assert_eq!(code, 64, "{arguments:?}: {said}");
        assert!(said.contains(want), "{arguments:?}: {said}");
    }
}

/// Each key is written with a random value, or not at all.
fn random_ini(random: &mut Random) -> String {
    const YES_NO: &[&str] = &["yes", "no"];
    const HOSTS: &[&str] = &["127.0.0.0/8", "192.0.2.0/24", "::1"];
    const MAILS: &[&str] = &[
        "here.example",
        "joe@there.example",
        "@out.example",
        "alice@here.example",
    ];
    let mut text = String::new();
    let mut section =
        |random: &mut Random, name: &str, keys: &[(&str, &dyn Fn(&mut Random) -> String)]| {
            text.push_str(&format!("[{name}]\n"));
            for (key, value) in keys {
                if random.below(3) == 0 {
                    text.push_str(&format!("{key} = {}\n", value(random)));
                }
            }
        };
    let yes_no = |random: &mut Random| random.one_of(YES_NO).to_owned();
    let rarely =
        |random: &mut Random| ["no", "no", "no", "yes"][random.below(4) as usize].to_owned();
    let hosts = |random: &mut Random| random.some_of(HOSTS);
    let other_hosts = |random: &mut Random| random.some_of(&HOSTS[1..]);
    let mails = |random: &mut Random| random.some_of(MAILS);
    let domains = |random: &mut Random| random.some_of(&["out.example", "@out.example", "*"]);
    section(random, "server", &[("load_internet_sites", &rarely)]);
    section(random, "port:tcp", &[("name_and_password", &yes_no)]);
    section(random, "port:tls", &[("name_and_password", &yes_no)]);
    section(
        random,
        "extensions",
        &[("starttls", &|r: &mut Random| {
            r.one_of(&["disabled", "enabled", "required"]).to_owned()
        })],
    );
    let site: &[(&str, &dyn Fn(&mut Random) -> String)] = &[
        ("tcp_name_and_password", &yes_no),
        ("tcp_anonymous", &yes_no),
        ("tls_name_and_password", &yes_no),
        ("tls_anonymous", &yes_no),
    ];
    section(random, "site:main", site);
    section(
        random,
        "auth",
        &[("plaintext_from", &|r: &mut Random| {
            r.some_of(&["127.0.0.0/8"])
        })],
    );
    section(
        random,
        "server_access",
        &[
            ("allow", &|r: &mut Random| {
                r.some_of(&["alice", "@team", "bob"])
            }),
            ("deny", &|r: &mut Random| r.some_of(&["bob", "alice"])),
        ],
    );
    section(
        random,
        "relay",
        &[
            ("enforce_for", &|r: &mut Random| {
                r.one_of(&["external", "all", "none"]).to_owned()
            }),
            ("internal", &hosts),
            ("exclude_hosts", &other_hosts),
            ("authenticated_users", &|r: &mut Random| {
                r.one_of(&["exempt", "check"]).to_owned()
            }),
            ("allow_domains", &domains),
            ("deny_domains", &domains),
            ("allow_hosts", &other_hosts),
            ("deny_hosts", &other_hosts),
        ],
    );
    section(
        random,
        "connections",
        &[("deny", &other_hosts), ("explain_to", &hosts)],
    );
    section(random, "blacklist", &[("hosts", &hosts)]);
    section(random, "whitelist", &[("hosts", &hosts)]);
    section(
        random,
        "senders",
        &[
            ("allow", &mails),
            ("deny", &mails),
            ("must_match_login", &yes_no),
        ],
    );
    section(
        random,
        "recipients",
        &[
            ("allow", &mails),
            ("deny", &mails),
            ("deny_groups", &yes_no),
            ("verify", &yes_no),
        ],
    );
    if random.below(2) == 0 {
        text.push_str("[smarthost]\nhost = 127.0.0.1\ntls = none\n");
    }
    text.push_str("[aliases]\nfile = aliases\n");
    text
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    StartTls,
    Tls,
}

/// A live session up to its first refusal; the last line the server said.
fn live(server: &Server, way: Way, user: Option<(&str, &str)>, from: &str, to: &str) -> String {
    let address = match way {
        Way::Tls => server.tls(),
        Way::Plain | Way::StartTls => server.tcp(),
    };
    let mut stream = ClientStream::connect(address, PATIENCE).unwrap();
    if way == Way::Tls {
        stream = stream.start_tls("mx.here.example", certificate()).unwrap();
    }
    let mut said = reply(&mut stream);
    let mut commands = vec!["EHLO client.example".to_owned()];
    if way == Way::StartTls {
        commands.push("STARTTLS".to_owned());
        commands.push("EHLO client.example".to_owned());
    }
    if let Some((user, password)) = user {
        let response =
            base64::engine::general_purpose::STANDARD.encode(format!("\0{user}\0{password}"));
        commands.push(format!("AUTH PLAIN {response}"));
    }
    commands.push(format!("MAIL FROM:<{from}>"));
    commands.push(format!("RCPT TO:<{to}>"));
    for command in commands {
        if !said.starts_with('2') {
            break;
        }
        stream
            .write_all(format!("{command}\r\n").as_bytes())
            .unwrap();
        stream.flush().unwrap();
        said = reply(&mut stream);
        if command == "STARTTLS" && said.starts_with('2') {
            stream = stream.start_tls("mx.here.example", certificate()).unwrap();
        }
    }
    said
}

/// The last line of a reply.
fn reply(stream: &mut ClientStream) -> String {
    let mut text = Vec::new();
    let mut octet = [0];
    loop {
        if stream.read(&mut octet).unwrap_or(0) == 0 {
            break;
        }
        text.push(octet[0]);
        let lines = text.ends_with(b"\r\n");
        let last = String::from_utf8_lossy(&text).into_owned();
        let last = last.lines().last().unwrap_or_default().to_owned();
        if lines && last.as_bytes().get(3) == Some(&b' ') {
            return last;
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

const SEED: u64 = 0x6578_706c_6169_6e21;
const SETTINGS: usize = 60;
const ENVELOPES: usize = 5;

#[test]
fn a_live_session_hears_what_explain_foretells() {
    println!("seed {SEED:#x}");
    let mut random = Random(SEED);
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..SETTINGS {
        let ini = random_ini(&mut random);
        let server = Server::start_beside(&ini, &[("aliases", "team: alice, bob\n")]);
        for _ in 0..ENVELOPES {
            let way = [Way::Plain, Way::StartTls, Way::Tls][random.below(3) as usize];
            let user = [
                None,
                Some(("alice", "wonderland")),
                Some(("bob", "builder")),
            ];
            let user = user[random.below(3) as usize];
            let from = random.one_of(&[
                "",
                "joe@there.example",
                "alice@here.example",
                "a@out.example",
            ]);
            let to = random.one_of(&[
                "alice@here.example",
                "nobody@here.example",
                "team@here.example",
                "joe@out.example",
                "joe@mx.out.example",
            ]);
            let heard = live(&server, way, user, from, to);
            let (code, foretold) = foretell(&server, way, user.map(|(user, _)| user), from, to);
            assert_eq!(heard, foretold, "{way:?} {user:?} {from:?} {to:?}\n{ini}");
            assert_eq!(code == 0, heard.starts_with('2'), "{heard}");
            match code {
                0 => accepted += 1,
                _ => refused += 1,
            }
        }
    }
    assert!(accepted > 15 && refused > 15, "{accepted} {refused}");
}

fn foretell(server: &Server, way: Way, user: Option<&str>, from: &str, to: &str) -> (i32, String) {
    let mut command = gatepost();
    let config = server.folder.path().join("gatepost.ini");
    command.arg("explain").arg("--config").arg(config);
    command.args(["--from", "127.0.0.1", "--rcpt", to]);
    command.args(["--local", &server.address.to_string()]);
    command.args(["--helo", "client.example"]);
    match way {
        Way::Plain => command.args(["--port", "tcp"]),
        Way::StartTls => command.args(["--port", "tcp", "--tls"]),
        Way::Tls => command.args(["--port", "tls", "--tls"]),
    };
    if let Some(user) = user {
        command.args(["--user", user]);
    }
    if !from.is_empty() {
        command.args(["--mail-from", from]);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let last = text.lines().last().unwrap_or_default();
    let last = last.strip_prefix("reply: ").unwrap_or_else(|| {
        panic!("{text}{}", String::from_utf8_lossy(&output.stderr));
    });
    (output.status.code().unwrap(), last.to_owned())
}

#[test]
fn what_explain_to_appends_names_the_line() {
    let server = Server::start(
        "[connections]\nexplain_to = 127.0.0.0/8\n[relay]\nenforce_for = all\ndeny_domains = *, x.example\n",
    );
    let said = live(
        &server,
        Way::Plain,
        None,
        "joe@there.example",
        "joe@out.example",
    );
    let file = server.folder.path().join("gatepost.ini");
    let text = fs::read_to_string(&file).unwrap();
    let line = 1 + text
        .lines()
        .position(|l| l.starts_with("deny_domains"))
        .unwrap();
    let want = format!(
        "554 5.7.1 Relay rejected for policy reasons ({}:{line} [relay] deny_domains: * refuses what \
         no list allows)",
        file.display()
    );
    assert_eq!(said, want);
}

/// What `explain` prints on standard error.
fn complained(folder: &TempFolder, arguments: &[&str]) -> String {
    let output = gatepost()
        .args(["explain", "--config", "f.ini"])
        .args(arguments)
        .current_dir(folder.path())
        .output()
        .unwrap();
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn every_refusal_has_a_step() {
    let auth = "[port:tcp]\nname_and_password = yes\n[port:tls]\nname_and_password = yes\n";
    let rows = [
        (
            format!("{auth}[server]\nhostname = here.example\n"),
            ["--user", "nobody"].as_slice(),
            "login: refused by [auth] users (default): there is no such user",
        ),
        (
            "[server]\nhostname = here.example\n".to_owned(),
            &["--tls"],
            "starttls: refused by [extensions] starttls (default): it is disabled",
        ),
        (
            "[server]\nhostname = here.example\nspool = .\n[limits]\nfree_space = 900000G\n"
                .to_owned(),
            &[],
            "space: refused by f.ini:5 [limits] free_space: ",
        ),
        (
            "[server]\nhostname = here.example\n[extensions]\nsmtputf8 = disabled\n".to_owned(),
            &["--mail-from", "j\u{fc}rgen@out.example"],
            "sender: refused by f.ini:4 [extensions] smtputf8: it is disabled",
        ),
    ];
    for (ini, more, want) in rows {
        let folder = prepare("steps", &ini);
        let arguments = [
            &["--from", "192.0.2.1", "--rcpt", "alice@here.example"],
            more,
        ]
        .concat();
        let (code, lines) = explain(&folder, &arguments);
        let steps = &lines[..lines.len() - 1];
        assert_eq!(code, 1, "{lines:?}");
        assert!(steps.last().unwrap().starts_with(want), "{lines:?}");
    }
}

#[test]
fn where_mail_goes_is_told() {
    let folder = prepare(
        "ways",
        "[server]\nhostname = here.example\n[aliases]\nfile = aliases\n[smarthost]\nhost = relay.example\n\
         [recipients]\ncatch_all = bob\n[delivery]\nmail_root = /m\n[relay]\nallow_domains = out.example\n\
         [webhook:shop]\nurl = http://127.0.0.1:9/\n",
    );
    fs::write(
        folder.path().join("aliases"),
        "info: team, joe@out.example\nteam: alice\norders: >shop\n",
    )
    .unwrap();
    let rows = [
        (
            "alice@here.example",
            &["delivery: mailbox /m/alice/Maildir"][..],
        ),
        ("alice@[127.0.0.1]", &["delivery: mailbox /m/alice/Maildir"]),
        (
            "info+x@here.example",
            &[
                "delivery: alias info leads to team, joe@out.example",
                "delivery: alias team leads to alice",
                "delivery: mailbox /m/alice/Maildir",
                "delivery: joe@out.example by [smarthost] relay.example port 587",
            ],
        ),
        (
            "orders@here.example",
            &[
                "delivery: alias orders leads to webhook:shop",
                "delivery: web server of [webhook:shop]",
            ],
        ),
        (
            "zoe@here.example",
            &[
                "delivery: goes to bob by f.ini:8 [recipients] catch_all: nobody has this name",
                "delivery: mailbox /m/bob/Maildir",
            ],
        ),
        (
            "joe@out.example",
            &["delivery: joe@out.example by [smarthost] relay.example port 587"],
        ),
    ];
    for (to, want) in rows {
        let (code, lines) = explain(&folder, &["--from", "192.0.2.1", "--rcpt", to]);
        assert_eq!(code, 0, "{lines:?}");
        let ways: Vec<&String> = lines
            .iter()
            .filter(|line| line.starts_with("delivery:"))
            .collect();
        assert_eq!(ways, want, "{to}");
    }
}

#[test]
fn warnings_of_the_configuration_are_told_only_when_asked_for() {
    let folder = prepare(
        "quiet",
        "[server]\nhostname = here.example\n[relay]\nenforce_for = none\n",
    );
    let arguments = ["--from", "192.0.2.1", "--rcpt", "alice@here.example"];
    assert_eq!(complained(&folder, &arguments), "");
    let asked = [&arguments[..], &["--warnings"]].concat();
    assert!(complained(&folder, &asked).contains("(W-07)"));
}

#[test]
fn mistakes_of_the_configuration_are_told_without_its_warnings() {
    let folder = prepare(
        "mistaken",
        "[server]\nhostname = here.example\n[relay]\nenforce_for = none\n[limits]\nrecipients = 0\n",
    );
    let arguments = ["--from", "192.0.2.1", "--rcpt", "alice@here.example"];
    let said = complained(&folder, &arguments);
    assert!(said.contains("[limits] recipients: "), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let asked = [&arguments[..], &["--warnings"]].concat();
    let asked = complained(&folder, &asked);
    assert!(asked.contains(said.trim_end()), "{asked}");
    assert!(asked.contains("(W-07)"), "{asked}");
}
