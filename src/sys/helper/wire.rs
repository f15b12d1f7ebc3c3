//! What the service and its helper say to each other, as octets.
//!
//! | field | octets |
//! | --- | --- |
//! | a number | 4, the highest first |
//! | text | a number, then so many |
//! | an address | 4 or 6, then its octets |
//!
//! Promises: reading takes any octets without a panic, and gives a message only where they are one to the
//! last octet. Neither side trusts the other: whoever takes over one has no words that break the other.
//! Limits: [`TEXT_MAX_OCTETS`] a text, [`VARIABLES_MAX`] variables, [`ADDRESSES_MAX`] addresses.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};

use crate::sys::machine;
use crate::sys::resolver::{ADDRESSES_MAX, ANSWER_MAX_OCTETS, Addresses, Family, NoAnswer};

/// The longest text.
pub(super) const TEXT_MAX_OCTETS: usize = 8 * 1024;
/// Variables of a program's environment.
pub(super) const VARIABLES_MAX: usize = 32;

/// What the service asks for. Where the answer goes comes with it as a descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    /// Read the configuration anew.
    Reload,
    /// Run this command of the configuration; its input and output come as descriptors.
    Run {
        name: String,
        environment: Vec<(String, String)>,
    },
    /// Ask the system.
    Ask(Question),
}

/// A question that libc answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    NameOf(IpAddr),
    AddressesOf(String, Family),
    MailExchangersOf(String),
    Sockets { host: String, port: u16, most: u32 },
    AccountName(u32),
}

/// What the helper says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is done; a program runs.
    Done,
    /// It cannot be done: the system's number for it, or 0, and words.
    Failed(i32, String),
    /// A program exited with this code.
    Exited(i32),
    /// A program was ended by this signal.
    Killed(i32),
    NoAnswer(NoAnswer),
    Name(String),
    Addresses(Addresses),
    Exchangers(Vec<u8>),
    Sockets(Vec<SocketAddr>),
    /// There is no such account.
    NoAccount,
}

impl Answer {
    /// A failure that keeps the system's number.
    pub(super) fn failed(error: &io::Error) -> Self {
        let words = machine::reason(error).chars().take(WORDS_MAX).collect();
        Self::Failed(error.raw_os_error().unwrap_or(0), words)
    }

    /// The words of a failure as an error again; of what was not expected as well.
    pub(super) fn into_error(self) -> io::Error {
        match self {
            Self::Failed(0, words) => io::Error::other(words),
            Self::Failed(number, _) => io::Error::from_raw_os_error(number),
            Self::Done
            | Self::Exited(_)
            | Self::Killed(_)
            | Self::NoAnswer(_)
            | Self::Name(_)
            | Self::Addresses(_)
            | Self::Exchangers(_)
            | Self::Sockets(_)
            | Self::NoAccount => io::Error::other("the helper process answers something else"),
        }
    }
}

/// The longest words of a failure, in characters.
const WORDS_MAX: usize = 200;

/// A message as octets.
pub(super) trait Message: Sized {
    /// Writes it.
    fn encode(&self) -> Vec<u8>;
    /// Reads one; none where these octets are none.
    fn decode(octets: &[u8]) -> Option<Self>;
}

impl Message for Request {
    fn encode(&self) -> Vec<u8> {
        let mut to = Vec::new();
        match self {
            Self::Reload => to.push(0),
            Self::Run { name, environment } => {
                to.push(1);
                put_text(&mut to, name.as_bytes());
                put_count(&mut to, environment.len());
                for (variable, value) in environment {
                    put_text(&mut to, variable.as_bytes());
                    put_text(&mut to, value.as_bytes());
                }
            }
            Self::Ask(question) => {
                to.push(2);
                put_question(&mut to, question);
            }
        }
        to
    }

