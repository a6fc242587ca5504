#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
A pointer is compared with NULL: `p == NULL` and `p != NULL`, not `!p` and `if (p)`. Only the
compiler knows what is a pointer, so this reads the programs of a build folder through libclang
(Debian's python3-clang-14, hence the interpreter above). Macros are not looked into, nor is C++,
nor what a macro makes of whole functions.

Usage: null.py [--write] BUILD_FOLDER [FILE ...]. Prints one line per violation and exits 1 if there
is any; with --write mends them instead.
"""
import json
import os
import shlex
import sys

import clang.cindex
from clang.cindex import CursorKind, TypeKind

CONDITION = {CursorKind.IF_STMT: 0, CursorKind.WHILE_STMT: 0, CursorKind.DO_STMT: 1,
             CursorKind.CONDITIONAL_OPERATOR: 0}
KEPT = ("-I", "-D", "-U", "-std", "-isystem", "-iquote")


def arguments(command):
    """What of a compiler's command line says how a file is read."""
    words = shlex.split(command["command"])
    for at, word in enumerate(words):
        if word in ("-I", "-isystem", "-iquote", "-include"):
            yield from words[at:at + 2]
        elif word.startswith(KEPT):
            yield word


class Reader:
    """The violations of the files of the tree, as {path: {edits}}."""

    def __init__(self, top):
        self.top = top
        self.texts = {}
        self.paths = {}
        self.found = {}

    def path(self, cursor):
        """The cursor's file, relative to the tree; None where it is not ours."""
        file = cursor.location.file
        name = file.name if file else ".."
        if name not in self.paths:
            path = os.path.relpath(os.path.join(self.top, name), self.top)
            self.paths[name] = None if path.startswith(("..", "build/")) else path
        return self.paths[name]

    def text(self, path, begin, end):
        if path not in self.texts:
            with open(os.path.join(self.top, path), "rb") as file:
                self.texts[path] = file.read()
        return self.texts[path][begin:end].decode()

    def tell(self, path, cursor, operand, is_not):
        begin, end = cursor.extent.start.offset, cursor.extent.end.offset
        what = self.text(path, operand.extent.start.offset, operand.extent.end.offset)
        # In a macro the extent is that of the whole call.
        if end > begin and (not is_not or self.text(path, begin, begin + 1) == "!"):
            better = f"{what} {'==' if is_not else '!='} NULL"
            self.found.setdefault(path, set()).add((begin, end, better))

    def operator(self, path, children):
        return self.text(path, children[0].extent.end.offset,
                         children[1].extent.start.offset).strip()

    def conditions(self, path, cursor, children):
        """What is taken for true or false here."""
        if cursor.kind in CONDITION:
            return [children[CONDITION[cursor.kind]]]
        if cursor.kind == CursorKind.BINARY_OPERATOR and \
                self.operator(path, children) in ("&&", "||"):
            return children
        if cursor.kind == CursorKind.FOR_STMT:
            return [child for child in children[:-1]
                    if self.text(path, 0, child.extent.start.offset).rstrip().endswith(";") and
                    self.text(path, child.extent.end.offset, cursor.extent.end.offset)
                    .lstrip().startswith(";")]
        return []

    def visit(self, cursor):
        children = list(cursor.get_children())
        path = self.path(cursor)
        if is_made_by_macro(cursor, children):
            return
        if path is not None and children:
            if cursor.kind == CursorKind.UNARY_OPERATOR and is_pointer(children[0]):
                self.tell(path, cursor, children[0], True)
            for child in self.conditions(path, cursor, children):
                if is_pointer(child):
                    self.tell(path, child, child, False)
        for child in children:
            if path is not None or child.location.file is None or self.path(child) is not None:
                self.visit(child)


def is_made_by_macro(cursor, children):
    """A function whose body begins where its head does, as all of it is one call of a macro."""
    return cursor.kind == CursorKind.FUNCTION_DECL and children and \
        children[-1].kind == CursorKind.COMPOUND_STMT and \
        children[-1].extent.start.offset == cursor.extent.start.offset


def is_pointer(cursor):
    return cursor.type.get_canonical().kind == TypeKind.POINTER


def mend(top, path, edits):
    with open(os.path.join(top, path), "rb") as file:
        text = file.read()
    for begin, end, better in sorted(edits, reverse=True):
        text = text[:begin] + better.encode() + text[end:]
    with open(os.path.join(top, path), "wb") as file:
        file.write(text)


def main(folder, wanted, write):
    with open(os.path.join(folder, "compile_commands.json"), encoding="utf-8") as file:
        commands = json.load(file)
    reader = Reader(os.getcwd())
    index = clang.cindex.Index.create()
    read = set()  # tests build what they share once each
    for command in commands:
        source = os.path.normpath(os.path.join(command["directory"], command["file"]))
        if not source.endswith(".c") or source in read:
            continue
        read.add(source)
        os.chdir(command["directory"])
        unit = index.parse(source, args=list(arguments(command)))
        os.chdir(reader.top)
        for problem in unit.diagnostics:
            if problem.severity >= clang.cindex.Diagnostic.Error:
                print(f"{source}: cannot be read: {problem.spelling}")
                return 1
        reader.visit(unit.cursor)
    status = 0
    for path, edits in sorted(reader.found.items()):
        if wanted and path not in wanted:
            continue
        for begin, end, better in sorted(edits):
            line = reader.text(path, 0, begin).count("\n") + 1
            print(f"{path}:{line}: '{reader.text(path, begin, end)}' of a pointer is '{better}'")
            status = 1
        if write:
            mend(reader.top, path, edits)
    return 0 if write else status


if __name__ == "__main__":
    names = [name for name in sys.argv[1:] if name != "--write"]
    sys.exit(main(names[0], [os.path.normpath(name) for name in names[1:]],
                  "--write" in sys.argv[1:]))
