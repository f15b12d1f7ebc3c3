//! Aliases and groups.

use super::*;

keys! { "aliases":
    FILE: Optional<Path> = "file", path().or_nothing("/etc/aliases"),
        "A file of aliases in the form of /etc/aliases: \"name: target, target\". A target is a \
         user, an alias, an address, or |NAME or >NAME of a section of this file; command lines, \
         files and lists from files are refused. An alias with several targets is a group. The \
         file is read again when it changes; one that is written in place counts once it has \
         stood still for a second.",
        "Set it to give users further names, and for groups in [server_access].",
        "groups";
}
