//! Whole sessions: no input makes one panic, no split changes what it says and does, what waits to be
//! sent has a limit, and a session that has closed stays closed.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gatepost::config::Settings;
use gatepost::directory::scram::{ScramLogin, ScramLookup};
use gatepost::directory::{Expansion, Found, LoginOutcome, Lookup};
use gatepost::mail::fullness::Fullness;
use gatepost::mail::memory::Budget;
use gatepost::mail::{ForwardPath, MessageId, Target, TlsFacts};
use gatepost::policy::facts::Finding;
use gatepost::policy::unknown::Unknown;
use gatepost::protocol::scram::{ChannelBindings, Keys, SERVER_NONCE_OCTETS};
use gatepost::session::{
    Answer, Effect, Output, Paced, Session, SessionStart, Step, Telling, WIRE_MAX_OCTETS,
};
use gatepost::spool::Refusal;

const TOKENS: &[&[u8]] = &[
    b"\r\n",
    b"\r",
    b"\n",
    b"\0",
    b".\r\n",
    b"\r\n.\r\n",
    b"EHLO c\r\n",
    b"HELO c\r\n",
    b"DATA\r\n",
    b"MAIL FROM:<a@b.example>\r\n",
    b"RCPT TO:<alice@here.example>\r\n",
    b"RSET\r\n",
    b"QUIT\r\n",
    b"STARTTLS\r\n",
    b"AUTH LOGIN\r\n",
    b"AUTH PLAIN\r\n",
    b"AGFsaWNlAHdvbmRlcmxhbmQ=\r\n",
    b"*\r\n",
    b"AUTH PLAIN AGFsaWNlAHdvbmRlcmxhbmQ=\r\n",
    b"AUTH SCRAM-SHA-256 ",
    b"AUTH SCRAM-SHA-256-PLUS ",
    b"biwsbj1hbGljZSxyPXg=\r\n",
    b"eSwsbj1ib2Iscj14\r\n",
    b"cD10bHMtZXhwb3J0ZXIsLG49YWxpY2Uscj14\r\n",
    b"Yz1iaXdzLHI9eEJRVUZCUVVGQlFVRkJRVUZCUVVGQlFVRixwPUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE9\r\n",
    b"VRFY alice\r\n",
    b"EXPN a\r\n",
    b"HELP\r\n",
    b"\x16\x03",
    b"GET / HTTP/1.1\r\n",
    b"BDAT 0\r\n",
    b"BDAT 0 LAST\r\n",
    b"BDAT 3\r\na\r\n",
    b"BDAT 3 LAST\r\na\r\n",
    b"BDAT 2\r\na\r",
    b"BDAT 600\r\n",
    b"BDAT 18446744073709551615\r\n",
    b"RCPT TO:<alice@here.example> NOTIFY=NEVER\r\n",
    b" RET=HDRS ENVID=x",
    b" SIZE=9999",
    b" SMTPUTF8",
    b" BODY=8BITMIME",
    b"\xff",
    &[b'x'; 700],
];

const INI: [&str; 4] = [
    "[server]\nhostname = mx.here.example\nlocal_domains = here.example\n\
     [port:tcp]\nname_and_password = yes\n[port:tls]\nname_and_password = yes\n\
     [extensions]\nstarttls = enabled\nvrfy = enabled\nexpn = enabled\ndsn = enabled\n[limits]\nmessage_size = 1K\nrecipients = 3\n",
    "[server]\nhostname = mx.here.example\nlocal_domains = here.example\n\
     [port:tcp]\nname_and_password = yes\nanonymous = no\n[extensions]\nstarttls = disabled\n\
     [connections]\nerror_limit = 0\n[auth]\nattempts_max = 20\n",
    "[server]\nhostname = mx.here.example\nlocal_domains = here.example\n\
     [extensions]\nstarttls = required\nhelp = disabled\nsize = disabled\nsmtputf8 = disabled\n",
    "[server]\nhostname = mx.here.example\nlocal_domains = here.example\n\
     [extensions]\nchunking = disabled\n[connections]\nerror_limit = 0\n",
];

fn main() -> ExitCode {
    let settings = INI.map(settings);
    let corpus = gatepost_fuzz::transcripts();
    gatepost_fuzz::main("session", corpus, TOKENS, move |input, random| {
        let settings = &settings[random.below(settings.len())];
        let whole = play(settings, &[input]);
        let pieces = random.split(input);
        assert_eq!(
            play(settings, &pieces),
            whole,
            "a split changes the session"
        );
    })
}

fn settings(ini: &str) -> Arc<Settings> {
    let file = std::env::temp_dir().join(format!("gatepost-fuzz-{}.ini", std::process::id()));
    fs::write(&file, ini).expect("the configuration can be written");
    let settings = gatepost::config::parse(&file);
    fs::remove_file(&file).expect("the configuration can be removed");
    Arc::new(settings.unwrap_or_else(|problems| panic!("{problems:?}")))
}

/// All that came of one session.
#[derive(Debug, Default, PartialEq, Eq)]
struct Record {
    wire: Vec<u8>,
    effects: Vec<String>,
    notes: Vec<String>,
    contents: Vec<Vec<u8>>,
    is_closed: bool,
}

struct Player {
    session: Session,
    output: Output,
    record: Record,
    content: Vec<u8>,
    opened: u32,
}

fn play(settings: &Arc<Settings>, pieces: &[&[u8]]) -> Record {
    let session = Session::new(SessionStart {
        settings: Arc::clone(settings),
        port: 0,
        client: SocketAddr::from((Ipv4Addr::LOCALHOST, 40_000)),
        local: SocketAddr::from((Ipv4Addr::LOCALHOST, 25)),
        telling: Telling::Dialogue,
        memory: Arc::new(Budget::new(1 << 20)),
    });
    let (output, record, content) = (Output::default(), Record::default(), Vec::new());
    let mut player = Player {
        session,
        output,
        record,
        content,
        opened: 0,
    };
    let step = player.session.begin(now(), &mut player.output);
    player.go_on(step);
    for piece in pieces {
        player.feed(piece);
    }
    player.record
}

