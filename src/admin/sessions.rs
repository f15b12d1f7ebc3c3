//! The sessions there are, told to the operator, and ending one of them.
//!
//! Looks at the parked sessions a few places at a time, so that with ten thousand sessions nobody waits longer than
//! some microseconds. A session that a worker has just now is asked again a few times, then told as
//! `working`. Limits: [`LISTED_MAX`] sessions are listed, the rest are counted.

use std::thread;
use std::time::{Duration, Instant};

use crate::control::facts::Facts;
use crate::events::control;
use crate::net::parking::Seen;
use crate::server::context::Context;
use crate::server::driver::{Connection, sid_of};
use crate::sys::clock;

/// Sessions that are listed.
pub(crate) const LISTED_MAX: usize = 10_000;
/// How often busy sessions are asked again, and after which time.
const ROUNDS: usize = 4;
const BETWEEN_ROUNDS: Duration = Duration::from_millis(5);

/// One line per session, oldest first.
pub(crate) fn text(context: &Context) -> String {
    let (seen, more) = list(context);
    let now = clock::monotonic();
    let mut text = String::new();
    for one in seen {
        text.push_str(&facts(&one, now).line());
        text.push('\n');
    }
    if more > 0 {
        text.push_str(&format!("and {more} more\n"));
    }
    if text.is_empty() {
        text.push_str("no sessions\n");
    }
    text
}

/// An object with the list, and how many more there are.
pub(crate) fn json(context: &Context) -> String {
    let (seen, more) = list(context);
    let now = clock::monotonic();
    let mut text = "{\"sessions\":[".to_owned();
    for (at, one) in seen.into_iter().enumerate() {
        text.push_str(if at > 0 { "," } else { "" });
        text.push_str(&facts(&one, now).json());
    }
    text.push_str(&format!("],\"more\":{more}}}\n"));
    text
}

/// Ends the session with this id; none if there is no such session.
pub(crate) fn kill(context: &Context, id: &str, by: &str) -> Option<String> {
    let serial = u64::from_str_radix(id, 16).ok()?;
    let ticket = context.parked.find(|info| info.serial == serial)?;
    if !context.parked.end(ticket) {
        return None;
    }
    let sid = sid_of(serial);
    control::session_killed(&sid, by);
    Some(sid)
}

/// The sessions to list, oldest first, and how many more there are.
fn list(context: &Context) -> (Vec<Seen<Connection>>, usize) {
    let mut seen: Vec<Seen<Connection>> = Vec::new();
    let mut more = 0;
    context.parked.look(|one| match seen.len() < LISTED_MAX {
        true => seen.push(one),
        false => more += 1,
    });
    for _ in 0..ROUNDS {
        if seen.iter().all(|one| one.snapshot.is_some()) {
            break;
        }
        thread::sleep(BETWEEN_ROUNDS);
        ask_again(context, &mut seen);
    }
    seen.sort_unstable_by_key(|one| one.info.serial);
    (seen, more)
}

/// Busy sessions may wait by now, or have ended.
fn ask_again(context: &Context, seen: &mut Vec<Seen<Connection>>) {
    seen.retain_mut(|one| {
        if one.snapshot.is_some() {
            return true;
        }
        match context.parked.look_again(one.ticket) {
            Some(again) => {
                *one = again;
                true
            }
            None => false,
        }
    });
}

fn facts(seen: &Seen<Connection>, now: Instant) -> Facts {
    let info = &seen.info;
    let seconds = now.saturating_duration_since(info.opened).as_secs();
    let facts = Facts::default()
        .text("id", info.sid())
        .text("client", info.client)
        .text("port", &info.port)
        .number("seconds", seconds);
    let Some(view) = &seen.snapshot else {
        return facts.text("state", "working");
    };
    facts
        .text("state", view.state)
        .maybe("proxy", view.proxy)
        .maybe("tls", view.tls.map(|tls| tls.version))
        .maybe("user", view.login.as_ref())
        .maybe("helo", view.helo.as_ref())
        .number("messages", view.messages)
}
