//! Where log lines go: syslog's socket, systemd's journal by its own protocol, standard error that the
//! journal may read; in text and in JSON, whatever a client says.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs::{self, File};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::{Client, PATIENCE, Server, TCP_PORT, TempFolder, base_ini, data, own_address};

/// What a client says that would like to be more than a value.
const HOSTILE: &str = "EHLO x\u{1b}[2J\"\\}\u{7f}\r\nMAIL FROM:<\"a\\\" event=login\"@x.example>\r\nRCPT \
                       TO:<nobody=\"@here.example>\r\nNOOP \\\"{},\u{e9}\r\nEHLO a.example\r\nMAIL \
                       FROM:<a@b.example>\r\nRCPT TO:<\"EVENT=x\\\" y\"@here.example>\r\nRCPT \
                       TO:<alice@here.example>\r\nDATA\r\nSubject: x\r\n\r\nEVENT=forged\r\n.\r\nQUIT\r\n";

/// Stands in for a log daemon: every file system but this one's folder stays as it is.
struct Daemon {
    socket: UnixDatagram,
    folder: PathBuf,
}

impl Daemon {
    fn new() -> Self {
        // Short, as paths of sockets are.
        let name = format!("gp-log-{}-{}", std::process::id(), own_address());
        let folder = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        let socket = listen(&folder);
        Self { socket, folder }
    }

