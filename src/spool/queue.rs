//! The messages in files of their own, read beside what a start opens: with a hundred thousand of them that takes
//! seconds, and new mail need not wait for it.
//!
//! Promises: what the log holds is known before (an envelope beside its record wins, and was read with it), so no
//! message is known twice; a message is read in a turn with whoever settles, so none that is finished comes
//! back; what belongs to drafts of this run is no orphan. Until all is read, the operator's commands wait, and numbers
//! of messages are those read so far.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::recover::{Recovery, names_in, tolerate_full};
use super::{Spool, SpoolError, history};
use crate::events;
use crate::mail::MessageId;
use crate::sys::clock;

impl Spool {
    /// Reads the queue in a thread of its own, which ends with that or with [`Spool::close`].
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start_reading_queue(self: &Arc<Self>) -> io::Result<JoinHandle<()>> {
        let spool = Arc::clone(self);
        let in_log = self.undelivered();
        thread::Builder::new()
            .name("queue reader".into())
            .stack_size(256 * 1024)
            .spawn(move || match spool.read_while(&|| !spool.is_closing()) {
                Ok(0) if in_log == 0 => {}
                Ok(read) => events::recovered(in_log + read),
                Err(error) => events::spool_failed(&error),
            })
    }

    /// Reads the queue.
    ///
    /// # Errors
    /// A folder cannot be listed, or what is left over not be removed.
    pub fn read_queue(&self) -> Result<(), SpoolError> {
        self.read_while(&|| true).map(drop)
    }

    /// Whether messages in files may not be known yet.
    pub fn is_reading_queue(&self) -> bool {
        self.lock().is_reading
    }

    /// Waits until all is read, but not beyond `until`; whether it is.
    pub fn wait_until_read(&self, until: Instant) -> bool {
        let mut state = self.lock();
        while state.is_reading {
            let left = until.saturating_duration_since(clock::monotonic());
            if left.is_zero() {
                return false;
            }
            (state, _) = self.queue_read.wait_timeout(state, left);
        }
        true
    }

    fn read_while(&self, go_on: &dyn Fn() -> bool) -> Result<usize, SpoolError> {
        let names = names_in(&*self.disk, &self.options.queue_folder())?;
        let mut count = 0;
        let envelopes: Vec<&str> = names
            .iter()
            .filter_map(|name| name.strip_suffix(".env"))
            .collect();
        for some in envelopes.chunks(MESSAGES_PER_TURN) {
            if !go_on() {
                return Ok(count);
            }
            let _turn = self.settling();
            count += some.iter().filter(|name| self.read_one(name)).count();
        }
        for name in &names {
            self.remove_orphan(name)?;
        }
        let is_known = |id: &MessageId| self.lock().entries.contains_key(id);
        let known = history::at_start(&*self.disk, &self.options, is_known)?;
        let mut state = self.lock();
        state.has_history.extend(known);
        state.is_reading = false;
        drop(state);
        self.queue_read.notify_all();
        self.delivery_work.notify_all();
        Ok(count)
    }

    /// Whether it is a message that was not known; within a turn.
    fn read_one(&self, name: &str) -> bool {
        let id = name.parse::<MessageId>();
        if id.is_ok_and(|id| self.lock().entries.contains_key(&id)) {
            return false;
        }
        let recovery = Recovery {
            disk: &*self.disk,
            options: &self.options,
        };
        let Some((id, entry)) = recovery.read_envelope(name) else {
            return false;
        };
        let mut state = self.lock();
        state.entries.insert(id, entry);
        state.fresh.push_back(id);
        drop(state);
        self.delivery_work.notify_all();
        true
    }

    fn is_orphan(&self, name: &str) -> bool {
        match name.strip_suffix(".eml").map(str::parse::<MessageId>) {
            Some(Ok(id)) => {
                let is_ours = id.run() == MessageId::new(self.options.run, 0).run();
                !is_ours && !self.lock().entries.contains_key(&id)
            }
            Some(Err(_)) | None => name.ends_with(".new"),
        }
    }

    /// Drafts that were never committed, and halves of a replacement.
    fn remove_orphan(&self, name: &str) -> Result<(), SpoolError> {
        // Most are none, and need no turn.
        if !self.is_orphan(name) {
            return Ok(());
        }
        let _turn = self.settling();
        if !self.is_orphan(name) {
            return Ok(());
        }
        let path = self.options.queue_folder().join(name);
        match self.disk.remove(&path) {
            // Its message was finished meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => {
                let removed = removed.map_err(SpoolError::io("cannot remove", &path));
                tolerate_full(removed.map(|()| events::spool_orphan_removed(name)))
            }
        }
    }
}

/// So many that whoever settles all the time does not starve the reader, and so few that he hardly waits.
const MESSAGES_PER_TURN: usize = 64;
