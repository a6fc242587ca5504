#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Rules read from the compiled objects of a build folder: src/<layer>/ring.c defines only vly_ring_*
(and volley_*), and nothing but the cancel library (src/cancel/) has writable
global or thread-local data, but for what EXCUSED names with its reason.
Usage: objects.py BUILD_FOLDER. Prints one line per violation and exits 1 if there is any.
"""
import json
import os
import subprocess
import sys

CANCEL = "src/cancel/"
EXCUSED = {
    ("src/path/handler.c", "mine"): "a callback is given its worker, not its handler",
    ("src/server/listeners.c", "last_serial"): "no listener of the process shares its id",
    ("src/worker/loop_new.c", "speaker"): "libevent gives its log callback nothing to tell whose",
}
WRITABLE = (".data", ".bss", ".tdata", ".tbss")


def symbols(path):
    """(name, section, is global) of what the object defines."""
    text = subprocess.run(["objdump", "-t", path], capture_output=True, text=True,
                          check=True).stdout
    for line in text.splitlines():
        # 0000000000000000 g     F .text	0000000000000010 .hidden name
        head, tab, tail = line.partition("\t")
        if not tab or len(head) < 25:
            continue
        flags, section = head[17:24], head[25:].strip()
        if section.startswith("*") or "d" in flags or "f" in flags:
            continue
        yield tail.split()[-1], section, flags[0] in "gu!"


def check(source, path):
    stem = os.path.basename(source).rpartition(".")[0]
    noun = "vly_" + stem.split("_")[0] + "_"
    for symbol, section, is_global in symbols(path):
        if is_global and not symbol.startswith((noun, "volley_")):
            yield f"{source}: defines {symbol}; only {noun}* and volley_* may be"
        size_matters = section.split(".rel.ro")[0] == section
        if (source, symbol) in EXCUSED:
            continue
        if not source.startswith(CANCEL) and size_matters and any(
                section == w or section.startswith(w + ".") for w in WRITABLE):
            yield f"{source}: {symbol} is writable data ({section})"


def main(folder):
    with open(os.path.join(folder, "compile_commands.json"), encoding="utf-8") as file:
        commands = json.load(file)
    problems = set()
    seen = 0
    for command in commands:
        source = os.path.relpath(os.path.join(command["directory"], command["file"]))
        if not source.startswith("src/"):
            continue
        path = os.path.join(command["directory"], command["output"])
        if os.path.exists(path):
            seen += 1
            problems.update(check(source, path))
    for problem in sorted(problems):
        print(problem)
    if not seen:
        print(f"{folder}: no object of src/ was found")
    return 1 if problems or not seen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
