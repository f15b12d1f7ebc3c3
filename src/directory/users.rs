//! The users file: Dovecot passwd-file lines, `name:{SCHEME}secret:…`.
//!
//! Promises: a file is taken whole or not at all; every broken line is named with a reason that shows
//! no secret. Blank lines and lines that begin with `#` are comments; fields after the secret are
//! Dovecot's and passed over, but for a quota in the extra fields (`quota`). Refuses to know: where the file lies. Limits: 4 MiB.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::config::values::user_name;

use super::quota;
use super::secret::{Secret, Work};

/// The users of one reading of the file.
pub struct Users {
    secrets: Vec<Secret>,
    /// From the name in lower case to its place in `secrets`.
    places: HashMap<String, usize>,
    /// What each secret costs, the dearest last, so that a share of them is a share of the file.
    works: Vec<Work>,
    /// Iterations and octets of the salt of each that can log in by SCRAM, in order.
    scram: Vec<(NonZeroU32, usize)>,
    /// What those may keep that have a quota of their own, octets.
    quotas: HashMap<String, u64>,
}

/// A broken line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1.
    pub line: usize,
    /// Why, in plain words and without secrets.
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// Never prints secrets.
impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.places.keys()).finish()
    }
}

/// The largest users file, in octets.
pub const FILE_MAX_OCTETS: u64 = 4 * 1024 * 1024;

impl Users {
    /// A file without a user.
    pub fn nobody() -> Self {
        Self {
            secrets: Vec::new(),
            places: HashMap::new(),
            works: Vec::new(),
            scram: Vec::new(),
            quotas: HashMap::new(),
        }
    }

    /// Parses a whole file: the users of its good lines, and its broken lines.
    pub fn parse(content: &[u8]) -> (Self, Vec<Fault>) {
        let mut users = Self::nobody();
        let mut faults = Vec::new();
        let mut lines_of_names: HashMap<String, usize> = HashMap::new();
        for (at, octets) in content.split(|&octet| octet == b'\n').enumerate() {
            let line = at + 1;
            let octets = octets.strip_suffix(b"\r").unwrap_or(octets);
            if is_comment(octets) {
                continue;
            }
            match parse_line(octets) {
                Ok((name, secret, quota)) => {
                    if let Some(first) = lines_of_names.get(&name) {
                        let reason = format!("the user {name:?} already stands on line {first}");
                        faults.push(Fault { line, reason });
                        continue;
                    }
                    lines_of_names.insert(name.clone(), line);
                    if let Some(quota) = quota {
                        users.quotas.insert(name.clone(), quota);
                    }
                    let place = users.secrets.len();
                    if let Some(keys) = secret.scram() {
                        users.scram.push((keys.iterations, keys.salt.len()));
                    }
                    users.works.push(secret.work());
                    users.places.insert(name, place);
                    users.secrets.push(secret);
                }
                Err(reason) => faults.push(Fault { line, reason }),
            }
        }
        users.works.sort_unstable();
        users.scram.sort_unstable();
        (users, faults)
    }

    /// The iterations that most of the secrets have; the larger number where two are as many.
    pub fn usual_iterations(&self) -> Option<NonZeroU32> {
        let same = |one: &(NonZeroU32, usize), other: &(NonZeroU32, usize)| one.0 == other.0;
        let groups = self.scram.chunk_by(same);
        let most = groups.max_by_key(|group| group.len())?;
        most.first().map(|(iterations, _)| *iterations)
    }

    /// How long a login of the user takes here whose password is the dearest, and the user; of each kind of password.
    pub fn dearest_logins(&self) -> Vec<(&str, Duration)> {
        let mut kinds: Vec<(&str, Work)> = Vec::new();
        for (name, place) in &self.places {
            let Some(work) = self.secrets.get(*place).map(Secret::work) else {
                continue;
            };
            match kinds.iter_mut().find(|kind| kind.1.is_like(work)) {
                Some(kind) if (kind.1, name.as_str()) < (work, kind.0) => *kind = (name, work),
                Some(_) => {}
                None => kinds.push((name, work)),
            }
        }
        kinds
            .into_iter()
            .map(|(name, work)| (name, work.takes()))
            .collect()
    }

    /// Whether `name`, in lower case, is a user.
    pub fn contains(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// The names in lower case, in no order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(String::as_str)
    }

    /// What `name`, in lower case, may keep by the file, octets; 0 = all.
    pub(super) fn quota(&self, name: &str) -> Option<u64> {
        self.quotas.get(name).copied()
    }

    /// The secret of `name`, in lower case.
    pub(super) fn secret(&self, name: &str) -> Option<&Secret> {
        self.secrets.get(*self.places.get(name)?)
    }

    /// What one of the secrets costs. Of all numbers, each cost has the share that it has in the file.
    pub(super) fn any_work(&self, number: u64) -> Option<Work> {
        pick(&self.works, number)
    }

