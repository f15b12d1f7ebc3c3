//! What the operator does to messages: hold, release, make due, delete.
//!
//! A message that is *held* is tried by nobody and does not expire; that stands in its own `ID.env`, so it
//! is moved out of the log first and stays held over a start. Promises: held, released and deleted is so
//! durably on return. A delivery that is under way when a message is held is finished first. Deleting one
//! means that nobody gets it from here on and that its sender hears nothing; a notification that is being
//! made at that moment still arrives, and a copy that is in a Maildir already stays: a message with one that is not
//! durable is neither held nor deleted before (`copies`). Who carries messages elsewhere is asked by the
//! caller before.

use super::copies::Reserved;
use super::settle::Party;
use super::store::Place;
use super::{Settled, Spool, SpoolError};
use crate::mail::{MessageId, Progress};
use crate::sys::disk::OpenMode;

impl Spool {
    /// Every undelivered message, oldest first.
    pub fn ids(&self) -> Vec<MessageId> {
        let state = self.lock();
        let entries = state.entries.iter();
        let mut ids: Vec<_> = entries.map(|(id, entry)| (entry.received, *id)).collect();
        drop(state);
        ids.sort_unstable();
        ids.into_iter().map(|(_, id)| id).collect()
    }

    /// Holds a message, or releases it; whether that was new. One that is released is fresh again.
    ///
    /// # Errors
    /// There is no such message, it is damaged, a copy of it is not durable yet, or the disk failed: then it is
    /// as it was.
    pub fn set_held(&self, id: MessageId, held: bool) -> Result<bool, SpoolError> {
        let turn = self.settling();
        if !self.is_undelivered(id) {
            return Err(SpoolError::NoSuchMessage(id));
        }
        let stored = self.read(id, &mut Vec::new())?;
        if stored.held == held {
            return Ok(false);
        }
        let reserved = held.then(|| self.reserve(&stored)).transpose()?;
        self.move_out(&[id])?;
        let mut meta = self.read_env(id)?;
        meta.held = held;
        self.write_env(&meta)?;
        if let Some(entry) = self.lock().entries.get_mut(&id) {
            entry.held = held;
        }
        reserved.into_iter().for_each(Reserved::settled);
        drop(turn);
        if !held {
            self.give_back(id);
        }
        Ok(true)
    }

    /// A message is due now, whatever its attempts said, and is given out again; one that is held is not.
    ///
    /// # Errors
    /// There is no such message, it is damaged, or the disk failed.
    pub fn make_due(&self, id: MessageId) -> Result<bool, SpoolError> {
        let stored = self.read(id, &mut Vec::new())?;
        if stored.held {
            return Ok(false);
        }
        let turn = self.settling();
        if stored.local.next > 0 && self.place_of(id)? == Place::Queue {
            // Where no service runs, the next start reads it.
            let mut meta = self.read_env(id)?;
            meta.local.next = 0;
            self.write_env(&meta)?;
        }
        drop(turn);
        if let Some(entry) = self.lock().entries.get_mut(&id) {
            let changed = entry.changed.get_or_insert_default();
            if changed.progress.is_empty() {
                changed.progress = stored.progress;
                (changed.local, changed.lanes) = (stored.local, stored.lanes);
            }
            (changed.local.next, changed.lanes.next) = (0, 0);
        }
        self.give_back(id);
        Ok(true)
    }

    /// Lets go of a message that was not delivered.
    ///
    /// # Errors
    /// There is no such message, a copy of it is not durable yet, or the disk failed: then it may be there at
    /// the next start.
    pub fn delete(&self, id: MessageId) -> Result<(), SpoolError> {
        let stored = self.read(id, &mut Vec::new())?;
        if !self.is_undelivered(id) {
            return Err(SpoolError::NoSuchMessage(id));
        }
        let reserved = self.reserve(&stored)?;
        let written = self.commit_done(id, stored.progress.len());
        written.map_err(|refusal| {
            let path = self.options.log_folder();
            SpoolError::io("cannot write", &path)(refusal.into_error())
        })?;
        let mut settled = vec![Settled {
            id,
            party: Party::Operator,
            progress: vec![Progress::Done; stored.progress.len()],
            local: stored.local,
            lanes: stored.lanes,
            is_left: false,
            in_doubt: false,
        }];
        self.settle_at_once(&mut settled, Party::Operator)?;
        reserved.settled();
        Ok(())
    }

    /// Whether a message is there and has something left to be done.
    fn is_undelivered(&self, id: MessageId) -> bool {
        let state = self.lock();
        let entry = state.entries.get(&id);
        entry.is_some_and(|entry| !entry.is_finished())
    }

    /// Moves messages out of the log into files of their own; those that are there already stay. All of
    /// them together cost two syncs: one for every content and envelope, one for their names; more where the
    /// kernel hides failed writes from the first.
    ///
    /// # Errors
    /// The disk's; then they are where they were.
    pub(super) fn move_out(&self, ids: &[MessageId]) -> Result<(), SpoolError> {
        let mut buffer = Vec::new();
        let mut written = Vec::new();
        for id in ids {
            let place = self.lock().entries.get(id).map(|entry| entry.place);
            let in_log = matches!(place, Some(Place::Log { .. }));
            if in_log && self.write_unsynced(*id, &mut buffer)? {
                written.push(*id);
            }
        }
        if written.is_empty() {
            return Ok(());
        }
        self.sync_written(&written)?;
        if let Err(error) = self.name_envelopes(&written) {
            // The log has them still, and an envelope beside it would outlive what becomes of them.
            for id in &written {
                let _ = self.disk.remove(&self.options.queue_file(*id, "env"));
            }
            return Err(error);
        }
        let mut state = self.lock();
        for id in written {
            let Some(entry) = state.entries.get_mut(&id) else {
                continue;
            };
            let left = std::mem::replace(&mut entry.place, Place::Queue);
            state.leave_segment(left);
        }
        Ok(())
    }

    /// Makes contents and envelopes durable that were written without a sync.
    fn sync_written(&self, ids: &[MessageId]) -> Result<(), SpoolError> {
        if self.disk.tells_failed_writes() {
            let folder = self.options.queue_folder();
            let synced = self.disk.sync_file_system(&folder);
            return synced.map_err(SpoolError::io("cannot sync", &folder));
        }
        for id in ids {
            for kind in ["eml", "new"] {
                let path = self.options.queue_file(*id, kind);
                let file = self.disk.open(&path, OpenMode::Existing);
                let synced = file.and_then(|file| file.sync_data());
                synced.map_err(SpoolError::io("cannot sync", &path))?;
            }
        }
        Ok(())
    }
}
