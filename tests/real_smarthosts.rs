//! The real binary with real smarthosts: Postfix with Dovecot's logins, and OpenSMTPD.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "support/opensmtpd.rs"]
mod opensmtpd;
#[path = "support/postfix.rs"]
mod postfix;
mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use opensmtpd::OpenSmtpd;
use postfix::Postfix;
use support::{Client, PATIENCE, Server};

/// A file that nobody but its owner reads.
fn secret(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&path, private).unwrap();
    path.display().to_string()
}

/// The section of a smarthost on localhost with a login.
fn section(folder: &Path, port: u16, password: &str, more: &str) -> String {
    let file = secret(folder, "password", password);
    let ca = folder.join("localhost.pem");
    format!(
        "[smarthost]\nhost = localhost\nport = {port}\nca_file = {}\nusername = box\n\
         password_file = {file}\n{more}",
        ca.display()
    )
}

/// Sends a message as this sender; gives its id.
fn send(server: &Server, from: &str, to: &[&str], parameters: &str, content: &str) -> String {
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    client.command(&format!("MAIL FROM:<{from}>{parameters}"), "250");
    for to in to {
        client.command(&format!("RCPT TO:<{to}>"), "250");
    }
    client.command("DATA", "354");
    client.send(format!("{content}\r\n.\r\n").as_bytes());
    let reply = client.expect("250 2.0.0 Queued as ");
    reply.trim_end().rsplit(' ').next().unwrap().to_owned()
}