    fn decode(octets: &[u8]) -> Option<Self> {
        let mut from = Reader(octets);
        let request = match from.octet()? {
            0 => Self::Reload,
            1 => {
                let name = from.text()?;
                let count = from.count(VARIABLES_MAX)?;
                let mut environment = Vec::with_capacity(count);
                for _ in 0..count {
                    environment.push((from.text()?, from.text()?));
                }
                Self::Run { name, environment }
            }
            2 => Self::Ask(from.question()?),
            _ => return None,
        };
        from.end(request)
    }
}

fn put_question(to: &mut Vec<u8>, question: &Question) {
    match question {
        Question::NameOf(address) => {
            to.push(0);
            put_address(to, *address);
        }
        Question::AddressesOf(name, family) => {
            to.push(1);
            put_text(to, name.as_bytes());
            to.push(match family {
                Family::V4 => 4,
                Family::V6 => 6,
                Family::Any => 0,
            });
        }
        Question::MailExchangersOf(name) => {
            to.push(2);
            put_text(to, name.as_bytes());
        }
        Question::Sockets { host, port, most } => {
            to.push(3);
            put_text(to, host.as_bytes());
            put_number(to, u32::from(*port));
            put_number(to, *most);
        }
        Question::AccountName(uid) => {
            to.push(4);
            put_number(to, *uid);
        }
    }
}

impl Message for Answer {
    fn encode(&self) -> Vec<u8> {
        let mut to = Vec::new();
        match self {
            Self::Done => to.push(0),
            Self::Failed(number, words) => {
                to.push(1);
                put_signed(&mut to, *number);
                put_text(&mut to, words.as_bytes());
            }
            Self::Exited(code) => {
                to.push(2);
                put_signed(&mut to, *code);
            }
            Self::Killed(signal) => {
                to.push(3);
                put_signed(&mut to, *signal);
            }
            Self::NoAnswer(NoAnswer::NotFound) => to.push(4),
            Self::NoAnswer(NoAnswer::Failed) => to.push(5),
            Self::Name(name) => {
                to.push(6);
                put_text(&mut to, name.as_bytes());
            }
            Self::Addresses(found) => {
                to.push(7);
                put_text(&mut to, found.canonical.as_bytes());
                put_count(&mut to, found.addresses.len());
                for address in &found.addresses {
                    put_address(&mut to, *address);
                }
            }
            Self::Exchangers(octets) => {
                to.push(8);
                put_text(&mut to, octets);
            }
            Self::Sockets(sockets) => {
                to.push(9);
                put_count(&mut to, sockets.len());
                for socket in sockets {
                    put_socket(&mut to, *socket);
                }
            }
            Self::NoAccount => to.push(10),
        }
        to
    }

    fn decode(octets: &[u8]) -> Option<Self> {
        let mut from = Reader(octets);
        let answer = match from.octet()? {
            0 => Self::Done,
            1 => Self::Failed(from.signed()?, from.text()?),
            2 => Self::Exited(from.signed()?),
            3 => Self::Killed(from.signed()?),
            4 => Self::NoAnswer(NoAnswer::NotFound),
            5 => Self::NoAnswer(NoAnswer::Failed),
            6 => Self::Name(from.text()?),
            7 => Self::Addresses(from.addresses()?),
            8 => Self::Exchangers(from.octets()?.to_vec()),
            9 => {
                let count = from.count(ADDRESSES_MAX)?;
                let sockets: Option<Vec<_>> = (0..count).map(|_| from.socket()).collect();
                Self::Sockets(sockets?)
            }
            10 => Self::NoAccount,
            _ => return None,
        };
        from.end(answer)
    }
}

fn put_number(to: &mut Vec<u8>, number: u32) {
    to.extend_from_slice(&number.to_be_bytes());
}

fn put_signed(to: &mut Vec<u8>, number: i32) {
    to.extend_from_slice(&number.to_be_bytes());
}

fn put_count(to: &mut Vec<u8>, count: usize) {
    // Anything as long as that is more than the other side reads.
    put_number(to, u32::try_from(count).unwrap_or(u32::MAX));
}

