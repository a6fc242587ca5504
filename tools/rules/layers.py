#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
The layer rules of docs/architecture.md: includes point down only, backends do not know one
another, a third-party header stands in one .c file, programs see public headers only.
Usage: layers.py [TREE]. Prints one line per violation and exits 1 if there is any.
"""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tree  # noqa: E402

# Which folders of src/ a folder's files may include, besides their own and <volley/...>.
BELOW = {
    "cancel": (),
    "base": (),
    "sys": ("base", "cancel"),
    "data": ("sys", "base"),
    "io": ("data", "sys", "base", "cancel"),
    "path": ("io", "data", "sys", "base", "cancel"),
    "worker": ("path", "io", "data", "sys", "base", "cancel"),
    "server": ("worker", "path", "io", "data", "sys", "base", "cancel"),
}
# What may lie deeper than src/<layer>/: rooms that are part of their layer.
ROOMS = ("server/handover",)
# Each third-party library has one home.
HOMES = {
    "event2/": ("src/worker/loop_event.c", "src/worker/loop_new.c", "src/worker/loop_base.c"),
}
SYSTEM = re.compile(r"^(sys|net|netinet|netpacket|arpa|linux|asm|asm-generic)/[\w./-]+\.h$")
C_LIBRARY = set("""assert complex ctype dirent dlfcn errno fcntl features fenv fnmatch getopt glob
grp inttypes iso646 langinfo libgen limits locale math poll pthread pwd sched search semaphore
setjmp signal spawn stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string
strings syslog tgmath threads time ucontext unistd utime wchar wctype endian elf link malloc
""".split())
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def includes(text):
    for number, line in enumerate(text.split("\n"), 1):
        found = INCLUDE.match(line)
        if found:
            yield number, found.group(1) == '"', found.group(2)


def is_system(name):
    return bool(SYSTEM.match(name)) or (name.endswith(".h") and name[:-2] in C_LIBRARY)


def check_own(path, layer, name, backends):
    """An include in quotes, from src/<layer>/."""
    folder, _, file = name.rpartition("/")
    folder = folder.split("/")[0] or layer
    if folder not in BELOW:
        return f'"{name}" is in no layer'
    if folder != layer and folder not in BELOW[layer]:
        return f"{layer} may not include {folder}"
    mine = os.path.basename(path).rpartition(".")[0]
    other = file.rpartition(".")[0]
    if folder == "io" and mine in backends and other in backends and mine != other:
        return f"backend {mine} may not know backend {other}"
    return None


def check_angle(path, name):
    if name.startswith("volley/") or is_system(name):
        return None
    if path.endswith(".hpp") and re.fullmatch(r"\w+", name):
        return None  # <vector>: the standard library of C++
    for prefix, homes in HOMES.items():
        if name.startswith(prefix):
            return None if path in homes else f"<{name}> belongs into {homes[0]} alone"
    return f"<{name}> is a third-party header without a home"


def check_program(name, quoted):
    """examples/ and bench/ are our users: public headers, and what lies beside them."""
    folder = name.split("/")[0]
    if quoted and "/" in name and folder in BELOW:
        return f'"{name}" is internal; programs use <volley/...> only'
    return None


def check_file(top, path, backends):
    parts = path.split("/")
    for number, quoted, name in includes(tree.read(top, path)):
        problem = None
        if parts[0] == "src" and len(parts) > 2 and parts[1] in BELOW:
            problem = (check_own(path, parts[1], name, backends) if quoted
                       else check_angle(path, name))
        elif parts[0] == "include":
            problem = (f'"{name}": public headers use <volley/...>' if quoted
                       else check_angle(path, name))
        elif parts[0] in ("examples", "bench"):
            problem = check_program(name, quoted)
        if problem:
            yield f"{path}:{number}: {problem}"


def main(top):
    paths = [path for path in tree.files(top) if path.endswith((".c", ".h", ".S", ".cc", ".hpp"))]
    backends = {os.path.basename(path)[:-2] for path in paths
                if path.startswith("src/io/io_") and path.endswith(".c")}
    problems = []
    for path in paths:
        folder = os.path.dirname(path)[len("src/"):]
        if path.startswith("src/") and folder not in BELOW and folder not in ROOMS:
            problems.append(f"{path}: in no layer")
        problems += check_file(top, path, backends)
    return tree.report(problems)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "."))
