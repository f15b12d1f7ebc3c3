//! The operator's console on the real binary: who may, what is told, and what a bad client can do.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use support::{
    Client, PATIENCE, Said, Server, TempFolder, base_ini, data, gatepost, is_root, own_address,
};

const COMMANDS: [&[&str]; 8] = [
    &["tell", "smtp", "update", "config"],
    &["tell", "smtp", "quit"],
    &["reload"],
    &["status"],
    &["sessions"],
    &["sessions", "kill", "1"],
    &["unban", "192.0.2.1"],
    &["health"],
];

fn socket(server: &Server) -> PathBuf {
    server.folder.path().join("control")
}

#[test]
fn where_nothing_runs_every_command_says_so() {
    let folder = TempFolder::new("nothing");
    let config = folder.path().join("f.ini");
    fs::write(&config, "[control]\nsocket = control\n[broken\n").unwrap();
    let run = |words: &[&str]| {
        let mut command = gatepost();
        command.args(words).arg("--config").arg(&config);
        Said::of(&command.output().unwrap())
    };
    let path = folder.path().join("control");
    let want = format!(
        "gatepost: the service is not running: nothing answers on {}\n\
         (if [control] socket was changed while it ran, it still answers on the old one)\n",
        path.display()
    );
    for words in COMMANDS {
        let said = run(words);
        assert_eq!((said.code, &said.complaint), (Some(69), &want), "{words:?}");
    }
    // So does the socket that a dead server left.
    drop(UnixListener::bind(&path).unwrap());
    assert_eq!(run(&["status"]).complaint, want);
    // A file that cannot be read, or whose one key that counts is broken, is the file's fault.
    fs::write(&config, "[control]\nsocket =\n").unwrap();
    let said = run(&["status"]);
    assert_eq!(said.code, Some(78), "{said:?}");
    assert!(
        said.complaint.contains("f.ini:2: [control] socket: "),
        "{said:?}"
    );
    fs::remove_file(&config).unwrap();
    assert_eq!(run(&["status"]).code, Some(78));
}

/// Such a mistake may be why the socket is not the one that was meant.
#[test]
fn a_mistake_before_the_socket_is_told_where_nothing_runs() {
    let folder = TempFolder::new("mistake");
    let config = folder.path().join("f.ini");
    let run = |words: &[&str]| {
        let mut command = gatepost();
        command.args(words).arg("--config").arg(&config);
        Said::of(&command.output().unwrap())
    };
    let hidden = "[contrl]\nsocket = control\n";
    let broken = "[control\nsocket = control\n";
    let earlier = "[server]\nhostnam = a.example\n[control]\nsocket = control\n";
    for (ini, line) in [(hidden, 1), (broken, 1), (earlier, 2)] {
        fs::write(&config, ini).unwrap();
        let further: &[&[&str]] = &[&["top", "--once"], &["devices", "forget", "192.0.2.1"]];
        for words in COMMANDS.iter().chain(further) {
            let said = run(words);
            assert_eq!(said.code, Some(78), "{ini}: {words:?}: {said:?}");
            let place = format!("f.ini:{line}: ");
            assert!(said.complaint.contains(&place), "{words:?}: {said:?}");
            assert!(!said.complaint.contains("not running"), "{said:?}");
        }
    }
    // A service that answers is asked, whatever is wrong with the file.
    fs::write(&config, earlier).unwrap();
    let listener = UnixListener::bind(folder.path().join("control")).unwrap();
    std::thread::spawn(move || drop(listener.accept()));
    let said = run(&["status"]);
    assert_ne!(said.code, Some(78), "{said:?}");
    // A mistake behind it changes nothing about it.
    fs::remove_file(folder.path().join("control")).unwrap();
    fs::write(&config, "[control]\nsocket = control\n[broken\n").unwrap();
    assert_eq!(run(&["status"]).code, Some(69));
}

#[test]
fn other_words_are_wrong_usage() {
    let folder = TempFolder::new("usage");
    let config = folder.path().join("f.ini");
    fs::write(&config, "[control]\nsocket = control\n").unwrap();
    let rows: [&[&str]; 16] = [
        &["tell"],
        &["tell", "smtp"],
        &["tell", "smtp", "restart"],
        &["tell", "http", "quit"],
        &["reload", "now"],
        &["status", "--jsn"],
        &["status", "--format", "xml"],
        &["status", "--json", "--format", "prometheus"],
        &["health", "now"],
        &["health", "--format"],
        &["sessions", "kill"],
        &["sessions", "kill", "x y"],
        &["sessions", "stop", "1"],
        &["unban"],
        &["unban", "alice", "bob"],
        &["unban", "a b"],
    ];
    for words in rows {
        let mut command = gatepost();
        let output = command.args(words).arg("--config").arg(&config).output();
        let said = Said::of(&output.unwrap());
        assert_eq!(said.code, Some(64), "{words:?}: {said:?}");
        assert!(said.complaint.starts_with("gatepost: "), "{said:?}");
    }
}

