#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
--replace takes only a path that is free or a socket, and is sure of its own place there before the
old process goes: otherwise the old one would be gone and the new one would end.
"""
import os
import subprocess
import sys
import tempfile

import harness


def replace(*args, **kwargs):
    """volley-echo --replace where it has to refuse: (exit code, stderr)."""
    try:
        done = subprocess.run([harness.ECHO, "--listen", "127.0.0.1:0", *args], timeout=5,
                              capture_output=True, text=True, check=False, **kwargs)
    except subprocess.TimeoutExpired as late:
        return None, str(late.stderr)
    return done.returncode, done.stderr


def a_file_is_no_path():
    with tempfile.TemporaryDirectory(prefix="volley-promise-") as where:
        for name in ("file", "folder", "link"):
            path = os.path.join(where, name)
            if name == "file":
                with open(path, "w", encoding="ascii") as file:
                    file.write("precious")
            elif name == "folder":
                os.mkdir(path)
            else:
                os.symlink("file", path)
            code, err = replace("--replace", path)
            assert code == 1, (name, code, err)
            assert path in err and "no socket" in err and "name a path" in err, err
        with open(os.path.join(where, "file"), encoding="ascii") as file:
            assert file.read() == "precious"
        assert sorted(os.listdir(where)) == ["file", "folder", "link"]


def who_has_no_place_takes_nothing():
    """The path fits into an address of 108 bytes, the name beside it does not."""
    with tempfile.TemporaryDirectory(prefix="volley-promise-") as where:
        long = os.path.join(where, "x" * (103 - len(where)))
        os.mkdir(long)
        path = os.path.join(long, "s")
        assert len(path) == 106
        with harness.Server("--replace", "s", prefix=("env", "-C", long)) as old:
            code, err = replace("--replace", path, "--listen", f"127.0.0.1:{old.port}")
            assert code == 1 and path in err, (code, err)
            with harness.client(old.address, timeout=3) as sock:
                for number in range(10):
                    harness.ask(sock, b"still served %d" % number)
            assert os.listdir(long) == ["s"], os.listdir(long)
            old.stop()


if __name__ == "__main__":
    harness.enter_namespace()
    sys.exit(harness.main([("a file is no path", a_file_is_no_path),
                           ("who has no place takes nothing", who_has_no_place_takes_nothing)]))
