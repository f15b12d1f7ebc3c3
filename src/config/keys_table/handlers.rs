//! Commands and webhooks: sections that the aliases file names.

use super::*;

words! { FormatWord: WebhookFormat {
    "json" => WebhookFormat::Json, "raw" => WebhookFormat::Raw,
} }

pub(in crate::config) mod command {
    use super::*;

    keys! { "command:NAME":
        PROGRAM: Optional<Program> = "program", program().required("/usr/local/bin/scan-mail"),
            "The program that mail for the alias target |NAME is given to, on its standard input. \
             No shell reads this, nor anything a client sends. It runs as the account of the \
             service; the envelope is in its environment.",
            "Set it to a program of your own that files, prints or passes on a message.";
        ARGUMENTS: Key<Arguments> = "arguments", arguments().or(""),
            "What the program is called with, one text for each comma. They are always the same: \
             nothing in them is replaced.",
            "List the options that the program needs.";
        TIMEOUT: Key<Duration> = "timeout", duration("1s", "1h").or("1m"),
            "How long the program may take with one message. Then it is killed, with its whole \
             process group, and the message is tried again later.",
            "Raise it for a program that works long.";
    }
}

pub(in crate::config) mod webhook {
    use super::*;

    keys! { "webhook:NAME":
        URL: Optional<Url> = "url", url().required("https://hooks.example.org/mail"),
            "Where mail for the alias target >NAME is posted. A redirection is not followed.",
            "Set it to the address that the receiver tells.";
        TOKEN_FILE: Optional<Path> = "token_file",
            path().or_nothing("/etc/gatepost/phone.token"),
            "A file whose one line goes along as Authorization: Bearer. It is read for each \
             request, by the account the service runs as, so a new token needs no restart.",
            "Set it where the receiver wants to know who posts; the url must then be https, or of \
             this machine. Let nobody but that account read the file.";
        FORMAT: Key<Word<FormatWord>> = "format", word().or("json"),
            "json: a document with the envelope, the subject and the text. raw: the message \
             itself (message/rfc822), with the envelope in fields X-Gatepost-*.",
            "Set raw where the receiver reads mail, or wants attachments.";
        TIMEOUT: Key<Duration> = "timeout", duration("1s", "1h").or("30s"),
            "How long a request may take from the connection to the answer. Then the message is \
             tried again later.",
            "Raise it for a receiver that answers late, or for large mail on a slow line.";
        CA_FILE: Optional<Path> = "ca_file", path().or_nothing("/etc/gatepost/webhook-ca.pem"),
            "The certificates (PEM) that may vouch for the receiver's. Without it, those that the \
             system trusts.",
            "Set it where the receiver's certificate is self-signed or comes from a private CA.";
    }
}
