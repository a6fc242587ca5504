#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Answers of the sample zone and of zones that meet: exact, wildcard, CNAME, DNAME, delegation,
negative; truncation and TCP; EDNS, cookies, NSID, TSIG; with dnspython, kdig and drill as clients.
"""
import os
import random
import socket
import struct
import sys
import tempfile
import time

import dns_harness as h

try:
    import dns.edns
    import dns.flags
    import dns.message
    import dns.name
    import dns.query
    import dns.rcode
    import dns.rdatatype
except ImportError:
    print("skip: python3-dnspython is not installed")
    sys.exit(77)

CHILD = """$TTL 60
@ SOA ns.child hostmaster 1 2 3 4 5
@ NS ns.child.example.org.
@ A 192.0.2.77
up CNAME www.example.org.
"""
ROOT_ALIAS = """$TTL 60
@ SOA ns h 1 2 3 4 5
@ NS ns
@ DNAME example.org.
"""
SERVER = None


def query(name, qtype="A", tcp=False, **keywords):
    keywords.setdefault("use_edns", 0)
    keywords.setdefault("payload", 1232)
    message = dns.message.make_query(name, qtype, **keywords)
    send = dns.query.tcp if tcp else dns.query.udp
    return send(message, "127.0.0.1", port=SERVER.port, timeout=h.PATIENCE)


def texts(section):
    return sorted(f"{r.name.to_text()} {r.ttl} {dns.rdatatype.to_text(r.rdtype)} {d.to_text()}"
                  for r in section for d in r)


SOA5 = ("example.org. 300 SOA ns1.example.org. hostmaster.example.org. "
        "2026112201 7200 1800 1209600 300")


def expect(name, qtype, rcode="NOERROR", aa=True, answer=(), authority=(), additional=()):
    def case():
        for tcp in (False, True):
            a = query(name, qtype, tcp)
            assert dns.rcode.to_text(a.rcode()) == rcode, a
            assert bool(a.flags & dns.flags.AA) == aa, a
            assert not a.flags & (dns.flags.TC | dns.flags.RA), a
            assert texts(a.answer) == sorted(answer), texts(a.answer)
            assert texts(a.authority) == sorted(authority), texts(a.authority)
            assert texts(a.additional) == sorted(additional), texts(a.additional)
    return case


def o(name, ttl, data):
    return f"{name}.example.org. {ttl} {data}"


MAIL = [o("mail", 300, "A 192.0.2.3"), o("mail", 300, "AAAA 2001:db8::3")]
WWW = o("www", 3600, "A 192.0.2.4")
NS1 = [o("ns1", 3600, "A 192.0.2.1"), o("ns1", 3600, "AAAA 2001:db8::1")]
REFERRAL = {
    "aa": False,
    "authority": ["child.example.org. 3600 NS ns.child.example.org.",
                  "child.example.org. 3600 NS ns1.example.org."],
    "additional": [o("ns.child", 3600, "A 192.0.2.53"), *NS1]}

TABLE = [
    ("exact", expect("www.example.org", "A", answer=[WWW])),
    ("mx with additional", expect("example.org", "MX", answer=[
        "example.org. 3600 MX 10 mail.example.org.", "example.org. 3600 MX 20 mail.example.net."],
        additional=MAIL)),
    ("srv with additional", expect("_sip._udp.example.org", "SRV", answer=[
        o("_sip._udp", 3600, "SRV 10 5 5060 mail.example.org.")], additional=MAIL)),
    ("ns with additional", expect("example.org", "NS", answer=[
        "example.org. 3600 NS ns1.example.org.", "example.org. 3600 NS ns2.example.org."],
        additional=[*NS1, o("ns2", 3600, "A 192.0.2.2")])),
    ("nodata", expect("www.example.org", "MX", authority=[SOA5])),
    ("nxdomain", expect("none.example.org", "A", "NXDOMAIN", authority=[SOA5])),
    ("nxdomain below a name", expect("a.b.c.www.example.org", "A", "NXDOMAIN", authority=[SOA5])),
    ("empty non-terminal", expect("ent.example.org", "A", authority=[SOA5])),
    ("below an empty non-terminal", expect("x.ent.example.org", "A", "NXDOMAIN",
                                           authority=[SOA5])),
    ("unknown type", expect("unknown.example.org", "TYPE65280", answer=[
        o("unknown", 3600, "TYPE65280 \\# 4 0a000001")])),
    ("type 0", expect("www.example.org", "TYPE0", authority=[SOA5])),
    ("wildcard", expect("x.y.wild.example.org", "TXT", answer=[
        o("x.y.wild", 3600, 'TXT "any name below wild"')])),
    ("wildcard with compression", expect("q.wild.example.org", "MX", answer=[
        o("q.wild", 3600, "MX 5 mail.example.org.")], additional=MAIL)),
    ("wildcard nodata", expect("q.wild.example.org", "A", authority=[SOA5])),
    ("wildcard's own name", expect("*.wild.example.org", "TXT", answer=[
        o("*.wild", 3600, 'TXT "any name below wild"')])),
    ("wildcard's parent", expect("wild.example.org", "TXT", authority=[SOA5])),
    ("wildcard cname", expect("q.walias.example.org", "A", answer=[
        o("q.walias", 3600, "CNAME www.example.org."), WWW])),
    ("cname", expect("alias.example.org", "A", answer=[
        o("alias", 3600, "CNAME www.example.org."), WWW])),
    ("cname itself", expect("alias.example.org", "CNAME", answer=[
        o("alias", 3600, "CNAME www.example.org.")])),
    ("cname chain", expect("chain.example.org", "A", answer=[
        o("chain", 3600, "CNAME alias.example.org."), o("alias", 3600, "CNAME www.example.org."),
        WWW])),
    ("cname to nodata", expect("alias.example.org", "MX", answer=[
        o("alias", 3600, "CNAME www.example.org.")], authority=[SOA5])),
    ("cname to nothing", expect("dangling.example.org", "A", "NXDOMAIN", answer=[
        o("dangling", 3600, "CNAME nowhere.example.org.")], authority=[SOA5])),
    ("cname to elsewhere", expect("far.example.org", "A", answer=[
        o("far", 3600, "CNAME www.example.net.")])),
    ("cname loop", expect("loop-a.example.org", "A", answer=[
        o("loop-a", 3600, "CNAME loop-b.example.org."),
        o("loop-b", 3600, "CNAME loop-a.example.org.")])),
    ("dname", expect("host.old.example.org", "A", answer=[
        o("old", 3600, "DNAME new.example.org."),
        o("host.old", 3600, "CNAME host.new.example.org."),
        o("host.new", 3600, "A 192.0.2.6")])),
    ("dname itself", expect("old.example.org", "DNAME", answer=[
        o("old", 3600, "DNAME new.example.org.")])),
    ("dname's own nodata", expect("old.example.org", "A", authority=[SOA5])),
    ("dname of an apex, into another zone", expect("www.alias.test", "A", answer=[
        "alias.test. 60 DNAME example.org.", "www.alias.test. 60 CNAME www.example.org.", WWW])),
    ("referral below a cut", expect("a.b.child.example.org", "A", **REFERRAL)),
    ("ds at a cut", expect("child.example.org", "DS", answer=[
        o("child", 3600, "DS 12345 13 2 " + "00" * 32)])),
    ("not our zone", expect("example.com", "A", "REFUSED", aa=False)),
    ("zone transfer", expect("example.org", "AXFR", "REFUSED", aa=False)),
    ("mailb", expect("example.org", "MAILB", "NOTIMP", aa=False)),
    ("any is answered with one of many", expect("www.example.org", "ANY", answer=[WWW])),
]


def long_name():
    """RFC 6672: a redirect to a name that is too long."""
    label = "x" * 60
    name = ".".join([label] * 3 + ["y" * 50, "old.example.org"])
    long_target = query(name, "A")
    assert long_target.rcode() == dns.rcode.NXDOMAIN, long_target  # as long as before: fits
    name = ".".join([label] * 3 + ["z" * 59, "alias.test"])
    assert query(name, "A").rcode() == dns.rcode.YXDOMAIN


def case_is_kept():
    a = query("WwW.ExAmPlE.oRg", "A")
    assert b"WwW\x07ExAmPlE\x03oRg" in a.to_wire(origin=None) or \
        a.question[0].name.to_text() == "WwW.ExAmPlE.oRg."
    assert a.answer[0].name.to_text() == "WwW.ExAmPlE.oRg.", a


def truncation():
    small = query("many.example.org", "A", use_edns=-1)
    assert small.flags & dns.flags.TC and not small.answer, small
    edns = query("many.example.org", "A", payload=4096)
    assert edns.flags & dns.flags.TC and not edns.answer, edns  # 1232 is ours
    whole = query("many.example.org", "A", tcp=True)
    assert len(whole.answer[0]) == 101 and not whole.flags & dns.flags.TC


def cookies():
    option = dns.edns.GenericOption(10, b"12345678")
    a = query("www.example.org", "A", options=[option])
    server = a.options[0].data
    assert server[:8] == b"12345678" and len(server) == 24 and server[8:12] == b"\1\0\0\0"
    assert abs(struct.unpack("!I", server[12:16])[0] - time.time()) < 60
    again = query("www.example.org", "A", options=[dns.edns.GenericOption(10, server)])
    assert again.options[0].data == server  # a good one stays
    forged = server[:-1] + bytes([server[-1] ^ 1])
    again = query("www.example.org", "A", options=[dns.edns.GenericOption(10, forged)])
    assert again.options[0].data[8:] != forged[8:] and again.answer
    bad = query("www.example.org", "A", options=[dns.edns.GenericOption(10, b"123")])
    assert bad.rcode() == dns.rcode.FORMERR


def raw(header, body=b"", port=None):
    return SERVER.ask(struct.pack("!6H", *header) + body, timeout=1.0, port=port)


QUESTION = b"\3www\7example\3org\0\0\1\0\1"


def headers():
    assert raw((7, 0x8000, 1, 0, 0, 0), QUESTION) is None  # a response
    assert SERVER.ask(b"x" * 11, timeout=0.5) is None
    for opcode in range(1, 16):
        a = raw((7, opcode << 11, 1, 0, 0, 0), QUESTION)
        want = 5 if opcode == 4 else 4
        assert struct.unpack("!2H", a[:4]) == (7, 0x8000 | opcode << 11 | want), a
    for counts in ((2, 0, 0, 0), (0, 0, 0, 0), (1, 1, 0, 0), (1, 0, 1, 0), (1, 0, 0, 1),
                   (1, 0, 0, 9)):
        a = raw((7, 0x0100, *counts), QUESTION)
        assert struct.unpack("!6H", a[:12]) == (7, 0x8101, 0, 0, 0, 0) and len(a) == 12, a
    a = raw((7, 0, 1, 0, 0, 0), b"\xc0\x0c\0\1\0\1")
    assert a[3] & 15 == 1
    a = raw((7, 0, 1, 0, 0, 0), QUESTION + b"more")
    assert a[3] & 15 == 1
    opt = b"\0\0\x29\4\xd0\0\0\0\0\0\0"
    a = raw((7, 0, 1, 0, 0, 2), QUESTION + opt + opt)
    assert a[3] & 15 == 1
    a = raw((7, 0, 0, 0, 0, 1), b"\0\0\x29\4\xd0\0\0\0\0\0\x0c\0\x0a\0\x08abcdefgh")
    assert a[3] & 15 == 0 and b"abcdefgh" in a  # RFC 7873, 5.4: only for a cookie


def classes():
    a = raw((7, 0, 1, 0, 0, 0), QUESTION[:-1] + b"\xff")
    assert struct.unpack("!6H", a[:12]) == (7, 0x8000, 1, 1, 0, 0)  # no AA
    for qclass in (2, 3, 4, 254):
        a = raw((7, 0, 1, 0, 0, 0), QUESTION[:-1] + bytes([qclass]))
        assert a[3] & 15 == 5, (qclass, a)


def pipelining():
    """RFC 7766: several queries at once, in pieces, answered in order; half-closed."""
    packets = b""
    for i in range(200):
        wire = dns.message.make_query("many.example.org" if i % 10 == 0 else "www.example.org",
                                      "A", id=i).to_wire()
        packets += struct.pack("!H", len(wire)) + wire
    with socket.create_connection(("127.0.0.1", SERVER.port), timeout=h.PATIENCE) as client:
        for at in range(0, len(packets), 777):
            client.sendall(packets[at:at + 777])
        stream = client.makefile("rb")
        for i in range(200):
            size = struct.unpack("!H", stream.read(2))[0]
            answer = dns.message.from_wire(stream.read(size))
            assert answer.id == i and answer.answer
        wire = dns.message.make_query("many.example.org", "A", id=9).to_wire()
        client.sendall(struct.pack("!H", len(wire)) + wire)
        client.shutdown(socket.SHUT_WR)
        size = struct.unpack("!H", stream.read(2))[0]
        assert len(stream.read(size)) == size and stream.read(1) == b""


def child_zone():
    """Both sides of a cut on one server: the child answers, but for DS."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "child")
        with open(path, "w", encoding="ascii") as file:
            file.write(CHILD)
        zones = [("example.org", h.SAMPLE), ("child.example.org", path)]
        with h.Server(zones, "--workers", "1") as server:
            def ask(name, qtype):
                message = dns.message.make_query(name, qtype)
                return dns.query.udp(message, "127.0.0.1", port=server.port, timeout=h.PATIENCE)
            assert texts(ask("child.example.org", "A").answer) == [
                "child.example.org. 60 A 192.0.2.77"]
            assert texts(ask("child.example.org", "DS").answer)[0].startswith(
                "child.example.org. 3600 DS 12345")
            a = ask("up.child.example.org", "A")
            assert texts(a.answer) == ["up.child.example.org. 60 CNAME www.example.org.", WWW], a
            server.stop()


