"""How much longer methods take than the baseline on the bundled models, in processor time.

    python benchmarks/method_time.py attention-regulation emergent-layout --repeats 5

Baseline and method draw the same four images in turn, on one thread. Printed are the ratios of
processor time and their median: other work on the machine disturbs them less than seconds.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

import adhere
from adhere.drawing.loading import Loaded, load
from adhere.methods import Method, make


def seconds(model: Loaded, method: Method | None, steps: int) -> float:
    """Processor time of four images."""
    began = time.process_time()
    adhere.draw("a cat and a frog", model=model, method=method, seeds=range(4), steps=steps)
    return time.process_time() - began


def main() -> None:
    """Print the ratios of every method on every model."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("methods", nargs="+", help="names of methods")
    parser.add_argument("--models", nargs="+", default=["mini", "mini-joint"])
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--steps", type=int, default=25)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for name in asked.models:
        model = load(name)
        for method in map(make, asked.methods):
            seconds(model, method, 2)
            ratios = [
                seconds(model, method, asked.steps) / seconds(model, None, asked.steps)
                for _ in range(asked.repeats)
            ]
            shown = " ".join(f"{ratio:.3f}" for ratio in ratios)
            print(f"{name} {method.name}: {shown}; median {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
