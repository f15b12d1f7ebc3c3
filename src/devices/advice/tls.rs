//! Advice about TLS.

use super::{PortKind, Scene, Stage, Step, TlsVersion, act, set, settled};

impl Scene<'_> {
    pub(super) fn old_version(&self) -> Vec<Vec<Step>> {
        let is_newest = self.settings.tls.min_version == TlsVersion::Tls13;
        match (self.detail, is_newest) {
            ("TLS 1.2", true) => vec![vec![set("tls", "min_version", "1.2")]],
            ("TLS 1.2", false) => settled(),
            _ => self.old_tls(),
        }
    }

    pub(super) fn old_tls(&self) -> Vec<Vec<Step>> {
        vec![
            vec![act(
                "on the device: newer firmware, or TLS 1.2 switched on in its settings",
            )],
            self.plain_way(),
        ]
    }

    pub(super) fn untrusted(&self) -> Vec<Vec<Step>> {
        vec![
            vec![act(format!(
                "on the device: import {}, or switch off the check of certificates",
                self.certificate()
            ))],
            vec![act(format!(
                "have [tls] certificate issued by an authority the device knows, and name the \
                 server {} on the device",
                self.settings.hostname
            ))],
            self.plain_way(),
        ]
    }

    pub(super) fn expired(&self) -> Vec<Vec<Step>> {
        vec![
            vec![act(format!(
                "{}: gatepost status says until when it is good; renew it, then gatepost reload",
                self.certificate()
            ))],
            vec![act("set the device's clock: it may be years behind")],
        ]
    }

    pub(super) fn certificate_refused(&self) -> Vec<Vec<Step>> {
        let mut ways = vec![vec![act(format!(
            "on the device: name the server by a name its certificate has, as {}, not by its \
             address",
            self.settings.hostname
        ))]];
        ways.extend(self.untrusted());
        ways
    }

    pub(super) fn broken_tls(&self) -> Vec<Vec<Step>> {
        let mut ways = vec![vec![act(format!(
            "on the device: import {}, or switch off the check of certificates; most that break \
             off do not trust it",
            self.certificate()
        ))]];
        ways.extend(self.old_tls());
        ways
    }

    /// The port it knocks at wants TLS at once.
    pub(super) fn plain_on_tls_port(&self) -> Vec<Vec<Step>> {
        let own = self.port().filter(|port| port.kind == PortKind::Tls);
        let own = own.map_or(String::new(), |port| format!(" with port {}", port.number));
        let mut ways = vec![vec![act(format!(
            "on the device: SSL/TLS, not STARTTLS and not \"none\",{own}"
        ))]];
        if own.is_empty() {
            ways = vec![vec![act("on the device: SSL/TLS, not \"none\"")]];
        }
        match self.open_port(PortKind::Tcp) {
            Some(port) if self.offers_starttls() => ways.push(vec![act(format!(
                "on the device: STARTTLS with port {}",
                port.number
            ))]),
            Some(_) | None => ways.push(self.plain_way()),
        }
        ways
    }

    pub(super) fn tls_on_plain_port(&self) -> Vec<Vec<Step>> {
        let choices = self.tls_choices();
        if !choices.is_empty() {
            let words = format!("on the device: {}", choices.join(", or "));
            return vec![vec![act(words)]];
        }
        let number = self.settings.port("tls").map_or(465, |port| port.number);
        let mut way = self.with_certificate();
        way.extend(self.opened("tls"));
        way.push(act(format!("on the device: SSL/TLS with port {number}")));
        vec![way]
    }

    pub(super) fn starttls_off(&self) -> Vec<Vec<Step>> {
        if self.offers_starttls() {
            return settled();
        }
        let mut way = self.with_certificate();
        way.push(set("extensions", "starttls", "enabled"));
        let mut ways = vec![way];
        if let Some(port) = self.open_port(PortKind::Tls) {
            ways.push(vec![act(format!(
                "on the device: SSL/TLS with port {}",
                port.number
            ))]);
        }
        ways
    }

    pub(super) fn starttls_required(&self) -> Vec<Vec<Step>> {
        let Some(port) = self.port() else {
            return settled();
        };
        let admitted = self.admitted(port, Stage::Plaintext);
        if !admitted.starttls_required {
            return settled();
        }
        let choices = self.tls_choices();
        let words = format!("on the device: {}", choices.join(", or "));
        vec![vec![act(words)], self.plain_way()]
    }

    /// Said hello, and missed something.
    pub(super) fn left(&self) -> Vec<Vec<Step>> {
        let Some(port) = self.port() else {
            return settled();
        };
        let stage = self.stage();
        let admitted = self.admitted(port, stage);
        let on = |is_on| if is_on { "on" } else { "off" };
        let login = admitted.auth && (stage != Stage::Plaintext || self.may_log_in_plain());
        let starttls = match stage {
            Stage::Plaintext => format!("STARTTLS is {}, ", on(admitted.starttls)),
            Stage::StartTls | Stage::Tls => String::new(),
        };
        let words = format!(
            "a monitor or a test does that, and then it is nothing; else the device misses what it \
             is set to: for it, {starttls}logging in is {} and sending without a login is {} on \
             port {}",
            on(login),
            on(admitted.anonymous),
            port.number
        );
        vec![vec![act(words)]]
    }

    /// The certificate that devices see, as the operator knows it.
    fn certificate(&self) -> String {
        let file = self.settings.tls.certificate.as_ref();
        file.map_or_else(
            || "the certificate".to_owned(),
            |file| file.display().to_string(),
        )
    }
}
