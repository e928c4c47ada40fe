"""What the bundled model must be able to do, measured.

    python -m training gates                      # the bundled model, 4 seeds a prompt
    python -m training gates --model DIR --seeds 1    # another pipeline, fewer seeds

prints each figure beside its threshold, and with `--out` writes all of them as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

import adhere
from adhere import mini
from adhere.drawing.loading import device_named
from adhere.drawing.stated import method_named
from adhere.evaluation.prompts import Prompt, attend_and_excite
from adhere.methods import Method
from adhere.mini.scorer import Scorer, Sighting, shipped
from training import world

# Scenes of the gates are numbered far from those of the training.
HELD_OUT = 77_000_000


def two_subject_scenes(count: int) -> list[tuple[world.Scene, str, tuple[str, str]]]:
    """Held-out scenes of two different subjects, "a X and a Y" in random order."""
    scenes = []
    for number in range(count):
        random = np.random.default_rng((HELD_OUT, number))
        names = [str(s) for s in random.choice(world.SUBJECTS, 2, replace=False)]
        scene = world.random_scene(random, names)
        order = [names[i] for i in random.permutation(2)]
        scenes.append((scene, f"a {order[0]} and a {order[1]}", (order[0], order[1])))
    return scenes


@torch.no_grad()
def localisation(pipe: Any, count: int = 256, timestep: int = 500) -> dict[str, float]:
    """Where the attention of each noun peaks on real scenes noised to a timestep.

    Returns:
        For the first- and the second-named subject the share of scenes in which its peak, on
        the normalised and smoothed map that Attend-and-Excite reads, falls inside its own box,
        and inside the other's alone.
    """
    hits = np.zeros((2, 2))
    for number, (scene, prompt, names) in enumerate(
        tqdm(two_subject_scenes(count), "localisation", disable=None)
    ):
        maps = maps_of_scene(pipe, scene, prompt, number, timestep)
        boxes = {t.subject: b for t, b in zip(scene.things, world.boxes(scene), strict=True)}
        for place, index in enumerate((2, 5)):
            row, column = divmod(int(maps[..., index].argmax()), maps.shape[1])
            x, y = 8 * column + 4, 8 * row + 4
            own, other = boxes[names[place]], boxes[names[1 - place]]
            inside = [x0 <= x < x1 and y0 <= y < y1 for x0, y0, x1, y1 in (own, other)]
            hits[place] += [inside[0], inside[1] and not inside[0]]
    shares = hits / count
    return {
        "first_own": shares[0, 0],
        "first_other": shares[0, 1],
        "second_own": shares[1, 0],
        "second_other": shares[1, 1],
    }


@torch.no_grad()
def maps_of_scene(
    pipe: Any,
    scene: world.Scene,
    prompt: str,
    number: int,
    timestep: int,
    temperature: float = 0.01,
) -> torch.Tensor:
    """The normalised, smoothed maps (H, W, T) of one pass over a drawn and noised scene.

    Args:
        pipe: reads it.
        scene: what is drawn.
        prompt: what the pass is told.
        number: seed of the noise.
        timestep: how noisy the scene is.
        temperature: of the softmax over tokens.
    """
    from adhere.families import batched, family_of, place
    from adhere.methods.watch import Watch
    from adhere.nursing.passes import Context, look

    family = family_of(pipe)
    device = pipe.device
    picture = torch.from_numpy(world.draw(scene, 128)).permute(2, 0, 1)[None].to(device)
    latents = pipe.vae.encode(picture.float() / 127.5 - 1).latent_dist.mean
    latents = latents * pipe.vae.config.scaling_factor
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(number)).to(device)
    times = torch.tensor([timestep], device=device)
    noisy = pipe.scheduler.add_noise(latents, noise, times)
    hidden, _ = pipe.encode_prompt(prompt, device, 1, False)
    arguments = {"encoder_hidden_states": hidden}
    opened = family.open((noisy, times), arguments, 1, 1)
    placed = place(family.encoders(), {"prompt": prompt}, (), hidden.shape[1])
    context = Context(family, (placed,), batched([placed], hidden.shape[1]).to(device))
    reading = look(
        context, context.reader(Watch()), opened, lambda: pipe.unet(noisy, times, **arguments)
    )
    return reading.smoothed(temperature)[0]


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
                texts, num_inference_steps=steps, generator=generators, output_type="np"
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
    prompts = attend_and_excite(subset).prompts
    texts = [p.text for p in prompts]
    marked: dict[str, np.ndarray] = {}
    for name, method in methods.items():
        started = time.perf_counter()
        pictures = pictures_of(pipe, texts, seeds, method, steps=steps, bar=f"{subset}, {name}")
        seconds = (time.perf_counter() - started) / len(pictures)
        seen = scorer.look(list(pictures))
        wanted = [p for p in prompts for _ in seeds]
        rows = [marks(s, p) for s, p in zip(seen, wanted, strict=True)]
        for mark in rows[0]:
            values = np.array([row[mark] for row in rows], float)
            marked[f"{name}/{mark}"] = values.reshape(len(prompts), len(seeds))
        marked[f"{name}/seconds"] = np.array([[seconds]])
    return marked


def interval(values: np.ndarray, draws: int = 10_000) -> tuple[float, float]:
    """95% interval of a mean by resampling prompts; values are (prompts, seeds)."""
    means = values.mean(1)
    random = np.random.default_rng(0)
    samples = means[random.integers(len(means), size=(draws, len(means)))].mean(1)
    low, high = np.quantile(samples, [0.025, 0.975])
    return float(low), float(high)


def autoencoder_psnr(pipe: Any, count: int = 256) -> float:
    """Mean PSNR in dB of held-out scenes after the autoencoder."""
    total = 0.0
    with torch.no_grad():
        for number in range(count):
            random = np.random.default_rng((HELD_OUT, 1, number))
            picture = world.draw(world.random_scene(random), 128)
            images = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1
            images = images.to(pipe.device)
            decoded = pipe.vae.decode(pipe.vae.encode(images).latent_dist.mean).sample
            error = (decoded.clamp(-1, 1) - images).square().mean().item() / 4
            total += -10 * np.log10(error)
    return total / count


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
    methods = {
        "plain": None,
        "tuned": tuned(pipe),
        "paper": adhere.AttendAndExcite(),
    }
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


def tuned(pipe: Any) -> Method:
    """Attend-and-Excite at the numbers that a pipeline's own folder states."""
    return method_named("attend-and-excite", model=str(pipe.name_or_path))


