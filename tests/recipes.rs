//! The recipes of `conf/recipes` for devices and hosts, started as they are and sent through: what each is for
//! arrives, what it must refuse is refused. Those for domains are in `recipes_domains.rs`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

#[path = "support/fake_host.rs"]
mod fake_host;
#[path = "support/recipe.rs"]
mod recipe;
#[path = "support/web.rs"]
mod web;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;

use fake_host::{FakeHost, server_tls};
use recipe::{
    ANNA, LOGIN, Recipe, assert_refused, assert_turned_away, client, free_port, must, provider,
    swaks, v4, wait_for,
};
use support::{Client, Server, TCP_PORT, gatepost, has_program, own_address};
use web::{Answer, Asked, Web};

/// The recipe for a device, with this line about who may connect.
fn scanner_for(address: IpAddr, device: IpAddr, connections: &str) -> Recipe {
    Recipe::take("scanner")
        .add("server", "user", "root")
        .add("delivery", "mail_root", "mail")
        .add("port:tcp", "number", TCP_PORT)
        .replace("allow = 192.168.7.20", connections, 1)
        .replace("192.168.7.20", device, 1)
        .replace("192.168.7.2", address, 1)
        .password("scanner", "scan-sesame")
        .password("anna", "anna-sesame")
}

#[test]
fn scanner() {
    if !has_program("swaks") {
        return;
    }
    let (address, device, other) = (own_address(), own_address(), own_address());
    let mut server = scanner_for(address, device, &format!("allow = {device}")).start(address);
    let login = |user: &'static str, password: &'static str| {
        vec![
            "--auth",
            "LOGIN",
            "--auth-user",
            user,
            "--auth-password",
            password,
        ]
    };
    let send = |from: IpAddr, login: &[&str], sender: &str, to: &str| {
        swaks(
            from,
            &server,
            &[login, &["--from", sender, "--to", to]].concat(),
        )
    };
    let scanner = login("scanner", "scan-sesame");
    let said = send(device, &scanner, "scanner@example.org", ANNA);
    assert_eq!(said.code, Some(0), "{said:?}");
    // Old devices look for this very line.
    assert!(said.output.contains("250-AUTH=LOGIN"), "{said:?}");
    let text = &server.wait_for_mail("anna", 1)[0];
    assert!(text.contains("with ESMTPA id "), "{text}");
    for (login, sender, to, words) in [
        (&scanner, ANNA, ANNA, "554 5.7.1 Mail from anna@example.org"),
        (
            &scanner,
            "scanner@example.org",
            "a@there.example",
            "554 5.7.1 Relay rejected",
        ),
        (&vec![], "scanner@example.org", ANNA, "530 5.7.0"),
        (
            &login("scanner", "wrong"),
            "scanner@example.org",
            ANNA,
            "535 5.7.8",
        ),
        // A right password, and a user who may not log in here.
        (&login("anna", "anna-sesame"), ANNA, ANNA, "535 5.7.8"),
    ] {
        assert_refused(&send(device, login, sender, to), words);
    }
    let line = server.wait_for_log("user=anna");
    assert!(line.contains("login_failed"), "{line}");
    assert_turned_away(other, &server);
}

/// The second fence holds by itself: somebody else may connect, and still not show a password.
#[test]
fn scanner_without_its_first_fence() {
    let (address, device, other) = (own_address(), own_address(), own_address());
    let server = scanner_for(address, device, &format!("allow = {device}, {other}")).start(address);
    let mut client = client(other, server.tcp());
    let said = client.command("EHLO client.example", "250");
    assert!(!said.contains("AUTH"), "{said}");
    client.command("AUTH LOGIN", "538 5.7.11");
}

