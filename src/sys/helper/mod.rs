//! A helper process, for what the service itself may not do once it is in its sandbox: run programs, and ask
//! what libc answers from files of `/etc`.
//!
//! It is forked before the sandbox and before any thread, as the account. libc finds its files by name each
//! time it looks, and programs like DHCP clients replace them; a sandbox knows files, not names, and would
//! hold the old ones. So the helper is outside, small, and asked.
//!
//! ```text
//! service ── request, where to answer, descriptors ──► helper ── a thread ──► libc, or fork and exec
//!         ◄───────── answer, by that socket ──────────
//! ```
//!
//! Each request brings a socket of its own for what is said about it, so nobody shares anything: whoever asks
//! waits there, and a helper that dies is an end of file there. The socket of a program is its life line:
//! where it is closed the program is killed with its group. When the service has ended, which the kernel tells
//! ([`service`]), the helper closes all of them, and ends once nothing runs. That is also
//! why the kernel is not asked to kill the helper with its parent: it has to outlive it for that moment.
//!
//! Promises:
//! - It runs only programs that the configuration names, with the arguments that stand there, by its own
//!   reading of the file ([`Catalogue`]): a service that somebody has taken over cannot have it run another.
//!   The environment is checked by name and value.
//! - It never blocks on a program, a name service or a full socket: each has a thread of its own.
//! - Of the service's descriptors it keeps its socket and the standard error output; of its powers none. Of
//!   signals it minds none that ends a service gently, so that what runs can finish, and ends when the service
//!   has ended. Nobody traces it but root, and neither it nor a program it runs wins powers by an exec
//!   (`no_new_privs`), whoever started the service.
//! - Everything that comes is read as if it came from a stranger ([`wire`]). Of descriptors it takes what a request
//!   needs: a fresh socket of this kind, which is not the service's own end, and for a program two pipes, so that
//!   nothing that runs can hold what the helper waits for.
//!
//! Refuses to know: sections and variables, which are the [`Catalogue`]'s. Limits: [`PROGRAMS_MAX`] and
//! [`QUESTIONS_MAX`] at a time; what is beyond fails at once, and may be tried later.
//!
//! There is no second helper: one that died leaves a service that can run nothing and look up nothing, and that
//! cannot make another from inside its sandbox. Whoever started the process has to hear it ([`fate`]).

use std::io;
use std::path::PathBuf;
use std::sync::{MutexGuard, OnceLock};
use std::time::Duration;

use super::only_thread::OnlyThread;

mod asking;
mod channel;
mod child;
mod own_process;
mod service;
mod wire;

pub(super) use asking::{News, ProgramHandle, gone};
use channel::Channel;

use crate::sys::sync::Mutex;
pub use own_process::{PROGRAMS_MAX, QUESTIONS_MAX};

/// How the process is called in lists of processes.
pub const NAME: &str = "gatepost-helper";
/// How long the helper may take to take a request. It takes each at once.
const SEND_MAX: Duration = Duration::from_secs(10);

/// What is run for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The program, absolute.
    pub program: PathBuf,
    /// What it is called with.
    pub arguments: Vec<String>,
}

/// What may be run, as the helper itself finds it. It lives in the helper.
pub trait Catalogue {
    /// Finds it anew.
    ///
    /// # Errors
    /// Why not, in words for the operator; what was found before goes on.
    fn reload(&mut self) -> Result<(), String>;
    /// What this name stands for.
    fn entry(&self, name: &str) -> Option<Entry>;
    /// Whether a program may find this in its environment.
    fn allows(&self, variable: &str, value: &str) -> bool;
}

/// The service's end of the helper.
#[derive(Debug)]
pub(super) struct Helper {
    channel: Channel,
}

/// The helper of this process.
#[derive(Debug)]
struct Own {
    helper: Helper,
    process: libc::pid_t,
    /// How it ended, once it has.
    fate: Mutex<Option<String>>,
}

static OWN: OnceLock<Own> = OnceLock::new();

/// The helper of this process, dead or alive, where it has one.
pub(super) fn current() -> Option<&'static Helper> {
    OWN.get().map(|own| &own.helper)
}

/// Forks the helper. From here on programs are run by it and questions are put to it, for good. Call it as the
/// account, and before whatever keeps a child from running programs.
///
/// # Errors
/// There is a helper already; there are threads; no memory, no processes, no descriptors.
pub fn start(catalogue: Box<dyn Catalogue>, alone: &OnlyThread) -> io::Result<()> {
    if OWN.get().is_some() {
        return Err(io::Error::other("there is a helper process already"));
    }
    // Only this thread would go on in the child, and others might hold a lock for ever.
    if !alone.is_alone() {
        return Err(io::Error::other("threads have been started before it"));
    }
    let (ours, theirs) = Channel::pair()?;
    ours.set_patience(SEND_MAX)?;
    let service = (std::process::id(), ours.identity()?);
    // SAFETY: there is no other thread, so the child is a whole process and may do anything.
    let process = unsafe { libc::fork() };
    match process {
        0 => own_process::live(theirs, catalogue, service),
        1.. => {
            let own = Own {
                helper: Helper { channel: ours },
                process,
                fate: Mutex::new(None),
            };
            // Nobody else is there to have set it.
            let _ = OWN.set(own);
            Ok(())
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// Has the helper read the configuration anew; nothing where there is none.
///
/// # Errors
/// It cannot, or there is no helper any more; in words for the operator.
pub fn reload() -> io::Result<()> {
    current().map_or(Ok(()), Helper::reload)
}

/// How the helper ended, in words, where it has; asked when a child of ours has ended (SIGCHLD).
pub fn fate() -> Option<String> {
    let own = OWN.get()?;
    let mut fate = own.lock();
    if fate.is_none() {
        let mut status: libc::c_int = 0;
        // SAFETY: the pointer is to `status`. Nobody else waits for this child.
        let waited = unsafe { libc::waitpid(own.process, &raw mut status, libc::WNOHANG) };
        *fate = (waited == own.process).then(|| match libc::WIFSIGNALED(status) {
            true => format!("killed by signal {}", libc::WTERMSIG(status)),
            false => format!("exit status {}", libc::WEXITSTATUS(status)),
        });
    }
    fate.clone()
}

impl Own {
    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        // It is replaced as a whole.
        self.fate.lock()
    }
}

#[cfg(test)]
pub(super) mod tests;
