//! Stamps of files: what tells one content of a file from another without reading it.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A file as it is at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    /// When it was made, where the file system tells: numbers of inodes are given again.
    made: Option<SystemTime>,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The stamp of a file, links followed; none where it cannot be looked at.
    pub fn of(path: &Path) -> Option<Self> {
        Self::look(path).ok()
    }

    /// The stamp of a file or folder, links followed.
    ///
    /// # Errors
    /// As the system says.
    pub fn look(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|metadata| Self::read(&metadata))
    }

    /// The stamp of a file that has been looked at.
    pub fn read(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            made: metadata.created().ok(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether both are of one file, changed in place or not.
    pub fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode, self.made) == (other.device, other.inode, other.made)
    }

    /// Whether nothing was written in between: owner and mode may have changed.
    pub fn has_same_content(&self, other: &Self) -> bool {
        self.is_same_file(other) && (self.size, self.modified) == (other.size, other.modified)
    }

    /// Whether nobody changed it in the last `length` before `now`, by the time that the system wrote down.
    pub fn is_older_than(&self, length: Duration, now: SystemTime) -> bool {
        let seconds = u64::try_from(self.changed.0).unwrap_or(0);
        let nanoseconds = u64::try_from(self.changed.1).unwrap_or(0);
        let since = Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds);
        let changed = SystemTime::UNIX_EPOCH + since;
        now.duration_since(changed).is_ok_and(|age| age >= length)
    }

    /// When it changed last, seconds since 1970.
    pub fn changed_seconds(&self) -> i64 {
        self.changed.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_replaced_has_another_stamp() {
        let path = std::env::temp_dir().join(format!("gatepost-stamp-{}", std::process::id()));
        assert_eq!(Stamp::of(&path), None);
        fs::write(&path, "one").unwrap();
        let before = Stamp::of(&path);
        assert!(before.is_some());
        assert_eq!(Stamp::of(&path), before);
        let next = path.with_extension("new");
        fs::write(&next, "two").unwrap();
        fs::rename(&next, &path).unwrap();
        assert_ne!(Stamp::of(&path), before);
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn times_after_2038_are_told_where_time_has_32_bits() {
        let path = std::env::temp_dir().join(format!("gatepost-late-{}", std::process::id()));
        let file = fs::File::create(&path).unwrap();
        let late = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 32);
        file.set_modified(late).unwrap();
        let stamp = Stamp::of(&path).unwrap();
        assert_eq!(stamp.modified, (1 << 32, 0));
        assert_eq!(file.metadata().unwrap().modified().unwrap(), late);
        fs::remove_file(&path).unwrap();
    }
}
