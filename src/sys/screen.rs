//! A terminal that is drawn on and whose keys are heard one by one.
//!
//! Promises: while a [`Screen`] lives the terminal shows its second page, without cursor and echo; when it
//! goes, also by a panic, the first page and all settings are back. Keyboard signals are off meanwhile, so
//! control-C is a key. Refuses to know: what is drawn.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::time::Duration;

use super::signals::{self, Signals};

/// Columns and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub columns: usize,
    /// Rows.
    pub rows: usize,
}

/// What came while we waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// A key that sends one octet.
    Key(u8),
    /// A signal, or the terminal is gone.
    End,
    /// The time is over.
    Nothing,
}

/// Whether one can draw here, and hear keys.
pub fn is_here() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    !dumb && io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// The terminal, ours for a while.
pub struct Screen {
    before: libc::termios,
    signals: Signals,
    /// Keys that came at once and were not told yet.
    keys: VecDeque<u8>,
}

impl Screen {
    /// Takes the terminal of standard input and output, and SIGTERM, SIGINT and SIGHUP.
    ///
    /// # Errors
    /// It is none, or no descriptors are left.
    pub fn begin() -> io::Result<Self> {
        let signals = signals::take()?;
        let mut state = MaybeUninit::<libc::termios>::uninit();
        // SAFETY: `state` is ours to write and outlives the call.
        if unsafe { libc::tcgetattr(libc::STDIN_FILENO, state.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call succeeded, so `state` is filled in.
        let before = unsafe { state.assume_init() };
        let mut raw = before;
        raw.c_lflag &= !(libc::ECHO | libc::ICANON | libc::ISIG);
        let screen = Self {
            before,
            signals,
            keys: VecDeque::new(),
        };
        set(&raw)?;
        put(ENTER)?;
        Ok(screen)
    }

    /// The size now; 80 by 24 where the terminal does not say.
    pub fn size(&self) -> Size {
        let mut size = MaybeUninit::<libc::winsize>::zeroed();
        // SAFETY: `size` is ours to write, outlives the call, and zeros are a whole one.
        let size = unsafe {
            libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, size.as_mut_ptr());
            size.assume_init()
        };
        let or = |number: u16, usual| match number {
            0 => usual,
            number => usize::from(number),
        };
        Size {
            columns: or(size.ws_col, 80),
            rows: or(size.ws_row, 24),
        }
    }

    /// Draws these lines from the top and clears the rest. They have to fit and to be printable.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn draw(&self, lines: &[String]) -> io::Result<()> {
        let mut frame = "\x1b[H".to_owned();
        for (at, line) in lines.iter().enumerate() {
            // No line end behind the last: it would move the page up.
            frame.push_str(if at > 0 { "\r\n" } else { "" });
            frame.push_str(line);
            frame.push_str("\x1b[K");
        }
        frame.push_str("\x1b[J");
        put(&frame)
    }

    /// Waits for a key, a signal, or so long.
    pub fn listen(&mut self, at_most: Duration) -> Heard {
        if let Some(key) = self.keys.pop_front() {
            return Heard::Key(key);
        }
        let entry = |fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        let mut entries = [entry(libc::STDIN_FILENO), entry(self.signals.as_raw_fd())];
        let millis = i32::try_from(at_most.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the array holds two entries and outlives the call.
        let ready = unsafe { libc::poll(entries.as_mut_ptr(), 2, millis) };
        if ready <= 0 {
            // Interrupted, as by a new size, is no more than early.
            return Heard::Nothing;
        }
        if self.signals.read().is_some() {
            return Heard::End;
        }
        let mut keys = [0_u8; 64];
        // SAFETY: the buffer is as large as said and outlives the call.
        let count = unsafe { libc::read(libc::STDIN_FILENO, keys.as_mut_ptr().cast(), keys.len()) };
        let came = usize::try_from(count)
            .ok()
            .and_then(|count| keys.get(..count));
        match came {
            None | Some([]) => Heard::End,
            Some(came) => {
                self.keys.extend(plain_keys(came));
                self.keys.pop_front().map_or(Heard::Nothing, Heard::Key)
            }
        }
    }
}

/// The keys that send one octet: arrows and their like send ESC, [ or O, and more up to a letter.
fn plain_keys(came: &[u8]) -> Vec<u8> {
    let (mut keys, mut rest) = (Vec::new(), came.iter().copied());
    while let Some(octet) = rest.next() {
        match octet {
            ESCAPE => {
                let opens = rest.next().is_some_and(|next| matches!(next, b'[' | b'O'));
                if opens {
                    rest.find(|octet| (0x40..=0x7e).contains(octet));
                }
            }
            key => keys.push(key),
        }
    }
    keys
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = put(LEAVE);
        let _ = set(&self.before);
    }
}

fn put(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

fn set(state: &libc::termios) -> io::Result<()> {
    // SAFETY: `state` is a whole termios and outlives the call.
    match unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSAFLUSH, state) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

const ESCAPE: u8 = 0x1b;
/// The second page, without a cursor; lines that are too long are cut.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_come_at_once_are_told_apart() {
        let rows: [(&[u8], &[u8]); 7] = [
            (b"q", b"q"),
            (b"cp", b"cp"),
            (b"\x1b[Aq", b"q"),
            (b"c\x1b[1;5Cp\x1bOPq", b"cpq"),
            (b"\x1b", b""),
            (b"\x1b[", b""),
            (b"\x1b[3~\x03", b"\x03"),
        ];
        for (came, want) in rows {
            assert_eq!(plain_keys(came), want, "{came:?}");
        }
    }
}
