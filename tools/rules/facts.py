# SPDX-License-Identifier: MIT
"""
What the rules about structure know of the code. gather.py fills it.

A module is x.c and x.h of one folder, called "src/io/msgs". Headers of include/ are no module.
"""
import os

SCOPES = ("src", "bench")


class Facts:
    def __init__(self, top):
        self.top = os.path.realpath(top)
        self.files = set()     # of src/ and bench/
        self.defined = {}      # function or object -> modules that define it
        self.names = {}        # function or object -> its name
        self.uses = set()      # (module, function or object, "call f" or "name f")
        self.types = set()     # (module, module, "struct s.field", "include x.h" ...)
        self.fields = set()    # (file:line, module, another's struct, its field)
        self.outside = set()   # (file:line, module, function of no module, its header)
        self.declared = {}     # function declared by one of our files -> file:line
        self.flows = set()     # (to place, from place or function)
        self.calls = set()     # calls through pointers: see reader.py, Reader.call()
        self.problems = []

    def path(self, name):
        """Relative to the tree, or None for what is not in it."""
        path = os.path.relpath(os.path.realpath(name), self.top)
        return path if path.startswith(("src/", "bench/", "include/")) else None


def module(path):
    return os.path.splitext(path)[0] if path and not path.startswith("include/") else None
