# SPDX-License-Identifier: MIT
"""
What a datagram may cost in entries into the kernel, allocations, instructions and cache misses, by
`volley-bench count`, with a queue that is full: the promises of README and docs that do not depend
on the machine's mood.
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
INSTRUCTIONS = "instructions/datagram"
MISSES = "D1 misses/datagram"
# `event` looks what is readable before it receives; `block` and `spin` do not.
MOST_CALLS = {"volley": 0.15, "volley-block": 0.10, "volley-spin": 0.10,
              "volley-plain": 0.15, "volley-block-plain": 0.10}
# In a build with assertions; a sixth above what they were when this was written.
MOST_INSTRUCTIONS = {"volley": 305, "volley-block": 305, "volley-spin": 305,
                     "volley-plain": 200, "volley-block-plain": 200}
MOST_MISSES = 0.5


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


def few_instructions_and_misses():
    for subject, figures in measured().items():
        if INSTRUCTIONS not in figures:
            raise harness.Skip("no valgrind")
        assert 0 < figures[INSTRUCTIONS] <= MOST_INSTRUCTIONS[subject], (subject, figures)
        assert figures[MISSES] <= MOST_MISSES, (subject, figures)


def measured(cache={}):  # one measurement serves all
    if not cache:
        cache.update(measure())
    return cache


CASES = [("few system calls", few_calls), ("no allocations", no_allocations),
         ("few instructions and cache misses", few_instructions_and_misses)]

if __name__ == "__main__":
    sys.exit(harness.main(CASES))
