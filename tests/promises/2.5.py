#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
The old process of a hot restart dies before it has sent its sockets: the new one is the first, on
the same port. Another process may have come to the path meanwhile: then that one is replaced.
"""
import os
import socket
import sys
import tempfile

import harness


def dying(path, before_it_dies=lambda: None):
    """A process that has a UDP port and dies of the first one who asks: (its pid, the port)."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    server.bind(path)
    server.listen(1)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    port = udp.getsockname()[1]
    pid = os.fork()
    if pid == 0:
        server.accept()
        before_it_dies()
        os._exit(1)
    server.close()
    udp.close()
    return pid, port


def the_new_one_is_the_first():
    with tempfile.TemporaryDirectory(prefix="volley-promise-") as where:
        path = os.path.join(where, "control")
        pid, port = dying(path)
        with harness.Server("--replace", path, listen=(f"127.0.0.1:{port}",)) as new:
            os.waitpid(pid, 0)
            with harness.client(new.address, timeout=3) as sock:
                harness.ask(sock, b"served")
            new.stop()


def the_path_leads_to_another():
    """One that was started before, and waits where it can be found."""
    with tempfile.TemporaryDirectory(prefix="volley-promise-") as where:
        path = os.path.join(where, "control")
        aside = os.path.join(where, "aside")
        with harness.Server("--replace", aside) as other:
            pid, _ = dying(path, lambda: os.rename(aside, path))
            with harness.Server("--replace", path,
                                listen=(f"127.0.0.1:{other.port}",)) as new:
                os.waitpid(pid, 0)
                assert other.wait() == 0 and "replaced" in other.stderr, other.stderr
                with harness.client(new.address, timeout=3) as sock:
                    harness.ask(sock, b"served")
                new.stop()


if __name__ == "__main__":
    harness.enter_namespace()
    sys.exit(harness.main([("the new one is the first", the_new_one_is_the_first),
                           ("the path leads to another", the_path_leads_to_another)]))
