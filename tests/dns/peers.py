# SPDX-License-Identifier: MIT
"""
NSD, Knot and BIND from Debian, unpacked into a folder (not installed: that would start daemons),
each serving one zone on a port of loopback.
"""
import contextlib
import glob
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time

import dns_harness as h

PACKAGES = """nsd knot bind9 bind9-libs libfstrm0 libprotobuf-c1 liburcu8 libknot13 libzscanner4
libdnssec9 liblmdb0 libcap-ng0 libmaxminddb0 libnghttp2-14""".split()
PEERS = ("nsd", "knot", "bind")
PROGRAMS = {"nsd": "usr/sbin/nsd", "knot": "usr/sbin/knotd", "bind": "usr/sbin/named"}


def unpack(folder):
    """Download and unpack what is missing; False when that is not possible."""
    if all(os.path.exists(os.path.join(folder, path)) for path in PROGRAMS.values()):
        return True
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return False
    debs = os.path.join(folder, "debs")
    os.makedirs(debs, exist_ok=True)
    done = subprocess.run(["apt-get", "download", *PACKAGES], cwd=debs, capture_output=True,
                          check=False)
    if done.returncode != 0:
        return False
    for deb in glob.glob(os.path.join(debs, "*.deb")):
        subprocess.run(["dpkg-deb", "-x", deb, folder], check=True)
    return True


def free_port():
    """A port that was free for UDP and TCP a moment ago."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, \
                socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
            udp.bind(("127.0.0.1", 0))
            with contextlib.suppress(OSError):
                tcp.bind(udp.getsockname())
                return udp.getsockname()[1]


NSD = """server:
 ip-address: 127.0.0.1@{port}
 do-ip6: no
 server-count: 1
 username: ""
 chroot: ""
 zonesdir: "{folder}"
 database: ""
 pidfile: "{folder}/nsd.pid"
 xfrdfile: "{folder}/xfrd.state"
 xfrdir: "{folder}"
 zonelistfile: "{folder}/zone.list"
 logfile: "{folder}/nsd.log"
 minimal-responses: yes
 refuse-any: no
 rrl-ratelimit: 0
 rrl-whitelist-ratelimit: 0
 round-robin: no
{cpu}
remote-control:
 control-enable: no
zone:
 name: {origin}
 zonefile: "{zone}"
"""
KNOT = """server:
  listen: 127.0.0.1@{port}
  rundir: "{folder}"
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
database:
  storage: "{folder}"
log:
  - target: "{folder}/knot.log"
    any: info
zone:
  - domain: {origin}
    file: "{zone}"
    zonefile-load: whole
    journal-content: none
    semantic-checks: off
"""
BIND = """options {{
  directory "{folder}";
  pid-file "{folder}/named.pid";
  session-keyfile "{folder}/session.key";
  listen-on port {port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }};
  recursion no; minimal-responses yes; notify no; rrset-order {{ order fixed; }};
  check-names primary ignore; check-integrity no; check-sibling no; check-srv-cname ignore;
  check-mx-cname ignore; zone-statistics none; dnssec-validation no; max-cache-size 8M;
  empty-zones-enable no; zero-no-soa-ttl no; allow-transfer {{ none; }};
}};
controls {{ }};
zone "{origin}" {{ type primary; file "{zone}"; check-names ignore; }};
"""


class Peer:
    """A running peer."""

    def __init__(self, name, root, origin, zone, patience=h.PATIENCE):
        self.name = name
        self.port = free_port()
        self.folder = tempfile.mkdtemp(prefix=f"volley-{name}-")
        path = os.path.join(self.folder, "conf")
        text = {"nsd": NSD, "knot": KNOT, "bind": BIND}[name]
        with open(path, "w", encoding="ascii") as file:
            file.write(text.format(port=self.port, folder=self.folder, origin=origin, zone=zone,
                                   cpu=""))
        program = os.path.join(root, PROGRAMS[name])
        command = {"nsd": [program, "-d", "-c", path],
                   "knot": [program, "-c", path],
                   "bind": [program, "-g", "-n", "1", "-c", path, "-4"]}[name]
        env = dict(os.environ, LD_LIBRARY_PATH=os.path.join(root, "usr/lib/x86_64-linux-gnu"))
        with open(os.path.join(self.folder, "out"), "wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, env=env,
                                            cwd=self.folder)
        try:
            self.wait_ready(origin, patience)
        except AssertionError:
            self.close()
            raise

    def wait_ready(self, origin, patience):
        deadline = time.monotonic() + patience
        query = h.make_query(1, origin.rstrip("."), 6)
        while time.monotonic() < deadline and self.process.poll() is None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.settimeout(0.2)
                client.connect(("127.0.0.1", self.port))
                with contextlib.suppress(OSError):
                    client.send(query)
                    if client.recv(4096)[3] & 15 == 0:
                        return
                time.sleep(0.02)
        raise AssertionError(f"{self.name} did not get ready: {self.log()}")

    def log(self):
        text = ""
        for path in glob.glob(os.path.join(self.folder, "*.log")) + \
                [os.path.join(self.folder, "out")]:
            with open(path, encoding="utf-8", errors="replace") as file:
                text += file.read()
        return text[-2000:]

    def version(self):
        found = re.search(r"[\d.]+\d", self.log())
        return found.group(0) if found else "?"

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(h.PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def start(name, root, origin, zone, patience=h.PATIENCE):
    """A peer; again when its port was taken meanwhile."""
    for attempt in range(3):
        try:
            return Peer(name, root, origin, zone, patience)
        except AssertionError:
            if attempt == 2:
                raise
    return None
