#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
No circle among the files of src/, nor among those of bench/, and no arrow of src/ points up.

An arrow is an include, a call, the name of a function or object, a member, size or value of a
struct, or an enum's constant. A call through a pointer is a call of each function that is ever
stored in that place, but for those of EXCUSED. Floors are those of layers.py. Owners of structs
are those of owners.py.

Usage: circles.py BUILD_FOLDER [--scope src|bench] [TREE]   exits 1 on any violation
       ... --list      every arrow and what it is made of
       ... --why A B   why a file needs another ("path/send", "src/path/send.c")
       ... --excused   calls that EXCUSED leaves out
       ... --largest   files, and the size of the largest circle
"""
import argparse
import collections
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import facts as facts_of  # noqa: E402
import gather  # noqa: E402
import layers  # noqa: E402
import owners  # noqa: E402
import tree  # noqa: E402

# Calls through these are no arrows. The table that names the functions is one all the same.
EXCUSED = {
    "vly_io_ops": "backends: io.c chooses one of siblings, which know nothing of io.c",
    "vly_msgs_calls": "the two socket backends hand their system calls to what they share",
    "vly_loop_ops": "loops: loop.c chooses one of siblings, and all serve the same worker",
}
# The user's callbacks: fields of structs in include/, and what has a type of this name.
USERS = re.compile(r"public|(const )?volley_\w+_fn")


def is_excused(label, kind):
    return label.split(".")[0] in EXCUSED or bool(USERS.fullmatch(kind))


def solve(facts):
    """Each place's functions, and (module, function, label, type) of calls through pointers."""
    targets = collections.defaultdict(set)
    for place, value in facts.flows:
        targets[value].add(place)
    values = collections.defaultdict(set)
    found = set()
    work = [(place, value) for place, value in facts.flows if value in facts.defined]
    calls = collections.defaultdict(list)
    for call in facts.calls:
        calls[call[1]].append(call)
        if call[1] in facts.defined:
            work.append((call[1], call[1]))

    def connect(place, value):
        if place not in targets[value]:
            targets[value].add(place)
            work.extend((place, function) for function in values[value])
            if value in facts.defined:
                work.append((place, value))

    while work:
        place, function = work.pop()
        if function in values[place]:
            continue
        values[place].add(function)
        work.extend((target, function) for target in targets[place])
        for module, _, label, kind, arguments, result in calls[place]:
            found.add((module, function, label, kind))
            connect(result, function + "#result")
            for i, argument in enumerate(arguments):
                for value in argument:
                    connect(f"{function}#{i}", value)
    return found


def arrows(facts):
    """{(module, module): labels}, and the like for the calls that are left out."""
    found, excused = collections.defaultdict(set), collections.defaultdict(set)

    def add(to, module, function, label):
        # Where one of two files is built, each has its own function of the name.
        targets = facts.defined.get(function, ())
        for target in targets if module not in targets else ():
            to[module, target].add(label)

    for module, target, label in facts.types:
        found[module, target].add(label)
    for module, function, label in facts.uses:
        add(found, module, function, label)
    for module, function, label, kind in solve(facts):
        add(excused if is_excused(label, kind) else found, module, function,
            f"call through {label}: {facts.names[function]}")
    return found, excused


def circles(nodes, pairs):
    """Groups of nodes that reach each other (Tarjan), the largest first."""
    after = collections.defaultdict(list)
    for a, b in sorted(pairs):
        after[a].append(b)
    index, low, stack, groups = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in after[node]:
            if other not in index:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == index[node]:
            at = stack.index(node)
            groups.append(sorted(stack[at:]))
            del stack[at:]

    for node in sorted(nodes):
        if node not in index:
            visit(node)
    return sorted((g for g in groups if len(g) > 1), key=lambda g: (-len(g), g))


def strongest(labels):
    """The one name that tells an arrow best: a call before a type before an include."""
    order = ("call", "name", "struct", "size", "constant", "include")
    return min(labels, key=lambda label: (order.index(label.split()[0]), label))


def tell_circle(group, found):
    names = " ".join(name.partition("/")[2] for name in group)
    yield f"circle of {len(group)} files: {names}"
    for (a, b), labels in sorted(found.items()):
        if a in group and b in group:
            yield f"    {a} -> {b}: {strongest(labels)}"


def tell_upward(found):
    """Arrows of src/ that the floors do not allow, hidden ones too."""
    for (a, b), labels in sorted(found.items()):
        if not (a.startswith("src/") and b.startswith("src/")):
            continue
        mine, other = a.split("/")[1], b.split("/")[1]
        if mine != other and other not in layers.BELOW.get(mine, ()):
            yield f"upward: {a} -> {b}: {strongest(labels)}"


def name_of(word):
    """"path/send", "src/path/send.c" and "bench/main" name modules."""
    word = os.path.splitext(word)[0]
    return word if word.startswith(("src/", "bench/")) else "src/" + word


def judge(facts, found, scopes):
    """(a line for each scope, all violations)."""
    lines, problems = [], list(facts.problems)
    for scope in scopes:
        nodes = {facts_of.module(path) for path in facts.files if path.startswith(scope + "/")}
        pairs = {pair: labels for pair, labels in found.items() if nodes.issuperset(pair)}
        groups = circles(nodes, pairs)
        lines.append(f"{scope}: {len(nodes)} files, {len(pairs)} arrows, {len(groups)} circles, "
                     f"{len(groups[0]) if groups else 0} files in the largest")
        for group in groups:
            problems += tell_circle(group, pairs)
    problems += tell_upward(found)
    problems += owners.check(facts)
    return lines, problems


def main():
    parser = argparse.ArgumentParser(usage=__doc__[__doc__.index("Usage: ") + 7:])
    parser.add_argument("build")
    parser.add_argument("tree", nargs="?", default=".")
    parser.add_argument("--scope", choices=facts_of.SCOPES)
    parser.add_argument("--why", nargs=2)
    for option in ("--list", "--excused", "--largest"):
        parser.add_argument(option, action="store_true")
    args = parser.parse_args()
    scopes = (args.scope,) if args.scope else facts_of.SCOPES
    facts = gather.collect(args.build, args.tree, scopes)
    found, excused = arrows(facts)
    if args.why:
        print("\n".join(sorted(found.get(tuple(map(name_of, args.why)), ["no arrow"]))))
        return 0
    if args.list or args.excused:
        for (a, b), labels in sorted((found if args.list else excused).items()):
            print(f"{a} -> {b}: {', '.join(sorted(labels))}")
        return 0
    lines, problems = judge(facts, found, scopes)
    print("\n".join(lines))
    return 0 if args.largest else tree.report(problems)


if __name__ == "__main__":
    sys.exit(main())