    /// Iterations and octets of the salt of one of those of SCRAM; the same way.
    pub(super) fn any_scram(&self, number: u64) -> Option<(NonZeroU32, usize)> {
        pick(&self.scram, number)
    }

    /// The same among those that have so many iterations.
    pub(super) fn any_scram_of(
        &self,
        iterations: NonZeroU32,
        number: u64,
    ) -> Option<(NonZeroU32, usize)> {
        let begin = self.scram.partition_point(|one| one.0 < iterations);
        let end = self.scram.partition_point(|one| one.0 <= iterations);
        pick(self.scram.get(begin..end)?, number)
    }
}

/// The entry at this share of all numbers: a list that gets one entry more gives nearly all numbers what it gave.
fn pick<T: Copy>(entries: &[T], number: u64) -> Option<T> {
    let place = (u128::from(number) * entries.len() as u128) >> u64::BITS;
    entries.get(usize::try_from(place).ok()?).copied()
}

/// The names on all lines, broken ones included, in lower case.
pub fn names_written(content: &[u8]) -> HashSet<String> {
    let lines = content.split(|&octet| octet == b'\n');
    let names = lines.filter(|line| !is_comment(line)).filter_map(name_of);
    let names = names.filter_map(|name| std::str::from_utf8(name).ok());
    names.map(str::to_lowercase).collect()
}

/// Whether a line says nothing.
pub fn is_comment(line: &[u8]) -> bool {
    let text = line.trim_ascii();
    text.is_empty() || text.starts_with(b"#")
}

/// The name's octets, where a line has one.
pub fn name_of(line: &[u8]) -> Option<&[u8]> {
    let end = line.iter().position(|&octet| octet == b':')?;
    line.get(..end)
}

fn parse_line(octets: &[u8]) -> Result<(String, Secret, Option<u64>), String> {
    let text = std::str::from_utf8(octets).map_err(|_| "this line is not UTF-8".to_owned())?;
    let (name, rest) = text
        .split_once(':')
        .ok_or_else(|| "no \":\" after the user's name".to_owned())?;
    let name =
        user_name(name).map_err(|reason| format!("{name:?} is not a user's name: {reason}"))?;
    // secret:uid:gid:gecos:home:shell:extra, and extra fields may hold colons.
    let mut fields = rest.splitn(7, ':');
    let secret = fields.next().unwrap_or_default();
    let secret = Secret::parse(secret).map_err(|reason| format!("user {name:?}: {reason}"))?;
    let quota = fields.nth(5).and_then(quota::in_extra_fields);
    Ok((name, secret, quota))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "$5$saltstring$P8WxiZdsQgEV/WrUJLFhcY321KVz2YovpJcf0/DrUQ2";

    #[test]
    fn good_lines_are_users_and_broken_ones_are_named() {
        let file = format!(
            "# users\n\nAlice:{SECRET}\r\n  # more\nbob:{SECRET}:1000:1000::/home/bob\nnothing\n\
             a/b:{SECRET}\nALICE:{SECRET}\ncarol:{{PLAIN}}hunter2\n:x\n"
        );
        let mut octets = file.into_bytes();
        octets.extend(b"d\xff:x\n");
        let (users, faults) = Users::parse(&octets);
        let mut names: Vec<_> = users.names().collect();
        names.sort_unstable();
        assert_eq!(names, ["alice", "bob"]);
        let faults: Vec<_> = faults
            .iter()
            .map(|fault| format!("{}: {}", fault.line, fault.reason))
            .collect();
        assert_eq!(
            faults,
            [
                "6: no \":\" after the user's name",
                "7: \"a/b\" is not a user's name: it holds one of / @ :",
                "8: the user \"alice\" already stands on line 3",
                "9: user \"carol\": the scheme {PLAIN} is not supported; write it with gatepost passwd",
                "10: \"\" is not a user's name: it is empty",
                "11: this line is not UTF-8",
            ]
        );
        assert!(
            users
                .secret("bob")
                .is_some_and(|secret| secret.matches(b"wonderland"))
        );
        assert_eq!(users.quota("bob"), None);
        assert!(users.any_work(7).is_some() && Users::nobody().any_work(7).is_none());
        assert_eq!(format!("{:?}", Users::parse(b"").0), "{}");
    }

    #[test]
    fn a_quota_stands_in_the_extra_fields_and_nowhere_else() {
        let rule = "userdb_quota_rule=*:storage=5M";
        for (fields, want) in [
            (format!("1000:1000::/home/x::{rule}"), Some(5 << 20)),
            (
                format!("1000:1000::/home/x:/bin/sh:a=b:c {rule}"),
                Some(5 << 20),
            ),
            (format!("::::: {rule}"), Some(5 << 20)),
            (format!("1000:1000:{rule}::"), None),
            ("1000:1000::/home/x".to_owned(), None),
        ] {
            let (users, faults) = Users::parse(format!("Alice:{SECRET}:{fields}").as_bytes());
            assert_eq!(faults, []);
            assert_eq!(users.quota("alice"), want, "{fields}");
        }
    }
}
