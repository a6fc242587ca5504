#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Nobody reads the log, and what it is written to is full: the server serves, is replaced and ends all
the same. When somebody reads again, the log says how many lines are missing.
"""
import contextlib
import os
import pty
import signal
import socket
import subprocess
import sys
import tempfile
import tty

import harness


def make_pipe():
    return os.pipe()


def make_socket():
    ours, theirs = socket.socketpair()
    return ours.detach(), theirs.detach()


def make_terminal():
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    return ours, theirs


def fill(fd):
    """O_NONBLOCK is the server's, too, so it is taken away again."""
    os.set_blocking(fd, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(fd, b"x")
    os.set_blocking(fd, True)


def drain(fd):
    """What was there, and perhaps a line that found room meanwhile."""
    parts = []
    os.set_blocking(fd, False)
    with contextlib.suppress(OSError):
        while part := os.read(fd, 1 << 16):
            parts.append(part)
    os.set_blocking(fd, True)
    return b"".join(parts).decode()


@contextlib.contextmanager
def stalled(make, path, port):
    """An echo whose log is full: (its process, our end of the log)."""
    ours, theirs = make()
    fill(theirs)
    process = subprocess.Popen([harness.ECHO, "--listen", f"127.0.0.1:{port}", "--replace", path],
                               stderr=theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)


def ask(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.05)
        for _ in range(100):  # not connected: nobody tells it that there is no server yet
            sock.sendto(b"x", ("127.0.0.1", port))
            with contextlib.suppress(socket.timeout):
                return sock.recv(10)
    raise AssertionError("it does not serve")


def hang_up(path):
    """A conversation that fails is a sentence for the log. It has begun when this returns."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.settimeout(5)
        sock.connect(path)
        assert sock.recv(100)


def case_of(make, what):
    """The second conversation begins when the sentence of the first was lost."""
    def case():
        with tempfile.TemporaryDirectory(prefix="volley-promise-") as where:
            path = os.path.join(where, "s")
            with stalled(make, path, 7777) as (server, ours):
                ask(7777)
                while not os.path.exists(path):
                    assert server.poll() is None
                hang_up(path)
                hang_up(path)
                what(server, ours, path)
    return case


def it_is_replaced(server, _, path):
    with harness.Server("--replace", path, listen=("127.0.0.1:7777",)) as new:
        assert server.wait(5) == 0
        assert ask(7777) == b"x"
        new.stop()


def it_ends(server, *_):
    server.send_signal(signal.SIGTERM)
    assert server.wait(5) == 0


def it_says_what_is_missing(server, ours, path):
    said = drain(ours)
    while "serves on" not in said:
        hang_up(path)
        said += os.read(ours, 1 << 16).decode()
    assert "lines were lost here)" in said, said
    it_ends(server)


WAYS = [("pipe", make_pipe), ("socket", make_socket), ("terminal", make_terminal)]

if __name__ == "__main__":
    harness.enter_namespace()
    sys.exit(harness.main([
        (f"{name}: {what.__name__.replace('_', ' ')}", case_of(make, what)) for name, make in WAYS
        for what in (it_is_replaced, it_ends, it_says_what_is_missing)]))
