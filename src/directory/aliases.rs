//! The aliases file, in the form of /etc/aliases: `name: target, target`.
//!
//! Promises: a file is taken whole or not at all; every broken line is named. A line that begins with a
//! blank goes on from the one before; a line's end separates targets as a comma does; a line that
//! begins with `#` is a comment. Names and local targets know no upper and lower case, and are the same
//! in every local domain. `|NAME` and `>NAME` name a command and a webhook of the configuration, never what
//! a shell would run. Refuses to know: who exists and where a target leads (see `graph`); files and
//! `:include:`, which are refused as targets. Limits: 4 MiB, [`ALIASES_MAX`].

use std::collections::HashMap;

use crate::config::handlers::Kind;
use crate::config::keys;
use crate::mail::{Domain, Mailbox};

use super::users::{Fault, is_comment};

/// The largest aliases file, in octets.
pub const FILE_MAX_OCTETS: u64 = 4 * 1024 * 1024;
/// The most aliases in a file.
pub const ALIASES_MAX: usize = 10_000;

/// The aliases of one reading of the file, as they are written.
#[derive(Debug, Default)]
pub struct AliasFile {
    /// In the order of the file.
    pub(super) entries: Vec<Entry>,
    /// From the name in lower case to its place in `entries`.
    pub(super) places: HashMap<String, usize>,
}

/// One alias.
#[derive(Debug)]
pub(super) struct Entry {
    /// In lower case.
    pub(super) name: String,
    /// The domain it is written with, which counts for nothing.
    domain: Option<String>,
    pub(super) line: usize,
    /// Each with the line it stands on.
    pub(super) targets: Vec<(usize, Address)>,
}

/// A target as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// A local-part of the local domains, in lower case.
    Local(String),
    /// A mailbox elsewhere.
    Outside(Mailbox),
    /// A command or webhook of this name, in lower case.
    Handler(Kind, String),
}

impl AliasFile {
    /// The aliases that are written with a domain, with their lines.
    pub fn with_domain(&self) -> impl Iterator<Item = (usize, String)> {
        self.entries.iter().filter_map(|entry| {
            let domain = entry.domain.as_ref()?;
            Some((entry.line, format!("{}@{domain}", entry.name)))
        })
    }

    /// Parses a whole file: what can be understood of it, and its broken lines.
    pub fn parse(content: &[u8], local_domains: &[Domain]) -> (Self, Vec<Fault>) {
        let mut parser = Parser {
            local_domains,
            file: Self::default(),
            faults: Vec::new(),
            open: Open::Nothing,
        };
        for (at, octets) in content.split(|&octet| octet == b'\n').enumerate() {
            let octets = octets.strip_suffix(b"\r").unwrap_or(octets);
            parser.line(at + 1, octets);
            if parser.file.entries.len() > ALIASES_MAX {
                parser.fault(at + 1, format!("there are more than {ALIASES_MAX} aliases"));
                parser.open = Open::Nothing;
                break;
            }
        }
        parser.close();
        (parser.file, parser.faults)
    }
}

struct Parser<'a> {
    local_domains: &'a [Domain],
    file: AliasFile,
    faults: Vec<Fault>,
    open: Open,
}

/// What a line that begins with a blank goes on from.
enum Open {
    Nothing,
    /// An alias that was not understood: its further lines are passed over.
    Broken,
    /// The last entry; whether it has a target yet, good or bad.
    Entry {
        has_target: bool,
    },
}

