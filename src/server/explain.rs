//! Why a message is or would be refused: a session without a socket, played to its last reply.
//!
//! Promises: it is the session the server runs, on the same settings and directory, so what it says
//! is what a client would hear; every verdict on the way is told with the setting that made it so.
//! Refuses to know: passwords (a user who exists counts as logged in), limits on the number of
//! sessions, failed logins of the past.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::config::settings::{Port, PortKind, Settings};
use crate::directory::scram::ScramLookup;
use crate::directory::{Directory, LoginOutcome};
use crate::mail::memory::Budget;
use crate::mail::{ForwardPath, MessageId, ReversePath, TlsFacts};
use crate::policy::admission::{Stage, admission};
use crate::policy::facts::{Finding, Question};
use crate::policy::unknown::Unknown;
use crate::protocol::scram::{ChannelBindings, SERVER_NONCE_OCTETS};
use crate::session::note::Note;
use crate::session::{Answer, Effect, Output, Paced, Session, SessionStart, Step, Telling};
use crate::spool::Refusal;
use crate::sys::clock;

/// A client and what it wants.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its address.
    pub address: IpAddr,
    /// The local address it connects to.
    pub local: IpAddr,
    /// Index of the port in the settings.
    pub port: usize,
    /// Whether it uses STARTTLS on a tcp port.
    pub starttls: bool,
    /// Who it logs in as, if it does.
    pub user: Option<String>,
    /// What it says at EHLO.
    pub helo: String,
    /// Its sender.
    pub reverse_path: ReversePath,
    /// Its recipient.
    pub forward_path: ForwardPath,
}

/// What is found on the way.
#[derive(Debug, Default)]
pub struct Explanation {
    /// One line a step: what was decided, how, and by which setting.
    pub steps: Vec<String>,
    /// The last reply, as the client sees it, without its CRLF.
    pub reply: String,
    /// Whether the recipient was taken.
    pub accepted: bool,
}

/// Plays the client's session.
pub fn explain(
    settings: &Arc<Settings>,
    directory: &Directory,
    ask: &dyn Fn(&Question) -> Finding,
    client: &Client,
) -> Explanation {
    let session = Session::new(SessionStart {
        settings: Arc::clone(settings),
        port: client.port,
        client: SocketAddr::new(client.address, 0),
        local: SocketAddr::new(client.local, 0),
        telling: Telling::Everything,
        memory: Arc::new(Budget::new(settings.limits.mail_memory)),
    });
    let mut play = Play {
        session,
        directory,
        ask,
        output: Output::default(),
        explanation: Explanation::default(),
    };
    if let Some(port) = settings.ports.get(client.port) {
        play.describe(settings, port, client);
    }
    play.run(settings, client);
    play.explanation
}

struct Play<'a> {
    session: Session,
    directory: &'a Directory,
    ask: &'a dyn Fn(&Question) -> Finding,
    output: Output,
    explanation: Explanation,
}

