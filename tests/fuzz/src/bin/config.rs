//! The configuration file: every problem is one line and has its place in the file, reading twice gives the
//! same, and neither CRLF for LF nor a byte order mark in front makes a difference.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use gatepost::config::check::{
    AliasesFacts, CertificateFault, Currency, PasswordFacts, Probe, Sight, Unusable, UsersFacts,
};
use gatepost::config::settings::LoginSecret;
use gatepost::config::{self, Problem, Settings, keys};
use gatepost::mail::Domain;
use gatepost_fuzz::{Random, Scratch, assert_one_line};

const MARK: &[u8] = b"\xef\xbb\xbf";

const TOKENS: &[&[u8]] = &[
    b"\n",
    b"\r\n",
    b"\r",
    b"=",
    b"[",
    b"]",
    b"\n[",
    b"\n  ",
    b"\n\t",
    b",",
    b";",
    b"\n# ",
    b"\0",
    b"\x1b",
    b"\xff",
    b"\"",
    b"\\",
    b" : ",
    MARK,
    "\u{85}".as_bytes(),
    "\u{a0}".as_bytes(),
    "\u{2028}".as_bytes(),
    "İ".as_bytes(),
    b"yes",
    b"no",
    b"enabled",
    b"disabled",
    b"required",
    b"0",
    b"-1",
    b"65536",
    b"18446744073709551616",
    b"999999999999G",
    b"18446744073709551615d",
    b"1K",
    b"30s",
    b"*",
    b"*.example",
    b"@group",
    b"alice, bob",
    b"\n  carol,\n  dave",
    b"::/0",
    b"0.0.0.0/33",
    b"192.0.2.0/24",
    b"[::1]:25",
    b"here.example",
    b"<>",
    b"{code}",
    b"%s",
    b"\n[port:submission]\nkind = tcp\nnumber = 587\n",
    b"\n[site:a]\naddresses = 192.0.2.1\n",
    b"\n[extensions]\nstarttls = enabled\n",
    b"\n[smarthost]\nhost = relay.example\n",
    b"\n[smarthost:a]\nhost = relay.example\nsender_domains = a.example\n",
    b"\n[nope]\nkey = value\n",
    &[b'x'; 300],
];

fn main() -> ExitCode {
    let owned = names_and_values();
    let mut tokens: Vec<&[u8]> = owned.iter().map(Vec::as_slice).collect();
    // As often as the many names.
    for _ in 0..4 {
        tokens.extend(TOKENS);
    }
    let scratch = Scratch::new("config");
    gatepost_fuzz::main("config", corpus(), &tokens, move |input, _: &mut Random| {
        run(&scratch, input);
    })
}

fn run(scratch: &Scratch, input: &[u8]) {
    let outcome = look(scratch, input);
    assert_eq!(
        look(scratch, input),
        outcome,
        "reading again gives another result"
    );
    let lines = input.split(|&octet| octet == b'\n').count();
    for problem in outcome.problems() {
        let is_inside = problem.line.is_none_or(|line| (1..=lines).contains(&line));
        assert!(
            is_inside || problem.file != outcome.file,
            "line {:?} of {lines}: {problem}",
            problem.line
        );
        assert_one_line(&problem.to_string());
    }
    outcome.holds_together();
    assert_eq!(look(scratch, &with_crlf(input)), outcome, "CRLF is not LF");
    if !input.starts_with(MARK) {
        let marked = [MARK, input].concat();
        assert_eq!(look(scratch, &marked), outcome, "a byte order mark counts");
    }
}

/// All that the room makes of a text. Settings are compared as they print.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    file: PathBuf,
    loaded: Result<(String, Vec<Problem>), Vec<Problem>>,
    parsed: Result<String, Vec<Problem>>,
    socket: Result<PathBuf, Vec<Problem>>,
}

