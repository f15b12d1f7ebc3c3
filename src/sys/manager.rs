//! The service manager that started us: what sd_notify(3) and sd_listen_fds(3) do, without their library.
//!
//! Promises: what the manager left in the environment is taken once, by [`take`], while there is one thread, and nobody's child sees it.
//! What is told is one datagram; the manager being gone, deaf or slow never holds up mail: telling waits for
//! nobody but in [`ready`] and [`reloading`], and there for [`PATIENCE`] at most. Without a manager all of it does
//! nothing. Limits: a path or an abstract name as socket; other kinds are taken for none.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::OnceLock;
use std::time::Duration;

use super::only_thread::OnlyThread;

/// How long a manager whose queue is full is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// What the watchdog is fed at least this far apart.
const BEAT_MIN: Duration = Duration::from_millis(10);

const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";
const WATCHDOG_USEC: &str = "WATCHDOG_USEC";
const WATCHDOG_PID: &str = "WATCHDOG_PID";

/// The process has one manager or none, as it has one standard error.
static MANAGER: OnceLock<Manager> = OnceLock::new();

struct Manager {
    address: SocketAddr,
    /// Never blocks.
    quick: UnixDatagram,
    /// Blocks for [`PATIENCE`] at most.
    patient: UnixDatagram,
    beat: Option<Duration>,
}

/// Takes what the manager left in the environment, and removes it there.
///
/// # Errors
/// There is a manager and it cannot be talked to.
pub fn take(_alone: &OnlyThread) -> io::Result<()> {
    let (socket, watchdog, pid) = (
        env::var_os(NOTIFY_SOCKET),
        env::var(WATCHDOG_USEC).ok(),
        env::var(WATCHDOG_PID).ok(),
    );
    for name in [NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID] {
        // SAFETY: there is no other thread, by the proof that the caller has.
        unsafe { env::remove_var(name) };
    }
    let Some(socket) = socket.filter(|socket| !socket.is_empty()) else {
        return Ok(());
    };
    let beat = interval(watchdog.as_deref(), pid.as_deref(), std::process::id());
    let manager = Manager::at(&socket, beat)?;
    // A second call finds an empty environment.
    let _ = MANAGER.set(manager);
    Ok(())
}

/// Whether there is a manager, and its socket is no file but an abstract name.
pub fn is_abstract() -> bool {
    let manager = MANAGER.get();
    manager.is_some_and(|manager| manager.address.as_abstract_name().is_some())
}

/// How often the watchdog wants to be fed, where there is one: half the time after which it bites.
pub fn beat_every() -> Option<Duration> {
    MANAGER.get()?.beat
}

/// The service's loop lives. Waits for nobody.
pub fn beat() {
    tell("WATCHDOG=1");
}

/// The service greets; `status` is for the operator who asks the manager.
///
/// # Errors
/// The manager did not take it.
pub fn ready(status: &str) -> io::Result<()> {
    told_within(&format!("READY=1\nSTATUS={status}"))
}

/// The configuration is read again; [`ready`] tells that this is over.
///
/// # Errors
/// The manager did not take it.
pub fn reloading() -> io::Result<()> {
    let now = monotonic_microseconds()?;
    told_within(&format!(
        "RELOADING=1\nMONOTONIC_USEC={now}\nSTATUS=reads its configuration"
    ))
}

/// What the service is at. Waits for nobody.
pub fn status(status: &str) {
    tell(&format!("STATUS={status}"));
}

/// The service ends. Waits for nobody.
pub fn stopping(status: &str) {
    tell(&format!("STOPPING=1\nSTATUS={status}"));
}

/// A manager that does not hear finds out by itself.
fn tell(text: &str) {
    if let Some(manager) = MANAGER.get() {
        let _ = manager.send(&manager.quick, text);
    }
}

fn told_within(text: &str) -> io::Result<()> {
    match MANAGER.get() {
        Some(manager) => manager.send(&manager.patient, text),
        None => Ok(()),
    }
}

