#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Hot restarts: volley-echo --replace under load, again and again, with other numbers of workers each
time. Every datagram has a number and every one is replied to; the last process's books, with what
was carried over, are judged by check_ledger.py. And every step at which it can fail: the old
process serves on.

--long: 100 restarts instead of 10.
"""
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import check_ledger  # noqa: E402
import harness  # noqa: E402
from handover import (COUNTERS, DROPS, FURTHER, HELLO, OFFER, OTHERS, READY, RESUMED,  # noqa: E402
                      SOCKETS, MAGIC, Peer, connect)

LONG = "--long" in sys.argv
N_RESTARTS = 100 if LONG else 10
N_SOCKETS = 16
# Datagrams in flight per socket: far below what a receive buffer holds, so any loss is ours.
WINDOW = 8


class Load(threading.Thread):
    """Numbered datagrams from many ports, as fast as the replies come; each number comes back."""

    def __init__(self, address):
        super().__init__()
        self.socks = [harness.client(address) for _ in range(N_SOCKETS)]
        self.sent = [0] * N_SOCKETS
        self.waiting = [set() for _ in self.socks]
        self.received = 0
        self.wrong = 0
        for sock in self.socks:
            sock.setblocking(False)
        self.ending = threading.Event()

    def run(self):
        ready = self.socks
        numbers = {sock: i for i, sock in enumerate(self.socks)}
        while not self.ending.is_set():
            for sock in ready or self.socks:
                self.fill(numbers[sock], sock)
            ready = select.select(self.socks, [], [], 0.05)[0]
            for sock in ready:
                self.take(numbers[sock], sock)
        end = time.monotonic() + harness.PATIENCE
        while any(self.waiting) and time.monotonic() < end:
            for sock in select.select(self.socks, [], [], 0.05)[0]:
                self.take(numbers[sock], sock)

    def fill(self, i, sock):
        while len(self.waiting[i]) < WINDOW:
            self.waiting[i].add(self.sent[i])
            sock.send(struct.pack("=II", i, self.sent[i]))
            self.sent[i] += 1

    def take(self, i, sock):
        while True:
            try:
                reply = sock.recv(100)
            except BlockingIOError:
                return
            whose, number = struct.unpack("=II", reply)
            self.received += 1
            self.wrong += whose != i or number not in self.waiting[i]
            self.waiting[i].discard(number)

    def wait_for_more(self, n):
        """Until n more replies came, or none for too long."""
        end, goal = time.monotonic() + harness.PATIENCE, self.received + n
        while self.received < goal and time.monotonic() < end:
            time.sleep(0.001)
        assert self.received >= goal, "nobody replies"

    def end(self):
        self.ending.set()
        self.join()
        lost = sum(len(waiting) for waiting in self.waiting)
        for sock in self.socks:
            sock.close()
        return sum(self.sent), self.received, lost, self.wrong


def folder():
    return tempfile.TemporaryDirectory(prefix="volley-restart-")


def start(path, workers, *args, **kwargs):
    return harness.Server("--replace", path, "--workers", str(workers), *args, **kwargs)


def ended(server):
    assert server.wait() == 0, server.stderr
    assert "replaced" in server.stderr, server.stderr
    server.kill()


def judge(stats, sent, received, before):
    kernel = harness.snmp_delta(before, harness.snmp())
    witness = {"sent": sent, "received": received, "client_drops": 0, "unreplied": 0,
               "firewalled": 0, **kernel}
    problems = check_ledger.judge(stats, witness)
    assert not problems, problems


def restarts(n, workers, *args):
    def case():
        before = harness.snmp()
        with folder() as where:
            path = os.path.join(where, "control")
            server = start(path, workers[0], *args)
            address = server.address
            load = Load(address)
            load.start()
            for i in range(n):
                new = start(path, workers[(i + 1) % len(workers)], *args,
                            listen=(f"{address[0]}:{address[1] if i % 2 else 0}",))
                assert new.address == address, (new.address, address)
                ended(server)
                server = new
                load.wait_for_more(1000)
            sent, received, lost, wrong = load.end()
            print(f"    {n} restarts, {sent} sent, {received} received, {lost} lost, "
                  f"{wrong} wrong", flush=True)
            stats = server.stop()
            server.kill()
            assert (sent, lost, wrong) == (received, 0, 0)
            assert stats["carried"]["rx_datagrams"] > 0
            assert stats["carried"]["memory_bytes"] == 0
            judge(stats, sent, received, before)
    return case


def several_addresses():
    """One address stays, one goes, one comes."""
    with folder() as where:
        path = os.path.join(where, "control")
        with start(path, 2, listen=("127.0.0.1:0", "127.0.0.2:0")) as old:
            kept, dropped = old.addresses
            with start(path, 2, listen=("127.0.0.3:0", f"{kept[0]}:{kept[1]}")) as new:
                ended(old)
                assert new.addresses[1] == kept
                for address in new.addresses:
                    with harness.client(address) as sock:
                        harness.ask(sock, b"still there")
                with harness.client(dropped) as sock:
                    sock.send(b"gone")
                    try:
                        sock.recv(10)
                        raise AssertionError("the address that was not taken is still served")
                    except ConnectionRefusedError:
                        pass
                new.stop()


def leaves_after_offer(peer):
    peer.take_offer()


def says_nonsense(peer):
    peer.take_offer()
    peer.sock.send(b"nonsense")


def speaks_another_version(peer):
    n = peer.take_offer()
    peer.send(READY, n, b"\1" * n, magic=MAGIC + 1)


def takes_half_a_listener(peer):
    n = peer.take_offer()
    peer.send(READY, n, b"\1" + b"\0" * (n - 1))


def counts_wrongly(peer):
    n = peer.take_offer()
    peer.send(READY, n + 1, b"\1" * (n + 1))


def leaves_after_ready(peer):
    n = peer.take_offer()
    peer.send(READY, n, b"\1" * n)
    assert peer.recv()[0] == DROPS
    assert peer.recv()[0] == COUNTERS


def says_ready_twice(peer):
    n = peer.take_offer()
    peer.send(READY, n, b"\1" * n)
    assert peer.recv()[0] == DROPS
    assert peer.recv()[0] == COUNTERS
    peer.send(READY, n, b"\1" * n)
    assert peer.recv()[0] == RESUMED


def falls_back(what):
    """The new process fails in this way, twice; the old one loses nothing and can still go."""
    def case():
        with folder() as where:
            path = os.path.join(where, "control")
            with start(path, 2) as old:
                load = Load(old.address)
                load.start()
                for _ in range(2):
                    peer = connect(path)
                    what(peer)
                    peer.close()
                    load.wait_for_more(N_SOCKETS * WINDOW * 2)
                with start(path, 2, listen=(f"{old.address[0]}:{old.port}",)) as new:
                    ended(old)
                    sent, received, lost, wrong = load.end()
                    assert (sent, lost, wrong) == (received, 0, 0), (sent, received, lost, wrong)
                    stats = new.stop()
                    assert stats["rx_datagrams"] == sent, (stats["rx_datagrams"], sent)
                assert old.stderr.count("this process serves on") == 2, old.stderr
    return case


def new_one_cannot_listen():
    with folder() as where:
        path = os.path.join(where, "control")
        with start(path, 2) as old, harness.client(old.address) as sock:
            code, _, err = harness.run("--replace", path, "--listen",
                                       f"{old.address[0]}:{old.port}", "--listen",
                                       "192.0.2.1:7777")
            assert code == 1 and "no such address" in err, (code, err)
            for number in range(50):
                harness.ask(sock, b"%d" % number)
            assert old.stop()["delivered"] == 50


def told_to_end_meanwhile():
    """SIGTERM while somebody holds the old process in a hand-over: it ends."""
    with folder() as where:
        path = os.path.join(where, "control")
        with start(path, 2) as old, harness.client(old.address) as sock:
            peer = connect(path)
            peer.take_offer()
            harness.ask(sock, b"served meanwhile")
            begin = time.monotonic()
            stats = old.stop()
            assert time.monotonic() - begin < 5
            assert stats["delivered"] == 1
            peer.close()


def old_one_dies():
    """An old process that goes away when the new one is ready: the new one serves on."""
    with folder() as where:
        path = os.path.join(where, "control")
        server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        server.bind(path)
        server.listen(1)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))

        def old():
            peer = Peer(server.accept()[0])
            peer.say_hello()
            peer.send(OFFER, 1)
            peer.send(OTHERS)
            peer.send(FURTHER)
            peer.send(SOCKETS, 1, b"\0", fds=[udp.fileno()])
            assert peer.recv()[0] == HELLO
            assert peer.recv()[0] == READY
            peer.close()
        thread = threading.Thread(target=old)
        thread.start()
        with start(path, 1, listen=("%s:%d" % udp.getsockname(),)) as new:
            thread.join()
            with harness.client(udp.getsockname()) as sock:
                harness.ask(sock, b"still served")
            stats = new.stop()
            assert "this one serves on, without its counters" in new.stderr, new.stderr
            assert stats["carried"]["delivered"] == 0 and stats["delivered"] == 1
            assert stats["missing_books"] == 1, stats
        udp.close()
        server.close()


def old_one_dies_early():
    """Before it has given its sockets: the new one is the first, and knows of a process before."""
    words = ((), ((HELLO,),), ((HELLO,), (OFFER, 1)),
             ((HELLO,), (OFFER, 1), (OTHERS,)),
             ((HELLO,), (OFFER, 1), (OTHERS,), (FURTHER,)))
    for said in words:
        with folder() as where, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
            path = os.path.join(where, "control")
            server.bind(path)
            server.listen(1)

            def old(said=said, server=server):
                peer = Peer(server.accept()[0])
                server.close()
                for word in said:
                    if word == (HELLO,):
                        peer.say_hello()
                    else:
                        peer.send(*word)
                peer.close()
            thread = threading.Thread(target=old)
            thread.start()
            with start(path, 1) as new:
                thread.join()
                with harness.client(new.address) as sock:
                    harness.ask(sock, b"served")
                stats = new.stop()
                # One that said nothing was perhaps replaced by somebody else meanwhile.
                assert stats["missing_books"] == (1 if said else 0), (said, stats)


def in_other_pid_namespaces():
    """Neither process can see the other one's process id, as between two containers."""
    apart = ("unshare", "--pid", "--fork", "--kill-child")
    if subprocess.run([*apart, "true"], check=False, capture_output=True).returncode != 0:
        raise harness.Skip("no pid namespace of our own")
    with folder() as where:
        path = os.path.join(where, "control")
        with start(path, 2, prefix=apart) as old:
            address = f"{old.address[0]}:{old.port}"
            with start(path, 2, listen=(address,), prefix=apart) as new:
                assert old.wait() == 0 and "replaced" in old.stderr, old.stderr
                with harness.client(new.address) as sock:
                    harness.ask(sock, b"served")
                assert "warning" not in new.stderr, new.stderr


