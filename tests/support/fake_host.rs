//! A smarthost, or an LMTP server, for tests that does what a script says: at each step it answers as usual, says something
//! else, cuts the connection, or falls silent. It keeps what it took.

#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gatepost::mail::Domain;
use gatepost::protocol::scram::{
    ChannelBindings, ClientFirst, Keys, Offer, Opening, SERVER_NONCE_OCTETS, Verdict,
};
use gatepost::transport::{certificate, self_signed};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

#[path = "scram.rs"]
mod scram;

use scram::stored;

/// What the host does at a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// What a good server does.
    Usual,
    /// This reply, whatever the step means.
    Say(String),
    /// The connection ends.
    Cut,
    /// It does its work, then the connection ends without a reply.
    WorkAndCut,
    /// Nothing more, and the connection stays.
    Hang,
}

impl Act {
    pub fn say(reply: &str) -> Self {
        Self::Say(reply.to_owned())
    }
}

/// A step as the script sees it.
#[derive(Debug)]
pub struct Step<'a> {
    /// `CONNECT`, a verb, `HANDSHAKE`, `CONTENT` (after its first octets) or `.`; LMTP has a `.` for each
    /// recipient.
    pub verb: &'a str,
    /// The whole line; with LMTP's `.` the recipient.
    pub line: &'a str,
    /// How often this verb was seen before, on all connections.
    pub times: usize,
}

/// A message the host took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    pub mail: String,
    pub to: Vec<String>,
    pub data: String,
    pub tls: bool,
    pub login: Option<String>,
    pub connection: usize,
}

/// How the host is set up.
pub struct Setup {
    /// Lines of the reply to EHLO, in plain text.
    pub plain: Vec<&'static str>,
    /// The same in TLS.
    pub secure: Vec<&'static str>,
    /// TLS from the first octet.
    pub implicit: bool,
    /// LMTP.
    pub lmtp: bool,
    /// What it knows of the client's login for SCRAM.
    pub scram: Option<Scram>,
    /// The server's side of TLS.
    pub tls: Option<Arc<ServerConfig>>,
    pub script: Box<dyn Fn(&Step<'_>) -> Act + Send + Sync>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            plain: vec!["PIPELINING", "SIZE 0", "8BITMIME", "SMTPUTF8"],
            secure: vec!["SIZE 0", "8BITMIME", "SMTPUTF8", "AUTH PLAIN LOGIN"],
            implicit: false,
            lmtp: false,
            scram: None,
            tls: None,
            script: Box::new(|_| Act::Usual),
        }
    }
}

impl Setup {
    pub fn script(script: impl Fn(&Step<'_>) -> Act + Send + Sync + 'static) -> Self {
        Self {
            script: Box::new(script),
            ..Self::default()
        }
    }
}

/// The listener's side of a connection.
enum Plain {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Read for Plain {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(buffer),
            Self::Unix(socket) => socket.read(buffer),
        }
    }
}

impl Write for Plain {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write(octets),
            Self::Unix(socket) => socket.write(octets),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A server of SCRAM, honest or not.
#[derive(Debug, Clone)]
pub struct Scram {
    pub password: &'static str,
    pub iterations: u32,
    pub honest: bool,
}

struct Inner {
    setup: Setup,
    taken: Mutex<Vec<Taken>>,
    lines: Mutex<Vec<String>>,
    times: Mutex<BTreeMap<String, usize>>,
    connections: AtomicUsize,
    quits: AtomicUsize,
    ended: AtomicBool,
}

/// A running host.
pub struct FakeHost {
    /// Where it listens; nowhere, at a Unix socket.
    pub address: SocketAddr,
    path: Option<PathBuf>,
    inner: Arc<Inner>,
}

impl FakeHost {
    pub fn start(setup: Setup) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), setup)
    }

    pub fn start_at(address: SocketAddr, setup: Setup) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Inner::new(setup);
        let shared = Arc::clone(&inner);
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let socket = socket.map(|socket| {
                    socket.set_read_timeout(SERVER_PATIENCE).unwrap();
                    Plain::Tcp(socket)
                });
                if shared.serve(socket).is_none() {
                    return;
                }
            }
        });
        Self {
            address,
            path: None,
            inner,
        }
    }

    /// At a Unix socket, which goes with the host.
    pub fn start_unix(path: &Path, setup: Setup) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let inner = Inner::new(setup);
        let shared = Arc::clone(&inner);
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let socket = socket.map(|socket| {
                    socket.set_read_timeout(SERVER_PATIENCE).unwrap();
                    Plain::Unix(socket)
                });
                if shared.serve(socket).is_none() {
                    return;
                }
            }
        });
        Self {
            address: SocketAddr::from(([0, 0, 0, 0], 0)),
            path: Some(path.to_owned()),
            inner,
        }
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.inner.taken.lock().unwrap().clone()
    }

    /// Every line it heard outside of content.
    pub fn lines(&self) -> Vec<String> {
        self.inner.lines.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.inner.connections.load(Ordering::SeqCst)
    }

    pub fn quits(&self) -> usize {
        self.inner.quits.load(Ordering::SeqCst)
    }
}

