//! Rules over the smarthost: its login, and whom to trust. They rest while no `host` is set.

use super::super::settings::SmarthostTls;
use super::{Found, PasswordFacts, Probe};

const HOST: (&str, &str) = ("smarthost", "host");
const TLS: (&str, &str) = ("smarthost", "tls");
const USERNAME: (&str, &str) = ("smarthost", "username");
const PASSWORD_FILE: (&str, &str) = ("smarthost", "password_file");
const CA_FILE: (&str, &str) = ("smarthost", "ca_file");

impl Found<'_> {
    pub(super) fn the_smarthost_can_be_used(&mut self, probe: &dyn Probe) {
        if self.settings.smarthost.is_none() {
            return;
        }
        self.the_login_is_whole();
        self.the_password_is_not_in_clear();
        self.the_password_can_be_read(probe);
        self.somebody_vouches_for_it(probe);
    }

    fn the_login_is_whole(&mut self) {
        let written = |(section, key): (&str, &str)| self.draft.is_written(section, key);
        let (missing, there) = match (written(USERNAME), written(PASSWORD_FILE)) {
            (true, false) => (PASSWORD_FILE, USERNAME),
            (false, true) => (USERNAME, PASSWORD_FILE),
            (true, true) | (false, false) => return,
        };
        let reason = format!("{} needs this key as well", there.1);
        self.at(missing, &[there, HOST], None, reason);
    }

    fn the_password_is_not_in_clear(&mut self) {
        let Some(smarthost) = &self.settings.smarthost else {
            return;
        };
        if smarthost.login.is_none() {
            return;
        }
        let why = match smarthost.tls {
            SmarthostTls::Required | SmarthostTls::Implicit => return,
            SmarthostTls::Opportunistic => "could cross the network in clear text",
            SmarthostTls::None => "would cross the network in clear text",
        };
        let reason = format!("the password {why}; a login needs required or implicit");
        self.at(TLS, &[USERNAME, PASSWORD_FILE, HOST], None, reason);
    }

    fn the_password_can_be_read(&mut self, probe: &dyn Probe) {
        let smarthost = self.settings.smarthost.as_ref();
        let Some(login) = smarthost.and_then(|smarthost| smarthost.login.as_ref()) else {
            return;
        };
        let path = login.password_file.display();
        let (warning, why) = match probe.password(&login.password_file) {
            PasswordFacts::Good => return,
            PasswordFacts::WorldReadable => (
                Some("W-11"),
                "every account of this machine can read it; chmod 600 keeps them out".to_owned(),
            ),
            PasswordFacts::Unusable(reason) => (None, reason),
        };
        let reason = format!("{path}: {why}");
        self.at(PASSWORD_FILE, &[USERNAME, HOST], warning, reason);
    }

    fn somebody_vouches_for_it(&mut self, probe: &dyn Probe) {
        let Some(smarthost) = &self.settings.smarthost else {
            return;
        };
        if !smarthost.tls.is_verified() {
            return;
        }
        if let Err(reason) = probe.ca_bundle(smarthost.ca_file.as_deref()) {
            self.at(CA_FILE, &[TLS, HOST], None, reason);
        }
    }
}
