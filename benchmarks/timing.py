"""Time and memory of nursing against diffusers' own pipeline, on a U-Net of any width."""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import resource
import threading
import time
import warnings
import weakref
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

PROMPT, INDICES = "a cat and a frog", [2, 5]


def unet(channels: int = 320, text: int = 768) -> Any:
    """Stable Diffusion 1.5's U-Net, or one of its plan with other widths."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=64,
        block_out_channels=(channels, 2 * channels, 4 * channels, 4 * channels),
        cross_attention_dim=text,
        attention_head_dim=8,
        norm_num_groups=min(32, channels // 4),
    ).requires_grad_(True)


def parts(channels: int) -> dict[str, Any]:
    """A pipeline's parts around such a U-Net; the text encoder is small, for it hardly counts."""
    from diffusers import AutoencoderKL, DDIMScheduler
    from training.text import build_tokenizer
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    tokenizer = build_tokenizer()
    words = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=768,
        intermediate_size=768,
        num_hidden_layers=1,
        num_attention_heads=12,
        eos_token_id=tokenizer.eos_token_id,
    )
    blocks = {
        "block_out_channels": (8,) * 4,
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "norm_num_groups": 4,
    }
    return {
        "vae": AutoencoderKL(**blocks),
        "text_encoder": CLIPTextModel(words),
        "tokenizer": tokenizer,
        "unet": unet(channels),
        "scheduler": DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
        ),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }


@dataclass
class Saved:
    """Bytes that autograd holds on to, the weights' own aside."""

    weights: set[int]
    live: dict[int, list[int]] = field(default_factory=dict)
    now: int = 0
    peak: int = 0

    def pack(self, tensor: Tensor) -> Any:
        """Count a tensor's memory once, until the last that shares it is let go."""
        storage = tensor.untyped_storage()
        place = storage.data_ptr()
        if place in self.weights:
            return tensor.detach(), None
        entry = self.live.setdefault(place, [0, storage.nbytes()])
        entry[0] += 1
        if entry[0] == 1:
            self.now += entry[1]
            self.peak = max(self.peak, self.now)
        ticket = _Ticket()
        weakref.finalize(ticket, self.release, place)
        return tensor.detach(), ticket

    def release(self, place: int) -> None:
        """One tensor less uses this memory."""
        entry = self.live[place]
        entry[0] -= 1
        if not entry[0]:
            self.now -= entry[1]
            del self.live[place]


class _Ticket:
    """Lives as long as autograd holds a tensor."""


@contextmanager
def watched_memory(device: str) -> Iterator[dict[str, float]]:
    """The most memory that the block takes beyond what was there, in MB."""
    gc.collect()
    found: dict[str, float] = {}
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        yield found
        found["memory"] = (torch.cuda.max_memory_allocated() - before) / 1e6
        return
    peak, is_over = 0, threading.Event()
    page = resource.getpagesize()

    def resident() -> int:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * page

    def look() -> None:
        nonlocal peak
        while not is_over.wait(0.005):
            peak = max(peak, resident())

    before = resident()
    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        is_over.set()
        thread.join()
    found["memory"] = (peak - before) / 1e6


def measured(job: tuple[str, int, argparse.Namespace]) -> dict[str, float]:
    """Seconds, and MB, of one way of drawing a batch."""
    way, batch, options = job
    warnings.simplefilter("ignore")
    import diffusers

    from adhere.methods.attend_and_excite import AttendAndExcite
    from adhere.nursing import nurse

    torch.set_num_threads(options.threads)
    diffusers.utils.logging.set_verbosity_error()
    is_port = way == "diffusers"
    kind = diffusers.StableDiffusionPipeline
    if is_port:
        kind = diffusers.StableDiffusionAttendAndExcitePipeline
    pipe = kind(**parts(options.channels))
    pipe = pipe.to(options.device, getattr(torch, options.dtype))
    pipe.set_progress_bar_config(disable=True)
    others: dict[str, Any] = {}
    if is_port:
        nursed = options.steps // 2
        others = {"token_indices": INDICES, "thresholds": {}, "max_iter_to_alter": nursed}
        others["attn_res"] = (options.latents // 4, options.latents // 4)

    def draw(steps: int) -> None:
        pipe(
            PROMPT,
            height=8 * options.latents,
            width=8 * options.latents,
            num_inference_steps=steps,
            num_images_per_prompt=batch,
            generator=torch.Generator().manual_seed(0),
            output_type="latent",
            **others,
        )
        if options.device != "cpu":
            torch.cuda.synchronize()

    saved = Saved({p.untyped_storage().data_ptr() for p in pipe.unet.parameters()})

    def run(steps: int) -> None:
        if way != "adhere":
            return draw(steps)
        with nurse(pipe, AttendAndExcite(refine_at=()), prompt=PROMPT, subjects=["cat", "frog"]):
            return draw(steps)

    if options.device != "cpu":
        run(2)
    with watched_memory(options.device) as found:
        started, worked = time.perf_counter(), time.process_time()
        run(options.steps)
        found["seconds"] = time.perf_counter() - started
        found["work"] = time.process_time() - worked
    if way != "plain":
        with saved_tensors_hooks(saved.pack, lambda packed: packed[0]):
            run(2)
    return {**found, "saved": saved.peak / 1e6}


def print_measured(options: argparse.Namespace) -> None:
    """Print seconds and MB of the baseline, of adhere and of diffusers' pipeline."""
    print(f"\nA U-Net of that plan with {options.channels} channels at its widest level,")
    print(
        f"{options.latents} x {options.latents} latents, {options.dtype} on {options.device}",
        end=" ",
    )
    print(f"({options.threads} threads);")
    print(f"{options.steps} steps with guidance, half of them nursed, none refined.\n")
    print("Work is seconds of processor time, which a busy machine leaves as it is; graph is what")
    print(
        "autograd holds besides weights, peak what the process takes besides what it began with."
    )
    print()
    heads = "".join(f"{name:>10}" for name in ("seconds", "work", "graph MB", "peak MB"))
    print(f"{'batch':>5}  {'':10}{heads}")
    context = multiprocessing.get_context("spawn")
    for batch in options.batches:
        rows = {}
        for way in ("plain", "adhere", "diffusers"):
            # Each in its own process, so that none inherits another's memory.
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                rows[way] = pool.submit(measured, (way, batch, options)).result()
            one = rows[way]
            row = "".join(
                f"{one[key]:10.{digits}f}"
                for key, digits in (("seconds", 2), ("work", 2), ("saved", 0), ("memory", 0))
            )
            print(f"{batch:5}  {way:10}{row}", flush=True)
        ours, port = rows["adhere"], rows["diffusers"]
        ratios = {key: port[key] / ours[key] for key in ("seconds", "work", "saved", "memory")}
        print(
            f"{'':7}diffusers / adhere: {json.dumps({k: round(v, 2) for k, v in ratios.items()})}"
        )
