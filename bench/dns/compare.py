#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Server CPU per answer of volley-dns, NSD and Knot on the same zone of 20,000 names, and of a bare
echo loop for the same queries: one worker each, on the same core, alternating in one run. Before
that, all must give the same answers.
Usage: compare.py BUILD_FOLDER [--seconds S] [--rounds N] [--large] [--only-dnsperf]

Saturated by dns-blast from the other core, the CPU time of the server's tasks (schedstat) over a
window within the flood is divided by the answers in that window, which the kernel counts at the
client's socket. A round is void when the server was less than 97 % busy, when the generator cannot
do 1.5 times what the server answers, or when queries are neither answered nor in the drops that the
kernel counts at the server's socket. No client uses GRO, and the servers get single datagrams:
volley's receive buffer is below the size at which it would turn GRO on by itself.

The flood begins while the server is stopped. Otherwise a server that is faster than the generator
for a moment falls asleep, each query then has to wake a core that sleeps, which costs a virtual
machine's generator 10 us, and neither ever gets going: servers were 10 to 70 % busy, the fastest
least.

dnsperf saturates before the servers do, so what it shows is the cost of a lightly loaded server.
--large loads 1,000,000 names instead.
"""
import argparse
import contextlib
import glob
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests/dns"))
import dns_harness as h  # noqa: E402
import peers  # noqa: E402
import test_differential as differential  # noqa: E402

ORIGIN = "bench.test"
N_NAMES = 20000
SERVER_CPU, CLIENT_CPU = "0", "1"
BUSY, HEADROOM, LOST = 0.97, 1.5, 0
SETTLE = 0.1  # seconds, for the server's queue to fill, and after it began to serve
OURS = "volley-dns"
SCENES = ((512, 1, 0, "one query per client at a time, answers of one size"),
          (512, 1, 1, "one query per client at a time, mix"),
          (64, 8, 0, "bursts of 8 per client, answers of one size"),
          (64, 8, 1, "bursts of 8 per client, mix"))


def write_zone(path, n_names):
    with open(path, "w", encoding="ascii") as file:
        file.write("$TTL 3600\n@ SOA ns hostmaster 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n")
        for i in range(n_names):
            name, low = f"host{i:05}", f"{i >> 8 & 255}.{i & 255}"
            file.write(f"{name} A 10.{i >> 16}.{low}\n")
            if n_names == N_NAMES:
                file.write(f"{name} AAAA 2001:db8::{i:x}\n{name} MX 10 host{i * 7 % n_names:05}\n")


def tasks(pid):
    """The process, its threads and all its descendants, as task folders."""
    found = glob.glob(f"/proc/{pid}/task/*")
    for path in list(found):
        with open(path + "/children", encoding="ascii") as file:
            for child in file.read().split():
                found += tasks(child)
    return found


def cpu_ns(paths):
    total = 0
    for path in paths:
        with open(path + "/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total


def resident(pid):
    total = 0
    for process in {path.split("/")[2] for path in tasks(pid)}:
        with open(f"/proc/{process}/smaps_rollup", encoding="ascii") as file:
            total += next(int(x.split()[1]) * 1024 for x in file if x.startswith("Pss:"))
    return total


def drops(*ports):
    """What the kernel dropped at the UDP sockets of each port."""
    totals = dict.fromkeys(ports, 0)
    with open("/proc/net/udp", encoding="ascii") as file:
        next(file)
        for line in file:
            fields = line.split()
            port = int(fields[1].split(":")[1], 16)
            if port in totals:
                totals[port] += int(fields[-1])
    return [totals[port] for port in ports]


class Ours:
    name = OURS

    def __init__(self, zone):
        self.server = h.Server([(ORIGIN, zone)], "--workers", "1", "--rcvbuf", "1048576")
        self.port, self.process = self.server.port, self.server.process

    def close(self):
        self.server.__exit__()


class Echo:
    """volley-bench's plain recvmmsg/sendmmsg loop: what the kernel costs."""
    name = "echo"

    def __init__(self, build):
        self.port = peers.free_port()
        self.process = subprocess.Popen(
            [os.path.join(build, "bench/volley-bench"), "serve", "recvmmsg", "--listen",
             f"127.0.0.1:{self.port}", "--server-cpus", SERVER_CPU], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + h.PATIENCE
        while f":{self.port:04X} " not in open("/proc/net/udp", encoding="ascii").read():
            assert time.monotonic() < deadline and self.process.poll() is None
            time.sleep(0.02)

    def close(self):
        self.process.kill()
        self.process.wait()


def pin(server):
    server.tasks = tasks(server.process.pid)
    for path in server.tasks:
        subprocess.run(["taskset", "-p", "-c", SERVER_CPU, path.split("/")[-1]], check=True,
                       capture_output=True)


def send_all(server, signo):
    for pid in {path.split("/")[2] for path in server.tasks}:
        os.kill(int(pid), signo)


def check_same(servers):
    """Before anything is measured: the same answers from all."""
    rng = random.Random(1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        for number in range(1000):
            name = rng.choice(["host", "none"]) + f"{rng.randrange(N_NAMES):05}.{ORIGIN}"
            packet = h.make_query(number, name, rng.choice([1, 28, 15]))
            views = [differential.view(differential.ask(client, s.port, packet)) for s in servers]
            assert all(v == views[0] for v in views), (name, views)


def blast(build, port, seconds, scene):
    return subprocess.Popen(
        ["taskset", "-c", CLIENT_CPU, os.path.join(build, "bench/dns/dns-blast"), str(port),
         str(seconds), *map(str, scene[:3])], stdout=subprocess.PIPE, text=True)


def saturate(server, build, seconds, scene, most):
    """ns per answer, share of the core, and why it is void or None."""
    before = drops(server.port)[0]
    with blast(build, server.port, seconds + 3 * SETTLE, scene) as generator:
        send_all(server, signal.SIGSTOP)
        port = int(generator.stdout.readline().split()[1])
        time.sleep(SETTLE)
        send_all(server, signal.SIGCONT)
        time.sleep(SETTLE)
        begin, cpu, first = time.monotonic(), cpu_ns(server.tasks), drops(port)[0]
        time.sleep(seconds)
        last, cpu = drops(port)[0], cpu_ns(server.tasks) - cpu
        elapsed = time.monotonic() - begin
        sent, answered = map(int, generator.stdout.readline().split())
    lost = sent - answered - (drops(server.port)[0] - before)
    n, busy, why = last - first, cpu / elapsed / 1e9, None
    most = max(most, sent / (seconds + 3 * SETTLE))
    if busy < BUSY:
        why = f"{100 * busy:.0f} % busy"
    elif most < HEADROOM * n / elapsed:
        why = f"headroom {most * elapsed / n:.2f}"
    elif lost != LOST:
        why = f"{lost} of {sent} lost without a trace"
    return cpu / max(1, n), busy, why


def dnsperf(server, queries, seconds):
    cpu, begin = cpu_ns(server.tasks), time.monotonic()
    done = subprocess.run(["taskset", "-c", CLIENT_CPU, "dnsperf", "-s", "127.0.0.1", "-p",
                           str(server.port), "-d", queries, "-c", "16", "-T", "1", "-l",
                           str(seconds), "-q", "400"], check=True, capture_output=True, text=True)
    cpu = cpu_ns(server.tasks) - cpu
    n = next(int(x.split()[2]) for x in done.stdout.splitlines() if "completed:" in x)
    return cpu / max(1, n), cpu / (time.monotonic() - begin) / 1e9, None


def show(title, results):
    """Medians of the rounds that are valid, and the median of the ratios within each round."""
    print(f"\n{title}")
    for name, rounds in results.items():
        good = [r[0] for r in rounds if r[2] is None]
        ratios = [a[0] / b[0] for a, b in zip(results[OURS], rounds) if not a[2] and not b[2]]
        voids = [r[2] for r in rounds if r[2]]
        line = f"  {name:15}"
        if good:
            line += (f" {statistics.median(good):6.0f} ns ({min(good):.0f}-{max(good):.0f})  busy "
                     f"{100 * statistics.median(r[1] for r in rounds if not r[2]):3.0f} %")
        if ratios:
            line += (f"  volley-dns costs {statistics.median(ratios):.2f} of it "
                     f"({min(ratios):.2f}-{max(ratios):.2f})")
        print(line + (f"  {len(voids)} of {len(rounds)} void: {voids[0]}" if voids else ""))
    sys.stdout.flush()


def compare(servers, title, rounds, measure):
    results = {s.name: [] for s in servers}
    for number in range(rounds):
        for server in servers if number % 2 == 0 else reversed(servers):
            results[server.name].append(measure(server))
    show(title, results)


def large(root, folder):
    path = os.path.join(folder, "large")
    write_zone(path, 1000000)
    h.PATIENCE = 120.0
    print("1,000,000 names: seconds until the first answer, CPU seconds, proportional MiB")
    for make in (lambda: Ours(path), lambda: peers.Peer("nsd", root, ORIGIN, path, 120),
                 lambda: peers.Peer("knot", root, ORIGIN, path, 120)):
        begin = time.monotonic()
        server = make()
        print(f"  {server.name:11} {time.monotonic() - begin:6.1f} s "
              f"{cpu_ns(tasks(server.process.pid)) / 1e9:6.1f} s "
              f"{resident(server.process.pid) / 2**20:7.0f} MiB")
        server.close()


def write_queries(path):
    rng = random.Random(2)
    with open(path, "w", encoding="ascii") as file:
        for _ in range(100000):
            name = rng.choice(["host", "host", "host", "none"])
            file.write(f"{name}{rng.randrange(N_NAMES):05}.{ORIGIN} "
                       f"{rng.choice(['A', 'AAAA', 'MX'])}\n")


def run(args, build, root, folder):
    zone, queries = os.path.join(folder, "zone"), os.path.join(folder, "queries")
    write_zone(zone, N_NAMES)
    write_queries(queries)
    with contextlib.ExitStack() as stack:
        servers = []
        for make in (lambda: Ours(zone), lambda: peers.start("nsd", root, ORIGIN, zone),
                     lambda: peers.start("knot", root, ORIGIN, zone),
                     lambda: Echo(build)):
            servers.append(make())
            stack.callback(servers[-1].close)
        check_same(servers[:3])
        for server in servers:
            pin(server)
        for scene in SCENES if not args.only_dnsperf else ():
            with blast(build, 0, 0.3, scene) as generator:
                generator.stdout.readline()
                most = int(generator.stdout.readline().split()[0]) / 0.3
            compare(servers, f"{scene[3]} (the generator can do {most:.0f}/s)", args.rounds,
                    lambda s, c=scene, m=most: saturate(s, build, args.seconds, c, m))
        compare(servers, "dnsperf, 16 sockets, mix", args.rounds,
                lambda s: dnsperf(s, queries, 1))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--seconds", type=float, default=0.6)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--only-dnsperf", action="store_true")
    args = parser.parse_args()
    build = os.path.abspath(args.build)
    root = os.path.join(build, "peers")
    h.DNS = os.path.join(build, "examples/dns/volley-dns")
    if not peers.unpack(root):
        print("skip: NSD and Knot cannot be downloaded here")
        sys.exit(77)
    os.sched_setaffinity(0, {int(CLIENT_CPU)})
    with tempfile.TemporaryDirectory(prefix="volley-bench-") as folder:
        if args.large:
            os.sched_setaffinity(0, range(os.cpu_count()))
            large(root, folder)
        else:
            run(args, build, root, folder)


if __name__ == "__main__":
    main()
