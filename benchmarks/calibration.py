"""How much of what tuning gains Attend-and-Excite the calibration gains, on the bundled model.

Usage:
    python benchmarks/calibration.py FOLDER [--prompts 11] [--seeds 420-427]

Calibrates from 24 single images, then draws animal pairs of Attend-and-Excite's benchmark as the
baseline, at the paper's numbers, at the calibrated ones and at those found by hand
(`methods.json` of the model). FOLDER keeps the calibration and every score, so that a stopped run
goes on. Every number was chosen without these seeds.
"""

import argparse
import json
from pathlib import Path

import numpy as np

import adhere
from adhere import mini
from adhere.drawing.loading import load
from adhere.evaluation.prompts import attend_and_excite
from adhere.evaluation.scorers import scorer
from adhere.evaluation.statistics import differences, estimate
from adhere.methods import make
from adhere.tuning.calibration import calibrate, read_calibration

NAME, STEPS = "attend-and-excite", 25


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare calibrated numbers with tuned ones.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--prompts", type=int, default=11)
    parser.add_argument("--seeds", default="420-427")
    given = parser.parse_args()
    first, last = (int(part) for part in given.seeds.split("-"))
    seeds = list(range(first, last + 1))
    model, judge = load("mini"), scorer("mini")
    kept, rows_file = given.folder / "calibration.json", given.folder / "rows.jsonl"
    given.folder.mkdir(parents=True, exist_ok=True)
    if not kept.exists():
        calibrate(model).save(kept)
    calibration = read_calibration(kept, model.source.weights or "")
    print(f"calibrated: {calibration}", flush=True)
    methods = {
        "baseline": None,
        "paper": make(NAME),
        "calibrated": make(NAME, calibration.numbers[NAME]),
        "tuned": mini.tuned(NAME),
    }
    pairs = attend_and_excite("animals").prompts
    prompts = pairs[:: max(1, len(pairs) // given.prompts)][: given.prompts]
    done = {}
    if rows_file.exists():
        for line in rows_file.read_text().splitlines():
            row = json.loads(line)
            done[row["prompt"], row["method"], row["seed"]] = row
    for prompt in prompts:
        for name, method in methods.items():
            missing = [s for s in seeds if (prompt.text, name, s) not in done]
            if not missing:
                continue
            drawing = adhere.draw(
                prompt.text, model=model, method=method, seeds=missing, steps=STEPS
            )
            judged = judge.judge(drawing.images, [prompt] * len(missing), [None] * len(missing))
            steps = [step for trace in drawing.traces for step in trace.runs[-1].steps]
            passes = sum(step.truncated_forwards + step.backwards for step in steps)
            for seed, one in zip(missing, judged, strict=True):
                row = {
                    "prompt": prompt.text, "method": name, "seed": seed,
                    "present": one.values["all-present"], "mixture": one.values["mixture"],
                    "passes": passes / (STEPS * max(1, len(drawing.traces))),
                }  # fmt: skip
                done[prompt.text, name, seed] = row
                with open(rows_file, "a") as file:
                    file.write(json.dumps(row) + "\n")
        print(prompt.text, flush=True)
        _report(done, prompts, seeds, list(methods))


def _report(done: dict, prompts: list, seeds: list[int], names: list[str]) -> None:
    whole = [p.text for p in prompts if all((p.text, n, s) in done for n in names for s in seeds)]
    table = {
        name: {
            key: np.array([[done[text, name, s][key] for s in seeds] for text in whole], float)
            for key in ("present", "mixture", "passes")
        }
        for name in names
    }
    print(f"{len(whole)} prompts, seeds {seeds[0]} to {seeds[-1]}, {STEPS} steps")
    base = table["baseline"]["present"]
    for name, own in table.items():
        gain = estimate(differences(own["present"], base))
        span = "" if gain.low is None else f" ({gain.low:+.1%} to {gain.high:+.1%})"
        print(
            f"{name:11} present {own['present'].mean():.1%}, gain {gain.value:+.1%}{span}, "
            f"mixtures {own['mixture'].mean():.1%}, {own['passes'].mean():.2f} passes of nursing "
            "a step",
            flush=True,
        )
    tuned = (table["tuned"]["present"] - base).mean()
    if tuned > 0:
        share = (table["calibrated"]["present"] - base).mean() / tuned
        print(f"of the tuned gain the calibration has {share:.0%}", flush=True)


if __name__ == "__main__":
    main()
