# SPDX-License-Identifier: MIT
"""
Where may a function pointer lie? A place is a field, a variable, a parameter or a result. It has
one name for all objects of its type, all elements of an array, and what a pointer to it points at.
So "stored in a place" is told without an order of events, and more may be told than happens, but
never less. What is not followed: memcpy of parts of a struct, and pointers kept as integers.
"""
import sys

# Debian's module is plain Python; a python3 that is not Debian's does not look there.
sys.path.append("/usr/lib/python3/dist-packages")
from clang.cindex import CursorKind as K, LinkageKind, TypeKind as T  # noqa: E402

ARRAY = (T.CONSTANTARRAY, T.INCOMPLETEARRAY)
FUNCTION = (T.FUNCTIONPROTO, T.FUNCTIONNOPROTO)
WRAPPING = (K.UNEXPOSED_EXPR, K.PAREN_EXPR, K.UNARY_OPERATOR)


def element(kind):
    """What a type is made of, arrays taken off."""
    kind = kind.get_canonical()
    while kind.kind in ARRAY:
        kind = kind.get_array_element_type().get_canonical()
    return kind


def holds_functions(kind):
    """Pointers to functions, at any depth, and void *."""
    kind = element(kind)
    while kind.kind == T.POINTER:
        kind = element(kind.get_pointee())
    # The bindings do not say what an _Atomic() is made of, but its name does.
    is_atomic = kind.kind == T.ATOMIC and ("(*" in kind.spelling or "void *" in kind.spelling)
    return kind.kind in FUNCTION or kind.kind == T.VOID or is_atomic


def callee(call):
    """The declaration that a call names, be it (*fn)() or fn(); None: it is computed."""
    cursor = next(call.get_children(), None)
    while cursor is not None and cursor.kind in WRAPPING:
        children = list(cursor.get_children())
        cursor = children[0] if len(children) == 1 else None  # atomic_load() has more than one
    is_name = cursor is not None and cursor.kind in (K.DECL_REF_EXPR, K.MEMBER_REF_EXPR)
    return cursor.referenced if is_name else None


def is_function_pointer(kind):
    kind = kind.get_canonical()
    return kind.kind == T.POINTER and kind.get_pointee().get_canonical().kind in FUNCTION


class Places:
    def __init__(self, facts):
        self.facts = facts
        self.file = None   # the one that is read
        self.params = {}   # a parameter -> its place

    def path_of(self, cursor):
        return cursor.location.file and self.facts.path(cursor.location.file.name)

    def key(self, decl):
        """One name for a declaration in all files. libclang's alone knows no folders."""
        if decl.kind == K.PARM_DECL and decl.hash in self.params:
            return self.params[decl.hash]
        usr = decl.get_usr()
        return usr if decl.linkage == LinkageKind.EXTERNAL else f"{self.path_of(decl)} {usr}"

    def sources(self, cursor):
        """Places and functions whose value an expression may have."""
        kind = cursor.kind
        if kind in (K.DECL_REF_EXPR, K.MEMBER_REF_EXPR):
            return {self.key(cursor.referenced)} if cursor.referenced is not None else set()
        if kind == K.CALL_EXPR:
            return {self.result(cursor)}
        children = list(cursor.get_children())
        if kind == K.CONDITIONAL_OPERATOR:
            children = children[1:]
        return set().union(*(self.sources(child) for child in children))

    def result(self, call):
        decl = callee(call)
        if decl is not None and decl.kind == K.FUNCTION_DECL:
            return self.key(decl) + "#result"
        return f"{self.file}:{call.location.offset}#result"

    def flow(self, place, kind, value):
        """A value of a C type is stored in a place. Pointers to places make them one."""
        if place is None or not holds_functions(kind):
            return
        for source in self.sources(value):
            self.facts.flows.add((place, source))
            if not is_function_pointer(kind):
                self.facts.flows.add((source, place))

    def initialise(self, place, kind, value):
        """No braces are left out: clang's -Wmissing-braces would be an error."""
        kind = kind.get_canonical()
        if value.kind != K.INIT_LIST_EXPR:
            self.flow(place, kind, value)
        elif kind.kind in ARRAY:
            for child in value.get_children():
                parts = list(child.get_children())
                # [index] = value
                is_named = child.kind == K.UNEXPOSED_EXPR and len(parts) > 1
                self.initialise(place, element(kind), parts[-1] if is_named else child)
        elif kind.kind == T.RECORD:
            self.initialise_record(list(kind.get_fields()), value)

    def initialise_record(self, fields, value):
        index = 0
        for child in value.get_children():
            parts = list(child.get_children())
            named = [part.referenced for part in parts if part.kind == K.MEMBER_REF]
            field = None
            if named and child.kind == K.UNEXPOSED_EXPR:
                # .field = value, or .field.field = value
                field, child = named[-1], parts[-1]
                index = fields.index(named[0]) if named[0] in fields else index
            elif index < len(fields):
                field = fields[index]
            if field is not None:
                self.initialise(self.key(field), field.type, child)
            index += 1

    def store_atomic(self, children):
        """atomic_store() and its like: all that is handed over may lie in the first one's place."""
        if holds_functions(children[0].type):
            for place in self.sources(children[0]):
                for value in children[1:]:
                    self.flow(place, children[0].type, value)
