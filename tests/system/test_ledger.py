#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
The ledger under traffic that hurts: bursts beyond the receive buffer, datagrams too long, a
firewall, stopping in the middle of a flood. check_ledger.py judges, a process of its own that
knows the clients' counts and the kernel's; and it is shown to see books that are not true.
"""
import copy
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading

import check_ledger
import harness
from test_cli import freeze

HERE = os.path.dirname(os.path.abspath(__file__))
SO_MEMINFO = 55
SOURCE = os.environ.get("VOLLEY_SOURCE", harness.TOP)


def drops(sock):
    """Messages that the kernel dropped at this socket so far."""
    return struct.unpack("9I", sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36))[8]


class Scene:
    """One server, its clients, and everything the checker is to know about them."""

    def __init__(self, *args, listen=("127.0.0.1:0",), program=None):
        self.server = harness.Server(*args, listen=listen, program=program)
        self.before = harness.snmp()  # whatever the kernel counted before
        self.socks = []
        self.witness = {"sent": 0, "copies": 0, "received": 0, "client_drops": 0, "unreplied": 0,
                        "firewalled": 0}

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for sock in self.socks:
            sock.close()
        self.server.kill()

    def client(self, address=None, **options):
        self.socks.append(harness.client(address or self.server.address, **options))
        return self.socks[-1]

    def send(self, sock, payload):
        sock.send(payload)
        self.witness["sent"] += 1

    def receive(self, sock):
        reply = sock.recv(65536)
        self.witness["received"] += 1
        return reply

    def collect(self):
        """After the server's end: read what is left, and the kernel's counts."""
        for sock in self.socks:
            sock.setblocking(False)
            while True:
                try:
                    self.receive(sock)
                except BlockingIOError:
                    break
                except ConnectionRefusedError:
                    continue  # an ICMP error for what came after the server's end
            self.witness["client_drops"] += drops(sock)
        self.witness.update(harness.snmp_delta(self.before, harness.snmp()))

    def finish(self, *signals):
        """End the server with these signals; the books of both sides."""
        for signo in signals or (signal.SIGTERM,):
            self.server.signal(signo)
        code = self.server.wait()
        assert code == 0, (code, self.server.stderr)
        self.collect()
        return self.server.stats(), self.witness


def check(stats, witness):
    """What the checker says, as a process of its own: the list of its complaints."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ("server.json", "witness.json")]
        for path, books in zip(paths, (stats, witness)):
            with open(path, "w", encoding="utf-8") as file:
                json.dump(books, file)
        done = subprocess.run([sys.executable, os.path.join(HERE, "check_ledger.py"), *paths],
                              capture_output=True, text=True, check=False)
    complaints = done.stdout.splitlines()
    assert done.returncode == (1 if complaints else 0), done.stderr
    return complaints


def accept(stats, witness):
    complaints = check(stats, witness)
    assert not complaints, "\n".join([*complaints, json.dumps(stats), json.dumps(witness)])


def plain(io, wait, program=None):
    """Nothing is dropped."""
    with Scene("--io", io, "--wait", wait, "--workers", "2", program=program) as scene:
        socks = [scene.client() for _ in range(16)]
        for number in range(100):
            for sock in socks:
                scene.send(sock, b"x" * (number * 13 % 1473))
            for sock in socks:
                scene.receive(sock)
        stats, witness = scene.finish()
        assert stats["delivered"] == 1600 and stats["kernel_drops"] == 0, stats
        return stats, witness


def burst(io, wait, program=None):
    """Far more than the receive buffer holds arrives while the server does not run."""
    with Scene("--io", io, "--wait", wait, "--workers", "1", "--rcvbuf", "20000",
               program=program) as scene:
        sock = scene.client()
        for _ in range(3):
            scene.send(sock, b"first")
            scene.receive(sock)
            freeze(scene.server)
            for i in range(1000):
                scene.send(sock, b"%d" % i)
            scene.server.signal(signal.SIGCONT)
            scene.send(sock, b"last")
        stats, witness = scene.finish()
        overflow = witness["Udp"]["RcvbufErrors"] - witness["client_drops"]
        assert overflow > 1000, overflow
        assert program or stats["kernel_drops"] >= overflow, (stats["kernel_drops"], overflow)
        return stats, witness


