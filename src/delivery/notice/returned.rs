//! What a notification brings back of the original (RFC 3461 section 6.2).
//!
//! Limits: [`RETURNED_MAX_OCTETS`].

use std::io;

use super::Item;
use crate::delivery::content::Source;
use crate::mail::notifications::ReturnContent;
use crate::mail::trace::header_section;
use crate::protocol::mime::seven_bit::quoted_printable;
use crate::spool::Stored;

/// The most that is returned of the original, octets.
pub(super) const RETURNED_MAX_OCTETS: usize = 64 * 1024;

/// The longest line of a message with its end, octets (RFC 5322 section 2.1.1).
pub(super) const LINE_MAX_OCTETS: usize = 1000;

/// What comes back of the original.
pub(in crate::delivery) struct Returned {
    pub(super) octets: Vec<u8>,
    /// All of it, not just the header section.
    is_whole: bool,
    /// ASCII in lines that are not too long.
    is_plain: bool,
}

/// How much of the original may come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::delivery) enum Way {
    /// Eight-bit content arrives as it is.
    EightBit,
    /// Perhaps it does not.
    SevenBit,
    /// The header section alone comes back.
    Header,
}

impl Returned {
    /// RET counts for failures alone (RFC 3461 section 4.3); without it, the whole message comes back
    /// where it is small, and none of its lines is too long to be sent on.
    ///
    /// # Errors
    /// The disk's.
    pub(in crate::delivery) fn of(
        stored: &Stored,
        content: Source<'_>,
        items: &[Item<'_>],
        way: Way,
    ) -> io::Result<Self> {
        let octets = content.first(RETURNED_MAX_OCTETS)?;
        let asked = stored.envelope.notifications.returns;
        let is_ascii = octets.is_ascii();
        let is_whole = items.iter().any(|item| item.outcome.action.is_failure())
            && asked != Some(ReturnContent::Headers)
            && content.octets() <= RETURNED_MAX_OCTETS as u64
            && has_short_lines(&octets)
            && match way {
                Way::EightBit => true,
                Way::SevenBit => is_ascii,
                Way::Header => false,
            }
            // The spool may have kept no more of it.
            && header_section(&octets).len() < octets.len();
        if is_whole {
            return Ok(Self {
                octets,
                is_whole,
                is_plain: is_ascii,
            });
        }
        let octets = header_section(&octets).to_vec();
        Ok(Self {
            is_plain: octets.is_ascii() && has_short_lines(&octets),
            octets,
            is_whole,
        })
    }

    /// Whether it needs 8BITMIME.
    pub(in crate::delivery) fn is_eight_bit(&self) -> bool {
        self.is_whole && !self.is_plain
    }

    /// Its fields, and what they are of.
    pub(super) fn part(&self) -> (String, Vec<u8>) {
        let head = |media: &str, encoding: &str| {
            format!("Content-Type: {media}\r\nContent-Transfer-Encoding: {encoding}\r\n")
        };
        let octets = || self.octets.clone();
        match (self.is_whole, self.is_plain) {
            (true, true) => (head("message/rfc822", "7bit"), octets()),
            (true, false) => (head("message/rfc822", "8bit"), octets()),
            (false, true) => (head("text/rfc822-headers", "7bit"), octets()),
            (false, false) => (
                head("text/rfc822-headers; charset=utf-8", "quoted-printable"),
                quoted_printable(&self.octets),
            ),
        }
    }
}

/// Whether no line is longer than a message may have (RFC 5322 section 2.1.1).
fn has_short_lines(octets: &[u8]) -> bool {
    let mut lines = octets.split_inclusive(|octet| *octet == b'\n');
    lines.all(|line| line.len() <= LINE_MAX_OCTETS)
}
