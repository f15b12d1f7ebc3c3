//! Recipients: where mail for a local name goes, and whose name it is.
//!
//! Promises: a local-part is looked up whole, then without its detail; an alias wins over a user of its
//! name. What nobody has goes to the catch-all, or, unverified, to `postmaster`, wherever mail for that
//! name goes; it makes nobody the owner of an address. A target that is no user any more gets what
//! nobody has, and an alias that has no other target is asked for again later. So is a name nobody has while
//! somebody writes one of the files in place. Refuses to know: which domains are ours, except for owners. Limits: a look-up gives at most what an alias may lead to
//! ([`TARGETS_MAX`](super::graph::TARGETS_MAX)) and the same for the fallback.

use std::collections::HashSet;
use std::sync::Arc;

use crate::config::handlers::Kind;
use crate::mail::{ForwardPath, Mailbox, Target};

use super::aliases::Address;
use super::graph::{Aliases, Copies, End};
use super::users::Users;
use super::{Directory, POSTMASTER, without_detail};

/// What a look-up of a local recipient came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// The mail goes there.
    Found(Found),
    /// Nobody by that name.
    Unknown,
    /// The users or the aliases cannot be read now.
    Unavailable,
}

/// A recipient that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where copies go: at least one, each once, in the order of the aliases file.
    /// Shared with the directory where an alias leads there.
    pub targets: Arc<[Target]>,
    /// Whether the name is a group: an alias with several targets.
    pub group: bool,
    /// Whether the name is both a user and an alias.
    pub ambiguous: bool,
    /// Whether each target is a user with a quota.
    pub limited: bool,
}

impl Found {
    /// A recipient with one target that is no group.
    pub fn one(target: Target) -> Self {
        Self {
            targets: Arc::new([target]),
            group: false,
            ambiguous: false,
            limited: false,
        }
    }

    fn user(name: &str) -> Self {
        Self::one(Target::User(name.to_owned()))
    }
}

/// The direct members of a name, as EXPN shows them (RFC 5321 section 4.1.1.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expansion {
    /// Their addresses; a user is its own only member. None where one of them is a command or webhook.
    Members(Vec<String>),
    /// Nobody by that name.
    Unknown,
    /// The users or the aliases cannot be read now.
    Unavailable,
}

/// The users behind a group, for access lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Members {
    /// Their names in lower case, nested groups followed; outside addresses, commands and webhooks left
    /// out.
    Users(Vec<String>),
    /// No alias has that name.
    Unknown,
    /// The users or the aliases cannot be read now.
    Unavailable,
}

/// The most aliases that are told of the way of one recipient.
const WAY_MAX: usize = 50;

impl Directory {
    /// Finds a recipient in a local domain.
    pub fn find(&self, forward_path: &ForwardPath) -> Lookup {
        let name = local_name(forward_path);
        let look = self.look();
        let Some((users, aliases)) = look.both() else {
            return match name == POSTMASTER {
                true => Lookup::Found(Found::user(POSTMASTER)),
                false => Lookup::Unavailable,
            };
        };
        let Some(name) = self.known(users, aliases, &name) else {
            if look.is_changing {
                return Lookup::Unavailable;
            }
            let Some(fallback) = self.fallback() else {
                return Lookup::Unknown;
            };
            let found = everything_for(aliases, fallback);
            return Lookup::Found(Found {
                limited: self.are_limited(users, &found.targets),
                ..found
            });
        };
        let Copies {
            mut targets,
            some_are_gone,
        } = copies(aliases, name);
        if let Some(fallback) = self.fallback().filter(|_| some_are_gone) {
            let more = everything_for(aliases, fallback).targets;
            let known: HashSet<&Target> = targets.iter().collect();
            let fresh = more.iter().filter(|target| !known.contains(target));
            targets = targets.iter().chain(fresh).cloned().collect();
        }
        if targets.is_empty() {
            return match name == POSTMASTER {
                true => Lookup::Found(Found::user(POSTMASTER)),
                false => Lookup::Unavailable,
            };
        }
        Lookup::Found(Found {
            limited: self.are_limited(users, &targets),
            targets,
            group: aliases.is_group(name),
            ambiguous: aliases.contains(name) && users.contains(name),
        })
    }

    /// Whether `user`, a name in lower case, may send as `sender`: as itself in every local domain,
    /// with or without a detail, and as every alias that leads to it alone. None while that cannot be
    /// told.
    pub fn owns(&self, user: &str, sender: &Mailbox) -> Option<bool> {
        if !self.local_domains.contains(sender.domain()) {
            return Some(false);
        }
        let name = sender.local_part().to_lowercase();
        if name == user {
            return Some(true);
        }
        let look = self.look();
        let (users, aliases) = look.both()?;
        let Some(name) = self.known(users, aliases, &name) else {
            return (!look.is_changing).then_some(false);
        };
        let leads_to_it_alone = || {
            let mut ends = aliases.ends(name)?;
            let first = ends.next()?;
            Some(ends.next().is_none() && matches!(first, End::User(name) if name == user))
        };
        Some(name == user || leads_to_it_alone().unwrap_or(false))
    }

    /// The users behind an alias, for `@group` in access lists; without the `@`, in any case.
    pub fn members(&self, group: &str) -> Members {
        let look = self.look();
        let Some((_, aliases)) = look.both() else {
            return Members::Unavailable;
        };
        let group = group.to_lowercase();
        let Some(ends) = aliases.ends(&group) else {
            return match look.is_changing {
                true => Members::Unavailable,
                false => Members::Unknown,
            };
        };
        let users = ends.filter_map(|end| match end {
            End::User(name) => Some(name.clone()),
            End::Outside(_) | End::Handler(..) | End::Nobody => None,
        });
        Members::Users(users.collect())
    }

