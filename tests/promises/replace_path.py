#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
The path of --replace leads to the server that has the port, whatever happens to the path, and
nobody waits for ever.

--long: also those who wait for as long as they may, 10 s.
"""
import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time

import harness
from handover import (COUNTERS, DROPS, FURTHER, GONE, HELLO, OFFER, OTHERS, READY, SOCKETS, TAKEN,
                      Peer, connect)

LONG = "--long" in sys.argv


@contextlib.contextmanager
def folder():
    with tempfile.TemporaryDirectory(prefix="volley-promise-") as where:
        yield where, os.path.join(where, "s")


def start(path, port=0, *args):
    return harness.Server("--replace", path, *args, listen=(f"127.0.0.1:{port}",))


@contextlib.contextmanager
def starting(path, port):
    """One that is not ready yet; says and ends as harness.Server does."""
    class Starting(harness.Server):
        def _wait_ready(self, n_listeners):
            pass
    with Starting("--replace", path, listen=(f"127.0.0.1:{port}",)) as server:
        yield server


def until(what, *args):
    end = time.monotonic() + harness.PATIENCE
    while not what(*args):
        assert time.monotonic() < end, (what, args)
        time.sleep(0.001)


def hears(server, text, timeout=5.0):
    """Until it says this."""
    end = time.monotonic() + timeout
    while text not in server.stderr:
        left = end - time.monotonic()
        assert left > 0 and server._read_stderr(left), f"not \"{text}\": {server.stderr}"


def own_name(path, server):
    return f"{path}.{server.process.pid}"


def can_be_replaced(path, server):
    with start(path, server.port) as new:
        assert server.wait() == 0 and "replaced" in server.stderr, server.stderr
        with harness.client(new.address, timeout=3) as sock:
            harness.ask(sock, b"served")
        new.stop()
        assert not os.path.exists(path), "left"


def listen_at(path, backlog=1):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.bind(path)
    sock.listen(backlog)
    return sock


def meet(listener):
    peer = Peer(listener.accept()[0])
    peer.say_hello()
    assert peer.recv()[0] == HELLO
    return peer


def give(peer, listener, new, udp):
    """Our socket to the new process, which is ready then. We are gone."""
    peer.send(OFFER, 1)
    peer.send(OTHERS)
    peer.send(FURTHER)
    peer.send(SOCKETS, 1, b"\0", fds=[udp.fileno()])
    assert peer.recv()[0] == READY
    peer.close()
    listener.close()
    hears(new, "ready on")
    new.addresses = [udp.getsockname()]
    udp.close()


def the_first_waits_for_its_port():
    """Who has it ends, and its path is gone already."""
    with folder() as (_, path), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ending:
        ending.bind(("127.0.0.1", 0))
        with starting(path, ending.getsockname()[1]) as new:
            hears(new, "tries again")
            ending.close()
            hears(new, "ready on")
            assert "error" not in new.stderr, new.stderr
            new.stop()


def the_first_looks_again():
    """Two are the first at once, with one port: the second replaces the other."""
    with folder() as (_, path), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        with starting(path, udp.getsockname()[1]) as new:
            hears(new, "tries again")
            with listen_at(path) as listener:
                give(meet(listener), listener, new, udp)
            can_be_replaced(path, new)


def the_first_does_not_wait_for_ever():
    with folder() as (_, path), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        begin = time.monotonic()
        with starting(path, other.getsockname()[1]) as new:
            assert new.wait(10) == 1 and "EADDRINUSE" in new.stderr, new.stderr
            assert time.monotonic() - begin < 6
        assert not os.path.exists(path)


def the_path_goes_after_the_port():
    with folder() as (_, path), start(path, 0, "--workers", "64") as server:
        server.signal(signal.SIGTERM)
        end = time.monotonic() + harness.PATIENCE
        while os.path.exists(path) and time.monotonic() < end:
            pass
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(server.address)
        assert server.wait() == 0, server.stderr


def sigterm_ends_who_waits():
    """So many wait at the path that connect(2) would sleep."""
    with folder() as (_, path), listen_at(path, 0), contextlib.ExitStack() as stack:
        try:
            while True:
                sock = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
                sock.setblocking(False)
                sock.connect(path)
        except BlockingIOError:
            pass
        with starting(path, 0) as new:
            until(os.path.exists, own_name(path, new))
            new.signal(signal.SIGTERM)
            assert new.wait(5) == 1, new.stderr
            assert os.listdir(os.path.dirname(path)) == ["s"]


def nobody_waits_for_ever():
    """The old one sleeps, and many wait for it."""
    with folder() as (_, path), start(path) as old, contextlib.ExitStack() as stack:
        old.signal(signal.SIGSTOP)
        news = [stack.enter_context(starting(path, old.port)) for _ in range(4)]
        codes = [new.wait(15) for new in news]
        assert codes == [1] * 4, codes
        old.signal(signal.SIGCONT)
        assert os.listdir(os.path.dirname(path)) == ["s"]
        can_be_replaced(path, old)


def a_removed_path_is_taken_again():
    """By another name of the same socket the server is made to look at once."""
    with folder() as (where, path), start(path) as server:
        aside = os.path.join(where, "aside")
        os.link(path, aside)
        os.unlink(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.connect(aside)
        hears(server, "listens there now")
        can_be_replaced(path, server)


def a_removed_path_is_looked_at():
    with folder() as (_, path), start(path) as server:
        os.unlink(path)
        hears(server, "listens there now", 15)
        can_be_replaced(path, server)


def keep_path_and_sockets(path, pipe):
    """A process that was not heard to be gone, and has the path; until it is killed."""
    peer = connect(path)
    n = peer.take_offer()
    peer.send(READY, n, b"\1" * n)
    assert peer.recv()[0] == DROPS
    assert peer.recv()[0] == COUNTERS
    os.unlink(path)
    with listen_at(path):
        peer.sock.close()
        os.write(pipe, b"!")
        signal.pause()


def the_one_that_is_left_has_the_path():
    """Both serve, and the new one, which has the path, ends: the old one can be replaced."""
    with folder() as (_, path), start(path) as old:
        ours, theirs = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                keep_path_and_sockets(path, theirs)
            finally:
                os._exit(1)
        os.close(theirs)
        said = os.read(ours, 1)
        os.close(ours)
        try:
            assert said == b"!", "the hand-over failed"
            hears(old, "end all but one")
            hears(old, "another process listens there")
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        hears(old, "listens there now")
        can_be_replaced(path, old)


def who_was_replaced_leaves_the_path():
    """It is the next one's, whose socket may be there at any moment."""
    with folder() as (_, path), start(path) as old:
        before = os.stat(path).st_ino
        peer = connect(path)
        n = peer.take_offer()
        peer.send(READY, n, b"\1" * n)
        assert peer.recv()[0] == DROPS
        assert peer.recv()[0] == COUNTERS
        peer.send(TAKEN)
        assert peer.recv()[0] == GONE
        assert old.wait() == 0 and "replaced" in old.stderr, old.stderr
        assert os.stat(path).st_ino == before
        peer.close()


