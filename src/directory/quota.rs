//! How much a user may keep: `[delivery] quota`, or what the users file says of the user.
//!
//! Read from the users file is what Dovecot reads: `userdb_quota_rule=*:storage=SIZE` (or `bytes=SIZE`) and
//! `userdb_quota_storage_size=SIZE` among the extra fields. 0 is no quota. Forms this cannot read, such as
//! percentages and rules for single folders, are Dovecot's alone and passed over.
//!
//! Promises: a mailbox that cannot be measured refuses nothing, and the log says so.

use std::io;

use crate::events;
use crate::mail::Target;
use crate::mail::fullness::Fullness;
use crate::sys::machine;

use super::Directory;
use super::users::Users;

impl Directory {
    /// How full the mailboxes of these users are, as far as they have quotas.
    pub fn fullness(&self, users: &[String]) -> Vec<Fullness> {
        let known = self.users();
        let measured = users.iter().filter_map(|user| {
            let (quota, is_own) = self.quota(known.as_deref(), user)?;
            Some(Fullness {
                user: user.clone(),
                quota,
                is_own,
                used: self.measure(user),
            })
        });
        measured.collect()
    }

    /// Whether each of these is a user with a quota.
    pub(super) fn are_limited(&self, users: &Users, targets: &[Target]) -> bool {
        let is_limited = |user| self.quota(Some(users), user).is_some();
        targets
            .iter()
            .all(|target| target.user().is_some_and(is_limited))
    }

    /// A user's quota, octets, and whether it is their own.
    fn quota(&self, users: Option<&Users>, user: &str) -> Option<(u64, bool)> {
        let own = users.and_then(|users| users.quota(user));
        let quota = own.unwrap_or(self.default_quota);
        (self.has_maildirs && quota > 0).then_some((quota, own.is_some()))
    }

    fn measure(&self, user: &str) -> Option<u64> {
        match self.mailboxes.octets(user) {
            Ok(octets) => Some(octets),
            Err(error) => {
                self.complain(user, &error);
                None
            }
        }
    }

    fn complain(&self, user: &str, error: &io::Error) {
        let path = self.mailboxes.path(user);
        events::mailbox::unreadable(&path, machine::reason(error));
    }
}

/// The quota among the extra fields of a line of the users file, octets.
pub(super) fn in_extra_fields(fields: &str) -> Option<u64> {
    fields.split(' ').find_map(|field| {
        let (name, value) = field.split_once('=')?;
        match name {
            "userdb_quota_rule" => in_rule(value),
            "userdb_quota_storage_size" => size(value, 1),
            _ => None,
        }
    })
}

fn in_rule(rule: &str) -> Option<u64> {
    let limits = rule.strip_prefix("*:")?;
    limits
        .split(':')
        .find_map(|limit| match limit.split_once('=')? {
            ("storage", value) => size(value, 1024),
            ("bytes", value) => size(value, 1),
            _ => None,
        })
}

/// A size with its unit; `unit` octets where it has none.
fn size(text: &str, unit: u64) -> Option<u64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..)?.to_ascii_lowercase().as_str() {
        "" => unit,
        "b" => 1,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1 << 30,
        "t" | "tb" => 1 << 40,
        _ => return None,
    };
    let plain = !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| plain)?;
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_read_as_dovecot_reads_them() {
        for (fields, want) in [
            ("userdb_quota_rule=*:storage=100M", Some(100 << 20)),
            ("userdb_quota_rule=*:storage=100", Some(100 << 10)),
            ("userdb_quota_rule=*:bytes=100", Some(100)),
            ("userdb_quota_rule=*:messages=5:storage=1g", Some(1 << 30)),
            ("userdb_quota_storage_size=2T", Some(2 << 40)),
            ("userdb_quota_storage_size=2MB", Some(2 << 20)),
            (
                "nologin userdb_quota_rule=*:storage=1B allow_nets=::1",
                Some(1),
            ),
            ("userdb_quota_rule=*:storage=0", Some(0)),
            ("userdb_quota_rule=Trash:storage=1M", None),
            ("userdb_quota_rule=*:storage=+10%", None),
            ("userdb_quota_rule=*:storage=", None),
            ("userdb_quota_rule=*:storage=1X", None),
            ("userdb_quota_rule=*:storage=99999999999999T", None),
            ("userdb_quota_rule2=*:storage=1M", None),
            ("quota_rule=*:storage=1M", None),
            ("", None),
        ] {
            assert_eq!(in_extra_fields(fields), want, "{fields}");
        }
    }
}
