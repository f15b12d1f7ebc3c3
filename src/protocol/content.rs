//! What is done with content before it is taken, however it comes: by DATA, in chunks, or from a file.
//!
//! Trace fields are put on top of content, so its beginning must not become a part of them.
//!
//! | content begins with | then |
//! | --- | --- |
//! | a blank or a tab | an empty line goes in front: it would be a fold of our last field |
//! | a line `From ` or `>From ` (mbox) | the line goes; what is next is looked at again |
//! | an empty line, or nothing at all | it stays |
//! | anything else | it stays |
//!
//! Promises: any split of the octets gives the same; of the content nothing is held but the first letters of
//! a line that may be an mbox one. Refuses to know: what becomes of content that is not to be taken.

use super::data::HopCounter;

/// Looks at content as it comes, and mends its beginning.
#[derive(Debug, Clone, Copy, Default)]
pub struct Inspector {
    beginning: Beginning,
    hops: HopCounter,
    has_nul: bool,
    has_lost_from_line: bool,
}

/// Where the beginning of content ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Beginning {
    /// Nothing of the first line has come.
    #[default]
    Ahead,
    /// So many letters of this word have come, and are held.
    Held(&'static [u8], usize),
    /// Within an mbox line.
    FromLine,
    /// All that follows stays as it is.
    Over,
}

const FROM: &[u8] = b"From ";
const QUOTED_FROM: &[u8] = b">From ";

impl Inspector {
    /// Looks at what is new in `content`, from `at` on; leaves there what is taken of it.
    pub fn look(&mut self, content: &mut Vec<u8>, at: usize) {
        let fresh = content.get(at..).unwrap_or_default();
        self.has_nul |= fresh.contains(&0);
        if self.beginning != Beginning::Over {
            let fresh = content.split_off(at);
            self.begin(&fresh, content);
        }
        self.hops.feed(content.get(at..).unwrap_or_default());
    }

    /// The content is whole: gives what is still held.
    pub fn end(&mut self, content: &mut Vec<u8>) {
        if let Beginning::Held(word, count) = self.beginning {
            match count == word.len() {
                true => self.has_lost_from_line = true,
                false => release(word, count, content),
            }
        }
        self.beginning = Beginning::Over;
    }

    /// How many `Received` fields there were.
    pub fn hops(&self) -> u32 {
        self.hops.hops()
    }

    /// Whether a NUL has been seen.
    pub fn has_nul(&self) -> bool {
        self.has_nul
    }

    /// Whether an mbox line was removed.
    pub fn has_lost_from_line(&self) -> bool {
        self.has_lost_from_line
    }

    fn begin(&mut self, fresh: &[u8], content: &mut Vec<u8>) {
        let mut rest = fresh;
        while self.beginning != Beginning::Over {
            let Some((octet, tail)) = rest.split_first() else {
                return;
            };
            rest = tail;
            self.take(*octet, content);
        }
        content.extend_from_slice(rest);
    }

    fn take(&mut self, octet: u8, content: &mut Vec<u8>) {
        self.beginning = match (self.beginning, octet) {
            (Beginning::Ahead, b'F') => Beginning::Held(FROM, 1),
            (Beginning::Ahead, b'>') => Beginning::Held(QUOTED_FROM, 1),
            (Beginning::Ahead, b' ' | b'\t') => {
                content.extend_from_slice(&[b'\r', b'\n', octet]);
                Beginning::Over
            }
            (Beginning::Held(word, count), _) if word.get(count) == Some(&octet) => {
                Beginning::Held(word, count + 1)
            }
            // `From :` is a field as it was once written (RFC 5322 section 4.5.2).
            (Beginning::Held(word, count), _) if word.len() > count || octet == b':' => {
                release(word, count, content);
                content.push(octet);
                Beginning::Over
            }
            (Beginning::Held(..) | Beginning::FromLine, b'\n') => Beginning::Ahead,
            (Beginning::Held(..) | Beginning::FromLine, _) => Beginning::FromLine,
            (Beginning::Ahead | Beginning::Over, _) => {
                content.push(octet);
                Beginning::Over
            }
        };
        self.has_lost_from_line |= self.beginning == Beginning::FromLine;
    }
}

