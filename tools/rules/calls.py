#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
The table "What a server asks of the system" of docs/kernel.md names each system call and each
socket option of the library, and nothing else; tests/system/refused.c refuses each that a start and
an end meet. UNTRIED has the others, with reasons.

Calls are read from the compiled objects of src/sys/, src/cancel/ and src/base/mem.c: whatever they
take from outside is a call of the table, or stands in HARMLESS. Options are read from the sources.
Usage: calls.py BUILD_FOLDER [TREE]. Prints one line per violation and exits 1 if there is any.
"""
import json
import os
import re
import subprocess
import sys

TITLE = "## What a server asks of the system"
HOMES = ("src/sys/", "src/cancel/", "src/base/mem.c")
# The same sources, made for the simulator: there each atomic operation is a call, too.
SIMULATED = "libvolley-simulated"
# What the C library calls its own way.
KERNEL = {
    "eventfd": "eventfd2", "signalfd": "signalfd4", "sigaction": "rt_sigaction",
    "pthread_sigmask": "rt_sigprocmask", "pthread_create": "clone3", "nanosleep": "clock_nanosleep",
    "fcntl64": "fcntl", "mmap64": "mmap", "epoll_pwait": "epoll_wait",
    "pthread_setname_np": "prctl", "sigtimedwait": "rt_sigtimedwait",
    "pthread_mutex_lock": "futex", "pthread_mutex_unlock": "futex", "pthread_cond_wait": "futex",
    "pthread_cond_broadcast": "futex", "pthread_cond_clockwait": "futex",
    "pthread_cond_timedwait": "futex", "pthread_join": "futex",
}
# No system calls, or such as come with the program itself.
HARMLESS = set("""__assert_fail __errno_location __sched_cpucount abort aligned_alloc free malloc
calloc realloc if_indextoname if_nametoindex inet_ntop inet_pton memchr memcmp memcpy memmove memset
pthread_atfork pthread_cond_init pthread_cond_destroy pthread_condattr_init
pthread_condattr_setclock pthread_condattr_destroy pthread_key_create pthread_key_delete
pthread_getspecific pthread_mutex_destroy pthread_mutex_init pthread_self pthread_setspecific
sigaddset sigdelset sigemptyset sigfillset sigismember snprintf vsnprintf strchr strcmp strlcpy
strlen strstr strrchr strncmp strtol strtoul syscall pthread_setcancelstate __sched_cpualloc
__sched_cpufree __tls_get_addr pthread_exit pthread_mutex_trylock in6addr_loopback""".split())
# And those that compute: strings, memory, scanning of text.
COMPUTING = re.compile(r"(?:__isoc\d+_)?sscanf|(?:__)?(?:str|mem|v?snprintf)\w*|qsort|bsearch")
# Not of a server: what libvolley-cancel offers to its users, or calls where it has no window.
OFFERED = {"accept4", "SO_RCVTIMEO", "SO_SNDTIMEO", "fstat64", "recv", "send"}
# The C library and libevent make them for us; no object names them.
THEIRS = {"clone", "futex", "prctl"}
OPTION = re.compile(r"\b(?:SO|IP|IPV6|UDP|MCAST)_[A-Z0-9_]+\b")
# Control messages and constants that are called like options.
NO_OPTIONS = re.compile(r"SO_EE_\w+|IP(V6)?_PMTUDISC_\w+|UDP_MAX_SEGMENTS|IP_TOS|IP_TTL|"
                        r"IPV6_TCLASS|IPV6_HOPLIMIT|IPV6_PKTINFO|IP_ADD_\w+|"
                        r"IP(V6)?_ORIGDSTADDR")
# Nothing for a server's start and end to meet: why each is not refused there.
UNTRIED = {
    "close": "cannot be seen", "munmap": "cannot be seen", "mmap": "the test's own start needs it",
    "clock_gettime": "is seldom a system call", "futex": "the C library ends the process",
    "signalfd4": "is for run", "setsockopt": "is refused option by option",
    "clock_nanosleep": "the test waits by it", "SO_TYPE": "is for adopt",
    "timerfd_create": "is for programs that set timers", "timerfd_settime": "the same",
    "SO_PROTOCOL": "is for adopt",
    "SO_COOKIE": "is for adopt", "SO_RXQ_OVFL": "is for adopt", "SO_TIMESTAMPING": "is for adopt",
    "IPV6_RECVPATHMTU": "is for adopt", "UDP_CORK": "is for adopt",
    "SO_DETACH_REUSEPORT_BPF": "is for a hand-over",
    "SO_GET_FILTER": "is for adopt", "SO_DOMAIN": "is for a hand-over",
    "SO_PEERCRED": "is for a hand-over", "pidfd_open": "is for a hand-over",
    "shutdown": "is for a hand-over", "IP_MULTICAST_LOOP": "is for a listener bound to a group",
    "IPV6_MULTICAST_LOOP": "is for a listener bound to a group",
    "getrandom": "is for a table of peers",
    **dict.fromkeys(("SO_BINDTOIFINDEX", "IP_TRANSPARENT", "IPV6_TRANSPARENT",
                     "IP_RECVORIGDSTADDR", "IPV6_RECVORIGDSTADDR"),
                    "is for who asks for it: tests/unit/server/test_reach.c"),
    **dict.fromkeys(("MCAST_JOIN_GROUP", "MCAST_LEAVE_GROUP", "MCAST_JOIN_SOURCE_GROUP",
                     "MCAST_LEAVE_SOURCE_GROUP"), "is for join: tests/unit/server/test_refusals.c"),
}


def read(top, path):
    with open(os.path.join(top, path), encoding="utf-8") as file:
        return file.read()


def named(top):
    """The names in the first column of the table."""
    text = read(top, "docs/kernel.md").partition(TITLE)[2].partition("\n## ")[0]
    names = set()
    for line in text.splitlines():
        if line.startswith("| `"):
            names.update(re.findall(r"`(\w+)`", line.split("|")[1]))
    return names


def called(folder):
    """What the objects take from outside, as the kernel calls it: name, and the first source."""
    with open(os.path.join(folder, "compile_commands.json"), encoding="utf-8") as file:
        commands = json.load(file)
    calls = {}
    for command in commands:
        source = os.path.relpath(os.path.join(command["directory"], command["file"]))
        path = os.path.join(command["directory"], command["output"])
        if not source.startswith(HOMES) or not os.path.exists(path):
            continue
        if SIMULATED in path:
            continue
        lines = subprocess.run(["nm", "-u", path], capture_output=True, text=True,
                               check=True).stdout.split("\n")
        for line in lines:
            name = line.split()[-1] if line.split() else ""
            if name and not name.startswith(("vly_", "volley_", "_GLOBAL_", "__asan", "__ubsan",
                                             "__tsan", "__stack_chk")) and not (
                                                 name in HARMLESS or COMPUTING.fullmatch(name)):
                calls.setdefault(KERNEL.get(name, name), source)
    return calls


def spoken(top):
    """Options and SYS_ names in the sources."""
    names = {}
    for folder, _, files in os.walk(os.path.join(top, "src")):
        for file in sorted(files):
            source = os.path.relpath(os.path.join(folder, file), top)
            if not file.endswith(".c"):
                continue
            # Sentences and comments may speak of options, too.
            text = re.sub(r'"(?:\\.|[^"\\])*"|/\*.*?\*/', "", read(top, source), flags=re.S)
            for name in OPTION.findall(text):
                if not NO_OPTIONS.fullmatch(name):
                    names.setdefault(name, source)
            for name in re.findall(r"\bSYS_(\w+)\b", text):
                names.setdefault(KERNEL.get(name, name), source)
    return names


def check(folder, top):
    table = named(top)
    code = {**called(folder), **spoken(top)}
    tried = set(re.findall(r"\b\w+\b", read(top, "tests/system/refused.c")))
    if not table:
        yield f"docs/kernel.md: the table below \"{TITLE}\" is not found"
    for name in sorted(set(code) - table - OFFERED):
        yield f"{code[name]}: {name} is missing in the table of docs/kernel.md"
    for name in sorted(table - set(code) - THEIRS):
        yield f"docs/kernel.md: {name} is in the table, and in no code"
    for name in sorted(table - tried - set(UNTRIED)):
        yield f"tests/system/refused.c: {name} is in the table, and is not refused there"


def main(folder, top):
    problems = list(check(folder, top))
    print(f"{len(named(top))} calls and options are in the table")
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "."))
