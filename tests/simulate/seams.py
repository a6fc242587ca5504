#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
seams.py LIBRARY WRAPS SIMULATE: whatever the library calls is simulated, or named here.

A call that is in neither list would reach the real kernel out of a simulated world.
"""
import subprocess
import sys

# They touch nothing outside of the memory that they are given.
PURE = """
    _GLOBAL_OFFSET_TABLE_ __assert_fail __errno_location __sched_cpucount __stack_chk_fail
    __tls_get_addr fprintf in6addr_loopback inet_ntop inet_pton memchr memcmp memcpy memmove
    memset sigaddset sigdelset sigemptyset sigfillset sigismember snprintf stderr strchr strcmp
    strcspn strerror strlcpy strlen strncmp strrchr strsep strtol strtoll strtoul strtoull
    vsnprintf
    """.split()


def read_names(path, *options):
    text = subprocess.run(["nm", *options, path], check=True, capture_output=True, text=True).stdout
    return {line.split()[-1].split("@")[0] for line in text.splitlines()
            if len(line.split()) in (2, 3) and not line.endswith(":")}


def main():
    library, wraps, program = sys.argv[1:]
    wrapped = set(open(wraps, encoding="ascii").read().split())
    needed = read_names(library, "-u") - read_names(library, "--defined-only")
    own = read_names(program, "--defined-only")
    left = sorted(needed - wrapped - set(PURE) - own)
    left += sorted(name for name in wrapped if "__wrap_" + name not in own)
    for name in left:
        print(f"{name}: not simulated; give it a __wrap_{name}() and a line in wraps.txt")
    print(f"{len(needed) - len(left)} passed, {len(left)} failed")
    return bool(left)


sys.exit(main())
