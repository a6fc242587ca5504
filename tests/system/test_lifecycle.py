#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Start and stop, over and over: for every way to wait, every backend, idle, flooded and drained in a
flood, nothing leaks, stops are quick, and the books of each single server balance against what the
client and the kernel counted. LIFECYCLE is the program that does it; this one judges.
"""
import json
import os
import subprocess
import sys

import check_ledger
import harness

LIFECYCLE = os.environ.get("LIFECYCLE", os.path.join(harness.TOP,
                                                     "build/test/tests/system/lifecycle"))
# Slower builds (sanitizers) are about leaks and races, not about time.
RELAXED = bool(os.environ.get("ASAN_OPTIONS") or os.environ.get("TSAN_OPTIONS")
               or os.environ.get("VALGRIND"))
LIMIT_US = {"idle": 50_000, "flood": 50_000, "drain": 1_000_000}
PAGES = 256  # 1 MiB: what an allocator may keep; one leaked server would be 10 pages a cycle


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def cycles(mode, wait, io, n):
    def case():
        with subprocess.Popen([LIFECYCLE, mode, wait, io, str(n)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as process:
            reports = []
            for i in range(n):
                assert process.stdout.readline() == "{}\n", f"cycle {i} does not begin"
                before = harness.snmp()
                process.stdin.write("\n")
                process.stdin.flush()
                line = process.stdout.readline()
                assert line, f"cycle {i}: ended with {process.wait()}"
                report = json.loads(line)
                witness = {**report["witness"], **harness.snmp_delta(before, harness.snmp())}
                process.stdin.write("\n")
                process.stdin.flush()
                complaints = check_ledger.judge(report["server"], witness)
                assert not complaints, f"cycle {i}: {complaints} {line} {witness}"
                if mode == "drain":
                    assert report["server"]["discarded_at_close"] == 0, f"cycle {i}: {line}"
                reports.append(report)
            process.stdin.close()
            assert process.wait(harness.PATIENCE) == 0
        if mode != "idle":
            assert any(report["server"]["kernel_drops"] for report in reports), "it was no flood"
        stops = [report["stop_us"] for report in reports]
        print(f"  stops: median {percentile(stops, 0.5) / 1e3:.2f} ms, "
              f"99 % {percentile(stops, 0.99) / 1e3:.2f} ms, longest {max(stops) / 1e3:.2f} ms")
        for what in ("fds", "threads"):
            counts = {report[what] for report in reports}
            assert len(counts) == 1, f"{what} come and do not go: {counts}"
        if not RELAXED:
            early, late = reports[len(reports) // 4]["pages"], reports[-1]["pages"]
            assert late - early < PAGES, f"memory grows: {early} to {late} pages"
            # One stop in fifty may have met a scheduler that was busy with something else.
            assert percentile(stops, 0.98) < LIMIT_US[mode], sorted(stops)[-10:]
    return case


def main():
    scale = float(os.environ.get("LIFECYCLE_SCALE", "1"))
    n_cycles, n_drains = max(4, int(170 * scale)), max(4, int(100 * scale))
    cases = [(f"{mode}, {wait}, {io}", cycles(mode, wait, io, n))
             for mode, n in (("idle", n_cycles), ("flood", n_cycles), ("drain", n_drains))
             for wait in ("event", "block", "spin") for io in ("mmsg", "msg")]
    return harness.main(cases)


if __name__ == "__main__":
    harness.enter_namespace()
    sys.exit(main())
