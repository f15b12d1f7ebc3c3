//! What a file sets, key by key, so that two files can be compared.
//!
//! Promises: a default that is written down is no change; the keys come out in the order of the table,
//! then by section of the file. Refuses to know: what a change means.

use std::fmt;

use super::draft::{Draft, Written};
use super::keys::{self, KeyRule, Line};

/// What is written for each key of a file; one that is not written has its default.
#[derive(Clone, Default)]
pub struct Effective {
    /// Every section without a name, in the order of the table, then those of the file with one.
    sections: Vec<String>,
    written: Vec<Written>,
}

/// The settings print themselves; this is only what they were made from.
impl fmt::Debug for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Effective")
    }
}

impl Effective {
    pub(super) fn of(draft: &Draft) -> Self {
        let known = keys::sections().into_iter();
        let known = known.filter(|section| !section.ends_with(keys::ANY_NAME));
        let mut sections: Vec<String> = known.map(str::to_owned).collect();
        for (section, _) in &draft.sections {
            if !sections.contains(section) {
                sections.push(section.clone());
            }
        }
        let written = draft.written.clone();
        Self { sections, written }
    }

    /// The keys, as section and key, whose values differ; those of a section that is only in one of
    /// the two are all named.
    pub fn differences<'a>(&'a self, next: &'a Self) -> Vec<(&'a str, &'static str)> {
        let mut changed = Vec::new();
        let mut keys_of = |section: &'a str, differs: &dyn Fn(&KeyRule) -> bool| {
            let keys = keys::of_section(section).unwrap_or_default().into_iter();
            let keys = keys.filter(|key| differs(key));
            changed.extend(keys.map(|key| (section, key.name)));
        };
        for section in &next.sections {
            let is_in_both = self.sections.contains(section);
            keys_of(section, &|key| {
                let name = key.name;
                !is_in_both || !key.is_same(self.find(section, name), next.find(section, name))
            });
        }
        for section in &self.sections {
            if !next.sections.contains(section) {
                keys_of(section, &|_| true);
            }
        }
        changed
    }

    fn find(&self, section: &str, key: &str) -> Option<&[Line]> {
        let same = |one: &&Written| one.section == section && one.key == key;
        self.written.iter().find(same)?.good()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn changed(before: &str, next: &str) -> Vec<String> {
        let [before, next] = [before, next]
            .map(|text| Effective::of(&Draft::read(Path::new("f.ini"), text.as_bytes())));
        let changed = before.differences(&next).into_iter();
        changed
            .map(|(section, key)| format!("{section} {key}"))
            .collect()
    }

    #[test]
    fn only_values_that_differ_are_named() {
        let further = "[port:a]\nkind = tcp\nnumber = 587\n";
        let rows: &[(&str, &str, &[&str])] = &[
            ("", "", &[]),
            ("", "[port:tcp]\nnumber = 25\n", &[]),
            ("[log]\nlevel = INFO\n", "; c\n[log]\nlevel=info\n", &[]),
            ("", "[port:tcp]\nnumber = 26\n", &["port:tcp number"]),
            ("[port:tcp]\nnumber = 26\n", "", &["port:tcp number"]),
            ("", "[server]\nhostname = a.example\n", &["server hostname"]),
            (
                "[server]\nlocal_domains = a.example, b.example\n",
                "[server]\nlocal_domains = a.example,\n  c.example\n",
                &["server local_domains"],
            ),
            (
                "[site:a]\n",
                "[site:a]\ncertificate = main.pem\n",
                &["site:a certificate"],
            ),
            ("", "[auth]\nusers = users\n", &[]),
            (further, further, &[]),
        ];
        for (before, next, want) in rows {
            assert_eq!(changed(before, next), *want, "{before} -> {next}");
        }
        let all = changed(further, "");
        assert!(all.contains(&"port:a number".to_owned()), "{all:?}");
        assert_eq!(changed("", further).len(), all.len());
    }
}
