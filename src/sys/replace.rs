//! Files that are written whole or not at all, and read within a limit.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use super::sandbox::reach;
use super::stamp::Stamp;

/// How a file is made that was not there before.
#[derive(Debug, Clone, Copy)]
pub struct New {
    /// Its mode.
    pub mode: u32,
    /// Its user and group; ours where none is named.
    pub owner: Option<(u32, u32)>,
}

/// Reads a whole file of at most `max_octets`. Where the sandbox keeps it from us, the error says so.
pub fn read_limited(path: &Path, max_octets: u64) -> io::Result<Vec<u8>> {
    read_open(&reach::open(path)?, max_octets)
}

/// The same for a regular file alone, so that it waits for nobody.
pub fn read_regular(path: &Path, max_octets: u64) -> io::Result<Vec<u8>> {
    read_open(&reach::open_regular(path)?, max_octets)
}

/// Reads a file as [`read_limited`] does, and gives its stamp as it was before.
pub fn read_stamped(path: &Path, max_octets: u64) -> io::Result<(Stamp, Vec<u8>)> {
    let file = reach::open(path)?;
    let stamp = Stamp::read(&file.metadata()?);
    Ok((stamp, read_open(&file, max_octets)?))
}

/// Reads what is left of an open file, at most `max_octets`.
pub fn read_open(file: &File, max_octets: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.take(max_octets + 1).read_to_end(&mut content)?;
    if content.len() as u64 > max_octets {
        let text = format!("larger than {max_octets} octets");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(content)
}

/// Writes a new file with `mode`, synced; fails where there is one already.
pub fn create(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(content)?;
    file.sync_all()
}

/// Replaces `path` in one step: a reader sees the old content or the new one, also after a power
/// cut. Mode and owner stay as they were; a new file is made as `new` says. A symbolic link stays one.
pub fn replace(path: &Path, content: &[u8], new: New) -> io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let next = sibling(&path);
    let outcome = write_like(&path, &next, content, new).and_then(|()| fs::rename(&next, &path));
    if let Err(error) = outcome {
        let _ = fs::remove_file(&next);
        return Err(error);
    }
    sync_folder_of(&path)
}

/// Syncs the folder that holds `path`, so that its name is durable.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

fn write_like(path: &Path, next: &Path, content: &[u8], new: New) -> io::Result<()> {
    let (mode, owner) = match fs::metadata(path) {
        Ok(before) => (before.mode() & 0o7777, Some((before.uid(), before.gid()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (new.mode, new.owner),
        Err(error) => return Err(error),
    };
    create(next, &[], 0o600)?;
    let mut file = OpenOptions::new().write(true).open(next)?;
    let own = file.metadata()?;
    if let Some((user, group)) = owner.filter(|owner| *owner != (own.uid(), own.gid())) {
        fchown(&file, Some(user), Some(group))?;
    }
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(content)?;
    file.sync_all()
}

/// A name beside `path` that only this process uses.
fn sibling(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.new", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_keeps_its_mode_and_leaves_nothing_beside_it() {
        let folder = std::env::temp_dir().join(format!("gatepost-replace-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("users");
        let new = New {
            mode: 0o600,
            owner: None,
        };
        replace(&path, b"one", new).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        replace(&path, b"two", new).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        assert!(read_limited(&path, 2).is_err());
        assert_eq!(read_limited(&path, 3).unwrap(), b"two");
        fs::remove_dir_all(&folder).unwrap();
    }
}
