//! The users file and the aliases file as one view.
//!
//! Promises: both are looked at anew at each look-up, and read again when they change ([`super::watched`]); nobody
//! sees new users with aliases that were not held against them. New users count at once: who was taken out
//! cannot log in any more. New aliases are *not good* where they are broken in themselves, broken against the
//! users, or lack a group that a list of the settings names: then those of the last good file stay, held against
//! the users of today. Each such change is logged once, and [`Reading::troubles`] tells it for as long as it
//! lasts. While somebody writes one of the files, what it said before goes on, and that is told too. Refuses to
//! know: who asks.
//!
//! | users file | aliases file | view |
//! | --- | --- | --- |
//! | never good | any | none |
//! | good | none set | users, no alias |
//! | good | never good | users, aliases unknown |
//! | good | good once | users, and the aliases of the last good file |

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::Settings;
use crate::config::handlers::Handlers;
use crate::events;
use crate::mail::Domain;
use crate::sys::machine;

use super::aliases::{self, AliasFile};
use super::graph::{Aliases, Names};
use super::users::{self, Fault, Users};
use super::watched::{Moment, Seen, Watched};

/// Who there is, at one moment.
#[derive(Debug)]
pub(super) struct View {
    pub(super) users: Arc<Users>,
    /// None while no aliases file was good yet.
    pub(super) aliases: Option<Aliases>,
}

/// What a look at both files came to.
#[derive(Debug, Clone)]
pub(super) struct Look {
    /// None while no users file was good yet.
    pub(super) view: Option<Arc<View>>,
    /// Whether somebody writes one of the files, so that a name may be missing that is meant to be there.
    pub(super) is_changing: bool,
}

impl Look {
    /// Users and aliases, where both are known.
    pub(super) fn both(&self) -> Option<(&Users, &Aliases)> {
        let view = self.view.as_deref()?;
        Some((&view.users, view.aliases.as_ref()?))
    }
}

/// A file that is not in use as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTrouble {
    /// The file.
    pub file: PathBuf,
    /// Why.
    pub reason: String,
    /// Whether what it said before is in use; else recipients hear 451.
    pub has_older: bool,
}

impl fmt::Display for FileTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, reason) = (self.file.display(), &self.reason);
        let effect = match self.has_older {
            true => "what it said before is in use",
            false => "recipients hear 451",
        };
        write!(f, "{file}: {reason}; {effect}")
    }
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
    /// The last one that was good in every way.
    good: Option<Arc<AliasFile>>,
    view: Option<Arc<View>>,
    users_trouble: Option<Trouble>,
    aliases_trouble: Option<Trouble>,
    /// Why the newest aliases are not good against the users and the settings.
    misfit: Option<String>,
}

/// Why the content of a file does not count.
#[derive(Debug, Clone)]
enum Trouble {
    /// It cannot be read now.
    Unreadable(String),
    /// What it holds is at fault.
    Broken(String),
}

#[derive(Debug)]
struct Wanted {
    verify: bool,
    subaddress: Option<char>,
    local_domains: Vec<Domain>,
    handlers: Handlers,
    /// The groups that lists name, and the lists.
    groups: Vec<(String, String)>,
}

impl Reading {
    pub(super) fn new(settings: &Settings) -> Self {
        let aliases_file = settings.aliases.as_deref();
        let groups = settings.named_groups().into_iter();
        let groups = groups.map(|named| (named.group.to_owned(), named.list()));
        Self {
            settings: Wanted {
                verify: settings.recipients.verify,
                subaddress: settings.recipients.subaddress,
                local_domains: settings.local_domains.clone(),
                handlers: settings.handlers.clone(),
                groups: groups.collect(),
            },
            users_file: Watched::new(&settings.auth.users, users::FILE_MAX_OCTETS),
            aliases_file: aliases_file.map(|path| Watched::new(path, aliases::FILE_MAX_OCTETS)),
            users: None,
            is_without_users: false,
            newest: None,
            good: None,
            view: None,
            users_trouble: None,
            aliases_trouble: None,
            misfit: None,
        }
    }