impl Drop for FakeHost {
    fn drop(&mut self) {
        self.inner.ended.store(true, Ordering::SeqCst);
        match &self.path {
            Some(path) => {
                let _ = UnixStream::connect(path);
                let _ = std::fs::remove_file(path);
            }
            None => {
                let _ = TcpStream::connect(self.address);
            }
        }
    }
}

const SERVER_PATIENCE: Option<Duration> = Some(Duration::from_secs(30));

impl Inner {
    fn new(setup: Setup) -> Arc<Self> {
        Arc::new(Self {
            setup,
            taken: Mutex::default(),
            lines: Mutex::default(),
            times: Mutex::default(),
            connections: AtomicUsize::new(0),
            quits: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
        })
    }

    /// Serves a connection in a thread of its own; none once the host has ended.
    fn serve(self: &Arc<Self>, socket: std::io::Result<Plain>) -> Option<()> {
        if self.ended.load(Ordering::SeqCst) {
            return None;
        }
        let Ok(socket) = socket else { return Some(()) };
        let inner = Arc::clone(self);
        std::thread::spawn(move || {
            let connection = inner.connections.fetch_add(1, Ordering::SeqCst);
            Talk::new(&inner, socket, connection).run();
        });
        Some(())
    }
}

enum Line {
    Plain(BufReader<Plain>),
    Tls(Box<BufReader<StreamOwned<ServerConnection, Plain>>>),
    Gone,
}

impl Line {
    fn read(&mut self) -> Option<String> {
        let mut line = Vec::new();
        match self {
            Self::Plain(stream) => stream.read_until(b'\n', &mut line).ok()?,
            Self::Tls(stream) => stream.read_until(b'\n', &mut line).ok()?,
            Self::Gone => return None,
        };
        let line = String::from_utf8_lossy(&line).into_owned();
        line.ends_with('\n').then_some(line)
    }

    fn write(&mut self, text: &str) -> Option<()> {
        let octets = text.as_bytes();
        match self {
            Self::Plain(stream) => stream.get_mut().write_all(octets).ok(),
            Self::Tls(stream) => {
                let written = stream.get_mut().write_all(octets);
                written.and_then(|()| stream.get_mut().flush()).ok()
            }
            Self::Gone => None,
        }
    }
}

struct Talk<'a> {
    inner: &'a Inner,
    line: Line,
    message: Taken,
}

impl<'a> Talk<'a> {
    fn new(inner: &'a Inner, socket: Plain, connection: usize) -> Self {
        Self {
            inner,
            line: Line::Plain(BufReader::new(socket)),
            message: Taken {
                connection,
                ..Taken::default()
            },
        }
    }

    fn run(&mut self) {
        if self.inner.setup.implicit && self.handshake().is_none() {
            return;
        }
        if self.step("CONNECT", "", "220 fake.example ESMTP").is_none() {
            return;
        }
        while let Some(line) = self.line.read() {
            let line = line.trim_end().to_owned();
            self.inner.lines.lock().unwrap().push(line.clone());
            if self.command(&line).is_none() {
                return;
            }
        }
    }

    /// Acts as the script says; `None` ends the connection.
    fn step(&mut self, verb: &str, line: &str, usual: &str) -> Option<bool> {
        match self.act(verb, line) {
            Act::Usual => {
                self.line.write(&format!("{usual}\r\n"))?;
                Some(true)
            }
            Act::Say(reply) => {
                self.line.write(&format!("{reply}\r\n"))?;
                Some(false)
            }
            Act::Cut | Act::WorkAndCut => None,
            Act::Hang => {
                self.hang();
                None
            }
        }
    }

    fn act(&self, verb: &str, line: &str) -> Act {
        let mut times = self.inner.times.lock().unwrap();
        let seen = times.entry(verb.to_owned()).or_default();
        let step = Step {
            verb,
            line,
            times: *seen,
        };
        *seen += 1;
        drop(times);
        (self.inner.setup.script)(&step)
    }

