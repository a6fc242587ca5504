#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Rules about the text of a file: the SPDX line, 100 columns, 500 lines, where #if may stand, and
what a teardown cannot say.
Usage: text.py [TREE]. Prints one line per violation and exits 1 if there is any.
"""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tree  # noqa: E402

MAX_COLUMNS = 100
MAX_LINES = 500
# Longer ones, which are to be split.
LONG = ("examples/dns/answer.c", "examples/dns/zone_encode.c", "examples/dns/zone_file.c")
IF_ALLOWED = ("src/base/compiler.h", "src/io/io.c", "include/volley/error.hpp")
CONDITIONAL = re.compile(r"^\s*#\s*(if|ifdef|ifndef|elif)\b\s*(.*)")
TEARDOWN = re.compile(r"\.fini = (\w+)")
CXX = ("__cplusplus", "defined(__cplusplus)")


def spdx(path, lines):
    first = lines[0] if lines else ""
    if first.startswith("#!") and len(lines) > 1:
        first = lines[1]
    if "SPDX-License-Identifier: MIT" not in first:
        yield f"{path}:1: the first line is not the SPDX line"


def columns(path, lines):
    for number, line in enumerate(lines, 1):
        width = len(line.expandtabs(8))
        if width > MAX_COLUMNS:
            yield f"{path}:{number}: {width} columns, {MAX_COLUMNS} are allowed"
        if line != line.rstrip():
            yield f"{path}:{number}: white space at the end of the line"


def length(path, lines):
    if path in LONG:
        if len(lines) <= MAX_LINES:
            yield f"{path}: is not long any more: take it out of LONG"
    elif len(lines) > MAX_LINES:
        yield f"{path}: {len(lines)} lines, {MAX_LINES} are allowed"


def conditionals(path, lines):
    """In src/ and include/: the header guard and C++ guards only, but for two files."""
    if not path.startswith(("src/", "include/")) or path in IF_ALLOWED:
        return
    is_first = path.endswith((".h", ".hpp"))
    for number, line in enumerate(lines, 1):
        found = CONDITIONAL.match(line)
        if not found:
            continue
        word, what = found.group(1), found.group(2).split("/*")[0].strip()
        if is_first and word == "ifndef" and what.endswith(("_H", "_HPP")):
            is_first = False
            continue
        if path.endswith(".h") and what in CXX:
            continue
        yield f"{path}:{number}: #{word} belongs into {' or '.join(IF_ALLOWED)}"


def teardowns(path, lines):
    """Criterion forgets an assertion that fails in a .fini: see tests/lib/teardown.h."""
    names = set(TEARDOWN.findall("\n".join(lines))) if path.startswith("tests/") else ()
    name = None
    for number, line in enumerate(lines, 1):
        head = re.match(r"\w.*\b(\w+)\(void\)$", line)
        if head:
            name = head.group(1)
        if name in names and re.search(r"\bcr_\w+\(", line):
            yield f"{path}:{number}: TEARDOWN_CHECK, for nobody hears of this"
        if line == "}":
            name = None


def main(top):
    problems = []
    for path in tree.files(top):
        if not tree.is_source(top, path):
            continue
        lines = tree.read(top, path).split("\n")
        if lines and lines[-1] == "":
            lines.pop()
        for rule in (spdx, columns, length, conditionals, teardowns):
            problems += rule(path, lines)
    return tree.report(problems)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "."))