def truncated(io, wait, program=None):
    """Some are longer than the server takes."""
    with Scene("--io", io, "--wait", wait, "--max-datagram", "100", "--workers", "1",
               program=program) as scene:
        sock = scene.client()
        for i in range(300):
            scene.send(sock, b"x" * (i % 3 * 100 + 1))
            if i % 3 == 0:
                scene.receive(sock)
        stats, witness = scene.finish()
        assert program or stats["rx_dropped"]["truncated"] == 200, stats
        witness["unreplied"] = 0
        return stats, witness


def broadcast(io, wait, program=None):
    """Each datagram reaches all three sockets, and one of them replies."""
    with Scene("--io", io, "--wait", wait, "--workers", "3", listen=("0.0.0.0:0",),
               program=program) as scene:
        socks = [scene.client(connect=False) for _ in range(4)]
        for sock in socks:
            sock.bind(("127.0.0.1", 0))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        for number in range(100):
            for sock in socks:
                sock.sendto(b"%d" % number, ("127.255.255.255", scene.server.port))
                scene.witness["sent"] += 1
                scene.witness["copies"] += 2
            for sock in socks:
                assert scene.receive(sock) == b"%d" % number
        stats, witness = scene.finish()
        assert program or stats["delivered"] == 400, stats
        return stats, witness


def flooded(signals):
    """The end comes in the middle of a flood from several clients."""
    def run(io, wait, program=None):
        with Scene("--io", io, "--wait", wait, "--workers", "2", "--rcvbuf", "100000",
                   program=program) as scene:
            socks = [scene.client(connect=False) for _ in range(4)]
            enough = threading.Event()
            done = threading.Event()
            counts = [0] * len(socks)

            def flood(i):
                while not done.is_set():
                    socks[i].sendto(b"flood", scene.server.address)
                    counts[i] += 1
                    if counts[i] == 2000:
                        enough.set()

            threads = [threading.Thread(target=flood, args=(i,)) for i in range(len(socks))]
            for thread in threads:
                thread.start()
            try:
                assert enough.wait(harness.PATIENCE)
                for signo in signals:
                    scene.server.signal(signo)
                code = scene.server.wait()
            finally:
                done.set()
                for thread in threads:
                    thread.join()
            assert code == 0, (code, scene.server.stderr)
            scene.witness["sent"] = sum(counts)
            scene.collect()
            return scene.server.stats(), scene.witness
    return run


def firewall(io, wait, program=None):
    """nftables takes every reply to one of two clients: EPERM, and the other one is served."""
    if shutil.which("nft") is None:
        raise harness.Skip("no nft")
    with Scene("--io", io, "--wait", wait, "--workers", "1", program=program) as scene:
        healthy, barred = scene.client(), scene.client()
        port = barred.getsockname()[1]
        rules = ("add table inet volley; add counter inet volley barred; "
                 "add chain inet volley out { type filter hook output priority 0; }; "
                 f"add rule inet volley out udp sport {scene.server.port} udp dport {port} "
                 "counter name barred drop")
        subprocess.run(["nft", rules], check=True, capture_output=True)
        try:
            for i in range(200):
                scene.send(barred, b"barred %d" % i)
                scene.send(healthy, b"healthy %d" % i)
                assert scene.receive(healthy) == b"healthy %d" % i
            stats, witness = scene.finish()
            listed = json.loads(subprocess.run(["nft", "-j", "list", "counters"], check=True,
                                               capture_output=True).stdout)
            witness["firewalled"] = next(entry["counter"]["packets"]
                                         for entry in listed["nftables"] if "counter" in entry)
        finally:
            subprocess.run(["nft", "delete table inet volley"], check=True)
        assert witness["firewalled"] == 200
        return stats, witness


def mixed(io, _wait, program=None):
    """IPv4 and IPv6, specific and wildcard, and low source ports that get no reply."""
    with Scene("--io", io, "--workers", "2", program=program,
               listen=("127.0.0.1:0", "[::1]:0", "[::]:0")) as scene:
        socks = [scene.client(address) for address in scene.server.addresses[:2]]
        socks.append(scene.client(("127.0.0.5", scene.server.addresses[2][1])))
        low = scene.client(connect=False)
        low.bind(("127.0.0.1", 998))
        low.connect(scene.server.address)
        for number in range(200):
            for sock in socks:
                scene.send(sock, b"%d" % number)
            scene.send(low, b"low")
            for sock in socks:
                scene.receive(sock)
        stats, witness = scene.finish()
        witness["unreplied"] = 200
        return stats, witness


