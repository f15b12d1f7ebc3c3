//! The door to the file system: what the spool and the Maildirs ask of a disk, and no more.
//!
//! Everything durable goes through [`Disk`], so that the same code runs on a simulated disk that loses
//! power or fails at any step. Promises of the real one: new files are for their owner alone, nothing
//! follows from a return but what the method says; only the `sync` calls make anything durable.

use std::ffi::CString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::{machine, side_by_side};

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

    /// Opens a new file (mode 0600) in a folder that others may change. Neither its name nor the folder's own
    /// leads through a link.
    ///
    /// # Errors
    /// `AlreadyExists` where anything has its name; else as the system says.
    fn open_beside_others(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.open(path, OpenMode::New)
    }

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

    /// As [`Disk::rename`], between folders that others may change: neither folder's own name leads through a link.
    ///
    /// # Errors
    /// As the system says.
    fn rename_beside_others(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.rename(from, to)
    }

    /// Removes a file.
    ///
    /// # Errors
    /// As the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// As [`Disk::rename`] for many, in no order.
    ///
    /// # Errors
    /// One of those the system tells, and of which; the others may have been renamed.
    fn rename_all(&self, pairs: &[(PathBuf, PathBuf)]) -> Result<(), (usize, io::Error)> {
        let mut pairs = pairs.iter().enumerate();
        pairs.try_for_each(|(number, (from, to))| {
            self.rename(from, to).map_err(|error| (number, error))
        })
    }

    /// As [`Disk::remove`] for many, in no order; one that is not there is fine.
    ///
    /// # Errors
    /// One of those the system tells, and of which; the others may have been removed.
    fn remove_all(&self, paths: &[PathBuf]) -> Result<(), (usize, io::Error)> {
        let mut there = paths
            .iter()
            .enumerate()
            .filter(|(_, path)| self.exists(path));
        there.try_for_each(|(number, path)| self.remove(path).map_err(|error| (number, error)))
    }

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
        options.custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC);
        match mode {
            OpenMode::Existing => return existing(&options, path),
            OpenMode::New => {
                options.create_new(true);
            }
            OpenMode::Replace => {
                options.create(true).truncate(true);
            }
        }
        Ok(Box::new(RealFile(options.open(path)?)))
    }

    fn open_beside_others(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let (folder, name) = place_of(path)?;
        let flags =
            libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        // SAFETY: the folder is open and the name a C string; what is opened is nobody else's.
        let file = unsafe {
            match libc::openat(folder.as_raw_fd(), name.as_ptr(), flags, 0o600) {
                -1 => return Err(io::Error::last_os_error()),
                made => File::from_raw_fd(made),
            }
        };
        Ok(Box::new(RealFile(file)))
    }

    fn rename_beside_others(&self, from: &Path, to: &Path) -> io::Result<()> {
        let ((from, old), (to, new)) = (place_of(from)?, place_of(to)?);
        let (from, to) = (from.as_raw_fd(), to.as_raw_fd());
        // SAFETY: both folders are open, and the names are C strings that outlive the call.
        match unsafe { libc::renameat(from, old.as_ptr(), to, new.as_ptr()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
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

    // A file system may wait each time it gives blocks back.
    fn rename_all(&self, pairs: &[(PathBuf, PathBuf)]) -> Result<(), (usize, io::Error)> {
        side_by_side::for_each(pairs.len(), &|number| match pairs.get(number) {
            Some((from, to)) => fs::rename(from, to),
            None => Ok(()),
        })
    }

    fn remove_all(&self, paths: &[PathBuf]) -> Result<(), (usize, io::Error)> {
        side_by_side::for_each(paths.len(), &|number| {
            let removed = paths.get(number).map(fs::remove_file);
            match removed.unwrap_or(Ok(())) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed,
            }
        })
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        open_folder(path, 0)?.sync_all()
    }

    fn sync_file_system(&self, path: &Path) -> io::Result<()> {
        let folder = open_folder(path, 0)?;
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
        let path = CString::new(path.as_os_str().as_bytes())
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

/// A file that is there. What is none, a link or a FIFO in its place, is not: others may have put it there.
fn existing(options: &OpenOptions, path: &Path) -> io::Result<Box<dyn DiskFile>> {
    let odd = [libc::ELOOP, libc::EISDIR, libc::ENXIO];
    match options.open(path) {
        Ok(file) if file.metadata()?.is_file() => Ok(Box::new(RealFile(file))),
        Ok(_) => Err(io::ErrorKind::NotFound.into()),
        Err(error)
            if error
                .raw_os_error()
                .is_some_and(|number| odd.contains(&number)) =>
        {
            Err(io::ErrorKind::NotFound.into())
        }
        Err(error) => Err(error),
    }
}

/// A folder, and nothing that waits for others in its place.
fn open_folder(path: &Path, flags: libc::c_int) -> io::Result<File> {
    let flags = flags | libc::O_DIRECTORY | libc::O_CLOEXEC;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// The folder of a path, which may be no link, and the name in it.
fn place_of(path: &Path) -> io::Result<(File, CString)> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let folder = open_folder(folder, libc::O_NOFOLLOW | libc::O_PATH)?;
    Ok((folder, CString::new(name.as_bytes())?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn beside_others_no_link_leads_anywhere() {
        let name = format!("gatepost-others-{}", std::process::id());
        let root = std::env::temp_dir().join(name);
        let path = |name: &str| root.join(name);
        for folder in ["tmp", "elsewhere"] {
            fs::create_dir_all(path(folder)).unwrap();
        }
        fs::write(path("precious"), "precious").unwrap();
        symlink(path("precious"), path("tmp/taken")).unwrap();
        symlink(path("nothing"), path("tmp/dangling")).unwrap();
        symlink("elsewhere", path("linked")).unwrap();
        let kind = |made: io::Result<Box<dyn DiskFile>>| made.err().unwrap().kind();
        for taken in ["tmp/taken", "tmp/dangling", "tmp"] {
            let made = RealDisk.open_beside_others(&path(taken));
            assert_eq!(kind(made), io::ErrorKind::AlreadyExists, "{taken}");
        }
        let made = RealDisk.open_beside_others(&path("linked/one"));
        assert_eq!(kind(made), io::ErrorKind::NotADirectory);
        let file = RealDisk.open_beside_others(&path("tmp/one")).unwrap();
        file.write_at(b"one", 0).unwrap();
        let rename = |from, to| RealDisk.rename_beside_others(&path(from), &path(to));
        assert!(rename("tmp/one", "linked/one").is_err() && rename("linked/x", "one").is_err());
        // A link in the way is replaced, not followed.
        rename("tmp/one", "tmp/taken").unwrap();
        assert_eq!(fs::read(path("tmp/taken")).unwrap(), b"one");
        assert_eq!(fs::read(path("precious")).unwrap(), b"precious");
        assert_eq!(fs::read_dir(path("elsewhere")).unwrap().count(), 0);
        // Nor does anything else in the place of a file of ours count as one, or hold us up.
        symlink(path("precious"), path("link")).unwrap();
        let fifo = CString::new(path("fifo").as_os_str().as_bytes()).unwrap();
        // SAFETY: the path is a C string.
        assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
        for odd in ["link", "fifo", "elsewhere", "nothing"] {
            let found = RealDisk.open(&path(odd), OpenMode::Existing);
            assert_eq!(kind(found), io::ErrorKind::NotFound, "{odd}");
        }
        assert!(RealDisk.open(&path("link"), OpenMode::Replace).is_err());
        assert!(RealDisk.sync_folder(&path("fifo")).is_err());
        fs::remove_dir_all(&root).unwrap();
    }

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
