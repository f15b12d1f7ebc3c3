//! Letting go: of messages that were delivered, and of segments nobody needs any more.
//!
//! Segments are let go by the deliverer's thread alone. Messages are settled by it, by the lanes'
//! threads and by the notifier's, each [`Party`] for its own recipients; a lock keeps them apart while they write. The committer
//! calls [`Spool::remove_finished`] once a done record is durable.

use std::path::Path;
use std::sync::{Arc, MutexGuard};

use super::copies::catch_up;
use super::format::Kind;
use super::header::{header_of, seal_of};
use super::log::{Use, write_header};
use super::meta::{Attempts, Meta};
use super::store::{Changed, Content, Place, all_done};
use super::{Refusal, Spool, SpoolError};
use crate::events;
use crate::mail::{MessageId, Progress};
use crate::sys::disk::{DiskFile, OpenMode};

/// Who settles recipients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// The deliverer, for those that go into Maildirs.
    Deliverer,
    /// A lane, for those it carries.
    Lane,
    /// Whoever tells senders, for those that have ended.
    Notifier,
    /// Who deletes a message, for all that are left.
    Operator,
}

/// What became of a message's recipients, of one party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The message.
    pub id: MessageId,
    /// Whose recipients these are.
    pub party: Party,
    /// Where its recipients are, durably; those of the other parties as they were read.
    pub progress: Vec<Progress>,
    /// Attempts at recipients with Maildirs; as they were read where another party settles.
    pub local: Attempts,
    /// Attempts at the others; as they were read where another party settles.
    pub lanes: Attempts,
    /// Whether recipients of this party are left, to be tried again.
    pub is_left: bool,
    /// Whether copies may be there that did not become durable.
    pub in_doubt: bool,
}

impl Spool {
    /// Takes note of a checkpoint: what is done is durable in its Maildirs. Lets go of what is
    /// finished, keeps the state of the rest, and frees the oldest segments.
    ///
    /// # Errors
    /// The disk's, the first of them; what stays in `settled` has to be settled again.
    pub fn settle(&self, settled: &mut Vec<Settled>) -> Result<(), SpoolError> {
        let _turn = self.settling();
        let noted = self.settle_all(settled, Party::Deliverer);
        self.release()
            .inspect_err(|error| self.report_stuck(error.refusal()))?;
        noted
    }

    /// Takes note of what a lane did, durably: a done record is in the log and synced on return,
    /// unless the disk failed under it. Lets go of what is finished; frees no segment.
    ///
    /// # Errors
    /// The disk's, the first of them; what stays in `settled` has to be settled again.
    pub fn settle_carried(&self, settled: &mut Vec<Settled>) -> Result<(), SpoolError> {
        self.settle_at_once(settled, Party::Lane)
    }

    /// Takes note of whose senders were told, as durably.
    ///
    /// # Errors
    /// The disk's, the first of them; what stays in `settled` has to be settled again.
    pub fn settle_told(&self, settled: &mut Vec<Settled>) -> Result<(), SpoolError> {
        self.settle_at_once(settled, Party::Notifier)
    }

    pub(super) fn settle_at_once(
        &self,
        settled: &mut Vec<Settled>,
        party: Party,
    ) -> Result<(), SpoolError> {
        let any_done = settled.iter().any(|one| any_moved(&one.progress));
        let turn = self.settling();
        let noted = self.settle_all(settled, party);
        drop(turn);
        if any_done {
            self.commit_waiting();
        }
        noted
    }

