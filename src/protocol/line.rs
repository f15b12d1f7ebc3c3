//! Octets to command lines (RFC 5321 sections 2.3.8 and 4.5.3.1.4).
//!
//! Promises: only CRLF ends a line. A line with a bare CR, a bare LF or a NUL, or one that is too long,
//! is reported once, as soon as it is known, and swallowed up to its CRLF: so nothing behind a bare
//! line feed is ever taken for a command of its own. A whole line in the input is not copied.
//! Limits: 2,048 octets a command with its CRLF (512 and what the extensions add), 12,288 octets an
//! AUTH command or a line of its exchange (RFC 4954 section 4).
//!
//! | state | CR | LF | NUL, or too long | else |
//! | --- | --- | --- | --- | --- |
//! | text | after CR | error, swallow | error, swallow | text |
//! | after CR | error, swallow | **line** | error, swallow | error, swallow |
//! | swallow | swallow, after CR | swallow | swallow | swallow |
//! | swallow, after CR | swallow, after CR | text | swallow | swallow |

use std::borrow::Cow;

use zeroize::Zeroize as _;

/// The longest command line, CRLF included.
pub const COMMAND_LINE_MAX_OCTETS: usize = 2_048;
/// The longest line of AUTH and its exchange, CRLF included (RFC 4954 section 4).
pub const AUTH_LINE_MAX_OCTETS: usize = 12_288;

/// Why a line is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineError {
    /// A CR without LF, or an LF without CR.
    BareCrOrLf,
    /// Longer than its kind allows.
    TooLong,
    /// Holds a NUL.
    Nul,
}

/// What is being read; it decides the length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    /// A command.
    Command,
    /// A response within an AUTH exchange.
    SaslResponse,
}

/// What the input came to.
#[derive(Debug, PartialEq, Eq)]
pub enum LineRead<'i> {
    /// All of it was taken, and more is needed.
    NeedsMore,
    /// A line, without its CRLF.
    Line(Cow<'i, [u8]>),
    /// A line that is none; the rest of it will be swallowed.
    Refused(LineError),
}

/// The incremental line splitter.
#[derive(Debug, Default)]
pub struct LineReader {
    /// What is here of the line, without its CR. Given away with the line, so an idle reader holds
    /// no memory.
    head: Vec<u8>,
    after_cr: bool,
    swallowing: bool,
}

impl LineReader {
    /// Takes input up to the end of one line, or up to where a line turns out to be none; also gives
    /// the number of octets taken.
    pub fn read<'i>(&mut self, input: &'i [u8], kind: LineKind) -> (usize, LineRead<'i>) {
        let start = if self.swallowing {
            self.swallow(input)
        } else {
            0
        };
        let rest = input.get(start..).unwrap_or_default();
        if rest.is_empty() {
            return (start, LineRead::NeedsMore);
        }
        let (taken, read) = self.read_text(rest, kind);
        (start + taken, read)
    }

    /// Takes octets of a refused line up to and with its CRLF.
    fn swallow(&mut self, input: &[u8]) -> usize {
        for (at, &octet) in input.iter().enumerate() {
            if self.after_cr && octet == b'\n' {
                self.after_cr = false;
                self.swallowing = false;
                return at + 1;
            }
            self.after_cr = octet == b'\r';
        }
        input.len()
    }

    fn read_text<'i>(&mut self, input: &'i [u8], kind: LineKind) -> (usize, LineRead<'i>) {
        for (at, &octet) in input.iter().enumerate() {
            if self.after_cr {
                if octet != b'\n' {
                    // The octet itself may be the CR of the CRLF that ends the refused line.
                    return (at, self.refuse(LineError::BareCrOrLf));
                }
                return (at + 1, LineRead::Line(self.finish(input, at)));
            }
            match octet {
                b'\r' => self.after_cr = true,
                b'\n' => return (at + 1, self.refuse(LineError::BareCrOrLf)),
                0 => return (at + 1, self.refuse(LineError::Nul)),
                _ if self.is_too_long(input, at + 1, kind) => {
                    return (at + 1, self.refuse(LineError::TooLong));
                }
                _ => {}
            }
        }
        let text = input.strip_suffix(b"\r").unwrap_or(input);
        self.keep(text);
        (input.len(), LineRead::NeedsMore)
    }

    /// Adds to the head, which may be half a password: where it has to move, nothing stays behind.
    fn keep(&mut self, text: &[u8]) {
        let octets = self.head.len() + text.len();
        if octets > self.head.capacity() {
            let mut grown = Vec::with_capacity(octets.next_power_of_two());
            grown.extend_from_slice(&self.head);
            self.head.zeroize();
            self.head = grown;
        }
        self.head.extend_from_slice(text);
    }

    fn refuse<'i>(&mut self, error: LineError) -> LineRead<'i> {
        self.head.zeroize();
        self.head = Vec::new();
        self.after_cr = false;
        self.swallowing = true;
        LineRead::Refused(error)
    }

    /// The line that ends with the LF at `line_feed`; its CR is the octet before, here or in the
    /// input before this.
    fn finish<'i>(&mut self, input: &'i [u8], line_feed: usize) -> Cow<'i, [u8]> {
        self.after_cr = false;
        let text = input.get(..line_feed.saturating_sub(1)).unwrap_or_default();
        if self.head.is_empty() {
            return Cow::Borrowed(text);
        }
        self.keep(text);
        Cow::Owned(std::mem::take(&mut self.head))
    }

    /// Whether a line of this text, `taken` octets of which are in the input, is too long.
    fn is_too_long(&self, input: &[u8], taken: usize, kind: LineKind) -> bool {
        let length = self.head.len() + taken + 2;
        if length <= COMMAND_LINE_MAX_OCTETS {
            return false;
        }
        let start = self.head.iter().chain(input).take(AUTH.len());
        let is_auth = || start.map(u8::to_ascii_uppercase).eq(AUTH.iter().copied());
        let is_long_kind = kind == LineKind::SaslResponse || is_auth();
        !is_long_kind || length > AUTH_LINE_MAX_OCTETS
    }
}

