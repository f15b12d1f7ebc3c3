//! `gatepost top` on a pseudo terminal: what it shows, the keys, small terminals, a service that comes and
//! goes, hostile clients; and that the terminal is left as it was.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, unsafe_code)]

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use support::{Client, PATIENCE, Server, gatepost, own_address};

/// A terminal with a program on it.
struct Terminal {
    master: File,
    /// Kept open, so that its settings can be asked for when the program has ended.
    slave: OwnedFd,
    before: libc::termios,
    child: Child,
    seen: String,
}

fn settings(of: &impl AsRawFd) -> libc::termios {
    // SAFETY: zeros are a whole termios, which outlives the call.
    unsafe {
        let mut state: libc::termios = std::mem::zeroed();
        assert_eq!(libc::tcgetattr(of.as_raw_fd(), &raw mut state), 0);
        state
    }
}

impl Terminal {
    fn start(config: &Path, (columns, rows): (u16, u16), adapt: impl FnOnce(&mut Command)) -> Self {
        let (mut master, mut slave) = (-1, -1);
        let size = libc::winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        // SAFETY: all pointers are valid or null, and the descriptors are ours from then on.
        let (master, slave) = unsafe {
            let null = std::ptr::null_mut();
            let made = libc::openpty(
                &raw mut master,
                &raw mut slave,
                null,
                null.cast(),
                &raw const size,
            );
            assert_eq!(made, 0);
            (File::from_raw_fd(master), OwnedFd::from_raw_fd(slave))
        };
        let own = || Stdio::from(slave.try_clone().unwrap());
        let mut command = gatepost();
        command.args(["top", "--config"]).arg(config);
        command
            .env("TERM", "xterm")
            .stdin(own())
            .stdout(own())
            .stderr(own());
        adapt(&mut command);
        let before = settings(&slave);
        let child = command.spawn().unwrap();
        Self {
            master,
            before,
            slave,
            child,
            seen: String::new(),
        }
    }

    /// Reads until the terminal has been sent this.
    fn until(&mut self, needle: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.seen.contains(needle) {
            assert!(Instant::now() < end, "no {needle:?} in\n{:?}", self.seen);
            self.take();
        }
    }

