//! Who is who: users, passwords, aliases, recipients.
//!
//! | file | purpose |
//! | --- | --- |
//! | `users` | the users file |
//! | `secret` | a stored password |
//! | `effort` | what a stored password costs |
//! | `scram` | what SCRAM needs of a login, and by what an unknown name is measured |
//! | `aliases` | the aliases file |
//! | `graph` | where aliases lead |
//! | `watched`, `reading` | both files, read again when they change, as one view |
//! | `recipients` | where mail for a name goes, and whose name it is |
//! | `quota`, `mailboxes` | how much a user may keep, and how much is there |
//!
//! Promises: both files are read again when they change, at the next look-up; one that is written in place is read
//! once it stood still, and until then a recipient that is not known is asked for again later. A broken or unreadable
//! new file, and aliases that lack a group which a list names, keep what the last good one said; that is logged
//! once, and told for as long as it lasts. A login with an unknown name
//! costs what one with a known name costs. `postmaster` always exists (RFC 5321 section 4.5.1).
//! Refuses to know: which domains a session may write to; only recipients in local domains come here.

pub mod aliases;
pub mod effort;
pub mod graph;
mod mailboxes;
mod quota;
mod reading;
mod recipients;
pub mod scram;
pub mod secret;
pub mod users;
mod watched;

use std::sync::{Arc, MutexGuard};

use crate::config::Settings;
use crate::config::local::Local;
use crate::config::settings::Recipients;
use crate::mail::Domain;
use crate::sys::folder::RealFolders;
use crate::sys::sync::Mutex;

use mailboxes::Mailboxes;
use reading::{Look, Reading};
use scram::Measure;
use secret::Secret;
use users::Users;
use watched::Moment;

pub use reading::FileTrouble;
pub use recipients::{Expansion, Found, Lookup, Members};

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

/// The users, the aliases, and what the settings say of recipients.
#[derive(Debug)]
pub struct Directory {
    local_domains: Vec<Domain>,
    recipients: Recipients,
    reading: Mutex<Reading>,
    /// What a user may keep that has no quota of their own, octets; 0 = all.
    default_quota: u64,
    /// Whether mailboxes are here; an LMTP server has its own, and their quotas.
    has_maildirs: bool,
    mailboxes: Mailboxes,
}

impl Directory {
    /// Takes what it needs from the settings and has a first look at the files.
    pub fn new(settings: &Settings) -> Self {
        Self::with(settings, Reading::new(settings))
    }

    /// The same for settings that follow those of `before`: files that are the same go on as they were read.
    pub fn after(settings: &Settings, before: &Self) -> Self {
        let reading = Reading::after(settings, &before.reading());
        Self::with(settings, reading)
    }

    fn with(settings: &Settings, reading: Reading) -> Self {
        let directory = Self {
            local_domains: settings.local_domains.clone(),
            recipients: settings.recipients.clone(),
            reading: Mutex::new(reading),
            default_quota: settings.quota,
            has_maildirs: settings.local == Local::Maildir,
            mailboxes: Mailboxes::new(settings.mail_root.clone(), Box::new(RealFolders)),
        };
        directory.look();
        directory
    }

    /// Checks a login: `alice` or `alice@LOCALDOMAIN`, in upper or lower case.
    pub fn verify(&self, login: &str, password: &[u8]) -> LoginOutcome {
        let Some(users) = self.users() else {
            return LoginOutcome::Unavailable;
        };
        let name = self.local_name(login);
        // By its name, so that `bob` and `bob@LOCALDOMAIN` cost the same, as a user's forms do.
        let measured_by = name.as_deref().unwrap_or(login);
        let known = name.as_deref().and_then(|name| users.secret(name));
        let Ok(measure) = Measure::of(measured_by) else {
            return LoginOutcome::Unavailable;
        };
        let substitute = Secret::of_nobody(measure.work(&users));
        let secret = known.unwrap_or(&substitute);
        let is_user = known.is_some();
        let is_right = secret.matches(password);
        match name {
            Some(name) if is_user & is_right & !password.is_empty() => LoginOutcome::Accepted(name),
            _ => LoginOutcome::Refused,
        }
    }

    /// The user's name, in lower case, a login stands for: `alice` or `alice@LOCALDOMAIN`. None where it
    /// names another domain. Whether there is such a user is not asked.
    pub fn local_name(&self, login: &str) -> Option<String> {
        let Some((name, domain)) = login.rsplit_once('@') else {
            return Some(login.to_lowercase());
        };
        let domain = Domain::parse(domain).ok()?;
        let local = self.local_domains.contains(&domain);
        local.then(|| name.to_lowercase())
    }

    /// What a login counts as where failures are counted: its user's name in lower case, else all of it.
    pub fn account(&self, login: &str) -> String {
        let name = self.local_name(login);
        name.unwrap_or_else(|| login.to_lowercase())
    }

    /// What a login would come to with the right password.
    pub fn login_by_name(&self, login: &str) -> LoginOutcome {
        let Some(users) = self.users() else {
            return LoginOutcome::Unavailable;
        };
        match self.local_name(login).filter(|name| users.contains(name)) {
            Some(name) => LoginOutcome::Accepted(name),
            None => LoginOutcome::Refused,
        }
    }

    /// Whether a name, in lower case, is nobody's: it stands in the users file no more.
    pub fn is_gone(&self, user: &str) -> bool {
        user != POSTMASTER && self.users().is_some_and(|users| !users.contains(user))
    }

    /// The users as the file has them now, else as it last had them.
    fn users(&self) -> Option<Arc<Users>> {
        self.look().view.map(|view| Arc::clone(&view.users))
    }

    /// Which files are not in use as they are now, after a look at them.
    pub fn troubles(&self) -> Vec<FileTrouble> {
        let mut reading = self.reading();
        reading.look(Moment::now());
        reading.troubles()
    }

    /// Users and aliases as the files have them now, else as they last had them.
    fn look(&self) -> Look {
        self.reading().look(Moment::now())
    }

    fn reading(&self) -> MutexGuard<'_, Reading> {
        // A panic while the lock is held leaves the last good view behind, which is what we want.
        self.reading.lock()
    }
}

/// A local-part without its detail, where it has one.
fn without_detail(local_part: &str, separator: Option<char>) -> Option<&str> {
    let (name, _) = local_part.split_once(separator?)?;
    (!name.is_empty()).then_some(name)
}

/// The user who exists without standing in the users file (RFC 5321 section 4.5.1).
const POSTMASTER: &str = "postmaster";

#[cfg(test)]
mod tests;
