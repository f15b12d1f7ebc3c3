"""Reads a notification as any program would and prints what it says, a fact a line."""

import email
import sys

with open(sys.argv[1], "rb") as file:
    message = email.message_from_binary_file(file)

for part in message.walk():
    if part.defects:
        print("defect", part.get_content_type(), part.defects)

for name in ("Return-Path", "From", "To", "Subject", "Auto-Submitted", "MIME-Version"):
    print("head", name + ":", message[name])
for name in ("Date", "Message-ID"):
    print("head", name, "there" if message[name] else "missing")
print("type", message.get_content_type(), message.get_param("report-type"))

parts = message.get_payload()
print("parts", *[part.get_content_type() for part in parts])
for line in parts[0].get_payload(decode=True).decode("utf-8").splitlines():
    print("text", line)
for number, block in enumerate(parts[1].get_payload()):
    for name, value in block.items():
        print("status", number, name + ":", value)
returned = parts[2]
print("encoding", returned["Content-Transfer-Encoding"])
if returned.get_content_type() == "message/rfc822":
    original = returned.get_payload(0)
    print("original Subject:", original["Subject"])
    print("original ends", repr(original.get_payload(decode=True)[-12:]))
else:
    for line in returned.get_payload(decode=True).decode("utf-8").splitlines():
        print("header", line)
