//! What is told of a session with the real binary: the dialogue where it is asked for, and what never is,
//! whatever a client does.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::Ipv4Addr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gatepost::transport::client::ClientStream;
use support::ini::certificate;
use support::{Client, PATIENCE, Server, own_v4};

#[path = "support/scram.rs"]
mod scram;

/// Logins without TLS, and whatever explains itself does so.
const RULES: &str = "[port:tcp]\nname_and_password = yes\n[port:tls]\nname_and_password = yes\n[auth]\nplaintext_from = 127.0.0.0/8\n\
                     attempts_max = 20\nthrottle = no\n\
                     [connections]\nexplain_to = 127.0.0.0/8\nerror_limit = 0\n";

/// What every secret begins with: nothing else that is said or told holds it.
const SECRET: &str = "Zx9-sesame";
/// A secret that could be a verb, as Base64 of letters alone could be.
const VERBLIKE: &str = "qSesamOp";

fn base64(text: &str) -> String {
    STANDARD.encode(text)
}

/// A secret in Base64 may begin at any octet of three, so each way is looked for; and what is cut as well.
fn traces() -> Vec<String> {
    let mut traces = vec![SECRET.to_owned(), VERBLIKE.to_owned()];
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

/// Lines of one session, each with the code of its reply.
type Said = Vec<(String, &'static str)>;

/// The secret as clients say it.
struct Forms {
    word: String,
    plain: String,
    bearer: String,
}

/// What clients say that get AUTH wrong.
fn blunders() -> Vec<Said> {
    let forms = Forms {
        word: base64(SECRET),
        plain: base64(&format!("\0alice\0{SECRET}")),
        bearer: base64(&format!("user=alice\x01auth=Bearer {SECRET}\x01\x01")),
    };
    let parts = [wrong_mechanisms, wrong_responses, wrong_lines];
    parts.into_iter().flat_map(|part| part(&forms)).collect()
}

fn wrong_mechanisms(forms: &Forms) -> Vec<Said> {
    let Forms {
        word,
        plain,
        bearer,
    } = forms;
    vec![
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
    ]
}

fn wrong_responses(forms: &Forms) -> Vec<Said> {
    let Forms {
        word,
        plain,
        bearer,
    } = forms;
    vec![
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
        // A response too many, after a good login as well.
        vec![
            (
                format!("AUTH PLAIN {}", base64("\0alice\0wonderland")),
                "235",
            ),
            (word.clone(), "500"),
            (format!("{SECRET} {word}"), "500"),
        ],
    ]
}

fn wrong_lines(forms: &Forms) -> Vec<Said> {
    let Forms { word, plain, .. } = forms;
    vec![
        // A line that is none, and what of it comes behind its end.
        vec![
            (format!("AUTH LOGIN\n{word}\r\n{word}"), "500"),
            (String::new(), "500"),
        ],
        // What could be a verb.
        vec![
            ("AUTH NTLM".to_owned(), "504"),
            (VERBLIKE.to_owned(), "500"),
        ],
        vec![
            ("AUTH PLAIN".to_owned(), "334"),
            ("*".to_owned(), "501"),
            (VERBLIKE.to_owned(), "500"),
        ],
        vec![
            (
                format!("AUTH PLAIN {}", base64("\0alice\0wonderland")),
                "235",
            ),
            (VERBLIKE.to_owned(), "500"),
        ],
        vec![
            (format!("AUTH LOGIN\n{word}\r\n{VERBLIKE}"), "500"),
            (String::new(), "500"),
        ],
        vec![(format!("AUTH{VERBLIKE}"), "500")],
        // What is no AUTH, and means one.
        vec![(format!(" AUTH PLAIN {plain}"), "500")],
        vec![(format!("AUTHENTICATE PLAIN {plain}"), "500")],
        vec![
            ("USER alice".to_owned(), "500"),
            (format!("PASS {SECRET}"), "500"),
        ],
        vec![(format!("a1 LOGIN alice {SECRET}"), "500")],
        vec![
            (format!("NOOP {SECRET}"), "250"),
            (format!("HELP {word}"), "214"),
        ],
        vec![(format!("GET /?password={SECRET} HTTP/1.1"), "500")],
        vec![
            (
                format!("AUTH SCRAM-SHA-256 {}", base64(&format!("n,,n={SECRET}"))),
                "501",
            ),
            (word.clone(), "500"),
        ],
    ]
}

/// Says it after EHLO, each line once the reply is there.
fn say(server: &Server, from: Ipv4Addr, lines: &[(String, &str)]) {
    let mut client = Client::greeted_from(from, server.tcp());
    client.command("EHLO client.example", "250");
    for (line, reply) in lines {
        client.command(line, reply);
    }
    client.send(b"QUIT\r\n");
    client.rest();
}

#[test]
fn no_payload_of_auth_is_told_to_anybody() {
    let mut server = Server::start(&format!("{RULES}[log]\nlevel = debug\n"));
    let mut clients = Vec::new();
    for lines in blunders() {
        let from = own_v4();
        clients.push(from);
        say(&server, from, &lines);
    }
    // In one go, where AUTH is not served at that point: what follows is taken for commands.
    let (name, word) = (base64("alice"), base64(SECRET));
    for (before, codes) in [
        ("", ["503", "500", "500"]),
        ("EHLO c\r\n", ["504", "500", "500"]),
    ] {
        let from = own_v4();
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

/// The lines of the log about the dialogue of a session, without their time and whose they are.
fn dialogue(server: &Server, sid: &str) -> Vec<String> {
    let parts = ["command", "auth_response", "mail_data", "reply"]
        .map(|event| format!(" event={event} sid={sid} "));
    let text = server.log_text();
    let lines = text
        .lines()
        .filter(|line| parts.iter().any(|part| line.contains(part.as_str())));
    let told = lines.map(|line| {
        assert!(line.contains(" debug event="), "{line}");
        let (_, event) = line.split_once("event=").unwrap();
        let (event, rest) = event.split_once(' ').unwrap();
        let values = rest.splitn(3, ' ').nth(2).unwrap();
        format!("{event} {values}")
    });
    told.collect()
}

/// A client in plain text, after STARTTLS, or on the TLS port.
struct Speaker(BufReader<ClientStream>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    StartTls,
    Tls,
}

impl Speaker {
    fn connect(server: &Server, way: Way) -> Self {
        let connect = |address| ClientStream::connect(address, PATIENCE).unwrap();
        let secured =
            |stream: ClientStream| stream.start_tls("mx.here.example", certificate()).unwrap();
        let mut speaker = match way {
            Way::Plain | Way::StartTls => Self(BufReader::new(connect(server.tcp()))),
            Way::Tls => Self(BufReader::new(secured(connect(server.tls())))),
        };
        speaker.expect("220");
        if way == Way::StartTls {
            speaker.say("STARTTLS", "220");
            speaker = Self(BufReader::new(secured(speaker.0.into_inner())));
        }
        speaker
    }

    fn say(&mut self, line: &str, reply: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes());
        self.expect(reply)
    }

    fn send(&mut self, octets: &[u8]) {
        self.0.get_mut().write_all(octets).unwrap();
        self.0.get_mut().flush().unwrap();
    }

    fn expect(&mut self, start: &str) -> String {
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            assert!(line.starts_with(start), "wanted {start}, got {line:?}");
            if line.as_bytes().get(3) == Some(&b' ') {
                return line.trim_end().to_owned();
            }
        }
    }
}

/// What a good client says, with every mechanism and every way of sending content.
fn good_session(server: &Server, way: Way) {
    let mut client = Speaker::connect(server, way);
    client.say("EHLO client.example", "250");
    client.say(
        &format!("AUTH PLAIN {}", base64("\0alice\0wonderland")),
        "235",
    );
    client.say("MAIL FROM:<alice@here.example> SIZE=40", "250");
    client.say("RCPT TO:<bob@here.example>", "250");
    client.say("RCPT TO:<nobody@here.example>", "550");
    client.say("DATA", "354");
    client.send(b"Subject: Zx9-sesame\r\n\r\n..dot\r\n.\r\n");
    client.expect("250");
    client.say("MAIL FROM:<alice@here.example>", "250");
    client.say("RCPT TO:<bob@here.example>", "250");
    client.send(b"BDAT 21\r\nSubject: Zx9-sesame\r\n");
    client.expect("250");
    client.send(b"BDAT 5 LAST\r\n\r\nx\r\n");
    client.expect("250");
    client.say("QUIT", "221");
}

/// What is told of a good session from EHLO on; `{}` stands for what differs.
const GOOD_SESSION: &[&str] = &[
    "command command=\"EHLO client.example\"",
    "reply reply=\"250-mx.here.example / 250-PIPELINING / {} / 250 HELP\"",
    "command command=AUTH mechanism=PLAIN withheld=24",
    "reply reply=235",
    "command command=\"MAIL FROM:<alice@here.example> SIZE=40\"",
    "reply reply=\"250 2.1.0 Sender OK\"",
    "command command=\"RCPT TO:<bob@here.example>\"",
    "reply reply=\"250 2.1.5 Recipient OK\"",
    "command command=\"RCPT TO:<nobody@here.example>\"",
    "reply reply=\"550 5.1.1 {}\"",
    "command command=DATA",
    "reply reply=\"354 {}\"",
    "mail_data octets=29",
    "reply reply=\"250 2.0.0 Queued as {}\"",
    "command command=\"MAIL FROM:<alice@here.example>\"",
    "reply reply=\"250 2.1.0 Sender OK\"",
    "command command=\"RCPT TO:<bob@here.example>\"",
    "reply reply=\"250 2.1.5 Recipient OK\"",
    "command command=\"BDAT 21\"",
    "mail_data octets=21",
    "reply reply=\"250 2.0.0 21 octets received\"",
    "command command=\"BDAT 5 LAST\"",
    "mail_data octets=5",
    "reply reply=\"250 2.0.0 Queued as {}\"",
    "command command=QUIT",
    "reply reply=\"221 {}\"",
];

fn assert_told(got: &[String], want: &[&str]) {
    let fits = |(got, want): (&String, &&str)| match want.split_once("{}") {
        None => got == want,
        Some((start, end)) => {
            let differs = got.len() > start.len() + end.len();
            differs && got.starts_with(start) && got.ends_with(end)
        }
    };
    let fit = got.len() == want.len() && got.iter().zip(want).all(fits);
    assert!(fit, "{got:#?}\n{want:#?}");
}

#[test]
fn the_dialogue_is_told_whole_but_for_what_is_secret() {
    let mut server = Server::start(&format!("{RULES}[log]\nlevel = debug\n"));
    for (number, way) in [Way::Plain, Way::StartTls, Way::Tls]
        .into_iter()
        .enumerate()
    {
        good_session(&server, way);
        let sid = format!("{number:08x}");
        server.wait_for_log(&format!("event=session_ended sid={sid}"));
        let mut want = vec!["reply reply=\"220 {}\""];
        if way == Way::StartTls {
            want.extend(["command command=STARTTLS", "reply reply=\"220 2.0.0 {}\""]);
        }
        want.extend(GOOD_SESSION);
        assert_told(&dialogue(&server, &sid), &want);
    }
    assert_silent("the log", &server.log_text());
    assert!(!server.log_text().contains(&base64("\0alice\0wonderland")));
}

#[test]
fn logins_are_told_without_what_they_say() {
    let mut server = Server::start(&format!("{RULES}[log]\nlevel = debug\n"));
    let mut secrets = vec![base64("wonderland"), "wonderland".to_owned()];
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    client.command("AUTH LOGIN", "334");
    client.command(&base64("alice"), "334");
    client.command(&base64("wonderland"), "235");
    client.command("QUIT", "221");
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    client.command("AUTH PLAIN", "334");
    client.command("*", "501");
    let mut scram = scram::Client::new("alice", b"wonderland", "Zx9nonce");
    secrets.push(base64(&scram.first()));
    let challenge = client.command(&format!("AUTH scram-sha-256 {}", secrets[2]), "334");
    let challenge = challenge[4..].trim_end().to_owned();
    let proof = scram.last(&scram::decode(&challenge)).unwrap();
    secrets.extend([challenge, base64(&proof), "Zx9nonce".to_owned()]);
    let server_final = client.command(&base64(&proof), "334");
    secrets.push(server_final[4..].trim_end().to_owned());
    client.command("", "235");
    client.command("QUIT", "221");
    server.wait_for_log("event=session_ended sid=00000001");
    let login = dialogue(&server, "00000000");
    assert_told(
        &login[3..9],
        &[
            "command command=AUTH mechanism=LOGIN",
            "reply reply=334",
            "auth_response octets=8",
            "reply reply=334",
            "auth_response octets=16",
            "reply reply=235",
        ],
    );
    let scram = dialogue(&server, "00000001");
    let octets = |number: usize| secrets[number].len();
    assert_told(
        &scram[3..13],
        &[
            "command command=AUTH mechanism=PLAIN",
            "reply reply=334",
            "auth_response octets=1",
            "reply reply=\"501 5.0.0 {}\"",
            &format!(
                "command command=AUTH mechanism=SCRAM-SHA-256 withheld={}",
                octets(2)
            ),
            "reply reply=334",
            &format!("auth_response octets={}", octets(4)),
            "reply reply=334",
            "auth_response octets=0",
            "reply reply=235",
        ],
    );
    for secret in secrets {
        assert!(!server.log_text().contains(&secret), "{secret}");
    }
}

#[test]
fn what_a_client_says_is_escaped_cut_and_limited() {
    let mut server = Server::start(&format!("{RULES}[log]\nlevel = debug\n"));
    let from = own_v4();
    let mut client = Client::greeted_from(from, server.tcp());
    client.send(b"EHLO a\" event=login user=x\\\xff\x1b[2J\r\n");
    client.reply();
    client.command(
        &format!("RCPT TO:<{}@here.example>", "r".repeat(300)),
        "503",
    );
    client.command("XTURN\x07 there", "500");
    client.command("XTURN there", "500");
    for _ in 0..100 {
        client.command("NOOP", "250");
    }
    client.command("QUIT", "221");
    let sid = sid_of(&mut server, from);
    server.wait_for_log(&format!("event=session_ended sid={sid}"));
    let told = dialogue(&server, &sid);
    assert_eq!(
        told[1],
        r#"command command="EHLO a\" event=login user=x\x5c\xff\x1b[2J""#
    );
    let commands: Vec<_> = told
        .iter()
        .filter(|line| line.starts_with("command "))
        .collect();
    assert_eq!(
        *commands[1],
        format!("command command=\"RCPT TO:<{}...\"", "r".repeat(119))
    );
    assert_eq!(commands[2], "command withheld=12");
    assert_eq!(commands[3], "command command=XTURN withheld=5");
    assert_eq!(commands[4], "command command=NOOP");
    assert_eq!(commands.len(), 60);
}

#[test]
fn what_was_left_out_is_summed_up_at_the_end_of_the_service() {
    let mut server = Server::start(&format!("{RULES}[log]\nlevel = debug\n"));
    let from = own_v4();
    let mut client = Client::greeted_from(from, server.tcp());
    for _ in 0..70 {
        client.command("NOOP", "250");
    }
    client.command("QUIT", "221");
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    server.wait_for_event("stopped");
    let log = server.log_text();
    for (event, lines) in [("command", 11), ("reply", 12)] {
        let line = format!("event=suppressed of={event} client={from} lines={lines}");
        assert!(log.contains(&line), "{log}");
    }
}

#[test]
fn debug_for_names_whose_dialogue_is_told_and_a_refresh_takes_it_up() {
    let named = own_v4();
    let other = own_v4();
    let mut server = Server::start(&format!(
        "{RULES}[log]\nlevel = debug\ndebug_for = {named}/32, 2001:db8::/32\n"
    ));
    let told_of = |server: &mut Server, from: Ipv4Addr| {
        let mut client = Client::greeted_from(from, server.tcp());
        client.command("EHLO client.example", "250");
        client.command("QUIT", "221");
        let opened = format!(" client={}", client.socket().local_addr().unwrap());
        let line = server.wait_for_log(&opened);
        let sid = line.split(" sid=").nth(1).unwrap();
        let sid = sid.split(' ').next().unwrap().to_owned();
        server.wait_for_log(&format!("event=session_ended sid={sid}"));
        dialogue(server, &sid).len()
    };
    let whole = 5;
    assert_eq!(told_of(&mut server, named), whole);
    assert_eq!(told_of(&mut server, other), 0);
    for (log, of_named, of_other) in [
        (format!("level = debug\ndebug_for = {other}"), 0, whole),
        ("level = debug\ndebug_for =".to_owned(), whole, whole),
        ("level = info".to_owned(), 0, 0),
        (format!("level = info\ndebug_for = {other}"), 0, 0),
        (format!("level = trace\ndebug_for = {other}"), 0, whole),
    ] {
        server.configure(&format!("{RULES}[log]\n{log}\n"));
        assert_eq!(server.command(&["reload"]).code, Some(0));
        assert_eq!(told_of(&mut server, named), of_named, "{log}");
        assert_eq!(told_of(&mut server, other), of_other, "{log}");
    }
}

#[test]
fn the_client_is_who_the_proxy_names() {
    let client: Ipv4Addr = [192, 0, 2, 7].into();
    let mut server = Server::start(&format!(
        "{RULES}[port:tcp]\nproxy_from = 127.0.0.0/8\n[log]\nlevel = debug\ndebug_for = {client}\n"
    ));
    for (number, (source, lines)) in [("192.0.2.7", 5), ("192.0.2.8", 0)].into_iter().enumerate() {
        let mut proxy = Client::connect(server.tcp());
        proxy.send(format!("PROXY TCP4 {source} 192.0.2.1 1025 25\r\n").as_bytes());
        proxy.expect("220");
        proxy.command("EHLO client.example", "250");
        proxy.command("QUIT", "221");
        let sid = format!("{number:08x}");
        server.wait_for_log(&format!("event=session_ended sid={sid}"));
        assert_eq!(dialogue(&server, &sid).len(), lines, "{source}");
    }
}

#[test]
fn a_network_that_is_none_is_an_error_of_the_configuration() {
    let server = Server::start("");
    for (value, wrong) in [
        ("10.0.0.0/33", true),
        ("host.example", true),
        ("10.0.0.0/8, ::1", false),
    ] {
        server.configure(&format!("[log]\ndebug_for = {value}\n"));
        for words in ["check", "reload"] {
            let said = server.command(&[words]);
            assert_eq!(
                said.code != Some(0),
                wrong,
                "{words} {value}: {}",
                said.complaint
            );
            assert_eq!(
                said.complaint.contains("[log] debug_for: "),
                wrong,
                "{}",
                said.complaint
            );
        }
    }
}
