//! The operator's console.

use super::super::keys::{Default, Key, Kind};

pub(super) const KEYS: &[Key] = &[
    Key {
        section: "control",
        name: "socket",
        kind: Kind::Path,
        default: Default::Value("/run/gatepost/control"),
        meaning: "The socket by which commands such as gatepost status talk to the running service. \
                  Root, the service's account and the socket's group may use it. A change needs a \
                  restart.",
        change: "Set another path for each further service on one machine.",
        domino: Some("the server console"),
    },
    Key {
        section: "control",
        name: "update_interval",
        kind: Kind::Interval { max: "1d" },
        default: Default::Value("0"),
        meaning: "How often the service looks by itself whether this file has changed, and then \
                  takes it up; 0: only when it is told to.",
        change: "Set 2m to have what a Domino server does.",
        domino: Some("the check for changed settings every two minutes"),
    },
];
