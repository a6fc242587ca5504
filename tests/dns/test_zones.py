#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What --check says of good and of broken zones: file, line and reason; $INCLUDE stays at home."""
import os
import subprocess
import tempfile

import dns_harness as h

HEAD = "$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n"


def good(text):
    def case():
        code, err = h.check_zone(text)
        assert code == 0 and err == "", err
    return case


def bad(text, line, *words):
    def case():
        code, err = h.check_zone(text)
        assert code == 1, "accepted"
        where = f"zone:{line}: " if line else "zone: "
        assert where in err and err.count("\n") == 1, err
        for word in words:
            assert word in err, f"no '{word}' in {err}"
    return case


def include():
    with tempfile.TemporaryDirectory() as top:
        inside = os.path.join(top, "zones")
        os.mkdir(inside)

        def write(name, text):
            with open(os.path.join(top, name), "w", encoding="ascii") as file:
                file.write(text)

        def check():
            done = subprocess.run([h.DNS, "--check", "--zone", f"example.org={inside}/z"],
                                  capture_output=True, text=True, check=False, timeout=60)
            return done.returncode, done.stderr
        write("zones/z", HEAD + "$INCLUDE part sub\nlast A 192.0.2.9\n")
        write("zones/part", "a A 192.0.2.2\n$ORIGIN elsewhere.example.org.\n@ A 192.0.2.3\n")
        assert check() == (0, "")
        write("zones/part", "a A 192.0.2.2\nb A nonsense\n")
        code, err = check()
        assert code == 1 and "part:2: " in err, err
        write("secret", "a A 192.0.2.2\n")
        for name in ("../secret", f"{top}/secret", "/etc/passwd", "nothing", "."):
            write("zones/z", HEAD + f"$INCLUDE {name}\n")
            code, err = check()
            assert code == 1 and ("z:5: " in err or name == "."), (name, err)
        os.symlink(os.path.join(top, "secret"), os.path.join(inside, "link"))
        write("zones/z", HEAD + "$INCLUDE link\n")
        assert check()[0] == 1
        write("zones/z", HEAD + "$INCLUDE z\n")
        code, err = check()
        assert code == 1 and "too many" in err, err