#[test]
fn a_dead_servers_socket_is_replaced_and_a_live_one_is_not() {
    let mut server = Server::start("");
    server.kill();
    assert!(socket(&server).exists(), "kill -9 leaves it");
    server.restart();
    assert_eq!(server.command(&["status"]).code, Some(0));
    // A second server with ports and a spool of its own, but the same socket.
    let folder = TempFolder::new("second");
    let own = format!("[control]\nsocket = {}\n", socket(&server).display());
    let ini = base_ini(own_address(), folder.path(), &own);
    let config = folder.path().join("gatepost.ini");
    fs::copy(data("users"), folder.path().join("users")).unwrap();
    fs::write(&config, ini).unwrap();
    // It runs, for mail comes first, but without a console; the first one's is not taken for its own.
    let mut second = gatepost()
        .arg("serve")
        .arg("--config")
        .arg(&config)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(second.stderr.take().unwrap()).lines();
    let mut lines = log.by_ref().map_while(Result::ok);
    let unavailable = lines.find(|line| line.contains("event=console_unavailable"));
    assert!(unavailable.unwrap().contains("another gatepost answers on"));
    assert!(lines.any(|line| line.contains("event=started")));
    for words in [&["status"][..], &["tell", "smtp", "quit"]] {
        let output = gatepost().args(words).arg("--config").arg(&config).output();
        let said = Said::of(&output.unwrap());
        assert_eq!(said.code, Some(69), "{said:?}");
        assert!(
            said.complaint.contains("is the socket of the service with"),
            "{said:?}"
        );
    }
    let pid = second.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(second.wait().unwrap().code(), Some(0));
    assert_eq!(server.command(&["status"]).code, Some(0));
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    assert!(!socket(&server).exists(), "a gentle end removes it");
}

