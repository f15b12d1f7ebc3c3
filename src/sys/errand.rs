//! Runs another program to its end, without a shell: something on its standard input, little time.
//!
//! Promises: it starts in `/`, in a process group of its own, with the given environment and no other, and
//! with no signal blocked. Past its time, or when it is called off, it is killed with its group; what it
//! leaves behind at its own end stays alone, and nobody waits for it. Its output is read to the end, and its beginning kept. Limits:
//! [`OUTPUT_MAX_OCTETS`] of output; the input must fit into a pipe.

use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use super::{clock, machine};

/// Output that is kept, octets.
pub const OUTPUT_MAX_OCTETS: usize = 1024;
/// The longest input, octets: a pipe takes it at once, whether or not somebody reads.
pub const INPUT_MAX_OCTETS: usize = 4096;
/// Between looks whether it has ended.
const LOOK: Duration = Duration::from_millis(20);

/// What is to be run.
pub struct Errand<'a> {
    /// The program.
    pub program: &'a Path,
    /// All of its environment.
    pub environment: &'a [(&'a str, &'a str)],
    /// What it reads; cut at [`INPUT_MAX_OCTETS`].
    pub input: &'a str,
    /// How long it may take.
    pub limit: Duration,
    /// Whether it is called off.
    pub is_off: &'a dyn Fn() -> bool,
}

impl Errand<'_> {
    /// Runs it to its end.
    ///
    /// # Errors
    /// Why it did not do what it was to do: it cannot be started, took too long, or ended with a code other
    /// than 0; with the beginning of what it said.
    pub fn run(&self) -> Result<(), String> {
        let (output, theirs) = UnixStream::pair().map_err(|error| machine::reason(&error))?;
        let spawned = output
            .set_nonblocking(true)
            .and_then(|()| self.start(theirs.into()));
        let mut child = spawned.map_err(|error| machine::reason(&error))?;
        if let Some(mut input) = child.stdin.take() {
            let octets = self.input.as_bytes();
            let octets = octets.get(..INPUT_MAX_OCTETS).unwrap_or(octets);
            // One that does not read it knows why.
            let _ = input.write_all(octets);
        }
        let mut said = Said::new(output);
        let ended = self.wait(&mut child, &mut said);
        let why = match ended {
            Ok(status) if status.success() => return Ok(()),
            Ok(status) => status.to_string(),
            Err(why) => {
                // Killed, so it ends.
                let _ = child.wait();
                why
            }
        };
        said.listen();
        Err(match said.text() {
            text if text.is_empty() => why,
            text => format!("{why}: {text}"),
        })
    }

    fn start(&self, output: OwnedFd) -> io::Result<Child> {
        let mut command = Command::new(self.program);
        command
            .env_clear()
            .envs(self.environment.iter().copied())
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::from(output.try_clone()?))
            .stderr(Stdio::from(output));
        // SAFETY: the closure makes nothing but system calls, which are safe between fork and exec.
        unsafe {
            command.pre_exec(unblock_signals);
        }
        command.spawn()
    }

    fn wait(&self, child: &mut Child, said: &mut Said) -> Result<ExitStatus, String> {
        let until = clock::monotonic() + self.limit;
        loop {
            said.listen();
            if let Some(status) = child.try_wait().map_err(|error| machine::reason(&error))? {
                return Ok(status);
            }
            if (self.is_off)() {
                kill_group(child);
                return Err("called off: the service ends".to_owned());
            }
            if clock::monotonic() >= until {
                kill_group(child);
                return Err(format!("killed after {} s", self.limit.as_secs()));
            }
            thread::sleep(LOOK);
        }
    }
}

/// What a program says.
struct Said {
    stream: UnixStream,
    kept: Vec<u8>,
}

impl Said {
    fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            kept: Vec::new(),
        }
    }

    /// Takes what there is; what is too much is dropped.
    fn listen(&mut self) {
        let mut piece = [0; 4096];
        // One that says more than this at a time waits for the next look.
        for _ in 0..64 {
            match self.stream.read(&mut piece) {
                Ok(count) if count > 0 => {
                    let room = OUTPUT_MAX_OCTETS - self.kept.len();
                    let octets = piece.get(..count.min(room)).unwrap_or_default();
                    self.kept.extend_from_slice(octets);
                }
                _ => return,
            }
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.kept).trim().to_owned()
    }
}

