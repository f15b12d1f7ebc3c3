//! What the process uses of the machine, for whoever watches it.
//!
//! Promises: what cannot be found out is left out, and nothing else depends on it: `/proc` may be hidden from us.

use std::fs;
use std::time::Duration;

/// What the process uses; none where it cannot be found out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time, of all threads.
    pub cpu: Option<Duration>,
    /// Memory that is resident, octets.
    pub resident_octets: Option<u64>,
    /// Address space, octets.
    pub virtual_octets: Option<u64>,
    /// Descriptors that are open.
    pub descriptors: Option<u64>,
    /// Descriptors that may be open.
    pub descriptors_max: Option<u64>,
}

/// What the process uses now.
pub fn usage() -> Usage {
    let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let mut pages = pages.split(' ').map(|number| number.parse::<u64>().ok());
    let size = page_octets();
    let mut octets = || Some(pages.next()?? * size?);
    Usage {
        cpu: cpu(),
        virtual_octets: octets(),
        resident_octets: octets(),
        // The folder is one of them while it is read.
        descriptors: fs::read_dir("/proc/self/fd")
            .ok()
            .map(|entries| (entries.count() as u64).saturating_sub(1)),
        descriptors_max: descriptors_max(),
    }
}

fn page_octets() -> Option<u64> {
    // SAFETY: a plain call without pointers.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(size).ok()
}

fn cpu() -> Option<Duration> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a whole timespec that outlives the call.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).ok()?;
    let nanoseconds = u32::try_from(time.tv_nsec).ok()?;
    (result == 0).then(|| Duration::new(seconds, nanoseconds))
}

fn descriptors_max() -> Option<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a whole rlimit that outlives the call.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    // On some machines it is shorter.
    #[allow(clippy::unnecessary_cast)]
    (result == 0).then_some(limit.rlim_cur as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_uses_something_of_everything() {
        let used = usage();
        assert!(used.cpu.is_some_and(|cpu| cpu > Duration::ZERO), "{used:?}");
        let resident = used.resident_octets.unwrap();
        assert!(resident > 100_000 && resident < 1 << 33, "{used:?}");
        assert!(used.virtual_octets.unwrap() >= resident, "{used:?}");
        assert!(used.descriptors.unwrap() >= 3, "{used:?}");
        assert!(used.descriptors_max > used.descriptors, "{used:?}");
    }
}
