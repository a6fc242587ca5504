#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
examples/game.cc: players over IPv4 and IPv6 in one world, ticks for all of them, idle ones and
those who leave, the limit for each source, and the end. The program comes from VOLLEY_GAME.
"""
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402

GAME = os.environ["VOLLEY_GAME"]
LAST = re.compile(r"game: (\d+) ticks, 99 % of them late by less than ([\d.]+) ms, "
                  r"all by less than ([\d.]+) ms; (\d+) players refused\n")


class Game(harness.Example):
    def __init__(self, address, *args):
        super().__init__(GAME, *args, listen=address)
        self.port = self.address[1]

    def player(self, host="127.0.0.1"):
        return Player((host, self.port))

    def stop(self):
        """SIGTERM; (ticks, 99 % late by so many ms, all by so many, players refused)."""
        self.process.send_signal(signal.SIGTERM)
        _, text = self.process.communicate(timeout=harness.PATIENCE)
        found = LAST.fullmatch(text)
        assert self.process.returncode == 0 and found, f"{self.process.returncode}: {text}"
        return [float(word) for word in found.groups()]


class Player:
    def __init__(self, server):
        self.server = server
        self.sock = harness.client(server)
        self.number = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.sock.close()

    def join(self, move="0 0"):
        """It may have to read states first that it has got as the one that it was before."""
        self.sock.send(move.encode())
        while True:
            words = self.sock.recv(2000).decode().split()
            if words[0] == "welcome":
                self.number = int(words[1])
                return self
            assert words[0] == "tick"

    def state(self):
        """The next one: (tick, {player: (x, y)})."""
        head, *lines = self.sock.recv(2000).decode().splitlines()
        word, tick = head.split()
        assert word == "tick"
        rows = [[int(number) for number in line.split()] for line in lines]
        return int(tick), {number: (x, y) for number, x, y in rows}

    def see(self, condition):
        """The first state that is as it should be."""
        end = time.monotonic() + harness.PATIENCE
        while True:
            _, players = self.state()
            if condition(players):
                return players
            assert time.monotonic() < end, players


def one_world_for_both_families():
    if not harness.has_ipv6():
        raise harness.Skip("no IPv6")
    with Game("[::]:0") as game, game.player() as one, game.player("::1") as other:
        one.join("3 -4")
        other.join("1 1")
        wanted = {one.number: (3, -4), other.number: (1, 1)}
        assert one.see(lambda players: len(players) == 2) == wanted
        other.see(lambda players: players == wanted)
        other.sock.send(b"-99 2")  # 10 at a time
        one.see(lambda players: players == {**wanted, other.number: (-9, 3)})
        one.sock.send(b"bye")
        other.see(lambda players: players == {other.number: (-9, 3)})


def thirty_a_second():
    with Game("127.0.0.1:0") as game, game.player().join() as one:
        first, _ = one.state()
        begin = time.monotonic()
        while True:
            tick, _ = one.state()
            if tick >= first + 30:
                break
        took = time.monotonic() - begin
        # A machine that is busy may be late; nothing makes a tick come early.
        assert took > 0.9, took
        n_ticks, most, late, _ = game.stop()
        assert n_ticks >= tick and 0 < most <= late <= 100
        print(f"99 % of {n_ticks:.0f} ticks late by less than {most} ms, all by {late} ms")
        while True:
            if one.sock.recv(2000) == b"end\n":
                break


def idle_ones_are_forgotten():
    with Game("127.0.0.1:0", "300") as game, game.player().join() as one, \
            game.player().join() as silent:
        one.see(lambda players: len(players) == 2)

        def is_alone(players):
            one.sock.send(b"0 0")
            return players == {one.number: (0, 0)}
        one.see(is_alone)
        assert silent.join().number == 3


def a_limit_for_each_source():
    with Game("127.0.0.1:0") as game, contextlib.ExitStack() as stack:
        players = [stack.enter_context(game.player()).join() for _ in range(8)]
        refused = stack.enter_context(game.player())
        refused.sock.send(b"0 0")
        players[0].sock.send(b"1 0")  # behind it, so the next that is seen comes after it
        players[0].see(lambda seen: seen[1] == (1, 0) and len(seen) == 8)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
            elsewhere.settimeout(harness.PATIENCE)
            elsewhere.bind(("127.0.0.2", 0))
            elsewhere.sendto(b"0 0", ("127.0.0.1", game.port))
            assert elsewhere.recv(2000) == b"welcome 9\n"
        players[7].sock.send(b"bye")
        players[0].see(lambda seen: len(seen) == 8)
        assert refused.join().number == 10
        assert game.stop()[3] == 1


def what_is_no_move_makes_no_player():
    with Game("127.0.0.1:0") as game, game.player() as one:
        for text in (b"", b"1", b"x 1", b"1  ", b"9999999999 1", b"1,1", b"bye"):
            one.sock.send(text)
        assert one.join().number == 1


def bad_arguments():
    for args in ((), ("127.0.0.1:0", "0"), ("127.0.0.1:0", "1", "2")):
        done = subprocess.run([GAME, *args], capture_output=True, text=True, check=False)
        assert done.returncode == 2 and done.stderr.startswith("usage: "), done
    done = subprocess.run([GAME, "nowhere"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "game: volley_server_listen: Invalid" in done.stderr, done


CASES = [(case.__name__, case) for case in
         (one_world_for_both_families, thirty_a_second, idle_ones_are_forgotten,
          a_limit_for_each_source, what_is_no_move_makes_no_player, bad_arguments)]

if __name__ == "__main__":
    harness.enter_namespace()
    sys.exit(harness.main(CASES))
