//! Commands, lines and list entries that an operator is offered to copy: everything of that kind is made here.
//!
//! Names come from strangers: a login that somebody tried, a recipient that nobody knows. Whoever copies a
//! line into a shell or a file must not run or write what a stranger chose.
//!
//! Promises: a [`Word`] holds no character that a shell, the configuration, the users or the aliases file
//! minds, and begins with no `-`; [`line()`] puts nothing but words into its template, which is part of the
//! program. What is no word is told by [`told`], escaped, and never inside a command.
//! Limits: a word has at most [`NAME_MAX_OCTETS`] octets, what is told in words is cut there.

use std::fmt::{self, Write as _};
use std::path::Path;

/// The longest name that is offered or told.
const NAME_MAX_OCTETS: usize = 254;

/// What may stand in a line to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word(String);

impl Word {
    /// A name that anybody may have chosen: only `[a-z0-9._+@-]`, and no `-` at its beginning.
    pub fn name(text: &str) -> Option<Self> {
        let is_plain = text.bytes().all(is_plain) && !text.starts_with('-');
        let fits = (1..=NAME_MAX_OCTETS).contains(&text.len());
        (is_plain && fits).then(|| Self(text.to_owned()))
    }

    /// A path that the operator chose: the characters of names, capitals and `/`.
    pub fn path(path: &Path) -> Option<Self> {
        let text = path
            .to_str()
            .filter(|text| !text.is_empty() && !text.starts_with('-'))?;
        let is_plain = |octet: u8| is_plain(octet) || octet.is_ascii_uppercase() || octet == b'/';
        text.bytes().all(is_plain).then(|| Self(text.to_owned()))
    }

    /// Our own: a number, an address, or an entry that the configuration holds. Never what a client said.
    pub fn own(value: impl fmt::Display) -> Self {
        Self(value.to_string())
    }
}

impl From<&'static str> for Word {
    /// A part of the program.
    fn from(text: &'static str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A command or a line to copy: the template, each `{}` in it replaced by the next word.
pub fn line(template: &'static str, words: &[&Word]) -> String {
    let mut text = String::with_capacity(template.len() + 16);
    let mut words = words.iter();
    for (at, piece) in template.split("{}").enumerate() {
        if at > 0 {
            let word = words.next();
            let word = word.expect("a template has as many places as there are words");
            text.push_str(&word.0);
        }
        text.push_str(piece);
    }
    text
}

/// Any name as it may stand among words: as it is where it is a plain one, else in quotes, with all but
/// letters and digits escaped, and cut.
pub fn told(name: &str) -> String {
    Word::name(name).map_or_else(|| in_words(name), |word| word.0)
}

fn in_words(text: &str) -> String {
    let mut told = "\"".to_owned();
    for (at, octet) in text.bytes().enumerate() {
        match octet {
            _ if at >= NAME_MAX_OCTETS => {
                told.push_str("...");
                break;
            }
            octet if is_plain(octet) || octet.is_ascii_uppercase() => told.push(char::from(octet)),
            octet => {
                let _ = write!(told, "\\x{octet:02x}");
            }
        }
    }
    told.push('"');
    told
}

/// A character of a name to copy.
fn is_plain(octet: u8) -> bool {
    octet.is_ascii_lowercase() || octet.is_ascii_digit() || b"._+@-".contains(&octet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_words() {
        for name in ["alice", "a.b+c@here.example", "x-1_2", "9"] {
            assert_eq!(
                Word::name(name).map(|w| w.to_string()).as_deref(),
                Some(name)
            );
        }
        let long = "a".repeat(NAME_MAX_OCTETS + 1);
        for name in [
            "",
            "-rf",
            "Alice",
            "a b",
            "a;b",
            "$(id)",
            "`id`",
            "a\nb",
            "a'b",
            "a\"b",
            "a\\b",
            "\u{e9}",
            "a\u{1b}[2J",
            "a|b",
            "a&b",
            "a>b",
            "a:b",
            "a,b",
            "a#b",
            "a=b",
            "a/b",
            "*",
            "~",
            "!",
            &long,
        ] {
            assert_eq!(Word::name(name), None, "{name:?}");
        }
    }

    #[test]
    fn only_plain_paths_are_words() {
        let path = |text: &str| Word::path(Path::new(text)).is_some();
        assert!(path("/var/lib/gatepost/mail/Anna"));
        assert!(path("here/gatepost.ini"));
        for text in ["-rf", "/a b", "/$(id)", "/a\nb", "/\u{e9}", ""] {
            assert!(!path(text), "{text:?}");
        }
    }

    #[test]
    fn a_line_holds_its_words_in_their_places() {
        let (a, b) = (Word::own(1), Word::own("b"));
        assert_eq!(line("x {} y {}", &[&a, &b]), "x 1 y b");
        assert_eq!(line("x", &[]), "x");
    }

    #[test]
    fn what_is_told_in_words_runs_nowhere() {
        assert_eq!(told("alice"), "alice");
        assert_eq!(told("Alice"), "\"Alice\"");
        assert_eq!(told("-rf"), "\"-rf\"");
        assert_eq!(
            told("$(id) `x`\n\u{1b}\"\u{e9}"),
            "\"\\x24\\x28id\\x29\\x20\\x60x\\x60\\x0a\\x1b\\x22\\xc3\\xa9\""
        );
        assert!(told(&"$".repeat(9000)).len() < 4 * NAME_MAX_OCTETS + 8);
    }
}
