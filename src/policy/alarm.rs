//! When the operator hears that mail itself is broken, and that it is over. Pure: facts and time are arguments.
//!
//! | an alarm is | and becomes |
//! | --- | --- |
//! | not there | on, when its cause is seen |
//! | on | over at once, when a success shows that the cause is gone |
//! | on | over, when its cause was not seen for [`Rules::settle`] |
//! | on, its bell due | rung, or due again later where the bell failed |
//! | on and rung | due once more after [`Rules::repeat`]; never without one |
//! | over | due once, if its beginning was heard of |
//!
//! An alarm is a cause at one place: two smarthosts that refuse us are two. Promises: while an alarm is on, its
//! bell is rung once, and once for each `repeat`; one that begins anew within `settle` of the last ringing waits
//! for that, and is never heard of if it is over by then. A bell that fails is tried [`ATTEMPTS_MAX`] times, with
//! [`AGAIN`] between them. Limits: [`ALARMS_MAX`] alarms at a time; further ones are not seen.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

/// Alarms at a time.
pub const ALARMS_MAX: usize = 64;
/// How often a bell that fails is tried for one ringing.
pub const ATTEMPTS_MAX: u32 = 4;
/// How long a bell that failed rests after the first, second, third attempt.
pub const AGAIN: [Duration; 3] = [
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
];

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A server refuses our login.
    Login,
    /// A server cannot be used.
    Unreachable,
    /// A message is not delivered for too long.
    QueueAge,
    /// There is no space.
    Disk,
    /// A certificate ends, or cannot be used.
    Certificate,
    /// Mail cannot be written to disk.
    Spool,
    /// The users or the aliases file cannot be taken up.
    Directory,
    /// A mailbox takes no copy.
    Mailbox,
    /// So much fails that its senders are told much later.
    Notices,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 9] = [
        Self::Login,
        Self::Unreachable,
        Self::QueueAge,
        Self::Disk,
        Self::Certificate,
        Self::Spool,
        Self::Directory,
        Self::Mailbox,
        Self::Notices,
    ];

    /// Its name in the log, in the status and for programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Unreachable => "unreachable",
            Self::QueueAge => "queue-age",
            Self::Disk => "disk",
            Self::Certificate => "certificate",
            Self::Spool => "spool",
            Self::Directory => "directory",
            Self::Mailbox => "mailbox",
            Self::Notices => "notices",
        }
    }

    /// What it is, in a few words.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Login => "the login is refused",
            Self::Unreachable => "the server cannot be used",
            Self::QueueAge => "mail waits for too long",
            Self::Disk => "there is too little disk space",
            Self::Certificate => "the certificate needs a look",
            Self::Spool => "mail cannot be written to disk",
            Self::Directory => "a file of users or aliases is not in use",
            Self::Mailbox => "a mailbox takes no mail",
            Self::Notices => "too much mail fails",
        }
    }
}

/// A cause at one place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The cause.
    pub cause: Cause,
    /// Of whom or what: a destination's name, a disk's, a file.
    pub subject: String,
}

/// What is seen at one look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sight {
    /// What is wrong now, and why.
    pub wrong: BTreeMap<Place, String>,
    /// What has been seen to work since it failed.
    pub mended: BTreeSet<Place>,
}

/// What the operator set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How often the bell is rung while an alarm lasts; none = once.
    pub repeat: Option<Duration>,
    /// How long a cause must not be seen before its alarm is over.
    pub settle: Duration,
}

/// An alarm as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What and where.
    pub place: Place,
    /// Whether it is over.
    pub state: State,
    /// When it began.
    pub since: SystemTime,
    /// Why, when it was seen last.
    pub words: String,
}

/// Whether an alarm is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It is.
    On,
    /// It was.
    Over,
}

impl State {
    /// Its name for programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Over => "over",
        }
    }
}

/// What a bell that failed means for the ringing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It is tried again after so long.
    Again(Duration),
    /// It was the last attempt.
    GivenUp,
}

/// Every alarm.
#[derive(Debug, Default)]
pub struct Alarms {
    on: BTreeMap<Place, Alarm>,
    /// Those that are over, and that has to be told.
    over: BTreeMap<Place, (Report, Bell)>,
    /// When an alarm was told last that is no longer on.
    told: BTreeMap<Place, Instant>,
}

#[derive(Debug)]
struct Alarm {
    since: SystemTime,
    words: String,
    /// Since when its cause is not seen.
    unseen_since: Option<Instant>,
    bell: Bell,
    /// Whether somebody heard of it.
    heard: bool,
}

#[derive(Debug, Clone, Copy)]
enum Bell {
    Due { at: Instant, failed: u32 },
    Rung { at: Instant },
}

