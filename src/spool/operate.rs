//! What the operator does to messages: hold, release, make due, delete.
//!
//! A message that is *held* is tried by nobody and does not expire; that stands in its own `ID.env`, so it
//! is moved out of the log first and stays held over a start. Promises: held, released and deleted is so
//! durably on return. A delivery that is under way when a message is held is finished first. Deleting one
//! means that nobody gets it from here on and that its sender hears nothing; a notification that is being
//! made at that moment still arrives, and a copy that is in a Maildir already stays: a message with one that is not
//! durable is neither held nor deleted before (`copies`). Who carries messages elsewhere is asked by the
//! caller before. Many messages at once cost the syncs of one, and others get their turn between two calls.

use super::copies::Reserved;
use super::meta::Meta;
use super::settle::Party;
use super::store::Place;
use super::{Settled, Spool, SpoolError, Stored};
use crate::mail::{MessageId, Progress, Target};
use crate::sys::disk::OpenMode;

/// What became of messages that the operator did something to.
#[derive(Debug, Default)]
pub struct Batch {
    /// Each message: whether it changed, or why it did not.
    pub each: Vec<(MessageId, Result<bool, SpoolError>)>,
    /// The disk failed under those that are not in `each`.
    pub failed: Option<SpoolError>,
}

impl Batch {
    /// Those that changed.
    pub fn changed(&self) -> impl Iterator<Item = MessageId> + '_ {
        let changed = self.each.iter().filter(|(_, one)| matches!(one, Ok(true)));
        changed.map(|(id, _)| *id)
    }

    /// What became of the only one.
    fn only(self, id: MessageId) -> Result<bool, SpoolError> {
        match (self.failed, self.each.into_iter().next()) {
            (Some(error), _) => Err(error),
            (None, Some((_, one))) => one,
            (None, None) => Err(SpoolError::NoSuchMessage(id)),
        }
    }
}

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

    /// A message with a recipient left whose copy goes into the mailbox of `user`: `known` where that is one, else the
    /// oldest. Reads every message where `known` is none.
    pub fn next_waiting_for(&self, user: &str, known: MessageId) -> Option<MessageId> {
        let mut buffer = Vec::new();
        let mut waits = |id: &MessageId| {
            let stored = match self.read(*id, &mut buffer) {
                Ok(stored) => stored,
                // Nobody can tell, and it is still there.
                Err(SpoolError::Io { .. }) => return *id == known,
                Err(_) => return false,
            };
            let mut due = stored.due();
            due.any(|(_, recipient)| matches!(&recipient.target, Target::User(to) if to == user))
        };
        match waits(&known) {
            true => Some(known),
            false => self.ids().into_iter().find(waits),
        }
    }

    /// Holds a message, or releases it; whether that was new.
    ///
    /// # Errors
    /// See [`Spool::hold_all`].
    pub fn set_held(&self, id: MessageId, held: bool) -> Result<bool, SpoolError> {
        self.hold_all(&[id], held).only(id)
    }

    /// A message is due now; whether it is.
    ///
    /// # Errors
    /// There is no such message, it is damaged, or the disk failed.
    pub fn make_due(&self, id: MessageId) -> Result<bool, SpoolError> {
        self.make_due_all(&[id]).only(id)
    }

    /// Lets go of a message that was not delivered.
    ///
    /// # Errors
    /// See [`Spool::delete_all`].
    pub fn delete(&self, id: MessageId) -> Result<(), SpoolError> {
        self.delete_all(&[id]).only(id).map(|_| ())
    }

    /// Holds messages, or releases them. One that is released is fresh again. One that is not there, is damaged,
    /// or has a copy that is not durable yet is as it was.
    pub fn hold_all(&self, ids: &[MessageId], held: bool) -> Batch {
        let (mut batch, mut chosen, mut reserved) = (Batch::default(), Vec::new(), Vec::new());
        let mut buffer = Vec::new();
        let turn = self.settling();
        for id in ids {
            match self.to_be_held(*id, held, &mut buffer) {
                Ok(None) => batch.each.push((*id, Ok(false))),
                Ok(Some(own)) => {
                    chosen.push(*id);
                    reserved.extend(own);
                }
                Err(error) => batch.each.push((*id, Err(error))),
            }
        }
        if let Err(error) = self.write_held(&chosen, held, &mut batch) {
            batch.failed = Some(error);
            return batch;
        }
        reserved.into_iter().for_each(Reserved::settled);
        drop(turn);
        if !held {
            batch.changed().for_each(|id| self.give_back(id));
        }
        batch
    }

    /// Whether a message has to change to be held or released, kept from the deliverer where it is to be held.
    fn to_be_held(
        &self,
        id: MessageId,
        held: bool,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<Option<Reserved<'_>>>, SpoolError> {
        if !self.is_undelivered(id) {
            return Err(SpoolError::NoSuchMessage(id));
        }
        let stored = self.read(id, buffer)?;
        if stored.held == held {
            return Ok(None);
        }
        held.then(|| self.reserve(&stored)).transpose().map(Some)
    }

    fn write_held(
        &self,
        ids: &[MessageId],
        held: bool,
        batch: &mut Batch,
    ) -> Result<(), SpoolError> {
        let in_log = |id: &MessageId| matches!(self.place_of(*id), Ok(Place::Log { .. }));
        let (in_log, in_files): (Vec<_>, Vec<_>) = ids.iter().partition(|id| in_log(id));
        self.move_out(&in_log, held)?;
        for id in in_log {
            batch.each.push((id, self.place_of(id).map(|_| true)));
        }
        let mut metas = Vec::new();
        for id in &in_files {
            match self.read_env(*id) {
                Ok(meta) => metas.push(Meta { held, ..meta }),
                Err(error) => batch.each.push((*id, Err(error))),
            }
        }
        self.write_envs(&metas)?;
        batch
            .each
            .extend(metas.iter().map(|meta| (meta.id, Ok(true))));
        let mut state = self.lock();
        for id in batch.changed() {
            if let Some(entry) = state.entries.get_mut(&id) {
                entry.held = held;
            }
        }
        Ok(())
    }

    /// Messages are due now, whatever their attempts said, and are given out again; those that are held are not.
    pub fn make_due_all(&self, ids: &[MessageId]) -> Batch {
        let (mut batch, mut chosen, mut metas) = (Batch::default(), Vec::new(), Vec::new());
        let mut buffer = Vec::new();
        let turn = self.settling();
        for id in ids {
            match self.to_be_due(*id, &mut buffer, &mut metas) {
                Ok(Some(stored)) => chosen.push(stored),
                Ok(None) => batch.each.push((*id, Ok(false))),
                Err(error) => batch.each.push((*id, Err(error))),
            }
        }
        batch.failed = self.write_envs(&metas).err();
        drop(turn);
        if batch.failed.is_some() {
            return batch;
        }
        for stored in chosen {
            if let Some(entry) = self.lock().entries.get_mut(&stored.id) {
                let changed = entry.changed.get_or_insert_default();
                if changed.progress.is_empty() {
                    changed.progress = stored.progress;
                    (changed.local, changed.lanes) = (stored.local, stored.lanes);
                }
                (changed.local.next, changed.lanes.next) = (0, 0);
            }
            self.give_back(stored.id);
            batch.each.push((stored.id, Ok(true)));
        }
        batch
    }

    /// A message as it is read, unless it is held; its envelope for the next start, where that has to change.
    fn to_be_due(
        &self,
        id: MessageId,
        buffer: &mut Vec<u8>,
        metas: &mut Vec<Meta>,
    ) -> Result<Option<Stored>, SpoolError> {
        let stored = self.read(id, buffer)?;
        if stored.held {
            return Ok(None);
        }
        if stored.local.next > 0 && self.place_of(id)? == Place::Queue {
            // Where no service runs, the next start reads it.
            let mut meta = self.read_env(id)?;
            meta.local.next = 0;
            metas.push(meta);
        }
        Ok(Some(stored))
    }

    /// Lets go of messages that were not delivered. One that is not there, or has a copy that is not durable yet, is
    /// as it was; where the disk fails they may be there at the next start.
    pub fn delete_all(&self, ids: &[MessageId]) -> Batch {
        let (mut batch, mut settled, mut reserved) = (Batch::default(), Vec::new(), Vec::new());
        let mut buffer = Vec::new();
        for id in ids {
            match self.to_be_deleted(*id, &mut buffer) {
                Ok((one, own)) => {
                    settled.push(one);
                    reserved.push(own);
                }
                Err(error) => batch.each.push((*id, Err(error))),
            }
        }
        let done = settled.iter().map(|one| (one.id, one.progress.clone()));
        let done: Vec<_> = done.collect();
        if let Err(refusal) = self.commit_done(&done) {
            let path = self.options.log_folder();
            let error = SpoolError::io("cannot write", &path)(refusal.into_error());
            batch.failed = Some(error);
            return batch;
        }
        batch.failed = self.settle_at_once(&mut settled, Party::Operator).err();
        let is_left = |id: MessageId| settled.iter().any(|one| one.id == id);
        for own in reserved.into_iter().filter(|own| !is_left(own.id())) {
            batch.each.push((own.id(), Ok(true)));
            own.settled();
        }
        batch
    }

    fn to_be_deleted(
        &self,
        id: MessageId,
        buffer: &mut Vec<u8>,
    ) -> Result<(Settled, Reserved<'_>), SpoolError> {
        let stored = self.read(id, buffer)?;
        if !self.is_undelivered(id) {
            return Err(SpoolError::NoSuchMessage(id));
        }
        let reserved = self.reserve(&stored)?;
        let settled = Settled {
            id,
            party: Party::Operator,
            progress: vec![Progress::Done; stored.progress.len()],
            local: stored.local,
            lanes: stored.lanes,
            is_left: false,
            in_doubt: false,
        };
        Ok((settled, reserved))
    }

    /// Whether a message is there and has something left to be done.
    fn is_undelivered(&self, id: MessageId) -> bool {
        let state = self.lock();
        let entry = state.entries.get(&id);
        entry.is_some_and(|entry| !entry.is_finished())
    }

    /// Moves messages out of the log into files of their own, held or not; those that are there already stay. All of
    /// them together cost two syncs: one for every content and envelope, one for their names; more where the
    /// kernel hides failed writes from the first.
    ///
    /// # Errors
    /// The disk's; then they are where they were.
    pub(super) fn move_out(&self, ids: &[MessageId], held: bool) -> Result<(), SpoolError> {
        let mut buffer = Vec::new();
        let mut written = Vec::new();
        for id in ids {
            let place = self.lock().entries.get(id).map(|entry| entry.place);
            let in_log = matches!(place, Some(Place::Log { .. }));
            if in_log && self.write_unsynced(*id, held, &mut buffer)? {
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
    pub(super) fn sync_written(&self, ids: &[MessageId]) -> Result<(), SpoolError> {
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