impl Manager {
    fn at(socket: &OsStr, beat: Option<Duration>) -> io::Result<Self> {
        let (quick, patient) = (UnixDatagram::unbound()?, UnixDatagram::unbound()?);
        let address = address(socket)?;
        // The account that we become may not be let through to it.
        quick.connect_addr(&address)?;
        patient.connect_addr(&address)?;
        quick.set_nonblocking(true)?;
        patient.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            address,
            quick,
            patient,
            beat,
        })
    }

    fn send(&self, socket: &UnixDatagram, text: &str) -> io::Result<()> {
        let sent = match socket.send(text.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                // A manager that was replaced has the same name.
                socket.send_to_addr(text.as_bytes(), &self.address)
            }
            sent => sent,
        };
        sent.map(|_| ())
    }
}

/// A path, or behind `@` an abstract name.
fn address(socket: &OsStr) -> io::Result<SocketAddr> {
    match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(socket),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the manager's socket is neither a path nor an abstract name",
        )),
    }
}

/// Half the time that the manager waits, where it waits for this process.
fn interval(microseconds: Option<&str>, watched: Option<&str>, own: u32) -> Option<Duration> {
    let is_ours = watched.is_none_or(|pid| pid.parse() == Ok(own));
    let microseconds: u64 = microseconds?.parse().ok()?;
    let wanted = is_ours && microseconds > 0;
    wanted.then(|| Duration::from_micros(microseconds / 2).max(BEAT_MIN))
}

/// CLOCK_MONOTONIC as the manager reads it.
fn monotonic_microseconds() -> io::Result<i64> {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the pointer is to a whole timespec, which is read only if the call filled it.
    let time = unsafe {
        if libc::clock_gettime(libc::CLOCK_MONOTONIC, time.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        time.assume_init()
    };
    #[allow(clippy::useless_conversion)] // Both fields have 32 bits on some machines.
    let (seconds, nanoseconds) = (i64::from(time.tv_sec), i64::from(time.tv_nsec));
    Ok(seconds * 1_000_000 + nanoseconds / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_fed_twice_as_often_as_it_wants() {
        let rows = [
            (Some("2000000"), None, Some(Duration::from_secs(1))),
            (Some("2000000"), Some("7"), Some(Duration::from_secs(1))),
            // It watches another process.
            (Some("2000000"), Some("8"), None),
            (Some("2000000"), Some("x"), None),
            (Some("1"), None, Some(BEAT_MIN)),
            (Some("0"), None, None),
            (Some("-1"), None, None),
            (Some("soon"), None, None),
            (None, Some("7"), None),
        ];
        for (microseconds, watched, wanted) in rows {
            let found = interval(microseconds, watched, 7);
            assert_eq!(found, wanted, "{microseconds:?} {watched:?}");
        }
    }

    #[test]
    fn a_socket_is_a_path_or_an_abstract_name() {
        let abstract_one = address(OsStr::new("@gatepost/notify")).unwrap();
        assert_eq!(
            abstract_one.as_abstract_name(),
            Some(b"gatepost/notify".as_slice())
        );
        let path = address(OsStr::new("/run/notify")).unwrap();
        assert!(path.as_pathname().is_some());
        for bad in ["vsock:2:1234", "run/notify", &"/x".repeat(100)] {
            assert!(address(OsStr::new(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_manager_that_takes_nothing_costs_no_time() {
        let name = format!("gatepost-deaf-{}", std::process::id());
        let deaf = SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
        let deaf = UnixDatagram::bind_addr(&deaf).unwrap();
        let manager = Manager::at(OsStr::new(&format!("@{name}")), None).unwrap();
        // Its queue fills, and nobody waits for it.
        let full = std::iter::repeat_with(|| manager.send(&manager.quick, "WATCHDOG=1"));
        let full = full.take(100_000).find_map(Result::err).unwrap();
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        drop(deaf);
        let gone = manager.send(&manager.patient, "READY=1").unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn the_clock_of_reloads_goes_on() {
        let before = monotonic_microseconds().unwrap();
        assert!(before > 0 && monotonic_microseconds().unwrap() >= before);
    }
}
