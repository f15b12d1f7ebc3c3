//! Whether an account may read a file, asked of the kernel itself: modes, groups, access lists and
//! folders on the way all count.

use std::ffi::{CString, c_char, c_int};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::process::Account;

/// Whether we may read it, as far as modes and access lists tell; the sandbox is not asked.
pub fn may_read(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else {
        return false;
    };
    // SAFETY: a plain system call with a C string that outlives it.
    unsafe { libc::access(path.as_ptr(), libc::R_OK) == 0 }
}

/// Whether this account may, tried in a child that becomes it. For root, before there are threads.
///
/// # Errors
/// What the kernel says to the account, or why it could not be tried.
pub fn may_read_as(name: &str, account: Account, path: &Path) -> io::Result<()> {
    let invalid = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let path = CString::new(path.as_os_str().as_bytes()).map_err(invalid)?;
    let groups = groups(&CString::new(name).map_err(invalid)?, account)?;
    // SAFETY: the child calls nothing but plain system calls, with memory that is there, and ends.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => try_it(&groups, account, path.as_ptr()),
        child => outcome(child),
    }
}

/// All groups of an account, looked up here, for a child after fork cannot.
fn groups(name: &CString, account: Account) -> io::Result<Vec<libc::gid_t>> {
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

/// The child: its exit code is the error's number, 0 for none.
fn try_it(groups: &[libc::gid_t], account: Account, path: *const c_char) -> ! {
    // SAFETY: plain system calls that are allowed after fork; the pointers are valid.
    unsafe {
        let became = libc::setgroups(groups.len(), groups.as_ptr()) == 0
            && libc::setgid(account.gid) == 0
            && libc::setuid(account.uid) == 0;
        // Not to wait for whoever writes into a pipe.
        let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_CLOEXEC;
        let code = match became {
            false => NOT_TRIED,
            true if libc::open(path, flags) >= 0 => 0,
            true => io::Error::last_os_error()
                .raw_os_error()
                .unwrap_or(NOT_TRIED),
        };
        libc::_exit(code)
    }
}

fn outcome(child: libc::pid_t) -> io::Result<()> {
    let mut status = 0;
    loop {
        // SAFETY: the status outlives the call, and the child is ours.
        if unsafe { libc::waitpid(child, &raw mut status, 0) } == child {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    match libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)) {
        Some(0) => Ok(()),
        Some(code) if code != NOT_TRIED => Err(io::Error::from_raw_os_error(code)),
        _ => Err(io::Error::other("the account cannot be tried")),
    }
}

/// Groups of an account that are looked at.
const GROUPS_MAX: usize = 1024;
/// The exit code of a child that could not become the account.
const NOT_TRIED: c_int = 255;

#[cfg(test)]
mod tests {
    use super::super::process;
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_account_is_asked_by_trying() {
        let path = std::env::temp_dir().join(format!("gatepost-readable-{}", std::process::id()));
        assert!(!may_read(&path));
        fs::write(&path, "x").unwrap();
        assert!(may_read(&path));
        if process::is_root() {
            let nobody = process::account("nobody").unwrap();
            for (mode, want) in [(0o600, Some(libc::EACCES)), (0o644, None)] {
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
                let said = may_read_as("nobody", nobody, &path);
                let code = said.err().and_then(|error| error.raw_os_error());
                assert_eq!(code, want, "{mode:o}");
            }
        } else {
            eprintln!("SKIPPED: only root can ask for another account");
        }
        fs::remove_file(&path).unwrap();
    }
}
