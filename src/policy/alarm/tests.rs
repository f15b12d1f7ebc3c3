//! Alarms with an invented clock.

use super::*;

const RULES: Rules = Rules {
    repeat: None,
    settle: Duration::from_secs(300),
};
const HOUR: Rules = Rules {
    repeat: Some(Duration::from_secs(3600)),
    ..RULES
};

/// One set of alarms, a clock in seconds, and what was told.
struct Play {
    alarms: Alarms,
    begin: Instant,
    rules: Rules,
    /// Whether the bell works.
    bell_works: bool,
    told: Vec<String>,
}

impl Play {
    fn new(rules: Rules) -> Self {
        Self {
            alarms: Alarms::default(),
            begin: Instant::now(),
            rules,
            bell_works: true,
            told: Vec::new(),
        }
    }

    /// Looks at a second, and rings what is due; gives what began and ended.
    fn at(&mut self, second: u64, sight: &Sight) -> Vec<&'static str> {
        let now = self.begin + Duration::from_secs(second);
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let changes = self.alarms.look(sight, self.rules, now, wall);
        while let Some(report) = self.alarms.due(now) {
            if self.bell_works {
                self.alarms.rung(&report, now);
                let (state, subject) = (report.state.word(), &report.place.subject);
                self.told.push(format!("{second} {state} {subject}"));
            } else {
                let after = self.alarms.failed(&report, now);
                self.told.push(format!("{second} {after:?}"));
            }
        }
        changes.iter().map(|change| change.state.word()).collect()
    }

    fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }

    fn next_look(&self) -> Option<u64> {
        let next = self.alarms.next_look(self.rules)?;
        Some(next.saturating_duration_since(self.begin).as_secs())
    }
}

fn place(cause: Cause, subject: &str) -> Place {
    Place {
        cause,
        subject: subject.to_owned(),
    }
}

fn wrong(places: &[(Cause, &str)]) -> Sight {
    let wrong = places.iter().map(|(cause, subject)| {
        let words = format!("{} of {subject}", cause.word());
        (place(*cause, subject), words)
    });
    Sight {
        wrong: wrong.collect(),
        mended: BTreeSet::new(),
    }
}

fn mended(cause: Cause, subject: &str) -> Sight {
    Sight {
        wrong: BTreeMap::new(),
        mended: [place(cause, subject)].into(),
    }
}

#[test]
fn an_alarm_rings_once_and_once_when_a_success_ends_it() {
    let mut play = Play::new(RULES);
    let refused = wrong(&[(Cause::Login, "smarthost")]);
    assert_eq!(play.at(0, &Sight::default()), Vec::<&str>::new());
    assert_eq!(play.at(1, &refused), ["on"]);
    for second in [2, 600, 1_000_000] {
        assert_eq!(play.at(second, &refused), Vec::<&str>::new());
    }
    assert_eq!(play.next_look(), None);
    assert_eq!(play.told(), ["1 on smarthost"]);
    assert_eq!(
        play.at(1_000_001, &mended(Cause::Login, "smarthost")),
        ["over"]
    );
    assert_eq!(
        play.at(1_000_002, &mended(Cause::Login, "smarthost")),
        Vec::<&str>::new()
    );
    assert_eq!(play.told(), ["1000001 over smarthost"]);
    assert_eq!(play.alarms.current().count(), 0);
}

#[test]
fn without_a_success_it_is_over_when_its_cause_was_gone_for_a_while() {
    let mut play = Play::new(RULES);
    let full = wrong(&[(Cause::Disk, "spool")]);
    play.at(0, &full);
    assert_eq!(play.at(10, &Sight::default()), Vec::<&str>::new());
    assert_eq!(play.next_look(), Some(310));
    // Another success is none of this one.
    let other = mended(Cause::Disk, "mailboxes");
    assert_eq!(play.at(100, &other), Vec::<&str>::new());
    // It comes back: the same alarm, and nothing is told.
    play.at(309, &full);
    assert_eq!(play.at(310, &Sight::default()), Vec::<&str>::new());
    assert_eq!(play.at(609, &Sight::default()), Vec::<&str>::new());
    assert_eq!(play.at(610, &Sight::default()), ["over"]);
    assert_eq!(play.told(), ["0 on spool", "610 over spool"]);
}

