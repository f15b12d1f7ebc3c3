//! The INI file as entries with their lines.
//!
//! Promises: every line is an entry, a section, nothing, or a [`Fault`] with its line; nothing is
//! dropped in silence and no input panics. The crate `ini` decides the syntax of each line by itself;
//! this file adds what it lets pass: text after `]`, a section without a name, a key before any
//! section, control characters, octets that are not UTF-8, keys without `=`. Refuses to know: which
//! names exist and what values mean. Names come out in lower case.
//!
//! An indented line after a key goes on with that key's value ([`Entry::more`]); whether the key can
//! use it is the caller's question. Comments and blank lines in between change nothing.

use ini::configparser::ini::{Ini, IniDefault};

/// A section as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The line of the header.
    pub line: usize,
    /// What stands between the brackets, in lower case.
    pub name: String,
    /// Its entries in file order.
    pub entries: Vec<Entry>,
}

/// One `key = value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The line of the key.
    pub line: usize,
    /// The key in lower case.
    pub key: String,
    /// The value without the blanks around it.
    pub value: String,
    /// The indented lines that follow, with their line numbers.
    pub more: Vec<(usize, String)>,
}

/// A line that is none of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line.
    pub line: usize,
    /// The section it stands in.
    pub section: Option<String>,
    /// Why, in plain words.
    pub reason: String,
}

/// Reads a whole file.
pub fn read(content: &[u8]) -> (Vec<Section>, Vec<Fault>) {
    let mut reader = Reader::new();
    let content = content.strip_prefix(BYTE_ORDER_MARK).unwrap_or(content);
    for (at, octets) in content.split(|&octet| octet == b'\n').enumerate() {
        let octets = octets.strip_suffix(b"\r").unwrap_or(octets);
        reader.line(at + 1, octets);
    }
    (reader.sections, reader.faults)
}

struct Reader {
    syntax: Ini,
    sections: Vec<Section>,
    faults: Vec<Fault>,
    above: Above,
}

/// What an indented line would go on with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Above {
    /// Nothing: the top of the file or of a section.
    Nothing,
    /// The last entry of the last section.
    Entry,
    /// A line with a fault: what belongs to it is passed over, one report is enough.
    Fault,
}

impl Reader {
    fn new() -> Self {
        let mut syntax = IniDefault::default();
        syntax.delimiters = vec!['='];
        syntax.enable_inline_comments = false;
        syntax.case_sensitive = true;
        syntax.multiline = false;
        syntax.default_section = String::new();
        Self {
            syntax: Ini::new_from_defaults(syntax),
            sections: Vec::new(),
            faults: Vec::new(),
            above: Above::Nothing,
        }
    }

    fn line(&mut self, line: usize, octets: &[u8]) {
        let Ok(text) = std::str::from_utf8(octets) else {
            return self.fault(line, "this line is not UTF-8");
        };
        if let Some(control) = text.chars().find(|&c| c.is_control() && c != '\t') {
            let reason = format!("a control character, U+{:04X}", u32::from(control));
            return self.fault(line, reason);
        }
        let trimmed = text.trim();
        if trimmed.is_empty() || trimmed.starts_with(COMMENT_MARKS) {
            return;
        }
        let indented = text.starts_with(char::is_whitespace) && self.above != Above::Nothing;
        if trimmed.starts_with('[') {
            if indented {
                self.fault(line, "a section must begin at the start of its line");
            }
            return self.header(line, trimmed);
        }
        if indented {
            return self.more(line, trimmed);
        }
        self.entry(line, trimmed);
    }

