#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Judge a server's books by what others saw: check_ledger.py SERVER.json WITNESS.json

SERVER.json is what volley-echo --stats wrote at its end. WITNESS.json is what the client and the
kernel counted in a network namespace that held nothing but the two:

    sent, received     datagrams the clients sent, and replies they read
    copies             what the kernel made more of them: a broadcast reaches each socket
    client_drops       replies the kernel dropped at the clients' sockets (SO_MEMINFO)
    unreplied          datagrams the server was right not to reply to (low source ports)
    firewalled         datagrams that the firewall took from the server's sends
    bad_short          datagrams with a wrong checksum that the kernel judges before it looks for a
                       socket (76 bytes at most, with the UDP header); 0 when it is not given
    bad_long           longer ones, which it judges at the socket; 0 when it is not given
    Udp, Udp6          differences of the counters of /proc/net/snmp and /proc/net/snmp6

Prints one line per equation that does not hold and exits 1 if there is any. Nothing here asks the
library what it thinks of its own books.
"""
import json
import sys

EVERY_BOOK = ("rx_datagrams", "delivered", "rx_queued", "held_taken", "held_replied",
              "held_released", "held_expired", "held_abandoned", "held_now", "tx_requested",
              "tx_sent", "tx_queued", "rx_messages", "tx_messages", "discarded_at_close", "unread",
              "kernel_drops", "rx_batches", "rx_syscalls", "tx_syscalls", "tx_segmented")
RX_DROPS = ("truncated ctrunc ring_full pool_full bad_source expired stopped "
            "copy").split()
# Of the workers: 0 for a listener.
OF_WORKERS = ("rx_syscalls", "tx_syscalls")
TX_DROPS = ("EPERM EMSGSIZE ENETUNREACH EHOSTUNREACH EACCES EINVAL "
            "EOTHER refused no_buffer backlog_full timeout stopped").split()


def flat(books):
    """Counters by one name each: {"delivered": 1, "rx_dropped.truncated": 0, ...}."""
    counters = {name: books.get(name) for name in EVERY_BOOK}
    for group, names in (("rx_dropped", RX_DROPS), ("tx_dropped", TX_DROPS)):
        drops = books.get(group, {})
        counters.update({f"{group}.{name}": drops.get(name) for name in [*names, *drops]})
    return counters


def total(counters, group):
    return sum(n for name, n in counters.items() if name.startswith(group + "."))


def inner_equations(where, c):
    """The ledger's own three equations; they hold per worker and in total."""
    yield (f"{where}: rx_datagrams = delivered + rx_dropped + rx_queued",
           c["rx_datagrams"], c["delivered"] + total(c, "rx_dropped") + c["rx_queued"])
    yield (f"{where}: held_taken = held_replied + held_released + held_expired + held_abandoned"
           " + held_now", c["held_taken"], c["held_replied"] + c["held_released"]
           + c["held_expired"] + c["held_abandoned"] + c["held_now"])
    yield (f"{where}: tx_requested = tx_sent + tx_dropped + tx_queued",
           c["tx_requested"], c["tx_sent"] + total(c, "tx_dropped") + c["tx_queued"])


def sum_equations(c, workers, carried):
    """What the processes before this one have handed over is in the total and in no worker."""
    for name in c:
        yield (f"total {name} = sum over workers + carried", c[name],
               sum(w[name] for w in workers) + carried[name])


def listener_equations(c, listeners, closed, carried):
    """Every datagram is of one listener, of one that is closed, or was handed over."""
    for name in c:
        parts = sum(listener[name] for listener in listeners) + closed[name]
        if name in OF_WORKERS:
            yield f"{name} is no listener's", parts, 0
        else:
            yield (f"total {name} = sum over listeners + closed + carried", c[name],
                   parts + carried[name])


