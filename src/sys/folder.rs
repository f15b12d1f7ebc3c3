//! Folders of files that others change: what is in them, and whether that changed.
//!
//! Promises: links are not followed but for the folder that is named; a name need not be UTF-8.

use std::ffi::{CString, OsStr};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::stamp::Stamp;
use super::{machine, process};

/// What is asked of a file system that others change too.
pub trait Folders: Send + Sync {
    /// The stamp of a folder: it changes with each name that comes or goes.
    ///
    /// # Errors
    /// As the system says.
    fn stamp(&self, folder: &Path) -> io::Result<Stamp>;

    /// Gives each name in a folder, and whether a folder has it.
    ///
    /// # Errors
    /// As the system says; some names may have been given.
    fn each(&self, folder: &Path, take: &mut dyn FnMut(&OsStr, bool)) -> io::Result<()>;

    /// The length of a file, octets.
    ///
    /// # Errors
    /// As the system says.
    fn octets(&self, file: &Path) -> io::Result<u64>;
}

/// The machine's own file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealFolders;

impl Folders for RealFolders {
    fn stamp(&self, folder: &Path) -> io::Result<Stamp> {
        Stamp::look(folder)
    }

    fn each(&self, folder: &Path, take: &mut dyn FnMut(&OsStr, bool)) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            take(&entry.file_name(), is_folder);
        }
        Ok(())
    }

    fn octets(&self, file: &Path) -> io::Result<u64> {
        Ok(fs::symlink_metadata(file)?.len())
    }
}

/// Whether we may make files in a folder: its mode, and its file system, which a fault makes read-only.
///
/// # Errors
/// Why not.
pub fn writable(folder: &Path) -> io::Result<()> {
    let path = CString::new(folder.as_os_str().as_bytes())?;
    // SAFETY: the path is a C string that outlives the call.
    match unsafe { libc::access(path.as_ptr(), libc::W_OK | libc::X_OK) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Why nothing can be written into folders inside a folder, for the operator: the path of what is in the way, who owns it, and
/// what to do. Nothing where the error is no matter of owners and kinds of file. Folders inside may not be links.
pub fn why_refused(folder: &Path, inside: &[&str], error: &io::Error) -> Option<String> {
    let cure = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            let own = process::user_id();
            format!("let uid {own}, the service, write there")
        }
        io::ErrorKind::NotADirectory => "move it away".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "mount its file system writable".to_owned(),
        _ => return None,
    };
    let below = inside.iter().map(|name| folder.join(name));
    let all = below.chain(folder.ancestors().map(Path::to_owned));
    let found = all.filter_map(|path| Some((path.symlink_metadata().ok()?, path)));
    let found: Vec<_> = found.collect();
    let is_in_the_way = |(facts, path): &&(fs::Metadata, PathBuf)| match error.kind() {
        io::ErrorKind::NotADirectory => {
            let may_be_link = folder.starts_with(path);
            !(facts.is_dir() || may_be_link && path.is_dir())
        }
        _ => writable(path).is_err(),
    };
    // Where it was mended meanwhile, what is nearest.
    let nearest = found.iter().find(|(_, path)| folder.starts_with(path));
    let (facts, there) = found.iter().find(is_in_the_way).or(nearest)?;
    let (there, owner, error) = (there.display(), facts.uid(), machine::reason(error));
    Some(format!(
        "{there}: {error}; its owner is uid {owner}; {cure}"
    ))
}