fn put_text(to: &mut Vec<u8>, octets: &[u8]) {
    put_count(to, octets.len());
    to.extend_from_slice(octets);
}

fn put_address(to: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            to.push(4);
            to.extend_from_slice(&address.octets());
        }
        IpAddr::V6(address) => {
            to.push(6);
            to.extend_from_slice(&address.octets());
        }
    }
}

/// Address and port; of an IPv6 one its flow and scope as well.
fn put_socket(to: &mut Vec<u8>, socket: SocketAddr) {
    put_address(to, socket.ip());
    put_number(to, u32::from(socket.port()));
    if let SocketAddr::V6(socket) = socket {
        put_number(to, socket.flowinfo());
        put_number(to, socket.scope_id());
    }
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The message, if nothing is left.
    fn end<T>(self, message: T) -> Option<T> {
        self.0.is_empty().then_some(message)
    }

    fn some(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const COUNT: usize>(&mut self) -> Option<[u8; COUNT]> {
        self.some(COUNT)?.try_into().ok()
    }

    fn octet(&mut self) -> Option<u8> {
        self.array().map(|[octet]| octet)
    }

    fn number(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn signed(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    fn count(&mut self, most: usize) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= most).then_some(count)
    }

    fn octets(&mut self) -> Option<&'a [u8]> {
        let count = self.count(TEXT_MAX_OCTETS)?;
        self.some(count)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.octets()?.to_vec()).ok()
    }

    fn port(&mut self) -> Option<u16> {
        u16::try_from(self.number()?).ok()
    }

    fn address(&mut self) -> Option<IpAddr> {
        match self.octet()? {
            4 => self.array::<4>().map(IpAddr::from),
            6 => self.array::<16>().map(IpAddr::from),
            _ => None,
        }
    }

    fn addresses(&mut self) -> Option<Addresses> {
        let canonical = self.text()?;
        let count = self.count(ADDRESSES_MAX)?;
        let addresses: Option<Vec<_>> = (0..count).map(|_| self.address()).collect();
        Some(Addresses {
            canonical,
            addresses: addresses?,
        })
    }

    fn socket(&mut self) -> Option<SocketAddr> {
        let (address, port) = (self.address()?, self.port()?);
        Some(match address {
            IpAddr::V4(address) => SocketAddrV4::new(address, port).into(),
            IpAddr::V6(address) => {
                SocketAddrV6::new(address, port, self.number()?, self.number()?).into()
            }
        })
    }

    fn question(&mut self) -> Option<Question> {
        Some(match self.octet()? {
            0 => Question::NameOf(self.address()?),
            1 => {
                let name = self.text()?;
                let family = match self.octet()? {
                    4 => Family::V4,
                    6 => Family::V6,
                    0 => Family::Any,
                    _ => return None,
                };
                Question::AddressesOf(name, family)
            }
            2 => Question::MailExchangersOf(self.text()?),
            3 => Question::Sockets {
                host: self.text()?,
                port: self.port()?,
                most: self.number()?,
            },
            4 => Question::AccountName(self.number()?),
            _ => return None,
        })
    }
}

