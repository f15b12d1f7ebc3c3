//! Records and segment headers, octet by octet. Pure: octets in, values out.
//!
//! A segment is a header block of [`BLOCK`] octets and records behind it, each aligned to [`ALIGN`].
//! All numbers are little-endian. The segment header holds the generation and a salt drawn anew for each
//! use; the header checksums of its records start from the salt, which nobody outside knows, so that
//! octets inside a message never pass for a record, wherever a scan lands.
//!
//! A batch of records that is written and synced at once begins on a page of its own, so that no later write
//! touches a page that holds what was acknowledged: cards that write by pages may tear one when the power
//! goes. What is left of its last page is a done record of nothing. The segment header tells the multiple at which
//! batches begin; 0.1.0 wrote none, began them anywhere, and reads segments of today.
//!
//! | record header | octets |
//! | --- | --- |
//! | magic `GPR1` | 4 |
//! | kind | 4 |
//! | generation of the segment | 4 |
//! | length of the payload | 4 |
//! | sequence over the whole log | 8 |
//! | CRC-32 of the payload | 4 |
//! | CRC-32 of the 28 octets before, started from the salt | 4 |
//!
//! The payload of a message is the length of its meta text (4), the meta text, the content. Of a message
//! file: meta length, meta text. Of a done record: for each message 16 octets of id, the number of its
//! recipients (4), an octet for each (0 due, 1 done, 2 late, 3 ended), and for each that has ended the length
//! of a line (2) and the line that says how.

use crate::mail::{MessageId, Outcome, Progress};

/// Octets of the segment header's block.
pub const BLOCK: u64 = 4096;
/// Records begin at multiples of this.
pub const ALIGN: usize = 32;
/// Batches of records begin at multiples of this: what a disk may lose as a whole while it is written.
pub const PAGE: u64 = 4096;
/// Octets of a record header.
pub const HEADER: usize = 32;
/// No payload is longer: what says so is damage, and could not be counted with 32 bits.
const LENGTH_MAX: u32 = 1 << 30;

const RECORD_MAGIC: [u8; 4] = *b"GPR1";
const SEGMENT_MAGIC: [u8; 8] = *b"GPSEGM01";

/// What a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A message with its content.
    Message,
    /// A message whose content is in a file.
    MessageFile,
    /// What became of recipients.
    Done,
}

impl Kind {
    fn code(self) -> u32 {
        match self {
            Self::Message => 1,
            Self::MessageFile => 2,
            Self::Done => 3,
        }
    }

    fn from_code(code: u32) -> Option<Self> {
        [Self::Message, Self::MessageFile, Self::Done]
            .into_iter()
            .find(|kind| kind.code() == code)
    }
}

/// A record header that checked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the record holds.
    pub kind: Kind,
    /// The generation of its segment when it was written.
    pub generation: u32,
    /// Octets of payload.
    pub length: u32,
    /// Its place in the order of the whole log.
    pub sequence: u64,
    /// CRC-32 of the payload.
    pub crc: u32,
}

impl Header {
    /// The header as octets, for a segment with this salt.
    pub fn to_octets(self, salt: u32) -> [u8; HEADER] {
        let mut octets = [0; HEADER];
        let fields: [&[u8]; 6] = [
            &RECORD_MAGIC,
            &self.kind.code().to_le_bytes(),
            &self.generation.to_le_bytes(),
            &self.length.to_le_bytes(),
            &self.sequence.to_le_bytes(),
            &self.crc.to_le_bytes(),
        ];
        for (place, octet) in octets.iter_mut().zip(fields.concat()) {
            *place = octet;
        }
        let (fields, crc) = octets.split_at_mut(HEADER - 4);
        crc.copy_from_slice(&salted(salt, fields).to_le_bytes());
        octets
    }

