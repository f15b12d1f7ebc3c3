//! Every key of the table: good, bad and edge values, in the file as an operator writes it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::path::Path;

use gatepost::config::keys::{self, COMMAND, FURTHER_PORT, KeyRule, Kind, SMARTHOST, WEBHOOK};
use gatepost::config::{self, Problem, Settings};

use support::TempFolder;

/// Good and bad values of a kind, the edges of its range among them.
fn values(kind: &Kind) -> (Vec<String>, Vec<String>) {
    let own = |list: &[&str]| {
        list.iter()
            .map(|text| (*text).to_owned())
            .collect::<Vec<_>>()
    };
    match kind {
        Kind::YesNo => (
            own(&["yes", "no", "YES", "No"]),
            own(&["true", "1", "on", "", "yes no", "yes ; c"]),
        ),
        Kind::NumberOrZero { min, max } => (
            vec!["0".into(), min.to_string(), max.to_string()],
            vec![(min - 1).to_string(), (max + 1).to_string(), "00".into()],
        ),
        Kind::Number { min, max } => {
            let good = vec![min.to_string(), max.to_string()];
            let mut bad = own(&[
                "",
                "-1",
                "+1",
                "0x19",
                "25.0",
                "2 5",
                "abc",
                "99999999999999999999999",
                "25 # c",
                "010",
            ]);
            bad.push((max + 1).to_string());
            if let Some(below) = min.checked_sub(1) {
                bad.push(below.to_string());
            }
            (good, bad)
        }
        Kind::Size { min, max } => (
            own(&[min, max]),
            own(&[
                "",
                "-1",
                "10MB",
                "1.5M",
                "10 M",
                "10m",
                "M",
                "999999999G",
                "01M",
            ]),
        ),
        Kind::Duration { min, max } => (
            own(&[min, max]),
            own(&["", "5", "0s", "-5s", "1h30m", "5 m", "5M", "99999d", "05s"]),
        ),
        Kind::Durations { min, max } => (
            own(&[min, max, "1m, 1m, 2h", "1m,\n  5m"]),
            own(&[
                "",
                "5",
                "1m,,2m",
                "0s",
                "1m 5m",
                "1m, 99999d",
                &["1s"; 33].join(","),
            ]),
        ),
        Kind::Interval { max, .. } => (
            own(&["0", "0s", "1s", max]),
            own(&["", "5", "0m", "-5s", "1h30m", "5 m", "99999d", "05s"]),
        ),
        Kind::Word(words) => {
            let mut good = own(words);
            good.extend(words.iter().map(|word| word.to_uppercase()));
            (good, own(&["", "on", "nonsense"]))
        }
        Kind::Greeting => (
            own(&["{hostname}", "{hostname} at {date}"]),
            own(&["", "x", "{hostname} {x}", "{hostname} é"]),
        ),
        Kind::Path => (own(&["a", "/a b/c", "../x", "a;b#c"]), own(&[""])),
        // A good one needs its section.
        Kind::Handler(_) => (own(&[]), own(&["", "a b", "nowhere"])),
        Kind::Account => (own(&["root", "www-data"]), own(&["", "a b", "-a", "a/b"])),
        Kind::User => (
            own(&["alice", "Postmaster", "a.b"]),
            own(&["", "../x", ".a", "a@b.example", "a b"]),
        ),
        Kind::Domain => (
            own(&["localhost", "mx.example.org"]),
            own(&["", "a..b", "192.0.2.1", "[::1]", "a b", "é.example"]),
        ),
        Kind::Host => (
            own(&["localhost", "mx.example.org", "192.0.2.1", "2001:db8::1"]),
            own(&["", "a..b", "[::1]", "a b", "192.0.2.1:25", "é.example"]),
        ),
        Kind::Local => (
            own(&[
                "maildir",
                "MAILDIR",
                "lmtp:unix:/run/dovecot/lmtp",
                "lmtp:mx.example.org:24",
                "lmtp:[2001:db8::1]:24",
            ]),
            own(&[
                "",
                "mbox",
                "lmtp:unix:run/lmtp",
                "lmtp:localhost",
                "lmtp:localhost:0",
                "lmtp:2001:db8::1:24",
            ]),
        ),
        Kind::Program => (
            own(&["/bin/true", "/a b/c;d"]),
            own(&["", "true", "./true", "|/bin/true"]),
        ),
        Kind::Arguments => (
            own(&["", "-a", "a, a, b c", "-a,\n  $x", &["x"; 32].join(",")]),
            own(&["a,,b", &["x"; 33].join(","), &"x".repeat(1025)]),
        ),
        Kind::Url => (
            own(&[
                "http://localhost",
                "https://hooks.example/a?b=c",
                "HTTP://[::1]:8080/",
            ]),
            own(&["", "localhost", "ftp://x", "http://a@b/", "http://x/#y"]),
        ),
        Kind::Login => (
            own(&["box", "box@example.org", "a b", "é"]),
            own(&["", "a\tb", &"a".repeat(256)]),
        ),
        Kind::Character => (own(&["", "+", "-", "#", ";"]), own(&["++", "@", "é"])),
        Kind::Domains => (
            own(&[
                "",
                "a.example",
                "a.example, b.example,",
                "a.example\n  b.example",
            ]),
            own(&["a..b", "a.example,,b.example", "a, A", "a b"]),
        ),
        Kind::Addresses => (
            own(&[
                "::1",
                "127.0.0.1, ::1",
                "127.0.0.1,\n\t::1",
                "::ffff:192.0.2.1",
            ]),
            own(&[
                "",
                "localhost",
                "[::1]",
                "127.0.0.1:25",
                "::1, ::1",
                "10.0.0.0/8",
            ]),
        ),
        Kind::Networks => (
            own(&[
                "",
                "10.0.0.0/8",
                "::/0, 192.0.2.1",
                "10.0.0.0/8\n ; c\n 192.0.2.1",
            ]),
            own(&["10.0.0.1/8", "10/8", "::/129", "example.org", "*"]),
        ),
        Kind::ReplyText => (own(&["x", "a {b} %s ; # c"]), own(&["", "é", "a\tb"])),
        Kind::SiteAddresses => (
            own(&["", "::1", "127.0.0.1,\n\t::1"]),
            own(&["0.0.0.0", "::", "localhost", "10.0.0.0/8", "::1, ::1"]),
        ),
        Kind::Hosts => (
            own(&["", "10.0.0.0/8, mx.example.org", "::1\n  example.org"]),
            own(&[
                "10.0.0.1/8",
                "*.example.org",
                "*",
                "192.0.2",
                "a b",
                "a@b.example",
            ]),
        ),
        Kind::Mails => (
            own(&[
                "",
                "a@b.example, b.example, @c.example",
                "\"a b\"@c.example",
            ]),
            own(&["*", "a@", "@", "192.0.2.1", "a b"]),
        ),
        Kind::RelayDomains => (
            own(&["", "*", "b.example, @c.example, *"]),
            own(&["a@b.example", "*.b.example", "@", "192.0.2.1"]),
        ),
        Kind::SenderDomains => (
            own(&["b.example", "b.example, [192.0.2.1],\n  @c.example"]),
            own(&[
                "",
                "*",
                "a@b.example",
                "@",
                "192.0.2.1",
                "b.example, B.example",
            ]),
        ),
        Kind::HostPorts => (
            own(&[
                "",
                "b.example",
                "b.example:25, [2001:db8::1]:465,\n  192.0.2.1",
            ]),
            own(&[
                "b.example:0",
                "b.example:smtp",
                "2001:db8::1]:25",
                "b.example, b.example",
                "a.b, b.b, c.b, d.b, e.b, f.b, g.b, h.b, i.b",
            ]),
        ),
        Kind::SocketAddresses => (
            own(&[
                "",
                "127.0.0.1:9425",
                "127.0.0.1:1, [::1]:65535,\n  192.0.2.1:80",
            ]),
            own(&[
                "127.0.0.1",
                "127.0.0.1:0",
                "127.0.0.1:65536",
                "localhost:9425",
                ":9425",
                "9425",
                "::1:9425",
                "[::1]",
                "[fe80::1%1]:9425",
                "[127.0.0.1]:9425",
                "127.0.0.1:1, 127.0.0.1:1",
                "/run/metrics",
                "127.0.0.1:1, 127.0.0.1:2, 127.0.0.1:3, 127.0.0.1:4, 127.0.0.1:5, 127.0.0.1:6, \
                 127.0.0.1:7, 127.0.0.1:8, 127.0.0.1:9",
            ]),
        ),
        Kind::MailAddress => (
            own(&["", "joe@b.example", "\"joe b\"@b.example"]),
            own(&[
                "joe",
                "@b.example",
                "<joe@b.example>",
                "joe@b.example, ann@b.example",
            ]),
        ),
        Kind::AccessNames => (
            own(&["", "*", "alice, @staff, bob@here.example"]),
            own(&["@", "a/b", "alice@", "alice, ALICE", "a b"]),
        ),
        Kind::Words(words) => {
            let good = vec![words.join(","), words[0].to_uppercase(), words.join("\n  ")];
            (good, own(&["", "nonsense", &format!("{0}, {0}", words[0])]))
        }
    }
}

