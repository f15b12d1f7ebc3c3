//! What `gatepost check` has said 0 to, `serve` does not end with 78, whatever the mistake: forty of them, each
//! tried with both, and odd values of every key for some seconds. `GATEPOST_ODD_SECONDS` and
//! `GATEPOST_ODD_SEED` have that go on for longer, or again.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gatepost::config::keys::{self, Kind, Text};
use support::checking::run_whole;
use support::random::Random;
use support::{PATIENCE, TempFolder, base_ini, data, gatepost, own_address};

/// Lines that replace those of the base, and what is done to the files beside it as a shell script.
const MISTAKES: &[(&str, &str)] = &[
    ("", "true"),
    ("[server]\nhostnme = x.example\n", ""),
    ("[server]\nuser = no-such-account\n", ""),
    (
        "[server]\nuser = nobody\n",
        "chmod 755 . && chmod 600 users",
    ),
    ("[server]\nuser = nobody\n", "chmod 700 ."),
    (
        "[server]\nuser = nobody\n",
        "chmod 755 . && chmod 600 gatepost.ini",
    ),
    ("[server]\nspool = /proc/nothing\n", ""),
    ("[server]\nspool = users\n", ""),
    ("[server]\nload_internet_sites = yes\n", ""),
    (
        "[server]\nload_internet_sites = yes\n[site:a]\ntls_anonymous = yes\ncertificate = nowhere\nprivate_key = own.key\n",
        "",
    ),
    (
        "[server]\nload_internet_sites = yes\n[site:a]\ntls_anonymous = yes\ncertificate = own.crt\n",
        "",
    ),
    (
        "[server]\nload_internet_sites = no\n[site:a]\ntls_anonymous = yes\ncertificate = nowhere\nprivate_key = nowhere\n",
        "",
    ),
    ("[tls]\ncertificate = nowhere\n", ""),
    ("[tls]\nprivate_key = nowhere\n", ""),
    (
        "[tls]\ncertificate = nowhere\nprivate_key = nowhere\n[port:tls]\nstatus = disabled\n[extensions]\nstarttls = disabled\n",
        "",
    ),
    (
        "[tls]\ncertificate = users\nprivate_key = users\n[port:tls]\nstatus = disabled\n[extensions]\nstarttls = disabled\n",
        "",
    ),
    ("[tls]\ncertificate = own.key\nprivate_key = own.crt\n", ""),
    (
        "[tls]\ncertificate = DATA/version1.crt\nprivate_key = DATA/p256.key\n",
        "",
    ),
    (
        "[tls]\ncertificate = DATA/expired.crt\nprivate_key = DATA/expired.key\n",
        "",
    ),
    (
        "[tls]\ncertificate = DATA/rsa.crt\nprivate_key = DATA/p256.key\n",
        "",
    ),
    (
        "[tls]\ncertificate = DATA/cut.crt\nprivate_key = DATA/p256.key\n",
        "",
    ),
    (
        "[tls]\ncertificate = DATA/p256.crt\nprivate_key = DATA/encrypted.key\n",
        "",
    ),
    (
        "[tls]\ncertificate = own.crt\nprivate_key = own.key\n",
        ": > own.key",
    ),
    ("[tls]\ncertificate = .\nprivate_key = own.key\n", ""),
    ("[auth]\nusers = nowhere\n", ""),
    ("[auth]\nusers = .\n", ""),
    ("[auth]\nusers = users\n", "echo broken > users"),
    ("[aliases]\nfile = nowhere\n", ""),
    (
        "[aliases]\nfile = aliases\n",
        "echo 'a: nobody-here' > aliases",
    ),
    (
        "[aliases]\nfile = aliases\n",
        "echo 'a@elsewhere.example: alice' > aliases",
    ),
    (
        "[server_access]\nenforce = yes\nallow = @nogroup\n[port:tls]\nname_and_password = yes\n",
        "",
    ),
    ("[senders]\ndeny = *@spam.example\n", ""),
    ("[recipients]\ndeny = alice\n", ""),
    ("[recipients]\ncatch_all = nobody-here\n", ""),
    ("[connections]\ndeny = 10.0.0.*\n", ""),
    ("[connections]\ndeny = 192.168.1.x\n", ""),
    ("[relay]\nenforce_for = none\n", ""),
    ("[smarthost]\nhost = mx.there.example:587\n", ""),
    (
        "[smarthost]\nhost = mx.there.example\nusername = u\npassword_file = nowhere\n",
        "",
    ),
    (
        "[smarthost]\nhost = mx.there.example\nca_file = users\n",
        "",
    ),
    ("[command:a]\nprogram = /nowhere\n", ""),
    (
        "[webhook:a]\nurl = https://there.example/\ntoken_file = nowhere\n",
        "",
    ),
    ("[delivery]\nmail_root = users\n", ""),
    ("[delivery]\nlocal = lmtp:unix:/nowhere\n", ""),
    ("[control]\nsocket = /proc/nothing/control\n", ""),
    ("[port:tcp]\naddresses = 192.0.2.77\n", ""),
    (
        "[port:tcp]\nstatus = disabled\n[port:tls]\nstatus = disabled\n",
        "",
    ),
    (
        "[port:tcp]\nanonymous = no\n[port:tls]\nname_and_password = yes\n",
        "",
    ),
    ("[messages]\ngreeting = hello\n", ""),
    (
        "[extensions]\netrn = enabled\n[limits]\nrecipients = 0\n",
        "",
    ),
    ("[log]\ntarget = sysog\n", ""),
];

