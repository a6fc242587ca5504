#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Print the line coverage of src/ in a build folder that was built with -Db_coverage=true and whose
tests ran, and fail below 95 %. Lines that no test can reach are listed, each with its reason, in
tools/unreachable.txt: "file | text of the line | reason", at most 20.
Usage: coverage.py BUILD_FOLDER
"""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
MINIMUM = 95.0
MAX_UNREACHABLE = 20


def measure(folder):
    """{file: {line: count}} from gcovr."""
    # The folder before --json, which would take it for the name of the file to write.
    text = subprocess.run(["gcovr", "--root", TOP, "--filter", "src/",
                           "--gcov-ignore-parse-errors", folder, "--json"],
                          stdout=subprocess.PIPE, text=True, check=True, cwd=TOP).stdout
    return {entry["file"]: {line["line_number"]: line["count"] for line in entry["lines"]
                            if not line.get("gcovr/noncode")}
            for entry in json.loads(text)["files"]}


def unreachable():
    """[(file, text, reason)]"""
    entries = []
    with open(os.path.join(HERE, "unreachable.txt"), encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                path, text, reason = (part.strip() for part in line.split(" | ", 2))
                entries.append((path, text, reason))
    return entries


def main(folder):
    files = measure(folder)
    listed = unreachable()
    used, problems = set(), []
    n_lines = n_covered = 0
    for path, lines in sorted(files.items()):
        with open(os.path.join(TOP, path), encoding="utf-8") as file:
            source = file.read().split("\n")
        covered = sum(1 for count in lines.values() if count)
        n_lines, n_covered = n_lines + len(lines), n_covered + covered
        print(f"{100.0 * covered / max(1, len(lines)):6.1f} % of {len(lines):4} {path}")
        for number in sorted(number for number, count in lines.items() if not count):
            text = source[number - 1].strip()
            known = [entry for entry in listed if entry[:2] == (path, text)]
            used.update(known)
            print(f"    {path}:{number}: {text}{'  (' + known[0][2] + ')' if known else ''}")
    share = 100.0 * n_covered / max(1, n_lines)
    if share < MINIMUM:
        problems.append(f"below {MINIMUM} %")
    if len(listed) > MAX_UNREACHABLE:
        problems.append(f"more than {MAX_UNREACHABLE} lines listed as unreachable")
    print(f"{share:.1f} % of {n_lines} lines of src/ are covered; {n_lines - n_covered} are not, "
          f"of which {len(used)} are listed as unreachable"
          + "".join(f"; {problem}" for problem in problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
