# SPDX-License-Identifier: MIT
"""
volley-bench as whoever runs it sees it: void runs, Ctrl-C, progress, the veth path, the report.
"""
import contextlib
import csv
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path.insert(0, os.path.join(TOP, "tests/system"))
import harness  # noqa: E402

BENCH = os.environ.get("VOLLEY_BENCH", os.path.join(TOP, "build/test/bench/volley-bench"))
PATIENCE = 60.0


def run(*args, prefix=()):
    done = subprocess.run([*prefix, BENCH, *args], capture_output=True, text=True,
                          timeout=PATIENCE, check=False)
    return done.returncode, done.stdout, done.stderr


def processes():
    """pid -> (parent, network namespace) of all that runs."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
            found[int(pid)] = (parent, os.readlink(f"/proc/{pid}/ns/net"))
    return found


def children_of(pid):
    everybody = processes()
    found = {pid}
    while True:
        more = {p for p, (parent, _) in everybody.items() if parent in found} - found
        if not more:
            return {p: everybody[p][1] for p in found if p in everybody}
        found |= more


def can_make_namespaces():
    return subprocess.run(["unshare", "-n", "true"], check=False, capture_output=True).returncode \
        == 0


def a_void_run_has_no_ratio_and_says_why():
    """With one datagram outstanding the server sleeps most of the time."""
    with tempfile.TemporaryDirectory() as folder:
        code, out, err = run("saturate", "--subjects", "recvfrom,recvmmsg", "--burst", "1",
                             "--window", "1", "--seconds", "0.1", "--rounds", "3", "--out", folder)
        assert code == 0, err
        assert " ratio " not in out, out
        assert "No ratios: the baseline, recvmmsg, is void." in out, out
        for name in ("recvfrom", "recvmmsg"):
            assert re.search(rf"^{name} +void: .*\([01] of 3 runs good\)$", out, re.M), out
        with open(os.path.join(folder, "saturate.json"), encoding="utf-8") as file:
            rows = json.load(file)["rows"]
        assert len(rows) == 2 and all(row["void"] for row in rows), rows
        assert not any("ratio" in row["values"] for row in rows), rows


def results_say_where_they_come_from():
    with tempfile.TemporaryDirectory() as folder:
        code, out, err = run("saturate", "--smoke", "--subjects", "recvmmsg,volley", "--out",
                             folder)
        assert code == 0 and err == "", err
        with open(os.path.join(folder, "saturate.json"), encoding="utf-8") as file:
            result = json.load(file)
        with open(os.path.join(folder, "saturate.csv"), encoding="utf-8") as file:
            lines = file.read().splitlines()
    assert result["command"].startswith("volley-bench saturate --smoke")
    for key in ("cpu", "kernel", "mitigations", "commit", "build", "volley", "libevent"):
        assert result["host"][key] != "" or key == "mitigations", key
        assert f"# {key}: {result['host'][key]}" in lines, key
        assert result["host"][key] in out, key
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert [row["subject"] for row in rows] == ["recvmmsg", "volley"]
    for row in result["rows"]:
        values = row["values"]
        shares = sum(values[name]["median"] for name in values if name.startswith("n="))
        assert 0.5 < shares < 1.5, shares  # medians of shares, which need not sum to 1 exactly
        for name in ("calls/datagram", "batch", "sent", "lost at socket", "in backlog", "at send"):
            assert name in values, name


def interrupt(args, veth):
    """SIGINT to all of the terminal's processes: exit code, stderr, seconds, and what is left."""
    ours = os.readlink("/proc/self/ns/net")
    process = subprocess.Popen([BENCH, *args, *(("--path", "veth") if veth else ())],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               start_new_session=True)
    try:
        deadline = time.monotonic() + PATIENCE
        family = {}
        # A server or a tool; over veth a server on the other side.
        while len(family) < 2 or len(set(family.values()) - {ours}) < 2 * veth:
            assert time.monotonic() < deadline, "it never started anybody"
            family = children_of(process.pid)
        begin = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
        seconds = time.monotonic() - begin
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    left = {pid for pid, (_, netns) in processes().items()
            if pid in family or (netns in family.values() and netns != ours)}
    return process.returncode, err, seconds, left


