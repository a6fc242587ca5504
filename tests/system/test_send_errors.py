#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Every way in which the kernel refuses a reply, made to happen: by a firewall, routes, an MTU, a
closed port, full queues. Exactly the replies that were refused are counted, under their errno, and
nobody else's is lost; on the plain path (--no-coalesce) and on the segmented one.

The server sleeps (SIGSTOP) while requests are queued and the network is broken, so one volley
holds them all.
"""
import os
import signal
import socket
import struct
import subprocess
import sys
import time

import harness

SERVER = os.environ.get("VOLLEY_SEND_SERVER")
PATHS = ((), ("--no-coalesce",))
SICK, WELL = "127.0.0.10", "127.0.0.20"


def sh(command):
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise harness.Skip(f"{command}: {done.stderr.strip()}")
    return done.stdout


def bound(host, rcvbuf=8 << 20):
    sock = harness.client((host, 0), rcvbuf=rcvbuf, connect=False)
    sock.bind((host, 0))
    return sock


class Scene:
    """A server that sleeps, a sick client and a well one, and the network's repair at the end."""

    def __init__(self, *args, undo=(), listen="127.0.0.1:0", hosts=(SICK, WELL)):
        self.undo = undo
        self.server = harness.Server(*args, listen=(listen,), program=SERVER)
        self.port = self.server.port
        self.sick, self.well = (bound(host) for host in hosts)
        self.server.signal(signal.SIGSTOP)
        while " T " not in self.proc("stat"):
            time.sleep(0.001)

    def proc(self, name):
        with open(f"/proc/{self.server.process.pid}/{name}", encoding="ascii") as file:
            return file.read()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.server.signal(signal.SIGCONT)
        for command in self.undo:
            subprocess.run(command, shell=True, capture_output=True, check=False)
        self.server.kill()
        self.sick.close()
        self.well.close()

    def ask(self, n=8, size=64):
        """n requests of each client in turn: A B A B ..."""
        for i in range(n):
            for sock in (self.sick, self.well):
                sock.sendto(i.to_bytes(4, "big").ljust(size, b"x"), ("127.0.0.1", self.port))

    def wake(self):
        self.server.signal(signal.SIGCONT)

    def replies(self, sock, n):
        """n replies in order, and not one more."""
        numbers = [int.from_bytes(sock.recv(65536)[:4], "big") for _ in range(n)]
        assert numbers == sorted(set(numbers)), f"out of order: {numbers}"
        return numbers

    def stop(self):
        """The books, which must agree with what the sockets still hold (nothing)."""
        stats = self.server.stop()
        drops = stats["tx_dropped"]
        assert stats["tx_requested"] == stats["tx_sent"] + sum(drops.values()), stats
        assert stats["tx_queued"] == 0
        for sock in (self.sick, self.well):
            sock.setblocking(False)
            try:
                sock.recv(1)
                raise AssertionError("a reply too many")
            except BlockingIOError:
                pass
        return stats, {name: n for name, n in drops.items() if n}


def nft(rule):
    sh("nft add table inet e")
    sh("nft 'add chain inet e out { type filter hook output priority 0; }'")
    sh(f"nft add rule inet e out {rule}")


NFT_UNDO = ("nft delete table inet e",)


def one_sick(errno, path, make, undo):
    """All replies to one client fail, the other's arrive."""
    def case():
        with Scene(*path, undo=undo) as scene:
            scene.ask()
            for command in make:
                if callable(command):
                    command(scene)
                else:
                    sh(command)
            scene.wake()
            assert scene.replies(scene.well, 8) == list(range(8))
            stats, drops = scene.stop()
            assert drops == {errno: 8}, drops
            assert stats["tx_sent"] == 8
            assert (stats["tx_segmented"] >= 1) == (not path), stats["tx_segmented"]
            assert (stats["tx_healed"] >= 1) == (not path), stats["tx_healed"]
    return case


def eperm_rule(scene):
    nft(f"ip daddr {SICK} udp sport {scene.port} drop")


def numgen(path):
    """A firewall that drops every third packet: what it drops is charged, what it lets by came."""
    def case():
        with Scene(*path, undo=NFT_UNDO) as scene:
            scene.ask(n=30)
            nft(f"udp sport {scene.port} numgen inc mod 3 0 drop")
            scene.wake()
            deadline = time.monotonic() + harness.PATIENCE
            numbers = []
            stats = scene.server.stop()
            drops = {name: n for name, n in stats["tx_dropped"].items() if n}
            for sock in (scene.sick, scene.well):
                sock.setblocking(False)
                mine = []
                while time.monotonic() < deadline:
                    try:
                        mine.append(int.from_bytes(sock.recv(100)[:4], "big"))
                    except BlockingIOError:
                        break
                assert mine == sorted(set(mine)), mine
                numbers += mine
            n_eperm = drops.pop("EPERM", 0)
            assert not drops, drops
            assert len(numbers) == stats["tx_sent"] == 60 - n_eperm, (len(numbers), stats)
            # A batch call ends before the packet that it met a drop on, and the next one offers it
            # again, to the next number: EPERM is what the first packet of a call meets.
            assert n_eperm + stats["tx_healed"] >= 1, stats
    return case


