//! The messages there are, and reading them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use super::commit::Waiting;
use super::draft::{Budgets, refuse};
use super::format::{self, HEADER, Kind};
use super::log::{Log, segment_path};
use super::meta::{Attempts, Meta, Origin};
use super::{Draft, Refusal, SpoolError, SpoolOptions};
use crate::config::settings::Limits;
use crate::mail::memory::Budget;
use crate::mail::{Accepted, Envelope, MessageId, OpenEnvelope, Progress, Recipient, date};
use crate::sys::clock;
use crate::sys::disk::{Disk, DiskFile, OpenMode};
use crate::sys::sync::{Condvar, Mutex};

/// The spool.
pub struct Spool {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) options: SpoolOptions,
    pub(super) budgets: Budgets,
    sequence: AtomicU32,
    pub(super) state: Mutex<State>,
    /// Held by whoever changes what is known of messages on disk: deliverer and lanes do.
    pub(super) settling: Mutex<()>,
    /// Held by whoever commits.
    pub(super) committing: Mutex<()>,
    /// The committer waits here for records and for a free segment.
    pub(super) commit_work: Condvar,
    /// The deliverer waits here for fresh messages and for a call to let go of segments.
    pub(super) delivery_work: Condvar,
    /// The operator waits here for copies that become durable.
    pub(super) copies_settled: Condvar,
    /// The operator waits here until the queue is read.
    pub(super) queue_read: Condvar,
    space: Mutex<Option<(Instant, u64)>>,
    /// `SpoolOptions::free_space`, as it is now.
    free_space: AtomicU64,
    /// None where a full disk had no room for its file; the segments are locked as well.
    _lock: Option<Box<dyn Send + Sync>>,
}

/// Everything that changes.
pub(super) struct State {
    pub(super) log: Log,
    pub(super) entries: BTreeMap<MessageId, Entry>,
    pub(super) fresh: VecDeque<MessageId>,
    /// Those that were given out and are due again.
    pub(super) returned: VecDeque<MessageId>,
    pub(super) has_history: BTreeSet<MessageId>,
    /// Whether the queue is being read: messages in files, and histories, may be there that are not known.
    pub(super) is_reading: bool,
    pub(super) waiting: Vec<Waiting>,
    /// Since when the first of them waits.
    pub(super) waiting_since: Option<Instant>,
    /// Since when a commit is under way.
    pub(super) committing_since: Option<Instant>,
    pub(super) closing: bool,
    /// The committer has no segment to write to.
    pub(super) starved: bool,
    /// Why no segment could be let go, since the committer asked.
    pub(super) stuck: Option<Refusal>,
    /// The last reason that segments are missing, until one is let go.
    pub(super) last_stuck: Option<Refusal>,
    /// Messages whose copies have to be durable before they can be settled otherwise.
    pub(super) copies_wanted: BTreeSet<MessageId>,
}

impl State {
    fn has_work(&self) -> bool {
        !(self.fresh.is_empty() && self.returned.is_empty() && self.copies_wanted.is_empty())
    }

    /// One more waits for the committer.
    pub(super) fn wait_for_commit(&mut self, waiting: Waiting) {
        self.waiting_since.get_or_insert_with(clock::monotonic);
        self.waiting.push(waiting);
    }

    /// A message that was in the log no longer holds its segment.
    pub(super) fn leave_segment(&mut self, place: Place) {
        let Place::Log { segment, .. } = place else {
            return;
        };
        if let Some(segment) = self.log.segment(segment) {
            segment.live = segment.live.saturating_sub(1);
        }
    }
}

/// One undelivered message.
pub(super) struct Entry {
    pub(super) place: Place,
    /// When it was accepted, seconds since 1970.
    pub(super) received: u64,
    /// Whether it was there before this start: a copy may be in a Maildir already.
    pub(super) replayed: bool,
    /// What is known beyond its record; the record has the rest.
    pub(super) changed: Option<Box<Changed>>,
    /// Whether the operator holds it.
    pub(super) held: bool,
    /// Whether copies of it are written to Maildirs and not settled yet.
    pub(super) copying: bool,
    /// Whether the operator settles it just now.
    pub(super) reserved: bool,
}

impl Entry {
    /// One of an earlier run.
    pub(super) fn found(place: Place, received: u64, held: bool) -> Self {
        Self {
            place,
            received,
            replayed: true,
            changed: None,
            held,
            copying: false,
            reserved: false,
        }
    }

