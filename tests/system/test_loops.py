#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
The examples of examples/loops: a server in a loop of epoll's, of libuv's, of libevent's, and a
timer on a worker's own. Real datagrams, an idle loop that sleeps, and a clean end with balanced
books. Programs come from LOOP_EXAMPLES (name=path ...); one that was not built is skipped.
"""
import os
import re
import select
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import check_ledger  # noqa: E402
import harness  # noqa: E402

PROGRAMS = dict(pair.split("=", 1) for pair in os.environ["LOOP_EXAMPLES"].split())
N_BURSTS, N_BURST = 50, 40


class Program(harness.Example):
    def __init__(self, name):
        if name not in PROGRAMS:
            raise harness.Skip(f"{name} was not built: its library is missing")
        self.before = harness.snmp()
        super().__init__(PROGRAMS[name])

    def cpu_ticks(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def n_switches(self):
        """How often it has slept and woken."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", file.read(), re.M).group(1))

    def expect_books(self, stats, n):
        """n datagrams were replied to: by its own word, and by the client's and the kernel's."""
        assert stats["tx_sent"] == n, f"{stats['tx_sent']} instead of {n}"
        witness = {"sent": n, "received": n, "client_drops": 0, "unreplied": 0, "firewalled": 0,
                   **harness.snmp_delta(self.before, harness.snmp())}
        problems = check_ledger.judge(stats, witness)
        assert not problems, problems


def serves(name):
    """One by one, then in bursts that take several calls of process each."""
    with Program(name) as program, harness.client(program.address) as sock:
        for i in range(100):
            harness.ask(sock, b"%d" % i)
        for burst in range(N_BURSTS):
            sent = [b"%d %d" % (burst, i) for i in range(N_BURST)]
            for payload in sent:
                sock.send(payload)
            assert [sock.recv(100) for _ in sent] == sent, "lost, doubled, or out of order"
        program.expect_books(program.stop(), 100 + N_BURSTS * N_BURST)


def sleeps(name):
    """Nothing to do is nothing done: no wake at all in half a second, before and after traffic."""
    with Program(name) as program, harness.client(program.address) as sock:
        for _ in range(2):
            harness.ask(sock, b"once")
            time.sleep(0.1)  # it goes back to sleep
            before = program.n_switches(), program.cpu_ticks()
            time.sleep(0.5)
            after = program.n_switches(), program.cpu_ticks()
            assert before == after, f"(wakes, ticks): {before}, then {after}"
        program.expect_books(program.stop(signal.SIGINT), 2)


def drains(name):
    """What was queued when the signal came is replied to."""
    with Program(name) as program, harness.client(program.address) as sock:
        program.process.send_signal(signal.SIGSTOP)
        for i in range(50):
            sock.send(b"%d" % i)
        program.process.send_signal(signal.SIGTERM)
        stats = program.stop(signal.SIGCONT)
        assert [sock.recv(100) for _ in range(50)] == [b"%d" % i for i in range(50)]
        program.expect_books(stats, 50)


def ends_at_once(name):
    """It said that it is ready, so a signal is for it."""
    for _ in range(20):
        with Program(name) as program:
            program.expect_books(program.stop(), 0)


def ticks():
    with Program("timer") as program, harness.client(program.address) as sock:
        harness.ask(sock, b"one")
        deadline = time.monotonic() + harness.PATIENCE
        lines = []
        while lines.count("timer: 1\n") < 3:
            assert time.monotonic() < deadline, lines
            assert select.select([program.process.stderr], [], [], harness.PATIENCE)[0]
            lines.append(program.process.stderr.readline())
        program.expect_books(program.stop(), 1)


OWN = ("own_epoll", "own_libuv", "own_libevent")
CASES = [(f"{name} {case.__name__}", lambda case=case, name=name: case(name))
         for name in OWN for case in (serves, sleeps, drains, ends_at_once)]
CASES += [("timer serves", lambda: serves("timer")), ("timer ticks", ticks),
          ("timer ends_at_once", lambda: ends_at_once("timer"))]

if __name__ == "__main__":
    harness.enter_namespace()
    sys.exit(harness.main(CASES))
