//! Whether an account may use a file or folder, asked of the kernel itself: modes, groups, access lists and
//! folders on the way all count. The sandbox is not asked: it is made anew at each start.

use std::ffi::{CStr, CString, c_char, c_int};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::helper;
use super::process::{self, Account};
use super::program;

/// What is to be done with a file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Read the file.
    Read,
    /// Go through the folder.
    Enter,
    /// Make and remove files in the folder.
    Change,
    /// Run the program.
    Run,
}

impl Need {
    fn mode(self) -> c_int {
        match self {
            Self::Read => libc::R_OK,
            Self::Enter | Self::Run => libc::X_OK,
            Self::Change => libc::W_OK | libc::X_OK,
        }
    }
}

/// Whose a file is, and its mode. Prints as `root:root, mode 0600`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The user's id.
    pub uid: u32,
    /// The group's id.
    pub gid: u32,
    /// The mode's lowest twelve bits.
    pub mode: u32,
}

impl Owner {
    /// Of what a path leads to; none where it cannot be looked at.
    pub fn of(path: &Path) -> Option<Self> {
        let facts = fs::metadata(path).ok()?;
        Some(Self {
            uid: facts.uid(),
            gid: facts.gid(),
            mode: facts.mode() & 0o7777,
        })
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match process::account_name(self.uid).ok().flatten() {
            Some(name) => f.write_str(&name)?,
            None => write!(f, "{}", self.uid)?,
        }
        match group_name(self.gid) {
            Some(name) => write!(f, ":{name}")?,
            None => write!(f, ":{}", self.gid)?,
        }
        write!(f, ", mode {:04o}", self.mode)
    }
}

/// A path and what is to be done with it.
pub type Wish = (PathBuf, Need);

/// Whether we may read it, as far as modes and access lists tell.
pub fn may_read(path: &Path) -> bool {
    let answers = may(&[(path.to_owned(), Need::Read)]);
    answers.is_ok_and(|answers| answers == [None])
}

/// What the kernel says to us, wish by wish; none where it is granted.
///
/// # Errors
/// A path that is none.
pub fn may(wishes: &[Wish]) -> io::Result<Vec<Option<c_int>>> {
    let asked = asked(wishes)?;
    Ok(asked.iter().map(|(path, mode)| ask(path, *mode)).collect())
}

/// What it says to an account with these groups and none of root's powers, asked in a child that becomes it.
/// For root.
///
/// # Errors
/// It cannot be tried.
pub fn may_as(account: Account, groups: &[u32], wishes: &[Wish]) -> io::Result<Vec<Option<c_int>>> {
    let asked = asked(wishes)?;
    let (told, tell) = program::pipe()?;
    let pointers: Vec<(*const c_char, c_int)> = asked
        .iter()
        .map(|(path, mode)| (path.as_ptr(), *mode))
        .collect();
    // SAFETY: the child calls nothing but plain system calls, with memory that is there, and ends.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => tell_as(account, groups, &pointers, tell.as_raw_fd()),
        child => {
            drop(tell);
            let mut octets = Vec::new();
            let outcome = File::from(told).read_to_end(&mut octets);
            // SAFETY: the child is ours; its exit code says nothing that the pipe does not.
            unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
            outcome?;
            if octets.len() != wishes.len() {
                return Err(io::Error::other("the account cannot be tried"));
            }
            let errno = |octet: u8| (octet != 0).then(|| c_int::from(octet));
            Ok(octets.into_iter().map(errno).collect())
        }
    }
}

/// All groups of an account, looked up here, for a child after fork cannot.
///
/// # Errors
/// They cannot be looked up.
pub fn groups(name: &str, account: Account) -> io::Result<Vec<u32>> {
    let invalid = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let name = CString::new(name).map_err(invalid)?;
    let mut groups = vec![0; GROUPS_MAX];
    let mut count = c_int::try_from(GROUPS_MAX).unwrap_or(c_int::MAX);
    // SAFETY: name and buffer outlive the call, and the count is the buffer's.
    let found = unsafe {
        libc::getgrouplist(
            name.as_ptr(),
            account.gid,
            groups.as_mut_ptr(),
            &raw mut count,
        )
    };
    match usize::try_from(count) {
        Ok(count) if found >= 0 => groups.truncate(count),
        _ => return Err(io::Error::other("its groups cannot be looked up")),
    }
    Ok(groups)
}

/// The account we are.
pub fn own_account() -> Account {
    Account {
        uid: process::user_id(),
        // SAFETY: a plain system call without arguments.
        gid: unsafe { libc::getegid() },
    }
}

/// The name of a group, where there is one and it is text. A service within its walls asks nobody.
pub fn group_name(gid: u32) -> Option<String> {
    if helper::current().is_some() {
        return None;
    }
    // SAFETY: the pointers are valid for the call and the buffer's length is given.
    let ask = |entry, strings: &mut Vec<c_char>, found| unsafe {
        libc::getgrgid_r(gid, entry, strings.as_mut_ptr(), strings.len(), found)
    };
    group(ask).and_then(|(name, _)| name)
}

