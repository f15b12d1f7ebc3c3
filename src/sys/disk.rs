//! The door to the file system: what the spool and the Maildirs ask of a disk, and no more.
//!
//! Everything durable goes through [`Disk`], so that the same code runs on a simulated disk that loses
//! power or fails at any step. Promises of the real one: new files are for their owner alone, nothing
//! follows from a return but what the method says; only the `sync` calls make anything durable.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::OnceLock;

use super::machine;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// It has to be there.
    Existing,
    /// It must not be there yet.
    New,
    /// It is emptied if it is there.
    Replace,
}

/// An open file, read and written by offset.
pub trait DiskFile: Send + Sync {
    /// Reads until the buffer is full or the file ends; gives the octets read.
    ///
    /// # Errors
    /// As the system says.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of it.
    ///
    /// # Errors
    /// As the system says; part of it may have been written.
    fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<()>;

    /// Writes all of the slices one behind the other.
    ///
    /// # Errors
    /// As the system says; part of it may have been written.
    fn write_all_at(&self, slices: &[&[u8]], offset: u64) -> io::Result<()>;

    /// Makes content and length durable.
    ///
    /// # Errors
    /// As the system says; then nothing written since the last success may be trusted.
    fn sync_data(&self) -> io::Result<()>;

    /// The length, octets.
    ///
    /// # Errors
    /// As the system says.
    fn length(&self) -> io::Result<u64>;

    /// The number of the file system that it is on.
    ///
    /// # Errors
    /// As the system says.
    fn device(&self) -> io::Result<u64>;

    /// Locks it for as long as it is open.
    ///
    /// # Errors
    /// `WouldBlock` when somebody has it.
    fn lock(&self) -> io::Result<()>;
}

/// A file system.
pub trait Disk: Send + Sync {
    /// Makes a folder (mode 0700) and those above it; one that is there is fine. Gives whether it was
    /// made.
    ///
    /// # Errors
    /// As the system says.
    fn create_folder(&self, path: &Path) -> io::Result<bool>;

    /// Takes a lock that lasts as long as what is returned, or the process.
    ///
    /// # Errors
    /// `WouldBlock` when somebody has it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>>;

    /// Opens a file (mode 0600 if new).
    ///
    /// # Errors
    /// As the system says.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>>;

    /// The names in a folder, in no order.
    ///
    /// # Errors
    /// As the system says.
    fn names(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// Whether there is something by this name.
    fn exists(&self, path: &Path) -> bool;

    /// Renames within the file system, replacing what is there.
    ///
    /// # Errors
    /// As the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// As the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// As the system says.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes everything on the file system of this folder durable.
    ///
    /// # Errors
    /// As the system says.
    fn sync_file_system(&self, path: &Path) -> io::Result<()>;

    /// Whether [`Disk::sync_file_system`] fails where a write before it failed. Where it does not, what has to
    /// be durable is synced file by file.
    fn tells_failed_writes(&self) -> bool;

    /// Octets that may still be written in the file system of this folder.
    ///
    /// # Errors
    /// As the system says.
    fn free_octets(&self, path: &Path) -> io::Result<u64>;
}

/// The machine's own file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

struct RealFile(File);

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.0.read_at(rest, offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(octets, offset)
    }

    fn write_all_at(&self, slices: &[&[u8]], offset: u64) -> io::Result<()> {
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        let vectors: Vec<_> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
        // SAFETY: IoSlice has the layout of iovec, and the slices outlive the call.
        let written = unsafe {
            // Not pwritev: its offset has 32 bits where a long has.
            libc::pwritev64(
                self.0.as_raw_fd(),
                vectors.as_ptr().cast(),
                vectors.len() as libc::c_int,
                offset as libc::off64_t,
            )
        };
        let written = usize::try_from(written).map_err(|_| io::Error::last_os_error())?;
        if written == total {
            return Ok(());
        }
        // A short write is rare; write the rest slice by slice.
        let mut at = 0;
        for slice in slices {
            let from = written.saturating_sub(at).min(slice.len());
            let rest = slice.get(from..).unwrap_or_default();
            self.0.write_all_at(rest, offset + (at + from) as u64)?;
            at += slice.len();
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn device(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.dev())
    }

    fn lock(&self) -> io::Result<()> {
        lock(&self.0)
    }
}

impl Disk for RealDisk {
    fn create_folder(&self, path: &Path) -> io::Result<bool> {
        if path.is_dir() {
            return Ok(false);
        }
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        Ok(true)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let mut options = OpenOptions::new();
        let mut file = options
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path)?;
        lock(&file)?;
        // For the operator who wonders whose lock it is; a full disk has no room for it.
        let _ = file
            .set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Box::new(file))
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o600);
        match mode {
            OpenMode::Existing => {}
            OpenMode::New => {
                options.create_new(true);
            }
            OpenMode::Replace => {
                options.create(true).truncate(true);
            }
        }
        Ok(Box::new(RealFile(options.open(path)?)))
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let names = fs::read_dir(folder)?.map(|entry| {
            // What is no UTF-8 is none of ours.
            Ok(entry?.file_name().into_string().unwrap_or_default())
        });
        names.collect()
    }

    fn exists(&self, path: &Path) -> bool {
        path.symlink_metadata().is_ok()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn sync_file_system(&self, path: &Path) -> io::Result<()> {
        let folder = File::open(path)?;
        // SAFETY: a plain system call on a descriptor we own.
        if unsafe { libc::syncfs(folder.as_raw_fd()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    fn tells_failed_writes(&self) -> bool {
        static TELLS: OnceLock<bool> = OnceLock::new();
        *TELLS.get_or_init(|| machine::kernel() >= SYNCFS_TELLS)
    }

    fn free_octets(&self, path: &Path) -> io::Result<u64> {
        use std::os::unix::ffi::OsStrExt;
        let path = std::ffi::CString::new(path.as_os_str().as_bytes())
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut facts = std::mem::MaybeUninit::<libc::statvfs64>::uninit();
        // SAFETY: the path is a C string; `facts` is read only when the call has filled it.
        let facts = unsafe {
            // Not statvfs: with counts of 32 bits it fails on large file systems.
            if libc::statvfs64(path.as_ptr(), facts.as_mut_ptr()) != 0 {
                return Err(io::Error::last_os_error());
            }
            facts.assume_init()
        };
        #[allow(
            clippy::useless_conversion,
            reason = "the fields are 32 bits wide on some targets"
        )]
        Ok(u64::from(facts.f_bavail).saturating_mul(u64::from(facts.f_frsize)))
    }
}

fn lock(file: &File) -> io::Result<()> {
    // SAFETY: a plain system call on a descriptor we own.
    match unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The first Linux whose syncfs(2) tells that writes failed.
const SYNCFS_TELLS: (u32, u32) = (5, 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_have_64_bits_whatever_a_long_has() {
        let name = format!("gatepost-disk-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let file = RealDisk.open(&path, OpenMode::Replace).unwrap();
        // The file is nearly all hole.
        let far = (1 << 32) + 5;
        file.write_all_at(&[b"ab", b"c"], far).unwrap();
        let mut found = [0; 4];
        assert_eq!(file.read_at(&mut found, far).unwrap(), 3);
        assert_eq!(&found, b"abc\0");
        assert_eq!(file.length().unwrap(), far + 3);
        fs::remove_file(&path).unwrap();
    }
}
