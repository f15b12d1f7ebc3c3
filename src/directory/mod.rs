//! Who is who: users, passwords, recipients.
//!
//! | file | purpose |
//! | --- | --- |
//! | `users` | the users file |
//! | `secret` | a stored password |
//!
//! Promises: the users file is read again when it changes, at the next look-up; a broken or unreadable
//! new file keeps the users of the last good one and is logged once. A login with an unknown name
//! costs what one with a known name costs. `postmaster` always exists (RFC 5321 section 4.5.1).
//! Refuses to know: which domains a session may write to; only recipients in local domains come here.

pub mod secret;
pub mod users;

use std::fs::{self, File, Metadata};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::Settings;
use crate::config::settings::Recipients;
use crate::events;
use crate::mail::{Domain, ForwardPath, Target};
use crate::sys::{machine, replace};

use secret::Secret;
use users::{FILE_MAX_OCTETS, Users};

/// What a login attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginOutcome {
    /// The password is right; the user's name in lower case.
    Accepted(String),
    /// Unknown user or wrong password; which of the two is told to nobody.
    Refused,
    /// The users file cannot be read now.
    Unavailable,
}

/// What a look-up of a local recipient came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// The mail goes there.
    Found(Target),
    /// Nobody by that name.
    Unknown,
    /// The users file cannot be read now.
    Unavailable,
}

/// The users and what the settings say of recipients.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    local_domains: Vec<Domain>,
    recipients: Recipients,
    reading: Mutex<Reading>,
    /// Keyed at start, so that nobody outside can tell which user an unknown name is measured by.
    chooser: RandomState,
}

/// The last look at the users file.
#[derive(Debug, Default)]
struct Reading {
    /// The users of the last good file; none before there was one.
    users: Option<Arc<Users>>,
    /// The file as it was at that look; none where it could not be read.
    stamp: Option<Stamp>,
    /// Whether it is already logged that the file cannot be read.
    complained: bool,
}

/// What tells one content of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Directory {
    /// Takes what it needs from the settings and has a first look at the users file.
    pub fn new(settings: &Settings) -> Self {
        let directory = Self {
            path: settings.auth.users.clone(),
            local_domains: settings.local_domains.clone(),
            recipients: settings.recipients.clone(),
            reading: Mutex::default(),
            chooser: RandomState::new(),
        };
        directory.users();
        directory
    }

    /// Checks a login: `alice` or `alice@LOCALDOMAIN`, in upper or lower case.
    pub fn verify(&self, login: &str, password: &[u8]) -> LoginOutcome {
        let Some(users) = self.users() else {
            return LoginOutcome::Unavailable;
        };
        let name = self.login_name(login);
        // By its name, so that `bob` and `bob@LOCALDOMAIN` cost the same, as a user's forms do.
        let measured_by = name.as_deref().unwrap_or(login);
        let known = name.as_deref().and_then(|name| users.secret(name));
        let substitute;
        let secret = match known.or_else(|| self.stand_in(&users, measured_by)) {
            Some(secret) => secret,
            None => {
                substitute = Secret::nobodys();
                &substitute
            }
        };
        let is_user = known.is_some();
        let is_right = secret.matches(password);
        match name {
            Some(name) if is_user & is_right & !password.is_empty() => LoginOutcome::Accepted(name),
            _ => LoginOutcome::Refused,
        }
    }

    /// Finds a recipient in a local domain.
    pub fn find(&self, forward_path: &ForwardPath) -> Lookup {
        let local_part = match forward_path {
            ForwardPath::Postmaster => POSTMASTER.to_owned(),
            ForwardPath::Mailbox(mailbox) => mailbox.local_part().to_lowercase(),
        };
        let user = |name: &str| Lookup::Found(Target::User(name.to_owned()));
        if local_part == POSTMASTER {
            return user(POSTMASTER);
        }
        let Some(users) = self.users() else {
            return Lookup::Unavailable;
        };
        let whole_then_cut = [Some(local_part.as_str()), self.without_detail(&local_part)];
        let mut names = whole_then_cut.into_iter().flatten();
        if let Some(name) = names.find(|name| *name == POSTMASTER || users.contains(name)) {
            return user(name);
        }
        match &self.recipients.catch_all {
            Some(catch_all) => user(catch_all),
            None if self.recipients.verify => Lookup::Unknown,
            // Unverified mail is accepted mail, and somebody has to have it.
            None => user(POSTMASTER),
        }
    }

    fn without_detail<'a>(&self, local_part: &'a str) -> Option<&'a str> {
        let (name, _) = local_part.split_once(self.recipients.subaddress?)?;
        (!name.is_empty()).then_some(name)
    }

    /// The user's name a login stands for; none where it names another domain.
    fn login_name(&self, login: &str) -> Option<String> {
        let Some((name, domain)) = login.rsplit_once('@') else {
            return Some(login.to_lowercase());
        };
        let domain = Domain::parse(domain).ok()?;
        let local = self.local_domains.contains(&domain);
        local.then(|| name.to_lowercase())
    }

    /// The secret an unknown name is measured by: always the same one, as a user's would be.
    fn stand_in<'a>(&self, users: &'a Users, name: &str) -> Option<&'a Secret> {
        users.any_secret(self.chooser.hash_one(name.to_lowercase()))
    }

    /// The users as the file has them now, else as it last had them.
    fn users(&self) -> Option<Arc<Users>> {
        // A panic while the lock is held leaves the last good users behind, which is what we want.
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = fs::metadata(&self.path).map(|metadata| Stamp::of(&metadata));
        let unchanged = matches!((&seen, reading.stamp), (Ok(now), Some(then)) if *now == then);
        if !unchanged {
            let outcome = seen.and_then(|_| self.read(&mut reading));
            if let Err(error) = outcome {
                self.unreadable(&mut reading, &error);
            }
        }
        reading.users.clone()
    }

    fn read(&self, reading: &mut Reading) -> io::Result<()> {
        let file = File::open(&self.path)?;
        let stamp = Stamp::of(&file.metadata()?);
        let content = zeroize::Zeroizing::new(replace::read_open(&file, FILE_MAX_OCTETS)?);
        let (users, faults) = Users::parse(&content);
        reading.stamp = Some(stamp);
        reading.complained = false;
        if let Some(fault) = faults.first() {
            events::users::broken(&self.path, fault.line, &fault.reason, faults.len());
            return Ok(());
        }
        events::users::read(&self.path, users.names().count());
        reading.users = Some(Arc::new(users));
        Ok(())
    }

    fn unreadable(&self, reading: &mut Reading, error: &io::Error) {
        reading.stamp = None;
        // The check let a missing file pass, so nobody logs in and nobody is verified.
        if reading.users.is_none()
            && error.kind() == io::ErrorKind::NotFound
            && !self.recipients.verify
        {
            reading.users = Some(Arc::new(Users::nobody()));
            return;
        }
        if !reading.complained {
            events::users::unreadable(&self.path, machine::reason(error));
            reading.complained = true;
        }
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

const POSTMASTER: &str = "postmaster";

#[cfg(test)]
mod tests;
