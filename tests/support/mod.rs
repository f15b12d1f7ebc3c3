//! What the tests that run the real binary share.
//!
//! Every server gets a folder of its own and a loopback address of its own (127.x.y.z by process and
//! counter), so that fixed port numbers never clash and nothing has to be probed for.

#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)]

pub mod checking;
pub mod fakeclock;
pub mod fakedns;
pub mod filled;
pub mod ini;
pub mod old_kernel;
pub mod player;
pub mod random;
pub mod source;
pub mod transcript;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use ini::{TCP_PORT, TLS_PORT, base_ini, data};

/// How long a test waits for anything before it fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A folder that is removed when the test ends.
pub struct TempFolder(PathBuf);

impl TempFolder {
    pub fn new(label: &str) -> Self {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{label}-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// One whose path is short enough for the sockets of others, and which every account reaches.
    pub fn short(label: &str) -> Self {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("gp-{label}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A loopback address no other test has.
pub fn own_address() -> IpAddr {
    IpAddr::V4(own_v4())
}

/// The same, for who connects from it.
pub fn own_v4() -> Ipv4Addr {
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id();
    Ipv4Addr::new(
        127,
        1 + (process % 250) as u8,
        (process / 250 % 256) as u8,
        1 + (number % 250) as u8,
    )
}

/// Whether the test may become others, and look into them; says so where not.
pub fn is_root() -> bool {
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !root {
        eprintln!("SKIPPED: not root");
    }
    root
}

/// The lines of a log that hold all of these.
pub fn lines_with<'a>(log: &'a str, needles: &[&str]) -> Vec<&'a str> {
    let holds = |line: &&str| needles.iter().all(|needle| line.contains(needle));
    log.lines().filter(holds).collect()
}

/// The command that logs in by PLAIN.
pub fn auth_plain(user: &str, password: &str) -> String {
    let text = format!("\0{user}\0{password}");
    format!("AUTH PLAIN {}", STANDARD.encode(text))
}

/// A running gatepost with a folder of its own.
pub struct Server {
    pub folder: TempFolder,
    pub address: IpAddr,
    config: PathBuf,
    child: Child,
    log: Receiver<String>,
    seen: Arc<Mutex<Vec<String>>>,
}

/// The binary under test: of this build, or what the words of `GATEPOST_UNDER_TEST` run, such as an
/// emulator and a binary for another machine.
pub fn gatepost() -> Command {
    let words = std::env::var("GATEPOST_UNDER_TEST").unwrap_or_default();
    let mut words = words.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or(env!("CARGO_BIN_EXE_gatepost")));
    command.args(words);
    command
}

impl Server {
    /// Starts a server with these INI lines added to the base, and waits until it greets.
    pub fn start(extra: &str) -> Self {
        Self::start_with(extra, |_| {})
    }

    /// The same with these files, by name and content, beside the configuration.
    pub fn start_beside(extra: &str, files: &[(&str, &str)]) -> Self {
        Self::launch(extra, files, |_| {})
    }

    /// The same with the command adapted first.
    pub fn start_with(extra: &str, adapt: impl FnOnce(&mut Command)) -> Self {
        Self::launch(extra, &[], adapt)
    }

    fn launch(extra: &str, files: &[(&str, &str)], adapt: impl FnOnce(&mut Command)) -> Self {
        let folder = TempFolder::new("server");
        let address = own_address();
        for name in ["users", "aliases"] {
            fs::copy(data(name), folder.path().join(name)).unwrap();
        }
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        let ini = base_ini(address, folder.path(), extra);
        let config = folder.path().join("gatepost.ini");
        fs::write(&config, ini).unwrap();
        let (child, log, seen) = spawn(&config, adapt);
        let mut server = Self {
            folder,
            address,
            config,
            child,
            log,
            seen,
        };
        server.wait_for_event("started");
        server
    }

    /// The same with the configuration in a folder of the caller's, who removes it.
    pub fn start_elsewhere(config: &Path, extra: &str) -> Self {
        let folder = TempFolder::new("server");
        let address = own_address();
        fs::write(config, base_ini(address, folder.path(), extra)).unwrap();
        let (child, log, seen) = spawn(config, |_| {});
        let mut server = Self {
            folder,
            address,
            config: config.to_owned(),
            child,
            log,
            seen,
        };
        server.wait_for_event("started");
        server
    }