fn parse(folder: &TempFolder, key: &KeyRule, value: &str) -> Result<Settings, Vec<Problem>> {
    let section = key.section().replace("NAME", "name");
    let mut ini = format!("[{section}]\n{} = {value}\n", key.name);
    if key.section() == FURTHER_PORT {
        for (name, value) in [("kind", "tcp"), ("number", "587")] {
            if key.name != name {
                ini.push_str(&format!("{name} = {value}\n"));
            }
        }
    }
    if key.section() == SMARTHOST {
        for (name, value) in [("host", "a.example"), ("sender_domains", "z.example")] {
            if key.name != name {
                ini.push_str(&format!("{name} = {value}\n"));
            }
        }
    }
    let needed = match key.section() {
        COMMAND => "program = /bin/true\n",
        WEBHOOK => "url = http://localhost/\n",
        _ => "",
    };
    if !needed.starts_with(key.name) {
        ini.push_str(needed);
    }
    let file = folder.path().join("f.ini");
    fs::write(&file, ini).unwrap();
    config::parse(&file)
}

#[test]
fn every_key_takes_good_values_and_names_bad_ones() {
    let folder = TempFolder::new("keys");
    for key in keys::all() {
        let (good, bad) = values(&key.kind);
        for value in good {
            if let Err(problems) = parse(&folder, key, &value) {
                panic!("[{}] {} = {value}: {problems:?}", key.section(), key.name);
            }
        }
        for value in bad {
            let Err(problems) = parse(&folder, key, &value) else {
                panic!("[{}] {} = {value} is taken", key.section(), key.name);
            };
            let [problem] = &problems[..] else {
                panic!("[{}] {} = {value}: {problems:?}", key.section(), key.name);
            };
            assert_eq!(problem.line, Some(2), "{problem}");
            assert_eq!(problem.key.as_deref(), Some(key.name), "{problem}");
        }
    }
}

