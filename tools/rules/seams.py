#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
The seam between the library and the system: system calls, locks, threads, clocks and errno are
met in src/sys/ and src/cancel/ only, where a simulation can put other files.

Elsewhere in src/ a function of the system may be used only when its header is in PURE: whatever is
not known to be harmless is told. An own declaration of a system's function does not hide it.
Of the system's functions, those at which pthread_cancel() may end the calling thread have one home
in src/sys/, where it is held off.
Usage: seams.py BUILD_FOLDER [TREE]. Prints one line per violation and exits 1 if there is any.
"""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gather  # noqa: E402
import tree  # noqa: E402

SEAM = ("src/sys/", "src/cancel/")
# Headers whose functions compute and do no more than that, or are the C library's own memory.
PURE = set("""arpa/inet.h assert.h bits/byteswap.h bits/cpu-set.h bits/stdio.h bsd/stdlib.h
bsd/string.h ctype.h inttypes.h math.h netinet/in.h stdatomic.h stdio.h stdlib.h string.h
strings.h""".split())
# Loops wait by libevent, which has its own system calls.
LOOPS = re.compile(r"src/worker/loop_\w+")
EXCUSED = {
    ("src/base/mem", "mmap"): "so that only touched pages are resident; base may not include sys",
    ("src/base/mem", "madvise"): "the same",
    ("src/base/mem", "munmap"): "the same",
}
# Cancellation points, POSIX.1-2017 2.9.5.2 and glibc's own, and who may call them and why.
CANCELLATION_POINTS = set("""
accept accept4 clock_nanosleep close connect creat epoll_pwait epoll_wait fdatasync fsync
getrandom lockf msync nanosleep open openat pause poll ppoll pread preadv pselect
pthread_cond_clockwait pthread_cond_timedwait pthread_cond_wait pthread_join pthread_testcancel
pwrite pwritev read readv recv recvfrom recvmmsg recvmsg select sem_clockwait sem_timedwait
sem_wait send sendfile sendmmsg sendmsg sendto sigsuspend sigtimedwait sigwait sigwaitinfo sleep
splice syslog system tee usleep vmsplice wait waitid waitpid write writev fclose fflush fgetc
fgets fopen fprintf fputs fread fwrite getaddrinfo getline opendir printf puts readdir vfprintf
vprintf""".split())
POINTS_AT_HOME = {
    "src/sys/raw": CANCELLATION_POINTS,
    "src/sys/cond": {"pthread_cond_wait"},  # the lock holds it off
    "src/sys/thread": {"pthread_join"},  # held off there
    "src/worker/loop_new": {"fprintf"},  # what libevent says of bases that are not ours
}
HEADER = re.compile(r".*/include/(?:[a-z0-9_]+-linux-\w+/)?")


def check(facts):
    for where, module, name, header in sorted(facts.outside):
        header = HEADER.sub("", header)
        if (name in CANCELLATION_POINTS and not module.startswith("src/cancel/") and
                name not in POINTS_AT_HOME.get(module, ())):
            yield f"{where}: {name} is a cancellation point: call src/sys/raw.h's instead"
            continue
        if module.startswith(SEAM) or header in PURE or (module, name) in EXCUSED:
            continue
        if header.startswith("event2/"):
            if not LOOPS.fullmatch(module):
                yield f"{where}: {name} is libevent's, for src/worker/loop_*.c alone"
        elif name == "__errno_location":
            yield f"{where}: errno belongs into {' and '.join(SEAM)}"
        else:
            yield f"{where}: {name} of <{header}> belongs into {' and '.join(SEAM)}"
    for module, function, _ in sorted(facts.uses):
        where = facts.declared.get(function)
        if where and function not in facts.defined and not module.startswith(SEAM):
            if not where.startswith("include/"):
                yield f"{where}: {facts.names[function]} is declared here, and defined nowhere"


def main(folder, top):
    facts = gather.collect(folder, top, ("src",))
    problems = facts.problems + list(check(facts))
    print(f"{len(facts.files)} files of src/ read")
    return tree.report(problems)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "."))
