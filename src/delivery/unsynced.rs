//! What was delivered since the last checkpoint, and how it becomes durable.
//!
//! A few copies are synced one by one, with their folders; many by one sync of each file system that they went
//! to, for the folder of a user may be one of its own, or a link to one. Where the kernel hides from such a sync
//! that writes failed, all copies are synced one by one, with every folder that may be fresh.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::maildir::Copied;
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
    copies: Vec<Copied>,
    /// A folder on each file system that copies went to, where there are too many to sync them one by one.
    file_systems: BTreeMap<u64, PathBuf>,
}

impl Unsynced {
    /// A copy was written.
    pub(super) fn add(&mut self, copy: Copied, disk: &dyn Disk) {
        let is_single =
            self.file_systems.is_empty() && !copy.is_first && self.copies.len() < SINGLE_SYNCS_MAX;
        if is_single || !disk.tells_failed_writes() {
            self.copies.push(copy);
            return;
        }
        for copy in self.copies.drain(..).chain([copy]) {
            let folder = copy.path.parent().unwrap_or(&copy.path);
            let known = self.file_systems.entry(copy.device);
            known.or_insert_with(|| folder.to_owned());
        }
    }

    /// How many copies are kept to be synced one by one.
    pub(super) fn copies(&self) -> usize {
        self.copies.len()
    }

    /// Makes all of it durable, in the Maildirs below `root`.
    pub(super) fn sync(&self, disk: &dyn Disk, root: &Path) -> io::Result<()> {
        for folder in self.file_systems.values() {
            disk.sync_file_system(folder)?;
        }
        for copy in &self.copies {
            match disk.open(&copy.path, OpenMode::Existing) {
                Ok(file) => file.sync_data()?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    Self::sync_moved(copy, disk)?;
                }
                Err(error) => return Err(error),
            }
        }
        for folder in self.folders(root) {
            disk.sync_folder(folder)?;
        }
        Ok(())
    }

    /// A reader has moved a copy, most often to `cur`, or removed it.
    fn sync_moved(copy: &Copied, disk: &dyn Disk) -> io::Result<()> {
        let folder = copy.path.parent().unwrap_or(&copy.path);
        if disk.tells_failed_writes() {
            return disk.sync_file_system(folder);
        }
        let read = folder.with_file_name("cur");
        let name = copy.path.file_name().unwrap_or_default();
        let name = name.to_string_lossy();
        for moved in disk.names(&read)? {
            if moved.starts_with(&*name) {
                let file = disk.open(&read.join(moved), OpenMode::Existing)?;
                file.sync_data()?;
            }
        }
        disk.sync_folder(&read)
    }

    /// The folders of the copies that are synced one by one, and those above them that may be fresh.
    fn folders<'a>(&'a self, root: &'a Path) -> BTreeSet<&'a Path> {
        let mut folders = BTreeSet::new();
        for copy in &self.copies {
            let above = copy.path.ancestors().skip(1);
            let above = above.take_while(|folder| folder.starts_with(root));
            folders.extend(above.take(if copy.is_first { usize::MAX } else { 1 }));
        }
        folders
    }
}