def full_queue(io, wait, program=None):
    """
    Replies meet a full device queue. A socket without error reports hears nothing of it: the kernel
    has accepted them, and counts what it then lost as SndbufErrors.
    """
    if shutil.which("tc") is None:
        raise harness.Skip("no tc")
    with Scene("--io", io, "--wait", wait, "--workers", "1", "--no-coalesce",
               program=program) as scene:
        sock = scene.client()
        freeze(scene.server)
        for _ in range(1000):
            scene.send(sock, b"x" * 1000)
        narrow = ["tc", "qdisc", "add", "dev", "lo", "root", "tbf", "rate", "8mbit", "burst",
                  "2000", "limit", "10000"]
        if subprocess.run(narrow, check=False, capture_output=True).returncode != 0:
            raise harness.Skip("no tbf")
        scene.server.signal(signal.SIGCONT)
        scene.server.signal(signal.SIGTERM)
        assert scene.server.wait() == 0, scene.server.stderr
        # What is in the queue still arrives.
        while json.loads(subprocess.run(["tc", "-j", "-s", "qdisc", "show", "dev", "lo"],
                                        check=True, capture_output=True).stdout)[0]["backlog"]:
            continue
        subprocess.run(["tc", "qdisc", "del", "dev", "lo", "root"], check=True)
        scene.collect()
        stats, witness = scene.server.stats(), scene.witness
        assert witness["Udp"]["SndbufErrors"] > 500, witness
        assert program or stats["tx_sent"] == 1000, stats
        return stats, witness


def checksums(io, wait, program=None):
    """Wrong checksums: long ones are dropped at the socket, short ones before it is looked for."""
    with Scene("--io", io, "--wait", wait, "--workers", "1", program=program) as scene:
        sock = scene.client()
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
            for length in (20, 68, 69, 1000):
                for _ in range(50):
                    header = struct.pack("!HHHH", sock.getsockname()[1], scene.server.port,
                                         8 + length, 4711)
                    raw.sendto(header + bytes(length), ("127.0.0.1", 0))
                    scene.send(sock, b"good")
                    assert scene.receive(sock) == b"good"
        scene.witness.update(bad_short=100, bad_long=100, sent=scene.witness["sent"] + 200)
        stats, witness = scene.finish()
        assert program or stats["kernel_drops"] == 100, stats
        return stats, witness


def accepted(scenario, io, wait):
    return lambda: accept(*scenario(io, wait))


# Nobody but the server itself counts these; only a total that is no sum of workers shows.
INFORMATIVE = ("rx_batches", "rx_syscalls", "tx_syscalls", "tx_segmented")
GROUPS = (None, "rx_dropped", "tx_dropped")


def doctor(stats, group, name, change, workers):
    """
    The same books with one counter changed: in the total, and in so many of the workers and of the
    listeners.
    """
    books = copy.deepcopy(stats)
    for where in (books, *books["workers"][:workers], *books["listeners"][:workers]):
        where = where[group] if group else where
        where[name] = change(where[name])
    return books


def doctored():
    """
    The checker sees every counter that is off by one, in the total alone or in a worker too, and
    every drop counter that was forgotten. (In this process, because it is asked so often.)
    """
    n_forgotten = 0
    for scene in (plain, burst, truncated, broadcast, firewall):
        stats, witness = scene("mmsg", "event")
        accept(stats, witness)
        counters = [(group, name) for group in GROUPS for name in (stats[group] if group else stats)
                    if name in check_ledger.EVERY_BOOK or group]
        for group, name in counters:
            for workers in (0,) if name in INFORMATIVE else (0, 1):
                books = doctor(stats, group, name, lambda n: n + 1, workers)
                assert check_ledger.judge(books, witness), f"{name} + 1 was not seen"
            if (group or name == "kernel_drops") and (stats[group] if group else stats)[name]:
                books = doctor(stats, group, name, lambda n: 0, len(stats["workers"]))
                assert check(books, witness), f"a forgotten {name} was not seen"
                n_forgotten += 1
            for kind in ("workers", "listeners"):
                books = copy.deepcopy(stats)
                (books[kind][0][group] if group else books[kind][0])[name] += 1
                assert check_ledger.judge(books, witness), f"{kind}: {name} + 1 was not seen"
                del (books[kind][0][group] if group else books[kind][0])[name]
                assert check_ledger.judge(books, witness), f"a missing {name} was not seen"
    assert n_forgotten >= 4, n_forgotten


