#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
volley-echo on real traffic: every size byte for byte, many clients, several listeners, replies
from the address that was asked; with every backend and every way to wait.
"""
import itertools
import os
import select
import socket
import subprocess
import sys
import tempfile
import time

import harness

MAX_V4 = 65507
BACKENDS = ("mmsg", "msg")
WAITS = ("event", "block", "spin")
# Around everything that has a limit: nothing, one, minimum MTUs, MTU, pages, powers of two, most.
EDGES = sorted({0, 1, 2, 3, 63, 64, 65, 511, 512, 513, 1231, 1232, 1471, 1472, 1473, 1499, 1500,
                1501, 4095, 4096, 4097, 8191, 8192, 16384, 32767, 32768, 65000, 65506, MAX_V4})
PATTERN = os.urandom(MAX_V4 + 251)


def payload(size):
    """Differs between neighbouring sizes, also in the bytes they share."""
    start = size % 251
    return PATTERN[start:start + size]


def echo_sizes(sock, sizes, window_bytes=1 << 20):
    """Send in windows, so that the server gets whole volleys, and compare in order."""
    waiting, n_bytes = [], 0
    for size in itertools.chain(sizes, [None]):
        if size is not None:
            sock.send(payload(size))
            waiting.append(size)
            # A datagram's share of a receive buffer is far above its size when it is small.
            n_bytes += 2 * size + 1024
        if n_bytes > window_bytes or size is None:
            for expected in waiting:
                reply = sock.recv(65536)
                assert reply == payload(expected), \
                    f"asked with {expected} bytes, {len(reply)} other bytes came back"
            waiting, n_bytes = [], 0


def check_books(stats, n_asked):
    assert stats["rx_datagrams"] == n_asked, (stats["rx_datagrams"], n_asked)
    assert stats["delivered"] == n_asked
    assert stats["tx_sent"] == n_asked
    assert sum(stats["rx_dropped"].values()) == 0 and sum(stats["tx_dropped"].values()) == 0
    assert stats["kernel_drops"] == 0


def every_size(address):
    def case():
        if address.startswith("[") and not harness.has_ipv6():
            raise harness.Skip("no IPv6")
        with harness.Server("--workers", "1", listen=(address,)) as server:
            with harness.client(server.address) as sock:
                echo_sizes(sock, range(MAX_V4 + 1))
            check_books(server.stop(), MAX_V4 + 1)
    return case


def edge_sizes(io, wait, address):
    def case():
        with harness.Server("--workers", "2", "--io", io, "--wait", wait,
                            listen=(address,)) as server:
            assert server.io == io, server.io
            with harness.client(server.address) as sock:
                echo_sizes(sock, EDGES * 3)
            check_books(server.stop(), 3 * len(EDGES))
    return case


def most_over_ipv6():
    """IPv6 carries 20 bytes more than IPv4."""
    with harness.Server(listen=("[::1]:0",)) as server, harness.client(server.address) as sock:
        big = os.urandom(65527)
        sock.send(big)
        assert sock.recv(65536) == big


def socat_every_size(address):
    """The same through socat, which passes on what it reads from a local socket of ours."""
    def case():
        with harness.Server("--workers", "1", listen=(address,)) as server, \
                tempfile.TemporaryDirectory(prefix="volley-socat-") as folder, \
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            ours, socats = os.path.join(folder, "ours"), os.path.join(folder, "socats")
            sock.bind(ours)
            sock.settimeout(harness.PATIENCE)
            socat = subprocess.Popen(["socat", "-b", "65536", f"UNIX-SENDTO:{ours},bind={socats}",
                                      socat_address(server)])
            try:
                connect_unix(sock, socats)
                echo_sizes(sock, range(1, MAX_V4 + 1), window_bytes=1 << 16)
            finally:
                socat.kill()
                socat.wait()
            check_books(server.stop(), MAX_V4)
    return case


def socat_nothing(address):
    """An empty datagram ends socat's input here, and its reply ends socat."""
    def case():
        with harness.Server(listen=(address,)) as server:
            done = subprocess.run(["socat", "-t", str(harness.PATIENCE), "STDIO",
                                   socat_address(server) + ",shut-null,null-eof"], input=b"",
                                  capture_output=True, check=False, timeout=harness.PATIENCE / 2)
            assert (done.returncode, done.stdout) == (0, b""), done
            check_books(server.stop(), 1)
    return case


