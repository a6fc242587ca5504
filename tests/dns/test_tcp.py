#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
TCP clients that are slow, malicious or many: test_tcp.py [N], with N random steps of clients
(default 3,000). Whatever they do, a good client is served, and nothing of theirs stays.
"""
import os
import random
import resource
import select
import socket
import struct
import subprocess
import sys
import time

import dns_harness as h

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../system"))
import harness  # noqa: E402 pylint: disable=wrong-import-position

ZONES = [("example.org", h.SAMPLE)]
QUERY = h.make_query(1, "www.example.org", 1)
FRAMED = struct.pack("!H", len(QUERY)) + QUERY


def connect(server, source="127.0.0.1", listener="127.0.0.1"):
    family = socket.AF_INET6 if ":" in listener else socket.AF_INET
    client = socket.socket(family, socket.SOCK_STREAM)
    client.settimeout(h.PATIENCE)
    client.bind((source, 0))
    client.connect((listener, server.port))
    return client


def read_answer(client):
    """The answer's bytes, or None at the end of the connection."""
    try:
        head = client.recv(2, socket.MSG_WAITALL)
        if len(head) < 2:
            return None
        return client.recv(struct.unpack("!H", head)[0], socket.MSG_WAITALL)
    except ConnectionError:
        return None


def ask(client):
    client.sendall(FRAMED)
    answer = read_answer(client)
    assert answer is not None and answer[:2] == QUERY[:2] and answer[2] & 0x80, answer


