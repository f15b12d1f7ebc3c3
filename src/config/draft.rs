//! The file's entries as typed values with their lines: what lies between `ini` and the settings.
//!
//! Promises: every unknown or repeated name and every bad value has become a [`Problem`]; asking for
//! a key always gives a value, its default where it is not written or is at fault. What a faulty key
//! would have been is not guessed at: rules ask [`Draft::is_intact`] first. Refuses to know: rules
//! over several keys.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::mail::{Domain, Mailbox};
use crate::sys::stamp::Stamp;

use super::handlers::Url;
use super::ini::{self, Entry};
use super::keys::{self, KeyRule, Kind};
use super::lists::{AccessName, HostPattern, MailPattern, RelayPattern};
use super::local::Local;
use super::problem::{Problem, Severity};
use super::settings::Network;
use super::suggest;
use super::values::{self, HostPort, Value};

/// A file read and typed, not yet checked as a whole.
pub(super) struct Draft {
    /// The file as the operator named it.
    pub file: PathBuf,
    /// The file as it was when it was read; none where it is a text.
    pub stamp: Option<Stamp>,
    /// The sections with known names, with the lines of their headers, each once.
    pub sections: Vec<(String, usize)>,
    /// What was found so far.
    pub problems: Vec<Problem>,
    written: Vec<Written>,
}

/// One key that is written in the file; no value where it is at fault.
struct Written {
    section: String,
    key: &'static str,
    line: usize,
    /// The further lines of a list.
    more: Vec<(usize, String)>,
    value: Option<Value>,
}

impl Draft {
    /// Reads the content of `file`.
    pub fn read(file: &Path, content: &[u8]) -> Self {
        let mut draft = Self {
            file: file.to_owned(),
            stamp: None,
            sections: Vec::new(),
            problems: Vec::new(),
            written: Vec::new(),
        };
        let (sections, faults) = ini::read(content);
        for fault in faults {
            draft.problem(fault.line, fault.section.as_deref(), None, fault.reason);
        }
        for section in &sections {
            draft.section(section);
        }
        draft
    }

    /// Records an error.
    pub fn problem(
        &mut self,
        line: usize,
        section: Option<&str>,
        key: Option<&str>,
        reason: impl Into<String>,
    ) {
        self.problems.push(Problem {
            file: self.file.clone(),
            line: Some(line),
            section: section.map(str::to_owned),
            key: key.map(str::to_owned),
            reason: reason.into(),
            severity: Severity::Error,
        });
    }

    fn section(&mut self, section: &ini::Section) {
        let name = section.name.as_str();
        let Some(known) = keys::of_section(name) else {
            let reason = unknown_section(name);
            return self.problem(section.line, Some(name), None, reason);
        };
        let first = self.sections.iter().find(|(other, _)| other == name);
        if let Some((_, first)) = first {
            let reason = format!("this section is repeated; it first stands on line {first}");
            self.problem(section.line, Some(name), None, reason);
        } else {
            self.sections.push((name.to_owned(), section.line));
        }
        let mut seen: Vec<(&str, usize)> = Vec::new();
        for entry in &section.entries {
            let key = entry.key.as_str();
            if let Some((_, first)) = seen.iter().find(|(other, _)| *other == key) {
                let reason = format!("this key is repeated; it first stands on line {first}");
                self.problem(entry.line, Some(name), Some(key), reason);
                continue;
            }
            seen.push((key, entry.line));
            self.entry(name, entry, &known);
        }
    }

