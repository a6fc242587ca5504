# SPDX-License-Identifier: MIT
"""
The statistics say what they are (schema, version, pid, started, now), and whose they are: every
counter of a listener is exact, and the listeners add up to the total.
"""
import signal
import sys
import time

import harness

N_SENT = (7, 30, 1)  # to each listener
WORKERS_ONLY = ("rx_syscalls", "tx_syscalls", "wakes", "memory_bytes")


def get_counters(book):
    """Every counter of an object, {"rx_dropped.truncated": 0, "delivered": 1, ...}."""
    counters = {}
    for name, value in book.items():
        if isinstance(value, dict) and name.endswith("_dropped"):
            counters.update({f"{name}.{reason}": n for reason, n in value.items()})
        elif isinstance(value, int) and not isinstance(value, bool) and name != "index":
            counters[name] = value
    return counters


def serve(*args):
    before = time.time()
    with harness.Server(*args, listen=("127.0.0.1:0",) * len(N_SENT)) as server:
        pid = server.process.pid
        for n, address in zip(N_SENT, server.addresses):
            for _ in range(n):
                with harness.client(address) as client:
                    harness.ask(client, b"hello")
        with harness.client(server.addresses[0]) as client:
            client.send(b"too long for it" * 200)
            harness.ask(client, b"and that it was taken")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0, server.stderr
        return before, pid, server.addresses, server.stats()


def check_head():
    before, pid, _, stats = serve("--workers", "2", "--max-datagram", "2000")
    assert stats["schema"] == 1 and stats["pid"] == pid, stats
    assert stats["version"].count(".") == 2, stats["version"]
    assert before - 0.1 <= stats["started"] <= stats["now"] <= time.time() + 0.1, stats


def check_listeners(*args):
    _, _, addresses, stats = serve("--max-datagram", "2000", *args)
    books = stats["listeners"]
    assert [b["address"] for b in books] == [f"{host}:{port}" for host, port in addresses], books
    for n, address, book in zip(N_SENT, addresses, books):
        n += 1 if address == addresses[0] else 0
        assert (book["delivered"], book["tx_sent"], book["rx_messages"]) == (
            n, n, book["rx_datagrams"]), book
    assert [b["rx_dropped"]["truncated"] for b in books] == [1, 0, 0], books
    parts = [get_counters(book) for book in (*books, stats["closed"], stats["carried"])]
    for name, n in get_counters(stats).items():
        if name not in ("schema", "pid", *WORKERS_ONLY):
            assert sum(part.get(name, 0) for part in parts) == n, name


if __name__ == "__main__":
    harness.enter_namespace()
    sys.exit(harness.main([("head", check_head),
                           ("listeners", check_listeners),
                           ("listeners, handlers", lambda: check_listeners("--handlers", "2"))]))
