//! How the spool is, for whoever watches it.
//!
//! Promises: a look holds the spool's lock for as long as it takes to go through the messages once, and waits
//! for no disk. Refuses to know: what is well and what is not.

use std::sync::Arc;
use std::time::Instant;

use super::Spool;
use crate::stats::Stats;

/// How the spool is at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vitals {
    /// Messages that are not delivered; one whose copies are written, and durable with the next checkpoint, is.
    pub messages: usize,
    /// Those of them that the operator holds.
    pub held: usize,
    /// When the oldest of them was accepted, seconds since 1970.
    pub oldest_received: Option<u64>,
    /// Segments of the log that are free.
    pub segments_free: usize,
    /// Those that are written to or hold messages.
    pub segments_used: usize,
    /// Since when somebody waits for a commit that has not ended; none while nobody does.
    pub commit_since: Option<Instant>,
}

impl Spool {
    /// Where its commits are counted.
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.options.stats)
    }

    /// How the spool is now.
    pub fn vitals(&self) -> Vitals {
        let state = self.lock();
        let segments = state.log.segments.len();
        let mut vitals = Vitals {
            segments_free: state.log.free_count(),
            segments_used: segments - state.log.free_count(),
            commit_since: state.committing_since.or(state.waiting_since),
            ..Vitals::default()
        };
        for entry in state.entries.values() {
            if entry.is_delivered() {
                continue;
            }
            vitals.messages += 1;
            vitals.held += usize::from(entry.held);
            let oldest = vitals.oldest_received.unwrap_or(u64::MAX);
            vitals.oldest_received = Some(oldest.min(entry.received));
        }
        vitals
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::{Duration, SystemTime};

    use super::super::{Attempts, Party, Settled, SpoolError, SpoolOptions};
    use super::*;
    use crate::mail::{
        Envelope, ForwardPath, MessageNotifications, Progress, Recipient, RecipientNotifications,
        ReversePath, Target,
    };
    use crate::sys::disk::RealDisk;

    fn envelope() -> Envelope {
        Envelope {
            reverse_path: ReversePath::Null,
            recipients: vec![Recipient {
                forward_path: ForwardPath::Postmaster,
                target: Target::User("alice".to_owned()),
                notifications: RecipientNotifications::default(),
            }],
            eight_bit: false,
            smtputf8: false,
            notifications: MessageNotifications::default(),
            client: [192, 0, 2, 1].into(),
            login: None,
        }
    }

    #[test]
    fn messages_are_counted_and_a_commit_that_nobody_makes_is_seen() {
        let name = format!("gatepost-vitals-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let mut options = SpoolOptions::new(folder.clone(), 1);
        options.free_space = 0;
        let stats = Arc::clone(&options.stats);
        let spool = Spool::open(Arc::new(RealDisk), options).unwrap();
        assert_eq!(spool.vitals().messages, 0);
        let received = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let draft = spool.draft(envelope(), received).unwrap();
        let id = draft.id();
        let (tell, told) = channel();
        spool.commit(draft, Box::new(move |result| tell.send(result).unwrap()));
        let waits = spool.vitals();
        assert!(waits.commit_since.is_some());
        assert_eq!((waits.messages, stats.commit_times.count()), (0, 0));
        spool.commit_waiting();
        told.recv().unwrap().unwrap();
        let there = spool.vitals();
        assert_eq!(there.commit_since, None);
        assert_eq!((there.messages, there.held), (1, 0));
        assert_eq!(there.oldest_received, Some(1000));
        assert_eq!((there.segments_used, stats.commit_times.count()), (1, 1));
        assert!(spool.set_held(id, true).unwrap());
        assert_eq!(spool.vitals().held, 1);
        drop(spool);
        // A program that another test starts holds the lock until it is one.
        let spool = loop {
            match Spool::open(Arc::new(RealDisk), SpoolOptions::new(folder.clone(), 2)) {
                Err(SpoolError::InUse(_)) => std::thread::yield_now(),
                opened => break opened.unwrap(),
            }
        };
        assert_eq!(spool.vitals().held, 1, "over a start");
        assert!(spool.set_held(id, false).unwrap());
        assert_eq!(spool.vitals().held, 0);
        drop(spool);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_copy_that_is_written_counts_as_delivered_until_its_checkpoint_fails() {
        let name = format!("gatepost-ahead-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let mut options = SpoolOptions::new(folder.clone(), 1);
        options.free_space = 0;
        let spool = Spool::open(Arc::new(RealDisk), options).unwrap();
        let received = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let draft = spool.draft(envelope(), received).unwrap();
        let id = draft.id();
        spool.commit_here(draft).unwrap();
        let told = |left: usize| {
            assert_eq!(spool.vitals().messages, left);
            assert_eq!(spool.oldest_received(), (left > 0).then_some(1000));
            let stored = spool.read(id, &mut Vec::new()).unwrap();
            assert!(stored.progress.iter().all(Progress::is_due));
            let ahead = spool.ahead(stored);
            assert_eq!(ahead.progress.iter().all(Progress::is_due), left > 0);
            assert_eq!(spool.undelivered(), 1);
        };
        assert!(spool.begin_copies(id));
        told(1);
        spool.note_copies(id, &[Progress::Done], Attempts::default());
        told(0);
        let mut settled = vec![Settled {
            id,
            party: Party::Deliverer,
            progress: vec![Progress::Due],
            local: Attempts::default(),
            lanes: Attempts::default(),
            is_left: true,
            in_doubt: true,
        }];
        spool.settle(&mut settled).unwrap();
        told(1);
        drop(spool);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