# A library that forgets to count: the statements that are taken out of it, and the traffic that
# must give it away.
MUTANTS = [
    (None, plain),
    (r"\S*\brx_dropped\[[^;]*\](\+\+| \+= [^;]*);", truncated),
    (r"\S*\btx_dropped\[[^;]*\](\+\+| \+= [^;]*);", firewall),
    (r"\S*\bkernel_drops \+= [^;]*;", burst),
    (r"\S*\brx_messages \+= [^;]*;", plain),
]


class Mutated:
    """The tree with every statement that matches taken out, put back afterwards."""

    def __init__(self, top, pattern):
        self.original = {}
        for folder, _, names in os.walk(os.path.join(top, "src")):
            for path in (os.path.join(folder, name) for name in names
                         if name.endswith((".c", ".h"))):
                with open(path, encoding="utf-8") as file:
                    text = file.read()
                changed, n = re.subn(pattern, ";", text) if pattern else (text, 0)
                if n:
                    self.original[path] = text
                    self.write(path, changed)
        assert self.original or not pattern, f"nothing in src/ matches {pattern}"

    @staticmethod
    def write(path, text):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for path, text in self.original.items():
            self.write(path, text)


def forgetful_builds():
    """A build that forgets a counter fails the checker, and the same build without that passes.
    Without its own assertions, which would end it before the checker sees anything."""
    with tempfile.TemporaryDirectory(prefix="volley-mutant-") as top:
        for name in ("src", "include", "examples", "docs"):
            shutil.copytree(os.path.join(SOURCE, name), os.path.join(top, name))
        for name in ("meson.build", "meson_options.txt"):
            shutil.copy(os.path.join(SOURCE, name), top)
        folder = os.path.join(top, "build")
        subprocess.run(["meson", "setup", folder, top, "-Dtests=disabled", "-Dbench=disabled",
                        "-Dbuildtype=debug", "-Db_ndebug=true", "-Dc_args=-Wno-error"], check=True,
                       capture_output=True)
        # The test runner's own path would put the unbroken library before the broken one.
        os.environ["LD_LIBRARY_PATH"] = f"{folder}/src:{folder}/src/cancel"
        for pattern, scenario in MUTANTS:
            with Mutated(top, pattern):
                built = subprocess.run(["ninja", "-C", folder], capture_output=True, text=True,
                                       check=False)
            assert built.returncode == 0, built.stdout[-2000:]
            program = os.path.join(folder, "examples", "volley-echo")
            complaints = check(*scenario("mmsg", "event", program=program))
            assert bool(complaints) == bool(pattern), (pattern, complaints)


SCENARIOS = [
    ("plain", plain),
    ("burst beyond the receive buffer", burst),
    ("truncated", truncated),
    ("broadcast", broadcast),
    ("SIGTERM in a flood", flooded((signal.SIGTERM,))),
    ("SIGTERM and SIGINT in a flood", flooded((signal.SIGTERM, signal.SIGINT))),
    ("firewall", firewall),
]
CASES = [
    *[(f"{name}, {io}, {wait}", accepted(scenario, io, wait)) for name, scenario in SCENARIOS
      for io in ("mmsg", "msg") for wait in ("event", "block", "spin")],
    *[(f"{name}, {io}", accepted(scenario, io, "event")) for io in ("mmsg", "msg")
      for name, scenario in (("mixed", mixed), ("full device queue", full_queue),
                             ("wrong checksums", checksums))],
    ("the checker sees doctored books", doctored),
    # The last one: it changes the environment.
    ("the checker sees builds that forget a counter", forgetful_builds),
]

if __name__ == "__main__":
    harness.enter_namespace()
    sys.exit(harness.main(CASES))
