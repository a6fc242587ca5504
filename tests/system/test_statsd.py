#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
examples/statsd: what logger, nc, socat and many sockets send is what it prints, to the last unit,
with several workers, over flushes and a drain; what is malformed is counted under its name. The
program comes from VOLLEY_STATSD.
"""
import collections
import os
import random
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402

STATSD = os.environ["VOLLEY_STATSD"]
N_CLIENTS = 48


class Statsd(harness.Server):
    """One that flushes at its end only, if nothing else is said."""

    def __init__(self, *args, seconds=3600, workers=4, **how):
        super().__init__("--flush", str(seconds), "--workers", str(workers), *args,
                         program=STATSD, **how)

    def client(self):
        return harness.client(self.address)

    def n_queued(self):
        """Bytes in its sockets."""
        with open("/proc/net/udp", encoding="ascii") as file:
            lines = [line.split() for line in file][1:]
        mine = [line[4] for line in lines if line[1].endswith(f":{self.port:04X}")]
        return sum(int(queues.split(":")[1], 16) for queues in mine)

    def wait_taken(self, n_bytes=0):
        """Until no more than that is queued: it keeps up, and so nothing is lost."""
        end = time.monotonic() + harness.PATIENCE
        while self.n_queued() > n_bytes:
            assert time.monotonic() < end, "it takes nothing"

    def read_sums(self):
        """Its end, and all that it has printed, added up."""
        self.wait_taken()
        self.signal(signal.SIGTERM)
        return self.read_rest()

    def read_rest(self):
        assert self.wait() == 0, self.stderr
        stats = self.stats()
        assert stats["kernel_drops"] == 0 and stats["discarded_at_close"] == 0, stats
        sums = collections.Counter()
        for line in self.process.stdout.read().decode().splitlines():
            name, value, when = line.split(" ")
            assert name.startswith("stats.") and int(when) > 1e9, line
            sums[name[len("stats."):].replace(".", "_")] += float(value)
        return sums

    def expect(self, **totals):
        """Its end, at which all that it has printed comes to this; names have _ for the dot."""
        sums = self.read_sums()
        assert sums == totals, f"{dict(sums)} instead of {totals}"


def run_client(*args, stdin=""):
    if shutil.which(args[0]) is None:
        raise harness.Skip(f"{args[0]} is missing")
    subprocess.run(args, input=stdin, text=True, check=True, timeout=harness.PATIENCE)


def clients_of_others():
    """One datagram for each line of logger's, and several lines in one of the others'."""
    with Statsd() as statsd:
        port = str(statsd.port)
        for how in ("--rfc3164", "--rfc5424"):
            run_client("logger", "--udp", "-n", "127.0.0.1", "-P", port, how,
                       stdin="log:1|c\n" * 50 + "level:7|g\nlevel:+2|g\n")
        run_client("nc", "-u", "-q0", "127.0.0.1", port, stdin="nc:3|c\nnc:0.5|c|@0.1\nt:9|ms\n")
        run_client("socat", "-", f"UDP:127.0.0.1:{port}", stdin="nc:2|c\nusers:bob|s\nt:4|ms")
        statsd.expect(statsd_lines_good=110, counters_log=100, counters_nc=10, gauges_level=9,
                      timers_t_count=2, timers_t_min=4, timers_t_max=9, timers_t_mean=6.5,
                      timers_t_p50=4, timers_t_p99=9, sets_users_count=1)


def sums_are_exact():
    """Over many clients, all workers, and the flushes that come meanwhile."""
    with Statsd(seconds=1) as statsd:
        clients = [statsd.client() for _ in range(N_CLIENTS)]
        n_rounds, end = 0, time.monotonic() + 2.5
        while time.monotonic() < end:
            for client in clients:
                client.send(b"a:1|c\nb:%d|c\nc:1|c|@0.25\nd:1|ms|@0.5\n" % n_rounds)
            n_rounds += 1
            statsd.wait_taken(100000)
        sums = statsd.read_sums()
        n = N_CLIENTS * n_rounds
        expected = {"statsd_lines_good": 4 * n, "counters_a": n, "counters_c": 4 * n,
                    "counters_b": N_CLIENTS * sum(range(n_rounds)), "timers_d_count": 2 * n}
        assert {name: sums[name] for name in expected} == expected, sums
        assert sums["timers_d_min"] >= 2, "it has not flushed meanwhile"


def timers():
    """Percentiles are of all samples, whichever worker took them."""
    with Statsd() as statsd:
        values = list(range(1, 1001))
        random.Random(1).shuffle(values)
        clients = [statsd.client() for _ in range(20)]
        for i, value in enumerate(values):
            clients[i % 20].send(b"t:%d|ms" % value)
        statsd.expect(statsd_lines_good=1000, timers_t_count=1000, timers_t_min=1,
                      timers_t_max=1000, timers_t_mean=500.5, timers_t_p50=500, timers_t_p99=990)


def sets():
    """A text that two workers have taken is one."""
    with Statsd() as statsd:
        clients = [statsd.client() for _ in range(20)]
        for i, client in enumerate(clients):
            client.send(b"\n".join(b"u:user%d|s" % k for k in range(10 * i, 10 * i + 50)))
        statsd.expect(statsd_lines_good=1000, sets_u_count=240)


def gauges_follow_the_kernel():
    """Set by one client and changed by others, over and over: the order is that of the sends."""
    chance = random.Random(2)
    with Statsd() as statsd:
        clients = [statsd.client() for _ in range(30)]
        expected = 0
        for _ in range(3000):
            value = chance.randint(0, 1000)
            sign = chance.choice(["", "+", "-", "+", "-", "+", "-"])
            expected = {"": value, "+": expected + value, "-": expected - value}[sign]
            chance.choice(clients).send(f"g:{sign}{value}|g".encode())
        statsd.expect(statsd_lines_good=3000, gauges_g=expected)


def read_flush(statsd):
    """The next flush: its lines begin with the count of good ones."""
    found = {}
    while "stats.gauges.zz" not in found:
        name, value, _ = statsd.process.stdout.readline().decode().split(" ")
        assert name not in found, "two flushes without it"
        found[name] = float(value)
    return found


def flushes_by_timer():
    """Gauges stay, and all else begins anew."""
    with Statsd(seconds=1) as statsd, statsd.client() as client:
        client.send(b"a:5|c\nzz:1|g")
        assert read_flush(statsd) == {"stats.statsd.lines.good": 2, "stats.counters.a": 5,
                                      "stats.gauges.zz": 1}
        assert read_flush(statsd) == {"stats.statsd.lines.good": 0, "stats.gauges.zz": 1}
        client.send(b"zz:+1|g")
        assert read_flush(statsd) == {"stats.statsd.lines.good": 1, "stats.gauges.zz": 2}


def drains():
    """What is queued when the signal comes is counted."""
    with Statsd() as statsd, statsd.client() as client:
        statsd.signal(signal.SIGSTOP)
        for _ in range(500):
            client.send(b"a:1|c")
        statsd.signal(signal.SIGTERM)
        statsd.signal(signal.SIGCONT)
        assert statsd.read_rest() == {"statsd_lines_good": 500, "counters_a": 500}


BAD = {"name": [":1|c", "a b:1|c", "\x01:1|c", "\xff:1|c", "a\0:1|c", "<13>x :1|c"],
       "value": ["a", "a:", "a:|c", "a:x|c", "a:nan|c", "a:0x1|c", "a:1e99|c", "a:1.2.3|ms",
                 "a:--1|g", "a:|s"],
       "type": ["a:1|", "a:1|q", "a:1|C", "a:1||", "a:1|cc", "a:1|c\r"],
       "rate": ["a:1|c|", "a:1|c|@", "a:1|c|@0", "a:1|c|@2", "a:1|c|@-1", "a:1|c|0.5", "a:1|c|@1|x",
                "a:1|g|@1", "a:x|s|@1", "a:1|c|#tag:b"]}


def malformed_lines():
    """Each under its name, and the good ones between them are taken."""
    with Statsd(workers=1) as statsd, statsd.client() as client:
        for lines in BAD.values():
            for line in lines:
                client.send(b"ok:1|c\n" + line.encode("latin-1") + b"\nok:1|c")
        client.send(b"x" * 600 + b":1|c\n\n\n" + b"y" * 505 + b":1|c\n")
        n_bad = sum(len(lines) for lines in BAD.values())
        statsd.expect(statsd_lines_good=2 * n_bad + 1, counters_ok=2 * n_bad,
                      statsd_lines_too_long=1, **{"counters_" + "y" * 505: 1},
                      **{f"statsd_lines_bad_{name}": len(lines) for name, lines in BAD.items()})


def garbage():
    """Whatever comes, it goes on; and the longest datagram is taken whole."""
    chance = random.Random(3)
    letters = b"a:|c@0.1g+-ms\n< \0\xff"
    with Statsd() as statsd, statsd.client() as client:
        for _ in range(5000):
            client.send(bytes(chance.choice(letters) for _ in range(chance.randint(0, 40))))
        client.send(b"whole:1|c\n" * 6550)
        statsd.wait_taken()
        statsd.stop()
        out = statsd.process.stdout.read().decode()
        assert "stats.counters.whole 6550 " in out, out


def too_much_has_a_name():
    """More names than there is room for: the rest is counted as what did not fit."""
    room, n_lines = 1 << 20, 5000
    n_all = (room // n_lines + 2) * n_lines
    with Statsd(workers=1, seconds=3600) as statsd, statsd.client() as client:
        for i in range(0, n_all, n_lines):
            client.send(b"".join(b"u:%x|s\n" % k for k in range(i, i + n_lines)))
            statsd.wait_taken(500000)
        statsd.expect(statsd_lines_good=room - 1, statsd_lines_no_room=n_all - room + 1,
                      sets_u_count=room - 1)


def run_statsd(*args, stdout=subprocess.PIPE):
    done = subprocess.run([STATSD, *args], stdout=stdout, stderr=subprocess.PIPE, text=True,
                          timeout=harness.PATIENCE, check=False)
    return done.returncode, done.stdout, done.stderr


def command_line():
    code, out, _ = run_statsd("--help")
    assert code == 0 and "--flush SECONDS" in out
    for args, says in ((["--listen", "[::1]:0", "--flush", "0"], "--flush takes a number from 1"),
                       (["--flush", "5"], "--listen is missing"), (["x"], "no arguments"),
                       (["--listen", "x"], "--listen takes an address")):
        code, _, err = run_statsd(*args)
        assert code == 2 and says in err, f"{args}: {code}, {err}"


def stdout_that_is_full():
    """It says so and ends."""
    with open("/dev/full", "w", encoding="ascii") as full:
        code, _, err = run_statsd("--listen", "127.0.0.1:0", "--flush", "1", stdout=full)
    assert code == 1 and "cannot write to stdout: No space left on device" in err, err


CASES = [(case.__name__, case) for case in
         (clients_of_others, sums_are_exact, timers, sets, gauges_follow_the_kernel,
          flushes_by_timer, drains, malformed_lines, garbage, too_much_has_a_name, command_line,
          stdout_that_is_full)]

if __name__ == "__main__":
    harness.enter_namespace()
    sys.exit(harness.main(CASES))
