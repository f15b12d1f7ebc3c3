//! Transcripts: whole SMTP dialogues as text, played by several runners.
//!
//! | line | means |
//! | --- | --- |
//! | `# text` | a comment |
//! | `P: any` | which ways it may be played: words of `tcp`, `starttls`, `tls`; `any` is all three |
//! | `I: line` | a line of INI added to the base |
//! | `C: line` | the client sends the line and CRLF |
//! | `C-raw: octets` | the client sends just these octets |
//! | `S: start` | one line of a reply begins so |
//! | `S=: line` | one line of a reply is exactly this |
//! | `S*: start` | a whole reply, each of its lines beginning so |
//! | `T: starttls` | both sides do the TLS handshake |
//! | `X: closed` | the server has closed, and has said nothing more |
//!
//! Octets take `\r \n \t \\ \xNN`, and `\*COUNT{text}` for a text many times over;
//! `{address}` is the server's. Client lines that
//! follow each other are sent together. A greeting is read silently unless the first step is an `S`.
//! A file that does not end with `X` is ended with QUIT by the runner.

#![allow(dead_code)]

use std::fs;
use std::net::IpAddr;

use super::ini;

/// A way to play a transcript.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Plain text.
    Tcp,
    /// EHLO and STARTTLS come before the file.
    StartTls,
    /// On the port for implicit TLS.
    Tls,
}

/// What is done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Send(Vec<u8>),
    Begins(String),
    Is(String),
    Reply(String),
    StartTls,
    Closed,
}

/// A step and the line of the file it stands in.
#[derive(Debug, Clone)]
pub struct Step {
    pub line: usize,
    pub action: Action,
}

/// A file of `tests/transcripts`.
#[derive(Debug)]
pub struct Transcript {
    pub name: String,
    pub ini: String,
    pub ways: Vec<Way>,
    pub steps: Vec<Step>,
}

/// Every transcript there is, by name.
pub fn all() -> Vec<Transcript> {
    let folder = ini::data("../transcripts");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let is_transcript = |path: &std::path::PathBuf| path.extension().is_some_and(|e| e == "smtp");
    let paths = paths.into_iter().filter(is_transcript);
    let transcripts: Vec<_> = paths
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            Transcript::parse(&name, &fs::read_to_string(&path).unwrap())
        })
        .collect();
    assert!(
        transcripts.len() >= 30,
        "only {} transcripts",
        transcripts.len()
    );
    transcripts
}

impl Transcript {
    /// Parses a transcript; panics at the first fault, naming its line.
    pub fn parse(name: &str, text: &str) -> Self {
        let mut transcript = Self {
            name: name.to_owned(),
            ini: String::new(),
            ways: vec![Way::Tcp, Way::StartTls, Way::Tls],
            steps: Vec::new(),
        };
        for (number, line) in text.lines().enumerate() {
            if !line.trim().is_empty() && !line.starts_with('#') {
                transcript.take(number + 1, line);
            }
        }
        transcript.end(text.lines().count() + 1);
        transcript
    }

    fn take(&mut self, number: usize, line: &str) {
        let place = format!("{}:{number}", self.name);
        let (tag, rest) = line
            .split_once(':')
            .unwrap_or_else(|| panic!("{place}: no tag"));
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        let action = match tag {
            "P" => {
                self.ways = ways(rest, &place);
                return;
            }
            "I" => {
                self.ini.push_str(rest);
                self.ini.push('\n');
                return;
            }
            "C" => Action::Send([octets(rest, &place), b"\r\n".to_vec()].concat()),
            "C-raw" => Action::Send(octets(rest, &place)),
            "S" => Action::Begins(rest.to_owned()),
            "S=" => Action::Is(rest.to_owned()),
            "S*" => Action::Reply(rest.to_owned()),
            "T" => Action::StartTls,
            "X" => Action::Closed,
            _ => panic!("{place}: unknown tag {tag}"),
        };
        match (self.steps.last_mut(), action) {
            (
                Some(Step {
                    action: Action::Send(sent),
                    ..
                }),
                Action::Send(more),
            ) => sent.extend(more),
            (_, action) => self.steps.push(Step {
                line: number,
                action,
            }),
        }
    }

    /// A stray reply shows at QUIT.
    fn end(&mut self, line: usize) {
        let last = &self
            .steps
            .last()
            .unwrap_or_else(|| panic!("{}: empty", self.name))
            .action;
        let rest = match last {
            Action::Closed => return,
            Action::Send(_) => panic!("{}: it ends without a reply", self.name),
            _ => [
                Action::Send(b"QUIT\r\n".to_vec()),
                Action::Begins("221 ".to_owned()),
                Action::Closed,
            ],
        };
        self.steps.extend(rest.map(|action| Step { line, action }));
    }

