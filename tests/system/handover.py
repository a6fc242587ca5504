# SPDX-License-Identifier: MIT
"""One side of a hand-over by hand: the packets of src/server/handover/wire.h."""
import os
import socket
import struct

import harness

HEAD = struct.Struct("=IIII")
MAGIC = 0x564C5905
(HELLO, OFFER, OTHERS, FURTHER, SOCKETS, READY, DROPS, COUNTERS, TAKEN, GONE, RESUMED, QUIT,
 BOOKS) = range(1, 14)


class Peer:
    """Our end of a conversation. Closed in the end: what came with its packets, and our lease."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(harness.PATIENCE)
        self.fds = []
        self.watch, self.hold = os.pipe()

    def send(self, kind, n=0, body=b"", fds=(), magic=MAGIC):
        socket.send_fds(self.sock, [HEAD.pack(magic, kind, n, len(body)) + body], list(fds))

    def recv(self):
        """(kind, n, body); kind is None when the other side is gone."""
        data, fds, _, _ = socket.recv_fds(self.sock, 1 << 20, 253)
        self.fds += fds
        if not data:
            return None, 0, b""
        _, kind, n, _ = HEAD.unpack(data[:HEAD.size])
        return kind, n, data[HEAD.size:]

    def say_hello(self):
        pidfd = os.pidfd_open(os.getpid())
        self.send(HELLO, 2, fds=[self.watch, pidfd])
        os.close(pidfd)

    def take_offer(self):
        """How many sockets there are, which are the last of `fds` then."""
        self.say_hello()
        assert self.recv()[0] == HELLO
        kind, n, _ = self.recv()
        assert kind == OFFER, kind
        assert self.recv()[0] == OTHERS
        assert self.recv()[0] == FURTHER
        n_before = len(self.fds)
        while len(self.fds) < n_before + n:
            assert self.recv()[0] == SOCKETS
        return n

    def close(self):
        for fd in [*self.fds, self.watch, self.hold]:
            os.close(fd)
        self.sock.close()


def connect(path):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.connect(path)
    return Peer(sock)
