//! The operator's console.

use super::*;

keys! { "control":
    SOCKET: Key<Path> = "socket", path().or("/run/gatepost/control"),
        "The socket by which commands such as gatepost status talk to the running service. Root, \
         the service's account and the socket's group may use it. A change needs a restart.",
        "Set another path for each further service on one machine.",
        "the server console";
    UPDATE_INTERVAL: Key<Interval> = "update_interval", interval("1s", "1d").or("0"),
        "How often the service looks by itself whether this file has changed, and then takes it \
         up; 0: only when it is told to.",
        "Set 2m to have what a Domino server does.",
        "the check for changed settings every two minutes";
}