#[test]
fn camera() {
    if !has_program("swaks") {
        return;
    }
    let (address, device, other) = (own_address(), own_address(), own_address());
    let home = Web::start(|_| Answer::status(200, ""));
    let server = Recipe::take("camera")
        .add("server", "user", "root")
        .add("delivery", "mail_root", "mail")
        .add("port:tcp", "number", TCP_PORT)
        .replace(
            "addresses = 127.0.0.1, 192.168.7.2",
            format!("addresses = {address}"),
            1,
        )
        .replace("192.168.7.31", device, 1)
        .replace("192.168.7.5:8123", home.address, 1)
        .start(address);
    let picture = server.folder.path().join("motion.jpg");
    fs::write(&picture, [0xff, 0xd8, 0xff, 0xe0, 0, 0x10]).unwrap();
    let attached = format!("@{}", picture.display());
    let send = |from: &str, to: &str, more: &[&str]| {
        let mail = [
            "--from",
            from,
            "--to",
            to,
            "--header",
            "Subject: Motion at the door",
        ];
        swaks(device, &server, &[&mail, more].concat())
    };
    let more = [
        "--body",
        "Zone 2",
        "--attach-type",
        "image/jpeg",
        "--attach",
        &attached,
    ];
    let said = send("camera@example.org", "alarm@example.org", &more);
    assert_eq!(said.code, Some(0), "{said:?}");
    wait_for(&server, "the webhook", || !home.asked().is_empty());
    assert_alarm(&home.asked()[0]);
    let text = &server.wait_for_mail("anna", 1)[0];
    assert!(text.contains("/9j/4AAQ"), "{text}");
    for (from, to, words) in [
        (
            "anna@example.org",
            "alarm@example.org",
            "554 5.7.1 Mail from",
        ),
        ("camera@example.org", ANNA, "554 5.7.1 Message rejected"),
        ("camera@example.org", "a@there.example", "554 5.7.1"),
    ] {
        assert_refused(&send(from, to, &[]), words);
    }
    let mut client = client(device, server.tcp());
    client.command("MAIL FROM:<camera@example.org> SIZE=6000000", "552 5.3.4");
    assert_turned_away(other, &server);
}

/// What the home automation was told.
fn assert_alarm(asked: &Asked) {
    assert!(
        asked
            .head
            .starts_with("POST /api/webhook/long-random-words HTTP/1.1\r\n")
    );
    let body = String::from_utf8(asked.body.clone()).unwrap();
    for part in [
        "\"subject\":\"Motion at the door\"",
        "\"from\":\"camera@example.org\"",
        "\"text\":\"Zone 2",
    ] {
        assert!(body.contains(part), "{body}");
    }
}

/// The collector of cron mail, found by the name localhost, with a certificate for it.
fn collector(hosts: &str) -> (Server, u16) {
    let port = free_port();
    let recipe = Recipe::take("cron-hosts")
        .add("server", "user", "root")
        .add("delivery", "mail_root", "mail")
        .add("port:tcp", "number", port)
        .replace(
            "addresses = 127.0.0.1, 192.168.8.200",
            "addresses = 127.0.0.1",
            1,
        )
        .replace("192.168.8.0/28", hosts, 1);
    server_tls(recipe.folder.path(), "localhost");
    fs::copy(recipe.path("localhost.pem"), recipe.path("certificate.pem")).unwrap();
    fs::copy(recipe.path("localhost.key"), recipe.path("private_key.pem")).unwrap();
    (recipe.start(Ipv4Addr::LOCALHOST.into()), port)
}

/// A host with the recipe's msmtprc.
fn sender_of(host: IpAddr, port: u16, trust: &Path) -> Recipe {
    let (sender, rc) = (Recipe::take("cron-hosts"), "cron-hosts.msmtprc");
    let aliases = sender.path("cron-hosts.msmtp-aliases");
    sender
        .replace_in(rc, "host mail.example.org", "host localhost", 1)
        .replace_in(rc, "port 25", format!("port {port}\nsource_ip {host}"), 1)
        .replace_in(rc, "/etc/msmtp-mail.pem", trust.display(), 1)
        .replace_in(rc, "/etc/msmtp-aliases", aliases.display(), 1)
        .replace_in(rc, "syslog LOG_MAIL", "syslog off", 1)
}

#[test]
fn cron_hosts() {
    if !has_program("msmtp") {
        return;
    }
    let (host, other) = (own_address(), own_address());
    let (server, port) = collector(&host.to_string());
    let trust = server.folder.path().join("certificate.pem");
    let sender = sender_of(host, port, &trust);
    let rc = sender.path("cron-hosts.msmtprc");
    let msmtp = |to: &str| {
        let mut msmtp = Command::new("msmtp");
        msmtp.arg("-C").arg(&rc).args(["-i", to]);
        must(
            &mut msmtp,
            &format!("To: {to}\nSubject: Cron {to}\n\n.\nIt failed.\n"),
        );
    };
    // As cron does; then straight to accounts of hosts, known and unknown here.
    msmtp("root");
    msmtp("root@web2.example.org");
    msmtp("jobs@db1.example.org");
    let texts = server.wait_for_mail("anna", 3);
    for text in &texts {
        assert!(text.contains("from web1.example.org "), "{text}");
        assert!(text.contains("with ESMTPS id "), "{text}");
        assert!(text.contains("\n.\nIt failed.\n"), "{text}");
        // The account that calls msmtp, at its host.
        assert!(text.contains("@web1.example.org>\n"), "{text}");
    }
    msmtp("backup@backup.example.org");
    server.wait_for_mail("ben", 1);
    let at = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
    client(host, at).command("MAIL FROM:<root@web1.example.org>", "530 5.7.0");
    let mut python = Command::new("python3");
    let arguments = [
        host.to_string(),
        port.to_string(),
        trust.display().to_string(),
    ];
    must(python.arg("-").args(arguments), STRANGE_SENDERS);
    let stream = support::source::connect_from(v4(other), at);
    Client::over(stream).expect("554 Connection denied");
}

