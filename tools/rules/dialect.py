#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
One dialect of C, as far as a look at the text can tell it: `sizeof x` for an object and
sizeof(type) for a type; alignas, static_assert and bool instead of _Alignas, _Static_assert and
_Bool; ring.c includes ring.h first. null.py tells what needs the types.

Usage: dialect.py [--write] [TREE or FILE ...]. Prints one line per violation and exits 1 if there
is any; with --write mends what it can first.
"""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tree  # noqa: E402

SUFFIXES = (".c", ".h", ".cc", ".hpp")
# sizeof(x) with nothing behind it that would bind more tightly. In a macro the name may stand for
# anything, so there it keeps its parentheses.
SIZEOF = re.compile(r"\bsizeof ?\((?P<what>[*&]*\w[\w.\[\]]*(?:->[\w.\[\]]+)*|\"[^\"\n]*\")\)"
                    r"(?![\[.(]|->)")
TYPE = re.compile(r"(?:char|short|int|long|float|double|void|bool|size_t|unsigned|signed|\w+_t|"
                  r"\w+_fn|DIR|FILE)$|[A-Z]$|[A-Z][a-z]+$")
SPELT = {"_Alignas": "alignas", "_Alignof": "alignof", "_Static_assert": "static_assert",
         "_Bool": "bool"}
OLD = re.compile(r"\b(" + "|".join(SPELT) + r")\b")
INCLUDE = re.compile(r'^#include [<"][^>"\n]+[>"]\n', re.M)


def sizeofs(text, code):
    """(position, the sizeof as it should be) of each that has parentheses round an object."""
    for found in SIZEOF.finditer(code):
        line = code[code.rfind("\n", 0, found.start()) + 1:found.start()]
        if not TYPE.match(found.group("what")) and not line.startswith("#define") and \
                not line.rstrip().endswith("\\"):
            yield found, "sizeof " + text[found.start("what"):found.end("what")]


def own_header(top, path, text):
    """The include of the file's own header, when it is there but not first."""
    stem, suffix = os.path.splitext(path)
    name = os.path.basename(stem) + ".h"
    if suffix == ".h" or not os.path.isfile(os.path.join(top, stem + ".h")):
        return None
    includes = [found.group(0) for found in INCLUDE.finditer(text)]
    mine = [line for line in includes if re.search(r'"(?:[^"]*/)?' + re.escape(name) + '"', line)]
    return mine[0] if mine and mine[0] != includes[0] else None


def check(top, path, text):
    code = tree.without_comments(text)
    for found, better in sizeofs(text, code):
        yield found.start(), f"{found.group(0)} of an object is {better}"
    for found in OLD.finditer(code):
        yield found.start(), f"{found.group(0)} is spelt {SPELT[found.group(0)]}"
    mine = own_header(top, path, text)
    if mine:
        yield text.index(mine), f"{mine.strip()[9:]} is the first include of this file"


def mended(top, path, text):
    """The text with what needs no thought put right."""
    pieces, last = [], 0
    for found, better in sizeofs(text, tree.without_comments(text)):
        pieces += [text[last:found.start()], better]
        last = found.end()
    text = "".join(pieces + [text[last:]])
    if "_Alignas" in text:
        text = re.sub(r"\b_Alignas\b", "alignas", text)
        if "#include <stdalign.h>\n" not in text:
            text = text.replace("#include <", "#include <stdalign.h>\n#include <", 1)
    mine = own_header(top, path, text)
    if mine:
        text = text.replace(mine, "", 1)
        first = INCLUDE.search(text).start()
        text = text[:first] + mine + "\n" + text[first:]
        text = re.sub(r"\n{3,}", "\n\n", text)
    return text


def main(names, write):
    problems = []
    for top, path in tree.targets(names, SUFFIXES):
        text = tree.read(top, path)
        if write and mended(top, path, text) != text:
            text = mended(top, path, text)
            with open(os.path.join(top, path), "w", encoding="utf-8") as file:
                file.write(text)
        problems += [f"{path}:{text.count(chr(10), 0, offset) + 1}: {problem}"
                     for offset, problem in check(top, path, text)]
    return tree.report(problems)


if __name__ == "__main__":
    arguments = [name for name in sys.argv[1:] if name != "--write"]
    sys.exit(main(arguments, "--write" in sys.argv[1:]))
