//! What became of a recipient: delivered, deferred or failed, and whether its sender has to hear of it.
//!
//! | a recipient is | next |
//! | --- | --- |
//! | due | tried, or given up after a while |
//! | late: due, and its sender was told so | the same |
//! | ended, and its sender has to be told yet | a notification, then done |
//! | done | nothing is left to do |
//!
//! Promises: a recipient never goes back in this table ([`Progress::advance`]); what a peer said is
//! printable ASCII of bounded length. Refuses to know: who is told, and how.

use std::fmt;

/// The longest words of a reason, octets.
pub const REASON_MAX_OCTETS: usize = 500;

/// Where a recipient is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Progress {
    /// It has to be tried.
    #[default]
    Due,
    /// The same, and its sender knows that it takes long.
    Late,
    /// It was tried for the last time, and its sender has to be told.
    Ended(Box<Outcome>),
    /// Nothing is left to do.
    Done,
}

impl Progress {
    /// Whether it has to be tried.
    pub fn is_due(&self) -> bool {
        match self {
            Self::Due | Self::Late => true,
            Self::Ended(_) | Self::Done => false,
        }
    }

    /// Whether nothing is left to do.
    pub fn is_done(&self) -> bool {
        *self == Self::Done
    }

    /// How it ended, where that has to be told yet.
    pub fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Ended(outcome) => Some(outcome),
            Self::Due | Self::Late | Self::Done => None,
        }
    }

    /// Becomes `other`, unless that were a step back.
    pub fn advance(&mut self, other: &Self) {
        if other.rank() > self.rank() {
            self.clone_from(other);
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Due => 0,
            Self::Late => 1,
            Self::Ended(_) => 2,
            Self::Done => 3,
        }
    }
}

/// What a sender is told of a recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What happened.
    pub action: Action,
    /// Why, or who said so.
    pub reason: Reason,
}

/// What happened (RFC 3464 section 2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It was refused for good.
    Failed,
    /// It was deferred for too long; a failure too.
    Expired,
    /// It is deferred still.
    Delayed,
    /// It is in a mailbox here.
    Delivered,
    /// It went to a server that tells nothing of what follows.
    Relayed,
}

impl Action {
    const ALL: [Self; 5] = [
        Self::Failed,
        Self::Expired,
        Self::Delayed,
        Self::Delivered,
        Self::Relayed,
    ];

    /// Whether the recipient does not get the message.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::Expired)
    }

    /// Its name in logs and in the spool.
    pub fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Delayed => "delayed",
            Self::Delivered => "delivered",
            Self::Relayed => "relayed",
        }
    }
}

/// Why a recipient is where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    status: String,
    peer: Option<Peer>,
    words: String,
    kept: Option<Kept>,
}

/// Why our words stay on this machine; the later one counts more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    /// They tell of files and sockets here.
    Machine,
    /// They tell how we log in somewhere.
    Login,
}

impl Kept {
    /// What a sender hears instead.
    fn instead(self) -> &'static str {
        match self {
            Self::Machine => "a fault on this machine, which its operator can see",
            Self::Login => "the server for outgoing mail could not be used",
        }
    }
}

/// Whose words a reason is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The server.
    pub host: String,
    /// What it answered.
    pub step: String,
}

impl Reason {
    /// Our own words, with an enhanced status code (RFC 3463).
    pub fn own(status: &str, words: impl fmt::Display) -> Self {
        Self {
            status: status.to_owned(),
            peer: None,
            words: clean(&words.to_string(), REASON_MAX_OCTETS),
            kept: None,
        }
    }

    /// The same; where there is a reason to keep them, its words are not for senders.
    #[must_use]
    pub fn keeping(self, kept: Option<Kept>) -> Self {
        Self { kept, ..self }
    }

