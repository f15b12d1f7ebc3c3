//! Another program, run without a shell: fed on its standard input, heard on both its outputs, ended in time.
//!
//! It is started by the helper process where this process has one ([`helper`]), and else by this process.
//!
//! Promises: it starts as [`spawn`] has it. Nobody waits
//! for it past the deadline, whatever it and its children do; it is then killed with its group. Its
//! output is always read, and its beginning kept. A child of its that it leaves behind at its end stays
//! alone; one that has left the group is not killed. Refuses to know: what it is run for.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use super::clock;
use super::helper::{self, Helper, News, ProgramHandle};
use super::spawn::{self, Leader};

/// Where programs find others, for their environment.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Octets of the output that are kept.
pub const OUTPUT_MAX_OCTETS: usize = 1024;
/// The longest wait before the deadline and the program are looked at again.
const SLICE_MAX: Duration = Duration::from_millis(50);
/// The first wait; it doubles while nothing happens.
const SLICE_MIN: Duration = Duration::from_millis(1);
/// How long a killed program is waited for.
const REAP_MAX: Duration = Duration::from_secs(2);
/// No descriptor, to poll(2).
const NONE: RawFd = -1;
/// Reads of the output in one go, so that a flood does not hide the deadline.
const READS_MAX: usize = 16;

/// What to run.
pub struct Order<'a> {
    /// The section of the configuration that names it: the helper process knows it by this name, and takes
    /// program and arguments from its own reading.
    pub name: &'a str,
    /// The program, absolute.
    pub program: &'a Path,
    /// What it is called with.
    pub arguments: &'a [String],
    /// All of its environment.
    pub environment: &'a [(&'static str, String)],
    /// When it has to have ended, as of now; it may come nearer while it runs.
    pub until: &'a dyn Fn() -> Instant,
}

/// Whether a program wants more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fed {
    /// It took all of it.
    More,
    /// It reads no more: it has closed its input, or has ended.
    Enough,
    /// Its time is over.
    Late,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// By us, because its time was over.
    Late,
    /// Nobody knows: the helper process that ran it has died, and it with that.
    Lost,
}

/// A program that runs. Dropped, it is killed with its group.
pub struct Program<'a> {
    runner: Runner,
    input: Option<File>,
    output: Option<File>,
    kept: Vec<u8>,
    until: &'a dyn Fn() -> Instant,
    slice: Duration,
    ended: Option<End>,
}

/// Who started it, and waits for it.
enum Runner {
    Ourselves(Child),
    Helper(ProgramHandle),
}

impl<'a> Program<'a> {
    /// Starts it.
    ///
    /// # Errors
    /// It cannot be run: it is not there, we may not, no memory, no descriptors; the helper process does not
    /// know it, or is gone.
    pub fn start(order: &Order<'a>) -> io::Result<Self> {
        Self::start_by(helper::current(), order)
    }

    pub(super) fn start_by(helper: Option<&Helper>, order: &Order<'a>) -> io::Result<Self> {
        let (output, their_output) = pipe()?;
        let (their_input, input) = pipe()?;
        unblocking(output.as_raw_fd())?;
        unblocking(input.as_raw_fd())?;
        let runner = match helper {
            Some(helper) => {
                let ends = (their_input, their_output);
                Runner::Helper(helper.run(order.name, order.environment, ends)?)
            }
            None => {
                let environment = order.environment.iter();
                let command = spawn::Command {
                    program: order.program,
                    arguments: order.arguments,
                    environment: environment.map(|(name, value)| (*name, value.as_str())),
                    leader: Leader::Outlives,
                };
                Runner::Ourselves(spawn::start(command, their_input, their_output)?)
            }
        };
        let program = Self {
            runner,
            input: Some(input.into()),
            output: Some(output.into()),
            kept: Vec::new(),
            until: order.until,
            slice: SLICE_MIN,
            ended: None,
        };
        program.started()
    }

