//! Rules over server access: it needs logins, it does not bind strangers, it names users there are.

use super::super::lists::AccessName;
use super::super::settings::{PortKind, StartTls};
use super::{AliasesFacts, Found, Probe, UsersFacts, section};

impl Found<'_> {
    /// V-04.
    pub(super) fn access_needs_a_login(&mut self) {
        if !self.settings.server_access.enforce {
            return;
        }
        let starttls = self.settings.extensions.starttls;
        let mut enabled = self.settings.ports.iter().filter(|port| port.enabled);
        let can_log_in = enabled.any(|port| {
            let serving = self.settings.serving_of_port(port).into_iter();
            let mut methods = serving.map(|serving| self.settings.methods(port, serving));
            methods.any(|methods| match port.kind {
                PortKind::Tls => methods.auth,
                PortKind::Tcp => {
                    methods.auth && starttls != StartTls::Required
                        || methods.auth_after_starttls && starttls != StartTls::Disabled
                }
            })
        });
        if can_log_in {
            return;
        }
        let depends_on = self.login_keys();
        let depends_on = borrowed(&depends_on);
        let reason = "nobody can log in on any enabled port, so there is nobody to let in or keep \
                      out (V-04)";
        self.at(("server_access", "enforce"), &depends_on, None, reason);
    }

    /// W-02, a line for each port.
    pub(super) fn access_does_not_bind_strangers(&mut self) {
        if !self.settings.server_access.enforce {
            return;
        }
        let settings = self.settings;
        for port in settings.ports.iter().filter(|port| port.enabled) {
            let mut serving = settings.serving_of_port(port).into_iter();
            if !serving.any(|serving| settings.methods(port, serving).anonymous) {
                continue;
            }
            let section = section(port);
            let reason = format!(
                "a user who is kept out can still send without a login on [{section}], which \
                 takes anonymous mail"
            );
            let depends_on = [(section.as_str(), "anonymous"), (&section, "status")];
            self.at(
                ("server_access", "enforce"),
                &depends_on,
                Some("W-02"),
                reason,
            );
        }
    }

    /// W-08.
    pub(super) fn access_lists_name_users(&mut self, probe: &dyn Probe) {
        let access = &self.settings.server_access;
        let lists = [("allow", &access.allow), ("deny", &access.deny)];
        if lists.iter().all(|(_, list)| list.is_empty()) {
            return;
        }
        let users = match probe.users(&self.settings.auth.users) {
            UsersFacts::Read(users, _) => users,
            UsersFacts::Missing => Vec::new(),
            // That it cannot be read is a problem of its own.
            UsersFacts::Unreadable(_) => return,
        };
        let (mut found, mut futile) = (Vec::new(), Vec::new());
        for (key, list) in lists {
            for entry in list {
                let AccessName::User { name, domain } = entry else {
                    continue;
                };
                let local = domain
                    .as_ref()
                    .is_none_or(|domain| self.settings.is_local_domain(domain));
                let known = local && (users.contains(name) || name == "postmaster");
                if !known && name.contains('*') {
                    futile.push((key, entry.to_string()));
                } else if !known && access.enforce {
                    let reason = format!("there is no user {entry}");
                    found.push((key, reason));
                }
            }
        }
        for (key, entry) in futile {
            let reason = format!("{entry:?} matches nobody: a * alone is every user; write *");
            self.newly_wrong_entry(("server_access", key), &entry, reason);
        }
        for (key, reason) in found {
            let list = ("server_access", key);
            self.at(list, &[("auth", "users")], Some("W-08"), reason);
        }
    }

    /// Groups that are none.
    pub(super) fn lists_name_groups(&mut self, probe: &dyn Probe) {
        let named = self.settings.named_groups();
        if named.is_empty() {
            return;
        }
        let groups = match probe.aliases(self.settings) {
            AliasesFacts::NotSet => Vec::new(),
            // That it cannot be read is a problem of its own.
            AliasesFacts::Unreadable(_) => return,
            AliasesFacts::Read { groups, .. } => groups,
        };
        for named in named {
            if !groups.iter().any(|group| group == named.group) {
                let reason = format!("there is no group @{} in [aliases] file", named.group);
                let list = (named.section, named.key);
                self.at(list, &[("auth", "users")], None, reason);
            }
        }
    }

    /// The keys that decide whether anybody can log in.
    fn login_keys(&self) -> Vec<(String, &'static str)> {
        let mut keys = vec![("extensions".to_owned(), "starttls")];
        if self.settings.load_internet_sites {
            for site in &self.settings.sites {
                keys.push((site.section(), "tcp_name_and_password"));
                keys.push((site.section(), "tls_name_and_password"));
            }
        }
        for port in &self.settings.ports {
            keys.push((section(port), "status"));
            keys.push((section(port), "name_and_password"));
        }
        keys
    }
}

fn borrowed<'a>(keys: &'a [(String, &'static str)]) -> Vec<(&'a str, &'a str)> {
    keys.iter().map(|(s, k)| (s.as_str(), *k)).collect()
}