/// The number of a group.
pub fn group_id(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: the pointers are valid for the call and the buffer's length is given.
    let ask = |entry, strings: &mut Vec<c_char>, found| unsafe {
        libc::getgrnam_r(
            name.as_ptr(),
            entry,
            strings.as_mut_ptr(),
            strings.len(),
            found,
        )
    };
    group(ask).map(|(_, gid)| gid)
}

fn group(
    ask: impl Fn(*mut libc::group, &mut Vec<c_char>, *mut *mut libc::group) -> c_int,
) -> Option<(Option<String>, u32)> {
    let mut entry = MaybeUninit::<libc::group>::uninit();
    let mut strings = vec![0; GROUP_MAX_OCTETS];
    let mut found: *mut libc::group = std::ptr::null_mut();
    if ask(entry.as_mut_ptr(), &mut strings, &raw mut found) != 0 || found.is_null() {
        return None;
    }
    // SAFETY: the entry was filled, and its name points into the buffer, which is still there.
    let (name, gid) = unsafe {
        let entry = entry.assume_init();
        (CStr::from_ptr(entry.gr_name), entry.gr_gid)
    };
    Some((name.to_str().ok().map(str::to_owned), gid))
}

fn asked(wishes: &[Wish]) -> io::Result<Vec<(CString, c_int)>> {
    let one = |(path, need): &Wish| {
        let path = CString::new(path.as_os_str().as_bytes());
        let path = path.map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok((path, need.mode()))
    };
    wishes.iter().map(one).collect()
}

fn ask(path: &CString, mode: c_int) -> Option<c_int> {
    // SAFETY: a plain system call with a C string that outlives it.
    if unsafe { libc::access(path.as_ptr(), mode) } == 0 {
        return None;
    }
    io::Error::last_os_error().raw_os_error()
}

/// The child: an octet for each wish, the error's number, 0 for none.
fn tell_as(account: Account, groups: &[u32], asked: &[(*const c_char, c_int)], to: c_int) -> ! {
    // SAFETY: plain system calls that are allowed after fork; the pointers are valid. What access asks is the
    // account's own: setuid of root sets every id, and gives up root's powers.
    unsafe {
        let became = libc::setgroups(groups.len(), groups.as_ptr()) == 0
            && libc::setgid(account.gid) == 0
            && libc::setuid(account.uid) == 0;
        if !became {
            libc::_exit(1);
        }
        process::keep_no_powers();
        for (path, mode) in asked {
            let errno = match libc::access(*path, *mode) {
                0 => 0,
                _ => io::Error::last_os_error().raw_os_error().unwrap_or(0),
            };
            let octet = u8::try_from(errno).unwrap_or(u8::MAX);
            if libc::write(to, (&raw const octet).cast(), 1) != 1 {
                libc::_exit(1);
            }
        }
        libc::_exit(0)
    }
}

/// The error's number of what is not there.
pub const MISSING: c_int = libc::ENOENT;
/// A group's entry, with its members.
const GROUP_MAX_OCTETS: usize = 256 * 1024;
/// Groups of an account that are looked at.
const GROUPS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_account_is_asked_by_trying() {
        let folder = std::env::temp_dir().join(format!("gatepost-readable-{}", std::process::id()));
        let path = folder.join("file");
        let set = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        assert!(!may_read(&path));
        fs::create_dir(&folder).unwrap();
        fs::write(&path, "x").unwrap();
        assert!(may_read(&path));
        if process::is_root() {
            let nobody = process::account("nobody").unwrap();
            let wishes = [
                (path.clone(), Need::Read),
                (folder.clone(), Need::Enter),
                (folder.clone(), Need::Change),
                (path.clone(), Need::Run),
                (folder.join("nowhere"), Need::Read),
            ];
            let denied = Some(libc::EACCES);
            let missing = Some(libc::ENOENT);
            let mut groups = groups("nobody", nobody).unwrap();
            for (of_folder, of_file, group, want) in [
                (0o755, 0o600, None, [denied, None, denied, denied, missing]),
                (0o755, 0o644, None, [None, None, denied, denied, missing]),
                (0o777, 0o755, None, [None, None, None, None, missing]),
                (0o700, 0o755, None, [denied; 5]),
                (0o750, 0o640, Some(0), [None, None, denied, denied, missing]),
            ] {
                set(&path, of_file);
                set(&folder, of_folder);
                groups.extend(group);
                let said = may_as(nobody, &groups, &wishes).unwrap();
                assert_eq!(said, want, "{of_folder:o} {of_file:o}");
            }
        } else {
            eprintln!("SKIPPED: only root can ask for another account");
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
