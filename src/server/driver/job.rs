//! What a session does when it is woken: where the workers' contract ([`Job`]) meets the driver.

use std::os::fd::{AsRawFd, RawFd};

use super::{Completion, Connection, SessionInfo, SessionSnapshot, State, WorkerBuffers};
use crate::events::{self, EndReason};
use crate::mail::ClientKey;
use crate::net::parking::Ticket;
use crate::net::{Job, Outcome, Signals, WakeReason};
use crate::session::Step;

impl Job for Connection {
    type Message = Completion;
    type WorkerBuffers = WorkerBuffers;
    type Client = ClientKey;
    type SessionInfo = SessionInfo;
    type SessionSnapshot = SessionSnapshot;

    fn run(
        &mut self,
        ticket: Ticket,
        wake: WakeReason<Self::Message>,
        signals: Signals,
        buffers: &mut WorkerBuffers,
    ) -> Outcome {
        self.stream.signalled(signals.readable, signals.hangup);
        let step = match wake {
            WakeReason::Opened => self.open(buffers),
            WakeReason::Ready => match self.state {
                State::Closing(reason) => Err(self.close(reason, buffers)),
                State::Unannounced => self.read_header(buffers),
                State::Handshaking => self.handshake(buffers),
                State::Delayed(_) => {
                    self.broke_off(EndReason::Dropped);
                    Err(self.end(EndReason::Dropped, buffers))
                }
                State::Talking | State::Held => Ok(Step::Receive),
            },
            WakeReason::Message(Completion::Committed(result)) => {
                Ok(self.committed(result, buffers))
            }
            WakeReason::Message(Completion::LookedUp(finding)) => {
                Ok(self.looked_up(finding, buffers))
            }
            WakeReason::Deadline => match self.state {
                State::Delayed(delay) => self.delay_is_over(delay, buffers),
                State::Unannounced
                | State::Handshaking
                | State::Talking
                | State::Held
                | State::Closing(_) => Err(self.timed_out(buffers)),
            },
            WakeReason::Stop => self.service_stops(buffers),
            WakeReason::End => Err(self.end_by_operator(buffers)),
        };
        let outcome = match step {
            Ok(step) => self.run_steps(step, ticket, buffers),
            Err(outcome) => outcome,
        };
        // The buffers are lent: nothing of one session may reach the next.
        buffers.output.wire.clear();
        outcome
    }

    fn client(&self) -> ClientKey {
        self.client_key()
    }

    fn info(&self) -> SessionInfo {
        self.info_of()
    }

    fn renewed_info(&mut self) -> Option<SessionInfo> {
        std::mem::take(&mut self.info_is_old).then(|| self.info_of())
    }

    fn snapshot(&self) -> SessionSnapshot {
        self.snapshot_of()
    }

    fn broken(&mut self, reason: &str) {
        self.context.stats.bugs.count();
        events::bug(&self.sid(), self.client, reason);
        self.log_end(EndReason::Bug);
    }
}

impl AsRawFd for Connection {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}
