//! Takes up what local programs leave in the drop folder (`SPOOL/drop`), in a thread of its own.
//!
//! | file | purpose |
//! | --- | --- |
//! | `envelope` | the form of a file |
//! | `scan` | which files come next |
//! | `policy` | whether the account may send it, and where its recipients go |
//! | `enqueue` | one message into the spool |
//!
//! Every local account may write there, so nothing in it is trusted: see [`crate::sys::maildrop`]. Promises: a file goes
//! only once its message is durable; what is no message is moved to `SPOOL/bad`, or removed where that has
//! [`SET_ASIDE_MAX`] of them or it is large; links, FIFOs and empty folders are removed; what cannot be taken
//! now is tried again. Accounts take turns, so that nobody keeps others out, and looking takes at most a
//! tenth of the thread's time. Refuses to know: sessions.

mod enqueue;
pub mod envelope;
pub mod policy;
mod scan;

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::events::pickup;
use crate::server::context::Context;
use crate::sys::maildrop;
use crate::sys::stamp::Stamp;
use crate::sys::{clock, machine, process, random, replace};
use enqueue::{Letter, NotTaken};
use policy::Author;

/// Files that are no messages and are kept for the operator.
const SET_ASIDE_MAX: usize = 50;
/// The largest of them, octets.
const SET_ASIDE_OCTETS_MAX: u64 = 1 << 20;
/// How often the folder is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The same after a scan that did something.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// When what could not be taken is tried again.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// What stands before the names of files set aside.
const SET_ASIDE: &str = "drop-";

/// The drop folder of a spool.
pub fn folder_of(spool: &Path) -> PathBuf {
    spool.join("drop")
}

/// Makes the folder where it is missing. Where that fails the service runs on: local programs hear that
/// their mail cannot be left.
pub(crate) fn prepare(spool: &Path) {
    if let Err(error) = maildrop::make_folder(&folder_of(spool)) {
        pickup::unavailable(error);
    }
}

/// Ends the thread.
pub(crate) struct Pickup {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Pickup {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system gives none.
    pub(crate) fn start(context: Arc<Context>) -> io::Result<Self> {
        let spool = context.setup().settings.spool.clone();
        let pickup = Rounds {
            folder: folder_of(&spool),
            bad: spool.join("bad"),
            context,
            done: HashSet::new(),
            trouble: String::new(),
        };
        let (stop, stopped) = mpsc::channel();
        let builder = std::thread::Builder::new().name("pickup".to_owned());
        let thread = builder.spawn(move || pickup.run(&stopped))?;
        Ok(Self { stop, thread })
    }

    /// Ends it after the message it is at.
    pub(crate) fn stop(self) {
        drop(self.stop);
        // A thread that panicked has left the files for the next start.
        let _ = self.thread.join();
    }
}

struct Rounds {
    context: Arc<Context>,
    folder: PathBuf,
    bad: PathBuf,
    /// Taken up, and could not be removed: they must not be taken again.
    done: HashSet<OsString>,
    /// What the log was told last of the folder.
    trouble: String,
}

/// How a scan went.
struct Looked {
    /// How long it took to look into the folder.
    took: Duration,
    /// Whether a file was taken up, or put away.
    removed: bool,
}

impl Rounds {
    fn run(mut self, stopped: &Receiver<()>) {
        let mut seen = None;
        let mut again_at: Option<Instant> = None;
        let mut pause = Duration::ZERO;
        loop {
            match stopped.recv_timeout(pause) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
            }
            pause = LOOK_EVERY;
            let now = clock::monotonic();
            let stamp = Stamp::of(&self.folder);
            let is_due = again_at.is_none_or(|at| at <= now);
            if stamp == seen && !is_due {
                continue;
            }
            // What changes the folder during the scan, our own removals too, is looked at once more.
            // The clock of a file system is coarse, so an equal stamp is no proof for ever.
            seen = stamp;
            again_at = Some(now + TRY_AGAIN_AFTER);
            match self.scan(stopped) {
                Ok(Looked { took, removed }) => {
                    let least = match removed {
                        // There may be more of them.
                        true => LOOK_AGAIN,
                        false => LOOK_EVERY,
                    };
                    pause = least.max(10 * took);
                }
                Err(error) => self.complain(&error.to_string()),
            }
        }
    }