#[test]
fn a_socket_that_cannot_be_made_costs_the_console_and_no_mail() {
    let mut server = Server::start("[control]\nsocket = /dev/null/control\n");
    server.wait_for_log("error event=console_unavailable reason=\"/dev/null/control: ");
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO x", "250");
    client.message("alice@here.example", "Subject: a\r\n\r\nb");
    assert_eq!(server.command(&["status"]).code, Some(69));
    // SIGHUP refreshes all the same.
    server.configure("[control]\nsocket = /dev/null/control\n[limits]\nrecipients = 7\n");
    let pid = server.pid().to_string();
    assert!(
        Command::new("kill")
            .args(["-HUP", &pid])
            .status()
            .unwrap()
            .success()
    );
    server.wait_for_log("event=refresh_ended by=SIGHUP changes=1");
    server.terminate();
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn quit_ends_it_as_sigterm_does() {
    let mut server = Server::start("");
    let mut idle = Client::greeted(server.tcp());
    let said = server.command(&["tell", "smtp", "quit"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    idle.expect("421 4.3.2 Service shutting down");
    assert_eq!(server.wait(), Some(0));
    let line = server.wait_for_log("event=quit ");
    assert!(line.contains(" info ") && line.contains(" by="), "{line}");
    assert_eq!(server.command(&["tell", "smtp", "quit"]).code, Some(69));
}

#[test]
fn only_root_the_account_and_the_group_may() {
    if !is_root() {
        eprintln!("SKIPPED: only root can ask as somebody else");
        return;
    }
    let mut server = Server::start("");
    let mode = |path: PathBuf| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(socket(&server)), 0o660);
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_gatepost"));
    let run = |groups: &str, word: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", groups]);
        command.arg(&binary).args([word, "--config"]);
        command.arg(server.config());
        Said::of(&command.output().unwrap())
    };
    let as_nobody = |groups: &str| {
        let (said, health) = (run(groups, "status"), run(groups, "health"));
        assert_eq!(said.code, health.code, "{health:?}");
        said
    };
    let said = as_nobody("--clear-groups");
    if said.code == Some(126) || said.code == Some(127) {
        eprintln!("SKIPPED: nobody may not run the program here: {said:?}");
        return;
    }
    // The file system keeps strangers out.
    assert_eq!(said.code, Some(77), "{said:?}");
    assert!(said.complaint.contains("not permitted"), "{said:?}");
    // Where an operator has opened the file to all, the service itself does.
    fs::set_permissions(socket(&server), fs::Permissions::from_mode(0o666)).unwrap();
    let said = as_nobody("--clear-groups");
    assert_eq!(said.code, Some(77), "{said:?}");
    assert!(said.complaint.contains("not permitted"), "{said:?}");
    fs::set_permissions(socket(&server), fs::Permissions::from_mode(0o660)).unwrap();
    // Members of the socket's group may: by their own group, or by a further one.
    chown(socket(&server), None, Some(65534)).unwrap();
    assert_eq!(as_nobody("--clear-groups").code, Some(0));
    chown(socket(&server), None, Some(4242)).unwrap();
    assert_eq!(as_nobody("--clear-groups").code, Some(77));
    assert_eq!(as_nobody("--groups=4242").code, Some(0));
    server.wait_for_log("event=console_refused uid=65534");
}

/// Started as root, the service gives socket and folder to its account, keeps what root read, and may
/// still bind a low port.
#[test]
fn an_account_of_its_own_can_refresh_what_root_began() {
    if !is_root() {
        return;
    }
    let folder = std::env::temp_dir().join(format!("gatepost-account-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    for (from, to, mode) in [
        ("users", "users", 0o644),
        ("p256.crt", "own.crt", 0o644),
        ("p256.key", "own.key", 0o600),
    ] {
        fs::copy(data(from), folder.join(to)).unwrap();
        fs::set_permissions(folder.join(to), fs::Permissions::from_mode(mode)).unwrap();
    }
    let extra = |number: u16| {
        format!(
            "[server]\nuser = nobody\n[control]\nsocket = {0}/run/control\n[port:tcp]\nnumber = {number}\n\
             [tls]\ncertificate = {0}/own.crt\nprivate_key = {0}/own.key\n\
             [auth]\nusers = {0}/users\n[server]\nspool = {0}/spool\n[delivery]\nmail_root = {0}/mail\n",
            folder.display()
        )
    };
    let mut server = Server::start_elsewhere(&folder.join("gatepost.ini"), &extra(2525));
    assert_eq!(
        fs::metadata(folder.join("run")).unwrap().mode() & 0o7777,
        0o755
    );
    assert_eq!(
        fs::metadata(folder.join("run/control")).unwrap().uid(),
        65534
    );
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    assert!(status.contains("CapPrm:\t0000000000000400\n"), "{status}");
    assert!(status.contains("CapEff:\t0000000000000400\n"), "{status}");
    // Neither the helper nor the programs that it runs have even that.
    let children = format!("/proc/{0}/task/{0}/children", server.pid());
    let helper = fs::read_to_string(children).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", helper.trim())).unwrap();
    for line in ["CapPrm", "CapEff", "CapInh", "CapAmb"] {
        let none = format!("{line}:\t0000000000000000\n");
        assert!(status.contains(&none), "{none}{status}");
    }
    assert!(status.contains("NoNewPrivs:\t1\n"), "{status}");
    server.configure(&extra(26));
    let said = server.command(&["reload"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.complaint.contains("only root may read it"), "{said:?}");
    Client::greeted(std::net::SocketAddr::new(server.address, 26));
    assert!(server.command(&["status"]).output.contains("stage=tls "));
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_stalled_console_client_harms_nobody() {
    let server = Server::start("");
    // More of them than are served at a time, in every state.
    let mut stalled = Vec::new();
    for number in 0..20 {
        let mut stream = UnixStream::connect(socket(&server)).unwrap();
        if number % 2 == 0 {
            stream.write_all(b"stat").unwrap();
        }
        stalled.push(stream);
    }
    let began = Instant::now();
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO x", "250");
    client.message("alice@here.example", "Subject: a\r\n\r\nb");
    assert!(began.elapsed() < Duration::from_secs(5));
    // Each round of them has a second while others wait, and ten where nobody does.
    assert_eq!(server.command(&["status"]).code, Some(0));
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
    let mut rest = Vec::new();
    stalled[0].read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
}

#[test]
fn a_bad_request_is_refused_and_a_silent_end_is_forgotten() {
    let server = Server::start("");
    let mut long = vec![b'x'; 100_000];
    long.push(b'\n');
    let rows: [(&[u8], &str); 6] = [
        (b"\n", "gatepost 1 usage "),
        (b"nonsense\n", "gatepost 1 usage "),
        (b"tell smtp restart\n", "gatepost 1 usage "),
        (b"status\xff\n", "gatepost 1 usage "),
        (b"status\0\n", "gatepost 1 usage "),
        (b"stat", ""),
    ];
    for (request, want) in rows {
        let mut stream = UnixStream::connect(socket(&server)).unwrap();
        stream.write_all(request).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with(want) && answer.is_empty() == want.is_empty(),
            "{answer}"
        );
    }
    let mut stream = UnixStream::connect(socket(&server)).unwrap();
    // Too long: whether all of it is taken is the kernel's affair.
    let _ = stream.write_all(&long);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.starts_with(b"gatepost 1 usage "));
    assert_eq!(server.command(&["status"]).code, Some(0));
}

/// The value of `key=` in a line of key=value.
fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split(' ')
        .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

#[test]
fn the_sessions_are_listed_with_what_they_do() {
    let server = Server::start("");
    let mut greeting = Client::greeted(server.tcp());
    let mut data = Client::greeted(server.tcp());
    data.command("EHLO data.example", "250");
    data.message("alice@here.example", "Subject: a\r\n\r\nb");
    data.command("MAIL FROM:<>", "250");
    data.command("RCPT TO:<alice@here.example>", "250");
    data.command("DATA", "354");
    let mut auth = Client::greeted(server.tcp());
    auth.command("EHLO forged\" id=9", "501");
    auth.command("EHLO auth.example", "250");
    let _handshake = Client::connect(server.tls());
    let listed = wait_for_sessions(&server, 4);
    let rows = [
        ("port=tcp", "state=greeting", "messages=0"),
        (
            "port=tcp",
            "state=mail-data helo=data.example",
            "messages=1",
        ),
        ("port=tcp", "state=command helo=auth.example", "messages=0"),
        ("port=tls", "state=tls-handshake", "messages=0"),
    ];
    for (line, (port, state, messages)) in listed.lines().zip(rows) {
        for want in [port, state, messages, "client=127.", "seconds="] {
            assert!(line.contains(want), "{want} in {line}");
        }
    }
    let json = server.command(&["sessions", "--json"]).output;
    assert!(
        json.starts_with("{\"sessions\":[{\"id\":\"00000000\",\"client\":\"127."),
        "{json}"
    );
    assert!(json.ends_with("],\"more\":0}\n"), "{json}");
    greeting.command("QUIT", "221");
}

/// The list once it has this many sessions, none of them busy.
fn wait_for_sessions(server: &Server, count: usize) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        let said = server.command(&["sessions"]);
        assert_eq!(said.code, Some(0), "{said:?}");
        let busy = said.output.contains("state=working");
        if said.output.lines().count() == count && !busy {
            return said.output;
        }
        assert!(Instant::now() < until, "{said:?}");
    }
}

