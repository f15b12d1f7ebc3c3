//! A refresh without a restart, on the real binary: what changes, what stays, what is told.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{Client, PATIENCE, Said, Server, TCP_PORT, data, gatepost, has_program};

const UPDATE: &[&str] = &["tell", "smtp", "update", "config"];

fn at(server: &Server, number: u16) -> SocketAddr {
    SocketAddr::new(server.address, number)
}

fn greeting(address: SocketAddr) -> String {
    Client::connect(address).reply()
}

fn refuses(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_err()
}

/// The inode of each listening socket of this server's address, by port, as the kernel tells.
fn listening_inodes(server: &Server) -> BTreeMap<u16, u64> {
    let std::net::IpAddr::V4(ip) = server.address else {
        panic!("tests run on IPv4 loopback");
    };
    let hex = format!("{:08X}", u32::from_ne_bytes(ip.octets()));
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, port) = fields[1].split_once(':')?;
        let listens = address == hex && fields[3] == "0A";
        listens.then(|| {
            (
                u16::from_str_radix(port, 16).unwrap(),
                fields[9].parse().unwrap(),
            )
        })
    });
    rows.collect()
}

#[track_caller]
fn assert_said(said: &Said, code: i32, output: &[&str]) {
    let lines: Vec<&str> = said.output.lines().collect();
    assert_eq!(said.code, Some(code), "{said:?}");
    assert_eq!(lines, output, "{said:?}");
}

#[test]
fn a_session_in_mail_data_ends_under_the_rules_it_began_with() {
    let server =
        Server::start("[messages]\ngreeting = {hostname} old\n[limits]\nmessage_size = 1M\n");
    let mut old = Client::connect(server.tcp());
    old.expect("220 mx.here.example old");
    old.command("EHLO x", "250");
    old.command("MAIL FROM:<>", "250");
    old.command("RCPT TO:<alice@here.example>", "250");
    old.command("DATA", "354");
    old.send(b"Subject: big\r\n\r\n");
    old.send("0123456789abcdef\r\n".repeat(1000).as_bytes());
    server.configure("[messages]\ngreeting = {hostname} new\n[limits]\nmessage_size = 4K\n");
    // Saving alone changes nothing.
    assert!(greeting(server.tcp()).contains(" old"));
    let said = server.command(UPDATE);
    let changed = [
        "[messages] greeting: changed",
        "[limits] message_size: changed",
    ];
    assert_said(&said, 0, &changed);
    let mut new = Client::connect(server.tcp());
    new.expect("220 mx.here.example new");
    let ehlo = new.command("EHLO x", "250");
    assert!(ehlo.contains("SIZE 4096\r\n"), "{ehlo}");
    new.command("MAIL FROM:<> SIZE=5000", "552 5.3.4");
    old.send("0123456789abcdef\r\n".repeat(1000).as_bytes());
    old.send(b".\r\n");
    old.expect("250 2.0.0 Queued as ");
    // It keeps its rules to its end.
    old.command("MAIL FROM:<> SIZE=500000", "250");
    assert_eq!(server.wait_for_mail("alice", 1).len(), 1);
    assert_said(&server.command(&["reload"]), 0, &["nothing changed"]);
}

#[test]
fn a_port_moves_and_the_other_is_untouched() {
    let server = Server::start("");
    let mut plain = Client::greeted(server.tcp());
    let tls = TcpStream::connect(server.tls()).unwrap();
    let before = listening_inodes(&server);
    server.configure("[port:tcp]\nnumber = 2600\n");
    let said = server.command(UPDATE);
    let address = server.address;
    assert_said(
        &said,
        0,
        &[
            "[port:tcp] number: changed",
            &format!("port tcp: listens on {address}:2600"),
            &format!("port tcp: no longer listens on {address}:2525"),
        ],
    );
    assert!(refuses(server.tcp()));
    assert!(greeting(at(&server, 2600)).starts_with("220 "));
    let after = listening_inodes(&server);
    assert_eq!(
        after.get(&4465),
        before.get(&4465),
        "the tls port was bound anew"
    );
    // Sessions on both go on.
    plain.command("EHLO x", "250");
    plain.message("alice@here.example", "Subject: a\r\n\r\nb");
    assert!(tls.peer_addr().is_ok());
}