#[test]
fn cron_host() {
    let (server, port) = collector("127.0.0.2");
    let host = Recipe::take("cron-host")
        .add("server", "user", "root")
        .add("delivery", "mail_root", "mail")
        .replace("host = mail.example.org", "host = localhost", 1)
        .replace("port = 25", format!("port = {port}"), 1)
        .replace(
            "mail.pem",
            server.folder.path().join("certificate.pem").display(),
            1,
        );
    let host = host.start(own_address());
    let config = host.config();
    let sendmail = |words: &[&str], text: &str| {
        let mut sendmail = gatepost();
        sendmail.arg("sendmail").arg("-C").arg(&config).args(words);
        must(&mut sendmail, text);
    };
    sendmail(
        &["-FCronDaemon", "-i", "-t"],
        "To: root\nSubject: Cron\n\n.\nIt failed.\n",
    );
    sendmail(&["jobs"], "Subject: an account without a mailbox\n\nx\n");
    let texts = server.wait_for_mail("anna", 2);
    assert!(
        texts.iter().all(|text| text.contains("with ESMTPS id ")),
        "{texts:?}"
    );
    let whole =
        |text: &String| text.contains("CronDaemon") && text.ends_with("\n\n.\nIt failed.\n");
    assert!(texts.iter().any(whole), "{texts:?}");
    assert!(host.new_mail("jobs").is_empty());
}

/// The recipe for a device with this smarthost, and the web server that tells the phone.
fn provider_for(
    address: IpAddr,
    device: IpAddr,
    recipe: Recipe,
    host: &FakeHost,
    phone: &Web,
) -> Server {
    recipe
        .add("server", "user", "root")
        .add("port:tcp", "number", TCP_PORT)
        .replace(
            "addresses = 127.0.0.1, 192.168.7.2",
            format!("addresses = {address}"),
            1,
        )
        .replace("192.168.7.0/24", device, 2)
        .replace("smtp.provider.example", "localhost", 1)
        // Where nobody listens: its second server takes the mail.
        .replace("port = 587", format!("port = {}", free_port()), 1)
        .replace(
            "smtp2.provider.example",
            format!("localhost:{}", host.address.port()),
            1,
        )
        .add("smarthost", "ca_file", "localhost.pem")
        .replace(
            "https://ntfy.example.org",
            format!("http://{}", phone.address),
            1,
        )
        .start(address)
}

/// A message of a device to elsewhere.
fn send_from(device: IpAddr, server: &Server, to: &str) -> Client {
    let mut client = client(device, server.tcp());
    client.command("MAIL FROM:<printer@example.org>", "250");
    client.command(&format!("RCPT TO:<{to}>"), "250");
    client.command("DATA", "354");
    client.send(b"From: printer@example.org\r\nSubject: Toner\r\n\r\nlow\r\n.\r\n");
    client.expect("250 2.0.0 Queued as ");
    client
}

#[test]
fn relay_to_a_provider() {
    let (address, device, other) = (own_address(), own_address(), own_address());
    let phone = Web::start(|_| Answer::status(200, ""));
    let recipe = Recipe::take("provider");
    let (host, _) = provider(recipe.folder.path());
    let mut server = provider_for(address, device, recipe, &host, &phone);
    let mut at_device = send_from(device, &server, "a@there.example");
    wait_for(&server, "the provider", || host.taken().len() == 1);
    let config = server.config();
    let mut sendmail = gatepost();
    sendmail.arg("sendmail").arg("-C").arg(&config).arg("root");
    must(&mut sendmail, "Subject: from the box\n\nx\n");
    wait_for(&server, "mail of the box", || host.taken().len() == 2);
    for taken in host.taken() {
        assert!(taken.tls, "{taken:?}");
        assert_eq!(taken.login.as_deref(), Some(LOGIN), "{taken:?}");
        assert!(taken.mail.starts_with("<box@example.org>"), "{taken:?}");
    }
    assert_eq!(host.taken()[0].to, ["<a@there.example>"]);
    assert_eq!(host.taken()[1].to, ["<admin@example.org>"]);
    let line = server.wait_for_event("smarthost_passed_over");
    assert!(line.contains("localhost"), "{line}");
    at_device.command("MAIL FROM:<printer@there.example>", "554 5.7.1");
    // A local address that nobody has.
    at_device.command("MAIL FROM:<printer@example.org>", "250");
    at_device.command("RCPT TO:<anybody@box.example.org>", "550 5.1.1");
    assert_turned_away(other, &server);
}

