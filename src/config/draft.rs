//! The file's entries as typed values with their lines: what lies between `ini` and the settings.
//!
//! Promises: every unknown or repeated name and every bad value has become a [`Problem`]; asking for
//! a key always gives a value, its default where it is not written or is at fault. What a faulty key
//! would have been is not guessed at: rules ask [`Draft::is_intact`] first. Refuses to know: rules
//! over several keys.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::sys::stamp::Stamp;

use super::ini::{self, Entry};
use super::keys::{self, Ask, KeyRule, Line};
use super::kinds::{self, Kind};
use super::problem::{Problem, Severity};
use super::suggest;
use super::values::{self, Relative};

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
    /// The keys that are written.
    pub written: Vec<Written>,
    /// The keys that were asked for, as the table has them.
    #[cfg(test)]
    pub asked: std::cell::RefCell<std::collections::BTreeSet<(&'static str, &'static str)>>,
}

/// One key that is written in the file.
#[derive(Clone)]
pub(super) struct Written {
    pub section: String,
    pub key: &'static str,
    /// The line of the key; of a list also those that follow.
    lines: Vec<Line>,
    is_good: bool,
}

/// The keys of one section of a file.
pub(super) struct Within<'d> {
    draft: &'d Draft,
    section: &'d str,
}

/// A path of a file's folder.
pub(super) trait Rooted {
    /// The same, absolute.
    type Absolute;

