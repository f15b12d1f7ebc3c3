//! From what a peer said, or a disk, to what becomes of a recipient.
//!
//! | what happened | then |
//! | --- | --- |
//! | 5yz at MAIL, RCPT or DATA, or after the mail data | failed, with the peer's words |
//! | 552 at RCPT | deferred: too many recipients (RFC 5321 section 4.5.3.1.10) |
//! | 530, 534, 535, 538 | deferred: a login is missing, which the operator mends |
//! | larger than the server's SIZE; SMTPUTF8 is needed and not offered | failed: 5.3.4, 5.6.7 |
//! | 4yz, no reply, no connection, no TLS, no login, a full disk | deferred |
//! | deferred for longer than `[queue] expire` | failed: expired |
//!
//! Nothing expires before its third attempt, in this run or as far as the spool remembers: a machine that
//! was off for days, or whose clock was wrong, gives its network the time to come up.
//!
//! [`judge`] is the one place where a reply becomes an outcome. Refuses to know: how a sender is told.

use std::sync::Arc;
use std::time::Duration;

use super::smtp_client::ClientError;
use super::step::Step;
use crate::mail::{
    Action, Envelope, Network, Outcome, Progress, Reason, ReversePath, notifications::Notify,
};
use crate::spool::{Origin, Stored};

/// The rules of the queue.
#[derive(Debug, Clone)]
pub struct QueueRules {
    /// Delays after the first, second … failed attempt; the last one repeats.
    pub retry: Vec<Duration>,
    /// How long a recipient is tried.
    pub expire: Duration,
    /// After how long a sender hears that it takes long; none = never.
    pub delay_notice: Option<Duration>,
    /// Whether clients may ask for notifications.
    pub dsn: bool,
    /// The networks of `[relay] internal`.
    pub internal: Arc<[Network]>,
}

impl QueueRules {
    /// These delays, and nothing ever expires.
    pub fn patient(retry: Vec<Duration>) -> Self {
        Self {
            retry,
            expire: Duration::MAX,
            delay_notice: None,
            dsn: false,
            internal: Arc::default(),
        }
    }

    /// Whether a message came from somebody we know: a client that had logged in, or an internal one. A stranger's
    /// reverse-path may be forged.
    pub(super) fn knows(&self, envelope: &Envelope) -> bool {
        let is_internal = |network: &Network| network.contains(envelope.client);
        envelope.login.is_some() || self.internal.iter().any(is_internal)
    }

    /// The delay after this many failed attempts and one more.
    pub(super) fn delay(&self, failed: u32) -> Duration {
        let delay = self.retry.get(failed as usize).or(self.retry.last());
        delay.copied().unwrap_or(FALLBACK_RETRY)
    }

    /// The longest delay.
    pub(super) fn longest(&self) -> Duration {
        let longest = self.retry.iter().max();
        longest.copied().unwrap_or(FALLBACK_RETRY)
    }

    /// How long a message accepted at `received` is still tried; both in seconds since 1970.
    pub(super) fn left(&self, received: u64, now: u64) -> Duration {
        let age = Duration::from_secs(now.saturating_sub(received));
        self.expire.saturating_sub(age)
    }

    /// How long a message is kept at least once it is known to this run.
    pub(super) fn grace(&self) -> Duration {
        (0..ATTEMPTS_MIN).map(|failed| self.delay(failed)).sum()
    }

    fn is_late(&self, received: u64, now: u64) -> bool {
        let age = Duration::from_secs(now.saturating_sub(received));
        self.delay_notice.is_some_and(|notice| age >= notice)
    }
}

/// What a reply, or its absence, means for a recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The peer has it, and what it said.
    Taken(Reason),
    /// The peer refused it for good.
    Refused(Reason),
    /// Not now.
    PutOff(Reason),
}

/// What an error at a step of a transaction with `host` means for its recipients.
pub(super) fn judge(error: ClientError, host: &str) -> Verdict {
    match error {
        ClientError::Refused(step, code, text) => {
            let reason = Reason::reply(host, step.name(), code, &text);
            match (code, step) {
                (530 | 534 | 535 | 538, _) | (552, Step::Rcpt) => Verdict::PutOff(reason),
                (500..=599, _) => Verdict::Refused(reason),
                _ => Verdict::PutOff(reason),
            }
        }
        error @ (ClientError::Io(..)
        | ClientError::NotSmtp(_)
        | ClientError::Unusable(..)
        | ClientError::Local(..)) => {
            Verdict::PutOff(Reason::own("4.4.2", &error).keeping(error.kept()))
        }
    }
}

