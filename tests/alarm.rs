//! The alarm of the binary: what rings it, how often, when it is over, and bells that fail.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "support/fake_host.rs"]
mod fake_host;
#[path = "support/sim_disk.rs"]
mod sim_disk;
mod support;
#[path = "support/tmpfs.rs"]
mod tmpfs;
#[path = "support/web.rs"]
mod web;

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use fake_host::{Act, FakeHost, Setup, server_tls};
use gatepost::config::handlers::Handlers;
use gatepost::delivery::{Deliverer, DeliveryOptions, LaneOptions, Lanes, Moment, NextHops};
use gatepost::mail::{
    Envelope, ForwardPath, MessageNotifications, Recipient, RecipientNotifications, ReversePath,
    Target,
};
use gatepost::spool::{Spool, SpoolOptions};
use gatepost::sys::disk::Disk;
use gatepost::troubles::{Kind, Noted, Troubles};
use sim_disk::SimDisk;
use support::{Client, PATIENCE, Server, TempFolder, data, own_address};
use tmpfs::on_tmpfs;
use web::{Answer, Web};

const OUTSIDE: &str = "a@there.example";

/// A program that writes down that it was run: one line a time.
struct Bell {
    folder: TempFolder,
}

impl Bell {
    fn new() -> Self {
        Self::doing("")
    }

    /// The same, that then does this.
    fn doing(more: &str) -> Self {
        let folder = TempFolder::new("bell");
        let rung = folder.path().join("rung");
        let text = format!(
            "#!/bin/sh\ntext=$(cat)\n\
             echo \"$GATEPOST_STATE $GATEPOST_ALARM $GATEPOST_WHERE|$GATEPOST_SUBJECT|$GATEPOST_SINCE|\"$text \
             >> {}\n{more}\n",
            rung.display()
        );
        let draft = folder.path().join("draft");
        fs::write(&draft, text).unwrap();
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).unwrap();
        // A file that another thread's child has open for writing cannot be run.
        let program = folder.path().join("program");
        let copied = Command::new("cp")
            .arg("-p")
            .arg(&draft)
            .arg(&program)
            .status();
        assert!(copied.unwrap().success());
        Self { folder }
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("program")
    }

    fn ini(&self) -> String {
        format!(
            "[command:bell]\nprogram = {}\n[alarm]\ncommand = bell\n",
            self.program().display()
        )
    }

    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.path().join("rung")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// What it was rung for, so far.
    fn rung(&self) -> Vec<String> {
        let first = |line: &String| line.split('|').next().unwrap().to_owned();
        self.lines().iter().map(first).collect()
    }

    /// Waits until it was rung for exactly this.
    fn wait_for(&self, server: &Server, want: &[&str]) {
        wait_for(server, &format!("{want:?}"), || {
            self.rung().len() >= want.len()
        });
        assert_eq!(self.rung(), want);
    }
}

