//! Walls around a running process that it cannot take down again.
//!
//! | part | keeps from | file |
//! | --- | --- | --- |
//! | `no_new_privs` | gaining anything by starting a program (setuid, file capabilities); of root's powers, where the service stays root, all but those for files and ports | here |
//! | `no_dumps` | core dumps, and being looked into by others of the same account | here |
//! | `landlock` | all files but those that are granted, signals to others | `landlock` |
//! | `seccomp` | system calls that the service does not make | `filter`, `calls`, `bpf` |
//!
//! `refused` counts what the filter refuses; `reach` tells which folders a file needs. Promises: each part
//! stands by itself; one that the kernel lacks is named, and the others hold. Limits: Landlock and seccomp
//! are of the calling thread and those it starts from then on, so [`enter`] takes the proof that there is no second one.
//! Refuses to know: what the service needs; the caller says so.

use std::io;
use std::path::{Path, PathBuf};

use super::only_thread::OnlyThread;
use super::process;

mod bpf;
mod calls;
mod filter;
mod landlock;
pub mod reach;
mod refused;

use landlock::Ruleset;
pub use landlock::{Access, Scope};
pub use refused::{Refused, take as take_refused, total as refused_total};

/// What the process keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Folders with all below them, and files. What is not there is passed over.
    pub grants: Vec<(PathBuf, Access)>,
    /// What it may do with others on this machine.
    pub scope: Scope,
}

/// A part of the walls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// No privileges are gained by starting programs.
    NoNewPrivileges,
    /// The process is not dumped.
    NoDumps,
    /// Landlock, by the kernel's version of it.
    Landlock(u32),
    /// The filter of system calls.
    Seccomp,
}

/// What stands of the walls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Walls {
    /// The parts that hold.
    pub hold: Vec<Part>,
    /// The names of those that could not be had, and why.
    pub lack: Vec<(&'static str, String)>,
}

impl Walls {
    fn add(&mut self, name: &'static str, made: io::Result<Part>) {
        match made {
            Ok(part) => self.hold.push(part),
            Err(error) => self.lack.push((name, crate::sys::machine::reason(&error))),
        }
    }
}

/// Puts up the walls, for this thread and those it starts: all that there will be.
pub fn enter(plan: &Plan, _alone: OnlyThread) -> Walls {
    let mut walls = Walls::default();
    walls.add("no_new_privs", no_new_privileges());
    walls.add("no_dumps", no_dumps());
    walls.add("landlock", guard_files(plan));
    // Last: it forbids the calls that the others are made by.
    let seccomp = refused::listen().and_then(|()| filter::restrict());
    walls.add("seccomp", seccomp.map(|()| Part::Seccomp));
    walls
}

/// Rules for files, and for what reaches other processes.
fn guard_files(plan: &Plan) -> io::Result<Part> {
    let ruleset = Ruleset::new(plan.scope)?;
    for (path, access) in &plan.grants {
        grant(&ruleset, path, *access)?;
    }
    let version = ruleset.version();
    ruleset.restrict()?;
    reach::wall_off();
    Ok(Part::Landlock(version))
}

fn grant(ruleset: &Ruleset, path: &Path, access: Access) -> io::Result<()> {
    match ruleset.grant(path, access) {
        // What we may not come near now we could not open later either.
        Err(error) if is_out_of_the_way(&error) => Ok(()),
        granted => granted,
    }
}

fn is_out_of_the_way(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    matches!(error.kind(), NotFound | PermissionDenied | NotADirectory)
}

fn no_new_privileges() -> io::Result<Part> {
    // SAFETY: a plain system call.
    match unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } {
        0 => process::keep_few_powers().map(|()| Part::NoNewPrivileges),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Mail and passwords are in memory: no file of it is left when the process dies.
fn no_dumps() -> io::Result<Part> {
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: plain system calls; the limit outlives the one that reads it.
    let result = unsafe {
        match libc::setrlimit(libc::RLIMIT_CORE, &raw const none) {
            0 => libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0),
            failed => failed,
        }
    };
    match result {
        0 => Ok(Part::NoDumps),
        _ => Err(io::Error::last_os_error()),
    }
}
