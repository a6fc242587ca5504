#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Who says "ready" serves until it is told to end: nothing that serving needs is missing then, however
few descriptors there are. And who cannot serve replaces nobody.
"""
import os
import resource
import signal
import subprocess
import sys
import tempfile

import harness

FEW = range(6, 22)
READY = b"ready on"


def limit(n):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (n, n))


def begin(n, *args):
    """With n descriptors: (the process, what it said until it was ready or ended)."""
    process = subprocess.Popen([harness.ECHO, "--workers", "1", *args], stderr=subprocess.PIPE,
                               preexec_fn=limit(n))
    said = b""
    for line in process.stderr:
        said += line
        if READY in line:
            break
    return process, said


def end(process, said):
    process.send_signal(signal.SIGTERM)
    said += process.stderr.read()
    process.stderr.close()
    return process.wait(harness.PATIENCE), said


def ready_is_ready():
    codes = set()
    for n in FEW:
        process, said = begin(n, "--listen", "127.0.0.1:0")
        code, said = end(process, said)
        codes.add(code)
        assert code == (0 if READY in said else 1), (n, code, said)
    assert codes == {0, 1}, f"not both were tried: {codes}"


def who_cannot_serve_replaces_nobody():
    with tempfile.TemporaryDirectory(prefix="volley-promise-") as where:
        path = os.path.join(where, "s")
        with harness.Server("--replace", path, "--workers", "1") as old:
            for n in FEW:
                process, said = begin(n, "--replace", path, "--listen", f"127.0.0.1:{old.port}")
                if READY in said:
                    code, said = end(process, said)
                    assert code == 0 and old.wait() == 0, (n, code, said, old.stderr)
                    return
                code, said = end(process, said)
                assert code == 1, (n, code, said)
                with harness.client(old.address, timeout=3) as sock:
                    harness.ask(sock, b"still served")
    raise AssertionError("nobody got ready")


if __name__ == "__main__":
    harness.enter_namespace()
    sys.exit(harness.main([("ready is ready", ready_is_ready),
                           ("who cannot serve replaces nobody",
                            who_cannot_serve_replaces_nobody)]))