    /// Whether every copy is durable; then it is here only until its file is removed.
    pub(super) fn is_finished(&self) -> bool {
        let changed = self.changed.as_ref();
        changed.is_some_and(|changed| all_done(&changed.progress))
    }

    /// The same, or every copy will be durable with the next checkpoint.
    pub(super) fn is_delivered(&self) -> bool {
        let ahead = self.changed.as_ref().and_then(|one| one.ahead.as_ref());
        self.is_finished() || ahead.is_some_and(|ahead| all_done(&ahead.progress))
    }
}

/// Whether nothing is left to do for any recipient. An empty list says nothing.
pub(super) fn all_done(progress: &[Progress]) -> bool {
    !progress.is_empty() && progress.iter().all(Progress::is_done)
}

/// What has changed since a message's record was written.
#[derive(Debug, Clone, Default)]
pub(super) struct Changed {
    pub(super) progress: Vec<Progress>,
    pub(super) local: Attempts,
    pub(super) lanes: Attempts,
    /// Whether the deliverer has done with it what could be done at once.
    pub(super) tried: bool,
    /// Whether its header section is all that is still wanted of its content.
    pub(super) header_only: bool,
    /// What the next checkpoint makes true.
    pub(super) ahead: Option<Ahead>,
}

/// What becomes true of a message with the next checkpoint.
#[derive(Debug, Clone, Default)]
pub(super) struct Ahead {
    pub(super) progress: Vec<Progress>,
    pub(super) local: Attempts,
}

/// Where a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A record in the log; its content too, or in `queue/ID.eml`.
    Log {
        segment: u32,
        offset: u64,
        length: u32,
        kind: Kind,
    },
    /// `queue/ID.env` and `queue/ID.eml`.
    Queue,
}

/// A message read back.
pub struct Stored {
    /// Its id.
    pub id: MessageId,
    /// When it was accepted, seconds since 1970.
    pub received: u64,
    /// Its envelope.
    pub envelope: Envelope,
    /// Where it comes from.
    pub origin: Origin,
    /// Whether the operator holds it.
    pub held: bool,
    /// Where its recipients are.
    pub progress: Vec<Progress>,
    /// Attempts at its local recipients.
    pub local: Attempts,
    /// Attempts at the others: those of the lane that made the most.
    pub lanes: Attempts,
    /// Whether it was there before this start.
    pub replayed: bool,
    /// Its content.
    pub content: Content,
}

impl Stored {
    /// The recipients that have to be tried, and their places in the envelope.
    pub fn due(&self) -> impl Iterator<Item = (usize, &Recipient)> {
        self.due_by(&self.progress)
    }

    /// The same where recipients have come so far.
    pub fn due_by<'a>(
        &'a self,
        progress: &'a [Progress],
    ) -> impl Iterator<Item = (usize, &'a Recipient)> {
        let recipients = self.envelope.recipients.iter().enumerate().zip(progress);
        recipients.filter_map(|(one, progress)| progress.is_due().then_some(one))
    }
}

/// The content of a message read back.
pub enum Content {
    /// In memory: this part of the buffer.
    Memory(std::ops::Range<usize>),
    /// In a file of this length, with this CRC-32.
    File(Box<dyn DiskFile>, u64, u32),
}

/// Free space is asked for anew after this.
const SPACE_FRESH: Duration = Duration::from_millis(500);

impl Spool {
    pub(super) fn assemble(
        disk: Arc<dyn Disk>,
        options: SpoolOptions,
        lock: Option<Box<dyn Send + Sync>>,
        log: Log,
        entries: BTreeMap<MessageId, Entry>,
    ) -> Self {
        let fresh = entries.keys().copied().collect();
        Self {
            disk,
            budgets: Budgets {
                incoming: Arc::new(Budget::new(options.memory_octets)),
                committing: Arc::new(Budget::new(options.memory_octets)),
            },
            free_space: AtomicU64::new(options.free_space),
            options,
            sequence: AtomicU32::new(0),
            state: Mutex::new(State {
                log,
                entries,
                fresh,
                returned: VecDeque::new(),
                has_history: BTreeSet::new(),
                is_reading: true,
                waiting: Vec::new(),
                waiting_since: None,
                committing_since: None,
                closing: false,
                starved: false,
                stuck: None,
                last_stuck: None,
                copies_wanted: BTreeSet::new(),
            }),
            settling: Mutex::new(()),
            committing: Mutex::new(()),
            commit_work: Condvar::new(),
            delivery_work: Condvar::new(),
            copies_settled: Condvar::new(),
            queue_read: Condvar::new(),
            space: Mutex::new(None),
            _lock: lock,
        }
    }