/// One message before one attempt: turns what happened into where its recipients are.
pub(super) struct Judge<'a> {
    /// The message.
    pub(super) stored: &'a Stored,
    /// The rules.
    pub(super) rules: &'a QueueRules,
    /// The time, seconds since 1970.
    pub(super) now: u64,
    /// How many attempts failed before this one.
    pub(super) failed: u32,
}

impl Judge<'_> {
    /// How long it waits if it has to: no longer than to its end, where that is to come.
    pub(super) fn delay(&self, usual: Duration) -> Duration {
        let left = self.rules.left(self.stored.received, self.now);
        match left.is_zero() {
            true => usual,
            false => usual.min(left.max(LAST_WAIT)),
        }
    }

    /// Whether it is not to be tried any longer.
    pub(super) fn is_expired(&self) -> bool {
        let left = self.rules.left(self.stored.received, self.now);
        left.is_zero() && self.failed.saturating_add(1) >= ATTEMPTS_MIN
    }

    /// How old it is.
    pub(super) fn age(&self) -> Duration {
        Duration::from_secs(self.now.saturating_sub(self.stored.received))
    }

    /// It ended for the recipient at a place: its sender is told, if that is wanted.
    pub(super) fn ended(&self, place: usize, action: Action, reason: Reason) -> Progress {
        match self.is_wanted(place, action) {
            true => Progress::Ended(Box::new(Outcome {
                action,
                reason: reason.for_sender(),
            })),
            false => Progress::Done,
        }
    }

    /// It is in a mailbox here.
    pub(super) fn delivered(&self, place: usize) -> Progress {
        let reason = || Reason::own("2.0.0", "it is in the mailbox");
        match self.is_wanted(place, Action::Delivered) {
            true => self.ended(place, Action::Delivered, reason()),
            false => Progress::Done,
        }
    }

    /// Whether the sender of a recipient that is deferred has to hear of it now.
    pub(super) fn is_late(&self, place: usize) -> bool {
        let told = self.stored.progress.get(place) != Some(&Progress::Due);
        !told
            && self.rules.is_late(self.stored.received, self.now)
            && self.is_wanted(place, Action::Delayed)
    }

    /// RFC 3461 section 4.1, and RFC 5321 section 6.1: nobody answers what has no sender, but the
    /// postmaster hears of its failures.
    fn is_wanted(&self, place: usize, action: Action) -> bool {
        let recipient = self.stored.envelope.recipients.get(place);
        let asked = recipient.and_then(|recipient| recipient.notifications.notify);
        let has_sender = self.stored.envelope.reverse_path != ReversePath::Null;
        match action {
            Action::Failed | Action::Expired => match asked {
                None => true,
                Some(Notify::Never) => false,
                Some(Notify::On(events)) => events.failure,
            },
            Action::Delayed => {
                let asked_for = match asked {
                    None => true,
                    Some(Notify::Never) => false,
                    Some(Notify::On(events)) => events.delay,
                };
                has_sender && self.stored.origin == Origin::Client && asked_for
            }
            Action::Delivered | Action::Relayed => {
                let asked_for = matches!(asked, Some(Notify::On(events)) if events.success);
                // Else anybody could have us write to a third party.
                let is_known = self.rules.knows(&self.stored.envelope);
                has_sender && self.rules.dsn && is_known && asked_for
            }
        }
    }
}

