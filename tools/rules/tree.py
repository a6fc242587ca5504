# SPDX-License-Identifier: MIT
"""What the rule scripts share: the files of a source tree, and how a violation is told."""
import os
import re
import subprocess

SUFFIXES = (".c", ".h", ".S", ".cc", ".hpp", ".py", ".sh", ".pml")
C_FOLDERS = ("src/", "include/", "bench/", "examples/", "tests/", "tools/")


def files(top):
    """Paths relative to the top: what git tracks or would, or everything outside of git."""
    listed = subprocess.run(["git", "-C", top, "ls-files", "-co", "--exclude-standard"],
                            capture_output=True, text=True, check=False)
    inside = subprocess.run(["git", "-C", top, "rev-parse", "--show-prefix"],
                            capture_output=True, text=True, check=False)
    if listed.returncode == 0 and inside.stdout.strip() == "":
        return sorted(path for path in set(listed.stdout.splitlines())
                      if os.path.isfile(os.path.join(top, path)))
    found = []
    for folder, _, names in os.walk(top):
        found += [os.path.relpath(os.path.join(folder, name), top) for name in names]
    return sorted(found)


def read(top, path):
    with open(os.path.join(top, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def targets(names, suffixes):
    """(tree, path in it) of each C file to look at, of trees or of single files."""
    for name in names or ["."]:
        if os.path.isdir(name):
            for path in files(name):
                if path.startswith(C_FOLDERS) and path.endswith(suffixes):
                    yield name, path
        else:
            yield ".", name


def is_source(top, path):
    """A C, assembly, Python or Promela file, or a script without a suffix."""
    if path.endswith(SUFFIXES):
        return True
    return "." not in os.path.basename(path) and read(top, path)[:2] == "#!"


def without_comments(text):
    """The same text with comments blanked, so that offsets and line numbers stay."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    return re.sub(r"/\*.*?\*/|//[^\n]*", blank, text, flags=re.S)


def report(problems):
    for problem in problems:
        print(problem)
    return 1 if problems else 0
