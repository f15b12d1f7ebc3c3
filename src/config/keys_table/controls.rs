//! Who may connect, send and relay, and to whom.

use super::*;

pub(in crate::config) mod connections {
    use super::*;

    keys! { "connections":
        VERIFY_HOST_NAME: Key<YesNo> = "verify_host_name", yes_no().or("no"),
            "Whether the client's address must have a name in DNS that looks up to it again. \
             Without one, MAIL is refused.",
            "Set it where no honest host lacks a name; some do.",
            "Verify connecting host name in DNS";
        ALLOW: Key<Hosts> = "allow", hosts().or(""),
            "Hosts that may connect. Empty: all.",
            "Name the few networks of a box that serves no others.",
            "Allow connections only from the following Internet hosts";
        DENY: Key<Hosts> = "deny", hosts().or(""),
            "Hosts that may not connect; it wins over allow.",
            "Name hosts you do not want to hear from.",
            "Deny connections from the following Internet hosts";
        EXPLAIN_TO: Key<Networks> = "explain_to", networks().or(""),
            "Networks whose clients hear with a refusal which line of this file made it. Not told are \
             a failed login, a parameter or a command other than STARTTLS and AUTH that is \
             switched off, and limits on sessions and errors.",
            "Set your own network while you look for a fault.";
        ERROR_LIMIT: Key<Number<u32>> = "error_limit", number(0, 100_000).or("20"),
            "Replies of class 5yz after which a session is closed; 0: no limit.",
            "Lower it to be rid of address collectors sooner.",
            "Error limit before connection is terminated";
        SESSIONS_MAX: Key<Number<usize>> = "sessions_max", number(1, 100_000).or("1000"),
            "The most sessions at a time. An idle one inside TLS takes about 8K of memory.",
            "Lower it on a box with little memory.";
        SESSIONS_MAX_PER_ADDRESS: Key<Number<usize>> = "sessions_max_per_address",
            number(0, 100_000).or("50"),
            "The most sessions at a time from one client; 0: no limit. A client is an IPv4 \
             address or an IPv6 /64; IPv6 addresses that are link-local or in [relay] internal \
             count singly.",
            "Raise it where many clients share one address.";
    }
}

pub(in crate::config) mod recipients {
    use super::*;

    keys! { "recipients":
        VERIFY: Key<YesNo> = "verify", yes_no().or("yes"),
            "Whether unknown recipients in local domains are refused. With no they are taken, and \
             their mail goes to catch_all, else to the mailbox of postmaster, so that nothing \
             accepted is lost. Domino's default is no.",
            "Say no only where no local address may ever be refused.",
            "Verify that local domain recipients exist in the directory";
        ALLOW: Key<Mails> = "allow", mails().or(""),
            "Recipients whose mail is taken, here and elsewhere. Empty: all.",
            "List recipients on a box that takes mail for few.",
            "Allow messages intended only for the following Internet addresses";
        DENY: Key<Mails> = "deny", mails().or(""),
            "Recipients whose mail is refused; it wins over allow.",
            "List addresses that get nothing but spam.",
            "Deny messages intended for the following Internet addresses";
        DENY_AMBIGUOUS: Key<YesNo> = "deny_ambiguous", yes_no().or("no"),
            "Whether a local recipient that is both a user and an alias is refused. With no the \
             alias wins.",
            "Say yes where no name may mean two things.",
            "Reject ambiguous names";
        DENY_GROUPS: Key<YesNo> = "deny_groups", yes_no().or("no"),
            "Whether mail to a group, an alias with several targets, is refused.",
            "Say yes where groups are for access lists alone.",
            "Deny mail to groups";
        SUBADDRESS: Key<Character> = "subaddress", character().or("+"),
            "The character that begins a detail: user+detail is delivered to user. Empty: none. \
             An address that is a user as a whole is that user.",
            "Set - to be compatible with a server that used it.";
        CATCH_ALL: Optional<User> = "catch_all", user().or_nothing("postmaster"),
            "The user who gets mail for unknown recipients in local domains.",
            "Set it to lose no misspelt address, at the price of more junk.";
        UNKNOWN_MAX: Key<Number<u32>> = "unknown_max", number(0, 100_000).or("100"),
            "Unknown recipients of one client in 15 minutes. From then on each of its RCPT waits \
             5s, and from twice as many the session is closed with 421. Not for sessions with a \
             login, internal hosts, exclude_hosts, [whitelist] and throttle_exempt; 0: no limit.",
            "Raise it for a server that passes on much mail for people who have left.";
    }
}