impl Parser<'_> {
    fn line(&mut self, line: usize, octets: &[u8]) {
        if is_comment(octets) {
            return;
        }
        let goes_on = octets.starts_with(b" ") || octets.starts_with(b"\t");
        if !goes_on {
            self.close();
        }
        let Ok(text) = std::str::from_utf8(octets) else {
            self.fault(line, "this line is not UTF-8");
            self.open = Open::Broken;
            return;
        };
        if !goes_on {
            return self.begin(line, text);
        }
        match self.open {
            Open::Nothing => {
                let reason = "this line begins with a blank and goes on from no alias";
                self.fault(line, reason);
            }
            Open::Broken => {}
            Open::Entry { .. } => self.targets(line, text),
        }
    }

    /// `name: target, target`.
    fn begin(&mut self, line: usize, text: &str) {
        self.open = Open::Broken;
        match self.name(text) {
            Ok((name, domain, rest)) => {
                let place = self.file.places.get(&name);
                if let Some(first) = place.and_then(|&place| self.file.entries.get(place)) {
                    let first = first.line;
                    let reason = format!("the alias {name:?} already stands on line {first}");
                    return self.fault(line, reason);
                }
                let place = self.file.entries.len();
                self.file.places.insert(name.clone(), place);
                self.file.entries.push(Entry {
                    name,
                    domain,
                    line,
                    targets: Vec::new(),
                });
                self.open = Open::Entry { has_target: false };
                self.targets(line, rest);
            }
            Err(reason) => self.fault(line, reason),
        }
    }

    /// The name, its domain, and what follows the colon.
    fn name<'t>(&self, text: &'t str) -> Result<(String, Option<String>, &'t str), String> {
        let (name, rest) = cut(text, ':')?;
        let rest = rest.ok_or_else(|| "no \":\" after the alias's name".to_owned())?;
        let name = name.trim();
        let refused = |reason: &str| format!("{} is not an alias's name: {reason}", shown(name));
        if name.is_empty() {
            return Err(refused("it is empty"));
        }
        match address(name, self.local_domains) {
            Ok(Address::Local(local)) => {
                let domain = Mailbox::parse(name).ok();
                let domain = domain.map(|mailbox| mailbox.domain().to_string());
                Ok((local, domain, rest))
            }
            Ok(Address::Handler(..)) => unreachable!("a name is no target"),
            Ok(Address::Outside(_)) => Err(refused("its domain is not a local one")),
            Err(reason) => Err(refused(&reason)),
        }
    }

    fn targets(&mut self, line: usize, text: &str) {
        let mut rest = Some(text);
        while let Some(text) = rest {
            let piece;
            (piece, rest) = match cut(text, ',') {
                Ok(cut) => cut,
                Err(reason) => {
                    self.open = Open::Entry { has_target: true };
                    return self.fault(line, reason);
                }
            };
            let piece = piece.trim();
            if piece.is_empty() {
                continue;
            }
            self.open = Open::Entry { has_target: true };
            match target(piece, self.local_domains) {
                Ok(address) => {
                    if let Some(entry) = self.file.entries.last_mut() {
                        entry.targets.push((line, address));
                    }
                }
                Err(reason) => self.fault(line, reason),
            }
        }
    }

    /// No further line belongs to the open alias.
    fn close(&mut self) {
        let open = std::mem::replace(&mut self.open, Open::Nothing);
        if let (Open::Entry { has_target: false }, Some(entry)) = (open, self.file.entries.last()) {
            let reason = format!("the alias {} has no target", shown(&entry.name));
            let line = entry.line;
            self.fault(line, reason);
        }
    }

    fn fault(&mut self, line: usize, reason: impl Into<String>) {
        let reason = reason.into();
        self.faults.push(Fault { line, reason });
    }
}

/// Cuts at the first `separator` that does not stand in quotes.
fn cut(text: &str, separator: char) -> Result<(&str, Option<&str>), String> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if c == separator && !quoted => {
                let (before, rest) = text.split_at(at);
                return Ok((before, rest.strip_prefix(separator)));
            }
            _ => {}
        }
    }
    match quoted {
        true => Err("a quote does not end on its line".to_owned()),
        false => Ok((text, None)),
    }
}