impl Outcome {
    fn problems(&self) -> impl Iterator<Item = &Problem> {
        let loaded = match &self.loaded {
            Ok((_, warnings)) => warnings,
            Err(problems) => problems,
        };
        let parsed = self.parsed.as_ref().err().into_iter().flatten();
        let socket = self.socket.as_ref().err().into_iter().flatten();
        loaded.iter().chain(parsed).chain(socket)
    }

    fn holds_together(&self) {
        match &self.loaded {
            Ok((settings, warnings)) => {
                assert_eq!(self.parsed.as_ref(), Ok(settings), "load and parse differ");
                assert!(
                    !warnings.iter().any(Problem::is_error),
                    "loaded with an error"
                );
            }
            Err(problems) => {
                assert!(
                    problems.iter().any(Problem::is_error),
                    "refused without an error"
                );
                let parsed = self.parsed.as_ref().err().into_iter().flatten();
                for problem in parsed {
                    assert!(problems.contains(problem), "parse alone finds {problem}");
                }
            }
        }
    }
}

fn look(scratch: &Scratch, text: &[u8]) -> Outcome {
    let file = scratch.write("gatepost.ini", text);
    let loaded = config::load(&file, config::Occasion::Edit, &World);
    let parsed = config::parse(&file);
    if let (Ok(loaded), Ok(parsed)) = (&loaded, &parsed) {
        let differences = loaded.settings.effective.differences(&parsed.effective);
        assert_eq!(differences, [], "the same file sets something else");
    }
    // When the file was written is not what stands in it.
    let printed = |mut settings: Settings| {
        settings.stamp = None;
        format!("{settings:?}")
    };
    Outcome {
        loaded: loaded.map(|loaded| (printed(loaded.settings), loaded.warnings)),
        parsed: parsed.map(printed),
        socket: config::control_socket(&file),
        file,
    }
}

fn with_crlf(text: &[u8]) -> Vec<u8> {
    let mut changed = Vec::with_capacity(text.len() * 2);
    for &octet in text {
        if octet == b'\n' && changed.last() != Some(&b'\r') {
            changed.push(b'\r');
        }
        changed.push(octet);
    }
    changed
}

/// A world of which paths tell by their length: the same text finds the same one.
struct World;

fn kind(path: &Path) -> usize {
    path.as_os_str().len() % 4
}

impl Probe for World {
    fn certificate(&self, certificate: &Path, key: &Path) -> Result<Currency, CertificateFault> {
        match kind(certificate) {
            3 => Err(CertificateFault {
                in_private_key: kind(key) == 1,
                reason: format!("{}: no certificate", certificate.display()),
            }),
            2 => Ok(Currency::NotNow("it expired long ago".to_owned())),
            _ => Ok(Currency::Valid),
        }
    }

    fn sight(&self, settings: &Settings) -> Sight {
        let unusable = |(section, key): (&str, &'static str), path: &Path| Unusable {
            section: section.to_owned(),
            key,
            only_until_renewed: key == "private_key",
            reason: format!("{}: {} cannot read it", path.display(), settings.user),
        };
        let named = settings.named_files();
        let closed = named.iter().filter(|named| kind(named.path) == 1);
        let closed = closed.map(|named| unusable((&named.section, named.key), named.path));
        match settings.user.len() {
            3 => Sight::NotLooked(settings.user.clone()),
            5 => Sight::NoAccount(settings.user.clone()),
            _ => Sight::Seen(closed.collect()),
        }
    }

    fn others_may(&self, path: &Path) -> u32 {
        u32::try_from(kind(path)).unwrap_or(0) * 2
    }

    fn has_address(&self, address: IpAddr) -> bool {
        !address.is_multicast()
    }

    fn certificate_is_for(&self, certificate: &Path, hostname: &Domain) -> Option<bool> {
        (kind(certificate) < 3).then(|| hostname.as_str().len() > 12)
    }

