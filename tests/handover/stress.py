#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Restarts with faults: stress.py [--long] [SEED]

A chain of volley-echo --replace. Between each two processes stands a relay that lets the packets of
the hand-over pass, and at one of them, by chance, something happens: a process is killed, told to
end, or sleeps for a while; the packet becomes nonsense, or gets descriptors that do not belong to
it. After each restart every socket of the address must be served, and once more whenever a process
has ended: a socket that one of them made deaf would not be. Where a hand-over ends in doubt, both
processes serve, and more beside them; any may be replaced by the next one, which the others do not
hear of, and they end in any order. Where nothing happened that takes longer than a hand-over
may, the old process has been replaced.

200 restarts, or those of 40 s, and then at least a fifth; --long: 1,000, or those of 50 minutes.
When all of them ran, each fault has happened at least once. The seed is printed.
"""
import contextlib
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
import harness  # noqa: E402

LONG = "--long" in sys.argv
N_RESTARTS, LIMIT_S = (1000, 3000) if LONG else (200, 40)
N_LEAST = N_RESTARTS // 5
# Source ports that are asked from: with 2 sockets one is missed once in 32,768 times.
N_CLIENTS = 16
# So many may serve side by side.
N_SIDE_BY_SIDE = 3
# The longest hand-over has so many packets.
N_PACKETS = 10
FAULTS = ("none", "kill old", "kill new", "end old", "end new", "pause old", "pause new",
          "nonsense", "descriptors")
# A hand-over goes on after these: a process may take 10 s for each step, and sleeps for 0.1 s.
HARMLESS = ("none", "pause old", "pause new")


class Relay(threading.Thread):
    """The packets of one hand-over; at the index-th of both directions there is a fault."""

    def __init__(self, path, old, old_path, fault, index):
        super().__init__(daemon=True)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(path)
        self.listener.listen(1)
        self.old_pid, self.old_path = old.process.pid, old_path
        self.new_pid = None
        self.fault, self.left = fault, index
        self.lock = threading.Lock()
        self.hit = False

    def run(self):
        new = self.listener.accept()[0]
        self.listener.close()
        self.new_pid = struct.unpack("=iii", new.getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        old = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        old.connect(self.old_path)
        back = threading.Thread(target=self.forward, args=(old, new), daemon=True)
        back.start()
        self.forward(new, old)
        back.join()
        old.close()
        new.close()

    def forward(self, source, sink):
        with contextlib.suppress(OSError):
            while True:
                data, fds, _, _ = socket.recv_fds(source, 1 << 20, 253)
                if not data:
                    break
                with self.lock:
                    now, self.left = self.left == 0, self.left - 1
                if now:
                    self.hit = True
                    data, fds = self.do(data, fds)
                try:
                    socket.send_fds(sink, [data], fds)
                finally:
                    for fd in fds:
                        os.close(fd)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def do(self, data, fds):
        what, _, whom = self.fault.partition(" ")
        pid = self.old_pid if whom == "old" else self.new_pid
        if what == "kill":
            os.kill(pid, signal.SIGKILL)
        elif what == "end":
            os.kill(pid, signal.SIGTERM)
        elif what == "pause":
            os.kill(pid, signal.SIGSTOP)
            threading.Timer(0.1, os.kill, (pid, signal.SIGCONT)).start()
        elif what == "nonsense":
            data = os.urandom(random.randrange(1, 64))
        elif what == "descriptors":
            fds = [*fds, *(os.dup(0) for _ in range(60))]
        return data, fds


def ask_all(address):
    """Every socket is asked, and none may lose anything."""
    for _ in range(N_CLIENTS):
        with harness.client(address, timeout=5) as sock:
            harness.ask(sock, b"is anybody there?")


def is_alive(server):
    return server is not None and server.process.poll() is None


def wait_for(server, texts):
    """Until it says one of these, or ends."""
    while not any(text in server.stderr for text in texts):
        if not server._read_stderr(harness.PATIENCE):
            break
    if any(text in server.stderr for text in texts[:1]):
        server.process.wait(harness.PATIENCE)


def end(server):
    server.signal(signal.SIGTERM)
    assert server.wait() == 0, server.stderr


class Chain:
    def __init__(self, where, rng):
        self.where, self.rng, self.n = where, rng, 0
        self.address = None
        self.counts = {}
        self.hits = set()
        self.alive = []  # (server, path)
        self.n_most = 0
        self.events = []  # the last ones, for whoever has to find out
        self.first()

    def listen(self):
        if self.address is None:
            return "127.0.0.1:0"
        return "%s:%d" % self.address

    def path(self):
        self.n += 1
        return os.path.join(self.where, f"control{self.n}")

    def first(self):
        path = self.path()
        server = harness.Server("--replace", path, "--workers", "2", listen=(self.listen(),),
                                stats=False)
        self.address = server.address
        self.alive = [(server, path)]

    def restart(self):
        fault = self.rng.choice(FAULTS)
        path = self.path()
        index = self.rng.randrange(N_PACKETS)
        old, old_path = self.rng.choice(self.alive)
        old.stderr = ""
        relay = Relay(path, old, old_path, fault, index)
        relay.start()
        new = None
        with contextlib.suppress(AssertionError):
            new = harness.Server("--replace", path, "--workers", str(self.rng.choice((1, 2, 3))),
                                 listen=(self.listen(),), stats=False)
        wait_for(old, ("replaced", "serves on"))
        if "replaced" in old.stderr:
            relay.join(harness.PATIENCE)  # its last packet may be one to happen at
        what = f"{fault} at {index}" if relay.hit else "nothing"
        self.counts[what] = self.counts.get(what, 0) + 1
        if relay.hit:
            self.hits.add(fault)
        if not relay.hit or fault in HARMLESS:
            assert "replaced" in old.stderr, f"{what}:\n{old.stderr}\n{new and new.stderr}"
        self.judge(what, old, new, path)

    def judge(self, what, old, new, path):
        """What is there serves, whoever of it ends."""
        if what.startswith("kill old") or (what.startswith("end old") and is_alive(old)):
            old.wait()
        if what.startswith("kill new") and new is not None:
            new.process.wait(harness.PATIENCE)
        if what.startswith("end new") and "replaced" in old.stderr and is_alive(new):
            new.wait()
        self.note(f"{old.process.pid} -> {new and new.process.pid}: {what}")
        was_last = len(self.alive) == 1
        self.alive.append((new, path))
        for server, _ in self.alive:
            if server is not None and not is_alive(server):
                server.kill()
        self.alive = [pair for pair in self.alive if is_alive(pair[0])]
        self.n_most = max(self.n_most, len(self.alive))
        if not self.alive:
            # It was the only one by then, as the old one knew.
            assert was_last and what.startswith(("end new", "kill new")) and (
                "replaced" in old.stderr
            ), f"{what}: nobody is left\n{old.stderr}\n{new and new.stderr}"
            self.first()
        try:
            ask_all(self.address)
            while len(self.alive) > N_SIDE_BY_SIDE or (
                    len(self.alive) > 1 and self.rng.random() < 0.3):
                self.end_one()
                ask_all(self.address)
        except Exception:
            print("\n".join(self.events))
            print(f"after {what}:\n{old.stderr}\n{new and new.stderr}")
            raise

    def note(self, event):
        self.events = [*self.events[-8:], event + "; alive were " + ", ".join(
            str(server.process.pid) for server, _ in self.alive)]

    def end_one(self):
        server, _ = self.alive.pop(self.rng.randrange(len(self.alive)))
        self.note(f"{server.process.pid} ends")
        end(server)
        server.kill()

    def close(self):
        """To the last one, which is served to the end."""
        while len(self.alive) > 1:
            self.end_one()
            ask_all(self.address)
        self.alive[0][0].kill()


def main():
    seeds = [arg for arg in sys.argv[1:] if arg.isdigit()]
    seed = int(seeds[0]) if seeds else random.randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    harness.enter_namespace()
    begin, n = time.monotonic(), 0
    with tempfile.TemporaryDirectory(prefix="volley-restart-") as where:
        chain = Chain(where, random.Random(seed))
        while n < N_RESTARTS and time.monotonic() - begin < LIMIT_S:
            chain.restart()
            n += 1
        chain.close()
    for what, count in sorted(chain.counts.items()):
        print(f"{count:5} {what}")
    print(f"{n} restarts in {time.monotonic() - begin:.1f} s, up to {chain.n_most} side by side")
    assert n >= N_LEAST, f"{n} restarts are less than {N_LEAST}"
    missed = set(FAULTS) - chain.hits
    assert n < N_RESTARTS or not missed, f"never happened: {', '.join(sorted(missed))}"
    print("1 passed, 0 failed")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (AssertionError, OSError, subprocess.TimeoutExpired) as problem:
        print(f"failed: {problem}")
        print("0 passed, 1 failed")
        sys.exit(1)