    /// Opens a message.
    ///
    /// # Errors
    /// [`Refusal`] when there is no room for it.
    pub fn draft(
        &self,
        envelope: impl Into<OpenEnvelope>,
        received: SystemTime,
    ) -> Result<Draft, Refusal> {
        let (envelope, accepted) = envelope.into().into_parts();
        Ok(self.begin(self.new_meta(envelope, received), accepted))
    }

    /// The memory that envelopes and content of all sessions share.
    pub fn memory(&self) -> &Arc<Budget> {
        &self.budgets.incoming
    }

    /// Opens a message of this origin.
    ///
    /// # Errors
    /// [`Refusal`] when there is no room for it.
    pub fn draft_from(
        &self,
        origin: Origin,
        envelope: Envelope,
        received: SystemTime,
    ) -> Result<Draft, Refusal> {
        let mut meta = self.new_meta(envelope, received);
        meta.origin = origin;
        Ok(self.begin(meta, Vec::new()))
    }

    /// Opens a message some of whose recipients have ended before it is committed: `progress` is in the
    /// order of the envelope, and who is told of them is told once the message is durable.
    ///
    /// # Errors
    /// [`Refusal`] when there is no room for it.
    pub fn draft_ended(
        &self,
        envelope: Envelope,
        progress: Vec<Progress>,
        received: SystemTime,
    ) -> Result<Draft, Refusal> {
        let mut meta = self.new_meta(envelope, received);
        if progress.len() == meta.progress.len() {
            meta.progress = progress;
        }
        Ok(self.begin(meta, Vec::new()))
    }

    fn new_meta(&self, envelope: Envelope, received: SystemTime) -> Meta {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        let id = MessageId::new(self.options.run, sequence);
        Meta::new(id, date::unix_seconds(received), envelope)
    }

    fn begin(&self, meta: Meta, accepted: Vec<Arc<Accepted>>) -> Draft {
        let path = self.options.queue_file(meta.id, "eml");
        let inline_max = self.options.inline_max();
        let disk = Arc::clone(&self.disk);
        Draft::new(meta, accepted, disk, path, inline_max, &self.budgets)
    }

    /// Whether `octets` more leave `free_space` in the file system.
    ///
    /// # Errors
    /// They do not, or the system cannot tell.
    pub fn check_space(&self, octets: u64) -> Result<(), Refusal> {
        let free = self.free_octets()?;
        if free < self.kept_octets().saturating_add(octets) {
            return Err(Refusal::NoSpace);
        }
        Ok(())
    }

    /// How much space is free in the file system, octets; asked for anew after a moment.
    ///
    /// # Errors
    /// The system cannot tell.
    pub fn free_octets(&self) -> Result<u64, Refusal> {
        let mut space = self.space.lock();
        let now = clock::monotonic();
        let fresh = space.filter(|(at, _)| now.saturating_duration_since(*at) < SPACE_FRESH);
        if let Some((_, free)) = fresh {
            return Ok(free);
        }
        let folder = &self.options.folder;
        let asked = self.disk.free_octets(folder);
        let asked = asked.map_err(SpoolError::io("cannot ask for the free space of", folder));
        let free = asked.map_err(|error| refuse(&error))?;
        *space = Some((now, free));
        Ok(free)
    }

    /// How much of it is to stay free, octets.
    pub fn kept_octets(&self) -> u64 {
        self.free_space.load(Ordering::Relaxed)
    }

    /// Keeps `free_space` free from now on, and holds `mail_memory` of content in memory.
    pub fn set_limits(&self, limits: &Limits) {
        self.free_space.store(limits.free_space, Ordering::Relaxed);
        self.budgets.incoming.set_limit(limits.mail_memory);
        self.budgets.committing.set_limit(limits.mail_memory);
    }

    /// How many messages are undelivered.
    pub fn undelivered(&self) -> usize {
        self.lock().entries.len()
    }

    /// When the oldest undelivered message was accepted, seconds since 1970. Looks at every one.
    pub fn oldest_received(&self) -> Option<u64> {
        let state = self.lock();
        let left = state.entries.values().filter(|entry| !entry.is_delivered());
        left.map(|entry| entry.received).min()
    }

