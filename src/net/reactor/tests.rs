//! The reactor without a listener: what it answers, and when not.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};

use super::super::parking::Ticket;
use super::super::{Outcome, Start};
use super::*;

/// Jobs that there are none of.
enum Nobody {}

impl AsRawFd for Nobody {
    fn as_raw_fd(&self) -> RawFd {
        match *self {}
    }
}

impl Job for Nobody {
    type Message = ();
    type WorkerBuffers = ();
    type Client = ();
    type SessionInfo = ();
    type SessionSnapshot = ();

    fn run(&mut self, _: Ticket, _: WakeReason<()>, _: Signals, (): &mut ()) -> Outcome {
        match *self {}
    }

    fn client(&self) {
        match *self {}
    }

    fn info(&self) {
        match *self {}
    }

    fn snapshot(&self) {
        match *self {}
    }

    fn broken(&mut self, _: &str) {
        match *self {}
    }
}

struct Empty;

impl Service for Empty {
    type Job = Nobody;

    fn accepted(&self, _: usize, _: TcpStream, _: SocketAddr) -> Option<Start<Nobody>> {
        None
    }

    fn accept_failed(&self, _: usize, _: &io::Error) {}

    fn stopping(&self) {}

    fn tick(&self) {}
}

#[test]
fn it_answers_from_its_loop_and_only_while_that_runs() {
    let parked = Arc::new(ParkedSessions::new());
    let reactor = Reactor::new(Arc::new(Empty), parked, Vec::new(), 1, &|| {}).unwrap();
    let remote = reactor.remote();
    // As one that is stuck.
    assert_eq!(remote.ask(Duration::from_millis(50)), Echo::Silent);
    let running = std::thread::spawn(move || reactor.run());
    assert_eq!(remote.ask(Duration::from_secs(30)), Echo::Heard);
    remote.stop(Duration::ZERO);
    running.join().unwrap().unwrap();
    assert_eq!(remote.ask(Duration::from_secs(30)), Echo::Gone);
}