    fn header(&mut self, line: usize, text: &str) {
        let Some(name) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) else {
            let reason = match text.contains(']') {
                true => "text after the \"]\" of a section",
                false => "a section without its closing \"]\"",
            };
            return self.fault(line, reason);
        };
        if name.contains(['[', ']']) {
            return self.fault(line, "a section name cannot hold brackets");
        }
        match self.syntax.read(text.to_owned()) {
            Ok(read) => {
                let name = read.into_keys().next().unwrap_or_default();
                if name.is_empty() {
                    return self.fault(line, "a section without a name");
                }
                self.above = Above::Nothing;
                self.sections.push(Section {
                    line,
                    name: name.to_lowercase(),
                    entries: Vec::new(),
                });
            }
            Err(reason) => self.fault(line, reason),
        }
    }

    fn entry(&mut self, line: usize, text: &str) {
        let read = match self.syntax.read(text.to_owned()) {
            Ok(read) => read.into_values().next().unwrap_or_default(),
            Err(_) => return self.fault(line, "no key before the \"=\""),
        };
        let Some((key, value)) = read.into_iter().next() else {
            return self.fault(line, "this line cannot be read");
        };
        let Some(value) = value else {
            return self.fault(line, format!("{text:?} has no \"=\""));
        };
        let Some(section) = self.sections.last_mut() else {
            return self.fault(line, format!("{key:?} stands before any section"));
        };
        section.entries.push(Entry {
            line,
            key: key.to_lowercase(),
            value,
            more: Vec::new(),
        });
        self.above = Above::Entry;
    }

    fn more(&mut self, line: usize, text: &str) {
        let entry = self
            .sections
            .last_mut()
            .and_then(|section| section.entries.last_mut());
        if let (Above::Entry, Some(entry)) = (self.above, entry) {
            entry.more.push((line, text.to_owned()));
        }
    }

    fn fault(&mut self, line: usize, reason: impl Into<String>) {
        self.above = Above::Fault;
        self.faults.push(Fault {
            line,
            section: self.sections.last().map(|section| section.name.clone()),
            reason: reason.into(),
        });
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const COMMENT_MARKS: [char; 2] = [';', '#'];

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &[u8]) -> String {
        let (sections, faults) = read(text);
        let mut shape = String::new();
        for section in sections {
            shape.push_str(&format!("{}[{}]", section.line, section.name));
            for entry in section.entries {
                shape.push_str(&format!(" {}:{}={}", entry.line, entry.key, entry.value));
                for (line, text) in entry.more {
                    shape.push_str(&format!("+{line}:{text}"));
                }
            }
            shape.push(' ');
        }
        for fault in faults {
            let section = fault.section.unwrap_or_default();
            shape.push_str(&format!("!{}({section}) {} ", fault.line, fault.reason));
        }
        shape.trim_end().to_owned()
    }

    #[test]
    fn lines_become_sections_entries_or_faults() {
        let rows: &[(&[u8], &str)] = &[
            (b"", ""),
            (b"; c\n # c\n\n\t\n", ""),
            (b"[Server]\nHostName = A.b \n", "1[server] 2:hostname=A.b"),
            (b"\xef\xbb\xbf[s]\r\nk=v\r\n", "1[s] 2:k=v"),
            (
                b"[s]\nk=v\n[ t ]\nk = a = b ; c # d",
                "1[s] 2:k=v 3[t] 4:k=a = b ; c # d",
            ),
            (b"[s]\nk =\n", "1[s] 2:k="),
            (b"[s]\nk: v", "1[s] !2(s) \"k: v\" has no \"=\""),
            (b"[s]\n= v", "1[s] !2(s) no key before the \"=\""),
            (b"k = v\n[s]", "2[s] !1() \"k\" stands before any section"),
            (
                b"[]\nk=v",
                "!1() a section without a name !2() \"k\" stands before any section",
            ),
            (b"[s]\n[  ]", "1[s] !2(s) a section without a name"),
            (b"[s] x\n", "!1() text after the \"]\" of a section"),
            (b"[s\n", "!1() a section without its closing \"]\""),
            (b"[s]]\n", "!1() a section name cannot hold brackets"),
            (b"[s]\nk=a\0b", "1[s] !2(s) a control character, U+0000"),
            (b"[s]\nk=a\rb", "1[s] !2(s) a control character, U+000D"),
            (b"[s]\nk=\xff", "1[s] !2(s) this line is not UTF-8"),
            (b"[s]\n  k = v", "1[s] 2:k=v"),
            (b"[s]\nk = a,\n  b\n# c\n\n\tc", "1[s] 2:k=a,+3:b+6:c"),
            (
                b"[s]\nbad\n  more\nk=v",
                "1[s] 4:k=v !2(s) \"bad\" has no \"=\"",
            ),
            (
                b"[s]\nk=v\n [t]\nl=w",
                "1[s] 2:k=v 3[t] 4:l=w !3(s) a section must begin at the start of its line",
            ),
            (b"[s]\nk=\"q\" $6$a#b \\n", "1[s] 2:k=\"q\" $6$a#b \\n"),
        ];
        for (text, want) in rows {
            assert_eq!(shape(text), *want, "{}", String::from_utf8_lossy(text));
        }
    }
}
