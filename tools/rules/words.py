#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
The words of docs/style.md, which is read for them, so that the page and the rule cannot differ.

- A shared function is <noun>_<verb>: the part behind the noun begins or ends with a verb of the
  page's table. Functions of one word (volley_read) bear the name of a system call.
- One that returns bool is is_ or has_, unless its verb is marked "returns whether" in the table.
- n_ is a count: n_listener is listener_index.
- A reply is not called an answer, but where the protocol's own word is that: in DNS.
- A port is a UDP port; what a worker has of a listener is a socket.

Usage: words.py [TREE]. Prints one line per violation and exits 1 if there is any.
"""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tree  # noqa: E402

STYLE = "docs/style.md"
ROW = re.compile(r"^\| (`[a-z0-9_`, /]+) \| (.+) \|$")
FUNCTION = re.compile(r"^(?:[\w*()]+[ \n\t*]+)+\**(?P<prefix>vly|volley)_(?P<name>\w+)\(", re.M)
# What has many of itself, and so an index.
INDEXED = "listener worker handler socket sock slot port server packet buffer segment".split()
COUNT = re.compile(r"\bn_(" + "|".join(INDEXED) + r")\b")
REPLY = re.compile(r"answer", re.I)
PORT = re.compile(r"\b(?:struct vly_port|vly_io_port|vly_(?!addr_)\w+_port|VLY_IO_N_PORTS|"
                  r"struct vly_sock \*+port(?:_\w+)?)\b")
# In src/ also the members and variables that hold them.
PORTS = re.compile(r"\bn_ports\b|(?:->|\.)ports\b")
# Where a name server or its client speaks of DNS.
DNS = re.compile(r"(^|[/_-])dns([/_.-]|$)")


def verbs(top):
    """{verb: whether it may return bool} of the table in docs/style.md."""
    found = {}
    for line in tree.read(top, STYLE).split("\n"):
        row = ROW.match(line)
        if row:
            for verb in re.findall(r"`(\w+)`", row.group(1)):
                found[verb] = "returns whether" in row.group(2)
    return found


def nouns(paths):
    """What a name may begin with: the stems of files, such as loop_fd; else its first word."""
    return sorted({os.path.basename(path).rpartition(".")[0] for path in paths
                   if path.startswith(("src/", "include/")) and path.endswith((".c", ".h"))},
                  key=len, reverse=True)


def verb_part(name, known):
    for noun in known:
        if name.startswith(noun + "_"):
            return name[len(noun) + 1:].split("_")
    return name.split("_")[1:]


def functions(text):
    """(line number, prefix, name, whether it returns bool) of each declaration of a header."""
    code = re.sub(r"^[ \t]*#[^\n]*", "", tree.without_comments(text), flags=re.M)
    for found in FUNCTION.finditer(code):
        before = found.group(0)
        if before.startswith(("typedef", "return", "\t", " ")) or "=" in before:
            continue
        yield (code.count("\n", 0, found.end()) + 1, found.group("prefix"), found.group("name"),
               bool(re.search(r"\bbool\s", before)))


def check_names(path, text, known_verbs, known_nouns):
    for number, prefix, name, is_bool in functions(text):
        part = verb_part(name, known_nouns)
        where = f"{path}:{number}: {prefix}_{name}"
        if not part:
            continue
        ends = [part[0], part[-1]]
        is_predicate = part[0] in ("is", "has")
        if not any(word in known_verbs for word in ends):
            yield f"{where}: neither {' nor '.join(ends)} is a verb of {STYLE}"
        elif is_bool and not is_predicate and not any(known_verbs.get(word) for word in ends):
            yield f"{where} returns bool: is_ or has_, or a verb that {STYLE} lets return whether"
        elif is_predicate and not is_bool:
            yield f"{where} does not return bool"


def check_lines(path, text):
    if path == STYLE:
        return
    is_dns = DNS.search(path)
    for number, line in enumerate(text.split("\n"), 1):
        where = f"{path}:{number}:"
        count = COUNT.search(line)
        if count:
            yield f"{where} {count.group(0)} is no count: {count.group(1)}_index"
        if not is_dns and REPLY.search(line):
            yield f"{where} a reply is not called an answer"
        port = PORT.search(line) or (path.startswith("src/") and PORTS.search(line))
        if port:
            yield f"{where} a port is a UDP port, and '{port.group(0)}' is a socket"


def is_read(top, path):
    """Sources and pages; of docs/ not what a measurement wrote."""
    if "/" not in path or path.startswith("docs/"):
        return path.endswith((".md", ".3", ".7", ".8"))
    return path.startswith(("src/", "include/", "bench/", "tests/", "examples/")) and \
        (tree.is_source(top, path) or path.endswith("meson.build"))


def main(top):
    paths = tree.files(top)
    known_verbs, known_nouns = verbs(top), nouns(paths)
    problems = [] if known_verbs else [f"{STYLE}: has no table of verbs"]
    for path in paths:
        if not is_read(top, path):
            continue
        text = tree.read(top, path)
        if path.endswith(".h") and path.startswith(("src/", "include/")):
            problems += check_names(path, text, known_verbs, known_nouns)
        problems += check_lines(path, text)
    return tree.report(problems)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "."))
