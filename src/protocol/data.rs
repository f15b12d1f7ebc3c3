//! Mail data: transparency undone, and its end found (RFC 5321 sections 4.1.1.4 and 4.5.2).
//!
//! Promises: only CRLF "." CRLF ends mail data; whatever else looks like an end to somebody (a bare LF
//! or a bare CR around the dot) is content, and makes the content one that must be refused, since
//! the next server could see two messages in it. Any split of the octets gives the same. Holds no
//! content: every run of octets that needs no care is found eight octets at a time and copied whole.
//!
//! | state | CR | LF | "." | else |
//! | --- | --- | --- | --- | --- |
//! | line start | after CR | bare, text | after dot | text |
//! | text | after CR | bare, text | text | text |
//! | after CR | bare, after CR | line start | bare, text | bare, text |
//! | after dot (dropped) | dot, CR | bare, text | text | text |
//! | dot, CR | bare, after CR | **end** | bare, text | bare, text |

/// The incremental decoder of mail data.
#[derive(Debug, Clone, Copy, Default)]
pub struct DataDecoder {
    state: State,
    bare: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    LineStart,
    Text,
    AfterCr,
    AfterDot,
    DotCr,
    End,
}

impl DataDecoder {
    /// Decodes input up to the end of mail data and adds the content to `output`; gives the number
    /// of octets taken.
    pub fn decode(&mut self, input: &[u8], output: &mut Vec<u8>) -> usize {
        let mut at = 0;
        while self.state != State::End {
            let rest = input.get(at..).unwrap_or_default();
            let run = match self.state {
                State::Text => plain_run(rest),
                State::LineStart | State::AfterCr | State::AfterDot | State::DotCr | State::End => {
                    0
                }
            };
            let Some((plain, rest)) = rest.split_at_checked(run) else {
                break;
            };
            output.extend_from_slice(plain);
            let Some(&octet) = rest.first() else {
                return input.len();
            };
            self.step(octet, output);
            at += run + 1;
        }
        at
    }

    /// Whether the end of mail data has been seen.
    pub fn is_ended(&self) -> bool {
        self.state == State::End
    }

    /// Whether a bare CR or LF has been seen.
    pub fn has_bare_cr_or_lf(&self) -> bool {
        self.bare
    }

    /// A CR is written once the octet behind it is known; a dot at the start of a line never is, but
    /// for the one it hides (RFC 5321 section 4.5.2).
    fn step(&mut self, octet: u8, output: &mut Vec<u8>) {
        let held_cr = matches!(self.state, State::AfterCr | State::DotCr);
        self.bare |= held_cr != (octet == b'\n');
        if held_cr && !(self.state == State::DotCr && octet == b'\n') {
            output.push(b'\r');
        }
        let (next, is_content) = match (self.state, octet) {
            (State::DotCr, b'\n') => (State::End, false),
            (State::AfterCr, b'\n') => (State::LineStart, true),
            (State::LineStart, b'.') => (State::AfterDot, false),
            (State::AfterDot, b'\r') => (State::DotCr, false),
            (_, b'\r') => (State::AfterCr, false),
            (_, _) => (State::Text, true),
        };
        if is_content {
            output.push(octet);
        }
        self.state = next;
    }
}

/// How many octets from within a line can be copied as they are. Whole lines are passed over as long
/// as what follows a CRLF is here and is no dot.
fn plain_run(input: &[u8]) -> usize {
    let mut at = 0;
    loop {
        let Some(rest) = input.get(at..) else {
            return input.len();
        };
        let found = find_cr_or_lf(rest);
        let line_end = rest.get(found..).unwrap_or_default();
        match line_end {
            [b'\r', b'\n', next, ..] if !matches!(next, b'.' | b'\r' | b'\n') => at += found + 2,
            _ => return at + found,
        }
    }
}

