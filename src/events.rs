//! Log events: one function per event, the only place log lines are made.
//!
//! Promises: one event is one line `event=NAME key=value …` with fixed keys; a value is escaped so
//! that it cannot forge a key or a line, and is cut to 128 octets. Refuses to know: where lines go (the logger does). Never pass
//! passwords, AUTH payloads or content.

use std::fmt::{self, Write as _};

use log::Level;

/// The longest value, in octets; what is cut ends with `...`.
pub const VALUE_MAX_OCTETS: usize = 128;

/// One line under construction.
pub(crate) struct Line(String);

impl Line {
    /// Begins `event=NAME`.
    pub(crate) fn new(event: &'static str) -> Self {
        Self(format!("event={event}"))
    }

    /// Adds a value that may hold anything, escaped and cut.
    pub(crate) fn text(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.0.push(' ');
        self.0.push_str(key);
        self.0.push('=');
        let value = value.to_string();
        self.0.push_str(&escape(&value));
        self
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
        log::log!(target: "gatepost", level, "{}", self.0);
    }
}

/// Escapes a value: quoted where it holds blanks, quotes, `=` or nothing; control and non-ASCII
/// octets as `\xNN`; cut to [`VALUE_MAX_OCTETS`].
pub fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len() + 2);
    let mut cut = false;
    for octet in value.bytes() {
        if escaped.len() >= VALUE_MAX_OCTETS {
            cut = true;
            break;
        }
        match octet {
            b'"' | b'\\' => {
                escaped.push('\\');
                escaped.push(char::from(octet));
            }
            0x20..=0x7e => escaped.push(char::from(octet)),
            _ => {
                let _ = write!(escaped, "\\x{octet:02x}");
            }
        }
    }
    if cut {
        escaped.push_str("...");
    }
    let plain = !escaped.is_empty() && !escaped.contains([' ', '"', '=', '\\']);
    if plain {
        escaped
    } else {
        format!("\"{escaped}\"")
    }
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
        ];
        for (value, want) in rows {
            assert_eq!(escape(value), want);
        }
        assert_eq!(escape(&"a".repeat(500)), format!("{}...", "a".repeat(128)));
    }
}
