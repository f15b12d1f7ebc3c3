//! The queue: how long mail that cannot be delivered is kept, and what its sender hears meanwhile.

use super::*;

keys! { "queue":
    RETRY: Key<Durations> = "retry", durations("1s", "1d").or("1m, 5m, 15m, 1h, 4h"),
        "How long a message waits after its first, second, third... attempt that failed; the last \
         duration repeats. Each is stretched by up to a quarter, so that messages spread. While a \
         destination cannot be used, the messages that wait for it share its attempts: one \
         message tries, and the others follow once it works.",
        "Begin with longer ones where the smarthost minds frequent attempts.";
    EXPIRE: Key<Duration> = "expire", duration("1s", "30d").or("4d"),
        "How long a recipient is tried at all, from when the message was accepted. Then it has \
         failed, and the sender is told. Three attempts are made however old it is. Nothing \
         expires within an hour after a start, or after the clock was set, or within half of this \
         where that is less; and while the service runs a clock that jumps makes no message \
         older.",
        "Shorten it to hear sooner of mail that does not go out; RFC 5321 asks for four to five \
         days.";
    DELAY_NOTICE: Key<Interval> = "delay_notice", interval("1s", "30d").or("4h"),
        "After how long a sender is told, once, that a message is still on its way; 0 = never. A \
         sender who asked for other notifications only (DSN) is not told.",
        "Set 0 where such notices are taken for failures.";
}
