#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
examples/dtls with OpenSSL's own client: cookies, many clients at once, a small MTU, lost flights,
idle and full tables, and the goodbye. The program comes from VOLLEY_DTLS. Between client and server
there may be a proxy that sees every datagram and loses some.
"""
import contextlib
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402

DTLS = os.environ["VOLLEY_DTLS"]
ENDED = re.compile(r"dtls: worker \d: (\d+) sessions, (\d+) idle, (\d+) refused, "
                   r"(\d+) at the end\n")
# Of a record: its type, and where it is in the clear that of the handshake's message.
CHANGE_CIPHER, HANDSHAKE = 20, 22
CLIENT_HELLO, SERVER_HELLO, VERIFY_REQUEST = 1, 2, 3
IP_UDP_BYTES = 28
WORK = tempfile.mkdtemp(prefix="volley-dtls-")
CERTIFICATE, KEY = os.path.join(WORK, "certificate.pem"), os.path.join(WORK, "key.pem")


def make_certificate():
    """Of 2,048 bits, so that it does not fit into a datagram of 300 bytes."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", "/CN=volley", "-keyout", KEY, "-out", CERTIFICATE], check=True,
                   capture_output=True)


def message(data):
    """What a datagram begins with: a handshake's message in the clear, or None."""
    return data[13] if data[0] == HANDSHAKE and data[3:5] == b"\0\0" else None


class Server(harness.Example):
    def __init__(self, *args):
        super().__init__(DTLS, CERTIFICATE, KEY, *args)

    def stop(self, signo=signal.SIGTERM):
        """(sessions, idle, refused, at the end) of each worker."""
        self.process.send_signal(signo)
        _, text = self.process.communicate(timeout=harness.PATIENCE)
        assert self.process.returncode == 0, text
        found = [tuple(map(int, match)) for match in ENDED.findall(text)]
        assert len(found) == 2, text
        return found

    def expect(self, **wanted):
        found = dict(zip(("sessions", "idle", "refused", "left"), map(sum, zip(*self.stop()))))
        assert {name: found[name] for name in wanted} == wanted, found


