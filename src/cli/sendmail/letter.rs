//! A message as a local program writes it, made one that may travel.
//!
//! | what comes | what is made of it |
//! | --- | --- |
//! | LF or CRLF | CRLF |
//! | a bare CR in the body | CRLF: progress bars in cron's mail are full of them |
//! | a bare CR in the header section | a blank: it must not begin a field that its author did not see |
//! | a NUL | removed: no server takes it |
//! | a first line `From ` (mbox) | removed |
//! | a line that is no field before the first empty line | the body begins there |
//! | `Bcc`, `Resent-Bcc`, `Return-Path` | removed |
//! | no `From`, `Date`, `Message-ID`; neither `To` nor `Cc` | added |
//!
//! Promises: all else stays as it is to the octet. Refuses to know: clocks and random numbers (arguments).

use std::io::{self, BufRead, Read};

use super::addresses::addresses;

/// Fields that must not travel.
const REMOVED: [&str; 3] = ["bcc", "resent-bcc", "return-path"];
/// Fields that name recipients.
const NAMES_RECIPIENTS: [&str; 3] = ["to", "cc", "bcc"];
/// The same for a message that is sent once more; where one is there, only they count.
const NAMES_NEW_RECIPIENTS: [&str; 3] = ["resent-to", "resent-cc", "resent-bcc"];

/// A message that was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Letter {
    /// The fields, each with its CRLF and its folding.
    fields: Vec<Vec<u8>>,
    /// What follows the empty line.
    body: Vec<u8>,
}

/// What is added where it is missing.
pub(super) struct Added<'a> {
    /// `From`, as it stands behind the colon.
    pub(super) from: &'a str,
    /// `To`.
    pub(super) to: &'a str,
    /// `Date`.
    pub(super) date: &'a str,
    /// `Message-ID`.
    pub(super) id: &'a str,
}

/// Reads all there is, with CRLF line ends; up to a line with a dot alone unless dots are ignored.
///
/// # Errors
/// The input's; `FileTooLarge` past `max_octets`.
pub(super) fn read(input: &mut impl BufRead, max_octets: u64, dots: Dots) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    // One more than may be, so that too much is seen.
    let mut input = input.take(max_octets.saturating_add(1));
    let mut line = Vec::new();
    let mut part = Part::Header;
    loop {
        line.clear();
        input.read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(content);
        }
        let is_dot = line == b".\n" || line == b".\r\n";
        if is_dot && dots == Dots::End {
            return Ok(content);
        }
        line.retain(|octet| *octet != 0);
        if matches!(line.as_slice(), b"\n" | b"\r\n") {
            part = Part::Body;
        }
        push_line(&line, part, &mut content);
        if content.len() as u64 > max_octets || input.limit() == 0 {
            let text = format!("the message is larger than {max_octets} octets");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
    }
}

/// What a line with a dot alone is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dots {
    /// The end of the message.
    End,
    /// A line like any other.
    Plain,
}

/// Where a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Before the first empty line.
    Header,
    /// Behind it.
    Body,
}

/// One line of input: its end becomes CRLF, and a CR within no bare one.
fn push_line(line: &[u8], part: Part, content: &mut Vec<u8>) {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let inner: &[u8] = match part {
        Part::Header => b" ",
        Part::Body => b"\r\n",
    };
    for (number, piece) in line.split(|octet| *octet == b'\r').enumerate() {
        if number > 0 {
            content.extend_from_slice(inner);
        }
        content.extend_from_slice(piece);
    }
    content.extend_from_slice(b"\r\n");
}

impl Letter {
    /// Cuts content with CRLF line ends into fields and body.
    pub(super) fn parse(content: &[u8]) -> Self {
        let mut fields: Vec<Vec<u8>> = Vec::new();
        let mut at = 0;
        for (number, line) in content.split_inclusive(|octet| *octet == b'\n').enumerate() {
            if number == 0 && line.starts_with(b"From ") && name_of(line).is_none() {
                at += line.len();
                continue;
            }
            if line == b"\r\n" {
                at += line.len();
                break;
            }
            match fields.last_mut() {
                Some(last) if line.starts_with(b" ") || line.starts_with(b"\t") => {
                    last.extend_from_slice(line);
                }
                Some(_) | None if name_of(line).is_some() => fields.push(line.to_vec()),
                Some(_) | None => break,
            }
            at += line.len();
        }
        Self {
            fields,
            body: content.get(at..).unwrap_or_default().to_vec(),
        }
    }

