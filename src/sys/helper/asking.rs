//! The service's side: requests, and waiting for what is said about them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use super::Helper;
use super::channel::{Channel, Received};
use super::wire::{Answer, Message, Question, Request};
use crate::sys::resolver::{Addresses, Family, NoAnswer};

/// How long an answer is waited for: longer than libc takes with several dead name servers.
const ANSWER_MAX: Duration = Duration::from_secs(180);
/// The same for a file that is read.
const RELOAD_MAX: Duration = Duration::from_secs(20);

impl Helper {
    /// As [`super::reload`].
    pub(super) fn reload(&self) -> io::Result<()> {
        match self.ask(&Request::Reload, RELOAD_MAX)? {
            Answer::Done => Ok(()),
            other => Err(other.into_error()),
        }
    }

    /// As [`crate::sys::resolver::name_of`].
    pub(in crate::sys) fn name_of(&self, address: IpAddr) -> Result<String, NoAnswer> {
        match self.question(Question::NameOf(address)) {
            Ok(Answer::Name(name)) => Ok(name),
            other => Err(no_answer(other)),
        }
    }

    /// As [`crate::sys::resolver::addresses_of`].
    pub(in crate::sys) fn addresses_of(
        &self,
        name: &str,
        family: Family,
    ) -> Result<Addresses, NoAnswer> {
        match self.question(Question::AddressesOf(name.to_owned(), family)) {
            Ok(Answer::Addresses(found)) => Ok(found),
            other => Err(no_answer(other)),
        }
    }

    /// As [`crate::sys::resolver::mail_exchangers_of`].
    pub(in crate::sys) fn mail_exchangers_of(&self, name: &str) -> Result<Vec<u8>, NoAnswer> {
        match self.question(Question::MailExchangersOf(name.to_owned())) {
            Ok(Answer::Exchangers(octets)) => Ok(octets),
            other => Err(no_answer(other)),
        }
    }

    /// As [`crate::sys::lookup::addresses`].
    pub(in crate::sys) fn sockets(
        &self,
        host: &str,
        port: u16,
        most: usize,
    ) -> io::Result<Vec<SocketAddr>> {
        let question = Question::Sockets {
            host: host.to_owned(),
            port,
            most: u32::try_from(most).unwrap_or(u32::MAX),
        };
        match self.question(question)? {
            Answer::Sockets(sockets) => Ok(sockets),
            other => Err(other.into_error()),
        }
    }

    /// As [`crate::sys::process::account_name`].
    pub(in crate::sys) fn account_name(&self, uid: u32) -> io::Result<Option<String>> {
        match self.question(Question::AccountName(uid))? {
            Answer::Name(name) => Ok(Some(name)),
            Answer::NoAccount => Ok(None),
            other => Err(other.into_error()),
        }
    }

    /// Has a program started; what becomes of it comes by the life line. Its ends of the pipes are let go.
    ///
    /// # Errors
    /// The helper is gone.
    pub(in crate::sys) fn run(
        &self,
        name: &str,
        environment: &[(&'static str, String)],
        (input, output): (OwnedFd, OwnedFd),
    ) -> io::Result<ProgramHandle> {
        let own = |(name, value): &(&'static str, String)| ((*name).to_owned(), value.clone());
        let request = Request::Run {
            name: name.to_owned(),
            environment: environment.iter().map(own).collect(),
        };
        let channel = self.send(&request, &[input.as_raw_fd(), output.as_raw_fd()])?;
        Ok(ProgramHandle { channel })
    }

    fn question(&self, question: Question) -> io::Result<Answer> {
        self.ask(&Request::Ask(question), ANSWER_MAX)
    }

    fn ask(&self, request: &Request, patience: Duration) -> io::Result<Answer> {
        let channel = self.send(request, &[])?;
        channel.set_patience(patience)?;
        match channel.receive() {
            Ok(received) => answer(received)?.ok_or_else(gone),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let words = "the helper process does not answer";
                Err(io::Error::new(io::ErrorKind::TimedOut, words))
            }
            Err(error) => Err(error),
        }
    }

    /// Sends a request with a socket for the answers, and these descriptors; gives our end of the socket.
    fn send(&self, request: &Request, descriptors: &[RawFd]) -> io::Result<Channel> {
        let (ours, theirs) = Channel::pair()?;
        let mut all = vec![theirs.as_raw_fd()];
        all.extend_from_slice(descriptors);
        let sent = self.channel.send(&request.encode(), &all);
        match sent.as_ref().map_err(io::Error::raw_os_error) {
            Err(Some(libc::EPIPE | libc::ECONNRESET | libc::ENOTCONN)) => Err(gone()),
            Ok(()) | Err(_) => sent.map(|()| ours),
        }
    }
}

/// How the service follows a program that the helper runs. Dropped, it has the program killed.
#[derive(Debug)]
pub(in crate::sys) struct ProgramHandle {
    channel: Channel,
}

impl ProgramHandle {
    /// What is new of the program, if something is.
    pub(in crate::sys) fn news(&self) -> Option<News> {
        let received = match self.channel.receive_now() {
            Ok(received) => received?,
            Err(_) => return Some(News::Lost),
        };
        Some(match answer(received) {
            Ok(Some(Answer::Done)) => News::Started,
            Ok(Some(Answer::Exited(code))) => News::Exited(code),
            Ok(Some(Answer::Killed(signal))) => News::Killed(signal),
            Ok(Some(other)) => News::NotStarted(other.into_error()),
            Ok(None) | Err(_) => News::Lost,
        })
    }

    /// Has it killed with its group; the news that it ended still comes.
    pub(in crate::sys) fn cut(&self) {
        self.channel.finish_sending();
    }
}

impl AsRawFd for ProgramHandle {
    fn as_raw_fd(&self) -> RawFd {
        self.channel.as_raw_fd()
    }
}

/// What is new of a program.
#[derive(Debug)]
pub(in crate::sys) enum News {
    /// It runs.
    Started,
    /// It cannot be run.
    NotStarted(io::Error),
    /// It exited with this code.
    Exited(i32),
    /// This signal ended it.
    Killed(i32),
    /// Nobody knows any more: the helper has died.
    Lost,
}

/// The error of whoever hears nothing of the helper any more: it has died, then the service ends and says so, or
/// was out of descriptors.
pub(in crate::sys) fn gone() -> io::Error {
    let words = "the helper process gave no answer";
    io::Error::new(io::ErrorKind::BrokenPipe, words)
}

/// The answer in what came; none at an end of file.
fn answer(received: Received) -> io::Result<Option<Answer>> {
    let strange = || io::Error::other("the helper process answers what nobody understands");
    match received {
        Received::Message(octets, _) => Answer::decode(&octets).map(Some).ok_or_else(strange),
        Received::Unfit => Err(strange()),
        Received::End => Ok(None),
    }
}

fn no_answer(answer: io::Result<Answer>) -> NoAnswer {
    match answer {
        Ok(Answer::NoAnswer(why)) => why,
        _ => NoAnswer::Failed,
    }
}