// An answer of DNS is one text.
const _: () = assert!(ANSWER_MAX_OCTETS <= TEXT_MAX_OCTETS);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::seeded::Random;

    fn requests() -> Vec<Request> {
        let four = IpAddr::from([192, 0, 2, 1]);
        let six: IpAddr = "2001:db8::1".parse().unwrap();
        let variables = [("SENDER", "a@b"), ("SIZE", ""), ("LOCAL", "ü")];
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let mut requests = vec![
            Request::Reload,
            Request::Run {
                name: "scan".to_owned(),
                environment: variables.map(own).to_vec(),
            },
        ];
        let questions = [
            Question::NameOf(four),
            Question::NameOf(six),
            Question::AddressesOf("a.example.".to_owned(), Family::V4),
            Question::AddressesOf("a.example".to_owned(), Family::V6),
            Question::AddressesOf(String::new(), Family::Any),
            Question::MailExchangersOf("a.example".to_owned()),
            Question::Sockets {
                host: "mx.example".to_owned(),
                port: 587,
                most: 8,
            },
            Question::AccountName(1000),
        ];
        requests.extend(questions.map(Request::Ask));
        requests
    }

    fn answers() -> Vec<Answer> {
        let (four, six) = (IpAddr::from([192, 0, 2, 1]), "2001:db8::1");
        vec![
            Answer::Done,
            Answer::Failed(libc::ENOENT, "there is none".to_owned()),
            Answer::Exited(75),
            Answer::Killed(9),
            Answer::NoAnswer(NoAnswer::NotFound),
            Answer::NoAnswer(NoAnswer::Failed),
            Answer::Name("mx.example".to_owned()),
            Answer::Addresses(Addresses {
                canonical: "mx.example".to_owned(),
                addresses: vec![four, six.parse().unwrap()],
            }),
            Answer::Addresses(Addresses {
                canonical: "x".repeat(TEXT_MAX_OCTETS),
                addresses: vec![four; ADDRESSES_MAX],
            }),
            Answer::Exchangers(vec![0xff; ANSWER_MAX_OCTETS]),
            Answer::Sockets(vec![
                SocketAddr::new(four, 25),
                SocketAddrV6::new("fe80::1".parse().unwrap(), 25, 0, 3).into(),
            ]),
            Answer::NoAccount,
        ]
    }

    fn round_trips<M: Message + PartialEq + std::fmt::Debug>(messages: &[M]) {
        for message in messages {
            let octets = message.encode();
            assert_eq!(M::decode(&octets).as_ref(), Some(message));
            for length in 0..octets.len() {
                assert_eq!(M::decode(&octets[..length]), None, "{message:?} {length}");
            }
            let mut longer = octets.clone();
            longer.push(0);
            assert_eq!(M::decode(&longer), None, "{message:?}");
        }
    }

    #[test]
    fn messages_are_read_as_they_were_written_and_only_whole() {
        round_trips(&requests());
        round_trips(&answers());
    }

    #[test]
    fn what_is_beyond_the_limits_is_none() {
        let many = vec![("A".to_owned(), "b".to_owned()); VARIABLES_MAX + 1];
        let long = "x".repeat(TEXT_MAX_OCTETS + 1);
        for request in [
            Request::Run {
                name: "scan".to_owned(),
                environment: many,
            },
            Request::Ask(Question::MailExchangersOf(long.clone())),
        ] {
            assert_eq!(Request::decode(&request.encode()), None);
        }
        let socket = SocketAddr::from(([192, 0, 2, 1], 25));
        for answer in [
            Answer::Name(long),
            Answer::Sockets(vec![socket; ADDRESSES_MAX + 1]),
        ] {
            assert_eq!(Answer::decode(&answer.encode()), None);
        }
    }

    #[test]
    fn any_octets_are_a_message_or_none_and_never_a_panic() {
        let mut random = Random(20_261_124);
        let mut samples: Vec<Vec<u8>> = requests().iter().map(Message::encode).collect();
        samples.extend(answers().iter().map(Message::encode));
        for _ in 0..20_000 {
            let sample = &samples[random.below(samples.len() as u64) as usize];
            let mut octets: Vec<u8> = sample.iter().copied().take(200).collect();
            for _ in 0..=random.below(4) {
                let at = random.below(octets.len() as u64) as usize;
                octets[at] = random.next() as u8;
            }
            octets.truncate(random.below(octets.len() as u64 + 1) as usize);
            // What is read is written the same way: there is one form of each message.
            if let Some(request) = Request::decode(&octets) {
                assert_eq!(request.encode(), octets);
            }
            if let Some(answer) = Answer::decode(&octets) {
                assert_eq!(answer.encode(), octets);
            }
        }
    }
}