/// Gives the letters that were held.
fn release(word: &[u8], count: usize, content: &mut Vec<u8>) {
    content.extend_from_slice(word.get(..count).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is taken of content that comes in these pieces.
    fn taken<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, Inspector) {
        let mut inspector = Inspector::default();
        let mut content = b"Received: x\r\n".to_vec();
        let begins = content.len();
        for piece in pieces {
            let at = content.len();
            content.extend_from_slice(piece);
            inspector.look(&mut content, at);
        }
        inspector.end(&mut content);
        (content.split_off(begins), inspector)
    }

    #[test]
    fn the_beginning_of_content_is_mended_at_every_split() {
        // Content, what is taken of it, whether a line was removed.
        let rows: &[(&str, &str, bool)] = &[
            ("", "", false),
            ("\r\n", "\r\n", false),
            ("\r\n x\r\n", "\r\n x\r\n", false),
            ("Subject: x\r\n y\r\n", "Subject: x\r\n y\r\n", false),
            (" x\r\n", "\r\n x\r\n", false),
            ("\tx\r\n", "\r\n\tx\r\n", false),
            (" \r\n\r\nx\r\n", "\r\n \r\n\r\nx\r\n", false),
            ("From a b\r\nSubject: x\r\n", "Subject: x\r\n", true),
            (">From a b\r\nSubject: x\r\n", "Subject: x\r\n", true),
            ("From \r\nx\r\n", "x\r\n", true),
            ("From a\r\n>From b\r\nTo: x\r\n", "To: x\r\n", true),
            ("From a\r\n folded\r\n", "\r\n folded\r\n", true),
            ("From a\r\n\r\nx\r\n", "\r\nx\r\n", true),
            ("From a\r\n", "", true),
            ("From: a\r\n", "From: a\r\n", false),
            ("From : a\r\n", "From : a\r\n", false),
            ("FROM a\r\n", "FROM a\r\n", false),
            (">>From a\r\n", ">>From a\r\n", false),
            ("Fro", "Fro", false),
            ("From", "From", false),
            ("From ", "", true),
            (">\r\n", ">\r\n", false),
            ("To: a\r\nFrom b\r\n", "To: a\r\nFrom b\r\n", false),
        ];
        for (content, want, lost) in rows {
            for split in 0..=content.len() {
                let (head, tail) = content.as_bytes().split_at(split);
                let (got, inspector) = taken([head, tail]);
                assert_eq!(got, want.as_bytes(), "{content:?} at {split}");
                assert_eq!(inspector.has_lost_from_line(), *lost, "{content:?}");
            }
            let (got, _) = taken(content.as_bytes().chunks(1));
            assert_eq!(got, want.as_bytes(), "{content:?} octet by octet");
        }
    }

    #[test]
    fn hops_are_counted_in_what_is_taken() {
        for (content, want) in [
            ("From a\r\nReceived: x\r\n", 1),
            (" x\r\nReceived: y\r\n", 0),
            ("Received: x\r\nReceived: y\r\n", 2),
        ] {
            assert_eq!(taken([content.as_bytes()]).1.hops(), want, "{content:?}");
        }
    }

    #[test]
    fn a_nul_is_seen_wherever_it_is() {
        for (content, want) in [
            (&b"\0"[..], true),
            (b"From \0\r\nx\r\n", true),
            (b"a: b\r\n\r\nx\0", true),
            (b"a: b\r\n\r\nx0\r\n", false),
        ] {
            for split in 0..=content.len() {
                let (head, tail) = content.split_at(split);
                assert_eq!(taken([head, tail]).1.has_nul(), want);
            }
        }
    }
}