/// Kills a program that was not waited for yet, so that the number is still its own, with its group.
fn kill_group(child: &Child) {
    if let Ok(group) = libc::pid_t::try_from(child.id()) {
        // SAFETY: a plain system call.
        unsafe {
            libc::kill(-group, libc::SIGKILL);
        }
    }
}

/// In the child: the service blocks signals and ignores one, which a program would inherit.
fn unblock_signals() -> io::Result<()> {
    // SAFETY: plain system calls; the set is initialised before it is used.
    unsafe {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut());
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;

    struct Script(PathBuf);

    impl Script {
        fn new(label: &str, text: &str) -> Self {
            let name = format!("gatepost-errand-{label}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let draft = path.with_extension("draft");
            fs::write(&draft, format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(&draft, fs::Permissions::from_mode(0o700)).unwrap();
            // A file that another thread's child has open for writing cannot be run.
            let copied = Command::new("cp").arg("-p").arg(&draft).arg(&path).status();
            assert!(copied.unwrap().success());
            fs::remove_file(&draft).unwrap();
            Self(path)
        }

        fn run(&self, limit: Duration, is_off: &dyn Fn() -> bool) -> Result<(), String> {
            let errand = Errand {
                program: &self.0,
                environment: &[("GATEPOST_ALARM", "login")],
                input: "what is wrong\n",
                limit,
                is_off,
            };
            errand.run()
        }
    }

    impl Drop for Script {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn a_program_has_its_environment_its_input_and_nothing_else() {
        let text = "read line; echo \"$line,$GATEPOST_ALARM,$HOME,$(pwd)\"\n\
                    grep SigBlk /proc/self/status | tr -d '\\n\\t'; exit 3";
        let said = Script::new("given", text).run(LONG, &|| false);
        let none = "0".repeat(16);
        assert_eq!(
            said,
            Err(format!(
                "exit status: 3: what is wrong,login,,/\nSigBlk:{none}"
            ))
        );
        assert_eq!(Script::new("good", "exit 0").run(LONG, &|| false), Ok(()));
    }

    #[test]
    fn one_that_hangs_is_killed_with_its_children() {
        let pid = std::env::temp_dir().join(format!("gatepost-errand-pid-{}", std::process::id()));
        let text = format!("sleep 600 & echo $! > {}; wait", pid.display());
        let script = Script::new("hangs", &text);
        let is_off = || fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n'));
        let said = script.run(LONG, &is_off);
        assert_eq!(said, Err("called off: the service ends".to_owned()));
        let child = fs::read_to_string(&pid).unwrap();
        fs::remove_file(&pid).unwrap();
        let state = || fs::read_to_string(format!("/proc/{}/stat", child.trim()));
        // It may still be somebody's zombie.
        while state().is_ok_and(|text| !text.contains(" Z ")) {
            thread::sleep(LOOK);
        }
        let said = script.run(Duration::from_millis(1), &|| false);
        assert_eq!(said, Err("killed after 0 s".to_owned()));
        let _ = fs::remove_file(&pid);
    }

    #[test]
    fn a_flood_is_read_and_its_beginning_kept() {
        let said = Script::new("flood", "head -c 1000000 /dev/zero | tr '\\0' x; exit 1");
        let text = said.run(LONG, &|| false).unwrap_err();
        assert_eq!(text.len(), "exit status: 1: ".len() + OUTPUT_MAX_OCTETS);
    }

    #[test]
    fn one_that_reads_nothing_or_is_not_there_is_no_failure_of_ours() {
        let deaf = Script::new("deaf", "exec 0<&-; exit 0");
        assert_eq!(deaf.run(LONG, &|| false), Ok(()));
        let path = deaf.0.clone();
        drop(deaf);
        let gone = Script(path);
        let said = gone.run(LONG, &|| false);
        assert_eq!(said, Err("No such file or directory".to_owned()));
    }
}
