//! Encoded words in fields (RFC 2047): `=?utf-8?Q?caf=C3=A9?=`.
//!
//! Promises: words next to each other are put together before they are read, for some clients cut within a
//! letter; one of an unknown charset, or that is none, stays as it stands.

use super::{base64, charset, hex};

/// A value with its encoded words decoded, without control characters.
pub(super) fn decoded(value: &str) -> String {
    let mut text = String::new();
    let mut open: Option<Word> = None;
    let mut rest = value;
    while let Some(at) = rest.find("=?") {
        let (before, from) = rest.split_at(at);
        let Some((word, behind)) = Word::parse(from) else {
            flush(&mut open, &mut text);
            let (mark, behind) = from.split_at(2);
            text.push_str(before);
            text.push_str(mark);
            rest = behind;
            continue;
        };
        rest = behind;
        // Blanks between two words are no part of the text (section 6.2).
        let joined = open.is_some() && before.trim().is_empty();
        match &mut open {
            Some(last) if joined && last.charset.eq_ignore_ascii_case(word.charset) => {
                last.octets.extend(word.octets);
                continue;
            }
            _ => flush(&mut open, &mut text),
        }
        if !joined {
            text.push_str(before);
        }
        open = Some(word);
    }
    flush(&mut open, &mut text);
    text.push_str(rest);
    text.replace(char::is_control, " ")
}

fn flush(open: &mut Option<Word<'_>>, text: &mut String) {
    if let Some(word) = open.take() {
        let decoded = charset::decoded(word.charset, &word.octets);
        text.push_str(&decoded.unwrap_or_default());
    }
}

struct Word<'v> {
    charset: &'v str,
    octets: Vec<u8>,
}

impl<'v> Word<'v> {
    /// The word that a text begins with, if its charset is known, and what follows.
    fn parse(text: &'v str) -> Option<(Self, &'v str)> {
        let (charset, rest) = text.strip_prefix("=?")?.split_once('?')?;
        let (encoding, rest) = rest.split_once('?')?;
        let (encoded, behind) = rest.split_once("?=")?;
        // RFC 2231 section 5: a language may stand behind the charset.
        let charset = charset.split('*').next().unwrap_or_default();
        if charset.is_empty() || encoded.contains(' ') || charset::decoded(charset, b"").is_none() {
            return None;
        }
        let octets = match encoding {
            "B" | "b" => base64(encoded.as_bytes()),
            "Q" | "q" => q(encoded.as_bytes()),
            _ => return None,
        };
        Some((Self { charset, octets }, behind))
    }
}

/// Section 4.2: as quoted-printable, with `_` for a blank.
fn q(encoded: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = encoded;
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        match (first, behind) {
            (b'_', _) => octets.push(b' '),
            (b'=', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_words_are_read_and_others_stay() {
        for (value, want) in [
            ("plain", "plain"),
            ("=?utf-8?Q?caf=C3=A9_=26?= x", "café & x"),
            ("a =?UTF-8?B?w6Q=?= b", "a ä b"),
            ("=?iso-8859-1?q?=E4?=", "ä"),
            ("=?windows-1252?B?gA==?=", "€"),
            // Next to each other, cut within a letter.
            ("=?utf-8?B?w6Q=?= =?utf-8?B?w6Q=?=", "ää"),
            ("=?utf-8?Q?=C3?=\t =?utf-8?Q?=A4?=", "ä"),
            ("=?utf-8?Q?a?= =?iso-8859-1?Q?=E4?=", "aä"),
            ("=?utf-8*en?Q?a?=", "a"),
            ("=?koi8-r?B?4Q==?=", "=?koi8-r?B?4Q==?="),
            ("=?utf-8?X?a?=", "=?utf-8?X?a?="),
            ("=?utf-8?Q?no end", "=?utf-8?Q?no end"),
            ("=?=?utf-8?Q?a?=", "=?a"),
            ("=?utf-8?Q?a=0D=0Ab?=", "a  b"),
            ("=?utf-8?Q?=zz=?=", "=zz="),
        ] {
            assert_eq!(decoded(value), want, "{value}");
        }
    }
}
