#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every query of compliance.txt gets the answer that RFC 8906 and the RFCs behind it ask for."""
import os
import re
import shlex

import dns_harness as h

ZONE = "example.org"
HERE = os.path.dirname(os.path.abspath(__file__))
# What the sample zone has at its apex.
DATA = {"SOA": "SOA", "NS": "NS", "MX": "MX", "TXT": "TXT", "CAA": "CAA"}


def read_queries():
    with open(os.path.join(HERE, "compliance.txt"), encoding="utf-8") as file:
        for line in file:
            found = re.match(r"(\S+)\s+'dig (.*)'", line)
            if found:
                yield found.group(1), shlex.split(found.group(2).replace("<zone>", ZONE))


class Answer:
    def __init__(self, text):
        self.text = text
        status = re.search(r"opcode: (\w+), status: (\w+), id: \d+", text)
        assert status, "no answer: " + text
        self.opcode, self.rcode = status.groups()
        self.flags = re.search(r";; flags:([a-z ]*)", text).group(1).split()
        self.n_answer = int(re.search(r"ANSWER: (\d+)", text).group(1))
        self.n_authority = int(re.search(r"AUTHORITY: (\d+)", text).group(1))
        edns = re.search(r"; EDNS: version: (\d+), flags:([a-z ]*); (MBZ: \S+, )?udp: (\d+)", text)
        self.edns = edns is not None
        self.edns_version = int(edns.group(1)) if edns else None
        self.edns_flags = edns.group(2).split() if edns else []
        self.mbz = bool(edns and edns.group(3)) or "MBZ:" in text


def judge(name, args, answer):
    """What must hold for this query."""
    edns_asked = not any(a == "+noedns" for a in args)
    qtype = next((a for a in args if re.fullmatch(r"[A-Z][A-Z0-9-]*", a)), None)

    assert "qr" in answer.flags and "ad" not in answer.flags and "ra" not in answer.flags
    assert ("rd" in answer.flags) == ("+rec" in args), answer.flags
    assert ("cd" in answer.flags) == ("+cd" in args), answer.flags
    assert "tc" not in answer.flags and not answer.mbz, answer.text
    if name.startswith("opcode"):
        assert answer.rcode == "NOTIMP" and "aa" not in answer.flags, answer.text
        return
    if name.startswith("dnswkk"):
        assert answer.rcode == "NOTAUTH" and "BADKEY" in answer.text, answer.text
        return
    assert answer.edns == edns_asked, answer.text
    if edns_asked:
        assert answer.edns_version == 0
        assert ("do" in answer.edns_flags) == ("+dnssec" in args)
        asked_cookie = any(a.startswith("+cookie") for a in args)
        assert asked_cookie or "COOKIE" not in answer.text
        if asked_cookie:
            assert "0102030405060708" in answer.text and "(good)" in answer.text, answer.text
        assert ("NSID" in answer.text) == ("+nsid" in args), answer.text
        for word in ("CLIENT-SUBNET", "EXPIRE", "OPT=100"):
            assert word not in answer.text, answer.text
    if name.startswith("edns1"):
        assert answer.rcode == "BADVERS" and answer.n_answer == 0, answer.text
        return
    assert answer.rcode == "NOERROR" and "aa" in answer.flags, answer.text
    if qtype in DATA:
        assert answer.n_answer >= 1 and answer.n_authority == 0, answer.text
        assert re.search(rf"^{ZONE}\.\s+\d+\s+IN\s+{qtype}\s", answer.text, re.M), answer.text
    else:
        assert answer.n_answer == 0 and answer.n_authority == 1, answer.text


def main():
    h.need("dig")
    queries = list(read_queries())
    assert len(queries) > 90, len(queries)
    with h.Server([(ZONE, h.SAMPLE)], "--workers", "1", "--id", "a-server") as server:
        def case(name, args):
            def run():
                tail = ["+time=5", "+tries=1"]
                judge(name, args, Answer(server.tool("dig", *args, *tail)))
            return run
        h.run([(name, case(name, args)) for name, args in queries])


if __name__ == "__main__":
    main()
