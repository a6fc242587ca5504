#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
What selftest.py does, for the rules about words, comments and dialect: plant one violation and see
it told. What can mend with --write must mend it, change nothing else, and then have nothing more to
say. null.py is tried where libclang is there. Usage: selftest_text.py
"""
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SPDX = "/* SPDX-License-Identifier: MIT */\n"
STYLE = """| verb | meaning |
|---|---|
| `push`, `pop` | in and out; returns whether |
| `get` | a property |
| `is` | a predicate |
"""
NULL = "#include <stddef.h>\n"
LONG = "word " * 18  # with " * " in front 93 columns
HEADER = SPDX + """bool vly_ring_push(int n);
uint32_t vly_ring_get_room(void);
bool vly_ring_is_full(void);
int volley_read(int fd);
"""
GOOD = {
    "docs/style.md": STYLE,
    "docs/dns.md": "An answer.\n",
    "examples/dns/serve.c": SPDX + "int n_answers;\n",
    "src/data/ring.h": HEADER,
    "src/data/ring.c": SPDX + '#include "data/ring.h"\n\n#include <stdalign.h>\n'
    "alignas(8) char a[sizeof(int)];\nint n_workers = sizeof a;\n",
    "src/data/slots.c": SPDX + f"""/*
 * {LONG}longer
 * text.
 *
 * @param n  {LONG[10:]}long
 *           text
 * - one
 * - two
 *
 *     a --> b | picture
 *     c
 */
