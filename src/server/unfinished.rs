//! What the unfinished messages of one client may take of the spool.
//!
//! Bound: together they take at most a quarter of the room above `[limits] free_space`, what they have taken
//! counted as room. So one client alone never brings the spool near `free_space`, where no mail is taken at all,
//! and every further one gets a quarter of what is left. A client's only unfinished message may always grow, up to
//! `message_size`. The first [`FREE_OCTETS`] of each message are not counted: sessions have a limit of their own,
//! and small mail should cost no lock.
//!
//! Promises: an entry for each client with a large unfinished message, and no others. Refuses to know: the disk (how
//! much room there is, is an argument), sessions.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard};

use crate::mail::ClientKey;
use crate::sys::sync::Mutex;

/// What of each message is not counted, and the step in which the rest is, octets.
const FREE_OCTETS: u64 = 256 * 1024;

/// The unfinished messages of all clients.
#[derive(Debug, Default)]
pub struct Unfinished {
    clients: Mutex<HashMap<ClientKey, u64>>,
}

/// What an unfinished message has of its client's share; gives it back when dropped.
pub(crate) struct Share {
    unfinished: Arc<Unfinished>,
    client: ClientKey,
    counted: u64,
}

/// The unfinished messages of a client would take too much.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OverShare {
    /// What they take, octets.
    pub(crate) taken: u64,
    /// What they may take, octets.
    pub(crate) limit: u64,
}

impl Unfinished {
    /// The share of a message that begins.
    pub(crate) fn begin(self: &Arc<Self>, client: ClientKey) -> Share {
        Share {
            unfinished: Arc::clone(self),
            client,
            counted: 0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClientKey, u64>> {
        // A panic while it is held leaves at worst a count that is one step off.
        self.clients.lock()
    }
}

impl Share {
    /// Lets the message have so many octets in all; `free` tells what is free above `free_space`.
    pub(crate) fn grow(
        &mut self,
        octets: u64,
        free: impl FnOnce() -> u64,
    ) -> Result<(), OverShare> {
        if octets <= self.counted.saturating_add(FREE_OCTETS) {
            return Ok(());
        }
        let free = free();
        let more = (octets - self.counted - FREE_OCTETS).next_multiple_of(FREE_OCTETS);
        let mut clients = self.unfinished.lock();
        let taken = clients.get(&self.client).copied().unwrap_or_default();
        let limit = free.saturating_add(taken) / 4;
        if taken > self.counted && taken.saturating_add(more) > limit {
            return Err(OverShare { taken, limit });
        }
        clients.insert(self.client, taken.saturating_add(more));
        self.counted += more;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.counted == 0 {
            return;
        }
        let mut clients = self.unfinished.lock();
        if let Some(taken) = clients.get_mut(&self.client) {
            *taken = taken.saturating_sub(self.counted);
            if *taken == 0 {
                clients.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn client(number: u32) -> ClientKey {
        ClientKey::of(std::net::Ipv4Addr::from_bits(number).into(), &[])
    }

    #[test]
    fn a_client_gets_a_quarter_and_the_next_one_a_quarter_of_what_is_left() {
        let unfinished = Arc::<Unfinished>::default();
        let mut disk = 400 * MIB;
        let mut shares = Vec::new();
        let mut took = Vec::new();
        for number in 0..3 {
            let before = disk;
            for _ in 0..50 {
                let mut share = unfinished.begin(client(number));
                let mut octets = 0;
                while octets < 25 * MIB && share.grow(octets + 64 * 1024, || disk).is_ok() {
                    octets += 64 * 1024;
                    disk -= 64 * 1024;
                }
                shares.push(share);
            }
            took.push((before - disk) / MIB);
        }
        // The quarter, and what is not counted of the other sessions' messages.
        assert!((100..113).contains(&took[0]), "{took:?}");
        assert!((70..90).contains(&took[1]) && took[2] < took[1], "{took:?}");
        drop(shares);
        assert!(unfinished.lock().is_empty());
    }

    #[test]
    fn a_message_alone_may_grow_and_others_beside_it_may_not() {
        let unfinished = Arc::<Unfinished>::default();
        let (mut first, mut second) = (unfinished.begin(client(1)), unfinished.begin(client(1)));
        let free = 8 * MIB;
        assert_eq!(first.grow(25 * MIB, || free), Ok(()));
        assert_eq!(
            second.grow(FREE_OCTETS, || unreachable!("it is small")),
            Ok(())
        );
        let over = second.grow(FREE_OCTETS + 1, || free).unwrap_err();
        assert_eq!(over.taken, 25 * MIB - FREE_OCTETS);
        assert_eq!(over.limit, (free + over.taken) / 4);
        // Another client's does not count, and what is given back is free again.
        assert_eq!(unfinished.begin(client(2)).grow(5 * MIB, || free), Ok(()));
        drop(first);
        assert_eq!(second.grow(5 * MIB, || free), Ok(()));
    }
}