    /// What `host` said at `step`: a reply code and its text.
    pub fn reply(host: &str, step: &str, code: u16, text: &str) -> Self {
        let first = text.split(' ').next().unwrap_or_default();
        let class = code / 100;
        let told = Some(first).filter(|word| is_status(word, class));
        Self {
            status: told.map_or_else(|| format!("{class}.0.0"), str::to_owned),
            peer: Some(Peer {
                host: clean(host, HOST_MAX_OCTETS),
                step: clean(step, HOST_MAX_OCTETS),
            }),
            words: clean(&format!("{code} {text}"), REASON_MAX_OCTETS),
            kept: None,
        }
    }

    /// The same as a sender may know it: a server's words as they are, ours unless they are kept. As a
    /// last guard for words that the system or a program made, none of ours goes out that names a local path.
    pub fn for_sender(&self) -> Self {
        let kept = match &self.peer {
            Some(_) => None,
            None => self
                .kept
                .or(names_a_path(&self.words).then_some(Kept::Machine)),
        };
        Self {
            status: self.status.clone(),
            peer: self.peer.clone(),
            words: kept.map_or_else(|| self.words.clone(), |kept| kept.instead().to_owned()),
            kept: None,
        }
    }

    /// The enhanced status code (RFC 3463).
    pub fn status(&self) -> &str {
        &self.status
    }

    /// Whose words these are; none = ours.
    pub fn peer(&self) -> Option<&Peer> {
        self.peer.as_ref()
    }

    /// The words: one line of printable ASCII; a peer's begin with the reply code.
    pub fn words(&self) -> &str {
        &self.words
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.peer {
            Some(peer) => write!(f, "{}: the server said {}", peer.step, self.words),
            None => f.write_str(&self.words),
        }
    }
}

impl Outcome {
    /// One line for the spool, with at most `words_max` octets of the reason's words.
    pub fn to_line(&self, words_max: usize) -> String {
        let Reason {
            status,
            peer,
            words,
            kept: _,
        } = &self.reason;
        let words = words.get(..words_max).unwrap_or(words);
        let action = self.action.word();
        match peer {
            Some(Peer { host, step }) => {
                format!("{action}\t{status}\t{host}\t{step}\t{words}")
            }
            None => format!("{action}\t{status}\t\t\t{words}"),
        }
    }

    /// Reads what [`Outcome::to_line`] made.
    pub fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split('\t');
        let word = fields.next()?;
        let action = Action::ALL
            .into_iter()
            .find(|action| action.word() == word)?;
        let status = fields.next()?;
        let (host, step) = (fields.next()?, fields.next()?);
        let words = fields.next()?;
        let classes = [2, 4, 5];
        let is_well = classes.iter().any(|class| is_status(status, *class))
            && fields.next().is_none()
            && clean(words, usize::MAX) == words;
        is_well.then(|| Self {
            action,
            reason: Reason {
                status: status.to_owned(),
                peer: (!host.is_empty()).then(|| Peer {
                    host: host.to_owned(),
                    step: step.to_owned(),
                }),
                words: words.to_owned(),
                kept: None,
            },
        })
    }
}

/// Whether a word begins as an absolute path does; a URL does not.
fn names_a_path(words: &str) -> bool {
    let octets = words.as_bytes();
    let begins = |at: &[u8]| match at {
        [before, b'/'] => !before.is_ascii_alphanumeric() && !b":/".contains(before),
        _ => false,
    };
    octets.first() == Some(&b'/') || octets.windows(2).any(begins)
}

/// Whether a word is an enhanced status code of this class (RFC 3463 section 2).
fn is_status(word: &str, class: u16) -> bool {
    let parts: Vec<&str> = word.split('.').collect();
    let is_number = |part: &str, most: usize| {
        (1..=most).contains(&part.len()) && part.bytes().all(|octet| octet.is_ascii_digit())
    };
    match parts.as_slice() {
        [first, subject, detail] => {
            *first == class.to_string() && is_number(subject, 3) && is_number(detail, 3)
        }
        _ => false,
    }
}

