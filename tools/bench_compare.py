#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
The gate for speed: is this build slower than that of another revision?
Usage: tools/bench compare REV [--rounds N] [--only MODE,...] [--max RATIO]
                               [--max-instructions RATIO]

tools/bench makes both builds and calls this script with --old FOLDER --new FOLDER. Both builds are
only run, by the commands that the older one has too; whatever judges stands here.

A round runs each mode's command in the order old, new, new, old, a fraction of a second each, so
that a machine that drifts, drifts for both. All runs are bound to one core; figures are CPU time.
The ratio is that of a quantile of the new runs over the same quantile of the old ones:

  lower quartile  null, handlers, dns-lookup: a neighbour can only add to CPU time, and adds up to
                  70 % to half of the runs, so the median of the same program moves by 3 %
  median          preload: each run is divided already by the plain loop's in the same process,
                  which the kernel and the neighbours slow down alike

Its 95 % interval is a bootstrap over the rounds. A mode is slower when the whole interval is above
--max. A mode whose interval holds --max gets as many rounds once more. When they settle nothing
either, the last line calls it unclear, which does not fail. Instructions are counted, not sampled:
they have no interval. Exit code 0, 1 when a mode is slower, 2 when something could not be run.
"""
import argparse
import contextlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import namedtuple

# With 60 rounds, 4 minutes on an idle machine with 2 cores: an unchanged build then shows half
# intervals of 0.3 % (null), 0.5 % (dns-lookup, preload-plain), 0.7 % (preload, handlers).
N_ROUNDS = 60
N_RESAMPLES = 1000
MAX_RATIO = 1.02
MAX_INSTRUCTIONS = 1.01
LOWER_QUARTILE, MEDIAN = 0.25, 0.5
# With 10,000 names half of the time is misses of the cache, whose luck differs from run to run.
N_NAMES, N_QUERIES = 1000, 64000
BENCH, LOOKUP = "bench/volley-bench", "bench/dns/dns-lookup"
COUNTED = ("volley", "volley-plain", "volley-scalar")

# Modes that come from one command are read from the same runs. `turns` are the times that a round
# repeats the command in old, new, new, old: cheap ones more often.
Probe = namedtuple("Probe", "modes quantile turns measure")
Result = namedtuple("Result", "mode ratio low high n verdict")


class Failed(Exception):
    """A build could not be measured; the text says why."""


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


@contextlib.contextmanager
def fresh(build, program):
    """A copy in pages of its own. Which pages of memory a file lies in decides which lines of the
    cache it shares, and stays while it is cached: two files with the same bytes differed by 1.5 %
    for as long as one cared to measure."""
    with tempfile.TemporaryDirectory() as folder:
        yield shutil.copy(os.path.join(build, program), folder)


def figures(bench, name, *args):
    """What a subcommand of volley-bench measured: {subject: median}."""
    found = {}
    for row in json.loads(run([bench, *args, "--json", "--quiet"]))["rows"]:
        if row["void"] is not None or name not in row["values"]:
            raise Failed(f"{bench} {' '.join(args)}: {row['subject']}: {row['void']}")
        found[row["subject"]] = row["values"][name]["median"]
    return found


def measure_null(build):
    with fresh(build, BENCH) as bench:
        found = figures(bench, "ns/datagram", "null", "--rounds", "1")
    handler = found.pop("handler")
    return {**{f"null {name}": ns for name, ns in found.items()}, "handlers": handler}


def measure_preload(build, mode, subject):
    with fresh(build, BENCH) as bench:
        found = figures(bench, "ratio", "preload", "--subjects", subject, "--rounds", "4")
    return {mode: found[subject]}


def measure_lookup(build):
    with fresh(build, LOOKUP) as program:
        found = json.loads(run([program, str(N_NAMES), str(N_QUERIES)]))
    return {"dns-lookup": found["ns_per_query"]}


def count_lookup(build):
    """User-space instructions of all queries, by callgrind."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "callgrind")
        run(["valgrind", "--tool=callgrind", "--toggle-collect=answer_all",
             f"--callgrind-out-file={path}", os.path.join(build, LOOKUP),
             str(N_NAMES), "6400"])
        with open(path, encoding="utf-8") as file:
            return int(re.search(r"^(?:summary|totals): (\d+)", file.read(), re.M).group(1))


def count(build):
    """The least of three, because an event loop wakes now and then once more."""
    names = ",".join(COUNTED)
    bench = os.path.join(build, BENCH)
    runs = [figures(bench, "instructions/datagram", "count", "--subjects", names)
            for _ in range(3)]
    found = {f"count {name}": min(each[name] for each in runs) for name in COUNTED}
    return {**found, "count dns-lookup": count_lookup(build)}


PROBES = (
    Probe(("null", "handlers"), LOWER_QUARTILE, 4, measure_null),
    Probe(("preload-plain",), MEDIAN, 1,
          lambda build: measure_preload(build, "preload-plain", "volley-plain")),
    Probe(("preload",), MEDIAN, 1, lambda build: measure_preload(build, "preload", "volley")),
    Probe(("dns-lookup",), LOWER_QUARTILE, 4, measure_lookup),
)
MODES = tuple(mode for probe in PROBES for mode in probe.modes) + ("count",)