def refused_whole():
    """A length rule that only segmented messages break: all of them arrive, one by one."""
    with Scene(undo=NFT_UNDO) as scene:
        scene.ask()
        nft(f"udp sport {scene.port} udp length gt 200 drop")
        scene.wake()
        for sock in (scene.sick, scene.well):
            assert scene.replies(sock, 8) == list(range(8))
        stats, drops = scene.stop()
        assert not drops and stats["tx_healed"] == 2 and stats["tx_segmented"] == 0, stats


ROUTE = f"local {SICK} dev lo src 127.0.0.1 mtu lock 1400 table local"


def above_the_mtu(narrow, widen, *args, n_healed):
    """Replies longer than one client's path: they pass in fragments, and the others' stay whole."""
    def case():
        with Scene(*args, undo=(widen,)) as scene:
            for i in range(8):
                scene.sick.sendto(i.to_bytes(4, "big").ljust(2000), ("127.0.0.1", scene.port))
                scene.well.sendto(i.to_bytes(4, "big").ljust(1200), ("127.0.0.1", scene.port))
            sh(narrow)
            scene.wake()
            for sock in (scene.sick, scene.well):
                assert scene.replies(sock, 8) == list(range(8))
            for _ in range(3):  # and again, with what was learned
                scene.server.signal(signal.SIGSTOP)
                scene.ask(size=1200)
                scene.wake()
                for sock in (scene.sick, scene.well):
                    scene.replies(sock, 8)
            stats, drops = scene.stop()
            assert not drops, drops
            assert stats["tx_healed"] == n_healed, stats["tx_healed"]
            assert stats["tx_segmented"] >= 7, stats["tx_segmented"]
    return case


def too_long(path):
    """Where nothing may be fragmented, longer replies than the path takes are EMSGSIZE."""
    def case():
        with Scene("--never-fragment", *path, undo=(f"ip route del {ROUTE}",)) as scene:
            for i in range(8):
                for sock in (scene.sick, scene.well):
                    # 1,400 bytes of packet are 1,372 of payload: the last ones just fit.
                    sock.sendto(i.to_bytes(4, "big").ljust(1373 if i < 6 else 1372),
                                ("127.0.0.1", scene.port))
            sh(f"ip route add {ROUTE}")
            scene.wake()
            assert scene.replies(scene.well, 8) == list(range(8))
            assert scene.replies(scene.sick, 2) == [6, 7]
            stats, drops = scene.stop()
            assert drops == {"EMSGSIZE": 6}, drops
            assert (stats["tx_healed"] >= 1) == (not path), stats["tx_healed"]
            assert (stats["tx_segmented"] >= 1) == (not path), stats["tx_segmented"]
    return case


def port_zero(path):
    """Nobody can reply to port 0; the library refuses before the kernel does."""
    def case():
        with Scene(*path) as scene, \
                socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
            scene.ask(n=4)
            for _ in range(5):
                raw.sendto(struct.pack("!HHHH", 0, scene.port, 8 + 3, 0) + b"abc",
                           ("127.0.0.1", 0))
            scene.wake()
            for sock in (scene.sick, scene.well):
                assert scene.replies(sock, 4) == list(range(4))
            stats, drops = scene.stop()
            assert drops == {"refused": 5} and stats["delivered"] == 13, (drops, stats)
    return case


def dead_peer(path):
    """ICMP errors of one client's closed port never cost the other's replies."""
    def case():
        with Scene("--report-errors", *path) as scene:
            scene.wake()
            n_rounds = 20
            for _ in range(n_rounds):
                gone = bound("127.0.0.30")
                scene.server.signal(signal.SIGSTOP)
                for i in range(4):
                    gone.sendto(b"gone", ("127.0.0.1", scene.port))
                    scene.well.sendto(i.to_bytes(4, "big"), ("127.0.0.1", scene.port))
                gone.close()
                scene.wake()
                assert scene.replies(scene.well, 4) == list(range(4))
            stats, drops = scene.stop()
            assert not drops, f"a stale error was charged to somebody: {drops}"
            assert stats["tx_sent"] == stats["tx_requested"] == n_rounds * 8, stats
            assert stats["tx_reported"] > 0, "no error was reported"
    return case