""",
}


def comment(*lines):
    return SPDX + "/*\n" + "".join(f" * {line}".rstrip() + "\n" for line in lines) + " */\n"


# (rule, file, its text, what the report must contain, the text that --write makes)
BAD = [
    ("words", "src/data/ring.h", "void vly_ring_squeeze(int n);\n", "neither squeeze", None),
    ("words", "src/data/ring.h", "bool vly_ring_get_room(void);\n", "returns bool", None),
    ("words", "src/data/ring.h", "int vly_ring_is_full(void);\n", "does not return bool", None),
    ("words", "include/volley/ring.h", "int\nvolley_ring_room(int n);\n", "neither room", None),
    ("words", "docs/style.md", "No table.\n", "no table of verbs", None),
    ("words", "src/data/ring.c", "int x(int n_listener);\n", "listener_index", None),
    ("words", "include/volley/ring.h", " * @param n_worker  0\n", "worker_index", None),
    ("words", "tests/unit/x.c", "/* No answer. */\n", "not called an answer", None),
    ("words", "bench/x.c", "int n_Answered;\n", "not called an answer", None),
    ("words", "docs/loops.md", "It answers.\n", "not called an answer", None),
    ("words", "src/data/ring.c", "struct vly_port *port;\n", "is a socket", None),
    ("words", "tests/unit/test_x.c", "struct vly_sock *port_of(int n);\n", "is a socket", None),
    ("words", "src/data/ring.c", "x = worker->ports[0];\n", "is a socket", None),
    ("reflow", "src/data/ring.c", comment("one", "two"), "is not filled", comment("one two")),
    ("reflow", "tests/x.cc", comment(LONG + "fit a", "b"), "is not filled",
     comment(LONG + "fit a b")),
    ("reflow", "src/x.c", comment("@return 0", "        or 1"), "is not filled",
     comment("@return 0 or 1")),
    ("reflow", "src/x.c", comment("- one", "  two", "- three"), "is not filled",
     comment("- one two", "- three")),
    ("reflow", "src/x.c", comment("one", "two", "", "    a picture", "    b"), "is not filled",
     comment("one two", "", "    a picture", "    b")),
    ("reflow", "src/x.c", comment(LONG * 2, "x"), "is not filled",
     comment(LONG + "word", LONG.replace("word ", "", 1) + "x")),
    ("reflow", "src/x.c", comment(LONG + "chapter 3. which"), "is not filled",
     comment(LONG, "chapter 3. which")),
    ("reflow", "bench/x.c", SPDX + f"/* {LONG}and\n * more. */\n", "stand alone",
     comment(LONG + "and", "more.")),
    ("reflow", "bench/x.c", SPDX + "\t/** Two\n\t *  lines. */\n", "stand alone",
     SPDX + "\t/** Two lines. */\n"),
    ("reflow", "bench/x.c", SPDX + "/*\n  No star.\n*/\n", "has a star", None),
    ("dialect", "src/data/ring.c", "int n = sizeof(a) + sizeof(p->a[0]) + sizeof(int);\n",
     "is sizeof a", "int n = sizeof a + sizeof p->a[0] + sizeof(int);\n"),
    ("dialect", "src/data/ring.c", "#include <a.h>\n_Alignas(8) int a;\n", "spelt alignas",
     "#include <stdalign.h>\n#include <a.h>\nalignas(8) int a;\n"),
    ("dialect", "src/data/ring.c", "_Static_assert(1, \"\");\n", "spelt static_assert", None),
    ("dialect", "src/data/ring.c", '#include <a.h>\n\n#include "data/ring.h"\n\nint a;\n',
     "is the first include", '#include "data/ring.h"\n\n#include <a.h>\n\nint a;\n'),
    ("null", "src/x.c", NULL + "int f(int *p) { return !p; }\n", "'p == NULL'",
     NULL + "int f(int *p) { return p == NULL; }\n"),
    ("null", "src/x.c", NULL + "int f(int *p, int n) { return p && n; }\n", "'p != NULL'",
     NULL + "int f(int *p, int n) { return p != NULL && n; }\n"),
    ("null", "src/x.c", NULL + "int f(int *p) { while (p) return 1; return 0; }\n", "'p != NULL'",
     NULL + "int f(int *p) { while (p != NULL) return 1; return 0; }\n"),
    ("null", "src/x.c", NULL + "void f(int **p) { for (; *p; p++) ; }\n", "'*p != NULL'",
     NULL + "void f(int **p) { for (; *p != NULL; p++) ; }\n"),
]
# What looks like a violation and is none.
SOUND = [
    ("reflow", "src/x.c", comment(LONG + "longer,", "does not fit.")),
    ("reflow", "src/x.c", comment(LONG + "fits a", "b")),
    ("reflow", "src/x.c", SPDX + "int a; /* behind\n\t* code */\n"),
    ("dialect", "src/x.c", "#define N(a) (sizeof(a) / sizeof((a)[0]))\n"),
    ("null", "src/x.c", "int f(int *p, int n) { return !n && p == (int *)0 ? n : !*p; }\n"),
]


def run(rule, files, *flags):
    """Run a rule over a tree of these files; its result, and the files as it left them."""
    with tempfile.TemporaryDirectory() as top:
        for path, text in files.items():
            path = os.path.join(top, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        done = subprocess.run([os.path.join(HERE, rule + ".py"), *flags, "."], cwd=top,
                              capture_output=True, text=True, check=False)
        after = {}
        for path in files:
            with open(os.path.join(top, path), encoding="utf-8") as file:
                after[path] = file.read()
        return done, after


def tree_of(rule, path, text):
    if rule == "null":
        command = {"directory": ".", "file": path, "command": f"cc -std=c11 -c {path}"}
        return {path: text, "compile_commands.json": json.dumps([command])}
    return {**GOOD, path: text}


def judge(rule, path, text, expected, mended):
    """A sentence about what went wrong, or None."""
    files = tree_of(rule, path, text)
    done, _ = run(rule, files)
    if done.returncode != 1 or expected not in done.stdout:
        return f"does not tell '{expected}': {done.stdout}{done.stderr}"
    if mended is None:
        return None
    _, after = run(rule, files, "--write")
    if after != {**files, path: mended}:
        return f"mends it to {after[path]!r}"
    done, again = run(rule, after, "--write")
    return None if done.returncode == 0 and again == after else f"is not done: {done.stdout}"


def main():
    results = []
    has_null = run("null", tree_of("null", "src/x.c", ""))[0].returncode == 0
    if not has_null:
        print("skipped: null.py, which needs python3-clang-14")
    for rule, path, text, expected, mended in BAD:
        if rule != "null" or has_null:
            results.append((rule, path, judge(rule, path, text, expected, mended)))
    sound = [(rule, {}) for rule in ("words", "reflow", "dialect")]
    sound += [(rule, tree_of(rule, path, text)) for rule, path, text in SOUND
              if rule != "null" or has_null]
    for rule, files in sound:
        done, _ = run(rule, files or GOOD)
        results.append((rule, "a sound tree", done.stdout + done.stderr
                        if done.returncode else None))
    for rule, path, problem in results:
        if problem:
            print(f"{rule}, {path}: {problem}")
    failed = sum(problem is not None for _, _, problem in results)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
