//! How long messages have been in the queue, where the clock of the day jumps. Pure: both clocks are arguments.
//!
//! | what the clock of the day did | a message from before it is as old as |
//! | --- | --- |
//! | ran on, or stood still while the machine was off | the clock says |
//! | stepped, while the service ran (NTP sets it after a start without a battery) | it would be without the step |
//! | tells of more than [`PLAUSIBLE_MAX`] at a start | this run |
//! | was put back, and has not come by the time of acceptance again | it would be without the step |
//! | was put back, and has come by that time again | the clock says: it may be new |
//!
//! Promises: nothing expires within an hour after a start or a step, or half of `[queue] expire` where that is
//! less. Refuses to know: messages. Limits: the last [`STEPS_MAX`] steps of a run are remembered.

use std::time::{Duration, Instant};

/// Both clocks, as they were looked at by one who delivers.
#[derive(Debug, Default)]
pub(super) struct QueueAge {
    run: Option<Run>,
}

#[derive(Debug)]
struct Run {
    started: Look,
    last: Look,
    /// When the clock stepped last, or the run began.
    stepped: Instant,
    /// Where the clock stepped from and to, seconds since 1970.
    steps: Vec<(u64, u64)>,
}

#[derive(Debug, Clone, Copy)]
struct Look {
    steady: Instant,
    wall: u64,
}

/// The clocks may differ by this much between two looks, seconds; leap seconds and slow looks are no step.
const STEP_MIN: u64 = 60;
/// Steps that are remembered.
const STEPS_MAX: usize = 16;
/// A message that is older at a start, by the clock, was accepted while the clock was wrong, seconds.
const PLAUSIBLE_MAX: u64 = 90 * 24 * 3600;
/// How long nothing expires after a start or a step, at most.
const GRACE_MAX: Duration = Duration::from_secs(3600);

impl QueueAge {
    /// The time of day by which a message accepted at `received` is to be judged, seconds since 1970; the clocks
    /// say `steady` and `wall`.
    pub(super) fn now_for(
        &mut self,
        received: u64,
        expire: Duration,
        (steady, wall): (Instant, u64),
    ) -> u64 {
        let run = self.look(Look { steady, wall });
        let age = run.age(received);
        let is_calm = steady.saturating_duration_since(run.stepped) >= GRACE_MAX.min(expire / 2);
        let most = match is_calm {
            true => u64::MAX,
            false => expire.as_secs().saturating_sub(1),
        };
        received.saturating_add(age.min(most))
    }

    fn look(&mut self, now: Look) -> &Run {
        let run = self.run.get_or_insert_with(|| Run {
            started: now,
            last: now,
            stepped: now.steady,
            steps: Vec::new(),
        });
        let ran = now.steady.saturating_duration_since(run.last.steady);
        let expected = run.last.wall.saturating_add(ran.as_secs());
        if expected.abs_diff(now.wall) > STEP_MIN {
            if run.steps.len() == STEPS_MAX {
                run.steps.remove(0);
            }
            run.steps.push((expected, now.wall));
            run.stepped = now.steady;
        }
        run.last = now;
        run
    }
}

impl Run {
    /// How old a message is, seconds.
    fn age(&self, received: u64) -> u64 {
        let ran = self
            .last
            .steady
            .saturating_duration_since(self.started.steady);
        if received.saturating_add(PLAUSIBLE_MAX) < self.started.wall {
            return ran.as_secs();
        }
        let mut age = i128::from(self.last.wall) - i128::from(received);
        for &(from, to) in &self.steps {
            // Between the two it cannot be told which side of the step it came from, but where its time is yet to come.
            let was_before = received > self.last.wall && received <= from;
            if received <= from.min(to) || was_before {
                age -= i128::from(to) - i128::from(from);
            }
        }
        u64::try_from(age).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3600;
    const EXPIRE: Duration = Duration::from_secs(5 * DAY);
    const TODAY: u64 = 1_795_000_000;

    /// Plays looks at the clocks (seconds since the start, time of day); the age at the last of them.
    fn age(received: u64, looks: &[(u64, u64)]) -> u64 {
        let start = Instant::now();
        let mut clock = QueueAge::default();
        let mut age = 0;
        for (steady, wall) in looks {
            let now = (start + Duration::from_secs(*steady), *wall);
            age = clock.now_for(received, EXPIRE, now) - received;
        }
        age
    }

    #[test]
    fn age_is_the_time_that_passed_whatever_the_clock_does() {
        let old = TODAY - 6 * DAY;
        let held = EXPIRE.as_secs() - 1;
        let rows: &[(u64, &[(u64, u64)], u64)] = &[
            // A start: nothing expires within the first hour, and then by the clock.
            (old, &[(0, TODAY)], held),
            (old, &[(0, TODAY), (3599, TODAY + 3599)], held),
            (old, &[(0, TODAY), (3600, TODAY + 3600)], 6 * DAY + 3600),
            (TODAY - 60, &[(0, TODAY)], 60),
            // Accepted before NTP set the clock: as old as the run.
            (100, &[(0, 50), (200, 250), (210, TODAY)], 160),
            (100, &[(0, 50), (200, 250), (7200, TODAY)], 7150),
            // Accepted by the right clock, in a run before the clock was lost.
            (TODAY - 60, &[(0, 50), (10, TODAY)], 60),
            (
                old,
                &[(0, 50), (10, TODAY), (3700, TODAY + 3690)],
                6 * DAY + 3690,
            ),
            // Accepted in another run by a clock that was not set: this run counts.
            (100, &[(0, TODAY), (7200, TODAY + 7200)], 7200),
            // A clock that goes forward for a moment.
            (
                TODAY - 60,
                &[(0, TODAY), (10, TODAY + 900 * DAY), (20, TODAY + 20)],
                80,
            ),
            (TODAY - 60, &[(0, TODAY), (10, TODAY + 900 * DAY)], 70),
            // A clock that is put back: what has a time that is yet to come was there before.
            (TODAY - DAY, &[(0, TODAY), (10, TODAY - 2 * DAY)], DAY + 10),
            // What has a time that came again may be new.
            (
                TODAY - DAY,
                &[(0, TODAY), (10, TODAY - 2 * DAY), (DAY + 10, TODAY - DAY)],
                0,
            ),
            // Accepted while the clock was ahead.
            (
                TODAY + 900 * DAY + 5,
                &[(0, TODAY), (10, TODAY + 900 * DAY + 10), (20, TODAY + 20)],
                15,
            ),
            (
                TODAY - 3 * DAY,
                &[(0, TODAY), (10, TODAY - 2 * DAY)],
                3 * DAY + 10,
            ),
            // A long wait between looks is no step.
            (TODAY, &[(0, TODAY), (6 * DAY, TODAY + 6 * DAY)], 6 * DAY),
        ];
        for (received, looks, want) in rows {
            assert_eq!(age(*received, looks), *want, "{received} {looks:?}");
        }
    }

    #[test]
    fn a_short_expire_has_a_short_grace() {
        let start = Instant::now();
        let mut clock = QueueAge::default();
        let mut left = |seconds| {
            let now = (start + Duration::from_secs(seconds), TODAY + seconds);
            let expire = Duration::from_secs(10);
            10_u64.saturating_sub(clock.now_for(TODAY - 60, expire, now) - (TODAY - 60))
        };
        assert_eq!([left(0), left(4), left(5)], [1, 1, 0]);
    }
}
