"""What is drawn when a bundled model is asked for single subjects and for pairs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

import adhere
from adhere.drawing.stated import method_named, stated_numbers
from adhere.evaluation.prompts import Prompt, prompt_set
from adhere.evaluation.statistics import estimate
from adhere.methods import Method
from adhere.mini.scorer import Scorer, Sighting
from training import world
from training.gates.localisation import is_joint


def pictures_of(
    pipe: Any,
    prompts: Sequence[str],
    seeds: Sequence[int],
    method: Any = None,
    subjects: Sequence[Any] | None = None,
    steps: int = 50,
    batch: int = 16,
    bar: str = "pictures",
) -> np.ndarray:
    """Pictures (prompts * seeds, 128, 128, 3) uint8; seed by seed within a prompt."""
    jobs = [(p, s) for p in range(len(prompts)) for s in seeds]
    found = []
    pipe.set_progress_bar_config(disable=True)
    for start in tqdm(range(0, len(jobs), batch), bar, disable=None):
        part = jobs[start : start + batch]
        texts = [prompts[p] for p, _ in part]
        generators = [torch.Generator().manual_seed(s) for _, s in part]

        def sample(texts: list[str] = texts, generators: list = generators) -> np.ndarray:
            return pipe(
                texts,
                num_inference_steps=steps,
                generator=generators,
                output_type="np",
            ).images

        if method is None:
            images = sample()
        else:
            own = None if subjects is None else [subjects[p] for p, _ in part]
            with adhere.nurse(pipe, method, prompt=texts, subjects=own):
                images = sample()
        found.append((images * 255).round().astype(np.uint8))
    return np.concatenate(found)


def singles(pipe: Any, scorer: Scorer, seeds: Sequence[int], steps: int) -> dict[str, float]:
    """Presence of every subject asked for alone, and the colour of every object.

    Objects in colours are drawn with the first half of the seeds, as there are so many.
    """
    prompts = [f"a {subject}" for subject in world.SUBJECTS]
    seen = scorer.look(list(pictures_of(pipe, prompts, seeds, steps=steps, bar="singles")))
    wanted = [subject for subject in world.SUBJECTS for _ in seeds]
    present = [s.is_present(w) for s, w in zip(seen, wanted, strict=True)]
    painted = [(c, o) for o in world.OBJECTS for c in world.COLOURS]
    prompts = [f"a {colour} {subject}" for colour, subject in painted]
    fewer = seeds[: max(1, len(seeds) // 2)]
    seen = scorer.look(list(pictures_of(pipe, prompts, fewer, steps=steps, bar="colours")))
    pairs = [pair for pair in painted for _ in fewer]
    there = [s.is_present(o) for s, (_, o) in zip(seen, pairs, strict=True)]
    right = [c in s.colours(o) for s, (c, o) in zip(seen, pairs, strict=True)]
    return {
        "present": float(np.mean(present)),
        "painted_present": float(np.mean(there)),
        "right_colour": float(np.mean(right)),
        "right_colour_where_present": float(np.mean([r for r, t in zip(right, there) if t])),  # noqa: B905
    }


def marks(sighting: Sighting, prompt: Prompt) -> dict[str, bool]:
    """What one picture holds of what its prompt wants."""
    there = [sighting.is_present(w.subject) for w in prompt.wanted]
    right = [w.colour is None or w.colour in sighting.colours(w.subject) for w in prompt.wanted]
    return {
        "all_present": all(there),
        "all_right": all(t and r for t, r in zip(there, right, strict=True)),
        "mixed": bool(sighting.mixtures),
    }


def judged(
    pictures: np.ndarray, scorer: Scorer, prompts: Sequence[Prompt], seeds: Sequence[int]
) -> list[dict[str, bool]]:
    """Marks of each picture of `pictures_of`."""
    wanted = [prompt for prompt in prompts for _ in seeds]
    return [marks(s, p) for s, p in zip(scorer.look(list(pictures)), wanted, strict=True)]


def compare(
    pipe: Any,
    scorer: Scorer,
    subset: str,
    methods: dict[str, Any],
    seeds: Sequence[int],
    steps: int = 50,
) -> dict[str, np.ndarray]:
    """Marks of a benchmark subset under several methods, on the same seeds.

    Returns:
        "<method>/<mark>" to an array (prompts, seeds) of 0 and 1; and "<method>/seconds" a
        picture.
    """
    prompts = prompt_set(f"attend-and-excite-{subset}").prompts
    texts = [p.text for p in prompts]
    found: dict[str, np.ndarray] = {}
    for name, method in methods.items():
        started = time.perf_counter()
        pictures = pictures_of(pipe, texts, seeds, method, steps=steps, bar=f"{subset}, {name}")
        seconds = (time.perf_counter() - started) / len(pictures)
        rows = judged(pictures, scorer, prompts, seeds)
        for mark in rows[0]:
            values = np.array([row[mark] for row in rows], float)
            found[f"{name}/{mark}"] = values.reshape(len(prompts), len(seeds))
        found[f"{name}/seconds"] = np.array([[seconds]])
    return found


def interval(values: np.ndarray) -> tuple[float, float]:
    """95% interval of a mean over prompts; values are (prompts, seeds)."""
    found = estimate(values)
    if found.low is None or found.high is None:
        return float(values.mean()), float(values.mean())
    return found.low, found.high


def tuned(pipe: Any) -> Method | None:
    """Attend-and-Excite at the numbers that a pipeline's own folder states, if it states any."""
    folder, name = str(pipe.name_or_path), "attend-and-excite"
    return method_named(name, model=folder) if name in stated_numbers(folder) else None


