//! A message coming in: in memory within the budget, else in a file of its own.
//!
//! Promises: a draft that is dropped leaves nothing behind. Content is copied once, behind the room
//! for the record's header, so that the buffer is the record.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::format::{Age, HEADER, Header, Kind};
use super::meta::Meta;
use super::{Refusal, SpoolError};
use crate::events;
use crate::mail::MessageId;
use crate::sys::disk::{Disk, DiskFile, OpenMode};

/// The memory that all drafts together may use.
#[derive(Debug)]
pub(super) struct Budget {
    used: AtomicU64,
    limit: AtomicU64,
}

impl Budget {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            used: AtomicU64::new(0),
            limit: AtomicU64::new(limit),
        }
    }

    /// Sets another limit; what is over it now is given back in its own time.
    pub(super) fn set_limit(&self, octets: u64) {
        self.limit.store(octets, Ordering::Relaxed);
    }

    fn take(&self, octets: u64) -> bool {
        let used = self.used.fetch_add(octets, Ordering::Relaxed) + octets;
        if used > self.limit.load(Ordering::Relaxed) {
            self.give_back(octets);
            return false;
        }
        true
    }

    fn give_back(&self, octets: u64) {
        self.used.fetch_sub(octets, Ordering::Relaxed);
    }
}

/// A record's octets, counted in the budget as long as they live.
pub(super) struct Record {
    pub(super) octets: Vec<u8>,
    counted: u64,
    budget: Arc<Budget>,
}

impl Record {
    fn new(budget: &Arc<Budget>) -> Self {
        Self {
            octets: Vec::new(),
            counted: 0,
            budget: Arc::clone(budget),
        }
    }

    /// Makes room for `more` octets; whether the budget has it.
    fn grow(&mut self, more: usize) -> bool {
        let needed = self.octets.len() + more;
        if needed <= self.octets.capacity() {
            return true;
        }
        let capacity = needed.next_power_of_two().max(FIRST_CAPACITY);
        let extra = (capacity as u64).saturating_sub(self.counted);
        if !self.budget.take(extra) {
            return false;
        }
        self.counted += extra;
        self.octets.reserve_exact(capacity - self.octets.len());
        true
    }

    /// Fills in the header; it and the padding make a whole record of the octets.
    pub(super) fn seal(&mut self, kind: Kind, age: Age, sequence: u64, crc: u32) {
        let length = (self.octets.len() - HEADER) as u32;
        let header = Header {
            kind,
            generation: age.generation,
            length,
            sequence,
            crc,
        };
        if let Some(place) = self.octets.get_mut(..HEADER) {
            place.copy_from_slice(&header.to_octets(age.salt));
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.budget.give_back(self.counted);
    }
}

/// A message coming in.
pub struct Draft {
    pub(super) meta: Meta,
    disk: Arc<dyn Disk>,
    path: PathBuf,
    record: Record,
    content_at: usize,
    /// Content past this goes to the file.
    inline_max: usize,
    file: Option<Spilled>,
    /// Whether there is a file that goes with the draft.
    owns_file: bool,
}

struct Spilled {
    file: Box<dyn DiskFile>,
    length: u64,
    crc: crc32fast::Hasher,
}

/// Octets a draft begins with, so that the usual message needs no second buffer.
const FIRST_CAPACITY: usize = 4096;

impl Draft {
    pub(super) fn new(
        meta: Meta,
        disk: Arc<dyn Disk>,
        path: PathBuf,
        inline_max: usize,
        budget: &Arc<Budget>,
    ) -> Self {
        let mut draft = Self {
            record: Record::new(budget),
            content_at: 0,
            inline_max,
            file: None,
            owns_file: false,
            meta,
            disk,
            path,
        };
        draft.begin_record();
        draft
    }

    /// The id the message will have.
    pub fn id(&self) -> MessageId {
        self.meta.id
    }

    /// When it was accepted, seconds since 1970.
    pub(super) fn received(&self) -> u64 {
        self.meta.received
    }

    /// Adds content.
    ///
    /// # Errors
    /// The disk is full or broken; the draft is of no use then.
    pub fn write(&mut self, content: &[u8]) -> Result<(), Refusal> {
        if self.file.is_none() {
            let held = self.record.octets.len() - self.content_at;
            if held + content.len() <= self.inline_max && self.record.grow(content.len()) {
                self.record.octets.extend_from_slice(content);
                return Ok(());
            }
            self.spill()?;
        }
        self.append(content)
    }

    /// Everything that can be done before the committer's turn: a large content is made durable, the
    /// record is made whole but for generation and sequence. Gives record, kind and CRC of the payload.
    pub(super) fn finish(&mut self) -> Result<(Record, Kind, u32), Refusal> {
        let mut kind = Kind::Message;
        if let Some(spilled) = self.file.take() {
            kind = Kind::MessageFile;
            self.meta.file = Some((spilled.length, spilled.crc.finalize()));
            self.sync_file(&*spilled.file)
                .map_err(|error| refuse(&error))?;
            self.record.octets.clear();
            self.begin_record();
        }
        self.owns_file = false;
        let budget = Arc::clone(&self.record.budget);
        let record = std::mem::replace(&mut self.record, Record::new(&budget));
        let crc = crc32fast::hash(record.octets.get(HEADER..).unwrap_or_default());
        Ok((record, kind, crc))
    }

    fn sync_file(&self, file: &dyn DiskFile) -> Result<(), SpoolError> {
        file.sync_data()
            .map_err(SpoolError::io("cannot sync", &self.path))?;
        let folder = self.path.parent().unwrap_or(&self.path);
        self.disk
            .sync_folder(folder)
            .map_err(SpoolError::io("cannot sync", folder))
    }

    /// Room for the header, then the meta text. The budget is not asked: an envelope is bounded by
    /// the limit of recipients.
    fn begin_record(&mut self) {
        let text = self.meta.to_text();
        let octets = &mut self.record.octets;
        octets.resize(HEADER, 0);
        octets.extend_from_slice(&(text.len() as u32).to_le_bytes());
        octets.extend_from_slice(text.as_bytes());
        self.content_at = octets.len();
    }

    /// Moves what is in memory into a file.
    fn spill(&mut self) -> Result<(), Refusal> {
        let opened = self.disk.open(&self.path, OpenMode::New);
        let file = opened.map_err(SpoolError::io("cannot make", &self.path));
        let file = file.map_err(|error| refuse(&error))?;
        self.owns_file = true;
        self.file = Some(Spilled {
            file,
            length: 0,
            crc: crc32fast::Hasher::new(),
        });
        let held = std::mem::take(&mut self.record.octets);
        let budget = Arc::clone(&self.record.budget);
        self.record = Record::new(&budget);
        self.append(held.get(self.content_at..).unwrap_or_default())
    }

    fn append(&mut self, content: &[u8]) -> Result<(), Refusal> {
        let Some(spilled) = self.file.as_mut() else {
            return Err(Refusal::Failure);
        };
        let written = spilled.file.write_at(content, spilled.length);
        let written = written.map_err(SpoolError::io("cannot write", &self.path));
        written.map_err(|error| refuse(&error))?;
        spilled.length += content.len() as u64;
        spilled.crc.update(content);
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if self.owns_file {
            // What cannot be removed now is an orphan that the next start removes.
            let _ = self.disk.remove(&self.path);
        }
    }
}

/// Logs a failure of the spool and tells what the peer may know.
pub(super) fn refuse(error: &SpoolError) -> Refusal {
    events::spool_failed(error);
    error.refusal()
}
