//! Rules over the account that the service runs as: it is there, and can use what the settings name.
//!
//! What it cannot read keeps no service from starting, but mail from being taken, so it is an error for
//! `check` and a refresh. Certificates and keys that root reads at each start are W-15.

use std::path::Path;

use super::super::keys::Ask;
use super::super::keys_table::extensions;
use super::super::problem::{Problem, Severity};
use super::{Found, Probe, Sight, Unusable};
use crate::proposals::{self, Word};

impl Found<'_> {
    /// W-15, W-26, and what cannot be used at all.
    pub(super) fn the_account_can_use_its_files(&mut self, probe: &dyn Probe) {
        match probe.sight(self.settings) {
            Sight::Seen(unusable) => {
                // The key first: what helps it helps the certificate.
                let (renewed, others): (Vec<_>, Vec<_>) =
                    unusable.into_iter().partition(|one| one.only_until_renewed);
                self.renewals_are_read(renewed);
                others.into_iter().for_each(|one| self.cannot_be_used(one));
            }
            // A file that names none is not at fault where none is installed.
            Sight::NoAccount(name) if !self.draft.is_written("server", "user") => {
                self.nobody_looked(&name, "there is no such account on this machine");
            }
            Sight::NoAccount(name) => {
                let reason = format!("there is no account {name:?} on this machine");
                self.at(("server", "user"), &[], None, reason);
            }
            Sight::NotLooked(name) => {
                self.nobody_looked(&name, "ask as root, or while the service runs");
            }
        }
    }

    /// W-26.
    fn nobody_looked(&mut self, name: &str, why: &str) {
        let reason =
            format!("what the settings name was not looked at as the account {name}: {why}");
        self.of_the_file(Severity::Warning("W-26"), reason);
    }

    /// W-15, one line for each pair.
    fn renewals_are_read(&mut self, mut unusable: Vec<Unusable>) {
        unusable.sort_by_key(|one| (one.section.clone(), one.key != "private_key"));
        unusable.dedup_by(|later, earlier| later.section == earlier.section);
        for Unusable {
            section,
            key,
            reason,
            ..
        } in unusable
        {
            if !self.is_at_fault(&section, key) {
                let depends_on = [("server", "user")];
                self.at((&section, key), &depends_on, Some("W-15"), reason);
            }
        }
    }

    fn cannot_be_used(&mut self, unusable: Unusable) {
        let Unusable {
            section,
            key,
            reason,
            ..
        } = unusable;
        if section.is_empty() {
            return self.of_the_file(Severity::NewError, reason);
        }
        let is_intact = self.draft.is_intact(&[(&section, key)]);
        if is_intact && !self.is_at_fault(&section, key) {
            let line = self.draft.rule_line(&section, key, &[]);
            self.record(Some(line), (&section, key), Severity::NewError, reason);
        }
    }

    /// Whether another rule has found the file at fault: one mistake, one line.
    fn is_at_fault(&self, section: &str, key: &str) -> bool {
        self.problems.iter().any(|problem| {
            let place = (problem.section.as_deref(), problem.key.as_deref());
            problem.is_error() && place == (Some(section), Some(key))
        })
    }

    fn of_the_file(&mut self, severity: Severity, reason: String) {
        self.problems.push(Problem {
            file: self.draft.file.clone(),
            line: None,
            section: None,
            key: None,
            reason,
            severity,
        });
    }

    /// W-18.
    pub(super) fn root_is_not_the_account(&mut self) {
        if self.settings.user == "root" {
            let reason = "a service that is taken over then has the whole machine; name an account that can \
                          do nothing else";
            self.at(("server", "user"), &[], Some("W-18"), reason);
        }
    }

    /// W-19. Who may read a configuration and aliases is not told: they hold no secrets, and sendmail(8) reads
    /// the one for everybody. A password or token that others can read is W-11.
    pub(super) fn others_are_kept_out(&mut self, probe: &dyn Probe) {
        let settings = self.settings;
        let what = |path: &Path, is_secret: bool| {
            let may = probe.others_may(path) & if is_secret { 0o6 } else { 0o2 };
            let (words, command) = match may {
                0 => return None,
                0o2 => ("write", "chmod o-w {}"),
                0o4 => ("read", "chmod o-r {}"),
                _ => ("read and write", "chmod o-rw {}"),
            };
            let mend = match Word::path(path) {
                Some(path) => format!("type {}", proposals::line(command, &[&path])),
                None => "keep them out".to_owned(),
            };
            let path = path.display();
            Some(format!(
                "{path}: every account of this machine can {words} it; {mend}"
            ))
        };
        if let Some(reason) = what(&settings.file, false) {
            self.of_the_file(Severity::Warning("W-19"), reason);
        }
        for named in settings.named_files() {
            let is_secret = match named.key {
                "private_key" => self.settings.wants_tls() || named.section != "tls",
                "users" => true,
                _ => false,
            };
            if let Some(reason) = what(named.path, is_secret) {
                self.at((&named.section, named.key), &[], Some("W-19"), reason);
            }
        }
    }

    /// W-27: keys that the file of a Domino server has, and that nothing asks.
    pub(super) fn keys_have_an_effect(&mut self) {
        let etrn = extensions::ETRN.rule();
        if self.draft.is_written(etrn.section(), etrn.name) {
            let reason = "this key has no effect: ETRN is refused whatever it says";
            self.at((etrn.section(), etrn.name), &[], Some("W-27"), reason);
        }
    }

    /// W-22, for addresses that are written: of the default ones one may be missing.
    pub(super) fn addresses_are_here(&mut self, probe: &dyn Probe) {
        let settings = self.settings;
        for port in settings
            .ports
            .iter()
            .filter(|port| port.enabled && !port.addresses_are_default)
        {
            let section = super::section(port);
            for address in &port.addresses {
                if probe.has_address(*address) {
                    continue;
                }
                let reason = format!(
                    "this machine has no address {address}, so the service does not start until it has it"
                );
                let depends_on = [(section.as_str(), "status")];
                self.at((&section, "addresses"), &depends_on, Some("W-22"), reason);
            }
        }
    }
}
