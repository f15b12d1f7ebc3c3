//! What is told of a session with the real binary: what never is, whatever a client does.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::net::{IpAddr, Ipv4Addr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use support::{Client, Server, own_address};

/// Logins without TLS, and whatever explains itself does so.
const RULES: &str = "[port:tcp]\nname_and_password = yes\n[auth]\nplaintext_from = 127.0.0.0/8\n\
                     attempts_max = 20\nthrottle = no\n\
                     [connections]\nexplain_to = 127.0.0.0/8\nerror_limit = 0\n";

/// What every secret begins with: nothing else that is said or told holds it.
const SECRET: &str = "Zx9-sesame";

fn address() -> Ipv4Addr {
    match own_address() {
        IpAddr::V4(address) => address,
        other => unreachable!("{other}"),
    }
}

fn base64(text: &str) -> String {
    STANDARD.encode(text)
}

/// A secret in Base64 may begin at any octet of three, so each way is looked for; and what is cut as well.
fn traces() -> Vec<String> {
    let mut traces = vec![SECRET.to_owned()];
    for before in ["", "x", "xx"] {
        let encoded = base64(&format!("{before}{SECRET}"));
        // The first and the last letters depend on what is beside the secret.
        let whole = encoded.trim_end_matches('=');
        traces.push(whole[before.len() + 2..whole.len() - 2].to_owned());
    }
    traces
}

fn assert_silent(what: &str, text: &str) {
    for trace in traces() {
        assert!(!text.contains(&trace), "{trace} is in {what}:\n{text}");
    }
}

/// What clients say that get AUTH wrong, each line with the code of its reply.
fn blunders() -> Vec<Vec<(String, &'static str)>> {
    let word = base64(SECRET);
    let plain = base64(&format!("\0alice\0{SECRET}"));
    let bearer = base64(&format!("user=alice\x01auth=Bearer {SECRET}\x01\x01"));
    let rows: Vec<Vec<(String, &str)>> = vec![
        // No mechanism, or something behind it.
        vec![(format!("AUTH {word}"), "504")],
        vec![(format!("AUTH {plain}"), "504")],
        vec![(format!("AUTH {SECRET}"), "504")],
        vec![(format!("AUTH \t{SECRET}"), "504")],
        vec![(format!("AUTH PLAIN\t{word}"), "504")],
        vec![(format!("AUTH PLAIN={word}"), "504")],
        vec![(format!("AUTH PLAIN {plain} {word}"), "501")],
        vec![(format!("AUTH {word} PLAIN"), "504")],
        vec![(format!("AUTH={word}"), "500")],
        // Mechanisms that are not offered, and the answers that come all the same.
        vec![
            (format!("AUTH XOAUTH2 {bearer}"), "504"),
            (bearer.clone(), "500"),
        ],
        vec![("AUTH CRAM-MD5".to_owned(), "504"), (word.clone(), "500")],
        // Not what the mechanism wants.
        vec![
            (format!("AUTH PLAIN {SECRET}"), "501"),
            (plain.clone(), "500"),
        ],
        vec![(format!("AUTH LOGIN {plain}"), "501"), (base64("x"), "500")],
        vec![
            (format!("AUTH LOGIN {bearer}"), "501"),
            (word.clone(), "500"),
        ],
        vec![
            ("AUTH LOGIN".to_owned(), "334"),
            (format!("\t{word}"), "501"),
            (word.clone(), "500"),
        ],
        vec![
            (format!("AUTH LOGIN {}", base64("alice")), "334"),
            (SECRET.to_owned(), "501"),
            (SECRET.to_owned(), "500"),
        ],
        vec![
            (format!("AUTH LOGIN {}", base64("alice")), "334"),
            (word.clone(), "535"),
            (word.clone(), "500"),
        ],
        vec![("AUTH PLAIN".to_owned(), "334"), (plain.clone(), "535")],
        vec![
            (
                format!("AUTH SCRAM-SHA-256 {}", base64(&format!("n,,n={SECRET}"))),
                "501",
            ),
            (word.clone(), "500"),
        ],
    ];
    rows
}

/// Says it after EHLO, each line once the reply is there.
fn say(server: &Server, from: Ipv4Addr, lines: &[(String, &str)]) {
    let mut client = Client::greeted_from(from, server.tcp());
    client.command("EHLO client.example", "250");
    for (line, reply) in lines {
        client.command(line, reply);
    }
    client.command("QUIT", "221");
}

#[test]
fn no_payload_of_auth_is_told_to_anybody() {
    let mut server = Server::start(&format!("{RULES}[log]\nlevel = debug\n"));
    let mut clients = Vec::new();
    for lines in blunders() {
        let from = address();
        clients.push(from);
        say(&server, from, &lines);
    }
    // In one go, where AUTH is not served at that point: what follows is taken for commands.
    let (name, word) = (base64("alice"), base64(SECRET));
    for (before, codes) in [
        ("", ["503", "500", "500"]),
        ("EHLO c\r\n", ["504", "500", "500"]),
    ] {
        let from = address();
        clients.push(from);
        let mut client = Client::greeted_from(from, server.tcp());
        let mechanism = if before.is_empty() { "LOGIN" } else { "NTLM" };
        client.send(format!("{before}AUTH {mechanism}\r\n{name}\r\n{word}\r\n").as_bytes());
        if !before.is_empty() {
            client.expect("250");
        }
        for code in codes {
            client.expect(code);
        }
        // It is still there while the operator looks.
        assert_silent("sessions", &server.command(&["sessions"]).output);
        client.command("QUIT", "221");
    }
    for client in &clients {
        let sid = sid_of(&mut server, *client);
        server.wait_for_log(&format!("event=session_ended sid={sid}"));
        for words in [
            &["devices", &client.to_string()][..],
            &["devices", &client.to_string(), "--json"],
        ] {
            let said = server.command(words);
            assert_eq!(said.code, Some(0), "{}", said.complaint);
            assert_silent("devices", &said.output);
        }
    }
    for words in [&["status"][..], &["devices"], &["top", "--once"]] {
        assert_silent(words[0], &server.command(words).output);
    }
    // What is told instead.
    let said = server.command(&["devices", &clients[0].to_string()]).output;
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("by an unknown method, which"), "{said}");
    assert!(said.contains("What it names is no method"), "{said}");
    server.wait_for_log("what follows AUTH is no mechanism that is known");
    server.wait_for_log("CRAM-MD5 is not offered");
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    server.wait_for_event("stopped");
    assert_silent("the log", &server.log_text());
    let kept = fs::read_to_string(server.folder.path().join("spool/devices")).unwrap();
    assert!(kept.contains("mechanism"), "{kept}");
    assert_silent("the file of devices", &kept);
}

/// The id of the session, which its opening names.
fn sid_of(server: &mut Server, client: Ipv4Addr) -> String {
    let line = server.wait_for_log(&format!(" client={client}:"));
    let sid = line.split(" sid=").nth(1).unwrap();
    sid.split(' ').next().unwrap().to_owned()
}
