#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
A device queue that is full, without VOLLEY_LISTEN_REPORT_ERRORS: the header says that tx_sent is
what the kernel accepted and where the rest is counted, and the checker finds each reply by that.
"""
import sys

import harness
import header
import test_ledger


def the_header_says_so():
    text = header.get_comment("tx_sent")
    assert "SndbufErrors" in text, text


CASES = [
    ("the header says so", the_header_says_so),
    ("the books of a full queue", test_ledger.accepted(test_ledger.full_queue, "mmsg", "event")),
]

if __name__ == "__main__":
    harness.enter_namespace()
    sys.exit(harness.main(CASES))
