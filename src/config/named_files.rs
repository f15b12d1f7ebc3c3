//! The files that keys name and the service reads again while it runs.
//!
//! Promises: every such file is in the list, with the key that names it: what is missing there is out of the
//! sandbox's reach. Refuses to know: programs, which the helper process runs, and folders.

use std::borrow::Cow;
use std::path::Path;

use super::settings::Settings;

/// A file and the key that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile<'a> {
    /// The section, without brackets.
    pub section: Cow<'static, str>,
    /// The key.
    pub key: &'static str,
    /// The file, made absolute.
    pub path: &'a Path,
}

impl Settings {
    /// The files, section by section; those of sites also where sites are not loaded.
    pub fn named_files(&self) -> Vec<NamedFile<'_>> {
        let tls = [
            ("tls".into(), "certificate", self.tls.certificate.as_deref()),
            ("tls".into(), "private_key", self.tls.private_key.as_deref()),
            ("auth".into(), "users", Some(self.auth.users.as_path())),
            ("aliases".into(), "file", self.aliases.as_deref()),
        ];
        let sites = self.sites.iter().flat_map(|site| {
            let section: Cow<'static, str> = site.section().into();
            [
                (section.clone(), "certificate", site.certificate.as_deref()),
                (section, "private_key", site.private_key.as_deref()),
            ]
        });
        let smarthosts = self.smarthosts.iter().flat_map(|smarthost| {
            let secret = smarthost.login.as_ref().map(|login| &login.secret);
            let key = secret.map_or("password_file", |secret| secret.key());
            [
                (smarthost.section(), key, secret.map(|secret| secret.file())),
                (smarthost.section(), "ca_file", smarthost.ca_file.as_deref()),
            ]
        });
        let webhooks = self.handlers.webhooks.iter().flat_map(|webhook| {
            let section: Cow<'static, str> = format!("webhook:{}", webhook.name).into();
            [
                (section.clone(), "token_file", webhook.token_file.as_deref()),
                (section, "ca_file", webhook.ca_file.as_deref()),
            ]
        });
        let all = tls
            .into_iter()
            .chain(sites)
            .chain(smarthosts)
            .chain(webhooks);
        all.filter_map(|(section, key, path)| {
            let path = path?;
            Some(NamedFile { section, key, path })
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::super::{keys, load};

    /// Paths of the table that are no files the service reads.
    const OTHERS: &[(&str, &str)] = &[
        ("server", "spool"),
        ("delivery", "mail_root"),
        ("control", "socket"),
        ("command:NAME", "program"),
    ];

    #[test]
    fn every_file_of_the_table_is_in_the_list() {
        // What sections need besides; one smarthost has a password, the other a token.
        let needs = |section: &str| match section {
            "smarthost" => "host = a.example\nusername = u\n",
            "smarthost:NAME" => "host = b.example\nsender_domains = b.example\nusername = u\n",
            "webhook:NAME" => "url = https://c.example/\n",
            _ => "",
        };
        let left_out = [
            ("smarthost", "token_file"),
            ("smarthost:NAME", "password_file"),
        ];
        let mut sections: Vec<(&str, String)> = Vec::new();
        let mut wanted = Vec::new();
        for key in keys::all().filter(|key| matches!(key.kind, keys::Kind::Path)) {
            let pair = (key.section(), key.name);
            if OTHERS.contains(&pair) || left_out.contains(&pair) {
                continue;
            }
            wanted.push(pair);
            let (section, name) = pair;
            let line = format!("{name} = /f/{section}/{name}\n");
            match sections.iter_mut().find(|(known, _)| *known == section) {
                Some((_, lines)) => lines.push_str(&line),
                None => sections.push((section, format!("{}{line}", needs(section)))),
            }
        }
        assert!(wanted.len() > 10, "{wanted:?}");
        let ini = sections
            .iter()
            .map(|(section, lines)| format!("[{section}]\n{lines}"));
        let file = std::env::temp_dir().join(format!("gatepost-named-{}", std::process::id()));
        fs::write(&file, ini.collect::<String>()).unwrap();
        let settings = load::parse(&file);
        fs::remove_file(&file).unwrap();
        let settings = settings.unwrap();
        let named = settings.named_files();
        for (section, key) in wanted {
            let path = format!("/f/{section}/{key}");
            let found = named.iter().find(|named| named.path == Path::new(&path));
            let found = found.map(|named| (named.section.as_ref(), named.key));
            // Names of sections are kept in lower case.
            let section = section.to_lowercase();
            assert_eq!(found, Some((section.as_str(), key)), "{path}");
        }
    }
}
