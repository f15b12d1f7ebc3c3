//! One sync for all who wait.
//!
//! The committer takes every record that waits, writes them with one call on pages of their own, syncs once,
//! and answers everybody. Meanwhile the next ones gather. A failed write or sync refuses the whole batch, wipes
//! its record headers as far as the disk lets it, and retires the segment: what its pages hold cannot be
//! trusted after a failed sync. If no segment is free it calls the deliverer and waits as long as
//! the options say, or until the deliverer reports that none can be let go.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::draft::{Record, refuse};
use super::format::{self, Age, HEADER, Header, Kind};
use super::log::{Use, create_segment};
use super::settle::Party;
use super::store::{Entry, Place};
use super::{Committed, Draft, Refusal, Spool, SpoolError};
use crate::mail::{MessageId, Progress};
use crate::sys::clock;
use crate::sys::disk::DiskFile;

/// A commit that takes as long as this is worth gathering for.
const SLOW_SYNC: Duration = Duration::from_millis(2);
/// The part of the last commit's time that gathering may take: a third of it.
const GATHER_PART: u32 = 3;
/// Records written at once; bounded by what one system call takes.
const BATCH_MAX: usize = 512;
/// Recipients in a done record of the operator's.
const DONE_RECIPIENTS_MAX: usize = 4096;

/// Told whether a message is durable.
pub type Done = Box<dyn FnOnce(Result<Committed, Refusal>) + Send>;

/// How a commit went: the next one is timed by it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    /// How many records it had.
    pub count: usize,
    /// How long it took.
    pub took: Duration,
}

/// What waits for the committer.
pub(super) enum Waiting {
    Message {
        id: MessageId,
        received: u64,
        record: Record,
        kind: Kind,
        crc: u32,
        done: Done,
    },
    Done {
        ids: Vec<MessageId>,
        record: Vec<u8>,
        party: Party,
        /// Who waits for it.
        told: Option<Sender<Result<(), Refusal>>>,
    },
}

impl Waiting {
    /// Octets it takes in the log, before it is sealed and after.
    fn span(&self) -> u64 {
        let whole = match self {
            Self::Message { record, .. } => record.octets.len(),
            Self::Done { record, .. } => record.len(),
        };
        whole.next_multiple_of(format::ALIGN) as u64
    }
}

/// A stretch of the active segment that a batch is written to.
struct Stretch {
    number: u32,
    file: Arc<dyn DiskFile>,
    age: Age,
    from: u64,
    sequence: u64,
    batch: Vec<Waiting>,
}

impl Spool {
    /// Makes a message durable; `done` hears about it, on another thread.
    pub fn commit(&self, mut draft: Draft, done: Done) {
        let (id, received) = (draft.id(), draft.received());
        match draft.finish() {
            Ok((record, kind, crc)) => {
                let waiting = Waiting::Message {
                    id,
                    received,
                    record,
                    kind,
                    crc,
                    done,
                };
                if format::BLOCK + waiting.span() > self.options.segment_octets {
                    self.refuse_waiting(waiting, Refusal::Failure);
                    return;
                }
                self.lock().wait_for_commit(waiting);
                self.commit_work.notify_all();
            }
            Err(refusal) => done(Err(refusal)),
        }
    }

    /// Makes a message durable in the caller's own time, with whatever else waits.
    ///
    /// # Errors
    /// [`Refusal`]; the message is not accepted.
    pub fn commit_here(&self, draft: Draft) -> Result<Committed, Refusal> {
        let (tell, told) = channel();
        // Nobody listens only where this thread is gone.
        self.commit(draft, Box::new(move |result| drop(tell.send(result))));
        self.commit_waiting();
        // Whoever else had taken it was done with it before our turn came.
        told.try_recv().unwrap_or(Err(Refusal::Failure))
    }

    /// Answers a commit that is not durable. Its file goes too, so that it is not delivered even if
    /// its record should turn out to have reached the disk.
    fn refuse_waiting(&self, waiting: Waiting, refusal: Refusal) {
        match waiting {
            Waiting::Message { id, kind, done, .. } => {
                if kind == Kind::MessageFile {
                    // What cannot be removed now is an orphan that the next start removes.
                    let _ = self.disk.remove(&self.options.queue_file(id, "eml"));
                }
                done(Err(refusal));
            }
            // Done records are a help, not a promise: the next start looks into the Maildirs. What
            // was carried is known until this run ends, and may go out a second time after it.
            Waiting::Done { told, .. } => tell(told, Err(refusal)),
        }
    }

