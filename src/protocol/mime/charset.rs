//! The charsets of mail that small machines send: UTF-8, US-ASCII, ISO-8859-1, ISO-8859-15, windows-1252.

/// Octets as text; none where the charset is not known. No name is US-ASCII, which much that is UTF-8
/// calls itself.
pub(super) fn decoded(charset: &str, octets: &[u8]) -> Option<String> {
    let one_by_one = |letter: fn(u8) -> char| octets.iter().map(|&octet| letter(octet)).collect();
    match charset.to_ascii_lowercase().as_str() {
        "" | "utf-8" | "utf8" | "us-ascii" | "ascii" => {
            Some(String::from_utf8_lossy(octets).into_owned())
        }
        // What calls itself ISO-8859-1 is often windows-1252, whose further letters stand where
        // the other has control characters.
        "iso-8859-1" | "latin1" | "windows-1252" | "cp1252" => Some(one_by_one(windows_1252)),
        "iso-8859-15" | "latin9" => Some(one_by_one(iso_8859_15)),
        _ => None,
    }
}

fn windows_1252(octet: u8) -> char {
    let further = octet.checked_sub(0x80).map(usize::from);
    let further = further.and_then(|at| FURTHER.get(at));
    further.copied().unwrap_or(char::from(octet))
}

fn iso_8859_15(octet: u8) -> char {
    match octet {
        0xa4 => '€',
        0xa6 => 'Š',
        0xa8 => 'š',
        0xb4 => 'Ž',
        0xb8 => 'ž',
        0xbc => 'Œ',
        0xbd => 'œ',
        0xbe => 'Ÿ',
        _ => char::from(octet),
    }
}

/// windows-1252 from 0x80 to 0x9f.
const FURTHER: [char; 32] = [
    '€', '\u{fffd}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{fffd}', 'Ž',
    '\u{fffd}', '\u{fffd}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{fffd}',
    'ž', 'Ÿ',
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_charsets_are_decoded() {
        for (charset, octets, want) in [
            ("UTF-8", "ä€".as_bytes(), Some("ä€")),
            ("", b"a\xff", Some("a\u{fffd}")),
            ("ISO-8859-1", b"\xe4\xdf", Some("äß")),
            ("Windows-1252", b"\x80\x99\xe4\x81", Some("€™ä\u{fffd}")),
            ("iso-8859-15", b"\xa4\xe4", Some("€ä")),
            ("koi8-r", b"\xe4", None),
        ] {
            assert_eq!(decoded(charset, octets).as_deref(), want, "{charset}");
        }
    }
}
