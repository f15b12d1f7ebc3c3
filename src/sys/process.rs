//! The process as a whole: its user, its limits, its memory.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;

use super::helper;

/// Whether we run as root.
pub fn is_root() -> bool {
    user_id() == 0
}

/// The user we run as.
pub fn user_id() -> u32 {
    // SAFETY: a plain system call without arguments.
    unsafe { libc::geteuid() }
}

/// A user account's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
}

/// Looks up an account by name.
///
/// # Errors
/// `NotFound` when there is none; else what the name service says.
pub fn account(name: &str) -> io::Result<Account> {
    let name = CString::new(name).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut entry = MaybeUninit::<libc::passwd>::uninit();
    let mut strings = vec![0; 16 * 1024];
    let mut found: *mut libc::passwd = std::ptr::null_mut();
    // SAFETY: all pointers are valid for the call and the buffer's length is given; `entry` is read
    // only when `found` says that it was filled.
    unsafe {
        let error = libc::getpwnam_r(
            name.as_ptr(),
            entry.as_mut_ptr(),
            strings.as_mut_ptr(),
            strings.len(),
            &raw mut found,
        );
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error));
        }
        if found.is_null() {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        let entry = entry.assume_init();
        Ok(Account {
            uid: entry.pw_uid,
            gid: entry.pw_gid,
        })
    }
}

/// The name of the account with this user id, where there is one and it is text. Where this process has a
/// helper, that asks ([`helper`]).
///
/// # Errors
/// It cannot be known now.
pub fn account_name(uid: u32) -> io::Result<Option<String>> {
    if let Some(helper) = helper::current() {
        return helper.account_name(uid);
    }
    let mut entry = MaybeUninit::<libc::passwd>::uninit();
    let mut strings = vec![0; 16 * 1024];
    let mut found: *mut libc::passwd = std::ptr::null_mut();
    // SAFETY: all pointers are valid for the call and the buffer's length is given; the name points
    // into the buffer and is read only when `found` says that the entry was filled.
    unsafe {
        let error = libc::getpwuid_r(
            uid,
            entry.as_mut_ptr(),
            strings.as_mut_ptr(),
            strings.len(),
            &raw mut found,
        );
        // "There is none" has many numbers, by getpwuid(3).
        let none = [0, libc::ENOENT, libc::ESRCH, libc::EBADF, libc::EPERM];
        if found.is_null() {
            return match none.contains(&error) {
                true => Ok(None),
                false => Err(io::Error::from_raw_os_error(error)),
            };
        }
        let name = CStr::from_ptr(entry.assume_init().pw_name);
        Ok(name.to_str().ok().map(str::to_owned))
    }
}

/// Becomes `account` for good, in all threads: supplementary groups, group, user. Of root's powers one
/// stays, where we had it: binding ports below 1024, which a refresh may have to do. Call it before
/// the first thread is started: the powers are per thread, and threads inherit them.
///
/// # Errors
/// What the kernel says; the caller must end then, for it may be half done.
pub fn become_account(name: &str, account: Account) -> io::Result<()> {
    let name = CString::new(name).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: plain system calls; the name is a C string that outlives them.
    unsafe {
        check(libc::initgroups(name.as_ptr(), account.gid))?;
        check(libc::setgid(account.gid))?;
        if account.uid == 0 {
            return check(libc::setuid(0));
        }
        check(libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0))?;
        check(libc::setuid(account.uid))?;
        keep_only(1 << CAP_NET_BIND_SERVICE)?;
        // Being able to come back would mean that the drop did not take.
        if libc::setuid(0) == 0 {
            return Err(io::Error::other("root could be taken back"));
        }
    }
    Ok(())
}

/// Gives up every capability but those that are for files and for ports below 1024, for good in this thread and
/// those it starts. Who has no others is left alone: a service manager's filter may forbid to change any.
///
/// # Errors
/// What the kernel says.
pub(super) fn keep_few_powers() -> io::Result<()> {
    let kept = FOR_FILES | 1 << CAP_NET_BIND_SERVICE;
    match capabilities()? {
        [low, high] if low.permitted & !kept == 0 && high.permitted == 0 => Ok(()),
        _ => keep_only(kept),
    }
}