    /// What has been sent since; waits a moment for it.
    fn take(&mut self) {
        let mut entry = libc::pollfd {
            fd: self.master.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one entry, which outlives the call.
        if unsafe { libc::poll(&raw mut entry, 1, 100) } == 1 {
            let mut octets = [0; 4096];
            let count = self.master.read(&mut octets).unwrap_or(0);
            self.seen
                .push_str(&String::from_utf8_lossy(&octets[..count]));
        }
    }

    fn press(&mut self, key: &str) {
        self.seen.clear();
        self.master.write_all(key.as_bytes()).unwrap();
    }

    /// It ends with this code, and the terminal is as it was.
    fn ends(mut self, code: i32) {
        let end = Instant::now() + PATIENCE;
        let status = loop {
            self.take();
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < end, "it does not end");
        };
        assert_eq!(status.code(), Some(code));
        self.take();
        let after = settings(&self.slave);
        assert_eq!(after.c_lflag, self.before.c_lflag);
        assert_eq!(after.c_iflag, self.before.c_iflag);
        assert_eq!(after.c_oflag, self.before.c_oflag);
        assert_eq!(after.c_cc, self.before.c_cc);
        assert!(
            self.seen.ends_with("\x1b[?7h\x1b[?25h\x1b[?1049l"),
            "{:?}",
            self.seen
        );
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Every escape sequence that was sent is one of ours.
fn assert_only_our_sequences(seen: &str) {
    let ours = [
        "[H", "[K", "[J", "[2J", "[?1049h", "[?25l", "[?7l", "[?7h", "[?25h", "[?1049l",
    ];
    for behind in seen.split('\x1b').skip(1) {
        assert!(ours.iter().any(|one| behind.starts_with(one)), "{behind:?}");
    }
    let strange = |letter: char| letter.is_control() && !"\x1b\r\n".contains(letter);
    assert!(!seen.contains(strange), "{seen:?}");
}

#[test]
fn it_shows_what_goes_on_and_leaves_the_terminal_as_it_was() {
    let server = Server::start("");
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO device-one", "250");
    client.message("alice@here.example", "Subject: x\r\n\r\ny");
    let mut top = Terminal::start(&server.config(), (120, 40), |_| {});
    top.until("mx.here.example  gatepost ");
    top.until("device-one");
    top.until("sessions 1 (peak 1, max ");
    top.until("disk ");
    top.until("certificate ");
    let icanon = settings(&top.slave).c_lflag & libc::ICANON;
    assert_eq!(icanon, 0);
    // A rate needs two looks.
    for _ in 0..3 {
        client.message("alice@here.example", "Subject: x\r\n\r\ny");
    }
    top.until("messages/s");
    // Arrows mean nothing, and of keys that come at once none is lost.
    top.press("\x1b[A");
    top.press("cp");
    top.until("** paused **");
    top.press("p");
    top.until("q quit");
    assert_only_our_sequences(&top.seen);
    top.press("q");
    top.ends(0);
}

#[test]
fn control_c_and_signals_end_it_as_well() {
    let server = Server::start("");
    for end in ["\x03", "TERM", "HUP"] {
        let mut top = Terminal::start(&server.config(), (80, 24), |_| {});
        top.until("q quit");
        match end {
            "\x03" => top.press(end),
            signal => {
                let pid = top.child.id().to_string();
                let sent = Command::new("kill").args(["-s", signal, &pid]).status();
                assert!(sent.unwrap().success());
            }
        }
        top.ends(0);
    }
}

#[test]
fn a_hostile_client_draws_nothing() {
    let server = Server::start("");
    let mut client = Client::greeted(server.tcp());
    client.send(b"EHLO \x1b[2J\x1b]0;owned\x07x\r\n");
    client.reply();
    client.send("HELO a\u{9b}31m\u{e9}\\\"b\r\n".as_bytes());
    client.reply();
    client.send(b"EHLO [IPv6:x]\"\\x1b[31m\r\n");
    client.reply();
    let mut top = Terminal::start(&server.config(), (120, 40), |_| {});
    top.until("CLIENT");
    top.until("q quit");
    assert_only_our_sequences(&top.seen);
    top.press("q");
    top.ends(0);
}

#[test]
fn a_small_terminal_gets_what_fits_and_a_new_size_counts() {
    let server = Server::start("");
    let mut top = Terminal::start(&server.config(), (40, 10), |_| {});
    top.until("q quit");
    for frame in top
        .seen
        .split("\x1b[H")
        .skip(1)
        .filter(|frame| frame.contains("\x1b[J"))
    {
        let text = frame.split("\x1b[J").next().unwrap().replace("\x1b[K", "");
        let lines: Vec<&str> = text
            .split('\n')
            .map(|line| line.trim_end_matches('\r'))
            .collect();
        assert!(lines.len() <= 10, "{text}");
        assert!(lines.iter().all(|line| line.len() <= 40), "{text}");
    }
    assert!(!top.seen.contains("certificate "));
    let size = libc::winsize {
        ws_row: 50,
        ws_col: 100,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the size outlives the call.
    let set = unsafe { libc::ioctl(top.slave.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    assert_eq!(set, 0);
    top.until("certificate ");
    top.press("q");
    top.ends(0);
}

#[test]
fn a_service_that_is_away_is_waited_for() {
    let mut server = Server::start("");
    let mut top = Terminal::start(&server.config(), (100, 30), |_| {});
    top.until("sessions 0");
    server.kill();
    top.until("** no service answers; waiting for one **");
    server.restart();
    top.seen.clear();
    let new = format!("pid {}\x1b", server.pid());
    top.until(&new);
    // One that is stopped does not answer in time, and keys are heard all the same.
    let stop = |signal: &str, pid: u32| {
        let sent = Command::new("kill")
            .args(["-s", signal, &pid.to_string()])
            .status();
        assert!(sent.unwrap().success());
    };
    stop("STOP", server.pid());
    top.until("no answer in time");
    top.press("q");
    top.ends(0);
    stop("CONT", server.pid());
}

#[test]
fn without_a_terminal_one_moment_is_printed() {
    let mut server = Server::start("");
    let said = server.command(&["top"]);
    assert_eq!(
        (said.code, said.complaint.as_str()),
        (Some(0), ""),
        "{said:?}"
    );
    assert!(
        said.output.starts_with("mx.here.example  gatepost "),
        "{said:?}"
    );
    assert!(
        !said.output.contains('\x1b') && !said.output.contains("q quit"),
        "{said:?}"
    );
    assert_eq!(server.command(&["top", "--once"]).code, Some(0));
    // A terminal that can do nothing gets the same.
    let dumb = Terminal::start(&server.config(), (80, 24), |command| {
        command.env("TERM", "dumb");
    });
    let mut dumb = dumb;
    dumb.until("mx.here.example  gatepost ");
    assert!(!dumb.seen.contains('\x1b'));
    let end = Instant::now() + PATIENCE;
    while dumb.child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < end);
        dumb.take();
    }
    for interval in ["0", "x", "3601", "-1"] {
        let said = server.command(&["top", "--interval", interval]);
        assert_eq!(said.code, Some(64), "{interval} {said:?}");
    }
    server.kill();
    let said = server.command(&["top"]);
    assert_eq!(said.code, Some(69), "{said:?}");
    assert!(said.complaint.contains("not running"), "{said:?}");
}

#[test]
fn a_destination_that_cannot_be_used_is_shown_with_its_messages_and_why() {
    let nobody = own_address();
    let mut server = Server::start(&format!(
        "[smarthost]\nhost = {nobody}\nport = 1\ntls = none\n"
    ));
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO x", "250");
    client.message("a@there.example", "Subject: x\r\n\r\ny");
    server.wait_for_event("relay_failed");
    let said = server.command(&["top", "--once"]);
    let line = said
        .output
        .lines()
        .find(|line| line.starts_with("smarthost "));
    let words: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
    assert_eq!(words.get(1..3), Some(["1", "0"].as_slice()), "{said:?}");
    assert!(line.unwrap().contains("onnection refused"), "{said:?}");
    assert!(said.output.contains("  queue 1, oldest "), "{said:?}");
}