def is_over(client, timeout):
    """Whether the server has closed it by then; what it has to say is read meanwhile."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if select.select([client], [], [], max(0, deadline - time.monotonic()))[0]:
            try:
                if not client.recv(65536):
                    return True
            except ConnectionError:
                return True
    return False


def trickle():
    """A byte now and then is no progress, neither of a query nor of answers that are taken."""
    with h.Server(ZONES, "--workers", "1", "--tcp-idle", "1") as server:
        slow, good = connect(server), connect(server)
        begin = time.monotonic()
        n_sent = 0
        while time.monotonic() - begin < 3 and not select.select([slow], [], [], 0.2)[0]:
            slow.sendall(FRAMED[n_sent:n_sent + 1])
            n_sent = min(n_sent + 1, len(FRAMED) - 1)
            ask(good)  # who finishes something stays
        assert 0.9 < time.monotonic() - begin < 3, "a byte now and then holds a connection"
        assert is_over(slow, 1)
        ask(good)
        assert server.stop()["dns"]["tcp"]["connections_expired"] == 1


def reluctant():
    """Who asks a lot and takes a byte of it now and then is closed, and costs little memory."""
    with h.Server(ZONES, "--workers", "1", "--tcp-idle", "1") as server:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(0.05)
        client.connect(("127.0.0.1", server.port))
        begin = time.monotonic()
        ended = False
        while not ended and time.monotonic() - begin < 10:
            try:
                client.send(FRAMED * 100)
            except socket.timeout:
                pass
            except ConnectionError:
                ended = True
            try:
                client.recv(1)
            except ConnectionError:
                ended = True
            except socket.timeout:
                pass
        assert ended, "it is still there"
        with open(f"/proc/{server.process.pid}/status", encoding="ascii") as file:
            peak = [line for line in file if line.startswith("VmHWM")][0]
        assert int(peak.split()[1]) < 200000, peak
        assert server.stop()["dns"]["tcp"]["connections_expired"] == 1


def crowd():
    """More than the limits: the oldest of that client goes, and of all when there are too many."""
    with h.Server(ZONES, "--workers", "1", "--tcp-per-client", "5", "--tcp-connections", "20",
                  "--tcp-idle", "60") as server:
        kept = [connect(server, "127.0.1.1") for _ in range(5)]
        for client in kept:
            ask(client)
        ask(kept[0])  # now kept[1] is the oldest
        first = connect(server, "127.0.1.1")
        ask(first)
        assert is_over(kept[1], 5) and not is_over(kept[0], 0.1)
        many = [connect(server, f"127.0.2.{i // 5 + 1}") for i in range(300)]
        ask(many[-1])
        late = connect(server, "127.0.1.1")
        ask(late)
        n_open = sum(not is_over(client, 0.01) for client in kept + [first, late] + many)
        assert n_open == 20, n_open
        tcp = server.stop()["dns"]["tcp"]
        assert tcp["connections_evicted"] == tcp["connections"] - 20, tcp
        assert tcp["connections_refused"] == 0, tcp


def networks():
    """A client of IPv6 is a /64, one of IPv4 on a socket of both families is an address."""
    if not os.path.exists("/proc/net/if_inet6"):
        print("skip: no IPv6")
        return
    with h.Server(ZONES, "--workers", "1", "--tcp-per-client", "2", "--tcp-idle", "60",
                  listen=("[::]:0",)) as server:
        mapped = [connect(server, f"127.0.3.{i + 1}") for i in range(6)]
        for client in mapped:
            ask(client)
        assert not any(is_over(client, 0.01) for client in mapped)
        tcp = server.stop()["dns"]["tcp"]
        assert tcp["connections_evicted"] == 0, tcp
    addresses = [f"2001:db8::{i + 1}" for i in range(4)] + ["2001:db8:0:1::1"]
    for address in addresses:
        subprocess.run(["ip", "addr", "add", address + "/128", "dev", "lo", "nodad"], check=True)
    with h.Server(ZONES, "--workers", "1", "--tcp-per-client", "2", "--tcp-idle", "60",
                  listen=("[::]:0",)) as server:
        clients = []
        for address in addresses:
            clients.append(connect(server, address, "2001:db8::1"))
            ask(clients[-1])
        assert [is_over(client, 0.1) for client in clients] == [True, True, False, False, False]
        server.stop()


def descriptors():
    """
    The soft limit is raised for the connections asked for, and the hard one respected. The last
    case: not everybody may raise that one again.
    """
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (50, limits[1]))
    with h.Server(ZONES, "--workers", "1", "--tcp-per-client", "200") as server:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        clients = [connect(server) for _ in range(150)]
        for client in clients:
            ask(client)
        assert server.stop()["dns"]["tcp"]["connections"] == 150
        assert "warning" not in server.stderr, server.stderr
        for client in clients:
            client.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (50, 100))
    with h.Server(ZONES, "--workers", "1", "--tcp-per-client", "200") as server:
        server.wait_for("raise it (ulimit -Hn")
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
        for _ in range(200):
            with connect(server) as client:
                ask(client)
        server.stop()


class Clients:
    """Up to 40 of them, doing what they like."""

    def __init__(self, server, chance):
        self.server = server
        self.chance = chance
        self.all = []

    def open(self):
        if len(self.all) < 40:
            client = connect(self.server, f"127.0.4.{self.chance.randrange(1, 9)}")
            client.setblocking(False)
            self.all.append(client)

    def make_bytes(self):
        kind = self.chance.randrange(6)
        if kind == 0:
            return FRAMED * self.chance.randrange(1, 50)
        if kind == 1:
            return self.chance.randbytes(self.chance.randrange(1, 3000))
        if kind == 2:
            return FRAMED[:self.chance.randrange(len(FRAMED))]
        if kind == 3:  # a length, and something of it
            n = self.chance.randrange(65536)
            return struct.pack("!H", n) + self.chance.randbytes(self.chance.randrange(n + 1))
        packet = bytearray(QUERY)
        for _ in range(self.chance.randrange(1, 5)):
            packet[self.chance.randrange(len(packet))] = self.chance.randrange(256)
        return struct.pack("!H", len(packet)) + packet

    def step(self):
        if not self.all:
            self.open()
            return
        client = self.chance.choice(self.all)
        kind = self.chance.randrange(10)
        try:
            if kind < 2:
                self.open()
            elif kind < 6:
                client.send(self.make_bytes())
            elif kind < 8:
                if not client.recv(self.chance.choice((1, 100, 65536))):
                    self.close(client)
            elif kind == 8:
                client.shutdown(self.chance.choice((socket.SHUT_WR, socket.SHUT_RDWR)))
            else:
                self.close(client)
        except BlockingIOError:
            pass
        except OSError:
            self.close(client)

    def close(self, client):
        if self.chance.randrange(3) == 0:  # with a RST
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        self.all.remove(client)


def anything(n_steps):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}, {n_steps} steps")
    with h.Server(ZONES, "--workers", "1", "--tcp-per-client", "6", "--tcp-connections", "30",
                  "--tcp-idle", "1") as server:
        clients = Clients(server, random.Random(seed))
        for i in range(n_steps):
            clients.step()
            if i % 500 == 0:
                with connect(server, "127.0.5.1") as good:
                    ask(good)
        for client in list(clients.all):
            clients.close(client)
        with connect(server, "127.0.5.1") as good:
            ask(good)
        server.stop()


if __name__ == "__main__":
    harness.enter_namespace()
    STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    h.run([("a byte now and then", trickle), ("an answer a byte at a time", reluctant),
           ("too many", crowd), ("networks", networks), ("anything", lambda: anything(STEPS)),
           ("descriptors", descriptors)])