def left_over_path():
    """A path at which nobody listens any more is no obstacle, and is removed in the end."""
    with folder() as where:
        path = os.path.join(where, "control")
        with start(path, 1) as server:
            server.signal(signal.SIGKILL)
            server.process.wait()
        assert os.path.exists(path)
        with start(path, 1) as server:
            assert os.stat(path).st_mode & 0o777 == 0o600
            server.stop()
        assert not os.path.exists(path)


CASES = [
    (f"{N_RESTARTS} restarts, event", restarts(N_RESTARTS, (2, 2, 1, 3))),
    ("3 restarts, block", restarts(3, (2,), "--wait", "block")),
    ("3 restarts, spin, one by one", restarts(3, (1,), "--wait", "spin", "--io", "msg")),
    ("3 restarts, without coalescing in between",
     restarts(3, (2, 1), "--no-coalesce")),
    ("several addresses", several_addresses),
    *[(f"the new one {what.__name__.replace('_', ' ')}", falls_back(what))
      for what in (leaves_after_offer, says_nonsense, speaks_another_version,
                   takes_half_a_listener, counts_wrongly, leaves_after_ready, says_ready_twice)],
    ("the new one cannot listen", new_one_cannot_listen),
    ("told to end meanwhile", told_to_end_meanwhile),
    ("the old one dies", old_one_dies),
    ("the old one dies early", old_one_dies_early),
    ("in other pid namespaces", in_other_pid_namespaces),
    ("a path that was left over", left_over_path),
]

if __name__ == "__main__":
    if LONG:
        sys.argv.remove("--long")
    harness.enter_namespace()
    sys.exit(harness.main(CASES))