/// A target; what other mail systems would run, write or read is refused by name.
fn target(text: &str, local_domains: &[Domain]) -> Result<Address, String> {
    let quoted = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let inner = quoted.unwrap_or(text).trim_start();
    let kind = match inner.chars().next() {
        Some('|') => return handler(Kind::Command, inner),
        Some('>') => return handler(Kind::Webhook, inner),
        Some('/') => "a file (/) as a target",
        Some('\\') if quoted.is_none() => "a backslash before a target",
        Some(':') if starts_with_include(inner) => "a list from a file (:include:) as a target",
        Some(_) | None => {
            let refused = |reason| format!("{} is not a target: {reason}", shown(text));
            return address(text, local_domains).map_err(refused);
        }
    };
    Err(format!("{kind} is not supported yet"))
}

/// `|NAME` or `>NAME`, without the quotes around it.
fn handler(kind: Kind, text: &str) -> Result<Address, String> {
    let name = text.strip_prefix(kind.mark()).unwrap_or(text).trim();
    let lower = name.to_lowercase();
    if keys::is_name(&lower) {
        return Ok(Address::Handler(kind, lower));
    }
    let (text, mark, section) = (shown(text), kind.mark(), kind.section());
    Err(format!(
        "{text} is not a target: behind {mark} stands the NAME of a section [{section}:NAME], and no more"
    ))
}

fn starts_with_include(text: &str) -> bool {
    let start = text.get(..INCLUDE.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(INCLUDE))
}

fn address(text: &str, local_domains: &[Domain]) -> Result<Address, String> {
    let (_, domain) = cut(text, '@')?;
    let mailbox = match domain {
        Some(_) => Mailbox::parse(text),
        // The domain is there for the grammar alone.
        None => Mailbox::parse(&format!("{text}@localhost")),
    };
    let mailbox = mailbox.map_err(|error| match text.contains([' ', '\t']) {
        true => format!("{error}; targets need a comma, comments and quotes their own place"),
        false => error.to_string(),
    })?;
    match domain.is_none() || local_domains.contains(mailbox.domain()) {
        true => Ok(Address::Local(mailbox.local_part().to_lowercase())),
        false => Ok(Address::Outside(mailbox)),
    }
}

/// A text of the file in quotes, its beginning where it is long.
pub(super) fn shown(text: &str) -> String {
    let mut start: String = text.chars().take(SHOWN_MAX_CHARACTERS).collect();
    if start.len() < text.len() {
        start.push_str("...");
    }
    format!("{start:?}")
}