#[test]
fn names_and_keys_know_no_case() {
    let folder = TempFolder::new("case");
    let file = folder.path().join("f.ini");
    fs::write(
        &file,
        "[PORT:Tcp]\nNUMBER = 2525\n[Extensions]\n8BitMime = DISABLED\n",
    )
    .unwrap();
    let settings = config::parse(&file).unwrap();
    assert_eq!(settings.port("tcp").map(|port| port.number), Some(2525));
    assert!(!settings.extensions.eight_bit_mime);
}

#[test]
fn relative_paths_begin_at_the_files_folder() {
    let folder = TempFolder::new("relative");
    let file = folder.path().join("f.ini");
    fs::write(
        &file,
        "[server]\nspool = spool\n[delivery]\nmail_root = /mail\n",
    )
    .unwrap();
    let settings = config::parse(&file).unwrap();
    assert_eq!(settings.spool, folder.path().join("spool"));
    assert_eq!(settings.mail_root.to_str(), Some("/mail"));
}

#[test]
fn further_ports_take_the_defaults_of_their_kind() {
    let folder = TempFolder::new("further");
    let file = folder.path().join("f.ini");
    let ini = "[port:b]\nkind = tls\nnumber = 4465\n[port:a]\nkind = tcp\nnumber = 587\n";
    fs::write(&file, ini).unwrap();
    let settings = config::parse(&file).unwrap();
    let ports: Vec<_> = settings
        .ports
        .iter()
        .map(|port| {
            (
                port.name.as_str(),
                port.number,
                port.enabled,
                port.addresses_are_default,
            )
        })
        .collect();
    assert_eq!(
        ports,
        [
            ("tcp", 25, true, true),
            ("tls", 465, false, true),
            ("b", 4465, false, true),
            ("a", 587, true, true),
        ]
    );
}

/// A section and a key as two texts, one behind the other: what names the place of a rule.
#[test]
fn every_key_that_the_sources_name_is_in_the_table() {
    // What a log line says of relaying, headings, and the steps of `gatepost test-mail`.
    let others = [
        ("relay", "allowed"),
        ("relay", "refused"),
        ("relay", "deferred"),
        ("messages", "carried"),
        ("tls", "login"),
        ("tls", "AUTH"),
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut wrong, mut named) = (vec![root], Vec::new(), 0);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.ends_with("cli/top/view.rs") || path.ends_with("tests.rs") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap_or_default();
            let shipped = text.split("#[cfg(test)]\nmod").next().unwrap();
            for pair in pairs(shipped) {
                let is_one = |key: &&KeyRule| (key.section(), key.name) == pair;
                if !keys::sections().contains(&pair.0) || others.contains(&pair) {
                    continue;
                }
                named += 1;
                if keys::all().find(is_one).is_none() {
                    wrong.push(format!("{}: {pair:?}", path.display()));
                }
            }
        }
    }
    assert!(named > 80, "{named}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every two texts with nothing but a comma between them; the second one is no pattern.
fn pairs(source: &str) -> Vec<(&str, &str)> {
    let parts: Vec<&str> = source.split('"').collect();
    let fours = parts.windows(4);
    let fours = fours.filter(|four| four[1].trim() == "," && !four[3].starts_with(" =>"));
    fours.map(|four| (four[0], four[2])).collect()
}