def seen_and_unseen(subset: str) -> np.ndarray:
    """For each animal pair of the benchmark, whether training drew the two together."""
    held_out = world.held_out_pairs()
    prompts = attend_and_excite(subset).prompts
    return np.array([frozenset(w.subject for w in p.wanted) not in held_out for p in prompts])


def animals(
    pipe: Any, scorer: Scorer, seeds: Sequence[int], steps: int, names: Sequence[str]
) -> dict[str, Any]:
    """Both animals present on the benchmark's pairs: plain, tuned, and as in the papers.

    Tuned is Attend-and-Excite with the numbers that the model states.
    """
    methods: dict[str, Any] = {"plain": None, "tuned": tuned(pipe)}
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


PARTS = ("localisation", "singles", "animals", "objects", "autoencoder", "seconds")


def measure(
    pipe: Any,
    scorer: Scorer,
    seeds: int,
    steps: int,
    names: Sequence[str],
    parts: Sequence[str] = PARTS,
    first: int = 0,
) -> dict[str, Any]:
    """The figures of gates, and those of the named methods on the animal pairs.

    Args:
        pipe: the pipeline.
        scorer: what looks at its pictures.
        seeds: how many a prompt; twice as many for single subjects without a colour.
        steps: of sampling.
        names: methods to measure as their papers have them.
        parts: which gates.
        first: the first seed.
    """
    some, twice = range(first, first + seeds), range(first, first + 2 * seeds)
    ways: dict[str, Callable[[], Any]] = {
        "localisation": lambda: localisation(pipe),
        "singles": lambda: singles(pipe, scorer, twice, steps),
        "animals": lambda: animals(pipe, scorer, some, steps, names),
        "objects": lambda: objects(pipe, scorer, some, steps),
        "autoencoder": lambda: {"psnr": autoencoder_psnr(pipe)},
        "seconds": lambda: speed(pipe),
    }
    figures: dict[str, Any] = {
        "protocol": f"{steps} steps, guidance 7.5; seeds {some[0]} to {some[-1]} for pairs and "
        f"colours, {twice[0]} to {twice[-1]} for singles",
    }
    figures |= {part: ways[part]() for part in parts}
    return json.loads(json.dumps(figures, default=float))


Verdict = tuple[str, str, str, bool]


def _detail(name: str, said: str) -> Verdict:
    """A figure without a threshold of its own."""
    return name, said, "", True


def _span(interval: Sequence[float], style: str = ".1%") -> str:
    return "({0:{2}} to {1:{2}})".format(*interval, style)


def _of_localisation(figures: dict[str, float]) -> list[Verdict]:
    own = min(figures["first_own"], figures["second_own"])
    other = max(figures["first_other"], figures["second_other"])
    return [
        ("attention in the own box", f"{own:.1%}", ">= 80%", own >= 0.8),
        ("attention in the other box", f"{other:.1%}", "<= 20%", other <= 0.2),
        *(
            _detail(f"{place} noun", f"own {own:.1%}, other {other:.1%}")
            for place in ("first", "second")
            for own, other in [(figures[f"{place}_own"], figures[f"{place}_other"])]
        ),
    ]


