//! Copies in Maildirs that are not durable yet, and the operator who wants to settle their messages.
//!
//! A copy is a write and a rename, durable with the next checkpoint only. A message that is let go before leaves
//! nobody who would write its copy again, and a power cut then leaves an empty or torn file in `new/`. So
//! what the operator settles waits for that checkpoint: [`SpoolError::CopyNotDurable`] says so, and
//! [`Spool::settle_copies`] has the deliverer make copies durable that are there, and no new ones. Until the
//! checkpoint a message stays here, and counts as delivered where the operator asks ([`Spool::ahead`]).

use std::time::Instant;

use super::store::Ahead;
use super::{Attempts, Spool, SpoolError, Stored};
use crate::mail::{MessageId, Progress, Target};
use crate::sys::clock;

/// The operator settles a message just now; the deliverer leaves it alone meanwhile.
pub(super) struct Reserved<'a> {
    spool: &'a Spool,
    id: MessageId,
    is_settled: bool,
}

impl Reserved<'_> {
    /// The message.
    pub(super) fn id(&self) -> MessageId {
        self.id
    }

    /// It was settled; otherwise it is due again.
    pub(super) fn settled(mut self) {
        self.is_settled = true;
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if let Some(entry) = self.spool.lock().entries.get_mut(&self.id) {
            entry.reserved = false;
        }
        if !self.is_settled {
            // The deliverer may have come by.
            self.spool.give_back(self.id);
        }
    }
}

/// What others did meanwhile is true as well; a list of another length says nothing.
pub(super) fn catch_up(progress: &mut [Progress], others: &[Progress]) {
    if progress.len() == others.len() {
        for (one, other) in progress.iter_mut().zip(others) {
            one.advance(other);
        }
    }
}

impl Spool {
    /// The deliverer is about to write copies of a message. False where it must not: the operator settles it
    /// just now, or it is gone.
    pub fn begin_copies(&self, id: MessageId) -> bool {
        let mut state = self.lock();
        let entry = state.entries.get_mut(&id).filter(|entry| !entry.reserved);
        entry.map(|entry| entry.copying = true).is_some()
    }

    /// The deliverer has written what copies it could; this becomes true with the next checkpoint.
    pub fn note_copies(&self, id: MessageId, progress: &[Progress], local: Attempts) {
        if let Some(entry) = self.lock().entries.get_mut(&id) {
            let mut progress = progress.to_vec();
            let changed = entry.changed.get_or_insert_default();
            catch_up(&mut progress, &changed.progress);
            changed.ahead = Some(Ahead { progress, local });
        }
    }

    /// A message as it is with the next checkpoint.
    pub fn ahead(&self, mut stored: Stored) -> Stored {
        let state = self.lock();
        let changed = state.entries.get(&stored.id);
        let changed = changed.and_then(|entry| entry.changed.as_ref());
        if let Some(ahead) = changed.and_then(|changed| changed.ahead.as_ref()) {
            catch_up(&mut stored.progress, &ahead.progress);
            stored.local = ahead.local;
        }
        stored
    }

    /// Keeps the deliverer off a message.
    ///
    /// # Errors
    /// A copy of it may be there that is not durable; or there is no such message.
    pub(super) fn reserve(&self, stored: &Stored) -> Result<Reserved<'_>, SpoolError> {
        let id = stored.id;
        let mut local = stored.due().map(|(_, recipient)| &recipient.target);
        let has_local = local.any(|target| matches!(target, Target::User(_)));
        let mut state = self.lock();
        let entry = state.entries.get_mut(&id);
        let entry = entry.ok_or(SpoolError::NoSuchMessage(id))?;
        if entry.copying || (entry.replayed && has_local) {
            return Err(SpoolError::CopyNotDurable(id));
        }
        entry.reserved = true;
        Ok(Reserved {
            spool: self,
            id,
            is_settled: false,
        })
    }

    /// Has the deliverer make copies of these messages durable that may be there; waits for it, but not beyond
    /// `until`.
    pub fn settle_copies(&self, ids: &[MessageId], until: Instant) {
        self.ask_for_copies(ids);
        let mut state = self.lock();
        while ids.iter().any(|id| state.copies_wanted.contains(id)) && !state.closing {
            let left = until.saturating_duration_since(clock::monotonic());
            if left.is_zero() {
                return;
            }
            (state, _) = self.copies_settled.wait_timeout(state, left);
        }
    }

    /// The same without waiting.
    pub fn ask_for_copies(&self, ids: &[MessageId]) {
        let mut state = self.lock();
        for id in ids {
            let entry = state.entries.get(id);
            if entry.is_some_and(|entry| entry.copying || entry.replayed) {
                state.copies_wanted.insert(*id);
            }
        }
        drop(state);
        self.delivery_work.notify_all();
    }

    /// Those that were asked for.
    pub fn copies_wanted(&self) -> Vec<MessageId> {
        self.lock().copies_wanted.iter().copied().collect()
    }

    /// The deliverer has done what it can for what was asked for; whatever copies there are of `durable` are durable.
    pub fn copies_done(&self, asked: &[MessageId], durable: &[MessageId]) {
        let mut state = self.lock();
        for id in durable {
            if let Some(entry) = state.entries.get_mut(id) {
                (entry.copying, entry.replayed) = (false, false);
            }
        }
        for id in asked {
            state.copies_wanted.remove(id);
        }
        drop(state);
        self.copies_settled.notify_all();
    }
}
