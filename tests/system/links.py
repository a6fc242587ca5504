# SPDX-License-Identifier: MIT
"""
Two machines with two links between them, for system tests: the near one is the namespace that the
test has entered, and the far one has the clients (tests/promises/links.h is the same for C).

    near                far
    a0 10.1.0.1/24  -   b0 10.1.0.9/24      fd01::1/64  fd01::9/64      fe80::1  fe80::9
    a1 10.2.0.1/24  -   b1 10.2.0.9/24      fd02::1/64  fd02::9/64      fe80::1  fe80::9
"""
import contextlib
import ctypes
import os

import harness

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name, *args):
    if getattr(_libc, name)(*args) != 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


def _set_up(device, link, host):
    harness.run_ip("link", "set", device, "addrgenmode", "none", "up")
    harness.run_ip("addr", "add", f"10.{link}.0.{host}/24", "dev", device)
    for address in (f"fd0{link}::{host}/64", f"fe80::{host}/64"):
        harness.run_ip("addr", "add", address, "dev", device, "nodad")


class Links:
    def __init__(self):
        self._near = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        _call("unshare", harness.CLONE_NEWNET)
        self._far = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        harness.run_ip("link", "set", "lo", "up")
        _call("setns", self._near, harness.CLONE_NEWNET)
        for i in range(2):
            harness.run_ip("link", "add", f"a{i}", "type", "veth", "peer", "name", f"b{i}",
                           "netns", f"/proc/{os.getpid()}/fd/{self._far}")
            _set_up(f"a{i}", i + 1, 1)
        with self.far():
            for i in range(2):
                _set_up(f"b{i}", i + 1, 9)

    @contextlib.contextmanager
    def far(self):
        """Sockets that are opened here, and programs that are started, are the far machine's."""
        _call("setns", self._far, harness.CLONE_NEWNET)
        try:
            yield
        finally:
            _call("setns", self._near, harness.CLONE_NEWNET)
