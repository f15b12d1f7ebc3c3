//! The spool: a write-ahead log with group commit; the only maker of a [`Committed`].
//!
//! **Point of acceptance.** A message is accepted when the record that holds it (or that names its
//! file, which was synced with its folder before) has been written to the log and `fdatasync` of
//! that segment has returned. Nothing else makes a [`Committed`], and without one there is no 250.
//!
//! **Where a message is.**
//!
//! | state | in the log | in `queue/` | in a Maildir | after a crash |
//! | --- | --- | --- | --- | --- |
//! | draft, small | – | – | – | gone; the client was told nothing |
//! | draft, large | – | `ID.eml`, unsynced | – | the orphan is removed |
//! | committed | record, synced | `ID.eml` if large, synced | – | delivered |
//! | delivered | record, synced | as before | renamed to `new/`, unsynced | written again, in the place of its copy |
//! | checkpointed | record and a done record | removed | synced | done |
//! | carried in part | record and a done record, both synced | as before | – | the rest is tried again |
//! | ended, sender not told | record and a done record with the reason | as before | – | its sender is told |
//! | deferred | record, until its segment is wanted | – | – | tried again |
//! | held | as evicted | `ID.eml` and `ID.env`, synced | – | waits for the operator |
//! | ended, its sender told later | as evicted | `ID.eml`, its header section alone, and `ID.env` | – | its sender is told |
//! | evicted | record, until its segment is reused | `ID.eml` and `ID.env`, synced | – | the `.env` wins |
//! | finished | segment reused by its next generation | – | synced | unknown, as it should be |
//!
//! **Why nothing is lost or invented.** A segment is reused only after everything in it was
//! checkpointed or evicted, and first its header gets the next generation, synced; a record counts
//! only if it carries its segment's generation, so an old one never replays. Segments are let go
//! strictly oldest first, so a done record never goes before the message it speaks of. A torn record
//! fails its checksum, which starts from a salt that no peer knows, so that octets inside a torn message
//! never pass for a record. Maildir names derive from the message id, so a replay finds its own copy and
//! writes it again in its place: a name may outlast a power cut without its octets. A start first
//! syncs the file system: what a killed run left unsynced is visible, and must not be built upon before.
//! It needs no space, and keeps a second server out by `lock` and by every segment.
//!
//! **Windows that are left.** A batch whose sync fails is refused and its record headers are wiped;
//! if the wipe fails too and the machine then stops, such a message may be delivered although the client
//! was told 451 and sends it again. Done records are not synced by themselves but with the next
//! commit into their segment, or by the kernel within half a minute or so (those of recipients that a
//! lane carried are synced at once): after a power cut in that time, a fresh message that its reader has deleted meanwhile
//! comes a second time. A reader that moves mail between our look and our rename, during a replay, may
//! get a second copy. A page of 4096 octets may be lost as a whole while it is written, never another one.
//!
//! A notification is committed before the recipients it speaks of are done, each with a sync of its own: a
//! power cut between the two has a sender told a second time, and never not at all.
//!
//! **Limits.** Segments of `segment_octets`, at most `segments_max` of them; content up to
//! [`INLINE_MAX_OCTETS`] stays in the record, and all of it in memory at once stays under
//! `memory_octets`; what is past either goes to a file while it comes in. Envelopes come with the members of
//! groups unwritten; those that are long and wait for the committer stay under `memory_octets` as well, and
//! past it the message is refused with 452. An undelivered message costs
//! some 100 octets of memory.
//!
//! | file | purpose |
//! | --- | --- |
//! | `format` | records and segment headers, octet by octet |
//! | `meta` | the envelope as text |
//! | `draft` | a message coming in |
//! | `log` | segments: append, rotate, release |
//! | `commit` | one sync for all who wait |
//! | `store` | the messages there are, and reading them |
//! | `settle` | letting go of messages and of segments |
//! | `header` | messages of which the header section is enough |
//! | `copies` | copies in Maildirs that are not durable yet |
//! | `operate` | hold, release, delete, for the operator |
//! | `queue` | reading the messages in files of their own, beside a start |
//! | `vitals` | how the spool is, for whoever watches |
//! | `history` | what was tried, for the operator |
//! | `recover` | start-up |

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::mail::MessageId;
use crate::stats::Stats;

mod commit;
mod copies;
mod draft;
pub mod format;
mod header;
pub mod history;
mod log;
mod meta;
mod operate;
mod queue;
mod recover;
mod settle;
mod store;
pub mod vitals;

pub use draft::Draft;
pub use header::HEADER_MAX_OCTETS;
pub use history::Attempt;
pub use meta::{Attempts, Origin};
pub use operate::Batch;
pub use settle::{Party, Settled};
pub use store::{Content, Spool, Stored};

/// The largest content kept inside a record, octets.
pub const INLINE_MAX_OCTETS: usize = 256 * 1024;
/// How long commits wait for a segment before they are refused.
const STARVATION_MAX: Duration = Duration::from_secs(30);

