//! Logins wait their time: the throttle is asked before a password is looked at, and told what came of it.
//!
//! A login that has to wait holds its session and no worker, and ends with its client. When its time is over only a refusal that
//! has come up meanwhile still counts, so nobody waits twice for one login. Sessions side by side win
//! little: each login is counted before its worker takes the next, so past the tenth failure an address
//! has at most as many more as there are workers.

use std::time::Duration;

use super::effects::Performed;
use super::{Bench, Connection, State};
use crate::events::{self, EndReason};
use crate::net::{Interest, Outcome};
use crate::policy::throttle::{Account, Pace};
use crate::session::{Answer, Interrupt, Note, Paced, Step};
use crate::sys::clock;

/// What waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delay {
    /// A login as this account.
    Login(Account),
}

impl Connection {
    /// When this login may be looked at.
    pub(super) fn pace_login(&self, login: &str) -> Performed {
        if !self.is_throttled() {
            return Performed::Answer(Answer::Paced(Paced::Proceed));
        }
        let account = self.setup.directory.account(login);
        let (pace, account) = {
            let mut throttle = self.context.throttle();
            let account = throttle.account(&account);
            let pace = throttle.pace(self.client_key(), account, clock::monotonic());
            (pace, account)
        };
        match pace {
            Pace::Now => Performed::Answer(Answer::Paced(Paced::Proceed)),
            Pace::Never => Performed::Answer(Answer::Paced(Paced::TurnAway)),
            Pace::After(wait) => {
                events::login_delayed(&self.sid(), self.client, login, wait.as_secs());
                Performed::Delayed(wait, Delay::Login(account))
            }
        }
    }

    /// Holds the session until its login may be looked at.
    pub(super) fn delay(&mut self, wait: Duration, delay: Delay, bench: &mut Bench) -> Outcome {
        if self.is_to_stop() {
            return self.stop(bench);
        }
        if let Err(outcome) = self.say(bench) {
            return outcome;
        }
        self.state = State::Delayed(delay);
        Outcome::Park {
            interest: Interest::HangUp,
            deadline: (clock::monotonic() + wait).min(self.last_moment()),
        }
    }

    /// The wait is over, or the session is.
    pub(super) fn delay_is_over(
        &mut self,
        delay: Delay,
        bench: &mut Bench,
    ) -> Result<Step, Outcome> {
        self.state = State::Talking;
        if self.is_to_stop() {
            return Err(self.stop(bench));
        }
        let now = clock::monotonic();
        if now >= self.last_moment() {
            self.session
                .interrupt(Interrupt::Timeout, &mut bench.output);
            return Err(self.close(EndReason::Timeout, bench));
        }
        self.waiting_since = now;
        let Delay::Login(account) = delay;
        let pace = self
            .context
            .throttle()
            .pace(self.client_key(), account, now);
        let paced = match pace {
            Pace::Never => Paced::TurnAway,
            Pace::Now | Pace::After(_) => Paced::Proceed,
        };
        Ok(self.answer(Answer::Paced(paced), bench))
    }

    /// Tells the throttle what became of a login.
    pub(super) fn count_login(&self, note: &Note) {
        if !self.is_throttled() {
            return;
        }
        let (client, now) = (self.client_key(), clock::monotonic());
        if let Note::LoginFailed { login, .. } = note {
            let account = self.setup.directory.account(login);
            let mut throttle = self.context.throttle();
            let account = throttle.account(&account);
            throttle.failed(client, account, now);
        }
        if let Note::LoggedIn { user } = note {
            let mut throttle = self.context.throttle();
            let account = throttle.account(user);
            throttle.succeeded(client, account, now);
        }
    }

    fn is_throttled(&self) -> bool {
        let auth = &self.setup.settings.auth;
        let mut exempt = auth.throttle_exempt.iter();
        auth.throttle && !exempt.any(|network| network.contains(self.client.ip()))
    }
}