    /// The same with a whole configuration that lies in this folder, and the address that it listens on.
    pub fn start_as_it_is(
        folder: TempFolder,
        name: &str,
        address: IpAddr,
        adapt: impl FnOnce(&mut Command),
    ) -> Self {
        let config = folder.path().join(name);
        let (child, log, seen) = spawn(&config, adapt);
        let mut server = Self {
            folder,
            address,
            config,
            child,
            log,
            seen,
        };
        server.wait_for_event("started");
        server
    }

    /// Starts the same set-up again after it ended.
    pub fn restart(&mut self) {
        let (child, log, seen) = spawn(&self.config, |_| {});
        (self.child, self.log, self.seen) = (child, log, seen);
        self.wait_for_event("started");
    }

    pub fn tcp(&self) -> SocketAddr {
        SocketAddr::new(self.address, TCP_PORT)
    }

    pub fn tls(&self) -> SocketAddr {
        SocketAddr::new(self.address, TLS_PORT)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Replaces the configuration in one step: the base and these lines.
    pub fn configure(&self, extra: &str) {
        let ini = base_ini(self.address, self.folder.path(), extra);
        let next = self.config.with_extension("new");
        fs::write(&next, ini).unwrap();
        fs::rename(&next, &self.config).unwrap();
    }

    pub fn config(&self) -> PathBuf {
        self.config.clone()
    }

    /// Runs a command against this server.
    pub fn command(&self, words: &[&str]) -> Said {
        let output = gatepost()
            .args(words)
            .arg("--config")
            .arg(&self.config)
            .output()
            .unwrap();
        let mut said = Said::of(&output);
        let lines = said.complaint.split_inclusive('\n');
        let about_it = lines.filter(|line| !checking::is_of_this_machine(line.trim_end()));
        said.complaint = about_it.collect();
        said
    }

    /// Waits for an event, whatever the format of the log; gives the line.
    pub fn wait_for_event(&mut self, event: &str) -> String {
        self.wait_for_any(&[&format!("event={event}"), &format!("\"event\":\"{event}\"")])
    }

    /// Waits for a log line that holds `needle`; gives the line.
    pub fn wait_for_log(&mut self, needle: &str) -> String {
        self.wait_for_any(&[needle])
    }

    fn wait_for_any(&mut self, needles: &[&str]) -> String {
        let is_wanted = |line: &String| needles.iter().any(|needle| line.contains(needle));
        let seen = self
            .seen
            .lock()
            .unwrap()
            .iter()
            .find(|line| is_wanted(line))
            .cloned();
        if let Some(line) = seen {
            return line;
        }
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.log.recv_timeout(left) {
                Ok(line) => {
                    self.seen.lock().unwrap().push(line.clone());
                    if is_wanted(&line) {
                        return line;
                    }
                }
                Err(_) => panic!("no log line with {needles:?}:\n{}", self.log_text()),
            }
        }
    }

    /// What has been logged and looked at so far.
    pub fn log_text(&self) -> String {
        let mut seen = self.seen.lock().unwrap();
        seen.extend(self.log.try_iter());
        seen.join("\n")
    }