    pub(super) fn settling(&self) -> MutexGuard<'_, ()> {
        self.settling.lock()
    }

    fn settle_all(&self, settled: &mut Vec<Settled>, party: Party) -> Result<(), SpoolError> {
        let (mut done, mut left, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        let mut failed = Ok(());
        for message in settled.drain(..) {
            match self.settle_one(&message, &mut done) {
                Ok(Files::Stay) => {}
                Ok(Files::Go) => gone.push(message),
                Err(error) => {
                    failed = Err(error);
                    left.push(message);
                }
            }
        }
        match self.remove_queue_files(&gone) {
            Ok(()) => gone.iter().for_each(|message| self.forget(message.id)),
            Err(error) => {
                failed = Err(error);
                left.append(&mut gone);
            }
        }
        *settled = left;
        if !done.is_empty() {
            self.append_done(done, party);
        }
        failed
    }

    /// No segment can be let go now: a committer that waits for one need not wait longer.
    pub fn report_stuck(&self, refusal: Refusal) {
        let mut state = self.lock();
        (state.stuck, state.last_stuck) = (Some(refusal), Some(refusal));
        drop(state);
        self.commit_work.notify_all();
    }

    /// The deliverer can do nothing for a message now: it could not be read, or all that is left of it
    /// is for the lanes. It no longer holds up the others of its segment.
    pub fn note_tried(&self, id: MessageId) {
        if let Some(entry) = self.lock().entries.get_mut(&id) {
            entry.changed.get_or_insert_default().tried = true;
        }
    }

    /// Moves a message that is damaged to `bad/`.
    ///
    /// # Errors
    /// The disk's; the message is where it was.
    pub fn set_aside(&self, id: MessageId, reason: &str) -> Result<(), SpoolError> {
        let _turn = self.settling();
        self.set_aside_in_turn(id, reason)
    }

    fn set_aside_in_turn(&self, id: MessageId, reason: &str) -> Result<(), SpoolError> {
        let place = match self.lock().entries.get(&id) {
            Some(entry) => entry.place,
            None => return Ok(()),
        };
        let bad = self.options.bad_folder();
        if matches!(place, Place::Log { .. }) {
            let mut record = Vec::new();
            self.read_raw(id, place, &mut record)?;
            self.write_file(&bad.join(format!("{id}.record")), &record)?;
        }
        for kind in ["env", "eml"] {
            let path = self.options.queue_file(id, kind);
            if self.disk.exists(&path) {
                let moved = self.disk.rename(&path, &bad.join(format!("{id}.{kind}")));
                moved.map_err(SpoolError::io("cannot move", &path))?;
            }
        }
        let queue = self.options.queue_folder();
        for folder in [&bad, &queue] {
            let synced = self.disk.sync_folder(folder);
            synced.map_err(SpoolError::io("cannot sync", folder))?;
        }
        events::spool_message_set_aside(id, reason, None);
        self.forget(id);
        Ok(())
    }

    fn settle_one(
        &self,
        message: &Settled,
        done: &mut Vec<(MessageId, Vec<Progress>)>,
    ) -> Result<Files, SpoolError> {
        let id = message.id;
        let Some((place, changed)) = self.note(message) else {
            return Ok(Files::Stay);
        };
        let finished = all_done(&changed.progress);
        if any_moved(&changed.progress) {
            done.push((id, changed.progress.clone()));
        }
        match place {
            Place::Log { kind, .. } => {
                if finished && kind == Kind::Message {
                    self.forget(id);
                }
            }
            Place::Queue if finished => return Ok(Files::Go),
            Place::Queue => {
                let mut meta = self.read_env(id)?;
                (meta.local, meta.lanes) = (changed.local, changed.lanes);
                meta.progress = changed.progress;
                self.write_env(&meta)?;
            }
        }
        Ok(Files::Stay)
    }

    /// Keeps what is new about a message; gives where it is, and what holds of both parties now.
    fn note(&self, message: &Settled) -> Option<(Place, Changed)> {
        let mut state = self.lock();
        let entry = state.entries.get_mut(&message.id)?;
        let was_finished = entry.is_finished();
        entry.replayed |= message.in_doubt;
        // The deliverer settles behind a sync only; one that failed leaves the message in doubt.
        entry.copying &= message.party != Party::Deliverer;
        let changed = entry.changed.get_or_insert_default();
        if message.party == Party::Deliverer {
            changed.ahead = None;
        }
        if changed.progress.len() == message.progress.len() {
            // What another party settled meanwhile stays as it is: done stays done.
            catch_up(&mut changed.progress, &message.progress);
            match message.party {
                Party::Deliverer => changed.local = message.local,
                Party::Lane => changed.lanes = changed.lanes.most(message.lanes),
                Party::Notifier | Party::Operator => {}
            }
            if let Some(ahead) = &mut changed.ahead {
                catch_up(&mut ahead.progress, &changed.progress);
            }
        } else {
            changed.progress.clone_from(&message.progress);
            (changed.local, changed.lanes) = (message.local, message.lanes);
        }
        changed.tried |= message.party == Party::Deliverer;
        let changed = (**changed).clone();
        let place = entry.place;
        if all_done(&changed.progress) && !was_finished {
            state.leave_segment(place);
        }
        Some((place, changed))
    }

    /// The message is no longer known. One that was not finished no longer holds its segment.
    fn forget(&self, id: MessageId) {
        let mut state = self.lock();
        let Some(entry) = state.entries.remove(&id) else {
            return;
        };
        if !entry.is_finished() {
            state.leave_segment(entry.place);
        }
        drop(state);
        self.forget_history(id);
    }

    /// Whether a message in the log, with its content in a file, is finished.
    pub(super) fn is_finished_file(&self, id: MessageId) -> bool {
        let state = self.lock();
        state.entries.get(&id).is_some_and(|entry| {
            let in_file = matches!(
                entry.place,
                Place::Log {
                    kind: Kind::MessageFile,
                    ..
                }
            );
            in_file && entry.is_finished()
        })
    }

    /// Removes the file of a finished message, once nothing durable asks for it any more.
    pub(super) fn remove_finished(&self, id: MessageId) {
        if !self.is_finished_file(id) {
            return;
        }
        self.forget(id);
        let path = self.options.queue_file(id, "eml");
        if let Err(error) = self.disk.remove(&path) {
            // The next start removes it as an orphan.
            events::spool_failed(SpoolError::io("cannot remove", &path)(error));
        }
    }

    /// Frees full segments, strictly oldest first. One that is held up by deferred messages only, or by
    /// those of the lanes while a segment is wanted, has them moved into files of their own; one segment
    /// each time, unless the committer waits.
    fn release(&self) -> Result<(), SpoolError> {
        let mut evicted = false;
        loop {
            let (number, live, file, path, age) = {
                let mut state = self.lock();
                let Some(oldest) = state.log.oldest_full() else {
                    return Ok(());
                };
                let age = oldest.age.next(self.options.secret, oldest.number);
                let file = Arc::clone(&oldest.file);
                (oldest.number, oldest.live, file, oldest.path.clone(), age)
            };
            if live > 0 {
                if (evicted && !self.is_starved()) || !self.evict(number)? {
                    return Ok(());
                }
                evicted = true;
            }
            write_header(&*file, age, &self.options, &path)?;
            let finished = {
                let mut state = self.lock();
                if let Some(segment) = state.log.segment(number) {
                    segment.age = age;
                    segment.use_ = Use::Free;
                }
                state.last_stuck = None;
                let inside = state.entries.iter().filter(
                    |(_, entry)| matches!(entry.place, Place::Log { segment, .. } if segment == number),
                );
                inside.map(|(id, _)| *id).collect::<Vec<_>>()
            };
            self.commit_work.notify_all();
            finished.into_iter().for_each(|id| self.remove_finished(id));
        }
    }

    /// Moves the messages of a segment into files of their own, if that may be; whether nothing holds
    /// the segment then.
    fn evict(&self, number: u32) -> Result<bool, SpoolError> {
        let Some(ids) = self.evictable(number) else {
            return Ok(false);
        };
        self.move_out(&ids, false)?;
        Ok(true)
    }

    /// The unfinished messages of a segment, if none of them waits for the deliverer's first attempt,
    /// nor for the lanes' while there are segments enough.
    fn evictable(&self, number: u32) -> Option<Vec<MessageId>> {
        let wanted = self.wants_segment();
        let may_go = |changed: &Changed| {
            changed.tried && (wanted || changed.local.failed > 0 || changed.lanes.failed > 0)
        };
        let mut ids = Vec::new();
        for (id, entry) in &self.lock().entries {
            let inside = matches!(entry.place, Place::Log { segment, .. } if segment == number);
            if !inside || entry.is_finished() {
                continue;
            }
            if !entry
                .changed
                .as_ref()
                .is_some_and(|changed| may_go(changed))
            {
                return None;
            }
            ids.push(*id);
        }
        Some(ids)
    }

    /// Writes `ID.eml`, where the content is in the record, and `ID.new`; syncs nothing. Whether the
    /// message is there still: one that is damaged is set aside.
    pub(super) fn write_unsynced(
        &self,
        id: MessageId,
        held: bool,
        buffer: &mut Vec<u8>,
    ) -> Result<bool, SpoolError> {
        let stored = match self.read(id, buffer) {
            Err(SpoolError::Damaged(_)) => {
                self.set_aside_in_turn(id, "its record is damaged")?;
                return Ok(false);
            }
            stored => stored?,
        };
        let header_only = self.is_header_enough(&stored);
        let mut meta = Meta::new(id, stored.received, stored.envelope);
        (meta.local, meta.lanes) = (stored.local, stored.lanes);
        (meta.progress, meta.origin) = (stored.progress, stored.origin);
        meta.held = held;
        match stored.content {
            Content::Memory(range) => {
                let mut content = buffer.get(range).unwrap_or_default();
                if header_only {
                    content = header_of(content);
                }
                meta.file = Some(seal_of(content));
                self.write_new(&self.options.queue_file(id, "eml"), content)?;
            }
            Content::File(_, length, crc) => meta.file = Some((length, crc)),
        }
        let fresh = self.options.queue_file(id, "new");
        self.write_new(&fresh, meta.to_text().as_bytes())?;
        Ok(true)
    }

    /// Gives synced envelopes their names, durably.
    pub(super) fn name_envelopes(&self, ids: &[MessageId]) -> Result<(), SpoolError> {
        let file = |id: &MessageId, kind| self.options.queue_file(*id, kind);
        let pairs = ids.iter().map(|id| (file(id, "new"), file(id, "env")));
        let pairs: Vec<_> = pairs.collect();
        let folder = self.options.queue_folder();
        self.disk.rename_all(&pairs).map_err(|(number, error)| {
            let path = pairs.get(number).map_or(&folder, |(fresh, _)| fresh);
            SpoolError::io("cannot rename", path)(error)
        })?;
        let synced = self.disk.sync_folder(&folder);
        synced.map_err(SpoolError::io("cannot sync", &folder))
    }

    /// Replaces `ID.env` as a whole, durably.
    pub(super) fn write_env(&self, meta: &Meta) -> Result<(), SpoolError> {
        let fresh = self.options.queue_file(meta.id, "new");
        self.write_file(&fresh, meta.to_text().as_bytes())?;
        self.name_envelopes(&[meta.id])
    }

    /// The same for many, with the syncs of one.
    pub(super) fn write_envs(&self, metas: &[Meta]) -> Result<(), SpoolError> {
        match metas {
            [] => return Ok(()),
            [meta] => return self.write_env(meta),
            _ => {}
        }
        let mut ids = Vec::with_capacity(metas.len());
        for meta in metas {
            let fresh = self.options.queue_file(meta.id, "new");
            self.write_new(&fresh, meta.to_text().as_bytes())?;
            ids.push(meta.id);
        }
        self.sync_written(&ids)?;
        self.name_envelopes(&ids)
    }

    /// Writes a whole file, unsynced.
    fn write_new(&self, path: &Path, octets: &[u8]) -> Result<Box<dyn DiskFile>, SpoolError> {
        let file = self.disk.open(path, OpenMode::Replace);
        let file = file.map_err(SpoolError::io("cannot make", path))?;
        let written = file.write_at(octets, 0);
        written.map_err(SpoolError::io("cannot write", path))?;
        Ok(file)
    }

    /// Writes a whole file and syncs its content.
    pub(super) fn write_file(&self, path: &Path, octets: &[u8]) -> Result<(), SpoolError> {
        let synced = self.write_new(path, octets)?.sync_data();
        synced.map_err(SpoolError::io("cannot sync", path))
    }

    /// The `.env` goes first, and durably: without it the `.eml` is an orphan. One sync for all of them.
    fn remove_queue_files(&self, messages: &[Settled]) -> Result<(), SpoolError> {
        if messages.is_empty() {
            return Ok(());
        }
        let folder = self.options.queue_folder();
        let remove = |kind| {
            let paths = messages.iter();
            let paths = paths.map(|message| self.options.queue_file(message.id, kind));
            let paths: Vec<_> = paths.collect();
            self.disk.remove_all(&paths).map_err(|(number, error)| {
                let path = paths.get(number).unwrap_or(&folder);
                SpoolError::io("cannot remove", path)(error)
            })
        };
        remove("env")?;
        let synced = self.disk.sync_folder(&folder);
        synced.map_err(SpoolError::io("cannot sync", &folder))?;
        remove("eml")
    }
}

/// What becomes of a message's own files.
enum Files {
    Stay,
    Go,
}

/// Whether there is anything to be kept of these recipients.
fn any_moved(progress: &[Progress]) -> bool {
    progress.iter().any(|one| *one != Progress::Due)
}
