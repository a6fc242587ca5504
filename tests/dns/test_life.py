#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
A running server's life: SIGHUP under load (nothing lost, nothing answered from half a zone), a bad
reload, rate limiting, the limits of TCP, SIGTERM.
"""
import json
import os
import signal
import socket
import struct
import tempfile
import time

import dns_harness as h


def zone_text(serial, n_names=200):
    """Every record of a version says which version it is of."""
    lines = ["$TTL 60", f"@ SOA ns h {serial} 2 3 4 5", "@ NS ns", "ns A 192.0.2.1"]
    lines += [f"n{i} TXT v{serial} n{i}" for i in range(n_names)]
    return "\n".join(lines) + "\n"


def write(path, text):
    """A zone file is replaced, never half there."""
    with open(path + ".new", "w", encoding="ascii") as file:
        file.write(text)
    os.rename(path + ".new", path)


def read_version(answer):
    text = answer[answer.rindex(b"\xc0\x0c") + 13:]
    return int(text[:text.index(b"n") - 1].lstrip(b"v"))


def reload_under_load():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "zone")
        write(path, zone_text(1))
        with h.Server([("example.org", path)], "--workers", "2") as server:
            clients = []
            for _ in range(4):
                client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                client.settimeout(h.PATIENCE)
                client.connect(("127.0.0.1", server.port))
                clients.append(client)
            newest, sent, versions = 1, 0, set()
            for round_number in range(20):
                newest += 1
                write(path, zone_text(newest))
                server.signal(signal.SIGHUP)
                server.read_stderr(0)
                for client in clients:
                    low = 0  # what one socket sees never goes back: one worker, one pointer
                    for i in range(50):
                        name = f"n{(sent + i) % 200}.example.org"
                        client.send(h.make_query(sent & 0xffff, name, 16))
                        answer = client.recv(65535)
                        assert struct.unpack("!H", answer[:2])[0] == sent & 0xffff
                        assert struct.unpack("!5H", answer[2:12]) == (0x8400, 1, 1, 0, 0), answer
                        version = read_version(answer)
                        assert low <= version <= newest, (low, version, newest)
                        low = version
                        versions.add(version)
                        sent += 1
                deadline = time.monotonic() + h.PATIENCE
                while round_number % 5 == 4 and newest not in versions:  # loads may be merged
                    assert time.monotonic() < deadline, versions
                    clients[0].send(h.make_query(1, "n1.example.org", 16))
                    versions.add(read_version(clients[0].recv(65535)))
                    sent += 1
            assert len(versions) > 3, versions
            for client in clients:
                client.close()
            stats = server.stop()
            assert stats["dns"]["queries"] == sent == stats["tx_sent"], stats["dns"]
            assert stats["dns"]["reloads"] >= 4 and stats["kernel_drops"] == 0


def bad_reload():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "zone")
        write(path, zone_text(1))
        with h.Server([("example.org", path)], "--workers", "2") as server:
            write(path, zone_text(2) + "broken A 1.2\n")
            server.signal(signal.SIGHUP)
            server.wait_for("reloaded (1 of 1 zones refused)")
            assert "what was loaded before stays" in server.stderr
            for transport in ("+notcp", "+tcp"):
                assert '"v1" "n7"' in server.tool("dig", transport, "TXT", "n7.example.org")
            os.unlink(path)
            server.signal(signal.SIGHUP)
            server.wait_for("reloaded (1 of 1 zones refused)", 2)
            assert '"v1" "n7"' in server.tool("dig", "TXT", "n7.example.org")
            write(path, zone_text(3))
            server.signal(signal.SIGHUP)
            server.wait_for("reloaded (0 of 1 zones refused)")
            deadline = time.monotonic() + h.PATIENCE
            for transport in ("+notcp", "+tcp"):
                while '"v3" "n7"' not in server.tool("dig", transport, "TXT", "n7.example.org"):
                    assert time.monotonic() < deadline
            server.stop()


def rate_limit():
    with h.Server([("example.org", h.SAMPLE)], "--workers", "1", "--rrl", "10",
                  "--rrl-slip", "4") as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect(("127.0.0.1", server.port))
            for i in range(200):
                client.send(h.make_query(i, "www.example.org", 1))
            client.settimeout(0.5)
            whole = slipped = 0
            try:
                while True:
                    answer = client.recv(65535)
                    slipped += answer[2] >> 1 & 1
                    whole += 1 - (answer[2] >> 1 & 1)
            except socket.timeout:
                pass
            for i in range(200):  # names that are made up are of one kind
                client.send(h.make_query(i, f"x{i}.wild.example.org", 16))
            made_up = 0
            try:
                while True:
                    made_up += 1 - (client.recv(65535)[2] >> 1 & 1)
            except socket.timeout:
                pass
        assert 10 <= whole <= 40, whole  # a second or two may pass
        assert 10 <= made_up <= 40, made_up
        assert 200 - whole >= 4 * slipped > 0.8 * (200 - whole), (whole, slipped)
        # a good cookie is not limited
        out = server.tool("dig", "+time=1", "+tries=20", "+cookie", "www.example.net")
        assert "REFUSED" in out or "192.0.2" in out, out
        dns = server.stop()["dns"]
        assert dns["rrl_slipped"] >= slipped
        assert dns["rrl_dropped"] + dns["rrl_slipped"] >= 200 - whole, dns


def tcp_idle():
    with h.Server([("example.org", h.SAMPLE)], "--workers", "1", "--tcp-idle", "1") as server:
        packet = h.make_query(1, "www.example.org", 1)
        with socket.create_connection(("127.0.0.1", server.port), timeout=h.PATIENCE) as client:
            client.sendall(struct.pack("!H", len(packet)) + packet)
            begin = time.monotonic()
            while client.recv(1000):  # the answer, then the idle close
                pass
            assert 0.5 < time.monotonic() - begin < 10
        response = bytes([packet[0], packet[1], 0x80]) + packet[3:]
        with socket.create_connection(("127.0.0.1", server.port), timeout=h.PATIENCE) as client:
            client.sendall(struct.pack("!H", len(response)) + response)
            try:
                assert client.recv(1) == b""  # no answer to a response
            except ConnectionResetError:
                pass
        tcp = server.stop()["dns"]["tcp"]
        assert tcp["connections"] == 2 and tcp["queries"] == 1, tcp


def statistics():
    with h.Server([("example.org", h.SAMPLE)], "--workers", "1") as server:
        server.tool("dig", "www.example.org")
        server.signal(signal.SIGUSR1)
        deadline = time.monotonic() + h.PATIENCE
        text = ""
        while not text.rstrip().endswith("}"):
            assert time.monotonic() < deadline
            if os.path.exists(server.stats_path):
                with open(server.stats_path, encoding="utf-8") as file:
                    text = file.read()
        stats = json.loads(text)
        assert stats["dns"]["queries"] == 1 and stats["dns"]["rcodes"]["NOERROR"] == 1
        assert stats["dns"]["answer_bytes"] > stats["dns"]["query_bytes"] > 0
        assert stats["dns"]["largest_answer_percent"] >= 100
        server.stop()


def ipv6():
    if not socket.has_ipv6 or not os.path.exists("/proc/net/if_inet6"):
        print("skip: no IPv6")
        return
    with h.Server([("example.org", h.SAMPLE)], listen=("127.0.0.1:0", "[::1]:0")) as server:
        for port, address in zip(server.ports, ("127.0.0.1", "::1")):
            for transport in ("+notcp", "+tcp"):
                server.port = port
                out = server.tool("dig", "@" + address, transport, "www.example.org")
                assert "192.0.2.4" in out, out
        server.stop()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with h.Server([("example.org", h.SAMPLE)],
                  listen=(f"0.0.0.0:{port}", f"[::]:{port}")) as server:
        for address in ("127.0.0.1", "::1"):
            for transport in ("+notcp", "+tcp"):
                out = server.tool("dig", "@" + address, transport, "www.example.org")
                assert "192.0.2.4" in out, out
        server.stop()


if __name__ == "__main__":
    h.need("dig")
    h.run([(f.__name__, f) for f in (reload_under_load, bad_reload, rate_limit, tcp_idle,
                                     statistics, ipv6)])
