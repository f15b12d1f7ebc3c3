//! Relaying.

use super::*;

words! { EnforceForWord: EnforceFor {
    "external" => EnforceFor::External, "all" => EnforceFor::All, "none" => EnforceFor::None,
} }
words! { Exempt: bool { "exempt" => true, "check" => false } }

keys! { "relay":
    ALLOW_DOMAINS: Key<RelayDomains> = "allow_domains", relay_domains().or(""),
        "Outside domains that hosts under enforcement may send to.",
        "Name the domains this box passes mail on to for everybody, such as those it is a backup \
         for.",
        "Allow messages to be sent only to the following external Internet domains";
    DENY_DOMAINS: Key<RelayDomains> = "deny_domains", relay_domains().or("*"),
        "Outside domains that hosts under enforcement may not send to; it wins over the allow \
         lists, but for *, which only says that what no list allows is refused.",
        "Leave it; without * and with empty allow lists the server relays for everybody.",
        "Deny messages to be sent to the following external Internet domains";
    ALLOW_HOSTS: Key<Hosts> = "allow_hosts", hosts().or(""),
        "Hosts that may send to outside domains.",
        "Name printers, cameras and other hosts that cannot log in.",
        "Allow messages only from the following Internet hosts to be sent to external Internet \
         domains";
    DENY_HOSTS: Key<Hosts> = "deny_hosts", hosts().or(""),
        "Hosts that may never send to outside domains; it wins over the allow lists.",
        "Name single hosts inside a network of allow_hosts.",
        "Deny messages from the following Internet hosts to be sent to external Internet domains";
    ENFORCE_FOR: Key<Word<EnforceForWord>> = "enforce_for", word().or("external"),
        "Which hosts the relay rules are for: those outside [relay] internal, all, or none. A \
         host that no rule is for may send everywhere.",
        "Set all where even this machine has to keep to the rules.",
        "Perform Anti-Relay enforcement for these connecting hosts";
    INTERNAL: Key<Networks> = "internal", networks().or("127.0.0.0/8, ::1"),
        "The networks that count as internal. Each of their IPv6 addresses is a client of its own \
         for limits per client.",
        "Add the networks whose every host you trust.";
    EXCLUDE_HOSTS: Key<Hosts> = "exclude_hosts", hosts().or(""),
        "Hosts that the relay rules are not for.",
        "Name hosts that may send everywhere.",
        "Exclude these connecting hosts from anti-relay checks";
    AUTHENTICATED_USERS: Key<Word<Exempt>> = "authenticated_users", word().or("exempt"),
        "Whether sessions that have logged in are free of the relay rules.",
        "Set check where a login is for sending to local users only.",
        "Exceptions for authenticated users";
}
