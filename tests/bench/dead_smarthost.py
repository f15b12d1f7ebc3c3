#!/usr/bin/env python3
"""A long queue for a smarthost that is dead: what it costs, and whom it holds up.

    cargo build --release && python3 tests/bench/dead_smarthost.py

Needs Postfix's smtp-source. Starts gatepost on loopback with a smarthost where nobody listens, and then with one that
accepts and never says a word. Prints for each: memory at the start, with 10,000 queued messages and after a restart; how
long accepting them took; how long the restart took to its first greeting; the time from a client's first octet to the
message in a local Maildir, without a queue and beside it; how long the end took.
"""

import os
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GATEPOST = Path(__file__).resolve().parent.parent.parent / "target/release/gatepost"
TCP, HOST = 2613, 2614
MESSAGES = 10_000


def memory(pid):
    for line in open(f"/proc/{pid}/smaps_rollup"):
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0


class Server:
    def __init__(self, folder):
        self.folder = folder
        set_up = folder / "server"
        options = ["--hostname", "here.example", "--tcp-port", str(TCP), "--tls-port", str(TCP + 10)]
        subprocess.run([GATEPOST, "init", set_up, *options], check=True, stdout=subprocess.DEVNULL)
        self.config = set_up / "gatepost.ini"
        text = self.config.read_text()
        for port in ("[port:tcp]\n", "[port:tls]\n"):
            text = text.replace(port, port + "addresses = 127.0.0.1\n")
        text += f"[smarthost]\nhost = 127.0.0.1\nport = {HOST}\ntls = none\n"
        self.config.write_text(text)
        self.new = next(set_up.glob("**/mail")) / "postmaster/Maildir/new"
        self.start()

    def start(self):
        began = time.monotonic()
        self.process = subprocess.Popen([GATEPOST, "serve", "--config", self.config],
                                        stderr=open(self.folder / "log", "ab"))
        self.pid = self.process.pid
        while True:
            try:
                with socket.create_connection(("127.0.0.1", TCP), 5) as client:
                    if client.recv(200):
                        return time.monotonic() - began
            except ConnectionRefusedError:
                time.sleep(0.002)

    def stop(self):
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        return time.monotonic() - began

    def arrivals(self):
        return len(os.listdir(self.new)) if self.new.exists() else 0


def local_times(server, count=100):
    """Milliseconds from connecting to the file in new/."""
    times = []
    for _ in range(count):
        before, began = server.arrivals(), time.monotonic()
        with smtplib.SMTP("127.0.0.1", TCP) as client:
            client.sendmail("a@there.example", ["postmaster@here.example"], "Subject: x\n\nx")
            while server.arrivals() == before:
                time.sleep(0.0005)
        times.append((time.monotonic() - began) * 1000)
    times.sort()
    return f"p50 {times[len(times) // 2]:.1f} ms, p99 {times[int(len(times) * 0.99)]:.1f} ms"


def run(name, listen):
    folder = Path(tempfile.mkdtemp(prefix="gatepost-bench-"))
    silent = None
    if listen:
        silent = socket.create_server(("127.0.0.1", HOST), backlog=64)
    try:
        server = Server(folder)
        print(f"{name}: at the start {memory(server.pid):.1f} MiB; local mail {local_times(server)}", flush=True)
        began = time.monotonic()
        source = shutil.which("smtp-source", path=os.environ["PATH"] + ":/usr/sbin")
        subprocess.run([source, "-s", "20", "-m", str(MESSAGES), "-l", "4000", "-f", "postmaster@here.example", "-t",
                        "x@there.example", f"127.0.0.1:{TCP}"], check=True)
        print(f"{name}: {MESSAGES} accepted in {time.monotonic() - began:.1f} s; then {memory(server.pid):.1f} MiB; "
              f"local mail {local_times(server)}", flush=True)
        ended = server.stop()
        started = server.start()
        print(f"{name}: the end took {ended:.2f} s, the next start {started:.2f} s to its greeting; "
              f"then {memory(server.pid):.1f} MiB; local mail {local_times(server)}", flush=True)
        server.stop()
    finally:
        if silent:
            silent.close()
        shutil.rmtree(folder)


if __name__ == "__main__":
    if not shutil.which("smtp-source", path=os.environ["PATH"] + ":/usr/sbin"):
        sys.exit("smtp-source is missing: it comes with Postfix")
    run("nobody listens", False)
    run("it never says a word", True)
