//! Letting go: of messages that were delivered, and of segments nobody needs any more.
//!
//! All of it is done by the deliverer's thread, but for [`Spool::remove_finished`], which the committer
//! calls once a done record is durable.

use std::path::Path;
use std::sync::Arc;

use super::format::Kind;
use super::log::{Use, write_header};
use super::meta::Meta;
use super::store::{Changed, Content, Place, all_done};
use super::{Refusal, Spool, SpoolError};
use crate::events;
use crate::mail::MessageId;
use crate::sys::disk::OpenMode;

/// What became of a message in a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The message.
    pub id: MessageId,
    /// Which recipients are done, durably.
    pub done: Vec<bool>,
    /// Failed attempts so far.
    pub attempts: u32,
    /// When the rest is tried again, seconds since 1970.
    pub next_attempt: u64,
    /// Whether copies may be there that did not become durable.
    pub in_doubt: bool,
}

impl Settled {
    /// Whether no recipient is left.
    pub fn is_finished(&self) -> bool {
        all_done(&self.done)
    }
}

impl Spool {
    /// Takes note of a checkpoint: what is done is durable in its Maildirs. Lets go of what is
    /// finished, keeps the state of the rest, and frees the oldest segments.
    ///
    /// # Errors
    /// The disk's, the first of them; what stays in `settled` has to be settled again.
    pub fn settle(&self, settled: &mut Vec<Settled>) -> Result<(), SpoolError> {
        let mut done = Vec::new();
        let mut failed = Ok(());
        settled.retain(|message| match self.settle_one(message, &mut done) {
            Ok(()) => false,
            Err(error) => {
                failed = Err(error);
                true
            }
        });
        if !done.is_empty() {
            self.append_done(done);
        }
        self.release()
            .inspect_err(|error| self.report_stuck(error.refusal()))?;
        failed
    }

    /// No segment can be let go now: a committer that waits for one need not wait longer.
    pub fn report_stuck(&self, refusal: Refusal) {
        let mut state = self.lock();
        (state.stuck, state.last_stuck) = (Some(refusal), Some(refusal));
        drop(state);
        self.commit_work.notify_all();
    }

    /// A message could not even be read: it no longer holds up the others of its segment.
    pub fn note_attempt(&self, id: MessageId) {
        if let Some(entry) = self.lock().entries.get_mut(&id) {
            entry.changed.get_or_insert_default().attempts += 1;
        }
    }

    /// Moves a message that is damaged to `bad/`.
    ///
    /// # Errors
    /// The disk's; the message is where it was.
    pub fn set_aside(&self, id: MessageId, reason: &str) -> Result<(), SpoolError> {
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
        done: &mut Vec<(MessageId, Vec<bool>)>,
    ) -> Result<(), SpoolError> {
        let id = message.id;
        let Some(place) = self.note(message) else {
            return Ok(());
        };
        if message.done.contains(&true) {
            done.push((id, message.done.clone()));
        }
        match place {
            Place::Log { kind, .. } => {
                if message.is_finished() && kind == Kind::Message {
                    self.forget(id);
                }
            }
            Place::Queue if message.is_finished() => {
                self.remove_queue_files(id)?;
                self.forget(id);
            }
            Place::Queue => {
                let mut meta = self.read_env(id)?;
                (meta.done, meta.attempts) = (message.done.clone(), message.attempts);
                meta.next_attempt = message.next_attempt;
                self.write_env(&meta)?;
            }
        }
        Ok(())
    }

