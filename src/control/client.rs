//! Asks a running service.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::wire::{self, HEAD_MAX_OCTETS};
use super::{Answer, Outcome};
use crate::sys::machine;

/// How long a service may be silent. A refresh that moves ports takes a fraction of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no answer.
#[derive(Debug)]
pub enum AskError {
    /// Nobody answers there.
    NotRunning(PathBuf),
    /// The socket is not open to us.
    NotPermitted(PathBuf),
    /// The words cannot be sent.
    BadRequest,
    /// The service said nothing in time.
    Silent(PathBuf),
    /// What answered is no service of this version.
    NotUnderstood(PathBuf),
    /// The connection failed.
    Io(PathBuf, io::Error),
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning(path) => {
                let path = path.display();
                write!(
                    f,
                    "the service is not running: nothing answers on {path}\n\
                     (if [control] socket was changed while it ran, it still answers on the old one)"
                )
            }
            Self::NotPermitted(path) => write!(
                f,
                "{}: not permitted; root, the service's account and the group of the socket may",
                path.display()
            ),
            Self::BadRequest => f.write_str("these words cannot be sent"),
            Self::Silent(path) => write!(f, "{}: no answer in time", path.display()),
            Self::NotUnderstood(path) => write!(
                f,
                "{}: the answer is not understood; is another version running?",
                path.display()
            ),
            Self::Io(path, error) => write!(f, "{}: {}", path.display(), machine::reason(error)),
        }
    }
}

impl std::error::Error for AskError {}

/// Sends the words to the service behind the socket, if it is the one with this configuration file, and
/// waits for its answer.
///
/// # Errors
/// See [`AskError`]. What the service refuses is an answer.
pub fn ask(path: &Path, config: &Path, words: &[&str]) -> Result<Answer, AskError> {
    ask_within(path, config, words, PATIENCE)
}

/// The same, where the service may be silent for so long.
///
/// # Errors
/// See [`AskError`]. What the service refuses is an answer.
pub fn ask_within(
    path: &Path,
    config: &Path,
    words: &[&str],
    patience: Duration,
) -> Result<Answer, AskError> {
    let addressee = wire::addressee(config);
    let words = [&[addressee.as_str()], words].concat();
    let request = wire::request(&words).ok_or(AskError::BadRequest)?;
    let failed = |error: io::Error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::ConnectionRefused => {
            AskError::NotRunning(path.to_owned())
        }
        ErrorKind::PermissionDenied => AskError::NotPermitted(path.to_owned()),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => AskError::Silent(path.to_owned()),
        ErrorKind::UnexpectedEof | ErrorKind::InvalidData => {
            AskError::NotUnderstood(path.to_owned())
        }
        _ => AskError::Io(path.to_owned(), error),
    };
    let mut stream = UnixStream::connect(path).map_err(failed)?;
    exchange(&mut stream, &request, patience).map_err(failed)
}

fn exchange(stream: &mut UnixStream, request: &[u8], patience: Duration) -> io::Result<Answer> {
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    stream.write_all(request)?;
    let mut line = Vec::new();
    let mut octet = [0];
    loop {
        stream.read_exact(&mut octet)?;
        match octet {
            [b'\n'] => break,
            [octet] if line.len() < HEAD_MAX_OCTETS => line.push(octet),
            _ => return Err(ErrorKind::InvalidData.into()),
        }
    }
    let head = wire::head(&line).ok_or(ErrorKind::InvalidData)?;
    let mut text = |length| {
        let mut octets = vec![0; length];
        stream.read_exact(&mut octets)?;
        String::from_utf8(octets).map_err(|_| io::Error::from(ErrorKind::InvalidData))
    };
    let (output, complaint) = (text(head.output)?, text(head.complaint)?);
    let outcome: Outcome = head.outcome;
    Ok(Answer {
        outcome,
        output,
        complaint,
    })
}
