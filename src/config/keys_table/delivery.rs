//! Delivery to local users.

use super::*;

keys! { "delivery":
    LOCAL: Key<Local> = "local", local().or("maildir"),
        "How mail for local users is delivered. maildir: into USER/Maildir below mail_root. \
         lmtp:unix:PATH and lmtp:HOST:PORT: to an LMTP server such as Dovecot's, at a Unix socket \
         or a TCP port, in plain text; an IPv6 address stands in brackets. It is told USER@DOMAIN \
         with the first of local_domains, or USER+DETAIL@DOMAIN where the recipient came with a \
         detail. postmaster has to be one of its users, or an alias. A change needs a restart.",
        "Set lmtp where the server that users read their mail from indexes, sieves or counts what \
         comes in. The account the service runs as must be allowed to use the socket; a port of \
         another machine belongs only into a network you trust.";
    MAIL_ROOT: Key<Path> = "mail_root", path().or("/var/lib/gatepost/mail"),
        "The folder with a folder for each user. A change needs a restart.",
        "Point it to where the IMAP server looks for mail.",
        "mail files";
    QUOTA: Key<Size> = "quota", size("0", "1048576G").or("0"),
        "How much mail a user may keep, in all folders of the Maildir; 0 = no limit. A user whose \
         line of the users file has a quota (userdb_quota_rule) has that one. Mail for a full \
         mailbox is put off with 452. An LMTP server has quotas of its own.",
        "Set it where one user's mail must not fill the disk of all.";
}
