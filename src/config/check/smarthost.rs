//! Rules over smarthosts: their logins, whom to trust, and whose mail is theirs. Those over one rest
//! while it has no `host`.

use super::super::smarthosts::{Smarthost, SmarthostTls};
use super::{Found, PasswordFacts, Probe};

impl Found<'_> {
    pub(super) fn the_smarthosts_can_be_used(&mut self, probe: &dyn Probe) {
        let settings = self.settings;
        for smarthost in &settings.smarthosts {
            let section = &smarthost.section();
            self.the_login_is_whole(section);
            self.the_password_is_not_in_clear(section, smarthost);
            self.the_password_can_be_read(section, smarthost, probe);
            self.somebody_vouches_for_it(section, smarthost, probe);
        }
        self.no_sender_has_two_smarthosts();
    }

    fn the_login_is_whole(&mut self, section: &str) {
        let is_written = |key| self.draft.is_written(section, key);
        let written = ["username", "password_file", "token_file"].map(is_written);
        let (named, reason) = match written {
            [_, true, true] => (
                "token_file",
                "password_file is set as well; a login has one of the two",
            ),
            [true, false, false] => (
                "password_file",
                "username needs this key as well, or token_file",
            ),
            [false, true, false] => ("username", "password_file needs this key as well"),
            [false, false, true] => ("username", "token_file needs this key as well"),
            [true, true, false] | [true, false, true] | [false, false, false] => return,
        };
        let depends_on = [
            (section, "username"),
            (section, "password_file"),
            (section, "token_file"),
            (section, "host"),
        ];
        self.at((section, named), &depends_on, None, reason);
    }

    /// An error; where the operator has said that it may be so, W-12.
    fn the_password_is_not_in_clear(&mut self, section: &str, smarthost: &Smarthost) {
        let Some(login) = &smarthost.login else {
            return;
        };
        let why = match smarthost.tls {
            SmarthostTls::Required | SmarthostTls::Implicit => return,
            SmarthostTls::Opportunistic => "could cross the network in clear text",
            SmarthostTls::None => "would cross the network in clear text",
        };
        let key = login.secret.key();
        let what = format!("the {} {why}", login.secret.noun());
        let depends_on = [
            (section, "tls"),
            (section, "plaintext_login"),
            (section, "username"),
            (section, key),
            (section, "host"),
        ];
        if smarthost.plaintext_login {
            let named = (section, "plaintext_login");
            return self.at(named, &depends_on, Some("W-12"), what);
        }
        let reason = format!("{what}; a login needs required or implicit, or plaintext_login");
        self.at((section, "tls"), &depends_on, None, reason);
    }

    fn the_password_can_be_read(
        &mut self,
        section: &str,
        smarthost: &Smarthost,
        probe: &dyn Probe,
    ) {
        let Some(login) = &smarthost.login else {
            return;
        };
        let (warning, why) = match probe.login_secret(&login.secret) {
            PasswordFacts::Good => return,
            PasswordFacts::WorldReadable => (
                Some("W-11"),
                "every account of this machine can read it; chmod 600 keeps them out".to_owned(),
            ),
            PasswordFacts::Unusable(reason) => (None, reason),
        };
        let reason = format!("{}: {why}", login.secret.file().display());
        let depends_on = [(section, "username"), (section, "host")];
        self.at((section, login.secret.key()), &depends_on, warning, reason);
    }

    fn somebody_vouches_for_it(&mut self, section: &str, smarthost: &Smarthost, probe: &dyn Probe) {
        if !smarthost.tls.is_verified() {
            return;
        }
        if let Err(reason) = probe.ca_bundle(smarthost.ca_file.as_deref()) {
            let depends_on = [(section, "tls"), (section, "host")];
            self.at((section, "ca_file"), &depends_on, None, reason);
        }
    }

    fn no_sender_has_two_smarthosts(&mut self) {
        let smarthosts = &self.settings.smarthosts;
        let mut found = Vec::new();
        for (at, later) in smarthosts.iter().enumerate() {
            for entry in &later.sender_domains {
                let mut earlier = smarthosts.iter().take(at);
                let earlier = earlier.find(|one| one.sender_domains.contains(entry));
                if let Some(earlier) = earlier {
                    let reason = format!("[{}] already has {entry}", earlier.section());
                    found.push((earlier.section(), later.section(), reason));
                }
            }
        }
        for (earlier, later, reason) in found {
            let depends_on = [(earlier.as_ref(), "sender_domains")];
            self.at((&later, "sender_domains"), &depends_on, None, reason);
        }
    }
}
