# SPDX-License-Identifier: MIT
"""
Reads one translation unit into Facts (facts.py), by libclang's syntax tree. places.py knows where
pointers to functions go.
"""
import os

from facts import module
from places import K, T, LinkageKind, Places, callee, element, holds_functions
from clang.cindex import Index

OPERATORS = (K.BINARY_OPERATOR, K.COMPOUND_ASSIGNMENT_OPERATOR, K.UNARY_OPERATOR)
LINKED = (LinkageKind.EXTERNAL, LinkageKind.INTERNAL)


class Reader(Places):
    def __init__(self, facts, seen):
        super().__init__(facts)
        self.seen = seen  # declarations of headers that were read before
        self.module = self.function = None

    def read(self, source, args):
        unit = Index.create().parse(os.path.join(self.facts.top, source), args=args)
        errors = [found for found in unit.diagnostics if found.severity >= 3]
        if errors:
            return f"{source}: {errors[0].spelling}"
        self.facts.files.add(source)
        for include in unit.get_includes():
            self.include(self.facts.path(include.source.name),
                         self.facts.path(include.include.name))
        for cursor in unit.cursor.get_children():
            self.top_level(cursor)
        return None

    def include(self, source, target):
        self.facts.files.update(path for path in (source, target) if module(path))
        if target:
            self.type_use(module(source), module(target), "include " + os.path.basename(target))

    def top_level(self, cursor):
        self.file = self.path_of(cursor)
        self.module = module(self.file)
        if self.module is None:
            return
        if self.file.endswith(".h"):
            key = (self.file, cursor.location.offset)
            if key in self.seen:
                return
            self.seen.add(key)
        self.visit(cursor)

    # What is used ---------------------------------------------------------------------------

    def where(self, cursor):
        return f"{self.file}:{cursor.location.line}"

    def type_use(self, of, target, label):
        if of and target and of != target:
            self.facts.types.add((of, target, label))

    def record(self, kind, label="struct"):
        """A use of a complete struct or union."""
        kind = element(kind)
        if kind.kind == T.RECORD:
            decl = kind.get_declaration()
            self.type_use(self.module, module(self.path_of(decl)), f"{label} {decl.spelling}")

    def use(self, cursor, is_callee):
        decl = cursor.referenced
        if decl is None or decl.spelling.startswith("__builtin_"):
            return
        path = self.path_of(decl)
        if decl.kind == K.ENUM_CONSTANT_DECL:
            self.type_use(self.module, module(path), "constant " + decl.spelling)
        elif decl.kind in (K.FUNCTION_DECL, K.VAR_DECL) and decl.linkage in LINKED:
            if path is None and decl.location.file is not None:
                self.facts.outside.add((self.where(cursor), self.module, decl.spelling,
                                        decl.location.file.name))
            elif path is not None and decl.kind == K.FUNCTION_DECL:
                self.facts.declared[self.key(decl)] = self.where(decl)
            self.facts.names[self.key(decl)] = decl.spelling
            self.facts.uses.add((self.module, self.key(decl),
                                 f"{'call' if is_callee else 'name'} {decl.spelling}"))

    def member(self, cursor):
        decl = cursor.referenced
        if decl is None or decl.kind != K.FIELD_DECL:
            return
        owner, home = decl.semantic_parent.spelling, module(self.path_of(decl))
        self.type_use(self.module, home, f"struct {owner}.{decl.spelling}")
        if home != self.module:
            self.facts.fields.add((self.where(cursor), self.module, owner, decl.spelling))

    def call(self, cursor, children):
        """
        Arguments become parameters. Of a call through a pointer we keep: module, place, label, type
        ("public" for a field of include/), what each argument may be, and the result's place.
        """
        decl = callee(cursor)
        arguments = tuple(frozenset(self.sources(arg) if holds_functions(arg.type) else ())
                          for arg in children[1:])
        if decl is not None and decl.kind == K.FUNCTION_DECL:
            for i, values in enumerate(arguments):
                self.facts.flows.update((f"{self.key(decl)}#{i}", value) for value in values)
        elif decl is None or decl.kind in (K.FIELD_DECL, K.VAR_DECL, K.PARM_DECL):
            label, kind = "pointer", children[0].type.spelling
            if decl is not None:
                label, kind = decl.spelling, decl.type.spelling
                if decl.kind == K.FIELD_DECL:
                    label = f"{decl.semantic_parent.spelling}.{decl.spelling}"
                if (self.path_of(decl) or "").startswith("include/"):
                    kind = "public"
            for place in self.sources(children[0]):
                self.facts.calls.add((self.module, place, label, kind, arguments,
                                      self.result(cursor)))

    # The walk -------------------------------------------------------------------------------

    def define(self, cursor):
        key = self.key(cursor)
        self.facts.defined.setdefault(key, set()).add(self.module)
        self.facts.names[key] = cursor.spelling
        if cursor.kind == K.FUNCTION_DECL:
            self.function = cursor
            for i, param in enumerate(cursor.get_arguments()):
                self.params[param.hash] = f"{key}#{i}"

    def declare(self, cursor, children):
        """A variable or field: its type is complete, and it may have a first value."""
        self.record(cursor.type)
        if cursor.kind == K.VAR_DECL and children and children[-1].kind.is_expression():
            self.initialise(self.key(cursor), cursor.type, children[-1])

    def operator(self, cursor, children):
        """= and all others: what is no assignment adds flows that carry nothing."""
        if len(children) == 2 and holds_functions(cursor.type):
            for place in self.sources(children[0]):
                self.flow(place, cursor.type, children[1])
        # p + 1 and p++ need the struct's size; p = q, &x and *p do not.
        own, kinds = cursor.type.get_canonical(), [c.type.get_canonical() for c in children]
        if own.kind == T.POINTER and own in kinds and not (
                len(kinds) == 2 and kinds[0].kind == kinds[1].kind):
            self.record(own.get_pointee(), "size of struct")

    def visit(self, cursor, is_callee=False):
        kind, children = cursor.kind, list(cursor.get_children())
        if (kind in (K.FUNCTION_DECL, K.VAR_DECL) and cursor.is_definition()
                and cursor.linkage in LINKED):
            self.define(cursor)
        if kind in (K.VAR_DECL, K.FIELD_DECL):
            self.declare(cursor, children)
        elif kind == K.DECL_REF_EXPR:
            self.use(cursor, is_callee)
        elif kind in (K.MEMBER_REF_EXPR, K.MEMBER_REF):
            self.member(cursor)
        elif kind == K.CALL_EXPR and children:
            self.call(cursor, children)
        elif kind in OPERATORS:
            self.operator(cursor, children)
        elif kind == K.UNEXPOSED_EXPR and len(children) > 1:
            self.store_atomic(children)
        elif kind == K.RETURN_STMT and children and self.function is not None:
            self.flow(self.key(self.function) + "#result", self.function.result_type, children[0])
        elif kind == K.COMPOUND_LITERAL_EXPR and children:
            self.initialise(None, cursor.type, children[-1])
        elif kind == K.CXX_UNARY_EXPR:
            for child in children:
                self.record(child.type, "size of struct")
        if kind.is_expression():
            self.record(cursor.type)
        passes = is_callee and kind in (K.UNEXPOSED_EXPR, K.PAREN_EXPR)
        for i, child in enumerate(children):
            self.visit(child, passes or (kind == K.CALL_EXPR and i == 0))
