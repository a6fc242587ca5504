# SPDX-License-Identifier: MIT
"""What the tests of volley-dns share: the server, zones made on the fly, and a plain UDP client."""
import json
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DNS = os.environ.get("VOLLEY_DNS", os.path.join(TOP, "build/test/examples/dns/volley-dns"))
SAMPLE = os.path.join(TOP, "examples/dns/zones/example.zone")
PATIENCE = 20.0
READY = re.compile(r"^volley-dns: ready on (\S+):(\d+) ")


class Server:
    """A running volley-dns on a port of its own."""

    def __init__(self, zones, *args, listen=("127.0.0.1:0",), program=None):
        self.folder = tempfile.mkdtemp(prefix="volley-dns-")
        self.stats_path = os.path.join(self.folder, "stats.json")
        self.stderr = ""
        command = [program or DNS]
        for address in listen:
            command += ["--listen", address]
        for origin, path in zones:
            command += ["--zone", f"{origin}={path}"]
        command += ["--stats", self.stats_path, *args]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE)
        os.set_blocking(self.process.stderr.fileno(), False)
        self.ports = []
        deadline = time.monotonic() + PATIENCE
        while len(self.ports) < len(listen):
            if not self.read_stderr(deadline - time.monotonic()):
                raise AssertionError("not ready: " + self.stderr)
            self.ports = [int(m.group(2)) for m in map(READY.match, self.stderr.splitlines()) if m]
        self.port = self.ports[0]

    def read_stderr(self, timeout):
        if not select.select([self.process.stderr], [], [], max(0.0, timeout))[0]:
            return False
        data = self.process.stderr.read()
        self.stderr += (data or b"").decode()
        return bool(data)

    def wait_for(self, text, count=1):
        deadline = time.monotonic() + PATIENCE
        while self.stderr.count(text) < count:
            assert self.read_stderr(deadline - time.monotonic()), f"no '{text}': {self.stderr}"

    def signal(self, signo):
        self.process.send_signal(signo)

    def stop(self):
        """SIGTERM, exit code 0, and the statistics."""
        self.signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE)
        self.read_stderr(0.1)
        assert code == 0, (code, self.stderr)
        with open(self.stats_path, encoding="utf-8") as file:
            return json.load(file)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def tool(self, name, *args):
        """dig, kdig or drill; its output."""
        where = ["-p", str(self.port), "@127.0.0.1"]
        done = subprocess.run([name, *where, *args], capture_output=True, text=True, timeout=30,
                              check=False)
        return done.stdout + done.stderr

    def ask(self, packet, timeout=PATIENCE, port=None):
        """One datagram there, one back; None for silence."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(timeout)
            client.connect(("127.0.0.1", port or self.port))
            client.send(packet)
            try:
                return client.recv(65535)
            except socket.timeout:
                return None


def make_query(number, name, qtype):
    """A plain query as bytes."""
    labels = b"".join(bytes([len(x)]) + x.encode() for x in name.split("."))
    return struct.pack("!6H", number, 0, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, qtype, 1)


def check_zone(text, origin="example.org"):
    """--check of a zone given as text: exit code and stderr."""
    with tempfile.TemporaryDirectory(prefix="volley-dns-") as folder:
        path = os.path.join(folder, "zone")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        done = subprocess.run([DNS, "--check", "--zone", f"{origin}={path}"], capture_output=True,
                              text=True, timeout=60, check=False)
        return done.returncode, done.stderr


def need(*modules_and_tools):
    """Leave with exit code 77 when a tool is missing."""
    for name in modules_and_tools:
        if shutil.which(name) is None:
            print(f"skip: {name} is not installed")
            sys.exit(77)


def run(cases):
    """Run (name, function) pairs; ends the program with the closing line."""
    failed = 0
    for name, case in cases:
        try:
            case()
            print(f"ok {name}")
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print(f"FAILED {name}")
            traceback.print_exc()
    print(f"{len(cases) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
