//! The sections that decide who may connect, log in, send and relay, from a draft.

use super::draft::Draft;
use super::keys_table::{blacklist, dnsbl, messages, relay, senders, server_access, site};
use super::rules::{Blacklist, Dnsbl, Lines, Messages, Relay, Senders, ServerAccess, Site};

pub(super) fn lines(draft: &Draft) -> Lines {
    Lines::new(draft.lines())
}

pub(super) fn server_access(draft: &Draft) -> ServerAccess {
    ServerAccess {
        enforce: draft.get(server_access::ENFORCE),
        allow: draft.get(server_access::ALLOW),
        deny: draft.get(server_access::DENY),
    }
}

/// The sites in file order.
pub(super) fn sites(draft: &Draft) -> Vec<Site> {
    let names = draft.sections.iter();
    let names = names.filter_map(|(section, _)| section.strip_prefix("site:"));
    names.map(|name| one_site(draft, name)).collect()
}

fn one_site(draft: &Draft, name: &str) -> Site {
    let section = format!("site:{name}");
    let own = draft.within(&section);
    Site {
        name: name.to_owned(),
        addresses: own.get(site::ADDRESSES),
        tcp_name_and_password: own.get(site::TCP_NAME_AND_PASSWORD),
        tcp_anonymous: own.get(site::TCP_ANONYMOUS),
        tls_name_and_password: own.get(site::TLS_NAME_AND_PASSWORD),
        tls_anonymous: own.get(site::TLS_ANONYMOUS),
        certificate: own.path(site::CERTIFICATE),
        private_key: own.path(site::PRIVATE_KEY),
    }
}

pub(super) fn relay(draft: &Draft) -> Relay {
    Relay {
        allow_domains: draft.get(relay::ALLOW_DOMAINS),
        deny_domains: draft.get(relay::DENY_DOMAINS),
        allow_hosts: draft.get(relay::ALLOW_HOSTS),
        deny_hosts: draft.get(relay::DENY_HOSTS),
        enforce_for: draft.get(relay::ENFORCE_FOR),
        internal: draft.get(relay::INTERNAL),
        exclude_hosts: draft.get(relay::EXCLUDE_HOSTS),
        authenticated_users_exempt: draft.get(relay::AUTHENTICATED_USERS),
    }
}

pub(super) fn dnsbl(draft: &Draft) -> Dnsbl {
    Dnsbl {
        zones: draft.get(dnsbl::ZONES),
        action: draft.get(dnsbl::ACTION),
        reply: draft.get(dnsbl::REPLY),
    }
}

pub(super) fn blacklist(draft: &Draft) -> Blacklist {
    Blacklist {
        hosts: draft.get(blacklist::HOSTS),
        action: draft.get(blacklist::ACTION),
        reply: draft.get(blacklist::REPLY),
    }
}

pub(super) fn senders(draft: &Draft) -> Senders {
    Senders {
        verify_domain: draft.get(senders::VERIFY_DOMAIN),
        allow: draft.get(senders::ALLOW),
        deny: draft.get(senders::DENY),
        must_match_login: draft.get(senders::MUST_MATCH_LOGIN),
    }
}

pub(super) fn messages(draft: &Draft) -> Messages {
    Messages {
        greeting: draft.get(messages::GREETING),
        site_not_enabled: draft.get(messages::SITE_NOT_ENABLED),
        relay_denied: draft.get(messages::RELAY_DENIED),
        authentication_required: draft.get(messages::AUTHENTICATION_REQUIRED),
        access_denied: draft.get(messages::ACCESS_DENIED),
        too_many_errors: draft.get(messages::TOO_MANY_ERRORS),
    }
}
