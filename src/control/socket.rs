//! The socket in the file system: made, guarded, removed.
//!
//! Promises: a socket that a dead server left is replaced; one that somebody answers on is not touched;
//! a file of another kind is not touched either. At the end the socket is removed if it is still ours.
//! Root gives nothing away in a folder that anybody else can write: whoever can could put another file
//! in the socket's place meanwhile, and be given that. There the account makes the socket itself.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::sys::machine;

/// Mode of the socket: its owner and its group may.
const SOCKET_MODE: u32 = 0o660;
/// Mode of a folder made for it: anybody may see the socket, nobody else may put one there.
const FOLDER_MODE: u32 = 0o755;

const OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// A socket that listens.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode, to know it again.
    identity: (u64, u64),
}

/// Why there is no socket.
#[derive(Debug)]
pub enum SocketError {
    /// Another service answers on it.
    Alive(PathBuf),
    /// It cannot be made.
    Io(PathBuf, io::Error),
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alive(path) => {
                let path = path.display();
                write!(
                    f,
                    "another gatepost answers on {path}; give this one a [control] socket of its own"
                )
            }
            Self::Io(path, error) => {
                write!(f, "{}: {}", path.display(), machine::reason(error))
            }
        }
    }
}

impl std::error::Error for SocketError {}

/// What came of [`begin`].
#[derive(Debug)]
pub enum Begun {
    /// The socket is made.
    Made(Socket),
    /// It is to be made by [`Socket::make`] once the account is taken on.
    Later,
}

/// What is done for the socket before the process becomes `owner` (user and group): the folder, and
/// the socket where that is safe. Without an owner to become, all of it.
///
/// # Errors
/// See [`SocketError`].
pub fn begin(path: &Path, owner: Option<(u32, u32)>) -> Result<Begun, SocketError> {
    let Some(owner) = owner.filter(|(user, _)| *user != 0) else {
        return Socket::make(path, None).map(Begun::Made);
    };
    let failed = |error| SocketError::Io(path.to_owned(), error);
    clear_away(path)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let there = folder.ancestors().find(|ancestor| ancestor.exists());
    if !there.is_some_and(is_roots_own) {
        return Ok(Begun::Later);
    }
    match folder.exists() {
        true => Socket::make(path, Some(owner)).map(Begun::Made),
        false => {
            make_folder(path, Some(owner)).map_err(failed)?;
            Ok(Begun::Later)
        }
    }
}

impl Socket {
    /// Makes the socket, and its folder if need be; both are given to `owner` (user and group) where one
    /// is named.
    ///
    /// # Errors
    /// See [`SocketError`]; what was made of it is removed.
    pub fn make(path: &Path, owner: Option<(u32, u32)>) -> Result<Self, SocketError> {
        let failed = |error| SocketError::Io(path.to_owned(), error);
        make_folder(path, owner).map_err(failed)?;
        clear_away(path)?;
        let listener = UnixListener::bind(path).map_err(failed)?;
        let guarded = guard(&listener, path, owner);
        let identity = guarded.map_err(|error| {
            let _ = fs::remove_file(path);
            failed(error)
        })?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            identity,
        })
    }

    pub(super) fn listener(&self) -> &UnixListener {
        &self.listener
    }

    /// The group whose members may use it, as the file says now.
    pub(super) fn group(&self) -> Option<u32> {
        let metadata = fs::metadata(&self.path).ok()?;
        (identity(&metadata) == self.identity).then(|| metadata.gid())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let own = |metadata: &fs::Metadata| identity(metadata) == self.identity;
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| own(&metadata)) {
            // In a folder that is not ours it stays; the next start takes it for what it is.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn make_folder(path: &Path, owner: Option<(u32, u32)>) -> io::Result<()> {
    let Some(folder) = path.parent().filter(|folder| !folder.exists()) else {
        return Ok(());
    };
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(FOLDER_MODE).create(folder)?;
    // The mode that was asked for is less what the process masks.
    fs::set_permissions(folder, fs::Permissions::from_mode(FOLDER_MODE))?;
    match owner {
        Some((user, group)) => chown(folder, Some(user), Some(group)),
        None => Ok(()),
    }
}

