//! What the service tells at one moment: lines of `KIND key=value …`.
//!
//! Promises: what is read is printable ASCII, whatever a peer said and whoever answers on the socket; a line
//! or key that is not there is no fault.

use std::collections::BTreeMap;

/// What it told.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    records: Vec<(String, Record)>,
    /// Why there is nothing to tell.
    pub(super) complaint: String,
}

/// One line.
#[derive(Debug, Default)]
pub(super) struct Record(BTreeMap<String, String>);

impl Snapshot {
    /// Reads an answer, and what came with it on the other channel.
    pub(super) fn parse(text: &str, complaint: &str) -> Self {
        let records = text.lines().filter_map(|line| {
            let line = plain(line);
            let (kind, rest) = line.split_once(' ')?;
            Some((kind.to_owned(), Record::parse(rest)))
        });
        Self {
            records: records.collect(),
            complaint: plain(complaint.trim_end()),
        }
    }

    /// The lines of one kind, in order.
    pub(super) fn all<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Record> {
        let records = self.records.iter();
        records.filter_map(move |(known, record)| (known == kind).then_some(record))
    }

    /// A value of the first line of a kind.
    pub(super) fn text(&self, kind: &str, key: &str) -> &str {
        let found = self.records.iter().find(|(known, _)| known == kind);
        found.map_or("", |(_, record)| record.text(key))
    }

    /// The same as a number; none where it is none.
    pub(super) fn number(&self, kind: &str, key: &str) -> Option<u64> {
        self.text(kind, key).parse().ok()
    }
}

impl Record {
    /// Values with blanks stand in quotes, in which quotes have a backslash.
    fn parse(mut rest: &str) -> Self {
        let mut values = BTreeMap::new();
        while let Some((key, behind)) = rest.split_once('=') {
            let (value, left) = match behind.strip_prefix('"') {
                Some(quoted) => cut_quoted(quoted),
                None => {
                    let (value, left) = behind.split_once(' ').unwrap_or((behind, ""));
                    (value.to_owned(), left)
                }
            };
            values.insert(key.trim_start().to_owned(), value);
            rest = left;
        }
        Self(values)
    }

    /// A value; empty where there is none.
    pub(super) fn text(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    /// A value as a number.
    pub(super) fn number(&self, key: &str) -> Option<i64> {
        self.text(key).parse().ok()
    }
}

/// The value up to its quote, and what follows.
fn cut_quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, text.get(at + 1..).unwrap_or_default()),
            '\\' if text.get(at + 1..).is_some_and(|rest| rest.starts_with('"')) => {
                value.push('"');
                letters.next();
            }
            _ => value.push(letter),
        }
    }
    (value, "")
}

/// Nothing that a terminal would take for more than a letter.
fn plain(text: &str) -> String {
    let letters = text.chars().map(|letter| match letter {
        ' '..='~' => letter,
        _ => '?',
    });
    letters.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::line::escape;

    #[test]
    fn what_is_escaped_is_read_and_nothing_else_comes_through() {
        for helo in [
            "a",
            "",
            "a b",
            "q\"uote",
            "x\\\" client=y",
            "\u{1b}[2J",
            "é\n",
            "\\",
        ] {
            let text = format!(
                "client address=192.0.2.1 helo={} n=7\nport x=1\n",
                escape(helo)
            );
            let snapshot = Snapshot::parse(&text, "");
            assert_eq!(snapshot.text("client", "address"), "192.0.2.1", "{helo:?}");
            assert_eq!(snapshot.number("client", "n"), Some(7), "{helo:?}");
            let told = snapshot.text("client", "helo");
            assert!(
                told.bytes().all(|octet| (0x20..0x7f).contains(&octet)),
                "{told:?}"
            );
            let is_plain = helo
                .bytes()
                .all(|o| (0x20..0x7f).contains(&o) && o != b'\\');
            assert!(!is_plain || told == helo, "{told:?}");
        }
        let snapshot =
            Snapshot::parse("client helo=\u{1b}[2J\u{9b}\u{e9}\nnothing\n\n", "x\u{7}\n");
        assert_eq!(snapshot.text("client", "helo"), "?[2J??");
        assert_eq!(snapshot.complaint, "x?");
        assert_eq!(snapshot.text("nothing", "at all"), "");
    }
}
