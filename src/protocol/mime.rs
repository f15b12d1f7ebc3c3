//! The little of a message that a person looks at first: its subject, its id, its text.
//!
//! Promises: whatever the octets, it ends, with texts of bounded length that hold no CR; what cannot be
//! decoded comes as it stands, or with U+FFFD for what is no text. The text is that of the first
//! `text/plain` that is no attachment; where there is none, the first `text/html` comes as it is. Messages
//! within messages are not looked into. Refuses to know: where the octets come from. Limits:
//! [`TEXT_MAX_OCTETS`], [`SUBJECT_MAX_OCTETS`], 8 levels, 200 parts, fields of 16 KiB.

mod charset;
pub mod seven_bit;
mod walk;
mod words;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// The longest text, octets.
pub const TEXT_MAX_OCTETS: usize = 64 * 1024;
/// The longest subject or id, octets.
pub const SUBJECT_MAX_OCTETS: usize = 4 * 1024;
/// Multiparts within each other.
const DEPTH_MAX: usize = 8;
/// Parts that are looked at.
const PARTS_MAX: usize = 200;
/// The longest value of a field.
const FIELD_MAX_OCTETS: usize = 16 * 1024;

/// What a message says first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Digest {
    /// Subject, decoded (RFC 2047).
    pub subject: Option<String>,
    /// Message-ID.
    pub message_id: Option<String>,
    /// The text, with LF line ends.
    pub text: Option<String>,
    /// The same in HTML, where there is no plain text.
    pub html: Option<String>,
}

/// Looks at a message, or at its beginning.
pub fn digest(content: &[u8]) -> Digest {
    let (fields, body) = fields(content);
    let mut reader = Reader::default();
    reader.part(&fields, body, 0);
    let one_line = |value: &str| cut(&words::decoded(value), SUBJECT_MAX_OCTETS);
    Digest {
        subject: fields.get("subject").map(one_line),
        message_id: fields.get("message-id").map(one_line),
        html: reader.html.filter(|_| reader.text.is_none()),
        text: reader.text,
    }
}

#[derive(Default)]
struct Reader {
    parts: usize,
    text: Option<String>,
    html: Option<String>,
}

impl Reader {
    /// A part with its fields.
    fn part(&mut self, fields: &Fields, body: &[u8], depth: usize) {
        self.parts += 1;
        if self.parts > PARTS_MAX || depth > DEPTH_MAX || self.text.is_some() {
            return;
        }
        let kind = fields.get("content-type").unwrap_or("text/plain");
        let media = kind.split(';').next().unwrap_or_default().trim();
        let media = media.to_ascii_lowercase();
        if media.starts_with("multipart/") {
            if let Some(boundary) = parameter(kind, "boundary").filter(|one| !one.is_empty()) {
                self.multipart(body, &boundary, depth);
            }
            return;
        }
        let disposition = fields.get("content-disposition").unwrap_or_default();
        let disposition = disposition.trim_start().as_bytes();
        let attached = disposition
            .get(..10)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"attachment"));
        if attached {
            return;
        }
        let place = match media.as_str() {
            "text/plain" => &mut self.text,
            "text/html" if self.html.is_none() => &mut self.html,
            _ => return,
        };
        let encoding = fields.get("content-transfer-encoding").unwrap_or_default();
        let octets = transferred(body, encoding.trim());
        let charset = parameter(kind, "charset").unwrap_or_default();
        let text = charset::decoded(&charset, &octets);
        let text = text.unwrap_or_else(|| String::from_utf8_lossy(&octets).into_owned());
        *place = Some(cut(
            &text.replace("\r\n", "\n").replace('\r', "\n"),
            TEXT_MAX_OCTETS,
        ));
    }

    /// RFC 2046 section 5.1: parts between lines `--BOUNDARY`, up to `--BOUNDARY--`.
    fn multipart(&mut self, body: &[u8], boundary: &str, depth: usize) {
        let mut begin = None;
        let mut at = 0;
        for line in body.split_inclusive(|&octet| octet == b'\n') {
            let next = at + line.len();
            if let Some(rest) = delimiter(line, boundary) {
                if let Some(part) = begin.and_then(|begin| body.get(begin..at)) {
                    let (fields, body) = fields(part);
                    self.part(&fields, body, depth + 1);
                }
                begin = Some(next);
                if rest == b"--" || self.text.is_some() || self.parts > PARTS_MAX {
                    return;
                }
            }
            at = next;
        }
        // The last part of what was cut.
        if let Some(part) = begin.and_then(|begin| body.get(begin..)) {
            let (fields, body) = fields(part);
            self.part(&fields, body, depth + 1);
        }
    }
}

/// What stands behind `--BOUNDARY`, where a line is one.
fn delimiter<'l>(line: &'l [u8], boundary: &str) -> Option<&'l [u8]> {
    let rest = line.trim_ascii_end().strip_prefix(b"--")?;
    let rest = rest.strip_prefix(boundary.as_bytes())?;
    (rest.is_empty() || rest == b"--").then_some(rest)
}

