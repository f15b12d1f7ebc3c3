//! Advice about who may connect, send and relay, and about what is sent.

use super::{Scene, Step, act, add, set, settled, take};
use crate::config::lists::{HostPattern, MailPattern};
use crate::config::serving::Serving;
use crate::mail::Mailbox;
use crate::proposals::{Word, line, told};

impl Scene<'_> {
    /// An address that a deny list names.
    pub(super) fn listed_mail(&self, section: &str, deny: &[MailPattern]) -> Vec<Vec<Step>> {
        let named = self.mail_entry(deny);
        named.map_or_else(settled, |entry| {
            vec![
                vec![act(format!(
                    "on the device: another address than {}",
                    told(self.detail)
                ))],
                vec![take(section, "deny", Word::own(entry))],
            ]
        })
    }

    /// An address that an allow list lacks.
    pub(super) fn unlisted_mail(&self, section: &str, allow: &[MailPattern]) -> Vec<Vec<Step>> {
        if allow.is_empty() || self.mail_entry(allow).is_some() {
            return settled();
        }
        vec![vec![match Word::name(self.detail) {
            Some(address) => add(section, "allow", address),
            None => act(format!(
                "[{section}] allow lacks the address {}",
                told(self.detail)
            )),
        }]]
    }

    fn mail_entry<'a>(&self, list: &'a [MailPattern]) -> Option<&'a MailPattern> {
        let address = Mailbox::parse(self.detail).ok()?;
        list.iter().find(|entry| entry.matches(&address))
    }

    fn host_entry<'a>(&self, list: &'a [HostPattern]) -> Option<&'a HostPattern> {
        let address = self.device.address;
        list.iter().find(|entry| entry.matches(address, &[]))
    }

    /// A host out of a list that names it, by its address or by a name that is not known here.
    fn host_taken(&self, section: &str, key: &'static str, list: &[HostPattern]) -> Option<Step> {
        let has_names = list
            .iter()
            .any(|entry| matches!(entry, HostPattern::Name(_)));
        match self.host_entry(list) {
            Some(HostPattern::Network(network)) => {
                let single =
                    network.prefix == 32 && network.address.is_ipv4() || network.prefix == 128;
                let entry = match single {
                    true => Word::own(network.address),
                    false => Word::own(network),
                };
                Some(take(section, key, entry))
            }
            Some(HostPattern::Name(name)) => Some(take(section, key, Word::own(name))),
            None => has_names.then(|| {
                act(format!(
                    "take the name of {} in DNS out of [{section}] {key}",
                    self.device.address
                ))
            }),
        }
    }

    pub(super) fn connection_denied(&self) -> Vec<Vec<Step>> {
        let deny = &self.settings.connections.deny;
        let taken = self.host_taken("connections", "deny", deny);
        taken.map_or_else(settled, |step| vec![vec![step]])
    }

    pub(super) fn connection_not_allowed(&self) -> Vec<Vec<Step>> {
        let allow = &self.settings.connections.allow;
        if allow.is_empty() || self.host_entry(allow).is_some() {
            return settled();
        }
        vec![vec![add("connections", "allow", self.fence())]]
    }

    pub(super) fn blacklisted(&self) -> Vec<Vec<Step>> {
        let settings = self.settings;
        if self.host_entry(&settings.whitelist).is_some() {
            return settled();
        }
        let taken = self.host_taken("blacklist", "hosts", &settings.blacklist.hosts);
        taken.map_or_else(settled, |step| {
            vec![vec![step], vec![add("whitelist", "hosts", self.fence())]]
        })
    }

    pub(super) fn dns_listed(&self) -> Vec<Vec<Step>> {
        let settings = self.settings;
        if self.host_entry(&settings.whitelist).is_some() || settings.dnsbl.zones.is_empty() {
            return settled();
        }
        vec![vec![add("whitelist", "hosts", self.fence())]]
    }

    pub(super) fn no_host_name(&self) -> Vec<Vec<Step>> {
        if !self.settings.connections.verify_host_name {
            return settled();
        }
        vec![
            vec![act(format!(
                "give {} a name in DNS, or in this machine's hosts file",
                self.device.address
            ))],
            vec![set("connections", "verify_host_name", "no")],
        ]
    }

    pub(super) fn site_not_enabled(&self) -> Vec<Vec<Step>> {
        let Some(port) = self.port() else {
            return settled();
        };
        let serving = self.serving();
        if self.settings.is_enabled(port, serving) {
            return settled();
        }
        match serving {
            Serving::Nobody => vec![self.own_site()],
            Serving::Server | Serving::Site(_) => vec![
                self.auth_switched_on(port, self.stage()),
                self.anonymous_switched_on(port),
            ],
        }
    }

    pub(super) fn too_many_sessions(&self) -> Vec<Vec<Step>> {
        let most = self.settings.connections.sessions_max_per_address;
        if most == 0 {
            return vec![vec![act(
                "[connections] sessions_max is reached: gatepost sessions shows by whom",
            )]];
        }
        let more = Word::own(most * 2);
        vec![
            vec![act(line(
                "gatepost sessions shows what {} has open; a device that never closes wants newer \
                 firmware",
                &[&Word::own(self.device.address)],
            ))],
            vec![set("connections", "sessions_max_per_address", more)],
        ]
    }

    pub(super) fn sender_domain(&self) -> Vec<Vec<Step>> {
        if !self.settings.senders.verify_domain {
            return settled();
        }
        vec![
            vec![act(format!(
                "on the device: a sender in a domain that takes mail, as scanner@{}",
                self.local_domain()
            ))],
            vec![set("senders", "verify_domain", "no")],
        ]
    }

    pub(super) fn recipient_unknown(&self) -> Vec<Vec<Step>> {
        if !self.settings.recipients.verify {
            return settled();
        }
        let name = self.detail.split('@').next().unwrap_or_default();
        let mut ways = vec![vec![act("on the device: correct the recipient's address")]];
        match Word::name(name) {
            Some(name) => ways.extend([
                vec![act(line("gatepost passwd {} makes the user", &[&name]))],
                vec![act(line(
                    "a line \"{}: USER\" in [aliases] file gives the mail to a user there is",
                    &[&name],
                ))],
            ]),
            None => ways.push(vec![act(format!(
                "if you know {}: make a user or an alias of this name",
                told(name)
            ))]),
        }
        ways
    }

    pub(super) fn relay_denied(&self) -> Vec<Vec<Step>> {
        let relay = &self.settings.relay;
        let mut ways = Vec::new();
        if relay.authenticated_users_exempt {
            ways.push(vec![act(
                "on the device: a login, a name and password made by gatepost passwd NAME",
            )]);
        }
        match self.host_taken("relay", "deny_hosts", &relay.deny_hosts) {
            Some(step) => ways.push(vec![step]),
            None if self.host_entry(&relay.allow_hosts).is_some() => {}
            None => ways.push(vec![add("relay", "allow_hosts", self.fence())]),
        }
        if !self.settings.has_smarthost() {
            let smarthost = act("set [smarthost] host to the server that takes your outside mail");
            for way in &mut ways {
                way.push(smarthost.clone());
            }
        }
        match ways.is_empty() {
            true => vec![vec![act(self.explained())]],
            false => ways,
        }
    }

    /// The command that tells why it may not relay.
    fn explained(&self) -> String {
        let address = Word::own(self.device.address);
        match Word::name(self.detail) {
            Some(recipient) => line(
                "gatepost explain --from {} --rcpt {} says which setting is in the way",
                &[&address, &recipient],
            ),
            None => line(
                "gatepost explain --from {} --rcpt ADDRESS says which setting is in the way",
                &[&address],
            ),
        }
    }

    pub(super) fn no_smarthost(&self) -> Vec<Vec<Step>> {
        match self.settings.has_smarthost() {
            false => vec![vec![act(
                "set [smarthost] host to the server that takes your outside mail",
            )]],
            true => vec![vec![act(
                "no smarthost is for its sender: name the sender's domain in sender_domains of a \
                 [smarthost:NAME], or set [smarthost] host for all others",
            )]],
        }
    }

    pub(super) fn mailbox_full(&self) -> Vec<Vec<Step>> {
        let name = told(self.detail.split('@').next().unwrap_or_default());
        let quota = self.settings.quota;
        let mut ways = vec![vec![act(format!("have {name} delete mail"))]];
        if quota > 0 {
            ways.push(vec![set("delivery", "quota", size(quota * 2))]);
        }
        ways.push(vec![act(format!(
            "give {name} a quota of its own, userdb_quota_rule=*:storage=SIZE in the users file"
        ))]);
        ways
    }

    pub(super) fn too_many_recipients(&self) -> Vec<Vec<Step>> {
        let most = self.settings.limits.recipients;
        let mut ways = vec![vec![act(
            "on the device: send to one alias, and name the people in [aliases] file",
        )]];
        if most < RECIPIENTS_MAX {
            let more = Word::own((most * 2).min(RECIPIENTS_MAX));
            ways.push(vec![set("limits", "recipients", more)]);
        }
        ways
    }

    pub(super) fn too_large(&self) -> Vec<Vec<Step>> {
        let most = self.settings.limits.message_size;
        let mut ways = vec![vec![act(
            "on the device: a lower resolution, another format, or messages split up",
        )]];
        if most < MESSAGE_SIZE_MAX {
            let more = most.saturating_mul(2).min(MESSAGE_SIZE_MAX);
            ways.push(vec![set("limits", "message_size", size(more))]);
        }
        ways
    }

    pub(super) fn no_space(&self) -> Vec<Vec<Step>> {
        vec![vec![act(format!(
            "make room on the disk that has {}; [limits] free_space is what is kept free there",
            self.settings.spool.display()
        ))]]
    }

    pub(super) fn bad_address(&self) -> Vec<Vec<Step>> {
        vec![vec![act(format!(
            "on the device: a whole address as the sender and each recipient, as scanner@{}",
            self.local_domain()
        ))]]
    }

    pub(super) fn needs_smtputf8(&self) -> Vec<Vec<Step>> {
        let mut ways = vec![vec![act("on the device: addresses in plain letters")]];
        if !self.settings.extensions.smtputf8 {
            ways.push(vec![set("extensions", "smtputf8", "enabled")]);
        }
        ways
    }
}

/// The most that `[limits] message_size` can be, octets.
const MESSAGE_SIZE_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// The most that `[limits] recipients` can be.
const RECIPIENTS_MAX: usize = 10_000;

/// A size as the configuration takes it, rounded up to MiB.
fn size(octets: u64) -> Word {
    Word::own(format_args!("{}M", octets.div_ceil(1024 * 1024).max(1)))
}
