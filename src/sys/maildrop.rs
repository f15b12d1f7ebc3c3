//! A folder that every local account may leave files in and none may look into, like Postfix's maildrop.
//!
//! The folder has mode 3733: anybody may add a name, nobody but its owner may list them or touch those of
//! others, and new files get its group, so that the account it belongs to can read them. Promises: a file
//! has its name only once it is whole and durable; what is opened is one regular file with one name, of a
//! known owner, never a link, a FIFO or a device. Refuses to know: what is in the files.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// What stands before the name of a file that is being written.
pub const UNFINISHED: &str = "tmp-";
/// The folder's mode.
const FOLDER_MODE: u32 = 0o3733;
/// The bit by which new files get the folder's group.
const SET_GROUP: u32 = 0o2000;
/// What the folder above must let others do: pass through.
const PASSAGE: u32 = 0o011;

/// Makes the folder, and lets others pass through the one above; one that is there stays as the operator
/// has it.
///
/// # Errors
/// As the system says.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return match fs::symlink_metadata(folder)?.is_dir() {
                true => Ok(()),
                false => Err(io::Error::new(ErrorKind::NotADirectory, "not a folder")),
            };
        }
        Err(error) => return Err(error),
    }
    let opened = open_up(folder);
    if opened.is_err() {
        // Half made it would stay as it is at the next start.
        let _ = fs::remove_dir(folder);
    }
    opened
}

fn open_up(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(FOLDER_MODE))?;
    let above = folder.parent().unwrap_or(folder);
    let mode = fs::metadata(above)?.mode() & 0o7777;
    match mode & PASSAGE == PASSAGE {
        true => Ok(()),
        false => fs::set_permissions(above, Permissions::from_mode(mode | PASSAGE)),
    }
}

/// Leaves a file in the folder. After this returned it is there also after a power cut.
///
/// # Errors
/// As the system says; nothing is left behind then that anybody would take for the file.
pub fn leave(folder: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let unfinished = folder.join(format!("{UNFINISHED}{name}"));
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(&unfinished)?;
    let outcome = fill(&file, folder, content)
        .and_then(|()| fs::rename(&unfinished, folder.join(name)))
        .and_then(|()| sync_name(&file, folder));
    if outcome.is_err() {
        // What was not promised should not be sent: the caller will be told that it failed.
        let _ = fs::remove_file(&unfinished);
        let _ = fs::remove_file(folder.join(name));
    }
    outcome
}

fn fill(mut file: &File, folder: &Path, content: &[u8]) -> io::Result<()> {
    file.write_all(content)?;
    let (own, above) = (file.metadata()?, fs::metadata(folder)?);
    if own.gid() == above.gid() {
        // For the service's group, and no other.
        file.set_permissions(Permissions::from_mode(0o640))?;
    } else if above.uid() != own.uid() && above.uid() != 0 {
        let text =
            "new files do not get the drop folder's group, so the service could not read them";
        return Err(io::Error::other(text));
    }
    file.sync_all()
}

/// Makes the name durable. Who may not read the folder cannot sync it, but can sync its file system.
fn sync_name(file: &File, folder: &Path) -> io::Result<()> {
    if let Ok(folder) = File::open(folder) {
        return folder.sync_all();
    }
    // SAFETY: a plain system call on a descriptor we own.
    match unsafe { libc::syncfs(file.as_raw_fd()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What a name in the folder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// What it is.
    pub kind: Kind,
    /// Whose it is.
    pub uid: u32,
    /// Its group.
    gid: u32,
    /// Its length, octets.
    pub octets: u64,
    /// When it last changed, by the kernel's word.
    pub changed: SystemTime,
}

/// What something in the folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file with one name.
    File,
    /// A link, a folder, a file with further names, a FIFO, a socket, a device.
    Other,
}

/// Looks at a name without following or opening it.
///
/// # Errors
/// As the system says.
pub fn look(path: &Path) -> io::Result<Facts> {
    Ok(facts(&fs::symlink_metadata(path)?))
}

/// Opens a file and looks at what was opened. Nothing else than a regular file with one name is opened, and in a
/// folder that gives new files its group nothing that has another: somebody moved it there, perhaps not its owner.
///
/// # Errors
/// As the system says; `InvalidInput` for what is no such file.
pub fn open(path: &Path) -> io::Result<(File, Facts)> {
    let folder = fs::symlink_metadata(path.parent().unwrap_or(path))?;
    let group = (folder.mode() & SET_GROUP != 0).then(|| folder.gid());
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY)
        .open(path)?;
    let facts = facts(&file.metadata()?);
    match facts.kind {
        Kind::File if group.is_some_and(|group| group != facts.gid) => Err(io::Error::new(
            ErrorKind::InvalidInput,
            "it was moved here from elsewhere: its group is not the folder's",
        )),
        Kind::File => Ok((file, facts)),
        Kind::Other => Err(io::Error::new(
            ErrorKind::InvalidInput,
            "not a regular file with one name",
        )),
    }
}