    /// One scan.
    fn scan(&mut self, stopped: &Receiver<()>) -> io::Result<Looked> {
        if !maildrop::is_ours(&self.folder)? {
            let text = "the drop folder is not the service's own";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        let began = clock::monotonic();
        let is_over = || !matches!(stopped.try_recv(), Err(mpsc::TryRecvError::Empty));
        let names = scan::names(&self.folder, &is_over)?;
        let took = clock::monotonic().saturating_duration_since(began);
        self.trouble.clear();
        self.done.retain(|name| names.contains(name));
        let mut removed = false;
        for name in names {
            if is_over() {
                break;
            }
            removed |= self.take_up(&name);
        }
        if removed {
            // After a power cut a message whose removal was lost would come twice.
            replace::sync_folder_of(&self.folder.join("any"))?;
        }
        Ok(Looked { took, removed })
    }

    /// The same trouble is told once.
    fn complain(&mut self, trouble: &str) {
        if self.trouble != trouble {
            pickup::unavailable(trouble);
            self.trouble = trouble.to_owned();
        }
    }

    /// Takes up one file; whether its name is gone now.
    fn take_up(&mut self, name: &OsString) -> bool {
        let path = self.folder.join(name);
        if self.done.contains(name) {
            return self.remove(name, &path);
        }
        // A fault of ours costs this file a while, not the others their way.
        let injected = catch_unwind(AssertUnwindSafe(|| self.enqueue(name, &path)));
        let injected = injected.unwrap_or_else(|_| {
            let why = "a fault of gatepost".to_owned();
            Err((u32::MAX, NotTaken::Later(why)))
        });
        let shown = name.to_string_lossy();
        match injected {
            Ok(()) => self.remove(name, &path),
            Err((uid, NotTaken::Later(why))) => {
                pickup::deferred(shown, uid, why);
                false
            }
            Err((uid, NotTaken::Never(why))) => match self.set_aside(&path) {
                Ok(done) => {
                    pickup::discarded(shown, uid, why, done);
                    true
                }
                Err(error) => {
                    let why = format!("{why}, and it cannot be removed: {error}");
                    pickup::deferred(shown, uid, why);
                    false
                }
            },
        }
    }

    fn enqueue(&self, name: &OsString, path: &Path) -> Result<(), (u32, NotTaken)> {
        let (file, facts) = maildrop::open(path).map_err(|error| {
            let uid = maildrop::look(path).map_or(u32::MAX, |facts| facts.uid);
            (uid, not_opened(&error))
        })?;
        let injected = match is_a_name(name) {
            false => Err(NotTaken::Never(
                "its name is none that gatepost gives".to_owned(),
            )),
            true => {
                let setup = self.context.setup();
                let file = (file, facts.octets);
                let author = Author::new(facts.uid, process::user_id()).map_err(not_known);
                author
                    .and_then(|author| Letter::read((&self.context, &setup), file, author))
                    .and_then(Letter::enqueue)
            }
        };
        injected.map_err(|why| (facts.uid, why))
    }

    fn remove(&mut self, name: &OsString, path: &Path) -> bool {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                self.complain(&error.to_string());
                self.done.insert(name.clone());
                false
            }
            Ok(()) | Err(_) => {
                self.done.remove(name);
                true
            }
        }
    }

    /// Moves a file to where the operator can look at it, while there are few of them.
    fn set_aside(&self, path: &Path) -> io::Result<&'static str> {
        let names = fs::read_dir(&self.bad)?.flatten();
        let is_ours = |entry: &fs::DirEntry| {
            let name = entry.file_name();
            name.as_encoded_bytes().starts_with(SET_ASIDE.as_bytes())
        };
        let is_large = maildrop::look(path)?.octets > SET_ASIDE_OCTETS_MAX;
        let count = names.filter(is_ours).take(SET_ASIDE_MAX).count();
        if is_large || count >= SET_ASIDE_MAX {
            fs::remove_file(path)?;
            return Ok("removed");
        }
        let mut token = [0; 8];
        random::fill(&mut token)?;
        let name = format!("{SET_ASIDE}{:016x}", u64::from_le_bytes(token));
        fs::rename(path, self.bad.join(name))?;
        Ok("set-aside")
    }
}

fn not_known(error: io::Error) -> NotTaken {
    let why = machine::reason(&error);
    NotTaken::Later(format!("its account's name cannot be known now: {why}"))
}

fn not_opened(error: &io::Error) -> NotTaken {
    match error.kind() {
        io::ErrorKind::NotFound => NotTaken::Later("it is gone".to_owned()),
        // Its owner has put a lease on it.
        io::ErrorKind::WouldBlock => NotTaken::Later("its owner holds it".to_owned()),
        io::ErrorKind::PermissionDenied => {
            NotTaken::Never("its mode keeps the service from reading it".to_owned())
        }
        io::ErrorKind::InvalidInput => NotTaken::Never(error.to_string()),
        _ => NotTaken::Later(error.to_string()),
    }
}

/// A name as `sendmail` gives it.
fn is_a_name(name: &OsString) -> bool {
    let octets = name.as_encoded_bytes();
    let good = |octet: &u8| octet.is_ascii_alphanumeric() || *octet == b'-';
    octets.len() <= NAME_MAX_OCTETS && octets.iter().all(good)
}

/// The longest name that is taken for a message's, octets.
const NAME_MAX_OCTETS: usize = 64;
