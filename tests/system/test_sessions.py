#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
examples/sessions.c: it counts for each client, forgets idle ones and says so, and ends those that
are left. The program comes from VOLLEY_SESSIONS.
"""
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402

SESSIONS = os.environ["VOLLEY_SESSIONS"]


def ask(sock):
    sock.send(b"x")
    return int(sock.recv(100))


def says(sock, what):
    address, port = sock.getsockname()
    return f"sessions: {address}:{port} has {what}\n"


def idle_ones_begin_again():
    with harness.Example(SESSIONS, "300") as program, harness.client(program.address) as sock:
        assert [ask(sock) for _ in range(3)] == [1, 2, 3]
        assert program.process.stderr.readline() == says(sock, "gone after 3")
        assert ask(sock) == 1


def each_client_has_its_own():
    with harness.Example(SESSIONS) as program, harness.client(program.address) as one, \
            harness.client(program.address) as other:
        assert [ask(one), ask(one), ask(other), ask(one)] == [1, 2, 1, 3]
        program.process.send_signal(signal.SIGTERM)
        _, text = program.process.communicate(timeout=harness.PATIENCE)
        assert program.process.returncode == 0, text
        assert says(one, "been ended after 3") in text, text
        assert says(other, "been ended after 1") in text, text


CASES = [(case.__name__, case) for case in (idle_ones_begin_again, each_client_has_its_own)]

if __name__ == "__main__":
    harness.enter_namespace()
    sys.exit(harness.main(CASES))