#[test]
fn a_session_is_killed_whatever_it_does() {
    let mut server = Server::start("");
    let mut idle = Client::greeted(server.tcp());
    idle.command("EHLO idle.example", "250");
    let mut data = Client::greeted(server.tcp());
    data.command("EHLO data.example", "250");
    data.command("MAIL FROM:<>", "250");
    data.command("RCPT TO:<alice@here.example>", "250");
    data.command("DATA", "354");
    data.send(b"Subject: half a message\r\n\r\n");
    data.send("0123456789abcdef\r\n".repeat(40_000).as_bytes());
    let mut handshake = Client::connect(server.tls());
    let mut chunks = Client::greeted(server.tcp());
    chunks.command("EHLO chunks.example", "250");
    chunks.command("MAIL FROM:<>", "250");
    chunks.command("RCPT TO:<alice@here.example>", "250");
    chunks.command("BDAT 12\r\nSubject: a", "250");
    let mut other = Client::greeted(server.tcp());
    let listed = wait_for_sessions(&server, 5);
    let ids: Vec<&str> = listed
        .lines()
        .map(|line| value(line, "id").unwrap())
        .collect();
    for id in &ids[..4] {
        let said = server.command(&["sessions", "kill", id]);
        assert_eq!(said.code, Some(0), "{said:?}");
        assert_eq!(said.output, format!("session {id} ends\n"));
    }
    idle.expect("421 4.3.2 Session ended by the operator");
    assert_eq!(idle.rest(), b"");
    assert_eq!(data.rest(), b"", "cut without a word");
    // What is left to say there is an alert of TLS.
    handshake.rest();
    assert_eq!(chunks.rest(), b"", "between two chunks as well");
    for id in &ids[..4] {
        server.wait_for_log(&format!("event=session_killed sid={id} by="));
        let line = server.wait_for_log(&format!("event=session_ended sid={id}"));
        assert!(line.contains("reason=killed"), "{line}");
    }
    // Once is enough, and what never was is told.
    for id in [ids[0], "7777"] {
        let said = server.command(&["sessions", "kill", id]);
        assert_eq!(said.code, Some(69), "{said:?}");
        assert!(said.complaint.contains("there is no session"), "{said:?}");
    }
    // Zeros in front may be left out.
    let short = ids[4].trim_start_matches('0');
    other.command("NOOP", "250");
    assert_eq!(server.command(&["sessions", "kill", short]).code, Some(0));
    other.expect("421 4.3.2 Session ended by the operator");
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    assert!(server.new_mail("alice").is_empty());
    let left = fs::read_dir(server.folder.path().join("spool/queue"))
        .unwrap()
        .count();
    assert_eq!(left, 0, "nothing of the half message is kept");
}

