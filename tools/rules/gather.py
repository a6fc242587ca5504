# SPDX-License-Identifier: MIT
"""
Gathers the facts about all files that a build folder's compile_commands.json names, from the
syntax trees that libclang reads (reader.py reads one). A file that the build left out (another
CPU's or another option's) is read with the flags of its neighbour, so that no file escapes.
"""
import json
import os
import re
import shlex
import sys

from facts import SCOPES, Facts, module
from reader import Reader

SKIPPED = ("-MD", "-MQ", "-MF", "-o", "-c")
OPERANDS = ("-MQ", "-MF", "-o")


def read_text(top, path):
    with open(os.path.join(top, path), encoding="utf-8") as file:
        return file.read()


def commands(folder, top):
    """[(source, arguments)]: each file once, or with each set of macros if it has an #if."""
    with open(os.path.join(folder, "compile_commands.json"), encoding="utf-8") as file:
        listed = json.load(file)
    found = {}
    for entry in listed:
        where = entry["directory"]
        source = os.path.relpath(os.path.realpath(os.path.join(where, entry["file"])), top)
        if source.split("/")[0] not in SCOPES or source.endswith(".S"):
            continue
        words = entry.get("arguments") or shlex.split(entry["command"])
        args = []
        for word, before in zip(words[1:], words):
            if word.startswith("-I"):
                word = "-I" + os.path.join(where, word[2:])
            if word not in SKIPPED and before not in OPERANDS and word != entry["file"]:
                args.append(word)
        has_if = re.search(r"^\s*#\s*if", read_text(top, source), re.M)
        macros = tuple(arg for arg in args if arg.startswith("-D")) if has_if else ()
        found.setdefault((source, macros), args)
    return [(source, args) for (source, _), args in sorted(found.items())]


def left_out(listed, top):
    """The like for files of src/ and bench/ that the build does not have."""
    known = {source for source, _ in listed}
    scopes = {source.split("/")[0] for source in known}
    near = [entry for entry in listed if entry[0].endswith(".c")]
    for folder, _, names in os.walk(top):
        inside = os.path.relpath(folder, top)
        for name in names:
            path = os.path.join(inside, name)
            if inside.split("/")[0] in scopes and name.endswith(".c") and path not in known:
                yield path, max(near, key=lambda e: len(os.path.commonprefix([e[0], path])))[1]


def assembly(facts):
    """What .S files make global, and which names they have."""
    for folder, _, names in os.walk(os.path.join(facts.top, "src")):
        for name in names:
            if not name.endswith(".S"):
                continue
            path = os.path.relpath(os.path.join(folder, name), facts.top)
            facts.files.add(path)
            code = re.sub(r"/\*.*?\*/|//[^\n]*", "", read_text(facts.top, path), flags=re.S)
            for kind in ("c:@F@", "c:@"):
                for symbol in re.findall(r"\.globl\s+(\w+)", code):
                    facts.defined.setdefault(kind + symbol, set()).add(module(path))
                for word in set(re.findall(r"\b(?:vly|volley)_\w+", code)):
                    facts.uses.add((module(path), kind + word, "name " + word))


def collect(folder, top, scopes=SCOPES):
    facts = Facts(top)
    seen = set()
    listed = [entry for entry in commands(folder, facts.top) if entry[0].split("/")[0] in scopes]
    for source, args in listed:
        problem = Reader(facts, seen).read(source, args)
        facts.problems += [problem] if problem else []
    for source, args in left_out(listed, facts.top):
        problem = Reader(facts, seen).read(source, args)
        if problem:
            print(f"note: not built here and not read: {problem}", file=sys.stderr)
    assembly(facts)
    if not listed:
        facts.problems.append(f"{folder}: compile_commands.json names no file of {top}")
    return facts
