//! What was delivered since the last checkpoint, and how it becomes durable.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::notice_queue::Late;
use crate::mail::{MessageId, Progress};
use crate::spool::Settled;
use crate::sys::disk::{Disk, OpenMode};

/// Up to this many files are synced one by one.
const SINGLE_SYNCS_MAX: usize = 8;

/// Deliveries since the last checkpoint.
#[derive(Default)]
pub(super) struct Unsynced {
    /// When the oldest of them was made.
    pub(super) since: Option<Instant>,
    /// What becomes true once they are durable.
    pub(super) settled: Vec<Settled>,
    /// Where recipients were before, of the messages in `settled`.
    pub(super) before: Vec<Vec<Progress>>,
    /// Recipients of them that are late, whose senders do not know it.
    pub(super) late: BTreeMap<MessageId, Late>,
    files: Vec<PathBuf>,
    everything: bool,
}

impl Unsynced {
    /// A copy was written.
    pub(super) fn add_file(&mut self, path: PathBuf) {
        if self.files.len() < SINGLE_SYNCS_MAX {
            self.files.push(path);
        } else {
            self.everything = true;
        }
    }

    /// Something changed that only a sync of the whole file system covers.
    pub(super) fn need_everything(&mut self) {
        self.everything = true;
    }

    /// Makes all of it durable: a few files and their folders one by one, many by one sync of the
    /// file system below `root`.
    pub(super) fn sync(&self, disk: &dyn Disk, root: &Path) -> io::Result<()> {
        if self.files.is_empty() && !self.everything {
            return Ok(());
        }
        if self.everything || !self.sync_singly(disk)? {
            disk.sync_file_system(root)?;
        }
        Ok(())
    }

    /// Syncs each file and its folder; false when a reader has moved one meanwhile.
    fn sync_singly(&self, disk: &dyn Disk) -> io::Result<bool> {
        for path in &self.files {
            match disk.open(path, OpenMode::Existing) {
                Ok(file) => file.sync_data()?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        let folders: BTreeSet<_> = self.files.iter().filter_map(|path| path.parent()).collect();
        for folder in folders {
            disk.sync_folder(folder)?;
        }
        Ok(true)
    }
}
