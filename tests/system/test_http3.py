#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
volley-http3 and ngtcp2's own client: files byte for byte, a thousand requests, loss, clients that
move, the end of the server and of a process, bad packets and bad requests. The program comes from
VOLLEY_HTTP3. --long: 100 MB instead of 20.
"""
import contextlib
import filecmp
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402

HTTP3 = os.environ["VOLLEY_HTTP3"]
CLIENT = shutil.which("gtlsclient")
LONG = "--long" in sys.argv
BIG = 100_000_000 if LONG else 20_000_000
FOLDER = tempfile.TemporaryDirectory(prefix="volley-http3-")
ROOT = os.path.join(FOLDER.name, "root")
CERT, KEY = (os.path.join(FOLDER.name, name) for name in ("cert.pem", "key.pem"))
# Well below the 30 s after which an idle connection ends by itself.
AT_ONCE = 5.0
# What requests have to end, when the server does.
LINGER = 1.0


def make_files():
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", KEY, "-out", CERT, "-days",
                    "30", "-subj", "/CN=localhost"], check=True, capture_output=True)
    os.makedirs(os.path.join(ROOT, "folder"))
    source = random.Random(1)
    for name, content in (("index.html", b"index"), ("folder/index.html", b"in a folder"),
                          ("empty", b""), ("a b", b"a space"), ("small", b"small" * 100),
                          ("big", source.randbytes(BIG)), ("middle", source.randbytes(4_000_000)),
                          ("half", source.randbytes(500_000))):
        with open(os.path.join(ROOT, name), "wb") as file:
            file.write(content)
    os.symlink(KEY, os.path.join(ROOT, "out"))


def serve(*args, listen="127.0.0.1:0", linger=0):
    return harness.Server("--root", ROOT, "--cert", CERT, "--key", KEY, "--linger", str(linger),
                          *args, listen=(listen,), program=HTTP3)


def command(server, path, *args):
    host, port = server.address
    return [CLIENT, "--no-quic-dump", "--no-http-dump", *args, host, str(port),
            f"https://localhost{path}"]


def fetch(server, path, *args):
    """What the client says; it ends with its last reply."""
    done = subprocess.run(command(server, path, "--exit-on-all-streams-close", *args), text=True,
                          capture_output=True, timeout=60, check=False, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout + done.stderr


def download(server, name, *args):
    """The file comes byte for byte."""
    with tempfile.TemporaryDirectory(prefix="volley-http3-") as folder:
        fetch(server, "/" + name, "--quiet", "--download", folder, *args)
        assert filecmp.cmp(os.path.join(folder, name), os.path.join(ROOT, name), shallow=False)


class Client:
    """A client that stays until its connection ends."""

    def __init__(self, server, path, *args):
        self.said = ""
        self.process = subprocess.Popen(command(server, path, *args), stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, errors="replace")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.communicate()

    def wait_for(self, text):
        """Reads until a line has it."""
        for line in self.process.stdout:
            self.said += line
            if text in line:
                return
        raise AssertionError(f"no '{text}': {self.said[-2000:]}")

    def wait_end(self):
        """How long it takes to end."""
        begin = time.monotonic()
        try:
            self.said += self.process.communicate(timeout=harness.PATIENCE)[0]
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(self.process.communicate()[0][-4000:]) from None
        return time.monotonic() - begin


def status(said):
    return re.findall(r":status: (\d+)", said)


def is_balanced(stats):
    """Nothing was dropped."""
    assert not any(stats["tx_dropped"].values()), stats["tx_dropped"]
    assert not any(stats["rx_dropped"].values()), stats["rx_dropped"]
    assert stats["tx_requested"] == stats["tx_sent"], stats


def thousand_requests():
    with serve("--workers", "2") as server:
        clients = [subprocess.Popen(command(server, "/small", "--exit-on-all-streams-close", "-n",
                                            "250"), stdout=subprocess.DEVNULL,
                                    stderr=subprocess.PIPE) for _ in range(4)]
        for client in clients:
            said = client.communicate(timeout=60)[1].decode(errors="replace")
            assert client.returncode == 0
            assert status(said) == ["200"] * 250, status(said)
        stats = server.stop()
        assert stats["http3"]["clients"] == 4 and stats["http3"]["requests"] == 1000, stats
        is_balanced(stats)


def big_file(*args, listen="127.0.0.1:0"):
    def run():
        with serve("--workers", "1", *args, listen=listen) as server:
            download(server, "big")
            # ECT(0), by the options of each send.
            assert re.search(r"Received packet: .* ecn=0x2 ", fetch(server, "/small"))
            stats = server.stop()
            is_balanced(stats)
            assert stats["tx_requested"] > BIG // 1452
            if "--no-coalesce" not in args:  # several packets a message
                assert stats["tx_messages"] * 3 < stats["tx_sent"], stats
    return run


def replies():
    cases = (("/", "200", 5), ("/folder/", "200", 11), ("/empty", "200", 0), ("/small?x=1", "200",
             500), ("/a%20b", "200", 7), ("/nothing", "404", 0), ("/folder", "404", 0),
             ("/../key.pem", "404", 0), ("/%2e%2e/key.pem", "404", 0), ("//etc/passwd", "404", 0),
             ("/out", "404", 0), ("/folder/../../key.pem", "404", 0), ("/%zz", "400", 0),
             ("/%2", "400", 0), ("/%1z", "400", 0), ("/a%00b", "400", 0), ("/" + "x" * 2000, "400",
             0))
    with serve("--workers", "1") as server:
        for path, code, length in cases:
            said = fetch(server, path)
            assert status(said) == [code], (path, said)
            assert f"content-length: {length}]" in said, (path, said)
        said = fetch(server, "/small", "--http-method", "HEAD")
        assert status(said) == ["200"] and "content-length: 500]" in said, said
        sizes = re.findall(r"frm rx \d+ 1RTT STREAM\(\w+\) id=0x0 .* len=(\d+)", said)
        assert 0 < sum(map(int, sizes)) < 500, said
        said = fetch(server, "/small", "--http-method", "DELETE")
        assert status(said) == ["405"] and "allow: GET, HEAD]" in said, said
        # A request with a body, which is read and forgotten.
        said = fetch(server, "/small", "--http-method", "POST", "--data",
                     os.path.join(ROOT, "middle"))
        assert status(said) == ["405"], said
        is_balanced(server.stop())


@contextlib.contextmanager
def loss(percent):
    if shutil.which("nft") is None:
        raise harness.Skip("no nft")
    subprocess.run(["nft", "add table inet loss; add chain inet loss in { type filter hook input "
                    "priority 0; }; add rule inet loss in meta l4proto udp numgen random mod 100 < "
                    f"{percent} counter drop"], check=True, capture_output=True)
    try:
        yield
        listed = subprocess.run(["nft", "list table inet loss"], check=True, capture_output=True,
                                text=True).stdout
        assert int(re.search(r"packets (\d+)", listed).group(1)) > 0, listed
    finally:
        subprocess.run(["nft", "delete table inet loss"], check=True)


def five_percent_loss():
    with serve("--workers", "2") as server, loss(5):
        download(server, "middle")
        assert status(fetch(server, "/small", "-n", "100")) == ["200"] * 100
        server.stop()


def full_socket():
    """A link of 20 MBit/s and a small send buffer: clients wait for it, and nothing is dropped."""
    subprocess.run(["tc", "qdisc", "add", "dev", "lo", "root", "tbf", "rate", "20mbit", "burst",
                    "20k", "limit", "30M"], check=True)
    try:
        with serve("--workers", "1", "--sndbuf", "20000") as server:
            clients = [subprocess.Popen(command(server, "/half", "--exit-on-all-streams-close",
                                                "--quiet")) for _ in range(16)]
            for client in clients:
                assert client.wait(60) == 0
            stats = server.stop()
            is_balanced(stats)
            assert stats["http3"]["full"] > 0, stats["http3"]
    finally:
        subprocess.run(["tc", "qdisc", "del", "dev", "lo", "root"], check=True)


def moving_clients(*options, is_forwarded):
    """
    Three of four new addresses are another worker's by the kernel's hash. Clients that move say so;
    those behind a router that forgets them do not know it, so they have to send something for us to
    see.
    """
    moves = ("--change-local-addr=10ms",)
    forgotten = ("--nat-rebinding", "--change-local-addr=50ms", "--delay-stream=100ms")

    def run():
        with serve("--workers", "4", *options) as server:
            for args in (moves, forgotten) * 4:
                download(server, "big", *args)
            stats = server.stop()["http3"]
            assert (stats["forwarded"] > 0) == is_forwarded, stats
            assert stats["clients"] == 8 and stats["resets"] == 0, stats
    return run


def sigterm_ends_clients():
    with serve("--workers", "2", linger=1000) as server, Client(server, "/small") as client:
        client.wait_for(":status: 200")
        server.signal(signal.SIGTERM)
        assert client.wait_end() < LINGER
        assert "CONNECTION_CLOSE(0x1d)" in client.said and "0x100" in client.said, client.said
        assert server.wait() == 0


def sigterm_finishes_requests():
    with serve("--workers", "1", linger=1000) as server, \
            tempfile.TemporaryDirectory() as folder, \
            Client(server, "/middle", "--download", folder) as client:
        client.wait_for(":status: 200")
        server.signal(signal.SIGTERM)
        assert client.wait_end() < AT_ONCE
        assert filecmp.cmp(os.path.join(folder, "middle"), os.path.join(ROOT, "middle"),
                           shallow=False)
        assert server.wait() == 0


def restart():
    path = os.path.join(FOLDER.name, "socket")
    with serve("--workers", "2", "--replace", path) as old, Client(old, "/small") as client:
        client.wait_for(":status: 200")
        with serve("--workers", "2", "--replace", path, listen=f"127.0.0.1:{old.port}") as new:
            assert client.wait_end() < AT_ONCE
            assert "CONNECTION_CLOSE(0x1d)" in client.said, client.said
            assert old.wait() == 0, old.stderr
            assert status(fetch(new, "/small", "-n", "10")) == ["200"] * 10
            new.stop()


def restarts_under_load():
    """A client that is told to go connects again, and then has what it had not asked for."""
    path = os.path.join(FOLDER.name, "socket")
    n_ended = 0
    with contextlib.ExitStack() as servers:
        server = servers.enter_context(serve("--workers", "2", "--replace", path))
        for _ in range(2):
            with Client(server, "/half", "--exit-on-all-streams-close", "-n", "90") as client:
                client.wait_for(":status: 200")
                old, server = server, servers.enter_context(
                    serve("--workers", "2", "--replace", path, listen=f"127.0.0.1:{server.port}"))
                assert old.wait() == 0, old.stderr
                assert client.wait_end() < AT_ONCE
                n_replies = len(status(client.said))
                if n_replies < 90:
                    n_ended += 1
                    assert "CONNECTION_CLOSE(0x1d)" in client.said, client.said[-2000:]
                    assert len(status(fetch(server, "/half", "-n", str(90 - n_replies)))) == \
                        90 - n_replies
        assert n_ended > 0
        server.stop()


def unknown_to_a_new_process():
    """The process dies. The next one knows what the resets of its clients are."""
    with serve("--workers", "1") as old, Client(old, "/small", "--delay-stream=2s") as client:
        client.wait_for("QUIC handshake has completed")
        old.process.kill()
        old.process.wait()
        with serve("--workers", "3", listen=f"127.0.0.1:{old.port}") as new:
            assert client.wait_end() < 2 + AT_ONCE
            stats = new.stop()
            assert stats["http3"]["resets"] > 0 and stats["http3"]["clients"] == 0, stats["http3"]


def too_many_clients():
    with serve("--workers", "1", "--max-clients", "1") as server, \
            Client(server, "/small") as first:
        first.wait_for(":status: 200")
        with Client(server, "/small") as second:
            second.wait_for("CONNECTION_REFUSED(0x2)")
            assert second.wait_end() < AT_ONCE
        assert server.stop()["http3"]["clients"] == 1


def idle_clients_end():
    with serve("--workers", "1", "--idle", "1", "--max-clients", "1") as server:
        with Client(server, "/small") as client:
            client.wait_for(":status: 200")
            assert client.wait_end() < AT_ONCE
        assert status(fetch(server, "/small")) == ["200"]  # its place is free
        server.stop()


def bad_packets():
    source = random.Random(2)
    with serve("--workers", "1") as server:
        with harness.client(server.address) as sock:
            sock.send(bytes([0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8]) + b"theirs.." + b"\x04mine" +
                      bytes(1200))
            versions = sock.recv(1500)
            assert versions[1:5] == bytes(4) and versions[5:10] == b"\x04mine", versions
            assert versions[-4:] == bytes([0, 0, 0, 1]), versions
            sock.send(bytes([0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8]) + b"theirs.." + b"\x04mine")
            for size in (1200, 100, 43, 30):  # the one before is too short to be replied to
                sock.send(bytes([0x40]) + source.randbytes(size - 1))
                reset = sock.recv(1500)
                assert reset[0] & 0xc0 == 0x40 and len(reset) == min(43, size - 1), reset
            heads = (b"", b"\x40", b"\xc0\0\0\0\x01", b"\xe0\0\0\0\x01\x08", b"\xc0\0\0\0\0",
                     b"\xff")
            for _ in range(3000):
                sock.send(source.choice(heads) + source.randbytes(source.randrange(1400)))
        assert status(fetch(server, "/small")) == ["200"]
        stats = server.stop()
        assert stats["http3"]["requests"] == 1, stats["http3"]


def early_ends():
    """ngtcp2 asserts that it may send: a close before the handshake is complete is our own."""
    with serve("--workers", "1") as server:
        with Client(server, "/small", "--max-streams-uni", "1") as client:  # HTTP/3 has three
            assert client.wait_end() < AT_ONCE
        assert status(fetch(server, "/small")) == ["200"]
        with Client(server, "/small", "--rx-loss=1.0") as client:  # and so has sent too little
            client.wait_for("Sent packet")
            client.wait_for("Sent packet")
            assert server.stop()["http3"]["clients"] == 3


def usage():
    good = ["--listen", "127.0.0.1:0", "--root", ROOT, "--cert", CERT, "--key", KEY]
    for args, code, what in ((good[2:], 2, "--listen is missing"),
                             (good[:6], 2, "--root, --cert and --key"),
                             ([*good, "more"], 2, "no arguments"),
                             ([*good, "--handlers", "1"], 2, "no --handlers"),
                             ([*good, "--workers", "257"], 1, "room for 256 workers"),
                             ([*good, "--idle", "0"], 2, "--idle takes a number"),
                             ([*good, "--max-clients", "x"], 2, "--max-clients takes a number"),
                             ([*good, "--root", KEY], 1, "--root"),
                             ([*good, "--key", ROOT], 1, "--key"),
                             ([*good, "--cert", os.devnull], 1, "--cert")):
        done = subprocess.run([HTTP3, *args], capture_output=True, text=True, check=False,
                              timeout=harness.PATIENCE)
        assert done.returncode == code and what in done.stderr, (args, done)


CASES = [
    ("a thousand requests", thousand_requests),
    ("a big file", big_file()),
    ("a big file, IPv6, spin", big_file("--wait", "spin", listen="[::1]:0")),
    ("a big file, block, one by one", big_file("--wait", "block", "--no-coalesce")),
    ("replies", replies),
    ("5 % loss", five_percent_loss),
    ("a full socket", full_socket),
    ("moving clients", moving_clients(is_forwarded=False)),
    ("moving clients, forwarded", moving_clients("--no-steer", is_forwarded=True)),
    ("SIGTERM ends clients", sigterm_ends_clients),
    ("SIGTERM finishes requests", sigterm_finishes_requests),
    ("a hot restart", restart),
    ("hot restarts under load", restarts_under_load),
    ("unknown to a new process", unknown_to_a_new_process),
    ("too many clients", too_many_clients),
    ("idle clients end", idle_clients_end),
    ("bad packets", bad_packets),
    ("early ends", early_ends),
    ("usage", usage),
]

if __name__ == "__main__":
    if LONG:
        sys.argv.remove("--long")
    for tool in ("gtlsclient", "openssl"):
        if shutil.which(tool) is None:
            print(f"skip: {tool} is not installed")
            sys.exit(harness.SKIPPED)
    make_files()
    harness.enter_namespace()
    sys.exit(harness.main(CASES))
