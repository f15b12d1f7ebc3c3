//! A lock over the change of one file, for commands that read it, change it and replace it.
//!
//! Promises: whoever holds it is alone with the file among those who ask for it, whatever names lead to
//! the file; nothing is left beside the file, but after a kill, and then the next one takes it over. Refuses to
//! know: what is changed, and editors, which do not ask. Limits: the wait, which the caller names.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::clock;
use super::stamp::Stamp;

/// The lock, held until it is dropped.
#[derive(Debug)]
pub struct ChangeLock {
    path: PathBuf,
    _file: File,
}

impl ChangeLock {
    /// Waits for the lock of the file at `path`, which need not be there.
    ///
    /// # Errors
    /// As the system says; `WouldBlock` where another one holds it for all of `patience`.
    pub fn of(path: &Path, patience: Duration) -> io::Result<Self> {
        // One file has one lock, whatever links lead to it.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let path = lock_path(&path);
        let deadline = clock::monotonic() + patience;
        loop {
            let file = open(&path)?;
            if try_to_take(&file)? && is_named(&path, &file) {
                return Ok(Self { path, _file: file });
            }
            if clock::monotonic() >= deadline {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            thread::sleep(BETWEEN);
        }
    }
}

impl Drop for ChangeLock {
    fn drop(&mut self) {
        // Before it is let go: whoever gets it then sees that it has no name any more.
        let _ = fs::remove_file(&self.path);
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
}

/// Takes the lock of an open file; false where another one has it.
fn try_to_take(file: &File) -> io::Result<bool> {
    // SAFETY: a plain system call on a descriptor we own.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(false),
        _ => Err(error),
    }
}

/// Whether the path still leads to this file: the one who had the lock before has removed it.
fn is_named(path: &Path, file: &File) -> bool {
    let own = file.metadata().map(|metadata| Stamp::read(&metadata));
    let named = Stamp::of(path);
    named.is_some_and(|named| own.is_ok_and(|own| own.is_same_file(&named)))
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".lock");
    path.with_file_name(name)
}

/// Between two tries.
const BETWEEN: Duration = Duration::from_millis(10);
