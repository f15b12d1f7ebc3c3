//! What each client address did last, what is wrong with it, and what helps: `gatepost devices`.
//!
//! | file | purpose |
//! | --- | --- |
//! | `kind` | what can be wrong, with its words |
//! | `watch` | makes up its mind about one session, from its notes |
//! | `table` | what is known, bounded, so that strangers push out no device |
//! | `advice` | what to set or to do, under the settings of the moment |
//! | `file` | the file in the spool |
//! | `tell` | a table, all about one, JSON |
//! | `offline` | the file where no service runs |
//!
//! Promises: a session costs one lock at its end, and the reactor waits for none. The file is written at the
//! end, after `forget`, and else at most every [`WRITE_EVERY`] where something has changed; it is synced
//! before it is renamed, so it is whole after a power cut. Nothing depends on it: a disk that refuses it is logged
//! once and tried again. Passwords, contents and subjects never come here. Limits: `[server] devices` addresses,
//! about a KiB each (measured with names and errors of usual length).

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use crate::config::settings::Settings;
use crate::control::{Answer, Outcome};
use crate::events::{self, EndReason};
use crate::mail::{Network, TlsFacts, date};
use crate::session::SessionFacts;
use crate::sys::disk::{Disk, OpenMode};
use crate::sys::sync::Mutex;
use crate::sys::{clock, replace};

mod advice;
mod file;
mod kind;
pub mod offline;
mod table;
mod tell;
mod watch;

use table::{Device, Table, Visit};
pub(super) use watch::{HandshakeProgress, Place, Reached, Watch};

/// What `gatepost test-mail` calls itself: where it comes from this machine, it is no device.
pub const TEST_NAME: &str = "test-mail.gatepost.localhost";
/// The shortest between two writes of the file.
pub const WRITE_EVERY: Duration = Duration::from_secs(5 * 60);
/// Clients turned away that wait to be looked at.
const CROWD_MAX: usize = 64;

/// The devices of one service.
pub struct Devices {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    kept: Mutex<Kept>,
    /// Clients that the acceptor has turned away, with their ports.
    crowd: Mutex<Vec<(IpAddr, Box<str>)>>,
    /// Held while the file is written.
    writing: Mutex<()>,
}

struct Kept {
    table: Table,
    is_changed: bool,
    /// When the file was written or tried last.
    written: Instant,
    /// The last try failed.
    has_failed: bool,
}

/// A session that is over.
pub(super) struct Ended<'a> {
    pub(super) client: IpAddr,
    pub(super) local: IpAddr,
    pub(super) port: &'a str,
    pub(super) tls: Option<TlsFacts>,
    pub(super) facts: SessionFacts<'a>,
    pub(super) messages: u64,
    pub(super) reason: EndReason,
    pub(super) reached: Reached,
}

impl Devices {
    /// Those of the spool in this folder, at most `limit`; the hosts in `internal` count singly. A file that cannot be understood is set aside.
    pub fn open(disk: Arc<dyn Disk>, spool: &Path, limit: usize, internal: &[Network]) -> Self {
        let path = spool.join(file::NAME);
        let mut table = Table::new(limit, internal);
        match read(&path) {
            Ok(devices) => devices.into_iter().for_each(|device| table.put(device)),
            Err(Unread::Missing) => {}
            Err(Unread::Io(error)) => events::devices::unreadable(&path, &error),
            Err(Unread::Damaged(why)) => {
                // Where it cannot be moved the next write replaces it.
                let _ = disk.rename(&path, &path.with_extension("bad"));
                events::devices::unreadable(&path, why);
            }
        }
        let kept = Kept {
            is_changed: table.is_off(),
            table,
            written: clock::monotonic(),
            has_failed: false,
        };
        Self {
            disk,
            path,
            kept: Mutex::new(kept),
            crowd: Mutex::default(),
            writing: Mutex::default(),
        }
    }

    /// At most this many from now on, 0 = none; the hosts in `internal` count singly.
    pub fn set_limit(&self, limit: usize, internal: &[Network]) {
        let mut kept = self.lock();
        kept.table.set_limit(limit, internal);
        kept.is_changed = true;
    }

    /// A session is over.
    pub(super) fn ended(&self, watch: Watch, ended: Ended<'_>) {
        let is_from_here = ended.client.is_loopback() || ended.client == ended.local.to_canonical();
        if is_from_here && ended.facts.helo == Some(TEST_NAME) {
            return;
        }
        let fault = watch.finish(ended.reason, ended.reached);
        let visit = Visit {
            client: ended.client,
            local: Some(ended.local.to_canonical()),
            port: ended.port,
            helo: ended.facts.helo,
            tls: ended.tls,
            login: ended.facts.login,
            mechanism: ended.facts.mechanism,
            messages: ended.messages,
            fault,
        };
        let now = date::unix_seconds(clock::now());
        let mut kept = self.lock();
        if !kept.table.is_off() {
            kept.table.visited(visit, now);
            kept.is_changed = true;
        }
    }

    /// A client had too many sessions. The reactor's: it waits for nobody, and what has no room is lost.
    pub(super) fn turned_away(&self, client: IpAddr, port: &str) {
        let Some(mut crowd) = self.crowd.try_lock() else {
            return;
        };
        let is_new = crowd.last().is_none_or(|(last, _)| *last != client);
        if is_new && crowd.len() < CROWD_MAX {
            crowd.push((client, port.into()));
        }
    }