    /// Datagrams until one holds this, that one included.
    fn until(&self, needle: &str) -> Vec<String> {
        let (mut seen, end) = (Vec::new(), Instant::now() + PATIENCE);
        let mut buffer = vec![0; 64 * 1024];
        loop {
            assert!(Instant::now() < end, "no {needle} in {seen:#?}");
            let Ok(count) = self.socket.recv(&mut buffer) else {
                continue;
            };
            let text = String::from_utf8(buffer[..count].to_vec()).unwrap();
            let found = text.contains(needle);
            seen.push(text);
            if found {
                return seen;
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn listen(folder: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(folder.join("socket")).unwrap();
    let patience = Some(Duration::from_millis(200));
    socket.set_read_timeout(patience).unwrap();
    socket
}

/// A service in a mount namespace of its own, in which the daemon's socket is where daemons listen.
struct Service {
    child: Child,
    address: SocketAddr,
    _folder: TempFolder,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const IN_A_NAMESPACE: &str = r#"
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal
mount --bind "$FOLDER" /run/systemd/journal
mkdir /run/dev
for name in null zero random urandom; do
    touch /run/dev/$name
    mount --bind /dev/$name /run/dev/$name
done
ln -s /run/systemd/journal/socket /run/dev/log
mount --rbind /run/dev /dev
exec "$@"
"#;

fn namespaces() -> bool {
    let can = Command::new("unshare")
        .args(["--mount", "sh", "-c", "mount -t tmpfs tmpfs /run"])
        .stderr(Stdio::null())
        .status();
    let can = can.is_ok_and(|status| status.success());
    if !can {
        eprintln!("SKIPPED: no mount namespaces here");
    }
    can
}

impl Service {
    fn start(daemon: &Daemon, log: &str) -> Self {
        let (folder, address) = (TempFolder::new("log"), own_address());
        for name in ["users", "aliases"] {
            fs::copy(data(name), folder.path().join(name)).unwrap();
        }
        let config = folder.path().join("gatepost.ini");
        fs::write(
            &config,
            base_ini(address, folder.path(), &format!("[log]\n{log}")),
        )
        .unwrap();
        let child = Command::new("unshare")
            .args(["--mount", "sh", "-c", IN_A_NAMESPACE, "sh"])
            .arg(env!("CARGO_BIN_EXE_gatepost"))
            .args(["serve", "--config"])
            .arg(&config)
            .env("FOLDER", &daemon.folder)
            .stdin(Stdio::null())
            .spawn();
        Self {
            child: child.unwrap(),
            address: SocketAddr::new(address, TCP_PORT),
            _folder: folder,
        }
    }
}

/// What a hostile session leaves, from the start to the session's last line.
///
/// Its dialogue is not told: it is said at once, and a datagram socket holds ten lines.
fn lines_of_a_session(log: &str) -> Vec<String> {
    let daemon = Daemon::new();
    let service = Service::start(&daemon, &format!("{log}debug_for = 192.0.2.1\n"));
    let mut lines = daemon.until("started");
    hostile_session(service.address);
    lines.extend(daemon.until("session_ended"));
    lines
}

fn hostile_session(address: SocketAddr) {
    let mut client = Client::greeted(address);
    for line in HOSTILE.split_inclusive("\r\n") {
        client.send(line.as_bytes());
    }
    client.rest();
}

/// Each line is one JSON object for somebody else's reader, with these members.
fn assert_json(lines: &[String]) {
    let script = "import json, sys\n\
                  for line in sys.stdin.buffer.read().split(b'\\0'):\n\
                  \x20   if not line: continue\n\
                  \x20   one = json.loads(line, object_pairs_hook=lambda pairs: (pairs, dict(pairs)))\n\
                  \x20   pairs, members = one\n\
                  \x20   assert len(pairs) == len(members), line\n\
                  \x20   assert b'\\n' not in line, line\n\
                  \x20   assert list(members)[:3] == ['time', 'level', 'event'], line\n\
                  \x20   assert members['level'] in ('error', 'warning', 'info', 'debug'), line\n";
    let python = Command::new("python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut python) = python else {
        return eprintln!("SKIPPED: no python3 here");
    };
    let mut input = python.stdin.take().unwrap();
    input.write_all(lines.join("\0").as_bytes()).unwrap();
    drop(input);
    let output = python.wait_with_output().unwrap();
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{why}\n{lines:#?}");
}

#[test]
fn syslog_gets_priority_and_tag_and_one_line_each() {
    if !namespaces() {
        return;
    }
    let lines = lines_of_a_session("target = syslog\nlevel = debug\n");
    for line in &lines {
        // Facility mail; the severities of RFC 5424 section 6.2.1.
        let (priority, rest) = line.split_once("gatepost[").unwrap();
        let known = ["<19>", "<20>", "<22>", "<23>"];
        assert!(known.contains(&priority), "{line}");
        let (_, text) = rest.split_once("]: ").unwrap();
        assert!(text.starts_with("event=") && !text.contains('\n'), "{line}");
    }
    let of = |event: &str| lines.iter().find(|line| line.contains(event)).unwrap();
    assert!(of("event=session_opened").starts_with("<23>"));
    assert!(of("event=accepted").starts_with("<22>"));
    let lines = lines_of_a_session("target = syslog\nformat = json\nlevel = debug\n");
    let bodies: Vec<String> = lines
        .iter()
        .map(|line| line.split_once("]: ").unwrap().1.to_owned())
        .collect();
    assert!(bodies.len() > 6, "{bodies:#?}");
    assert_json(&bodies);
}

#[test]
fn the_journal_gets_each_value_as_a_field() {
    if !namespaces() {
        return;
    }
    let fields = |datagram: &String| -> Vec<(String, String)> {
        let text = datagram.strip_suffix('\n').expect("a last line end");
        let pair = |line: &str| {
            let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("{line:?}"));
            let is_name = |octet: u8| octet.is_ascii_uppercase() || octet == b'_';
            assert!(
                key.bytes().all(is_name) && !key.starts_with('_'),
                "{line:?}"
            );
            (key.to_owned(), value.to_owned())
        };
        text.lines().map(pair).collect()
    };
    let lines = lines_of_a_session("target = journal\nlevel = debug\n");
    let mut events = Vec::new();
    for line in &lines {
        let fields = fields(line);
        let of = |key: &str| -> Vec<&str> {
            let own = fields.iter().filter(|(name, _)| name == key);
            own.map(|(_, value)| value.as_str()).collect()
        };
        // A client can add no field and no second one.
        for key in ["PRIORITY", "MESSAGE", "EVENT", "SYSLOG_IDENTIFIER"] {
            assert_eq!(of(key).len(), 1, "{key} in {line:?}");
        }
        assert_eq!(of("SYSLOG_IDENTIFIER"), ["gatepost"]);
        assert_eq!(of("SYSLOG_FACILITY"), ["2"]);
        let start = format!("event={}", of("EVENT")[0]);
        assert!(of("MESSAGE")[0].starts_with(&start), "{line:?}");
        events.push((of("EVENT")[0].to_owned(), of("PRIORITY")[0].to_owned()));
        if of("EVENT") == ["accepted"] {
            assert_eq!(
                (of("FROM"), of("RECIPIENTS")),
                (vec!["a@b.example"], vec!["1"])
            );
            assert_eq!((of("SID").len(), of("QID").len()), (1, 1));
        }
    }
    for (event, priority) in [("started", "6"), ("session_opened", "7"), ("accepted", "6")] {
        let want = (event.to_owned(), priority.to_owned());
        assert!(events.contains(&want), "{want:?} in {events:?}");
    }
    let lines = lines_of_a_session("target = journal\nformat = json\nlevel = debug\n");
    let message = |line: &String| {
        let fields = fields(line);
        let found = fields.into_iter().find(|(key, _)| key == "MESSAGE");
        found.unwrap().1
    };
    let bodies: Vec<String> = lines.iter().map(message).collect();
    assert_json(&bodies);
}

#[test]
fn a_log_daemon_that_is_gone_stops_no_mail_and_is_found_again() {
    if !namespaces() {
        return;
    }
    let mut daemon = Daemon::new();
    let service = Service::start(&daemon, "target = journal\n");
    daemon.until("started");
    let send = || {
        let mut client = Client::greeted(service.address);
        client.command("EHLO x", "250");
        client.message("alice@here.example", "Subject: x\r\n\r\ny");
    };
    daemon.socket = UnixDatagram::unbound().unwrap();
    send();
    fs::remove_file(daemon.folder.join("socket")).unwrap();
    send();
    daemon.socket = listen(&daemon.folder);
    send();
    daemon.until("EVENT=accepted");
}

#[test]
fn standard_error_in_json_is_an_object_a_line() {
    let mut server = Server::start("[log]\nformat = json\nlevel = debug\n");
    hostile_session(server.tcp());
    server.wait_for_event("session_ended");
    let lines: Vec<String> = server.log_text().lines().map(str::to_owned).collect();
    assert_json(&lines);
}

/// The variable is inherited: only where it names standard error itself does the journal read it.
#[test]
fn priorities_stand_only_where_the_journal_reads_standard_error() {
    let folder = TempFolder::new("stream");
    let path = folder.path().join("log");
    let first = |stream: &dyn Fn(&Path) -> String| -> String {
        let file = File::create(&path).unwrap();
        let config = folder.path().join("f.ini");
        let own = base_ini(own_address(), folder.path(), "[log]\nlevel = info\n");
        fs::write(&config, own).unwrap();
        fs::copy(data("users"), folder.path().join("users")).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_gatepost"))
            .args(["serve", "--config"])
            .arg(&config)
            .env("JOURNAL_STREAM", stream(&path))
            .stdin(Stdio::null())
            .stderr(file)
            .spawn()
            .unwrap();
        let end = Instant::now() + PATIENCE;
        let mut text = String::new();
        while !text.contains("event=started") {
            assert!(Instant::now() < end, "{text}");
            text = fs::read_to_string(&path).unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        text.lines().next().unwrap().to_owned()
    };
    let own = |path: &Path| {
        let facts = fs::metadata(path).unwrap();
        format!("{}:{}", facts.dev(), facts.ino())
    };
    // What a start warns of comes first.
    let line = first(&own);
    let is_told = ["<4>event=configuration_warning", "<6>event="];
    assert!(
        is_told.iter().any(|start| line.starts_with(start)),
        "{line}"
    );
    assert!(first(&|_| "8:12345".to_owned()).starts_with("20"));
    assert!(first(&|_| String::new()).starts_with("20"));
}