    fn entry(&mut self, section: &str, entry: &Entry, known: &[&'static KeyRule]) {
        let Some(key) = known.iter().find(|key| key.name == entry.key) else {
            let reason = unknown_key(section, &entry.key, known);
            return self.problem(entry.line, Some(section), Some(&entry.key), reason);
        };
        let lines = lines_of(entry, key);
        if let Ok(lines) = &lines {
            for futile in values::match_nothing(&key.kind, lines) {
                let (line, reason) = (futile.line, futile.reason);
                self.record((line, section, key.name), reason, Severity::NewError);
            }
        }
        let value = lines
            .map_err(|refused| vec![refused])
            .and_then(|lines| values::parse(&key.kind, &lines));
        let value = match value {
            Ok(value) => Some(value),
            Err(faults) => {
                for fault in faults {
                    let hint = match holds_a_comment(entry, fault.line) {
                        true => "; a comment needs a line of its own",
                        false => "",
                    };
                    let reason = format!("{}{hint}", fault.reason);
                    self.record((fault.line, section, key.name), reason, Severity::Error);
                }
                None
            }
        };
        self.written.push(Written {
            section: section.to_owned(),
            key: key.name,
            line: entry.line,
            more: entry.more.clone(),
            value,
        });
    }

    fn record(
        &mut self,
        (line, section, key): (usize, &str, &str),
        reason: String,
        severity: Severity,
    ) {
        self.problems.push(Problem {
            file: self.file.clone(),
            line: Some(line),
            section: Some(section.to_owned()),
            key: Some(key.to_owned()),
            reason,
            severity,
        });
    }

    fn find(&self, section: &str, key: &str) -> Option<&Written> {
        self.written
            .iter()
            .find(|written| written.section == section && written.key == key)
    }

    /// Whether these keys are as the operator meant them: good, or not written.
    pub fn is_intact(&self, keys: &[(&str, &str)]) -> bool {
        keys.iter().all(|(section, key)| {
            self.find(section, key)
                .is_none_or(|written| written.value.is_some())
        })
    }

    /// The line where a section begins.
    pub fn section_line(&self, section: &str) -> Option<usize> {
        let found = self.sections.iter().find(|(name, _)| name == section);
        found.map(|(_, line)| *line)
    }

    /// Whether a key is written.
    pub fn is_written(&self, section: &str, key: &str) -> bool {
        self.find(section, key).is_some()
    }

    /// The line where a key is written, else where its section begins.
    pub fn line(&self, section: &str, key: &str) -> Option<usize> {
        self.find(section, key)
            .map(|written| written.line)
            .or_else(|| self.section_line(section))
    }

    /// The line to report for a rule over several keys: where the key it names is written, else
    /// where its section begins, else the last line of what the rule depends on, else the first.
    pub fn rule_line(&self, section: &str, key: &str, depends_on: &[(&str, &str)]) -> usize {
        let last = || {
            depends_on
                .iter()
                .filter_map(|(section, key)| self.find(section, key))
                .map(|written| written.line)
                .max()
        };
        self.line(section, key).or_else(last).unwrap_or(1)
    }

    /// The line of a list's entry as it is written; where it is not found, that of the key.
    pub fn entry_line(&self, section: &str, key: &str, entry: &str) -> Option<usize> {
        let written = self.find(section, key)?;
        let holds = |text: &str| {
            let mut entries = text.split(',');
            entries.any(|one| one.trim().eq_ignore_ascii_case(entry))
        };
        let further = written.more.iter().find(|(_, text)| holds(text));
        Some(further.map_or(written.line, |(line, _)| *line))
    }

    /// The value of a key: what is written, else the default; none where there is no default.
    pub fn value(&self, section: &str, key: &str) -> Option<Value> {
        let written = self.find(section, key);
        if let Some(value) = written.and_then(|written| written.value.clone()) {
            return Some(value);
        }
        let known = keys::find(section, key).expect("only keys of the table are asked for");
        default_value(known)
    }

    /// A yes/no key.
    pub fn yes(&self, section: &str, key: &str) -> bool {
        match self.value(section, key) {
            Some(Value::YesNo(yes)) => yes,
            other => unreachable!("[{section}] {key} as yes/no: {other:?}"),
        }
    }

    /// A number or a size.
    pub fn number(&self, section: &str, key: &str) -> u64 {
        match self.value(section, key) {
            Some(Value::Number(number)) => number,
            // A further port whose `number` is missing; the problem is already recorded.
            None => 0,
            other => unreachable!("[{section}] {key} as number: {other:?}"),
        }
    }

    /// A duration.
    pub fn duration(&self, section: &str, key: &str) -> Duration {
        match self.value(section, key) {
            Some(Value::Duration(duration)) => duration,
            other => unreachable!("[{section}] {key} as duration: {other:?}"),
        }
    }

    /// A list of durations.
    pub fn durations(&self, section: &str, key: &str) -> Vec<Duration> {
        match self.value(section, key) {
            Some(Value::Durations(list)) => list,
            other => unreachable!("[{section}] {key} as durations: {other:?}"),
        }
    }

    /// A word; none where it is not written and has no default.
    pub fn word(&self, section: &str, key: &str) -> Option<&'static str> {
        match self.value(section, key) {
            Some(Value::Word(word)) => Some(word),
            None => None,
            other => unreachable!("[{section}] {key} as word: {other:?}"),
        }
    }

    /// Whether a word key says `enabled`.
    pub fn enabled(&self, section: &str, key: &str) -> bool {
        self.word(section, key) == Some("enabled")
    }