/// Whether nobody but root can change what stands in this folder, or move the folder itself.
fn is_roots_own(folder: &Path) -> bool {
    let Ok(folder) = fs::canonicalize(folder) else {
        return false;
    };
    let own = |(depth, ancestor): (usize, &Path)| {
        fs::metadata(ancestor).is_ok_and(|metadata| {
            let shared = metadata.mode() & OTHERS_WRITE != 0;
            // Where the sticky bit is set, what is root's there is only root's to move.
            let sticky = depth > 0 && metadata.mode() & STICKY != 0;
            metadata.uid() == 0 && (!shared || sticky)
        })
    };
    folder.ancestors().enumerate().all(own)
}

fn clear_away(path: &Path) -> Result<(), SocketError> {
    let failed = |error| SocketError::Io(path.to_owned(), error);
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !metadata.file_type().is_socket() {
        let text = "there is something else than a socket";
        return Err(failed(io::Error::new(ErrorKind::AlreadyExists, text)));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(SocketError::Alive(path.to_owned())),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

/// A new socket is for its owner alone (the process masks the rest) until it is handed over.
fn guard(
    listener: &UnixListener,
    path: &Path,
    owner: Option<(u32, u32)>,
) -> io::Result<(u64, u64)> {
    listener.set_nonblocking(true)?;
    if let Some((user, group)) = owner {
        chown(path, Some(user), Some(group))?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE))?;
    fs::symlink_metadata(path).map(|metadata| identity(&metadata))
}

fn identity(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(label: &str) -> PathBuf {
        let name = format!("gatepost-{label}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn the_socket_and_its_folder_are_made_and_the_socket_is_removed() {
        let folder = folder("made");
        let path = folder.join("deep/control");
        let socket = Socket::make(&path, None).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!(mode(&path), SOCKET_MODE);
        assert_eq!(mode(&folder.join("deep")), FOLDER_MODE);
        assert_eq!(socket.group(), Some(fs::metadata(&path).unwrap().gid()));
        drop(socket);
        assert!(!path.exists());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_live_socket_is_named_and_a_dead_one_replaced() {
        let folder = folder("live");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("control");
        let live = UnixListener::bind(&path).unwrap();
        let refused = Socket::make(&path, None).unwrap_err();
        assert!(matches!(refused, SocketError::Alive(_)), "{refused}");
        drop(live);
        assert!(path.exists(), "a dead server leaves its socket");
        let socket = Socket::make(&path, None).unwrap();
        // Somebody put another one in its place: that one is not ours to remove.
        fs::remove_file(&path).unwrap();
        let _other = UnixListener::bind(&path).unwrap();
        drop(socket);
        assert!(path.exists());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn root_gives_nothing_away_in_a_folder_of_others() {
        if !crate::sys::process::is_root() {
            eprintln!("SKIPPED: only root gives anything away");
            return;
        }
        let folder = folder("others");
        fs::create_dir_all(&folder).unwrap();
        let owner = Some((65534, 65534));
        let path = folder.join("control");
        let mode = |mode| fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
        mode(0o777);
        assert!(matches!(begin(&path, owner), Ok(Begun::Later)));
        assert!(!path.exists());
        mode(0o755);
        chown(&folder, Some(65534), None).unwrap();
        assert!(matches!(
            begin(&folder.join("deep/control"), owner),
            Ok(Begun::Later)
        ));
        assert!(!folder.join("deep").exists(), "nor makes a folder in one");
        chown(&folder, Some(0), None).unwrap();
        let Ok(Begun::Made(socket)) = begin(&path, owner) else {
            panic!("it is root's own");
        };
        assert_eq!(fs::metadata(&path).unwrap().uid(), 65534);
        drop(socket);
        assert!(matches!(
            begin(&folder.join("run/control"), owner),
            Ok(Begun::Later)
        ));
        assert_eq!(fs::metadata(folder.join("run")).unwrap().uid(), 65534);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn another_file_in_its_place_stays() {
        let folder = folder("other");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("control");
        fs::write(&path, "precious").unwrap();
        let refused = Socket::make(&path, None).unwrap_err();
        assert!(refused.to_string().contains("something else"), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        fs::remove_dir_all(&folder).unwrap();
    }
}
