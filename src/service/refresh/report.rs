//! What a refresh tells: line by line to whoever asked, and to the log.

use std::net::SocketAddr;
use std::path::Path;

use super::AT_START;
use crate::config::{Effective, Problem, Settings};
use crate::control::{Answer, Outcome};
use crate::events::{self, control};
use crate::server::acceptor::ListenerEntry;
use crate::server::rebind::Moved;
use crate::server::sandbox::HeldBack;
use crate::sys::sandbox::reach;

/// What is told of a refresh, to whoever asked and to the log.
#[derive(Default)]
pub(super) struct Report {
    pub(super) lines: Vec<String>,
    /// What was meant for the next start; says nothing of this one.
    later: Vec<String>,
    complaint: String,
    /// What stays because the sandbox does not reach a file.
    held: Vec<HeldBack>,
    pub(super) failures: usize,
}

impl Report {
    pub(super) fn warnings(&mut self, warnings: &[Problem]) {
        for warning in warnings {
            events::configuration_warning(warning);
            self.complaint.push_str(&format!("{warning}\n"));
        }
    }

    pub(super) fn complain(&mut self, text: &str) {
        self.complaint.push_str(&format!("gatepost: {text}\n"));
    }

    pub(super) fn held_back(&mut self, held: Vec<HeldBack>) {
        for HeldBack {
            section, key, file, ..
        } in &held
        {
            events::sandbox::out_of_reach(section, key, file);
            let file = file.display();
            self.complain(&format!(
                "[{section}] {key}: {file}: {}",
                reach::OUT_OF_REACH
            ));
        }
        self.held = held;
    }

    pub(super) fn failure(&mut self, text: String) {
        control::listen_failed(&text);
        self.complain(&text);
        self.failures += 1;
    }

    pub(super) fn certificate(&mut self, file: &Path) {
        control::certificate_loaded(file);
        let line = format!("certificate {}: loaded", file.display());
        self.lines.push(line);
    }

    pub(super) fn settings(&mut self, current: &Settings, next: &Settings, at_start: &Effective) {
        let held = std::mem::take(&mut self.held);
        let fixed = |pair: &(&str, &'static str)| {
            AT_START.contains(pair) || held.iter().any(|held| held.covers(pair.0, pair.1))
        };
        let changed = current.effective.differences(&next.effective);
        for (section, key) in changed.into_iter().filter(|pair| !fixed(pair)) {
            control::setting_changed(section, key, "now");
            self.lines.push(format!("[{section}] {key}: changed"));
        }
        let pending = at_start.differences(&next.effective);
        for (section, key) in pending.into_iter().filter(fixed) {
            control::setting_changed(section, key, "at the next start");
            let line = format!("[{section}] {key}: takes effect at the next start");
            self.later.push(line);
        }
    }

    pub(super) fn listeners(&mut self, moved: &Moved, before: &[ListenerEntry]) {
        for open in &moved.open {
            let was = before.iter().find(|entry| entry.open.number == open.number);
            if was.is_some_and(|entry| entry.open.port == open.port) {
                continue;
            }
            events::listening(&open.port, open.address);
            let line = format!("port {}: listens on {}", open.port, open.address);
            self.lines.push(line);
        }
        for open in &moved.closed {
            control::listening_ended(&open.port, open.address);
            let line = format!("port {}: no longer listens on {}", open.port, open.address);
            self.lines.push(line);
        }
        for (error, stays) in &moved.failures {
            let stays: Vec<String> = stays.iter().map(SocketAddr::to_string).collect();
            let rest = match stays.is_empty() {
                true => String::new(),
                false => format!("; it goes on at {}", stays.join(", ")),
            };
            self.failure(format!("{error}{rest}"));
        }
    }

    pub(super) fn finish(mut self, by: &str) -> Answer {
        control::refresh_ended(by, self.lines.len(), self.failures);
        self.lines.append(&mut self.later);
        if self.lines.is_empty() && self.failures == 0 {
            self.lines.push("nothing changed".to_owned());
        }
        Answer {
            outcome: match self.failures {
                0 => Outcome::Done,
                _ => Outcome::Unavailable,
            },
            output: self.lines.iter().map(|line| format!("{line}\n")).collect(),
            complaint: self.complaint,
        }
    }
}
