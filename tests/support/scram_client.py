"""SCRAM-SHA-256 by smtplib's auth() hook: every way in, channel binding by the certificate's hash.

Arguments: address, tcp port, tls port, the hash of tls-server-end-point ("none": the server has none).
"""

import base64
import hashlib
import hmac
import secrets
import smtplib
import ssl
import sys

HOST, TCP, TLS, HASH = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
PLAIN, PLUS = "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"


def sign(key, octets):
    return hmac.new(key, octets, hashlib.sha256).digest()


class Scram:
    """The client's side of one exchange."""

    def __init__(self, login, password, header="n,,", binding=b""):
        self.password, self.header, self.binding = password, header, binding
        self.nonce = secrets.token_urlsafe(18)
        self.bare = f"n={login},r={self.nonce}"
        self.challenges = []

    def __call__(self, challenge=None):
        if not challenge and not self.challenges:
            return self.header + self.bare
        self.challenges.append(challenge.decode())
        return self.last() if len(self.challenges) == 1 else self.check()

    def last(self):
        fields = dict(part.split("=", 1) for part in self.challenges[0].split(","))
        self.salt, self.iterations = fields["s"], fields["i"]
        assert fields["r"].startswith(self.nonce) and len(fields["r"]) >= len(self.nonce) + 24
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(),
                                     base64.b64decode(self.salt), int(self.iterations))
        bound = base64.b64encode(self.header.encode() + self.binding).decode()
        without_proof = f"c={bound},r={fields['r']}"
        spoken = f"{self.bare},{self.challenges[0]},{without_proof}".encode()
        key = sign(salted, b"Client Key")
        proof = bytes(a ^ b for a, b in zip(key, sign(hashlib.sha256(key).digest(), spoken)))
        self.server = base64.b64encode(sign(sign(salted, b"Server Key"), spoken)).decode()
        return f"{without_proof},p={base64.b64encode(proof).decode()}"

    def check(self):
        assert self.challenges[1] == "v=" + self.server, "the server has not proven itself"
        return ""


def connect(way, version=None):
    context = ssl._create_unverified_context()
    if version:
        context.minimum_version = context.maximum_version = version
    if way == "tls":
        client = smtplib.SMTP_SSL(HOST, TLS, context=context)
    else:
        client = smtplib.SMTP(HOST, TCP)
    client.ehlo()
    if way == "starttls":
        client.starttls(context=context)
        client.ehlo()
    return client


def end_point(client):
    return hashlib.new(HASH, client.sock.getpeercert(True)).digest()


def send(client):
    client.sendmail("alice@here.example", ["alice@here.example"], "Subject: SCRAM\n\n.\n")
    client.quit()


def must_fail(client, mechanism, scram, code):
    try:
        client.auth(mechanism, scram)
    except smtplib.SMTPAuthenticationError as error:
        assert error.smtp_code == code, (mechanism, scram.header, error)
        assert len(scram.challenges) < 2, "the server proved itself to a stranger"
        return scram
    sys.exit(f"{mechanism} {scram.header} was taken")


def unbound():
    for way in ["tcp", "starttls", "tls"]:
        for initial in [True, False]:
            client = connect(way)
            client.auth(PLAIN, Scram("alice", "wonderland"), initial_response_ok=initial)
            send(client)
    client = connect("tls")
    client.auth(PLAIN, Scram("ALICE@here.example", "wonderland", "n,a=ALICE@here.example,"))
    send(client)
    client = connect("tcp")
    client.auth(PLAIN, Scram("alice", "wonderland", "y,,"))
    send(client)


def bound():
    for way in ["starttls", "tls"]:
        for version in [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]:
            client = connect(way, version)
            listed = client.esmtp_features["auth"].split()
            has_any = HASH != "none" or version == ssl.TLSVersion.TLSv1_3
            assert (PLUS in listed) == has_any, (version, listed)
            header = "p=tls-server-end-point,,"
            if HASH == "none":
                code = 501 if has_any else 504
                must_fail(client, PLUS, Scram("alice", "wonderland", header), code)
                continue
            assert listed[0] == PLUS, listed
            binding = end_point(client)
            must_fail(client, PLUS, Scram("alice", "wonderland", header, binding[1:]), 535)
            must_fail(client, PLUS, Scram("alice", "wrong", header, binding), 535)
            must_fail(client, PLUS, Scram("alice", "wonderland", "p=tls-unique,,", binding), 501)
            must_fail(client, PLUS, Scram("alice", "wonderland"), 501)
            must_fail(client, PLAIN, Scram("alice", "wonderland", header, binding), 501)
            must_fail(client, PLAIN, Scram("alice", "wonderland", "y,,"), 535)
            if version == ssl.TLSVersion.TLSv1_2:
                must_fail(client, PLUS, Scram("alice", "wonderland", "p=tls-exporter,,"), 501)
            client.auth(PLUS, Scram("alice", "wonderland", header, binding))
            send(client)


def strangers():
    """Who has no SCRAM password is refused like who has a wrong one, by a challenge of one shape."""
    client = connect("tls")
    seen = {}
    for login in ["alice", "nobody", "NOBODY", "nobody@here.example", "old", "erwin"] * 2:
        scram = must_fail(client, PLAIN, Scram(login, "wrong"), 535)
        name = login.lower().split("@")[0]
        assert seen.setdefault(name, scram.challenges[0].split(",", 1)[1]) == \
            scram.challenges[0].split(",", 1)[1], "a challenge changes"
    assert len(set(seen.values())) == len(seen) == 4, seen
    assert len(set(map(len, seen.values()))) == 1, seen
    must_fail(client, PLAIN, Scram("old", "wonderland"), 535)
    client.login("old", "wonderland")
    client.quit()


unbound()
bound()
strangers()
