//! Transcripts against the session in process, at every split.
//!
//! The world is a real directory on `tests/data/users` and `aliases`, and a disk of [`DISK_OCTETS`].

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use super::{Answer, Effect, Output, Paced, Session, SessionStart, Step, Telling};
use crate::config::Settings;
use crate::config::settings::PortKind;
use crate::directory::scram::ScramLookup;
use crate::directory::{Directory, Expansion, LoginOutcome, Lookup};
use crate::mail::memory::Budget;
use crate::mail::{Domain, MessageId, TlsFacts};
use crate::policy::facts::{Finding, Question};
use crate::policy::unknown::Unknown;
use crate::probe;
use crate::spool::{Committed, Refusal};

#[path = "../../tests/support/ini.rs"]
mod ini;
mod scram;
#[path = "../../tests/support/transcript.rs"]
mod transcript;

use transcript::{Action, Replies, Transcript, Way, all, compare};

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const DISK_OCTETS: u64 = 1 << 40;
const RANDOM_CUTS: u64 = 40;
const SEED: u64 = 0x6761_7465_706f_7374;

#[test]
fn transcripts_hold_and_no_split_of_the_octets_changes_them() {
    println!("seed {SEED:#x}");
    let transcripts = all();
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let play_on = || {
        while let Some(transcript) = transcripts.get(next.fetch_add(1, Ordering::Relaxed)) {
            if catch_unwind(|| play_at_every_split(transcript)).is_err() {
                failed.lock().unwrap().push(transcript.name.as_str());
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(play_on);
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{failed:?}");
}

fn play_at_every_split(transcript: &Transcript) {
    play_at_every_split_in(&World::new(&transcript.ini), transcript);
}

fn play_at_every_split_in(world: &World, transcript: &Transcript) {
    for way in &transcript.ways {
        let stage = Stage {
            transcript,
            world,
            way: *way,
        };
        let whole = stage.play(Cut::Whole);
        stage.compare(&whole, Cut::Octets);
        for seed in 0..RANDOM_CUTS {
            stage.compare(&whole, Cut::Random(SEED ^ seed));
        }
        for (chunk, length) in stage.chunks().into_iter().enumerate() {
            for at in 1..length {
                stage.compare(&whole, Cut::At(chunk, at));
            }
        }
    }
}

#[test]
fn what_the_world_cannot_do_is_answered_with_4yz() {
    let later = "S=: 451 4.3.0 Try again later\n";
    let no_space = "S=: 452 4.3.1 Insufficient system storage\n";
    let mail = "C: MAIL FROM:<>\nC: RCPT TO:<bob@here.example>\nS: 250\nS: 250\n";
    let data = format!("{mail}C: DATA\nS: 354\nC: content\nC: .\n");
    let turned_away = "S=: 454 4.7.0 Temporary authentication failure\n";
    let rows = [
        (
            Trouble::Directory,
            format!("C: MAIL FROM:<>\nS: 250\nC: RCPT TO:<alice@here.example>\n{later}"),
        ),
        (Trouble::Directory, format!("C: EXPN alice\n{later}")),
        (
            Trouble::Logins,
            format!("C: AUTH PLAIN AGFsaWNlAHdvbmRlcmxhbmQ=\n{later}"),
        ),
        (
            Trouble::Logins,
            format!("C: AUTH SCRAM-SHA-256 biwsbj1hbGljZSxyPWFiYw==\n{later}"),
        ),
        (
            Trouble::Pace,
            format!(
                "C: AUTH PLAIN AGFsaWNlAHdvbmRlcmxhbmQ=\n{turned_away}\
                 C: AUTH PLAIN AGFsaWNlAHdyb25n\n{turned_away}{mail}"
            ),
        ),
        (
            Trouble::Open(Refusal::Failure),
            format!("{mail}C: DATA\n{later}"),
        ),
        (
            Trouble::Open(Refusal::NoSpace),
            format!("{mail}C: DATA\n{no_space}"),
        ),
        (Trouble::Commit(Refusal::Failure), format!("{data}{later}")),
        (
            Trouble::Commit(Refusal::NoSpace),
            format!("{data}{no_space}"),
        ),
        (
            Trouble::Write(Refusal::NoSpace),
            format!("{data}{no_space}"),
        ),
    ];
    rows.iter()
        .for_each(|(trouble, steps)| play_in_trouble(*trouble, steps));
}

#[test]
fn what_the_world_cannot_do_is_answered_behind_the_chunk() {
    let mail = "C: MAIL FROM:<>\nC: RCPT TO:<bob@here.example>\nS: 250\nS: 250\n";
    let rows = [
        (
            Trouble::Open(Refusal::NoSpace),
            "C-raw: BDAT 5\\r\\nquit\\nBDAT 4 LAST\\r\\nquitDATA\\r\\n\n\
             S=: 452 4.3.1 Insufficient system storage\n\
             S=: 452 4.3.1 Insufficient system storage\nS: 503\n",
        ),
        (
            Trouble::Open(Refusal::Failure),
            "C: BDAT 0 LAST\nS=: 451 4.3.0 Try again later\nC: BDAT 0\nS: 503\n",
        ),
        (
            Trouble::Write(Refusal::NoSpace),
            "C-raw: BDAT 6 LAST\\r\\nquit\\r\\n\n\
             S=: 452 4.3.1 Insufficient system storage\nC: MAIL FROM:<>\nS: 250\n",
        ),
        (
            Trouble::Commit(Refusal::Failure),
            "C-raw: BDAT 3\\r\\na\\r\\n\nS: 250\nC: BDAT 0 LAST\nS=: 451 4.3.0 Try again later\n\
             C: BDAT 0 LAST\nS: 503\nC: MAIL FROM:<>\nS: 250\n",
        ),
    ];
    for (trouble, steps) in rows {
        play_in_trouble(trouble, &format!("{mail}{steps}"));
    }
}

/// When trouble shows depends on how the octets came; what is said does not.
fn play_in_trouble(trouble: Trouble, steps: &str) {
    let text = format!(
        "I: [port:tcp]\nI: name_and_password = yes\nI: [extensions]\nI: expn = enabled\nP: tcp\n\
         C: EHLO c\nS*: 250\n{steps}"
    );
    let transcript = Transcript::parse(&format!("{trouble:?}"), &text);
    let mut world = World::new(&transcript.ini);
    world.trouble = Some(trouble);
    let stage = Stage {
        transcript: &transcript,
        world: &world,
        way: Way::Tcp,
    };
    assert_eq!(stage.play(Cut::Whole).wire, stage.play(Cut::Octets).wire);
}

/// How the octets of the client come.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// Each chunk at once.
    Whole,
    /// Octet by octet.
    Octets,
    /// One chunk in two parts.
    At(usize, usize),
    /// Every chunk in parts of random length.
    Random(u64),
}

impl Cut {
    fn lengths(self, chunk: usize, length: usize) -> Vec<usize> {
        match self {
            Self::Octets => vec![1; length],
            Self::At(cut, at) if cut == chunk => vec![at, length - at],
            Self::Whole | Self::At(..) => vec![length],
            Self::Random(seed) => {
                let mut state = seed ^ (chunk as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let (mut lengths, mut left) = (Vec::new(), length);
                while left > 0 {
                    // xorshift64
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    let part = 1 + (state % 24) as usize;
                    lengths.push(part.min(left));
                    left -= part.min(left);
                }
                lengths
            }
        }
    }
}

/// What the world fails at.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    Directory,
    Pace,
    Logins,
    Open(Refusal),
    /// Anything behind the trace field.
    Write(Refusal),
    Commit(Refusal),
}

/// What the effects of a session fall on.
struct World {
    settings: Arc<Settings>,
    directory: Directory,
    logins: std::cell::RefCell<HashMap<(String, Vec<u8>), LoginOutcome>>,
    trouble: Option<Trouble>,
    folder: PathBuf,
}

impl World {
    fn new(extra: &str) -> Self {
        let folder = folder();
        fs::create_dir_all(&folder).unwrap();
        for name in ["users", "aliases"] {
            fs::copy(ini::data(name), folder.join(name)).unwrap();
        }
        let file = folder.join("gatepost.ini");
        fs::write(&file, ini::base_ini(ADDRESS, &folder, extra)).unwrap();
        let loaded = probe::load(&file).unwrap_or_else(|problems| panic!("{extra}: {problems:?}"));
        let settings = Arc::new(loaded.settings);
        let directory = Directory::new(&settings);
        Self {
            settings,
            directory,
            logins: Default::default(),
            trouble: None,
            folder,
        }
    }

    fn port(&self, way: Way) -> usize {
        let kind = match way {
            Way::Tcp | Way::StartTls => PortKind::Tcp,
            Way::Tls => PortKind::Tls,
        };
        self.settings
            .ports
            .iter()
            .position(|port| port.kind == kind)
            .unwrap()
    }

    /// What an effect comes to; each login is worked out once, it is slow on purpose.
    fn answer(&self, effect: Effect, opened: u32) -> Option<Answer> {
        Some(match (effect, self.trouble) {
            (Effect::StartTls | Effect::DropMessage, _) => return None,
            (Effect::CheckSpace(octets), _) => {
                let is_room = self.settings.limits.free_space + octets <= DISK_OCTETS;
                Answer::Space(if is_room {
                    Ok(())
                } else {
                    Err(Refusal::NoSpace)
                })
            }
            (Effect::PaceLogin(_), Some(Trouble::Pace)) => Answer::Paced(Paced::TurnAway),
            (Effect::PaceLogin(_), _) => Answer::Paced(Paced::Proceed),
            (Effect::CountUnknown | Effect::WaitForUnknown, _) => Answer::Unknown(Unknown::Few),
            (Effect::CheckLogin(_), Some(Trouble::Logins)) => {
                Answer::Login(LoginOutcome::Unavailable)
            }
            (Effect::CheckLogin(credentials), _) => {
                let key = (credentials.login.clone(), credentials.password.to_vec());
                let mut logins = self.logins.borrow_mut();
                let outcome = logins.entry(key).or_insert_with(|| {
                    self.directory
                        .verify(&credentials.login, &credentials.password)
                });
                Answer::Login(outcome.clone())
            }
            (Effect::FindScramKeys(_), Some(Trouble::Logins)) => {
                Answer::ScramKeys(ScramLookup::Unavailable, scram::NONCE)
            }
            (Effect::FindScramKeys(login), _) => {
                Answer::ScramKeys(self.directory.scram_keys(&login), scram::NONCE)
            }
            (Effect::FindRecipient(_), Some(Trouble::Directory)) => {
                Answer::Recipient(Lookup::Unavailable)
            }
            (Effect::LookUp(question), _) => Answer::LookedUp(dns(&question)),
            (Effect::FindGroups(user), _) => Answer::Groups(self.directory.groups_of(&user)),
            (Effect::CheckOwner { user, sender }, _) => {
                Answer::Owned(self.directory.owns(&user, &sender))
            }
            (Effect::FindRecipient(path), _) => Answer::Recipient(self.directory.find(&path)),
            (Effect::MeasureMailboxes(users), _) => {
                Answer::Measured(self.directory.fullness(&users))
            }
            (Effect::ExpandName(_), Some(Trouble::Directory)) => {
                Answer::Expanded(Expansion::Unavailable)
            }
            (Effect::ExpandName(path), _) => Answer::Expanded(self.directory.expand(&path)),
            (Effect::OpenMessage(_), Some(Trouble::Open(refusal))) => Answer::Opened(Err(refusal)),
            (Effect::OpenMessage(_), _) => Answer::Opened(Ok(MessageId::new(1, opened))),
            (Effect::CommitMessage, Some(Trouble::Commit(refusal))) => {
                Answer::Committed(Err(refusal))
            }
            // There is no message any more.
            (Effect::CommitMessage, Some(Trouble::Write(_))) => {
                Answer::Committed(Err(Refusal::Failure))
            }
            (Effect::CommitMessage, _) => {
                Answer::Committed(Ok(Committed::for_tests(MessageId::new(1, opened))))
            }
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What DNS says in transcripts; `tests/transcripts.rs` says the same to the binary.
fn dns(question: &Question) -> Finding {
    let name = |text: &str| Domain::parse(text).unwrap();
    match question {
        Question::HostNames(_) => Finding::HostNames(vec![name("client.named.example")]),
        Question::Listed { zone, .. } | Question::MailDomain(zone)
            if *zone == name("failing.example") =>
        {
            Finding::Failed
        }
        Question::Listed { zone, .. } => Finding::Listed(*zone == name("listed.example")),
        Question::MailDomain(domain) => Finding::MailDomain(*domain != name("nowhere.example")),
    }
}

fn folder() -> PathBuf {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!(
        "gatepost-transcripts-{}-{number}",
        std::process::id()
    ))
}

/// A transcript, its world, and the way it is played.
struct Stage<'a> {
    transcript: &'a Transcript,
    world: &'a World,
    way: Way,
}

/// All that came of one play.
#[derive(Debug, Default, PartialEq, Eq)]
struct Record {
    wire: Vec<u8>,
    /// Effects with their outcomes, and notes, each in their order.
    effects: Vec<String>,
    notes: Vec<String>,
    /// Content of the messages that were committed.
    contents: Vec<Vec<u8>>,
}

impl Stage<'_> {
    /// How long each chunk of the client is.
    fn chunks(&self) -> Vec<usize> {
        let script = self.transcript.script(self.way, ADDRESS).into_iter();
        script
            .filter_map(|(_, action)| match action {
                Action::Send(octets) => Some(octets.len()),
                _ => None,
            })
            .collect()
    }

    fn compare(&self, whole: &Record, cut: Cut) {
        let got = self.play(cut);
        assert_eq!(
            got, *whole,
            "{} ({:?}) with {cut:?}",
            self.transcript.name, self.way
        );
    }

    fn play(&self, cut: Cut) -> Record {
        let mut player = Player::new(self.world, self.way);
        let mut chunk = 0;
        for (place, action) in self.transcript.script(self.way, ADDRESS) {
            match &action {
                Action::Send(octets) => {
                    let mut rest = octets.as_slice();
                    for length in cut.lengths(chunk, octets.len()) {
                        let (part, tail) = rest.split_at(length);
                        player.feed(part);
                        rest = tail;
                    }
                    chunk += 1;
                }
                Action::StartTls => player.start_tls(&place),
                Action::Closed => {
                    assert!(player.is_closed, "{place}: it has not closed");
                    assert!(player.replies.is_empty(), "{place}: {:?}", player.replies);
                }
                Action::Begins(_) | Action::Is(_) | Action::Reply(_) => {
                    let mut line = || player.replies.line();
                    compare(&place, &action, || {
                        line().unwrap_or_else(|| panic!("{place}: no reply with {cut:?}"))
                    });
                }
            }
        }
        player.record
    }
}

/// One session being played.
struct Player<'a> {
    world: &'a World,
    session: Session,
    output: Output,
    record: Record,
    replies: Replies,
    /// Content of the open message.
    content: Vec<u8>,
    opened: u32,
    is_closed: bool,
    handshake_is_due: bool,
}

impl<'a> Player<'a> {
    fn new(world: &'a World, way: Way) -> Self {
        let session = Session::new(SessionStart {
            settings: Arc::clone(&world.settings),
            port: world.port(way),
            client: SocketAddr::from((Ipv4Addr::LOCALHOST, 40_000)),
            local: SocketAddr::from((Ipv4Addr::LOCALHOST, 25)),
            telling: Telling::Refusals,
            memory: Arc::new(Budget::new(1 << 20)),
        });
        let mut player = Self {
            world,
            session,
            output: Output::default(),
            record: Record::default(),
            replies: Replies::default(),
            content: Vec::new(),
            opened: 0,
            is_closed: false,
            handshake_is_due: way == Way::Tls,
        };
        if way == Way::Tls {
            player.start_tls("at connect");
        } else {
            let step = player.session.begin(now(), &mut player.output);
            player.go_on(step);
        }
        player
    }

    /// Feeds octets; those that come behind STARTTLS or a close are nobody's.
    fn feed(&mut self, octets: &[u8]) {
        let mut rest = octets;
        while !rest.is_empty() && !self.is_closed && !self.handshake_is_due {
            let (used, step) = self.session.receive(rest, now(), &mut self.output);
            let is_progress = used > 0 || step != Step::Receive || !self.output.wire.is_empty();
            assert!(is_progress, "the session takes no input");
            rest = &rest[used..];
            self.go_on(step);
        }
    }

    fn go_on(&mut self, mut step: Step) {
        self.collect();
        while let Step::Perform(effect) = step {
            step = self.perform(effect);
            self.collect();
        }
        self.is_closed = step == Step::Close;
    }

    fn perform(&mut self, effect: Effect) -> Step {
        let described = format!("{effect:?}");
        match &effect {
            Effect::StartTls => self.handshake_is_due = true,
            Effect::OpenMessage(_) => {
                self.opened += 1;
                self.content.clear();
            }
            Effect::DropMessage => self.content.clear(),
            Effect::CommitMessage => self.record.contents.push(std::mem::take(&mut self.content)),
            Effect::CheckSpace(_)
            | Effect::PaceLogin(_)
            | Effect::CountUnknown
            | Effect::WaitForUnknown
            | Effect::CheckLogin(_)
            | Effect::FindScramKeys(_)
            | Effect::FindRecipient(_)
            | Effect::MeasureMailboxes(_)
            | Effect::ExpandName(_)
            | Effect::LookUp(_)
            | Effect::FindGroups(_)
            | Effect::CheckOwner { .. } => {}
        }
        let answer = self.world.answer(effect, self.opened);
        self.record.effects.push(format!("{described}: {answer:?}"));
        match answer {
            Some(answer) => self.session.answer(answer, now(), &mut self.output),
            None => Step::Receive,
        }
    }

    fn start_tls(&mut self, place: &str) {
        assert!(self.handshake_is_due, "{place}: no handshake is due");
        self.handshake_is_due = false;
        let facts = TlsFacts {
            version: "TLSv1.3",
            cipher: "TLS13_AES_256_GCM_SHA384",
        };
        let step = self.session.answer(
            Answer::TlsStarted(facts, scram::bindings()),
            now(),
            &mut self.output,
        );
        self.go_on(step);
    }

    /// Takes what the session has put out.
    fn collect(&mut self) {
        self.replies.add(&self.output.wire);
        self.record.wire.append(&mut self.output.wire);
        let notes = self.output.notes.drain(..).map(|note| format!("{note:?}"));
        self.record.notes.extend(notes);
        if !self.output.content.is_empty() {
            let is_trace = self.content.is_empty();
            self.content.append(&mut self.output.content);
            if let Some(Trouble::Write(refusal)) = self.world.trouble.filter(|_| !is_trace) {
                self.session.spool_failed(refusal);
            }
        }
    }
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)
}