/// The place of the first CR or LF, or the length. Looks at eight octets at once: in `x ^ pattern` an
/// octet that matches is zero, and `(x - 1) & !x` has the high bit of the lowest zero octet set, so
/// any high bit says there is one in the eight.
pub(super) fn find_cr_or_lf(input: &[u8]) -> usize {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = LOW << 7;
    const CR: u64 = LOW * b'\r' as u64;
    const LF: u64 = LOW * b'\n' as u64;
    let has_zero = |word: u64| word.wrapping_sub(LOW) & !word & HIGH;
    let mut rest = input;
    while let Some((eight, behind)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight);
        let found = has_zero(word ^ CR) | has_zero(word ^ LF);
        if found != 0 {
            // Little-endian: the lowest bit set is the first octet in the input, and a false
            // alarm of the trick can only be above a true one.
            return input.len() - rest.len() + (found.trailing_zeros() / 8) as usize;
        }
        rest = behind;
    }
    let tail = rest
        .iter()
        .position(|octet| matches!(octet, b'\r' | b'\n'))
        .unwrap_or(rest.len());
    input.len() - rest.len() + tail
}

/// Counts `Received` fields in the header section of content as it comes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HopCounter {
    hops: u32,
    /// Octets of the current line that have matched the field's name, or `MISS`.
    matched: u8,
    /// Octets of the current line.
    line: u8,
    over: bool,
}

const FIELD: &[u8] = b"received:";
const MISS: u8 = u8::MAX;

impl HopCounter {
    /// How many `Received` fields there were.
    pub fn hops(&self) -> u32 {
        self.hops
    }

    /// Looks at more content.
    pub fn feed(&mut self, content: &[u8]) {
        let mut rest = content;
        while !self.over && !rest.is_empty() {
            if self.matched == MISS {
                // Nothing of interest before the next line.
                let Some(end) = rest.iter().position(|octet| *octet == b'\n') else {
                    return;
                };
                rest = rest.get(end + 1..).unwrap_or_default();
                (self.matched, self.line) = (0, 0);
                continue;
            }
            let Some((octet, tail)) = rest.split_first() else {
                return;
            };
            rest = tail;
            self.take(*octet);
        }
    }

