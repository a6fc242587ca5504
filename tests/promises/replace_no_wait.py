# SPDX-License-Identifier: MIT
"""
volley-echo --replace, when RLIMIT_NOFILE is lowered to 0 while it serves and its waits are refused:
it uses no CPU, replies, and ends at SIGTERM.
"""
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile

import harness

IDLE_S = 0.7
MAX_CPU_S = 0.03


def get_cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def has_signalfd(pid):
    """Whether volley_server_run() has begun: what it needs is open then."""
    folder = f"/proc/{pid}/fd"
    return any("signalfd" in os.readlink(os.path.join(folder, fd)) for fd in os.listdir(folder))


def check_refused_waits():
    path = os.path.join(tempfile.mkdtemp(prefix="volley-"), "replace")
    with harness.Server("--workers", "1", "--replace", path, stats=False) as server, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        pid = server.process.pid
        while not has_signalfd(pid):
            os.sched_yield()
        hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
        client.settimeout(5)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, hard))
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
            other.connect(path)  # wakes the thread that waits there
            before_s = get_cpu_s(pid)
            select.select([], [], [], IDLE_S)  # nothing comes: how long it has nothing to do
            cpu_s = get_cpu_s(pid) - before_s
        assert cpu_s <= MAX_CPU_S, f"{cpu_s} s of CPU in {IDLE_S} s"
        server.process.send_signal(signal.SIGUSR1)  # wakes the thread that reads signals
        client.sendto(b"x", server.address)
        assert client.recv(16) == b"x"
        server.process.send_signal(signal.SIGTERM)
        try:
            assert server.process.wait(5) == 0
        except subprocess.TimeoutExpired as error:
            raise AssertionError("it does not end") from error


if __name__ == "__main__":
    harness.enter_namespace()
    sys.exit(harness.main([("refused waits", check_refused_waits)]))