/// The fields that count, by their names in lower case.
#[derive(Default)]
struct Fields(Vec<(&'static str, String)>);

const NAMES: [&str; 5] = [
    "subject",
    "message-id",
    "content-type",
    "content-transfer-encoding",
    "content-disposition",
];

impl Fields {
    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// The header section, unfolded, and what follows it. The first field of a name counts.
fn fields(part: &[u8]) -> (Fields, &[u8]) {
    let mut fields = Fields::default();
    let mut is_open = false;
    let mut rest = part;
    while !rest.is_empty() {
        let end = rest.iter().position(|&octet| octet == b'\n');
        let (line, behind) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
        rest = behind;
        let line = line.trim_ascii_end();
        if line.is_empty() {
            break;
        }
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            if let Some((_, value)) = fields.0.last_mut().filter(|_| is_open) {
                push(value, line);
            }
            continue;
        }
        is_open = false;
        let Some(colon) = line.iter().position(|&octet| octet == b':') else {
            continue;
        };
        let (name, value) = line.split_at(colon);
        let is_it = |known: &&&str| name.trim_ascii_end().eq_ignore_ascii_case(known.as_bytes());
        let Some(&name) = NAMES.iter().find(is_it) else {
            continue;
        };
        if fields.get(name).is_none() {
            let mut text = String::new();
            push(&mut text, value.get(1..).unwrap_or_default().trim_ascii());
            fields.0.push((name, text));
            is_open = true;
        }
    }
    (fields, rest)
}

/// Adds to a value, as far as there is room.
fn push(value: &mut String, octets: &[u8]) {
    if value.len() + octets.len() <= FIELD_MAX_OCTETS {
        value.push_str(&String::from_utf8_lossy(octets));
    }
}

/// A parameter of a field such as `text/plain; charset="utf-8"` (RFC 2045 section 5.1).
fn parameter(value: &str, wanted: &str) -> Option<String> {
    let mut rest = value.split_once(';')?.1;
    loop {
        let (name, behind) = rest.split_once('=')?;
        let behind = behind.trim_start();
        let (text, next) = match behind.strip_prefix('"') {
            Some(inner) => unquoted(inner),
            None => {
                let end = behind.find(';').unwrap_or(behind.len());
                let (text, next) = behind.split_at(end);
                let token = text.split_whitespace().next();
                (token.unwrap_or_default().to_owned(), next)
            }
        };
        // What a broken parameter before it left is no part of a name.
        let name = name.rsplit(';').next().unwrap_or_default().trim();
        if name.eq_ignore_ascii_case(wanted) {
            return Some(text);
        }
        rest = next.split_once(';')?.1;
    }
}

/// A quoted string without its first quote, and what follows it.
fn unquoted(inner: &str) -> (String, &str) {
    let mut text = String::new();
    let mut escaped = false;
    for (at, letter) in inner.char_indices() {
        match letter {
            _ if escaped => {
                text.push(letter);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return (text, inner.get(at..).unwrap_or_default()),
            _ => text.push(letter),
        }
    }
    (text, "")
}

/// A body without its transfer encoding, as much of it as counts.
fn transferred(body: &[u8], encoding: &str) -> Vec<u8> {
    if encoding.eq_ignore_ascii_case("base64") {
        base64(body)
    } else if encoding.eq_ignore_ascii_case("quoted-printable") {
        quoted_printable(body)
    } else {
        body.get(..TEXT_MAX_OCTETS).unwrap_or(body).to_vec()
    }
}

/// RFC 2045 section 6.8: what is no letter of the alphabet is passed over, and `=` ends it.
fn base64(body: &[u8]) -> Vec<u8> {
    let is_letter = |octet: &u8| octet.is_ascii_alphanumeric() || b"+/".contains(octet);
    let body = body.iter().copied();
    let letters = body.take_while(|&octet| octet != b'=').filter(is_letter);
    let mut letters: Vec<u8> = letters.take(TEXT_MAX_OCTETS / 3 * 4).collect();
    if letters.len() % 4 == 1 {
        letters.pop();
    }
    LENIENT.decode(letters).unwrap_or_default()
}

/// RFC 2045 section 6.7; an `=` that begins nothing stands for itself.
fn quoted_printable(body: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = body;
    while let Some((&first, behind)) = rest.split_first() {
        if octets.len() >= TEXT_MAX_OCTETS {
            break;
        }
        rest = behind;
        if first != b'=' {
            octets.push(first);
            continue;
        }
        match behind {
            [b'\r', b'\n', after @ ..] | [b'\n', after @ ..] => rest = after,
            [high, low, after @ ..] => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    octets.push(high << 4 | low);
                    rest = after;
                }
                _ => octets.push(first),
            },
            _ => octets.push(first),
        }
    }
    octets
}

fn hex(octet: u8) -> Option<u8> {
    let digit = char::from(octet).to_digit(16)?;
    u8::try_from(digit).ok()
}

/// At most so many octets of a text, in whole letters.
fn cut(text: &str, octets_max: usize) -> String {
    let mut end = text.len().min(octets_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

#[cfg(test)]
mod tests;
