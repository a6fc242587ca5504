#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Socket activation with systemd's own tool, and sockets inherited by number: volley-echo --listen
systemd and --listen fd:N.
"""
import os
import shutil
import socket
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402

ACTIVATE = shutil.which("systemd-socket-activate")


def free_ports(n):
    """Ports that nobody has in this namespace of our own."""
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(n)]
    for sock in socks:
        sock.bind(("127.0.0.1", 0))
    ports = [sock.getsockname()[1] for sock in socks]
    for sock in socks:
        sock.close()
    return ports


def activated(n, workers):
    """The tool starts the server with the first datagram, which is not lost."""
    def case():
        if ACTIVATE is None:
            raise harness.Skip("systemd-socket-activate is not installed (Debian: systemd)")
        ports = free_ports(n)
        listen = [f"--listen=127.0.0.1:{port}" for port in ports]
        names = ["--fdname=" + ":".join(["echo"] * n)]
        for what in ("systemd", "systemd:echo"):
            tool = subprocess.Popen([ACTIVATE, "--datagram", *listen, *names, harness.ECHO,
                                     "--listen", what, "--workers", str(workers), "--stats", "-"],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            try:
                while "Listening on" not in tool.stderr.readline():
                    assert tool.poll() is None, "the tool ended"
                for port in ports:
                    with harness.client(("127.0.0.1", port)) as sock:
                        # The tool may still be binding the others.
                        for number in range(20):
                            ask_until_there(sock, b"%d" % number)
                tool.terminate()
                out, err = tool.communicate(timeout=harness.PATIENCE)
            finally:
                tool.kill()
                tool.wait()
            assert tool.returncode == 0, err
            assert err.count("ready on 127.0.0.1") == n, err
            assert '"rx_datagrams": %d' % (20 * n) in out, out[:100]
            if workers > 1:
                assert f"sockets for 1 of {workers} workers" in err, err
    return case


def ask_until_there(sock, payload):
    for _ in range(1000):
        try:
            return harness.ask(sock, payload)
        except ConnectionRefusedError:
            continue
    raise AssertionError("nobody has bound the port")


def without_a_manager():
    env = {name: value for name, value in os.environ.items() if not name.startswith("LISTEN_")}
    for extra, text in (({}, "gave no sockets"),
                        ({"LISTEN_PID": "1", "LISTEN_FDS": "1"}, "gave no sockets"),
                        ({"LISTEN_PID": "x", "LISTEN_FDS": "1"}, "gave no usable sockets")):
        done = subprocess.run([harness.ECHO, "--listen", "systemd"], env={**env, **extra},
                              capture_output=True, text=True, check=False)
        assert done.returncode == 1 and text in done.stderr, done.stderr


def by_number():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        with harness.client(sock.getsockname()) as early:
            early.send(b"before it starts")
            os.set_inheritable(sock.fileno(), True)
            process = subprocess.Popen([harness.ECHO, "--listen", f"fd:{sock.fileno()}",
                                        "--workers", "1"], close_fds=False,
                                       stderr=subprocess.PIPE, text=True)
            try:
                assert early.recv(100) == b"before it starts"
                for number in range(20):
                    harness.ask(early, b"%d" % number)
                process.terminate()
                assert process.wait(harness.PATIENCE) == 0
            finally:
                process.kill()
                process.wait()
                process.stderr.close()


def wrong_numbers():
    for value, code, text in (("fd:999", 1, "descriptor 999 is not open"),
                              ("fd:0", 1, "descriptor 0 is not a socket"),
                              ("fd:", 2, "or fd:N"), ("fd:x", 2, "or fd:N"),
                              ("fd:1x", 2, "or fd:N"), ("systemdx", 2, "or fd:N")):
        done = subprocess.run([harness.ECHO, "--listen", value], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False)
        assert done.returncode == code and text in done.stderr, (value, done.stderr)


CASES = [
    ("one socket, one worker", activated(1, 1)),
    ("one socket, two workers", activated(1, 2)),
    ("three sockets", activated(3, 1)),
    ("without a service manager", without_a_manager),
    ("a descriptor by number", by_number),
    ("wrong numbers", wrong_numbers),
]

if __name__ == "__main__":
    harness.enter_namespace()
    sys.exit(harness.main(CASES))