    fn take(&mut self, octet: u8) {
        if octet == b'\n' {
            // An empty line ends the header section.
            self.over = self.line == 0;
            (self.matched, self.line) = (0, 0);
            return;
        }
        if octet != b'\r' {
            self.line = 1;
        }
        let wanted = FIELD.get(usize::from(self.matched));
        if wanted == Some(&b':') && matches!(octet, b' ' | b'\t') {
            // Blanks before the colon are of old (RFC 5322 section 4.5).
            return;
        }
        if wanted.is_some_and(|wanted| octet.eq_ignore_ascii_case(wanted)) {
            self.matched += 1;
            if usize::from(self.matched) == FIELD.len() {
                self.hops += 1;
                self.matched = MISS;
            }
        } else if octet != b'\r' || self.line > 0 {
            self.matched = MISS;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Content, whether it ended, whether a bare CR or LF was seen, octets left over.
    type Decoded = (Vec<u8>, bool, bool, usize);

    fn decode_all<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
        let mut decoder = DataDecoder::default();
        let mut output = Vec::new();
        let mut left = 0;
        for piece in pieces {
            left += piece.len() - decoder.decode(piece, &mut output);
        }
        (
            output,
            decoder.is_ended(),
            decoder.has_bare_cr_or_lf(),
            left,
        )
    }

    #[test]
    fn transparency_and_the_end_hold_at_every_split() {
        let rows: &[(&[u8], &[u8], bool, bool, usize)] = &[
            (b".\r\n", b"", true, false, 0),
            (b"..\r\n.\r\n", b".\r\n", true, false, 0),
            (b".a\r\n.\r\n", b"a\r\n", true, false, 0),
            (b"...\r\n.\r\n", b"..\r\n", true, false, 0),
            (
                b"a\r\n\r\nb\r\n.\r\nQUIT\r\n",
                b"a\r\n\r\nb\r\n",
                true,
                false,
                6,
            ),
            (b"a.\r\n.b\r\n.\r\n", b"a.\r\nb\r\n", true, false, 0),
            (b"a\r\n.", b"a\r\n", false, false, 0),
            (b"a\r\n.\r", b"a\r\n", false, false, 0),
            // The smuggling shapes: each is content, none is an end, all are remembered.
            (b"a\n.\n.\r\n", b"a\n.\n.\r\n", false, true, 0),
            (b"a\n.\r\nb\r\n.\r\n", b"a\n.\r\nb\r\n", true, true, 0),
            (b"a\r\n.\nb\r\n.\r\n", b"a\r\n\nb\r\n", true, true, 0),
            (b"a\r.\r\nb\r\n.\r\n", b"a\r.\r\nb\r\n", true, true, 0),
            (b"a\r\n.\rb\r\n.\r\n", b"a\r\n\rb\r\n", true, true, 0),
            (b"a\r.\rb\r\n.\r\n", b"a\r.\rb\r\n", true, true, 0),
            (
                b"a\r\n.\r\r\nb\r\n.\r\n",
                b"a\r\n\r\r\nb\r\n",
                true,
                true,
                0,
            ),
            (b"a\r\r\n.\r\n", b"a\r\r\n", true, true, 0),
            (b"\n.\r\n.\r\n", b"\n.\r\n", true, true, 0),
            (
                b"0123456789\r\n0123456789abcdef\r\n.\r\n",
                b"0123456789\r\n0123456789abcdef\r\n",
                true,
                false,
                0,
            ),
        ];
        for (wire, content, ended, bare, left) in rows {
            let want = (content.to_vec(), *ended, *bare, *left);
            for split in 0..=wire.len() {
                let (head, tail) = wire.split_at(split);
                assert_eq!(
                    decode_all([head, tail]),
                    want,
                    "{} split at {split}",
                    wire.escape_ascii()
                );
            }
            assert_eq!(
                decode_all(wire.chunks(1)),
                want,
                "{} octet by octet",
                wire.escape_ascii()
            );
        }
    }

    #[test]
    fn the_search_finds_what_a_plain_search_finds() {
        let mut seed: u64 = 0x5eed;
        for round in 0..20_000 {
            let mut octets = Vec::new();
            for _ in 0..round % 41 {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                let near = [
                    b'\r', b'\n', 0x0b, 0x0c, 0x0e, 0x8d, 0x8a, b'a', 0, 0xff, 9, b'.',
                ];
                octets.push(near[(seed % 12) as usize] ^ u8::from(seed % 1_000 < 3));
            }
            let want = octets
                .iter()
                .position(|octet| matches!(octet, b'\r' | b'\n'));
            assert_eq!(
                find_cr_or_lf(&octets),
                want.unwrap_or(octets.len()),
                "{octets:?}"
            );
        }
    }

    #[test]
    fn hops_are_counted_in_the_header_section_alone() {
        let rows: &[(&str, u32)] = &[
            (
                "Received: a\r\nRECEIVED:b\r\nSubject: Received:\r\n\r\nReceived: c\r\n",
                2,
            ),
            ("received: a\r\n\tReceived: folded\r\n received: x\r\n", 1),
            ("\r\nReceived: a\r\n", 0),
            ("Received : a\r\nreceived\t \t: b\r\nReceived x: c\r\n", 2),
            ("Re ceived: a\r\nReceived \r\n: b\r\n", 0),
            ("Receive: a\r\nReceivedd: b\r\nReceived: c", 1),
        ];
        for (content, want) in rows {
            for split in 0..=content.len() {
                let mut counter = HopCounter::default();
                counter.feed(&content.as_bytes()[..split]);
                counter.feed(&content.as_bytes()[split..]);
                assert_eq!(counter.hops(), *want, "{content:?} at {split}");
            }
        }
    }
}
