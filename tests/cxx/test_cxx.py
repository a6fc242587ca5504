#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
volley.hpp: the programs beside this file, compiled by each C++ compiler that there is, with and
without exceptions, without a warning, and run; that a callback costs in C++ what it costs in C; and
that no function of the library is missing.
Usage: test_cxx.py BUILD_FOLDER [NAME]
"""
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "system"))
import harness  # noqa: E402

BUILD = os.path.abspath(sys.argv[1])
del sys.argv[1]
INCLUDE = os.path.join(harness.TOP, "include")
LIBRARIES = [os.path.join(BUILD, "src"), os.path.join(BUILD, "src", "cancel")]
WORK = os.path.join(BUILD, "tests", "cxx")
# clang++ may be another name of clang++-14.
COMPILERS = list({os.path.realpath(shutil.which(name)): name
                  for name in ("g++", "clang++-14", "clang++") if shutil.which(name)}.values())
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror"]
BARE = ["-fno-exceptions", "-fno-rtti"]
# What a callback of inlined.cc calls; the others are in the way out of what is noexcept.
CALLS = {"volley_packet_reply"}
NEVER_CALLED = {"__clang_call_terminate", "std::terminate()"}
# What C++ uses as it is, or has a constructor for.
AS_IT_IS = re.compile(r"volley_\w+_init|volley_[rt]x_drop_name|volley_version(_number)?|"
                      r"volley_log_stderr|volley_error_name")


def sh(*args):
    done = subprocess.run(args, capture_output=True, text=True, check=False,
                          timeout=3 * harness.PATIENCE,
                          env={**os.environ, "LD_LIBRARY_PATH": ":".join(LIBRARIES)})
    assert done.returncode == 0, f"{' '.join(args)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


def compile_one(compiler, name, out, *flags):
    sh(compiler, "-std=c++17", *WARNINGS, "-I" + INCLUDE, os.path.join(HERE, name + ".cc"),
       "-o", out, *flags)


def run(compiler, name, flags):
    out = os.path.join(WORK, "-".join((name, compiler, "bare" if flags else "whole")))
    compile_one(compiler, name, out, "-O1", *flags, *("-L" + path for path in LIBRARIES),
                "-lvolley", "-lvolley-cancel", "-pthread")
    assert sh(out) == name + ": ok\n"


def inlined():
    """The functions that C calls have no call but those of the callback."""
    if shutil.which("objdump") is None:
        raise harness.Skip("no objdump")
    for compiler in COMPILERS:
        out = os.path.join(WORK, f"inlined-{compiler}.o")
        compile_one(compiler, "inlined", out, "-O2", "-c")
        code = sh("objdump", "-dr", "--no-show-raw-insn", "-C", out)
        functions = re.findall(r"^[0-9a-f]+ <[^\n]*::on_(?:batch|packets)\(.*?(?=^$|\Z)", code,
                               re.M | re.S)
        assert len(functions) == 2, code
        for function in functions:
            assert not re.search(r"\bcall\s+\*|\bblr\b", function), function
            calls = set(re.findall(r"R_\w+\s+(volley_\w+|__\w+|std::\w+\(\))", function))
            assert CALLS <= calls <= CALLS | NEVER_CALLED, f"{compiler}: {calls}\n{function}"


def nothing_is_missing():
    with open(os.path.join(HERE, "..", "abi", "libvolley.symbols"), encoding="utf-8") as file:
        symbols = set(re.findall(r"^volley_\w+", file.read(), re.M))
    text = ""
    folder = os.path.join(INCLUDE, "volley")
    for name in os.listdir(folder):
        if name.endswith(".hpp"):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                text += re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    missing = sorted(name for name in symbols if not AS_IT_IS.fullmatch(name)
                     and not re.search(rf"\b{name}\(", text))
    assert not missing, f"no header of C++ calls {', '.join(missing)}"


CASES = [(f"{name}, {compiler}{', no exceptions' if flags else ''}",
          lambda args=(compiler, name, flags): run(*args))
         for compiler in COMPILERS
         for name, flags in (("values", []), ("values", BARE), ("serve", []), ("serve", BARE),
                             ("thrown", []))]
CASES += [("inlined", inlined), ("nothing is missing", nothing_is_missing)]

if __name__ == "__main__":
    if not COMPILERS:
        print("skip: no C++ compiler")
        sys.exit(harness.SKIPPED)
    harness.enter_namespace()
    sys.exit(harness.main(CASES))
