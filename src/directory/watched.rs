//! A file that is read again when it changes.
//!
//! Promises: as long as the file stays as it is, a look costs one system call and no reading; a file
//! that cannot be read is looked at anew each time, and only its first failure is new. Refuses to
//! know: what the file says. Limits: the file size is the caller's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::sys::replace;
use crate::sys::sandbox::reach;
use crate::sys::stamp::Stamp;

/// One file and the last look at it.
#[derive(Debug)]
pub(super) struct Watched {
    path: PathBuf,
    max_octets: u64,
    /// The file as it was at the last look; none where it could not be read.
    stamp: Option<Stamp>,
    /// Whether the last look failed.
    has_failed: bool,
}

/// What a look came to.
#[derive(Debug)]
pub(super) enum Seen {
    /// The file is as it was.
    Same,
    /// It changed, and reads so.
    Changed(Zeroizing<Vec<u8>>),
    /// It cannot be read, and that is new.
    Failed(io::Error),
    /// It still cannot be read.
    StillFailed(io::Error),
}

impl Watched {
    /// A file nobody has looked at yet.
    pub(super) fn new(path: &Path, max_octets: u64) -> Self {
        Self {
            path: path.to_owned(),
            max_octets,
            stamp: None,
            has_failed: false,
        }
    }

    /// Where the file lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at the file, and reads it where it changed.
    pub(super) fn look(&mut self) -> Seen {
        let seen = fs::metadata(&self.path).map(|metadata| Stamp::read(&metadata));
        if matches!((&seen, self.stamp), (Ok(now), Some(then)) if *now == then) {
            return Seen::Same;
        }
        match seen.and_then(|_| self.read()) {
            Ok((stamp, content)) => {
                self.stamp = Some(stamp);
                self.has_failed = false;
                Seen::Changed(content)
            }
            Err(error) => {
                self.stamp = None;
                match std::mem::replace(&mut self.has_failed, true) {
                    true => Seen::StillFailed(error),
                    false => Seen::Failed(error),
                }
            }
        }
    }

    fn read(&self) -> io::Result<(Stamp, Zeroizing<Vec<u8>>)> {
        let file = reach::open(&self.path)?;
        let stamp = Stamp::read(&file.metadata()?);
        let content = replace::read_open(&file, self.max_octets)?;
        Ok((stamp, Zeroizing::new(content)))
    }
}