    /// Waits for the helper's word that it runs. The deadline is looked at, for its disk may hang.
    fn started(mut self) -> io::Result<Self> {
        while let Runner::Helper(line) = &self.runner {
            match line.news() {
                Some(News::Started) => break,
                Some(News::NotStarted(error)) => {
                    self.ended = Some(End::Lost);
                    return Err(error);
                }
                Some(News::Exited(_) | News::Killed(_) | News::Lost) => {
                    self.ended = Some(End::Lost);
                    return Err(helper::gone());
                }
                None if self.is_late() => {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "it does not start in time",
                    ));
                }
                None => self.wait_for(&[]),
            }
        }
        self.slice = SLICE_MIN;
        Ok(self)
    }

    /// Gives it these octets.
    pub fn feed(&mut self, octets: &[u8]) -> Fed {
        let mut left = octets;
        while !left.is_empty() {
            if self.is_late() {
                return Fed::Late;
            }
            let Some(input) = &mut self.input else {
                return Fed::Enough;
            };
            match input.write(left) {
                Ok(count) => {
                    left = left.get(count..).unwrap_or_default();
                    self.slice = SLICE_MIN;
                    self.listen();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // One that has ended may have left a child that holds the pipe and reads nothing.
                    if self.has_ended() {
                        self.input = None;
                    } else {
                        self.wait();
                    }
                }
                Err(_) => self.input = None,
            }
        }
        Fed::More
    }

    /// Closes its input and waits for its end: how it ended, and what it said first.
    pub fn finish(mut self) -> (End, Vec<u8>) {
        self.input = None;
        self.slice = SLICE_MIN;
        let end = loop {
            if self.has_ended() {
                self.listen();
                break self.ended.unwrap_or(End::Lost);
            }
            if self.is_late() {
                self.kill();
                self.listen();
                break End::Late;
            }
            self.wait();
        };
        let kept = std::mem::take(&mut self.kept);
        (end, kept)
    }

    fn is_late(&self) -> bool {
        // The deadline may be the very moment it is asked for.
        let until = (self.until)();
        clock::monotonic() >= until
    }

    fn has_ended(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = match &mut self.runner {
                // Nobody else waits for our children, so that this does not fail.
                Runner::Ourselves(child) => child.try_wait().ok().flatten().map(end_of),
                Runner::Helper(line) => match line.news() {
                    Some(News::Exited(code)) => Some(End::Code(code)),
                    Some(News::Killed(signal)) => Some(End::Signal(signal)),
                    Some(News::Started | News::NotStarted(_) | News::Lost) => Some(End::Lost),
                    None => None,
                },
            };
        }
        self.ended.is_some()
    }

    /// Waits a moment, until there is output, or until the input takes more.
    fn wait(&mut self) {
        let input = self.input.as_ref().map(AsRawFd::as_raw_fd);
        let output = self.output.as_ref().map(AsRawFd::as_raw_fd);
        let pipes = [(input, libc::POLLOUT), (output, libc::POLLIN)];
        let pipes = pipes.map(|(end, events)| (end.unwrap_or(NONE), events));
        self.wait_for(&pipes);
        self.listen();
    }

    /// Waits a moment for these descriptors, or for news of the program.
    fn wait_for(&mut self, others: &[(RawFd, libc::c_short)]) {
        let left = (self.until)().saturating_duration_since(clock::monotonic());
        let slice = self.slice.min(left).max(SLICE_MIN);
        self.slice = (self.slice * 2).min(SLICE_MAX);
        let news = match &self.runner {
            Runner::Ourselves(_) => NONE,
            Runner::Helper(line) => line.as_raw_fd(),
        };
        let mut entries = [(NONE, 0); 3];
        for (entry, wanted) in entries
            .iter_mut()
            .zip(others.iter().chain([&(news, libc::POLLIN)]))
        {
            *entry = *wanted;
        }
        let mut entries = entries.map(|(fd, events)| libc::pollfd {
            fd,
            events,
            revents: 0,
        });
        let millis = libc::c_int::try_from(slice.as_millis()).unwrap_or(1);
        // SAFETY: the entries outlive the call, and their number is right.
        let ready = unsafe { libc::poll(entries.as_mut_ptr(), 3, millis) };
        if ready > 0 {
            self.slice = SLICE_MIN;
        }
    }

    /// Reads what there is of its output.
    fn listen(&mut self) {
        let mut piece = [0; 8 * 1024];
        for _ in 0..READS_MAX {
            let Some(output) = &mut self.output else {
                return;
            };
            match output.read(&mut piece) {
                Ok(0) => self.output = None,
                Ok(count) => {
                    let room = OUTPUT_MAX_OCTETS - self.kept.len();
                    let octets = piece.get(..count.min(room)).unwrap_or_default();
                    self.kept.extend_from_slice(octets);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.output = None,
            }
        }
    }

    /// Kills the whole group, and waits a moment for the end. The group is still ours: its leader was not
    /// waited for yet.
    fn kill(&mut self) {
        if self.has_ended() {
            return;
        }
        match &self.runner {
            Runner::Ourselves(child) => spawn::kill(child),
            Runner::Helper(line) => line.cut(),
        }
        let until = clock::monotonic() + REAP_MAX;
        while !self.has_ended() && clock::monotonic() < until {
            std::thread::sleep(SLICE_MIN);
        }
    }
}