    /// The same files by other settings: what they said last goes on, so that a refresh takes up no half file.
    pub(super) fn after(settings: &Settings, before: &Self) -> Self {
        let mut next = Self::new(settings);
        let is_same = before.users_file.path() == next.users_file.path();
        if is_same && before.users.is_some() && !before.is_without_users {
            next.users_file = before.users_file.clone();
            next.users.clone_from(&before.users);
            next.users_trouble.clone_from(&before.users_trouble);
        }
        let paths = [&before.aliases_file, &next.aliases_file].map(|file| path_of(file));
        let is_same = paths[0] == paths[1]
            // Which names are local decides what an alias is.
            && before.settings.local_domains == next.settings.local_domains;
        if is_same && before.newest.is_some() {
            next.aliases_file.clone_from(&before.aliases_file);
            next.newest.clone_from(&before.newest);
            next.good.clone_from(&before.good);
            next.aliases_trouble.clone_from(&before.aliases_trouble);
        }
        next.put_together(false);
        next
    }

    /// Both files as they are now, else as they last were good.
    pub(super) fn look(&mut self, now: Moment) -> Look {
        let users = self.look_at_users(now);
        let aliases = self.look_at_aliases(now);
        if users == Found::New || aliases == Found::New {
            self.put_together(aliases == Found::New);
        }
        Look {
            view: self.view.clone(),
            is_changing: users == Found::Changing || aliases == Found::Changing,
        }
    }

    /// Which of the files are not in use as they are now.
    pub(super) fn troubles(&self) -> Vec<FileTrouble> {
        let users = self.users_trouble.as_ref().map(|trouble| FileTrouble {
            file: self.users_file.path().to_owned(),
            reason: trouble.reason().to_owned(),
            has_older: self.users.is_some(),
        });
        let reason = self.aliases_trouble.as_ref().map(Trouble::reason);
        let aliases = reason.or(self.misfit.as_deref()).and_then(|reason| {
            Some(FileTrouble {
                file: path_of(&self.aliases_file)?.to_owned(),
                reason: reason.to_owned(),
                has_older: self
                    .view
                    .as_ref()
                    .is_some_and(|view| view.aliases.is_some()),
            })
        });
        users.into_iter().chain(aliases).collect()
    }

    fn look_at_users(&mut self, now: Moment) -> Found {
        let seen = self.users_file.look(now);
        if let Seen::Changed(content) = &seen {
            let path = self.users_file.path();
            let (users, faults) = Users::parse(content);
            if let Some(fault) = faults.first() {
                events::users::broken(path, fault.line, &fault.reason, faults.len());
                self.users_trouble = Some(Trouble::at(fault));
                return Found::Old;
            }
            events::users::read(path, users.names().count());
            self.users = Some(Arc::new(users));
            self.users_trouble = None;
            self.is_without_users = false;
            return Found::New;
        }
        let (error, is_new) = match seen {
            Seen::Failed(error) => (error, true),
            Seen::StillFailed(error) => (error, false),
            Seen::Changing => return Found::Changing,
            Seen::Same | Seen::Changed(_) => {
                Trouble::is_readable(&mut self.users_trouble);
                return Found::Old;
            }
        };
        // The check let a missing file pass, so nobody logs in and nobody is verified.
        let is_missing = error.kind() == io::ErrorKind::NotFound;
        if self.users.is_none() && is_missing && !self.settings.verify {
            self.users = Some(Arc::new(Users::nobody()));
            self.is_without_users = true;
            return Found::New;
        }
        if self.is_without_users && is_missing {
            return Found::Old;
        }
        if is_new {
            events::users::unreadable(self.users_file.path(), machine::reason(&error));
        }
        self.users_trouble = Some(Trouble::Unreadable(machine::reason(&error)));
        Found::Old
    }