/// Attempts that are made however old a message is.
const ATTEMPTS_MIN: u32 = 3;
/// Where no delay is listed.
const FALLBACK_RETRY: Duration = Duration::from_secs(60);
/// The least wait: the end of a message is found by its next attempt.
const LAST_WAIT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{Envelope, MessageId, MessageNotifications};
    use crate::spool::{Attempts, Content};
    use std::io;

    #[test]
    fn only_a_refusal_for_good_fails() {
        let refused = |step, code| ClientError::Refused(step, code, "5.1.1 x".to_owned());
        for (error, fails) in [
            (refused(Step::Rcpt, 550), true),
            (refused(Step::Mail, 553), true),
            (refused(Step::Data, 554), true),
            (refused(Step::EndOfData, 552), true),
            (refused(Step::Rcpt, 552), false),
            (refused(Step::Mail, 530), false),
            (refused(Step::Rcpt, 535), false),
            (refused(Step::Rcpt, 450), false),
            (refused(Step::Mail, 421), false),
            (refused(Step::Mail, 250), false),
            (ClientError::NotSmtp(Step::Rcpt), false),
            (ClientError::Io(Step::Rcpt, io::Error::other("x")), false),
        ] {
            let text = error.to_string();
            let verdict = judge(error, "mx.there.example");
            assert_eq!(matches!(verdict, Verdict::Refused(_)), fails, "{text}");
        }
    }

    #[test]
    fn delays_grow_and_the_last_one_repeats() {
        let minutes = |list: &[u64]| list.iter().map(|m| Duration::from_secs(m * 60)).collect();
        let rules = QueueRules::patient(minutes(&[1, 5, 15, 60, 240]));
        let got = [0, 1, 2, 3, 4, 5, 99].map(|failed| rules.delay(failed).as_secs() / 60);
        assert_eq!(got, [1, 5, 15, 60, 240, 240, 240]);
        assert_eq!(QueueRules::patient(Vec::new()).delay(3), FALLBACK_RETRY);
    }

    #[test]
    fn an_old_message_has_three_attempts_and_the_usual_waits_between_them() {
        let mut rules = QueueRules::patient(vec![Duration::from_secs(60)]);
        rules.expire = Duration::from_secs(100);
        assert_eq!(rules.grace(), Duration::from_secs(180));
        let stored = stored(50);
        let judge = |now, failed| Judge {
            stored: &stored,
            rules: &rules,
            now,
            failed,
        };
        let usual = Duration::from_secs(60);
        for (now, failed, expired, delay) in [
            (50, 0, false, 60),
            (120, 0, false, 30),
            (149, 9, false, 1),
            (150, 0, false, 60),
            (999, 1, false, 60),
            (999, 2, true, 60),
            (999, u32::MAX, true, 60),
        ] {
            let judge = judge(now, failed);
            let got = (judge.is_expired(), judge.delay(usual).as_secs());
            assert_eq!(got, (expired, delay), "{now} {failed}");
        }
    }

    fn stored(received: u64) -> Stored {
        Stored {
            id: MessageId::new(1, 1),
            received,
            envelope: Envelope {
                reverse_path: ReversePath::Null,
                recipients: Vec::new(),
                eight_bit: false,
                smtputf8: false,
                notifications: MessageNotifications::default(),
                client: [127, 0, 0, 1].into(),
                login: None,
            },
            origin: Origin::Client,
            held: false,
            progress: Vec::new(),
            local: Attempts::default(),
            lanes: Attempts::default(),
            replayed: false,
            content: Content::Memory(0..0),
        }
    }

    #[test]
    fn success_is_told_to_those_we_know_alone() {
        let mut rules = QueueRules::patient(Vec::new());
        rules.dsn = true;
        rules.internal = Arc::new([Network {
            address: [192, 0, 2, 0].into(),
            prefix: 24,
        }]);
        let mut stored = stored(0);
        let path = ReversePath::parse_prefix("<victim@there.example>")
            .unwrap()
            .0;
        let to = crate::mail::ForwardPath::Postmaster;
        let notifications = crate::mail::RecipientNotifications {
            notify: Notify::parse("SUCCESS,FAILURE"),
            original: None,
        };
        stored.envelope.reverse_path = path;
        stored.envelope.recipients.push(crate::mail::Recipient {
            forward_path: to,
            target: crate::mail::Target::User("alice".to_owned()),
            notifications,
        });
        for (client, login, want) in [
            ("198.51.100.1", None, false),
            ("198.51.100.1", Some("alice"), true),
            ("192.0.2.7", None, true),
        ] {
            stored.envelope.client = client.parse().unwrap();
            stored.envelope.login = login.map(str::to_owned);
            let judge = Judge {
                stored: &stored,
                rules: &rules,
                now: 0,
                failed: 0,
            };
            let told = judge.delivered(0) != Progress::Done;
            assert_eq!(told, want, "{client} {login:?}");
            let reason = Reason::own("5.0.0", "x");
            assert_ne!(judge.ended(0, Action::Failed, reason), Progress::Done);
        }
    }

    #[test]
    fn a_message_expires_by_its_age_and_a_clock_put_back_does_no_harm() {
        let mut rules = QueueRules::patient(vec![Duration::from_secs(60)]);
        assert!(rules.left(0, u64::MAX) > Duration::ZERO);
        rules.expire = Duration::from_secs(100);
        for (received, now, left) in [(50, 50, 100), (50, 149, 1), (50, 150, 0), (50, 10, 100)] {
            assert_eq!(rules.left(received, now).as_secs(), left);
        }
    }
}
