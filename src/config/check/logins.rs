//! Rules over what a login costs.

use std::time::Duration;

use super::{Found, Probe};

impl Found<'_> {
    /// W-24: few iterations help a thief of the users file, and many keep workers and clients busy.
    pub(super) fn logins_take_a_fair_time(&mut self, probe: &dyn Probe) {
        let auth = &self.settings.auth;
        if let Some(iterations) = auth.iterations {
            let taken = probe.login_takes(iterations);
            let why = match (iterations.get() < FEW, taken > LONG) {
                (true, _) => format!(
                    "passwords with fewer than {FEW} iterations are guessed fast by whoever has stolen the users file"
                ),
                (false, true) => format!(
                    "a login with a password of {iterations} iterations takes about {} ms here",
                    taken.as_millis()
                ),
                (false, false) => String::new(),
            };
            if !why.is_empty() {
                self.at(("auth", "iterations"), &[], Some("W-24"), why);
            }
        }
        let file = auth.users.display();
        let dearest = probe.dearest_logins(&auth.users).into_iter();
        let long = dearest.filter(|(_, taken)| *taken > LONG);
        let reason = |(user, taken): (String, Duration)| {
            format!(
                "{file}: a login of {user} takes about {} ms here; gatepost passwd --iterations 0 sets a password \
                 that takes less",
                taken.as_millis()
            )
        };
        let reasons: Vec<String> = long.map(reason).collect();
        for reason in reasons {
            self.at(("auth", "users"), &[], Some("W-24"), reason);
        }
    }
}

/// Fewer iterations are few.
const FEW: u32 = 15_000;
/// A login that takes longer takes too long.
const LONG: Duration = Duration::from_millis(500);
