# SPDX-License-Identifier: MIT
"""
The gate for speed (tools/bench_compare.py) on planted figures: noise as on a shared machine, with
and without a slowdown. One case drives volley-bench, against itself, and judges no speed.
"""
import contextlib
import io
import os
import random
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path.insert(0, os.path.join(TOP, "tests/system"))
sys.path.insert(0, os.path.join(TOP, "tools"))
import bench_compare as gate  # noqa: E402
import harness  # noqa: E402

N_SETS = 5
N_TURNS = 240


def draw(rng, slower):
    """A run of 10 ns; a neighbour adds up to 70 % to four of ten."""
    disturbed = rng.uniform(0, 0.7) if rng.random() < 0.4 else 0
    return 10 * slower * (1 + rng.gauss(0, 0.004)) * (1 + disturbed)


def plant(seed, slower, n=N_TURNS):
    rng = random.Random(seed)
    return [((draw(rng, 1), draw(rng, 1)), (draw(rng, slower), draw(rng, slower)))
            for _ in range(n)]


def verdicts(slower, most=gate.MAX_RATIO):
    return [gate.judge("null", plant(seed, slower), gate.LOWER_QUARTILE, most).verdict
            for seed in range(N_SETS)]


def equal_passes():
    assert verdicts(1) == ["ok"] * N_SETS, verdicts(1)


def three_percent_fails():
    assert verdicts(1.03) == ["slower"] * N_SETS, verdicts(1.03)


def stricter_limit_sees_two_percent():
    assert "slower" not in verdicts(1.018)
    assert verdicts(1.018, 1.01) == ["slower"] * N_SETS


def faster_passes():
    assert verdicts(0.9) == ["ok"] * N_SETS


def interval_covers():
    """Two of 40 intervals at 95 % miss the true ratio; 8 and more are no chance."""
    outside = 0
    for seed in range(40):
        low, high = gate.get_interval(plant(1000 + seed, 1.01, 40), gate.LOWER_QUARTILE, seed)
        outside += not low <= 1.01 <= high
    assert 0 < outside < 8, outside


def too_few_rounds_are_unclear():
    result = gate.judge("null", plant(7, 1.02, 5), gate.LOWER_QUARTILE, 1.02)
    assert result.verdict == "unclear" and result.low < 1.02 < result.high, result


def instructions_are_exact():
    assert gate.judge_count("count", 200, 202, 1.01).verdict == "ok"
    assert gate.judge_count("count", 200, 202.1, 1.01).verdict == "slower"


def quantiles():
    assert gate.get_quantile([4, 1, 3, 2, 5], 0.5) == 3
    assert gate.get_quantile([4, 1, 3, 2, 5], 0.25) == 2
    assert gate.get_quantile([1, 2], 0.25) == 1.25
    assert gate.get_quantile([1, 2], 1) == 2


def order_is_old_new_new_old():
    seen = []

    def measure(build):
        seen.append(build)
        return {"null vector": len(seen), "handlers": -len(seen)}

    turns = {}
    gate.take_turn(gate.Probe(("null", "handlers"), 0.5, 1, measure), "A", "B", {"null"}, turns)
    assert seen == ["A", "B", "B", "A"]
    assert turns == {"null vector": [((1, 4), (2, 3))]}, turns


def show(*results):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = gate.show(results)
    return code, out.getvalue().splitlines()[-1]


def last_line_and_exit_code():
    fine = gate.Result("null vector", 1, 0.99, 1.01, 240, "ok")
    slow = gate.Result("preload", 1.03, 1.025, 1.04, 60, "slower")
    more = gate.Result("count volley", 1.02, 1.02, 1.02, 1, "slower")
    assert show(fine) == (0, "compare: ok")
    assert show(fine, slow._replace(verdict="unclear")) == (0, "compare: ok (unclear: preload)")
    assert show(fine, slow, more) == (1, "compare: slower: preload count/volley")


def drives_volley_bench():
    """With --max 9 nothing is slower, with --max 0.1 everything is."""
    bench = os.environ.get("VOLLEY_BENCH", os.path.join(TOP, "build/test/bench/volley-bench"))
    build = os.path.dirname(os.path.dirname(bench))
    words = ["HEAD", "--old", build, "--new", build, "--rounds", "2", "--only", "null,preload"]
    for most, code, last in ("9", 0, "ok"), ("0.1", 1, "slower: null/vector null/scalar "
                             "null/vector-plain null/scalar-plain preload"):
        done = subprocess.run([sys.executable, gate.__file__, *words, "--max", most],
                              capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == code, done
        assert done.stdout.splitlines()[-1] == "compare: " + last, done.stdout


CASES = [("equal builds pass", equal_passes), ("3 % fails", three_percent_fails),
         ("a stricter limit", stricter_limit_sees_two_percent), ("faster passes", faster_passes),
         ("the interval covers", interval_covers),
         ("too few rounds are unclear", too_few_rounds_are_unclear),
         ("instructions are exact", instructions_are_exact), ("quantiles", quantiles),
         ("old, new, new, old", order_is_old_new_new_old),
         ("last line and exit code", last_line_and_exit_code),
         ("it drives volley-bench", drives_volley_bench)]

if __name__ == "__main__":
    sys.exit(harness.main(CASES))