    /// Ends it; gives all that it logged.
    pub fn whole_log(&mut self) -> String {
        self.terminate();
        assert_eq!(self.wait(), Some(0));
        self.wait_for_log("event=stopped");
        let log = self.log_text();
        assert!(!log.contains("event=bug"), "{log}");
        log
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn terminate(&mut self) {
        // SAFETY is not needed: kill(1) does it.
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits for the end; gives the exit code.
    pub fn wait(&mut self) -> Option<i32> {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(
                Instant::now() < until,
                "it does not end:\n{}",
                self.log_text()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The files of a user's new mail.
    pub fn new_mail(&self, user: &str) -> Vec<PathBuf> {
        let folder = self
            .folder
            .path()
            .join("mail")
            .join(user)
            .join("Maildir/new");
        let Ok(entries) = fs::read_dir(folder) else {
            return Vec::new();
        };
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    /// Waits until a user has this many new messages; gives their texts.
    pub fn wait_for_mail(&self, user: &str, count: usize) -> Vec<String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let files = self.new_mail(user);
            if files.len() >= count {
                return files
                    .iter()
                    .map(|file| String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned())
                    .collect();
            }
            let have = files.len();
            assert!(
                Instant::now() < until,
                "{have} of {count}:\n{}",
                self.log_text()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

type Spawned = (Child, Receiver<String>, Arc<Mutex<Vec<String>>>);

fn spawn(config: &Path, adapt: impl FnOnce(&mut Command)) -> Spawned {
    let mut command = gatepost();
    command.arg("serve").arg("--config").arg(config);
    command
        .env_remove("JOURNAL_STREAM")
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    adapt(&mut command);
    let mut child = command.spawn().unwrap();
    let (sender, log) = channel();
    let stderr = child.stderr.take().unwrap();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines() {
            let Ok(line) = line else { break };
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    (child, log, Arc::default())
}

/// What a command said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub code: Option<i32>,
    pub output: String,
    pub complaint: String,
}

impl Said {
    pub fn of(output: &std::process::Output) -> Self {
        Self {
            code: output.status.code(),
            output: String::from_utf8_lossy(&output.stdout).into_owned(),
            complaint: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A plain client that speaks line by line.
pub struct Client {
    pub stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects; does not read the greeting.
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    /// Takes a connection; does not read the greeting.
    pub fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// Connects from a loopback address of one's choice and reads the greeting.
    pub fn greeted_from(from: Ipv4Addr, address: SocketAddr) -> Self {
        let stream = source::connect_from(from, address);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = Self {
            stream: BufReader::new(stream),
        };
        client.expect("220 ");
        client
    }

    /// The same with EHLO.
    pub fn hello_from(from: Ipv4Addr, address: SocketAddr) -> Self {
        let mut client = Self::greeted_from(from, address);
        client.command("EHLO client.example", "250");
        client
    }

    /// Connects and reads the greeting.
    pub fn greeted(address: SocketAddr) -> Self {
        let mut client = Self::connect(address);
        client.expect("220 ");
        client
    }

    pub fn send(&mut self, octets: &[u8]) {
        self.stream.get_mut().write_all(octets).unwrap();
    }

    /// Reads one reply, all its lines.
    pub fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let mut line = String::new();
            let count = self.stream.read_line(&mut line).unwrap_or(0);
            if count == 0 {
                return reply;
            }
            reply.push_str(&line);
            if line.as_bytes().get(3) != Some(&b'-') {
                return reply;
            }
        }
    }

    /// Reads a reply that begins with `start`.
    pub fn expect(&mut self, start: &str) -> String {
        let reply = self.reply();
        assert!(reply.starts_with(start), "wanted {start}, got {reply:?}");
        reply
    }

    /// Sends a command and reads a reply that begins with `start`.
    pub fn command(&mut self, command: &str, start: &str) -> String {
        self.send(format!("{command}\r\n").as_bytes());
        self.expect(start)
    }

    /// Sends a whole message; the session must have been greeted with EHLO.
    pub fn message(&mut self, to: &str, content: &str) -> String {
        self.command("MAIL FROM:<sender@there.example>", "250");
        self.command(&format!("RCPT TO:<{to}>"), "250");
        self.command("DATA", "354");
        self.send(format!("{content}\r\n.\r\n").as_bytes());
        self.expect("250 2.0.0 Queued as ")
    }

    /// Reads to the end; gives what came.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest);
        rest
    }

    pub fn socket(&self) -> &TcpStream {
        self.stream.get_ref()
    }
}

/// Whether a program is installed. In CI everything has to be; elsewhere the test says what it skips.
pub fn has_program(name: &str) -> bool {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path)
            .chain(["/usr/sbin", "/usr/lib/postfix/sbin"].map(PathBuf::from))
            .any(|folder| folder.join(name).is_file())
    });
    if !found {
        assert!(
            std::env::var_os("CI").is_none(),
            "{name} is missing, and CI needs it"
        );
        eprintln!("SKIPPED: {name} is not installed");
    }
    found
}

/// A file of the project is what its generator says; with `GATEPOST_BLESS` it is written anew.
pub fn assert_generated(path: &Path, want: &str) {
    if std::env::var_os("GATEPOST_BLESS").is_some() {
        fs::write(path, want).unwrap();
    }
    let got = fs::read_to_string(path).unwrap_or_default();
    assert!(
        got == want,
        "{} is not what its generator says: see this test's comment",
        path.display()
    );
}
