//! A recipe of `conf/recipes` on a machine of tests: the very file, with nothing else than what such a machine
//! cannot have.
//!
//! Every change is strict: one that finds nothing to change, or a key that stands there already, fails the
//! test. So a recipe cannot go its way without its test.

#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::fake_host::{Act, FakeHost, Setup, server_tls};
use crate::support::source;
use crate::support::{Client, PATIENCE, Said, Server, TCP_PORT, TempFolder, data, gatepost};

/// box@example.org with the password of `provider.password`.
pub const LOGIN: &str = "AUTH PLAIN AGJveEBleGFtcGxlLm9yZwBzZXNhbWU=";
pub const ANNA: &str = "anna@example.org";

/// The folder of the recipes.
pub fn recipes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/recipes")
}

/// The names of the recipes, without `.ini`.
pub fn names() -> BTreeSet<String> {
    let entries = fs::read_dir(recipes()).unwrap();
    let files = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    files
        .filter_map(|file| file.strip_suffix(".ini").map(str::to_owned))
        .collect()
}

/// Copies every file of the recipes, and makes those that nobody can ship: certificates and secrets.
pub fn lay_out(folder: &Path) {
    for entry in fs::read_dir(recipes()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    for (name, source) in [
        ("certificate.pem", "p256.crt"),
        ("private_key.pem", "p256.key"),
        ("main.pem", "p256.crt"),
        ("main.key", "p256.key"),
        ("shop.pem", "rsa.crt"),
        ("shop.key", "rsa.key"),
        ("mail.pem", "p256.crt"),
    ] {
        let path = folder.join(name);
        fs::copy(data(source), &path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let users = folder.join("users");
    if users.exists() {
        fs::set_permissions(&users, fs::Permissions::from_mode(0o600)).unwrap();
    }
    for name in ["provider.password", "phone.token"] {
        let path = folder.join(name);
        fs::write(&path, "sesame\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// The warnings that the head of a recipe says are expected.
pub fn expected_warnings(text: &str) -> BTreeSet<String> {
    let head = text.split_once("\n[").unwrap().0.replace("\n#", "");
    let (_, said) = head
        .split_once("Expected warnings: ")
        .expect("a line of the head");
    let codes = said.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    let codes: BTreeSet<_> = codes.filter(|word| word.starts_with("W-")).collect();
    assert!(!codes.is_empty() || said.starts_with("none."), "{said}");
    codes.into_iter().map(str::to_owned).collect()
}

/// The numbers of the warnings that `check` gave; anything else it said fails the test.
pub fn warnings(name: &str, said: &Said) -> BTreeSet<String> {
    assert_eq!(said.code, Some(0), "{name}: {said:?}");
    let lines = said.complaint.lines().map(|line| {
        let code = line.rsplit_once("(W-").map(|(_, rest)| rest);
        let code = code.and_then(|rest| rest.strip_suffix(')'));
        let code = code.unwrap_or_else(|| panic!("{name}: {line}"));
        format!("W-{code}")
    });
    lines.collect()
}

/// A recipe that is being made ready.
pub struct Recipe {
    pub folder: TempFolder,
    name: String,
}

impl Recipe {
    /// `NAME.ini` and all files beside it, in a folder of its own.
    pub fn take(name: &str) -> Self {
        let folder = TempFolder::short("recipe");
        lay_out(folder.path());
        let recipe = Self {
            folder,
            name: name.to_owned(),
        };
        recipe
            .add("server", "spool", "spool")
            .add("control", "socket", "control")
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn ini(&self) -> String {
        format!("{}.ini", self.name)
    }

    /// In the settings: `from`, which stands there so often outside of comments, becomes `to`.
    #[must_use]
    pub fn replace(self, from: &str, to: impl ToString, times: usize) -> Self {
        let ini = self.ini();
        self.replace_in(&ini, from, to, times)
    }

    /// The same in a file beside it.
    #[must_use]
    pub fn replace_in(self, file: &str, from: &str, to: impl ToString, times: usize) -> Self {
        let path = self.path(file);
        let (mut text, mut found) = (String::new(), 0);
        for line in fs::read_to_string(&path).unwrap().lines() {
            let is_comment = line.trim_start().starts_with('#');
            let mut rest = line;
            while let Some((before, after)) = rest.split_once(from).filter(|_| !is_comment) {
                // 192.168.7.2 is not the beginning of 192.168.7.20.
                let is_whole = !after.starts_with(|c: char| c.is_ascii_alphanumeric());
                found += usize::from(is_whole);
                let as_it_was = from.to_owned();
                text.push_str(before);
                text.push_str(&if is_whole { to.to_string() } else { as_it_was });
                rest = after;
            }
            text.push_str(rest);
            text.push('\n');
        }
        assert_eq!(found, times, "{file}: how often {from} stands there");
        fs::write(&path, text).unwrap();
        self
    }

    /// A key that the recipe leaves at its default, in a section that it may lack.
    #[must_use]
    pub fn add(self, section: &str, key: &str, value: impl std::fmt::Display) -> Self {
        let path = self.path(&self.ini());
        let text = fs::read_to_string(&path).unwrap();
        let header = format!("[{section}]\n");
        let line = format!("{key} = {value}\n");
        let text = match text.split_once(&format!("\n{header}")) {
            None => format!("{text}{header}{line}"),
            Some((before, after)) => {
                let own = after.split("\n[").next().unwrap();
                let stands = |own: &str| own.starts_with(&format!("{key} ="));
                assert!(!own.lines().any(stands), "[{section}] {key} stands there");
                format!("{before}\n{header}{line}{after}")
            }
        };
        fs::write(&path, text).unwrap();
        self
    }

    /// Sets a password as an operator does.
    #[must_use]
    pub fn password(self, user: &str, password: &str) -> Self {
        let said = run(
            gatepost()
                .args(["passwd", user, "--config"])
                .arg(self.path(&self.ini())),
            &format!("{password}\n"),
        );
        assert_eq!(said.code, Some(0), "{said:?}");
        self
    }

    /// Checks it: no error, and the warnings that it names itself. Then starts it.
    pub fn start(self, address: IpAddr) -> Server {
        self.start_with(address, |_| {})
    }

    /// The same with the command adapted first.
    pub fn start_with(self, address: IpAddr, adapt: impl FnOnce(&mut Command)) -> Server {
        let ini = self.ini();
        let said = run(
            gatepost().arg("check").arg("--config").arg(self.path(&ini)),
            "",
        );
        let text = fs::read_to_string(self.path(&ini)).unwrap();
        let (mut got, mut expected) = (warnings(&ini, &said), expected_warnings(&text));
        // They are about ports that other machines reach, the certificate, the account and modes: a test's own.
        for codes in [&mut got, &mut expected] {
            codes.retain(|code| !["W-03", "W-17", "W-18", "W-19", "W-22"].contains(&code.as_str()));
        }
        assert_eq!(got, expected, "{ini}: {said:?}");
        Server::start_as_it_is(self.folder, &ini, address, adapt)
    }
}

/// Runs a program to its end.
pub fn run(command: &mut Command, input: &str) -> Said {
    let piped = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    // Whoever refuses its arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    Said::of(&child.wait_with_output().unwrap())
}

/// Runs a program that must succeed; gives what it printed.
pub fn must(command: &mut Command, input: &str) -> String {
    let said = run(command, input);
    assert_eq!(said.code, Some(0), "{command:?}: {said:?}");
    said.output
}

/// swaks as a device at an address, without words of the operator's machine.
pub fn swaks(from: IpAddr, server: &Server, options: &[&str]) -> Said {
    let mut swaks = Command::new("swaks");
    swaks
        .args(["--server", &server.address.to_string()])
        .args(["--port", &TCP_PORT.to_string()])
        .args(["--local-interface", &from.to_string()])
        .args(["--helo", "device.example", "--timeout", "30"])
        .args(options);
    run(&mut swaks, "")
}

/// Waits until something outside of the server has happened.
pub fn wait_for(server: &Server, what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "{what}:\n{}", server.log_text());
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn v4(address: IpAddr) -> Ipv4Addr {
    match address {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => unreachable!("own addresses are IPv4"),
    }
}

/// A client at an address, greeted and introduced.
pub fn client(from: IpAddr, to: SocketAddr) -> Client {
    let mut client = Client::greeted_from(v4(from), to);
    client.command("EHLO client.example", "250");
    client
}

/// Whether a client at this address is turned away by the first line.
pub fn assert_turned_away(from: IpAddr, server: &Server) {
    let stream = source::connect_from(v4(from), server.tcp());
    Client::over(stream).expect("554 Connection denied based on policy reason");
}

/// Whether a client at this address, which is on a list, may send nothing without a login.
pub fn assert_needs_a_login(from: IpAddr, server: &Server) {
    client(from, server.tcp()).command(
        "MAIL FROM:<a@there.example>",
        "554 5.7.1 Connection denied based on policy reason",
    );
}

/// swaks was refused, by these words.
pub fn assert_refused(said: &Said, words: &str) {
    assert_ne!(said.code, Some(0), "{said:?}");
    assert!(said.output.contains(words), "{said:?}");
}

/// A port of 127.0.0.1 that was free a moment ago, for servers that are found by the name localhost.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

pub fn is_root() -> bool {
    must(Command::new("id").arg("-u"), "").trim() == "0"
}

/// A provider, found by the name localhost, whose login can be made to fail.
pub fn provider(folder: &Path) -> (FakeHost, Arc<AtomicBool>) {
    let refuses = Arc::new(AtomicBool::new(false));
    let is_strict = Arc::clone(&refuses);
    let host = FakeHost::start(Setup {
        plain: vec!["STARTTLS"],
        tls: Some(server_tls(folder, "localhost")),
        ..Setup::script(move |step| {
            match step.verb == "AUTH" && is_strict.load(Ordering::Relaxed) {
                true => Act::say("535 5.7.8 Authentication credentials invalid"),
                false => Act::Usual,
            }
        })
    });
    (host, refuses)
}
