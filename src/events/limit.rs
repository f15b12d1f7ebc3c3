//! Keeps a peer from filling the log: so many lines per event and client in a minute, then a summary.
//!
//! A client is what [`ClientKey`] says. Limits: [`LINES_A_WINDOW`] lines per event and client in [`WINDOW`]; [`TRACKED`] pairs are
//! remembered, and while all are taken a new pair shares the count of its event.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::mail::{ClientKey, Network};
use crate::sys::sync::Mutex;

/// The time in which lines are counted.
pub const WINDOW: Duration = Duration::from_secs(60);
/// Lines of one event and client that are written in a window.
pub const LINES_A_WINDOW: u32 = 60;
/// Pairs of event and client that are counted apart.
pub const TRACKED: usize = 512;

/// Counts lines per event and client.
#[derive(Debug, Default)]
pub struct Limiter {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whose hosts count singly.
    internal: Vec<Network>,
    counts: Option<HashMap<Key, Count>>,
}

type Key = (&'static str, ClientKey);

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
    /// The client; [`ClientKey::NOBODY`] stands for many.
    pub client: ClientKey,
    /// How many lines.
    pub lines: u32,
}

impl Limiter {
    /// A limiter that has counted nothing.
    pub const fn new() -> Self {
        Self {
            state: Mutex::new(State {
                internal: Vec::new(),
                counts: None,
            }),
        }
    }

    /// The hosts in these networks count singly from now on.
    pub fn set_internal(&self, internal: &[Network]) {
        internal.clone_into(&mut self.state.lock().internal);
    }

    /// Whether one more line of this event and client may be written, and what was suppressed in a
    /// window that is now over.
    pub fn admit(
        &self,
        event: &'static str,
        client: IpAddr,
        now: Instant,
    ) -> (bool, Option<Suppressed>) {
        let mut state = self.state.lock();
        let mut key = (event, ClientKey::of(client, &state.internal));
        let counts = state.counts.get_or_insert_with(HashMap::new);
        if counts.len() >= TRACKED && !counts.contains_key(&key) {
            key.1 = ClientKey::NOBODY;
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
        let mut state = self.state.lock();
        let Some(counts) = state.counts.as_mut() else {
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
    use std::net::Ipv4Addr;

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
            client: ClientKey::of(client, &[]),
            lines: 2,
        };
        assert_eq!(limiter.admit("x", client, now + WINDOW), (true, Some(want)));
        assert_eq!(limiter.sweep(now + WINDOW + WINDOW), []);
    }

    #[test]
    fn a_host_cannot_write_more_lines_by_more_of_its_addresses() {
        let limiter = Limiter::new();
        let now = Instant::now();
        let written = |prefix: &str| {
            let clients = (0..1000_u32).map(|number| format!("{prefix}{number:x}"));
            let admitted = clients.filter(|client| {
                let client = client.parse().expect("an address");
                limiter.admit("x", client, now).0
            });
            admitted.count()
        };
        assert_eq!(written("2001:db8:1:2::"), LINES_A_WINDOW as usize);
        let summaries = limiter.sweep(now + WINDOW);
        assert_eq!(summaries.len(), 1);
        assert_eq!(summaries[0].client.to_string(), "2001:db8:1:2::/64");
        limiter.set_internal(&[Network {
            address: "2001:db8:1:2::".parse().expect("an address"),
            prefix: 64,
        }]);
        assert!(written("2001:db8:1:2::") > LINES_A_WINDOW as usize);
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