    /// Keeps what is new about a message; gives where it is.
    fn note(&self, message: &Settled) -> Option<Place> {
        let mut state = self.lock();
        let entry = state.entries.get_mut(&message.id)?;
        let was_finished = entry.is_finished();
        entry.replayed |= message.in_doubt;
        entry.changed = Some(Box::new(Changed {
            done: message.done.clone(),
            attempts: message.attempts,
            next_attempt: message.next_attempt,
        }));
        let place = entry.place;
        if message.is_finished() && !was_finished {
            state.leave_segment(place);
        }
        Some(place)
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

    /// Frees full segments, strictly oldest first. One that is held up by deferred messages only has
    /// them moved into files of their own.
    fn release(&self) -> Result<(), SpoolError> {
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
            if live > 0 && !self.evict(number)? {
                return Ok(());
            }
            write_header(&*file, age, &path)?;
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

    /// Moves the messages of a segment into files of their own, if all of them were tried and
    /// deferred; whether nothing holds the segment then.
    fn evict(&self, number: u32) -> Result<bool, SpoolError> {
        let mut deferred = Vec::new();
        for (id, entry) in &self.lock().entries {
            let inside = matches!(entry.place, Place::Log { segment, .. } if segment == number);
            if !inside || entry.is_finished() {
                continue;
            }
            if entry
                .changed
                .as_ref()
                .is_none_or(|changed| changed.attempts == 0)
            {
                return Ok(false);
            }
            deferred.push(*id);
        }
        let mut buffer = Vec::new();
        for id in deferred {
            self.evict_one(id, &mut buffer)?;
            let mut state = self.lock();
            let Some(entry) = state.entries.get_mut(&id) else {
                continue;
            };
            entry.place = Place::Queue;
            if let Some(segment) = state.log.segment(number) {
                segment.live = segment.live.saturating_sub(1);
            }
        }
        Ok(true)
    }

    fn evict_one(&self, id: MessageId, buffer: &mut Vec<u8>) -> Result<(), SpoolError> {
        let stored = match self.read(id, buffer) {
            Err(SpoolError::Damaged(_)) => return self.set_aside(id, "its record is damaged"),
            stored => stored?,
        };
        let mut meta = Meta::new(id, stored.received, stored.envelope);
        (meta.done, meta.attempts) = (stored.done, stored.attempts);
        meta.next_attempt = stored.next_attempt;
        match stored.content {
            Content::Memory(range) => {
                let content = buffer.get(range).unwrap_or_default();
                meta.file = Some((content.len() as u64, crc32fast::hash(content)));
                self.write_file(&self.options.queue_file(id, "eml"), content)?;
            }
            Content::File(_, length, crc) => meta.file = Some((length, crc)),
        }
        self.write_env(&meta)
    }

    /// Replaces `ID.env` as a whole, durably. The sync of the folder is also that of a fresh `ID.eml`.
    fn write_env(&self, meta: &Meta) -> Result<(), SpoolError> {
        let path = self.options.queue_file(meta.id, "env");
        let fresh = self.options.queue_file(meta.id, "new");
        self.write_file(&fresh, meta.to_text().as_bytes())?;
        let renamed = self.disk.rename(&fresh, &path);
        renamed.map_err(SpoolError::io("cannot rename", &fresh))?;
        let folder = self.options.queue_folder();
        let synced = self.disk.sync_folder(&folder);
        synced.map_err(SpoolError::io("cannot sync", &folder))
    }

    /// Writes a whole file and syncs its content.
    fn write_file(&self, path: &Path, octets: &[u8]) -> Result<(), SpoolError> {
        let file = self.disk.open(path, OpenMode::Replace);
        let file = file.map_err(SpoolError::io("cannot make", path))?;
        let written = file.write_at(octets, 0);
        written.map_err(SpoolError::io("cannot write", path))?;
        let synced = file.sync_data();
        synced.map_err(SpoolError::io("cannot sync", path))
    }

    /// The `.env` goes first, and durably: without it the `.eml` is an orphan.
    fn remove_queue_files(&self, id: MessageId) -> Result<(), SpoolError> {
        let env = self.options.queue_file(id, "env");
        if self.disk.exists(&env) {
            let removed = self.disk.remove(&env);
            removed.map_err(SpoolError::io("cannot remove", &env))?;
        }
        let folder = self.options.queue_folder();
        let synced = self.disk.sync_folder(&folder);
        synced.map_err(SpoolError::io("cannot sync", &folder))?;
        let content = self.options.queue_file(id, "eml");
        if self.disk.exists(&content) {
            let removed = self.disk.remove(&content);
            removed.map_err(SpoolError::io("cannot remove", &content))?;
        }
        Ok(())
    }
}
