//! Real clients over all three ways in: swaks, curl, msmtp, Python's smtplib, openssl s_client.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};

use support::{Server, data, has_program};

const INI: &str = "[port:tls]\nname_and_password = yes\n[port:tcp]\nname_and_password = yes\n";
const MESSAGE: &str = "From: <alice@here.example>\r\nSubject: real client\r\n\r\nHello.\r\n";

/// Runs a client that must succeed.
fn must_succeed(command: &mut Command, input: &str) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn swaks_delivers_over_all_three_ways() {
    if !has_program("swaks") {
        return;
    }
    let server = Server::start(INI);
    let tcp = server.tcp().to_string();
    let tls = server.tls().to_string();
    let login = ["--auth-user", "alice", "--auth-password", "wonderland"];
    for (port, options) in [
        (&tcp, vec![]),
        (&tcp, [&["--auth", "LOGIN"][..], &login].concat()),
        (&tcp, [&["--tls", "--auth", "PLAIN"][..], &login].concat()),
        (&tls, [&["--tlsc", "--auth", "LOGIN"][..], &login].concat()),
    ] {
        let mut swaks = Command::new("swaks");
        let addresses = ["--from", "alice@here.example", "--to", "alice@here.example"];
        swaks
            .args(["--server", port])
            .args(addresses)
            .args(&options);
        must_succeed(&mut swaks, "");
    }
    server.wait_for_mail("alice", 4);
}

#[test]
fn curl_delivers_over_all_three_ways() {
    if !has_program("curl") {
        return;
    }
    let server = Server::start(INI);
    for (url, options) in [
        (format!("smtp://{}", server.tcp()), vec![]),
        (
            format!("smtp://{}", server.tcp()),
            vec!["--ssl-reqd", "--user", "alice:wonderland"],
        ),
        (
            format!("smtps://{}", server.tls()),
            vec!["--user", "alice:wonderland"],
        ),
    ] {
        let mut curl = Command::new("curl");
        curl.args([
            "-sS",
            "--insecure",
            "--noproxy",
            "*",
            "--url",
            &url,
            "--upload-file",
            "-",
        ]);
        curl.args([
            "--mail-from",
            "alice@here.example",
            "--mail-rcpt",
            "alice@here.example",
        ]);
        must_succeed(curl.args(&options), MESSAGE);
    }
    server.wait_for_mail("alice", 3);
}

#[test]
fn msmtp_delivers_over_all_three_ways() {
    if !has_program("msmtp") {
        return;
    }
    let server = Server::start(INI);
    let config = server.folder.path().join("msmtprc");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&config)
        .unwrap();
    let (host, tcp, tls) = (server.address, server.tcp().port(), server.tls().port());
    let login = "auth plain\nuser alice\npassword wonderland\ntls on\ntls_certcheck off\n";
    write!(
        file,
        "defaults\nfrom alice@here.example\nhost {host}\n\
         account tcp\nport {tcp}\nauth off\ntls off\n\
         account starttls\nport {tcp}\n{login}tls_starttls on\n\
         account tls\nport {tls}\n{login}tls_starttls off\n"
    )
    .unwrap();
    drop(file);
    for account in ["tcp", "starttls", "tls"] {
        let mut msmtp = Command::new("msmtp");
        msmtp
            .arg("-C")
            .arg(&config)
            .args(["-a", account, "alice@here.example"]);
        must_succeed(&mut msmtp, MESSAGE);
    }
    server.wait_for_mail("alice", 3);
}

#[test]
fn pythons_smtplib_delivers_over_all_three_ways() {
    if !has_program("python3") {
        return;
    }
    let server = Server::start(INI);
    let program = "
import smtplib, ssl, sys
host, tcp, tls = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
context = ssl._create_unverified_context()
message = 'Subject: smtplib\\n\\n.dots\\n..more\\n'
def send(client, sender='alice@here.example'):
    client.sendmail(sender, ['alice@here.example', 'bob@here.example'], message)
    client.quit()
send(smtplib.SMTP(host, tcp))
client = smtplib.SMTP(host, tcp)
client.starttls(context=context)
client.login('alice', 'wonderland')
send(client)
client = smtplib.SMTP_SSL(host, tls, context=context)
client.login('bob', 'builder')
send(client, 'bob@here.example')
client = smtplib.SMTP_SSL(host, tls, context=context)
try:
    client.login('bob', 'wrong')
    sys.exit('a wrong password was taken')
except smtplib.SMTPAuthenticationError as error:
    assert error.smtp_code == 535, error
";
    let mut python = Command::new("python3");
    let ports = [
        server.tcp().port().to_string(),
        server.tls().port().to_string(),
    ];
    must_succeed(
        python.arg("-").arg(server.address.to_string()).args(ports),
        program,
    );
    for user in ["alice", "bob"] {
        for text in server.wait_for_mail(user, 3) {
            assert!(text.ends_with("\n\n.dots\n..more\n"), "{text}");
        }
    }
}

#[test]
fn openssl_s_client_sees_both_tls_versions_and_resumption() {
    if !has_program("openssl") {
        return;
    }
    let server = Server::start("");
    let tls = server.tls().to_string();
    let tcp = server.tcp().to_string();
    let authority = data("p256.crt");
    for options in [
        vec!["-connect", &tls, "-tls1_2"],
        vec!["-connect", &tls, "-tls1_3"],
        vec!["-connect", &tcp, "-starttls", "smtp", "-tls1_2"],
        vec!["-connect", &tcp, "-starttls", "smtp", "-tls1_3"],
    ] {
        let mut openssl = Command::new("openssl");
        openssl
            .args(["s_client", "-crlf", "-quiet", "-CAfile"])
            .arg(&authority)
            .args(&options);
        let dialogue = "EHLO client.example\nMAIL FROM:<>\nRCPT TO:<bob@here.example>\nDATA\n\
                        Subject: s_client\n\nHello.\n.\nQUIT\n";
        must_succeed(&mut openssl, dialogue);
    }
    server.wait_for_mail("bob", 4);
    let session = server.folder.path().join("session");
    for option in ["-sess_out", "-sess_in"] {
        let mut openssl = Command::new("openssl");
        openssl
            .args(["s_client", "-connect", &tls, "-tls1_2", option])
            .arg(&session);
        let output = openssl.stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let want = if option == "-sess_out" {
            "New, TLSv1.2"
        } else {
            "Reused, TLSv1.2"
        };
        assert!(text.contains(want), "{text}");
    }
}
