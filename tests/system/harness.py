# SPDX-License-Identifier: MIT
"""
What the system tests share: a network namespace of their own, the server program under test,
clients, the kernel's counters, and a runner that ends with "N passed, N failed".

Every test program moves into a fresh, anonymous network namespace first. It needs no cleaning up:
the namespace goes away with the last process in it, also when a test is killed.
"""
import contextlib
import ctypes
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ECHO = os.environ.get("VOLLEY_ECHO", os.path.join(TOP, "build/test/examples/volley-echo"))
CLONE_NEWNET = 0x40000000
CLONE_NEWUSER = 0x10000000
SKIPPED = 77
# Long enough for a loaded machine; only a failing test ever waits so long.
PATIENCE = 20.0
READY = re.compile(r"^[\w-]+: ready on (\S+):(\d+) \((\d+) workers, (\w+)\)$")


class Skip(Exception):
    """This machine cannot run the case; the text says why."""


def run_ip(*args):
    subprocess.run(["ip", *args], check=True, capture_output=True, text=True)


def enter_namespace():
    """Leave the machine's network: a loopback device and nothing else."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.getuid(), os.getgid()
    flags = CLONE_NEWNET if uid == 0 else CLONE_NEWNET | CLONE_NEWUSER
    if libc.unshare(flags) != 0:
        print("skip: no network namespace of our own: " + os.strerror(ctypes.get_errno()))
        sys.exit(SKIPPED)
    if flags & CLONE_NEWUSER:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"),
                           ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    run_ip("link", "set", "lo", "up")


def has_ipv6():
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
        s.bind(("::1", 0))
        return True
    return False


class Server:
    """A running volley-echo (or another program with its command line)."""

    def __init__(self, *args, listen=("127.0.0.1:0",), stats=True, program=None, prefix=()):
        self.args = [*prefix, program or ECHO]
        for address in listen:
            self.args += ["--listen", address]
        self.args += args
        self.stats_path = None
        if stats:
            handle, self.stats_path = tempfile.mkstemp(prefix="volley-stats-")
            os.close(handle)
            self.args += ["--stats", self.stats_path]
        self.stderr = ""
        self.addresses = []
        self.io = None
        self.process = subprocess.Popen(self.args, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        os.set_blocking(self.process.stderr.fileno(), False)
        try:
            self._wait_ready(len(listen))
        except BaseException:
            self.kill()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.kill()

    def _read_stderr(self, timeout):
        if not select.select([self.process.stderr], [], [], timeout)[0]:
            return False
        data = self.process.stderr.read()
        self.stderr += (data or b"").decode()
        return bool(data)

    def _wait_ready(self, n_listeners):
        deadline = time.monotonic() + PATIENCE
        while len(self.addresses) < n_listeners:
            more = self._read_stderr(max(0.0, deadline - time.monotonic()))
            found = [READY.match(line) for line in self.stderr.splitlines()]
            self.addresses = [(m.group(1).strip("[]"), int(m.group(2))) for m in found if m]
            self.io = next((m.group(4) for m in found if m), None)
            if not more and len(self.addresses) < n_listeners:
                raise AssertionError(f"{' '.join(self.args)} did not get ready: {self.stderr}")

    @property
    def address(self):
        return self.addresses[0]

    @property
    def port(self):
        return self.addresses[0][1]

    def signal(self, signo):
        self.process.send_signal(signo)

    def wait(self, timeout=PATIENCE):
        """The exit code; collects the rest of stderr."""
        deadline = time.monotonic() + timeout
        while self._read_stderr(max(0.0, deadline - time.monotonic())):
            pass
        return self.process.wait(max(0.1, deadline - time.monotonic()))

    def stop(self):
        """SIGTERM, a clean exit, and the final books."""
        self.signal(signal.SIGTERM)
        code = self.wait()
        assert code == 0, f"exit code {code}: {self.stderr}"
        return self.stats()

    def stats(self):
        with open(self.stats_path, encoding="utf-8") as file:
            return json.load(file)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            stream.close()
        if self.stats_path and os.path.exists(self.stats_path):
            os.unlink(self.stats_path)


class Example:
    """A running small example on a port of its own: says so on stderr, its ledger on stdout."""

    def __init__(self, path, *args, listen="127.0.0.1:0"):
        self.process = subprocess.Popen([path, listen, *args], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline()
        found = re.fullmatch(r"\w+: ready on (\S+):(\d+)\n", line)
        assert found, f"{path} says: {line}"
        self.address = (found.group(1), int(found.group(2)))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def wait(self):
        """Its ledger, when it ends."""
        out, err = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, f"exit code {self.process.returncode}: {err}"
        return json.loads(out)

    def stop(self, signo=signal.SIGTERM):
        self.process.send_signal(signo)
        return self.wait()


def run(*args, prefix=(), timeout=PATIENCE):
    """Run volley-echo where it is expected to end by itself: (exit code, stdout, stderr)."""
    done = subprocess.run([*prefix, ECHO, *args], capture_output=True, text=True, timeout=timeout,
                          check=False)
    return done.returncode, done.stdout, done.stderr


def client(address, timeout=PATIENCE, rcvbuf=4 << 20, connect=True):
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.settimeout(timeout)
    for force, plain in ((33, socket.SO_RCVBUF), (32, socket.SO_SNDBUF)):
        try:
            sock.setsockopt(socket.SOL_SOCKET, force, rcvbuf)
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, plain, rcvbuf)
    if connect:
        sock.connect(address)
    return sock


def ask(sock, payload):
    sock.send(payload)
    reply = sock.recv(65536)
    assert reply == payload, f"{len(payload)} bytes sent, {len(reply)} other bytes came back"


def snmp():
    """The namespace's UDP counters, IPv4 and IPv6: {"Udp": {...}, "Udp6": {...}}."""
    found = {"Udp": {}, "Udp6": {}}
    with open("/proc/net/snmp", encoding="ascii") as file:
        lines = [line.split() for line in file if line.startswith("Udp:")]
    found["Udp"] = {name: int(value) for name, value in zip(lines[0][1:], lines[1][1:])}
    with contextlib.suppress(FileNotFoundError), open("/proc/net/snmp6", encoding="ascii") as file:
        for line in file:
            name, value = line.split()
            if name.startswith("Udp6"):
                found["Udp6"][name[4:]] = int(value)
    return found


def snmp_delta(before, after):
    return {proto: {name: after[proto][name] - before[proto].get(name, 0)
                    for name in after[proto]} for proto in after}


def main(cases):
    """Run [(name, function), ...]; a first argument keeps the cases whose name contains it."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    passed = failed = skipped = 0
    for name, case in cases:
        if wanted not in name:
            continue
        begin = time.monotonic()
        try:
            case()
            verdict, passed = "ok", passed + 1
        except Skip as reason:
            verdict, skipped = f"skip: {reason}", skipped + 1
        except Exception:  # a test that fails must not keep the others from running
            traceback.print_exc(file=sys.stdout)
            verdict, failed = "FAILED", failed + 1
        print(f"{name}: {verdict} ({time.monotonic() - begin:.1f} s)", flush=True)
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or passed + skipped == 0 else 0