const INCLUDE: &str = ":include:";
const SHOWN_MAX_CHARACTERS: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    fn domains() -> Vec<Domain> {
        ["here.example", "other.example"]
            .map(|domain| Domain::parse(domain).unwrap())
            .to_vec()
    }

    /// `name@line = target@line target@line`, and the faults.
    fn parse(content: &[u8]) -> (Vec<String>, Vec<String>) {
        let (file, faults) = AliasFile::parse(content, &domains());
        let entries = file.entries.iter().map(|entry| {
            let targets = entry.targets.iter().map(|(line, target)| match target {
                Address::Local(name) => format!(" {name}@{line}"),
                Address::Outside(mailbox) => format!(" <{mailbox}>@{line}"),
                Address::Handler(kind, name) => format!(" {}{name}@{line}", kind.mark()),
            });
            let targets: String = targets.collect();
            format!("{}@{} ={targets}", entry.name, entry.line)
        });
        let faults = faults
            .iter()
            .map(|fault| format!("{}: {}", fault.line, fault.reason));
        (entries.collect(), faults.collect())
    }

    #[test]
    fn good_files_are_read_as_they_are_written() {
        let file = "# aliases\r\n\n  # more\nRoot: Alice\r\nteam : alice , bob,\n# between\n\n\
                    \tcarol@HERE.example\n  dave@there.example,\n\
                    sales@Other.Example:\"Big Boss\", \"a,b:c\"@here.example\n\
                    \"odd name\": x+y, \"q\\\"\"@there.example\nempty:\n bob,,\nпётр: bob\n\
                    all: alice, |Scan, >phone_2 , \"|x\", \"> y\"";
        let (entries, faults) = parse(file.as_bytes());
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!(
            entries,
            [
                "root@4 = alice@4",
                "team@5 = alice@5 bob@5 carol@8 <dave@there.example>@9",
                "sales@10 = big boss@10 a,b:c@10",
                "odd name@11 = x+y@11 <\"q\\\"\"@there.example>@11",
                "empty@12 = bob@13",
                "пётр@14 = bob@14",
                "all@15 = alice@15 |scan@15 >phone_2@15 |x@15 >y@15",
            ]
        );
    }

    #[test]
    fn every_broken_line_is_named() {
        let unwell = "not a well-formed address";
        let rows: &[(&[u8], &[&str])] = &[
            (
                b" alice\na: bob\n",
                &["1: this line begins with a blank and goes on from no alias"],
            ),
            (b"alice\n bob\n", &["1: no \":\" after the alias's name"]),
            (b": bob\n", &["1: \"\" is not an alias's name: it is empty"]),
            (
                b"a@there.example: bob\n",
                &["1: \"a@there.example\" is not an alias's name: its domain is not a local one"],
            ),
            (
                b"a b: bob\n",
                &[
                    "1: \"a b\" is not an alias's name: not a well-formed address; targets need a comma, \
                 comments and quotes their own place",
                ],
            ),
            (
                b"a: x\n# c\nA@here.example: y\nb: z\na: w",
                &[
                    "3: the alias \"a\" already stands on line 1",
                    "5: the alias \"a\" already stands on line 1",
                ],
            ),
            (
                b"a:\nb: ,\n ,\nc:",
                &[
                    "1: the alias \"a\" has no target",
                    "2: the alias \"b\" has no target",
                    "4: the alias \"c\" has no target",
                ],
            ),
            (
                b"a: |/bin/x\nb: \"|vacation -x\", c\nc: >https://x\n :Include:/x\nd: /dev/null\n\
                  e: \\alice\nf: \"/x\"",
                &[
                    "1: \"|/bin/x\" is not a target: behind | stands the NAME of a section \
                     [command:NAME], and no more",
                    "2: \"|vacation -x\" is not a target: behind | stands the NAME of a section \
                     [command:NAME], and no more",
                    "3: \">https://x\" is not a target: behind > stands the NAME of a section \
                     [webhook:NAME], and no more",
                    "4: a list from a file (:include:) as a target is not supported yet",
                    "5: a file (/) as a target is not supported yet",
                    "6: a backslash before a target is not supported yet",
                    "7: a file (/) as a target is not supported yet",
                ],
            ),
            (b"a: \"x\n b\n", &["1: a quote does not end on its line"]),
            (b"\"a: x\n", &["1: a quote does not end on its line"]),
            (
                b"a: x@, y..z\n",
                &[
                    "1: \"x@\" is not a target: not a well-formed address",
                    "1: \"y..z\" is not a target: not a well-formed address",
                ],
            ),
            (b"a: x\xff\n b\n", &["1: this line is not UTF-8"]),
        ];
        for (file, want) in rows {
            let text = String::from_utf8_lossy(file);
            assert_eq!(parse(file).1, *want, "{text}");
        }
        let (_, faults) = parse(format!("a: {}@x\n", "b".repeat(500)).as_bytes());
        let start = format!("1: \"{}...\" is not a target: an", "b".repeat(80));
        assert!(faults[0].starts_with(&start), "{faults:?} {unwell}");
    }

    #[test]
    fn an_alias_too_many_is_named() {
        let aliases = |count: usize| {
            let lines = (0..count).map(|n| format!("a{n}: b\n"));
            AliasFile::parse(lines.collect::<String>().as_bytes(), &domains()).1
        };
        assert_eq!(aliases(ALIASES_MAX), []);
        let faults = aliases(ALIASES_MAX + 5);
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].line, ALIASES_MAX + 1);
        assert_eq!(faults[0].reason, "there are more than 10000 aliases");
    }
}
