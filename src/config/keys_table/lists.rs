//! Blacklists, whitelists and senders.

use super::*;

words! { ActionWord: Action {
    "reject" => Action::Reject, "tag" => Action::Tag, "log" => Action::Log,
} }

pub(in crate::config) mod dnsbl {
    use super::*;

    keys! { "dnsbl":
        ZONES: Key<Domains> = "zones", domains().or(""),
            "DNS lists of bad hosts, asked in this order until one has the client.",
            "Name a list whose terms allow your use, such as zen.spamhaus.org.",
            "DNS Blacklist Filters: DNS sites";
        ACTION: Key<Word<ActionWord>> = "action", word().or("reject"),
            "What happens to a listed client: a log line, a header field X-DNSBL-Site in its \
             messages, or a refusal.",
            "Start with log to see whom a list would refuse.",
            "DNS Blacklist Filters: desired action";
        REPLY: Key<ReplyText> = "reply", reply_text().or("Connection denied based on policy reason"),
            "The text of the refusal; %s is the client's address.",
            "Say where a sender finds help.",
            "DNS Blacklist Filters: custom SMTP error response";
    }
}

pub(in crate::config) mod blacklist {
    use super::*;

    keys! { "blacklist":
        HOSTS: Key<Hosts> = "hosts", hosts().or(""),
            "Hosts of your own blacklist, looked at before the DNS lists. It is for hosts under \
             relay enforcement alone.",
            "Name hosts that send nothing good.",
            "Private Blacklist Filter";
        ACTION: Key<Word<ActionWord>> = "action", word().or("reject"),
            "What happens to such a host: a log line, a header field X-Blacklisted in its \
             messages, or a refusal.",
            "Start with log to see whom it would refuse.",
            "Private Blacklist Filter: desired action";
        REPLY: Key<ReplyText> = "reply", reply_text().or("Connection denied based on policy reason"),
            "The text of the refusal; %s is the client's address.",
            "Say where a sender finds help.",
            "Private Blacklist Filter: custom SMTP error response";
    }
}

pub(in crate::config) mod whitelist {
    use super::*;

    keys! { "whitelist":
        HOSTS: Key<Hosts> = "hosts", hosts().or(""),
            "Hosts for which neither the blacklist nor the DNS lists are asked.",
            "Name good hosts that a list has.",
            "Private Whitelist Filter";
    }
}

pub(in crate::config) mod senders {
    use super::*;

    keys! { "senders":
        VERIFY_DOMAIN: Key<YesNo> = "verify_domain", yes_no().or("no"),
            "Whether the sender's domain must take mail by DNS: have an MX or an address.",
            "Set it where much mail comes from made-up domains.",
            "Verify sender's domain in DNS";
        ALLOW: Key<Mails> = "allow", mails().or(""),
            "Senders whose mail is taken. Empty: everybody's. The null sender <> is always taken.",
            "List senders on a box that hears from few.",
            "Allow messages only from the following Internet addresses/domains";
        DENY: Key<Mails> = "deny", mails().or(""),
            "Senders whose mail is refused; it wins over allow.",
            "List senders nobody here wants.",
            "Deny messages from the following Internet addresses/domains";
        MUST_MATCH_LOGIN: Key<YesNo> = "must_match_login", yes_no().or("yes"),
            "Whether a session that has logged in may send only as its user, in every local \
             domain, or as an alias that leads to this user alone.",
            "Say no where one login sends for several people.",
            "SMTPVerifyAuthenticatedSender";
    }
}