impl Drop for Program<'_> {
    fn drop(&mut self) {
        self.kill();
    }
}

fn end_of(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Code(code),
        (None, Some(signal)) => End::Signal(signal),
        (None, None) => End::Lost,
    }
}

/// A pipe that no other program inherits: its end to read from, and the one to write to.
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    // SAFETY: the array has room for two; both descriptors were just opened and nobody else has them.
    unsafe {
        if libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) != 0 {
            return Err(io::Error::last_os_error());
        }
        let [ours, theirs] = ends;
        Ok((OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)))
    }
}

/// From here on nobody waits at this end of a pipe; the other end stays as it is.
fn unblocking(descriptor: RawFd) -> io::Result<()> {
    // SAFETY: plain system calls on a descriptor that is open.
    let result = unsafe {
        let flags = libc::fcntl(descriptor, libc::F_GETFL);
        match flags {
            -1 => -1,
            flags => libc::fcntl(descriptor, libc::F_SETFL, flags | libc::O_NONBLOCK),
        }
    };
    match result {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::helper::tests::helper_for;

    /// The same by ourselves and by a helper.
    fn shell(script: &str, input: &[u8], patience: Duration) -> (End, String) {
        let arguments = ["-c".to_owned(), script.to_owned()];
        let (end, output) = shell_by(None, &arguments, input, patience);
        let helper = helper_for(Path::new("/bin/sh"), &arguments);
        let by_helper = shell_by(Some(&helper), &arguments, input, patience);
        if !script.contains("$!") {
            assert_eq!(by_helper, (end, output.clone()), "{script}");
        }
        by_helper
    }

    fn shell_by(
        helper: Option<&Helper>,
        arguments: &[String],
        input: &[u8],
        patience: Duration,
    ) -> (End, String) {
        let until = clock::monotonic() + patience;
        let order = Order {
            name: "test",
            program: Path::new("/bin/sh"),
            arguments,
            environment: &[
                ("PATH", "/usr/bin:/bin".to_owned()),
                ("WORD", "a b".to_owned()),
            ],
            until: &|| until,
        };
        let mut program = Program::start_by(helper, &order).unwrap();
        for piece in input.chunks(100_000) {
            if program.feed(piece) != Fed::More {
                break;
            }
        }
        let (end, output) = program.finish();
        (end, String::from_utf8_lossy(&output).into_owned())
    }

    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn a_program_ends_as_it_likes_and_is_heard() {
        for (script, end, output) in [
            ("exit 0", End::Code(0), ""),
            (
                "echo out; echo err >&2; exit 75",
                End::Code(75),
                "out\nerr\n",
            ),
            ("kill -TERM $$", End::Signal(libc::SIGTERM), ""),
            ("cat", End::Code(0), "the input\n"),
            ("exec <&-; echo closed", End::Code(0), "closed\n"),
            ("pwd; echo $WORD", End::Code(0), "/\na b\n"),
            // A child that keeps both pipes holds nobody up.
            ("sleep 60 & echo gone", End::Code(0), "gone\n"),
        ] {
            let got = shell(script, b"the input\n", PATIENCE);
            assert_eq!(got, (end, output.to_owned()), "{script}");
        }
    }

    #[test]
    fn input_that_is_not_read_and_output_without_end_hold_nobody_up() {
        let much = vec![b'x'; 10_000_000];
        assert_eq!(shell("exit 3", &much, PATIENCE).0, End::Code(3));
        assert_eq!(shell("sleep 60 & exit 4", &much, PATIENCE).0, End::Code(4));
        let (end, output) = shell("wc -c", &much, PATIENCE);
        assert_eq!((end, output.trim()), (End::Code(0), "10000000"));
        // It writes more than a pipe holds before it reads.
        let (end, output) = shell("head -c 1000000 /dev/zero; cat >/dev/null", &much, PATIENCE);
        assert_eq!((end, output.len()), (End::Code(0), OUTPUT_MAX_OCTETS));
        let (end, _) = shell("yes", &much, Duration::from_millis(300));
        assert_eq!(end, End::Late);
    }

    #[test]
    fn a_deadline_that_is_the_present_ends_it_at_once() {
        let arguments = ["-c".to_owned(), "sleep 60".to_owned()];
        let order = Order {
            name: "test",
            program: Path::new("/bin/sh"),
            arguments: &arguments,
            environment: &[("PATH", "/usr/bin:/bin".to_owned())],
            until: &clock::monotonic,
        };
        assert_eq!(Program::start(&order).unwrap().finish().0, End::Late);
        let helper = helper_for(order.program, &arguments);
        match Program::start_by(Some(&helper), &order) {
            Ok(program) => assert_eq!(program.finish().0, End::Late),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::TimedOut),
        }
    }

    #[test]
    fn the_whole_group_is_killed_when_its_time_is_over() {
        let (end, output) = shell(
            "sleep 61 & echo $!; trap '' TERM; sleep 62 & echo $!; wait; wait",
            b"",
            Duration::from_millis(300),
        );
        assert_eq!(end, End::Late);
        let children: Vec<_> = output.lines().collect();
        assert_eq!(children.len(), 2, "{output}");
        for child in children {
            // What was killed may still be on its way to whoever waits for orphans.
            let until = clock::monotonic() + PATIENCE;
            loop {
                let status = std::fs::read_to_string(format!("/proc/{child}/stat"));
                if !status.is_ok_and(|status| !status.contains(") Z ")) {
                    break;
                }
                assert!(clock::monotonic() < until, "{child} lives");
                std::thread::sleep(SLICE_MIN);
            }
        }
    }

    #[test]
    fn a_deadline_that_comes_nearer_counts_at_once() {
        let now = clock::monotonic();
        let until = std::cell::Cell::new(now + PATIENCE);
        let arguments = ["60".to_owned()];
        let order = Order {
            name: "test",
            program: Path::new("/bin/sleep"),
            arguments: &arguments,
            environment: &[],
            until: &|| until.get(),
        };
        let helper = helper_for(order.program, &arguments);
        for helper in [None, Some(&helper)] {
            until.set(now + PATIENCE);
            let program = Program::start_by(helper, &order).unwrap();
            until.set(now);
            assert_eq!(program.finish().0, End::Late);
        }
        assert!(clock::monotonic() - now < PATIENCE);
    }

    #[test]
    fn no_descriptor_and_no_signal_of_ours_reaches_it() {
        // A file of ours that is open while it starts.
        let _open = std::fs::File::open("/dev/null").unwrap();
        let blocked = || {
            // SAFETY: the set is initialised before it is used; this thread alone is changed.
            unsafe {
                let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
                libc::sigemptyset(set.as_mut_ptr());
                libc::sigaddset(set.as_mut_ptr(), libc::SIGTERM);
                libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
            }
            // The shell looks itself, so one descriptor is that of the folder.
            let script = "set -- /proc/$$/fd/*; echo $#; env; \
                          grep -E '^Sig(Blk|Ign)' /proc/self/status";
            shell(script, b"", PATIENCE)
        };
        let (end, output) = std::thread::spawn(blocked).join().unwrap();
        assert_eq!(end, End::Code(0), "{output}");
        let mut lines: Vec<_> = output.lines().collect();
        lines.retain(|line| {
            !line.starts_with("PWD=") && !line.starts_with("SHLVL=") && !line.starts_with("_=")
        });
        let ignored = lines.pop().unwrap().rsplit('\t').next().unwrap();
        let ignored = u64::from_str_radix(ignored, 16).unwrap();
        // Above are those of the C library, which nobody can set.
        assert_eq!(ignored & 0x7fff_ffff, 0, "{output}");
        let want = [
            "4",
            "PATH=/usr/bin:/bin",
            "WORD=a b",
            "SigBlk:\t0000000000000000",
        ];
        assert_eq!(lines, want);
    }

    #[test]
    fn what_is_no_program_is_an_error() {
        for path in ["/no/such/program", "/etc/passwd", "/"] {
            let until = clock::monotonic() + PATIENCE;
            let order = Order {
                name: "test",
                program: Path::new(path),
                arguments: &[],
                environment: &[],
                until: &|| until,
            };
            let error = |by| Program::start_by(by, &order).err().unwrap().raw_os_error();
            let helper = helper_for(order.program, &[]);
            assert_eq!(error(None), error(Some(&helper)), "{path}");
            assert!(error(None).is_some(), "{path}");
        }
    }
}
