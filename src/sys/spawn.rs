//! A program is started: what every one of ours gets, whoever starts it.
//!
//! Promises: it starts in `/`, in a process group of its own, with the environment that was given and no
//! other, with no descriptor of ours but its three, and with no signal blocked or ignored. Refuses to know:
//! what it is run for, and how it ends.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, Child, Stdio};

/// The last signal of the old kind.
const LAST_SIGNAL: libc::c_int = 31;
/// `CLOSE_RANGE_CLOEXEC` of close_range(2).
const AT_EXEC: libc::c_uint = 4;

/// What to start.
pub(super) struct Command<'a, Variables> {
    /// The program, absolute.
    pub(super) program: &'a Path,
    /// What it is called with.
    pub(super) arguments: &'a [String],
    /// All of its environment: names and values.
    pub(super) environment: Variables,
    /// What becomes of it when we end.
    pub(super) leader: Leader,
}

/// What becomes of a program when whoever started it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leader {
    /// It goes on.
    Outlives,
    /// The kernel kills it, once the thread that started it has ended.
    EndsWithUs,
}

/// Starts it with these ends of pipes.
///
/// # Errors
/// It cannot be run: it is not there, we may not, no memory, no descriptors.
pub(super) fn start<'a>(
    order: Command<'a, impl Iterator<Item = (&'a str, &'a str)>>,
    input: OwnedFd,
    output: OwnedFd,
) -> io::Result<Child> {
    let mut command = process::Command::new(order.program);
    command
        .args(order.arguments)
        .env_clear()
        .envs(order.environment)
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::from(input))
        .stdout(Stdio::from(output.try_clone()?))
        .stderr(Stdio::from(output));
    let leader = order.leader;
    let own = libc::pid_t::try_from(process::id()).unwrap_or_default();
    // SAFETY: the closure makes system calls only, which are safe between fork and exec.
    unsafe {
        command.pre_exec(move || {
            if leader == Leader::EndsWithUs {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
                if libc::getppid() != own {
                    return Err(io::Error::from_raw_os_error(libc::ESRCH));
                }
            }
            with_plain_signals()
        });
    }
    command.spawn()
}

/// Kills it with its whole group, which is still its own while nobody has waited for it.
pub(super) fn kill(child: &Child) {
    if let Ok(id) = libc::pid_t::try_from(child.id()) {
        // SAFETY: a plain system call.
        unsafe {
            libc::kill(-id, libc::SIGKILL);
        }
    }
}

/// In the child: what we block and ignore is nothing to it, nor what we were started with.
fn with_plain_signals() -> io::Result<()> {
    // SAFETY: plain system calls; the set is initialised by sigemptyset before it is used.
    unsafe {
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        if libc::sigprocmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        for signal in 1..=LAST_SIGNAL {
            // Two of them cannot be ignored in the first place.
            libc::signal(signal, libc::SIG_DFL);
        }
        // Ours are closed at exec by themselves; this is for what we were started with. An old kernel
        // does not have it.
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, AT_EXEC);
    }
    Ok(())
}
