//! Asking for a secret on the terminal.

use std::io::{self, BufRead, Write};
use std::mem::MaybeUninit;

use zeroize::Zeroizing;

/// Asks on standard error and reads one line of standard input, a terminal, without echo. An
/// interrupt (control-C) comes back as [`io::ErrorKind::Interrupted`] after echo is on again.
pub fn ask_hidden(prompt: &str) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut errors = io::stderr();
    // First, so that what is typed as soon as the prompt shows is not echoed.
    let hidden = Hidden::begin()?;
    write!(errors, "{prompt}")?;
    errors.flush()?;
    // The terminal hands over one line at a time.
    let mut input = io::stdin().lock();
    let line = Zeroizing::new(input.fill_buf()?.to_vec());
    input.consume(line.len());
    drop(hidden);
    writeln!(errors)?;
    if line.contains(&INTERRUPT) {
        return Err(io::ErrorKind::Interrupted.into());
    }
    Ok(line)
}

/// Echo is off while this lives. So are signals from the keyboard: ended by one, we would leave the
/// terminal without echo.
struct Hidden {
    before: libc::termios,
}

impl Hidden {
    fn begin() -> io::Result<Self> {
        let mut state = MaybeUninit::<libc::termios>::uninit();
        // SAFETY: `state` is ours to write and outlives the call.
        if unsafe { libc::tcgetattr(libc::STDIN_FILENO, state.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call succeeded, so `state` is filled in.
        let before = unsafe { state.assume_init() };
        let mut quiet = before;
        quiet.c_lflag &= !(libc::ECHO | libc::ISIG);
        // Ends the line, so that an interrupt is heard without Enter.
        if let Some(end_of_line) = quiet.c_cc.get_mut(libc::VEOL) {
            *end_of_line = INTERRUPT;
        }
        set(&quiet)?;
        Ok(Self { before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = set(&self.before);
    }
}

fn set(state: &libc::termios) -> io::Result<()> {
    // SAFETY: `state` is a whole termios and outlives the call.
    match unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSAFLUSH, state) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What control-C types while keyboard signals are off.
const INTERRUPT: u8 = 3;