def full_queue(path, errno, args, qdisc):
    """Back-pressure: order kept, a bounded wait without spinning, then drops by name."""
    def case():
        with Scene(*args, *path, undo=("tc qdisc del dev lo root",)) as scene:
            n = 1500
            scene.ask(n=n, size=1000)
            sh(f"tc qdisc add dev lo root {qdisc}")
            scene.wake()
            time.sleep(1.0)  # ten times as long as a reply may wait
            before = [int(x) for x in scene.proc("stat").rsplit(") ", 1)[1].split()[11:13]]
            time.sleep(0.5)
            after = [int(x) for x in scene.proc("stat").rsplit(") ", 1)[1].split()[11:13]]
            sh("tc qdisc change dev lo root tbf rate 10gbit burst 1m limit 64m")
            stats = scene.server.stop()
            drops = {name: n for name, n in stats["tx_dropped"].items() if n}
            n_came = 0
            for sock in (scene.sick, scene.well):
                sock.settimeout(1.0)
                mine = []
                while True:
                    try:
                        mine.append(int.from_bytes(sock.recv(2000)[:4], "big"))
                    except TimeoutError:
                        break
                assert mine == sorted(set(mine)), "out of order"
                n_came += len(mine)
            print(f"  {errno}: {n_came} of {2 * n} came, dropped {drops}, {stats['wakes']} wakes")
            assert n_came == stats["tx_sent"], (n_came, stats["tx_sent"])
            assert stats["tx_requested"] == 2 * n == stats["tx_sent"] + sum(drops.values()), stats
            assert set(drops) <= {"timeout", "backlog_full"} and drops, drops
            assert sum(after) - sum(before) <= 5, "it spins while nothing happens"
            # 500 us, doubling, for 50 ms at most: about 20. Waiting for POLLOUT instead made 1,952.
            assert stats["wakes"] < 300, stats["wakes"]
    return case


def route_cases():
    kinds = (("ENETUNREACH", "throw"), ("EHOSTUNREACH", "unreachable"), ("EACCES", "prohibit"),
             ("EINVAL", "blackhole"))
    for path in PATHS:
        name = "plain" if path else "segmented"
        for errno, kind in kinds:
            yield (f"{errno}, {name}", one_route(errno, kind, path))


def one_route(errno, kind, path):
    """The sick client's address is gone from this machine, and its route says why."""
    host = "10.9.9.9"

    def case():
        sh(f"ip address add {host}/32 dev lo")
        undo = (f"ip route del {kind} {host}/32", f"ip address del {host}/32 dev lo")
        with Scene(*path, undo=undo, hosts=(host, WELL)) as scene:
            scene.ask()
            sh(f"ip address del {host}/32 dev lo")
            if kind != "throw":
                sh(f"ip route add {kind} {host}/32")
            scene.wake()
            assert scene.replies(scene.well, 8) == list(range(8))
            stats, drops = scene.stop()
            assert drops == {errno: 8}, drops
            assert stats["tx_sent"] == 8 and (stats["tx_healed"] >= 1) == (not path), stats
    return case


def cases():
    for path in PATHS:
        name = "plain" if path else "segmented"
        yield f"EPERM, {name}", one_sick("EPERM", path, (eperm_rule,), NFT_UNDO)
        yield f"EPERM for every third, {name}", numgen(path)
        yield f"EMSGSIZE, {name}", too_long(path)
        yield f"port 0, {name}", port_zero(path)
        yield f"ECONNREFUSED, {name}", dead_peer(path)
        yield (f"EAGAIN, {name}", full_queue(path, "EAGAIN", ("--sndbuf", "100000"),
                                              "tbf rate 100kbit burst 70k limit 64m"))
        yield (f"ENOBUFS, {name}", full_queue(path, "ENOBUFS", ("--report-errors",),
                                               "tbf rate 100kbit burst 70k limit 100k"))
    yield from route_cases()
    yield "segmented messages are refused, single ones are not", refused_whole
    # What the path takes is not believed, unless asked for; what the device takes is known.
    yield ("replies above the path's MTU, which is not believed",
           above_the_mtu(f"ip route add {ROUTE}", f"ip route del {ROUTE}", n_healed=0))
    yield ("replies above the path's MTU",
           above_the_mtu(f"ip route add {ROUTE}", f"ip route del {ROUTE}", "--believe-icmp",
                         n_healed=1))
    yield ("replies above the device's MTU",
           above_the_mtu("ip link set lo mtu 1400", "ip link set lo mtu 65536", n_healed=1))


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("skip: needs root for nft and routes")
        sys.exit(harness.SKIPPED)
    harness.enter_namespace()
    # Behind a qdisc, lo keeps the order of what one CPU sends: a sender that moves may overtake.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    sys.exit(harness.main(list(cases())))
