//! The alarm: who hears that mail itself is broken, and of what.

use super::*;

keys! { "alarm":
    COMMAND: Optional<CommandName> = "command", command_name().or_nothing("name"),
        "The NAME of a [command:NAME] whose program is run when mail itself is broken, once for \
         each cause, and once when that is over. What is wrong stands in its environment and on \
         its standard input. Without it and webhook, the log and gatepost status tell.",
        "Set it to something that reaches you without mail: a message to a phone, a lamp.";
    WEBHOOK: Optional<WebhookName> = "webhook", webhook_name().or_nothing("name"),
        "The NAME of a [webhook:NAME] that is told the same by a POST of a JSON document, \
         whatever its format. With both, both are told.",
        "Set it to a service that sends messages to a phone.";
    REPEAT: Key<Interval> = "repeat", interval("1s", "30d").or("0"),
        "How often that is told again while a cause lasts; 0 = never.",
        "Set 1d where an alarm may be overlooked.";
    SETTLE: Key<Duration> = "settle", duration("1s", "1d").or("5m"),
        "How long a cause must be gone before its alarm is over; a login or a connection that \
         succeeds ends it at once. An alarm that comes back sooner is not told anew before.",
        "Raise it where disk space comes and goes.";
    UNREACHABLE_AFTER: Key<Number<u32>> = "unreachable_after", number(1, 100).or("3"),
        "After how many failures in a row a smarthost or an LMTP server is out of reach: the \
         third is some seven minutes after the first. A login that is refused is told at the \
         first.",
        "Raise it where the line is down at night.";
    QUEUE_AGE: Key<Interval> = "queue_age", interval("1s", "30d").or("4h"),
        "How old the oldest message that waits to be delivered may be; 0 = any age.",
        "Raise it where mail for servers that are often down is usual.";
    CERTIFICATE_DAYS: Key<Number<i64>> = "certificate_days", number(0, 365).or("14"),
        "How many days before its end a certificate is told of.",
        "Lower it where certificates last for days only.";
}
