#!/usr/bin/env python3
"""Messages per second beside Postfix, in one run on one machine.

    cargo build --release && python3 tests/bench/peers.py [--slow] [--rounds N]

Postfix's smtp-source sends 4 KiB messages with a connection each, over 1, 8 and 50 sessions, to gatepost
and to Postfix (virtual delivery into a Maildir) in turns. Medians of the rounds: accepted per second, per
second until in the Maildir, and the server's CPU milliseconds per message. --slow preloads a library into
both that adds 10 ms to every sync, one at a time. Needs root (for Postfix), postfix, cc; without Postfix
gatepost runs alone.
"""

import argparse
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
GATEPOST = HERE.parent.parent / "target/release/gatepost"
SMTP_SOURCE = shutil.which("smtp-source", path=os.environ["PATH"] + ":/usr/sbin")
POSTFIX = shutil.which("postfix", path=os.environ["PATH"] + ":/usr/sbin")
TICKS = os.sysconf("SC_CLK_TCK")


def wait_for_port(port):
    for _ in range(1000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    sys.exit(f"nothing listens on {port}")


def cpu_ticks(pids):
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += sum(int(fields[n]) for n in (11, 12, 13, 14))
        except OSError:
            pass
    return total


class Gatepost:
    name, port = "gatepost", 2601

    def __init__(self, folder, preload):
        self.set_up = folder / "gatepost"
        options = ["--hostname", "here.example", "--tcp-port", str(self.port), "--tls-port", "2602"]
        subprocess.run([GATEPOST, "init", self.set_up, *options], check=True, stdout=subprocess.DEVNULL)
        config = self.set_up / "gatepost.ini"
        text = config.read_text().replace("[port:tcp]\n", "[port:tcp]\naddresses = 127.0.0.1\n")
        text = text.replace("[port:tls]\n", "[port:tls]\naddresses = 127.0.0.1\n")
        config.write_text(text + "[connections]\nsessions_max_per_address = 0\n")
        log = open(folder / "gatepost.log", "wb")
        command = [GATEPOST, "serve", "--config", config]
        self.process = subprocess.Popen(command, stderr=log, env={**os.environ, **preload})
        self.new = self.set_up / "mail/postmaster/Maildir/new"

    def pids(self):
        return [self.process.pid]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


class Postfix:
    name, port = "postfix", 2600

    def __init__(self, folder, preload):
        self.etc = folder / "etc"
        self.queue = folder / "queue"
        mail, data = folder / "mail", folder / "data"
        for path in (self.etc, self.queue, mail, data):
            path.mkdir()
        shutil.chown(data, "postfix")
        os.chown(mail, 5000, 5000)
        master = Path("/etc/postfix/master.cf").read_text().splitlines()
        lines = []
        for line in master:
            fields = line.split()
            if len(fields) >= 8 and not line.startswith(("#", " ")):
                if fields[0] == "smtp" and fields[1] == "inet":
                    fields[0] = f"127.0.0.1:{self.port}"
                fields[4] = "n"
                line = " ".join(fields)
            lines.append(line)
        (self.etc / "master.cf").write_text("\n".join(lines) + "\n")
        keep = "LD_PRELOAD SLOWSYNC_LOCK"
        (self.etc / "main.cf").write_text(f"""compatibility_level = 3.6
queue_directory = {self.queue}
data_directory = {data}
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
import_environment = {keep} MAIL_CONFIG TZ
export_environment = {keep} TZ
myhostname = here.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
virtual_mailbox_domains = here.example
virtual_mailbox_base = {mail}
virtual_mailbox_maps = static:postmaster/
virtual_uid_maps = static:5000
virtual_gid_maps = static:5000
disable_dns_lookups = yes
smtpd_peername_lookup = no
""")
        self.env = {**os.environ, **preload}
        subprocess.run([POSTFIX, "-c", self.etc, "start"], check=True, env=self.env,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.new = mail / "postmaster/new"

    def pids(self):
        master = (self.queue / "pid/master.pid").read_text().strip()
        children = subprocess.run(["pgrep", "-P", master], capture_output=True, text=True).stdout.split()
        return [master, *children]

    def stop(self):
        subprocess.run([POSTFIX, "-c", self.etc, "stop"], env=self.env, stderr=subprocess.DEVNULL)


def count(folder):
    try:
        return len(os.listdir(folder))
    except FileNotFoundError:
        return 0


def measure(server, sessions, messages):
    had, ticks, began = count(server.new), cpu_ticks(server.pids()), time.monotonic()
    subprocess.run([SMTP_SOURCE, "-s", str(sessions), "-m", str(messages), "-l", "4096", "-f", "a@there.example",
                    "-t", "postmaster@here.example", f"127.0.0.1:{server.port}"], check=True)
    accepted = time.monotonic() - began
    while count(server.new) < had + messages:
        time.sleep(0.01)
    delivered = time.monotonic() - began
    cpu = (cpu_ticks(server.pids()) - ticks) * 1000 / TICKS / messages
    return messages / accepted, messages / delivered, cpu


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--slow", action="store_true")
    options.add_argument("--rounds", type=int, default=3)
    options = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="gatepost-bench-") as folder:
        folder = Path(folder)
        folder.chmod(0o755)
        preload = {}
        if options.slow:
            library = folder / "slowsync.so"
            source = HERE / "slowsync.c"
            subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, source, "-ldl", "-lpthread"], check=True)
            preload = {"LD_PRELOAD": str(library), "SLOWSYNC_LOCK": str(folder / "slowsync.lock")}
            (folder / "slowsync.lock").touch()
            (folder / "slowsync.lock").chmod(0o666)
        servers = [Gatepost(folder, preload)]
        if POSTFIX and os.getuid() == 0:
            servers.append(Postfix(folder, preload))
        # Enough messages that each round lasts a second or so.
        plan = {("gatepost", False): (2000, 8000, 8000), ("postfix", False): (400, 800, 800),
                ("gatepost", True): (80, 400, 3000), ("postfix", True): (40, 60, 80)}
        try:
            for server in servers:
                wait_for_port(server.port)
                measure(server, 1, 20)
            print(f"{'server':<10}{'sessions':>9}{'accepted/s':>12}{'delivered/s':>13}{'CPU ms':>9}   load")
            for place, sessions in enumerate((1, 8, 50)):
                rows = {server.name: [] for server in servers}
                for _ in range(options.rounds):
                    for server in servers:
                        messages = plan[server.name, options.slow][place]
                        rows[server.name].append(measure(server, sessions, messages))
                for name, results in rows.items():
                    a, d, c = (statistics.median(column) for column in zip(*results))
                    print(f"{name:<10}{sessions:>9}{a:>12.0f}{d:>13.0f}{c:>9.3f}   {os.getloadavg()[0]:.1f}", flush=True)
        finally:
            for server in servers:
                server.stop()


if __name__ == "__main__":
    main()
