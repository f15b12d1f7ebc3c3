//! One log line under construction, in the form the operator chose.

use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use log::Level;

/// The longest value, in octets; what is cut ends with `...`.
pub const VALUE_MAX_OCTETS: usize = 128;
/// The longest words of our own, octets: a problem of the configuration with its file.
pub const WORDS_MAX_OCTETS: usize = 1024;

/// Whether lines are JSON members instead of `key=value`.
static JSON: AtomicBool = AtomicBool::new(false);
/// Whether a line is followed by its values as fields of the journal.
static FIELDS: AtomicBool = AtomicBool::new(false);

/// From now on lines are made as JSON members (`"event":"x","sid":"y"`), for a logger that puts
/// braces around them.
pub fn write_json() {
    JSON.store(true, Ordering::Relaxed);
}

/// From now on each line is followed by its values once more, each on a line `KEY=value`, as the journal's
/// own protocol has them.
pub fn add_fields() {
    FIELDS.store(true, Ordering::Relaxed);
}

/// Whether lines are JSON members.
pub fn is_json() -> bool {
    JSON.load(Ordering::Relaxed)
}

/// One line under construction.
pub(crate) struct Line {
    text: String,
    /// `\nKEY=value` for each, where they are wanted.
    fields: Option<String>,
    json: bool,
    limited: bool,
}

impl Line {
    /// Begins `event=NAME`.
    pub(crate) fn new(event: &'static str) -> Self {
        let json = is_json();
        let mut text = String::with_capacity(160);
        text.push_str(if json { "\"event\":\"" } else { "event=" });
        text.push_str(event);
        if json {
            text.push('"');
        }
        let fields = FIELDS.load(Ordering::Relaxed);
        Self {
            text,
            fields: fields.then(|| format!("\nEVENT={event}")),
            json,
            limited: false,
        }
    }

    /// Begins a line that is not written: the limit of its event and client is reached.
    pub(crate) fn limited() -> Self {
        Self {
            text: String::new(),
            fields: None,
            json: false,
            limited: true,
        }
    }

    /// Adds a value that may hold anything, escaped and cut.
    pub(crate) fn text(self, key: &'static str, value: impl fmt::Display) -> Self {
        if self.limited {
            return self;
        }
        self.value(key, value.to_string().as_bytes(), VALUE_MAX_OCTETS)
    }

    /// The same with octets that may be no text.
    pub(crate) fn octets(self, key: &'static str, value: &[u8]) -> Self {
        self.value(key, value, VALUE_MAX_OCTETS)
    }

    fn value(mut self, key: &'static str, value: &[u8], max_octets: usize) -> Self {
        if self.limited {
            return self;
        }
        let cut = cut(value, max_octets);
        if let Some(fields) = &mut self.fields {
            // What is cut has no line ends, so the short form of a field will do.
            let _ = write!(fields, "\n{}={cut}", key.to_ascii_uppercase());
        }
        if self.json {
            // The plain escape leaves printable ASCII, of which JSON minds two.
            let _ = write!(
                self.text,
                ",\"{key}\":\"{}\"",
                cut.replace('\\', "\\\\").replace('"', "\\\"")
            );
        } else {
            let _ = write!(self.text, " {key}={}", quoted(&cut));
        }
        self
    }

    /// Adds words of our own, which may be longer than what a peer says.
    pub(crate) fn words(self, key: &'static str, value: impl fmt::Display) -> Self {
        self.value(key, value.to_string().as_bytes(), WORDS_MAX_OCTETS)
    }

    /// Adds a value that may be missing; then the key is missing as well.
    pub(crate) fn maybe(self, key: &'static str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.text(key, value),
            None => self,
        }
    }

    /// Hands the line to the logger.
    pub(crate) fn emit(self, level: Level) {
        if !self.limited {
            let fields = self.fields.as_deref().unwrap_or_default();
            log::log!(target: "gatepost", level, "{}{fields}", self.text);
        }
    }
}

/// Control and non-ASCII octets as `\xNN`, cut; the backslash as well, so that one of a peer's never looks
/// like one of ours.
fn cut(value: &[u8], max_octets: usize) -> String {
    let mut cut = String::with_capacity(value.len().min(max_octets) + 4);
    for &octet in value {
        if cut.len() >= max_octets {
            cut.push_str("...");
            break;
        }
        match octet {
            0x20..=0x7e if octet != b'\\' => cut.push(char::from(octet)),
            _ => {
                let _ = write!(cut, "\\x{octet:02x}");
            }
        }
    }
    cut
}

/// Escapes a value for `key=value`: quoted where it holds blanks, quotes, `=`, `\` or nothing.
pub fn escape(value: &str) -> String {
    quoted(&cut(value.as_bytes(), VALUE_MAX_OCTETS))
}

fn quoted(cut: &str) -> String {
    if !cut.is_empty() && !cut.contains([' ', '"', '=', '\\']) {
        return cut.to_owned();
    }
    format!("\"{}\"", cut.replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_forge_keys_or_lines() {
        let rows = [
            ("alice", "alice"),
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("a\nevent=x", "\"a\\x0aevent=x\""),
            ("q\"uote", "\"q\\\"uote\""),
            ("é", "\"\\xc3\\xa9\""),
            ("x\\\" client=y", "\"x\\x5c\\\" client=y\""),
            ("ends\\", "\"ends\\x5c\""),
        ];
        for (value, want) in rows {
            assert_eq!(escape(value), want);
        }
        assert_eq!(escape(&"a".repeat(500)), format!("{}...", "a".repeat(128)));
    }

    #[test]
    fn values_cannot_leave_an_object_or_their_field() {
        let hostile: String = (0..=255).map(|code: u8| char::from(code)).collect();
        for at in 0..hostile.chars().count() {
            let value: String = hostile.chars().skip(at).take(40).collect();
            let line = Line {
                text: String::new(),
                fields: Some(String::new()),
                json: true,
                limited: false,
            };
            let line = line.text("helo", &value);
            let inner = line.text.strip_prefix(",\"helo\":\"").unwrap();
            let inner = inner.strip_suffix('"').unwrap().replace("\\\\", "");
            assert!(!inner.replace("\\\"", "").contains(['"', '\\']), "{inner}");
            assert!(inner.bytes().all(|octet| (0x20..0x7f).contains(&octet)));
            let fields = line.fields.unwrap();
            assert_eq!(fields.matches('\n').count(), 1, "{fields:?}");
            assert!(fields.starts_with("\nHELO="));
        }
    }
}
