//! The recipes of `conf/recipes` for whole domains, started as they are and sent through: with Dovecot, with
//! Internet Sites, and in place of Postfix and of Domino.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

#[path = "support/fake_host.rs"]
mod fake_host;
#[path = "support/recipe.rs"]
mod recipe;

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use recipe::{
    ANNA, LOGIN, Recipe, assert_needs_a_login, client, is_root, must, provider, v4, wait_for,
};
use support::fakedns::FakeDns;
use support::{PATIENCE, TCP_PORT, TLS_PORT, has_program, own_address};

#[test]
fn two_sites() {
    if !has_program("openssl") {
        return;
    }
    let (main, shop) = (own_address(), own_address());
    let server = Recipe::take("sites")
        .add("server", "user", "root")
        .add("delivery", "mail_root", "mail")
        .add("port:tcp", "number", TCP_PORT)
        .add("port:tls", "number", TLS_PORT)
        .replace("192.0.2.25", main, 3)
        .replace("192.0.2.26", shop, 3)
        .password("anna", "anna-sesame")
        .start(main);
    for (at, to, certificate) in [
        (main, ANNA, "main.pem"),
        (shop, "ben@shop.example", "shop.pem"),
    ] {
        let mut openssl = Command::new("openssl");
        openssl
            .args([
                "s_client",
                "-crlf",
                "-quiet",
                "-verify_return_error",
                "-starttls",
                "smtp",
            ])
            .args(["-connect", &SocketAddr::new(at, TCP_PORT).to_string()])
            .arg("-CAfile")
            .arg(server.folder.path().join(certificate));
        let dialogue =
            format!("EHLO c\nMAIL FROM:<>\nRCPT TO:<{to}>\nDATA\nSubject: x\n\nx\n.\nQUIT\n");
        must(&mut openssl, &dialogue);
    }
    server.wait_for_mail("anna", 1);
    server.wait_for_mail("ben", 1);
    let mut python = Command::new("python3");
    let ports = [
        main.to_string(),
        shop.to_string(),
        TCP_PORT.to_string(),
        TLS_PORT.to_string(),
    ];
    must(python.arg("-").args(ports), SITES);
    server.wait_for_mail("ben", 3);
}

#[test]
fn from_postfix() {
    let Some(dns) = FakeDns::new(&[]) else {
        return;
    };
    let (address, device, listed, other) =
        (own_address(), own_address(), own_address(), own_address());
    let [a, b, c, d] = v4(listed).octets();
    let listing = format!("A {d}.{c}.{b}.{a}.zen.spamhaus.org 127.0.0.2");
    dns.set(&[&listing, "A localhost 127.0.0.1"]);
    let recipe = Recipe::take("from-postfix");
    let (host, _) = provider(recipe.folder.path());
    let server = recipe
        .add("server", "user", "root")
        .replace("/var/lib/gatepost/mail", "mail", 1)
        .replace(
            "number = 25",
            format!("number = {TCP_PORT}\naddresses = {address}"),
            1,
        )
        .replace(
            "number = 587",
            format!("number = 2587\naddresses = {address}"),
            1,
        )
        .add("port:tls", "number", TLS_PORT)
        .add("port:tls", "addresses", address)
        // Every client of the tests is in 127.0.0.0/8.
        .replace("127.0.0.0/8, ::1, 192.168.7.0/24", device, 2)
        .replace("smtp.provider.example", "localhost", 1)
        .replace("port = 587", format!("port = {}", host.address.port()), 1)
        .add("smarthost", "ca_file", "localhost.pem")
        .password("anna", "anna-sesame")
        .start_with(address, |command| dns.preload(command));
    // A stranger: to the people here alone.
    let mut stranger = client(other, server.tcp());
    stranger.command("MAIL FROM:<a@there.example>", "250");
    stranger.command("RCPT TO:<b@there.example>", "554 5.7.1 Relay rejected");
    stranger.command("RCPT TO:<nobody@example.org>", "550 5.1.1");
    stranger.command("RSET", "250");
    stranger.command("VRFY anna", "252");
    stranger.message("staff@example.org", "Subject: x\r\n\r\nx");
    stranger.command("AUTH LOGIN", "502");
    server.wait_for_mail("anna", 1);
    server.wait_for_mail("ben", 1);
    // mynetworks.
    let mut at_device = client(device, server.tcp());
    at_device.message("b@there.example", "Subject: of the network\r\n\r\nx");
    wait_for(&server, "relaying for the network", || {
        host.taken().len() == 1
    });
    assert_needs_a_login(listed, &server);
    let mut python = Command::new("python3");
    let arguments = [address.to_string(), TLS_PORT.to_string()];
    must(python.arg("-").args(arguments), SUBMISSION);
    server.wait_for_mail("anna", 2);
    wait_for(&server, "relaying after a login", || {
        host.taken().len() == 2
    });
    assert_eq!(host.taken()[1].login.as_deref(), Some(LOGIN));
}

