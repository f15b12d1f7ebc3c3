//! How a session ends: what its client was doing, the last log line, and what devices are told of it.

use super::{Connection, PATIENT, State, WorkerBuffers};
use crate::devices::{Ended, HandshakeProgress, Place, Reached};
use crate::events::{self, EndReason, SessionSummary};
use crate::net::Outcome;
use crate::sys::clock;

impl Connection {
    /// The client went away, or has been silent too long.
    pub(super) fn broke_off(&mut self, reason: EndReason) {
        let place = match self.state {
            State::Handshaking => {
                let waited = clock::monotonic().saturating_duration_since(self.waiting_since);
                Place::Handshake(match self.stream.has_begun_tls() {
                    true => HandshakeProgress::Started,
                    false if waited >= PATIENT || reason == EndReason::Timeout => {
                        HandshakeProgress::Idle
                    }
                    false => HandshakeProgress::ClosedAtOnce,
                })
            }
            State::Talking if self.session.is_in_mail_data() => Place::MailData,
            State::Unannounced
            | State::Talking
            | State::Held
            | State::Delayed(_)
            | State::Closing(_) => Place::Elsewhere,
        };
        self.watch.broke_off(reason, place);
    }

    pub(super) fn end(&mut self, reason: EndReason, buffers: &mut WorkerBuffers) -> Outcome {
        buffers.output.wire.clear();
        self.draft = None;
        self.stream.finish(&mut buffers.buffer);
        self.log_end(reason);
        Outcome::Done
    }

    pub(super) fn log_end(&mut self, reason: EndReason) {
        // Before its header a proxy is nobody's device.
        if self.state != State::Unannounced {
            self.tell_devices(reason);
        }
        let facts = self.session.facts();
        let came_to_nothing = self.messages == 0 && facts.errors == 0 && facts.login.is_none();
        // What is wrong with a header has a line of its own.
        let is_told = self.state == State::Unannounced;
        let ended_well = matches!(reason, EndReason::Quit | EndReason::Dropped);
        events::session_ended(&SessionSummary {
            sid: &self.sid(),
            client: self.client,
            proxy: self.proxy(),
            is_check: self.is_with_proxy() && came_to_nothing && (ended_well || is_told),
            port: self.port().map_or("?", |port| port.name.as_str()),
            reason,
            helo: facts.helo,
            login: facts.login,
            tls: self.stream.tls_facts(),
            messages: self.messages,
            errors: facts.errors,
            seconds: clock::monotonic()
                .saturating_duration_since(self.opened)
                .as_secs(),
        });
    }

    /// What this session was, for whoever asks about its client.
    fn tell_devices(&mut self, reason: EndReason) {
        let watch = std::mem::take(&mut self.watch);
        let facts = self.session.facts();
        let reached = match (facts.helo, self.session.has_transaction()) {
            (_, true) => Reached::Transaction,
            (Some(_), false) => Reached::Hello,
            (None, false) if self.session.commands_completed() > 0 => Reached::Hello,
            (None, false) => Reached::Nothing,
        };
        let ended = Ended {
            client: self.client.ip(),
            local: self.local,
            port: &self.port_name,
            tls: self.stream.tls_facts(),
            facts,
            messages: self.messages,
            reason,
            reached,
        };
        self.context.devices.ended(watch, ended);
    }
}
