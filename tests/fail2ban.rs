//! The fail2ban filter on what a real server logs: each failed login is one match with its client's
//! address, and no login, greeting or address that a client makes up can be another.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::{Client, Server, auth_plain, has_program, own_address};

/// 2026-11-24T08:11:23Z, seconds since 1970.
const SYSLOG_TIME: f64 = 1_795_507_883.0;

/// An address that no client has.
const VICTIM: &str = "192.0.2.77";

/// Logins made to be taken for something else.
const LOGINS: [&str; 14] = [
    "nobody",
    "no body",
    "client=192.0.2.77:25",
    " client=192.0.2.77:25 user=x",
    "x\" client=192.0.2.77:25 user=\"y",
    "x\\\" client=192.0.2.77:25 user=\\\"y",
    "x\nevent=login_failed sid=00000000 client=192.0.2.77:25 user=y",
    "x\r\n2026-11-24T08:11:23.904Z warning event=login_failed sid=00000000 client=192.0.2.77:25 user=y",
    "2001-01-01T00:00:00.000Z warning event=login_failed sid=00000000 client=192.0.2.77:25 user=y",
    "Nov 24 08:11:23 box gatepost[1]: event=login_failed sid=00000000 client=192.0.2.77:25 user=y",
    "\",\"client\":\"192.0.2.77:25\",\"user\":\"y",
    "\"}\n{\"time\":\"2026-11-24T08:11:23.904Z\",\"level\":\"warning\",\"event\":\"login_failed\",\"sid\":\"00000000\",\"client\":\"192.0.2.77:25\",\"user\":\"y",
    "ends with a backslash\\",
    "192.0.2.77",
];

const INI: &str =
    "[port:tcp]\nname_and_password = yes\n[auth]\nattempts_max = 20\n[log]\nlevel = trace\n";

fn filter() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/fail2ban/filter.d/gatepost.conf")
}

fn source() -> Ipv4Addr {
    match own_address() {
        std::net::IpAddr::V4(address) => address,
        other => unreachable!("{other}"),
    }
}

/// Fails with every login, and says the same things wherever else a client is heard. Gives the
/// address it did so from.
fn attack(server: &Server) -> Ipv4Addr {
    let from = source();
    for login in LOGINS {
        let mut client = Client::greeted_from(from, server.tcp());
        let word = login.replace(['\r', '\n', ' '], "_");
        client.send(format!("EHLO {word}\r\n").as_bytes());
        if !client.reply().starts_with("250") {
            client.command("EHLO client.example", "250");
        }
        client.command(&auth_plain(login, "guess"), "535");
        client.command(&auth_plain("alice", "wonderland"), "235");
        // Senders and recipients are told in the log as well, and some of these are addresses.
        let quoted = login.replace(['\r', '\n'], " ");
        let quoted = quoted.replace('\\', "\\\\").replace('"', "\\\"");
        for command in [
            format!("MAIL FROM:<\"{quoted}\"@there.example>"),
            "MAIL FROM:<alice@here.example>".to_owned(),
            format!("RCPT TO:<\"{quoted}\"@there.example>"),
            format!("RCPT TO:<\"{quoted}\"@here.example>"),
            quoted,
        ] {
            client.send(format!("{command}\r\n").as_bytes());
            client.reply();
        }
        client.command("QUIT", "221");
    }
    // What is no failed login.
    let mut client = Client::greeted_from(source(), server.tcp());
    client.command("EHLO client.example", "250");
    client.command("AUTH PLAIN", "334");
    client.command("*", "501");
    client.command("AUTH CRAM-MD5", "504");
    from
}

/// What fail2ban finds in these lines: the address of each match, in their order. Every match must be of
/// the time `about`, seconds since 1970, give or take a minute, where one is told.
fn matches(server: &Server, name: &str, lines: &[String], about: Option<f64>) -> Vec<String> {
    let file = server.folder.path().join(name);
    fs::write(&file, lines.join("\n") + "\n").unwrap();
    let output = Command::new("fail2ban-regex")
        .args(["--usedns", "no", "--out", "<ip> <time>"])
        .args([&file, &filter()])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let said = String::from_utf8(output.stdout).unwrap();
    let rows = said.lines().map(|line| line.split_once(' ').unwrap());
    rows.map(|(address, time)| {
        let time: f64 = time.parse().unwrap();
        let is_right = about.is_none_or(|about| (time - about).abs() < 60.0);
        assert!(is_right, "{address} at {time}, not {about:?}");
        address.to_owned()
    })
    .collect()
}

fn now() -> f64 {
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_secs_f64()
}

fn each_failure_is_one_match(format: &str) {
    if !has_program("fail2ban-regex") {
        return;
    }
    let mut server = Server::start(&format!("{INI}format = {format}\n"));
    let from = attack(&server);
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    server.wait_for_event("stopped");
    let text = server.log_text();
    assert!(
        text.contains(VICTIM),
        "the log holds what was tried:\n{text}"
    );
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    let want = vec![from.to_string(); LOGINS.len()];
    assert_eq!(
        matches(&server, "stderr", &lines, Some(now())),
        want,
        "{text}"
    );
    // The same as syslog daemons write it to files, and but for the time as the journal gives it.
    for (before, about) in [
        (
            "2026-11-24T09:11:23.904512+01:00 box gatepost[77]: ",
            Some(SYSLOG_TIME),
        ),
        ("Nov 24 08:11:23 box gatepost[77]: ", None),
    ] {
        let lines: Vec<_> = lines
            .iter()
            .map(|line| match format {
                "json" => format!("{before}{line}"),
                _ => format!("{before}{}", line.splitn(3, ' ').last().unwrap()),
            })
            .collect();
        assert_eq!(
            matches(&server, "syslog", &lines, about),
            want,
            "{lines:#?}"
        );
    }
}

#[test]
fn each_failed_login_in_the_text_format_is_one_match() {
    each_failure_is_one_match("text");
}

#[test]
fn each_failed_login_in_json_is_one_match() {
    each_failure_is_one_match("json");
}

#[test]
fn an_ipv6_client_is_matched_by_its_address() {
    if !has_program("fail2ban-regex") {
        return;
    }
    let server = Server::start("");
    let lines = [
        "2026-11-24T08:11:23.904Z warning event=login_failed sid=0000000a client=[2001:db8::7]:40000 user=x failed=1 reason=y",
        "{\"time\":\"2026-11-24T08:11:23.904Z\",\"level\":\"warning\",\"event\":\"login_failed\",\"sid\":\"0000000a\",\"client\":\"[2001:db8::8]:40000\",\"user\":\"x\"}",
    ];
    let found = matches(&server, "six", &lines.map(str::to_owned), Some(SYSLOG_TIME));
    assert_eq!(found, ["2001:db8::7", "2001:db8::8"]);
}

#[test]
fn the_jail_is_whole_and_off_by_default() {
    let text = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/fail2ban/jail.d/gatepost.conf"),
    )
    .unwrap();
    let keys: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim(), value.trim()))
        .collect();
    assert!(keys.contains(&("enabled", "false")), "{keys:?}");
    assert!(keys.contains(&("filter", "gatepost")), "{keys:?}");
}
