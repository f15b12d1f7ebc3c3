//! SCRAM with real clients: GNU SASL and msmtp, Python's smtplib, OpenSSL.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "support/scram.rs"]
mod client;
mod support;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use client::{Client, decode, encode};
use support::{Server, TempFolder, data, has_program};

const INI: &str = "[port:tls]\nname_and_password = yes\n[port:tcp]\nname_and_password = yes\n\
                   [auth]\nattempts_max = 20\n[connections]\nerror_limit = 0\n";
/// A user whose password is `wonderland` in a form that SCRAM cannot use.
const OLD: &str = "old:$5$saltstring$P8WxiZdsQgEV/WrUJLFhcY321KVz2YovpJcf0/DrUQ2\n";

fn run(command: &mut Command, input: &str) -> Output {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = pipes.stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A client that was refused may be gone already.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn must_succeed(command: &mut Command, input: &str) -> String {
    let output = run(command, input);
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{command:?}\n{out}\n{err}");
    out.into_owned()
}

fn gsasl(server: &Server, options: &[&str], password: &str) -> Command {
    let mut gsasl = Command::new("gsasl");
    gsasl.args([
        "--smtp",
        "--x509-ca-file=",
        "--authentication-id=alice",
        "--verbose",
    ]);
    gsasl.arg(format!("--password={password}"));
    gsasl.arg(format!("--connect={}", server.tcp()));
    gsasl.args(options);
    gsasl
}

/// Its TLS is GnuTLS, which binds TLS 1.3 by tls-exporter.
#[test]
fn gnu_sasl_logs_in_with_and_without_channel_binding() {
    if !has_program("gsasl") {
        return;
    }
    let mut server = Server::start(INI);
    for options in [
        &["--no-starttls", "--mechanism=SCRAM-SHA-256"][..],
        &["--starttls", "--no-cb", "--mechanism=SCRAM-SHA-256"],
        &["--starttls", "--mechanism=SCRAM-SHA-256-PLUS"],
    ] {
        let told = must_succeed(&mut gsasl(&server, options, "wonderland"), "");
        assert!(told.contains("235 2.7.0 "), "{told}");
        assert_eq!(
            told.contains("\ncD10bHMtZXhwb3J0ZXIs"),
            options.len() == 2 && options[0] == "--starttls"
        );
        server.wait_for_log("event=login ");
        let wrong = run(&mut gsasl(&server, options, "wonderlane"), "");
        assert!(!wrong.status.success());
        server.wait_for_log("event=login_failed");
    }
}

#[test]
fn msmtp_delivers_after_scram() {
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
    write!(
        file,
        "defaults\nfrom alice@here.example\nhost {host}\nauth scram-sha-256\n\
         user alice\npassword wonderland\ntls on\ntls_certcheck off\n\
         account starttls\nport {tcp}\ntls_starttls on\n\
         account tls\nport {tls}\ntls_starttls off\n"
    )
    .unwrap();
    drop(file);
    for account in ["starttls", "tls"] {
        let mut msmtp = Command::new("msmtp");
        msmtp
            .arg("-C")
            .arg(&config)
            .args(["-a", account, "alice@here.example"]);
        must_succeed(&mut msmtp, "Subject: SCRAM\r\n\r\nHello.\r\n");
    }
    server.wait_for_mail("alice", 2);
}

/// A certificate of its own for each hash that its signature can name.
fn certificate(folder: &Path, options: &[&str]) -> String {
    let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| folder.join(name));
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-nodes",
        "-days",
        "30",
        "-subj",
        "/CN=mx.here.example",
    ]);
    openssl
        .args(options)
        .arg("-out")
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key);
    must_succeed(&mut openssl, "");
    let (certificate, key) = (certificate.display(), key.display());
    format!("[tls]\ncertificate = {certificate}\nprivate_key = {key}\n")
}

#[test]
fn pythons_smtplib_logs_in_by_scram_whatever_the_certificates_signature() {
    if !has_program("python3") || !has_program("openssl") {
        return;
    }
    let p256 = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let rows: &[(&[&str], &str, &str)] = &[
        (&p256, "-sha256", "sha256"),
        (&p256, "-sha384", "sha384"),
        (&["-newkey", "rsa:2048"], "-sha512", "sha512"),
        (
            &["-newkey", "rsa:2048", "-sigopt", "rsa_padding_mode:pss"],
            "-sha384",
            "sha384",
        ),
        (&["-newkey", "rsa:2048"], "-sha1", "sha256"),
        (&["-newkey", "ed25519"], "", "none"),
    ];
    for (key, digest, hash) in rows {
        let folder = TempFolder::new("scram");
        let digest: &[&str] = if digest.is_empty() { &[] } else { &[digest] };
        let tls = certificate(folder.path(), &[key, digest].concat());
        let server = Server::start(&format!("{INI}{tls}"));
        let users = std::fs::read_to_string(data("users")).unwrap();
        let [next, file] = ["next", "users"].map(|name| server.folder.path().join(name));
        std::fs::write(&next, format!("{users}{OLD}")).unwrap();
        std::fs::rename(next, file).unwrap();
        let mut python = Command::new("python3");
        python
            .arg(data("../support/scram_client.py"))
            .arg(server.address.to_string());
        python.args([server.tcp().port(), server.tls().port()].map(|port| port.to_string()));
        must_succeed(python.arg(hash), "");
        server.wait_for_mail("alice", if *hash == "none" { 8 } else { 12 });
    }
}

/// OpenSSL hands out what TLS 1.3 exports; the exchange itself is ours.
#[test]
fn tls_exporter_is_what_openssl_exports() {
    if !has_program("openssl") {
        return;
    }
    let server = Server::start(INI);
    for (password, want) in [("wonderland", "235 2.7.0 "), ("wonderlane", "535 5.7.8 ")] {
        let mut openssl = Command::new("openssl");
        openssl.args([
            "s_client",
            "-crlf",
            "-tls1_3",
            "-connect",
            &server.tls().to_string(),
        ]);
        openssl.args([
            "-keymatexport",
            "EXPORTER-Channel-Binding",
            "-keymatexportlen",
            "32",
        ]);
        let pipes = openssl.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = pipes.stderr(Stdio::null()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut line = |start: &str| loop {
            let line = lines.next().expect("openssl goes on").unwrap();
            if let Some(rest) = line.trim_start().strip_prefix(start) {
                return rest.to_owned();
            }
        };
        let material = line("Keying material: ");
        let digits = material.as_bytes().chunks(2);
        let binding: Vec<u8> = digits
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect();
        let mut scram = Client::new("alice", password.as_bytes(), "nonce");
        scram = scram.bound("tls-exporter", &binding);
        line("220 ");
        let mut say = |text: String| stdin.write_all(format!("{text}\n").as_bytes()).unwrap();
        say("EHLO client.example".to_owned());
        line("250 HELP");
        say(format!("AUTH SCRAM-SHA-256-PLUS {}", encode(scram.first())));
        say(encode(scram.last(&decode(&line("334 "))).unwrap()));
        if want.starts_with("235") {
            assert!(scram.is_proven(&decode(&line("334 "))));
            say(String::new());
        }
        line(want);
        let _ = child.kill();
        let _ = child.wait();
    }
}
