//! What a stored password costs: how many iterations a new one gets, and how long a login takes here.
//!
//! Promises: a count by the speed of the machine is a power of two from [`FEWEST`] to [`MOST`], the largest that takes
//! no longer than [`AIM`]; other work on the machine makes it smaller by little, for the quickest of several runs
//! counts. Refuses to know: who logs in.

use std::num::NonZeroU32;
use std::time::Duration;

use super::secret::{Secret, Work};
use crate::sys::clock;

/// The fewest iterations that are chosen: more than RFC 7677 asks for, and 50 ms on a small ARM core.
pub const FEWEST: NonZeroU32 = NonZeroU32::new(1 << 14).expect("not zero");
/// The most that are chosen: phones and cameras do the same work at each login.
pub const MOST: u32 = 1 << 17;
/// How long a login may take.
const AIM: Duration = Duration::from_millis(100);

/// The iterations of a new password by the speed of this machine.
pub fn by_speed() -> NonZeroU32 {
    within_aim(login_takes(FEWEST))
}

/// The iterations of a new password where the fewest take so long.
fn within_aim(fewest_take: Duration) -> NonZeroU32 {
    let (mut count, mut taken) = (FEWEST, fewest_take);
    while count.get() < MOST && taken * 2 <= AIM {
        (count, taken) = (count.saturating_mul(DOUBLE), taken * 2);
    }
    count
}

/// How long a login by a password with so many iterations takes here.
pub fn login_takes(iterations: NonZeroU32) -> Duration {
    Work::Pbkdf2(iterations).takes()
}

impl Work {
    /// How long it takes here, from a small part of it.
    pub(super) fn takes(self) -> Duration {
        let runs = (0..RUNS).map(|_| {
            let start = clock::monotonic();
            let is_right = Secret::of_nobody(self.sample()).matches(b"password");
            assert!(!is_right, "nobody has a password");
            start.elapsed()
        });
        let part = runs.min().unwrap_or_default();
        let times = f64::from(self.rounds()) / f64::from(self.sample().rounds());
        part.mul_f64(times)
    }

    /// Whether both are of one kind, so that more rounds are more work.
    pub(super) fn is_like(self, other: Self) -> bool {
        match (self, other) {
            (Self::Pbkdf2(_), Self::Pbkdf2(_)) => true,
            (Self::ShaCrypt(one, _), Self::ShaCrypt(other, _)) => one == other,
            (Self::Pbkdf2(_) | Self::ShaCrypt(..), _) => false,
        }
    }

    /// The same kind of work, and little of it.
    fn sample(self) -> Self {
        match self {
            Self::Pbkdf2(_) => Self::Pbkdf2(SAMPLE),
            Self::ShaCrypt(variant, _) => Self::ShaCrypt(variant, SAMPLE.get()),
        }
    }

    fn rounds(self) -> u32 {
        match self {
            Self::Pbkdf2(rounds) => rounds.get(),
            Self::ShaCrypt(_, rounds) => rounds,
        }
    }
}

const DOUBLE: NonZeroU32 = NonZeroU32::new(2).expect("not zero");
const SAMPLE: NonZeroU32 = NonZeroU32::new(2048).expect("not zero");
const RUNS: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_by_speed_is_a_power_of_two_within_its_limits() {
        for (milliseconds, want) in [
            (0, 1 << 17),
            (12, 1 << 17),
            (13, 1 << 16),
            (25, 1 << 16),
            (26, 1 << 15),
            (50, 1 << 15),
            (51, 1 << 14),
            (2000, 1 << 14),
        ] {
            let count = within_aim(Duration::from_millis(milliseconds));
            assert_eq!(count.get(), want, "{milliseconds}");
        }
        assert!(by_speed().is_power_of_two());
    }

    #[test]
    fn what_is_told_of_a_login_is_what_it_takes() {
        let work = Work::Pbkdf2(NonZeroU32::new(1 << 16).unwrap());
        let measure = |_| {
            let start = clock::monotonic();
            let _ = Secret::of_nobody(work).matches(b"x");
            start.elapsed()
        };
        let taken = (0..3).map(measure).min().unwrap();
        let told = work.takes();
        assert!(told < 8 * taken && taken < 8 * told, "{told:?} {taken:?}");
    }
}