@contextlib.contextmanager
def in_between():
    """A new process that asks us for our socket: the path, itself, and what gives it."""
    with folder() as (_, top), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        os.mkdir(top)
        path = os.path.join(top, "s")
        udp.bind(("127.0.0.1", 0))
        with listen_at(path) as listener, starting(path, udp.getsockname()[1]) as new:
            peer = meet(listener)
            yield path, new, lambda: give(peer, listener, new, udp)


def the_folder_comes_back():
    with in_between() as (path, new, give):
        top = os.path.dirname(path)
        for name in os.listdir(top):
            os.unlink(os.path.join(top, name))
        os.rmdir(top)
        give()
        assert "cannot listen there" in new.stderr, new.stderr
        os.mkdir(top)
        hears(new, "listens there now")
        can_be_replaced(path, new)


def somebody_elses_socket_stays():
    with in_between() as (path, new, give):
        os.unlink(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.bind(path)
            its = os.stat(path).st_ino
            give()
            assert os.stat(path).st_ino == its, "it was replaced"
            assert "another process listens there" in new.stderr, new.stderr
        hears(new, "listens there now")
        can_be_replaced(path, new)


def what_a_killed_one_left_goes():
    """And nothing else."""
    def dead_pid():
        process = subprocess.Popen(["true"])
        process.wait()
        return process.pid

    with folder() as (where, path):
        gone, lives = f"{path}.{dead_pid()}", f"{path}.{dead_pid()}"
        ours, file = f"{path}.{os.getpid()}", f"{path}.{dead_pid()}"
        for name in (gone, ours, f"{path}.old", os.path.join(where, "other")):
            listen_at(name).close()
        with open(file, "w", encoding="ascii"):
            pass
        before = set(os.listdir(where)) - {os.path.basename(gone)}
        with listen_at(lives), start(path) as server:
            assert set(os.listdir(where)) == before | {"s", os.path.basename(lives)}
            server.stop()


CASES = [(case.__name__.replace("_", " "), case) for case in (
    the_first_waits_for_its_port, the_first_looks_again, the_first_does_not_wait_for_ever,
    the_path_goes_after_the_port, sigterm_ends_who_waits, a_removed_path_is_taken_again,
    the_one_that_is_left_has_the_path, who_was_replaced_leaves_the_path, the_folder_comes_back,
    somebody_elses_socket_stays, what_a_killed_one_left_goes,
    *((nobody_waits_for_ever, a_removed_path_is_looked_at) if LONG else ()))]

if __name__ == "__main__":
    if LONG:
        sys.argv.remove("--long")
    harness.enter_namespace()
    sys.exit(harness.main(CASES))