fn wait_for(server: &Server, what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(
            Instant::now() < until,
            "{what} does not come:\n{}",
            server.log_text()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn send(server: &Server, to: &str) {
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    client.message(to, "Subject: s\r\n\r\ntext");
}

/// Where nobody listens: a port that was free a moment ago, at an address of our own.
fn nowhere() -> SocketAddr {
    let listener = TcpListener::bind((own_address(), 0)).unwrap();
    listener.local_addr().unwrap()
}

fn smarthost(address: SocketAddr) -> String {
    let (host, port) = (address.ip(), address.port());
    format!("[smarthost]\nhost = {host}\nport = {port}\ntls = none\n")
}

/// A smarthost that refuses logins while it is told to.
struct Strict {
    folder: TempFolder,
    host: FakeHost,
    refuses: Arc<AtomicBool>,
    takes_nothing: Arc<AtomicBool>,
}

impl Strict {
    fn start() -> Self {
        let folder = TempFolder::new("strict");
        fs::write(folder.path().join("password"), "secret\n").unwrap();
        let password = folder.path().join("password");
        fs::set_permissions(password, fs::Permissions::from_mode(0o600)).unwrap();
        let tls = server_tls(folder.path(), "localhost");
        let refuses = Arc::new(AtomicBool::new(true));
        let is_strict = Arc::clone(&refuses);
        let takes_nothing = Arc::new(AtomicBool::new(false));
        let is_full = Arc::clone(&takes_nothing);
        let host = FakeHost::start(Setup {
            plain: vec!["STARTTLS"],
            tls: Some(tls),
            ..Setup::script(move |step| match step.verb {
                "AUTH" if is_strict.load(Ordering::Relaxed) => Act::say("535 5.7.8 bad\tpassword"),
                "MAIL" if is_full.load(Ordering::Relaxed) => Act::Cut,
                _ => Act::Usual,
            })
        });
        Self {
            folder,
            host,
            refuses,
            takes_nothing,
        }
    }

    fn ini(&self, user: &str) -> String {
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        format!(
            "[smarthost]\nhost = localhost\nport = {}\nusername = {user}\npassword_file = {}\nca_file = {}\n",
            self.host.address.port(),
            file("password"),
            file("localhost.pem")
        )
    }
}

#[test]
fn a_refused_login_rings_once_and_once_when_it_is_accepted() {
    let (strict, bell) = (Strict::start(), Bell::new());
    let mut server = Server::start(&(bell.ini() + &strict.ini("box")));
    send(&server, OUTSIDE);
    bell.wait_for(&server, &["on login smarthost"]);
    let line = server.wait_for_event("alarm");
    for part in ["cause=login", "subject=smarthost", "535 5.7.8 bad password"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let rung = bell.lines().remove(0);
    for part in [
        "|mail of mx.here.example: the login is refused (smarthost)|20",
        "AUTH: the server said 535 5.7.8 bad password",
        "gatepost status shows",
    ] {
        assert!(rung.contains(part), "{part}: {rung}");
    }
    // Another message waits for the rest of the smarthost, and rings nothing.
    send(&server, OUTSIDE);
    let status = server.command(&["status"]).output;
    let line = status
        .lines()
        .find(|line| line.starts_with("alarm "))
        .unwrap();
    for part in [
        "cause=login subject=smarthost since=20",
        "reason=\"localhost: 127.0.0.1:",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let json = server.command(&["status", "--json"]).output;
    assert!(
        json.contains("\"alarms\":[{\"cause\":\"login\",\"subject\":\"smarthost\",\"since\":\"20"),
        "{json}"
    );
    // What is still wrong after a start is told once more.
    server.kill();
    server.restart();
    bell.wait_for(&server, &["on login smarthost"; 2]);
    // With other settings everything is due at once.
    strict.refuses.store(false, Ordering::Relaxed);
    server.configure(&(bell.ini() + &strict.ini("box2")));
    assert_eq!(server.command(&["reload"]).code, Some(0));
    bell.wait_for(
        &server,
        &[
            "on login smarthost",
            "on login smarthost",
            "over login smarthost",
        ],
    );
    assert!(server.wait_for_event("alarm_over").contains("seconds="));
    wait_for(&server, "the mail", || strict.host.taken().len() == 2);
    let status = server.command(&["status"]).output;
    assert!(!status.contains("\nalarm "), "{status}");
    let json = server.command(&["status", "--json"]).output;
    assert!(json.contains("\"alarms\":[],"), "{json}");
}

/// A server whose login at the smarthost has just been refused, with the alarm on.
fn refused_at(strict: &Strict, bell: &Bell) -> Server {
    let server = Server::start(&(bell.ini() + &strict.ini("box")));
    send(&server, OUTSIDE);
    bell.wait_for(&server, &["on login smarthost"]);
    strict.refuses.store(false, Ordering::Relaxed);
    server
}

const ON_AND_OVER: [&str; 2] = ["on login smarthost", "over login smarthost"];

#[test]
fn a_password_that_was_mended_is_tried_at_a_refresh() {
    let (strict, bell) = (Strict::start(), Bell::new());
    let server = refused_at(&strict, &bell);
    // The rest after the failure is longer than the test.
    assert_eq!(server.command(&["reload"]).code, Some(0));
    bell.wait_for(&server, &ON_AND_OVER);
    wait_for(&server, "the mail", || strict.host.taken().len() == 1);
}

#[test]
fn a_login_that_test_mail_makes_ends_the_alarm() {
    let (strict, bell) = (Strict::start(), Bell::new());
    let server = refused_at(&strict, &bell);
    let test_mail = || {
        let said = server.command(&["test-mail", "--to", OUTSIDE, "--via", "smarthost"]);
        assert_eq!(said.code, Some(0), "{}", said.output);
    };
    test_mail();
    bell.wait_for(&server, &ON_AND_OVER);
    wait_for(&server, "the mail", || strict.host.taken().len() == 2);
    assert!(!server.command(&["status"]).output.contains("\nalarm "));
}

#[test]
fn a_login_that_test_mail_makes_ends_the_alarm_where_no_mail_waits() {
    let (strict, bell) = (Strict::start(), Bell::new());
    let server = refused_at(&strict, &bell);
    assert_eq!(server.command(&["queue", "delete", "--all"]).code, Some(0));
    let test_mail = || server.command(&["test-mail", "--to", OUTSIDE, "--via", "smarthost"]);
    // What cannot be read here is not believed to work.
    let password = strict.folder.path().join("password");
    let away = strict.folder.path().join("away");
    let socket = server.folder.path().join("control");
    fs::rename(&password, &away).unwrap();
    let words = ["login-works", "smarthost", "localhost", "box"];
    let said = gatepost::control::client::ask(&socket, &server.config(), &words).unwrap();
    assert_eq!(said.complaint, "");
    std::thread::sleep(Duration::from_millis(1500));
    assert!(
        server
            .command(&["status"])
            .output
            .contains("\nalarm cause=login ")
    );
    fs::rename(&away, &password).unwrap();
    assert_eq!(test_mail().code, Some(0));
    bell.wait_for(&server, &ON_AND_OVER);
    assert!(!server.command(&["status"]).output.contains("\nalarm "));
}

#[test]
fn a_login_that_works_ends_its_alarm_though_the_server_takes_nothing_yet() {
    let (strict, bell) = (Strict::start(), Bell::new());
    let server = refused_at(&strict, &bell);
    strict.takes_nothing.store(true, Ordering::Relaxed);
    assert_eq!(server.command(&["queue", "retry", "--all"]).code, Some(0));
    bell.wait_for(&server, &ON_AND_OVER);
    assert!(strict.host.taken().is_empty());
}

#[test]
fn a_failed_login_is_shown_in_the_servers_words_and_no_path_is_told_to_the_sender() {
    let strict = Strict::start();
    let more = "[queue]\nexpire = 4s\nretry = 1s\ndelay_notice = 0\n";
    let mut server = Server::start(&(strict.ini("box") + more));
    let password = strict.folder.path().join("password");
    let path = password.display().to_string();
    let submit = || {
        let mut client = Client::greeted(server.tcp());
        client.command("EHLO client.example", "250");
        client.command("MAIL FROM:<alice@here.example>", "250");
        client.command(&format!("RCPT TO:<{OUTSIDE}>"), "250");
        client.command("DATA", "354");
        client.command("Subject: s\r\n\r\ntext\r\n.", "250");
    };
    let shows = |words: &str| {
        let shown = || server.command(&["queue"]).output;
        wait_for(&server, words, || shown().contains(words));
    };
    submit();
    shows("AUTH: the server said 535 5.7.8 bad");
    let told = server.wait_for_mail("alice", 1).remove(0);
    assert!(
        told.contains("AUTH: the server said 535 5.7.8 bad"),
        "{told}"
    );
    fs::remove_file(&password).unwrap();
    submit();
    shows(&path);
    let both = server.wait_for_mail("alice", 2);
    for text in &both {
        assert!(!text.contains(&path), "{text}");
    }
    let is_plain = |text: &String| text.contains("the server for outgoing mail could not be");
    assert!(both.iter().any(is_plain), "{both:?}");
    server.kill();
}

#[test]
fn a_smarthost_out_of_reach_rings_after_some_failures() {
    let bell = Bell::new();
    let address = nowhere();
    let ini =
        |after: u32| bell.ini() + &format!("unreachable_after = {after}\n") + &smarthost(address);
    let mut server = Server::start(&ini(2));
    send(&server, OUTSIDE);
    server.wait_for_event("relay_failed");
    let status = server.command(&["status"]).output;
    assert!(!status.contains("\nalarm "), "{status}");
    // One is enough now, and was there.
    server.configure(&ini(1));
    server.command(&["reload"]);
    bell.wait_for(&server, &["on unreachable smarthost"]);
    // It comes up, and other settings have it tried at once.
    let host = FakeHost::start_at(address, Setup::script(|_| Act::Usual));
    server.configure(
        &(ini(1) + "[server]\nhostname = mx2.here.example\n[smarthost]\ntls = opportunistic\n"),
    );
    server.command(&["reload"]);
    wait_for(&server, "the mail", || host.taken().len() == 1);
    bell.wait_for(
        &server,
        &["on unreachable smarthost", "over unreachable smarthost"],
    );
}

#[test]
fn a_smarthost_that_answers_and_takes_nothing_rings_too() {
    let bell = Bell::new();
    let is_closing = Arc::new(AtomicBool::new(true));
    let closes = Arc::clone(&is_closing);
    let host = FakeHost::start(Setup::script(move |step| {
        match step.verb == "MAIL" && closes.load(Ordering::Relaxed) {
            true => Act::say("421 4.7.0 not now"),
            false => Act::Usual,
        }
    }));
    let ini = bell.ini() + "unreachable_after = 2\n" + &smarthost(host.address);
    let server = Server::start(&ini);
    send(&server, OUTSIDE);
    let try_again = || server.command(&["queue", "retry", "--all"]);
    wait_for(&server, "the alarm", || {
        try_again();
        bell.lines().len() == 1
    });
    is_closing.store(false, Ordering::Relaxed);
    wait_for(&server, "the mail", || {
        try_again();
        host.taken().len() == 1
    });
    bell.wait_for(
        &server,
        &["on unreachable smarthost", "over unreachable smarthost"],
    );
}

#[test]
fn words_of_a_server_that_look_like_a_refused_login_are_none() {
    let host = FakeHost::start(Setup::script(|step| match step.verb {
        "EHLO" | "HELO" => Act::say("554 5.0.0 no AUTH: the server said 535"),
        _ => Act::Usual,
    }));
    let bell = Bell::new();
    let ini = bell.ini() + "unreachable_after = 1\n" + &smarthost(host.address);
    let server = Server::start(&ini);
    send(&server, OUTSIDE);
    bell.wait_for(&server, &["on unreachable smarthost"]);
}

#[test]
fn a_full_disk_rings_until_it_has_room_for_a_while() {
    let bell = Bell::new();
    let ini = bell.ini() + "settle = 1s\n[limits]\nfree_space = 8M\n";
    let Some((server, tmpfs)) = on_tmpfs(&ini, "spool", "64m") else {
        return;
    };
    let ballast = tmpfs.0.join("ballast");
    let filled = fs::write(&ballast, vec![0; 56 << 20]);
    assert!(filled.is_ok() || fs::metadata(&ballast).unwrap().len() > 0);
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    // What is free is asked for anew after half a second.
    let mut mail = |want: &str| {
        client.send(b"RSET\r\nMAIL FROM:<a@there.example>\r\n");
        client.reply();
        client.reply().starts_with(want)
    };
    wait_for(&server, "a refusal", || mail("452 4.3.1"));
    bell.wait_for(&server, &["on disk spool"]);
    assert!(bell.lines()[0].contains("less than free_space (8388608 octets) is free"));
    fs::remove_file(&ballast).unwrap();
    wait_for(&server, "room", || mail("250"));
    bell.wait_for(&server, &["on disk spool", "over disk spool"]);
    drop(client);
    drop(server);
    drop(tmpfs);
}

#[test]
fn a_message_refused_for_space_rings_where_no_space_is_kept_free() {
    let bell = Bell::new();
    let ini = bell.ini() + "[limits]\nfree_space = 0\n";
    let Some((server, tmpfs)) = on_tmpfs(&ini, "spool", "12m") else {
        return;
    };
    assert!(fs::write(tmpfs.0.join("ballast"), vec![0; 12 << 20]).is_err());
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    client.command("MAIL FROM:<a@there.example>", "250");
    client.command("RCPT TO:<alice@here.example>", "250");
    client.command("DATA", "354");
    let line = format!("{}\r\n", "x".repeat(98));
    client.send(format!("Subject: s\r\n\r\n{}.\r\n", line.repeat(10_000)).as_bytes());
    client.expect("452 4.3.1");
    bell.wait_for(&server, &["on disk log"]);
    drop(server);
    drop(tmpfs);
}

#[test]
fn mail_of_a_local_program_that_finds_no_space_rings_too() {
    let bell = Bell::new();
    let ini = bell.ini() + "[limits]\nfree_space = 0\n";
    let Some((server, tmpfs)) = on_tmpfs(&ini, "spool", "12m") else {
        return;
    };
    let content = "x\r\n".repeat(300_000);
    let head = "gatepost-drop 1\nfrom\nto alice@here.example\n";
    let text = format!("{head}content {}\n{content}", content.len());
    let folder = tmpfs.0.join("drop");
    fs::write(folder.join("tmp-1"), text).unwrap();
    assert!(fs::write(tmpfs.0.join("ballast"), vec![0; 12 << 20]).is_err());
    fs::rename(folder.join("tmp-1"), folder.join("1")).unwrap();
    bell.wait_for(&server, &["on disk log"]);
    drop(server);
    drop(tmpfs);
}

#[test]
fn a_full_disk_of_the_mailboxes_rings_though_the_spool_has_room() {
    let bell = Bell::new();
    let ini = bell.ini() + "settle = 1s\n[queue]\nretry = 1s\n";
    let Some((server, tmpfs)) = on_tmpfs(&ini, "mail", "1m") else {
        return;
    };
    let ballast = tmpfs.0.join("ballast");
    assert!(fs::write(&ballast, vec![0; 2 << 20]).is_err());
    send(&server, "alice@here.example");
    bell.wait_for(&server, &["on disk mailboxes"]);
    fs::remove_file(&ballast).unwrap();
    server.wait_for_mail("alice", 1);
    bell.wait_for(&server, &["on disk mailboxes", "over disk mailboxes"]);
    drop(server);
    drop(tmpfs);
}

/// A server on which the Maildir of alice is a file.
fn without_mailbox(ini: &str) -> (Server, PathBuf) {
    let server = Server::start(ini);
    let folder = server.folder.path().join("mail/alice");
    fs::create_dir_all(&folder).unwrap();
    let maildir = folder.join("Maildir");
    fs::write(&maildir, "").unwrap();
    (server, maildir)
}

/// What `status`, `overview` and `health` say of mailboxes.
fn told_of_mailboxes(server: &Server) -> Vec<String> {
    let mut told = Vec::new();
    for words in [&["status"][..], &["top", "--once"], &["health"]] {
        let answer = server.command(words);
        assert_eq!(answer.code, Some(0), "{words:?} {}", answer.output);
        let lines = answer
            .output
            .lines()
            .filter(|line| line.contains("mailbox alice") || line.contains("cause=mailbox"));
        told.extend(lines.map(str::to_owned));
    }
    told
}

#[test]
fn a_mailbox_that_takes_no_mail_is_told_until_it_does() {
    let bell = Bell::new();
    let (server, maildir) = without_mailbox(&(bell.ini() + "[queue]\nretry = 2s\n"));
    send(&server, "alice@here.example");
    bell.wait_for(&server, &["on mailbox alice"]);
    let told = told_of_mailboxes(&server);
    assert_eq!(told.len(), 3, "{told:?}");
    let place = maildir.display().to_string();
    assert!(told.iter().all(|line| line.contains(&place)), "{told:?}");
    assert!(
        told[2].starts_with("warning: alarm: mailbox alice: "),
        "{told:?}"
    );
    // Another mailbox that works ends nothing.
    send(&server, "bob@here.example");
    server.wait_for_mail("bob", 1);
    assert_eq!(told_of_mailboxes(&server).len(), 3);
    fs::remove_file(&maildir).unwrap();
    server.wait_for_mail("alice", 1);
    bell.wait_for(&server, &["on mailbox alice", "over mailbox alice"]);
    assert!(told_of_mailboxes(&server).is_empty());
}

#[test]
fn a_mailbox_is_told_no_more_once_nothing_waits_for_it() {
    let bell = Bell::new();
    let (server, _) = without_mailbox(&bell.ini());
    let [first, second] = ["s", "t"].map(|sender| {
        let mut client = Client::greeted(server.tcp());
        client.command("EHLO client.example", "250");
        client.command(&format!("MAIL FROM:<{sender}@there.example>"), "250");
        client.command("RCPT TO:<alice@here.example>", "250");
        client.command("DATA", "354");
        let reply = client.command("Subject: s\r\n\r\ntext\r\n.", "250");
        let id = reply.trim_end().rsplit(' ').next().unwrap().to_owned();
        let tried = || server.command(&["queue", "show", &id]).output;
        wait_for(&server, "an attempt", || tried().contains("\nattempt "));
        id
    });
    bell.wait_for(&server, &["on mailbox alice"]);
    server.command(&["queue", "delete", &second]);
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(told_of_mailboxes(&server).len(), 3);
    server.command(&["queue", "delete", &first]);
    bell.wait_for(&server, &["on mailbox alice", "over mailbox alice"]);
    assert!(told_of_mailboxes(&server).is_empty());
}

#[test]
fn a_mailbox_is_told_no_more_once_its_user_is_removed() {
    let bell = Bell::new();
    let (server, _) = without_mailbox(&(bell.ini() + "settle = 1s\n"));
    send(&server, "alice@here.example");
    bell.wait_for(&server, &["on mailbox alice"]);
    let users = server.folder.path().join("users");
    let text = fs::read_to_string(&users).unwrap();
    let others: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with("alice:"))
        .collect();
    let fresh = server.folder.path().join("users.new");
    fs::write(&fresh, others.join("\n") + "\n").unwrap();
    fs::rename(&fresh, &users).unwrap();
    bell.wait_for(&server, &["on mailbox alice", "over mailbox alice"]);
}

/// A deliverer on a simulated disk, with one message for alice in its spool.
fn deliverer_on(disk: &SimDisk) -> (Deliverer, Arc<Troubles>) {
    let mut options = SpoolOptions::new("/srv/spool".into(), 1);
    (options.segment_octets, options.segments_max) = (16 * 1024, 3);
    let door: Arc<dyn Disk> = Arc::new(disk.clone());
    let spool = Arc::new(Spool::open(Arc::clone(&door), options).unwrap());
    let path = "<alice@here.example>";
    let envelope = Envelope {
        reverse_path: ReversePath::Null,
        recipients: vec![Recipient {
            forward_path: ForwardPath::parse_prefix(path).unwrap().0,
            target: Target::User("alice".to_owned()),
            notifications: RecipientNotifications::default(),
        }],
        eight_bit: false,
        smtputf8: false,
        notifications: MessageNotifications::default(),
        client: [127, 0, 0, 1].into(),
        login: None,
    };
    let mut draft = spool.draft(envelope, SystemTime::now()).unwrap();
    draft.write(b"Subject: s\r\n\r\n").unwrap();
    spool.commit(draft, Box::new(|committed| assert!(committed.is_ok())));
    spool.commit_waiting();
    let next_hops = NextHops {
        hostname: "here.example".to_owned(),
        smarthosts: Vec::new(),
        lmtp: None,
        handlers: Handlers::default(),
        subaddress: None,
    };
    let lanes = Lanes::new(Arc::clone(&spool), LaneOptions::default(), next_hops, None);
    let troubles = lanes.troubles();
    let options = DeliveryOptions {
        mail_root: "/srv/mail".into(),
        hostname: "here.example".into(),
    };
    let deliverer = Deliverer::new(spool, door, options);
    (deliverer.with_lanes(Arc::new(lanes)), troubles)
}

fn kinds(troubles: &Troubles) -> BTreeMap<String, Option<Kind>> {
    let kind = |noted| match noted {
        Noted::Failing(trouble) => Some(trouble.kind),
        Noted::Works | Noted::Replaced => None,
    };
    let noted = troubles.noted().into_iter();
    noted.map(|(who, noted)| (who, kind(noted))).collect()
}

#[test]
fn a_checkpoint_that_fails_is_noted_until_one_succeeds() {
    for (error, want) in [
        (ErrorKind::Other, Kind::Disk),
        (ErrorKind::StorageFull, Kind::Space),
    ] {
        let disk = SimDisk::new(&["/srv"]);
        let (mut deliverer, troubles) = deliverer_on(&disk);
        let mut now = Moment::now();
        assert!(deliverer.step(now));
        disk.fail_from(disk.steps() + 1, error);
        deliverer.checkpoint(now);
        let noted = kinds(&troubles);
        assert_eq!(noted.get("deliveries"), Some(&Some(want)), "{noted:?}");
        // One with nothing to do shows nothing.
        disk.heal();
        deliverer.checkpoint(now);
        assert!(kinds(&troubles)["deliveries"].is_some());
        (now.steady, now.wall) = (
            now.steady + Duration::from_secs(90),
            now.wall + Duration::from_secs(90),
        );
        deliverer.step(now);
        deliverer.checkpoint(now);
        assert_eq!(kinds(&troubles)["deliveries"], None, "{:?}", disk.trace());
    }
}

#[test]
fn mail_that_is_too_old_rings() {
    let bell = Bell::new();
    let ini = bell.ini() + "queue_age = 1s\nsettle = 1s\n" + &smarthost(nowhere());
    let mut server = Server::start(&ini);
    send(&server, OUTSIDE);
    server.wait_for_event("relay_failed");
    // It looks every minute, and at each refresh.
    wait_for(&server, "its age", || {
        server.command(&["reload"]);
        !bell.rung().is_empty()
    });
    bell.wait_for(&server, &["on queue-age queue"]);
    assert!(bell.lines()[0].contains("a message waits since 20"));
}

#[test]
fn a_certificate_rings_at_its_end_and_when_its_successor_is_refused() {
    let bell = Bell::new();
    let mut server = Server::start_beside(
        &(bell.ini() + "[tls]\ncertificate = chain.pem\nprivate_key = chain.key\n"),
        &[
            (
                "chain.pem",
                &fs::read_to_string(data("expired.crt")).unwrap(),
            ),
            (
                "chain.key",
                &fs::read_to_string(data("expired.key")).unwrap(),
            ),
        ],
    );
    let folder = server.folder.path().to_owned();
    let of_file = format!("on certificate {}", folder.join("chain.pem").display());
    bell.wait_for(&server, &[&of_file]);
    assert!(
        bell.lines()[0].contains("chain.pem ended "),
        "{:?}",
        bell.lines()
    );
    fs::write(folder.join("chain.pem"), "no certificate").unwrap();
    assert_eq!(server.command(&["reload"]).code, Some(78));
    let line = server.wait_for_log("subject=certificate");
    assert!(line.contains("event=alarm "), "{line}");
    bell.wait_for(&server, &[&of_file, "on certificate certificate"]);
    for (name, data_name) in [("chain.pem", "p256.crt"), ("chain.key", "p256.key")] {
        fs::copy(data(data_name), folder.join(name)).unwrap();
    }
    assert_eq!(server.command(&["reload"]).code, Some(0));
    let over = "over certificate certificate";
    bell.wait_for(&server, &[&of_file, "on certificate certificate", over]);
}

#[test]
fn a_bell_that_hangs_is_killed_at_the_end_and_holds_up_no_mail() {
    let bell = Bell::doing("sleep 600");
    let (strict, ini) = (Strict::start(), bell.ini());
    let mut server = Server::start(&(ini + &strict.ini("box")));
    send(&server, OUTSIDE);
    bell.wait_for(&server, &["on login smarthost"]);
    // It hangs now; mail and the console go on.
    send(&server, "alice@here.example");
    server.wait_for_mail("alice", 1);
    assert!(
        server
            .command(&["status"])
            .output
            .contains("\nalarm cause=login ")
    );
    let begun = Instant::now();
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(25));
}

#[test]
fn a_bell_that_fails_is_logged_and_tried_again() {
    let strict = Strict::start();
    let bell = Bell::doing("echo no network >&2; exit 3");
    let mut server = Server::start(&(bell.ini() + &strict.ini("box")));
    send(&server, OUTSIDE);
    let line = server.wait_for_event("alarm_failed");
    for part in [
        "cause=login subject=smarthost state=on",
        "command bell: exit status 3: no network",
        "again_in_seconds=60",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[test]
fn a_web_server_is_told_beside_the_program_and_one_that_fails_is_logged() {
    let strict = Strict::start();
    let bell = Bell::new();
    let web = Web::start(|number| Answer::status(if number == 0 { 503 } else { 204 }, "busy"));
    let hook = format!("[webhook:phone]\nurl = http://{}/alarm?x=1\n", web.address);
    let both = bell.ini() + "webhook = Phone\n" + &hook;
    let mut server = Server::start(&(both.clone() + &strict.ini("box")));
    send(&server, OUTSIDE);
    let line = server.wait_for_event("alarm_failed");
    assert!(
        line.contains("webhook phone: it answered 503: busy"),
        "{line}"
    );
    bell.wait_for(&server, &["on login smarthost"]);
    let asked = web.asked();
    assert_eq!(asked[0].fields("Content-Type"), ["application/json"]);
    let text = String::from_utf8_lossy(&asked[0].body).into_owned();
    for part in [
        "{\"alarm\":\"login\",\"state\":\"on\",\"where\":\"smarthost\",\"since\":\"20",
        "\"subject\":\"mail of mx.here.example: the login is refused (smarthost)\"",
        "\"host\":\"mx.here.example\"}",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    server.terminate();
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn without_a_program_log_and_status_tell_all_the_same() {
    let strict = Strict::start();
    let mut server = Server::start(&strict.ini("box"));
    send(&server, OUTSIDE);
    server.wait_for_event("alarm");
    assert!(
        server
            .command(&["status"])
            .output
            .contains("\nalarm cause=login ")
    );
    // One that is set later hears of what is still wrong.
    let bell = Bell::new();
    server.configure(&(bell.ini() + &strict.ini("box")));
    server.command(&["reload"]);
    bell.wait_for(&server, &["on login smarthost"]);
}

#[test]
fn check_names_each_line_at_fault() {
    let server = Server::start("");
    server.configure(
        "[alarm]\nrepeat = often\nsettle = 0s\nunreachable_after = 0\nqueue_age = 4\n\
         certificate_days = 366\nprogramm = /x\n",
    );
    let said = server.command(&["check"]);
    assert_eq!(said.code, Some(78), "{said:?}");
    for key in [
        "repeat",
        "settle",
        "unreachable_after",
        "queue_age",
        "certificate_days",
        "programm",
    ] {
        assert!(
            said.complaint.contains(&format!(": [alarm] {key}: ")),
            "{key}: {said:?}"
        );
    }
    for (key, section) in [
        ("command", "[command:nobdy]"),
        ("webhook", "[webhook:nobdy]"),
    ] {
        let bell = Bell::new().ini().replace("command = bell\n", "");
        server.configure(&format!("{bell}{key} = nobdy\n"));
        let said = server.command(&["check"]);
        assert_eq!(said.code, Some(78), "{said:?}");
        let want = format!("there is no section {section}");
        assert!(
            said.complaint.contains(&format!(": [alarm] {key}: ")),
            "{said:?}"
        );
        assert!(said.complaint.contains(&want), "{said:?}");
    }
}