class Client:
    """openssl s_client, whose input stays open: what ends it is a close_notify."""

    def __init__(self, address, *args):
        self.process = subprocess.Popen(
            ["openssl", "s_client", "-dtls1_2", "-connect", "%s:%d" % address, "-CAfile",
             CERTIFICATE, "-verify_return_error", "-quiet", "-no_ign_eof", *args],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()

    def send(self, line):
        self.process.stdin.write(line)

    def receive(self, line, timeout=harness.PATIENCE):
        got, deadline = b"", time.monotonic() + timeout
        while len(got) < len(line):
            left = max(0.0, deadline - time.monotonic())
            more = select.select([self.process.stdout], [], [], left)[0] and \
                self.process.stdout.read(len(line) - len(got))
            assert more, f"{got} instead of {line}, {self.process.poll()}"
            got += more
        assert got == line, got

    def ask(self, line):
        self.send(line)
        self.receive(line)

    def expect_end(self):
        assert self.process.wait(harness.PATIENCE) == 0, self.process.stderr.read()

    def close(self):
        self.process.stdin.close()
        self.expect_end()


class Proxy:
    """For one client at a time; `passes(to_server, data)` tells what is not lost."""

    def __init__(self, address, passes=lambda to_server, data: True):
        self.passes = passes
        self.seen = {True: [], False: []}  # by to_server: what has passed
        self.lost = []
        self.front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.front.bind(("127.0.0.1", 0))
        self.back = harness.client(address)
        self.end, self.ending = os.pipe()
        self.client = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    @property
    def address(self):
        return self.front.getsockname()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        os.close(self.ending)
        self.thread.join()
        os.close(self.end)
        self.front.close()
        self.back.close()

    def _pass(self, to_server, data):
        if not self.passes(to_server, data):
            self.lost.append(data)
            return
        self.seen[to_server].append(data)
        with contextlib.suppress(ConnectionRefusedError):
            if to_server:
                self.back.send(data)
            else:
                self.front.sendto(data, self.client)

    def _run(self):
        while True:
            ready = select.select([self.front, self.back, self.end], [], [])[0]
            if self.end in ready:
                return
            with contextlib.suppress(ConnectionRefusedError):
                if self.front in ready:
                    data, self.client = self.front.recvfrom(65536)
                    self._pass(True, data)
                if self.back in ready:
                    self._pass(False, self.back.recv(65536))


def echoes():
    with Server() as server, Client(server.address) as client:
        for line in (b"hello\n", b"x" * 5000 + b"\n", b"bye\n"):
            client.ask(line)
        client.close()
        server.expect(sessions=1, left=0)


def many_at_once_and_a_goodbye():
    """On both workers: by chance all 15 are on one of them once in 16,384 runs."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Server())
        clients = [stack.enter_context(Client(server.address)) for _ in range(15)]
        for turn in range(3):
            for i, client in enumerate(clients):
                client.send(b"%d of %d\n" % (turn, i))
            for i, client in enumerate(clients):
                client.receive(b"%d of %d\n" % (turn, i))
        workers = server.stop()
        for client in clients:
            client.expect_end()
    assert all(worker[0] > 0 for worker in workers), workers
    assert sum(worker[3] for worker in workers) == 15, workers


def sigint_is_a_goodbye_too():
    with Server() as server, Client(server.address) as client:
        client.ask(b"hello\n")
        server.stop(signal.SIGINT)
        client.expect_end()


def mtu_300():
    for mtu in ("300", "1400"):
        with Server(mtu) as server, Proxy(server.address) as proxy, \
                Client(proxy.address, "-mtu", "300", "-alpn", "x" * 200) as client:
            client.ask(b"x" * 1000 + b"\n")
            client.close()
            longest = max(map(len, proxy.seen[False])) + IP_UDP_BYTES
            assert any(message(data) == CLIENT_HELLO and data[14:17] != data[22:25]
                       for data in proxy.seen[True]), "no piece of a hello from the client"
            assert (longest <= 300) == (mtu == "300"), f"{longest} bytes with {mtu}"
            server.expect(sessions=1)


def lost_flight_comes_again():
    flights = []

    def passes(to_server, data):
        """Only the server's timer can help: nothing else passes until it did."""
        if not to_server and message(data) == SERVER_HELLO:
            flights.append(data)
        return len(flights) != 1

    with Server() as server, Proxy(server.address, passes) as proxy, \
            Client(proxy.address) as client:
        client.ask(b"hello\n")
        assert len(flights) > 1 and flights[0] in proxy.lost, len(flights)
        server.expect(sessions=1)


def lost_end_comes_again():
    """The server's last flight is repeated when the client repeats its own."""
    ends = []

    def passes(to_server, data):
        if to_server and data[0] == HANDSHAKE and data[13] == 16:
            ends.append(data)
        return to_server or len(ends) != 1

    with Server() as server, Proxy(server.address, passes) as proxy, \
            Client(proxy.address) as client:
        client.ask(b"hello\n")
        assert len(ends) > 1 and proxy.lost, len(ends)
        server.expect(sessions=1)


def strangers_get_a_cookie():
    """No more than they sent, and a cookie is good for one address."""
    with Server() as server, Proxy(server.address) as proxy, Client(proxy.address) as client:
        client.ask(b"hello\n")
        hellos = [data for data in proxy.seen[True] if message(data) == CLIENT_HELLO]
        for hello in (hellos[0], hellos[-1]):
            with harness.client(server.address) as stranger:
                stranger.send(hello)
                reply = stranger.recv(65536)
                assert message(reply) == VERIFY_REQUEST and len(reply) < len(hello), reply
        with harness.client(server.address) as stranger:
            for noise in (b"", b"x", b"\x16" * 100, hellos[0][:20], proxy.seen[True][-1]):
                stranger.send(noise)
            stranger.send(hellos[0])
            assert message(stranger.recv(65536)) == VERIFY_REQUEST
        client.ask(b"still here\n")
        server.expect(sessions=1, left=1)


def copies_change_nothing():
    with Server() as server, Proxy(server.address) as proxy, Client(proxy.address) as client:
        client.ask(b"hello\n")
        for data in list(proxy.seen[True]):
            proxy.back.send(data)
        client.ask(b"still here\n")
        server.expect(sessions=1, left=1)


def begins_anew_from_the_same_port():
    with Server() as server, Proxy(server.address) as proxy:
        for line in (b"one\n", b"two\n"):
            with Client(proxy.address) as client:
                client.ask(line)
                client.process.kill()
        server.expect(sessions=2, left=1)


def idle_ones_are_sent_away():
    with Server("1400", "1000") as server, Client(server.address) as client:
        client.ask(b"hello\n")
        client.expect_end()
        server.expect(sessions=1, idle=1, left=0)


def more_than_there_is_room_for():
    """One for each worker: of three, one waits until the others are gone."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Server("1400", "60000", "1"))
        clients = [stack.enter_context(Client(server.address)) for _ in range(3)]
        for client in clients:
            client.send(b"hello\n")
        served = []
        while clients:
            outputs = {client.process.stdout: client for client in clients}
            # Nobody goes before all who can be served are: so one is there too many.
            ready = select.select(outputs, [], [], harness.PATIENCE if not served else 0.5)[0]
            assert ready or served, f"{len(clients)} wait"
            for output in ready:
                outputs[output].receive(b"hello\n")
                served.append(outputs[output])
                clients.remove(outputs[output])
            for client in served if not ready else ():
                client.close()
            served = served if ready else []
        for client in served:
            client.close()
        found = server.stop()
        assert sum(worker[0] for worker in found) == 3, found
        assert sum(worker[2] for worker in found) > 0, found


def refuses(*args):
    done = subprocess.run([DTLS, *args], capture_output=True, text=True, check=False,
                          timeout=harness.PATIENCE)
    return done.returncode, done.stderr


def says_what_is_wrong():
    missing = os.path.join(WORK, "missing.pem")
    assert refuses("127.0.0.1:0", missing, KEY) == \
        (1, f"dtls: no certificates in {missing}: No such file or directory\n")
    assert refuses("127.0.0.1:0", KEY, KEY)[1].startswith(f"dtls: no certificates in {KEY}: ")
    code, text = refuses("127.0.0.1:0", CERTIFICATE, CERTIFICATE)
    assert code == 1 and text.startswith(f"dtls: no key for them in {CERTIFICATE}: "), text
    assert refuses("127.0.0.1:0", CERTIFICATE, KEY, "255") == \
        (2, "dtls: MTU is a number from 256 to 4000, and not 255\n")
    assert refuses("127.0.0.1:0", CERTIFICATE, KEY, "300", "1s")[0] == 2
    assert refuses("127.0.0.1:0", CERTIFICATE)[0] == 2
    code, text = refuses("nowhere", CERTIFICATE, KEY)
    assert code == 1 and "nowhere" in text, text


CASES = [(case.__name__, case) for case in
         (echoes, many_at_once_and_a_goodbye, sigint_is_a_goodbye_too, mtu_300,
          lost_flight_comes_again, lost_end_comes_again, strangers_get_a_cookie,
          copies_change_nothing, begins_anew_from_the_same_port, idle_ones_are_sent_away,
          more_than_there_is_room_for, says_what_is_wrong)]

if __name__ == "__main__":
    if shutil.which("openssl") is None:
        print("skip: there is no openssl, the client (Debian: openssl)")
        sys.exit(harness.SKIPPED)
    harness.enter_namespace()
    try:
        make_certificate()
        sys.exit(harness.main(CASES))
    finally:
        shutil.rmtree(WORK)