    /// A text, path, account or user.
    pub fn text(&self, section: &str, key: &str) -> Option<String> {
        match self.value(section, key) {
            Some(Value::Text(text)) => Some(text),
            None => None,
            other => unreachable!("[{section}] {key} as text: {other:?}"),
        }
    }

    /// A path, made absolute: a relative one begins at the file's folder.
    pub fn path(&self, section: &str, key: &str) -> Option<PathBuf> {
        let path = self.text(section, key)?;
        let file = std::path::absolute(&self.file).unwrap_or_else(|_| self.file.clone());
        let folder = file.parent().unwrap_or(Path::new("/"));
        Some(folder.join(path))
    }

    /// How mail for local users is delivered.
    pub fn local(&self, section: &str, key: &str) -> Local {
        match self.value(section, key) {
            Some(Value::Local(local)) => local,
            other => unreachable!("[{section}] {key} as a way of delivery: {other:?}"),
        }
    }

    /// The address of a web server's page; none where it is missing or at fault.
    pub fn url(&self, section: &str, key: &str) -> Option<Url> {
        match self.value(section, key) {
            Some(Value::Url(url)) => Some(url),
            None => None,
            other => unreachable!("[{section}] {key} as an address: {other:?}"),
        }
    }

    /// A list of texts.
    pub fn texts(&self, section: &str, key: &str) -> Vec<String> {
        match self.value(section, key) {
            Some(Value::Texts(list)) => list,
            other => unreachable!("[{section}] {key} as texts: {other:?}"),
        }
    }

    /// A domain name.
    pub fn domain(&self, section: &str, key: &str) -> Option<Domain> {
        match self.value(section, key) {
            Some(Value::Domain(domain)) => Some(domain),
            None => None,
            other => unreachable!("[{section}] {key} as domain: {other:?}"),
        }
    }

    /// One character or none.
    pub fn character(&self, section: &str, key: &str) -> Option<char> {
        match self.value(section, key) {
            Some(Value::Character(character)) => character,
            other => unreachable!("[{section}] {key} as character: {other:?}"),
        }
    }

    /// A list of domain names.
    pub fn domains(&self, section: &str, key: &str) -> Option<Vec<Domain>> {
        match self.value(section, key) {
            Some(Value::Domains(domains)) => Some(domains),
            None => None,
            other => unreachable!("[{section}] {key} as domains: {other:?}"),
        }
    }

    /// A list of addresses, and whether it is the default.
    pub fn addresses(&self, section: &str, key: &str) -> (Vec<IpAddr>, bool) {
        match self.value(section, key) {
            Some(Value::Addresses(list)) => (list, self.find(section, key).is_none()),
            other => unreachable!("[{section}] {key} as addresses: {other:?}"),
        }
    }

    /// A list of networks.
    pub fn networks(&self, section: &str, key: &str) -> Vec<Network> {
        match self.value(section, key) {
            Some(Value::Networks(networks)) => networks,
            other => unreachable!("[{section}] {key} as networks: {other:?}"),
        }
    }

    /// A list of hosts.
    pub fn hosts(&self, section: &str, key: &str) -> Vec<HostPattern> {
        match self.value(section, key) {
            Some(Value::Hosts(list)) => list,
            other => unreachable!("[{section}] {key} as hosts: {other:?}"),
        }
    }

    /// A list of addresses and domains of mail.
    pub fn mails(&self, section: &str, key: &str) -> Vec<MailPattern> {
        match self.value(section, key) {
            Some(Value::Mails(list)) => list,
            other => unreachable!("[{section}] {key} as mails: {other:?}"),
        }
    }

    /// A list of domains of outside recipients.
    pub fn relay_domains(&self, section: &str, key: &str) -> Vec<RelayPattern> {
        match self.value(section, key) {
            Some(Value::RelayDomains(list)) => list,
            // Those of a smarthost that has none; the problem is already recorded.
            None => Vec::new(),
            other => unreachable!("[{section}] {key} as relay_domains: {other:?}"),
        }
    }

    /// A list of hosts, some with a port.
    pub fn host_ports(&self, section: &str, key: &str) -> Vec<HostPort> {
        match self.value(section, key) {
            Some(Value::HostPorts(list)) => list,
            other => unreachable!("[{section}] {key} as host_ports: {other:?}"),
        }
    }