    /// The aliases that lead to `user`, a name in lower case, alone or with others: the groups it
    /// belongs to are among them. None while that cannot be told.
    pub fn groups_of(&self, user: &str) -> Option<Vec<String>> {
        let look = self.look();
        let (_, aliases) = look.both()?;
        let is_user = |end: &End| matches!(end, End::User(name) if name == user);
        let names = aliases.names().map(|(name, _)| name);
        let groups = names.filter(|name| aliases.ends(name).is_some_and(|mut e| e.any(is_user)));
        Some(groups.map(str::to_owned).collect())
    }

    /// The direct members of a recipient in a local domain.
    pub fn expand(&self, forward_path: &ForwardPath) -> Expansion {
        let name = local_name(forward_path);
        let look = self.look();
        let Some((users, aliases)) = look.both() else {
            return Expansion::Unavailable;
        };
        let Some(name) = self.known(users, aliases, &name) else {
            return match look.is_changing {
                true => Expansion::Unavailable,
                false => Expansion::Unknown,
            };
        };
        let Some(members) = aliases.members(name) else {
            return Expansion::Members(self.address(name).into_iter().collect());
        };
        // What runs here is nobody's business, and part of a list is no truth.
        if members
            .iter()
            .any(|member| matches!(member, Address::Handler(..)))
        {
            return Expansion::Members(Vec::new());
        }
        let members = members.iter().filter_map(|member| match member {
            Address::Local(name) => self.address(name),
            Address::Outside(mailbox) => Some(mailbox.to_string()),
            Address::Handler(..) => None,
        });
        Expansion::Members(members.collect())
    }

    /// The aliases that mail for a recipient in a local domain goes by, each with its members as they are
    /// written, at most [`WAY_MAX`].
    pub fn way(&self, forward_path: &ForwardPath) -> Vec<(String, Vec<String>)> {
        let look = self.look();
        let name = local_name(forward_path);
        let mut way: Vec<(String, Vec<String>)> = Vec::new();
        let Some((users, aliases)) = look.both() else {
            return way;
        };
        let name = self.known(users, aliases, &name).or(self.fallback());
        let mut next: Vec<String> = name.map(str::to_owned).into_iter().collect();
        while let Some(name) = next.pop() {
            let is_new = way.iter().all(|(known, _)| *known != name);
            let Some(members) = aliases
                .members(&name)
                .filter(|_| is_new && way.len() < WAY_MAX)
            else {
                continue;
            };
            let local = members.iter().filter_map(|member| match member {
                Address::Local(name) => Some(name),
                Address::Outside(_) | Address::Handler(..) => None,
            });
            let local = local.filter_map(|name| self.known(users, aliases, name));
            next.extend(local.map(str::to_owned));
            let written = members.iter().map(|member| match member {
                Address::Local(name) => name.clone(),
                Address::Outside(mailbox) => mailbox.to_string(),
                Address::Handler(kind, name) => format!("{}:{name}", kind.section()),
            });
            let written = written.collect();
            way.push((name, written));
        }
        way
    }

    /// Who gets what nobody here has, where that is somebody.
    pub fn catches(&self, forward_path: &ForwardPath) -> Option<&str> {
        let is_unknown = matches!(self.expand(forward_path), Expansion::Unknown);
        self.fallback().filter(|_| is_unknown)
    }

    /// The name of a user or an alias that a local-part stands for.
    fn known<'n>(&self, users: &Users, aliases: &Aliases, local_part: &'n str) -> Option<&'n str> {
        let cut = without_detail(local_part, self.recipients.subaddress);
        let mut names = [Some(local_part), cut].into_iter().flatten();
        names.find(|name| aliases.contains(name) || *name == POSTMASTER || users.contains(name))
    }

    /// Who gets what nobody has. Unverified mail is accepted mail, and somebody has to have it.
    fn fallback(&self) -> Option<&str> {
        let unverified = || (!self.recipients.verify).then_some(POSTMASTER);
        self.recipients.catch_all.as_deref().or_else(unverified)
    }

    /// The address of a local name, in the first local domain.
    fn address(&self, name: &str) -> Option<String> {
        let domain = self.local_domains.first()?.clone();
        Some(Mailbox::new(name, domain).ok()?.to_string())
    }
}

fn local_name(forward_path: &ForwardPath) -> String {
    match forward_path {
        ForwardPath::Postmaster => POSTMASTER.to_owned(),
        ForwardPath::Mailbox(mailbox) => mailbox.local_part().to_lowercase(),
    }
}

/// Where mail for a name goes.
fn copies(aliases: &Aliases, name: &str) -> Copies {
    aliases.copies(name, copies_of).unwrap_or_else(|| Copies {
        targets: Arc::new([Target::User(name.to_owned())]),
        some_are_gone: false,
    })
}

fn copies_of(ends: &mut dyn Iterator<Item = &End>) -> Copies {
    let mut some_are_gone = false;
    let targets = ends.filter_map(|end| match end {
        End::User(name) => Some(Target::User(name.clone())),
        End::Outside(mailbox) => Some(Target::Outside(mailbox.clone())),
        End::Handler(Kind::Command, name) => Some(Target::Command(name.clone())),
        End::Handler(Kind::Webhook, name) => Some(Target::Webhook(name.clone())),
        End::Nobody => {
            some_are_gone = true;
            None
        }
    });
    Copies {
        targets: targets.collect(),
        some_are_gone,
    }
}

/// Where mail for the fallback goes: at the least to the user of that name.
fn everything_for(aliases: &Aliases, fallback: &str) -> Found {
    match copies(aliases, fallback).targets {
        targets if targets.is_empty() => Found::user(fallback),
        targets => Found {
            targets,
            ..Found::user(fallback)
        },
    }
}