#[test]
fn the_numbers_of_the_status_are_true() {
    let server = Server::start("[connections]\nsessions_max = 7\n");
    let mut one = Client::greeted(server.tcp());
    one.command("EHLO x", "250");
    one.message("alice@here.example", "Subject: a\r\n\r\nb");
    one.message("bob@here.example", "Subject: a\r\n\r\nb");
    let two = Client::greeted(server.tcp());
    drop(two);
    server.wait_for_mail("alice", 1);
    server.wait_for_mail("bob", 1);
    let until = Instant::now() + PATIENCE;
    let status = loop {
        let said = server.command(&["status"]);
        assert_eq!(said.code, Some(0), "{said:?}");
        // A delivered message leaves the queue with the next checkpoint.
        if said
            .output
            .contains("sessions=1 sessions_peak=2 sessions_max=7 queue=0\n")
        {
            break said.output;
        }
        assert!(Instant::now() < until, "{said:?}");
    };
    let lines: Vec<&str> = status.lines().collect();
    let config = server.config();
    let head = [
        format!("service version={}", env!("CARGO_PKG_VERSION")),
        format!("pid={}", server.pid()),
        format!("configuration={}", config.display()),
        "refresh=\"never refreshed\"".to_owned(),
    ];
    for want in head {
        assert!(lines[0].contains(&want), "{want} in {}", lines[0]);
    }
    let address = server.address;
    let listeners = [
        format!(
            "listener port=tcp kind=tcp address={address}:2525 stage=plaintext auth=no anonymous=yes starttls_required=no enabled=yes"
        ),
        format!(
            "listener port=tcp kind=tcp address={address}:2525 stage=starttls auth=no anonymous=yes starttls_required=no enabled=yes"
        ),
        format!(
            "listener port=tls kind=tls address={address}:4465 stage=tls auth=no anonymous=yes starttls_required=no enabled=yes"
        ),
    ];
    assert_eq!(lines[1..4], listeners);
    assert!(
        lines[4].starts_with("certificate file=")
            && lines[4].contains(" subject=mx.here.example not_after="),
        "{status}"
    );
    assert!(lines[5].starts_with("counters sessions=2 connections_refused=0 messages_accepted=2 "));
    let json = server.command(&["status", "--json"]).output;
    for want in [
        "\"sessions_max\":7,",
        "\"address\":\"",
        "\"counters\":{\"sessions\":2,",
        "\"refreshed\":null,",
    ] {
        assert!(json.contains(want), "{want} in {json}");
    }
    drop(one);
}

#[test]
fn many_sessions_are_listed_without_holding_up_one() {
    let server = Server::start(
        "[connections]\nsessions_max = 20000\nsessions_max_per_address = 0\n[workers]\nthreads = 2\n",
    );
    let idle: Vec<Client> = (0..1500).map(|_| Client::greeted(server.tcp())).collect();
    let mut client = Client::greeted(server.tcp());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let began = Instant::now();
                client.command("NOOP", "250");
                assert!(began.elapsed() < Duration::from_secs(2));
            }
        });
        for _ in 0..20 {
            let said = server.command(&["sessions"]);
            assert_eq!(said.code, Some(0));
            assert_eq!(said.output.lines().count(), 1501);
        }
        done.store(true, Ordering::Relaxed);
    });
    drop(idle);
}