    /// A list of addresses with a port.
    pub fn socket_addresses(&self, section: &str, key: &str) -> Vec<SocketAddr> {
        match self.value(section, key) {
            Some(Value::SocketAddresses(list)) => list,
            other => unreachable!("[{section}] {key} as socket addresses: {other:?}"),
        }
    }

    /// An address or none.
    pub fn mail_address(&self, section: &str, key: &str) -> Option<Mailbox> {
        match self.value(section, key) {
            Some(Value::MailAddress(address)) => address,
            other => unreachable!("[{section}] {key} as mail_address: {other:?}"),
        }
    }

    /// A list of users and groups.
    pub fn access(&self, section: &str, key: &str) -> Vec<AccessName> {
        match self.value(section, key) {
            Some(Value::Access(list)) => list,
            other => unreachable!("[{section}] {key} as access: {other:?}"),
        }
    }

    /// The addresses of a site; empty where none are written.
    pub fn site_addresses(&self, section: &str) -> Vec<IpAddr> {
        match self.value(section, "addresses") {
            Some(Value::Addresses(list)) => list,
            other => unreachable!("[{section}] addresses: {other:?}"),
        }
    }

    /// A path that is written, made absolute.
    pub fn written_path(&self, section: &str, key: &str) -> Option<PathBuf> {
        self.find(section, key)?;
        self.path(section, key)
    }

    /// Every key that is written, with its section and line.
    pub fn lines(&self) -> impl Iterator<Item = (String, &'static str, usize)> + '_ {
        let written = self.written.iter();
        written.map(|written| (written.section.clone(), written.key, written.line))
    }

    /// A list of words.
    pub fn words(&self, section: &str, key: &str) -> Vec<&'static str> {
        match self.value(section, key) {
            Some(Value::Words(words)) => words,
            other => unreachable!("[{section}] {key} as words: {other:?}"),
        }
    }
}

fn default_value(key: &KeyRule) -> Option<Value> {
    match key.default {
        keys::Default::Value(text) => values::parse(&key.kind, &[(1, text)]).ok(),
        // The users file is the one derived value that can be written down.
        keys::Default::Derived(_, text) if matches!(key.kind, Kind::Path) => {
            Some(Value::Text(text.to_owned()))
        }
        keys::Default::Derived(..) | keys::Default::Nothing(_) | keys::Default::Required(_) => None,
    }
}

/// Whether this line of a value ends in what looks like a comment.
fn holds_a_comment(entry: &Entry, line: usize) -> bool {
    let own = (entry.line, entry.value.as_str());
    let more = entry.more.iter().map(|(line, text)| (*line, text.as_str()));
    let mut lines = std::iter::once(own).chain(more);
    lines.any(|(at, text)| {
        let begins = [" ;", " #", "\t;", "\t#"]
            .iter()
            .any(|mark| text.contains(mark));
        at == line && begins
    })
}

/// The lines of a value; more than one only where the key takes a list.
fn lines_of<'a>(entry: &'a Entry, key: &KeyRule) -> Result<Vec<(usize, &'a str)>, values::Refused> {
    let mut lines = vec![(entry.line, entry.value.as_str())];
    for (line, text) in &entry.more {
        if !key.kind.is_list() {
            let reason = format!(
                "the indented line {text:?} goes on with {}, which takes one value; \
                 a key must begin at the start of its line",
                key.name
            );
            return Err(values::Refused {
                line: *line,
                reason,
            });
        }
        lines.push((*line, text));
    }
    Ok(lines)
}

fn unknown_section(name: &str) -> String {
    let known = keys::sections();
    match suggest::nearest(name, known.iter().copied()) {
        Some(near) => format!("there is no such section; did you mean [{near}]?"),
        None if ["port:", "site:", "smarthost:"]
            .iter()
            .any(|kind| name.starts_with(kind)) =>
        {
            let kind = name.split(':').next().unwrap_or_default();
            format!("a {kind}'s name is 1 to 32 letters a-z, digits, - or _")
        }
        None => "there is no such section".to_owned(),
    }
}

fn unknown_key(section: &str, name: &str, known: &[&'static KeyRule]) -> String {
    if name == "kind" && section.starts_with("port:") {
        return format!("the kind of [{section}] cannot be set");
    }
    if let Some(near) = suggest::nearest(name, known.iter().map(|key| key.name)) {
        return format!("there is no such key; did you mean {near:?}?");
    }
    match keys::all().find(|key| key.name == name) {
        Some(elsewhere) => format!(
            "there is no such key here, but one in [{}]",
            elsewhere.section
        ),
        None => "there is no such key".to_owned(),
    }
}
