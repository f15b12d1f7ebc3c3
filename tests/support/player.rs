//! Plays the in-process session with commands of one line each, on settings from an INI text.

#![allow(dead_code)]

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gatepost::config::settings::PortKind;
use gatepost::config::{Problem, Settings};
use gatepost::directory::{Directory, LoginOutcome};
use gatepost::mail::memory::Budget;
use gatepost::mail::{MessageId, TlsFacts};
use gatepost::policy::facts::{Finding, Question};
use gatepost::policy::unknown::Unknown;
use gatepost::probe;
use gatepost::protocol::scram::{ChannelBindings, SERVER_NONCE_OCTETS};
use gatepost::session::{Answer, Effect, Output, Paced, Session, SessionStart, Step, Telling};
use gatepost::spool::Refusal;

/// How a session comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Plaintext,
    StartTls,
    Tls,
}

/// Settings and directory of one INI text.
pub struct World {
    pub settings: Arc<Settings>,
    pub directory: Directory,
    pub memory: Arc<Budget>,
}

impl World {
    /// Writes the text to `file` and loads it as the server does.
    pub fn load(file: &Path, ini: &str) -> Result<Self, Vec<Problem>> {
        std::fs::write(file, ini).unwrap();
        let settings = Arc::new(probe::load(file)?.settings);
        let directory = Directory::new(&settings);
        Ok(Self {
            settings,
            directory,
            memory: Arc::new(Budget::new(1 << 20)),
        })
    }

    pub fn port(&self, name: &str) -> usize {
        let ports = self.settings.ports.iter();
        let mut named = ports.enumerate().filter(|(_, port)| port.name == name);
        named.next().unwrap().0
    }
}

/// A session and what DNS says to it.
pub struct Player<'a> {
    world: &'a World,
    session: Session,
    dns: &'a dyn Fn(&Question) -> Finding,
    output: Output,
    said: String,
    pub is_closed: bool,
    pub questions: Vec<Question>,
}

impl<'a> Player<'a> {
    /// A session on the port of this name, greeted; the first line is in what [`Self::take`] gives.
    pub fn connect(
        world: &'a World,
        port: &str,
        client: IpAddr,
        local: IpAddr,
        dns: &'a dyn Fn(&Question) -> Finding,
    ) -> Self {
        let port = world.port(port);
        let session = Session::new(SessionStart {
            settings: Arc::clone(&world.settings),
            port,
            client: SocketAddr::new(client, 40_000),
            local: SocketAddr::new(local, 25),
            telling: Telling::Refusals,
            memory: Arc::clone(&world.memory),
        });
        let mut player = Self {
            world,
            session,
            dns,
            output: Output::default(),
            said: String::new(),
            is_closed: false,
            questions: Vec::new(),
        };
        let step = match world.settings.ports[port].kind {
            PortKind::Tls => player.answer(tls_started()),
            PortKind::Tcp => player.session.begin(now(), &mut player.output),
        };
        player.go_on(step);
        player
    }

    /// Says a line; gives the reply, lines joined by a line feed.
    pub fn say(&mut self, line: &str) -> String {
        assert!(!self.is_closed, "the session is closed");
        let octets = format!("{line}\r\n");
        let (used, step) = self
            .session
            .receive(octets.as_bytes(), now(), &mut self.output);
        assert_eq!(used, octets.len());
        self.go_on(step);
        self.take()
    }

    /// What has been said since the last look.
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.said)
            .replace("\r\n", "\n")
            .trim_end()
            .to_owned()
    }

    /// EHLO, and STARTTLS with another EHLO where the session is to be in TLS by it.
    pub fn hello(&mut self, kind: Kind) -> String {
        let said = self.say("EHLO client.example");
        if kind != Kind::StartTls {
            return said;
        }
        assert!(self.say("STARTTLS").starts_with("220 "));
        self.say("EHLO client.example")
    }

    fn go_on(&mut self, mut step: Step) {
        loop {
            self.said
                .push_str(&String::from_utf8_lossy(&self.output.wire));
            self.output.wire.clear();
            step = match step {
                Step::Receive => return,
                Step::Close => {
                    self.is_closed = true;
                    return;
                }
                Step::Perform(effect) => match self.perform(effect) {
                    Some(answer) => self.answer(answer),
                    None => return,
                },
            };
        }
    }

    fn answer(&mut self, answer: Answer) -> Step {
        self.session.answer(answer, now(), &mut self.output)
    }

    fn perform(&mut self, effect: Effect) -> Option<Answer> {
        let directory = &self.world.directory;
        Some(match effect {
            Effect::StartTls => tls_started(),
            Effect::CheckSpace(_) => Answer::Space(Ok(())),
            // Passwords are tested elsewhere: here every user's is "right".
            Effect::PaceLogin(_) => Answer::Paced(Paced::Proceed),
            Effect::CountUnknown | Effect::WaitForUnknown => Answer::Unknown(Unknown::Few),
            Effect::CheckLogin(credentials) => {
                Answer::Login(match directory.local_name(&credentials.login) {
                    Some(name) if *credentials.password == b"right" => LoginOutcome::Accepted(name),
                    _ => LoginOutcome::Refused,
                })
            }
            Effect::FindScramKeys(login) => {
                Answer::ScramKeys(directory.scram_keys(&login), [0; SERVER_NONCE_OCTETS])
            }
            Effect::FindRecipient(path) => Answer::Recipient(directory.find(&path)),
            Effect::LookUp(question) => {
                let finding = (self.dns)(&question);
                self.questions.push(question);
                Answer::LookedUp(finding)
            }
            Effect::MeasureMailboxes(users) => Answer::Measured(directory.fullness(&users)),
            Effect::ExpandName(path) => Answer::Expanded(directory.expand(&path)),
            Effect::FindGroups(user) => Answer::Groups(directory.groups_of(&user)),
            Effect::CheckOwner { user, sender } => Answer::Owned(directory.owns(&user, &sender)),
            Effect::OpenMessage(_) => Answer::Opened(Ok(MessageId::new(1, 1))),
            Effect::CommitMessage => Answer::Committed(Err(Refusal::Failure)),
            Effect::DropMessage => return None,
        })
    }
}

/// The AUTH PLAIN command of a user whose password is "right".
pub fn auth_plain(user: &str) -> String {
    use base64::Engine as _;
    let text = format!("\0{user}\0right");
    let encoded = base64::engine::general_purpose::STANDARD.encode(text);
    format!("AUTH PLAIN {encoded}")
}

/// A DNS that is never asked.
pub fn no_dns(question: &Question) -> Finding {
    panic!("nobody should ask {question:?}")
}

fn tls_started() -> Answer {
    let facts = TlsFacts {
        version: "TLSv1.3",
        cipher: "TLS13_AES_256_GCM_SHA384",
    };
    Answer::TlsStarted(facts, ChannelBindings::default())
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)
}
