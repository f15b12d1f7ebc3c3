//! Many small system calls that mostly wait, such as removing files: several threads wait at the same time.
//!
//! Promises: everything is done on return, and each of it once; the caller's own thread does what no other was there
//! for. Refuses to know: what is done. Limits: [`THREADS_MAX`] threads more, none for fewer than [`FEW`].

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::sync::Mutex;

/// Threads beside the caller's.
const THREADS_MAX: usize = 7;
/// Not worth a thread.
const FEW: usize = 32;

/// Does `one` for each number below `count`, in no order.
///
/// # Errors
/// One of those that there were, and for which number; the others were tried as well.
pub fn for_each(
    count: usize,
    one: &(dyn Fn(usize) -> io::Result<()> + Sync),
) -> Result<(), (usize, io::Error)> {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(None);
    let work = || loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= count {
            return;
        }
        if let Err(error) = one(number) {
            *failed.lock() = Some((number, error));
        }
    };
    thread::scope(|scope| {
        for _ in 0..THREADS_MAX.min(count / FEW) {
            let thread = thread::Builder::new().stack_size(64 * 1024);
            // Without it the others do more.
            let _ = thread.spawn_scoped(scope, work);
        }
        work();
    });
    let failed = failed.lock().take();
    failed.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_done_once_and_an_error_is_told() {
        for count in [0, 1, FEW, 1000] {
            let done: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
            let told = for_each(count, &|number| {
                done[number].fetch_add(1, Ordering::Relaxed);
                match number {
                    700 => Err(io::ErrorKind::StorageFull.into()),
                    _ => Ok(()),
                }
            });
            assert!(done.iter().all(|one| one.load(Ordering::Relaxed) == 1));
            let failed = told.map_err(|(number, error)| (number, error.kind()));
            let want = match count {
                1000 => Err((700, io::ErrorKind::StorageFull)),
                _ => Ok(()),
            };
            assert_eq!(failed, want);
        }
    }
}