def kdig_and_drill():
    out = SERVER.tool("kdig", "+nsid", "chain.example.org", "AAAA")
    assert "2001:db8::4" in out and "NSID" in out, out
    out = SERVER.tool("kdig", "+tcp", "many.example.org", "A")
    assert out.count("192.0.2.") >= 101, out
    out = SERVER.tool("drill", "mail.example.org", "AAAA")
    assert "2001:db8::3" in out and "rcode: NOERROR" in out, out
    out = SERVER.tool("drill", "none.example.org")
    assert "NXDOMAIN" in out, out


def compression():
    """No answer is larger than dnspython, which compresses all it may, would make it."""
    names = ["www", "mail", "alias", "chain", "x.wild", "x.walias", "ent", "nothing", "old",
             "host.old", "x.child", "_sip._udp", "far", ""]
    for prefix in names:
        for qtype in ("A", "AAAA", "MX", "NS", "SOA", "SRV", "TXT", "CNAME"):
            name = f"{prefix}.example.org".lstrip(".")
            request = dns.message.make_query(name, qtype)
            wire = SERVER.ask(request.to_wire())
            best = len(dns.message.from_wire(wire).to_wire())
            if (prefix, qtype) == ("_sip._udp", "SRV"):
                best += 16  # dnspython compresses its target, which RFC 2782 forbids
            assert len(wire) <= best, (name, qtype, len(wire), best)


