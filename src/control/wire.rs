//! The two messages of the console, as octets.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, absolute};

use super::{Answer, Outcome};

/// The longest request, octets with its line end.
pub const REQUEST_MAX_OCTETS: usize = 512;
/// The longest answer, octets.
pub const ANSWER_MAX_OCTETS: usize = 8 * 1024 * 1024;
/// The longest head of an answer, octets.
pub const HEAD_MAX_OCTETS: usize = 64;

const MAGIC: &str = "gatepost 1";

/// The head of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// How the request ended.
    pub outcome: Outcome,
    /// Octets for standard output.
    pub output: usize,
    /// Octets for standard error, behind those.
    pub complaint: usize,
}

/// The words of a request line without its end. None where it holds what no request does.
pub fn words(line: &[u8]) -> Option<Vec<&str>> {
    let text = std::str::from_utf8(line).ok()?;
    let plain = text.bytes().all(|octet| (0x20..=0x7e).contains(&octet));
    let words: Vec<&str> = text.split_whitespace().collect();
    (plain && !words.is_empty()).then_some(words)
}

/// A request line. None where the words cannot be said in one.
pub fn request(words: &[&str]) -> Option<Vec<u8>> {
    let good = |word: &&str| !word.is_empty() && word.bytes().all(|o| (0x21..=0x7e).contains(&o));
    let line = format!("{}\n", words.join(" "));
    let fits = line.len() <= REQUEST_MAX_OCTETS;
    (fits && words.iter().all(good)).then(|| line.into_bytes())
}

/// The word that says whose console is meant: the one of the service with this configuration file. Two
/// services may have been given the same socket.
pub fn addressee(config: &Path) -> String {
    let path = config.canonicalize().or_else(|_| absolute(config));
    let path = path.unwrap_or_else(|_| config.to_owned());
    format!(
        "{ADDRESSEE}{:08x}",
        crc32fast::hash(path.as_os_str().as_bytes())
    )
}

/// What stands before an addressee's number.
pub const ADDRESSEE: &str = "for=";

/// An answer, cut where it would be too long.
pub fn answer(answer: &Answer) -> Vec<u8> {
    let output = cut(&answer.output);
    let complaint = cut(&answer.complaint);
    let head = format!(
        "{MAGIC} {} {} {}\n",
        word(answer.outcome),
        output.len(),
        complaint.len()
    );
    [head.as_bytes(), output.as_bytes(), complaint.as_bytes()].concat()
}

/// Reads the head line of an answer, without its end.
pub fn head(line: &[u8]) -> Option<Head> {
    let text = std::str::from_utf8(line).ok()?.strip_prefix(MAGIC)?;
    let mut words = text.split_whitespace();
    let named = words.next()?;
    let outcome = OUTCOMES
        .into_iter()
        .find(|outcome| word(*outcome) == named)?;
    let mut length = || {
        let length: usize = words.next()?.parse().ok()?;
        (length <= ANSWER_MAX_OCTETS / 2).then_some(length)
    };
    Some(Head {
        outcome,
        output: length()?,
        complaint: length()?,
    })
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(ANSWER_MAX_OCTETS / 2);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

const OUTCOMES: [Outcome; 6] = [
    Outcome::Done,
    Outcome::Usage,
    Outcome::Unavailable,
    Outcome::NotNow,
    Outcome::NotPermitted,
    Outcome::Configuration,
];

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Usage => "usage",
        Outcome::Unavailable => "unavailable",
        Outcome::NotNow => "not-now",
        Outcome::NotPermitted => "not-permitted",
        Outcome::Configuration => "configuration",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_plain_words_in_one_line() {
        assert_eq!(request(&["a", "b"]).as_deref(), Some(&b"a b\n"[..]));
        for bad in [
            &["a b"][..],
            &["a\nb"],
            &[""],
            &["\u{e9}"],
            &[&"x".repeat(512)],
        ] {
            assert_eq!(request(bad), None, "{bad:?}");
        }
        assert_eq!(
            words(b"tell  smtp quit"),
            Some(vec!["tell", "smtp", "quit"])
        );
        for bad in [&b""[..], b"  ", b"a\tb", b"a\0", b"\xff"] {
            assert_eq!(words(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn an_answer_keeps_its_outcome_and_its_texts_apart() {
        for outcome in OUTCOMES {
            let said = Answer {
                outcome,
                output: "out\n".into(),
                complaint: "\u{e9}rr\n".into(),
            };
            let octets = answer(&said);
            let end = octets.iter().position(|&octet| octet == b'\n').unwrap();
            assert!(end < HEAD_MAX_OCTETS);
            let head = head(&octets[..end]).unwrap();
            assert_eq!(head.outcome, outcome);
            let (output, complaint) = octets[end + 1..].split_at(head.output);
            assert_eq!(output, said.output.as_bytes());
            assert_eq!(complaint, said.complaint.as_bytes());
            assert_eq!(complaint.len(), head.complaint);
        }
        let bad: [&[u8]; 6] = [
            b"",
            b"220 mx ESMTP ready",
            b"gatepost 2 done 0 0",
            b"gatepost 1 nope 0 0",
            b"gatepost 1 done 0",
            b"gatepost 1 done 99999999999 0",
        ];
        for line in bad {
            assert_eq!(head(line), None, "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn an_answer_too_long_is_cut_between_letters() {
        let long = Answer::done("\u{e9}".repeat(ANSWER_MAX_OCTETS));
        assert!(answer(&long).len() <= ANSWER_MAX_OCTETS);
    }
}
