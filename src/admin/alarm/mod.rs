//! The alarm: one thread that looks what is wrong with mail itself, tells the log, and rings a bell.
//!
//! | file | purpose |
//! | --- | --- |
//! | `sight` | what is wrong now, from the troubles noted, the spool and the certificates |
//! | `bell` | whoever is told beyond the log: a program, a web server |
//!
//! `policy/alarm.rs` says what is an alarm, and when its bell is rung. It looks when something is noted, at most
//! once in [`SPACING`], and else every [`LOOK_MAX`], or every `settle` while something is wrong. Promises: mail never waits for it; a bell that hangs is
//! given up after a while, and holds up the next look alone. Alarms are not kept over a start: what is still
//! wrong then is told once more, and what was mended meanwhile is not.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::config::settings::Settings;
use crate::events;
use crate::policy::alarm::{After, Alarms, Rules, State};
use crate::server::context::Context;
use crate::server::sandbox;
use crate::sys::clock;
use crate::transport::client::Brake;
use crate::troubles::Troubles;

mod bell;
mod sight;

use bell::Bell;

/// Whether the program of an alarm may find this in its environment.
pub(crate) fn allows(variable: &str, value: &str) -> bool {
    bell::allows(variable, value)
}

/// The longest between two looks.
pub const LOOK_MAX: Duration = Duration::from_secs(60);
/// The shortest.
const SPACING: Duration = Duration::from_secs(1);

/// Starts the thread; it ends after [`Troubles::stop`].
///
/// # Errors
/// No thread could be started.
pub fn start(context: Arc<Context>) -> io::Result<JoinHandle<()>> {
    let watch = Watch {
        context,
        alarms: Alarms::default(),
    };
    thread::Builder::new()
        .name("alarm".into())
        .stack_size(256 * 1024)
        .spawn(move || watch.run())
}

struct Watch {
    context: Arc<Context>,
    alarms: Alarms,
}

impl Watch {
    fn run(mut self) {
        let troubles = Arc::clone(&self.context.troubles);
        loop {
            // This thread is the one that looks about once a minute anyway.
            self.context.devices.write_if_due();
            let rules = self.look();
            self.ring(&troubles);
            if !troubles.pause(SPACING) || !troubles.wait(self.patience(rules)) {
                return;
            }
        }
    }

    fn patience(&self, rules: Rules) -> Duration {
        let now = clock::monotonic();
        let next = self.alarms.next_look(rules);
        let left = next.map_or(LOOK_MAX, |at| at.saturating_duration_since(now));
        // What is wrong may be mended without a word: space, and the age of the queue.
        let usual = match self.alarms.current().next() {
            Some(_) => LOOK_MAX.min(rules.settle),
            None => LOOK_MAX,
        };
        left.min(usual)
    }

    fn look(&mut self) -> Rules {
        sandbox::tell_refused();
        let setup = self.context.setup();
        let rules = rules(&setup.settings);
        let seen = sight::of(&self.context, &setup);
        let wall = clock::now();
        for change in self.alarms.look(&seen, rules, clock::monotonic(), wall) {
            let (cause, subject) = (change.place.cause.word(), &change.place.subject);
            match change.state {
                State::On => events::alarm::on(cause, subject, &change.words),
                State::Over => {
                    let lasted = wall.duration_since(change.since).unwrap_or_default();
                    events::alarm::over(cause, subject, lasted.as_secs());
                }
            }
        }
        let current = self.alarms.current();
        self.context.active_alarms.show(current.collect());
        rules
    }

    /// Rings what is due. The settings are looked at each time: whoever mends the bell need not wait.
    fn ring(&mut self, troubles: &Troubles) {
        while let Some(report) = self.alarms.due(clock::monotonic()) {
            let settings = Arc::clone(&self.context.setup().settings);
            let Some(bell) = bell(&settings, troubles, self.context.brake()) else {
                return;
            };
            let outcome = bell.ring(&report);
            if troubles.is_stopping() {
                return;
            }
            let now = clock::monotonic();
            let Err(why) = outcome else {
                self.alarms.rung(&report, now);
                continue;
            };
            let again = match self.alarms.failed(&report, now) {
                After::Again(wait) => Some(wait.as_secs()),
                After::GivenUp => None,
            };
            let (cause, subject) = (report.place.cause.word(), &report.place.subject);
            events::alarm::failed(cause, subject, report.state.word(), why, again);
        }
    }
}

/// Who is told, by the settings of the moment; none = nobody but the log.
fn bell<'a>(
    settings: &'a Settings,
    troubles: &'a Troubles,
    brake: &'a Arc<Brake>,
) -> Option<Bell<'a>> {
    let alarm = &settings.alarm;
    let (command, webhook) = (alarm.command.as_ref(), alarm.webhook.as_ref());
    let is_there = command.is_some() || webhook.is_some();
    is_there.then(|| Bell {
        command,
        webhook,
        hostname: settings.hostname.as_str(),
        troubles,
        brake,
    })
}

fn rules(settings: &Settings) -> Rules {
    Rules {
        repeat: settings.alarm.repeat,
        settle: settings.alarm.settle,
    }
}
