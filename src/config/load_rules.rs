//! The sections that decide who may connect, log in, send and relay, from a draft.

use super::draft::Draft;
use super::rules::{
    Action, Blacklist, Dnsbl, EnforceFor, Lines, Messages, Relay, Senders, ServerAccess, Site,
};

pub(super) fn lines(draft: &Draft) -> Lines {
    Lines::new(draft.lines())
}

pub(super) fn server_access(draft: &Draft) -> ServerAccess {
    ServerAccess {
        enforce: draft.yes("server_access", "enforce"),
        allow: draft.access("server_access", "allow"),
        deny: draft.access("server_access", "deny"),
    }
}

/// The sites in file order.
pub(super) fn sites(draft: &Draft) -> Vec<Site> {
    let names = draft.sections.iter();
    let names = names.filter_map(|(section, _)| section.strip_prefix("site:"));
    names.map(|name| site(draft, name)).collect()
}

fn site(draft: &Draft, name: &str) -> Site {
    let section = format!("site:{name}");
    let yes = |key| draft.yes(&section, key);
    Site {
        name: name.to_owned(),
        addresses: draft.site_addresses(&section),
        tcp_name_and_password: yes("tcp_name_and_password"),
        tcp_anonymous: yes("tcp_anonymous"),
        tls_name_and_password: yes("tls_name_and_password"),
        tls_anonymous: yes("tls_anonymous"),
        certificate: draft.written_path(&section, "certificate"),
        private_key: draft.written_path(&section, "private_key"),
    }
}

pub(super) fn relay(draft: &Draft) -> Relay {
    Relay {
        allow_domains: draft.relay_domains("relay", "allow_domains"),
        deny_domains: draft.relay_domains("relay", "deny_domains"),
        allow_hosts: draft.hosts("relay", "allow_hosts"),
        deny_hosts: draft.hosts("relay", "deny_hosts"),
        enforce_for: match draft.word("relay", "enforce_for") {
            Some("all") => EnforceFor::All,
            Some("none") => EnforceFor::None,
            _ => EnforceFor::External,
        },
        internal: draft.networks("relay", "internal"),
        exclude_hosts: draft.hosts("relay", "exclude_hosts"),
        authenticated_users_exempt: draft.word("relay", "authenticated_users") != Some("check"),
    }
}

pub(super) fn dnsbl(draft: &Draft) -> Dnsbl {
    Dnsbl {
        zones: draft.domains("dnsbl", "zones").unwrap_or_default(),
        action: action(draft, "dnsbl"),
        reply: draft.text("dnsbl", "reply").unwrap_or_default(),
    }
}

pub(super) fn blacklist(draft: &Draft) -> Blacklist {
    Blacklist {
        hosts: draft.hosts("blacklist", "hosts"),
        action: action(draft, "blacklist"),
        reply: draft.text("blacklist", "reply").unwrap_or_default(),
    }
}

fn action(draft: &Draft, section: &str) -> Action {
    match draft.word(section, "action") {
        Some("log") => Action::Log,
        Some("tag") => Action::Tag,
        _ => Action::Reject,
    }
}

pub(super) fn senders(draft: &Draft) -> Senders {
    Senders {
        verify_domain: draft.yes("senders", "verify_domain"),
        allow: draft.mails("senders", "allow"),
        deny: draft.mails("senders", "deny"),
        must_match_login: draft.yes("senders", "must_match_login"),
    }
}

pub(super) fn messages(draft: &Draft) -> Messages {
    let text = |key| draft.text("messages", key).unwrap_or_default();
    Messages {
        greeting: text("greeting"),
        site_not_enabled: text("site_not_enabled"),
        relay_denied: text("relay_denied"),
        authentication_required: text("authentication_required"),
        access_denied: text("access_denied"),
        too_many_errors: text("too_many_errors"),
    }
}