#[test]
fn from_domino() {
    let (address, device, black, other) =
        (own_address(), own_address(), own_address(), own_address());
    let recipe = Recipe::take("from-domino");
    let (host, _) = provider(recipe.folder.path());
    let mut server = recipe
        .add("server", "user", "root")
        .add("delivery", "mail_root", "mail")
        .replace(
            "number = 25",
            format!("number = {TCP_PORT}\naddresses = {address}"),
            1,
        )
        .replace(
            "number = 465",
            format!("number = {TLS_PORT}\naddresses = {address}"),
            1,
        )
        // Every client of the tests is in 127.0.0.0/8.
        .add("relay", "internal", "::1")
        .replace("192.168.7.20", device, 1)
        .replace("198.51.100.0/24", black, 1)
        .replace("smtp.provider.example", "localhost", 1)
        .replace("port = 587", format!("port = {}", host.address.port()), 1)
        .add("smarthost", "ca_file", "localhost.pem")
        .password("anna", "anna-sesame")
        .password("scanner", "scan-sesame")
        .start(address);
    let mut stranger = client(other, server.tcp());
    stranger.command("AUTH LOGIN", "502 5.5.1 AUTH command is not available");
    stranger.command("MAIL FROM:<a@junk.example>", "554 5.7.1 Mail from");
    stranger.command("MAIL FROM:<a@there.example>", "250");
    stranger.command("RCPT TO:<b@there.example>", "554 5.7.1 Relay rejected");
    stranger.command("RCPT TO:<nobody@example.net>", "550 5.1.1");
    stranger.command("RSET", "250");
    stranger.message("a.smith@example.net", "Subject: x\r\n\r\nx");
    server.wait_for_mail("anna", 1);
    let mut at_device = client(device, server.tcp());
    at_device.message("b@there.example", "Subject: of an allowed host\r\n\r\nx");
    wait_for(&server, "the relay host", || host.taken().len() == 1);
    assert_needs_a_login(black, &server);
    let mut python = Command::new("python3");
    let arguments = [address.to_string(), TLS_PORT.to_string()];
    must(python.arg("-").args(arguments), PERSONS);
    server.wait_for_mail("ben", 1);
    wait_for(&server, "relaying after a login", || {
        host.taken().len() == 2
    });
    // The console's words.
    let said = server.command(&["tell", "smtp", "update", "config"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    server.wait_for_event("refresh_ended");
}

/// Whether a real Dovecot can be run that reads mail of an account of the system.
fn has_dovecot() -> bool {
    let files = ["/usr/sbin/dovecot", "/usr/lib/dovecot/imap"];
    let found = files.iter().all(|file| Path::new(file).is_file()) && is_root();
    if !found {
        assert!(
            std::env::var_os("CI").is_none(),
            "Dovecot's IMAP server is missing, and CI needs it"
        );
        eprintln!("SKIPPED: dovecot-imapd is not installed, or this is not root");
    }
    found
}

/// A Dovecot with the recipe's own file.
struct Dovecot {
    child: std::process::Child,
    log: PathBuf,
    imap: SocketAddr,
}

impl Dovecot {
    fn start(recipe: Recipe, address: IpAddr) -> (Recipe, Self) {
        let imap = SocketAddr::new(address, 2993);
        let folder = recipe.folder.path().to_owned();
        let file = "dovecot.conf";
        let recipe = recipe
            .replace_in(
                file,
                "/etc/gatepost/certificate.pem",
                folder.join("certificate.pem").display(),
                1,
            )
            .replace_in(
                file,
                "/etc/gatepost/private_key.pem",
                folder.join("private_key.pem").display(),
                1,
            )
            .replace_in(
                file,
                "/etc/gatepost/users",
                folder.join("users").display(),
                1,
            )
            .replace_in(file, "uid=gatepost", "uid=nobody", 2)
            .replace_in(file, "gid=gatepost", "gid=nogroup", 2)
            .replace_in(file, "extra_groups = gatepost", "extra_groups = nogroup", 1)
            .replace_in(
                file,
                "/var/lib/gatepost/mail",
                folder.join("mail").display(),
                2,
            );
        let path = recipe.path(file);
        let machine = format!(
            "base_dir = {0}/run\nstate_dir = {0}/state\nlog_path = {0}/log\nlisten = {address}\n\
             service imap-login {{\n  inet_listener imap {{\n    port = 0\n  }}\n  \
             inet_listener imaps {{\n    port = {1}\n  }}\n}}\n",
            folder.display(),
            imap.port()
        );
        fs::write(&path, fs::read_to_string(&path).unwrap() + &machine).unwrap();
        let child = Command::new("/usr/sbin/dovecot")
            .args(["-F", "-c"])
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let dovecot = Self {
            child,
            log: folder.join("log"),
            imap,
        };
        let until = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(imap).is_err() {
            assert!(Instant::now() < until, "{}", dovecot.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        (recipe, dovecot)
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        // Its parts end with it only where it is asked to.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.child.wait();
    }
}

/// The recipe, with its files for an account that Dovecot gives mailboxes to.
fn mailboxes_at(address: IpAddr) -> Recipe {
    let recipe = Recipe::take("dovecot")
        .add("server", "user", "nobody")
        .replace("/var/lib/gatepost/mail", "mail", 1)
        .replace(
            "number = 25",
            format!("number = {TCP_PORT}\naddresses = {address}"),
            1,
        )
        .replace(
            "number = 587",
            format!("number = 2587\naddresses = {address}"),
            1,
        )
        .add("port:tls", "number", TLS_PORT)
        .add("port:tls", "addresses", address)
        .password("anna", "anna-sesame")
        .password("ben", "ben-sesame");
    let folder = recipe.folder.path();
    must(
        Command::new("chown")
            .args(["-R", "nobody:nogroup"])
            .arg(folder),
        "",
    );
    // As the package makes it, and as dovecot.conf then asks for.
    fs::set_permissions(recipe.path("users"), fs::Permissions::from_mode(0o640)).unwrap();
    recipe
}

#[test]
fn dovecot() {
    if !has_dovecot() {
        return;
    }
    let address = own_address();
    let recipe = mailboxes_at(address);
    let users = recipe.path("users");
    let (recipe, dovecot) = Dovecot::start(recipe, address);
    let server = recipe.start(address);
    let mut stranger = client(own_address(), server.tcp());
    stranger.message(ANNA, "Subject: from outside\r\n\r\n..dots");
    stranger.command("MAIL FROM:<a@there.example>", "250");
    stranger.command("RCPT TO:<b@there.example>", "554 5.7.1");
    stranger.command("RSET", "250");
    stranger.command("AUTH LOGIN", "502");
    server.wait_for_mail("anna", 1);
    let mut python = Command::new("python3");
    let ports = [2587, TLS_PORT, dovecot.imap.port()].map(|port| port.to_string());
    let said = recipe::run(
        python.arg("-").arg(address.to_string()).args(ports),
        MAILBOXES,
    );
    assert_eq!(said.code, Some(0), "{said:?}\n{}", dovecot.log());
    let mut doveadm = Command::new("doveadm");
    doveadm
        .arg("-c")
        .arg(server.folder.path().join("dovecot.conf"));
    let status = doveadm.args(["mailbox", "status", "-u", "ben", "messages", "INBOX"]);
    assert_eq!(must(status, ""), "INBOX messages=0\n");
    // What anna moved with Dovecot is counted by gatepost.
    let quota = fs::read_to_string(&users).unwrap().replace("2G", "1K");
    let next = users.with_file_name("next");
    fs::write(&next, quota).unwrap();
    fs::rename(next, &users).unwrap();
    let full = format!("RCPT TO:<{ANNA}>");
    let mut stranger = client(own_address(), server.tcp());
    stranger.command("MAIL FROM:<a@there.example> SIZE=1000", "250");
    stranger.command(&full, "452 4.2.2");
}

const SITES: &str = "
import smtplib, ssl, sys
main, shop, tcp, tls = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
context = ssl._create_unverified_context()
for client in [smtplib.SMTP(main, tcp), smtplib.SMTP_SSL(main, tls, context=context)]:
    if not isinstance(client, smtplib.SMTP_SSL):
        client.ehlo()
        assert not client.has_extn('auth'), client.esmtp_features
        assert client.docmd('AUTH', 'LOGIN')[0] == 502
        client.starttls(context=context)
    client.login('anna', 'anna-sesame')
    client.sendmail('anna@example.org', ['ben@shop.example'], 'Subject: x\\n\\nx\\n')
    client.quit()
client = smtplib.SMTP(shop, tcp)
client.starttls(context=context)
client.ehlo()
assert not client.has_extn('auth'), client.esmtp_features
assert client.docmd('AUTH', 'LOGIN')[0] == 502
try:
    smtplib.SMTP_SSL(shop, tls, context=context)
    sys.exit('this site has no TLS port')
except smtplib.SMTPConnectError as error:
    assert error.smtp_code == 554 and b'This site is not enabled on the server.' in error.smtp_error
";

const SUBMISSION: &str = "
import smtplib, ssl, sys
host, submission, tls = sys.argv[1], 2587, int(sys.argv[2])
context = ssl._create_unverified_context()
client = smtplib.SMTP(host, submission)
client.ehlo()
assert client.docmd('AUTH', 'LOGIN')[0] == 538
assert client.mail('anna@example.org')[0] == 530
client.starttls(context=context)
client.login('anna', 'anna-sesame')
assert client.mail('ben@example.org')[0] == 554
client.sendmail('anna@example.org', ['c@there.example'], 'Subject: x\\n\\nx\\n')
client.quit()
client = smtplib.SMTP_SSL(host, tls, context=context)
client.login('anna@example.org', 'anna-sesame')
client.sendmail('anna@example.org', ['anna+detail@example.org'], 'Subject: x\\n\\nx\\n')
";

const PERSONS: &str = "
import base64, smtplib, ssl, sys
host, tls = sys.argv[1], int(sys.argv[2])
context = ssl._create_unverified_context()
def connect():
    return smtplib.SMTP_SSL(host, tls, context=context)
client = connect()
client.ehlo()
assert client.mail('anna@example.org')[0] == 530
client.login('anna', 'anna-sesame')
assert client.mail('ben@example.org')[0] == 554
client.sendmail('a.smith@example.org', ['c@there.example', 'ben@example.org'], 'Subject: x\\n\\nx\\n')
client.quit()
# The first failure ends the session; whoever is on the deny list fails with the right password.
for user, password in [('anna', 'wrong'), ('scanner', 'scan-sesame')]:
    client = connect()
    client.ehlo()
    secret = base64.b64encode(f'\\0{user}\\0{password}'.encode()).decode()
    code, words = client.docmd('AUTH', 'PLAIN ' + secret)
    assert code == 421, (code, words)
";

const MAILBOXES: &str = "
import imaplib, smtplib, ssl, sys, time
host, submission, tls, imaps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
context = ssl._create_unverified_context()
client = smtplib.SMTP(host, submission)
client.starttls(context=context)
client.login('ben', 'ben-sesame')
client.sendmail('ben@example.org', ['anna@example.org'], 'Subject: from ben\\n\\nx\\n')
client.quit()
box = imaplib.IMAP4_SSL(host, imaps, ssl_context=context)
try:
    box.login('anna', 'wrong')
    sys.exit('a wrong password was taken')
except imaplib.IMAP4.error:
    pass
box.login('anna@example.org', 'anna-sesame')
for _ in range(600):
    count = int(box.select('INBOX')[1][0])
    if count == 2:
        break
    time.sleep(0.05)
assert count == 2, count
found = b''.join(part for item in box.fetch('1:2', '(BODY[])')[1] if isinstance(item, tuple) for part in item)
assert b'Subject: from outside' in found and b'Subject: from ben' in found, found
assert b'\\r\\n.dots\\r\\n' in found, found
def limit(box):
    return box.getquotaroot('INBOX')[1][1][0]
# Of the users file, in units of 1024 octets.
assert b'2097152)' in limit(box), limit(box)
assert box.create('Kept')[0] == 'OK' and box.copy('1', 'Kept')[0] == 'OK'
box.logout()
box = imaplib.IMAP4_SSL(host, imaps, ssl_context=context)
box.login('ben', 'ben-sesame')
box.select('INBOX')
# Of dovecot.conf, the same as that of dovecot.ini.
assert b'1048576)' in limit(box), limit(box)
";