def malformed():
    """Mutated queries: no crash, a whole answer or none, none for QR=1."""
    rng = random.Random(20261122)
    option = dns.edns.GenericOption(10, b"12345678")
    seeds = [dns.message.make_query(n, t, use_edns=0, options=[option] * e).to_wire()
             for n, t, e in (("www.example.org", "A", 0), ("x.wild.example.org", "MX", 1),
                             ("host.old.example.org", "A", 1), ("a.child.example.org", "A", 0))]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", SERVER.port))
        client.settimeout(h.PATIENCE)
        n_answers = 0
        for i in range(5000):
            packet = bytearray(rng.choice(seeds))
            for _ in range(rng.randint(1, 6)):
                packet[rng.randrange(len(packet))] = rng.randrange(256)
            if rng.random() < 0.3:
                packet = packet[:rng.randrange(len(packet) + 1)]
            packet[0:2] = struct.pack("!H", i)[:min(2, len(packet))]
            client.send(packet)
            if len(packet) < 12 or packet[2] & 0x80:
                continue
            answer = client.recv(65535)
            n_answers += 1
            assert answer[:2] == packet[:2] and answer[2] & 0x80, (packet, answer)
            if answer[2] >> 3 & 15 == 0:
                dns.message.from_wire(answer)
        assert n_answers > 2000, n_answers
        client.settimeout(0.3)
        try:
            raise AssertionError(client.recv(65535))
        except socket.timeout:
            pass


def main():
    global SERVER
    h.need("kdig", "drill")
    with tempfile.TemporaryDirectory() as folder:
        alias = os.path.join(folder, "alias")
        with open(alias, "w", encoding="ascii") as file:
            file.write(ROOT_ALIAS)
        zones = [("example.org", h.SAMPLE), ("alias.test", alias)]
        with h.Server(zones, "--workers", "2", "--id", "me") as SERVER:
            def books():
                stats = SERVER.stop()
                assert stats["rx_datagrams"] == stats["delivered"] == \
                    stats["dns"]["queries"] + stats["dns"]["ignored"]
                assert stats["tx_requested"] == stats["tx_sent"] == stats["dns"]["queries"]
            h.run(TABLE + [(f.__name__, f) for f in (
                long_name, case_is_kept, truncation, cookies, headers, classes, pipelining,
                child_zone, kdig_and_drill, compression, malformed, books)])


if __name__ == "__main__":
    main()
