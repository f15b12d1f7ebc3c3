//! What the helper knows of the service: whether it has ended, and which socket is its own.
//!
//! An end of file on the channel would tell of its end as well, but for a service that was taken over: it can pass
//! its end to a program, which then keeps it open. The kernel's word cannot be kept back: a descriptor of the
//! process (Linux 5.3), before it a signal to the helper at its parent's end, read as a descriptor.

use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::channel::{Channel, Identity};

/// The signal at the parent's end, where the kernel has no descriptor of it.
const SIGNAL: libc::c_int = libc::SIGUSR1;

/// The service, as its helper sees it.
pub(super) struct Service {
    id: libc::pid_t,
    /// Readable once it has ended.
    told: OwnedFd,
    is_signal: bool,
    /// Its end of the channel, which no request may bring.
    pub(super) end: Identity,
}

impl Service {
    /// Watches our parent, which is this process. The account must be the last one: the kernel forgets the
    /// signal where ids change.
    ///
    /// # Errors
    /// It has ended already; no descriptors left.
    pub(super) fn watch(id: libc::pid_t, end: Identity) -> io::Result<Self> {
        let (told, is_signal) = match descriptor_of(id) {
            Some(told) => (told, false),
            None => (signal_at_its_end()?, true),
        };
        let service = Self {
            id,
            told,
            is_signal,
            end,
        };
        // From before that the kernel would not have told.
        match service.is_our_parent() {
            true => Ok(service),
            false => Err(io::Error::other("the service has ended")),
        }
    }

    /// Waits for a message or the service's end; true for a message.
    pub(super) fn has_sent(&self, channel: &Channel) -> bool {
        let entry = |fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        loop {
            let mut entries = [entry(self.told.as_raw_fd()), entry(channel.as_raw_fd())];
            // SAFETY: the entries outlive the call, and their number is right.
            let ready = unsafe { libc::poll(entries.as_mut_ptr(), 2, -1) };
            let [told, message] = entries;
            if ready > 0 && told.revents != 0 && self.has_ended() {
                return false;
            }
            if ready > 0 && message.revents != 0 {
                return true;
            }
        }
    }

    fn has_ended(&self) -> bool {
        if !self.is_signal {
            return true;
        }
        // Somebody else's signal says nothing.
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::uninit();
        // SAFETY: the buffer is as large as said, and nothing of it is looked at.
        unsafe {
            let size = mem::size_of::<libc::signalfd_siginfo>();
            libc::read(self.told.as_raw_fd(), info.as_mut_ptr().cast(), size);
        }
        !self.is_our_parent()
    }

    fn is_our_parent(&self) -> bool {
        // SAFETY: a plain system call.
        unsafe { libc::getppid() == self.id }
    }
}

/// A descriptor that is readable once the process has ended; kernels since 5.3 have it.
pub(super) fn descriptor_of(id: libc::pid_t) -> Option<OwnedFd> {
    // SAFETY: a plain system call; what it opens is close-on-exec and nobody else's.
    unsafe {
        let descriptor = libc::syscall(libc::SYS_pidfd_open, id, 0);
        let descriptor = RawFd::try_from(descriptor).ok().filter(|one| *one >= 0)?;
        Some(OwnedFd::from_raw_fd(descriptor))
    }
}

fn signal_at_its_end() -> io::Result<OwnedFd> {
    // SAFETY: `set` is initialised by sigemptyset before it is used; all are plain system calls.
    unsafe {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), SIGNAL);
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        let descriptor = libc::signalfd(-1, set.as_ptr(), flags);
        if descriptor < 0 || libc::prctl(libc::PR_SET_PDEATHSIG, SIGNAL, 0, 0, 0) != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(OwnedFd::from_raw_fd(descriptor))
    }
}
