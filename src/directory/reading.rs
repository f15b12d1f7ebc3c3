//! The users file and the aliases file as one view.
//!
//! Promises: both are looked at anew at each look-up, and read again when they change; nobody sees
//! new users with aliases that were not held against them. New users count at once: who was taken out
//! cannot log in any more. New aliases that are broken, in themselves or against the users, leave those
//! of the last good file, held against the users of today; each such change is logged once. Refuses to
//! know: who asks.
//!
//! | users file | aliases file | view |
//! | --- | --- | --- |
//! | never good | any | none |
//! | good | none set | users, no alias |
//! | good | never good | users, aliases unknown |
//! | good | good once | users, and the aliases of the last good file |

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::config::Settings;
use crate::config::handlers::Handlers;
use crate::events;
use crate::mail::Domain;
use crate::sys::machine;

use super::aliases::{self, AliasFile};
use super::graph::{Aliases, Names};
use super::users::{self, Users};
use super::watched::{Seen, Watched};

/// Who there is, at one moment.
#[derive(Debug)]
pub(super) struct View {
    pub(super) users: Arc<Users>,
    /// None while no aliases file was good yet.
    pub(super) aliases: Option<Aliases>,
}

/// The last look at both files.
#[derive(Debug)]
pub(super) struct Reading {
    settings: Wanted,
    users_file: Watched,
    aliases_file: Option<Watched>,
    /// The users of the last good file; none before there was one.
    users: Option<Arc<Users>>,
    /// Whether `users` stands for a file that is not there and need not be.
    is_without_users: bool,
    /// The last aliases file that was good in itself.
    newest: Option<Arc<AliasFile>>,
    /// The last one that was good against the users too.
    good: Option<Arc<AliasFile>>,
    view: Option<Arc<View>>,
}

#[derive(Debug)]
struct Wanted {
    verify: bool,
    subaddress: Option<char>,
    local_domains: Vec<Domain>,
    handlers: Handlers,
}

impl Reading {
    pub(super) fn new(settings: &Settings) -> Self {
        let aliases_file = settings.aliases.as_deref();
        Self {
            settings: Wanted {
                verify: settings.recipients.verify,
                subaddress: settings.recipients.subaddress,
                local_domains: settings.local_domains.clone(),
                handlers: settings.handlers.clone(),
            },
            users_file: Watched::new(&settings.auth.users, users::FILE_MAX_OCTETS),
            aliases_file: aliases_file.map(|path| Watched::new(path, aliases::FILE_MAX_OCTETS)),
            users: None,
            is_without_users: false,
            newest: None,
            good: None,
            view: None,
        }
    }

    /// Both files as they are now, else as they last were good.
    pub(super) fn look(&mut self) -> Option<Arc<View>> {
        let users_changed = self.look_at_users();
        let aliases_changed = self.look_at_aliases();
        if users_changed || aliases_changed {
            self.put_together(aliases_changed);
        }
        self.view.clone()
    }

    /// Whether there are new users.
    fn look_at_users(&mut self) -> bool {
        let (error, is_new) = match self.users_file.look() {
            Seen::Same => return false,
            Seen::Changed(content) => {
                let path = self.users_file.path();
                let (users, faults) = Users::parse(&content);
                if let Some(fault) = faults.first() {
                    events::users::broken(path, fault.line, &fault.reason, faults.len());
                    return false;
                }
                events::users::read(path, users.names().count());
                self.users = Some(Arc::new(users));
                self.is_without_users = false;
                return true;
            }
            Seen::Failed(error) => (error, true),
            Seen::StillFailed(error) => (error, false),
        };
        // The check let a missing file pass, so nobody logs in and nobody is verified.
        let is_missing = error.kind() == io::ErrorKind::NotFound;
        if self.users.is_none() && is_missing && !self.settings.verify {
            self.users = Some(Arc::new(Users::nobody()));
            self.is_without_users = true;
            return true;
        }
        if is_new && !(self.is_without_users && is_missing) {
            events::users::unreadable(self.users_file.path(), machine::reason(&error));
        }
        false
    }

    /// Whether there are new aliases that are good in themselves.
    fn look_at_aliases(&mut self) -> bool {
        let Some(file) = &mut self.aliases_file else {
            return false;
        };
        match file.look() {
            Seen::Same | Seen::StillFailed(_) => false,
            Seen::Failed(error) => {
                events::aliases::unreadable(file.path(), machine::reason(&error));
                false
            }
            Seen::Changed(content) => {
                let (aliases, faults) = AliasFile::parse(&content, &self.settings.local_domains);
                if let Some(fault) = faults.first() {
                    events::aliases::broken(file.path(), fault.line, &fault.reason, faults.len());
                    return false;
                }
                self.newest = Some(Arc::new(aliases));
                true
            }
        }
    }

    fn put_together(&mut self, aliases_changed: bool) {
        let Some(users) = self.users.clone() else {
            return;
        };
        let aliases = match &self.aliases_file {
            None => Some(Aliases::default()),
            Some(file) => {
                let path = file.path().to_owned();
                self.aliases(&users, &path, aliases_changed)
            }
        };
        self.view = Some(Arc::new(View { users, aliases }));
    }

    /// The newest aliases held against these users, else those of the last good file.
    fn aliases(&mut self, users: &Users, path: &Path, is_new: bool) -> Option<Aliases> {
        let newest = self.newest.clone()?;
        let is_user = |name: &str| users.contains(name);
        let names = Names {
            is_user: (!self.is_without_users).then_some(&is_user),
            subaddress: self.settings.subaddress,
            handlers: &self.settings.handlers,
        };
        let (aliases, faults) = Aliases::resolve(&newest, names);
        let Some(fault) = faults.first() else {
            if is_new {
                events::aliases::read(path, aliases.count());
            }
            self.good = Some(newest);
            return Some(aliases);
        };
        events::aliases::broken(path, fault.line, &fault.reason, faults.len());
        let good = self.good.as_deref()?;
        Some(Aliases::resolve(good, names).0)
    }
}
