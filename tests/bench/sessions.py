#!/usr/bin/env python3
"""Memory and latency with many idle, slow and rude clients.

    cargo build --release && python3 tests/bench/sessions.py

Starts gatepost with four workers on loopback and prints, one line each: memory per idle session (after EHLO,
plain and TLS) and a new client's wait for its greeting beside them; a normal client's time for a whole message
beside 500 clients that send one octet a second; peak memory with an endless line of 1 GiB, with a client
that never reads, and with 8 messages of 10 MiB at once.
"""

import multiprocessing
import resource
import signal
import smtplib
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from pathlib import Path

GATEPOST = Path(__file__).resolve().parent.parent.parent / "target/release/gatepost"
TCP, TLS = 2611, 2612


def proportional_set_size(pid):
    for line in open(f"/proc/{pid}/smaps_rollup"):
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


class Server:
    def __init__(self, folder, name):
        set_up = folder / name
        options = ["--hostname", "here.example", "--tcp-port", str(TCP), "--tls-port", str(TLS)]
        subprocess.run([GATEPOST, "init", set_up, *options], check=True, stdout=subprocess.DEVNULL)
        config = set_up / "gatepost.ini"
        text = config.read_text()
        for port in ("[port:tcp]\n", "[port:tls]\n"):
            text = text.replace(port, port + "addresses = 127.0.0.1\n")
        text += "[connections]\nsessions_max = 20000\nsessions_max_per_address = 0\n[workers]\nthreads = 4\n"
        config.write_text(text)
        self.process = subprocess.Popen([GATEPOST, "serve", "--config", config],
                                        stderr=open(folder / "log", "ab"))
        self.pid = self.process.pid
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", TCP)) == 0:
                    break
            time.sleep(0.01)

    def peak(self):
        for line in open(f"/proc/{self.pid}/status"):
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        return 0

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def percentiles(values):
    values = sorted(values)
    return f"p50 {values[len(values) // 2]:.2f} ms, p99 {values[int(len(values) * 0.99)]:.2f} ms"


def greeting_times(count):
    times = []
    for _ in range(count):
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", TCP)) as client:
            client.recv(200)
        times.append((time.monotonic() - began) * 1000)
    return times


def idle(server, count, tls):
    context = ssl._create_unverified_context()
    before, clients = proportional_set_size(server.pid), []
    for _ in range(count):
        client = socket.create_connection(("127.0.0.1", TLS if tls else TCP))
        if tls:
            client = context.wrap_socket(client)
        client.recv(200)
        client.sendall(b"EHLO idle.example\r\n")
        client.recv(2000)
        clients.append(client)
    each = (proportional_set_size(server.pid) - before) / count
    kind = "TLS" if tls else "plain"
    print(f"{count} idle {kind} sessions: {each:.0f} octets each; greeting {percentiles(greeting_times(300))}",
          flush=True)
    for client in clients:
        client.close()


def message_times(count):
    times = []
    for _ in range(count):
        began = time.monotonic()
        with smtplib.SMTP("127.0.0.1", TCP) as client:
            client.sendmail("a@there.example", ["postmaster@here.example"], "Subject: x\n\n" + "x" * 4000)
        times.append((time.monotonic() - began) * 1000)
        time.sleep(0.05)
    return times


def slow_clients():
    print(f"a message alone: {percentiles(message_times(100))}", flush=True)
    clients, stop = [], multiprocessing.Event()
    for _ in range(500):
        client = socket.create_connection(("127.0.0.1", TCP))
        client.recv(200)
        clients.append(client)

    def trickle():
        text = b"EHLO slow.example\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster@here.example>\r\nDATA\r\n" + b"x" * 1000
        at = 0
        while not stop.is_set():
            for client in clients:
                client.send(text[at:at + 1])
            at += 1
            stop.wait(1)

    # A process of its own, so that it does not hold up the client that is timed.
    trickling = multiprocessing.Process(target=trickle)
    trickling.start()
    print(f"a message beside 500 clients at one octet a second: {percentiles(message_times(200))}", flush=True)
    stop.set()
    trickling.join()


def endless_line():
    with socket.create_connection(("127.0.0.1", TCP)) as client:
        client.recv(200)
        chunk = b"x" * (1 << 20)
        for _ in range(1024):
            client.sendall(chunk)
        client.sendall(b"\r\n")
        client.recv(200)


def never_reads():
    with socket.create_connection(("127.0.0.1", TCP)) as client:
        client.settimeout(2)
        try:
            while True:
                client.send(b"NOOP\r\n" * 10000)
        except TimeoutError:
            pass


def large_messages():
    body = "Subject: large\n\n" + ("x" * 75 + "\n") * (10 * 1024 * 1024 // 76)

    def send():
        with smtplib.SMTP("127.0.0.1", TCP) as client:
            client.sendmail("a@there.example", ["postmaster@here.example"], body)

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix="gatepost-bench-") as folder:
        folder = Path(folder)
        server = Server(folder, "idle")
        print(f"at start: {proportional_set_size(server.pid) / 1048576:.1f} MiB", flush=True)
        idle(server, 10000, False)
        idle(server, 2000, True)
        server.stop()
        server = Server(folder, "slow")
        slow_clients()
        server.stop()
        for name, load in (("an endless line of 1 GiB", endless_line), ("a client that never reads", never_reads),
                           ("8 messages of 10 MiB at once", large_messages)):
            server = Server(folder, name.replace(" ", "-"))
            load()
            print(f"{name}: peak {server.peak():.1f} MiB", flush=True)
            server.stop()


if __name__ == "__main__":
    main()