fn wait_for(what: &str, log: impl Fn() -> String, is_so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "{what} does not happen:\n{}", log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn postfix_takes_refuses_and_puts_off_each_recipient_by_itself() {
    if !Postfix::is_there() {
        return;
    }
    let postfix = Postfix::start("mail", "s3cret, with = signs");
    let password = "s3cret, with = signs\n";
    let ini = section(&postfix.folder, postfix.port, password, "");
    let mut server = Server::start(&ini);
    let to = [
        "never@there.example",
        "good@there.example",
        "later@there.example",
        "more@there.example",
    ];
    let content = "Subject: ä\r\n\r\n..a\r\n...\r\nend";
    let id = send(
        &server,
        "alice@here.example",
        &to,
        " BODY=8BITMIME",
        content,
    );
    server.wait_for_log(&format!(
        "event=deferred qid={id} to=later@there.example reason=\"RCPT: the server said 450 4.2.1"
    ));
    let failed = server.wait_for_log("event=failed");
    let want = "to=never@there.example smarthost=localhost status=5.1.1";
    assert!(failed.contains(want), "{failed}");
    for to in ["good", "more"] {
        let taken = format!("event=relayed qid={id} to={to}@there.example smarthost=localhost");
        server.wait_for_log(&taken);
    }
    // The strongest login it offers; the server has proved itself by it.
    postfix.wait_for_log("sasl_method=SCRAM-SHA-256, sasl_username=box");
    wait_for("mail", || postfix.log(), || postfix.mail().len() == 2);
    for text in postfix.mail() {
        assert!(text.contains("Subject: ä\n"), "{text}");
        assert!(text.contains("\n\n.a\n..\nend\n"), "{text}");
        assert!(
            text.starts_with("Return-Path: <alice@here.example>"),
            "{text}"
        );
    }
    assert!(server.wait_for_mail("alice", 1)[0].contains("never@there.example"));
    assert!(!server.log_text().contains("s3cret"));
}

#[test]
fn postfix_in_tls_from_the_first_octet_takes_names_and_header_fields_in_utf_8() {
    if !Postfix::is_there() {
        return;
    }
    let postfix = Postfix::start("implicit", "s3cret");
    let more = "tls = implicit\nmechanisms = plain\nenvelope_sender = box@there.example\n";
    let port = postfix.tls_port;
    let ini = section(&postfix.folder, port, "s3cret", more);
    let mut server = Server::start(&ini);
    let to = ["jörg@there.example"];
    let from = "älice@there.example";
    let content = "Subject: für dich\r\n\r\nfür dich";
    for _ in 0..3 {
        send(&server, from, &to, " SMTPUTF8 BODY=8BITMIME", content);
    }
    wait_for("mail", || postfix.log(), || postfix.mail().len() == 3);
    let text = &postfix.mail()[0];
    assert!(
        text.starts_with("Return-Path: <box@there.example>"),
        "{text}"
    );
    assert!(text.contains("Subject: für dich\n"), "{text}");
    postfix.wait_for_log("sasl_method=PLAIN, sasl_username=box");
    // Too large for it, as it says itself.
    let large = format!("Subject: large\r\n\r\n{}", "x\r\n".repeat(40_000));
    send(
        &server,
        "alice@here.example",
        &["a@there.example"],
        "",
        &large,
    );
    let failed = server.wait_for_log("event=failed");
    assert!(failed.contains("status=5.3.4"), "{failed}");
    assert!(
        failed.contains("localhost takes 100000 at most"),
        "{failed}"
    );
}

#[test]
fn postfix_refuses_a_wrong_password_and_the_next_host_does_not_hear_of_it() {
    if !Postfix::is_there() {
        return;
    }
    let postfix = Postfix::start("refused", "s3cret");
    let more = format!("fallback = localhost:{}\n", postfix.tls_port);
    let ini = section(&postfix.folder, postfix.port, "guess", &more);
    let mut server = Server::start(&ini);
    send(
        &server,
        "alice@here.example",
        &["a@there.example"],
        "",
        "Subject: a\r\n\r\n",
    );
    let failed = server.wait_for_event("relay_failed");
    assert!(
        failed.contains("AUTH: the server said 535 5.7.8"),
        "{failed}"
    );
    assert!(!server.log_text().contains("smarthost_passed_over"));
    assert!(postfix.mail().is_empty());
}

#[test]
fn a_dead_host_is_passed_over_for_postfix() {
    if !Postfix::is_there() {
        return;
    }
    let postfix = Postfix::start("further", "s3cret");
    let more = format!(
        "fallback = localhost:{}\nmechanisms = login\n",
        postfix.port
    );
    let dead = postfix::free_port();
    let ini = section(&postfix.folder, dead, "s3cret", &more);
    let mut server = Server::start(&ini);
    send(
        &server,
        "alice@here.example",
        &["a@there.example"],
        "",
        "Subject: a\r\n\r\n",
    );
    server.wait_for_event("relayed");
    assert!(server.log_text().contains("event=smarthost_passed_over"));
    postfix.wait_for_log("sasl_method=LOGIN, sasl_username=box");
    wait_for("mail", || postfix.log(), || postfix.mail().len() == 1);
}

/// OpenSMTPD has neither PIPELINING nor SMTPUTF8.
#[test]
fn opensmtpd_takes_mail_of_its_senders_and_what_it_lacks_fails() {
    if !OpenSmtpd::is_there() {
        return;
    }
    let opensmtpd = OpenSmtpd::start();
    let ini = format!(
        "[smarthost:shop]\nhost = localhost\nport = {}\ntls = opportunistic\n\
         sender_domains = shop.example\n",
        opensmtpd.port
    );
    let mut server = Server::start(&ini);
    let to = [
        "a@there.example",
        "nobody@there.example",
        "taker@there.example",
    ];
    let from = "joe@shop.example";
    let id = send(&server, from, &to, "", "Subject: a\r\n\r\n..a");
    let failed = server.wait_for_log("event=failed");
    let want = format!("qid={id} to=nobody@there.example smarthost=localhost");
    assert!(failed.contains(&want), "{failed}");
    wait_for("mail", || opensmtpd.log(), || opensmtpd.mail().len() == 2);
    let text = &opensmtpd.mail()[0];
    assert!(text.contains("\n\n.a\n"), "{text}");
    let content = "Subject: für dich\r\n\r\n";
    let id = send(&server, from, &["a@there.example"], " SMTPUTF8", content);
    let failed = server.wait_for_log(&format!("event=failed qid={id}"));
    assert!(failed.contains("status=5.6.7"), "{failed}");
    // Nobody is for other senders.
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    client.command("MAIL FROM:<alice@here.example>", "250");
    client.command("RCPT TO:<a@there.example>", "554 5.7.1");
}