/// The password is changed at the provider: the phone is told, and nothing is lost.
#[test]
fn a_provider_that_refuses_the_login_rings_the_phone() {
    let (address, device) = (own_address(), own_address());
    let phone = Web::start(|_| Answer::status(200, ""));
    let recipe = Recipe::take("provider");
    let (host, refuses) = provider(recipe.folder.path());
    let server = provider_for(address, device, recipe, &host, &phone);
    refuses.store(true, Ordering::Relaxed);
    send_from(device, &server, "b@there.example");
    wait_for(&server, "the alarm", || !phone.asked().is_empty());
    let asked = &phone.asked()[0];
    let target = "POST /box-alarms?tpl=1&m=%7B%7B.subject%7D%7D ";
    assert!(asked.head.starts_with(target), "{}", asked.head);
    assert_eq!(asked.fields("Authorization"), ["Bearer sesame"]);
    let body = String::from_utf8_lossy(&asked.body);
    assert!(body.contains("\"alarm\":\"login\""), "{body}");
    assert!(body.contains("\"subject\":"), "{body}");
    refuses.store(false, Ordering::Relaxed);
    assert_eq!(server.command(&["queue", "retry", "--all"]).code, Some(0));
    wait_for(&server, "what waited", || host.taken().len() == 1);
}

#[test]
fn mail_to_a_program() {
    if !has_program("swaks") {
        return;
    }
    let (address, device, other) = (own_address(), own_address(), own_address());
    let recipe = Recipe::take("command");
    let tickets = recipe.path("tickets");
    fs::create_dir(&tickets).unwrap();
    let script = recipe.path("command.sh");
    let server = recipe
        .add("server", "user", "root")
        .add("delivery", "mail_root", "mail")
        .add("port:tcp", "number", TCP_PORT)
        .replace(
            "addresses = 127.0.0.1, 192.168.7.2",
            format!("addresses = {address}"),
            1,
        )
        .replace("192.168.7.0/24", device, 1)
        .replace("/etc/gatepost/command.sh", script.display(), 1)
        .replace_in(
            "command.sh",
            "/var/lib/gatepost/tickets",
            tickets.display(),
            1,
        );
    let mut server = server.start(address);
    let send = |to: &str| swaks(device, &server, &["--from", "a@there.example", "--to", to]);
    for to in ["tickets@example.org", "tickets+$HOME@example.org"] {
        assert_eq!(send(to).code, Some(0), "{to}");
    }
    let names = || -> Vec<String> {
        let entries = fs::read_dir(&tickets).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name.ends_with(".eml")).collect();
        names.sort();
        names
    };
    wait_for(&server, "both files", || names().len() == 2);
    assert!(names()[0].starts_with("_HOME-"), "{:?}", names());
    assert!(names()[1].starts_with("none-"), "{:?}", names());
    let text = fs::read_to_string(tickets.join(&names()[1])).unwrap();
    assert!(
        text.starts_with("Return-Path: <a@there.example>\n"),
        "{text}"
    );
    assert_refused(&send("a@there.example"), "554 5.7.1");
    assert_turned_away(other, &server);
    let line = server.wait_for_event("command_ended");
    assert!(line.contains("octets for tickets"), "{line}");
    // Where it cannot write, the mail waits.
    fs::rename(&tickets, server.folder.path().join("gone")).unwrap();
    assert_eq!(
        swaks(
            device,
            &server,
            &["--from", "a@there.example", "--to", "tickets@example.org"]
        )
        .code,
        Some(0)
    );
    let line = server.wait_for_event("deferred");
    assert!(line.contains("tickets@example.org"), "{line}");
}

const STRANGE_SENDERS: &str = "
import smtplib, ssl, sys
host, port, trust = sys.argv[1], int(sys.argv[2]), sys.argv[3]
client = smtplib.SMTP('localhost', port, source_address=(host, 0))
client.starttls(context=ssl.create_default_context(cafile=trust))
client.ehlo()
assert client.mail('root@there.example')[0] == 554
assert client.mail('root@web1.example.org')[0] == 250
assert client.rcpt('a@there.example')[0] == 554
client.quit()
";