    /// Reads a header at the start of `octets`; `None` where there is none that checks out.
    pub fn parse(octets: &[u8], salt: u32) -> Option<Self> {
        let octets = octets.get(..HEADER)?;
        let (fields, crc) = octets.split_at(HEADER - 4);
        if !fields.starts_with(&RECORD_MAGIC) || u32_at(crc, 0)? != salted(salt, fields) {
            return None;
        }
        // A salt that was worked out from these octets vouches for nothing in them.
        let length = u32_at(fields, 12).filter(|&length| length <= LENGTH_MAX)?;
        Some(Self {
            kind: Kind::from_code(u32_at(fields, 4)?)?,
            generation: u32_at(fields, 8)?,
            length,
            sequence: u64::from(u32_at(fields, 16)?) | (u64::from(u32_at(fields, 20)?) << 32),
            crc: u32_at(fields, 24)?,
        })
    }

    /// Octets from this record's start to the next one's.
    pub fn span(self) -> usize {
        span(self.length as usize)
    }
}

fn salted(salt: u32, fields: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(salt);
    hasher.update(fields);
    hasher.finalize()
}

/// Octets a record with this much payload takes.
pub fn span(payload: usize) -> usize {
    (HEADER + payload).next_multiple_of(ALIGN)
}

/// The length of the payload that a record header names.
pub fn payload_length(header: &[u8]) -> Option<u32> {
    u32_at(header, 12)
}

/// The checksum of the payload that a record header names.
pub fn payload_crc(header: &[u8]) -> Option<u32> {
    u32_at(header, 24)
}

/// The number at an offset.
pub fn u32_at(octets: &[u8], at: usize) -> Option<u32> {
    let four = octets.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(four.try_into().ok()?))
}

/// One use of a segment: what its records have to carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Age {
    /// Counts the uses.
    pub generation: u32,
    /// Where the header checksums of this use start.
    pub salt: u32,
}

impl Age {
    /// The use after this one, with a salt that follows from `secret`.
    pub fn next(self, secret: u64, segment: u32) -> Self {
        let generation = self.generation.wrapping_add(1);
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&secret.to_le_bytes());
        hasher.update(&segment.to_le_bytes());
        hasher.update(&generation.to_le_bytes());
        Self {
            generation,
            salt: hasher.finalize(),
        }
    }
}

/// What fills the rest of a batch's last page: the header of a done record of nothing, and how many zeros follow it.
pub fn filler(gap: usize, age: Age, sequence: u64) -> Option<([u8; HEADER], &'static [u8])> {
    let zeros = ZEROS.get(..gap.checked_sub(HEADER)?)?;
    let header = Header {
        kind: Kind::Done,
        generation: age.generation,
        length: zeros.len() as u32,
        sequence,
        crc: crc32fast::hash(zeros),
    };
    Some((header.to_octets(age.salt), zeros))
}

static ZEROS: [u8; PAGE as usize] = [0; PAGE as usize];

/// A segment's header block; batches in it begin at multiples of `batch_align`.
pub fn segment_header(age: Age, batch_align: u32) -> Vec<u8> {
    let mut block = Vec::with_capacity(BLOCK as usize);
    block.extend_from_slice(&SEGMENT_MAGIC);
    block.extend_from_slice(&age.generation.to_le_bytes());
    block.extend_from_slice(&age.salt.to_le_bytes());
    for fields in [&[][..], &batch_align.to_le_bytes()] {
        block.extend_from_slice(fields);
        block.extend_from_slice(&crc32fast::hash(&block).to_le_bytes());
    }
    block.resize(BLOCK as usize, 0);
    block
}

/// The age in a segment's header block, if it checks out.
pub fn parse_segment_header(block: &[u8]) -> Option<Age> {
    let fields = block.get(..16)?;
    if !fields.starts_with(&SEGMENT_MAGIC) || u32_at(block, 16)? != crc32fast::hash(fields) {
        return None;
    }
    Some(Age {
        generation: u32_at(block, 8)?,
        salt: u32_at(block, 12)?,
    })
}

/// At multiples of what batches begin in a segment, by its header block; none where that does not tell.
pub fn parse_batch_align(block: &[u8]) -> Option<u32> {
    let fields = block.get(..24)?;
    (u32_at(block, 24)? == crc32fast::hash(fields)).then(|| u32_at(fields, 20))?
}

/// What a scan of a segment finds, in order.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// A good record at this offset.
    Record(u64, Header),
    /// Octets that should be records of this age and are not.
    Bad {
        /// Where they begin.
        offset: u64,
        /// How many.
        octets: u64,
    },
}

