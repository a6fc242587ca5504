#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
volley-dns against NSD, Knot and BIND on random zones and random queries: the same rcode, AA and TC,
answer and authority as each of them, but for the differences of policy below. Usage:
test_differential.py N_QUERIES PEERS_FOLDER [SEED]. Every disagreement is printed with its zone.
"""
import os
import random
import socket
import sys
import tempfile

import dns_harness as h
import peers

try:
    import dns.flags
    import dns.message
    import dns.rdatatype
except ImportError:
    print("skip: python3-dnspython is not installed")
    sys.exit(77)

ORIGIN = "zone.test"
QUERIES_PER_ZONE = 500
TYPES = ["A", "A", "AAAA", "MX", "NS", "SOA", "TXT", "CNAME", "SRV", "PTR", "DNAME", "DS", "CAA",
         "TYPE65280"]
LABELS = ["a", "b", "c", "d", "www", "mail", "ns", "x-1", "_tcp", "*"]


class Zone:
    """Few labels on few levels, so that names meet in every way that they can."""

    def __init__(self, rng):
        self.rng = rng
        self.records = {}  # name -> {type: [data]}
        self.below_cut = set()
        self.add("@", "SOA", "ns.zone.test. hostmaster.zone.test. 1 3600 600 86400 300")
        self.add("@", "NS", "ns")
        self.add("@", "NS", "ns.elsewhere.test.")
        self.add("ns", "A", "192.0.2.1")
        for _ in range(rng.randint(10, 60)):
            self.add_random()
        self.clean()

    def name(self):
        return ".".join(self.rng.choice(LABELS) for _ in range(self.rng.randint(1, 4)))

    def target(self):
        if self.rng.random() < 0.15:
            return "host.elsewhere.test."
        return self.rng.choice([self.name(), self.rng.choice(list(self.records)), "ns"])

    def add(self, name, rtype, data):
        if name.startswith("*") and rtype in ("NS", "DNAME", "SOA"):
            return  # undefined, RFC 4592
        if name == "ns" and rtype in ("CNAME", "NS", "DNAME"):
            return  # BIND refuses a zone whose own server has no address
        self.records.setdefault(name, {}).setdefault(rtype, [])
        if data not in self.records[name][rtype]:
            self.records[name][rtype].append(data)

    def add_random(self):
        rng, name = self.rng, self.name()
        kind = rng.choices(["A", "AAAA", "MX", "TXT", "CNAME", "SRV", "NS", "DNAME", "TYPE65280",
                            "PTR", "CAA", "big"], [8, 4, 3, 3, 5, 2, 3, 1, 1, 1, 1, 0.3])[0]
        if kind == "A":
            for _ in range(rng.choice([1, 1, 2, 5])):
                self.add(name, "A", f"192.0.2.{rng.randrange(256)}")
        elif kind == "AAAA":
            self.add(name, "AAAA", f"2001:db8::{rng.randrange(65536):x}")
        elif kind == "MX":
            self.add(name, "MX", f"{rng.randrange(100)} {self.target()}")
        elif kind == "TXT":
            self.add(name, "TXT", f'"text {rng.randrange(1000)}"')
        elif kind == "SRV":
            self.add(name, "SRV", f"1 2 {rng.randrange(65536)} {self.target()}")
        elif kind == "NS":
            for _ in range(rng.choice([1, 2])):
                target = rng.choice([self.target(), "ns." + name])
                self.add(name, "NS", target)
                if target.startswith("ns.") and not target.endswith("."):
                    self.add(target, "A", f"192.0.2.{rng.randrange(256)}")
        elif kind == "TYPE65280":
            self.add(name, "TYPE65280", f"\\# 2 {rng.randrange(65536):04x}")
        elif kind == "CAA":
            self.add(name, "CAA", '0 issue "ca.test"')
        elif kind == "big":
            for i in range(rng.randint(20, 90)):
                self.add(name, "TXT", f'"{i:03} {"x" * 20}"')
        else:
            self.add(name, kind, self.target())

    def clean(self):
        """Take out what RFCs forbid, where servers differ in how they refuse it."""
        for name in list(self.records):
            types = self.records[name]
            if "CNAME" in types:
                self.records[name] = {"CNAME": types["CNAME"][:1]}
            elif "DNAME" in types:
                types["DNAME"] = types["DNAME"][:1]
                types.pop("NS", None)
        dnames = [n for n, t in self.records.items() if "DNAME" in t]
        for name in list(self.records):  # nothing below a DNAME
            if any(name.endswith("." + d) for d in dnames):
                del self.records[name]
        cuts = [n for n, t in self.records.items() if n != "@" and "NS" in t]
        for name in list(self.records):  # at and below a cut: NS and addresses
            if any(name.endswith("." + c) for c in cuts):
                keep = {t: d for t, d in self.records[name].items() if t in ("A", "AAAA")}
                self.records[name] = keep
            elif name in cuts:
                self.records[name] = {"NS": self.records[name]["NS"]}
            if not self.records[name]:
                del self.records[name]

    def text(self):
        lines = ["$TTL 3600", f"$ORIGIN {ORIGIN}."]
        for name, types in self.records.items():
            for rtype, datas in types.items():
                lines += [f"{name} {rtype} {data}" for data in datas]
        return "\n".join(lines) + "\n"

    def query(self):
        rng = self.rng
        name = rng.choice([self.name(), rng.choice(list(self.records)),
                           self.name() + "." + rng.choice(list(self.records))])
        name = "" if name == "@" else name.replace(".@", "").replace("@", "") + "."
        if rng.random() < 0.01:
            return "elsewhere.test", "A"
        if rng.random() < 0.1:
            name = name.upper()
        return (name + ORIGIN).lstrip("."), rng.choice(TYPES)


def view(message):
    """What must be equal: rcode, flags, answer and authority as sets of records."""
    flags = tuple(bool(message.flags & f) for f in (dns.flags.AA, dns.flags.TC))
    sections = []
    for section in (message.answer, message.authority):
        sections.append(frozenset(
            (r.name.canonicalize(), r.ttl, r.rdtype, d.to_digestable()) for r in section
            for d in r))
    return message.rcode(), flags, *sections


RCODE, FLAGS, ANSWER, AUTHORITY = range(4)


def types_of(records):
    return {r[2] for r in records}


def cname_loops(ours):
    """A CNAME whose target is the owner of another one in the answer, before it or itself."""
    owners = {r[0] for r in ours[ANSWER] if r[2] == dns.rdatatype.CNAME}
    return bool(ours[ANSWER]) and types_of(ours[ANSWER]) <= {5, 39} and len(owners) >= 1


# Differences of policy: (name, peers, test of (ours, theirs, qtype)).
RULES = [
    ("truncated answers: ours are empty, which amplifies least", peers.PEERS,
     lambda ours, theirs, qtype: ours[FLAGS][1] and theirs[FLAGS][1] and
     ours[RCODE] == theirs[RCODE]),
    ("how long a loop or chain of redirects is followed", peers.PEERS,
     lambda ours, theirs, qtype: len([r for r in ours[ANSWER] | theirs[ANSWER]
                                      if r[2] in (5, 39)]) > 3 or
     (cname_loops(ours) and ours[ANSWER] != theirs[ANSWER] and
      (ours[ANSWER] < theirs[ANSWER] or theirs[ANSWER] < ours[ANSWER]))),
    ("a loop or a chain that is too long: BIND adds SERVFAIL to it", ("bind",),
     lambda ours, theirs, qtype: theirs[RCODE] == 2 and
     types_of(theirs[ANSWER]) & {5, 39} and ours[ANSWER] <= theirs[ANSWER]),
    ("NS records behind a chain that ends at a cut", peers.PEERS,
     lambda ours, theirs, qtype: ours[:3] == theirs[:3] and ours[ANSWER] and
     types_of(ours[AUTHORITY] | theirs[AUTHORITY]) <= {2}),
]


def ask(client, port, packet):
    client.sendto(packet, ("127.0.0.1", port))
    while True:
        answer = client.recv(65535)
        if answer[:2] == packet[:2]:
            return dns.message.from_wire(answer)


def compare(zone, n_queries, servers, counts):
    """Ask all; returns disagreements."""
    bad = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(h.PATIENCE)
        for i in range(n_queries):
            name, qtype = zone.query()
            packet = dns.message.make_query(name, qtype, id=i & 0xffff, use_edns=0,
                                            payload=1232).to_wire()
            answers = {s: ask(client, port, packet) for s, port in servers.items()}
            ours = view(answers["volley"])
            excused = set()
            for peer, answer in answers.items():
                theirs = view(answer)
                if peer == "volley" or theirs == ours:
                    continue
                rule = next((r for r in RULES if peer in r[1] and r[2](ours, theirs, qtype)), None)
                if rule:
                    excused.add(rule[0])
                else:
                    bad.append((peer, name, qtype, answers["volley"], answer))
            counts["queries"] += 1
            counts["excused"] += bool(excused)
            for rule in excused:
                counts[rule] = counts.get(rule, 0) + 1
    return bad


def run_zone(seed, n_queries, root, counts):
    rng = random.Random(seed)
    zone = Zone(rng)
    with tempfile.TemporaryDirectory(prefix="volley-diff-") as folder:
        path = os.path.join(folder, "zone")
        with open(path, "w", encoding="ascii") as file:
            file.write(zone.text())
        running = []
        try:
            with h.Server([(ORIGIN, path)], "--workers", "1") as server:
                servers = {"volley": server.port}
                for name in peers.PEERS:
                    running.append(peers.start(name, root, ORIGIN, path))
                    servers[name] = running[-1].port
                bad = compare(zone, n_queries, servers, counts)
        finally:
            for peer in running:
                peer.close()
    for peer, name, qtype, ours, theirs in bad[:2]:
        print(f"seed {seed}: {name} {qtype}: not as {peer}\n--- ours\n{ours}\n--- {peer}\n"
              f"{theirs}\n", file=sys.stderr)
    if bad:
        print(zone.text(), file=sys.stderr)
    return len(bad)


def main():
    n_queries, root = int(sys.argv[1]), os.path.abspath(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    if not peers.unpack(root):
        print("skip: NSD, Knot and BIND cannot be downloaded here")
        sys.exit(77)
    counts = {"queries": 0, "excused": 0}
    n_bad = 0
    while counts["queries"] < n_queries and n_bad == 0:
        n_bad += run_zone(seed, min(QUERIES_PER_ZONE, n_queries - counts["queries"]), root, counts)
        seed += 1
    for name, count in counts.items():
        print(f"{count:8} {name}")
    few = counts["excused"] <= 0.01 * counts["queries"]
    if not few:
        print("the excuses touch more than 1 % of the queries")
    failed = n_bad + (not few)
    print(f"{counts['queries'] - n_bad} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