    /// Until the client gives up.
    fn hang(&mut self) {
        let mut sink = [0; 1024];
        loop {
            let count = match &mut self.line {
                Line::Plain(stream) => stream.read(&mut sink),
                Line::Tls(stream) => stream.read(&mut sink),
                Line::Gone => return,
            };
            if !count.is_ok_and(|count| count > 0) {
                return;
            }
        }
    }

    fn command(&mut self, line: &str) -> Option<()> {
        let verb = line.split([' ', ':']).next().unwrap().to_uppercase();
        match verb.as_str() {
            "EHLO" | "LHLO" => {
                if (verb == "LHLO") != self.inner.setup.lmtp {
                    return self.line.write("500 5.5.1 not here\r\n");
                }
                let lines = match self.line {
                    Line::Tls(_) => &self.inner.setup.secure,
                    Line::Plain(_) | Line::Gone => &self.inner.setup.plain,
                };
                let mut reply = "250-fake.example".to_owned();
                for line in lines {
                    reply.push_str(&format!("\r\n250-{line}"));
                }
                reply.push_str("\r\n250 HELP");
                self.step(&verb, line, &reply)?;
            }
            "STARTTLS" => {
                if self.step("STARTTLS", line, "220 go ahead")? {
                    self.handshake()?;
                }
            }
            "AUTH" => self.login(line)?,
            "MAIL" => {
                if self.step("MAIL", line, "250 ok")? {
                    self.message.mail = line["MAIL FROM:".len()..].to_owned();
                    self.message.to.clear();
                }
            }
            "RCPT" => {
                if self.step("RCPT", line, "250 ok")? {
                    self.message.to.push(line["RCPT TO:".len()..].to_owned());
                }
            }
            "DATA" if self.inner.setup.lmtp && self.message.to.is_empty() => {
                self.line.write("503 5.5.1 nobody to get it\r\n")?;
            }
            "DATA" => {
                if self.step("DATA", line, "354 go ahead")? {
                    self.content()?;
                }
            }
            "QUIT" => {
                self.inner.quits.fetch_add(1, Ordering::SeqCst);
                self.step("QUIT", line, "221 bye")?;
                return None;
            }
            _ => {
                self.step(&verb, line, "250 ok")?;
            }
        }
        Some(())
    }

    fn content(&mut self) -> Option<()> {
        let first = self.line.read()?;
        match self.act("CONTENT", "") {
            Act::Usual => {}
            Act::Say(reply) => {
                // A server that refuses while the content comes, and ends.
                self.line.write(&format!("{reply}\r\n"));
                return None;
            }
            Act::Cut | Act::WorkAndCut => return None,
            Act::Hang => {
                // Takes nothing more: the client's writes block.
                std::thread::sleep(Duration::from_secs(20));
                return None;
            }
        }
        let mut line = first;
        self.message.data.clear();
        while line != ".\r\n" {
            let text = line.strip_prefix('.').unwrap_or(&line);
            self.message.data.push_str(text);
            line = self.line.read()?;
        }
        if self.inner.setup.lmtp {
            return self.end_lmtp();
        }
        match self.act(".", "") {
            Act::Usual => {
                self.take();
                self.line.write("250 2.0.0 taken\r\n")
            }
            Act::WorkAndCut => {
                self.take();
                None
            }
            Act::Say(reply) => self.line.write(&format!("{reply}\r\n")),
            Act::Cut => None,
            Act::Hang => {
                self.hang();
                None
            }
        }
    }

    /// A reply for each recipient. Whom it said 250 has the message, whatever comes after.
    fn end_lmtp(&mut self) -> Option<()> {
        for to in std::mem::take(&mut self.message.to) {
            let act = self.act(".", &to);
            if matches!(act, Act::Usual | Act::WorkAndCut) {
                self.message.to = vec![to];
                self.take();
            }
            match act {
                Act::Usual => self.line.write("250 2.0.0 taken\r\n")?,
                Act::Say(reply) => self.line.write(&format!("{reply}\r\n"))?,
                Act::Cut | Act::WorkAndCut => return None,
                Act::Hang => {
                    self.hang();
                    return None;
                }
            }
        }
        self.message.to.clear();
        Some(())
    }

    fn take(&mut self) {
        self.message.tls = matches!(self.line, Line::Tls(_));
        self.inner.taken.lock().unwrap().push(self.message.clone());
    }