impl Alarms {
    /// Takes in what is seen; gives what began and what is over.
    pub fn look(
        &mut self,
        sight: &Sight,
        rules: Rules,
        now: Instant,
        wall: SystemTime,
    ) -> Vec<Report> {
        let mut changes = Vec::new();
        let is_past = |at: &Instant| now.saturating_duration_since(*at) >= rules.settle;
        self.told.retain(|_, at| !is_past(at));
        for (place, words) in &sight.wrong {
            let is_full = self.on.len() >= ALARMS_MAX;
            match self.on.get_mut(place) {
                Some(alarm) => {
                    alarm.words.clone_from(words);
                    alarm.unseen_since = None;
                }
                None if is_full => {}
                None => {
                    let alarm = self.begin(place, words, rules, now, wall);
                    changes.push(alarm.report(place, State::On));
                    self.on.insert(place.clone(), alarm);
                }
            }
        }
        for alarm in self.on.values_mut() {
            alarm.ring_again(rules, now);
        }
        changes.extend(self.end(sight, rules, now));
        changes
    }

    fn begin(
        &mut self,
        place: &Place,
        words: &str,
        rules: Rules,
        now: Instant,
        wall: SystemTime,
    ) -> Alarm {
        // Nobody need hear that it was over.
        self.over.remove(place);
        let at = self
            .told
            .get(place)
            .map_or(now, |told| *told + rules.settle);
        Alarm {
            since: wall,
            words: words.to_owned(),
            unseen_since: None,
            bell: Bell::Due { at, failed: 0 },
            heard: false,
        }
    }

    /// Ends what is over.
    fn end(&mut self, sight: &Sight, rules: Rules, now: Instant) -> Vec<Report> {
        let mut ended = Vec::new();
        for (place, alarm) in &mut self.on {
            if sight.wrong.contains_key(place) {
                continue;
            }
            let since = *alarm.unseen_since.get_or_insert(now);
            let is_settled = now.saturating_duration_since(since) >= rules.settle;
            if is_settled || sight.mended.contains(place) {
                ended.push(place.clone());
            }
        }
        let reports = ended.into_iter().filter_map(|place| {
            let alarm = self.on.remove(&place)?;
            let report = alarm.report(&place, State::Over);
            if alarm.heard {
                let bell = Bell::Due { at: now, failed: 0 };
                self.told.insert(place.clone(), now);
                self.over.insert(place, (report.clone(), bell));
            }
            Some(report)
        });
        reports.collect()
    }

    /// The next ringing that is due.
    pub fn due(&self, now: Instant) -> Option<Report> {
        let is_due = |bell: &Bell| matches!(bell, Bell::Due { at, .. } if *at <= now);
        let on = self.on.iter().find(|(_, alarm)| is_due(&alarm.bell));
        let on = on.map(|(place, alarm)| alarm.report(place, State::On));
        on.or_else(|| {
            let over = self.over.values().find(|(_, bell)| is_due(bell));
            over.map(|(report, _)| report.clone())
        })
    }

    /// The bell was heard.
    pub fn rung(&mut self, report: &Report, now: Instant) {
        match report.state {
            State::On => {
                if let Some(alarm) = self.on.get_mut(&report.place) {
                    (alarm.bell, alarm.heard) = (Bell::Rung { at: now }, true);
                }
            }
            State::Over => {
                self.over.remove(&report.place);
            }
        }
    }

    /// The bell failed.
    pub fn failed(&mut self, report: &Report, now: Instant) -> After {
        let bell = match report.state {
            State::On => self.on.get_mut(&report.place).map(|alarm| &mut alarm.bell),
            State::Over => self.over.get_mut(&report.place).map(|(_, bell)| bell),
        };
        let Some(bell) = bell else {
            return After::GivenUp;
        };
        let before = match bell {
            Bell::Due { failed, .. } => *failed,
            Bell::Rung { .. } => 0,
        };
        if let Some(wait) = AGAIN.get(before as usize) {
            *bell = Bell::Due {
                at: now + *wait,
                failed: before + 1,
            };
            return After::Again(*wait);
        }
        // As if it had rung: the next one is by `repeat`.
        *bell = Bell::Rung { at: now };
        if report.state == State::Over {
            self.over.remove(&report.place);
        }
        After::GivenUp
    }

    /// When to look again, if nothing happens before.
    pub fn next_look(&self, rules: Rules) -> Option<Instant> {
        let on = self.on.values().flat_map(|alarm| {
            let settled = alarm.unseen_since.map(|since| since + rules.settle);
            let ring = match alarm.bell {
                Bell::Due { at, .. } => Some(at),
                Bell::Rung { at } => rules.repeat.map(|repeat| at + repeat),
            };
            [settled, ring]
        });
        let over = self.over.values().map(|(_, bell)| match bell {
            Bell::Due { at, .. } => Some(*at),
            Bell::Rung { .. } => None,
        });
        on.chain(over).flatten().min()
    }

    /// What is wrong now, by cause.
    pub fn current(&self) -> impl Iterator<Item = Report> + '_ {
        let on = self.on.iter();
        on.map(|(place, alarm)| alarm.report(place, State::On))
    }
}

impl Alarm {
    fn ring_again(&mut self, rules: Rules, now: Instant) {
        if let (Bell::Rung { at }, Some(repeat)) = (self.bell, rules.repeat) {
            if now.saturating_duration_since(at) >= repeat {
                self.bell = Bell::Due { at: now, failed: 0 };
            }
        }
    }

    fn report(&self, place: &Place, state: State) -> Report {
        Report {
            place: place.clone(),
            state,
            since: self.since,
            words: self.words.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