#[test]
fn each_place_is_an_alarm_of_its_own() {
    let mut play = Play::new(RULES);
    let both = wrong(&[(Cause::Login, "smarthost:a"), (Cause::Login, "smarthost:b")]);
    play.at(0, &both);
    play.at(
        1,
        &wrong(&[
            (Cause::Login, "smarthost:a"),
            (Cause::Unreachable, "smarthost:a"),
        ]),
    );
    assert_eq!(
        play.told(),
        ["0 on smarthost:a", "0 on smarthost:b", "1 on smarthost:a"]
    );
    let current: Vec<_> = play.alarms.current().map(|one| one.place).collect();
    assert_eq!(
        current,
        [
            place(Cause::Login, "smarthost:a"),
            place(Cause::Login, "smarthost:b"),
            place(Cause::Unreachable, "smarthost:a"),
        ]
    );
}

#[test]
fn with_a_repeat_it_rings_again_and_no_sooner() {
    let mut play = Play::new(HOUR);
    let refused = wrong(&[(Cause::Login, "smarthost")]);
    play.at(0, &refused);
    assert_eq!(play.next_look(), Some(3600));
    for second in [3599, 3600, 3601, 7199, 7200] {
        play.at(second, &refused);
    }
    assert_eq!(
        play.told(),
        ["0 on smarthost", "3600 on smarthost", "7200 on smarthost"]
    );
}

#[test]
fn one_that_comes_and_goes_is_told_once_in_a_while() {
    let mut play = Play::new(RULES);
    let refused = wrong(&[(Cause::Login, "smarthost")]);
    for second in 0..100 {
        play.at(2 * second, &refused);
        play.at(2 * second + 1, &mended(Cause::Login, "smarthost"));
    }
    assert_eq!(play.told(), ["0 on smarthost", "1 over smarthost"]);
    // It stays this time: heard of when the last telling is long enough ago.
    play.at(200, &refused);
    assert_eq!(play.next_look(), Some(301));
    play.at(301, &refused);
    assert_eq!(play.told(), ["301 on smarthost"]);
}

#[test]
fn a_bell_that_fails_is_tried_some_times() {
    let mut play = Play::new(HOUR);
    play.bell_works = false;
    let refused = wrong(&[(Cause::Login, "smarthost")]);
    for second in (0..3000).step_by(30) {
        play.at(second, &refused);
    }
    assert_eq!(
        play.told(),
        [
            "0 Again(60s)",
            "60 Again(300s)",
            "360 Again(900s)",
            "1260 GivenUp"
        ]
    );
    // The next one is by `repeat`, and the bell works again.
    play.bell_works = true;
    play.at(1260 + 3599, &refused);
    assert_eq!(play.told(), Vec::<String>::new());
    play.at(1260 + 3600, &refused);
    assert_eq!(play.told(), ["4860 on smarthost"]);
}

#[test]
fn nobody_hears_of_the_end_who_did_not_hear_of_the_beginning() {
    let mut play = Play::new(RULES);
    play.bell_works = false;
    play.at(0, &wrong(&[(Cause::Login, "smarthost")]));
    assert_eq!(play.told().len(), 1);
    play.bell_works = true;
    assert_eq!(play.at(30, &mended(Cause::Login, "smarthost")), ["over"]);
    play.at(90, &Sight::default());
    assert_eq!(play.told(), Vec::<String>::new());
}

#[test]
fn an_end_that_could_not_be_told_is_forgotten_when_it_begins_anew() {
    let mut play = Play::new(RULES);
    let refused = wrong(&[(Cause::Login, "smarthost")]);
    play.at(0, &refused);
    play.bell_works = false;
    play.at(1, &mended(Cause::Login, "smarthost"));
    assert_eq!(play.told(), ["0 on smarthost", "1 Again(60s)"]);
    play.bell_works = true;
    play.at(2, &refused);
    play.at(61, &refused);
    assert_eq!(play.told(), Vec::<String>::new());
    play.at(301, &refused);
    assert_eq!(play.told(), ["301 on smarthost"]);
}

#[test]
fn alarms_have_a_limit() {
    let mut play = Play::new(RULES);
    let names: Vec<String> = (0..2 * ALARMS_MAX)
        .map(|number| number.to_string())
        .collect();
    let places: Vec<_> = names
        .iter()
        .map(|name| (Cause::Login, name.as_str()))
        .collect();
    play.at(0, &wrong(&places));
    assert_eq!(play.alarms.current().count(), ALARMS_MAX);
}