impl Player {
    fn feed(&mut self, octets: &[u8]) {
        let mut rest = octets;
        while !rest.is_empty() && !self.record.is_closed {
            let (used, step) = self.session.receive(rest, now(), &mut self.output);
            let is_progress = used > 0 || step != Step::Receive || !self.output.wire.is_empty();
            assert!(is_progress, "the session takes no input");
            assert!(
                self.output.wire.len() <= WIRE_MAX_OCTETS + 4_096,
                "replies pile up"
            );
            assert!(
                self.output.content.len() <= rest.len() + 4_096,
                "content piles up"
            );
            rest = &rest[used..];
            self.go_on(step);
        }
        if self.record.is_closed {
            let (_, step) = self.session.receive(b"NOOP\r\n", now(), &mut self.output);
            assert_eq!(step, Step::Close);
            assert_eq!(self.output, Output::default(), "a closed session speaks");
        }
    }

    fn go_on(&mut self, mut step: Step) {
        self.collect();
        while let Step::Perform(effect) = step {
            step = self.perform(effect);
            self.collect();
        }
        self.record.is_closed = step == Step::Close;
    }

    fn perform(&mut self, effect: Effect) -> Step {
        self.record.effects.push(format!("{effect:?}"));
        let answer = match effect {
            Effect::DropMessage => {
                self.content.clear();
                return Step::Receive;
            }
            // The caller throws input away up to the handshake; here it is the client's own.
            Effect::StartTls => Answer::TlsStarted(
                TlsFacts {
                    version: "TLSv1.3",
                    cipher: "X",
                },
                ChannelBindings {
                    exporter: Some([7; 32]),
                    end_point: None,
                },
            ),
            Effect::CheckSpace(octets) if octets % 7 == 6 => Answer::Space(Err(Refusal::NoSpace)),
            Effect::CheckSpace(_) => Answer::Space(Ok(())),
            Effect::PaceLogin(login) => Answer::Paced(match login.len() % 5 {
                4 => Paced::TurnAway,
                _ => Paced::Proceed,
            }),
            Effect::CountUnknown | Effect::WaitForUnknown => Answer::Unknown(Unknown::Many),
            Effect::CheckLogin(credentials) => Answer::Login(login(&credentials.login)),
            Effect::FindScramKeys(name) => {
                Answer::ScramKeys(scram_keys(name), [5; SERVER_NONCE_OCTETS])
            }
            Effect::FindRecipient(path) => Answer::Recipient(find(&path)),
            Effect::MeasureMailboxes(users) => {
                Answer::Measured(users.iter().map(fullness).collect())
            }
            Effect::LookUp(_) => Answer::LookedUp(Finding::Failed),
            Effect::FindGroups(user) => Answer::Groups((user != "bob").then(Vec::new)),
            Effect::CheckOwner { sender, .. } => {
                Answer::Owned(Some(sender.local_part().len() % 2 == 0))
            }
            Effect::ExpandName(path) => Answer::Expanded(expand(&path)),
            Effect::OpenMessage(_) => {
                self.content.clear();
                self.opened += 1;
                Answer::Opened(match self.opened % 5 {
                    4 => Err(Refusal::Failure),
                    _ => Ok(MessageId::new(1, self.opened)),
                })
            }
            // Only the spool can say that a message is durable.
            Effect::CommitMessage => {
                self.record.contents.push(std::mem::take(&mut self.content));
                Answer::Committed(Err(Refusal::Failure))
            }
        };
        self.session.answer(answer, now(), &mut self.output)
    }

    fn collect(&mut self) {
        self.record.wire.append(&mut self.output.wire);
        let notes = self.output.notes.drain(..).map(|note| format!("{note:?}"));
        self.record.notes.extend(notes);
        self.content.append(&mut self.output.content);
    }
}

fn login(name: &str) -> LoginOutcome {
    match name {
        "alice" => LoginOutcome::Accepted(name.to_owned()),
        "" => LoginOutcome::Unavailable,
        _ => LoginOutcome::Refused,
    }
}

fn scram_keys(name: String) -> ScramLookup {
    if name.len() == 1 {
        return ScramLookup::Unavailable;
    }
    let keys = Keys {
        iterations: NonZeroU32::MIN,
        salt: vec![3; 16],
        stored_key: vec![4; 32].into(),
        server_key: vec![5; 32].into(),
    };
    let user = (name == "alice").then_some(name);
    ScramLookup::Found(ScramLogin { user, keys })
}

fn find(path: &ForwardPath) -> Lookup {
    let ForwardPath::Mailbox(mailbox) = path else {
        return Lookup::Found(Found::one(Target::User("postmaster".to_owned())));
    };
    match mailbox.local_part().len() % 4 {
        3 => Lookup::Unknown,
        2 => Lookup::Unavailable,
        count => Lookup::Found(Found {
            limited: count == 1,
            ..Found::one(Target::User(mailbox.local_part().to_owned()))
        }),
    }
}

fn fullness(user: &String) -> Fullness {
    Fullness {
        user: user.clone(),
        quota: 100,
        is_own: false,
        used: (user.len() % 3 != 2).then_some(user.len() as u64 % 3 * 100),
    }
}

fn expand(path: &ForwardPath) -> Expansion {
    match path.to_string().len() % 4 {
        3 => Expansion::Unknown,
        2 => Expansion::Unavailable,
        count => Expansion::Members(vec![path.to_string(); count]),
    }
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)
}
