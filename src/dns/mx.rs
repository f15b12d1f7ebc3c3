//! Reads the answer to a question for mail exchangers (RFC 1035 section 4.1, RFC 7505).
//!
//! Promises: it never panics and never runs long, whatever the octets say: a pointer has to lead back, a
//! name follows at most [`POINTERS_MAX`] of them, and each record takes octets off the message. Refuses
//! to know: names of exchangers, preferences, TTLs; whether there is an exchanger is all that is asked.

use std::fmt;

/// Compression pointers that one name may follow.
const POINTERS_MAX: usize = 32;
/// The longest name, in octets (RFC 1035 section 2.3.4).
const NAME_MAX_OCTETS: usize = 255;
/// DNS type MX and class IN (RFC 1035 section 3.2).
const MX_IN: (u16, u16) = (15, 1);
/// Response codes (RFC 1035 section 4.1.1).
const NO_ERROR: u16 = 0;
const NAME_ERROR: u16 = 3;

/// What an answer says of a domain's mail exchangers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exchangers {
    /// There is one at least.
    Present,
    /// The domain says that it takes no mail (RFC 7505).
    Null,
    /// There is none.
    Absent,
}

/// Why an answer says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// It breaks the rules of RFC 1035, or is cut off.
    Malformed,
    /// The name server failed; its response code.
    Refused(u16),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the answer is malformed"),
            Self::Refused(code) => write!(f, "the name server answers with code {code}"),
        }
    }
}

impl std::error::Error for Unreadable {}

/// Reads a whole answer. The first exchanger settles it; what follows it is not looked at.
///
/// # Errors
/// It breaks the rules of RFC 1035, is cut off before an exchanger, or says that the server failed.
pub fn read(message: &[u8]) -> Result<Exchangers, Unreadable> {
    let mut reader = Reader { message, at: 0 };
    reader.skip(2)?;
    let flags = reader.number()?;
    match flags & 0x000f {
        NO_ERROR => {}
        NAME_ERROR => return Ok(Exchangers::Absent),
        code => return Err(Unreadable::Refused(code)),
    }
    if flags & 0x8000 == 0 {
        // A question is not an answer.
        return Err(Unreadable::Malformed);
    }
    let (questions, answers) = (reader.number()?, reader.number()?);
    reader.skip(4)?;
    for _ in 0..questions {
        reader.name()?;
        reader.skip(4)?;
    }
    let mut found = Exchangers::Absent;
    for _ in 0..answers {
        match record(&mut reader)? {
            Exchangers::Present => return Ok(Exchangers::Present),
            Exchangers::Null => found = Exchangers::Null,
            Exchangers::Absent => {}
        }
    }
    let cut_off = flags & 0x0200 != 0;
    if cut_off {
        return Err(Unreadable::Malformed);
    }
    Ok(found)
}

/// Reads one record; one that is no MX says nothing.
fn record(reader: &mut Reader<'_>) -> Result<Exchangers, Unreadable> {
    reader.name()?;
    let kind = (reader.number()?, reader.number()?);
    reader.skip(4)?;
    let length = usize::from(reader.number()?);
    let end = reader.at + length;
    if end > reader.message.len() {
        return Err(Unreadable::Malformed);
    }
    let mut found = Exchangers::Absent;
    if kind == MX_IN {
        reader.skip(2)?;
        found = match reader.name()? {
            Name::Root => Exchangers::Null,
            Name::Labels => Exchangers::Present,
        };
        if reader.at != end {
            return Err(Unreadable::Malformed);
        }
    }
    reader.at = end;
    Ok(found)
}

/// What a name is.
enum Name {
    /// The empty name `.`.
    Root,
    /// Any other.
    Labels,
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn octet(&self, at: usize) -> Result<u8, Unreadable> {
        self.message.get(at).copied().ok_or(Unreadable::Malformed)
    }

    fn skip(&mut self, octets: usize) -> Result<(), Unreadable> {
        if self.message.len() - self.at < octets {
            return Err(Unreadable::Malformed);
        }
        self.at += octets;
        Ok(())
    }

    fn number(&mut self) -> Result<u16, Unreadable> {
        let number = u16::from_be_bytes([self.octet(self.at)?, self.octet(self.at + 1)?]);
        self.at += 2;
        Ok(number)
    }

