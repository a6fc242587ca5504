#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
A file that may not grow any more (RLIMIT_FSIZE), the log or the statistics, ends the write and not
the server.
"""
import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile

import harness

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../dns"))
import dns_harness  # noqa: E402 pylint: disable=wrong-import-position

ADDRESS = ("127.0.0.1", 7777)
QUERY = dns_harness.make_query(7, "example.org", 6)
LIMIT = 256


def ask():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.05)
        for _ in range(100):  # not connected: nobody tells it that there is no server yet
            sock.sendto(QUERY, ADDRESS)
            with contextlib.suppress(socket.timeout):
                return sock.recv(65535)
    raise AssertionError("it does not serve")


def check(command):
    """The log is full from the beginning, and the statistics do not fit."""
    with tempfile.TemporaryDirectory(prefix="volley-promise-") as where:
        stats = os.path.join(where, "stats")
        with open(os.path.join(where, "log"), "ab") as log:
            log.write(b"x" * LIMIT)
            log.flush()
            process = subprocess.Popen(
                [*command, "--listen", "127.0.0.1:7777", "--stats", stats], stderr=log,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT)))
        try:
            ask()
            process.send_signal(signal.SIGUSR1)
            while not os.path.exists(stats) or os.path.getsize(stats) < LIMIT:
                assert process.poll() is None, f"ended by {process.returncode}"
            ask()
            process.send_signal(signal.SIGTERM)
            code = process.wait(5)
            assert code == 1, f"exit code {code}"  # the statistics could not be written
        finally:
            process.kill()
            process.wait()


if __name__ == "__main__":
    harness.enter_namespace()
    sys.exit(harness.main([
        ("echo", lambda: check([harness.ECHO])),
        ("dns", lambda: check([dns_harness.DNS, "--zone",
                               f"example.org={dns_harness.SAMPLE}"]))]))
