//! Rules over commands and webhooks: what their sections name can be used.

use super::super::smarthosts::LoginSecret;
use super::{Found, PasswordFacts, Probe};

impl Found<'_> {
    /// A program that cannot be run now is one that nobody meant.
    pub(super) fn the_commands_can_run(&mut self, probe: &dyn Probe) {
        let settings = self.settings;
        for command in &settings.handlers.commands {
            let section = format!("command:{}", command.name);
            if let Err(reason) = probe.program(&command.program) {
                let reason = format!("{}: {reason}", command.program.display());
                self.at((&section, "program"), &[], None, reason);
            }
        }
    }

    /// A token goes to nobody who only listens, and its file can be read; somebody vouches for the server.
    pub(super) fn the_webhooks_can_be_used(&mut self, probe: &dyn Probe) {
        let settings = self.settings;
        for webhook in &settings.handlers.webhooks {
            let section = format!("webhook:{}", webhook.name);
            let url = (section.as_str(), "url");
            if let Some(token_file) = &webhook.token_file {
                let key = (section.as_str(), "token_file");
                if !webhook.url.tls && !webhook.url.is_loopback() {
                    let reason = "the token would cross the network in clear text; it needs https, or a \
                                  server of this machine";
                    self.at(url, &[key], None, reason);
                }
                let (warning, why) = match probe
                    .login_secret(&LoginSecret::Token(token_file.clone()))
                {
                    PasswordFacts::Good => (None, None),
                    PasswordFacts::WorldReadable => {
                        let why =
                            "every account of this machine can read it; chmod 600 keeps them out";
                        (Some("W-11"), Some(why.to_owned()))
                    }
                    PasswordFacts::Unusable(reason) => (None, Some(reason)),
                };
                if let Some(why) = why {
                    let reason = format!("{}: {why}", token_file.display());
                    self.at(key, &[], warning, reason);
                }
            }
            if webhook.url.tls {
                if let Err(reason) = probe.ca_bundle(webhook.ca_file.as_deref()) {
                    self.at((&section, "ca_file"), &[url], None, reason);
                }
            }
        }
    }
}