/// Finds the records of one age in a whole segment. What lies between two good records, or is a good
/// header over a bad payload, is bad; what lies behind the last of them is an earlier use.
pub fn scan(segment: &[u8], age: Age) -> Vec<Found> {
    let mut found = Vec::new();
    let mut at = BLOCK as usize;
    // Where a bad stretch began, and where its last torn record would have ended.
    let mut bad: Option<(usize, usize)> = None;
    while at + HEADER <= segment.len() {
        let rest = segment.get(at..).unwrap_or_default();
        let header = Header::parse(rest, age.salt).filter(|h| h.generation == age.generation);
        let Some(header) = header else {
            bad.get_or_insert((at, at));
            at += ALIGN;
            continue;
        };
        let payload = rest.get(HEADER..HEADER + header.length as usize);
        if payload.is_some_and(|payload| crc32fast::hash(payload) == header.crc) {
            found.extend(bad.take().map(|(from, _)| stretch(from, at)));
            found.push(Found::Record(at as u64, header));
            at += header.span();
        } else {
            // A header of ours over a torn payload: bad even if nothing good follows.
            let end = (at + header.span()).min(segment.len());
            let (from, torn_end) = bad.unwrap_or((at, at));
            bad = Some((from, torn_end.max(end)));
            at += ALIGN;
        }
    }
    let torn = bad.filter(|(from, torn_end)| torn_end > from);
    found.extend(torn.map(|(from, torn_end)| stretch(from, torn_end)));
    found
}

fn stretch(from: usize, to: usize) -> Found {
    Found::Bad {
        offset: from as u64,
        octets: (to - from) as u64,
    }
}

/// The age of a segment whose own header is lost, from its first record: that one always begins right
/// behind the header's block, so no octets of a message can pass for it.
pub fn age_of_first_record(segment: &[u8]) -> Option<Age> {
    let octets = segment.get(BLOCK as usize..)?;
    let (fields, crc) = octets.get(..HEADER)?.split_at(HEADER - 4);
    let salt = salt_of(fields, u32_at(crc, 0)?);
    let header = Header::parse(octets, salt)?;
    let payload = octets.get(HEADER..HEADER + header.length as usize)?;
    (crc32fast::hash(payload) == header.crc).then_some(Age {
        generation: header.generation,
        salt,
    })
}

/// The salt from which `fields` come to `crc`: the checksum run backwards.
fn salt_of(fields: &[u8], crc: u32) -> u32 {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    let mut register = !crc;
    for octet in fields.iter().rev() {
        for _ in 0..8 {
            let top = register >> 31;
            register = ((register ^ (top * POLYNOMIAL)) << 1) | top;
        }
        register ^= u32::from(*octet);
    }
    !register
}

/// A done record's payload: ids, each with what became of its recipients. What one message takes stays
/// near `octets_max`: reasons are cut shorter where there are many of them.
pub fn done_payload(done: &[(MessageId, Vec<Progress>)], octets_max: usize) -> Vec<u8> {
    let mut payload = Vec::new();
    for (id, progress) in done {
        payload.extend_from_slice(id.to_string().as_bytes());
        payload.extend_from_slice(&(progress.len() as u32).to_le_bytes());
        payload.extend(progress.iter().map(code_of));
        let outcomes = progress.iter().filter_map(Progress::outcome);
        let words_max = octets_max / outcomes.clone().count().max(1);
        for outcome in outcomes {
            let line = outcome.to_line(words_max);
            payload.extend_from_slice(&(line.len() as u16).to_le_bytes());
            payload.extend_from_slice(line.as_bytes());
        }
    }
    payload
}

fn code_of(progress: &Progress) -> u8 {
    match progress {
        Progress::Due => 0,
        Progress::Done => 1,
        Progress::Late => 2,
        Progress::Ended(_) => 3,
    }
}

/// Reads what [`done_payload`] made; stops at what it cannot read.
pub fn parse_done(mut payload: &[u8]) -> Vec<(MessageId, Vec<Progress>)> {
    let mut done = Vec::new();
    while let Some((id, progress, rest)) = parse_one_done(payload) {
        done.push((id, progress));
        payload = rest;
    }
    done
}

