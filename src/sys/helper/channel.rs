//! One end of a pair of sockets that carries whole messages, and descriptors with them.
//!
//! Promises: a message comes as one piece or not at all; descriptors that come get close-on-exec, and those
//! of a message that is not taken are closed. Limits: [`MESSAGE_MAX_OCTETS`] and [`DESCRIPTORS_MAX`] a
//! message; one that is larger is [`Received::Unfit`]. Refuses to know: what messages say.

use std::fs::{self, File};
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::ptr;
use std::time::Duration;

/// The longest message, octets.
pub(super) const MESSAGE_MAX_OCTETS: usize = 64 * 1024;
/// Descriptors that go with one message.
pub(super) const DESCRIPTORS_MAX: usize = 3;
/// Room for the descriptors of a message, with its header; the kernel's alignment is that of a long.
const CONTROL_LONGS: usize = 8;

/// What came.
#[derive(Debug)]
pub(super) enum Received {
    /// A message and its descriptors.
    Message(Vec<u8>, Vec<OwnedFd>),
    /// A message that is too large, or has more descriptors than we have room for.
    Unfit,
    /// The other end is closed.
    End,
}

/// Device and inode of an end.
pub(super) type Identity = (u64, u64);

/// Whether this is a pipe's end for `access`, O_RDONLY or O_WRONLY.
pub(super) fn is_pipe(descriptor: &OwnedFd, access: libc::c_int) -> bool {
    let is_fifo = facts_of(descriptor).is_ok_and(|facts| facts.file_type().is_fifo());
    // SAFETY: a plain system call.
    let flags = unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_GETFL) };
    is_fifo && flags & (libc::O_ACCMODE | libc::O_PATH) == access
}

fn facts_of(descriptor: &OwnedFd) -> io::Result<fs::Metadata> {
    File::from(descriptor.try_clone()?).metadata()
}

fn option_of(socket: &OwnedFd, option: libc::c_int) -> Option<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut size = mem::size_of_val(&value) as libc::socklen_t;
    // SAFETY: the pointers are to `value` and its size, which outlive the call.
    let got = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw mut value).cast(),
            &raw mut size,
        )
    };
    (got == 0).then_some(value)
}

/// One end.
#[derive(Debug)]
pub(super) struct Channel(OwnedFd);

