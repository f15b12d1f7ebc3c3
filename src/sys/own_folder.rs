//! A folder in which files are made, perhaps for another account, as root does for that of the service.
//!
//! Promises: what is made is made in the folder that was opened, wherever its path leads meanwhile, under a name that
//! nothing had, and is given away by its descriptor. So whoever else can write there leads none of it to another
//! file. Refuses to know: what is made, and for whom.

use std::ffi::CString;
use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use super::process;
use super::replace::New;

/// A folder that is open.
#[derive(Debug)]
pub struct OwnFolder(File);

impl OwnFolder {
    /// Opens a folder that is root's or ours.
    ///
    /// # Errors
    /// It belongs to another account; else as the system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let folder = Self::of_anybody(path)?;
        let owner = folder.0.metadata()?.uid();
        match owner == 0 || owner == process::user_id() {
            true => Ok(folder),
            false => {
                let text = format!("the folder belongs to another account (user id {owner})");
                Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
            }
        }
    }

    /// Opens a folder, whoever owns it.
    ///
    /// # Errors
    /// As the system says.
    pub fn of_anybody(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_DIRECTORY);
        options.open(path).map(Self)
    }

    /// What has this name; none where nothing has. A link is not followed.
    pub fn look(&self, name: &str) -> Option<Metadata> {
        let found = self.open_at(name, libc::O_PATH | libc::O_NOFOLLOW, 0);
        found.and_then(|found| found.metadata()).ok()
    }

    /// Writes a new file, synced.
    ///
    /// # Errors
    /// Something has its name; else as the system says, and then nothing is left.
    pub fn create(&self, name: &str, content: &[u8], new: New) -> io::Result<()> {
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
        let mut file = self.open_at(name, flags, new.mode & 0o700)?;
        let filled = give(&file, new)
            .and_then(|()| file.write_all(content))
            .and_then(|()| file.sync_all());
        if filled.is_err() {
            let _ = self.remove(name);
        }
        filled
    }

    /// Makes a folder.
    ///
    /// # Errors
    /// As [`OwnFolder::create`].
    pub fn make(&self, name: &str, new: New) -> io::Result<()> {
        let path = CString::new(name)?;
        let mode = (new.mode & 0o700) as libc::mode_t;
        // SAFETY: the folder is open, and the name a C string that outlives the call.
        if unsafe { libc::mkdirat(self.0.as_raw_fd(), path.as_ptr(), mode) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let made = self.open_at(name, libc::O_DIRECTORY | libc::O_NOFOLLOW, 0)?;
        give_own(&made, new)
    }

    /// Renames within the folder, replacing what is there.
    ///
    /// # Errors
    /// As the system says.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (folder, from, to) = (self.0.as_raw_fd(), CString::new(from)?, CString::new(to)?);
        // SAFETY: the folder is open, and the names are C strings that outlive the call.
        match unsafe { libc::renameat(folder, from.as_ptr(), folder, to.as_ptr()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Removes a file, or a folder that is empty.
    ///
    /// # Errors
    /// As the system says.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        let name = CString::new(name)?;
        // SAFETY: the folder is open, and the name a C string that outlives the calls.
        let remove = |flags| unsafe { libc::unlinkat(self.0.as_raw_fd(), name.as_ptr(), flags) };
        match remove(0) == 0 || remove(libc::AT_REMOVEDIR) == 0 {
            true => Ok(()),
            false => Err(io::Error::last_os_error()),
        }
    }

    /// Makes the names in it durable.
    ///
    /// # Errors
    /// As the system says.
    pub fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn open_at(&self, name: &str, flags: libc::c_int, mode: u32) -> io::Result<File> {
        let name = CString::new(name)?;
        let flags = flags | libc::O_CLOEXEC;
        // SAFETY: the folder is open and the name a C string; what is opened is nobody else's.
        unsafe {
            match libc::openat(self.0.as_raw_fd(), name.as_ptr(), flags, mode) {
                -1 => Err(io::Error::last_os_error()),
                opened => Ok(File::from_raw_fd(opened)),
            }
        }
    }
}

/// Gives a folder that we have just made to its owner.
///
/// # Errors
/// Something else has taken its place; else as the system says.
pub fn give_folder(path: &Path, new: New) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let made = options.read(true).custom_flags(flags).open(path)?;
    give_own(&made, new)
}

fn give_own(made: &File, new: New) -> io::Result<()> {
    match made.metadata()?.uid() == process::user_id() {
        true => give(made, new),
        false => {
            let text = "another folder has taken its place";
            Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
        }
    }
}

/// The mode that was asked for is less what the process masks, so it is set, before the owner changes.
fn give(made: &File, new: New) -> io::Result<()> {
    made.set_permissions(Permissions::from_mode(new.mode))?;
    match new.owner {
        Some((user, group)) => fchown(made, Some(user), Some(group)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder(label: &str) -> std::path::PathBuf {
        let name = format!("gatepost-own-{label}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn new(mode: u32) -> New {
        let owner = process::is_root().then_some((65534, 65534));
        New { mode, owner }
    }

    #[test]
    fn what_is_made_stays_in_the_folder_that_was_opened() {
        let root = folder("moved");
        let (own, elsewhere) = (root.join("own"), root.join("elsewhere"));
        fs::create_dir(&own).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("precious"), "precious").unwrap();
        let opened = OwnFolder::open(&own).unwrap();
        // Whoever may write above puts a link in its place.
        fs::rename(&own, root.join("away")).unwrap();
        symlink("elsewhere", &own).unwrap();
        opened.create("file", b"content", new(0o640)).unwrap();
        opened.make("folder", new(0o700)).unwrap();
        opened.rename("file", "precious").unwrap();
        opened.remove("folder").unwrap();
        assert!(opened.look("precious").is_some() && opened.look("file").is_none());
        assert_eq!(fs::read(elsewhere.join("precious")).unwrap(), b"precious");
        let made = fs::metadata(root.join("away/precious")).unwrap();
        assert_eq!(made.mode() & 0o7777, 0o640);
        if process::is_root() {
            assert_eq!((made.uid(), made.gid()), (65534, 65534));
        }
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn links_are_not_followed_and_folders_of_others_not_opened() {
        let root = folder("links");
        fs::write(root.join("precious"), "precious").unwrap();
        symlink("precious", root.join("link")).unwrap();
        let opened = OwnFolder::open(&root).unwrap();
        for taken in ["link", "precious"] {
            let error = opened.create(taken, b"x", new(0o600)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{taken}");
        }
        assert!(opened.look("link").unwrap().is_symlink());
        assert_eq!(fs::read(root.join("precious")).unwrap(), b"precious");
        fs::create_dir(root.join("theirs")).unwrap();
        symlink("theirs", root.join("folder")).unwrap();
        assert!(give_folder(&root.join("folder"), new(0o700)).is_err());
        if process::is_root() {
            give_folder(&root.join("theirs"), new(0o700)).unwrap();
            let why = OwnFolder::open(&root.join("theirs")).unwrap_err();
            assert!(why.to_string().contains("another account"), "{why}");
            assert!(give_folder(&root.join("theirs"), new(0o755)).is_err());
        }
        fs::remove_dir_all(&root).unwrap();
    }
}
