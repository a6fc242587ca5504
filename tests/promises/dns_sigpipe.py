# SPDX-License-Identifier: MIT
"""
volley-dns: a TCP client that asks many questions at once and hangs up before it has read the
answers ends its own connection and nothing else.
"""
import os
import socket
import struct
import sys

import harness

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../dns"))
import dns_harness  # noqa: E402 pylint: disable=wrong-import-position

N_QUERIES = 300
N_CLIENTS = 20


def check_hanging_up():
    query = dns_harness.make_query(7, "example.org", 6)
    pipeline = (struct.pack("!H", len(query)) + query) * N_QUERIES
    with dns_harness.Server([("example.org", dns_harness.SAMPLE)]) as server:
        for _ in range(N_CLIENTS):
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                client.sendall(pipeline)
        assert server.ask(query, 3) is not None, f"ended: {server.process.poll()}"
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
            client.sendall(pipeline[:2 + len(query)])
            assert client.recv(2) != b"", "TCP is not served any more"
        tcp = server.stop()["dns"]["tcp"]
        assert tcp["connections"] == N_CLIENTS + 1, tcp


if __name__ == "__main__":
    harness.enter_namespace()
    sys.exit(harness.main([("hanging up", check_hanging_up)]))
