//! Messages that nobody gets any more, and whose senders are told later: their header sections are enough for that.
//!
//! Promises: no step of this can lose what is kept. A message in the log keeps its record; only what moves out of it
//! is cut. One with its content in a file has an envelope first that counts the header section alone, durably, and a
//! shorter file in its place then. A header section is how the content begins, so a file that is longer than its
//! envelope says holds what counts at its beginning:
//!
//! | power lost | then |
//! | --- | --- |
//! | before the envelope has its name, durably | the message is there as a whole |
//! | after that | the header section is there, in a file that is longer or as long |
//!
//! Limits: [`HEADER_MAX_OCTETS`] of each header section, in whole lines.

use super::format::Kind;
use super::store::Place;
use super::{Spool, SpoolError, Stored};
use crate::mail::trace::header_section;
use crate::mail::{MessageId, Progress};
use crate::sys::disk::OpenMode;

/// The most that is kept of a header section, octets.
pub const HEADER_MAX_OCTETS: usize = 8 * 1024;

impl Spool {
    /// The header section is all that is wanted of a message from now on. One that somebody may still get stays as
    /// it is, and so does one that is finished or not there.
    ///
    /// # Errors
    /// The disk's; as much as before is there then.
    pub fn keep_header(&self, id: MessageId) -> Result<(), SpoolError> {
        let _turn = self.settling();
        let place = {
            let mut state = self.lock();
            let entry = state.entries.get_mut(&id);
            let Some(entry) = entry.filter(|entry| !entry.is_finished()) else {
                return Ok(());
            };
            entry.changed.get_or_insert_default().header_only = true;
            entry.place
        };
        match place {
            Place::Log {
                kind: Kind::Message | Kind::Done,
                ..
            } => Ok(()),
            Place::Log {
                kind: Kind::MessageFile,
                ..
            } => {
                self.move_out(&[id], false)?;
                self.cut_file(id)
            }
            Place::Queue => self.cut_file(id),
        }
    }

    /// Whether nobody gets a message any more, and its header section is all that is wanted.
    pub(super) fn is_header_enough(&self, stored: &Stored) -> bool {
        let state = self.lock();
        let entry = state.entries.get(&stored.id);
        let changed = entry.and_then(|entry| entry.changed.as_ref());
        changed.is_some_and(|changed| changed.header_only) && stored.due().next().is_none()
    }

    fn cut_file(&self, id: MessageId) -> Result<(), SpoolError> {
        let mut meta = self.read_env(id)?;
        if meta.progress.iter().any(Progress::is_due) {
            return Ok(());
        }
        let path = self.options.queue_file(id, "eml");
        let mut octets = vec![0; HEADER_MAX_OCTETS];
        let length = self.disk.open(&path, OpenMode::Existing).and_then(|file| {
            let count = file.read_at(&mut octets, 0)?;
            octets.truncate(count);
            file.length()
        });
        let length = length.map_err(SpoolError::io("cannot read", &path))?;
        if let Some((wanted, _)) = meta.file {
            octets.truncate(usize::try_from(wanted).unwrap_or(usize::MAX));
        }
        let header = header_of(&octets);
        let seal = seal_of(header);
        if meta.file != Some(seal) {
            meta.file = Some(seal);
            self.write_env(&meta)?;
        }
        if length == seal.0 {
            return Ok(());
        }
        // A start removes it where this one ends before the next step.
        let shorter = self.options.queue_file(id, "header.new");
        self.write_file(&shorter, header)?;
        let renamed = self.disk.rename(&shorter, &path);
        renamed.map_err(SpoolError::io("cannot rename", &shorter))
    }
}

/// What is kept of a content.
pub(super) fn header_of(content: &[u8]) -> &[u8] {
    header_section(content.get(..HEADER_MAX_OCTETS).unwrap_or(content))
}

/// Length and CRC-32 of what is in a file.
pub(super) fn seal_of(content: &[u8]) -> (u64, u32) {
    (content.len() as u64, crc32fast::hash(content))
}
