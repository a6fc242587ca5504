#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
The examples whose callbacks wait, and volley-echo with handlers, on real traffic: nothing is lost,
each reply reaches the one who asked, the books balance, and eight handlers wait at the same time.
"""
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import time

import harness
from harness import Server

SLOW = os.environ["VOLLEY_SLOW"]
FORWARD = os.environ["VOLLEY_FORWARD"]


class Program(harness.Example):
    def wait(self):
        books = super().wait()
        balance(books)
        return books


def balance(books):
    assert books["rx_datagrams"] == (books["delivered"] + sum(books["rx_dropped"].values()) +
                                     books["rx_queued"]), books
    assert books["tx_requested"] == (books["tx_sent"] + sum(books["tx_dropped"].values()) +
                                     books["tx_queued"]), books
    assert books["held_taken"] == (books["held_replied"] + books["held_released"] +
                                   books["held_expired"] + books["held_abandoned"] +
                                   books["held_now"]), books
    assert books["rx_queued"] == 0 and books["tx_queued"] == 0 and books["held_now"] == 0, books


def ask_in_turns(address, n_ports, n_each):
    """Each port has one request under way until it has had n_each replies. Seconds it took."""
    poller = select.epoll()
    clients = {}
    for _ in range(n_ports):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.connect(address)
        clients[client.fileno()] = [client, 0]
        poller.register(client, select.EPOLLIN)
    start = time.monotonic()
    for fd, (client, _) in clients.items():
        client.send(struct.pack("!II", fd, 0))
    n_open = n_ports
    while n_open > 0:
        events = poller.poll(harness.PATIENCE)
        assert events, f"{n_open} ports wait for a reply"
        for fd, _ in events:
            client, number = clients[fd]
            assert client.recv(64) == struct.pack("!II", fd, number), "somebody else's reply"
            clients[fd][1] = number + 1
            if number + 1 < n_each:
                client.send(struct.pack("!II", fd, number + 1))
            else:
                n_open -= 1
    took = time.monotonic() - start
    for client, _ in clients.values():
        client.close()
    return took


def slow_waits_in_parallel(n_ports, n_each):
    with Program(SLOW) as slow:
        took = ask_in_turns(slow.address, n_ports, n_each)
        books = slow.stop()
    n = n_ports * n_each
    print(f"  slow: {n / took:.0f} replies per second to {n_ports} ports")
    assert books["delivered"] == books["tx_sent"] == n, books
    assert books["kernel_drops"] == 0
    # One thread that waits a millisecond each time cannot reply to a thousand a second.
    assert n / took > 2000, f"{n / took:.0f} replies per second: the handlers do not wait at once"


def slow_4096_ports():
    slow_waits_in_parallel(4096, 2)


def slow_64_ports():
    slow_waits_in_parallel(64, 100)


def slow_stops_in_the_middle():
    with Program(SLOW) as slow:
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.connect(slow.address)
        for _ in range(300):
            client.send(b"x" * 16)
        slow.process.send_signal(signal.SIGTERM)  # and stop() sends the second
        books = slow.stop()
    assert books["rx_datagrams"] == 300, books
    assert books["delivered"] + books["rx_dropped"]["stopped"] == 300, books


def forward_finds_the_way_back():
    upstream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    upstream.bind(("127.0.0.1", 0))
    upstream.settimeout(harness.PATIENCE)
    with Program(FORWARD, f"127.0.0.1:{upstream.getsockname()[1]}") as forward:
        clients = []
        for i in range(50):
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            client.settimeout(harness.PATIENCE)
            # All of them with the same ID: the forwarder must tell them apart.
            client.sendto(b"\x12\x34" + b"question %d" % i, forward.address)
            clients.append(client)
        requests = [upstream.recvfrom(4096) for _ in clients]
        assert len({request[:2] for request, _ in requests}) == 50, "an ID was used twice"
        back = requests[0][1]
        upstream.sendto(b"\0", back)  # too short to be a reply
        stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        stranger.sendto(requests[0][0][:2] + b"forged", back)
        for request, address in reversed(requests):
            upstream.sendto(request[:2] + b"reply to " + request[2:], address)
            upstream.sendto(request[:2] + b"reply to " + request[2:], address)  # twice
        for i, client in enumerate(clients):
            assert client.recv(4096) == b"\x12\x34reply to question %d" % i
        clients[0].sendto(b"\x00\x01nobody replies", forward.address)
        upstream.recv(4096)
        books = forward.stop()
    assert books["held_replied"] == 50 and books["held_expired"] == 1, books
    assert books["tx_foreign"] == 50 and books["tx_sent"] == 101, books


def forward_drains():
    """SIGTERM while the upstream thinks: clients are refused, and who has asked gets a reply."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as upstream:
        upstream.bind(("127.0.0.1", 0))
        upstream.settimeout(harness.PATIENCE)
        with Program(FORWARD, f"127.0.0.1:{upstream.getsockname()[1]}") as forward:
            clients = [harness.client(forward.address) for _ in range(20)]
            for i, client in enumerate(clients):
                client.send(b"\x12\x34question %d" % i)
            requests = [upstream.recvfrom(4096) for _ in clients]
            late = harness.client(forward.address)
            late.send(b"\x00\x01is it refused?")
            forward.process.send_signal(signal.SIGTERM)
            while select.select([upstream], [], [], 0.2)[0]:
                upstream.sendto(*upstream.recvfrom(4096))
                late.send(b"\x00\x01is it refused?")
            assert forward.process.poll() is None, "nobody waits for the upstream"
            for request, address in requests:
                upstream.sendto(request[:2] + b"reply to " + request[2:], address)
            for i, client in enumerate(clients):
                assert client.recv(4096) == b"\x12\x34reply to question %d" % i
            begin = time.monotonic()
            books = forward.wait()
            assert time.monotonic() - begin < 1, "it waits for nobody"
        for client in (*clients, late):
            client.close()
    assert books["held_replied"] == books["held_taken"] >= 21, books
    assert books["kernel_drops"] == 1, books


