//! Sites on the real server: the first line in plain text and inside TLS, and whose certificate is shown.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::time::SystemTime;

use gatepost::mail::Domain;
use gatepost::transport::client::ClientStream;
use gatepost::transport::self_signed;
use rustls::pki_types::CertificateDer;

use support::{Client, PATIENCE, Server, TempFolder, data};

/// Makes a certificate for `name` in `folder`; gives it and the lines of INI that set it.
fn make(folder: &TempFolder, name: &str) -> (CertificateDer<'static>, String) {
    let made = self_signed::make(&Domain::parse(name).unwrap(), SystemTime::now()).unwrap();
    let (certificate, key) = (format!("{name}.crt"), format!("{name}.key"));
    let path = |file: &str| folder.path().join(file);
    fs::write(path(&certificate), &made.certificate).unwrap();
    fs::write(path(&key), &made.private_key).unwrap();
    let lines = format!(
        "certificate = {}\nprivate_key = {}\n",
        path(&certificate).display(),
        path(&key).display()
    );
    (read(&path(&certificate)), lines)
}

fn read(path: &std::path::Path) -> CertificateDer<'static> {
    let pem = fs::read(path).unwrap();
    rustls_pemfile::certs(&mut pem.as_slice())
        .next()
        .unwrap()
        .unwrap()
}

/// The first line of a TLS session in which this name is asked for and this certificate is shown.
fn greeting(server: &Server, name: &str, certificate: &CertificateDer<'static>) -> String {
    let stream = ClientStream::connect(server.tls(), PATIENCE).unwrap();
    let mut stream = stream
        .start_tls(name, certificate.clone())
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    line(&mut stream)
}

fn line(stream: &mut impl Read) -> String {
    let mut text = Vec::new();
    let mut octet = [0];
    while !text.ends_with(b"\r\n") {
        stream.read_exact(&mut octet).unwrap();
        text.push(octet[0]);
    }
    String::from_utf8(text).unwrap().trim_end().to_owned()
}

#[test]
fn the_name_a_client_asks_for_decides_then_its_site() {
    let folder = TempFolder::new("site-certificates");
    let (main, main_lines) = make(&folder, "main.example");
    let (other, other_lines) = make(&folder, "other.example");
    let server = Server::start(&format!(
        "[server]\nload_internet_sites = yes\n\
         [site:main]\ntcp_anonymous = yes\ntls_anonymous = yes\n{main_lines}\
         [site:other]\naddresses = 192.0.2.9\ntcp_anonymous = yes\n{other_lines}"
    ));
    let tls = read(&data("p256.crt"));
    let greeted = "220 mx.here.example ESMTP ready";
    assert_eq!(greeting(&server, "main.example", &main), greeted);
    assert_eq!(greeting(&server, "other.example", &other), greeted);
    assert_eq!(greeting(&server, "mx.here.example", &tls), greeted);
    // A name that no certificate has: the site's own is shown.
    assert_eq!(greeting(&server, "unknown.example", &main), greeted);
}

#[test]
fn a_site_that_is_not_enabled_says_so_inside_tls() {
    let mut server =
        Server::start("[server]\nload_internet_sites = yes\n[site:main]\ntcp_anonymous = yes\n");
    let tls = read(&data("p256.crt"));
    let stream = ClientStream::connect(server.tls(), PATIENCE).unwrap();
    let mut stream = stream.start_tls("mx.here.example", tls).unwrap();
    let first = line(&mut stream);
    assert_eq!(first, "554 This site is not enabled on the server.");
    stream.write_all(b"EHLO c\r\nQUIT\r\n").unwrap();
    stream.flush().unwrap();
    assert_eq!(line(&mut stream), "503 5.5.1 Bad sequence of commands");
    assert_eq!(line(&mut stream), "221 2.0.0 Bye");
    let logged = server.wait_for_log("event=client_refused");
    assert!(logged.contains("[site:main] tls_anonymous"), "{logged}");
}

/// A session that says no more: its refusal must not wait in the worker for another client's lines.
#[test]
fn a_refusal_at_connect_is_logged_at_once_and_under_its_own_session() {
    let mut server = Server::start(
        "[server]\nload_internet_sites = yes\n[site:main]\ntls_anonymous = yes\n\
         [extensions]\nstarttls = disabled\n",
    );
    let mut client = Client::connect(server.tcp());
    client.expect("554 This site is not enabled on the server.");
    let logged = server.wait_for_log("event=client_refused");
    assert!(logged.contains("sid=00000000 "), "{logged}");
}