    /// The recipients that the header section names.
    pub(super) fn recipients(&self) -> Vec<String> {
        let is_sent_again = NAMES_NEW_RECIPIENTS.iter().any(|name| self.has(name));
        let names = match is_sent_again {
            true => NAMES_NEW_RECIPIENTS,
            false => NAMES_RECIPIENTS,
        };
        let is_one =
            |field: &&Vec<u8>| name_of(field).is_some_and(|name| names.contains(&name.as_str()));
        let named = self.fields.iter().filter(is_one);
        named
            .flat_map(|field| addresses(&value_of(field)))
            .collect()
    }

    fn has(&self, name: &str) -> bool {
        let mut names = self.fields.iter().filter_map(|field| name_of(field));
        names.any(|known| known == name)
    }

    /// The message as it travels.
    pub(super) fn finish(mut self, added: &Added<'_>) -> Vec<u8> {
        self.fields
            .retain(|field| name_of(field).is_none_or(|name| !REMOVED.contains(&name.as_str())));
        let has_to = self.has("to") || self.has("cc");
        let mut content = Vec::new();
        let missing = [
            (
                "from",
                format!("From: {}\r\n", added.from),
                self.has("from"),
            ),
            ("to", format!("To: {}\r\n", added.to), has_to),
            (
                "date",
                format!("Date: {}\r\n", added.date),
                self.has("date"),
            ),
            (
                "message-id",
                format!("Message-ID: {}\r\n", added.id),
                self.has("message-id"),
            ),
        ];
        for field in &self.fields {
            content.extend_from_slice(field);
        }
        for (_, field, _) in missing.iter().filter(|(_, _, is_there)| !is_there) {
            content.extend_from_slice(field.as_bytes());
        }
        content.extend_from_slice(b"\r\n");
        content.extend_from_slice(&self.body);
        content
    }
}

/// The name of a field in lower case, where the line begins one (RFC 5322 section 2.2; blanks before the
/// colon are of old, section 4.5).
fn name_of(line: &[u8]) -> Option<String> {
    let end = line.iter().position(|octet| *octet == b':')?;
    let name = line.get(..end)?.trim_ascii_end();
    let good = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    good.then(|| String::from_utf8_lossy(name).to_lowercase())
}

