//! Content as it is delivered in the end: without Return-Path fields that came with it.
//!
//! Final delivery says in a field of that name who sent the message (RFC 5321 section 4.4), so one that a sender
//! wrote would be taken for ours. A server or webhook that is passed the message gets it as it came. Content ends
//! with CRLF, as all that is accepted does. Promises: any split of the octets gives the same; memory is bounded
//! by the octets that are handed in.

use super::maildir::unix_lines;

const NAME: &[u8] = b"return-path";
/// Where a name with so many blanks behind it has no colon yet, it is taken for no field.
const NAME_MAX_OCTETS: usize = 64;

/// Leaves Return-Path fields out of content as it comes by.
#[derive(Debug, Default)]
struct WithoutReturnPath {
    part: Part,
    /// The beginning of the line, while it may be that of the field.
    line: Vec<u8>,
    /// Whether the last field was left out, so that its folds are too.
    is_leaving_out: bool,
}

/// Where in the content the next octet is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Part {
    /// At the beginning of a line of the header section.
    #[default]
    LineStart,
    /// Within such a line.
    Line,
    /// Behind the header section.
    Body,
}

/// What a line is, by its beginning.
enum Begun {
    Unknown,
    ReturnPath,
    Fold,
    Other,
    Empty,
}

impl WithoutReturnPath {
    /// Takes a piece: what is kept of the header section goes into `kept`, what is given follows it.
    fn feed<'a>(&mut self, piece: &'a [u8], kept: &mut Vec<u8>) -> &'a [u8] {
        let mut rest = piece;
        while !rest.is_empty() && self.part != Part::Body {
            let count = match self.part {
                Part::LineStart => self.begin_line(rest, kept),
                Part::Line | Part::Body => self.go_on(rest, kept),
            };
            rest = rest.get(count..).unwrap_or_default();
        }
        rest
    }

    fn begin_line(&mut self, rest: &[u8], kept: &mut Vec<u8>) -> usize {
        for (at, octet) in rest.iter().enumerate() {
            self.line.push(*octet);
            match begun(&self.line) {
                Begun::Unknown => continue,
                Begun::ReturnPath => self.is_leaving_out = true,
                Begun::Fold => {}
                Begun::Other | Begun::Empty => self.is_leaving_out = false,
            }
            self.part = match (begun(&self.line), octet) {
                (Begun::Empty, _) => Part::Body,
                (_, b'\n') => Part::LineStart,
                _ => Part::Line,
            };
            let line = std::mem::take(&mut self.line);
            self.pass(&line, kept);
            return at + 1;
        }
        rest.len()
    }

    /// Passes the rest of a line, as far as it is here.
    fn go_on(&mut self, rest: &[u8], kept: &mut Vec<u8>) -> usize {
        let end = rest.iter().position(|octet| *octet == b'\n');
        if end.is_some() {
            self.part = Part::LineStart;
        }
        let count = end.map_or(rest.len(), |end| end + 1);
        self.pass(rest.get(..count).unwrap_or_default(), kept);
        count
    }

    fn pass(&self, octets: &[u8], kept: &mut Vec<u8>) {
        if !self.is_leaving_out {
            kept.extend_from_slice(octets);
        }
    }
}

fn begun(line: &[u8]) -> Begun {
    match line {
        [b' ' | b'\t', ..] => return Begun::Fold,
        b"\r" => return Begun::Unknown,
        b"\r\n" => return Begun::Empty,
        _ => {}
    }
    let (name, behind) = line.split_at(line.len().min(NAME.len()));
    let wanted = NAME.get(..name.len()).unwrap_or_default();
    let behind = behind.trim_ascii_start();
    match (name.eq_ignore_ascii_case(wanted), behind) {
        (true, []) if line.len() < NAME_MAX_OCTETS && !line.ends_with(b"\n") => Begun::Unknown,
        (true, [b':', ..]) => Begun::ReturnPath,
        (true | false, _) => Begun::Other,
    }
}

/// Makes content what lies in a mailbox: no Return-Path of a sender, LF line ends.
#[derive(Debug, Default)]
pub(super) struct MailboxForm {
    filter: WithoutReturnPath,
    kept: Vec<u8>,
}

impl MailboxForm {
    /// Takes a piece, and adds what it becomes.
    pub(super) fn feed(&mut self, piece: &[u8], into: &mut Vec<u8>) {
        self.kept.clear();
        let rest = self.filter.feed(piece, &mut self.kept);
        unix_lines(&self.kept, into);
        unix_lines(rest, into);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn return_path_fields_are_left_out_at_every_split() {
        let rows = [
            ("", ""),
            ("Return-Path: <x>\r\nSubject: y\r\n", "Subject: y\r\n"),
            (
                "A: b\r\nRETURN-path \t: <x>\r\n fold\r\n\tfold\r\nC: d\r\n e\r\n\r\nReturn-Path: z\r\n",
                "A: b\r\nC: d\r\n e\r\n\r\nReturn-Path: z\r\n",
            ),
            ("Return-Path: <x>\r\n\r\nx\r\n", "\r\nx\r\n"),
            ("Return-Paths: x\r\n", "Return-Paths: x\r\n"),
            ("Return-Pat: x\r\n", "Return-Pat: x\r\n"),
            ("Return-Path x\r\nA: b\r\n", "Return-Path x\r\nA: b\r\n"),
            ("Return-Path\r\nA: b\r\n", "Return-Path\r\nA: b\r\n"),
            (" x\r\nReturn-Path:\r\n", " x\r\n"),
            ("\r\nReturn-Path: x\r\n", "\r\nReturn-Path: x\r\n"),
        ];
        for (content, want) in rows {
            for split in 0..=content.len() {
                let (head, tail) = content.as_bytes().split_at(split);
                let (mut filter, mut kept) = (WithoutReturnPath::default(), Vec::new());
                for piece in [head, tail] {
                    let rest = filter.feed(piece, &mut kept);
                    kept.extend_from_slice(rest);
                }
                assert_eq!(kept, want.as_bytes(), "{content:?} at {split}");
            }
            let (mut form, mut lines) = (MailboxForm::default(), Vec::new());
            for piece in content.as_bytes().chunks(1) {
                form.feed(piece, &mut lines);
            }
            let lines = String::from_utf8(lines).unwrap();
            assert_eq!(lines, want.replace("\r\n", "\n"), "{content:?}");
        }
    }
}
