//! The id of a message on this server (the `ID` of `250 2.0.0 Queued as ID`, and of Maildir names).
//!
//! An id is a *run* (48 random bits, drawn anew at every start) and a sequence number (32 bits). It
//! needs no clock and no counter on disk, so a box without a real-time clock, or with a spool that was
//! wiped, does not give an id twice. Prints as 16 letters and digits without vowels that could be
//! misread.

use std::fmt;
use std::str::FromStr;

/// The id of a message, unique on this server over restarts and wiped spools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId {
    run: u64,
    sequence: u32,
}

const ALPHABET: &[u8; 32] = b"0123456789bcdfghjklmnpqrstvwxyzB";
const RUN_BITS: u32 = 48;
const LETTERS: usize = 16;

impl MessageId {
    /// The id of message `sequence` of the run `run` (of which 48 bits count).
    pub fn new(run: u64, sequence: u32) -> Self {
        Self {
            run: run & ((1 << RUN_BITS) - 1),
            sequence,
        }
    }

    /// The run this id belongs to.
    pub fn run(self) -> u64 {
        self.run
    }

    /// The sequence number within the run.
    pub fn sequence(self) -> u32 {
        self.sequence
    }

    fn bits(self) -> u128 {
        (u128::from(self.run) << 32) | u128::from(self.sequence)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.bits();
        for letter in (0..LETTERS).rev() {
            let five = ((bits >> (5 * letter)) & 31) as usize;
            let octet = ALPHABET.get(five).copied().unwrap_or(b'0');
            fmt::Write::write_char(f, char::from(octet))?;
        }
        Ok(())
    }
}

/// The text is not a message id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAMessageId;

impl FromStr for MessageId {
    type Err = NotAMessageId;

    fn from_str(text: &str) -> Result<Self, NotAMessageId> {
        if text.len() != LETTERS {
            return Err(NotAMessageId);
        }
        let mut bits: u128 = 0;
        for octet in text.bytes() {
            let five = ALPHABET
                .iter()
                .position(|&a| a == octet)
                .ok_or(NotAMessageId)?;
            bits = (bits << 5) | five as u128;
        }
        Ok(Self {
            run: (bits >> 32) as u64,
            sequence: bits as u32,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_print_and_parse_back() {
        for (run, sequence) in [
            (0, 0),
            (1, 2),
            ((1 << 48) - 1, u32::MAX),
            (0x1234_5678_9abc, 77),
        ] {
            let id = MessageId::new(run, sequence);
            let text = id.to_string();
            assert_eq!(text.len(), LETTERS);
            assert_eq!(text.parse(), Ok(id));
            assert_eq!((id.run(), id.sequence()), (run, sequence));
        }
        for bad in [
            "",
            "0",
            "00000000000000000",
            "000000000000000a",
            "000000000000000/",
        ] {
            assert_eq!(bad.parse::<MessageId>(), Err(NotAMessageId));
        }
    }
}
