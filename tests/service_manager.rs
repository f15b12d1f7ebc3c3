//! The binary under a stand-in for a service manager: what it is told, and when.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use support::{PATIENCE, Server};

/// What a manager hears.
struct Manager {
    socket: UnixDatagram,
    /// Its name as NOTIFY_SOCKET has it.
    name: String,
}

impl Manager {
    fn with_a_path() -> Self {
        // A path of a socket is short.
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("gatepost-notify-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_file(&path);
        Self {
            socket: UnixDatagram::bind(&path).unwrap(),
            name: path.display().to_string(),
        }
    }

    fn with_an_abstract_name() -> Self {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("gatepost-test-{}-{number}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        Self {
            socket: UnixDatagram::bind_addr(&address).unwrap(),
            name: format!("@{name}"),
        }
    }

    fn start(&self, environment: &[(&str, &str)]) -> Server {
        let socket = self.name.clone();
        Server::start_with("", move |command| {
            command.env("NOTIFY_SOCKET", socket);
            command.envs(environment.iter().copied());
        })
    }

    /// The next that is no heartbeat.
    fn next(&self) -> String {
        loop {
            let text = self.hear(PATIENCE).expect("nothing is told");
            if text != BEAT {
                return text;
            }
        }
    }

    fn hear(&self, patience: Duration) -> Option<String> {
        let mut octets = [0; 4096];
        self.socket.set_read_timeout(Some(patience)).unwrap();
        match self.socket.recv(&mut octets) {
            Ok(count) => Some(String::from_utf8(octets[..count].to_vec()).unwrap()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.name);
    }
}

static COUNTER: AtomicU32 = AtomicU32::new(0);
const BEAT: &str = "WATCHDOG=1";

#[test]
fn it_tells_when_it_greets_reloads_and_ends() {
    for manager in [Manager::with_a_path(), Manager::with_an_abstract_name()] {
        let mut server = manager.start(&[]);
        assert_eq!(manager.next(), "STATUS=opens the spool");
        assert_eq!(manager.next(), "READY=1\nSTATUS=listens on 2 addresses");
        server.configure("[port:tls]\nstatus = disabled\n");
        assert_eq!(server.command(&["reload"]).code, Some(0));
        let first = reloading(&manager.next());
        // Since the machine started; the clock of the file may have gone on while it slept.
        assert!(first > 0 && first <= uptime_microseconds() + 20_000);
        assert_eq!(
            manager.next(),
            "READY=1\nSTATUS=listens on 1 address; last refresh: applied"
        );
        // The account that it has become may not be let through to the path.
        let _ = fs::remove_file(&manager.name);
        // A file with errors is no reason to be taken for reloading for ever.
        server.configure("[port:tls]\nstatus = perhaps\n");
        signal(server.pid(), "-HUP");
        assert!(reloading(&manager.next()) > first);
        assert_eq!(
            manager.next(),
            "READY=1\nSTATUS=listens on 1 address; last refresh: configuration not changed"
        );
        server.terminate();
        assert_eq!(
            manager.next(),
            "STOPPING=1\nSTATUS=ends; 0 sessions are left"
        );
        assert_eq!(server.wait(), Some(0));
    }
}

#[test]
fn the_watchdog_is_fed_until_the_loop_hangs() {
    let manager = Manager::with_an_abstract_name();
    let server = manager.start(&[("WATCHDOG_USEC", "40000")]);
    let wait_for_beats = || {
        let until = Instant::now() + PATIENCE;
        let mut beats = 0;
        while beats < 3 {
            assert!(Instant::now() < until, "{beats}");
            beats += usize::from(manager.hear(PATIENCE).as_deref() == Some(BEAT));
        }
    };
    wait_for_beats();
    signal(server.pid(), "-STOP");
    let state = || fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    while !state().contains(") T ") {
        std::thread::yield_now();
    }
    while manager.hear(Duration::from_millis(1)).is_some() {}
    assert_eq!(manager.hear(Duration::from_millis(200)), None);
    signal(server.pid(), "-CONT");
    wait_for_beats();
}

#[test]
fn a_watchdog_of_another_process_is_not_fed() {
    let manager = Manager::with_an_abstract_name();
    let watch = [("WATCHDOG_USEC", "20000"), ("WATCHDOG_PID", "1")];
    let mut server = manager.start(&watch);
    for wanted in ["STATUS=", "READY=1\n"] {
        let told = manager.hear(PATIENCE).unwrap();
        assert!(told.starts_with(wanted), "{told}");
    }
    assert_eq!(manager.hear(Duration::from_millis(100)), None);
    server.terminate();
    assert!(manager.hear(PATIENCE).unwrap().starts_with("STOPPING=1\n"));
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn a_manager_that_is_gone_or_of_an_unknown_kind_is_named_and_mail_goes_on() {
    for name in ["@gatepost-nobody-listens-here", "vsock:2:1234"] {
        let mut server = Server::start_with("", |command| {
            command.env("NOTIFY_SOCKET", name);
            command.env("WATCHDOG_USEC", "20000");
        });
        server.wait_for_event("manager_unreachable");
        let mut client = support::Client::connect(server.tcp());
        client.expect("220 ");
        client.command("QUIT", "221 ");
        server.terminate();
        assert_eq!(server.wait(), Some(0));
    }
}

/// The time at which it says that it reloads.
fn reloading(told: &str) -> u64 {
    let rest = told.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
    let rest = rest.strip_suffix("\nSTATUS=reads its configuration");
    rest.unwrap().parse().unwrap()
}

fn signal(pid: u32, signal: &str) {
    let pid = pid.to_string();
    let status = Command::new("kill").args([signal, &pid]).status();
    assert!(status.unwrap().success());
}

fn uptime_microseconds() -> u64 {
    let text = fs::read_to_string("/proc/uptime").unwrap();
    let seconds: f64 = text.split(' ').next().unwrap().parse().unwrap();
    (seconds * 1e6) as u64
}