impl Drop for LineReader {
    fn drop(&mut self) {
        // It may be half a password.
        self.head.zeroize();
    }
}

const AUTH: &[u8] = b"AUTH ";

#[cfg(test)]
mod tests {
    use super::*;

    /// A line's text, or why it is none.
    type Found = Result<Vec<u8>, LineError>;

    fn read_all(pieces: &[&[u8]]) -> Vec<Found> {
        let mut reader = LineReader::default();
        let mut found = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            loop {
                let (taken, line) = reader.read(rest, LineKind::Command);
                rest = &rest[taken..];
                match line {
                    LineRead::Line(line) => found.push(Ok(line.into_owned())),
                    LineRead::Refused(error) => found.push(Err(error)),
                    LineRead::NeedsMore => break,
                }
            }
            assert!(rest.is_empty(), "input left over");
            assert!(reader.head.len() <= AUTH_LINE_MAX_OCTETS);
        }
        found
    }

    #[test]
    fn lines_end_with_crlf_only_whatever_the_split() {
        let ok = |text: &[u8]| Ok(text.to_vec());
        let bare = || Err(LineError::BareCrOrLf);
        let full = [b"x".repeat(COMMAND_LINE_MAX_OCTETS - 2), b"\r\n".to_vec()].concat();
        let over = [
            b"x".repeat(COMMAND_LINE_MAX_OCTETS - 1),
            b"\r\nB\r\n".to_vec(),
        ]
        .concat();
        let auth = [b"auTH ".to_vec(), b"x".repeat(3_000), b"\r\n".to_vec()].concat();
        let auth_over = [
            b"AUTH ".to_vec(),
            b"x".repeat(12_282),
            b"\r\nB\r\n".to_vec(),
        ]
        .concat();
        let rows: Vec<(&[u8], Vec<Found>)> = vec![
            (b"NOOP\r\nQUIT\r\n", vec![ok(b"NOOP"), ok(b"QUIT")]),
            (b"\r\n", vec![ok(b"")]),
            (b"A\nB\r\nC\r\n", vec![bare(), ok(b"C")]),
            (b"A\rB\r\nC\r\n", vec![bare(), ok(b"C")]),
            (b"A\r\r\nC\r\n", vec![bare(), ok(b"C")]),
            (b"A\n\r\nC\r\n", vec![bare(), ok(b"C")]),
            (b"\n\n\n\r\nC\r\n", vec![bare(), ok(b"C")]),
            (b"A\0B\r\nC\r\n", vec![Err(LineError::Nul), ok(b"C")]),
            (b"A\nB\nC", vec![bare()]),
            (b"A", vec![]),
            (&full, vec![ok(&full[..full.len() - 2])]),
            (&over, vec![Err(LineError::TooLong), ok(b"B")]),
            (&auth, vec![ok(&auth[..auth.len() - 2])]),
            (&auth_over, vec![Err(LineError::TooLong), ok(b"B")]),
        ];
        for (wire, want) in rows {
            let name = String::from_utf8_lossy(&wire[..wire.len().min(20)]).into_owned();
            // A long line is alike in the middle.
            let is_edge = |at: &usize| *at < 20 || *at + 20 > wire.len() || at % 97 == 0;
            for split in (0..=wire.len()).filter(is_edge) {
                let (head, tail) = wire.split_at(split);
                assert_eq!(read_all(&[head, tail]), want, "{name:?} split at {split}");
            }
            let octets: Vec<&[u8]> = wire.chunks(1).collect();
            assert_eq!(read_all(&octets), want, "{name:?} octet by octet");
        }
    }

    #[test]
    fn an_endless_line_takes_no_memory() {
        let mut reader = LineReader::default();
        let mut errors = 0;
        for _ in 0..1_000 {
            let mut rest: &[u8] = &[b'x'; 4_096];
            while !rest.is_empty() {
                let (taken, line) = reader.read(rest, LineKind::Command);
                errors += usize::from(line != LineRead::NeedsMore);
                rest = &rest[taken..];
            }
        }
        assert_eq!((errors, reader.head.capacity()), (1, 0));
    }
}