impl Channel {
    /// Two ends.
    ///
    /// # Errors
    /// No descriptors left.
    pub(super) fn pair() -> io::Result<(Self, Self)> {
        let mut ends = [-1; 2];
        let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
        // SAFETY: the array has room for two; both descriptors were just opened and nobody else has them.
        unsafe {
            if libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) != 0 {
                return Err(io::Error::last_os_error());
            }
            let [one, other] = ends.map(|end| OwnedFd::from_raw_fd(end));
            Ok((Self(one), Self(other)))
        }
    }

    /// An end that came with a message, whatever it is: see [`Channel::is_one`].
    pub(super) fn over(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }

    /// Which socket it is.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn identity(&self) -> io::Result<Identity> {
        let facts = facts_of(&self.0)?;
        Ok((facts.dev(), facts.ino()))
    }

    /// Whether it is a socket as [`Channel::pair`] makes them.
    pub(super) fn is_one(&self) -> bool {
        let is = |option, wanted| option_of(&self.0, option) == Some(wanted);
        is(libc::SO_DOMAIN, libc::AF_UNIX) && is(libc::SO_TYPE, libc::SOCK_SEQPACKET)
    }

    /// Nothing comes from this end any more, nor to it.
    pub(super) fn cut(&self) {
        // SAFETY: a plain system call. That it is closed already is what is wanted.
        unsafe {
            libc::shutdown(self.0.as_raw_fd(), libc::SHUT_RDWR);
        }
    }

    /// From here on sending and receiving take at most this long.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn set_patience(&self, patience: Duration) -> io::Result<()> {
        let time = libc::timeval {
            tv_sec: libc::time_t::try_from(patience.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_usec: 0,
        };
        for option in [libc::SO_SNDTIMEO, libc::SO_RCVTIMEO] {
            // SAFETY: the pointer and length describe `time`, which outlives the call.
            let result = unsafe {
                libc::setsockopt(
                    self.0.as_raw_fd(),
                    libc::SOL_SOCKET,
                    option,
                    (&raw const time).cast(),
                    mem::size_of_val(&time) as libc::socklen_t,
                )
            };
            if result != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }

    /// Sends a message, with these descriptors, which stay ours.
    ///
    /// # Errors
    /// The other end is closed, or takes nothing for too long.
    pub(super) fn send(&self, octets: &[u8], descriptors: &[RawFd]) -> io::Result<()> {
        self.give(octets, descriptors, 0)
    }

    /// Sends a message if there is room for it.
    ///
    /// # Errors
    /// The other end is closed, or there is none.
    pub(super) fn send_now(&self, octets: &[u8]) -> io::Result<()> {
        self.give(octets, &[], libc::MSG_DONTWAIT)
    }

    fn give(&self, octets: &[u8], descriptors: &[RawFd], flags: libc::c_int) -> io::Result<()> {
        assert!(descriptors.len() <= DESCRIPTORS_MAX, "too many descriptors");
        let mut piece = libc::iovec {
            iov_base: octets.as_ptr().cast_mut().cast(),
            iov_len: octets.len(),
        };
        let mut control = [0_u64; CONTROL_LONGS];
        // SAFETY: a message header of zeros is a valid one; what its pointers point to outlives the call, and
        // the room for control data is larger than CMSG_SPACE of `DESCRIPTORS_MAX` and well aligned.
        let sent = unsafe {
            let mut header: libc::msghdr = mem::zeroed();
            header.msg_iov = &raw mut piece;
            header.msg_iovlen = 1;
            if !descriptors.is_empty() {
                let octets = mem::size_of_val(descriptors);
                header.msg_control = control.as_mut_ptr().cast();
                header.msg_controllen = libc::CMSG_SPACE(octets as libc::c_uint) as _;
                let first = libc::CMSG_FIRSTHDR(&raw const header);
                (*first).cmsg_level = libc::SOL_SOCKET;
                (*first).cmsg_type = libc::SCM_RIGHTS;
                (*first).cmsg_len = libc::CMSG_LEN(octets as libc::c_uint) as _;
                let room = libc::CMSG_DATA(first).cast::<RawFd>();
                for (index, descriptor) in descriptors.iter().enumerate() {
                    room.add(index).write_unaligned(*descriptor);
                }
            }
            let flags = flags | libc::MSG_NOSIGNAL;
            retried(|| libc::sendmsg(self.0.as_raw_fd(), &raw const header, flags))
        };
        sent.map(drop)
    }

    /// Waits for the next message.
    ///
    /// # Errors
    /// Nothing comes for too long; this is no socket.
    pub(super) fn receive(&self) -> io::Result<Received> {
        self.take(0)
    }

    /// The next message, if there is one.
    ///
    /// # Errors
    /// As [`Channel::receive`].
    pub(super) fn receive_now(&self) -> io::Result<Option<Received>> {
        match self.take(libc::MSG_DONTWAIT) {
            Ok(received) => Ok(Some(received)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn take(&self, flags: libc::c_int) -> io::Result<Received> {
        // How long it is comes first, so that there is never more room than that.
        let length = retried(|| {
            let flags = flags | libc::MSG_PEEK | libc::MSG_TRUNC;
            // SAFETY: nothing is written where there is no room.
            unsafe { libc::recv(self.0.as_raw_fd(), ptr::null_mut(), 0, flags) }
        })?;
        // No message of ours is empty.
        if length == 0 {
            return Ok(Received::End);
        }
        let mut octets = vec![0_u8; length.min(MESSAGE_MAX_OCTETS)];
        let mut piece = libc::iovec {
            iov_base: octets.as_mut_ptr().cast(),
            iov_len: octets.len(),
        };
        let mut control = [0_u64; CONTROL_LONGS];
        // SAFETY: a message header of zeros is a valid one; what its pointers point to outlives the calls.
        let mut header: libc::msghdr = unsafe { mem::zeroed() };
        header.msg_iov = &raw mut piece;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = mem::size_of_val(&control) as _;
        retried(|| {
            let flags = flags | libc::MSG_CMSG_CLOEXEC;
            // SAFETY: as above.
            unsafe { libc::recvmsg(self.0.as_raw_fd(), &raw mut header, flags) }
        })?;
        let descriptors = taken(&header);
        match header.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) {
            0 => Ok(Received::Message(octets, descriptors)),
            _ => Ok(Received::Unfit),
        }
    }

    /// Nothing more comes from this end; the other end may still send.
    pub(super) fn finish_sending(&self) {
        // SAFETY: a plain system call. That it is closed already is what is wanted.
        unsafe {
            libc::shutdown(self.0.as_raw_fd(), libc::SHUT_WR);
        }
    }
}

impl AsRawFd for Channel {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// The descriptors that came with a message.
fn taken(header: &libc::msghdr) -> Vec<OwnedFd> {
    let mut descriptors = Vec::new();
    // SAFETY: the kernel filled the control data of this header; each descriptor in it is new, open and ours.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(header);
        while !next.is_null() {
            if (*next).cmsg_level == libc::SOL_SOCKET && (*next).cmsg_type == libc::SCM_RIGHTS {
                let octets = (*next).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                let first = libc::CMSG_DATA(next).cast::<RawFd>();
                for index in 0..octets / mem::size_of::<RawFd>() {
                    let descriptor = first.add(index).read_unaligned();
                    descriptors.push(OwnedFd::from_raw_fd(descriptor));
                }
            }
            next = libc::CMSG_NXTHDR(header, next);
        }
    }
    descriptors
}

/// The result of a system call that is made again where a signal came in between.
fn retried(mut call: impl FnMut() -> libc::ssize_t) -> io::Result<usize> {
    loop {
        if let Ok(done) = usize::try_from(call()) {
            return Ok(done);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn messages_come_whole_and_in_order_with_their_descriptors() {
        let (one, other) = Channel::pair().unwrap();
        let file = File::open("/dev/null").unwrap();
        one.send(b"first", &[file.as_raw_fd(); 3]).unwrap();
        one.send(&[7; MESSAGE_MAX_OCTETS], &[]).unwrap();
        drop(one);
        let Received::Message(octets, descriptors) = other.receive().unwrap() else {
            panic!("a message");
        };
        assert_eq!((octets.as_slice(), descriptors.len()), (&b"first"[..], 3));
        for descriptor in descriptors {
            let number = descriptor.as_raw_fd();
            // SAFETY: a plain system call.
            let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
            assert_eq!(flags, libc::FD_CLOEXEC);
            File::from(descriptor).write_all(b"").unwrap();
        }
        match other.receive().unwrap() {
            Received::Message(octets, _) => assert_eq!(octets, [7; MESSAGE_MAX_OCTETS]),
            other => panic!("{other:?}"),
        }
        assert!(matches!(other.receive().unwrap(), Received::End));
        assert!(matches!(other.receive_now().unwrap(), Some(Received::End)));
    }

    #[test]
    fn pipes_and_ends_are_told_from_all_else() {
        let (one, other) = Channel::pair().unwrap();
        assert!(one.is_one() && one.identity().unwrap() != other.identity().unwrap());
        let mut ends = [-1; 2];
        // SAFETY: the array has room for two; both descriptors were just opened and nobody else has them.
        let [read, write] = unsafe {
            assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
            ends.map(|end| OwnedFd::from_raw_fd(end))
        };
        assert!(is_pipe(&read, libc::O_RDONLY) && is_pipe(&write, libc::O_WRONLY));
        assert!(!is_pipe(&read, libc::O_WRONLY) && !is_pipe(&write, libc::O_RDONLY));
        let file = OwnedFd::from(File::open("/dev/null").unwrap());
        for odd in [file, one.0] {
            assert!(!is_pipe(&odd, libc::O_RDONLY) && !is_pipe(&odd, libc::O_RDWR));
        }
        let (stream, _) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(!Channel::over(stream.into()).is_one() && !Channel::over(read).is_one());
    }

    #[test]
    fn what_does_not_fit_is_passed_over() {
        let (one, other) = Channel::pair().unwrap();
        one.send(&[7; MESSAGE_MAX_OCTETS + 1], &[]).unwrap();
        one.send(b"next", &[]).unwrap();
        assert!(matches!(other.receive().unwrap(), Received::Unfit));
        assert!(matches!(other.receive().unwrap(), Received::Message(..)));
        assert!(other.receive_now().unwrap().is_none());
        one.finish_sending();
        assert!(matches!(other.receive_now().unwrap(), Some(Received::End)));
        other.send(b"answer", &[]).unwrap();
        assert!(matches!(one.receive().unwrap(), Received::Message(..)));
        drop(other);
        assert!(one.send(b"nobody", &[]).is_err());
    }

    #[test]
    fn nobody_waits_longer_than_said() {
        let (one, _other) = Channel::pair().unwrap();
        one.set_patience(Duration::from_secs(1)).unwrap();
        let error = one.receive().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