impl Play<'_> {
    fn describe(&mut self, settings: &Settings, port: &Port, client: &Client) {
        let stage = match (port.kind, client.starttls) {
            (PortKind::Tls, _) => Stage::Tls,
            (PortKind::Tcp, true) => Stage::StartTls,
            (PortKind::Tcp, false) => Stage::Plaintext,
        };
        let admitted = admission(settings, port, client.local, stage);
        let yes = |yes| if yes { "yes" } else { "no" };
        self.explanation.steps.push(format!(
            "port: {} {} {} auth={} anonymous={}",
            port.name,
            SocketAddr::new(client.local, port.number),
            stage.word(),
            yes(admitted.auth),
            yes(admitted.anonymous)
        ));
    }

    /// Says one thing after the other until one is refused.
    fn run(&mut self, settings: &Settings, client: &Client) {
        let is_tls_port = settings.ports.get(client.port).map(|port| port.kind);
        let step = match is_tls_port {
            Some(PortKind::Tls) => self.answer(Answer::TlsStarted(TLS, ChannelBindings::default())),
            _ => self.session.begin(clock::now(), &mut self.output),
        };
        let hello = format!("EHLO {}\r\n", client.helo);
        let path_is_ascii = client.reverse_path.is_ascii() && client.forward_path.is_ascii();
        let smtputf8 = if path_is_ascii { "" } else { " SMTPUTF8" };
        let mail = format!("MAIL FROM:<{}>{smtputf8}\r\n", client.reverse_path);
        let rcpt = format!("RCPT TO:<{}>\r\n", client.forward_path);
        let mut is_fine = self.go_on(step) && self.say(&hello);
        if client.starttls {
            is_fine = is_fine && self.say("STARTTLS\r\n") && self.say(&hello);
        }
        if let Some(user) = &client.user {
            is_fine = is_fine && self.log_in(user);
        }
        self.explanation.accepted = is_fine && self.say(&mail) && self.say(&rcpt);
    }

    fn say(&mut self, line: &str) -> bool {
        let (_, step) = self
            .session
            .receive(line.as_bytes(), clock::now(), &mut self.output);
        self.go_on(step)
    }

    fn log_in(&mut self, user: &str) -> bool {
        let outcome = self.directory.login_by_name(user);
        let step = self
            .session
            .log_in_unproven(user.to_owned(), outcome, &mut self.output);
        self.go_on(step)
    }

    /// Performs effects until the session has spoken; whether it said yes.
    fn go_on(&mut self, mut step: Step) -> bool {
        loop {
            self.collect();
            let said_yes = self.explanation.reply.starts_with('2');
            step = match step {
                Step::Close => return false,
                Step::Receive => return said_yes,
                Step::Perform(effect) => match self.perform(effect) {
                    Some(answer) => self.answer(answer),
                    None => return said_yes,
                },
            };
        }
    }

    fn answer(&mut self, answer: Answer) -> Step {
        self.session.answer(answer, clock::now(), &mut self.output)
    }

    fn perform(&self, effect: Effect) -> Option<Answer> {
        Some(match effect {
            Effect::StartTls => Answer::TlsStarted(TLS, ChannelBindings::default()),
            Effect::CheckSpace(_) => Answer::Space(Ok(())),
            Effect::PaceLogin(_) => Answer::Paced(Paced::Proceed),
            Effect::CountUnknown | Effect::WaitForUnknown => Answer::Unknown(Unknown::Few),
            Effect::CheckLogin(_) => Answer::Login(LoginOutcome::Refused),
            Effect::FindScramKeys(_) => {
                Answer::ScramKeys(ScramLookup::Unavailable, [0; SERVER_NONCE_OCTETS])
            }
            Effect::FindRecipient(path) => Answer::Recipient(self.directory.find(&path)),
            Effect::MeasureMailboxes(users) => Answer::Measured(self.directory.fullness(&users)),
            Effect::ExpandName(path) => Answer::Expanded(self.directory.expand(&path)),
            Effect::LookUp(question) => Answer::LookedUp((self.ask)(&question)),
            Effect::FindGroups(user) => Answer::Groups(self.directory.groups_of(&user)),
            Effect::CheckOwner { user, sender } => {
                Answer::Owned(self.directory.owns(&user, &sender))
            }
            Effect::OpenMessage(_) => Answer::Opened(Ok(MessageId::new(0, 0))),
            Effect::CommitMessage => Answer::Committed(Err(Refusal::Failure)),
            Effect::DropMessage => return None,
        })
    }

    /// Takes verdicts and the last reply from what the session has put out.
    fn collect(&mut self) {
        for note in self.output.notes.drain(..) {
            if let Note::Decided {
                step,
                verdict,
                cause,
            } = note
            {
                let line = format!("{step}: {verdict} by {cause}");
                self.explanation.steps.push(line);
            }
        }
        let said = String::from_utf8_lossy(&self.output.wire).into_owned();
        if let Some(last) = said.lines().last() {
            self.explanation.reply = last.to_owned();
        }
        self.output.wire.clear();
    }
}

const TLS: TlsFacts = TlsFacts {
    version: "TLSv1.3",
    cipher: "unknown",
};