    /// Passes over a name (RFC 1035 sections 3.1 and 4.1.4); its end is behind its first pointer.
    fn name(&mut self) -> Result<Name, Unreadable> {
        let (mut at, mut behind) = (self.at, None);
        let (mut octets, mut pointers) = (0, 0);
        loop {
            let length = self.octet(at)?;
            match length >> 6 {
                0 if length == 0 => break,
                0 => {
                    octets += usize::from(length) + 1;
                    at += usize::from(length) + 1;
                }
                3 => {
                    let high = usize::from(length & 0x3f) << 8;
                    let target = high | usize::from(self.octet(at + 1)?);
                    pointers += 1;
                    if target >= at || pointers > POINTERS_MAX {
                        return Err(Unreadable::Malformed);
                    }
                    behind = behind.or(Some(at + 2));
                    at = target;
                }
                _ => return Err(Unreadable::Malformed),
            }
            if octets >= NAME_MAX_OCTETS {
                return Err(Unreadable::Malformed);
            }
        }
        self.at = behind.unwrap_or(at + 1);
        Ok(if octets == 0 {
            Name::Root
        } else {
            Name::Labels
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with these flags and counts, then one question for `a.example`.
    fn head(flags: u16, answers: u16) -> Vec<u8> {
        let mut message = vec![0x12, 0x34];
        for number in [flags, 1, answers, 0, 0] {
            message.extend(number.to_be_bytes());
        }
        message.extend(b"\x01a\x07example\x00\x00\x0f\x00\x01");
        message
    }

    /// A record of the question's name.
    fn record(kind: u16, class: u16, data: &[u8]) -> Vec<u8> {
        let mut record = vec![0xc0, 12];
        record.extend(kind.to_be_bytes());
        record.extend(class.to_be_bytes());
        record.extend([0, 0, 0, 60]);
        record.extend((data.len() as u16).to_be_bytes());
        record.extend(data);
        record
    }

    fn answer(flags: u16, records: &[Vec<u8>]) -> Vec<u8> {
        let mut message = head(flags, records.len() as u16);
        message.extend(records.concat());
        message
    }

    const OK: u16 = 0x8180;

    #[test]
    fn an_answer_says_whether_there_is_an_exchanger() {
        let mx = |data: &[u8]| record(15, 1, data);
        let alias = record(5, 1, b"\x01b\xc0\x0e");
        let null = mx(b"\0\0\0");
        let rows: &[(&str, Vec<u8>, Result<Exchangers, Unreadable>)] = &[
            ("nothing", answer(OK, &[]), Ok(Exchangers::Absent)),
            (
                "one in full",
                answer(OK, &[mx(b"\0\x0a\x02mx\x04test\0")]),
                Ok(Exchangers::Present),
            ),
            (
                "one with a pointer",
                answer(OK, &[mx(b"\0\x0a\x02mx\xc0\x0c")]),
                Ok(Exchangers::Present),
            ),
            (
                "one that is all pointer",
                answer(OK, &[mx(b"\0\x0a\xc0\x0c")]),
                Ok(Exchangers::Present),
            ),
            (
                "behind an alias",
                answer(OK, &[alias.clone(), mx(b"\0\x0a\xc0\x0c")]),
                Ok(Exchangers::Present),
            ),
            (
                "an alias alone",
                answer(OK, &[alias]),
                Ok(Exchangers::Absent),
            ),
            (
                "null",
                answer(OK, std::slice::from_ref(&null)),
                Ok(Exchangers::Null),
            ),
            (
                "null by a pointer to the root",
                answer(OK, &[mx(b"\0\0\xc0\x16")]),
                Ok(Exchangers::Null),
            ),
            (
                "null and another",
                answer(OK, &[null.clone(), mx(b"\0\x0a\xc0\x0c")]),
                Ok(Exchangers::Present),
            ),
            (
                "another class",
                answer(OK, &[record(15, 3, b"\0\x0a\xc0\x0c")]),
                Ok(Exchangers::Absent),
            ),
        ];
        for (label, message, want) in rows {
            assert_eq!(read(message), *want, "{label}");
        }
    }

    #[test]
    fn the_header_says_what_an_answer_is_worth() {
        let mx = |data: &[u8]| record(15, 1, data);
        let null = mx(b"\0\0\0");
        let rows: &[(&str, Vec<u8>, Result<Exchangers, Unreadable>)] = &[
            ("no such name", answer(0x8183, &[]), Ok(Exchangers::Absent)),
            (
                "server failure",
                answer(0x8182, &[]),
                Err(Unreadable::Refused(2)),
            ),
            ("refused", answer(0x8185, &[]), Err(Unreadable::Refused(5))),
            (
                "a question",
                answer(0x0100, &[]),
                Err(Unreadable::Malformed),
            ),
            (
                "cut off with nothing",
                answer(OK | 0x0200, &[null]),
                Err(Unreadable::Malformed),
            ),
            (
                "cut off with one",
                answer(OK | 0x0200, &[mx(b"\0\x0a\xc0\x0c")]),
                Ok(Exchangers::Present),
            ),
        ];
        for (label, message, want) in rows {
            assert_eq!(read(message), *want, "{label}");
        }
    }

    #[test]
    fn names_that_break_the_rules_are_malformed() {
        let long = [b"\x3f".as_slice(), &[b'x'; 63]].concat().repeat(4);
        // The MX record begins at octet 27, its name at 41.
        let rows: &[(&str, Vec<u8>)] = &[
            ("a pointer to itself", b"\0\x0a\xc0\x29".to_vec()),
            ("a pointer forward", b"\0\x0a\xc0\x2b\0".to_vec()),
            ("a pointer far out", b"\0\x0a\xff\xff".to_vec()),
            ("a loop over a label", b"\0\x0a\x01x\xc0\x29".to_vec()),
            ("half a pointer", b"\0\x0a\xc0".to_vec()),
            ("label type 01", b"\0\x0a\x41x\0".to_vec()),
            ("label type 10", b"\0\x0a\x81x\0".to_vec()),
            ("no end", b"\0\x0a\x02mx".to_vec()),
            ("no name", b"\0\x0a".to_vec()),
            ("half a preference", b"\0".to_vec()),
            ("more than a name", b"\0\x0a\xc0\x0cxx".to_vec()),
            (
                "a name of 256",
                [b"\0\x0a".as_slice(), &long, b"\0"].concat(),
            ),
        ];
        for (label, data) in rows {
            let message = answer(OK, &[record(15, 1, data)]);
            assert_eq!(read(&message), Err(Unreadable::Malformed), "{label}");
        }
        let mut lies = answer(OK, &[]);
        lies[7] = 200;
        assert_eq!(read(&lies), Err(Unreadable::Malformed));
    }

    #[test]
    fn a_chain_of_pointers_is_not_followed_for_long() {
        let mut message = head(OK, 1);
        let chain = message.len() + 11;
        let mut pointers = vec![0_u8];
        let mut last = chain;
        for hop in 0..200 {
            let here = chain + 1 + 2 * hop;
            pointers.extend((0xc000 | last as u16).to_be_bytes());
            last = here;
        }
        // A record of another type carries the chain; an MX of its own points at its end.
        message.extend([0]);
        message.extend(b"\0\x10\0\x01\0\0\0\0");
        message.extend((pointers.len() as u16).to_be_bytes());
        message.extend(&pointers);
        message.extend(b"\0\0\x0f\0\x01\0\0\0\0\0\x04\0\x0a");
        message.extend((0xc000 | last as u16).to_be_bytes());
        message[7] = 2;
        assert_eq!(read(&message), Err(Unreadable::Malformed));
        // A short chain of the same shape is fine: it ends at the root.
        let near = chain + 1 + 2 * 10;
        let end = message.len() - 2;
        message.truncate(end);
        message.extend((0xc000 | near as u16).to_be_bytes());
        assert_eq!(read(&message), Ok(Exchangers::Null));
    }

    #[test]
    fn every_cut_and_every_changed_octet_is_survived() {
        let alias = record(5, 1, b"\x01b\xc0\x0e");
        let sound = answer(OK, &[alias, record(15, 1, b"\0\x0a\x02mx\xc0\x0c")]);
        for end in 0..sound.len() {
            let cut = read(&sound[..end]);
            assert_eq!(cut, Err(Unreadable::Malformed), "cut at {end}");
        }
        for at in 0..sound.len() {
            for octet in 0..=u8::MAX {
                let mut changed = sound.clone();
                changed[at] = octet;
                let _ = read(&changed);
            }
        }
        // And two at a time, by a small generator with a fixed seed.
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed % below as u64) as usize
        };
        for _ in 0..200_000 {
            let mut changed = sound.clone();
            for _ in 0..2 {
                let at = random(changed.len());
                changed[at] = random(256) as u8;
            }
            let _ = read(&changed);
        }
    }
}
