#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
What the shared libraries export is what the public headers declare, under the version nodes, and
what tests/abi/*.symbols lists: symbols.py BUILD_FOLDER [--write]. A symbol that is gone breaks
programs that are out there; a new one is added to the list by --write, in the same commit.
"""
import glob
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
LIBRARIES = {"libvolley": ("src/libvolley.so.0", "VOLLEY_0"),
             "libvolley-cancel": ("src/cancel/libvolley-cancel.so.0", "VOLLEY_CANCEL_0")}


def exported(path):
    """Names as nm prints them, with their version: volley_version@@VOLLEY_0."""
    text = subprocess.run(["nm", "-D", "--defined-only", "--with-symbol-versions", path],
                          capture_output=True, text=True, check=True).stdout
    return sorted(line.split()[2] for line in text.splitlines() if line.split()[1] != "A")


def declared():
    """Functions that the public headers mark as exported."""
    names = set()
    for path in glob.glob(os.path.join(TOP, "include", "volley", "*.h")):
        with open(path, encoding="utf-8") as file:
            text = re.sub(r"/\*.*?\*/", " ", file.read(), flags=re.S)
        names.update(re.findall(r"^VOLLEY_API\s[^;(]*?\b(volley_\w+)\s*\(", text, flags=re.M))
    return names


def check(library, path, node):
    found = exported(path)
    with open(os.path.join(HERE, library + ".symbols"), encoding="utf-8") as file:
        listed = [line for line in file.read().split("\n") if line and line[0] != "#"]
    for name in found:
        if not re.fullmatch(rf"volley_\w+@@{node}", name):
            yield f"{library}: {name} is not volley_*@@{node}"
    for name in sorted(set(listed) - set(found)):
        yield f"{library}: {name} is listed and not exported any more"
    for name in sorted(set(found) - set(listed)):
        yield f"{library}: {name} is exported and not listed: see symbols.py --write"


def main(folder, write):
    problems = []
    everything = set()
    for library, (path, node) in LIBRARIES.items():
        path = os.path.join(folder, path)
        if write:
            with open(os.path.join(HERE, library + ".symbols"), "w", encoding="utf-8") as file:
                file.write("\n".join(exported(path)) + "\n")
        problems += check(library, path, node)
        everything.update(name.split("@")[0] for name in exported(path))
    problems += [f"{name} is declared and not exported" for name in sorted(declared() - everything)]
    problems += [f"{name} is exported and not declared" for name in sorted(everything - declared())]
    for problem in problems:
        print(problem)
    print(f"{len(everything)} symbols")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], "--write" in sys.argv[2:]))
