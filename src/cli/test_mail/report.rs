//! What `test-mail` prints: one line for each step, with its verdict and the other side's words.
//!
//! ```text
//! connect   ok       127.0.0.1:25
//! greeting  ok       220 mx.here.example ESMTP ready
//! tls       skipped  not offered
//! …
//! ```
//!
//! Promises: every step has a line, in order, also those that were not reached; the words of the other side
//! are escaped and cut; what was named as a secret is in none of them, also where the other
//! side says it back. Refuses to know: what a failure may mean (`advice` does).

use std::net::SocketAddr;
use std::sync::{Arc, MutexGuard};

use zeroize::Zeroizing;

use super::super::output::say;
use super::advice::{self, Cause, Side};
use crate::delivery::smtp_client::ClientError;
use crate::delivery::step::Step;
use crate::delivery::witness::{Heard, Witness};
use crate::protocol::client::ServerReply;
use crate::sys::clock;
use crate::sys::sync::Mutex;
use crate::transport::roots::Roots;
use crate::transport::seen::SeenCertificate;

/// The steps, in the order of their lines. On a TLS port TLS comes before the greeting.
const STEPS: [&str; 8] = [
    "connect",
    "greeting",
    "tls",
    "login",
    "sender",
    "recipient",
    "data",
    "delivery",
];

/// The place of the first step of a transaction.
const SENDER: usize = 4;

/// Whom the certificate of the other side is measured by.
pub(super) struct Judge {
    /// The name it has to be for.
    pub(super) name: String,
    /// Who may vouch for it; or why nobody can be asked.
    pub(super) roots: Result<Roots, String>,
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As it should.
    Good,
    /// It did not.
    Failed,
    /// It was not taken.
    Skipped,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// What was printed so far.
#[derive(Clone)]
pub(super) struct Report(Arc<Mutex<State>>);

struct State {
    judge: Judge,
    secrets: Vec<Zeroizing<String>>,
    told: Vec<&'static str>,
    /// The server agreed to TLS, and no handshake has ended yet.
    in_handshake: bool,
    /// The server's last list of extensions has no STARTTLS.
    is_tls_missing: bool,
    side: Side,
    /// The first failure that counts.
    cause: Option<Cause>,
    has_logged_in: bool,
}

impl Report {
    /// Nothing is printed yet; none of `secrets` ever will be.
    pub(super) fn new(judge: Judge, secrets: Vec<Zeroizing<String>>, side: Side) -> Self {
        Self(Arc::new(Mutex::new(State {
            judge,
            secrets,
            told: Vec::new(),
            in_handshake: false,
            is_tls_missing: false,
            side,
            cause: None,
            has_logged_in: false,
        })))
    }

    /// Who is spoken to.
    pub(super) fn side(&self) -> Side {
        self.state().side.clone()
    }

    /// Somebody who looks on and prints what he sees.
    pub(super) fn witness(&self) -> Witness {
        let report = self.clone();
        Witness::new(move |heard| report.state().hear(heard))
    }

    /// Prints a step.
    pub(super) fn step(&self, name: &'static str, verdict: Verdict, words: &str) {
        self.state().step(name, verdict, words);
    }

    /// Prints that a step failed, unless its line is there already.
    pub(super) fn failed(&self, error: &ClientError) {
        self.state().failed(error, None);
    }

    /// A step failed of which nothing was heard: the first, or the next one of the transaction.
    pub(super) fn next_failed(&self, words: &str, code: u8) {
        let mut state = self.state();
        if state.cause.is_some() {
            return;
        }
        let last = STEPS.iter().rposition(|step| state.told.contains(step));
        let place = last.map_or(0, |last| (last + 1).max(SENDER));
        let name = STEPS.get(place).copied().unwrap_or("delivery");
        state.step(name, Verdict::Failed, words);
        state.cause = Some(Cause::own(code));
    }

    /// Whether the server has accepted a login.
    pub(super) fn has_logged_in(&self) -> bool {
        self.state().has_logged_in
    }

    /// Whether nothing has been printed.
    pub(super) fn is_unheard(&self) -> bool {
        self.state().told.is_empty()
    }

    /// Prints what was not reached. What went wrong, if anything did.
    pub(super) fn close(&self) -> Option<Cause> {
        let mut state = self.state();
        state.skip_up_to(STEPS.len(), "not reached");
        state.cause
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}

impl State {
    fn hear(&mut self, heard: &Heard<'_>) {
        match heard {
            Heard::Connected(address) => self.connected(*address),
            Heard::Secured(facts, certificate) => {
                self.in_handshake = false;
                let seen = words_of_certificate(&self.judge, certificate);
                let words = format!("{} {}; {seen}", facts.version, facts.cipher);
                self.step("tls", Verdict::Good, &words);
            }
            Heard::Said(step, reply) => self.said(*step, reply),
            Heard::NotOpened(address, error) => self.failed(error, Some(*address)),
        }
    }

    /// Another connection begins: the next address, or plain text after a failed handshake.
    fn connected(&mut self, address: SocketAddr) {
        if std::mem::take(&mut self.in_handshake) {
            let words = "the handshake failed; plain text is tried";
            self.step("tls", Verdict::Failed, words);
            self.cause = Some(Cause::own(super::super::output::UNAVAILABLE));
        } else {
            self.told.clear();
            self.cause = None;
        }
        self.step("connect", Verdict::Good, &address.to_string());
    }

