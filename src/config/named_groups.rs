//! The groups that lists of the settings name.
//!
//! Promises: every list with `@group` is here, so that what a missing group means is decided for all of them: it
//! is an error of the file, and an aliases file that lacks it is not taken up. Refuses to know: what groups there
//! are.

use super::lists::AccessName;
use super::settings::Settings;

/// A group that a list names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedGroup<'a> {
    /// The section, without brackets.
    pub section: &'static str,
    /// The key of the list.
    pub key: &'static str,
    /// The group in lower case, without the `@`.
    pub group: &'a str,
}

impl NamedGroup<'_> {
    /// The list: `[SECTION] KEY`.
    pub fn list(&self) -> String {
        format!("[{}] {}", self.section, self.key)
    }
}

impl Settings {
    /// Every group that a list names, list by list.
    pub fn named_groups(&self) -> Vec<NamedGroup<'_>> {
        let access = &self.server_access;
        let lists = [
            ("server_access", "allow", &access.allow),
            ("server_access", "deny", &access.deny),
        ];
        let mut groups = Vec::new();
        for (section, key, list) in lists {
            groups.extend(list.iter().filter_map(|entry| match entry {
                AccessName::Group(group) => Some(NamedGroup {
                    section,
                    key,
                    group,
                }),
                AccessName::Everyone | AccessName::User { .. } => None,
            }));
        }
        groups
    }
}
