//! Which folders have to be granted for a file that others may replace, and whether a file is out of reach.
//!
//! A grant is bound to what stands there now, and files are replaced by moving another one to their name. So the
//! folder is granted: the one of the path as it is written, and, as paths lead through links (certbot's
//! `live` into `archive`, folders that are switched by a link), the one of whatever each link names. A
//! folder that many programs share ([`is_wide`]) is not granted; the file alone is. Promises: what is not there is no
//! error; once a service runs, opening a file waits for nobody. Limits: [`LINKS_MAX`] links.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf, absolute};
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::readable;

/// Links that a path may lead through, as for the kernel.
const LINKS_MAX: usize = 40;

/// Folders in which many programs keep files, beside those right below `/`.
const WIDE: &[&str] = &[
    "/dev/shm",
    "/run/lock",
    "/run/user",
    "/usr/bin",
    "/usr/lib",
    "/usr/local",
    "/usr/local/bin",
    "/usr/local/lib",
    "/usr/sbin",
    "/usr/share",
    "/var/cache",
    "/var/lib",
    "/var/lock",
    "/var/log",
    "/var/mail",
    "/var/opt",
    "/var/run",
    "/var/spool",
    "/var/tmp",
];
/// Folders whose subfolders belong to one user each, with everything that user has.
const OF_USERS: &[&str] = &["/home", "/run/user"];

/// Whether the files of this process are walled off. Set once, by [`super::enter`].
static WALLED: AtomicBool = AtomicBool::new(false);
/// Whether only regular files are opened.
static REGULAR_ONLY: AtomicBool = AtomicBool::new(false);

/// What has to be granted for a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reached {
    /// Folders, as they are written or as links lead to them.
    pub folders: Vec<PathBuf>,
    /// The folder that is too wide to be granted, and the file, where it is there.
    pub alone: Option<(PathBuf, Option<PathBuf>)>,
}

/// What has to be granted for a file that is read again when it changes.
pub fn of_file(path: &Path) -> Reached {
    let mut reached = Reached::default();
    let Ok(path) = absolute(path) else {
        return reached;
    };
    reached.add_folder_of(&path);
    let last = follow(&path, &mut reached);
    let folder = folder_of(&last);
    match folder.filter(|folder| is_wide(folder)) {
        None => reached.add_folder_of(&last),
        Some(wide) => reached.alone = Some((wide, last.exists().then_some(last))),
    }
    reached
}

/// Whether many programs keep files in this folder, so that it is not granted as a whole.
pub fn is_wide(folder: &Path) -> bool {
    let names = folder.components().skip(1).count();
    let is = |known: &&str| folder == Path::new(known);
    let of_user = |known: &&str| folder.parent() == Some(Path::new(known));
    names <= 1 || WIDE.iter().any(is) || OF_USERS.iter().any(of_user)
}

/// Walks the links of an absolute path; gives where it leads.
fn follow(path: &Path, reached: &mut Reached) -> PathBuf {
    let mut rest = names(path);
    let mut at = PathBuf::from("/");
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&name);
        match fs::read_link(&next) {
            Ok(target) if links < LINKS_MAX => {
                links += 1;
                let target = at.join(target);
                reached.add_folder_of(&target);
                rest = names(&target).into_iter().chain(rest).collect();
                at = PathBuf::from("/");
            }
            Ok(_) | Err(_) => at = next,
        }
    }
    at
}

fn names(path: &Path) -> VecDeque<OsString> {
    let name = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(name).collect()
}

fn folder_of(path: &Path) -> Option<PathBuf> {
    fs::canonicalize(path.parent()?).ok()
}

impl Reached {
    fn add_folder_of(&mut self, path: &Path) {
        let folder = folder_of(path).filter(|folder| !is_wide(folder));
        if let Some(folder) = folder.filter(|folder| !self.folders.contains(folder)) {
            self.folders.push(folder);
        }
    }
}

/// From here on files are walled off.
pub(super) fn wall_off() {
    WALLED.store(true, Ordering::Relaxed);
}

/// Why a file that could not be opened is out of reach, where the sandbox is to blame.
pub fn explain(path: &Path, error: io::Error) -> io::Error {
    match error.kind() == ErrorKind::PermissionDenied && is_let_by_the_system(path) {
        true => io::Error::new(ErrorKind::PermissionDenied, OUT_OF_REACH),
        false => error,
    }
}

/// What [`explain`] says.
pub const OUT_OF_REACH: &str =
    "the sandbox of the running service does not reach it; restart the service";

/// Whether the sandbox keeps this file from being read, or, where it is not there, its folder.
pub fn is_out_of_reach(path: &Path) -> bool {
    let refused = |path: &Path| {
        // Never waits for whoever might write into a pipe.
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open(path);
        opened.map(drop).map_err(|error| error.kind())
    };
    if !WALLED.load(Ordering::Relaxed) {
        return false;
    }
    match refused(path) {
        Err(ErrorKind::PermissionDenied) => is_let_by_the_system(path),
        Err(ErrorKind::NotFound) => {
            let folder = path.parent().unwrap_or(Path::new("/"));
            let denied = refused(folder) == Err(ErrorKind::PermissionDenied);
            denied && is_let_by_the_system(folder)
        }
        Ok(()) | Err(_) => false,
    }
}

/// Whether a file would be readable but for the walls, of which access(2) knows nothing.
fn is_let_by_the_system(path: &Path) -> bool {
    WALLED.load(Ordering::Relaxed) && readable::may_read(path)
}