    fn said(&mut self, step: Step, reply: &ServerReply) {
        let name = name_of(step);
        let is_good = reply.code / 100 == 2;
        match step {
            // They end no step.
            Step::Quit | Step::Rset => {}
            _ if reply.code / 100 == 3 => {}
            // What is refused may be asked in another way (HELO).
            Step::Ehlo | Step::Helo => {
                let is_offer = |line: &String| line.trim().eq_ignore_ascii_case("STARTTLS");
                self.is_tls_missing = is_good && !reply.lines.iter().any(is_offer);
            }
            Step::StartTls if is_good => self.in_handshake = true,
            _ if is_good => {
                self.has_logged_in |= step == Step::Auth;
                self.step(name, Verdict::Good, &words_of(reply));
            }
            _ => {
                self.step(name, Verdict::Failed, &words_of(reply));
                self.cause = self.cause.or(Some(Cause::Said(step, reply.code)));
            }
        }
    }

    fn failed(&mut self, error: &ClientError, address: Option<SocketAddr>) {
        let step = error.step();
        let name = name_of(step);
        self.in_handshake = false;
        if self.cause.is_some() && self.told.contains(&name) {
            return;
        }
        let at = address.map_or(String::new(), |address| format!("{address} "));
        self.step(name, Verdict::Failed, &format!("{at}{error}"));
        self.cause = self.cause.or(Some(advice::cause(error)));
    }

    fn step(&mut self, name: &'static str, verdict: Verdict, words: &str) {
        if let Some(place) = STEPS.iter().position(|step| *step == name) {
            // The greeting comes behind TLS on a TLS port, so it is skipped by nobody.
            if place > 2 {
                self.skip_up_to(place, "not asked for");
            }
        }
        self.print(name, verdict, words);
    }

    fn skip_up_to(&mut self, place: usize, why: &str) {
        for name in STEPS.into_iter().take(place) {
            if !self.told.contains(&name) {
                let why = match name {
                    "tls" if self.is_tls_missing => "not offered",
                    _ => why,
                };
                self.print(name, Verdict::Skipped, why);
            }
        }
    }

    fn print(&mut self, name: &'static str, verdict: Verdict, words: &str) {
        let mut words = words.to_owned();
        for secret in &self.secrets {
            words = words.replace(secret.as_str(), "(hidden)");
        }
        let words = plain(&words);
        // A closed standard output is no reason to break off half-way through a message.
        let _ = say(&format!("{name:<9} {:<7}  {words}\n", verdict.word()));
        self.told.push(name);
    }
}

/// The line on which a step of the protocol is told.
fn name_of(step: Step) -> &'static str {
    match step {
        Step::Ehlo | Step::Helo | Step::Lhlo | Step::Greeting => "greeting",
        Step::StartTls | Step::Tls => "tls",
        Step::Auth => "login",
        Step::Mail => "sender",
        Step::Rcpt => "recipient",
        Step::Connect => "connect",
        Step::Data | Step::Reading | Step::MailData | Step::EndOfData | Step::Rset | Step::Quit => {
            "data"
        }
    }
}

fn words_of(reply: &ServerReply) -> String {
    let first = reply.lines.first().map(String::as_str).unwrap_or_default();
    match reply.lines.len() {
        0 | 1 => format!("{} {first}", reply.code),
        lines => format!("{} {first} (and {} more lines)", reply.code, lines - 1),
    }
}

/// Fit for a terminal, and cut.
fn plain(words: &str) -> String {
    let mut text = String::new();
    for c in words.chars().take(WORDS_MAX) {
        match c {
            ' '..='~' => text.push(c),
            c if c.is_alphanumeric() => text.push(c),
            // What moves the cursor, or turns the direction of writing.
            c => text.extend(c.escape_default()),
        }
    }
    text
}

fn words_of_certificate(judge: &Judge, certificate: &SeenCertificate) -> String {
    let now = clock::now();
    let identity = certificate.identity();
    let days = match identity.days_left(now) {
        Some(days @ 0..) => format!("{days} days left"),
        Some(days) => format!("expired {} days ago", -days),
        None => "dates unreadable".to_owned(),
    };
    let trusted = match &judge.roots {
        Ok(roots) => certificate.verify(&judge.name, roots, now),
        Err(why) => Err(why.clone()),
    };
    let trusted = match trusted {
        Ok(()) => format!("verified as {}", judge.name),
        Err(why) => format!("clients that verify refuse it as {}: {why}", judge.name),
    };
    format!("{}, {days}, {trusted}", identity.subject)
}

/// The longest words of a line, characters.
const WORDS_MAX: usize = 400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_peer_cannot_move_the_cursor() {
        assert_eq!(plain("250 ok"), "250 ok");
        let bent = plain("250 \u{1b}[2J\u{7}x");
        assert!(!bent.chars().any(char::is_control), "{bent}");
        assert!(!plain("a\u{202e}b").contains('\u{202e}'));
        assert!(plain(&"x".repeat(10_000)).len() <= WORDS_MAX);
    }

    #[test]
    fn every_step_of_the_protocol_has_a_line() {
        for step in [
            Step::Connect,
            Step::Greeting,
            Step::Ehlo,
            Step::Helo,
            Step::StartTls,
            Step::Tls,
            Step::Auth,
            Step::Mail,
            Step::Rcpt,
            Step::Data,
            Step::MailData,
            Step::EndOfData,
        ] {
            assert!(STEPS.contains(&name_of(step)), "{step}");
        }
    }
}
