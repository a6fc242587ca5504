#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Somebody who asks for the sockets attaches descriptors that nobody expects to what it says: none of
them stays open in the old process, which serves on.
"""
import os
import socket
import subprocess
import sys
import tempfile
import threading

import harness

N_EXTRA = 60
# What a new process says when all goes well: who it is, that it is ready, that it took everything.
N_PACKETS = 3


class Relay(threading.Thread):
    """
    Between a new process and the old one. The index-th packet of the new one gets more
    descriptors than it had, and is the last one that either hears of.
    """

    def __init__(self, path, behind, index):
        super().__init__()
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(path)
        self.listener.listen(1)
        self.behind = behind
        self.index = index
        self.delivered = False

    def run(self):
        new = self.listener.accept()[0]
        old = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        old.connect(self.behind)
        back = threading.Thread(target=self.forward, args=(old, new, None))
        back.start()
        self.delivered = self.forward(new, old, self.index)
        for sock in (new, old):
            sock.shutdown(socket.SHUT_RDWR)
        back.join()
        for sock in (new, old, self.listener):
            sock.close()

    @staticmethod
    def forward(source, sink, last):
        n = 0
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(source, 1 << 20, 253)
                extra = [os.dup(0) for _ in range(N_EXTRA)] if n == last else []
                if data:
                    socket.send_fds(sink, [data], [*fds, *extra])
            except OSError:
                return False
            for fd in [*fds, *extra]:
                os.close(fd)
            if not data or n == last:
                return bool(data)
            n += 1


def count(server):
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def nothing_stays():
    n_delivered = 0
    with tempfile.TemporaryDirectory(prefix="volley-promise-") as where:
        path = os.path.join(where, "control")
        with harness.Server("--replace", path) as old:
            before = count(old)
            for index in range(N_PACKETS + 1):
                relay = Relay(os.path.join(where, f"relay{index}"), path, index)
                relay.start()
                new = subprocess.Popen(
                    [harness.ECHO, "--listen", f"127.0.0.1:{old.port}", "--replace",
                     os.path.join(where, f"relay{index}")],
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                while old.stderr.count("serves on") <= index and "replaced" not in old.stderr:
                    assert old._read_stderr(5), old.stderr
                new.kill()  # it would wait for the other's death
                new.wait()
                relay.join()
                if not relay.delivered:
                    break
                n_delivered += 1
                assert count(old) < before + N_EXTRA // 2, (index, before, count(old))
                with harness.client(old.address, timeout=3) as sock:
                    harness.ask(sock, b"served")
            old.kill()
    assert n_delivered == N_PACKETS, f"tried at {n_delivered} packets"


if __name__ == "__main__":
    harness.enter_namespace()
    sys.exit(harness.main([("what nobody expects does not stay", nothing_stays)]))