fn prepared(extra: &str, script: &str) -> TempFolder {
    let folder = TempFolder::short("serve");
    let root = folder.path();
    for (from, to) in [
        ("users", "users"),
        ("aliases", "aliases"),
        ("p256.crt", "own.crt"),
        ("p256.key", "own.key"),
    ] {
        fs::copy(data(from), root.join(to)).unwrap();
        fs::set_permissions(root.join(to), fs::Permissions::from_mode(0o640)).unwrap();
    }
    let extra = extra.replace("DATA", &data("").display().to_string());
    fs::write(
        root.join("gatepost.ini"),
        base_ini(own_address(), root, &extra),
    )
    .unwrap();
    let status = std::process::Command::new("sh")
        .args(["-ec", script])
        .current_dir(root)
        .status();
    assert!(status.unwrap().success(), "{script}");
    folder
}

/// How `serve` ends; none where it greets, and is ended then.
fn served(folder: &Path) -> (Option<i32>, String) {
    let log = folder.join("log");
    let mut child = gatepost()
        .args(["serve", "--config", "gatepost.ini"])
        .current_dir(folder)
        .stderr(Stdio::from(fs::File::create(&log).unwrap()))
        .spawn()
        .unwrap();
    let until = Instant::now() + PATIENCE;
    loop {
        let text = fs::read_to_string(&log).unwrap_or_default();
        if let Some(status) = child.try_wait().unwrap() {
            return (status.code(), text);
        }
        if text.contains("event=started") {
            child.kill().unwrap();
            child.wait().unwrap();
            return (None, text);
        }
        if Instant::now() >= until {
            child.kill().unwrap();
            panic!("neither greets nor ends: {text}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_check_lets_pass_serve_does_not_end_with_78() {
    assert!(MISTAKES.len() > 40);
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let (mut passed, mut refused, mut only_check) = (0, 0, 0);
    for (extra, script) in MISTAKES {
        if extra.contains("user = ") && !is_root {
            continue;
        }
        let folder = prepared(extra, if script.is_empty() { "true" } else { script });
        let check = run_whole(&folder, &["check", "--config", "gatepost.ini"]);
        let start = run_whole(&folder, &["check", "--start", "--config", "gatepost.ini"]);
        let (code, log) = served(folder.path());
        match check.code {
            Some(0) => {
                passed += 1;
                assert_ne!(
                    code,
                    Some(78),
                    "{extra}{script}: {:?}\n{log}",
                    check.problems
                );
            }
            Some(78) if code == Some(78) => refused += 1,
            Some(78) => only_check += 1,
            other => panic!("{extra}{script}: check ended with {other:?}"),
        }
        // A script that starts the service asks so.
        if start.code == Some(0) {
            assert_ne!(
                code,
                Some(78),
                "{extra}{script}: {:?}\n{log}",
                start.problems
            );
        }
    }
    // Each of the three happens: passes, is refused by both, is refused by check alone.
    assert!(
        passed >= 10 && refused >= 15 && only_check >= 2,
        "{passed} {refused} {only_check}"
    );
    eprintln!("check passed {passed}, both refused {refused}, check alone refused {only_check}");
}

/// What goes into any value, odd or not. Addresses are of this machine alone, and paths below the folder or nowhere.
const ODD: &[&str] = &[
    "",
    "0",
    "1",
    "-1",
    "+1",
    "007",
    "1.5",
    "1e3",
    "0x10",
    "1K",
    "1k",
    "1KB",
    "1 K",
    "0s",
    "1s",
    "1ms",
    "1y",
    "1d 1h",
    "18446744073709551615",
    "18446744073709551616",
    "18446744073709551615G",
    "18446744073709551615d",
    "yes",
    "YES",
    "on",
    "none",
    "all",
    "enabled",
    "é",
    "\u{1f4ec}",
    "\u{7f}",
    "\t",
    "a b",
    "a,b",
    ",",
    ",,",
    "a,,b",
    "a,",
    ";",
    "# x",
    "; x",
    "x ; y",
    "x # y",
    "\"x\"",
    "'x'",
    "\"",
    "[x]",
    "=",
    "==",
    "$HOME",
    "~",
    "~/x",
    "%n",
    "%",
    "\\",
    "x\\",
    "{hostname}",
    "{date}",
    "{hostname} {date} {x}",
    "{",
    "@",
    "@x",
    "@here.example",
    "@staff",
    "*",
    "*@here.example",
    "x@",
    "a@b@c",
    "\"a b\"@here.example",
    "<a@here.example>",
    "alice",
    "Alice",
    "alice@here.example",
    "postmaster",
    ".",
    "..",
    "a.",
    ".a",
    "here.example",
    "HERE.example.",
    "xn--",
    "xn--a",
    "bücher.example",
    "-a.example",
    "_a.example",
    "1.2.3.4",
    "1.2.3.4/33",
    "1.2.3.4/0",
    "10.0.0.1/8",
    "::/0",
    "::1",
    "::ffff:1.2.3.4",
    "fe80::1%lo",
    "[::1]",
    "[::1]:2",
    "127.0.0.1",
    "127.1",
    "127.0.0.1:0",
    "127.0.0.1:99999",
    "127.0.0.1:2/3",
    "localhost",
    "localhost:25",
    "unix:",
    "unix:x",
    "lmtp:",
    "lmtp:unix:",
    "lmtp:unix:x",
    "lmtp:unix:/nowhere",
    "lmtp:localhost:0",
    "lmtp:localhost:24",
    "maildir",
    "|x",
    ">x",
    "http://",
    "http://x:0/",
    "http://x:99999/",
    "http://[::1",
    "https://u@x/",
    "http://localhost/a b",
    "https://localhost",
    "/proc/nothing/x",
    "users",
    "own.crt",
    "own.key",
    "nowhere",
    "folder",
    "/dev/null",
    "users/x",
    "nobody",
    "65534",
    "syslog",
    "journal",
    "stderr",
    "debug",
    "json",
    "plain",
    "main",
    "tcp",
    "x",
    "/bin/true",
];

/// The edges of what a key takes, else one of the odd values, else several as a list.
fn odd_value(about: &Text, random: &mut Random) -> String {
    let edge = |text: &str| {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let unit = &text[digits.len()..];
        let number: u64 = digits.parse().unwrap();
        let around = [number.saturating_sub(1), number, number.saturating_add(1)];
        around.map(|number| format!("{number}{unit}"))
    };
    let own: Vec<String> = match about.key.kind {
        Kind::Number { min, max } | Kind::NumberOrZero { min, max } => {
            [edge(&min.to_string()), edge(&max.to_string())].concat()
        }
        Kind::Size { min, max } | Kind::Duration { min, max } | Kind::Durations { min, max } => {
            [edge(min), edge(max)].concat()
        }
        Kind::Interval { max, .. } => edge(max).to_vec(),
        Kind::Word(words) | Kind::Words(words) => {
            words.iter().map(|word| (*word).to_owned()).collect()
        }
        Kind::YesNo => vec!["yes".to_owned(), "no".to_owned()],
        _ => vec![about.default.sample().to_owned()],
    };
    let odd = |random: &mut Random| random.one_of(ODD).to_owned();
    match random.below(10) {
        0..=5 => own[random.below(own.len() as u64) as usize].clone(),
        6..=7 => odd(random),
        8 => format!("{}, {}", odd(random), odd(random)),
        _ => odd(random).repeat(1 + random.below(400) as usize),
    }
}

/// Up to four keys with odd values, all of which the tests' machine can stand.
fn odd_lines(random: &mut Random) -> String {
    // Where the log goes is how this test sees that the service started.
    let all = keys::explained().filter(|about| about.key.section() != "log");
    let all: Vec<&Text> = all.collect();
    let mut lines = String::new();
    for _ in 0..1 + random.below(4) {
        let about = all[random.below(all.len() as u64) as usize];
        let section = about.key.section();
        let value = odd_value(about, random);
        let header = section.replace("NAME", "x");
        lines.push_str(&format!("[{header}]\n{} = {value}\n", about.key.name));
        if random.below(3) == 0 {
            for other in all.iter().filter(|other| other.key.section() == section) {
                let (name, default) = (other.key.name, other.default);
                if matches!(default, keys::Default::Required(_)) && !lines.contains(name) {
                    lines.push_str(&format!("{name} = {}\n", default.sample()));
                }
            }
        }
    }
    lines
}

#[test]
fn what_check_says_of_odd_values_serve_says_as_well() {
    let wanted = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().unwrap())
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = wanted("GATEPOST_ODD_SEED").unwrap_or(now.as_nanos() as u64) | 1;
    eprintln!("seed {seed}");
    let until = Instant::now() + Duration::from_secs(wanted("GATEPOST_ODD_SECONDS").unwrap_or(6));
    let mut random = Random(seed);
    let (mut passed, mut refused) = (0, 0);
    while Instant::now() < until {
        let extra = odd_lines(&mut random);
        let folder = prepared(&extra, "mkdir folder");
        let check = run_whole(&folder, &["check", "--config", "gatepost.ini"]);
        let what = || format!("seed {seed}\n{extra}{:#?}", check.problems);
        // What a start finds of the machine is none of check's: a port, a disk, an account.
        let codes = [Some(0), Some(78)];
        assert!(codes.contains(&check.code), "{:?} {}", check.code, what());
        let (code, log) = served(folder.path());
        assert!(
            !log.contains("panicked") && !log.contains("event=bug"),
            "{}{log}",
            what()
        );
        match check.code {
            Some(0) => {
                passed += 1;
                assert!(
                    [None, Some(69), Some(73), Some(74), Some(77)].contains(&code),
                    "{code:?} {}{log}",
                    what()
                );
            }
            _ => refused += 1,
        }
    }
    eprintln!("check passed {passed}, refused {refused}");
    assert!(passed > 0 && refused > 0, "seed {seed}: {passed} {refused}");
}