    fn below(self, folder: &Path) -> Self::Absolute;
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
            #[cfg(test)]
            asked: std::cell::RefCell::default(),
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
        self.record((line, section, key), reason.into(), Severity::Error);
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
        let Some(rule) = known.iter().find(|key| key.name == entry.key) else {
            let reason = unknown_key(section, &entry.key, known);
            return self.problem(entry.line, Some(section), Some(&entry.key), reason);
        };
        let mut lines = vec![(entry.line, entry.value.clone())];
        lines.extend_from_slice(&entry.more);
        let faults = match entry.more.first() {
            Some((line, text)) if !rule.is_list => vec![goes_on(*line, text, rule.name)],
            Some(_) | None => {
                for futile in values::match_nothing(&rule.kind, &lines) {
                    let (line, reason) = (futile.line, futile.reason);
                    let at = (line, Some(section), Some(rule.name));
                    self.record(at, reason, Severity::NewError);
                }
                rule.faults(&lines)
            }
        };
        let is_good = faults.is_empty();
        for fault in faults {
            let hint = match holds_a_comment(&lines, fault.line) {
                true => "; a comment needs a line of its own",
                false => "",
            };
            let reason = format!("{}{hint}", fault.reason);
            self.problem(fault.line, Some(section), Some(rule.name), reason);
        }
        self.written.push(Written {
            section: section.to_owned(),
            key: rule.name,
            lines,
            is_good,
        });
    }

    fn record(
        &mut self,
        (line, section, key): (usize, Option<&str>, Option<&str>),
        reason: String,
        severity: Severity,
    ) {
        self.problems.push(Problem {
            file: self.file.clone(),
            line: Some(line),
            section: section.map(str::to_owned),
            key: key.map(str::to_owned),
            reason,
            severity,
        });
    }

    fn find(&self, section: &str, key: &str) -> Option<&Written> {
        debug_assert!(
            keys::find(section, key).is_some(),
            "[{section}] {key} is not in the table"
        );
        self.written
            .iter()
            .find(|written| written.section == section && written.key == key)
    }

    /// Whether these keys are as the operator meant them: good, or not written.
    pub fn is_intact(&self, keys: &[(&str, &str)]) -> bool {
        keys.iter().all(|(section, key)| {
            self.find(section, key)
                .is_none_or(|written| written.is_good)
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
            .map(Written::line)
            .or_else(|| self.section_line(section))
    }

    /// The line to report for a rule over several keys: where the key it names is written, else
    /// where its section begins, else the last line of what the rule depends on, else the first.
    pub fn rule_line(&self, section: &str, key: &str, depends_on: &[(&str, &str)]) -> usize {
        let last = || {
            depends_on
                .iter()
                .filter_map(|(section, key)| self.find(section, key))
                .map(Written::line)
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
        let further = written.lines.iter().skip(1).find(|(_, text)| holds(text));
        Some(further.map_or(written.line(), |(line, _)| *line))
    }

    /// Every key that is written, with its section and line.
    pub fn lines(&self) -> impl Iterator<Item = (String, &'static str, usize)> + '_ {
        let written = self.written.iter();
        written.map(|written| (written.section.clone(), written.key, written.line()))
    }

    /// The keys of this section.
    pub fn within<'d>(&'d self, section: &'d str) -> Within<'d> {
        Within {
            draft: self,
            section,
        }
    }

    /// The value of a key: what is written, else the default.
    pub fn get<K: Ask>(&self, key: K) -> K::Answer {
        key.answer(self, None)
    }

    /// The same of a path, made absolute: a relative one begins at the file's folder.
    pub fn path<K: Ask<Answer: Rooted>>(&self, key: K) -> <K::Answer as Rooted>::Absolute {
        self.get(key).below(&self.folder())
    }

    /// What a key says as a number.
    pub fn number(
        &self,
        section: Option<&str>,
        rule: &KeyRule,
        read: fn(&Kind, &str) -> Result<u64, String>,
    ) -> Option<u64> {
        let lines = self.value_lines(section, rule)?;
        kinds::one(&rule.kind, &lines, read).ok()
    }

    /// What a key says as a text.
    pub fn text(
        &self,
        section: Option<&str>,
        rule: &KeyRule,
        read: fn(&Kind, &str) -> Result<String, String>,
    ) -> Option<String> {
        let lines = self.value_lines(section, rule)?;
        kinds::one(&rule.kind, &lines, read).ok()
    }

    /// What a key says as another type.
    #[inline(never)]
    pub fn other<T>(
        &self,
        section: Option<&str>,
        rule: &KeyRule,
        read: fn(&Kind, &[Line]) -> Result<T, Vec<values::Refused>>,
    ) -> Option<T> {
        let lines = self.value_lines(section, rule)?;
        read(&rule.kind, &lines).ok()
    }

    fn value_lines(&self, section: Option<&str>, rule: &KeyRule) -> Option<Cow<'_, [Line]>> {
        let (section, key) = (section.unwrap_or(rule.section()), rule.name);
        let rule = keys::find(section, key)?;
        #[cfg(test)]
        let _ = self.asked.borrow_mut().insert((rule.section(), rule.name));
        let good = self.find(section, key).and_then(Written::good);
        let good = good.map(Cow::Borrowed);
        good.or_else(|| rule.default_lines().map(Cow::Owned))
    }

    fn folder(&self) -> PathBuf {
        let file = std::path::absolute(&self.file).unwrap_or_else(|_| self.file.clone());
        file.parent().unwrap_or(Path::new("/")).to_owned()
    }
}

impl Within<'_> {
    /// The value of a key: what is written in this section, else the section's own default.
    pub fn get<K: Ask>(&self, key: K) -> K::Answer {
        key.answer(self.draft, Some(self.section))
    }

    /// The same of a path, made absolute.
    pub fn path<K: Ask<Answer: Rooted>>(&self, key: K) -> <K::Answer as Rooted>::Absolute {
        self.get(key).below(&self.draft.folder())
    }
}

impl Rooted for Relative {
    type Absolute = PathBuf;

    fn below(self, folder: &Path) -> PathBuf {
        folder.join(self.0)
    }
}

impl Rooted for Option<Relative> {
    type Absolute = Option<PathBuf>;

    fn below(self, folder: &Path) -> Option<PathBuf> {
        self.map(|path| path.below(folder))
    }
}

impl Written {
    fn line(&self) -> usize {
        self.lines.first().map_or(1, |(line, _)| *line)
    }

    /// What is written where it is good.
    pub fn good(&self) -> Option<&[Line]> {
        self.is_good.then_some(&self.lines)
    }
}

/// Whether this line of a value ends in what looks like a comment.
fn holds_a_comment(lines: &[Line], line: usize) -> bool {
    lines.iter().any(|(at, text)| {
        let begins = [" ;", " #", "\t;", "\t#"]
            .iter()
            .any(|mark| text.contains(mark));
        *at == line && begins
    })
}

fn goes_on(line: usize, text: &str, key: &str) -> values::Refused {
    let reason = format!(
        "the indented line {text:?} goes on with {key}, which takes one value; a key must begin at the \
         start of its line"
    );
    values::Refused { line, reason }
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
            elsewhere.section()
        ),
        None => "there is no such key".to_owned(),
    }
}
