# SPDX-License-Identifier: MIT
"""
What a datagram may cost in entries into the kernel and in allocations, by `volley-bench count`,
with a queue that is full: the promises of README and docs that do not depend on the machine's mood.
"""
import json
import os
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path.insert(0, os.path.join(TOP, "tests/system"))
import harness  # noqa: E402

BENCH = os.environ.get("VOLLEY_BENCH", os.path.join(TOP, "build/test/bench/volley-bench"))
CALLS = "calls/datagram"
ALLOCATIONS = "allocations/datagram"
# `event` looks what is readable before it receives; `block` and `spin` do not.
MOST_CALLS = {"volley": 0.15, "volley-block": 0.10, "volley-spin": 0.10,
              "volley-plain": 0.15, "volley-block-plain": 0.10}


def measure():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([BENCH, "count", "--rounds", "2", "--subjects", ",".join(MOST_CALLS),
                        "--out", folder], check=True, stdout=subprocess.DEVNULL, timeout=120)
        with open(os.path.join(folder, "count.json"), encoding="utf-8") as file:
            rows = json.load(file)["rows"]
    assert [row["subject"] for row in rows] == list(MOST_CALLS), rows
    return {row["subject"]: {name: figure["median"] for name, figure in row["values"].items()}
            for row in rows}


def few_calls():
    for subject, figures in measured().items():
        if CALLS not in figures:
            raise harness.Skip("no strace")
        assert 0 < figures[CALLS] <= MOST_CALLS[subject], (subject, figures)


def no_allocations():
    for subject, figures in measured().items():
        if ALLOCATIONS not in figures:
            raise harness.Skip("this C library's allocator cannot be counted")
        assert figures[ALLOCATIONS] == 0, (subject, figures)


def measured(cache={}):  # one measurement serves both
    if not cache:
        cache.update(measure())
    return cache


CASES = [("few system calls", few_calls), ("no allocations", no_allocations)]

if __name__ == "__main__":
    sys.exit(harness.main(CASES))
