//! Keeps a list that gives odd answers from filling the log: one line per zone in an hour.
//!
//! Limits: [`ZONES_MAX`] zones are told apart; while all are taken a further zone is not logged.

use std::time::{Duration, Instant};

/// How long a zone is silent after a line.
const SILENCE: Duration = Duration::from_secs(3600);
/// Zones that are remembered. They come from the settings, so a few.
const ZONES_MAX: usize = 64;

/// When each zone was last logged.
#[derive(Debug, Default)]
pub(super) struct Notices {
    zones: Vec<(String, Instant)>,
}

impl Notices {
    /// Whether a line about this zone may be written now; it then counts as written.
    pub fn admit(&mut self, zone: &str, now: Instant) -> bool {
        let over = |at: &Instant| now.saturating_duration_since(*at) >= SILENCE;
        self.zones.retain(|(_, at)| !over(at));
        let known = |(name, _): &(String, Instant)| name.eq_ignore_ascii_case(zone);
        if self.zones.len() >= ZONES_MAX || self.zones.iter().any(known) {
            return false;
        }
        self.zones.push((zone.to_owned(), now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_logged_once_an_hour() {
        let (mut notices, now) = (Notices::default(), Instant::now());
        let tick = Duration::from_nanos(1);
        assert!(notices.admit("bl.example", now));
        assert!(!notices.admit("BL.example", now + SILENCE - tick));
        assert!(notices.admit("other.example", now));
        assert!(notices.admit("bl.example", now + SILENCE));
        assert!(!notices.admit("bl.example", now + SILENCE + tick));
    }

    #[test]
    fn zones_that_are_remembered_are_few() {
        let (mut notices, now) = (Notices::default(), Instant::now());
        for number in 0..ZONES_MAX {
            assert!(notices.admit(&format!("z{number}.example"), now));
        }
        assert!(!notices.admit("more.example", now));
        assert!(notices.admit("more.example", now + SILENCE));
    }
}
