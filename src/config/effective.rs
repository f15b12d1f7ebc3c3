//! What a file sets, key by key, so that two files can be compared.
//!
//! Promises: a default that is written down is no change; the keys come out in the order of the table,
//! then by section of the file. Refuses to know: what a change means.

use std::fmt;

use super::draft::Draft;
use super::keys;
use super::values::Value;

/// The value of every key of a file; of a key that is not written, its default.
#[derive(Clone, Default)]
pub struct Effective(Vec<Row>);

#[derive(Clone)]
struct Row {
    section: String,
    key: &'static str,
    value: Option<Value>,
}

/// The settings print themselves; this is only what they were made from.
impl fmt::Debug for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Effective")
    }
}

impl Effective {
    pub(super) fn of(draft: &Draft) -> Self {
        let mut sections: Vec<&str> = keys::sections();
        sections.retain(|section| !section.ends_with(keys::ANY_NAME));
        for (section, _) in &draft.sections {
            if !sections.contains(&section.as_str()) {
                sections.push(section);
            }
        }
        let mut rows = Vec::new();
        for section in sections {
            for key in keys::of_section(section).unwrap_or_default() {
                rows.push(Row {
                    section: section.to_owned(),
                    key: key.name,
                    value: draft.value(section, key.name),
                });
            }
        }
        Self(rows)
    }

    /// The keys, as section and key, whose values differ; those of a section that is only in one of
    /// the two are all named.
    pub fn differences<'a>(&'a self, next: &'a Self) -> Vec<(&'a str, &'static str)> {
        let mut changed = Vec::new();
        for row in &next.0 {
            let before = self.find(&row.section, row.key);
            if before.is_none_or(|before| before.value != row.value) {
                changed.push((row.section.as_str(), row.key));
            }
        }
        for row in &self.0 {
            if next.find(&row.section, row.key).is_none() {
                changed.push((row.section.as_str(), row.key));
            }
        }
        changed
    }

    fn find(&self, section: &str, key: &str) -> Option<&Row> {
        let same = |row: &&Row| row.section == section && row.key == key;
        self.0.iter().find(same)
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
