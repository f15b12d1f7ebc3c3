//! `gatepost top`: what the running service does, live.
//!
//! | file | purpose |
//! | --- | --- |
//! | `snapshot` | reads what the service tells of one moment |
//! | `rates` | from the counters of some moments to what happens in a second |
//! | `view` | lays it out for a terminal of any size |
//!
//! Asks the service once each interval. A service that is away is shown as such, and looked for at each
//! interval. Where there is no terminal, one moment is printed.

mod rates;
mod snapshot;
mod view;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::arguments::Arguments;
use super::console;
use super::output::{Failure, IO, say};
use crate::config;
use crate::control::client::{self, AskError};
use crate::sys::clock;
use crate::sys::screen::{self, Heard, Screen, Size};

use rates::Rates;
use snapshot::Snapshot;
use view::{Shown, View};

/// The options with a value.
pub const OPTIONS: &[&str] = &["--interval"];
/// The options without one.
pub const FLAGS: &[&str] = &["--once"];

/// How long the service may be silent: keys are not heard meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);
/// What a printed moment looks like.
const PRINTED: Size = Size {
    columns: 200,
    rows: 1000,
};

/// Runs the command.
///
/// # Errors
/// The interval is none; no service runs where one moment is to be printed; the service refuses.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let interval = interval(arguments)?;
    let socket = config::control_socket(&arguments.config);
    let socket = socket.map_err(|found| Failure::configuration(&found))?;
    let watched = Watched { socket, arguments };
    if arguments.flag("--once") || !screen::is_here() {
        return print_once(&watched);
    }
    // What will not mend by itself is told at once.
    if let Err(error @ AskError::NotPermitted(_)) = watched.ask() {
        return Err(console::failure(&error, arguments));
    }
    let mut screen = Screen::begin().map_err(|error| Failure::files(IO, "the terminal", &error))?;
    live(&mut screen, &watched, interval)
        .map_err(|error| Failure::files(IO, "the terminal", &error))
}

/// Seconds from 1 to an hour.
fn interval(arguments: &Arguments) -> Result<Duration, Failure> {
    let Some(given) = arguments.value("--interval") else {
        return Ok(Duration::from_secs(1));
    };
    let given = given.to_string_lossy();
    let number = given.strip_suffix('s').unwrap_or(&given).parse().ok();
    match number.filter(|seconds| (1..=3600).contains(seconds)) {
        Some(seconds) => Ok(Duration::from_secs(seconds)),
        None => Err(Failure::usage(format!(
            "--interval: {given:?} is not a number of seconds from 1 to 3600"
        ))),
    }
}

/// The service that is watched.
struct Watched<'a> {
    socket: PathBuf,
    arguments: &'a Arguments,
}

impl Watched<'_> {
    fn ask(&self) -> Result<Snapshot, AskError> {
        let config = &self.arguments.config;
        let answer = client::ask_within(&self.socket, config, &["overview"], PATIENCE)?;
        Ok(Snapshot::parse(&answer.output, &answer.complaint))
    }
}

fn print_once(watched: &Watched<'_>) -> Result<(), Failure> {
    let answer = watched.ask();
    let answer = answer.map_err(|error| console::failure(&error, watched.arguments))?;
    let shown = Shown {
        snapshot: Some(&answer),
        rates: None,
        note: String::new(),
    };
    let lines = view::lines(&shown, View::All, PRINTED);
    let text: String = lines
        .iter()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect();
    say(&text)
}

/// Until somebody wants its end.
fn live(screen: &mut Screen, watched: &Watched<'_>, interval: Duration) -> std::io::Result<()> {
    let (mut rates, mut view) = (Rates::default(), View::All);
    let (mut snapshot, mut away): (Option<Snapshot>, String) = (None, String::new());
    let (mut is_paused, mut next) = (false, clock::monotonic());
    loop {
        let now = clock::monotonic();
        if now >= next && !is_paused {
            match watched.ask() {
                Ok(new) => {
                    rates.note(now, &new);
                    (snapshot, away) = (Some(new), String::new());
                }
                Err(error) => away = told(&error),
            }
            next = later(next, interval);
        }
        let note = match (is_paused, away.is_empty()) {
            (true, _) => "paused".to_owned(),
            (false, true) => String::new(),
            (false, false) => away.clone(),
        };
        let shown = Shown {
            snapshot: snapshot.as_ref(),
            rates: Some(&rates),
            note,
        };
        screen.draw(&view::lines(&shown, view, screen.size()))?;
        let left = match is_paused {
            true => interval,
            false => next.saturating_duration_since(clock::monotonic()),
        };
        match screen.listen(left.min(RESIZED)) {
            Heard::Key(b'q' | b'Q' | CONTROL_C | CONTROL_D) | Heard::End => return Ok(()),
            Heard::Key(b'p' | b'P') => is_paused = !is_paused,
            Heard::Key(b' ') => next = clock::monotonic(),
            Heard::Key(key) => view = View::of_key(key).unwrap_or(view),
            Heard::Nothing => {}
        }
    }
}

/// An interval from the last look, or from now where that is over: what was missed is not made up for.
fn later(last: Instant, interval: Duration) -> Instant {
    (last + interval).max(clock::monotonic() + interval / 2)
}

fn told(error: &AskError) -> String {
    match error {
        AskError::NotRunning(_) => "no service answers; waiting for one".to_owned(),
        error => error.to_string(),
    }
}

/// A new size of the terminal shows after at most this.
const RESIZED: Duration = Duration::from_millis(1000);
const CONTROL_C: u8 = 3;
const CONTROL_D: u8 = 4;
