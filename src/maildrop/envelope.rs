//! The form of a file in the drop folder: the envelope in lines, then the content.
//!
//! ```text
//! gatepost-drop 1
//! from ADDRESS            or "from" alone, the null reverse-path
//! to ADDRESS              one line for each recipient
//! content OCTETS
//! …                       that many octets, each line ended by CRLF; then the file ends
//! ```
//!
//! Promises: nothing is read past [`LINE_MAX_OCTETS`] a line and the limit of recipients; an address is
//! one that SMTP would take. Refuses to know: files, and whose this one is.

use std::fmt;
use std::io::{self, BufRead, Read};

use crate::mail::{ForwardPath, ReversePath};

/// The longest line of the envelope, octets.
const LINE_MAX_OCTETS: u64 = 1024;
const TITLE: &str = "gatepost-drop 1";

/// The envelope of a message that a local program left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropEnvelope {
    /// The reverse-path.
    pub from: ReversePath,
    /// The recipients: at least one.
    pub to: Vec<ForwardPath>,
    /// Octets of content that follow.
    pub octets: u64,
}

/// Why a file is none of ours.
#[derive(Debug)]
pub enum NotAPaper {
    /// It is not in the form.
    Malformed(&'static str),
    /// It cannot be read.
    Io(io::Error),
}

impl fmt::Display for NotAPaper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => f.write_str(why),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for NotAPaper {}

/// The most octets an envelope with so many recipients has.
pub fn head_max_octets(recipients: usize) -> u64 {
    LINE_MAX_OCTETS.saturating_mul(recipients as u64 + 3)
}

impl DropEnvelope {
    /// The lines of the envelope.
    pub fn to_text(&self) -> String {
        let mut text = format!("{TITLE}\nfrom {}\n", self.from);
        for to in &self.to {
            match to {
                ForwardPath::Postmaster => text.push_str("to postmaster\n"),
                ForwardPath::Mailbox(mailbox) => text.push_str(&format!("to {mailbox}\n")),
            }
        }
        text.push_str(&format!("content {}\n", self.octets));
        text
    }

