#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Every function of include/volley/ says in its comment what it returns (@return, unless void), who
may call it (@threads) and how long it may take (@blocks), and names each parameter it documents
as the prototype does. Each errno that the headers name is one that volley_error_name() knows.
README.md links each header but volley.h, which has them all.
Usage: contract.py [TREE]. Exits 1 if there is any violation.
"""
import errno
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tree  # noqa: E402

NAMES = "src/base/err.c"
COMMENT = re.compile(r"/\*\*(?:(?!\*/).)*\*/\s*\Z", re.S)
FUNCTION = re.compile(r"^(?P<before>(?:[\w*]+[\s*]+)+?)(?P<name>volley_\w+)\s*\("
                      r"(?P<params>[^;{]*)\)\s*(?:__attribute__\s*\(\(.*?\)\)\s*)?[;{]",
                      re.M | re.S)


def functions(text):
    """(offset, name, return type, parameters) of each prototype or inline function."""
    code = tree.without_comments(text)
    code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group(0)),
                  code, flags=re.M)
    for found in FUNCTION.finditer(code):
        before = found.group("before")
        if before.lstrip().startswith(("typedef", "return")) or before[0] in " \t":
            continue
        yield found.start(), found.group("name"), before, found.group("params")


def check(path, text):
    for offset, name, before, params in functions(text):
        number = text.count("\n", 0, offset) + 1
        where = f"{path}:{number}: {name}"
        comment = COMMENT.search(text[:offset])
        if not comment:
            yield f"{where} has no doc comment"
            continue
        words = comment.group(0)
        is_void = re.sub(r"VOLLEY_API|static|inline|\s", "", before) == "void"
        for tag in ("@return", "@threads", "@blocks"):
            if tag not in words and not (tag == "@return" and is_void):
                yield f"{where} lacks {tag}"
        if "@return" in words and is_void:
            yield f"{where} is void and has @return"
        for param in re.findall(r"@param\s+(\w+)", words):
            if not re.search(rf"\b{param}\b", params):
                yield f"{where} documents a parameter that it does not have: {param}"
        if "inline" not in before and "VOLLEY_API" not in before:
            yield f"{where} is not VOLLEY_API"


def check_names(path, text, known):
    for found in re.finditer(r"\bE[A-Z0-9]+\b", text):
        name = found.group(0)
        if name in errno.errorcode.values() and name not in known:
            number = text.count("\n", 0, found.start()) + 1
            yield f"{path}:{number}: {NAMES} has no name of {name}"


def main(top):
    problems = []
    readme = tree.read(top, "README.md")
    known = set(re.findall(r"\bNAME\((E\w+)\)", tree.read(top, NAMES)))
    for path in tree.files(top):
        if path.startswith("include/volley/") and path.endswith(".h"):
            text = tree.read(top, path)
            problems += check(path, text)
            problems += check_names(path, text, known)
            if f"]({path})" not in readme and not path.endswith("/volley.h"):
                problems.append(f"README.md does not link {path}")
    return tree.report(problems)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "."))
