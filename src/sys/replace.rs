//! Files that are written whole or not at all, and read within a limit.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::own_folder::OwnFolder;
use super::process;
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
    let length = file.metadata()?.len().min(max_octets);
    // Nothing moves while it grows, so of a secret no copies stay behind.
    let mut content =
        Vec::with_capacity(usize::try_from(length).unwrap_or_default() + SPARE_OCTETS);
    file.take(max_octets + 1).read_to_end(&mut content)?;
    if content.len() as u64 > max_octets {
        let text = format!("larger than {max_octets} octets");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(content)
}

/// Replaces `path` in one step: a reader sees the old content or the new one, also after a power
/// cut. Mode and owner stay as they were; a new file is made as `new` says. A symbolic link stays one; root follows
/// none that is another account's, which could lead to any file.
pub fn replace(path: &Path, content: &[u8], new: New) -> io::Result<()> {
    refuse_links_of_others(path)?;
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let odd = || io::Error::from(io::ErrorKind::InvalidInput);
    let name = path.file_name().and_then(OsStr::to_str).ok_or_else(odd)?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let folder = OwnFolder::of_anybody(folder)?;
    let like = match folder.look(name) {
        Some(before) if before.is_file() => New {
            mode: before.mode() & 0o777,
            owner: Some((before.uid(), before.gid())),
        },
        Some(_) => return Err(odd()),
        None => new,
    };
    // A name that only this process uses. One that an earlier process of its number left is nobody's.
    let next = format!(".{name}.{}.new", std::process::id());
    let _ = folder.remove(&next);
    folder.create(&next, content, like)?;
    if let Err(error) = folder.rename(&next, name) {
        let _ = folder.remove(&next);
        return Err(error);
    }
    folder.sync()
}

/// Where root writes, a link on the way has to be root's.
fn refuse_links_of_others(path: &Path) -> io::Result<()> {
    let is_theirs = |path: &&Path| {
        fs::symlink_metadata(path).is_ok_and(|facts| facts.is_symlink() && facts.uid() != 0)
    };
    let ancestors = std::path::absolute(path)?;
    match ancestors.ancestors().find(is_theirs) {
        Some(link) if process::is_root() => {
            let text = format!("{} is a link of another account", link.display());
            Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
        }
        Some(_) | None => Ok(()),
    }
}

/// Syncs the folder that holds `path`, so that its name is durable.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

/// With fewer to spare, std reads by way of the stack to find the end.
const SPARE_OCTETS: usize = 64;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, lchown, symlink};

    use super::*;

    #[test]
    fn root_follows_no_link_of_another_account() {
        if !process::is_root() {
            eprintln!("SKIPPED: only root can be led astray");
            return;
        }
        let folder = std::env::temp_dir().join(format!("gatepost-theirs-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("precious"), "precious").unwrap();
        symlink("precious", folder.join("users")).unwrap();
        let new = New {
            mode: 0o600,
            owner: None,
        };
        lchown(folder.join("users"), Some(65534), None).unwrap();
        let why = replace(&folder.join("users"), b"x", new).unwrap_err();
        assert!(
            why.to_string().contains("a link of another account"),
            "{why}"
        );
        assert_eq!(fs::read(folder.join("precious")).unwrap(), b"precious");
        // Root's own leads where root wants.
        lchown(folder.join("users"), Some(0), None).unwrap();
        replace(&folder.join("users"), b"x", new).unwrap();
        assert_eq!(fs::read(folder.join("precious")).unwrap(), b"x");
        assert!(folder.join("users").is_symlink());
        fs::remove_dir_all(&folder).unwrap();
    }

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