    /// When the oldest of these was accepted, seconds since 1970; none where none is left.
    pub fn oldest_of(&self, ids: &[MessageId]) -> Option<u64> {
        let state = self.lock();
        let entries = ids.iter().filter_map(|id| state.entries.get(id));
        entries.map(|entry| entry.received).min()
    }

    /// Takes up to `most` messages that were not given out yet, oldest first.
    pub fn take_fresh(&self, most: usize, into: &mut Vec<MessageId>) {
        let mut state = self.lock();
        let count = most.min(state.fresh.len());
        into.extend(state.fresh.drain(..count));
    }

    /// The file that holds a message's content, where it is in one.
    pub fn file_of(&self, stored: &Stored) -> Option<PathBuf> {
        match stored.content {
            Content::Memory(_) => None,
            Content::File(..) => Some(self.options.queue_file(stored.id, "eml")),
        }
    }

    /// A message that was given out is due again.
    pub fn give_back(&self, id: MessageId) {
        let mut state = self.lock();
        if state.entries.contains_key(&id) {
            state.returned.push_back(id);
            drop(state);
            self.delivery_work.notify_all();
        }
    }

    /// Takes those that were given back.
    pub fn take_returned(&self, into: &mut Vec<MessageId>) {
        into.extend(self.lock().returned.drain(..));
    }

    /// Waits until there are fresh messages, segments are wanted, the spool closes, or `until`.
    pub fn wait_for_work(&self, until: Instant) {
        let mut state = self.lock();
        while !state.has_work() && !state.starved && !state.closing {
            let left = until.saturating_duration_since(clock::monotonic());
            if left.is_zero() {
                return;
            }
            (state, _) = self.delivery_work.wait_timeout(state, left);
        }
    }

    /// Waits until there are fresh messages, the spool closes, or `until`.
    pub fn wait_for_fresh(&self, until: Instant) {
        let mut state = self.lock();
        while !state.has_work() && !state.closing {
            let left = until.saturating_duration_since(clock::monotonic());
            if left.is_zero() {
                return;
            }
            (state, _) = self.delivery_work.wait_timeout(state, left);
        }
    }

    /// Whether a segment is full and should be let go.
    pub fn has_full_segment(&self) -> bool {
        self.lock().log.full_count() > 0
    }

    /// Whether the committer waits for a segment, or will when the one in use is full.
    pub fn wants_segment(&self) -> bool {
        let state = self.lock();
        let none_free =
            !state.log.has_free() && state.log.segments.len() >= self.options.segments_max;
        state.starved || none_free
    }

    /// Whether the committer waits for a segment.
    pub fn is_starved(&self) -> bool {
        self.lock().starved
    }

    /// Whether [`Spool::close`] was called.
    pub fn is_closing(&self) -> bool {
        self.lock().closing
    }

    /// Reads a message; small content goes into `buffer`.
    ///
    /// # Errors
    /// [`SpoolError::NoSuchMessage`], [`SpoolError::Damaged`], or the disk's.
    pub fn read(&self, id: MessageId, buffer: &mut Vec<u8>) -> Result<Stored, SpoolError> {
        loop {
            let place = self.place_of(id)?;
            let read = self.read_at(id, place, buffer);
            // The deliverer may have moved it into a file while another thread was reading.
            if read.is_ok() || self.place_of(id)? == place {
                return read;
            }
        }
    }

    pub(super) fn place_of(&self, id: MessageId) -> Result<Place, SpoolError> {
        let state = self.lock();
        let entry = state.entries.get(&id);
        Ok(entry.ok_or(SpoolError::NoSuchMessage(id))?.place)
    }

    fn read_at(
        &self,
        id: MessageId,
        place: Place,
        buffer: &mut Vec<u8>,
    ) -> Result<Stored, SpoolError> {
        let (mut meta, content) = match place {
            Place::Log { kind, .. } => {
                self.read_raw(id, place, buffer)?;
                let (meta, content) = check_record(id, buffer)?;
                let content = match kind {
                    Kind::Message => Content::Memory(content),
                    Kind::MessageFile | Kind::Done => self.open_content(&meta)?,
                };
                (meta, content)
            }
            Place::Queue => {
                let meta = self.read_env(id)?;
                let content = self.open_content(&meta)?;
                (meta, content)
            }
        };
        // Asked for last, so that it is what holds now.
        let (replayed, changed) = {
            let state = self.lock();
            let entry = state.entries.get(&id);
            let entry = entry.ok_or(SpoolError::NoSuchMessage(id))?;
            (entry.replayed, entry.changed.clone())
        };
        if let Some(changed) = changed {
            if changed.progress.len() == meta.progress.len() {
                (meta.local, meta.lanes) = (changed.local, changed.lanes);
                meta.progress = changed.progress;
            }
        }
        Ok(Stored {
            id,
            received: meta.received,
            envelope: meta.envelope,
            origin: meta.origin,
            held: meta.held,
            progress: meta.progress,
            local: meta.local,
            lanes: meta.lanes,
            replayed,
            content,
        })
    }

