"""How much faster workers on Ray draw than one: images a second of the same run, as a ratio.

    python benchmarks/workers.py                    two workers of one thread against one
    python benchmarks/workers.py --steps 2 --seeds 2    at toy size

The run is one of the bundled model, drawn by one worker and then by several. Seconds are counted
from when every worker has drawn a batch, so that starting Ray and loading models, which a long run
pays once, are not in them. On a machine with fewer cores than threads, or busy with other work,
the ratio says nothing.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import torch

from adhere.drawing.loading import load
from adhere.evaluation.cluster import draw_on_cluster
from adhere.evaluation.plan import Plan
from adhere.evaluation.prompts import prompt_set
from adhere.evaluation.run import Progress, plan_run
from adhere.evaluation.store import Store


def images_a_second(plan: Plan, workers: int, folder: Path) -> float:
    """Of a run drawn anew, from when every worker has drawn a batch."""
    store = Store.create(folder, plan)
    told: list[tuple[float, int]] = []

    def on_progress(progress: Progress) -> None:
        if len({taken.worker for taken in store.measurements()}) == workers:
            told.append((time.monotonic(), progress.done))

    draw_on_cluster(store, "local", workers=workers, on_progress=on_progress)
    if len(told) < 2:
        raise SystemExit("The run is too short to compare; give more --seeds or --steps.")
    (began, first), (ended, last) = told[0], told[-1]
    return (last - first) / (ended - began)


def main() -> None:
    parser = argparse.ArgumentParser(description="Images a second on Ray, as a ratio.")
    parser.add_argument("--workers", type=int, default=2, help="how many against one (2)")
    parser.add_argument("--threads", type=int, default=1, help="of each worker (1)")
    parser.add_argument("--steps", type=int, default=25, help="of sampling (25)")
    parser.add_argument("--seeds", type=int, default=8, help="of each of 30 prompts (8)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    plan = plan_run(
        load("mini", device="cpu"),
        (),
        (prompt_set("multi-object"),),
        seeds=range(arguments.seeds),
        steps=arguments.steps,
    )
    rates = {}
    with tempfile.TemporaryDirectory() as home:
        for count in (1, arguments.workers):
            rates[count] = images_a_second(plan, count, Path(home) / str(count))
            print(f"{count} workers of {arguments.threads} threads: {rates[count]:.2f} a second")
    ratio = rates[arguments.workers] / rates[1]
    print(f"{ratio:.2f} times as many images a second, on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
