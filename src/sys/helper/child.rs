//! One program of the helper, from its start to its end.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use super::Entry;
use super::channel::Channel;
use super::service::descriptor_of;
use super::wire::{Answer, Message};
use crate::sys::spawn::{self, Leader};

/// The longest wait before the program is looked at again, where the kernel does not tell of its end.
const SLICE_MAX: Duration = Duration::from_millis(50);
/// The first wait; it doubles while nothing happens.
const SLICE_MIN: Duration = Duration::from_millis(1);

/// A program's own ends.
pub(super) struct Pipes {
    pub(super) input: OwnedFd,
    pub(super) output: OwnedFd,
}

/// Runs a program and tells of it by its life line; where that ends, the program does. Nobody else waits for
/// it, so its number is its own until then.
pub(super) fn tend(entry: &Entry, environment: &[(String, String)], pipes: Pipes, line: &Channel) {
    let command = spawn::Command {
        program: &entry.program,
        arguments: &entry.arguments,
        environment: environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
        leader: Leader::EndsWithUs,
    };
    let tell = |said: &Answer| {
        // Nobody may be there to hear it, and that is seen below.
        let _ = line.send_now(&said.encode());
    };
    let mut child = match spawn::start(command, pipes.input, pipes.output) {
        Ok(child) => child,
        Err(error) => return tell(&Answer::failed(&error)),
    };
    tell(&Answer::Done);
    // A child of ours cannot be missing.
    if let Ok(status) = see_off(&mut child, line) {
        tell(&match (status.code(), status.signal()) {
            (Some(code), _) => Answer::Exited(code),
            (None, Some(signal)) => Answer::Killed(signal),
            (None, None) => return,
        });
    }
}

/// Waits for its end; kills it with its group where nobody wants it any more.
fn see_off(child: &mut Child, line: &Channel) -> io::Result<ExitStatus> {
    let id = libc::pid_t::try_from(child.id()).ok();
    let told = id.and_then(descriptor_of);
    let mut line = Some(line);
    let mut slice = SLICE_MIN;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if wait(line, told.as_ref(), slice) {
            spawn::kill(child);
            line = None;
        }
        slice = (slice * 2).min(SLICE_MAX);
    }
}

/// Waits for the program's end, or so long where the kernel does not tell it; true when the life line ends.
fn wait(line: Option<&Channel>, told: Option<&OwnedFd>, slice: Duration) -> bool {
    let entry = |descriptor: Option<RawFd>| libc::pollfd {
        // A negative one is passed over.
        fd: descriptor.unwrap_or(-1),
        events: libc::POLLIN,
        revents: 0,
    };
    let mut entries = [
        entry(line.map(AsRawFd::as_raw_fd)),
        entry(told.map(AsRawFd::as_raw_fd)),
    ];
    let millis = match told {
        Some(_) => -1,
        None => libc::c_int::try_from(slice.as_millis()).unwrap_or(1),
    };
    // SAFETY: the entries outlive the call, and their number is right.
    let ready = unsafe { libc::poll(entries.as_mut_ptr(), 2, millis) };
    let [line, _] = entries;
    // Whatever comes by it: the other side has nothing to say but that it is over.
    ready > 0 && line.revents != 0
}
