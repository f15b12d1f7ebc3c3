//! Signals as a descriptor: blocked before any thread starts, then read one by one.

use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// A signal the service acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT: end gently.
    End,
    /// SIGHUP.
    HangUp,
    /// SIGCHLD: a child of ours has ended, or several.
    Child,
}

/// The descriptor signals are read from.
pub struct Signals(OwnedFd);

/// Blocks SIGTERM, SIGINT, SIGHUP and SIGCHLD in this thread, and in those it starts, and opens a descriptor
/// for them. Ignores SIGPIPE. Call it before the first thread is started.
///
/// # Errors
/// No descriptors left.
pub fn take() -> io::Result<Signals> {
    // SAFETY: `set` is initialised by sigemptyset before it is used; all are plain system calls.
    let descriptor = unsafe {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGCHLD] {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
        libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
    };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just opened and nobody else has it.
    Ok(Signals(unsafe { OwnedFd::from_raw_fd(descriptor) }))
}

/// In a helper of the service: what ends a service gently, sent to all its processes, is nothing to it.
pub(super) fn ignore_gentle_ends() {
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        // SAFETY: a plain system call that cannot fail for these.
        unsafe {
            libc::signal(signal, libc::SIG_IGN);
        }
    }
}

impl Signals {
    /// The next signal, if one has come.
    pub fn read(&mut self) -> Option<Signal> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::uninit();
        let size = mem::size_of::<libc::signalfd_siginfo>();
        // SAFETY: the buffer is as large as said; it is read only if the kernel filled it whole.
        let number = unsafe {
            let got = libc::read(self.0.as_raw_fd(), info.as_mut_ptr().cast(), size);
            if usize::try_from(got) != Ok(size) {
                return None;
            }
            info.assume_init().ssi_signo
        };
        Some(match libc::c_int::try_from(number) {
            Ok(libc::SIGHUP) => Signal::HangUp,
            Ok(libc::SIGCHLD) => Signal::Child,
            Ok(_) | Err(_) => Signal::End,
        })
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
