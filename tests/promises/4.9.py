#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Datagrams whose checksum is wrong: the kernel judges short ones before it finds a socket. The header
says that they are not in kernel_drops, and the checker finds each of them all the same.
"""
import sys

import harness
import header
import test_ledger


def the_header_says_so():
    text = header.get_comment("kernel_drops")
    assert "InCsumErrors" in text, text


CASES = [
    ("the header says so", the_header_says_so),
    ("the books of wrong checksums", test_ledger.accepted(test_ledger.checksums, "mmsg", "event")),
]

if __name__ == "__main__":
    harness.enter_namespace()
    sys.exit(harness.main(CASES))
