//! A message coming in: in memory within the budget, else in a file of its own.
//!
//! Promises: a draft that is dropped leaves nothing behind. Content is copied once, behind the room
//! for the record's header, so that the buffer is the record.

use std::path::PathBuf;
use std::sync::Arc;

use super::format::{Age, HEADER, Header, Kind};
use super::meta::Meta;
use super::{Refusal, SpoolError};
use crate::events;
use crate::mail::memory::{Budget, Share};
use crate::mail::{Accepted, MessageId, Progress};
use crate::sys::disk::{Disk, DiskFile, OpenMode};

/// The memory there is for messages.
pub(super) struct Budgets {
    /// For what comes in.
    pub(super) incoming: Arc<Budget>,
    /// For long envelopes of messages that wait for the committer. It is soon free again, so slow clients
    /// cannot keep it from others.
    pub(super) committing: Arc<Budget>,
}

/// A record's octets, counted in the budget as long as they live.
pub(super) struct Record {
    pub(super) octets: Vec<u8>,
    share: Share,
}

impl Record {
    fn new(budget: &Arc<Budget>) -> Self {
        Self {
            octets: Vec::new(),
            share: Share::new(budget),
        }
    }

    /// Makes room for `more` octets; whether the budget has it.
    fn grow(&mut self, more: usize) -> bool {
        let needed = self.octets.len() + more;
        if needed <= self.octets.capacity() {
            return true;
        }
        let capacity = needed.next_power_of_two().max(FIRST_CAPACITY);
        if !self.share.grow_to(capacity as u64) {
            return false;
        }
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

/// A message coming in.
pub struct Draft {
    /// Without the recipients that `accepted` leads to.
    pub(super) meta: Meta,
    /// Written out for the record alone, so that memory depends on what the client said.
    accepted: Vec<Arc<Accepted>>,
    recipients: usize,
    disk: Arc<dyn Disk>,
    path: PathBuf,
    committing: Arc<Budget>,
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
        accepted: Vec<Arc<Accepted>>,
        disk: Arc<dyn Disk>,
        path: PathBuf,
        inline_max: usize,
        budgets: &Budgets,
    ) -> Self {
        let mut draft = Self {
            committing: Arc::clone(&budgets.committing),
            record: Record::new(&budgets.incoming),
            content_at: 0,
            inline_max,
            file: None,
            owns_file: false,
            meta,
            accepted,
            recipients: 0,
            disk,
            path,
        };
        let text = draft.text();
        draft.begin_record(&text);
        draft
    }

    /// How many recipients it has, the members of groups each by itself.
    pub fn recipients(&self) -> usize {
        self.recipients
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
            self.record = Record::new(&self.committing);
            let text = self.text();
            if text.len() > FIRST_CAPACITY && !self.record.grow(HEADER + 4 + text.len()) {
                return Err(Refusal::NoSpace);
            }
            self.begin_record(&text);
        }
        self.owns_file = false;
        let budget = Arc::clone(self.record.share.budget());
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

    /// The envelope as text, with everybody whom groups lead to.
    fn text(&mut self) -> String {
        if self.accepted.is_empty() {
            self.recipients = self.meta.progress.len();
            return self.meta.to_text();
        }
        let mut whole = self.meta.clone();
        let mut written = Accepted::write_out(&self.accepted);
        whole.envelope.recipients.append(&mut written);
        self.recipients = whole.envelope.recipients.len();
        whole.progress.resize(self.recipients, Progress::Due);
        whole.to_text()
    }

    /// Room for the header, then the envelope's text. The budget is asked with the first content, which
    /// is the trace field.
    fn begin_record(&mut self, text: &str) {
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
        let budget = Arc::clone(self.record.share.budget());
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