    /// Writes that nothing is left to do for messages, and waits until that is durable.
    ///
    /// # Errors
    /// [`Refusal`]; some of it may have reached the disk all the same.
    pub(super) fn commit_done(&self, done: &[(MessageId, Vec<Progress>)]) -> Result<(), Refusal> {
        let (tell, told) = channel();
        let mut rest = done;
        let mut records = 0;
        while !rest.is_empty() {
            let (part, behind) = rest.split_at(fitting(rest));
            let mut record = vec![0; HEADER];
            record.append(&mut format::done_payload(part, 0));
            self.lock().wait_for_commit(Waiting::Done {
                // Their files are removed by whoever asks.
                ids: Vec::new(),
                record,
                party: Party::Operator,
                told: Some(tell.clone()),
            });
            (rest, records) = (behind, records + 1);
        }
        self.commit_waiting();
        // Whoever else had taken them was done with them before our turn came.
        (0..records).try_for_each(|_| told.try_recv().unwrap_or(Err(Refusal::Failure)))
    }

    pub(super) fn append_done(&self, done: Vec<(MessageId, Vec<Progress>)>, party: Party) {
        let mut state = self.lock();
        // A record fits into a segment, whatever the reasons.
        let octets_max = usize::try_from(self.options.segment_octets / 8).unwrap_or(usize::MAX);
        for part in parts_of(&done) {
            let ids = part.iter().map(|(id, _)| *id).collect();
            let mut record = vec![0; HEADER];
            record.append(&mut format::done_payload(part, octets_max));
            state.wait_for_commit(Waiting::Done {
                ids,
                record,
                party,
                told: None,
            });
        }
        drop(state);
        self.commit_work.notify_all();
    }

