//! The log's segments: append, rotate, release. Records are placed by the committer alone,
//! segments are released by the deliverer alone; what both look at is behind the spool's lock.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::{self, Age, BLOCK};
use super::{SpoolError, SpoolOptions};
use crate::sys::disk::{Disk, DiskFile, OpenMode};

/// One segment file.
pub(super) struct Segment {
    pub(super) number: u32,
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) age: Age,
    /// Where the next record goes.
    pub(super) end: u64,
    /// Messages in it that are not finished.
    pub(super) live: usize,
    /// The sequence of its first record: orders segments by age.
    pub(super) first_sequence: u64,
    pub(super) use_: Use,
    /// Whether it may be written to at its present age, as it was found at start.
    pub(super) fit: bool,
}

/// What a segment is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Nothing in it counts.
    Free,
    /// Records are appended.
    Active,
    /// Full, or from before this start, or its disk failed: no more records.
    Full,
}

/// All segments.
pub(super) struct Log {
    pub(super) segments: Vec<Segment>,
    pub(super) next_sequence: u64,
}

impl Log {
    /// The active segment.
    pub(super) fn active(&mut self) -> Option<&mut Segment> {
        self.segments
            .iter_mut()
            .find(|segment| segment.use_ == Use::Active)
    }

    pub(super) fn segment(&mut self, number: u32) -> Option<&mut Segment> {
        self.segments
            .iter_mut()
            .find(|segment| segment.number == number)
    }

    /// Ends the use of the active segment.
    pub(super) fn retire_active(&mut self) {
        if let Some(active) = self.active() {
            active.use_ = Use::Full;
        }
    }

    /// Makes a free segment the active one; whether there was one.
    pub(super) fn activate_free(&mut self) -> bool {
        let sequence = self.next_sequence;
        let free = self
            .segments
            .iter_mut()
            .find(|segment| segment.use_ == Use::Free);
        let Some(free) = free else { return false };
        free.use_ = Use::Active;
        free.end = BLOCK;
        free.first_sequence = sequence;
        true
    }

    /// The number of the segment that would be made next: the lowest that no file has.
    pub(super) fn next_number(&self) -> u32 {
        let is_free = |number: &u32| self.segments.iter().all(|other| other.number != *number);
        (0..u32::MAX).find(is_free).unwrap_or(u32::MAX)
    }

    /// The oldest segment that records still count in and that is not being written.
    pub(super) fn oldest_full(&mut self) -> Option<&mut Segment> {
        let oldest = self
            .segments
            .iter_mut()
            .filter(|segment| segment.use_ != Use::Free);
        let oldest = oldest.min_by_key(|segment| segment.first_sequence)?;
        (oldest.use_ == Use::Full).then_some(oldest)
    }

    /// Whether a segment is free.
    pub(super) fn has_free(&self) -> bool {
        self.segments
            .iter()
            .any(|segment| segment.use_ == Use::Free)
    }

    /// How many segments are free.
    pub(super) fn free_count(&self) -> usize {
        let free = |segment: &&Segment| segment.use_ == Use::Free;
        self.segments.iter().filter(free).count()
    }

    /// How many segments are full.
    pub(super) fn full_count(&self) -> usize {
        self.segments
            .iter()
            .filter(|segment| segment.use_ == Use::Full)
            .count()
    }
}

/// The path of a segment.
pub(super) fn segment_path(options: &SpoolOptions, number: u32) -> PathBuf {
    options.log_folder().join(segment_name(number))
}

/// The name of a segment's file.
pub(super) fn segment_name(number: u32) -> String {
    format!("{number:03}.seg")
}

/// Makes the spool's folders, those that are missing.
pub(super) fn make_folders(disk: &dyn Disk, options: &SpoolOptions) -> Result<(), SpoolError> {
    let folders = [
        options.log_folder(),
        options.queue_folder(),
        options.bad_folder(),
        options.history_folder(),
    ];
    for folder in &folders {
        let created = disk.create_folder(folder);
        created.map_err(SpoolError::io("cannot make", folder))?;
    }
    Ok(())
}

/// Keeps other servers out of a segment: the file `lock` beside it may have been removed by whoever cleans up.
pub(super) fn lock_segment(
    file: &dyn DiskFile,
    options: &SpoolOptions,
    path: &Path,
) -> Result<(), SpoolError> {
    file.lock().map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => SpoolError::InUse(options.folder.clone()),
        _ => SpoolError::io("cannot lock", path)(error),
    })
}

/// Makes a new segment: zeros written and synced once, so that every later sync finds its blocks in
/// place and is a data flush only.
pub(super) fn create_segment(
    disk: &dyn Disk,
    options: &SpoolOptions,
    number: u32,
) -> Result<Segment, SpoolError> {
    let path = segment_path(options, number);
    // A part of one would keep the last of a full disk for itself.
    let remove = |_: &SpoolError| drop(disk.remove(&path));
    fill_segment(disk, options, number).inspect_err(remove)
}

fn fill_segment(
    disk: &dyn Disk,
    options: &SpoolOptions,
    number: u32,
) -> Result<Segment, SpoolError> {
    let path = segment_path(options, number);
    make_folders(disk, options)?;
    let file = disk
        .open(&path, OpenMode::Replace)
        .map_err(SpoolError::io("cannot make", &path))?;
    lock_segment(&*file, options, &path)?;
    let zeros = vec![0; 256 * 1024];
    let mut at = BLOCK;
    while at < options.segment_octets {
        let step = (options.segment_octets - at).min(zeros.len() as u64);
        file.write_at(zeros.get(..step as usize).unwrap_or_default(), at)
            .map_err(SpoolError::io("cannot write", &path))?;
        at += step;
    }
    // Before its header: one that is shorter than it should be and has a header has lost something.
    file.sync_data()
        .map_err(SpoolError::io("cannot sync", &path))?;
    let age = Age {
        generation: 0,
        salt: 0,
    };
    let age = age.next(options.secret, number);
    write_header(&*file, age, options, &path)?;
    let folder = options.log_folder();
    disk.sync_folder(&folder)
        .map_err(SpoolError::io("cannot sync", &folder))?;
    Ok(Segment {
        number,
        path,
        file: Arc::from(file),
        age,
        end: BLOCK,
        live: 0,
        first_sequence: 0,
        use_: Use::Free,
        fit: true,
    })
}

/// Writes and syncs a segment's header: from here on only records of this age count in it.
pub(super) fn write_header(
    file: &dyn DiskFile,
    age: Age,
    options: &SpoolOptions,
    path: &Path,
) -> Result<(), SpoolError> {
    file.write_at(&format::segment_header(age, options.batch_align), 0)
        .map_err(SpoolError::io("cannot write", path))?;
    file.sync_data()
        .map_err(SpoolError::io("cannot sync", path))
}