/// Gives up every capability but these of the first 32, and these too where we do not have them.
fn keep_only(kept: u32) -> io::Result<()> {
    let [low, _] = capabilities()?;
    let permitted = low.permitted & kept;
    let low = CapabilitySets {
        effective: permitted,
        permitted,
        inheritable: 0,
    };
    let (header, sets) = (OWN, [low, CapabilitySets::default()]);
    // SAFETY: header and sets have the kernel's layout for version 3 and outlive the call.
    check_long(unsafe { libc::syscall(libc::SYS_capset, &raw const header, sets.as_ptr()) })
}

/// What this thread may do.
fn capabilities() -> io::Result<[CapabilitySets; 2]> {
    let mut header = OWN;
    let mut sets = [CapabilitySets::default(); 2];
    // SAFETY: as above; the kernel fills both sets, and the header where it does not know the version.
    check_long(unsafe { libc::syscall(libc::SYS_capget, &raw mut header, sets.as_mut_ptr()) })?;
    Ok(sets)
}

/// Gives up every capability, and those that programs would be given; keeps to that over an exec, whatever the
/// program's file says. As root, who needs none of them named, the account stays what it is.
pub(super) fn keep_no_powers() {
    if !is_root() {
        // SAFETY: plain system calls. A kernel without ambient capabilities gives none away.
        unsafe {
            libc::prctl(
                libc::PR_CAP_AMBIENT,
                libc::PR_CAP_AMBIENT_CLEAR_ALL,
                0,
                0,
                0,
            );
        }
        // A service manager's filter may keep us from it; what is left then is one port number.
        let _ = keep_only(0);
    }
    // SAFETY: a plain system call.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    }
}

/// From here on no other process of the account can look into this one or change it.
///
/// # Errors
/// What the kernel says.
pub(super) fn refuse_tracers() -> io::Result<()> {
    // SAFETY: a plain system call.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) })
}

/// How this process is called in lists; at most 15 octets.
pub(super) fn set_name(name: &str) {
    if let Ok(name) = CString::new(name) {
        // SAFETY: the name is a C string that outlives the call.
        unsafe {
            libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0);
        }
    }
}

/// `struct __user_cap_header_struct` of capset(2).
#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: libc::c_int,
}

/// `struct __user_cap_data_struct`: 32 capabilities; a process has two of them.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapabilitySets {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// The calling thread, by version 3 of the interface.
const OWN: CapabilityHeader = CapabilityHeader {
    version: 0x2008_0522,
    pid: 0,
};
const CAP_NET_BIND_SERVICE: u32 = 10;
/// Those that let root use the files of every account: CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER.
const FOR_FILES: u32 = 1 << 1 | 1 << 2 | 1 << 3;

/// Raises the soft limit of open descriptors to the hard one; gives the limit then in force.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a whole rlimit that outlives the calls.
    unsafe {
        check(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit))?;
        if limit.rlim_cur < limit.rlim_max {
            limit.rlim_cur = limit.rlim_max;
            check(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit))?;
        }
    }
    #[allow(
        clippy::useless_conversion,
        reason = "the field is 32 bits wide on some targets"
    )]
    Ok(u64::from(limit.rlim_cur))
}

/// New files are for this user alone.
pub fn restrict_new_files() {
    // SAFETY: a plain system call that cannot fail.
    unsafe {
        libc::umask(0o077);
    }
}

/// Keeps the allocator's arenas few: memory that one thread freed serves the others.
pub fn limit_allocator_arenas() {
    #[cfg(target_env = "gnu")]
    // SAFETY: a tuning call with constant arguments, made before threads start.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}

/// Gives free memory back to the system.
pub fn trim_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: safe to call at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

fn check_long(result: libc::c_long) -> io::Result<()> {
    check(libc::c_int::from(result != 0))
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