    /// Starts the committer; it ends after [`Spool::close`], when nothing waits.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start_committer(self: &Arc<Self>) -> std::io::Result<JoinHandle<()>> {
        let spool = Arc::clone(self);
        thread::Builder::new()
            .name("committer".into())
            .stack_size(256 * 1024)
            .spawn(move || {
                let mut last = Pace::default();
                while spool.wait_for_commits() {
                    spool.gather(last);
                    last = spool.commit_waiting();
                }
            })
    }

    /// On a disk whose syncs are slow, waits a moment for as many as came last time: those who
    /// heard their 250 together come back together, and one sync serves them all again.
    fn gather(&self, last: Pace) {
        let until = clock::monotonic() + last.took / GATHER_PART;
        let mut state = self.lock();
        while last.took >= SLOW_SYNC && state.waiting.len() < last.count && !state.closing {
            let left = until.saturating_duration_since(clock::monotonic());
            if left.is_zero() {
                return;
            }
            (state, _) = self.commit_work.wait_timeout(state, left);
        }
    }

    /// Lets committer and deliverer end once they have nothing to do.
    pub fn close(&self) {
        self.lock().closing = true;
        self.commit_work.notify_all();
        self.delivery_work.notify_all();
    }

    /// Waits for commits; false when the spool closes and there are none.
    fn wait_for_commits(&self) -> bool {
        let mut state = self.lock();
        while state.waiting.is_empty() {
            if state.closing {
                return false;
            }
            state = self.commit_work.wait(state);
        }
        true
    }

    /// Commits everything that waits now. The committer's one step; tests call it by themselves.
    pub fn commit_waiting(&self) -> Pace {
        // The deliverer commits its last done records itself; two at once would share a stretch.
        let _turn = self.committing.lock();
        let began = clock::monotonic();
        let mut waiting = {
            let mut state = self.lock();
            (state.waiting_since, state.committing_since) = (None, Some(began));
            std::mem::take(&mut state.waiting)
        };
        let count = waiting.len();
        let is_message = |waiting: &Waiting| matches!(waiting, Waiting::Message { .. });
        let has_messages = waiting.iter().any(is_message);
        while !waiting.is_empty() {
            match self.place(&mut waiting) {
                Ok(stretch) => self.write_stretch(stretch),
                Err(refusal) => {
                    for waiting in waiting.drain(..) {
                        self.refuse_waiting(waiting, refusal);
                    }
                }
            }
        }
        let took = clock::monotonic().saturating_duration_since(began);
        self.lock().committing_since = None;
        if has_messages {
            self.options.stats.commit_times.took(took);
        }
        Pace { count, took }
    }

    /// Takes from the front of `waiting` what fits into the active segment.
    fn place(&self, waiting: &mut Vec<Waiting>) -> Result<Stretch, Refusal> {
        let needed = waiting.first().map_or(0, Waiting::span);
        let size = self.options.segment_octets;
        loop {
            let mut state = self.lock();
            let sequence = state.log.next_sequence;
            let Some(active) = state.log.active() else {
                drop(state);
                self.new_active_segment()?;
                continue;
            };
            if active.end + needed > size {
                state.log.retire_active();
                drop(state);
                self.delivery_work.notify_all();
                continue;
            }
            let mut count = 0;
            let mut end = active.end;
            for waiting in waiting.iter().take(BATCH_MAX) {
                if end + waiting.span() > size {
                    break;
                }
                end += waiting.span();
                count += 1;
            }
            let stretch = Stretch {
                number: active.number,
                file: Arc::clone(&active.file),
                age: active.age,
                from: active.end,
                sequence,
                batch: waiting.drain(..count).collect(),
            };
            // One more for what fills the last page.
            state.log.next_sequence = sequence + count as u64 + 1;
            return Ok(stretch);
        }
    }

    /// Makes a segment active: a free one, a new one, or one that the deliverer lets go.
    fn new_active_segment(&self) -> Result<(), Refusal> {
        let until = clock::monotonic() + self.options.patience;
        let mut why = Refusal::NoSpace;
        let mut may_grow = true;
        self.lock().stuck = None;
        loop {
            let mut state = self.lock();
            if state.log.activate_free() {
                state.starved = false;
                return Ok(());
            }
            if may_grow && state.log.segments.len() < self.options.segments_max {
                let next = state.log.next_number();
                drop(state);
                match create_segment(&*self.disk, &self.options, next) {
                    Ok(made) => self.lock().log.segments.push(made),
                    // A full disk may still have a segment that can be let go.
                    Err(error) => (why, may_grow) = (refuse(&error), false),
                }
                continue;
            }
            if state.log.full_count() == 0 {
                return Err(why);
            }
            state.starved = true;
            self.delivery_work.notify_all();
            let left = until.saturating_duration_since(clock::monotonic());
            let stuck = state.stuck.take();
            if stuck.is_some() || left.is_zero() || state.closing {
                state.starved = false;
                return Err(stuck.or(state.last_stuck).unwrap_or(why));
            }
            drop(self.commit_work.wait_timeout(state, left));
        }
    }

    fn write_stretch(&self, mut stretch: Stretch) {
        for (number, waiting) in stretch.batch.iter_mut().enumerate() {
            seal(waiting, stretch.age, stretch.sequence + number as u64);
        }
        let mut slices: Vec<&[u8]> = stretch.batch.iter().map(octets).collect();
        let records: usize = slices.iter().map(|slice| slice.len()).sum();
        let length = records.next_multiple_of(self.options.batch_align as usize);
        let last = stretch.sequence + stretch.batch.len() as u64;
        let filler = format::filler(length - records, stretch.age, last);
        slices.extend(
            filler
                .iter()
                .flat_map(|(header, zeros)| [&header[..], zeros]),
        );
        let needs_sync = stretch.batch.iter().any(|waiting| match waiting {
            Waiting::Message { .. } => true,
            Waiting::Done {
                party: Party::Lane | Party::Notifier | Party::Operator,
                ..
            } => true,
            Waiting::Done { ids, .. } => ids.iter().any(|id| self.is_finished_file(*id)),
        });
        let written = stretch
            .file
            .write_all_at(&slices, stretch.from)
            .and_then(|()| {
                if needs_sync {
                    stretch.file.sync_data()
                } else {
                    Ok(())
                }
            });
        match written {
            Ok(()) => self.finish_stretch(stretch, length as u64, needs_sync),
            Err(source) => {
                let path = self.options.log_folder();
                let refusal = refuse(&SpoolError::io("cannot write", &path)(source));
                self.abandon_stretch(&stretch, refusal);
                for waiting in stretch.batch {
                    self.refuse_waiting(waiting, refusal);
                }
            }
        }
    }

    /// The batch is durable: it becomes known, and everybody hears it.
    fn finish_stretch(&self, stretch: Stretch, length: u64, synced: bool) {
        let mut answers = Vec::with_capacity(stretch.batch.len());
        let mut files = Vec::new();
        let mut state = self.lock();
        let mut offset = stretch.from;
        for waiting in stretch.batch {
            let span = waiting.span();
            match waiting {
                Waiting::Message {
                    id,
                    received,
                    record,
                    kind,
                    done,
                    ..
                } => {
                    let length = record_length(&record.octets);
                    let place = Place::Log {
                        segment: stretch.number,
                        offset,
                        length,
                        kind,
                    };
                    let entry = Entry {
                        place,
                        received,
                        replayed: false,
                        changed: None,
                        held: false,
                        copying: false,
                        reserved: false,
                    };
                    state.entries.insert(id, entry);
                    state.fresh.push_back(id);
                    answers.push((id, done));
                }
                Waiting::Done { ids, told, .. } => {
                    if synced {
                        files.extend(ids);
                    }
                    tell(told, Ok(()));
                }
            }
            offset += span;
        }
        if let Some(segment) = state.log.segment(stretch.number) {
            segment.end = stretch.from + length;
            segment.live += answers.len();
        }
        drop(state);
        let any = !answers.is_empty();
        for (id, done) in answers {
            done(Ok(Committed { id }));
        }
        if any {
            self.delivery_work.notify_all();
        }
        files.into_iter().for_each(|id| self.remove_finished(id));
    }

    /// The disk failed under a batch: wipes its headers as far as possible and leaves the segment.
    fn abandon_stretch(&self, stretch: &Stretch, refusal: Refusal) {
        let mut offset = stretch.from;
        for waiting in &stretch.batch {
            // Best effort: the batch is refused whether this works or not.
            let _ = stretch.file.write_at(&[0; HEADER], offset);
            offset += waiting.span();
        }
        if offset % u64::from(self.options.batch_align) != 0 {
            let _ = stretch.file.write_at(&[0; HEADER], offset);
        }
        let _ = stretch.file.sync_data();
        let mut state = self.lock();
        state.last_stuck = Some(refusal);
        if let Some(segment) = state.log.segment(stretch.number) {
            segment.use_ = Use::Full;
        }
    }
}

