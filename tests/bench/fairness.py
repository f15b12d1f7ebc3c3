#!/usr/bin/env python3
"""A good client's times beside 50 sessions of one address that never pause.

    cargo build --release && python3 tests/bench/fairness.py [BINARY]

Starts gatepost on loopback and prints, one line each: how long a whole message of a client at 127.0.0.2 takes (connection,
EHLO, MAIL, RCPT, DATA, content, QUIT; p50 and p99) alone, and beside 50 sessions of 127.0.0.1 that send EHLO, HELP, or RCPT to a
group of 499 in one stream and read all replies; and how many times the p99 alone that is.
"""

import multiprocessing
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RELEASE = Path(__file__).resolve().parent.parent.parent / "target/release/gatepost"
GATEPOST = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else RELEASE
PORT, SESSIONS, MESSAGES = 2621, 50, 300
RUDE = {
    "EHLO": b"EHLO rude.example\r\n" * 2000,
    "HELP": b"HELP\r\n" * 2000,
    "RCPT to a group of 499": (b"MAIL FROM:<a@there.example>\r\n"
                               + b"RCPT TO:<group@here.example>\r\n" * 490 + b"RSET\r\n") * 4,
}


def set_up(folder):
    options = ["--hostname", "here.example", "--tcp-port", str(PORT), "--tls-port", str(PORT + 1)]
    subprocess.run([GATEPOST, "init", folder, *options], check=True, stdout=subprocess.DEVNULL)
    members = ",\n  ".join(f"member{number}@there.example" for number in range(499))
    (folder / "aliases").write_text(f"group: {members}\n")
    config = folder / "gatepost.ini"
    text = config.read_text()
    for port in ("[port:tcp]\n", "[port:tls]\n"):
        text = text.replace(port, port + "addresses = 127.0.0.1\n")
    text += "[aliases]\nfile = aliases\n[smarthost]\nhost = 127.0.0.1\nport = 1\ntls = none\n"
    text += "[workers]\nthreads = 4\n"
    config.write_text(text)
    server = subprocess.Popen([GATEPOST, "serve", "--config", config], stderr=open(folder / "log", "ab"))
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", PORT)) == 0:
                return server
        time.sleep(0.02)


def be_rude(block):
    """Keeps every session's input full, and throws away what is said."""
    ready = selectors.DefaultSelector()
    for _ in range(SESSIONS):
        client = socket.create_connection(("127.0.0.1", PORT))
        client.recv(200)
        client.sendall(b"EHLO rude.example\r\n")
        client.recv(2000)
        client.setblocking(False)
        ready.register(client, selectors.EVENT_READ | selectors.EVENT_WRITE, [block])
    while True:
        for key, events in ready.select():
            if events & selectors.EVENT_READ and not key.fileobj.recv(1 << 16):
                ready.unregister(key.fileobj)
                continue
            if events & selectors.EVENT_WRITE:
                rest = key.data[0]
                try:
                    sent = key.fileobj.send(rest)
                except BlockingIOError:
                    continue
                key.data[0] = rest[sent:] or block


def one_message():
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", PORT), 60, ("127.0.0.2", 0)) as client:
        replies = client.makefile("rb")

        def expect(code):
            while True:
                line = replies.readline()
                assert line.startswith(code), line
                if line[3:4] != b"-":
                    return

        expect(b"220")
        for command, code in [(b"EHLO good.example", b"250"), (b"MAIL FROM:<a@there.example>", b"250"),
                              (b"RCPT TO:<postmaster@here.example>", b"250"), (b"DATA", b"354"),
                              (b"Subject: x\r\n\r\nx\r\n.", b"250"), (b"QUIT", b"221")]:
            client.sendall(command + b"\r\n")
            expect(code)
    return (time.monotonic() - began) * 1000


def measure(label, alone=None):
    times = sorted(one_message() for _ in range(MESSAGES))
    p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
    ratio = f", {p99 / alone:.1f} times that alone" if alone else ""
    print(f"{label}: p50 {p50:.1f} ms, p99 {p99:.1f} ms{ratio}", flush=True)
    return p99


def main():
    folder = Path(tempfile.mkdtemp(prefix="gatepost-fairness-"))
    server = set_up(folder / "set-up")
    try:
        one_message()
        alone = measure("alone")
        for name, block in RUDE.items():
            rude = multiprocessing.Process(target=be_rude, args=(block,), daemon=True)
            rude.start()
            time.sleep(2)
            measure(f"beside {SESSIONS} sessions that send {name}", alone)
            rude.kill()
            rude.join()
            time.sleep(1)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