def forward_ends_at_once():
    """The second SIGTERM: whoever waits gets no reply, and is counted."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as upstream:
        upstream.bind(("127.0.0.1", 0))
        upstream.settimeout(harness.PATIENCE)
        with Program(FORWARD, f"127.0.0.1:{upstream.getsockname()[1]}") as forward:
            with harness.client(forward.address) as client:
                client.send(b"\x00\x01hello")
                upstream.recv(4096)
                forward.process.send_signal(signal.SIGTERM)
                client.send(b"\x00\x02is it refused?")
                while select.select([upstream], [], [], 0.1)[0]:  # two at once are one signal
                    upstream.sendto(*upstream.recvfrom(4096))
                    client.send(b"\x00\x02is it refused?")
                begin = time.monotonic()
                books = forward.stop()  # sends the second
            assert time.monotonic() - begin < 1, "it waited"
    assert books["held_abandoned"] == 1, books


def forward_gives_up_in_time():
    upstream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    upstream.bind(("127.0.0.1", 0))
    with Program(FORWARD, f"127.0.0.1:{upstream.getsockname()[1]}") as forward:
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.sendto(b"\x00\x01hello", forward.address)
        request, back = upstream.recvfrom(4096)
        time.sleep(2.2)  # its two seconds are what is tested
        upstream.sendto(request, back)
        books = forward.stop()
    assert books["held_expired"] == 1 and books["held_replied"] == 0, books


def both_end_at_once():
    """They said that they are ready, so a signal is for them."""
    for args in ((SLOW,), (FORWARD, "127.0.0.1:9")):
        for _ in range(50):
            with Program(*args) as program:
                program.stop()


def echo_with_handlers():
    for wait in "event", "spin":
        with Server("--handlers", "3", "--workers", "2", "--wait", wait) as server:
            ask_in_turns(server.address, 64, 50)
            books = server.stop()
        balance(books)
        assert books["tx_sent"] == 64 * 50, books


def block_refuses_handlers():
    run = subprocess.run([harness.ECHO, "--listen", "127.0.0.1:0", "--handlers", "1", "--wait",
                          "block"], capture_output=True, text=True, check=False)
    assert run.returncode == 1 and "handlers" in run.stderr, run


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, max(
        8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    harness.enter_namespace()
    sys.exit(harness.main([(case.__name__.replace("_", " "), case) for case in (
        slow_4096_ports, slow_64_ports, slow_stops_in_the_middle, forward_finds_the_way_back,
        forward_gives_up_in_time, forward_drains, forward_ends_at_once, both_end_at_once,
        echo_with_handlers, block_refuses_handlers)]))