    /// Whether the file looks at the greeting itself.
    fn sees_greeting(&self) -> bool {
        let first = self.steps.first().map(|step| &step.action);
        matches!(
            first,
            Some(Action::Begins(_) | Action::Is(_) | Action::Reply(_))
        )
    }

    /// What comes before the file's own steps when it is played this way.
    fn prelude(&self, way: Way) -> Vec<Action> {
        let mut actions = Vec::new();
        if !self.sees_greeting() || way == Way::StartTls {
            actions.push(Action::Begins("220 ".to_owned()));
        }
        if way == Way::StartTls {
            actions.push(Action::Send(b"EHLO before.example\r\n".to_vec()));
            actions.push(Action::Reply("250".to_owned()));
            actions.push(Action::Send(b"STARTTLS\r\n".to_vec()));
            actions.push(Action::Begins("220 ".to_owned()));
            actions.push(Action::StartTls);
        }
        actions
    }

    /// Prelude and steps, each with its place, for a server on `address`.
    pub fn script(&self, way: Way, address: IpAddr) -> Vec<(String, Action)> {
        let prelude = self.prelude(way).into_iter();
        let prelude = prelude.map(|action| (format!("{} ({way:?}), before it", self.name), action));
        let steps = self.steps.iter().map(|step| {
            let place = format!("{}:{} ({way:?})", self.name, step.line);
            let action = match &step.action {
                Action::Send(octets) => Action::Send(with_address(octets, address)),
                other => other.clone(),
            };
            (place, action)
        });
        prelude.chain(steps).collect()
    }
}

fn ways(words: &str, place: &str) -> Vec<Way> {
    let way = |word| match word {
        "tcp" => vec![Way::Tcp],
        "starttls" => vec![Way::StartTls],
        "tls" => vec![Way::Tls],
        "any" => vec![Way::Tcp, Way::StartTls, Way::Tls],
        _ => panic!("{place}: unknown way {word}"),
    };
    words.split_whitespace().flat_map(way).collect()
}

fn with_address(octets: &[u8], address: IpAddr) -> Vec<u8> {
    let (mark, mut filled, mut rest) = (b"{address}".as_slice(), Vec::new(), octets);
    while let Some(at) = rest.windows(mark.len()).position(|window| window == mark) {
        filled.extend_from_slice(&rest[..at]);
        filled.extend_from_slice(address.to_string().as_bytes());
        rest = &rest[at + mark.len()..];
    }
    filled.extend_from_slice(rest);
    filled
}

/// Octets from their text.
fn octets(text: &str, place: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        octets.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = rest[at + 1..]
            .chars()
            .next()
            .unwrap_or_else(|| panic!("{place}: lone \\"));
        rest = &rest[at + 2..];
        match escape {
            'r' => octets.push(b'\r'),
            'n' => octets.push(b'\n'),
            't' => octets.push(b'\t'),
            '\\' => octets.push(b'\\'),
            'x' => {
                octets.push(u8::from_str_radix(&rest[..2], 16).unwrap());
                rest = &rest[2..];
            }
            '*' => {
                let (count, tail) = rest.split_once('{').unwrap();
                let (repeated, tail) = tail.split_once('}').unwrap();
                let repeated = self::octets(repeated, place);
                octets.extend(repeated.repeat(count.parse().unwrap()));
                rest = tail;
            }
            _ => panic!("{place}: unknown escape \\{escape}"),
        }
    }
    octets.extend_from_slice(rest.as_bytes());
    octets
}

/// Takes what the server said apart, and compares it.
#[derive(Debug, Default)]
pub struct Replies(Vec<u8>);

impl Replies {
    pub fn add(&mut self, octets: &[u8]) {
        self.0.extend_from_slice(octets);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next whole line without its CRLF.
    pub fn line(&mut self) -> Option<String> {
        let end = self.0.windows(2).position(|pair| pair == b"\r\n")?;
        let line = self.0.drain(..end + 2).take(end).collect();
        Some(String::from_utf8(line).expect("replies are UTF-8"))
    }
}

/// Compares what the server says with an expectation; `line` gives its next line.
pub fn compare(place: &str, action: &Action, mut line: impl FnMut() -> String) {
    match action {
        Action::Begins(start) => {
            let got = line();
            assert!(
                got.starts_with(start),
                "{place}: wanted {start:?}, got {got:?}"
            );
        }
        Action::Is(whole) => assert_eq!(line(), *whole, "{place}"),
        Action::Reply(start) => loop {
            let got = line();
            assert!(
                got.starts_with(start),
                "{place}: wanted {start:?}, got {got:?}"
            );
            if got.as_bytes().get(3) != Some(&b'-') {
                return;
            }
        },
        Action::Send(_) | Action::StartTls | Action::Closed => unreachable!("no expectation"),
    }
}
