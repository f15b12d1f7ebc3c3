//! Why a message is or would be refused: a session without a socket, played to its last reply.
//!
//! Promises: it is the session the server runs, on the same settings and directory, so what it says
//! is what a client would hear; every verdict on the way is told with the setting that made it so.
//! Refuses to know: passwords (a user who exists counts as logged in), limits on the number of
//! sessions, failed logins of the past.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::config::local::Local;
use crate::config::settings::{Port, PortKind, Settings};
use crate::directory::scram::ScramLookup;
use crate::directory::{Directory, LoginOutcome, Lookup};
use crate::mail::memory::Budget;
use crate::mail::{ForwardPath, Mailbox, MessageId, ReversePath, Target, TlsFacts};
use crate::policy::admission::{Stage, admission};
use crate::policy::facts::{Finding, Question};
use crate::policy::unknown::Unknown;
use crate::policy::verdict::Cause;
use crate::protocol::scram::{ChannelBindings, SERVER_NONCE_OCTETS};
use crate::session::note::Note;
use crate::session::{Answer, Effect, Output, Paced, Session, SessionStart, Step, Telling};
use crate::spool::Refusal;
use crate::sys::clock;
use crate::sys::disk::{Disk, RealDisk};

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
        settings,
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
    if play.explanation.accepted {
        let ways = ways(settings, directory, client);
        play.explanation.steps.extend(ways);
    }
    play.explanation
}

/// Where the message would go.
fn ways(settings: &Settings, directory: &Directory, client: &Client) -> Vec<String> {
    let path = &client.forward_path;
    if let ForwardPath::Mailbox(mailbox) = path {
        let literal = mailbox.domain().literal_address();
        let is_own = literal.is_some_and(|own| own.to_canonical() == client.local.to_canonical());
        if !is_own && !settings.is_local_domain(mailbox.domain()) {
            return vec![elsewhere(settings, client, mailbox)];
        }
    }
    let mut ways = Vec::new();
    if let Some(user) = directory.catches(path) {
        let cause = match settings.recipients.catch_all {
            Some(_) => Cause::new("recipients", "catch_all", "nobody has this name"),
            None => Cause::new(
                "recipients",
                "verify",
                "every name is taken, nobody has this one",
            ),
        };
        let cause = cause.in_words(settings);
        ways.push(format!("delivery: goes to {user} by {cause}"));
    }
    for (alias, members) in directory.way(path) {
        let members = members.join(", ");
        ways.push(format!("delivery: alias {alias} leads to {members}"));
    }
    let Lookup::Found(found) = directory.find(path) else {
        return ways;
    };
    ways.extend(found.targets.iter().map(|target| match target {
        Target::User(user) => match &settings.local {
            Local::Maildir => {
                let maildir = settings.mail_root.join(user).join("Maildir");
                format!("delivery: mailbox {}", maildir.display())
            }
            Local::Lmtp(place) => format!("delivery: mailbox of {user} at the LMTP server {place}"),
        },
        Target::Outside(mailbox) => elsewhere(settings, client, mailbox),
        Target::Command(name) => format!("delivery: program of [command:{name}]"),
        Target::Webhook(name) => format!("delivery: web server of [webhook:{name}]"),
    }));
    ways
}

/// How mail for an address elsewhere goes.
fn elsewhere(settings: &Settings, client: &Client, mailbox: &Mailbox) -> String {
    match settings.smarthost_for(&client.reverse_path) {
        Some(host) => {
            let section = format!("[{}]", host.section());
            format!(
                "delivery: {mailbox} by {section} {} port {}",
                host.host, host.port
            )
        }
        None => format!("delivery: {mailbox} goes nowhere: no smarthost is for this sender"),
    }
}

/// Whether the spool's disk has room for this many octets; where there is no spool yet, it has.
fn space(settings: &Settings, octets: u64) -> Result<(), Refusal> {
    match RealDisk.free_octets(&settings.spool) {
        Ok(free) if !settings.limits.leave_room(free, octets) => Err(Refusal::NoSpace),
        Ok(_) | Err(_) => Ok(()),
    }
}

struct Play<'a> {
    settings: &'a Settings,
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
            Effect::CheckSpace(octets) => Answer::Space(space(self.settings, octets)),
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