def ctrl_c_ends_cleanly():
    cases = [("saturate",), ("latency",), ("scale",), ("stop", "--rounds", "200"), ("count",)]
    for args in cases:
        code, err, seconds, left = interrupt(args, veth=False)
        assert code == 1 and err.rstrip().endswith(f"volley-bench: {args[0]}: interrupted"), \
            (args, code, err)
        assert seconds < 15, (args, seconds)
        assert not left, (args, left)


def ctrl_c_takes_the_namespaces_away():
    if not can_make_namespaces():
        raise harness.Skip("no network namespaces here")
    code, err, _, left = interrupt(("saturate",), veth=True)
    assert code == 1 and "interrupted" in err, (code, err)
    assert not left, left


def veth_works():
    if not can_make_namespaces():
        raise harness.Skip("no network namespaces here")
    code, out, err = run("saturate", "--smoke", "--path", "veth", "--subjects",
                         "recvmmsg,volley,gso", "--clients", "1000000", "--burst", "4")
    assert code == 0, err
    assert "over veth" in out and "1000000 clients" in out, out
    code, out, err = run("preload", "--smoke", "--path", "veth")
    assert code == 1 and "preload has no use for --path veth" in err, err


def veth_without_the_right_says_so():
    """A user namespace in which no further namespace may be made."""
    script = "echo 0 >/proc/sys/user/max_net_namespaces && exec \"$@\""
    prefix = ("unshare", "-r", "sh", "-c", script, "sh")
    if subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode != 0:
        raise harness.Skip("no user namespaces here")
    code, _, err = run("saturate", "--smoke", "--path", "veth", prefix=prefix)
    assert code == 1 and "no network namespaces for --path veth" in err and "root" in err, err


def progress_is_for_terminals():
    try:
        parent, child = pty.openpty()
    except OSError as error:
        raise harness.Skip(f"no terminal to be had: {error}") from error
    with subprocess.Popen([BENCH, "saturate", "--smoke", "--subjects", "recvmmsg"],
                          stdout=subprocess.DEVNULL, stderr=child) as process:
        os.close(child)
        text = b""
        while select.select([parent], [], [], PATIENCE)[0]:
            try:
                text += os.read(parent, 4096)
            except OSError:  # the other end is closed
                break
        process.wait()
    os.close(parent)
    assert b"round 1 of 1: recvmmsg" in text, text
    _, _, err = run("saturate", "--smoke", "--subjects", "recvmmsg")
    assert err == "", err


def listeners_are_all_served():
    code, out, err = run("saturate", "--smoke", "--subjects", "epoll,libevent,volley,volley-spin",
                         "--listeners", "16", "--baseline", "epoll")
    assert code == 0, out + err
    code, out, err = run("saturate", "--smoke", "--subjects", "recvmmsg", "--listeners", "2")
    assert code == 1 and "it serves one socket" in out, out


def report_is_one_page():
    with tempfile.TemporaryDirectory() as folder:
        for args in (("saturate",), ("latency",), ("scale", "burst")):
            code, _, err = run(*args, "--smoke", "--subjects", "recvmmsg,volley", "--out", folder)
            assert code == 0, err
        code, out, err = run("report", folder)
        assert code == 0 and "3 result sets" in out, (out, err)
        with open(os.path.join(folder, "report.html"), encoding="utf-8") as file:
            page = file.read()
        for link in re.findall(r"(?:src|href)\s*=\s*['\"]([^'\"]*)", page):
            assert link.startswith("#"), f"the page refers to {link}"
        assert page.count("<h2>") == 3 and "<td>recvmmsg" in page
        if shutil.which("gnuplot"):
            assert page.count("<svg") == 3 and "no plots" not in err, err
    code, _, err = run("report", "/nowhere")
    assert code == 1 and "no result of volley-bench" in err, err


CASES = [(f.__name__, f) for f in (
    a_void_run_has_no_ratio_and_says_why, results_say_where_they_come_from, ctrl_c_ends_cleanly,
    ctrl_c_takes_the_namespaces_away, veth_works, veth_without_the_right_says_so,
    progress_is_for_terminals, listeners_are_all_served, report_is_one_page)]

if __name__ == "__main__":
    sys.exit(harness.main(CASES))