def speed(pipe: Any, steps: int = 50, rounds: int = 3) -> dict[str, float]:
    """Seconds of one picture with guidance, plain and nursed; the best of some rounds.

    Args:
        pipe: draws it.
        steps: of sampling.
        rounds: how often each is timed.

    Returns:
        "plain"; "tuned" and "paper", nursed by Attend-and-Excite at the numbers that the model
        states and at its paper's; and "threads", of torch on the CPU.
    """
    prompt = "a cat and a frog"
    pipe.set_progress_bar_config(disable=True)
    methods: dict[str, Any] = {
        "plain": None,
        "paper": adhere.AttendAndExcite(),
    }
    if (own := tuned(pipe)) is not None:
        methods["tuned"] = own
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(rounds):
        for name, method in methods.items():
            started = time.perf_counter()
            nursing = adhere.nurse(pipe, method, prompt=prompt) if method else nullcontext()
            with nursing:
                generator = torch.Generator().manual_seed(0)
                pipe(prompt, num_inference_steps=steps, generator=generator)
            seconds[name].append(time.perf_counter() - started)
    return {name: min(values) for name, values in seconds.items()} | {
        "threads": torch.get_num_threads()
    }


def seen_and_unseen(subset: str) -> np.ndarray:
    """For each animal pair of the benchmark, whether training drew the two together."""
    held_out = world.held_out_pairs()
    prompts = prompt_set(f"attend-and-excite-{subset}").prompts
    return np.array([frozenset(w.subject for w in p.wanted) not in held_out for p in prompts])


def animals(
    pipe: Any, scorer: Scorer, seeds: Sequence[int], steps: int, names: Sequence[str]
) -> dict[str, Any]:
    """Both animals present on the benchmark's pairs: plain, tuned, and as in the papers.

    Tuned is Attend-and-Excite with the numbers that the model states.
    """
    methods: dict[str, Any] = {"plain": None}
    if (own := tuned(pipe)) is not None:
        methods["tuned"] = own
    methods |= {name: adhere.METHODS[name]() for name in names}
    marked = compare(pipe, scorer, "animals", methods, seeds, steps)
    plain = marked["plain/all_present"]
    seen = seen_and_unseen("animals")
    figures = {}
    for name in methods:
        there = marked[f"{name}/all_present"]
        figures[name] = {
            "present": there.mean(),
            "present_interval": interval(there),
            "present_seen": there[seen].mean(),
            "present_unseen": there[~seen].mean(),
            "most": 0.85 if is_joint(pipe) else 0.75,
            "gain": (there - plain).mean(),
            "gain_interval": interval(there - plain),
            "mixed": marked[f"{name}/mixed"].mean(),
            "seconds_ratio": (marked[f"{name}/seconds"] / marked["plain/seconds"]).item(),
        }
    return figures


def objects(pipe: Any, scorer: Scorer, seeds: Sequence[int], steps: int) -> dict[str, float]:
    """Both objects present on the benchmark's pairs, and both in their colours, plain."""
    marked = compare(pipe, scorer, "objects", {"plain": None}, seeds, steps)
    return {
        "present": marked["plain/all_present"].mean(),
        "right_colours": marked["plain/all_right"].mean(),
    }