def outer_equations(c, w):
    """What the server says against what the clients and the kernel saw; final books only."""
    kernel = {name: w["Udp"].get(name, 0) + w["Udp6"].get(name, 0)
              for name in ("InDatagrams", "InErrors", "NoPorts", "OutDatagrams", "RcvbufErrors",
                           "SndbufErrors", "InCsumErrors")}
    short, long = w.get("bad_short", 0), w.get("bad_long", 0)
    yield ("nothing is left anywhere at the end", 0,
           c["rx_queued"] + c["tx_queued"] + c["held_now"] + c["unread"])
    yield ("no filter of ours, no unread handler ring, no held packet in an echo server", 0,
           c["held_taken"])
    yield ("messages are datagrams, as no client coalesces", c["rx_messages"], c["rx_datagrams"])
    saved = c["tx_sent"] - c["tx_messages"]
    yield ("a segmented send saves one message or more, any other none",
           (saved >= c["tx_segmented"], saved > 0), (True, c["tx_segmented"] > 0))
    yield ("the clients' datagrams, and copies = rx_messages + discarded_at_close + kernel_drops"
           " + refused + judged before a socket was found",
           w["sent"] + w.get("copies", 0), c["rx_messages"] + c["discarded_at_close"]
           + c["kernel_drops"] + kernel["NoPorts"] + short)
    yield ("kernel_drops = the kernel's InErrors less the clients', less those judged before",
           c["kernel_drops"], kernel["InErrors"] - w["client_drops"] - short)
    yield ("InCsumErrors = what was sent with a wrong checksum", kernel["InCsumErrors"],
           short + long)
    yield ("the kernel's InDatagrams = what the server and the clients read", kernel["InDatagrams"],
           c["rx_messages"] + c["discarded_at_close"] + w["received"])
    # Raw sockets make those with a wrong checksum, and count no OutDatagrams.
    yield ("tx_messages = the kernel's OutDatagrams less the clients' own, less the firewall's, and"
           " what a full device queue took unheard", c["tx_messages"],
           kernel["OutDatagrams"] - (w["sent"] - short - long) + kernel["SndbufErrors"])
    yield ("rx_dropped.copy = the kernel's copies", c["rx_dropped.copy"], w.get("copies", 0))
    yield ("what was sent arrived, or was taken by a full device queue unheard", c["tx_sent"],
           w["received"] + w["client_drops"] + kernel["SndbufErrors"])
    yield ("an echo server replies to all it is given", c["delivered"] - w["unreplied"],
           c["tx_requested"])
    yield ("tx_dropped.EPERM = what the firewall took", c["tx_dropped.EPERM"], w["firewalled"])


def judge(server, witness):
    """The equations that do not hold, as text."""
    counters = flat(server)
    workers = [flat(worker) for worker in server.get("workers", [])]
    carried = flat(server.get("carried", {}))
    listeners = [flat(listener) for listener in server.get("listeners", [])]
    closed = flat(server.get("closed", {}))
    missing = [name for books in (counters, carried, closed, *workers, *listeners)
               for name, n in books.items() if not isinstance(n, int)]
    if missing:
        return [f"{name} is missing or no number" for name in missing]
    equations = list(inner_equations("total", counters))
    for i, worker in enumerate(workers):
        equations += inner_equations(f"worker {i}", worker)
    equations += inner_equations("carried", carried)
    for i, listener in enumerate(listeners):
        equations += inner_equations(f"listener {i}", listener)
    equations += inner_equations("closed", closed)
    equations += sum_equations(counters, workers, carried)
    equations += listener_equations(counters, listeners, closed, carried)
    equations += outer_equations(counters, witness)
    equations.append(("no process has served that is in nobody's books",
                      server.get("missing_books"), 0))
    return [f"{what}: {left} is not {right}" for what, left, right in equations if left != right]


def main(argv):
    if len(argv) != 3:
        print(__doc__)
        return 2
    with open(argv[1], encoding="utf-8") as file:
        server = json.load(file)
    with open(argv[2], encoding="utf-8") as file:
        witness = json.load(file)
    problems = judge(server, witness)
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