#[test]
fn a_port_that_is_taken_stays_where_it_was_and_all_else_is_applied() {
    let mut server = Server::start("");
    let taken = TcpListener::bind(at(&server, 2601)).unwrap();
    let extra = "[port:tcp]\nnumber = 2601\n[port:tls]\nnumber = 4600\n\
                 [messages]\ngreeting = {hostname} new\n";
    server.configure(extra);
    let said = server.command(&["reload"]);
    assert_eq!(said.code, Some(69), "{said:?}");
    let want = format!(
        "gatepost: port tcp cannot listen on {0}:2601: another program has it; it goes on at {0}:2525\n",
        server.address
    );
    assert_eq!(said.complaint, want);
    assert!(
        said.output.contains("[messages] greeting: changed\n"),
        "{said:?}"
    );
    assert!(
        greeting(server.tcp()).contains(" new"),
        "the kept listener has the new settings"
    );
    assert!(refuses(server.tls()));
    assert!(TcpStream::connect(at(&server, 4600)).is_ok());
    server.wait_for_log("event=listen_failed");
    let status = server.command(&["status"]).output;
    assert!(status.contains("refresh=\"applied in part\""), "{status}");
    // Told again until it is mended.
    assert_eq!(server.command(&["reload"]).code, Some(69));
    drop(taken);
    let said = server.command(&["reload"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(greeting(at(&server, 2601)).contains(" new"));
    assert!(refuses(server.tcp()));
}

#[test]
fn a_broken_file_changes_nothing_and_is_told_line_by_line() {
    let mut server = Server::start("");
    let config = server.config();
    let good = fs::read_to_string(&config).unwrap();
    let broken = good.replace("number = 2525", "number = many") + "[nope]\n";
    let lines = broken.lines().count();
    let line = broken
        .lines()
        .position(|line| line == "number = many")
        .unwrap()
        + 1;
    fs::write(&config, broken).unwrap();
    let said = server.command(UPDATE);
    assert_eq!(
        (said.code, said.output.as_str()),
        (Some(78), ""),
        "{said:?}"
    );
    let file = config.display();
    let want = [
        format!("{file}:{line}: [port:tcp] number: \"many\" is not a number from 1 to 65535"),
        format!("{file}:{lines}: [nope]: there is no such section"),
        "gatepost: configuration not changed: the file has 2 errors".to_owned(),
    ];
    assert_eq!(said.complaint.lines().collect::<Vec<_>>(), want);
    assert!(greeting(server.tcp()).starts_with("220 "));
    let status = server.command(&["status"]).output;
    assert!(
        status.contains("refresh=\"configuration not changed\""),
        "{status}"
    );
    // The same by SIGHUP goes to the log.
    hang_up(&server);
    server.wait_for_log("by=SIGHUP result=\"configuration not changed\"");
    assert!(
        server
            .log_text()
            .contains(&format!("{file}:{lines}: [nope]"))
    );
    fs::remove_file(&config).unwrap();
    fs::write(&config, good).unwrap();
    assert_said(&server.command(UPDATE), 0, &["nothing changed"]);
}

fn hang_up(server: &Server) {
    signal(server, "-HUP");
}

#[test]
fn sighup_is_the_same_refresh() {
    let mut server = Server::start("");
    server.configure("[messages]\ngreeting = {hostname} new\n");
    hang_up(&server);
    server.wait_for_log("event=refresh_begun by=SIGHUP");
    server.wait_for_log("event=refresh_ended by=SIGHUP changes=1 failures=0");
    assert!(greeting(server.tcp()).contains(" new"));
}

#[test]
fn the_service_looks_by_itself_at_each_interval() {
    let mut server = Server::start("[control]\nupdate_interval = 1s\n");
    server.configure("[control]\nupdate_interval = 1s\n[messages]\ngreeting = {hostname} new\n");
    server.wait_for_log("event=refresh_ended by=update_interval changes=1");
    assert!(greeting(server.tcp()).contains(" new"));
    // A broken file is told once, however often it is looked at.
    let good = fs::read_to_string(server.config()).unwrap();
    fs::write(server.config(), format!("{good}[nope]\n")).unwrap();
    let line = server.wait_for_log("event=refresh_failed by=update_interval");
    assert!(
        line.contains(" error ") && line.contains(" result="),
        "{line}"
    );
    let line = server.wait_for_log("event=configuration_error");
    assert!(line.contains("[nope]"), "{line}");
    let again = good.replace(" new", " newer");
    let until = Instant::now() + Duration::from_millis(2500);
    while Instant::now() < until {
        assert!(greeting(server.tcp()).contains(" new"));
    }
    fs::write(server.config(), again).unwrap();
    let mut seen = String::new();
    while !seen.contains(" newer") {
        seen = greeting(server.tcp());
    }
    let failures = server.log_text().matches("event=refresh_failed").count();
    assert_eq!(failures, 1, "{}", server.log_text());
    let errors = server
        .log_text()
        .matches("event=configuration_error")
        .count();
    assert_eq!(errors, 1, "{}", server.log_text());
}

#[test]
fn a_replaced_certificate_is_loaded_and_a_broken_one_is_not() {
    let server = Server::start("");
    let folder = server.folder.path().to_owned();
    let install = |name: &str| {
        for end in ["crt", "key"] {
            let from = data(&format!("{name}.{end}"));
            fs::copy(from, folder.join(format!("own.{end}"))).unwrap();
        }
    };
    install("p256");
    let own = format!(
        "[tls]\ncertificate = {0}/own.crt\nprivate_key = {0}/own.key\n",
        folder.display()
    );
    server.configure(&own);
    // Other files, the same certificate: nobody would see a difference.
    let changed = ["[tls] certificate: changed", "[tls] private_key: changed"];
    assert_said(&server.command(UPDATE), 0, &changed);
    let shown = has_program("openssl").then(|| s_client(server.tls()));
    install("rsa");
    let loaded = format!("certificate {}: loaded", folder.join("own.crt").display());
    assert_said(&server.command(UPDATE), 0, &[&loaded]);
    if let Some(before) = shown {
        let after = s_client(server.tls());
        assert!(before.contains("BEGIN CERTIFICATE") && after.contains("BEGIN CERTIFICATE"));
        assert_ne!(before, after);
    }
    // A key that does not fit keeps the old one.
    fs::copy(data("p256.key"), folder.join("own.key")).unwrap();
    let said = server.command(UPDATE);
    assert_eq!(said.code, Some(78), "{said:?}");
    assert!(
        said.complaint.contains("not the certificate of the key"),
        "{said:?}"
    );
    assert_eq!(
        server
            .command(&["status"])
            .output
            .matches("stage=tls")
            .count(),
        1
    );
}

#[test]
fn a_renewed_certificate_of_a_site_is_found_after_a_refresh() {
    let server = Server::start("");
    let folder = server.folder.path().to_owned();
    let install = |name: &str| {
        for end in ["key", "crt"] {
            let from = data(&format!("{name}.{end}"));
            fs::copy(from, folder.join(format!("site.{end}"))).unwrap();
        }
    };
    install("rsa");
    let sites = format!(
        "[server]\nload_internet_sites = yes\n[tls]\nwatch = 1s\n\
         [site:one]\ncertificate = {0}/site.crt\nprivate_key = {0}/site.key\n\
         tcp_anonymous = yes\ntls_anonymous = yes\n",
        folder.display()
    );
    server.configure(&sites);
    let said = server.command(UPDATE);
    assert_eq!(said.code, Some(0), "{said:?}");
    let loaded = format!(
        "certificate {}: loaded\n",
        folder.join("site.crt").display()
    );
    assert!(said.output.contains(&loaded), "{said:?}");
    let status = server.command(&["status"]).output;
    assert_eq!(status.matches("\ncertificate file=").count(), 2, "{status}");
    assert!(status.contains(" site=one"), "{status}");
    install("chain");
    let again = format!(
        "event=certificate_loaded file={}",
        folder.join("site.crt").display()
    );
    let until = Instant::now() + support::PATIENCE;
    while server.log_text().matches(&again).count() < 2 {
        assert!(Instant::now() < until, "{}", server.log_text());
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn s_client(address: SocketAddr) -> String {
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &address.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let end = text.find("-----END CERTIFICATE").unwrap_or(0);
    text[text.find("-----BEGIN CERTIFICATE").unwrap_or(0)..end].to_owned()
}

#[test]
fn both_ports_are_disabled_and_enabled_again() {
    let mut server = Server::start("");
    let mut session = Client::greeted(server.tcp());
    server.configure("[port:tcp]\nstatus = disabled\n[port:tls]\nstatus = disabled\n");
    let said = server.command(UPDATE);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.output.contains("no SMTP port is enabled\n"),
        "{said:?}"
    );
    assert!(said.complaint.contains("(W-05)"), "{said:?}");
    assert!(refuses(server.tcp()) && refuses(server.tls()));
    server.wait_for_log("no SMTP port is enabled");
    let status = server.command(&["status"]).output;
    assert!(status.contains("no SMTP port is enabled\n"), "{status}");
    session.command("EHLO x", "250");
    server.configure("");
    assert_eq!(server.command(UPDATE).code, Some(0));
    assert!(greeting(server.tcp()).starts_with("220 "));
    assert!(TcpStream::connect(server.tls()).is_ok());
    session.message("alice@here.example", "Subject: a\r\n\r\nb");
}

#[test]
fn what_needs_a_restart_is_named_until_it_came() {
    let mut server = Server::start("");
    let extra = "[server]\nspool = other\nuser = nobody\n[workers]\nthreads = 1\n\
                 [delivery]\nmail_root = elsewhere\n[log]\nformat = json\nlevel = debug\n";
    server.configure(extra);
    let pending = [
        "[server] spool: takes effect at the next start",
        "[server] user: takes effect at the next start",
        "[workers] threads: takes effect at the next start",
        "[delivery] mail_root: takes effect at the next start",
        "[log] format: takes effect at the next start",
    ];
    let said = server.command(UPDATE);
    assert_eq!(said.code, Some(0));
    let lines: Vec<&str> = said.output.lines().collect();
    assert_eq!(lines[0], "[log] level: changed");
    assert_eq!(lines[1..], pending);
    server.wait_for_log("event=setting_changed section=log key=level effect=now");
    let again = "event=setting_changed section=server key=user effect=\"at the next start\"";
    server.wait_for_log(again);
    // The level is another at once, everything else works as before.
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO x", "250");
    client.message("alice@here.example", "Subject: a\r\n\r\nb");
    server.wait_for_log("debug event=session_opened");
    server.wait_for_mail("alice", 1);
    assert_said(&server.command(UPDATE), 0, &pending);
    let until = Instant::now() + PATIENCE;
    while server.log_text().matches(again).count() < 2 {
        assert!(Instant::now() < until, "what is pending is told again");
    }
    let socket = server.folder.path().join("other-control");
    server.configure(&format!("[control]\nsocket = {}\n", socket.display()));
    // The old socket still answers; the file names the new one, so it has to be named by hand.
    let said = server.command(UPDATE);
    assert_eq!(said.code, Some(69), "{said:?}");
    hang_up(&server);
    server.wait_for_log("section=control key=socket effect=\"at the next start\"");
    server.configure("");
    assert_eq!(server.command(UPDATE).code, Some(0));
    assert_said(&server.command(UPDATE), 0, &["nothing changed"]);
}

#[test]
fn a_port_gives_up_every_address_but_one_and_takes_them_back() {
    let server = Server::start("");
    // The wildcard needs a number that nobody has on any address.
    let number = TcpListener::bind("0.0.0.0:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let all = format!("[port:tcp]\nnumber = {number}\naddresses = 0.0.0.0\n");
    let one = format!(
        "[port:tcp]\nnumber = {number}\naddresses = {}\n",
        server.address
    );
    server.configure(&all);
    assert_eq!(server.command(UPDATE).code, Some(0));
    let mut session = Client::greeted(at(&server, number));
    let elsewhere = SocketAddr::from(([127, 0, 0, 1], number));
    assert!(greeting(elsewhere).starts_with("220 "));
    for round in 0..4 {
        let (ini, open) = [(&one, false), (&all, true)][round % 2];
        server.configure(ini);
        let said = server.command(UPDATE);
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(greeting(at(&server, number)).starts_with("220 "));
        assert_eq!(!refuses(elsewhere), open, "round {round}");
    }
    session.command("NOOP", "250");
}

#[test]
fn a_further_port_that_cannot_move_goes_on_speaking_as_it_did() {
    let server = Server::start("[port:more]\nkind = tcp\nnumber = 2610\naddresses = 127.0.0.9\n");
    let more = |number: u16| SocketAddr::from(([127, 0, 0, 9], number));
    let own = |kind: &str, number: u16| {
        format!(
            "[port:more]\nkind = {kind}\nnumber = {number}\naddresses = {}\nstatus = enabled\n",
            server.address
        )
    };
    server.configure(&own("tcp", 2610));
    assert_eq!(server.command(UPDATE).code, Some(0));
    assert!(refuses(more(2610)));
    let taken = TcpListener::bind(at(&server, 2611)).unwrap();
    server.configure(&own("tls", 2611));
    assert_eq!(server.command(UPDATE).code, Some(69));
    assert!(
        greeting(at(&server, 2610)).starts_with("220 "),
        "plain text, as before"
    );
    let status = server.command(&["status"]).output;
    assert!(status.contains("port=more kind=tcp"), "{status}");
    drop(taken);
    // A child that another test forks has it until it becomes its program.
    let until = Instant::now() + PATIENCE;
    while TcpListener::bind(at(&server, 2611)).is_err() && Instant::now() < until {
        std::thread::yield_now();
    }
    assert_eq!(server.command(UPDATE).code, Some(0));
    let status = server.command(&["status"]).output;
    assert!(status.contains("port=more kind=tls"), "{status}");
}

#[test]
fn limits_of_the_spool_change_at_once() {
    let server = Server::start("");
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO x", "250");
    server.configure("[limits]\nfree_space = 1000000M\n");
    assert_said(
        &server.command(UPDATE),
        0,
        &["[limits] free_space: changed"],
    );
    client.command("MAIL FROM:<>", "452 4.3.1");
    server.configure("");
    assert_eq!(server.command(UPDATE).code, Some(0));
    client.command("MAIL FROM:<>", "250");
}

#[test]
fn refreshes_at_once_are_done_one_after_another() {
    let server = Server::start("");
    let callers: Vec<_> = (0..12)
        .map(|number| {
            let config = server.config();
            let greeting = format!("[messages]\ngreeting = {{hostname}} number-{number}\n");
            server.configure(&greeting);
            let mut command = gatepost();
            command.args(UPDATE).arg("--config").arg(config);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().unwrap()
        })
        .collect();
    for mut caller in callers {
        assert_eq!(caller.wait().unwrap().code(), Some(0));
    }
    assert_eq!(server.command(UPDATE).code, Some(0));
    assert!(greeting(server.tcp()).contains("number-11"));
    // The lines come by a pipe, some of them after the command has ended.
    let until = Instant::now() + PATIENCE;
    let log = loop {
        let log = server.log_text();
        if log.matches("event=refresh_ended").count() >= 13 {
            break log;
        }
        assert!(Instant::now() < until, "{log}");
        std::thread::yield_now();
    };
    let steps = log.lines().filter_map(|line| {
        let is = |event: &str| line.contains(event);
        let ends = is("event=refresh_ended") || is("event=refresh_failed");
        is("event=refresh_begun")
            .then_some('(')
            .or(ends.then_some(')'))
    });
    assert_eq!(steps.collect::<String>(), "()".repeat(13));
}

#[test]
fn a_session_keeps_the_access_lists_it_began_with() {
    let server =
        Server::start("[port:tcp]\nname_and_password = yes\n[extensions]\nstarttls = disabled\n");
    let denied = "[port:tcp]\nname_and_password = yes\n[extensions]\nstarttls = disabled\n\
                  [server_access]\nenforce = yes\ndeny = alice\n";
    // alice/wonderland
    let login = "AUTH PLAIN AGFsaWNlAHdvbmRlcmxhbmQ=";
    let mut old = Client::greeted(server.tcp());
    old.command("EHLO x", "250");
    server.configure(denied);
    assert_eq!(server.command(UPDATE).code, Some(0));
    let mut new = Client::greeted(server.tcp());
    new.command("EHLO x", "250");
    new.command(login, "535 5.7.8");
    old.command(login, "235 ");
}

/// Whoever the kernel has connected is served, on the listener that stays and on the one that goes.
#[test]
fn connections_that_wait_in_a_backlog_are_not_lost() {
    let mut server = Server::start(
        "[connections]\nsessions_max_per_address = 0\n[port:more]\nkind = tcp\nnumber = 2630\naddresses = 127.0.0.7\n",
    );
    let extra = |tcp: u16| {
        format!(
            "[connections]\nsessions_max_per_address = 0\n[port:tcp]\nnumber = {tcp}\n\
             [port:more]\nkind = tcp\nnumber = 2630\naddresses = {}\n",
            server.address
        )
    };
    server.configure(&extra(TCP_PORT));
    assert_eq!(server.command(UPDATE).code, Some(0));
    server.configure(&extra(2631));
    signal(&server, "-STOP");
    let ports = [TCP_PORT, 2630].map(|number| at(&server, number));
    let mut waiting: Vec<Client> = Vec::new();
    for _ in 0..100 {
        waiting.extend(ports.map(Client::connect));
    }
    let mut command = gatepost();
    command.args(UPDATE).arg("--config").arg(server.config());
    let mut update = command.stdout(Stdio::null()).spawn().unwrap();
    signal(&server, "-CONT");
    for client in &mut waiting {
        client.expect("220 ");
        client.command("EHLO x", "250");
    }
    assert_eq!(update.wait().unwrap().code(), Some(0));
    assert!(refuses(server.tcp()));
    waiting[0].message("alice@here.example", "Subject: a\r\n\r\nb");
    server.wait_for_log("event=listening_ended port=tcp");
}

fn signal(server: &Server, name: &str) {
    let pid = server.pid().to_string();
    let status = Command::new("kill").args([name, &pid]).status().unwrap();
    assert!(status.success());
}

/// Ports move back and forth while mail comes in on all of them: whoever was greeted is served to the
/// end, and every message that was accepted arrives.
#[test]
fn refreshes_under_load_lose_nothing_and_cut_nobody() {
    let server = Server::start(
        "[connections]\nsessions_max_per_address = 0\n[port:more]\nkind = tcp\nnumber = 2620\naddresses = 127.0.0.8\n",
    );
    let extra = |tcp: u16| {
        format!(
            "[connections]\nsessions_max_per_address = 0\n[port:tcp]\nnumber = {tcp}\n\
             [port:more]\nkind = tcp\nnumber = 2620\naddresses = {}\n",
            server.address
        )
    };
    server.configure(&extra(TCP_PORT));
    assert_eq!(server.command(UPDATE).code, Some(0));
    let steady = has_program("smtp-source").then(|| smtp_source(at(&server, 2620), 400));
    let numbers = [TCP_PORT, 2621];
    let address = server.address;
    let roamers: Vec<_> = (0..4)
        .map(|roamer| std::thread::spawn(move || roam(address, numbers, roamer)))
        .collect();
    for round in 1..=30 {
        server.configure(&extra(numbers[round % 2]));
        let said = server.command(UPDATE);
        assert_eq!(said.code, Some(0), "{said:?}");
    }
    let mut acknowledged = HashSet::new();
    for roamer in roamers {
        acknowledged.extend(roamer.join().unwrap());
    }
    if let Some(mut steady) = steady {
        assert!(steady.wait().unwrap().success(), "smtp-source met an error");
        server.wait_for_mail("bob", 400);
    }
    let mut seen = HashSet::new();
    for text in server.wait_for_mail("alice", acknowledged.len()) {
        let tag = text.lines().find_map(|line| line.strip_prefix("Subject: "));
        assert!(
            seen.insert(tag.unwrap().to_owned()),
            "delivered twice: {tag:?}"
        );
    }
    assert_eq!(seen, acknowledged);
    let status = server.command(&["status"]).output;
    let accepted = acknowledged.len() + if has_program("smtp-source") { 400 } else { 0 };
    assert!(
        status.contains(&format!("messages_accepted={accepted} ")),
        "{status}"
    );
}

fn smtp_source(address: SocketAddr, messages: usize) -> std::process::Child {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/usr/lib/postfix/sbin";
    let mut source = Command::new("smtp-source");
    source
        .env("PATH", path)
        .args(["-d", "-s", "4", "-m", &messages.to_string(), "-l", "2000"])
        .args(["-f", "a@there.example", "-t", "bob@here.example"])
        .arg(address.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    source.spawn().unwrap()
}

/// Sends messages to whichever of the numbers is open; gives the subjects that were acknowledged. A
/// session that was connected must never be cut.
fn roam(address: std::net::IpAddr, numbers: [u16; 2], roamer: usize) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let until = Instant::now() + PATIENCE;
    let mut message = 0;
    while message < 40 {
        assert!(Instant::now() < until);
        let number = numbers[message % 2];
        let other = numbers[(message + 1) % 2];
        let ports = [number, other].map(|number| SocketAddr::new(address, number));
        let Some(stream) = ports.iter().find_map(|port| TcpStream::connect(port).ok()) else {
            continue;
        };
        let mut client = Client::over(stream);
        let greeting = client.reply();
        if greeting.is_empty() {
            // Connected in the moment between the last accept and the close: the kernel's reset.
            continue;
        }
        assert!(greeting.starts_with("220 "), "{greeting}");
        client.command("EHLO x", "250");
        let tag = format!("tag-{roamer}-{message}");
        client.message(
            "alice@here.example",
            &format!("Subject: {tag}\r\n\r\nHello."),
        );
        acknowledged.push(tag);
        client.command("QUIT", "221");
        message += 1;
    }
    acknowledged
}
