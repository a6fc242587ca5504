#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
dnsperf for N seconds (default 60) with a reload of 20,000 names each second: nothing lost, every
answer NOERROR, every reload done, and the ledger agrees with dnsperf.
"""
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

import dns_harness as h


def main():
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    h.need("dnsperf")
    with tempfile.TemporaryDirectory() as folder:
        zone, queries = os.path.join(folder, "zone"), os.path.join(folder, "queries")
        with open(zone, "w", encoding="ascii") as file:
            file.write("$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n")
            file.writelines(f"n{i} A 10.0.{i >> 8}.{i & 255}\n" for i in range(20000))
        with open(queries, "w", encoding="ascii") as file:
            file.writelines(f"n{i * 7919 % 20000}.example.org A\n" for i in range(20000))
        with h.Server([("example.org", zone)], "--workers", "2") as server:
            command = ["dnsperf", "-s", "127.0.0.1", "-p", str(server.port), "-d", queries, "-l",
                       str(seconds), "-c", "16", "-q", "200"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
                n_reloads = 0
                while client.poll() is None:
                    server.signal(signal.SIGHUP)
                    n_reloads += 1
                    server.wait_for("reloaded (0 of 1", n_reloads)
                    time.sleep(1)  # the pace of the reloads
                out = client.stdout.read()
            stats = server.stop()

        def number(pattern):
            return int(re.search(pattern, out).group(1))

        def case(condition):
            def run():
                assert condition, (out, stats["dns"])
            return run
        sent = number(r"Queries sent:\s+(\d+)")
        h.run([("nothing lost", case(number(r"Queries lost:\s+(\d+)") == 0 and sent > 1000)),
               ("nothing wrong", case(re.search(r"NOERROR \d+ \(100\.00%\)", out))),
               ("every reload done", case(stats["dns"]["reloads"] == n_reloads)),
               ("the ledger agrees", case(stats["dns"]["queries"] == sent == stats["tx_sent"]))])


if __name__ == "__main__":
    main()
