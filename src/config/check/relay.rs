//! Rules over relaying: an open relay, and nobody to send outside mail to.

use super::super::lists::{HostPattern, RelayPattern};
use super::super::rules::EnforceFor;
use super::super::settings::Network;
use super::Found;

impl Found<'_> {
    /// W-07: whatever lets every host send everywhere.
    pub(super) fn no_open_relay(&mut self) {
        let relay = self.settings.relay.clone();
        let every = |network: &Network| network.prefix == 0;
        let every_host = |list: &[HostPattern]| {
            list.iter()
                .any(|entry| matches!(entry, HostPattern::Network(network) if every(network)))
        };
        if relay.enforce_for == EnforceFor::None {
            return self.open_relay("enforce_for", "the relay rules are for no host");
        }
        if relay.enforce_for == EnforceFor::External && relay.internal.iter().any(every) {
            self.open_relay("internal", "every host counts as internal");
        }
        if every_host(&relay.exclude_hosts) {
            self.open_relay("exclude_hosts", "the relay rules are for no host");
        }
        if every_host(&relay.allow_hosts) {
            self.open_relay("allow_hosts", "every host may send to every domain");
        }
        if relay.allow_domains.contains(&RelayPattern::Any) {
            self.open_relay("allow_domains", "every host may send to every domain");
        }
        let no_allow_list = relay.allow_domains.is_empty() && relay.allow_hosts.is_empty();
        if no_allow_list && !relay.deny_domains.contains(&RelayPattern::Any) {
            let why = "no list keeps a stranger from sending to any domain but those named here";
            self.open_relay("deny_domains", why);
        }
    }

    fn open_relay(&mut self, key: &'static str, why: &str) {
        let depends_on = LISTS.map(|key| ("relay", key));
        let reason = format!("this makes an open relay: {why}");
        self.at(("relay", key), &depends_on, Some("W-07"), reason);
    }

    /// W-10: something is allowed outright, and nothing can send it.
    pub(super) fn relayed_mail_can_be_sent(&mut self) {
        let relay = &self.settings.relay;
        let allowed = !relay.allow_domains.is_empty()
            || !relay.allow_hosts.is_empty()
            || !relay.exclude_hosts.is_empty()
            || relay.enforce_for == EnforceFor::None;
        if !allowed || self.settings.has_smarthost() {
            return;
        }
        let depends_on = LISTS.map(|key| ("relay", key));
        let reason = "[relay] allows outside recipients, but without a smarthost nothing can send \
                      to them: they are refused";
        self.at(("smarthost", "host"), &depends_on, Some("W-10"), reason);
    }
}

const LISTS: [&str; 6] = [
    "allow_domains",
    "deny_domains",
    "allow_hosts",
    "enforce_for",
    "internal",
    "exclude_hosts",
];
