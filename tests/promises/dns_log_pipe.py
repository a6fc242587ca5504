# SPDX-License-Identifier: MIT
"""
Whoever reads the log, or the statistics, may go away, or never have been there: volley-dns and
volley-echo serve on, and no socket of theirs becomes the log.
"""
import contextlib
import os
import select
import signal
import socket
import subprocess
import sys

import harness

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../dns"))
import dns_harness  # noqa: E402 pylint: disable=wrong-import-position

ADDRESS = ("127.0.0.1", 7777)
QUERY = dns_harness.make_query(7, "example.org", 6)
ECHO = [harness.ECHO]
DNS = [dns_harness.DNS, "--zone", f"example.org={dns_harness.SAMPLE}"]


def ask():
    """Whether it replies, within five seconds."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.05)
        for _ in range(100):  # not connected: nobody tells it that there is no server yet
            client.sendto(QUERY, ADDRESS)
            with contextlib.suppress(socket.timeout):
                return len(client.recv(65535)) > 0
    return False


def check_reader_leaves(command, stats, **pipes):
    process = subprocess.Popen([*command, "--listen", "127.0.0.1:7777", "--stats", stats],
                               **pipes)
    try:
        assert ask(), "it does not serve at first"
        for pipe in filter(None, (process.stdout, process.stderr)):
            pipe.close()
        process.send_signal(signal.SIGUSR1)  # writes, and says that it cannot
        watch = os.pidfd_open(process.pid)
        ended = select.select([watch], [], [], 0.3)[0]
        os.close(watch)
        assert not ended, f"ended by {process.wait()}"
        assert ask(), "it does not serve any more"
        process.send_signal(signal.SIGTERM)
        code = process.wait(5)
        assert code == 1, f"exit code {code}"
    finally:
        process.kill()
        process.wait()


def check_no_descriptors(command):
    process = subprocess.Popen([*command, "--listen", "127.0.0.1:7777"],
                               preexec_fn=lambda: os.closerange(0, 3))
    try:
        assert ask(), "it does not serve"
        names = [os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in range(3)]
        assert names == ["/dev/null"] * 3, names
    finally:
        process.kill()
        process.wait()


def make_cases():
    for name, command in (("echo", ECHO), ("dns", DNS)):
        yield (f"{name}: the log's reader leaves",
               lambda c=command: check_reader_leaves(c, "/nowhere/stats", stderr=subprocess.PIPE))
        yield (f"{name}: the reader of the statistics leaves",
               lambda c=command: check_reader_leaves(c, "-", stdout=subprocess.PIPE,
                                                     stderr=subprocess.DEVNULL))
        yield f"{name}: no descriptors", lambda c=command: check_no_descriptors(c)


if __name__ == "__main__":
    harness.enter_namespace()
    sys.exit(harness.main(list(make_cases())))