    /// Reads a message's record as it lies in the log, unchecked.
    pub(super) fn read_raw(
        &self,
        id: MessageId,
        place: Place,
        buffer: &mut Vec<u8>,
    ) -> Result<(), SpoolError> {
        let Place::Log {
            segment,
            offset,
            length,
            ..
        } = place
        else {
            return Err(SpoolError::NoSuchMessage(id));
        };
        let file = {
            let mut state = self.lock();
            let segment = state.log.segment(segment);
            let segment = segment.ok_or(SpoolError::NoSuchMessage(id))?;
            Arc::clone(&segment.file)
        };
        buffer.resize(HEADER + length as usize, 0);
        let read = file.read_at(buffer, offset);
        read.map_err(|source| {
            let path = segment_path(&self.options, segment);
            SpoolError::io("cannot read", &path)(source)
        })?;
        Ok(())
    }

    pub(super) fn read_env(&self, id: MessageId) -> Result<Meta, SpoolError> {
        let path = self.options.queue_file(id, "env");
        let text = read_whole(&*self.disk, &path)?;
        let meta = std::str::from_utf8(&text).ok().and_then(Meta::parse);
        meta.filter(|meta| meta.id == id)
            .ok_or(SpoolError::Damaged(id))
    }

    fn open_content(&self, meta: &Meta) -> Result<Content, SpoolError> {
        let path = self.options.queue_file(meta.id, "eml");
        let file = self.disk.open(&path, OpenMode::Existing);
        let file = file.map_err(SpoolError::io("cannot open", &path))?;
        let length = file
            .length()
            .map_err(SpoolError::io("cannot read", &path))?;
        let wanted = meta.file.map_or(length, |(length, _)| length);
        // Longer may be one that is about to be cut.
        if length < wanted {
            return Err(SpoolError::Damaged(meta.id));
        }
        let crc = meta.file.map_or(0, |(_, crc)| crc);
        Ok(Content::File(file, wanted, crc))
    }

    /// The lock. Nobody panics while holding it; if somebody did, mail goes on.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// Reads a whole small file.
pub(super) fn read_whole(disk: &dyn Disk, path: &std::path::Path) -> Result<Vec<u8>, SpoolError> {
    let file = disk
        .open(path, OpenMode::Existing)
        .map_err(SpoolError::io("cannot open", path))?;
    let length = file.length().map_err(SpoolError::io("cannot read", path))?;
    let mut octets = vec![0; usize::try_from(length).unwrap_or(0)];
    let count = file
        .read_at(&mut octets, 0)
        .map_err(SpoolError::io("cannot read", path))?;
    octets.truncate(count);
    Ok(octets)
}

/// Checks a message's record; its content is this part of the buffer. The header's own checksum needs
/// no second look: the place it was found at is ours.
fn check_record(
    id: MessageId,
    buffer: &[u8],
) -> Result<(Meta, std::ops::Range<usize>), SpoolError> {
    let damaged = || SpoolError::Damaged(id);
    let payload = buffer.get(HEADER..).unwrap_or_default();
    if format::payload_crc(buffer) != Some(crc32fast::hash(payload)) {
        return Err(damaged());
    }
    let (meta, at) = parse_payload(payload).ok_or_else(damaged)?;
    if meta.id != id {
        return Err(damaged());
    }
    Ok((meta, HEADER + at..buffer.len()))
}

/// A message record's meta text, and where in the payload its content begins.
pub(super) fn parse_payload(payload: &[u8]) -> Option<(Meta, usize)> {
    let length = format::u32_at(payload, 0)? as usize;
    let end = length.checked_add(4)?;
    let text = std::str::from_utf8(payload.get(4..end)?).ok()?;
    Some((Meta::parse(text)?, end))
}