/// Printable ASCII, the rest escaped, cut.
fn clean(text: &str, max_octets: usize) -> String {
    let mut clean = String::new();
    for letter in text.chars() {
        match letter {
            ' '..='~' => clean.push(letter),
            _ => clean.extend(letter.escape_default()),
        }
        if clean.len() >= max_octets {
            break;
        }
    }
    // All of it is ASCII, so any place is good to cut at.
    clean.truncate(max_octets);
    clean
}

/// The longest name of a host or a step in a reason, octets.
const HOST_MAX_OCTETS: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipient_never_goes_back() {
        let ended = |text| {
            Progress::Ended(Box::new(Outcome {
                action: Action::Failed,
                reason: Reason::own("5.1.1", text),
            }))
        };
        let order = [Progress::Due, Progress::Late, ended("a"), Progress::Done];
        for (at, from) in order.iter().enumerate() {
            for (to, other) in order.iter().enumerate() {
                let mut progress = from.clone();
                progress.advance(other);
                assert_eq!(progress, order[at.max(to)]);
            }
        }
        let mut first = ended("a");
        first.advance(&ended("b"));
        assert_eq!(first, ended("a"));
    }

    #[test]
    fn replies_give_their_status_or_their_class() {
        for (code, text, want) in [
            (550, "5.1.1 nobody", "5.1.1"),
            (550, "nobody", "5.0.0"),
            (450, "5.1.1 nobody", "4.0.0"),
            (550, "5.1.1234 x", "5.0.0"),
            (550, "5..1 x", "5.0.0"),
            (550, "", "5.0.0"),
        ] {
            assert_eq!(Reason::reply("h", "RCPT", code, text).status(), want);
        }
    }

    #[test]
    fn outcomes_round_trip_whatever_the_peer_says() {
        let long = "x".repeat(5000);
        for text in ["5.1.1 no\tsuch\r\nUser: \0é", "", &long, "a\\tb"] {
            let outcome = Outcome {
                action: Action::Failed,
                reason: Reason::reply("mx\t.example", "end of mail data", 550, text),
            };
            assert!(outcome.reason.words().len() <= REASON_MAX_OCTETS);
            let line = outcome.to_line(usize::MAX);
            assert!(line.is_ascii() && !line.contains(['\n', '\r']), "{line}");
            assert_eq!(Outcome::parse(&line), Some(outcome.clone()));
            assert!(Outcome::parse(&outcome.to_line(10)).is_some());
        }
        let own = Outcome {
            action: Action::Expired,
            reason: Reason::own("4.4.7", "no connection"),
        };
        assert_eq!(Outcome::parse(&own.to_line(500)), Some(own));
        for bad in [
            "",
            "failed",
            "failed\t5.1.1",
            "lost\t5.1.1\t\t\tx",
            "failed\t9.1.1\t\t\tx",
            "failed\t5.1.1\t\t\tx\ty",
        ] {
            assert_eq!(Outcome::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_sender_hears_what_a_server_said_and_nothing_local() {
        let local = Kept::Machine.instead();
        for (words, kept, want) in [
            (
                "mx: AUTH: the server said 535 see https://a.example/b",
                None,
                None,
            ),
            ("EHLO: the server said 554 AUTH", None, None),
            (
                "AUTH: p: gone",
                Some(Kept::Login),
                Some(Kept::Login.instead()),
            ),
            ("TLS: ca.pem: gone", Some(Kept::Machine), Some(local)),
            ("/run/lmtp: refused", None, Some(local)),
            ("cannot open \"/var/mail/a\"", None, Some(local)),
        ] {
            let reason = Reason::own("4.4.1", words).keeping(kept);
            assert_eq!(reason.words(), words);
            let told = reason.for_sender();
            assert_eq!(
                (told.words(), told.status()),
                (want.unwrap_or(words), "4.4.1")
            );
        }
        let peer = Reason::reply("mx", "RCPT", 550, "5.1.1 no /path");
        assert_eq!(peer.for_sender(), peer);
    }
}