    fn look_at_aliases(&mut self, now: Moment) -> Found {
        let Some(file) = &mut self.aliases_file else {
            return Found::Old;
        };
        let seen = file.look(now);
        match &seen {
            Seen::Same => Trouble::is_readable(&mut self.aliases_trouble),
            Seen::Changing => return Found::Changing,
            Seen::Failed(error) | Seen::StillFailed(error) => {
                let reason = machine::reason(error);
                if matches!(seen, Seen::Failed(_)) {
                    events::aliases::unreadable(file.path(), &reason);
                }
                self.aliases_trouble = Some(Trouble::Unreadable(reason));
            }
            Seen::Changed(content) => {
                let (aliases, faults) = AliasFile::parse(content, &self.settings.local_domains);
                if let Some(fault) = faults.first() {
                    let line = Some(fault.line);
                    events::aliases::broken(file.path(), line, &fault.reason, faults.len());
                    self.aliases_trouble = Some(Trouble::at(fault));
                    return Found::Old;
                }
                self.aliases_trouble = None;
                self.newest = Some(Arc::new(aliases));
                return Found::New;
            }
        }
        Found::Old
    }

    fn put_together(&mut self, aliases_changed: bool) {
        let Some(users) = self.users.clone() else {
            return;
        };
        let aliases = match path_of(&self.aliases_file) {
            None => Some(Aliases::default()),
            Some(path) => {
                let path = path.to_owned();
                self.aliases(&users, &path, aliases_changed)
            }
        };
        self.view = Some(Arc::new(View { users, aliases }));
    }

    /// The newest aliases, where they are good for these users and the settings, else those of the last good file.
    fn aliases(&mut self, users: &Users, path: &Path, is_new: bool) -> Option<Aliases> {
        let newest = self.newest.clone()?;
        let is_user = |name: &str| users.contains(name);
        let names = Names {
            is_user: (!self.is_without_users).then_some(&is_user),
            subaddress: self.settings.subaddress,
            handlers: &self.settings.handlers,
        };
        let (aliases, faults) = Aliases::resolve(&newest, names);
        let fault = faults.first();
        let lacking = self.settings.lacking(&aliases);
        let Some(reason) = fault.map(|fault| fault.reason.clone()).or(lacking) else {
            if is_new {
                events::aliases::read(path, aliases.count());
            }
            self.good = Some(newest);
            self.misfit = None;
            return Some(aliases);
        };
        let line = fault.map(|fault| fault.line);
        events::aliases::broken(path, line, &reason, faults.len().max(1));
        self.misfit = Some(fault.map_or(reason, Fault::to_string));
        let good = self.good.as_deref()?;
        let aliases = Aliases::resolve(good, names).0;
        // Whoever stands in a group that is not there would pass a list that keeps its members out.
        self.settings.lacking(&aliases).is_none().then_some(aliases)
    }
}

/// What a look at one file came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Old,
    Changing,
    New,
}

impl Trouble {
    fn at(fault: &Fault) -> Self {
        Self::Broken(fault.to_string())
    }

    fn reason(&self) -> &str {
        match self {
            Self::Unreadable(reason) | Self::Broken(reason) => reason,
        }
    }

    /// The file can be read, and holds what it held.
    fn is_readable(trouble: &mut Option<Self>) {
        if matches!(trouble, Some(Self::Unreadable(_))) {
            *trouble = None;
        }
    }
}

impl Wanted {
    /// Which group is missing that a list names.
    fn lacking(&self, aliases: &Aliases) -> Option<String> {
        let missing = |(group, _): &&(String, String)| !aliases.is_group(group);
        let (group, list) = self.groups.iter().find(missing)?;
        Some(format!("there is no group @{group}, which {list} names"))
    }
}

fn path_of(file: &Option<Watched>) -> Option<&Path> {
    file.as_ref().map(Watched::path)
}
