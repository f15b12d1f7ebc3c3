#!/bin/sh
# Keeps each message of command.ini as a file of its own. Make the folder first:
# install -d -m 700 -o gatepost -g gatepost /var/lib/gatepost/tickets
set -u
umask 077
# CHANGE: where the files go.
folder=/var/lib/gatepost/tickets

# A message can come a second time, with the same id: it keeps its name.
part=$folder/.$GATEPOST_ID
# 75 is "try again later": a full disk must not send the mail back.
cat >"$part" && mv "$part" "$folder/${EXTENSION:-none}-$GATEPOST_ID.eml" || exit 75
# This stands in the log, at command_ended.
printf 'kept %s octets for %s\n' "$SIZE" "$LOCAL"
