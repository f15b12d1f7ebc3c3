//! Texts, limits, workers.

use super::*;

pub(in crate::config) mod messages {
    use super::*;

    keys! { "messages":
        GREETING: Key<Greeting> = "greeting", greeting().or("{hostname} ESMTP ready"),
            "What follows the code 220 in the first reply.",
            "Change it where a client or an auditor expects another text.",
            "default SMTP messages";
        SITE_NOT_ENABLED: Key<ReplyText> = "site_not_enabled",
            reply_text().or("This site is not enabled on the server."),
            "The text of the first line where no site serves the session.",
            "Word it for your users.",
            "default SMTP messages";
        RELAY_DENIED: Key<ReplyText> = "relay_denied",
            reply_text().or("Relay rejected for policy reasons"),
            "The text where an outside recipient is refused.",
            "Say what a user has to set.",
            "default SMTP messages";
        AUTHENTICATION_REQUIRED: Key<ReplyText> = "authentication_required",
            reply_text().or("Authentication required"),
            "The text where a login has to come first.",
            "Say what a user has to set.",
            "default SMTP messages";
        ACCESS_DENIED: Key<ReplyText> = "access_denied",
            reply_text().or("Connection denied based on policy reason"),
            "The text of the first line where [connections] refuses a host.",
            "Say where a sender finds help.",
            "default SMTP messages";
        TOO_MANY_ERRORS: Key<ReplyText> = "too_many_errors",
            reply_text().or("SMTP service not available, closing transmission channel"),
            "The text of the last line where error_limit ends a session.",
            "Word it for your users.",
            "default SMTP messages";
    }
}

pub(in crate::config) mod limits {
    use super::*;

    keys! { "limits":
        MESSAGE_SIZE: Key<Size> = "message_size", size("1K", "2G").or("25M"),
            "The largest message, as the client sends it.",
            "Raise it for large attachments; the spool needs the room.",
            "Maximum message size";
        RECIPIENTS: Key<Number<usize>> = "recipients", number(1, 10000).or("500"),
            "The most RCPT commands that are accepted for one message, repeated ones included; \
             further ones are put off. A group counts as one.",
            "Keep at least 100, which every server may expect.";
        COMMAND_TIMEOUT: Key<Duration> = "command_timeout", duration("1s", "1d").or("5m"),
            "How long a client may take for a whole command line.",
            "Lower it on a box with many idle clients; RFC 5321 asks for 5m.";
        DATA_TIMEOUT: Key<Duration> = "data_timeout", duration("1s", "1d").or("10m"),
            "The longest silence in mail data.",
            "Lower it on a box with many stuck clients; RFC 5321 asks for 3m or more.";
        SESSION_TIMEOUT: Key<Duration> = "session_timeout", duration("1s", "7d").or("1h"),
            "How long a session may last in all.",
            "Raise it for slow lines and large messages.";
        FREE_SPACE: Key<Size> = "free_space", size("0", "1048576G").or("64M"),
            "Space that is kept free in the file system of the spool: below it, mail is put off \
             with 452.",
            "Raise it where other programs need the same disk.";
        MAIL_MEMORY: Key<Size> = "mail_memory", size("1M", "1G").or("8M"),
            "Mail data and envelopes of all sessions together that are held in memory. Past it, \
             mail goes to files at once, and a message with more than a few recipients has its \
             further ones put off.",
            "Raise it on a box with memory to spare and many large messages at a time.";
    }
}

pub(in crate::config) mod workers {
    use super::*;

    keys! { "workers":
        THREADS: Key<Number<usize>> = "threads", number(0, 256).or("0"),
            "Threads that do the work; 0: chosen from the cores. A session that waits for its \
             client holds none. A change needs a restart.",
            "Raise it where the disk is slow and the log tells of waiting sessions.";
    }
}
