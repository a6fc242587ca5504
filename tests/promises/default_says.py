# SPDX-License-Identifier: MIT
"""
Where the receive buffer is too small for coalescing in, the log says so in one line: what it got,
what that turns off, and how to get more. Where it is not, nothing is said.
"""
import os
import re
import shutil
import signal
import sys

import harness

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../dns"))
import dns_harness  # noqa: E402 pylint: disable=wrong-import-position

LINE = re.compile(r"127\.0\.0\.1:\d+: receive buffer (\d+) KiB, coalescing in off: (.*)")
ZONES = [("example.org", dns_harness.SAMPLE)]
# The kernel clamps in silence; here every option is taken in silence and none is set.
CLAMPED = ("strace", "-D", "-f", "-o", "/dev/null", "-e", "trace=setsockopt",
           "-e", "inject=setsockopt:retval=0")


def get_lines(*args, prefix=(), n_listeners=2):
    with harness.Server(*args, stats=False, prefix=prefix,
                        listen=("127.0.0.1:0",) * n_listeners) as server:
        server.signal(signal.SIGTERM)
        server.wait()
        return LINE.findall(server.stderr)


def check_chosen():
    assert get_lines("--rcvbuf", "65536") == [("64", "it needs 2048 KiB (rcvbuf_bytes)")]


def check_dns():
    with dns_harness.Server(ZONES, "--rcvbuf", "65536") as server:
        server.stop()
        assert len(LINE.findall(server.stderr)) == 1, server.stderr


def check_clamped():
    if shutil.which("strace") is None:
        raise harness.Skip("strace is not installed")
    lines = get_lines("--workers", "1", prefix=CLAMPED, n_listeners=1)
    assert len(lines) == 1 and int(lines[0][0]) < 2048, lines
    assert "`sysctl -w net.core.rmem_max=4194304`" in lines[0][1], lines


def check_silence():
    assert not get_lines("--rcvbuf", "65536", "--no-coalesce")
    assert not get_lines("--rcvbuf", "65536", "--max-datagram", "2000")
    assert not get_lines("--rcvbuf", str(2 << 20))


if __name__ == "__main__":
    harness.enter_namespace()
    sys.exit(harness.main([("chosen", check_chosen), ("volley-dns", check_dns),
                           ("clamped by the system", check_clamped), ("silence", check_silence)]))
