//! Server access: which users may log in (DOMINO.md sections 1.7 and 2.6).
//!
//! Deny wins over allow; an empty allow list is everyone. Mail without a login is not touched: it has
//! no name (S-64).

use super::verdict::Cause;
use crate::config::lists::AccessName;
use crate::config::settings::Settings;

/// Whether the lists name groups that have to be looked up for a verdict.
pub fn needs_groups(settings: &Settings) -> bool {
    let access = &settings.server_access;
    let mut entries = access.deny.iter().chain(&access.allow);
    access.enforce && entries.any(|entry| matches!(entry, AccessName::Group(_)))
}

/// Why `user` (in lower case) may log in; `groups` are those it belongs to.
///
/// # Errors
/// It may not, by this setting.
pub fn decide(settings: &Settings, user: &str, groups: &[String]) -> Result<Cause, Cause> {
    let access = &settings.server_access;
    let cause = |key, why: String| Cause::new("server_access", key, why);
    if !access.enforce {
        let why = "the access lists are not enforced";
        return Ok(Cause::new("server_access", "enforce", why));
    }
    let names = |entry: &&AccessName| is_meant(settings, entry, user, groups);
    if let Some(entry) = access.deny.iter().find(names) {
        return Err(cause("deny", format!("{entry} denies {user}")));
    }
    if access.allow.is_empty() {
        return Ok(cause("allow", "empty: every user".to_owned()));
    }
    match access.allow.iter().find(names) {
        Some(entry) => Ok(cause("allow", format!("{entry} allows {user}"))),
        None => Err(cause("allow", format!("{user} is not listed"))),
    }
}

fn is_meant(settings: &Settings, entry: &AccessName, user: &str, groups: &[String]) -> bool {
    match entry {
        AccessName::Everyone => true,
        AccessName::Group(group) => groups.contains(group),
        AccessName::User { name, domain } => {
            name == user && domain.as_ref().is_none_or(|d| settings.is_local_domain(d))
        }
    }
}
