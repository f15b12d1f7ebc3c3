//! Texts as JSON strings (RFC 8259 section 7).
//!
//! Promises: whatever the text, the string ends where it seems to, and holds no control character.

use std::fmt::Write as _;

/// A text as a string, with its quotes.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(letter);
            }
            _ if letter.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(letter));
            }
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// The same, or `null`.
pub fn maybe(text: Option<&str>) -> String {
    text.map_or_else(|| "null".to_owned(), quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_leaves_its_quotes() {
        for (text, want) in [
            ("", "\"\""),
            ("a\"b\\c", "\"a\\\"b\\\\c\""),
            ("\r\n\t\0", "\"\\u000d\\u000a\\u0009\\u0000\""),
            ("é\u{85}\u{1f600}", "\"é\\u0085\u{1f600}\""),
        ] {
            assert_eq!(quoted(text), want);
        }
        assert_eq!(maybe(None), "null");
        assert_eq!(maybe(Some("x")), "\"x\"");
    }
}