fn facts(metadata: &fs::Metadata) -> Facts {
    let kind = match metadata.is_file() && metadata.nlink() <= 1 {
        true => Kind::File,
        false => Kind::Other,
    };
    let seconds = u64::try_from(metadata.ctime()).unwrap_or_default();
    let changed = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    Facts {
        kind,
        uid: metadata.uid(),
        gid: metadata.gid(),
        octets: metadata.len(),
        changed: changed.unwrap_or(SystemTime::UNIX_EPOCH),
    }
}

/// Whether names of others can be removed from the folder: it is ours, or we are root.
///
/// # Errors
/// As the system says.
pub fn is_ours(folder: &Path) -> io::Result<bool> {
    let facts = fs::symlink_metadata(folder)?;
    Ok(facts.is_dir() && (super::process::is_root() || facts.uid() == super::process::user_id()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn spool(label: &str) -> PathBuf {
        let name = format!("gatepost-dropped-{label}-{}", std::process::id());
        let spool = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&spool);
        fs::create_dir_all(&spool).unwrap();
        fs::set_permissions(&spool, Permissions::from_mode(0o700)).unwrap();
        spool
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn others_may_leave_files_and_no_more() {
        let spool = spool("modes");
        let folder = spool.join("drop");
        make_folder(&folder).unwrap();
        assert_eq!((mode(&folder), mode(&spool)), (FOLDER_MODE, 0o711));
        assert!(is_ours(&folder).unwrap());
        // What the operator made of it stays.
        fs::set_permissions(&folder, Permissions::from_mode(0o3730)).unwrap();
        make_folder(&folder).unwrap();
        assert_eq!(mode(&folder), 0o3730);
        leave(&folder, "one", b"content").unwrap();
        assert_eq!(mode(&folder.join("one")), 0o640);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        assert!(make_folder(&folder.join("one")).is_err());
        fs::remove_dir_all(&spool).unwrap();
    }

    #[test]
    fn what_cannot_be_left_leaves_nothing() {
        let spool = spool("nothing");
        fs::create_dir_all(spool.join("one/in-the-way")).unwrap();
        assert!(leave(&spool, "one", b"content").is_err());
        let left: Vec<_> = fs::read_dir(&spool).unwrap().flatten().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        assert!(leave(&spool.join("missing"), "one", b"content").is_err());
        fs::remove_dir_all(&spool).unwrap();
    }

    #[test]
    fn only_a_plain_file_with_one_name_is_opened() {
        let spool = spool("open");
        let path = |name: &str| spool.join(name);
        fs::write(path("plain"), "12345").unwrap();
        let (_, facts) = open(&path("plain")).unwrap();
        assert_eq!((facts.kind, facts.octets), (Kind::File, 5));
        std::os::unix::fs::symlink(path("plain"), path("link")).unwrap();
        assert!(open(&path("link")).is_err());
        assert_eq!(look(&path("link")).unwrap().kind, Kind::Other);
        fs::hard_link(path("plain"), path("second")).unwrap();
        assert_eq!(
            open(&path("plain")).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
        assert!(open(&spool).is_err() && open(&path("none")).is_err());
        fs::remove_dir_all(&spool).unwrap();
    }
}
