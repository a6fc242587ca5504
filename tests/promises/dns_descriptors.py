# SPDX-License-Identifier: MIT
"""
volley-dns without descriptors for one more TCP connection: it is not busy, its log is not flooded,
UDP is served, and who waited is served once there are descriptors again.
"""
import os
import resource
import signal
import socket
import struct
import sys
import time

import harness

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../dns"))
import dns_harness  # noqa: E402 pylint: disable=wrong-import-position

N_CLIENTS = 40
WATCHED_S = 0.7


def get_cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ask(client, query):
    client.sendall(struct.pack("!H", len(query)) + query)
    return len(client.recv(2)) > 0


def check_shortage():
    query = dns_harness.make_query(7, "example.org", 6)
    clients = []
    with dns_harness.Server([("example.org", dns_harness.SAMPLE)]) as server:
        pid = server.process.pid
        server.signal(signal.SIGHUP)
        server.wait_for("reloaded")  # nothing is opened any more
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        highest = max(map(int, os.listdir(f"/proc/{pid}/fd")))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 2, limits[1]))
        for _ in range(N_CLIENTS):  # the kernel takes them, whatever the server does
            clients.append(socket.create_connection(("127.0.0.1", server.port), timeout=5))
        assert ask(clients[0], query)
        before = get_cpu_s(pid)
        end = time.monotonic() + WATCHED_S
        while time.monotonic() < end:
            server.read_stderr(end - time.monotonic())
        busy = (get_cpu_s(pid) - before) / WATCHED_S
        n_lines = server.stderr.count("\n")
        assert busy < 0.3, f"busy for {busy:.0%} of the time"
        assert n_lines < 5, f"{n_lines} lines in the log"
        assert "Too many open files" in server.stderr, server.stderr
        assert server.ask(query, 5) is not None, "UDP is not served"
        clients[0].close()  # its descriptor is for the next one
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        assert all(ask(client, query) for client in clients[1:]), "who waited is not served"
        assert server.stop()["dns"]["tcp"]["connections"] == N_CLIENTS


if __name__ == "__main__":
    harness.enter_namespace()
    sys.exit(harness.main([("shortage of descriptors", check_shortage)]))