def socat_address(server):
    host, port = server.address
    return f"UDP6:[{host}]:{port}" if ":" in host else f"UDP4:{host}:{port}"


def connect_unix(sock, path):
    """As soon as the other has bound it."""
    deadline = time.monotonic() + harness.PATIENCE
    while True:
        try:
            sock.connect(path)
            return
        except (FileNotFoundError, ConnectionRefusedError):
            assert time.monotonic() < deadline, f"nobody binds {path}"
            time.sleep(0.001)  # polls a file; nothing depends on the length


def n_clients(n, io, wait):
    """Each client gets its own replies and nobody else's."""
    def case():
        with harness.Server("--workers", "2", "--io", io, "--wait", wait) as server:
            socks = [harness.client(server.address, rcvbuf=1 << 18) for _ in range(n)]
            rounds = max(3, 1000 // n)
            for number in range(rounds):
                for i, sock in enumerate(socks):
                    sock.send(b"client %d round %d" % (i, number))
                for i, sock in enumerate(socks):
                    reply = sock.recv(65536)
                    assert reply == b"client %d round %d" % (i, number), (i, number, reply)
            for sock in socks:
                assert not select.select([sock], [], [], 0)[0], "a reply too many"
                sock.close()
            check_books(server.stop(), n * rounds)
    return case


def two_listeners(wait):
    def case():
        addresses = ("127.0.0.1:0", "127.0.0.2:0", "[::1]:0")
        with harness.Server("--workers", "2", "--wait", wait, listen=addresses) as server:
            assert len({port for _, port in server.addresses}) >= 1
            socks = [harness.client(address) for address in server.addresses]
            for number in range(200):
                for i, sock in enumerate(socks):
                    sock.send(b"listener %d round %d" % (i, number))
                for i, sock in enumerate(socks):
                    assert sock.recv(65536) == b"listener %d round %d" % (i, number)
            for sock in socks:
                sock.close()
            check_books(server.stop(), 600)
    return case


def replied_from(server_address, ask_at, sock=None):
    """Ask at an address from an unconnected socket; the address of whoever replies."""
    with sock or harness.client(ask_at, connect=False) as asking:
        asking.sendto(b"who", ask_at)
        reply, source = asking.recvfrom(100)
        assert reply == b"who"
        return source[0]


def wildcard_v4(io):
    def case():
        with harness.Server("--io", io, listen=("0.0.0.0:0",)) as server:
            for host in ("127.0.0.1", "127.0.0.5", "127.9.8.7"):
                source = replied_from(server, (host, server.port))
                assert source == host, f"asked at {host}, {source} replied"
    return case


def wildcard_v6(io):
    def case():
        harness.run_ip("address", "add", "fd00::5/128", "dev", "lo", "nodad")
        try:
            with harness.Server("--io", io, listen=("[::]:0",)) as server:
                for host in ("::1", "fd00::5"):
                    source = replied_from(server, (host, server.port))
                    assert source == host, f"asked at {host}, {source} replied"
                # IPv4 on the same socket: v4-mapped inside, plain on the wire.
                for host in ("127.0.0.1", "127.0.0.5"):
                    source = replied_from(server, (host, server.port))
                    assert source == host, f"asked at {host}, {source} replied"
        finally:
            harness.run_ip("address", "del", "fd00::5/128", "dev", "lo")
    return case


def two_addresses_per_interface():
    """A client in another namespace, over veth, at each of the server's four addresses."""
    name = f"v{os.getpid()}"
    host, peer = name + "a", name + "b"
    asker = subprocess.Popen(["unshare", "--net", "--", "sleep", "120"])
    try:
        wait_for_namespace(asker.pid)
        harness.run_ip("link", "add", host, "type", "veth", "peer", "name", peer,
                       "netns", str(asker.pid))
        inside = ["nsenter", "--net", "--target", str(asker.pid), "--"]
        mine = ("10.77.0.1", "10.77.0.2", "fd77::1", "fd77::2")
        for address in mine:
            bits = ("/64", "nodad") if ":" in address else ("/24",)
            harness.run_ip("address", "add", address + bits[0], "dev", host, *bits[1:])
        harness.run_ip("link", "set", host, "up")
        for args in (["address", "add", "10.77.0.9/24", "dev", peer],
                     ["address", "add", "fd77::9/64", "dev", peer, "nodad"],
                     ["link", "set", peer, "up"]):
            subprocess.run([*inside, "ip", *args], check=True)
        for listen in ("[::]:0", "0.0.0.0:0"):
            with harness.Server("--workers", "2", listen=(listen,)) as server:
                for address in mine:
                    if ":" in address and listen.startswith("0"):
                        continue
                    code = ("import sys; sys.path.insert(0, sys.argv[1]); import test_echo as t;"
                            "print(t.replied_from(None, (sys.argv[2], int(sys.argv[3]))))")
                    done = subprocess.run([*inside, sys.executable, "-c", code,
                                           os.path.dirname(os.path.abspath(__file__)), address,
                                           str(server.port)], capture_output=True, text=True,
                                          check=False, timeout=60)
                    assert done.stdout.strip() == address, \
                        f"asked at {address}, replied from {done.stdout} {done.stderr}"
    finally:
        asker.kill()
        asker.wait()


def wait_for_namespace(pid):
    """Until the child has left our namespace."""
    mine = os.readlink("/proc/self/ns/net")
    for _ in range(2000):
        if os.readlink(f"/proc/{pid}/ns/net") != mine:
            return
        select.select([], [], [], 0.005)
    raise AssertionError("unshare did not unshare")


def low_ports():
    """A source port below 1024 gets a reply only when that is allowed (CVE-2024-2169)."""
    for allowed in (False, True):
        with harness.Server(*(["--allow-low-ports"] if allowed else [])) as server:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as low, \
                    harness.client(server.address) as high:
                low.bind(("127.0.0.1", 999))
                low.sendto(b"low", server.address)
                harness.ask(high, b"high")  # the low one is through by then, or nearly
                stats = server.stop()
                ready = select.select([low], [], [], 0)[0]
                assert bool(ready) == allowed, (allowed, ready)
                assert stats["delivered"] == 2 and stats["tx_sent"] == (2 if allowed else 1)


def truncated():
    """Longer than --max-datagram: counted, not replied to."""
    with harness.Server("--max-datagram", "100", "--workers", "1") as server:
        with harness.client(server.address) as sock:
            sock.send(b"x" * 101)
            harness.ask(sock, b"y" * 100)
        stats = server.stop()
        assert stats["rx_dropped"]["truncated"] == 1 and stats["delivered"] == 1, stats


CASES = [
    ("every size, IPv4", every_size("127.0.0.1:0")),
    ("every size, IPv6", every_size("[::1]:0")),
    ("65,527 bytes over IPv6", most_over_ipv6),
    *[(f"edge sizes, {io}, {wait}, {address}", edge_sizes(io, wait, address))
      for io in BACKENDS for wait in WAITS for address in ("127.0.0.1:0", "[::1]:0", "[::]:0")],
    *[(f"{name}, {address}", case(address)) for address in ("127.0.0.1:0", "[::1]:0")
      for name, case in (("every size by socat", socat_every_size),
                         ("an empty one by socat", socat_nothing))],
    *[(f"{n} clients, {io}, {wait}", n_clients(n, io, wait))
      for n, io, wait in ((1, "mmsg", "event"), (10, "mmsg", "spin"), (100, "msg", "event"),
                          (1000, "mmsg", "event"), (1000, "msg", "block"),
                          (1000, "mmsg", "block"))],
    ("three listeners, event", two_listeners("event")),
    ("three listeners, spin", two_listeners("spin")),
    *[(f"wildcard IPv4, {io}", wildcard_v4(io)) for io in BACKENDS],
    *[(f"wildcard IPv6 and v4-mapped, {io}", wildcard_v6(io)) for io in BACKENDS],
    ("two addresses per interface", two_addresses_per_interface),
    ("low source ports", low_ports),
    ("truncated", truncated),
]

if __name__ == "__main__":
    harness.enter_namespace()
    sys.exit(harness.main(CASES))