    /// Reads the envelope; what follows in `input` is the content.
    ///
    /// # Errors
    /// It is malformed, has more recipients than `recipients_max`, or cannot be read.
    pub fn read(input: &mut impl BufRead, recipients_max: usize) -> Result<Self, NotAPaper> {
        if line(input)? != TITLE {
            return Err(NotAPaper::Malformed(
                "it does not begin as such a file does",
            ));
        }
        let from = line(input)?;
        let from = from.strip_prefix("from").ok_or(ENVELOPE)?.trim_start();
        let from = whole(ReversePath::parse_prefix(&format!("<{from}>")))?;
        let mut to = Vec::new();
        loop {
            let line = line(input)?;
            if let Some(octets) = line.strip_prefix("content ") {
                let octets = octets.parse().map_err(|_| ENVELOPE)?;
                return match to.is_empty() {
                    true => Err(NotAPaper::Malformed("it has no recipient")),
                    false => Ok(Self { from, to, octets }),
                };
            }
            if to.len() >= recipients_max {
                return Err(NotAPaper::Malformed("it has too many recipients"));
            }
            let path = line.strip_prefix("to ").ok_or(ENVELOPE)?;
            to.push(whole(ForwardPath::parse_prefix(&format!("<{path}>")))?);
        }
    }
}

const ENVELOPE: NotAPaper = NotAPaper::Malformed("its envelope is malformed");

fn whole<T, E>(parsed: Result<(T, &str), E>) -> Result<T, NotAPaper> {
    match parsed {
        Ok((path, "")) => Ok(path),
        Ok(_) | Err(_) => Err(NotAPaper::Malformed("it holds what is no address")),
    }
}

fn line(input: &mut impl BufRead) -> Result<String, NotAPaper> {
    let mut line = Vec::new();
    let read = input.take(LINE_MAX_OCTETS).read_until(b'\n', &mut line);
    read.map_err(NotAPaper::Io)?;
    let text = String::from_utf8(line).map_err(|_| ENVELOPE)?;
    let text = text.strip_suffix('\n').ok_or(ENVELOPE)?;
    match text.chars().any(char::is_control) {
        true => Err(NotAPaper::Malformed(
            "its envelope holds control characters",
        )),
        false => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::seeded::Random;

    #[test]
    fn what_is_written_is_read_back() {
        let path = |text: &str| ForwardPath::parse_prefix(text).unwrap().0;
        for from in ["<>", "<alice@here.example>"] {
            let envelope = DropEnvelope {
                from: ReversePath::parse_prefix(from).unwrap().0,
                to: vec![
                    path("<bob@here.example>"),
                    path("<postmaster>"),
                    path("<\"big boss\"@here.example>"),
                ],
                octets: 12,
            };
            let text = format!("{}content\r\n", envelope.to_text());
            let mut input = text.as_bytes();
            assert_eq!(DropEnvelope::read(&mut input, 3).unwrap(), envelope);
            assert_eq!(input, b"content\r\n");
            assert!(DropEnvelope::read(&mut text.as_bytes(), 2).is_err());
        }
    }

    #[test]
    fn what_is_not_in_the_form_is_refused() {
        let long = format!(
            "gatepost-drop 1\nfrom a@b\nto {}@b\ncontent 0\n",
            "a".repeat(2000)
        );
        let rows: &[&str] = &[
            "",
            "\n",
            "gatepost-drop 2\nfrom a@b\nto a@b\ncontent 0\n",
            "gatepost-drop 1",
            "gatepost-drop 1\n",
            "gatepost-drop 1\nto a@b\ncontent 0\n",
            "gatepost-drop 1\nfrom a@b\ncontent 0\n",
            "gatepost-drop 1\nfrom a@b\nto a@b\n",
            "gatepost-drop 1\nfrom a@b\nto a@b\ncontent -1\n",
            "gatepost-drop 1\nfrom a@b\nto a@b\ncontent 99999999999999999999\n",
            "gatepost-drop 1\nfrom a@b\nto a@b> x\ncontent 0\n",
            "gatepost-drop 1\nfrom a@b\nto a\u{7}@b\ncontent 0\n",
            "gatepost-drop 1\r\nfrom a@b\nto a@b\ncontent 0\n",
            "gatepost-drop 1\nfrom a@b\nto\ncontent 0\n",
            &long,
        ];
        for row in rows {
            assert!(
                DropEnvelope::read(&mut row.as_bytes(), 9).is_err(),
                "{row:?}"
            );
        }
        let not_text = b"gatepost-drop 1\nfrom \xff@b\nto a@b\ncontent 0\n";
        assert!(DropEnvelope::read(&mut &not_text[..], 9).is_err());
    }

    #[test]
    fn what_is_read_from_anything_is_what_would_be_written() {
        let pieces = [
            "gatepost-drop 1\n",
            "from",
            " ",
            "a@b.example",
            "\n",
            "to ",
            "postmaster",
            "<",
            ">",
            "\"a b\"@c.example",
            "content ",
            "7",
            "99999999999999999999",
            "\r",
            "\u{e9}@b",
            "\u{0}",
        ];
        let mut random = Random(0x5eed);
        let mut whole = 0;
        for _ in 0..20_000 {
            let mut text = random.one_of(&["", "gatepost-drop 1\nfrom "]).to_owned();
            for _ in 0..random.below(12) {
                text.push_str(random.one_of(&pieces));
            }
            text.push_str(random.one_of(&["", "\nto a@b.example\ncontent 3\n"]));
            if let Ok(envelope) = DropEnvelope::read(&mut text.as_bytes(), 4) {
                let again = envelope.to_text();
                assert_eq!(
                    DropEnvelope::read(&mut again.as_bytes(), 4).unwrap(),
                    envelope,
                    "{text:?}"
                );
                whole += 1;
            }
        }
        assert!(whole > 100, "{whole}");
    }
}
