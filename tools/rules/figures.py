#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Figures of src/: how large files and functions are, how many members the central structs have, how
dense the asserts are, and with a build folder the largest circle. No rule, but what a change of
the structure is told by; it reads any revision's tree.
Usage: figures.py [TREE [BUILD_FOLDER]]
"""
import os
import re
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import tree  # noqa: E402

# What the worker's socket of a listener is called, then and now.
STRUCTS = ("volley_worker", "volley_server", "vly_port", "vly_sock", "vly_shared")


def quantile(values, share):
    """The smallest value that has at least this share at or below it."""
    ordered = sorted(values)
    return ordered[max(0, -int(-len(ordered) * share // 1) - 1)]


def functions(lines):
    """Lines of each function, from its name to its brace: bodies begin and end in column 0."""
    begin = None
    for number, line in enumerate(lines):
        if line == "{":
            begin = number
            while begin > 0 and re.match(r"[\w\t]", lines[begin - 1]) and \
                    not lines[begin - 1].rstrip().endswith(";"):
                begin -= 1
        elif line == "}" and begin is not None:
            yield number - begin + 1
            begin = None


def members(code, name):
    """Members of a struct, those of nested ones left out; None: there is no such struct."""
    found = re.search(rf"\bstruct {name}\s*\{{", code)
    if not found:
        return None
    depth, n = 1, 0
    for char in code[found.end():]:
        depth += (char == "{") - (char == "}")
        n += char == ";" and depth == 1
        if depth == 0:
            return n
    return None


def words(values):
    return f"median {statistics.median(values):g}, p90 {quantile(values, 0.9)}, max {max(values)}"


def main(top, build=None):
    paths = [path for path in tree.files(top)
             if path.startswith("src/") and path.endswith((".c", ".h", ".S"))]
    texts = {path: tree.read(top, path) for path in paths}
    code = {path: tree.without_comments(text) for path, text in texts.items()}
    n_lines = [text.count("\n") for text in texts.values()]
    lengths = [n for path in paths if not path.endswith(".S")
               for n in functions(code[path].split("\n"))]
    print(f"files: {len(paths)}, {sum(path.endswith('.c') for path in paths)} of them .c, "
          f"{sum(n_lines)} lines")
    print(f"lines of a file: {words(n_lines)}")
    print(f"functions: {len(lengths)}; lines: {words(lengths)}")
    for name in STRUCTS:
        for path in paths:
            n = members(code[path], name)
            if n is not None:
                print(f"members of struct {name}: {n} ({path})")
    for word in ("assert", "static_assert"):
        n = sum(len(re.findall(rf"\b{word}\(", text)) for text in code.values())
        print(f"{word}: {n}, {1000 * n / sum(n_lines):.1f} in 1,000 lines")
    if build:
        subprocess.run([sys.executable, os.path.join(HERE, "circles.py"), build, top, "--largest"],
                       check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*(sys.argv[1:] or ["."])))
