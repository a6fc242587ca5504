#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Does the simulator find what was once broken?

Usage: reverts.py [ROW ...] [--seeds N] [--jobs N] [--apply]

Each patch of tests/simulate/reverts takes back the mend of one row of tests/promises. For each, or
for those ROWs, the simulator is built from a copy of the sources with the patch, and plays worlds
from seed 1 on until one is wrong in a way in which none is without it. Prints the row, that seed,
what is said of it and how long it took, and last how many were found. Those that docs/testing.md
says cannot be seen have no patch. Exits 1 when fewer than nine of ten are found.

With --apply it is only looked whether the patches still fit, which is a moment's work: who changes
the lines around one changes the patch with them.
"""
import argparse
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PATCHES = HERE / "reverts"
WRONG = re.compile(r"^seed (\d+): (.*)$", re.M)
LEAST = 0.9


class Tree:
    """A copy of the sources, to break and mend."""

    def __init__(self, where):
        self.top = where / "tree"
        self.built = where / "build"
        names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT,
                               check=True, capture_output=True, text=True).stdout.split("\n")
        for name in filter(None, names):
            if (ROOT / name).exists():
                (self.top / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.top / name)
        subprocess.run(["meson", "setup", self.built, self.top, "-Dtests=enabled",
                        "-Dbench=disabled", "-Dexamples=disabled"], check=True,
                       stdout=subprocess.DEVNULL)

    def apply(self, patch, *options):
        return subprocess.run(["git", "apply", *options, patch], cwd=self.top,
                              check=False).returncode == 0

    def build(self, patch=None):
        """The simulator, with a patch; None when it cannot be had."""
        if patch is not None and not self.apply(patch):
            return None
        made = subprocess.run(["ninja", "-C", self.built, "tests/simulate/simulate"], check=False,
                              capture_output=True, text=True)
        if patch is not None:
            self.apply(patch, "-R")
        if made.returncode != 0:
            print(made.stdout[-4000:], end="")
            return None
        name = self.built.parent / (patch.stem if patch is not None else "right")
        shutil.copy(self.built / "tests/simulate/simulate", name)
        return name


def make_shape(blame):
    """Two blames that differ by numbers only are of one kind."""
    return re.sub(r"\d+", "N", blame)


def play(simulator, seeds, jobs, first=1, *options):
    """The wrong ones of these: a list of (seed, blame)."""
    run = subprocess.run([simulator, "--seed", str(first), "--seeds", str(seeds - first + 1),
                          "--jobs", str(jobs), *options],
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    wrong = sorted((int(seed), blame) for seed, blame in WRONG.findall(run.stdout))
    if not wrong and run.returncode != 0:
        raise RuntimeError(f"the simulator itself ended with {run.returncode}: {run.stdout}")
    return wrong


def find(simulator, anyway, seeds, jobs):
    """The first seed that says what the sources as they are never say, and that; or (None, "")."""
    first = 1
    while first <= seeds:
        wrong = play(simulator, seeds, jobs, first, "--first")
        if not wrong:
            break
        seed, blame = wrong[0]
        if make_shape(blame) not in anyway:
            return seed, blame
        first = seed + 1
    return None, ""


def get_cpu_s():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def read_sentence(patch):
    with open(patch, encoding="utf-8") as file:
        return file.readline().strip()


def try_row(patch, anyway, args, tree):
    """Whether its fault is found."""
    simulator = tree.build(patch)
    if simulator is None:
        print(f"{patch.stem}: cannot be built", flush=True)
        return False
    before_s = get_cpu_s()
    seed, blame = find(simulator, anyway, args.seeds, args.jobs)
    cpu_s = get_cpu_s() - before_s
    if seed is None:
        print(f"{patch.stem}: not found, {cpu_s:.1f} s: {read_sentence(patch)}", flush=True)
        return False
    print(f"{patch.stem}: seed {seed}, {cpu_s:.1f} s: {blame}", flush=True)
    return True


def apply_all(patches):
    failed = 0
    for patch in patches:
        check = subprocess.run(["git", "apply", "--check", patch], cwd=ROOT, check=False,
                               capture_output=True, text=True)
        failed += check.returncode != 0
        if check.returncode != 0:
            print(f"{patch.relative_to(ROOT)} does not fit any more:\n{check.stderr}", end="")
    print(f"{len(patches) - failed} passed, {failed} failed")
    return failed != 0


def list_patches(rows):
    known = {patch.stem: patch for patch in PATCHES.glob("*.patch")}
    for row in rows:
        if row not in known:
            sys.exit(f"reverts.py: there is no {row}.patch")
    return [known[row] for row in
            sorted(rows or known, key=lambda row: [int(n) for n in row.split(".")])]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW")
    parser.add_argument("--seeds", type=int, default=10000, help="worlds for each (10000)")
    parser.add_argument("--jobs", type=int, default=1, help="worlds at a time (1)")
    parser.add_argument("--apply", action="store_true", help="whether they fit, and no more")
    args = parser.parse_args()
    patches = list_patches(args.rows)
    if args.apply:
        return apply_all(patches)
    with tempfile.TemporaryDirectory(prefix="volley-reverts-") as name:
        tree = Tree(pathlib.Path(name))
        right = tree.build()
        if right is None:
            sys.exit("reverts.py: the simulator cannot be built")
        anyway = {make_shape(blame) for _, blame in play(right, args.seeds, args.jobs)}
        for shape in sorted(anyway):
            print(f"not counted, for it is said without a patch too: {shape}", flush=True)
        found = 0
        for patch in patches:
            found += try_row(patch, anyway, args, tree)
    print(f"found {found} of {len(patches)} that can be seen")
    return 0 if found >= LEAST * len(patches) else 1


if __name__ == "__main__":
    sys.exit(main())
