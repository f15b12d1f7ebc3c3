//! The binary under a stand-in for a service manager: what it is told and when, and sockets it is given.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv6Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use support::{Client, PATIENCE, Server, TCP_PORT, TLS_PORT, own_address};

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
        let mut client = Client::connect(server.tcp());
        client.expect("220 ");
        client.command("QUIT", "221 ");
        server.terminate();
        assert_eq!(server.wait(), Some(0));
    }
}

#[test]
fn sockets_that_it_is_given_are_used_and_stay_in_use() {
    let address = own_address();
    let four = TcpListener::bind((address, TCP_PORT)).unwrap();
    // Who came before the service did is served as well.
    let mut early = Client::connect(four.local_addr().unwrap());
    let unwanted = TcpListener::bind((own_address(), TCP_PORT)).unwrap();
    let unwanted = unwanted.local_addr().map(|address| (unwanted, address));
    let (unwanted, other) = unwanted.unwrap();
    let extra = format!("[port:tcp]\naddresses = {address}\n");
    let mut server = Server::start_with(&extra, |command| {
        pass(command, [four.try_clone().unwrap().into(), unwanted.into()]);
    });
    early.expect("220 ");
    let taken = server.wait_for_event("socket_inherited");
    let wanted = format!("port=tcp address={address}:{TCP_PORT} name=first");
    assert!(taken.contains(&wanted), "{taken}");
    let named = server.wait_for_event("socket_unused");
    assert!(named.contains("name=second"), "{named}");
    assert!(named.contains(&other.to_string()), "{named}");
    let info = format!("/proc/{}/fdinfo/3", server.pid());
    let info = fs::read_to_string(info).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = u32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
    assert_eq!(flags & 0o2_000_000, 0o2_000_000, "{info}");
    assert_eq!(std::net::TcpStream::connect(other).ok().map(|_| ()), None);
    // A refresh that opens another port keeps it.
    server.configure(&format!(
        "{extra}[port:more]\nkind = tcp\nnumber = 2526\naddresses = {address}\n"
    ));
    assert_eq!(server.command(&["reload"]).code, Some(0));
    Client::connect(four.local_addr().unwrap()).expect("220 ");
    early.command("QUIT", "221 ");
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    assert!(!server.log_text().contains("event=listening_ended"));
}

#[test]
fn ipv6_sockets_are_given_like_any_other() {
    let address = IpAddr::V6(Ipv6Addr::LOCALHOST);
    // A number of its own, for there is but one such address.
    let Ok(six) = TcpListener::bind((address, 0)) else {
        eprintln!("SKIPPED: no IPv6 here");
        return;
    };
    let at = six.local_addr().unwrap();
    let tls_address = own_address();
    let tls = TcpListener::bind((tls_address, TLS_PORT)).unwrap();
    let extra = format!(
        "[port:tcp]\nnumber = {}\naddresses = ::1\n[port:tls]\naddresses = {tls_address}\n",
        at.port()
    );
    let mut server = Server::start_with(&extra, |command| {
        pass(command, [six.into(), tls.into()]);
    });
    Client::connect(at).expect("220 ");
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    let log = server.log_text();
    assert_eq!(log.matches("event=socket_inherited").count(), 2, "{log}");
}

#[test]
fn a_socket_with_the_name_of_a_port_is_for_this_port_alone() {
    let bind = |number| {
        let listener = TcpListener::bind((own_address(), number)).unwrap();
        (listener.local_addr().unwrap(), listener)
    };
    // Each has the address that the other port wants.
    let ((tcp, for_tcp), (tls, for_tls)) = (bind(TCP_PORT), bind(TLS_PORT));
    let extra = format!(
        "[port:tcp]\naddresses = {}\n[port:tls]\naddresses = {}\n",
        tcp.ip(),
        tls.ip()
    );
    let mut server = Server::start_with(&extra, |command| {
        pass_as(command, "tls:tcp", [for_tcp.into(), for_tls.into()]);
    });
    server.wait_for_event("started");
    let log = server.log_text();
    for (name, address) in [("tls", tcp), ("tcp", tls)] {
        let line = format!(
            "event=socket_unused name={name} reason=\"port {name} does not listen on {address}\""
        );
        assert!(log.contains(&line), "{log}");
    }
    // They were closed, so that the ports could be bound.
    Client::connect(tcp).expect("220 ");
    server.terminate();
    assert_eq!(server.wait(), Some(0));

    let ((tcp, for_tcp), (tls, for_tls)) = (bind(TCP_PORT), bind(TLS_PORT));
    let extra = format!(
        "[port:tcp]\naddresses = {}\n[port:tls]\naddresses = {}\nstatus = disabled\n",
        tcp.ip(),
        tls.ip()
    );
    let mut server = Server::start_with(&extra, |command| {
        pass_as(command, "tcp:tls", [for_tcp.into(), for_tls.into()]);
    });
    let line = server.wait_for_event("socket_inherited");
    assert!(
        line.contains(&format!("port=tcp address={tcp} name=tcp")),
        "{line}"
    );
    let line = server.wait_for_event("socket_unused");
    assert!(
        line.contains("name=tls reason=\"port tls is disabled\""),
        "{line}"
    );
    server.terminate();
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn sockets_of_another_process_are_left_alone() {
    let server = Server::start_with("", |command| {
        command.envs([("LISTEN_FDS", "1"), ("LISTEN_PID", "1")]);
    });
    Client::connect(server.tcp()).expect("220 ");
    assert!(!server.log_text().contains("event=socket_"));
}

/// Has the command find these two as descriptors 3 and 4, as a service manager passes them.
fn pass(command: &mut Command, sockets: [OwnedFd; 2]) {
    pass_as(command, "first:second", sockets);
}

/// The same by other names.
fn pass_as(command: &mut Command, names: &str, sockets: [OwnedFd; 2]) {
    let program = command.get_program().to_owned();
    let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let [first, second] = sockets;
    let script = "LISTEN_PID=$$ LISTEN_FDS=2 \
                  exec \"$0\" \"$@\" 3<&0 4<&1 </dev/null >/dev/null";
    *command = Command::new("sh");
    command.args(["-c", script]).arg(program).args(arguments);
    command.env("LISTEN_FDNAMES", names);
    command.env_remove("JOURNAL_STREAM");
    command.stdin(Stdio::from(first));
    command.stdout(Stdio::from(second)).stderr(Stdio::piped());
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
