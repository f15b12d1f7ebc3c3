//! Numbers for programs that watch the service.

use super::*;

keys! { "metrics":
    LISTEN: Key<SocketAddresses> = "listen", socket_addresses().or(""),
        "Where programs read the service's numbers over HTTP: /metrics for Prometheus, /health \
         for whoever asks whether mail is taken. Empty: nowhere, and gatepost status --format \
         prometheus and gatepost health tell the same. There is neither a login nor TLS. An \
         address that cannot be had at the start has a log line and keeps no mail from coming; \
         the next refresh tries it again.",
        "Set 127.0.0.1:9425 where Prometheus, or its agent, runs on this machine. Another address \
         lets the network read how much mail there is, and names of ports, files and smarthosts: \
         keep it to those who may by a firewall.";
}
