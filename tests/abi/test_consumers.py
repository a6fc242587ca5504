#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
The library as its users meet it: installed into a folder, found by pkg-config, linked shared and
static, from C, C++, CMake and as a Meson subproject; each time the program is run and replies.
Usage: test_consumers.py SOURCE_TREE BUILD_FOLDER
"""
import contextlib
import glob
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "system"))
import harness  # noqa: E402

SOURCE, BUILD = (os.path.abspath(path) for path in sys.argv[1:3])
del sys.argv[1:3]
WORK = os.path.join(BUILD, "consumers")
PREFIX = os.path.join(WORK, "prefix")
LIBDIR = os.path.join(PREFIX, "lib")
MINIMAL = os.path.join(SOURCE, "examples", "minimal.c")
ENV = {**os.environ, "PKG_CONFIG_PATH": os.path.join(LIBDIR, "pkgconfig"),
       "LD_LIBRARY_PATH": LIBDIR}


def sh(*args, **options):
    done = subprocess.run(args, capture_output=True, text=True, check=False,
                          env=options.pop("env", ENV), **options)
    assert done.returncode == 0, f"{' '.join(args)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


def pkg_config(*args):
    return shlex.split(sh("pkg-config", *args))


def install():
    shutil.rmtree(WORK, ignore_errors=True)
    folder = os.path.join(WORK, "build")
    sh("meson", "setup", folder, SOURCE, "--prefix", PREFIX, "--libdir", "lib",
       "-Dtests=disabled", "-Dbench=disabled", "-Dbuildtype=debugoptimized")
    sh("meson", "install", "-C", folder)
    for path in ("include/volley/volley.h", "lib/libvolley.so.0", "lib/libvolley.a",
                 "lib/libvolley-cancel.so.0", "lib/libvolley-cancel.a", "bin/volley-echo",
                 "lib/pkgconfig/volley.pc", "lib/pkgconfig/volley-cancel.pc"):
        assert os.path.exists(os.path.join(PREFIX, path)), f"{path} is not installed"
    assert not os.path.exists(os.path.join(PREFIX, "bin", "minimal"))


@contextlib.contextmanager
def started(program, env=None):
    """The program, which serves [::]:7777, once it has replied."""
    with subprocess.Popen([program], env=env or ENV, stderr=subprocess.PIPE) as process:
        try:
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
                sock.settimeout(0.1)
                sock.connect(("::1", 7777))
                deadline = time.monotonic() + harness.PATIENCE
                while True:
                    try:
                        sock.send(b"hello")
                        assert sock.recv(100) == b"hello"
                        break
                    except (ConnectionRefusedError, TimeoutError):
                        assert time.monotonic() < deadline and process.poll() is None, \
                            process.stderr.read()
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def replies(program, env=None):
    """It replies, a second one says why it ends, and it ends when it is told to."""
    with started(program, env) as process:
        second = subprocess.run([program], env=env or ENV, capture_output=True, text=True,
                                check=False, timeout=harness.PATIENCE)
        assert second.returncode == 1, second
        assert re.fullmatch(r"volley: error: .*7777.*\n", second.stderr), second.stderr
        process.send_signal(signal.SIGTERM)
        assert process.wait(harness.PATIENCE) == 0


def shared():
    """What the README says, and nothing else."""
    program = os.path.join(WORK, "minimal-shared")
    sh("cc", MINIMAL, "-o", program, *pkg_config("--cflags", "--libs", "volley"))
    needed = sh("ldd", program)
    assert "libvolley.so.0" in needed, needed
    replies(program)


def has_package(name):
    if subprocess.run(["pkg-config", "--exists", name], check=False).returncode == 0:
        return True
    print(f"skip: {name} is missing, and so is what needs it")
    return False


def compile_one(sources, program, flags):
    """As its suffix says: C, or C++17."""
    compiler = ["cc"] if sources[0].endswith(".c") else ["c++", "-std=c++17", "-Wpedantic"]
    sh(*compiler, "-Wall", "-Wextra", "-Werror", *sources, "-o", program, *flags)


def pages():
    """The programs of README.md and docs/ serve, as they stand there; those to come from do too."""
    paths = [os.path.join(SOURCE, "README.md"), *glob.glob(os.path.join(SOURCE, "docs", "*.md"))]
    found = []
    for path in sorted(paths):
        with open(path, encoding="utf-8") as file:
            blocks = re.findall(r"^```(c|cpp)\n(.*?)^```$", file.read(), re.M | re.S)
        page = os.path.basename(path)[:-len(".md")]
        found += [(f"{page}-{i}", *block) for i, block in enumerate(blocks)
                  if "int main(" in block[1]]
    assert {name.rpartition("-")[0] for name, *_ in found} >= {"README", "coming-from", "cxx"}, \
        found
    for name, language, text in found:
        packages = [package for package, header in (("volley", "<volley/"), ("libuv", "<uv.h>"))
                    if header in text]
        if not all(map(has_package, set(packages) - {"volley"})):
            continue
        program = os.path.join(WORK, name)
        source = f"{program}.{language}"
        with open(source, "w", encoding="utf-8") as file:
            file.write(text)
        flags = pkg_config("--cflags", "--libs", *packages) if packages else []
        compile_one([source], program, flags)
        if "volley" in packages:
            replies(program)
        else:
            with started(program):
                pass


def examples():
    """They need what is installed and nothing else."""
    top = os.path.join(SOURCE, "examples")
    common = [os.path.join(top, "common", name) for name in ("log.c", "options.c")]
    programs = [([path], [], []) for path in glob.glob(os.path.join(top, "*.c*"))]
    for folder, shared_sources, packages, flags in (
            ("dtls", [], ["openssl"], []),
            ("statsd", common, ["libbsd-overlay"], ["-D_GNU_SOURCE"]),
            ("http3", glob.glob(os.path.join(top, "common", "*.c")),
             ["libngtcp2", "libngtcp2_crypto_gnutls", "libnghttp3", "gnutls"], ["-D_GNU_SOURCE"]),
            ("mdns", common, [], ["-D_GNU_SOURCE", "-lresolv"])):
        own = glob.glob(os.path.join(top, folder, "*.c"))
        programs.append((own + shared_sources, packages, flags))
    for sources, packages, flags in programs:
        if all(map(has_package, packages)):
            flags = pkg_config("--cflags", "--libs", "volley", *packages) + flags
            compile_one(sources, os.path.join(WORK, "example"), flags)


def static():
    program = os.path.join(WORK, "minimal-static")
    # Our libraries from their archives, the system's as they come.
    flags = ["-l:lib" + flag[2:] + ".a" if flag.startswith("-lvolley") else flag
             for flag in pkg_config("--static", "--cflags", "--libs", "volley")]
    sh("cc", MINIMAL, "-o", program, *flags)
    assert "libvolley" not in sh("ldd", program)
    replies(program, env=os.environ)


def no_flags_leak():
    for package in ("volley", "volley-cancel"):
        for extra in ((), ("--static",)):
            flags = pkg_config(*extra, "--cflags", package)
            assert all(flag.startswith("-I") or flag == "-pthread" for flag in flags), flags
            assert not any("bsd" in flag for flag in flags), flags
    with open(os.path.join(PREFIX, "include", "volley", "version.h"), encoding="utf-8") as file:
        version = re.search(r'VERSION_STRING "(.*)"', file.read()).group(1)
    for package in ("volley", "volley-cancel"):
        assert pkg_config("--modversion", package) == [version], version
    shared_flags = pkg_config("--libs", "volley")
    assert not any("bsd" in flag or "event" in flag for flag in shared_flags), shared_flags


def cancel_alone():
    """libvolley-cancel needs the C library and nothing of ours."""
    needed = sh("readelf", "-d", os.path.join(LIBDIR, "libvolley-cancel.so.0"))
    names = re.findall(r"NEEDED.*\[(.*)\]", needed)
    assert set(names) <= {"libc.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}, names
    source = os.path.join(WORK, "cancel.c")
    with open(source, "w", encoding="utf-8") as file:
        file.write("#include <volley/cancel.h>\n#include <volley/mmsg.h>\n"
                   "int main(void) { return volley_cancel_test(); }\n")
    program = os.path.join(WORK, "cancel")
    sh("cc", source, "-o", program, *pkg_config("--cflags", "--libs", "volley-cancel"))
    sh(program)


def cxx():
    """
    Every public header of C used from C++17: consumer.cc, compiled and run by each compiler. Those
    of C++ are what examples/game.cc and docs/cxx.md are compiled on; tests/cxx has more of them.
    """
    with open(os.path.join(HERE, "consumer.cc"), encoding="utf-8") as file:
        used = set(re.findall(r"#include <volley/(.*)>", file.read()))
    names = os.listdir(os.path.join(PREFIX, "include", "volley"))
    missing = {name for name in names if name.endswith(".h")} - used
    assert not missing, f"consumer.cc does not use {missing}"
    compilers = [name for name in ("g++", "clang++", "clang++-14") if shutil.which(name)]
    assert compilers, "no C++ compiler"
    for compiler in compilers:
        program = os.path.join(WORK, "consumer-" + compiler)
        sh(compiler, "-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
           os.path.join(HERE, "consumer.cc"), "-o", program, "-pthread",
           *pkg_config("--cflags", "--libs", "volley"))
        sh(program)


def cmake():
    if shutil.which("cmake") is None:
        raise harness.Skip("no cmake")
    folder = os.path.join(WORK, "cmake")
    sh("cmake", "-S", os.path.join(HERE, "cmake"), "-B", folder, f"-DMINIMAL={MINIMAL}")
    sh("cmake", "--build", folder)
    replies(os.path.join(folder, "consumer"))


def subproject():
    top = os.path.join(WORK, "subproject")
    shutil.copytree(os.path.join(HERE, "subproject"), top)
    os.mkdir(os.path.join(top, "subprojects"))
    inner = os.path.join(top, "subprojects", "volley")
    os.mkdir(inner)
    for name in os.listdir(SOURCE):
        if name not in (".git", "build") and not name.startswith("build"):
            os.symlink(os.path.join(SOURCE, name), os.path.join(inner, name))
    shutil.copy(MINIMAL, top)
    folder = os.path.join(top, "build")
    env = {**os.environ, "PKG_CONFIG_PATH": ""}
    sh("meson", "setup", folder, top, "-Dminimal=minimal.c", env=env)
    sh("ninja", "-C", folder, env=env)
    assert not os.path.exists(os.path.join(folder, "subprojects", "volley", "tests"))
    replies(os.path.join(folder, "consumer"), env=os.environ)


CASES = [("install", install), ("shared", shared), ("pages", pages), ("examples", examples),
         ("static", static), ("no flags leak", no_flags_leak),
         ("volley-cancel alone", cancel_alone),
         ("C++17", cxx), ("CMake", cmake), ("Meson subproject", subproject)]

if __name__ == "__main__":
    harness.enter_namespace()
    sys.exit(harness.main(CASES))