    /// Writes the file where something has changed and the last time is long ago.
    pub fn write_if_due(&self) {
        let is_due = {
            let kept = self.lock();
            kept.is_changed && kept.written.elapsed() >= WRITE_EVERY
        };
        if is_due {
            self.write();
        }
    }

    /// Writes the file where something has changed.
    pub fn write(&self) {
        let _one_at_a_time = self.writing.lock();
        let content = {
            let mut kept = self.lock();
            if !std::mem::take(&mut kept.is_changed) {
                return;
            }
            kept.written = clock::monotonic();
            (!kept.table.is_off()).then(|| file::write(&kept.table.in_order()))
        };
        let outcome = match content {
            Some(content) => self.replace(&content),
            None => self.remove(),
        };
        let mut kept = self.lock();
        let had_failed = std::mem::replace(&mut kept.has_failed, outcome.is_err());
        kept.is_changed |= outcome.is_err();
        drop(kept);
        match outcome {
            Err(error) if !had_failed => events::devices::not_written(&self.path, &error),
            Ok(()) | Err(_) => {}
        }
    }

    fn replace(&self, content: &[u8]) -> io::Result<()> {
        let next = self.path.with_extension("new");
        let written = self.disk.open(&next, OpenMode::Replace).and_then(|file| {
            file.write_at(content, 0)?;
            file.sync_data()
        });
        let written = written.and_then(|()| self.disk.rename(&next, &self.path));
        if written.is_err() {
            // What a full disk has taken of it is given back.
            let _ = self.disk.remove(&next);
        }
        written
    }

    fn remove(&self) -> io::Result<()> {
        match self.disk.remove(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Does what the words behind `devices` say.
    pub(super) fn answer(&self, settings: &Settings, words: &[&str], by: &str) -> Answer {
        if let ["forget", address] = words {
            return self.forget(address, by);
        }
        // What takes longer is done without the lock.
        let devices: Vec<Device> = self.lock().table.in_order().into_iter().cloned().collect();
        answer(settings, &devices, words)
    }

    fn forget(&self, address: &str, by: &str) -> Answer {
        let Some(client) = parsed(address) else {
            return no_address(address);
        };
        let was_known = {
            let mut kept = self.lock();
            let was_known = kept.table.forget(client);
            kept.is_changed |= was_known;
            was_known
        };
        if !was_known {
            return unknown(client);
        }
        events::devices::forgotten(client, by);
        self.write();
        Answer::done(format!("{client} is forgotten\n"))
    }

    /// The table, with those in it that the acceptor has turned away since.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        let crowd = {
            let mut crowd = self.crowd.lock();
            std::mem::take(&mut *crowd)
        };
        // A panic while it is held leaves at worst a count that is one off.
        let mut kept = self.kept.lock();
        if !crowd.is_empty() && !kept.table.is_off() {
            let now = date::unix_seconds(clock::now());
            for (client, port) in crowd {
                kept.table.turned_away(client, &port, now);
            }
            kept.is_changed = true;
        }
        kept
    }
}

/// Why there is nothing to read.
enum Unread {
    Missing,
    Io(io::Error),
    Damaged(&'static str),
}

fn read(path: &Path) -> Result<Vec<Device>, Unread> {
    match replace::read_limited(path, file::OCTETS_MAX) {
        Ok(content) => file::read(&content).map_err(Unread::Damaged),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Unread::Missing),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            Err(Unread::Damaged("it is too large"))
        }
        Err(error) => Err(Unread::Io(error)),
    }
}

/// Tells what the words ask of devices, the one seen longest ago first.
fn answer(settings: &Settings, devices: &[Device], words: &[&str]) -> Answer {
    match words {
        ["list"] if devices.is_empty() => Answer::done(match settings.devices {
            0 => "no devices are kept: [server] devices is 0\n",
            _ => "no devices are known\n",
        }),
        ["list"] => Answer::done(tell::table(settings, devices)),
        ["list", "json"] => Answer::done(tell::json(settings, devices)),
        ["show", address, format @ ..] => {
            let Some(client) = parsed(address) else {
                return no_address(address);
            };
            let found = devices.iter().find(|device| device.address == client);
            match (found, format) {
                (None, _) => unknown(client),
                (Some(device), ["json"]) => Answer::done(tell::one_json(settings, device)),
                (Some(device), _) => Answer::done(tell::one(settings, device)),
            }
        }
        _ => Answer::refused(Outcome::Usage, "the service does not know this command"),
    }
}

fn parsed(address: &str) -> Option<IpAddr> {
    let bare = address.trim_start_matches('[').trim_end_matches(']');
    bare.parse()
        .ok()
        .map(|address: IpAddr| address.to_canonical())
}

fn no_address(word: &str) -> Answer {
    Answer::refused(Outcome::Usage, format!("{word:?} is no address"))
}

fn unknown(client: IpAddr) -> Answer {
    let why = format!("nothing is known of {client}; gatepost devices lists what is");
    Answer::refused(Outcome::Unavailable, why)
}

#[cfg(test)]
mod tests;
