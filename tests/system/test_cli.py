#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
volley-echo's command line, signals and statistics: exit codes, a sentence for every mistake that
says what to do, draining, and every name in the JSON.
"""
import json
import os
import signal
import socket
import stat
import sys
import time

import harness
from check_ledger import EVERY_BOOK, RX_DROPS, TX_DROPS

# Run a program without the privilege to exceed rmem_max.
NO_NET_ADMIN = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")


def usage_error(args, *words):
    """Exit code 2, one sentence on stderr that contains the words, nothing on stdout."""
    def case():
        code, out, err = harness.run(*args)
        assert code == 2, (code, err)
        assert out == "", out
        assert "volley-echo: " in err.splitlines()[0] and err.count("\n") in (1, 2), err
        for word in words:
            assert word in err, f"no '{word}' in: {err}"
    return case


def runtime_error(args, *words, prefix=()):
    def case():
        code, _, err = harness.run(*args, prefix=prefix)
        assert code == 1, (code, err)
        for word in words:
            assert word in err, f"no '{word}' in: {err}"
    return case


def port_in_use():
    """A second volley-echo gets EADDRINUSE although both would share the port with SO_REUSEPORT."""
    with harness.Server("--workers", "2") as server:
        code, _, err = harness.run("--listen", f"127.0.0.1:{server.port}")
        assert code == 1, (code, err)
        assert "in use" in err and str(server.port) in err, err
        # What it advises exists: a flag of the library, no option.
        assert "share_port" not in err and "VOLLEY_LISTEN_SHARE_PORT" in err, err
        with harness.client(server.address) as sock:
            for _ in range(50):  # and the first one keeps all its traffic
                harness.ask(sock, b"mine")


def port_in_use_by_another():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        code, _, err = harness.run("--listen", f"127.0.0.1:{other.getsockname()[1]}")
        assert code == 1 and "in use" in err, (code, err)


def rcvbuf_refused():
    """Without CAP_NET_ADMIN the kernel gives rmem_max: a warning, and the server serves."""
    most = int(open("/proc/sys/net/core/rmem_max", encoding="ascii").read())
    with harness.Server("--rcvbuf", str(most * 4), stats=False, prefix=NO_NET_ADMIN) as server:
        with harness.client(server.address) as sock:
            harness.ask(sock, b"still serving")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert server.stderr.count("warning") == 1, server.stderr
        assert "net.core.rmem_max" in server.stderr, server.stderr
        assert str(most) in server.stderr and str(most * 4) in server.stderr, server.stderr


def default_rcvbuf_is_quiet():
    """Nobody asked for a size, so nobody is warned."""
    with harness.Server(stats=False, prefix=NO_NET_ADMIN) as server:
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert "warning" not in server.stderr, server.stderr


def help_and_version():
    code, out, err = harness.run("--help")
    assert code == 0 and err == "" and out.startswith("Usage: volley-echo"), (code, out, err)
    for option in ("--listen --workers --handlers --io --batch --wait --no-coalesce --pin --rcvbuf "
                   "--sndbuf --max-datagram --allow-low-ports --stats --version --help").split():
        assert option in out, option
    code, out, err = harness.run("--version")
    assert code == 0 and err == "" and out.count("\n") == 1 and "0." in out, (code, out, err)


def ready_line():
    for listen, shown in (("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1")):
        with harness.Server("--workers", "3", "--io", "msg", listen=(listen,)) as server:
            line = server.stderr.splitlines()[0]
            host = f"[{shown}]" if ":" in shown else shown
            assert line == f"volley-echo: ready on {host}:{server.port} (3 workers, msg)", line
            assert server.port != 0


def ends_on(signo, wait):
    def case():
        with harness.Server("--wait", wait, "--workers", "2") as server:
            with harness.client(server.address) as sock:
                harness.ask(sock, b"x")
            begin = time.monotonic()
            server.signal(signo)
            code = server.wait()
            assert code == 0, (code, server.stderr)
            assert time.monotonic() - begin < 5, "an idle server takes long to end"
            assert server.stats()["delivered"] == 1
    return case


def sigterm_drains(wait, io):
    """
    What is queued when SIGTERM comes is served. The server is frozen while the datagrams and then
    the signal arrive, so all of them are queued before it can look.
    """
    def case():
        n = 500
        with harness.Server("--wait", wait, "--io", io, "--workers", "1") as server:
            with harness.client(server.address) as sock:
                harness.ask(sock, b"first")
                freeze(server)
                for i in range(n):
                    sock.send(b"%d" % i)
                server.signal(signal.SIGTERM)
                server.signal(signal.SIGCONT)
                assert server.wait() == 0, server.stderr
                sock.settimeout(0)
                replies = [sock.recv(100) for _ in range(n)]
                assert replies == [b"%d" % i for i in range(n)]
            stats = server.stats()
            assert stats["tx_sent"] == n + 1 and stats["discarded_at_close"] == 0, stats
            assert stats["unread"] == 0, stats
    return case


def freeze(server):
    """SIGSTOP, and wait until every thread has stopped."""
    server.signal(signal.SIGSTOP)
    folder = f"/proc/{server.process.pid}/task"
    deadline = time.monotonic() + harness.PATIENCE
    while time.monotonic() < deadline:
        states = set()
        for tid in os.listdir(folder):
            with open(f"{folder}/{tid}/stat", encoding="ascii") as file:
                states.add(file.read().rpartition(")")[2].split()[0])
        if states == {"T"}:
            return
    raise AssertionError(f"the server does not stop: {states}")


def second_sigterm_stops():
    """Both signals are there when it wakes: it ends at once, and the books tell what was left."""
    n = 2000
    with harness.Server("--workers", "1", "--batch", "1") as server:
        with harness.client(server.address) as sock:
            harness.ask(sock, b"first")
            freeze(server)
            for i in range(n):
                sock.send(b"%d" % i)
            # Standard signals coalesce, so the second one is SIGINT.
            server.signal(signal.SIGTERM)
            server.signal(signal.SIGINT)
            server.signal(signal.SIGCONT)
            assert server.wait(5) == 0, server.stderr
        stats = server.stats()
        assert stats["rx_datagrams"] + stats["discarded_at_close"] == n + 1, stats
        assert stats["rx_datagrams"] == stats["tx_sent"], stats


def sigusr1_writes():
    with harness.Server("--workers", "2") as server:
        with harness.client(server.address) as sock:
            for expected in (1, 2):
                harness.ask(sock, b"x")
                os.truncate(server.stats_path, 0)
                stats = ask_for_stats(server, expected)
                assert stats["delivered"] == stats["tx_sent"] == expected, stats
        assert server.stop()["delivered"] == 2


def ask_for_stats(server, expected):
    """A reply arrives before its volley is over, and the books are published when it is."""
    deadline = time.monotonic() + harness.PATIENCE
    while True:
        server.signal(signal.SIGUSR1)
        stats = wait_for_stats(server)
        if stats["delivered"] == expected or time.monotonic() > deadline:
            return stats


def wait_for_stats(server):
    deadline = time.monotonic() + harness.PATIENCE
    while time.monotonic() < deadline:
        try:
            return server.stats()
        except json.JSONDecodeError:
            time.sleep(0.001)  # polls a file; nothing depends on the length
    raise AssertionError("SIGUSR1 wrote nothing")


def stats_to_stdout():
    with harness.Server("--stats", "-", stats=False) as server:
        with harness.client(server.address) as sock:
            harness.ask(sock, b"x")
        server.signal(signal.SIGTERM)
        out = server.process.stdout.read()
        assert server.wait() == 0
        assert json.loads(out)["delivered"] == 1


def stats_names():
    with harness.Server("--workers", "3") as server:
        with harness.client(server.address) as sock:
            harness.ask(sock, b"x")
        stats = server.stop()
    for books in (stats, *stats["workers"]):
        for name in EVERY_BOOK:
            assert isinstance(books[name], int) and books[name] >= 0, (name, books.get(name))
        for name, names in (("rx_dropped", RX_DROPS), ("tx_dropped", TX_DROPS)):
            assert list(books[name]) == names, (name, books[name])
    assert len(stats["workers"]) == 3
    assert stats["datagrams_exact"] is True
    for name in EVERY_BOOK:
        assert stats[name] == sum(worker[name] for worker in stats["workers"]), name
    assert stats["rx_batches"] >= 1 and stats["rx_syscalls"] >= stats["rx_batches"]


def stats_not_writable():
    code, _, err = harness.run("--listen", "127.0.0.1:0", "--stats", "/nonexistent/file",
                               prefix=("timeout", "--preserve-status", "-s", "TERM", "1"))
    assert code in (1, 2) and "/nonexistent/file" in err, (code, err)


def descriptors_are_private():
    """Every descriptor it opens is close-on-exec."""
    with harness.Server("--workers", "2", listen=("127.0.0.1:0", "[::1]:0")) as server:
        folder = f"/proc/{server.process.pid}/fdinfo"
        opened = [fd for fd in os.listdir(folder) if int(fd) > 2]
        assert len(opened) >= 4
        for fd in opened:
            with open(f"{folder}/{fd}", encoding="ascii") as file:
                flags = next(line for line in file if line.startswith("flags:"))
            if not stat.S_ISREG(os.stat(f"/proc/{server.process.pid}/fd/{fd}").st_mode):
                assert int(flags.split()[1], 8) & os.O_CLOEXEC, (fd, flags)


def listen(*args):
    return ("--listen", "127.0.0.1:0", *args)


CASES = [
    ("no --listen", usage_error((), "--listen")),
    ("bad address", usage_error(("--listen", "300.1.1.1:7"), "300.1.1.1:7", "127.0.0.1")),
    ("no port", usage_error(("--listen", "127.0.0.1"), "127.0.0.1")),
    ("bad port", usage_error(("--listen", "127.0.0.1:70000"), "70000")),
    ("host name", usage_error(("--listen", "localhost:7"), "localhost:7")),
    ("batch 0", usage_error(listen("--batch", "0"), "batch", "1024")),
    ("batch 1025", usage_error(listen("--batch", "1025"), "batch", "1024")),
    ("batch x", usage_error(listen("--batch", "x"), "batch")),
    ("workers 0", usage_error(listen("--workers", "0"), "workers")),
    ("workers -1", usage_error(listen("--workers", "-1"), "workers")),
    ("max-datagram 65536", usage_error(listen("--max-datagram", "65536"), "65535")),
    ("unknown backend", usage_error(listen("--io", "carrier-pigeon"), "carrier-pigeon", "mmsg")),
    ("unknown wait", usage_error(listen("--wait", "nap"), "nap", "block")),
    ("unknown option", usage_error(listen("--frobnicate"), "frobnicate")),
    ("argument", usage_error(listen("argument"))),
    ("option without its value", usage_error(("--listen",), "listen")),
    ("too many handlers", usage_error(listen("--handlers", "257"), "handlers")),
    ("address not ours", runtime_error(("--listen", "192.0.2.1:7"), "192.0.2.1")),
    ("block with two listeners", runtime_error(listen("--listen", "[::1]:0", "--wait", "block"),
                                               "block")),
    ("port in use by volley", port_in_use),
    ("port in use by another", port_in_use_by_another),
    ("rcvbuf refused", rcvbuf_refused),
    ("rcvbuf not asked for", default_rcvbuf_is_quiet),
    ("help and version", help_and_version),
    ("ready line", ready_line),
    *[(f"{name} ends, {wait}", ends_on(signo, wait))
      for name, signo in (("SIGTERM", signal.SIGTERM), ("SIGINT", signal.SIGINT))
      for wait in ("event", "block", "spin")],
    *[(f"SIGTERM drains, {wait}, {io}", sigterm_drains(wait, io))
      for wait in ("event", "block", "spin") for io in ("mmsg", "msg")],
    ("second signal stops", second_sigterm_stops),
    ("SIGUSR1 writes", sigusr1_writes),
    ("stats to stdout", stats_to_stdout),
    ("stats names", stats_names),
    ("stats not writable", stats_not_writable),
    ("close-on-exec", descriptors_are_private),
]

if __name__ == "__main__":
    harness.enter_namespace()
    sys.exit(harness.main(CASES))