def several():
    """A broken zone is refused, the others are served, its names get SERVFAIL."""
    with tempfile.TemporaryDirectory() as top:
        broken = os.path.join(top, "broken")
        with open(broken, "w", encoding="ascii") as file:
            file.write(HEAD + "x A 1.2.3\n")
        with h.Server([("example.org", h.SAMPLE), ("broken.test", broken)]) as server:
            assert "broken.test is refused" in server.stderr and ":5: " in server.stderr
            assert "192.0.2.4" in server.tool("dig", "www.example.org")
            assert "SERVFAIL" in server.tool("dig", "www.broken.test")
            stats = server.stop()
            assert stats["dns"]["zones_refused"] == 1, stats["dns"]
        done = subprocess.run([h.DNS, "--listen", "127.0.0.1:0", "--zone", f"a={broken}"],
                              capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 1 and "no zone" in done.stderr, done.stderr


def usage():
    for args, word in ((["--zone", "x"], "ORIGIN=FILE"), (["--listen", "127.0.0.1:0"], "--zone"),
                       (["--zone", "a..b=f"], "domain name"),
                       (["--zone", "a=f", "--zone", "A.=f"], "twice"),
                       (["--rrl", "0"], "--rrl"), (["--cookie-secret", "12"], "32"),
                       (["--handlers", "2"], "--handlers"),
                       (["--zone", f"a={h.SAMPLE}"], "--listen")):
        done = subprocess.run([h.DNS, *args], capture_output=True, text=True, check=False,
                              timeout=60)
        assert done.returncode == 2 and word in done.stderr, (args, done)
    done = subprocess.run([h.DNS, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "--zone ORIGIN=FILE" in done.stdout


LABEL = "x" * 63
CASES = [
    ("sample", lambda: good(open(h.SAMPLE, encoding="utf-8").read().replace("$INCLUDE", ";"))()),
    ("class before TTL", good(
        HEAD + "a IN 5 A 192.0.2.2\nb 5 IN A 192.0.2.2\nc CLASS1 TYPE1 \\# 4 c0000202\n")),
    ("TTL with units", good(HEAD + "a 1w2d3h4m5s A 192.0.2.2\n")),
    ("last TTL without $TTL", good("@ 60 SOA ns h 1 2 3 4 5\n@ NS ns\n")),
    ("SOA's minimum as TTL", good("@ SOA ns h 1 2 3 4 5\n@ NS ns\n")),
    ("quotes and comments", good(HEAD + 'a TXT "a;b(c" d ; (comment\nb TXT ( "x" ; c )\n "y" )\n')),
    ("escapes", good(HEAD + "a\\.b\\032c A 192.0.2.2\n\\(q TXT \\;x\\\"\n")),
    ("blank owner", good(HEAD + "a A 192.0.2.2\n  AAAA ::1\n\n \n\tTXT x\n")),
    ("twice the same", good(HEAD + "a A 192.0.2.2\nA A 192.0.2.2\n")),
    ("DNSSEC types are data", good(HEAD + "@ DNSKEY 257 3 13 AAAA\na NSEC b A NSEC\n")),
    ("root label data", good(HEAD + "a MX 0 .\n")),
    ("no end of line", good(HEAD + "a A 192.0.2.2")),
    ("empty", bad("", 0, "no records")),
    ("no SOA", bad("@ 60 NS ns\n", 0, "no SOA")),
    ("no NS", bad("@ 60 SOA ns h 1 2 3 4 5\n", 0, "no NS")),
    ("two SOA", bad(HEAD + "@ SOA ns h 2 2 3 4 5\n", 5, "more than one SOA")),
    ("SOA below", bad(HEAD + "a SOA ns h 2 2 3 4 5\n", 5, "below")),
    ("CNAME and data", bad(HEAD + "a CNAME b\na A 192.0.2.2\n", 6, "a.example.org.", "CNAME")),
    ("two CNAME", bad(HEAD + "a CNAME b\na CNAME c\n", 6, "more than one CNAME")),
    ("two DNAME", bad(HEAD + "a DNAME b\na DNAME c\n", 6, "more than one DNAME")),
    ("not in the zone", bad(HEAD + "a.example.com. A 192.0.2.2\n", 5, "not in the zone")),
    ("bad address", bad(HEAD + "a A 192.0.2\n", 5)),
    ("error's first line", bad(HEAD + "a A (\n\n192.0.2\n)\n", 5)),
    ("unknown type", bad(HEAD + "a NOTYPE x\n", 5)),
    ("no data", bad(HEAD + "a A\n", 5)),
    ("unclosed (", bad(HEAD + "a TXT ( x\nb A 192.0.2.2\n", 5, "( without")),
    ("unopened )", bad(HEAD + "a TXT x )\n", 5, ") without")),
    ("unclosed quote", bad(HEAD + 'a TXT "x\nb A 192.0.2.2\n', 5, "quoted")),
    ("no TTL", bad("@ NS ns\n", 1, "no TTL")),
    ("no name", bad("  A 192.0.2.2\n", 1, "no name")),
    ("another class", bad(HEAD + "a CH TXT x\n", 5, "class IN")),
    ("another directive", bad(HEAD + "$DATE 1\n", 5, "unknown directive")),
    ("$GENERATE", good(HEAD + "$GENERATE 1-2 a$ 60 IN A 192.0.2.$\n"
                       "$GENERATE 0-255/2 ${-0,3,x}.b TXT \"$$ \\$ ${1000,7}\" ; (\n")),
    ("$GENERATE backwards", bad(HEAD + "$GENERATE 2-1 a$ A 192.0.2.$\n", 5, "FIRST-LAST")),
    ("$GENERATE by 0", bad(HEAD + "$GENERATE 1-2/0 a$ A 192.0.2.$\n", 5, "FIRST-LAST")),
    ("$GENERATE nothing", bad(HEAD + "$GENERATE 1-2\n", 5, "and a record")),
    ("$GENERATE below 0", bad(HEAD + "$GENERATE 1-2 a${-2} A 192.0.2.$\n", 5, "malformed")),
    ("$GENERATE nibbles", bad(HEAD + "$GENERATE 1-2 ${0,1,n} A 192.0.2.$\n", 5, "malformed")),
    ("$GENERATE what is wrong", bad(HEAD + "$GENERATE 1-2 a$ A 192.0.2\n", 5)),
    ("$GENERATE too many", bad(HEAD + "$GENERATE 0-1048576 a$ A 192.0.2.1\n", 5, "too many")),
    ("$TTL too big", bad("$TTL 2147483648\n", 1, "$TTL")),
    ("$ORIGIN without", bad("$ORIGIN\n", 1, "$ORIGIN")),
    ("NUL", bad("\0", 1, "NUL")),
    ("label too long", bad(HEAD + f"{LABEL}x A 192.0.2.2\n", 5)),
    ("name too long", bad(HEAD + f"{LABEL}.{LABEL}.{LABEL}.{LABEL} A 192.0.2.2\n", 5)),
    ("meta type", bad(HEAD + "a TYPE255 \\# 0\n", 5, "no type of data")),
    ("malformed data", bad(HEAD + "a TYPE15 \\# 3 000a02\n", 5)),
    ("too much for a message", bad(HEAD + "".join(
        f"a TXT {i:05}{'x' * 240}\n" for i in range(300)), 237, "do not fit")),
]


if __name__ == "__main__":
    h.run(CASES + [(f.__name__, f) for f in (include, several, usage)])
