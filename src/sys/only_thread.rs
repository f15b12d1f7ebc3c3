//! Proof that the process has one thread, for what must not be done once there are more: changing the
//! environment, and a fork whose child goes on as a whole process.
//!
//! Promises: there is one [`OnlyThread`] in the life of a process at most, `main` makes it, and it stays in that
//! thread. It is not made where there are more, as far as the C library can tell (GNU's since 2.32). Limits: who has it could still start a thread, so what forks asks again ([`OnlyThread::is_alone`]).

use std::fs;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};

/// This thread is the only one of the process.
#[derive(Debug)]
pub struct OnlyThread {
    /// It is sent to no other thread.
    _stays: PhantomData<*const ()>,
}

static MADE: AtomicBool = AtomicBool::new(false);

impl OnlyThread {
    /// Makes the proof, as the first thing that `main` does; none where that is not so.
    pub fn at_start() -> Option<Self> {
        // SAFETY: plain system calls.
        let is_main = unsafe { libc::gettid() == libc::getpid() };
        let is_first = is_main && !are_more() && !MADE.swap(true, Ordering::Relaxed);
        is_first.then_some(Self {
            _stays: PhantomData,
        })
    }

    /// For tests, whose threads are many.
    #[cfg(test)]
    pub(super) fn pretended() -> Self {
        Self {
            _stays: PhantomData,
        }
    }

    /// Whether that is still so.
    pub(super) fn is_alone(&self) -> bool {
        !are_more()
    }
}

/// Whether there are other threads. The C library knows of each that was ever started, the kernel of those that
/// run, the threads of an emulator among them, which are none of ours. Where the library says nothing, `main` is
/// taken at its word, but in debug builds.
fn are_more() -> bool {
    let runs_more = || fs::read_dir("/proc/self/task").map(|tasks| tasks.count() > 1);
    // SAFETY: the name is a C string. What it stands for is a `char` that lives as long as the process, and only
    // this thread's starting another one changes it.
    let was_alone = unsafe {
        let found = libc::dlsym(libc::RTLD_DEFAULT, c"__libc_single_threaded".as_ptr());
        let flag = found.cast::<libc::c_char>();
        (!flag.is_null()).then(|| flag.read_volatile() != 0)
    };
    match was_alone {
        Some(true) => false,
        Some(false) => runs_more().unwrap_or(true),
        None => cfg!(debug_assertions) && runs_more().unwrap_or(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_is_not_the_only_one_gets_none() {
        // Tests run in threads of their own.
        assert!(OnlyThread::at_start().is_none());
        assert!(are_more());
    }
}
