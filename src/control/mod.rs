//! The operator's console: a local socket, and what goes over it.
//!
//! | file | purpose |
//! | --- | --- |
//! | `socket` | makes the socket, removes a dead server's, names a live one |
//! | `console` | the one thread that serves it, and looks for changed settings |
//! | `client` | asks a running service |
//! | `wire` | the two messages |
//! | `facts` | what is told, as a line or as JSON |
//! | `pages` | beside all that: the one thread that shows pages to programs over HTTP |
//!
//! The protocol is private to one version of the program: client and service are the same binary. One
//! request per connection. The client sends one line of words; the service answers with a head that
//! names an [`Outcome`] and two lengths, then the text for standard output and the text for standard
//! error, and closes.
//!
//! ```text
//! client:  for=1a2b3c4d tell smtp update config LF
//! service: gatepost 1 applied 27 0 LF [log] level: changed LF …
//! ```
//!
//! The first word names the configuration file ([`wire::addressee`]): two services that were given one
//! socket must not get each other's orders.
//!
//! Who may: root, the account the service runs as, and the members of the group that owns the socket
//! (mode 0660); the kernel says who is there. Promises: a console client never reaches the reactor or a worker; one that
//! stalls costs its place for a while and nothing else, and a command that takes its time runs in a thread of its own, at
//! most [`console::TASKS_MAX`] of them. Limits: a request of [`wire::REQUEST_MAX_OCTETS`];
//! an answer of [`wire::ANSWER_MAX_OCTETS`]; [`console::CLIENTS_MAX`] clients at a time, the rest wait in the backlog;
//! [`console::PATIENCE`] to send a request, and the same to take an answer. Refuses to know: what the
//! words mean; an [`Operator`] does.

pub mod client;
pub mod console;
pub(crate) mod facts;
pub mod pages;
pub mod socket;
pub mod wire;

use std::time::Instant;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// The words mean nothing.
    Usage,
    /// Not all of it could be had.
    Unavailable,
    /// It is not as it should be, and may be later.
    NotNow,
    /// Whoever asked may not.
    NotPermitted,
    /// The configuration has errors; nothing was changed.
    Configuration,
}

/// What the service says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// How it ended.
    pub outcome: Outcome,
    /// For standard output.
    pub output: String,
    /// For standard error.
    pub complaint: String,
}

impl Answer {
    /// All is well, and this is what there is to say.
    pub fn done(output: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Done,
            output: output.into(),
            complaint: String::new(),
        }
    }

    /// It did not come to anything, and why, in one line.
    pub fn refused(outcome: Outcome, why: impl std::fmt::Display) -> Self {
        Self {
            outcome,
            output: String::new(),
            complaint: format!("gatepost: {why}\n"),
        }
    }
}

/// What takes its time.
pub type Task = Box<dyn FnOnce() -> Answer + Send>;

/// What becomes of a request.
pub enum Reply {
    /// It was done at once.
    Now(Answer),
    /// It takes its time, in a thread of its own.
    Later(Task),
}

/// Whoever does what the console is told. All calls come from the console's thread, one at a time, and wait for
/// nothing.
pub trait Operator: Send + 'static {
    /// Does what the words say, or says how it is done; `user` asked for it.
    fn answer(&mut self, words: &[&str], user: u32) -> Reply;

    /// SIGHUP came.
    fn hang_up(&mut self) -> Task;

    /// Looks by itself whether there is something to do. Its next look is later than this one.
    fn look(&mut self) -> Option<Task>;

    /// When it wants to look next; never without.
    fn next_look(&self) -> Option<Instant>;
}
