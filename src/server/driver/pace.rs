//! Logins wait their time: the throttle is asked before a password is looked at, and told what came of it. So do
//! recipients of a client that has named many whom nobody has.
//!
//! A login that has to wait holds its session and no worker, and ends with its client. When its time is over only a refusal that
//! has come up meanwhile still counts, so nobody waits twice for one login. Sessions side by side win
//! little: each login is counted before its worker takes the next, so past the tenth failure an address
//! has at most as many more as there are workers.

use std::time::Duration;

use super::effects::Performed;
use super::{Connection, State, WorkerBuffers};
use crate::events::{self, EndReason};
use crate::net::{Interest, Outcome};
use crate::policy::throttle::{Account, Pace};
use crate::policy::unknown::{self, Unknown};
use crate::session::{Answer, Interrupt, Note, Paced, Step};
use crate::sys::clock;

/// What waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delay {
    /// A login as this account.
    Login(Account),
    /// A name, for the client has named many that nobody has.
    Name,
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
    pub(super) fn delay(
        &mut self,
        wait: Duration,
        delay: Delay,
        buffers: &mut WorkerBuffers,
    ) -> Outcome {
        if self.is_to_stop() {
            return self.stop(buffers);
        }
        if let Err(outcome) = self.say(buffers) {
            return outcome;
        }
        self.state = State::Delayed(delay);
        Outcome::Park {
            interest: Interest::HangUp,
            deadline: (clock::monotonic() + wait).min(self.hard_deadline()),
        }
    }

    /// The wait is over, or the session is.
    pub(super) fn delay_is_over(
        &mut self,
        delay: Delay,
        buffers: &mut WorkerBuffers,
    ) -> Result<Step, Outcome> {
        self.state = State::Talking;
        if self.is_to_stop() {
            return Err(self.stop(buffers));
        }
        let now = clock::monotonic();
        if now >= self.hard_deadline() {
            self.session
                .interrupt(Interrupt::Timeout, &mut buffers.output);
            return Err(self.close(EndReason::Timeout, buffers));
        }
        self.waiting_since = now;
        let account = match delay {
            Delay::Login(account) => account,
            Delay::Name => {
                let unknown = self.unknown().0;
                return Ok(self.answer(Answer::Unknown(unknown), buffers));
            }
        };
        let pace = self
            .context
            .throttle()
            .pace(self.client_key(), account, now);
        let paced = match pace {
            Pace::Never => Paced::TurnAway,
            Pace::Now | Pace::After(_) => Paced::Proceed,
        };
        Ok(self.answer(Answer::Paced(paced), buffers))
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

    /// How many the client has named that nobody has.
    pub(super) fn unknown(&self) -> (Unknown, u32) {
        let most = self.setup.settings.recipients.unknown_max;
        let now = clock::monotonic();
        self.context.unknowns().of(self.client_key(), most, now)
    }

    /// Holds the session because its client has named many that nobody has.
    pub(super) fn slow_down(&self) -> Performed {
        let (_, count) = self.unknown();
        events::recipient_delayed(&self.sid(), self.client, count, unknown::WAIT.as_secs());
        Performed::Delayed(unknown::WAIT, Delay::Name)
    }

    /// Counts a name that nobody has.
    pub(super) fn count_unknown(&self, note: &Note) {
        if matches!(note, Note::UnknownName) {
            let now = clock::monotonic();
            self.context.unknowns().one_more(self.client_key(), now);
        }
    }

    fn is_throttled(&self) -> bool {
        let auth = &self.setup.settings.auth;
        auth.throttle && !self.session.host().is_favoured_by(&auth.throttle_exempt)
    }
}