    fn login_takes(&self, iterations: std::num::NonZeroU32) -> std::time::Duration {
        std::time::Duration::from_nanos(200) * iterations.get()
    }

    fn dearest_logins(&self, _users: &Path) -> Vec<(String, std::time::Duration)> {
        vec![("alice".to_owned(), std::time::Duration::from_secs(1))]
    }

    fn users(&self, path: &Path) -> UsersFacts {
        let names = ["alice", "bob"].map(str::to_owned).to_vec();
        match kind(path) {
            3 => UsersFacts::Missing,
            2 => UsersFacts::Unreadable("permission denied".to_owned()),
            1 => UsersFacts::Read(names, vec![(70_000, "broken".to_owned())]),
            _ => UsersFacts::Read(names, Vec::new()),
        }
    }

    fn aliases(&self, settings: &Settings) -> AliasesFacts {
        let Some(path) = &settings.aliases else {
            return AliasesFacts::NotSet;
        };
        let faults = vec![(70_000, "broken".to_owned())];
        match kind(path) {
            3 => AliasesFacts::Unreadable("permission denied".to_owned()),
            other => AliasesFacts::Read {
                names: ["group", "one"].map(str::to_owned).to_vec(),
                groups: vec!["group".to_owned()],
                with_domain: Vec::new(),
                faults: if other == 2 { faults } else { Vec::new() },
            },
        }
    }

    fn login_secret(&self, secret: &LoginSecret) -> PasswordFacts {
        match kind(secret.file()) {
            3 => PasswordFacts::Unusable("it is empty".to_owned()),
            2 => PasswordFacts::WorldReadable,
            _ => PasswordFacts::Good,
        }
    }

    fn program(&self, path: &Path) -> Result<(), String> {
        match kind(path) {
            3 => Err("it is no program".to_owned()),
            _ => Ok(()),
        }
    }

    fn ca_bundle(&self, file: Option<&Path>) -> Result<(), String> {
        match file.map(kind) {
            Some(3) => Err("no bundle".to_owned()),
            _ => Ok(()),
        }
    }

    fn shared_folder(&self, path: &Path) -> Option<PathBuf> {
        (kind(path) == 1).then(|| PathBuf::from("/etc"))
    }
}

/// The header of a section as a file has it.
fn header(section: &str) -> String {
    format!("[{}]", section.replace("NAME", "extra"))
}

/// A key at its default, or with its example.
fn line(about: &keys::Text) -> String {
    format!("{} = {}\n", about.key.name, about.default.sample())
}

/// Every section with all its examples, the keys two by two, and the sample file piece by piece.
fn corpus() -> Vec<Vec<u8>> {
    let mut texts = vec![
        String::new(),
        "[server]\nhostname = mx.here.example\n".to_owned(),
    ];
    let mut whole = String::new();
    for section in keys::sections() {
        let entries = keys::explained().filter(|about| about.key.section() == section);
        let entries: Vec<String> = entries.map(line).collect();
        let text = format!("{}\n{}", header(section), entries.concat());
        whole.push_str(&text);
        texts.push(text);
        texts.extend(
            entries
                .chunks(2)
                .map(|two| format!("{}\n{}", header(section), two.concat())),
        );
    }
    texts.push(whole);
    let sample = include_str!("../../../../conf/gatepost.ini").replace("\n;", "\n");
    texts.extend(sample.split("\n\n\n").map(str::to_owned));
    texts.into_iter().map(String::into_bytes).collect()
}

fn names_and_values() -> Vec<Vec<u8>> {
    let sections = keys::sections()
        .into_iter()
        .map(|section| format!("\n{}\n", header(section)));
    let lines = keys::explained().map(|about| format!("\n{}", line(about)));
    let starts = keys::all().map(|key| format!("\n{} =", key.name));
    let values = keys::explained().map(|about| about.default.sample().to_owned());
    let all = sections.chain(lines).chain(starts).chain(values);
    all.map(String::into_bytes).collect()
}
