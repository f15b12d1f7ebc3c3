//! System calls that the filter refused: counted where they happen, told by whoever asks.
//!
//! The kernel turns such a call into SIGSYS in the thread that made it, before the call does anything. The
//! handler notes the number and gives the call an error to come back with, so that the thread goes on as
//! with any call that fails. Promises: nothing is allocated, locked or written there. Limits: [`KINDS_MAX`]
//! different numbers in the life of the process; further ones only count in the total.

use std::io;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::calls::Number;
use super::filter;

/// Different calls that are kept apart.
const KINDS_MAX: usize = 64;

/// Calls that were refused under one number.
struct Kind {
    /// One more than the number; 0 = free.
    number: AtomicU32,
    times: AtomicU64,
}

static KINDS: [Kind; KINDS_MAX] = [const {
    Kind {
        number: AtomicU32::new(0),
        times: AtomicU64::new(0),
    }
}; KINDS_MAX];
static TOTAL: AtomicU64 = AtomicU64::new(0);

/// One call that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its number on this processor.
    pub number: u32,
    /// Its name; none for one that nobody thought of.
    pub name: Option<&'static str>,
    /// How often, since it was told last.
    pub times: u64,
}

/// How often a call was refused in the life of this process.
pub fn total() -> u64 {
    TOTAL.load(Ordering::Relaxed)
}

/// What was refused since this was asked last.
pub fn take() -> Vec<Refused> {
    let told = KINDS.iter().filter_map(|kind| {
        let number = kind.number.load(Ordering::Acquire).checked_sub(1)?;
        let times = kind.times.swap(0, Ordering::Relaxed);
        (times > 0).then(|| Refused {
            number,
            name: filter::name(Number::from(number as i32)),
            times,
        })
    });
    told.collect()
}

/// Has the kernel tell this process of such calls. Call it before the filter is put on.
pub(super) fn listen() -> io::Result<()> {
    // SAFETY: the action is filled before it is used, and the handler does only what a handler may.
    let result = unsafe {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        action.sa_sigaction = on_refusal as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
        libc::sigemptyset(&raw mut action.sa_mask);
        let set = libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut());
        // Where it were blocked, the kernel would end the process instead.
        let mut only = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(only.as_mut_ptr());
        libc::sigaddset(only.as_mut_ptr(), libc::SIGSYS);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, only.as_ptr(), std::ptr::null_mut());
        set
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// `siginfo_t` as the kernel fills it for SIGSYS.
#[repr(C)]
struct Info {
    signal: libc::c_int,
    error: libc::c_int,
    code: libc::c_int,
    address: *const libc::c_void,
    number: libc::c_int,
    architecture: libc::c_uint,
}

/// `SYS_SECCOMP`: it was a filter.
const BY_FILTER: libc::c_int = 1;

extern "C" fn on_refusal(_: libc::c_int, info: *const Info, context: *mut libc::c_void) {
    // SAFETY: the kernel passes both, filled for this signal, for the time of the handler.
    unsafe {
        if (*info).code != BY_FILTER {
            return;
        }
        note((*info).number as u32);
        come_back_with(context.cast(), (*info).error);
    }
}

fn note(number: u32) {
    TOTAL.fetch_add(1, Ordering::Relaxed);
    let own = number.wrapping_add(1);
    for kind in &KINDS {
        let free = kind
            .number
            .compare_exchange(0, own, Ordering::AcqRel, Ordering::Acquire);
        if free.is_ok() || free == Err(own) {
            kind.times.fetch_add(1, Ordering::Relaxed);
            return;
        }
    }
}

/// Puts the error where the call would have left its result.
unsafe fn come_back_with(context: *mut libc::ucontext_t, error: libc::c_int) {
    // SAFETY: the caller has the context from the kernel, and nobody else looks at it meanwhile.
    unsafe {
        let registers = &mut (*context).uc_mcontext;
        #[cfg(target_arch = "x86_64")]
        if let Some(result) = registers.gregs.get_mut(libc::REG_RAX as usize) {
            *result = -libc::greg_t::from(error);
        }
        #[cfg(target_arch = "aarch64")]
        if let Some(result) = registers.regs.first_mut() {
            *result = i64::from(-error) as u64;
        }
        #[cfg(target_arch = "arm")]
        {
            registers.arm_r0 = -error as libc::c_ulong;
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "arm")))]
        let _ = (registers, error);
    }
}