def _of_singles(figures: dict[str, float]) -> list[Verdict]:
    present, colour = figures["present"], figures["right_colour"]
    return [
        ("singles present", f"{present:.1%}", ">= 92%", present >= 0.92),
        ("singles' colours", f"{colour:.1%}", ">= 85%", colour >= 0.85),
        _detail("painted objects present", f"{figures['painted_present']:.1%}"),
        _detail("their colours where present", f"{figures['right_colour_where_present']:.1%}"),
    ]


def _of_animals(figures: dict[str, Any]) -> list[Verdict]:
    plain = figures["plain"]["present"]
    found = [("animal pairs, plain", f"{plain:.1%}", "20% to 75%", 0.2 <= plain <= 0.75)]
    for name, one in figures.items():
        if name != "plain":
            said = f"{one['gain']:+.1%} {_span(one['gain_interval'], '+.1%')}"
            is_gate = name == "tuned"
            holds = one["gain"] >= 0.15 and one["gain_interval"][0] > 0
            wanted = ">= +15%, clear of 0" if is_gate else ""
            found.append((f"gain of {name}", said, wanted, holds or not is_gate))
        present = f"{one['present']:.1%} {_span(one['present_interval'])}"
        found += [
            _detail(f"present, {name}", present),
            _detail("of pairs seen in training", f"{one['present_seen']:.1%}"),
            _detail("of pairs not seen", f"{one['present_unseen']:.1%}"),
            _detail("pictures with a mixture", f"{one['mixed']:.1%}"),
            _detail("seconds over plain's", f"{one['seconds_ratio']:.1f}"),
        ]
    return found


def _of_objects(figures: dict[str, float]) -> list[Verdict]:
    right, present = figures["right_colours"], figures["present"]
    said = f"{right:.1%} of {present:.1%}"
    return [("objects' colours under presence", said, "clearly below", right < present - 0.05)]


def _of_autoencoder(figures: dict[str, float]) -> list[Verdict]:
    return [("autoencoder", f"{figures['psnr']:.1f} dB", ">= 27 dB", figures["psnr"] >= 27)]


def _of_seconds(figures: dict[str, float]) -> list[Verdict]:
    limits = {"plain": 6, "tuned": 10, "paper": 10}
    return [
        *(
            (f"seconds, {name}", f"{figures[name]:.1f}", f"<= {limit}", figures[name] <= limit)
            for name, limit in limits.items()
        ),
        _detail("threads", f"{figures['threads']:.0f}"),
    ]


_JUDGES: dict[str, Callable[[Any], list[Verdict]]] = {
    "localisation": _of_localisation,
    "singles": _of_singles,
    "animals": _of_animals,
    "objects": _of_objects,
    "autoencoder": _of_autoencoder,
    "seconds": _of_seconds,
}


def verdicts(figures: dict[str, Any]) -> list[Verdict]:
    """For each gate measured its name, its figure, its threshold, and whether it holds.

    Figures that stand beside a gate's follow it, without a threshold.
    """
    return [v for part, judge in _JUDGES.items() if part in figures for v in judge(figures[part])]


def main(argv: Sequence[str]) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m training gates")
    parser.add_argument("--model", type=Path, help="a pipeline folder; default the bundled one")
    parser.add_argument("--seeds", type=int, default=4, help="seeds a prompt (default 4)")
    parser.add_argument("--first-seed", type=int, default=0, help="the first (default 0)")
    parser.add_argument("--steps", type=int, default=50, help="steps a picture (default 50)")
    parser.add_argument(
        "--methods",
        nargs="*",
        choices=list(adhere.METHODS),
        default=list(adhere.METHODS),
        help="which to measure as their papers have them (default all)",
    )
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=PARTS, help="which gates (default all)"
    )
    parser.add_argument("--device", default="cpu", help="where (default cpu)")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args(argv)
    if options.model is None:
        pipe = mini.load()
    else:
        from diffusers import StableDiffusionPipeline

        pipe = StableDiffusionPipeline.from_pretrained(
            options.model, dtype=torch.float32, use_safetensors=True
        )
    figures = measure(
        pipe.to(device_named(options.device)),
        shipped(),
        options.seeds,
        options.steps,
        options.methods,
        options.only,
        options.first_seed,
    )
    sys.stdout.write(f"{figures['protocol']}\n")
    for name, figure, threshold, holds in verdicts(figures):
        mark = "" if not threshold else "ok" if holds else "FAIL"
        sys.stdout.write(f"{mark:6}{name:34}{figure:>28}  {threshold}".rstrip() + "\n")
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1) + "\n")
