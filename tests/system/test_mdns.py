#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
examples/mdns: one host name on two links, IPv4 and IPv6, told to drill, dig, dnspython, and to
sockets that speak multicast DNS. The program comes from VOLLEY_MDNS.
"""
import contextlib
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import links  # noqa: E402

try:
    import dns.flags
    import dns.message
    import dns.query
    import dns.rdatatype
    import dns.rrset
except ImportError:
    print("skip: dnspython is missing (Debian: python3-dnspython)")
    sys.exit(harness.SKIPPED)

MDNS = os.environ["VOLLEY_MDNS"]
NAME = "host.local"
PORT = 5353
FLUSH, TTL, LEGACY_TTL = 0x8000, 120, 10
FAMILIES = (socket.AF_INET, socket.AF_INET6)
GROUPS = {socket.AF_INET: "224.0.0.251", socket.AF_INET6: "ff02::fb"}
IP_PKTINFO, IP_RECVTTL, IP_TTL = 8, 12, 2


def wire(address):
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def addresses(link):
    """What the near machine has there: (type, bytes)."""
    return {("A", wire(f"10.{link + 1}.0.1")), ("AAAA", wire(f"fd0{link + 1}::1")),
            ("AAAA", wire("fe80::1"))}


class Message:
    """One that was received: by which group or to which address, from whom, and what it says."""

    def __init__(self, data, control, peer):
        self.text = dns.message.from_wire(data, one_rr_per_rrset=True)
        self.id, self.peer = self.text.id, peer
        self.hops = self.to = None
        for level, kind, value in control:
            if (level, kind) in ((socket.IPPROTO_IP, IP_TTL),
                                 (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT)):
                self.hops = struct.unpack("i", value)[0]
            elif level == socket.IPPROTO_IP and kind == IP_PKTINFO:
                self.to = socket.inet_ntop(socket.AF_INET, value[8:12])
            elif level == socket.IPPROTO_IPV6:
                self.to = socket.inet_ntop(socket.AF_INET6, value[:16])
        assert self.hops == 255, f"TTL {self.hops}"

    def records(self, *sections):
        """Of 1, replies; 2, claims; 3, company: {(type, bytes)}; and their (flush, ttl)."""
        found, how = set(), set()
        for section in sections:
            for rrset in self.text.section_from_number(section):
                assert str(rrset.name) == NAME + ".", rrset
                record = (dns.rdatatype.to_text(rrset.rdtype), rrset[0].to_wire())
                assert record not in found, f"{record} twice"
                found.add(record)
                how.add((rrset.rdclass & FLUSH != 0, rrset.ttl))
        return found, how

    def expect(self, replies, company, flush=True, ttl=TTL):
        assert self.text.flags == dns.flags.QR | dns.flags.AA, self.text
        assert self.records(1)[0] == replies, self.text
        assert self.records(3)[0] == company, self.text
        assert self.records(1, 3)[1] == {(flush, ttl)}, self.text


class Querier:
    """A socket of the far machine on one link: on port 5353 and in the group, or a plain one."""

    def __init__(self, net, family, link, port=PORT, address=None):
        self.family, device = family, f"b{link}"
        with net.far():
            index = socket.if_nametoindex(device)
            self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.scope = index
        self.sock.settimeout(harness.PATIENCE)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        if family == socket.AF_INET:
            by = struct.pack("=4s4si", wire(GROUPS[family]), bytes(4), index)
            for option, value in ((IP_PKTINFO, 1), (IP_RECVTTL, 1), (socket.IP_MULTICAST_TTL, 255),
                                  (socket.IP_MULTICAST_LOOP, 0), (socket.IP_MULTICAST_IF, by)):
                self.sock.setsockopt(socket.IPPROTO_IP, option, value)
            if port == PORT:
                self.sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, by)
            self.sock.bind((address or "0.0.0.0", port))
            self.group = (GROUPS[family], PORT)
        else:
            for option, value in ((socket.IPV6_V6ONLY, 1), (socket.IPV6_RECVPKTINFO, 1),
                                  (socket.IPV6_RECVHOPLIMIT, 1),
                                  (socket.IPV6_MULTICAST_HOPS, 255),
                                  (socket.IPV6_MULTICAST_LOOP, 0),
                                  (socket.IPV6_MULTICAST_IF, index)):
                self.sock.setsockopt(socket.IPPROTO_IPV6, option, value)
            if port == PORT:
                self.sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                                     wire(GROUPS[family]) + struct.pack("i", index))
            self.sock.bind(("::", port))
            self.group = (GROUPS[family], PORT, 0, index)

    def send(self, message, to=None):
        data = message if isinstance(message, bytes) else message.to_wire()
        self.sock.sendto(data, to or self.group)

    def ask(self, kind="A", unicast=False, name=NAME, to=None, known=(), number=0):
        query = dns.message.make_query(name, kind, flags=0)
        query.id = number
        data = bytearray(query.to_wire())
        if unicast:
            data[-2] |= FLUSH >> 8
        for address, ttl in known:
            data += b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, ttl, 4) + wire(address)
        data[7] = len(known)
        self.send(bytes(data), to)

    def recv(self):
        data, control, _, peer = self.sock.recvmsg(65536, 1024)
        return Message(data, control, peer)

    def recv_all(self):
        """What is there already."""
        found = []
        self.sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(self.recv())
        self.sock.settimeout(harness.PATIENCE)
        return found


class Program(harness.Server):
    """mdns on both links, or on those that are named."""

    def __init__(self, *names, is_ours=True, name=NAME):
        args = [word for device in names or ("a0", "a1") for word in ("--interface", device)]
        super().__init__(*args, "--workers", "4", name, listen=(), program=MDNS)
        if is_ours:
            self.wait_for(f"mdns: {name} is ours\n")

    def wait_for(self, text):
        deadline = time.monotonic() + harness.PATIENCE
        while text not in self.stderr:
            more = self._read_stderr(max(0.0, deadline - time.monotonic()))
            assert more or text in self.stderr, self.stderr


def all_of(net):
    return [(family, link, Querier(net, family, link)) for family in FAMILIES for link in range(2)]


def probes_announces_and_says_goodbye():
    """In this order, on each link to each group, with that link's own addresses."""
    net = links.Links()
    queriers = all_of(net)
    with Program() as program:
        for family, link, querier in queriers:
            got = [querier.recv() for _ in range(5)]
            assert all(message.to == GROUPS[family] for message in got)
            for probe in got[:3]:
                assert probe.text.flags == 0 and probe.records(2) == \
                    (addresses(link), {(False, TTL)}), probe.text
                assert probe.text.question[0].rdclass & FLUSH
            for announcement in got[3:]:
                announcement.expect(addresses(link), set())
        program.stop()
        for _, link, querier in queriers:
            bye, = querier.recv_all()
            bye.expect(addresses(link), set(), ttl=0)


