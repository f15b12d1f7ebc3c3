//! BDAT (RFC 3030): how large a chunk is, and where the lines of its octets end.
//!
//! A chunk is counted, so nothing in it is transparency and nothing in it ends it. What it holds is
//! text all the same, since BINARYMIME is not offered: CRLF alone ends a line, and a CR or an LF by
//! itself is remembered, as in [`super::data`]. Any split of the octets gives the same. Refuses to
//! know: limits, and what becomes of the octets.

use super::data::find_cr_or_lf;

/// The arguments of BDAT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkSize {
    /// How many octets follow the command line.
    pub octets: u64,
    /// Whether it is the last of its message.
    pub is_last: bool,
}

impl ChunkSize {
    /// Parses `chunk-size [LAST]` (RFC 3030 section 2). The size may begin with any number of zeros.
    pub fn parse(arguments: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(arguments).ok()?;
        let mut words = text.split_ascii_whitespace();
        let digits = words.next()?;
        let is_number = digits.bytes().all(|octet| octet.is_ascii_digit());
        if !is_number {
            return None;
        }
        let octets = digits.parse().ok()?;
        let is_last = match words.next() {
            None => false,
            Some(word) if word.eq_ignore_ascii_case("LAST") => true,
            Some(_) => return None,
        };
        words.next().is_none().then_some(Self { octets, is_last })
    }
}

/// Follows the line ends of content as it comes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LineEnds {
    after_cr: bool,
    within_line: bool,
    bare: bool,
}

impl LineEnds {
    /// Looks at more content.
    pub fn feed(&mut self, content: &[u8]) {
        let mut rest = content;
        while let Some(first) = rest.first() {
            let run = find_cr_or_lf(rest);
            if run > 0 {
                self.bare |= self.after_cr;
                (self.after_cr, self.within_line) = (false, true);
                rest = rest.get(run..).unwrap_or_default();
                continue;
            }
            let is_lf = *first == b'\n';
            self.bare |= self.after_cr != is_lf;
            self.within_line = !(self.after_cr && is_lf);
            self.after_cr = !is_lf;
            rest = rest.get(1..).unwrap_or_default();
        }
    }

    /// The content is whole: a CR that is its last octet stays bare.
    pub fn end(&mut self) {
        self.bare |= self.after_cr;
    }

    /// Whether a bare CR or LF has been seen.
    pub fn has_bare_cr_or_lf(&self) -> bool {
        self.bare
    }

    /// Whether the last line has no end yet.
    pub fn is_within_line(&self) -> bool {
        self.within_line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_digits_and_perhaps_last() {
        let size = |octets, is_last| Some(ChunkSize { octets, is_last });
        let rows: &[(&[u8], Option<ChunkSize>)] = &[
            (b"0", size(0, false)),
            (b"5 LAST", size(5, true)),
            (b"5\t last", size(5, true)),
            (b"0005", size(5, false)),
            (b"18446744073709551615", size(u64::MAX, false)),
            (b"18446744073709551616", None),
            (b"18446744073709551999", None),
            (b"000000000000000000000000000005", size(5, false)),
            (b"000018446744073709551616", None),
            (b"", None),
            (b"LAST", None),
            (b"-1", None),
            (b"+1", None),
            (b"1.0", None),
            (b"0x10", None),
            (b"5LAST", None),
            (b"5 LASTS", None),
            (b"5 LAST LAST", None),
            (b"5 5", None),
            (b"\xff", None),
            ("٥".as_bytes(), None),
        ];
        for (arguments, want) in rows {
            let got = ChunkSize::parse(arguments);
            assert_eq!(got, *want, "{}", arguments.escape_ascii());
        }
    }

    #[test]
    fn line_ends_hold_at_every_split() {
        // Content, bare CR or LF, within a line.
        let rows: &[(&[u8], bool, bool)] = &[
            (b"", false, false),
            (b"a\r\n", false, false),
            (b"\r\n\r\n", false, false),
            (b"a\r\nb", false, true),
            (b".\r\n..\r\n", false, false),
            (b"a\r", true, true),
            (b"a\n", true, true),
            (b"\n", true, true),
            (b"\r\r\n", true, false),
            (b"a\rb\r\n", true, false),
            (b"a\n\r\n", true, false),
            (b"0123456789\r\n0123456789abcdef\r\n", false, false),
        ];
        for (content, bare, within_line) in rows {
            for split in 0..=content.len() {
                let mut ends = LineEnds::default();
                ends.feed(&content[..split]);
                ends.feed(&content[split..]);
                ends.end();
                let got = (ends.has_bare_cr_or_lf(), ends.is_within_line());
                let shown = content.escape_ascii();
                assert_eq!(got, (*bare, *within_line), "{shown} at {split}");
            }
        }
    }
}
