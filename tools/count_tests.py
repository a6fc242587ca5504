#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Read Meson's testlog.json files and print what failed, what was skipped and why, and last the line
"N passed, N failed, N skipped". Exits 1 when something failed or nothing ran.

Cases are counted where a program reports them: Criterion's "Synthesis" line, or the closing line
"N passed, N failed" of our plain programs. Any other program is one case. A program's exit code
has the last word: one that ends badly counts a failure whatever it printed, and one that reports
no case at all has failed too, because a test that ran nothing shows nothing.
"""
import json
import re
import sys

SYNTHESIS = re.compile(r"Synthesis: Tested: (\d+) \| Passing: (\d+) \| Failing: (\d+)"
                       r" \| Crashing: (\d+)")
PLAIN = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\s*$", re.M)
CRITERION_SKIP = re.compile(r"^\[SKIP\] (.*)$", re.M)


def count(record):
    """(passed, failed, skipped) of one test program."""
    text = (record.get("stdout") or "") + "\n" + (record.get("stderr") or "")
    result = record["result"]
    criterion = SYNTHESIS.findall(text)
    plain = PLAIN.findall(text)
    if criterion:
        _, passed, failing, crashing = (int(x) for x in criterion[-1])
        failed, skipped = failing + crashing, len(CRITERION_SKIP.findall(text))
    elif plain:
        passed, failed, skipped = (int(x or 0) for x in plain[-1])
    elif result == "SKIP":
        return 0, 0, 1
    else:
        return (1, 0, 0) if result == "OK" else (0, 1, 0)
    if result not in ("OK", "SKIP") and failed == 0:
        failed = 1
    if passed + failed + skipped == 0:
        failed = 1
    return passed, failed, skipped


def skip_reasons(record):
    text = (record.get("stdout") or "") + "\n" + (record.get("stderr") or "")
    reasons = CRITERION_SKIP.findall(text)
    reasons += [line for line in text.splitlines() if re.match(r"(skip|SKIP)", line)]
    if not reasons and record["result"] == "SKIP":
        reasons = [line for line in text.splitlines() if line.strip()][-1:] or ["no reason given"]
    return reasons


def show_failure(record):
    print(f"\n=== {record['name']}: {record['result']} "
          f"(exit {record['returncode']}, {record['duration']:.1f} s)")
    for stream in ("stdout", "stderr"):
        lines = [line for line in (record.get(stream) or "").splitlines()
                 if not line.startswith(("[RUN ]", "[PASS]"))]
        for line in lines[-60:]:
            print("    " + line)


def main(paths):
    total = [0, 0, 0]
    records = []
    for path in paths:
        try:
            with open(path, encoding="utf-8", errors="replace") as log:
                records += [json.loads(line) for line in log if line.strip()]
        except FileNotFoundError:
            print(f"count_tests: no {path}: the tests did not run")
            total[1] += 1
    for record in records:
        counted = count(record)
        total = [a + b for a, b in zip(total, counted)]
        if counted[1]:
            show_failure(record)
    for record in records:
        for reason in skip_reasons(record):
            print(f"skipped in {record['name']}: {reason}")
    slow = sorted(records, key=lambda r: -r["duration"])[:5]
    print("slowest: " + ", ".join(f"{r['name']} {r['duration']:.0f} s" for r in slow))
    passed, failed, skipped = total
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