def run_far(net, *args):
    if shutil.which(args[0]) is None:
        raise harness.Skip(f"{args[0]} is missing")
    with net.far():
        done = subprocess.run(args, capture_output=True, text=True, timeout=harness.PATIENCE,
                              check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def clients_of_others():
    """drill and dnspython by the groups, dig by the host's own addresses (it connects)."""
    net = links.Links()
    with Program() as program:
        for link in range(2):
            with net.far():
                harness.run_ip("route", "replace", "224.0.0.0/4", "dev", f"b{link}")
            out = run_far(net, "drill", "-p", "5353", NAME, "@224.0.0.251", "A")
            assert f"10.{link + 1}.0.1" in out and f"10.{2 - link}.0.1" not in out, out
            for kind, address, where in (("A", f"10.{link + 1}.0.1", f"10.{link + 1}.0.1"),
                                         ("AAAA", f"fd0{link + 1}::1", f"fe80::1%b{link}")):
                out = run_far(net, "dig", "-p", "5353", "+short", "+tries=1", f"@{where}", NAME,
                              kind)
                assert out.splitlines()[0] == address, out
            with net.far():
                for group in ("224.0.0.251", f"ff02::fb%b{link}"):
                    query = dns.message.make_query("HOST.Local", "A")
                    reply = dns.query.udp(query, group, timeout=harness.PATIENCE, port=PORT)
                    assert [str(rr) for rr in reply.sections[1][0]] == [f"10.{link + 1}.0.1"], reply
        program.stop()


def once_for_each_request():
    """Whatever the number of workers: legacy queries, each with an ID of its own."""
    net = links.Links()
    with Program() as program:
        for family in FAMILIES:
            for link in range(2):
                querier = Querier(net, family, link, port=0)
                for number in range(1, 101):
                    querier.ask(number=number)
                for number in range(1, 101):
                    message = querier.recv()
                    assert message.id == number and message.to not in GROUPS.values()
                    a = {record for record in addresses(link) if record[0] == "A"}
                    message.expect(a, addresses(link) - a, flush=False, ttl=LEGACY_TTL)
                    assert str(message.text.question[0].name) == NAME + "."
        assert program.stop()["tx_sent"] >= 400
        assert not querier.recv_all()


def group_hears_it_once_a_second():
    """To those who speak it the group is told, on their link, but not again at once."""
    net = links.Links()
    for family in FAMILIES:
        with Program() as program:
            querier, other = (Querier(net, family, link) for link in range(2))
            plain = Querier(net, family, 0, port=0)
            querier.sock.settimeout(0.1)
            message = None
            while message is None:  # the announcements are no second old, at first
                querier.ask("AAAA")
                with contextlib.suppress(TimeoutError):
                    message = querier.recv()
                if message is not None and len(message.records(1)[0]) == 3:
                    message = None  # the second announcement
            aaaa = {record for record in addresses(0) if record[0] == "AAAA"}
            assert message.to == GROUPS[family] and message.id == 0
            message.expect(aaaa, addresses(0) - aaaa)
            other.recv_all()
            for _ in range(10):
                querier.ask("AAAA")
            plain.ask()
            plain.recv()  # so those have been looked at
            assert not querier.recv_all() and not other.recv_all()
            program.stop()


def announced(net, program, *queriers):
    """Both times: from here on the group has heard it and hears nothing that nobody asks for."""
    watcher = Querier(net, socket.AF_INET6, 1)
    querier = Querier(net, socket.AF_INET, 1, port=0)
    while len([m for m in watcher.recv_all() if m.text.flags]) < 1:
        querier.ask()
        querier.recv()
    for each in queriers:
        each.recv_all()
    assert program.process.poll() is None


def unicast_where_it_is_wanted():
    """To the querier alone, with the TTL of multicast; what it knows it is not told."""
    net = links.Links()
    queriers = all_of(net)
    with Program() as program:
        announced(net, program, *[querier for _, _, querier in queriers])
        for family, link, querier in queriers:
            a = {record for record in addresses(link) if record[0] == "A"}
            mine = f"10.{link + 1}.0.1"
            querier.ask(unicast=True, known=[(mine, 120)])  # nothing
            querier.ask(unicast=True, known=[("10.9.9.9", 120), (mine, 59)])
            querier.ask("TXT", unicast=True)
            querier.ask("ANY", unicast=True)
            got = [querier.recv() for _ in range(3)]
            assert all(m.to not in GROUPS.values() and m.id == 0 for m in got)
            got[0].expect(a, addresses(link) - a)
            nsec = b"\x04host\x05local\0\0\x04\x40\0\0\x08"
            got[1].expect({("NSEC", nsec)}, addresses(link))
            got[2].expect(addresses(link), set())
            assert not [m for _, _, each in queriers for m in each.recv_all()]
        program.stop()


def addresses_of_the_moment():
    """One that has gone is not told, and that there is none of a kind is."""
    net = links.Links()
    querier = Querier(net, socket.AF_INET, 0, port=0)
    with Program() as program:
        harness.run_ip("-6", "addr", "flush", "dev", "a0")
        querier.ask("AAAA")
        nsec = ("NSEC", b"\x04host\x05local\0\0\x01\x40")
        a = ("A", wire("10.1.0.1"))
        querier.recv().expect({nsec}, {a}, flush=False, ttl=LEGACY_TTL)
        querier.ask("A")
        querier.recv().expect({a}, {nsec}, flush=False, ttl=LEGACY_TTL)
        program.stop()


def silent_where_it_has_nothing_to_say():
    """Other names, other links, other networks, and what is no question."""
    net = links.Links()
    harness.run_ip("route", "add", "192.0.2.0/24", "via", "10.1.0.9")
    with net.far():
        harness.run_ip("addr", "add", "192.0.2.9/32", "dev", "b0")
    with Program("a0") as program:
        querier = Querier(net, socket.AF_INET, 0, port=0)
        elsewhere = Querier(net, socket.AF_INET, 1, port=0)
        stranger = Querier(net, socket.AF_INET, 0, port=0, address="192.0.2.9")
        elsewhere.ask()
        elsewhere.ask(to=("10.2.0.1", PORT))
        stranger.ask(to=("10.1.0.1", PORT))
        querier.ask(name="other.local", number=1)
        querier.ask(name="host.local.local", number=2)
        for flags in (0x8000, 0x2800, 0x0003):
            query = dns.message.make_query(NAME, "A")
            query.flags = flags
            querier.send(query)
        chaos = dns.message.make_query(NAME, "A", rdclass="CH")
        querier.send(chaos)
        querier.ask(to=("10.1.0.1", PORT), number=6)
        assert querier.recv().id == 6
        querier.ask(number=7)
        assert querier.recv().id == 7
        program.stop()
        assert not [m for each in (querier, elsewhere, stranger) for m in each.recv_all()]


def claim(name=NAME, address="10.1.0.77"):
    response = dns.message.Message(id=0)
    response.flags = dns.flags.QR | dns.flags.AA
    response.sections[1] = [dns.rrset.from_text(name + ".", TTL, "IN", "A", address)]
    return response


def name_that_is_taken():
    """While it is probed: the program says by whom, ends, and has announced nothing."""
    net = links.Links()
    querier = Querier(net, socket.AF_INET, 0)
    with Program(is_ours=False) as program:
        querier.recv()
        querier.send(claim("other.local"))
        querier.send(claim(address="10.2.0.1"))  # of this machine, on another link
        querier.recv()
        querier.send(claim())
        assert program.wait() == 1, program.stderr
        assert "host.local is also what 10.1.0.9:5353 calls itself" in program.stderr
    assert not [m for m in querier.recv_all() if m.text.flags]


def conflict_that_comes_later():
    """It probes again, replies to nobody meanwhile, and has the name when nobody defends it."""
    net = links.Links()
    querier = Querier(net, socket.AF_INET, 0)
    with Program() as program:
        announced(net, program, querier)
        querier.send(claim())
        probes = [querier.recv() for _ in range(3)]
        assert all(probe.text.flags == 0 for probe in probes)
        querier.recv().expect(addresses(0), set())
        program.stop()
        assert program.stderr.count("is ours") == 2, program.stderr


def two_of_them():
    """One defends the name, and the other ends."""
    net = links.Links()
    with Program() as program:
        with net.far():
            other = Program("b0", is_ours=False)
        with other:
            assert other.wait() == 1 and "calls itself" in other.stderr, other.stderr
        program.stop()


def malformed():
    """Whatever comes, by the group or not, it goes on."""
    net = links.Links()
    chance = random.Random(4)
    query = dns.message.make_query(NAME, "A", id=0).to_wire()
    response = claim("h.local").to_wire()
    loops = [query[:12] + b"\xc0\x0c\0\1\0\1", query[:12] + b"\xc0\xff\0\1\0\1",
             query[:12] + b"\x3f" + query[13:], query[:12] + b"\x80" + query[13:],
             query[:4] + b"\xff\xff" + query[6:], query[:6] + b"\xff\xff" + query[8:],
             query[:12] + (b"\x3f" + b"a" * 63) * 5 + b"\0\0\1\0\1"]
    with Program() as program:
        for family in FAMILIES:
            querier = Querier(net, family, 0, port=0)
            whole = Querier(net, family, 0)
            for i in range(3000):
                data = bytearray(chance.choice([query, response]))
                for _ in range(chance.randint(0, 4)):
                    data[chance.randrange(len(data))] = chance.randrange(256)
                chance.choice([querier, whole]).send(bytes(data[:chance.randint(0, len(data))]))
                if i % 100 == 0:  # it keeps up
                    querier.ask(number=40000)
                    while querier.recv().id != 40000:
                        pass
            for data in loops + [b"", b"\0" * 11, os.urandom(9000)]:
                querier.send(data)
            querier.ask(number=50000)
            while querier.recv().id != 50000:
                pass
        program.stop()


def command_line():
    def run(*args):
        done = subprocess.run([MDNS, *args], capture_output=True, text=True, check=False,
                              timeout=harness.PATIENCE)
        return done.returncode, done.stdout, done.stderr

    links.Links()
    code, out, _ = run("--help")
    assert code == 0 and "--interface NAME" in out
    for args, says in ((["--interface", "a0"], "one HOST.local is wanted"),
                       ([NAME], "--interface is missing"),
                       (["--interface", "nix", NAME], "--interface nix: No such device"),
                       (["--interface", "a0", "host.example"], "no name of a host"),
                       (["--interface", "a0", "a" * 64 + ".local"], "no name of a host"),
                       (["--interface", "a0", ".local"], "no name of a host")):
        code, _, err = run(*args)
        assert code == 2 and says in err, f"{args}: {code}, {err}"
    with Program("a0") as program:
        code, _, err = run("--interface", "a1", NAME)
        assert code == 1 and "5353" in err and "in use" in err, err
        program.stop()


CASES = [(case.__name__, case) for case in
         (probes_announces_and_says_goodbye, clients_of_others, once_for_each_request,
          group_hears_it_once_a_second, unicast_where_it_is_wanted, addresses_of_the_moment,
          silent_where_it_has_nothing_to_say, name_that_is_taken, conflict_that_comes_later,
          two_of_them, malformed, command_line)]


def in_own_namespace(case):
    """Links have the same names each time."""
    def run():
        harness.enter_namespace()
        case()
    return run


if __name__ == "__main__":
    sys.exit(harness.main([(name, in_own_namespace(case)) for name, case in CASES]))