fn parse_one_done(payload: &[u8]) -> Option<(MessageId, Vec<Progress>, &[u8])> {
    let id = std::str::from_utf8(payload.get(..16)?).ok()?.parse().ok()?;
    let count = u32_at(payload, 16)? as usize;
    let end = 20_usize.checked_add(count)?;
    let codes = payload.get(20..end)?;
    let mut rest = payload.get(end..)?;
    let mut progress = Vec::with_capacity(count);
    for code in codes {
        progress.push(match code {
            0 => Progress::Due,
            2 => Progress::Late,
            3 => {
                let (length, behind) = rest.split_at_checked(2)?;
                let length = u16::from_le_bytes(length.try_into().ok()?);
                let (line, behind) = behind.split_at_checked(length.into())?;
                rest = behind;
                let outcome = Outcome::parse(std::str::from_utf8(line).ok()?)?;
                Progress::Ended(Box::new(outcome))
            }
            _ => Progress::Done,
        });
    }
    Some((id, progress, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{Action, Reason};

    const SEVEN: Age = Age {
        generation: 7,
        salt: 0x1234_5678,
    };

    fn record(generation: u32, sequence: u64, payload: &[u8]) -> Vec<u8> {
        let header = Header {
            kind: Kind::Message,
            generation,
            length: payload.len() as u32,
            sequence,
            crc: crc32fast::hash(payload),
        };
        let mut record = header.to_octets(SEVEN.salt).to_vec();
        record.extend_from_slice(payload);
        record.resize(span(payload.len()), 0);
        record
    }

    fn segment(records: &[Vec<u8>]) -> Vec<u8> {
        let mut segment = segment_header(SEVEN, 4096);
        records
            .iter()
            .for_each(|record| segment.extend_from_slice(record));
        segment.resize(BLOCK as usize * 3, 0);
        segment
    }

    fn sequences(found: &[Found]) -> (Vec<u64>, usize) {
        let good = found.iter().filter_map(|found| match found {
            Found::Record(_, header) => Some(header.sequence),
            Found::Bad { .. } => None,
        });
        (
            good.collect(),
            found
                .iter()
                .filter(|f| matches!(f, Found::Bad { .. }))
                .count(),
        )
    }

    #[test]
    fn headers_round_trip_and_every_flipped_bit_is_seen() {
        let octets = record(3, 1 << 40, b"payload");
        let header = Header::parse(&octets, SEVEN.salt).unwrap();
        assert_eq!(
            (header.generation, header.sequence, header.length),
            (3, 1 << 40, 7)
        );
        for bit in 0..HEADER * 8 {
            let mut damaged = octets.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::parse(&damaged, SEVEN.salt), None, "bit {bit}");
        }
        assert_eq!(Header::parse(&octets, SEVEN.salt + 1), None);
        let length = u32::MAX;
        let long = Header { length, ..header }.to_octets(SEVEN.salt);
        assert_eq!(Header::parse(&long, SEVEN.salt), None);
        let block = segment_header(SEVEN, 4096);
        assert_eq!(parse_segment_header(&block), Some(SEVEN));
        assert_eq!(parse_batch_align(&block), Some(4096));
        // As 0.1.0 wrote it.
        let mut old = block;
        old[20..].fill(0);
        assert_eq!(parse_segment_header(&old), Some(SEVEN));
        assert_eq!(parse_batch_align(&old), None);
        assert_eq!(parse_segment_header(&[0; 4096]), None);
    }

    #[test]
    fn a_scan_tells_records_holes_and_the_end() {
        let good = segment(&[
            record(7, 1, b"a"),
            record(7, 2, b"bb"),
            record(6, 9, b"old"),
        ]);
        assert_eq!(sequences(&scan(&good, SEVEN)), (vec![1, 2], 0));

        let mut hole = segment(&[record(7, 1, b"a"), record(7, 2, b"bb"), record(7, 3, b"c")]);
        let second = BLOCK as usize + span(1);
        hole[second] ^= 1;
        assert_eq!(sequences(&scan(&hole, SEVEN)), (vec![1, 3], 1));

        let mut torn = segment(&[record(7, 1, b"a"), record(7, 2, &[b'x'; 100])]);
        torn[second + HEADER + 50] ^= 1;
        assert_eq!(sequences(&scan(&torn, SEVEN)), (vec![1], 1));

        let stale = segment(&[record(6, 1, b"a"), record(6, 2, b"b")]);
        assert_eq!(sequences(&scan(&stale, SEVEN)), (vec![], 0));
    }

    #[test]
    fn what_is_left_of_a_page_is_a_record_that_says_nothing() {
        for gap in [32, 64, 4064] {
            let (header, zeros) = filler(gap, SEVEN, 5).unwrap();
            let whole = [&header[..], zeros].concat();
            assert_eq!(whole.len(), gap);
            let found = scan(
                &segment(&[record(7, 4, b"a"), whole.clone(), record(7, 6, b"b")]),
                SEVEN,
            );
            assert_eq!(sequences(&found), (vec![4, 5, 6], 0), "{gap}");
            assert_eq!(parse_done(zeros), vec![]);
        }
        assert_eq!(filler(0, SEVEN, 5), None);
    }

    #[test]
    fn a_torn_tail_is_bad_no_further_than_it_reaches() {
        let mut torn = segment(&[record(7, 1, b"a"), record(7, 2, &[b'x'; 100])]);
        let second = BLOCK + span(1) as u64;
        torn[second as usize + HEADER] ^= 1;
        let bad = Found::Bad {
            offset: second,
            octets: span(100) as u64,
        };
        assert_eq!(scan(&torn, SEVEN).last(), Some(&bad));
    }

    #[test]
    fn octets_inside_a_message_never_pass_for_a_record() {
        let salted = |salt| {
            let header = Header {
                kind: Kind::Message,
                generation: 7,
                length: 4,
                sequence: 99,
                crc: crc32fast::hash(b"evil"),
            };
            let mut forged = header.to_octets(salt).to_vec();
            forged.extend_from_slice(b"evil");
            forged.resize(64, 0);
            forged
        };
        let mut outer = segment(&[record(7, 1, &salted(0).repeat(4))]);
        outer[BLOCK as usize + HEADER + 10] ^= 1;
        assert_eq!(sequences(&scan(&outer, SEVEN)), (vec![], 1));
        assert_eq!(age_of_first_record(&outer), None);
    }

    #[test]
    fn a_lost_segment_header_is_found_again_from_the_first_record() {
        let mut headless = segment(&[record(7, 1, b"a"), record(7, 2, b"b")]);
        headless[..BLOCK as usize].fill(0);
        assert_eq!(age_of_first_record(&headless), Some(SEVEN));
        assert_eq!(age_of_first_record(&[0; 8192]), None);
        // A length that is damage as well.
        headless[BLOCK as usize + 12..][..4].fill(0xff);
        assert_eq!(age_of_first_record(&headless), None);
        assert_ne!(SEVEN.next(1, 0).salt, SEVEN.next(1, 1).salt);
    }

    #[test]
    fn done_records_round_trip() {
        let ended = |words: &str| {
            Progress::Ended(Box::new(Outcome {
                action: Action::Failed,
                reason: Reason::reply("mx.there.example", "RCPT", 550, words),
            }))
        };
        let first = vec![
            ended("5.1.1 nobody"),
            Progress::Done,
            Progress::Due,
            ended("no"),
            Progress::Late,
        ];
        let done = vec![
            (MessageId::new(1, 2), first),
            (MessageId::new(3, 4), vec![Progress::Done; 500]),
        ];
        assert_eq!(parse_done(&done_payload(&done, 4096)), done);
        let many = vec![(MessageId::new(1, 2), vec![ended(&"x".repeat(400)); 200])];
        let payload = done_payload(&many, 4096);
        assert!(payload.len() < 4096 + 200 * 64, "{}", payload.len());
        assert_eq!(parse_done(&payload)[0].1.len(), 200);
        assert_eq!(parse_done(b"rubbish"), vec![]);
    }
}
