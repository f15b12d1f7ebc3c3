//! Rules over the files that keys name: certificate, key, users, aliases.

use std::path::Path;

use super::super::problem::{Problem, Severity};
use super::super::settings::{Port, PortKind, StartTls};
use super::{AliasesFacts, Currency, Found, Probe, UsersFacts, section};

impl Found<'_> {
    /// V-06 and W-09.
    pub(super) fn the_certificate_is_usable(&mut self, probe: &dyn Probe) {
        let tls_port = |port: &&Port| port.enabled && port.kind == PortKind::Tls;
        let ports: Vec<String> = self
            .settings
            .ports
            .iter()
            .filter(tls_port)
            .map(section)
            .collect();
        let mut depends_on: Vec<(&str, &str)> = ports
            .iter()
            .map(|section| (section.as_str(), "status"))
            .collect();
        if self.settings.extensions.starttls != StartTls::Disabled {
            depends_on.push(("extensions", "starttls"));
        }
        let Some((section, key)) = depends_on.first().copied() else {
            return;
        };
        let (certificate, private_key) = (("tls", "certificate"), ("tls", "private_key"));
        let tls = &self.settings.tls;
        if tls.certificate.is_none() && self.every_site_has_its_own() {
            return;
        }
        let missing = match (&tls.certificate, &tls.private_key) {
            (Some(_), Some(_)) => return self.the_files_are_usable(probe),
            (None, _) => certificate,
            (Some(_), None) => private_key,
        };
        let reason = format!("[{section}] {key} needs a certificate and its private key (V-06)");
        if self.draft.is_intact(&[certificate, private_key]) {
            self.at(missing, &depends_on, None, reason);
        }
    }

    /// Whether sites are loaded and none of them needs the certificate of `[tls]`.
    fn every_site_has_its_own(&self) -> bool {
        let sites = &self.settings.sites;
        self.settings.load_internet_sites
            && !sites.is_empty()
            && sites.iter().all(|site| site.certificate.is_some())
    }

    pub(super) fn the_files_are_usable(&mut self, probe: &dyn Probe) {
        let tls = &self.settings.tls;
        let (Some(certificate), Some(private_key)) = (&tls.certificate, &tls.private_key) else {
            return;
        };
        self.the_pair_is_usable("tls", (certificate, private_key), probe);
        self.the_certificate_is_for_this_host(certificate, probe);
    }

    /// W-17, for a name that the operator wrote: the machine's own is often none that clients use.
    fn the_certificate_is_for_this_host(&mut self, certificate: &Path, probe: &dyn Probe) {
        if !self.draft.is_written("server", "hostname") {
            return;
        }
        let hostname = &self.settings.hostname;
        if probe.certificate_is_for(certificate, hostname) == Some(false) {
            let file = certificate.display();
            let reason = format!(
                "{file}: the certificate is not for {hostname}, so clients that check names refuse it; \
                 gatepost certificate makes one that is"
            );
            self.at(
                ("tls", "certificate"),
                &[("server", "hostname")],
                Some("W-17"),
                reason,
            );
        }
    }

    /// V-06 and W-09 of one pair.
    pub(super) fn the_pair_is_usable(
        &mut self,
        section: &str,
        (certificate, private_key): (&Path, &Path),
        probe: &dyn Probe,
    ) {
        match probe.certificate(certificate, private_key) {
            Ok(Currency::Valid) => {}
            Ok(Currency::NotNow(why)) => {
                self.at((section, "certificate"), &[], Some("W-09"), why);
            }
            Err(fault) => {
                let key = match fault.in_private_key {
                    true => "private_key",
                    false => "certificate",
                };
                let reason = format!("{} (V-06)", fault.reason);
                self.at((section, key), &[], None, reason);
            }
        }
    }

    /// The users file is there when it is needed, and is good; the catch-all is one of its users.
    pub(super) fn the_users_are_known(&mut self, probe: &dyn Probe) {
        let path = self.settings.auth.users.clone();
        if !self.draft.is_intact(&[("auth", "users")]) {
            return;
        }
        let reason = match probe.users(&path) {
            UsersFacts::Read(names, faults) => {
                self.catch_all_is_one_of(&names, &path);
                return self.faulty_lines(&path, faults);
            }
            UsersFacts::Unreadable(reason) => reason,
            UsersFacts::Missing => match self.why_users_are_needed() {
                Some(why) => format!("there is no such file, and {why}"),
                None => return,
            },
        };
        let reason = format!("{}: {reason}", path.display());
        self.at(("auth", "users"), &self.users_depend_on(), None, reason);
    }

    /// W-16: the sandbox reaches this very file, but not one that takes its place.
    pub(super) fn replaced_files_are_reached(&mut self, probe: &dyn Probe) {
        if !self.settings.sandbox {
            return;
        }
        for named in self.settings.named_files() {
            let Some(shared) = probe.shared_folder(named.path) else {
                continue;
            };
            let (path, shared) = (named.path.display(), shared.display());
            let reason = format!(
                "{path} is in {shared}, which the sandbox does not open as a whole: a file that takes \
                 its place is read only after a restart; give it a folder of its own"
            );
            self.at((&named.section, named.key), &[], Some("W-16"), reason);
        }
    }

    pub(super) fn users_depend_on(&self) -> [(&'static str, &'static str); 5] {
        [
            ("recipients", "verify"),
            ("port:tcp", "name_and_password"),
            ("port:tls", "name_and_password"),
            ("port:tls", "status"),
            ("extensions", "starttls"),
        ]
    }

    pub(super) fn why_users_are_needed(&self) -> Option<&'static str> {
        if self.settings.recipients.verify {
            return Some("[recipients] verify needs one");
        }
        let settings = self.settings;
        let starttls = settings.extensions.starttls;
        let plain = starttls != StartTls::Required && !settings.auth.plaintext_from.is_empty();
        let can_log_in = |port: &Port| {
            let serving = settings.serving_of_port(port).into_iter();
            let mut methods = serving.map(|serving| settings.methods(port, serving));
            methods.any(|methods| match port.kind {
                PortKind::Tcp => {
                    methods.auth && plain
                        || methods.auth_after_starttls && starttls != StartTls::Disabled
                }
                PortKind::Tls => methods.auth,
            })
        };
        let mut enabled = settings.ports.iter().filter(|port| port.enabled);
        enabled
            .any(can_log_in)
            .then_some("name_and_password needs one")
    }

    pub(super) fn catch_all_is_one_of(&mut self, names: &[String], users: &Path) {
        let Some(catch_all) = &self.settings.recipients.catch_all else {
            return;
        };
        if catch_all == POSTMASTER || names.contains(catch_all) {
            return;
        }
        let reason = format!("{catch_all:?} is not a user of {}", users.display());
        self.at(("recipients", "catch_all"), &[], None, reason);
    }

    /// The aliases file is there when it is named, and is good, also against the users.
    pub(super) fn the_aliases_are_good(&mut self, probe: &dyn Probe) {
        let Some(path) = self.settings.aliases.clone() else {
            return;
        };
        // Which names are local, and which are users, is not known while these are at fault.
        let depends_on = [
            ("aliases", "file"),
            ("auth", "users"),
            ("server", "hostname"),
            ("server", "local_domains"),
            ("recipients", "subaddress"),
        ];
        if !self.draft.is_intact(&depends_on) || !self.handlers_are_known() {
            return;
        }
        match probe.aliases(self.settings) {
            AliasesFacts::NotSet => {}
            AliasesFacts::Unreadable(reason) => {
                let reason = format!("{}: {reason}", path.display());
                self.at(("aliases", "file"), &[], None, reason);
            }
            AliasesFacts::Read {
                faults,
                with_domain,
                ..
            } => {
                self.faulty_lines(&path, faults);
                self.domains_of_aliases(&path, with_domain);
            }
        }
    }

    /// W-25. A file for one domain means what it says.
    fn domains_of_aliases(&mut self, file: &Path, with_domain: Vec<(usize, String)>) {
        if self.settings.local_domains.len() < 2 {
            return;
        }
        for (line, name) in with_domain {
            let local_part = name
                .rsplit_once('@')
                .map_or(name.as_str(), |(local, _)| local);
            self.problems.push(Problem {
                file: file.to_owned(),
                line: Some(line),
                section: None,
                key: None,
                reason: format!(
                    "the alias {name:?} counts for {local_part:?} in every local domain: its own domain is \
                     passed over"
                ),
                severity: Severity::Warning("W-25"),
            });
        }
    }

    /// Whether no section of a command or webhook is missing because it is at fault.
    fn handlers_are_known(&self) -> bool {
        let is_one =
            |section: &str| section.starts_with("command:") || section.starts_with("webhook:");
        let mut problems = self.draft.problems.iter();
        !problems.any(|problem| problem.section.as_deref().is_some_and(is_one))
    }

    fn faulty_lines(&mut self, file: &Path, faults: Vec<(usize, String)>) {
        self.problems
            .extend(faults.into_iter().map(|(line, reason)| Problem {
                file: file.to_owned(),
                line: Some(line),
                section: None,
                key: None,
                reason,
                severity: Severity::Error,
            }));
    }
}

/// The user who exists without standing in the users file (RFC 5321 section 4.5.1).
const POSTMASTER: &str = "postmaster";