/// From here on [`open`] opens regular files alone: a service that runs must not wait for whoever writes into a FIFO.
pub fn open_regular_files_only() {
    REGULAR_ONLY.store(true, Ordering::Relaxed);
}

/// Opens a file to read it; where the sandbox keeps it from us, the error says so.
///
/// # Errors
/// As the system says; it is no regular file, where only those are opened.
pub fn open(path: &Path) -> io::Result<File> {
    match REGULAR_ONLY.load(Ordering::Relaxed) {
        true => open_regular(path),
        false => File::open(path).map_err(|error| explain(path, error)),
    }
}

/// The same, and never waits for anybody: what is no regular file is not opened.
///
/// # Errors
/// As the system says; it is no regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    // A device may do something when it is opened.
    let refuse = |metadata: Metadata| match metadata.is_file() || metadata.is_dir() {
        true => Ok(()),
        false => Err(io::Error::new(ErrorKind::InvalidInput, NOT_REGULAR)),
    };
    fs::metadata(path).and_then(refuse)?;
    let mut options = OpenOptions::new();
    // Whoever turns it into a FIFO in between keeps nobody waiting.
    options
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    let file = options.open(path).map_err(|error| explain(path, error))?;
    refuse(file.metadata()?)?;
    Ok(file)
}

/// What [`open_regular`] says.
const NOT_REGULAR: &str =
    "it is a FIFO, a device or a socket, and only a regular file is read while the service runs";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(label: &str) -> Self {
            let name = format!("gatepost-reach-{label}-{}", std::process::id());
            let path = fs::canonicalize(std::env::temp_dir()).unwrap().join(name);
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn make(&self, folder: &str) -> PathBuf {
            fs::create_dir_all(self.0.join(folder)).unwrap();
            self.0.join(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn folders_that_many_share_are_wide() {
        for wide in [
            "/",
            "/etc",
            "/root",
            "/home",
            "/tmp",
            "/data",
            "/home/alice",
            "/var/lib",
            "/run/user/7",
            "/usr/local",
        ] {
            assert!(is_wide(Path::new(wide)), "{wide}");
        }
        for narrow in [
            "/etc/gatepost",
            "/home/alice/mail",
            "/etc/ssl",
            "/var/lib/acme",
            "/srv/a",
        ] {
            assert!(!is_wide(Path::new(narrow)), "{narrow}");
        }
    }

    #[test]
    fn a_plain_file_needs_its_folder_even_before_it_is_there() {
        let folder = Folder::new("plain");
        let here = folder.make("here");
        let want = Reached {
            folders: vec![here.clone()],
            alone: None,
        };
        assert_eq!(of_file(&here.join("users")), want);
        fs::write(here.join("users"), "").unwrap();
        assert_eq!(of_file(&here.join("./users")), want);
        assert_eq!(of_file(&here.join("../here/users")), want);
        // A folder that is not there grants nothing, and harms nobody.
        assert_eq!(of_file(&here.join("no/such/file")), Reached::default());
    }

    #[test]
    fn links_are_followed_to_every_folder_on_the_way() {
        let folder = Folder::new("links");
        let (live, archive) = (folder.make("live/x"), folder.make("archive/x"));
        fs::write(archive.join("chain1.pem"), "").unwrap();
        symlink("../../archive/x/chain1.pem", live.join("chain.pem")).unwrap();
        let certbot = of_file(&live.join("chain.pem"));
        assert_eq!(certbot.folders, [live.clone(), archive]);
        // A folder that is switched by a link, as projected volumes have it.
        let (config, data) = (folder.make("config"), folder.make("config/..1"));
        fs::write(data.join("key"), "").unwrap();
        symlink("..1", config.join("..data")).unwrap();
        symlink("..data/key", config.join("key")).unwrap();
        assert_eq!(of_file(&config.join("key")).folders, [config, data]);
        // A folder elsewhere that is a link itself, into one that is switched.
        let certificates = folder.make("certificates");
        let newest = folder.make("certificates/2026-11");
        symlink("2026-11", certificates.join("current")).unwrap();
        symlink(certificates.join("current"), folder.0.join("tls")).unwrap();
        fs::write(newest.join("pem"), "").unwrap();
        let switched = of_file(&folder.0.join("tls/pem"));
        assert_eq!(switched.folders, [newest, certificates]);
    }

    #[test]
    fn a_file_in_a_wide_folder_is_reached_alone() {
        let reached = of_file(Path::new("/etc/passwd"));
        assert_eq!(reached.folders, [] as [PathBuf; 0]);
        let (wide, file) = reached.alone.unwrap();
        assert_eq!((wide, file), ("/etc".into(), Some("/etc/passwd".into())));
        let missing = of_file(Path::new("/etc/no-such-file")).alone;
        assert_eq!(missing, Some(("/etc".into(), None)));
        // A link in a narrow folder to a file in a wide one.
        let folder = Folder::new("wide");
        symlink("/etc/passwd", folder.0.join("users")).unwrap();
        let reached = of_file(&folder.0.join("users"));
        assert_eq!(reached.folders, std::slice::from_ref(&folder.0));
        assert_eq!(reached.alone.unwrap().0, Path::new("/etc"));
    }

    #[test]
    fn links_in_a_circle_end() {
        let folder = Folder::new("circle");
        let here = folder.make("here");
        symlink("b", here.join("a")).unwrap();
        symlink("a", here.join("b")).unwrap();
        assert_eq!(of_file(&here.join("a")).folders, [here]);
    }
}
