//! Keeps a peer from filling the log: so many lines per event and client in a minute, then a summary.
//!
//! Limits: [`LINES_A_WINDOW`] lines per event and client in [`WINDOW`]; [`TRACKED`] pairs are
//! remembered, and while all are taken a new pair shares the count of its event.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time in which lines are counted.
pub const WINDOW: Duration = Duration::from_secs(60);
/// Lines of one event and client that are written in a window.
pub const LINES_A_WINDOW: u32 = 60;
/// Pairs of event and client that are counted apart.
pub const TRACKED: usize = 512;

/// Counts lines per event and client.
#[derive(Debug, Default)]
pub struct Limiter {
    counts: Mutex<Option<HashMap<Key, Count>>>,
}

type Key = (&'static str, IpAddr);

#[derive(Debug, Clone, Copy)]
struct Count {
    began: Instant,
    lines: u32,
}

/// What was kept out of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suppressed {
    /// The event.
    pub event: &'static str,
    /// The client; `0.0.0.0` stands for many.
    pub client: IpAddr,
    /// How many lines.
    pub lines: u32,
}

impl Limiter {
    /// A limiter that has counted nothing.
    pub const fn new() -> Self {
        Self {
            counts: Mutex::new(None),
        }
    }

    /// Whether one more line of this event and client may be written, and what was suppressed in a
    /// window that is now over.
    pub fn admit(
        &self,
        event: &'static str,
        client: IpAddr,
        now: Instant,
    ) -> (bool, Option<Suppressed>) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = counts.get_or_insert_with(HashMap::new);
        let mut key = (event, client);
        if counts.len() >= TRACKED && !counts.contains_key(&key) {
            key.1 = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        }
        let count = counts.entry(key).or_insert(Count {
            began: now,
            lines: 0,
        });
        let mut summary = None;
        if now.saturating_duration_since(count.began) >= WINDOW {
            summary = suppressed(key, *count);
            *count = Count {
                began: now,
                lines: 0,
            };
        }
        count.lines = count.lines.saturating_add(1);
        (count.lines <= LINES_A_WINDOW, summary)
    }

    /// Forgets windows that are over; gives what was suppressed in them.
    pub fn sweep(&self, now: Instant) -> Vec<Suppressed> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(counts) = counts.as_mut() else {
            return Vec::new();
        };
        let mut summaries = Vec::new();
        counts.retain(|key, count| {
            let over = now.saturating_duration_since(count.began) >= WINDOW;
            if over {
                summaries.extend(suppressed(*key, *count));
            }
            !over
        });
        summaries
    }
}

fn suppressed((event, client): Key, count: Count) -> Option<Suppressed> {
    let lines = count
        .lines
        .checked_sub(LINES_A_WINDOW)
        .filter(|lines| *lines > 0)?;
    Some(Suppressed {
        event,
        client,
        lines,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_past_the_limit_are_counted_and_summed_up() {
        let limiter = Limiter::new();
        let (client, now) = (IpAddr::from([192, 0, 2, 1]), Instant::now());
        for _ in 0..LINES_A_WINDOW {
            assert_eq!(limiter.admit("x", client, now), (true, None));
        }
        assert_eq!(limiter.admit("x", client, now), (false, None));
        assert_eq!(limiter.admit("x", client, now), (false, None));
        assert_eq!(limiter.admit("y", client, now), (true, None));
        let want = Suppressed {
            event: "x",
            client,
            lines: 2,
        };
        assert_eq!(limiter.admit("x", client, now + WINDOW), (true, Some(want)));
        assert_eq!(limiter.sweep(now + WINDOW + WINDOW), []);
    }

    #[test]
    fn many_clients_cannot_grow_the_table() {
        let limiter = Limiter::new();
        let now = Instant::now();
        let mut written = 0;
        for number in 0..10_000_u32 {
            let client = IpAddr::V4(Ipv4Addr::from_bits(number + 1));
            written += usize::from(limiter.admit("x", client, now).0);
        }
        assert_eq!(written, TRACKED + LINES_A_WINDOW as usize);
        let summaries = limiter.sweep(now + WINDOW);
        assert_eq!(summaries.len(), 1);
        assert_eq!(summaries[0].lines as usize, 10_000 - written);
    }
}
