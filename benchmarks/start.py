"""From a cold process to the image: the README's first command, timed.

Usage:
    python benchmarks/start.py [--runs 5] [--prompt "a cat and a frog"]

Wall time of whole processes, imports and writing included, each into a new folder. The first run
may also fill the disk's cache, so it is printed apart.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tqdm import tqdm


def seconds(arguments: list[str]) -> float:
    """How long one process took, s; raises CalledProcessError where it failed."""
    beside = Path(sys.executable).with_name("adhere")
    command = str(beside) if beside.exists() else shutil.which("adhere")
    if command is None:
        sys.exit("There is no `adhere` beside this Python: install the project first.")
    start = time.perf_counter()
    subprocess.run([command, *arguments], check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--prompt", default="a cat and a frog")
    given = parser.parse_args()
    ways = {
        "adhere --help": lambda out: ["--help"],
        "adhere draw": lambda out: ["draw", given.prompt, "--out", out],
        "adhere draw --baseline": lambda out: ["draw", given.prompt, "--baseline", "--out", out],
    }
    for name, arguments in ways.items():
        taken = []
        for _ in tqdm(range(given.runs), name, disable=None, leave=False):
            with tempfile.TemporaryDirectory() as out:
                taken.append(seconds(arguments(out)))
        print(
            f"{name:20} first {taken[0]:5.1f} s, median {statistics.median(taken):5.1f} s "
            f"({min(taken):.1f} to {max(taken):.1f}, {given.runs} runs)"
        )


if __name__ == "__main__":
    main()