/// Proof that a message is durable. Only the spool can make one, after the sync.
#[derive(Debug)]
pub struct Committed {
    id: MessageId,
}

impl Committed {
    /// A proof of nothing, for tests of what is above the spool.
    #[cfg(test)]
    pub(crate) fn for_tests(id: MessageId) -> Self {
        Self { id }
    }

    /// The id of the message.
    pub fn id(&self) -> MessageId {
        self.id
    }
}

/// Why the spool does not take a message, in the two kinds a peer may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No space: `452 4.3.1`.
    NoSpace,
    /// Anything else: `451 4.3.0`.
    Failure,
}

impl Refusal {
    /// The error that it stands for.
    fn into_error(self) -> io::Error {
        match self {
            Self::NoSpace => io::ErrorKind::StorageFull.into(),
            Self::Failure => io::Error::other("the disk failed"),
        }
    }
}

impl From<&io::Error> for Refusal {
    fn from(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace,
            _ => Self::Failure,
        }
    }
}

/// How a spool is set up.
#[derive(Debug, Clone)]
pub struct SpoolOptions {
    /// Its folder.
    pub folder: PathBuf,
    /// Octets to keep free in its file system.
    pub free_space: u64,
    /// Content of all drafts held in memory, octets.
    pub memory_octets: u64,
    /// Size of a segment, octets; a multiple of 4096.
    pub segment_octets: u64,
    /// Segments there may be.
    pub segments_max: usize,
    /// Batches of records begin at multiples of this in a segment, octets: a multiple of 32, up to 4096.
    pub batch_align: u32,
    /// How long a commit waits for a free segment before it is refused.
    pub patience: Duration,
    /// The run of the ids given out, 48 bits that no other start has.
    pub run: u64,
    /// What the salts of the log are made from, known to nobody; 0 = drawn when the spool is opened.
    pub secret: u64,
    /// Where commits are counted.
    pub stats: Arc<Stats>,
}

impl SpoolOptions {
    /// The usual sizes for a folder and a run.
    pub fn new(folder: PathBuf, run: u64) -> Self {
        Self {
            folder,
            free_space: 64 << 20,
            memory_octets: 8 << 20,
            segment_octets: 4 << 20,
            segments_max: 8,
            batch_align: format::PAGE as u32,
            patience: STARVATION_MAX,
            run,
            secret: 0,
            stats: Arc::default(),
        }
    }

    /// The largest content kept inside a record: a segment holds some of them.
    fn inline_max(&self) -> usize {
        let quarter = usize::try_from(self.segment_octets / 4).unwrap_or(usize::MAX);
        quarter.min(INLINE_MAX_OCTETS)
    }

    fn log_folder(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn queue_folder(&self) -> PathBuf {
        self.folder.join("queue")
    }

    fn bad_folder(&self) -> PathBuf {
        self.folder.join("bad")
    }

    fn history_folder(&self) -> PathBuf {
        self.folder.join("history")
    }

    fn history_file(&self, id: MessageId) -> PathBuf {
        self.history_folder().join(id.to_string())
    }

    fn queue_file(&self, id: MessageId, kind: &str) -> PathBuf {
        self.folder.join("queue").join(format!("{id}.{kind}"))
    }
}

/// The spool cannot do what was asked.
#[derive(Debug)]
pub enum SpoolError {
    /// Another process has the spool.
    InUse(PathBuf),
    /// The disk failed at a step.
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no such message.
    NoSuchMessage(MessageId),
    /// A message is there but does not check out.
    Damaged(MessageId),
    /// A message is being delivered just now.
    InHand(MessageId),
    /// A copy of a message may be in a Maildir and not durable; see [`Spool::settle_copies`].
    CopyNotDurable(MessageId),
}

impl SpoolError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }

    fn refusal(&self) -> Refusal {
        match self {
            Self::Io { source, .. } => Refusal::from(source),
            Self::InUse(_)
            | Self::NoSuchMessage(_)
            | Self::Damaged(_)
            | Self::InHand(_)
            | Self::CopyNotDurable(_) => Refusal::Failure,
        }
    }
}

impl fmt::Display for SpoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(path) => {
                write!(f, "another gatepost uses the spool {}", path.display())
            }
            Self::Io {
                doing,
                path,
                source,
            } => write!(f, "{doing} {}: {source}", path.display()),
            Self::NoSuchMessage(id) => write!(f, "there is no message {id}"),
            Self::Damaged(id) => write!(f, "message {id} is damaged"),
            Self::InHand(id) => {
                write!(
                    f,
                    "message {id} is being delivered just now; try again, or hold it"
                )
            }
            Self::CopyNotDurable(id) => {
                write!(
                    f,
                    "a copy of message {id} is not safe on the disk yet; try again"
                )
            }
        }
    }
}

impl Error for SpoolError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::InUse(_)
            | Self::NoSuchMessage(_)
            | Self::Damaged(_)
            | Self::InHand(_)
            | Self::CopyNotDurable(_) => None,
        }
    }
}