/// The value of a field, unfolded.
fn value_of(field: &[u8]) -> String {
    let text = String::from_utf8_lossy(field);
    let value = text.split_once(':').map_or("", |(_, value)| value);
    value.replace("\r\n", " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::chunk::LineEnds;
    use crate::sys::seeded::Random;

    const ADDED: Added<'_> = Added {
        from: "F",
        to: "T",
        date: "D",
        id: "M",
    };

    fn finished(content: &str) -> String {
        let content = read(&mut content.as_bytes(), 1 << 20, Dots::Plain).unwrap();
        String::from_utf8(Letter::parse(&content).finish(&ADDED)).unwrap()
    }

    #[test]
    fn what_is_missing_is_added_and_the_rest_stays() {
        let all = "From: F\r\nTo: T\r\nDate: D\r\nMessage-ID: M\r\n";
        let rows: &[(&str, String)] = &[
            ("", format!("{all}\r\n")),
            ("hello\n", format!("{all}\r\nhello\r\n")),
            ("\nhello\n", format!("{all}\r\nhello\r\n")),
            ("hello", format!("{all}\r\nhello\r\n")),
            (
                "Subject: x\nno field\n",
                format!("Subject: x\r\n{all}\r\nno field\r\n"),
            ),
            (
                "Subj\0ect: x\n\n\0h\0i\0\n",
                format!("Subject: x\r\n{all}\r\nhi\r\n"),
            ),
            (
                "From me Thu\nSubject: x\n\n",
                format!("Subject: x\r\n{all}\r\n"),
            ),
            (
                "FROM: a\ncc: b\ndate: c\nmessage-id: d\n\nx\n",
                "FROM: a\r\ncc: b\r\ndate: c\r\nmessage-id: d\r\n\r\nx\r\n".to_owned(),
            ),
            (
                "Bcc: a,\n b\nSubject: x\n y\n\n",
                format!("Subject: x\r\n y\r\n{all}\r\n"),
            ),
            (
                "Return-Path: <x>\nTo : a\n\n",
                "To : a\r\nFrom: F\r\nDate: D\r\nMessage-ID: M\r\n\r\n".to_owned(),
            ),
            (" folded: first\n", format!("{all}\r\n folded: first\r\n")),
            (
                "\n10%\r20%\r\n\r\nend\n",
                format!("{all}\r\n10%\r\n20%\r\n\r\nend\r\n"),
            ),
        ];
        for (content, want) in rows {
            assert_eq!(finished(content), *want, "{content:?}");
        }
    }

    #[test]
    fn recipients_stand_in_folded_fields() {
        let content = b"To: A <a@b>,\r\n\tc\r\nCC: d@e\r\nSubject: To: x\r\nBcc: f@g (F),\r\n h@i\r\nReply-To: no@no\r\n\r\nTo: body@b\r\n";
        let letter = Letter::parse(content);
        assert_eq!(letter.recipients(), ["a@b", "c", "d@e", "f@g", "h@i"]);
    }

    #[test]
    fn recipients_are_found_in_every_shape_of_a_header_section() {
        let rows: &[(&[u8], &[&str])] = &[
            (b"To: =?utf-8?q?J=C3=B6rg=2C_x?= <a@b>\n", &["a@b"]),
            (
                b"To: team: a@b,\n c@d (C);\nCc: undisclosed-recipients:;\n",
                &["a@b", "c@d"],
            ),
            ("To: J\u{f6}rg <j\u{f6}rg@b>\n".as_bytes(), &["j\u{f6}rg@b"]),
            (b"To: \"a, b\" <a@b>\rCc: c@d\n", &["a@b"]),
            (b"to:a\nTO: b\n", &["a", "b"]),
            (b"To: a\nResent-To: b\nResent-Bcc: c\nBcc: d\n", &["b", "c"]),
            (b"Subject: x\n\nTo: body@b\n", &[]),
            (b"To:\n", &[]),
        ];
        for (content, want) in rows {
            let content = read(&mut &content[..], 1 << 20, Dots::Plain).unwrap();
            let found = Letter::parse(&content).recipients();
            assert_eq!(found, *want, "{}", String::from_utf8_lossy(&content));
        }
    }

    #[test]
    fn blind_copies_never_travel() {
        let finished =
            finished("To: a\nBcc: secret@b,\n\tother@c\nbcc : third\nResent-Bcc: r\n\nx\n");
        for word in ["secret", "other", "third", "cc"] {
            assert!(!finished.contains(word), "{finished}");
        }
    }

    #[test]
    fn eight_bit_content_stays_as_it_is() {
        let content = read(&mut &b"Subject: \xff\n\n\xe9\x01\n"[..], 100, Dots::Plain).unwrap();
        let finished = Letter::parse(&content).finish(&ADDED);
        assert!(finished.ends_with(b"\r\n\r\n\xe9\x01\r\n"));
        assert!(finished.starts_with(b"Subject: \xff\r\n"));
    }

    #[test]
    fn a_dot_ends_the_message_unless_it_is_ignored() {
        let read = |text: &str, dots| read(&mut text.as_bytes(), 100, dots).unwrap();
        assert_eq!(read("a\n.\nb\n", Dots::End), b"a\r\n");
        assert_eq!(read("a\r\n.\r\nb\n", Dots::End), b"a\r\n");
        assert_eq!(read("a\n.\n..\n", Dots::Plain), b"a\r\n.\r\n..\r\n");
        assert_eq!(read("a\n.", Dots::End), b"a\r\n.\r\n");
    }

    #[test]
    fn no_more_is_read_than_may_be() {
        let mut endless = io::BufReader::new(io::repeat(b'x'));
        let error = read(&mut endless, 1000, Dots::End).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        // Line ends count as they travel.
        let lines = "\n".repeat(60);
        assert!(read(&mut lines.as_bytes(), 100, Dots::End).is_err());
        assert!(read(&mut lines.as_bytes(), 120, Dots::End).is_ok());
    }

    #[test]
    fn whatever_comes_goes_out_as_a_message_without_blind_copies() {
        let pieces = [
            "To: ",
            "Bcc: ",
            "bCC :",
            "\n",
            "\r\n",
            "\r",
            " ",
            "\t",
            "a@b",
            "<",
            ">",
            "(",
            ")",
            "\"",
            "\\",
            ",",
            ";",
            ":",
            "x",
            "From ",
            "Subject: x\n",
            "\n\n",
            ".",
            "\u{e9}",
            "\u{0}",
            "[IPv6:",
        ];
        let mut random = Random(0x5eed);
        for _ in 0..20_000 {
            let count = random.below(16);
            let text: String = (0..count).map(|_| random.one_of(&pieces)).collect();
            let content = read(&mut text.as_bytes(), 1 << 20, Dots::Plain).unwrap();
            let letter = Letter::parse(&content);
            let _ = letter.recipients();
            let finished = letter.finish(&ADDED);
            let mut ends = LineEnds::default();
            ends.feed(&finished);
            ends.end();
            assert!(
                !ends.has_bare_cr_or_lf() && !ends.is_within_line(),
                "{text:?}"
            );
            let again = Letter::parse(&finished);
            assert!(
                !again.has("bcc") && again.has("from") && again.has("date"),
                "{text:?}"
            );
        }
    }
}
