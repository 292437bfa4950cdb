#!/usr/bin/env python3
"""Compares two commits by their benchmarks: builds both, runs them in turns, and says what moved
beyond noise. A benchmark moved if every one of its runs at one commit is faster than every run at
the other (a chance of one in 462 for six runs each of equal speed, each way), and the medians
differ by the threshold or more."""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROBLEMS = ("packing", "simulation", "loading", "bounds", "search", "lookahead")


def say(words):
    print(f"compare_benchmarks: {words}", file=sys.stderr, flush=True)


def build(commit, folder):
    """Checks `commit` out into a work tree below `folder` and builds its benchmarks."""
    sha = subprocess.run(["git", "rev-parse", "--short", f"{commit}^{{commit}}"], cwd=ROOT,
                         check=True, capture_output=True, text=True).stdout.strip()
    tree = folder / sha
    if not tree.exists():
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", str(tree), sha], cwd=ROOT,
                       check=True)
    say(f"building {commit} ({sha})")
    for command in (["cmake", "--preset", "bench"], ["cmake", "--build", "--preset", "bench"]):
        subprocess.run(command, cwd=tree, check=True, stdout=subprocess.DEVNULL)
    return tree / "build/bench/benchmarks"


def run(programs, problem, pattern):
    """Returns the real time in ns of each benchmark of a problem, once."""
    program = programs / f"{problem}_bench"
    if not program.exists():
        return {}
    done = subprocess.run([program, "--benchmark_format=json", f"--benchmark_filter={pattern}"],
                          check=True, stdout=subprocess.PIPE, text=True)
    return times_of(json.loads(done.stdout or '{"benchmarks": []}'))


def times_of(report):
    units = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}
    return {entry["name"]: entry["real_time"] * units[entry["time_unit"]]
            for entry in report["benchmarks"]
            if entry.get("run_type") != "aggregate" and not entry.get("error_occurred")}


def verdict(before, after, threshold):
    """'faster', 'slower' or '' for two lists of times."""
    ratio = statistics.median(after) / statistics.median(before)
    if max(after) < min(before) and ratio <= 1 - threshold:
        return "faster"
    if min(after) > max(before) and ratio >= 1 + threshold:
        return "slower"
    return ""


def rows_of(before, after, threshold):
    """One row for each benchmark of either commit: name, medians, verdict."""
    for name in sorted(set(before) | set(after)):
        if name not in before or name not in after:
            yield name, None, None, "new" if name in after else "gone"
            continue
        yield (name, statistics.median(before[name]), statistics.median(after[name]),
               verdict(before[name], after[name], threshold))


def show(rows, only_moved):
    for name, old, new, word in rows:
        if only_moved and not word:
            continue
        if old is None:
            print(f"{word:>7}  {name}")
        else:
            print(f"{word or 'same':>7}  {name}  {old / 1e6:.3f} -> {new / 1e6:.3f} ms  "
                  f"x{new / old:.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", help="a commit, a branch, HEAD~1")
    parser.add_argument("after", help="likewise")
    parser.add_argument("--only", choices=PROBLEMS, action="append", help="one problem; repeatable")
    parser.add_argument("--filter", default=".", help="regular expression on names")
    parser.add_argument("--repetitions", type=int, default=6, help="runs each (6)")
    parser.add_argument("--threshold", type=float, default=0.02, help="least change shown (0.02)")
    parser.add_argument("--all", action="store_true", help="show what did not move, too")
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "build/compare",
                        help="for work trees (build/compare)")
    arguments = parser.parse_args()
    if arguments.repetitions < 4:
        parser.error("--repetitions: fewer than 4 cannot tell a change from noise")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    folders = [build(commit, arguments.folder.resolve())
               for commit in (arguments.before, arguments.after)]
    times = [{}, {}]
    for repetition in range(arguments.repetitions):
        say(f"round {repetition + 1} of {arguments.repetitions}")
        # In turns, so that a machine that slows down slows both.
        for side in ((0, 1) if repetition % 2 == 0 else (1, 0)):
            for problem in arguments.only or PROBLEMS:
                for name, ns in run(folders[side], problem, arguments.filter).items():
                    times[side].setdefault(name, []).append(ns)
    rows = list(rows_of(*times, arguments.threshold))
    show(rows, only_moved=not arguments.all)
    moved = sum(row[3] in ("faster", "slower") for row in rows)
    print(f"{moved} of {len(rows)} benchmarks moved by {100 * arguments.threshold:g} % or more")


if __name__ == "__main__":
    os.environ.setdefault("CMAKE_BUILD_PARALLEL_LEVEL", str(os.cpu_count()))
    main()