/// How many of these, one at least, make a record that fits into any segment.
fn fitting(done: &[(MessageId, Vec<Progress>)]) -> usize {
    let mut recipients = 0;
    let fit = done.iter().take_while(|(_, progress)| {
        recipients += progress.len();
        recipients <= DONE_RECIPIENTS_MAX
    });
    fit.count().max(1)
}

/// Cuts a list so that each part makes one record: messages with reasons go alone.
fn parts_of(
    done: &[(MessageId, Vec<Progress>)],
) -> impl Iterator<Item = &[(MessageId, Vec<Progress>)]> {
    let has_words = |(_, progress): &(MessageId, Vec<Progress>)| {
        progress.iter().any(|one| one.outcome().is_some())
    };
    let runs = done.chunk_by(move |a, b| !has_words(a) && !has_words(b));
    runs.flat_map(|run| run.chunks(256))
}

/// Makes a record whole: header in front, padding behind.
fn seal(waiting: &mut Waiting, age: Age, sequence: u64) {
    match waiting {
        Waiting::Message {
            record, kind, crc, ..
        } => {
            record.seal(*kind, age, sequence, *crc);
            record
                .octets
                .resize(record.octets.len().next_multiple_of(format::ALIGN), 0);
        }
        Waiting::Done { record, .. } => {
            let payload = record.get(HEADER..).unwrap_or_default();
            let header = Header {
                kind: Kind::Done,
                generation: age.generation,
                length: payload.len() as u32,
                sequence,
                crc: crc32fast::hash(payload),
            };
            if let Some(place) = record.get_mut(..HEADER) {
                place.copy_from_slice(&header.to_octets(age.salt));
            }
            record.resize(record.len().next_multiple_of(format::ALIGN), 0);
        }
    }
}

fn tell(told: Option<Sender<Result<(), Refusal>>>, result: Result<(), Refusal>) {
    if let Some(told) = told {
        // Whoever asked waits for it.
        let _ = told.send(result);
    }
}

fn octets(waiting: &Waiting) -> &[u8] {
    match waiting {
        Waiting::Message { record, .. } => &record.octets,
        Waiting::Done { record, .. } => record,
    }
}

fn record_length(record: &[u8]) -> u32 {
    format::payload_length(record).unwrap_or(0)
}