def get_quantile(values, share):
    values = sorted(values)
    at = share * (len(values) - 1)
    index = min(int(at), len(values) - 2)
    return values[index] + (values[index + 1] - values[index]) * (at - index)


def get_ratio(turns, share):
    """Of turns ((old, old), (new, new)): the quantile of all new over that of all old."""
    old = [value for turn in turns for value in turn[0]]
    new = [value for turn in turns for value in turn[1]]
    return get_quantile(new, share) / get_quantile(old, share)


def get_interval(turns, share, seed=1):
    """Percentiles 2.5 and 97.5 of the ratio when turns are drawn again, with replacement."""
    rng = random.Random(seed)
    ratios = [get_ratio(rng.choices(turns, k=len(turns)), share) for _ in range(N_RESAMPLES)]
    return get_quantile(ratios, 0.025), get_quantile(ratios, 0.975)


def judge(mode, turns, share, most):
    low, high = get_interval(turns, share)
    verdict = "slower" if low > most else "unclear" if high > most else "ok"
    return Result(mode, get_ratio(turns, share), low, high, len(turns), verdict)


def judge_count(mode, old, new, most):
    ratio = new / old
    return Result(mode, ratio, ratio, ratio, 1, "slower" if ratio > most else "ok")


def is_wanted(mode, only):
    """A row "null vector" belongs to the mode "null"."""
    return mode.split()[0] in only


def take_turn(probe, old, new, only, turns):
    """Old, new, new, old; every mode of the probe gets a turn."""
    runs = [probe.measure(build) for build in (old, new, new, old)]
    for mode in runs[0]:
        if is_wanted(mode, only):
            pair = ((runs[0][mode], runs[3][mode]), (runs[1][mode], runs[2][mode]))
            turns.setdefault(mode, []).append(pair)


def time_modes(args, only, n_rounds, turns):
    """Rounds over all modes, so that a disturbance hits each; the turns are added to `turns`."""
    probes = [probe for probe in PROBES if set(probe.modes) & only]
    for number in range(n_rounds):
        if sys.stderr.isatty():
            print(f"\r\033[Kround {number + 1} of {n_rounds}", end="\r", file=sys.stderr)
        for probe in probes:
            for _ in range(probe.turns):
                take_turn(probe, args.old, args.new, only, turns)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)


def judge_all(turns, most):
    shares = {mode: probe.quantile for probe in PROBES for mode in probe.modes}
    return [judge(mode, turns[mode], shares[mode.split()[0]], most) for mode in turns]


def compare(args, only):
    turns = {}
    time_modes(args, only, args.rounds, turns)
    results = judge_all(turns, args.max)
    unclear = {result.mode.split()[0] for result in results if result.verdict == "unclear"}
    if unclear:
        print(f"once more, for {', '.join(sorted(unclear))}", flush=True)
        time_modes(args, unclear, args.rounds, turns)
        results = judge_all(turns, args.max)
    if "count" in only:
        old, new = count(args.old), count(args.new)
        results += [judge_count(mode, old[mode], new[mode], args.max_instructions) for mode in old]
    return results


def show(results):
    """The table, and the exit code."""
    print(f"{'mode':22} {'new/old':>7}  {'95 % interval':15} {'rounds':>6}  verdict")
    for result in results:
        interval = f"{result.low:.4f}-{result.high:.4f}" if result.low != result.high else "exact"
        print(f"{result.mode:22} {result.ratio:7.4f}  {interval:15} {result.n:6}  "
              f"{result.verdict}")
    slower, unclear = (" ".join(result.mode.replace(" ", "/") for result in results
                                if result.verdict == verdict) for verdict in ("slower", "unclear"))
    print("compare: " + (f"slower: {slower}" if slower else "ok")
          + (f" (unclear: {unclear})" if unclear else ""))
    return 1 if slower else 0


def parse(words):
    parser = argparse.ArgumentParser(prog="tools/bench compare")
    parser.add_argument("rev", help="the revision to compare with")
    parser.add_argument("--old", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--new", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=N_ROUNDS)
    parser.add_argument("--only", default=",".join(MODES), help=f"some of {', '.join(MODES)}")
    parser.add_argument("--max", type=float, default=MAX_RATIO, help="of CPU time, new/old")
    parser.add_argument("--max-instructions", type=float, default=MAX_INSTRUCTIONS)
    args = parser.parse_args(words)
    only = set(args.only.split(","))
    if only - set(MODES) or args.rounds < 2:
        parser.error(f"--only takes {', '.join(MODES)}; --rounds 2 or more")
    return args, only


def main(words):
    args, only = parse(words)
    begin = time.monotonic()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    try:
        results = compare(args, only)
    except Failed as why:
        print(f"compare: {why}", file=sys.stderr)
        return 2
    print(f"this build against {args.rev}: CPU time, at most {args.max}; instructions, at most "
          f"{args.max_instructions}; {time.monotonic() - begin:.0f} s")
    return show(results)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