    fn login(&mut self, line: &str) -> Option<()> {
        if line.starts_with("AUTH SCRAM-SHA-256") && self.inner.setup.scram.is_some() {
            return self.login_by_scram(line);
        }
        let mut said = line.to_owned();
        if line == "AUTH LOGIN" {
            for prompt in ["VXNlcm5hbWU6", "UGFzc3dvcmQ6"] {
                self.line.write(&format!("334 {prompt}\r\n"))?;
                said.push(' ');
                said.push_str(self.line.read()?.trim_end());
            }
        }
        if self.step("AUTH", &said, "235 2.7.0 welcome")? {
            self.message.login = Some(said);
        }
        Some(())
    }

    fn login_by_scram(&mut self, line: &str) -> Option<()> {
        let known = self.inner.setup.scram.clone()?;
        let mut words = line.split(' ').skip(1);
        let offer = match words.next()? {
            "SCRAM-SHA-256-PLUS" => Offer::Chosen(ChannelBindings {
                exporter: Some(self.exporter()?),
                end_point: None,
            }),
            _ => match self.inner.setup.secure.join(" ").contains("-PLUS") {
                true => Offer::PassedOver,
                false => Offer::Absent,
            },
        };
        let first = STANDARD.decode(words.next()?).unwrap();
        let Ok(Opening::Good(first)) = ClientFirst::parse(&first, &offer) else {
            return self.line.write("535 5.7.8 no\r\n");
        };
        let (stored_key, server_key) = stored(
            known.password.as_bytes(),
            b"salt",
            known.iterations.min(4096),
        );
        let keys = Keys {
            iterations: NonZeroU32::new(known.iterations).unwrap(),
            salt: b"salt".to_vec(),
            stored_key: stored_key.into(),
            server_key: server_key.into(),
        };
        let challenge = first.challenge(keys, &[9; SERVER_NONCE_OCTETS]);
        self.line
            .write(&format!("334 {}\r\n", STANDARD.encode(challenge.message())))?;
        let last = STANDARD.decode(self.line.read()?.trim_end()).unwrap();
        let said = match (challenge.verify(&last).unwrap(), known.honest) {
            (Verdict::NotProven, true) => return self.line.write("535 5.7.8 no\r\n"),
            (Verdict::Proven(said), true) => said,
            // Whoever came, it says that all is well.
            (_, false) => format!("v={}", STANDARD.encode([0; 32])),
        };
        self.line
            .write(&format!("334 {}\r\n", STANDARD.encode(said)))?;
        self.line.read().filter(|line| line == "\r\n")?;
        self.line.write("235 2.7.0 welcome\r\n")?;
        self.message.login = Some(line.split(' ').take(2).collect::<Vec<_>>().join(" "));
        Some(())
    }

    fn exporter(&self) -> Option<[u8; 32]> {
        let Line::Tls(stream) = &self.line else {
            return None;
        };
        let tls = &stream.get_ref().conn;
        let label = b"EXPORTER-Channel-Binding";
        tls.export_keying_material([0; 32], label, Some(&[])).ok()
    }

    fn handshake(&mut self) -> Option<()> {
        match self.act("HANDSHAKE", "") {
            Act::Usual => {}
            Act::Say(text) => {
                self.line.write(&format!("{text}\r\n"));
                return None;
            }
            Act::Cut | Act::WorkAndCut => return None,
            Act::Hang => {
                self.hang();
                return None;
            }
        }
        let Line::Plain(plain) = std::mem::replace(&mut self.line, Line::Gone) else {
            return None;
        };
        let mut socket = plain.into_inner();
        let config = Arc::clone(self.inner.setup.tls.as_ref()?);
        let mut tls = ServerConnection::new(config).unwrap();
        while tls.is_handshaking() {
            tls.complete_io(&mut socket).ok()?;
        }
        let stream = StreamOwned::new(tls, socket);
        self.line = Line::Tls(Box::new(BufReader::new(stream)));
        Some(())
    }
}

/// Makes a self-signed certificate for `name` in `folder`; gives the server's side of TLS. The
/// certificate is `NAME.pem`.
pub fn server_tls(folder: &Path, name: &str) -> Arc<ServerConfig> {
    let domain = Domain::parse(name).unwrap();
    let made = self_signed::make(&domain, std::time::SystemTime::now()).unwrap();
    let (chain, key) = (
        folder.join(format!("{name}.pem")),
        folder.join(format!("{name}.key")),
    );
    std::fs::write(&chain, &made.certificate).unwrap();
    std::fs::write(&key, made.private_key.as_str()).unwrap();
    let loaded = certificate::load(&chain, &key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(loaded.chain, loaded.private_key)
        .unwrap();
    Arc::new(config)
}
