#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Server CPU per query of volley-dns, NSD and Knot, on the same zone of 20,000 names, one worker each,
on the same core, alternating in one run: saturated by dns-blast (one query, or bursts of 8, per
client; answers of one size, or a mix) and under dnsperf. First it checks that all give the same
answers. Prints a table of medians, their spread, and volley's ratio to each. Usage:
compare.py BUILD_FOLDER [--seconds S] [--rounds N] [--large]; --large loads 1,000,000 names.
"""
import argparse
import glob
import os
import random
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


def cpu_ns(pid):
    total = 0
    for path in tasks(pid):
        with open(path + "/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total


def resident(pid):
    total = 0
    for process in {path.split("/")[2] for path in tasks(pid)}:
        with open(f"/proc/{process}/smaps_rollup", encoding="ascii") as file:
            total += next(int(x.split()[1]) * 1024 for x in file if x.startswith("Pss:"))
    return total


def pin(pid):
    for path in tasks(pid):
        subprocess.run(["taskset", "-p", "-c", SERVER_CPU, path.split("/")[-1]], check=True,
                       capture_output=True)


class Volley:
    name = "volley-dns"

    def __init__(self, zone):
        self.server = h.Server([(ORIGIN, zone)], "--workers", "1")
        self.port, self.process = self.server.port, self.server.process

    def close(self):
        self.server.__exit__()


def check_same(servers):
    """Before anything is measured: the same answers from all."""
    rng = random.Random(1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        for number in range(300):
            name = rng.choice(["host", "none"]) + f"{rng.randrange(N_NAMES):05}.{ORIGIN}"
            packet = h.make_query(number, name, rng.choice([1, 28, 15]))
            views = [differential.view(differential.ask(client, s.port, packet)) for s in servers]
            assert all(v == views[0] for v in views), (name, views)


def blast(server, build, seconds, burst, mix):
    program = os.path.join(build, "bench/dns/dns-blast")
    clients = 512 if burst == 1 else 64
    before = cpu_ns(server.process.pid)
    begin = time.monotonic()
    done = subprocess.run(["taskset", "-c", CLIENT_CPU, program, str(server.port), str(seconds),
                           str(clients), str(burst), str(mix)], check=True, capture_output=True,
                          text=True)
    elapsed = time.monotonic() - begin
    used = cpu_ns(server.process.pid) - before
    _, answered = map(int, done.stdout.split())
    return used / max(1, answered), used / elapsed / 1e9


def dnsperf(server, queries, seconds):
    before = cpu_ns(server.process.pid)
    begin = time.monotonic()
    done = subprocess.run(["taskset", "-c", CLIENT_CPU, "dnsperf", "-s", "127.0.0.1", "-p",
                           str(server.port), "-d", queries, "-c", "16", "-T", "1", "-l",
                           str(seconds), "-q", "400"], check=True, capture_output=True, text=True)
    used = cpu_ns(server.process.pid) - before
    answered = next(int(x.split()[2]) for x in done.stdout.splitlines() if "completed:" in x)
    return used / answered, used / (time.monotonic() - begin) / 1e9


def show(title, results, busy):
    ours = statistics.median(results["volley-dns"])
    print(f"\n{title}")
    for name, values in results.items():
        middle = statistics.median(values)
        print(f"  {name:11} {middle:7.0f} ns  ({min(values):.0f}-{max(values):.0f})  "
              f"busy {100 * statistics.median(busy[name]):.0f} %  "
              f"volley's ratio {ours / middle:.2f}")


def compare(servers, title, rounds, measure):
    results, busy = {s.name: [] for s in servers}, {s.name: [] for s in servers}
    for number in range(rounds):
        for server in servers if number % 2 == 0 else reversed(servers):
            cost, share = measure(server)
            results[server.name].append(cost)
            busy[server.name].append(share)
    show(title, results, busy)


def large(root, folder):
    path = os.path.join(folder, "large")
    write_zone(path, 1000000)
    print("\n1,000,000 names: seconds until the first answer, resident MiB")
    for make in (lambda: Volley(path), lambda: peers.Peer("nsd", root, ORIGIN, path, 120),
                 lambda: peers.Peer("knot", root, ORIGIN, path, 120)):
        begin = time.monotonic()
        h.PATIENCE = 120.0
        server = make()
        print(f"  {server.name:11} {time.monotonic() - begin:6.1f} s "
              f"{resident(server.process.pid) / 2**20:7.0f} MiB")
        server.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--seconds", type=float, default=0.7)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", action="store_true")
    args = parser.parse_args()
    build = os.path.abspath(args.build)
    root = os.path.join(build, "peers")
    h.DNS = os.path.join(build, "examples/dns/volley-dns")
    if not peers.unpack(root):
        print("skip: NSD and Knot cannot be downloaded here")
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="volley-bench-") as folder:
        if args.large:
            large(root, folder)
            return
        zone = os.path.join(folder, "zone")
        write_zone(zone, N_NAMES)
        queries = os.path.join(folder, "queries")
        rng = random.Random(2)
        with open(queries, "w", encoding="ascii") as file:
            for _ in range(100000):
                name = rng.choice(["host", "host", "host", "none"])
                file.write(f"{name}{rng.randrange(N_NAMES):05}.{ORIGIN} "
                           f"{rng.choice(['A', 'AAAA', 'MX'])}\n")
        servers = [Volley(zone)]
        try:
            servers += [peers.start(name, root, ORIGIN, zone) for name in ("nsd", "knot")]
            check_same(servers)
            for server in servers:
                pin(server.process.pid)
            for burst, mix, title in ((1, 0, "one query per client, one size"),
                                      (1, 1, "one query per client, mix"),
                                      (8, 0, "bursts of 8, one size"), (8, 1, "bursts of 8, mix")):
                compare(servers, title, args.rounds, lambda s, b=burst, m=mix: blast(
                    s, build, args.seconds, b, m))
            compare(servers, "dnsperf, 16 sockets, mix", args.rounds,
                    lambda s: dnsperf(s, queries, 1))
        finally:
            for server in servers:
                server.close()


if __name__ == "__main__":
    main()
