//! Which folders the service may reach (landlock(7)).
//!
//! Promises: what is not granted cannot be opened, made, changed or removed, whoever owns it; what is
//! open already stays open. A grant is of a folder with all below it, or of one file, as they are now: what
//! takes their place later is not granted. Refuses to know: looking at a file's attributes, following links and
//! connecting to sockets in the file system, which the kernel does not ask Landlock about. Limits: kernels from
//! [`VERSION_MIN`] on; before it no file could be moved from one folder to another, as Maildirs need.

use std::fs::{File, OpenOptions};
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The first version that is of use, of Linux 5.19.
const VERSION_MIN: u32 = 2;

const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const REMOVE_DIR: u64 = 1 << 4;
const REMOVE_FILE: u64 = 1 << 5;
const MAKE_DIR: u64 = 1 << 7;
const MAKE_REG: u64 = 1 << 8;
/// From here on a kernel has only what its version has.
const MAKE_SYM: u64 = 1 << 12;
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEV: u64 = 1 << 15;
/// All of the first version.
const FIRST: u64 = (MAKE_SYM << 1) - 1;
/// Rights that a file can have; the others are a folder's.
const OF_FILES: u64 = READ_FILE | WRITE_FILE | TRUNCATE;

const SCOPE_ABSTRACT_SOCKETS: u64 = 1 << 0;
const SCOPE_SIGNALS: u64 = 1 << 1;

/// What may be done below a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Files are read and folders listed.
    Read,
    /// A file can be removed, and no more.
    Remove,
    /// Files and folders are read, made, changed, moved and removed.
    Change,
}

impl Access {
    fn rights(self) -> u64 {
        match self {
            Self::Read => READ_FILE | READ_DIR,
            Self::Remove => REMOVE_FILE,
            Self::Change => {
                let made = MAKE_DIR | MAKE_REG | REFER;
                READ_FILE | READ_DIR | WRITE_FILE | TRUNCATE | REMOVE_DIR | REMOVE_FILE | made
            }
        }
    }
}

/// What cannot be done from within, beside files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// No signal to other processes, and no connection to abstract sockets.
    SignalsAndSockets,
    /// No signal to other processes.
    Signals,
}

/// `struct landlock_ruleset_attr`.
#[repr(C)]
struct Handled {
    files: u64,
    network: u64,
    scoped: u64,
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct Beneath {
    allowed: u64,
    folder: i32,
}

/// Rules for files that are being gathered.
pub(super) struct Ruleset {
    descriptor: OwnedFd,
    version: u32,
    handled: u64,
}

impl Ruleset {
    /// An empty one: nothing is granted.
    ///
    /// # Errors
    /// The kernel has no Landlock, or too old a one.
    pub(super) fn new(scope: Scope) -> io::Result<Self> {
        let version = version()?;
        let handled = Handled {
            files: handled(version),
            network: 0,
            scoped: match (version, scope) {
                (..=5, _) => 0,
                (_, Scope::Signals) => SCOPE_SIGNALS,
                (_, Scope::SignalsAndSockets) => SCOPE_SIGNALS | SCOPE_ABSTRACT_SOCKETS,
            },
        };
        // SAFETY: the attributes outlive the call, and their size is right; an older kernel takes what
        // it does not know as long as it is zero.
        let descriptor = unsafe {
            let size = mem::size_of::<Handled>();
            let made = libc::syscall(
                libc::SYS_landlock_create_ruleset,
                &raw const handled,
                size,
                0,
            );
            owned(made)?
        };
        Ok(Self {
            descriptor,
            version,
            handled: handled.files,
        })
    }

    /// The kernel's version of Landlock.
    pub(super) fn version(&self) -> u32 {
        self.version
    }

    /// Grants what is below this folder, or this file.
    ///
    /// # Errors
    /// It is not there, or we may not come near it.
    pub(super) fn grant(&self, path: &Path, access: Access) -> io::Result<()> {
        let place = open_place(path)?;
        let of_kind = match place.metadata()?.is_dir() {
            true => u64::MAX,
            false => OF_FILES,
        };
        let beneath = Beneath {
            allowed: access.rights() & of_kind & self.handled,
            folder: place.as_raw_fd(),
        };
        if beneath.allowed == 0 {
            return Ok(());
        }
        let ruleset = self.descriptor.as_raw_fd();
        // SAFETY: both descriptors are open, and the attributes outlive the call.
        let result = unsafe {
            libc::syscall(
                libc::SYS_landlock_add_rule,
                ruleset,
                PATH_BENEATH,
                &raw const beneath,
                0,
            )
        };
        done(result)
    }

    /// From here on nothing else is reached, by this thread and those it starts. It must not be able to gain
    /// privileges by starting programs.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn restrict(self) -> io::Result<()> {
        let ruleset = self.descriptor.as_raw_fd();
        // SAFETY: a plain system call on a descriptor that is open.
        done(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0) })
    }
}

/// `LANDLOCK_RULE_PATH_BENEATH`.
const PATH_BENEATH: libc::c_int = 1;
/// `LANDLOCK_CREATE_RULESET_VERSION`.
const ASK_VERSION: libc::c_uint = 1;

fn version() -> io::Result<u32> {
    let nothing: *const Handled = std::ptr::null();
    // SAFETY: asked for its version, the kernel wants no attributes.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0, ASK_VERSION) };
    let refused = |text| Err(io::Error::new(io::ErrorKind::Unsupported, text));
    match u32::try_from(version) {
        Ok(version) if version >= VERSION_MIN => Ok(version),
        Ok(_) => refused(
            "this kernel's Landlock cannot let a file be moved; Linux 5.19 has one that can",
        ),
        Err(_) => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ENOSYS) => {
                refused("this kernel has no Landlock; Linux 5.19 has it")
            }
            error if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                refused("this kernel was started without Landlock (lsm=)")
            }
            error => Err(error),
        },
    }
}

/// What the rules are about, by the kernel's version.
fn handled(version: u32) -> u64 {
    let since = |first, right| if version >= first { right } else { 0 };
    FIRST | since(2, REFER) | since(3, TRUNCATE) | since(5, IOCTL_DEV)
}

fn open_place(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH)
        .open(path)
}

/// A descriptor that a system call has just made.
///
/// # Safety
/// It is that, or an error.
unsafe fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    match i32::try_from(result) {
        // SAFETY: the caller says so.
        Ok(descriptor) if descriptor >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        _ => Err(io::Error::last_os_error()),
    }
}

fn done(result: libc::c_long) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_those_of_the_kernels_version() {
        for (version, want) in [
            (2, 0x3fff),
            (3, 0x7fff),
            (4, 0x7fff),
            (5, 0xffff),
            (9, 0xffff),
        ] {
            assert_eq!(handled(version), want, "{version}");
        }
        // Nothing is run, and nothing made that is neither a file nor a folder.
        let all = Access::Change.rights() | Access::Read.rights() | Access::Remove.rights();
        assert_eq!(all & 0b1_1110_0100_0001, 0);
        assert_eq!(Access::Read.rights() & !(READ_FILE | READ_DIR), 0);
    }
}
