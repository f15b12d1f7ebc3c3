//! Copies of earlier attempts, before the operator settles their messages.
//!
//! Promises: makes copies durable that are in a Maildir already, and no new ones; tells the spool of which messages no
//! copy is in doubt any more.

use std::collections::BTreeSet;

use super::{Deliverer, Moment, Served};
use crate::delivery::maildir::{Finished, Letter};
use crate::delivery::notice_queue::Late;
use crate::delivery::outcome::Judge;
use crate::events;
use crate::mail::MessageId;
use crate::spool::{SpoolError, Stored};

impl Deliverer {
    /// Does what [`crate::spool::Spool::settle_copies`] asks for.
    pub fn finish_copies(&mut self, now: Moment) {
        let wanted = self.spool.copies_wanted();
        if wanted.is_empty() {
            return;
        }
        let fresh: BTreeSet<MessageId> = self.unsynced.settled.iter().map(|one| one.id).collect();
        if wanted.iter().any(|id| fresh.contains(id)) {
            self.checkpoint(now);
        }
        // What was listed before may have changed since.
        self.maildirs.replay_is_over();
        let mut durable = wanted.clone();
        durable.retain(|id| self.finish_copies_of(*id, now));
        if self.unsynced.settled.is_empty() || self.checkpoint(now) {
            self.spool.copies_done(&wanted, &durable);
        } else {
            self.spool.copies_done(&wanted, &[]);
        }
    }

    /// Writes the copies of one again that are there; whether none can be torn then.
    fn finish_copies_of(&mut self, id: MessageId, now: Moment) -> bool {
        let mut buffer = Vec::new();
        let stored = match self.spool.read(id, &mut buffer) {
            Ok(stored) => stored,
            // It is gone, or nobody can make its copies whole.
            Err(SpoolError::NoSuchMessage(_) | SpoolError::Damaged(_)) => return true,
            Err(_) => return false,
        };
        if !stored.replayed {
            return true;
        }
        let rules = self.rules();
        let judge = Judge {
            stored: &stored,
            rules: &rules,
            now: self.judged_at(&stored, &rules, now),
            failed: stored.local.failed,
        };
        let (served, all_whole) = self.with_letter(&stored, &buffer, |deliverer, letter| {
            deliverer.finish_each(&judge, letter)
        });
        if served.progress != stored.progress {
            let local = stored.local;
            self.note_served(stored, served, local, now);
        }
        all_whole
    }

    /// Where recipients are then, and whether each copy that was there is whole.
    fn finish_each(&mut self, judge: &Judge<'_>, letter: &Letter<'_>) -> (Served, bool) {
        let stored: &Stored = judge.stored;
        let mut served = Served {
            progress: stored.progress.clone(),
            late: Late::new(),
            expired: 0,
        };
        let mut all_whole = true;
        for (place, recipient) in stored.due() {
            let Some(user) = self.user_of(&recipient.target) else {
                continue;
            };
            match self.maildirs.finish(user, letter) {
                Ok(Finished::Whole(copy)) => {
                    self.troubles.mailbox_works(user);
                    self.unsynced.add(copy, &*self.disk);
                    served.end(place, judge.delivered(place));
                    self.stats.recipients_delivered.count();
                    events::delivered(stored.id, &recipient.forward_path, user);
                }
                Ok(Finished::Nothing) => {}
                Err(error) => {
                    self.note_failed_copy(user, stored.id, &error);
                    all_whole = false;
                }
            }
        }
        (served, all_whole)
    }
}
